/*
 * compare_memory.c - memory over distance: a fact was told, k tokens later the story comes back to it. Is what was told
 * the likeliest continuation, and how likely is it?
 *
 * Two kinds of facts. Of the first there is one in a story: what time of day it is, who leads, which animal came along.
 * It is enough to keep it. Of the second there are several at a time, this object is here and that one there, and the
 * answer depends on which of them is asked for: it is not enough to keep the places.
 *
 * Chance is a guess among the values there are, "this story" a guess among the places this story has named so far.
 */
#include <math.h>
#include <string.h>

#include "compare.h"

typedef struct memories {
    stats_share right[N_FAMILIES][N_DISTANCES];
    stats_mean p[N_FAMILIES][N_DISTANCES];
    stats_mean chance[N_DISTANCES], this_story[N_DISTANCES];
} memories;

/* ---- asking ---------------------------------------------------------------------------------------------------- */

/* How many different places the story has named before byte `end`. A place follows an object, and that a verb. */
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

/* True if the answers are places, of which a story names several. */
static bool several_in_a_story(const memories *m)
{
    size_t n = 0;

    for (size_t bin = 0; bin < N_DISTANCES; bin++)
        n += m->this_story[bin].n;
    return n > 0;
}

/* ---- drawing --------------------------------------------------------------------------------------------------- */

static void draw(const memories *m, finding *f, const char *name, const char *title, bool probability)
{
    chart *c = finding_chart(f, &(chart){.name = name,
                                         .title = title,
                                         .x_label = "tokens since it was last told",
                                         .y_label = probability ? "probability of it" : "share of right answers",
                                         .high = 1,
                                         .decimals = 2});
    finding_lines(c);
    distance_axis(c);
    double *chance = chart_line(c, "chance", '-', CHART_REFERENCE);
    double *this_story = several_in_a_story(m) ? chart_line(c, "this story", '=', CHART_REFERENCE) : NULL;
    for (size_t bin = 0; bin < N_DISTANCES; bin++) {
        for (size_t i = 0; i < N_FAMILIES; i++)
            c->lines[i].y[bin] = probability ? stats_mean_of(&m->p[i][bin]) : stats_share_of(&m->right[i][bin]);
        chance[bin] = stats_mean_of(&m->chance[bin]);
        if (this_story != NULL)
            this_story[bin] = stats_mean_of(&m->this_story[bin]);
    }
}

/* ---- judging --------------------------------------------------------------------------------------------------- */

/* What is kept at the distances from bin `first` to bin `last`. */
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

#define LOST 0.1 /* of a memory, to call it that */

enum { NEAR = 0, FAR = 4, LAST = N_DISTANCES - 1 }; /* bins */

/* The last bin that lies within the window of n tokens. */
static size_t within(size_t n)
{
    size_t bin = NEAR;

    while (bin + 2 < N_DISTANCES && distances[bin + 1].high <= n)
        bin++;
    return bin;
}

static void check_facts(const comparison *c, const memories *m, finding *f)
{
    size_t window = c->models[MLP].info->window_size, bin = within(window);
    kept near = kept_between(m, MLP, NEAR, bin), far = kept_between(m, MLP, bin + 1, LAST);
    finding_note(f, kept_well(&near) && kept_little(&far),
                 "the MLP keeps a fact within its window of %zu tokens (%.0f %%) and nothing beyond (%.0f %%)", window,
                 near.percent, far.percent);
    near = kept_between(m, RNN, NEAR, NEAR);
    far = kept_between(m, RNN, FAR, LAST);
    finding_note(f, kept_well(&near) && kept_little(&far),
                 "the RNN keeps it for up to 8 tokens (%.0f %%) and has lost it after 64 (%.0f %%)", near.percent,
                 far.percent);
    for (size_t family = GRU; family <= LSTM; family++) {
        near = kept_between(m, family, NEAR, NEAR);
        far = kept_between(m, family, FAR, LAST);
        finding_note(f, kept_well(&near) && !kept_little(&far) && far.high < near.low && far.at < near.at - LOST,
                     "the %s keeps it longer, but loses a tenth or more: %.0f %% up to 8 tokens, %.0f %% after 64",
                     families[family].name, near.percent, far.percent);
    }
    near = kept_between(m, GPT, NEAR, NEAR);
    far = kept_between(m, GPT, FAR, LAST);
    finding_note(f, kept_well(&near) && kept_well(&far) && far.high >= near.low,
                 "the GPT keeps it at any distance: %.0f %% up to 8 tokens, %.0f %% after 64", near.percent,
                 far.percent);
}

static void check_places(const memories *m, finding *f)
{
    kept gpt = kept_between(m, GPT, FAR, LAST), gru = kept_between(m, GRU, FAR, LAST),
         lstm = kept_between(m, LSTM, FAR, LAST);

    finding_note(f, kept_well(&gpt) && gpt.low > fmax(gru.high, lstm.high),
                 "after 64 tokens only the GPT knows which object is where: %.0f %%; GRU %.0f %%, LSTM %.0f %%",
                 gpt.percent, gru.percent, lstm.percent);
}

bool compare_memory(comparison *c, finding *f)
{
    memories facts = {0}, places = {0};

    add_kinds(c, STORY_TIME, STORY_PET, &facts);
    add_kinds(c, STORY_PLACE, STORY_PLACE, &places);
    draw(&facts, f, "memory", "Remembering a fact of the story", false);
    draw(&facts, f, "memory-probability", "The probability given to the fact", true);
    draw(&places, f, "memory-places", "Remembering which object is where", false);
    check_facts(c, &facts, f);
    check_places(&places, f);
    return true;
}
