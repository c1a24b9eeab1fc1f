#!/usr/bin/env python3
"""Writes a folder that tests and measures GPU code on a machine without a compiler.

usage: make_bundle.py FOLDER [--chip sm_90a] [--home BUILD]

Models are compiled for the CPU, which gives the expected outputs, and for the GPU. On the machine with the GPU,
`FOLDER/run.sh` runs them; test/GPU/run.sh says what it checks.
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np

SOURCE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / "python"))

# Sizes off every block: columns no multiple of 256, outputs none of 16, one to eight experts, all forms of cache.
SHAPES = {
    "odd": (["--hidden", "320", "--blocks", "2", "--ffn", "712", "--heads", "5", "--experts", "1"], "f32"),
    "experts": (["--hidden", "256", "--blocks", "2", "--ffn", "640", "--heads", "4", "--experts", "8"], "f32"),
    "grouped": (["--hidden", "512", "--blocks", "2", "--ffn", "1000", "--heads", "8", "--kv-heads", "2"], "f16"),
    "int8": (["--hidden", "256", "--blocks", "2", "--ffn", "512", "--heads", "2"], "int8"),
    "narrow": (["--hidden", "200", "--blocks", "2", "--ffn", "500", "--heads", "10", "--kv-heads", "2"], "int8"),
}
# Inputs of few rows and of many: the length of a prompt, and of what is before it.
LENGTHS = {"": (9, 3), ".long": (150, 37)}
# Rows for the kernels of one row, of a few, and of many.
EXACT_ROWS = (1, 5, 150)


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--chip", default="sm_80")
    parser.add_argument("--home", type=pathlib.Path, default=SOURCE / "build")
    args = parser.parse_args()
    if not (args.home / "bin/pquant-compile").exists():
        parser.error(f"--home: there is no {args.home}/bin/pquant-compile")
    return args


def compile_both(args, model, name, flags):
    """The artifacts for the CPU and the GPU."""
    for suffix, target in ((".cpu.so", ["--target=x86-64", "--target-cpu=generic"]), (".so", [f"--target=nvptx:{args.chip}"])):
        command = [args.home / "bin" / "pquant-compile", model, *target, *flags, "-o", args.folder / (name + suffix)]
        subprocess.run(command, check=True)


def expect(args, name, tokens):
    """Runs the model on the CPU: `main`, and a greedy continuation of `tokens`."""
    for suffix, (sequence, past) in LENGTHS.items():
        expect_outputs(args, name, suffix, {"batch": 1, "sequence": sequence, "past": past})
        # Of many tokens, only the sanitizer's: near draws of random weights go either way.
        prompt = (tokens * (sequence // len(tokens) + 1))[:sequence] if suffix else tokens
        (args.folder / f"{name}{suffix}.prompt").write_text(",".join(map(str, prompt)))
    prompt = (args.folder / f"{name}.prompt").read_text()
    command = [args.home / "bin" / "pquant-run", args.folder / f"{name}.cpu.so", "--tokens", prompt, "-n", "24"]
    output = subprocess.run(command, check=True, capture_output=True).stdout
    (args.folder / f"{name}.tokens").write_bytes(output)
    (args.folder / f"{name}.cpu.so").unlink()


def expect_outputs(args, name, suffix, sizes):
    """Inputs and outputs of `main` in one file."""
    import pquant

    model = pquant.load(str(args.folder / f"{name}.cpu.so"))
    random = np.random.default_rng(0)
    arrays = {}
    for spec in model.inputs:
        shape = [size if isinstance(size, int) else sizes.get(size, 1) for size in spec.sizes]
        ids = spec.dtype.kind == "i"
        arrays[spec.name] = (
            random.integers(0, 256, shape).astype(spec.dtype)
            if ids
            else random.standard_normal(shape).astype(spec.dtype)
        )
    np.savez(args.folder / f"{name}{suffix}.npz", **arrays, **model.run(arrays))


def hexadecimal(array):
    return '"0x' + np.ascontiguousarray(array).tobytes().hex().upper() + '"'


def make_exact(args):
    """Products whose results are integers: those of GPU and NumPy are equal."""
    columns, outputs = 1000, 300
    random = np.random.default_rng(1)
    bits = random.integers(0, 2, (outputs, columns))
    weights = random.integers(-128, 128, (outputs, columns)).astype(np.int8)
    model = args.folder / "exact.mlir"
    vector, matrix, bytes_ = "tensor<?xf32>", f"tensor<?x{outputs}xf32>", f"tensor<?x{columns}xi8>"
    model.write_text(f"""
