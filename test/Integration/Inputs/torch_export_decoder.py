"""Writes a small quantised decoder as torch.export would, with what PyTorch computes for it.

    torch_export_decoder.py STEM

One block: 1-bit attention and gated feed-forward layers over AbsMax-quantised rows, RMS norms, rotary positions, causal
attention; batch 1, symbolic sequence. A feed-forward layer in INT8 stands beside the 1-bit one.
"""

import sys

import torch
from aten_functions import attention, rms_norm
from torch_export import Recorder

HEADS, WIDTH, LENGTH, VOCABULARY, INNER = 2, 64, 7, 48, 96

torch.manual_seed(0)
R = Recorder({LENGTH: "s"})
call = R.call


def quantize_rows(x):
    largest = call("aten.amax.default", self=call("aten.abs.default", self=x), dim=[-1], keepdim=True)
    largest = call("aten.clamp.default", self=largest, min=1e-5)
    scale = call("aten.mul.Tensor", self=call("aten.reciprocal.default", self=largest), other=127.0)
    rounded = call("aten.round.default", self=call("aten.mul.Tensor", self=x, other=scale))
    clamped = call("aten.clamp.default", self=rounded, min=-128, max=127)
    return call("aten.div.Tensor", self=clamped, other=scale)


def one_bit(weight):
    centered = call("aten.sub.Tensor", self=weight, other=call("aten.mean.default", self=weight))
    signs = call("aten.where.Scalar", condition=call("aten.gt.Scalar", self=centered, other=0), self=1.0, other=-1.0)
    size = call("aten.mean.default", self=call("aten.abs.default", self=weight))
    return call("aten.mul.Tensor", self=signs, other=size)


def int8(weight):
    largest = call("aten.max.default", self=call("aten.abs.default", self=weight))
    largest = call("aten.clamp.default", self=largest, min=1e-5)
    scale = call("aten.mul.Tensor", self=call("aten.reciprocal.default", self=largest), other=127.0)
    rounded = call("aten.round.default", self=call("aten.mul.Tensor", self=weight, other=scale))
    return call("aten.div.Tensor", self=call("aten.clamp.default", self=rounded, min=-128, max=127), other=scale)


def linear(x, name, rows, columns, quantizer=one_bit):
    weight = R.parameter(name + ".weight", torch.randn(rows, columns) * columns**-0.5)
    return call("aten.linear.default", input=quantize_rows(x), weight=quantizer(weight))


def normalize(x, name):
    weight = R.parameter(name + ".weight", torch.rand(WIDTH) + 0.5)
    arguments = {"input": x, "normalized_shape": [WIDTH], "weight": weight, "eps": 1e-6}
    return call("aten.rms_norm.default", lambda **a: rms_norm(**a)[0], **arguments)


def rotate(x, cos, sin):
    low, high = call("aten.chunk.default", self=x, chunks=2, dim=-1)
    turned = call("aten.cat.default", tensors=[call("aten.neg.default", self=high), low], dim=-1)
    straight = call("aten.mul.Tensor", self=x, other=cos)
    return call("aten.add.Tensor", self=straight, other=call("aten.mul.Tensor", self=turned, other=sin))


def feed_forward(x, name, quantizer):
    gate = call("aten.silu.default", self=linear(x, name + ".gate", INNER, WIDTH, quantizer))
    inner = call("aten.mul.Tensor", self=gate, other=linear(x, name + ".up", INNER, WIDTH, quantizer))
    return linear(inner, name + ".down", WIDTH, INNER, quantizer)


ids = R.input("ids", torch.randint(0, VOCABULARY, (1, LENGTH)))
x = call("aten.embedding.default", weight=R.parameter("embedding.weight", torch.randn(VOCABULARY, WIDTH)), indices=ids)
positions = call("aten.arange.default", end=LENGTH, dtype=torch.float32)
frequencies = R.parameter("frequencies", 10000.0 ** -(torch.arange(0, WIDTH // HEADS, 2) / (WIDTH // HEADS)))
angles = call("aten.outer.default", self=positions, vec2=frequencies)
angles = call("aten.cat.default", tensors=[angles, angles], dim=-1)
cos, sin = call("aten.cos.default", self=angles), call("aten.sin.default", self=angles)

h = normalize(x, "norm1")
heads = []
for name in ("query", "key", "value"):
    rows = linear(h, "attention." + name, WIDTH, WIDTH)
    split = call("aten.view.default", self=rows, size=[1, LENGTH, HEADS, WIDTH // HEADS])
    heads.append(call("aten.transpose.int", self=split, dim0=1, dim1=2))
query, key = (rotate(part, cos, sin) for part in heads[:2])
SDPA = "aten.scaled_dot_product_attention.default"
mixed = call(SDPA, attention, query=query, key=key, value=heads[2], is_causal=True)
mixed = call("aten.transpose.int", self=mixed, dim0=1, dim1=2)
mixed = call("aten.reshape.default", self=mixed, shape=[1, LENGTH, WIDTH])
x = call("aten.add_.Tensor", self=x, other=linear(mixed, "attention.output", WIDTH, WIDTH))

h = normalize(x, "norm2")
low, high = feed_forward(h, "ffn.one", one_bit), feed_forward(h, "ffn.expert", int8)
x = call("aten.add.Tensor", self=x, other=call("aten.add.Tensor", self=low, other=high))
head = R.parameter("head.weight", torch.randn(VOCABULARY, WIDTH))
R.output(call("aten.linear.default", input=normalize(x, "norm3"), weight=head))
R.write(sys.argv[1])
