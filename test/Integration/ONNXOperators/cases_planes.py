"""Linears of ternary and binary-coded weights, packed and not, in the forms that exporters write."""

import numpy as np
from cases_attention import normal
from operators import Case, node

from pquant import reference

rng = np.random.default_rng(29)
N, K = 40, 72
F32 = np.float32
X = normal(2, 5, K)
X[1, 2] = 0
VALUES, STEP = reference.quantize(X, reference.Quantizer("mul_div"))
TERNARY = rng.integers(-1, 2, (N, K)).astype(np.int8)
SIGNS = [reference.signs(rng.integers(0, 2, (N, K))) for _ in range(3)]
ALPHAS = [np.abs(normal(N, 1)) * F32(0.5**p) + F32(0.1) for p in range(3)]
NUMBERS = {"eps": F32(1e-5), "c127": F32(127), "low": F32(-128), "high": F32(127), "one": F32(1)}

# The integers of the rows of x as float32 (q), and what they were multiplied with (g).
ROWS = [
    node("Abs", "x", "abs"),
    node("ReduceMax", "abs last", "max", keepdims=1),
    node("Clip", "max eps", "m"),
    node("Div", "c127 m", "g"),
    node("Mul", "x g", "scaled"),
    node("Round", "scaled", "rounded"),
    node("Clip", "rounded low high", "clamped"),
    node("Cast", "clamped", "bytes", to=3),
    node("Cast", "bytes", "q", to=1),
]
FAKE = ROWS + [node("Div", "q g", "fake")]


def linear(weights, scales, offset=None):
    """By the reference: the sum of the scaled products with planes of -1 and 1, or of one plane of -1, 0 and 1."""
    planes = [(w >= 0, w > 0) if np.any(w == 0) else (w > 0,) for w in weights]
    parts = [F32(s) / F32(len(p)) * np.ones((1, 1), F32) for p, s in zip(planes, scales) for _ in p]
    return reference.binary_linear(VALUES, STEP, [bits for plane in planes for bits in plane], parts, offset)


def case(name, nodes, y, constants, report, **options):
    constants = {**NUMBERS, "last": np.array([-1]), **constants}
    used = {name for n in nodes for name in n.input}
    return Case(name, nodes, {"x": X}, {"y": y}, {k: v for k, v in constants.items() if k in used}, report=report,
                dynamic=("x:0", "x:1"), tolerance=1e-5, **options)


