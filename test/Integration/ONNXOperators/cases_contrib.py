"""Operators of com.microsoft, and norms and activations of ai.onnx 20 to 24."""

import math

import numpy as np
from cases_attention import attention, causal, join, normal, rotate, split
from operators import Case, node

rng = np.random.default_rng(11)
MS = "com.microsoft"


def rms(x, weight, epsilon):
    return x / np.sqrt(np.mean(x.astype(np.float64) ** 2, -1, keepdims=True) + epsilon) * weight


def layer_norm(x, weight, bias, epsilon):
    centered = x - x.mean(-1, keepdims=True)
    return centered / np.sqrt(np.mean(centered**2, -1, keepdims=True) + epsilon) * weight + bias


def f32(x):
    return np.asarray(x, np.float32)


def cases_norms():
    x, skip, weight, bias = normal(2, 3, 16), normal(2, 3, 16), normal(16), normal(16)
    want = f32(rms(x, weight, 1e-5))
    yield Case("rms", [node("RMSNormalization", "x w", "y")], {"x": x}, {"y": want}, {"w": weight}, dynamic=("x:1",))
    axes = x.reshape(2, 48)
    yield Case("rms_axis_1", [node("RMSNormalization", "x w", "y", axis=1, epsilon=0.01)], {"x": x},
               {"y": f32(rms(axes, 1, 0.01)).reshape(x.shape) * weight}, {"w": weight})
    yield Case("rms_half", [node("RMSNormalization", "x w", "y")], {"x": x.astype(np.float16)},
               {"y": want.astype(np.float16)}, {"w": weight.astype(np.float16)}, tolerance=4e-3)
    for domain in ("", MS):
        yield Case("simplified" + domain, [node("SimplifiedLayerNormalization", "x w", "y d", domain, epsilon=0.1)],
                   {"x": x}, {"y": f32(rms(x, weight, 0.1)),
                   "d": f32(1 / np.sqrt((x**2).mean(-1, keepdims=True) + 0.1))},
                   {"w": weight})
    given = {"x": x, "s": skip}
    yield Case("skip_simplified", [node("SkipSimplifiedLayerNormalization", "x s w b", "y - - t", MS, epsilon=0.1)],
               given,
               {"y": f32(rms(x + skip + bias, weight, 0.1)), "t": x + skip + bias}, {"w": weight, "b": bias})
    yield Case("skip_simplified_rows", [node("SkipSimplifiedLayerNormalization", "x s w", "y", MS)],
               {"x": x, "s": skip[0]}, {"y": f32(rms(x + skip[0], weight, 1e-12))}, {"w": weight})
    yield Case("skip_layer_norm", [node("SkipLayerNormalization", "x s w b c", "y - - t", MS, epsilon=0.1)], given,
               {"y": f32(layer_norm(x + skip + 2 * bias, weight, bias, 0.1)), "t": x + skip + 2 * bias},
               {"w": weight, "b": bias, "c": 2 * bias})
    yield Case("skip_layer_norm_mean", [node("SkipLayerNormalization", "x s w", "y m", MS)], given, {"y": x, "m": x},
               {"w": weight}, error="output 'm' is not supported")


def cases_activations():
    x, bias = normal(3, 40), normal(40)
    erf = np.vectorize(math.erf)
    by_erf = lambda x: f32(x / 2 * (1 + erf(x / math.sqrt(2))))
    by_tanh = lambda x: f32(x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))))
    swish = lambda x, alpha: f32(x / (1 + np.exp(-alpha * x)))
    for name, op, want, options in (
        ("gelu", ("Gelu", ""), by_erf(x), {}),
        ("gelu_tanh", ("Gelu", ""), by_tanh(x), {"approximate": "tanh"}),
        ("gelu_contrib", ("Gelu", MS), by_erf(x), {}),
        ("fast_gelu", ("FastGelu", MS), by_tanh(x), {}),
        ("quick_gelu", ("QuickGelu", MS), swish(x, 1.702), {}),
        ("quick_gelu_alpha", ("QuickGelu", MS), swish(x, 0.5), {"alpha": 0.5}),
        ("swish", ("Swish", ""), swish(x, 1), {}),
        ("swish_alpha", ("Swish", ""), swish(x, 1.5), {"alpha": 1.5}),
    ):
        yield Case(name, [node(op[0], "x", "y", op[1], **options)], {"x": x}, {"y": want})
    yield Case("bias_gelu", [node("BiasGelu", "x b", "y", MS)], {"x": x}, {"y": by_erf(x + bias)}, {"b": bias})
    yield Case("fast_gelu_bias", [node("FastGelu", "x b", "y", MS)], {"x": x}, {"y": by_tanh(x + bias)}, {"b": bias})


