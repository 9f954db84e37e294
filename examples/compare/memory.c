/*
 * memory.c - sections "memory", "position" and "switch": what the models remember, and what follows from how they do.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compare.h"

/* ---- memory ----------------------------------------------------------------------------------------------------- */

/*
 * A fact was told, and k tokens later the story returns to it. Is the fact the likeliest continuation, and how likely
 * is it? A story has one fact of these kinds: the time of day, the leader, the animal. It is enough to keep it.
 * "chance" is a guess among all values.
 */
typedef struct memories {
    stats_share right[N_FAMILIES][N_DISTANCES];
    stats_mean p[N_FAMILIES][N_DISTANCES];
    stats_mean chance[N_DISTANCES];
} memories;

static void add_recall(const comparison *c, size_t i, const story_recall *recall, memories *m)
{
    tale_answer answer = tale_find(&c->tales[i], recall);
    size_t bin = distance_find(answer.distance);
    if (bin == N_DISTANCES)
        return;
    stats_add(&m->chance[bin], 1.0 / recall->values);
    for (size_t f = 0; f < N_FAMILIES; f++) {
        double p = 1;
        bool right = true;
        for (size_t k = 0; k < answer.n; k++) {
            guess g = comparison_guess(c, f, i, answer.first + k);
            p *= (double)g.p;
            right = right && g.top;
        }
        stats_count(&m->right[f][bin], right);
        stats_add(&m->p[f][bin], p);
    }
}

static void add_facts(const comparison *c, memories *m)
{
    for (size_t i = 0; i < c->n_stories; i++)
        for (size_t r = 0; r < c->tales[i].story.n_recalls; r++)
            if (c->tales[i].story.recalls[r].kind <= STORY_PET)
                add_recall(c, i, &c->tales[i].story.recalls[r], m);
}

static void draw_memories(const memories *m, finding *f, const char *name, const char *title, bool probability)
{
    chart *c = finding_chart(f, name, title, "tokens since it was last told",
                             probability ? "probability of it" : "share of right answers", 2);
    c->high = 1;
    finding_lines(c);
    distance_axis(c);
    double *chance = chart_line(c, "chance", '-', CHART_REFERENCE);
    for (size_t bin = 0; bin < N_DISTANCES; bin++) {
        for (size_t i = 0; i < N_FAMILIES; i++)
            c->lines[i].y[bin] = probability ? stats_mean_of(&m->p[i][bin]) : stats_share_of(&m->right[i][bin]);
        chance[bin] = stats_mean_of(&m->chance[bin]);
    }
}

/* How much is kept at the distances of the bins `first` to `last`. */
static kept kept_between(const memories *m, size_t family, size_t first, size_t last)
{
    stats_share right = {0};
    stats_mean chance = {0};
    for (size_t bin = first; bin <= last; bin++) {
        right.right += m->right[family][bin].right;
        right.n += m->right[family][bin].n;
        chance.sum += m->chance[bin].sum;
        chance.n += m->chance[bin].n;
    }
    return kept_of(&right, stats_mean_of(&chance));
}

enum { NEAR = 0, FAR = 4, LAST_BIN = N_DISTANCES - 1 };

static void check_facts(const comparison *c, const memories *m, finding *f)
{
    size_t window = c->models[MLP].info->window_size, bin = distance_within(window);
    kept near = kept_between(m, MLP, NEAR, bin), far = kept_between(m, MLP, bin + 1, LAST_BIN);
    finding_note(f, kept_well(&near), "the MLP keeps a fact within its window of %zu tokens: %.0f %%", window,
                 near.percent);
    finding_note(f, kept_well(&near) && kept_little(&far), "beyond the window the MLP has lost it: %.0f %%",
                 far.percent);
    near = kept_between(m, RNN, NEAR, NEAR);
    far = kept_between(m, RNN, FAR, LAST_BIN);
    finding_note(f, kept_well(&near), "the RNN keeps it for up to 8 tokens: %.0f %%", near.percent);
    finding_note(f, kept_well(&near) && kept_little(&far), "after 64 tokens the RNN has lost it: %.0f %%", far.percent);
    for (size_t family = GRU; family <= GPT; family++) {
        near = kept_between(m, family, NEAR, NEAR);
        far = kept_between(m, family, FAR, LAST_BIN);
        finding_note(f, kept_well(&far), "after 64 tokens the %s keeps it: %.0f %%", families[family].name,
                     far.percent);
        if (family != GPT)
            finding_note(f, kept_well(&near) && far.high < near.low && far.at < near.at - TENTH,
                         "after 64 tokens the %s has lost a tenth of it or more: %.0f %% up to 8 tokens, %.0f %% "
                         "after 64",
                         families[family].name, near.percent, far.percent);
    }
}

