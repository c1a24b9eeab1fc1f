"""Runs operators that the installed ONNX package does not know: each case is a model of one or a few nodes and its
outputs by a NumPy reference. The model is compiled and its outputs are compared.

A module `cases_NAME.py` holds functions that yield `Case`s; `operators.py --cases NAME` runs them all.
"""

import argparse
import importlib
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "Inputs"))
import artifacts  # noqa: E402  (the path above)

OPSETS = {"": 24, "com.microsoft": 1}


@dataclass
class Case:
    """Inputs are NumPy arrays by name; those in `constants` (arrays or TensorProtos) become initialisers."""

    name: str
    nodes: list
    inputs: dict
    outputs: dict
    constants: dict = field(default_factory=dict)
    opset: int = 24
    tolerance: float = 1e-4
    # Sizes that the model does not state: "x:0" for dimension 0 of input x.
    dynamic: tuple = ()
    # A part of the message, for models that must be refused.
    error: str = ""
    # The same for inputs that must be refused when the model runs.
    failure: str = ""
    # A part of what --opt-report must say.
    report: str = ""


def node(op, inputs, outputs, domain="", **attributes):
    """`inputs` and `outputs` are names separated by spaces; `-` is an omitted one."""
    split = lambda names: ["" if name == "-" else name for name in names.split()]
    return helper.make_node(op, split(inputs), split(outputs), domain=domain, **attributes)


def to_proto(name, value):
    if isinstance(value, onnx.TensorProto):
        value.name = name
        return value
    return numpy_helper.from_array(np.asarray(value), name)


def type_of(array):
    return helper.np_dtype_to_tensor_dtype(array.dtype) if hasattr(helper, "np_dtype_to_tensor_dtype") else \
        onnx.mapping.NP_TYPE_TO_TENSOR_TYPE[array.dtype]


def make_model(case):
    def info(name, array):
        shape = [f"{name}_{i}" if f"{name}:{i}" in case.dynamic else size for i, size in enumerate(array.shape)]
        return helper.make_tensor_value_info(name, type_of(array), shape)

    outputs = [
        helper.make_tensor_value_info(
            name, type_of(array), None if case.error or case.failure else [f"{name}_{i}" for i in range(array.ndim)])
        for name, array in case.outputs.items()
    ]
    graph = helper.make_graph(
        case.nodes, case.name, [info(name, array) for name, array in case.inputs.items()], outputs,
        [to_proto(name, value) for name, value in case.constants.items()])
    imports = [helper.make_opsetid(domain, case.opset if not domain else version) for domain, version in OPSETS.items()]
    model = helper.make_model(graph, opset_imports=imports)
    model.ir_version = 11
    return model


def call(*command):
    result = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    return result.returncode, (result.stderr + result.stdout).strip()


def run_case(case, arguments):
    """None, or what went wrong."""
    stem = os.path.join(arguments.work, case.name)
    onnx.save(make_model(case), stem + ".onnx")
    compiler, runner = artifacts.commands(arguments.tools, stem, arguments.target)
    # What is recognised does not depend on the target; one level compiles faster than all.
    options = ["--opt-report", "--target-cpu=generic"] if case.report else []
    code, text = call(*compiler, *options)
    if case.error:
        return None if code == 1 and case.error in text else f"expected '{case.error}', but got: {text}"
    if code:
        return text
    if case.report not in text:
        return f"expected '{case.report}', but got: {text}"
    np.savez(stem + ".in.npz", **{f"in{i}": array for i, array in enumerate(case.inputs.values())})
    np.savez(stem + ".out.npz", **{f"out{i}": array for i, array in enumerate(case.outputs.values())})
    given = ["--inputs", stem + ".in.npz"] if case.inputs else []
    code, text = call(*runner, *given, "--expect", stem + ".out.npz", "--tolerance", str(case.tolerance))
    if case.failure:
        return None if code == 1 and case.failure in text else f"expected '{case.failure}', but got: {text}"
    return text if code else None


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tools", required=True)
    parser.add_argument("--work", required=True)
    parser.add_argument("--cases", required=True)
    parser.add_argument("--filter", default="")
    parser.add_argument("--target", default="", help="aarch64: under qemu; else this machine")
    arguments = parser.parse_args()
    os.makedirs(arguments.work, exist_ok=True)
    module = importlib.import_module("cases_" + arguments.cases)
    passed, failed = [], 0
    for function in [value for name, value in vars(module).items() if name.startswith("cases_")]:
        for case in function():
            if not re.search(arguments.filter, case.name):
                continue
            problem = run_case(case, arguments)
            if problem:
                failed += 1
                print(f"FAILED: {case.name}: " + " / ".join(problem.splitlines()[:4]))
            else:
                passed.append(case.name)
    print("passed:", *passed)
    print(f"{len(passed)} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    sys.modules["operators"] = sys.modules["__main__"]
    main()
