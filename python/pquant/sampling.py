# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Logits to tokens: the definition of docs/TextGeneration.md in NumPy, bit for bit what the runtime does.

Probabilities are integer weights, so that no sum depends on an order, and the exponential is made of IEEE operations in
float64, so that no two machines differ.
"""

import dataclasses
import math
from typing import List

import numpy as np

ONE = 2**40  # the weight of the most probable token
_MASK = 2**64 - 1


@dataclasses.dataclass
class Sampling:
    """How a token is drawn; the defaults are neutral and greedy."""

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    repeat_penalty: float = 1.0
    repeat_window: int = 64
    seed: int = 0


def weigh(x: np.ndarray) -> np.ndarray:
    """2^40 e^x to the nearest integer, uint64, of float64 x <= 0."""
    near = np.maximum(np.asarray(x, np.float64), -28.5)
    k = (near * float.fromhex("0x1.71547652b82fep0") + 1.5 * 2.0**52) - 1.5 * 2.0**52
    r = (near - k * float.fromhex("0x1.62e42fee00000p-1")) - k * float.fromhex("0x1.a39ef35793c76p-33")
    total = np.zeros_like(r)
    for n in range(13, -1, -1):
        total = total * r + 1.0 / math.factorial(n)
    return np.rint(np.ldexp(total, 40 + k.astype(np.int64))).astype(np.uint64)


def random_number(seed: int, counter: int) -> int:
    """Number `counter` of the 64-bit sequence that `seed` starts (SplitMix64)."""
    z = (seed + (counter + 1) * 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ z >> 27) * 0x94D049BB133111EB) & _MASK
    return z ^ z >> 31


class Sampler:
    """Draws tokens one after the other."""

    def __init__(self, sampling: Sampling):
        self.sampling, self.draws = sampling, 0
        self.recent: List[int] = []

    def accept(self, tokens: List[int]) -> None:
        """Tells of tokens that were not drawn, for the repetition penalty."""
        window = self.sampling.repeat_window
        self.recent = (self.recent + list(tokens))[-window:] if window else []

    def weights(self, logits: np.ndarray) -> np.ndarray:
        """The distribution after logits float32 [vocab], as uint64 [vocab]."""
        s, logits = self.sampling, np.array(logits, np.float32)
        if np.isnan(logits).any() or not np.isfinite(logits.max()):
            raise ValueError("expected finite logits, but got NaN or infinity")
        if s.repeat_penalty != 1:
            seen, penalty = np.unique(np.array(self.recent, np.int64)), np.float32(s.repeat_penalty)
            logits[seen] = np.where(logits[seen] > 0, logits[seen] / penalty, logits[seen] * penalty)
        if s.temperature == 0:
            return (np.arange(len(logits)) == logits.argmax()).astype(np.uint64)
        weights = weigh((logits.astype(np.float64) - np.float64(logits.max())) * (1 / s.temperature))
        if 0 < s.top_k < len(logits):
            weights[np.argsort(-logits, kind="stable")[s.top_k :]] = 0
        if s.top_p < 1:
            order = np.argsort(-weights.astype(np.int64), kind="stable")
            target = max(1, int(float(weights.sum()) * s.top_p))
            kept = int(np.searchsorted(np.cumsum(weights[order]), target)) + 1
            weights[order[kept:]] = 0
        return weights

    def sample(self, logits: np.ndarray) -> int:
        """The token after logits float32 [vocab]; it is accepted."""
        ends = np.cumsum(self.weights(logits))
        point = 0
        if self.sampling.temperature != 0:
            point = random_number(self.sampling.seed, self.draws) * int(ends[-1]) >> 64
            self.draws += 1
        token = int(np.searchsorted(ends, point, side="right"))
        self.accept([token])
        return token
