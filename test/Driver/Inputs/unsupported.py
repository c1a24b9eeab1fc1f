"""Writes a model with operators that pquant does not support."""

import sys

import onnx
from onnx import TensorProto, helper

nodes = [
    helper.make_node("Bernoulli", ["x"], ["a"], name="first"),
    helper.make_node("Bernoulli", ["a"], ["b"], name="second"),
    helper.make_node("Own", ["b"], ["y"], name="own", domain="com.example"),
]
values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xy"]
graph = helper.make_graph(nodes, "unsupported", values[:1], values[1:])
opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.example", 1)]
onnx.save(helper.make_model(graph, opset_imports=opsets), sys.argv[1])
