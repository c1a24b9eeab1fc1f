//===- BlockOps.cpp - The ops of a launch of one block --------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Which ops BlockLaunch takes, and the arithmetic of each.
//
//===----------------------------------------------------------------------===//

#include "BlockLaunch.h"

#include "dialects/PQKernel/PQKernelDialect.h"
#include "mlir/Analysis/SliceAnalysis.h"

using namespace mlir;
using namespace pquant;

/// Elements of a row, and points of an elementwise op that has one row, that a
/// block takes: of more, other blocks save more than the launch.
static constexpr int64_t kLongestRow = 16 * kBlockThreads,
                         kMostPoints = 8 * kBlockThreads;
/// Reductions up to this length are run by every thread.
static constexpr int64_t kShortReduction = 32;

static bool isParallel(utils::IteratorType type) {
  return type == utils::IteratorType::parallel;
}

Operation *pquant::findCombiner(linalg::GenericOp op) {
  if (op.getNumDpsInits() != 1 || op.getNumReductionLoops() == 0)
    return nullptr;
  Type element = op.getRegionOutputArgs().front().getType();
  if (!element.isF32() && !element.isInteger(32))
    return nullptr;
  SmallVector<Operation *> combiners;
  if (!matchReduction(op.getRegionOutputArgs(), 0, combiners) ||
      combiners.size() != 1 || !arith::getNeutralElement(combiners.front()))
    return nullptr;
  return combiners.front();
}

SmallVector<Value> pquant::cloneBody(KernelBuilder &b, linalg::GenericOp op,
                                     IRMapping &mapping, ValueRange point) {
  Block *body = op.getBlock();
  for (Operation &inner : body->without_terminator()) {
    if (auto index = dyn_cast<linalg::IndexOp>(inner))
      mapping.map(index.getResult(), point[index.getDim()]);
    else
      b.clone(inner, mapping);
  }
  SmallVector<Value> results;
  for (Value value : body->getTerminator()->getOperands())
    results.push_back(mapping.lookupOrDefault(value));
  return results;
}

/// A row fits into registers.
static std::optional<int64_t> acceptsQuantize(pqk::QuantizeOp op,
                                              bool isOfRows) {
  auto input = cast<MemRefType>(op.getInput().getType());
  auto values = cast<MemRefType>(op.getValues().getType());
  int64_t columns = input.getDimSize(1);
  if (ShapedType::isDynamic(columns) || columns < 1 || columns > kLongestRow ||
      ShapedType::isDynamic(values.getDimSize(1)) ||
      !input.isLastDimUnitStride() || !values.isLastDimUnitStride() ||
      (!isOfRows && (input.getDimSize(0) != 1 || values.getDimSize(0) != 1)))
    return std::nullopt;
  return columns;
}

/// Whether a memref, or each of the rows that loop `rows` goes over, has one
/// element.
static bool isOneElement(MemRefType type, AffineMap map,
                         std::optional<unsigned> rows) {
  for (auto [size, result] : llvm::zip_equal(type.getShape(), map.getResults()))
    if (size != 1 &&
        (!rows || result != getAffineDimExpr(*rows, map.getContext())))
      return false;
  return true;
}

std::optional<int64_t> BlockLaunch::accepts(Operation *op,
                                            std::optional<unsigned> rows) {
  if (auto quantize = dyn_cast<pqk::QuantizeOp>(op))
    return acceptsQuantize(quantize, rows.has_value());
  auto generic = dyn_cast<linalg::GenericOp>(op);
  if (!generic || !generic.hasPureBufferSemantics())
    return std::nullopt;
  SmallVector<int64_t> ranges = generic.getStaticLoopRanges();
  if (rows)
    ranges[*rows] = 1;
  int64_t points = 1, reductions = 1;
  for (auto [size, type] :
       llvm::zip_equal(ranges, generic.getIteratorTypesArray())) {
    if (ShapedType::isDynamic(size) || size < 1)
      return std::nullopt;
    (isParallel(type) ? points : reductions) *= size;
  }
  if (generic.getNumReductionLoops()) {
    for (OpOperand &init : generic.getDpsInitsMutable())
      if (!isOneElement(cast<MemRefType>(init.get().getType()),
                        generic.getMatchingIndexingMap(&init), rows))
        return std::nullopt;
    bool isShort = reductions <= kShortReduction;
    if (points != 1 || reductions > kLongestRow ||
        (!isShort && !findCombiner(generic)))
      return std::nullopt;
    return reductions;
  }
  // Each point has an element of its own.
  for (OpOperand &init : generic.getDpsInitsMutable()) {
    AffineMap map = generic.getMatchingIndexingMap(&init);
    for (auto [dim, size] : llvm::enumerate(ranges))
      if (size != 1 && !map.isFunctionOfDim(dim))
        return std::nullopt;
    if (!map.isProjectedPermutation(/*allowZeroInResults=*/true))
      return std::nullopt;
  }
  if (points > (rows ? kLongestRow : kMostPoints))
    return std::nullopt;
  return points;
}

