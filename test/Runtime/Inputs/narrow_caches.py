"""Sessions over caches of float16 and INT8 against one of float32: off, but by no more than their rounding allows.

usage: narrow_caches.py FLOAT32 FLOAT16 INT8
"""

import sys

import numpy as np
import pquant


def run(path, tokens, level):
    model = pquant.load(path)
    model.level = level
    session = model.session(len(tokens))
    half = len(tokens) // 2
    rows = [session.run(tokens[:half])] + [session.run(tokens[i:i + 1]) for i in range(half, len(tokens))]
    return np.concatenate(rows)


def main():
    exact = pquant.load(sys.argv[1])
    tokens = np.arange(8) * 5 % 16
    for level in (name for name, supported in exact.levels.items() if supported):
        want = run(sys.argv[1], tokens, level)
        for path, least, most in [(sys.argv[2], 1e-6, 1e-3), (sys.argv[3], 1e-5, 2e-2)]:
            error = np.linalg.norm(run(path, tokens, level) - want) / np.linalg.norm(want)
            if not least < error < most:
                sys.exit(f"{path} at {level}: expected an error of {least} to {most}, but got {error}")
        print(f"{level}: ok")


if __name__ == "__main__":
    main()
