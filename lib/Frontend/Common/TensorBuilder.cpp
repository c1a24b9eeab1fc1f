//===- TensorBuilder.cpp - Values and index arithmetic --------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Sizes are polynomials until an op needs them; then each distinct one is
// written as one `affine.apply` over the values that it is made of. Constants
// and shape vectors are written when something first reads them as a tensor, so
// shape arithmetic leaves no tensor ops behind.
//
//===----------------------------------------------------------------------===//

#include "pquant/Frontend/TensorBuilder.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/DialectResourceBlobManager.h"

using namespace mlir;
using namespace pquant;

std::string pquant::getNumPyName(ElementType element) {
  if (element.isBool())
    return "bool";
  if (element.type.isBF16())
    return "bfloat16";
  unsigned bits = element.narrowBits ? element.narrowBits
                                     : element.type.getIntOrFloatBitWidth();
  if (element.isFloat())
    return "float" + std::to_string(bits);
  return (element.isUnsigned ? "uint" : "int") + std::to_string(bits);
}

void TensorBuilder::setNode(Location loc, std::string newSubject) {
  nodeLoc = loc;
  subject = std::move(newSubject);
}

InFlightDiagnostic TensorBuilder::error() {
  InFlightDiagnostic diagnostic = emitError(fileLoc);
  if (!subject.empty())
    diagnostic << subject << ": ";
  return diagnostic;
}

//===----------------------------------------------------------------------===//
// Sizes and index arithmetic
//===----------------------------------------------------------------------===//

SizeExpr TensorBuilder::atomFor(Value index, bool isNonNegative) {
  if (auto constant = index.getDefiningOp<arith::ConstantIndexOp>())
    return SizeExpr(constant.value());
  auto [it, inserted] = atomIds.try_emplace(index, atoms.size());
  if (inserted)
    atoms.push_back({index, isNonNegative});
  return SizeExpr::atom(it->second);
}

bool TensorBuilder::isNonNegative(const SizeExpr &size) const {
  return llvm::all_of(size.getTerms(), [&](const auto &term) {
    return term.second > 0 && llvm::all_of(term.first, [&](unsigned id) {
             return atoms[id].isNonNegative;
           });
  });
}

SizeExpr TensorBuilder::combine(char kind, const SizeExpr &a, const SizeExpr &b,
                                bool isNonNegative,
                                function_ref<Value()> create) {
  auto key = std::make_tuple(kind, a, b);
  auto it = combined.find(key);
  if (it == combined.end())
    it = combined.emplace(key, atomFor(create(), isNonNegative)).first;
  return it->second;
}

SizeExpr TensorBuilder::minimum(const SizeExpr &a, const SizeExpr &b) {
  if (isNonNegative(b - a))
    return a;
  if (isNonNegative(a - b))
    return b;
  return combine('<', a, b, isNonNegative(a) && isNonNegative(b), [&] {
    return arith::MinSIOp::create(builder, nodeLoc, getIndexValue(a),
                                  getIndexValue(b))
        .getResult();
  });
}

SizeExpr TensorBuilder::maximum(const SizeExpr &a, const SizeExpr &b) {
  if (isNonNegative(b - a))
    return b;
  if (isNonNegative(a - b))
    return a;
  return combine('>', a, b, isNonNegative(a) || isNonNegative(b), [&] {
    return arith::MaxSIOp::create(builder, nodeLoc, getIndexValue(a),
                                  getIndexValue(b))
        .getResult();
  });
}

SizeExpr TensorBuilder::divide(const SizeExpr &a, int64_t divisor, bool up) {
  if (std::optional<SizeExpr> quotient = a.dividedExactlyBy(divisor))
    return *quotient;
  if (std::optional<int64_t> constant = a.getConstant())
    return up ? llvm::divideCeilSigned(*constant, divisor)
              : llvm::divideFloorSigned(*constant, divisor);
  return combine(up ? '^' : '/', a, divisor, isNonNegative(a), [&] {
    SmallVector<OpFoldResult> operands;
    AffineExpr expr = getAffineExpr(a, operands);
    expr = up ? expr.ceilDiv(divisor) : expr.floorDiv(divisor);
    return getValueOrCreateConstantIndexOp(
        builder, nodeLoc,
        affine::makeComposedFoldedAffineApply(builder, nodeLoc, expr,
                                              operands));
  });
}

