//===- Compiler.cpp - From a model file to an artifact --------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The main path, phase by phase. What a phase leaves for the end (the model's
// interface, its weights) is kept in the compilation object.
//
//===----------------------------------------------------------------------===//

#include "pquant/Driver/Compiler.h"

#include "CodeGen.h"
#include "Diagnostics.h"
#include "GPUCode.h"
#include "Link.h"
#include "ModelInterface.h"
#include "ModuleText.h"
#include "OutputFile.h"
#include "Report.h"
#include "Targets.h"
#include "TextAssets.h"
#include "Weights.h"
#include "pquant/Frontend/ONNX.h"
#include "pquant/Frontend/TorchExport.h"
#include "pquant/InitAll.h"
#include "pquant/Support/Constants.h"
#include "pquant/Transforms/RaiseSummary.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/AsmState.h"
#include "mlir/IR/Verifier.h"
#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Target/LLVMIR/Dialect/All.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Timer.h"
#include "llvm/Target/TargetMachine.h"

using namespace mlir;
using namespace pquant;

/// The last phase that a module has been through.
static constexpr StringLiteral kPhaseAttrName = "pquant.phase";
/// Objects that a library's code is split into, for as many threads at most.
static constexpr size_t kCodeParts = 8;

namespace {
/// One compile.
class Compilation {
public:
  explicit Compilation(const CompilerOptions &options);
  LogicalResult run();

private:
  LogicalResult import();
  LogicalResult readPhase();
  LogicalResult setTarget();
  LogicalResult runPhase(Phase phase);
  LogicalResult finishPhase(Phase phase);
  LogicalResult writePTX(const GPUCode &gpu);
  LogicalResult generateCode();
  LogicalResult writeCode(llvm::Module &module, llvm::TargetMachine &machine,
                          const WeightLocation &weights);
  LogicalResult startReport();
  LogicalResult writeReport();
  LogicalResult writeArtifact(llvm::Module &module,
                              llvm::TargetMachine &machine,
                              const WeightLocation &weights);
  LogicalResult writeWeightsTo(std::unique_ptr<OutputFile> &file,
                               WeightLocation &weights);
  void addMain(llvm::Module &module);
  bool hasWeights() const {
    return options.emit == Emit::Object || options.emit == Emit::Static ||
           options.emit == Emit::Library || options.emit == Emit::Executable;
  }
  llvm::Timer &timer(StringRef name);

  const CompilerOptions &options;
  MLIRContext context;
  ScopedDiagnosticHandler diagnostics;
  OwningOpRef<ModuleOp> module;
  TargetAttr target;
  Phase reached = Phase::Import; ///< by the input
  ModelInterface model;
  Report report;
  TextAssets text;
  llvm::TimerGroup timers;
  std::vector<std::unique_ptr<llvm::Timer>> timerList;
};
} // namespace

static DialectRegistry makeRegistry() {
  DialectRegistry registry;
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  mlir::registerAllToLLVMIRTranslations(registry);
  pquant::registerAllDialects(registry);
  return registry;
}

Compilation::Compilation(const CompilerOptions &options)
    : options(options),
      context(makeRegistry(), MLIRContext::Threading::DISABLED),
      diagnostics(&context,
                  [this](Diagnostic &diagnostic) {
                    if (diagnostic.getSeverity() !=
                            DiagnosticSeverity::Remark ||
                        this->options.optReport)
                      printDiagnostic(diagnostic, this->options.input);
                    return success();
                  }),
      timers("pquant", "pquant-compile: time by phase") {
  context.loadAllAvailableDialects();
  if (options.optReport)
    enableRemarks(context, options.input);
}

llvm::Timer &Compilation::timer(StringRef name) {
  auto &made = timerList.emplace_back(std::make_unique<llvm::Timer>());
  if (options.timing)
    made->init(name, name, timers);
  return *made;
}

LogicalResult Compilation::import() {
  StringRef extension = llvm::sys::path::extension(options.input);
  if (extension == ".mlir" || extension == ".mlirbc") {
    module = parseSourceFile<ModuleOp>(options.input, &context);
    return failure(!module || failed(readPhase()));
  }
  llvm::StringMap<std::string> metadata;
  ONNXImportOptions importing;
  importing.metadata = &metadata;
  FailureOr<OwningOpRef<ModuleOp>> imported =
      extension == ".pt2" ? importTorchExportFile(options.input, &context)
                          : importONNXFile(options.input, &context, importing);
  if (failed(imported))
    return failure();
  module = std::move(*imported);
  return options.tokenizer.empty() ? text.readMetadata(metadata) : success();
}

