# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The PyTorch layers: forward values against the NumPy reference, gradients, shapes, exports."""

import os
import tempfile
import unittest

import numpy as np
import onnx
import torch
from torch.nn import functional as F

from pquant import nn, onnx_eval
from pquant import reference as ref
from pquant.decoder import VARIANTS, DecoderConfig, NamedWeights, evaluate
from pquant.decoder_onnx import DecoderExporter
from pquant.nn import quantizers
from pquant.onnx_graph import GraphBuilder
from pquant.reference import Quantizer

SMALL = dict(vocab=64, hidden=32, blocks=2, heads=4, ffn=48, high_precision=16)
FORMULAS = ("mul_recip", "mul_div", "div")
QUANTIZERS = [Quantizer(formula, guard=guard) for formula in FORMULAS for guard in ("max", "add")]

torch.set_num_threads(1)


def relative(got, want):
    """Relative L2 error."""
    return np.linalg.norm(got - want) / np.linalg.norm(want)


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


class StateDict(NamedWeights):
    """A torch state dict in the place of the random weights of `pquant.decoder`; notes what is asked for."""

    def __init__(self, model):
        super().__init__({name: tensor.numpy() for name, tensor in model.state_dict().items()})
        self.asked = set()

    def matrix(self, name, shape, deviation=0.0):
        self.asked.add(name)
        return super().matrix(name, shape, deviation)

    def scalar(self, name, default):
        self.asked.add(name)
        return super().scalar(name, default)


class QuantizerTest(unittest.TestCase):
    def test_integers(self):
        x = np.concatenate([random(6, 40), np.zeros((1, 40), np.float32), 1e-7 * random(1, 40, seed=1)])
        for quantizer in QUANTIZERS + [Quantizer(qmin=-7, qmax=7)]:
            want, step = ref.quantize(x, quantizer)
            got, got_step = quantizers.absmax_integers(torch.from_numpy(x), quantizer)
            np.testing.assert_array_equal(got.numpy(), want)
            np.testing.assert_array_equal(got_step.numpy()[:, 0], step)

    def test_half_to_even(self):
        got, step = quantizers.absmax_integers(torch.tensor([[127.0, 0.5, 1.5, -0.5, -2.5]]), Quantizer("mul_div"))
        self.assertEqual((got.tolist(), step.item()), ([[127, 0, 2, 0, -2]], 1))

    def test_weights(self):
        weight = random(24, 40) + np.float32(0.1)
        for quantizer in QUANTIZERS:
            values, step = ref.quantize_weight(weight, quantizer)
            got, got_step = quantizers.absmax_integers(torch.from_numpy(weight), quantizer, per_row=False)
            np.testing.assert_array_equal(got.numpy(), values)
            self.assertEqual(got_step.item(), step)
            got = quantizers.fake_absmax(torch.from_numpy(weight), quantizer, per_row=False).numpy()
            np.testing.assert_allclose(got, ref.fake_quantize_weight(weight, quantizer), rtol=0, atol=3e-7)
        bits, scale = ref.binarize_weight(weight)
        got, got_scale = quantizers.binary_integers(torch.from_numpy(weight))
        np.testing.assert_array_equal(got.numpy(), ref.signs(bits))
        self.assertAlmostEqual(got_scale.item(), scale, 6)
        got = quantizers.fake_binary(torch.from_numpy(weight)).numpy()
        np.testing.assert_allclose(got, ref.fake_binarize_weight(weight), atol=1e-6)

    def test_a_zero_weight_is_minus_one(self):
        self.assertEqual(quantizers.binary_integers(torch.zeros(2, 3))[0].tolist(), [[-1] * 3] * 2)

    def test_ternary(self):
        weight = torch.tensor([[0.5, -2.0, 1.0], [-1.0, 0.25, 1.25]])
        got, scale = quantizers.ternary_integers(weight)
        self.assertEqual((got.tolist(), scale.item()), ([[0, -1, 1], [-1, 0, 1]], 1))
        np.testing.assert_array_equal(quantizers.fake_ternary(weight).numpy(), got.numpy())

    def test_gradients(self):
        x = torch.from_numpy(random(4, 8)).requires_grad_()
        outer = torch.from_numpy(random(4, 8, seed=1))
        for fake in (quantizers.fake_absmax, quantizers.fake_binary, quantizers.fake_ternary):
            (got,) = torch.autograd.grad((fake(x) * outer).sum(), x)
            np.testing.assert_array_equal(got.numpy(), outer.numpy())
        for integers in (quantizers.absmax_integers, quantizers.binary_integers, quantizers.ternary_integers):
            values, scale = integers(x)
            self.assertFalse(scale.requires_grad)
            (got,) = torch.autograd.grad((values * scale * outer).sum(), x)
            np.testing.assert_allclose(got.numpy(), outer.numpy(), rtol=1e-6)

    def test_float32_whatever_comes_in(self):
        for dtype in (torch.bfloat16, torch.float64):
            values, step = quantizers.absmax_integers(torch.from_numpy(random(2, 8)).to(dtype))
            self.assertEqual((values.dtype, step.dtype), (torch.float32, torch.float32))


