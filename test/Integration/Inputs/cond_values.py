"""Writes <folder>/<c><d>.npz, inputs and outputs of test/Frontend/TorchExport/cond.pt2text for both conditions."""

import sys

import numpy as np

x = np.arange(12, dtype=np.float32).reshape(3, 4)
for c, d in ((0, 0), (0, 1), (1, 0)):
    y = x + x if c or not d else x * x
    np.savez(f"{sys.argv[1]}/{c}{d}.npz", in0=np.array(bool(c)), in1=np.array(bool(d)), in2=x, out0=y * y)
