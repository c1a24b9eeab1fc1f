//===- GraphImporter.h - An exported program to IR --------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Walks the nodes in order. Tensors of the program may share memory and be
// changed in place; tensors of the IR are values. So a name stands for the
// value that its tensor has now: a write gives the name, and every name that it
// is a view of, a new value, and other views of those are computed again when
// they are read next.
//
// A node that fails poisons its results, so that everything else that is wrong
// is found in the same run and nothing is reported twice.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_FRONTEND_TORCHEXPORT_GRAPHIMPORTER_H
#define PQUANT_LIB_FRONTEND_TORCHEXPORT_GRAPHIMPORTER_H

#include "Handlers.h"

#include "pquant/Frontend/UnsupportedOps.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/StringSet.h"

namespace pquant::pt2 {

class GraphImporter {
public:
  /// With `collect`, messages about nodes are kept for the list of unsupported
  /// operators instead of being reported.
  GraphImporter(const Program &program, mlir::MLIRContext *context,
                llvm::StringRef file, bool collect);

  /// Imports the program; fails when anything failed.
  mlir::FailureOr<mlir::OwningOpRef<mlir::ModuleOp>> run();

  llvm::ArrayRef<UnsupportedOp> getUnsupportedOps() const {
    return unsupported;
  }

private:
  /// What a name stands for now.
  struct State {
    Tensor tensor = nullptr;
    /// The node that made this a view of the tensor `base`, and which of its
    /// results this is.
    const Node *view = nullptr;
    std::string base;
    size_t result = 0;
    /// Counts the values that the name has had, and says which one of the
    /// base's this one was made from.
    unsigned version = 0, baseVersion = 0;
  };
  struct Scope {
    const Graph &graph;
    llvm::StringMap<State> states;
    llvm::StringSet<> poisoned;
    /// Whether anything is written in place; otherwise views are not tracked.
    bool hasWrites = false;
    unsigned depth = 0;
  };

  //===--- Inputs and outputs ---------------------------------------------===//
  mlir::LogicalResult importInputs(Scope &scope, mlir::func::FuncOp function);
  mlir::LogicalResult importInput(Scope &scope, mlir::func::FuncOp function,
                                  llvm::StringRef name, llvm::StringRef title);
  void importSizes(mlir::Value argument, const TensorMeta &meta,
                   SizeList &sizes);
  /// Binds symbols of input sizes that stand inside of larger expressions.
  mlir::LogicalResult solveSizes();
  mlir::LogicalResult checkRanges();
  mlir::LogicalResult importStored(Scope &scope, const InputSpec &input);
  mlir::LogicalResult importOutputs(Scope &scope, mlir::func::FuncOp function);
  mlir::LogicalResult addOutput(Scope &scope, const ArgumentItem &value,
                                llvm::StringRef title);
  /// The names of buffers and inputs that the program changes.
  void findMutated(const Graph &graph);
  std::optional<SizeExpr> evaluate(const SymbolicExpr &expr);
  mlir::DictionaryAttr getSignature(llvm::StringRef name, const TensorInfo &);

  //===--- Nodes ----------------------------------------------------------===//
  void importNodes(Scope &scope);
  mlir::LogicalResult importNode(Scope &scope, const Node &node);
  mlir::LogicalResult importOperator(Scope &scope, const Node &node,
                                     const HandlerRow &row,
                                     llvm::StringRef functional);
  mlir::FailureOr<llvm::SmallVector<Tensor>>
  runHandler(Scope &scope, const Node &node, const HandlerRow &row);
  bool checkTensors(const Scope &scope, const Node &node,
                    const HandlerRow &row);

  //===--- Higher-order operators (HigherOrder.cpp) -----------------------===//
  mlir::LogicalResult importRegion(Scope &scope, const Node &node);
  mlir::LogicalResult importCondition(Scope &scope, const Node &node);
  mlir::LogicalResult setOutputs(Scope &scope, const Node &node,
                                 llvm::ArrayRef<Tensor> outputs);
  mlir::FailureOr<llvm::SmallVector<Tensor>>
  importBody(Scope &scope, const Node &node, const Graph &body,
             llvm::ArrayRef<const ArgumentItem *> arguments);
  Tensor makeItem(Scope &scope, const ArgumentItem &item);
  /// The value of a name now; null after an error.
  Tensor read(Scope &scope, llvm::StringRef name);
  mlir::LogicalResult write(Scope &scope, llvm::StringRef name, Tensor value);
  void record(const Node &node, llvm::StringRef reason);
  mlir::Location getLocation(const Node &node);

  const Program &program;
  mlir::OpBuilder builder;
  mlir::Location fileLoc;
  TensorBuilder tensorBuilder;
  HandlerTable handlers;
  const bool collect;
  std::vector<UnsupportedOp> unsupported;
  bool hasFailed = false;
  /// Sizes by symbol, and back.
  llvm::StringMap<SizeExpr> symbols;
  std::map<SizeExpr, std::string> sizeNames;
  /// Dimensions of inputs whose size is an expression, with their value.
  std::vector<std::pair<const SymbolicExpr *, SizeExpr>> expressions;
  llvm::StringSet<> mutated;
  llvm::SmallVector<mlir::Value> results;
  llvm::SmallVector<mlir::DictionaryAttr> resultAttributes;
  llvm::SmallVector<mlir::DictionaryAttr> argumentAttributes;
};

} // namespace pquant::pt2

#endif // PQUANT_LIB_FRONTEND_TORCHEXPORT_GRAPHIMPORTER_H
