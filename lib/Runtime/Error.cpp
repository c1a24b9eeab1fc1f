//===- Error.cpp - Status and text of a failed call -----------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The thread's error text, and the names and sizes of element types.
//
//===----------------------------------------------------------------------===//

#include "Error.h"

#include <cstdarg>
#include <cstdio>

using namespace pquant;

static thread_local char errorText[kMaxErrorText];

PQuantStatus pquant::setError(PQuantStatus status, const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(errorText, sizeof errorText, format, args);
  va_end(args);
  return status;
}

const char *pquant_last_error(void) { return errorText; }

namespace {
struct DTypeInfo {
  const char *name;
  int64_t size;
};
} // namespace

/// In the order of PQuantDType.
static constexpr DTypeInfo dtypes[] = {
    {"float32", 4}, {"float64", 8}, {"float16", 2}, {"bfloat16", 2},
    {"int8", 1},    {"int16", 2},   {"int32", 4},   {"int64", 8},
    {"uint8", 1},   {"uint16", 2},  {"uint32", 4},  {"uint64", 8},
    {"bool", 1},
};

const char *pquant_dtype_name(int32_t dtype) {
  if (dtype < 0 || dtype > PQUANT_BOOL)
    return "unknown";
  return dtypes[dtype].name;
}

int64_t pquant_dtype_size(int32_t dtype) {
  if (dtype < 0 || dtype > PQUANT_BOOL)
    return 0;
  return dtypes[dtype].size;
}
