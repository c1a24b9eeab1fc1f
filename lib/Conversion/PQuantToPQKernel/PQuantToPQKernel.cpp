//===- PQuantToPQKernel.cpp - Packed pquant ops to kernels ----------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// --pquant-to-pqk. In: the packed phase. Out: pqk ops on matrices and
// upstream ops, no pquant op.
//
// A quantised activation becomes three tensors here (padded values, scales,
// sums), and a linear takes the sums of the quantiser behind its operand; so
// this is a walk with a table of quantisers, not a set of one-to-one patterns.
// Steps: ops without a kernel are replaced by their definitions, quantisers get
// their kernel, linears and attention get theirs, then quantisers go.
//
//===----------------------------------------------------------------------===//

#include "dialects/PQKernel/PQKernelDialect.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/IR/Remarks.h"
#include "pquant/Conversion/KernelOperands.h"
#include "pquant/Conversion/Passes.h"
#include "pquant/Layout/D16.h"
#include "pquant/Support/TensorBuilders.h"

namespace pquant {
#define GEN_PASS_DEF_CONVERTPQUANTTOPQKERNELPASS
#include "pquant/Conversion/Passes.h.inc"
} // namespace pquant

using namespace mlir;
using namespace pquant;

static RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

//===----------------------------------------------------------------------===//
// Which ops have a kernel
//===----------------------------------------------------------------------===//

static bool hasKernel(Operation *op) {
  if (isa<QuantizeOp, AttentionOp, CachedAttentionOp>(op))
    return true;
  if (auto binary = dyn_cast<BinaryLinearOp>(op))
    return llvm::all_of(binary.getPlanes(), isPackedConstant) &&
           llvm::all_of(binary.getScales(), hasOneGroup);
  if (auto int8 = dyn_cast<Int8LinearOp>(op))
    return isPackedConstant(int8.getWeight());
  if (auto expert = dyn_cast<ExpertLinearOp>(op))
    return isPackedConstant(expert.getWeight());
  if (auto linear = dyn_cast<FloatLinearOp>(op))
    return isPackedConstant(linear.getWeight());
  auto decoupled = dyn_cast<DecoupledLinearOp>(op);
  return decoupled && isPackedConstant(decoupled.getInt8Weight()) &&
         llvm::all_of(decoupled.getPlanes(), isPackedConstant) &&
         llvm::all_of(decoupled.getScales(), hasOneGroup);
}

static void remarkNoKernel(DecomposableOpInterface op) {
  remark::analysis(
      op.getLoc(),
      remark::RemarkOpts::name("Decomposed").category("pquant-to-pqk"))
      << ("'" + op->getName().getStringRef() +
          "' replaced by its definition: no kernel takes it")
             .str();
}

