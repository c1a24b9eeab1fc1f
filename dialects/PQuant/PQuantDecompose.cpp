//===- PQuantDecompose.cpp - Definitions of quantised layers --------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The formulas in the descriptions of the quantiser, the linear layers of one
// branch and the router, written out in linalg, arith, math and tensor. Float
// operations come in the order in which the formula has them; integer sums are
// exact in i32.
//
//===----------------------------------------------------------------------===//

#include "dialects/PQuant/PQuantDefinition.h"

using namespace mlir;
using namespace pquant;

static int64_t dimOf(Value value, int64_t dim) {
  ArrayRef<int64_t> shape = cast<RankedTensorType>(value.getType()).getShape();
  return shape[dim < 0 ? shape.size() + dim : dim];
}

/// `index` with one more expression.
static SmallVector<AffineExpr> append(SmallVector<AffineExpr> index,
                                      ArrayRef<AffineExpr> more) {
  index.append(more.begin(), more.end());
  return index;
}

static Sizes append(Sizes sizes, Builder &builder, int64_t size) {
  sizes.push_back(builder.getIndexAttr(size));
  return sizes;
}

//===----------------------------------------------------------------------===//
// QuantizeOp
//===----------------------------------------------------------------------===//

/// The gain `g` of the formulas (or the divisor `d`) and the step, from the
/// row maximum `a`.
static Values buildGainAndStep(Scalars &s, Value a, QuantizerAttr quantizer) {
  Value eps = s.f32(quantizer.getEps().convertToFloat());
  Value qmax = s.f32(quantizer.getQmax());
  Value m = quantizer.getGuard() == Guard::Max
                ? s.make<arith::MaximumFOp>(a, eps)
                : s.add(a, eps);
  Value one = s.f32(1.0);
  switch (quantizer.getFormula()) {
  case Formula::MulRecip: {
    Value g = s.mul(s.div(one, m), qmax);
    return {g, s.div(one, g)};
  }
  case Formula::MulDiv: {
    Value g = s.div(qmax, m);
    return {g, s.div(one, g)};
  }
  case Formula::Div: {
    Value d = s.div(m, qmax);
    return {d, d};
  }
  }
  llvm_unreachable("unknown formula");
}

Decomposed QuantizeOp::decompose(OpBuilder &builder) {
  Definition def(builder, *this);
  QuantizerAttr quantizer = getQuantizer();
  unsigned rank = rankOf(getInput());
  Type f32 = builder.getF32Type();
  SmallVector<AffineExpr> all = def.loops(rank), row = def.loops(rank - 1);
  Sizes rows = def.rowsOf(getInput());

  Value maximum =
      def.reduce(rows, builder.getF32FloatAttr(0), {{getInput(), all}},
                 [](Scalars &s, ValueRange args) -> Values {
                   Value magnitude = s.make<math::AbsFOp>(args[0]);
                   return {s.make<arith::MaximumFOp>(args[1], magnitude)};
                 });
  Values inits = {tensor::EmptyOp::create(builder, getLoc(), rows, f32),
                  tensor::EmptyOp::create(builder, getLoc(), rows, f32)};
  Values gainAndStep = def.generic(
      rank - 1, 0, {{maximum, row}}, inits, [&](Scalars &s, ValueRange args) {
        return buildGainAndStep(s, args[0], quantizer);
      });
  Value values =
      def.map(def.sizesOf(getInput()), builder.getI8Type(),
              {{getInput(), all}, {gainAndStep[0], row}},
              [&](Scalars &s, ValueRange args) -> Values {
                Value v = quantizer.getFormula() == Formula::Div
                              ? s.div(args[0], args[1])
                              : s.mul(args[0], args[1]);
                Value q = s.make<math::RoundEvenOp>(v);
                q = s.make<arith::MaximumFOp>(q, s.f32(quantizer.getQmin()));
                q = s.make<arith::MinimumFOp>(q, s.f32(quantizer.getQmax()));
                return {s.make<arith::FPToSIOp>(s.builder.getI8Type(), q)};
              });
  return Values{values, gainAndStep[1]};
}

//===----------------------------------------------------------------------===//
// BinaryLinearOp
//===----------------------------------------------------------------------===//

/// The last dimension of length G * L split into G x L.
static Value splitLast(Definition &def, Value value, int64_t groups) {
  auto type = cast<RankedTensorType>(value.getType());
  int64_t rank = type.getRank();
  SmallVector<int64_t> shape(type.getShape().drop_back());
  shape.append({groups, type.getShape().back() / groups});
  SmallVector<ReassociationIndices> groupsOfDims;
  for (int64_t i = 0; i < rank; ++i)
    groupsOfDims.push_back({i});
  groupsOfDims.back().push_back(rank);
  return tensor::ExpandShapeOp::create(def.builder, def.loc, type.clone(shape),
                                       value, groupsOfDims);
}

