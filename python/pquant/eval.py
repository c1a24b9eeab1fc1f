# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Perplexity of a trained or compiled model: `python -m pquant.eval MODEL --data TOKENS`.

MODEL is model.pt or checkpoint.pt of `pquant.train`, or the .so that pquant-compile made of its export. Every held-out token but the first is predicted once, in
windows of `--sequence` tokens side by side. Prints JSON.
"""

import argparse
import json
import os
import sys
import tempfile
from typing import Tuple

import torch
from torch import Tensor
from torch.nn import functional

from pquant import runtime
from pquant.nn import IGNORED, count_weights, load_model
from pquant.training.evaluate import mean_loss, summary
from pquant.training.ranks import Ranks
from pquant.training.text import prepare
from pquant.training.tokens import Tokens


class CompiledModel:
    """A shared library in the place of a LanguageModel that is evaluated."""

    def __init__(self, path: str):
        self.model = runtime.load(path)
        if len(self.model.inputs) != 1 or len(self.model.outputs) != 1:
            raise ValueError(f"expected a model of token ids to logits in {path}, without a cache")
        self.vocab, self.variant = self.model.outputs[0].sizes[-1], "compiled"

    def __call__(self, ids: Tensor, targets: Tensor) -> Tuple[Tensor]:
        logits = torch.from_numpy(next(iter(self.model(ids.numpy()).values())))
        return (functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED),)


def evaluate(arguments: argparse.Namespace, data: str) -> dict:
    is_compiled = arguments.model.endswith(".so")
    ranks, tokens = Ranks("cpu" if is_compiled else arguments.device), Tokens(data)
    try:
        if is_compiled:
            model = description = CompiledModel(arguments.model)
        else:
            model = load_model(arguments.model, ranks.device).eval()
            description = model.config
        if description.vocab < tokens.vocab:
            raise ValueError(f"expected tokens of a vocabulary up to {description.vocab}, but got {tokens.vocab}")
        if len(tokens.valid) < 2:
            raise ValueError(f"expected at least 2 held-out tokens in {data}, but got {len(tokens.valid)}")
        loss = mean_loss(model, tokens.valid, arguments.sequence, arguments.batch, ranks, arguments.precision)
        results = {"model": arguments.model, "variant": description.variant, "sequence": arguments.sequence}
        results.update(tokens=len(tokens.valid), precision=arguments.precision, **summary(loss, tokens.info))
        if not is_compiled:
            results["weights"] = count_weights(model)
        return results if ranks.first else {}
    finally:
        ranks.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="pquant.eval", description="Perplexity of a trained model on held-out text.")
    parser.add_argument("model", help="model.pt or checkpoint.pt, or a compiled .so")
    parser.add_argument("--data", default="", help="folder of token files; their held-out part is taken")
    parser.add_argument("--text", nargs="+", default=[], metavar="FILE", help="text files instead, all held out")
    parser.add_argument("--tokenizer", default="", help="for --text (tokenizer.model beside the model)")
    parser.add_argument("--separator", default="", help="a line that stands between two documents of --text")
    parser.add_argument("--sequence", type=int, default=256, help="tokens a window (256)")
    parser.add_argument("--batch", type=int, default=16, help="windows at once (16)")
    parser.add_argument("--precision", choices=("auto", "bfloat16", "float32"), default="auto")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", default="", help="also write the results to this file")
    arguments = parser.parse_args()
    try:
        if bool(arguments.data) == bool(arguments.text):
            raise ValueError("expected either --data or --text")
        with tempfile.TemporaryDirectory() as folder:
            if arguments.text:
                beside = os.path.join(os.path.dirname(arguments.model), "tokenizer.model")
                tokenizer, separator = arguments.tokenizer or beside, arguments.separator
                prepare([], folder, tokenizer=tokenizer, valid_files=arguments.text, separator=separator)
            results = evaluate(arguments, arguments.data or folder)
    except (ValueError, runtime.Error) as error:
        sys.exit(f"error: {error}")
    if results:
        print(json.dumps(results))
        if arguments.json:
            with open(arguments.json, "w", encoding="utf-8") as file:
                json.dump(results, file, indent=1)
                file.write("\n")


if __name__ == "__main__":
    main()
