"""Writes an ONNX model whose weights lie in a .safetensors file, with what NumPy computes for it.

    safetensors_data.py FOLDER

FOLDER/model.onnx holds no weights: its external data are parts of FOLDER/model.safetensors, where none starts at a
multiple of its element size. Two layers: packed ternary weights behind a quantiser, and a float head.
"""

import json
import os
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pquant import reference

ROWS, COLUMNS, WORDS = 40, 72, 33
F32 = np.float32
TYPES = {"float32": ("F32", TensorProto.FLOAT), "uint8": ("U8", TensorProto.UINT8), "int64": ("I64", TensorProto.INT64)}


def write_safetensors(path, tensors):
    """8 bytes with the length of a JSON header, the header, the data. Returns where the data of each tensor start."""
    header, offsets, end = {}, {}, 0
    for name, array in tensors.items():
        header[name] = {"dtype": TYPES[array.dtype.name][0], "shape": list(array.shape),
                        "data_offsets": [end, end + array.nbytes]}
        offsets[name], end = end, end + array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-(len(text) + 1) % 4)  # the usual writer pads to 8 bytes, others need not
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for array in tensors.values():
            file.write(np.ascontiguousarray(array).tobytes())
    return {name: 8 + len(text) + offset for name, offset in offsets.items()}


def external(name, array, offset):
    tensor = TensorProto(name=name, data_type=TYPES[array.dtype.name][1], dims=array.shape,
                         data_location=TensorProto.EXTERNAL)
    for key, value in (("location", "model.safetensors"), ("offset", offset), ("length", array.nbytes)):
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def main(folder):
    os.makedirs(folder, exist_ok=True)
    rng = np.random.default_rng(5)
    ternary = rng.integers(-1, 2, (ROWS, COLUMNS)).astype(np.int8)
    quarters = (ternary + 1).astype(np.uint8).reshape(4, ROWS // 4, COLUMNS)
    packed = quarters[0] | quarters[1] << 2 | quarters[2] << 4 | quarters[3] << 6
    scale, head = F32([2.5]), rng.standard_normal((ROWS, WORDS)).astype(F32)
    tensors = {"layer.weight": packed, "layer.weight_scale": scale, "head.weight": head}
    offsets = write_safetensors(os.path.join(folder, "model.safetensors"), tensors)
    numbers = {"last": np.array([-1]), "eps": F32(1e-5), "c127": F32(127), "low": F32(-128), "one": F32(1),
               "three": np.uint8(3), **{f"shift{i}": np.uint8(2 * i) for i in range(4)}}
    nodes = [("Abs", "x", "abs"), ("ReduceMax", "abs last", "largest"), ("Max", "largest eps", "m"), ("Div", "c127 m", "g"),
             ("Mul", "x g", "scaled"), ("Round", "scaled", "rounded"), ("Clip", "rounded low c127", "q")]
    for i in range(4):
        nodes += [("BitShift", f"layer.weight shift{i}", f"moved{i}"), ("BitwiseAnd", f"moved{i} three", f"part{i}")]
    nodes += [("Concat", "part0 part1 part2 part3", "codes"), ("Cast", "codes", "floats"), ("Sub", "floats one", "w"),
              ("Transpose", "w", "wt"), ("MatMul", "q wt", "p"), ("Mul", "layer.weight_scale g", "d"),
              ("Div", "p d", "h"), ("MatMul", "h head.weight", "y")]
    attributes = {"BitShift": {"direction": "RIGHT"}, "Concat": {"axis": 0}, "Cast": {"to": 1}}
    nodes = [helper.make_node(op, inputs.split(), [output], **attributes.get(op, {})) for op, inputs, output in nodes]
    initializers = [numpy_helper.from_array(np.asarray(array), name) for name, array in numbers.items()]
    initializers += [external(name, array, offsets[name]) for name, array in tensors.items()]
    info = helper.make_tensor_value_info
    graph = helper.make_graph(nodes, "model", [info("x", 1, ["rows", COLUMNS])], [info("y", 1, ["rows", WORDS])],
                              initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 8
    onnx.save(model, os.path.join(folder, "model.onnx"))
    x = rng.standard_normal((5, COLUMNS)).astype(F32)
    values, step = reference.quantize(x, reference.Quantizer("mul_div"))
    hidden = reference.ternary_linear(values, step, ternary, 1 / scale[0])
    np.savez(os.path.join(folder, "run.npz"), in0=x, out0=hidden @ head)


main(sys.argv[1])
