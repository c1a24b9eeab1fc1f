//===- PQuantDecomposeDecoupled.cpp - Definitions of decoupled layers -----===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The decoupled linear and feed-forward layers as simpler pquant ops, whose
// results are added in the order in which the formulas of the descriptions have
// them.
//
//===----------------------------------------------------------------------===//

#include "dialects/PQuant/PQuantDefinition.h"

using namespace mlir;
using namespace pquant;

//===----------------------------------------------------------------------===//
// DecoupledLinearOp
//===----------------------------------------------------------------------===//

/// `a + b`, or with factors, all read as f32 tensors of the same shape;
/// factors may have fewer (leading) dimensions.
static Value addBranches(Definition &def, Value a, ValueRange aFactors, Value b,
                         ValueRange bFactors) {
  unsigned rank = rankOf(a);
  SmallVector<Definition::Operand> inputs;
  for (Value factor : aFactors)
    inputs.push_back({factor, def.loops(rankOf(factor))});
  inputs.push_back({a, def.loops(rank)});
  for (Value factor : bFactors)
    inputs.push_back({factor, def.loops(rankOf(factor))});
  inputs.push_back({b, def.loops(rank)});
  size_t split = aFactors.size() + 1;
  auto product = [](Scalars &s, ValueRange args) {
    Value value = args.front();
    for (Value factor : args.drop_front())
      value = s.mul(value, factor);
    return value;
  };
  return def.map(def.sizesOf(a), def.builder.getF32Type(), inputs,
                 [&](Scalars &s, ValueRange args) -> Values {
                   ValueRange terms = args.drop_back();
                   return {s.add(product(s, terms.take_front(split)),
                                 product(s, terms.drop_front(split)))};
                 });
}

/// The operands that are present.
static Values present(ValueRange values) {
  return llvm::filter_to_vector(values, [](Value v) { return bool(v); });
}

Decomposed DecoupledLinearOp::decompose(OpBuilder &builder) {
  if (failed(requirePlain(*this, getPlanes())) ||
      failed(requirePlain(*this, getInt8Weight())))
    return failure();
  Definition def(builder, *this);
  Value int8 =
      Int8LinearOp::create(builder, getLoc(), getInt8Input(), getInt8Scale(),
                           getInt8Weight(), getInt8WeightScale());
  Value binary = BinaryLinearOp::create(builder, getLoc(), getBinaryInput(),
                                        getBinaryScale(), getPlanes(),
                                        getScales(), /*offset=*/Value());
  return Values{addBranches(def, int8, present({getAlpha()}), binary,
                            present({getBeta()}))};
}

//===----------------------------------------------------------------------===//
// DecoupledFFNOp
//===----------------------------------------------------------------------===//

Value pquant::buildActivation(Scalars &s, Activation activation, Value v) {
  switch (activation) {
  case Activation::SiLU: {
    Value minus = s.make<arith::NegFOp>(v);
    Value exponential = s.make<math::ExpOp>(minus);
    Value one = s.f32(1.0);
    return s.mul(v, s.div(one, s.add(one, exponential)));
  }
  case Activation::GELU: {
    Value erf = s.make<math::ErfOp>(s.div(v, s.f32(1.4142135623730951)));
    return s.div(s.mul(v, s.add(s.f32(1.0), erf)), s.f32(2.0));
  }
  case Activation::ReLU:
    return s.make<arith::MaximumFOp>(v, s.f32(0.0));
  case Activation::ReLU2: {
    Value positive = s.make<arith::MaximumFOp>(v, s.f32(0.0));
    return s.mul(positive, positive);
  }
  }
  llvm_unreachable("unknown activation");
}

/// act(gate) * up, or act(up) without a gate.
static Value buildHidden(Definition &def, Activation activation, Value gate,
                         Value up) {
  unsigned rank = rankOf(up);
  SmallVector<Definition::Operand> inputs = {{up, def.loops(rank)}};
  if (gate)
    inputs.push_back({gate, def.loops(rank)});
  return def.map(def.sizesOf(up), def.builder.getF32Type(), inputs,
                 [&](Scalars &s, ValueRange args) -> Values {
                   if (!gate)
                     return {buildActivation(s, activation, args[0])};
                   return {
                       s.mul(buildActivation(s, activation, args[1]), args[0])};
                 });
}

/// A scale of shape `a` as `a x 1`.
static Value appendUnit(Definition &def, Value scale) {
  auto type = cast<RankedTensorType>(scale.getType());
  return tensor::ExpandShapeOp::create(
      def.builder, def.loc, type.clone({type.getDimSize(0), 1}), scale,
      ArrayRef<ReassociationIndices>{{0, 1}});
}

/// The only matrix of a stack of one.
static Value onlyMatrix(Definition &def, Value stack) {
  auto type = cast<RankedTensorType>(stack.getType());
  return tensor::CollapseShapeOp::create(
      def.builder, def.loc, type.clone(type.getShape().drop_front()), stack,
      ArrayRef<ReassociationIndices>{{0, 1}, {2}});
}

namespace {
/// Quantised rows and their steps.
struct Quantized {
  Value values, scale;
};
} // namespace

/// One branch: quantise `input` (given for the first layer), up, gate, down.
static Value
buildBranch(Definition &def, DecoupledFFNOp op, Quantized input, bool gated,
            llvm::function_ref<Value(Quantized, unsigned weight)> linear) {
  enum { Gate, Up, Down };
  Value up = linear(input, Up);
  Value gate = gated ? linear(input, Gate) : Value();
  Value hidden = buildHidden(def, op.getActivation(), gate, up);
  auto quantize =
      QuantizeOp::create(def.builder, def.loc, hidden, op.getQuantizer());
  return linear({quantize.getValues(), quantize.getScale()}, Down);
}

Decomposed DecoupledFFNOp::decompose(OpBuilder &builder) {
  if (failed(
          requirePlain(*this, {getBinaryGate(), getBinaryUp(), getBinaryDown(),
                               getInt8Gate(), getInt8Up(), getInt8Down()})))
    return failure();
  Definition def(builder, *this);
  auto quantize =
      QuantizeOp::create(builder, getLoc(), getInput(), getQuantizer());
  Quantized input = {quantize.getValues(), quantize.getScale()};

  Value binaryWeights[] = {getBinaryGate(), getBinaryUp(), getBinaryDown()};
  Value binaryScales[] = {getBinaryGateScale(), getBinaryUpScale(),
                          getBinaryDownScale()};
  Value binary = buildBranch(def, *this, input, bool(getBinaryGate()),
                             [&](Quantized q, unsigned i) -> Value {
                               Value scale = appendUnit(def, binaryScales[i]);
                               return BinaryLinearOp::create(
                                   builder, getLoc(), q.values, q.scale,
                                   binaryWeights[i], scale, Value());
                             });

  Value int8Weights[] = {getInt8Gate(), getInt8Up(), getInt8Down()};
  Value int8Scales[] = {getInt8GateScale(), getInt8UpScale(),
                        getInt8DownScale()};
  Value int8 = buildBranch(
      def, *this, input, bool(getInt8Gate()),
      [&](Quantized q, unsigned i) -> Value {
        if (!getIndex())
          return Int8LinearOp::create(builder, getLoc(), q.values, q.scale,
                                      onlyMatrix(def, int8Weights[i]),
                                      int8Scales[i]);
        return ExpertLinearOp::create(builder, getLoc(), q.values, q.scale,
                                      getIndex(), int8Weights[i],
                                      appendUnit(def, int8Scales[i]));
      });
  return Values{addBranches(def, int8, present({getAlpha(), getProbability()}),
                            binary, present({getBeta()}))};
}
