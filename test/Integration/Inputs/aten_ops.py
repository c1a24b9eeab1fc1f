"""Writes one program that calls every supported ATen operator, with what PyTorch computes for it.

    aten_ops.py STEM [TABLE]

writes STEM.pt2 and STEM.npz. With TABLE, the output of --list-aten-ops, it fails for operators of the table that no
case calls, except those that need a graph of their own.
"""

import math
import sys

import torch

from aten_functions import attention, grouped, rms_norm
from torch_export import Recorder

# Numbers of the host program, assertions and what random memory holds: tested in test/Frontend/TorchExport.
ELSEWHERE = ("_operator.", "torch.", "aten.sym_", "aten._assert", "aten._local", "aten.item", "aten.empty")
ELSEWHERE += ("aten.new_empty",)

torch.manual_seed(0)
R = Recorder({5: "s"})
X = R.input("x", torch.randn(5, 4))
Y = R.input("y", torch.randn(5, 4))
POSITIVE = R.input("positive", torch.rand(5, 4) + 0.5)
CUBE = R.input("cube", torch.randn(2, 3, 8))
N = R.input("n", torch.randint(-9, 9, (5, 4)))
AMOUNT = R.input("amount", torch.randint(0, 9, (5, 4)))
BYTES = R.input("bytes", torch.randint(0, 256, (5, 4), dtype=torch.uint8))
INDEX = R.input("index", torch.tensor([3, 0, 1]))
PAIR = R.input("pair", torch.tensor([[0, 1], [1, 0]]))
MASK = R.input("mask", torch.rand(5, 4) > 0.5)
OTHER = R.input("other", torch.rand(5, 4) > 0.5)
SQUARE = R.parameter("square", torch.randn(4, 4))
WEIGHT = R.parameter("weight", torch.randn(6, 4))
VECTOR = R.parameter("vector", torch.randn(4))
SCALES = R.parameter("scales", torch.rand(4) * 0.1 + 0.05)
ZEROS = R.parameter("zeros", torch.tensor([0, 1, -1, 2], dtype=torch.int32))
NUMBER = R.parameter("number", torch.tensor(0.75))
CALLED = set()


def check(target, function=None, keep=None, **arguments):
    """Calls an operator; its results, or those of them that are listed in `keep`, are outputs."""
    CALLED.add(target)
    values = R.call(target, function, **arguments)
    values = values if isinstance(values, (list, tuple)) else [values]
    for i in keep if keep is not None else range(len(values)):
        R.output(values[i])
    return values[0]


def each(names, **arguments):
    for name in names.split():
        overload = name if "." in name else name + ".default"
        check("aten." + overload, **arguments)


each("abs ceil cos erf exp expm1 floor gelu hardswish isinf isnan leaky_relu neg", self=X)
each("relu round sigmoid sign silu sin softplus square tan tanh trunc", self=X)
check("aten.gelu.default", self=X, approximate="tanh")
each("log log1p reciprocal rsqrt sqrt", self=POSITIVE)
each("abs ceil floor neg relu sign square trunc round bitwise_not logical_not", self=N)
each("bitwise_not logical_not", self=MASK)
each("add.Tensor sub.Tensor rsub.Tensor mul.Tensor div.Tensor", self=X, other=Y)
each("maximum minimum fmod.Tensor remainder.Tensor", self=X, other=Y)
each("eq.Tensor ne.Tensor lt.Tensor le.Tensor gt.Tensor ge.Tensor floor_divide", self=X, other=Y)
each("add.Tensor mul.Tensor div.Tensor gt.Tensor lt.Tensor", self=N, other=X)
each("add.Scalar sub.Scalar rsub.Scalar mul.Scalar div.Scalar fmod.Scalar remainder.Scalar", self=X, other=0.75)
each("eq.Scalar ne.Scalar lt.Scalar le.Scalar gt.Scalar ge.Scalar", self=N, other=3)
each("lt.Scalar gt.Scalar add.Tensor", self=N, other=2.5)
each("remainder.Scalar floor_divide fmod.Scalar", self=N, other=-4)
for mode in ("floor", "trunc", None):
    check("aten.div.Tensor_mode", self=X, other=Y, rounding_mode=mode)
    check("aten.div.Scalar_mode", self=N, other=3, rounding_mode=mode)
