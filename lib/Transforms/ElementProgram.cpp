//===- ElementProgram.cpp - Straight-line code on blocks ------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Filling registers from constants, and the run over all blocks
// (ElementArithmetic.cpp has the arithmetic).
//
//===----------------------------------------------------------------------===//

#include "ElementMachine.h"
#include "pquant/Support/Constants.h"
#include <cstring>

using namespace pquant;
using namespace mlir;

ElementMachine::ElementMachine(const ElementProgram &program)
    : program(program), floats(program.code.size()),
      integers(program.code.size()), storage(program.code.size() * blockSize) {
  for (auto [i, op] : llvm::enumerate(program.code)) {
    int64_t *r = &storage[i * blockSize];
    float *f = reinterpret_cast<float *>(r);
    floats[i] = op.isFloat ? f : nullptr;
    integers[i] = op.isFloat ? nullptr : r;
    if (op.code == Code::ConstantF)
      std::fill_n(f, blockSize, op.number);
    if (op.code == Code::ConstantI)
      std::fill_n(r, blockSize, wrap(op.integer, op.width));
  }
}

/// Copies the elements `indexOf(0)`, `indexOf(1)`, ..
template <typename Fn>
static void copyElements(const ConstantBuffer &buffer, int64_t count, float *f,
                         int64_t *r, Fn indexOf) {
  auto copy = [&](auto type, auto *to) {
    using T = decltype(type);
    for (int64_t i = 0; i < count; ++i) {
      T element; // constants need not be aligned
      int64_t at = buffer.isSplat ? 0 : indexOf(i);
      std::memcpy(&element, buffer.bytes.data() + at * sizeof(T), sizeof(T));
      to[i] = element;
    }
  };
  Type type = buffer.type.getElementType();
  unsigned bytes = type.isIndex() ? 8 : type.getIntOrFloatBitWidth() / 8;
  if (f)
    return copy(float(), f);
  if (bytes == 0) {
    for (int64_t i = 0; i < count; ++i) {
      int64_t at = buffer.isSplat ? 0 : indexOf(i);
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

void ElementMachine::load(const Instruction &op, unsigned index) {
  float *f = op.isFloat ? reinterpret_cast<float *>(&storage[index * blockSize])
                        : nullptr;
  int64_t *r = op.isFloat ? nullptr : &storage[index * blockSize];
  if (isContiguous(program.space, op.strides) && !op.buffer.isSplat) {
    const char *source = op.buffer.bytes.data();
    if (f && reinterpret_cast<uintptr_t>(source) % alignof(float) == 0)
      floats[index] = reinterpret_cast<const float *>(source) + offset;
    else
      copyElements(op.buffer, size, f, r,
                   [this](int64_t i) { return offset + i; });
    return;
  }
  forEachRun(program.space, offset, size,
             [&](ArrayRef<int64_t> at, int64_t done, int64_t run) {
               int64_t from = 0;
               for (auto [i, stride] : llvm::zip_equal(at, op.strides))
                 from += i * stride;
               int64_t step = op.strides.empty() ? 0 : op.strides.back();
               copyElements(op.buffer, run, f ? f + done : f, r ? r + done : r,
                            [=](int64_t i) { return from + i * step; });
             });
}

void ElementMachine::loadIndex(const Instruction &op, unsigned index) {
  int64_t *r = &storage[index * blockSize];
  int64_t last = program.space.size() - 1;
  forEachRun(program.space, offset, size,
             [&](ArrayRef<int64_t> at, int64_t done, int64_t run) {
               for (int64_t i = 0; i < run; ++i)
                 r[done + i] = at[op.integer] + (op.integer == last ? i : 0);
             });
}

void ElementMachine::extract(const Instruction &op, unsigned index) {
  float *f = op.isFloat ? reinterpret_cast<float *>(&storage[index * blockSize])
                        : nullptr;
  int64_t *r = op.isFloat ? nullptr : &storage[index * blockSize];
  ArrayRef<int64_t> shape = op.buffer.type.getShape();
  copyElements(op.buffer, size, f, r, [&](int64_t i) {
    int64_t at = 0;
    for (auto [operand, extent] : llvm::zip_equal(op.operands, shape)) {
      // Out of bounds is undefined in the IR; here it must not be.
      int64_t position = std::clamp<int64_t>(integers[operand][i], 0,
                                             std::max<int64_t>(extent, 1) - 1);
      at = at * extent + position;
    }
    return at;
  });
}

void ElementMachine::execute(const Instruction &op, unsigned index) {
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
  ElementMachine machine(*this);
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
