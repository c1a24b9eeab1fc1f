//===- Weights.cpp - The weight blob of an artifact ------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Streams the blob: one constant at a time, in the order of the offsets.
//
//===----------------------------------------------------------------------===//

#include "Weights.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "pquant/Support/Constants.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace pquant;

FailureOr<uint64_t> pquant::writeWeights(ModuleOp module, raw_ostream &os) {
  uint64_t position = 0;
  auto padTo = [&](uint64_t offset) {
    os.write_zeros(offset - position);
    position = offset;
  };
  SmallVector<memref::GlobalOp> globals;
  for (auto global : module.getOps<memref::GlobalOp>())
    if (global->hasAttr("pquant.offset"))
      globals.push_back(global);
  for (memref::GlobalOp global : globals) {
    padTo(global->getAttrOfType<IntegerAttr>("pquant.offset").getInt());
    Attribute value = *global.getInitialValue();
    ArrayRef<char> bytes = getConstantBytes(value);
    uint64_t size = global.getType().getNumElements() *
                    llvm::divideCeil(global.getType().getElementTypeBitWidth(), 8);
    if (std::optional<BitReader> bits = BitReader::get(value)) {
      for (uint64_t i = 0; i < size; ++i)
        os << static_cast<char>((*bits)[i]);
    } else if (isSplatConstant(value)) {
      for (uint64_t at = 0; at < size; at += bytes.size())
        os.write(bytes.data(), bytes.size());
    } else if (bytes.size() == size) {
      os.write(bytes.data(), bytes.size());
    } else {
      return global.emitOpError() << "expected a constant of " << size
                                  << " bytes, but got " << bytes.size();
    }
    position += size;
    global.erase();
    if (auto resource = dyn_cast<DenseResourceElementsAttr>(value))
      releaseConstant(resource);
  }
  if (auto total = module->getAttrOfType<IntegerAttr>("pquant.weight_bytes"))
    padTo(total.getInt());
  return position;
}
