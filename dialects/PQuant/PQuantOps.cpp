//===- PQuantOps.cpp - Result types and verifiers of pquant ops -----------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The quantiser, the linear layers, the router and the feed-forward layer
// (PQuantDecoderOps.cpp has the units of a decoder): one check for each
// numbered constraint of an op's description. Result types follow from
// operands; inference also runs in builders, before any verifier, and so
// rejects what it cannot give a type for.
//
//===----------------------------------------------------------------------===//

#include "dialects/PQuant/PQuantChecks.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace pquant;

//===----------------------------------------------------------------------===//
// Weights and branches
//===----------------------------------------------------------------------===//

/// A weight scale: one element, or one for each of the `n` rows.
static LogicalResult verifyRowScale(Operation *op, StringRef name, Value value,
                                    int64_t n) {
  if (shapeOf(value) == ArrayRef<int64_t>{1} ||
      shapeOf(value) == ArrayRef<int64_t>{n})
    return success();
  InFlightDiagnostic diag = op->emitOpError()
                            << "expected " << name << " to have shape 1";
  if (n != 1)
    diag << " or " << n;
  return diag << ", but got " << toString(shapeOf(value));
}

/// A static matrix or stack of matrices with no empty dimension.
static LogicalResult verifyWeightStatic(Operation *op, StringRef name,
                                        Value value) {
  for (int64_t size : shapeOf(value))
    if (ShapedType::isDynamic(size) || size < 1)
      return op->emitOpError()
             << "expected " << name
             << " to have static dimensions of at least 1, but got "
             << toString(shapeOf(value));
  return success();
}

namespace {
/// Operands of an INT8 linear layer, alone or as a branch.
struct Int8Branch {
  StringRef inputName, scaleName, weightName, weightScaleName;
  Value input, scale, weight, weightScale;
};

/// Operands of a 1-bit linear layer, alone or as a branch.
struct BinaryBranch {
  StringRef inputName, scaleName;
  Value input, scale;
  ValueRange planes, scales;
};
} // namespace

static LogicalResult verifyInt8Branch(Operation *op, const Int8Branch &b) {
  // (C1)
  if (failed(verifyActivation(op, b.inputName, b.input)))
    return failure();
  // (C2)
  if (failed(verifyRows(op, b.scaleName, b.scale, b.input)))
    return failure();
  // (C3)
  int64_t n = shapeOf(b.weight)[0], k = shapeOf(b.input).back();
  if (failed(verifyWeightStatic(op, b.weightName, b.weight)) ||
      failed(verifyShape(op, b.weightName, b.weight, {n, k})))
    return failure();
  // (C4)
  return verifyRowScale(op, b.weightScaleName, b.weightScale, n);
}

static LogicalResult verifyGroups(Operation *op, Value scale, unsigned plane,
                                  int64_t n, int64_t k) {
  ArrayRef<int64_t> shape = shapeOf(scale);
  if (shape.size() == 2 && (shape[0] == 1 || shape[0] == n) && shape[1] >= 1 &&
      k % shape[1] == 0)
    return success();
  return op->emitOpError() << "expected scale of plane " << plane
                           << " to have shape RxG with R 1 or " << n
                           << " and G a divisor of " << k << ", but got "
                           << toString(shape);
}

static LogicalResult verifyBinaryBranch(Operation *op, const BinaryBranch &b) {
  // (C1)
  if (failed(verifyActivation(op, b.inputName, b.input)))
    return failure();
  // (C2)
  if (failed(verifyRows(op, b.scaleName, b.scale, b.input)))
    return failure();
  // (C3)
  if (b.planes.empty())
    return op->emitOpError() << "expected at least one plane, but got none";
  if (b.planes.size() != b.scales.size())
    return op->emitOpError()
           << "expected one scale for each of the " << b.planes.size()
           << " planes, but got " << b.scales.size();
  // (C4)
  Type first = b.planes.front().getType();
  int64_t n = shapeOf(b.planes.front())[0], k = shapeOf(b.input).back();
  if (failed(verifyWeightStatic(op, "plane 0", b.planes.front())) ||
      failed(verifyShape(op, "plane 0", b.planes.front(), {n, k})))
    return failure();
  for (auto [p, plane] : llvm::enumerate(b.planes))
    if (plane.getType() != first)
      return op->emitOpError()
             << "expected plane " << p << " to have type " << first
             << " of plane 0, but got " << plane.getType();
  // (C5)
  for (auto [p, scale] : llvm::enumerate(b.scales))
    if (failed(verifyGroups(op, scale, p, n, k)))
      return failure();
  return success();
}

