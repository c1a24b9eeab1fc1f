# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The NumPy reference against loops in exact or scalar arithmetic, and the cases that bite."""

import subprocess
import sys
import unittest
from fractions import Fraction

import numpy as np

from pquant import reference as ref

F32 = np.float32


def nearest_even(value: Fraction) -> int:
    """`value` rounded to the nearest integer, half to even."""
    return round(value)


class QuantizerTest(unittest.TestCase):
    def check(self, quantizer, x):
        """The integers are the exact roundings of the float32 products that the formula states."""
        values, step = ref.quantize(x, quantizer)
        self.assertEqual(values.dtype, np.int8)
        self.assertEqual(step.dtype, F32)
        self.assertEqual(step.shape, x.shape[:-1])
        for row, got, got_step in zip(x, values, step):
            a = max(abs(F32(v)) for v in row)
            m = max(a, F32(quantizer.eps)) if quantizer.guard == "max" else F32(a + F32(quantizer.eps))
            if quantizer.formula == "div":
                d = F32(m / F32(quantizer.qmax))
                scaled, want_step = [F32(v / d) for v in row], d
            else:
                one = F32(F32(F32(1) / m) * F32(127)) if quantizer.formula == "mul_recip" else F32(F32(127) / m)
                scaled, want_step = [F32(v * one) for v in row], F32(F32(1) / one)
            want = [min(max(nearest_even(Fraction(float(v))), quantizer.qmin), quantizer.qmax) for v in scaled]
            self.assertEqual(got.tolist(), want)
            self.assertEqual(got_step, want_step)

    def test_formulas(self):
        rng = np.random.default_rng(1)
        x = rng.standard_normal((16, 67)).astype(F32)
        for formula in ("mul_recip", "mul_div", "div"):
            for guard in ("max", "add"):
                with self.subTest(formula=formula, guard=guard):
                    self.check(ref.Quantizer(formula, guard=guard), x)

    def test_the_formulas_differ(self):
        x = np.random.default_rng(2).standard_normal((64, 1024)).astype(F32)
        results = [ref.quantize(x, ref.Quantizer(f))[1] for f in ("mul_recip", "mul_div", "div")]
        self.assertTrue((results[0] != results[1]).any())
        self.assertTrue((results[1] != results[2]).any())

    def test_half_to_even(self):
        values, step = ref.quantize(np.array([[127, 0.5, 1.5, -0.5, -2.5]], F32), ref.Quantizer("div"))
        self.assertEqual(values.tolist(), [[127, 0, 2, 0, -2]])
        self.assertEqual(step.tolist(), [1])

    def test_zero_row(self):
        for formula in ("mul_recip", "mul_div", "div"):
            values, step = ref.quantize(np.zeros((1, 8), F32), ref.Quantizer(formula))
            self.assertEqual(values.tolist(), [[0] * 8])
            self.assertTrue(np.isfinite(step).all())

    def test_no_rows(self):
        values, step = ref.quantize(np.zeros((0, 8), F32))
        self.assertEqual((values.shape, step.shape), ((0, 8), (0,)))

    def test_padded(self):
        x = np.random.default_rng(3).standard_normal((3, 67)).astype(F32)
        values, step, total = ref.quantize_padded(x)
        self.assertEqual(values.shape, (3, 128))
        self.assertFalse(values[:, 67:].any())
        self.assertEqual(total.tolist(), values.astype(int).sum(1).tolist())
        np.testing.assert_array_equal(values[:, :67], ref.quantize(x)[0])

    def test_rejects(self):
        for arguments in ({"formula": "mul"}, {"guard": "min"}, {"qmin": 5, "qmax": 5}):
            with self.assertRaises(ValueError):
                ref.Quantizer(**arguments)


