//===- MatchStep.cpp - A function that continues a sequence ---------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Exporters write past keys and values in two ways:
//
//   present = concat(past, new)                      the past grows
//   present = past with new written at position + s  the past has room
//
// Which is which follows from the operations; what other inputs hold
// (positions, masks of padding) from their names, as exporters write them.
//
//===----------------------------------------------------------------------===//

#include "MatchStep.h"
#include "MatchAttention.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "pquant/Support/TensorTypes.h"

using namespace pquant;
using namespace mlir;

StringRef pquant::getInputName(BlockArgument argument) {
  auto function = cast<func::FuncOp>(argument.getOwner()->getParentOp());
  auto name = function.getArgAttrOfType<StringAttr>(argument.getArgNumber(),
                                                    "pquant.name");
  return name ? name.getValue() : "";
}

BlockArgument StepForm::getTokens() const {
  for (const StepInput &input : inputs)
    if (input.kind == InputKind::Tokens)
      return input.argument;
  return BlockArgument();
}

//===----------------------------------------------------------------------===//
// Rows that are written into a past
//===----------------------------------------------------------------------===//

namespace {
/// A nest of loops that writes each element of `rows` into `memory`.
struct RowWrite {
  Value memory, rows;
  tensor::InsertOp insert;
  tensor::ExtractOp extract;
  SmallVector<scf::ForOp> loops;
};
} // namespace

static std::optional<RowWrite> matchRowWrite(Value value) {
  RowWrite write;
  Value result = value;
  Value carried; // the tensor that the loops so far hand in
  while (auto loop = result.getDefiningOp<scf::ForOp>()) {
    if (loop.getNumResults() != 1 ||
        !isConstantIntValue(loop.getLowerBound(), 0) ||
        !isConstantIntValue(loop.getStep(), 1) ||
        (carried && loop.getInitArgs()[0] != carried))
      return std::nullopt;
    if (!write.memory)
      write.memory = loop.getInitArgs()[0];
    carried = loop.getRegionIterArg(0);
    write.loops.push_back(loop);
    result = loop.getYieldedValues()[0];
  }
  write.insert = result.getDefiningOp<tensor::InsertOp>();
  if (!write.insert)
    return std::nullopt;
  if (!write.memory) // one element
    write.memory = carried = write.insert.getDest();
  write.extract = write.insert.getScalar().getDefiningOp<tensor::ExtractOp>();
  if (write.insert.getDest() != carried || !write.extract)
    return std::nullopt;
  write.rows = write.extract.getTensor();
  return write;
}

/// Checks that element (b, g, s, d) of the rows goes to (b, g, position + s,
/// d), for all of them.
static bool writesBehind(RowWrite write, Value position) {
  PointSpace space(write.rows);
  AffineExpr zero = getAffineConstantExpr(0, space.getContext()),
             one = zero + 1;
  auto rowAt = [&](int64_t dim) {
    return space.size(dim) == one ? zero : space.dim(dim);
  };
  unsigned numBound = 0;
  for (auto [dim, index] : llvm::enumerate(write.extract.getIndices())) {
    const auto *loop =
        llvm::find_if(write.loops, [index = index](scf::ForOp other) {
          return other.getInductionVar() == index;
        });
    if (loop == write.loops.end()) {
      if (!isConstantIntValue(index, 0) || space.size(dim) != one)
        return false;
      continue;
    }
    std::optional<AffineExpr> count =
        space.asIndex({scf::ForOp(*loop).getUpperBound(), {}});
    if (!count || *count != space.size(dim))
      return false;
    space.bind(index, rowAt(dim));
    ++numBound;
  }
  if (numBound != write.loops.size())
    return false;
  for (auto [dim, index] : llvm::enumerate(write.insert.getIndices())) {
    std::optional<AffineExpr> at = space.asIndex({index, {}});
    AffineExpr wanted = rowAt(dim);
    if (static_cast<int64_t>(dim) == kPositions)
      wanted = wanted + *space.asIndex({position, {}});
    if (!at || space.simplify(*at) != space.simplify(wanted))
      return false;
  }
  return true;
}

//===----------------------------------------------------------------------===//
// Caches
//===----------------------------------------------------------------------===//

static bool isArgument(Value value) {
  auto argument = dyn_cast<BlockArgument>(value);
  return argument && isa<func::FuncOp>(argument.getOwner()->getParentOp());
}

