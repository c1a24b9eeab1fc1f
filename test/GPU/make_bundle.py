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
}


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--chip", default="sm_80")
    parser.add_argument("--home", type=pathlib.Path, default=SOURCE / "build")
    return parser.parse_args()


def compile_both(args, model, name, flags):
    """The artifacts for the CPU and the GPU."""
    for suffix, target in ((".cpu.so", ["--target=x86-64", "--target-cpu=generic"]), (".so", [f"--target=nvptx:{args.chip}"])):
        command = [args.home / "bin" / "pquant-compile", model, *target, *flags, "-o", args.folder / (name + suffix)]
        subprocess.run(command, check=True)


def expect(args, name, tokens):
    """Runs `main` on the CPU: inputs and outputs in one file, the tokens of a greedy continuation in another."""
    import pquant

    model = pquant.load(str(args.folder / f"{name}.cpu.so"))
    random = np.random.default_rng(0)
    sizes = {"batch": 1, "sequence": 9, "past": 3}
    arrays = {}
    for spec in model.inputs:
        shape = [size if isinstance(size, int) else sizes.get(size, 1) for size in spec.sizes]
        ids = spec.dtype.kind == "i"
        arrays[spec.name] = (
            random.integers(0, 256, shape).astype(spec.dtype)
            if ids
            else random.standard_normal(shape).astype(spec.dtype)
        )
    np.savez(args.folder / f"{name}.npz", **arrays, **model.run(arrays))
    command = [args.home / "bin" / "pquant-run", args.folder / f"{name}.cpu.so", "--tokens", tokens, "-n", "24"]
    (args.folder / f"{name}.tokens").write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)


def main():
    args = parse()
    os.environ["PQUANT_HOME"] = str(args.home)
    args.folder.mkdir(parents=True, exist_ok=True)
    compile_both(args, SOURCE / "python/sample/model.onnx", "sample", [])
    expect(args, "sample", "5,17,200,33,901,77,12,4,350")
    for name, (shape, cache) in SHAPES.items():
        scratch = args.folder / "scratch"
        make = [sys.executable, "-m", "pquant.make_large", *shape, "--high-precision", "128", "--vocab", "1000", "--cache"]
        environment = dict(os.environ, PYTHONPATH=str(SOURCE / "python"))
        subprocess.run([*make, str(scratch)], check=True, env=environment)
        compile_both(args, scratch / "model.onnx", name, [f"--cache={cache}"])
        expect(args, name, "1,2,3,4,5,6,7,8,9,10,11,12")
        shutil.rmtree(scratch)
    for tool in ("pquant-run", "pquant-bench"):
        shutil.copy(args.home / "bin" / tool, args.folder)
    for library in ("libminizip.so.1", "libz.so.1", "libgomp.so.1"):
        for folder in ("/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/usr/lib64"):
            if (pathlib.Path(folder) / library).exists():
                shutil.copy(pathlib.Path(folder) / library, args.folder)
    shutil.copy(pathlib.Path(__file__).with_name("run.sh"), args.folder)


main()