/*
 * One, two or four objects are put somewhere in the opening, and more than 64 tokens later the story returns to one of
 * them. With two it is not enough to keep the places: the answer depends on the object. The models learned from stories
 * of one and two objects, never of four. "chance" is a guess among all places, "this story" among those of its objects.
 */
enum { ONE, TWO, FOUR, N_LOADS };

typedef struct load {
    stats_share right[N_FAMILIES][N_LOADS];
    double chance;
} load;

/* The last time that a story returns to an object after so long. */
static bool find_place(const tale *t, tale_answer *answer, double *chance)
{
    for (size_t r = t->story.n_recalls; r-- > 0;) {
        const story_recall *recall = &t->story.recalls[r];
        *answer = tale_find(t, recall);
        *chance = 1.0 / recall->values;
        if (recall->kind == STORY_PLACE && answer->distance >= distances[FAR].low)
            return true;
    }
    return false;
}

static bool ask_places(comparison *c, const question *questions, size_t n, size_t which, load *x)
{
    for (size_t f = 0; f < N_FAMILIES; f++) {
        if (!reader_ask(&c->readers[f], questions, n))
            return false;
        for (size_t i = 0; i < n; i++) {
            bool right = true;
            for (size_t k = 0; k < questions[i].n_asked; k++)
                right = right && questions[i].guesses[k].top;
            stats_count(&x->right[f][which], right);
        }
    }
    return true;
}

static bool ask_about_places(comparison *c, size_t which, load *x)
{
    guess guesses[READER_BATCH][READER_TOKENS];
    question questions[READER_BATCH];
    story_settings settings = story_settings_default();
    settings.objects[0] = settings.objects[1] = 1U << which;
    tale *tales = console_memory(READER_BATCH, sizeof *tales);
    bool done = tales != NULL;
    size_t n = 0;
    for (size_t i = 0; done && i < c->n_stories; i++) {
        tale_answer answer;
        double chance;
        console_progress("%u objects, story %zu of %zu", settings.objects[0], i, c->n_stories);
        done = tale_tell(&tales[n], &c->models[0], &settings, c->seed, i);
        if (done && find_place(&tales[n], &answer, &chance)) {
            x->chance = chance;
            questions[n] = (question){tales[n].tokens, answer.first + answer.n, answer.n, guesses[n]};
            n++;
        }
        if (n == READER_BATCH || (done && i + 1 == c->n_stories)) {
            done = ask_places(c, questions, n, which, x);
            n = 0;
        }
    }
    free(tales);
    return done;
}

static void draw_load(const load *x, finding *f)
{
    chart *picture = finding_chart(f, "memory-places", "Remembering which object is where, more than 64 tokens later",
                                   "objects to remember", "share of right answers", 2);
    picture->high = 1;
    finding_lines(picture);
    chart_powers(picture, N_LOADS);
    double *chance = chart_line(picture, "chance", '-', CHART_REFERENCE);
    double *this_story = chart_line(picture, "this story", '=', CHART_REFERENCE);
    for (size_t n = ONE; n < N_LOADS; n++) {
        for (size_t i = 0; i < N_FAMILIES; i++)
            picture->lines[i].y[n] = stats_share_of(&x->right[i][n]);
        chance[n] = x->chance;
        this_story[n] = 1.0 / (double)(1U << n);
    }
}

static void check_load(const load *x, finding *f)
{
    for (size_t family = GRU; family <= GPT; family++) {
        const kept one = kept_of(&x->right[family][ONE], x->chance);
        const stats_share *two = &x->right[family][TWO], *four = &x->right[family][FOUR];
        const bool knows = stats_range_of(two).low > 1.0 / 2;
        finding_note(f, kept_well(&one), "after 64 tokens the %s knows where one object is: %.2f right",
                     families[family].name, stats_share_of(&x->right[family][ONE]));
        finding_note(f, family == GPT ? knows : kept_well(&one) && !knows,
                     "the %s %s which of two is where: %.2f right; a guess between the two is 0.50",
                     families[family].name, family == GPT ? "knows" : "does not know", stats_share_of(two));
        if (family == GPT)
            finding_note(f, stats_range_of(four).low > 1.0 / 4,
                         "the GPT knows it of four, more than it learned from: %.2f right; a guess among them is 0.25",
                         stats_share_of(four));
    }
}

