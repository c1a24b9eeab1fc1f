#!/usr/bin/env python3
"""Writes .pt2 archives as torch.export.save of torch 2.9 and later does, without that torch.

A program is Python that is only parsed; lines that start with // are comments:

    x = input(float32[batch, 4])
    w = parameter(float32[8, 4], "layer.weight")    buffer(...), constant(...): the same
    y: float32[batch, 8] = aten.linear.default(input=x, weight=w)
    output(y)

Names in brackets are symbolic sizes. Several results are a tuple of types, a list of tensors a list of types; they are
called <name>_0, <name>_1, ... Numbers of the host program are SymInt, SymBool or SymFloat. A function is the body that
a higher-order operator takes. `mutate(buffer, y)` is a functional change, `limit(batch, 2, 10)` a range constraint.

Contents of parameters are 0.5, -0.5, 1, -1, 1.5, ... or zeros as `zeros(...)`; `strides=`, `offset=` and `shares=` make
one a view.
"""

import argparse
import ast
import io
import json
import zipfile

import numpy as np

DTYPES = {
    "uint8": 1, "int8": 2, "int16": 3, "int32": 4, "int64": 5, "float16": 6, "float32": 7, "float64": 8,
    "complex64": 10, "bool": 12, "bfloat16": 13, "uint16": 28,
}  # fmt: skip
NUMBERS = {"SymInt": "sym_int", "SymBool": "sym_bool", "SymFloat": "sym_float"}
CPU = {"type": "cpu", "index": None}


def expression(node, top=True):
    """A size: an integer or SymPy's text of an expression."""
    if isinstance(node, int):
        return {"as_int": node}
    if isinstance(node, ast.Constant) and top:
        return {"as_int": node.value}

    def text(part):
        if isinstance(part, ast.Constant):
            return f"Integer({part.value})"
        if isinstance(part, ast.Name):
            return f"Symbol('{part.id}', positive=True, integer=True)"
        if isinstance(part, ast.Call):
            return f"{part.func.id}({', '.join(map(text, part.args))})"
        names = {ast.Add: "Add", ast.Mult: "Mul", ast.FloorDiv: "FloorDiv", ast.Mod: "Mod"}
        return f"{names[type(part.op)]}({text(part.left)}, {text(part.right)})"

    return {"as_expr": {"expr_str": text(node), "hint": {"as_int": 4}}}


def meta(dtype, sizes, strides=None, offset=0):
    sizes = [expression(size) for size in sizes]
    if strides is None:
        strides, step = [], 1
        for size in reversed(sizes):
            strides.insert(0, step)
            step *= size.get("as_int", 4)
    return {
        "dtype": DTYPES[dtype],
        "sizes": sizes,
        "requires_grad": False,
        "device": CPU,
        "strides": [{"as_int": stride} for stride in strides],
        "storage_offset": {"as_int": offset},
        "layout": 7,
    }