//===----------------------------------------------------------------------===//
// QuantizeOp
//===----------------------------------------------------------------------===//

LogicalResult QuantizeOp::inferReturnTypes(MLIRContext *context,
                                           std::optional<Location> location,
                                           Adaptor adaptor, Types &types) {
  // (C1)
  Value input = adaptor.getInput();
  if (failed(inferRank<QuantizeOp>(location, "input", input, 1)))
    return failure();
  Builder builder(context);
  types.push_back(RankedTensorType::get(shapeOf(input), builder.getI8Type()));
  types.push_back(RankedTensorType::get(rowsOf(input), builder.getF32Type()));
  return success();
}

LogicalResult QuantizeOp::verify() {
  // (C2)
  return verifyActivation(*this, "input", getInput());
}

//===----------------------------------------------------------------------===//
// BinaryLinearOp
//===----------------------------------------------------------------------===//

LogicalResult BinaryLinearOp::inferReturnTypes(MLIRContext *context,
                                               std::optional<Location> location,
                                               Adaptor adaptor, Types &types) {
  // (C1), (C3)
  if (failed(
          inferRank<BinaryLinearOp>(location, "input", adaptor.getInput(), 1)))
    return failure();
  if (adaptor.getPlanes().empty())
    return inferError<BinaryLinearOp>(
        location, "expected at least one plane, but got none");
  int64_t n = shapeOf(adaptor.getPlanes().front())[0];
  types.push_back(
      appendDim(rowsOf(adaptor.getInput()), n, Float32Type::get(context)));
  return success();
}

LogicalResult BinaryLinearOp::verify() {
  // (C1)-(C5)
  if (failed(verifyBinaryBranch(*this,
                                {"input", "input_scale", getInput(),
                                 getInputScale(), getPlanes(), getScales()})))
    return failure();
  // (C6)
  if (getOffset())
    return verifyRowScale(*this, "offset", getOffset(), getRows());
  return success();
}

int64_t BinaryLinearOp::getRows() { return shapeOf(getPlanes().front())[0]; }

int64_t BinaryLinearOp::getColumns() { return shapeOf(getInput()).back(); }

//===----------------------------------------------------------------------===//
// Int8LinearOp
//===----------------------------------------------------------------------===//

LogicalResult Int8LinearOp::inferReturnTypes(MLIRContext *context,
                                             std::optional<Location> location,
                                             Adaptor adaptor, Types &types) {
  // (C1)
  if (failed(inferRank<Int8LinearOp>(location, "input", adaptor.getInput(), 1)))
    return failure();
  types.push_back(appendDim(rowsOf(adaptor.getInput()),
                            shapeOf(adaptor.getWeight())[0],
                            Float32Type::get(context)));
  return success();
}

LogicalResult Int8LinearOp::verify() {
  // (C1)-(C4)
  return verifyInt8Branch(*this, {"input", "input_scale", "weight",
                                  "weight_scale", getInput(), getInputScale(),
                                  getWeight(), getWeightScale()});
}

//===----------------------------------------------------------------------===//
// FloatLinearOp
//===----------------------------------------------------------------------===//

/// (C1) and (C2) of an E x H (or N x K) float matrix applied to `input`.
static LogicalResult verifyFloatProduct(Operation *op, Value input,
                                        Value weight) {
  // (C1)
  if (failed(verifyActivation(op, "input", input)))
    return failure();
  // (C2)
  int64_t columns = shapeOf(input).back();
  if (typeOf(weight).getRank() != 2)
    return op->emitOpError()
           << "expected weight to be a matrix of " << columns
           << " columns, but got shape " << toString(shapeOf(weight));
  if (failed(verifyWeightStatic(op, "weight", weight)))
    return failure();
  return verifyShape(op, "weight", weight, {shapeOf(weight)[0], columns});
}

