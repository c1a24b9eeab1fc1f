//===- TextAPI.h - The tokenizer behind the handle of the C API -*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_RUNTIME_TEXTAPI_H
#define PQUANT_LIB_RUNTIME_TEXTAPI_H

#include "pquant/Runtime/Generate.h"
#include "pquant/Text/Tokenizer.h"

struct PQuantTokenizer {
  pquant::text::Tokenizer impl;
  bool addsBegin = false;
};

#endif // PQUANT_LIB_RUNTIME_TEXTAPI_H
