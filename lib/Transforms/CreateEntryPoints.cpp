//===- CreateEntryPoints.cpp - prefill and decode over a cache in place ---===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// --pquant-create-entry-points. In: the packed phase; @main takes past keys and
// values and returns them with the new ones (MatchStep.h). Out: @main as it
// was, and @prefill and @decode, which share its weights and hold the keys and
// values in memory of a fixed capacity that they write in place
// (docs/Runtime.md, sessions); on demand @decode_batch for several sequences of
// equal length. Steps of a clone: its inputs become tokens and a
// position, what follows from the position is checked, then caches take the
// place of pasts.
//
//===----------------------------------------------------------------------===//

#include "MatchStep.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "pquant/Support/TensorTypes.h"
#include "pquant/Transforms/Passes.h"
#include "pquant/Transforms/RaiseSummary.h"

namespace pquant {
#define GEN_PASS_DEF_CREATEENTRYPOINTSPASS
#include "pquant/Transforms/Passes.h.inc"
} // namespace pquant

using namespace mlir;
using namespace pquant;

static func::ReturnOp getReturn(func::FuncOp function) {
  return cast<func::ReturnOp>(function.getBody().front().getTerminator());
}

namespace {
/// Turns a clone of @main into a step.
class StepBuilder {
public:
  StepBuilder(func::FuncOp function, CacheType cacheType)
      : function(function), cacheType(cacheType),
        builder(function.getContext()), loc(function.getLoc()) {}

  /// Of so many sequences, and so many tokens of each; dynamic for any number.
  std::optional<Obstacle> build(int64_t batch, int64_t count);

private:
  void addInputs(int64_t count);
  Attribute nameSize(int64_t size, StringRef name) {
    return ShapedType::isDynamic(size) ? Attribute(builder.getStringAttr(name))
                                       : builder.getI64IntegerAttr(size);
  }
  Value createInput(const StepInput &input);
  Value createElements(
      RankedTensorType type,
      llvm::function_ref<Value(OpBuilder &, Location, ValueRange)> element);
  Value addState(const Cache &cache);
  void addStates();
  void replaceSizes();
  void replaceAttentions();
  void replaceReturn();
  void eraseOld(unsigned numArguments);
  Value takeLastRow(Value value);
  Value addArgument(Type type, const Twine &name, StringRef dtype,
                    ArrayRef<Attribute> sizes);
  Value indexOf(int64_t value) {
    return arith::ConstantIndexOp::create(builder, loc, value);
  }
  Value asInteger(OpBuilder &b, Location l, Value index, Type type) {
    return arith::IndexCastOp::create(b, l, type, index);
  }

  func::FuncOp function;
  CacheType cacheType;
  StepForm form;
  OpBuilder builder;
  Location loc;
  int64_t staticBatch = 1;         ///< or dynamic
  Value tokens, batch;             ///< of this call; its sequences
  Value position, positionIndex;   ///< tokens before this call
  Value count, total;              ///< tokens of this call, and with it
  DenseMap<Value, Value> memories; ///< past -> memref
  DenseMap<Value, Value> tensors;  ///< past -> tensor of the memory
  SmallVector<std::pair<Value, Value>> written; ///< cache after, memref
};
} // namespace

//===----------------------------------------------------------------------===//
// Inputs
//===----------------------------------------------------------------------===//

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

void StepBuilder::addInputs(int64_t staticCount) {
  builder.setInsertionPointToStart(&function.getBody().front());
  BlockArgument old = form.getTokens();
  Type element = typeOf(old).getElementType();
  tokens = addArgument(
      RankedTensorType::get({staticBatch, staticCount}, element),
      getInputName(old),
      "int" + std::to_string(element.getIntOrFloatBitWidth()),
      {nameSize(staticBatch, "batch"), nameSize(staticCount, "tokens")});
  position = addArgument(RankedTensorType::get({}, builder.getI64Type()),
                         "position", "int64", {});
  batch = builder.createOrFold<tensor::DimOp>(loc, tokens, 0);
  count = builder.createOrFold<tensor::DimOp>(loc, tokens, 1);
  // As the size of a tensor, the position is an index that is not negative.
  Value index = arith::IndexCastOp::create(
      builder, loc, builder.getIndexType(),
      tensor::ExtractOp::create(builder, loc, position, ValueRange()));
  Value before = tensor::EmptyOp::create(
      builder, loc, SmallVector<OpFoldResult>{index}, builder.getI8Type());
  positionIndex = tensor::DimOp::create(builder, loc, before, 0);
  total = arith::AddIOp::create(builder, loc, positionIndex, count);
  for (const StepInput &input : form.inputs) {
    Value value = createInput(input);
    BlockArgument(input.argument).replaceAllUsesWith(value);
  }
}

