/*
 * generate.h - continuing texts: greedy, by sampling, or by beam search, one or many at once.
 *
 * A generator holds all that generating needs beside the model: states, logits, the random numbers, room for the
 * results. Everything is allocated when it is created. A request is a text to continue, and ink_generate() continues
 * any number of them side by side. Each result is bit-identical to that of the request alone.
 *
 * A greedy continuation that is printed as it is produced:
 *
 *     static bool print(void *user, const ink_generate_step *step)
 *     {
 *         return fwrite(step->text, 1, step->size, user) == step->size;      (false would end the text here)
 *     }
 *
 *     ink_generate_options options = {.max_tokens = 100, .tokenizer = tokenizer, .callback = print, .user = stdout};
 *     ink_generator_create(ctx, model, &options, &generator);
 *     ink_request request = {.tokens = prompt, .n_tokens = n};
 *     ink_generate(ctx, generator, &request, 1);
 *
 * A turn of a conversation. `tokens` is the whole conversation as ink_chat_encode() gives it, `heard` what the state
 * has read, and the state knows how much that is:
 *
 *     ink_generate_options options = {.chat = chat, .bring_states = true, .tokenizer = tokenizer, ...};
 *     ink_state_follow(ctx, state, heard, tokens, n_tokens, &n_kept);     forgets what the conversation has no longer
 *     ink_request turn = {.state = state, .tokens = tokens, .n_tokens = n_tokens};
 *     ink_generate(ctx, generator, &turn, 1);                  runs what is new of tokens, then answers
 *     heard = tokens and turn.results[0].tokens; the text of the result is the next message
 *
 * A translation by four beams, of a model that reads a source (encoder_decoder.h), with the folder's other settings.
 * `target` is the tokenizer of ink_tokenizer_open_target():
 *
 *     ink_generate_options options;
 *     ink_model_generation(model, &options);
 *     options.sampler.temperature = 0;
 *     options.n_beams = 4;
 *     options.max_tokens = 200;
 *     ink_generator_create(ctx, model, &options, &generator);
 *     ink_request request = {.encoded = encoded};
 *     ink_generate(ctx, generator, &request, 1);
 *     const ink_generated *best = &request.results[0];
 *     ink_tokenizer_decode(ctx, target, best->tokens, best->n_tokens, text, sizeof text, &size);
 *
 * A list of prompts, with two of four beams of each:
 *
 *     ink_generate_options options = {.n_requests = 8, .n_beams = 4, .n_results = 2, .max_tokens = 60};
 *     ink_generator_create(ctx, model, &options, &generator);
 *     for (size_t i = 0; i < 8; i++)
 *         requests[i] = (ink_request){.tokens = prompts[i], .n_tokens = lengths[i]};
 *     ink_generate(ctx, generator, requests, 8);
 *     second = requests[5].results[1];
 *
 * All rules are those of transformers' generate(), under which a result is the same tokens. ink_model_generation()
 * gives those that the model's folder recommends.
 */
#ifndef INKLING_GENERATE_H
#define INKLING_GENERATE_H

#include <inkling/chat.h>
#include <inkling/encoder_decoder.h>
#include <inkling/model.h>
#include <inkling/sampler.h>
#include <inkling/tokenizer.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- how --------------------------------------------------------------------------------------------------------- */

/* When a beam search of n beams ends. It always ends when no beam can be continued. */
typedef enum ink_early_stopping {
    INK_STOP_UNLIKELY = 0, /* n texts are finished, and the best beam, if it ended now, would be no better than the
                              worst of them (transformers: false) */
    INK_STOP_EARLY,        /* n texts are finished (true) */
    INK_STOP_NEVER         /* n are finished, and the best beam could not get better than the worst of them with all the
                              tokens it may still get ("never") */
} ink_early_stopping;

/* A list of tokens, the caller's. */
typedef struct ink_token_list {
    const ink_token *tokens; /* [n_tokens] */
    size_t n_tokens;
} ink_token_list;

typedef struct ink_stop_text {
    const char *text; /* [size] bytes */
    size_t size;
} ink_stop_text;

