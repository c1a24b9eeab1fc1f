# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The log of a run: log.csv, its picture loss.png, and what is shown while it runs."""

import csv
import os
import sys
import time

COLUMNS = (
    "step", "tokens", "lr", "weight_decay", "loss", "balance", "gradient_norm",
    "valid_loss", "valid_perplexity", "tokens_per_second", "seconds",
)  # fmt: skip


class RunLog:
    """log.csv of a run, one row a log interval; starts after the rows up to `step` that are there already."""

    def __init__(self, folder: str, step: int):
        self.folder, self.path = folder, os.path.join(folder, "log.csv")
        rows = [row for row in read_log(self.path) if int(row["step"]) <= step] if step else []
        with open(self.path, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)

    def add(self, row: dict) -> None:
        with open(self.path, "a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, COLUMNS).writerow(
                {name: f"{value:.6g}" if isinstance(value, float) else value for name, value in row.items()}
            )

    def draw(self) -> bool:
        """Writes loss.png; False without matplotlib."""
        try:
            import matplotlib
        except ImportError:
            return False
        matplotlib.use("Agg")
        from matplotlib import pyplot

        rows = read_log(self.path)
        figure, axes = pyplot.subplots(figsize=(8, 5))
        for name, style in (("loss", "-"), ("valid_loss", "o-")):
            points = [(int(row["step"]), float(row[name])) for row in rows if row[name]]
            if points:
                axes.plot(*zip(*points), style, label=name.replace("_", " "), linewidth=1, markersize=3)
        axes.set_xlabel("step")
        axes.set_ylabel("cross entropy, nats a token")
        axes.legend()
        axes.grid(alpha=0.3)
        figure.tight_layout()
        figure.savefig(os.path.join(self.folder, "loss.png"), dpi=120)
        pyplot.close(figure)
        return True


def read_log(path: str) -> list:
    """The rows of a log.csv, as dictionaries of text."""
    if not os.path.exists(path):
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


class Progress:
    """A progress bar on a terminal (with tqdm), else a line now and then; silent where `shown` is false."""

    def __init__(self, steps: int, step: int, shown: bool, seconds: float = 10):
        self.steps, self.shown, self.seconds, self.last = steps, shown, seconds, 0.0
        self.bar = None
        if shown and sys.stderr.isatty():
            try:
                from tqdm import tqdm

                self.bar = tqdm(total=steps, initial=step, unit="step", dynamic_ncols=True)
            except ImportError:
                pass

    def show(self, row: dict) -> None:
        """The last row of the log."""
        if not self.shown:
            return
        text = f"loss {row['loss']:.4f}, lr {row['lr']:.2e}, {row['tokens_per_second']:.0f} tokens/s"
        valid = row.get("valid_perplexity")
        if self.bar:
            self.bar.set_postfix_str(text, refresh=False)
            self.bar.update(row["step"] - self.bar.n)
            if valid is not None:
                self.bar.write(f"step {row['step']}: held-out perplexity {valid:.3f}")
        elif valid is not None or time.monotonic() - self.last >= self.seconds or row["step"] == self.steps:
            self.last = time.monotonic()
            more = "" if valid is None else f", held-out perplexity {valid:.3f}"
            print(f"step {row['step']}/{self.steps}: {text}{more}", flush=True)

    def close(self) -> None:
        if self.bar:
            self.bar.close()
