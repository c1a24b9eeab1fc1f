//===- HandlersSymbolic.cpp - Numbers of the host program -----------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Sizes and what is computed from them are tensors of rank 0 whose element is
// symbolic; they become IR only where the run time must compute. What a program
// asserts is dropped where it is known to hold, and else asserted at run time.
//
//===----------------------------------------------------------------------===//

#include "Handlers.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace pquant;
using namespace pquant::pt2;

//===----------------------------------------------------------------------===//
// Sizes
//===----------------------------------------------------------------------===//

static LogicalResult importSize(NodeContext &ctx) {
  Tensor input = ctx.getTensor("self");
  if (failed(ctx.requireRank(input, 1, INT64_MAX)))
    return failure();
  int64_t axis = ctx.getAxis("dim", input->getRank());
  return ctx.setResult(
      ctx.b.makeSizeScalar(input->sizes[axis], ctx.getResultType()));
}

static LogicalResult importNumel(NodeContext &ctx) {
  return ctx.setResult(ctx.b.makeSizeScalar(
      ctx.b.product(ctx.getTensor("self")->sizes), ctx.getResultType()));
}

/// The one element of a tensor as a number.
static LogicalResult importItem(NodeContext &ctx) {
  FailureOr<Tensor> scalar = ctx.b.reshape(ctx.getTensor("self"), {});
  // An integer may become a size.
  if (succeeded(scalar))
    ctx.b.getElements(*scalar);
  return ctx.setResult(scalar);
}

//===----------------------------------------------------------------------===//
// Python's operators
//===----------------------------------------------------------------------===//

using BinaryFn = Value (*)(ScalarOps &, Value, Value);

/// Arithmetic in the element type of the result.
template <BinaryFn function, FoldFn fold>
static LogicalResult importBinary(NodeContext &ctx) {
  ElementType type = ctx.getResultType();
  Tensor x = ctx.getOperandAs("#0", type), y = ctx.getOperandAs("#1", type);
  if (Tensor folded = foldElements(ctx.b, x, y, fold, type))
    return ctx.setResult(folded);
  return ctx.setResult(mapElements(ctx.b, x, y, function));
}

/// Comparison of integers.
template <BinaryFn function, FoldFn fold, bool negates = false>
static LogicalResult importComparison(NodeContext &ctx) {
  OpBuilder &builder = ctx.b.getBuilder();
  ElementType integer{builder.getI64Type()}, truth{builder.getI1Type()};
  Tensor x = ctx.getOperandAs("#0", integer);
  Tensor y = ctx.getOperandAs("#1", integer);
  Tensor folded = foldElements(ctx.b, x, y, fold, truth);
  if (folded && negates)
    folded = ctx.b.makeElements(truth, {},
                                {SizeExpr(1) - folded->elements->front()});
  if (folded)
    return ctx.setResult(folded);
  return ctx.setResult(ctx.b.elementwise(
      truth, {x, y}, [&](OpBuilder &b, Location loc, ValueRange args) {
        ScalarOps o(b, loc, integer);
        return function(o, args[0], args[1]);
      }));
}

static Value add(ScalarOps &o, Value x, Value y) { return o.add(x, y); }
static Value sub(ScalarOps &o, Value x, Value y) { return o.sub(x, y); }
static Value mul(ScalarOps &o, Value x, Value y) { return o.mul(x, y); }
static Value div(ScalarOps &o, Value x, Value y) { return o.div(x, y); }
static Value maximum(ScalarOps &o, Value x, Value y) { return o.max(x, y); }
static Value minimum(ScalarOps &o, Value x, Value y) { return o.min(x, y); }
static Value floorDivide(ScalarOps &o, Value x, Value y) {
  if (o.element.isFloat())
    return o.floor(o.div(x, y));
  return arith::FloorDivSIOp::create(o.b, o.loc, x, y);
}
static Value modulo(ScalarOps &o, Value x, Value y) {
  return o.sub(x, o.mul(floorDivide(o, x, y), y));
}
static Value equal(ScalarOps &o, Value x, Value y) { return o.equal(x, y); }
static Value differ(ScalarOps &o, Value x, Value y) {
  return arith::CmpIOp::create(o.b, o.loc, arith::CmpIPredicate::ne, x, y);
}
static Value less(ScalarOps &o, Value x, Value y) { return o.less(x, y); }
static Value greater(ScalarOps &o, Value x, Value y) { return o.greater(x, y); }
static Value lessOrEqual(ScalarOps &o, Value x, Value y) {
  return o.lessOrEqual(x, y);
}
static Value greaterOrEqual(ScalarOps &o, Value x, Value y) {
  return o.greaterOrEqual(x, y);
}
static Value both(ScalarOps &o, Value x, Value y) {
  return arith::AndIOp::create(o.b, o.loc, x, y);
}
static Value either(ScalarOps &o, Value x, Value y) {
  return arith::OrIOp::create(o.b, o.loc, x, y);
}

/// Division that rounds down; by a constant, for sizes.
static std::optional<SizeExpr>
foldFloorDivide(TensorBuilder &b, const SizeExpr &x, const SizeExpr &y) {
  std::optional<int64_t> divisor = y.getConstant();
  if (divisor && *divisor > 0)
    return b.divide(x, *divisor, /*up=*/false);
  return x.dividedExactlyBy(y);
}