/// acc[.., n, g] of one plane, exact in i32.
static Value accumulatePlane(Definition &def, Value input, Value plane,
                             int64_t groups) {
  unsigned rows = rankOf(input) - 1;
  Sizes sizes = append(append(def.rowsOf(input), def.builder, dimOf(plane, 0)),
                       def.builder, groups);
  AffineExpr n = def.loop(rows), g = def.loop(rows + 1), k = def.loop(rows + 2);
  return def.reduce(
      sizes, def.builder.getI32IntegerAttr(0),
      {{splitLast(def, input, groups), append(def.loops(rows), {g, k})},
       {splitLast(def, plane, groups), {n, g, k}}},
      [](Scalars &s, ValueRange args) -> Values {
        Value q = s.widen(args[0]);
        Value zero = s.make<arith::ConstantIntOp>(0, 32);
        Value minus = s.make<arith::SubIOp>(zero, q);
        return {s.make<arith::AddIOp>(args[2], s.select(args[1], q, minus))};
      });
}

/// total[.., n] + sum_g scale[n, g] * acc[.., n, g].
static Value addScaledPlane(Definition &def, Value total, Value acc,
                            Value scale) {
  unsigned rows = rankOf(acc) - 2;
  AffineExpr n = def.loopOrZero(rows, dimOf(scale, 0));
  AffineExpr g = def.loop(rows + 1);
  return def
      .generic(rows + 2, 1, {{acc, def.loops(rows + 2)}, {scale, {n, g}}},
               total,
               [](Scalars &s, ValueRange args) -> Values {
                 return {s.add(args[2], s.mul(args[1], s.toFloat(args[0])))};
               })
      .front();
}

/// total[.., n] + offset[n] * sum_k input[.., k].
static Value addOffset(Definition &def, Value total, Value input,
                       Value offset) {
  unsigned rows = rankOf(input) - 1;
  Value sum =
      def.reduce(def.rowsOf(input), def.builder.getI32IntegerAttr(0),
                 {{input, def.loops(rows + 1)}},
                 [](Scalars &s, ValueRange args) -> Values {
                   return {s.make<arith::AddIOp>(args[1], s.widen(args[0]))};
                 });
  AffineExpr n = def.loopOrZero(rows, dimOf(offset, 0));
  return def.map(
      def.sizesOf(total), def.builder.getF32Type(),
      {{total, def.loops(rows + 1)}, {offset, {n}}, {sum, def.loops(rows)}},
      [](Scalars &s, ValueRange args) -> Values {
        return {s.add(args[0], s.mul(args[1], s.toFloat(args[2])))};
      });
}

Decomposed BinaryLinearOp::decompose(OpBuilder &builder) {
  if (failed(requirePlain(*this, getPlanes())))
    return failure();
  Definition def(builder, *this);
  unsigned rows = rankOf(getInput()) - 1;
  Sizes sizes = append(def.rowsOf(getInput()), builder, getRows());
  Value total = def.zeros(sizes, builder.getF32Type());
  for (auto [plane, scale] : llvm::zip(getPlanes(), getScales())) {
    Value acc = accumulatePlane(def, getInput(), plane, dimOf(scale, 1));
    total = addScaledPlane(def, total, acc, scale);
  }
  if (getOffset())
    total = addOffset(def, total, getInput(), getOffset());
  Value result = def.map(
      sizes, builder.getF32Type(),
      {{getInputScale(), def.loops(rows)}, {total, def.loops(rows + 1)}},
      [](Scalars &s, ValueRange args) -> Values {
        return {s.mul(args[0], args[1])};
      });
  return Values{result};
}

//===----------------------------------------------------------------------===//
// Int8LinearOp, FloatLinearOp
//===----------------------------------------------------------------------===//

Decomposed Int8LinearOp::decompose(OpBuilder &builder) {
  if (failed(requirePlain(*this, getWeight())))
    return failure();
  Definition def(builder, *this);
  unsigned rows = rankOf(getInput()) - 1;
  Sizes sizes = append(def.rowsOf(getInput()), builder, dimOf(getWeight(), 0));
  AffineExpr n = def.loop(rows), k = def.loop(rows + 1);
  Value acc = def.reduce(
      sizes, builder.getI32IntegerAttr(0),
      {{getInput(), append(def.loops(rows), {k})}, {getWeight(), {n, k}}},
      [](Scalars &s, ValueRange args) -> Values {
        Value product =
            s.make<arith::MulIOp>(s.widen(args[0]), s.widen(args[1]));
        return {s.make<arith::AddIOp>(args[2], product)};
      });
  AffineExpr scaleN = def.loopOrZero(rows, dimOf(getWeightScale(), 0));
  Value result =
      def.map(sizes, builder.getF32Type(),
              {{getInputScale(), def.loops(rows)},
               {getWeightScale(), {scaleN}},
               {acc, def.loops(rows + 1)}},
              [](Scalars &s, ValueRange args) -> Values {
                return {s.mul(s.mul(args[0], args[1]), s.toFloat(args[2]))};
              });
  return Values{result};
}

/// sum_k input[.., k] * weight[n, k] in float32, k rising.
static Value buildProduct(Definition &def, Value input, Value weight) {
  unsigned rows = rankOf(input) - 1;
  AffineExpr n = def.loop(rows), k = def.loop(rows + 1);
  return def.reduce(append(def.rowsOf(input), def.builder, dimOf(weight, 0)),
                    def.builder.getF32FloatAttr(0),
                    {{input, append(def.loops(rows), {k})}, {weight, {n, k}}},
                    [](Scalars &s, ValueRange args) -> Values {
                      return {s.add(args[2], s.mul(args[0], args[1]))};
                    });
}