SizeExpr TensorBuilder::product(ArrayRef<SizeExpr> sizes) {
  SizeExpr result(1);
  for (const SizeExpr &size : sizes)
    result = result * size;
  return result;
}

AffineExpr
TensorBuilder::getAffineExpr(const SizeExpr &size,
                             SmallVectorImpl<OpFoldResult> &operands) {
  llvm::SmallDenseMap<unsigned, unsigned> symbols;
  AffineExpr sum = builder.getAffineConstantExpr(0);
  for (const auto &[monomial, coefficient] : size.getTerms()) {
    AffineExpr term = builder.getAffineConstantExpr(1);
    for (unsigned id : monomial) {
      auto [it, inserted] = symbols.try_emplace(id, operands.size());
      if (inserted)
        operands.push_back(atoms[id].value);
      term = term * builder.getAffineSymbolExpr(it->second);
    }
    sum = sum + term * coefficient;
  }
  return sum;
}

OpFoldResult TensorBuilder::getFoldResult(const SizeExpr &size) {
  if (std::optional<int64_t> constant = size.getConstant())
    return builder.getIndexAttr(*constant);
  if (std::optional<unsigned> atom = size.getAtom())
    return atoms[*atom].value;
  Value &value = materialized[size];
  if (!value) {
    SmallVector<OpFoldResult> operands;
    AffineExpr expr = getAffineExpr(size, operands);
    value =
        getValueOrCreateConstantIndexOp(builder, nodeLoc,
                                        affine::makeComposedFoldedAffineApply(
                                            builder, nodeLoc, expr, operands));
  }
  return value;
}

SmallVector<OpFoldResult>
TensorBuilder::getFoldResults(ArrayRef<SizeExpr> sizes) {
  return llvm::map_to_vector(
      sizes, [&](const SizeExpr &size) { return getFoldResult(size); });
}

Value TensorBuilder::getIndexConstant(int64_t value) {
  Value &constant = materialized[SizeExpr(value)];
  if (!constant)
    constant = arith::ConstantIndexOp::create(builder, nodeLoc, value);
  return constant;
}

Value TensorBuilder::getIndexValue(const SizeExpr &size) {
  if (std::optional<int64_t> constant = size.getConstant())
    return getIndexConstant(*constant);
  return cast<Value>(getFoldResult(size));
}

LogicalResult TensorBuilder::requireEqual(const SizeExpr &a, const SizeExpr &b,
                                          const Twine &what) {
  if (a == b)
    return success();
  if (a.getConstant() && b.getConstant())
    return error() << "expected equal sizes of " << what.str() << ", but got "
                   << *a.getConstant() << " and " << *b.getConstant();
  if (!asserted.insert(a - b).second || asserted.count(b - a))
    return success();
  Value equal =
      arith::CmpIOp::create(builder, nodeLoc, arith::CmpIPredicate::eq,
                            getIndexValue(a), getIndexValue(b));
  assertAtRunTime(equal, "expected equal sizes of " + what);
  return success();
}

void TensorBuilder::assertAtRunTime(Value condition, const Twine &what) {
  cf::AssertOp::create(builder, nodeLoc, condition,
                       (subject.empty() ? what : subject + ": " + what).str());
}

//===----------------------------------------------------------------------===//
// Regions
//===----------------------------------------------------------------------===//

TensorBuilder::RegionScope::RegionScope(TensorBuilder &builder)
    : b(builder), guard(builder.builder), materialized(builder.materialized),
      combined(builder.combined), asserted(builder.asserted),
      firstLazy(builder.lazy.size()) {
  ++b.regionDepth;
}