static LogicalResult importNegative(NodeContext &ctx) {
  ElementType type = ctx.getResultType();
  Tensor x = ctx.getOperandAs("#0", type);
  if (x->elements && x->elements->size() == 1 && x->element.isInteger())
    return ctx.setResult(
        ctx.b.makeSizeScalar(SizeExpr(0) - x->elements->front(), x->element));
  return ctx.setResult(
      mapElements(ctx.b, x, [](ScalarOps &o, Value v) { return o.neg(v); }));
}

static LogicalResult importNot(NodeContext &ctx) {
  Tensor x = ctx.getOperandAs("#0", {ctx.b.getBuilder().getI1Type()});
  if (x->elements && x->elements->size() == 1)
    return ctx.setResult(
        ctx.b.makeSizeScalar(SizeExpr(1) - x->elements->front(), x->element));
  return ctx.setResult(mapElements(ctx.b, x, [](ScalarOps &o, Value v) {
    Value isTrue = arith::ConstantOp::create(o.b, o.loc, o.b.getBoolAttr(true));
    return arith::XOrIOp::create(o.b, o.loc, v, isTrue).getResult();
  }));
}

static LogicalResult importConversion(NodeContext &ctx) {
  return ctx.setResult(ctx.getOperandAs("#0", ctx.getResultType()));
}

//===----------------------------------------------------------------------===//
// Assertions
//===----------------------------------------------------------------------===//

static LogicalResult importNothing(NodeContext &) { return success(); }

static LogicalResult importAssertion(NodeContext &ctx) {
  Tensor condition = ctx.getOperandAs("self", {ctx.b.getBuilder().getI1Type()});
  StringRef name = ctx.has("assert_msg") ? "assert_msg" : "msg";
  std::string message = ctx.getString(name, "expected a condition to hold");
  FailureOr<Tensor> scalar = ctx.b.reshape(condition, {});
  if (failed(scalar))
    return failure();
  const std::optional<SizeList> &known = (*scalar)->elements;
  if (known && known->front().getConstant()) {
    if (known->front().isConstant(0))
      return ctx.error() << "the assertion never holds: " << message;
    return success();
  }
  Value holds =
      tensor::ExtractOp::create(ctx.b.getBuilder(), ctx.b.getLoc(),
                                ctx.b.getValue(*scalar), ValueRange());
  ctx.b.assertAtRunTime(holds, message);
  return success();
}

static LogicalResult importRange(NodeContext &ctx) {
  OpBuilder &b = ctx.b.getBuilder();
  std::string name = ctx.has("size") ? "size" : "symbol";
  if (!ctx.has(name))
    name = "#0";
  SizeExpr size = ctx.getSize(name);
  auto require = [&](StringRef bound, arith::CmpIPredicate predicate) {
    int64_t limit = ctx.has(bound) ? ctx.getInt(bound) : 0;
    if (!ctx.has(bound) || std::abs(limit) > INT32_MAX ||
        (bound == "min" && ctx.b.isNonNegative(size - SizeExpr(limit))))
      return;
    Value holds = arith::CmpIOp::create(b, ctx.b.getLoc(), predicate,
                                        ctx.b.getIndexValue(size),
                                        ctx.b.getIndexConstant(limit));
    ctx.b.assertAtRunTime(holds, "expected a number in its range");
  };
  require("min", arith::CmpIPredicate::sge);
  require("max", arith::CmpIPredicate::sle);
  return success();
}

ArrayRef<HandlerRow> pt2::getSymbolicHandlers() {
  static const HandlerRow rows[] = {
      {"_operator.add", "", importBinary<add, fold::add>},
      {"_operator.and_", "", importBinary<both, fold::mul>},
      {"_operator.eq", "", importComparison<equal, fold::equal>},
      {"_operator.floordiv", "", importBinary<floorDivide, foldFloorDivide>},
      {"_operator.ge", "", importComparison<greaterOrEqual, fold::less, true>},
      {"_operator.gt", "", importComparison<greater, fold::greater>},
      {"_operator.le", "", importComparison<lessOrEqual, fold::greater, true>},
      {"_operator.lt", "", importComparison<less, fold::less>},
      {"_operator.mod", "", importBinary<modulo, fold::mod>},
      {"_operator.mul", "", importBinary<mul, fold::mul>},
      {"_operator.ne", "", importComparison<differ, fold::equal, true>},
      {"_operator.neg", "", importNegative},
      {"_operator.or_", "", importBinary<either, fold::nothing>},
      {"_operator.sub", "", importBinary<sub, fold::sub>},
      {"_operator.truediv", "", importBinary<div, fold::nothing>},
      {"aten._assert_async.default", "self", importAssertion},
      {"aten._assert_async.msg", "self", importAssertion},
      {"aten._assert_scalar.default", "", importAssertion},
      {"aten._assert_tensor_metadata.default", "", importNothing, "dropped"},
      {"aten._local_scalar_dense.default", "self", importItem},
      {"aten.item.default", "self", importItem},
      {"aten.sym_constrain_range.default", "", importRange},
      {"aten.sym_constrain_range_for_size.default", "", importRange},
      {"aten.sym_numel.default", "self", importNumel},
      {"aten.sym_size.int", "self", importSize},
      {"torch.sym_float", "", importConversion},
      {"torch.sym_int", "", importConversion},
      {"torch.sym_max", "", importBinary<maximum, fold::max>},
      {"torch.sym_min", "", importBinary<minimum, fold::min>},
      {"torch.sym_not", "", importNot},
  };
  return rows;
}