class LinearTest(unittest.TestCase):
    def test_forward(self):
        x = random(5, 40)
        for quantizer in QUANTIZERS:
            rows = ref.quantize(x, quantizer)
            layer = nn.BinaryLinear(40, 24, quantizer)
            bits, scale = ref.binarize_weight(layer.weight.detach().numpy())
            want = ref.binary_linear(*rows, [bits], [np.reshape(scale, (1, 1))])
            np.testing.assert_allclose(layer(torch.from_numpy(x)).detach().numpy(), want, rtol=1e-6)
            layer = nn.Int8Linear(40, 24, quantizer)
            want = ref.int8_linear(*rows, *ref.quantize_weight(layer.weight.detach().numpy(), quantizer))
            np.testing.assert_allclose(layer(torch.from_numpy(x)).detach().numpy(), want, rtol=1e-6)

    def test_ternary(self):
        x, layer = random(5, 40), nn.TernaryLinear(40, 24)
        weight = layer.weight.detach().numpy()
        scale = np.abs(weight).mean()
        values, step = ref.quantize(x)
        want = ref.int8_linear(values, step, np.clip(np.rint(weight / scale), -1, 1).astype(np.int8), scale)
        np.testing.assert_allclose(layer(torch.from_numpy(x)).detach().numpy(), want, rtol=1e-5)

    def test_gradients(self):
        """Those of a plain product of the dequantised operands."""
        for kind in (nn.BinaryLinear, nn.TernaryLinear, nn.Int8Linear):
            layer, x = kind(40, 24), torch.from_numpy(random(5, 40)).requires_grad_()
            outer = torch.from_numpy(random(5, 24, seed=1))
            got = torch.autograd.grad((layer(x) * outer).sum(), (x, layer.weight))
            values, step = quantizers.absmax_integers(x.detach())
            np.testing.assert_allclose(got[0], outer @ layer.fake_weight().detach(), rtol=1e-4, atol=1e-6)
            np.testing.assert_allclose(got[1], outer.T @ (values * step), rtol=1e-4, atol=1e-5)

    def test_autocast_keeps_the_integers(self):
        x = torch.from_numpy(random(5, 40))
        for kind in (nn.BinaryLinear, nn.TernaryLinear, nn.Int8Linear):
            layer = kind(40, 24)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                got = layer(x)
            self.assertEqual(got.dtype, torch.bfloat16)
            np.testing.assert_allclose(got.detach().float(), layer(x).detach(), rtol=2**-7)


