//===- HandlersPQuant.cpp - Functions of domain pquant --------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The deployment form: a call of a function of domain `pquant` is an operation
// of the dialect. Its name and version say which; the body that the file holds
// for other runtimes is not looked at. docs/Models.md has the contract.
//
// 1-bit weights go from the file's bytes to `i1` constants without being
// unpacked; where K is a multiple of 8 without being copied.
//
//===----------------------------------------------------------------------===//

#include "Handlers.h"

#include "dialects/PQuant/PQuantDialect.h"
#include "pquant/Support/Constants.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/DialectResourceBlobManager.h"

#include <cmath>

using namespace mlir;
using namespace pquant;

//===----------------------------------------------------------------------===//
// Quantisers
//===----------------------------------------------------------------------===//

/// m = max(max|x|, floor) + offset: one of the two is the guard's eps.
static FailureOr<QuantizerAttr> getQuantizer(NodeContext &ctx,
                                             Formula formula) {
  for (StringRef name : {"floor", "offset", "qmin", "qmax"})
    if (!ctx.hasAttribute(name))
      return ctx.error() << "expected attribute '" << name << "'";
  float floor = ctx.getFloat("floor", 0), offset = ctx.getFloat("offset", 0);
  int64_t qmin = ctx.getInt("qmin", -128), qmax = ctx.getInt("qmax", 127);
  if (ctx.hasFailed())
    return failure();
  bool isAdded = offset != 0;
  float eps = isAdded ? offset : floor;
  if (!std::isfinite(eps) || eps < 0 || (isAdded && floor != 0))
    return ctx.error() << "expected attributes 'floor' and 'offset' of at "
                          "least 0, one of them 0, but got "
                       << floor << " and " << offset;
  MLIRContext *context = ctx.b.getBuilder().getContext();
  return QuantizerAttr::getChecked(
      [&] { return ctx.error() << "attributes of the quantiser: "; }, context,
      formula, APFloat(eps), isAdded ? Guard::Add : Guard::Max, qmin, qmax);
}

static LogicalResult importQuantize(NodeContext &ctx, Formula formula) {
  Tensor input = ctx.getInput(0);
  if (!input->element.type.isF32())
    return ctx.error() << "expected 'x' of float32, but got "
                       << getNumPyName(input->element);
  if (failed(ctx.requireMinRank(0, 1)))
    return failure();
  std::optional<int64_t> columns = input->sizes.back().getConstant();
  if (!columns || *columns < 1)
    return ctx.error() << "expected the last dimension of 'x' to be known and "
                          "at least 1";
  FailureOr<QuantizerAttr> quantizer = getQuantizer(ctx, formula);
  if (failed(quantizer) || !*quantizer)
    return failure();
  OpBuilder &b = ctx.b.getBuilder();
  auto op =
      QuantizeOp::create(b, ctx.b.getLoc(), ctx.b.getValue(input), *quantizer);
  SizeList rows(input->sizes);
  rows.pop_back();
  ctx.setOutput(0, ctx.b.makeTensor(op.getValues(), ElementType{b.getI8Type()},
                                    input->sizes));
  ctx.setOutput(1, ctx.b.makeTensor(op.getScale(), input->element, rows));
  return success();
}

//===----------------------------------------------------------------------===//
// Operands of linears
//===----------------------------------------------------------------------===//

namespace {
/// The quantised rows and how many columns they have.
struct Rows {
  Value values, step;
  SizeList sizes;
  int64_t columns;
};
} // namespace

static LogicalResult requireElement(NodeContext &ctx, size_t i, StringRef name,
                                    ElementType expected) {
  ElementType element = ctx.getInput(i)->element;
  if (element == expected)
    return success();
  return ctx.error() << "expected '" << name << "' of "
                     << getNumPyName(expected) << ", but got "
                     << getNumPyName(element);
}

/// Inputs 0 and 1, `values` and `step`.
static FailureOr<Rows> getRows(NodeContext &ctx) {
  OpBuilder &b = ctx.b.getBuilder();
  if (failed(requireElement(ctx, 0, "values", ElementType{b.getI8Type()})) ||
      failed(requireElement(ctx, 1, "step", ElementType{b.getF32Type()})) ||
      failed(ctx.requireMinRank(0, 1)))
    return failure();
  Tensor values = ctx.getInput(0);
  if (failed(ctx.requireRank(1, values->getRank() - 1)))
    return failure();
  std::optional<int64_t> columns = values->sizes.back().getConstant();
  if (!columns || *columns < 1)
    return ctx.error() << "expected the last dimension of 'values' to be known "
                          "and at least 1";
  SizeList sizes(values->sizes);
  sizes.pop_back();
  FailureOr<Tensor> step = ctx.b.refineSizes(ctx.getInput(1), sizes);
  if (failed(step))
    return failure();
  return Rows{ctx.b.getValue(values), ctx.b.getValue(*step), sizes, *columns};
}

