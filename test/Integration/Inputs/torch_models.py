# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Small models in PyTorch, as users write them, for the end-to-end tests.

`CASES` maps a name to a function that makes a `Case`. Weights are random and fixed by the seed.
"""

import functools
import math
from dataclasses import dataclass
from typing import Callable, Dict, List, Tuple

import torch
from torch import nn
from torch.nn import functional as F

VOCAB, WIDTH, HEADS, BLOCKS, FFN, HIGH = 256, 128, 4, 2, 384, 128
LENGTHS = (1, 2, 24, 100)


@dataclass
class Case:
    """A model, its input names, the dynamic axes by input or output name, and inputs to run it on."""

    model: nn.Module
    inputs: List[str]
    outputs: List[str]
    dynamic: Dict[str, Dict[int, str]]
    runs: List[Tuple[torch.Tensor, ...]]


# Quantisers, as training writes them.


@dataclass(frozen=True)
class Recipe:
    """How a model fakes quantisation: the formula, the straight-through residue, the weights of its 1-bit linears."""

    formula: str = "mul_recip"  # or div
    residue: bool = True
    weights: str = "binary"  # or binary_rows, ternary, sign
    folded: bool = False  # weights are quantised when the model is made


def ste(x, quantized, recipe):
    return x + (quantized - x).detach() if recipe.residue else quantized


def fake_int8(x, recipe, per_row=True):
    absmax = x.abs().amax(-1, keepdim=True) if per_row else x.abs().max()
    if recipe.formula == "div":
        step = absmax.clamp_min(1e-5) / 127
        return ste(x, (x / step).round().clamp(-128, 127) * step, recipe)
    gamma = 127 / absmax.clamp_min(1e-5)
    return ste(x, (x * gamma).round().clamp(-128, 127) / gamma, recipe)


def fake_bits(w, recipe):
    if recipe.weights == "ternary":
        scale = w.abs().mean().clamp_min(1e-5)
        return ste(w, (w / scale).round().clamp(-1, 1) * scale, recipe)
    rows = {"dim": 1, "keepdim": True} if recipe.weights == "binary_rows" else {}
    centred = w - w.mean(**rows)
    if recipe.weights == "sign":
        return ste(w, torch.sign(centred) * w.abs().mean(), recipe)
    one = torch.ones((), dtype=w.dtype)
    return ste(w, torch.where(centred > 0, one, -one) * w.abs().mean(**rows), recipe)


class QuantLinear(nn.Module):
    """A linear layer on fake-quantised rows, with 1-bit (or ternary) or INT8 weights."""

    def __init__(self, columns, rows, recipe, bits=True):
        super().__init__()
        self.recipe, self.bits = recipe, bits
        self.weight = nn.Parameter(torch.randn(rows, columns) / math.sqrt(columns))
        if recipe.folded:
            self.weight.data = self.quantized_weight().detach()

    def quantized_weight(self):
        if self.bits:
            return fake_bits(self.weight, self.recipe)
        return fake_int8(self.weight, self.recipe, per_row=False)

    def forward(self, x):
        weight = self.weight if self.recipe.folded else self.quantized_weight()
        return F.linear(fake_int8(x, self.recipe), weight)


# Units of a decoder.


class RMSNorm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(1 + 0.1 * torch.randn(width))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.weight


def rotate(x, start):
    """Rotary embedding of x [B, H, S, D] at positions start, start + 1, ..."""
    half = x.shape[-1] // 2
    frequencies = 10000 ** (-torch.arange(0, half, dtype=torch.float32) / half)
    angles = (torch.arange(x.shape[-2], dtype=torch.float32) + start)[:, None] * frequencies
    cos, sin = torch.cat([angles, angles], -1).cos(), torch.cat([angles, angles], -1).sin()
    return x * cos + torch.cat([-x[..., half:], x[..., :half]], -1) * sin


def attend(query, key, value):
    """Causal attention whose last query is aligned with the last key."""
    past = key.shape[-2] - query.shape[-2]
    positions = torch.arange(key.shape[-2])
    visible = positions[None, :] <= positions[: query.shape[-2]][:, None] + past
    logits = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
    return torch.softmax(logits.masked_fill(~visible, float("-inf")), -1) @ value


class Attention(nn.Module):
    """`groups` key and value heads; returns the new keys and values as well."""

    def __init__(self, linear, groups=HEADS):
        super().__init__()
        self.groups, self.dim = groups, WIDTH // HEADS
        narrow = groups * self.dim
        self.q, self.k, self.v = linear(WIDTH, WIDTH), linear(WIDTH, narrow), linear(WIDTH, narrow)
        self.o = linear(WIDTH, WIDTH)

    def repeat(self, x):
        """Each key or value head as often as query heads read it."""
        if self.groups == HEADS:
            return x
        batch, _, length, dim = x.shape
        wide = x[:, :, None].expand(batch, self.groups, HEADS // self.groups, length, dim)
        return wide.reshape(batch, HEADS, length, dim)

    def forward(self, x, past=None):
        batch, length = x.shape[:2]

        def split(y, heads):
            return y.view(batch, length, heads, self.dim).transpose(1, 2)

        start = 0 if past is None else past[0].shape[2]
        query = rotate(split(self.q(x), HEADS), start)
        key, value = rotate(split(self.k(x), self.groups), start), split(self.v(x), self.groups)
        if past is not None:
            key, value = torch.cat([past[0], key], 2), torch.cat([past[1], value], 2)
        mixed = attend(query, self.repeat(key), self.repeat(value))
        return self.o(mixed.transpose(1, 2).reshape(batch, length, WIDTH)), key, value


class GatedFFN(nn.Module):
    def __init__(self, units, linear):
        super().__init__()
        self.gate, self.up, self.down = linear(WIDTH, units), linear(WIDTH, units), linear(units, WIDTH)

    def forward(self, x):
        return self.down(F.silu(self.gate(x)) * self.up(x))


class Experts(nn.Module):
    """INT8 experts, each a module; `choose` is the way that a model writes the choice of one."""

    def __init__(self, recipe, experts, choose):
        super().__init__()
        int8 = lambda i, o: QuantLinear(i, o, recipe, bits=False)  # noqa: E731
        self.all = nn.ModuleList([GatedFFN(HIGH, int8) for _ in range(experts)])
        self.choose = getattr(self, choose)

    def every(self, x):
        return torch.stack([expert(x) for expert in self.all], -2)

    def gather(self, x, p, index):
        index = index[..., None, None].expand(*x.shape[:-1], 1, x.shape[-1])
        return self.every(x).gather(-2, index)[..., 0, :] * p.amax(-1, keepdim=True)

    def one_hot(self, x, p, index):
        mask = F.one_hot(index, len(self.all)).to(x.dtype)
        return (self.every(x) * (mask * p.amax(-1, keepdim=True))[..., None]).sum(-2)

    def scatter(self, x, p, index):
        mask = torch.zeros_like(p).scatter(-1, index[..., None], 1.0)
        return (self.every(x) * (mask * p)[..., None]).sum(-2)

    def equal(self, x, p, index):
        mask = (index[..., None] == torch.arange(len(self.all))).to(x.dtype)
        return torch.einsum("bse,bsed->bsd", mask, self.every(x)) * p.gather(-1, index[..., None])

    def mask_sum(self, x, p, index):
        y = torch.zeros_like(x)
        for e, expert in enumerate(self.all):
            y = y + (index == e).to(x.dtype)[..., None] * p[..., e : e + 1] * expert(x)
        return y

    def where_sum(self, x, p, index):
        mask = [(index == e)[..., None] for e in range(len(self.all))]
        y = sum(torch.where(mask[e], expert(x), torch.zeros_like(x)) for e, expert in enumerate(self.all))
        return p.amax(-1, keepdim=True) * y

    def where_loop(self, x, p, index):
        y = torch.zeros_like(x)
        for e, expert in enumerate(self.all):
            y = torch.where((index == e)[..., None], expert(x) * p.amax(-1, keepdim=True), y)
        return y

    def top1(self, x, p, index):
        p, index = p.topk(1, -1)
        y = torch.zeros_like(x)
        for e, expert in enumerate(self.all):
            y = torch.where(index == e, expert(x), y)
        return y * p

    def forward(self, x, p):
        return self.choose(x, p, p.argmax(-1))


class StackedExperts(nn.Module):
    """INT8 experts with their weights stacked; `gather_weights` takes the chosen one's, the others take its result."""

    def __init__(self, recipe, experts, choose):
        super().__init__()
        self.recipe, self.choose = recipe, getattr(self, choose)
        for name, shape in dict(gate=(HIGH, WIDTH), up=(HIGH, WIDTH), down=(WIDTH, HIGH)).items():
            self.register_parameter(name, nn.Parameter(torch.randn(experts, *shape) / math.sqrt(shape[1])))

    def quantized(self, w):
        """Each matrix with one step of its own."""
        gamma = 127 / w.abs().amax((-2, -1), keepdim=True).clamp_min(1e-5)
        return ste(w, (w * gamma).round().clamp(-128, 127) / gamma, self.recipe)

    def layer(self, x, weights, product):
        quantized = fake_int8(x, self.recipe)
        hidden = F.silu(product(quantized, weights[0])) * product(quantized, weights[1])
        return product(fake_int8(hidden, self.recipe), weights[2])

    def gather_weights(self, x, p, index):
        weights = [self.quantized(w)[index] for w in (self.gate, self.up, self.down)]
        return self.layer(x, weights, lambda x, w: (w @ x[..., None])[..., 0]) * p.amax(-1, keepdim=True)

    def gather_first(self, x, p, index):
        weights = [self.quantized(w[index]) for w in (self.gate, self.up, self.down)]
        return self.layer(x, weights, lambda x, w: torch.einsum("bsk,bsnk->bsn", x, w)) * p.amax(-1, keepdim=True)

    def matmul_transposed(self, x, p, index):
        weights = [self.quantized(w)[index].transpose(-1, -2) for w in (self.gate, self.up, self.down)]
        y = self.layer(x, weights, lambda x, w: torch.matmul(x.unsqueeze(-2), w).squeeze(-2))
        return y * p.gather(-1, index[..., None])

    def integers(self, x, p, index):
        """Weights that are stored as integers, and dequantised after the chosen ones are gathered."""
        weights = []
        for w in (self.gate, self.up, self.down):
            step = w.detach().abs().amax((-2, -1)) / 127
            stored = (w.detach() / step[:, None, None]).round().to(torch.int8)
            weights.append(stored[index].to(x.dtype) * step[index][..., None, None])
        return self.layer(x, weights, lambda x, w: (w @ x[..., None])[..., 0]) * p.amax(-1, keepdim=True)

    def bmm(self, x, p, index):
        rows, index = x.reshape(-1, 1, x.shape[-1]), index.reshape(-1)
        weights = [self.quantized(w)[index] for w in (self.gate, self.up, self.down)]
        y = self.layer(rows, weights, lambda x, w: torch.bmm(x, w.transpose(1, 2)))
        return y.reshape(x.shape) * p.amax(-1, keepdim=True)

    def batched(self, x, p, index):
        weights = [self.quantized(w) for w in (self.gate, self.up, self.down)]
        y = self.layer(x[..., None, :], weights, lambda x, w: (w @ x[..., None])[..., 0])
        mask = F.one_hot(index, p.shape[-1]).to(x.dtype)
        return (y * (mask * p)[..., None]).sum(-2)

    def einsum(self, x, p, index):
        weights = [self.quantized(w) for w in (self.gate, self.up, self.down)]
        rows = x[:, :, None].expand(*x.shape[:2], p.shape[-1], x.shape[-1])
        y = self.layer(rows, weights, lambda x, w: torch.einsum("bsek,enk->bsen", x, w))
        index = index[..., None, None].expand(*x.shape[:-1], 1, x.shape[-1])
        return y.gather(-2, index)[..., 0, :] * p.amax(-1, keepdim=True)

    def forward(self, x, p):
        return self.choose(x, p, p.argmax(-1))


