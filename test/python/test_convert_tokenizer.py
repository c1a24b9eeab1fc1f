"""pquant.convert_tokenizer: a tokenizer.json as Hugging Face makes it of a SentencePiece model, there and back."""

import copy
import glob
import io
import json
import os
import subprocess
import sys
import tempfile
import unittest

import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as schema

from pquant.convert_tokenizer import HFTokenizer, convert

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def lines():
    for path in sorted(glob.glob(os.path.join(ROOT, "docs", "*.md"))):
        with open(path, encoding="utf-8") as file:
            yield from (line for line in file.read().split("\n") if line)


def train() -> bytes:
    file = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(list(lines())[:800]), model_writer=file, model_type="bpe", vocab_size=900, minloglevel=2,
        byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True, control_symbols=["<|user|>"],
    )
    return file.getvalue()


def to_json(file: bytes) -> dict:
    """All ways to make a piece of two, by the piece's score, then by the ids of the two."""
    pieces = schema.ModelProto.FromString(file).pieces
    vocab = {piece.piece: i for i, piece in enumerate(pieces)}
    normal = {piece.piece for piece in pieces if piece.type == piece.NORMAL}
    merges = []
    for piece in sorted((p for p in pieces if p.piece in normal), key=lambda p: -p.score):
        halves = [(piece.piece[:i], piece.piece[i:]) for i in range(1, len(piece.piece))]
        merges += sorted((h for h in halves if set(h) <= normal), key=lambda h: (vocab[h[0]], vocab[h[1]]))
    special = [p for p in pieces if p.type in (p.CONTROL, p.UNKNOWN)]
    return {
        "added_tokens": [{"id": vocab[p.piece], "content": p.piece, "special": True} for p in special],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "Prepend", "prepend": "▁"},
                {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
            ],
        },
        "pre_tokenizer": None,
        "model": {
            "type": "BPE", "unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True, "vocab": vocab,
            "merges": [" ".join(merge) for merge in merges],
        },
    }


class ConvertTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.file = train()
        cls.json = to_json(cls.file)

    def test_there_and_back(self):
        want = sentencepiece.SentencePieceProcessor(model_proto=self.file)
        tokenizer = HFTokenizer(self.json)
        got = sentencepiece.SentencePieceProcessor(model_proto=convert(tokenizer, "<s>", "</s>"))
        self.assertEqual((got.bos_id(), got.eos_id(), got.unk_id()), (1, 2, 0))
        self.assertTrue(got.is_control(got.piece_to_id("<|user|>")))
        for text in [*list(lines())[:200], "", " ", "  a  b ", "漢字 👍", "<s>"]:
            self.assertEqual(got.encode(text), want.encode(text), text)
            self.assertEqual(tokenizer.encode(text), want.encode(text), text)
            self.assertEqual(got.decode(want.encode(text)), want.decode(want.encode(text)), text)

    def change(self, *path):
        file = copy.deepcopy(self.json)
        *path, value = path
        node = file
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = value
        return file

    def test_without_prefix(self):
        replace = self.json["normalizer"]["normalizers"][1]
        metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never", "split": False}
        other = self.change("normalizer", None)
        other["pre_tokenizer"] = metaspace
        for file in (self.change("normalizer", replace), other):
            got = sentencepiece.SentencePieceProcessor(model_proto=convert(HFTokenizer(file), "<s>", "</s>"))
            self.assertEqual(got.encode("a b", out_type=str)[0], "a")

    def test_refused(self):
        merges = self.json["model"]["merges"]
        two = next(i for i in range(1, len(merges)) if len({m.replace(" ", "") for m in merges[i - 1 : i + 1]}) == 1)
        moved = merges[:two] + merges[two + 1 :] + [merges[two]]
        last = list(self.json["model"]["vocab"])[-1]
        level, meta = {"type": "ByteLevel"}, {"type": "Metaspace", "replacement": "▁"}
        new = {"id": len(self.json["model"]["vocab"]), "content": "<new>", "special": False}
        for text, file in (
            ("not a tokenizer.json", {}),
            ("not a tokenizer.json", []),
            ("not a tokenizer.json", {"model": 3}),
            ("byte-level BPE cuts text by a regular expression", self.change("pre_tokenizer", level)),
            ("byte-level BPE cuts", self.change("pre_tokenizer", {"type": "Sequence", "pretokenizers": [{"type": "Split"}, level][::-1]})),
            ("the step 'NFC' is none", self.change("normalizer", {"type": "NFC"})),
            ("expected spaces to become", self.change("normalizer", None)),
            ("Metaspace puts no space before", self.change("pre_tokenizer", meta)),
            ("Metaspace cuts text at spaces", self.change("pre_tokenizer", {**meta, "prepend_scheme": "never"})),
            ("a Unigram model; expected BPE", self.change("model", {"type": "Unigram", "vocab": [["a", -1.0]]})),
            ("'dropout' is set", self.change("model", "dropout", 0.1)),
            ("'ignore_merges' is set", self.change("model", "ignore_merges", True)),
            ("there is no unknown token", self.change("model", "unk_token", None)),
            ("unknown characters stay apart", self.change("model", {**self.json["model"], "byte_fallback": False, "fuse_unk": False})),
            ("the added token '<new>' is not special", self.change("added_tokens", [new])),
            ("has two ids", self.change("added_tokens", [{"id": 5, "content": "<s>", "special": True}])),
            ("expected ids from 0 to", self.change("model", "vocab", last, 5000)),
            ("merges to '.*' are not side by side", self.change("model", "merges", moved)),
            ("no merge makes", self.change("model", "merges", merges[:-1])),
            ("makes no piece", self.change("model", "merges", [*merges, "q q"])),
        ):
            with self.assertRaisesRegex(ValueError, text):
                HFTokenizer(file)

    def run_tool(self, *arguments):
        environment = dict(os.environ, PYTHONPATH=os.path.join(ROOT, "python"))
        command = [sys.executable, "-m", "pquant.convert_tokenizer", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def test_command(self):
        with tempfile.TemporaryDirectory() as folder:
            source, made = os.path.join(folder, "tokenizer.json"), os.path.join(folder, "t.model")
            with open(source, "w", encoding="utf-8") as file:
                json.dump(self.json, file)
            done = self.run_tool(source, "-o", made, "--eos", "<end>")
            self.assertRegex(done.stderr, r"error: .*tokenizer.json: expected --eos with one of .*</s>")
            self.assertEqual((done.returncode, os.listdir(folder)), (1, ["tokenizer.json"]))
            done = self.run_tool(source, "-o", made, "--check", os.path.join(ROOT, "README.md"))
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertRegex(done.stdout, r"900 tokens; \d+ texts tokenize equally")
            self.assertEqual(sentencepiece.SentencePieceProcessor(model_file=made).vocab_size(), 900)
            with open(source, "w", encoding="utf-8") as file:
                file.write("{")
            self.assertRegex(self.run_tool(source, "-o", made).stderr, "^error: .*tokenizer.json: Expecting")


if __name__ == "__main__":
    unittest.main()
