//===- PQKernelToVector.cpp - pqk ops to kernel functions -----------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Input: bufferized functions, one clone per instruction-set level, each with
// `pquant.level`. Output: every pqk op but `pqk.parallel` has become a call of
// a kernel function of the same level, generated here on first use.
//
//===----------------------------------------------------------------------===//

#include "pquant/Conversion/PQKernelToVector.h"
#include "dialects/PQKernel/PQKernelDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "pquant/Conversion/Passes.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace pquant;

namespace pquant {
#define GEN_PASS_DEF_CONVERTPQKERNELTOVECTORPASS
#include "pquant/Conversion/Passes.h.inc"
} // namespace pquant

//===----------------------------------------------------------------------===//
// Names
//===----------------------------------------------------------------------===//

static StringRef getKindName(KernelKind kind) {
  switch (kind) {
  case KernelKind::Quantize:
    return "quantize";
  case KernelKind::BinaryLinear:
    return "binary_linear";
  case KernelKind::Int8Linear:
    return "int8_linear";
  case KernelKind::ExpertLinear:
    return "expert_linear";
  case KernelKind::FloatLinear:
    return "float_linear";
  case KernelKind::Attention:
    return "attention";
  }
  llvm_unreachable("unknown kernel kind");
}

/// `_127`, `_m128`: fit for a symbol that C code can name.
static std::string getBoundName(int64_t bound) {
  return (bound < 0 ? "_m" : "_") + std::to_string(std::abs(bound));
}

/// `mul_recip`, and what differs from the defaults: `_add`, `_eps` and the bits
/// of the float, `_range` and the bounds.
static std::string getQuantizerName(QuantizerAttr quantizer) {
  std::string name = stringifyFormula(quantizer.getFormula()).str();
  if (quantizer.getGuard() != Guard::Max)
    name += "_" + stringifyGuard(quantizer.getGuard()).str();
  llvm::APFloat eps = quantizer.getEps();
  if (!eps.bitwiseIsEqual(llvm::APFloat(1e-5f)))
    name += "_eps" + llvm::utohexstr(eps.bitcastToAPInt().getZExtValue(),
                                     /*LowerCase=*/true);
  if (quantizer.getQmin() != -128 || quantizer.getQmax() != 127)
    name += "_range" + getBoundName(quantizer.getQmin()) +
            getBoundName(quantizer.getQmax());
  return name;
}

/// `_64_64`: D and E; `_f16` or `_i8`, `_causal`, `_mask`, `_scale` and the
/// bits of the float.
static std::string getAttentionName(const AttentionSpec &spec) {
  std::string name =
      "_" + std::to_string(spec.depth) + "_" + std::to_string(spec.width);
  if (!spec.element.isF32())
    name += spec.element.isF16() ? "_f16" : "_i8";
  if (spec.causal)
    name += "_causal";
  if (spec.masked)
    name += "_mask";
  uint64_t bits = llvm::APFloat(spec.scale).bitcastToAPInt().getZExtValue();
  return name + "_scale" + llvm::utohexstr(bits, /*LowerCase=*/true);
}

std::string KernelSpec::getSymbolName() const {
  std::string name = ("pqk_" + getKindName(kind)).str();
  if (accumulate)
    name += "_acc";
  if (halved)
    name += "_bf16";
  if (quantizer)
    name += "_" + getQuantizerName(quantizer);
  if (kind == KernelKind::Attention)
    name += getAttentionName(attention);
  return name + "_" + level.getName().str();
}

//===----------------------------------------------------------------------===//
// Kernel functions
//===----------------------------------------------------------------------===//

/// Row-major with dynamic sizes, outer stride and offset.
static MemRefType getOperandType(MemRefType type) {
  SmallVector<int64_t> shape(type.getRank(), ShapedType::kDynamic);
  SmallVector<int64_t> strides(type.getRank(), ShapedType::kDynamic);
  strides.back() = 1;
  auto layout =
      StridedLayoutAttr::get(type.getContext(), ShapedType::kDynamic, strides);
  return MemRefType::get(shape, type.getElementType(), layout,
                         type.getMemorySpace());
}