class DecoupledFFN(nn.Module):
    """alpha * p * INT8 expert + beta * 1-bit branch; `routing` is a way to choose of one of the classes above."""

    def __init__(self, recipe, experts=1, routing="gather"):
        super().__init__()
        self.one = GatedFFN(FFN - HIGH, lambda i, o: QuantLinear(i, o, recipe))
        if experts == 1:
            self.int8 = GatedFFN(HIGH, lambda i, o: QuantLinear(i, o, recipe, bits=False))
        else:
            self.int8 = (Experts if hasattr(Experts, routing) else StackedExperts)(recipe, experts, routing)
        self.router = nn.Linear(WIDTH, experts, bias=False) if experts > 1 else None
        self.alpha, self.beta = nn.Parameter(torch.tensor(2.0)), nn.Parameter(torch.tensor(0.2))

    def forward(self, x):
        chosen = self.int8(x, torch.softmax(self.router(x), -1)) if self.router else self.int8(x)
        return self.alpha * chosen + self.beta * self.one(x)


class Block(nn.Module):
    def __init__(self, attention, ffn):
        super().__init__()
        self.n1, self.n2, self.attention, self.ffn = RMSNorm(WIDTH), RMSNorm(WIDTH), attention, ffn

    def forward(self, x, past=None):
        y, key, value = self.attention(self.n1(x), past)
        x = x + y
        return x + self.ffn(self.n2(x)), key, value


