//===- HandlersView.cpp - Results that share memory with an argument ------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Each row says how to compute the view, and how a write to the view changes
// the tensor that it shows.
//
//===----------------------------------------------------------------------===//

#include "Handlers.h"
#include "Views.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/IndexingUtils.h"

using namespace mlir;
using namespace pquant;
using namespace pquant::pt2;

//===----------------------------------------------------------------------===//
// Reshapes
//===----------------------------------------------------------------------===//

/// The size that -1 stands for.
static FailureOr<SizeExpr> inferSize(NodeContext &ctx, const SizeExpr &total,
                                     const SizeExpr &known) {
  if (std::optional<SizeExpr> quotient = total.dividedExactlyBy(known))
    return *quotient;
  if (total.getConstant() && known.getConstant())
    return ctx.error() << "cannot split " << *total.getConstant()
                       << " elements into rows of " << *known.getConstant();
  // The reshape asserts that nothing is left over.
  Value divisor = ctx.b.getIndexValue(ctx.b.maximum(known, SizeExpr(1)));
  Value size = arith::DivUIOp::create(ctx.b.getBuilder(), ctx.b.getLoc(),
                                      ctx.b.getIndexValue(total), divisor);
  return ctx.b.atomFor(size, /*isNonNegative=*/true);
}

/// Replaces a -1 among the sizes that `total` elements have.
static FailureOr<SizeList> resolveSizes(NodeContext &ctx, SizeList sizes,
                                        const SizeExpr &total) {
  SizeExpr known(1);
  SizeExpr *inferred = nullptr;
  for (SizeExpr &size : sizes) {
    if (!size.isConstant(-1)) {
      known = known * size;
      continue;
    }
    if (inferred)
      return ctx.error() << "expected at most one size of -1";
    inferred = &size;
  }
  if (inferred) {
    FailureOr<SizeExpr> size = inferSize(ctx, total, known);
    if (failed(size))
      return failure();
    *inferred = *size;
  }
  if (failed(requireSizes(ctx, sizes)))
    return failure();
  return sizes;
}

static LogicalResult reshapeTo(NodeContext &ctx, Tensor input, SizeList sizes) {
  return ctx.setResult(ctx.b.reshape(input, std::move(sizes)));
}

/// view(self, size) and reshape(self, shape).
static LogicalResult importView(NodeContext &ctx) {
  if (ctx.has("dtype"))
    return ctx.error() << "a view of other elements is not supported";
  Tensor input = ctx.getTensor("self");
  FailureOr<SizeList> sizes =
      resolveSizes(ctx, ctx.getSizes(ctx.has("size") ? "size" : "shape"),
                   ctx.b.product(input->sizes));
  if (failed(sizes))
    return failure();
  return reshapeTo(ctx, input, *sizes);
}

static LogicalResult importFlatten(NodeContext &ctx) {
  Tensor input = ctx.getTensor("self");
  int64_t rank = input->getRank();
  int64_t begin = ctx.getAxis("start_dim", rank, 0);
  int64_t end = ctx.getAxis("end_dim", rank, -1) + 1;
  ArrayRef<SizeExpr> all(input->sizes);
  if (rank == 0)
    return reshapeTo(ctx, input, {SizeExpr(1)});
  if (begin >= end)
    return ctx.error() << "expected start_dim before end_dim";
  SizeList sizes(all.take_front(begin));
  sizes.push_back(ctx.b.product(all.slice(begin, end - begin)));
  sizes.append(all.begin() + end, all.end());
  return reshapeTo(ctx, input, sizes);
}

static LogicalResult importUnflatten(NodeContext &ctx) {
  Tensor input = ctx.getTensor("self");
  if (failed(ctx.requireRank(input, 1, INT64_MAX)))
    return failure();
  int64_t axis = ctx.getAxis("dim", input->getRank());
  FailureOr<SizeList> parts =
      resolveSizes(ctx, ctx.getSizes("sizes"), input->sizes[axis]);
  if (failed(parts))
    return failure();
  SizeList sizes = input->sizes;
  sizes.erase(sizes.begin() + axis);
  sizes.insert(sizes.begin() + axis, parts->begin(), parts->end());
  return reshapeTo(ctx, input, sizes);
}

