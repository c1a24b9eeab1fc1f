# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes the sample model: a small pQuant language model with random weights, and what it computes.

    python -m pquant.make_sample OUT.onnx [--seed N] [--experts N] ...

writes OUT.onnx (training form, dynamic batch and sequence) and OUT.npz with `in0` (token ids) and `out0` (logits by the
NumPy reference). Needs python3-onnx and NumPy, no torch.
"""

import argparse
import os

import numpy as np
import onnx

from pquant.decoder import DecoderConfig, RandomWeights, evaluate
from pquant.decoder_onnx import FORMS, DecoderExporter
from pquant.onnx_graph import GraphBuilder
from pquant.reference import Quantizer


def write_case(path: str, config: DecoderConfig, seed: int, batch: int, length: int) -> None:
    """Token ids and the reference's logits, as in0 and out0."""
    ids = np.random.default_rng(seed).integers(0, config.vocab, (batch, length))
    np.savez(path, in0=ids, out0=evaluate(config, RandomWeights(seed), ids))


def main() -> None:
    parser = argparse.ArgumentParser(description="Write a small pQuant language model as ONNX.")
    parser.add_argument("output", help="the .onnx file; the .npz gets the same stem")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--experts", type=int, default=2, help="INT8 branches, 1 for no router")
    parser.add_argument("--kv-heads", type=int, default=4, help="key and value heads, a divisor of 4")
    parser.add_argument("--form", choices=FORMS, default="qat")
    parser.add_argument("--formula", choices=("mul_recip", "mul_div", "div"), default="mul_recip")
    parser.add_argument("--no-residue", action="store_true", help="leave out the straight-through x + (q - x)")
    parser.add_argument("--batch", type=int, default=1, help="rows of the .npz")
    parser.add_argument("--length", type=int, default=24, help="tokens of each row of the .npz")
    arguments = parser.parse_args()
    config = DecoderConfig(
        experts=arguments.experts, kv_heads=arguments.kv_heads, quantizer=Quantizer(arguments.formula)
    )
    weights = RandomWeights(arguments.seed)
    exporter = DecoderExporter(config, weights, GraphBuilder(), arguments.form, not arguments.no_residue)
    model = exporter.export()
    onnx.checker.check_model(model)
    onnx.save(model, arguments.output)
    case = os.path.splitext(arguments.output)[0] + ".npz"
    write_case(case, config, arguments.seed, arguments.batch, arguments.length)


if __name__ == "__main__":
    main()
