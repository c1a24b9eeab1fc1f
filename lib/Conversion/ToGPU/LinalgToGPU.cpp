//===- LinalgToGPU.cpp - linalg on GPU memory to launches -----------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Input: linalg ops on memrefs. Output: a gpu.launch for each that is not the
// host's: a thread for each point of the parallel dimensions, which runs the
// reduction in order; or a block, whose threads share a long reduction out and
// combine what they have. Small ops that follow one another, single rows of
// pqk.quantize among them, share a launch of one block (BlockLaunch.cpp).
//
//===----------------------------------------------------------------------===//

#include "pquant/Conversion/Passes.h"

#include "BlockLaunch.h"
#include "LaunchRuns.h"
#include "RowViews.h"
#include "mlir/Dialect/Affine/Utils.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "pquant/Conversion/ToGPU.h"

namespace pquant {
#define GEN_PASS_DEF_LINALGTOGPUPASS
#include "pquant/Conversion/Passes.h.inc"
} // namespace pquant

using namespace mlir;
using namespace pquant;

/// Threads of one of many blocks.
static constexpr int64_t kThreads = 256;
/// Points of a thread where there are many, so that it has as many loads on the
/// way.
static constexpr int64_t kThreadPoints = 4, kManyPoints = 1 << 16;
/// Long reductions that one block takes: then the launch can be merged with its
/// neighbours, which saves more than other blocks would.
static constexpr int64_t kBlockRows = 8;

namespace {
/// Writes the launch of one op.
class OpToLaunch {
public:
  explicit OpToLaunch(linalg::GenericOp op) : op(op) {}
  void emit(OpBuilder &builder);

private:
  /// The number of points of the dimensions of one kind; none where it is not
  /// static.
  std::optional<int64_t> staticCount(utils::IteratorType kind);
  void emitPoints(OpBuilder &builder);
  void emitPoint(KernelBuilder &b, Value linear, Value reductions);
  void emitManyPoints(OpBuilder &builder);
  void emitRow(KernelBuilder &b, const GPUBlock &block, Value row,
               Value reductions, Operation *combiner);
  void emitRows(OpBuilder &builder, Operation *combiner);

  /// `linear` taken apart into `dims`, or the dimensions of one kind.
  void splitIndex(KernelBuilder &b, Value linear, ArrayRef<unsigned> dims,
                  SmallVector<Value> &point);
  void splitIndex(KernelBuilder &b, Value linear, utils::IteratorType kind,
                  SmallVector<Value> &point);
  Value count(OpBuilder &builder, utils::IteratorType kind);
  SmallVector<Value> indices(KernelBuilder &b, OpOperand &operand,
                             ValueRange point);
  /// The yielded values at a point, given those of the outputs so far.
  SmallVector<Value> compute(KernelBuilder &b, ValueRange point,
                             ValueRange outputs);
  SmallVector<Value> loadOutputs(KernelBuilder &b, ValueRange point);
  void storeOutputs(KernelBuilder &b, ValueRange point, ValueRange values);

  linalg::GenericOp op;
  SmallVector<Value> sizes;
};
} // namespace

static constexpr auto kParallel = utils::IteratorType::parallel;
static constexpr auto kReduction = utils::IteratorType::reduction;

Value OpToLaunch::count(OpBuilder &builder, utils::IteratorType kind) {
  Value product = arith::ConstantIndexOp::create(builder, op.getLoc(), 1);
  for (auto [size, iterator] : llvm::zip(sizes, op.getIteratorTypesArray()))
    if (iterator == kind)
      product = arith::MulIOp::create(builder, op.getLoc(), product, size);
  return product;
}

void OpToLaunch::splitIndex(KernelBuilder &b, Value linear,
                            utils::IteratorType kind,
                            SmallVector<Value> &point) {
  SmallVector<unsigned> dims;
  for (auto [i, iterator] : llvm::enumerate(op.getIteratorTypesArray()))
    if (iterator == kind)
      dims.push_back(i);
  splitIndex(b, linear, dims, point);
}

