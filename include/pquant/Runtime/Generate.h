//===- Generate.h - Text to tokens, logits to tokens, tokens to text ------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What a program needs beside sessions (Runtime.h) to write text: the tokenizer
// that the model was compiled with, and a sampler. Plain C, errors and threads
// as in Runtime.h. docs/TextGeneration.md defines the sampler exactly and has a
// whole program.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_RUNTIME_GENERATE_H
#define PQUANT_RUNTIME_GENERATE_H

#include "pquant/Runtime/Runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

//===----------------------------------------------------------------------===//
// Text and tokens
//===----------------------------------------------------------------------===//

typedef struct PQuantTokenizer PQuantTokenizer;

/// Opens the tokenizer that the artifact holds; free it before the model is
/// closed. PQUANT_NOT_FOUND when the model was compiled without one.
PQUANT_API PQuantStatus pquant_create_tokenizer(const PQuantModel *model,
                                                PQuantTokenizer **tokenizer);
/// As above, of a SentencePiece model file in memory, which must outlive it.
PQUANT_API PQuantStatus pquant_create_tokenizer_from_memory(
    const void *file, uint64_t bytes, PQuantTokenizer **tokenizer);
/// Null is allowed.
PQUANT_API void pquant_free_tokenizer(PQuantTokenizer *tokenizer);

/// The number of tokens.
PQUANT_API int64_t pquant_tokenizer_size(const PQuantTokenizer *tokenizer);
/// The token before every text, as the model was compiled; -1 for none.
PQUANT_API int64_t pquant_begin_token(const PQuantTokenizer *tokenizer);
/// The token that ends a text; -1 for none.
PQUANT_API int64_t pquant_end_token(const PQuantTokenizer *tokenizer);

/// Writes the tokens of `bytes` bytes of UTF-8 to `tokens`, which has room for
/// `capacity`; `*count` is how many there are, even when they do not fit
/// (PQUANT_INVALID_ARGUMENT). Null `tokens` with capacity 0 only counts. The
/// begin token is not among them.
PQUANT_API PQuantStatus pquant_tokenize(const PQuantTokenizer *tokenizer,
                                        const char *text, int64_t bytes,
                                        int64_t *tokens, int64_t capacity,
                                        int64_t *count);

/// Tokens to text, one after the other.
typedef struct PQuantTextStream PQuantTextStream;

/// Free it before the tokenizer.
PQUANT_API PQuantStatus pquant_create_text_stream(
    const PQuantTokenizer *tokenizer, PQuantTextStream **stream);
/// Null is allowed.
PQUANT_API void pquant_free_text_stream(PQuantTextStream *stream);
/// The text that `token` completes, valid until the next call on this stream:
/// whole characters always, "" while one lacks bytes. Token -1 ends the text:
/// what is unfinished becomes U+FFFD, and the next token starts another text.
PQUANT_API const char *pquant_stream_text(PQuantTextStream *stream,
                                          int64_t token);

//===----------------------------------------------------------------------===//
// Sampling
//===----------------------------------------------------------------------===//

/// How a token is drawn. The steps are done in this order, each only when it is
/// not neutral.
typedef struct PQuantSampling {
  /// Above 1: logits of the last `repeatWindow` tokens are divided by this when
  /// positive, else multiplied. 1 is neutral.
  float repeatPenalty;
  int32_t repeatWindow;
  /// The number of greatest logits that stay; 0 for all.
  int64_t topK;
  /// Logits are divided by this, 1e-6 or more; 0 takes the greatest without
  /// drawing.
  double temperature;
  /// The most probable tokens stay that together reach this probability; 1
  /// for all.
  double topP;
  /// Equal seeds give equal draws, on every machine.
  uint64_t seed;
} PQuantSampling;

/// Greedy, without a penalty; seed 0.
PQUANT_API PQuantSampling pquant_default_sampling(void);

typedef struct PQuantSampler PQuantSampler;

/// A sampler for logits of `vocabulary` tokens. PQUANT_INVALID_ARGUMENT for a
/// setting out of range.
PQUANT_API PQuantStatus pquant_create_sampler(const PQuantSampling *sampling,
                                              int64_t vocabulary,
                                              PQuantSampler **sampler);
/// Null is allowed.
PQUANT_API void pquant_free_sampler(PQuantSampler *sampler);
/// Tells of tokens that were not drawn (a prompt), for the repetition penalty.
PQUANT_API PQuantStatus pquant_sampler_accept(PQuantSampler *sampler,
                                              const int64_t *tokens,
                                              int64_t count);
/// Forgets all tokens and draws as at first.
PQUANT_API void pquant_sampler_reset(PQuantSampler *sampler);
/// Draws the token that follows, by logits as pquant_session_run gives them,
/// and accepts it.
PQUANT_API PQuantStatus pquant_sample(PQuantSampler *sampler,
                                      const PQuantTensor *logits,
                                      int64_t *token);
/// pquant_session_run and pquant_sample at once: appends `count` tokens and
/// draws the one that follows, which `tokens` may be overwritten with. The
/// token is the same, but of a model for a GPU only the logits are copied that
/// decide it: those of the top-k, or the greatest, where k and the tokens with
/// a penalty are 256 at most. The session has one sequence. PQUANT_RUN_FAILED
/// by the sampler leaves the tokens appended.
PQUANT_API PQuantStatus pquant_session_sample(PQuantSession *session,
                                              const int64_t *tokens,
                                              int64_t count,
                                              PQuantSampler *sampler,
                                              int64_t *token);
/// The distribution that pquant_sample would draw from: `vocabulary` weights,
/// one where greedy. Draws and accepts nothing.
PQUANT_API PQuantStatus pquant_sampler_weights(PQuantSampler *sampler,
                                               const PQuantTensor *logits,
                                               const uint64_t **weights);

#ifdef __cplusplus
}
#endif

#endif // PQUANT_RUNTIME_GENERATE_H
