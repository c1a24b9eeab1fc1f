//===- BlockReductions.cpp - Sums of a launch of one block ----------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A thread adds up its elements, a warp its threads, and the block its warps,
// the same for one result and for several: these only share the barrier, and
// the lanes of a warp their shuffles.
//
//===----------------------------------------------------------------------===//

#include "BlockLaunch.h"
#include "mlir/Dialect/Utils/IndexingUtils.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace pquant;

Value BlockLaunch::reduce(Value value,
                          function_ref<Value(Value, Value)> combine) {
  Type scratch = getSharedType({threads / kWarp}, value.getType());
  SmallVector<Value> shared = {
      launch.addWorkgroupAttribution(scratch, b.getLoc())};
  value = blockReduce(b, block, threads, shared[0], value, combine);
  startSegment(); // behind the barrier in it
  return value;
}

Value BlockLaunch::reduceOwn(linalg::GenericOp op, ArrayRef<Elements> inputs,
                             const Share &share, ArrayRef<int64_t> sizes) {
  Value partial =
      arith::ConstantOp::create(b, *arith::getNeutralElement(findCombiner(op)));
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
  return partial;
}

void BlockLaunch::addReduction(linalg::GenericOp op) {
  SmallVector<int64_t> sizes = op.getStaticLoopRanges();
  Share share = shareOf(computeProduct(sizes)), one = shareOf(1);
  SmallVector<Elements> inputs = readInputs(op, sizes, share);
  OpOperand &init = *op.getDpsInitsMutable().begin();
  AffineMap map = op.getMatchingIndexingMap(&init);
  Elements before = read(init.get(), map, sizes, one);
  orderInside(op);
  Operation *combiner = findCombiner(op);
  auto combine = [&](Value x, Value y) { return combineBy(b, combiner, x, y); };
  Value sum = reduce(reduceOwn(op, inputs, share, sizes), combine);
  write(init.get(), map, sizes, one, {{combine(before.front().front(), sum)}});
}

namespace {
/// The loops of a reduction to several elements, apart.
struct Loops {
  SmallVector<int64_t> points, reductions;
  SmallVector<bool> isParallel;

  explicit Loops(linalg::GenericOp op) {
    for (auto [size, type] : llvm::zip_equal(op.getStaticLoopRanges(),
                                             op.getIteratorTypesArray())) {
      isParallel.push_back(type == utils::IteratorType::parallel);
      (isParallel.back() ? points : reductions).push_back(size);
    }
  }
  /// `map` at element `point`, as one of the loops of the reduction.
  AffineMap at(AffineMap map, int64_t point) const {
    SmallVector<AffineExpr> values(isParallel.size());
    unsigned dims = 0;
    for (size_t i = 0; i < values.size(); ++i)
      if (!isParallel[i])
        values[i] = getAffineDimExpr(dims++, map.getContext());
    for (size_t i = values.size(), k = points.size(); i-- > 0;)
      if (isParallel[i]) {
        values[i] =
            getAffineConstantExpr(point % points[--k], map.getContext());
        point /= points[k];
      }
    return map.replaceDimsAndSymbols(values, {}, dims, 0);
  }
  /// `map` of an output, as one of the loops over its elements.
  AffineMap ofOutput(AffineMap map) const {
    SmallVector<AffineExpr> values(isParallel.size(),
                                   getAffineConstantExpr(0, map.getContext()));
    unsigned dims = 0;
    for (size_t i = 0; i < values.size(); ++i)
      if (isParallel[i])
        values[i] = getAffineDimExpr(dims++, map.getContext());
    return map.replaceDimsAndSymbols(values, {}, dims, 0);
  }
};
} // namespace

/// Sums over a warp of a power of two of values: lane l has that of value
/// l * count / 32, each by the tree of shuffleReduce.
static Value reduceSeveral(KernelBuilder &b, Value lane,
                           SmallVector<Value> values,
                           llvm::function_ref<Value(Value, Value)> combine) {
  int64_t offset = kWarp / 2;
  auto receive = [&](Value value) -> Value {
    return gpu::ShuffleOp::create(b, value, int32_t(offset), int32_t(kWarp),
                                  gpu::ShuffleMode::XOR)
        .getShuffleResult();
  };
  for (; values.size() > 1; offset /= 2) {
    Value bit = arith::RemUIOp::create(
        b, arith::DivUIOp::create(b, lane, b.index(offset)), b.index(2));
    Value isUpper = b.compare(arith::CmpIPredicate::eq, bit, b.index(1));
    size_t half = values.size() / 2;
    SmallVector<Value> kept;
    for (size_t i = 0; i < half; ++i)
      kept.push_back(
          combine(b.select(isUpper, values[i + half], values[i]),
                  receive(b.select(isUpper, values[i], values[i + half]))));
    values = kept;
  }
  for (; offset >= 1; offset /= 2)
    values[0] = combine(values[0], receive(values[0]));
  return values[0];
}

