# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Perplexity of a model on tokens."""

import itertools
import math
from typing import Callable, Optional

import numpy as np
import torch

from pquant.training.ranks import Ranks, autocast
from pquant.training.tokens import fixed_windows


def mean_loss(
    model: Callable, tokens: np.ndarray, length: int, batch: int, ranks: Ranks, precision: str = "auto"
) -> Optional[float]:
    """Mean cross entropy (nats) of every token but the first, in windows of `length` side by side; None for no tokens.

    model: ids and targets [batch, length] to (mean loss, ...). The batches are shared among the processes.
    """
    if len(tokens) < 2:
        return None
    total = torch.zeros((), dtype=torch.float64, device=ranks.device)
    with torch.no_grad(), autocast(ranks.device, precision):
        for ids, targets in itertools.islice(fixed_windows(tokens, length, batch), ranks.rank, None, ranks.world):
            count = int((targets >= 0).sum())
            ids, targets = torch.from_numpy(ids).to(ranks.device), torch.from_numpy(targets).to(ranks.device)
            total += model(ids, targets)[0].double() * count
    return ranks.sum(total.item())[0] / (len(tokens) - 1)


def summary(loss: float, info: dict) -> dict:
    """Loss and perplexity a token; bits a byte and perplexity a word of the same text, from tokens.json's counts."""
    result = {"valid_loss": loss, "perplexity": math.exp(min(loss, 700))}
    nats = loss * (info["valid_tokens"] - 1)
    if info.get("valid_bytes"):
        result["bits_per_byte"] = nats / math.log(2) / info["valid_bytes"]
    if info.get("valid_words"):
        result["word_perplexity"] = math.exp(min(nats / info["valid_words"], 700))
    return result