/// A constant matrix of `expected` elements with at least one row and `columns`
/// columns.
static FailureOr<ElementsAttr> getMatrix(NodeContext &ctx, size_t i,
                                         StringRef name, ElementType expected,
                                         int64_t columns) {
  if (failed(requireElement(ctx, i, name, expected)))
    return failure();
  ElementsAttr contents = ctx.getInput(i)->constant;
  if (!contents)
    return ctx.error() << "expected '" << name << "' to be a constant";
  ArrayRef<int64_t> shape = contents.getShapedType().getShape();
  if (shape.size() == 2 && shape[0] >= 1 && shape[1] == columns)
    return contents;
  InFlightDiagnostic diagnostic = ctx.error()
                                  << "expected '" << name << "' of shape N x "
                                  << columns << ", but got ";
  llvm::interleave(
      shape, [&](int64_t size) { diagnostic << size; },
      [&] { diagnostic << " x "; });
  if (shape.empty())
    diagnostic << "a scalar";
  return diagnostic;
}

/// The scale of all rows, or of each, with shape `shape` of as many elements
/// and multiplied by `factor`.
static FailureOr<Value> getScale(NodeContext &ctx, size_t i, int64_t rows,
                                 bool isMatrix, float factor = 1) {
  OpBuilder &b = ctx.b.getBuilder();
  if (failed(requireElement(ctx, i, "scale", ElementType{b.getF32Type()})))
    return failure();
  ElementsAttr contents = ctx.getInput(i)->constant;
  if (!contents)
    return ctx.error() << "expected 'scale' to be a constant";
  int64_t count = contents.getNumElements();
  if (contents.getShapedType().getRank() != 1 || (count != 1 && count != rows))
    return ctx.error() << "expected 'scale' of shape 1 or " << rows
                       << ", but got rank "
                       << contents.getShapedType().getRank() << " and " << count
                       << " elements";
  ArrayRef<char> bytes = getConstantBytes(contents);
  SmallVector<float> scales(count);
  for (auto [j, scale] : llvm::enumerate(scales)) {
    size_t at = isSplatConstant(contents) ? 0 : j * sizeof(float);
    std::memcpy(&scale, bytes.data() + at, sizeof(float));
    if (!std::isfinite(scale))
      return ctx.error() << "expected finite scales";
    scale *= factor;
  }
  SmallVector<int64_t> shape{count};
  if (isMatrix)
    shape.push_back(1);
  ArrayRef<char> scaleBytes(reinterpret_cast<char *>(scales.data()),
                            count * sizeof(float));
  ElementsAttr attr =
      makeConstantAttr(RankedTensorType::get(shape, b.getF32Type()), scaleBytes,
                       ctx.getNode().input(i));
  return arith::ConstantOp::create(b, ctx.b.getLoc(), cast<TypedAttr>(attr))
      .getResult();
}

/// Packed rows of bytes, column 8i + j in bit j of byte i, as an `i1` matrix.
static ElementsAttr makePlane(ElementsAttr packed, int64_t columns,
                              StringRef name) {
  ArrayRef<int64_t> shape = packed.getShapedType().getShape();
  int64_t rows = shape[0], stride = shape[1];
  auto type = RankedTensorType::get({rows, columns},
                                    IntegerType::get(packed.getContext(), 1));
  auto resource = dyn_cast<DenseResourceElementsAttr>(packed);
  bool isBitString = columns % 8 == 0;
  if (resource && isBitString && type.getNumElements() > maxInlineElements)
    return DenseResourceElementsAttr::get(type, resource.getRawHandle());
  ArrayRef<char> bytes = getConstantBytes(packed);
  bool isSplat = isSplatConstant(packed);
  mlir::AsmResourceBlob blob = allocateBlob(getStoredBytes(type));
  MutableArrayRef<char> bits = blob.getMutableData();
  for (int64_t n = 0; n < rows; ++n)
    for (int64_t k = 0; k < columns; ++k)
      if (readBit(isSplat ? bytes : bytes.drop_front(n * stride),
                  isSplat ? k % 8 : k))
        setBit(bits, n * columns + k);
  if (type.getNumElements() <= maxInlineElements)
    return makeConstantAttr(type, bits, name);
  return makeResourceAttr(type, std::move(blob), name);
}