static LogicalResult importUnsqueeze(NodeContext &ctx) {
  Tensor input = ctx.getTensor("self");
  SizeList sizes = input->sizes;
  int64_t axis = ctx.getAxis("dim", input->getRank() + 1);
  sizes.insert(sizes.begin() + axis, SizeExpr(1));
  return reshapeTo(ctx, input, sizes);
}

/// Drops the dimensions of size 1, among those that are named.
static LogicalResult importSqueeze(NodeContext &ctx) {
  Tensor input = ctx.getTensor("self");
  SmallVector<int64_t> axes = ctx.getAxes("dim", input->getRank());
  SizeList sizes;
  for (int64_t i = 0; i < input->getRank(); ++i)
    if (!input->sizes[i].isConstant(1) || !llvm::is_contained(axes, i))
      sizes.push_back(input->sizes[i]);
  return reshapeTo(ctx, input, sizes);
}

static FailureOr<Tensor> writeReshape(NodeContext &ctx, Tensor base,
                                      Tensor value, size_t) {
  return ctx.b.reshape(value, base->sizes);
}

static LogicalResult importAlias(NodeContext &ctx) {
  return ctx.setResult(ctx.getTensor("self"));
}

/// What differs is the element type, as the file states it.
static LogicalResult importCast(NodeContext &ctx) {
  constexpr int64_t strided = 7;
  if (ctx.getInt("layout", strided) != strided)
    return ctx.error() << "expected a strided layout";
  return ctx.setResult(
      ctx.b.castElements(ctx.getTensor("self"), ctx.getResultType()));
}

//===----------------------------------------------------------------------===//
// Permutations
//===----------------------------------------------------------------------===//

static SmallVector<int64_t> getPermutation(NodeContext &ctx, int64_t rank) {
  auto permutation = llvm::to_vector(llvm::seq<int64_t>(0, rank));
  if (ctx.getNode().target == "aten.t.default") {
    std::reverse(permutation.begin(), permutation.end());
  } else if (ctx.has("dims")) {
    permutation.clear();
    for (int64_t axis : ctx.getInts("dims"))
      permutation.push_back(ctx.normalizeAxis(axis, rank));
  } else if (rank > 0) {
    std::swap(permutation[ctx.getAxis("dim0", rank)],
              permutation[ctx.getAxis("dim1", rank)]);
  }
  return permutation;
}

static LogicalResult importPermute(NodeContext &ctx) {
  Tensor input = ctx.getTensor("self");
  int64_t rank = input->getRank();
  SmallVector<int64_t> permutation = getPermutation(ctx, rank);
  if (!isPermutationVector(permutation) ||
      static_cast<int64_t>(permutation.size()) != rank)
    return ctx.error() << "expected a permutation of " << rank << " dimensions";
  return ctx.setResult(ctx.b.transpose(input, permutation));
}

static FailureOr<Tensor> writePermute(NodeContext &ctx, Tensor base,
                                      Tensor value, size_t) {
  return ctx.b.transpose(
      value, invertPermutationVector(getPermutation(ctx, base->getRank())));
}

//===----------------------------------------------------------------------===//
// Expand
//===----------------------------------------------------------------------===//

static LogicalResult importExpand(NodeContext &ctx) {
  Tensor input = ctx.getTensor("self");
  SizeList sizes;
  if (Tensor other = ctx.getOptionalTensor("other"))
    sizes = other->sizes;
  else
    sizes = ctx.getSizes("size");
  size_t added = sizes.size() - input->sizes.size();
  if (sizes.size() < input->sizes.size())
    return ctx.error() << "expected at least " << input->sizes.size()
                       << " sizes, but got " << sizes.size();
  for (auto [i, size] : llvm::enumerate(sizes))
    if (size.isConstant(-1) && i >= added)
      size = input->sizes[i - added];
  if (failed(requireSizes(ctx, sizes)))
    return failure();
  return ctx.setResult(ctx.b.expand(input, sizes));
}

static FailureOr<Tensor> rejectWrite(NodeContext &ctx, Tensor, Tensor, size_t) {
  return ctx.error() << "a write to a view by '" << ctx.getNode().target
                     << "' is not supported";
}

