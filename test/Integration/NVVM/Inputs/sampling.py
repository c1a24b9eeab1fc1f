"""Tokens that a GPU model's sessions draw against those of the reference, by all logits: `sampling.py GPU.so`, of
table_model.py. EMULATED_COPIES says what was copied."""

import ctypes as C
import itertools
import os
import sys

import numpy as np

RANDOM = np.random.default_rng(0)
SIZE = 9001  # no multiple of the threads, nor of what each loads at once


def make_rows():
    plain = (3 * RANDOM.standard_normal(SIZE)).astype(np.float32)
    ties = plain.copy()
    ties[[8999, 7, 4096]] = ties.max() + 1
    zeros = -np.abs(plain) - 1
    zeros[[9000, 5]], zeros[17] = -0.0, 0.0
    masked = np.full(SIZE, -np.inf, np.float32)
    masked[[3, 1027, 2051, 8000]] = 1, 2, 3, -4  # three of one thread's
    masked[4000:4300] = -5
    crowd = plain.copy()
    crowd[11::1024] += 100  # the largest are all one thread's
    broken, infinite = plain.copy(), plain.copy()
    broken.view(np.uint32)[8192] = 0xFFC00001  # a negative NaN
    infinite[0] = np.inf
    return [plain, ties, zeros, masked, crowd, np.zeros(SIZE, np.float32), broken, infinite]


TABLE = np.array(make_rows(), np.float32)
EQUAL, BROKEN = 5, 6  # the row of equal logits, and the first that cannot be sampled


def main():
    import text_api as api

    import pquant
    from pquant.sampling import Sampler, Sampling

    model = pquant.load(sys.argv[1])
    copies = lambda: [int(line) for line in open(os.environ["EMULATED_COPIES"])]

    def draw(sampler, tokens):
        """pquant_session_sample from an empty session, and the bytes that it copied."""
        session, array, token = model.session(8), np.array(tokens, np.int64), C.c_int64()
        before = len(copies())
        arguments = session._handle, C.c_void_p(array.ctypes.data), C.c_int64(len(array)), sampler.handle, C.byref(token)
        api.check(api.library.pquant_session_sample(*arguments))
        return token.value, copies()[before:]

    grid = [(0, 0, 1, 1), (0, 0, 1, 1.5), (0, 0, 1, 0.5), (1, 0, 1, 1), (0.7, 300, 1, 1)]
    grid += itertools.product((0.8, 5), (1, 40, 250), (1, 0.6), (1, 1.3))
    counts = {"ranked": 0, "all": 0}
    for temperature, top_k, top_p, penalty in grid:
        sampling = Sampling(temperature, top_k, top_p, penalty, 5, 11)
        got, want = api.Sampler(sampling, SIZE), Sampler(sampling)
        for row in (*range(BROKEN), *range(BROKEN)):  # some tokens have been drawn before, and are penalised
            for tokens in ([row], [2, 1, row]):
                token, copied = draw(got, tokens)
                assert token == want.sample(TABLE[row]), (sampling, row)
                # With a penalty, 250 and the 5 last tokens.
                ranked = penalty >= 1 and (temperature == 0 or 0 < top_k <= 250)
                fits = row != EQUAL and (row != 3 or top_k <= 4 or penalty > 1 and temperature == 0)
                if ranked and fits:
                    assert copied == [4 * 769], (copied, sampling, row)
                elif not ranked:
                    assert copied == [4 * SIZE], (copied, sampling, row)
                counts["ranked" if 4 * SIZE not in copied else "all"] += 1
        for row in (BROKEN, BROKEN + 1):
            try:
                draw(got, [row])
                raise AssertionError("expected an error")
            except ValueError as error:
                assert "expected finite logits, but got NaN or infinity" in str(error)
    print(counts)


if __name__ == "__main__":
    main()
