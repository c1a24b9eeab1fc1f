/* Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
   SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

   A libcuda.so.1 without a GPU: kernels that translate_kernels.py made a shared object of run on the CPU, the threads of
   a block as coroutines whose order changes from block to block. It shows wrong indices, missing barriers, wrong graphs
   and arguments, and what the runtime does with errors; nothing of speed, and not the order of a GPU's memory.

     EMULATED_KERNELS   the shared object
     EMULATED_BYTES     memory that can be allocated; 4 GiB when unset
     EMULATED_COPIES    a file that gets the bytes of each copy to the host, a line each
     EMULATED_OVERLAP   kernels overlap: until all threads of a launch's first block have waited for the kernels before,
                        they can touch nothing but the first allocation, the weights
     EMULATED_NO_EVENTS there are no events to time kernels by */

#define _GNU_SOURCE
#undef _FORTIFY_SOURCE /* it takes a jump to another stack for an error */
#include <dlfcn.h>
#include <math.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>

enum { SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2 };
enum { THREADS = 1024, WARP = 32, STACK = 1 << 16, PAGE = 4096, WORDS = 512 };

static void fail(const char *what) {
  fprintf(stderr, "emulated GPU: %s\n", what);
  abort();
}

static uint64_t random_state = 88172645463325252u;
static uint64_t next_random(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  return random_state ^= random_state << 17;
}

/* Memory: one mapping, so that it can be made inaccessible. */

static char *memory, *weights;
static size_t used, weight_bytes, limit = (size_t)1 << 32;
static uint64_t last_address; /* what was allocated last can be used again */
static FILE *copies;

static size_t round_up(size_t bytes) { return (bytes + PAGE - 1) / PAGE * PAGE; }

static void protect(int protection) {
  if (used && mprotect(memory, used, protection))
    fail("mprotect");
}

int cuMemAlloc_v2(uint64_t *address, size_t bytes) {
  size_t size = round_up(bytes);
  if (used + weight_bytes + size > limit)
    return OUT_OF_MEMORY;
  if (!weights) {
    weight_bytes = size;
    weights = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *address = (uint64_t)weights;
    return SUCCESS;
  }
  *address = last_address = (uint64_t)(memory + used);
  memset(memory + used, 0xc5, size); /* what nobody wrote is seen */
  used += size;
  return SUCCESS;
}
int cuMemFree_v2(uint64_t address) {
  if (address == last_address)
    used = address - (uint64_t)memory;
  return SUCCESS;
}
int cuMemGetInfo_v2(size_t *free_bytes, size_t *total) {
  *total = limit;
  *free_bytes = limit - used - weight_bytes;
  return SUCCESS;
}
static int is_in(uint64_t address, const char *start, size_t bytes) {
  return address - (uint64_t)start < bytes;
}
int cuMemcpyAsync(uint64_t to, uint64_t from, size_t bytes, void *stream) {
  if (copies && !is_in(to, memory, used) && !is_in(to, weights, weight_bytes))
    fprintf(copies, "%zu\n", bytes);
  memcpy((void *)to, (void *)from, bytes);
  return SUCCESS;
}

/* Threads of one block: coroutines that are made once and run every block. */

static struct {
  jmp_buf place;
  int started, done;
  uint32_t exchanged[10];
} threads[THREADS];
static jmp_buf scheduler;
static int current, num_threads, num_waits, overlap, is_open;
static unsigned block_x, block_y;
static void (*kernel)(void *);
static uint64_t words[WORDS];
/* Barriers: one for each warp, the last for the block. */
static int arrived[THREADS / WARP + 1], generation[THREADS / WARP + 1];

static void yield(void) {
  if (!_setjmp(threads[current].place))
    _longjmp(scheduler, 1);
}

static void run_thread(void) {
  for (;;) {
    kernel(words);
    threads[current].done = 1;
    yield();
  }
}

/* Runs a thread until it yields. */
static void resume(int thread) {
  static ucontext_t unused, start;
  current = thread;
  if (_setjmp(scheduler))
    return;
  if (threads[thread].started)
    _longjmp(threads[thread].place, 1);
  threads[thread].started = 1;
  getcontext(&start);
  start.uc_stack.ss_sp = malloc(STACK);
  start.uc_stack.ss_size = STACK;
  makecontext(&start, run_thread, 0);
  swapcontext(&unused, &start);
}

