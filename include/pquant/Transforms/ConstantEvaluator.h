//===- ConstantEvaluator.h - Values of constant subgraphs ------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Evaluates tensor values that depend on constants only. Every float operation
// is one correctly rounded float32 operation, so that the quantised weights are
// those of the framework that wrote the graph; exp, log, sin, cos, tanh, erf
// and pow are computed in double and rounded once. Sums are added up in double,
// in row-major order, and rounded once: a mean differs from the framework's
// own, whose order of summation is not specified, by its rounding only.
//
// Elementwise arithmetic runs block by block over the source, read in place
// from its constant, so that no temporary of the weight's size is made;
// transposed and gathered intermediates are, and die with the call.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_TRANSFORMS_CONSTANTEVALUATOR_H
#define PQUANT_TRANSFORMS_CONSTANTEVALUATOR_H

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "pquant/Support/LLVM.h"
#include "pquant/Transforms/TensorExpr.h"
#include <memory>

namespace pquant {

/// Elements of an evaluated tensor.
struct ConstantBuffer {
  RankedTensorType type;
  /// Row-major elements, or one that stands for all when `isSplat`. i1 takes
  /// one byte an element unless `isBits`.
  ArrayRef<char> bytes;
  bool isSplat = false;
  bool isBits = false;
  /// Keeps `bytes` alive when they are not those of a constant.
  std::shared_ptr<void> owner;
};

/// Elements [offset, offset + size) of the evaluated tensor, row-major: exactly
/// one of the two pointers is set, by the element type (i1 and all integers are
/// 64-bit here, index too).
struct ConstantBlock {
  int64_t offset;
  int64_t size;
  const float *floats;
  const int64_t *integers;
};

/// See the file comment. The IR must not change while an evaluator lives, save
/// for ops that it was never asked about.
class ConstantEvaluator {
public:
  /// Whether the value has a static shape, depends on constants only, and all
  /// ops on the way are supported (f32 and integers).
  bool canEvaluate(Value tensor);

  /// Calls `consume` with all elements, in row-major order, block by block.
  LogicalResult evaluate(Value tensor,
                         function_ref<void(const ConstantBlock &)> consume);

  /// The elements in memory: in place for a constant.
  FailureOr<ConstantBuffer> materialize(Value tensor);

  /// The elements as float32.
  FailureOr<std::vector<float>> getFloats(Value tensor);

  /// The elements as a constant of the value's type: inline when few, otherwise
  /// a resource called `name`.
  FailureOr<ElementsAttr> getAttribute(Value tensor, StringRef name);

  /// Forgets everything about values, which may then be erased.
  void clear();

private:
  FailureOr<ConstantBuffer> compute(Value tensor);
  FailureOr<ConstantBuffer> computeReduction(mlir::linalg::GenericOp op);
  FailureOr<ConstantBuffer> computeStreamed(Value tensor);
  FailureOr<ConstantBuffer> computePieces(Operation *op);
  FailureOr<ConstantBuffer> computeScatter(mlir::scf::ForOp loop);
  bool canEvaluateOp(Operation *op);
  bool canEvaluateScalar(Operation *op, Region &region);
  bool canEvaluateScatter(mlir::scf::ForOp loop);
  void leaveCall();

  DenseMap<Value, bool> evaluable;
  DenseMap<Value, ConstantBuffer> buffers;
  unsigned depth = 0;
  /// Nesting of evaluations; large buffers live until the outermost one ends.
  unsigned calls = 0;
};

} // namespace pquant

#endif // PQUANT_TRANSFORMS_CONSTANTEVALUATOR_H
