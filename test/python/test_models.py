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

from pquant import metadata, onnx_eval, onnx_functions
from pquant import reference as ref
from pquant.decoder import VARIANTS, DecoderConfig, NamedWeights, RandomWeights, empty_cache, evaluate, evaluate_step
from pquant.decoder_onnx import FORMS, DecoderExporter
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
    def check(self, config, form="qat", residue=True, seed=0, tolerance=5e-3):
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
            self.assertLess(relative(got, evaluate(config, weights, ids)), tolerance)

    def test_qat(self):
        for residue in (False, True):
            self.check(DecoderConfig(**SMALL), residue=residue)

    def test_folded(self):
        self.check(DecoderConfig(**SMALL), "folded")

    def test_deployment(self):
        for experts in (1, 2):
            self.check(DecoderConfig(**SMALL, experts=experts), "deployment", tolerance=1e-5)
        self.check(DecoderConfig(**SMALL, kv_heads=2), "deployment", tolerance=1e-5)

    def test_deployment_columns_off_bytes(self):
        sizes = dict(vocab=20, hidden=12, blocks=1, heads=2, ffn=17, high_precision=4)
        for variant in ("pquant", "bitnet158"):
            self.check(DecoderConfig(**sizes, variant=variant), "deployment")

    def test_variants(self):
        for variant in VARIANTS:
            for form in FORMS:
                self.check(DecoderConfig(**SMALL, variant=variant), form, residue=False)

    def test_experts(self):
        self.check(DecoderConfig(**SMALL, experts=4))

    def test_grouped_heads(self):
        self.check(DecoderConfig(**SMALL, kv_heads=2))
        self.check(DecoderConfig(**SMALL, kv_heads=1), "folded")

    def test_formulas(self):
        for formula in ("mul_recip", "mul_div", "div"):
            for guard in ("max", "add"):
                for form in FORMS:
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
        for sizes in (dict(heads=5), dict(kv_heads=3), dict(ffn=16), dict(experts=0), dict(variant="half")):
            with self.assertRaises(ValueError):
                DecoderConfig(**{**SMALL, **sizes})
        with self.assertRaisesRegex(ValueError, "expected form qat, folded, deployment, but got half"):
            DecoderExporter(DecoderConfig(**SMALL), RandomWeights(0), GraphBuilder(), "half")


class CacheTest(unittest.TestCase):
    def test_steps_are_the_whole(self):
        for variant in VARIANTS:
            config, weights = DecoderConfig(**SMALL, kv_heads=2, variant=variant), RandomWeights(1)
            ids = np.random.default_rng(1).integers(0, config.vocab, (2, 7))
            want, cache, parts = evaluate(config, weights, ids), empty_cache(config, 2), []
            for part in (ids[:, :4], ids[:, 4:5], ids[:, 5:]):
                logits, cache = evaluate_step(config, weights, part, cache)
                parts.append(logits)
            self.assertEqual(cache[0][0].shape, (2, 2, 7, 8))
            self.assertLess(relative(np.concatenate(parts, 1), want), 5e-3)

    def test_graph(self):
        config, weights = DecoderConfig(**SMALL, kv_heads=2, experts=2), RandomWeights(2)
        ids = np.random.default_rng(2).integers(0, config.vocab, (2, 9))
        for form in FORMS:
            model = DecoderExporter(config, weights, GraphBuilder(), form, cache=True).export()
            onnx.checker.check_model(model, full_check=True)
            names = [value.name for value in model.graph.input]
            self.assertEqual(names[:3], ["input_ids", "past_key_values.0.key", "past_key_values.0.value"])
            self.assertEqual(model.graph.output[-1].name, "present.1.value")
            cache = empty_cache(config, 2)
            for part in (ids[:, :5], ids[:, 5:6], ids[:, 6:]):
                arrays = dict(zip(names, [part, *(array for pair in cache for array in pair)]))
                got = onnx_eval.evaluate(model, arrays)
                logits, cache = evaluate_step(config, weights, part, cache)
                for y, want in zip(got, [logits, *(array for pair in cache for array in pair)]):
                    self.assertEqual(y.shape, want.shape)
                    self.assertLess(relative(y, want), 5e-3)