/// A module that --compile-to wrote says how far it has come.
LogicalResult Compilation::readPhase() {
  auto name = (*module)->getAttrOfType<StringAttr>(kPhaseAttrName);
  if (!name)
    return success();
  std::optional<Phase> phase = parsePhase(name);
  if (!phase || *phase > Phase::Packed)
    return reportError("'" + options.input + "' is of phase '" +
                       name.getValue() +
                       "'; expected import, raised or packed");
  if (options.emit == Emit::MLIR && options.compileTo < *phase)
    return reportError(
        "'" + options.input + "' is of phase '" + name.getValue() +
        "', after --compile-to=" + getPhaseName(options.compileTo));
  reached = *phase;
  return success();
}

LogicalResult Compilation::setTarget() {
  FailureOr<TargetAttr> made = makeTarget(&context, options);
  if (failed(made))
    return failure();
  target = *made;
  (*module)->setAttr(kTargetAttrName, target);
  return success();
}

LogicalResult Compilation::runPhase(Phase phase) {
  PassManager pm(&context);
  pm.enableVerifier(true);
  RaisingOptions raising;
  raising.signZero = options.signZero;
  raising.snapWeights = options.snapWeights;
  raising.requireQuantized = options.requireQuantized;
  PackingOptions packing;
  packing.quantizeHead = options.quantizeHead;
  packing.cache = options.cache;
  packing.batch = options.batch;
  switch (phase) {
  case Phase::Raised:
    buildRaisingPipeline(pm, raising);
    break;
  case Phase::Packed:
    buildPackingPipeline(pm, packing);
    break;
  case Phase::Kernels:
    if (target.getGpu())
      buildGPUKernelsPipeline(pm);
    else
      buildKernelsPipeline(pm);
    break;
  case Phase::LLVM:
    buildLLVMPipeline(pm);
    break;
  case Phase::Import:
  case Phase::Object:
    return success();
  }
  return pm.run(*module);
}

LogicalResult Compilation::finishPhase(Phase phase) {
  (*module)->setAttr(kPhaseAttrName,
                     StringAttr::get(&context, getPhaseName(phase)));
  if (phase == Phase::Import) {
    Builder builder(&context);
    for (auto function : module->getOps<func::FuncOp>())
      if (function.isPublic())
        function->setAttr("llvm.emit_c_interface", builder.getUnitAttr());
  }
  if (phase == Phase::Raised)
    llvm::errs() << options.input << ": "
                 << summarizeRaising(*module).getHeadline() << "\n";
  if (phase == Phase::Raised && !options.report.empty())
    report.readFloats(*module);
  if (phase == Phase::Packed) {
    if (!options.report.empty())
      report.readLayers(*module);
    model.readLinears(*module);
    if (failed(model.readEntries(*module)) || failed(text.matchModel(model)))
      return failure();
  }
  return options.dumpPhases.empty()
             ? success()
             : dumpModule(*module, phase, options.dumpPhases);
}

/// int main(int argc, char **argv): hands over to pquant_run_main.
void Compilation::addMain(llvm::Module &code) {
  llvm::LLVMContext &llvmContext = code.getContext();
  llvm::Type *i32 = llvm::Type::getInt32Ty(llvmContext);
  llvm::Type *pointer = llvm::PointerType::getUnqual(llvmContext);
  auto *main = llvm::Function::Create(
      llvm::FunctionType::get(i32, {i32, pointer}, false),
      llvm::GlobalValue::ExternalLinkage, "main", code);
  llvm::IRBuilder<> ir(llvm::BasicBlock::Create(llvmContext, "entry", main));
  llvm::Value *descriptor = ir.CreateCall(
      code.getFunction(options.symbolPrefix + "_model_descriptor"));
  llvm::FunctionCallee run = code.getOrInsertFunction(
      "pquant_run_main",
      llvm::FunctionType::get(i32, {i32, pointer, pointer}, false));
  ir.CreateRet(
      ir.CreateCall(run, {main->getArg(0), main->getArg(1), descriptor}));
}