void OpToLaunch::splitIndex(KernelBuilder &b, Value linear,
                            ArrayRef<unsigned> dims,
                            SmallVector<Value> &point) {
  for (unsigned dim : llvm::reverse(dims.drop_front(!dims.empty()))) {
    point[dim] = arith::RemUIOp::create(b, linear, sizes[dim]);
    linear = arith::DivUIOp::create(b, linear, sizes[dim]);
  }
  if (!dims.empty())
    point[dims.front()] = linear;
}

SmallVector<Value> OpToLaunch::indices(KernelBuilder &b, OpOperand &operand,
                                       ValueRange point) {
  AffineMap map = op.getMatchingIndexingMap(&operand);
  std::optional<SmallVector<Value, 8>> values =
      affine::expandAffineMap(b, b.getLoc(), map, point);
  return SmallVector<Value>(values->begin(), values->end());
}

SmallVector<Value> OpToLaunch::compute(KernelBuilder &b, ValueRange point,
                                       ValueRange outputs) {
  IRMapping mapping;
  for (OpOperand *input : op.getDpsInputOperands()) {
    Value value = input->get();
    if (isa<MemRefType>(value.getType()))
      value = b.load(value, indices(b, *input, point));
    mapping.map(op.getMatchingBlockArgument(input), value);
  }
  for (auto [argument, value] : llvm::zip(op.getRegionOutputArgs(), outputs))
    mapping.map(argument, value);
  return cloneBody(b, op, mapping, point);
}

SmallVector<Value> OpToLaunch::loadOutputs(KernelBuilder &b, ValueRange point) {
  SmallVector<Value> values;
  for (OpOperand &output : op.getDpsInitsMutable())
    values.push_back(b.load(output.get(), indices(b, output, point)));
  return values;
}

void OpToLaunch::storeOutputs(KernelBuilder &b, ValueRange point,
                              ValueRange values) {
  for (auto [output, value] : llvm::zip(op.getDpsInitsMutable(), values))
    b.store(value, output.get(), indices(b, output, point));
}

/// One point; its reduction is a loop over the rest.
void OpToLaunch::emitPoint(KernelBuilder &b, Value linear, Value reductions) {
  SmallVector<Value> point(sizes.size());
  splitIndex(b, linear, kParallel, point);
  if (op.getNumReductionLoops() == 0)
    return storeOutputs(b, point, compute(b, point, loadOutputs(b, point)));
  // Outputs do not depend on the dimensions of the reduction.
  SmallVector<Value> outer(point);
  for (Value &index : outer)
    index = index ? index : b.index(0);
  SmallVector<Value> results =
      b.forLoop(b.index(0), reductions, 1, loadOutputs(b, outer),
                [&](Value step, ValueRange carried) {
                  SmallVector<Value> inner(point);
                  splitIndex(b, step, kReduction, inner);
                  return compute(b, inner, carried);
                });
  storeOutputs(b, outer, results);
}

/// An op without reductions: a thread has every kThreads-th of a block's
/// points, and computes all before it stores the first. Where a size by which
/// points would be divided is dynamic, the outermost dimension is the grid's
/// second.
void OpToLaunch::emitManyPoints(OpBuilder &builder) {
  SmallVector<int64_t> known = op.getStaticLoopRanges();
  SmallVector<unsigned> dims;
  for (unsigned dim = 0; dim < known.size(); ++dim)
    if (known[dim] != 1)
      dims.push_back(dim);
  bool dividesByDynamic =
      llvm::any_of(ArrayRef(dims).drop_front(), [&](unsigned dim) {
        return ShapedType::isDynamic(known[dim]);
      });
  std::optional<unsigned> outer;
  if (dividesByDynamic) {
    outer = dims.front();
    dims.erase(dims.begin());
  }
  KernelBuilder host(op.getLoc(), builder);
  Value points = host.index(1);
  for (unsigned dim : dims)
    points = host.mul(points, sizes[dim]);
  SmallVector<Value> grid = {host.ceilDiv(points, kThreads * kThreadPoints)};
  if (outer)
    grid.push_back(sizes[*outer]);
  buildLaunch(
      builder, op.getLoc(), grid, kThreads, {},
      [&](KernelBuilder &b, const GPUBlock &block) {
        Value first =
            b.add(b.mul(block.x, kThreads * kThreadPoints), block.thread);
        Value last = b.sub(points, b.index(1));
        SmallVector<SmallVector<Value>> places, results;
        SmallVector<Value> isInside;
        for (int64_t i = 0; i < kThreadPoints; ++i) {
          Value linear = b.add(first, i * kThreads);
          isInside.push_back(
              b.compare(arith::CmpIPredicate::ult, linear, points));
          SmallVector<Value> point(sizes.size(), b.index(0));
          if (outer)
            point[*outer] = block.y;
          splitIndex(b, arith::MinUIOp::create(b, linear, last), dims, point);
          results.push_back(compute(b, point, loadOutputs(b, point)));
          places.push_back(point);
        }
        for (int64_t i = 0; i < kThreadPoints; ++i)
          b.ifElse(isInside[i],
                   [&] { storeOutputs(b, places[i], results[i]); });
      });
}

