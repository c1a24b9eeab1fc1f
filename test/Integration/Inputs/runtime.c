/* What kernels call, for tests: ranges one after another, last first, cut at awkward places. */

#include <stdint.h>
#include <stdlib.h>

/* Ranges that a test wants of each loop. */
int64_t test_ranges = 1;

void *_mlir_memref_to_llvm_alloc(uint64_t bytes) { return aligned_alloc(64, (bytes + 64) / 64 * 64); }
void _mlir_memref_to_llvm_free(void *pointer) { free(pointer); }

void pquant_rt_parallel_for(void (*body)(void *, int64_t, int64_t), void *args, int64_t count, int64_t grain) {
  int64_t end = count;
  for (int64_t i = test_ranges - 1; i >= 0 && end > 0; --i) {
    int64_t begin = count * i * i / (test_ranges * test_ranges);
    if (begin < end)
      body(args, begin, end);
    end = begin;
  }
}
