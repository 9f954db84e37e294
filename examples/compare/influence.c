/*
 * influence.c - section "influence": how far back what a story told is felt. A story tells which animal is with the
 * children, or which colour their team has, and returns to it k tokens later. What if it had told another value? Every
 * mention before that answer is changed, and |log2 p - log2 p'| says how much less or more the model then expects the
 * answer that was right. These two kinds of facts have the same word in every mention, so one token is exchanged.
 *
 * For the recurrent networks the same is measured from the inside: how much of a change of the state arrives k steps
 * later (jacobian.h).
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compare.h"
#include "jacobian.h"

/* ---- from the outside ------------------------------------------------------------------------------------------ */

/* The beginning of a story that told something else, up to an answer, which is the one of the story as it was. */
typedef struct change {
    size_t tale, answer, bin; /* the story, the token asked about, and its distance */
    ink_token tokens[READER_TOKENS + 1];
    guess guess;
} change;

typedef struct influence {
    change *changes;     /* [n] */
    question *questions; /* [n], about them */
    size_t n;
    double *moved[N_DISTANCES]; /* bits, of all answers at a distance */
    size_t n_moved[N_DISTANCES];
    double median[N_FAMILIES][N_DISTANCES];
} influence;

/* The value of the next story that tells this fact otherwise; `value` if there is none. */
static ink_token other_value(const comparison *c, size_t i, story_kind kind, ink_token value)
{
    for (size_t k = 1; k < c->n_stories; k++) {
        const tale *t = &c->tales[(i + k) % c->n_stories];
        for (size_t r = 0; r < t->story.n_recalls; r++) {
            ink_token other = t->tokens[tale_find(t, &t->story.recalls[r]).first];
            if (t->story.recalls[r].kind == kind && other != value)
                return other;
        }
    }
    return value;
}

/* Adds at most one answer of each distance of story i. */
static void change_story(const comparison *c, size_t i, influence *x)
{
    const tale *t = &c->tales[i];
    bool have[N_DISTANCES + 1] = {[N_DISTANCES] = true};
    for (size_t r = 0; r < t->story.n_recalls; r++) {
        const story_recall *recall = &t->story.recalls[r];
        const tale_answer answer = tale_find(t, recall);
        const ink_token value = t->tokens[answer.first];
        change *made = &x->changes[x->n];
        *made = (change){.tale = i, .answer = answer.first, .bin = distance_find(answer.distance)};
        if ((recall->kind != STORY_TEAM && recall->kind != STORY_PET) || answer.n != 1 || have[made->bin])
            continue;
        const ink_token other = other_value(c, i, recall->kind, value);
        if (other == value)
            continue;
        for (size_t k = 0; k < answer.first; k++)
            made->tokens[k] = t->tokens[k] == value ? other : t->tokens[k];
        made->tokens[answer.first] = value;
        x->questions[x->n++] = (question){made->tokens, answer.first + 1, 1, &made->guess};
        have[made->bin] = true;
    }
}

static bool ask_family(comparison *c, size_t family, influence *x)
{
    if (!comparison_ask(c, family, x->questions, x->n, "reads changed story"))
        return false;
    memset(x->n_moved, 0, sizeof x->n_moved);
    for (size_t i = 0; i < x->n; i++) {
        const change *made = &x->changes[i];
        const guess told = comparison_guess(c, family, made->tale, made->answer);
        x->moved[made->bin][x->n_moved[made->bin]++] = fabs(guess_bits(made->guess.p) - guess_bits(told.p));
    }
    for (size_t bin = 0; bin < N_DISTANCES; bin++)
        x->median[family][bin] = stats_median(x->moved[bin], x->n_moved[bin]);
    return true;
}

/* The lowest median of the bins `first` to `last`; and the highest. */
static double least(const double *median, size_t first, size_t last)
{
    double found = median[first];
    for (size_t bin = first + 1; bin <= last; bin++)
        found = fmin(found, median[bin]);
    return found;
}

static double most(const double *median, size_t first, size_t last)
{
    double found = median[first];
    for (size_t bin = first + 1; bin <= last; bin++)
        found = fmax(found, median[bin]);
    return found;
}

static void check_influence(const comparison *c, double (*median)[N_DISTANCES], finding *f)
{
    enum { NEAR = 0, LAST = N_DISTANCES - 1 }; /* bins */
    const size_t window = c->models[MLP].info->window_size, within = distance_within(window);
    const bool seen = least(median[MLP], NEAR, within) >= FELT, felt = median[RNN][NEAR] >= FELT;
    finding_note(f, seen, "within its window of %zu tokens another value moves the MLP's answer: by %.1f bits or more",
                 window, least(median[MLP], NEAR, within));
    finding_note(f, seen && most(median[MLP], within + 1, LAST) < FELT,
                 "beyond the window another value no longer moves the MLP's answer: by %.1f bits at most",
                 most(median[MLP], within + 1, LAST));
    finding_note(f, felt, "after 3 to 8 tokens it moves the RNN's answer: by %.1f bits", median[RNN][NEAR]);
    finding_note(f, felt && most(median[RNN], NEAR + 2, LAST) < FELT,
                 "after more than 16 tokens it no longer moves the RNN's answer: by %.2f bits at most",
                 most(median[RNN], NEAR + 2, LAST));
    for (size_t family = GRU; family <= GPT; family++)
        finding_note(f, least(median[family], NEAR, LAST) >= FELT,
                     "it moves the %s's answer at every distance: by %.1f bits or more", families[family].name,
                     least(median[family], NEAR, LAST));
}

