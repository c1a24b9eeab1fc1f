# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Linear layers with float shadow weights and quantised products.

A layer's work has two steps, so that several layers can read one quantised activation:

    rows = layer.quantize(x)    # AbsMax INT8, one step a row
    y = layer.product(rows)     # `layer(x)` does both

Products are taken of integers and scaled afterwards. Where `fake` is set (`pquant.nn.fake_form`), fake-quantised values
are multiplied instead: the same result up to rounding, in the arithmetic that exports carry and compilers recognise.
"""

from typing import List, Tuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pquant.nn import quantizers
from pquant.nn.quantizers import Rows
from pquant.reference import Quantizer


class QuantizedLinear(nn.Module):
    """Y = (scale / gamma) * (Q(W) . Q(X)) with INT8 rows; subclasses define Q(W).

    columns: K, inputs. rows: N, outputs. weight: float32 [N, K], the shadow weight; no bias.
    """

    fake = False

    def __init__(self, columns: int, rows: int, quantizer: Quantizer = Quantizer()):
        super().__init__()
        self.quantizer = quantizer
        self.weight = nn.Parameter(torch.empty(rows, columns))
        nn.init.normal_(self.weight, std=columns**-0.5)

    def extra_repr(self) -> str:
        return f"{self.weight.shape[1]}, {self.weight.shape[0]}"

    def integers(self) -> Tuple[Tensor, Tensor]:
        """Q(W) as float32 [N, K] and its scale, float32 []."""
        raise NotImplementedError

    def fake_weight(self) -> Tensor:
        """scale * Q(W), float32 [N, K]."""
        raise NotImplementedError

    def quantize(self, x: Tensor) -> Rows:
        """AbsMax INT8 rows of x [.., K]."""
        if self.fake:
            return Rows(quantizers.fake_absmax(x, self.quantizer), None)
        return Rows(*quantizers.absmax_integers(x, self.quantizer))

    def product(self, rows: Rows) -> Tensor:
        """[.., K] to [.., N]; float32, or autocast's type."""
        if rows.step is None:
            return F.linear(rows.values, self.fake_weight())
        weight, scale = self.integers()
        y = F.linear(rows.values, weight)
        return (y * (rows.step * scale)).to(y.dtype)

    def forward(self, x: Tensor) -> Tensor:
        """x: [.., K]. Returns [.., N]."""
        return self.product(self.quantize(x))


class BinaryLinear(QuantizedLinear):
    """1-bit weights: Q(W) = sign(W - mean(W)), scale lambda = mean|W| (pQuant; the linear layer of BitNet)."""

    def integers(self) -> Tuple[Tensor, Tensor]:
        return quantizers.binary_integers(self.weight, self.quantizer.eps)

    def fake_weight(self) -> Tensor:
        return quantizers.fake_binary(self.weight)


class TernaryLinear(QuantizedLinear):
    """Ternary weights: Q(W) = clamp(round(W / s), -1, 1), scale s = mean|W| (BitNet b1.58)."""

    def integers(self) -> Tuple[Tensor, Tensor]:
        return quantizers.ternary_integers(self.weight, self.quantizer.eps)

    def fake_weight(self) -> Tensor:
        return quantizers.fake_ternary(self.weight, self.quantizer.eps)


class Int8Linear(QuantizedLinear):
    """INT8 weights: Q(W) = clamp(round(W * gamma_w), -128, 127), scale 1 / gamma_w, one a tensor (pQuant)."""

    def integers(self) -> Tuple[Tensor, Tensor]:
        return quantizers.absmax_integers(self.weight, self.quantizer, per_row=False)

    def fake_weight(self) -> Tensor:
        return quantizers.fake_absmax(self.weight, self.quantizer, per_row=False)


class FloatLinear(nn.Module):
    """Y = X W^T, nothing quantised: the baseline's linear. weight: float32 [N, K]; no bias."""

    def __init__(self, columns: int, rows: int, quantizer: Quantizer = Quantizer()):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(rows, columns))
        nn.init.normal_(self.weight, std=columns**-0.5)

    def extra_repr(self) -> str:
        return f"{self.weight.shape[1]}, {self.weight.shape[0]}"

    def quantize(self, x: Tensor) -> Rows:
        return Rows(x, None)

    def product(self, rows: Rows) -> Tensor:
        return F.linear(rows.values, self.weight)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight)


LINEARS = {"binary": BinaryLinear, "ternary": TernaryLinear, "int8": Int8Linear, "float": FloatLinear}


def expert_rows_product(rows: Rows, layers: List[QuantizedLinear], chosen: Tensor) -> Tensor:
    """The product of each row with the matrix of its own expert.

    rows: [.., K]; layers: E layers of N x K; chosen: float32 [.., E], 1 at the row's expert and 0 elsewhere. Returns
    [.., N]. All experts are multiplied in one product and the row's one is kept: shapes do not depend on the routing.
    """
    weights, scales = zip(*[layer.integers() for layer in layers])
    every = F.linear(rows.values, torch.cat(weights)).unflatten(-1, (len(layers), weights[0].shape[0]))
    y = (every * chosen.to(every.dtype).unsqueeze(-1)).sum(-2)
    scale = (chosen * torch.stack(scales)).sum(-1, keepdim=True)
    return (y * (rows.step * scale)).to(y.dtype)


def expert_columns_product(rows: Rows, layers: List[QuantizedLinear], chosen: Tensor) -> Tensor:
    """As `expert_rows_product`, for matrices with many rows and few columns: one product of [.., E * K] with the
    experts side by side, where a row is zero but for the columns of its own expert."""
    weights, scales = zip(*[layer.integers() for layer in layers])
    values = (chosen.unsqueeze(-1) * rows.values.unsqueeze(-2)).flatten(-2)
    y = F.linear(values, torch.cat(weights, 1))
    scale = (chosen * torch.stack(scales)).sum(-1, keepdim=True)
    return (y * (rows.step * scale)).to(y.dtype)