/// A question for a size that is known when the tensor is not.
static bool isSizeQuestion(Operation *op) {
  auto dim = dyn_cast<tensor::DimOp>(op);
  std::optional<int64_t> index = dim ? dim.getConstantIndex() : std::nullopt;
  return index && *index >= 0 && *index < typeOf(dim.getSource()).getRank();
}

/// The number of the one result that is `value`, which only `attention` and
/// questions for its size use besides.
static std::optional<unsigned> findResult(Value value, AttentionOp attention) {
  std::optional<unsigned> result;
  for (OpOperand &use : value.getUses()) {
    if (isa<func::ReturnOp>(use.getOwner()) && !result)
      result = use.getOperandNumber();
    else if (use.getOwner() != attention && !isSizeQuestion(use.getOwner()))
      return std::nullopt;
  }
  return result;
}

/// Whether the memory of a cache can be B x G x positions x D with B = 1.
static bool hasStaticHeads(Value cache) {
  RankedTensorType type = typeOf(cache);
  return type.getDimSize(0) <= 1 && !type.isDynamicDim(1) &&
         !type.isDynamicDim(3);
}

static std::optional<Cache> matchCache(Value value, AttentionOp attention) {
  Cache cache;
  cache.present = value;
  Value past;
  auto present = value.getDefiningOp<tensor::ConcatOp>();
  if (present && present.getDim() == kPositions &&
      present.getInputs().size() == 2) {
    past = present.getInputs()[0];
    cache.rows = present.getInputs()[1];
    cache.isFixed = false;
  } else if (std::optional<RowWrite> write = matchRowWrite(value)) {
    past = write->memory;
    cache.rows = write->rows;
    cache.isFixed = true;
  } else {
    return std::nullopt;
  }
  std::optional<unsigned> result = findResult(value, attention);
  if (!isArgument(past) || !result || !hasStaticHeads(past) ||
      !hasStaticHeads(value) ||
      (cache.isFixed && typeOf(past).isDynamicDim(kPositions)))
    return std::nullopt;
  unsigned numUses = 0;
  for (Operation *user : past.getUsers())
    numUses += !isSizeQuestion(user);
  if (numUses != 1)
    return std::nullopt;
  cache.past = cast<BlockArgument>(past);
  cache.result = *result;
  return cache;
}

static std::optional<Obstacle> matchAttention(AttentionOp op, StepForm &form) {
  std::optional<Cache> key = matchCache(op.getKey(), op);
  std::optional<Cache> value = matchCache(op.getValue(), op);
  if (!key || !value || key->isFixed != value->isFixed)
    return Obstacle{
        op.getLoc(),
        "its keys and values are not past ones with new ones behind, "
        "both returned"};
  if (key->past == value->past)
    return Obstacle{op.getLoc(), "its keys and values are one cache"};
  form.caches.append({*key, *value});
  form.attentions.push_back(op);
  return std::nullopt;
}

//===----------------------------------------------------------------------===//
// Other inputs, results
//===----------------------------------------------------------------------===//

/// The result that is named as what an argument becomes.
static std::optional<unsigned> findNext(func::FuncOp function,
                                        BlockArgument argument) {
  std::string name = (getInputName(argument) + ".next").str();
  for (unsigned i = 0; i < function.getNumResults(); ++i) {
    auto other = function.getResultAttrOfType<StringAttr>(i, "pquant.name");
    if (other && other.getValue() == name)
      return i;
  }
  return std::nullopt;
}

/// What integers hold by their name: that of the first row whose texts are in
/// it.
static std::optional<InputKind> getKindByName(StringRef name) {
  static const struct {
    StringRef text, other;
    InputKind kind;
  } rows[] = {
      {"past", "len", InputKind::Position},
      {"write_ind", "", InputKind::Position},
      {"pos", "", InputKind::Positions},
      {"total", "len", InputKind::Total},
      {"kv_seq", "len", InputKind::Total},
  };
  for (auto [text, other, kind] : rows)
    if (name.contains(text) && name.contains(other))
      return kind;
  return std::nullopt;
}

