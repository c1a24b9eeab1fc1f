# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""How evenly the loss depends on the weights of a trained model: `python -m pquant.sensitivity MODEL.pt --data TOKENS`.

The sensitivity of a weight is s = F w^2, the second-order estimate of what setting it to zero costs (LeCun et al.,
Optimal Brain Damage, 1990) with the empirical Fisher information F = mean over windows of (dL / dw)^2 for the Hessian's
diagonal. w is the value that is multiplied (the dequantised weight), and dL / dw is the straight-through gradient. In a
float model few weights carry most of the sum; a 1-bit model makes them alike, which pQuant's INT8 branch is to undo.

Prints JSON: for each kind of weight (binary, ternary, int8, float) of the blocks' linears, their number, the mean
sensitivity, the Gini coefficient (0: all alike, 1: one has all) and the share of the most sensitive 1 %. `--curves FILE`
writes the Lorenz curves as CSV, for `pquant.reproduction`.
"""

import argparse
import csv
import json
import sys
from typing import Dict, List

import numpy as np
import torch

from pquant.nn import BinaryLinear, FloatLinear, Int8Linear, LanguageModel, TernaryLinear, load_model
from pquant.training.tokens import Tokens, fixed_windows

KINDS = {BinaryLinear: "binary", TernaryLinear: "ternary", Int8Linear: "int8", FloatLinear: "float"}
POINTS = 201  # of a curve


def dequantized(layer: torch.nn.Module) -> torch.Tensor:
    """The values that a layer multiplies by, float32 [N, K]."""
    if isinstance(layer, FloatLinear):
        return layer.weight.detach()
    integers, scale = layer.integers()
    return (integers * scale).detach()


def sensitivities(model: LanguageModel, tokens: np.ndarray, length: int, windows: int) -> Dict[str, List[np.ndarray]]:
    """F w^2 of every weight of the blocks' linears, by kind; one float32 [N * K] a layer.

    Windows of `length` tokens are taken from the front of `tokens`, one gradient each.
    """
    layers = [m for m in model.modules() if type(m) in KINDS]
    fisher = [torch.zeros_like(m.weight) for m in layers]
    device, count = model.frequencies.device, 0
    for ids, targets in fixed_windows(tokens, length, 1):
        if count == windows:
            break
        model.zero_grad(set_to_none=True)
        loss, _ = model(torch.from_numpy(ids).to(device), torch.from_numpy(targets).to(device))
        loss.backward()
        for total, layer in zip(fisher, layers):
            if layer.weight.grad is not None:
                total += layer.weight.grad**2
        count += 1
    if not count:
        raise ValueError("expected at least two held-out tokens, but got none")
    result = {}
    for total, layer in zip(fisher, layers):
        values = (total / count * dequantized(layer) ** 2).flatten().cpu().numpy()
        result.setdefault(KINDS[type(layer)], []).append(values)
    return result


def lorenz(values: np.ndarray) -> np.ndarray:
    """Share of the sum that the least sensitive 0, 1/200, .. 1 of the values have; float64 [201]."""
    cumulated = np.concatenate([[0.0], np.cumsum(np.sort(values.astype(np.float64)))])
    if cumulated[-1] == 0:
        return np.linspace(0, 1, POINTS)
    return np.interp(np.linspace(0, 1, POINTS), np.linspace(0, 1, len(cumulated)), cumulated / cumulated[-1])


def describe(parts: List[np.ndarray]) -> dict:
    """Number, mean, Gini coefficient and the share of the upper hundredth."""
    values = np.sort(np.concatenate(parts).astype(np.float64))
    total = values.sum()
    if total == 0:
        return {"weights": len(values), "mean": 0.0, "gini": 0.0, "top_share": 0.01}
    ranks = np.arange(1, len(values) + 1)
    gini = 2 * (ranks * values).sum() / (len(values) * total) - (len(values) + 1) / len(values)
    upper = values[-max(1, len(values) // 100) :].sum() / total
    return {"weights": len(values), "mean": total / len(values), "gini": gini, "top_share": upper}


def main() -> None:
    parser = argparse.ArgumentParser(prog="pquant.sensitivity", description="How evenly a loss depends on the weights.")
    parser.add_argument("model", help="model.pt or checkpoint.pt of pquant.train")
    parser.add_argument("--data", required=True, help="folder of token files; their held-out part is taken")
    parser.add_argument("--windows", type=int, default=64, help="gradients that are averaged (64)")
    parser.add_argument("--sequence", type=int, default=256, help="tokens a window (256)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--curves", default="", help="Lorenz curves as CSV: kind, share of weights, share of the sum")
    a = parser.parse_args()
    try:
        model = load_model(a.model, a.device).eval()
        parts = sensitivities(model, Tokens(a.data).valid, a.sequence, a.windows)
    except ValueError as error:
        sys.exit(f"error: {error}")
    results = {"model": a.model, "variant": model.config.variant, "experts": model.config.experts}
    results["kinds"] = {kind: describe(values) for kind, values in parts.items()}
    results["all"] = describe([v for values in parts.values() for v in values])
    print(json.dumps(results))
    if a.curves:
        with open(a.curves, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["kind", "weights", "share"])
            for kind, values in {**parts, "all": [v for values in parts.values() for v in values]}.items():
                shares = lorenz(np.concatenate(values))
                for i, share in enumerate(shares):
                    writer.writerow([kind, i / (POINTS - 1), f"{share:.6g}"])


if __name__ == "__main__":
    main()