check("aten.add.Tensor", self=X, other=Y, alpha=2)
check("aten.rsub.Scalar", self=X, other=1, alpha=3)
each("logical_and logical_or logical_xor", self=N, other=MASK)
each("__and__.Tensor __or__.Tensor __xor__.Tensor", self=MASK, other=OTHER)
each("bitwise_and.Tensor bitwise_or.Tensor bitwise_xor.Tensor", self=MASK, other=OTHER)
each("__and__.Scalar bitwise_and.Scalar bitwise_or.Scalar bitwise_xor.Scalar", self=N, other=5)
each("__lshift__.Scalar __rshift__.Scalar", self=N, other=3)
each("bitwise_left_shift.Tensor_Scalar bitwise_right_shift.Tensor_Scalar", self=BYTES, other=2)
each("__lshift__.Tensor bitwise_left_shift.Tensor bitwise_right_shift.Tensor", self=N, other=AMOUNT)
check("aten.__rshift__.Tensor", self=BYTES, other=R.parameter("three", torch.tensor(3, dtype=torch.uint8)))
check("aten.pow.Tensor_Scalar", self=X, exponent=2)
check("aten.pow.Tensor_Scalar", self=N, exponent=2)
check("aten.pow.Tensor_Tensor", self=POSITIVE, exponent=X)
check("aten.pow.Scalar", self=2, exponent=X)
check("aten.where.self", condition=MASK, self=X, other=Y)
check("aten.where.ScalarOther", condition=MASK, self=X, other=1.5)
check("aten.where.ScalarSelf", condition=MASK, self=1.5, other=X)
check("aten.where.Scalar", condition=MASK, self=1, other=-1.5)
check("aten.masked_fill.Scalar", self=X, mask=MASK, value=-1.5)
check("aten.masked_fill.Tensor", self=X, mask=MASK, value=NUMBER)
each("clamp clip", self=X, min=-0.5, max=0.5)
check("aten.clamp.Tensor", self=X, min=Y)
check("aten.clamp_min.default", self=X, min=0.25)
check("aten.clamp_max.default", self=X, max=0.25)
check("aten.clamp_min.Tensor", self=X, min=Y)
check("aten.clamp_max.Tensor", self=X, max=Y)

each("clone contiguous detach alias lift_fresh lift_fresh_copy detach_", self=X)
check("aten._to_copy.default", self=X, dtype=torch.float64)
check("aten.to.dtype", self=N, dtype=torch.float32)
check("aten.to.dtype", self=X, dtype=torch.int64)
check("aten.to.dtype_layout", self=X, dtype=torch.bool)
check("aten.to.device", lambda self, dtype, **_: self.to(dtype), self=X, dtype=torch.float64)
check("aten.to.other", self=N, other=X)
check("aten.type_as.default", self=N, other=X)
check("prims.convert_element_type.default", lambda a, dtype: a.to(dtype), a=X, dtype=torch.int32)
check("aten.dropout.default", input=X, p=0.5, train=False)
check(
    "aten.native_dropout.default",
    lambda input, p, train: (input, torch.ones_like(input, dtype=torch.bool)),
    input=X,
    p=0.5,
    train=False,
)

