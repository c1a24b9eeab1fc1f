# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The training loop.

A step draws `batch` random windows, computes the mean loss over them and updates all weights once. The windows of a
step are divided among the processes, and within one into micro-batches; the result is the same up to rounding. Weights
are float32, products bfloat16 by autocast. Logging, checkpoints and stopping happen at the ends of log intervals only,
so that a run that was stopped and resumed has the weights and the log of one that was not.
"""

import contextlib
import inspect
import json
import os
import signal
import statistics
import time
from dataclasses import asdict, dataclass
from typing import Optional

import torch
from torch.nn.parallel import DistributedDataParallel

from pquant.checkpoint import read_checkpoint
from pquant.decoder import DecoderConfig
from pquant.nn import LanguageModel, count_weights, save_model
from pquant.training.evaluate import mean_loss, summary
from pquant.training.log import Progress, RunLog
from pquant.training.ranks import Ranks, autocast, peak_memory
from pquant.training.schedule import Schedule
from pquant.training.tokens import Tokens, random_windows


@dataclass(frozen=True)
class Recipe:
    """What determines the weights of a run. A run is resumed only with the recipe that it was started with.

    batch: windows a step, over all processes; sequence: tokens a window; balance: weight of the load-balance loss;
    clip: largest norm of the gradient, 0 for any.
    """

    schedule: Schedule
    sequence: int = 256
    batch: int = 64
    balance: float = 0.01
    clip: float = 1.0
    beta1: float = 0.9
    beta2: float = 0.95
    seed: int = 0


@dataclass(frozen=True)
class Options:
    """What does not: where and how a run is computed and logged.

    micro_batch: windows a process computes at once, 0 for all of its share; log_every, eval_every: steps, 0 for a
    hundredth and a tenth of all; minutes: stop after so long, 0 for never.
    """

    folder: str
    micro_batch: int = 0
    precision: str = "auto"
    compile: bool = False
    log_every: int = 0
    eval_every: int = 0
    checkpoint_minutes: float = 5.0
    minutes: float = 0.0
    quiet: bool = False


def make_optimizer(model: LanguageModel, recipe: Recipe, device: torch.device) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter, 2019) with decay on matrices only; fused on GPUs where PyTorch has it."""
    matrices = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": matrices, "decays": True}, {"params": others, "decays": False}]
    fused = device.type == "cuda" and "fused" in inspect.signature(torch.optim.AdamW).parameters
    return torch.optim.AdamW(
        groups, lr=recipe.schedule.lr, betas=(recipe.beta1, recipe.beta2), **({"fused": True} if fused else {})
    )


