# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Training: token files, learning rates, resuming, several processes, the commands."""

import csv
import json
import math
import os
import subprocess
import sys
import tempfile
import unittest

import numpy as np
import torch

from pquant import nn
from pquant.decoder import VARIANTS, DecoderConfig
from pquant.generate import TorchModel, generate
from pquant.sampling import Sampler, Sampling
from pquant.training.evaluate import mean_loss
from pquant.training.ranks import Ranks
from pquant.training.schedule import Schedule
from pquant.training.text import load_tokenizer, prepare
from pquant.training.tokens import IGNORED, Tokens, fixed_windows, random_windows
from pquant.training.trainer import Options, Recipe, Trainer

SMALL = dict(vocab=32, hidden=32, blocks=2, heads=4, ffn=48, high_precision=16)
SIZES = ("--hidden=32", "--blocks=1", "--heads=4", "--ffn=48", "--high-precision=16", "--device=cpu")
TEXT = "".join(f"The number {i} comes before {i + 1}.\n" + "=\n" * (i % 5 == 4) for i in range(300))

torch.set_num_threads(1)


def run(*command):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False, env=environment)


def write_tokens(folder, train, valid, vocab=32):
    np.asarray(train, "<u2").tofile(f"{folder}/train.bin")
    np.asarray(valid, "<u2").tofile(f"{folder}/valid.bin")
    info = {"vocab": vocab, "eos": 2, "train_tokens": len(train), "valid_tokens": len(valid)}
    with open(f"{folder}/tokens.json", "w", encoding="utf-8") as file:
        json.dump(info, file)


def rows(folder, names=("step", "loss", "balance", "valid_loss", "lr")):
    with open(f"{folder}/log.csv", newline="", encoding="utf-8") as file:
        return [{name: row[name] for name in names} for row in csv.DictReader(file)]


def difference(a, b):
    """The largest difference of two models' weights."""
    a, b = a.state_dict(), b.state_dict()
    assert a.keys() == b.keys()
    return max((a[name] - b[name]).abs().max().item() for name in a)


