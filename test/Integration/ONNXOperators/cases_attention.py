"""Attention and RotaryEmbedding of ai.onnx 23 and 24, TensorScatter."""

import numpy as np
from operators import Case, node

rng = np.random.default_rng(7)


def normal(*shape):
    return rng.standard_normal(shape).astype(np.float32)


def softmax(x):
    """A row of minus infinity gives 0."""
    top = np.max(x, axis=-1, keepdims=True)
    e = np.exp(x - np.where(np.isinf(top), 0, top))
    total = e.sum(-1, keepdims=True)
    return np.where(total == 0, 0, e / np.where(total == 0, 1, total))


def attention(q, k, v, mask=None, scale=None, softcap=0.0):
    """B x H x S x D; `mask` is added. Returns the output and the scores after each step."""
    repeats = q.shape[1] // k.shape[1]
    k, v = np.repeat(k, repeats, 1), np.repeat(v, repeats, 1)
    scale = 1 / np.sqrt(q.shape[-1]) if scale is None else scale
    scaled = np.einsum("bhsd,bhtd->bhst", q.astype(np.float64), k) * scale
    capped = softcap * np.tanh(scaled / softcap) if softcap else scaled
    masked = capped if mask is None else capped + mask
    weights = softmax(masked)
    stages = [x.astype(np.float32) for x in (scaled, capped, masked, weights)]
    return np.einsum("bhst,bhte->bhse", weights, v).astype(np.float32), stages


def causal(rows, keys, offset):
    """Row s sees keys t <= s + offset."""
    return np.where(np.arange(keys) <= np.arange(rows)[:, None] + offset, 0, -np.inf).astype(np.float32)


def split(x, heads):
    return x.reshape(*x.shape[:2], heads, -1).transpose(0, 2, 1, 3)


def join(x):
    return x.transpose(0, 2, 1, 3).reshape(x.shape[0], x.shape[2], -1)


def cases_attention():
    q, k, v = normal(2, 4, 5, 8), normal(2, 2, 7, 8), normal(2, 2, 7, 6)
    qkv = {"q": q, "k": k, "v": v}
    same = {"q": q, "k": k[:, :, :5].copy(), "v": v[:, :, :5].copy()}
    for opset in (23, 24):
        yield Case(f"grouped_{opset}", [node("Attention", "q k v", "y")], qkv, {"y": attention(q, k, v)[0]},
                   opset=opset,
                   dynamic=("q:2", "k:2", "v:2"))
        yield Case(f"causal_{opset}", [node("Attention", "q k v", "y", is_causal=1, scale=0.3)], same,
                   {"y": attention(*same.values(), causal(5, 5, 0), 0.3)[0]}, opset=opset)
    # Fewer queries than keys and no past: the first query reads the first key.
    yield Case("causal_cross", [node("Attention", "q k v", "y", is_causal=1)], qkv,
               {"y": attention(q, k, v, causal(5, 7, 0))[0]})
    for name, shape in (("2d", (5, 7)), ("batch", (2, 1, 5, 7)), ("heads", (1, 4, 5, 7)), ("all", (2, 4, 5, 7))):
        bits = rng.random(shape) < 0.6
        bits[..., 2, :] = False
        added = np.where(bits, 0, -np.inf).astype(np.float32)
        yield Case(f"bool_{name}", [node("Attention", "q k v m", "y")], {**qkv, "m": bits},
                   {"y": attention(q, k, v, added)[0]})
        bias = normal(*shape)
        yield Case(f"float_{name}", [node("Attention", "q k v m", "y", softcap=2.0)], {**qkv, "m": bias},
                   {"y": attention(q, k, v, bias, softcap=2.0)[0]})
    short = normal(5, 4)
    padded = np.concatenate([short, np.full((5, 3), -np.inf, np.float32)], 1)
    yield Case("short_mask", [node("Attention", "q k v m", "y")], {**qkv, "m": short},
               {"y": attention(q, k, v, padded)[0]}, dynamic=("m:1",))


