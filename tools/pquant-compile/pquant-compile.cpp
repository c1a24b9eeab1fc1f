//===- pquant-compile.cpp - The compiler ----------------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "pquant/Driver/Compiler.h"

int main(int argc, char **argv) { return pquant::runCompileTool(argc, argv); }