TensorBuilder::RegionScope::~RegionScope() {
  --b.regionDepth;
  b.materialized = std::move(materialized);
  b.combined = std::move(combined);
  b.asserted = std::move(asserted);
  for (auto [tensor, isValue] : llvm::drop_begin(b.lazy, firstLazy)) {
    if (isValue)
      tensor->value = nullptr;
    else
      tensor->elements.reset();
  }
  b.lazy.truncate(firstLazy);
}

bool TensorBuilder::isVisibleAfter(const SizeExpr &size, Operation *op) const {
  return llvm::all_of(size.getTerms(), [&](const auto &term) {
    return llvm::none_of(term.first, [&](unsigned id) {
      Value value = atoms[id].value;
      return op->isAncestor(value.getParentBlock()->getParentOp());
    });
  });
}

//===----------------------------------------------------------------------===//
// Tensors
//===----------------------------------------------------------------------===//

RankedTensorType TensorBuilder::getType(Type element,
                                        ArrayRef<SizeExpr> sizes) const {
  SmallVector<int64_t> shape;
  for (const SizeExpr &size : sizes)
    shape.push_back(size.getConstant().value_or(ShapedType::kDynamic));
  return RankedTensorType::get(shape, element);
}

RankedTensorType TensorBuilder::getType(const TensorInfo &tensor) const {
  return getType(tensor.element.type, tensor.sizes);
}

Tensor TensorBuilder::makeTensor(Value value, ElementType element,
                                 SizeList sizes) {
  tensors.push_back({element, std::move(sizes), value, {}, {}, nodeLoc});
  return &tensors.back();
}

Tensor TensorBuilder::makeConstant(ElementsAttr contents, ElementType element) {
  auto type = cast<RankedTensorType>(contents.getType());
  SizeList sizes(type.getShape().begin(), type.getShape().end());
  tensors.push_back({element, std::move(sizes), {}, {}, contents, nodeLoc});
  auto dense = dyn_cast<DenseIntElementsAttr>(contents);
  if (dense && type.getRank() <= 1 &&
      type.getNumElements() <= maxInlineElements) {
    SizeList elements;
    bool isUnsigned = element.isUnsigned || element.isBool();
    for (const APInt &number : dense)
      elements.push_back(isUnsigned
                             ? static_cast<int64_t>(number.getZExtValue())
                             : number.getSExtValue());
    tensors.back().elements = std::move(elements);
  }
  return &tensors.back();
}

Tensor TensorBuilder::makeElements(ElementType element, SizeList sizes,
                                   SizeList elements) {
  tensors.push_back(
      {element, std::move(sizes), {}, std::move(elements), {}, nodeLoc});
  return &tensors.back();
}

Tensor TensorBuilder::makeSizeScalar(const SizeExpr &size,
                                     ElementType element) {
  return makeElements(element, {}, {size});
}

Tensor TensorBuilder::makeScalar(ElementType element, double contents) {
  auto type = RankedTensorType::get({}, element.type);
  Attribute number =
      element.isFloat()
          ? Attribute(builder.getFloatAttr(element.type, contents))
          : Attribute(builder.getIntegerAttr(element.type,
                                             static_cast<int64_t>(contents)));
  return makeConstant(DenseElementsAttr::get(type, number), element);
}

/// The element of a shape vector as a scalar of type `element`.
static Value convertIndex(OpBuilder &b, Location loc, Value index,
                          ElementType element) {
  if (element.isBool())
    return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, index,
                                 arith::ConstantIndexOp::create(b, loc, 0));
  if (!element.isFloat())
    return arith::IndexCastOp::create(b, loc, element.type, index);
  Value integer = arith::IndexCastOp::create(b, loc, b.getI64Type(), index);
  return arith::SIToFPOp::create(b, loc, element.type, integer);
}