/// A tensor of `type` whose last size, where dynamic, is the number of tokens,
/// and another one that of sequences.
Value StepBuilder::createElements(
    RankedTensorType type,
    llvm::function_ref<Value(OpBuilder &, Location, ValueRange)> element) {
  SmallVector<OpFoldResult> sizes;
  for (auto [dim, size] : llvm::enumerate(type.getShape()))
    sizes.push_back(!ShapedType::isDynamic(size)
                        ? OpFoldResult(builder.getIndexAttr(size))
                    : dim + 1 < type.getShape().size() ? OpFoldResult(batch)
                                                       : OpFoldResult(count));
  Value empty =
      tensor::EmptyOp::create(builder, loc, sizes, type.getElementType());
  AffineMap map = builder.getMultiDimIdentityMap(type.getRank());
  SmallVector<utils::IteratorType> loops(type.getRank(),
                                         utils::IteratorType::parallel);
  Value start = tensor::FromElementsOp::create(
      builder, loc, RankedTensorType::get({}, type.getElementType()),
      asInteger(builder, loc, positionIndex, type.getElementType()));
  AffineMap scalar = AffineMap::get(type.getRank(), 0, builder.getContext());
  Value result = linalg::GenericOp::create(
                     builder, loc, empty.getType(), start, empty,
                     ArrayRef<AffineMap>{scalar, map}, loops,
                     [&](OpBuilder &b, Location l, ValueRange args) {
                       linalg::YieldOp::create(b, l, element(b, l, args));
                     })
                     .getResult(0);
  return builder.createOrFold<tensor::CastOp>(loc, type, result);
}

/// What an argument of the clone holds, from tokens and position.
Value StepBuilder::createInput(const StepInput &input) {
  RankedTensorType type = typeOf(input.argument);
  Type element = type.getElementType();
  switch (input.kind) {
  case InputKind::Tokens:
    return builder.createOrFold<tensor::CastOp>(loc, type, tokens);
  case InputKind::Position:
    return createElements(
        type, [](OpBuilder &, Location, ValueRange args) { return args[0]; });
  case InputKind::Positions:
    return createElements(
        type, [&](OpBuilder &b, Location l, ValueRange args) -> Value {
          Value row = linalg::IndexOp::create(b, l, type.getRank() - 1);
          return arith::AddIOp::create(b, l, args[0],
                                       asInteger(b, l, row, element));
        });
  case InputKind::Total:
    return createElements(type,
                          [&](OpBuilder &b, Location l, ValueRange) -> Value {
                            return asInteger(b, l, total, element);
                          });
  case InputKind::Mask:
    break;
  }
  SmallVector<OpFoldResult> sizes = {
      type.isDynamicDim(0) ? OpFoldResult(batch) : builder.getIndexAttr(1),
      type.isDynamicDim(1) ? OpFoldResult(total)
                           : builder.getIndexAttr(type.getDimSize(1))};
  Value empty = tensor::EmptyOp::create(builder, loc, sizes, element);
  Value one =
      arith::ConstantOp::create(builder, loc, builder.getOneAttr(element));
  Value ones = linalg::FillOp::create(builder, loc, one, empty).getResult(0);
  return builder.createOrFold<tensor::CastOp>(loc, type, ones);
}

//===----------------------------------------------------------------------===//
// Caches
//===----------------------------------------------------------------------===//

/// The element type of caches and NumPy's name of it.
static std::pair<Type, StringRef> getCacheElement(OpBuilder &builder,
                                                  CacheType type) {
  switch (type) {
  case CacheType::F32:
    return {builder.getF32Type(), "float32"};
  case CacheType::F16:
    return {builder.getF16Type(), "float16"};
  case CacheType::I8:
    return {builder.getI8Type(), "int8"};
  }
  llvm_unreachable("unknown type of cache");
}

/// The memory that a past tensor becomes, as a tensor that is written in place.
Value StepBuilder::addState(const Cache &cache) {
  RankedTensorType past = typeOf(cache.past);
  SmallVector<int64_t> shape(past.getShape());
  shape[0] = staticBatch;
  if (!cache.isFixed)
    shape[kPositions] = ShapedType::kDynamic;
  if (cacheType == CacheType::I8)
    shape.back() += CachedAttentionOp::kStepColumns;
  SmallVector<Attribute> sizes;
  for (auto [dim, size] : llvm::enumerate(shape))
    sizes.push_back(dim == kPositions
                        ? Attribute(builder.getStringAttr("capacity"))
                        : nameSize(size, "batch"));
  auto [element, name] = getCacheElement(builder, cacheType);
  Value memory = addArgument(MemRefType::get(shape, element),
                             getInputName(cache.past), name, sizes);
  memories[cache.past] = memory;
  return bufferization::ToTensorOp::create(
      builder, loc, RankedTensorType::get(shape, element), memory,
      /*restrict=*/true, /*writable=*/true);
}

