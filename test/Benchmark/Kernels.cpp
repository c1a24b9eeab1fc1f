//===- Kernels.cpp - Speed of the generated x86 kernels -------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Kernels read their weights cold: each call takes the next of copies that fill
// 420 MB of huge pages. Matrix-vector kernels alternate with a plain read of as
// many bytes in eight streams per thread, and the figure that counts is the
// median of the ratios of the two ("of_roof"), which a noisy machine disturbs
// least. Matrix-matrix kernels (32, 128 and 512 rows) alternate with as many
// multiplications by the level's instruction on registers alone (tdpbssd,
// vpdpbusd), one after another without a load: "of_peak" is the median ratio.
//
// The kernels are compiled in the build from
// test/Integration/X86/Inputs/kernels.mlir; this file stands in for the
// runtime, with OpenMP.
//
//===----------------------------------------------------------------------===//

#include "pquant/Runtime/Roof.h"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <sys/mman.h>
#include <vector>

//===----------------------------------------------------------------------===//
// What the kernels call
//===----------------------------------------------------------------------===//

static int numThreads = 1;

/// Freed buffers of the thread, as the runtime keeps them: kernels ask for the
/// same few sizes again and again. The size precedes the buffer.
static thread_local std::vector<char *> freeBuffers;

extern "C" void *_mlir_memref_to_llvm_alloc(uint64_t bytes) {
  for (auto it = freeBuffers.begin(); it != freeBuffers.end(); ++it)
    if (*reinterpret_cast<uint64_t *>(*it) >= bytes) {
      char *base = *it;
      freeBuffers.erase(it);
      return base + 64;
    }
  auto *base =
      static_cast<char *>(std::aligned_alloc(64, (bytes + 127) / 64 * 64));
  *reinterpret_cast<uint64_t *>(base) = bytes;
  return base + 64;
}

extern "C" void _mlir_memref_to_llvm_free(void *pointer) {
  freeBuffers.push_back(static_cast<char *>(pointer) - 64);
}

extern "C" void pquant_rt_parallel_for(void (*body)(void *, int64_t, int64_t),
                                       void *args, int64_t count,
                                       int64_t grain) {
  int64_t parts =
      std::min<int64_t>(count / std::max<int64_t>(grain, 1), numThreads);
  if (parts <= 1) {
    if (count > 0)
      body(args, 0, count);
    return;
  }
#pragma omp parallel for num_threads(parts) schedule(static, 1)
  for (int64_t i = 0; i < parts; ++i)
    body(args, count * i / parts, count * (i + 1) / parts);
}

template <typename T, int Rank>
struct MemRef {
  T *allocated, *aligned;
  int64_t offset = 0, sizes[Rank], strides[Rank];

  MemRef(T *data, int64_t size) : allocated(data), aligned(data) {
    static_assert(Rank == 1);
    sizes[0] = size, strides[0] = 1;
  }
  MemRef(T *data, int64_t rows, int64_t columns)
      : allocated(data), aligned(data) {
    static_assert(Rank == 2);
    sizes[0] = rows, sizes[1] = columns;
    strides[0] = columns, strides[1] = 1;
  }
};

using Floats = MemRef<float, 1>;
using Ints = MemRef<int32_t, 1>;
using Bytes = MemRef<int8_t, 1>;
using FloatMatrix = MemRef<float, 2>;
using ByteMatrix = MemRef<int8_t, 2>;

using BinaryKernel = void (*)(ByteMatrix *, Floats *, Ints *, Bytes *, Floats *,
                              FloatMatrix *);
using Int8Kernel = void (*)(ByteMatrix *, Floats *, Bytes *, Ints *, Floats *,
                            FloatMatrix *);
using QuantizeKernel = void (*)(FloatMatrix *, ByteMatrix *, Floats *, Ints *);

#define DECLARE_LEVEL(LEVEL)                                                   \
  extern "C" void _mlir_ciface_pqk_binary_linear_##LEVEL(                      \
      ByteMatrix *, Floats *, Ints *, Bytes *, Floats *, FloatMatrix *);       \
  extern "C" void _mlir_ciface_pqk_int8_linear_##LEVEL(                        \
      ByteMatrix *, Floats *, Bytes *, Ints *, Floats *, FloatMatrix *);       \
  extern "C" void _mlir_ciface_pqk_quantize_mul_recip_##LEVEL(                 \
      FloatMatrix *, ByteMatrix *, Floats *, Ints *);
DECLARE_LEVEL(generic)
DECLARE_LEVEL(avx2)
DECLARE_LEVEL(avx512)
DECLARE_LEVEL(avx512vbmi)
DECLARE_LEVEL(amx)

namespace {
struct Level {
  const char *name;
  bool supported;
  pquant::Int8Peak peak; ///< of the instruction that it multiplies with
  BinaryKernel binary;
  Int8Kernel int8;
  QuantizeKernel quantize;
};
} // namespace

