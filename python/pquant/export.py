# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Exports a trained checkpoint as ONNX or, in training form, as a .pt2 file.

    python -m pquant.export CHECKPOINT -o model.onnx [--form qat|folded|deployment] [--cache] [--tokenizer spm.model]
    python -m pquant.export CHECKPOINT -o model.onnx --exporter torchscript|dynamo [--opset N]
    python -m pquant.export CHECKPOINT -o model.pt2 [--decompose]
    python -m pquant.export FOLDER -o model.onnx [--cache] [--external-data]

CHECKPOINT is model.pt or checkpoint.pt of `pquant.train`: what `torch.save` wrote of a dict with `config`, JSON text of
the fields of a `pquant.decoder.DecoderConfig`, and `weights`, a state dict with the weight names of `pquant.decoder`.
An optional `generation`, JSON text, has generation settings. Needs torch, to read the file, and python3-onnx.

FOLDER is a ternary checkpoint of Hugging Face's transformers (`pquant.bitnet`); it is written in deployment form and
needs no torch.

The graph is written node by node by `pquant.decoder_onnx`, at opset 17; or, with `--exporter`, traced by PyTorch, in
training form only: `torchscript` at opset 17 (default), `dynamo` (PyTorch 2) at opset 18 or later.
"""

import argparse
import json
import os
import sys

import numpy as np
import onnx

from pquant import bitnet, metadata
from pquant.checkpoint import read_checkpoint
from pquant.decoder import DecoderConfig, NamedWeights
from pquant.decoder_onnx import FORMS, DecoderExporter
from pquant.onnx_graph import ExternalData, GraphBuilder


def read_model(path: str) -> tuple:
    """The configuration, the weights and the generation settings of a checkpoint."""
    checkpoint = read_checkpoint(path)
    arrays = {name: np.asarray(tensor.detach().float().numpy()) for name, tensor in checkpoint["weights"].items()}
    config = DecoderConfig.from_dict(json.loads(checkpoint["config"]))
    return config, NamedWeights(arrays), json.loads(checkpoint.get("generation", "null"))


def export_traced(arguments: argparse.Namespace) -> None:
    """By PyTorch's own exporters: .pt2, or ONNX with the metadata of the other forms."""
    from pquant import nn

    if arguments.form not in ("", "qat") or arguments.no_residue or arguments.cache or arguments.external_data:
        raise ValueError("expected the training form, without --no-residue, --cache and --external-data, from PyTorch")
    model = nn.load_model(arguments.checkpoint)
    if arguments.output.endswith(".pt2"):
        nn.export_program(model, arguments.output, arguments.decompose)
        return
    dynamo = arguments.exporter == "dynamo"
    nn.export_onnx(model, arguments.output, arguments.opset or (18 if dynamo else 17), dynamo)
    written = onnx.load(arguments.output)
    generation = read_model(arguments.checkpoint)[2]
    onnx.helper.set_model_props(written, metadata.from_arguments(arguments, "qat", model.config, generation))
    onnx.save(written, arguments.output)


def export_written(arguments: argparse.Namespace) -> None:
    """By DecoderExporter."""
    form = arguments.form or "deployment"
    is_folder = os.path.isdir(arguments.checkpoint)
    if is_folder and form != "deployment":
        raise ValueError("expected deployment form for a folder of packed weights")
    exporter = bitnet.BitNetExporter if is_folder else DecoderExporter
    config, weights, generation = (bitnet.read_model if is_folder else read_model)(arguments.checkpoint)
    entries = metadata.from_arguments(arguments, form, config, generation)
    external = None
    if arguments.external_data:
        folder, name = os.path.split(os.path.abspath(arguments.output))
        external = ExternalData(folder, os.path.splitext(name)[0] + ".data")
    builder, residue = GraphBuilder(external), not arguments.no_residue
    model = exporter(config, weights, builder, form, residue, arguments.cache, entries).export()
    if external:
        external.file.close()
    onnx.save(model, arguments.output)
    onnx.checker.check_model(arguments.output)


def main() -> None:
    parser = argparse.ArgumentParser(prog="pquant.export", description="Export a trained checkpoint.")
    parser.add_argument("checkpoint", help="a file of pquant.train, or a folder of transformers")
    parser.add_argument("-o", "--output", required=True, help="the .onnx or .pt2 file")
    parser.add_argument("--form", choices=FORMS, default="", help="deployment, but qat from PyTorch's exporters")
    parser.add_argument("--no-residue", action="store_true", help="leave out the straight-through x + (q - x)")
    parser.add_argument("--cache", action="store_true", help="one step with keys and values of earlier tokens")
    parser.add_argument("--external-data", action="store_true", help="weights in a file beside the model, <stem>.data")
    parser.add_argument("--exporter", choices=("torchscript", "dynamo"), help="one of PyTorch's ONNX exporters")
    parser.add_argument("--opset", type=int, default=0, help="with --exporter (17, 18)")
    parser.add_argument("--decompose", action="store_true", help="a .pt2 file in the Core ATen operators")
    metadata.add_arguments(parser)
    arguments = parser.parse_args()
    traced = arguments.exporter or arguments.output.endswith(".pt2")
    if traced and os.path.isdir(arguments.checkpoint):
        parser.error("expected a file of pquant.train for PyTorch's exporters, but got a folder")
    try:
        (export_traced if traced else export_written)(arguments)
    except (ValueError, KeyError, OSError, RuntimeError) as error:
        sys.exit(f"error: {error.args[0] if isinstance(error, KeyError) else error}")


if __name__ == "__main__":
    main()