class LinearTest(unittest.TestCase):
    def setUp(self):
        self.rng = np.random.default_rng(4)

    def integers(self, *shape):
        return self.rng.integers(-128, 128, shape, dtype=np.int8)

    def test_integer_matmul_is_exact(self):
        x, weight = self.integers(2, 3, 67), self.integers(5, 67)
        want = np.einsum("abk,nk->abn", x.astype(np.int64), weight.astype(np.int64))
        np.testing.assert_array_equal(ref.integer_matmul(x, weight), want)

    def test_extremes(self):
        x = np.full((1, 11008), -128, np.int8)
        self.assertEqual(ref.integer_matmul(x, np.full((1, 11008), -128, np.int8))[0, 0], 11008 * 16384)
        one = [np.ones((1, 1), F32)]
        self.assertEqual(ref.binary_linear(x, np.ones(1, F32), [np.ones((1, 11008))], one)[0, 0], -128 * 11008)
        self.assertEqual(ref.binary_linear(x, np.ones(1, F32), [np.zeros((1, 11008))], one)[0, 0], 128 * 11008)

    def test_binary_planes_groups_offset(self):
        values, step = self.integers(3, 24), self.rng.random(3, F32)
        planes = [self.rng.integers(0, 2, (5, 24)) for _ in range(2)]
        scales = [self.rng.random((5, 4), F32), self.rng.random((1, 2), F32)]
        offset = self.rng.random(5, F32)
        weight = np.repeat(scales[0], 6, 1) * ref.signs(planes[0]) + np.repeat(
            np.broadcast_to(scales[1], (5, 2)), 12, 1
        ) * ref.signs(planes[1])
        want = (values * step[:, None]).astype(np.float64) @ (weight + offset[:, None]).T
        got = ref.binary_linear(values, step, planes, scales, offset)
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-3)

    def test_ternary_is_two_planes(self):
        values, weight = self.integers(2, 32), self.rng.integers(-1, 2, (4, 32))
        half = [np.full((1, 1), 0.5, F32)] * 2
        got = ref.binary_linear(values, np.ones(2, F32), [weight >= 0, weight > 0], half)
        np.testing.assert_array_equal(got, values.astype(int) @ weight.T)

    def test_int8_and_decoupled(self):
        values, step, weight = self.integers(2, 16), self.rng.random(2, F32), self.integers(3, 16)
        bits = self.rng.integers(0, 2, (3, 16))
        int8 = (values, step, weight, np.array([0.5], F32))
        binary = (values, step, [bits], [np.full((1, 1), 0.25, F32)])
        want = 2 * ref.int8_linear(*int8) + F32(0.2) * ref.binary_linear(*binary)
        np.testing.assert_array_equal(ref.decoupled_linear(int8, binary, 2, 0.2), want)

    def test_expert_linear_with_an_unused_expert(self):
        values, step = self.integers(6, 16), self.rng.random(6, F32)
        weight, weight_step = self.integers(4, 3, 16), self.rng.random((4, 1), F32)
        index = np.array([0, 3, 3, 0, 1, 3])
        got = ref.expert_linear(values, step, index, weight, weight_step)
        for m in range(6):
            e = index[m]
            np.testing.assert_array_equal(
                got[m], ref.int8_linear(values[m : m + 1], step[m : m + 1], weight[e], weight_step[e])[0]
            )

    def test_weights(self):
        weight = self.rng.standard_normal((7, 9)).astype(F32)
        bits, scale = ref.binarize_weight(weight)
        np.testing.assert_array_equal(bits, weight > weight.mean(dtype=F32))
        self.assertAlmostEqual(float(scale), float(np.abs(weight).mean()), places=6)
        values, step = ref.quantize_weight(weight)
        np.testing.assert_allclose(values * step, weight, atol=float(step) * 0.5001)