class Graph:
    """One graph of the schema, main or body."""

    def __init__(self):
        self.json = {
            "inputs": [], "outputs": [], "nodes": [], "tensor_values": {}, "sym_int_values": {}, "sym_bool_values": {},
            "is_single_tensor_return": False, "custom_obj_values": {}, "sym_float_values": {},
        }  # fmt: skip

    def tensor(self, name, type_meta):
        self.json["tensor_values"][name] = type_meta
        return {"as_tensor": {"name": name}}

    def number(self, name, kind):
        self.json[f"{kind}_values"][name] = {"as_expr": {"expr_str": "Symbol('u0', integer=True)", "hint": None}}
        return {f"as_{kind}": {"as_name": name}}

    def argument(self, value):
        """A Python value in the schema's union; strings that start with @ are names of values."""
        if isinstance(value, Graph):
            return {"as_graph": {"name": "body", "graph": value.json}}
        if isinstance(value, str) and value.startswith("@"):
            name = value[1:]
            for kind in NUMBERS.values():
                if name in self.json[f"{kind}_values"]:
                    return {f"as_{kind}": {"as_name": name}}
            return {"as_tensor": {"name": name}}
        if isinstance(value, np.dtype):
            return {"as_scalar_type": DTYPES[value.name]}
        if isinstance(value, list):
            return self.list_argument(value)
        for kind, name in ((bool, "bool"), (int, "int"), (float, "float"), (str, "string")):
            if isinstance(value, kind):
                infinite = kind is float and value in (float("inf"), float("-inf"))
                return {f"as_{name}": ("-" if value < 0 else "") + "Infinity" if infinite else value}
        return {"as_none": True}

    def list_argument(self, values):
        items = [self.argument(value) for value in values]
        kinds = {next(iter(item)) for item in items}
        if kinds <= {"as_tensor"} and items:
            return {"as_tensors": [item["as_tensor"] for item in items]}
        if kinds <= {"as_tensor", "as_none"} and items:
            return {"as_optional_tensors": items}
        if "as_sym_int" in kinds:
            return {"as_sym_ints": [item.get("as_sym_int", item) for item in items]}
        return {(kinds.pop() if kinds else "as_int") + "s": [next(iter(item.values())) for item in items]}

    def call(self, name, target, args, kwargs, outputs, frame=None):
        inputs = [{"name": "", "arg": self.argument(value), "kind": 1} for value in args]
        inputs += [{"name": key, "arg": self.argument(value), "kind": 1} for key, value in kwargs.items()]
        python = target.startswith(("_operator.", "torch.", "math."))
        node = {
            "target": target if python else f"torch.ops.{target}",
            "inputs": inputs,
            "outputs": outputs,
            "metadata": {"stack_trace": frame} if frame else {},
            "is_hop_single_tensor_return": None,
            "name": name,
        }
        self.json["nodes"].append(node)


class Program(Graph):
    """The main graph, its signature and the archive around it."""

    def __init__(self):
        super().__init__()
        self.inputs, self.outputs, self.ranges = [], [], {}
        self.payloads = {"weights": {}, "constants": {}}
        self.storages = {"weights": [], "constants": []}
        self.out_spec = [1, {"type": None, "context": None, "children_spec": []}]

    def input(self, name, type_meta):
        argument = self.tensor(name, type_meta)
        self.json["inputs"].append(argument)
        self.inputs.append({"user_input": {"arg": argument}})

    def stored(self, kind, name, target, array, strides=None, offset=0, sizes=None, shares=None):
        """A parameter, buffer or tensor_constant with the bytes of `array`, or those of another one."""
        folder = "constants" if kind == "tensor_constant" else "weights"
        type_meta = meta(array.dtype.name, sizes or array.shape, strides, offset)
        argument = self.tensor(name, type_meta)
        self.json["inputs"].append(argument)
        spec = {"arg": argument["as_tensor"], f"{kind}_name": target}
        if kind == "buffer":
            spec["persistent"] = True
        self.inputs.append({kind: spec})
        if shares:
            path = self.payloads[folder][shares]["path_name"]
        else:
            path = f"{'tensor' if kind == 'tensor_constant' else 'weight'}_{len(self.storages[folder])}"
            self.storages[folder].append(array.tobytes())
        self.payloads[folder][target] = {
            "path_name": path, "is_param": kind == "parameter", "use_pickle": False, "tensor_meta": type_meta,
        }  # fmt: skip

    def output(self, value):
        argument = self.argument(value)
        self.json["outputs"].append(argument)
        self.outputs.append({"user_output": {"arg": argument}})

    def mutate(self, target, value, kind="buffer"):
        argument = {"as_tensor": {"name": value}}
        self.json["outputs"].insert(0, argument)
        key = "buffer_name" if kind == "buffer" else "user_input_name"
        self.outputs.insert(0, {f"{kind}_mutation": {"arg": argument["as_tensor"], key: target}})

    def model(self):
        signature = {
            "inputs": [],
            "outputs": [],
            "in_spec": "",
            "out_spec": json.dumps(self.out_spec),
            "forward_arg_names": [],
        }
        return {
            "graph_module": {
                "graph": self.json,
                "signature": {"input_specs": self.inputs, "output_specs": self.outputs},
                "module_call_graph": [{"fqn": "", "signature": signature}],
                "metadata": {},
                "treespec_namedtuple_fields": {},
            },
            "opset_version": {"aten": 10},
            "range_constraints": self.ranges,
            "schema_version": {"major": 8, "minor": 17},
            "verifiers": ["TRAINING"],
            "torch_version": "2.11.0",
            "guards_code": [],
        }

    def entries(self, model=None):
        """Names below the root and contents, in the order that torch writes them."""
        entries = {}
        for folder, prefix in (("weights", "weight"), ("constants", "tensor")):
            for i, storage in enumerate(self.storages[folder]):
                entries[f"data/{folder}/{prefix}_{i}"] = storage
            config = json.dumps({"config": self.payloads[folder]})
            entries[f"data/{folder}/model_{folder}_config.json"] = config.encode()
        entries["models/model.json"] = json.dumps(model or self.model()).encode()
        entries["archive_format"] = b"pt2"
        entries["archive_version"] = b"0"
        entries[".data/version"] = b"6\n"
        entries["byteorder"] = b"little"
        return entries


