//===- Pipelines.cpp - The order of passes --------------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The whole compile, pass by pass.
//
//===----------------------------------------------------------------------===//

#include "pquant/Pipelines/Pipelines.h"

#include "pquant/Conversion/Passes.h"
#include "pquant/Target/Passes.h"
#include "pquant/Transforms/Passes.h"

#include "mlir/Conversion/AffineToStandard/AffineToStandard.h"
#include "mlir/Conversion/BufferizationToMemRef/BufferizationToMemRef.h"
#include "mlir/Conversion/ReconcileUnrealizedCasts/ReconcileUnrealizedCasts.h"
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Conversion/VectorToSCF/VectorToSCF.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/Bufferization/Pipelines/Passes.h"
#include "mlir/Dialect/Bufferization/Transforms/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/GPU/Transforms/Passes.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;
using namespace pquant;

static constexpr std::pair<Phase, StringLiteral> phaseNames[] = {
    {Phase::Import, "import"}, {Phase::Raised, "raised"},
    {Phase::Packed, "packed"}, {Phase::Kernels, "kernels"},
    {Phase::LLVM, "llvm"},     {Phase::Object, "object"}};

StringRef pquant::getPhaseName(Phase phase) {
  return phaseNames[static_cast<size_t>(phase)].second;
}

std::optional<Phase> pquant::parsePhase(StringRef name) {
  for (auto [phase, text] : phaseNames)
    if (text == name)
      return phase;
  return std::nullopt;
}

static void addCleanup(OpPassManager &pm) {
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
}

void pquant::buildRaisingPipeline(OpPassManager &pm,
                                  const RaisingOptions &options) {
  addCleanup(pm);
  RaisePassOptions raise;
  raise.signZero = options.signZero == "plus"    ? SignZero::Plus
                   : options.signZero == "minus" ? SignZero::Minus
                                                 : SignZero::Error;
  raise.snapWeights = options.snapWeights;
  raise.requireQuantized = options.requireQuantized;
  pm.addPass(createRaisePass(raise));
  pm.addPass(createRaiseDecoderPass());
  addCleanup(pm);
  pm.addPass(createFoldConstantsPass());
  addCleanup(pm);
  pm.addPass(createVerifyRaisedPass());
}

void pquant::buildPackingPipeline(OpPassManager &pm,
                                  const PackingOptions &options) {
  pm.addPass(createDispatchExpertsPass());
  pm.addPass(createFuseBranchesPass());
  pm.addPass(createRaiseFloatLinearsPass());
  addCleanup(pm);
  CreateEntryPointsPassOptions entryPoints;
  entryPoints.cache = options.cache == "int8"  ? CacheType::I8
                      : options.cache == "f16" ? CacheType::F16
                                               : CacheType::F32;
  entryPoints.batch = options.batch;
  pm.addPass(createCreateEntryPointsPass(entryPoints));
  if (options.quantizeHead != "none")
    pm.addPass(createQuantizeHeadPass({options.quantizeHead}));
  pm.addPass(createPackBitsPass());
  addCleanup(pm);
  pm.addPass(createVerifyPackedPass());
}

/// Still on tensors at first; then memory, allocated and freed.
static void addBufferization(OpPassManager &pm,
                             const CollectWeightsPassOptions &weights) {
  // Kernels get their destinations, elementwise chains fuse,
  // identical layers become one function.
  pm.addPass(createConvertPQuantToPQKernelPass());
  addCleanup(pm);
  pm.addPass(createFuseElementwisePass());
  addCleanup(pm);
  pm.addPass(createOutlineLayersPass());
  addCleanup(pm);

  bufferization::OneShotBufferizePassOptions bufferize;
  bufferize.bufferizeFunctionBoundaries = true;
  bufferize.allowReturnAllocsFromLoops = true;
  bufferize.functionBoundaryTypeConversion =
      bufferization::LayoutMapOption::IdentityLayoutMap;
  pm.addPass(bufferization::createEmptyTensorEliminationPass());
  pm.addPass(bufferization::createOneShotBufferizePass(bufferize));
  addCleanup(pm);
  pm.addPass(bufferization::createDropEquivalentBufferResultsPass());
  pm.addPass(createCollectWeightsPass(weights));
  bufferization::buildBufferDeallocationPipeline(
      pm, bufferization::BufferDeallocationPipelineOptions());
  pm.addPass(createConvertBufferizationToMemRefPass());
  pm.addNestedPass<func::FuncOp>(
      bufferization::createOptimizeAllocationLivenessPass());
}