Value TensorBuilder::getValue(Tensor tensor) {
  if (tensor->value)
    return tensor->value;
  if (regionDepth > 0)
    lazy.push_back({tensor, /*isValue=*/true});
  RankedTensorType type = getType(*tensor);
  if (!tensor->constant && llvm::all_of(*tensor->elements, [](auto &element) {
        return element.getConstant().has_value();
      })) {
    SmallVector<Attribute> numbers;
    for (const SizeExpr &element : *tensor->elements) {
      int64_t number = *element.getConstant();
      numbers.push_back(
          tensor->element.isFloat()
              ? Attribute(builder.getFloatAttr(type.getElementType(), number))
              : Attribute(IntegerAttr::get(
                    type.getElementType(),
                    APInt(64, number)
                        .sextOrTrunc(type.getElementTypeBitWidth()))));
    }
    tensor->constant = DenseElementsAttr::get(type, numbers);
  }
  if (tensor->constant) {
    tensor->value = arith::ConstantOp::create(
        builder, tensor->loc, cast<TypedAttr>(tensor->constant));
    return tensor->value;
  }
  SmallVector<Value> scalars;
  for (const SizeExpr &element : *tensor->elements)
    scalars.push_back(convertIndex(builder, nodeLoc, getIndexValue(element),
                                   tensor->element));
  tensor->value =
      tensor::FromElementsOp::create(builder, nodeLoc, type, scalars);
  return tensor->value;
}

std::optional<SizeList> TensorBuilder::getElements(Tensor tensor) {
  if (tensor->elements || tensor->constant)
    return tensor->elements;
  if (tensor->getRank() > 1 || !tensor->element.isInteger())
    return std::nullopt;
  std::optional<int64_t> count = product(tensor->sizes).getConstant();
  if (!count || *count > maxInlineElements)
    return std::nullopt;
  SizeList elements;
  for (int64_t i = 0; i < *count; ++i) {
    SmallVector<Value> indices;
    if (tensor->getRank() == 1)
      indices.push_back(getIndexConstant(i));
    Value scalar =
        tensor::ExtractOp::create(builder, nodeLoc, tensor->value, indices);
    Value index = tensor->element.isUnsigned
                      ? arith::IndexCastUIOp::create(
                            builder, nodeLoc, builder.getIndexType(), scalar)
                            .getResult()
                      : arith::IndexCastOp::create(
                            builder, nodeLoc, builder.getIndexType(), scalar)
                            .getResult();
    elements.push_back(atomFor(index, /*isNonNegative=*/false));
  }
  if (regionDepth > 0)
    lazy.push_back({tensor, /*isValue=*/false});
  tensor->elements = elements;
  return elements;
}

std::optional<SmallVector<int64_t>>
TensorBuilder::getConstantInts(Tensor tensor) {
  if (!tensor->elements)
    return std::nullopt;
  SmallVector<int64_t> result;
  for (const SizeExpr &element : *tensor->elements) {
    if (!element.getConstant())
      return std::nullopt;
    result.push_back(*element.getConstant());
  }
  return result;
}

std::optional<double> TensorBuilder::getConstantScalar(Tensor tensor) {
  if (std::optional<SmallVector<int64_t>> ints = getConstantInts(tensor))
    return ints->size() == 1 ? std::optional<double>(ints->front())
                             : std::nullopt;
  auto dense = dyn_cast_or_null<DenseFPElementsAttr>(tensor->constant);
  if (!dense || dense.getNumElements() != 1)
    return std::nullopt;
  APFloat number = *dense.begin();
  bool losesInfo = false;
  number.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven,
                 &losesInfo);
  return number.convertToDouble();
}

std::optional<SizeExpr> TensorBuilder::getIntegerScalar(Tensor tensor) {
  if (tensor->elements)
    return tensor->elements->size() == 1
               ? std::optional<SizeExpr>(tensor->elements->front())
               : std::nullopt;
  // Beyond 2^53 a double does not say which integer was meant.
  std::optional<double> number = getConstantScalar(tensor);
  if (!number || !(std::abs(*number) < 9007199254740992.0) ||
      *number != std::trunc(*number))
    return std::nullopt;
  return SizeExpr(static_cast<int64_t>(*number));
}
