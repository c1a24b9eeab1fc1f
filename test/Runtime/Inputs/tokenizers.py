"""The tokenizer against the SentencePiece library, on models of every kind that it supports."""

import glob
import io
import os
import random
import sys
import unittest

import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as schema
from text_api import Tokenizer

ROOT = sys.argv[2]
KINDS = {
    "plain": {},
    "bytes": {"byte_fallback": True, "vocab_size": 900},
    "identity": {
        "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,
        "byte_fallback": True,
        "vocab_size": 900,
    },
    "users": {
        "user_defined_symbols": ["<user>", "<sep>", "aa"],
        "add_dummy_prefix": False,
        "normalization_rule_name": "nmt_nfkc_cf",
    },
    "suffix": {"treat_whitespace_as_suffix": True, "control_symbols": ["<c>"]},
    "digits": {"normalization_rule_name": "nfkc", "split_digits": True, "unk_surface": "??"},
}


def lines():
    for path in sorted(glob.glob(os.path.join(ROOT, "docs", "*.md"))):
        with open(path, encoding="utf-8") as file:
            yield from (line for line in file.read().split("\n") if line)


def texts():
    """Lines of the documents, odd characters at random, random bytes, and what is easy to get wrong."""
    draw = random.Random(1)
    odd = "aé漢字 かなカナﬁⅫ①ｆｕ　　\u00a0\u200b👍🏽\t\n\r\x00ñ Å ½ ™ ﷺ\u0301e\u0301▁▁ x"
    ranges = ((32, 127), (128, 0x7FF), (0x800, 0xD7FF), (0x10000, 0x1FFFF))
    made = list(lines())[:300] + ["", " ", "  ", " a  b ", "<s>", "</s>", "<unk>", "<0x41>", "▁", "▁a▁", "aaaaaaa" * 40]
    made += ["<user>hello<user> <sep>x <user>"]
    made += ["".join(draw.choice(odd) for _ in range(draw.randint(0, 30))) for _ in range(300)]
    made += ["".join(chr(draw.randint(*draw.choice(ranges))) for _ in range(draw.randint(1, 20))) for _ in range(300)]
    return [t.encode() for t in made] + [draw.randbytes(draw.randint(1, 12)) for _ in range(200)]


def train(model_type, **options):
    file, options = io.BytesIO(), {"vocab_size": 700, **options}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(list(lines())[:800]), model_writer=file, model_type=model_type, minloglevel=2,
        hard_vocab_limit=False, character_coverage=0.98, **options,
    )
    return file.getvalue()


def change(file, function):
    model = schema.ModelProto.FromString(file)
    function(model)
    return model.SerializeToString()


class TokenizerTest(unittest.TestCase):
    def compare(self, file):
        """Tokens and texts are the library's; what comes out on the way is whole characters."""
        want, got = sentencepiece.SentencePieceProcessor(model_proto=file), Tokenizer(file)
        self.assertEqual(got.size, want.vocab_size())
        for text in texts():
            ids = want.encode(text)
            self.assertEqual(got.encode(text), ids, text)
            if b"\0" in text:  # ends a C string
                continue
            pieces = got.pieces(ids)
            self.assertEqual(b"".join(pieces).decode(), want.decode(ids), text)
            for piece in pieces:
                piece.decode()

    def test_kinds(self):
        for model_type in ("unigram", "bpe"):
            for name, options in KINDS.items():
                with self.subTest(f"{model_type} {name}"):
                    self.compare(train(model_type, **options))

    def test_sample(self):
        with open(os.path.join(ROOT, "python", "sample", "tokenizer.model"), "rb") as file:
            self.compare(file.read())

    def test_unused(self):
        """Pieces that are on the way to longer ones only."""

        def drop(model):
            for piece in model.pieces[300:600:3]:
                if len(piece.piece) > 1 and piece.type == piece.NORMAL:
                    piece.type = piece.UNUSED

        for model_type in ("unigram", "bpe"):
            self.compare(change(train(model_type), drop))

    def test_incomplete_character(self):
        """The bytes of a character come out together; bytes of none come out as U+FFFD."""
        tokenizer = Tokenizer(train("bpe", byte_fallback=True, vocab_size=900))
        first = sentencepiece.SentencePieceProcessor(model_proto=tokenizer.file).piece_to_id("<0x00>")
        ids = [first + byte for byte in "a👍".encode() + b"\xf0\x9f"]
        self.assertEqual(tokenizer.pieces(ids), [b"a", b"", b"", b"", "👍".encode(), b"", b"", "\ufffd\ufffd".encode()])
        self.assertEqual(tokenizer.pieces([-2, tokenizer.size, 2**40]), [b""] * 4)

    def test_refused(self):
        file = train("bpe", byte_fallback=True, vocab_size=900)

        def set_kind(number):
            return lambda model: setattr(model.trainer_spec, "model_type", number)

        def drop(index):
            return lambda model: model.pieces.remove(model.pieces[index])

        byte = next(i for i, p in enumerate(schema.ModelProto.FromString(file).pieces) if p.type == p.BYTE)
        cases = (
            ("not a SentencePiece model", b""),
            ("not a SentencePiece model", b"hello"),
            ("not a SentencePiece model", file[: len(file) // 2]),
            ("of words or characters; expected unigram or BPE", change(file, set_kind(4))),
            ("without an unknown piece", change(file, drop(0))),
            ("with byte fallback but not all bytes", change(file, drop(byte))),
            ("a malformed byte piece", change(file, lambda m: setattr(m.pieces[byte], "piece", "<0xZZ>"))),
            ("that has a piece twice", change(file, lambda m: m.pieces.append(m.pieces[-1]))),
            ("with a malformed normaliser", change(file, lambda m: setattr(m.normalizer_spec, "precompiled_charsmap", b"abc"))),
            ("with a denormaliser", change(file, lambda m: setattr(m.denormalizer_spec, "precompiled_charsmap", b"abc"))),
        )
        for text, bad in cases:
            with self.assertRaisesRegex(ValueError, text):
                Tokenizer(bad)

    def test_damaged(self):
        """A file with bytes changed is refused or works, whatever its table of characters says."""
        draw, file = random.Random(2), train("unigram")
        some = texts()[::20]
        for _ in range(300):
            damaged = bytearray(file)
            for _ in range(draw.randint(1, 4)):
                damaged[draw.randrange(len(damaged))] = draw.randrange(256)
            try:
                tokenizer = Tokenizer(bytes(damaged))
            except ValueError:
                continue
            for text in some:
                tokenizer.pieces(tokenizer.encode(text))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