LogicalResult Compilation::writeCode(llvm::Module &code,
                                     llvm::TargetMachine &machine,
                                     const WeightLocation &weights) {
  llvm::TimeRegion region(timer("codegen"));
  auto file = OutputFile::create(options.output);
  if (failed(file))
    return failure();
  optimizeModule(code, machine);
  if (options.emit == Emit::LLVMIR)
    code.print((*file)->stream(), nullptr);
  else if (failed(emitCode(code, machine, (*file)->stream(),
                           options.emit == Emit::Assembly)))
    return failure();
  if (options.emit == Emit::Object &&
      (failed((*file)->close()) ||
       failed(fillWeightSection((*file)->path().str(), weights))))
    return failure();
  return (*file)->keep();
}

LogicalResult Compilation::writeArtifact(llvm::Module &code,
                                         llvm::TargetMachine &machine,
                                         const WeightLocation &weights) {
  // An archive's one object keeps its symbols local.
  size_t numParts = options.emit == Emit::Static ? 1 : kCodeParts;
  std::vector<std::unique_ptr<OutputFile>> files;
  SmallVector<llvm::raw_pwrite_stream *> streams;
  SmallVector<std::string> objects;
  for (size_t i = 0; i < numParts; ++i) {
    auto file = OutputFile::create(options.output, ".o");
    if (failed(file))
      return failure();
    streams.push_back(&(*file)->stream());
    objects.push_back((*file)->path().str());
    files.push_back(std::move(*file));
  }
  {
    llvm::TimeRegion region(timer("codegen"));
    if (numParts == 1)
      optimizeModule(code, machine);
    if (failed(numParts == 1
                   ? emitCode(code, machine, *streams[0], /*assembly=*/false)
                   : emitParts(code, options.triple, streams)))
      return failure();
  }
  for (auto &file : files)
    if (failed(file->close()))
      return failure();

  llvm::TimeRegion region(timer("link"));
  if (failed(fillWeightSection(objects, weights)))
    return failure();
  auto artifact = OutputFile::create(options.output);
  if (failed(artifact) || failed((*artifact)->close()))
    return failure();
  if (options.emit != Emit::Static)
    return failed(linkArtifact(options, objects, (*artifact)->path()))
               ? failure()
               : (*artifact)->keep(/*executable=*/true);
  if (failed(writeArchive(options, objects[0], (*artifact)->path())))
    return failure();
  SmallString<128> path(options.output);
  llvm::sys::path::replace_extension(path, "h");
  auto header = OutputFile::create(path);
  if (failed(header))
    return failure();
  writeHeader(options, model, (*header)->stream());
  if (failed((*header)->keep()))
    return failure();
  return (*artifact)->keep();
}

/// To a file to include in the object, to the weight file that was asked for,
/// or nowhere.
LogicalResult Compilation::writeWeightsTo(std::unique_ptr<OutputFile> &file,
                                          WeightLocation &weights) {
  if (!hasWeights()) {
    llvm::raw_null_ostream nothing;
    return failure(failed(writeWeights(*module, nothing)));
  }
  bool isSeparate = !options.weights.empty();
  auto created = isSeparate ? OutputFile::create(options.weights)
                            : OutputFile::create(options.output, ".weights");
  if (failed(created))
    return failure();
  file = std::move(*created);
  if (isSeparate)
    return writeWeightFile(*module, *file, options.weights, options.output,
                           weights);
  weights.path = file->path().str();
  return failed(writeWeights(*module, file->stream())) ? failure()
                                                       : file->close();
}

LogicalResult Compilation::writePTX(const GPUCode &gpu) {
  auto file = OutputFile::create(options.output);
  if (failed(file))
    return failure();
  (*file)->stream() << gpu.ptx;
  return (*file)->keep();
}

