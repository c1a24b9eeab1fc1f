//===- TensorBuilderShape.cpp - Reshape, transpose, slice, concat ---------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Reshapes are grouped greedily: dimensions are taken from both sides until
// the products of their symbolic sizes are equal. What cannot be grouped goes
// through one dimension, with an assertion when the sizes are not known to fit.
//
//===----------------------------------------------------------------------===//

#include "pquant/Frontend/TensorBuilder.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace pquant;

namespace {
/// Dimensions [fromBegin, fromEnd) of the input hold what dimensions [toBegin,
/// toEnd) of the result hold.
struct DimGroup {
  size_t fromBegin, fromEnd, toBegin, toEnd;
};
} // namespace

Value TensorBuilder::castValue(Value value, RankedTensorType type) {
  if (value.getType() == type)
    return value;
  return tensor::CastOp::create(builder, nodeLoc, type, value);
}

FailureOr<Tensor> TensorBuilder::refineSizes(Tensor input, SizeList sizes) {
  for (auto [i, size] : llvm::enumerate(sizes))
    if (failed(requireEqual(input->sizes[i], size, "dimension " + Twine(i))))
      return failure();
  if (input->sizes == sizes)
    return input;
  Value value = castValue(getValue(input), getType(input->element.type, sizes));
  return makeTensor(value, input->element, std::move(sizes));
}

/// Splits both shapes into groups of equal products; none when that fails.
static std::optional<SmallVector<DimGroup>> groupDims(ArrayRef<SizeExpr> from,
                                                      ArrayRef<SizeExpr> to) {
  SmallVector<DimGroup> groups;
  size_t i = 0, j = 0;
  while (i < from.size() && j < to.size()) {
    DimGroup group{i, i + 1, j, j + 1};
    SizeExpr fromProduct = from[i++], toProduct = to[j++];
    while (fromProduct != toProduct) {
      bool takeFrom =
          i < from.size() && (toProduct.dividedExactlyBy(fromProduct) ||
                              !fromProduct.dividedExactlyBy(toProduct));
      bool takeTo = j < to.size() && (fromProduct.dividedExactlyBy(toProduct) ||
                                      !toProduct.dividedExactlyBy(fromProduct));
      if (!takeFrom && !takeTo)
        return std::nullopt;
      if (takeFrom)
        fromProduct = fromProduct * from[i++];
      if (takeTo)
        toProduct = toProduct * to[j++];
    }
    group.fromEnd = i;
    group.toEnd = j;
    groups.push_back(group);
  }
  // What is left over on either side are ones; they join the last group.
  for (; i < from.size(); ++i)
    if (groups.empty() || !from[i].isConstant(1))
      return std::nullopt;
  for (; j < to.size(); ++j)
    if (groups.empty() || !to[j].isConstant(1))
      return std::nullopt;
  if (!groups.empty()) {
    groups.back().fromEnd = from.size();
    groups.back().toEnd = to.size();
  }
  return groups;
}

static ReassociationIndices makeRange(size_t begin, size_t end) {
  return llvm::to_vector<2>(llvm::seq<int64_t>(begin, end));
}

FailureOr<Tensor> TensorBuilder::reshape(Tensor input, SizeList sizes) {
  if (input->sizes == sizes)
    return input;
  if (input->elements && sizes.size() <= 1 &&
      product(sizes) == product(input->sizes))
    return makeElements(input->element, sizes, *input->elements);

  SizeList from = input->sizes;
  std::optional<SmallVector<DimGroup>> groups = groupDims(from, sizes);
  if (!groups) {
    if (failed(requireEqual(product(from), product(sizes),
                            "the tensor before and after a reshape")))
      return failure();
    groups.emplace();
    if (!from.empty() && !sizes.empty())
      groups->push_back({0, from.size(), 0, sizes.size()});
  }
  // A scalar has no groups: every dimension on the other side is 1.
  if (groups->empty()) {
    FailureOr<Tensor> ones =
        refineSizes(input, SizeList(from.size(), SizeExpr(1)));
    if (failed(ones))
      return failure();
    input = *ones;
    RankedTensorType type =
        getType(input->element.type, SizeList(sizes.size(), SizeExpr(1)));
    SmallVector<ReassociationIndices> none;
    Value value = sizes.empty()
                      ? tensor::CollapseShapeOp::create(builder, nodeLoc, type,
                                                        getValue(input), none)
                            .getResult()
                      : tensor::ExpandShapeOp::create(builder, nodeLoc, type,
                                                      getValue(input), none)
                            .getResult();
    return makeTensor(castValue(value, getType(input->element.type, sizes)),
                      input->element, sizes);
  }

  SmallVector<ReassociationIndices> collapse, expand;
  for (const DimGroup &group : *groups) {
    collapse.push_back(makeRange(group.fromBegin, group.fromEnd));
    expand.push_back(makeRange(group.toBegin, group.toEnd));
  }
  Value value = getValue(input);
  Type element = input->element.type;
  if (collapse.size() != from.size())
    value = tensor::CollapseShapeOp::create(builder, nodeLoc, value, collapse);
  if (expand.size() != sizes.size()) {
    value = castValue(value, tensor::CollapseShapeOp::inferCollapsedType(
                                 getType(element, sizes), expand));
    value =
        tensor::ExpandShapeOp::create(builder, nodeLoc, getType(element, sizes),
                                      value, expand, getFoldResults(sizes));
  }
  return makeTensor(castValue(value, getType(element, sizes)), input->element,
                    sizes);
}