/// A thread for each point or for a few, or one block for all when they are
/// few.
void OpToLaunch::emitPoints(OpBuilder &builder) {
  Location loc = op.getLoc();
  Value points = count(builder, kParallel);
  Value reductions = count(builder, kReduction);
  std::optional<int64_t> known = staticCount(kParallel);
  if (known && *known <= kBlockPoints)
    return buildLaunch(
        builder, loc, {}, kBlockThreads, {},
        [&](KernelBuilder &b, const GPUBlock &block) {
          b.forLoop(block.thread, points, kBlockThreads,
                    [&](Value linear) { emitPoint(b, linear, reductions); });
        });
  if (op.getNumReductionLoops() == 0 && (!known || *known > kManyPoints))
    return emitManyPoints(builder);
  Value threads = arith::ConstantIndexOp::create(builder, loc, kThreads);
  Value blocks = arith::CeilDivUIOp::create(builder, loc, points, threads);
  buildLaunch(builder, loc, blocks, kThreads, {},
              [&](KernelBuilder &b, const GPUBlock &block) {
                Value linear = b.add(b.mul(block.x, kThreads), block.thread);
                b.ifElse(b.compare(arith::CmpIPredicate::ult, linear, points),
                         [&] { emitPoint(b, linear, reductions); });
              });
}

std::optional<int64_t> OpToLaunch::staticCount(utils::IteratorType kind) {
  int64_t product = 1;
  for (auto [size, iterator] :
       llvm::zip(op.getStaticLoopRanges(), op.getIteratorTypesArray())) {
    if (iterator != kind)
      continue;
    if (ShapedType::isDynamic(size))
      return std::nullopt;
    product *= size;
  }
  return product;
}

/// One point; the threads take every kBlockThreads-th step of its reduction, or
/// four steps at a time: the order of BlockLaunch, so that one row and many
/// have the same sums.
void OpToLaunch::emitRow(KernelBuilder &b, const GPUBlock &block, Value row,
                         Value reductions, Operation *combiner) {
  SmallVector<Value> point(sizes.size());
  splitIndex(b, row, kParallel, point);
  Value neutral =
      arith::ConstantOp::create(b, *arith::getNeutralElement(combiner));
  int64_t lanes =
      BlockLaunch::lanesOf(staticCount(kReduction).value_or(/*odd=*/1));
  Value partial =
      b.forLoop(b.mul(block.thread, lanes), reductions, kBlockThreads * lanes,
                neutral,
                [&](Value step, ValueRange carried) {
                  SmallVector<Value> values(carried);
                  for (int64_t lane = 0; lane < lanes; ++lane) {
                    SmallVector<Value> inner(point);
                    splitIndex(b, b.add(step, lane), kReduction, inner);
                    values = compute(b, inner, values);
                  }
                  return values;
                })
          .front();
  auto combine = [&](Value x, Value y) { return combineBy(b, combiner, x, y); };
  Value sum =
      blockReduce(b, block, kBlockThreads, block.shared[0], partial, combine);
  SmallVector<Value> outer(point);
  for (Value &index : outer)
    index = index ? index : b.index(0);
  b.ifElse(b.compare(arith::CmpIPredicate::eq, block.thread, b.index(0)), [&] {
    Value before = loadOutputs(b, outer).front();
    storeOutputs(b, outer, combine(before, sum));
  });
}

