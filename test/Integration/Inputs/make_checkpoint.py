# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes a checkpoint as training does, and what it computes: make_checkpoint.py OUT.pt OUT.npz."""

import json
import sys

import numpy as np
import torch

from pquant.decoder import DecoderConfig, NamedWeights, RandomWeights, evaluate


class Recorder(RandomWeights):
    """Keeps what is asked for; alpha and beta differ from the configuration's."""

    def __init__(self, seed):
        super().__init__(seed)
        self.arrays = {}

    def matrix(self, name, shape, deviation=0.0):
        return self.arrays.setdefault(name, super().matrix(name, shape, deviation))

    def norm(self, name, size):
        self.arrays[name] = np.float32(1) + super().matrix(name, (size,), 0.1)
        return self.arrays[name]

    def scalar(self, name, default):
        return self.arrays.setdefault(name, np.float32(0.75 * default))


def main(checkpoint: str, case: str) -> None:
    config = DecoderConfig(vocab=64, hidden=64, blocks=2, heads=4, kv_heads=2, ffn=160, high_precision=32, experts=2)
    ids = np.arange(18).reshape(2, 9) * 7 % config.vocab
    recorder = Recorder(5)
    evaluate(config, recorder, ids)
    state = {name: torch.from_numpy(np.array(array)) for name, array in recorder.arrays.items()}
    settings = {"bos_id": 1, "temperature": 0.8}
    content = {"config": json.dumps(config.to_dict()), "weights": state, "generation": json.dumps(settings)}
    torch.save(content, checkpoint)
    np.savez(case, in0=ids, out0=evaluate(config, NamedWeights(recorder.arrays), ids))


if __name__ == "__main__":
    main(*sys.argv[1:])