static void meet(int barrier, int count) {
  int mine = generation[barrier];
  if (++arrived[barrier] == count) {
    arrived[barrier] = 0;
    ++generation[barrier];
  }
  while (generation[barrier] == mine)
    yield();
}
static void meet_warp(void) {
  int warp = current / WARP, left = num_threads - warp * WARP;
  meet(warp, left < WARP ? left : WARP);
}

/* What kernels call. */

uint32_t nvvm_read_ptx_sreg_tid_x(void) { return current; }
uint32_t nvvm_read_ptx_sreg_ctaid_x(void) { return block_x; }
uint32_t nvvm_read_ptx_sreg_ctaid_y(void) { return block_y; }
void nvvm_barrier_cta_sync_aligned_all(int id) { meet(THREADS / WARP, num_threads); }

uint32_t nvvm_barrier_cta_red_popc_aligned_all(int id, uint32_t vote) {
  static uint32_t votes, result; /* the next result comes when all have read this one */
  votes += vote & 1;
  if (arrived[THREADS / WARP] + 1 == num_threads) {
    result = votes;
    votes = 0;
  }
  meet(THREADS / WARP, num_threads);
  return result;
}

void nvvm_wait(void) {
  ++num_waits;
  while (overlap && !is_open)
    yield();
}

uint32_t nvvm_shfl_sync_bfly_i32(uint32_t mask, uint32_t value, uint32_t lanes, uint32_t clamp) {
  threads[current].exchanged[0] = value;
  meet_warp();
  uint32_t result = threads[current ^ lanes].exchanged[0];
  meet_warp();
  return result;
}
float nvvm_shfl_sync_bfly_f32(uint32_t mask, float value, uint32_t lanes, uint32_t clamp) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  bits = nvvm_shfl_sync_bfly_i32(mask, bits, lanes, clamp);
  memcpy(&value, &bits, 4);
  return value;
}

float nvvm_shfl_sync_idx_f32(uint32_t mask, float value, uint32_t lane, uint32_t clamp) {
  memcpy(&threads[current].exchanged[0], &value, 4);
  meet_warp();
  memcpy(&value, &threads[current / WARP * WARP + lane].exchanged[0], 4);
  meet_warp();
  return value;
}

float nvvm_ex2_approx_ftz_f32(float x) { return exp2f(x); }

int nvvm_idp4a_s_s(int a, int b, int sum) {
  for (int i = 0; i < 4; ++i)
    sum += (int8_t)(a >> 8 * i) * (int8_t)(b >> 8 * i);
  return sum;
}

static float tf32(uint32_t word) {
  float value;
  word &= 0xffffe000;
  memcpy(&value, &word, 4);
  return value;
}
static uint32_t add_tf32(uint32_t a, uint32_t b, uint32_t sum) {
  float value;
  memcpy(&value, &sum, 4);
  value += tf32(a) * tf32(b);
  memcpy(&sum, &value, 4);
  return sum;
}

/* m16n8k256 of bits (and, popcount), m16n8k32 of bytes or m16n8k8 of tf32: all have 16 x 8 words of A, 8 x 8 of B. PTX ISA,
   "Matrix Fragments for mma.m16n8k32" and so on: words 0 to 3 are A, 4 and 5 B, 6 to 9 the sums and results. */
enum { BITS, BYTES, FLOATS };
void nvvm_mma(uint32_t *fragment, int kind) {
  int warp = current / WARP * WARP, lane = current % WARP;
  memcpy(threads[current].exchanged, fragment, sizeof threads[current].exchanged);
  meet_warp();
  for (int i = 0; i < 4; ++i) {
    int row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
    uint32_t sum = fragment[6 + i];
    for (int word = 0; word < 8; ++word) {
      uint32_t a = threads[warp + row % 8 * 4 + word % 4].exchanged[row / 8 + word / 4 * 2];
      uint32_t b = threads[warp + column * 4 + word % 4].exchanged[4 + word / 4];
      if (kind == BITS)
        sum += __builtin_popcount(a & b);
      else
        sum = kind == BYTES ? (uint32_t)nvvm_idp4a_s_s(a, b, sum) : add_tf32(a, b, sum);
    }
    fragment[6 + i] = sum;
  }
  meet_warp();
}

/* The runtime's own kernels (lib/Runtime/DeviceMeter.cpp), which come as PTX: eight loads of 16 bytes for each thread, and
   waiting. */