class LayerTest(unittest.TestCase):
    def ffn(self, experts, **options):
        torch.manual_seed(0)
        config = DecoderConfig(**SMALL, experts=experts, **options)
        return config, nn.DecoupledFFN(config)

    def test_rms_norm(self):
        x, norm = random(3, 5, 32), nn.RMSNorm(32)
        torch.nn.init.normal_(norm.weight)
        want = ref.rms_norm(x, norm.weight.detach().numpy())
        np.testing.assert_allclose(norm(torch.from_numpy(x)).detach().numpy(), want, rtol=1e-5, atol=1e-6)

    def test_rotary(self):
        x = random(2, 4, 7, 8)
        cos, sin = ref.rotary_tables(np.arange(7), 8)
        tables = [torch.from_numpy(np.concatenate([t, t], -1)) for t in (cos, sin)]
        got = nn.layers.rotate(torch.from_numpy(x), *tables)
        np.testing.assert_allclose(got.numpy(), ref.rotary_embedding(x, cos, sin), rtol=1e-5, atol=1e-6)

    def test_causal_attention(self):
        query, key, value = random(2, 4, 7, 8), random(2, 2, 7, 8, seed=1), random(2, 2, 7, 8, seed=2)
        repeated = [nn.layers.repeat_heads(torch.from_numpy(x), 2) for x in (key, value)]
        want = ref.attention(query, key, value, 8**-0.5, causal=True)
        got = nn.layers.causal_attention(torch.from_numpy(query), *repeated)
        np.testing.assert_allclose(got.numpy(), want, rtol=1e-4, atol=1e-5)
        if hasattr(F, "scaled_dot_product_attention"):
            got = F.scaled_dot_product_attention(torch.from_numpy(query), *repeated, is_causal=True)
            np.testing.assert_allclose(got.numpy(), want, rtol=1e-4, atol=1e-5)

    def test_decoupled_ffn(self):
        """The branch outputs and their sum are those of the reference, with one expert and with four."""
        x = random(2, 9, 32)
        for experts in (1, 4):
            config, ffn = self.ffn(experts, alpha=1.5, beta=0.5)
            weights = {name: t.numpy() for name, t in ffn.state_dict().items()}
            one = {p: ref.binarize_weight(weights[f"one.{p}.weight"]) for p in ("gate", "up", "down")}
            high = {}
            for part in ("gate", "up", "down"):
                stack = [ref.quantize_weight(weights[f"experts.{e}.{part}.weight"]) for e in range(experts)]
                high[part] = (np.stack([v for v, _ in stack]), np.array([s for _, s in stack]))
            routing = ref.route(x, weights["router.weight"]) if experts > 1 else None
            if routing:
                self.assertGreater(len(np.unique(routing[0])), 1)
            want = ref.decoupled_ffn(x, ref.Branch(**one), ref.Branch(**high), routing, 1.5, 0.5)
            got, balance = ffn(torch.from_numpy(x))
            self.assertLess(relative(got.detach().numpy(), want), 5e-3)
            self.assertEqual(balance is None, experts == 1)

    def test_only_the_chosen_expert_learns(self):
        _, ffn = self.ffn(3)
        x = torch.from_numpy(random(1, 1, 32))
        chosen = ffn.probabilities(x).argmax().item()
        ffn(x)[0].pow(2).sum().backward()
        for e, expert in enumerate(ffn.experts):
            for layer in (expert.gate, expert.up, expert.down):
                self.assertEqual(bool(layer.weight.grad.abs().max() > 0), e == chosen)
        self.assertGreater(ffn.router.weight.grad.abs().max(), 0)
        for scale in (ffn.alpha, ffn.beta):
            self.assertNotEqual(scale.grad.item(), 0)

    def test_expert_gradients(self):
        """The masked products and the gathered export form have the same gradients."""
        _, ffn = self.ffn(3)
        outer = torch.from_numpy(random(2, 9, 32, seed=1))

        def gradients():
            x = torch.from_numpy(random(2, 9, 32)).requires_grad_()
            return torch.autograd.grad((ffn(x)[0] * outer).sum(), [x, *ffn.parameters()])

        masked = gradients()
        with nn.fake_form(ffn):
            gathered = gradients()
        for a, b in zip(masked, gathered):
            self.assertLess(relative(a.numpy(), b.numpy()), 2e-2)

    def test_load_balance(self):
        even, one = torch.full((8, 4), 0.25), F.one_hot(torch.zeros(8, dtype=torch.int64), 4).float()
        spread = F.one_hot(torch.arange(8) % 4, 4).float()
        self.assertAlmostEqual(nn.load_balance(even, spread).item(), 1)
        self.assertAlmostEqual(nn.load_balance(one, one).item(), 4)
        logits = torch.zeros(8, 4, requires_grad=True)
        nn.load_balance(logits.softmax(-1), one).backward()
        self.assertTrue((logits.grad[:, 0] > 0).all() and (logits.grad[:, 1:] < 0).all())