class Folder(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = temporary.name


class TokensTest(Folder):
    def test_random_windows(self):
        tokens = np.arange(100, dtype=np.uint16)
        ids, targets = random_windows(tokens, 8, 6, 1, 2)
        self.assertEqual((ids.shape, ids.dtype), ((6, 8), np.int64))
        np.testing.assert_array_equal(ids[:, 1:], targets[:, :-1])
        parts = [random_windows(tokens, 8, 6, 1, 2, slice(i, i + 3))[0] for i in (0, 3)]
        np.testing.assert_array_equal(np.concatenate(parts), ids)
        self.assertFalse((random_windows(tokens, 8, 6, 1, 3)[0] == ids).all())
        self.assertEqual(random_windows(tokens, 99, 4, 0, 0)[1].max(), 99)
        with self.assertRaisesRegex(ValueError, "expected more than 100 training tokens, but got 100"):
            random_windows(tokens, 100, 1, 0, 0)

    def test_fixed_windows(self):
        """Each token but the first is a target once, after the one before it."""
        for size in (2, 3, 24, 25, 26, 60):
            batches = list(fixed_windows(np.arange(size, dtype=np.uint16), 4, 3))
            ids, targets = (np.concatenate([b[i].reshape(-1) for b in batches]) for i in (0, 1))
            counted = targets != IGNORED
            np.testing.assert_array_equal(targets[counted], np.arange(1, size))
            np.testing.assert_array_equal(ids[counted], np.arange(size - 1))
            self.assertTrue(all(b[0].shape == (3, 4) for b in batches))
        self.assertEqual(IGNORED, nn.IGNORED)

    def test_rejects(self):
        with self.assertRaisesRegex(ValueError, "expected token files of pquant.prepare in .*, but found no tok"):
            Tokens(self.folder)
        write_tokens(self.folder, range(10), range(3))
        with open(f"{self.folder}/valid.bin", "ab") as file:
            file.write(b"x")
        with self.assertRaisesRegex(ValueError, "expected 6 bytes in .*valid.bin, but got 7"):
            Tokens(self.folder)
        os.remove(f"{self.folder}/valid.bin")
        with self.assertRaisesRegex(ValueError, "expected 6 bytes in .*valid.bin, but got 0"):
            Tokens(self.folder)


class PrepareTest(Folder):
    def write(self, name, text):
        path = f"{self.folder}/{name}"
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        return path

    def test_text_comes_back(self):
        text = "Two  spaces, a\ttab,\r\nan émigré, \u2603 and 2024.\n\n  end"
        path, held = self.write("a.txt", TEXT), self.write("b.txt", text)
        info = prepare([path], f"{self.folder}/d", vocab=310, valid_files=[held], threads=1)
        tokens, tokenizer = Tokens(f"{self.folder}/d"), load_tokenizer(f"{self.folder}/d/tokenizer.model")
        for split, want in ((tokens.train, TEXT), (tokens.valid, text)):
            self.assertEqual(split[-1], info["eos"])
            self.assertEqual(tokenizer.decode(split[:-1].tolist()), want)
        self.assertEqual((info["vocab"], info["valid_bytes"]), (310, len(text.encode())))
        again = prepare([path], f"{self.folder}/e", tokenizer=tokens.tokenizer, valid_fraction=0.1, threads=1)
        self.assertEqual(again["vocab"], 310)

    def test_split(self):
        """The last part of a file is held out, and with a separator whole documents are."""
        path = self.write("a.txt", TEXT)
        for separator in ("", "="):
            info = prepare([path], self.folder, 310, valid_fraction=0.2, separator=separator, threads=1)
            tokens, tokenizer = Tokens(self.folder), load_tokenizer(f"{self.folder}/tokenizer.model")
            self.assertAlmostEqual(info["valid_bytes"] / len(TEXT), 0.2, delta=0.03)
            parts = [tokenizer.decode(t[t != info["eos"]].tolist()) for t in (tokens.train, tokens.valid)]
            self.assertEqual("".join(parts), TEXT.replace("=\n", "") if separator else TEXT)
            ends = [int((t == info["eos"]).sum()) for t in (tokens.train, tokens.valid)]
            self.assertEqual(ends, [49, 11] if separator else [1, 1])

    def test_rejects(self):
        with self.assertRaisesRegex(ValueError, "expected a text file, but found no missing.txt"):
            prepare(["missing.txt"], f"{self.folder}/new")
        path = self.write("a.txt", "a few words\n")
        with self.assertRaisesRegex(ValueError, "SentencePiece made no model of 100 pieces"):
            prepare([path], f"{self.folder}/new/er", 100, threads=1)
        with self.assertRaisesRegex(ValueError, "expected a SentencePiece model, but found no missing.model"):
            prepare([path], f"{self.folder}/new", tokenizer="missing.model")
        self.assertFalse(os.path.exists(f"{self.folder}/new"))


class ScheduleTest(unittest.TestCase):
    def test_two_phases(self):
        schedule = Schedule(100, lr=2.0, lr2=1.0, warmup=10, floor=0.1)
        self.assertEqual([schedule.rate(s) for s in (0, 4, 9, 10)], [0.2, 1.0, 2.0, 2.0])
        self.assertEqual([schedule.decay(s) for s in (0, 49, 50, 99)], [0.1, 0.1, 0, 0])
        left = 0.1 + 0.9 * (1 - 40 / 90)
        self.assertAlmostEqual(schedule.rate(50), left)
        self.assertGreater(schedule.rate(49), 2 * left)
        self.assertAlmostEqual(schedule.rate(100), 0.1)

    def test_cosine(self):
        schedule = Schedule(100, lr=2.0, warmup=0, kind="cosine")
        self.assertAlmostEqual(schedule.rate(50), 1)
        self.assertEqual(schedule.decay(99), 0.1)
        with self.assertRaisesRegex(ValueError, "expected schedule two-phase or cosine, but got flat"):
            Schedule(1, kind="flat")


class TrainerTest(Folder):
    def setUp(self):
        super().setUp()
        pattern = np.random.default_rng(0).integers(0, 32, 24)
        write_tokens(self.folder, np.tile(pattern, 40), np.tile(pattern, 4))
        self.tokens = Tokens(self.folder)

    def trainer(self, name, steps=12, batch=8, config=None, lr=1e-2, **options):
        config = config or DecoderConfig(**SMALL)
        recipe = Recipe(Schedule(steps, lr, lr / 2, 2), sequence=16, batch=batch)
        folder = f"{self.folder}/{name}"
        os.makedirs(folder, exist_ok=True)
        return Trainer(config, recipe, Options(folder, quiet=True, **options), self.tokens, Ranks("cpu"))

    def test_every_variant_learns(self):
        for variant in VARIANTS:
            for experts in (1, 2) if variant == "pquant" else (1,):
                config = DecoderConfig(**SMALL, variant=variant, experts=experts)
                name = f"{variant}{experts}"
                results = self.trainer(name, 40, config=config).run()
                log = rows(f"{self.folder}/{name}")
                self.assertLess(results["train_loss"], 0.6 * math.log(32), name)
                self.assertLess(float(log[-1]["valid_loss"]), 0.6 * math.log(32), name)
                weights = sum(p.numel() for p in nn.LanguageModel(config).parameters())
                self.assertEqual(results["weights"]["total"], weights)

    def test_resumes(self):
        """A run that stops after each interval has the weights and the log of one that does not."""
        config = DecoderConfig(**SMALL, experts=2)
        whole = self.trainer("whole", config=config, log_every=5, eval_every=6)
        self.assertTrue(whole.run()["finished"])
        for stop in (5, 6, 10, 12):
            part = self.trainer("parts", config=config, log_every=5, eval_every=6, minutes=1e-9)
            self.assertEqual(part.run()["step"], stop)
        self.assertEqual(difference(whole.model, part.model), 0)
        self.assertEqual(rows(f"{self.folder}/parts"), rows(f"{self.folder}/whole"))
        self.assertEqual([row["step"] for row in rows(f"{self.folder}/parts")], ["5", "6", "10", "12"])
        self.assertEqual(self.trainer("parts", config=config).run()["step"], 12)
        self.assertFalse([name for name in os.listdir(f"{self.folder}/parts") if "partial" in name])
        with self.assertRaisesRegex(ValueError, "of a run with batch 8, but got 4; expected the same options"):
            self.trainer("parts", batch=4, config=config)

    def test_log_after_a_crash(self):
        """Rows after the checkpoint that is gone on from are dropped."""
        self.trainer("a", log_every=3, eval_every=12, minutes=1e-9).run()
        with open(f"{self.folder}/a/log.csv", "a", encoding="utf-8") as file:
            file.write("6,768,,,9,,,,,,\n")
        self.trainer("a", log_every=3, eval_every=12).run()
        log = rows(f"{self.folder}/a")
        self.assertEqual([row["step"] for row in log], ["3", "6", "9", "12"])
        self.assertNotIn("9", [row["loss"] for row in log])

    def test_micro_batches(self):
        config = DecoderConfig(**SMALL)
        one, parts = self.trainer("one", 4, config=config), self.trainer("two", 4, config=config, micro_batch=2)
        one.run(), parts.run()
        self.assertLess(difference(one.model, parts.model), 1e-3)
        with self.assertRaisesRegex(ValueError, "expected a micro-batch that divides 8, but got 3"):
            self.trainer("three", micro_batch=3)

    def test_bfloat16(self):
        self.assertLess(self.trainer("half", 40, precision="bfloat16").run()["train_loss"], 0.6 * math.log(32))

    def test_evaluation(self):
        """Windows side by side give the mean over the tokens, for any batch."""
        model = nn.LanguageModel(DecoderConfig(**SMALL)).eval()
        ids = torch.from_numpy(self.tokens.valid[:49].astype(np.int64))
        with torch.no_grad():
            want = model(ids[:-1].reshape(3, 16), ids[1:].reshape(3, 16))[0].item()
        for batch in (1, 2, 3, 5):
            self.assertAlmostEqual(mean_loss(model, self.tokens.valid[:49], 16, batch, Ranks("cpu")), want, 5)
        self.assertIsNone(mean_loss(model, self.tokens.valid[:1], 16, 1, Ranks("cpu")))

    def test_two_processes(self):
        """torchrun with gloo gives the weights of one process with the same windows a step."""
        options = (*SIZES, f"--data={self.folder}", "--steps=6", "--batch=8", "--sequence=16", "--micro-batch=2")
        done = run("-m", "pquant.train", f"{self.folder}/one", *options, "--quiet")
        self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)
        launch = ["-m", "torch.distributed.run", "--nproc_per_node=2"]
        launch += ["--rdzv_backend=c10d", "--rdzv_endpoint=localhost:0"]
        # Without these, Debian's PyTorch 1.13.1 fails under its Python 3.11: it cannot read their default, 0.
        launch += ["--redirects=1", "--tee=1", f"--log_dir={self.folder}/logs"]
        done = run(*launch, "-m", "pquant.train", f"{self.folder}/two", *options)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.count("step 6/6, held-out perplexity"), 1)
        one, two = (nn.load_model(f"{self.folder}/{name}/model.pt") for name in ("one", "two"))
        self.assertLess(difference(one, two), 1e-3)
        with open(f"{self.folder}/two/results.json", encoding="utf-8") as file:
            results = json.load(file)
        self.assertEqual((results["processes"], results["tokens"]), (2, 6 * 8 * 16))
        for a, b in zip(rows(f"{self.folder}/one"), rows(f"{self.folder}/two")):
            self.assertAlmostEqual(float(a["loss"]), float(b["loss"]), 2)
            self.assertEqual(a["lr"], b["lr"])


