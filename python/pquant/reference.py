# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What the operations of the `pquant` dialect compute, in NumPy.

Written from the dialect's descriptions (dialects/PQuant/PQuantOps.td), not from the compiler: the tests compare the two.
Integer parts are exact. Float parts are float32, every operation rounded once, in the order of the descriptions;
reductions (mean, softmax, float matrix products) have NumPy's own order, so they are compared within a tolerance.

Notation: M rows (all leading dimensions), K inputs, N outputs, E experts. A 1-bit matrix is an array of 0 and 1 (any
integer or bool type): bit 1 is +1, bit 0 is -1. "Step" is the float32 factor from integers back to values.

Source: pQuant, arXiv 2602.22592, where no other is named.
"""

import math
from dataclasses import dataclass
from typing import Callable, Optional, Sequence, Tuple

import numpy as np

F32 = np.float32


@dataclass(frozen=True)
class Quantizer:
    """AbsMax quantisation of rows to INT8 (`#pquant.quantizer`).

    formula: "mul_recip", "mul_div" or "div", the arithmetic that feeds the rounding.
    eps: float32 guard against a maximum of zero; guard: "max" or "add".
    qmin, qmax: the range of the integers.
    """

    formula: str = "mul_recip"
    eps: float = 1e-5
    guard: str = "max"
    qmin: int = -128
    qmax: int = 127

    def __post_init__(self):
        if self.formula not in ("mul_recip", "mul_div", "div"):
            raise ValueError(f"expected formula mul_recip, mul_div or div, but got {self.formula}")
        if self.guard not in ("max", "add"):
            raise ValueError(f"expected guard max or add, but got {self.guard}")
        if not -128 <= self.qmin < self.qmax <= 127:
            raise ValueError(f"expected -128 <= qmin < qmax <= 127, but got {self.qmin}, {self.qmax}")

    def factor(self, absmax: np.ndarray) -> Tuple[Optional[np.ndarray], np.ndarray]:
        """gamma and step of a float32 maximum; gamma is None where the formula divides by the step."""
        eps, qmax = F32(self.eps), F32(self.qmax)
        guarded = np.maximum(absmax, eps) if self.guard == "max" else absmax + eps
        if self.formula == "div":
            return None, guarded / qmax
        gamma = (F32(1) / guarded) * qmax if self.formula == "mul_recip" else qmax / guarded
        return gamma, F32(1) / gamma

    def apply(self, x: np.ndarray, absmax: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        """Integers and step of float32 `x` under the float32 maximum `absmax` (broadcast against x)."""
        gamma, step = self.factor(absmax)
        scaled = x / step if gamma is None else x * gamma
        return np.clip(np.rint(scaled), F32(self.qmin), F32(self.qmax)).astype(np.int8), step.astype(F32)


def quantize(x: np.ndarray, quantizer: Quantizer = Quantizer()) -> Tuple[np.ndarray, np.ndarray]:
    """AbsMax quantisation of the rows of `x` (`pquant.quantize`).

    x: float32 [.., K], K >= 1. Returns values int8 [.., K] and step float32 [..]; x is about values * step.
    """
    x = np.asarray(x, F32)
    values, step = quantizer.apply(x, np.max(np.abs(x), axis=-1, keepdims=True))
    return values, step[..., 0]


def quantize_padded(x: np.ndarray, quantizer: Quantizer = Quantizer()):
    """As `quantize`, in the form that kernels read (`pqk.quantize`).

    x: float32 [M, K]. Returns values int8 [M, Kp] with Kp = K rounded up to 64, padded with 0; step float32 [M];
    sum int32 [M], the sum of each row's values.
    """
    values, step = quantize(x, quantizer)
    padding = -values.shape[1] % 64
    return np.pad(values, ((0, 0), (0, padding))), step, values.sum(-1, dtype=np.int32)


def binarize_weight(weight: np.ndarray) -> Tuple[np.ndarray, np.float32]:
    """1-bit weights: sign(W - mean(W)), where sign(v) is +1 if v > 0, else -1.

    weight: float32 of any shape. Returns bits bool of that shape and the scale mean(|W|), float32.
    """
    weight = np.asarray(weight, F32)
    return weight - weight.mean(dtype=F32) > 0, F32(np.abs(weight).mean(dtype=F32))


def quantize_weight(weight: np.ndarray, quantizer: Quantizer = Quantizer()) -> Tuple[np.ndarray, np.float32]:
    """INT8 weights, one step a tensor. weight: float32. Returns values int8 of its shape and the step, float32."""
    weight = np.asarray(weight, F32)
    values, step = quantizer.apply(weight, np.max(np.abs(weight)))
    return values, F32(step)


def fake_quantize_weight(weight: np.ndarray, quantizer: Quantizer = Quantizer()) -> np.ndarray:
    """What training computes with instead of an INT8 weight: the integers over gamma (or times the step), float32."""
    weight = np.asarray(weight, F32)
    gamma, step = quantizer.factor(np.max(np.abs(weight)))
    values = quantizer.apply(weight, np.max(np.abs(weight)))[0].astype(F32)
    return values * step if gamma is None else values / gamma


def fake_binarize_weight(weight: np.ndarray) -> np.ndarray:
    """What training computes with instead of a 1-bit weight: +-mean(|W|), float32."""
    bits, scale = binarize_weight(weight)
    return np.where(bits, scale, -scale)


def ternarize_weight(weight: np.ndarray) -> Tuple[np.ndarray, np.float32]:
    """Ternary weights: clamp(round(W / s), -1, 1) with s = mean(|W|), at least 1e-5.

    weight: float32 of any shape. Returns values int8 of that shape and the scale s, float32.
    Source: BitNet b1.58, arXiv 2402.17764.
    """
    weight = np.asarray(weight, F32)
    scale = np.maximum(np.abs(weight).mean(dtype=F32), F32(1e-5))
    return np.clip(np.rint(weight / scale), -1, 1).astype(np.int8), F32(scale)


def fake_ternarize_weight(weight: np.ndarray) -> np.ndarray:
    """What training computes with instead of a ternary weight: -s, 0 or s, float32."""
    values, scale = ternarize_weight(weight)
    return values.astype(F32) * scale


def integer_matmul(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Exact x @ weight.T in int32. x: int8 [.., K]; weight: int8 [N, K]. Returns int32 [.., N].

    Computed in float64, where every partial sum is an integer below 2^53 and therefore exact in any order.
    """
    accumulated = np.asarray(x, np.float64) @ np.asarray(weight, np.float64).T
    if accumulated.size and np.abs(accumulated).max() >= 2**31:
        raise OverflowError("accumulator beyond int32")
    return accumulated.astype(np.int32)


