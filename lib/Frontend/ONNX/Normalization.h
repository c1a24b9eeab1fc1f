//===- Normalization.h - Norms of several operators -------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_FRONTEND_ONNX_NORMALIZATION_H
#define PQUANT_LIB_FRONTEND_ONNX_NORMALIZATION_H

#include "Compose.h"

namespace pquant {

/// What a norm computes beside its result; kept as size 1 where reduced.
struct NormResults {
  /// Null after an error.
  Tensor output = nullptr;
  Tensor mean = nullptr, inverseDeviation = nullptr;
};

/// Over the axes from `axis` on, computed in `stash` or a wider type.
struct NormParameters {
  int64_t axis;
  double epsilon;
  ElementType stash;
};

/// (x - mean) / sqrt(variance + epsilon) * scale + bias; `bias` may be null.
NormResults buildLayerNorm(NodeContext &ctx, Tensor x, Tensor scale,
                           Tensor bias, const NormParameters &parameters);

/// x / sqrt(mean(x^2) + epsilon) * scale, as `pquant.rms_norm` where that says
/// it, unless `wantsDeviation`.
NormResults buildRMSNorm(NodeContext &ctx, Tensor x, Tensor scale,
                         const NormParameters &parameters,
                         bool wantsDeviation = false);

/// Attributes `axis`, `epsilon` and `stash_type` of a node.
mlir::FailureOr<NormParameters> getNormParameters(NodeContext &ctx,
                                                  double defaultEpsilon);

} // namespace pquant

#endif // PQUANT_LIB_FRONTEND_ONNX_NORMALIZATION_H
