# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The perplexity that pquant-run prints: perplexity.py FOLDER, with s.so (tokens to logits), c.so (with a cache) and
t.so (the same with the tokenizer t.model). Leaves token files of all kinds there."""

import json
import os
import re
import subprocess
import sys
import unittest

import numpy as np

import pquant
from pquant.training.text import prepare

FOLDER = sys.argv.pop()
COUNT, WINDOW = 100, 32  # the last window is not full


def path(name):
    return os.path.join(FOLDER, name)


def printed(model, tokens):
    text = subprocess.check_output(["pquant-run", path(model), "--perplexity", path(tokens), "--sequence", str(WINDOW)])
    match = re.match(r"perplexity: (\S+) \(loss \S+, (\d+) tokens in windows of 32, entry point '(\w+)'\)\n", text.decode())
    return float(match[1]), int(match[2]), match[3]


def evaluated(*data):
    command = [sys.executable, "-m", "pquant.eval", path("s.so"), *data, f"--sequence={WINDOW}"]
    results = json.loads(subprocess.check_output(command))
    return results["perplexity"], results["tokens"]


class PerplexityTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.ids = np.random.default_rng(0).integers(0, 256, COUNT)
        os.makedirs(path("tokens"), exist_ok=True)
        cls.ids.astype("<u2").tofile(path("tokens/valid.bin"))
        with open(path("tokens/tokens.json"), "w", encoding="utf-8") as file:
            json.dump({"vocab": 256, "eos": 0, "train_tokens": 0, "valid_tokens": COUNT}, file)
        np.save(path("ids.npy"), cls.ids)
        np.save(path("bytes.npy"), cls.ids.astype(np.uint8))
        np.save(path("floats.npy"), cls.ids.astype(np.float32))
        np.save(path("large.npy"), np.append(cls.ids, 256))
        with open(path("ids.npy"), "rb") as whole, open(path("cut.npy"), "wb") as cut:
            cut.write(whole.read()[:-8])
        with open(path("text.txt"), "w", encoding="utf-8") as file:
            file.write(3 * "The model reads a text,\n\n  line by line\u2026\nto its end")

    def test_as_eval(self):
        want, count = evaluated("--data", path("tokens"))
        for tokens in ("tokens", "tokens/valid.bin", "ids.npy", "bytes.npy"):
            got, *rest = printed("s.so", tokens)
            self.assertEqual(rest, [count, "main"])
            self.assertAlmostEqual(got / want, 1, delta=1e-6)

    def test_text(self):
        """The tokens of a text are those of pquant.prepare."""
        prepare([], path("prepared"), tokenizer=path("t.model"), valid_files=[path("text.txt")])
        want = printed("t.so", "prepared")
        self.assertGreater(want[1], WINDOW)
        self.assertEqual(printed("t.so", "text.txt"), want)

    def test_with_a_cache(self):
        session, loss = pquant.load(path("c.so")).session(WINDOW), 0.0
        for i, target in enumerate(self.ids[1:]):
            if i % WINDOW == 0:
                session.rewind(0)
            logits = session.run(int(self.ids[i])).astype(np.float64)
            loss += np.log(np.exp(logits - logits.max()).sum()) + logits.max() - logits[target]
        got, *rest = printed("c.so", "ids.npy")
        self.assertEqual(rest, [COUNT, "decode"])
        self.assertAlmostEqual(got / np.exp(loss / (COUNT - 1)), 1, delta=1e-6)


if __name__ == "__main__":
    unittest.main()
