//===- HandlersQuantize.cpp - QuantizeLinear and its relatives ------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Scales and zero points are per tensor, along one axis, or per block along
// one axis: then the axis is split in two, so that they broadcast.
//
//===----------------------------------------------------------------------===//

#include "Compose.h"
#include "Handlers.h"

#include "pquant/Support/Constants.h"

using namespace mlir;
using namespace pquant;

//===----------------------------------------------------------------------===//
// QuantizeLinear, DequantizeLinear
//===----------------------------------------------------------------------===//

namespace {
/// The operands of one node, shaped so that they broadcast.
struct Operands {
  Tensor x, scale, zero;
};
} // namespace

/// Reshapes a scale or zero point; `blocks` is the data with its axis split.
static Tensor alignParameter(NodeContext &ctx, Tensor parameter, Tensor blocks,
                             int64_t axis, bool isBlocked) {
  Compose c(ctx.b);
  if (ctx.b.product(parameter->sizes).isConstant(1) && !isBlocked)
    return c.reshape(parameter, {});
  if (!isBlocked) {
    SizeList sizes(blocks->getRank(), SizeExpr(1));
    if (parameter->getRank() != 1) {
      ctx.error() << "expected a scale and zero point of rank 0 or 1, but got "
                     "rank "
                  << parameter->getRank();
      return nullptr;
    }
    sizes[axis] = parameter->sizes[0];
    return c.reshape(parameter, sizes);
  }
  if (parameter->getRank() != blocks->getRank() - 1) {
    ctx.error() << "expected a scale and zero point of the input's rank with "
                   "block_size, but got rank "
                << parameter->getRank();
    return nullptr;
  }
  SizeList sizes = parameter->sizes;
  sizes.insert(sizes.begin() + axis + 1, SizeExpr(1));
  return c.reshape(parameter, sizes);
}

static FailureOr<Operands> getOperands(NodeContext &ctx) {
  Tensor x = ctx.getInput(0);
  if (failed(ctx.requireFloat(1)))
    return failure();
  int64_t blockSize = ctx.getInt("block_size", 0), axis = 0;
  bool isPerTensor =
      ctx.b.product(ctx.getInput(1)->sizes).isConstant(1) && blockSize == 0;
  if (!isPerTensor) {
    FailureOr<int64_t> given = ctx.getAxis("axis", 1, x->getRank());
    if (failed(given))
      return failure();
    axis = *given;
  }
  Compose c(ctx.b);
  if (blockSize != 0) {
    std::optional<SizeExpr> count;
    if (blockSize > 0)
      count = x->sizes[axis].dividedExactlyBy(blockSize);
    if (!count)
      return ctx.error() << "expected a block_size that divides the axis, but "
                            "got "
                         << blockSize;
    SizeList sizes = x->sizes;
    sizes[axis] = *count;
    sizes.insert(sizes.begin() + axis + 1, SizeExpr(blockSize));
    x = c.reshape(x, sizes);
  }
  if (!x)
    return failure();
  Operands operands{x, nullptr, nullptr};
  operands.scale =
      alignParameter(ctx, ctx.getInput(1), x, axis, blockSize != 0);
  if (ctx.getInput(2))
    operands.zero =
        alignParameter(ctx, ctx.getInput(2), x, axis, blockSize != 0);
  if (!operands.scale || (ctx.getInput(2) && !operands.zero))
    return failure();
  return operands;
}

/// The smallest and largest number of an integer type.
static std::pair<double, double> getRange(ElementType element) {
  unsigned bits = element.narrowBits ? element.narrowBits
                                     : element.type.getIntOrFloatBitWidth();
  double count = std::ldexp(1.0, bits);
  return element.isUnsigned ? std::pair(0.0, count - 1)
                            : std::pair(-count / 2, count / 2 - 1);
}

