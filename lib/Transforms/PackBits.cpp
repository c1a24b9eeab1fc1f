//===- PackBits.cpp - Weights in the layout of the target -----------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// --pquant-pack-bits. In: linears with plain constant weights (a float weight
// may be the transpose of one). Out: the same with weights of a type that
// carries a #pquant.layout and a blob of packed bytes. Weights are taken one at
// a time; the old bytes are freed when nothing else holds them, so that the
// peak is the model and one weight.
//
//===----------------------------------------------------------------------===//

#include "dialects/PQuant/PQuantDialect.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/DialectResourceBlobManager.h"
#include "mlir/IR/Remarks.h"
#include "pquant/Layout/B16x256.h"
#include "pquant/Layout/D16.h"
#include "pquant/Layout/F32x16.h"
#include "pquant/Layout/I1x16x8.h"
#include "pquant/Layout/I8x16x4.h"
#include "pquant/Support/Constants.h"
#include "pquant/Support/TensorBuilders.h"
#include "pquant/Support/TensorTypes.h"
#include "pquant/Transforms/ConstantUses.h"
#include "pquant/Transforms/Passes.h"
#include "llvm/ADT/MapVector.h"

namespace pquant {
#define GEN_PASS_DEF_PACKBITSPASS
#include "pquant/Transforms/Passes.h.inc"
} // namespace pquant

using namespace mlir;
using namespace pquant;

static remark::RemarkOpts remarkName(StringRef name) {
  return remark::RemarkOpts::name(name).category("pquant-pack-bits");
}

//===----------------------------------------------------------------------===//
// Which weights
//===----------------------------------------------------------------------===//

/// Several scales a row, which no kernel takes.
static bool isGrouped(Value scale) { return typeOf(scale).getDimSize(1) != 1; }

static SmallVector<OpOperand *> operandsOf(MutableOperandRange range) {
  SmallVector<OpOperand *> result;
  for (OpOperand &operand : range)
    result.push_back(&operand);
  return result;
}

/// The operands of `op` that are weights; none when no kernel takes them.
static SmallVector<OpOperand *> weightsOf(Operation *op) {
  if (auto int8 = dyn_cast<Int8LinearOp>(op))
    return {&int8.getWeightMutable()};
  if (auto expert = dyn_cast<ExpertLinearOp>(op))
    return {&expert.getWeightMutable()};
  if (auto linear = dyn_cast<FloatLinearOp>(op))
    return {&linear.getWeightMutable()};
  SmallVector<OpOperand *> result;
  bool grouped = false;
  if (auto binary = dyn_cast<BinaryLinearOp>(op)) {
    result = operandsOf(binary.getPlanesMutable());
    grouped = llvm::any_of(binary.getScales(), isGrouped);
  } else if (auto decoupled = dyn_cast<DecoupledLinearOp>(op)) {
    result = operandsOf(decoupled.getPlanesMutable());
    result.push_back(&decoupled.getInt8WeightMutable());
    grouped = llvm::any_of(decoupled.getScales(), isGrouped);
  }
  if (!grouped)
    return result;
  remark::missed(op->getLoc(), remarkName("NotPacked"))
      << "weight not packed: several scales a row, which no kernel takes";
  return {};
}

namespace {
/// Where the bytes of a weight are.
struct Source {
  Value constant;
  bool transposed;
};

/// A constant in one order; all its uses get the same packed constant.
using Key = std::pair<Attribute, int>;

struct Use {
  OpOperand *operand;
  Source source;
};

using UseGroups = llvm::MapVector<Key, SmallVector<Use>>;
} // namespace

/// The constant behind a weight operand, if it is one with its bytes there.
static std::optional<Source> findSource(Value weight) {
  Source source{weight, false};
  if (auto transpose = weight.getDefiningOp<linalg::TransposeOp>())
    if (typeOf(weight).getElementType().isF32() &&
        typeOf(weight).getRank() == 2)
      source = {transpose.getInput(), transpose.getPermutation()[0] == 1};
  ElementsAttr attr = getConstant(source.constant);
  if (!attr || getConstantBytes(attr).empty())
    return std::nullopt;
  return source;
}