bool compare_memory(comparison *c, finding *f)
{
    memories facts = {0};
    load places = {.chance = 0};
    if (!comparison_read(c))
        return false;
    for (size_t which = ONE; which < N_LOADS; which++)
        if (!ask_about_places(c, which, &places))
            return false;
    add_facts(c, &facts);
    draw_memories(&facts, f, "memory", "Remembering a fact of the story", false);
    draw_memories(&facts, f, "memory-probability", "The probability given to the fact", true);
    draw_load(&places, f);
    check_facts(c, &facts, f);
    check_load(&places, f);
    return true;
}

/* ---- position --------------------------------------------------------------------------------------------------- */

/*
 * The same words, moved by one position. An MLP has separate weights for every position of its window, and none for
 * earlier tokens. A story tells a fact and returns to it a few words later. Filler sentences are inserted between the
 * two, so that the fact stands at the very end of the window, then one token further back, and so on. Nothing else
 * changes. The stories are short ones that consist of facts and return to them soon.
 */
/* Distances from 3 positions inside the end of the window to 4 beyond it. */
enum { INSIDE = 3, BEYOND = 4, N_SHIFTS = INSIDE + 1 + BEYOND, LEAST_FILLER = 3 };

/* Sentences of three lengths. Together they make every length from LEAST_FILLER on. */
enum { N_FILLERS = 3, MOST_FILLER = 24 };

typedef struct filler {
    ink_token tokens[N_FILLERS][MOST_FILLER];
    size_t n[N_FILLERS];
} filler;

/* The text begins "Anna and Tom were ..."; the sentences are about the first name. */
static bool make_filler(const language_model *lm, const char *text, filler *out)
{
    static const char *const patterns[N_FILLERS] = {" %.*s laughed.", " %.*s looked around.", " The wind was soft."};
    for (size_t i = 0; i < N_FILLERS; i++) {
        char sentence[64];
        int size = snprintf(sentence, sizeof sentence, patterns[i], (int)strcspn(text, " "), text);
        if (!console_ok(lm->ctx, ink_tokenizer_encode(lm->ctx, lm->tokenizer, sentence, (size_t)size, INK_ENCODE_PLAIN,
                                                      out->tokens[i], MOST_FILLER, &out->n[i])))
            return false;
    }
    return true;
}

/* Finds how many of each sentence make n tokens; false if this is impossible. */
static bool share_out(const filler *fill, size_t n, size_t count[N_FILLERS])
{
    for (count[2] = 0; count[2] * fill->n[2] <= n; count[2]++)
        for (count[1] = 0; count[2] * fill->n[2] + count[1] * fill->n[1] <= n; count[1]++) {
            size_t rest = n - count[2] * fill->n[2] - count[1] * fill->n[1];
            count[0] = rest / fill->n[0];
            if (count[0] * fill->n[0] == rest)
                return true;
        }
    return false;
}

typedef struct moves {
    size_t window;
    stats_share right[N_FAMILIES][N_SHIFTS];
    stats_mean chance;
} moves;

/* A fact of the whole story that returns soon after it was told, in another sentence. */
static const story_recall *find_recall(const tale *t, size_t window, tale_answer *answer)
{
    for (size_t r = 0; r < t->story.n_recalls; r++) {
        const story_recall *recall = &t->story.recalls[r];
        *answer = tale_find(t, recall);
        if (recall->kind <= STORY_PET && answer->n == 1 && answer->distance + INSIDE + LEAST_FILLER <= window &&
            memchr(t->story.text + recall->said, '.', recall->at - recall->said) != NULL)
            return recall;
    }
    return NULL;
}

/* Builds the text up to the answer, with filler behind the sentence that told the fact: it is then `distance` tokens
   back. */
static bool move_fact(const tale *t, const story_recall *recall, const tale_answer *answer, const filler *fill,
                      size_t distance, question *q, ink_token *tokens)
{
    size_t end = tale_token(t, recall->said + strcspn(t->story.text + recall->said, ".")) + 1;
    size_t n = distance - answer->distance, count[N_FILLERS];
    if (answer->first + n + 1 > READER_TOKENS || !share_out(fill, n, count))
        return false;
    memcpy(tokens, t->tokens, end * sizeof *tokens);
    for (size_t i = 0, at = end; i < N_FILLERS; i++)
        for (size_t k = 0; k < count[i]; k++, at += fill->n[i])
            memcpy(tokens + at, fill->tokens[i], fill->n[i] * sizeof *tokens);
    memcpy(tokens + end + n, t->tokens + end, (answer->first + 1 - end) * sizeof *tokens);
    q->tokens = tokens;
    q->n = answer->first + n + 1;
    q->n_asked = 1;
    return true;
}