/// saturate(round(x / scale) + zero), all operands of one float type.
static Tensor quantize(NodeContext &ctx, const Operands &in,
                       ElementType result) {
  SmallVector<Tensor> inputs = {in.x, in.scale};
  if (in.zero)
    inputs.push_back(in.zero);
  auto [low, high] = getRange(result);
  return Compose::take(ctx.b.elementwise(
      result, inputs,
      [&, low = low, high = high](OpBuilder &b, Location loc, ValueRange args) {
        ScalarOps o(b, loc, in.x->element);
        Value x = o.roundEven(o.div(args[0], args[1]));
        if (in.zero)
          x = o.add(x, args[2]);
        x = o.min(o.max(x, o.constant(low)), o.constant(high));
        return result.isUnsigned
                   ? arith::FPToUIOp::create(b, loc, result.type, x).getResult()
                   : arith::FPToSIOp::create(b, loc, result.type, x)
                         .getResult();
      }));
}

static FailureOr<ElementType> getQuantizedType(NodeContext &ctx) {
  int64_t given = ctx.getInt("output_dtype", 0);
  FailureOr<ElementType> result =
      ctx.getInput(2) ? FailureOr<ElementType>(ctx.getInput(2)->element)
      : given         ? ctx.getElementType(given)
                      : ctx.getElementType(onnx::TensorProto::UINT8);
  if (failed(result))
    return failure();
  if (!result->isInteger() || result->type.getIntOrFloatBitWidth() > 16)
    return ctx.error() << "expected to quantise to integers of at most 16 "
                          "bits, but got "
                       << getNumPyName(*result);
  return *result;
}

static LogicalResult importQuantizeLinear(NodeContext &ctx) {
  FailureOr<ElementType> result = getQuantizedType(ctx);
  FailureOr<Operands> in = getOperands(ctx);
  if (failed(result) || failed(in))
    return failure();
  if (ctx.getInput(0)->element.isBool())
    return ctx.error() << "expected numbers, but got bool";
  Compose c(ctx.b);
  ElementType compute = c.widen(in->scale->element);
  in->x = c.cast(in->x, compute);
  in->scale = c.cast(in->scale, compute);
  in->zero = c.cast(in->zero, compute);
  Tensor quantized =
      c.reshape(quantize(ctx, *in, *result), ctx.getInput(0)->sizes);
  ctx.setOutput(0, quantized);
  return success(quantized);
}

/// (x - zero) * scale
static LogicalResult importDequantizeLinear(NodeContext &ctx) {
  Tensor x = ctx.getInput(0);
  if (!x->element.isInteger() || x->element.type.getIntOrFloatBitWidth() > 32)
    return ctx.error() << "expected integers of at most 32 bits, but got "
                       << getNumPyName(x->element);
  if (ctx.getInput(2) && failed(ctx.requireSameType(0, 2)))
    return failure();
  FailureOr<Operands> in = getOperands(ctx);
  if (failed(in))
    return failure();
  Compose c(ctx.b);
  ElementType result = in->scale->element, compute = c.widen(result);
  if (int64_t given = ctx.getInt("output_dtype", 0)) {
    FailureOr<ElementType> type = ctx.getElementType(given);
    if (failed(type))
      return failure();
    if (!type->isFloat())
      return ctx.error() << "expected a floating-point output_dtype, but got "
                         << getNumPyName(*type);
    result = *type;
  }
  ElementType integer{ctx.b.getBuilder().getI32Type()};
  Tensor values = in->x;
  if (in->zero)
    values = c.sub(c.cast(values, integer), c.cast(in->zero, integer));
  values = c.mul(c.cast(values, compute), c.cast(in->scale, compute));
  values = c.reshape(c.cast(values, result), x->sizes);
  ctx.setOutput(0, values);
  return success(values);
}

//===----------------------------------------------------------------------===//
// DynamicQuantizeLinear
//===----------------------------------------------------------------------===//

