# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What travels with a model in its metadata: version, form, configuration, tokenizer, generation settings.

Keys, all values text:

- `pquant.version`: of the package that wrote the file; `pquant.format`: of these keys, "1"; `pquant.form`: qat, folded
  or deployment;
- `pquant.config`: the DecoderConfig, JSON;
- `pquant.tokenizer.kind` ("sentencepiece") and `pquant.tokenizer.model`, the tokenizer's file in base64;
- `pquant.generation`: JSON, of `bos_id`, `eos_id` and defaults such as `temperature`, `top_k`, `top_p`, `max_tokens`.
"""

import argparse
import base64
import dataclasses
import json
from typing import Any, Dict, Optional

import pquant

FORMAT = "1"


def build(form: str, config, tokenizer: Optional[bytes] = None, generation: Optional[dict] = None) -> Dict[str, str]:
    """The entries of a model; config is a DecoderConfig."""
    entries = {
        "pquant.version": pquant.__version__,
        "pquant.format": FORMAT,
        "pquant.form": form,
        "pquant.config": json.dumps(dataclasses.asdict(config), sort_keys=True),
    }
    if tokenizer is not None:
        entries["pquant.tokenizer.kind"] = "sentencepiece"
        entries["pquant.tokenizer.model"] = base64.b64encode(tokenizer).decode("ascii")
    if generation:
        entries["pquant.generation"] = json.dumps(generation, sort_keys=True)
    return entries


def read(model) -> Dict[str, Any]:
    """The entries of an ONNX model without their prefix, decoded: tokenizer.model as bytes, JSON as objects."""
    entries = {prop.key[len("pquant.") :]: prop.value for prop in model.metadata_props if prop.key.startswith("pquant.")}
    if entries.get("format", FORMAT) != FORMAT:
        raise ValueError(f"expected metadata of format {FORMAT}, but got {entries['format']}")
    for key in ("config", "generation"):
        if key in entries:
            entries[key] = json.loads(entries[key])
    if "tokenizer.model" in entries:
        entries["tokenizer.model"] = base64.b64decode(entries["tokenizer.model"], validate=True)
    return entries


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags for the tokenizer and the generation settings."""
    parser.add_argument("--tokenizer", metavar="FILE", help="a SentencePiece model to store in the metadata")
    parser.add_argument("--bos-id", type=int, help="the token that starts a text")
    parser.add_argument("--eos-id", type=int, help="the token that ends a text")
    parser.add_argument("--generation", metavar="FILE", help="a JSON object of generation settings")


def from_arguments(arguments: argparse.Namespace, form: str, config, generation: Optional[dict] = None):
    """The entries by the flags; `generation` has settings that the flags override."""
    tokenizer, settings = None, dict(generation or {})
    if arguments.tokenizer:
        with open(arguments.tokenizer, "rb") as file:
            tokenizer = file.read()
    if arguments.generation:
        with open(arguments.generation, encoding="utf-8") as file:
            given = json.load(file)
        if not isinstance(given, dict):
            raise ValueError(f"{arguments.generation}: expected a JSON object")
        settings.update(given)
    for key in ("bos_id", "eos_id"):
        if getattr(arguments, key) is not None:
            settings[key] = getattr(arguments, key)
    return build(form, config, tokenizer, settings)
