# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A small builder of ONNX graphs whose weights may stream to an external file, with functions of domain `pquant`."""

import os
from contextlib import contextmanager
from typing import Dict, List, Optional, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pquant import onnx_functions

OPSET = 17
IR_VERSION = 8
ALIGNMENT = 4096
ELEMENT_TYPES = {"float32": TensorProto.FLOAT, "int8": TensorProto.INT8, "uint8": TensorProto.UINT8}


class ExternalData:
    """One file that weights are appended to, each at a multiple of 4096 bytes."""

    def __init__(self, folder: str, name: str):
        self.name = name
        self.file = open(os.path.join(folder, name), "wb")

    def add(self, tensor: TensorProto, array: np.ndarray) -> None:
        """Writes `array` (little-endian) and makes `tensor` point at it."""
        self.file.write(b"\0" * (-self.file.tell() % ALIGNMENT))
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", self.name), ("offset", self.file.tell()), ("length", array.nbytes)):
            tensor.external_data.add(key=key, value=str(value))
        self.file.write(np.ascontiguousarray(array).data)


class GraphBuilder:
    """Collects nodes and initialisers; values are named `<scope>/<op type>_<n>` as torch's exporter does."""

    def __init__(self, external: Optional[ExternalData] = None):
        self.external = external
        self.nodes: List[onnx.NodeProto] = []
        self.initializers: List[TensorProto] = []
        self._constants: Dict[tuple, str] = {}
        self._weights: set = set()
        self._functions: Dict[str, onnx.FunctionProto] = {}
        self._counts: Dict[str, int] = {}
        self._scope: List[str] = []

    @contextmanager
    def scope(self, name: str):
        """Prefixes the names of what is built inside."""
        self._scope.append(name)
        yield
        self._scope.pop()

    def _fresh(self, kind: str) -> str:
        stem = "".join(f"/{part}" for part in self._scope) + f"/{kind}"
        count = self._counts[stem] = self._counts.get(stem, 0) + 1
        return stem if count == 1 else f"{stem}_{count - 1}"

    def op(self, kind: str, *inputs: str, outputs: int = 1, **attributes):
        """Adds a node. Returns its output's name, or the list of names when there are several."""
        name = self._fresh(kind)
        results = [f"{name}_output_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), results, name=name, **attributes))
        return results[0] if outputs == 1 else results

    def call(self, function: str, *inputs: str, outputs: int = 1, **attributes):
        """Calls a function of domain `pquant`, which the model then holds."""
        if function not in self._functions:
            self._functions[function] = onnx_functions.make_function(function)
        return self.op(function, *inputs, outputs=outputs, domain=onnx_functions.DOMAIN, **attributes)

    def constant(self, value, dtype=np.float32) -> str:
        """A Constant node, shared between equal values."""
        array = np.asarray(value, dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            scopes, self._scope = self._scope, []
            self._constants[key] = self.op("Constant", value=numpy_helper.from_array(array))
            self._scope = scopes
        return self._constants[key]

    def weight(self, name: str, array: np.ndarray) -> str:
        """An initialiser; a matrix goes to the external file when there is one."""
        if name in self._weights:
            raise ValueError(f"expected a new weight name, but got {name} again")
        self._weights.add(name)
        if self.external is None or array.ndim < 2:
            self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
            return name
        tensor = TensorProto(name=name, data_type=ELEMENT_TYPES[array.dtype.name], dims=array.shape)
        self.external.add(tensor, np.asarray(array, array.dtype.newbyteorder("<")))
        self.initializers.append(tensor)
        return name

    def model(
        self, name: str, inputs: Sequence, outputs: Sequence, producer: str, metadata: Optional[Dict[str, str]] = None
    ) -> onnx.ModelProto:
        """The finished model. Inputs and outputs are value infos."""
        graph = helper.make_graph(self.nodes, name, list(inputs), list(outputs), self.initializers)
        opset = [helper.make_opsetid("", OPSET)]
        if self._functions:
            opset.append(helper.make_opsetid(onnx_functions.DOMAIN, onnx_functions.VERSION))
        model = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION, producer_name=producer)
        model.functions.extend(self._functions.values())
        for key, value in (metadata or {}).items():
            model.metadata_props.add(key=key, value=value)
        return model
