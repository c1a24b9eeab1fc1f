//===- CreateEntryPoints.cpp - prefill and decode over a cache in place ----===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// --pquant-create-entry-points. In: the packed phase; @main takes past keys and
// values and returns them with the new ones behind. Out: @main as it was, and
// @prefill and @decode, which share its weights and hold the keys and values in
// memory of a fixed capacity that they write in place (docs/Runtime.md,
// sessions). Nothing that @main computes changes but where its keys come from.
//
//===----------------------------------------------------------------------===//

#include "dialects/PQuant/PQuantDialect.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "pquant/Transforms/Passes.h"
#include "pquant/Transforms/RaiseSummary.h"

namespace pquant {
#define GEN_PASS_DEF_CREATEENTRYPOINTSPASS
#include "pquant/Transforms/Passes.h.inc"
} // namespace pquant

using namespace mlir;
using namespace pquant;

/// The dimension of keys and values that holds positions.
static constexpr int64_t kPositions = 2;

namespace {
/// A past tensor of a function, and what it returns in its place.
struct Cache {
  BlockArgument past;
  tensor::ConcatOp present;
  unsigned result;
};

/// A function that continues a sequence.
struct StepForm {
  BlockArgument tokens;  ///< 1 x S or ? x S token numbers
  unsigned logits = 0;   ///< the result that is ? x S x V
  SmallVector<Cache> caches;
  SmallVector<AttentionOp> attentions; ///< their keys and values are caches
};

/// What is in the way of a form, where.
struct Obstacle {
  Location location;
  std::string text;
};
} // namespace

static RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

static func::ReturnOp getReturn(func::FuncOp function) {
  return cast<func::ReturnOp>(function.getBody().front().getTerminator());
}

static StringRef nameOf(BlockArgument argument) {
  auto function = cast<func::FuncOp>(argument.getOwner()->getParentOp());
  auto name = function.getArgAttrOfType<StringAttr>(argument.getArgNumber(),
                                                    "pquant.name");
  return name ? name.getValue() : "";
}

//===----------------------------------------------------------------------===//
// Recognition
//===----------------------------------------------------------------------===//

/// concat(past, new) along positions that only `attention`, one return and
/// questions for its size use.
static std::optional<Cache> matchCache(Value value, AttentionOp attention) {
  auto present = value.getDefiningOp<tensor::ConcatOp>();
  if (!present || present.getDim() != kPositions ||
      present.getInputs().size() != 2)
    return std::nullopt;
  auto past = dyn_cast<BlockArgument>(present.getInputs()[0]);
  if (!past || !isa<func::FuncOp>(past.getOwner()->getParentOp()))
    return std::nullopt;
  for (Operation *user : past.getUsers())
    if (user != present && !isa<tensor::DimOp>(user))
      return std::nullopt;
  std::optional<unsigned> result;
  for (OpOperand &use : present->getUses()) {
    if (isa<func::ReturnOp>(use.getOwner()) && !result)
      result = use.getOperandNumber();
    else if (use.getOwner() != attention && !isa<tensor::DimOp>(use.getOwner()))
      return std::nullopt;
  }
  if (!result)
    return std::nullopt;
  return Cache{past, present, *result};
}

/// Keys and values of one attention. Causal is what a step is; one query row
/// sees all keys either way.
static std::optional<Obstacle> matchAttention(AttentionOp op, StepForm &form) {
  auto here = [&](const Twine &text) {
    return Obstacle{op.getLoc(), text.str()};
  };
  if (op.getMask() ||
      (!op.getCausal() && typeOf(op.getQuery()).getDimSize(kPositions) != 1))
    return here("its mask is not causal");
  std::optional<Cache> key = matchCache(op.getKey(), op);
  std::optional<Cache> value = matchCache(op.getValue(), op);
  if (!key || !value)
    return here("its keys and values are not past ones with new ones behind, "
                "both returned");
  form.caches.append({*key, *value});
  form.attentions.push_back(op);
  return std::nullopt;
}

