# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Exports a trained checkpoint as ONNX.

    python -m pquant.export CHECKPOINT -o model.onnx [--form qat|folded|deployment] [--cache] [--tokenizer spm.model]

CHECKPOINT is model.pt or checkpoint.pt of `pquant.train`: what `torch.save` wrote of a dict with `config`, JSON text of
the fields of a `pquant.decoder.DecoderConfig`, and `weights`, a state dict with the weight names of `pquant.decoder`.
An optional `generation`, JSON text, has generation settings. Needs torch, to read the file, and python3-onnx.
"""

import argparse
import json
import os
import pickle
import sys

import numpy as np
import onnx

from pquant import metadata
from pquant.decoder import DecoderConfig, NamedWeights
from pquant.decoder_onnx import FORMS, DecoderExporter
from pquant.onnx_graph import ExternalData, GraphBuilder


def read_checkpoint(path: str) -> tuple:
    """The configuration, the weights and the generation settings of a checkpoint."""
    import torch

    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(checkpoint, dict) or not {"config", "weights"} <= set(checkpoint):
        raise ValueError("expected a checkpoint with 'config' and 'weights'")
    arrays = {name: np.asarray(tensor.detach().float().numpy()) for name, tensor in checkpoint["weights"].items()}
    config = DecoderConfig.from_dict(json.loads(checkpoint["config"]))
    return config, NamedWeights(arrays), json.loads(checkpoint.get("generation", "null"))


def main() -> None:
    parser = argparse.ArgumentParser(description="Export a trained checkpoint as ONNX.")
    parser.add_argument("checkpoint")
    parser.add_argument("-o", "--output", required=True, help="the .onnx file")
    parser.add_argument("--form", choices=FORMS, default="deployment")
    parser.add_argument("--no-residue", action="store_true", help="leave out the straight-through x + (q - x)")
    parser.add_argument("--cache", action="store_true", help="one step with keys and values of earlier tokens")
    parser.add_argument("--external-data", action="store_true", help="weights in a file beside the model, <stem>.data")
    metadata.add_arguments(parser)
    arguments = parser.parse_args()
    try:
        config, weights, generation = read_checkpoint(arguments.checkpoint)
        entries = metadata.from_arguments(arguments, arguments.form, config, generation)
        external = None
        if arguments.external_data:
            folder, name = os.path.split(os.path.abspath(arguments.output))
            external = ExternalData(folder, os.path.splitext(name)[0] + ".data")
        builder, residue = GraphBuilder(external), not arguments.no_residue
        model = DecoderExporter(config, weights, builder, arguments.form, residue, arguments.cache, entries).export()
    except (ValueError, KeyError, OSError, RuntimeError, pickle.UnpicklingError) as error:
        sys.exit(f"error: {error.args[0] if isinstance(error, KeyError) else error}")
    if external:
        external.file.close()
    onnx.save(model, arguments.output)
    onnx.checker.check_model(arguments.output)


if __name__ == "__main__":
    main()
