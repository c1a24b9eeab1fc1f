//===- JoinLinears.cpp - Linears over one activation, joined --------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The part of --pquant-fuse-branches that joins linears of one kind which read
// the same quantised rows (Q, K and V; gate and up) into one with their weights
// stacked by rows. One kernel call then walks one matrix, and one parallel
// region does the work of several.
//
// The rule: a linear is joined when its weights and scales are constants and
// everything that reads its result can read a slice, that is rows at a
// distance: linalg ops, tensor.expand_shape, tensor.extract_slice, rotary
// embedding and attention. A quantiser, a tensor.collapse_shape of rows or a
// return needs dense rows; the slice would be copied there, M x N floats
// written and read again, which costs more than the launch that joining saves.
//
//===----------------------------------------------------------------------===//

#include "pquant/Transforms/JoinLinears.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Remarks.h"
#include "pquant/Layout/BitMatrix.h"
#include "pquant/Support/Constants.h"
#include "pquant/Support/TensorBuilders.h"
#include "pquant/Support/TensorTypes.h"
#include "pquant/Transforms/ConstantUses.h"
#include "llvm/ADT/MapVector.h"
#include <cstring>

using namespace mlir;
using namespace pquant;

static remark::RemarkOpts remarkName(StringRef name) {
  return remark::RemarkOpts::name(name).category("pquant-fuse-branches");
}

//===----------------------------------------------------------------------===//
// The rule
//===----------------------------------------------------------------------===//

/// The first reader of `value` that needs dense rows, or null.
static Operation *findDenseReader(Value value) {
  for (Operation *user : value.getUsers())
    if (!isa<linalg::LinalgOp, tensor::ExpandShapeOp, tensor::ExtractSliceOp,
             tensor::DimOp, RotaryEmbeddingOp, AttentionOp>(user))
      return user;
  return nullptr;
}

/// The operands of a linear that are weights or scales of weights.
static SmallVector<Value> constantOperands(Operation *op) {
  if (auto binary = dyn_cast<BinaryLinearOp>(op)) {
    SmallVector<Value> result(binary.getPlanes());
    llvm::append_range(result, binary.getScales());
    if (binary.getOffset())
      result.push_back(binary.getOffset());
    return result;
  }
  if (auto int8 = dyn_cast<Int8LinearOp>(op))
    return {int8.getWeight(), int8.getWeightScale()};
  auto expert = cast<ExpertLinearOp>(op);
  return {expert.getWeight(), expert.getWeightScale()};
}

/// Whether `op` may be joined with others; says why not.
static bool canJoin(Operation *op) {
  for (Value operand : constantOperands(op)) {
    ElementsAttr attr = getConstant(operand);
    if (!attr || typeOf(operand).getEncoding() ||
        getConstantBytes(attr).empty()) {
      remark::missed(op->getLoc(), remarkName("NotJoined"))
          << "linear not joined: a weight or a scale is no plain constant";
      return false;
    }
  }
  if (Operation *reader = findDenseReader(op->getResult(0))) {
    remark::missed(op->getLoc(), remarkName("NotJoined"))
        << ("linear not joined: '" + reader->getName().getStringRef() +
            "' reads its result and needs dense rows")
               .str();
    return false;
  }
  return true;
}

namespace {
/// What linears must agree on to be joined.
struct JoinKey {
  SmallVector<void *> parts;
  explicit JoinKey(Operation *op) {
    parts = {op->getName().getAsOpaquePointer(), op->getBlock(),
             op->getOperand(0).getAsOpaquePointer(),
             op->getOperand(1).getAsOpaquePointer()};
    if (auto expert = dyn_cast<ExpertLinearOp>(op)) {
      parts.push_back(expert.getIndex().getAsOpaquePointer());
      parts.push_back(
          reinterpret_cast<void *>(typeOf(expert.getWeight()).getDimSize(0)));
    }
    if (auto binary = dyn_cast<BinaryLinearOp>(op)) {
      parts.push_back(reinterpret_cast<void *>(binary.getPlanes().size()));
      for (Value scale : binary.getScales())
        parts.push_back(reinterpret_cast<void *>(typeOf(scale).getDimSize(1)));
    }
  }
  bool operator==(const JoinKey &other) const { return parts == other.parts; }
};
} // namespace

