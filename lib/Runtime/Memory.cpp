//===- Memory.cpp - The caching allocator of a model ----------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One lock per pool: generated code allocates per layer, not per element, so
// an uncontended lock is nothing beside the work on the buffer.
//
//===----------------------------------------------------------------------===//

#include "Memory.h"

#include <cstdlib>

using namespace pquant;

namespace {
/// Holds a lock for a scope. No scope that holds one calls generated code, so
/// pquant_rt_fail never jumps over it.
struct Guard {
  explicit Guard(pthread_mutex_t &lock) : lock(lock) {
    pthread_mutex_lock(&lock);
  }
  ~Guard() { pthread_mutex_unlock(&lock); }
  pthread_mutex_t &lock;
};
} // namespace

/// floor(log2(value)), value > 0.
static int log2Floor(uint64_t value) { return 63 - __builtin_clzll(value); }

/// Rounds up to a size class; 0 when no such size can be addressed.
static uint64_t classCapacity(uint64_t bytes) {
  if (bytes > (uint64_t(1) << 62))
    return 0;
  if (bytes <= kAlignment)
    return kAlignment;
  uint64_t step = (uint64_t(1) << log2Floor(bytes - 1)) / 4;
  if (step < kAlignment)
    step = kAlignment;
  return (bytes + step - 1) / step * step;
}

/// The class of a capacity made by classCapacity: the power of two and the two
/// bits below it.
static int classIndex(uint64_t capacity) {
  int power = log2Floor(capacity);
  return power * 4 + int((capacity >> (power - 2)) & 3);
}

static Block *systemAllocate(uint64_t capacity) {
  void *memory = nullptr;
  if (posix_memalign(&memory, kAlignment, sizeof(Block) + capacity))
    return nullptr;
  Block *block = static_cast<Block *>(memory);
  *block = Block{};
  block->capacity = capacity;
  return block;
}

static void unlink(Block *block) {
  block->prev->next = block->next;
  block->next->prev = block->prev;
}

static void link(Block *block, LiveList &list) {
  block->prev = &list.head;
  block->next = list.head.next;
  block->next->prev = block;
  list.head.next = block;
}

Block *pquant::allocateUnpooled(uint64_t bytes) {
  uint64_t capacity = classCapacity(bytes);
  return capacity ? systemAllocate(capacity) : nullptr;
}

Pool *Pool::create() {
  Pool *pool = static_cast<Pool *>(calloc(1, sizeof(Pool)));
  if (!pool)
    return nullptr;
  pthread_mutex_init(&pool->lock, nullptr);
  pool->references = 1;
  return pool;
}

void Pool::retain() { __atomic_add_fetch(&references, 1, __ATOMIC_RELAXED); }

void Pool::release() {
  if (__atomic_sub_fetch(&references, 1, __ATOMIC_ACQ_REL))
    return;
  trim(~uint64_t(0));
  pthread_mutex_destroy(&lock);
  free(this);
}

Block *Pool::allocate(uint64_t bytes, LiveList &live) {
  uint64_t capacity = classCapacity(bytes);
  if (!capacity)
    return nullptr;
  Guard guard(lock);
  Block *&head = freeBlocks[classIndex(capacity)];
  Block *block = head;
  if (block) {
    head = block->next;
  } else {
    block = systemAllocate(capacity);
    if (!block) {
      trim(~uint64_t(0));
      block = systemAllocate(capacity);
    }
    if (!block)
      return nullptr;
    block->pool = this;
    held += sizeof(Block) + capacity;
    peak = held > peak ? held : peak;
  }
  link(block, live);
  return block;
}

void Pool::recycle(Block *block) {
  Guard guard(lock);
  unlink(block);
  block->freedAt = runs;
  Block *&head = freeBlocks[classIndex(block->capacity)];
  block->next = head;
  head = block;
}

void Pool::recycleAll(LiveList &live) {
  // Nobody else adds to the list of a run that has ended.
  while (live.head.next != &live.head)
    recycle(live.head.next);
}

void Pool::move(Block *block, LiveList &to) {
  Guard guard(lock);
  unlink(block);
  link(block, to);
}

void Pool::endRun() {
  Guard guard(lock);
  ++runs;
  if (runs > kKeepRuns)
    trim(runs - kKeepRuns);
}

/// Returns free blocks freed before run `olderThan` to the system. The caller
/// holds the lock or the last reference.
void Pool::trim(uint64_t olderThan) {
  for (Block *&head : freeBlocks) {
    Block **slot = &head;
    while (Block *block = *slot) {
      if (block->freedAt >= olderThan) {
        slot = &block->next;
        continue;
      }
      *slot = block->next;
      held -= sizeof(Block) + block->capacity;
      free(block);
    }
  }
}
