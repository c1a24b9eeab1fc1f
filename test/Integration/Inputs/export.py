# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Exports one case of torch_models.py.

    export.py CASE FOLDER

writes FOLDER/model.onnx (opset 17) and, for each run n, FOLDER/run<n>.npz with in0, in1, ..., out0, out1, ... as
PyTorch computes them. Before that it checks by pquant.onnx_eval that the exported graph computes the same.
"""

import os
import sys
import warnings

import numpy as np
import onnx
import torch

from pquant import onnx_eval
from torch_models import CASES


TOLERANCE = 5e-3  # relative L2: activations that round the other way


def check(model: onnx.ModelProto, name: str, inputs: list, outputs: list) -> None:
    """Fails unless the exported graph computes `outputs`, so that a failing test is the compiler's."""
    got = onnx_eval.evaluate(model, {spec.name: x for spec, x in zip(model.graph.input, inputs)})
    for spec, y, want in zip(model.graph.output, got, outputs):
        error = np.linalg.norm(y - want) / max(np.linalg.norm(want), 1e-30)
        if y.shape != want.shape or not error <= TOLERANCE:
            sys.exit(f"{name}: exported {spec.name} is off by {error}, shape {y.shape}, expected {want.shape}")


def main(name: str, folder: str) -> None:
    os.makedirs(folder, exist_ok=True)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    case = CASES[name]()
    case.model.eval()
    path = os.path.join(folder, "model.onnx")
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about sizes that tracing keeps, which `check` would show
        torch.onnx.export(
            case.model,
            case.runs[-1],
            path,
            opset_version=17,
            input_names=case.inputs,
            output_names=case.outputs,
            dynamic_axes=case.dynamic,
        )
    model = onnx.load(path)
    for n, run in enumerate(case.runs):
        with torch.no_grad():
            outputs = case.model(*run)
        inputs = [x.numpy() for x in run]
        outputs = [y.numpy() for y in (outputs if isinstance(outputs, tuple) else (outputs,))]
        check(model, f"{name}, run {n}", inputs, outputs)
        arrays = {f"in{i}": x for i, x in enumerate(inputs)}
        arrays.update({f"out{i}": y for i, y in enumerate(outputs)})
        np.savez(os.path.join(folder, f"run{n}.npz"), **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])
