"""Indices that are out of range, Pad, and reductions and logic that the ONNX package's own tests lack."""

import numpy as np
from cases_attention import normal
from operators import Case, node

rng = np.random.default_rng(17)


def cases_range():
    """Nothing is read or written with an index that does not fit."""
    x = normal(4, 5)
    for name, op, inputs, index, options in (
        ("gather", "Gather", "x i", (3,), {}),
        ("gather_elements", "GatherElements", "x i", (4, 5), {"axis": 0}),
        ("gather_nd", "GatherND", "x i", (2, 2), {}),
        ("scatter_elements", "ScatterElements", "x i u", (4, 5), {"axis": 0}),
        ("scatter_nd", "ScatterND", "x i u", (2, 1), {}),
    ):
        updates = {"u": normal(4, 5) if op == "ScatterElements" else normal(2, 5)} if "u" in inputs else {}
        for bad in (4, -5):
            indices = np.zeros(index, np.int64)
            indices[(-1,) + (0,) * (len(index) - 1)] = bad
            yield Case(f"{name}_{bad}", [node(op, inputs, "y", **options)], {"x": x, "i": indices, **updates}, {"y": x},
                       failure="expected indices in range")
    computed = [node("Add", "i one", "j"), node("ScatterND", "x j u", "y")]
    yield Case("scatter_nd_computed", computed, {"x": x, "i": np.array([[3]]), "u": normal(1, 5)}, {"y": x},
               {"one": np.array(1)}, failure="expected indices in range")
    cache, update = normal(2, 6, 4), normal(2, 2, 4)
    yield Case("tensor_scatter_5", [node("TensorScatter", "x u i", "y")],
               {"x": cache, "u": update, "i": np.array([0, 5])}, {"y": cache}, failure="expected indices in range")
    rows = np.array([[0, 10]])
    yield Case("rotary_10", [node("RotaryEmbedding", "x c s p", "y")],
               {"x": normal(1, 1, 2, 4), "c": normal(10, 2), "s": normal(10, 2), "p": rows}, {"y": x},
               failure="expected indices in range")
    mask = np.zeros((3, 9), np.float32)
    heads = {name: normal(1, 1, 3, 4) for name in "qkv"}
    yield Case("mask_9", [node("Attention", "q k v m", "y")], {**heads, "m": mask}, {"y": x},
               dynamic=("m:1", "k:2", "v:2"),
               failure="expected a mask of at most as many columns as keys")


def cases_bits():
    small, amount = rng.integers(0, 256, (3, 4)).astype(np.uint8), rng.integers(0, 8, (4,)).astype(np.uint8)
    wide = rng.integers(0, 2**40, (3, 4)).astype(np.uint64)
    for direction, shift in (("LEFT", np.left_shift), ("RIGHT", np.right_shift)):
        for name, x, y in (("uint8", small, amount), ("uint64", wide, amount.astype(np.uint64))):
            yield Case(f"shift_{direction}_{name}", [node("BitShift", "x y", "z", direction=direction)],
                       {"x": x, "y": y}, {"z": shift(x, y)})
    yield Case("shift_far", [node("BitShift", "x y", "z", direction="RIGHT")], {"x": small, "y": amount + np.uint8(8)},
               {"z": np.zeros((3, 4), np.uint8)})
    yield Case("shift_up", [node("BitShift", "x y", "z", direction="UP")], {"x": small, "y": amount}, {"z": small},
               error="expected direction LEFT or RIGHT, but got 'UP'")
    yield Case("shift_signed", [node("BitShift", "x y", "z", direction="LEFT")],
               {"x": small.astype(np.int8), "y": amount.astype(np.int8)}, {"z": small.astype(np.int8)},
               error="expected unsigned integers, but got int8")
    for x in (small, small.astype(np.int32) - 100):
        yield Case(f"bitwise_not_{x.dtype}", [node("BitwiseNot", "x", "z")], {"x": x}, {"z": ~x})
    x = small.astype(np.float32)
    yield Case("bitwise_not_float", [node("BitwiseNot", "x", "z")], {"x": x}, {"z": x},
               error="expected integers, but got float32")


def cases_pad():
    x = normal(3, 4)
    pads = np.array([1, 2, 0, 3])
    widths = ((1, 0), (2, 3))
    for mode in ("constant", "edge", "reflect", "wrap"):
        yield Case(f"pad_{mode}", [node("Pad", "x p", "y", mode=mode)], {"x": x}, {"y": np.pad(x, widths, mode)},
                   {"p": pads},
                   dynamic=("x:0",))
        yield Case(f"pad_{mode}_computed", [node("Pad", "x p", "y", mode=mode)], {"x": x, "p": pads},
                   {"y": np.pad(x, widths, mode)})
    yield Case("pad_axes", [node("Pad", "x p v a", "y")], {"x": x, "v": np.float32(7)},
               {"y": np.pad(x, ((0, 0), (1, 2)), constant_values=7)}, {"p": np.array([1, 2]), "a": np.array([-1])})
    yield Case("pad_axes_no_value", [node("Pad", "x p - a", "y")], {"x": x}, {"y": np.pad(x, ((1, 2), (0, 0)))},
               {"p": np.array([1, 2]), "a": np.array([0])})
    yield Case("pad_negative", [node("Pad", "x p", "y")], {"x": x}, {"y": np.pad(x[1:, :-2], ((0, 1), (0, 0)))},
               {"p": np.array([-1, 0, 1, -2])})
    yield Case("pad_too_negative", [node("Pad", "x p", "y")], {"x": x, "p": np.array([-4, 0, 0, 0])}, {"y": x},
               failure="expected a result of at least 0 elements")


def cases_other():
    x = (normal(3, 4, 5) * 50).astype(np.float32)
    x[0, 1] = -np.inf
    top = x.max(2, keepdims=True)
    shift = np.where(np.isinf(top), 0, top)
    want = (np.log(np.exp(x - shift).sum(2, keepdims=True)) + shift).astype(np.float32)
    finite = np.where(np.isinf(want), -1, want)
    clip = [node("ReduceLogSumExp", "x a", "r"), node("IsInf", "r", "i"), node("Where", "i m r", "y")]
    yield Case("log_sum_exp", clip, {"x": x}, {"y": finite}, {"a": np.array([2]), "m": np.float32(-1)},
               dynamic=("x:1",))
    a, b = rng.integers(-9, 9, (3, 4)), rng.integers(-9, 9, 4)
    for name, function in (("And", np.bitwise_and), ("Or", np.bitwise_or), ("Xor", np.bitwise_xor)):
        yield Case(f"bitwise_{name}", [node("Bitwise" + name, "a b", "y")], {"a": a, "b": b}, {"y": function(a, b)})