LogicalResult Compilation::generateCode() {
  std::unique_ptr<llvm::TargetMachine> machine =
      createTargetMachine(options.triple);
  std::unique_ptr<OutputFile> weightFile;
  WeightLocation weights;
  if (auto bytes = (*module)->getAttrOfType<IntegerAttr>("pquant.weight_bytes"))
    weights.bytes = bytes.getInt();
  report.weightBytes = int64_t(weights.bytes);
  if (failed(writeWeightsTo(weightFile, weights)))
    return failure();
  // The weights are in their file: what is left is code.
  releaseAllConstants(&context);
  GPUCode gpu;
  if (target.getGpu()) {
    llvm::TimeRegion region(timer("kernels to PTX"));
    auto taken = takeGPUCode(*module, target.getGpu(),
                             options.emit == Emit::PTX ? std::string()
                                                       : options.assembler);
    if (failed(taken))
      return failure();
    gpu = std::move(*taken);
  }
  if (options.emit == Emit::PTX)
    return writePTX(gpu);
  if (failed(runPhase(Phase::LLVM)) || failed(finishPhase(Phase::LLVM)))
    return failure();
  if (options.emit == Emit::MLIR)
    return printModule(*module, options.output, options.elideWeights);

  llvm::LLVMContext llvmContext;
  std::unique_ptr<llvm::Module> code =
      translateModuleToLLVMIR(*module, llvmContext, options.input);
  if (!code)
    return failure();
  code->setTargetTriple(machine->getTargetTriple());
  code->setDataLayout(machine->createDataLayout());
  for (llvm::Function &function : *code)
    function.setDoesNotThrow(); // no tables to unwind with
  emitModelDescriptor(*code, model, target, gpu, weights, text,
                      options.symbolPrefix, options.commandLine);
  if (options.emit == Emit::Executable)
    addMain(*code);
  bool linked = options.emit == Emit::Static || options.emit == Emit::Library ||
                options.emit == Emit::Executable;
  if (failed(linked ? writeArtifact(*code, *machine, weights)
                    : writeCode(*code, *machine, weights)))
    return failure();
  if (options.weights.empty() || succeeded(weightFile->keep()))
    return success();
  llvm::sys::fs::remove(options.output); // useless without its weights
  return failure();
}

/// What can be wrong with a report is found before the work begins.
LogicalResult Compilation::startReport() {
  if (options.report.empty())
    return success();
  if (failed(OutputFile::check(options.report)))
    return failure();
  return options.reportProfile.empty()
             ? success()
             : report.readProfile(options.reportProfile);
}

LogicalResult Compilation::writeReport() {
  if (options.report.empty())
    return success();
  report.modelName = model.name;
  report.producer = options.commandLine;
  report.target = target;
  auto file = OutputFile::create(options.report);
  if (failed(file))
    return failure();
  report.write((*file)->stream());
  return (*file)->keep();
}

LogicalResult Compilation::run() {
  if (options.output != "-" && failed(OutputFile::check(options.output)))
    return failure();
  if (!options.weights.empty() && failed(OutputFile::check(options.weights)))
    return failure();
  if (failed(startReport()))
    return failure();
  if (failed(checkLinking(options)) || failed(text.read(options)))
    return failure();
  {
    llvm::TimeRegion region(timer("import"));
    if (failed(import()))
      return failure();
  }
  model.name = llvm::sys::path::stem(options.input).str();
  if (failed(text.finish(options)) || failed(setTarget()) ||
      failed(finishPhase(Phase::Import)))
    return failure();
  for (Phase phase : {Phase::Raised, Phase::Packed, Phase::Kernels}) {
    if (options.emit == Emit::MLIR && options.compileTo < phase)
      break;
    llvm::TimeRegion region(timer(getPhaseName(phase)));
    if (phase > reached && failed(runPhase(phase)))
      return failure();
    if (phase >= reached && failed(finishPhase(phase)))
      return failure();
  }
  if (options.emit == Emit::MLIR && options.compileTo < Phase::LLVM)
    return printModule(*module, options.output, options.elideWeights);
  if (failed(generateCode()))
    return failure();
  return writeReport();
}

LogicalResult pquant::compileModel(const CompilerOptions &options) {
  // Destroyed before the timers are printed.
  return Compilation(options).run();
}

LogicalResult pquant::checkModel(StringRef input, bool json) {
  DialectRegistry registry = makeRegistry();
  MLIRContext context(registry, MLIRContext::Threading::DISABLED);
  ScopedDiagnosticHandler diagnostics(&context, [&](Diagnostic &diagnostic) {
    printDiagnostic(diagnostic, input);
    return success();
  });
  FailureOr<std::vector<UnsupportedOp>> ops =
      llvm::sys::path::extension(input) == ".pt2"
          ? checkTorchExportFile(input, &context)
          : checkONNXFile(input, &context);
  if (failed(ops))
    return failure();
  if (json)
    printUnsupportedOpsAsJSON(*ops, llvm::outs());
  else
    printUnsupportedOps(*ops, llvm::outs());
  return success(ops->empty());
}
