# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Predicts the speed of a model on ARM CPUs, without one: llvm-mca over the inner loops that pquant-compile generates.

    python -m pquant.predict MODEL [--cpu neoverse-n1 ...] [--bandwidth 10] [--cores 4] [--clock 2.0] [--json]

For each CPU the cycles per 64 weights (matrix-vector, decode) or per 64 products of a weight and an activation
(matrix-matrix, prefill), and tokens per second of the quantised linears: the smaller of what the cores compute and what
the memory delivers. llvm-mca knows the pipelines but no caches, and its models of CPUs are estimates (docs/
CrossCompiling.md).
"""

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from typing import Dict, List, NamedTuple

import pquant
from pquant.compiler import CompileError

# Of each CPU the best level that it has and a clock, GHz, that it is often run at.
CPUS = {
    "cortex-a55": ("dotprod", 1.8),
    "cortex-a76": ("dotprod", 2.2),
    "neoverse-n1": ("dotprod", 2.6),
    "neoverse-n2": ("i8mm", 2.8),
    "neoverse-v2": ("i8mm", 3.0),
    "apple-m1": ("dotprod", 3.2),
}
ITERATIONS = 200


class Loop(NamedTuple):
    """What the inner loop of a kernel is known by, and the products of one such instruction."""

    title: str
    function: str
    products: Dict[str, int]  # by mnemonic, the better one first
    last: bool = False  # of several loops: a kernel's code for many rows comes after that for few


# A tbl looks up half of the sum of 4 weights in 16 rows; smmla is 2 x 2 x 8, sdot 16, smull 8 products.
LOOPS = [
    Loop("1-bit decode", "pqk_binary_linear", {"tbl": 32}),
    Loop("INT8 decode", "pqk_int8_linear", {"sdot": 16, "smull": 16}),
    Loop("1-bit prefill", "pqk_binary_linear", {"smmla": 32, "sdot": 16, "sadalp": 16}, last=True),
    Loop("INT8 prefill", "pqk_int8_linear", {"smmla": 32, "sdot": 16, "smull": 16}, last=True),
]


def inner_loops(assembly: str) -> Dict[str, List[List[str]]]:
    """The innermost loops of each function: the instructions from a label to the jump back to it."""
    loops: Dict[str, List[List[str]]] = {}
    function, label, body = "", "", []
    for line in assembly.splitlines():
        line = line.split("//")[0].rstrip()
        match = re.match(r"([.\w]+):", line)
        if match:
            label, body = match.group(1), []
            function = function if label.startswith(".L") else label
        elif line.strip() and not line.strip().startswith("."):
            body.append(line)
            jump = re.match(r"\s+(?:b\.\w+|cbn?z\s+\w+,)\s+([.\w]+)", line)
            if jump and jump.group(1) == label:
                loops.setdefault(function, []).append(list(body))
    return loops


def find_loop(loops: Dict[str, List[List[str]]], loop: Loop, level: str):
    """The longest of a kernel's loops around the best instruction that it uses, and that loop's products."""
    bodies = [
        body
        for function, found in loops.items()
        if re.match(rf"{loop.function}(_acc)?_{level}(_|$)", function)
        for body in found
    ]
    for mnemonic, products in loop.products.items():
        counts = [sum(line.split()[0] == mnemonic for line in body) for body in bodies]
        if any(counts):
            best = max(range(len(bodies)), key=lambda i: (counts[i], i if loop.last else -i))
            return bodies[best], counts[best] * products
    return None, 0


def cycles(body: List[str], cpu: str, mca: str) -> float:
    """Cycles of one iteration in the steady state."""
    text = "loop:\n" + re.sub(r"\.LBB\w+", "loop", "\n".join(body))
    total = []
    for iterations in (ITERATIONS, 2 * ITERATIONS):
        command = [mca, "-mtriple=aarch64", f"-mcpu={cpu}", "-mattr=+dotprod,+i8mm", f"-iterations={iterations}"]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        match = re.search(r"Total Cycles:\s+(\d+)", done.stdout)
        if not match:
            raise CompileError(f"{mca} has no model of {cpu}: {done.stderr.strip().splitlines()[-1:]}")
        total.append(int(match.group(1)))
    return (total[1] - total[0]) / ITERATIONS


def find_mca() -> str:
    for name in ("llvm-mca-22", "llvm-mca"):
        if shutil.which(name):
            return shutil.which(name)
    raise FileNotFoundError("llvm-mca-22 is not on the PATH; expected Debian's llvm-22")


def weights(model: str, folder: str) -> Dict[int, float]:
    """The weights of the quantised linears by their bits, 1 or 8."""
    path = pquant.compile(model, os.path.join(folder, "model.so"), target=platform.machine(),
                          target_cpu="generic")
    counts = {1: 0.0, 8: 0.0}
    for _, rows, columns, bits in pquant.load(path).info()["linears"]:
        if bits >= 8:
            counts[8] += rows * columns
        else:
            counts[1] += rows * columns * bits
    return counts


def predict(model: str, cpus: List[str], cores: int, clock: float, bandwidth: float) -> List[dict]:
    """One row for each CPU. `clock` in GHz, 0 for the CPU's; `bandwidth` in GB/s."""
    mca = find_mca()
    with tempfile.TemporaryDirectory() as folder:
        counts = weights(model, folder)
        listing = pquant.compile(model, os.path.join(folder, "model.s"), target="aarch64")
        with open(listing, encoding="utf-8") as file:
            loops = inner_loops(file.read())
    rows = []
    for cpu in cpus:
        level, usual = CPUS[cpu]
        row = {"cpu": cpu, "level": level, "clock": clock or usual}
        for loop in LOOPS:
            body, products = find_loop(loops, loop, level)
            row[loop.title] = cycles(body, cpu, mca) * 64 / products if body else None
        work = counts[1] * (row["1-bit decode"] or 0) + counts[8] * (row["INT8 decode"] or 0)
        row["compute"] = cores * row["clock"] * 1e9 * 64 / work if work else None
        bytes_read = counts[1] / 8 + counts[8]
        row["memory"] = bandwidth * 1e9 / bytes_read if bytes_read else None
        rows.append(row)
    return rows


