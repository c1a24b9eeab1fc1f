# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The Python side of pquant.

- `pquant.compile("model.onnx")`, `pquant.load("model.so")(**arrays)`: the compiler and compiled models.
- `pquant.reference`: what every quantised operation computes, in NumPy; the oracle of the tests.
- `pquant.decoder`: a pQuant decoder as an ONNX graph and as a NumPy function.
- `pquant.onnx_eval`: evaluates such graphs, node by node, in NumPy.
- `python -m pquant.make_sample`, `python -m pquant.make_large`: model generators.
- `pquant.nn`, `pquant.training`: layers, language models and their training in PyTorch.
- `python -m pquant.prepare`, `pquant.train`, `pquant.eval`, `pquant.generate`: from text files to a trained model.
- `python -m pquant.export`: trained checkpoints as ONNX.
- `pquant.sampling`: how tokens are drawn; `python -m pquant.convert_tokenizer`: tokenizer.json to a SentencePiece model.

Only NumPy is needed to import the package; what writes or reads ONNX files needs `onnx`, what trains needs `torch`.
"""

from pquant.compiler import CompileError, compile
from pquant.runtime import Error, Model, TensorSpec, load

__all__ = ["CompileError", "Error", "Model", "TensorSpec", "compile", "load"]
__version__ = "0.1.0"
