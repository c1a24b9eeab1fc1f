# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""pQuant layers and language models in PyTorch, for training; needs torch (1.13.1 or 2)."""

from pquant.nn.layers import Attention, Block, DecoupledFFN, GatedFFN, RMSNorm, load_balance
from pquant.nn.linear import BinaryLinear, FloatLinear, Int8Linear, QuantizedLinear, TernaryLinear
from pquant.nn.model import IGNORED, LanguageModel, count_weights, export_onnx, export_program, fake_form, load_model
from pquant.nn.model import save_model

__all__ = [
    "Attention",
    "BinaryLinear",
    "Block",
    "DecoupledFFN",
    "FloatLinear",
    "GatedFFN",
    "IGNORED",
    "Int8Linear",
    "LanguageModel",
    "QuantizedLinear",
    "RMSNorm",
    "TernaryLinear",
    "count_weights",
    "export_onnx",
    "export_program",
    "fake_form",
    "load_balance",
    "load_model",
    "save_model",
]