def print_table(rows: List[dict], cores: int, bandwidth: float) -> None:
    print("cycles per 64 weights (decode) or products (prefill)")
    print(f"{'CPU':<12} {'level':<8} " + " ".join(f"{loop.title:>13}" for loop in LOOPS))
    for row in rows:
        values = (row[loop.title] for loop in LOOPS)
        print(f"{row['cpu']:<12} {row['level']:<8} " + " ".join("            -" if v is None else f"{v:13.2f}" for v in values))
    print(f"decode, tokens/s of the quantised linears: {cores} cores, {bandwidth:g} GB/s")
    for row in rows:
        if row["compute"] is None:
            print(f"{row['cpu']:<12} no quantised linear")
            continue
        bound = "memory" if row["memory"] < row["compute"] else "compute"
        print(f"{row['cpu']:<12} {min(row['memory'], row['compute']):8.1f}  bound by {bound} "
              f"(compute at {row['clock']:g} GHz {row['compute']:.1f}, memory {row['memory']:.1f})")


def positive(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"expected a positive number, but got {text}")
    return value


def main() -> None:
    parser = argparse.ArgumentParser(description="Predict a model's speed on ARM CPUs with llvm-mca.")
    parser.add_argument("model", help="what pquant-compile takes")
    parser.add_argument("--cpu", action="append", choices=CPUS, help="once for each CPU; all when left out")
    parser.add_argument("--cores", type=int, default=4)
    parser.add_argument("--clock", type=positive, default=0.0, help="GHz, of every CPU; its usual one when left out")
    parser.add_argument("--bandwidth", type=positive, default=10.0, help="GB/s that the memory delivers")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.cores < 1:
        parser.error(f"--cores expected at least 1, but got {arguments.cores}")
    try:
        rows = predict(arguments.model, arguments.cpu or list(CPUS), arguments.cores, arguments.clock,
                       arguments.bandwidth)
    except (CompileError, FileNotFoundError) as error:
        sys.exit(f"pquant.predict: {error}")
    if arguments.json:
        print(json.dumps(rows, indent=1))
    else:
        print_table(rows, arguments.cores, arguments.bandwidth)


if __name__ == "__main__":
    main()
