# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The quantisers of training, in PyTorch: the float32 arithmetic of `pquant.reference`, with gradients.

Each has two forms of the same value:

- an integer form, `*_integers`: integers (as float32) and the factor back to values. Small integers are exact in
  bfloat16 too, so that products under autocast are those of the deployed model;
- a fake-quantised form, `fake_*`: the values themselves, float32, as exports carry them.

Gradients are straight-through: rounding and sign count as the identity, scales as constants (Bengio et al., Estimating
or Propagating Gradients Through Stochastic Neurons, 2013). Everything is computed in float32, under autocast too.
"""

from typing import NamedTuple, Optional, Tuple

import torch
from torch import Tensor

from pquant.reference import Quantizer


class Rows(NamedTuple):
    """Quantised rows: values float32 [.., K] and step float32 [.., 1]; without a step, values are not integers."""

    values: Tensor
    step: Optional[Tensor]


def straight_through(x: Tensor, quantized: Tensor) -> Tensor:
    """`x + (quantized - x)`, the second term a constant: the value of `quantized` up to rounding, the gradient of x.

    Without gradients (in exports) it is `quantized` itself, which an exporter can fold without changing its last bits.
    """
    return x + (quantized - x).detach() if torch.is_grad_enabled() else quantized


def _exact(x: Tensor, quantized: Tensor) -> Tensor:
    """As `straight_through`, with exactly the value of `quantized`: what is added to it is zero."""
    return quantized.detach() + (x - x.detach())


def _absmax(x: Tensor, per_row: bool) -> Tensor:
    magnitude = x.detach().abs()
    return magnitude.amax(-1, keepdim=True) if per_row else magnitude.max()


def _factor(absmax: Tensor, quantizer: Quantizer) -> Tuple[Optional[Tensor], Tensor]:
    """gamma and step of a maximum, as `Quantizer.factor`; gamma is None where the formula divides by the step."""
    guarded = absmax.clamp_min(quantizer.eps) if quantizer.guard == "max" else absmax + quantizer.eps
    if quantizer.formula == "div":
        return None, guarded / quantizer.qmax
    if quantizer.formula == "mul_recip":
        gamma = guarded.reciprocal() * quantizer.qmax
    else:
        gamma = torch.full_like(guarded, quantizer.qmax) / guarded
    return gamma, gamma.reciprocal()


def _scaled(x: Tensor, gamma: Optional[Tensor], step: Tensor) -> Tensor:
    return x / step if gamma is None else x * gamma


def absmax_integers(x: Tensor, quantizer: Quantizer = Quantizer(), per_row: bool = True) -> Tuple[Tensor, Tensor]:
    """Q(x) = clamp(round(x * gamma), qmin, qmax) with gamma = qmax / max|x| (pQuant).

    x: [.., K], any float type. Returns integers float32 [.., K] and step = 1 / gamma, float32: [.., 1] with per_row
    (activations), [] without (weights). Rounds half to even. Gradient: d integers / dx = gamma.
    """
    x = x.float()
    gamma, step = _factor(_absmax(x, per_row), quantizer)
    scaled = _scaled(x, gamma, step)
    return _exact(scaled, scaled.round().clamp(quantizer.qmin, quantizer.qmax)), step


def fake_absmax(x: Tensor, quantizer: Quantizer = Quantizer(), per_row: bool = True) -> Tensor:
    """Q(x) / gamma as training forms write it, `x + (q - x)`. x: [.., K]. Returns float32 [.., K]; gradient 1."""
    x = x.float()
    gamma, step = _factor(_absmax(x, per_row), quantizer)
    rounded = _scaled(x, gamma, step).round().clamp(quantizer.qmin, quantizer.qmax)
    return straight_through(x, rounded * step if gamma is None else rounded / gamma)


def _sign(weight: Tensor) -> Tensor:
    """sign(W - mu), mu = mean(W), where sign(v) is +1 if v > 0, else -1."""
    one = torch.ones((), dtype=weight.dtype, device=weight.device)
    return torch.where(weight - weight.mean() > 0, one, -one)


def binary_integers(weight: Tensor, eps: float = 1e-5) -> Tuple[Tensor, Tensor]:
    """W1 = sign(W - mean(W)) and lambda = mean|W|, one a tensor (pQuant; Wang et al., BitNet, 2023).

    weight: float32. Returns +1 and -1, float32 of its shape, and lambda, float32 []. Gradient: d W1 / dW = 1 / lambda
    (guarded by eps), so that the gradient of lambda * W1 is 1.
    """
    weight = weight.float()
    constant = weight.detach()
    scale = constant.abs().mean()
    return _exact(weight / scale.clamp_min(eps), _sign(constant)), scale


def fake_binary(weight: Tensor) -> Tensor:
    """lambda * sign(W - mean(W)) as `w + (q - w)`. weight: float32. Returns float32 of its shape; gradient 1."""
    weight = weight.float()
    return straight_through(weight, _sign(weight) * weight.abs().mean())


def ternary_integers(weight: Tensor, eps: float = 1e-5) -> Tuple[Tensor, Tensor]:
    """clamp(round(W / s), -1, 1) and s = mean|W| (Ma et al., The Era of 1-bit LLMs: BitNet b1.58, 2024).

    weight: float32. Returns -1, 0 and 1, float32 of its shape, and s, float32 []. Gradient: 1 / s, clamped or not.
    """
    weight = weight.float()
    scale = weight.detach().abs().mean().clamp_min(eps)
    scaled = weight / scale
    return _exact(scaled, scaled.round().clamp(-1, 1)), scale


def fake_ternary(weight: Tensor, eps: float = 1e-5) -> Tensor:
    """s * clamp(round(W / s), -1, 1) as `w + (q - w)`. weight: float32. Returns float32 of its shape; gradient 1."""
    weight = weight.float()
    scale = weight.abs().mean().clamp_min(eps)
    return straight_through(weight, (weight / scale).round().clamp(-1, 1) * scale)
