//===- PQuantDecomposeDecoder.cpp - Definitions of decoder units ----------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The formulas in the descriptions of RMS norm, rotary embedding and
// attention, written out in linalg, arith, math and tensor.
//
//===----------------------------------------------------------------------===//

#include "dialects/PQuant/PQuantDefinition.h"

using namespace mlir;
using namespace pquant;

static RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

//===----------------------------------------------------------------------===//
// RMSNormOp
//===----------------------------------------------------------------------===//

Decomposed RMSNormOp::decompose(OpBuilder &builder) {
  Definition def(builder, *this);
  unsigned rank = typeOf(getInput()).getRank();
  int64_t columns = typeOf(getInput()).getShape().back();
  double eps = getEps().convertToFloat();
  Sizes rows = def.rowsOf(getInput());
  Value squares = def.reduce(rows, builder.getF32FloatAttr(0),
                             {{getInput(), def.loops(rank)}},
                             [](Scalars &s, ValueRange args) -> Values {
                               return {s.add(args[1], s.mul(args[0], args[0]))};
                             });
  Value factor =
      def.map(rows, builder.getF32Type(), {{squares, def.loops(rank - 1)}},
              [&](Scalars &s, ValueRange args) -> Values {
                Value mean = s.div(args[0], s.f32(columns));
                Value root = s.make<math::SqrtOp>(s.add(mean, s.f32(eps)));
                return {s.div(s.f32(1.0), root)};
              });
  Value result = def.map(def.sizesOf(getInput()), builder.getF32Type(),
                         {{getInput(), def.loops(rank)},
                          {factor, def.loops(rank - 1)},
                          {getWeight(), {def.loop(rank - 1)}}},
                         [](Scalars &s, ValueRange args) -> Values {
                           return {s.mul(s.mul(args[0], args[1]), args[2])};
                         });
  return Values{result};
}

//===----------------------------------------------------------------------===//
// RotaryEmbeddingOp
//===----------------------------------------------------------------------===//

Decomposed RotaryEmbeddingOp::decompose(OpBuilder &builder) {
  Definition def(builder, *this);
  int64_t count = typeOf(getInput()).getDimSize(3) / 2;
  // Each half holds one element of every pair.
  Attribute zero = builder.getIndexAttr(0), one = builder.getIndexAttr(1);
  Sizes sizes = def.sizesOf(getInput()), strides(4, one);
  sizes[3] = builder.getIndexAttr(count);
  strides[3] = builder.getIndexAttr(getInterleaved() ? 2 : 1);
  SmallVector<Sizes, 2> offsets(2, Sizes(4, zero));
  offsets[1][3] = builder.getIndexAttr(getInterleaved() ? 1 : count);
  Values halves;
  for (const Sizes &offset : offsets)
    halves.push_back(tensor::ExtractSliceOp::create(
        builder, def.loc, getInput(), offset, sizes, strides));
  SmallVector<AffineExpr> angle = {def.loop(2), def.loop(3)};
  Value result = tensor::EmptyOp::create(
      builder, def.loc, def.sizesOf(getInput()), builder.getF32Type());
  for (unsigned i : {0, 1}) {
    Value half = def.map(sizes, builder.getF32Type(),
                         {{halves[i], def.loops(4)},
                          {halves[1 - i], def.loops(4)},
                          {getCos(), angle},
                          {getSin(), angle}},
                         [&](Scalars &s, ValueRange args) -> Values {
                           Value a = s.mul(args[0], args[2]),
                                 b = s.mul(args[1], args[3]);
                           return {i == 0 ? s.sub(a, b) : s.add(a, b)};
                         });
    result = tensor::InsertSliceOp::create(builder, def.loc, half, result,
                                           offsets[i], sizes, strides);
  }
  return Values{result};
}

//===----------------------------------------------------------------------===//
// AttentionOp
//===----------------------------------------------------------------------===//

/// l[b, h, s, t] before the softmax.
static Value buildLogits(Definition &def, AttentionOp op, AffineExpr group) {
  OpBuilder &builder = def.builder;
  Sizes sizes = def.rowsOf(op.getQuery());
  sizes.push_back(def.sizesOf(op.getKey())[2]);
  AffineExpr b = def.loop(0), h = def.loop(1), i = def.loop(2), t = def.loop(3),
             d = def.loop(4);
  Value products = def.reduce(
      sizes, builder.getF32FloatAttr(0),
      {{op.getQuery(), {b, h, i, d}}, {op.getKey(), {b, group, t, d}}},
      [](Scalars &s, ValueRange args) -> Values {
        return {s.add(args[2], s.mul(args[0], args[1]))};
      });
  SmallVector<Definition::Operand> inputs = {{products, {b, h, i, t}}};
  if (Value mask = op.getMask()) {
    SmallVector<AffineExpr> index = {i, t};
    if (typeOf(mask).getRank() == 4)
      index = {def.loopOrZero(0, typeOf(mask).getDimSize(0)),
               builder.getAffineConstantExpr(0), i, t};
    inputs.push_back({mask, index});
  }
  Value ahead; // T - S: key rows that come before the first query
  if (op.getCausal()) {
    Value keys = tensor::DimOp::create(builder, def.loc, op.getKey(), 2);
    Value queries = tensor::DimOp::create(builder, def.loc, op.getQuery(), 2);
    ahead = arith::SubIOp::create(builder, def.loc, keys, queries);
  }
  double scale = op.getScale().convertToFloat();
  return def.map(sizes, builder.getF32Type(), inputs,
                 [&](Scalars &s, ValueRange args) -> Values {
                   Value logit = s.mul(s.f32(scale), args[0]);
                   if (op.getMask())
                     logit = s.add(logit, args[1]);
                   if (!ahead)
                     return {logit};
                   Value last = s.make<arith::AddIOp>(s.loopIndex(2), ahead);
                   Value later = s.make<arith::CmpIOp>(
                       arith::CmpIPredicate::sgt, s.loopIndex(3), last);
                   return {s.select(later, s.negativeInfinity(), logit)};
                 });
}

