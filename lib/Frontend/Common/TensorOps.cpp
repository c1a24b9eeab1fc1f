//===- TensorOps.cpp - Sums, products and order ---------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "pquant/Frontend/TensorOps.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"

using namespace mlir;
using namespace pquant;
using utils::IteratorType;

TypedAttr pquant::getExtreme(OpBuilder &b, ElementType element, bool smallest) {
  if (auto type = dyn_cast<FloatType>(element.type))
    return b.getFloatAttr(type,
                          APFloat::getInf(type.getFloatSemantics(), smallest));
  unsigned bits = element.type.getIntOrFloatBitWidth();
  APInt value =
      element.isUnsigned || element.isBool()
          ? (smallest ? APInt::getZero(bits) : APInt::getAllOnes(bits))
      : smallest ? APInt::getSignedMinValue(bits)
                 : APInt::getSignedMaxValue(bits);
  return b.getIntegerAttr(element.type, value);
}

FailureOr<Tensor> pquant::multiplyMatrices(TensorBuilder &b, Tensor lhs,
                                           Tensor rhs) {
  if (lhs->getRank() == 0 || rhs->getRank() == 0)
    return b.error() << "expected inputs of rank 1 or more, but got a scalar";
  bool hasRows = lhs->getRank() > 1, hasColumns = rhs->getRank() > 1;
  ArrayRef<SizeExpr> lhsSizes(lhs->sizes), rhsSizes(rhs->sizes);
  ArrayRef<SizeExpr> lhsBatch = lhsSizes.drop_back(hasRows ? 2 : 1);
  ArrayRef<SizeExpr> rhsBatch = rhsSizes.drop_back(hasColumns ? 2 : 1);
  const SizeExpr &inner = lhsSizes.back();
  const SizeExpr &rhsInner = rhsSizes[rhsBatch.size()];
  if (failed(b.requireEqual(inner, rhsInner, "the summed dimension")))
    return failure();
  FailureOr<SizeList> sizes = b.broadcast({lhsBatch, rhsBatch});
  if (failed(sizes))
    return failure();
  OpBuilder &builder = b.getBuilder();
  AffineMap lhsMap = b.getBroadcastMap(lhsBatch, *sizes);
  AffineMap rhsMap = b.getBroadcastMap(rhsBatch, *sizes);
  unsigned loops = sizes->size() + hasRows + hasColumns + 1;
  AffineExpr k = builder.getAffineDimExpr(loops - 1);
  SmallVector<AffineExpr> lhsExprs(lhsMap.getResults());
  SmallVector<AffineExpr> rhsExprs(rhsMap.getResults());
  if (hasRows) {
    lhsExprs.push_back(builder.getAffineDimExpr(sizes->size()));
    sizes->push_back(lhsSizes[lhsBatch.size()]);
  }
  lhsExprs.push_back(k);
  rhsExprs.push_back(k);
  if (hasColumns) {
    rhsExprs.push_back(builder.getAffineDimExpr(sizes->size()));
    sizes->push_back(rhsSizes.back());
  }
  SmallVector<IteratorType> iterators(loops, IteratorType::parallel);
  iterators.back() = IteratorType::reduction;
  MLIRContext *context = builder.getContext();
  AffineMap outputMap =
      AffineMap::getMultiDimIdentityMap(loops, context).dropResult(loops - 1);
  return b.contract({lhs, rhs},
                    {AffineMap::get(loops, 0, lhsExprs, context),
                     AffineMap::get(loops, 0, rhsExprs, context)},
                    lhs->element, *sizes, outputMap, iterators);
}

/// One loop with two accumulators, the best value and where it is.
std::pair<Tensor, Tensor> pquant::findExtreme(TensorBuilder &b, Tensor input,
                                              int64_t axis, bool isMax,
                                              bool prefersLast) {
  int64_t rank = input->getRank();
  OpBuilder &builder = b.getBuilder();
  ElementType element = input->element, integer{builder.getI64Type()};
  SizeList sizes = input->sizes;
  sizes.erase(sizes.begin() + axis);
  Tensor best = b.fill(element, sizes, getExtreme(builder, element, isMax));
  Tensor where = b.fill(integer, sizes, builder.getI64IntegerAttr(0));
  SmallVector<utils::IteratorType> iterators(rank,
                                             utils::IteratorType::parallel);
  iterators[axis] = utils::IteratorType::reduction;
  AffineMap identity = builder.getMultiDimIdentityMap(rank);
  AffineMap kept = identity.dropResult(axis);
  auto generic = linalg::GenericOp::create(
      builder, b.getLoc(),
      TypeRange{best->value.getType(), where->value.getType()},
      b.getValue(input), ValueRange{best->value, where->value},
      ArrayRef<AffineMap>{identity, kept, kept}, iterators,
      [&](OpBuilder &b, Location loc, ValueRange args) {
        ScalarOps o(b, loc, element);
        Value i = linalg::IndexOp::create(b, loc, axis);
        i = arith::IndexCastOp::create(b, loc, b.getI64Type(), i);
        Value isBetter = isMax
                             ? (prefersLast ? o.greaterOrEqual(args[0], args[1])
                                            : o.greater(args[0], args[1]))
                             : (prefersLast ? o.lessOrEqual(args[0], args[1])
                                            : o.less(args[0], args[1]));
        linalg::YieldOp::create(b, loc,
                                {o.select(isBetter, args[0], args[1]),
                                 o.select(isBetter, i, args[2])});
      });
  return {b.makeTensor(generic.getResult(0), element, sizes),
          b.makeTensor(generic.getResult(1), integer, sizes)};
}

