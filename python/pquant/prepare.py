# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Text files to token files for training: `python -m pquant.prepare FOLDER TEXT...`.

Trains a SentencePiece tokenizer, or takes one, and writes FOLDER/train.bin, valid.bin, tokens.json and tokenizer.model.
The folder can be carried to a machine that has no SentencePiece.
"""

import argparse
import json
import sys

from pquant.training.text import prepare


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `prepare`, which `pquant.train --text` has too."""
    group = parser.add_argument_group("text")
    group.add_argument("--vocab", type=int, default=8192, help="pieces of the tokenizer to train (8192)")
    group.add_argument("--tokenizer", default="", help="a SentencePiece .model to use instead of training one")
    group.add_argument("--valid", nargs="+", default=[], metavar="TEXT", help="held-out files")
    group.add_argument("--valid-fraction", type=float, default=0.01, help="else the last part of each file (0.01)")
    group.add_argument("--separator", default="", help="a line that stands between two documents")
    group.add_argument("--sentences", type=int, default=1_000_000, help="lines that the tokenizer is trained on")
    group.add_argument("--threads", type=int, default=0, help="0: one per core")


def run(files: list, folder: str, arguments: argparse.Namespace) -> dict:
    return prepare(
        files,
        folder,
        arguments.vocab,
        arguments.tokenizer,
        arguments.valid,
        arguments.valid_fraction,
        arguments.separator,
        arguments.sentences,
        arguments.threads,
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="pquant.prepare", description="Make token files for training from text.")
    parser.add_argument("folder", help="where the token files go")
    parser.add_argument("text", nargs="+", help="UTF-8 text files")
    add_arguments(parser)
    arguments = parser.parse_args()
    try:
        print(json.dumps(run(arguments.text, arguments.folder, arguments)))
    except ValueError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
