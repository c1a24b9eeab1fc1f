//===- Diagnostics.cpp - Messages of a compile ----------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// See the header for the form of a message.
//
//===----------------------------------------------------------------------===//

#include "Diagnostics.h"

#include "mlir/IR/Location.h"
#include "mlir/IR/Remarks.h"

using namespace mlir;
using namespace pquant;

/// Where in the model a location is: the file and the node, as far as known.
static void describeLocation(Location location, std::string &file,
                             std::string &node) {
  if (auto name = dyn_cast<NameLoc>(location)) {
    if (node.empty())
      node = name.getName().str();
    describeLocation(name.getChildLoc(), file, node);
  } else if (auto line = dyn_cast<FileLineColLoc>(location)) {
    if (file.empty())
      file = line.getLine()
                 ? (line.getFilename().getValue() + ":" +
                    Twine(line.getLine()) + ":" + Twine(line.getColumn()))
                       .str()
                 : line.getFilename().str();
  } else if (auto fused = dyn_cast<FusedLoc>(location)) {
    for (Location inner : fused.getLocations())
      describeLocation(inner, file, node);
  } else if (auto call = dyn_cast<CallSiteLoc>(location)) {
    describeLocation(call.getCallee(), file, node);
  }
}

/// "<file>: <severity>: node '<name>': <message>"; messages that begin with the
/// node's name do not say it twice.
static void printMessage(Location location, StringRef severity,
                         StringRef message, StringRef input) {
  std::string file, node;
  describeLocation(location, file, node);
  llvm::errs() << (file.empty() ? input : StringRef(file)) << ": " << severity
               << ": ";
  if (!node.empty()) {
    message.consume_front(node + ": ");
    llvm::errs() << "node '" << node << "': ";
  }
  llvm::errs() << message << "\n";
}

void pquant::printDiagnostic(Diagnostic &diagnostic, StringRef input) {
  static constexpr StringLiteral severities[] = {"note", "warning", "error",
                                                 "remark"};
  printMessage(diagnostic.getLocation(),
               severities[static_cast<int>(diagnostic.getSeverity())],
               diagnostic.str(), input);
  for (Diagnostic &note : diagnostic.getNotes())
    printDiagnostic(note, input);
}

namespace {
struct RemarkPrinter : mlir::remark::detail::MLIRRemarkStreamerBase {
  explicit RemarkPrinter(StringRef input) : input(input) {}
  void streamOptimizationRemark(
      const mlir::remark::detail::Remark &remark) override {
    std::string message = (remark.getCategoryName() + ": ").str();
    for (const auto &argument : remark.getArgs())
      message += argument.val;
    printMessage(remark.getLocation(), "remark", message, input);
  }
  StringRef input;
};
} // namespace

void pquant::enableRemarks(MLIRContext &context, StringRef input) {
  mlir::remark::RemarkCategories everything;
  everything.passed = everything.missed = everything.analysis =
      everything.failed = ".*";
  // Fails only where an engine is set up twice.
  (void)mlir::remark::enableOptimizationRemarks(
      context, std::make_unique<RemarkPrinter>(input),
      std::make_unique<mlir::remark::RemarkEmittingPolicyAll>(), everything);
}
