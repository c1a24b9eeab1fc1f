"""Calls the attention kernels of attention.mlir and compares them with NumPy.

The arguments are those of check_kernels.py.
"""

import sys

import numpy as np
from check_kernels import open_kernels

CASES = {  # name: (D, E, scale, causal, masked)
    "64_64_causal_scale3e000000": (64, 64, 0.125, True, False),
    "64_64_f16_causal_scale3e000000": (64, 64, 0.125, True, False),
    "64_64_i8_causal_scale3e000000": (64, 64, 0.125, True, False),
    "128_64_i8_mask_scale3e000000": (128, 64, 0.125, False, True),
    "64_128_i8_causal_scale3f800000": (64, 128, 1.0, True, False),
    "24_40_mask_scale3e800000": (24, 40, 0.25, False, True),
    "3_1_causal_mask_scale3f800000": (3, 1, 1.0, True, True),
}
# B, H, G, S, T, batches of the mask
SHAPES = [(1, 1, 1, 1, 1, 1), (1, 4, 4, 1, 200, 1), (2, 6, 2, 5, 70, 2), (1, 8, 2, 40, 40, 1), (2, 2, 1, 130, 131, 1),
          (1, 3, 1, 4, 2, 1), (3, 2, 2, 1, 64, 1), (2, 10, 2, 1, 150, 2)]


def reference(q, k, v, mask, scale, causal):
    heads, groups = q.shape[1], k.shape[1]
    k, v = (np.repeat(x.astype(np.float64), heads // groups, axis=1) for x in (k, v))
    logits = scale * np.einsum("bhsd,bhtd->bhst", q.astype(np.float64), k)
    if mask is not None:
        logits = logits + mask
    if causal:
        s, t = logits.shape[2:]
        logits[..., np.arange(t)[None, :] > np.arange(s)[:, None] + (t - s)] = -np.inf
    largest = logits.max(axis=-1, keepdims=True)
    p = np.exp(logits - np.where(np.isfinite(largest), largest, 0))
    total = p.sum(axis=-1, keepdims=True)
    return np.einsum("bhst,bhte->bhse", p / np.where(total == 0, 1, total), v)


def strided(rng, batch, heads, rows, depth):
    """B x H x R x D, part of a larger array, as a cache or joined heads are."""
    whole = rng.standard_normal((batch, heads + 1, rows + 3, depth)).astype(np.float32)
    return whole[:, 1:, 2:rows + 2]


def as_cache(rows, name):
    """The rows as a cache of the kernel's type holds them, and what they stand for."""
    if "_f16_" in name:
        cache = rows.astype(np.float16)
        return cache, cache.astype(np.float32)
    if "_i8_" in name:
        step = np.abs(rows).max(axis=-1, keepdims=True) / np.float32(127)
        values = np.clip(np.rint(rows / step), -127, 127).astype(np.int8)
        cache = np.concatenate([values, step.view(np.int8)], axis=-1)
        return cache, values * step
    return rows, rows


def check(library, level, name, shape, rng):
    depth, width, scale, causal, masked = CASES[name]
    batch, heads, groups, s, t, batches = shape
    q = strided(rng, batch, heads, s, depth) * 3
    k, k_value = as_cache(strided(rng, batch, groups, t, depth), name)
    v, v_value = as_cache(strided(rng, batch, groups, t, width), name)
    mask = rng.standard_normal((batches, 1, s, t)).astype(np.float32)
    mask[rng.random(mask.shape) < 0.3] = -np.inf
    mask[:, :, 0, :] = -np.inf  # a row without keys
    y = np.full((batch, heads, s, width), np.nan, np.float32)
    arguments = (k, v, *([mask] if masked else []), y)
    # A row that is no number gives none, and changes no other row.
    q[0, 0, s - 1, 0] = np.nan
    library.call(f"attention_{name}_{level}", q, *arguments)
    if t >= s and not np.isnan(y[0, 0, s - 1]).all() and not (masked and s == 1):
        print(f"{level} {name} {shape}: expected NaN for a row with NaN")
        return 1
    others = y.copy()
    others[0, 0, s - 1] = 0
    if np.isnan(others).any():
        print(f"{level} {name} {shape}: NaN in rows without NaN")
        return 1
    q[0, 0, s - 1, 0] = 1
    library.call(f"attention_{name}_{level}", q, *arguments)
    want = reference(q, k_value, v_value, mask if masked else None, scale, causal)
    # 1e-5 of the largest value, as the op says.
    if np.abs(y - want).max() <= 1e-5 * max(1e-6, np.abs(want).max()):
        return 0
    print(f"{level} {name} {shape}: off by {np.abs(y - want).max()}")
    return 1


def main():
    library, levels = open_kernels(sys.argv[1:], ["generic", "avx2", "avx512"])
    failures = 0
    for level in levels:
        rng, failed, count = np.random.default_rng(0), 0, 0
        for ranges in [1, 3]:
            library.set_ranges(ranges)
            for name in CASES:
                for shape in SHAPES:
                    failed += check(library, level, name, shape, rng)
                    count += 1
        print(f"{level}: {count} checks, {failed} failures")
        failures += failed
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
