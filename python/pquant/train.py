# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Trains a language model: `python -m pquant.train FOLDER --data TOKENS` (or `--text FILE...`).

FOLDER gets checkpoint.pt, from which the same command goes on; log.csv and loss.png; and at the end model.pt and
results.json. On several GPUs, or machines: `torchrun --nproc_per_node=GPUS -m pquant.train ...`, one process a GPU.
"""

import argparse
import json
import os
import shutil
import sys

from pquant import prepare
from pquant.decoder import VARIANTS, DecoderConfig
from pquant.nn import save_model
from pquant.training.folder import new_folder
from pquant.training.ranks import Ranks
from pquant.training.schedule import SCHEDULES, Schedule
from pquant.training.tokens import Tokens
from pquant.training.trainer import Options, Recipe, Trainer


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pquant.train", description="Train a pQuant language model or a baseline.")
    add = parser.add_argument
    add("folder", help="of the run; goes on from the checkpoint in it")
    add("--data", default="", help="folder of token files (pquant.prepare)")
    add("--text", nargs="+", default=[], metavar="FILE", help="text files, to be made token files in FOLDER/data")
    prepare.add_arguments(parser)
    add = parser.add_argument_group("model").add_argument
    add("--variant", choices=VARIANTS, default="pquant")
    add("--hidden", type=int, default=512, help="width (512)")
    add("--blocks", type=int, default=12, help="(12)")
    add("--heads", type=int, default=8, help="(8)")
    add("--kv-heads", type=int, default=0, help="key and value heads; as many as heads")
    add("--ffn", type=int, default=1408, help="feed-forward units, INT8 ones included (1408)")
    add("--high-precision", type=int, default=128, help="units of an INT8 branch (128)")
    add("--experts", type=int, default=1, help="INT8 branches, more than 1 with a router (1)")
    add("--alpha", type=float, default=2.0, help="first scale of the INT8 branch (2.0)")
    add("--beta", type=float, default=0.2, help="first scale of the 1-bit branch (0.2)")
    add = parser.add_argument_group("recipe").add_argument
    add("--steps", type=int, default=10000, help="(10000)")
    add("--batch", type=int, default=64, help="windows a step, over all processes (64)")
    add("--sequence", type=int, default=256, help="tokens a window (256)")
    add("--schedule", choices=SCHEDULES, default="two-phase")
    add("--lr", type=float, default=1.5e-3, help="highest learning rate (0.0015)")
    add("--lr2", type=float, default=0.0, help="that of phase 2 (2/3 of --lr)")
    add("--phase2-start", type=float, default=0.5, help="of the steps (0.5)")
    add("--warmup", type=int, default=-1, help="steps (a fiftieth, at most 500)")
    add("--floor", type=float, default=0.0, help="last learning rate, of the highest (0)")
    add("--weight-decay", type=float, default=0.1, help="in phase 1; 0 in phase 2 (0.1)")
    add("--balance", type=float, default=0.01, help="weight of the load-balance loss (0.01)")
    add("--clip", type=float, default=1.0, help="largest gradient norm, 0 for any (1)")
    add("--seed", type=int, default=0)
    add = parser.add_argument_group("run").add_argument
    add("--micro-batch", type=int, default=0, help="windows a process computes at once (all of its share)")
    add("--precision", choices=("auto", "bfloat16", "float32"), default="auto", help="auto: bfloat16 on GPUs")
    add("--device", default="auto", help="cuda, cpu (auto)")
    add("--compile", action="store_true", help="torch.compile")
    add("--minutes", type=float, default=0, help="stop with a checkpoint after so long")
    add("--log-every", type=int, default=0, help="steps (a hundredth of all)")
    add("--eval-every", type=int, default=0, help="steps (a tenth of all)")
    add("--checkpoint-minutes", type=float, default=5, help="between checkpoints (5)")
    add("--json", default="", help="results file (FOLDER/results.json)")
    add("--quiet", action="store_true", help="no progress")
    return parser


def make_recipe(a: argparse.Namespace) -> Recipe:
    warmup = a.warmup if a.warmup >= 0 else min(500, a.steps // 50)
    schedule = Schedule(
        a.steps, a.lr, a.lr2 or a.lr * 2 / 3, warmup, a.weight_decay, a.phase2_start, a.floor, a.schedule
    )
    return Recipe(schedule, a.sequence, a.batch, a.balance, a.clip, seed=a.seed)


def make_config(a: argparse.Namespace, vocab: int) -> DecoderConfig:
    sizes = dict(hidden=a.hidden, blocks=a.blocks, heads=a.heads, kv_heads=a.kv_heads, ffn=a.ffn)
    branches = dict(high_precision=a.high_precision, experts=a.experts, alpha=a.alpha, beta=a.beta)
    return DecoderConfig(vocab=vocab, variant=a.variant, **sizes, **branches)


def train(arguments: argparse.Namespace, ranks: Ranks) -> None:
    if bool(arguments.data) == bool(arguments.text):
        raise ValueError("expected either --data or --text")
    with new_folder(arguments.folder):
        _train(arguments, ranks)


def _train(arguments: argparse.Namespace, ranks: Ranks) -> None:
    """In a folder that exists."""
    folder = arguments.folder
    data = arguments.data or os.path.join(folder, "data")
    if arguments.text and ranks.first and not os.path.exists(os.path.join(data, "tokens.json")):
        prepare.run(arguments.text, data, arguments)
    ranks.wait()
    tokens = Tokens(data)
    options = Options(
        folder,
        arguments.micro_batch,
        arguments.precision,
        arguments.compile,
        arguments.log_every,
        arguments.eval_every,
        arguments.checkpoint_minutes,
        arguments.minutes,
        arguments.quiet,
    )
    trainer = Trainer(make_config(arguments, tokens.vocab), make_recipe(arguments), options, tokens, ranks)
    if ranks.first and trainer.step and not arguments.quiet:
        print(f"going on after step {trainer.step} of {arguments.steps}", flush=True)
    results = trainer.run()
    if not ranks.first:
        return
    if results["finished"]:
        save_model(trainer.model, os.path.join(folder, "model.pt"))
        if os.path.exists(tokens.tokenizer):
            shutil.copyfile(tokens.tokenizer, os.path.join(folder, "tokenizer.model"))
    with open(arguments.json or os.path.join(folder, "results.json"), "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1)
        file.write("\n")
    if not arguments.quiet:
        state = "finished" if results["finished"] else "stopped; the same command goes on"
        perplexity = f", held-out perplexity {results['perplexity']:.3f}" if "perplexity" in results else ""
        print(f"step {results['step']}/{arguments.steps}{perplexity}: {state}", flush=True)


def main() -> None:
    arguments = make_parser().parse_args()
    ranks = None
    try:
        ranks = Ranks(arguments.device)
        train(arguments, ranks)
    except ValueError as error:
        sys.exit(f"error: {error}")
    finally:
        if ranks:
            ranks.close()


if __name__ == "__main__":
    main()
