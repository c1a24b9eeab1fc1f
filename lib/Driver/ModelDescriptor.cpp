//===- ModelDescriptor.cpp - The artifact's description of itself ---------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Builds, as LLVM constants, the structs of pquant/Runtime/ModelDescriptor.h
// field by field, and one thunk for each entry point and level that adapts
// MLIR's C interface to PQuantEntryFn.
//
//===----------------------------------------------------------------------===//

#include "GPUCode.h"
#include "ModelInterface.h"
#include "TextAssets.h"

#include "pquant/Runtime/ModelDescriptor.h"
#include "pquant/Target/NVVM.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/Module.h"
#include <map>

using namespace pquant;
using llvm::Constant;

namespace {
/// Builders of constants of C types.
class ConstantBuilder {
public:
  explicit ConstantBuilder(llvm::Module &module)
      : module(module), context(module.getContext()) {}

  llvm::Type *pointerType() { return llvm::PointerType::getUnqual(context); }
  Constant *null() { return Constant::getNullValue(pointerType()); }
  Constant *i32(uint32_t value) {
    return llvm::ConstantInt::get(llvm::Type::getInt32Ty(context), value);
  }
  Constant *i64(int64_t value) {
    return llvm::ConstantInt::get(llvm::Type::getInt64Ty(context), value, true);
  }
  Constant *real(double value) {
    return llvm::ConstantFP::get(llvm::Type::getDoubleTy(context), value);
  }
  Constant *structure(ArrayRef<Constant *> fields) {
    return llvm::ConstantStruct::getAnon(context, fields);
  }
  /// A constant in memory.
  Constant *address(Constant *value) {
    auto *global =
        new llvm::GlobalVariable(module, value->getType(), /*isConstant=*/true,
                                 llvm::GlobalValue::PrivateLinkage, value);
    global->setUnnamedAddr(llvm::GlobalValue::UnnamedAddr::Global);
    return global;
  }
  Constant *text(StringRef value) {
    return address(llvm::ConstantDataArray::getString(context, value));
  }
  /// Null when empty.
  Constant *optionalText(StringRef value) {
    return value.empty() ? null() : text(value);
  }
  /// An array in memory; null when empty.
  Constant *array(ArrayRef<Constant *> elements) {
    if (elements.empty())
      return null();
    auto *type =
        llvm::ArrayType::get(elements.front()->getType(), elements.size());
    return address(llvm::ConstantArray::get(type, elements));
  }

  llvm::Module &module;
  llvm::LLVMContext &context;
};
} // namespace

static Constant *buildTensors(ConstantBuilder &b,
                              const std::vector<TensorInterface> &tensors) {
  SmallVector<Constant *> specs;
  for (const TensorInterface &tensor : tensors) {
    SmallVector<Constant *> sizes, names;
    for (int64_t size : tensor.sizes)
      sizes.push_back(b.i64(size));
    for (const std::string &name : tensor.sizeNames)
      names.push_back(b.text(name));
    specs.push_back(b.structure({b.text(tensor.name), b.i32(tensor.dtype),
                                 b.i32(tensor.sizes.size()), b.array(sizes),
                                 b.array(names)}));
  }
  return b.array(specs);
}

/// The bytes of a memref descriptor: two pointers, offset, sizes, strides.
static uint64_t descriptorBytes(const TensorInterface &tensor) {
  return 24 + 16 * tensor.sizes.size();
}

