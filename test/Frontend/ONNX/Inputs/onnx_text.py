"""Builds an ONNX model from its text form, for the tests of the ONNX frontend.

Lines that start with `//` are left out, so that a test is the model and its checks in one file.
"""

import argparse
import os
import sys

import onnx
import onnx.numpy_helper
import onnx.parser


def split_external(model, directory, location, names):
    """Moves the raw bytes of the named initialisers to a file beside the model."""
    with open(os.path.join(directory, location), "wb") as file:
        for tensor in model.graph.initializer:
            if tensor.name not in names:
                continue
            data = onnx.numpy_helper.to_array(tensor).tobytes()
            offset = file.seek(-(-file.tell() // 64) * 64)
            file.write(data)
            for field in ("float_data", "int32_data", "int64_data", "raw_data", "double_data", "uint64_data"):
                tensor.ClearField(field)
            tensor.data_location = onnx.TensorProto.EXTERNAL
            for key, value in (("location", location), ("offset", offset), ("length", len(data))):
                tensor.external_data.add(key=key, value=str(value))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("text")
    parser.add_argument("-o", dest="output", required=True)
    parser.add_argument("--node-names", default="", help="comma-separated, in order")
    parser.add_argument("--external", default="", help="FILE:NAME,NAME moves initialisers to FILE")
    parser.add_argument("--edit", default="", help="Python statements run on `model`")
    arguments = parser.parse_args()
    with open(arguments.text, encoding="utf-8") as file:
        text = "".join(line for line in file if not line.lstrip().startswith("//"))
    try:
        model = onnx.parser.parse_model(text)
    except onnx.parser.ParseError as error:
        sys.exit(str(error))
    names = [name for name in arguments.node_names.split(",") if name]
    for node, name in zip(model.graph.node, names):
        node.name = name
    if arguments.external:
        location, _, initializers = arguments.external.partition(":")
        split_external(model, os.path.dirname(os.path.abspath(arguments.output)), location, initializers.split(","))
    if arguments.edit:
        exec(arguments.edit, {"model": model, "onnx": onnx})
    with open(arguments.output, "wb") as file:
        file.write(model.SerializeToString())


if __name__ == "__main__":
    main()
