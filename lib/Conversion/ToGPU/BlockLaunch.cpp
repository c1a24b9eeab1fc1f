//===- BlockLaunch.cpp - Small ops as one launch of one block -------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "BlockLaunch.h"

#include "dialects/PQKernel/PQKernelDialect.h"
#include "mlir/Analysis/SliceAnalysis.h"
#include "mlir/Dialect/Affine/Utils.h"
#include "mlir/Dialect/Linalg/Utils/Utils.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace pquant;

/// Elements of a row, and points of an elementwise op, that a block takes.
static constexpr int64_t kLongestRow = 16 * kBlockThreads,
                         kMostPoints = 8 * kBlockThreads;
static constexpr int64_t kLanes = 4;

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

/// One row that fits into registers.
static bool acceptsQuantize(pqk::QuantizeOp op) {
  auto input = cast<MemRefType>(op.getInput().getType());
  auto values = cast<MemRefType>(op.getValues().getType());
  return input.hasStaticShape() && values.hasStaticShape() &&
         input.isLastDimUnitStride() && values.isLastDimUnitStride() &&
         input.getDimSize(0) == 1 && input.getDimSize(1) > 0 &&
         input.getDimSize(1) <= kLongestRow;
}

bool BlockLaunch::accepts(Operation *op) {
  if (auto quantize = dyn_cast<pqk::QuantizeOp>(op))
    return acceptsQuantize(quantize);
  auto generic = dyn_cast<linalg::GenericOp>(op);
  if (!generic || !generic.hasPureBufferSemantics())
    return false;
  SmallVector<int64_t> ranges = generic.getStaticLoopRanges();
  int64_t points = 1, reductions = 1;
  for (auto [size, type] :
       llvm::zip_equal(ranges, generic.getIteratorTypesArray())) {
    if (ShapedType::isDynamic(size) || size < 1)
      return false;
    (isParallel(type) ? points : reductions) *= size;
  }
  if (generic.getNumReductionLoops())
    return points == 1 && reductions <= kLongestRow && findCombiner(generic);
  // Each point has an element of its own.
  for (OpOperand &init : generic.getDpsInitsMutable()) {
    AffineMap map = generic.getMatchingIndexingMap(&init);
    for (auto [dim, size] : llvm::enumerate(ranges))
      if (size != 1 && !map.isFunctionOfDim(dim))
        return false;
    if (!map.isProjectedPermutation(/*allowZeroInResults=*/true))
      return false;
  }
  return points <= kMostPoints;
}

//===----------------------------------------------------------------------===//
// Points
//===----------------------------------------------------------------------===//

BlockLaunch::Share::Share(int64_t count)
    : count(count), lanes(count % kLanes ? 1 : kLanes),
      rounds(llvm::divideCeil(count / lanes, kBlockThreads)) {}

bool BlockLaunch::Share::isFull(int64_t round) const {
  return (round + 1) * kBlockThreads * lanes <= count;
}

Value BlockLaunch::isInside(const Share &share, int64_t round) {
  return b.compare(arith::CmpIPredicate::ult, block.thread,
                   b.index(share.count / share.lanes - round * kBlockThreads));
}

Value BlockLaunch::firstPoint(const Share &share, int64_t round) {
  if (share.count == 1)
    return b.index(0);
  Value chunk = block.thread;
  if (round)
    chunk = b.add(chunk, round * kBlockThreads);
  if (!share.isFull(round))
    chunk = b.select(isInside(share, round), chunk, b.index(0));
  return share.lanes == 1 ? chunk : b.mul(chunk, share.lanes);
}

SmallVector<Value> BlockLaunch::splitPoint(Value linear,
                                           ArrayRef<int64_t> sizes) {
  SmallVector<Value> point(sizes.size());
  int64_t rest = 1;
  for (int64_t size : sizes)
    rest *= size;
  for (int64_t i = sizes.size() - 1; i >= 0; --i) {
    if (sizes[i] == 1) {
      point[i] = b.index(0);
      continue;
    }
    rest /= sizes[i];
    point[i] = rest == 1
                   ? linear
                   : arith::RemUIOp::create(b, linear, b.index(sizes[i]));
    if (rest != 1)
      linear = arith::DivUIOp::create(b, linear, b.index(sizes[i]));
  }
  return point;
}

SmallVector<Value> BlockLaunch::pointOf(const Share &share, int64_t round,
                                        int64_t lane,
                                        ArrayRef<int64_t> sizes) {
  int64_t inner = 1;
  for (int64_t size : sizes)
    inner = size == 1 ? inner : size;
  Value first = firstPoint(share, round);
  if (lane == 0)
    return splitPoint(first, sizes);
  if (inner % share.lanes)
    return splitPoint(b.add(first, lane), sizes);
  // The lanes of a round differ in the last dimension only.
  SmallVector<Value> point = splitPoint(first, sizes);
  for (int64_t i = sizes.size() - 1; i >= 0; --i)
    if (sizes[i] != 1) {
      point[i] = b.add(point[i], lane);
      break;
    }
  return point;
}

