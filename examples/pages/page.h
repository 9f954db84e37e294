/*
 * page.h - what mlp.c, rnn.c and transformer.c share and what is not their subject: the command line, the files of the
 * bundled model, the ids of the prompt, the sampler, and printing.
 */
#ifndef EXAMPLES_PAGE_H
#define EXAMPLES_PAGE_H

#include <inkling.h>

#include <stdbool.h>
#include <stddef.h>

#define PAGE_MAX_FLOATS 8

typedef struct page {
    size_t model; /* index in `models` */
    ink_context *ctx;
    ink_weights *weights; /* model.safetensors */
    ink_tokenizer *tokenizer;
    ink_sampler *sampler;
    ink_token *prompt; /* [n_prompt], at least one */
    size_t n_prompt;
    const char *unsaid; /* the prompt as text; NULL after the first token was printed behind it */
    size_t n_tokens;    /* how many to produce at most */
    ink_token end;      /* the token that ends a text, and begins one */
    ink_text_stream stream;
    char *text;
    float *floats[PAGE_MAX_FLOATS]; /* from page_floats() */
    size_t n_floats;
    bool no_memory;
} page;

typedef enum page_outcome { PAGE_READY, PAGE_HELP, PAGE_ERROR } page_outcome;

/* Opens everything. `name` and `usage` appear in the program's help. `models` lists bundled folders up to a NULL; the
   first one is used unless the first argument names another. argv[1 ...] are the options and the prompt. Call
   page_close() in every case. */
page_outcome page_open(page *p, const char *name, const char *usage, const char *const *models, int argc, char **argv);

/* n zeros for the page to work with; page_close() frees them. NULL without memory, which page_expect() reports. */
float *page_floats(page *p, size_t n);

/* False, after an error message, if memory was missing or if `fits` is false: the tensors do not have the shapes that
   the page was written for. */
bool page_expect(page *p, bool fits);

/* False, after an error message, if the prompt is longer than the model's context. */
bool page_prompt_fits(page *p, size_t context_length);

/* Prints the text that is complete with this token. False if writing failed. */
bool page_print(page *p, ink_token token);

/* Prints the library's error if a call failed, frees everything, and returns the exit code of main(). */
int page_close(page *p, page_outcome outcome);

#endif
