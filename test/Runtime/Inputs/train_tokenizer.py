"""Writes a SentencePiece model of 256 pieces, learnt from the licence: train_tokenizer.py ROOT OUTPUT [CONTROL...]."""

import os
import sys

import sentencepiece

root, output, *control = sys.argv[1:]
# A text that does not change: what a model writes depends on it.
with open(os.path.join(root, "LICENSE"), encoding="utf-8") as file:
    lines = [line for line in file.read().split("\n") if line]
with open(output, "wb") as file:
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=file, model_type="bpe", vocab_size=256, control_symbols=control,
        minloglevel=2, hard_vocab_limit=False, character_coverage=0.98,
    )
