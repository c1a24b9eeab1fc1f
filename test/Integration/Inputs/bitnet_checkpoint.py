"""Writes a small ternary checkpoint as transformers does, with the logits that NumPy computes for it.

    bitnet_checkpoint.py FOLDER LINEAR_CLASS DTYPE FORM

FOLDER/config.json, FOLDER/model.safetensors (with FORM "shards" two files and their index) and FOLDER/run.npz with in0,
out0. LINEAR_CLASS is bitlinear or autobitlinear; DTYPE, of what is not packed, F32 or BF16. FORM: packed; ternary:
weights in DTYPE of -1, 0 and 1; or shadow: the weights of training.
"""

import json
import os
import sys

import numpy as np

from pquant import reference as ref

VOCAB, HIDDEN, INNER, BLOCKS, HEADS, GROUPS, BASE, EPS = 48, 64, 104, 2, 4, 2, 500000.0, 1e-5
F32 = np.float32
PROJECTIONS = {"self_attn.q_proj": (HIDDEN, HIDDEN), "self_attn.k_proj": (HIDDEN // 2, HIDDEN),
               "self_attn.v_proj": (HIDDEN // 2, HIDDEN), "self_attn.o_proj": (HIDDEN, HIDDEN),
               "mlp.gate_proj": (INNER, HIDDEN), "mlp.up_proj": (INNER, HIDDEN), "mlp.down_proj": (HIDDEN, INNER)}
NORMS = {"input_layernorm": HIDDEN, "post_attention_layernorm": HIDDEN, "self_attn.attn_sub_norm": HIDDEN,
         "mlp.ffn_sub_norm": INNER}

rng = np.random.default_rng(3)
layers, tensors = [], {}


def brief(array):
    """Numbers that bfloat16 holds exactly."""
    return (np.asarray(array, F32).view(np.uint32) & 0xFFFF0000).view(F32)


def make_layer(prefix, divides, form):
    layer = {}
    for name, size in NORMS.items():
        layer[name] = tensors[f"{prefix}.{name}.weight"] = brief(rng.uniform(0.5, 1.5, size))
    for name, (rows, columns) in PROJECTIONS.items():
        weight = brief(rng.standard_normal((rows, columns)) * columns**-0.5)
        key = f"{prefix}.{name}.weight"
        gain = F32(1) / np.abs(weight).mean(dtype=F32)
        values = np.clip(np.rint(weight * gain), -1, 1).astype(np.int8)
        scale = F32(1) / gain
        if form == "shadow":
            tensors[key] = weight
        else:
            stored = brief([gain if divides else scale])
            tensors[key + "_scale"], scale = stored, F32(1) / stored[0] if divides else stored[0]
            codes = (values + 1).astype(np.uint8).reshape(4, rows // 4, columns)
            packed = codes[0] | codes[1] << 2 | codes[2] << 4 | codes[3] << 6
            tensors[key] = values.astype(F32) if form == "ternary" else packed
        layer[name] = values, scale
    return layer


def evaluate(ids):
    """A decoder with a norm before each quantiser, and ReLU squared."""
    rows = lambda x: ref.quantize(x)
    linear = lambda q, weight: ref.ternary_linear(*q, *weight)
    heads = lambda x, count: x.reshape(1, -1, count, HIDDEN // HEADS).transpose(0, 2, 1, 3)
    tables = ref.rotary_tables(np.arange(ids.shape[1]), HIDDEN // HEADS, BASE)
    x = tensors["model.embed_tokens.weight"][ids]
    for layer in layers:
        q = rows(ref.rms_norm(x, layer["input_layernorm"], EPS))
        query, key, value = (heads(linear(q, layer[f"self_attn.{part}_proj"]), count)
                             for part, count in (("q", HEADS), ("k", GROUPS), ("v", GROUPS)))
        query, key = ref.rotary_embedding(query, *tables), ref.rotary_embedding(key, *tables)
        mixed = ref.attention(query, key, value, (HIDDEN // HEADS) ** -0.5, causal=True)
        mixed = ref.rms_norm(mixed.transpose(0, 2, 1, 3).reshape(x.shape), layer["self_attn.attn_sub_norm"], EPS)
        x = x + linear(rows(mixed), layer["self_attn.o_proj"])
        q = rows(ref.rms_norm(x, layer["post_attention_layernorm"], EPS))
        inner = np.maximum(linear(q, layer["mlp.gate_proj"]), 0) ** 2 * linear(q, layer["mlp.up_proj"])
        x = x + linear(rows(ref.rms_norm(inner, layer["mlp.ffn_sub_norm"], EPS)), layer["mlp.down_proj"])
    return ref.rms_norm(x, tensors["model.norm.weight"], EPS) @ tensors["model.embed_tokens.weight"].T


def write(path, names, dtype):
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name in names:
        array, kind = tensors[name], "U8" if tensors[name].dtype == np.uint8 else dtype
        raw = (array.view(np.uint32) >> 16).astype(np.uint16).tobytes() if kind == "BF16" else array.tobytes()
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text + data)


def main(folder, linear_class, dtype, form):
    os.makedirs(folder, exist_ok=True)
    tensors["model.embed_tokens.weight"] = brief(rng.standard_normal((VOCAB, HIDDEN)))
    tensors["model.norm.weight"] = brief(rng.uniform(0.5, 1.5, HIDDEN))
    for i in range(BLOCKS):
        layers.append(make_layer(f"model.layers.{i}", linear_class == "bitlinear", form))
    settings = {
        "model_type": "bitnet", "vocab_size": VOCAB, "hidden_size": HIDDEN, "intermediate_size": INNER,
        "num_hidden_layers": BLOCKS, "num_attention_heads": HEADS, "num_key_value_heads": GROUPS, "hidden_act": "relu2",
        "rms_norm_eps": EPS, "rope_theta": BASE, "tie_word_embeddings": True, "bos_token_id": 1, "eos_token_id": 2,
        "quantization_config": {"quant_method": "bitnet", "linear_class": linear_class,
                                "quantization_mode": "online" if form == "shadow" else "offline"},
    }
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump(settings, file)
    names = sorted(tensors)
    files = {"model.safetensors": names}
    if form == "shards":
        files = {"model-1.safetensors": names[::2], "model-2.safetensors": names[1::2]}
        index = {name: file for file, held in files.items() for name in held}
        with open(os.path.join(folder, "model.safetensors.index.json"), "w") as file:
            json.dump({"weight_map": index}, file)
    for name, held in files.items():
        write(os.path.join(folder, name), held, dtype)
    ids = rng.integers(0, VOCAB, (1, 9))
    np.savez(os.path.join(folder, "run.npz"), in0=ids, out0=evaluate(ids).astype(F32))


main(*sys.argv[1:])
