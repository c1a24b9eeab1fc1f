// Runs the linked model on three tokens.
#include "pquant/Runtime/Runtime.h"

#include <stdio.h>

int main(void) {
  PQuantModel *model;
  PQuantResults *results;
  int64_t ids[] = {3, 5, 7};
  PQuantTensor input = {
      .data = ids, .dtype = PQUANT_INT64, .rank = 2, .sizes = {1, 3}};
  if (pquant_open(pquant_model_descriptor(), &model) != PQUANT_OK ||
      pquant_run(model, 0, &input, 1, &results) != PQUANT_OK) {
    printf("error: %s\n", pquant_last_error());
    return 1;
  }
  const PQuantTensor *output = pquant_get_result(results, 0);
  printf("%s of rank %d\n", output->name, output->rank);
  pquant_free_results(results);
  pquant_close(model);
  return 0;
}
