"""Writes a SentencePiece model of 256 pieces, learnt from the documents: train_tokenizer.py ROOT OUTPUT [CONTROL...]."""

import glob
import os
import sys

import sentencepiece

root, output, *control = sys.argv[1:]
lines = []
for path in sorted(glob.glob(os.path.join(root, "docs", "*.md"))):
    with open(path, encoding="utf-8") as file:
        lines += [line for line in file.read().split("\n") if line]
with open(output, "wb") as file:
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=file, model_type="bpe", vocab_size=256, control_symbols=control,
        minloglevel=2, hard_vocab_limit=False, character_coverage=0.98,
    )