static std::optional<Obstacle> matchArguments(func::FuncOp function,
                                              StepForm &form) {
  auto isPast = [&](BlockArgument argument) {
    return llvm::any_of(form.caches, [&](const Cache &cache) {
      return cache.past == argument;
    });
  };
  for (BlockArgument argument : function.getArguments()) {
    if (isPast(argument))
      continue;
    auto type = dyn_cast<RankedTensorType>(argument.getType());
    bool isTokens = type && type.getRank() == 2 &&
                    type.getElementType().isInteger() &&
                    !type.getElementType().isInteger(1);
    if (form.tokens || !isTokens || type.getDimSize(0) > 1 ||
        type.getDimSize(1) > 1)
      return Obstacle{function.getLoc(),
                      ("input '" + nameOf(argument) +
                       "' is neither one sequence of tokens nor a past")
                          .str()};
    form.tokens = argument;
  }
  if (!form.tokens)
    return Obstacle{function.getLoc(), "no input holds tokens"};
  return std::nullopt;
}

static std::optional<Obstacle> matchResults(func::FuncOp function,
                                            StepForm &form) {
  SmallVector<unsigned> others;
  for (unsigned i = 0; i < function.getNumResults(); ++i)
    if (llvm::none_of(form.caches,
                      [&](const Cache &cache) { return cache.result == i; }))
      others.push_back(i);
  if (others.size() != 1)
    return Obstacle{function.getLoc(),
                    "expected logits as the only output beside the caches"};
  form.logits = others[0];
  Value logits = getReturn(function).getOperand(form.logits);
  if (typeOf(logits).getRank() != 3 || typeOf(logits).isDynamicDim(2) ||
      typeOf(logits).getDimSize(1) != typeOf(form.tokens).getDimSize(1))
    return Obstacle{function.getLoc(),
                    "expected logits of batch x tokens x vocabulary"};
  return std::nullopt;
}

/// Fills `form`; what is in the way otherwise.
static std::optional<Obstacle> matchStep(func::FuncOp function,
                                         StepForm &form) {
  std::optional<Obstacle> obstacle;
  function.walk([&](AttentionOp op) {
    if (!obstacle)
      obstacle = matchAttention(op, form);
  });
  if (!obstacle)
    obstacle = matchArguments(function, form);
  if (!obstacle)
    obstacle = matchResults(function, form);
  return obstacle;
}

//===----------------------------------------------------------------------===//
// Rewriting a clone
//===----------------------------------------------------------------------===//

namespace {
/// Turns a clone of @main into a step.
class StepBuilder {
public:
  StepBuilder(func::FuncOp function, StepForm &form)
      : function(function), form(form), builder(function.getContext()),
        loc(function.getLoc()) {}

  /// `count` is the number of tokens of a call, or dynamic.
  void build(int64_t count);

private:
  void addArguments(int64_t count);
  void replaceSizes();
  void replaceAttentions();
  void replaceReturn();
  Value takeLastRow(Value value);
  Value addArgument(Type type, const Twine &name, StringRef dtype,
                    ArrayRef<Attribute> sizes);
  Value addState(Cache &cache);
  Value indexOf(int64_t value) {
    return arith::ConstantIndexOp::create(builder, loc, value);
  }

  func::FuncOp function;
  StepForm &form;
  OpBuilder builder;
  Location loc;
  Value position, positionIndex; ///< tokens before this call
  Value count;                   ///< tokens of this call
  DenseMap<Value, Value> memories; ///< past -> memref
  DenseMap<Value, Value> caches;   ///< present -> tensor of the memory
  SmallVector<std::pair<Value, Value>> written; ///< cache after, memref
};
} // namespace

Value StepBuilder::addArgument(Type type, const Twine &name, StringRef dtype,
                               ArrayRef<Attribute> sizes) {
  DictionaryAttr attributes = builder.getDictionaryAttr(
      {builder.getNamedAttr("pquant.name", builder.getStringAttr(name)),
       builder.getNamedAttr("pquant.dtype", builder.getStringAttr(dtype)),
       builder.getNamedAttr("pquant.dims", builder.getArrayAttr(sizes))});
  unsigned number = function.getNumArguments();
  (void)function.insertArgument(number, type, attributes, loc);
  return function.getArgument(number);
}

/// The memory that a past tensor becomes, as a tensor that is written in place.
Value StepBuilder::addState(Cache &cache) {
  RankedTensorType past = typeOf(cache.past);
  SmallVector<int64_t> shape(past.getShape());
  shape[0] = 1;
  shape[kPositions] = ShapedType::kDynamic;
  SmallVector<Attribute> sizes;
  for (int64_t size : shape)
    sizes.push_back(ShapedType::isDynamic(size)
                        ? Attribute(builder.getStringAttr("capacity"))
                        : builder.getI64IntegerAttr(size));
  Value memory =
      addArgument(MemRefType::get(shape, past.getElementType()),
                  nameOf(cache.past), "float32", sizes);
  memories[cache.past] = memory;
  return bufferization::ToTensorOp::create(
      builder, loc, RankedTensorType::get(shape, past.getElementType()), memory,
      /*restrict=*/true, /*writable=*/true);
}

