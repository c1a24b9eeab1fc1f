# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Prints how many bits a model file in deployment form takes for each quantised weight: stored_bits.py MODEL LIMIT.

All bytes of the model and of its external data count, but those of float32 matrices (embedding, head, routers). Fails
when it is more than LIMIT.
"""

import os
import sys

import numpy as np
import onnx


def main(path: str, limit: str) -> int:
    total = os.path.getsize(path)
    model = onnx.load(path, load_external_data=False)
    files = {e.value for t in model.graph.initializer for e in t.external_data if e.key == "location"}
    total += sum(os.path.getsize(os.path.join(os.path.dirname(path), name)) for name in files)
    shapes = {t.name: tuple(t.dims) for t in model.graph.initializer}
    floats = [t for t in model.graph.initializer if t.data_type == onnx.TensorProto.FLOAT and len(t.dims) == 2]
    total -= 4 * sum(int(np.prod(t.dims)) for t in floats)
    weights = 0
    for node in model.graph.node:
        if node.domain == "pquant" and node.op_type.endswith("Linear"):
            rows, columns = shapes[node.input[2]]
            weights += rows * (node.attribute[0].i if node.attribute else columns)
    bits = 8 * total / weights
    print(f"{bits:.3f} bits per quantised weight ({weights} weights)")
    return 0 if bits < float(limit) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
