# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""From text files to token files (`pquant.training.tokens`), by SentencePiece.

The tokenizer keeps text as it is: no normalisation, no prefix, unknown characters as bytes, so that text may be encoded
line by line. Needs python3-sentencepiece, and nothing of torch.
"""

import json
import os
import shutil
from typing import Iterator, List, Sequence

import numpy as np

from pquant.training.folder import new_folder

BATCH = 1 << 20  # characters encoded at once


def load_tokenizer(path: str):
    """The SentencePieceProcessor of a .model file."""
    try:
        import sentencepiece
    except ImportError:
        raise ValueError("expected SentencePiece (Debian: python3-sentencepiece), but it is not installed") from None
    if not os.path.exists(path):
        raise ValueError(f"expected a SentencePiece model, but found no {path}")
    return sentencepiece.SentencePieceProcessor(model_file=path)


def train_tokenizer(files: Sequence[str], path: str, vocab: int, sentences: int, threads: int) -> None:
    """Trains a byte-pair model with byte fallback on (at most `sentences` lines of) the files."""
    try:
        import sentencepiece
    except ImportError:
        raise ValueError("expected SentencePiece (Debian: python3-sentencepiece), but it is not installed") from None
    prefix = path + ".partial"
    try:
        sentencepiece.SentencePieceTrainer.train(
            input=list(files),
            model_prefix=prefix,
            model_type="bpe",
            vocab_size=vocab,
            character_coverage=0.9999,
            byte_fallback=True,
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            add_dummy_prefix=False,
            split_digits=True,
            max_sentence_length=1 << 16,
            input_sentence_size=sentences,
            shuffle_input_sentence=True,
            num_threads=threads,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise ValueError(f"SentencePiece made no model of {vocab} pieces: {error}") from None
    os.replace(prefix + ".model", path)
    os.remove(prefix + ".vocab")


class SplitWriter:
    """Encodes text into one .bin file, and counts."""

    def __init__(self, path: str, tokenizer, eos: int, threads: int):
        self.file, self.tokenizer, self.eos, self.threads = open(path, "wb"), tokenizer, eos, threads
        self.lines: List[str] = []
        self.pending = self.tokens = self.bytes = self.words = 0

    def write(self, line: str) -> None:
        self.lines.append(line)
        self.pending += len(line)
        if self.pending >= BATCH:
            self.flush()

    def _put(self, ids: np.ndarray) -> None:
        self.file.write(ids.astype("<u2").tobytes())
        self.tokens += len(ids)

    def flush(self) -> None:
        for line in self.lines:
            self.bytes += len(line.encode("utf-8"))
            self.words += len(line.split())
        encoded = self.tokenizer.encode(self.lines, out_type=int, num_threads=self.threads) if self.lines else []
        self._put(np.array([token for ids in encoded for token in ids], np.int64))
        self.lines, self.pending = [], 0

    def end_document(self) -> None:
        self.flush()
        self._put(np.array([self.eos]))

    def close(self) -> None:
        self.flush()
        self.file.close()


def _lines(path: str) -> Iterator[str]:
    with open(path, encoding="utf-8", errors="replace", newline="\n") as file:
        yield from file


def _write_file(path: str, split_at: int, separator: str, train: SplitWriter, valid: SplitWriter) -> None:
    """The lines that begin before byte `split_at` into train, the others into valid; documents end with eos.

    With a separator, documents are not torn: the change of split waits for the end of one.
    """
    position, writer, inside = 0, train, False
    for line in _lines(path):
        if writer is train and position >= split_at and not (separator and inside):
            if inside:
                train.end_document()
            writer, inside = valid, False
        position += len(line.encode("utf-8"))
        if separator and line.rstrip("\r\n") == separator:
            if inside:
                writer.end_document()
            inside = False
            continue
        writer.write(line)
        inside = True
    if inside:
        writer.end_document()


def _put_tokenizer(files: Sequence[str], folder: str, vocab: int, given: str, sentences: int, threads: int):
    """The SentencePieceProcessor, given or trained, of what is then FOLDER/tokenizer.model."""
    own = os.path.join(folder, "tokenizer.model")
    if not given:
        train_tokenizer(files, own, vocab, sentences, threads)
    processor = load_tokenizer(given or own)
    if processor.vocab_size() > 1 << 16:
        raise ValueError(f"expected a tokenizer of at most 65536 pieces, but got {processor.vocab_size()}")
    if processor.eos_id() < 0:
        raise ValueError("expected a tokenizer with an end-of-sequence piece, but it has none")
    if given and os.path.abspath(given) != os.path.abspath(own):
        shutil.copyfile(given, own)
    return processor


def prepare(
    files: Sequence[str],
    folder: str,
    vocab: int = 8192,
    tokenizer: str = "",
    valid_files: Sequence[str] = (),
    valid_fraction: float = 0.01,
    separator: str = "",
    sentences: int = 1_000_000,
    threads: int = 0,
) -> dict:
    """Writes the token files of text `files` (UTF-8) and returns the entries of tokens.json.

    vocab: pieces of a tokenizer to train on `files`; tokenizer: one to use instead. Held out are `valid_files`, or else
    the last part `valid_fraction` of each file. separator: a line that stands between two documents of a file.
    """
    threads = threads or os.cpu_count() or 1
    for path in [*files, *valid_files]:
        if not os.path.isfile(path):
            raise ValueError(f"expected a text file, but found no {path}")
    if not 0 <= valid_fraction < 1:
        raise ValueError(f"expected a held-out part in [0, 1), but got {valid_fraction}")
    with new_folder(folder):
        processor = _put_tokenizer(files, folder, vocab, tokenizer, sentences, threads)
    eos = processor.eos_id()
    train, valid = (SplitWriter(f"{folder}/{split}.bin", processor, eos, threads) for split in ("train", "valid"))
    for path in files:
        share = 0 if valid_files else valid_fraction
        split_at = int(os.path.getsize(path) * (1 - share)) if share else 1 << 62
        _write_file(path, split_at, separator, train, valid)
    for path in valid_files:
        _write_file(path, 1 << 62, separator, valid, valid)
    train.close()
    valid.close()
    info = {"vocab": processor.vocab_size(), "eos": eos, "train_tokens": train.tokens, "valid_tokens": valid.tokens}
    info.update(train_bytes=train.bytes, valid_bytes=valid.bytes, valid_words=valid.words)
    with open(f"{folder}/tokens.json", "w", encoding="utf-8") as file:
        json.dump(info, file, indent=1)
        file.write("\n")
    return info