void StepBuilder::addArguments(int64_t staticCount) {
  builder.setInsertionPointToStart(&function.getBody().front());
  RankedTensorType old = typeOf(form.tokens);
  Attribute one = builder.getI64IntegerAttr(1);
  Value tokens = addArgument(
      RankedTensorType::get({1, staticCount}, old.getElementType()),
      nameOf(form.tokens),
      "int" + std::to_string(old.getElementTypeBitWidth()),
      {one, ShapedType::isDynamic(staticCount)
                ? Attribute(builder.getStringAttr("tokens"))
                : one});
  position = addArgument(RankedTensorType::get({}, builder.getI64Type()),
                         "position", "int64", {});
  count = builder.createOrFold<tensor::DimOp>(loc, tokens, 1);
  positionIndex = arith::IndexCastOp::create(
      builder, loc, builder.getIndexType(),
      tensor::ExtractOp::create(builder, loc, position, ValueRange()));
  for (Cache &cache : form.caches)
    caches[cache.present.getResult()] = addState(cache);
  form.tokens.replaceAllUsesWith(
      builder.createOrFold<tensor::CastOp>(loc, old, tokens));
}

/// What a past and a present tensor were asked for is known.
void StepBuilder::replaceSizes() {
  Value total =
      arith::AddIOp::create(builder, loc, positionIndex, count).getResult();
  Value one = indexOf(1);
  for (Cache &cache : form.caches) {
    for (Value tensor : {Value(cache.past), Value(cache.present)}) {
      Value positions = tensor == cache.past ? positionIndex : total;
      for (Operation *user : llvm::make_early_inc_range(tensor.getUsers())) {
        auto dim = dyn_cast<tensor::DimOp>(user);
        if (!dim)
          continue;
        int64_t index = *dim.getConstantIndex();
        dim.replaceAllUsesWith(index == kPositions ? positions
                               : index == 0        ? one
                                                   : indexOf(typeOf(tensor).getDimSize(index)));
        dim.erase();
      }
    }
  }
}

void StepBuilder::replaceAttentions() {
  for (AttentionOp op : form.attentions) {
    auto keys = op.getKey().getDefiningOp<tensor::ConcatOp>();
    auto values = op.getValue().getDefiningOp<tensor::ConcatOp>();
    builder.setInsertionPoint(op);
    auto cached = CachedAttentionOp::create(
        builder, op.getLoc(), op.getQuery(), keys.getInputs()[1],
        values.getInputs()[1], caches[keys], caches[values], position,
        op.getScaleAttr());
    op.replaceAllUsesWith(cached.getResult());
    written.push_back({cached.getNewKeyCache(), memories[keys.getInputs()[0]]});
    written.push_back(
        {cached.getNewValueCache(), memories[values.getInputs()[0]]});
    op.erase();
  }
}

/// The last token's row of a B x S x N tensor, as 1 x 1 x N, computed from the
/// last rows of what it is made of where one row does not need the others.
Value StepBuilder::takeLastRow(Value value) {
  Operation *def = value.getDefiningOp();
  if (isa_and_nonnull<FloatLinearOp, RMSNormOp>(def) && def->hasOneUse()) {
    Value row = takeLastRow(def->getOperand(0));
    Operation *clone = builder.clone(*def);
    clone->setOperand(0, row);
    SmallVector<int64_t> shape(typeOf(value).getShape());
    shape[0] = shape[1] = 1;
    clone->getResult(0).setType(typeOf(value).clone(shape));
    return clone->getResult(0);
  }
  Value last = builder.createOrFold<arith::SubIOp>(loc, count, indexOf(1));
  OpFoldResult zero = builder.getIndexAttr(0), one = builder.getIndexAttr(1);
  SmallVector<OpFoldResult> offsets = {zero, last, zero};
  SmallVector<OpFoldResult> sizes = {
      one, one, builder.getIndexAttr(typeOf(value).getDimSize(2))};
  SmallVector<OpFoldResult> strides(3, one);
  return tensor::ExtractSliceOp::create(builder, loc, value, offsets, sizes,
                                        strides);
}