def cases_cache():
    q, k, v = normal(2, 4, 3, 8), normal(2, 2, 3, 8), normal(2, 2, 3, 8)
    past_k, past_v = normal(2, 2, 6, 8), normal(2, 2, 6, 8)
    all_k, all_v = np.concatenate([past_k, k], 2), np.concatenate([past_v, v], 2)
    inputs = {"q": q, "k": k, "v": v, "pk": past_k, "pv": past_v}
    for opset in (23, 24):
        yield Case(f"past_{opset}", [node("Attention", "q k v - pk pv", "y nk nv", is_causal=1)], inputs,
                   {"y": attention(q, all_k, all_v, causal(3, 9, 6))[0], "nk": all_k, "nv": all_v}, opset=opset,
                   dynamic=("pk:2", "pv:2"))
    for mode in (1, 2, 3):
        bias = normal(3, 9)
        y, stages = attention(q, all_k, all_v, bias, softcap=3.0)
        yield Case(f"stage_{mode}", [node("Attention", "q k v m pk pv", "y - - s", qk_matmul_output_mode=mode,
                                          softcap=3.0)],
                   {"q": q, "k": k, "v": v, "m": bias, "pk": past_k, "pv": past_v}, {"y": y, "s": stages[mode]})
    yield Case("stage_0_softcap", [node("Attention", "q k v", "y - - s", softcap=3.0)], {"q": q, "k": k, "v": v},
               {"y": q, "s": q}, error="qk_matmul_output_mode 0 with a softcap is not supported")
    flat = {"q": join(q), "k": join(k), "v": join(v)}
    yield Case("flat", [node("Attention", "q k v", "y", q_num_heads=4, kv_num_heads=2)], flat,
               {"y": join(attention(q, k, v)[0])})
    half = {name: x.astype(np.float16) for name, x in flat.items()}
    yield Case("flat_half", [node("Attention", "q k v", "y", q_num_heads=4, kv_num_heads=2)], half,
               {"y": join(attention(q, k, v)[0]).astype(np.float16)}, tolerance=4e-3)
    yield Case("flat_headless", [node("Attention", "q k v", "y")], flat, {"y": flat["q"]},
               error="expected attribute 'q_num_heads' with inputs of rank 3")
    # A fixed buffer of 9 rows of which the first `lengths` are valid.
    lengths = np.array([4, 9], np.int64)
    mask = np.stack([causal(3, 9, n - 3) + np.where(np.arange(9) < n, 0, -np.inf) for n in lengths])[:, None]
    padded = np.where(np.arange(9) < lengths[:, None], 0, -np.inf)[:, None, None]
    fixed = {"q": q, "k": all_k, "v": all_v, "n": lengths}
    yield Case("lengths_causal", [node("Attention", "q k v - - - n", "y", is_causal=1)], fixed,
               {"y": attention(q, all_k, all_v, mask)[0]})
    yield Case("lengths", [node("Attention", "q k v - - - n", "y")], fixed,
               {"y": attention(q, all_k, all_v, padded)[0]})


def rotate(x, cos, sin, interleaved, width):
    """x: B x H x S x D; cos, sin: B x S x width / 2."""
    cos, sin = cos[:, None], sin[:, None]
    turned, rest = x[..., :width], x[..., width:]
    if interleaved:
        first, second = turned[..., 0::2], turned[..., 1::2]
        pair = np.stack([first * cos - second * sin, second * cos + first * sin], -1)
        return np.concatenate([pair.reshape(turned.shape), rest], -1)
    first, second = np.split(turned, 2, -1)
    return np.concatenate([first * cos - second * sin, second * cos + first * sin, rest], -1)


def cases_rotary():
    x = normal(2, 3, 4, 8)
    ids = rng.integers(0, 10, (2, 4))
    for interleaved in (0, 1):
        for width in (8, 4):
            cos, sin = normal(10, width // 2), normal(10, width // 2)
            want = rotate(x, cos[ids], sin[ids], interleaved, width)
            given = {"interleaved": interleaved, "rotary_embedding_dim": width if width < 8 else 0}
            name = f"rotary_{interleaved}_{width}"
            yield Case(name, [node("RotaryEmbedding", "x c s p", "y", **given)], {"x": x, "c": cos, "s": sin, "p": ids},
                       {"y": want}, opset=23)
            yield Case(name + "_flat", [node("RotaryEmbedding", "x c s", "y", num_heads=3, **given)],
                       {"x": join(x), "c": cos[ids], "s": sin[ids]}, {"y": join(want)}, dynamic=("x:1", "c:1", "s:1"))
            given["num_heads"] = 3
            yield Case(name + "_contrib", [node("RotaryEmbedding", "x p c s", "y", "com.microsoft", **given)],
                       {"x": join(x), "p": ids, "c": cos, "s": sin}, {"y": join(want)})
            rows = np.broadcast_to(np.arange(5, 9), (2, 4))
            yield Case(name + "_offset", [node("RotaryEmbedding", "x p c s", "y", "com.microsoft", **given)],
                       {"x": x, "p": np.array([5]), "c": cos, "s": sin},
                       {"y": rotate(x, cos[rows], sin[rows], interleaved, width)})


def cases_tensor_scatter():
    past, update = normal(2, 3, 6, 4), normal(2, 3, 2, 4)
    for mode, starts in (("linear", [1, 4]), ("circular", [5, 2])):
        want = past.copy()
        for b, start in enumerate(starts):
            for s in range(2):
                want[b, :, (start + s) % 6] = update[b, :, s]
        yield Case(f"scatter_{mode}", [node("TensorScatter", "p u w", "y", mode=mode)],
                   {"p": past, "u": update, "w": np.array(starts)}, {"y": want})
    want = past.copy()
    want[:, :, :2] = update
    yield Case("scatter_start", [node("TensorScatter", "p u", "y")], {"p": past, "u": update}, {"y": want})
    long = normal(2, 3, 4000, 4)
    message = "expected an update of at most as many rows as the past has"
    yield Case("scatter_long", [node("TensorScatter", "p u", "y")], {"p": past, "u": long}, {"y": want}, error=message)
    for mode, inputs in (("linear", {"p": past, "u": long}), ("circular", {"p": past, "u": long, "w": np.zeros(2, int)})):
        yield Case(f"scatter_long_{mode}", [node("TensorScatter", " ".join(inputs), "y", mode=mode)], inputs,
                   {"y": want}, dynamic=("p:2", "u:2"), failure=message)
