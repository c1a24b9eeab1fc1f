//===- Compose.cpp - Operators written as other operators -----------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Compose.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace pquant;

ElementType Compose::widen(ElementType element) {
  if (element.type.getIntOrFloatBitWidth() >= 32)
    return element;
  return {b.getBuilder().getF32Type()};
}

Tensor Compose::map(Tensor x, UnaryFn function) {
  if (!x)
    return nullptr;
  return take(b.elementwise(x->element, x,
                            [&](OpBuilder &b, Location loc, ValueRange args) {
                              ScalarOps o(b, loc, x->element);
                              return function(o, args[0]);
                            }));
}

Tensor Compose::zip(Tensor x, Tensor y, BinaryFn function) {
  if (!x || !y)
    return nullptr;
  return take(b.elementwise(x->element, {x, y},
                            [&](OpBuilder &b, Location loc, ValueRange args) {
                              ScalarOps o(b, loc, x->element);
                              return function(o, args[0], args[1]);
                            }));
}

Tensor Compose::add(Tensor x, Tensor y) {
  return zip(x, y, [](ScalarOps &o, Value x, Value y) { return o.add(x, y); });
}
Tensor Compose::sub(Tensor x, Tensor y) {
  return zip(x, y, [](ScalarOps &o, Value x, Value y) { return o.sub(x, y); });
}
Tensor Compose::mul(Tensor x, Tensor y) {
  return zip(x, y, [](ScalarOps &o, Value x, Value y) { return o.mul(x, y); });
}
Tensor Compose::div(Tensor x, Tensor y) {
  return zip(x, y, [](ScalarOps &o, Value x, Value y) { return o.div(x, y); });
}

Tensor Compose::scale(Tensor x, double factor) {
  if (!x || factor == 1)
    return x;
  return mul(x, b.makeScalar(x->element, factor));
}

Tensor Compose::cast(Tensor x, ElementType element) {
  return x ? b.castElements(x, element) : nullptr;
}

Tensor Compose::reshape(Tensor x, SizeList sizes) {
  return x ? take(b.reshape(x, std::move(sizes))) : nullptr;
}

Tensor Compose::transpose(Tensor x, ArrayRef<int64_t> permutation) {
  return x ? b.transpose(x, permutation) : nullptr;
}

Tensor Compose::concat(ArrayRef<Tensor> inputs, int64_t axis) {
  if (llvm::is_contained(inputs, nullptr))
    return nullptr;
  return take(b.concat(inputs, axis));
}

Tensor Compose::slice(Tensor x, int64_t axis, SizeExpr begin, SizeExpr end) {
  if (!x)
    return nullptr;
  SizeList offsets(x->getRank(), SizeExpr(0)), sizes = x->sizes;
  offsets[axis] = begin;
  sizes[axis] = end - begin;
  return b.slice(x, offsets, sizes, SmallVector<int64_t>(x->getRank(), 1));
}

//===----------------------------------------------------------------------===//
// Reductions and products
//===----------------------------------------------------------------------===//

Tensor Compose::sum(Tensor x, ArrayRef<int64_t> axes) {
  if (!x)
    return nullptr;
  return b.reduce(x, axes, /*keepDims=*/true, x->element,
                  b.getBuilder().getZeroAttr(x->element.type),
                  [&](OpBuilder &b, Location loc, ValueRange args) {
                    return ScalarOps(b, loc, x->element).add(args[1], args[0]);
                  });
}

Tensor Compose::mean(Tensor x, ArrayRef<int64_t> axes) {
  if (!x)
    return nullptr;
  SizeExpr count(1);
  for (int64_t axis : axes)
    count = count * x->sizes[axis];
  Tensor divisor = count.getConstant()
                       ? b.makeScalar(x->element, *count.getConstant())
                       : b.makeSizeScalar(count, x->element);
  return div(sum(x, axes), divisor);
}

Tensor Compose::largest(Tensor x, ArrayRef<int64_t> axes) {
  if (!x)
    return nullptr;
  auto type = mlir::cast<FloatType>(x->element.type);
  return b.reduce(
      x, axes, /*keepDims=*/true, x->element,
      b.getBuilder().getFloatAttr(
          type, APFloat::getInf(type.getFloatSemantics(), /*Negative=*/true)),
      [&](OpBuilder &b, Location loc, ValueRange args) {
        return ScalarOps(b, loc, x->element).max(args[0], args[1]);
      });
}

