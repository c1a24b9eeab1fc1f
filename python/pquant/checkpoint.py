# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Reading the files that training writes: model.pt and checkpoint.pt."""

import pickle
import zipfile


def read_checkpoint(path: str, *keys: str) -> dict:
    """What `pquant.nn.save_model` wrote: `config` (JSON text), `weights` (a state dict), and more by name.

    keys: what there must be besides. Raises ValueError with the path when the file is missing or is none of these. Needs
    torch, whose errors for files that are not its own are of many types.
    """
    import torch

    expected = ("config", "weights", *keys)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ValueError(f"no such file: {path}") from None
    except (AttributeError, EOFError, IndexError, KeyError, OSError, RuntimeError, TypeError, UnicodeDecodeError,
            ValueError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is not a checkpoint of pquant.train: {type(error).__name__}") from None
    if not isinstance(content, dict) or not set(expected) <= set(content):
        raise ValueError(f"{path}: expected a checkpoint with {', '.join(expected)}")
    return content
