//===- Program.h - An exported program in memory ----------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The first half of the torch.export frontend reads an archive into these
// structures and refuses everything that is wrong with the file itself, so that
// the importer may rely on it. No MLIR here. Every failure is one message; the
// file's name is for the caller to add.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_FRONTEND_TORCHEXPORT_PROGRAM_H
#define PQUANT_LIB_FRONTEND_TORCHEXPORT_PROGRAM_H

#include "SymbolicExpr.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/Error.h"

#include <map>
#include <memory>

namespace pquant::pt2 {

/// Element types as the schema numbers them, which is not how c10 does.
enum class ScalarType {
  Unknown = 0,
  Byte = 1,
  Char = 2,
  Short = 3,
  Int = 4,
  Long = 5,
  Half = 6,
  Float = 7,
  Double = 8,
  Bool = 12,
  BFloat16 = 13,
  UInt16 = 28,
};

/// Bytes of one element; 0 for types that are not supported.
int64_t getElementSize(ScalarType type);
/// "float32", ... or "number 9" for a type that is not supported.
std::string getScalarTypeName(ScalarType type);

struct TensorMeta {
  ScalarType type = ScalarType::Unknown;
  std::vector<SymbolicExpr> sizes, strides;
  SymbolicExpr offset;
};

struct Graph;

/// One value that a node reads, or an element of a list of them.
struct ArgumentItem {
  enum Kind {
    None,
    /// The name of a tensor, or of a number that the graph computes.
    Value,
    Int,
    Float,
    Bool,
    /// The number of a scalar type, layout or memory format.
    Enum,
    /// Also devices, operators and what else no handler reads.
    String,
    Subgraph,
  } kind = None;
  int64_t number = 0;
  double real = 0;
  std::string text;
  std::shared_ptr<const Graph> graph;
};

struct Argument {
  /// As in the operator's schema; empty for operators without one.
  std::string name;
  bool isList = false;
  std::vector<ArgumentItem> items;
};

struct Node {
  /// "aten.add.Tensor", "_operator.mul", "higher_order.cond", ...
  std::string target, name;
  std::vector<Argument> inputs;
  /// What it defines, in order; empty names for results that are none.
  std::vector<std::string> outputs;
  /// The last Python frame and the module path, where they are recorded.
  std::string file, modulePath;
  unsigned line = 0;
};

struct Graph {
  /// A name for each input; empty for those that are none.
  std::vector<std::string> inputs;
  std::vector<ArgumentItem> outputs;
  std::vector<Node> nodes;
  llvm::StringMap<TensorMeta> tensors;
  /// Results that are numbers of the host program.
  llvm::StringMap<ScalarType> numbers;
};

struct InputSpec {
  enum Kind { User, Parameter, Buffer, Constant, Fixed } kind = User;
  /// The graph's name of it; empty for fixed inputs that are none.
  std::string name;
  /// What the module calls it, for parameters, buffers and constants.
  std::string target;
  /// The contents of a fixed input.
  ArgumentItem value;
};

struct OutputSpec {
  enum Kind { User, BufferMutation, InputMutation } kind = User;
  ArgumentItem value;
  /// The buffer or the user input that the value replaces.
  std::string target;
};

/// A tensor whose contents the archive holds.
struct StoredTensor {
  TensorMeta meta;
  /// All of the storage that it is a view of.
  llvm::StringRef storage;
  std::string path;
};

struct SymbolRange {
  std::optional<int64_t> min, max;
};

struct Program {
  std::string name;
  Graph graph;
  std::vector<InputSpec> inputs;
  std::vector<OutputSpec> outputs;
  llvm::StringMap<StoredTensor> stored;
  std::map<std::string, SymbolRange> ranges;
  /// The names that the module gives its results, as far as it does.
  std::vector<std::string> outputNames;
  /// Keeps the bytes of the archive.
  std::shared_ptr<const void> owner;
  bool isMapped = false; ///< the archive is a mapped file
};

using ProgramOrError = llvm::Expected<std::unique_ptr<Program>>;

/// Reads an archive in memory, which `owner` keeps there.
ProgramOrError readTorchExport(llvm::StringRef bytes,
                               std::shared_ptr<const void> owner);
/// Maps and reads a file.
ProgramOrError readTorchExportFile(llvm::StringRef path);

} // namespace pquant::pt2

#endif // PQUANT_LIB_FRONTEND_TORCHEXPORT_PROGRAM_H