class DecoderUnitTest(unittest.TestCase):
    def setUp(self):
        self.rng = np.random.default_rng(5)

    def normal(self, *shape):
        return self.rng.standard_normal(shape).astype(F32)

    def test_route_takes_the_first_of_equals(self):
        index, probability = ref.route(np.zeros((2, 3), F32), np.ones((4, 3), F32))
        self.assertEqual(index.tolist(), [0, 0])
        self.assertEqual(probability.tolist(), [0.25, 0.25])

    def test_decoupled_ffn(self):
        x = self.normal(5, 16)
        one = {name: ref.binarize_weight(self.normal(*shape)) for name, shape in
               (("gate", (24, 16)), ("up", (24, 16)), ("down", (16, 24)))}
        high = [[ref.quantize_weight(self.normal(*shape)) for _ in range(2)] for shape in ((8, 16), (8, 16), (16, 8))]
        stacks = [(np.stack([v for v, _ in pair]), np.array([s for _, s in pair])) for pair in high]
        routing = ref.route(x, self.normal(2, 16))
        got = ref.decoupled_ffn(x, ref.Branch(**one), ref.Branch(*stacks), routing, 2, 0.2)

        def linear(v, weight, step):
            return ref.int8_linear(*ref.quantize(v), weight, np.reshape(step, 1))

        def feed_forward(v, gate, up, down):
            gated = linear(v, *gate)
            return linear(gated / (1 + np.exp(-gated)) * linear(v, *up), *down)

        binary = feed_forward(x, *[(ref.signs(b), s) for b, s in one.values()])
        for m in range(5):
            e = routing[0][m]
            int8 = feed_forward(x[m : m + 1], *[pair[e] for pair in high])[0]
            np.testing.assert_allclose(got[m], 2 * routing[1][m] * int8 + 0.2 * binary[m], rtol=1e-2, atol=1e-2)

    def test_rms_norm(self):
        x, weight = self.normal(3, 8), self.normal(8)
        want = x / np.sqrt((x.astype(np.float64) ** 2).mean(-1, keepdims=True) + 1e-6) * weight
        np.testing.assert_allclose(ref.rms_norm(x, weight), want, rtol=1e-5)

    def test_rotary_is_a_rotation(self):
        x = self.normal(1, 2, 5, 8)
        cos, sin = ref.rotary_tables(np.arange(5), 8)
        pairs = x[..., :4] + 1j * x[..., 4:]
        turned = pairs * (cos + 1j * sin)
        got = ref.rotary_embedding(x, cos, sin)
        np.testing.assert_allclose(got, np.concatenate([turned.real, turned.imag], -1), rtol=1e-5, atol=1e-6)
        interleaved = ref.rotary_embedding(np.stack([x[..., :4], x[..., 4:]], -1).reshape(x.shape), cos, sin, True)
        np.testing.assert_array_equal(interleaved[..., 0::2], got[..., :4])

    def test_attention(self):
        query, key, value = self.normal(2, 4, 3, 8), self.normal(2, 2, 5, 8), self.normal(2, 2, 5, 6)
        got = ref.attention(query, key, value, 0.3, causal=True)
        for b, h, s in np.ndindex(2, 4, 3):
            logits = np.array([0.3 * query[b, h, s] @ key[b, h // 2, t] for t in range(s + 3)], np.float64)
            p = np.exp(logits) / np.exp(logits).sum()
            np.testing.assert_allclose(got[b, h, s], p @ value[b, h // 2, : s + 3], rtol=1e-4, atol=1e-5)

    def test_fully_masked_row_is_zero(self):
        mask = np.array([[0, 0], [-np.inf, -np.inf]], F32)
        got = ref.attention(self.normal(1, 1, 2, 4), self.normal(1, 1, 2, 4), self.normal(1, 1, 2, 4), 1, mask)
        self.assertTrue(got[0, 0, 0].any())
        self.assertFalse(got[0, 0, 1].any())

    def test_cached_attention_equals_attention(self):
        query, key, value = self.normal(1, 4, 6, 8), self.normal(1, 2, 6, 8), self.normal(1, 2, 6, 8)
        want = ref.attention(query, key, value, 0.35, causal=True)
        keys, values = np.zeros((1, 2, 9, 8), F32), np.zeros((1, 2, 9, 8), F32)
        for start, end in ((0, 3), (3, 4), (4, 6)):
            part = np.s_[:, :, start:end]
            got, keys, values = ref.cached_attention(query[part], key[part], value[part], keys, values, start, 0.35)
            np.testing.assert_allclose(got, want[part], rtol=1e-5, atol=1e-6)
        with self.assertRaisesRegex(ValueError, "at most 9 rows in the cache, but got 10"):
            ref.cached_attention(query[:, :, :1], key[:, :, :1], value[:, :, :1], keys, values, 9, 1)


class LayoutTest(unittest.TestCase):
    SHAPES = [(1, 1), (16, 64), (17, 65), (3, 31), (33, 130), (5, 96)]

    def test_d16(self):
        rng = np.random.default_rng(6)
        for rows, columns in self.SHAPES:
            bits = rng.integers(0, 2, (rows, columns)).astype(bool)
            data = ref.pack_d16(bits)
            self.assertEqual(data.dtype, np.uint8)
            words = data.view("<u4").reshape(-(-rows // 16), 2 * -(-columns // 64), 16)
            for i, j, r in np.ndindex(words.shape):
                for b in range(32):
                    n, k = 16 * i + r, 32 * j + b
                    want = bool(bits[n, k]) if n < rows and k < columns else False
                    self.assertEqual(bool(int(words[i, j, r]) >> b & 1), want)
            np.testing.assert_array_equal(ref.unpack_d16(data, rows, columns), bits)

    def test_i8x16x4(self):
        rng = np.random.default_rng(7)
        for rows, columns in self.SHAPES:
            weight = rng.integers(-128, 128, (rows, columns), dtype=np.int8)
            data = ref.pack_i8x16x4(weight)
            blocks = data.reshape(-(-rows // 16), 16 * -(-columns // 64), 16, 4)
            for i, j, r, c in np.ndindex(blocks.shape):
                n, k = 16 * i + r, 4 * j + c
                self.assertEqual(blocks[i, j, r, c], weight[n, k] if n < rows and k < columns else 0)
            np.testing.assert_array_equal(ref.unpack_i8x16x4(data, rows, columns), weight)

    def test_f32x16(self):
        rng = np.random.default_rng(8)
        for rows, columns in self.SHAPES:
            weight = rng.standard_normal((rows, columns)).astype(F32)
            data = ref.pack_f32x16(weight)
            lanes = data.reshape(-(-rows // 16), columns, 16)
            for i, k, r in np.ndindex(lanes.shape):
                self.assertEqual(lanes[i, k, r], weight[16 * i + r, k] if 16 * i + r < rows else 0)
            np.testing.assert_array_equal(ref.unpack_f32x16(data, rows, columns), weight)

    def test_bf16x16(self):
        rng = np.random.default_rng(9)
        for rows, columns in self.SHAPES:
            weight = rng.integers(-255, 256, (rows, columns)).astype(F32) / 64
            data = ref.pack_bf16x16(weight)
            self.assertEqual((data.dtype, data.nbytes), (np.uint16, ref.pack_f32x16(weight).nbytes // 2))
            self.assertEqual(data[0], weight[:1].view(np.uint32)[0, 0] >> 16)
            np.testing.assert_array_equal(ref.unpack_bf16x16(data, rows, columns), weight)
        with self.assertRaises(ValueError):
            ref.pack_bf16x16(np.full((1, 1), 0.1, F32))


class ImportTest(unittest.TestCase):
    def test_needs_numpy_only(self):
        code = "import sys, pquant.reference; sys.exit(bool({'torch', 'onnx'} & set(sys.modules)))"
        self.assertEqual(subprocess.run([sys.executable, "-c", code]).returncode, 0)


if __name__ == "__main__":
    unittest.main()