Tensor TensorBuilder::transpose(Tensor input, ArrayRef<int64_t> permutation) {
  if (llvm::equal(permutation, llvm::seq<int64_t>(0, permutation.size())))
    return input;
  SizeList sizes;
  for (int64_t axis : permutation)
    sizes.push_back(input->sizes[axis]);
  Value init = empty(input->element, sizes);
  auto op = linalg::TransposeOp::create(builder, nodeLoc, getValue(input), init,
                                        permutation);
  return makeTensor(op->getResult(0), input->element, sizes);
}

FailureOr<Tensor> TensorBuilder::expand(Tensor input, SizeList sizes) {
  FailureOr<SizeList> result =
      broadcast({ArrayRef<SizeExpr>(input->sizes), ArrayRef<SizeExpr>(sizes)});
  if (failed(result))
    return failure();
  if (*result == input->sizes)
    return input;
  return parallel(
      input->element, *result, input, getBroadcastMap(input->sizes, *result),
      [](OpBuilder &, Location, ValueRange args) { return args[0]; });
}

FailureOr<Tensor> TensorBuilder::concat(ArrayRef<Tensor> inputs, int64_t axis) {
  SizeList sizes = inputs.front()->sizes;
  for (Tensor input : inputs.drop_front())
    for (size_t i = 0; i < sizes.size(); ++i) {
      if (static_cast<int64_t>(i) == axis)
        continue;
      if (failed(requireEqual(sizes[i], input->sizes[i],
                              "concatenated dimension " + Twine(i))))
        return failure();
      if (input->sizes[i].getConstant())
        sizes[i] = input->sizes[i];
    }
  sizes[axis] = SizeExpr(0);
  for (Tensor input : inputs)
    sizes[axis] = sizes[axis] + input->sizes[axis];
  if (inputs.size() == 1)
    return inputs.front();
  SizeList elements;
  bool areKnown = sizes.size() == 1;
  for (Tensor input : inputs) {
    areKnown = areKnown && input->elements;
    if (areKnown)
      elements.append(*input->elements);
  }
  if (areKnown)
    return makeElements(inputs.front()->element, sizes, elements);
  SmallVector<Value> values;
  for (Tensor input : inputs)
    values.push_back(getValue(input));
  Value value = tensor::ConcatOp::create(builder, nodeLoc, axis, values);
  Type element = inputs.front()->element.type;
  return makeTensor(castValue(value, getType(element, sizes)),
                    inputs.front()->element, sizes);
}

Tensor TensorBuilder::slice(Tensor input, SizeList offsets, SizeList sizes,
                            ArrayRef<int64_t> strides) {
  if (input->elements && sizes.size() == 1 && sizes[0].getConstant() &&
      offsets[0].getConstant()) {
    SizeList elements;
    for (int64_t i = 0, e = *sizes[0].getConstant(); i < e; ++i)
      elements.push_back(
          (*input->elements)[*offsets[0].getConstant() + i * strides[0]]);
    return makeElements(input->element, sizes, elements);
  }
  if (input->sizes == sizes &&
      llvm::all_of(strides, [](int64_t stride) { return stride == 1; }))
    return input;
  // tensor.extract_slice has no form for slices without elements.
  auto isEmpty = [](const SizeExpr &size) { return size.isConstant(0); };
  if (llvm::any_of(sizes, isEmpty) || llvm::any_of(input->sizes, isEmpty))
    return makeTensor(empty(input->element, sizes), input->element, sizes);
  SmallVector<OpFoldResult> strideResults;
  for (int64_t stride : strides)
    strideResults.push_back(builder.getIndexAttr(stride));
  Value value = tensor::ExtractSliceOp::create(
      builder, nodeLoc, getType(input->element.type, sizes), getValue(input),
      getFoldResults(offsets), getFoldResults(sizes), strideResults);
  return makeTensor(value, input->element, sizes);
}