class FunctionTest(unittest.TestCase):
    """Bodies of the functions of domain pquant against the reference: the same bits."""

    def evaluate(self, name, inputs, **attributes):
        outputs = ["values", "step"] if name.startswith("Quantize") else ["y"]
        node = helper.make_node(name, list(inputs), outputs, domain="pquant", **attributes)
        graph = helper.make_graph([node], "g", [], [helper.make_empty_tensor_value_info(n) for n in outputs])
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid("pquant", 1)]
        model = helper.make_model(graph, opset_imports=opsets, functions=[onnx_functions.make_function(name)])
        return onnx_eval.evaluate(model, inputs)

    def setUp(self):
        rng = np.random.default_rng(3)
        self.x = rng.standard_normal((2, 5, 37)).astype(np.float32)
        self.x[0, 0] = 0
        self.weight = rng.standard_normal((11, 37)).astype(np.float32)
        self.values, self.step = ref.quantize(self.x)
        self.rows = {"values": self.values, "step": self.step}

    def test_quantizers(self):
        for formula, name in onnx_functions.QUANTIZERS.items():
            for guard in ("max", "add"):
                quantizer = Quantizer(formula, guard=guard, qmin=-127)
                eps = (quantizer.eps, 0.0) if guard == "max" else (0.0, quantizer.eps)
                got = self.evaluate(name, {"x": self.x}, floor=eps[0], offset=eps[1], qmin=-127, qmax=127)
                for y, want in zip(got, ref.quantize(self.x, quantizer)):
                    self.assertEqual(y.dtype, want.dtype)
                    np.testing.assert_array_equal(y, want)

    def test_binary(self):
        bits, scale = ref.binarize_weight(self.weight)
        packed = ref.pack_rows(bits)
        self.assertEqual(packed.shape, (11, 5))
        self.assertEqual(packed[0, 0] & 1, bits[0, 0])
        np.testing.assert_array_equal(ref.unpack_rows(packed, 37), bits)
        inputs = {**self.rows, "bits": packed, "scale": np.reshape(scale, 1)}
        (got,) = self.evaluate("BinaryLinear", inputs, columns=37)
        np.testing.assert_array_equal(got, ref.binary_linear(self.values, self.step, [bits], [np.reshape(scale, (1, 1))]))

    def test_int8(self):
        weight, scale = ref.quantize_weight(self.weight)
        (got,) = self.evaluate("Int8Linear", {**self.rows, "weight": weight, "scale": np.reshape(scale, 1)})
        np.testing.assert_array_equal(got, ref.int8_linear(self.values, self.step, weight, scale))

    def test_ternary(self):
        weight, scale = ref.ternarize_weight(self.weight)
        self.assertEqual(np.unique(weight).tolist(), [-1, 0, 1])
        planes = {"nonnegative": ref.pack_rows(weight >= 0), "positive": ref.pack_rows(weight > 0)}
        (got,) = self.evaluate(
            "TernaryLinear", {**self.rows, **planes, "scale": np.reshape(scale, 1)}, columns=37
        )
        np.testing.assert_allclose(got, ref.ternary_linear(self.values, self.step, weight, scale), rtol=1e-6, atol=1e-6)


class MetadataTest(unittest.TestCase):
    def test_round_trip(self):
        config = DecoderConfig(**SMALL)
        entries = metadata.build("deployment", config, b"\0spm\xff", {"bos_id": 1, "eos_id": 2, "temperature": 0.5})
        model = DecoderExporter(config, RandomWeights(0), GraphBuilder(), "deployment", metadata=entries).export()
        read = metadata.read(onnx.load_from_string(model.SerializeToString()))
        self.assertEqual((read["form"], read["format"]), ("deployment", "1"))
        self.assertEqual(DecoderConfig.from_dict(read["config"]), config)
        self.assertEqual((read["tokenizer.kind"], read["tokenizer.model"]), ("sentencepiece", b"\0spm\xff"))
        self.assertEqual(read["generation"], {"bos_id": 1, "eos_id": 2, "temperature": 0.5})

    def test_rejects(self):
        model = DecoderExporter(DecoderConfig(**SMALL), RandomWeights(0), GraphBuilder()).export()
        self.assertEqual(metadata.read(model), {})
        model.metadata_props.add(key="pquant.format", value="2")
        with self.assertRaisesRegex(ValueError, "expected metadata of format 1, but got 2"):
            metadata.read(model)
        with self.assertRaisesRegex(ValueError, "expected fields of DecoderConfig, but got width"):
            DecoderConfig.from_dict({"width": 3})


class NamedWeightsTest(unittest.TestCase):
    def test_checkpoint_weights(self):
        """Given weights, alpha and beta take the place of the random ones and of the configuration."""
        config, names = DecoderConfig(**SMALL), {}

        class Recorder(RandomWeights):
            def matrix(self, name, shape, deviation=0.0):
                names[name] = super().matrix(name, shape, deviation)
                return names[name]

            def norm(self, name, size):
                names[name] = super().norm(name, size)
                return names[name]

        ids = np.arange(6).reshape(2, 3)
        want = evaluate(config, Recorder(0), ids)
        np.testing.assert_array_equal(evaluate(config, NamedWeights(names), ids), want)
        names.update({f"blocks.{b}.ffn.alpha": np.float32([0.5]) for b in range(2)})
        given = NamedWeights(names)
        changed = evaluate(config, given, ids)
        self.assertGreater(relative(changed, want), 1e-2)
        model = DecoderExporter(config, given, GraphBuilder(), "deployment").export()
        (got,) = onnx_eval.evaluate(model, {"input_ids": ids})
        self.assertLess(relative(got, changed), 1e-5)
        with self.assertRaisesRegex(KeyError, "expected a weight none"):
            given.matrix("none", (1,))
        with self.assertRaisesRegex(ValueError, r"expected norm.weight of shape \(1,\), but got \(32,\)"):
            given.norm("norm.weight", 1)


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
        for form in FORMS:
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
