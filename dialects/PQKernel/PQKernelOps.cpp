//===- PQKernelOps.cpp - Ops of the pqk dialect ---------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Verifiers, memory effects and the syntax of `pqk.parallel`.
//
//===----------------------------------------------------------------------===//

#include "dialects/PQKernel/PQKernelDialect.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace pquant;
using namespace pquant::pqk;

//===----------------------------------------------------------------------===//
// Memory effects
//===----------------------------------------------------------------------===//

using Effects = SmallVectorImpl<MemoryEffects::EffectInstance>;

/// Memref inputs are read; memref inits are written, and read before when the
/// kernel adds to them. Tensors have no effects.
static void addKernelEffects(DestinationStyleOpInterface op, bool accumulate,
                             Effects &effects) {
  auto add = [&](OpOperand &operand, MemoryEffects::Effect *effect) {
    if (isa<MemRefType>(operand.get().getType()))
      effects.emplace_back(effect, &operand, /*stage=*/0,
                           /*effectOnFullRegion=*/true,
                           SideEffects::DefaultResource::get());
  };
  for (OpOperand *input : op.getDpsInputOperands())
    add(*input, MemoryEffects::Read::get());
  for (OpOperand &init : op.getDpsInitsMutable()) {
    if (accumulate)
      add(init, MemoryEffects::Read::get());
    add(init, MemoryEffects::Write::get());
  }
}

void pqk::QuantizeOp::getEffects(Effects &effects) {
  addKernelEffects(*this, /*accumulate=*/false, effects);
}

void pqk::BinaryLinearOp::getEffects(Effects &effects) {
  addKernelEffects(*this, getAccumulate(), effects);
}

void pqk::Int8LinearOp::getEffects(Effects &effects) {
  addKernelEffects(*this, getAccumulate(), effects);
}

void pqk::ExpertLinearOp::getEffects(Effects &effects) {
  addKernelEffects(*this, getAccumulate(), effects);
}

void pqk::FloatLinearOp::getEffects(Effects &effects) {
  addKernelEffects(*this, /*accumulate=*/false, effects);
}

void pqk::AttentionOp::getEffects(Effects &effects) {
  addKernelEffects(*this, /*accumulate=*/false, effects);
}

//===----------------------------------------------------------------------===//
// Verifiers
//===----------------------------------------------------------------------===//

/// Checks that dimension `dim` of `value` has `expected` elements; dynamic
/// sizes are left to the caller of the kernel.
static LogicalResult verifySize(Operation *op, StringRef what, Value value,
                                unsigned dim, int64_t expected) {
  int64_t size = cast<ShapedType>(value.getType()).getDimSize(dim);
  if (ShapedType::isDynamic(size) || ShapedType::isDynamic(expected) ||
      size == expected)
    return success();
  return op->emitOpError() << "expected " << what << " to be " << expected
                           << ", but got " << size;
}

/// Checks that tensors and memrefs are not mixed, which the operand types
/// alone would allow.
static LogicalResult verifyOneSemantics(DestinationStyleOpInterface op) {
  if (op.hasPureTensorSemantics() || op.hasPureBufferSemantics())
    return success();
  return op->emitOpError() << "expected operands to be all tensors or all "
                              "memrefs, but got both";
}

static int64_t getSize(Value value, unsigned dim) {
  return cast<ShapedType>(value.getType()).getDimSize(dim);
}

/// The columns that quantised rows of `columns` elements have.
static int64_t getPaddedColumns(int64_t columns) {
  return ShapedType::isDynamic(columns)
             ? columns
             : int64_t(llvm::alignTo<64>(uint64_t(columns)));
}

LogicalResult pqk::QuantizeOp::verify() {
  if (failed(verifyOneSemantics(*this)))
    return failure();
  // (C1)
  if (failed(verifySize(*this,
                        "columns of values (input columns rounded up "
                        "to 64)",
                        getValues(), 1,
                        getPaddedColumns(getSize(getInput(), 1)))))
    return failure();
  // (C2)
  int64_t rows = getSize(getInput(), 0);
  if (failed(verifySize(*this, "rows of values", getValues(), 0, rows)) ||
      failed(verifySize(*this, "length of scale", getScale(), 0, rows)) ||
      failed(verifySize(*this, "length of sum", getSum(), 0, rows)))
    return failure();
  return success();
}

/// (C1) of the quantised linear kernels.
template <typename OpTy>
static LogicalResult verifyColumns(OpTy op) {
  int64_t columns = op.getColumns();
  if (columns < 1)
    return op->emitOpError()
           << "expected columns to be at least 1, but got " << columns;
  return verifySize(op, "columns of input (columns rounded up to 64)",
                    op.getInput(), 1, getPaddedColumns(columns));
}

