// A model written by hand, with the descriptor that the compiler would write.
//   main:    y[b, s] = mask[b, s] ? ids[b, s] * 0.5 + bias : 0, total[] = sum y
//   failing: allocates, then fails a check; -DFAIL_IN_PARALLEL does so in a
//   loop hungry:  asks for more memory than there is aliases: returns its
//   input, a constant, a strided view and one buffer twice threads: the numbers
//   of distinct threads and of covered elements
#include "pquant/Runtime/ModelDescriptor.h"

#include <pthread.h>
#include <string.h>

#ifndef ABI_VERSION
#define ABI_VERSION PQUANT_ABI_VERSION
#endif

static const float weights[16] __attribute__((aligned(64))) = {0.25f, 7, 8, 9};

typedef struct {
  PQuantMemRef *ids, *mask;
  float *y;
  float bias;
} MainLoop;

static void mainBody(void *args, int64_t begin, int64_t end) {
  MainLoop *loop = args;
  const int64_t *ids = loop->ids->aligned;
  const unsigned char *mask = loop->mask->aligned;
  for (int64_t i = begin; i < end; ++i)
    loop->y[i] = mask[i] ? (float)ids[i] * 0.5f + loop->bias : 0.0f;
}

static void setDense(PQuantMemRef *m, void *data, int rank,
                     const int64_t *sizes) {
  int64_t stride = 1;
  m->allocated = m->aligned = data;
  m->offset = 0;
  for (int d = rank - 1; d >= 0; --d) {
    m->extents[d] = sizes[d];
    m->extents[rank + d] = stride;
    stride *= sizes[d];
  }
}

static void runMain(const void *blob, PQuantMemRef *const *args,
                    PQuantMemRef *const *results) {
  int64_t count = args[0]->extents[0] * args[0]->extents[1];
  void *scratch = _mlir_memref_to_llvm_alloc((uint64_t)count * 4);
  float *y = _mlir_memref_to_llvm_alloc((uint64_t)count * 4);
  float *total = _mlir_memref_to_llvm_alloc(4);
  MainLoop loop = {args[0], args[1], y, *(const float *)blob};
  pquant_rt_parallel_for(mainBody, &loop, count, 4);
  *total = 0;
  for (int64_t i = 0; i < count; ++i)
    *total += y[i];
  _mlir_memref_to_llvm_free(scratch);
  setDense(results[0], y, 2, args[0]->extents);
  setDense(results[1], total, 0, 0);
}

static void failBody(void *args, int64_t begin, int64_t end) {
  _mlir_memref_to_llvm_alloc(1000);
  if (begin <= 70 && 70 < end)
    pquant_rt_fail("layer.0/Gather: expected an index below 32, but got 70");
}

static void runFailing(const void *blob, PQuantMemRef *const *args,
                       PQuantMemRef *const *results) {
  _mlir_memref_to_llvm_alloc(123456);
#ifdef FAIL_IN_PARALLEL
  pquant_rt_parallel_for(failBody, 0, 100, 1);
#else
  failBody(0, 0, 100);
#endif
}

static void runHungry(const void *blob, PQuantMemRef *const *args,
                      PQuantMemRef *const *results) {
  _mlir_memref_to_llvm_alloc((uint64_t)1 << 60);
}

static void runAliases(const void *blob, PQuantMemRef *const *args,
                       PQuantMemRef *const *results) {
  static const int64_t two[] = {2, 2};
  float *own = _mlir_memref_to_llvm_alloc(16);
  for (int i = 0; i < 4; ++i)
    own[i] = (float)i;
  *results[0] = *args[0];
  setDense(results[1], (void *)blob, 2, two);
  setDense(results[2], own, 2, two);
  results[2]->extents[2] = 1; // transposed
  results[2]->extents[3] = 2;
  setDense(results[3], own, 2, two);
  setDense(results[4], own, 2, two);
}

static void threadBody(void *args, int64_t begin, int64_t end) {
  int64_t *seen = args;
  __atomic_add_fetch(&seen[0], 1, __ATOMIC_RELAXED);
  __atomic_add_fetch(&seen[1], end - begin, __ATOMIC_RELAXED);
  if (begin % 10)
    __atomic_add_fetch(&seen[2], 1, __ATOMIC_RELAXED);
  // Nested: serial.
  int64_t inner[3] = {0, 0, 0};
  if (begin != inner[0] || end != 95)
    pquant_rt_parallel_for(threadBody, inner, 0, 10);
}

static void runThreads(const void *blob, PQuantMemRef *const *args,
                       PQuantMemRef *const *results) {
  static const int64_t three[] = {3};
  int64_t *seen = _mlir_memref_to_llvm_alloc(24);
  memset(seen, 0, 24);
  pquant_rt_parallel_for(threadBody, seen, 95, 10);
  setDense(results[0], seen, 1, three);
}

static const int64_t dynamic2[] = {-1, -1}, static2[] = {2, 2}, three[] = {3};
static const char *const batchSeq[] = {"batch", "seq"};
static const char *const unnamed[] = {"", ""};
static const PQuantTensorSpec mainInputs[] = {
    {"ids", PQUANT_INT64, 2, dynamic2, batchSeq},
    {"mask", PQUANT_BOOL, 2, dynamic2, batchSeq}};
static const PQuantTensorSpec mainOutputs[] = {
    {"y", PQUANT_FLOAT32, 2, dynamic2, batchSeq},
    {"total", PQUANT_FLOAT32, 0, 0, 0}};
static const PQuantTensorSpec squares[] = {
    {"x", PQUANT_FLOAT32, 2, static2, unnamed},
    {"constant", PQUANT_FLOAT32, 2, static2, unnamed},
    {"transposed", PQUANT_FLOAT32, 2, static2, unnamed},
    {"own", PQUANT_FLOAT32, 2, static2, unnamed},
    {"again", PQUANT_FLOAT32, 2, static2, unnamed}};
static const PQuantTensorSpec counters[] = {
    {"seen", PQUANT_INT64, 1, three, unnamed}};

#define ALL_LEVELS(f)                                                          \
  (const PQuantEntryFn[]) { f, f, f }
static const PQuantEntry entries[] = {
    {"main", 2, 2, mainInputs, mainOutputs, ALL_LEVELS(runMain)},
    {"failing", 0, 0, 0, 0, ALL_LEVELS(runFailing)},
    {"hungry", 0, 0, 0, 0, ALL_LEVELS(runHungry)},
    {"aliases", 1, 5, squares, squares, ALL_LEVELS(runAliases)},
    {"threads", 0, 1, 0, counters, ALL_LEVELS(runThreads)}};

// "future" needs a feature that no CPU has; the others run everywhere.
static const PQuantLevel levels[] = {
    {"generic", ""}, {"tuned", ""}, {"future", "x-made-up,x-other"}};
static const PQuantLinearInfo linears[] = {{"layer.0.up", 64, 128, 1.0},
                                           {"layer.0.down", 64, 64, 8.0}};

static const PQuantModelDescriptor descriptor = {ABI_VERSION,
                                                 3,
                                                 "hand-written",
                                                 "pquant 0.1.0 --emit=lib",
                                                 "x86_64-unknown-linux-gnu",
                                                 levels,
                                                 entries,
                                                 5,
                                                 0,
                                                 0,
                                                 weights,
                                                 sizeof weights,
                                                 linears,
                                                 2,
                                                 0};

const PQuantModelDescriptor *pquant_model_descriptor(void) {
  return &descriptor;
}
