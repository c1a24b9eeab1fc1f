//===- ElementArithmetic.cpp - What arithmetic instructions compute -------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The loops of all instructions that read registers only. The switch is outside
// of every loop.
//
//===----------------------------------------------------------------------===//

#include "ElementMachine.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include <cmath>

using namespace pquant;
using namespace mlir;

//===----------------------------------------------------------------------===//
// Scalar semantics
//===----------------------------------------------------------------------===//

static uint64_t unsignedValue(int64_t value, unsigned width) {
  return width == 0 || width == 64
             ? value
             : static_cast<uint64_t>(value) &
                   llvm::maskTrailingOnes<uint64_t>(width);
}

/// Saturates where the conversion is undefined, so that evaluation never is.
static int64_t toInteger(float value) {
  if (!(value >= -9.2e18f))
    return value != value ? 0 : INT64_MIN;
  return value >= 9.2e18f ? INT64_MAX : static_cast<int64_t>(value);
}

static bool compareFloats(arith::CmpFPredicate predicate, float a, float b) {
  using P = arith::CmpFPredicate;
  bool unordered = a != a || b != b;
  switch (predicate) {
  case P::AlwaysFalse:
    return false;
  case P::OEQ:
    return a == b;
  case P::OGT:
    return a > b;
  case P::OGE:
    return a >= b;
  case P::OLT:
    return a < b;
  case P::OLE:
    return a <= b;
  case P::ONE:
    return !unordered && a != b;
  case P::ORD:
    return !unordered;
  case P::UEQ:
    return unordered || a == b;
  case P::UGT:
    return unordered || a > b;
  case P::UGE:
    return unordered || a >= b;
  case P::ULT:
    return unordered || a < b;
  case P::ULE:
    return unordered || a <= b;
  case P::UNE:
    return unordered || a != b;
  case P::UNO:
    return unordered;
  case P::AlwaysTrue:
    return true;
  }
  return false;
}

static bool compareIntegers(arith::CmpIPredicate predicate, int64_t a,
                            int64_t b) {
  using P = arith::CmpIPredicate;
  uint64_t ua = a, ub = b; // sign extension keeps the unsigned order
  switch (predicate) {
  case P::eq:
    return a == b;
  case P::ne:
    return a != b;
  case P::slt:
    return a < b;
  case P::sle:
    return a <= b;
  case P::sgt:
    return a > b;
  case P::sge:
    return a >= b;
  case P::ult:
    return ua < ub;
  case P::ule:
    return ua <= ub;
  case P::ugt:
    return ua > ub;
  case P::uge:
    return ua >= ub;
  }
  return false;
}

/// IEEE maximum: NaN propagates.
static float maximum(float a, float b) {
  return a != a || b != b ? a + b : (a > b ? a : b);
}
static float minimum(float a, float b) {
  return a != a || b != b ? a + b : (a < b ? a : b);
}

//===----------------------------------------------------------------------===//
// Loops
//===----------------------------------------------------------------------===//

template <typename Fn>
static void map1(const ElementMachine &m, const Instruction &op, float *r,
                 Fn fn) {
  const float *a = m.floats[op.operands[0]];
  for (int64_t i = 0; i < m.size; ++i)
    r[i] = fn(a[i]);
}

template <typename Fn>
static void map2(const ElementMachine &m, const Instruction &op, float *r,
                 Fn fn) {
  const float *a = m.floats[op.operands[0]], *b = m.floats[op.operands[1]];
  for (int64_t i = 0; i < m.size; ++i)
    r[i] = fn(a[i], b[i]);
}

template <typename Fn>
static void mapI(const ElementMachine &m, const Instruction &op, int64_t *r,
                 Fn fn) {
  const int64_t *a = m.integers[op.operands[0]];
  const int64_t *b = m.integers[op.operands.back()];
  for (int64_t i = 0; i < m.size; ++i)
    r[i] = wrap(fn(a[i], b[i]), op.width);
}

bool ElementMachine::executeFloat(const Instruction &op, float *r) const {
  auto viaDouble = [&](double (*fn)(double)) {
    map1(*this, op, r, [fn](float a) { return static_cast<float>(fn(a)); });
    return true;
  };
  auto unary = [&](auto fn) { return map1(*this, op, r, fn), true; };
  auto binary = [&](auto fn) { return map2(*this, op, r, fn), true; };
  switch (op.code) {
  case Code::AddF:
    return binary([](float a, float b) { return a + b; });
  case Code::SubF:
    return binary([](float a, float b) { return a - b; });
  case Code::MulF:
    return binary([](float a, float b) { return a * b; });
  case Code::DivF:
    return binary([](float a, float b) { return a / b; });
  case Code::MaxF:
    return binary(maximum);
  case Code::MinF:
    return binary(minimum);
  case Code::MaxNumF:
    return binary([](float a, float b) { return std::fmax(a, b); });
  case Code::MinNumF:
    return binary([](float a, float b) { return std::fmin(a, b); });
  case Code::CopySignF:
    return binary([](float a, float b) { return std::copysign(a, b); });
  case Code::PowF:
    return binary([](float a, float b) {
      return static_cast<float>(std::pow(double(a), double(b)));
    });
  case Code::NegF:
    return unary([](float a) { return -a; });
  case Code::AbsF:
    return unary([](float a) { return std::fabs(a); });
  case Code::SqrtF:
    return unary([](float a) { return std::sqrt(a); });
  case Code::RsqrtF:
    return viaDouble([](double a) { return 1 / std::sqrt(a); });
  case Code::ExpF:
    return viaDouble(std::exp);
  case Code::LogF:
    return viaDouble(std::log);
  case Code::SinF:
    return viaDouble(std::sin);
  case Code::CosF:
    return viaDouble(std::cos);
  case Code::TanhF:
    return viaDouble(std::tanh);
  case Code::ErfF:
    return viaDouble(std::erf);
  case Code::FloorF:
    return unary([](float a) { return std::floor(a); });
  case Code::CeilF:
    return unary([](float a) { return std::ceil(a); });
  case Code::RoundEvenF:
    return unary([](float a) { return std::nearbyint(a); });
  case Code::RoundF:
    return unary([](float a) { return std::round(a); });
  case Code::TruncF:
    return unary([](float a) { return std::trunc(a); });
  default:
    return false;
  }
}