Value BlockLaunch::findUniform(const BlockAccess &access) const {
  Region *body = &gpu::LaunchOp(launch).getBody();
  for (const Known &other : known) {
    if (!other.access.isSame(access))
      continue;
    Value first = other.elements.front().front();
    bool isOutside = !body->isAncestor(first.getParentRegion());
    for (const SmallVector<Value> &round : other.elements)
      isOutside &= llvm::all_equal(round) && round.front() == first;
    return isOutside ? first : Value();
  }
  return {};
}

/// A few results: the weights of a router, say.
void BlockLaunch::addReductions(linalg::GenericOp op) {
  Loops loops(op);
  int64_t count = computeProduct(loops.points);
  Share share = shareOf(computeProduct(loops.reductions));
  Operation *combiner = findCombiner(op);
  auto combine = [&](Value x, Value y) { return combineBy(b, combiner, x, y); };
  orderInside(op);
  SmallVector<Value> sums;
  for (int64_t point = 0; point < count; ++point) {
    SmallVector<Elements> inputs =
        readInputs(op, loops.reductions, share,
                   [&](AffineMap map) { return loops.at(map, point); });
    sums.push_back(reduceOwn(op, inputs, share, loops.reductions));
  }
  int64_t padded = llvm::PowerOf2Ceil(count), lanes = kWarp / padded;
  sums.resize(padded, arith::ConstantOp::create(
                          b, *arith::getNeutralElement(combiner)));
  Value warp = arith::DivUIOp::create(b, block.thread, b.index(kWarp));
  Value lane = arith::RemUIOp::create(b, block.thread, b.index(kWarp));
  Value sum = reduceSeveral(b, lane, sums, combine);
  int64_t warps = threads / kWarp;
  Value scratch = launch.addWorkgroupAttribution(
      getSharedType({padded, warps}, sum.getType()), b.getLoc());
  Value isFirst =
      b.compare(arith::CmpIPredicate::eq,
                arith::RemUIOp::create(b, lane, b.index(lanes)), b.index(0));
  b.ifElse(isFirst, [&] {
    b.store(sum, scratch,
            {arith::DivUIOp::create(b, lane, b.index(lanes)), warp});
  });
  OpOperand &init = *op.getDpsInitsMutable().begin();
  AffineMap output = loops.ofOutput(op.getMatchingIndexingMap(&init));
  Value known = findUniform(BlockAccess(init.get(), output, loops.points));
  barrier();
  // A warp for each result.
  for (int64_t first = 0; first < count; first += warps) {
    Value point = b.add(warp, first);
    Value inside = b.compare(arith::CmpIPredicate::ult, point, b.index(count));
    point = b.select(inside, point, b.index(0));
    Value slot = arith::RemUIOp::create(b, lane, b.index(warps));
    Value total =
        shuffleReduce(b, b.load(scratch, {point, slot}), 1, warps, combine);
    Value stores =
        b.bitAnd(inside, b.compare(arith::CmpIPredicate::eq, lane, b.index(0)));
    b.ifElse(stores, [&] {
      SmallVector<Value> place =
          indicesAt(output, splitPoint(point, loops.points));
      Value before = known ? known : b.load(init.get(), place);
      b.store(combine(before, total), init.get(), place);
    });
  }
  BlockAccess all = BlockAccess::anywhere(init.get());
  stored.push_back(all);
  everStored.push_back(all);
  forget(all);
}

/// Of a few elements, by every thread; it need not be associative.
void BlockLaunch::addShortReduction(linalg::GenericOp op) {
  SmallVector<int64_t> sizes = op.getStaticLoopRanges();
  int64_t count = computeProduct(sizes);
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
  for (const BlockAccess &access : accesses) {
    orderLoad(access);
    loaded.push_back(access);
  }
  orderInside(op);
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
