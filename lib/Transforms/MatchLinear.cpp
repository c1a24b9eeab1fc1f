//===- MatchLinear.cpp - Linear layers, and a summary of them -------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What counts as a linear layer, and what became of all of them.
//
//===----------------------------------------------------------------------===//

#include "MatchStacked.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Matchers.h"
#include "pquant/Transforms/RaiseSummary.h"

using namespace pquant;
using namespace mlir;
using pquant::TensorExpr;

std::optional<std::pair<Value, Value>> pquant::matchMultiplyAdd(Block *body) {
  Value sum = body->getArguments().back();
  auto add =
      body->getTerminator()->getOperand(0).getDefiningOp<arith::AddFOp>();
  if (!add || (add.getLhs() != sum && add.getRhs() != sum))
    return std::nullopt;
  Value product = add.getLhs() == sum ? add.getRhs() : add.getLhs();
  auto mul = product.getDefiningOp<arith::MulFOp>();
  if (!mul)
    return std::nullopt;
  return std::pair(mul.getLhs(), mul.getRhs());
}

bool pquant::isMultiplyAdd(Block *body) {
  auto factors = matchMultiplyAdd(body);
  Value a = body->getArgument(0), b = body->getArgument(1);
  return factors &&
         (*factors == std::pair(a, b) || *factors == std::pair(b, a));
}

bool pquant::startsFromZero(linalg::GenericOp op) {
  Value init = op.getDpsInits()[0];
  if (auto fill = init.getDefiningOp<linalg::FillOp>())
    return matchPattern(fill.getInputs()[0], m_AnyZeroFloat());
  return matchPattern(init, m_AnyZeroFloat());
}

std::optional<LinearMatch> pquant::matchLinear(ConstantEvaluator &evaluator,
                                               linalg::GenericOp op) {
  unsigned loops = op.getNumLoops();
  if (op.getNumDpsInputs() != 2 || op.getNumResults() != 1 ||
      op.getNumReductionLoops() != 1 || loops < 2 ||
      !isMultiplyAdd(op.getBody()) || !startsFromZero(op))
    return std::nullopt;
  SmallVector<unsigned> reductions;
  op.getReductionDims(reductions);
  unsigned k = reductions[0];
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  AffineMap result = maps[2];
  if (!result.isProjectedPermutation() || result.getNumResults() == 0)
    return std::nullopt;
  unsigned n = result.getDimPosition(result.getNumResults() - 1);
  for (unsigned i : {1u, 0u}) {
    Value weight = op.getDpsInputs()[i], activation = op.getDpsInputs()[1 - i];
    AffineMap map = maps[i], other = maps[1 - i];
    // x follows the result, with k in the place of n.
    if (map.getNumResults() != 2 || !map.isProjectedPermutation() ||
        !other.isProjectedPermutation() ||
        other.getNumResults() != result.getNumResults() ||
        other.getResults().drop_back() != result.getResults().drop_back() ||
        other.getDimPosition(other.getNumResults() - 1) != k)
      continue;
    bool isKN = map.getDimPosition(0) == k && map.getDimPosition(1) == n;
    bool isNK = map.getDimPosition(0) == n && map.getDimPosition(1) == k;
    if ((!isKN && !isNK) || !evaluator.canEvaluate(weight) ||
        evaluator.canEvaluate(activation))
      continue;
    auto type = cast<RankedTensorType>(weight.getType());
    LinearMatch match{op, activation, {weight, {}}, 0, 0};
    match.rows = type.getDimSize(isKN ? 1 : 0);
    match.columns = type.getDimSize(isKN ? 0 : 1);
    if (isKN)
      match.weight.dims = {1, 0};
    else
      match.weight.dims = {0, 1};
    return match;
  }
  return std::nullopt;
}

//===----------------------------------------------------------------------===//
// Summary
//===----------------------------------------------------------------------===//

std::string pquant::getLocationName(Location loc) {
  if (auto name = loc->findInstanceOf<NameLoc>())
    return name.getName().str();
  std::string text;
  llvm::raw_string_ostream stream(text);
  if (auto file = loc->findInstanceOf<FileLineColLoc>())
    stream << file.getFilename().getValue() << ":" << file.getLine() << ":"
           << file.getColumn();
  else
    stream << "linear";
  return text;
}

