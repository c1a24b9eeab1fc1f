//===- ExpertKernel.cpp - A matrix chosen for each row --------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Splits the rows into runs of the same expert and calls the level's INT8
// kernel on views of each run, so that grouped tokens get the matrix-matrix
// kernel and only the chosen experts' weights are read.
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "pquant/Conversion/PQKernelToVector.h"

using namespace mlir;
using namespace pquant;

/// Rows [from, from + count) of a matrix or vector, with the kernel's type.
static Value sliceRows(KernelBuilder &b, Value memref, Value from,
                       Value count) {
  auto type = cast<MemRefType>(memref.getType());
  SmallVector<OpFoldResult> offsets(type.getRank(), b.getIndexAttr(0));
  SmallVector<OpFoldResult> strides(type.getRank(), b.getIndexAttr(1));
  SmallVector<OpFoldResult> sizes{count};
  offsets[0] = from;
  if (type.getRank() == 2)
    sizes.push_back(b.dim(memref, 1));
  return memref::SubViewOp::create(b, memref, offsets, sizes, strides);
}

/// Row `e` of a matrix as a vector.
static Value rowVector(KernelBuilder &b, Value memref, Value e, Value size) {
  auto type = cast<MemRefType>(memref.getType());
  auto layout = StridedLayoutAttr::get(b.getContext(), ShapedType::kDynamic,
                                       ArrayRef<int64_t>{1});
  auto result =
      MemRefType::get({ShapedType::kDynamic}, type.getElementType(), layout);
  OpFoldResult one = b.getIndexAttr(1);
  return memref::SubViewOp::create(
      b, result, memref, ArrayRef<OpFoldResult>{e, b.getIndexAttr(0)},
      ArrayRef<OpFoldResult>{one, size}, ArrayRef<OpFoldResult>{one, one});
}

/// The first row after `m` with another expert than `expert`.
static Value findRunEnd(KernelBuilder &b, Value index, Value m, Value expert,
                        Value rows) {
  auto loop = scf::WhileOp::create(
      b, TypeRange{b.getIndexType()}, ValueRange{b.add(m, 1)},
      [&](OpBuilder &, Location, ValueRange args) {
        OpBuilder::InsertionGuard guard(b);
        b.setInsertionPointToEnd(args.front().getParentBlock());
        Value inside = b.compare(arith::CmpIPredicate::slt, args.front(), rows);
        auto same = scf::IfOp::create(b, TypeRange{b.getI1Type()}, inside,
                                      /*withElseRegion=*/true);
        {
          OpBuilder::InsertionGuard inner(b);
          b.setInsertionPointToStart(same.thenBlock());
          Value next = b.load(index, args.front());
          Value equal = b.compare(arith::CmpIPredicate::eq, next, expert);
          scf::YieldOp::create(b, equal);
          b.setInsertionPointToStart(same.elseBlock());
          scf::YieldOp::create(b, b.constant(b.getI1Type(), 0));
        }
        scf::ConditionOp::create(b, same.getResult(0), args);
      },
      [&](OpBuilder &, Location, ValueRange args) {
        OpBuilder::InsertionGuard guard(b);
        b.setInsertionPointToEnd(args.front().getParentBlock());
        scf::YieldOp::create(b, b.add(args.front(), 1));
      });
  return loop.getResult(0);
}

void pquant::emitExpertLinear(KernelBuilder &b, const KernelSpec &spec,
                              ValueRange args, KernelGetter kernels) {
  KernelSpec matrix = spec;
  matrix.kind = KernelKind::Int8Linear;
  func::FuncOp kernel = kernels(matrix);
  Value input = args[0], scale = args[1], index = args[2], weight = args[3],
        rowSum = args[4], weightScale = args[5], output = args[6];
  Value rows = b.dim(output, 0), outputs = b.dim(output, 1);
  Value bytes =
      b.mul(b.mul(b.ceilDiv(outputs, kBlockRows), kBlockRows), b.dim(input, 1));
  scf::WhileOp::create(
      b, TypeRange{b.getIndexType()}, ValueRange{b.index(0)},
      [&](OpBuilder &, Location, ValueRange position) {
        OpBuilder::InsertionGuard guard(b);
        b.setInsertionPointToEnd(position.front().getParentBlock());
        Value more =
            b.compare(arith::CmpIPredicate::slt, position.front(), rows);
        scf::ConditionOp::create(b, more, position);
      },
      [&](OpBuilder &, Location, ValueRange position) {
        OpBuilder::InsertionGuard guard(b);
        Value m = position.front();
        b.setInsertionPointToEnd(m.getParentBlock());
        Value expert = b.load(index, m);
        Value end = findRunEnd(b, index, m, expert, rows);
        Value count = b.sub(end, m);
        Value e = arith::IndexCastOp::create(b, b.getIndexType(), expert);
        func::CallOp::create(
            b, kernel,
            ValueRange{sliceRows(b, input, m, count),
                       sliceRows(b, scale, m, count),
                       sliceRows(b, weight, b.mul(e, bytes), bytes),
                       rowVector(b, rowSum, e, outputs),
                       rowVector(b, weightScale, e, outputs),
                       sliceRows(b, output, m, count)});
        scf::YieldOp::create(b, end);
      });
}
