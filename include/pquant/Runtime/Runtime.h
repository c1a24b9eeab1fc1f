//===- Runtime.h - The C API of a compiled model --------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Open a compiled model, look at what it takes and gives, run it. Plain C: no
// exception, no C++ type and no process exit crosses this interface.
//
// Errors: a function that can fail returns a PQuantStatus; anything but
// PQUANT_OK leaves a one-line text in pquant_last_error() of the same thread
// and its output arguments null.
// Threads: distinct models may be used from distinct threads at the same time;
// one model must not be used from two threads at once.
// See docs/Runtime.md for a whole program.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_RUNTIME_RUNTIME_H
#define PQUANT_RUNTIME_RUNTIME_H

#include "pquant/Runtime/ModelDescriptor.h"

#ifdef __cplusplus
extern "C" {
#endif

/// The C API is all that an artifact exports beside its descriptor.
#define PQUANT_API __attribute__((visibility("default")))

typedef enum PQuantStatus {
  PQUANT_OK = 0,
  PQUANT_INVALID_ARGUMENT = 1, ///< an input, name or number that does not fit
  PQUANT_NOT_FOUND = 2,        ///< no such file, symbol, entry or level
  PQUANT_UNSUPPORTED = 3,      ///< ABI version or CPU of another kind
  PQUANT_RUN_FAILED = 4,       ///< a run-time check of the model failed
  PQUANT_OUT_OF_MEMORY = 5,
} PQuantStatus;

/// An open model: its descriptor, the chosen level and the memory that runs
/// reuse.
typedef struct PQuantModel PQuantModel;

/// The outputs of one run. They stay valid after the model is closed.
typedef struct PQuantResults PQuantResults;

/// A dense row-major tensor. As an input the memory is the caller's and is only
/// read, during the call; as an output it belongs to the PQuantResults.
typedef struct PQuantTensor {
  const char *name; ///< an input's name, or null to match by position
  const void *data; ///< aligned to its element; may be null when empty
  int32_t dtype;    ///< a PQuantDType
  int32_t rank;     ///< 0 to PQUANT_MAX_RANK
  int64_t sizes[PQUANT_MAX_RANK];
} PQuantTensor;

/// What went wrong in the last failed call on this thread; "" when none did.
PQUANT_API const char *pquant_last_error(void);

//===----------------------------------------------------------------------===//
// Open and close
//===----------------------------------------------------------------------===//

/// Opens the model of `descriptor`, which must outlive it. Chooses the highest
/// instruction-set level that this CPU has, or the one that the environment
/// variable PQUANT_ISA names, and as many threads as OpenMP would use
/// (OMP_NUM_THREADS, else the CPUs of this process).
PQUANT_API PQuantStatus pquant_open(const PQuantModelDescriptor *descriptor,
                                    PQuantModel **model);

/// Loads a shared library that pquant-compile wrote and opens its model.
/// `symbol` names the descriptor function; null is "pquant_model_descriptor".
PQUANT_API PQuantStatus pquant_open_library(const char *path,
                                            const char *symbol,
                                            PQuantModel **model);

/// Maps the weights of a model that was compiled with `--weights`; does nothing
/// for any other. Null `path`: the environment variable PQUANT_WEIGHTS, else
/// the file that the model names, from the folder of the artifact. Checks the
/// file's size and header. The first run does this when it was not done before.
PQUANT_API PQuantStatus pquant_load_weights(PQuantModel *model,
                                            const char *path);
/// Loads them if need be, reads the whole file and compares its checksum.
PQUANT_API PQuantStatus pquant_verify_weights(PQuantModel *model);

/// Closes the model and unloads its library. Null is allowed.
PQUANT_API void pquant_close(PQuantModel *model);

//===----------------------------------------------------------------------===//
// Look. Pointers returned here live as long as the model.
//===----------------------------------------------------------------------===//

/// Everything the compiler wrote about the model; never null.
PQUANT_API const PQuantModelDescriptor *
pquant_get_descriptor(const PQuantModel *model);

PQUANT_API int32_t pquant_num_entries(const PQuantModel *model);
/// Entry point `index` with its inputs and outputs; null when out of range.
PQUANT_API const PQuantEntry *pquant_get_entry(const PQuantModel *model,
                                               int32_t index);
/// The index of an entry point. A null name means the only one, or "main".
PQUANT_API PQuantStatus pquant_find_entry(const PQuantModel *model,
                                          const char *name, int32_t *index);

PQUANT_API int32_t pquant_num_linears(const PQuantModel *model);
/// Linear layer `index`; null when out of range.
PQUANT_API const PQuantLinearInfo *pquant_get_linear(const PQuantModel *model,
                                                     int32_t index);

PQUANT_API int32_t pquant_num_levels(const PQuantModel *model);
/// Instruction-set level `index`, weakest first; null when out of range.
PQUANT_API const PQuantLevel *pquant_get_level(const PQuantModel *model,
                                               int32_t index);
/// Whether this CPU (and its kernel) can run level `index`: 1 or 0.
PQUANT_API int32_t pquant_level_supported(const PQuantModel *model,
                                          int32_t index);
/// The level that runs use.
PQUANT_API int32_t pquant_current_level(const PQuantModel *model);
/// Chooses a level by name. PQUANT_UNSUPPORTED when this CPU lacks a feature.
PQUANT_API PQuantStatus pquant_set_level(PQuantModel *model, const char *name);

/// Chooses where a model runs, before it does: "cuda" or "cuda:<number>" for
/// one that was compiled for a GPU (by default GPU 0), "cpu" for any other. The
/// first run or session opens the GPU and uploads the weights;
/// PQUANT_UNSUPPORTED when there is none.
PQUANT_API PQuantStatus pquant_set_device(PQuantModel *model, const char *name);

/// The most memory for activations and results that the model's runs have had
/// at one time, in bytes. Weights and sessions are apart from it.
PQUANT_API uint64_t pquant_arena_bytes(const PQuantModel *model);

PQUANT_API int32_t pquant_get_threads(const PQuantModel *model);
/// Sets the number of threads of later runs, 1 to 4096.
PQUANT_API PQuantStatus pquant_set_threads(PQuantModel *model, int32_t threads);

/// "float32", "bool", ... as NumPy calls it; "unknown" for any other number.
PQUANT_API const char *pquant_dtype_name(int32_t dtype);
/// Bytes per element; 0 for an unknown dtype.
PQUANT_API int64_t pquant_dtype_size(int32_t dtype);

//===----------------------------------------------------------------------===//
// Run
//===----------------------------------------------------------------------===//

/// Runs entry point `entry`. Inputs are matched by name when the first has a
/// name (then all must), else by position. Each must have exactly the dtype and
/// rank of its spec, its static sizes, and one value per symbolic size name
/// over all inputs. On success `*results` holds the outputs in the entry's
/// order; free it with pquant_free_results. A run that fails leaks nothing and
/// leaves the model usable.
PQUANT_API PQuantStatus pquant_run(PQuantModel *model, int32_t entry,
                                   const PQuantTensor *inputs,
                                   int32_t numInputs, PQuantResults **results);

PQUANT_API int32_t pquant_num_results(const PQuantResults *results);
/// Output `index`, named; null when out of range.
PQUANT_API const PQuantTensor *pquant_get_result(const PQuantResults *results,
                                                 int32_t index);
/// Null is allowed.
PQUANT_API void pquant_free_results(PQuantResults *results);

//===----------------------------------------------------------------------===//
// Sessions: a sequence that grows, its keys and values kept in place
//===----------------------------------------------------------------------===//

/// One sequence of tokens of a model with the entry points 'prefill' and
/// 'decode'. Distinct sessions of one model hold distinct sequences; they and
/// the model are used from one thread at a time.
typedef struct PQuantSession PQuantSession;

/// Creates an empty sequence with room for `capacity` tokens, at most as many
/// as a static cache in the model's file has. Free it before the model is
/// closed. PQUANT_UNSUPPORTED when the model has no such entry points.
PQUANT_API PQuantStatus pquant_create_session(PQuantModel *model,
                                              int64_t capacity,
                                              PQuantSession **session);

/// Creates `sequences` empty sequences of equal length, which go on together,
/// in one session. Of more than one it is PQUANT_UNSUPPORTED when the model was
/// compiled without --batch.
PQUANT_API PQuantStatus pquant_create_batch(PQuantModel *model,
                                            int64_t sequences, int64_t capacity,
                                            PQuantSession **session);

/// Null is allowed.
PQUANT_API void pquant_free_session(PQuantSession *session);

/// Appends `count` tokens (1 or more) and computes the logits of the one that
/// follows them: float32 [1, vocabulary], valid until the next call on this
/// session. One token runs 'decode', several run 'prefill', 512 at a time (or,
/// where there is none, 'decode' for each). PQUANT_INVALID_ARGUMENT when a
/// token is negative or beyond the model's type. A run that fails leaves the
/// sequence as it was. Of several sequences, `tokens` are `count` of each,
/// those of the first one first, and the logits are [sequences, vocabulary]:
/// one token of each runs 'decode_batch', several run as above for each
/// sequence.
PQUANT_API PQuantStatus pquant_session_run(PQuantSession *session,
                                           const int64_t *tokens, int64_t count,
                                           const PQuantTensor **logits);

/// The number of sequences.
PQUANT_API int64_t pquant_session_sequences(const PQuantSession *session);
/// The number of tokens in a sequence, and the room for them.
PQUANT_API int64_t pquant_session_position(const PQuantSession *session);
PQUANT_API int64_t pquant_session_capacity(const PQuantSession *session);
/// The most room that a session can have; INT64_MAX when that is open, 0 when
/// the model has no sessions.
PQUANT_API int64_t pquant_max_capacity(const PQuantModel *model);

/// The bytes of its keys and values.
PQUANT_API uint64_t pquant_session_bytes(const PQuantSession *session);

/// Takes the tokens from `position` on back; 0 empties the sequence.
PQUANT_API PQuantStatus pquant_session_rewind(PQuantSession *session,
                                              int64_t position);

//===----------------------------------------------------------------------===//
// Self-test
//===----------------------------------------------------------------------===//

/// Receives one line per kernel, without the newline.
typedef void (*PQuantReportFn)(void *user, const char *line);

/// Compares every kernel at the current level with level 0, on random data and
/// edge shapes: bit for bit, floating-point linears to 1e-4 of the largest
/// value. PQUANT_RUN_FAILED when one differs.
PQUANT_API PQuantStatus pquant_self_test(PQuantModel *model,
                                         PQuantReportFn report, void *user);

#ifdef __cplusplus
}
#endif

#endif // PQUANT_RUNTIME_RUNTIME_H