class Decoder(nn.Module):
    """Token ids (and each block's past keys and values) to logits (and the grown keys and values)."""

    def __init__(self, make_block):
        super().__init__()
        self.emb, self.norm = nn.Embedding(VOCAB, WIDTH), RMSNorm(WIDTH)
        self.blocks = nn.ModuleList([make_block() for _ in range(BLOCKS)])
        self.head = nn.Linear(WIDTH, VOCAB, bias=False)

    def forward(self, ids, *past):
        x, present = self.emb(ids), []
        for i, block in enumerate(self.blocks):
            x, key, value = block(x, past[2 * i : 2 * i + 2] if past else None)
            present += [key, value]
        logits = self.head(self.norm(x))
        return (logits, *present) if past else logits


class GPT2Block(nn.Module):
    """Joint projection by addmm (Conv1D), causal mask from a tril buffer, GELU by tanh or erf."""

    def __init__(self, approximate, capacity=128):
        super().__init__()
        self.n1, self.n2, self.approximate = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH), approximate
        for name, (i, o) in dict(qkv=(WIDTH, 3 * WIDTH), o=(WIDTH, WIDTH), up=(WIDTH, FFN), down=(FFN, WIDTH)).items():
            self.register_parameter(name, nn.Parameter(torch.randn(i, o) / math.sqrt(i)))
            self.register_parameter(f"{name}_bias", nn.Parameter(0.1 * torch.randn(o)))
        self.register_buffer("mask", torch.tril(torch.ones(capacity, capacity, dtype=torch.bool)))

    def conv1d(self, name, x):
        weight, bias = getattr(self, name), getattr(self, f"{name}_bias")
        return torch.addmm(bias, x.view(-1, x.size(-1)), weight).view(*x.shape[:-1], weight.shape[1])

    def gelu(self, x):
        if self.approximate:
            return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * torch.pow(x, 3.0))))
        return F.gelu(x)

    def forward(self, x):
        batch, length = x.shape[:2]
        parts = self.conv1d("qkv", self.n1(x)).split(WIDTH, 2)
        query, key, value = (p.view(batch, length, HEADS, WIDTH // HEADS).permute(0, 2, 1, 3) for p in parts)
        logits = query @ key.transpose(-1, -2) / math.sqrt(WIDTH // HEADS)
        lowest = torch.full([], torch.finfo(logits.dtype).min)
        logits = torch.where(self.mask[:length, :length], logits, lowest)
        mixed = torch.softmax(logits, -1) @ value
        x = x + self.conv1d("o", mixed.permute(0, 2, 1, 3).contiguous().view(batch, length, WIDTH))
        return x + self.conv1d("down", self.gelu(self.conv1d("up", self.n2(x))))


class GPT2(nn.Module):
    """Learned positions, tied head."""

    def __init__(self, approximate):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(VOCAB, WIDTH), nn.Embedding(128, WIDTH)
        self.blocks = nn.ModuleList([GPT2Block(approximate) for _ in range(BLOCKS)])
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, ids):
        x = self.tokens(ids) + self.positions(torch.arange(ids.shape[1])[None])
        for block in self.blocks:
            x = block(x)
        return F.linear(self.norm(x), self.tokens.weight)


# Cases.


def token_case(model) -> Case:
    """Token ids to logits, batch and sequence dynamic."""
    runs = [(torch.randint(VOCAB, (1, n)),) for n in LENGTHS] + [(torch.randint(VOCAB, (3, 7)),)]
    axes = {0: "batch", 1: "sequence"}
    return Case(model, ["ids"], ["logits"], {"ids": axes, "logits": axes}, runs)


def row_case(model) -> Case:
    """Rows to rows, their number dynamic."""
    columns = model.weight.shape[1]
    runs = [(torch.randn(n, columns),) for n in (1, 2, 17)]
    runs.append((torch.zeros(2, columns),))
    return Case(model, ["x"], ["y"], {"x": {0: "rows"}, "y": {0: "rows"}}, runs)


def ffn_case(routing) -> Case:
    """Rows of a batch of sequences through one feed-forward layer of four experts."""
    runs = [(torch.randn(batch, n, WIDTH),) for batch, n in ((1, 1), (1, 24), (3, 7))]
    axes = {0: "batch", 1: "sequence"}
    model = DecoupledFFN(Recipe(), experts=4, routing=routing)
    return Case(model, ["x"], ["y"], {"x": axes, "y": axes}, runs)


def step_case(model) -> Case:
    """One token and past keys and values, batch 1, past dynamic."""
    past = [f"{kind}{i}" for i in range(BLOCKS) for kind in "kv"]
    present = [f"new_{name}" for name in past]
    dynamic = {name: {2: "past"} for name in past}
    dynamic.update({name: {2: "present"} for name in present})
    runs = [
        (torch.randint(VOCAB, (1, 1)), *(torch.randn(1, HEADS, n, WIDTH // HEADS) for _ in past)) for n in (1, 5, 40)
    ]
    return Case(model, ["ids", *past], ["logits", *present], dynamic, runs)


def quantized_block(recipe, experts=1, routing="gather", groups=HEADS):
    attention = Attention(lambda i, o: QuantLinear(i, o, recipe), groups)
    return Block(attention, DecoupledFFN(recipe, experts, routing))


def quantized(case: Callable, recipe: Recipe = Recipe(), **options) -> Callable:
    """A decoder of quantised blocks."""
    return lambda: case(Decoder(lambda: quantized_block(recipe, **options)))


def llama() -> Case:
    linear = lambda i, o: nn.Linear(i, o, bias=False)  # noqa: E731
    return token_case(Decoder(lambda: Block(Attention(linear, groups=2), GatedFFN(FFN, linear))))


ROUTINGS = ("one_hot", "scatter", "equal", "mask_sum", "where_sum", "where_loop", "top1")
ROUTINGS += ("gather_weights", "gather_first", "matmul_transposed", "integers", "bmm", "batched", "einsum")
TERNARY = Recipe(weights="ternary")
TERNARY_FOLDED = Recipe(weights="ternary", residue=False, folded=True)

CASES: Dict[str, Callable[[], Case]] = {
    "lm": quantized(token_case),
    "lm-no-residue": quantized(token_case, Recipe(residue=False)),
    "lm-div": quantized(token_case, Recipe("div", residue=False)),
    "lm-folded": quantized(token_case, Recipe(residue=False, folded=True)),
    "lm-grouped": quantized(token_case, groups=2),
    "lm-experts-gather": quantized(token_case, experts=4),
    "lm-experts-one-hot": quantized(token_case, experts=4, routing="one_hot"),
    **{f"experts-{way.replace('_', '-')}": functools.partial(ffn_case, way) for way in ROUTINGS},
    "lm-sign": quantized(token_case, Recipe(weights="sign")),
    "lm-step": quantized(step_case),
    "lm-step-experts": quantized(step_case, Recipe(residue=False), experts=4),
    "llama": llama,
    "gpt2-tanh": lambda: token_case(GPT2(True)),
    "gpt2-erf": lambda: token_case(GPT2(False)),
    "linear-binary": lambda: row_case(QuantLinear(200, 72, Recipe())),
    "linear-binary-rows": lambda: row_case(QuantLinear(200, 72, Recipe(weights="binary_rows"))),
    "linear-ternary": lambda: row_case(QuantLinear(200, 72, TERNARY)),
    "linear-ternary-folded": lambda: row_case(QuantLinear(200, 72, TERNARY_FOLDED)),
    "linear-int8": lambda: row_case(QuantLinear(200, 72, Recipe(), bits=False)),
    "linear-int8-div": lambda: row_case(QuantLinear(200, 72, Recipe("div"), bits=False)),
}