SmallVector<Value> BlockLaunch::compute(linalg::GenericOp op, ValueRange inputs,
                                        ValueRange outputs, ValueRange point) {
  IRMapping mapping;
  mapping.map(op.getRegionInputArgs(), inputs);
  for (auto [argument, value] : llvm::zip(op.getRegionOutputArgs(), outputs))
    if (value)
      mapping.map(argument, value);
  return cloneBody(b, op, mapping, point);
}

/// The memory that the body of `op` reads at places of its own.
static SmallVector<Value> getReadInside(linalg::GenericOp op) {
  SmallVector<Value> memory;
  op.getBlock()->walk([&](Operation *inner) {
    for (Value operand : inner->getOperands())
      if (isa<MemRefType>(operand.getType()))
        memory.push_back(operand);
  });
  return memory;
}

Value BlockLaunch::reduce(Value value,
                          function_ref<Value(Value, Value)> combine) {
  Type scratch = getSharedType({threads / 32}, value.getType());
  SmallVector<Value> shared = {
      launch.addWorkgroupAttribution(scratch, b.getLoc())};
  value = blockReduce(b, block, threads, shared[0], value, combine);
  startSegment(); // behind the barrier in it
  return value;
}

SmallVector<BlockLaunch::Elements>
BlockLaunch::readInputs(linalg::GenericOp op, ArrayRef<int64_t> sizes,
                        const Share &share) {
  SmallVector<Elements> inputs;
  for (OpOperand *input : op.getDpsInputOperands())
    inputs.push_back(
        isa<MemRefType>(input->get().getType())
            ? read(input->get(), op.getMatchingIndexingMap(input), sizes, share)
            : Elements(share.rounds,
                       SmallVector<Value>(share.lanes, input->get())));
  return inputs;
}

void BlockLaunch::addElementwise(linalg::GenericOp op) {
  SmallVector<int64_t> sizes = op.getStaticLoopRanges();
  int64_t count = 1;
  for (int64_t size : sizes)
    count *= size;
  Share share = shareOf(count);
  SmallVector<Elements> inputs = readInputs(op, sizes, share);
  SmallVector<Elements> results(op.getNumDpsInits());
  SmallVector<Elements> before(op.getNumDpsInits());
  for (auto [i, init] : llvm::enumerate(op.getDpsInitsMutable()))
    if (op.payloadUsesValueFromOperand(&init))
      before[i] =
          read(init.get(), op.getMatchingIndexingMap(&init), sizes, share);
  for (Value memory : getReadInside(op)) {
    orderLoad(BlockAccess::anywhere(memory));
    loaded.push_back(BlockAccess::anywhere(memory));
  }
  for (Elements &result : results)
    result.resize(share.rounds);
  for (int64_t round = 0; round < share.rounds; ++round)
    for (int64_t lane = 0; lane < share.lanes; ++lane) {
      SmallVector<Value> in, out;
      for (const Elements &input : inputs)
        in.push_back(input[round][lane]);
      for (const Elements &value : before)
        out.push_back(value.empty() ? Value() : value[round][lane]);
      SmallVector<Value> point;
      if (op.hasIndexSemantics())
        point = pointOf(share, round, lane, sizes);
      for (auto [i, value] : llvm::enumerate(compute(op, in, out, point)))
        results[i][round].push_back(value);
    }
  for (auto [i, init] : llvm::enumerate(op.getDpsInitsMutable()))
    write(init.get(), op.getMatchingIndexingMap(&init), sizes, share,
          results[i]);
}

void BlockLaunch::addReduction(linalg::GenericOp op) {
  SmallVector<int64_t> sizes = op.getStaticLoopRanges();
  int64_t count = 1;
  for (int64_t size : sizes)
    count *= size;
  Share share = shareOf(count), one = shareOf(1);
  SmallVector<Elements> inputs = readInputs(op, sizes, share);
  OpOperand &init = *op.getDpsInitsMutable().begin();
  AffineMap map = op.getMatchingIndexingMap(&init);
  Elements before = read(init.get(), map, sizes, one);
  for (Value memory : getReadInside(op)) {
    orderLoad(BlockAccess::anywhere(memory));
    loaded.push_back(BlockAccess::anywhere(memory));
  }
  Operation *combiner = findCombiner(op);
  Value partial =
      arith::ConstantOp::create(b, *arith::getNeutralElement(combiner));
  for (int64_t round = 0; round < share.rounds; ++round) {
    Value next = partial;
    for (int64_t lane = 0; lane < share.lanes; ++lane) {
      SmallVector<Value> in;
      for (const Elements &input : inputs)
        in.push_back(input[round][lane]);
      SmallVector<Value> point;
      if (op.hasIndexSemantics())
        point = pointOf(share, round, lane, sizes);
      next = compute(op, in, next, point).front();
    }
    partial = share.isFull(round)
                  ? next
                  : b.select(isInside(share, round), next, partial);
  }
  auto combine = [&](Value x, Value y) {
    OperationState state(b.getLoc(), combiner->getName(), {x, y},
                         {x.getType()});
    return b.create(state)->getResult(0);
  };
  Value total = combine(before.front().front(), reduce(partial, combine));
  write(init.get(), map, sizes, one, {{total}});
}

