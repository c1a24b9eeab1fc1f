//===- LowerDecoupledFFN.cpp - FFNs to linears, factors folded ------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What --pquant-dispatch-experts and --pquant-fuse-branches share; see the
// header for what folding does to the rounding.
//
//===----------------------------------------------------------------------===//

#include "pquant/Transforms/LowerDecoupledFFN.h"
#include "dialects/PQuant/PQuantDefinition.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "pquant/Support/TensorBuilders.h"

using namespace mlir;
using namespace pquant;

//===----------------------------------------------------------------------===//
// Scales
//===----------------------------------------------------------------------===//

bool pquant::foldFactor(OpBuilder &builder, Location loc, Value factor,
                        LinearScales &scales) {
  if (!factor)
    return true;
  std::optional<SmallVector<float>> constant = readFloats(factor);
  SmallVector<SmallVector<float>> values;
  for (Value scale : scales.weights)
    if (std::optional<SmallVector<float>> read = readFloats(scale))
      values.push_back(*read);
  if (!constant || values.size() != scales.weights.size()) {
    scales.rows = buildScale(builder, loc, scales.rows, factor);
    return false;
  }
  for (auto [scale, floats] : llvm::zip(scales.weights, values)) {
    for (float &value : floats)
      value *= constant->front();
    scale = buildFloats(builder, loc,
                        cast<RankedTensorType>(scale.getType()).getShape(),
                        floats, "scale");
  }
  return true;
}

Value pquant::reshapeScale(OpBuilder &builder, Location loc, Value scale,
                           ArrayRef<int64_t> shape) {
  auto type = cast<RankedTensorType>(scale.getType());
  if (type.getShape() == shape)
    return scale;
  if (ElementsAttr attr = getConstant(scale))
    return arith::ConstantOp::create(
        builder, loc, cast<TypedAttr>(reshapeConstant(attr, shape)));
  SmallVector<int64_t> sizes(shape);
  Value sizeTensor = arith::ConstantOp::create(
      builder, loc, builder.getIndexTensorAttr(sizes));
  return tensor::ReshapeOp::create(
      builder, loc, RankedTensorType::get(shape, type.getElementType()), scale,
      sizeTensor);
}

//===----------------------------------------------------------------------===//
// Feed-forward layers
//===----------------------------------------------------------------------===//

namespace {
/// Builds the parts of one feed-forward layer.
class FFNLowering {
public:
  FFNLowering(OpBuilder &builder, DecoupledFFNOp op)
      : builder(builder), loc(op.getLoc()), op(op),
        experts(
            cast<RankedTensorType>(op.getInt8Up().getType()).getDimSize(0)) {}

  Value lower() {
    auto [input, inputScale] = quantize(op.getInput());
    auto binaryLinear = [&, input = input, rows = inputScale](Value weight,
                                                              Value scale) {
      return binary(input, {rows, {perTensor(scale)}}, weight);
    };
    auto int8Linear = [&, input = input, rows = inputScale](Value weight,
                                                            Value scale) {
      return int8(input, {rows, {scale}}, weight);
    };
    Value binaryHidden =
        hidden(binaryLinear, op.getBinaryGate(), op.getBinaryGateScale(),
               op.getBinaryUp(), op.getBinaryUpScale());
    Value int8Hidden =
        hidden(int8Linear, op.getInt8Gate(), op.getInt8GateScale(),
               op.getInt8Up(), op.getInt8UpScale());
    return down(binaryHidden, int8Hidden);
  }

private:
  std::pair<Value, Value> quantize(Value input) {
    auto quantize =
        QuantizeOp::create(builder, loc, input, op.getQuantizerAttr());
    return {quantize.getValues(), quantize.getScale()};
  }

  /// A scale of shape 1 as the R x G scale of a 1-bit plane.
  Value perTensor(Value scale) {
    return reshapeScale(builder, loc, scale, {1, 1});
  }