/// void thunk(const void *weights, PQuantMemRef *const *args,
///            PQuantMemRef *const *results)
/// for level `index` of those that share their code.
static llvm::Function *buildThunk(ConstantBuilder &b,
                                  const EntryInterface &entry,
                                  ArrayRef<LevelAttr> run, size_t index,
                                  uint64_t weightBytes) {
  llvm::LLVMContext &context = b.context;
  llvm::Type *pointer = b.pointerType();
  llvm::Type *i64 = llvm::Type::getInt64Ty(context);
  std::string name = (entry.name + "_" + run.front().getName()).str();
  auto *thunk = llvm::Function::Create(
      llvm::FunctionType::get(llvm::Type::getVoidTy(context),
                              {pointer, pointer, pointer}, false),
      llvm::GlobalValue::PrivateLinkage,
      "pquant_entry_" + entry.name + "_" + run[index].getName(), b.module);
  llvm::IRBuilder<> ir(llvm::BasicBlock::Create(context, "entry", thunk));

  // The weight blob as a memref<?xi8>.
  auto *weightType =
      llvm::StructType::get(context, {pointer, pointer, i64, i64, i64});
  llvm::Value *weights = ir.CreateAlloca(weightType);
  llvm::Value *base = thunk->getArg(0);
  llvm::Value *fields[] = {base, base, b.i64(0), b.i64(weightBytes), b.i64(1)};
  for (auto [i, field] : llvm::enumerate(fields))
    ir.CreateStore(field, ir.CreateStructGEP(weightType, weights, i));

  uint64_t resultBytes = 0;
  for (const TensorInterface &output : entry.outputs)
    resultBytes += descriptorBytes(output);
  llvm::Value *results =
      ir.CreateAlloca(llvm::ArrayType::get(i64, resultBytes / 8));
  SmallVector<llvm::Value *> arguments;
  if (!entry.outputs.empty())
    arguments.push_back(results);
  arguments.push_back(weights);
  for (size_t i = 0; i < entry.inputs.size() + entry.states.size(); ++i)
    arguments.push_back(ir.CreateLoad(
        pointer, ir.CreateConstGEP1_64(pointer, thunk->getArg(1), i)));
  SmallVector<llvm::Type *> types(arguments.size(), pointer);
  if (run.size() > 1) {
    arguments.push_back(b.i64(index));
    types.push_back(i64);
  }
  llvm::FunctionCallee callee = b.module.getOrInsertFunction(
      "_mlir_ciface_" + name,
      llvm::FunctionType::get(llvm::Type::getVoidTy(context), types, false));
  ir.CreateCall(callee, arguments);

  uint64_t offset = 0;
  for (auto [i, output] : llvm::enumerate(entry.outputs)) {
    llvm::Value *to = ir.CreateLoad(
        pointer, ir.CreateConstGEP1_64(pointer, thunk->getArg(2), i));
    llvm::Value *from =
        ir.CreateConstGEP1_64(llvm::Type::getInt8Ty(context), results, offset);
    ir.CreateMemCpy(to, llvm::Align(8), from, llvm::Align(8),
                    descriptorBytes(output));
    offset += descriptorBytes(output);
  }
  ir.CreateRetVoid();
  return thunk;
}

static Constant *buildEntries(ConstantBuilder &b, const ModelInterface &model,
                              TargetAttr target, uint64_t weightBytes) {
  SmallVector<Constant *> entries;
  for (const EntryInterface &entry : model.entries) {
    SmallVector<Constant *> functions;
    for (ArrayRef<LevelAttr> run : target.getRuns())
      for (size_t index = 0; index < run.size(); ++index)
        functions.push_back(buildThunk(b, entry, run, index, weightBytes));
    entries.push_back(b.structure(
        {b.text(entry.name), b.i32(entry.inputs.size()),
         b.i32(entry.outputs.size()), buildTensors(b, entry.inputs),
         buildTensors(b, entry.outputs), b.array(functions),
         buildTensors(b, entry.states), b.i32(entry.states.size()), b.i32(0)}));
  }
  return b.array(entries);
}

/// The variant of an attention kernel, from what follows in its name
/// ("_64_64_i8_causal_mask_scale..."); none for heads that it cannot say.
static std::optional<int32_t> parseAttention(StringRef name) {
  uint32_t depth, width;
  if (!name.consume_front("_") || name.consumeInteger(10, depth) ||
      !name.consume_front("_") || name.consumeInteger(10, width) ||
      depth > 0xfff || width > 0xfff)
    return std::nullopt;
  int32_t element = name.starts_with("_f16")  ? PQUANT_CACHE_F16
                    : name.starts_with("_i8") ? PQUANT_CACHE_I8
                                              : PQUANT_CACHE_F32;
  return depth | width << 12 | element << 24 |
         int32_t(name.contains("_mask")) << 26;
}

