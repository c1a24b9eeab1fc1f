/* Opens the model that it is linked with, or the library that it is given. */

#include "pquant/Runtime/Runtime.h"

#include <stdio.h>

int main(int argc, char **argv) {
  PQuantModel *model;
  PQuantStatus status = argc > 1 ? pquant_open_library(argv[1], NULL, &model)
                                 : pquant_open(pquant_model_descriptor(), &model);
  if (status != PQUANT_OK) {
    fprintf(stderr, "error: %s\n", pquant_last_error());
    return 1;
  }
  const PQuantEntry *entry = pquant_get_entry(model, 0);
  printf("%s takes %d inputs, runs at level %s\n", entry->name, (int)entry->numInputs,
         pquant_get_level(model, pquant_current_level(model))->name);
  pquant_close(model);
  return 0;
}
