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
 * is it? There are two kinds of facts. Of the first a story has one: the time of day, the leader, the animal. It is
 * enough to keep it. Of the second there may be several, this object here and that one there, and the answer depends on
 * the object. It is not enough to keep the places.
 *
 * "chance" is a guess among all values, "this story" a guess among the places this story has named so far.
 */
typedef struct memories {
    stats_share right[N_FAMILIES][N_DISTANCES];
    stats_mean p[N_FAMILIES][N_DISTANCES];
    stats_mean chance[N_DISTANCES], this_story[N_DISTANCES];
} memories;

/* Counts the different places that the story names before byte `end`. A place follows an object, an object a verb. */
static size_t places_named(const char *text, size_t end)
{
    static const char *const verbs[] = {" put the ", " hid the ", " left the "};
    const char *found[64];
    size_t sizes[64], n = 0;
    for (size_t v = 0; v < 3; v++)
        for (const char *at = strstr(text, verbs[v]); at != NULL; at = strstr(at + 1, verbs[v])) {
            const char *object = at + strlen(verbs[v]), *place = object + strcspn(object, " .") + 1;
            size_t size = strcspn(place, "."), i = 0;
            while (i < n && !(sizes[i] == size && memcmp(found[i], place, size) == 0))
                i++;
            if (i == n && n < 64 && (size_t)(place - text) < end) {
                found[n] = place;
                sizes[n++] = size;
            }
        }
    return n;
}

