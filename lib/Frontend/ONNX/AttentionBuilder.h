//===- AttentionBuilder.h - Attention of several operators ------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The one attention that the operators of ai.onnx and com.microsoft come to.
// Where `pquant.attention` says exactly what is asked for it is used, so that
// kernels find it; otherwise the formula is written out.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_FRONTEND_ONNX_ATTENTIONBUILDER_H
#define PQUANT_LIB_FRONTEND_ONNX_ATTENTIONBUILDER_H

#include "Compose.h"

namespace pquant {

/// softmax(softcap(scale Q K^T) + mask) V with grouped heads; a row without a
/// key that may be attended to gives 0.
struct AttentionInputs {
  /// B x H x S x D, B x G x T x D and B x G x T x E, of one float type of at
  /// least 32 bits.
  Tensor query, key, value;
  /// Broadcasts to B x H x S x T, of the same type; null for none.
  Tensor mask = nullptr;
  /// Query s reads keys t <= s + (T - S), beside the mask.
  bool isCausal = false;
  double scale = 1;
  /// softcap * tanh(x / softcap) of the scaled products, unless 0.
  double softcap = 0;
};

/// Which intermediate result an operator gives beside the output.
enum class AttentionStage { None, Scaled, Capped, Masked, Softmax };

struct AttentionResults {
  /// B x H x S x E; null after an error.
  Tensor output = nullptr;
  /// B x H x S x T, when a stage is asked for.
  Tensor stage = nullptr;
};

AttentionResults buildAttention(NodeContext &ctx, const AttentionInputs &inputs,
                                AttentionStage stage = AttentionStage::None);

/// B x S x (heads * D) -> B x heads x S x D, and back; null after an error.
Tensor splitHeads(NodeContext &ctx, Tensor x, int64_t heads);
Tensor joinHeads(NodeContext &ctx, Tensor x);

/// Rows `positions` (B x S) of a table, B x S x columns; positions outside the
/// table stop the program.
Tensor gatherRows(NodeContext &ctx, Tensor table, Tensor positions);

/// Rotates the first 2R elements of each head of `x` (B x H x S x D) by angles
/// whose cosines and sines are B x S x R; null after an error.
Tensor rotate(NodeContext &ctx, Tensor x, Tensor cos, Tensor sin,
              bool isInterleaved);

} // namespace pquant

#endif // PQUANT_LIB_FRONTEND_ONNX_ATTENTIONBUILDER_H
