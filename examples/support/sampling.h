/*
 * sampling.h - the options of programs that let a model write: how much, how it chooses, on how many threads.
 */
#ifndef EXAMPLES_SAMPLING_H
#define EXAMPLES_SAMPLING_H

#include <inkling.h>

#include "cli.h"

enum { SAMPLING_N_OPTIONS = 9 };

/* Start from SAMPLING_DEFAULTS; what the command line leaves out stays as it is there: negative, SAMPLING_UNSET. */
typedef struct sampling {
    uint64_t n_tokens, top_k, seed, n_threads;
    double temperature, top_p, min_p, repeat_penalty;
    const char *kernel;
} sampling;

#define SAMPLING_UNSET UINT64_MAX
#define SAMPLING_DEFAULTS                                                                                              \
    {                                                                                                                  \
        .n_tokens = SAMPLING_UNSET, .top_k = SAMPLING_UNSET, .seed = 1, .n_threads = 1, .temperature = -1,             \
        .top_p = -1, .min_p = -1, .repeat_penalty = -1                                                                 \
    }

/* Fills in the options that set `s`. */
void sampling_options(sampling *s, cli_option options[SAMPLING_N_OPTIONS]);

/* What was asked for on the command line, and for the rest what the model's folder advises, or else temperature 0.8. */
ink_sampler_options sampling_choose(const sampling *s, const ink_model *model);

#endif
