# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Evaluates a model with a cache on 12 tokens without a past: `sample_values.py MODEL.onnx VALUES.npz`."""

import sys

import numpy as np
import onnx

from pquant import onnx_eval

model = onnx.load(sys.argv[1])
arrays = {}
for spec in model.graph.input:
    sizes = [d.dim_value for d in spec.type.tensor_type.shape.dim]
    arrays[spec.name] = np.zeros((1, sizes[1], 0, sizes[3]), np.float32) if len(sizes) == 4 else None
arrays["input_ids"] = np.arange(100, 1300, 100)[None]
outputs = onnx_eval.evaluate(model, arrays)
values = {f"in{i}": x for i, x in enumerate(arrays.values())}
values.update({f"out{i}": y for i, y in enumerate(outputs)})
np.savez(sys.argv[2], **values)