/// The operand types of a kind's kernels.
static SmallVector<Type> getArgumentTypes(MLIRContext *context,
                                          const KernelSpec &spec) {
  OpBuilder b(context);
  Type i8 = b.getI8Type(), i32 = b.getI32Type(), i64 = b.getI64Type(),
       f32 = b.getF32Type();
  auto vec = [&](Type element) -> Type {
    return getOperandType(MemRefType::get({ShapedType::kDynamic}, element));
  };
  auto mat = [&](Type element) -> Type {
    return getOperandType(
        MemRefType::get({ShapedType::kDynamic, ShapedType::kDynamic}, element));
  };
  switch (spec.kind) {
  case KernelKind::Quantize:
    return {mat(f32), mat(i8), vec(f32), vec(i32)};
  case KernelKind::BinaryLinear:
    return {mat(i8), vec(f32), vec(i32), vec(i8), vec(f32), mat(f32)};
  case KernelKind::Int8Linear:
    return {mat(i8), vec(f32), vec(i8), vec(i32), vec(f32), mat(f32)};
  case KernelKind::ExpertLinear:
    return {mat(i8), vec(f32), vec(i64), vec(i8), mat(i32), mat(f32), mat(f32)};
  case KernelKind::FloatLinear:
    return {mat(f32), vec(spec.halved ? b.getI16Type() : f32), mat(f32)};
  case KernelKind::Attention: {
    auto heads = [&](Type element) -> Type {
      SmallVector<int64_t> shape(4, ShapedType::kDynamic);
      return getOperandType(MemRefType::get(shape, element));
    };
    Type cache = heads(spec.attention.element);
    SmallVector<Type> types = {heads(f32), cache, cache, heads(f32)};
    if (spec.attention.masked)
      types.push_back(heads(f32));
    return types;
  }
  }
  llvm_unreachable("unknown kernel kind");
}

namespace {
/// The kernel functions of one module.
class KernelLibrary {
public:
  KernelLibrary(ModuleOp module, ArrayRef<KernelRow> table)
      : module(module), symbols(module), table(table) {}

  /// The kernel of a spec, created on first use.
  func::FuncOp get(const KernelSpec &spec);

  /// The function that takes a level's index after the kernel's operands and
  /// calls the kernel of that level, created on first use.
  func::FuncOp getSelector(const KernelSpec &spec, ArrayAttr levels);

private:
  ModuleOp module;
  SymbolTable symbols;
  ArrayRef<KernelRow> table;
};
} // namespace

func::FuncOp KernelLibrary::get(const KernelSpec &spec) {
  std::string name = spec.getSymbolName();
  if (auto existing = symbols.lookup<func::FuncOp>(name))
    return existing;
  const KernelRow *row = llvm::find_if(table, [&](const KernelRow &row) {
    return row.kind == spec.kind &&
           (row.feature.empty() || spec.level.hasFeature(row.feature));
  });
  assert(row != table.end() && "the generic rows end the table");

  MLIRContext *context = module.getContext();
  Location loc = UnknownLoc::get(context);
  auto type = FunctionType::get(context, getArgumentTypes(context, spec), {});
  auto function = func::FuncOp::create(loc, name, type);
  function.setPrivate();
  function->setAttr("llvm.emit_c_interface", UnitAttr::get(context));
  spec.level.assignTo(function);
  symbols.insert(function);

  Block *body = function.addEntryBlock();
  KernelBuilder b(loc, OpBuilder::atBlockEnd(body));
  row->emit(b, spec, body->getArguments(),
            [this](const KernelSpec &other) { return get(other); });
  b.setInsertionPointToEnd(body);
  func::ReturnOp::create(b);
  return function;
}

func::FuncOp KernelLibrary::getSelector(const KernelSpec &spec,
                                        ArrayAttr levels) {
  std::string name = "select_" + spec.getSymbolName();
  if (auto existing = symbols.lookup<func::FuncOp>(name))
    return existing;
  SmallVector<func::FuncOp> kernels;
  SmallVector<int64_t> cases;
  for (auto level : levels.getAsRange<LevelAttr>()) {
    KernelSpec leveled = spec;
    leveled.level = level;
    kernels.push_back(get(leveled));
    if (kernels.size() > 1)
      cases.push_back(kernels.size() - 1);
  }
  MLIRContext *context = module.getContext();
  Location loc = UnknownLoc::get(context);
  SmallVector<Type> types(kernels.front().getArgumentTypes());
  types.push_back(IndexType::get(context));
  auto function = func::FuncOp::create(
      loc, name, FunctionType::get(context, types, /*results=*/{}));
  function.setPrivate();
  spec.level.assignTo(function);
  symbols.insert(function);

  Block *body = function.addEntryBlock();
  OpBuilder builder = OpBuilder::atBlockEnd(body);
  ValueRange operands = body->getArguments().drop_back();
  auto select = scf::IndexSwitchOp::create(builder, loc, TypeRange(),
                                           body->getArguments().back(), cases,
                                           cases.size());
  for (auto [kernel, region] : llvm::zip_equal(kernels, select.getRegions())) {
    OpBuilder inside = OpBuilder::atBlockEnd(&region->emplaceBlock());
    func::CallOp::create(inside, loc, kernel, operands);
    scf::YieldOp::create(inside, loc);
  }
  func::ReturnOp::create(builder, loc);
  return function;
}