def pack(weight):
    """Four values a byte: rows r, r + N/4, r + N/2, r + 3N/4 in bits 0, 2, 4, 6 of row r."""
    quarters = (weight + 1).astype(np.uint8).reshape(4, N // 4, K)
    return sum(quarters[i] << (2 * i) for i in range(4)).astype(np.uint8)


def unpack(form):
    """Nodes from packed to w, float32 N x K of -1, 0 and 1."""
    nodes = []
    for i in range(4):
        if form == "strided":
            nodes += [node("Div", f"packed power{i}", f"div{i}"), node("Mod", f"div{i} four", f"part{i}")]
        else:
            nodes += [node("BitwiseAnd", f"packed mask{i}", f"and{i}"),
                      node("BitShift", f"and{i} shift{i}", f"part{i}", direction="RIGHT")]
        if form == "scatter_nd":
            nodes.append(node("ScatterND", f"{'zeros' if i == 0 else f'all{i - 1}'} rows{i} part{i}", f"all{i}"))
        if form == "scatter_elements":
            nodes.append(node("ScatterElements", f"{'zeros' if i == 0 else f'all{i - 1}'} grid{i} part{i}", f"all{i}",
                              axis=0))
    if "scatter" not in form:
        nodes.append(node("Concat", "part0 part1 part2 part3", "all3", axis=0))
    return nodes + [node("Cast", "all3", "codes", to=1), node("Sub", "codes one", "w")]


def packed_constants(weight):
    constants = {"packed": pack(weight), "four": np.uint8(4), "zeros": np.zeros((N, K), np.uint8)}
    for i in range(4):
        rows = np.arange(i * N // 4, (i + 1) * N // 4)[:, None]
        constants.update({f"mask{i}": np.uint8(3 << 2 * i), f"shift{i}": np.uint8(2 * i), f"rows{i}": rows,
                          f"power{i}": np.uint8(4**i), f"grid{i}": np.broadcast_to(rows, (N // 4, K)).copy()})
    return constants


def cases_packed():
    """A checkpoint's byte codes, unpacked by the graph; the scale divides the product or multiplies it."""
    scale = np.array([3.25], F32)
    product = [node("Transpose", "w", "wt", perm=[1, 0]), node("MatMul", "q wt", "p")]
    ternary = "1 of 1 linears raised (0 1-bit, 1 ternary, 0 INT8)"
    divided = [node("Mul", "s g", "d"), node("Div", "p d", "y")]
    for form in ("concat", "strided", "scatter_nd", "scatter_elements"):
        yield case(f"packed_{form}", ROWS + unpack(form) + product + divided, linear([TERNARY], 1 / scale),
                   {**packed_constants(TERNARY), "s": scale}, ternary)
    bias = normal(N)
    yield case("packed_twice_divided", ROWS + unpack("concat") + product +
               [node("Div", "p g", "r"), node("Div", "r s", "t"), node("Add", "t b", "y")],
               linear([TERNARY], 1 / scale) + bias, {**packed_constants(TERNARY), "s": scale, "b": bias}, ternary)
    # Nothing multiplies with the step: the integers' products are the result.
    yield case("packed_no_step", ROWS + unpack("concat") + product + [node("Mul", "p s", "y")],
               reference.integer_matmul(VALUES, TERNARY).astype(F32) * scale,
               {**packed_constants(TERNARY), "s": scale}, ternary)
    # Flattened rows: the step comes after the reshape back.
    flat = [node("Reshape", "q flat", "q2"), node("MatMul", "q2 wt", "p2"), node("Shape", "x", "shape"),
            node("Slice", "shape zero two", "lead"), node("Concat", "lead width", "back", axis=0),
            node("Reshape", "p2 back", "p")]
    yield case("packed_flattened", ROWS + unpack("concat") + product[:1] + flat + divided,
               linear([TERNARY], 1 / scale),
               {**packed_constants(TERNARY), "s": scale, "flat": np.array([-1, K]), "zero": np.array([0]),
                "two": np.array([2]), "width": np.array([N])}, ternary)
    multiplied = [node("MatMul", "fake w", "p"), node("Mul", "p s", "y")]
    for name, s in (("tensor", scale), ("rows", np.abs(normal(N)))):
        yield case(f"multiplied_{name}", FAKE + multiplied, linear([TERNARY], [s[:, None]]),
                   {"w": TERNARY.T.astype(F32), "s": s}, ternary)


def coded(p):
    """Plane p of a binary-coded weight."""
    return {f"b{p}": SIGNS[p], f"a{p}": ALPHAS[p]}


def cases_coded():
    """W = a_0 B_0 + a_1 B_1 + .. + z, or products with each plane, added up."""
    signs = {}
    for p in range(3):
        signs.update(coded(p))
    report = "1 of 1 linears raised (0 1-bit, 1 binary-coded, 0 INT8)"
    terms = [n for p in range(3) for n in (node("Cast", f"b{p}", f"f{p}", to=1), node("Mul", f"f{p} a{p}", f"t{p}"))]
    total = [node("Add", "t0 t1", "t01"), node("Sub", "t01 t2", "wsum")]
    use = [node("Transpose", "wsum", "wt", perm=[1, 0]), node("MatMul", "fake wt", "y")]
    alphas = ALPHAS[:2] + [-ALPHAS[2]]
    yield case("coded_sum", FAKE + terms + total + use, linear(SIGNS, alphas), signs, report)
    z = normal(N, 1)
    yield case("coded_offset", FAKE + terms + total + [node("Add", "wsum z", "wz"),
               node("Transpose", "wz", "wt", perm=[1, 0]), node("MatMul", "fake wt", "y")],
               linear(SIGNS, alphas, z[:, 0]), {**signs, "z": z}, report)
    # Bits, eight columns a byte, all planes in one tensor.
    bits = np.packbits(np.stack(SIGNS) > 0, axis=-1, bitorder="little")
    unpacked = [node("BitShift", "bits shifts", "moved", direction="RIGHT"), node("BitwiseAnd", "moved bit", "ones"),
                node("Reshape", "ones shape", "codes"), node("Cast", "codes", "f", to=1),
                node("Mul", "f two", "doubled"), node("Sub", "doubled one", "b"), node("Mul", "b a", "t"),
                node("ReduceSum", "t first", "wsum", keepdims=0)]
    stacked = {"bits": bits[..., None], "shifts": np.arange(8, dtype=np.uint8), "bit": np.uint8(1),
               "shape": np.array([3, N, K]), "two": F32(2), "first": np.array([0])}
    yield case("coded_stacked", FAKE + unpacked + use, linear(SIGNS, ALPHAS), {**stacked, "a": np.stack(ALPHAS)},
               report)
    numbers = [F32([[0.5]]), F32([[0.25]]), F32([[0.125]])]
    yield case("coded_stacked_numbers", FAKE + unpacked + use, linear(SIGNS, numbers),
               {**stacked, "a": np.stack(numbers)}, report)
    products = [node("MatMul", f"fake b{p}", f"p{p}") for p in range(3)]
    products += [node("Mul", f"p{p} a{p}", f"t{p}") for p in range(3)]
    products += [node("Add", "t0 t1", "t01"), node("Add", "t01 t2", "y")]
    rows = {f"a{p}": ALPHAS[p][:, 0] for p in range(3)} | {f"b{p}": SIGNS[p].T.astype(F32) for p in range(3)}
    yield case("coded_products", FAKE + products, linear(SIGNS, ALPHAS), rows, report)
    # The step is applied to the sum: each product is exact, the sum is in float.
    products = [n for n in products if n.output[0] != "y"]
    products = [node("MatMul", f"q b{p}", f"p{p}") for p in range(3)] + products[3:]
    products += [node("Add", "t01 t2", "t012"), node("Div", "t012 g", "y")]
    yield case("coded_products_late_step", FAKE + products, linear(SIGNS, ALPHAS), rows, report)


def cases_folded():
    """Weights that an exporter has added up: what their values say."""
    report = "1 of 1 linears raised (0 1-bit, 1 binary-coded, 0 INT8)"
    z = normal(N, 1) * F32(0.1)
    signs = SIGNS + [reference.signs(rng.integers(0, 2, (N, K)))]
    alphas = ALPHAS + [np.abs(normal(N, 1)) * F32(0.05) + F32(0.01)]
    for planes in (2, 3, 4):
        for name, scales, offset in (("tensor", [F32(0.3137), F32(0.1729), F32(0.0443), F32(0.0291)], F32([[0]])),
                                     ("rows", alphas, F32([[0]])), ("offset", alphas, z)):
            if planes == 4 and name != "tensor":
                continue  # 72 columns need not have all 16 sums
            w = sum(s * b for s, b in zip(scales[:planes], signs)).astype(F32) + offset
            y = linear(signs[:planes], scales[:planes], np.broadcast_to(offset[:, 0], N) if offset.any() else None)
            yield case(f"folded_{planes}_{name}", FAKE + [node("MatMul", "fake w", "y")], y, {"w": w.T.copy()}, report)
    # Two values that are not +-s: one plane and an offset.
    w = np.where(SIGNS[0] > 0, F32(0.7), F32(-0.2)) * ALPHAS[0]
    yield case("folded_two_values", FAKE + [node("MatMul", "fake w", "y")],
               linear(SIGNS[:1], [ALPHAS[0] * F32(0.45)], ALPHAS[0][:, 0] * F32(0.25)), {"w": w.T.copy()},
               "1 of 1 linears raised (1 1-bit, 0 INT8)")
    # Eight values in each row, but not those of three planes.
    levels = np.sort(normal(8))
    w = levels[rng.integers(0, 8, (N, K))]
    yield case("folded_table", FAKE + [node("MatMul", "fake w", "y")],
               (VALUES * STEP[..., None]).astype(F32) @ w.T, {"w": w.T.copy()}, "1 left in float")


def cases_near():
    """Not the same, and left in float."""
    float_weight = "1 left in float"
    half = SIGNS[0].astype(F32) * F32(0.5) + SIGNS[1].astype(F32) * normal(N, K)
    w = [node("Transpose", "w", "wt", perm=[1, 0]), node("MatMul", "fake wt", "y")]
    fake = VALUES.astype(F32) * STEP[..., None]
    yield case("near_elementwise_scale", FAKE + w, (fake @ half.T).astype(F32), {"w": half}, float_weight)
    # A scale that depends on the rows of x is none of the weight's.
    late = [node("MatMul", "fake b", "p"), node("Mul", "p max", "y")]
    yield case("near_row_factor", FAKE + late, linear(SIGNS[:1], [F32(1)]) * np.abs(X).max(-1, keepdims=True),
               {"b": SIGNS[0].T.astype(F32)}, "1 of 1 linears raised (1 1-bit, 0 INT8)")


def cases_qdq():
    """QuantizeLinear and DequantizeLinear around a product."""
    weight = rng.integers(-127, 128, (N, K)).astype(np.int8)
    step, steps = F32(0.01), np.abs(normal(N)) * F32(0.01) + F32(0.001)
    int8 = "1 of 1 linears raised (0 1-bit, 1 INT8)"
    constants = {"w": weight.T.copy(), "s": step, "ss": steps, "z": np.int8(0), "zs": np.zeros(N, np.int8)}
    for name, scale, zero, s in (("tensor", "s", "z", step), ("axis", "ss", "zs", steps), ("no_zero", "ss", "", steps)):
        nodes = FAKE + [node("DequantizeLinear", f"w {scale} {zero or '-'}", "f", axis=1), node("MatMul", "fake f", "y")]
        y = reference.int8_linear(VALUES, STEP, weight, np.reshape(s, -1))
        yield case(f"qdq_weight_{name}", nodes, y, constants, int8)
    gemm = [node("Reshape", "fake flat", "rows"), node("DequantizeLinear", "wn ss zs", "f", axis=0),
            node("Gemm", "rows f b", "y", transB=1)]
    bias = normal(N)
    yield case("qdq_gemm", FAKE + gemm, reference.int8_linear(VALUES, STEP, weight, steps).reshape(-1, N) + bias,
               {**constants, "wn": weight, "b": bias, "flat": np.array([-1, K])}, int8)
    ternary = {**constants, "w": TERNARY.T.copy()}
    yield case("qdq_ternary", FAKE + [node("DequantizeLinear", "w s z", "f"), node("MatMul", "fake f", "y")],
               linear([TERNARY], [step]), ternary, "1 of 1 linears raised (0 1-bit, 1 ternary, 0 INT8)")
    # One scale a row of a matrix of rows.
    rows = [node("Reshape", "x flat", "x2"), node("Abs", "x2", "abs"), node("ReduceMax", "abs last", "max", keepdims=0),
            node("Clip", "max eps", "m"), node("Div", "m c127", "sx"),
            node("QuantizeLinear", "x2 sx", "bytes", axis=0, output_dtype=3),
            node("DequantizeLinear", "bytes sx", "fake", axis=0)]
    nodes = rows + [node("DequantizeLinear", "w ss zs", "f", axis=1), node("MatMul", "fake f", "y")]
    values, row_steps = reference.quantize(X.reshape(-1, K), reference.Quantizer("div"))
    yield case("qdq_rows", nodes, reference.int8_linear(values, row_steps, weight, steps),
               {**constants, "flat": np.array([-1, K])}, int8)
    zeros = [node("Shape", "sx", "count"), node("Expand", "z count", "zx"), node("QuantizeLinear", "x2 sx zx", "bytes", axis=0),
             node("DequantizeLinear", "bytes sx zx", "fake", axis=0)]
    yield case("qdq_rows_zeros", rows[:-2] + zeros + nodes[-2:],
               reference.int8_linear(values, row_steps, weight, steps), {**constants, "flat": np.array([-1, K])}, int8)
    q8 = np.clip(np.rint(X / F32(0.02)), -128, 127)
    static = [node("QuantizeLinear", "x sx z", "bytes"), node("DequantizeLinear", "bytes sx z", "fake"),
              node("DequantizeLinear", "w ss zs", "f", axis=1), node("MatMul", "fake f", "y")]
    wide = (weight.astype(F32) * steps[:, None]).T
    yield case("qdq_static", static, (q8.astype(F32) * F32(0.02)) @ wide, {**constants, "sx": F32(0.02)},
               "activations are quantised with a fixed scale")
    whole = [node("Abs", "x", "abs"), node("ReduceMax", "abs", "max", keepdims=0), node("Div", "max c127", "sx")]
    step = np.abs(X).max() / F32(127)
    yield case("qdq_whole_tensor", whole + static, (np.rint(X / step) * step) @ wide, constants,
               "activations are quantised with one scale for several rows")
    scale = (np.maximum(X.max(), 0) - np.minimum(X.min(), 0)) / F32(255)
    zero = np.rint(-np.minimum(X.min(), 0) / scale)
    u8 = (np.clip(np.rint(X / scale) + zero, 0, 255) - zero).astype(F32) * scale
    dynamic = [node("DynamicQuantizeLinear", "x", "bytes sx zx"), node("DequantizeLinear", "bytes sx zx", "fake")]
    yield case("qdq_dynamic", dynamic + static[2:], u8 @ wide, constants,
               "activations are quantised to unsigned integers or with a zero point")
    yield case("qdq_weight_only", [static[2], node("MatMul", "x f", "y")], X @ wide, constants,
               "activations are not quantised")
    moved = {**constants, "zs": np.full(N, 3, np.int8)}
    for name, low, report in (("fits", -125, int8), ("beyond", -128, "1 left in float")):
        weight[0, 0] = low
        weight[weight < low] = low
        wide = ((weight.astype(np.int32) - 3) * steps[:, None]).astype(F32)
        yield case(f"qdq_zero_point_{name}", FAKE + static[2:], (VALUES * STEP[..., None]).astype(F32) @ wide.T,
                   {**moved, "w": weight.T.copy()}, report)
