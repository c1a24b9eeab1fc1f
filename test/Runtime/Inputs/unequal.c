// A model with a cache, written by hand: its logits are the sum of all tokens,
// which it keeps in its state, but what prefill keeps of the first is 1 too
// much, and what decode_batch keeps of each token of the last sequence 2.
#include "pquant/Runtime/ModelDescriptor.h"

/// Appends `count` tokens to one sequence.
static void append(const int64_t *tokens, int64_t count, int64_t position,
                   float *state, float *logits, float error) {
  for (int64_t i = 0; i < count; ++i)
    state[position + i] = (float)tokens[i] + (i ? 0 : error);
  for (int v = 0; v < 4; ++v)
    logits[v] = 0;
  for (int64_t i = 0; i < position + count; ++i)
    logits[0] += state[i];
}

/// Sequences of the same length; `error` is the last one's.
static void run(PQuantMemRef *const *args, PQuantMemRef *const *results,
                float error) {
  int64_t sequences = args[0]->extents[0], count = args[0]->extents[1];
  int64_t capacity = args[2]->extents[0] / sequences;
  const int64_t *tokens = args[0]->aligned;
  float *state = args[2]->aligned;
  float *logits =
      _mlir_memref_to_llvm_alloc((uint64_t)sequences * 4 * sizeof(float));
  for (int64_t i = 0; i < sequences; ++i)
    append(tokens + i * count, count, *(const int64_t *)args[1]->aligned,
           state + i * capacity, logits + i * 4,
           i == sequences - 1 ? error : 0);
  PQuantMemRef *result = results[0];
  result->allocated = result->aligned = logits;
  result->offset = 0;
  result->extents[0] = sequences, result->extents[1] = 4;
  result->extents[2] = 4, result->extents[3] = 1;
}

static void decode(const void *weights, PQuantMemRef *const *args,
                   PQuantMemRef *const *results) {
  run(args, results, 0);
}

static void prefill(const void *weights, PQuantMemRef *const *args,
                    PQuantMemRef *const *results) {
  run(args, results, 1);
}

static void decodeBatch(const void *weights, PQuantMemRef *const *args,
                        PQuantMemRef *const *results) {
  run(args, results, 2);
}

static const int64_t oneToken[] = {1, 1}, anyTokens[] = {1, -1};
static const int64_t anyRows[] = {-1, 1};
static const int64_t logitSizes[] = {1, 4}, batchLogits[] = {-1, 4};
static const int64_t stateSizes[] = {-1};
static const char *const noNames[] = {"", ""}, *const stateNames[] = {
                                                   "capacity"};
static const PQuantTensorSpec decodeInputs[] = {
    {"ids", PQUANT_INT64, 2, oneToken, noNames},
    {"position", PQUANT_INT64, 0, 0, 0}};
static const PQuantTensorSpec prefillInputs[] = {
    {"ids", PQUANT_INT64, 2, anyTokens, noNames},
    {"position", PQUANT_INT64, 0, 0, 0}};
static const PQuantTensorSpec batchInputs[] = {
    {"ids", PQUANT_INT64, 2, anyRows, noNames},
    {"position", PQUANT_INT64, 0, 0, 0}};
static const PQuantTensorSpec logits[] = {
    {"logits", PQUANT_FLOAT32, 2, logitSizes, noNames}};
static const PQuantTensorSpec rowsOfLogits[] = {
    {"logits", PQUANT_FLOAT32, 2, batchLogits, noNames}};
static const PQuantTensorSpec states[] = {
    {"sum", PQUANT_FLOAT32, 1, stateSizes, stateNames}};

static const PQuantEntryFn decodeFunctions[] = {decode},
                           prefillFunctions[] = {prefill},
                           batchFunctions[] = {decodeBatch};
static const PQuantEntry entries[] = {
    {"decode", 2, 1, decodeInputs, logits, decodeFunctions, states, 1, 0},
    {"prefill", 2, 1, prefillInputs, logits, prefillFunctions, states, 1, 0},
    {"decode_batch", 2, 1, batchInputs, rowsOfLogits, batchFunctions, states, 1,
     0}};
static const PQuantLevel levels[] = {{"generic", ""}};
static const PQuantModelDescriptor descriptor = {
    .abiVersion = PQUANT_ABI_VERSION,
    .numLevels = 1,
    .modelName = "unequal",
    .producer = "by hand",
    .triple = "x86_64-unknown-linux-gnu",
    .levels = levels,
    .entries = entries,
    .numEntries = 3};

const PQuantModelDescriptor *pquant_model_descriptor(void) {
  return &descriptor;
}
