//===- Memory.h - The caching allocator of a model --------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A run allocates the same buffers each time, so freed blocks wait in free
// lists by size class and the next run takes them without touching the system.
// Every block starts with a header that names its pool and links it into the
// list of what its run holds, so that an aborted run can be cleaned up.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_RUNTIME_MEMORY_H
#define PQUANT_RUNTIME_MEMORY_H

#include <cstdint>
#include <pthread.h>

namespace pquant {

/// Alignment of every block: a cache line and the widest vector.
constexpr uint64_t kAlignment = 64;

class Pool;

/// The header in the 64 bytes before a block's data.
struct alignas(kAlignment) Block {
  Pool *pool;  ///< null for memory outside any run
  Block *prev; ///< neighbours in the live list or the free list
  Block *next;
  uint64_t capacity; ///< usable bytes after the header
  uint64_t freedAt;  ///< the pool's run number when it was freed

  void *data() { return this + 1; }
  static Block *of(void *data) { return static_cast<Block *>(data) - 1; }
};
static_assert(sizeof(Block) == kAlignment, "data follows the header aligned");

/// The head of a circular list of the blocks that one run (or one set of
/// results) holds. Guarded by the pool's lock.
struct LiveList {
  Block head;

  LiveList() : head{} { head.prev = head.next = &head; }
  LiveList(const LiveList &) = delete;
};

/// Blocks of one model. Counted: the model and each set of results hold it.
class Pool {
public:
  /// Null when out of memory.
  static Pool *create();
  void retain();
  void release();

  /// A block for `bytes` bytes, on `live`; null when out of memory.
  Block *allocate(uint64_t bytes, LiveList &live);
  /// Takes the block off its live list and keeps it for reuse.
  void recycle(Block *block);
  /// Recycles everything on `live`.
  void recycleAll(LiveList &live);
  /// Moves a block from its list to `to`.
  void move(Block *block, LiveList &to);
  /// Marks the end of a run: blocks that no recent run took go back to the
  /// system, so that a long prompt does not hold its memory for ever.
  void endRun();

  /// Bytes taken from the system, and the most so far.
  uint64_t heldBytes() const { return held; }
  uint64_t peakBytes() const { return peak; }
  void resetPeak() { peak = held; }

private:
  /// Four classes per power of two: at most a quarter of a block is unused.
  static constexpr int kClasses = 4 * 64;
  /// Runs that a free block survives.
  static constexpr uint64_t kKeepRuns = 16;

  void trim(uint64_t olderThan);

  pthread_mutex_t lock;
  int64_t references;
  uint64_t runs;
  uint64_t held, peak;
  Block *freeBlocks[kClasses];
};

/// Memory outside any run, from the system; null when out of memory.
Block *allocateUnpooled(uint64_t bytes);

} // namespace pquant

#endif // PQUANT_RUNTIME_MEMORY_H
