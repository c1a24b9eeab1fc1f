# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A SentencePiece model of a Hugging Face tokenizer.json: `python -m pquant.convert_tokenizer tokenizer.json -o FILE`.

Only what SentencePiece represents exactly is converted: BPE over characters with spaces as U+2581, as LLaMA 1 and 2 have
it, whose merges are all the ways to join two pieces to a third, in the order of the pieces. Everything else is refused
with the reason, byte-level BPE (GPT-2, Qwen, LLaMA 3) among it: it cuts the text by a regular expression first. The
result is compared with the merges of the file on random texts, and on `--check FILE`.

Special tokens become control tokens: in a text their names are text, and only the chat template makes them.
"""

import argparse
import json
import random
import sys
from typing import Dict, List, Optional, Tuple

SPACE = "\u2581"
MAX_TEXT = 60  # pieces of a random text


def _expect(condition, text: str) -> None:
    if not condition:
        raise ValueError(text)


class HFTokenizer:
    """A checked tokenizer.json: pieces by id, ranks of merges, special tokens, and how text is prepared."""

    def __init__(self, file: dict):
        model = file.get("model") if isinstance(file, dict) else None
        _expect(isinstance(model, dict) and isinstance(model.get("vocab"), (dict, list)), "not a tokenizer.json: no vocabulary")
        self._check_steps(file)
        _expect(model.get("type", "BPE") == "BPE" and isinstance(model["vocab"], dict), f"a {model.get('type')} model; expected BPE")
        for key in ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "ignore_merges"):
            _expect(not model.get(key), f"'{key}' is set, which SentencePiece does not have")
        self.vocab: Dict[str, int] = dict(model["vocab"])
        self.byte_fallback = bool(model.get("byte_fallback"))
        self.unknown = model.get("unk_token")
        _expect(self.unknown in self.vocab, "there is no unknown token, which SentencePiece needs")
        _expect(self.byte_fallback or model.get("fuse_unk"), "unknown characters stay apart; SentencePiece fuses them")
        self.special = set()
        for token in file.get("added_tokens") or []:
            name = token["content"]
            _expect(token.get("special"), f"the added token '{name}' is not special; SentencePiece prepares text around it otherwise")
            _expect(self.vocab.setdefault(name, token["id"]) == token["id"], f"the token '{name}' has two ids")
            self.special.add(name)
        ids = sorted(self.vocab.values())
        _expect(ids == list(range(len(ids))), f"expected ids from 0 to {len(ids) - 1}, each once")
        self.bytes = {f"<0x{i:02X}>" for i in range(256)} if self.byte_fallback else set()
        _expect(self.bytes <= set(self.vocab), "there is byte fallback, but not a token for each byte")
        self._read_merges(model.get("merges") or [])

    def _check_steps(self, file: dict) -> None:
        """What is done to a text before the merges: a prefix, and spaces replaced; no more than that."""
        steps = []
        for part in (file.get("normalizer"), file.get("pre_tokenizer")):
            steps += (part.get("normalizers") or part.get("pretokenizers") or [part]) if part else []
        self.has_prefix = False
        for step in steps:
            kind = step.get("type")
            _expect(kind != "ByteLevel", "byte-level BPE cuts text by a regular expression, which SentencePiece does not have")
            is_prefix = kind == "Prepend" and step.get("prepend") == SPACE
            is_space = kind == "Replace" and step.get("pattern") == {"String": " "} and step.get("content") == SPACE
            if kind == "Metaspace":
                never = step.get("prepend_scheme", "always" if step.get("add_prefix_space", True) else "never") == "never"
                _expect(never, "Metaspace puts no space before a text that starts with one; SentencePiece does")
                _expect(step.get("split") is False, "Metaspace cuts text at spaces; SentencePiece does not")
                is_space = step.get("replacement") == SPACE
            _expect(is_prefix or is_space, f"the step '{kind}' is none that SentencePiece does in the same way")
            self.has_prefix |= is_prefix
        _expect(len(steps) == 1 + self.has_prefix, "expected spaces to become U+2581, after it as a prefix or nothing")

    def _read_merges(self, merges: list) -> None:
        """Ranks, and an order of pieces by which joining by pieces is joining by merges."""
        pairs = [tuple(m.split(" ")) if isinstance(m, str) else tuple(m) for m in merges]
        self.ranks: Dict[Tuple[str, ...], int] = {pair: rank for rank, pair in enumerate(pairs)}
        self.order: Dict[str, int] = {}
        last: Optional[str] = None
        for pair in pairs:
            piece = "".join(pair)
            _expect(len(pair) == 2 and piece in self.vocab, f"the merge {' '.join(pair)} makes no piece of the vocabulary")
            _expect(piece == last or piece not in self.order, f"merges to '{piece}' are not side by side; SentencePiece ranks pieces")
            self.order.setdefault(piece, len(self.order))
            last = piece
        for piece in self.vocab:
            if piece in self.special or piece in self.bytes or piece == self.unknown:
                continue
            for i in range(1, len(piece)):
                pair = piece[:i], piece[i:]
                known = all(len(half) == 1 or half in self.vocab for half in pair)
                _expect(not known or pair in self.ranks, f"no merge makes '{piece}' of '{pair[0]}' and '{pair[1]}'; SentencePiece would")

    def encode(self, text: str) -> List[int]:
        """Tokens by the merges of the file: the lowest rank first, the leftmost first among equals."""
        parts = list((SPACE if self.has_prefix and text else "") + text.replace(" ", SPACE))
        while True:
            ranks = [(self.ranks[pair], i) for i, pair in enumerate(zip(parts, parts[1:])) if pair in self.ranks]
            if not ranks:
                break
            _, i = min(ranks)
            parts[i : i + 2] = [parts[i] + parts[i + 1]]
        ids: List[int] = []
        for part in parts:
            if part in self.vocab:
                ids.append(self.vocab[part])
            elif self.byte_fallback:
                ids += [self.vocab[f"<0x{byte:02X}>"] for byte in part.encode()]
            elif not ids or ids[-1] != self.vocab[self.unknown]:
                ids.append(self.vocab[self.unknown])
        return ids


def convert(tokenizer: HFTokenizer, begin: str, end: str) -> bytes:
    """The SentencePiece model file."""
    from sentencepiece import sentencepiece_model_pb2 as schema

    model = schema.ModelProto()
    for name, _ in sorted(tokenizer.vocab.items(), key=lambda item: item[1]):
        piece = model.pieces.add(piece=name, score=-float(tokenizer.order.get(name, len(tokenizer.order))))
        if name == tokenizer.unknown:
            piece.type = piece.UNKNOWN
        elif name in tokenizer.special:
            piece.type = piece.CONTROL
        elif name in tokenizer.bytes:
            piece.type = piece.BYTE
        else:
            piece.type = piece.NORMAL
    model.trainer_spec.model_type = model.trainer_spec.BPE
    model.trainer_spec.vocab_size = len(model.pieces)
    model.trainer_spec.byte_fallback = tokenizer.byte_fallback
    model.trainer_spec.unk_piece = tokenizer.unknown
    model.trainer_spec.unk_id = tokenizer.vocab[tokenizer.unknown]
    for key, name in (("bos", begin), ("eos", end)):
        setattr(model.trainer_spec, f"{key}_piece", name)
        setattr(model.trainer_spec, f"{key}_id", tokenizer.vocab[name] if name in tokenizer.special else -1)
    model.normalizer_spec.name = "identity"
    model.normalizer_spec.add_dummy_prefix = tokenizer.has_prefix
    model.normalizer_spec.remove_extra_whitespaces = False
    model.normalizer_spec.escape_whitespaces = True
    return model.SerializeToString()


def verify(tokenizer: HFTokenizer, file: bytes, texts: List[str]) -> None:
    """Fails when the library gives other tokens for one of the texts than the merges."""
    import sentencepiece

    converted = sentencepiece.SentencePieceProcessor(model_proto=file)
    for text in texts:
        _expect(converted.encode(text) == tokenizer.encode(text), f"SentencePiece tokenizes {text!r} otherwise")


def random_texts(tokenizer: HFTokenizer, count: int) -> List[str]:
    draw, pieces = random.Random(0), sorted(set(tokenizer.vocab) - tokenizer.special - tokenizer.bytes)
    pieces = [piece.replace(SPACE, " ") for piece in pieces] + [" ", "  ", "é", "漢", "👍", "\n"]
    return ["", " "] + ["".join(draw.choice(pieces) for _ in range(draw.randint(1, MAX_TEXT))) for _ in range(count)]


def main() -> None:
    parser = argparse.ArgumentParser(prog="pquant.convert_tokenizer", description="tokenizer.json to a SentencePiece model.")
    parser.add_argument("tokenizer", help="tokenizer.json")
    parser.add_argument("-o", "--output", required=True, help="the SentencePiece model")
    parser.add_argument("--bos", default="<s>", help="name of the token that starts a text (<s>)")
    parser.add_argument("--eos", default="</s>", help="name of the token that ends a text (</s>)")
    parser.add_argument("--check", metavar="FILE", help="a text file whose lines must tokenize equally, too")
    a = parser.parse_args()
    try:
        with open(a.tokenizer, encoding="utf-8") as file:
            tokenizer = HFTokenizer(json.load(file))
        _expect(a.eos in tokenizer.special, f"expected --eos with one of {', '.join(sorted(tokenizer.special)) or 'no special tokens'}")
        converted, texts = convert(tokenizer, a.bos, a.eos), random_texts(tokenizer, 300)
        if a.check:
            with open(a.check, encoding="utf-8") as file:
                texts += file.read().split("\n")
        verify(tokenizer, converted, texts)
        with open(a.output, "wb") as file:
            file.write(converted)
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        sys.exit(f"error: {a.tokenizer}: {error}")
    print(f"{len(tokenizer.vocab)} tokens; {len(texts)} texts tokenize equally")


if __name__ == "__main__":
    main()