/// Replaces ops without a kernel by their definitions, until none is left.
static LogicalResult decomposeOthers(ModuleOp module) {
  while (true) {
    SmallVector<DecomposableOpInterface> ops;
    module.walk([&](DecomposableOpInterface op) {
      if (!hasKernel(op))
        ops.push_back(op);
    });
    if (ops.empty())
      return success();
    for (DecomposableOpInterface op : ops) {
      remarkNoKernel(op);
      if (failed(op.replaceByDefinition()))
        return failure();
    }
  }
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

namespace {
/// Quantised rows as kernels read them.
struct QuantizedRows {
  Value values; ///< M x Kp, i8
  Value scale;  ///< M, f32
  Value sum;    ///< M, i32
};

/// One 1-bit branch: planes with their scales, and a common factor.
struct BinaryBranch {
  ValueRange planes;
  ValueRange scales;
  Value factor;
};

class KernelBuilder {
public:
  explicit KernelBuilder(ModuleOp module)
      : module(module), rewriter(module.getContext()) {}

  void convert();

private:
  void convertQuantize(QuantizeOp op);
  Value convertLinear(Operation *op);
  Value buildBinary(BinaryLinearOp op);
  Value buildInt8(Int8LinearOp op);
  Value buildExpert(ExpertLinearOp op);
  Value buildDecoupled(DecoupledLinearOp op);
  Value buildFloat(FloatLinearOp op);
  Value addPlanes(const QuantizedRows &rows, const BinaryBranch &branch,
                  Value output, bool accumulate);
  Value addInt8(const QuantizedRows &rows, Value weight, Value scale,
                Value output);
  QuantizedRows rowsOf(Value input, Value inputScale);
  Value emptyLike(Value rows, int64_t columns, Type element);
  void replaceQuantize(QuantizeOp op);
  Value shapeSource(Value input);

  ModuleOp module;
  IRRewriter rewriter;
  Location loc = rewriter.getUnknownLoc();
  llvm::DenseMap<Operation *, QuantizedRows> quantized;
};
} // namespace

/// An empty tensor with as many rows as `rows`, of rank 1 when `columns` is 0.
Value KernelBuilder::emptyLike(Value rows, int64_t columns, Type element) {
  SmallVector<OpFoldResult> sizes = {
      tensor::getMixedSize(rewriter, loc, rows, 0)};
  if (columns)
    sizes.push_back(rewriter.getIndexAttr(columns));
  return tensor::EmptyOp::create(rewriter, loc, sizes, element);
}

void KernelBuilder::convertQuantize(QuantizeOp op) {
  rewriter.setInsertionPoint(op);
  loc = op.getLoc();
  Value input = collapseToMatrix(rewriter, loc, op.getInput());
  int64_t padded =
      layout::roundUp(typeOf(input).getDimSize(1), layout::columnPadding);
  Value values = emptyLike(input, padded, rewriter.getI8Type());
  Value scale = emptyLike(input, 0, rewriter.getF32Type());
  Value sum = emptyLike(input, 0, rewriter.getI32Type());
  auto kernel = pqk::QuantizeOp::create(
      rewriter, loc,
      TypeRange{values.getType(), scale.getType(), sum.getType()}, input,
      values, scale, sum, op.getQuantizerAttr());
  quantized[op] = {kernel->getResult(0), kernel->getResult(1),
                   kernel->getResult(2)};
}

/// The float tensor whose leading sizes `input` has.
Value KernelBuilder::shapeSource(Value input) {
  auto quantize = input.getDefiningOp<QuantizeOp>();
  return quantize ? quantize.getInput() : input;
}

QuantizedRows KernelBuilder::rowsOf(Value input, Value inputScale) {
  if (auto quantize = input.getDefiningOp<QuantizeOp>()) {
    QuantizedRows rows = quantized.lookup(quantize);
    if (inputScale != quantize.getScale())
      rows.scale = collapseToVector(rewriter, loc, inputScale);
    return rows;
  }
  // Rows that were quantised elsewhere: pad and sum them here.
  Value matrix = collapseToMatrix(rewriter, loc, input);
  Value sum = buildActivationSums(rewriter, loc, matrix);
  int64_t columns = typeOf(matrix).getDimSize(1);
  int64_t padded = layout::roundUp(columns, layout::columnPadding);
  if (padded != columns) {
    Value zero =
        arith::ConstantOp::create(rewriter, loc, rewriter.getI8IntegerAttr(0));
    auto type = RankedTensorType::get({typeOf(matrix).getDimSize(0), padded},
                                      rewriter.getI8Type());
    SmallVector<OpFoldResult> low(2, rewriter.getIndexAttr(0)), high = low;
    high[1] = rewriter.getIndexAttr(padded - columns);
    matrix = tensor::PadOp::create(rewriter, loc, type, matrix, low, high, zero,
                                   /*nofold=*/false);
  }
  return {matrix, collapseToVector(rewriter, loc, inputScale), sum};
}

Value KernelBuilder::addPlanes(const QuantizedRows &rows,
                               const BinaryBranch &branch, Value output,
                               bool accumulate) {
  for (auto [plane, scale] : llvm::zip(branch.planes, branch.scales)) {
    auto layout = cast<LayoutAttr>(typeOf(plane).getEncoding());
    if (layout.getKind() == LayoutKind::D16)
      layout = LayoutAttr(); // the op's own
    int64_t count = typeOf(plane).getDimSize(0);
    Value weight = buildFlatWeight(rewriter, loc, plane);
    Value weightScale =
        buildRowScale(rewriter, loc, scale, count, branch.factor);
    output = pqk::BinaryLinearOp::create(
                 rewriter, loc, TypeRange{output.getType()}, rows.values,
                 rows.scale, rows.sum, weight, weightScale, output,
                 typeOf(plane).getDimSize(1), accumulate, layout)
                 ->getResult(0);
    accumulate = true;
  }
  return output;
}

Value KernelBuilder::addInt8(const QuantizedRows &rows, Value weight,
                             Value scale, Value output) {
  Value flat = buildFlatWeight(rewriter, loc, weight);
  Value rowSums = buildRowSums(rewriter, loc, weight);
  return pqk::Int8LinearOp::create(rewriter, loc, TypeRange{output.getType()},
                                   rows.values, rows.scale, flat, rowSums,
                                   scale, output, typeOf(weight).getDimSize(1),
                                   /*accumulate=*/false)
      ->getResult(0);
}

Value KernelBuilder::buildBinary(BinaryLinearOp op) {
  QuantizedRows rows = rowsOf(op.getInput(), op.getInputScale());
  int64_t count = typeOf(op.getPlanes()[0]).getDimSize(0);
  Value output = emptyLike(rows.values, count, rewriter.getF32Type());
  output = addPlanes(rows, {op.getPlanes(), op.getScales(), Value()}, output,
                     /*accumulate=*/false);
  if (!op.getOffset())
    return output;
  // y[m, n] += scale[m] * (offset[n] * sum[m])
  Value offset = buildRowScale(rewriter, loc, op.getOffset(), count);
  AffineExpr m, n;
  bindDims(rewriter.getContext(), m, n);
  auto map = [&](ArrayRef<AffineExpr> exprs) {
    return AffineMap::get(2, 0, exprs, rewriter.getContext());
  };
  return buildElementwise(
      rewriter, loc, {output, rows.scale, offset, rows.sum},
      {map({m, n}), map({m}), map({n}), map({m})},
      [](OpBuilder &b, Location nested, ValueRange args) -> Value {
        Value sum = arith::SIToFPOp::create(b, nested, b.getF32Type(), args[3]);
        Value term = arith::MulFOp::create(b, nested, args[2], sum);
        term = arith::MulFOp::create(b, nested, args[1], term);
        return arith::AddFOp::create(b, nested, args[0], term);
      });
}

Value KernelBuilder::buildInt8(Int8LinearOp op) {
  QuantizedRows rows = rowsOf(op.getInput(), op.getInputScale());
  int64_t count = typeOf(op.getWeight()).getDimSize(0);
  Value scale = buildRowScale(rewriter, loc, op.getWeightScale(), count);
  Value output = emptyLike(rows.values, count, rewriter.getF32Type());
  return addInt8(rows, op.getWeight(), scale, output);
}

Value KernelBuilder::buildExpert(ExpertLinearOp op) {
  QuantizedRows rows = rowsOf(op.getInput(), op.getInputScale());
  RankedTensorType stack = typeOf(op.getWeight());
  int64_t count = stack.getDimSize(1);
  Value index = collapseToVector(rewriter, loc, op.getIndex());
  Value weight = buildFlatWeight(rewriter, loc, op.getWeight());
  Value rowSums = buildRowSums(rewriter, loc, op.getWeight());
  Value scale = buildExpertScale(rewriter, loc, op.getWeightScale(), count);
  Value output = emptyLike(rows.values, count, rewriter.getF32Type());
  return pqk::ExpertLinearOp::create(rewriter, loc, TypeRange{output.getType()},
                                     rows.values, rows.scale, index, weight,
                                     rowSums, scale, output,
                                     stack.getDimSize(2), /*accumulate=*/false)
      ->getResult(0);
}

Value KernelBuilder::buildDecoupled(DecoupledLinearOp op) {
  QuantizedRows int8 = rowsOf(op.getInt8Input(), op.getInt8Scale());
  QuantizedRows binary = rowsOf(op.getBinaryInput(), op.getBinaryScale());
  int64_t count = typeOf(op.getInt8Weight()).getDimSize(0);
  Value scale = buildRowScale(rewriter, loc, op.getInt8WeightScale(), count,
                              op.getAlpha());
  Value output = emptyLike(int8.values, count, rewriter.getF32Type());
  output = addInt8(int8, op.getInt8Weight(), scale, output);
  return addPlanes(binary, {op.getPlanes(), op.getScales(), op.getBeta()},
                   output, /*accumulate=*/true);
}

Value KernelBuilder::buildFloat(FloatLinearOp op) {
  Value input = collapseToMatrix(rewriter, loc, op.getInput());
  Value weight = buildFlatWeight(rewriter, loc, op.getWeight());
  Value output = emptyLike(input, typeOf(op.getWeight()).getDimSize(0),
                           rewriter.getF32Type());
  return pqk::FloatLinearOp::create(rewriter, loc, TypeRange{output.getType()},
                                    input, weight, output)
      ->getResult(0);
}

/// The M x N result of the kernels for `op`; null when `op` is no linear.
Value KernelBuilder::convertLinear(Operation *op) {
  if (auto binary = dyn_cast<BinaryLinearOp>(op))
    return buildBinary(binary);
  if (auto int8 = dyn_cast<Int8LinearOp>(op))
    return buildInt8(int8);
  if (auto expert = dyn_cast<ExpertLinearOp>(op))
    return buildExpert(expert);
  if (auto decoupled = dyn_cast<DecoupledLinearOp>(op))
    return buildDecoupled(decoupled);
  if (auto linear = dyn_cast<FloatLinearOp>(op))
    return buildFloat(linear);
  return {};
}

/// Gives what else reads a quantiser its results from the kernel.
void KernelBuilder::replaceQuantize(QuantizeOp op) {
  rewriter.setInsertionPointAfter(quantized[op].values.getDefiningOp());
  loc = op.getLoc();
  SmallVector<OpFoldResult> sizes;
  if (!op->use_empty())
    sizes = tensor::getMixedSizes(rewriter, loc, op.getInput());
  if (!op.getScale().use_empty()) {
    Value scale =
        expandFrom(rewriter, loc, quantized[op].scale, typeOf(op.getScale()),
                   ArrayRef(sizes).drop_back());
    op.getScale().replaceAllUsesWith(scale);
  }
  if (!op.getValues().use_empty()) {
    Value padded = quantized[op].values;
    SmallVector<OpFoldResult> extent = {
        tensor::getMixedSize(rewriter, loc, padded, 0), sizes.back()};
    SmallVector<OpFoldResult> offsets(2, rewriter.getIndexAttr(0));
    SmallVector<OpFoldResult> strides(2, rewriter.getIndexAttr(1));
    Value values = tensor::ExtractSliceOp::create(rewriter, loc, padded,
                                                  offsets, extent, strides);
    op.getValues().replaceAllUsesWith(
        expandFrom(rewriter, loc, values, typeOf(op.getValues()), sizes));
  }
  rewriter.eraseOp(op);
}

void KernelBuilder::convert() {
  SmallVector<QuantizeOp> quantizers;
  module.walk([&](QuantizeOp op) { quantizers.push_back(op); });
  for (QuantizeOp op : quantizers)
    convertQuantize(op);
  SmallVector<Operation *> others;
  module.walk([&](DecomposableOpInterface op) {
    if (!isa<QuantizeOp>(op))
      others.push_back(op);
  });
  for (Operation *op : others) {
    rewriter.setInsertionPoint(op);
    loc = op->getLoc();
    if (auto attention = dyn_cast<AttentionOp>(op)) {
      rewriter.replaceOp(op, buildAttention(rewriter, attention));
      continue;
    }
    if (auto cached = dyn_cast<CachedAttentionOp>(op)) {
      rewriter.replaceOp(op, buildCachedAttention(rewriter, cached));
      continue;
    }
    Value result = convertLinear(op);
    Value source = shapeSource(op->getOperand(0));
    RankedTensorType type = typeOf(op->getResult(0));
    SmallVector<OpFoldResult> sizes =
        tensor::getMixedSizes(rewriter, loc, source);
    sizes.back() = rewriter.getIndexAttr(type.getShape().back());
    rewriter.replaceOp(op, expandFrom(rewriter, loc, result, type, sizes));
  }
  for (QuantizeOp op : quantizers)
    replaceQuantize(op);
}

/// Erases the packed constants that became flat ones.
static void eraseDeadConstants(ModuleOp module) {
  module.walk([](arith::ConstantOp op) {
    if (op->use_empty())
      op.erase();
  });
}

namespace {
struct ConvertPQuantToPQKernelPass
    : pquant::impl::ConvertPQuantToPQKernelPassBase<
          ConvertPQuantToPQKernelPass> {
  void runOnOperation() override {
    if (failed(decomposeOthers(getOperation())))
      return signalPassFailure();
    KernelBuilder(getOperation()).convert();
    eraseDeadConstants(getOperation());
  }
};
} // namespace