/// The planes in inputs `first` to `first + count - 1`.
static FailureOr<SmallVector<Value>> getPlanes(NodeContext &ctx, const Rows &in,
                                               ArrayRef<StringRef> names,
                                               int64_t &rows) {
  OpBuilder &b = ctx.b.getBuilder();
  ElementType byte{b.getI8Type(), /*isUnsigned=*/true};
  if (!ctx.hasAttribute("columns"))
    return ctx.error() << "expected attribute 'columns'";
  if (int64_t columns = ctx.getInt("columns", 0); columns != in.columns)
    return ctx.hasFailed()
               ? failure()
               : LogicalResult(ctx.error()
                               << "expected attribute 'columns' to be the "
                                  "last dimension of 'values', "
                               << in.columns << ", but got " << columns);
  SmallVector<Value> planes;
  for (auto [i, name] : llvm::enumerate(names)) {
    FailureOr<ElementsAttr> packed =
        getMatrix(ctx, 2 + i, name, byte, llvm::divideCeil(in.columns, 8));
    if (failed(packed))
      return failure();
    int64_t n = packed->getShapedType().getDimSize(0);
    if (i > 0 && n != rows)
      return ctx.error() << "expected '" << name << "' of " << rows
                         << " rows, but got " << n;
    rows = n;
    ElementsAttr plane =
        makePlane(*packed, in.columns, ctx.getNode().input(2 + i));
    planes.push_back(
        arith::ConstantOp::create(b, ctx.b.getLoc(), cast<TypedAttr>(plane)));
  }
  return planes;
}

static LogicalResult setLinear(NodeContext &ctx, const Rows &in, Value result,
                               int64_t rows) {
  SizeList sizes(in.sizes);
  sizes.push_back(rows);
  ElementType element{ctx.b.getBuilder().getF32Type()};
  ctx.setOutput(0, ctx.b.makeTensor(result, element, sizes));
  return success();
}

//===----------------------------------------------------------------------===//
// Linears
//===----------------------------------------------------------------------===//

static LogicalResult importPlanes(NodeContext &ctx, ArrayRef<StringRef> names) {
  FailureOr<Rows> in = getRows(ctx);
  if (failed(in))
    return failure();
  int64_t rows = 0;
  FailureOr<SmallVector<Value>> planes = getPlanes(ctx, *in, names, rows);
  if (failed(planes))
    return failure();
  // Half of the scale for each of two planes: exact.
  FailureOr<Value> scale = getScale(ctx, 2 + names.size(), rows,
                                    /*isMatrix=*/true, 1.0f / names.size());
  if (failed(scale))
    return failure();
  SmallVector<Value> scales(names.size(), *scale);
  Value result = BinaryLinearOp::create(ctx.b.getBuilder(), ctx.b.getLoc(),
                                        in->values, in->step, *planes, scales,
                                        /*offset=*/Value());
  return setLinear(ctx, *in, result, rows);
}

static LogicalResult importBinaryLinear(NodeContext &ctx) {
  return importPlanes(ctx, {"bits"});
}

static LogicalResult importTernaryLinear(NodeContext &ctx) {
  return importPlanes(ctx, {"nonnegative", "positive"});
}

static LogicalResult importInt8Linear(NodeContext &ctx) {
  FailureOr<Rows> in = getRows(ctx);
  if (failed(in))
    return failure();
  OpBuilder &b = ctx.b.getBuilder();
  FailureOr<ElementsAttr> weight =
      getMatrix(ctx, 2, "weight", ElementType{b.getI8Type()}, in->columns);
  if (failed(weight))
    return failure();
  int64_t rows = weight->getShapedType().getDimSize(0);
  FailureOr<Value> scale = getScale(ctx, 3, rows, /*isMatrix=*/false);
  if (failed(scale))
    return failure();
  Value result = Int8LinearOp::create(b, ctx.b.getLoc(), in->values, in->step,
                                      ctx.b.getValue(ctx.getInput(2)), *scale);
  return setLinear(ctx, *in, result, rows);
}

ArrayRef<HandlerRow> pquant::getPQuantHandlers() {
  static const HandlerRow rows[] = {
      {"pquant", "BinaryLinear", 1, 4, 4, 1, importBinaryLinear},
      {"pquant", "Int8Linear", 1, 4, 4, 1, importInt8Linear},
      {"pquant", "QuantizeDiv", 1, 1, 1, 2,
       [](NodeContext &ctx) { return importQuantize(ctx, Formula::Div); }},
      {"pquant", "QuantizeMulDiv", 1, 1, 1, 2,
       [](NodeContext &ctx) { return importQuantize(ctx, Formula::MulDiv); }},
      {"pquant", "QuantizeMulRecip", 1, 1, 1, 2,
       [](NodeContext &ctx) { return importQuantize(ctx, Formula::MulRecip); }},
      {"pquant", "TernaryLinear", 1, 5, 5, 1, importTernaryLinear},
  };
  return rows;
}
