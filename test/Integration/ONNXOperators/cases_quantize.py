"""QuantizeLinear, DequantizeLinear and graphs made of them."""

import numpy as np
import onnx
from cases_attention import normal
from onnx import helper
from operators import Case, node

rng = np.random.default_rng(13)
UINT4, INT4, UINT2, INT2 = 21, 22, 25, 26
RANGES = {np.int8: (-128, 127), np.uint8: (0, 255), np.int16: (-32768, 32767), np.uint16: (0, 65535)}


def narrow(values, data_type, bits, typed=False):
    """A tensor of 2- or 4-bit integers, lowest bits first."""
    proto = onnx.TensorProto(data_type=data_type, dims=values.shape)
    flat = values.astype(np.int64).reshape(-1) & ((1 << bits) - 1)
    flat = np.pad(flat, (0, -len(flat) % (8 // bits))).reshape(-1, 8 // bits)
    packed = (flat << (bits * np.arange(8 // bits))).sum(1).astype(np.uint8)
    if typed:
        proto.int32_data.extend(packed.tolist())
    else:
        proto.raw_data = packed.tobytes()
    return proto


def quantize(x, scale, zero, low, high, dtype):
    return np.clip(np.rint(x / scale) + zero, low, high).astype(dtype)


def cases_linear():
    x = (normal(3, 4, 6) * 40).astype(np.float32)
    for dtype, (low, high) in RANGES.items():
        name, zero = dtype.__name__, dtype(5)
        scale = np.float32(0.7 if high < 300 else 0.003)
        q = quantize(x, scale, 5, low, high, dtype)
        yield Case(f"quantize_{name}", [node("QuantizeLinear", "x s z", "y")], {"x": x}, {"y": q},
                   {"s": scale, "z": zero})
        back = ((q.astype(np.int64) - 5) * scale).astype(np.float32)
        yield Case(f"dequantize_{name}", [node("DequantizeLinear", "x s z", "y")], {"x": q}, {"y": back},
                   {"s": scale, "z": zero})
    yield Case("quantize_default", [node("QuantizeLinear", "x s", "y")], {"x": x, "s": np.float32(0.5)},
               {"y": quantize(x, 0.5, 0, 0, 255, np.uint8)}, opset=13)
    yield Case("quantize_dtype", [node("QuantizeLinear", "x s", "y", output_dtype=onnx.TensorProto.INT8)], {"x": x},
               {"y": quantize(x, 0.5, 0, -128, 127, np.int8)}, {"s": np.float32(0.5)})
    scales, zeros = np.abs(normal(4)) + np.float32(0.1), rng.integers(-9, 9, 4).astype(np.int8)
    column = lambda v: v[:, None]
    q = quantize(x, column(scales), column(zeros), -128, 127, np.int8)
    back = ((q.astype(np.int32) - column(zeros)) * column(scales)).astype(np.float32)
    yield Case("quantize_axis", [node("QuantizeLinear", "x s z", "y", axis=-2)], {"x": x}, {"y": q},
               {"s": scales, "z": zeros}, dynamic=("x:0",))
    yield Case("dequantize_axis", [node("DequantizeLinear", "x s z", "y", axis=1)], {"x": q}, {"y": back},
               {"s": scales, "z": zeros})
    wide = rng.integers(-100000, 100000, (3, 4)).astype(np.int32)
    yield Case("dequantize_int32", [node("DequantizeLinear", "x s", "y")], {"x": wide},
               {"y": (wide * scales).astype(np.float32)}, {"s": scales})
    half = x.astype(np.float16)
    yield Case("quantize_half", [node("QuantizeLinear", "x s z", "y")], {"x": half},
               {"y": quantize(half.astype(np.float32), np.float32(0.5), 3, -128, 127, np.int8)},
               {"s": np.float16(0.5), "z": np.int8(3)})


def cases_blocks():
    x = normal(3, 4, 6)
    scales, zeros = np.abs(normal(3, 4, 2)) + np.float32(0.1), rng.integers(0, 9, (3, 4, 2)).astype(np.uint8)
    s, z = np.repeat(scales, 3, 2), np.repeat(zeros, 3, 2)
    q = quantize(x, s, z, 0, 255, np.uint8)
    back = ((q.astype(np.int32) - z) * s).astype(np.float32)
    options = {"axis": 2, "block_size": 3}
    yield Case("quantize_blocks", [node("QuantizeLinear", "x s z", "y", **options)], {"x": x}, {"y": q},
               {"s": scales, "z": zeros})
    yield Case("dequantize_blocks", [node("DequantizeLinear", "x s z", "y", **options)], {"x": q}, {"y": back},
               {"s": scales, "z": zeros})
    yield Case("uneven_blocks", [node("DequantizeLinear", "x s", "y", axis=2, block_size=4)], {"x": q}, {"y": back},
               {"s": scales}, error="expected a block_size that divides the axis, but got 4")


def cases_narrow():
    for data_type, bits, low in ((UINT4, 4, 0), (INT4, 4, -8), (UINT2, 2, 0), (INT2, 2, -2)):
        for typed in (False, True):
            w = rng.integers(low, low + (1 << bits), (5, 7))
            zero = rng.integers(low, low + (1 << bits), 5)
            scale, x = np.abs(normal(5)), normal(2, 5)
            weight = ((w - zero[:, None]) * scale[:, None]).astype(np.float32)
            constants = {"w": narrow(w, data_type, bits, typed), "s": scale, "z": narrow(zero, data_type, bits, typed)}
            yield Case(f"narrow_{data_type}_{int(typed)}",
                       [node("DequantizeLinear", "w s z", "d", axis=0), node("MatMul", "x d", "y")], {"x": x},
                       {"y": x @ weight}, constants)
    x = normal(3, 4) * 9
    q = quantize(x, 1, 0, -8, 7, np.int8)
    yield Case("through_int4", [node("QuantizeLinear", "x s", "q", output_dtype=INT4),
                                node("DequantizeLinear", "q s", "y")], {"x": x}, {"y": q.astype(np.float32)},
               {"s": np.float32(1)})
    yield Case("cast_int4", [node("Cast", "w", "y", to=onnx.TensorProto.INT32)], {},
               {"y": np.array([-8, 7, -1], np.int32)}, {"w": narrow(np.array([-8, 7, -1]), INT4, 4)})
    yield Case("cast_to_int4", [node("Cast", "x", "q", to=INT4), node("Cast", "q", "y", to=1)], {"x": x}, {"y": x},
               error="casts to int4 are not supported")
    yield Case("cast_to_float8", [node("Cast", "x", "q", to=17), node("Cast", "q", "y", to=1)], {"x": x}, {"y": x},
               error="element type 'float8e4m3fn' is not supported")


def cases_graphs():
    """A linear between QuantizeLinear and DequantizeLinear, as tools for post-training quantisation write it."""
    x, w = normal(6, 32), rng.integers(-127, 128, (32, 24)).astype(np.int8)
    scales, bias = np.abs(normal(24)) / 50, normal(24)
    constants = {"w": w, "ws": scales, "wz": np.zeros(24, np.int8), "b": bias,
                 "xs": np.float32(0.02), "xz": np.uint8(128)}
    q = quantize(x, np.float32(0.02), 128, 0, 255, np.uint8)
    want = ((q.astype(np.float32) - 128) * np.float32(0.02)) @ (w * scales).astype(np.float32) + bias
    yield Case("qdq_linear", [
        node("QuantizeLinear", "x xs xz", "q"), node("DequantizeLinear", "q xs xz", "d"),
        node("DequantizeLinear", "w ws wz", "dw", axis=1), node("MatMul", "d dw", "m"), node("Add", "m b", "y"),
    ], {"x": x}, {"y": want.astype(np.float32)}, constants, dynamic=("x:0",))
    low, high = min(x.min(), 0), max(x.max(), 0)
    scale = np.float32((high - low) / 255)
    zero = np.rint(np.float32(-low) / scale).astype(np.uint8)
    q = quantize(x, scale, zero, 0, 255, np.uint8)
    yield Case("dynamic_quantize", [node("DynamicQuantizeLinear", "x", "q s z")], {"x": x},
               {"q": q, "s": scale, "z": zero},
               dynamic=("x:0",))
    product = (q.astype(np.int32) - zero) @ w.astype(np.int32)
    yield Case("dynamic_linear", [
        node("DynamicQuantizeLinear", "x", "q s z"), node("MatMulInteger", "q w z", "m"),
        node("Cast", "m", "f", to=1), node("Mul", "s ws", "t"), node("Mul", "f t", "y"),
    ], {"x": x}, {"y": (product * (scale * scales)).astype(np.float32)}, {"w": w, "ws": scales})
    zeros = np.zeros((2, 3), np.float32)
    yield Case("dynamic_quantize_zeros", [node("DynamicQuantizeLinear", "x", "q s z")], {"x": zeros},
               {"q": zeros.astype(np.uint8), "s": np.float32(1), "z": np.uint8(0)})
