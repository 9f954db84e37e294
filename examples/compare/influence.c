/*
 * influence.c - section "influence": how far back a token is felt. In every story one token is replaced by another
 * word. For every later token, k tokens after the change, |log2 p - log2 p'| says how much the expectation changed. A
 * few changes matter for long and most do not, so a mean would show only the few: the median over the stories counts.
 *
 * For the RNN the same is measured from the inside: how much of a change of its state arrives k steps later
 * (jacobian.h).
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compare.h"
#include "jacobian.h"

/* ---- from the outside ------------------------------------------------------------------------------------------ */

typedef struct change {
    size_t at; /* the token that is replaced */
    ink_token tokens[READER_TOKENS + 1];
} change;

typedef struct influence {
    change *changes;             /* [n_stories], as are the questions */
    question *questions;         /* about the changed stories */
    guess *changed;              /* [n_stories, READER_TOKENS] of the model being asked */
    double *moved[N_DISTANCES];  /* [n_moved] the mean of each story that is long enough */
    size_t n_moved[N_DISTANCES]; /* number of these stories */
    double median[N_FAMILIES][N_DISTANCES];
    bool beyond; /* the MLP was moved by something outside its window */
} influence;

/* A random token of a random story, other than `not`. */
static ink_token other_token(const comparison *c, uint64_t *random, ink_token not )
{
    for (;;) {
        const tale *t = &c->tales[random_below(random, c->n_stories)];
        ink_token token = t->tokens[1 + random_below(random, t->n - 1)];
        if (token != not )
            return token;
    }
}

static bool choose_changes(const comparison *c, influence *x)
{
    uint64_t random = c->seed;
    bool done = (x->changes = console_memory(c->n_stories, sizeof *x->changes)) != NULL &&
                (x->questions = console_memory(c->n_stories, sizeof *x->questions)) != NULL &&
                (x->changed = console_memory(c->n_stories * READER_TOKENS, sizeof *x->changed)) != NULL;
    for (size_t bin = 0; done && bin < N_DISTANCES; bin++)
        done = (x->moved[bin] = console_memory(c->n_stories, sizeof *x->moved[bin])) != NULL;
    for (size_t i = 0; done && i < c->n_stories; i++) {
        const tale *t = &c->tales[i];
        change *made = &x->changes[i];
        made->at = 1 + (size_t)random_below(&random, t->n - 1);
        memcpy(made->tokens, t->tokens, sizeof made->tokens);
        made->tokens[made->at] = other_token(c, &random, t->tokens[made->at]);
        x->questions[i] = (question){made->tokens, t->n + 1, t->n, x->changed + i * READER_TOKENS};
    }
    return done;
}

static void compare_guesses(const comparison *c, size_t family, size_t i, influence *x)
{
    const guess *changed = x->changed + i * READER_TOKENS;
    size_t window = c->models[family].info->window_size;
    stats_mean mean[N_DISTANCES] = {{0}};
    for (size_t t = x->changes[i].at + 1; t <= c->tales[i].n; t++) {
        size_t k = t - x->changes[i].at, bin = distance_find(k);
        double moved = fabs(guess_bits(changed[t - 1].p) - guess_bits(comparison_guess(c, family, i, t).p));
        if (bin < N_DISTANCES)
            stats_add(&mean[bin], moved);
        if (family == MLP && k > window && moved > 0)
            x->beyond = true;
    }
    for (size_t bin = 0; bin < N_DISTANCES; bin++)
        if (mean[bin].n > 0)
            x->moved[bin][x->n_moved[bin]++] = stats_mean_of(&mean[bin]);
}

static bool ask_family(comparison *c, size_t family, influence *x)
{
    if (!comparison_ask(c, family, x->questions, c->n_stories, "reads changed story"))
        return false;
    memset(x->n_moved, 0, sizeof x->n_moved);
    for (size_t i = 0; i < c->n_stories; i++)
        compare_guesses(c, family, i, x);
    for (size_t bin = 0; bin < N_DISTANCES; bin++)
        x->median[family][bin] = stats_median(x->moved[bin], x->n_moved[bin]);
    return true;
}

