//===- Report.cpp - What became of a model, as a page ---------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Names come from the model's file, so every text is escaped. Bars are inline
// SVG.
//
//===----------------------------------------------------------------------===//

#include "Report.h"
#include "Targets.h"

#include "OutputFile.h"
#include "pquant/Support/NodeName.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MemoryBuffer.h"

using namespace mlir;
using namespace pquant;

//===----------------------------------------------------------------------===//
// Collect
//===----------------------------------------------------------------------===//

LogicalResult Report::readProfile(StringRef path) {
  auto buffer = llvm::MemoryBuffer::getFile(path);
  if (!buffer)
    return reportError("cannot read '" + path +
                       "': " + buffer.getError().message());
  auto fail = [&](const Twine &why) {
    return reportError("'" + path +
                       "' is no profile of pquant-run or pquant-bench: " + why);
  };
  llvm::Expected<llvm::json::Value> parsed =
      llvm::json::parse((*buffer)->getBuffer());
  if (!parsed)
    return fail(toString(parsed.takeError()));
  const llvm::json::Object *root = parsed->getAsObject();
  const llvm::json::Array *events =
      root ? root->getArray("traceEvents") : nullptr;
  if (!events)
    return fail("it has no list 'traceEvents'");
  for (const llvm::json::Value &value : *events) {
    const llvm::json::Object *event = value.getAsObject();
    if (!event || event->getString("ph") != StringRef("X"))
      continue;
    auto kind = event->getString("cat"), name = event->getString("name");
    auto duration = event->getNumber("dur");
    if (!kind || !name || !duration)
      return fail("an event has no 'cat', 'name' or 'dur'");
    if (*kind == "run") {
      runMicroseconds += *duration;
      continue;
    }
    for (StringRef part : {*name, StringRef()}) {
      ReportWork &sum = work[{kind->str(), part.str()}];
      ++sum.calls;
      sum.microseconds += *duration;
    }
  }
  if (runMicroseconds <= 0)
    return fail("it has no run");
  return success();
}

void Report::readFloats(ModuleOp module) {
  for (FloatLinear &linear : summarizeRaising(module).floats)
    floats.push_back(std::move(linear));
}

/// Adds the weights of `op` that are packed, by width: planes are summed.
static void addLayers(Operation *op, std::vector<ReportLayer> &layers) {
  std::map<unsigned, ReportLayer> byWidth;
  for (Type operand : op->getOperandTypes()) {
    auto type = dyn_cast<RankedTensorType>(operand);
    auto layout =
        type ? dyn_cast_or_null<LayoutAttr>(type.getEncoding()) : nullptr;
    if (!layout)
      continue;
    ReportLayer &layer = byWidth[type.getElementTypeBitWidth()];
    layer.layout = stringifyLayoutKind(layout.getKind()).str();
    layer.rows = type.getShape().drop_back().back();
    layer.columns = type.getShape().back();
    layer.matrices = type.getRank() > 2 ? type.getShape().front() : 1;
    layer.bitsPerWeight += type.getElementTypeBitWidth();
    layer.bytes += layout.getStorageBytes(type.getShape());
  }
  for (auto &[width, layer] : byWidth) {
    layer.name = getNodeName(op->getLoc());
    layer.kernel = op->getName().stripDialect().str();
    layers.push_back(std::move(layer));
  }
}

void Report::readLayers(ModuleOp module) {
  // The entry points share their weights.
  for (auto function : module.getOps<func::FuncOp>()) {
    if (!function.isPublic())
      continue;
    function.walk([&](Operation *op) { addLayers(op, layers); });
    return;
  }
}

//===----------------------------------------------------------------------===//
// Write
//===----------------------------------------------------------------------===//

static std::string escape(StringRef text) {
  std::string result;
  for (char c : text) {
    switch (c) {
    case '&':
      result += "&amp;";
      break;
    case '<':
      result += "&lt;";
      break;
    case '>':
      result += "&gt;";
      break;
    case '"':
      result += "&quot;";
      break;
    case '\'':
      result += "&#39;";
      break;
    default:
      result += c;
    }
  }
  return result;
}

/// A bar of a part of a whole, with its percentage.
static std::string bar(double part) {
  return llvm::formatv(
             "<td><svg width=\"120\" height=\"10\"><rect width=\"120\" "
             "height=\"10\" class=\"all\"/><rect width=\"{0:f1}\" "
             "height=\"10\" class=\"part\"/></svg></td><td "
             "class=\"n\">{1:f1} %</td>",
             120 * part, 100 * part)
      .str();
}

static std::string number(const Twine &text) {
  return ("<td class=\"n\">" + text + "</td>").str();
}

static std::string text(StringRef value) {
  return "<td>" + escape(value) + "</td>";
}

/// "1", "1.58".
static std::string bitsText(double bits) {
  std::string result;
  llvm::raw_string_ostream(result) << llvm::format("%g", bits);
  return result;
}

static std::string megabytes(double bytes) {
  return llvm::formatv("{0:f3}", bytes * 1e-6).str();
}

/// Opens a table with these headings.
static void openTable(raw_ostream &os, ArrayRef<StringRef> headings) {
  os << "<table><tr>";
  for (StringRef heading : headings)
    os << "<th>" << heading << "</th>";
  os << "</tr>\n";
}

