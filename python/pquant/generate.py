# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Text by a trained or a compiled model: `python -m pquant.generate MODEL --prompt TEXT`.

MODEL is model.pt or checkpoint.pt of `pquant.train` (the reference: every token is computed by the whole model on all
tokens before it), or the .so that pquant-compile made of its export. One exported with `--cache` computes each token
once and keeps its keys and values. Only a .pt needs PyTorch; with `--ids` in the place of `--prompt` no SentencePiece
is needed.
"""

import argparse
import os
import sys
import time
from typing import Iterator, List, Optional

import numpy as np

from pquant import runtime
from pquant.sampling import Sampler, Sampling


class TorchModel:
    """A LanguageModel in PyTorch that is asked for one token after the other, on the last `context` ones."""

    def __init__(self, model, context: int = 512, precision: str = "float32"):
        self.model, self.context, self.precision = model, context, precision
        self.vocab = model.config.vocab
        self.ids: List[int] = []

    def next_logits(self, ids: List[int]) -> np.ndarray:
        """float32 [vocab] after `ids`, which follow all ids given before."""
        import torch

        from pquant.training.ranks import autocast

        self.ids += ids
        device = self.model.frequencies.device
        with torch.no_grad(), autocast(device, self.precision):
            logits = self.model(torch.tensor([self.ids[-self.context :]], device=device))[0, -1]
        return logits.float().cpu().numpy()


class CompiledModel:
    """A compiled model in the place of a TorchModel: without a cache as that one, or one step of a model with it.

    Where the compiler made `prefill` and `decode`, a session of `capacity` tokens keeps keys and values in place. With
    another cache, inputs `past_key_values.*` [batch, groups, past, D] get what the outputs `present.*` in the same order
    had in the step before, at first no positions.
    """

    def __init__(self, path: str, context: int = 512, threads: Optional[int] = None, capacity: int = 4096):
        self.model, self.context = runtime.load(path, threads=threads), context
        first, *past = self.model.inputs
        self.cached = bool(past)
        self.vocab = self.model.outputs[0].sizes[-1]
        self.name, self.ids = first.name, []
        has_steps = any(entry.name == "decode" and entry.states for entry in self.model.entries)
        self.session = self.model.session(capacity) if has_steps else None
        self.past = {}
        for spec in past:
            if len(spec.sizes) != 4 or not all(isinstance(spec.sizes[i], int) for i in (1, 3)):
                raise ValueError(f"expected keys and values [batch, groups, past, D], but {spec.name} is {spec.sizes}")
            self.past[spec.name] = np.zeros((1, spec.sizes[1], 0, spec.sizes[3]), spec.dtype)
        if len(self.model.outputs) != 1 + len(past) or not isinstance(self.vocab, int):
            raise ValueError(f"expected a model of token ids to logits in {path}, with as many caches out as in")

    def next_logits(self, ids: List[int]) -> np.ndarray:
        if self.session:
            return self.session.run(ids)
        self.ids += ids
        if not self.cached:
            ids = self.ids[-self.context :]
        logits, *present = self.model.run({self.name: np.array([ids], np.int64), **self.past}).values()
        self.past = dict(zip(self.past, present))
        return logits[0, -1]


def generate(
    model, ids: List[int], count: int, sampling: Sampling = Sampling(), eos: Optional[int] = None
) -> Iterator[int]:
    """Up to `count` tokens that follow `ids` (at least one), by a TorchModel or CompiledModel; ends before `eos`."""
    if not ids or not all(0 <= i < model.vocab for i in ids):
        raise ValueError(f"expected one or more ids in [0, {model.vocab}), but got {ids}")
    sampler, last = Sampler(sampling), list(ids)
    sampler.accept(last)
    for _ in range(count):
        token = sampler.sample(model.next_logits(last))
        if token == eos:
            break
        yield token
        last = [token]


def open_model(a: argparse.Namespace, ids: List[int]):
    if a.model.endswith(".so"):
        return CompiledModel(a.model, a.context, capacity=len(ids) + a.tokens)
    from pquant.nn import load_model

    return TorchModel(load_model(a.model, a.device).eval(), a.context, a.precision)


def main() -> None:
    parser = argparse.ArgumentParser(prog="pquant.generate", description="Continue a text by a trained model.")
    parser.add_argument("model", help="model.pt or checkpoint.pt, or a compiled .so")
    parser.add_argument("--prompt", default="", help="text to go on from")
    parser.add_argument("--ids", default="", help="token ids instead, by commas; prints ids")
    parser.add_argument("--tokenizer", default="", help="SentencePiece model (tokenizer.model beside the model)")
    parser.add_argument("--tokens", type=int, default=64, help="at most so many (64)")
    parser.add_argument("--temperature", type=float, default=0.0, help="0: always the most probable token (0)")
    parser.add_argument("--top-k", type=int, default=0, help="draw among so many, 0 for all")
    parser.add_argument("--top-p", type=float, default=1.0, help="draw among the first that reach this probability")
    parser.add_argument("--repeat-penalty", type=float, default=1.0, help="above 1, make the last 64 tokens less probable")
    parser.add_argument("--context", type=int, default=512, help="tokens looked back at, without a cache (512)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--precision", choices=("auto", "bfloat16", "float32"), default="float32", help="of a .pt")
    parser.add_argument("--device", default="cpu", help="of a .pt (cpu)")
    parser.add_argument("--speed", action="store_true", help="print tokens a second to the standard error")
    a = parser.parse_args()
    try:
        tokenizer = None
        if a.ids:
            if not all(i.strip().isdigit() for i in a.ids.split(",")):
                raise ValueError(f"expected token ids by commas, but got {a.ids}")
            ids = [int(i) for i in a.ids.split(",")]
        else:
            from pquant.training.text import load_tokenizer

            tokenizer = load_tokenizer(a.tokenizer or os.path.join(os.path.dirname(a.model), "tokenizer.model"))
            ids = tokenizer.encode(a.prompt) or [tokenizer.eos_id()]
        eos = tokenizer.eos_id() if tokenizer else None
        model, begin = open_model(a, ids), time.monotonic()
        sampling = Sampling(a.temperature, a.top_k, a.top_p, a.repeat_penalty, seed=a.seed)
        made = list(generate(model, ids, a.tokens, sampling, eos))
    except (ValueError, OSError, runtime.Error) as error:
        sys.exit(f"error: {error}")
    print(tokenizer.decode(ids + made) if tokenizer else ",".join(map(str, made)))
    if a.speed:
        print(f"{len(made) / (time.monotonic() - begin):.1f} tokens/s, prompt included", file=sys.stderr)


if __name__ == "__main__":
    main()