LogicalResult FloatLinearOp::inferReturnTypes(MLIRContext *context,
                                              std::optional<Location> location,
                                              Adaptor adaptor, Types &types) {
  // (C1), (C2)
  if (failed(
          inferRank<FloatLinearOp>(location, "input", adaptor.getInput(), 1)) ||
      failed(
          inferRank<FloatLinearOp>(location, "weight", adaptor.getWeight(), 2)))
    return failure();
  types.push_back(appendDim(rowsOf(adaptor.getInput()),
                            shapeOf(adaptor.getWeight())[0],
                            Float32Type::get(context)));
  return success();
}

LogicalResult FloatLinearOp::verify() {
  // (C1), (C2)
  return verifyFloatProduct(*this, getInput(), getWeight());
}

//===----------------------------------------------------------------------===//
// DecoupledLinearOp
//===----------------------------------------------------------------------===//

LogicalResult
DecoupledLinearOp::inferReturnTypes(MLIRContext *context,
                                    std::optional<Location> location,
                                    Adaptor adaptor, Types &types) {
  // (C1), (C2)
  if (failed(inferRank<DecoupledLinearOp>(location, "int8_input",
                                          adaptor.getInt8Input(), 1)) ||
      failed(inferRank<DecoupledLinearOp>(location, "binary_input",
                                          adaptor.getBinaryInput(), 1)))
    return failure();
  if (adaptor.getPlanes().empty())
    return inferError<DecoupledLinearOp>(
        location, "expected at least one plane, but got none");
  types.push_back(appendDim(rowsOf(adaptor.getInt8Input()),
                            shapeOf(adaptor.getInt8Weight())[0],
                            Float32Type::get(context)));
  return success();
}

LogicalResult DecoupledLinearOp::verify() {
  // (C1)
  if (failed(verifyInt8Branch(*this, {"int8_input", "int8_scale", "int8_weight",
                                      "int8_weight_scale", getInt8Input(),
                                      getInt8Scale(), getInt8Weight(),
                                      getInt8WeightScale()})))
    return failure();
  // (C2)
  if (failed(verifyBinaryBranch(*this, {"binary_input", "binary_scale",
                                        getBinaryInput(), getBinaryScale(),
                                        getPlanes(), getScales()})))
    return failure();
  // (C3)
  int64_t n = shapeOf(getInt8Weight())[0];
  int64_t binaryN = shapeOf(getPlanes().front())[0];
  if (n != binaryN)
    return emitOpError() << "expected both branches to have the same output "
                            "width, but got "
                         << n << " (INT8) and " << binaryN << " (1-bit)";
  if (!agree(rowsOf(getInt8Input()), rowsOf(getBinaryInput())))
    return emitOpError()
           << "expected both branches to have the same leading dimensions, "
              "but got "
           << toString(rowsOf(getInt8Input())) << " (INT8) and "
           << toString(rowsOf(getBinaryInput())) << " (1-bit)";
  return success();
}

//===----------------------------------------------------------------------===//
// RouteOp
//===----------------------------------------------------------------------===//

LogicalResult RouteOp::inferReturnTypes(MLIRContext *context,
                                        std::optional<Location> location,
                                        Adaptor adaptor, Types &types) {
  // (C1)
  Value input = adaptor.getInput();
  if (failed(inferRank<RouteOp>(location, "input", input, 1)))
    return failure();
  Builder builder(context);
  types.push_back(RankedTensorType::get(rowsOf(input), builder.getI64Type()));
  types.push_back(RankedTensorType::get(rowsOf(input), builder.getF32Type()));
  return success();
}

LogicalResult RouteOp::verify() {
  // (C1), (C2)
  return verifyFloatProduct(*this, getInput(), getWeight());
}

//===----------------------------------------------------------------------===//
// ExpertLinearOp
//===----------------------------------------------------------------------===//

LogicalResult ExpertLinearOp::inferReturnTypes(MLIRContext *context,
                                               std::optional<Location> location,
                                               Adaptor adaptor, Types &types) {
  // (C1)
  if (failed(
          inferRank<ExpertLinearOp>(location, "input", adaptor.getInput(), 1)))
    return failure();
  types.push_back(appendDim(rowsOf(adaptor.getInput()),
                            shapeOf(adaptor.getWeight())[1],
                            Float32Type::get(context)));
  return success();
}

