# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The pQuant decoder that the generators write and that is trained: its shape, random weights, and value in NumPy.

A LLaMA-like decoder: embedding, blocks of {RMS norm, attention with rotary positions, residual, RMS norm, decoupled
feed-forward, residual}, final norm, head. Attention projections are 1-bit, the feed-forward layers have a 1-bit branch
of `ffn - high_precision` units and `experts` INT8 branches of `high_precision` units (pQuant, arXiv 2602.22592).
Embedding, norms, router and head stay in float32.

What pQuant is compared with has one plain feed-forward layer of `ffn` units, and every linear layer of one kind: 1-bit
(variant `bitnet`), ternary (`bitnet158`, arXiv 2402.17764) or float32 (`float`).
"""

import zlib
from dataclasses import asdict, dataclass, fields
from typing import List, Optional, Tuple

import numpy as np

from pquant import reference as ref
from pquant.reference import F32, Quantizer

# The kind of the linear layers of each variant; the INT8 branches of `pquant` are apart.
VARIANTS = {"pquant": "binary", "bitnet": "binary", "bitnet158": "ternary", "float": "float"}

Cache = List[Tuple[np.ndarray, np.ndarray]]  # keys (rotated) and values of each block, [B, groups, T, head_dim]


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

    rope_base = 10000.0  # of all variants

    def __post_init__(self):
        if self.variant not in VARIANTS:
            raise ValueError(f"expected variant {', '.join(VARIANTS)}, but got {self.variant}")
        if min(self.vocab, self.hidden, self.blocks, self.heads, self.experts, self.high_precision) < 1:
            raise ValueError("expected sizes of at least 1")
        if self.hidden % self.heads or self.head_dim % 2:
            raise ValueError(f"expected heads of even width, but got width {self.hidden} in {self.heads} heads")
        if self.heads % self.groups:
            raise ValueError(f"expected heads divisible by kv_heads, but got {self.heads} and {self.groups}")
        if self.ffn < 1:
            raise ValueError(f"expected ffn of at least 1, but got {self.ffn}")
        if self.variant == "pquant" and self.ffn <= self.high_precision:
            raise ValueError(f"expected ffn above high_precision, but got {self.ffn} and {self.high_precision}")

    def to_dict(self) -> dict:
        """Plain values, for JSON and checkpoints; `from_dict` takes them back."""
        return asdict(self)

    @staticmethod
    def from_dict(values: dict) -> "DecoderConfig":
        unknown = sorted(set(values) - {field.name for field in fields(DecoderConfig)})
        if unknown:
            raise ValueError(f"expected fields of DecoderConfig, but got {', '.join(unknown)}")
        return DecoderConfig(**{**values, "quantizer": Quantizer(**values.get("quantizer", {}))})

    @property
    def head_dim(self) -> int:
        return self.hidden // self.heads

    @property
    def groups(self) -> int:
        """Key and value heads."""
        return self.kv_heads or self.heads

    @property
    def kind(self) -> str:
        """The kind of the linear layers outside of the INT8 branches."""
        return VARIANTS[self.variant]

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

    def scalar(self, name: str, default: float) -> np.float32:
        return F32(default)


class NamedWeights:
    """Given weights by name, those of a training checkpoint for instance; has the methods of RandomWeights."""

    def __init__(self, arrays: dict):
        self.arrays = arrays

    def matrix(self, name: str, shape: tuple, deviation: float = 0.0) -> np.ndarray:
        if name not in self.arrays:
            raise KeyError(f"expected a weight {name}")
        array = np.ascontiguousarray(self.arrays[name], F32)
        if array.shape != tuple(shape):
            raise ValueError(f"expected {name} of shape {tuple(shape)}, but got {array.shape}")
        return array

    def norm(self, name: str, size: int) -> np.ndarray:
        return self.matrix(name, (size,))

    def scalar(self, name: str, default: float) -> np.float32:
        if name not in self.arrays:
            return F32(default)
        array = np.asarray(self.arrays[name], F32)
        if array.size != 1:
            raise ValueError(f"expected {name} of one element, but got shape {array.shape}")
        return array.reshape(-1)[0]


def _binary(weights: RandomWeights, name: str, shape: tuple) -> tuple:
    return ref.binarize_weight(weights.matrix(name, shape))


def _linear(config: DecoderConfig, weights: RandomWeights, name: str, shape: tuple, x: np.ndarray) -> np.ndarray:
    """A linear layer of the variant's kind on rows that are not quantised yet."""
    weight = weights.matrix(name, shape)
    if config.kind == "float":
        return x @ weight.T
    quantized = ref.quantize(x, config.quantizer)
    if config.kind == "ternary":
        return ref.ternary_linear(*quantized, *ref.ternarize_weight(weight))
    bits, scale = ref.binarize_weight(weight)
    return ref.binary_linear(*quantized, [bits], [np.reshape(scale, (1, 1))])


