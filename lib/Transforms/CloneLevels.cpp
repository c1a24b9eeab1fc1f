//===- CloneLevels.cpp - One copy of the code per instruction-set level
//----===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Replaces every function that has a body by one clone for each level of the
// module's `pquant.target`: `@f` becomes `@f_generic`, `@f_avx2`, ..., each
// with its `pquant.level`, calling the clones of its own level. Data is not
// cloned.
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

/// The name of a function's clone for a level.
static std::string cloneName(StringRef name, LevelAttr level) {
  return (name + "_" + level.getName()).str();
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
    for (LevelAttr level : target.getLevels()) {
      auto clone = cast<func::FuncOp>(builder.clone(*function));
      clone.setName(cloneName(function.getName(), level));
      level.assignTo(clone);
      // What the interface says has been read; code has no names.
      clone.removeArgAttrsAttr();
      clone.removeResAttrsAttr();
      clone.walk([&](func::CallOp call) {
        if (defined.contains(call.getCallee()))
          call.setCallee(cloneName(call.getCallee(), level));
      });
    }
    function.erase();
  }
}
