//===- QuantizeHead.cpp - LM heads in INT8 or bfloat16 --------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// --pquant-quantize-head: the one place where the compiler quantises what the
// model's file does not, because it was asked to.
//
//===----------------------------------------------------------------------===//

#include "dialects/PQuant/PQuantDialect.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Utils/Utils.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "pquant/Layout/F32x16.h"
#include "pquant/Support/Constants.h"
#include "pquant/Support/TensorBuilders.h"
#include "pquant/Support/TensorTypes.h"
#include "pquant/Transforms/ConstantUses.h"
#include "pquant/Transforms/Passes.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/Support/FormatVariadic.h"

#include <cmath>

namespace pquant {
#define GEN_PASS_DEF_QUANTIZEHEADPASS
#include "pquant/Transforms/Passes.h.inc"
} // namespace pquant

using namespace mlir;
using namespace pquant;

//===----------------------------------------------------------------------===//
// Heads
//===----------------------------------------------------------------------===//

/// What `value` is a reshape, slice or elementwise function of; null when it is
/// none or of several tensors.
static Value getElementSource(Value value) {
  Operation *op = value.getDefiningOp();
  if (isa_and_nonnull<tensor::CastOp, tensor::CollapseShapeOp,
                      tensor::ExpandShapeOp, tensor::ExtractSliceOp>(op))
    return op->getOperand(0);
  auto elementwise = dyn_cast_or_null<linalg::GenericOp>(op);
  if (!elementwise || !linalg::isElementwise(elementwise))
    return {};
  Value source;
  for (Value input : elementwise.getDpsInputs()) {
    if (getConstant(input))
      continue;
    if (source)
      return {};
    source = input;
  }
  return source;
}

static FloatLinearOp findHead(Value output) {
  while (output) {
    if (auto linear = output.getDefiningOp<FloatLinearOp>())
      return linear;
    output = getElementSource(output);
  }
  return {};
}

//===----------------------------------------------------------------------===//
// Weights
//===----------------------------------------------------------------------===//

namespace {
/// An f32 matrix in a constant, which may hold its transpose.
struct FloatMatrix {
  const float *data;
  int64_t rows, columns, rowStride, columnStride;

  float at(int64_t n, int64_t k) const {
    return data[n * rowStride + k * columnStride];
  }
};

/// Its N x K values in INT8, with the step of each row, or those nearest to
/// them in bfloat16, still as floats and without steps.
struct QuantizedMatrix {
  ElementsAttr values, steps;
  double error; ///< relative L2
};

/// The relative L2 error of numbers that stand for others.
class RelativeError {
public:
  void add(double expected, double got) {
    errors += (expected - got) * (expected - got);
    squares += expected * expected;
  }
  double get() const { return squares > 0 ? std::sqrt(errors / squares) : 0; }

private:
  double errors = 0, squares = 0;
};
} // namespace

/// The constant matrix that `weight` is; nothing when it is none.
static std::optional<FloatMatrix> readMatrix(Value weight) {
  int64_t rows = typeOf(weight).getDimSize(0);
  int64_t columns = typeOf(weight).getDimSize(1);
  FloatMatrix matrix = {nullptr, rows, columns, columns, 1};
  if (auto transpose = weight.getDefiningOp<linalg::TransposeOp>()) {
    weight = transpose.getInput();
    matrix.rowStride = 1;
    matrix.columnStride = rows;
  }
  ElementsAttr attr = getConstant(weight);
  ArrayRef<char> bytes = getConstantBytes(attr);
  if (!attr || typeOf(weight).getEncoding() || isSplatConstant(attr) ||
      bytes.empty())
    return std::nullopt;
  matrix.data = reinterpret_cast<const float *>(bytes.data());
  return matrix;
}

/// Rounds row `n` to `values`; returns its step.
static float quantizeRow(const FloatMatrix &matrix, int64_t n, int8_t *values) {
  float largest = 0;
  for (int64_t k = 0; k < matrix.columns; ++k)
    largest = std::max(largest, std::fabs(matrix.at(n, k)));
  float step = largest / 127.0f;
  for (int64_t k = 0; k < matrix.columns; ++k) {
    float scaled = step > 0 ? matrix.at(n, k) / step : 0.0f;
    values[k] = int8_t(std::clamp(std::nearbyint(scaled), -127.0f, 127.0f));
  }
  return step;
}

static QuantizedMatrix roundMatrix(MLIRContext *context,
                                   const FloatMatrix &matrix) {
  int64_t rows = matrix.rows, columns = matrix.columns;
  auto type = RankedTensorType::get({rows, columns}, Float32Type::get(context));
  AsmResourceBlob blob = allocateBlob(getStoredBytes(type));
  auto *values = reinterpret_cast<float *>(blob.getMutableData().data());
  RelativeError error;
  for (int64_t n = 0; n < rows; ++n) {
    for (int64_t k = 0; k < columns; ++k) {
      float weight = matrix.at(n, k);
      error.add(weight, *values++ = layout::roundToBFloat16(weight));
    }
  }
  return {makeResourceAttr(type, std::move(blob), "head"), {}, error.get()};
}