each("view _unsafe_view", self=CUBE, size=[2, -1])
check("aten.reshape.default", self=X, shape=[5, 2, 2])
check("aten.flatten.using_ints", self=CUBE, start_dim=1)
check("aten.unflatten.int", lambda self, dim, sizes: self.unflatten(dim, sizes), self=CUBE, dim=-1, sizes=[4, -1])
check("aten.permute.default", self=CUBE, dims=[2, 0, -2])
check("aten.transpose.int", self=CUBE, dim0=-1, dim1=0)
check("aten.t.default", self=X)
row = check("aten.unsqueeze.default", self=X, dim=1)
check("aten.squeeze.dim", self=row, dim=1)
check("aten.squeeze.dims", lambda self, dim: self.squeeze(1), self=row, dim=[1, 2])
check("aten.squeeze.default", self=R.call("aten.slice.Tensor", self=CUBE, dim=0, end=1))
check("aten.expand.default", self=row, size=[-1, 3, 4])
check("aten.expand_as.default", self=VECTOR, other=X)
check("aten.slice.Tensor", self=X, dim=0, start=1, end=9223372036854775807, step=2)
check("aten.slice.Tensor", self=CUBE, dim=-1, start=-3, end=-1)
check("aten.select.int", self=CUBE, dim=1, index=-1)
check("aten.unbind.int", self=CUBE, dim=1)
check("aten.split.Tensor", self=CUBE, split_size=3, dim=-1)
check("aten.split_with_sizes.default", self=CUBE, split_sizes=[1, 2, 5], dim=2)
check("aten.chunk.default", self=CUBE, chunks=2, dim=1)
check("aten.cat.default", tensors=[X, Y], dim=-1)
check("aten.cat.default", tensors=[X, N], dim=0)
check("aten.concat.default", tensors=[X, Y], dim=0)
check("aten.stack.default", tensors=[X, Y], dim=1)
check("aten.repeat.default", self=X, repeats=[2, 1, 3])
check("aten.tile.default", self=CUBE, dims=[2])
check("aten.repeat_interleave.self_int", self=CUBE, repeats=2, dim=1)
check("aten.flip.default", self=CUBE, dims=[0, -1])
check("aten.roll.default", self=CUBE, shifts=[1, -3], dims=[1, 2])
check("aten.constant_pad_nd.default", self=CUBE, pad=[1, -2, 0, 3], value=0.5)
check("aten.diff.default", self=N)
check("aten.diff.default", self=X, dim=0, prepend=R.call("aten.slice.Tensor", self=Y, dim=0, end=1))

check("aten.full.default", size=[5, 3], fill_value=-math.inf)
check("aten.full.default", size=[2], fill_value=3)
each("full_like", self=X, fill_value=2)
check("aten.fill.Scalar", lambda self, value: torch.full_like(self, value), self=X, value=1.5)
check("aten.fill.Tensor", lambda self, value: torch.full_like(self, value.item()), self=X, value=NUMBER)
check("aten.new_full.default", self=X, size=[2, 3], fill_value=4)
each("zeros ones", size=[3, 5])
each("zeros_like ones_like", self=N)
check("aten.zero.default", lambda self: torch.zeros_like(self), self=X)
each("new_zeros new_ones", self=X, size=[3])
check("aten.scalar_tensor.default", s=2.5)
check("aten.arange.default", end=5)
check("aten.arange.default", end=5, dtype=torch.float32)
check("aten.arange.start", start=2, end=5)
check("aten.arange.start_step", start=8, end=1, step=-3)
check("aten.arange.start_step", start=0.5, end=2, step=0.25)
each("tril triu", self=X, diagonal=-1)
each("tril triu", self=CUBE)
check("aten.one_hot.default", self=INDEX, num_classes=5)

each("sum mean prod amax amin max min argmax argmin", self=X)
each("sum max", self=N)
each("any all", self=MASK)
each("any.dim all.dim", self=MASK, dim=1, keepdim=True)
each("sum.dim_IntList mean.dim amax amin", self=CUBE, dim=[0, -1], keepdim=True)
each("sum.dim_IntList amax", self=X, dim=[0])
each("max.dim min.dim argmax argmin prod.dim_int", self=CUBE, dim=1, keepdim=True)
check("aten.var.correction", self=X, dim=[1], correction=0, keepdim=True)
check("aten.var.correction", self=CUBE, dim=[2], correction=1)
check("aten.linalg_vector_norm.default", self=X, dim=[-1], keepdim=True)
check("aten.cumsum.default", self=X, dim=0)
check("aten.cumsum.default", self=MASK, dim=1)
check("aten.topk.default", self=CUBE, k=2, dim=1)
check("aten.topk.default", self=X, k=1, largest=False)
check("aten.sort.default", self=X, dim=1, descending=True)
check("aten.sort.stable", self=N, stable=True, dim=0)
check("aten.argsort.default", self=CUBE, dim=-1)

