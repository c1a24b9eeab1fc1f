//===- SelfTest.cpp - Every kernel against its generic version ------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Drives the kernels through MLIR's C interface: one pointer to a memref
// descriptor per operand, outputs last. Operands by kind (Kp is K rounded up to
// 64, the tail of q is zero; 2-D operands may have a row stride):
//
//   quantize       x MxK f32 -> q MxKp i8, scale M f32, sum M i32
//   binary_linear  q, scale, sum, w D16 bytes, wscale N f32 -> y MxN f32
//   int8_linear    q, scale, w I8x16x4 bytes, rowsum N i32, wscale N f32 -> y
//   float_linear   x MxK f32, w [ceil(N/16)][K][16] f32 -> y
//   expert_linear  q, scale, index M i64, w E matrices in I8x16x4 one after
//                  another, rowsum ExN i32, wscale ExN f32 -> y
//
// Outputs lie in padded memory, so that a write outside is seen.
//
//===----------------------------------------------------------------------===//

#include "Model.h"

#include <cinttypes>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

using namespace pquant;

namespace {

/// splitmix64: the same data on every machine.
struct Random {
  uint64_t state;

  uint64_t next() {
    uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  int64_t below(int64_t limit) { return int64_t(next() % uint64_t(limit)); }
  /// In [-1, 1).
  float unit() { return float(int32_t(next() >> 32)) * 0x1p-31f; }
};

/// The sizes of one call.
struct Case {
  int64_t m, k, n, experts;
  int64_t rowPadding; ///< elements between rows
  int64_t paddedK() const { return (k + 63) / 64 * 64; }
  int64_t blocksN() const { return (n + 15) / 16; }
};

/// An operand of rank 1 or 2 with room around it.
struct Operand {
  static constexpr int64_t kMargin = 128; ///< bytes before and after
  static constexpr int kCanary = 0xa5;

  PQuantMemRef memref;
  char *memory = nullptr;
  int64_t bytes = 0;
  int64_t elementSize = 0;
  int rank = 0;

  Operand() = default;
  Operand(const Operand &) = delete;
  ~Operand() { free(memory); }

  bool create(int64_t size, int64_t rows, int64_t columns, int64_t padding) {
    elementSize = size;
    rank = rows < 0 ? 1 : 2;
    int64_t count = rank == 1 ? columns : rows * (columns + padding);
    bytes = (count * size + 63) / 64 * 64 + 2 * kMargin;
    memory = static_cast<char *>(aligned_alloc(kAlignment, size_t(bytes)));
    if (!memory)
      return false;
    memset(memory, kCanary, size_t(bytes));
    memref = PQuantMemRef{memory, memory + kMargin, 0, {}};
    int64_t *extents = memref.extents;
    if (rank == 2)
      *extents++ = rows;
    *extents++ = columns;
    if (rank == 2)
      *extents++ = columns + padding;
    *extents = 1;
    return true;
  }
  bool vector(int64_t size, int64_t count) {
    return create(size, -1, count, 0);
  }
  bool copy(const Operand &other) {
    bytes = other.bytes, elementSize = other.elementSize, rank = other.rank;
    memory = static_cast<char *>(aligned_alloc(kAlignment, size_t(bytes)));
    if (!memory)
      return false;
    memcpy(memory, other.memory, size_t(bytes));
    memref = other.memref;
    memref.allocated = memory;
    memref.aligned = memory + kMargin;
    return true;
  }

