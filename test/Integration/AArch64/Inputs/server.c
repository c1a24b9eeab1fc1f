/* Runs kernels for check_kernels.py: reads a call from standard input (the ranges of parallel loops, the numbers of
   operands and of bytes of the name, the name; for each operand rank and bytes, sizes, strides and the bytes), and writes
   the operands' bytes back. */

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { kOperands = 8, kMargin = 64 };

extern int64_t test_ranges;

typedef struct {
  void *allocated, *aligned;
  int64_t offset, extents[8];
} MemRef;

static void get(void *data, size_t bytes) {
  if (bytes && fread(data, bytes, 1, stdin) != 1)
    exit(feof(stdin) ? 0 : 1);
}

int main(void) {
  int64_t head[3], shape[2], bytes[kOperands];
  char name[256];
  MemRef operands[kOperands];
  for (;;) {
    get(head, sizeof head);
    test_ranges = head[0];
    if (head[1] > kOperands || head[2] >= (int64_t)sizeof name)
      return 2;
    get(name, head[2]);
    name[head[2]] = 0;
    for (int64_t i = 0; i < head[1]; ++i) {
      get(shape, sizeof shape);
      get(operands[i].extents, 2 * shape[0] * sizeof(int64_t));
      bytes[i] = shape[1];
      operands[i].allocated = aligned_alloc(64, (bytes[i] + 2 * kMargin + 63) / 64 * 64);
      operands[i].aligned = (char *)operands[i].allocated + kMargin;
      operands[i].offset = 0;
      get(operands[i].aligned, bytes[i]);
    }
    void *symbol = dlsym(RTLD_DEFAULT, name);
    if (!symbol) {
      fprintf(stderr, "no kernel %s\n", name);
      return 3;
    }
    MemRef *p = operands;
    void (*kernel)(MemRef *, MemRef *, MemRef *, MemRef *, MemRef *, MemRef *, MemRef *, MemRef *) = symbol;
    kernel(p, p + 1, p + 2, p + 3, p + 4, p + 5, p + 6, p + 7);
    for (int64_t i = 0; i < head[1]; ++i) {
      fwrite(operands[i].aligned, 1, bytes[i], stdout);
      free(operands[i].allocated);
    }
    fflush(stdout);
  }
}
