//===- MatchStep.h - A function that continues a sequence -------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_TRANSFORMS_MATCHSTEP_H
#define PQUANT_LIB_TRANSFORMS_MATCHSTEP_H

#include "dialects/PQuant/PQuantDialect.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace pquant {

/// The dimension of keys and values that holds positions.
constexpr int64_t kPositions = 2;

/// Keys or values of earlier tokens, B x G x positions x D.
struct Cache {
  mlir::BlockArgument past; ///< what the function is given
  Value present;            ///< what it returns in its place
  unsigned result;          ///< the number of that result
  Value rows;               ///< of the new tokens
  /// `past` has room for all positions and the rows are written into it; else
  /// they are behind it.
  bool isFixed;
};

/// What an argument that is no past holds.
enum class InputKind {
  Tokens,    ///< 1 x S or ? x S token numbers
  Position,  ///< the number of tokens before these
  Positions, ///< that, + 0, + 1, ... for each token; S or B x S
  Total,     ///< the number of tokens with these
  Mask,      ///< 1 for each token that is there
};

struct StepInput {
  mlir::BlockArgument argument;
  InputKind kind;
};

/// A function that continues a sequence.
struct StepForm {
  SmallVector<Cache> caches; ///< of each attention: keys, values
  SmallVector<AttentionOp> attentions;
  SmallVector<StepInput> inputs;
  /// Results that count tokens, with the arguments they continue.
  SmallVector<std::pair<unsigned, mlir::BlockArgument>> counters;
  unsigned logits = 0; ///< the result that is B x S x V

  mlir::BlockArgument getTokens() const;
};

/// What is in the way of a form, where.
struct Obstacle {
  mlir::Location location;
  std::string text;
};

/// The name of an argument in the model's file, or "".
StringRef getInputName(mlir::BlockArgument argument);

/// Fills `form` by what the function's values are made of.
std::optional<Obstacle> matchStep(mlir::func::FuncOp function, StepForm &form);

/// Whether the function does what its form says when its inputs follow from
/// `position` and `total`, the numbers (indices) of tokens before and after
/// this call: writes go to the rows behind, masks hide what comes later,
/// counters become the total, and there are logits for each token.
std::optional<Obstacle> verifyStep(mlir::func::FuncOp function,
                                   const StepForm &form, Value position,
                                   Value total);

} // namespace pquant

#endif // PQUANT_LIB_TRANSFORMS_MATCHSTEP_H