def signs(bits: np.ndarray) -> np.ndarray:
    """+1 where bit 1, -1 where bit 0. Returns int8 of the shape of `bits`."""
    return np.where(np.asarray(bits).astype(bool), 1, -1).astype(np.int8)


def binary_linear(
    values: np.ndarray,
    step: np.ndarray,
    planes: Sequence[np.ndarray],
    scales: Sequence[np.ndarray],
    offset: Optional[np.ndarray] = None,
) -> np.ndarray:
    """Linear layer with P >= 1 planes of 1-bit weights (`pquant.binary_linear`).

    values: int8 [.., K]; step: float32 [..]; planes: P bit matrices [N, K]; scales: P float32 arrays [R, G], R is 1 or
    N and G divides K; offset: float32 [R] or None. Returns float32 [.., N].
    """
    rows, columns = np.shape(planes[0])
    total = np.zeros(values.shape[:-1] + (rows,), F32)
    for plane, scale in zip(planes, scales):
        scale = np.asarray(scale, F32)
        groups = scale.shape[1]
        width = columns // groups
        for g in range(groups):
            part = slice(g * width, (g + 1) * width)
            accumulated = integer_matmul(values[..., part], signs(plane)[:, part])
            total = total + scale[:, g] * accumulated.astype(F32)
    if offset is not None:
        row_sum = values.sum(-1, dtype=np.int32)[..., None].astype(F32)
        total = total + np.asarray(offset, F32) * row_sum
    return np.asarray(step, F32)[..., None] * total


