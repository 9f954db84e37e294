/*
 * compare_influence.c - how far back a token is felt. In every story one token is replaced by another word; every later
 * token says how much that changed what the model expected of it:  |log2 p - log2 p'|, k tokens after the change.
 * Few changes matter for long and most do not, so a mean over all stories would be that of a few; what is told is the
 * story in the middle.
 *
 * For the RNN the same is seen from the inside: how much of a change of its state arrives k steps later (jacobian.h).
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bundled.h"
#include "compare.h"
#include "console.h"
#include "jacobian.h"
#include "random.h"

/* ---- from the outside ------------------------------------------------------------------------------------------ */

typedef struct change {
    size_t at; /* the token that is replaced */
    ink_token tokens[READER_TOKENS + 1];
} change;

typedef struct influence {
    change *changes;             /* [n_stories] */
    double *moved[N_DISTANCES];  /* [n_stories] of the model being asked: the mean of each story that is long enough */
    size_t n_moved[N_DISTANCES]; /* how many are */
    double median[N_FAMILIES][N_DISTANCES];
    bool beyond; /* the MLP was moved by something outside its window */
} influence;

static bool take_memory(const comparison *c, influence *x)
{
    bool done = (x->changes = calloc(c->n_stories, sizeof *x->changes)) != NULL;

    for (size_t bin = 0; bin < N_DISTANCES; bin++)
        done = (x->moved[bin] = calloc(c->n_stories, sizeof *x->moved[bin])) != NULL && done;
    if (!done)
        console_complain("there is no memory for %zu changed stories", c->n_stories);
    return done;
}

static void free_memory(influence *x)
{
    for (size_t bin = 0; bin < N_DISTANCES; bin++)
        free(x->moved[bin]);
    free(x->changes);
}

/* Some token of some story, other than `not`. */
static ink_token other_token(const comparison *c, uint64_t *random, ink_token not )
{
    for (;;) {
        const tale *t = &c->tales[random_below(random, c->n_stories)];
        ink_token token = t->tokens[1 + random_below(random, t->n - 1)];
        if (token != not )
            return token;
    }
}

static void choose_changes(const comparison *c, influence *x)
{
    uint64_t random = c->seed;

    for (size_t i = 0; i < c->n_stories; i++) {
        const tale *t = &c->tales[i];
        change *made = &x->changes[i];
        made->at = 1 + (size_t)random_below(&random, t->n - 1);
        memcpy(made->tokens, t->tokens, sizeof made->tokens);
        made->tokens[made->at] = other_token(c, &random, t->tokens[made->at]);
    }
}

static void compare_guesses(const comparison *c, size_t family, size_t i, const guess *changed, influence *x)
{
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
    guess *changed = malloc(READER_BATCH * READER_TOKENS * sizeof *changed);
    bool done = changed != NULL;

    memset(x->n_moved, 0, sizeof x->n_moved);
    for (size_t i = 0; done && i < c->n_stories; i += READER_BATCH) {
        question questions[READER_BATCH];
        size_t n = c->n_stories - i < READER_BATCH ? c->n_stories - i : READER_BATCH;
        console_progress("%s reads changed story %zu of %zu", families[family].name, i, c->n_stories);
        for (size_t j = 0; j < n; j++)
            questions[j] = (question){x->changes[i + j].tokens, c->tales[i + j].n + 1, c->tales[i + j].n,
                                      changed + j * READER_TOKENS};
        done = reader_ask(&c->readers[family], questions, n);
        for (size_t j = 0; done && j < n; j++)
            compare_guesses(c, family, i + j, changed + j * READER_TOKENS, x);
    }
    for (size_t bin = 0; bin < N_DISTANCES; bin++)
        x->median[family][bin] = stats_median(x->moved[bin], x->n_moved[bin]);
    free(changed);
    return done;
}

static void draw(const influence *x, finding *f)
{
    chart *c = finding_chart(f, &(chart){.name = "influence",
                                         .title = "How far back a changed token is felt",
                                         .x_label = "tokens since the change",
                                         .y_label = "median change of log2 p, bits",
                                         .log_y = true,
                                         .decimals = 4});
    finding_lines(c);
    distance_axis(c);
    for (size_t i = 0; i < N_FAMILIES; i++)
        for (size_t bin = 0; bin < N_DISTANCES; bin++)
            c->lines[i].y[bin] = x->median[i][bin];
}

static void judge(const comparison *c, const influence *x, finding *f)
{
    enum { NEAR = 0, MIDDLE = 2, FAR = 4 }; /* bins */
    const double(*at)[N_DISTANCES] = x->median;

    finding_note(f, at[MLP][NEAR] > 0 && !x->beyond,
                 "what lies beyond its window of %zu tokens does not move the MLP at all",
                 c->models[MLP].info->window_size);
    finding_note(f, at[RNN][FAR] < at[RNN][NEAR] / 50,
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

static bool measure_influence(comparison *c, finding *f)
{
    influence x = {.beyond = false};
    bool done = take_memory(c, &x);

    if (done)
        choose_changes(c, &x);
    for (size_t i = 0; done && i < N_FAMILIES; i++)
        done = ask_family(c, i, &x);
    if (done) {
        draw(&x, f);
        judge(c, &x, f);
    }
    free_memory(&x);
    return done;
}

/* ---- from the inside ------------------------------------------------------------------------------------------- */

enum { N_STEPS = 8, MOST_STEPS = 128, N_FOLLOWED = 3 }; /* 1, 2, 4 .. 128 steps back, in three stories */

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
    char folder[BUNDLED_ROOM], file[BUNDLED_ROOM];
    jacobian j = {0};
    size_t n;
    bool done = bundled_folder(folder, families[RNN].folder) && bundled_join(file, folder, "model.safetensors") &&
                jacobian_open(&j, c->ctx, file) && follow_stories(c, &j, norms, &n);

    jacobian_close(&j);
    if (!done)
        return false;
    chart *picture = finding_chart(f, &(chart){.name = "gradient",
                                               .title = title,
                                               .x_label = "steps",
                                               .y_label = "norm of the product of Jacobians",
                                               .log_y = true,
                                               .decimals = 4});
    double *y = chart_line(picture, families[RNN].name, families[RNN].mark, CHART_RNN);
    for (size_t k = 0; k < MOST_STEPS; k++)
        median[k] = stats_median(norms[k], n);
    chart_powers(picture, N_STEPS);
    for (size_t i = 0; i < N_STEPS; i++)
        y[i] = median[((size_t)1 << i) - 1];
    finding_note(f, median[63] < median[0] / 100,
                 "the RNN's gradient vanishes: of a change of its state %.2g arrives after 1 step, %.1g after 64",
                 median[0], median[63]);
    return true;
}

bool compare_influence(comparison *c, finding *f) { return measure_influence(c, f) && measure_gradient(c, f); }
