// Uses the C API as a program would, and in ways that it must refuse.
#include "pquant/Runtime/Runtime.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                       \
  do {                                                                         \
    if (!(condition)) {                                                        \
      printf("line %d: %s; last error: %s\n", __LINE__, #condition,            \
             pquant_last_error());                                             \
      exit(1);                                                                 \
    }                                                                          \
  } while (0)

static void refuse(PQuantStatus expected, PQuantStatus got) {
  if (got != expected)
    printf("expected status %d, but got %d: ", expected, got);
  printf("%s\n", pquant_last_error());
}

static int64_t ids[32];
static unsigned char mask[32];

static PQuantTensor tensor(const char *name, const void *data, int32_t dtype,
                           int64_t rows, int64_t columns) {
  PQuantTensor t = {name, data, dtype, 2, {rows, columns}};
  return t;
}

static void refuseInputs(PQuantModel *model) {
  PQuantResults *results;
  PQuantTensor in[3] = {tensor(0, ids, PQUANT_INT64, 2, 3),
                        tensor(0, mask, PQUANT_BOOL, 2, 3),
                        tensor(0, mask, PQUANT_BOOL, 2, 3)};
  refuse(PQUANT_INVALID_ARGUMENT, pquant_run(model, 0, in, 1, &results));
  CHECK(!results);
  refuse(PQUANT_INVALID_ARGUMENT, pquant_run(model, 0, in, 3, &results));
  refuse(PQUANT_NOT_FOUND, pquant_run(model, 9, in, 2, &results));
  in[1].data = 0;
  refuse(PQUANT_INVALID_ARGUMENT, pquant_run(model, 0, in, 2, &results));
  in[1].data = mask;
  in[0].data = (char *)ids + 1;
  refuse(PQUANT_INVALID_ARGUMENT, pquant_run(model, 0, in, 2, &results));
  in[0].data = ids;
  in[0].sizes[0] = -2;
  refuse(PQUANT_INVALID_ARGUMENT, pquant_run(model, 0, in, 2, &results));
  in[0].sizes[0] = INT64_MAX;
  refuse(PQUANT_INVALID_ARGUMENT, pquant_run(model, 0, in, 2, &results));
  in[0].sizes[0] = 2;
  in[0].dtype = 77;
  refuse(PQUANT_INVALID_ARGUMENT, pquant_run(model, 0, in, 2, &results));
  in[0].dtype = PQUANT_INT64;
  in[0].rank = 99;
  refuse(PQUANT_INVALID_ARGUMENT, pquant_run(model, 0, in, 2, &results));
  in[0].rank = 2;
  mask[4] = 2;
  refuse(PQUANT_INVALID_ARGUMENT, pquant_run(model, 0, in, 2, &results));
  mask[4] = 1;
  in[0].name = "ids";
  refuse(PQUANT_INVALID_ARGUMENT, pquant_run(model, 0, in, 2, &results));
  in[1].name = "ids";
  refuse(PQUANT_INVALID_ARGUMENT, pquant_run(model, 0, in, 2, &results));
  in[1].name = "labels";
  refuse(PQUANT_INVALID_ARGUMENT, pquant_run(model, 0, in, 2, &results));
}

static void refuseOthers(PQuantModel *model) {
  PQuantModel *none;
  int32_t entry;
  refuse(PQUANT_INVALID_ARGUMENT, pquant_open(0, &none));
  CHECK(!none);
  refuse(PQUANT_NOT_FOUND, pquant_find_entry(model, "decode", &entry));
  CHECK(entry == -1);
  refuse(PQUANT_NOT_FOUND, pquant_set_level(model, "sse9"));
  refuse(PQUANT_UNSUPPORTED, pquant_set_level(model, "future"));
  refuse(PQUANT_INVALID_ARGUMENT, pquant_set_threads(model, 0));
  CHECK(!pquant_get_entry(model, -1) && !pquant_get_entry(model, 5));
  CHECK(!pquant_get_level(model, 3) && !pquant_get_linear(model, 2));
  CHECK(!pquant_level_supported(model, 2) && pquant_level_supported(model, 1));
  CHECK(!strcmp(pquant_dtype_name(99), "unknown") && !pquant_dtype_size(-1));
}

/// Runs main on rows x 4 ones and checks the total.
static PQuantResults *runOnes(PQuantModel *model, int64_t rows) {
  int64_t *ones = calloc((size_t)rows * 4, 8);
  unsigned char *all = calloc((size_t)rows * 4, 1);
  for (int64_t i = 0; i < rows * 4; ++i)
    ones[i] = all[i] = 1;
  PQuantTensor in[] = {tensor("mask", all, PQUANT_BOOL, rows, 4),
                       tensor("ids", ones, PQUANT_INT64, rows, 4)};
  PQuantResults *results;
  CHECK(pquant_run(model, 0, in, 2, &results) == PQUANT_OK);
  CHECK(*(const float *)pquant_get_result(results, 1)->data == (float)rows * 3);
  free(ones);
  free(all);
  return results;
}

/// Many runs, sizes and failures; results outlive their runs and the model.
static void *useModel(void *descriptor) {
  PQuantModel *model;
  CHECK(pquant_open(descriptor, &model) == PQUANT_OK);
  CHECK(pquant_set_threads(model, 2) == PQUANT_OK);
  PQuantResults *kept = runOnes(model, 5);
  CHECK(pquant_num_results(kept) == 2 && !pquant_get_result(kept, 2));
  for (int64_t i = 0; i < 200; ++i) {
    pquant_free_results(runOnes(model, i * 37 % 100));
    PQuantResults *none;
    CHECK(pquant_run(model, 1, 0, 0, &none) == PQUANT_RUN_FAILED && !none);
    CHECK(pquant_run(model, 2, 0, 0, &none) == PQUANT_OUT_OF_MEMORY);
  }
  pquant_close(model);
  CHECK(*(const float *)pquant_get_result(kept, 1)->data == 15);
  CHECK(((const float *)pquant_get_result(kept, 0)->data)[19] == 0.75f);
  pquant_free_results(kept);
  return 0;
}

int main(void) {
  PQuantModel *model;
  CHECK(!*pquant_last_error());
  CHECK(pquant_open(pquant_model_descriptor(), &model) == PQUANT_OK);
  refuseInputs(model);
  refuseOthers(model);
  pquant_close(model);
  pquant_close(0);
  pquant_free_results(0);
  pthread_t threads[3];
  for (int i = 0; i < 3; ++i)
    pthread_create(&threads[i], 0, useModel, (void *)pquant_model_descriptor());
  for (int i = 0; i < 3; ++i)
    pthread_join(threads[i], 0);
  printf("done\n");
  return 0;
}
