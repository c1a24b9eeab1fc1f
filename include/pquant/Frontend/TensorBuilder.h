//===- TensorBuilder.h - Upstream tensor IR for frontends -------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What every frontend needs to turn a graph of tensor operators into func,
// tensor, linalg, arith and math: values with symbolic sizes, NumPy
// broadcasting, reductions, contractions, reshapes. All IR goes to the end of
// one block, so that every value dominates what is written later. Sizes that
// cannot be proven to fit become `cf.assert`s that name the node.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_FRONTEND_TENSORBUILDER_H
#define PQUANT_FRONTEND_TENSORBUILDER_H

#include "pquant/Frontend/SizeExpr.h"

#include "mlir/Dialect/Utils/StructuredOpsUtils.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/Diagnostics.h"
#include "llvm/ADT/DenseMap.h"

#include <deque>
#include <set>

namespace pquant {

/// An element type. MLIR's integers are signless, so signedness is kept here.
struct ElementType {
  mlir::Type type;
  bool isUnsigned = false;
  /// How many bits the numbers have, where that is fewer than the type they are
  /// held in; otherwise 0.
  unsigned narrowBits = 0;

  bool isFloat() const { return mlir::isa<mlir::FloatType>(type); }
  bool isBool() const { return type.isInteger(1); }
  /// An integer that is not a truth value.
  bool isInteger() const { return type.isInteger() && !isBool(); }
  bool operator==(const ElementType &other) const {
    return type == other.type && isUnsigned == other.isUnsigned &&
           narrowBits == other.narrowBits;
  }
  bool operator!=(const ElementType &other) const { return !(*this == other); }
};

/// The NumPy name of an element type, "float32" for instance.
std::string getNumPyName(ElementType type);

using SizeList = llvm::SmallVector<SizeExpr>;

/// One tensor of the model, and what is known of it while importing. At least
/// one of `value`, `elements` and `constant` is set.
struct TensorInfo {
  ElementType element;
  SizeList sizes;
  /// The IR value, once something needed it.
  mlir::Value value;
  /// The contents, where they are integers (possibly cast to a float type) of a
  /// tensor of rank 0 or 1.
  std::optional<SizeList> elements;
  /// The contents, where they are known now.
  mlir::ElementsAttr constant;
  /// Where the tensor was defined.
  mlir::Location loc;

  int64_t getRank() const { return sizes.size(); }
};
using Tensor = TensorInfo *;

class TensorBuilder {
public:
  /// Computes one scalar from scalars, inside a structured op.
  using Body = llvm::function_ref<mlir::Value(mlir::OpBuilder &, mlir::Location,
                                              mlir::ValueRange)>;
  /// The largest constant that is written inline, and the most elements that
  /// are tracked one by one.
  static constexpr int64_t maxInlineElements = 64;

  /// Appends at `builder`'s insertion point; errors are reported at `file`.
  TensorBuilder(mlir::OpBuilder &builder, mlir::Location file)
      : builder(builder), fileLoc(file), nodeLoc(file) {}

  /// Says which node of the model is being imported. `subject` starts every
  /// message about it.
  void setNode(mlir::Location loc, std::string subject);
  mlir::Location getLoc() const { return nodeLoc; }
  mlir::OpBuilder &getBuilder() { return builder; }

  /// Starts an error about the current node.
  mlir::InFlightDiagnostic error();

  //===--- Sizes and index arithmetic ------------------------------------===//

  /// A size that only the run time knows: an `index` value.
  SizeExpr atomFor(mlir::Value index, bool isNonNegative);
  bool isNonNegative(const SizeExpr &size) const;
  SizeExpr minimum(const SizeExpr &a, const SizeExpr &b);
  SizeExpr maximum(const SizeExpr &a, const SizeExpr &b);
  /// Division by a positive constant, rounding down (`up` = false) or up.
  SizeExpr divide(const SizeExpr &a, int64_t divisor, bool up);
  SizeExpr product(llvm::ArrayRef<SizeExpr> sizes);
  /// The size as IR, written once however often it is asked for.
  mlir::OpFoldResult getFoldResult(const SizeExpr &size);
  llvm::SmallVector<mlir::OpFoldResult>
  getFoldResults(llvm::ArrayRef<SizeExpr> sizes);
  mlir::Value getIndexValue(const SizeExpr &size);
  mlir::Value getIndexConstant(int64_t value);
  /// An error when the sizes are known to differ, an assertion in the IR when
  /// they are not known to be equal.
  mlir::LogicalResult requireEqual(const SizeExpr &a, const SizeExpr &b,
                                   const llvm::Twine &what);
  /// Asserts an `i1` value at run time.
  void assertAtRunTime(mlir::Value condition, const llvm::Twine &what);

  //===--- Tensors --------------------------------------------------------===//

  /// A tensor computed by the IR; static sizes come from its type, the others
  /// from `sizes`.
  Tensor makeTensor(mlir::Value value, ElementType element, SizeList sizes);
  Tensor makeConstant(mlir::ElementsAttr contents, ElementType element);
  Tensor makeElements(ElementType element, SizeList sizes, SizeList elements);
  /// A rank-0 tensor that holds `size`.
  Tensor makeSizeScalar(const SizeExpr &size, ElementType element);
  Tensor makeScalar(ElementType element, double contents);
  /// The IR value of the tensor; writes it when there is none yet.
  mlir::Value getValue(Tensor tensor);
  mlir::RankedTensorType getType(const TensorInfo &tensor) const;
  mlir::RankedTensorType getType(mlir::Type element,
                                 llvm::ArrayRef<SizeExpr> sizes) const;
  /// The elements of an integer tensor of rank 0 or 1 and static size, read
  /// from the IR value where they are not known; none for other tensors.
  std::optional<SizeList> getElements(Tensor tensor);
  /// The elements when all of them are known now.
  std::optional<llvm::SmallVector<int64_t>> getConstantInts(Tensor tensor);
  /// The contents of a tensor of one element when it is an integer number of
  /// any element type.
  std::optional<SizeExpr> getIntegerScalar(Tensor tensor);
  /// The contents of a tensor of one element when they are known now.
  std::optional<double> getConstantScalar(Tensor tensor);

