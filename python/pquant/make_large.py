# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes a large pQuant model with random weights in an external file, to measure the compiler with.

    python -m pquant.make_large OUT_DIR [--hidden 2048 --blocks 24 --ffn 5504 --high-precision 256 ...]

writes OUT_DIR/model.onnx and OUT_DIR/model.data. The defaults are the 1.3B shape of the paper (about 5.4 GB; in
deployment form 0.7 GB, of which embedding and head are 0.5 GB). One weight at a time is in memory.
"""

import argparse
import os
import shutil
import sys

import onnx

from pquant import metadata
from pquant.decoder import VARIANTS, DecoderConfig, RandomWeights
from pquant.decoder_onnx import FORMS, DecoderExporter
from pquant.onnx_graph import ExternalData, GraphBuilder

BITS = {"binary": 1, "ternary": 2, "int8": 8, "float": 32}


def parameters(config: DecoderConfig) -> dict:
    """Weights of all matrices by kind."""
    counts = dict.fromkeys(BITS, 0)
    counts["float"] += 2 * config.vocab * config.hidden
    attention = sum(rows * columns for rows, columns in config.attention_shapes.values())
    counts[config.kind] += config.blocks * attention
    if config.variant != "pquant":
        counts[config.kind] += config.blocks * 3 * config.ffn * config.hidden
        return counts
    counts["binary"] += config.blocks * 3 * (config.ffn - config.high_precision) * config.hidden
    counts["int8"] += config.blocks * 3 * config.experts * config.high_precision * config.hidden
    if config.experts > 1:
        counts["float"] += config.blocks * config.experts * config.hidden
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description="Write a large random pQuant model as ONNX with external data.")
    parser.add_argument("output", help="the folder, made if missing")
    parser.add_argument("--hidden", type=int, default=2048)
    parser.add_argument("--blocks", type=int, default=24)
    parser.add_argument("--ffn", type=int, default=5504, help="units of both branches")
    parser.add_argument("--high-precision", type=int, default=256, help="units of an INT8 branch")
    parser.add_argument("--vocab", type=int, default=32000)
    parser.add_argument("--heads", type=int, default=16)
    parser.add_argument("--kv-heads", type=int, default=0, help="key and value heads, 0 for as many as heads")
    parser.add_argument("--experts", type=int, default=1)
    parser.add_argument("--variant", choices=VARIANTS, default="pquant")
    parser.add_argument("--form", choices=FORMS, default="qat")
    parser.add_argument("--cache", action="store_true", help="one step with keys and values of earlier tokens")
    parser.add_argument("--seed", type=int, default=0)
    arguments = vars(parser.parse_args())
    folder, form, cache, seed = (arguments.pop(key) for key in ("output", "form", "cache", "seed"))
    config = DecoderConfig(**arguments)
    os.makedirs(folder, exist_ok=True)
    counts = parameters(config)
    need = sum(count * (BITS[kind] if form == "deployment" else 32) // 8 for kind, count in counts.items())
    free = shutil.disk_usage(folder).free
    if need > free:
        sys.exit(f"error: the weights need {need / 1e9:.1f} GB in {folder}, but only {free / 1e9:.1f} GB are free")
    external = ExternalData(folder, "model.data")
    builder = GraphBuilder(external)
    entries = metadata.build(form, config)
    exporter = DecoderExporter(config, RandomWeights(seed), builder, form, False, cache, entries)
    model = exporter.export()
    external.file.close()
    path = os.path.join(folder, "model.onnx")
    onnx.save(model, path)
    onnx.checker.check_model(path)
    size = os.path.getsize(os.path.join(folder, "model.data"))
    print(f"{path}: {sum(counts.values()) / 1e6:.1f}M weights, {size / 1e6:.1f} MB of external data")


if __name__ == "__main__":
    main()
