// Kernels written by hand at two levels. Level "checked" computes another way
// than "generic"; -DWRONG=<kind> breaks one kernel, -DSPILL writes outside its
// output (and holds the 1-bit kernel only).
#include "pquant/Runtime/ModelDescriptor.h"

#include <math.h>

#ifndef WRONG
#ifdef SPILL
#define WRONG 1
#else
#define WRONG -1
#endif
#endif

typedef PQuantMemRef M;
#define ROWS(m) ((m)->extents[0])
#define STRIDE(m) ((m)->extents[2])
#define PTR(m, type) ((type *)(m)->aligned + (m)->offset)
#define ROW(m, type, i) (PTR(m, type) + (i) * STRIDE(m))

static void quantize(M *x, M *q, M *scale, M *sum, int wrong) {
  for (int64_t i = 0; i < ROWS(x); ++i) {
    float largest = 1e-5f;
    for (int64_t k = 0; k < x->extents[1]; ++k)
      largest = fmaxf(largest, fabsf(ROW(x, float, i)[k]));
    PTR(scale, float)[i] = largest / 127;
    PTR(sum, int32_t)[i] = 0;
    for (int64_t k = 0; k < q->extents[1]; ++k) {
      float v = k < x->extents[1] ? ROW(x, float, i)[k] * (127 / largest) : 0;
      float r = wrong ? floorf(v + 0.5f) : rintf(v);
      ROW(q, int8_t, i)[k] = (int8_t)fmaxf(-128, fminf(127, r));
      PTR(sum, int32_t)[i] += ROW(q, int8_t, i)[k];
    }
  }
}

static void quantize0(M *x, M *q, M *scale, M *sum) {
  quantize(x, q, scale, sum, 0);
}
static void quantize1(M *x, M *q, M *scale, M *sum) {
  quantize(x, q, scale, sum, WRONG == PQUANT_KERNEL_QUANTIZE);
}

static int bitOf(M *w, int64_t kp, int64_t n, int64_t k) {
  uint32_t word = PTR(w, uint32_t)[(n / 16 * (kp / 32) + k / 32) * 16 + n % 16];
  return word >> (k % 32) & 1;
}

// Sum of signs times values.
static void binary0(M *q, M *scale, M *sum, M *w, M *ws, M *y) {
  int64_t kp = q->extents[1];
  for (int64_t i = 0; i < ROWS(y); ++i)
    for (int64_t n = 0; n < y->extents[1]; ++n) {
      int32_t acc = 0;
      for (int64_t k = 0; k < kp; ++k)
        acc +=
            bitOf(w, kp, n, k) ? ROW(q, int8_t, i)[k] : -ROW(q, int8_t, i)[k];
      ROW(y, float, i)
      [n] = (float)acc * (PTR(scale, float)[i] * PTR(ws, float)[n]);
    }
}

// Twice the sum where the bit is set, minus the row's sum; rows in parallel.
typedef struct {
  M *q, *scale, *sum, *w, *ws, *y;
} Binary;
static void binaryRows(void *args, int64_t begin, int64_t end) {
  Binary *b = args;
  int64_t kp = b->q->extents[1];
  int32_t *acc = _mlir_memref_to_llvm_alloc(4);
  for (int64_t i = begin; i < end; ++i)
    for (int64_t n = 0; n < b->y->extents[1]; ++n) {
      *acc = WRONG == PQUANT_KERNEL_BINARY_LINEAR && kp > 64;
      for (int64_t k = 0; k < kp; ++k)
        *acc += bitOf(b->w, kp, n, k) ? ROW(b->q, int8_t, i)[k] : 0;
      *acc = 2 * *acc - PTR(b->sum, int32_t)[i];
      ROW(b->y, float, i)
      [n] = (float)*acc * (PTR(b->scale, float)[i] * PTR(b->ws, float)[n]);
    }
  _mlir_memref_to_llvm_free(acc);
}
static void binary1(M *q, M *scale, M *sum, M *w, M *ws, M *y) {
  Binary b = {q, scale, sum, w, ws, y};
  pquant_rt_parallel_for(binaryRows, &b, ROWS(y), 1);
#ifdef SPILL
  if (ROWS(y))
    ROW(y, float, ROWS(y) - 1)[y->extents[1]] = 1;
#endif
}