  Value binary(Value input, const LinearScales &scales, Value weight) {
    return BinaryLinearOp::create(builder, loc, input, scales.rows, weight,
                                  scales.weights, /*offset=*/Value());
  }

  /// Expert linears for a choice, otherwise a linear with the only matrix.
  Value int8(Value input, const LinearScales &scales, Value stack) {
    if (experts == 1)
      return Int8LinearOp::create(builder, loc, input, scales.rows,
                                  onlyMatrix(stack), scales.weights[0]);
    return ExpertLinearOp::create(
        builder, loc, input, scales.rows, op.getIndex(), stack,
        reshapeScale(builder, loc, scales.weights[0], {experts, 1}));
  }

  /// The matrix of a stack of one.
  Value onlyMatrix(Value stack) {
    ArrayRef<int64_t> shape =
        cast<RankedTensorType>(stack.getType()).getShape();
    if (ElementsAttr attr = getConstant(stack))
      return arith::ConstantOp::create(
          builder, loc,
          cast<TypedAttr>(reshapeConstant(attr, shape.drop_front())));
    return tensor::CollapseShapeOp::create(
        builder, loc, stack, ArrayRef<ReassociationIndices>{{0, 1}, {2}});
  }

  /// act(gate(x)) * up(x), or act(up(x)) without a gate.
  Value hidden(llvm::function_ref<Value(Value, Value)> linear, Value gate,
               Value gateScale, Value up, Value upScale) {
    SmallVector<Value> inputs;
    if (gate)
      inputs.push_back(linear(gate, gateScale));
    inputs.push_back(linear(up, upScale));
    Activation activation = op.getActivation();
    return buildElementwise(
        builder, loc, inputs,
        [&](OpBuilder &nested, Location nestedLoc, ValueRange args) -> Value {
          Scalars scalars(nested, nestedLoc);
          Value value = buildActivation(scalars, activation, args[0]);
          if (args.size() == 1)
            return value;
          return arith::MulFOp::create(nested, nestedLoc, value, args[1]);
        });
  }

  /// alpha * p * int8 down projection + beta * 1-bit down projection.
  Value down(Value binaryHidden, Value int8Hidden) {
    auto [binaryInput, binaryRows] = quantize(binaryHidden);
    auto [int8Input, int8Rows] = quantize(int8Hidden);
    LinearScales binaryScales{binaryRows, {perTensor(op.getBinaryDownScale())}};
    LinearScales int8Scales{int8Rows, {op.getInt8DownScale()}};
    foldFactor(builder, loc, op.getBeta(), binaryScales);
    foldFactor(builder, loc, op.getAlpha(), int8Scales);
    if (Value probability = op.getProbability())
      int8Scales.rows = buildScale(builder, loc, int8Scales.rows, probability);
    if (experts == 1)
      return DecoupledLinearOp::create(
          builder, loc, int8Input, int8Scales.rows,
          onlyMatrix(op.getInt8Down()), int8Scales.weights[0], binaryInput,
          binaryScales.rows, op.getBinaryDown(), binaryScales.weights,
          /*alpha=*/Value(), /*beta=*/Value());
    Value int8Result = int8(int8Input, int8Scales, op.getInt8Down());
    Value binaryResult = binary(binaryInput, binaryScales, op.getBinaryDown());
    return buildElementwise(
        builder, loc, {int8Result, binaryResult},
        [](OpBuilder &nested, Location nestedLoc, ValueRange args) -> Value {
          return arith::AddFOp::create(nested, nestedLoc, args[0], args[1]);
        });
  }

  OpBuilder &builder;
  Location loc;
  DecoupledFFNOp op;
  int64_t experts;
};
} // namespace

void pquant::lowerDecoupledFFN(RewriterBase &rewriter, DecoupledFFNOp op) {
  rewriter.setInsertionPoint(op);
  rewriter.replaceOp(op, FFNLowering(rewriter, op).lower());
}
