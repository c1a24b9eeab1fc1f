# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""same.py A.npz B.npz ...: exits 1 unless all files hold the same arrays, bit for bit."""

import sys

import numpy as np


def arrays(path: str) -> dict:
    with np.load(path) as data:
        return {name: (data[name].dtype.str, data[name].shape, data[name].tobytes()) for name in data.files}


def main(first: str, *others: str) -> None:
    want = arrays(first)
    for path in others:
        got = arrays(path)
        different = sorted(name for name in want.keys() | got.keys() if want.get(name) != got.get(name))
        if different:
            sys.exit(f"{path}: {', '.join(different)} differ from those of {first}")


if __name__ == "__main__":
    main(*sys.argv[1:])
