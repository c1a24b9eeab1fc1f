# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What turns a model into something that runs: a library on this machine, or an executable for AArch64 under qemu."""

import os


def commands(tools: str, stem: str, target: str) -> tuple:
    """The commands that compile STEM.onnx for `target` ("" is this machine) and that run it, without their flags."""
    compiler = [os.path.join(tools, "pquant-compile"), stem + ".onnx"]
    if target:
        return compiler + [f"--target={target}", "-o", stem], ["qemu-" + target, "-cpu", "max", stem]
    return compiler + ["-o", stem + ".so"], [os.path.join(tools, "pquant-run"), stem + ".so"]
