//===- CompileTool.cpp - The command line of pquant-compile ---------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Flags to CompilerOptions, with every wrong combination refused by name.
//
//===----------------------------------------------------------------------===//

#include "Link.h"
#include "OutputFile.h"
#include "Targets.h"
#include "pquant/Driver/Compiler.h"

#include "llvm/ADT/ScopeExit.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/Path.h"
#include <csignal>

using namespace pquant;
namespace cl = llvm::cl;

namespace {
/// The flags, alive for one run.
struct Flags {
  cl::OptionCategory category{"pquant-compile options"};
  cl::opt<std::string> input{cl::Positional, cl::desc("<model.onnx or .pt2>"),
                             cl::Required, cl::cat(category)};
  cl::opt<std::string> output{"o", cl::desc("Output file"),
                              cl::value_desc("file"), cl::cat(category)};
  cl::opt<std::string> emit{
      "emit",
      cl::desc(
          "What to write: exe, lib, static, obj, asm, llvmir, ptx, or a phase "
          "(import, raised, packed, kernels, llvm); by default what the "
          "suffix of -o says, else an executable"),
      cl::value_desc("kind"), cl::cat(category)};
  cl::opt<std::string> compileTo{
      "compile-to",
      cl::desc("Stop after a phase (import, raised, packed, kernels, llvm) and "
               "print the module"),
      cl::value_desc("phase"), cl::cat(category)};
  cl::opt<std::string> dumpPhases{
      "dump-phases",
      cl::desc("Write the module after every phase, without weights, to files "
               "in this directory"),
      cl::value_desc("dir"), cl::cat(category)};
  cl::opt<std::string> target{
      "target",
      cl::desc("x86-64 (default) or aarch64: every level of it in one "
               "artifact; host: this machine's CPU alone; or a triple"),
      cl::init("x86-64"), cl::cat(category)};
  cl::opt<std::string> targetCpu{
      "target-cpu",
      cl::desc("Generate code for one instruction-set level or CPU only"),
      cl::value_desc("name"), cl::cat(category)};
  cl::opt<std::string> targetFeatures{
      "target-features",
      cl::desc("Features of LLVM's that every level gets besides (+lse,-crc)"),
      cl::value_desc("list"), cl::cat(category)};
  cl::opt<std::string> tokenizer{
      "tokenizer",
      cl::desc("A SentencePiece model to put into the artifact, which then "
               "reads and writes text"),
      cl::value_desc("file"), cl::cat(category)};
  cl::opt<bool> addsBegin{"bos",
                          cl::desc("Start every text with the tokenizer's "
                                   "begin-of-sequence token"),
                          cl::cat(category)};
  cl::opt<std::string> chatTemplate{
      "chat-template",
      cl::desc("What stands around the messages of a conversation: a file "
               "(docs/TextGeneration.md), chatml, llama2, plain or zephyr"),
      cl::value_desc("file or name"), cl::cat(category)};
  cl::opt<std::string> weights{
      "weights",
      cl::desc("Put the weights into this file, which the artifact maps, not "
               "into the artifact"),
      cl::value_desc("file"), cl::cat(category)};
  cl::opt<std::string> signZero{
      "sign-zero",
      cl::desc("What a zero in a sign-quantised weight becomes: error "
               "(default), plus or minus"),
      cl::init("error"), cl::cat(category)};
  cl::opt<bool> snapWeights{
      "snap-weights",
      cl::desc("Take weights within 0.001 steps of a quantiser's grid for the "
               "grid's (exporters fold straight-through residues)"),
      cl::cat(category)};
  cl::opt<bool> requireQuantized{
      "require-quantized",
      cl::desc("Fail when a linear with quantiser arithmetic stays float"),
      cl::cat(category)};
  cl::opt<std::string> quantizeHead{
      "quantize-head",
      cl::desc("Quantise the LM head (float linears that make the outputs): "
               "none (default), int8 or bf16; the weights' error is reported"),
      cl::init("none"), cl::cat(category)};
  cl::opt<bool> batch{
      "batch",
      cl::desc("Make code that continues several sequences at once as well"),
      cl::cat(category)};
  cl::opt<std::string> cache{
      "cache",
      cl::desc("What keys and values are kept in: f32 (default), f16 (rounded "
               "to 11 bits) or int8 (to 1/127 of a row's largest value)"),
      cl::init("f32"), cl::cat(category)};
  cl::opt<std::string> check{
      "check",
      cl::desc("Only list the operations that are not supported; --check=json "
               "for JSON"),
      cl::ValueOptional, cl::value_desc("json"), cl::cat(category)};
  cl::opt<bool> timing{"timing", cl::desc("Print the time of every phase"),
                       cl::cat(category)};
  cl::opt<bool> optReport{
      "opt-report",
      cl::desc("Print what was raised, fused, dispatched and "
               "chosen, and why not"),
      cl::cat(category)};
  cl::opt<std::string> report{
      "report",
      cl::desc("Write an HTML page about the artifact: layers, bits, bytes, "
               "layouts, kernels, what stays in float"),
      cl::value_desc("file.html"), cl::cat(category)};
  cl::opt<std::string> reportProfile{
      "report-profile",
      cl::desc("A profile of the model (pquant-run or pquant-bench --profile) "
               "that --report shows"),
      cl::value_desc("file.json"), cl::cat(category)};
  cl::opt<bool> elideWeights{
      "elide-weights",
      cl::desc("Leave the weights out of a printed module (it cannot be read "
               "back then)"),
      cl::cat(category)};
  cl::opt<std::string> symbolPrefix{
      "symbol-prefix",
      cl::desc(
          "Prefix of the artifact's model_descriptor function, for several "
          "models in one program"),
      cl::init("pquant"), cl::cat(category)};
  cl::opt<std::string> assembler{
      "ptxas",
      cl::desc("Also compile a GPU's kernels for its very chip by this "
               "program (default: the ptxas on the path, if there is one; "
               "empty: none)"),
      cl::value_desc("program"), cl::cat(category)};
  cl::opt<std::string> linker{"linker", cl::desc("The C compiler that links"),
                              cl::value_desc("program"), cl::cat(category)};
  cl::opt<std::string> sysroot{
      "sysroot", cl::desc("Where the linker finds the target's C library"),
      cl::value_desc("dir"), cl::cat(category)};
  cl::opt<std::string> runtimeDir{
      "runtime-dir", cl::desc("Where libpquant_rt.a and libpquant_run.a are"),
      cl::value_desc("dir"), cl::cat(category)};
};
} // namespace