Tensor Compose::smallest(Tensor x, ArrayRef<int64_t> axes) {
  auto negate = [](ScalarOps &o, Value x) { return o.neg(x); };
  return map(largest(map(x, negate), axes), negate);
}

/// Loops: the labels of the result in order, then the summed ones.
static std::string getLoops(ArrayRef<StringRef> terms, StringRef result) {
  std::string loops = result.str();
  for (StringRef term : terms)
    for (char label : term)
      if (!StringRef(loops).contains(label))
        loops.push_back(label);
  return loops;
}

Tensor Compose::einsum(StringRef equation, ArrayRef<Tensor> inputs) {
  if (llvm::is_contained(inputs, nullptr))
    return nullptr;
  auto [left, result] = equation.split("->");
  SmallVector<StringRef> terms;
  left.split(terms, ',');
  std::string loops = getLoops(terms, result);
  SizeList sizes(loops.size(), SizeExpr(1));
  for (auto [term, input] : llvm::zip_equal(terms, inputs))
    for (auto [label, size] : llvm::zip_equal(term, input->sizes)) {
      SizeExpr &known = sizes[StringRef(loops).find(label)];
      if (known.isConstant(1) || size.getConstant() > 1)
        known = size;
    }
  MLIRContext *context = b.getBuilder().getContext();
  SmallVector<AffineMap> maps;
  for (auto [term, input] : llvm::zip_equal(terms, inputs)) {
    SmallVector<AffineExpr> exprs;
    for (auto [label, size] : llvm::zip_equal(term, input->sizes)) {
      size_t loop = StringRef(loops).find(label);
      bool repeats = size.isConstant(1) && !sizes[loop].isConstant(1);
      if (!repeats && failed(b.requireEqual(size, sizes[loop],
                                            "dimensions that are multiplied")))
        return nullptr;
      exprs.push_back(repeats ? getAffineConstantExpr(0, context)
                              : getAffineDimExpr(loop, context));
    }
    maps.push_back(AffineMap::get(loops.size(), 0, exprs, context));
  }
  SmallVector<utils::IteratorType> iterators(result.size(),
                                             utils::IteratorType::parallel);
  iterators.append(loops.size() - result.size(),
                   utils::IteratorType::reduction);
  AffineMap outputMap = AffineMap::getMultiDimIdentityMap(loops.size(), context)
                            .getMajorSubMap(result.size());
  sizes.truncate(result.size());
  return b.contract(inputs, maps, inputs[0]->element, sizes, outputMap,
                    iterators);
}

//===----------------------------------------------------------------------===//
// Loops that compute from indices
//===----------------------------------------------------------------------===//

Tensor Compose::generate(ElementType element, SizeList sizes,
                         ArrayRef<Tensor> inputs, IndexedBody body) {
  if (llvm::is_contained(inputs, nullptr))
    return nullptr;
  SmallVector<AffineMap> maps;
  for (Tensor input : inputs)
    maps.push_back(b.getBroadcastMap(input->sizes, sizes));
  size_t rank = sizes.size();
  return b.parallel(element, std::move(sizes), inputs, maps,
                    [&](OpBuilder &b, Location loc, ValueRange args) {
                      ScalarOps o(b, loc, element);
                      SmallVector<Value> indices;
                      for (size_t i = 0; i < rank; ++i)
                        indices.push_back(linalg::IndexOp::create(b, loc, i));
                      return body(o, indices, args);
                    });
}

Value Compose::extract(ScalarOps &o, Value x, ArrayRef<Value> indices) {
  return tensor::ExtractOp::create(o.b, o.loc, x, indices);
}

Value Compose::branch(ScalarOps &o, Value condition,
                      function_ref<Value(ScalarOps &)> element,
                      function_ref<Value(ScalarOps &)> otherwise) {
  auto yield = [&](function_ref<Value(ScalarOps &)> compute) {
    return [&o, compute](OpBuilder &b, Location loc) {
      ScalarOps nested(b, loc, o.element);
      scf::YieldOp::create(b, loc, compute(nested));
    };
  };
  return scf::IfOp::create(o.b, o.loc, condition, yield(element),
                           yield(otherwise))
      .getResult(0);
}
