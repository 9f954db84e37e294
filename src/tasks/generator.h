/*
 * generator.h - a generator from the inside: the branches of its requests, and the rules that all of them follow.
 *
 * A request has `width` branches, which are its beams or its results. Each has a state and a row of logits. A step
 * chooses the next token of every branch that lives (generate.c, beam.c), and one forward list runs them all.
 */
#ifndef INK_TASKS_GENERATOR_H
#define INK_TASKS_GENERATOR_H

#include <inkling/generate.h>

#include "../models/networks.h"

/* A beam or a result. */
typedef struct ink_branch {
    ink_state *state;  /* has seen the tokens of the request and those below, but for the last */
    ink_token *tokens; /* [most_new] the new ones */
    size_t n;
    bool lives;
    float sum;       /* a beam: of the logarithms of the probabilities of its tokens */
    uint64_t random; /* a result: the state of its random numbers */
    ink_text_stream stream;
    char *held; /* [stop_room] text that may be the beginning of a stop text */
    size_t n_held;
} ink_branch;

/* A token for a beam. */
typedef struct ink_candidate {
    size_t beam;
    ink_token token;
    float sum, score; /* of the beam with the token; as a text that ends with it */
    bool ends, finishes, kept;
    ink_state *state; /* for the beam that it becomes */
} ink_candidate;

/* A text that a beam search has finished. Before there is one, its score is what everything beats. */
typedef struct ink_hypothesis {
    ink_token *tokens; /* [most_new] with the stop token */
    size_t n;
    float score;
    bool is_finished;
    const ink_candidate *last; /* while it is added */
} ink_hypothesis;

/* What a call makes of a request. */
typedef struct ink_run_of_request {
    ink_request *request;
    size_t index;
    const ink_token *tokens; /* [n_tokens] of the request, or the token that begins every text */
    size_t n_tokens;
    size_t most;          /* new tokens at most */
    ink_branch *branches; /* [width] */
    ink_state *root;      /* the state that has seen the tokens of the request */
    float *logits;        /* [living branches, vocab_size], a part of the generator's */
    bool shared;          /* at first there is one row for all, because they begin alike */
    bool lives;
    ink_text_stream stream; /* behind the text of the request */
    ink_generated *results; /* [n_results] */

    ink_token **spare;                        /* [n_beams] [most_new]: where the next beams' tokens are written */
    ink_hypothesis *finished, *more_finished; /* [n_beams] the best first; room for the next */
} ink_run_of_request;

struct ink_generator {
    const ink_model *model;
    ink_generate_options options; /* n_requests, n_beams and n_results at least 1, length_penalty filled in */
    size_t width;                 /* branches of a request */
    size_t most_new;              /* new tokens of a branch at most */
    ink_token *stops;             /* [n_stops] */
    size_t n_stops;
    size_t n_candidates; /* of a step of a beam search */
    ink_candidate *candidates;
    uint64_t *heap;     /* [n_candidates] */
    ink_state **states; /* [n_states] */
    size_t n_states;
    ink_sampler *sampler;
    ink_run_of_request *runs; /* [n_requests] */
    ink_item *items;          /* [n_requests * width] */
    float *logits;            /* [n_requests * width, vocab_size], those of a step side by side: one product */
    char *text;               /* [stop_room + the capacity of a stream] */
    size_t stop_room;         /* bytes of the longest stop text */
    size_t text_room;
};

/* Changes the logits of a branch, or their logarithms of probabilities, as the options say. */
ink_result ink_generate_rules(ink_context *ctx, const ink_generator *g, const ink_run_of_request *run,
                              const ink_branch *branch, float *z);

/* INK_ERROR_NONFINITE: the rules leave no token. */
ink_result ink_generate_none_left(ink_context *ctx, const ink_generator *g, const ink_run_of_request *run, size_t n);

bool ink_generate_stops(const ink_generator *g, ink_token token);

/* Finds where a text ends: before the stop text that is complete first, the longest of those that are complete there;
   the first `old` bytes complete none. Returns the bytes that may be given out, and how many may begin a stop text. */
size_t ink_generate_cut(const ink_generate_options *o, const char *text, size_t size, size_t old, size_t *n_held,
                        bool *found);

/* One step of a beam search, from the logits of the beams to their next tokens; or to the results, and run->lives
   becomes false. */
void ink_beam_begin(ink_generator *g, ink_run_of_request *run);
ink_result ink_beam_step(ink_context *ctx, ink_generator *g, ink_run_of_request *run);

#endif