/// The kind and variant of a kernel, from its name without the level.
static std::optional<std::pair<int32_t, int32_t>> parseKernel(StringRef name) {
  static constexpr std::pair<StringLiteral, int32_t> kinds[] = {
      {"pqk_quantize", PQUANT_KERNEL_QUANTIZE},
      {"pqk_binary_linear", PQUANT_KERNEL_BINARY_LINEAR},
      {"pqk_int8_linear", PQUANT_KERNEL_INT8_LINEAR},
      {"pqk_float_linear", PQUANT_KERNEL_FLOAT_LINEAR},
      {"pqk_expert_linear", PQUANT_KERNEL_EXPERT_LINEAR}};
  if (name.consume_front("pqk_attention")) {
    std::optional<int32_t> variant = parseAttention(name);
    if (!variant)
      return std::nullopt;
    return std::make_pair(int32_t(PQUANT_KERNEL_ATTENTION), *variant);
  }
  for (auto [prefix, kind] : kinds) {
    if (!name.consume_front(prefix))
      continue;
    if (kind != PQUANT_KERNEL_QUANTIZE)
      return std::make_pair(
          kind, int32_t(name.contains("acc") || name.contains("bf16")));
    for (uint32_t formula = 0; formula <= getMaxEnumValForFormula(); ++formula)
      if (name.contains(stringifyFormula(static_cast<Formula>(formula))))
        return std::make_pair(kind, int32_t(formula));
  }
  return std::nullopt;
}

/// Finds the C interfaces of the kernels that the module holds, by level.
static Constant *buildKernels(ConstantBuilder &b, TargetAttr target,
                              size_t &count) {
  std::map<std::string, SmallVector<Constant *>> kernels;
  for (auto [i, level] : llvm::enumerate(target.getLevels())) {
    std::string suffix = ("_" + level.getName()).str();
    for (llvm::Function &function : b.module) {
      StringRef name = function.getName();
      if (function.isDeclaration() || !name.consume_front("_mlir_ciface_") ||
          !name.consume_back(suffix) || !parseKernel(name))
        continue;
      auto &functions = kernels[name.str()];
      functions.resize(target.getLevels().size(), b.null());
      functions[i] = &function;
    }
  }
  SmallVector<Constant *> structs;
  for (auto &[name, functions] : kernels) {
    auto [kind, variant] = *parseKernel(name);
    structs.push_back(b.structure(
        {b.text(name), b.i32(kind), b.i32(variant), b.array(functions)}));
  }
  count = structs.size();
  return b.array(structs);
}

/// The weights as a section of the object, 64-byte aligned, still without their
/// bytes (the assembler would hold them all in memory). Their symbol is hidden,
/// not local: the code may be split over several objects.
static Constant *buildWeights(ConstantBuilder &b, const WeightLocation &weights,
                              StringRef prefix) {
  if (!weights.bytes || !weights.separateFile.empty())
    return b.null();
  std::string symbol = (prefix + "_weight_data").str();
  if (!weights.path.empty()) {
    std::string text;
    llvm::raw_string_ostream os(text);
    // On x86-64 a large section, which linkers put behind all others: code
    // reaches data near it by 32 bits, and the weights by their address.
    bool isLarge = b.module.getTargetTriple().getArch() == llvm::Triple::x86_64;
    os << ".section " << kWeightSection << ",\"a" << (isLarge ? "l" : "")
       << "\",@progbits\n.balign 64\n.globl " << symbol << "\n.hidden "
       << symbol << "\n.type " << symbol << ",@object\n.size " << symbol << ", "
       << weights.bytes << "\n"
       << symbol << ":\n.zero " << weights.bytes << "\n.text\n";
    b.module.appendModuleInlineAsm(text);
  }
  auto *global = new llvm::GlobalVariable(
      b.module, llvm::Type::getInt8Ty(b.context), /*isConstant=*/true,
      llvm::GlobalValue::ExternalLinkage, nullptr, symbol);
  global->setVisibility(llvm::GlobalValue::HiddenVisibility);
  global->setDSOLocal(true);
  return global;
}