void Report::writeSummary(raw_ostream &os) const {
  int64_t bytes = 0;
  std::map<double, int64_t> bytesByBits;
  for (const ReportLayer &layer : layers) {
    bytes += layer.bytes;
    bytesByBits[layer.bitsPerWeight] += layer.bytes;
  }
  os << "<h1>" << escape(modelName) << "</h1>\n<p>" << escape(producer)
     << "; target " << escape(target.getTriple()) << "; "
     << megabytes(weightBytes) << " MB of weights</p>\n";
  double all = std::max<int64_t>(weightBytes, 1);
  openTable(os, {"bits per weight", "MB", "share", ""});
  for (auto [bits, sum] : bytesByBits)
    os << "<tr>" << number(bitsText(bits)) << number(megabytes(sum))
       << bar(sum / all) << "</tr>\n";
  os << "<tr><td>embeddings, norms, scales, tables</td>"
     << number(megabytes(weightBytes - bytes))
     << bar((weightBytes - bytes) / all) << "</tr>\n</table>\n";
}

void Report::writeLayers(raw_ostream &os) const {
  os << "<h2>Layers</h2>\n";
  openTable(os, {"node", "kernel", "shape", "bits per weight", "layout", "MB",
                 "share", ""});
  for (const ReportLayer &layer : layers) {
    std::string shape = llvm::formatv("{0} x {1}", layer.rows, layer.columns);
    if (layer.matrices > 1)
      shape = llvm::formatv("{0} x {1}", layer.matrices, shape);
    os << "<tr>" << text(layer.name) << text(layer.kernel) << number(shape)
       << number(bitsText(layer.bitsPerWeight)) << text(layer.layout)
       << number(megabytes(layer.bytes))
       << bar(double(layer.bytes) / std::max<int64_t>(weightBytes, 1))
       << "</tr>\n";
  }
  os << "</table>\n";
}

void Report::writeKernels(raw_ostream &os) const {
  static constexpr std::pair<KernelKind, StringLiteral> kinds[] = {
      {KernelKind::Quantize, "quantize"},
      {KernelKind::BinaryLinear, "binary_linear"},
      {KernelKind::Int8Linear, "int8_linear"},
      {KernelKind::ExpertLinear, "expert_linear"},
      {KernelKind::FloatLinear, "float_linear"},
      {KernelKind::Attention, "attention"}};
  os << "<h2>Kernels</h2>\n<p>The instruction set that each level's kernel is "
        "written for.</p>\n<table><tr><th>kernel</th>";
  for (LevelAttr level : target.getLevels())
    os << "<th>" << escape(level.getName()) << "</th>";
  os << "</tr>\n";
  SmallVector<KernelRow> rows = getKernels(target);
  for (const auto &entry : kinds) {
    os << "<tr>" << text(entry.second);
    for (LevelAttr level : target.getLevels()) {
      const KernelRow *row = llvm::find_if(rows, [&](const KernelRow &row) {
        return row.kind == entry.first &&
               (row.feature.empty() || level.hasFeature(row.feature));
      });
      os << text(row == rows.end() || row->feature.empty() ? "any"
                                                           : row->feature);
    }
    os << "</tr>\n";
  }
  os << "</table>\n";
}

void Report::writeFloats(raw_ostream &os) const {
  os << "<h2>Left in float</h2>\n";
  if (floats.empty()) {
    os << "<p>no linear layer</p>\n";
    return;
  }
  openTable(os, {"node", "why"});
  for (const FloatLinear &linear : floats)
    os << "<tr>" << text(linear.name) << text(linear.reason) << "</tr>\n";
  os << "</table>\n";
}

void Report::writeProfile(raw_ostream &os) const {
  if (work.empty())
    return;
  std::vector<decltype(work)::const_pointer> sorted;
  for (const auto &entry : work)
    sorted.push_back(&entry);
  llvm::sort(sorted, [](const auto *a, const auto *b) {
    if (a->second.microseconds != b->second.microseconds)
      return a->second.microseconds > b->second.microseconds;
    return a->first < b->first;
  });
  os << "<h2>Where the time goes</h2>\n";
  openTable(os, {"node", "kind", "calls", "ms", "share", ""});
  for (bool byKind : {true, false}) {
    for (const auto *entry : sorted) {
      const auto &[kind, name] = entry->first;
      if (name.empty() != byKind)
        continue;
      os << "<tr>" << text(byKind ? "(all)" : name) << text(kind)
         << number(Twine(entry->second.calls))
         << number(llvm::formatv("{0:f3}", entry->second.microseconds * 1e-3)
                       .str())
         << bar(std::min(entry->second.microseconds / runMicroseconds, 1.0))
         << "</tr>\n";
    }
  }
  os << "</table>\n";
}

void Report::write(raw_ostream &os) const {
  os << "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
        "<title>"
     << escape(modelName)
     << " - pquant</title>\n<style>body{font:14px sans-serif;margin:2em}"
        "table{border-collapse:collapse}td,th{padding:2px 10px;text-align:left;"
        "border-bottom:1px solid #ddd}.n{text-align:right}.all{fill:#eee}"
        ".part{fill:#47a}</style></head><body>\n";
  writeSummary(os);
  writeProfile(os);
  writeLayers(os);
  writeKernels(os);
  writeFloats(os);
  os << "</body></html>\n";
}