check("aten.mm.default", self=X, mat2=SQUARE)
each("matmul", self=CUBE, other=R.call("aten.transpose.int", self=CUBE, dim0=1, dim1=2))
check("aten.bmm.default", self=CUBE, mat2=R.call("aten.transpose.int", self=CUBE, dim0=1, dim1=2))
check("aten.mv.default", self=X, vec=VECTOR)
check("aten.dot.default", self=VECTOR, tensor=SCALES)
check("aten.outer.default", self=VECTOR, vec2=SCALES)
check("aten.addmm.default", self=VECTOR, mat1=X, mat2=SQUARE, beta=0.5, alpha=2)
batch = R.call("aten.transpose.int", self=CUBE, dim0=1, dim1=2)
check("aten.baddbmm.default", self=NUMBER, batch1=CUBE, batch2=batch, beta=0, alpha=0.5)
check("aten.linear.default", input=X, weight=WEIGHT)
check("aten.linear.default", input=X, weight=SQUARE, bias=VECTOR)


EXPERTS = R.parameter("experts", torch.randn(3, 4, 2))
ENDS = R.parameter("ends", torch.tensor([2, 2, 5], dtype=torch.int32))
check("aten._grouped_mm.default", grouped, self=X, mat2=EXPERTS, offs=ENDS)
check(
    "transformers.grouped_mm_fallback.default",
    lambda input, weight, offs: grouped(input, weight, offs),
    input=X,
    weight=EXPERTS,
    offs=ENDS,
)
check("aten.einsum.default", equation="ij,kj->ik", tensors=[X, WEIGHT])
check("aten.einsum.default", equation="...j, j -> ...j", tensors=[X, VECTOR])
check("aten.histc.default", self=X, bins=4, min=-1, max=2)

each("softmax.int log_softmax.int", self=X, dim=-1)
each("_softmax _log_softmax", self=CUBE, dim=1, half_to_float=False)
check("aten.layer_norm.default", input=X, normalized_shape=[4], weight=VECTOR, bias=SCALES)
check("aten.native_layer_norm.default", input=CUBE, normalized_shape=[3, 8], weight=None, bias=None, eps=1e-5)


check("aten.rms_norm.default", lambda **a: rms_norm(**a)[0], input=X, normalized_shape=[4], weight=VECTOR)
check("aten._fused_rms_norm.default", rms_norm, input=CUBE, normalized_shape=[8], weight=None, eps=1e-6)


Q = R.input("q", torch.randn(1, 4, 5, 8))
K, V = (R.input(name, torch.randn(1, 2, 5, 8)) for name in "kv")
K4, V4 = (R.input(name, torch.randn(1, 4, 5, 8)) for name in ("k4", "v4"))
HIDE = R.input("hide", torch.rand(5, 5) > 0.5)
BIAS = R.input("bias", torch.randn(1, 1, 5, 5))
SDPA = "aten.scaled_dot_product_attention.default"
check(SDPA, attention, query=Q, key=K4, value=V4, is_causal=True)
check(SDPA, attention, query=Q, key=K, value=V, attn_mask=HIDE, scale=0.3, enable_gqa=True)
check(SDPA, attention, query=Q, key=K, value=V, attn_mask=BIAS, enable_gqa=True)


def attention_and_sums(attn_bias=None, attn_mask=None, **arguments):
    mask = attn_mask if attn_bias is None else attn_bias
    return attention(attn_mask=mask, **arguments), torch.zeros(1, 4, 5)


for kernel in ("flash_attention_for_cpu", "flash_attention", "efficient_attention"):
    name = "attn_bias" if kernel.startswith("eff") else "attn_mask"
    target = f"aten._scaled_dot_product_{kernel}.default"
    check(target, attention_and_sums, keep=[0], query=Q, key=K4, value=V4, **{name: BIAS})

