# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""pquant.sensitivity: Fisher information times squared weight, and how evenly it is spread."""

import csv
import json
import os
import subprocess
import sys
import tempfile
import unittest

import numpy as np
import torch

from pquant import nn
from pquant.decoder import DecoderConfig
from pquant.sensitivity import dequantized, describe, lorenz, sensitivities

SIZES = dict(vocab=32, hidden=16, blocks=1, heads=2, ffn=24, high_precision=8)


def make_model(**options) -> nn.LanguageModel:
    torch.manual_seed(0)
    return nn.LanguageModel(DecoderConfig(**SIZES, **options)).eval()


class SpreadTest(unittest.TestCase):
    def test_alike(self):
        self.assertAlmostEqual(describe([np.full(1000, 2.0)])["gini"], 0)
        np.testing.assert_allclose(lorenz(np.full(1000, 2.0)), np.linspace(0, 1, 201))

    def test_one_has_all(self):
        values = np.zeros(1000)
        values[7] = 3
        summary = describe([values[:500], values[500:]])
        self.assertAlmostEqual(summary["gini"], 0.999)
        self.assertEqual((summary["weights"], summary["mean"], summary["top_share"]), (1000, 0.003, 1))
        self.assertEqual(lorenz(values)[-2], 0)

    def test_uniform(self):
        self.assertAlmostEqual(describe([np.arange(100000.0)])["gini"], 1 / 3, 4)

    def test_nothing(self):
        self.assertEqual(describe([np.zeros(10)])["gini"], 0)


class SensitivityTest(unittest.TestCase):
    def test_float_by_definition(self):
        model, tokens = make_model(variant="float"), np.arange(9, dtype=np.uint16)
        got = sensitivities(model, tokens, 4, 2)["float"]
        layers = [m for m in model.modules() if isinstance(m, nn.FloatLinear)]
        self.assertEqual(len(got), len(layers))
        fisher = 0
        for start in (0, 4):
            model.zero_grad()
            ids = torch.arange(start, start + 4).unsqueeze(0)
            model(ids, ids + 1)[0].backward()
            fisher = fisher + layers[2].weight.grad ** 2 / 2
        want = (fisher * layers[2].weight ** 2).detach().flatten().numpy()
        np.testing.assert_allclose(got[2], want, rtol=1e-4)

    def test_kinds(self):
        parts = sensitivities(make_model(experts=2), np.arange(20, dtype=np.uint16), 8, 4)
        self.assertEqual({kind: len(values) for kind, values in parts.items()}, {"binary": 7, "int8": 6})

    def test_dequantized(self):
        layer = nn.BinaryLinear(4, 2)
        values = dequantized(layer)
        np.testing.assert_allclose(values.abs(), layer.weight.detach().abs().mean().expand(2, 4), rtol=1e-6)

    def test_no_tokens(self):
        with self.assertRaisesRegex(ValueError, "expected at least two held-out tokens, but got none"):
            sensitivities(make_model(), np.zeros(1, np.uint16), 8, 4)


class CommandTest(unittest.TestCase):
    def test_command(self):
        with tempfile.TemporaryDirectory() as folder:
            path, curves = os.path.join(folder, "m.pt"), os.path.join(folder, "c.csv")
            nn.save_model(make_model(), path)
            (np.arange(40) % 32).astype("<u2").tofile(os.path.join(folder, "valid.bin"))
            np.zeros(0, "<u2").tofile(os.path.join(folder, "train.bin"))
            with open(os.path.join(folder, "tokens.json"), "w", encoding="utf-8") as file:
                json.dump({"vocab": 32, "train_tokens": 0, "valid_tokens": 40}, file)
            command = [sys.executable, "-m", "pquant.sensitivity", path, f"--data={folder}", "--sequence=8"]
            done = subprocess.run([*command, f"--curves={curves}"], capture_output=True, text=True, check=True)
            kinds = json.loads(done.stdout)["kinds"]
            self.assertEqual(set(kinds), {"binary", "int8"})
            self.assertTrue(0 < kinds["binary"]["gini"] < 1)
            with open(curves, newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
            self.assertEqual(len(rows), 3 * 201)


if __name__ == "__main__":
    unittest.main()
