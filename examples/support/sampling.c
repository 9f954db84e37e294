/*
 * sampling.c - the options of programs that let a model write.
 */
#include "sampling.h"

#include <string.h>

void sampling_options(sampling *s, cli_option options[SAMPLING_N_OPTIONS])
{
    const cli_option rows[SAMPLING_N_OPTIONS] = {
        {.name = "-n", .value = "COUNT", .count = &s->n_tokens, .most = 1e9, .help = "tokens to produce at most"},
        {.name = "-t",
         .value = "TEMPERATURE",
         .real = &s->temperature,
         .most = 100,
         .help = "flattens (above 1) or sharpens the choice; 0: greedy"},
        {.name = "-k",
         .value = "TOP_K",
         .count = &s->top_k,
         .most = 1e9,
         .help = "choose among the k likeliest tokens; 0: all"},
        {.name = "-p",
         .value = "TOP_P",
         .real = &s->top_p,
         .most = 1,
         .help = "choose among the likeliest that make up probability p; 0 and 1: all"},
        {.name = "--min-p",
         .value = "P",
         .real = &s->min_p,
         .most = 1,
         .help = "drop tokens less likely than p times the likeliest; 0: none"},
        {.name = "--repeat-penalty",
         .value = "R",
         .real = &s->repeat_penalty,
         .most = 100,
         .help = "push down tokens already seen; 0 and 1: not at all"},
        {.name = "--seed",
         .value = "S",
         .count = &s->seed,
         .help = "the same seed gives the same text, on every machine (default 1)"},
        {.name = "--threads",
         .value = "N",
         .count = &s->n_threads,
         .least = 1,
         .most = INK_MAX_THREADS,
         .help = "threads to use (default 1); the text does not depend on it"},
        {.name = "--kernel",
         .value = "NAME",
         .text = &s->kernel,
         .help = "portable, avx2, avx512 (default: the best here); the text does not depend on it"},
    };

    memcpy(options, rows, sizeof rows);
}

ink_sampler_options sampling_choose(const sampling *s, const ink_model *model)
{
    ink_sampler_options chosen;

    if (!ink_model_sampling(model, &chosen))
        chosen.temperature = 0.8f;
    if (s->temperature >= 0)
        chosen.temperature = (float)s->temperature;
    if (s->top_k != SAMPLING_UNSET)
        chosen.top_k = (size_t)s->top_k;
    if (s->top_p >= 0)
        chosen.top_p = (float)s->top_p;
    if (s->min_p >= 0)
        chosen.min_p = (float)s->min_p;
    if (s->repeat_penalty >= 0)
        chosen.repeat_penalty = (float)s->repeat_penalty;
    chosen.seed = s->seed;
    return chosen;
}