/// The rows that (C2) names, apart from those that only one kernel has.
template <typename OpTy>
static LogicalResult verifyRowCounts(OpTy op) {
  int64_t rows = getSize(op.getInput(), 0);
  if (failed(verifySize(op, "length of scale", op.getScale(), 0, rows)))
    return failure();
  return verifySize(op, "rows of output", op.getOutput(), 0, rows);
}

/// Checks that the flat weight buffer holds `matrices` matrices of N x K.
static LogicalResult verifyWeight(Operation *op, Value weight, LayoutKind kind,
                                  int64_t matrices, int64_t n, int64_t k) {
  if (ShapedType::isDynamic(n) || ShapedType::isDynamic(matrices))
    return success();
  auto layout = LayoutAttr::get(op->getContext(), kind);
  int64_t size = layout.getStorageType({matrices, n, k}).getDimSize(0);
  std::string what =
      ("length of weight in layout " + stringifyLayoutKind(kind)).str();
  return verifySize(op, what, weight, 0, size);
}

LogicalResult pqk::BinaryLinearOp::verify() {
  int64_t rows = getSize(getInput(), 0), n = getSize(getOutput(), 1);
  // (C1)
  if (failed(verifyOneSemantics(*this)) || failed(verifyColumns(*this)))
    return failure();
  // (C2)
  if (failed(verifyRowCounts(*this)) ||
      failed(verifySize(*this, "length of sum", getSum(), 0, rows)))
    return failure();
  // (C3)
  if (failed(
          verifySize(*this, "length of weight_scale", getWeightScale(), 0, n)))
    return failure();
  // (C4)
  LayoutKind kind = getLayoutKind();
  if (!holdsBits(kind))
    return emitOpError() << "expected a layout of 1-bit matrices, but got "
                         << stringifyLayoutKind(kind);
  return verifyWeight(*this, getWeight(), kind, 1, n, getColumns());
}

LogicalResult pqk::Int8LinearOp::verify() {
  int64_t n = getSize(getOutput(), 1);
  // (C1)
  if (failed(verifyOneSemantics(*this)) || failed(verifyColumns(*this)))
    return failure();
  // (C2)
  if (failed(verifyRowCounts(*this)))
    return failure();
  // (C3)
  if (failed(verifySize(*this, "length of row_sum", getRowSum(), 0, n)) ||
      failed(
          verifySize(*this, "length of weight_scale", getWeightScale(), 0, n)))
    return failure();
  // (C4)
  return verifyWeight(*this, getWeight(), LayoutKind::I8x16x4, 1, n,
                      getColumns());
}

LogicalResult pqk::ExpertLinearOp::verify() {
  int64_t rows = getSize(getInput(), 0), n = getSize(getOutput(), 1);
  int64_t experts = getSize(getRowSum(), 0);
  // (C1)
  if (failed(verifyOneSemantics(*this)) || failed(verifyColumns(*this)))
    return failure();
  // (C2)
  if (failed(verifyRowCounts(*this)) ||
      failed(verifySize(*this, "length of index", getIndex(), 0, rows)))
    return failure();
  // (C3)
  if (failed(verifySize(*this, "columns of row_sum", getRowSum(), 1, n)) ||
      failed(verifySize(*this, "rows of weight_scale", getWeightScale(), 0,
                        experts)) ||
      failed(
          verifySize(*this, "columns of weight_scale", getWeightScale(), 1, n)))
    return failure();
  // (C4)
  return verifyWeight(*this, getWeight(), LayoutKind::I8x16x4, experts, n,
                      getColumns());
}

LogicalResult pqk::FloatLinearOp::verify() {
  int64_t n = getSize(getOutput(), 1), k = getSize(getInput(), 1);
  // (C1)
  if (failed(verifyOneSemantics(*this)) ||
      failed(verifySize(*this, "rows of output", getOutput(), 0,
                        getSize(getInput(), 0))))
    return failure();
  // (C2)
  if (ShapedType::isDynamic(k))
    return success();
  LayoutKind kind = isHalved() ? LayoutKind::BF16x16 : LayoutKind::F32x16;
  return verifyWeight(*this, getWeight(), kind, 1, n, k);
}

/// (C3) of pqk.attention.
static LogicalResult verifyMask(pqk::AttentionOp op) {
  Value mask = op.getMask(), output = op.getOutput();
  if (!mask)
    return success();
  if (getSize(mask, 0) != 1 &&
      failed(verifySize(op, "batch of mask", mask, 0, getSize(output, 0))))
    return failure();
  if (failed(verifySize(op, "heads of mask", mask, 1, 1)) ||
      failed(verifySize(op, "rows of mask", mask, 2, getSize(output, 2))))
    return failure();
  return verifySize(op, "columns of mask", mask, 3, getSize(op.getKey(), 2));
}