/// One contraction with a triangle.
Tensor pquant::sumCumulatively(TensorBuilder &b, Tensor input, int64_t axis,
                               bool exclusive, bool reverse) {
  int64_t rank = input->getRank();
  OpBuilder &builder = b.getBuilder();
  ElementType element = input->element;
  Tensor start =
      b.fill(element, input->sizes, builder.getZeroAttr(element.type));
  SmallVector<AffineExpr> in, out;
  for (int64_t i = 0; i < rank; ++i) {
    out.push_back(builder.getAffineDimExpr(i));
    in.push_back(builder.getAffineDimExpr(i == axis ? rank : i));
  }
  SmallVector<utils::IteratorType> iterators(rank + 1,
                                             utils::IteratorType::parallel);
  iterators.back() = utils::IteratorType::reduction;
  MLIRContext *context = builder.getContext();
  AffineMap maps[] = {AffineMap::get(rank + 1, 0, in, context),
                      AffineMap::get(rank + 1, 0, out, context)};
  auto generic = linalg::GenericOp::create(
      builder, b.getLoc(), start->value.getType(), b.getValue(input),
      start->value, maps, iterators,
      [&](OpBuilder &b, Location loc, ValueRange args) {
        ScalarOps o(b, loc, element);
        Value i = linalg::IndexOp::create(b, loc, axis);
        Value j = linalg::IndexOp::create(b, loc, rank);
        if (reverse)
          std::swap(i, j);
        Value isCounted = arith::CmpIOp::create(
            b, loc,
            exclusive ? arith::CmpIPredicate::slt : arith::CmpIPredicate::sle,
            j, i);
        Value sum = o.add(args[1], args[0]);
        linalg::YieldOp::create(b, loc, o.select(isCounted, sum, args[1]));
      });
  return b.makeTensor(generic.getResult(0), element, input->sizes);
}

/// rank[i] = how many elements along the axis come before element i: they are
/// better, or equal and of smaller index.
static Tensor computeRanks(TensorBuilder &b, Tensor input, int64_t axis,
                           bool largest) {
  int64_t rank = input->getRank();
  OpBuilder &builder = b.getBuilder();
  MLIRContext *context = builder.getContext();
  ElementType integer{builder.getI64Type()};
  Tensor zeros = b.fill(integer, input->sizes, builder.getI64IntegerAttr(0));
  AffineMap self =
      AffineMap::getMultiDimIdentityMap(rank + 1, context).dropResult(rank);
  SmallVector<AffineExpr> exprs(self.getResults());
  exprs[axis] = builder.getAffineDimExpr(rank);
  AffineMap other = AffineMap::get(rank + 1, 0, exprs, context);
  SmallVector<utils::IteratorType> iterators(rank + 1,
                                             utils::IteratorType::parallel);
  iterators.back() = utils::IteratorType::reduction;
  Value source = b.getValue(input);
  auto generic = linalg::GenericOp::create(
      builder, b.getLoc(), zeros->value.getType(), ValueRange{source, source},
      zeros->value, ArrayRef<AffineMap>{self, other, self}, iterators,
      [&](OpBuilder &b, Location loc, ValueRange args) {
        ScalarOps o(b, loc, input->element), count(b, loc, integer);
        Value i = linalg::IndexOp::create(b, loc, axis);
        Value j = linalg::IndexOp::create(b, loc, rank);
        Value isEarlier =
            arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, j, i);
        Value isBetter =
            largest ? o.greater(args[1], args[0]) : o.less(args[1], args[0]);
        Value isTie =
            arith::AndIOp::create(b, loc, isEarlier, o.equal(args[1], args[0]));
        Value comesFirst = arith::OrIOp::create(b, loc, isBetter, isTie);
        Value one = arith::ExtUIOp::create(b, loc, b.getI64Type(), comesFirst);
        linalg::YieldOp::create(b, loc, count.add(args[2], one));
      });
  return b.makeTensor(generic.getResult(0), integer, input->sizes);
}

