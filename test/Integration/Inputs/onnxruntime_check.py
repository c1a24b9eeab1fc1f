# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Runs ONNX models unmodified in onnxruntime on the CPU and compares with the values beside them.

    onnxruntime_check.py MODEL.onnx [MODEL2.onnx ...]

MODEL.npz has in0, in1, ... and out0, out1, ..., as `python -m pquant.make_sample` writes them. Without arguments it
writes samples in deployment form to a temporary folder and checks those; PYTHONPATH must have the pquant package then.
Exit code 2 when onnxruntime is missing.
"""

import os
import subprocess
import sys
import tempfile

import numpy as np

try:
    import onnxruntime
except ImportError:
    print("error: onnxruntime is not installed, nothing was checked", file=sys.stderr)
    sys.exit(2)

TOLERANCE = 5e-3  # relative L2: activations that round the other way
SAMPLES = (
    ["--experts=1"],
    ["--experts=2", "--kv-heads=2", "--batch=3"],
    ["--experts=1", "--cache"],
    ["--experts=2", "--cache", "--past=0"],
    ["--formula=div"],
    ["--formula=mul_div"],
    ["--variant=bitnet"],
    ["--variant=bitnet158"],
)


def check(path: str) -> bool:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    case = np.load(os.path.splitext(path)[0] + ".npz")
    inputs = {spec.name: case[f"in{i}"] for i, spec in enumerate(session.get_inputs())}
    ok = True
    for i, (spec, got) in enumerate(zip(session.get_outputs(), session.run(None, inputs))):
        want = case[f"out{i}"]
        error = np.linalg.norm(got - want) / max(np.linalg.norm(want), 1e-30) if got.shape == want.shape else np.inf
        ok &= bool(error <= TOLERANCE)
        print(f"{path}: {spec.name}: relative L2 error {error:.3g}{'' if error <= TOLERANCE else ': FAILED'}")
    return ok


def main(paths: list) -> int:
    print(f"onnxruntime {onnxruntime.__version__}")
    with tempfile.TemporaryDirectory() as folder:
        if not paths:
            for i, options in enumerate(SAMPLES):
                paths.append(os.path.join(folder, f"sample{i}.onnx"))
                command = [sys.executable, "-m", "pquant.make_sample", paths[-1], "--form=deployment", *options]
                subprocess.run(command, check=True)
        return 0 if all([check(path) for path in paths]) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
