# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The units of the decoder: RMS norm, attention, feed-forward layers, block.

B is the batch, S the sequence, H the hidden width. Activations between units are float32 [B, S, H]; only matrix
products take autocast's type.
"""

from typing import Optional, Tuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pquant.decoder import DecoderConfig
from pquant.nn.linear import LINEARS, expert_columns_product, expert_rows_product
from pquant.nn.quantizers import Rows

# The linears outside of the INT8 branch, by variant.
KINDS = {"pquant": "binary", "bitnet": "binary", "bitnet158": "ternary", "float": "float"}
HAS_FUSED_ATTENTION = hasattr(F, "scaled_dot_product_attention")


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps) * w, float32 (Zhang and Sennrich, 2019). x: [.., K]; weight: float32 [K]."""

    def __init__(self, width: int, eps: float = 1e-6):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        x = x.float()
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding of pairs (i, i + D/2) (Su et al., RoFormer, 2021).

    x: [B, heads, S, D]; cos, sin: float32 [S, D], both halves alike. Returns the type of x.
    """
    half = x.shape[-1] // 2
    turned = torch.cat([-x[..., half:], x[..., :half]], -1)
    return (x * cos + turned * sin).to(x.dtype)


def repeat_heads(x: Tensor, repeat: int) -> Tensor:
    """[B, G, S, D] to [B, G * repeat, S, D], each head `repeat` times in a row (Ainslie et al., GQA, 2023)."""
    if repeat == 1:
        return x
    batch, groups, length, dim = x.shape
    wide = x.unsqueeze(2).expand(batch, groups, repeat, length, dim)
    return wide.reshape(batch, groups * repeat, length, dim)


def causal_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """softmax(Q K^T / sqrt(D) + causal mask) V; all [B, heads, S, D]. For exports and PyTorch before 2.0."""
    positions = torch.arange(query.shape[-2], device=query.device)
    visible = positions.unsqueeze(0) <= positions.unsqueeze(1)
    logits = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
    return torch.softmax(logits.masked_fill(~visible, float("-inf")), -1).to(value.dtype) @ value


class Attention(nn.Module):
    """Causal self-attention with rotary positions and grouped keys and values; projections of the variant's kind.

    query, output: H x H; key, value: (groups * D) x H, D the width of a head.
    """

    fake = False

    def __init__(self, config: DecoderConfig):
        super().__init__()
        self.heads, self.groups, self.dim = config.heads, config.groups, config.head_dim
        for name, (rows, columns) in config.attention_shapes.items():
            setattr(self, name, LINEARS[KINDS[config.variant]](columns, rows, config.quantizer))

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """x: [B, S, H]; cos, sin: float32 [S, D]. Returns [B, S, H]."""
        batch, length, width = x.shape
        rows = self.query.quantize(x)

        def heads(layer: nn.Module, count: int) -> Tensor:
            return layer.product(rows).reshape(batch, length, count, self.dim).transpose(1, 2)

        query = rotate(heads(self.query, self.heads), cos, sin)
        key = repeat_heads(rotate(heads(self.key, self.groups), cos, sin), self.heads // self.groups)
        value = repeat_heads(heads(self.value, self.groups), self.heads // self.groups)
        if self.fake or not HAS_FUSED_ATTENTION:
            mixed = causal_attention(query, key, value)
        else:
            mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.output(mixed.transpose(1, 2).reshape(batch, length, width))


class GatedFFN(nn.Module):
    """down(silu(gate(x)) * up(x)), SwiGLU (Shazeer, 2020), with linears of one kind.

    gate, up: units x H; down: H x units.
    """

    def __init__(self, config: DecoderConfig, units: int, kind: str):
        super().__init__()
        for name, (rows, columns) in config.ffn_shapes(units).items():
            setattr(self, name, LINEARS[kind](columns, rows, config.quantizer))

    def product(self, rows: Rows) -> Tensor:
        """From rows quantised already."""
        return self.down(F.silu(self.gate.product(rows)) * self.up.product(rows))

    def forward(self, x: Tensor) -> Tensor:
        """x: [.., H]. Returns [.., H]."""
        return self.product(self.gate.quantize(x))


def load_balance(probabilities: Tensor, chosen: Tensor) -> Tensor:
    """E * sum_e f_e * P_e: f_e the share of rows sent to expert e, P_e its mean probability (Fedus et al., Switch
    Transformers, 2021, equation 4). 1 when balanced, up to E.

    probabilities, chosen: float32 [.., E]. Returns float32 []; the gradient is that of P.
    """
    experts = probabilities.shape[-1]
    share = chosen.detach().reshape(-1, experts).mean(0)
    return experts * (share * probabilities.reshape(-1, experts).mean(0)).sum()


class DecoupledFFN(nn.Module):
    """Y = alpha * p_e * FFN_int8[e](X) + beta * FFN_int1(X), e = argmax of the router's softmax p (pQuant).

    one: the 1-bit branch of `ffn - high_precision` units; experts: N INT8 branches of `high_precision` units; router:
    float32 [N, H], absent for one expert, where p = 1; alpha, beta: float32 [], learned ("feature scaling").
    """

    fake = False

    def __init__(self, config: DecoderConfig):
        super().__init__()
        self.one = GatedFFN(config, config.ffn - config.high_precision, "binary")
        self.experts = nn.ModuleList(GatedFFN(config, config.high_precision, "int8") for _ in range(config.experts))
        if config.experts > 1:
            self.router = nn.Linear(config.hidden, config.experts, bias=False)
        self.alpha = nn.Parameter(torch.tensor(config.alpha))
        self.beta = nn.Parameter(torch.tensor(config.beta))

    def probabilities(self, x: Tensor) -> Tensor:
        """Of each expert, float32 [.., N], under autocast too."""
        with torch.autocast(x.device.type, enabled=False):
            return torch.softmax(self.router(x.float()), -1)

    def _routed(self, rows: Rows, chosen: Tensor) -> Tensor:
        """The output of each row's expert, where chosen [.., N] is 1; see `expert_rows_product`."""
        gate = expert_rows_product(rows, [e.gate for e in self.experts], chosen)
        up = expert_rows_product(rows, [e.up for e in self.experts], chosen)
        down = [e.down for e in self.experts]
        return expert_columns_product(down[0].quantize(F.silu(gate) * up), down, chosen)

    def _gathered(self, rows: Rows, index: Tensor) -> Tensor:
        """All experts evaluated and one gathered, as exports carry it."""
        every = torch.stack([e.product(rows) for e in self.experts], -2)
        index = index.unsqueeze(-1).unsqueeze(-1).expand(*every.shape[:-2], 1, every.shape[-1])
        return every.gather(-2, index)[..., 0, :]

    def forward(self, x: Tensor) -> Tuple[Tensor, Optional[Tensor]]:
        """x: float32 [B, S, H]. Returns [B, S, H] and the load-balance loss, None for one expert."""
        rows, balance = self.one.gate.quantize(x), None
        if len(self.experts) == 1:
            high = self.experts[0].product(rows)
        else:
            probabilities = self.probabilities(x)
            probability, index = probabilities.max(-1, keepdim=True)
            if self.fake:
                high = self._gathered(rows, index[..., 0]) * probability
            else:
                chosen = torch.zeros_like(probabilities).scatter(-1, index, 1.0)
                balance = load_balance(probabilities, chosen)
                high = self._routed(rows, chosen) * probability
        return self.alpha * high + self.beta * self.one.product(rows), balance


class Block(nn.Module):
    """x + attention(norm1(x)), then x + ffn(norm2(x)); the feed-forward layer is that of the variant."""

    def __init__(self, config: DecoderConfig):
        super().__init__()
        self.norm1 = RMSNorm(config.hidden, config.norm_eps)
        self.attention = Attention(config)
        self.norm2 = RMSNorm(config.hidden, config.norm_eps)
        if config.variant == "pquant":
            self.ffn = DecoupledFFN(config)
        else:
            self.ffn = GatedFFN(config, config.ffn, KINDS[config.variant])

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tuple[Tensor, Optional[Tensor]]:
        """x: float32 [B, S, H]. Returns float32 [B, S, H] and the load-balance loss or None."""
        x = x + self.attention(self.norm1(x), cos, sin)
        y, balance = self.ffn(self.norm2(x)), None
        if isinstance(y, tuple):
            y, balance = y
        return x + y, balance
