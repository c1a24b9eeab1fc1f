//===- NodeContext.h - One ONNX node while it is imported -------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What a handler sees: inputs, attributes, outputs. Number and presence of
// inputs are checked before a handler runs; wrong attribute types are reported
// here and make the node fail whatever the handler returns.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_FRONTEND_ONNX_NODECONTEXT_H
#define PQUANT_LIB_FRONTEND_ONNX_NODECONTEXT_H

#include "ONNXReader.h"

#include "pquant/Frontend/TensorBuilder.h"

#include "llvm/ADT/StringMap.h"

namespace pquant {

/// Writes initialisers and attribute tensors into the IR.
class ConstantImporter {
public:
  ConstantImporter(ONNXModel &model, TensorBuilder &builder)
      : model(model), builder(builder) {}

  /// The tensor, whose bytes are moved out of the message the first time.
  Tensor import(const onnx::TensorProto &proto, llvm::StringRef name);

private:
  ONNXModel &model;
  TensorBuilder &builder;
  llvm::DenseMap<const onnx::TensorProto *, Tensor> imported;
};

/// Attributes of the call that a function body is inlined for.
using AttributeMap = llvm::StringMap<const onnx::AttributeProto *>;

class NodeContext {
public:
  /// Imports a graph that a node has as attribute, with values for its inputs.
  using SubgraphImporter =
      llvm::function_ref<mlir::FailureOr<llvm::SmallVector<Tensor>>(
          const onnx::GraphProto &, llvm::ArrayRef<Tensor>)>;

  NodeContext(TensorBuilder &builder, ConstantImporter &constants,
              const onnx::NodeProto &node, const AttributeMap *callAttributes,
              int64_t opset, llvm::SmallVector<Tensor> inputs,
              SubgraphImporter importSubgraph)
      : b(builder), opset(opset), importGraph(importSubgraph),
        constants(constants), node(node), callAttributes(callAttributes),
        inputs(std::move(inputs)), outputs(node.output_size(), nullptr) {}

  /// Starts an error about this node.
  mlir::InFlightDiagnostic error() { return b.error(); }

  size_t getNumInputs() const { return inputs.size(); }
  llvm::ArrayRef<Tensor> getInputs() const { return inputs; }
  /// The input, or none when it is omitted.
  Tensor getInput(size_t i) const {
    return i < inputs.size() ? inputs[i] : nullptr;
  }

  bool hasAttribute(llvm::StringRef name) { return findAttribute(name); }
  int64_t getInt(llvm::StringRef name, int64_t defaultValue);
  double getFloat(llvm::StringRef name, double defaultValue);
  std::string getString(llvm::StringRef name, llvm::StringRef defaultValue);
  std::optional<llvm::SmallVector<int64_t>> getInts(llvm::StringRef name);
  std::optional<llvm::SmallVector<float>> getFloats(llvm::StringRef name);
  Tensor getTensor(llvm::StringRef name);
  /// Imports the graph in attribute `name` at the end of the current block and
  /// gives its outputs.
  mlir::FailureOr<llvm::SmallVector<Tensor>>
  importSubgraph(llvm::StringRef name, llvm::ArrayRef<Tensor> graphInputs);

  /// The attribute `name` as an axis of a tensor of `rank` dimensions.
  mlir::FailureOr<int64_t> getAxis(llvm::StringRef name, int64_t defaultValue,
                                   int64_t rank);
  mlir::FailureOr<int64_t> normalizeAxis(int64_t axis, int64_t rank);
  /// Distinct axes, in ascending order.
  mlir::FailureOr<llvm::SmallVector<int64_t>>
  normalizeAxes(llvm::ArrayRef<int64_t> axes, int64_t rank);
  /// Axes from input `i` or, for older operator sets, attribute `axes`; none
  /// when they are omitted.
  mlir::FailureOr<std::optional<llvm::SmallVector<int64_t>>>
  getAxes(size_t i, int64_t rank);
  /// The elements of input `i`, which must be known at compile time.
  mlir::FailureOr<llvm::SmallVector<int64_t>> getConstantInts(size_t i);
  /// The elements of input `i`, a shape vector or a scalar.
  mlir::FailureOr<SizeList> getElements(size_t i);
  /// An ONNX element type, or an error.
  mlir::FailureOr<ElementType> getElementType(int64_t dataType);

  /// Errors unless inputs `i` and `j` have the same element type.
  mlir::LogicalResult requireSameType(size_t i, size_t j);
  /// Errors unless input `i` holds floating-point numbers.
  mlir::LogicalResult requireFloat(size_t i);
  /// Errors unless input `i` has exactly / at least `rank` dimensions.
  mlir::LogicalResult requireRank(size_t i, int64_t rank);
  mlir::LogicalResult requireMinRank(size_t i, int64_t rank);

  size_t getNumOutputs() const { return outputs.size(); }
  /// Whether output `i` is there and named.
  bool wantsOutput(size_t i) const {
    return i < outputs.size() && !node.output(i).empty();
  }
  void setOutput(size_t i, Tensor tensor) {
    if (i < outputs.size())
      outputs[i] = tensor;
  }
  /// Sets output 0 to what a builder function gave.
  mlir::LogicalResult setResult(mlir::FailureOr<Tensor> tensor);
  llvm::ArrayRef<Tensor> getOutputs() const { return outputs; }
  const onnx::NodeProto &getNode() const { return node; }
  bool hasFailed() const { return failedAttribute; }

  TensorBuilder &b;
  const int64_t opset;

private:
  const onnx::AttributeProto *findAttribute(llvm::StringRef name);
  const onnx::AttributeProto *
  findAttribute(llvm::StringRef name, onnx::AttributeProto::AttributeType type);

  SubgraphImporter importGraph;
  ConstantImporter &constants;
  const onnx::NodeProto &node;
  const AttributeMap *callAttributes;
  llvm::SmallVector<Tensor> inputs;
  llvm::SmallVector<Tensor> outputs;
  bool failedAttribute = false;
};

/// The MLIR form of an ONNX element type, if there is one.
std::optional<ElementType> convertElementType(mlir::MLIRContext *context,
                                              int64_t dataType);

} // namespace pquant

#endif // PQUANT_LIB_FRONTEND_ONNX_NODECONTEXT_H
