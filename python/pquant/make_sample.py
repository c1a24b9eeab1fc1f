# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes the sample model: a small pQuant language model with random weights, and what it computes.

    python -m pquant.make_sample OUT.onnx [--seed N] [--experts N] [--form deployment] [--cache] ...

writes OUT.onnx (training form by default, dynamic batch and sequence) and OUT.npz with `in0` (token ids) and `out0`
(logits by the NumPy reference). With --cache the arrays are those of one step: `in1`, `in2`, ... are the keys and
values of `--past` tokens, `out1`, `out2`, ... the grown ones. Needs python3-onnx and NumPy, no torch.
"""

import argparse
import os

import numpy as np
import onnx

from pquant import metadata
from pquant.decoder import VARIANTS, DecoderConfig, RandomWeights, empty_cache, evaluate_step
from pquant.decoder_onnx import FORMS, DecoderExporter
from pquant.onnx_graph import GraphBuilder
from pquant.reference import Quantizer


def write_case(path: str, config: DecoderConfig, seed: int, batch: int, length: int, past: int = -1) -> None:
    """Token ids and the reference's logits, as in0 and out0; with past >= 0 those of a step after as many tokens."""
    weights, generator = RandomWeights(seed), np.random.default_rng(seed)
    ids = generator.integers(0, config.vocab, (batch, length))
    before = empty_cache(config, batch)
    if past > 0:
        before = evaluate_step(config, weights, generator.integers(0, config.vocab, (batch, past)))[1]
    logits, present = evaluate_step(config, weights, ids, before)
    arrays = {"in0": ids, "out0": logits}
    if past >= 0:
        for kind, cache in (("in", before), ("out", present)):
            flat = [array for pair in cache for array in pair]
            arrays.update({f"{kind}{i}": array for i, array in enumerate(flat, 1)})
    np.savez(path, **arrays)


def main() -> None:
    parser = argparse.ArgumentParser(description="Write a small pQuant language model as ONNX.")
    parser.add_argument("output", help="the .onnx file; the .npz gets the same stem")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--experts", type=int, default=2, help="INT8 branches, 1 for no router")
    parser.add_argument("--kv-heads", type=int, default=4, help="key and value heads, a divisor of 4")
    parser.add_argument("--variant", choices=VARIANTS, default="pquant")
    parser.add_argument("--form", choices=FORMS, default="qat")
    parser.add_argument("--formula", choices=("mul_recip", "mul_div", "div"), default="mul_recip")
    parser.add_argument("--no-residue", action="store_true", help="leave out the straight-through x + (q - x)")
    parser.add_argument("--cache", action="store_true", help="one step with keys and values of earlier tokens")
    parser.add_argument("--batch", type=int, default=1, help="rows of the .npz")
    parser.add_argument("--length", type=int, default=24, help="tokens of each row of the .npz")
    parser.add_argument("--past", type=int, default=8, help="earlier tokens of the .npz, with --cache")
    metadata.add_arguments(parser)
    arguments = parser.parse_args()
    config = DecoderConfig(
        experts=arguments.experts,
        kv_heads=arguments.kv_heads,
        quantizer=Quantizer(arguments.formula),
        variant=arguments.variant,
    )
    entries = metadata.from_arguments(arguments, arguments.form, config)
    exporter = DecoderExporter(
        config,
        RandomWeights(arguments.seed),
        GraphBuilder(),
        arguments.form,
        residue=not arguments.no_residue,
        cache=arguments.cache,
        metadata=entries,
    )
    model = exporter.export()
    onnx.checker.check_model(model)
    onnx.save(model, arguments.output)
    case = os.path.splitext(arguments.output)[0] + ".npz"
    past = arguments.past if arguments.cache else -1
    write_case(case, config, arguments.seed, arguments.batch, arguments.length, past)


if __name__ == "__main__":
    main()