void pquant::buildKernelsPipeline(OpPassManager &pm) {
  addBufferization(pm, {});
  pm.addNestedPass<func::FuncOp>(createPlanBuffersPass());
  addCleanup(pm);
  pm.addNestedPass<func::FuncOp>(createLinalgToLoopsPass());
  pm.addPass(createInsertProbesPass());
  pm.addPass(createCloneLevelsPass());
  // One for each target; they leave modules of others alone.
  pm.addPass(createARMKernelsPass());
  pm.addPass(createX86KernelsPass());
  addCleanup(pm);
  pm.addPass(createVerifyKernelsPass());
}

/// The bodies of launches to kernels of the NVVM dialect.
static void addKernelCode(OpPassManager &pm) {
  pm.addPass(createExpandReshapesPass());
  pm.addPass(memref::createExpandStridedMetadataPass());
  pm.addPass(createLowerAffinePass());
  pm.addPass(createSCFToControlFlowPass());
  pm.addPass(createExpandMathPass());
  pm.addPass(createExpandTrigonometryPass());
  pm.addPass(arith::createArithExpandOpsPass());
  addCleanup(pm);
  pm.addPass(createKernelsToNVVMPass());
  pm.addPass(createReconcileUnrealizedCastsPass());
  addCleanup(pm);
}

void pquant::buildGPUKernelsPipeline(OpPassManager &pm) {
  pm.addPass(createMarkStatesPass());
  // Constants of any size are read by kernels.
  CollectWeightsPassOptions weights;
  weights.minBytes = 0;
  addBufferization(pm, weights);
  pm.addPass(createPlaceBuffersPass());
  pm.addPass(createLinalgToGPUPass());
  pm.addPass(createInsertProbesPass());
  pm.addPass(createNVVMKernelsPass());
  pm.addPass(createNVVMRankLogitsPass());
  addCleanup(pm);
  pm.addPass(createMergeLaunchesPass());
  pm.addPass(createNVVMOverlapLaunchesPass());
  pm.addPass(createGpuLaunchSinkIndexComputationsPass());
  pm.addPass(createWidenArgumentsPass());
  pm.addPass(createGpuKernelOutliningPass());
  pm.addPass(createGPUToRuntimePass());
  addKernelCode(pm.nest<gpu::GPUModuleOp>());
  pm.addNestedPass<func::FuncOp>(createLinalgToLoopsPass());
  pm.addPass(createCloneLevelsPass());
  addCleanup(pm);
  pm.addPass(createVerifyKernelsPass());
}

void pquant::buildLLVMPipeline(OpPassManager &pm) {
  pm.addPass(createConvertPQKernelToLLVMPass());
  pm.addPass(createConvertVectorToSCFPass());
  pm.addPass(createExpandReshapesPass());
  pm.addPass(memref::createExpandStridedMetadataPass());
  pm.addPass(createLowerAffinePass());
  pm.addPass(createSCFToControlFlowPass());
  pm.addPass(createExpandMathPass());
  pm.addPass(arith::createArithExpandOpsPass());
  addCleanup(pm);
  pm.addPass(createToLLVMPass());
  pm.addPass(createReconcileUnrealizedCastsPass());
  addCleanup(pm);
}

void pquant::registerPipelines() {
  PassPipelineRegistration<RaisingOptions>(
      "pquant-raising-pipeline", "import -> raised", buildRaisingPipeline);
  PassPipelineRegistration<PackingOptions>(
      "pquant-packing-pipeline", "raised -> packed", buildPackingPipeline);
  PassPipelineRegistration<>("pquant-kernels-pipeline", "packed -> kernels",
                             buildKernelsPipeline);
  PassPipelineRegistration<>("pquant-gpu-kernels-pipeline",
                             "packed -> kernels, for a GPU",
                             buildGPUKernelsPipeline);
  PassPipelineRegistration<>("pquant-llvm-pipeline", "kernels -> llvm",
                             buildLLVMPipeline);
}
