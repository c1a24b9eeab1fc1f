//===- CloneLevels.cpp - One copy of the code per instruction-set level ---===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Replaces every function that has a body by one clone for each run of levels
// of the module's `pquant.target`: `@f` becomes `@f_generic`, `@f_avx2`, ...,
// named after the first of the run, each with its `pquant.level`, calling the
// clones of its own run. Data is not cloned.
//
//===----------------------------------------------------------------------===//

#include "pquant/Transforms/Passes.h"

#include "dialects/PQuant/PQuantDialect.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/StringSet.h"

namespace pquant {
#define GEN_PASS_DEF_CLONELEVELSPASS
#include "pquant/Transforms/Passes.h.inc"
} // namespace pquant

using namespace mlir;
using namespace pquant;

namespace {
struct CloneLevelsPass : pquant::impl::CloneLevelsPassBase<CloneLevelsPass> {
  void runOnOperation() override;
};
} // namespace

/// The name of a function's clone for levels that begin with `level`.
static std::string cloneName(StringRef name, LevelAttr level) {
  return (name + "_" + level.getName()).str();
}

/// Makes `clone` the code of `run`; calls of functions in `defined` go to those
/// of the same run. Where the run has several levels, which of them runs is
/// handed from function to function.
static void assignRun(func::FuncOp clone, ArrayRef<LevelAttr> run,
                      const llvm::StringSet<> &defined) {
  clone.setName(cloneName(clone.getName(), run.front()));
  run.front().assignTo(clone);
  // What the interface says has been read; code has no names.
  clone.removeArgAttrsAttr();
  clone.removeResAttrsAttr();
  Value level;
  if (run.size() > 1) {
    Builder builder(clone);
    SmallVector<Attribute> levels(run.begin(), run.end());
    clone->setAttr(kSharedByAttrName, builder.getArrayAttr(levels));
    unsigned position = clone.getNumArguments();
    if (failed(clone.insertArgument(position, builder.getIndexType(),
                                    DictionaryAttr(), clone.getLoc())))
      llvm_unreachable("a function takes any last argument");
    level = clone.getArgument(position);
  }
  clone.walk([&](func::CallOp call) {
    if (!defined.contains(call.getCallee()))
      return;
    call.setCallee(cloneName(call.getCallee(), run.front()));
    if (level)
      call->insertOperands(call->getNumOperands(), level);
  });
}

void CloneLevelsPass::runOnOperation() {
  ModuleOp module = getOperation();
  auto target = module->getAttrOfType<TargetAttr>(kTargetAttrName);
  if (!target) {
    module.emitError("expected a 'pquant.target' attribute on the module");
    return signalPassFailure();
  }
  llvm::StringSet<> defined;
  SmallVector<func::FuncOp> functions;
  for (auto function : module.getOps<func::FuncOp>()) {
    if (function.isDeclaration())
      continue;
    functions.push_back(function);
    defined.insert(function.getName());
  }
  for (func::FuncOp function : functions) {
    OpBuilder builder(function);
    for (ArrayRef<LevelAttr> run : target.getRuns())
      assignRun(cast<func::FuncOp>(builder.clone(*function)), run, defined);
    function.erase();
  }
}
