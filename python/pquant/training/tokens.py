# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Token files: a folder that `pquant.prepare` makes from text and that training maps into memory.

    train.bin, valid.bin    token ids, little-endian uint16, without header
    tokens.json             {"vocab", "eos", "train_tokens", "valid_tokens", "valid_bytes", "valid_words"}
    tokenizer.model         the SentencePiece model; training itself does not read it

Windows for training are random, but a function of seed and step alone: any number of processes draws the same ones,
and a run that is resumed goes on with those that it would have seen.
"""

import json
import os
from typing import Iterator, Tuple

import numpy as np

IGNORED = -100  # as pquant.nn.IGNORED


class Tokens:
    """A folder of token files: arrays `train` and `valid` (uint16, mapped), and the entries of tokens.json."""

    def __init__(self, folder: str):
        self.folder = folder
        try:
            with open(os.path.join(folder, "tokens.json"), encoding="utf-8") as file:
                self.info = json.load(file)
        except FileNotFoundError:
            raise ValueError(f"expected token files of pquant.prepare in {folder}, but found no tokens.json") from None
        self.vocab = self.info["vocab"]
        self.train, self.valid = self._map("train"), self._map("valid")

    def _map(self, split: str) -> np.ndarray:
        path, count = os.path.join(self.folder, f"{split}.bin"), self.info[f"{split}_tokens"]
        size = os.path.getsize(path) if os.path.exists(path) else 0
        if size != 2 * count:
            raise ValueError(f"expected {2 * count} bytes in {path}, but got {size}")
        return np.memmap(path, "<u2", "r", shape=(count,)) if count else np.zeros(0, "<u2")

    @property
    def tokenizer(self) -> str:
        return os.path.join(self.folder, "tokenizer.model")


def random_windows(
    tokens: np.ndarray, length: int, count: int, seed: int, step: int, part: slice = slice(None)
) -> Tuple[np.ndarray, np.ndarray]:
    """Inputs and targets int64 [count, length] of one step, or the rows `part` of them; targets are one token ahead."""
    if len(tokens) <= length:
        raise ValueError(f"expected more than {length} training tokens, but got {len(tokens)}")
    starts = np.random.default_rng([seed, step]).integers(0, len(tokens) - length, count)[part]
    windows = tokens[starts[:, None] + np.arange(length + 1)].astype(np.int64)
    return windows[:, :-1], windows[:, 1:]


def fixed_windows(tokens: np.ndarray, length: int, count: int) -> Iterator[Tuple[np.ndarray, np.ndarray]]:
    """The whole of `tokens` in windows side by side, in batches int64 [count, length] of inputs and targets.

    Every token but the first is a target once. What is missing in the last batch has the target IGNORED.
    """
    for start in range(0, len(tokens) - 1, count * length):
        targets = tokens[start + 1 : start + 1 + count * length].astype(np.int64)
        inputs = tokens[start : start + len(targets)].astype(np.int64)
        missing = count * length - len(targets)
        inputs, targets = np.pad(inputs, (0, missing)), np.pad(targets, (0, missing), constant_values=IGNORED)
        yield inputs.reshape(count, length), targets.reshape(count, length)
