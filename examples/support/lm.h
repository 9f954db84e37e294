/*
 * lm.h - a model with its tokenizer, opened from a folder; a text that is continued and measured; the options of
 * generating.
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

/* The type in which models hold their weights, as the command line gives it: NULL, as stored. */
#define LM_TYPE                                                                                                        \
    CLI_CHOICE("--type", "TYPE", &lm_type, "f32 bf16 f16 q8 q4",                                                       \
               "hold the weights as f32, bf16, f16, q8 or q4 (default: as stored)")
extern const char *lm_type;

/* ink_model_open() with a progress bar on stderr, if that is a terminal and opening takes more than half a second. */
ink_result lm_load(ink_context *ctx, const char *folder, ink_pooling pooling, ink_model **model);

/* An ink_progress_fn that draws this bar. console_progress("%s", "") removes it. */
bool lm_progress(void *user, uint64_t done, uint64_t total);

typedef struct language_model {
    ink_context *ctx;   /* owned by the caller */
    const char *folder; /* the caller's; must live as long as the model */
    ink_model *model;
    ink_tokenizer *tokenizer; /* NULL after LM_NO_TOKENIZER */
    const ink_model_info *info;
} language_model;

/* What becomes of texts. Without a tokenizer a program takes ids and gives ids, and the folder needs none. */
typedef enum lm_text { LM_TOKENIZER, LM_NO_TOKENIZER } lm_text;

/* Opens a model of any kind, one that continues texts, an encoder-decoder, or an encoder. `pooling` is for folders that
   do not say how the rows of a text become one vector. Call lm_close() even after a failure. */
bool lm_open_any(language_model *lm, ink_context *ctx, const char *folder);
bool lm_open(language_model *lm, ink_context *ctx, const char *folder, lm_text text);
bool lm_open_reader(language_model *lm, ink_context *ctx, const char *folder, lm_text text);
bool lm_open_encoder(language_model *lm, ink_context *ctx, const char *folder, ink_pooling pooling, lm_text text);
void lm_close(language_model *lm);

/* ---- text ------------------------------------------------------------------------------------------------------- */

/* The ids of a text, to be released with free(). Words that the vocabulary lacks are noted (vocabulary.h). `flags` as
   for ink_tokenizer_encode(). It is a mistake if the model has no row for an id. */
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

/* The type of keys and values by the name that the command line gives; NULL: f32. Another name is a mistake. */
#define CACHE_OPTION(to)                                                                                               \
    CLI_TEXT("--cache", "TYPE", to, "hold the keys and values of a Transformer as f32 (default), f16 or q8")
bool lm_cache_type(const char *name, ink_type *type);

/* ---- continuing ------------------------------------------------------------------------------------------------- */

/* The options of programs that write text. Start from GENERATING_DEFAULTS: a negative number or GENERATING_UNSET means
   that the command line does not set it. */
typedef struct generating {
    uint64_t n_tokens, top_k, seed;
    double temperature, top_p, min_p, repeat_penalty;
    uint64_t n_beams, min_tokens, no_repeat;
    double length_penalty;
    const char *task;  /* of ink_model_task(), set by the program; NULL: none */
    const char *cache; /* CACHE_OPTION */
} generating;

#define GENERATING_UNSET UINT64_MAX
#define GENERATING_DEFAULTS                                                                                            \
    {                                                                                                                  \
        GENERATING_UNSET, GENERATING_UNSET, 1, -1, -1, -1, -1, GENERATING_UNSET, GENERATING_UNSET, GENERATING_UNSET,   \
            -1, NULL, NULL                                                                                             \
    }
#define SAMPLING_OPTIONS(g)                                                                                            \
    CLI_COUNT("-n", "COUNT", &(g)->n_tokens, 0, 1e9, "tokens to produce at most"),                                     \
        CLI_REAL("-t", "TEMPERATURE", &(g)->temperature, 100,                                                          \
                 "flattens (above 1) or sharpens (below 1) the choice; 0: greedy"),                                    \
        CLI_COUNT("-k", "TOP_K", &(g)->top_k, 0, 1e9, "choose among the k likeliest tokens; 0: all"),                  \
        CLI_REAL("-p", "TOP_P", &(g)->top_p, 1,                                                                        \
                 "choose among the likeliest tokens that make up probability p; 0 and 1: all"),                        \
        CLI_REAL("--min-p", "P", &(g)->min_p, 1, "drop tokens less likely than p times the likeliest; 0: none"),       \
        CLI_REAL("--repeat-penalty", "R", &(g)->repeat_penalty, 100,                                                   \
                 "make tokens that occurred before less likely; 0 and 1: not at all"),                                 \
        CACHE_OPTION(&(g)->cache),                                                                                     \
        CLI_COUNT("--seed", "S", &(g)->seed, 0, 0, "the same seed gives the same text, on every machine (default 1)")
#define BEAM_OPTIONS(g)                                                                                                \
    CLI_COUNT("--beams", "N", &(g)->n_beams, 1, 1024, "search for the likeliest text with N beams; 1: none"),          \
        CLI_REAL("--length-penalty", "P", &(g)->length_penalty, 16,                                                    \
                 "of beams: above 0, the higher, the longer the text; 0: the plain sum"),                              \
        CLI_COUNT("--min", "COUNT", &(g)->min_tokens, 0, 1e9, "tokens to produce at least"),                           \
        CLI_COUNT("--no-repeat", "N", &(g)->no_repeat, 0, 1e9, "no N tokens in a row occur twice; 0: they may")

/* The settings from the command line; for the rest those that the model's folder recommends, or else temperature 0.8
   (greedy for an encoder-decoder). There is one result. -n decides how long a text may be; the lengths of the folder
   count without it. Beams exclude a temperature: the one from the command line wins, and both there are a mistake. So
   is a --min above -n. Options without effect are noted. */
bool generating_choose(const generating *g, const ink_model *model, ink_generate_options *options);

typedef struct lm_report {
    ink_generate_end end;
    bool is_full; /* the text ended because the context is full */
    size_t n_tokens;
    size_t n_steps;        /* passes through the model after the prompt */
    double prompt_seconds; /* for the prompt */
    double seconds;        /* for the steps */
    size_t state_size;     /* bytes of all states */
} lm_report;

/* Continues a prompt, n_prompt >= 1, with at most options->max_tokens tokens; 0: none. Texts are those of the model's
   tokenizer. */
bool lm_continue(const language_model *lm, const ink_token *prompt, size_t n_prompt,
                 const ink_generate_options *options, lm_report *report);

#endif