void StepBuilder::replaceReturn() {
  func::ReturnOp old = getReturn(function);
  builder.setInsertionPoint(old);
  Value logits = tensor::CollapseShapeOp::create(
      builder, loc, takeLastRow(old.getOperand(form.logits)),
      SmallVector<ReassociationIndices>{{0, 1}, {2}});
  for (auto [tensor, memory] : written)
    bufferization::MaterializeInDestinationOp::create(
        builder, loc, TypeRange(), tensor, memory, /*restrict=*/true,
        /*writable=*/true);
  func::ReturnOp::create(builder, old.getLoc(), logits);
  old.erase();
}

void StepBuilder::build(int64_t staticCount) {
  unsigned numOld = function.getNumArguments();
  addArguments(staticCount);
  replaceSizes();
  replaceAttentions();
  replaceReturn();
  for (Cache &cache : form.caches)
    if (cache.present->use_empty())
      cache.present->erase();
  BitVector dead(function.getNumArguments());
  dead.set(0, numOld);
  (void)function.eraseArguments(dead);

  func::ReturnOp end = getReturn(function);
  RankedTensorType type = typeOf(end.getOperand(0));
  auto name = function.getResultAttrOfType<StringAttr>(form.logits, "pquant.name");
  BitVector all(function.getNumResults(), true);
  (void)function.eraseResults(all);
  (void)function.insertResult(
      0, type,
      builder.getDictionaryAttr(builder.getNamedAttr(
          "pquant.name", name ? name : builder.getStringAttr("logits"))));
}

//===----------------------------------------------------------------------===//
// The pass
//===----------------------------------------------------------------------===//

/// A clone of `main` as a step of `count` tokens.
static void createStep(func::FuncOp main, StringRef name, int64_t count) {
  OpBuilder builder(main);
  builder.setInsertionPointAfter(main);
  auto step = cast<func::FuncOp>(builder.clone(*main));
  step.setName(name);
  StepForm form;
  [[maybe_unused]] std::optional<Obstacle> obstacle = matchStep(step, form);
  assert(!obstacle && "a clone is of the same form");
  StepBuilder(step, form).build(count);
}

static bool hasAttention(func::FuncOp function) {
  return function
      .walk([](AttentionOp) { return WalkResult::interrupt(); })
      .wasInterrupted();
}

namespace {
struct CreateEntryPointsPass
    : pquant::impl::CreateEntryPointsPassBase<CreateEntryPointsPass> {
  void runOnOperation() override;
};
} // namespace

/// Tensors that a caller hands in are only read.
static void protectInputs(func::FuncOp function) {
  for (unsigned i = 0; i < function.getNumArguments(); ++i)
    if (isa<TensorType>(function.getArgument(i).getType()))
      function.setArgAttr(
          i, bufferization::BufferizationDialect::kWritableAttrName,
          BoolAttr::get(function.getContext(), false));
}

/// Adds the steps that `main` allows.
static void createSteps(func::FuncOp main) {
  StepForm form;
  if (std::optional<Obstacle> obstacle = matchStep(main, form)) {
    InFlightDiagnostic remark = emitRemark(main.getLoc())
                                << "no entry points 'prefill' and 'decode'";
    remark.attachNote(obstacle->location)
        << getLocationName(obstacle->location) << ": " << obstacle->text;
    return;
  }
  bool anyCount = typeOf(form.tokens).isDynamicDim(1);
  createStep(main, "decode", 1);
  if (anyCount)
    createStep(main, "prefill", ShapedType::kDynamic);
  emitRemark(main.getLoc()) << form.caches.size()
                            << " caches are written in place by 'decode'"
                            << (anyCount ? " and 'prefill'" : "");
}

void CreateEntryPointsPass::runOnOperation() {
  SmallVector<func::FuncOp> functions;
  for (auto function : getOperation().getOps<func::FuncOp>())
    if (function.isPublic() && !function.isDeclaration())
      functions.push_back(function);
  if (functions.size() == 1 && hasAttention(functions[0]))
    createSteps(functions[0]);
  for (auto function : getOperation().getOps<func::FuncOp>())
    if (function.isPublic() && !function.isDeclaration())
      protectInputs(function);
}