LogicalResult ExpertLinearOp::verify() {
  // (C1)
  if (failed(verifyActivation(*this, "input", getInput())))
    return failure();
  // (C2)
  if (failed(verifyRows(*this, "input_scale", getInputScale(), getInput())) ||
      failed(verifyRows(*this, "index", getIndex(), getInput())))
    return failure();
  // (C3)
  int64_t e = shapeOf(getWeight())[0], n = shapeOf(getWeight())[1];
  if (failed(verifyWeightStatic(*this, "weight", getWeight())) ||
      failed(verifyShape(*this, "weight", getWeight(),
                         {e, n, shapeOf(getInput()).back()})))
    return failure();
  // (C4)
  ArrayRef<int64_t> scale = shapeOf(getWeightScale());
  if (scale == ArrayRef<int64_t>{e, 1} || scale == ArrayRef<int64_t>{e, n})
    return success();
  return emitOpError() << "expected weight_scale to have shape " << e
                       << "x1 or " << e << "x" << n << ", but got "
                       << toString(scale);
}

//===----------------------------------------------------------------------===//
// DecoupledFFNOp
//===----------------------------------------------------------------------===//

LogicalResult DecoupledFFNOp::inferReturnTypes(MLIRContext *context,
                                               std::optional<Location> location,
                                               Adaptor adaptor, Types &types) {
  // (C1)
  if (failed(
          inferRank<DecoupledFFNOp>(location, "input", adaptor.getInput(), 1)))
    return failure();
  types.push_back(RankedTensorType::get(shapeOf(adaptor.getInput()),
                                        Float32Type::get(context)));
  return success();
}

/// (C2) One weight and its scale; `shape` is N x K or E x N x K.
static LogicalResult verifyFFNWeight(Operation *op, StringRef name,
                                     Value weight, Value scale,
                                     ArrayRef<int64_t> shape) {
  if (!weight || !scale)
    return success();
  if (failed(verifyWeightStatic(op, name, weight)) ||
      failed(verifyShape(op, name, weight, shape)))
    return failure();
  int64_t experts = shape.size() == 3 ? shape.front() : 1;
  return verifyShape(op, (name + " scale").str(), scale, {experts});
}

LogicalResult DecoupledFFNOp::verify() {
  // (C1)
  if (failed(verifyActivation(*this, "input", getInput())))
    return failure();
  // (C2)
  int64_t width = shapeOf(getInput()).back();
  int64_t hidden = shapeOf(getBinaryUp())[0];
  int64_t experts = shapeOf(getInt8Up())[0], int8 = shapeOf(getInt8Up())[1];
  if (failed(verifyFFNWeight(*this, "binary up", getBinaryUp(),
                             getBinaryUpScale(), {hidden, width})) ||
      failed(verifyFFNWeight(*this, "binary gate", getBinaryGate(),
                             getBinaryGateScale(), {hidden, width})) ||
      failed(verifyFFNWeight(*this, "binary down", getBinaryDown(),
                             getBinaryDownScale(), {width, hidden})) ||
      failed(verifyFFNWeight(*this, "int8 up", getInt8Up(), getInt8UpScale(),
                             {experts, int8, width})) ||
      failed(verifyFFNWeight(*this, "int8 gate", getInt8Gate(),
                             getInt8GateScale(), {experts, int8, width})) ||
      failed(verifyFFNWeight(*this, "int8 down", getInt8Down(),
                             getInt8DownScale(), {experts, width, int8})))
    return failure();
  // (C3)
  unsigned gates = bool(getBinaryGate()) + bool(getBinaryGateScale()) +
                   bool(getInt8Gate()) + bool(getInt8GateScale());
  if (gates != 0 && gates != 4)
    return emitOpError() << "expected a gate in both branches or in none, but "
                            "got one in the "
                         << (getBinaryGate() ? "1-bit" : "INT8")
                         << " branch only";
  // (C4)
  if (bool(getIndex()) != bool(getProbability()))
    return emitOpError() << "expected index and probability to be both present "
                            "or both absent";
  if (!getIndex()) {
    if (experts != 1)
      return emitOpError() << "expected index and probability with " << experts
                           << " experts, but got none";
    return success();
  }
  if (failed(verifyRows(*this, "index", getIndex(), getInput())))
    return failure();
  return verifyRows(*this, "probability", getProbability(), getInput());
}

#define GET_OP_CLASSES
#include "dialects/PQuant/PQuantOps.cpp.inc"