check("aten.embedding.default", weight=WEIGHT, indices=INDEX)
check("aten.index_select.default", self=CUBE, dim=-1, index=INDEX)
check("aten.gather.default", self=CUBE, dim=2, index=R.call("aten.expand.default", self=INDEX, size=[2, 3, 3]))
check("aten.index.Tensor", self=CUBE, indices=[None, None, PAIR])
check("aten.index.Tensor", self=CUBE, indices=[PAIR, None, PAIR])
check("aten.index.Tensor", self=CUBE, indices=[None, PAIR, R.call("aten.select.int", self=PAIR, dim=0, index=1)])
check("aten.copy.default", lambda self, src: src.expand_as(self).clone(), self=X, src=VECTOR)
part = R.call("aten.slice.Tensor", self=CUBE, dim=2, start=0, end=3)
check("aten.slice_scatter.default", self=CUBE, src=part, dim=2, start=1, end=7, step=2)
check("aten.select_scatter.default", self=X, src=VECTOR, dim=0, index=-2)
check("aten.index_copy.default", self=CUBE, dim=2, index=INDEX, source=part)
check("aten.index_add.default", self=CUBE, dim=2, index=INDEX, source=part)
check("aten.index_put.default", self=CUBE, indices=[PAIR, PAIR], values=NUMBER)
check("aten.index_put.default", self=CUBE, indices=[None, None, INDEX], values=part, accumulate=True)
where = R.call("aten.expand.default", self=INDEX, size=[2, 3, 3])
check("aten.scatter.src", self=CUBE, dim=2, index=where, src=part)
check("aten.scatter.value", self=CUBE, dim=2, index=where, value=1.5)
check("aten.scatter.reduce", self=CUBE, dim=2, index=where, src=part, reduce="multiply")
check("aten.scatter_add.default", self=CUBE, dim=2, index=where, src=part)


def quantize(x, scale, zero, low, high):
    return torch.clamp(torch.round(x * (1 / scale)) + zero, low, high)


RANGE = {"quant_min": -128, "quant_max": 127}
check("aten.fake_quantize_per_tensor_affine.default", self=X, scale=0.1, zero_point=3, **RANGE)
ONE = R.parameter("one", torch.tensor(1, dtype=torch.int32))
check(
    "aten.fake_quantize_per_tensor_affine.tensor_qparams",
    lambda self, scale, zero_point, quant_min, quant_max: scale
    * (quantize(self, scale, zero_point, quant_min, quant_max) - zero_point),
    self=X,
    scale=NUMBER,
    zero_point=ONE,
    **RANGE,
)
ROWS = {"self": X, "scale": SCALES, "zero_point": ZEROS, "axis": 1, **RANGE}
check("aten.fake_quantize_per_channel_affine.default", **ROWS)
check("aten.fake_quantize_per_channel_affine_cachemask.default", keep=[0], **ROWS)
D = "quantized_decomposed."
FORM = {"quant_min": -128, "quant_max": 127, "dtype": torch.int8}


def to_integers(input, scale, zero_point, quant_min, quant_max, dtype):
    return quantize(input, scale, zero_point, quant_min, quant_max).to(dtype)


def from_integers(input, scale, zero_point, quant_min, quant_max, dtype):
    return (input.float() - zero_point) * scale


def by_columns(function):
    return lambda input, scales, zero_points, axis, **form: function(input, scales, zero_points, **form)


q = check(D + "quantize_per_tensor.default", to_integers, input=X, scale=0.1, zero_point=3, **FORM)
check(D + "dequantize_per_tensor.default", from_integers, input=q, scale=0.1, zero_point=3, **FORM)
check(D + "quantize_per_tensor.tensor", to_integers, input=X, scale=NUMBER, zero_point=ONE, **FORM)
check(D + "dequantize_per_tensor.tensor", from_integers, input=q, scale=NUMBER, zero_point=ONE, **FORM)
COLUMNS = {"scales": SCALES, "zero_points": ZEROS, "axis": 1, **FORM}
q = check(D + "quantize_per_channel.default", by_columns(to_integers), input=X, **COLUMNS)
check(D + "dequantize_per_channel.default", by_columns(from_integers), input=q, **COLUMNS)

R.write(sys.argv[1])
if len(sys.argv) > 2:
    with open(sys.argv[2]) as table:
        targets = [line.split("|")[1].strip() for line in table if line.startswith("| ")][2:]
    missing = [target for target in targets if target not in CALLED and not target.startswith(ELSEWHERE)]
    if missing:
        sys.exit("no case calls " + ", ".join(missing))
    print(len(CALLED), "operators")