/// scale = (max(x, 0) - min(x, 0)) / 255, zero = saturate(round(-min / scale)).
static LogicalResult importDynamicQuantizeLinear(NodeContext &ctx) {
  Tensor x = ctx.getInput(0);
  if (!x->element.type.isF32())
    return ctx.error() << "expected float32, but got "
                       << getNumPyName(x->element);
  Compose c(ctx.b);
  SmallVector<int64_t> axes =
      llvm::to_vector(llvm::seq<int64_t>(0, x->getRank()));
  Tensor low = c.map(
      c.reshape(c.smallest(x, axes), {}),
      [](ScalarOps &o, Value x) -> Value { return o.min(x, o.constant(0)); });
  Tensor high = c.map(
      c.reshape(c.largest(x, axes), {}),
      [](ScalarOps &o, Value x) -> Value { return o.max(x, o.constant(0)); });
  Tensor scale = c.zip(high, low, [](ScalarOps &o, Value high, Value low) {
    Value scale = o.div(o.sub(high, low), o.constant(255));
    // All zeros: any scale will do.
    return o.select(o.equal(scale, o.constant(0)), o.constant(1), scale);
  });
  ElementType byte{ctx.b.getBuilder().getI8Type(), /*isUnsigned=*/true};
  Tensor negated = c.map(low, [](ScalarOps &o, Value x) { return o.neg(x); });
  if (!scale || !negated)
    return failure();
  Tensor zero = quantize(ctx, {negated, scale, nullptr}, byte);
  Tensor values = quantize(ctx, {x, scale, c.cast(zero, x->element)}, byte);
  ctx.setOutput(0, values);
  ctx.setOutput(1, scale);
  ctx.setOutput(2, zero);
  return success(values && zero);
}

//===----------------------------------------------------------------------===//
// MatMulNBits
//===----------------------------------------------------------------------===//

/// Rows of numbers of `bits` bits, lowest bits first, each row starting a byte,
/// as bytes.
static FailureOr<Tensor> unpackRows(NodeContext &ctx, size_t i, int64_t rows,
                                    int64_t rowBytes, int64_t columns,
                                    int64_t bits) {
  ElementsAttr packed = ctx.getInput(i)->constant;
  ElementType byte{ctx.b.getBuilder().getI8Type(), /*isUnsigned=*/true};
  if (!packed || ctx.getInput(i)->element != byte)
    return ctx.error() << "expected input " << i << " to be constant bytes";
  if (packed.getNumElements() != rows * rowBytes)
    return ctx.error() << "expected " << rows * rowBytes << " bytes as input "
                       << i << ", but got " << packed.getNumElements();
  ArrayRef<char> bytes = getConstantBytes(packed);
  bool isSplat = isSplatConstant(packed);
  int64_t perByte = 8 / bits;
  std::vector<char> numbers(rows * columns);
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t k = 0; k < columns; ++k) {
      uint8_t raw = bytes[isSplat ? 0 : row * rowBytes + k / perByte];
      numbers[row * columns + k] =
          (raw >> (k % perByte * bits)) & ((1 << bits) - 1);
    }
  auto type = RankedTensorType::get({rows, columns}, byte.type);
  return ctx.b.makeConstant(
      makeConstantAttr(type, numbers, ctx.getNode().input(i)), byte);
}

namespace {
struct NBits {
  int64_t columns, rows, bits, blockSize, blocks;
};
} // namespace

static FailureOr<NBits> getNBits(NodeContext &ctx) {
  NBits n{ctx.getInt("K", 0), ctx.getInt("N", 0), ctx.getInt("bits", 4),
          ctx.getInt("block_size", 0), 0};
  constexpr int64_t limit = int64_t(1) << 31;
  if (n.columns < 1 || n.rows < 1 || n.columns > limit || n.rows > limit)
    return ctx.error() << "expected attributes 'K' and 'N' of at least 1";
  if (n.bits != 2 && n.bits != 4 && n.bits != 8)
    return ctx.error() << "expected 2, 4 or 8 bits, but got " << n.bits;
  if (n.blockSize < 8 || n.blockSize > limit || n.blockSize % 8 != 0)
    return ctx.error() << "expected a block_size that is a multiple of 8, but "
                          "got "
                       << n.blockSize;
  n.blocks = llvm::divideCeil(n.columns, n.blockSize);
  return n;
}

