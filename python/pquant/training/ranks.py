# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The processes of one training run, as `torchrun` starts them; one process without it."""

import os
from typing import Optional

import torch
from torch import distributed


class Ranks:
    """This process among `world`: its `rank`, its `device`. NCCL on GPUs, gloo on CPUs."""

    def __init__(self, device: str = "auto"):
        self.rank, self.world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = torch.device(device)
        if self.device.type == "cuda":
            if self.device.index is None:
                self.device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
            torch.cuda.set_device(self.device)
        if self.parallel:
            distributed.init_process_group("nccl" if self.device.type == "cuda" else "gloo")

    @property
    def parallel(self) -> bool:
        return "WORLD_SIZE" in os.environ

    @property
    def first(self) -> bool:
        return self.rank == 0

    def sum(self, *values: float) -> list:
        """The sums of numbers over all processes."""
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        if self.parallel:
            distributed.all_reduce(tensor)
        return tensor.tolist()

    def wait(self) -> None:
        if self.parallel:
            distributed.barrier()

    def close(self) -> None:
        if self.parallel:
            distributed.destroy_process_group()


def autocast(device: torch.device, precision: str):
    """The context of `precision`: auto (bfloat16 on GPUs, float32 on CPUs), bfloat16 or float32."""
    if precision == "auto":
        precision = "bfloat16" if device.type == "cuda" else "float32"
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16")


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_memory(device: torch.device) -> Optional[float]:
    """GiB of GPU memory in use at most, or None."""
    return torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else None
