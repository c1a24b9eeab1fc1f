# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The language model, its weight count, and its ONNX export.

The shape is a `pquant.decoder.DecoderConfig`, and the names of the parameters are those by which `pquant.decoder` and
`pquant.decoder_onnx` ask for weights: a trained state dict can take the place of their random weights.
"""

import contextlib
import inspect
import json
import os
from typing import Iterator, Optional, Tuple, Union

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pquant.checkpoint import read_checkpoint
from pquant.decoder import DecoderConfig
from pquant.nn.layers import Block, RMSNorm
from pquant.nn.linear import BinaryLinear, FloatLinear, Int8Linear, TernaryLinear
from pquant.reference import rotary_frequencies

IGNORED = -100  # a target that does not count


class LanguageModel(nn.Module):
    """Token embedding, blocks, norm, head: a LLaMA-like decoder (pQuant, or a baseline by `config.variant`).

    Embedding, norms, router and head are float32 parameters. All linears and the embedding start normal with deviation
    sqrt(2 / (5 H)) (Nguyen and Salazar, Transformers without Tears, 2019), the norms at 1.
    """

    def __init__(self, config: DecoderConfig):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab, config.hidden)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.blocks))
        self.norm = RMSNorm(config.hidden, config.norm_eps)
        self.head = nn.Linear(config.hidden, config.vocab, bias=False)
        frequencies = torch.from_numpy(rotary_frequencies(config.head_dim))
        self.register_buffer("frequencies", frequencies, persistent=False)
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=(2 / (5 * config.hidden)) ** 0.5)

    def rotary_tables(self, length: int) -> Tuple[Tensor, Tensor]:
        """cos and sin float32 [length, D] of positions from 0."""
        positions = torch.arange(length, device=self.frequencies.device, dtype=torch.float32)
        angles = positions.unsqueeze(1) * self.frequencies
        angles = torch.cat([angles, angles], -1)
        return angles.cos(), angles.sin()

    def forward(self, ids: Tensor, targets: Optional[Tensor] = None) -> Union[Tensor, Tuple[Tensor, Tensor]]:
        """Logits, or the loss of given targets.

        ids: int64 [B, S]. Returns logits [B, S, vocab], float32 or autocast's type.
        targets: int64 [B, S], IGNORED where none. Then returns the mean cross entropy over the targets that count, in
        nats, and the mean load-balance loss of the blocks (0 without a router), both float32 [].
        """
        x, balances = self.embedding(ids), []
        cos, sin = self.rotary_tables(ids.shape[1])
        for block in self.blocks:
            x, balance = block(x, cos, sin)
            if balance is not None:
                balances.append(balance)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        total = F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), ignore_index=IGNORED, reduction="sum")
        loss = total / (targets != IGNORED).sum().clamp_min(1)
        return loss, torch.stack(balances).mean() if balances else torch.zeros_like(loss)


def count_weights(model: LanguageModel) -> dict:
    """Numbers of weights by how they are stored: binary, ternary, int8, float; total, and `active` for one token.

    `linear_bits` is the mean width of the weights of the blocks' linears (float as 16 bits), ternary as 2 bits.
    """
    kinds = {BinaryLinear: "binary", TernaryLinear: "ternary", Int8Linear: "int8", FloatLinear: "float"}
    counts = {"binary": 0, "ternary": 0, "int8": 0, "float": 0}
    width = {"binary": 1, "ternary": 2, "int8": 8, "float": 16}
    linears = bits = 0
    for module in model.modules():
        if type(module) in kinds:
            kind, size = kinds[type(module)], module.weight.numel()
            counts[kind] += size
            linears, bits = linears + size, bits + width[kind] * size
    counts["total"] = sum(p.numel() for p in model.parameters())
    counts["float"] = counts["total"] - counts["binary"] - counts["ternary"] - counts["int8"]
    config = model.config
    counts["active"] = counts["total"] - (counts["int8"] // config.experts * (config.experts - 1))
    counts["linear_bits"] = bits / linears
    return counts


@contextlib.contextmanager
def fake_form(model: nn.Module) -> Iterator[None]:
    """Within it, the model computes in the form of exports: fake-quantised float32, all experts and a gather."""
    changed = [m for m in model.modules() if hasattr(type(m), "fake")]
    for module in changed:
        module.fake = True
    try:
        yield
    finally:
        for module in changed:
            del module.fake


def export_onnx(model: LanguageModel, path: str, opset: int = 17, dynamo: bool = False) -> None:
    """Writes the model as ONNX in training form: input_ids int64 [batch, sequence] to logits float32, both dynamic.

    By PyTorch's TorchScript exporter, opset up to 17 under PyTorch 1.13; with dynamo by that of PyTorch 2, opset 18 on.
    """
    if dynamo and not hasattr(torch, "export"):
        raise ValueError(f"expected PyTorch 2 for its dynamo exporter, but got {torch.__version__}")
    options = dict(input_names=["input_ids"], output_names=["logits"], opset_version=opset)
    if dynamo:
        options.update(dynamo=True, dynamic_shapes=_dynamic_shapes(), external_data=False, verbose=False)
    else:
        axes = {0: "batch", 1: "sequence"}
        options["dynamic_axes"] = {"input_ids": axes, "logits": axes}
        if "dynamo" in inspect.signature(torch.onnx.export).parameters:
            options["dynamo"] = False
    with fake_form(model), torch.no_grad():
        torch.onnx.export(model.eval(), (_example(model),), path, **options)


def export_program(model: LanguageModel, path: str, decompose: bool = False) -> None:
    """Writes the model by torch.export (PyTorch 2.9 or later), a .pt2 file, in training form.

    decompose: to the Core ATen operators.
    """
    if not hasattr(torch, "export"):
        raise ValueError(f"expected PyTorch 2.9 or later for a .pt2 file, but got {torch.__version__}")
    with fake_form(model), torch.no_grad():
        program = torch.export.export(model.eval(), (_example(model),), dynamic_shapes=_dynamic_shapes())
    torch.export.save(program.run_decompositions() if decompose else program, path)


def _example(model: LanguageModel) -> Tensor:
    return torch.zeros((2, 3), dtype=torch.int64, device=model.frequencies.device)


def _dynamic_shapes() -> tuple:
    """Of the ids, for PyTorch 2's exporters."""
    return ({0: torch.export.Dim("batch"), 1: torch.export.Dim("sequence")},)


def save_model(model: LanguageModel, path: str, **extra) -> None:
    """Writes configuration (JSON text) and weights; `load_model` reads them. extra: strings or tensors beside them.

    The file appears whole or not at all.
    """
    weights = {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}
    content = {"config": json.dumps(model.config.to_dict()), "weights": weights, **extra}
    torch.save(content, f"{path}.partial")
    os.replace(f"{path}.partial", path)


def load_model(path: str, device: str = "cpu") -> LanguageModel:
    """The model of `save_model`, or of a checkpoint of `pquant.train`."""
    content = read_checkpoint(path)
    model = LanguageModel(DecoderConfig.from_dict(json.loads(content["config"])))
    try:
        model.load_state_dict(content["weights"])
    except RuntimeError as error:
        raise ValueError(f"{path}: {error}") from None
    return model.to(device)
