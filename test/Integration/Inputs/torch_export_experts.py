"""Writes INT8 experts by grouped products as torch.export would, with what PyTorch computes for them.

    torch_export_experts.py STEM

As transformers writes them: rows are sorted by their expert, multiplied by the matrix of their group, weighed, and put
back in order. All weights are quantised in the graph.
"""

import sys

import torch
from aten_functions import grouped
from torch_export import Recorder

ROWS, WIDTH, INNER, EXPERTS = 7, 64, 32, 4

torch.manual_seed(0)
R = Recorder({ROWS: "s"})
call = R.call


def fake_int8(x, dims):
    largest = call("aten.amax.default", self=call("aten.abs.default", self=x), dim=dims, keepdim=True)
    largest = call("aten.clamp.default", self=largest, min=1e-5)
    scale = call("aten.mul.Tensor", self=call("aten.reciprocal.default", self=largest), other=127.0)
    rounded = call("aten.round.default", self=call("aten.mul.Tensor", self=x, other=scale))
    clamped = call("aten.clamp.default", self=rounded, min=-128, max=127)
    return call("aten.div.Tensor", self=clamped, other=scale)


def linear(x, name, rows, columns):
    weight = R.parameter(name, torch.randn(EXPERTS, rows, columns) * columns**-0.5)
    matrices = call("aten.transpose.int", self=fake_int8(weight, [-2, -1]), dim0=-2, dim1=-1)
    return call("aten._grouped_mm.default", grouped, self=fake_int8(x, [-1]), mat2=matrices, offs=ends)


x = R.input("x", torch.randn(ROWS, WIDTH))
router = R.parameter("router", torch.randn(EXPERTS, WIDTH))
p = call("aten.softmax.int", self=call("aten.linear.default", input=x, weight=router), dim=-1)
index = call("aten.argmax.default", self=p, dim=-1)
ids, order = call("aten.sort.default", self=index)
inverse = call("aten.sort.default", self=order)[1]
numbers = call("aten._to_copy.default", self=ids, dtype=torch.float32)
counts = call("aten.histc.default", self=numbers, bins=EXPERTS, min=0, max=EXPERTS - 1)
ends = call("aten.cumsum.default", self=counts, dim=0, dtype=torch.int32)
rows = call("aten.index.Tensor", self=x, indices=[order])
hidden = call("aten.silu.default", self=linear(rows, "gate", INNER, WIDTH))
hidden = call("aten.mul.Tensor", self=hidden, other=linear(rows, "up", INNER, WIDTH))
y = linear(hidden, "down", WIDTH, INNER)
weights = call("aten.index.Tensor", self=call("aten.amax.default", self=p, dim=[-1]), indices=[order])
y = call("aten.mul.Tensor", self=y, other=call("aten.unsqueeze.default", self=weights, dim=-1))
R.output(call("aten.index.Tensor", self=y, indices=[inverse]))
R.write(sys.argv[1])
