/*
 * lm.h - a model with its tokenizer, opened from a folder; the loop that continues a text; and the options of sampling.
 *
 * A function that returns bool answers whether to go on; if not, it has already printed why.
 */
#ifndef EXAMPLES_LM_H
#define EXAMPLES_LM_H

#include <inkling.h>

#include <stdbool.h>
#include <stddef.h>

#include "cli.h"
#include "console.h"

/* ---- opening ---------------------------------------------------------------------------------------------------- */

/* Writes the folder of a bundled model ("mlp", "rnn", "gru", "lstm", "gpt", "bert") into `room`: it lies in the folder
   that the environment variable INKLING_MODELS names, or else beside the sources the programs were built from. */
bool bundled_folder(char room[PATH_ROOM], const char *model);

/* ink_model_open() with a progress bar on stderr, if that is a terminal and opening takes more than half a second. */
ink_result lm_load(ink_context *ctx, const char *folder, ink_pooling pooling, ink_model **model);

typedef struct language_model {
    ink_context *ctx;   /* owned by the caller */
    const char *folder; /* the caller's; must live as long as the model */
    ink_model *model;
    ink_tokenizer *tokenizer; /* NULL after LM_NO_TOKENIZER */
    const ink_model_info *info;
} language_model;

/* What becomes of texts. Without a tokenizer a program takes ids and gives ids, and the folder needs none. */
typedef enum lm_text { LM_TOKENIZER, LM_NO_TOKENIZER } lm_text;

/* Opens a model of any kind, one that continues texts, or an encoder. `pooling` is for folders that do not say how the
   rows of a text become one vector. Call lm_close() even after a failure. */
bool lm_open_any(language_model *lm, ink_context *ctx, const char *folder);
bool lm_open(language_model *lm, ink_context *ctx, const char *folder, lm_text text);
bool lm_open_encoder(language_model *lm, ink_context *ctx, const char *folder, ink_pooling pooling, lm_text text);
void lm_close(language_model *lm);

/* ---- text ------------------------------------------------------------------------------------------------------- */

/* The ids of a text, to be released with free(). `flags` as for ink_tokenizer_encode(). It is a mistake if the model
   has no row for an id. */
bool lm_encode(const language_model *lm, const char *text, size_t size, unsigned flags, ink_token **tokens, size_t *n);

/* The same of a text or a pair, with the types of the tokens and their places beside the ids (NULL: not wanted), also
   to be released. */
bool lm_encode_input(const language_model *lm, const ink_encode_input *input, ink_token **tokens, ink_token **types,
                     ink_place **places, size_t *n);

/* The ids that a text lists as whole numbers with white space between them, to be released with free(). Such a list is
   taken as it is: nothing is put in front of it or behind it. */
#define LM_IDS_IN(to) CLI_FLAG("--ids-in", to, "takes token ids, with spaces between them, instead of text")
bool lm_read_ids(const language_model *lm, const char *text, size_t size, ink_token **tokens, size_t *n);

/* True if the model gets the types of tokens that its tokenizer gives: which of two texts a token belongs to. */
bool lm_has_types(const language_model *lm);

/* The ids of a prompt with the tokenizer's template. An empty prompt becomes the token that begins a text, if the model
   has one. With `as_ids` it is a list of ids. A prompt without tokens, or longer than the context, is a mistake. */
bool lm_prompt(const language_model *lm, const char *text, bool as_ids, ink_token **tokens, size_t *n);

/* The text that is complete with this token, as ink_tokenizer_stream() gives it. An id without a token has no text:
   models often have more rows than their tokenizer has tokens. Without a tokenizer nothing has a text. */
bool lm_spell(const language_model *lm, ink_text_stream *stream, ink_token token, char *text, size_t capacity,
              size_t *size);

/* ---- continuing ------------------------------------------------------------------------------------------------- */

/* The options of programs that write text. Start from SAMPLING_DEFAULTS: a negative number or SAMPLING_UNSET means that
   the command line does not set it. */
typedef struct sampling {
    uint64_t n_tokens, top_k, seed;
    double temperature, top_p, min_p, repeat_penalty;
} sampling;

#define SAMPLING_UNSET UINT64_MAX
#define SAMPLING_DEFAULTS                                                                                              \
    {                                                                                                                  \
        SAMPLING_UNSET, SAMPLING_UNSET, 1, -1, -1, -1, -1                                                              \
    }
#define SAMPLING_OPTIONS(s)                                                                                            \
    CLI_COUNT("-n", "COUNT", &(s)->n_tokens, 0, 1e9, "tokens to produce at most"),                                     \
        CLI_REAL("-t", "TEMPERATURE", &(s)->temperature, 100,                                                          \
                 "flattens (above 1) or sharpens (below 1) the choice; 0: greedy"),                                    \
        CLI_COUNT("-k", "TOP_K", &(s)->top_k, 0, 1e9, "choose among the k likeliest tokens; 0: all"),                  \
        CLI_REAL("-p", "TOP_P", &(s)->top_p, 1,                                                                        \
                 "choose among the likeliest tokens that make up probability p; 0 and 1: all"),                        \
        CLI_REAL("--min-p", "P", &(s)->min_p, 1, "drop tokens less likely than p times the likeliest; 0: none"),       \
        CLI_REAL("--repeat-penalty", "R", &(s)->repeat_penalty, 100,                                                   \
                 "make tokens that occurred before less likely; 0 and 1: not at all"),                                 \
        CLI_COUNT("--seed", "S", &(s)->seed, 0, 0, "the same seed gives the same text, on every machine (default 1)")

/* The settings from the command line; for the rest those the model's folder recommends, or else temperature 0.8. */
ink_sampler_options sampling_choose(const sampling *s, const ink_model *model);

/* Receives each new token and the text that is complete with it (often "", never half a character). At the end comes a
   call with token -1 and the rest of the text. Returning false ends the continuation. */
typedef bool (*lm_sink)(void *user, ink_token token, const char *text, size_t size);

typedef struct lm_request {
    const ink_token *prompt;
    size_t n_prompt; /* at least 1 */
    size_t n_tokens; /* how many to produce at most */
    ink_sampler_options sampler;
    lm_sink sink;
    void *user;
} lm_request;

typedef enum lm_end {
    LM_COUNT,   /* all the tokens asked for */
    LM_EOS,     /* the model ended its text */
    LM_CONTEXT, /* the model's context is full */
    LM_SINK     /* the sink returned false */
} lm_end;

typedef struct lm_report {
    lm_end end;
    size_t n_tokens;
    size_t n_steps;        /* tokens that ran through the model after the prompt */
    double prompt_seconds; /* for the prompt */
    double seconds;        /* for the steps */
    size_t state_size;     /* bytes */
} lm_report;

/* Continues a prompt: forward, pick, hand over, forward ... */
bool lm_continue(const language_model *lm, const lm_request *request, lm_report *report);

#endif
