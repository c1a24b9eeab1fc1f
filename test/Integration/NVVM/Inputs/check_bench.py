# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compares what pquant-bench wrote for a model for a GPU with that of the same model for CPUs: check_bench.py FOLDER, with
cpu.json, gpu.json and the GPU's trace.json. What is read and computed is the same, times are not looked at."""

import json
import os
import sys
import unittest

FOLDER = sys.argv.pop()
KERNELS = ("binary_linear", "int8_linear", "expert_linear", "float_linear", "attention")


def read(name):
    with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
        return json.load(file)


class BenchTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cpu, cls.gpu = read("cpu.json"), read("gpu.json")
        cls.pairs = list(zip(cls.cpu["tests"], cls.gpu["tests"], strict=True))

    def test_fields(self):
        self.assertEqual(list(self.cpu), list(self.gpu))
        self.assertEqual((self.gpu["level"], self.gpu["gpu"], self.gpu["int8_peak"]), ("sm_90", "emulated GPU", ""))
        self.assertEqual(self.cpu["gpu"], "")
        for cpu, gpu in self.pairs:
            self.assertEqual(list(cpu), list(gpu))
            for name in ("test", "tokens", "context", "threads", "cache_bytes", "cache_bytes_read", "int8_ops"):
                self.assertEqual(cpu[name], gpu[name], name)
            for name in ("arena_bytes", "of_read_roof", "bytes_per_second"):
                self.assertLess(0, gpu[name], name)
            self.assertEqual((gpu["int8_peak_ops_per_second"], gpu["of_int8_peak"]), (0, 0))

    def test_weights(self):
        """Layouts fill up their tiles in different ways."""
        for cpu, gpu in self.pairs:
            self.assertAlmostEqual(cpu["weight_bytes_read"] / gpu["weight_bytes_read"], 1, delta=0.05)

    def test_operations(self):
        for cpu, gpu in self.pairs:
            kernels = [
                # Not in the order of their times; ops of one node share its name.
                sorted((op["kind"], op["name"], op["calls"], op["ops"]) for op in test["operations"] if op["kind"] in KERNELS)
                for test in (cpu, gpu)
            ]
            self.assertEqual(*kernels)
            self.assertLessEqual({"binary_linear", "attention"}, {kind for kind, *_ in kernels[0]})
            others = [op for op in gpu["operations"] if op["kind"] == "elementwise"]
            self.assertTrue(others and all(op["name"] for op in others), others)

    def test_alone(self):
        """Linears without the work between them, which computes the indices of experts."""
        for cpu, gpu in self.pairs:
            kinds = {op["kind"] for op in gpu["operations"]} & {"binary_linear", "int8_linear"}
            self.assertEqual((set(gpu["alone_seconds"]), cpu["alone_seconds"]), (kinds, {}))
            self.assertTrue(all(seconds > 0 for seconds in gpu["alone_seconds"].values()))

    def test_trace(self):
        trace = read("trace.json")["traceEvents"]
        tracks = {e["tid"]: e["args"]["name"] for e in trace if e["name"] == "thread_name"}
        self.assertEqual(list(tracks.values()), ["pp4, context 0", "tg3, context 5"])
        for track, gpu in zip(tracks, self.gpu["tests"]):
            events = [e for e in trace if e["ph"] == "X" and e["tid"] == track]
            runs = [e for e in events if e["cat"] == "run"]
            self.assertEqual(len(runs), 1 if track == 1 else 3)
            calls = sum(op["calls"] for op in gpu["operations"])
            self.assertEqual(len(events), len(runs) * (1 + calls))
            for event in events:
                begin, end = event["ts"], event["ts"] + event["dur"]
                self.assertTrue(any(r["ts"] <= begin and end <= r["ts"] + r["dur"] + 0.1 for r in runs), event)


if __name__ == "__main__":
    unittest.main()
