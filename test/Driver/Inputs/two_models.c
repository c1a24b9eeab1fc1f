//===- two_models.c - Two models in one program ----------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "one.h"
#include "two.h"
#include <stdio.h>

static int open(const char *name, const PQuantModelDescriptor *descriptor) {
  PQuantModel *model;
  if (pquant_open(descriptor, &model)) {
    printf("%s: %s\n", name, pquant_last_error());
    return 1;
  }
  printf("%s: %s, %d input(s)\n", name, pquant_get_descriptor(model)->modelName,
         pquant_get_entry(model, 0)->numInputs);
  pquant_close(model);
  return 0;
}

int main(void) {
  return open("one", one_model_descriptor()) |
         open("two", two_model_descriptor());
}
