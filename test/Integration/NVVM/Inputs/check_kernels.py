"""Runs kernels.mlir's launches by ptx.py and compares them with NumPy.

    check_kernels.py --kernels LOWERED.MLIR     prints the kernels' module
    check_kernels.py LOWERED.MLIR KERNELS.PTX   integers bit for bit, attention to 2e-6 of the largest value
"""

import re
import sys

import numpy as np
import ptx

DTYPES = {"i8": np.int8, "i32": np.int32, "f16": np.float16, "f32": np.float32}
COLUMNS = {"binary": 530, "binary_few": 12530, "int8": 300, "int8_few": 8690}
random = np.random.default_rng(0)


def pack_bits(bits):
    """Layout b16x256."""
    rows, columns = (-(-size // step) for size, step in zip(bits.shape, (16, 256)))
    padded = np.zeros((16 * rows, 256 * columns), np.uint8)
    padded[: bits.shape[0], : bits.shape[1]] = bits
    # row = 16 i + 8 a + g, column = 256 j + 128 h + 32 t + bit -> [i][j][g][t][h][a][bit]
    parts = padded.reshape(rows, 2, 8, columns, 2, 4, 32).transpose(0, 3, 2, 5, 4, 1, 6)
    return np.packbits(parts, axis=-1, bitorder="little").reshape(-1).view(np.int8)


def pack_bytes(values, columns):
    """Layout i8x16x4."""
    rows = -(-values.shape[0] // 16)
    padded = np.zeros((16 * rows, columns), np.int8)
    padded[: values.shape[0], : values.shape[1]] = values
    return padded.reshape(rows, 16, columns // 4, 4).transpose(0, 2, 1, 3).reshape(-1)


def linear(shapes, columns, is_binary, accumulates):
    """Arguments of a product and its result."""
    (rows, padded), outputs = shapes[0], shapes[-1][1]
    x = random.integers(-128, 128, (rows, padded)).astype(np.int8)
    x[:, columns:] = 0
    scale, weight_scale = random.random(rows, np.float32), random.random(outputs, np.float32)
    y = random.standard_normal((rows, outputs)).astype(np.float32)
    if is_binary:
        bits = random.integers(0, 2, (outputs, columns))
        weight = 2 * bits - 1
        arguments = [x, scale, x.sum(1, dtype=np.int32), pack_bits(bits), weight_scale, y]
    else:
        weight = random.integers(-128, 128, (outputs, columns))
        sums = weight.sum(1).astype(np.int32)
        arguments = [x, scale, pack_bytes(weight.astype(np.int8), padded), sums, weight_scale, y]
    sums = (x[:, :columns].astype(np.int64) @ weight.T).astype(np.float32)
    return arguments, sums * (scale[:, None] * weight_scale) + (y if accumulates else 0)


def make_cache(shape, kind):
    """A cache and its values."""
    if kind != np.int8:
        cache = random.standard_normal(shape).astype(kind)
        return cache, cache.astype(float)
    values = random.integers(-127, 128, (*shape[:-1], shape[-1] - 4)).astype(np.int8)
    steps = random.random((*shape[:-1], 1), np.float32) / 64
    return np.concatenate([values, steps.view(np.int8)], -1), values * steps.astype(float)


def attention(shapes, kinds, scale, is_causal):
    query = 3 * random.standard_normal(shapes[0]).astype(np.float32)
    (keys, k), (values, v) = (make_cache(shapes[i], kinds[i]) for i in (1, 2))
    share = shapes[0][1] // shapes[1][1]
    logits = np.einsum("bhsd,bhtd->bhst", query.astype(float), k.repeat(share, 1)) * scale
    masks = []
    if len(shapes) == 5:
        mask = random.standard_normal(shapes[3]).astype(np.float32)
        mask[random.random(shapes[3]) < 0.3] = -np.inf
        mask[:, :, 5] = -np.inf  # a row that sees nothing
        logits, masks = logits + mask, [mask]
    if is_causal:
        rows, length = logits.shape[2:]
        logits[..., np.triu(np.ones((rows, length), bool), 1 + length - rows)] = -np.inf
    largest = logits.max(-1, keepdims=True)
    weights = np.exp(logits - np.where(np.isinf(largest), 0, largest))
    weights /= np.maximum(weights.sum(-1, keepdims=True), 1e-30)
    y = np.zeros(shapes[-1], np.float32)
    return [query, keys, values, *masks, y], np.einsum("bhst,bhte->bhse", weights, v.repeat(share, 1))


def run(program, arrays, order, grid, threads):
    """The last of the arrays, after the launch."""
    memory = np.zeros(sum(array.nbytes + 8192 for array in arrays) + 8192, np.uint8)
    addresses, end = [], 4096
    for array in arrays:
        addresses.append(end)
        memory[end : end + array.nbytes] = np.ascontiguousarray(array).view(np.uint8).reshape(-1)
        end += -(-array.nbytes // 256) * 256 + 4096
    words = []
    for i in order:
        strides = np.cumprod([1, *arrays[i].shape[:0:-1]])[::-1]
        words += [addresses[i], addresses[i], 0, *arrays[i].shape, *strides]
    assert len(words) == len(program.parameters), program.parameters
    ptx.launch(program, grid, threads, words, memory, 0)
    last, start = arrays[-1], addresses[-1]
    assert not memory[start + last.nbytes :].any(), "written behind the end"
    return memory[start : start + last.nbytes].view(last.dtype).reshape(last.shape)


def numbers(name, text):
    return [int(number) for number in re.search(name + r" = array<i32: ([\d, ]+)>", text)[1].split(",")]


def main():
    if sys.argv[1] == "--kernels":
        _, kernels = open(sys.argv[2]).read().split("gpu.module @kernels", 1)
        return print("module {" + kernels[kernels.index("\n") :].rstrip().removesuffix("}").rstrip())
    lowered, text = (open(path).read() for path in sys.argv[1:])
    for name, signature, body in re.findall(r"  func.func @(\w+)\((.*?)\) \{\n(.*?)\n  \}", lowered, re.DOTALL):
        kernel = lowered[lowered.index(f"llvm.func @{name}_kernel(") :].split("\n", 1)[0]
        types = [type.split("x") for type in re.findall(r"memref<(\w+)>", signature)]
        shapes, kinds = [tuple(map(int, type[:-1])) for type in types], [DTYPES[type[-1]] for type in types]
        order = [int(i) for i in re.findall(r"extract_aligned_pointer_as_index %arg(\d+)", body)]
        with np.errstate(all="ignore"):
            if name.startswith("attention"):
                scale = 0.2 if len(shapes) == 5 else 0.125
                arrays, expected = attention(shapes, kinds, np.float32(scale), len(shapes) == 4)
            else:
                arrays, expected = linear(shapes, COLUMNS[name], name.startswith("binary"), name != "int8")
            program = ptx.Program(text, name + "_kernel")
            grid, threads = numbers("known_grid_size", kernel), numbers("maxntid", kernel)[0]
            got = run(program, arrays, order, grid, threads)
        difference = np.abs(got - expected).max() / np.abs(expected).max()
        limit = 2e-6 if name.startswith("attention") else 0
        print(f"{name}: {'ok' if difference <= limit else f'FAILED, off by {difference}'}")
    return None


main()
