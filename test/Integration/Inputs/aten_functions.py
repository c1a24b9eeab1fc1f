"""Operators of ATen that PyTorch 1.13 does not have, by their definitions."""

import math

import torch


def grouped(self, mat2, offs):
    ends = [0] + offs.tolist()
    return torch.cat([self[a:b] @ mat2[i] for i, (a, b) in enumerate(zip(ends, ends[1:]))])


def rms_norm(input, normalized_shape, weight=None, eps=None):
    eps = torch.finfo(input.dtype).eps if eps is None else eps
    factor = torch.rsqrt(input.pow(2).mean(-1, keepdim=True) + eps)
    return input * factor * (1 if weight is None else weight), factor


def attention(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False):
    repeats = query.shape[-3] // key.shape[-3]
    key, value = key.repeat_interleave(repeats, -3), value.repeat_interleave(repeats, -3)
    scores = query @ key.transpose(-1, -2) * (scale or query.shape[-1] ** -0.5)
    if is_causal:
        scores = scores.masked_fill(torch.ones(scores.shape[-2:]).tril() == 0, -math.inf)
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, -math.inf) if attn_mask.dtype == torch.bool else scores + attn_mask
    return scores.softmax(-1).nan_to_num(0) @ value