static void add_recall(const comparison *c, size_t i, const story_recall *recall, memories *m)
{
    const tale *t = &c->tales[i];
    tale_answer answer = tale_find(t, recall);
    size_t bin = distance_find(answer.distance);
    size_t places = recall->kind == STORY_PLACE ? places_named(t->story.text, recall->at) : 0;
    if (bin == N_DISTANCES)
        return;
    stats_add(&m->chance[bin], 1.0 / recall->values);
    if (places > 0)
        stats_add(&m->this_story[bin], 1.0 / (double)places);
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

static void add_kinds(const comparison *c, story_kind first, story_kind last, memories *m)
{
    for (size_t i = 0; i < c->n_stories; i++)
        for (size_t r = 0; r < c->tales[i].story.n_recalls; r++)
            if (c->tales[i].story.recalls[r].kind >= first && c->tales[i].story.recalls[r].kind <= last)
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
    size_t n_places = 0; /* answers that are places: a story names several of them */
    for (size_t bin = 0; bin < N_DISTANCES; bin++)
        n_places += m->this_story[bin].n;
    double *this_story = n_places > 0 ? chart_line(c, "this story", '=', CHART_REFERENCE) : NULL;
    for (size_t bin = 0; bin < N_DISTANCES; bin++) {
        for (size_t i = 0; i < N_FAMILIES; i++)
            c->lines[i].y[bin] = probability ? stats_mean_of(&m->p[i][bin]) : stats_share_of(&m->right[i][bin]);
        chance[bin] = stats_mean_of(&m->chance[bin]);
        if (this_story != NULL)
            this_story[bin] = stats_mean_of(&m->this_story[bin]);
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

#define LOST 0.1 /* the share of a memory that counts as a loss */

enum { NEAR = 0, FAR = 4, LAST_BIN = N_DISTANCES - 1 };

static void check_facts(const comparison *c, const memories *m, finding *f)
{
    size_t window = c->models[MLP].info->window_size, bin = distance_within(window);
    kept near = kept_between(m, MLP, NEAR, bin), far = kept_between(m, MLP, bin + 1, LAST_BIN);
    finding_note(f, kept_well(&near) && kept_little(&far),
                 "the MLP keeps a fact within its window of %zu tokens (%.0f %%) and nothing beyond (%.0f %%)", window,
                 near.percent, far.percent);
    near = kept_between(m, RNN, NEAR, NEAR);
    far = kept_between(m, RNN, FAR, LAST_BIN);
    finding_note(f, kept_well(&near) && kept_little(&far),
                 "the RNN keeps it for up to 8 tokens (%.0f %%) and has lost it after 64 (%.0f %%)", near.percent,
                 far.percent);
    const kept rnn = far;
    for (size_t family = GRU; family <= LSTM; family++) {
        near = kept_between(m, family, NEAR, NEAR);
        far = kept_between(m, family, FAR, LAST_BIN);
        finding_note(f, kept_well(&near) && !kept_little(&far) && far.low > rnn.high,
                     "the %s keeps it longer than the RNN: %.0f %% after 64 tokens", families[family].name,
                     far.percent);
        finding_note(f, kept_well(&near) && far.high < near.low && far.at < near.at - LOST,
                     "yet the %s loses a tenth or more in the end: %.0f %% up to 8 tokens, %.0f %% after 64",
                     families[family].name, near.percent, far.percent);
    }
    near = kept_between(m, GPT, NEAR, NEAR);
    far = kept_between(m, GPT, FAR, LAST_BIN);
    finding_note(f, kept_well(&near) && kept_well(&far) && far.high >= near.low,
                 "the GPT keeps it at any distance: %.0f %% up to 8 tokens, %.0f %% after 64", near.percent,
                 far.percent);
}

bool compare_memory(comparison *c, finding *f)
{
    memories facts = {0}, places = {0};
    if (!comparison_read(c))
        return false;
    add_kinds(c, STORY_TIME, STORY_PET, &facts);
    add_kinds(c, STORY_PLACE, STORY_PLACE, &places);
    draw_memories(&facts, f, "memory", "Remembering a fact of the story", false);
    draw_memories(&facts, f, "memory-probability", "The probability given to the fact", true);
    draw_memories(&places, f, "memory-places", "Remembering which object is where", false);
    check_facts(c, &facts, f);
    kept gpt = kept_between(&places, GPT, FAR, LAST_BIN), gru = kept_between(&places, GRU, FAR, LAST_BIN),
         lstm = kept_between(&places, LSTM, FAR, LAST_BIN);
    finding_note(f, kept_well(&gpt) && gpt.low > fmax(gru.high, lstm.high),
                 "after 64 tokens the GPT knows best which object is where: %.0f %%; GRU %.0f %%, LSTM %.0f %%",
                 gpt.percent, gru.percent, lstm.percent);
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
    stats_share changed[N_FAMILIES]; /* answers that change between the last position of the window and the next one */
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
        stats_count(&m->changed[i], guesses[INSIDE].top != guesses[INSIDE + 1].top);
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
        char label[CHART_LABEL_ROOM];
        snprintf(label, sizeof label, "%zu", m.window - INSIDE + s);
        chart_x(picture, label);
        chance[s] = stats_mean_of(&m.chance);
        for (size_t i = 0; i < N_FAMILIES; i++)
            picture->lines[i].y[s] = stats_share_of(&m.right[i][s]);
    }
    double guessing = stats_mean_of(&m.chance);
    kept in = kept_of(&m.right[MLP][INSIDE], guessing), out = kept_of(&m.right[MLP][INSIDE + 1], guessing);
    finding_note(f, kept_well(&in) && kept_little(&out),
                 "one position decides for the MLP: at %zu tokens it keeps %.0f %% of the fact, at %zu %.0f %%; "
                 "%.0f %% of its answers turn",
                 m.window, in.percent, m.window + 1, out.percent, 100 * stats_share_of(&m.changed[MLP]));
    for (size_t i = GRU; i <= GPT; i++) {
        in = kept_of(&m.right[i][INSIDE], guessing);
        out = kept_of(&m.right[i][INSIDE + 1], guessing);
        finding_note(f, kept_well(&in) && kept_well(&out),
                     "the %s hardly notices: %.0f %% and %.0f %%; %.0f %% of its answers turn", families[i].name,
                     in.percent, out.percent, 100 * stats_share_of(&m.changed[i]));
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
/* 0 to 7 presses one by one, then the even and the odd numbers up to MOST_PRESSES. */
enum { N_SINGLE = 8, EVEN = 8, ODD = 9, N_COLUMNS = 10, MOST_PRESSES = 15 };

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
        if (n <= MOST_PRESSES)
            stats_count(&x->right[family][n < N_SINGLE ? n : n % 2 == 0 ? EVEN : ODD], right);
        if (n >= 2 && n <= MOST_PRESSES)
            stats_count(&x->many[family][n % 2], right);
    }
}

static bool ask_batch(comparison *c, const tale *tales, size_t n, guess *guesses, presses *x)
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
        done = done && ask_batch(c, tales, n, guesses, x);
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
    static const char *const labels[N_COLUMNS] = {"0", "1", "2", "3", "4", "5", "6", "7", "8-14", "9-15"};
    chart *picture = finding_chart(f, "switch", "Is the lamp on? After n presses nobody comments on",
                                   "presses (8-14: even, 9-15: odd)", "share of right answers", 2);
    picture->high = 1;
    finding_lines(picture);
    double *chance = chart_line(picture, "chance", '-', CHART_REFERENCE);
    for (size_t j = 0; j < N_COLUMNS; j++) {
        chart_x(picture, labels[j]);
        chance[j] = 0.5;
        for (size_t i = 0; i < N_FAMILIES; i++)
            picture->lines[i].y[j] = stats_share_of(&x.right[i][j]);
    }
    size_t best = RNN;
    for (size_t i = GRU; i <= LSTM; i++)
        if (at_worst(&x, i) > at_worst(&x, best))
            best = i;
    for (size_t i = RNN; i <= LSTM; i++)
        finding_note(f, worse(&x, i).low > 0.5,
                     "the %s follows the switch through two or more presses, even and odd: %.2f at worst",
                     families[i].name, at_worst(&x, i));
    finding_note(f, stats_range_of(&x.right[GPT][0]).low > 0.5 && worse(&x, GPT).low <= 0.5,
                 "the GPT is no better than a guess after two or more presses: %.2f; %.2f where nobody pressed since "
                 "the last look",
                 at_worst(&x, GPT), stats_share_of(&x.right[GPT][0]));
    finding_note(f, worse(&x, best).low > fmax(0.5, worse(&x, GPT).high),
                 "the %s follows it better than the GPT, %.2f to %.2f", families[best].name, at_worst(&x, best),
                 at_worst(&x, GPT));
    return true;
}