static char own_code;
static void read_memory(void *arguments) {
  const char *place = (const char *)*(uint64_t *)arguments + block_x * 32768l + current * 16;
  if (place + 7 * 4096 + 16 > memory + used)
    fail("a kernel reads behind the end of the memory");
  for (int i = 0; i < 8; ++i)
    (void)*(const volatile uint64_t *)(place + i * 4096);
}
static void wait_for_cycles(void *arguments) {}

/* Launches. */

static void run_block(int is_first) {
  int order[THREADS];
  memset(arrived, 0, sizeof arrived);
  num_waits = 0;
  is_open = !is_first;
  if (overlap && is_first)
    protect(PROT_NONE);
  for (int i = 0; i < num_threads; ++i) {
    int other = next_random() % (i + 1);
    order[i] = order[other];
    order[other] = i;
    threads[i].done = 0;
  }
  for (int left = num_threads, turns = 0; left; ++turns) {
    left = 0;
    for (int i = 0; i < num_threads; ++i) {
      if (threads[order[i]].done)
        continue;
      resume(order[i]);
      left += !threads[order[i]].done;
    }
    if (overlap && !is_open && num_waits == num_threads) {
      is_open = 1;
      protect(PROT_READ | PROT_WRITE);
    }
    if (turns == 1000000)
      fail("threads wait for ever");
  }
  if (overlap && num_waits != num_threads)
    fail("a kernel ended without waiting for those before it");
}

int cuLaunchKernel(void *function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_dim_x, unsigned block_dim_y,
                   unsigned block_dim_z, unsigned shared, void *stream, void **parameters, void **extra) {
  if (grid_z != 1 || block_dim_y != 1 || block_dim_z != 1 || block_dim_x > THREADS || shared || parameters)
    return INVALID_VALUE;
  kernel = function;
  num_threads = block_dim_x;
  memcpy(words, extra[1], *(size_t *)extra[3]);
  unsigned blocks = grid_x * grid_y, first = blocks ? next_random() % blocks : 0;
  for (unsigned i = 0; i < blocks; ++i) {
    unsigned block = (first + i) % blocks;
    block_x = block % grid_x;
    block_y = block / grid_x;
    run_block(i == 0);
  }
  return SUCCESS;
}

/* Graphs: each kernel after the one that was added before it. */

typedef struct {
  void *function;
  unsigned grid[3], block[3], shared;
  void **parameters, **extra;
  void *kernel, *context;
} Parameters; /* CUDA_KERNEL_NODE_PARAMS_v2 */

typedef struct Node {
  Parameters parameters;
  uint64_t words[WORDS];
  size_t bytes;
  struct Node *before;
} Node;

typedef struct {
  Node *last;
  int nodes;
} Graph;

int cuGraphCreate(void **graph, unsigned flags) {
  *graph = calloc(1, sizeof(Graph));
  return SUCCESS;
}
int cuGraphExecKernelNodeSetParams_v2(void *executable, void *node, const Parameters *parameters) {
  Node *n = node;
  n->parameters = *parameters;
  n->bytes = *(size_t *)parameters->extra[3];
  memcpy(n->words, parameters->extra[1], n->bytes);
  return SUCCESS;
}
int cuGraphAddKernelNode_v2(void **node, void *graph, void *const *after, size_t count, const Parameters *parameters) {
  Graph *g = graph;
  if (count > 1 || (count && after[0] != g->last))
    return INVALID_VALUE;
  Node *n = calloc(1, sizeof(Node));
  n->before = count ? after[0] : NULL;
  g->last = n;
  ++g->nodes;
  *node = n;
  return cuGraphExecKernelNodeSetParams_v2(NULL, n, parameters);
}
int cuGraphAddDependencies_v2(void *graph, void *const *from, void *const *to, const void *edges, size_t count) {
  static const unsigned char programmatic[8] = {1, 0, 1};
  if (count != 1 || to[0] != ((Graph *)graph)->last || memcmp(edges, programmatic, sizeof programmatic))
    return INVALID_VALUE;
  ((Node *)to[0])->before = from[0];
  return SUCCESS;
}
int cuGraphInstantiateWithFlags(void **executable, void *graph, unsigned long long flags) {
  Graph *g = graph;
  int reached = 0;
  for (Node *node = g->last; node; node = node->before)
    ++reached;
  *executable = graph;
  return reached == g->nodes ? SUCCESS : INVALID_VALUE;
}
static int launch_node(Node *node) {
  if (!node)
    return SUCCESS;
  int result = launch_node(node->before);
  Parameters *p = &node->parameters;
  void *extra[] = {(void *)1, node->words, (void *)2, &node->bytes, NULL};
  return result ? result
                : cuLaunchKernel(p->function, p->grid[0], p->grid[1], p->grid[2], p->block[0], p->block[1], p->block[2], p->shared,
                                 NULL, p->parameters, extra);
}
int cuGraphLaunch(void *executable, void *stream) { return launch_node(((Graph *)executable)->last); }
int cuGraphExecDestroy(void *executable) { return SUCCESS; }
int cuGraphDestroy(void *graph) { return SUCCESS; }

