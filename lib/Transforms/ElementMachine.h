//===- ElementMachine.h - The registers that programs run on ----*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Executes one instruction of an ElementProgram on one block of elements.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_TRANSFORMS_ELEMENTMACHINE_H
#define PQUANT_LIB_TRANSFORMS_ELEMENTMACHINE_H

#include "ElementProgram.h"
#include "llvm/Support/MathExtras.h"

namespace pquant {

/// Elements a block; all registers of a weight's arithmetic fit in the cache.
inline constexpr int64_t blockSize = 2048;

/// Integers are kept sign-extended from their width.
inline int64_t wrap(int64_t value, unsigned width) {
  return width == 0 || width == 64
             ? value
             : llvm::SignExtend64(static_cast<uint64_t>(value), width);
}

/// The registers of one block, and what instructions do to them.
struct ElementMachine {
  explicit ElementMachine(const ElementProgram &program);

  /// Fills the register of instruction `index`.
  void execute(const Instruction &op, unsigned index);
  void load(const Instruction &op, unsigned index);
  void loadIndex(const Instruction &op, unsigned index);
  void extract(const Instruction &op, unsigned index);

  /// Arithmetic into `r`; false when the instruction is of another kind.
  bool executeFloat(const Instruction &op, float *r) const;
  bool executeInteger(const Instruction &op, int64_t *r) const;
  /// Instructions whose operands and results differ in kind.
  void executeMixed(const Instruction &op, float *f, int64_t *r) const;

  const ElementProgram &program;
  /// The elements of the space that the block has.
  int64_t offset = 0, size = 0;
  /// What each register holds; a contiguous load points into its constant.
  SmallVector<const float *> floats;
  SmallVector<const int64_t *> integers;
  /// Where each register is kept, 8 bytes an element.
  std::vector<int64_t> storage;
};

} // namespace pquant

#endif // PQUANT_LIB_TRANSFORMS_ELEMENTMACHINE_H
