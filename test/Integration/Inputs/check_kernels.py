"""Checks every kernel at every level that the CPU has against NumPy: bit for bit, but for float_linear.

    check_kernels.py KERNELS.SO                 of a shared object, in this process
    check_kernels.py --server COMMAND LEVEL...  of a program of another architecture (AArch64/Inputs/server.c)
"""

import ctypes
import re
import shlex
import struct
import subprocess
import sys

import numpy as np

LEVELS = {
    "generic": [],
    "avx2": ["avx2", "fma"],
    "avx512": ["avx512f", "avx512bw", "avx512_vnni"],
    "avx512vbmi": ["avx512f", "avx512bw", "avx512_vnni", "avx512vbmi"],
    "amx": ["avx512f", "avx512bw", "avx512_vnni", "avx512vbmi", "amx_tile", "amx_int8"],
}
ROWS = [0, 1, 2, 5, 13, 33]
MANY_ROWS = [(70, 100, 300), (530, 33, 600)]
SHAPES = [(1, 1), (16, 32), (17, 31), (40, 100), (129, 65), (144, 320), (128, 257), (300, 1000), (48, 11008)]


def memref(array):
    """The descriptor of a NumPy array, as MLIR's C interface wants it."""
    rank = array.ndim

    class Descriptor(ctypes.Structure):
        _fields_ = [
            ("allocated", ctypes.c_void_p),
            ("aligned", ctypes.c_void_p),
            ("offset", ctypes.c_int64),
            ("sizes", ctypes.c_int64 * rank),
            ("strides", ctypes.c_int64 * rank),
        ]

    strides = [s // array.itemsize for s in array.strides]
    result = Descriptor(array.ctypes.data, array.ctypes.data, 0, (ctypes.c_int64 * rank)(*array.shape),
                        (ctypes.c_int64 * rank)(*strides))
    return ctypes.byref(result), (result, array)


class Library:
    """Kernels in this process."""

    pack_binary = staticmethod(lambda signs: pack_d16(signs))

    def __init__(self, path):
        self.library = ctypes.CDLL(path)

    def set_ranges(self, count):
        ctypes.c_int64.in_dll(self.library, "test_ranges").value = count

    def call(self, name, *arrays):
        pairs = [memref(a) for a in arrays]
        getattr(self.library, "_mlir_ciface_pqk_" + name)(*[p[0] for p in pairs])


class Server:
    """Kernels in another process, that reads calls and writes back the memory of all operands."""

    pack_binary = staticmethod(lambda signs: pack_i1x16x8(signs))

    def __init__(self, command):
        self.process = subprocess.Popen(shlex.split(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def set_ranges(self, count):
        self.ranges = count

    def call(self, name, *arrays):
        name = ("_mlir_ciface_pqk_" + name).encode()
        message = [struct.pack("<qqq", self.ranges, len(arrays), len(name)), name]
        spans = []
        for array in arrays:
            strides = [s // array.itemsize for s in array.strides]
            length = 1 + sum((n - 1) * s for n, s in zip(array.shape, strides)) if array.size else 0
            spans.append(np.lib.stride_tricks.as_strided(array, (length,), (array.itemsize,)))
            message.append(struct.pack(f"<qq{2 * array.ndim}q", array.ndim, spans[-1].nbytes, *array.shape, *strides))
            message.append(spans[-1].tobytes())
        self.process.stdin.write(b"".join(message))
        self.process.stdin.flush()
        for span in spans:
            data = self.process.stdout.read(span.nbytes)
            if len(data) != span.nbytes:
                sys.exit(f"the server ended in {name.decode()}")
            span[...] = np.frombuffer(data, span.dtype)


def pad(matrix, rows, columns):
    result = np.zeros((rows, columns), matrix.dtype)
    result[: matrix.shape[0], : matrix.shape[1]] = matrix
    return result


def up(value, multiple):
    return -(-value // multiple) * multiple


def pack_d16(signs):
    n, k = up(signs.shape[0], 16), up(signs.shape[1], 64)
    bits = pad((signs > 0).astype(np.uint8), n, k).reshape(n // 16, 16, k // 32, 32)
    return np.packbits(bits, axis=-1, bitorder="little").transpose(0, 2, 1, 3).ravel().view(np.int8).copy()


def pack_i1x16x8(signs):
    n, k = up(signs.shape[0], 16), up(signs.shape[1], 64)
    bits = pad((signs > 0).astype(np.uint8), n, k).reshape(n // 16, 16, k // 8, 8)
    return np.packbits(bits, axis=-1, bitorder="little").transpose(0, 2, 1, 3).ravel().view(np.int8).copy()


def pack_i8(weights):
    n, k = up(weights.shape[0], 16), up(weights.shape[1], 64)
    return pad(weights, n, k).reshape(n // 16, 16, k // 4, 4).transpose(0, 2, 1, 3).ravel().copy()


def pack_f32(weights):
    n, k = up(weights.shape[0], 16), weights.shape[1]
    return pad(weights, n, k).reshape(n // 16, 16, k).transpose(0, 2, 1).ravel().copy()


def quantize(x, formula, guard="max", qmin=-128, qmax=127):
    one, eps, high = np.float32(1), np.float32(1e-5), np.float32(qmax)
    maximum = np.abs(x).max(axis=1, keepdims=True) if x.size else np.zeros((x.shape[0], 1), np.float32)
    guarded = maximum + eps if guard == "add" else np.maximum(maximum, eps)
    if formula == "div":
        step = guarded / high
        v = x / step
    else:
        factor = (one / guarded) * high if formula == "mul_recip" else high / guarded
        v, step = x * factor, one / factor
    q = np.clip(np.rint(v), qmin, qmax)
    return np.where(np.isnan(q), qmin, q).astype(np.int8), step[:, 0].astype(np.float32)


class Checker:
    def __init__(self, library, level):
        self.library, self.level, self.failures, self.count = library, level, 0, 0
        self.rng = np.random.default_rng(7)

    def expect(self, what, got, want, exact=True):
        self.count += 1
        if exact:
            same = np.array_equal(got.view(np.uint8), want.astype(got.dtype).view(np.uint8))
        else:
            same = np.allclose(got, want, rtol=1e-4, atol=1e-4)
        if not same:
            self.failures += 1
            print(f"FAIL {self.level} {what}: got {got.ravel()[:4]}, expected {want.ravel()[:4]}")

    def check_quantize(self):
        for m in ROWS:
            for k in [1, 5, 31, 64, 100, 257, 4096]:
                x = (self.rng.standard_normal((m, k)) * 3).astype(np.float32)
                if m > 1:
                    x[1] = 0
                for variant in ["mul_recip", "mul_div", "div", "mul_div_add_range_m127_127"]:
                    formula = re.match("mul_recip|mul_div|div", variant).group(0)
                    extra = ("add", -127, 127) if "_add" in variant else ()
                    self.check_quantize_case(variant, x, *quantize(x, formula, *extra))
        wild = np.ones((3, 70), np.float32)
        wild[0, 3], wild[1, 69], wild[2, 0] = np.nan, np.inf, -np.inf
        for variant in ["mul_recip", "mul_div", "div"]:
            self.check_quantize_case(variant, wild, *quantize(wild, variant))

    def check_quantize_case(self, variant, x, want, step):
        m, k = x.shape
        values = np.full((m, up(k, 64)), 99, np.int8)
        scale, total = np.empty(m, np.float32), np.empty(m, np.int32)
        self.library.call(f"quantize_{variant}_{self.level}", x, values, scale, total)
        what = f"quantize_{variant} {x.shape}"
        self.expect(what + " values", values, pad(want, m, up(k, 64)))
        self.expect(what + " step", scale, step)
        self.expect(what + " sum", total, want.sum(axis=1, dtype=np.int32))

    def activations(self, m, k, case):
        q = self.rng.integers(-128, 128, (m, k)).astype(np.int8)
        if case == "low":
            q[:] = -128
        if case == "high":
            q[:] = 127
        return q, self.rng.random(m, dtype=np.float32) + 0.1

    def run_linear(self, kind, want, scale, weight_scale, output_shape, *inputs):
        """`want` is the int32 product; runs the kernel with and without accumulation."""
        product = want.astype(np.float32) * (scale[:, None] * weight_scale)
        start = self.rng.standard_normal(output_shape).astype(np.float32)
        for suffix, expected in [("", product), ("_acc", start + product)]:
            # One row and column more than the view: nothing outside of it may change.
            memory = np.full((output_shape[0] + 1, output_shape[1] + 1), 77, np.float32)
            view = memory[:-1, :-1]
            view[:] = start
            self.library.call(f"{kind}{suffix}_{self.level}", *inputs, view)
            self.expect(f"{kind}{suffix} {output_shape} K={inputs[0].shape[1]}", view.copy(), expected)
            self.expect(f"{kind}{suffix} surroundings", np.append(memory[-1], memory[:, -1]),
                        np.full(sum(memory.shape), 77, np.float32))

    def check_linear(self):
        cases = [(m, n, k) for n, k in SHAPES for m in ROWS] + MANY_ROWS
        for m, n, k in cases:
            for case in ["random", "low", "high"]:
                q, scale = self.activations(m, k, case)
                padded = pad(q, m, up(k, 64))
                weight_scale = self.rng.random(n, dtype=np.float32) + 0.1
                signs = np.where(self.rng.random((n, k)) < 0.5, -1, 1)
                w8 = self.rng.integers(-128, 128, (n, k)).astype(np.int8)
                if case != "random":
                    signs[:] = 1 if m % 2 else -1
                    w8[:] = -128 if case == "low" else 127
                # float64 holds these products exactly (below 2^53).
                q64 = q.astype(np.float64)
                want = (q64 @ signs.T.astype(np.float64)).astype(np.int64)
                total = q.sum(axis=1, dtype=np.int32)
                self.run_linear("binary_linear", want, scale, weight_scale, (m, n), padded, scale, total,
                                self.library.pack_binary(signs), weight_scale)
                want = (q64 @ w8.T.astype(np.float64)).astype(np.int64)
                self.run_linear("int8_linear", want, scale, weight_scale, (m, n), padded, scale, pack_i8(w8),
                                w8.sum(axis=1, dtype=np.int32), weight_scale)

    def check_experts(self):
        for experts, n, k in [(1, 16, 64), (3, 20, 100), (8, 128, 256)]:
            for m in ROWS:
                for grouped in [False, True]:
                    q, scale = self.activations(m, k, "random")
                    index = self.rng.integers(0, experts, m)
                    if grouped:
                        index.sort()
                    w = self.rng.integers(-128, 128, (experts, n, k)).astype(np.int8)
                    weight_scale = self.rng.random((experts, n), dtype=np.float32)
                    want = np.einsum("mk,mnk->mn", q.astype(np.int64), w[index].astype(np.int64))
                    packed = np.concatenate([pack_i8(x) for x in w])
                    self.run_linear("expert_linear", want, scale, weight_scale[index], (m, n), pad(q, m, up(k, 64)),
                                    scale, index.astype(np.int64), packed, w.sum(axis=2, dtype=np.int32), weight_scale)

    def check_float(self):
        for n, k in [(1, 1), (16, 3), (33, 100), (300, 257)]:
            for m in ROWS:
                x = self.rng.standard_normal((m, k)).astype(np.float32)
                w = self.rng.standard_normal((n, k)).astype(np.float32)
                y = np.full((m, n), 5, np.float32)
                self.library.call(f"float_linear_{self.level}", x, pack_f32(w), y)
                self.expect(f"float_linear {(m, n, k)}", y, x.astype(np.float64) @ w.T.astype(np.float64), exact=False)
                # The upper halves of floats are floats: the same sums, bit for bit.
                halves = pack_f32(w).view(np.uint16)[1::2].copy()
                widened = (halves.astype(np.uint32) << 16).view(np.float32)
                self.library.call(f"float_linear_{self.level}", x, widened, y)
                z = np.full((m, n), 5, np.float32)
                self.library.call(f"float_linear_bf16_{self.level}", x, halves, z)
                self.expect(f"float_linear_bf16 {(m, n, k)}", z, y)


def request_tiles():
    """Asks Linux for the permission to use AMX tiles; whether it gives it."""
    arch_prctl, request_permission, tile_data = 158, 0x1023, 18
    return ctypes.CDLL(None).syscall(arch_prctl, request_permission, tile_data) == 0


def open_kernels(arguments, levels):
    """The kernels of the command line and those of `levels` (or that it names) that can run."""
    if arguments[0] == "--server":
        return Server(arguments[1]), arguments[2:]
    flags = set(open("/proc/cpuinfo").read().split("flags")[1].split("\n")[0].split())
    there = [level for level in levels if flags.issuperset(LEVELS[level]) and (level != "amx" or request_tiles())]
    for level in sorted(set(levels) - set(there)):
        print(f"{level}: not on this CPU")
    return Library(arguments[0]), there


def main():
    np.seterr(all="ignore")
    library, levels = open_kernels(sys.argv[1:], list(LEVELS))
    failures = 0
    for level in levels:
        checker = Checker(library, level)
        for ranges in [1, 3]:
            library.set_ranges(ranges)
            checker.check_quantize()
            checker.check_linear()
            checker.check_experts()
            checker.check_float()
        print(f"{level}: {checker.count} checks, {checker.failures} failures")
        failures += checker.failures
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
