# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The generated ONNX graphs are valid and compute what the NumPy reference computes."""

import hashlib
import os
import subprocess
import sys
import tempfile
import unittest

import numpy as np
import onnx
from onnx import TensorProto, helper, shape_inference

from pquant import onnx_eval
from pquant.decoder import DecoderConfig, RandomWeights, evaluate
from pquant.decoder_onnx import DecoderExporter
from pquant.onnx_graph import GraphBuilder
from pquant.reference import Quantizer

SMALL = dict(vocab=64, hidden=32, blocks=2, heads=4, ffn=48, high_precision=16)


def relative(got, want):
    """Relative L2 error."""
    return np.linalg.norm(got - want) / np.linalg.norm(want)


def run(module, *arguments):
    return subprocess.run(
        [sys.executable, "-m", f"pquant.{module}", *arguments], capture_output=True, text=True, check=False
    )


def digests(folder):
    """The hash of every file in `folder`."""
    result = {}
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), "rb") as file:
            result[name] = hashlib.sha256(file.read()).hexdigest()
    return result


class DecoderGraphTest(unittest.TestCase):
    def check(self, config, form="qat", residue=True, seed=0):
        """The graph, evaluated, agrees with the reference but for activations that round the other way."""
        weights = RandomWeights(seed)
        model = DecoderExporter(config, weights, GraphBuilder(), form, residue).export()
        onnx.checker.check_model(model, full_check=True)
        inferred = shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
        sizes = [d.dim_param or d.dim_value for d in inferred.graph.output[0].type.tensor_type.shape.dim]
        self.assertEqual(sizes, ["batch", "sequence", config.vocab])
        for batch, length in ((1, 1), (2, 7)):
            ids = np.random.default_rng(seed).integers(0, config.vocab, (batch, length))
            (got,) = onnx_eval.evaluate(model, {"input_ids": ids})
            self.assertEqual(got.dtype, np.float32)
            self.assertLess(relative(got, evaluate(config, weights, ids)), 5e-3)

    def test_qat(self):
        for residue in (False, True):
            self.check(DecoderConfig(**SMALL), residue=residue)

    def test_folded(self):
        self.check(DecoderConfig(**SMALL), "folded")

    def test_experts(self):
        self.check(DecoderConfig(**SMALL, experts=4))

    def test_grouped_heads(self):
        self.check(DecoderConfig(**SMALL, kv_heads=2))
        self.check(DecoderConfig(**SMALL, kv_heads=1), "folded")

    def test_formulas(self):
        for formula in ("mul_recip", "mul_div", "div"):
            for guard in ("max", "add"):
                for form in ("qat", "folded"):
                    config = DecoderConfig(**SMALL, experts=2, quantizer=Quantizer(formula, guard=guard))
                    self.check(config, form, residue=False)

    def test_folded_weights_are_grids(self):
        config = DecoderConfig(**SMALL)
        model = DecoderExporter(config, RandomWeights(0), GraphBuilder(), "folded").export()
        weights = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
        one = weights["blocks.0.ffn.one.up.weight"]
        self.assertEqual(one.shape, (32, 32))
        self.assertEqual(len(np.unique(one)), 2)
        self.assertEqual(np.unique(one).sum(), 0)
        int8 = weights["blocks.0.ffn.experts.0.up.weight"]
        self.assertEqual(int8.shape, (32, 16))
        steps = int8 / (np.abs(int8).max() / 127)
        np.testing.assert_allclose(steps, np.rint(steps), atol=1e-4)

    def test_rejects(self):
        for sizes in (dict(heads=5), dict(kv_heads=3), dict(ffn=16), dict(experts=0)):
            with self.assertRaises(ValueError):
                DecoderConfig(**{**SMALL, **sizes})
        with self.assertRaisesRegex(ValueError, "expected form qat or folded, but got half"):
            DecoderExporter(DecoderConfig(**SMALL), RandomWeights(0), GraphBuilder(), "half")


class GeneratorTest(unittest.TestCase):
    def test_sample(self):
        with tempfile.TemporaryDirectory() as a, tempfile.TemporaryDirectory() as b:
            for folder in (a, b):
                done = run("make_sample", f"{folder}/m.onnx")
                self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertEqual(digests(a)["m.onnx"], digests(b)["m.onnx"])
            model, case = onnx.load(f"{a}/m.onnx"), np.load(f"{a}/m.npz")
            self.assertEqual(case["in0"].shape, (1, 24))
            self.assertEqual(case["out0"].shape, (1, 24, 256))
            (got,) = onnx_eval.evaluate(model, {"input_ids": case["in0"]})
            self.assertLess(relative(got, case["out0"]), 5e-3)

    def test_large(self):
        sizes = ("--hidden=32", "--blocks=2", "--ffn=48", "--high-precision=16", "--vocab=64", "--heads=4")
        for form in ("qat", "folded"):
            with tempfile.TemporaryDirectory() as a, tempfile.TemporaryDirectory() as b:
                for folder in (a, b):
                    done = run("make_large", folder, *sizes, "--experts=2", f"--form={form}")
                    self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertEqual(digests(a), digests(b))
                model = onnx.load(f"{a}/model.onnx")
                ids = np.arange(5)[None]
                (got,) = onnx_eval.evaluate(model, {"input_ids": ids})
                want = evaluate(DecoderConfig(**SMALL, experts=2), RandomWeights(0), ids)
                self.assertLess(relative(got, want), 5e-3)

    def test_large_needs_disk(self):
        with tempfile.TemporaryDirectory() as folder:
            done = run("make_large", folder, "--vocab=200000000000")
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stderr, r"error: the weights need .* GB in .*, but only .* GB are free")
            self.assertEqual(os.listdir(folder), [])


class EvaluatorTest(unittest.TestCase):
    def test_refuses_an_unknown_operator(self):
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
        y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
        node = helper.make_node("Acosh", ["x"], ["y"], name="n")
        model = helper.make_model(helper.make_graph([node], "g", [x], [y]))
        with self.assertRaisesRegex(NotImplementedError, "node n: operator Acosh is not evaluated"):
            onnx_eval.evaluate(model, {"x": np.zeros(1, np.float32)})
        with self.assertRaisesRegex(ValueError, "expected inputs x"):
            onnx_eval.evaluate(model, {})


if __name__ == "__main__":
    unittest.main()
