//===- SelfTest.cpp - Every kernel against its generic version ------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Drives the kernels through MLIR's C interface: one pointer to a memref
// descriptor per operand, outputs last (SelfTestData.h has them by kind).
//
//===----------------------------------------------------------------------===//

#include "SelfTestData.h"

#include <cinttypes>
#include <cmath>
#include <cstdio>

using namespace pquant;

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
  case 5:
    return reinterpret_cast<void (*)(M, M, M, M, M)>(function)(o[0], o[1], o[2],
                                                               o[3], o[4]);
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
  bool made = makeOperands(kernel, shape, expected, random);
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
    bool isFloat = kernel.kind == PQUANT_KERNEL_FLOAT_LINEAR ||
                   kernel.kind == PQUANT_KERNEL_ATTENTION;
    bool tolerant = isFloat && i == expected.firstOutput;
    if (sameBytes(expected.all[i], got.all[i], tolerant))
      continue;
    char where[160];
    describeDifference(expected.all[i], got.all[i], where, sizeof where);
    bool isAttention = kernel.kind == PQUANT_KERNEL_ATTENTION;
    return setError(PQUANT_RUN_FAILED,
                    "%c=%" PRId64 " %c=%" PRId64 " %c=%" PRId64
                    ": operand %d differs from level '%s': %s",
                    isAttention ? 'S' : 'M', shape.m, isAttention ? 'T' : 'K',
                    shape.k, isAttention ? 'H' : 'N', shape.n, i,
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

/// One row and several, with heads that share keys, more keys than a block and
/// fewer than queries.
static PQuantStatus testAttention(const PQuantModel &model,
                                  const PQuantKernel &kernel, int &cases) {
  static constexpr int64_t shapes[][5] = {
      // S, T, H, G, batch
      {1, 1, 1, 1, 1},   {1, 200, 4, 4, 1},   {5, 70, 6, 2, 2},
      {40, 40, 8, 2, 1}, {130, 131, 2, 1, 2}, {4, 2, 3, 1, 1},
      {1, 64, 2, 2, 3},  {1, 150, 10, 2, 2}};
  Random random{0x70717561};
  PQuantStatus status = PQUANT_OK;
  cases = 0;
  for (const auto &[s, t, h, g, batch] : shapes)
    if (status == PQUANT_OK) {
      Case shape{s, t, h, g, cases % 2 ? 3 : 0, batch};
      status = testCase(model, kernel, shape, random);
      ++cases;
    }
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
    if (kernel.kind < 0 || kernel.kind > PQUANT_KERNEL_ATTENTION) {
      snprintf(line, sizeof line, "%s: failed: unknown kernel kind %d",
               kernel.name, kernel.kind);
      ++failures;
    } else if ((kernel.kind == PQUANT_KERNEL_ATTENTION
                    ? testAttention
                    : testKernel)(*model, kernel, cases) != PQUANT_OK) {
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