Decomposed FloatLinearOp::decompose(OpBuilder &builder) {
  if (failed(requirePlain(*this, getWeight())))
    return failure();
  Definition def(builder, *this);
  return Values{buildProduct(def, getInput(), getWeight())};
}

//===----------------------------------------------------------------------===//
// RouteOp, ExpertLinearOp
//===----------------------------------------------------------------------===//

/// softmax over the last dimension.
static Value buildSoftmax(Definition &def, Value logits) {
  unsigned rank = rankOf(logits);
  Sizes rows = def.rowsOf(logits), all = def.sizesOf(logits);
  Type f32 = def.builder.getF32Type();
  auto infinity = llvm::APFloat::getInf(llvm::APFloat::IEEEsingle(), true);
  Value maximum = def.reduce(
      rows, def.builder.getFloatAttr(f32, infinity),
      {{logits, def.loops(rank)}}, [](Scalars &s, ValueRange args) -> Values {
        return {s.make<arith::MaximumFOp>(args[1], args[0])};
      });
  Value exponential = def.map(
      all, f32, {{logits, def.loops(rank)}, {maximum, def.loops(rank - 1)}},
      [](Scalars &s, ValueRange args) -> Values {
        return {s.make<math::ExpOp>(s.sub(args[0], args[1]))};
      });
  Value sum = def.reduce(rows, def.builder.getF32FloatAttr(0),
                         {{exponential, def.loops(rank)}},
                         [](Scalars &s, ValueRange args) -> Values {
                           return {s.add(args[1], args[0])};
                         });
  return def.map(all, f32,
                 {{exponential, def.loops(rank)}, {sum, def.loops(rank - 1)}},
                 [](Scalars &s, ValueRange args) -> Values {
                   return {s.div(args[0], args[1])};
                 });
}

Decomposed RouteOp::decompose(OpBuilder &builder) {
  if (failed(requirePlain(*this, getWeight())))
    return failure();
  Definition def(builder, *this);
  unsigned rows = rankOf(getInput()) - 1;
  Sizes rowSizes = def.rowsOf(getInput());
  Value p = buildSoftmax(def, buildProduct(def, getInput(), getWeight()));
  // Experts come in rising order and only a greater probability replaces the
  // best so far, so the smallest index wins among equals.
  Values inits = {def.zeros(rowSizes, builder.getI64Type()),
                  def.filled(rowSizes, builder.getF32FloatAttr(-1))};
  Values best = def.generic(rows + 1, 1, {{p, def.loops(rows + 1)}}, inits,
                            [&](Scalars &s, ValueRange args) -> Values {
                              Value greater = s.make<arith::CmpFOp>(
                                  arith::CmpFPredicate::OGT, args[0], args[2]);
                              Value expert = s.make<arith::IndexCastOp>(
                                  s.builder.getI64Type(), s.loopIndex(rows));
                              return {s.select(greater, expert, args[1]),
                                      s.select(greater, args[0], args[2])};
                            });
  return best;
}

Decomposed ExpertLinearOp::decompose(OpBuilder &builder) {
  if (failed(requirePlain(*this, getWeight())))
    return failure();
  Definition def(builder, *this);
  unsigned rows = rankOf(getInput()) - 1;
  Sizes sizes = append(def.rowsOf(getInput()), builder, dimOf(getWeight(), 1));
  auto expertOf = [](Scalars &s, Value index) -> Value {
    return s.make<arith::IndexCastOp>(s.builder.getIndexType(), index);
  };
  // The loop over n has no input that is indexed by it; the init bounds it.
  Value acc =
      def.reduce(sizes, builder.getI32IntegerAttr(0),
                 {{getInput(), append(def.loops(rows), {def.loop(rows + 1)})},
                  {getIndex(), def.loops(rows)}},
                 [&](Scalars &s, ValueRange args) -> Values {
                   Values at = {expertOf(s, args[1]), s.loopIndex(rows),
                                s.loopIndex(rows + 1)};
                   Value w = s.make<tensor::ExtractOp>(getWeight(), at);
                   Value product =
                       s.make<arith::MulIOp>(s.widen(args[0]), s.widen(w));
                   return {s.make<arith::AddIOp>(args[2], product)};
                 });
  bool perRow = dimOf(getWeightScale(), 1) != 1;
  Value result =
      def.map(sizes, builder.getF32Type(),
              {{getInputScale(), def.loops(rows)},
               {getIndex(), def.loops(rows)},
               {acc, def.loops(rows + 1)}},
              [&](Scalars &s, ValueRange args) -> Values {
                Values at = {expertOf(s, args[1]),
                             perRow ? s.loopIndex(rows) : s.index(0)};
                Value scale = s.make<tensor::ExtractOp>(getWeightScale(), at);
                return {s.mul(s.mul(args[0], scale), s.toFloat(args[2]))};
              });
  return Values{result};
}