/* What the callback gets. */
typedef struct ink_generate_step {
    size_t request, result; /* the indices of both */
    size_t n_tokens;        /* new tokens so far */
    ink_token token;        /* the new token; -1: none */
    const char *text;       /* [size] the text that is complete with it, often "", never half a character */
    size_t size;
    bool is_last;  /* of this result: token is -1 and `text` the rest, unless a stop text ended it with this token */
    bool searches; /* nothing is certain yet: a step of a beam search, whose longest beam has n_tokens new tokens */
} ink_generate_step;

/* Returning false ends the result, or the search, which then makes its results of the beams it has. There are no more
   calls for a result after that. It may not use the generator. */
typedef bool (*ink_generate_fn)(void *user, const ink_generate_step *step);

/* {0}: one request, greedy, until the model ends its text or the state is full. What a pointer refers to must live as
   long as the generator. Lengths count the tokens of the request, too; of an encoder-decoder, those of the decoder. */
typedef struct ink_generate_options {
    size_t n_requests; /* the most requests of a call; 0: 1 */
    size_t capacity; /* tokens of a sequence that has run: of the request and all new ones but the last; 0: the context
                        length of the model, or without one what max_tokens or max_length need behind one token */
    size_t source_capacity; /* of a model without a source_length: the most tokens its sources have room for; 0: so many
                               as capacity */
    ink_type cache;    /* of the keys and values of the generator's states (ink_state_options); with beams or several
                          results, those that requests bring are of the same type */
    bool bring_states; /* every request brings its state: without beams the generator makes none of its own */

    ink_sampler_options sampler; /* temperature 0: greedy */
    size_t n_results;            /* of each request: by sampling, or the best of the beams, at most n_beams; 0: 1 */

    size_t n_beams;       /* 0 and 1: no beam search. Not together with a temperature */
    float length_penalty; /* the score of a text is (sum of log p) / length^length_penalty, with the stop token and
                             without the tokens of the request; 0: 1; FLT_MIN: the plain sum. From -16 to 16 */
    ink_early_stopping early_stopping; /* of the beam search */
    bool renormalise;                  /* log p of the beams is normalised after the rules below (renormalize_logits) */

    size_t max_tokens; /* new tokens at most; 0: max_length decides */
    size_t max_length; /* with the tokens of the request; 0: until the state is full */
    size_t min_tokens; /* no stop token before so many new tokens; 0: min_length decides */
    size_t min_length; /* the same with the tokens of the request; 0: off */

    ink_token_list stop_tokens; /* each ends a text; tokens NULL: those of the model */
    const ink_chat *chat; /* new texts are answers in this chat: also its tokens end them, and they are texts of their
                             own, spelled without a space in front; NULL: they go on with the text of the request */
    const ink_stop_text *stop_texts; /* [n_stop_texts] a text ends before the first of them; not under beams */
    size_t n_stop_texts;

    size_t no_repeat_ngram_size;         /* no n tokens in a row occur twice in a text; 0: off */
    size_t encoder_no_repeat_ngram_size; /* nor one of the source; if there is none, of the request; 0: off */
    const ink_token_list *banned;        /* [n_banned] tokens that never occur in this order (bad_words_ids) */
    size_t n_banned;
    ink_token_list suppressed;       /* never */
    ink_token_list begin_suppressed; /* not as the first new token, or behind forced_bos */
    ink_token_list forced_bos;       /* the second token of a text is one of them: of a request with one token */
    ink_token_list forced_eos;       /* the last token that max_tokens or max_length permit is one of them */

    const ink_tokenizer *tokenizer; /* of the texts for callback and stop_texts; NULL: tokens only */
    ink_generate_fn callback;       /* gets each token; of a beam search, each step, then the tokens of its results */
    void *user;
} ink_generate_options;

/* Fills *options with what the folder recommends in generation_config.json or, if there is no such file, in
   config.json; all other members are as in {0}. Absent settings get Hugging Face's defaults, and seed is 0; but absent
   lengths stay 0, where transformers makes 20 tokens. Lists belong to the model. False if the file does not say how to
   choose tokens (has none of do_sample, num_beams and repetition_penalty): then they are greedy, and the lengths and
   lists are read all the same.

   0 means "nothing" in the file, as in transformers, and "off" in the options, so top_p 0 (only the likeliest token)
   and length_penalty 0 (the plain sum) become FLT_MIN. A number out of range is noted (ink_model_note()): top_p above 1
   and top_k below 0 keep all tokens, temperature 0 is greedy, length_penalty becomes -16 or 16, and
   ink_generator_create() refuses the others, as transformers does. Rules that the generator lacks (typical_p,
   stop_strings, ...) are noted and ignored. */
