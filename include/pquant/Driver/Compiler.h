//===- Compiler.h - pquant-compile as a library -----------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// From a model file to an artifact: import, phases, machine code, link.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_DRIVER_COMPILER_H
#define PQUANT_DRIVER_COMPILER_H

#include "pquant/Pipelines/Pipelines.h"
#include "pquant/Support/LLVM.h"

namespace pquant {

/// What is written.
enum class Emit {
  MLIR,       ///< the module at a phase, as text
  LLVMIR,     ///< optimised LLVM IR, without weights
  Assembly,   ///< assembly, without weights
  PTX,        ///< the kernels of a GPU
  Object,     ///< one object with the weights; needs the runtime library
  Static,     ///< an archive with the runtime inside, and a C header
  Library,    ///< a shared library with the C API
  Executable, ///< a program that takes pquant-run's flags
};

/// Everything that the command line can say.
struct CompilerOptions {
  std::string input;
  std::string output;
  Emit emit = Emit::Library;
  Phase compileTo = Phase::Object; ///< the phase printed by Emit::MLIR
  std::string target = "x86-64";   ///< x86-64, aarch64, host, or a triple
  std::string triple;              ///< LLVM's, which `target` stands for
  std::string onlyLevel; ///< one instruction-set level; all when empty
  std::string features;  ///< added to every level: "+lse,-crc"
  std::string symbolPrefix = "pquant";
  std::string gpu; ///< a chip; empty for CPUs
  /// A ptxas; empty for none. Absent: the one on the path, if it is there and
  /// knows the chip.
  std::optional<std::string> assembler;
  std::string linker;  ///< the C compiler driver that links; found when empty
  std::string sysroot; ///< given to the linker
  std::string runtimeDirectory; ///< where libpquant_rt.a is
  std::string report;           ///< an HTML file about the artifact
  std::string reportProfile;    ///< a profile to show in it
  std::string weights;          ///< a file for the weights; inside when empty
  std::string tokenizer;        ///< a SentencePiece model; none when empty
  std::string chatTemplate;     ///< a file or a built-in name; none when empty
  bool addsBegin = false; ///< texts start with the begin-of-sequence token
  std::string dumpPhases; ///< a directory for the module of each phase
  std::string signZero = "error";
  /// Weights near the grid of a quantiser count as on it.
  bool snapWeights = false;
  bool requireQuantized = false;
  std::string cache = "f32"; ///< what caches hold: f32, f16 or int8
  bool batch = false;        ///< decode several sequences at once
  std::string quantizeHead =
      "none"; ///< or int8, bf16: float linears of outputs
  bool timing = false;
  bool optReport = false;
  bool elideWeights = false;
  std::string commandLine; ///< recorded in the artifact
};

/// Compiles `options.input`. Every failure has been reported on standard error
/// and leaves no output behind.
LogicalResult compileModel(const CompilerOptions &options);

/// `pquant-compile --check`: prints every operation of the model that is not
/// supported, as a table or as JSON, and succeeds when there is none.
LogicalResult checkModel(StringRef input, bool json);

/// The whole of pquant-compile.
int runCompileTool(int argc, char **argv);

} // namespace pquant

#endif // PQUANT_DRIVER_COMPILER_H
