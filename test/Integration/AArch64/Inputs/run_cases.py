# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Exports cases of torch_models.py, compiles them for AArch64 and holds them to PyTorch on CPUs of every level.

    run_cases.py FOLDER CASE...

runs every input of every case at each level, under qemu, with the tolerance of the x86 tests.
"""

import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "Inputs"))
import export  # noqa: E402  (the path above)

CPUS = {"i8mm": "max", "dotprod": "neoverse-n1", "neon": "cortex-a53"}


def run(*command: str, **environment: str) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                          env={**os.environ, **environment})
    text = done.stdout.decode()
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed with status {done.returncode}:\n{text}")
    return text


def check(name: str, folder: str) -> int:
    """The number of comparisons, all of which held."""
    export.main(name, folder)
    program = os.path.join(folder, "model")
    run("pquant-compile", os.path.join(folder, "model.onnx"), "--target=aarch64", "-o", program)
    inputs = sorted(file for file in os.listdir(folder) if file.endswith(".npz"))
    count = 0
    for level, cpu in CPUS.items():
        emulator = ["qemu-aarch64", "-cpu", cpu]
        if f"level: {level}\n" not in run(*emulator, program, "--info"):
            sys.exit(f"{name}: level {level} was not chosen on {cpu}")
        for file in inputs:
            values = os.path.join(folder, file)
            run(*emulator, program, "--inputs", values, "--expect", values, "--tolerance=5e-3")
            count += 1
    values = os.path.join(folder, inputs[-1])
    run("qemu-aarch64", program, "--inputs", values, "--expect", values, "--tolerance=5e-3", PQUANT_ISA="generic")
    return count + 1


def main() -> None:
    for name in sys.argv[2:]:
        folder = os.path.join(sys.argv[1], name)
        print(f"{name}: {check(name, folder)} comparisons", flush=True)
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