class GenerateTest(unittest.TestCase):
    def test_generate(self):
        torch.manual_seed(0)
        model = nn.LanguageModel(DecoderConfig(**SMALL)).eval()

        def make(ids, count, **options):
            return list(generate(TorchModel(model), ids, count, **options))

        made = make([1, 2, 3], 5)
        self.assertEqual(made[0], model(torch.tensor([[1, 2, 3]]))[0, -1].argmax().item())
        self.assertEqual(make([1, 2, 3, *made[:2]], 3), made[2:])
        self.assertEqual(make([1, 2, 3], 5, eos=made[2]), made[: made.index(made[2])])
        drawn = [make([1], 8, sampling=Sampling(temperature=1, seed=s)) for s in (1, 1, 2)]
        self.assertEqual(drawn[0], drawn[1])
        self.assertNotEqual(drawn[0], drawn[2])
        with self.assertRaisesRegex(ValueError, r"expected one or more ids in \[0, 32\), but got \[40\]"):
            make([40], 1)

    def test_top_k(self):
        logits = np.array([0.0, 3.0, 2.9, -1.0], np.float32)
        for k, wanted in ((2, {1, 2}), (1, {1})):
            sampler = Sampler(Sampling(temperature=1, top_k=k))
            self.assertEqual({sampler.sample(logits) for _ in range(50)}, wanted)