//===----------------------------------------------------------------------===//
// Slices
//===----------------------------------------------------------------------===//

Box pt2::getSliceBox(NodeContext &ctx, Tensor input) {
  Box box(input);
  int64_t axis = ctx.getAxis("dim", input->getRank(), 0);
  const SizeExpr &size = input->sizes[axis];
  int64_t step = ctx.getInt("step", 1);
  if (step < 1) {
    // The message that PyTorch gives.
    (void)(ctx.error() << "expected a step of at least 1, but got " << step);
    box.isValid = false;
    return box;
  }
  SizeExpr start = clampBound(ctx.b, ctx.getSize("start", SizeExpr(0)), size,
                              SizeExpr(0), size);
  SizeExpr end = clampBound(ctx.b, ctx.getSize("end", SizeExpr(INT64_MAX)),
                            size, SizeExpr(0), size);
  box.offsets[axis] = start;
  box.sizes[axis] =
      ctx.b.divide(ctx.b.maximum(end - start, 0), step, /*up=*/true);
  box.strides[axis] = step;
  return box;
}

Box pt2::getSelectBox(NodeContext &ctx, Tensor input, int64_t axis,
                      SizeExpr index) {
  Box box(input);
  const SizeExpr &size = input->sizes[axis];
  OpBuilder &b = ctx.b.getBuilder();
  std::optional<int64_t> constant = index.getConstant();
  if (constant && *constant < 0)
    index = index + size;
  if (constant && size.getConstant()) {
    int64_t bound = *size.getConstant();
    if (*constant < -bound || *constant >= bound) {
      (void)(ctx.error() << "expected an index in [" << -bound << ", "
                         << bound - 1 << "], but got " << *constant);
      box.isValid = false;
    }
  } else {
    // Where it is not known, the run time looks.
    Value position =
        ctx.b.wrapIndex(b, ctx.b.getLoc(), ctx.b.getIndexValue(index),
                        ctx.b.getIndexValue(size));
    Value isValid =
        arith::CmpIOp::create(b, ctx.b.getLoc(), arith::CmpIPredicate::ult,
                              position, ctx.b.getIndexValue(size));
    ctx.b.assertAtRunTime(isValid, "expected an index in range");
    index = ctx.b.atomFor(position, /*isNonNegative=*/false);
  }
  box.offsets[axis] = index;
  box.sizes[axis] = SizeExpr(1);
  return box;
}

Tensor Box::read(NodeContext &ctx, Tensor input) const {
  return ctx.b.slice(input, offsets, sizes, strides);
}

FailureOr<Tensor> Box::write(NodeContext &ctx, Tensor input,
                             Tensor value) const {
  FailureOr<Tensor> fitting =
      expandTo(ctx, ctx.b.castElements(value, input->element), sizes);
  if (failed(fitting))
    return failure();
  if (sizes == input->sizes &&
      llvm::all_of(strides, [](int64_t stride) { return stride == 1; }))
    return fitting;
  if (llvm::any_of(sizes, [](const SizeExpr &s) { return s.isConstant(0); }))
    return input;
  SmallVector<OpFoldResult> strideResults;
  for (int64_t stride : strides)
    strideResults.push_back(ctx.b.getBuilder().getIndexAttr(stride));
  Value result = tensor::InsertSliceOp::create(
      ctx.b.getBuilder(), ctx.b.getLoc(), ctx.b.getValue(*fitting),
      ctx.b.getValue(input), ctx.b.getFoldResults(offsets),
      ctx.b.getFoldResults(sizes), strideResults);
  return ctx.b.makeTensor(result, input->element, input->sizes);
}

static LogicalResult requireDimensions(NodeContext &ctx) {
  return ctx.requireRank(ctx.getTensor("self"), 1, INT64_MAX);
}

static LogicalResult importSlice(NodeContext &ctx) {
  if (failed(requireDimensions(ctx)))
    return failure();
  Tensor input = ctx.getTensor("self");
  Box box = getSliceBox(ctx, input);
  if (!box.isValid)
    return failure();
  return ctx.setResult(box.read(ctx, input));
}