static std::optional<Emit> parseEmit(StringRef name) {
  static constexpr std::pair<StringLiteral, Emit> kinds[] = {
      {"exe", Emit::Executable}, {"lib", Emit::Library},
      {"static", Emit::Static},  {"obj", Emit::Object},
      {"asm", Emit::Assembly},   {"llvmir", Emit::LLVMIR},
      {"ptx", Emit::PTX}};
  for (auto [text, kind] : kinds)
    if (text == name)
      return kind;
  return std::nullopt;
}

/// What the suffix of the output file says.
static Emit emitFromSuffix(StringRef path) {
  static constexpr std::pair<StringLiteral, Emit> suffixes[] = {
      {".so", Emit::Library}, {".a", Emit::Static},   {".o", Emit::Object},
      {".ptx", Emit::PTX},    {".s", Emit::Assembly}, {".ll", Emit::LLVMIR},
      {".mlir", Emit::MLIR}};
  StringRef extension = llvm::sys::path::extension(path);
  for (auto [text, kind] : suffixes)
    if (text == extension)
      return kind;
  return Emit::Executable;
}

/// Decides between --emit, --compile-to and the suffix.
static LogicalResult setEmit(const Flags &flags, CompilerOptions &options) {
  std::string phaseName = flags.compileTo;
  if (!flags.emit.empty()) {
    if (std::optional<Emit> kind = parseEmit(flags.emit)) {
      options.emit = *kind;
    } else if (phaseName.empty()) {
      phaseName = flags.emit;
    } else {
      return reportError("--emit and --compile-to name different phases");
    }
  } else if (phaseName.empty()) {
    options.emit = emitFromSuffix(flags.output);
    if (options.emit == Emit::MLIR)
      phaseName = getPhaseName(Phase::Packed).str();
  }
  if (phaseName.empty() || phaseName == getPhaseName(Phase::Object))
    return success();
  std::optional<Phase> phase = parsePhase(phaseName);
  if (!phase)
    return reportError(
        "unknown kind or phase '" + phaseName +
        "'; expected exe, lib, static, obj, asm, llvmir, ptx, import, "
        "raised, packed, kernels or llvm");
  options.emit = Emit::MLIR;
  options.compileTo = *phase;
  return success();
}

/// Flags that only make sense for what runs.
static LogicalResult checkArtifactFlags(const Flags &flags,
                                        const CompilerOptions &options) {
  bool isArtifact =
      options.emit == Emit::Executable || options.emit == Emit::Library ||
      options.emit == Emit::Static || options.emit == Emit::Object;
  const cl::Option *given[] = {&flags.tokenizer, &flags.addsBegin,
                               &flags.chatTemplate, &flags.weights};
  for (const cl::Option *option : given)
    if (option->getNumOccurrences() && !isArtifact)
      return reportError("--" + option->ArgStr +
                         " needs an executable, a library or an object");
  if (flags.weights.getNumOccurrences() && flags.weights.empty())
    return reportError("--weights expected a file");
  if (!options.weights.empty() && options.weights == options.output)
    return reportError("--weights and -o name the same file");
  return success();
}

