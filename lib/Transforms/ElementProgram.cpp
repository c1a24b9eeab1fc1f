//===- ElementProgram.cpp - Straight-line code on blocks ------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The loops of all instructions. The switch is outside of every loop.
//
//===----------------------------------------------------------------------===//

#include "ElementProgram.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "pquant/Support/Constants.h"
#include "llvm/Support/MathExtras.h"
#include <cmath>
#include <cstring>

using namespace pquant;
using namespace mlir;

/// Elements a block; all registers of a weight's arithmetic fit in the cache.
static constexpr int64_t blockSize = 2048;

//===----------------------------------------------------------------------===//
// Scalar semantics
//===----------------------------------------------------------------------===//

/// Integers are kept sign-extended from their width.
static int64_t wrap(int64_t value, unsigned width) {
  return width == 0 || width == 64
             ? value
             : llvm::SignExtend64(static_cast<uint64_t>(value), width);
}

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

namespace {
/// The registers of one block.
struct Machine {
  explicit Machine(const ElementProgram &program);
  void execute(const Instruction &op, unsigned index);
  void load(const Instruction &op, unsigned index);
  void loadIndex(const Instruction &op, unsigned index);
  void extract(const Instruction &op, unsigned index);
  bool executeFloat(const Instruction &op, float *r);
  bool executeInteger(const Instruction &op, int64_t *r);
  void executeMixed(const Instruction &op, float *fr, int64_t *ir);

  template <typename Fn>
  void map1(const Instruction &op, float *r, Fn fn) const {
    const float *a = floats[op.operands[0]];
    for (int64_t i = 0; i < size; ++i)
      r[i] = fn(a[i]);
  }
  template <typename Fn>
  void map2(const Instruction &op, float *r, Fn fn) const {
    const float *a = floats[op.operands[0]], *b = floats[op.operands[1]];
    for (int64_t i = 0; i < size; ++i)
      r[i] = fn(a[i], b[i]);
  }
  template <typename Fn>
  void mapI(const Instruction &op, int64_t *r, Fn fn) const {
    const int64_t *a = integers[op.operands[0]];
    const int64_t *b = integers[op.operands.back()];
    for (int64_t i = 0; i < size; ++i)
      r[i] = wrap(fn(a[i], b[i]), op.width);
  }

  const ElementProgram &program;
  int64_t offset = 0, size = 0;
  /// What each register holds; a contiguous load points into its constant.
  SmallVector<const float *> floats;
  SmallVector<const int64_t *> integers;
  /// Where each register is kept, 8 bytes an element.
  std::vector<int64_t> storage;
};
} // namespace

Machine::Machine(const ElementProgram &program)
    : program(program), floats(program.code.size()),
      integers(program.code.size()), storage(program.code.size() * blockSize) {
  for (auto [i, op] : llvm::enumerate(program.code)) {
    int64_t *r = &storage[i * blockSize];
    float *f = reinterpret_cast<float *>(r);
    (op.isFloat ? floats[i] = f : floats[i] = nullptr);
    (op.isFloat ? integers[i] = nullptr : integers[i] = r);
    if (op.code == Code::ConstantF)
      std::fill_n(f, blockSize, op.number);
    if (op.code == Code::ConstantI)
      std::fill_n(r, blockSize, wrap(op.integer, op.width));
  }
}

/// Copies `count` elements `stride` apart, from element `from` on.
static void copyElements(const ConstantBuffer &buffer, int64_t from,
                         int64_t stride, int64_t count, float *f, int64_t *r) {
  if (buffer.isSplat)
    from = stride = 0;
  auto copy = [&](auto type, auto *to) {
    using T = decltype(type);
    const char *source = buffer.bytes.data() + from * sizeof(T);
    for (int64_t i = 0; i < count; ++i) {
      T element; // constants need not be aligned
      std::memcpy(&element, source + i * stride * sizeof(T), sizeof(T));
      to[i] = element;
    }
  };
  Type type = buffer.type.getElementType();
  unsigned bytes = type.isIndex() ? 8 : type.getIntOrFloatBitWidth() / 8;
  if (f)
    return copy(float(), f);
  if (bytes == 0) {
    for (int64_t i = 0; i < count; ++i) {
      int64_t at = from + i * stride;
      bool bit = buffer.isBits ? readBit(buffer.bytes, at) : buffer.bytes[at];
      r[i] = bit ? -1 : 0;
    }
    return;
  }
  switch (bytes) {
  case 1:
    return copy(int8_t(), r);
  case 2:
    return copy(int16_t(), r);
  case 4:
    return copy(int32_t(), r);
  default:
    return copy(int64_t(), r);
  }
}