static std::vector<Level> getLevels() {
  bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  bool vnni = __builtin_cpu_supports("avx512vnni") &&
              __builtin_cpu_supports("avx512bw");
  bool vbmi = vnni && __builtin_cpu_supports("avx512vbmi");
  pquant::Int8Peak tiles = pquant::getAmxPeak();
  pquant::Int8Peak vectors = pquant::getVnniPeak();
#define LEVEL(NAME, SUPPORTED, PEAK)                                           \
  Level {                                                                      \
    #NAME, SUPPORTED, PEAK, _mlir_ciface_pqk_binary_linear_##NAME,             \
        _mlir_ciface_pqk_int8_linear_##NAME,                                   \
        _mlir_ciface_pqk_quantize_mul_recip_##NAME                             \
  }
  return {LEVEL(generic, true, {}), LEVEL(avx2, avx2, {}),
          LEVEL(avx512, vnni, vectors), LEVEL(avx512vbmi, vbmi, vectors),
          LEVEL(amx, vbmi && tiles.name, tiles)};
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

/// The one pool of weights: random bytes in huge pages.
static int8_t *getPool() {
  static char *pool = pquant::allocateRoof();
  return reinterpret_cast<int8_t *>(pool);
}

static void readRoof(int8_t *data, size_t bytes) {
  pquant_rt_parallel_for(
      [](void *data, int64_t begin, int64_t end) {
        auto *bytes = static_cast<const char *>(data);
        benchmark::DoNotOptimize(
            pquant::readStreams(bytes + begin, bytes + end));
      },
      data, bytes, 4096);
}

static double now() {
  using Clock = std::chrono::steady_clock;
  return std::chrono::duration<double>(Clock::now().time_since_epoch()).count();
}

static double median(std::vector<double> values) {
  if (values.empty())
    return 0;
  std::nth_element(values.begin(), values.begin() + values.size() / 2,
                   values.end());
  return values[values.size() / 2];
}

//===----------------------------------------------------------------------===//
// Benchmarks
//===----------------------------------------------------------------------===//

namespace {
/// Operands of a linear layer but the weights.
struct Operands {
  int64_t rows, outputs, columns;
  std::vector<int8_t> values;
  std::vector<float> scales, weightScales, results;
  std::vector<int32_t> sums, rowSums;

  Operands(int64_t rows, int64_t outputs, int64_t columns)
      : rows(rows), outputs(outputs), columns(columns), values(rows * columns),
        scales(rows, 1), weightScales(outputs, 1), results(rows * outputs),
        sums(rows), rowSums(outputs) {
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = int8_t(i * 37 + i / 251);
  }
  void run(BinaryKernel kernel, int8_t *weight) {
    ByteMatrix x(values.data(), rows, columns);
    Floats s(scales.data(), rows), ws(weightScales.data(), outputs);
    Ints t(sums.data(), rows);
    Bytes w(weight, outputs * columns / 8);
    FloatMatrix y(results.data(), rows, outputs);
    kernel(&x, &s, &t, &w, &ws, &y);
  }
  void run(Int8Kernel kernel, int8_t *weight) {
    ByteMatrix x(values.data(), rows, columns);
    Floats s(scales.data(), rows), ws(weightScales.data(), outputs);
    Ints t(rowSums.data(), outputs);
    Bytes w(weight, outputs * columns);
    FloatMatrix y(results.data(), rows, outputs);
    kernel(&x, &s, &w, &t, &ws, &y);
  }
};
} // namespace

/// Calls a kernel on cold copies of `bytes` of weights, alternating with the
/// read of as many other bytes.
template <typename Kernel>
static void runCold(benchmark::State &state, Kernel kernel, int64_t outputs,
                    int64_t columns, size_t bytes, int threads) {
  numThreads = threads;
  Operands operands(1, outputs, columns);
  size_t copies = pquant::kRoofBytes / bytes, next = 0;
  auto advance = [&] { return getPool() + (next++ % copies) * bytes; };
  operands.run(kernel, advance());
  std::vector<double> kernelTimes, roofTimes, ratios;
  for (auto _ : state) {
    double start = now();
    operands.run(kernel, advance());
    double middle = now();
    readRoof(advance(), bytes);
    double end = now();
    state.SetIterationTime(middle - start);
    kernelTimes.push_back(middle - start);
    roofTimes.push_back(end - middle);
    ratios.push_back((end - middle) / (middle - start));
  }
  state.counters["GBps"] = bytes / median(kernelTimes) * 1e-9;
  state.counters["roof_GBps"] = bytes / median(roofTimes) * 1e-9;
  state.counters["of_roof"] = median(ratios);
  state.counters["median_us"] = median(kernelTimes) * 1e6;
}

/// As many operations as `products` multiplications and additions.
static void runPeak(const pquant::Int8Peak &peak, int64_t products) {
  pquant_rt_parallel_for(
      [](void *peak, int64_t begin, int64_t end) {
        auto run = static_cast<const pquant::Int8Peak *>(peak)->run;
        benchmark::DoNotOptimize(run(end - begin));
      },
      const_cast<pquant::Int8Peak *>(&peak), 2 * products / peak.opsPerStep, 1);
}

template <typename Kernel>
static void runMatrix(benchmark::State &state, Kernel kernel,
                      const pquant::Int8Peak &peak, int64_t rows,
                      int64_t outputs, int64_t columns, size_t bytes,
                      int threads) {
  numThreads = threads;
  Operands operands(rows, outputs, columns);
  int64_t products = rows * outputs * columns;
  size_t copies = pquant::kRoofBytes / bytes, next = 0;
  auto advance = [&] { return getPool() + (next++ % copies) * bytes; };
  std::vector<double> times, peakTimes, ratios;
  operands.run(kernel, advance());
  for (auto _ : state) {
    double start = now();
    operands.run(kernel, advance());
    double middle = now();
    times.push_back(middle - start);
    state.SetIterationTime(times.back());
    if (!peak.name)
      continue;
    runPeak(peak, products);
    peakTimes.push_back(now() - middle);
    ratios.push_back(peakTimes.back() / times.back());
  }
  double best = *std::min_element(times.begin(), times.end());
  state.counters["Tops"] = 2e-12 * products / median(times);
  state.counters["median_us"] = median(times) * 1e6;
  state.counters["best_us"] = best * 1e6;
  if (!peak.name)
    return;
  state.counters["peak_Tops"] = 2e-12 * products / median(peakTimes);
  state.counters["of_peak"] = median(ratios);
  state.counters["best_of_peak"] =
      *std::min_element(peakTimes.begin(), peakTimes.end()) / best;
}

static void runQuantize(benchmark::State &state, QuantizeKernel kernel,
                        int64_t columns) {
  numThreads = 1;
  std::vector<float> x(columns);
  for (int64_t i = 0; i < columns; ++i)
    x[i] = float(i * 37 % 1001) - 500;
  Operands operands(1, 1, columns);
  FloatMatrix input(x.data(), 1, columns);
  ByteMatrix values(operands.values.data(), 1, columns);
  Floats scale(operands.scales.data(), 1);
  Ints sum(operands.sums.data(), 1);
  for (auto _ : state) {
    kernel(&input, &values, &scale, &sum);
    benchmark::ClobberMemory();
  }
}

static std::string getName(const char *kind, const Level &level,
                           int64_t outputs, int64_t columns, int threads) {
  return std::string(kind) + "/" + level.name + "/" + std::to_string(outputs) +
         "x" + std::to_string(columns) + "/threads:" + std::to_string(threads);
}

/// Adds a benchmark that measures its time itself.
static void add(const std::string &name,
                std::function<void(benchmark::State &)> run) {
  benchmark::RegisterBenchmark(name.c_str(), std::move(run))->UseManualTime();
}

static void registerVector(const Level &level, int threads) {
  static constexpr int64_t shapes[][2] = {
      {4096, 11008}, {11008, 4096}, {2048, 2048}, {5504, 2048}};
  for (const int64_t *shape : shapes) {
    int64_t n = shape[0], k = shape[1];
    add(getName("binary_gemv_cold", level, n, k, threads),
        [=](benchmark::State &state) {
          runCold(state, level.binary, n, k, n * k / 8, threads);
        });
  }
  add(getName("int8_gemv_cold", level, 512, 4096, threads),
      [=](benchmark::State &state) {
        runCold(state, level.int8, 512, 4096, size_t(512) * 4096, threads);
      });
}

static void registerMatrix(const Level &level, int threads) {
  static constexpr int64_t shapes[][2] = {{2048, 2048},  {5504, 2048},
                                          {2048, 5504},  {4096, 4096},
                                          {11008, 4096}, {4096, 11008}};
  for (int64_t rows : {32, 128, 512}) {
    std::string suffix = "_gemm_" + std::to_string(rows);
    for (const int64_t *shape : shapes) {
      int64_t n = shape[0], k = shape[1];
      add(getName(("binary" + suffix).c_str(), level, n, k, threads),
          [=](benchmark::State &state) {
            runMatrix(state, level.binary, level.peak, rows, n, k, n * k / 8,
                      threads);
          });
    }
    add(getName(("int8" + suffix).c_str(), level, 512, 2048, threads),
        [=](benchmark::State &state) {
          runMatrix(state, level.int8, level.peak, rows, 512, 2048, 512 * 2048,
                    threads);
        });
  }
}

static void registerLevel(const Level &level) {
  for (int threads : {1, 2}) {
    registerVector(level, threads);
    registerMatrix(level, threads);
  }
  benchmark::RegisterBenchmark(
      (std::string("quantize/") + level.name + "/4096").c_str(),
      [=](benchmark::State &state) {
        runQuantize(state, level.quantize, 4096);
      });
}

int main(int argc, char **argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv))
    return 1;
  for (const Level &level : getLevels())
    if (level.supported)
      registerLevel(level);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
