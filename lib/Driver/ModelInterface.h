//===- ModelInterface.h - What an artifact says about itself ----*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The entry points, tensors and linear layers of a model, read from the module
// before they are lowered away, and the LLVM constants that describe them to
// the runtime (pquant/Runtime/ModelDescriptor.h).
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_DRIVER_MODELINTERFACE_H
#define PQUANT_LIB_DRIVER_MODELINTERFACE_H

#include "dialects/PQuant/PQuantDialect.h"
#include "pquant/Support/LLVM.h"
#include <vector>

namespace llvm {
class Module;
} // namespace llvm

namespace pquant {

/// An input or output.
struct TensorInterface {
  std::string name;
  int32_t dtype = 0; ///< PQuantDType
  SmallVector<int64_t> sizes;
  SmallVector<std::string> sizeNames;
};

struct EntryInterface {
  std::string name;
  /// States are memory that the function writes in place; they are its last
  /// arguments.
  std::vector<TensorInterface> inputs, states, outputs;
};

struct LinearInterface {
  std::string name;
  int64_t rows = 0, columns = 0;
  double bitsPerWeight = 0;
};

struct ModelInterface {
  std::string name;
  std::vector<EntryInterface> entries;
  std::vector<LinearInterface> linears;

  /// Reads the public functions of a packed module. Fails, with a
  /// diagnostic, on a type that cannot cross the border.
  LogicalResult readEntries(ModuleOp module);
  /// Reads the quantised layers of a packed module, by its first entry point.
  void readLinears(ModuleOp module);
};

/// Where the weights are.
inline constexpr llvm::StringLiteral kWeightSection = ".lrodata.pquant_weights";

struct WeightLocation {
  std::string path; ///< a file to copy in; empty for none
  uint64_t bytes = 0;
  /// The path of a weight file from the artifact; empty for none.
  std::string separateFile;
  uint64_t hash = 0; ///< of that file
};

struct GPUCode;
struct TextAssets;

/// Adds the entry thunks, the weights and `<prefix>_model_descriptor` to a
/// module that holds the lowered functions.
void emitModelDescriptor(llvm::Module &module, const ModelInterface &model,
                         TargetAttr target, const GPUCode &gpu,
                         const WeightLocation &weights, const TextAssets &text,
                         StringRef prefix, StringRef producer);

} // namespace pquant

#endif // PQUANT_LIB_DRIVER_MODELINTERFACE_H