/* The rest. */

int cuInit(unsigned flags) {
  const char *bytes = getenv("EMULATED_BYTES");
  if (bytes)
    limit = strtoull(bytes, NULL, 10);
  overlap = getenv("EMULATED_OVERLAP") != NULL;
  if (getenv("EMULATED_COPIES"))
    setlinebuf(copies = fopen(getenv("EMULATED_COPIES"), "w"));
  memory = mmap(NULL, limit + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return SUCCESS;
}
int cuGetErrorString(int result, const char **text) {
  *text = result == OUT_OF_MEMORY ? "out of memory" : "invalid argument";
  return SUCCESS;
}
int cuDeviceGetCount(int *count) { return *count = 1, SUCCESS; }
int cuDeviceGet(int *device, int ordinal) { return *device = ordinal, SUCCESS; }
int cuDeviceGetName(char *name, int length, int device) {
  snprintf(name, length, "emulated GPU");
  return SUCCESS;
}
int cuDeviceGetAttribute(int *value, int attribute, int device) {
  if (attribute != 75 && attribute != 76) /* the chip */
    return INVALID_VALUE;
  return *value = attribute == 75 ? 9 : 0, SUCCESS;
}
int cuDevicePrimaryCtxRetain(void **context, int device) { return *context = memory, SUCCESS; }
int cuDevicePrimaryCtxRelease_v2(int device) { return SUCCESS; }
int cuCtxSetCurrent(void *context) { return SUCCESS; }
int cuModuleLoadDataEx(void **module, const void *image, unsigned count, int *options, void **values) {
  if (strstr(image, ".entry pquant_read("))
    return *module = &own_code, SUCCESS;
  dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD | RTLD_GLOBAL); /* for the kernels' calls */
  *module = dlopen(getenv("EMULATED_KERNELS"), RTLD_NOW);
  if (!*module)
    fail(dlerror());
  return SUCCESS;
}
int cuModuleUnload(void *module) { return SUCCESS; }
int cuModuleGetFunction(void **function, void *module, const char *name) {
  if (module == &own_code)
    return *function = strcmp(name, "pquant_read") ? wait_for_cycles : read_memory, SUCCESS;
  char symbol[512];
  snprintf(symbol, sizeof symbol, "call_%s", name);
  *function = dlsym(module, symbol);
  return *function ? SUCCESS : INVALID_VALUE;
}
int cuStreamCreate(void **stream, unsigned flags) { return *stream = memory, SUCCESS; }
int cuStreamDestroy_v2(void *stream) { return SUCCESS; }
int cuStreamSynchronize(void *stream) { return SUCCESS; }

/* Events: all work is done when it is launched. */

int cuEventCreate(void **event, unsigned flags) {
  *event = calloc(1, sizeof(struct timespec));
  return getenv("EMULATED_NO_EVENTS") ? INVALID_VALUE : SUCCESS;
}
int cuEventDestroy_v2(void *event) { return free(event), SUCCESS; }
int cuEventRecord(void *event, void *stream) { return clock_gettime(CLOCK_MONOTONIC, event), SUCCESS; }
int cuEventElapsedTime(float *milliseconds, void *from, void *to) {
  const struct timespec *a = from, *b = to;
  if (!a->tv_sec || !b->tv_sec)
    return INVALID_VALUE;
  *milliseconds = (b->tv_sec - a->tv_sec) * 1e3 + (b->tv_nsec - a->tv_nsec) * 1e-6;
  return SUCCESS;
}
