# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Sessions of a model with past keys and values: sessions.py FOLDER, with c.so (groups of heads, 2 experts), f.so (a
static cache of 8 positions), t.so (one written by TensorScatter) and s.so (no cache). The reference is `main` of the
same library on the whole text."""

import os
import sys
import unittest

import numpy as np

import pquant

FOLDER = sys.argv.pop()


class SessionTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.model = pquant.load(os.path.join(FOLDER, "c.so"))
        cls.ids = np.random.default_rng(1).integers(0, 256, 24)
        empty = {s.name: np.zeros((1, 2, 0, 32), np.float32) for s in cls.model.inputs[1:]}
        cls.want = cls.model.run({"input_ids": cls.ids[None], **empty})["logits"][0]

    def check(self, got, position):
        """A quantised activation may round the other way in a sum of another order, which costs about 1e-3."""
        want = self.want[position]
        self.assertEqual(got.shape, want.shape)
        self.assertLess(np.linalg.norm(got - want) / np.linalg.norm(want), 5e-3)

    def test_entries(self):
        entries = {entry.name: entry for entry in self.model.entries}
        self.assertEqual(set(entries), {"main", "prefill", "decode"})
        self.assertEqual([spec.name for spec in entries["decode"].inputs], ["input_ids", "position"])
        self.assertEqual(entries["decode"].inputs[0].sizes, (1, 1))
        self.assertEqual(entries["prefill"].inputs[0].sizes, (1, "tokens"))
        self.assertEqual(entries["decode"].outputs[0].sizes, (1, 256))
        self.assertEqual(entries["decode"].states, entries["prefill"].states)
        self.assertEqual(entries["decode"].states[0].name, "past_key_values.0.key")
        self.assertEqual(entries["decode"].states[0].sizes, (1, 2, "capacity", 32))
        # The weights are in the file once.
        self.assertLess(self.model.info()["weight_bytes"], os.path.getsize(os.path.join(FOLDER, "c.onnx")) * 1.2)

    def test_steps(self):
        for level, there in self.model.levels.items():
            if not there:
                continue
            self.model.level = level
            with self.subTest(level):
                session = self.model.session(24)
                self.check(session.run(self.ids[:9]), 8)
                for i in range(9, 15):
                    self.check(session.run(self.ids[i]), i)
                self.check(session.run(self.ids[15:24]), 23)
                self.assertEqual((session.position, session.capacity), (24, 24))

    def test_long_prompt(self):
        """A prompt longer than one run of 'prefill' takes, against the same in pieces and against the whole text."""
        ids = np.random.default_rng(2).integers(0, 256, 1100)
        empty = {s.name: np.zeros((1, 2, 0, 32), np.float32) for s in self.model.inputs[1:]}
        want = self.model.run({"input_ids": ids[None], **empty})["logits"][0, -1]
        session, pieces = self.model.session(1100), self.model.session(1100)
        got = session.run(ids)
        for i in range(0, 1100, 512):
            last = pieces.run(ids[i : i + 512])
        np.testing.assert_array_equal(got, last)
        self.assertLess(np.linalg.norm(got - want) / np.linalg.norm(want), 5e-3)
        self.assertEqual(session.position, 1100)
        with self.assertRaisesRegex(RuntimeError, "indices in range"):
            session.rewind()
            session.run(np.append(ids[:1000], 256))
        self.assertEqual(session.position, 0)

    def test_rewind(self):
        session = self.model.session(64)
        session.run(np.full(40, 7))
        session.rewind()
        self.check(session.run(self.ids[:12]), 11)
        session.rewind(5)
        self.check(session.run(self.ids[5:20]), 19)

    def test_sequences_are_apart(self):
        one, other = self.model.session(24), self.model.session(100)
        for i in range(10):
            got = one.run(self.ids[i])
            other.run([3, 4, 5])
        self.check(got, 9)
        self.assertEqual((one.position, other.position), (10, 30))

    def test_errors(self):
        session = self.model.session(10)
        session.run(self.ids[:8])
        for call, text in (
            (lambda: session.run(self.ids[:3]), "3 tokens do not fit: the session holds 8 of 10 positions"),
            (lambda: session.run([]), "expected 1 token or more, but got 0"),
            (lambda: session.run([3, -1]), "expected tokens of 0 to 9223372036854775807, but got -1"),
            (lambda: session.rewind(9), "expected a position of 0 to 8, but got 9"),
            (lambda: self.model.session(0), "expected a capacity of 1 or more"),
            (lambda: self.model.run([self.ids[None]], entry="decode"), "is run by a session"),
        ):
            with self.subTest(text), self.assertRaisesRegex(ValueError, text):
                call()
        with self.assertRaisesRegex(RuntimeError, "indices in range"):
            session.run([3, 256])
        with self.assertRaisesRegex(MemoryError, "could not allocate a session of"):
            self.model.session(2**60)
        # None of these left a mark.
        self.check(session.run(self.ids[8]), 8)
        with pquant.load(os.path.join(FOLDER, "s.so")) as model:
            with self.assertRaisesRegex(pquant.Error, "no entry point 'decode'"):
                model.session(10)

    def test_static_cache(self):
        """`main` writes tokens into a copy of the cache that it is given."""
        model, ids = pquant.load(os.path.join(FOLDER, "f.so")), np.array([3, 1, 4, 1, 5, 9, 2, 6])
        cache = {name: np.zeros((1, 2, 8, 4), np.float32) for name in "kv"}
        want = model.run({"ids": ids[None], "cache_position": np.arange(8), **cache})["logits"][0]
        self.assertTrue(all((array == 0).all() for array in cache.values()))
        session = model.session(8)
        np.testing.assert_allclose(session.run(ids[:3]), want[2], atol=1e-5)
        for i in range(3, 8):
            np.testing.assert_allclose(session.run(ids[i]), want[i], atol=1e-5)
        session.rewind(2)
        np.testing.assert_allclose(session.run(ids[2:5]), want[4], atol=1e-5)
        with self.assertRaisesRegex(ValueError, "capacity of at most 8, which the model was exported with, but got 9"):
            model.session(9)
        np.testing.assert_allclose(model.session(5).run(ids[:5]), want[4], atol=1e-5)

    def test_tensor_scatter(self):
        model, ids = pquant.load(os.path.join(FOLDER, "t.so")), np.arange(12) * 7 % 50
        cache = {name: np.zeros((1, 2, 32, 8), np.float32) for name in ("past_k", "past_v")}
        session = model.session(32)
        for token in (-1, 2**31, 2**32 + 7):
            with self.assertRaisesRegex(ValueError, f"expected tokens of 0 to 2147483647, but got {token}"):
                session.run([3, token])
        for i in range(12):
            counts = {"write_indices": np.array([i]), "nonpad_kv_seqlen": np.array([i + 1])}
            want = model.run({"ids": ids[None, i : i + 1].astype(np.int32), **cache, **counts})
            cache = {name: want[name.replace("past", "present")] for name in cache}
            if i >= 4:
                np.testing.assert_allclose(session.run(ids[:5] if i == 4 else ids[i]), want["logits"][0, 0], atol=1e-5)

    def test_inputs_are_only_read(self):
        past = {s.name: np.ones((1, 2, 3, 32), np.float32) for s in self.model.inputs[1:]}
        self.model.run({"input_ids": self.ids[None, :4], **past})
        self.assertTrue(all((array == 1).all() for array in past.values()))


if __name__ == "__main__":
    unittest.main()