/// The thunk of the function that ranks logits; null when there is none.
static Constant *buildRankLogits(ConstantBuilder &b, TargetAttr target,
                                 uint64_t weightBytes) {
  ArrayRef<LevelAttr> run = target.getRuns().front();
  EntryInterface entry;
  entry.name = nvvm::kRankLogitsName.str();
  entry.inputs.resize(1);
  entry.states.resize(2);
  if (!b.module.getFunction("_mlir_ciface_" + entry.name + "_" +
                            run.front().getName().str()))
    return b.null();
  return buildThunk(b, entry, run, /*index=*/0, weightBytes);
}

/// Null for a model without a GPU.
static Constant *buildGPU(ConstantBuilder &b, const GPUCode &code,
                          TargetAttr target, uint64_t weightBytes) {
  if (code.isEmpty())
    return b.null();
  SmallVector<Constant *> names;
  for (const std::string &name : code.kernels)
    names.push_back(b.text(name));
  llvm::FunctionCallee driver = b.module.getOrInsertFunction(
      "pquant_rt_gpu_driver", llvm::FunctionType::get(b.pointerType(), false));
  return b.address(b.structure(
      {b.text(code.chip), b.text(code.ptx), b.optionalText(code.image),
       b.i64(code.image.size()), b.array(names), b.i32(names.size()),
       b.i32(code.canOverlap), llvm::cast<Constant>(driver.getCallee()),
       buildRankLogits(b, target, weightBytes)}));
}

void pquant::emitModelDescriptor(llvm::Module &module,
                                 const ModelInterface &model, TargetAttr target,
                                 const GPUCode &gpu,
                                 const WeightLocation &weights,
                                 const TextAssets &text, StringRef prefix,
                                 StringRef producer) {
  ConstantBuilder b(module);
  SmallVector<Constant *> levels, linears;
  for (LevelAttr level : target.getLevels())
    levels.push_back(b.structure(
        {b.text(level.getName()), b.text(level.getRequirements())}));
  for (const LinearInterface &linear : model.linears)
    linears.push_back(
        b.structure({b.text(linear.name), b.i64(linear.rows),
                     b.i64(linear.columns), b.real(linear.bitsPerWeight)}));
  size_t numKernels = 0;
  Constant *kernels = buildKernels(b, target, numKernels);
  Constant *entries = buildEntries(b, model, target, weights.bytes);
  Constant *descriptor =
      b.address(b.structure({b.i32(PQUANT_ABI_VERSION),
                             b.i32(levels.size()),
                             b.text(model.name),
                             b.text(producer),
                             b.text(target.getTriple()),
                             b.array(levels),
                             entries,
                             b.i32(model.entries.size()),
                             b.i32(numKernels),
                             kernels,
                             buildWeights(b, weights, prefix),
                             b.i64(weights.bytes),
                             b.array(linears),
                             b.i32(linears.size()),
                             b.i32(text.addsBegin),
                             b.optionalText(weights.separateFile),
                             b.i64(weights.hash),
                             b.optionalText(text.tokenizer),
                             b.i64(text.tokenizer.size()),
                             b.optionalText(text.chatTemplate),
                             buildGPU(b, gpu, target, weights.bytes)}));

  auto *getter = llvm::Function::Create(
      llvm::FunctionType::get(b.pointerType(), false),
      llvm::GlobalValue::ExternalLinkage, prefix + "_model_descriptor", module);
  llvm::IRBuilder<> ir(
      llvm::BasicBlock::Create(module.getContext(), "entry", getter));
  ir.CreateRet(descriptor);
  // All else is the artifact's own business.
  for (llvm::Function &function : module)
    if (!function.isDeclaration() && &function != getter)
      function.setLinkage(llvm::GlobalValue::InternalLinkage);
}