def ternary_linear(values: np.ndarray, step: np.ndarray, weight: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Linear layer with weights in {-1, 0, 1}: two planes of half the scale each (`pquant.binary_linear`).

    values: int8 [.., K]; step: float32 [..]; weight: int8 [N, K]; scale: float32. Returns float32 [.., N].
    """
    half = np.reshape(F32(scale) / F32(2), (1, 1))
    return binary_linear(values, step, [weight >= 0, weight > 0], [half, half])


def int8_linear(values: np.ndarray, step: np.ndarray, weight: np.ndarray, weight_step: np.ndarray) -> np.ndarray:
    """Linear layer with INT8 weights (`pquant.int8_linear`).

    values: int8 [.., K]; step: float32 [..]; weight: int8 [N, K]; weight_step: float32 [1] or [N].
    Returns float32 [.., N].
    """
    accumulated = integer_matmul(values, weight).astype(F32)
    return accumulated * (np.asarray(step, F32)[..., None] * np.asarray(weight_step, F32))


def decoupled_linear(int8_branch: tuple, binary_branch: tuple, alpha: float = 1, beta: float = 1) -> np.ndarray:
    """alpha * int8_linear(*int8_branch) + beta * binary_linear(*binary_branch) (`pquant.decoupled_linear`)."""
    return F32(alpha) * int8_linear(*int8_branch) + F32(beta) * binary_linear(*binary_branch)


def softmax(x: np.ndarray) -> np.ndarray:
    """Softmax over the last dimension, float32; a row that is -inf everywhere gives 0."""
    x = np.asarray(x, F32)
    maximum = np.max(x, axis=-1, keepdims=True)
    shifted = np.exp(x - np.where(np.isfinite(maximum), maximum, F32(0)))
    total = shifted.sum(-1, keepdims=True, dtype=F32)
    return shifted / np.where(total == 0, F32(1), total)


def route(x: np.ndarray, weight: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Top-1 router (`pquant.route`). x: float32 [.., H]; weight: float32 [E, H].

    Returns the expert of each row, int64 [..] (the smallest at a tie), and its probability, float32 [..].
    """
    probabilities = softmax(np.asarray(x, F32) @ np.asarray(weight, F32).T)
    return probabilities.argmax(-1), probabilities.max(-1)


def expert_linear(
    values: np.ndarray, step: np.ndarray, index: np.ndarray, weight: np.ndarray, weight_step: np.ndarray
) -> np.ndarray:
    """INT8 linear whose matrix is chosen for each row (`pquant.expert_linear`).

    values: int8 [.., K]; step: float32 [..]; index: int64 [..] in [0, E); weight: int8 [E, N, K]; weight_step: float32
    [E, 1] or [E, N]. Returns float32 [.., N].
    """
    result = np.zeros(values.shape[:-1] + (weight.shape[1],), F32)
    for e in range(weight.shape[0]):
        chosen = index == e
        result[chosen] = int8_linear(values[chosen], step[chosen], weight[e], weight_step[e])
    return result


def erf(x: np.ndarray) -> np.ndarray:
    """The error function in float64; NumPy has none."""
    return np.vectorize(math.erf, otypes=[np.float64])(np.asarray(x, np.float64))


ACTIVATIONS: "dict[str, Callable[[np.ndarray], np.ndarray]]" = {
    "silu": lambda v: v * (F32(1) / (F32(1) + np.exp(-v))),
    "gelu": lambda v: (v * (1 + erf(v / np.sqrt(2))) / 2).astype(F32),
    "relu": lambda v: np.maximum(v, F32(0)),
    "relu2": lambda v: np.square(np.maximum(v, F32(0))),
}


@dataclass
class Branch:
    """One branch of a decoupled feed-forward layer; the gate may be None.

    Bits [h, H] and [H, h] with a scale (1-bit), or int8 [E, r, H] and [E, H, r] with E steps (INT8): each member is a
    pair (matrix, scale).
    """

    gate: Optional[tuple]
    up: tuple
    down: tuple


def _branch(x: np.ndarray, branch: Branch, quantizer: Quantizer, activation: str, linear: Callable) -> np.ndarray:
    quantized = quantize(x, quantizer)
    hidden = linear(quantized, branch.up)
    if branch.gate is None:
        hidden = ACTIVATIONS[activation](hidden)
    else:
        hidden = ACTIVATIONS[activation](linear(quantized, branch.gate)) * hidden
    return linear(quantize(hidden, quantizer), branch.down)


def decoupled_ffn(
    x: np.ndarray,
    binary: Branch,
    int8: Branch,
    routing: Optional[Tuple[np.ndarray, np.ndarray]] = None,
    alpha: float = 1,
    beta: float = 1,
    quantizer: Quantizer = Quantizer(),
    activation: str = "silu",
) -> np.ndarray:
    """alpha * p * FFN_int8[e](x) + beta * FFN_1bit(x) (`pquant.decoupled_ffn`).

    x: float32 [.., H]; routing: (e, p) as `route` gives them, or None for one expert with p = 1.
    Returns float32 [.., H].
    """
    x = np.asarray(x, F32)
    index = np.zeros(x.shape[:-1], np.int64) if routing is None else routing[0]

    def binary_part(quantized, weight):
        return binary_linear(*quantized, [weight[0]], [np.reshape(weight[1], (1, 1))])

    def int8_part(quantized, weight):
        return expert_linear(*quantized, index, weight[0], np.reshape(weight[1], (-1, 1)))

    high = _branch(x, int8, quantizer, activation, int8_part)
    if routing is not None:
        high = high * routing[1][..., None]
    return F32(alpha) * high + F32(beta) * _branch(x, binary, quantizer, activation, binary_part)


def rms_norm(x: np.ndarray, weight: np.ndarray, eps: float = 1e-6) -> np.ndarray:
    """Root-mean-square normalisation of rows (`pquant.rms_norm`). x: float32 [.., K]; weight: float32 [K].

    Source: Zhang and Sennrich, Root Mean Square Layer Normalization, 2019.
    """
    x = np.asarray(x, F32)
    mean = np.square(x).mean(-1, keepdims=True, dtype=F32)
    return x * (F32(1) / np.sqrt(mean + F32(eps))) * np.asarray(weight, F32)


def rotary_tables(positions: np.ndarray, dim: int, base: float = 10000.0) -> Tuple[np.ndarray, np.ndarray]:
    """Cosines and sines of the rotary angles, float32 [S, dim/2] each; positions: integers [S].

    The frequencies base^(-2i/dim) are rounded to float32 before they are multiplied by the position.
    Source: Su et al., RoFormer, 2021.
    """
    angles = np.asarray(positions, F32)[:, None] * rotary_frequencies(dim, base)
    return np.cos(angles), np.sin(angles)


def rotary_frequencies(dim: int, base: float = 10000.0) -> np.ndarray:
    """Radians a position, float32 [dim/2]."""
    return (1.0 / base ** (np.arange(0, dim, 2, dtype=np.float64) / dim)).astype(F32)


def rotary_embedding(x: np.ndarray, cos: np.ndarray, sin: np.ndarray, interleaved: bool = False) -> np.ndarray:
    """Rotary position embedding (`pquant.rotary_embedding`). x: float32 [B, H, S, D]; cos, sin: float32 [S, D/2].

    Pairs are (i, i + D/2), or (2i, 2i + 1) when interleaved. Source: Su et al., RoFormer, 2021.
    """
    x = np.asarray(x, F32)
    half = x.shape[-1] // 2
    first, second = (np.s_[..., 0::2], np.s_[..., 1::2]) if interleaved else (np.s_[..., :half], np.s_[..., half:])
    result = np.empty_like(x)
    result[first] = x[first] * cos - x[second] * sin
    result[second] = x[second] * cos + x[first] * sin
    return result


def attention(
    query: np.ndarray,
    key: np.ndarray,
    value: np.ndarray,
    scale: float,
    mask: Optional[np.ndarray] = None,
    causal: bool = False,
) -> np.ndarray:
    """Scaled dot-product attention with grouped keys and values (`pquant.attention`).

    query: float32 [B, H, S, D]; key: [B, G, T, D]; value: [B, G, T, E]; mask: float32 [S, T] or [B, 1, S, T], added.
    Causal aligns the last query with the last key. Returns float32 [B, H, S, E].
    Source: Vaswani et al., Attention Is All You Need, 2017; Ainslie et al., GQA, 2023.
    """
    group = query.shape[1] // key.shape[1]
    key, value = np.repeat(key, group, 1), np.repeat(value, group, 1)
    logits = F32(scale) * (np.asarray(query, F32) @ np.swapaxes(np.asarray(key, F32), -1, -2))
    if mask is not None:
        logits = logits + np.asarray(mask, F32)
    if causal:
        rows, columns = logits.shape[-2:]
        visible = np.arange(columns) <= np.arange(rows)[:, None] + (columns - rows)
        logits = np.where(visible, logits, F32(-np.inf))
    return softmax(logits) @ np.asarray(value, F32)


def cached_attention(query, key, value, key_cache, value_cache, position: int, scale: float):
    """Causal attention over a cache of fixed capacity (`pquant.cached_attention`).

    query: float32 [B, H, S, D]; key, value: [B, G, S, D or E]; caches: [B, G, C, D or E]; position: rows already valid,
    position + S <= C. Returns the result and the two new caches.
    """
    end = position + key.shape[2]
    if end > key_cache.shape[2]:
        raise ValueError(f"expected at most {key_cache.shape[2]} rows in the cache, but got {end}")
    key_cache, value_cache = key_cache.copy(), value_cache.copy()
    key_cache[:, :, position:end] = key
    value_cache[:, :, position:end] = value
    result = attention(query, key_cache[:, :, :end], value_cache[:, :, :end], scale, causal=True)
    return result, key_cache, value_cache


def pack_rows(bits: np.ndarray) -> np.ndarray:
    """1-bit rows of a model file: column 8i + j is bit j of byte i of its row; the last byte is padded with 0.

    bits: [N, K]. Returns uint8 [N, ceil(K / 8)].
    """
    return np.packbits(np.asarray(bits).astype(bool), axis=1, bitorder="little")


def unpack_rows(packed: np.ndarray, columns: int) -> np.ndarray:
    """The bits bool [N, columns] of `pack_rows`."""
    return np.unpackbits(np.asarray(packed, np.uint8), axis=1, bitorder="little")[:, :columns].astype(bool)


def _padded(matrix: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """`matrix` padded with zeros to multiples of `rows` and `columns`."""
    return np.pad(matrix, ((0, -matrix.shape[0] % rows), (0, -matrix.shape[1] % columns)))


def pack_d16(bits: np.ndarray) -> np.ndarray:
    """Layout d16: bit b of word r of block (i, j) is bits[16i + r, 32j + b]; rows padded to 16, columns to 64, by 0.

    bits: [N, K]. Returns uint8, the little-endian words of [N/16][K/32][16] in order (docs/Layout.md).
    """
    padded = _padded(np.asarray(bits).astype(bool), 16, 64)
    words = np.packbits(padded, axis=1, bitorder="little").reshape(padded.shape[0] // 16, 16, -1, 4)
    return np.ascontiguousarray(words.transpose(0, 2, 1, 3)).reshape(-1)


def unpack_d16(data: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """The bits bool [rows, columns] of bytes in layout d16."""
    blocks = -(-rows // 16)
    words = np.asarray(data, np.uint8).reshape(blocks, -1, 16, 4).transpose(0, 2, 1, 3)
    bits = np.unpackbits(np.ascontiguousarray(words).reshape(blocks * 16, -1), axis=1, bitorder="little")
    return bits[:rows, :columns].astype(bool)


def pack_i8x16x4(weight: np.ndarray) -> np.ndarray:
    """Layout i8x16x4: byte (r, c) of block (i, j) is weight[16i + r, 4j + c]; rows padded to 16, columns to 64, by 0.

    weight: int8 [N, K]. Returns int8, [N/16][K/4][16][4] in order.
    """
    padded = _padded(np.asarray(weight, np.int8), 16, 64)
    blocks = padded.reshape(padded.shape[0] // 16, 16, -1, 4).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(blocks).reshape(-1)


def unpack_i8x16x4(data: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """The matrix int8 [rows, columns] of bytes in layout i8x16x4."""
    blocks = -(-rows // 16)
    matrix = np.asarray(data, np.int8).reshape(blocks, -1, 16, 4).transpose(0, 2, 1, 3)
    return matrix.reshape(blocks * 16, -1)[:rows, :columns]


def pack_f32x16(weight: np.ndarray) -> np.ndarray:
    """Layout f32x16: lane r of (i, k) is weight[16i + r, k]; rows padded to 16 by 0.

    weight: float32 [N, K]. Returns float32, [N/16][K][16] in order.
    """
    padded = _padded(np.asarray(weight, F32), 16, 1)
    blocks = padded.reshape(padded.shape[0] // 16, 16, -1).transpose(0, 2, 1)
    return np.ascontiguousarray(blocks).reshape(-1)


def unpack_f32x16(data: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """The matrix float32 [rows, columns] of floats in layout f32x16."""
    blocks = -(-rows // 16)
    matrix = np.asarray(data, F32).reshape(blocks, columns, 16).transpose(0, 2, 1)
    return matrix.reshape(blocks * 16, columns)[:rows]


def pack_bf16x16(weight: np.ndarray) -> np.ndarray:
    """Layout bf16x16: the upper halves of the floats of f32x16.

    weight: float32 [N, K], all bfloat16 values, else ValueError. Returns uint16, [N/16][K][16] in order.
    """
    bits = pack_f32x16(weight).view(np.uint32)
    if (bits & 0xFFFF).any():
        raise ValueError("expected weights that are bfloat16 values")
    return (bits >> 16).astype(np.uint16)


def unpack_bf16x16(data: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """The matrix float32 [rows, columns] of halves in layout bf16x16."""
    return unpack_f32x16((np.asarray(data, np.uint32) << 16).view(F32), rows, columns)
