# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Exports cases of torch_models.py and holds them to PyTorch by emulate.py, with the tolerance of the x86 tests.

    run_cases.py FOLDER CASE...
"""

import os
import shutil
import sys

import emulate

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "Inputs"))
import export  # noqa: E402  (the path above)


def main() -> None:
    for name in sys.argv[2:]:
        folder = os.path.join(sys.argv[1], name)
        export.main(name, folder)
        values = sorted(os.path.join(folder, file) for file in os.listdir(folder) if file.endswith(".npz"))
        count = emulate.check(os.path.join(folder, "model.onnx"), values, "5e-3")
        print(f"{name}: {count} comparisons", flush=True)
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
