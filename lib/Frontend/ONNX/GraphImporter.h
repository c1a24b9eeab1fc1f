//===- GraphImporter.h - A checked ONNX model to IR -------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Walks the nodes of the main graph in order and inlines functions of the
// model, except those of domain `pquant`, which are operations. A node that
// fails poisons its results, so that everything else that is wrong is found in
// the same run and nothing is reported twice.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_FRONTEND_ONNX_GRAPHIMPORTER_H
#define PQUANT_LIB_FRONTEND_ONNX_GRAPHIMPORTER_H

#include "Handlers.h"

#include "pquant/Frontend/ONNX.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/StringSet.h"

namespace pquant {

class GraphImporter {
public:
  /// With `collect`, messages about nodes are kept for the list of unsupported
  /// operators instead of being reported.
  GraphImporter(ONNXModel &model, mlir::MLIRContext *context,
                llvm::StringRef file, bool collect);

  /// Imports the main graph; fails when anything failed.
  mlir::FailureOr<mlir::OwningOpRef<mlir::ModuleOp>> run();

  llvm::ArrayRef<UnsupportedOp> getUnsupportedOps() const {
    return unsupported;
  }

private:
  /// The names of one graph or function body.
  struct Scope {
    /// The graph around a graph that a node has as attribute.
    const Scope *outer = nullptr;
    /// Null for the optional inputs that a call omits.
    llvm::StringMap<Tensor> tensors;
    llvm::StringSet<> poisoned;
    llvm::StringMap<int64_t> opsets;
    /// Attributes of the call, inside a function.
    const AttributeMap *attributes = nullptr;
    /// The location and the name of the call, inside a function.
    std::optional<mlir::Location> call;
    std::string subject;

    Tensor lookup(llvm::StringRef name) const;
    bool isPoisoned(llvm::StringRef name) const;
  };
  using NodeList = google::protobuf::RepeatedPtrField<onnx::NodeProto>;

  mlir::LogicalResult importInputs(Scope &scope, mlir::func::FuncOp function);
  mlir::LogicalResult importOutputs(Scope &scope, mlir::func::FuncOp function);
  void importInitializers(Scope &scope, const onnx::GraphProto &graph);
  void importNodes(Scope &scope, const NodeList &nodes,
                   llvm::ArrayRef<int> order);
  mlir::LogicalResult importNode(Scope &scope, const onnx::NodeProto &node,
                                 llvm::StringRef name);
  /// The handler of a node's operator; null, after recording why, when there is
  /// none.
  const HandlerRow *findHandler(const Scope &scope, const onnx::NodeProto &node,
                                llvm::StringRef name);
  mlir::LogicalResult runHandler(Scope &scope, const onnx::NodeProto &node,
                                 const HandlerRow &row,
                                 llvm::SmallVector<Tensor> inputs);
  mlir::LogicalResult inlineFunction(Scope &scope, const onnx::NodeProto &node,
                                     int functionIndex,
                                     llvm::ArrayRef<Tensor> inputs);
  mlir::FailureOr<llvm::SmallVector<Tensor>>
  importSubgraph(const Scope &outer, const onnx::GraphProto &graph,
                 llvm::ArrayRef<Tensor> inputs);
  /// Counts nodes that are imported more often than the file has them.
  mlir::LogicalResult countInlined(int64_t nodes);
  mlir::LogicalResult readFunctionDefaults(const onnx::FunctionProto &function,
                                           AttributeMap &attributes);
  /// Adds to the list of unsupported operators.
  void record(const onnx::NodeProto &node, llvm::StringRef nodeName,
              llvm::StringRef reason);
  mlir::ArrayAttr getDimNames(llvm::ArrayRef<SizeExpr> sizes,
                              const onnx::TypeProto_Tensor &type);
  mlir::DictionaryAttr getSignature(llvm::StringRef name, const TensorInfo &,
                                    const onnx::TypeProto_Tensor &type);

  ONNXModel &model;
  mlir::OpBuilder builder;
  mlir::Location fileLoc;
  TensorBuilder tensorBuilder;
  ConstantImporter constants;
  HandlerTable handlers;
  const bool collect;
  std::vector<UnsupportedOp> unsupported;
  bool hasFailed = false;
  /// The current node and the calls around it, for messages.
  std::string nodeSubject;
  /// The main graph's sizes by dim_param, and back.
  llvm::StringMap<SizeExpr> namedSizes;
  std::map<SizeExpr, std::string> sizeNames;
  /// Functions that are being inlined, and how many nodes have been so far.
  llvm::SmallVector<int> callStack;
  int64_t inlinedNodes = 0;
  /// Default attributes of functions, parsed on demand.
  std::deque<onnx::AttributeProto> functionDefaults;
};

} // namespace pquant

#endif // PQUANT_LIB_FRONTEND_ONNX_GRAPHIMPORTER_H