class ModelTest(unittest.TestCase):
    def model(self, seed=0, **options):
        torch.manual_seed(seed)
        return nn.LanguageModel(DecoderConfig(**{**SMALL, **options})).eval()

    def test_is_the_reference(self):
        """With its state dict as weights, the NumPy decoder and the ONNX graph give its logits and use every name."""
        for options in (dict(), dict(experts=4), dict(kv_heads=2), dict(experts=2, kv_heads=1)):
            model = self.model(**options)
            ids = np.random.default_rng(0).integers(0, 64, (2, 7))
            with torch.no_grad():
                got = model(torch.from_numpy(ids)).numpy()
            weights = StateDict(model)
            self.assertLess(relative(got, evaluate(model.config, weights, ids)), 1e-2)
            self.assertEqual(set(weights.arrays), weights.asked)
            for form in ("qat", "folded"):
                graph = DecoderExporter(model.config, weights, GraphBuilder(), form).export()
                (want,) = onnx_eval.evaluate(graph, {"input_ids": ids})
                self.assertLess(relative(got, want), 1e-2)

    def test_export(self):
        """torch.onnx.export gives a graph that computes the same at other shapes."""
        for options in (dict(experts=2, kv_heads=2), dict(variant="bitnet158"), dict(variant="float")):
            model = self.model(**options)
            with tempfile.TemporaryDirectory() as folder:
                path = os.path.join(folder, "model.onnx")
                nn.export_onnx(model, path)
                graph = onnx.load(path)
            onnx.checker.check_model(graph, full_check=True)
            self.assertFalse(hasattr(model, "fake"))
            ids = np.random.default_rng(0).integers(0, 64, (1, 9))
            (got,) = onnx_eval.evaluate(graph, {"input_ids": ids})
            with torch.no_grad():
                self.assertLess(relative(got, model(torch.from_numpy(ids)).numpy()), 1e-2)

    def test_causal(self):
        for variant in VARIANTS:
            model, ids = self.model(variant=variant), torch.arange(10).unsqueeze(0)
            changed = ids.clone()
            changed[0, 6:] += 20
            with torch.no_grad():
                np.testing.assert_allclose(model(ids)[0, :6], model(changed)[0, :6], rtol=1e-4, atol=1e-5)

    @unittest.skipUnless(hasattr(torch, "compile"), "PyTorch before 2.0")
    def test_compiles_whole(self):
        """torch.compile takes the model as one graph, under autocast too."""
        for options in (dict(experts=4), dict(variant="bitnet158"), dict(variant="float")):
            model, ids = self.model(**options), torch.arange(12).reshape(2, 6)
            compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
            for enabled in (False, True):
                with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
                    got, want = compiled(ids, ids)[0], model(ids, ids)[0]
                got.backward()
                self.assertAlmostEqual(got.item(), want.item(), 1 if enabled else 4)

    def test_loss(self):
        model, ids = self.model(experts=2), torch.arange(12).reshape(2, 6)
        targets = ids + 1
        loss, balance = model(ids, targets)
        want = F.cross_entropy(model(ids).flatten(0, 1), targets.flatten())
        self.assertAlmostEqual(loss.item(), want.item(), 5)
        self.assertGreater(balance.item(), 0)
        targets[1] = nn.IGNORED
        self.assertAlmostEqual(model(ids, targets)[0].item(), model(ids[:1], targets[:1])[0].item(), 5)
        targets[0] = nn.IGNORED
        self.assertEqual(model(ids, targets)[0].item(), 0)

    def test_weights_are_counted(self):
        counts = nn.count_weights(self.model(experts=2))
        self.assertEqual(counts["binary"], 2 * (4 * 32 * 32 + 3 * 32 * 32))
        self.assertEqual(counts["int8"], 2 * 2 * 3 * 32 * 16)
        self.assertEqual(counts["float"], 2 * 64 * 32 + 5 * 32 + 2 * (2 * 32 + 2))
        self.assertEqual(counts["active"], counts["total"] - 2 * 3 * 32 * 16)
        self.assertEqual(nn.count_weights(self.model(variant="bitnet"))["linear_bits"], 1)
        self.assertEqual(nn.count_weights(self.model(variant="bitnet158"))["ternary"], 2 * (4 * 32 * 32 + 3 * 32 * 48))

    def test_saved(self):
        for variant in VARIANTS:
            model, ids = self.model(variant=variant), torch.arange(6).unsqueeze(0)
            with tempfile.TemporaryDirectory() as folder:
                nn.save_model(model, f"{folder}/model.pt", step=3)
                loaded = nn.load_model(f"{folder}/model.pt")
            self.assertEqual(loaded.config, model.config)
            self.assertTrue(torch.equal(loaded(ids), model(ids)))

    def test_every_weight_learns(self):
        for variant in VARIANTS:
            model = self.model(variant=variant, kv_heads=2)
            model.train()(torch.arange(12).reshape(2, 6), torch.arange(12).reshape(2, 6))[0].backward()
            for name, parameter in model.named_parameters():
                self.assertGreater(parameter.grad.abs().max().item(), 0, name)

    def test_rejects(self):
        with self.assertRaisesRegex(ValueError, "expected variant pquant, bitnet, bitnet158, float, but got other"):
            DecoderConfig(variant="other")


if __name__ == "__main__":
    unittest.main()