static void int8Row(M *q, int64_t i, float scale, const int8_t *w,
                    const int32_t *rowsum, const float *ws, float *y,
                    int64_t columns, int biased) {
  int64_t kp = q->extents[1];
  for (int64_t n = 0; n < columns; ++n) {
    int32_t acc = biased ? -128 * rowsum[n] : 0;
    for (int64_t k = 0; k < kp; ++k)
      acc += (ROW(q, int8_t, i)[k] + (biased ? 128 : 0)) *
             w[(n / 16 * (kp / 4) + k / 4) * 64 + n % 16 * 4 + k % 4];
    y[n] += (float)acc * (scale * ws[n]);
  }
}

static void int8(M *q, M *scale, M *w, M *rowsum, M *ws, M *y, int biased) {
  for (int64_t i = 0; i < ROWS(y); ++i)
    int8Row(q, i, PTR(scale, float)[i], PTR(w, int8_t), PTR(rowsum, int32_t),
            PTR(ws, float), ROW(y, float, i), y->extents[1], biased);
}
static void int80(M *q, M *scale, M *w, M *rowsum, M *ws, M *y) {
  int8(q, scale, w, rowsum, ws, y, 0);
}
static void int81(M *q, M *scale, M *w, M *rowsum, M *ws, M *y) {
  int8(q, scale, w, rowsum, ws, y, 1);
  if (WRONG == PQUANT_KERNEL_INT8_LINEAR && ROWS(y) == 17)
    ROW(y, float, 16)[0] = 0;
}

static void float0(M *x, M *w, M *y) {
  int64_t columns = x->extents[1];
  for (int64_t i = 0; i < ROWS(y); ++i)
    for (int64_t n = 0; n < y->extents[1]; ++n) {
      double acc = 0;
      for (int64_t k = 0; k < columns; ++k)
        acc += ROW(x, float, i)[k] *
               PTR(w, float)[(n / 16 * columns + k) * 16 + n % 16];
      ROW(y, float, i)[n] = (float)acc;
    }
}
static void float1(M *x, M *w, M *y) {
  int64_t columns = x->extents[1];
  for (int64_t i = 0; i < ROWS(y); ++i)
    for (int64_t n = 0; n < y->extents[1]; ++n) {
      float acc = 0;
      for (int64_t k = columns - 1; k >= 0; --k)
        acc += ROW(x, float, i)[k] *
               PTR(w, float)[(n / 16 * columns + k) * 16 + n % 16];
      ROW(y, float, i)
      [n] = acc * (WRONG == PQUANT_KERNEL_FLOAT_LINEAR ? 1.01f : 1);
    }
}

static void expert(M *q, M *scale, M *index, M *w, M *rowsum, M *ws, M *y,
                   int biased) {
  int64_t matrix = (y->extents[1] + 15) / 16 * 16 * q->extents[1];
  for (int64_t i = 0; i < ROWS(y); ++i) {
    int64_t e = PTR(index, int64_t)[i];
    int8Row(q, i, PTR(scale, float)[i], PTR(w, int8_t) + e * matrix,
            ROW(rowsum, int32_t, e), ROW(ws, float, e), ROW(y, float, i),
            y->extents[1], biased);
  }
}
static void expert0(M *q, M *scale, M *index, M *w, M *rowsum, M *ws, M *y) {
  expert(q, scale, index, w, rowsum, ws, y, 0);
}
static void expert1(M *q, M *scale, M *index, M *w, M *rowsum, M *ws, M *y) {
  if (WRONG == PQUANT_KERNEL_EXPERT_LINEAR && ROWS(y) > 2)
    PTR(index, int64_t)[0] = 0;
  expert(q, scale, index, w, rowsum, ws, y, 1);
}

