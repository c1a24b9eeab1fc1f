"""Writes linears with packed ternary weights as torch.export would, with what PyTorch computes for them.

    torch_export_planes.py STEM

Two layers, one behind the other. The weight is uint8 [N / 4, K], four values a byte: row r has rows r, r + N/4, r + N/2
and r + 3N/4 of the matrix, each plus one. The product of the integers is divided by both scales. The first layer unpacks
into slices of zeros, written in place, as programs are exported; the second one as they are after decomposition.
"""

import sys

import torch
from torch_export import Recorder

WIDTH, INNER, LENGTH = 72, 40, 7

torch.manual_seed(0)
R = Recorder({LENGTH: "s"})
call = R.call


def pack(weight):
    quarters = (weight + 1).to(torch.uint8).chunk(4)
    return sum(part << (2 * i) for i, part in enumerate(quarters))


def unpack_in_place(packed, rows, columns):
    whole = call("aten.zeros.default", size=[rows, columns], dtype=torch.uint8)
    for i in range(4):
        part = call("aten.__and__.Scalar", self=packed, other=3 << (2 * i))
        part = call("aten.__rshift__.Scalar", self=part, other=2 * i)
        place = call("aten.slice.Tensor", self=whole, dim=0, start=i * rows // 4, end=(i + 1) * rows // 4)
        call("aten.copy_.default", self=place, src=part)
    return whole


def unpack(packed, rows, columns):
    whole = call("aten.full.default", size=[rows, columns], fill_value=0, dtype=torch.uint8)
    for i in range(4):
        part = call("aten.bitwise_and.Scalar", self=packed, other=3 << (2 * i))
        part = call("aten.bitwise_right_shift.Tensor_Scalar", self=part, other=2 * i)
        ends = {"start": i * rows // 4, "end": (i + 1) * rows // 4}
        write = lambda self, src, dim, start, end: torch.cat([self[:start], src, self[end:]])
        whole = call("aten.slice_scatter.default", write, self=whole, src=part, dim=0, **ends)
    return whole


def quantize(x):
    largest = call("aten.amax.default", self=call("aten.abs.default", self=x), dim=[-1], keepdim=True)
    largest = call("aten.clamp.default", self=largest, min=1e-5)
    gain = call("aten.mul.Tensor", self=call("aten.reciprocal.default", self=largest), other=127.0)
    rounded = call("aten.round.default", self=call("aten.mul.Tensor", self=x, other=gain))
    clamped = call("aten.clamp.default", self=rounded, min=-128, max=127)
    return call("aten.to.dtype", self=call("aten.to.dtype", self=clamped, dtype=torch.int8), dtype=torch.float32), gain


def linear(x, name, rows, columns, decomposed):
    weight = torch.randint(-1, 2, (rows, columns))
    packed = R.parameter(name + ".weight", pack(weight))
    scale = R.parameter(name + ".weight_scale", torch.rand(1) + 1)
    codes = call("aten.to.dtype", self=(unpack if decomposed else unpack_in_place)(packed, rows, columns),
                 dtype=torch.float32)
    values = call("aten.sub.Tensor", self=codes, other=1)
    q, gain = quantize(x)
    if decomposed:
        flat = call("aten.view.default", self=q, size=[LENGTH, columns])
        turned = call("aten.permute.default", self=values, dims=[1, 0])
        product = call("aten.view.default", self=call("aten.mm.default", self=flat, mat2=turned), size=[1, LENGTH, rows])
    else:
        product = call("aten.linear.default", input=q, weight=values)
    return call("aten.div.Tensor", self=product, other=call("aten.mul.Tensor", self=scale, other=gain))


x = R.input("x", torch.randn(1, LENGTH, WIDTH))
h = linear(x, "up", INNER, WIDTH, False)
R.output(linear(h, "down", WIDTH, INNER, True))
R.write(sys.argv[1])
