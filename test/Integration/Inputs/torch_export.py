"""Records ATen calls as a program of torch.export while PyTorch computes them.

torch of Debian cannot export, but it has the operators: every call is evaluated, and what it gives says which types the
file states and what the compiled program must give. Operators that this torch lacks come with a Python function.
"""

import os
import sys

import numpy as np
import torch

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "Frontend", "TorchExport", "Inputs"))
import pt2  # noqa: E402


class Value:
    """A tensor of the program, and what it holds."""

    def __init__(self, name, tensor):
        self.name, self.tensor = name, tensor


class Recorder:
    """Writes one program; sizes that are keys of `symbols` become symbolic."""

    def __init__(self, symbols=None):
        self.program, self.symbols, self.count = pt2.Program(), symbols or {}, 0
        self.inputs, self.outputs, self.sizes = [], [], {}

    def meta(self, tensor):
        sizes = [
            pt2.ast.Name(self.symbols[size]) if size in self.symbols else int(size) for size in tensor.shape
        ]
        return pt2.meta(str(tensor.dtype).split(".")[1], sizes)

    def input(self, name, tensor):
        self.program.input(name, self.meta(tensor))
        self.inputs.append(tensor)
        value = Value(name, tensor)
        for axis, size in enumerate(tensor.shape):
            if size in self.symbols and size not in self.sizes:
                number = f"sym_size_{self.symbols[size]}"
                output = self.program.number(number, "sym_int")
                arguments = {"self": f"@{name}", "dim": axis}
                self.program.call(number, "aten.sym_size.int", [], arguments, [output])
                self.sizes[size] = f"@{number}"
        return value

    def parameter(self, name, tensor):
        identifier = "p_" + name.replace(".", "_")
        self.program.stored("parameter", identifier, name, tensor.detach().numpy())
        return Value(identifier, tensor)

    def argument(self, value):
        if isinstance(value, Value):
            return f"@{value.name}"
        if isinstance(value, torch.dtype):
            return np.dtype(str(value).split(".")[1])
        if isinstance(value, (list, tuple)):
            return [self.argument(element) for element in value]
        if isinstance(value, int) and not isinstance(value, bool):
            return self.sizes.get(value, value)
        return value

    def result(self, name, tensor):
        return self.program.tensor(name, self.meta(tensor))

    def call(self, target, function=None, /, **arguments):
        """One node; `function` computes what this torch has no operator for."""
        unwrap = lambda v: [unwrap(e) for e in v] if isinstance(v, list) else v.tensor if isinstance(v, Value) else v
        actual = {key: unwrap(value) for key, value in arguments.items()}
        if function is None:
            operator = torch.ops
            for part in target.split("."):
                operator = getattr(operator, part)
            # `self` can be given by position only.
            leading = []
            for argument in operator._schema.arguments:
                if "self" in actual:
                    leading.append(actual.pop(argument.name))
            results = operator(*leading, **actual)
        else:
            results = function(**actual)
        self.count += 1
        name = f"{target.split('.')[1]}_{self.count}"
        recorded = {key: self.argument(value) for key, value in arguments.items()}
        if isinstance(results, torch.Tensor):
            values, outputs = Value(name, results), [self.result(name, results)]
        else:
            names = [f"{name}_{i}" for i in range(len(results))]
            outputs = [self.result(n, tensor) for n, tensor in zip(names, results)]
            if isinstance(results, list):
                outputs = [{"as_tensors": [output["as_tensor"] for output in outputs]}]
            values = [Value(n, tensor) for n, tensor in zip(names, results)]
        self.program.call(name, target, [], recorded, outputs)
        return values

    def output(self, value):
        self.program.output(f"@{value.name}")
        self.outputs.append(value.tensor)

    def write(self, stem):
        """<stem>.pt2, and <stem>.npz with in0, in1, ... and out0, out1, ..."""
        pt2.write_archive(stem + ".pt2", self.program.entries())
        arrays = {f"in{i}": tensor.numpy() for i, tensor in enumerate(self.inputs)}
        arrays.update({f"out{i}": tensor.detach().contiguous().numpy() for i, tensor in enumerate(self.outputs)})
        np.savez(stem + ".npz", **arrays)
