/*
 * compare_switch.c - the other side: what recurrence can do better. A lamp is on or off, its switch is pressed n times,
 * and nobody says what that did. Is it on or off now?
 *
 * A network with a state can turn it over at every press. Attention sees all presses at once, and has to find out
 * whether their number is even with the few layers it has (Hahn 2020). A model that only remembers "the opposite of
 * what was said" is right for one press and wrong for two, so even and odd numbers are judged apart.
 *
 * The stories are the generator's own about a switch.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "compare.h"
#include "console.h"

/* Presses: 0 .. 7 one by one, and then the even and the odd ones up to MOST. */
enum { N_SINGLE = 8, EVEN = 8, ODD = 9, N_COLUMNS = 10, MOST = 15 };

typedef struct presses {
    stats_share right[N_FAMILIES][N_COLUMNS];
    stats_share many[N_FAMILIES][2]; /* two and more: even, odd */
} presses;

static void add_answers(const tale *t, const guess *guesses, size_t family, presses *x)
{
    for (size_t r = 0; r < t->story.n_recalls; r++) {
        const story_recall *recall = &t->story.recalls[r];
        tale_answer answer = tale_find(t, recall);
        size_t n = recall->changes;
        bool right = true;
        for (size_t k = 0; k < answer.n; k++)
            right = right && guesses[answer.first + k - 1].top;
        if (n <= MOST)
            stats_count(&x->right[family][n < N_SINGLE ? n : n % 2 == 0 ? EVEN : ODD], right);
        if (n >= 2 && n <= MOST)
            stats_count(&x->many[family][n % 2], right);
    }
}

static bool ask(comparison *c, const tale *tales, size_t n, guess *guesses, presses *x)
{
    question questions[READER_BATCH];

    for (size_t j = 0; j < n; j++)
        questions[j] = (question){tales[j].tokens, tales[j].n + 1, tales[j].n, guesses + j * READER_TOKENS};
    for (size_t i = 0; i < N_FAMILIES; i++) {
        if (!reader_ask(&c->readers[i], questions, n))
            return false;
        for (size_t j = 0; j < n; j++)
            add_answers(&tales[j], guesses + j * READER_TOKENS, i, x);
    }
    return true;
}

static bool ask_all(comparison *c, presses *x)
{
    story_settings settings = story_settings_default();
    tale *tales = calloc(READER_BATCH, sizeof *tales);
    guess *guesses = calloc(READER_BATCH * READER_TOKENS, sizeof *guesses);
    bool done = tales != NULL && guesses != NULL;

    settings.switches = 100;
    if (!done)
        console_complain("there is no memory for stories about a switch");
    for (size_t i = 0; done && i < c->n_stories; i += READER_BATCH) {
        size_t n = c->n_stories - i < READER_BATCH ? c->n_stories - i : READER_BATCH;
        console_progress("the switch, story %zu of %zu", i, c->n_stories);
        for (size_t j = 0; done && j < n; j++)
            done = tale_tell(&tales[j], &c->models[0], &settings, c->seed, i + j);
        done = done && ask(c, tales, n, guesses, x);
    }
    free(tales);
    free(guesses);
    return done;
}

static void draw(const presses *x, finding *f)
{
    static const char *const labels[N_COLUMNS] = {"0", "1", "2", "3", "4", "5", "6", "7", "8-14", "9-15"};
    chart *c = finding_chart(f, &(chart){.name = "switch",
                                         .title = "Is the lamp on? After n presses nobody comments on",
                                         .x_label = "presses (8-14: even, 9-15: odd)",
                                         .y_label = "share of right answers",
                                         .high = 1,
                                         .decimals = 2});
    finding_lines(c);
    double *chance = chart_line(c, "chance", '-', CHART_REFERENCE);
    for (size_t j = 0; j < N_COLUMNS; j++) {
        chart_x(c, labels[j]);
        chance[j] = 0.5;
        for (size_t i = 0; i < N_FAMILIES; i++)
            c->lines[i].y[j] = stats_share_of(&x->right[i][j]);
    }
}

/* What a family knows after two and more presses: the worse of even and odd. */
static stats_range worse(const presses *x, size_t family)
{
    stats_range even = stats_range_of(&x->many[family][0]), odd = stats_range_of(&x->many[family][1]);

    return (stats_range){fmin(even.low, odd.low), fmin(even.high, odd.high)};
}

static double at_worst(const presses *x, size_t family)
{
    return fmin(stats_share_of(&x->many[family][0]), stats_share_of(&x->many[family][1]));
}

static void judge(const presses *x, finding *f)
{
    size_t best = RNN;

    for (size_t i = GRU; i <= LSTM; i++)
        if (at_worst(x, i) > at_worst(x, best))
            best = i;
    for (size_t i = RNN; i <= LSTM; i++)
        finding_note(f, worse(x, i).low > 0.5,
                     "the %s follows the switch through two and more presses, even and odd: %.2f at worst",
                     families[i].name, at_worst(x, i));
    finding_note(f, stats_range_of(&x->right[GPT][0]).low > 0.5 && worse(x, GPT).low <= 0.5,
                 "the GPT is at a guess after two and more presses: %.2f; %.2f where nobody pressed", at_worst(x, GPT),
                 stats_share_of(&x->right[GPT][0]));
    finding_note(f, worse(x, best).low > fmax(0.5, worse(x, GPT).high),
                 "the %s follows it better than the GPT, %.2f to %.2f", families[best].name, at_worst(x, best),
                 at_worst(x, GPT));
}

bool compare_switch(comparison *c, finding *f)
{
    presses x = {0};

    if (!ask_all(c, &x))
        return false;
    draw(&x, f);
    judge(&x, f);
    return true;
}
