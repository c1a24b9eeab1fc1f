# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The functions of domain `pquant`, version 1, as ONNX model-local functions.

A model in deployment form calls them for its quantised layers. The compiler takes a call as the operation of that name
and does not look at the body; any other runtime inlines the body, which has standard operators only. docs/Models.md is
the contract; the bodies below follow it.

Exactness of the bodies: a 1-bit or ternary product is a sum of at most K * 128 in magnitude, exact in float32 up to
K = 131072; an INT8 product is summed in float64. The integers are then those of `pquant.reference`.
"""

from typing import Dict, List, Sequence

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper, numpy_helper

DOMAIN = "pquant"
VERSION = 1
OPSET = 17

QUANTIZERS = {"mul_recip": "QuantizeMulRecip", "mul_div": "QuantizeMulDiv", "div": "QuantizeDiv"}


class _Body:
    """The nodes of one function, its values named `<op type>_<n>`."""

    def __init__(self):
        self.nodes: List[onnx.NodeProto] = []

    def op(self, kind: str, *inputs: str, result: str = "", **attributes) -> str:
        result = result or f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [result], **attributes))
        return result

    def constant(self, value, dtype=np.float32) -> str:
        return self.op("Constant", value=numpy_helper.from_array(np.asarray(value, dtype)))

    def attribute(self, name: str, kind: int) -> str:
        """The call's attribute as a scalar."""
        result = self.op("Constant")
        field = "value_float" if kind == AttributeProto.FLOAT else "value_int"
        self.nodes[-1].attribute.add(name=field, ref_attr_name=name, type=kind)
        return result

    def function(self, name: str, inputs: Sequence[str], outputs: Sequence[str], attributes: Sequence[str], text: str):
        opset = [helper.make_opsetid("", OPSET)]
        return helper.make_function(
            DOMAIN, name, list(inputs), list(outputs), self.nodes, opset, attributes=list(attributes), doc_string=text
        )


def _quantize(formula: str) -> onnx.FunctionProto:
    b = _Body()
    floor, offset = b.attribute("floor", AttributeProto.FLOAT), b.attribute("offset", AttributeProto.FLOAT)
    qmin, qmax = (
        b.op("Cast", b.attribute(name, AttributeProto.INT), to=TensorProto.FLOAT) for name in ("qmin", "qmax")
    )
    absmax = b.op("ReduceMax", b.op("Abs", "x"), axes=[-1], keepdims=1)
    guarded = b.op("Add", b.op("Max", absmax, floor), offset)
    if formula == "div":
        step = b.op("Div", guarded, qmax)
        scaled = b.op("Div", "x", step)
    else:
        one = b.constant(1.0)
        gamma = b.op("Div", qmax, guarded) if formula == "mul_div" else b.op("Mul", b.op("Div", one, guarded), qmax)
        step = b.op("Div", one, gamma)
        scaled = b.op("Mul", "x", gamma)
    b.op("Cast", b.op("Clip", b.op("Round", scaled), qmin, qmax), result="values", to=TensorProto.INT8)
    b.op("Squeeze", step, b.constant([-1], np.int64), result="step")
    attributes = ("floor", "offset", "qmin", "qmax")
    return b.function(
        QUANTIZERS[formula], ["x"], ["values", "step"], attributes, "AbsMax quantisation of rows; x ~ values * step"
    )


def _unpack(b: _Body, packed: str) -> str:
    """The bits [N, columns] of uint8 [N, ceil(columns / 8)] as float32; column 8i + j is bit j of byte i."""
    spread = b.op("Unsqueeze", packed, b.constant([2], np.int64))
    shifted = b.op("BitShift", spread, b.constant(np.arange(8), np.uint8), direction="RIGHT")
    bits = b.op("Cast", b.op("Mod", shifted, b.constant(2, np.uint8)), to=TensorProto.FLOAT)
    wide = b.op("Reshape", bits, b.constant([0, -1], np.int64))
    columns = b.op("Unsqueeze", b.attribute("columns", AttributeProto.INT), b.constant([0], np.int64))
    return b.op("Slice", wide, b.constant([0], np.int64), columns, b.constant([1], np.int64))


def _finish(b: _Body, total: str) -> None:
    """y = step * total."""
    b.op("Mul", b.op("Unsqueeze", "step", b.constant([-1], np.int64)), total, result="y")


def _binary_linear() -> onnx.FunctionProto:
    b = _Body()
    signs = b.op("Sub", b.op("Mul", _unpack(b, "bits"), b.constant(2.0)), b.constant(1.0))
    rows = b.op("Cast", "values", to=TensorProto.FLOAT)
    _finish(b, b.op("Mul", "scale", b.op("MatMul", rows, b.op("Transpose", signs, perm=[1, 0]))))
    return b.function(
        "BinaryLinear",
        ["values", "step", "bits", "scale"],
        ["y"],
        ["columns"],
        "y = step * scale * (values W^T), W = +1 where the bit is 1, else -1",
    )


def _ternary_linear() -> onnx.FunctionProto:
    b = _Body()
    planes = b.op("Add", _unpack(b, "nonnegative"), _unpack(b, "positive"))
    weight = b.op("Sub", planes, b.constant(1.0))
    rows = b.op("Cast", "values", to=TensorProto.FLOAT)
    _finish(b, b.op("Mul", "scale", b.op("MatMul", rows, b.op("Transpose", weight, perm=[1, 0]))))
    return b.function(
        "TernaryLinear",
        ["values", "step", "nonnegative", "positive", "scale"],
        ["y"],
        ["columns"],
        "y = step * scale * (values W^T), W = nonnegative + positive - 1",
    )


def _int8_linear() -> onnx.FunctionProto:
    b = _Body()
    weight = b.op("Transpose", b.op("Cast", "weight", to=TensorProto.DOUBLE), perm=[1, 0])
    total = b.op("MatMul", b.op("Cast", "values", to=TensorProto.DOUBLE), weight)
    steps = b.op("Mul", b.op("Unsqueeze", "step", b.constant([-1], np.int64)), "scale")
    b.op("Mul", b.op("Cast", total, to=TensorProto.FLOAT), steps, result="y")
    return b.function(
        "Int8Linear", ["values", "step", "weight", "scale"], ["y"], [], "y = step * scale * (values weight^T)"
    )


def make_function(name: str) -> onnx.FunctionProto:
    """The function of this name; a KeyError when there is none."""
    for formula, quantizer in QUANTIZERS.items():
        if name == quantizer:
            return _quantize(formula)
    makers: Dict[str, object] = {
        "BinaryLinear": _binary_linear,
        "Int8Linear": _int8_linear,
        "TernaryLinear": _ternary_linear,
    }
    return makers[name]()
