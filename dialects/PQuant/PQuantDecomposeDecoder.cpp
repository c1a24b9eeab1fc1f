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

namespace {
/// Rows as an i8 cache holds them: the values, and the bytes of the steps.
struct QuantizedRows {
  Value values, steps;
};
} // namespace

static Type elementOf(Value tensor) { return typeOf(tensor).getElementType(); }

/// step = max |row| / 127, q = clamp(roundeven(row / step)). The comparisons
/// make a NaN -127, which keeps it away from fptosi.
static QuantizedRows quantizeRows(Definition &def, Value rows) {
  OpBuilder &builder = def.builder;
  Sizes sizes = def.sizesOf(rows), rowSizes = def.rowsOf(rows);
  Value steps =
      def.reduce(rowSizes, builder.getF32FloatAttr(0), {{rows, def.loops(4)}},
                 [](Scalars &s, ValueRange args) -> Values {
                   Value step =
                       s.div(s.make<math::AbsFOp>(args[0]), s.f32(127));
                   return {s.make<arith::MaximumFOp>(args[1], step)};
                 });
  Value values = def.map(
      sizes, builder.getI8Type(), {{rows, def.loops(4)}, {steps, def.loops(3)}},
      [&](Scalars &s, ValueRange args) -> Values {
        using Predicate = arith::CmpFPredicate;
        Value q = s.make<math::RoundEvenOp>(s.div(args[0], args[1]));
        Value low = s.f32(-127), high = s.f32(127);
        q = s.select(s.make<arith::CmpFOp>(Predicate::OGT, q, low), q, low);
        q = s.select(s.make<arith::CmpFOp>(Predicate::OLT, q, high), q, high);
        return {s.make<arith::FPToSIOp>(builder.getI8Type(), q)};
      });
  sizes[3] = builder.getIndexAttr(CachedAttentionOp::kStepColumns);
  Value bytes =
      def.map(sizes, builder.getI8Type(), {{steps, def.loops(3)}},
              [&](Scalars &s, ValueRange args) -> Values {
                Type i32 = builder.getI32Type();
                Value word = s.make<arith::BitcastOp>(i32, args[0]);
                Value bits = s.make<arith::IndexCastOp>(
                    i32, s.make<arith::MulIOp>(s.loopIndex(3), s.index(8)));
                Value byte = s.make<arith::ShRUIOp>(word, bits);
                return {s.make<arith::TruncIOp>(builder.getI8Type(), byte)};
              });
  return {values, bytes};
}

/// The f32 rows that an i8 cache holds, `columns` of them.
static Value dequantizeRows(Definition &def, Value cache, int64_t columns) {
  Sizes sizes = def.rowsOf(cache);
  sizes.push_back(def.builder.getIndexAttr(columns));
  return def.map(
      sizes, def.builder.getF32Type(), {},
      [&](Scalars &s, ValueRange) -> Values {
        Type i32 = def.builder.getI32Type();
        Values index = {s.loopIndex(0), s.loopIndex(1), s.loopIndex(2),
                        s.loopIndex(3)};
        Value value = s.widen(s.make<tensor::ExtractOp>(cache, index));
        Value word = s.make<arith::ConstantIntOp>(i32, 0);
        for (int64_t i = 0; i < CachedAttentionOp::kStepColumns; ++i) {
          index[3] = s.index(columns + i);
          Value byte = s.make<arith::ExtUIOp>(
              i32, s.make<tensor::ExtractOp>(cache, index));
          Value bits = s.make<arith::ConstantIntOp>(i32, 8 * i);
          word = s.make<arith::OrIOp>(word, s.make<arith::ShLIOp>(byte, bits));
        }
        Value step = s.make<arith::BitcastOp>(def.builder.getF32Type(), word);
        return {s.mul(s.toFloat(value), step)};
      });
}

/// `cache` with `rows`, of its element type, written from row `position` and
/// column `column` on.
static Value insertRows(Definition &def, Value rows, Value cache,
                        Value position, int64_t column) {
  Attribute zero = def.builder.getIndexAttr(0);
  Sizes offsets = {zero, zero, position, def.builder.getIndexAttr(column)};
  Sizes strides(4, def.builder.getIndexAttr(1));
  return tensor::InsertSliceOp::create(def.builder, def.loc, rows, cache,
                                       offsets, def.sizesOf(rows), strides);
}

/// `cache` with the f32 `rows` written from row `position` on.
static Value writeRows(Definition &def, Value rows, Value cache,
                       Value position) {
  Type element = elementOf(cache);
  if (element.isInteger(8)) {
    QuantizedRows quantized = quantizeRows(def, rows);
    cache = insertRows(def, quantized.values, cache, position, 0);
    return insertRows(def, quantized.steps, cache, position,
                      typeOf(rows).getDimSize(3));
  }
  if (element.isF16())
    rows = def.map(def.sizesOf(rows), element, {{rows, def.loops(4)}},
                   [&](Scalars &s, ValueRange args) -> Values {
                     return {s.make<arith::TruncFOp>(element, args[0])};
                   });
  return insertRows(def, rows, cache, position, 0);
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

/// Rows of a cache in f32, `columns` of them.
static Value widenRows(Definition &def, Value rows, int64_t columns) {
  Type element = elementOf(rows), f32 = def.builder.getF32Type();
  if (element.isInteger(8))
    return dequantizeRows(def, rows, columns);
  if (element.isF32())
    return rows;
  return def.map(def.sizesOf(rows), f32, {{rows, def.loops(4)}},
                 [&](Scalars &s, ValueRange args) -> Values {
                   return {s.make<arith::ExtFOp>(f32, args[0])};
                 });
}

CachedAttentionOp::WrittenCaches
CachedAttentionOp::writeCaches(OpBuilder &builder) {
  Definition def(builder, *this);
  Scalars s = def.scalars();
  Value position = s.make<arith::IndexCastOp>(
      builder.getIndexType(),
      s.make<tensor::ExtractOp>(getPosition(), ValueRange()));
  Value keys = writeRows(def, getKey(), getKeyCache(), position);
  Value values = writeRows(def, getValue(), getValueCache(), position);
  Value count = s.make<arith::AddIOp>(
      position, tensor::DimOp::create(builder, getLoc(), getQuery(), 2));
  return {keys, values, readRows(def, keys, count),
          readRows(def, values, count)};
}

Decomposed CachedAttentionOp::decompose(OpBuilder &builder) {
  WrittenCaches caches = writeCaches(builder);
  Definition def(builder, *this);
  Value keys = widenRows(def, caches.keys, typeOf(getKey()).getDimSize(3));
  Value values =
      widenRows(def, caches.values, typeOf(getValue()).getDimSize(3));
  Value result = AttentionOp::create(builder, getLoc(), getQuery(), keys,
                                     values, /*mask=*/Value(), getScaleAttr(),
                                     /*causal=*/builder.getUnitAttr());
  return Values{result, caches.keyCache, caches.valueCache};
}
