//===- ElementCode.cpp - The ops that constants are evaluated with --------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The table from scalar ops to instructions.
//
//===----------------------------------------------------------------------===//

#include "ElementProgram.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace pquant;
using namespace mlir;

std::optional<bool> pquant::isFloatRegister(Type type) {
  if (type.isF32())
    return true;
  if (type.isIndex())
    return false;
  auto integer = dyn_cast<IntegerType>(type);
  if (integer && integer.isSignless() && integer.getWidth() <= 64)
    return false;
  return std::nullopt;
}

std::optional<Code> pquant::getCode(Operation *op) {
  using Result = std::optional<Code>;
  return llvm::TypeSwitch<Operation *, Result>(op)
      .Case<arith::AddFOp>([](auto) { return Code::AddF; })
      .Case<arith::SubFOp>([](auto) { return Code::SubF; })
      .Case<arith::MulFOp>([](auto) { return Code::MulF; })
      .Case<arith::DivFOp>([](auto) { return Code::DivF; })
      .Case<math::PowFOp>([](auto) { return Code::PowF; })
      .Case<arith::MaximumFOp>([](auto) { return Code::MaxF; })
      .Case<arith::MinimumFOp>([](auto) { return Code::MinF; })
      .Case<arith::MaxNumFOp>([](auto) { return Code::MaxNumF; })
      .Case<arith::MinNumFOp>([](auto) { return Code::MinNumF; })
      .Case<math::CopySignOp>([](auto) { return Code::CopySignF; })
      .Case<arith::NegFOp>([](auto) { return Code::NegF; })
      .Case<math::AbsFOp>([](auto) { return Code::AbsF; })
      .Case<math::SqrtOp>([](auto) { return Code::SqrtF; })
      .Case<math::RsqrtOp>([](auto) { return Code::RsqrtF; })
      .Case<math::ExpOp>([](auto) { return Code::ExpF; })
      .Case<math::LogOp>([](auto) { return Code::LogF; })
      .Case<math::SinOp>([](auto) { return Code::SinF; })
      .Case<math::CosOp>([](auto) { return Code::CosF; })
      .Case<math::TanhOp>([](auto) { return Code::TanhF; })
      .Case<math::ErfOp>([](auto) { return Code::ErfF; })
      .Case<math::FloorOp>([](auto) { return Code::FloorF; })
      .Case<math::CeilOp>([](auto) { return Code::CeilF; })
      .Case<math::RoundEvenOp>([](auto) { return Code::RoundEvenF; })
      .Case<math::RoundOp>([](auto) { return Code::RoundF; })
      .Case<math::TruncOp>([](auto) { return Code::TruncF; })
      .Case<math::FmaOp>([](auto) { return Code::FmaF; })
      .Case<arith::AddIOp>([](auto) { return Code::AddI; })
      .Case<arith::SubIOp>([](auto) { return Code::SubI; })
      .Case<arith::MulIOp>([](auto) { return Code::MulI; })
      .Case<arith::DivSIOp>([](auto) { return Code::DivSI; })
      .Case<arith::DivUIOp>([](auto) { return Code::DivUI; })
      .Case<arith::FloorDivSIOp>([](auto) { return Code::FloorDivSI; })
      .Case<arith::RemSIOp>([](auto) { return Code::RemSI; })
      .Case<arith::RemUIOp>([](auto) { return Code::RemUI; })
      .Case<arith::MaxSIOp>([](auto) { return Code::MaxSI; })
      .Case<arith::MinSIOp>([](auto) { return Code::MinSI; })
      .Case<arith::AndIOp>([](auto) { return Code::AndI; })
      .Case<arith::OrIOp>([](auto) { return Code::OrI; })
      .Case<arith::XOrIOp>([](auto) { return Code::XorI; })
      .Case<arith::ShLIOp>([](auto) { return Code::ShlI; })
      .Case<arith::ShRSIOp>([](auto) { return Code::ShrSI; })
      .Case<arith::ShRUIOp>([](auto) { return Code::ShrUI; })
      .Case<math::AbsIOp>([](auto) { return Code::AbsI; })
      .Case<arith::CmpFOp>([](auto) { return Code::CmpF; })
      .Case<arith::CmpIOp>([](auto) { return Code::CmpI; })
      .Case<arith::SelectOp>([](arith::SelectOp select) {
        return select.getType().isF32() ? Code::SelectF : Code::SelectI;
      })
      .Case<arith::TruncIOp, arith::ExtSIOp, arith::IndexCastOp>(
          [](auto) { return Code::Wrap; })
      .Case<arith::ExtUIOp, arith::IndexCastUIOp>(
          [](auto) { return Code::ZeroExtend; })
      .Case<arith::SIToFPOp>([](auto) { return Code::SIToFP; })
      .Case<arith::UIToFPOp>([](auto) { return Code::UIToFP; })
      .Case<arith::FPToSIOp>([](auto) { return Code::FPToSI; })
      .Case<arith::FPToUIOp>([](auto) { return Code::FPToUI; })
      .Default([](Operation *) { return Result(); });
}