LogicalResult pqk::AttentionOp::verify() {
  Value query = getQuery(), key = getKey(), value = getValue();
  Value output = getOutput();
  int64_t depth = getSize(query, 3), width = getSize(output, 3);
  // (C1)
  if (depth < 1 || width < 1)
    return emitOpError() << "expected static, positive sizes of the last "
                            "dimensions of query and output";
  Type element = cast<ShapedType>(key.getType()).getElementType();
  if (element != cast<ShapedType>(value.getType()).getElementType())
    return emitOpError() << "expected key and value of one element type";
  int64_t step = element.isInteger(8) ? CachedAttentionOp::kStepColumns : 0;
  // (C2)
  struct Agreement {
    StringRef what;
    Value value;
    unsigned dim;
    int64_t expected;
  };
  int64_t batch = getSize(query, 0);
  if (failed(verifyOneSemantics(*this)))
    return failure();
  for (const Agreement &pair :
       {Agreement{"batch of key", key, 0, batch},
        {"batch of value", value, 0, batch},
        {"batch of output", output, 0, batch},
        {"heads of output", output, 1, getSize(query, 1)},
        {"rows of output", output, 2, getSize(query, 2)},
        {"columns of value", value, 3, width + step},
        {"heads of value", value, 1, getSize(key, 1)},
        {"rows of value", value, 2, getSize(key, 2)},
        {"columns of key", key, 3, depth + step}})
    if (failed(
            verifySize(*this, pair.what, pair.value, pair.dim, pair.expected)))
      return failure();
  int64_t heads = getSize(query, 1), groups = getSize(key, 1);
  if (groups == 0 || (!ShapedType::isDynamic(heads) &&
                      !ShapedType::isDynamic(groups) && heads % groups))
    return emitOpError() << "expected the heads of key to divide those of "
                            "query, but got "
                         << groups << " and " << heads;
  // (C3)
  return verifyMask(*this);
}

//===----------------------------------------------------------------------===//
// ParallelOp
//===----------------------------------------------------------------------===//

void ParallelOp::build(
    OpBuilder &builder, OperationState &state, Value count, Value grain,
    function_ref<void(OpBuilder &, Location, Value, Value)> build) {
  state.addOperands({count, grain});
  OpBuilder::InsertionGuard guard(builder);
  Type index = builder.getIndexType();
  Block *body = builder.createBlock(state.addRegion(), {}, {index, index},
                                    {state.location, state.location});
  if (build)
    build(builder, state.location, body->getArgument(0), body->getArgument(1));
}

/// `(` %begin `,` %end `)` `in` count `grain` grain attr-dict region
ParseResult ParallelOp::parse(OpAsmParser &parser, OperationState &result) {
  Type index = parser.getBuilder().getIndexType();
  OpAsmParser::Argument begin, end;
  OpAsmParser::UnresolvedOperand count, grain;
  if (parser.parseLParen() || parser.parseArgument(begin) ||
      parser.parseComma() || parser.parseArgument(end) ||
      parser.parseRParen() || parser.parseKeyword("in") ||
      parser.parseOperand(count) || parser.parseKeyword("grain") ||
      parser.parseOperand(grain) ||
      parser.resolveOperands({count, grain}, index, result.operands) ||
      parser.parseOptionalAttrDictWithKeyword(result.attributes))
    return failure();
  begin.type = end.type = index;
  return parser.parseRegion(*result.addRegion(), {begin, end});
}

void ParallelOp::print(OpAsmPrinter &printer) {
  printer << " (" << getBody().getArgument(0) << ", "
          << getBody().getArgument(1) << ") in " << getCount() << " grain "
          << getGrain();
  printer.printOptionalAttrDictWithKeyword((*this)->getAttrs());
  printer << ' ';
  printer.printRegion(getBody(), /*printEntryBlockArgs=*/false);
}

LogicalResult ParallelOp::verify() {
  // (C1)
  if (getBody().getNumArguments() != 2 ||
      !llvm::all_of(getBody().getArgumentTypes(),
                    [](Type type) { return type.isIndex(); }))
    return emitOpError() << "expected a region with the arguments begin and "
                            "end of type index";
  // (C2)
  for (Operation &op : getBody().front())
    for (Type type : op.getResultTypes())
      if (isa<TensorType>(type))
        return op.emitOpError() << "expected memrefs inside 'pqk.parallel', "
                                   "but got a result of type "
                                << type;
  return success();
}

#define GET_OP_CLASSES
#include "dialects/PQKernel/PQKernelOps.cpp.inc"