func.func @main(%x: tensor<?x{columns}xf32> {{pquant.name = "x"}}) -> ({matrix} {{pquant.name = "bits"}}, {matrix} {{pquant.name = "bytes"}}) {{
  %bits = arith.constant dense<{hexadecimal(np.packbits(bits, bitorder="little"))}> : tensor<{outputs}x{columns}xi1>
  %bytes = arith.constant dense<{hexadecimal(weights)}> : tensor<{outputs}x{columns}xi8>
  %one = arith.constant dense<1.0> : tensor<1x1xf32>
  %ones = arith.constant dense<1.0> : tensor<1xf32>
  %q, %s = pquant.quantize %x {{quantizer = #pquant.quantizer<mul_recip, eps = 1.0e-05>}} : tensor<?x{columns}xf32> -> {bytes_}, {vector}
  %y = pquant.binary_linear %q, %s planes(%bits) scales(%one) : {bytes_}, {vector}, (tensor<{outputs}x{columns}xi1>), (tensor<1x1xf32>) -> {matrix}
  %z = pquant.int8_linear %q, %s, %bytes, %ones : {bytes_}, {vector}, tensor<{outputs}x{columns}xi8>, tensor<1xf32> -> {matrix}
  return %y, %z : {matrix}, {matrix}
}}
""")
    compile_both(args, model, "exact", [])
    model.unlink()
    (args.folder / "exact.cpu.so").unlink()
    for rows in EXACT_ROWS:
        x = random.integers(-127, 128, (rows, columns))
        x[:, 7] = 127  # so that a step is 1
        arrays = {"x": x, "bits": x @ (2 * bits - 1).T, "bytes": x @ weights.T.astype(np.int64)}
        np.savez(args.folder / f"exact{rows}.npz", **{name: array.astype(np.float32) for name, array in arrays.items()})


def main():
    args = parse()
    os.environ["PQUANT_HOME"] = str(args.home)
    args.folder.mkdir(parents=True, exist_ok=True)
    make_exact(args)
    compile_both(args, SOURCE / "python/sample/model.onnx", "sample", ["--batch"])
    expect(args, "sample", [5, 17, 200, 33, 901, 77, 12, 4, 350])
    for name, (shape, cache) in SHAPES.items():
        scratch = args.folder / "scratch"
        make = [sys.executable, "-m", "pquant.make_large", *shape, "--high-precision", "128", "--vocab", "1000", "--cache"]
        environment = dict(os.environ, PYTHONPATH=str(SOURCE / "python"))
        subprocess.run([*make, str(scratch)], check=True, env=environment)
        compile_both(args, scratch / "model.onnx", name, [f"--cache={cache}", "--batch"])
        expect(args, name, list(range(1, 13)))
        shutil.rmtree(scratch)
    for tool in ("pquant-run", "pquant-bench"):
        shutil.copy(args.home / "bin" / tool, args.folder)
    for library in ("libminizip.so.1", "libz.so.1", "libgomp.so.1"):
        for folder in ("/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/usr/lib64"):
            if (pathlib.Path(folder) / library).exists():
                shutil.copy(pathlib.Path(folder) / library, args.folder)
    shutil.copy(pathlib.Path(__file__).with_name("run.sh"), args.folder)


main()