class CommandTest(Folder):
    def test_from_text_to_text(self):
        path, out = f"{self.folder}/a.txt", f"{self.folder}/out"
        with open(path, "w", encoding="utf-8") as file:
            file.write(TEXT)
        options = (*SIZES, "--steps=4", "--batch=4", "--sequence=16", "--valid-fraction=0.1", "--vocab=310")
        done = run("-m", "pquant.train", out, f"--text={path}", *options, f"--json={self.folder}/r.json")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, r"step 4/4, held-out perplexity \d+\.\d+: finished\n$")
        with open(f"{out}/loss.png", "rb") as file:
            self.assertEqual(file.read(4), b"\x89PNG")
        with open(f"{self.folder}/r.json", encoding="utf-8") as file:
            results = json.load(file)
        done = run("-m", "pquant.eval", f"{out}/model.pt", f"--data={out}/data", "--sequence=16", "--device=cpu")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertAlmostEqual(json.loads(done.stdout)["valid_loss"], results["valid_loss"], 5)
        done = run("-m", "pquant.generate", f"{out}/model.pt", "--prompt=The number", "--tokens=5")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertTrue(done.stdout.startswith("The number"))
        done = run("-m", "pquant.eval", f"{out}/checkpoint.pt", f"--text={path}", "--sequence=16", "--device=cpu")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertGreater(json.loads(done.stdout)["tokens"], results["data"]["valid_tokens"])

    def test_errors(self):
        done = run("-m", "pquant.train", f"{self.folder}/x")
        self.assertEqual((done.returncode, done.stderr), (1, "error: expected either --data or --text\n"))

    def test_errors_leave_no_folder(self):
        data = f"{self.folder}/data"
        os.mkdir(data)
        write_tokens(data, range(20), range(20), vocab=32)
        for options, message in (
            (("--data=nowhere",), "expected token files of pquant.prepare in nowhere, but found no tokens.json"),
            (("--text", "missing.txt"), "expected a text file, but found no missing.txt"),
            ((f"--data={data}", "--batch=8", "--micro-batch=3"), "expected a micro-batch that divides 8, but got 3"),
        ):
            done = run("-m", "pquant.train", f"{self.folder}/new/run", *SIZES, *options)
            self.assertEqual((done.returncode, done.stderr), (1, f"error: {message}\n"))
        done = run("-m", "pquant.prepare", f"{self.folder}/new", "missing.txt")
        self.assertEqual((done.returncode, done.stderr), (1, "error: expected a text file, but found no missing.txt\n"))
        self.assertEqual(os.listdir(self.folder), ["data"])


if __name__ == "__main__":
    unittest.main()