SmallVector<Value> BlockLaunch::indicesAt(AffineMap map, ValueRange point) {
  std::optional<SmallVector<Value, 8>> values =
      affine::expandAffineMap(b, b.getLoc(), map, point);
  return SmallVector<Value>(values->begin(), values->end());
}

//===----------------------------------------------------------------------===//
// Order
//===----------------------------------------------------------------------===//

void BlockLaunch::startSegment() {
  Block &body = launch.getBody().front();
  segment = body.empty() ? nullptr : &body.back();
  loaded.clear();
  stored.clear();
}

void BlockLaunch::barrier() {
  gpu::BarrierOp::create(b);
  startSegment();
}

void BlockLaunch::orderLoad(const BlockAccess &access) {
  if (llvm::any_of(stored, [&](const BlockAccess &other) {
        return access.mayCross(other, /*areStores=*/false);
      }))
    barrier();
}

void BlockLaunch::orderStore(const BlockAccess &access) {
  if (llvm::any_of(loaded,
                   [&](const BlockAccess &other) {
                     return access.mayCross(other, /*areStores=*/false);
                   }) ||
      llvm::any_of(stored, [&](const BlockAccess &other) {
        return access.mayCross(other, /*areStores=*/true);
      }))
    barrier();
}

void BlockLaunch::early(Operation *&place, function_ref<void()> body) {
  OpBuilder::InsertionGuard guard(b);
  if (place)
    b.setInsertionPointAfter(place);
  else
    b.setInsertionPointToStart(&launch.getBody().front());
  body();
  place = &*std::prev(b.getInsertionPoint());
}

void BlockLaunch::remember(const BlockAccess &access, Elements elements) {
  llvm::erase_if(known, [&](const Known &other) {
    return access.mayTouch(other.access);
  });
  known.push_back({access, std::move(elements)});
}

//===----------------------------------------------------------------------===//
// Loads and stores
//===----------------------------------------------------------------------===//

/// The bits of an element; 0 for `index`.
static unsigned bitsOf(MemRefType type) {
  return type.getElementType().isIntOrFloat() ? type.getElementTypeBitWidth()
                                              : 0;
}

BlockLaunch::Elements BlockLaunch::loadElements(Value memref, AffineMap map,
                                                ArrayRef<int64_t> sizes,
                                                const Share &share,
                                                bool uniform) {
  auto type = cast<MemRefType>(memref.getType());
  if (uniform)
    return {{b.load(memref,
                    SmallVector<Value>(type.getRank(), b.index(0)))}};
  bool isVector = share.lanes > 1 && bitsOf(type) == 32 &&
                  isVectorAccess(memref, map, sizes, share.lanes);
  Elements elements(share.rounds);
  for (int64_t round = 0; round < share.rounds; ++round) {
    if (!isVector) {
      for (int64_t lane = 0; lane < share.lanes; ++lane)
        elements[round].push_back(b.load(
            memref, indicesAt(map, pointOf(share, round, lane, sizes))));
      continue;
    }
    Value vector = vector::LoadOp::create(
        b, b.vec(share.lanes, type.getElementType()), memref,
        indicesAt(map, pointOf(share, round, 0, sizes)),
        /*nontemporal=*/false, llvm::MaybeAlign(4 * share.lanes));
    for (int64_t lane = 0; lane < share.lanes; ++lane)
      elements[round].push_back(vector::ExtractOp::create(b, vector, lane));
  }
  return elements;
}

BlockLaunch::Elements BlockLaunch::read(Value memref, AffineMap map,
                                        ArrayRef<int64_t> sizes,
                                        const Share &share) {
  BlockAccess access(memref, map, sizes);
  auto spread = [&](Elements elements) {
    if (!access.isUniform())
      return elements;
    return Elements(share.rounds, SmallVector<Value>(
                                      share.lanes, elements.front().front()));
  };
  for (const Known &other : known)
    if (other.access.isSame(access))
      return spread(other.elements);
  orderLoad(access);
  // Only a store by this very thread can stand in the way since the barrier.
  auto isTouched = [&](ArrayRef<BlockAccess> others) {
    return llvm::any_of(others, [&](const BlockAccess &other) {
      return access.mayTouch(other);
    });
  };
  Elements elements;
  auto load = [&] {
    elements = loadElements(memref, map, sizes, share, access.isUniform());
  };
  if (!isTouched(everStored))
    early(top, load);
  else if (!isTouched(stored))
    early(segment, load);
  else
    load();
  loaded.push_back(access);
  known.push_back({access, elements});
  return spread(elements);
}

void BlockLaunch::guard(Value condition, function_ref<void()> body) {
  if (condition)
    b.ifElse(condition, body);
  else
    body();
}

