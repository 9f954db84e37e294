/*
 * fixture.h - the tiny models of tests/fixtures/models with what PyTorch or transformers computed for them, and the
 * models of examples/models with their references.
 */
#ifndef INK_TESTS_FIXTURE_H
#define INK_TESTS_FIXTURE_H

#include "testing.h"

typedef struct fixture {
    const char *name;
    ink_context *ctx; /* one thread */
    ink_model *model;
    const ink_model_info *info;
    size_t n_tokens;
    ink_token *tokens; /* [n_tokens] */
    size_t n_logits;   /* of the last tokens */
    float *logits;     /* [n_logits, vocab_size] */
    size_t n_greedy;   /* 0: the reference has none */
    ink_token *greedy; /* the tokens transformers chose one after the other, each the likeliest */
} fixture;

/* The tiny models, one of each kind and variety; NULL ends the list. */
extern const char *const fixture_names[];

/* The same weights under other settings: "llama.yarn" is the folder llama with config.yarn.json as its config.json and
   with reference.yarn.safetensors. */
extern const char *const fixture_variants[];

/* Opens the folder, or a variant, and its reference; fails the test if that does not work. */
void fixture_open(fixture *f, const char *name);
void fixture_close(fixture *f);

/* The path of the reference of a tiny model or variant. */
#define FIXTURE_PATH 1024
void fixture_reference(const char *name, char *path);

/* The same for examples/models/`name`, whose reference is fixtures/bundled/`name`.safetensors. */
void fixture_open_bundled(fixture *f, const char *name);

/* A test that runs `check` on every one of `names`, opened by `open`: a row of the list of tests. */
#define fixture_test_of(names, open, check)                                                                            \
    {                                                                                                                  \
        .name = #check, .test_func = fixture_test_run, .initial_state = &(fixture_check) { (names), (open), (check) }  \
    }
#define fixture_test(check) fixture_test_of(fixture_names, fixture_open, check)
#define fixture_test_on(name, check) fixture_test_of(((const char *const[]){name, NULL}), fixture_open, check)

typedef struct fixture_check {
    const char *const *names; /* NULL ends the list */
    void (*open)(fixture *f, const char *name);
    void (*check)(const fixture *f);
} fixture_check;

void fixture_test_run(void **state);

/* The files of a tiny model or encoder in memory, so that a test can change them: config.json, model.safetensors or the
   index and the shards, generation_config.json. */
#define FIXTURE_FILES 7
typedef struct fixture_files {
    char *config;           /* files[0], NUL-terminated */
    unsigned char *weights; /* files[1] */
    size_t weights_size;
    ink_memory_file files[FIXTURE_FILES];
    ink_memory_files list;
} fixture_files;

void fixture_files_read(fixture_files *files, const char *name);
void fixture_files_free(fixture_files *files);

/* Opens files in memory as the folder `name`. *model is NULL exactly if that fails, or the test fails. */
ink_result fixture_open_files(ink_context *ctx, const char *name, const ink_memory_files *files, ink_model **model);

/* The bytes of one of them, to be changed; fails the test if there is none of that name. */
unsigned char *fixture_files_bytes(const fixture_files *files, const char *name);

/* Where the header of this file has the quoted name of a tensor; fails the test if it has none. */
char *fixture_files_tensor(const fixture_files *files, const char *file, const char *tensor);

/* Replaces the value of a top-level key in the config ("\"n_head\": 3" with value "7" becomes "\"n_head\": 7"); adds
   the key if it is not there; with value NULL takes it away. */
void fixture_files_set(fixture_files *files, const char *key, const char *value);

/* A state for all a model can, or for 512 tokens where there is no limit. */
ink_state *fixture_state(ink_context *ctx, const ink_model *model);

/* Logits of all n tokens [n, vocab_size], run through a fresh state in one call; free() them. */
float *fixture_run(ink_context *ctx, const ink_model *model, const ink_token *tokens, size_t n);

/* Runs all tokens and prints how far the last logits are from the reference's. Returns the largest difference, and in
 *largest the largest logit of the reference. */
double fixture_difference(const fixture *f, double *largest);

/* After the prompt, the first tokens of the fixture, the likeliest token is always the one that transformers chose. */
void fixture_continues(const fixture *f, size_t n_prompt, const ink_token *chosen, size_t n);

/* Every kernel of this machine with 1, 2 and 3 threads, on a context of its own: the same bits. */
void fixture_same_bits_everywhere(const fixture *f);

/* The same bits, or the test fails and says which float of which fixture differs. */
void assert_same_bits(const char *name, const char *what, const float *a, const float *b, size_t n);

#endif