def cases_matmul():
    a, b = normal(2, 5, 3), normal(2, 4, 5)
    yield Case("fused_matmul", [node("FusedMatMul", "a b", "y", MS, transA=1, transB=1, alpha=0.5)], {"a": a, "b": b},
               {"y": f32(0.5 * a.swapaxes(1, 2) @ b.swapaxes(1, 2))})
    for bits in (2, 4, 8):
        for zeros in ("none", "packed", "float"):
            yield n_bits(bits, zeros)


def n_bits(bits, zeros, rows=7, columns=70, block=32):
    """Numbers are packed lowest first; the last block is padded."""
    blocks = -(-columns // block)
    pack = lambda q: np.packbits(
        np.unpackbits(q[..., None], axis=-1, bitorder="little")[..., :bits].reshape(*q.shape[:-1], -1), axis=-1,
        bitorder="little")
    q = rng.integers(0, 1 << bits, (rows, blocks, block), dtype=np.uint8)
    scale, x, bias = normal(rows, blocks), normal(2, 3, columns), normal(rows)
    zero = np.full((rows, blocks), 1 << (bits - 1), np.float32)
    constants = {"b": pack(q), "s": scale.reshape(-1), "c": bias}
    if zeros == "packed":
        points = rng.integers(0, 1 << bits, (rows, blocks), dtype=np.uint8)
        zero, constants["z"] = f32(points), pack(points).reshape(-1)
    if zeros == "float":
        zero = constants["z"] = normal(rows, blocks)
    weight = ((q - zero[..., None]) * scale[..., None]).reshape(rows, -1)[:, :columns]
    names = "x b s " + ("z" if zeros != "none" else "-") + " - c"
    return Case(f"matmul_{bits}_bits_{zeros}",
                [node("MatMulNBits", names, "y", MS, K=columns, N=rows, bits=bits, block_size=block)], {"x": x},
                {"y": f32(x @ weight.T + bias)}, constants, dynamic=("x:1",))


def grouped_query(q, k, v, past_k, past_v, lengths, total, cos=None, sin=None, interleaved=0, softcap=0.0):
    """GroupQueryAttention by heads: the new rows of batch b follow `lengths[b] + 1 - rows` old ones."""
    batch, _, rows, _ = q.shape
    starts = np.zeros(batch, int) if rows == total else lengths + 1 - rows
    if cos is not None:
        at = starts[:, None] + np.arange(rows)
        width = 2 * cos.shape[1]
        q, k = (f32(rotate(x, cos[at], sin[at], interleaved, width)) for x in (q, k))
    capacity = max(past_k.shape[2], total)
    caches = []
    for past, new in ((past_k, k), (past_v, v)):
        cache = np.zeros((*new.shape[:2], capacity, new.shape[3]), np.float32)
        cache[:, :, : past.shape[2]] = past
        for b, start in enumerate(starts):
            cache[b, :, start : start + rows] = new[b]
        caches.append(cache)
    mask = np.stack([causal(rows, capacity, start) for start in starts])[:, None]
    return {"y": join(attention(q, *caches, mask, softcap=softcap)[0]), "pk": caches[0], "pv": caches[1]}


def cases_grouped_query():
    heads = {"num_heads": 4, "kv_num_heads": 2}
    cos, sin = normal(16, 4), normal(16, 4)
    for name, rows, held, lengths, total in (
        ("prompt", 5, 0, [4, 4], 5), ("padded_prompt", 5, 0, [4, 2], 5), ("decode", 1, 7, [7, 7], 8),
        ("ragged", 1, 7, [7, 4], 8), ("shared", 1, 12, [7, 3], 8), ("chunk", 3, 12, [9, 9], 10),
        ("shared_prompt", 5, 12, [4, 4], 5),
    ):
        q, k, v = normal(2, rows, 32), normal(2, rows, 16), normal(2, rows, 16)
        past_k, past_v = normal(2, 2, held, 8), normal(2, 2, held, 8)
        lengths = np.array(lengths, np.int32)
        by_heads = [split(q, 4), split(k, 2), split(v, 2), past_k, past_v, lengths, total]
        inputs = {"q": q, "k": k, "v": v, "a": past_k, "b": past_v, "n": lengths, "t": np.array(total, np.int32)}
        dynamic = tuple(f"{x}:1" for x in "qkv") + ("a:2", "b:2")
        yield Case("gqa_" + name, [node("GroupQueryAttention", "q k v a b n t", "y pk pv", MS, **heads)], inputs,
                   grouped_query(*by_heads), dynamic=dynamic)
        for interleaved in (0, 1):
            yield Case(f"gqa_{name}_rotary_{interleaved}",
                       [node("GroupQueryAttention", "q k v a b n t c s", "y pk pv", MS, do_rotary=1, softcap=2.0,
                             rotary_interleaved=interleaved, **heads)], inputs,
                       grouped_query(*by_heads, cos, sin, interleaved, softcap=2.0), {"c": cos, "s": sin})
    packed = np.concatenate([q, k, v], -1)
    given = {"q": packed, **{name: inputs[name] for name in "abnt"}}
    yield Case("gqa_packed", [node("GroupQueryAttention", "q - - a b n t", "y pk pv", MS, **heads)], given,
               grouped_query(*by_heads))
    none = np.zeros((2, 2, 0, 8), np.float32)
    given = {name: inputs[name] for name in "qkvnt"}
    yield Case("gqa_no_past", [node("GroupQueryAttention", "q k v - - n t", "y pk pv", MS, **heads)], given,
               grouped_query(*by_heads[:3], none, none, *by_heads[5:]))
    yield Case("gqa_window", [node("GroupQueryAttention", "q k v - - n t", "y", MS, local_window_size=4, **heads)],
               given, {"y": q}, error="expected attribute 'local_window_size' of -1, but got 4")


def cases_multi_head():
    q, k, v, bias = normal(2, 3, 32), normal(2, 3, 32), normal(2, 3, 32), normal(96)
    heads = [split(x, 4) for x in (q, k, v)]
    qkv = {"q": q, "k": k, "v": v}
    mha = lambda names, outputs="y", **options: [node("MultiHeadAttention", names, outputs, MS, num_heads=4, **options)]
    yield Case("mha", mha("q k v", scale=0.25), qkv, {"y": join(attention(*heads, scale=0.25)[0])})
    added = [split(x + bias[i * 32 : i * 32 + 32], 4) for i, x in enumerate((q, k, v))]
    yield Case("mha_bias", mha("q k v b"), qkv, {"y": join(attention(*added)[0])}, {"b": bias})
    mask = rng.integers(0, 2, (2, 3)).astype(np.int32)
    extra = normal(1, 4, 3, 3)
    yield Case("mha_masks", mha("q k v - m e"), {**qkv, "m": mask, "e": extra},
               {"y": join(attention(*heads, extra + np.where(mask, 0, -10000)[:, None, None])[0])})
    past = [normal(2, 4, 6, 8), normal(2, 4, 6, 8)]
    full = [np.concatenate([p, x], 2) for p, x in zip(past, heads[1:])]
    yield Case("mha_past", mha("q k v - - - a c", "y pk pv", unidirectional=1), {**qkv, "a": past[0], "c": past[1]},
               {"y": join(attention(heads[0], *full, causal(3, 9, 6))[0]), "pk": full[0], "pv": full[1]})
    yield Case("mha_cross", mha("q a c"), {"q": q, "a": past[0], "c": past[1]},
               {"y": join(attention(heads[0], *past)[0])})