//===----------------------------------------------------------------------===//
// Ops to calls
//===----------------------------------------------------------------------===//

/// The spec of a pqk op, nothing for other ops.
static std::optional<KernelSpec> getSpec(Operation *op, LevelAttr level) {
  return llvm::TypeSwitch<Operation *, std::optional<KernelSpec>>(op)
      .Case([&](pqk::QuantizeOp op) {
        return KernelSpec{KernelKind::Quantize, level, false,
                          op.getQuantizer()};
      })
      .Case([&](pqk::BinaryLinearOp op) {
        return KernelSpec{
            KernelKind::BinaryLinear, level, op.getAccumulate(), {}};
      })
      .Case([&](pqk::Int8LinearOp op) {
        return KernelSpec{
            KernelKind::Int8Linear, level, op.getAccumulate(), {}};
      })
      .Case([&](pqk::ExpertLinearOp op) {
        return KernelSpec{
            KernelKind::ExpertLinear, level, op.getAccumulate(), {}};
      })
      .Case([&](pqk::FloatLinearOp op) {
        return KernelSpec{
            KernelKind::FloatLinear, level, false, {}, {}, op.isHalved()};
      })
      .Case([&](pqk::AttentionOp op) {
        auto typeOf = [](Value operand) {
          return cast<ShapedType>(operand.getType());
        };
        AttentionSpec attention = {typeOf(op.getQuery()).getDimSize(3),
                                   typeOf(op.getOutput()).getDimSize(3),
                                   typeOf(op.getKey()).getElementType(),
                                   op.getScale().convertToFloat(),
                                   op.getCausal(),
                                   bool(op.getMask())};
        return KernelSpec{KernelKind::Attention, level, false, {}, attention};
      })
      .Default(std::nullopt);
}

/// Replaces one op by a call of its kernel, or where levels share the code, of
/// its selector; the kernels read rows as contiguous memory.
static LogicalResult replaceByCall(Operation *op, const KernelSpec &spec,
                                   KernelLibrary &library) {
  for (Value operand : op->getOperands()) {
    auto type = dyn_cast<MemRefType>(operand.getType());
    if (!type)
      return op->emitOpError()
             << "must be bufferized before kernels are chosen, but has an "
                "operand of type "
             << operand.getType();
    if (!type.isLastDimUnitStride())
      return op->emitOpError()
             << "expected operands with contiguous rows, but got " << type;
  }
  auto function = op->getParentOfType<func::FuncOp>();
  auto levels = function->getAttrOfType<ArrayAttr>(kSharedByAttrName);
  func::FuncOp kernel =
      levels ? library.getSelector(spec, levels) : library.get(spec);
  OpBuilder builder(op);
  SmallVector<Value> operands;
  for (auto [operand, type] :
       llvm::zip(op->getOperands(), kernel.getArgumentTypes())) {
    Value cast = operand;
    if (cast.getType() != type)
      cast = memref::CastOp::create(builder, op->getLoc(), type, operand);
    operands.push_back(cast);
  }
  if (levels)
    operands.push_back(function.getArguments().back());
  func::CallOp::create(builder, op->getLoc(), kernel, operands);
  op->erase();
  return success();
}

LogicalResult pquant::lowerKernelOps(ModuleOp module,
                                     ArrayRef<KernelRow> table) {
  SmallVector<std::pair<Operation *, KernelSpec>> work;
  WalkResult walked = module.walk([&](func::FuncOp function) {
    auto level = function->getAttrOfType<LevelAttr>(kLevelAttrName);
    return function.walk([&](Operation *op) {
      std::optional<KernelSpec> spec = getSpec(op, level);
      if (!spec)
        return WalkResult::advance();
      if (!level) {
        op->emitOpError() << "expected a function with attribute '"
                          << kLevelAttrName << "'";
        return WalkResult::interrupt();
      }
      work.emplace_back(op, *spec);
      return WalkResult::advance();
    });
  });
  if (walked.wasInterrupted())
    return failure();
  KernelLibrary library(module, table);
  for (auto &[op, spec] : work)
    if (failed(replaceByCall(op, spec, library)))
      return failure();
  return success();
}

namespace {
struct ConvertPQKernelToVectorPass
    : public pquant::impl::ConvertPQKernelToVectorPassBase<
          ConvertPQKernelToVectorPass> {
  void runOnOperation() override {
    if (failed(lowerKernelOps(getOperation(), getGenericKernels())))
      signalPassFailure();
  }
};
} // namespace
