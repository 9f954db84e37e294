/*
 * lm.h - a language model with its tokenizer, opened from a folder, and the loop that continues a text.
 *
 * What goes wrong is said on stderr where it happens; functions answer whether to go on.
 */
#ifndef EXAMPLES_LM_H
#define EXAMPLES_LM_H

#include <inkling.h>

#include <stdbool.h>
#include <stddef.h>

typedef struct language_model {
    ink_context *ctx; /* the caller's */
    const char *folder;
    ink_model *model;
    ink_tokenizer *tokenizer;
    const ink_model_info *info;
} language_model;

/* Opens a model of any kind. lm_close() is due also after a failure. `folder` must outlive it. */
bool lm_open_any(language_model *lm, ink_context *ctx, const char *folder);

/* The same for one that continues texts. */
bool lm_open(language_model *lm, ink_context *ctx, const char *folder);

/* The same for an encoder; `pooling` is for folders that do not say how the rows of a text become one vector. */
bool lm_open_encoder(language_model *lm, ink_context *ctx, const char *folder, ink_pooling pooling);
void lm_close(language_model *lm);

/* The ids of a text, to be freed with free(). `flags` as for ink_tokenizer_encode(). An id for which the model has no
   row is a mistake. */
bool lm_encode(const language_model *lm, const char *text, size_t size, unsigned flags, ink_token **tokens, size_t *n);

/* The ids of a prompt: what the tokenizer makes of it with its template. Of an empty one the model's own beginning
   remains, if it has one; a prompt without any token, or longer than the context, is a mistake. */
bool lm_prompt(const language_model *lm, const char *text, ink_token **tokens, size_t *n);

/* The text that is complete with this token, as ink_tokenizer_stream() has it, and none of an id that no token has:
   models often have more rows than their tokenizer has tokens. */
bool lm_spell(const language_model *lm, ink_text_stream *stream, ink_token token, char *text, size_t capacity,
              size_t *size);

/* Gets each new token, and the text that is complete with it (often "", never half a character). At the end comes a
   call with token -1 and what is left of the text. False ends the continuation. */
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
    LM_COUNT,   /* as many tokens as were asked for */
    LM_EOS,     /* the model ended its text */
    LM_CONTEXT, /* the model's context is full */
    LM_SINK     /* the sink said so */
} lm_end;

typedef struct lm_report {
    lm_end end;
    size_t n_tokens;
    double prompt_rate; /* tokens a second through the prompt */
    double rate;        /* tokens a second after it; 0 if there were none to time */
    size_t state_size;  /* bytes of what the model kept in mind */
} lm_report;

/* Continues a prompt: forward, pick, hand over, forward ... */
bool lm_continue(const language_model *lm, const lm_request *request, lm_report *report);

#endif
