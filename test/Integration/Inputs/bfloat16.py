# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Rounds float32 to bfloat16 and back: bfloat16.py FOLDER writes m.onnx, and v.npz with what NumPy's integers give."""

import sys

import numpy as np
import onnx
from onnx import TensorProto, helper

folder = sys.argv[1]
bits = np.random.default_rng(0).integers(0, 2**32, 4096, dtype=np.uint32)
# Ties to even, the step to infinity, infinities, zeros and the smallest numbers.
bits[:9] = 0x3F808000, 0x3F818000, 0x7F7FFFFF, 0x7F800000, 0xFF800000, 0, 0x80000000, 1, 0x807FFFFF
x = bits.view(np.float32)
x = x[~np.isnan(x)]
bits = x.view(np.uint32).astype(np.uint64)
want = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16 << 16).astype(np.uint32).view(np.float32)
nodes = [helper.make_node("Cast", ["x"], ["y"], to=TensorProto.BFLOAT16)]
nodes.append(helper.make_node("Cast", ["y"], ["z"], to=TensorProto.FLOAT))
x, want = np.append(x, np.float32(np.nan)), np.append(want, np.float32(np.nan))
graph = helper.make_graph(
    nodes,
    "round",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n"])],
    [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["n"])],
)
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), f"{folder}/m.onnx")
np.savez(f"{folder}/v.npz", x=x, z=want)