static FailureOr<CompilerOptions> readFlags(const Flags &flags, int argc,
                                            char **argv) {
  CompilerOptions options;
  options.input = flags.input;
  options.output = flags.output;
  if (failed(setEmit(flags, options)))
    return failure();
  if (options.output.empty()) {
    if (options.emit != Emit::MLIR)
      return reportError("expected an output file: -o <file>");
    options.output = "-";
  }
  if (!llvm::is_contained({"error", "plus", "minus"}, flags.signZero))
    return reportError("--sign-zero expected error, plus or minus, but got '" +
                       flags.signZero + "'");
  if (!llvm::is_contained({"none", "int8", "bf16"}, flags.quantizeHead))
    return reportError(
        "--quantize-head expected none, int8 or bf16, but got '" +
        flags.quantizeHead + "'");
  if (!llvm::is_contained({"f32", "f16", "int8"}, flags.cache))
    return reportError("--cache expected f32, f16 or int8, but got '" +
                       flags.cache + "'");
  if (flags.symbolPrefix.empty() ||
      flags.symbolPrefix.find_first_not_of(
          "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") !=
          std::string::npos ||
      llvm::isDigit(flags.symbolPrefix[0]))
    return reportError("--symbol-prefix expected a C identifier, but got '" +
                       flags.symbolPrefix + "'");
  options.tokenizer = flags.tokenizer;
  options.addsBegin = flags.addsBegin;
  options.chatTemplate = flags.chatTemplate;
  options.weights = flags.weights;
  if (failed(checkArtifactFlags(flags, options)))
    return failure();
  options.signZero = flags.signZero;
  options.snapWeights = flags.snapWeights;
  options.requireQuantized = flags.requireQuantized;
  options.cache = flags.cache;
  options.batch = flags.batch;
  options.quantizeHead = flags.quantizeHead;
  options.target = flags.target;
  options.onlyLevel = flags.targetCpu;
  options.features = flags.targetFeatures;
  if (failed(resolveTarget(options)))
    return failure();
  options.dumpPhases = flags.dumpPhases;
  options.timing = flags.timing;
  options.optReport = flags.optReport;
  options.elideWeights = flags.elideWeights;
  options.report = flags.report;
  options.reportProfile = flags.reportProfile;
  if (!options.report.empty() && options.emit == Emit::MLIR)
    return reportError("--report is about an artifact, but a phase is asked "
                       "for");
  if (options.report.empty() && !options.reportProfile.empty())
    return reportError("--report-profile expected --report");
  options.symbolPrefix = flags.symbolPrefix;
  if (flags.assembler.getNumOccurrences())
    options.assembler = flags.assembler;
  options.linker = flags.linker;
  options.sysroot = flags.sysroot;
  options.runtimeDirectory = flags.runtimeDir;
  if (options.runtimeDirectory.empty()) {
    std::string self = llvm::sys::fs::getMainExecutable(
        argv[0], reinterpret_cast<void *>(&runCompileTool));
    SmallString<128> path(
        llvm::sys::path::parent_path(llvm::sys::path::parent_path(self)));
    llvm::sys::path::append(path, "lib");
    if (isCrossCompile(options))
      llvm::sys::path::append(path, getSystemName(options));
    options.runtimeDirectory = path.str().str();
  }
  // Recorded in the artifact: the version and the flags that shape it.
  options.commandLine = "pquant " PQUANT_VERSION " --target=" + options.target;
  if (!options.onlyLevel.empty())
    options.commandLine += " --target-cpu=" + options.onlyLevel;
  if (!options.features.empty())
    options.commandLine += " --target-features=" + options.features;
  if (options.cache != "f32")
    options.commandLine += " --cache=" + options.cache;
  if (options.batch)
    options.commandLine += " --batch";
  if (options.quantizeHead != "none")
    options.commandLine += " --quantize-head=" + options.quantizeHead;
  return options;
}

int pquant::runCompileTool(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  llvm::setBugReportMsg("This is a bug of pquant; please report it with the "
                        "model or the smallest part of it that shows it.\n");
  std::signal(SIGXFSZ, SIG_IGN); // a full quota is reported like a full disk
  Flags flags;
  cl::HideUnrelatedOptions(flags.category);
  cl::SetVersionPrinter(
      [](raw_ostream &os) { os << "pquant " PQUANT_VERSION "\n"; });
  cl::ParseCommandLineOptions(
      argc, argv,
      "Compiles a pQuant model to an executable, a library or an object.\n");
  if (flags.check.getNumOccurrences()) {
    if (!flags.check.empty() && flags.check != "json") {
      (void)reportError("--check expected nothing or 'json', but got '" +
                        flags.check + "'");
      return 1;
    }
    return failed(checkModel(flags.input, flags.check == "json"));
  }
  FailureOr<CompilerOptions> options = readFlags(flags, argc, argv);
  return failed(options) || failed(compileModel(*options));
}