/// A block for each point, or one for all when they are few.
void OpToLaunch::emitRows(OpBuilder &builder, Operation *combiner) {
  Value points = count(builder, kParallel);
  Value reductions = count(builder, kReduction);
  Type element = op.getRegionOutputArgs().front().getType();
  Type scratch = getSharedType({kBlockThreads / 32}, element);
  std::optional<int64_t> known = staticCount(kParallel);
  if (!known || *known > kBlockRows)
    return buildLaunch(builder, op.getLoc(), points, kBlockThreads, scratch,
                       [&](KernelBuilder &b, const GPUBlock &block) {
                         emitRow(b, block, block.x, reductions, combiner);
                       });
  buildLaunch(builder, op.getLoc(), {}, kBlockThreads, scratch,
              [&](KernelBuilder &b, const GPUBlock &block) {
                b.forLoop(b.index(0), points, 1, [&](Value row) {
                  emitRow(b, block, row, reductions, combiner);
                  gpu::BarrierOp::create(b); // the scratch is used again
                });
              });
}

void OpToLaunch::emit(OpBuilder &builder) {
  for (Range range : cast<linalg::LinalgOp>(op.getOperation())
                         .createLoopRanges(builder, op.getLoc()))
    sizes.push_back(
        getValueOrCreateConstantIndexOp(builder, op.getLoc(), range.size));
  Operation *combiner = findCombiner(op);
  std::optional<int64_t> length = staticCount(kReduction);
  if (combiner && (!length || *length > kShortReduction))
    emitRows(builder, combiner);
  else
    emitPoints(builder);
}

namespace {
struct LinalgToGPUPass : pquant::impl::LinalgToGPUPassBase<LinalgToGPUPass> {
  void runOnOperation() override;

private:
  /// Copies and named ops as linalg.generic.
  LogicalResult generalize(IRRewriter &rewriter, Operation *op);
};
} // namespace

LogicalResult LinalgToGPUPass::generalize(IRRewriter &rewriter, Operation *op) {
  rewriter.setInsertionPoint(op);
  if (auto copy = dyn_cast<memref::CopyOp>(op)) {
    Operation *linalg = linalg::makeMemRefCopyOp(
        rewriter, copy.getLoc(), copy.getSource(), copy.getTarget());
    rewriter.eraseOp(op);
    op = linalg;
  }
  rewriter.setInsertionPoint(op);
  FailureOr<linalg::GenericOp> generic =
      linalg::generalizeNamedOp(rewriter, cast<linalg::LinalgOp>(op));
  auto kernel = succeeded(generic) ? *generic : dyn_cast<linalg::GenericOp>(op);
  if (!kernel || !kernel.hasPureBufferSemantics())
    return op->emitOpError("has no lowering to a GPU");
  return success();
}

void LinalgToGPUPass::runOnOperation() {
  IRRewriter rewriter(&getContext());
  SmallVector<Operation *> ops;
  SmallVector<Block *> blocks;
  getOperation()->walk([&](Operation *op) {
    if (isa<linalg::LinalgOp, memref::CopyOp>(op) &&
        !op->hasAttr(kHostAttrName))
      ops.push_back(op);
  });
  for (Operation *op : ops)
    if (failed(generalize(rewriter, op)))
      return signalPassFailure();
  foldSizes(getOperation());
  getOperation()->walk([&](Block *block) {
    if (!isTensorWork(block->getParentOp()))
      blocks.push_back(block);
  });
  for (Block *block : blocks)
    convertRuns(*block);
  SmallVector<linalg::GenericOp> rest;
  getOperation()->walk([&](linalg::GenericOp op) {
    if (!op->hasAttr(kHostAttrName))
      rest.push_back(op);
  });
  for (linalg::GenericOp op : rest) {
    rewriter.setInsertionPoint(op);
    OpToLaunch(op).emit(rewriter);
    rewriter.eraseOp(op);
  }
  eraseUnread(getOperation());
}