//===----------------------------------------------------------------------===//
// Joining constants
//===----------------------------------------------------------------------===//

/// The bytes of a constant as the bytes of all its elements.
static SmallVector<char> expandSplat(ElementsAttr attr) {
  SmallVector<char> bytes(getStoredBytes(cast<ShapedType>(attr.getType())));
  if (attr.getElementType().isInteger(1)) {
    if (readBit(getConstantBytes(attr), 0))
      for (int64_t i = 0, e = attr.getNumElements(); i < e; ++i)
        setBit(bytes, i);
    return bytes;
  }
  ArrayRef<char> element = getConstantBytes(attr);
  for (size_t i = 0; i < bytes.size(); i += element.size())
    std::memcpy(&bytes[i], element.data(), element.size());
  return bytes;
}

/// Calls `use` on the bytes of all elements of the constant `value`.
static void withBytes(Value value,
                      llvm::function_ref<void(ArrayRef<char>)> use) {
  ElementsAttr attr = getConstant(value);
  if (isSplatConstant(attr))
    return use(expandSplat(attr));
  use(getConstantBytes(attr));
}

/// A constant of `type` that owns `blob`; small ones are stored inline.
static Value buildJoined(OpBuilder &builder, Location loc,
                         RankedTensorType type, AsmResourceBlob blob,
                         StringRef name) {
  ElementsAttr attr;
  if (type.getNumElements() <= maxInlineElements)
    attr = makeConstantAttr(type, blob.getData(), name);
  else
    attr = makeResourceAttr(type, std::move(blob), name);
  return arith::ConstantOp::create(builder, loc, cast<TypedAttr>(attr));
}

/// Bit matrices of one width, stacked by rows.
static Value joinBits(OpBuilder &builder, Location loc,
                      ArrayRef<Value> matrices) {
  int64_t rows = 0, columns = typeOf(matrices[0]).getDimSize(1);
  for (Value matrix : matrices)
    rows += typeOf(matrix).getDimSize(0);
  auto type = RankedTensorType::get({rows, columns}, builder.getI1Type());
  AsmResourceBlob blob = allocateBlob(getStoredBytes(type));
  auto *bytes = reinterpret_cast<uint8_t *>(blob.getMutableData().data());
  int64_t start = 0;
  for (Value matrix : matrices)
    withBytes(matrix, [&](ArrayRef<char> source) {
      int64_t count = typeOf(matrix).getNumElements();
      layout::copyBits(bytes, start,
                       reinterpret_cast<const uint8_t *>(source.data()), 0,
                       count);
      start += count;
    });
  return buildJoined(builder, loc, type, std::move(blob), "joined_bits");
}

/// Tensors of whole-byte elements joined along dimension `dim`.
static Value joinElements(OpBuilder &builder, Location loc,
                          ArrayRef<Value> tensors, int64_t dim,
                          StringRef name) {
  SmallVector<int64_t> shape(typeOf(tensors[0]).getShape());
  int64_t outer = 1;
  for (int64_t i = 0; i < dim; ++i)
    outer *= shape[i];
  shape[dim] = 0;
  for (Value tensor : tensors)
    shape[dim] += typeOf(tensor).getDimSize(dim);
  auto type = RankedTensorType::get(shape, typeOf(tensors[0]).getElementType());
  AsmResourceBlob blob = allocateBlob(getStoredBytes(type));
  char *bytes = blob.getMutableData().data();
  size_t stride = getStoredBytes(type) / outer, start = 0;
  for (Value tensor : tensors)
    withBytes(tensor, [&](ArrayRef<char> source) {
      size_t part = source.size() / outer;
      for (int64_t i = 0; i < outer; ++i)
        std::memcpy(bytes + i * stride + start, source.data() + i * part, part);
      start += part;
    });
  return buildJoined(builder, loc, type, std::move(blob), name);
}

