//===- Targets.cpp - The targets a compile can be for ---------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The host's own features are read for `--target=host` only; everything else
// depends on the flags alone.
//
//===----------------------------------------------------------------------===//

#include "Targets.h"
#include "OutputFile.h"

#include "pquant/Target/ARM.h"
#include "pquant/Target/NVVM.h"
#include "pquant/Target/X86.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/Target/TargetOptions.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/Triple.h"

using namespace mlir;
using namespace pquant;

namespace {
/// One architecture: its short names and what stands for it.
struct Architecture {
  llvm::Triple::ArchType arch;
  StringLiteral name, otherName;
  StringLiteral triple;   ///< of the short names
  StringLiteral baseline; ///< the CPU of code that names none
  FailureOr<TargetAttr> (*makeTarget)(Location, StringRef triple,
                                      StringRef only);
  SmallVector<KernelRow> (*getKernels)();
};
} // namespace

static constexpr Architecture architectures[] = {
    {llvm::Triple::x86_64, "x86-64", "x86_64", "x86_64-pc-linux-gnu",
     "x86-64-v2", x86::makeX86Target, x86::getKernels},
    {llvm::Triple::aarch64, "aarch64", "arm64", "aarch64-unknown-linux-gnu",
     "generic", arm::makeARMTarget, arm::getKernels},
};

static const Architecture *findArchitecture(const llvm::Triple &triple) {
  for (const Architecture &architecture : architectures)
    if (architecture.arch == triple.getArch())
      return &architecture;
  return nullptr;
}

LogicalResult pquant::resolveTarget(CompilerOptions &options) {
  options.triple = llvm::Triple::normalize(options.target);
  if (options.target == "host") {
    options.triple = llvm::sys::getProcessTriple();
    if (options.onlyLevel.empty())
      options.onlyLevel = llvm::sys::getHostCPUName().str();
    llvm::errs() << "target: " << options.triple << ", CPU "
                 << options.onlyLevel << "\n";
  }
  // A GPU's host code is plain x86-64.
  StringRef gpu = options.target;
  if (gpu.consume_front("nvptx") && (gpu.empty() || gpu.consume_front(":"))) {
    options.gpu = gpu.empty() ? "sm_80" : gpu.str();
    options.triple = architectures[0].triple.str();
    if (!options.onlyLevel.empty())
      return reportError("--target-cpu is not for a GPU");
    options.onlyLevel = "generic";
  }
  for (const Architecture &architecture : architectures)
    if (options.target == architecture.name ||
        options.target == architecture.otherName)
      options.triple = architecture.triple.str();
  llvm::Triple triple(options.triple);
  if (findArchitecture(triple) && triple.isOSBinFormatELF())
    return success();
  return reportError(
      "target '" + options.target +
      "' is not supported; expected x86-64, aarch64, host, nvptx, "
      "nvptx:<chip> or an x86_64 or aarch64 triple of an ELF "
      "system");
}

/// Fails when the code generator does not know one of the features
/// ("+dotprod,-lse").
static LogicalResult checkFeatures(StringRef triple, StringRef features) {
  std::unique_ptr<llvm::TargetMachine> machine = createTargetMachine(triple);
  auto known = machine->getMCSubtargetInfo()->getAllProcessorFeatures();
  for (StringRef feature : llvm::split(features, ',')) {
    StringRef name = feature;
    if (!name.consume_front("+") && !name.consume_front("-"))
      return reportError("--target-features expected + or - before each name, "
                         "but got '" +
                         feature + "'");
    if (llvm::none_of(known,
                      [&](const auto &entry) { return name == entry.Key; }))
      return reportError("--target-features: " + triple + " has no feature '" +
                         name + "'");
  }
  return success();
}

/// The level with more features, which it also asks for.
static LevelAttr addFeatures(LevelAttr level, StringRef features) {
  auto join = [](StringRef list, StringRef more) {
    return list.empty() ? more.str() : (list + "," + more).str();
  };
  std::string required = level.getRequirements().str();
  for (StringRef feature : llvm::split(features, ','))
    if (feature.consume_front("+") && !level.hasFeature(feature))
      required = join(required, feature);
  return LevelAttr::get(level.getContext(), level.getName(), level.getCpu(),
                        join(level.getFeatures(), features), required,
                        level.getVectorBits(), level.getTune());
}

FailureOr<TargetAttr> pquant::makeTarget(MLIRContext *context,
                                         const CompilerOptions &options) {
  const Architecture *architecture =
      findArchitecture(llvm::Triple(options.triple));
  FailureOr<TargetAttr> target = architecture->makeTarget(
      UnknownLoc::get(context), options.triple, options.onlyLevel);
  if (failed(target))
    return failure();
  if (!options.gpu.empty()) {
    FailureOr<GPUAttr> gpu =
        nvvm::makeGPU(UnknownLoc::get(context), options.gpu);
    if (failed(gpu))
      return failure();
    target = TargetAttr::get(context, options.triple, target->getLevels(),
                             LayoutKind::B16x256, *gpu);
  }
  if (options.features.empty())
    return target;
  if (failed(checkFeatures(options.triple, options.features)))
    return failure();
  SmallVector<LevelAttr> levels;
  for (LevelAttr level : target->getLevels())
    levels.push_back(addFeatures(level, options.features));
  return TargetAttr::get(context, options.triple, levels,
                         target->getBinaryLayout(), target->getGpu());
}

SmallVector<KernelRow> pquant::getKernels(TargetAttr target) {
  return findArchitecture(llvm::Triple(target.getTriple()))->getKernels();
}

std::unique_ptr<llvm::TargetMachine>
pquant::createTargetMachine(StringRef triple) {
  LLVMInitializeX86TargetInfo();
  LLVMInitializeX86Target();
  LLVMInitializeX86TargetMC();
  LLVMInitializeX86AsmPrinter();
  LLVMInitializeX86AsmParser();
  LLVMInitializeAArch64TargetInfo();
  LLVMInitializeAArch64Target();
  LLVMInitializeAArch64TargetMC();
  LLVMInitializeAArch64AsmPrinter();
  LLVMInitializeAArch64AsmParser();
  llvm::Triple parsed(triple);
  std::string error;
  const llvm::Target *target =
      llvm::TargetRegistry::lookupTarget(parsed, error);
  assert(target && "the triple has been resolved");
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Standard;
  options.FunctionSections = true;
  return std::unique_ptr<llvm::TargetMachine>(target->createTargetMachine(
      parsed, findArchitecture(parsed)->baseline, /*Features=*/"", options,
      llvm::Reloc::PIC_, std::nullopt, llvm::CodeGenOptLevel::Aggressive));
}

std::unique_ptr<llvm::TargetMachine> pquant::createGPUMachine(GPUAttr gpu) {
  LLVMInitializeNVPTXTargetInfo();
  LLVMInitializeNVPTXTarget();
  LLVMInitializeNVPTXTargetMC();
  LLVMInitializeNVPTXAsmPrinter();
  llvm::Triple triple(gpu.getTriple());
  std::string error;
  const llvm::Target *target =
      llvm::TargetRegistry::lookupTarget(triple, error);
  assert(target && "LLVM has no NVPTX");
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Standard;
  return std::unique_ptr<llvm::TargetMachine>(target->createTargetMachine(
      triple, gpu.getChip(), gpu.getFeatures(), options, llvm::Reloc::PIC_,
      std::nullopt, llvm::CodeGenOptLevel::Aggressive));
}