static bool add_story(comparison *c, const tale *t, moves *m)
{
    ink_token tokens[N_SHIFTS][READER_TOKENS + 1];
    question questions[N_SHIFTS];
    guess guesses[N_SHIFTS];
    tale_answer answer;
    filler fill;
    const story_recall *recall = find_recall(t, m->window, &answer);
    if (recall == NULL)
        return true;
    if (!make_filler(&c->models[0], t->story.text, &fill))
        return false;
    for (size_t s = 0; s < N_SHIFTS; s++) {
        if (!move_fact(t, recall, &answer, &fill, m->window - INSIDE + s, &questions[s], tokens[s]))
            return true;
        questions[s].guesses = &guesses[s];
    }
    stats_add(&m->chance, 1.0 / recall->values);
    for (size_t i = 0; i < N_FAMILIES; i++) {
        if (!reader_ask(&c->readers[i], questions, N_SHIFTS))
            return false;
        for (size_t s = 0; s < N_SHIFTS; s++)
            stats_count(&m->right[i][s], guesses[s].top);
    }
    return true;
}

static const story_settings short_stories = {
    .sentences = {2, 6}, .facts = {2, 3}, .filler = 50, .echo = 200, .again = 100};

bool compare_position(comparison *c, finding *f)
{
    moves m = {.window = c->models[MLP].info->window_size};
    tale t;
    if (m.window < INSIDE + LEAST_FILLER + 3)
        return console_complain("the window of the MLP, %zu tokens, is too small to move a fact in it", m.window);
    for (size_t i = 0; i < c->n_stories; i++) {
        console_progress("moving a fact in story %zu of %zu", i, c->n_stories);
        if (!tale_tell(&t, &c->models[0], &short_stories, c->seed, i) || !add_story(c, &t, &m))
            return false;
    }
    chart *picture = finding_chart(f, "position", "The same fact, moved back one position at a time",
                                   "tokens since it was told", "share of right answers", 2);
    picture->high = 1;
    finding_lines(picture);
    double *chance = chart_line(picture, "chance", '-', CHART_REFERENCE);
    for (size_t s = 0; s < N_SHIFTS; s++) {
        chart_x_number(picture, m.window - INSIDE + s);
        chance[s] = stats_mean_of(&m.chance);
        for (size_t i = 0; i < N_FAMILIES; i++)
            picture->lines[i].y[s] = stats_share_of(&m.right[i][s]);
    }
    double guessing = stats_mean_of(&m.chance);
    kept in = kept_of(&m.right[MLP][INSIDE], guessing), out = kept_of(&m.right[MLP][INSIDE + 1], guessing);
    finding_note(f, kept_well(&in), "the MLP keeps a fact at the end of its window, %zu tokens back: %.0f %%", m.window,
                 in.percent);
    finding_note(f, kept_well(&in) && kept_little(&out), "one token further back the MLP has lost it: %.0f %%",
                 out.percent);
    for (size_t i = GRU; i <= GPT; i++) {
        out = kept_of(&m.right[i][INSIDE + 1], guessing);
        finding_note(f, kept_well(&out), "the %s keeps it there: %.0f %%", families[i].name, out.percent);
    }
    return true;
}

/* ---- switch ----------------------------------------------------------------------------------------------------- */

/*
 * What recurrence can do better. A lamp is on or off, somebody presses its switch n times, and the story does not say
 * what that did. Is the lamp on now? A network with a state can flip it at every press. Attention sees all presses at
 * once and has to find out with its few layers whether their number is even (Hahn 2020). A model that only remembers
 * "the opposite of what was said" is right for one press and wrong for two, so even and odd numbers are judged apart.
 */
enum { N_COLUMNS = 8 };

static const struct {
    size_t low, high;
} columns[N_COLUMNS] = {{0, 0}, {1, 1}, {2, 2}, {3, 3}, {4, 5}, {6, 9}, {10, 14}, {15, 99}};

typedef struct presses {
    stats_share right[N_FAMILIES][N_COLUMNS]; /* by the presses in the story so far */
    stats_share many[N_FAMILIES][2];          /* two and more since the last look: even, odd */
} presses;

