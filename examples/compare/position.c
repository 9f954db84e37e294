/*
 * compare_position.c - fixed input: the same words, moved by one position.
 *
 * An MLP has weights of its own for every position of its window, and none for what lies before it. Here a story tells
 * a fact and comes back to it a few words later; between the two, filler sentences are put in, so many words that the
 * fact stands at the very end of the window, and then one more, and so on. Nothing else changes. The stories are short
 * ones, of facts alone, to which they come back soon.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compare.h"
#include "console.h"

/* Distances from the window: 3 positions inside its last one to 4 beyond it. */
enum { INSIDE = 3, BEYOND = 4, N_SHIFTS = INSIDE + 1 + BEYOND, LEAST_FILLER = 3 };

/* ---- filler of any length --------------------------------------------------------------------------------------- */

/* Sentences of three lengths, of which every length from the least on can be made. */
enum { N_FILLERS = 3, MOST_FILLER = 24 };

typedef struct filler {
    ink_token tokens[N_FILLERS][MOST_FILLER];
    size_t n[N_FILLERS];
} filler;

/* "Anna and Tom were ...": the sentences are about the first of them. */
static bool make_filler(const language_model *lm, const char *text, filler *out)
{
    static const char *const patterns[N_FILLERS] = {" %.*s laughed.", " %.*s looked around.", " The wind was soft."};

    for (size_t i = 0; i < N_FILLERS; i++) {
        char sentence[64];
        int size = snprintf(sentence, sizeof sentence, patterns[i], (int)strcspn(text, " "), text);
        if (ink_tokenizer_encode(lm->ctx, lm->tokenizer, sentence, (size_t)size, INK_ENCODE_PLAIN, out->tokens[i],
                                 MOST_FILLER, &out->n[i]) != INK_OK) {
            console_complain("%s", ink_context_error(lm->ctx));
            return false;
        }
    }
    return true;
}

/* How many of each sentence make n tokens; false if none do. */
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

static size_t write_filler(const filler *fill, const size_t count[N_FILLERS], ink_token *out)
{
    size_t n = 0;

    for (size_t i = 0; i < N_FILLERS; i++)
        for (size_t k = 0; k < count[i]; k++) {
            memcpy(out + n, fill->tokens[i], fill->n[i] * sizeof *out);
            n += fill->n[i];
        }
    return n;
}

/* ---- moving a fact ---------------------------------------------------------------------------------------------- */

typedef struct moves {
    size_t window;
    stats_share right[N_FAMILIES][N_SHIFTS];
    stats_mean chance;
    stats_share changed[N_FAMILIES]; /* answers that were right in the window's last position and not in the next */
} moves;

/* A fact of the whole story that is told and comes back soon after, in another sentence. */
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

/* The text up to the answer, with filler behind the sentence that told the fact: it is `distance` tokens back then. */
static bool move_fact(const tale *t, const story_recall *recall, const tale_answer *answer, const filler *fill,
                      size_t distance, question *q, ink_token *tokens)
{
    size_t end = tale_token(t, recall->said + strcspn(t->story.text + recall->said, ".")) + 1;
    size_t n = distance - answer->distance, count[N_FILLERS];

    if (answer->first + n + 1 > READER_TOKENS || !share_out(fill, n, count))
        return false;
    memcpy(tokens, t->tokens, end * sizeof *tokens);
    write_filler(fill, count, tokens + end);
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

static void draw(const moves *m, finding *f)
{
    chart *c = finding_chart(f, &(chart){.name = "position",
                                         .title = "The same fact, moved back one position at a time",
                                         .x_label = "tokens since it was told",
                                         .y_label = "share of right answers",
                                         .high = 1,
                                         .decimals = 2});
    finding_lines(c);
    double *chance = chart_line(c, "chance", '-', CHART_REFERENCE);
    for (size_t s = 0; s < N_SHIFTS; s++) {
        char label[CHART_LABEL_ROOM];
        snprintf(label, sizeof label, "%zu", m->window - INSIDE + s);
        chart_x(c, label);
        chance[s] = stats_mean_of(&m->chance);
        for (size_t i = 0; i < N_FAMILIES; i++)
            c->lines[i].y[s] = stats_share_of(&m->right[i][s]);
    }
}

static void judge(const moves *m, finding *f)
{
    double chance = stats_mean_of(&m->chance);
    kept in = kept_of(&m->right[MLP][INSIDE], chance), out = kept_of(&m->right[MLP][INSIDE + 1], chance);

    finding_note(f, kept_well(&in) && kept_little(&out),
                 "one position decides for the MLP: at %zu tokens it keeps %.0f %% of the fact, at %zu %.0f %%; "
                 "%.0f %% of its answers turn",
                 m->window, in.percent, m->window + 1, out.percent, 100 * stats_share_of(&m->changed[MLP]));
    for (size_t i = GRU; i <= GPT; i++) {
        in = kept_of(&m->right[i][INSIDE], chance);
        out = kept_of(&m->right[i][INSIDE + 1], chance);
        finding_note(f, kept_well(&in) && kept_well(&out),
                     "the %s hardly notices: %.0f %% and %.0f %%; %.0f %% of its answers turn", families[i].name,
                     in.percent, out.percent, 100 * stats_share_of(&m->changed[i]));
    }
}

static const story_settings short_stories = {
    .sentences = {2, 6}, .facts = {2, 3}, .filler = 50, .echo = 200, .again = 100};

bool compare_position(comparison *c, finding *f)
{
    moves m = {.window = c->models[MLP].info->window_size};
    tale t;

    if (m.window < INSIDE + LEAST_FILLER + 3) {
        console_complain("the window of the MLP, %zu tokens, is too small to move a fact about in it", m.window);
        return false;
    }
    for (size_t i = 0; i < c->n_stories; i++) {
        console_progress("moving a fact in story %zu of %zu", i, c->n_stories);
        if (!tale_tell(&t, &c->models[0], &short_stories, c->seed, i) || !add_story(c, &t, &m))
            return false;
    }
    draw(&m, f);
    judge(&m, f);
    return true;
}