static bool measure_influence(comparison *c, finding *f)
{
    influence x = {.beyond = false};
    bool done = choose_changes(c, &x);
    for (size_t i = 0; done && i < N_FAMILIES; i++)
        done = ask_family(c, i, &x);
    if (done) {
        chart *picture = finding_chart(f, "influence", "How far back a changed token is felt",
                                       "tokens since the change", "median change of log2 p, bits", 4);
        picture->log_y = true;
        finding_lines(picture);
        distance_axis(picture);
        for (size_t i = 0; i < N_FAMILIES; i++)
            for (size_t bin = 0; bin < N_DISTANCES; bin++)
                picture->lines[i].y[bin] = x.median[i][bin];
        enum { NEAR = 0, MIDDLE = 2, FAR = 4 }; /* bins */
        double(*at)[N_DISTANCES] = x.median;
        finding_note(f, at[MLP][NEAR] > 0 && !x.beyond,
                     "what lies beyond its window of %zu tokens does not move the MLP at all",
                     c->models[MLP].info->window_size);
        finding_note(
            f, at[RNN][FAR] < at[RNN][NEAR] / 50,
            "the RNN feels a token after 65 to 128 others less than a fiftieth as much as after 3 to 8: %.1g of "
            "it",
            at[RNN][FAR] / at[RNN][NEAR]);
        finding_note(f, fmin(at[GRU][FAR], at[LSTM][FAR]) > 3 * at[RNN][FAR],
                     "gates keep a path open: after 65 to 128 tokens GRU %.1g, LSTM %.1g bits, over three times the "
                     "RNN's %.1g",
                     at[GRU][FAR], at[LSTM][FAR], at[RNN][FAR]);
        finding_note(f, at[GPT][FAR] > at[GPT][MIDDLE] / 10,
                     "the GPT feels it after 65 to 128 others more than a tenth as much as after 17 to 32: %.2f of it",
                     at[GPT][FAR] / at[GPT][MIDDLE]);
    }
    for (size_t bin = 0; bin < N_DISTANCES; bin++)
        free(x.moved[bin]);
    free(x.changes);
    free(x.questions);
    free(x.changed);
    return done;
}

/* ---- from the inside ------------------------------------------------------------------------------------------- */

enum { N_STEPS = 8, MOST_STEPS = 128, N_FOLLOWED = 21 }; /* 1, 2, 4 .. 128 steps back, in at most so many stories */

/* Stories differ by a factor of a thousand, so it takes many of them before the median says something of the RNN. */
static bool follow_stories(comparison *c, jacobian *j, double norms[MOST_STEPS][N_FOLLOWED], size_t *n)
{
    double one[MOST_STEPS];
    *n = 0;
    for (size_t i = 0; i < c->n_stories && *n < N_FOLLOWED; i++) {
        if (c->tales[i].n <= MOST_STEPS)
            continue;
        console_progress("gradients of the RNN in story %zu", i);
        if (!jacobian_follow(j, c->models[RNN].model, c->tales[i].tokens, c->tales[i].n) ||
            !jacobian_norms(j, one, MOST_STEPS))
            return false;
        for (size_t k = 0; k < MOST_STEPS; k++)
            norms[k][*n] = one[k];
        ++*n;
    }
    return true;
}

static bool measure_gradient(comparison *c, finding *f)
{
    static const char title[] = "The RNN from the inside: how much of a change of its state arrives";
    double norms[MOST_STEPS][N_FOLLOWED], median[MOST_STEPS];
    char file[PATH_ROOM];
    jacobian j = {0};
    size_t n;
    bool done = path_join(file, c->folders[RNN], "model.safetensors") && jacobian_open(&j, c->ctx, file) &&
                follow_stories(c, &j, norms, &n);
    jacobian_close(&j);
    if (!done)
        return false;
    chart *picture = finding_chart(f, "gradient", title, "steps", "norm of the product of Jacobians", 4);
    picture->log_y = true;
    double *y = chart_line(picture, families[RNN].name, families[RNN].mark, CHART_RNN);
    for (size_t k = 0; k < MOST_STEPS; k++)
        median[k] = stats_median(norms[k], n);
    chart_powers(picture, N_STEPS);
    for (size_t i = 0; i < N_STEPS; i++)
        y[i] = median[((size_t)1 << i) - 1];
    finding_note(f, median[63] < median[0] / 100,
                 "the RNN's gradient vanishes: of a change of its state %.2g arrives after 1 step, %.1g after 64, the "
                 "median of %zu stories",
                 median[0], median[63], n);
    return true;
}

bool compare_influence(comparison *c, finding *f)
{
    return comparison_read(c) && measure_influence(c, f) && measure_gradient(c, f);
}
