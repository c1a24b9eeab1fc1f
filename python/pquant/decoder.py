# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The pQuant decoder that the generators write and that is trained: its shape, random weights, and value in NumPy.

A LLaMA-like decoder: embedding, blocks of {RMS norm, attention with rotary positions, residual, RMS norm, decoupled
feed-forward, residual}, final norm, head. Attention projections are 1-bit, the feed-forward layers have a 1-bit branch
of `ffn - high_precision` units and `experts` INT8 branches of `high_precision` units (pQuant, arXiv 2602.22592).
Embedding, norms, router and head stay in float32.

A configuration may also name a baseline, whose feed-forward layers are plain: BitNet (1-bit), BitNet b1.58 (ternary)
or float. Those are trained and compared only (`pquant.nn`).
"""

import zlib
from dataclasses import asdict, dataclass

import numpy as np

from pquant import reference as ref
from pquant.reference import F32, Quantizer


VARIANTS = ("pquant", "bitnet", "bitnet158", "float")


@dataclass(frozen=True)
class DecoderConfig:
    """Sizes of a decoder; `ffn` counts the units of both branches.

    variant: "pquant", or a baseline with one plain feed-forward branch of `ffn` units and every linear of one kind:
    "bitnet" (1-bit), "bitnet158" (ternary), "float". high_precision, experts, alpha and beta do not matter there.
    """

    vocab: int = 256
    hidden: int = 128
    blocks: int = 2
    heads: int = 4
    kv_heads: int = 0  # 0: as many as heads
    ffn: int = 384
    high_precision: int = 128
    experts: int = 1
    alpha: float = 2.0
    beta: float = 0.2
    norm_eps: float = 1e-6
    quantizer: Quantizer = Quantizer()
    variant: str = "pquant"

    def __post_init__(self):
        if self.variant not in VARIANTS:
            raise ValueError(f"expected variant {', '.join(VARIANTS)}, but got {self.variant}")
        if min(self.vocab, self.hidden, self.blocks, self.heads, self.experts, self.high_precision) < 1:
            raise ValueError("expected sizes of at least 1")
        if self.hidden % self.heads or self.head_dim % 2:
            raise ValueError(f"expected heads of even width, but got width {self.hidden} in {self.heads} heads")
        if self.heads % self.groups:
            raise ValueError(f"expected heads divisible by kv_heads, but got {self.heads} and {self.groups}")
        if self.variant == "pquant" and self.ffn <= self.high_precision:
            raise ValueError(f"expected ffn above high_precision, but got {self.ffn} and {self.high_precision}")

    def to_dict(self) -> dict:
        """Plain values, for JSON and checkpoints; `from_dict` takes them back."""
        return asdict(self)

    @staticmethod
    def from_dict(values: dict) -> "DecoderConfig":
        return DecoderConfig(**{**values, "quantizer": Quantizer(**values["quantizer"])})

    @property
    def head_dim(self) -> int:
        return self.hidden // self.heads

    @property
    def groups(self) -> int:
        """Key and value heads."""
        return self.kv_heads or self.heads

    @property
    def attention_shapes(self) -> dict:
        """Rows and columns of the four projections."""
        narrow = self.groups * self.head_dim
        return {
            "query": (self.hidden, self.hidden),
            "key": (narrow, self.hidden),
            "value": (narrow, self.hidden),
            "output": (self.hidden, self.hidden),
        }

    def ffn_shapes(self, width: int) -> dict:
        """Rows and columns of a branch of `width` units."""
        return {"gate": (width, self.hidden), "up": (width, self.hidden), "down": (self.hidden, width)}


class RandomWeights:
    """Weights by name, a function of the seed and the name only, made when asked for and not kept."""

    def __init__(self, seed: int):
        self.seed = seed

    def matrix(self, name: str, shape: tuple, deviation: float = 0.0) -> np.ndarray:
        """Normal float32; the default deviation is 1 / sqrt(columns). The mean is a tenth of the deviation."""
        generator = np.random.default_rng([self.seed, zlib.crc32(name.encode())])
        values = generator.standard_normal(shape, F32)
        values += F32(0.1)
        values *= F32(deviation or shape[-1] ** -0.5)
        return values

    def norm(self, name: str, size: int) -> np.ndarray:
        return F32(1) + self.matrix(name, (size,), 0.1)


def _binary(weights: RandomWeights, name: str, shape: tuple) -> tuple:
    return ref.binarize_weight(weights.matrix(name, shape))


def _binary_linear(quantized: tuple, weight: tuple) -> np.ndarray:
    return ref.binary_linear(*quantized, [weight[0]], [np.reshape(weight[1], (1, 1))])


def _attention(config: DecoderConfig, weights: RandomWeights, name: str, x: np.ndarray) -> np.ndarray:
    batch, length = x.shape[:2]
    shapes = config.attention_shapes
    quantized = ref.quantize(x, config.quantizer)

    def project(part, heads):
        y = _binary_linear(quantized, _binary(weights, f"{name}.{part}.weight", shapes[part]))
        return y.reshape(batch, length, heads, config.head_dim).transpose(0, 2, 1, 3)

    tables = ref.rotary_tables(np.arange(length), config.head_dim)
    query = ref.rotary_embedding(project("query", config.heads), *tables)
    key = ref.rotary_embedding(project("key", config.groups), *tables)
    value = project("value", config.groups)
    mixed = ref.attention(query, key, value, config.head_dim**-0.5, causal=True)
    merged = mixed.transpose(0, 2, 1, 3).reshape(batch, length, config.hidden)
    output = _binary(weights, f"{name}.output.weight", shapes["output"])
    return _binary_linear(ref.quantize(merged, config.quantizer), output)


def _feed_forward(config: DecoderConfig, weights: RandomWeights, name: str, x: np.ndarray) -> np.ndarray:
    binary, high = config.ffn_shapes(config.ffn - config.high_precision), config.ffn_shapes(config.high_precision)
    one = {part: _binary(weights, f"{name}.one.{part}.weight", shape) for part, shape in binary.items()}
    experts = {}
    for part, shape in high.items():
        stack = [
            ref.quantize_weight(weights.matrix(f"{name}.experts.{e}.{part}.weight", shape), config.quantizer)
            for e in range(config.experts)
        ]
        experts[part] = (np.stack([v for v, _ in stack]), np.array([s for _, s in stack]))
    routing = None
    if config.experts > 1:
        routing = ref.route(x, weights.matrix(f"{name}.router.weight", (config.experts, config.hidden)))
    scales = (config.alpha, config.beta)
    return ref.decoupled_ffn(x, ref.Branch(**one), ref.Branch(**experts), routing, *scales, config.quantizer)


def evaluate(config: DecoderConfig, weights: RandomWeights, ids: np.ndarray) -> np.ndarray:
    """Logits float32 [B, S, vocab] of token ids int64 [B, S]."""
    x = weights.matrix("embedding.weight", (config.vocab, config.hidden), 1.0)[ids]
    for b in range(config.blocks):
        name = f"blocks.{b}"
        norm = ref.rms_norm(x, weights.norm(f"{name}.norm1.weight", config.hidden), config.norm_eps)
        x = x + _attention(config, weights, f"{name}.attention", norm)
        norm = ref.rms_norm(x, weights.norm(f"{name}.norm2.weight", config.hidden), config.norm_eps)
        x = x + _feed_forward(config, weights, f"{name}.ffn", norm)
    x = ref.rms_norm(x, weights.norm("norm.weight", config.hidden), config.norm_eps)
    return x @ weights.matrix("head.weight", (config.vocab, config.hidden)).T
