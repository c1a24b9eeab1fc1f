//===- CodeGen.cpp - LLVM IR to machine code ------------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Functions name their CPU themselves; the machine is the triple's baseline.
// Float operations are not contracted behind the IR's back: kernels
// of all levels give the same bits.
//
//===----------------------------------------------------------------------===//

#include "CodeGen.h"
#include "OutputFile.h"
#include "Targets.h"

#include "llvm/Bitcode/BitcodeReader.h"
#include "llvm/Bitcode/BitcodeWriter.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/ThreadPool.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/Transforms/Utils/SplitModule.h"
#include <atomic>

using namespace pquant;

/// LLVM's O3 pipeline.
static void optimize(llvm::Module &module, llvm::TargetMachine &machine,
                     const llvm::PipelineTuningOptions &tuning) {
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager graph;
  llvm::ModuleAnalysisManager modules;
  llvm::PassBuilder builder(&machine, tuning);
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(graph);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, graph, modules);
  builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O3)
      .run(module, modules);
}

void pquant::optimizeModule(llvm::Module &module,
                            llvm::TargetMachine &machine) {
  llvm::PipelineTuningOptions tuning;
  // Elementwise loops want vectors; kernels come vectorised and unrolled.
  tuning.LoopVectorization = true;
  tuning.SLPVectorization = false;
  tuning.LoopUnrolling = false;
  tuning.LoopInterleaving = false;
  optimize(module, machine, tuning);
}

void pquant::optimizeKernels(llvm::Module &module,
                             llvm::TargetMachine &machine) {
  // Loads of several rounds of a loop are under way at once when it is
  // unrolled, and neighbouring ones become one.
  llvm::PipelineTuningOptions tuning;
  tuning.LoopVectorization = false;
  tuning.SLPVectorization = true;
  tuning.LoopUnrolling = true;
  optimize(module, machine, tuning);
}

LogicalResult pquant::emitCode(llvm::Module &module,
                               llvm::TargetMachine &machine,
                               llvm::raw_pwrite_stream &os, bool assembly) {
  llvm::legacy::PassManager passes;
  auto kind = assembly ? llvm::CodeGenFileType::AssemblyFile
                       : llvm::CodeGenFileType::ObjectFile;
  if (machine.addPassesToEmitFile(passes, os, nullptr, kind))
    return reportError("target '" + machine.getTargetTriple().str() +
                       "' cannot emit this kind of file");
  passes.run(module);
  return success();
}

/// One part, in a context of its own.
static LogicalResult emitPart(StringRef bitcode, StringRef triple,
                              llvm::raw_pwrite_stream &os) {
  llvm::LLVMContext context;
  llvm::Expected<std::unique_ptr<llvm::Module>> module =
      llvm::parseBitcodeFile(llvm::MemoryBufferRef(bitcode, "part"), context);
  if (!module)
    return reportError(llvm::toString(module.takeError()));
  std::unique_ptr<llvm::TargetMachine> machine = createTargetMachine(triple);
  optimizeModule(**module, *machine);
  return emitCode(**module, *machine, os, /*assembly=*/false);
}

LogicalResult pquant::emitParts(llvm::Module &module, StringRef triple,
                                ArrayRef<llvm::raw_pwrite_stream *> parts) {
  SmallVector<SmallString<0>> bitcode;
  llvm::SplitModule(
      module, parts.size(),
      [&](std::unique_ptr<llvm::Module> part) {
        llvm::raw_svector_ostream os(bitcode.emplace_back());
        llvm::WriteBitcodeToFile(*part, os);
      },
      /*PreserveLocals=*/false, /*RoundRobin=*/true);
  std::atomic<bool> failedAny = false;
  llvm::DefaultThreadPool pool(llvm::hardware_concurrency(parts.size()));
  for (size_t i = 0; i < parts.size(); ++i)
    pool.async([&, i] {
      if (failed(emitPart(bitcode[i], triple, *parts[i])))
        failedAny = true;
    });
  pool.wait();
  return success(!failedAny);
}
