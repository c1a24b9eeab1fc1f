//===- PQKernelBufferization.cpp - Bufferization of pqk ops ---------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One external model of BufferizableOpInterface for all destination-style pqk
// ops: the buffer of an init becomes the buffer of its result and the op is
// cloned onto memrefs. `pqk.parallel` exists on memrefs only.
//
//===----------------------------------------------------------------------===//

#include "dialects/PQKernel/PQKernelDialect.h"

#include "mlir/Dialect/Bufferization/IR/BufferizableOpInterface.h"
#include "mlir/Dialect/Bufferization/IR/DstBufferizableOpInterfaceImpl.h"

using namespace mlir;
using namespace mlir::bufferization;
using namespace pquant;

/// Whether the op reads what an init held before. A kernel that overwrites its
/// outputs does not, so bufferization need not copy them.
static bool readsInits(Operation *op) { return op->hasAttr("accumulate"); }

namespace {
template <typename OpTy>
struct KernelModel
    : DstBufferizableOpInterfaceExternalModel<KernelModel<OpTy>, OpTy> {
  bool bufferizesToMemoryRead(Operation *op, OpOperand &operand,
                              const AnalysisState &) const {
    auto dst = cast<DestinationStyleOpInterface>(op);
    return dst.isDpsInput(&operand) || readsInits(op);
  }

  LogicalResult bufferize(Operation *op, RewriterBase &rewriter,
                          const BufferizationOptions &options,
                          BufferizationState &state) const {
    auto dst = cast<DestinationStyleOpInterface>(op);
    if (dst.hasPureBufferSemantics())
      return success();
    SmallVector<Value> buffers;
    for (Value operand : op->getOperands()) {
      if (!isa<TensorType>(operand.getType())) {
        buffers.push_back(operand);
        continue;
      }
      FailureOr<Value> buffer = getBuffer(rewriter, operand, options, state);
      if (failed(buffer))
        return failure();
      buffers.push_back(*buffer);
    }
    SmallVector<Value> results;
    for (OpOperand &init : dst.getDpsInitsMutable())
      if (isa<TensorType>(init.get().getType()))
        results.push_back(buffers[init.getOperandNumber()]);
    OperationState kernel(op->getLoc(), op->getName(), buffers, TypeRange{},
                          op->getAttrs());
    rewriter.create(kernel);
    replaceOpWithBufferizedValues(rewriter, op, results);
    return success();
  }
};
} // namespace

template <typename... Ops>
static void attachModels(MLIRContext *context) {
  (Ops::template attachInterface<KernelModel<Ops>>(*context), ...);
}

void pqk::registerBufferizableOpInterfaceExternalModels(
    DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, pqk::PQKernelDialect *) {
    attachModels<pqk::QuantizeOp, pqk::BinaryLinearOp, pqk::Int8LinearOp,
                 pqk::ExpertLinearOp, pqk::FloatLinearOp, pqk::AttentionOp>(
        context);
  });
}