def _attention(config: DecoderConfig, weights: RandomWeights, name: str, x: np.ndarray, past: tuple) -> tuple:
    """The result, and the keys and values with those of `x` appended to `past`."""
    batch, length = x.shape[:2]
    shapes = config.attention_shapes

    def project(part, heads):
        y = _linear(config, weights, f"{name}.{part}.weight", shapes[part], x)
        return y.reshape(batch, length, heads, config.head_dim).transpose(0, 2, 1, 3)

    start = past[0].shape[2]
    tables = ref.rotary_tables(np.arange(start, start + length), config.head_dim)
    query = ref.rotary_embedding(project("query", config.heads), *tables)
    key = ref.rotary_embedding(project("key", config.groups), *tables)
    value = project("value", config.groups)
    key, value = np.concatenate([past[0], key], 2), np.concatenate([past[1], value], 2)
    mixed = ref.attention(query, key, value, config.head_dim**-0.5, causal=True)
    merged = mixed.transpose(0, 2, 1, 3).reshape(batch, length, config.hidden)
    return _linear(config, weights, f"{name}.output.weight", shapes["output"], merged), (key, value)


def _plain_feed_forward(config: DecoderConfig, weights: RandomWeights, name: str, x: np.ndarray) -> np.ndarray:
    gate, up, down = (
        lambda rows, part=part, shape=shape: _linear(config, weights, f"{name}.{part}.weight", shape, rows)
        for part, shape in config.ffn_shapes(config.ffn).items()
    )
    return down(ref.ACTIVATIONS["silu"](gate(x)) * up(x))


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
    scales = (weights.scalar(f"{name}.alpha", config.alpha), weights.scalar(f"{name}.beta", config.beta))
    return ref.decoupled_ffn(x, ref.Branch(**one), ref.Branch(**experts), routing, *scales, config.quantizer)


def empty_cache(config: DecoderConfig, batch: int) -> Cache:
    """The cache before the first token."""
    nothing = np.zeros((batch, config.groups, 0, config.head_dim), F32)
    return [(nothing, nothing)] * config.blocks


def evaluate(config: DecoderConfig, weights: RandomWeights, ids: np.ndarray) -> np.ndarray:
    """Logits float32 [B, S, vocab] of token ids int64 [B, S]."""
    return evaluate_step(config, weights, ids)[0]


def evaluate_step(
    config: DecoderConfig, weights: RandomWeights, ids: np.ndarray, past: Optional[Cache] = None
) -> Tuple[np.ndarray, Cache]:
    """Logits of token ids that follow those of `past`, and the cache with their keys and values appended."""
    past = empty_cache(config, ids.shape[0]) if past is None else past
    present = []
    x = weights.matrix("embedding.weight", (config.vocab, config.hidden), 1.0)[ids]
    for b in range(config.blocks):
        name = f"blocks.{b}"
        norm = ref.rms_norm(x, weights.norm(f"{name}.norm1.weight", config.hidden), config.norm_eps)
        mixed, cache = _attention(config, weights, f"{name}.attention", norm, past[b])
        present.append(cache)
        x = x + mixed
        norm = ref.rms_norm(x, weights.norm(f"{name}.norm2.weight", config.hidden), config.norm_eps)
        feed_forward = _feed_forward if config.variant == "pquant" else _plain_feed_forward
        x = x + feed_forward(config, weights, f"{name}.ffn", norm)
    x = ref.rms_norm(x, weights.norm("norm.weight", config.hidden), config.norm_eps)
    return x @ weights.matrix("head.weight", (config.vocab, config.hidden)).T, present