static bool measure_influence(comparison *c, finding *f)
{
    influence x = {.n = 0};
    const size_t most_changes = c->n_stories * N_DISTANCES + 1; /* one more to try in */
    bool done = (x.changes = console_memory(most_changes, sizeof *x.changes)) != NULL &&
                (x.questions = console_memory(most_changes, sizeof *x.questions)) != NULL;
    for (size_t bin = 0; done && bin < N_DISTANCES; bin++)
        done = (x.moved[bin] = console_memory(c->n_stories, sizeof *x.moved[bin])) != NULL;
    for (size_t i = 0; done && i < c->n_stories; i++)
        change_story(c, i, &x);
    for (size_t i = 0; done && i < N_FAMILIES; i++)
        done = ask_family(c, i, &x);
    if (done) {
        chart *picture =
            finding_chart(f, "influence", "What if something else had been told? How much the answer moves",
                          "tokens since it was last told", "median change of log2 p, bits", 2);
        finding_lines(picture);
        distance_axis(picture);
        for (size_t i = 0; i < N_FAMILIES; i++)
            for (size_t bin = 0; bin < N_DISTANCES; bin++)
                picture->lines[i].y[bin] = x.median[i][bin];
        check_influence(c, x.median, f);
    }
    for (size_t bin = 0; bin < N_DISTANCES; bin++)
        free(x.moved[bin]);
    free(x.changes);
    free(x.questions);
    return done;
}

/* ---- from the inside ------------------------------------------------------------------------------------------- */

/* 1, 2, 4 .. 128 steps back, in at most so many stories, each with so many random changes. */
enum { N_STEPS = 8, MOST_STEPS = 128, MOST_STORIES = 100, N_RANDOM = 16 };

/* Stories differ by a factor of a thousand, so it takes many of them before the median says something of the cell. */
static bool follow_stories(comparison *c, size_t family, jacobian *j, double median[N_STEPS], size_t *n)
{
    double *norms = console_memory(N_STEPS * c->n_stories, sizeof *norms), one[MOST_STEPS];
    bool done = norms != NULL;
    *n = 0;
    for (size_t i = 0; done && i < c->n_stories && *n < MOST_STORIES; i++) {
        const tale *t = &c->tales[i];
        if (t->n <= MOST_STEPS)
            continue;
        console_progress("gradients of the %s in story %zu of %zu", families[family].name, i, c->n_stories);
        done = jacobian_follow(j, c->models[family].model, t->tokens, t->n) &&
               jacobian_norms(j, N_RANDOM, one, MOST_STEPS);
        for (size_t k = 0; k < N_STEPS; k++)
            norms[k * c->n_stories + *n] = one[((size_t)1 << k) - 1];
        ++*n;
    }
    for (size_t k = 0; done && k < N_STEPS; k++)
        median[k] = stats_median(norms + k * c->n_stories, *n);
    free(norms);
    return done;
}

static bool measure_gradient(comparison *c, finding *f)
{
    static const char title[] = "From the inside: how much of a change of the state arrives";
    double median[N_FAMILIES][N_STEPS];
    size_t n = 0;
    chart *picture = finding_chart(f, "gradient", title, "steps", "norm of the product of Jacobians", 4);
    picture->log_y = true;
    chart_powers(picture, N_STEPS);
    for (size_t i = RNN; i <= LSTM; i++) {
        char file[PATH_ROOM];
        jacobian j = {0};
        bool done = path_join(file, c->folders[i], "model.safetensors") && jacobian_open(&j, c->ctx, file) &&
                    follow_stories(c, i, &j, median[i], &n);
        jacobian_close(&j);
        if (!done)
            return false;
        double *y = chart_line(picture, families[i].name, families[i].mark, (chart_style)i);
        memcpy(y, median[i], sizeof median[i]);
    }
    enum { STEPS_64 = 6 };
    finding_note(f, median[RNN][STEPS_64] < VANISHED * median[RNN][0],
                 "the RNN's gradient vanishes: of a change of its state %.2g arrives after 1 step, %.1g after 64, the "
                 "median of %zu stories",
                 median[RNN][0], median[RNN][STEPS_64], n);
    for (size_t i = GRU; i <= LSTM; i++)
        finding_note(f, median[i][STEPS_64] > VANISHED * median[i][0],
                     "the %s's does not: %.2g arrives after 1 step, %.2g after 64", families[i].name, median[i][0],
                     median[i][STEPS_64]);
    return true;
}

bool compare_influence(comparison *c, finding *f)
{
    return comparison_read(c) && measure_influence(c, f) && measure_gradient(c, f);
}