/// Calls `fn(indices, position, count)` for every run along the last dimension.
template <typename Fn>
static void forEachRun(ArrayRef<int64_t> space, int64_t offset, int64_t size,
                       Fn fn) {
  SmallVector<int64_t, 4> index(space.size());
  for (int64_t done = 0; done < size;) {
    int64_t rest = offset + done;
    for (int64_t d = space.size() - 1; d >= 0; --d) {
      index[d] = rest % space[d];
      rest /= space[d];
    }
    int64_t run =
        space.empty() ? 1 : std::min(size - done, space.back() - index.back());
    fn(ArrayRef<int64_t>(index), done, run);
    done += run;
  }
}

/// Whether the strides walk the buffer element by element.
static bool isContiguous(ArrayRef<int64_t> space, ArrayRef<int64_t> strides) {
  int64_t expected = 1;
  for (int64_t d = space.size() - 1; d >= 0; --d) {
    if (space[d] != 1 && strides[d] != expected)
      return false;
    expected *= space[d];
  }
  return true;
}

void Machine::load(const Instruction &op, unsigned index) {
  float *f = op.isFloat ? reinterpret_cast<float *>(&storage[index * blockSize])
                        : nullptr;
  int64_t *r = op.isFloat ? nullptr : &storage[index * blockSize];
  if (isContiguous(program.space, op.strides) && !op.buffer.isSplat) {
    const char *source = op.buffer.bytes.data();
    if (f && reinterpret_cast<uintptr_t>(source) % alignof(float) == 0)
      floats[index] = reinterpret_cast<const float *>(source) + offset;
    else
      copyElements(op.buffer, offset, 1, size, f, r);
    return;
  }
  forEachRun(program.space, offset, size,
             [&](ArrayRef<int64_t> at, int64_t done, int64_t run) {
               int64_t from = 0;
               for (auto [i, stride] : llvm::zip_equal(at, op.strides))
                 from += i * stride;
               int64_t step = op.strides.empty() ? 0 : op.strides.back();
               copyElements(op.buffer, from, step, run, f ? f + done : f,
                            r ? r + done : r);
             });
}

void Machine::loadIndex(const Instruction &op, unsigned index) {
  int64_t *r = &storage[index * blockSize];
  int64_t last = program.space.size() - 1;
  forEachRun(program.space, offset, size,
             [&](ArrayRef<int64_t> at, int64_t done, int64_t run) {
               for (int64_t i = 0; i < run; ++i)
                 r[done + i] = at[op.integer] + (op.integer == last ? i : 0);
             });
}

void Machine::extract(const Instruction &op, unsigned index) {
  float *f = op.isFloat ? reinterpret_cast<float *>(&storage[index * blockSize])
                        : nullptr;
  int64_t *r = op.isFloat ? nullptr : &storage[index * blockSize];
  ArrayRef<int64_t> shape = op.buffer.type.getShape();
  for (int64_t i = 0; i < size; ++i) {
    int64_t at = 0;
    for (auto [operand, extent] : llvm::zip_equal(op.operands, shape)) {
      // Out of bounds is undefined in the IR; here it must not be.
      int64_t position = std::clamp<int64_t>(integers[operand][i], 0,
                                             std::max<int64_t>(extent, 1) - 1);
      at = at * extent + position;
    }
    copyElements(op.buffer, at, 0, 1, f ? f + i : f, r ? r + i : r);
  }
}

bool Machine::executeFloat(const Instruction &op, float *r) {
  auto viaDouble = [&](double (*fn)(double)) {
    map1(op, r, [fn](float a) { return static_cast<float>(fn(a)); });
    return true;
  };
  auto unary = [&](auto fn) { return map1(op, r, fn), true; };
  auto binary = [&](auto fn) { return map2(op, r, fn), true; };
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

bool Machine::executeInteger(const Instruction &op, int64_t *r) {
  using U = uint64_t;
  auto run = [&](auto fn) { return mapI(op, r, fn), true; };
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

/// Instructions whose operands and results differ in kind.
void Machine::executeMixed(const Instruction &op, float *f, int64_t *r) {
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

void Machine::execute(const Instruction &op, unsigned index) {
  switch (op.code) {
  case Code::ConstantF:
  case Code::ConstantI:
    return;
  case Code::Load:
    return load(op, index);
  case Code::Index:
    return loadIndex(op, index);
  case Code::Extract:
    return extract(op, index);
  default:
    break;
  }
  int64_t *r = &storage[index * blockSize];
  float *f = reinterpret_cast<float *>(r);
  if (op.isFloat ? executeFloat(op, f) : executeInteger(op, r))
    return;
  executeMixed(op, f, r);
}

void ElementProgram::run(
    function_ref<void(const ConstantBlock &)> consume) const {
  int64_t total = 1;
  for (int64_t extent : space)
    total *= extent;
  Machine machine(*this);
  unsigned result = code.size() - 1;
  for (int64_t offset = 0; offset < total; offset += blockSize) {
    machine.offset = offset;
    machine.size = std::min(blockSize, total - offset);
    for (auto [i, op] : llvm::enumerate(code))
      machine.execute(op, i);
    consume({offset, machine.size, machine.floats[result],
             machine.integers[result]});
  }
}