/// Zero points as rows x blocks of the compute type.
static Tensor getZeroPoints(NodeContext &ctx, const NBits &n,
                            ElementType compute) {
  Compose c(ctx.b);
  Tensor zero = ctx.getInput(3);
  if (!zero)
    return ctx.b.makeScalar(compute, 1 << (n.bits - 1));
  if (!zero->element.isFloat())
    zero = Compose::take(unpackRows(ctx, 3, n.rows,
                                    llvm::divideCeil(n.blocks * n.bits, 8),
                                    n.blocks, n.bits));
  return c.reshape(c.cast(zero, compute), {n.rows, n.blocks, 1});
}

/// A times the transpose of W, W[n, k] = (q[n, k] - zero) * scale, the last two
/// for each row and block of columns.
static LogicalResult importMatMulNBits(NodeContext &ctx) {
  Tensor a = ctx.getInput(0);
  if (failed(ctx.requireFloat(0)) || failed(ctx.requireMinRank(0, 1)) ||
      failed(ctx.requireSameType(0, 2)))
    return failure();
  if (ctx.getInput(4))
    return ctx.error() << "input 'g_idx' is not supported";
  FailureOr<NBits> n = getNBits(ctx);
  if (failed(n) || failed(ctx.b.requireEqual(a->sizes.back(), n->columns,
                                             "the summed dimension")))
    return failure();
  int64_t padded = n->blocks * n->blockSize;
  FailureOr<Tensor> packed =
      unpackRows(ctx, 1, n->rows, padded * n->bits / 8, padded, n->bits);
  if (failed(packed))
    return failure();
  Compose c(ctx.b);
  ElementType element = a->element, compute = c.widen(element);
  Tensor weight =
      c.reshape(c.cast(*packed, compute), {n->rows, n->blocks, n->blockSize});
  Tensor scale =
      c.reshape(c.cast(ctx.getInput(2), compute), {n->rows, n->blocks, 1});
  weight = c.mul(c.sub(weight, getZeroPoints(ctx, *n, compute)), scale);
  weight = c.slice(c.reshape(weight, {n->rows, padded}), 1, 0, n->columns);
  std::string rows = StringRef("abcdefghij").take_front(a->getRank() - 1).str();
  if (static_cast<int64_t>(rows.size()) != a->getRank() - 1)
    return ctx.error() << "expected input 0 of rank 11 or less";
  Tensor result =
      c.einsum(rows + "z,yz->" + rows + "y", {c.cast(a, compute), weight});
  if (ctx.getInput(5))
    result = c.add(result, c.cast(ctx.getInput(5), compute));
  result = c.cast(result, element);
  ctx.setOutput(0, result);
  return success(result);
}

ArrayRef<HandlerRow> pquant::getQuantizeHandlers() {
  static const HandlerRow rows[] = {
      {"", "DequantizeLinear", 13, 2, 3, 1, importDequantizeLinear,
       "integers only; blocks divide the axis"},
      {"", "DynamicQuantizeLinear", 13, 1, 1, 3, importDynamicQuantizeLinear},
      {"", "QuantizeLinear", 13, 2, 3, 1, importQuantizeLinear,
       "integers only; blocks divide the axis"},
      {"com.microsoft", "DequantizeLinear", 1, 2, 3, 1, importDequantizeLinear,
       "integers only; blocks divide the axis"},
      {"com.microsoft", "MatMulNBits", 1, 3, 6, 1, importMatMulNBits,
       "constant weights of 2, 4 or 8 bits"},
      {"com.microsoft", "QuantizeLinear", 1, 2, 3, 1, importQuantizeLinear,
       "integers only; blocks divide the axis"},
  };
  return rows;
}
