# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The folder that a command writes into."""

import contextlib
import os
from typing import Iterator


@contextlib.contextmanager
def new_folder(path: str) -> Iterator[None]:
    """Makes the folder, and those above it; if what is done within fails and wrote nothing, takes them away again."""
    missing, each = [], os.path.abspath(path)
    while not os.path.exists(each):
        missing.append(each)
        each = os.path.dirname(each)
    os.makedirs(path, exist_ok=True)
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            for each in missing:
                os.rmdir(each)
        raise
