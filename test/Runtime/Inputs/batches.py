# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Several sequences at once: batches.py MODEL.so VOCABULARY [ONE.so]. Each gets the bits that it gets alone. ONE.so was
compiled without --batch."""

import sys

import numpy as np

import pquant

path, vocabulary = sys.argv[1], int(sys.argv[2])
random = np.random.default_rng(3)


def check(model, sequences, prompt, count):
    """A prompt of each sequence, then tokens one by one."""
    ids = random.integers(0, vocabulary, (sequences, prompt + count))
    batch, alone = model.session(prompt + count, sequences), [model.session(prompt + count) for _ in range(sequences)]
    for begin, end in ((0, prompt), *((i, i + 1) for i in range(prompt, prompt + count))):
        if begin == end:
            continue
        got = batch.run(ids[:, begin:end])
        assert got.shape == (sequences, vocabulary) and batch.position == end
        for i, session in enumerate(alone):
            want = session.run(ids[i, begin:end])
            assert (got[i].view(np.int32) == want.view(np.int32)).all(), (sequences, i, end, np.abs(got[i] - want).max())


def check_errors(model):
    batch = model.session(4, 2)
    for run, text in (
        (lambda: batch.run([[1, 2, 3, 4, 5]] * 2), "5 tokens do not fit: the session holds 0 of 4 positions"),
        (lambda: batch.run([[1], [-1]]), "expected tokens of 0 to"),
        (lambda: batch.run([1, 2]), "expected tokens of 2 sequences, but got the shape"),
        (lambda: model.session(4, 0), "expected 1 sequence or more, but got 0"),
    ):
        try:
            run()
            raise AssertionError(text)
        except ValueError as error:
            assert text in str(error), error
    for wrong in ([[1], [vocabulary]], [[1, 2], [1, vocabulary]]):
        try:
            batch.run(wrong)
            raise AssertionError("expected an index out of range")
        except RuntimeError as error:
            assert "indices in range" in str(error), error
        assert batch.position == 0
    batch.run([[1, 2], [3, 4]])
    batch.rewind(1)
    assert batch.position == 1


with pquant.load(path) as model:
    for level, there in model.levels.items():
        if not there:
            continue
        model.level = level
        for sequences, prompt, count in ((2, 5, 3), (3, 150, 3), (5, 0, 3), (8, 9, 2), (9, 2, 1)):
            check(model, sequences, prompt, count)
        print(f"{level}: equal")
    check_errors(model)
if len(sys.argv) > 3:
    with pquant.load(sys.argv[3]) as model:
        model.session(4, 1)
        try:
            model.session(4, 2)
        except pquant.Error as error:
            print(error)