static QuantizedMatrix quantizeMatrix(MLIRContext *context,
                                      const FloatMatrix &matrix) {
  int64_t rows = matrix.rows, columns = matrix.columns;
  AsmResourceBlob blob = allocateBlob(rows * columns);
  auto *values = reinterpret_cast<int8_t *>(blob.getMutableData().data());
  SmallVector<float> steps(rows);
  RelativeError error;
  for (int64_t n = 0; n < rows; ++n) {
    int8_t *row = values + n * columns;
    steps[n] = quantizeRow(matrix, n, row);
    for (int64_t k = 0; k < columns; ++k)
      error.add(matrix.at(n, k), double(row[k] * steps[n]));
  }
  auto type =
      RankedTensorType::get({rows, columns}, IntegerType::get(context, 8));
  auto stepType = RankedTensorType::get({rows}, Float32Type::get(context));
  ArrayRef<char> bytes(reinterpret_cast<const char *>(steps.data()),
                       rows * sizeof(float));
  return {makeResourceAttr(type, std::move(blob), "head"),
          makeConstantAttr(stepType, bytes, "head_steps"), error.get()};
}

//===----------------------------------------------------------------------===//
// The pass
//===----------------------------------------------------------------------===//

namespace {
struct QuantizeHeadPass : pquant::impl::QuantizeHeadPassBase<QuantizeHeadPass> {
  using QuantizeHeadPassBase::QuantizeHeadPassBase;

  void runOnOperation() override;

private:
  void replace(FloatLinearOp head);
  /// The narrow form of a weight, made and reported on its first use.
  const QuantizedMatrix &quantize(FloatLinearOp head,
                                  const FloatMatrix &matrix);

  /// By the floats of the weight.
  llvm::DenseMap<const float *, QuantizedMatrix> done;
};
} // namespace

const QuantizedMatrix &QuantizeHeadPass::quantize(FloatLinearOp head,
                                                  const FloatMatrix &matrix) {
  auto [it, isNew] = done.try_emplace(matrix.data);
  if (isNew) {
    bool isInt8 = format == "int8";
    it->second = isInt8 ? quantizeMatrix(&getContext(), matrix)
                        : roundMatrix(&getContext(), matrix);
    emitWarning(head.getLoc()) << llvm::formatv(
        "head of {0} x {1} in {2}: relative L2 error of its weights {3:e2}",
        matrix.rows, matrix.columns, isInt8 ? "INT8" : "bfloat16",
        it->second.error);
  }
  return it->second;
}

void QuantizeHeadPass::replace(FloatLinearOp head) {
  std::optional<FloatMatrix> matrix = readMatrix(head.getWeight());
  if (!matrix)
    return;
  const QuantizedMatrix &quantized = quantize(head, *matrix);
  OpBuilder builder(head);
  Location loc = head.getLoc();
  Value values = arith::ConstantOp::create(builder, loc,
                                           cast<TypedAttr>(quantized.values));
  if (!quantized.steps) {
    Value linear = FloatLinearOp::create(builder, loc, head.getInput(), values);
    return head.replaceAllUsesWith(linear);
  }
  auto quantizer =
      QuantizerAttr::get(&getContext(), Formula::MulRecip, llvm::APFloat(1e-5f),
                         Guard::Max, /*qmin=*/-128, /*qmax=*/127);
  auto input = QuantizeOp::create(builder, loc, head.getInput(), quantizer);
  Value steps =
      arith::ConstantOp::create(builder, loc, cast<TypedAttr>(quantized.steps));
  Value linear = Int8LinearOp::create(builder, loc, input.getValues(),
                                      input.getScale(), values, steps);
  head.replaceAllUsesWith(linear);
}

void QuantizeHeadPass::runOnOperation() {
  if (format != "int8" && format != "bf16") {
    getOperation().emitError()
        << "expected format to be 'int8' or 'bf16', but got '" << format << "'";
    return signalPassFailure();
  }
  llvm::SetVector<Operation *> heads;
  getOperation().walk([&](func::ReturnOp op) {
    for (Value output : op.getOperands())
      if (FloatLinearOp head = findHead(output))
        heads.insert(head);
  });
  SmallVector<Value> weights;
  for (Operation *op : heads) {
    replace(cast<FloatLinearOp>(op));
    if (!op->use_empty())
      continue;
    weights.push_back(cast<FloatLinearOp>(op).getWeight());
    op->erase();
  }
  if (weights.empty()) {
    emitError(getOperation().getLoc(),
              "no head to quantise: expected an output that is "
              "the result of a float linear with constant "
              "weights");
    return signalPassFailure();
  }
  releaseDeadConstants(getOperation(), weights);
}