static std::optional<InputKind> getInputKind(func::FuncOp function,
                                             BlockArgument argument) {
  auto type = dyn_cast<RankedTensorType>(argument.getType());
  if (!type || type.getRank() > 2 ||
      (type.getRank() == 2 && type.getDimSize(0) > 1))
    return std::nullopt;
  std::string name = getInputName(argument).lower();
  bool isInteger =
      type.getElementType().isInteger() && !type.getElementType().isInteger(1);
  if (StringRef(name).contains("attention_mask") && type.getRank() == 2)
    return InputKind::Mask;
  if (!isInteger)
    return std::nullopt;
  std::optional<InputKind> kind = getKindByName(name);
  // One number; one that is returned as another is found to count below.
  if (type.getRank() == 0 &&
      (kind == InputKind::Positions || (!kind && findNext(function, argument))))
    return InputKind::Position;
  bool isLength =
      StringRef(name).contains("seq") && StringRef(name).contains("len");
  bool isTokens = !kind && !isLength && type.getRank() == 2;
  return isTokens ? std::optional(InputKind::Tokens) : kind;
}

static std::optional<Obstacle> matchArguments(func::FuncOp function,
                                              StepForm &form) {
  for (BlockArgument argument : function.getArguments()) {
    if (llvm::any_of(form.caches, [&](const Cache &cache) {
          return cache.past == argument;
        }))
      continue;
    std::optional<InputKind> kind = getInputKind(function, argument);
    if (kind == InputKind::Tokens && form.getTokens())
      kind = std::nullopt;
    if (!kind)
      return Obstacle{function.getLoc(),
                      ("input '" + getInputName(argument) +
                       "' is neither one sequence of tokens, nor a past, nor "
                       "known by its name")
                          .str()};
    form.inputs.push_back({argument, *kind});
    if (std::optional<unsigned> next = findNext(function, argument))
      form.counters.push_back({*next, argument});
  }
  if (!form.getTokens())
    return Obstacle{function.getLoc(), "no input holds tokens"};
  return std::nullopt;
}

static std::optional<Obstacle> matchResults(func::FuncOp function,
                                            StepForm &form) {
  SmallVector<unsigned> others;
  for (unsigned i = 0; i < function.getNumResults(); ++i) {
    bool isCache = llvm::any_of(
        form.caches, [&](const Cache &cache) { return cache.result == i; });
    bool isCounter = llvm::any_of(
        form.counters, [&](const auto &counter) { return counter.first == i; });
    if (!isCache && !isCounter)
      others.push_back(i);
  }
  if (others.size() != 1)
    return Obstacle{function.getLoc(),
                    "expected logits as the only output beside the caches"};
  form.logits = others[0];
  auto type = cast<RankedTensorType>(function.getResultTypes()[form.logits]);
  if (type.getRank() != 3 || type.isDynamicDim(2) ||
      type.getDimSize(1) != typeOf(form.getTokens()).getDimSize(1))
    return Obstacle{function.getLoc(),
                    "expected logits of batch x tokens x vocabulary"};
  return std::nullopt;
}

std::optional<Obstacle> pquant::matchStep(func::FuncOp function,
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

std::optional<Obstacle> pquant::verifyStep(func::FuncOp function,
                                           const StepForm &form, Value position,
                                           Value total) {
  for (auto [i, attention] : llvm::enumerate(form.attentions)) {
    AttentionOp op = attention;
    if (form.caches[2 * i].isFixed)
      for (Value value : {op.getKey(), op.getValue()})
        if (!writesBehind(*matchRowWrite(value), position))
          return Obstacle{op.getLoc(),
                          "its keys and values are not written behind those of "
                          "the tokens before"};
    Value before = form.caches[2 * i].isFixed ? position : Value();
    if (!seesWhatIsBefore(op, before))
      return Obstacle{op.getLoc(), "its mask is not causal"};
  }
  auto results =
      cast<func::ReturnOp>(function.getBody().front().getTerminator());
  PointSpace space(function.getContext());
  AffineExpr count =
      *space.asIndex({total, {}}) - *space.asIndex({position, {}});
  if (space.sizeOf(results.getOperand(form.logits), 1) != space.simplify(count))
    return Obstacle{function.getLoc(),
                    "it may have more or fewer logits than tokens"};
  for (auto [result, argument] : form.counters) {
    Value next = results.getOperand(result);
    SmallVector<AffineExpr, 4> at(typeOf(next).getRank(),
                                  getAffineConstantExpr(0, space.getContext()));
    std::optional<AffineExpr> after = space.asIndex({next, at});
    if (!after ||
        space.simplify(*after) != space.simplify(*space.asIndex({total, {}})))
      return Obstacle{
          function.getLoc(),
          ("'" + getInputName(argument) + "' does not count the tokens").str()};
  }
  return std::nullopt;
}
