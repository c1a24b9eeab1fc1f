# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compiles a model for AArch64 and holds it to expected outputs on CPUs of every level, under qemu.

    emulate.py MODEL VALUES... [--tolerance=T]
"""

import argparse
import os
import subprocess
import sys

CPUS = {"i8mm": "max", "dotprod": "neoverse-n1", "neon": "cortex-a53"}


def run(*command: str, **environment: str) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                          env={**os.environ, **environment})
    text = done.stdout.decode()
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed with status {done.returncode}:\n{text}")
    return text


def check(model: str, values: list, tolerance: str) -> int:
    """The number of comparisons, all of which held."""
    program = os.path.splitext(model)[0]
    run("pquant-compile", model, "--target=aarch64", "-o", program)
    compare = lambda file: ["--inputs", file, "--expect", file, "--tolerance", tolerance]
    count = 0
    for level, cpu in CPUS.items():
        emulator = ["qemu-aarch64", "-cpu", cpu]
        if f"level: {level}\n" not in run(*emulator, program, "--info"):
            sys.exit(f"{model}: level {level} was not chosen on {cpu}")
        for file in values:
            run(*emulator, program, *compare(file))
            count += 1
    run("qemu-aarch64", program, *compare(values[-1]), PQUANT_ISA="generic")
    return count + 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("values", nargs="+")
    parser.add_argument("--tolerance", default="1e-5")
    arguments = parser.parse_args()
    count = check(arguments.model, arguments.values, arguments.tolerance)
    print(f"{os.path.basename(arguments.model)}: {count} comparisons")


if __name__ == "__main__":
    main()