def write_archive(path, entries, root="model", method=zipfile.ZIP_STORED):
    """Stored entries whose contents begin at multiples of 64 bytes."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, contents in entries.items():
            info = zipfile.ZipInfo(f"{root}/{name}" if root else name, (1980, 1, 1, 0, 0, 0))
            info.compress_type = method
            begin = archive.fp.tell() + 30 + len(info.filename) + 4
            padding = -begin % 64
            info.extra = b"FB" + padding.to_bytes(2, "little") + b"Z" * padding
            archive.writestr(info, contents)


def contents(dtype, count, zeros):
    """Small numbers that every element type holds."""
    if zeros:
        return np.zeros(count, dtype)
    numbers = (np.arange(count) // 2 % 7 + 1) * np.where(np.arange(count) % 2, -1, 1)
    if dtype.startswith("float"):
        return (numbers * 0.5).astype(dtype)
    return np.abs(numbers).astype(dtype)


class Parser:
    """The text form to a Program."""

    def __init__(self):
        self.program = Program()
        self.bodies, self.targets = {}, {}

    def type(self, node):
        """float32[2, s] to a tensor's meta, SymInt and so on to the kind of number."""
        if isinstance(node, ast.Name) and node.id in NUMBERS:
            return NUMBERS[node.id]
        if isinstance(node, ast.Name):
            return meta(node.id, [])
        index = node.slice
        sizes = index.elts if isinstance(index, ast.Tuple) else [index]
        return meta(node.value.id, sizes)

    def value(self, node):
        if isinstance(node, (ast.List, ast.Tuple)):
            return [self.value(element) for element in node.elts]
        if isinstance(node, ast.Name):
            if node.id in DTYPES:
                return np.dtype(node.id)
            if node.id in ("inf", "nan"):
                return float(node.id)
            return self.bodies.get(node.id, "@" + node.id)
        if isinstance(node, ast.UnaryOp):
            return -self.value(node.operand)
        return node.value

    def store(self, name, call):
        kind = {"constant": "tensor_constant", "zeros": "buffer"}.get(call.func.id, call.func.id)
        type_meta = self.type(call.args[0])
        dtype = next(key for key, number in DTYPES.items() if number == type_meta["dtype"])
        sizes = [size["as_int"] for size in type_meta["sizes"]]
        target = call.args[1].value if len(call.args) > 1 else name
        self.targets[name] = target
        options = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
        count = int(np.prod(options.pop("storage", sizes)))
        array = contents(dtype, count, call.func.id == "zeros")
        if not options:
            array = array.reshape(sizes)
        self.program.stored(kind, name, target, array, sizes=sizes, **options)

    def results(self, graph, name, annotation):
        if annotation is None:
            return []
        if isinstance(annotation, ast.Tuple):
            return [self.results(graph, f"{name}_{i}", part)[0] for i, part in enumerate(annotation.elts)]
        if isinstance(annotation, ast.List):
            names = [f"{name}_{i}" for i in range(len(annotation.elts))]
            tensors = [graph.tensor(n, self.type(part)) for n, part in zip(names, annotation.elts)]
            return [{"as_tensors": [tensor["as_tensor"] for tensor in tensors]}]
        kind = self.type(annotation)
        return [graph.number(name, kind) if isinstance(kind, str) else graph.tensor(name, kind)]

    def statement(self, graph, statement):
        if isinstance(statement, ast.FunctionDef):
            body = self.bodies[statement.name] = Graph()
            for argument in statement.args.args:
                body.json["inputs"].append(body.tensor(argument.arg, self.type(argument.annotation)))
            for inner in statement.body:
                self.statement(body, inner)
            return
        if isinstance(statement, ast.Return):
            values = self.value(statement.value)
            for value in values if isinstance(values, list) else [values]:
                graph.json["outputs"].append(graph.argument(value))
            return
        call = statement.value
        name = statement.target.id if isinstance(statement, ast.AnnAssign) else None
        if isinstance(statement, ast.Assign):
            name = statement.targets[0].id
        function = ast.unparse(call.func)
        if function == "input":
            self.program.input(name, self.type(call.args[0]))
        elif function in ("parameter", "buffer", "constant", "zeros"):
            self.store(name, call)
        elif function == "output":
            for value in call.args:
                self.program.output(self.value(value))
        elif function == "mutate":
            old, new = (argument.id for argument in call.args)
            kind = "buffer" if old in self.targets else "user_input"
            self.program.mutate(self.targets.get(old, old), new, kind)
        elif function == "limit":
            low, high = (ast.literal_eval(bound) for bound in call.args[1:])
            self.program.ranges[call.args[0].id] = {"min_val": low, "max_val": high}
        else:
            annotation = statement.annotation if isinstance(statement, ast.AnnAssign) else None
            graph.call(
                name or f"{function}#{len(graph.json['nodes'])}",
                function,
                [self.value(argument) for argument in call.args],
                {keyword.arg: self.value(keyword.value) for keyword in call.keywords},
                self.results(graph, name, annotation),
                f'File "decoder.py", line {statement.lineno}, in forward\n    ...',
            )

    def parse(self, text):
        lines = ["" if line.lstrip().startswith("//") else line for line in text.split("\n")]
        for statement in ast.parse("\n".join(lines)).body:
            self.statement(self.program, statement)
        return self.program


def main():
    parser = argparse.ArgumentParser(description="Write a program as a .pt2 archive.")
    parser.add_argument("text", help="the program")
    parser.add_argument("-o", "--output", required=True, help="the .pt2 file")
    parser.add_argument("--edit", default="", help="Python that changes `model`, `program`")
    parser.add_argument("--entries", default="", help="Python that changes `entries`, contents by name")
    parser.add_argument("--compress", action="store_true")
    arguments = parser.parse_args()
    with open(arguments.text) as file:
        program = Parser().parse(file.read())
    model = program.model()
    exec(arguments.edit, {"model": model, "program": program, "graph": program.json})
    entries = program.entries(model)
    exec(arguments.entries, {"entries": entries, "json": json, "io": io})
    write_archive(arguments.output, entries, method=zipfile.ZIP_DEFLATED if arguments.compress else zipfile.ZIP_STORED)


if __name__ == "__main__":
    main()