/// A constant scale whose size along `dim` is 1 or `rows`, with `rows` there.
static Value expandScale(OpBuilder &builder, Location loc, Value scale,
                         int64_t dim, int64_t rows) {
  SmallVector<int64_t> shape(typeOf(scale).getShape());
  if (shape[dim] == rows)
    return scale;
  SmallVector<float> values = *readFloats(scale), expanded;
  size_t inner = 1;
  for (size_t i = dim + 1; i < shape.size(); ++i)
    inner *= shape[i];
  for (size_t start = 0; start < values.size(); start += inner)
    for (int64_t row = 0; row < rows; ++row)
      expanded.append(values.begin() + start, values.begin() + start + inner);
  shape[dim] = rows;
  return buildFloats(builder, loc, shape, expanded, "scale");
}

namespace {
/// One scale a member, and the rows of the member.
struct ScaleParts {
  SmallVector<Value> scales;
  SmallVector<int64_t> rows;
};
} // namespace

/// Scales joined along `dim`; equal scales a tensor stay one.
static Value joinScales(OpBuilder &builder, Location loc,
                        const ScaleParts &parts, int64_t dim) {
  Attribute first = getConstant(parts.scales[0]);
  if (typeOf(parts.scales[0]).getDimSize(dim) == 1 &&
      llvm::all_of(parts.scales,
                   [&](Value scale) { return getConstant(scale) == first; }))
    return arith::ConstantOp::create(builder, loc, cast<TypedAttr>(first));
  SmallVector<Value> expanded;
  for (auto [scale, rows] : llvm::zip(parts.scales, parts.rows))
    expanded.push_back(expandScale(builder, loc, scale, dim, rows));
  Value joined = joinElements(builder, loc, expanded, dim, "joined_scale");
  for (Value scale : expanded)
    if (scale.use_empty())
      scale.getDefiningOp()->erase();
  return joined;
}

//===----------------------------------------------------------------------===//
// Joining ops
//===----------------------------------------------------------------------===//

template <typename OpTy>
static SmallVector<Value> mapOps(ArrayRef<Operation *> ops,
                                 llvm::function_ref<Value(OpTy)> get) {
  SmallVector<Value> result;
  for (Operation *op : ops)
    result.push_back(get(cast<OpTy>(op)));
  return result;
}

static Value buildJoinedBinary(OpBuilder &builder, Location loc,
                               ArrayRef<Operation *> ops,
                               ArrayRef<int64_t> rows) {
  auto first = cast<BinaryLinearOp>(ops[0]);
  SmallVector<Value> planes, scales;
  for (size_t p = 0; p < first.getPlanes().size(); ++p) {
    planes.push_back(joinBits(
        builder, loc, mapOps<BinaryLinearOp>(ops, [&](BinaryLinearOp op) {
          return op.getPlanes()[p];
        })));
    ScaleParts parts{
        mapOps<BinaryLinearOp>(
            ops, [&](BinaryLinearOp op) { return op.getScales()[p]; }),
        SmallVector<int64_t>(rows)};
    scales.push_back(joinScales(builder, loc, parts, 0));
  }
  Value offset;
  if (llvm::any_of(ops, [](Operation *op) {
        return bool(cast<BinaryLinearOp>(op).getOffset());
      })) {
    Value zero = buildFloats(builder, loc, {1}, {0.0f}, "offset");
    ScaleParts parts{mapOps<BinaryLinearOp>(ops,
                                            [&](BinaryLinearOp op) {
                                              return op.getOffset()
                                                         ? op.getOffset()
                                                         : zero;
                                            }),
                     SmallVector<int64_t>(rows)};
    offset = joinScales(builder, loc, parts, 0);
  }
  return BinaryLinearOp::create(builder, loc, first.getInput(),
                                first.getInputScale(), planes, scales, offset);
}

