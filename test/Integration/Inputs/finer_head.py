# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Gives the weights of a model's LM head more digits than bfloat16 has: `finer_head.py MODEL.onnx FINER.onnx`."""

import sys

import numpy as np
import onnx
from onnx import numpy_helper

model = onnx.load(sys.argv[1])
(head,) = [tensor for tensor in model.graph.initializer if tensor.name == "head.weight"]
weight = numpy_helper.to_array(head)
factor = 1 + np.random.default_rng(1).uniform(-0.01, 0.01, weight.shape)
head.CopyFrom(numpy_helper.from_array((weight * factor).astype(np.float32), head.name))
onnx.save(model, sys.argv[2])