bool ink_model_generation(const ink_model *model, ink_generate_options *options);

/* The same for one task of a model that has several: over those settings go the lengths and the beams that config.json
   has for it (task_specific_params), as in the pipelines of transformers 4. *prefix gets the text that the model wants
   in front of a source, "summarize: " of T5 for the task "summarization", or "". It belongs to the model. False if the
   folder has no settings for the task. */
bool ink_model_task(const ink_model *model, const char *task, ink_generate_options *options, const char **prefix);

/* ---- generating -------------------------------------------------------------------------------------------------- */

typedef enum ink_generate_end {
    INK_END_LENGTH,     /* max_tokens, max_length, or the state is full */
    INK_END_STOP_TOKEN, /* the model ended the text */
    INK_END_STOP_TEXT,
    INK_END_CALLBACK /* the callback returned false */
} ink_generate_end;

typedef struct ink_generated {
    const ink_token *tokens; /* [n_tokens] the new tokens, with forced_bos and those of a stop text, without the stop
                                token */
    size_t n_tokens;
    ink_token stop_token; /* -1: none ended it */
    ink_generate_end end;
    float score; /* of a beam search; else 0 */
} ink_generated;

/*
 * A text to continue: {.tokens = tokens, .n_tokens = n}; of an encoder-decoder {.encoded = encoded}.
 *
 * If the request brings a state, `tokens` are all tokens of the sequence. The state has seen the first
 * ink_state_length() of them, which is fewer than n_tokens. After a call with one result and no beams the state has
 * seen the tokens of the request and of the result, but for the last one if no stop token ended it. So the next request
 * may be these tokens with any others behind them. After a beam search, or with several results, the state has seen the
 * tokens of the request.
 */
typedef struct ink_request {
    ink_state *state;           /* NULL: one of the generator's, from its beginning */
    const ink_encoded *encoded; /* the source that the text comes from; a state that the request brings has its own */
    const ink_token *tokens;    /* [n_tokens], at least 1; of an encoder-decoder 0 for its start token */
    size_t n_tokens;
    ink_token_list source; /* of an encoder-decoder: for encoder_no_repeat_ngram_size alone */
    uint64_t seed;         /* added to that of the sampler */

    /* Set by ink_generate(): best first. They live until the next call with the generator. */
    const ink_generated *results; /* [n_results] */
    size_t n_results;             /* at least 1; fewer than asked for if the beams ended fewer texts */
} ink_request;

typedef struct ink_generator ink_generator;

/* Creates a generator; the model must outlive it. It also reserves scratch memory of ctx. INK_ERROR_ARGUMENT names the
   option; INK_ERROR_LIMIT for a capacity beyond the context length; INK_ERROR_UNSUPPORTED: the model is an encoder, or
   sampling or stop texts under beams; INK_ERROR_MEMORY. */
ink_result ink_generator_create(ink_context *ctx, const ink_model *model, const ink_generate_options *options,
                                ink_generator **generator);
void ink_generator_free(ink_generator *generator);

/*
 * Continues the requests. A generator is used by one call at a time. With the context that created it nothing is
 * allocated, unless a source has room for more than source_capacity.
 *
 * All requests are checked before anything runs: INK_ERROR_ARGUMENT for no or wrong tokens, a state of another model or
 * with nothing left to run, no source or one of another model, a length that is reached already; INK_ERROR_LIMIT for
 * more requests or tokens than there is room for; INK_ERROR_MISMATCH if beams or several results need copies of a state
 * with another type of cache than the generator, or with another capacity, if the model's rope depends on it.
 * INK_ERROR_NONFINITE if the model computes NaN or the rules leave no token: the states have then seen what has run.
 */
ink_result ink_generate(ink_context *ctx, ink_generator *generator, ink_request *requests, size_t n_requests);

#ifdef __cplusplus
}
#endif

#endif
