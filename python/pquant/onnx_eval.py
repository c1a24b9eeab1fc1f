# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Evaluates ONNX graphs node by node in NumPy.

It covers the operators of the models that `pquant` generates and that its tests export from PyTorch, by the rules of
opsets 17 and 18, and local functions by their bodies; it refuses all others. It shows that a graph computes what its
source says, before a compiler sees it; it is not fast.
"""

import functools
from typing import Callable, Dict, List

import numpy as np
import onnx
from onnx import helper, numpy_helper

from pquant.reference import erf


def _slice(x, starts, ends, axes=None, steps=None):
    axes = range(len(starts)) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    index = [slice(None)] * x.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps):
        # An end below every index means "through element 0" when stepping back.
        index[axis] = slice(start, None if step < 0 and end < -x.shape[axis] else end, step)
    return x[tuple(index)]


def _reshape(x, shape, allowzero=0):
    sizes = [x.shape[i] if size == 0 and not allowzero else size for i, size in enumerate(shape)]
    return x.reshape(sizes)


def _axes(attribute):
    return None if attribute is None else tuple(attribute)


def _element_type(code: int) -> np.dtype:
    if hasattr(helper, "tensor_dtype_to_np_dtype"):
        return helper.tensor_dtype_to_np_dtype(code)
    from onnx import mapping  # before onnx 1.13

    return mapping.TENSOR_TYPE_TO_NP_TYPE[code]


def _constant(value=None, value_float=None, value_int=None):
    if value is not None:
        return numpy_helper.to_array(value)
    return np.float32(value_float) if value_int is None else np.int64(value_int)


def _bit_shift(x, y, direction):
    return np.right_shift(x, y) if direction == b"RIGHT" else np.left_shift(x, y)


def _softmax(x, axis=-1):
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def _divide(x, y):
    """ONNX divides integers toward zero."""
    return x / y if x.dtype.kind == "f" else np.trunc(x / y).astype(x.dtype)


def _clip(x, low=None, high=None):
    x = x if low is None else np.maximum(x, low)
    return x if high is None else np.minimum(x, high)


def _split(x, sizes=None, axis=0, num_outputs=None):
    if sizes is None:
        size = -(-x.shape[axis] // num_outputs)
        return tuple(np.split(x, range(size, x.shape[axis], size), axis))
    return tuple(np.split(x, np.cumsum(sizes)[:-1], axis))


def _layer_normalization(x, scale, bias=None, axis=-1, epsilon=1e-5, stash_type=1):
    axes = tuple(range(axis % x.ndim, x.ndim))
    centred = x - x.mean(axes, keepdims=True)
    y = centred / np.sqrt(np.square(centred).mean(axes, keepdims=True) + np.float32(epsilon)) * scale
    return y if bias is None else y + bias


def _gemm(a, b, c=None, alpha=1.0, beta=1.0, transA=0, transB=0):
    y = np.float32(alpha) * ((a.T if transA else a) @ (b.T if transB else b))
    return y if c is None else y + np.float32(beta) * c


def _one_hot(index, depth, values, axis=-1):
    y = index[..., None] % depth == np.arange(depth)
    return np.moveaxis(np.where(y, values[1], values[0]), -1, axis)


def _reduce(function):
    """Reductions take their axes as an attribute or, in later opsets, as an input."""

    def evaluate_reduction(x, axes=None, keepdims=1, noop_with_empty_axes=0):
        if axes is None and noop_with_empty_axes:
            return x
        return function(x, _axes(axes), keepdims=bool(keepdims))

    return evaluate_reduction


def _arg_max(x, axis=0, keepdims=1, select_last_index=0):
    if select_last_index:
        raise NotImplementedError("ArgMax is evaluated for the first index only")
    return x.argmax(axis, keepdims=bool(keepdims))


def _top_k(x, k, axis=-1, largest=1, sorted=1):
    index = np.argsort(-x if largest else x, axis, kind="stable").take(range(int(k[0])), axis)
    return np.take_along_axis(x, index, axis), index


def _scatter_elements(x, index, updates, axis=0, reduction=b"none"):
    if reduction != b"none":
        raise NotImplementedError("ScatterElements is evaluated without a reduction only")
    result = x.copy()
    np.put_along_axis(result, index, updates, axis)
    return result


OPERATORS: Dict[str, Callable] = {
    "Abs": np.abs,
    "Add": np.add,
    "ArgMax": _arg_max,
    "BitShift": _bit_shift,
    "Cast": lambda x, to: x.astype(_element_type(to)),
    "Clip": _clip,
    "Concat": lambda *x, axis: np.concatenate(x, axis),
    "Constant": _constant,
    "ConstantOfShape": lambda shape, value: np.full(shape, numpy_helper.to_array(value)[0]),
    "Cos": np.cos,
    "Div": _divide,
    "Einsum": lambda *x, equation: np.einsum(equation.decode(), *x),
    "Equal": np.equal,
    "Erf": lambda x: erf(x).astype(x.dtype),
    "Expand": lambda x, shape: x * np.ones(shape, x.dtype),
    "Gather": lambda x, index, axis=0: np.take(x, index, axis),
    "GatherElements": lambda x, index, axis=0: np.take_along_axis(x, index, axis),
    "Gemm": _gemm,
    "Greater": np.greater,
    "Identity": lambda x: x,
    "LayerNormalization": _layer_normalization,
    "LessOrEqual": np.less_equal,
    "MatMul": np.matmul,
    "Max": lambda *x: functools.reduce(np.maximum, x),
    "Mod": np.remainder,
    "Mul": np.multiply,
    "Neg": np.negative,
    "Not": np.logical_not,
    "OneHot": _one_hot,
    "Pow": lambda x, y: np.power(x, y).astype(x.dtype),
    "Range": np.arange,
    "Reciprocal": np.reciprocal,
    "ReduceMax": _reduce(np.max),
    "ReduceMean": _reduce(np.mean),
    "ReduceSum": _reduce(np.sum),
    "Reshape": _reshape,
    "Round": np.rint,
    "ScatterElements": _scatter_elements,
    "Shape": lambda x, start=0, end=None: np.array(x.shape[start:end], np.int64),
    "Sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "Sign": np.sign,
    "Sin": np.sin,
    "Slice": _slice,
    "Softmax": _softmax,
    "Split": _split,
    "Sqrt": np.sqrt,
    "Squeeze": lambda x, axes=None: x.squeeze(_axes(axes)),
    "Sub": np.subtract,
    "Tanh": np.tanh,
    "TopK": _top_k,
    "Transpose": lambda x, perm=None: x.transpose(perm),
    "Unsqueeze": lambda x, axes: np.expand_dims(x, tuple(axes)),
    "Where": np.where,
}


def _evaluate_nodes(nodes, values: Dict[str, np.ndarray], functions: dict, call: dict) -> None:
    """Adds what `nodes` compute to `values`; `call` has the attributes of the function call around them."""
    for node in nodes:
        function = functions.get((node.domain, node.op_type))
        if function is None and (node.domain or node.op_type not in OPERATORS):
            raise NotImplementedError(f"node {node.name}: operator {node.op_type} is not evaluated")
        arguments = [values[name] if name else None for name in node.input]
        attributes = {}
        for attribute in node.attribute:
            if not attribute.ref_attr_name:
                attributes[attribute.name] = helper.get_attribute_value(attribute)
            elif attribute.ref_attr_name in call:
                attributes[attribute.name] = call[attribute.ref_attr_name]
        if function is None:
            result = OPERATORS[node.op_type](*arguments, **attributes)
            results = result if isinstance(result, tuple) else (result,)
        else:
            inner = dict(zip(function.input, arguments))
            _evaluate_nodes(function.node, inner, functions, attributes)
            results = [inner[name] for name in function.output]
        values.update(zip(node.output, map(np.asarray, results)))


def evaluate(model: onnx.ModelProto, inputs: Dict[str, np.ndarray]) -> List[np.ndarray]:
    """The outputs of `model` in order. Inputs by name; external data must be loaded."""
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    values.update(inputs)
    missing = [value.name for value in model.graph.input if value.name not in values]
    if missing:
        raise ValueError(f"expected inputs {', '.join(missing)}")
    functions = {(function.domain, function.name): function for function in model.functions}
    _evaluate_nodes(model.graph.node, values, functions, {})
    return [values[output.name] for output in model.graph.output]
