# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A layer of attention over a static cache in the operators of ONNX 24: tensor_scatter.py OUT.onnx."""

import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WIDTH, HEADS, GROUPS, CAPACITY, VOCABULARY = 8, 4, 2, 32, 50
random = np.random.default_rng(0)
constants = {
    "embedding": random.standard_normal((VOCABULARY, HEADS * WIDTH)).astype(np.float32),
    "key": random.standard_normal((HEADS * WIDTH, GROUPS * WIDTH)).astype(np.float32) * 0.2,
    "value": random.standard_normal((HEADS * WIDTH, GROUPS * WIDTH)).astype(np.float32) * 0.2,
    "head": random.standard_normal((HEADS * WIDTH, VOCABULARY)).astype(np.float32) * 0.3,
    "heads": np.array([0, 0, HEADS, WIDTH]),
    "groups": np.array([0, 0, GROUPS, WIDTH]),
    "joined": np.array([0, 0, HEADS * WIDTH]),
}
nodes = [
    helper.make_node("Gather", ["embedding", "ids"], ["x"]),
    helper.make_node("MatMul", ["x", "key"], ["k0"]),
    helper.make_node("MatMul", ["x", "value"], ["v0"]),
    helper.make_node("Reshape", ["x", "heads"], ["q1"]),
    helper.make_node("Reshape", ["k0", "groups"], ["k1"]),
    helper.make_node("Reshape", ["v0", "groups"], ["v1"]),
    *(helper.make_node("Transpose", [f"{n}1"], [n], perm=[0, 2, 1, 3]) for n in "qkv"),
    helper.make_node("TensorScatter", ["past_k", "k", "write_indices"], ["present_k"], axis=-2),
    helper.make_node("TensorScatter", ["past_v", "v", "write_indices"], ["present_v"], axis=-2),
    helper.make_node(
        "Attention", ["q", "present_k", "present_v", "", "", "", "nonpad_kv_seqlen"], ["y"], is_causal=1
    ),
    helper.make_node("Transpose", ["y"], ["y1"], perm=[0, 2, 1, 3]),
    helper.make_node("Reshape", ["y1", "joined"], ["y2"]),
    helper.make_node("MatMul", ["y2", "head"], ["logits"]),
]


def spec(name, sizes, dtype=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, dtype, sizes)


cache = [1, GROUPS, CAPACITY, WIDTH]
graph = helper.make_graph(
    nodes,
    "step",
    [
        spec("ids", [1, "n"], TensorProto.INT32),
        spec("past_k", cache),
        spec("past_v", cache),
        spec("write_indices", [1], TensorProto.INT64),
        spec("nonpad_kv_seqlen", [1], TensorProto.INT64),
    ],
    [spec("logits", [1, "n", VOCABULARY]), spec("present_k", cache), spec("present_v", cache)],
    [numpy_helper.from_array(value, name) for name, value in constants.items()],
)
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 24)], ir_version=10), sys.argv[1])