// Element j of row (b, h, i) of an array of rank 4.
static float at4(M *m, int64_t b, int64_t h, int64_t i, int64_t j) {
  const int64_t *strides = m->extents + 4;
  return PTR(m, float)[b * strides[0] + h * strides[1] + i * strides[2] + j];
}

// Causal with a mask; the wrong one lets a query see one key more.
static void attention(M *q, M *k, M *v, M *mask, M *y, int wrong) {
  int64_t heads = y->extents[1], queries = y->extents[2];
  int64_t group = heads / k->extents[1], keys = k->extents[2];
  for (int64_t n = 0; n < y->extents[0] * heads * queries; ++n) {
    int64_t b = n / queries / heads, h = n / queries % heads, i = n % queries;
    int64_t limit = i + keys - queries + (wrong ? 2 : 1);
    float total = 0, *row = PTR(y, float) + b * y->extents[4] +
                            h * y->extents[5] + i * y->extents[6];
    for (int64_t e = 0; e < y->extents[3]; ++e)
      row[e] = 0;
    for (int64_t t = 0; t < limit && t < keys; ++t) {
      float logit = at4(mask, 0, 0, i, t);
      for (int64_t d = 0; d < q->extents[3]; ++d)
        logit += at4(q, b, h, i, d) * at4(k, b, h / group, t, d);
      total += expf(logit);
      for (int64_t e = 0; e < y->extents[3]; ++e)
        row[e] += expf(logit) * at4(v, b, h / group, t, e);
    }
    for (int64_t e = 0; e < y->extents[3] && total; ++e)
      row[e] /= total;
  }
}
static void attention0(M *q, M *k, M *v, M *mask, M *y) {
  attention(q, k, v, mask, y, 0);
}
static void attention1(M *q, M *k, M *v, M *mask, M *y) {
  attention(q, k, v, mask, y, WRONG == PQUANT_KERNEL_ATTENTION);
}

#define TWO(f) (const void *const[]){f##0, f##1}
// A broken build holds the broken kernel only, to be quick.
#define HAS(kind) (WRONG == -1 || WRONG == kind)
static const PQuantKernel kernels[] = {
#if HAS(0)
    {"quantize_a", PQUANT_KERNEL_QUANTIZE, 0, TWO(quantize)},
#endif
#if HAS(1)
    {"binary_linear_a", PQUANT_KERNEL_BINARY_LINEAR, 0, TWO(binary)},
#endif
#if HAS(2)
    {"int8_linear_acc", PQUANT_KERNEL_INT8_LINEAR, 1, TWO(int8)},
#endif
#if HAS(3)
    {"float_linear_a", PQUANT_KERNEL_FLOAT_LINEAR, 0, TWO(float)},
#endif
#if HAS(4)
    {"expert_linear_acc", PQUANT_KERNEL_EXPERT_LINEAR, 1, TWO(expert)},
#endif
#if HAS(5)
    {"attention_a", PQUANT_KERNEL_ATTENTION, 24 | 40 << 12 | 1 << 26,
     TWO(attention)},
#endif
#ifdef UNKNOWN_KIND
    {"surprise", 99, 0, TWO(float)},
#endif
};
static const PQuantLevel levels[] = {{"generic", ""}, {"checked", ""}};
static const PQuantModelDescriptor descriptor = {
    .abiVersion = PQUANT_ABI_VERSION,
    .numLevels = 2,
    .modelName = "kernels",
    .producer = "by hand",
    .triple = "none",
    .levels = levels,
    .numKernels = sizeof kernels / sizeof *kernels,
    .kernels = kernels,
};

const PQuantModelDescriptor *pquant_model_descriptor(void) {
  return &descriptor;
}
