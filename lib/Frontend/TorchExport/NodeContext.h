//===- NodeContext.h - One ATen node while it is imported -------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What a handler sees: arguments by the names that the operator's schema gives
// them, results, and the element types that PyTorch computed for those. Numbers
// that the graph computes are tensors of rank 0. Arguments of a wrong kind are
// reported here and make the node fail whatever the handler returns.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_FRONTEND_TORCHEXPORT_NODECONTEXT_H
#define PQUANT_LIB_FRONTEND_TORCHEXPORT_NODECONTEXT_H

#include "Program.h"

#include "pquant/Frontend/TensorOps.h"

namespace pquant::pt2 {

/// The MLIR form of an element type, if there is one.
std::optional<ElementType> convertElementType(mlir::MLIRContext *context,
                                              ScalarType type);

class NodeContext {
public:
  /// `lookup` gives the tensor of a name.
  NodeContext(TensorBuilder &builder, const Graph &graph, const Node &node,
              llvm::function_ref<Tensor(llvm::StringRef)> lookup)
      : b(builder), graph(graph), node(node), lookup(lookup),
        results(node.outputs.size(), nullptr) {}

  /// Starts an error about this node, unless there was one about an argument.
  mlir::InFlightDiagnostic error() {
    mlir::InFlightDiagnostic diagnostic = b.error();
    if (failedArgument)
      diagnostic.abandon();
    return diagnostic;
  }
  const Node &getNode() const { return node; }

  /// Whether the argument is there and not None.
  bool has(llvm::StringRef name) const;
  /// A tensor that the handler's row lists, so that it is there.
  Tensor getTensor(llvm::StringRef name) const;
  /// A tensor, or none.
  Tensor getOptionalTensor(llvm::StringRef name);
  /// The tensors of a list; none where it has None.
  llvm::SmallVector<Tensor> getTensors(llvm::StringRef name);
  /// A tensor or a number as a tensor; numbers get `element`.
  Tensor getOperand(llvm::StringRef name, ElementType element);
  /// A tensor or a number as a tensor of this type.
  Tensor getOperandAs(llvm::StringRef name, ElementType element);
  /// Whether an argument is a number and not a tensor.
  bool isNumber(llvm::StringRef name) const;

  int64_t getInt(llvm::StringRef name,
                 std::optional<int64_t> defaultValue = {});
  double getDouble(llvm::StringRef name,
                   std::optional<double> defaultValue = {});
  bool getBool(llvm::StringRef name, bool defaultValue);
  std::string getString(llvm::StringRef name, llvm::StringRef defaultValue);
  /// Integers; one integer is a list of one.
  llvm::SmallVector<int64_t> getInts(llvm::StringRef name);
  SizeExpr getSize(llvm::StringRef name,
                   std::optional<SizeExpr> defaultValue = {});
  SizeList getSizes(llvm::StringRef name);

  /// The argument `name` as an axis of a tensor of `rank` dimensions.
  int64_t getAxis(llvm::StringRef name, int64_t rank,
                  std::optional<int64_t> defaultValue = {});
  int64_t normalizeAxis(int64_t axis, int64_t rank);
  /// Distinct axes in ascending order; all of them when there are none.
  llvm::SmallVector<int64_t> getAxes(llvm::StringRef name, int64_t rank);

  size_t getNumResults() const { return results.size(); }
  /// The element type of a result, as the file states it.
  ElementType getResultType(size_t i = 0);
  bool wantsResult(size_t i) const {
    return i < results.size() && !node.outputs[i].empty();
  }
  mlir::LogicalResult setResult(mlir::FailureOr<Tensor> tensor, size_t i = 0);
  llvm::ArrayRef<Tensor> getResults() const { return results; }

  /// Errors unless the tensor holds floating-point numbers.
  mlir::LogicalResult requireFloat(Tensor tensor);
  mlir::LogicalResult requireInteger(Tensor tensor);
  mlir::LogicalResult requireRank(Tensor tensor, int64_t min, int64_t max);
  bool hasFailed() const { return failedArgument; }

  TensorBuilder &b;

private:
  const Argument *find(llvm::StringRef name) const;
  /// The one item of an argument; reports lists.
  const ArgumentItem *findItem(llvm::StringRef name);
  std::optional<SizeExpr> readSize(const ArgumentItem &item);
  /// Reports an argument that is not what it should be.
  void reject(llvm::StringRef name, const llvm::Twine &expected);

  const Graph &graph;
  const Node &node;
  llvm::function_ref<Tensor(llvm::StringRef)> lookup;
  llvm::SmallVector<Tensor> results;
  bool failedArgument = false;
};

} // namespace pquant::pt2

#endif // PQUANT_LIB_FRONTEND_TORCHEXPORT_NODECONTEXT_H