std::string RaiseSummary::getHeadline() const {
  std::string text;
  llvm::raw_string_ostream stream(text);
  stream << getRaised() << " of " << getRaised() + floats.size()
         << " linears raised (" << binary << " 1-bit, ";
  if (ternary)
    stream << ternary << " ternary, ";
  if (coded)
    stream << coded << " binary-coded, ";
  stream << int8 << " INT8), " << floats.size() << " left in float";
  return text;
}

/// Why a linear layer was not raised.
static FloatLinear explain(ConstantEvaluator &evaluator, LinearMatch linear) {
  Location loc = linear.op->getLoc();
  FloatLinear result{getLocationName(loc), "", loc,
                     hasWeightQuantizer(linear.weight)};
  Mismatch mismatch;
  if (!matchActivation(linear.activation, mismatch)) {
    result.isQuantizedInModel |= mismatch.isQuantizer;
  } else {
    result.isQuantizedInModel = true;
    matchWeight(evaluator, linear.weight, linear.rows, linear.columns,
                WeightOptions(), mismatch);
  }
  result.reason = mismatch.reason;
  return result;
}

/// The same for experts whose weights are stacked.
static FloatLinear explainStacked(const StackedMatch &stacked) {
  Location loc = stacked.op->getLoc();
  FloatLinear result{getLocationName(loc), "", loc,
                     hasStackedQuantizer(stacked)};
  Mismatch mismatch;
  std::optional<StackedRows> rows = getRows(stacked);
  if (!rows) {
    result.reason = "the rows that the experts read are not one tensor";
    return result;
  }
  if (!isQuantized(rows->tensor.value, mismatch)) {
    result.isQuantizedInModel |= mismatch.isQuantizer;
  } else {
    result.isQuantizedInModel = true;
    matchStackedInt8(stacked, WeightOptions(), mismatch);
  }
  result.reason = mismatch.reason;
  return result;
}

/// Two planes of one scale are three values.
static bool isTernary(BinaryLinearOp op) {
  auto scales = op.getScales();
  Attribute first, second;
  return scales.size() == 2 && !op.getOffset() &&
         matchPattern(scales[0], m_Constant(&first)) &&
         matchPattern(scales[1], m_Constant(&second)) && first == second;
}

RaiseSummary pquant::summarizeRaising(ModuleOp module) {
  RaiseSummary summary;
  ConstantEvaluator evaluator;
  module.walk([&](Operation *op) {
    if (auto binary = dyn_cast<BinaryLinearOp>(op)) {
      ++(binary.getPlanes().size() == 1 ? summary.binary
         : isTernary(binary)            ? summary.ternary
                                        : summary.coded);
    } else if (isa<Int8LinearOp>(op)) {
      ++summary.int8;
    } else if (auto expert = dyn_cast<ExpertLinearOp>(op)) {
      summary.int8 += expert.getWeight().getType().getDimSize(0);
    } else if (auto ffn = dyn_cast<DecoupledFFNOp>(op)) {
      unsigned linears = ffn.getBinaryGate() ? 3 : 2;
      summary.binary += linears;
      summary.int8 += linears * ffn.getInt8Up().getType().getDimSize(0);
    } else if (isa<DecoupledLinearOp>(op)) {
      ++summary.binary;
      ++summary.int8;
    } else if (isa<RouteOp>(op)) {
      summary.floats.push_back({getLocationName(op->getLoc()),
                                "a router stays in float", op->getLoc(),
                                false});
    } else if (auto generic = dyn_cast<linalg::GenericOp>(op)) {
      if (auto linear = matchLinear(evaluator, generic))
        summary.floats.push_back(explain(evaluator, *linear));
      else if (auto stacked = matchStacked(evaluator, generic))
        summary.floats.push_back(explainStacked(*stacked));
      else if (looksStacked(evaluator, generic))
        summary.floats.push_back(
            {getLocationName(generic.getLoc()),
             "the weights are not one matrix of a stack for each row",
             generic.getLoc(), true});
    }
  });
  return summary;
}