void StepBuilder::addStates() {
  builder.setInsertionPointToStart(&function.getBody().front());
  for (Cache &cache : form.caches)
    tensors[cache.past] = addState(cache);
}

/// What a past and a present tensor were asked for is known. A past that grows
/// leaves but a tensor of its size.
void StepBuilder::replaceSizes() {
  builder.setInsertionPointAfterValue(total);
  for (Cache &cache : form.caches) {
    for (Value tensor : {Value(cache.past), cache.present}) {
      for (Operation *user : llvm::make_early_inc_range(tensor.getUsers())) {
        auto dim = dyn_cast<tensor::DimOp>(user);
        if (!dim)
          continue;
        int64_t index = *dim.getConstantIndex();
        Value size = index == 0 ? batch : nullptr;
        if (index == kPositions && !cache.isFixed)
          size = tensor == cache.past ? positionIndex : total;
        if (!size)
          size = indexOf(typeOf(tensor).getDimSize(index));
        dim.replaceAllUsesWith(size);
        dim.erase();
      }
    }
    if (cache.isFixed)
      continue;
    RankedTensorType type = typeOf(cache.past);
    SmallVector<Value> sizes;
    for (int64_t dim : {int64_t(0), kPositions})
      if (type.isDynamicDim(dim))
        sizes.push_back(dim == 0 ? batch : positionIndex);
    cache.past.replaceAllUsesWith(
        tensor::EmptyOp::create(builder, loc, type, sizes));
  }
}

void StepBuilder::replaceAttentions() {
  for (auto [i, attention] : llvm::enumerate(form.attentions)) {
    AttentionOp op = attention;
    Cache &key = form.caches[2 * i], &value = form.caches[2 * i + 1];
    builder.setInsertionPoint(op);
    auto cached = CachedAttentionOp::create(
        builder, op.getLoc(), op.getQuery(), key.rows, value.rows,
        tensors[key.past], tensors[value.past], position, op.getScaleAttr());
    op.replaceAllUsesWith(cached.getResult());
    written.push_back({cached.getNewKeyCache(), memories[key.past]});
    written.push_back({cached.getNewValueCache(), memories[value.past]});
    op.erase();
  }
}

//===----------------------------------------------------------------------===//
// Results
//===----------------------------------------------------------------------===//

/// The last tokens' rows of a B x S x N tensor, as B x 1 x N, computed from the
/// last rows of what it is made of where one row does not need the others.
Value StepBuilder::takeLastRow(Value value) {
  Operation *def = value.getDefiningOp();
  if (isa_and_nonnull<FloatLinearOp, RMSNormOp>(def) && def->hasOneUse()) {
    Value row = takeLastRow(def->getOperand(0));
    Operation *clone = builder.clone(*def);
    clone->setOperand(0, row);
    SmallVector<int64_t> shape(typeOf(value).getShape());
    shape[0] = staticBatch;
    shape[1] = 1;
    clone->getResult(0).setType(typeOf(value).clone(shape));
    return clone->getResult(0);
  }
  Value last = builder.createOrFold<arith::SubIOp>(loc, count, indexOf(1));
  OpFoldResult zero = builder.getIndexAttr(0), one = builder.getIndexAttr(1);
  SmallVector<OpFoldResult> offsets = {zero, last, zero};
  SmallVector<OpFoldResult> sizes = {
      getAsOpFoldResult(batch), one,
      builder.getIndexAttr(typeOf(value).getDimSize(2))};
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
  auto name =
      function.getResultAttrOfType<StringAttr>(form.logits, "pquant.name");
  (void)function.eraseResults(BitVector(function.getNumResults(), true));
  NamedAttrList attributes;
  attributes.set("pquant.name", name ? name : builder.getStringAttr("logits"));
  if (ShapedType::isDynamic(staticBatch))
    attributes.set("pquant.dims",
                   builder.getArrayAttr({nameSize(staticBatch, "batch"),
                                         builder.getI64IntegerAttr(
                                             typeOf(logits).getDimSize(1))}));
  (void)function.insertResult(0, logits.getType(),
                              attributes.getDictionary(builder.getContext()));
}

/// Drops the arguments that the clone came with, and what reads them.
void StepBuilder::eraseOld(unsigned numArguments) {
  for (Cache &cache : form.caches)
    if (cache.present.use_empty())
      cache.present.getDefiningOp()->erase();
  BitVector old(function.getNumArguments());
  old.set(0, numArguments);
  (void)function.eraseArguments(old);
}

