//===- BlockLaunch.h - Small ops as one launch of one block -----*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Ops on a row of a few thousand elements cost what their loads, stores and
// barriers wait for. So ops that follow one another share a block, whose
// threads keep their elements in registers: an element that its own thread has
// computed is not loaded again, barriers stand only where a thread reads what
// another one wrote, and loads that depend on none of the ops come first. Of
// many rows each has a block.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_CONVERSION_BLOCKLAUNCH_H
#define PQUANT_LIB_CONVERSION_BLOCKLAUNCH_H

#include "BlockAccess.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/IRMapping.h"
#include "pquant/Conversion/ToGPU.h"

namespace pquant {

/// Points of ops with one row that a block takes; of more, other blocks save
/// more than the launch.
inline constexpr int64_t kBlockPoints = 8 * kBlockThreads;
/// Reductions up to this length are not shared by threads.
inline constexpr int64_t kShortReduction = 32;

/// The op that combines two partial results of a reduction; null when threads
/// cannot share it.
Operation *findCombiner(mlir::linalg::GenericOp op);
/// Both together.
Value combineBy(KernelBuilder &b, Operation *combiner, Value x, Value y);

/// The yielded values at a point of the loops; `mapping` has the arguments.
SmallVector<Value> cloneBody(KernelBuilder &b, mlir::linalg::GenericOp op,
                             mlir::IRMapping &mapping, ValueRange point);

class BlockLaunch {
public:
  /// The points of `op` for a block, if it can be part: elementwise on few
  /// points, the reduction of a row to one element or a few, or the quantiser
  /// of one row. Of an op on many rows, `rows` is the loop that goes over them,
  /// and the points are those of a row.
  static std::optional<int64_t> accepts(Operation *op,
                                        std::optional<unsigned> rows = {});
  /// How many of `count` points that follow one another a thread takes.
  static int64_t lanesOf(int64_t count);
  /// Threads for ops of up to `points` points: with as many as have some, sums
  /// are those of kBlockThreads, bit for bit.
  static int64_t threadsFor(int64_t points);

  /// Begins the launch; `add` the ops in their order, then `finish`.
  BlockLaunch(OpBuilder &builder, Location loc);
  /// Of a block for each row. `views` makes what the ops take of a row.
  BlockLaunch(OpBuilder &builder, Location loc, Value rows, int64_t threads,
              function_ref<void(KernelBuilder &, Value row)> views);
  void add(Operation *op);
  void finish();

private:
  /// The elements of a thread: those of `lanes` points for each round.
  using Elements = SmallVector<SmallVector<Value>>;
  /// How threads share `count` points: round i of thread t begins at point
  /// (threads i + t) * lanes.
  struct Share {
    Share(int64_t count, int64_t threads);
    /// Whether every thread has points in this round.
    bool isFull(int64_t round) const;
    int64_t count, threads, lanes, rounds;
  };
  struct Known {
    BlockAccess access;
    Elements elements;
  };

  Share shareOf(int64_t count) const { return Share(count, threads); }
  void open(OpBuilder &builder, Location loc, ArrayRef<Value> grid);
  /// The first of a thread's points in a round; of threads that have none, 0.
  Value firstPoint(const Share &share, int64_t round);
  /// Whether the thread has points in a round that is not full.
  Value isInside(const Share &share, int64_t round);
  SmallVector<Value> splitPoint(Value linear, ArrayRef<int64_t> sizes);
  SmallVector<Value> pointOf(const Share &share, int64_t round, int64_t lane,
                             ArrayRef<int64_t> sizes);
  SmallVector<Value> indicesAt(mlir::AffineMap map, ValueRange point);

  Elements read(Value memref, mlir::AffineMap map, ArrayRef<int64_t> sizes,
                const Share &share);
  Elements loadElements(Value memref, mlir::AffineMap map,
                        ArrayRef<int64_t> sizes, const Share &share,
                        bool uniform);
  void write(Value memref, mlir::AffineMap map, ArrayRef<int64_t> sizes,
             const Share &share, Elements elements);
  void storeElements(Value memref, mlir::AffineMap map, ArrayRef<int64_t> sizes,
                     const Share &share, const Elements &elements);
  /// Stores on a condition; always where that is null.
  void guard(Value condition, function_ref<void()> body);
  void remember(const BlockAccess &access, Elements elements);
  void forget(const BlockAccess &access);
  /// The value that all elements of an access are known to have, one from
  /// outside of the launch; else null.
  Value findUniform(const BlockAccess &access) const;

  /// A barrier, where an access would meet another thread's.
  void orderLoad(const BlockAccess &access);
  void orderStore(const BlockAccess &access);
  /// Orders what the body of `op` reads at places of its own.
  void orderInside(mlir::linalg::GenericOp op);
  void barrier();
  /// Makes `body` emit behind `place`, which moves on.
  void early(Operation *&place, function_ref<void()> body);
  void startSegment();

  /// The inputs of `op` at the thread's points of loops of `sizes`, by the
  /// maps that `adapt` makes of the op's; a scalar is the same at all.
  SmallVector<Elements>
  readInputs(mlir::linalg::GenericOp op, ArrayRef<int64_t> sizes,
             const Share &share,
             function_ref<mlir::AffineMap(mlir::AffineMap)> adapt = {});
  SmallVector<Value> compute(mlir::linalg::GenericOp op, ValueRange inputs,
                             ValueRange outputs, ValueRange point);
  void addElementwise(mlir::linalg::GenericOp op);
  /// What the thread's elements give; `sizes` are those of the loops.
  Value reduceOwn(mlir::linalg::GenericOp op, ArrayRef<Elements> inputs,
                  const Share &share, ArrayRef<int64_t> sizes);
  void addReduction(mlir::linalg::GenericOp op);
  void addReductions(mlir::linalg::GenericOp op);
  void addShortReduction(mlir::linalg::GenericOp op);
  void addQuantize(Operation *op);
  Value reduce(Value value, function_ref<Value(Value, Value)> combine);

  mlir::gpu::LaunchOp launch;
  int64_t threads;
  KernelBuilder b;
  GPUBlock block;
  /// What was loaded and stored since the last barrier, and stored at all.
  SmallVector<BlockAccess> loaded, stored, everStored;
  /// What each thread has in registers.
  SmallVector<Known> known;
  /// Behind these stand loads at the start of the body (null: where it begins)
  /// and behind the last barrier.
  Operation *top = nullptr, *segment = nullptr;
};

} // namespace pquant

#endif // PQUANT_LIB_CONVERSION_BLOCKLAUNCH_H
