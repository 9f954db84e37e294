/*
 * page.h - what mlp.c, rnn.c and transformer.c have in common and what is not their subject: the command line, the
 * files of the bundled model, the prompt's token ids, the sampler, and printing.
 */
#ifndef EXAMPLES_PAGE_H
#define EXAMPLES_PAGE_H

#include <inkling.h>

#include <stdbool.h>
#include <stddef.h>

#define PAGE_MAX_FLOATS 8

typedef struct page {
    size_t model; /* the one of `models` */
    ink_context *ctx;
    ink_weights *weights; /* model.safetensors */
    ink_tokenizer *tokenizer;
    ink_sampler *sampler;
    ink_token *prompt; /* [n_prompt], at least one */
    size_t n_prompt;
    const char *unsaid; /* the prompt as text, until the first token is printed behind it */
    size_t n_tokens;    /* how many to produce at most */
    ink_token end;      /* the token that ends a text, and begins one */
    ink_text_stream stream;
    char *text;
    float *floats[PAGE_MAX_FLOATS]; /* what page_floats() gave out */
    size_t n_floats;
    bool no_memory;
} page;

typedef enum page_outcome { PAGE_READY, PAGE_HELP, PAGE_ERROR } page_outcome;

/* Opens everything. `name` and `usage` are the program's, for its help; `models` are bundled folders up to a NULL, the
   first of which is meant unless the first argument names another; argv[1 ...] are the options and the prompt.
   page_close() is due in every case. */
page_outcome page_open(page *p, const char *name, const char *usage, const char *const *models, int argc, char **argv);

/* n zeros for the page to work with; page_close() frees them. NULL if there is no memory: page_expect() tells. */
float *page_floats(page *p, size_t n);

/* False, with the sentence said, if memory was missing or the tensors are not those the page was written for, which
   is what `fits` says. */
bool page_expect(page *p, bool fits);

/* False, with the sentence said, if the prompt is longer than the model's context. */
bool page_prompt_fits(page *p, size_t context_length);

/* Prints a token as text: what is complete of it. False when there is nobody to read it. */
bool page_print(page *p, ink_token token);

/* Says why, if a call of the library failed, frees everything, and returns the exit code of main(). */
int page_close(page *p, page_outcome outcome);

#endif