/// Output element j is the input element of rank j: found by a loop over the
/// axis that keeps the one that matches.
std::pair<Tensor, Tensor> pquant::findBest(TensorBuilder &b, Tensor input,
                                           int64_t axis, const SizeExpr &count,
                                           bool largest) {
  int64_t rank = input->getRank();
  Tensor ranks = computeRanks(b, input, axis, largest);
  OpBuilder &builder = b.getBuilder();
  MLIRContext *context = builder.getContext();
  ElementType integer{builder.getI64Type()};
  SizeList sizes = input->sizes;
  sizes[axis] = count;
  Tensor values =
      b.fill(input->element, sizes, builder.getZeroAttr(input->element.type));
  Tensor indices = b.fill(integer, sizes, builder.getI64IntegerAttr(0));
  AffineMap out =
      AffineMap::getMultiDimIdentityMap(rank + 1, context).dropResult(rank);
  SmallVector<AffineExpr> exprs(out.getResults());
  exprs[axis] = builder.getAffineDimExpr(rank);
  AffineMap in = AffineMap::get(rank + 1, 0, exprs, context);
  SmallVector<utils::IteratorType> iterators(rank + 1,
                                             utils::IteratorType::parallel);
  iterators.back() = utils::IteratorType::reduction;
  auto generic = linalg::GenericOp::create(
      builder, b.getLoc(),
      TypeRange{values->value.getType(), indices->value.getType()},
      ValueRange{b.getValue(input), ranks->value},
      ValueRange{values->value, indices->value},
      ArrayRef<AffineMap>{in, in, out, out}, iterators,
      [&](OpBuilder &b, Location loc, ValueRange args) {
        ScalarOps o(b, loc, integer);
        Value j = linalg::IndexOp::create(b, loc, axis);
        Value i = linalg::IndexOp::create(b, loc, rank);
        j = arith::IndexCastOp::create(b, loc, b.getI64Type(), j);
        i = arith::IndexCastOp::create(b, loc, b.getI64Type(), i);
        Value isIt = o.equal(args[1], j);
        linalg::YieldOp::create(
            b, loc,
            {o.select(isIt, args[0], args[2]), o.select(isIt, i, args[3])});
      });
  return {b.makeTensor(generic.getResult(0), input->element, sizes),
          b.makeTensor(generic.getResult(1), integer, sizes)};
}

Tensor pquant::softmax(TensorBuilder &b, Tensor input, int64_t axis) {
  Value init = b.empty(input->element, input->sizes);
  auto op = linalg::SoftmaxOp::create(b.getBuilder(), b.getLoc(),
                                      TypeRange{init.getType()},
                                      b.getValue(input), init, axis);
  return b.makeTensor(op->getResult(0), input->element, input->sizes);
}

Tensor pquant::sumOver(TensorBuilder &b, Tensor input, ArrayRef<int64_t> axes,
                       bool keepDims) {
  return b.reduce(
      input, axes, keepDims, input->element,
      b.getBuilder().getZeroAttr(input->element.type),
      [&](OpBuilder &b, Location loc, ValueRange args) {
        return ScalarOps(b, loc, input->element).add(args[1], args[0]);
      });
}

Tensor pquant::divideByCount(TensorBuilder &b, Tensor sum,
                             const TensorInfo &input, ArrayRef<int64_t> axes) {
  SizeExpr count(1);
  for (int64_t axis : axes)
    count = count * input.sizes[axis];
  Tensor divisor = count.getConstant()
                       ? b.makeScalar(sum->element, *count.getConstant())
                       : b.makeSizeScalar(count, sum->element);
  // A scalar always broadcasts.
  return *mapElements(b, sum, divisor, [](ScalarOps &o, Value x, Value y) {
    return o.div(x, y);
  });
}

Tensor pquant::logSoftmax(TensorBuilder &b, Tensor input, int64_t axis) {
  auto subtract = [](ScalarOps &o, Value x, Value y) { return o.sub(x, y); };
  Tensor largest =
      b.reduce(input, axis, /*keepDims=*/true, input->element,
               getExtreme(b.getBuilder(), input->element, /*smallest=*/true),
               [&](OpBuilder &b, Location loc, ValueRange args) {
                 return ScalarOps(b, loc, input->element).max(args[0], args[1]);
               });
  // Reduced tensors with their dimensions kept always broadcast.
  Tensor shifted = *mapElements(b, input, largest, subtract);
  Tensor exponentials =
      mapElements(b, shifted, [](ScalarOps &o, Value x) { return o.exp(x); });
  Tensor logSum =
      mapElements(b, sumOver(b, exponentials, axis, /*keepDims=*/true),
                  [](ScalarOps &o, Value x) { return o.log(x); });
  return *mapElements(b, shifted, logSum, subtract);
}
