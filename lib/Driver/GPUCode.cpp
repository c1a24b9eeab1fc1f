//===- GPUCode.cpp - Kernels of a GPU as PTX ------------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// PTX is compiled by the driver of the machine that runs the artifact; machine
// code for one chip saves it the time.
//
//===----------------------------------------------------------------------===//

#include "GPUCode.h"
#include "CodeGen.h"
#include "OutputFile.h"
#include "Targets.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "pquant/Target/NVVM.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Program.h"
#include "llvm/Target/TargetMachine.h"

using namespace mlir;
using namespace pquant;

static FailureOr<std::string> compileToPTX(gpu::GPUModuleOp kernels,
                                           GPUAttr gpu) {
  std::unique_ptr<llvm::TargetMachine> machine = createGPUMachine(gpu);
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> code =
      translateModuleToLLVMIR(kernels, context, "kernels");
  if (!code)
    return failure();
  code->setTargetTriple(machine->getTargetTriple());
  code->setDataLayout(machine->createDataLayout());
  optimizeKernels(*code, *machine);
  SmallString<0> ptx;
  llvm::raw_svector_ostream os(ptx);
  if (failed(emitCode(*code, *machine, os, /*assembly=*/true)))
    return failure();
  return ptx.str().str();
}

/// Runs `program` on PTX; what it prints on failure is reported if
/// `isRequired`.
static FailureOr<std::string> assemble(StringRef program, StringRef chip,
                                       StringRef ptx, bool isRequired) {
  SmallString<128> files[3];
  llvm::scope_exit remove([&] {
    for (StringRef file : files)
      if (!file.empty())
        llvm::sys::fs::remove(file);
  });
  static constexpr StringLiteral suffixes[] = {"ptx", "cubin", "log"};
  for (auto [file, suffix] : llvm::zip(files, suffixes))
    if (std::error_code error =
            llvm::sys::fs::createTemporaryFile("pquant", suffix, file))
      return reportError("cannot make a temporary file: " + error.message());
  std::error_code error;
  {
    llvm::raw_fd_ostream os(files[0], error);
    os << ptx;
  }
  std::string arch = ("-arch=" + chip).str();
  StringRef arguments[] = {program, arch, "-O3", files[0], "-o", files[1]};
  std::optional<StringRef> redirects[] = {std::nullopt, StringRef(files[2]),
                                          StringRef(files[2])};
  int status =
      llvm::sys::ExecuteAndWait(program, arguments, std::nullopt, redirects);
  auto output = llvm::MemoryBuffer::getFile(files[status ? 2 : 1]);
  std::string text = output ? (*output)->getBuffer().str() : "";
  if (status && !isRequired)
    return failure();
  if (status)
    return reportError(program + " failed:\n" + StringRef(text).rtrim());
  return text;
}

FailureOr<GPUCode>
pquant::takeGPUCode(ModuleOp module, GPUAttr gpu,
                    const std::optional<std::string> &assembler) {
  GPUCode code;
  code.chip = gpu.getChip().str();
  code.canOverlap = gpu.hasCapability(nvvm::kDependentLaunch);
  for (auto kernels :
       llvm::make_early_inc_range(module.getOps<gpu::GPUModuleOp>())) {
    for (Attribute name : kernels->getAttrOfType<ArrayAttr>("pquant.kernels"))
      code.kernels.push_back(cast<StringAttr>(name).str());
    FailureOr<std::string> ptx = compileToPTX(kernels, gpu);
    if (failed(ptx))
      return failure();
    code.ptx = std::move(*ptx);
    kernels.erase();
  }
  if (code.isEmpty() || (assembler && assembler->empty()))
    return code;
  llvm::ErrorOr<std::string> program =
      llvm::sys::findProgramByName(assembler.value_or("ptxas"));
  if (!program && assembler)
    return reportError("--ptxas: there is no program '" + *assembler + "'");
  if (!program)
    return code;
  FailureOr<std::string> image =
      assemble(*program, code.chip, code.ptx, assembler.has_value());
  if (failed(image) && assembler)
    return failure();
  if (succeeded(image))
    code.image = std::move(*image);
  return code;
}
