# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The tables and figures of docs/reproduction.md: `python -m pquant.reproduction FOLDER`.

FOLDER has the files of runs, each named SIZE-RUN: `.json`, the results of `pquant.train`; `.log.csv`, its log;
`.sensitivity.json` and `.lorenz.csv`, by `pquant.sensitivity`; `.again.json`, the results of a second run;
`.pytorch.json` and `.compiled.json`, by `pquant.eval` of a checkpoint and of the library compiled from it. Prints the
tables in Markdown; `--figures` writes loss.png and sensitivity.png into FOLDER (needs matplotlib).
"""

import argparse
import csv
import itertools
import json
import os
import sys
from typing import Dict, List

# Name in the files, name in the text.
RUNS = {
    "float": "float",
    "bitnet158": "BitNet b1.58",
    "pquant8": "pQuant N = 8",
    "pquant1": "pQuant N = 1",
    "bitnet": "BitNet",
    "pquant8-scaled": "pQuant N = 8, 2.0 / 0.2",
    "pquant1-scaled": "pQuant N = 1, 2.0 / 0.2",
}
SIZES = ("S", "M")
WIDTHS = {"binary": 1, "ternary": 2, "int8": 8}  # bits of a stored weight; everything else is float16


def read_json(folder: str, name: str) -> dict:
    with open(os.path.join(folder, name), encoding="utf-8") as file:
        return json.load(file)


def stored_bytes(weights: dict) -> int:
    """Of a deployed model, embedding, head, norms and routers as float16; weights: `count_weights`."""
    bits = sum(width * weights[kind] for kind, width in WIDTHS.items()) + 16 * weights["float"]
    return bits // 8


def perplexities(folder: str) -> List[str]:
    """A row a run and size."""
    lines = ["| size | model | perplexity | bits a byte | weights | bits per linear weight | MB | tokens/s |"]
    lines.append("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for size in SIZES:
        for run, title in RUNS.items():
            r = read_json(folder, f"{size}-{run}.json")
            w = r["weights"]
            cells = [size, title, f"{r['perplexity']:.2f}", f"{r['bits_per_byte']:.4f}", f"{w['total'] / 1e6:.1f} M"]
            cells += [f"{w['linear_bits']:.2f}", f"{stored_bytes(w) / 1e6:.1f}", f"{r['tokens_per_second'] / 1e3:.0f} k"]
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def repetitions(folder: str) -> List[str]:
    """A row a run that was repeated."""
    lines = ["| size | model | first run | second run | difference |", "| --- | --- | --- | --- | --- |"]
    for size, run in itertools.product(SIZES, RUNS):
        name = f"{size}-{run}"
        if os.path.exists(os.path.join(folder, f"{name}.again.json")):
            first, second = (read_json(folder, f"{name}{end}")["perplexity"] for end in (".json", ".again.json"))
            change = f"{100 * (second / first - 1):+.2f} %"
            lines.append(f"| {size} | {RUNS[run]} | {first:.4f} | {second:.4f} | {change} |")
    return lines


def sensitivities(folder: str) -> List[str]:
    """A row a run and kind of weight, of the larger size."""
    lines = ["| model | weights of kind | mean sensitivity | Gini coefficient | share of the upper 1 % |"]
    lines.append("| --- | --- | --- | --- | --- |")
    for run, title in RUNS.items():
        for kind, k in read_json(folder, f"{SIZES[-1]}-{run}.sensitivity.json")["kinds"].items():
            cells = [title, kind, f"{k['mean']:.2g}", f"{k['gini']:.2f}", f"{100 * k['top_share']:.0f} %"]
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def equalities(folder: str) -> List[str]:
    """A row a run and size, and one of the bundled sample."""
    lines = ["| size | model | tokens | PyTorch | compiled | difference |", "| --- | --- | --- | --- | --- | --- |"]
    models = [(f"{size}-{run}", size, title) for size in SIZES for run, title in RUNS.items()]
    for name, size, title in [*models, ("sample", "", "bundled sample")]:
        results = [read_json(folder, f"{name}.{side}.json") for side in ("pytorch", "compiled")]
        if results[0]["tokens"] != results[1]["tokens"]:
            raise ValueError(f"expected the same tokens on both sides of {name}")
        want, got = (r["perplexity"] for r in results)
        cells = [size, title, f"{results[0]['tokens'] - 1:,}", f"{want:.4f}", f"{got:.4f}"]
        lines.append(f"| {' | '.join(cells)} | {100 * abs(got / want - 1):.3f} % |")
    return lines


def read_columns(path: str) -> List[Dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def draw(folder: str) -> None:
    """loss.png: training loss by tokens; sensitivity.png: Lorenz curves."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(SIZES), figsize=(11, 4), sharey=True)
    for axis, size in zip(axes, SIZES):
        for run, title in RUNS.items():
            rows = read_columns(os.path.join(folder, f"{size}-{run}.log.csv"))
            x, y = [int(r["tokens"]) / 1e6 for r in rows], [float(r["loss"]) for r in rows]
            axis.plot(x, y, label=title, linewidth=1, linestyle="--" if "scaled" in run else "-")
        axis.set(title=f"size {size}", xlabel="million tokens", ylim=(2.8, 6))
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("training loss (nats)")
    axes[-1].legend(fontsize=8)
    figure.savefig(os.path.join(folder, "loss.png"), dpi=90, bbox_inches="tight")

    shown = ("float", "bitnet", "pquant1", "pquant1-scaled")
    figure, axes = pyplot.subplots(1, len(shown), figsize=(13, 3.4), sharey=True)
    for axis, run in zip(axes, shown):
        rows = read_columns(os.path.join(folder, f"{SIZES[-1]}-{run}.lorenz.csv"))
        for kind in dict.fromkeys(r["kind"] for r in rows):
            points = [(float(r["weights"]), float(r["share"])) for r in rows if r["kind"] == kind]
            axis.plot(*zip(*points), label=kind, linewidth=1.2, linestyle=":" if kind == "all" else "-")
        axis.plot([0, 1], [0, 1], color="grey", linewidth=0.6)
        axis.set(title=RUNS[run], xlabel="share of the weights")
        axis.legend(fontsize=8)
    axes[0].set_ylabel("share of the sensitivity")
    figure.savefig(os.path.join(folder, "sensitivity.png"), dpi=90, bbox_inches="tight")


def main() -> None:
    parser = argparse.ArgumentParser(prog="pquant.reproduction", description="Tables and figures of training runs.")
    parser.add_argument("folder")
    parser.add_argument("--figures", action="store_true", help="also draw them, into the folder")
    a = parser.parse_args()
    try:
        for table in (perplexities, repetitions, sensitivities, equalities):
            print("\n".join([*table(a.folder), ""]))
        if a.figures:
            draw(a.folder)
    except (OSError, KeyError, ValueError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