static Value buildJoinedOp(OpBuilder &builder, Location loc,
                           ArrayRef<Operation *> ops, ArrayRef<int64_t> rows) {
  if (isa<BinaryLinearOp>(ops[0]))
    return buildJoinedBinary(builder, loc, ops, rows);
  bool experts = isa<ExpertLinearOp>(ops[0]);
  int64_t dim = experts ? 1 : 0;
  SmallVector<Value> weights;
  ScaleParts parts{{}, SmallVector<int64_t>(rows)};
  for (Operation *op : ops) {
    SmallVector<Value> constants = constantOperands(op);
    weights.push_back(constants[0]);
    parts.scales.push_back(constants[1]);
  }
  Value weight = joinElements(builder, loc, weights, dim, "joined_int8");
  Value scale = joinScales(builder, loc, parts, dim);
  if (!experts)
    return Int8LinearOp::create(builder, loc, ops[0]->getOperand(0),
                                ops[0]->getOperand(1), weight, scale);
  auto first = cast<ExpertLinearOp>(ops[0]);
  return ExpertLinearOp::create(builder, loc, first.getInput(),
                                first.getInputScale(), first.getIndex(), weight,
                                scale);
}

/// Columns [start, start + type's last size) of `joined`.
static Value buildSlice(OpBuilder &builder, Location loc, Value joined,
                        RankedTensorType type, int64_t start) {
  SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(builder, loc, joined);
  SmallVector<OpFoldResult> offsets(sizes.size(), builder.getIndexAttr(0));
  SmallVector<OpFoldResult> strides(sizes.size(), builder.getIndexAttr(1));
  offsets.back() = builder.getIndexAttr(start);
  sizes.back() = builder.getIndexAttr(type.getShape().back());
  return tensor::ExtractSliceOp::create(builder, loc, type, joined, offsets,
                                        sizes, strides);
}

static void joinGroup(Operation *root, IRRewriter &rewriter,
                      ArrayRef<Operation *> ops) {
  SmallVector<Location> locs;
  SmallVector<int64_t> rows;
  SmallVector<Value> dead;
  for (Operation *op : ops) {
    locs.push_back(op->getLoc());
    rows.push_back(typeOf(op->getResult(0)).getShape().back());
    llvm::append_range(dead, constantOperands(op));
  }
  Location loc = FusedLoc::get(rewriter.getContext(), locs);
  rewriter.setInsertionPoint(ops[0]);
  Value joined = buildJoinedOp(rewriter, loc, ops, rows);
  int64_t start = 0;
  for (auto [op, count] : llvm::zip(ops, rows)) {
    Value slice = buildSlice(rewriter, op->getLoc(), joined,
                             typeOf(op->getResult(0)), start);
    start += count;
    rewriter.replaceOp(op, slice);
  }
  remark::passed(loc, remarkName("Joined"))
      << ("joined " + Twine(ops.size()) +
          " linears over one activation: " + Twine(start) + " rows")
             .str();
  releaseDeadConstants(root, dead);
}

void pquant::joinLinears(Operation *root) {
  SmallVector<std::pair<JoinKey, SmallVector<Operation *>>> groups;
  root->walk([&](Operation *op) {
    if (!isa<BinaryLinearOp, Int8LinearOp, ExpertLinearOp>(op))
      return;
    JoinKey key(op);
    auto *found = llvm::find_if(
        groups, [&](const auto &group) { return group.first == key; });
    if (found == groups.end())
      groups.push_back({key, {op}});
    else
      found->second.push_back(op);
  });
  IRRewriter rewriter(root->getContext());
  for (auto &[key, ops] : groups) {
    if (ops.size() < 2)
      continue;
    SmallVector<Operation *> members;
    llvm::copy_if(ops, std::back_inserter(members), canJoin);
    if (members.size() > 1)
      joinGroup(root, rewriter, members);
  }
}