class Trainer:
    """A run of training in `options.folder`: goes on from its checkpoint if there is one."""

    def __init__(self, config: DecoderConfig, recipe: Recipe, options: Options, tokens: Tokens, ranks: Ranks):
        if config.vocab < tokens.vocab:
            raise ValueError(f"expected a vocabulary of at least {tokens.vocab}, but got {config.vocab}")
        if recipe.batch % ranks.world:
            raise ValueError(f"expected a batch divisible among {ranks.world} processes, but got {recipe.batch}")
        self.config, self.recipe, self.options, self.tokens, self.ranks = config, recipe, options, tokens, ranks
        self.share = recipe.batch // ranks.world
        self.micro = options.micro_batch or self.share
        if self.share % self.micro:
            raise ValueError(f"expected a micro-batch that divides {self.share}, but got {self.micro}")
        steps = recipe.schedule.steps
        self.log_every = options.log_every or max(1, steps // 100)
        self.eval_every = options.eval_every or max(1, steps // 10)
        torch.manual_seed(recipe.seed)
        self.model = LanguageModel(config).to(ranks.device)
        self.optimizer = make_optimizer(self.model, recipe, ranks.device)
        self.step, self.seconds, self.last_loss = 0, 0.0, None
        self.speeds = []  # tokens a second, of each log interval of this process
        self.checkpoint = os.path.join(options.folder, "checkpoint.pt")
        if os.path.exists(self.checkpoint):
            self._resume()
        self.compiled = torch.compile(self.model) if options.compile else self.model
        self.wrapped = self.compiled
        if ranks.parallel:
            where = {"device_ids": [ranks.device]} if ranks.device.type == "cuda" else {}
            self.wrapped = DistributedDataParallel(self.compiled, gradient_as_bucket_view=True, **where)
        self.stop = False

    # Checkpoints

    def _resume(self) -> None:
        content = read_checkpoint(self.checkpoint, "optimizer", "progress")
        progress = json.loads(content["progress"])
        mine = json.loads(json.dumps({"config": self.config.to_dict(), "recipe": asdict(self.recipe)}))
        theirs = {"config": json.loads(content["config"]), "recipe": progress["recipe"]}
        for part in mine:
            for name in mine[part]:
                if theirs[part].get(name) != mine[part][name]:
                    raise ValueError(
                        f"{self.checkpoint} is of a run with {name} {theirs[part].get(name)}, but got "
                        f"{mine[part][name]}; expected the same options or another folder"
                    )
        self.model.load_state_dict(content["weights"])
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": content["optimizer"], "param_groups": groups})
        self.step, self.seconds, self.last_loss = progress["step"], progress["seconds"], progress["loss"]

    def save(self) -> None:
        """Writes the checkpoint; the file appears whole or not at all."""
        if self.ranks.first:
            progress = {"step": self.step, "seconds": self.seconds, "loss": self.last_loss}
            progress["recipe"] = asdict(self.recipe)
            state = self.optimizer.state_dict()["state"]
            save_model(self.model, self.checkpoint, optimizer=state, progress=json.dumps(progress))
        self.ranks.wait()

    # One step

    def _batch(self, start: int) -> tuple:
        """Inputs and targets of a micro-batch, its first window `start` of this process's share."""
        first = self.ranks.rank * self.share + start
        part, recipe, device = slice(first, first + self.micro), self.recipe, self.ranks.device
        arrays = random_windows(self.tokens.train, recipe.sequence, recipe.batch, recipe.seed, self.step, part)
        tensors = [torch.from_numpy(a) for a in arrays]
        if device.type == "cuda":
            tensors = [t.contiguous().pin_memory() for t in tensors]
        return tuple(t.to(device, non_blocking=True) for t in tensors)

    def _update(self) -> tuple:
        """Loss, load-balance loss (means over this process's windows) and gradient norm of a step, on the device."""
        schedule = self.recipe.schedule
        for group in self.optimizer.param_groups:
            group["lr"] = schedule.rate(self.step)
            group["weight_decay"] = schedule.decay(self.step) if group["decays"] else 0.0
        parts = self.share // self.micro
        losses = balances = 0.0
        for i in range(parts):
            ids, targets = self._batch(i * self.micro)
            last = i + 1 == parts
            with self.wrapped.no_sync() if self.ranks.parallel and not last else contextlib.nullcontext():
                with autocast(self.ranks.device, self.options.precision):
                    loss, balance = self.wrapped(ids, targets)
                ((loss + self.recipe.balance * balance) / parts).backward()
            losses, balances = losses + loss.detach() / parts, balances + balance.detach() / parts
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip or float("inf"))
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        return losses, balances, norm

    # The run

    def evaluate(self) -> Optional[float]:
        """Held-out loss, nats a token, with the precision of training; not compiled, which would take a second compile."""
        sequence, precision = self.recipe.sequence, self.options.precision
        return mean_loss(self.model, self.tokens.valid, sequence, self.micro, self.ranks, precision)

    def run(self) -> dict:
        """Trains to the last step or until time is over, and returns the results."""
        options, schedule = self.options, self.recipe.schedule
        log = RunLog(options.folder, self.step) if self.ranks.first else None
        progress = Progress(schedule.steps, self.step, self.ranks.first and not options.quiet)
        begin = saved = time.monotonic()
        handlers = {s: signal.signal(s, self._on_signal) for s in (signal.SIGINT, signal.SIGTERM)}
        valid = None
        try:
            while self.step < schedule.steps and not self.stop:
                row, valid = self._interval()
                if log:
                    log.add(row)
                progress.show(row)
                now = time.monotonic()
                late = options.minutes and now - begin >= 60 * options.minutes
                stop, save = self.ranks.sum(
                    self.stop or (self.ranks.first and late),
                    self.ranks.first and now - saved >= 60 * options.checkpoint_minutes,
                )
                self.stop = bool(stop)
                if stop or save or self.step == schedule.steps:
                    self.save()
                    saved = time.monotonic()
                    if log:
                        log.draw()
        finally:
            progress.close()
            for number, handler in handlers.items():
                signal.signal(number, handler)
        if valid is None:
            valid = self.evaluate()
        return self._results(valid)

    def _on_signal(self, number, frame) -> None:
        self.stop = True

    def _interval(self) -> tuple:
        """Steps to the next end of a log interval. Returns the row of the log, and the held-out loss or None."""
        schedule, begin, first = self.recipe.schedule, time.monotonic(), self.step
        losses = balances = 0.0
        while True:
            loss, balance, norm = self._update()
            losses, balances = losses + loss, balances + balance
            evaluates = self.step % self.eval_every == 0 or self.step == schedule.steps
            if evaluates or self.step % self.log_every == 0:
                break
        steps = self.step - first
        loss, balance = (v / self.ranks.world / steps for v in self.ranks.sum(float(losses), float(balances)))
        if loss != loss:
            raise ValueError(f"the loss is not a number after step {self.step}; expected a lower learning rate")
        seconds = time.monotonic() - begin
        self.seconds, self.last_loss = self.seconds + seconds, loss
        window = self.recipe.batch * self.recipe.sequence
        row = {"step": self.step, "tokens": self.step * window, "lr": schedule.rate(self.step - 1)}
        row.update(weight_decay=schedule.decay(self.step - 1), loss=loss, balance=balance, gradient_norm=float(norm))
        valid = self.evaluate() if evaluates else None
        if valid is not None:
            row.update(valid_loss=valid, **{"valid_perplexity": summary(valid, self.tokens.info)["perplexity"]})
        self.speeds.append(steps * window / seconds)
        row.update(tokens_per_second=self.speeds[-1], seconds=self.seconds)
        return row, valid

    def _results(self, valid: Optional[float]) -> dict:
        """What --json writes."""
        finished = self.step == self.recipe.schedule.steps
        tokens = self.step * self.recipe.batch * self.recipe.sequence
        results = {"finished": finished, "step": self.step, "tokens": tokens, "train_loss": self.last_loss}
        if valid is not None:
            results.update(summary(valid, self.tokens.info))
        speed = statistics.median(self.speeds) if self.speeds else None
        results.update(seconds=self.seconds, tokens_per_second=speed)
        results.update(weights=count_weights(self.model), config=self.config.to_dict(), recipe=asdict(self.recipe))
        results.update(data=self.tokens.info, device=self.ranks.device.type, processes=self.ranks.world)
        results.update(torch=torch.__version__, precision=self.options.precision, compile=self.options.compile)
        if self.ranks.device.type == "cuda":
            results["device_name"] = torch.cuda.get_device_name(self.ranks.device)
            results["peak_memory_gib"] = peak_memory(self.ranks.device)
        return results