/// Of a few elements, by every thread; it need not be associative.
void BlockLaunch::addShortReduction(linalg::GenericOp op) {
  SmallVector<int64_t> sizes = op.getStaticLoopRanges();
  int64_t count = 1;
  for (int64_t size : sizes)
    count *= size;
  Share one = shareOf(1);
  SmallVector<Value> results;
  for (OpOperand &init : op.getDpsInitsMutable())
    results.push_back(
        read(init.get(), op.getMatchingIndexingMap(&init), sizes, one)
            .front()
            .front());
  SmallVector<BlockAccess> accesses;
  for (OpOperand *input : op.getDpsInputOperands())
    if (isa<MemRefType>(input->get().getType()))
      accesses.push_back(BlockAccess::anywhere(input->get()));
  for (Value memory : getReadInside(op))
    accesses.push_back(BlockAccess::anywhere(memory));
  for (const BlockAccess &access : accesses) {
    orderLoad(access);
    loaded.push_back(access);
  }
  for (int64_t i = 0; i < count; ++i) {
    SmallVector<Value> point = splitPoint(b.index(i), sizes), inputs;
    for (OpOperand *input : op.getDpsInputOperands()) {
      AffineMap map = op.getMatchingIndexingMap(input);
      inputs.push_back(isa<MemRefType>(input->get().getType())
                           ? b.load(input->get(), indicesAt(map, point))
                           : input->get());
    }
    results = compute(op, inputs, results, point);
  }
  for (auto [init, result] : llvm::zip_equal(op.getDpsInitsMutable(), results))
    write(init.get(), op.getMatchingIndexingMap(&init), sizes, one, {{result}});
}

void BlockLaunch::addQuantize(Operation *operation) {
  auto op = cast<pqk::QuantizeOp>(operation);
  QuantizerAttr quantizer = op.getQuantizer();
  auto input = cast<MemRefType>(op.getInput().getType());
  int64_t columns = input.getDimSize(1);
  AffineMap matrix = b.getMultiDimIdentityMap(2);
  SmallVector<int64_t> sizes = {1, columns};
  Share share = shareOf(columns), one = shareOf(1);
  Elements x = read(op.getInput(), matrix, sizes, share);
  Value zero = b.constant(b.getI32Type(), 0), largest = zero;
  for (int64_t round = 0; round < share.rounds; ++round) {
    // Threads without points have the first one's.
    for (Value value : x[round])
      largest = b.max(largest, quantizerMagnitude(b, value));
  }
  largest = reduce(largest, [&](Value x, Value y) { return b.max(x, y); });
  auto [factor, step] = quantizerFactor(b, quantizer, largest);
  Elements bytes(share.rounds);
  Value sum = zero;
  for (int64_t round = 0; round < share.rounds; ++round) {
    Value next = sum;
    for (Value value : x[round]) {
      Value q = quantizerRound(b, quantizer, value, factor);
      next = b.add(next, q);
      bytes[round].push_back(b.truncate(q, b.getI8Type()));
    }
    sum = share.isFull(round) ? next
                              : b.select(isInside(share, round), next, sum);
  }
  BlockAccess values = BlockAccess::anywhere(op.getValues());
  orderStore(values);
  storeElements(op.getValues(), matrix, sizes, share, bytes);
  stored.push_back(values);
  everStored.push_back(values);
  llvm::erase_if(
      known, [&](const Known &other) { return values.mayTouch(other.access); });
  int64_t padded = cast<MemRefType>(op.getValues().getType()).getDimSize(1);
  if (columns < padded)
    b.forLoop(b.add(block.thread, columns), b.index(padded), threads,
              [&](Value k) {
                b.store(b.constant(b.getI8Type(), 0), op.getValues(),
                        {b.index(0), k});
              });
  sum = reduce(sum, [&](Value x, Value y) { return b.add(x, y); });
  AffineMap row = AffineMap::get(1, 0, b.getAffineDimExpr(0));
  write(op.getScale(), row, {1}, one, {{step}});
  write(op.getSum(), row, {1}, one, {{sum}});
}

void BlockLaunch::add(Operation *op) {
  if (isa<pqk::QuantizeOp>(op))
    return addQuantize(op);
  auto generic = cast<linalg::GenericOp>(op);
  if (generic.getNumReductionLoops() && findCombiner(generic))
    addReduction(generic);
  else if (generic.getNumReductionLoops())
    addShortReduction(generic);
  else
    addElementwise(generic);
}