static void add_answers(const tale *t, const guess *guesses, size_t family, presses *x)
{
    size_t n = 0, j = 0;
    for (size_t r = 0; r < t->story.n_recalls; r++) {
        const story_recall *recall = &t->story.recalls[r];
        tale_answer answer = tale_find(t, recall);
        bool right = true;
        for (size_t k = 0; k < answer.n; k++)
            right = right && guesses[answer.first + k - 1].top;
        for (n += recall->changes; j + 1 < N_COLUMNS && n > columns[j].high; j++)
            ;
        stats_count(&x->right[family][j], right);
        if (recall->changes >= 2)
            stats_count(&x->many[family][recall->changes % 2], right);
    }
}

static bool ask_about_presses(comparison *c, const tale *tales, size_t n, guess *guesses, presses *x)
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

static bool ask_about_switch(comparison *c, presses *x)
{
    story_settings settings = story_settings_default();
    tale *tales = console_memory(READER_BATCH, sizeof *tales);
    guess *guesses = console_memory(READER_BATCH * READER_TOKENS, sizeof *guesses);
    bool done = tales != NULL && guesses != NULL;
    settings.switches = 100;
    for (size_t i = 0; done && i < c->n_stories; i += READER_BATCH) {
        size_t n = c->n_stories - i < READER_BATCH ? c->n_stories - i : READER_BATCH;
        console_progress("the switch, story %zu of %zu", i, c->n_stories);
        for (size_t j = 0; done && j < n; j++)
            done = tale_tell(&tales[j], &c->models[0], &settings, c->seed, i + j);
        done = done && ask_about_presses(c, tales, n, guesses, x);
    }
    free(tales);
    free(guesses);
    return done;
}

/* What a family knows after two or more presses: the worse of even and odd. */
static stats_range worse(const presses *x, size_t family)
{
    stats_range even = stats_range_of(&x->many[family][0]), odd = stats_range_of(&x->many[family][1]);
    return (stats_range){fmin(even.low, odd.low), fmin(even.high, odd.high)};
}

static double at_worst(const presses *x, size_t family)
{
    return fmin(stats_share_of(&x->many[family][0]), stats_share_of(&x->many[family][1]));
}

bool compare_switch(comparison *c, finding *f)
{
    presses x = {0};
    if (!ask_about_switch(c, &x))
        return false;
    static const char *const labels[N_COLUMNS] = {"0", "1", "2", "3", "4-5", "6-9", "10-14", "15+"};
    chart *picture = finding_chart(f, "switch", "Is the lamp on? After presses nobody comments on",
                                   "presses in the story so far", "share of right answers", 2);
    picture->high = 1;
    finding_lines(picture);
    double *chance = chart_line(picture, "chance", '-', CHART_REFERENCE);
    for (size_t j = 0; j < N_COLUMNS; j++) {
        chart_x(picture, labels[j]);
        chance[j] = 0.5;
        for (size_t i = 0; i < N_FAMILIES; i++)
            picture->lines[i].y[j] = stats_share_of(&x.right[i][j]);
    }
    for (size_t i = RNN; i <= LSTM; i++)
        finding_note(f, worse(&x, i).low > 0.5,
                     "the %s follows two or more presses since the last look: at least %.2f right, for even and "
                     "for odd",
                     families[i].name, at_worst(&x, i));
    finding_note(f, mostly(&x.right[GPT][0]) && worse(&x, GPT).low <= 0.5, "the GPT only guesses there: %.2f right",
                 at_worst(&x, GPT));
    finding_note(f, worse(&x, GRU).low > fmax(0.5, worse(&x, GPT).high),
                 "the GRU knows them better than the GPT: %.2f and %.2f", at_worst(&x, GRU), at_worst(&x, GPT));
    chart *after = finding_chart(f, "switch-trainings", "And after 30 presses? Three trainings of each family (log.md)",
                                 "family", "share of right answers", 2);
    after->high = 1;
    after->apart = true;
    double of[N_FAMILIES][N_TRAININGS], *bundled = chart_line(after, "in the box", '#', CHART_GPT);
    for (size_t i = 0; i < N_FAMILIES; i++)
        for (size_t k = 0; k < N_TRAININGS; k++)
            of[i][k] = trainings[i][k].presses;
    trainings_lines(after, of);
    double *chance_of_two = chart_line(after, "chance", '-', CHART_REFERENCE);
    for (size_t i = 0; i < N_FAMILIES; i++) {
        chart_x(after, families[i].name);
        chance_of_two[i] = 0.5;
        bundled[i] = of[i][BUNDLED_TRAINING];
    }
    return true;
}