/// Whether the function is of any number of sequences.
static bool isOfAnyBatch(func::FuncOp function, const StepForm &form) {
  auto isDynamic = [](Value value) { return typeOf(value).isDynamicDim(0); };
  return isDynamic(form.getTokens()) &&
         isDynamic(getReturn(function).getOperand(form.logits)) &&
         llvm::all_of(form.caches, [&](const Cache &cache) {
           return isDynamic(cache.past) && isDynamic(cache.present);
         });
}

std::optional<Obstacle> StepBuilder::build(int64_t batch, int64_t staticCount) {
  if (std::optional<Obstacle> obstacle = matchStep(function, form))
    return obstacle;
  if (ShapedType::isDynamic(batch) && !isOfAnyBatch(function, form))
    return Obstacle{loc, "the number of its sequences is fixed"};
  staticBatch = batch;
  unsigned numOld = function.getNumArguments();
  addInputs(staticCount);
  replaceSizes();
  if (std::optional<Obstacle> obstacle =
          verifyStep(function, form, positionIndex, total))
    return obstacle;
  addStates();
  replaceAttentions();
  replaceReturn();
  eraseOld(numOld);
  return std::nullopt;
}

//===----------------------------------------------------------------------===//
// The pass
//===----------------------------------------------------------------------===//

static bool hasAttention(func::FuncOp function) {
  return function.walk([](AttentionOp) { return WalkResult::interrupt(); })
      .wasInterrupted();
}

namespace {
struct CreateEntryPointsPass
    : pquant::impl::CreateEntryPointsPassBase<CreateEntryPointsPass> {
  using CreateEntryPointsPassBase::CreateEntryPointsPassBase;
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

/// Adds the steps that `main` allows: all of them, or none and false.
static bool createSteps(func::FuncOp main, CacheType cacheType, bool hasBatch) {
  StepForm form;
  std::optional<Obstacle> obstacle = matchStep(main, form);
  int64_t count = obstacle ? 0 : typeOf(form.getTokens()).getDimSize(1);
  if (!obstacle && count > 1)
    obstacle = {main.getLoc(), "it takes several tokens, and always as many"};
  SmallVector<func::FuncOp, 2> steps;
  // A clone of `main` for that many sequences and tokens.
  auto createStep = [&](StringRef name, int64_t batch, int64_t tokens) {
    OpBuilder builder(main);
    builder.setInsertionPointAfter(main);
    steps.push_back(cast<func::FuncOp>(builder.clone(*main)));
    steps.back().setName(name);
    return StepBuilder(steps.back(), cacheType).build(batch, tokens);
  };
  if (!obstacle)
    obstacle = createStep("decode", 1, 1);
  if (!obstacle && count != 1)
    obstacle = createStep("prefill", 1, ShapedType::kDynamic);
  if (!obstacle && hasBatch)
    obstacle = createStep("decode_batch", ShapedType::kDynamic, 1);
  if (obstacle) {
    for (func::FuncOp step : steps)
      step.erase();
    InFlightDiagnostic remark = emitRemark(main.getLoc())
                                << "no entry points 'prefill' and 'decode'";
    remark.attachNote(obstacle->location)
        << getLocationName(obstacle->location) << ": " << obstacle->text;
    return false;
  }
  emitRemark(main.getLoc())
      << form.caches.size() << " caches are written in place by 'decode'"
      << (count == 1 ? "" : " and 'prefill'")
      << (hasBatch ? ", those of a batch by 'decode_batch'" : "");
  return true;
}

void CreateEntryPointsPass::runOnOperation() {
  SmallVector<func::FuncOp> functions;
  for (auto function : getOperation().getOps<func::FuncOp>())
    if (function.isPublic() && !function.isDeclaration())
      functions.push_back(function);
  bool created = functions.size() == 1 && hasAttention(functions[0]) &&
                 createSteps(functions[0], cache, batch);
  if (!created && cache != CacheType::F32) {
    emitError(getOperation().getLoc(),
              "no cache to narrow: expected a model with past keys and values "
              "that get entry points 'prefill' and 'decode'");
    return signalPassFailure();
  }
  if (!created && batch) {
    emitError(getOperation().getLoc(),
              "no batch to decode: expected a model of any number of sequences "
              "with past keys and values that gets the entry point 'decode'");
    return signalPassFailure();
  }
  for (auto function : getOperation().getOps<func::FuncOp>())
    if (function.isPublic() && !function.isDeclaration())
      protectInputs(function);
}
