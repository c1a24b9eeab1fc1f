# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Checkpoints of ternary decoders as Hugging Face's transformers writes them: a folder with config.json and .safetensors.

Linear layers are BitNet b1.58's, arXiv 2402.17764: ternary weights, one scale a matrix, activations quantised by
`Quantizer()`. A weight is uint8 [N / 4, K], four values a byte: row r holds rows r, r + N/4, r + N/2 and r + 3N/4 of
the matrix in its bits 0, 2, 4 and 6, each value plus one. `weight_scale` divides the product for `linear_class`
"bitlinear" and multiplies it for "autobitlinear". Weights in floating point are taken as well: ternary ones with a
weight_scale, or those of training, which are made ternary here.

`read_model` gives what `BitNetExporter`, a DecoderExporter with the norms and the activation of these models, needs.
"""

import json
import os
from dataclasses import dataclass
from typing import Dict, Tuple

import numpy as np

from pquant.decoder import DecoderConfig
from pquant.decoder_onnx import DecoderExporter
from pquant.reference import F32, pack_rows

DTYPES = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16, "U8": np.uint8, "I8": np.int8, "I64": np.int64}
ACTIVATIONS = ("relu2", "silu")

# The names of transformers by ours.
LAYER = {
    "norm1": "input_layernorm",
    "norm2": "post_attention_layernorm",
    "attention.query": "self_attn.q_proj",
    "attention.key": "self_attn.k_proj",
    "attention.value": "self_attn.v_proj",
    "attention.output": "self_attn.o_proj",
    "attention.norm": "self_attn.attn_sub_norm",
    "ffn.gate": "mlp.gate_proj",
    "ffn.up": "mlp.up_proj",
    "ffn.down": "mlp.down_proj",
    "ffn.norm": "mlp.ffn_sub_norm",
}
OUTER = {"embedding": "model.embed_tokens", "norm": "model.norm", "head": "lm_head"}


# Files


def read_safetensors(path: str) -> Dict[str, Tuple[str, np.ndarray]]:
    """The type and the mapped data of each tensor: 8 bytes with the length of a JSON header, the header, the data."""
    with open(path, "rb") as file:
        length, size = int.from_bytes(file.read(8), "little"), os.path.getsize(path)
        if not 2 <= length <= min(size - 8, 100_000_000):
            raise ValueError(f"{path}: expected a header of at most {max(size - 8, 0)} bytes, but got {length}")
        try:
            header = json.loads(file.read(length))
            entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
            specs = {n: (e["dtype"], tuple(e["shape"]), *e["data_offsets"]) for n, e in entries.items()}
        except (AttributeError, KeyError, TypeError, ValueError):
            raise ValueError(f"{path}: expected a header of tensors with dtype, shape and data_offsets") from None
    data, tensors = np.memmap(path, np.uint8, "r", offset=8 + length), {}
    for name, (kind, shape, start, end) in specs.items():
        if kind not in DTYPES:
            raise ValueError(f"{path}: expected {name} of type {', '.join(DTYPES)}, but got {kind}")
        count = int(np.prod(shape, dtype=np.int64)) * np.dtype(DTYPES[kind]).itemsize
        if not 0 <= start <= end <= data.size or end - start != count:
            raise ValueError(f"{path}: expected {count} bytes inside of the file for {name}, but got {start} to {end}")
        tensors[name] = kind, data[start:end].view(DTYPES[kind]).reshape(shape)
    return tensors


def read_folder(folder: str) -> Dict[str, Tuple[str, np.ndarray]]:
    """The tensors of model.safetensors, or of the files that model.safetensors.index.json lists."""
    names, index = ["model.safetensors"], os.path.join(folder, "model.safetensors.index.json")
    if os.path.exists(index):
        with open(index, encoding="utf-8") as file:
            names = sorted(set(json.load(file)["weight_map"].values()))
    if any(os.path.basename(name) != name for name in names):
        raise ValueError(f"{index}: expected names of files in this folder")
    return {name: tensor for each in names for name, tensor in read_safetensors(os.path.join(folder, each)).items()}


# Configuration and weights


@dataclass(frozen=True)
class BitNetConfig(DecoderConfig):
    """A DecoderConfig of variant bitnet158, and what else differs among these models."""

    rope_base: float = 10000.0
    activation: str = "relu2"


def read_config(settings: dict) -> BitNetConfig:
    """From the object of a config.json."""

    def expect(key: str, got, *allowed) -> None:
        if got not in allowed:
            raise ValueError(f"expected {key} {' or '.join(map(str, allowed))}, but got {got}")

    quantization = settings.get("quantization_config") or {}
    rope = settings.get("rope_parameters") or settings.get("rope_scaling") or {}
    expect("quant_method", quantization.get("quant_method"), "bitnet")
    expect("linear_class", quantization.get("linear_class", "bitlinear"), "bitlinear", "autobitlinear")
    expect("use_rms_norm", bool(quantization.get("use_rms_norm")), False)
    expect("model_type", settings.get("model_type"), "bitnet", "llama")
    expect("rope_type", rope.get("rope_type", rope.get("type", "default")), "default")
    expect("attention_bias", bool(settings.get("attention_bias")), False)
    expect("hidden_act", settings.get("hidden_act"), *ACTIVATIONS)
    config = BitNetConfig(
        vocab=settings["vocab_size"],
        hidden=settings["hidden_size"],
        blocks=settings["num_hidden_layers"],
        heads=settings["num_attention_heads"],
        kv_heads=settings.get("num_key_value_heads") or 0,
        ffn=settings["intermediate_size"],
        norm_eps=settings["rms_norm_eps"],
        variant="bitnet158",
        rope_base=float(rope.get("rope_theta", settings.get("rope_theta", 10000.0))),
        activation=settings["hidden_act"],
    )
    expect("head_dim", settings.get("head_dim") or config.head_dim, config.head_dim)
    return config


def unpack(packed: np.ndarray) -> np.ndarray:
    """int8 [N, K] of -1, 0 and 1 from uint8 [N / 4, K]."""
    return np.concatenate([packed >> shift & 3 for shift in (0, 2, 4, 6)]).astype(np.int8) - np.int8(1)


class CheckpointWeights:
    """The tensors of a checkpoint by the names of `pquant.decoder`; has the methods of RandomWeights."""

    def __init__(self, tensors: Dict[str, Tuple[str, np.ndarray]], divides: bool):
        """divides: whether weight_scale divides the product."""
        self.tensors, self.divides = tensors, divides

    @staticmethod
    def _translate(name: str) -> str:
        parts = name.split(".")
        if parts[0] == "blocks":
            return ".".join(["model.layers", parts[1], LAYER[".".join(parts[2:-1])], parts[-1]])
        return ".".join([OUTER[parts[0]], *parts[1:]])

    def __contains__(self, name: str) -> bool:
        return self._translate(name) in self.tensors

    def _get(self, name: str) -> Tuple[str, np.ndarray]:
        if name not in self and name == "head.weight":
            name = "embedding.weight"  # one matrix for both
        if name not in self:
            raise ValueError(f"expected a tensor {self._translate(name)}")
        return self.tensors[self._translate(name)]

    def _floats(self, name: str) -> np.ndarray:
        kind, array = self._get(name)
        return (array.astype(np.uint32) << 16).view(F32) if kind == "BF16" else array.astype(F32)

    def matrix(self, name: str, shape: tuple, deviation: float = 0.0) -> np.ndarray:
        array = self._floats(name)
        if array.shape != tuple(shape):
            raise ValueError(f"expected {self._translate(name)} of shape {tuple(shape)}, but got {array.shape}")
        return array

    def norm(self, name: str, size: int) -> np.ndarray:
        return self.matrix(name, (size,))

    def ternary(self, name: str, shape: tuple) -> Tuple[np.ndarray, np.float32]:
        """A matrix as int8 of -1, 0 and 1 and the number that it is to be multiplied with."""
        scale = name[: -len("weight")] + "weight_scale"
        kind, packed = self._get(name)
        if kind != "U8" and scale not in self:
            weight = self.matrix(name, shape)
            gain = F32(1) / np.maximum(np.abs(weight).mean(dtype=F32), F32(1e-5))
            return np.clip(np.rint(weight * gain), -1, 1).astype(np.int8), F32(1) / gain
        values = unpack(packed) if kind == "U8" else self.matrix(name, shape)
        if values.shape != tuple(shape) or not np.isin(values, (-1, 0, 1)).all():
            raise ValueError(f"expected {self._translate(name)} to hold -1, 0 and 1 of shape {tuple(shape)}")
        factor = self.matrix(scale, (1,))[0]
        return values.astype(np.int8), F32(1) / factor if self.divides else factor


def read_model(folder: str) -> tuple:
    """The configuration, the weights and the generation settings of a checkpoint."""
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
        settings = json.load(file)
    try:
        config = read_config(settings)
    except KeyError as error:
        raise ValueError(f"{folder}: config.json has no {error.args[0]}") from None
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from None
    divides = settings["quantization_config"].get("linear_class", "bitlinear") == "bitlinear"
    ids = {key[:3]: settings.get(f"{key}_token_id") for key in ("bos", "eos")}
    generation = {f"{key}_id": value for key, value in ids.items() if isinstance(value, int)}
    return config, CheckpointWeights(read_folder(folder), divides), generation


class BitNetExporter(DecoderExporter):
    """Writes one of these models, in deployment form."""

    def _inner_norm(self, name: str, x: str, size: int) -> str:
        return self._norm(name, x, size) if f"{name}.weight" in self.weights else x

    def _activate(self, x: str) -> str:
        if self.config.activation == "silu":
            return super()._activate(x)
        positive = self.g.op("Relu", x)
        return self.g.op("Mul", positive, positive)

    def _linear(self, name: str, x: tuple, shape: tuple, kind: str) -> str:
        g, columns = self.g, shape[1]
        values, scale = self.weights.ternary(f"{name}.weight", shape)
        planes = {"nonnegative": values >= 0, "positive": values > 0}
        with g.scope(name.rsplit(".", 1)[-1]):
            operands = [g.weight(f"{name}.{plane}", pack_rows(bits)) for plane, bits in planes.items()]
            operands.append(g.weight(f"{name}.scale", np.reshape(scale, 1)))
            return g.call("TernaryLinear", *x, *operands, columns=columns)