/// softmax over t; a row that is -inf everywhere becomes a row of zeros.
static Value buildProbabilities(Definition &def, Value logits) {
  OpBuilder &builder = def.builder;
  Type f32 = builder.getF32Type();
  Sizes rows = def.rowsOf(logits), all = def.sizesOf(logits);
  auto infinity = llvm::APFloat::getInf(llvm::APFloat::IEEEsingle(), true);
  Value maximum = def.reduce(
      rows, builder.getFloatAttr(f32, infinity), {{logits, def.loops(4)}},
      [](Scalars &s, ValueRange args) -> Values {
        return {s.make<arith::MaximumFOp>(args[1], args[0])};
      });
  Value exponential =
      def.map(all, f32, {{logits, def.loops(4)}, {maximum, def.loops(3)}},
              [](Scalars &s, ValueRange args) -> Values {
                return {s.make<math::ExpOp>(s.sub(args[0], args[1]))};
              });
  Value sum = def.reduce(rows, builder.getF32FloatAttr(0),
                         {{exponential, def.loops(4)}},
                         [](Scalars &s, ValueRange args) -> Values {
                           return {s.add(args[1], args[0])};
                         });
  return def.map(all, f32,
                 {{exponential, def.loops(4)},
                  {sum, def.loops(3)},
                  {maximum, def.loops(3)}},
                 [](Scalars &s, ValueRange args) -> Values {
                   Value none =
                       s.make<arith::CmpFOp>(arith::CmpFPredicate::OEQ, args[2],
                                             s.negativeInfinity());
                   return {s.select(none, s.f32(0.0), s.div(args[0], args[1]))};
                 });
}

Decomposed AttentionOp::decompose(OpBuilder &builder) {
  Definition def(builder, *this);
  int64_t heads = typeOf(getQuery()).getDimSize(1);
  int64_t groups = typeOf(getKey()).getDimSize(1);
  AffineExpr b = def.loop(0), e = def.loop(3), t = def.loop(4);
  AffineExpr group = def.loop(1).floorDiv(heads / groups);
  Value p = buildProbabilities(def, buildLogits(def, *this, group));
  Sizes sizes = def.rowsOf(getQuery());
  sizes.push_back(def.sizesOf(getValue())[3]);
  Value result = def.reduce(
      sizes, builder.getF32FloatAttr(0),
      {{p, {b, def.loop(1), def.loop(2), t}}, {getValue(), {b, group, t, e}}},
      [](Scalars &s, ValueRange args) -> Values {
        return {s.add(args[2], s.mul(args[0], args[1]))};
      });
  return Values{result};
}

//===----------------------------------------------------------------------===//
// CachedAttentionOp
//===----------------------------------------------------------------------===//

/// `cache` with the rows of `rows` written from row `position` on.
static Value writeRows(Definition &def, Value rows, Value cache,
                       Value position) {
  Attribute zero = def.builder.getIndexAttr(0);
  Sizes offsets = {zero, zero, position, zero};
  Sizes strides(4, def.builder.getIndexAttr(1));
  return tensor::InsertSliceOp::create(def.builder, def.loc, rows, cache,
                                       offsets, def.sizesOf(rows), strides);
}

/// The first `count` rows of a cache.
static Value readRows(Definition &def, Value cache, Value count) {
  Sizes offsets(4, def.builder.getIndexAttr(0));
  Sizes strides(4, def.builder.getIndexAttr(1));
  Sizes sizes = def.sizesOf(cache);
  sizes[2] = count;
  return tensor::ExtractSliceOp::create(def.builder, def.loc, cache, offsets,
                                        sizes, strides);
}

Decomposed CachedAttentionOp::decompose(OpBuilder &builder) {
  Definition def(builder, *this);
  Scalars s = def.scalars();
  Value position = s.make<arith::IndexCastOp>(
      builder.getIndexType(),
      s.make<tensor::ExtractOp>(getPosition(), ValueRange()));
  Value keys = writeRows(def, getKey(), getKeyCache(), position);
  Value values = writeRows(def, getValue(), getValueCache(), position);
  Value count = s.make<arith::AddIOp>(
      position, tensor::DimOp::create(builder, getLoc(), getQuery(), 2));
  Value result = AttentionOp::create(
      builder, getLoc(), getQuery(), readRows(def, keys, count),
      readRows(def, values, count), /*mask=*/Value(), getScaleAttr(),
      /*causal=*/builder.getUnitAttr());
  return Values{result, keys, values};
}