static FailureOr<Tensor> writeSlice(NodeContext &ctx, Tensor base, Tensor value,
                                    size_t) {
  return getSliceBox(ctx, base).write(ctx, base, value);
}

/// The slices without their dimension that select and unbind give.
static Box getElementBox(NodeContext &ctx, Tensor input, size_t result) {
  int64_t axis = ctx.getAxis("dim", input->getRank(), 0);
  bool isUnbind = ctx.getNode().target == "aten.unbind.int";
  return getSelectBox(ctx, input, axis,
                      isUnbind ? SizeExpr(static_cast<int64_t>(result))
                               : ctx.getSize("index"));
}

static LogicalResult importElements(NodeContext &ctx) {
  if (failed(requireDimensions(ctx)))
    return failure();
  Tensor input = ctx.getTensor("self");
  SizeList sizes = input->sizes;
  sizes.erase(sizes.begin() + ctx.getAxis("dim", input->getRank(), 0));
  for (size_t i = 0; i < ctx.getNumResults(); ++i) {
    Box box = getElementBox(ctx, input, i);
    if (!box.isValid ||
        failed(ctx.setResult(ctx.b.reshape(box.read(ctx, input), sizes), i)))
      return failure();
  }
  return success();
}

static FailureOr<Tensor> writeElement(NodeContext &ctx, Tensor base,
                                      Tensor value, size_t result) {
  Box box = getElementBox(ctx, base, result);
  FailureOr<Tensor> slice = ctx.b.reshape(value, box.sizes);
  if (failed(slice))
    return failure();
  return box.write(ctx, base, *slice);
}

//===----------------------------------------------------------------------===//
// Splits
//===----------------------------------------------------------------------===//

/// The sizes of the parts: given, or all but the last one equal.
static SizeList getPartSizes(NodeContext &ctx, const SizeExpr &total) {
  if (ctx.has("split_sizes"))
    return ctx.getSizes("split_sizes");
  int64_t count = ctx.getNumResults();
  SizeExpr part =
      ctx.has("chunks")
          ? ctx.b.divide(total, std::max<int64_t>(ctx.getInt("chunks"), 1),
                         /*up=*/true)
          : ctx.getSize("split_size");
  SizeList sizes(count, part);
  if (count > 0)
    sizes.back() = total - part * SizeExpr(count - 1);
  return sizes;
}

static Box getPartBox(NodeContext &ctx, Tensor input, ArrayRef<SizeExpr> parts,
                      size_t result) {
  Box box(input);
  int64_t axis = ctx.getAxis("dim", input->getRank(), 0);
  for (size_t i = 0; i < result; ++i)
    box.offsets[axis] = box.offsets[axis] + parts[i];
  box.sizes[axis] = parts[result];
  return box;
}

static LogicalResult importSplit(NodeContext &ctx) {
  if (failed(requireDimensions(ctx)))
    return failure();
  Tensor input = ctx.getTensor("self");
  const SizeExpr &total = input->sizes[ctx.getAxis("dim", input->getRank(), 0)];
  SizeList parts = getPartSizes(ctx, total);
  SizeExpr sum(0);
  for (const SizeExpr &part : parts)
    sum = sum + part;
  if (parts.size() != ctx.getNumResults())
    return ctx.error() << "expected " << ctx.getNumResults()
                       << " parts, but got " << parts.size();
  if (failed(requireSizes(ctx, parts)) ||
      failed(ctx.b.requireEqual(sum, total, "the split dimension")))
    return failure();
  for (size_t i = 0; i < parts.size(); ++i)
    (void)ctx.setResult(getPartBox(ctx, input, parts, i).read(ctx, input), i);
  return success();
}

static FailureOr<Tensor> writePart(NodeContext &ctx, Tensor base, Tensor value,
                                   size_t result) {
  const SizeExpr &total = base->sizes[ctx.getAxis("dim", base->getRank(), 0)];
  return getPartBox(ctx, base, getPartSizes(ctx, total), result)
      .write(ctx, base, value);
}

