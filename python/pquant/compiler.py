# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""`pquant-compile` from Python."""

import os
import pathlib
import shutil
import subprocess
import sys
from typing import List, Optional, Union

PathLike = Union[str, os.PathLike]


class CompileError(RuntimeError):
    """What pquant-compile wrote about a model or a flag that it refuses."""


def find_tool(name: str) -> str:
    """The path of a tool: in $PQUANT_HOME/bin, on the PATH, or in build/bin of the checkout that this package is in."""
    home = os.environ.get("PQUANT_HOME")
    candidates = [os.path.join(home, "bin", name)] if home else []
    candidates.append(shutil.which(name) or "")
    candidates.append(str(pathlib.Path(__file__).resolve().parents[2] / "build" / "bin" / name))
    for candidate in candidates:
        if candidate and os.access(candidate, os.X_OK):
            return candidate
    raise FileNotFoundError(f"{name} is neither in $PQUANT_HOME/bin, nor on the PATH, nor in a checkout's build/bin")


def _flags(options: dict) -> List[str]:
    flags = []
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if value is True:
            flags.append(flag)
        elif value is not None and value is not False:
            flags.append(f"{flag}={os.fspath(value) if isinstance(value, os.PathLike) else value}")
    return flags


def compile(path: PathLike, output: Optional[PathLike] = None, *, verbose: bool = False, **options) -> str:
    """Compiles a model file; returns the path of the output, by default <stem of the model>.so in its folder.

    The kind of output follows from its suffix: .so, .a, .o, none for an executable. Options are the flags of
    pquant-compile with underscores: `target_cpu="avx2"`, `require_quantized=True`. With `verbose` what the compiler
    writes goes to standard error. Raises CompileError with its message when it fails.
    """
    output = os.fspath(output) if output is not None else os.path.splitext(os.fspath(path))[0] + ".so"
    command = [find_tool("pquant-compile"), os.fspath(path), "-o", output, *_flags(options)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    text = done.stdout.decode("utf-8", "replace")
    if done.returncode:
        raise CompileError(text.strip() or f"pquant-compile ended with status {done.returncode}")
    if verbose:
        sys.stderr.write(text)
    return output