bool ElementMachine::executeInteger(const Instruction &op, int64_t *r) const {
  using U = uint64_t;
  auto run = [&](auto fn) { return mapI(*this, op, r, fn), true; };
  unsigned width = op.width;
  switch (op.code) {
  case Code::AddI:
    return run([](int64_t a, int64_t b) { return U(a) + U(b); });
  case Code::SubI:
    return run([](int64_t a, int64_t b) { return U(a) - U(b); });
  case Code::MulI:
    return run([](int64_t a, int64_t b) { return U(a) * U(b); });
  case Code::DivSI:
    return run([](int64_t a, int64_t b) {
      return b == 0 ? 0 : b == -1 ? int64_t(-U(a)) : a / b;
    });
  case Code::DivUI:
    return run([width](int64_t a, int64_t b) {
      return b == 0 ? U(0) : unsignedValue(a, width) / unsignedValue(b, width);
    });
  case Code::FloorDivSI:
    return run([](int64_t a, int64_t b) {
      if (b == 0 || b == -1)
        return b == 0 ? 0 : int64_t(-U(a));
      return a / b - ((a % b != 0 && (a < 0) != (b < 0)) ? 1 : 0);
    });
  case Code::RemSI:
    return run(
        [](int64_t a, int64_t b) { return b == 0 || b == -1 ? 0 : a % b; });
  case Code::RemUI:
    return run([width](int64_t a, int64_t b) {
      return b == 0 ? U(0) : unsignedValue(a, width) % unsignedValue(b, width);
    });
  case Code::MaxSI:
    return run([](int64_t a, int64_t b) { return std::max(a, b); });
  case Code::MinSI:
    return run([](int64_t a, int64_t b) { return std::min(a, b); });
  case Code::AndI:
    return run([](int64_t a, int64_t b) { return a & b; });
  case Code::OrI:
    return run([](int64_t a, int64_t b) { return a | b; });
  case Code::XorI:
    return run([](int64_t a, int64_t b) { return a ^ b; });
  case Code::ShlI:
    return run([](int64_t a, int64_t b) { return U(a) << (b & 63); });
  case Code::ShrSI:
    return run([](int64_t a, int64_t b) { return a >> (b & 63); });
  case Code::ShrUI:
    return run([width](int64_t a, int64_t b) {
      return unsignedValue(a, width) >> (b & 63);
    });
  case Code::AbsI:
    return run([](int64_t a, int64_t) { return a < 0 ? int64_t(-U(a)) : a; });
  case Code::Wrap:
    return run([](int64_t a, int64_t) { return a; });
  case Code::ZeroExtend: {
    unsigned from = op.integer;
    return run([from](int64_t a, int64_t) { return unsignedValue(a, from); });
  }
  case Code::CmpI: {
    auto predicate = static_cast<arith::CmpIPredicate>(op.integer);
    return run([predicate](int64_t a, int64_t b) {
      return compareIntegers(predicate, a, b) ? -1 : 0;
    });
  }
  default:
    return false;
  }
}

void ElementMachine::executeMixed(const Instruction &op, float *f,
                                  int64_t *r) const {
  auto fs = [&](unsigned i) { return floats[op.operands[i]]; };
  auto is = [&](unsigned i) { return integers[op.operands[i]]; };
  switch (op.code) {
  case Code::CmpF: {
    auto predicate = static_cast<arith::CmpFPredicate>(op.integer);
    const float *a = fs(0), *b = fs(1);
    if (predicate == arith::CmpFPredicate::OGT) // every 1-bit weight
      for (int64_t i = 0; i < size; ++i)
        r[i] = -static_cast<int64_t>(a[i] > b[i]);
    else
      for (int64_t i = 0; i < size; ++i)
        r[i] = compareFloats(predicate, a[i], b[i]) ? -1 : 0;
    return;
  }
  case Code::SelectF: {
    const int64_t *c = is(0);
    const float *a = fs(1), *b = fs(2);
    for (int64_t i = 0; i < size; ++i)
      f[i] = c[i] ? a[i] : b[i];
    return;
  }
  case Code::SelectI: {
    const int64_t *c = is(0), *a = is(1), *b = is(2);
    for (int64_t i = 0; i < size; ++i)
      r[i] = c[i] ? a[i] : b[i];
    return;
  }
  case Code::FmaF: {
    const float *a = fs(0), *b = fs(1), *c = fs(2);
    for (int64_t i = 0; i < size; ++i)
      f[i] = std::fma(a[i], b[i], c[i]);
    return;
  }
  case Code::SIToFP: {
    const int64_t *a = is(0);
    for (int64_t i = 0; i < size; ++i)
      f[i] = static_cast<float>(a[i]);
    return;
  }
  case Code::UIToFP: {
    const int64_t *a = is(0);
    for (int64_t i = 0; i < size; ++i)
      f[i] = static_cast<float>(unsignedValue(a[i], op.integer));
    return;
  }
  default: { // FPToSI, FPToUI
    const float *a = fs(0);
    for (int64_t i = 0; i < size; ++i)
      r[i] = wrap(toInteger(a[i]), op.width);
    return;
  }
  }
}
