# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What pquant-bench wrote for a model with 2 experts: bench.py FOLDER, with c.so, b.json and t.json."""

import json
import os
import sys
import unittest

import pquant

FOLDER = sys.argv.pop()


def read(name):
    with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
        return json.load(file)


class BenchTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.bench, cls.trace = read("b.json"), read("t.json")
        linears = pquant.load(os.path.join(FOLDER, "c.so")).info()["linears"]
        # Of INT8 matrices there are two experts, of which a token uses one.
        cls.used = [(rows // 2 if bits == 8 else rows, columns, bits) for _, rows, columns, bits in linears]

    def test_tests(self):
        tests = [(t["test"], t["tokens"], t["context"], t["threads"]) for t in self.bench["tests"]]
        want = [("pp", 16, 0), ("pp", 1, 0), ("tg", 4, 0), ("tg", 4, 8)]
        self.assertEqual(tests, [(*test, threads) for test in want for threads in (1, 2)])
        self.assertEqual(self.bench["model"], 'q"c')
        for test in self.bench["tests"]:
            for name in ("tokens_per_second", "read_roof_bytes_per_second"):
                spread = test[name]
                self.assertLess(0, spread["min"])
                self.assertLessEqual(spread["min"], spread["median"])
                self.assertLessEqual(spread["median"], spread["max"])

    def test_profile_of_a_run(self):
        events = [e for e in read("r.json")["traceEvents"] if e["ph"] == "X"]
        self.assertEqual([e["name"] for e in events if e["cat"] == "run"], ["main"])
        self.assertEqual(sum(e["name"] == "/head/MatMul" for e in events), 1)

    def test_bytes_of_a_token(self):
        """Each matrix once; scales, which are not among the linears, add a little."""
        want = sum(rows * columns * bits / 8 for rows, columns, bits in self.used)
        for test in self.bench["tests"]:
            if test["test"] != "tg":
                continue
            kinds = ("binary_linear", "expert_linear")
            got = sum(op["weight_bytes"] for op in test["operations"] if op["kind"] in kinds)
            self.assertLessEqual(want, got)
            self.assertLess(got, want * 1.1)
            everything = sum(op["weight_bytes"] for op in test["operations"])
            self.assertAlmostEqual(test["weight_bytes_read"], everything, delta=1e-6 * everything)

    def test_cache(self):
        """float32 keys and values of 2 blocks, 2 heads of 32; of 4 tokens the second and third on average."""
        position = 2 * 2 * 2 * 32 * 4
        for test in self.bench["tests"]:
            if test["test"] == "tg":
                self.assertEqual(test["cache_bytes"], (test["context"] + 4) * position)
                self.assertEqual(test["cache_bytes_read"], (test["context"] + 2.5) * position)
                self.assertLess(0, test["arena_bytes"])
                self.assertLess(test["cache_bytes"] + test["arena_bytes"], test["peak_resident_bytes"])
                # The program itself takes 5 MB; the roof's 420 MB are not among it.
                planned = self.bench["weight_bytes"] + test["cache_bytes"] + test["arena_bytes"]
                self.assertLess(test["peak_resident_bytes"], planned + 16e6)

    def test_operations(self):
        """A multiplication and an addition for each weight and row."""
        want = sum(2 * rows * columns for rows, columns, _ in self.used)
        for test in self.bench["tests"]:
            rows = test["tokens"] if test["test"] == "pp" else 1
            self.assertEqual(test["int8_ops"], rows * want)

    def test_trace(self):
        events = [e for e in self.trace["traceEvents"] if e["ph"] == "X"]
        tracks = {e["tid"]: e["args"]["name"] for e in self.trace["traceEvents"] if e["name"] == "thread_name"}
        self.assertEqual(len(tracks), len(self.bench["tests"]))
        self.assertEqual(tracks[6], "tg4, context 0, 2 threads")
        for track in tracks:
            mine = [e for e in events if e["tid"] == track]
            runs = [e for e in mine if e["cat"] == "run"]
            self.assertEqual(len(runs), 1 if track <= 4 else 4)
            self.assertEqual({e["name"] for e in runs}, {"prefill" if track <= 2 else "decode"})
            self.assertGreater(len(mine), 20 * len(runs))
            for event in mine:
                begin, end = event["ts"], event["ts"] + event["dur"]
                self.assertTrue(any(r["ts"] <= begin and end <= r["ts"] + r["dur"] + 0.01 for r in runs), event)
        names = {e["name"] for e in events}
        self.assertIn("/head/MatMul", names)


if __name__ == "__main__":
    unittest.main()