void BlockLaunch::storeElements(Value memref, AffineMap map,
                                ArrayRef<int64_t> sizes, const Share &share,
                                const Elements &elements) {
  auto type = cast<MemRefType>(memref.getType());
  unsigned bits = bitsOf(type);
  bool isVector = share.lanes > 1 && (bits == 32 || bits == 8) &&
                  isVectorAccess(memref, map, sizes, share.lanes);
  for (int64_t round = 0; round < share.rounds; ++round)
    guard(share.isFull(round) ? Value() : isInside(share, round), [&] {
      if (!isVector) {
        for (int64_t lane = 0; lane < share.lanes; ++lane)
          b.store(elements[round][lane], memref,
                  indicesAt(map, pointOf(share, round, lane, sizes)));
        return;
      }
      Value vector = vector::FromElementsOp::create(
          b, b.vec(share.lanes, type.getElementType()), elements[round]);
      vector::StoreOp::create(b, vector, memref,
                              indicesAt(map, pointOf(share, round, 0, sizes)),
                              /*nontemporal=*/false,
                              llvm::MaybeAlign(bits / 8 * share.lanes));
    });
}

void BlockLaunch::write(Value memref, AffineMap map, ArrayRef<int64_t> sizes,
                        const Share &share, Elements elements) {
  BlockAccess access(memref, map, sizes);
  orderStore(access);
  storeElements(memref, map, sizes, share, elements);
  stored.push_back(access);
  everStored.push_back(access);
  if (access.isUniform())
    elements = {{elements.front().front()}};
  remember(access, std::move(elements));
}

//===----------------------------------------------------------------------===//
// Ops
//===----------------------------------------------------------------------===//

SmallVector<Value> BlockLaunch::compute(linalg::GenericOp op, ValueRange inputs,
                                        ValueRange outputs, ValueRange point) {
  IRMapping mapping;
  mapping.map(op.getRegionInputArgs(), inputs);
  for (auto [argument, value] : llvm::zip(op.getRegionOutputArgs(), outputs))
    if (value)
      mapping.map(argument, value);
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
  Type scratch = getSharedType({kBlockThreads / 32}, value.getType());
  SmallVector<Value> shared = {
      launch.addWorkgroupAttribution(scratch, b.getLoc())};
  value = blockReduce(b, block, kBlockThreads, shared[0], value, combine);
  startSegment(); // behind the barrier in it
  return value;
}

void BlockLaunch::addElementwise(linalg::GenericOp op) {
  SmallVector<int64_t> sizes = op.getStaticLoopRanges();
  int64_t count = 1;
  for (int64_t size : sizes)
    count *= size;
  Share share(count);
  SmallVector<Elements> inputs, results(op.getNumDpsInits());
  for (OpOperand *input : op.getDpsInputOperands())
    inputs.push_back(
        isa<MemRefType>(input->get().getType())
            ? read(input->get(), op.getMatchingIndexingMap(input), sizes, share)
            : Elements(share.rounds,
                       SmallVector<Value>(share.lanes, input->get())));
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
  Share share(count), one(1);
  SmallVector<Elements> inputs;
  for (OpOperand *input : op.getDpsInputOperands())
    inputs.push_back(
        isa<MemRefType>(input->get().getType())
            ? read(input->get(), op.getMatchingIndexingMap(input), sizes, share)
            : Elements(share.rounds,
                       SmallVector<Value>(share.lanes, input->get())));
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

void BlockLaunch::addQuantize(Operation *operation) {
  auto op = cast<pqk::QuantizeOp>(operation);
  QuantizerAttr quantizer = op.getQuantizer();
  auto input = cast<MemRefType>(op.getInput().getType());
  int64_t columns = input.getDimSize(1);
  AffineMap matrix = b.getMultiDimIdentityMap(2);
  SmallVector<int64_t> sizes = {1, columns};
  Share share(columns), one(1);
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
  llvm::erase_if(known, [&](const Known &other) {
    return values.mayTouch(other.access);
  });
  int64_t padded = cast<MemRefType>(op.getValues().getType()).getDimSize(1);
  if (columns < padded)
    b.forLoop(b.add(block.thread, columns), b.index(padded), kBlockThreads,
              [&](Value k) {
                b.store(b.constant(b.getI8Type(), 0), op.getValues(),
                        {b.index(0), k});
              });
  sum = reduce(sum, [&](Value x, Value y) { return b.add(x, y); });
  AffineMap row = AffineMap::get(1, 0, b.getAffineDimExpr(0));
  write(op.getScale(), row, {1}, one, {{step}});
  write(op.getSum(), row, {1}, one, {{sum}});
}

BlockLaunch::BlockLaunch(OpBuilder &builder, Location loc)
    : b(loc, builder), block{} {
  buildLaunch(builder, loc, {}, kBlockThreads, {},
              [&](KernelBuilder &inner, const GPUBlock &outer) {
                launch = cast<gpu::LaunchOp>(
                    inner.getInsertionBlock()->getParentOp());
                block = outer;
              });
  launch.getBody().front().getTerminator()->erase();
  b.setInsertionPointToEnd(&launch.getBody().front());
}

void BlockLaunch::add(Operation *op) {
  if (isa<pqk::QuantizeOp>(op))
    return addQuantize(op);
  auto generic = cast<linalg::GenericOp>(op);
  if (generic.getNumReductionLoops())
    addReduction(generic);
  else
    addElementwise(generic);
}

void BlockLaunch::finish() { gpu::TerminatorOp::create(b); }