  int64_t rows() const { return rank == 2 ? memref.extents[0] : 1; }
  int64_t columns() const { return memref.extents[rank - 1]; }
  int64_t stride() const { return rank == 2 ? memref.extents[2] : 0; }
  template <typename T>
  T &at(int64_t row, int64_t column) const {
    return static_cast<T *>(memref.aligned)[row * stride() + column];
  }
};

/// Operands of one kernel call; `first` output on are compared.
struct Operands {
  Operand all[7];
  int count = 0;
  int firstOutput = 0;
};

} // namespace

//===----------------------------------------------------------------------===//
// Data
//===----------------------------------------------------------------------===//

/// Float rows of several kinds: random, zero, huge, tiny, and exact ties of
/// the rounding (the largest magnitude is 127, so quantising keeps values).
static void fillActivations(const Operand &x, Random &random) {
  for (int64_t i = 0; i < x.rows(); ++i) {
    int64_t kind = (i + random.below(2)) % 5;
    float scale = kind == 2 ? 1e30f : kind == 3 ? 1e-30f : 3.0f;
    for (int64_t j = 0; j < x.columns(); ++j) {
      float value = kind == 1 ? 0.0f : scale * random.unit();
      if (kind == 4)
        value = j ? float(random.below(253) - 126) + 0.5f : 127.0f;
      x.at<float>(i, j) = value;
    }
  }
}

static void fillFloats(const Operand &values, Random &random) {
  for (int64_t i = 0; i < values.rows(); ++i)
    for (int64_t j = 0; j < values.columns(); ++j)
      values.at<float>(i, j) = random.unit();
}

/// Random bytes, or one of the two extremes where saturation would show.
static int8_t pickByte(int64_t kind, Random &random) {
  if (kind == 1)
    return 127;
  if (kind == 2)
    return -128;
  return int8_t(random.next());
}

/// q, scale and, when not null, sum. The tail of each row is zero.
static void fillQuantized(const Case &shape, const Operand &q,
                          const Operand &scale, const Operand *sum,
                          Random &random) {
  for (int64_t i = 0; i < shape.m; ++i) {
    int64_t kind = random.below(4);
    int32_t total = 0;
    for (int64_t j = 0; j < shape.paddedK(); ++j) {
      int8_t value = j < shape.k ? pickByte(kind, random) : int8_t(0);
      q.at<int8_t>(i, j) = value;
      total += value;
    }
    scale.at<float>(0, i) = 0.01f + 0.01f * fabsf(random.unit());
    if (sum)
      sum->at<int32_t>(0, i) = total;
  }
}

/// One matrix of layout D16, [ceil(N/16)][Kp/32][16] words: bit b of word r of
/// block (i, j) is the sign of W[16i + r][32j + b], 0 in the padding.
static void fillBits(const Case &shape, uint32_t *w, Random &random) {
  int64_t kind = random.below(4);
  for (int64_t i = 0; i < shape.blocksN(); ++i) {
    for (int64_t j = 0; j < shape.paddedK() / 32; ++j) {
      int64_t bits = shape.k - 32 * j;
      uint32_t mask = bits >= 32 ? ~0u : bits <= 0 ? 0 : (1u << bits) - 1;
      for (int64_t r = 0; r < 16; ++r) {
        uint32_t word = kind == 1   ? ~0u
                        : kind == 2 ? 0
                                    : uint32_t(random.next());
        *w++ = 16 * i + r < shape.n ? word & mask : 0;
      }
    }
  }
}

/// One matrix of layout I8x16x4, [ceil(N/16)][Kp/4][16 rows][4], with zero
/// padding, and the sum of each row.
static void fillInt8(const Case &shape, int8_t *w, int32_t *rowsum,
                     Random &random) {
  memset(w, 0, size_t(shape.blocksN() * 16 * shape.paddedK()));
  int64_t kind = random.below(4);
  for (int64_t n = 0; n < shape.n; ++n) {
    rowsum[n] = 0;
    for (int64_t k = 0; k < shape.k; ++k) {
      int8_t value = pickByte(kind, random);
      int64_t tile = n / 16 * (shape.paddedK() / 4) + k / 4;
      w[tile * 64 + n % 16 * 4 + k % 4] = value;
      rowsum[n] += value;
    }
  }
}

//===----------------------------------------------------------------------===//
// Operands by kind. False when out of memory.
//===----------------------------------------------------------------------===//

static bool makeQuantize(const Case &c, Operands &ops, Random &random) {
  Operand *o = ops.all;
  ops.count = 4, ops.firstOutput = 1;
  if (!o[0].create(4, c.m, c.k, c.rowPadding) ||
      !o[1].create(1, c.m, c.paddedK(), c.rowPadding * 64) ||
      !o[2].vector(4, c.m) || !o[3].vector(4, c.m))
    return false;
  fillActivations(o[0], random);
  return true;
}

static bool makeOutput(const Case &c, Operands &ops, Random &random) {
  ops.firstOutput = ops.count - 1;
  Operand &y = ops.all[ops.firstOutput];
  if (!y.create(4, c.m, c.n, c.rowPadding))
    return false;
  // What an accumulating kernel adds to, and a storing one must overwrite.
  fillFloats(y, random);
  return true;
}

static bool makeBinaryLinear(const Case &c, Operands &ops, Random &random) {
  Operand *o = ops.all;
  ops.count = 6;
  if (!o[0].create(1, c.m, c.paddedK(), c.rowPadding * 64) ||
      !o[1].vector(4, c.m) || !o[2].vector(4, c.m) ||
      !o[3].vector(1, c.blocksN() * (c.paddedK() / 32) * 64) ||
      !o[4].vector(4, c.n))
    return false;
  fillQuantized(c, o[0], o[1], &o[2], random);
  fillBits(c, &o[3].at<uint32_t>(0, 0), random);
  fillFloats(o[4], random);
  return makeOutput(c, ops, random);
}

static bool makeInt8Linear(const Case &c, Operands &ops, Random &random) {
  Operand *o = ops.all;
  ops.count = 6;
  if (!o[0].create(1, c.m, c.paddedK(), c.rowPadding * 64) ||
      !o[1].vector(4, c.m) || !o[2].vector(1, c.blocksN() * 16 * c.paddedK()) ||
      !o[3].vector(4, c.n) || !o[4].vector(4, c.n))
    return false;
  fillQuantized(c, o[0], o[1], nullptr, random);
  fillInt8(c, &o[2].at<int8_t>(0, 0), &o[3].at<int32_t>(0, 0), random);
  fillFloats(o[4], random);
  return makeOutput(c, ops, random);
}

static bool makeFloatLinear(const Case &c, Operands &ops, Random &random) {
  Operand *o = ops.all;
  ops.count = 3;
  if (!o[0].create(4, c.m, c.k, c.rowPadding) ||
      !o[1].vector(4, c.blocksN() * c.k * 16))
    return false;
  fillFloats(o[0], random);
  for (int64_t i = 0; i < c.blocksN() * c.k * 16; ++i) {
    int64_t row = i / (c.k * 16) * 16 + i % 16;
    o[1].at<float>(0, i) = row < c.n ? random.unit() : 0.0f;
  }
  return makeOutput(c, ops, random);
}

static bool makeExpertLinear(const Case &c, Operands &ops, Random &random) {
  Operand *o = ops.all;
  ops.count = 7;
  if (!o[0].create(1, c.m, c.paddedK(), c.rowPadding * 64) ||
      !o[1].vector(4, c.m) || !o[2].vector(8, c.m) ||
      !o[3].vector(1, c.experts * c.blocksN() * 16 * c.paddedK()) ||
      !o[4].create(4, c.experts, c.n, 0) || !o[5].create(4, c.experts, c.n, 0))
    return false;
  fillQuantized(c, o[0], o[1], nullptr, random);
  for (int64_t i = 0; i < c.m; ++i)
    o[2].at<int64_t>(0, i) = random.below(c.experts);
  for (int64_t e = 0; e < c.experts; ++e)
    fillInt8(c, &o[3].at<int8_t>(0, e * c.blocksN() * 16 * c.paddedK()),
             &o[4].at<int32_t>(e, 0), random);
  fillFloats(o[5], random);
  return makeOutput(c, ops, random);
}

static bool makeOperands(int32_t kind, const Case &shape, Operands &operands,
                         Random &random) {
  switch (kind) {
  case PQUANT_KERNEL_QUANTIZE:
    return makeQuantize(shape, operands, random);
  case PQUANT_KERNEL_BINARY_LINEAR:
    return makeBinaryLinear(shape, operands, random);
  case PQUANT_KERNEL_INT8_LINEAR:
    return makeInt8Linear(shape, operands, random);
  case PQUANT_KERNEL_FLOAT_LINEAR:
    return makeFloatLinear(shape, operands, random);
  default:
    return makeExpertLinear(shape, operands, random);
  }
}

//===----------------------------------------------------------------------===//
// Call and compare
//===----------------------------------------------------------------------===//

namespace {
struct KernelCall {
  const void *function;
  Operands *operands;
};
} // namespace

static void callKernel(void *context) {
  auto &call = *static_cast<KernelCall *>(context);
  PQuantMemRef *o[7];
  for (int i = 0; i < 7; ++i)
    o[i] = &call.operands->all[i].memref;
  using M = PQuantMemRef *;
  auto function = const_cast<void *>(call.function);
  switch (call.operands->count) {
  case 3:
    return reinterpret_cast<void (*)(M, M, M)>(function)(o[0], o[1], o[2]);
  case 4:
    return reinterpret_cast<void (*)(M, M, M, M)>(function)(o[0], o[1], o[2],
                                                            o[3]);
  case 6:
    return reinterpret_cast<void (*)(M, M, M, M, M, M)>(function)(
        o[0], o[1], o[2], o[3], o[4], o[5]);
  default:
    return reinterpret_cast<void (*)(M, M, M, M, M, M, M)>(function)(
        o[0], o[1], o[2], o[3], o[4], o[5], o[6]);
  }
}

static float largestMagnitude(const Operand &y) {
  float largest = 0;
  for (int64_t i = 0; i < y.rows(); ++i)
    for (int64_t j = 0; j < y.columns(); ++j)
      largest = fmaxf(largest, fabsf(y.at<float>(i, j)));
  return largest;
}

/// Whether all bytes, padding too, are equal; with a tolerance, floats within
/// it are first made equal in `got`.
static bool sameBytes(const Operand &expected, const Operand &got,
                      bool tolerant) {
  if (tolerant) {
    float limit = 1e-4f * largestMagnitude(expected);
    for (int64_t i = 0; i < got.rows(); ++i)
      for (int64_t j = 0; j < got.columns(); ++j)
        if (fabsf(expected.at<float>(i, j) - got.at<float>(i, j)) <= limit)
          got.at<float>(i, j) = expected.at<float>(i, j);
  }
  return !memcmp(expected.memory, got.memory, size_t(got.bytes));
}

/// Where two operands first differ.
static void describeDifference(const Operand &expected, const Operand &got,
                               char *text, size_t size) {
  int64_t element = got.elementSize;
  for (int64_t i = 0; i < got.rows(); ++i) {
    for (int64_t j = 0; j < got.columns(); ++j) {
      const char *a = &expected.at<char>(0, 0);
      const char *b = &got.at<char>(0, 0);
      int64_t at = (i * got.stride() + j) * element;
      if (!memcmp(a + at, b + at, size_t(element)))
        continue;
      snprintf(text, size, "element [%" PRId64 ", %" PRId64 "]", i, j);
      if (element == 4)
        snprintf(text + strlen(text), size - strlen(text),
                 " expected %.9g, but got %.9g", expected.at<float>(i, j),
                 got.at<float>(i, j));
      return;
    }
  }
  snprintf(text, size, "a write outside the operand");
}

/// Runs one kernel at level 0 and at the model's level on the same data.
static PQuantStatus testCase(const PQuantModel &model,
                             const PQuantKernel &kernel, const Case &shape,
                             Random &random) {
  Operands expected, got;
  bool made = makeOperands(kernel.kind, shape, expected, random);
  got.count = expected.count;
  for (int i = 0; made && i < expected.count; ++i)
    made = got.all[i].copy(expected.all[i]);
  if (!made)
    return setError(PQUANT_OUT_OF_MEMORY,
                    "out of memory: could not make test data");
  KernelCall calls[2] = {{kernel.functions[0], &expected},
                         {kernel.functions[model.level], &got}};
  for (KernelCall &call : calls) {
    Run run(model.pool, model.enter, model.threads, /*sink=*/nullptr,
            /*device=*/nullptr);
    PQuantStatus status = execute(run, callKernel, &call);
    model.pool->recycleAll(run.live);
    if (status != PQUANT_OK)
      return status;
  }
  for (int i = 0; i < got.count; ++i) {
    bool tolerant =
        kernel.kind == PQUANT_KERNEL_FLOAT_LINEAR && i == expected.firstOutput;
    if (sameBytes(expected.all[i], got.all[i], tolerant))
      continue;
    char where[160];
    describeDifference(expected.all[i], got.all[i], where, sizeof where);
    return setError(PQUANT_RUN_FAILED,
                    "M=%" PRId64 " K=%" PRId64 " N=%" PRId64
                    ": operand %d differs from level '%s': %s",
                    shape.m, shape.k, shape.n, i,
                    model.descriptor->levels[0].name, where);
  }
  return PQUANT_OK;
}

/// Small shapes in all combinations, then a few that reach the blocking of
/// matrix-matrix kernels and the sharing between threads.
static PQuantStatus testKernel(const PQuantModel &model,
                               const PQuantKernel &kernel, int &cases) {
  static constexpr int64_t rows[] = {0, 1, 2, 3, 5, 8, 17};
  static constexpr int64_t columns[] = {1, 31, 64, 65, 200, 320};
  static constexpr int64_t outputs[] = {1, 16, 17, 50, 160};
  static constexpr int64_t large[][3] = {
      {1, 320, 1040}, {4, 2100, 33}, {100, 1000, 40}};
  Random random{0x70717561};
  auto test = [&](int64_t m, int64_t k, int64_t n) {
    Case shape{m, k, n, 1 + cases % 3, cases % 2 ? 3 : 0};
    ++cases;
    return testCase(model, kernel, shape, random);
  };
  cases = 0;
  PQuantStatus status = PQUANT_OK;
  for (int64_t m : rows)
    for (int64_t k : columns)
      for (int64_t n : outputs)
        if (status == PQUANT_OK &&
            (kernel.kind != PQUANT_KERNEL_QUANTIZE || n == outputs[0]))
          status = test(m, k, n);
  for (const auto &[m, k, n] : large)
    if (status == PQUANT_OK)
      status = test(m, k, n);
  return status;
}

PQuantStatus pquant_self_test(PQuantModel *model, PQuantReportFn report,
                              void *user) {
  const PQuantModelDescriptor &descriptor = *model->descriptor;
  int failures = 0;
  for (uint32_t i = 0; i < descriptor.numKernels; ++i) {
    const PQuantKernel &kernel = descriptor.kernels[i];
    char line[kMaxErrorText + 128];
    int cases = 0;
    if (kernel.kind < 0 || kernel.kind > PQUANT_KERNEL_EXPERT_LINEAR) {
      snprintf(line, sizeof line, "%s: failed: unknown kernel kind %d",
               kernel.name, kernel.kind);
      ++failures;
    } else if (testKernel(*model, kernel, cases) != PQUANT_OK) {
      snprintf(line, sizeof line, "%s: failed: %s", kernel.name,
               pquant_last_error());
      ++failures;
    } else {
      snprintf(line, sizeof line, "%s: ok (%d cases)", kernel.name, cases);
    }
    report(user, line);
  }
  if (!failures)
    return PQUANT_OK;
  return setError(PQUANT_RUN_FAILED, "self-test: %d of %u kernels failed",
                  failures, descriptor.numKernels);
}