  //===--- Regions --------------------------------------------------------===//

  /// While it lives, IR is written into a region of an op: what is written
  /// there is forgotten afterwards, because later code cannot see it.
  class RegionScope {
  public:
    explicit RegionScope(TensorBuilder &builder);
    ~RegionScope();

  private:
    TensorBuilder &b;
    mlir::OpBuilder::InsertionGuard guard;
    std::map<SizeExpr, mlir::Value> materialized;
    std::map<std::tuple<char, SizeExpr, SizeExpr>, SizeExpr> combined;
    std::set<SizeExpr> asserted;
    size_t firstLazy;
  };
  /// Whether the size can be used after `op`, whose regions may define some of
  /// what it is made of.
  bool isVisibleAfter(const SizeExpr &size, mlir::Operation *op) const;
  mlir::Value castValue(mlir::Value value, mlir::RankedTensorType type);

  //===--- Computation ----------------------------------------------------===//

  /// The sizes that NumPy's broadcasting gives.
  mlir::FailureOr<SizeList>
  broadcast(llvm::ArrayRef<llvm::ArrayRef<SizeExpr>> shapes);
  /// The indexing map that reads a tensor of `sizes` in a loop nest over
  /// `loops` whose trailing dimensions it is aligned with.
  mlir::AffineMap getBroadcastMap(llvm::ArrayRef<SizeExpr> sizes,
                                  llvm::ArrayRef<SizeExpr> loops);
  /// One all-parallel `linalg.generic` over the broadcast inputs.
  mlir::FailureOr<Tensor> elementwise(ElementType result,
                                      llvm::ArrayRef<Tensor> inputs, Body body);
  /// The same with explicit sizes and maps.
  Tensor parallel(ElementType result, SizeList sizes,
                  llvm::ArrayRef<Tensor> inputs,
                  llvm::ArrayRef<mlir::AffineMap> maps, Body body);
  /// `linalg.generic` that folds `body` (operand, accumulator) over `axes`,
  /// starting from `init`; dropped axes come back as 1 with `keepDims`.
  Tensor reduce(Tensor input, llvm::ArrayRef<int64_t> axes, bool keepDims,
                ElementType result, mlir::TypedAttr init, Body body);
  /// Sum over `reductions` of the product of the operands.
  Tensor contract(llvm::ArrayRef<Tensor> inputs,
                  llvm::ArrayRef<mlir::AffineMap> maps, ElementType result,
                  SizeList sizes, mlir::AffineMap outputMap,
                  llvm::ArrayRef<mlir::utils::IteratorType> iterators);
  /// Converts the elements as ONNX's Cast and torch's `to` do.
  Tensor castElements(Tensor input, ElementType result);
  Tensor fill(ElementType element, SizeList sizes, mlir::TypedAttr contents);
  mlir::Value empty(ElementType element, llvm::ArrayRef<SizeExpr> sizes);
  /// Adds `sizes[axis]` to negative indices and converts to `index`, inside a
  /// structured op.
  mlir::Value wrapIndex(mlir::OpBuilder &b, mlir::Location loc,
                        mlir::Value index, mlir::Value size);

  //===--- Shape ----------------------------------------------------------===//

  mlir::FailureOr<Tensor> reshape(Tensor input, SizeList sizes);
  Tensor transpose(Tensor input, llvm::ArrayRef<int64_t> permutation);
  /// Identity-body generic that repeats dimensions of size 1.
  mlir::FailureOr<Tensor> expand(Tensor input, SizeList sizes);
  mlir::FailureOr<Tensor> concat(llvm::ArrayRef<Tensor> inputs, int64_t axis);
  Tensor slice(Tensor input, SizeList offsets, SizeList sizes,
               llvm::ArrayRef<int64_t> strides);
  /// The same tensor with sizes that are proven or asserted to be equal.
  mlir::FailureOr<Tensor> refineSizes(Tensor input, SizeList sizes);

private:
  SizeExpr combine(char kind, const SizeExpr &a, const SizeExpr &b,
                   bool isNonNegative,
                   llvm::function_ref<mlir::Value()> create);
  mlir::AffineExpr getAffineExpr(const SizeExpr &size,
                                 llvm::SmallVectorImpl<mlir::OpFoldResult> &);

  mlir::OpBuilder &builder;
  mlir::Location fileLoc, nodeLoc;
  std::string subject;
  std::deque<TensorInfo> tensors;
  struct Atom {
    mlir::Value value;
    bool isNonNegative;
  };
  std::vector<Atom> atoms;
  llvm::DenseMap<mlir::Value, unsigned> atomIds;
  std::map<SizeExpr, mlir::Value> materialized;
  std::map<std::tuple<char, SizeExpr, SizeExpr>, SizeExpr> combined;
  std::set<SizeExpr> asserted;
  /// Tensors whose value or elements were written when first asked for, and
  /// which of the two; kept while inside a region.
  llvm::SmallVector<std::pair<Tensor, bool>> lazy;
  unsigned regionDepth = 0;
};

} // namespace pquant

#endif // PQUANT_FRONTEND_TENSORBUILDER_H
