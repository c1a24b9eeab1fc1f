# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""pquant.compile and pquant.load on the sample model: front_door.py FOLDER."""

import gc
import os
import sys
import unittest

import numpy as np

import pquant

FOLDER = sys.argv.pop()


class FrontDoorTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.source = os.path.join(FOLDER, "s.onnx")
        cls.library = pquant.compile(cls.source)
        cls.case = np.load(os.path.join(FOLDER, "s.npz"))

    def test_imports_no_torch(self):
        self.assertFalse({"torch", "onnx"} & set(sys.modules))

    def test_compile(self):
        self.assertEqual(self.library, os.path.join(FOLDER, "s.so"))
        output = pquant.compile(self.source, os.path.join(FOLDER, "one.so"), target_cpu="generic", timing=False)
        with pquant.load(output) as model:
            self.assertEqual(model.levels, {"generic": True})
            self.assertIn("--target-cpu=generic", model.info()["producer"])

    def test_compile_errors(self):
        with self.assertRaisesRegex(pquant.CompileError, "cannot open the file"):
            pquant.compile(os.path.join(FOLDER, "none.onnx"))
        with self.assertRaisesRegex(pquant.CompileError, "Unknown command line argument '--no-such-flag'"):
            pquant.compile(self.source, no_such_flag=True)

    def test_tool_is_found(self):
        path, os.environ["PATH"] = os.environ["PATH"], ""
        try:
            os.environ["PQUANT_HOME"] = os.path.dirname(os.path.dirname(os.path.abspath(self.find(path))))
            self.assertTrue(pquant.compiler.find_tool("pquant-compile").startswith(os.environ["PQUANT_HOME"]))
            with self.assertRaisesRegex(FileNotFoundError, "no-such-tool is neither in"):
                pquant.compiler.find_tool("no-such-tool")
        finally:
            os.environ["PATH"] = path
            del os.environ["PQUANT_HOME"]

    @staticmethod
    def find(path):
        return next(
            os.path.join(folder, "pquant-compile")
            for folder in path.split(os.pathsep)
            if os.path.exists(os.path.join(folder, "pquant-compile"))
        )

    def test_run(self):
        model = pquant.load(self.library, threads=2)
        want = self.case["out0"]
        for got in (model(input_ids=self.case["in0"]), model(self.case["in0"]), model(self.case["in0"].tolist())):
            self.assertEqual(list(got), ["logits"])
            self.assertLess(np.linalg.norm(got["logits"] - want) / np.linalg.norm(want), 5e-3)
        # Neither order nor byte order of the memory counts.
        ids = np.asfortranarray(self.case["in0"].astype(">i8"))
        np.testing.assert_array_equal(model(input_ids=ids)["logits"], got["logits"])

    def test_look(self):
        model = pquant.load(self.library)
        self.assertEqual(model.inputs, (("input_ids", np.dtype(np.int64), ("batch", "sequence")),))
        self.assertEqual(model.outputs, (("logits", np.dtype(np.float32), ("batch", "sequence", 256)),))
        self.assertEqual(model.entries[0].name, "main")
        info = model.info()
        self.assertEqual(info["name"], "s")
        self.assertTrue(info["triple"].startswith("x86_64"))
        self.assertGreater(info["weight_bytes"], 0)
        self.assertIn(("/blocks.0/attention/output/BinaryLinear", 128, 128, 1.0), info["linears"])

    def test_threads_and_levels(self):
        model = pquant.load(self.library, level="generic")
        self.assertEqual(model.level, "generic")
        self.assertIs(model.levels["generic"], True)
        model.threads = 3
        self.assertEqual(model.threads, 3)
        with self.assertRaises(ValueError):
            model.threads = 0
        with self.assertRaisesRegex(LookupError, "unknown instruction-set level 'none'"):
            model.level = "none"
        self.assertTrue(all(": ok" in line for line in model.self_test()[1:]))

    def test_input_errors(self):
        model = pquant.load(self.library)
        ids = self.case["in0"]
        for inputs, text in (
            ({"ids": ids}, "ids"),
            ({}, "input"),
            ({"input_ids": ids.astype(np.int32)}, "int64.*int32"),
            ({"input_ids": ids[0]}, "rank"),
            ({"input_ids": np.array(["a"])}, "elements of type"),
            ({"input_ids": np.zeros((1,) * 9, np.int64)}, "rank 9"),
        ):
            with self.subTest(text), self.assertRaisesRegex(ValueError, text) as raised:
                model(**inputs)
            self.assertIsInstance(raised.exception, pquant.Error)
        with self.assertRaisesRegex(ValueError, "all inputs by position, or all by name"):
            model(ids, input_ids=ids)
        with self.assertRaises(LookupError):
            model.run([ids], entry="none")
        self.assertEqual(model(ids)["logits"].shape, (1, 24, 256))

    def test_library_errors(self):
        with self.assertRaises(FileNotFoundError):
            pquant.load(os.path.join(FOLDER, "none.so"))
        with self.assertRaisesRegex(LookupError, "is not a library that pquant-compile wrote"):
            pquant.load(self.source)
        with self.assertRaisesRegex(LookupError, "no_symbol"):
            pquant.load(self.library, symbol="no_symbol")

    def test_results_outlive_the_model(self):
        with pquant.load(self.library) as model:
            logits = model(self.case["in0"])["logits"]
        with self.assertRaisesRegex(ValueError, "the model is closed"):
            model(self.case["in0"])
        before = logits.copy()
        with pquant.load(self.library) as other:
            other(self.case["in0"] * 0)
        del model, other
        gc.collect()
        np.testing.assert_array_equal(logits, before)
        logits += 1  # the memory is the array's own

    def test_cache(self):
        """A step at a time gives what the whole text gives."""
        prefill = pquant.load(pquant.compile(os.path.join(FOLDER, "c.onnx")))
        case = np.load(os.path.join(FOLDER, "c.npz"))
        names = [spec.name for spec in prefill.inputs[1:]]
        self.assertEqual(names[0], "past_key_values.0.key")
        past = {name: np.zeros((1, 2, 0, 32), np.float32) for name in names}
        for token in range(case["in0"].shape[1]):
            got = prefill(input_ids=case["in0"][:, token : token + 1], **past)
            past = {name: got[name.replace("past_key_values", "present")] for name in names}
            want = case["out0"][:, token : token + 1]
            self.assertLess(np.linalg.norm(got["logits"] - want) / np.linalg.norm(want), 5e-3)


if __name__ == "__main__":
    unittest.main()
