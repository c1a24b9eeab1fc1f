//===- main.cpp - Run a compiled model ------------------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "pquant/Runtime/RunMain.h"

int main(int argc, char **argv) { return pquant_run_library_main(argc, argv); }
