# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Text by a trained model: `python -m pquant.generate MODEL.pt --prompt TEXT`.

The reference that compiled models are compared with: every token is computed by the whole model on all tokens before
it, without a cache of keys and values. With `--ids` in the place of `--prompt` no SentencePiece is needed.
"""

import argparse
import os
import sys
from typing import List, Optional

import torch

from pquant.nn import LanguageModel, load_model
from pquant.training.ranks import autocast
from pquant.training.text import load_tokenizer


def sample(logits: torch.Tensor, temperature: float, top_k: int, generator: Optional[torch.Generator]) -> int:
    """A token by logits float32 [vocab]: the most probable for temperature 0, else drawn among the `top_k` (0: all)."""
    if temperature <= 0:
        return int(logits.argmax())
    logits = logits / temperature
    if top_k:
        logits = logits.masked_fill(logits < logits.topk(min(top_k, len(logits))).values[-1], float("-inf"))
    return int(torch.multinomial(torch.softmax(logits, -1), 1, generator=generator))


@torch.no_grad()
def generate(
    model: LanguageModel,
    ids: List[int],
    count: int,
    temperature: float = 0.0,
    top_k: int = 0,
    seed: int = 0,
    context: int = 512,
    eos: Optional[int] = None,
    precision: str = "float32",
) -> List[int]:
    """Up to `count` tokens that follow `ids` (at least one), each from the last `context` ones; ends before `eos`."""
    if not ids or not all(0 <= i < model.config.vocab for i in ids):
        raise ValueError(f"expected one or more ids in [0, {model.config.vocab}), but got {ids}")
    device, generator = model.frequencies.device, torch.Generator().manual_seed(seed)
    result = list(ids)
    for _ in range(count):
        with autocast(device, precision):
            logits = model(torch.tensor([result[-context:]], device=device))[0, -1]
        token = sample(logits.float().cpu(), temperature, top_k, generator)
        if token == eos:
            break
        result.append(token)
    return result[len(ids) :]


def main() -> None:
    parser = argparse.ArgumentParser(prog="pquant.generate", description="Continue a text by a trained model.")
    parser.add_argument("model", help="model.pt or checkpoint.pt")
    parser.add_argument("--prompt", default="", help="text to go on from")
    parser.add_argument("--ids", default="", help="token ids instead, by commas; prints ids")
    parser.add_argument("--tokenizer", default="", help="SentencePiece model (tokenizer.model beside the model)")
    parser.add_argument("--tokens", type=int, default=64, help="at most so many (64)")
    parser.add_argument("--temperature", type=float, default=0.0, help="0: always the most probable token (0)")
    parser.add_argument("--top-k", type=int, default=0, help="draw among so many, 0 for all")
    parser.add_argument("--context", type=int, default=512, help="tokens that are looked back at (512)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--precision", choices=("auto", "bfloat16", "float32"), default="float32")
    parser.add_argument("--device", default="cpu")
    a = parser.parse_args()
    try:
        model, tokenizer = load_model(a.model, a.device).eval(), None
        if a.ids:
            ids = [int(i) for i in a.ids.split(",")]
        else:
            beside = os.path.join(os.path.dirname(a.model), "tokenizer.model")
            tokenizer = load_tokenizer(a.tokenizer or beside)
            ids = tokenizer.encode(a.prompt) or [tokenizer.eos_id()]
        eos = tokenizer.eos_id() if tokenizer else None
        made = generate(model, ids, a.tokens, a.temperature, a.top_k, a.seed, a.context, eos, a.precision)
    except ValueError as error:
        sys.exit(f"error: {error}")
    print(a.prompt + tokenizer.decode(made) if tokenizer else ",".join(map(str, made)))


if __name__ == "__main__":
    main()
