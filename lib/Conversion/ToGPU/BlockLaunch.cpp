//===- BlockLaunch.cpp - Small ops as one launch of one block -------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "BlockLaunch.h"

#include "mlir/Dialect/Affine/Utils.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace pquant;

static constexpr int64_t kLanes = 4;

//===----------------------------------------------------------------------===//
// Points
//===----------------------------------------------------------------------===//

int64_t BlockLaunch::lanesOf(int64_t count) {
  return count % kLanes ? 1 : kLanes;
}

int64_t BlockLaunch::threadsFor(int64_t points) {
  int64_t wanted = llvm::PowerOf2Ceil(points / lanesOf(points));
  return std::clamp<int64_t>(wanted, 128, kBlockThreads);
}

BlockLaunch::Share::Share(int64_t count, int64_t threads)
    : count(count), threads(threads), lanes(lanesOf(count)),
      rounds(llvm::divideCeil(count / lanes, threads)) {}

bool BlockLaunch::Share::isFull(int64_t round) const {
  return (round + 1) * threads * lanes <= count;
}

Value BlockLaunch::isInside(const Share &share, int64_t round) {
  return b.compare(arith::CmpIPredicate::ult, block.thread,
                   b.index(share.count / share.lanes - round * threads));
}

Value BlockLaunch::firstPoint(const Share &share, int64_t round) {
  if (share.count == 1)
    return b.index(0);
  Value chunk = block.thread;
  if (round)
    chunk = b.add(chunk, round * threads);
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
    point[i] = rest == 1 ? linear
                         : arith::RemUIOp::create(b, linear, b.index(sizes[i]));
    if (rest != 1)
      linear = arith::DivUIOp::create(b, linear, b.index(sizes[i]));
  }
  return point;
}

SmallVector<Value> BlockLaunch::pointOf(const Share &share, int64_t round,
                                        int64_t lane, ArrayRef<int64_t> sizes) {
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

void BlockLaunch::forget(const BlockAccess &access) {
  llvm::erase_if(
      known, [&](const Known &other) { return access.mayTouch(other.access); });
}

void BlockLaunch::remember(const BlockAccess &access, Elements elements) {
  forget(access);
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
    return {{b.load(memref, SmallVector<Value>(type.getRank(), b.index(0)))}};
  bool isVector = share.lanes > 1 && bitsOf(type) == 32 &&
                  isVectorAccess(memref, map, sizes, share.lanes);
  Elements elements(share.rounds);
  for (int64_t round = 0; round < share.rounds; ++round) {
    if (!isVector) {
      for (int64_t lane = 0; lane < share.lanes; ++lane)
        elements[round].push_back(
            b.load(memref, indicesAt(map, pointOf(share, round, lane, sizes))));
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
    return Elements(share.rounds,
                    SmallVector<Value>(share.lanes, elements.front().front()));
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
      vector::StoreOp::create(
          b, vector, memref, indicesAt(map, pointOf(share, round, 0, sizes)),
          /*nontemporal=*/false, llvm::MaybeAlign(bits / 8 * share.lanes));
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
// The launch
//===----------------------------------------------------------------------===//

void BlockLaunch::open(OpBuilder &builder, Location loc, ArrayRef<Value> grid) {
  buildLaunch(builder, loc, grid, threads, {},
              [&](KernelBuilder &inner, const GPUBlock &outer) {
                launch = cast<gpu::LaunchOp>(
                    inner.getInsertionBlock()->getParentOp());
                block = outer;
              });
  launch.getBody().front().getTerminator()->erase();
  b.setInsertionPointToEnd(&launch.getBody().front());
}

BlockLaunch::BlockLaunch(OpBuilder &builder, Location loc)
    : threads(kBlockThreads), b(loc, builder), block{} {
  open(builder, loc, {});
}

BlockLaunch::BlockLaunch(OpBuilder &builder, Location loc, Value rows,
                         int64_t threads,
                         function_ref<void(KernelBuilder &, Value)> views)
    : threads(threads), b(loc, builder), block{} {
  open(builder, loc, rows);
  views(b, block.x);
  startSegment();
  top = segment;
}

void BlockLaunch::finish() { gpu::TerminatorOp::create(b); }