/// Adds the weights of `op`: all of them or, when one is no constant, none.
static void collectUses(Operation *op, UseGroups &groups) {
  SmallVector<Use> uses;
  for (OpOperand *operand : weightsOf(op)) {
    if (typeOf(operand->get()).getEncoding())
      return;
    std::optional<Source> source = findSource(operand->get());
    if (!source) {
      remark::missed(op->getLoc(), remarkName("NotPacked"))
          << "weight not packed: it is no constant";
      return;
    }
    uses.push_back({operand, *source});
  }
  for (const Use &use : uses)
    groups[{getConstant(use.source.constant), int(use.source.transposed)}]
        .push_back(use);
}

//===----------------------------------------------------------------------===//
// Packing
//===----------------------------------------------------------------------===//

/// All elements of `attr`, in `storage` when it stores only one.
static ArrayRef<char> allBytes(ElementsAttr attr, SmallVector<char> &storage) {
  ArrayRef<char> bytes = getConstantBytes(attr);
  if (!isSplatConstant(attr))
    return bytes;
  auto type = cast<ShapedType>(attr.getType());
  storage.resize(getStoredBytes(type));
  if (type.getElementType().isInteger(1)) {
    for (int64_t i = 0, e = type.getNumElements(); i < e; ++i)
      if (readBit(bytes, 0))
        setBit(storage, i);
    return storage;
  }
  for (size_t i = 0; i < storage.size(); ++i)
    storage[i] = bytes[i % bytes.size()];
  return storage;
}

/// The packed constant of `type`, a plain weight type in its final order.
static ElementsAttr pack(ElementsAttr attr, RankedTensorType type,
                         bool transposed, LayoutAttr layout) {
  SmallVector<char> storage;
  ArrayRef<char> bytes = allBytes(attr, storage);
  ArrayRef<int64_t> shape = type.getShape();
  size_t rows = shape[shape.size() - 2], columns = shape.back();
  AsmResourceBlob blob = allocateBlob(layout.getStorageBytes(shape));
  char *packed = blob.getMutableData().data();
  switch (layout.getKind()) {
  case LayoutKind::B16x256:
    layout::packB16x256(reinterpret_cast<const uint8_t *>(bytes.data()), rows,
                        columns, reinterpret_cast<uint8_t *>(packed));
    break;
  case LayoutKind::D16:
    layout::packD16(reinterpret_cast<const uint8_t *>(bytes.data()), rows,
                    columns, reinterpret_cast<uint8_t *>(packed));
    break;
  case LayoutKind::I1x16x8:
    layout::packI1x16x8(reinterpret_cast<const uint8_t *>(bytes.data()), rows,
                        columns, reinterpret_cast<uint8_t *>(packed));
    break;
  case LayoutKind::I8x16x4:
    for (size_t i = 0, e = shape.size() == 3 ? shape[0] : 1; i < e; ++i)
      layout::packI8x16x4(reinterpret_cast<const int8_t *>(bytes.data()) +
                              i * rows * columns,
                          rows, columns,
                          reinterpret_cast<int8_t *>(packed) +
                              i * layout::i8x16x4Bytes(rows, columns));
    break;
  case LayoutKind::F32x16:
    layout::packF32x16(reinterpret_cast<const float *>(bytes.data()), rows,
                       columns, transposed ? 1 : columns, transposed ? rows : 1,
                       reinterpret_cast<float *>(packed));
    break;
  case LayoutKind::BF16x16:
    layout::packBF16x16(reinterpret_cast<const float *>(bytes.data()), rows,
                        columns, transposed ? 1 : columns,
                        transposed ? rows : 1,
                        reinterpret_cast<uint16_t *>(packed));
    break;
  }
  std::string name = "packed";
  if (auto resource = dyn_cast<DenseResourceElementsAttr>(attr))
    name += "_" + resource.getRawHandle().getKey().str();
  auto packedType = RankedTensorType::get(shape, type.getElementType(), layout);
  return DenseResourceElementsAttr::get(packedType, name, std::move(blob));
}

