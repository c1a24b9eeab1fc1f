//===- Report.h - What became of a model, as a page -------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// `pquant-compile --report`: one HTML file without anything from outside. Facts
// are collected while the phases pass and written when the artifact is there.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_DRIVER_REPORT_H
#define PQUANT_LIB_DRIVER_REPORT_H

#include "dialects/PQuant/PQuantDialect.h"
#include "pquant/Support/LLVM.h"
#include "pquant/Transforms/RaiseSummary.h"

#include <map>
#include <vector>

namespace pquant {

/// The packed weights of one width that one operation reads.
struct ReportLayer {
  std::string name;
  std::string kernel; ///< "binary_linear"
  std::string layout; ///< "d16"
  int64_t matrices = 1, rows = 0, columns = 0;
  double bitsPerWeight = 0;
  int64_t bytes = 0;
};

/// Times of a profile that pquant-run or pquant-bench wrote.
struct ReportWork {
  int64_t calls = 0;
  double microseconds = 0;
};

class Report {
public:
  /// Reads the profile at `path`; fails with a message.
  LogicalResult readProfile(StringRef path);
  /// Notes the linears that a raised module keeps in float.
  void readFloats(ModuleOp module);
  /// Notes the packed weights of a module's first entry point.
  void readLayers(ModuleOp module);

  void write(raw_ostream &os) const;

  std::string modelName, producer;
  TargetAttr target;
  int64_t weightBytes = 0; ///< of the whole artifact

private:
  void writeSummary(raw_ostream &os) const;
  void writeLayers(raw_ostream &os) const;
  void writeKernels(raw_ostream &os) const;
  void writeFloats(raw_ostream &os) const;
  void writeProfile(raw_ostream &os) const;

  std::vector<ReportLayer> layers;
  std::vector<FloatLinear> floats;
  /// By kind and name; a kind alone has the sum.
  std::map<std::pair<std::string, std::string>, ReportWork> work;
  double runMicroseconds = 0;
};

} // namespace pquant

#endif // PQUANT_LIB_DRIVER_REPORT_H