FailureOr<Tensor> pt2::expandTo(NodeContext &ctx, Tensor tensor,
                                SizeList sizes) {
  int64_t rank = sizes.size();
  FailureOr<Tensor> expanded = ctx.b.expand(tensor, sizes);
  if (failed(expanded) || failed(ctx.requireRank(*expanded, rank, rank)))
    return failure();
  return ctx.b.refineSizes(*expanded, std::move(sizes));
}

LogicalResult pt2::requireAtMost(NodeContext &ctx, const SizeExpr &size,
                                 const SizeExpr &limit) {
  if (ctx.b.isNonNegative(limit - size))
    return success();
  if (size.getConstant() && limit.getConstant())
    return ctx.error() << "expected a size of at most " << *limit.getConstant()
                       << ", but got " << *size.getConstant();
  Value fits = arith::CmpIOp::create(
      ctx.b.getBuilder(), ctx.b.getLoc(), arith::CmpIPredicate::sle,
      ctx.b.getIndexValue(size), ctx.b.getIndexValue(limit));
  ctx.b.assertAtRunTime(fits, "expected indices of no larger size");
  return success();
}

LogicalResult pt2::requireSizes(NodeContext &ctx, ArrayRef<SizeExpr> sizes) {
  for (const SizeExpr &size : sizes) {
    if (ctx.b.isNonNegative(size))
      continue;
    if (std::optional<int64_t> constant = size.getConstant())
      return ctx.error() << "expected sizes of at least 0, but got "
                         << *constant;
    Value isValid = arith::CmpIOp::create(
        ctx.b.getBuilder(), ctx.b.getLoc(), arith::CmpIPredicate::sge,
        ctx.b.getIndexValue(size), ctx.b.getIndexConstant(0));
    ctx.b.assertAtRunTime(isValid, "expected sizes of at least 0");
  }
  return success();
}

ArrayRef<HandlerRow> pt2::getViewHandlers() {
  static const HandlerRow rows[] = {
      {"aten._unsafe_view.default", "self", importView, "", writeReshape},
      {"aten.alias.default", "self", importAlias, "", writeReshape},
      {"aten.chunk.default", "self", importSplit, "", writePart},
      {"aten.contiguous.default", "self", importAlias, "", writeReshape},
      {"aten.detach.default", "self", importAlias, "", writeReshape},
      {"aten.detach_.default", "self", importAlias, "", writeReshape},
      {"aten.expand.default", "self", importExpand, "", rejectWrite},
      {"aten.expand_as.default", "self other", importExpand, "", rejectWrite},
      {"aten.flatten.using_ints", "self", importFlatten, "", writeReshape},
      {"aten.lift_fresh.default", "self", importAlias, "", writeReshape},
      {"aten.lift_fresh_copy.default", "self", importAlias},
      {"aten.permute.default", "self", importPermute, "", writePermute},
      {"aten.reshape.default", "self", importView, "", writeReshape},
      {"aten.select.int", "self", importElements, "", writeElement},
      {"aten.slice.Tensor", "self", importSlice, "", writeSlice},
      {"aten.split.Tensor", "self", importSplit, "", writePart},
      {"aten.split_with_sizes.default", "self", importSplit, "", writePart},
      {"aten.squeeze.default", "self", importSqueeze, "", writeReshape},
      {"aten.squeeze.dim", "self", importSqueeze, "", writeReshape},
      {"aten.squeeze.dims", "self", importSqueeze, "", writeReshape},
      {"aten.t.default", "self", importPermute, "", writePermute},
      {"aten.to.device", "self", importCast, "", writeReshape},
      {"aten.to.dtype", "self", importCast, "", writeReshape},
      {"aten.to.dtype_layout", "self", importCast, "", writeReshape},
      {"aten.to.other", "self", importCast, "", writeReshape},
      {"aten.transpose.int", "self", importPermute, "", writePermute},
      {"aten.type_as.default", "self", importCast, "", writeReshape},
      {"aten.unbind.int", "self", importElements, "", writeElement},
      {"aten.unflatten.int", "self", importUnflatten, "", writeReshape},
      {"aten.unsqueeze.default", "self", importUnsqueeze, "", writeReshape},
      {"aten.view.default", "self", importView, "", writeReshape},
  };
  return rows;
}