namespace {
struct PackBitsPass : pquant::impl::PackBitsPassBase<PackBitsPass> {
  using PackBitsPassBase::PackBitsPassBase;

  void runOnOperation() override {
    if (failed(findChooser()))
      return signalPassFailure();
    UseGroups groups;
    getOperation().walk([&](Operation *op) { collectUses(op, groups); });
    for (auto &[key, uses] : groups)
      if (failed(packGroup(uses)))
        return signalPassFailure();
  }

private:
  /// Finds what chooses layouts; fails when there is no target.
  LogicalResult findChooser() {
    if (layout == "d16")
      return success();
    if (layout != "target")
      return getOperation().emitError()
             << "expected layout to be 'target' or 'd16', but got '" << layout
             << "'";
    Attribute target = getOperation()->getAttr(kTargetAttrName);
    if (!target)
      return getOperation().emitError("module has no ") << kTargetAttrName;
    chooser = dyn_cast<LayoutChooserInterface>(target);
    if (!chooser)
      return getOperation().emitError()
             << "expected a target with storage layouts, but got " << target;
    return success();
  }

  LayoutAttr choose(RankedTensorType type, ArrayRef<char> bytes) {
    int64_t rows = type.getDimSize(type.getRank() - 2);
    int64_t columns = type.getShape().back();
    Type element = type.getElementType();
    bool fixed = !chooser;
    LayoutKind kind;
    if (element.isInteger(1))
      kind =
          fixed ? LayoutKind::D16 : chooser.chooseBinaryLayout(rows, columns);
    else if (element.isInteger(8))
      kind =
          fixed ? LayoutKind::I8x16x4 : chooser.chooseInt8Layout(rows, columns);
    else
      kind =
          fixed ? LayoutKind::F32x16 : chooser.chooseFloatLayout(rows, columns);
    // Half the bytes where nothing is lost.
    if (!fixed && kind == LayoutKind::F32x16 &&
        layout::areBFloat16(reinterpret_cast<const float *>(bytes.data()),
                            bytes.size() / sizeof(float)))
      kind = LayoutKind::BF16x16;
    return LayoutAttr::get(&getContext(), kind);
  }

  /// Packs one constant and gives it to all its uses.
  LogicalResult packGroup(ArrayRef<Use> uses) {
    OpOperand *first = uses[0].operand;
    Location loc = first->getOwner()->getLoc();
    RankedTensorType type = typeOf(first->get());
    ElementsAttr plain = getConstant(uses[0].source.constant);
    LayoutAttr chosen = choose(type, getConstantBytes(plain));
    if (failed(chosen.verifyEncoding(type.getShape(), type.getElementType(),
                                     [&] { return emitError(loc); })))
      return failure();
    ElementsAttr packed = pack(plain, type, uses[0].source.transposed, chosen);
    llvm::DenseMap<Value, Value> constants;
    SmallVector<Value> old;
    for (const Use &use : uses) {
      Value &constant = constants[use.source.constant];
      if (!constant) {
        OpBuilder builder(use.source.constant.getDefiningOp());
        constant = arith::ConstantOp::create(
            builder, use.source.constant.getLoc(), cast<TypedAttr>(packed));
      }
      old.push_back(use.operand->get());
      use.operand->set(constant);
    }
    remark::passed(loc, remarkName("Packed"))
        << ("packed a weight into " + stringifyLayoutKind(chosen.getKind()) +
            " for " + Twine(uses.size()) + " uses: " +
            Twine(chosen.getStorageBytes(type.getShape())) + " bytes")
               .str();
    releaseDeadConstants(getOperation(), old);
    return success();
  }

  LayoutChooserInterface chooser;
};
} // namespace
