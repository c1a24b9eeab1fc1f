# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Learning rate and weight decay of a step.

Two-phase, as 1-bit models are trained (BitNet b1.58, training tips; pQuant): a high rate with weight decay, and from
`phase2_start` of the steps on a lower rate without. Within both the rate falls linearly towards `floor` at the end.
"""

import math
from dataclasses import dataclass

SCHEDULES = ("two-phase", "cosine")


@dataclass(frozen=True)
class Schedule:
    """kind: "two-phase" or "cosine" (one phase, the usual one of float models); rates are peaks after warm-up."""

    steps: int
    lr: float = 1.5e-3
    lr2: float = 1e-3
    warmup: int = 100
    weight_decay: float = 0.1
    phase2_start: float = 0.5
    floor: float = 0.0  # of the peak
    kind: str = "two-phase"

    def __post_init__(self):
        if self.kind not in SCHEDULES:
            raise ValueError(f"expected schedule {' or '.join(SCHEDULES)}, but got {self.kind}")

    def phase(self, step: int) -> int:
        """1 or 2, of a step counted from 0."""
        return 2 if self.kind == "two-phase" and step >= self.phase2_start * self.steps else 1

    def rate(self, step: int) -> float:
        """The learning rate of a step counted from 0."""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        done = (step - self.warmup) / max(1, self.steps - self.warmup)
        left = (1 + math.cos(math.pi * done)) / 2 if self.kind == "cosine" else 1 - done
        return (self.lr2 if self.phase(step) == 2 else self.lr) * (self.floor + (1 - self.floor) * left)

    def decay(self, step: int) -> float:
        return 0.0 if self.phase(step) == 2 else self.weight_decay
