/*
 * understand.c - understanding beside generation: a BERT fills gaps in a text from both sides, a GPT only from the
 * left.
 *
 * The two have the same kind of blocks. In a GPT a token attends to what stands before it, so it can write; in a BERT
 * to everything, so it can say what belongs into a gap, [MASK], and cannot write (Devlin et al. 2019). Both are asked
 * about fresh stories in which one fact was made a gap: at its last mention, so that every clue comes before it, or at
 * its first, so that every clue comes after.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bundled.h"
#include "cli.h"
#include "compare.h"
#include "console.h"

typedef struct settings {
    uint64_t seed, n_stories;
} settings;

static cli_outcome read_settings(settings *s, int argc, char **argv)
{
    const cli_option options[] = {
        {.name = "--seed", .value = "S", .count = &s->seed, .help = "other stories (default 1)"},
        {.name = "--stories",
         .value = "N",
         .count = &s->n_stories,
         .least = 1,
         .most = 10000,
         .help = "how many (default 200)"},
    };
    cli line = {
        .name = "understand",
        .usage = "[options]",
        .about = "How well gaps in fresh stories are filled by a BERT, which reads both sides of them, and by a GPT,\n"
                 "which reads only what comes before. (fill does it with a text of your own.)",
        .samples = "  understand --stories 20\n"
                   "  understand --seed 7 --stories 20\n",
        .options = options,
        .n_options = sizeof options / sizeof *options,
    };
    return cli_read(&line, argc, argv);
}

/* ---- asking BERT ------------------------------------------------------------------------------------------------ */

enum { MAX_GAPS = 8 };

/* A text and the probabilities of every word of the vocabulary for each of its gaps. */
typedef struct filled {
    size_t n_gaps;
    float *p; /* [MAX_GAPS, vocab_size] */
} filled;

static bool ok(const language_model *lm, ink_result result)
{
    if (result != INK_OK)
        console_complain("%s", ink_context_error(lm->ctx));
    return result == INK_OK;
}

/* Where the mask stands among the tokens; the number of gaps. */
static size_t find_gaps(const language_model *bert, const ink_token *tokens, size_t n, size_t at[MAX_GAPS])
{
    ink_token mask = ink_tokenizer_control(bert->tokenizer, INK_CONTROL_MASK);
    size_t n_gaps = 0;

    for (size_t i = 0; i < n; i++)
        if (tokens[i] == mask && n_gaps < MAX_GAPS)
            at[n_gaps++] = i;
    return n_gaps;
}

/* The text goes through in its template, [CLS] ... [SEP]; each [MASK] in it is a gap. */
static bool fill(const language_model *bert, const char *text, filled *f)
{
    size_t n, at[MAX_GAPS];
    ink_token *tokens;

    if (!lm_encode(bert, text, strlen(text), INK_ENCODE_DEFAULT, &tokens, &n))
        return false;
    f->n_gaps = find_gaps(bert, tokens, n, at);
    const ink_text asked = {.tokens = tokens, .n_tokens = n, .positions = at, .n_positions = f->n_gaps, .output = f->p};
    bool done = ok(bert, ink_model_encode(bert->ctx, bert->model, INK_PROBABILITIES, &asked, 1));
    free(tokens);
    return done;
}

/* ---- gaps in stories -------------------------------------------------------------------------------------------- */

/* Facts of which there is one in a story, and objects in their places. */
enum { FACTS, PLACES, N_KINDS };
enum { BEFORE, AFTER, N_SIDES };
enum { ASKED_BERT, ASKED_GPT, N_ASKED };

typedef struct table {
    stats_share right[N_KINDS][N_ASKED][N_SIDES];
    stats_mean chance[N_KINDS];
} table;

typedef struct gap {
    size_t at, size; /* bytes of the story that are missing */
    size_t first, n; /* its tokens */
} gap;

static gap make_gap(const tale *t, size_t at, size_t size)
{
    size_t first = tale_token(t, at);

    return (gap){at, size, first, tale_token(t, at + size - 1) - first + 1};
}

/* The first mention of what a recall comes back to: there the value has one word, but a place is told in as many. */
static gap first_mention(const tale *t, const story_recall *recall)
{
    size_t size = recall->kind == STORY_PLACE ? recall->length : strcspn(t->story.text + recall->said, " .");

    return make_gap(t, recall->said, size);
}

static bool same_fact(const story_recall *a, const story_recall *b)
{
    return a->kind == b->kind && strcmp(a->key, b->key) == 0;
}

/* The story with [MASK] for each token of the gap. */
static void cut(const tale *t, const gap *g, char *out, size_t room)
{
    size_t used = (size_t)snprintf(out, room, "%.*s", (int)g->at, t->story.text);

    for (size_t i = 0; i < g->n; i++)
        used += (size_t)snprintf(out + used, room - used, "%s[MASK]", i > 0 ? " " : "");
    snprintf(out + used, room - used, "%s", t->story.text + g->at + g->size);
}

/* The likeliest word; of equals the first. */
static ink_token likeliest(const float *p, size_t n)
{
    size_t best = 0;

    for (size_t i = 1; i < n; i++)
        if (p[i] > p[best])
            best = i;
    return (ink_token)best;
}

/* Whether the likeliest words for the gap are those that were there. BERT's ids of words are those of the GPT. */
static bool ask_bert(const language_model *bert, const tale *t, const gap *g, filled *f, bool *right)
{
    char text[STORY_TEXT_SIZE + 16 * MAX_GAPS];
    size_t vocab_size = bert->info->vocab_size;

    cut(t, g, text, sizeof text);
    if (!fill(bert, text, f))
        return false;
    *right = f->n_gaps == g->n;
    for (size_t i = 0; *right && i < g->n; i++)
        *right = likeliest(f->p + i * vocab_size, vocab_size) == t->tokens[g->first + i];
    return true;
}

/* The GPT reads up to the gap, and in a gap of several words those before each. */
static bool ask_gpt(reader *gpt, const tale *t, const gap *g, bool *right)
{
    guess guesses[MAX_GAPS];

    if (!reader_ask(gpt, &(question){t->tokens, g->first + g->n, g->n, guesses}, 1))
        return false;
    *right = true;
    for (size_t i = 0; i < g->n; i++)
        *right = *right && guesses[i].top;
    return true;
}

typedef struct asked {
    char folders[N_ASKED][BUNDLED_ROOM];
    language_model models[N_ASKED];
    reader gpt;
    filled bert;
    table found;
} asked;

static bool ask_about(asked *a, const tale *t, const story_recall *recall, const gap *g, size_t side)
{
    size_t kind = recall->kind == STORY_PLACE ? PLACES : FACTS;
    bool right[N_ASKED];

    if (g->n > MAX_GAPS)
        return true;
    if (!ask_bert(&a->models[ASKED_BERT], t, g, &a->bert, &right[ASKED_BERT]) ||
        !ask_gpt(&a->gpt, t, g, &right[ASKED_GPT]))
        return false;
    for (size_t who = 0; who < N_ASKED; who++)
        stats_count(&a->found.right[kind][who][side], right[who]);
    stats_add(&a->found.chance[kind], 1.0 / recall->values);
    return true;
}

/* Of each fact that never changes, its first and its last mention. */
static bool ask_story(asked *a, const tale *t)
{
    const story *s = &t->story;

    for (size_t i = 0; i < s->n_recalls; i++) {
        const story_recall *recall = &s->recalls[i];
        size_t first = 0, last = i;
        if (recall->kind > STORY_PET && recall->kind != STORY_PLACE)
            continue;
        while (!same_fact(&s->recalls[first], recall))
            first++;
        for (size_t k = i; k < s->n_recalls; k++)
            if (same_fact(&s->recalls[k], recall))
                last = k;
        if (first < i)
            continue; /* asked about already */
        const gap told = first_mention(t, recall), back = make_gap(t, s->recalls[last].at, s->recalls[last].length);
        if (!ask_about(a, t, recall, &told, AFTER) || !ask_about(a, t, recall, &back, BEFORE))
            return false;
    }
    return true;
}

/* ---- telling ---------------------------------------------------------------------------------------------------- */

static double share(const table *found, size_t kind, size_t who, size_t side)
{
    return stats_share_of(&found->right[kind][who][side]);
}

static void draw(const table *found, finding *f)
{
    static const char *const names[N_ASKED] = {"BERT", "GPT"};
    static const char marks[N_ASKED] = {'B', 'T'};
    chart *c = finding_chart(f, &(chart){.name = "understand",
                                         .title = "Gaps in fresh stories: share filled rightly",
                                         .x_label = "",
                                         .y_label = "",
                                         .table = true,
                                         .decimals = 2});
    chart_x(c, "fact <");
    chart_x(c, "fact >");
    chart_x(c, "place <");
    chart_x(c, "place >");
    for (size_t who = 0; who < N_ASKED; who++) {
        double *y = chart_line(c, names[who], marks[who], CHART_GPT);
        for (size_t kind = 0; kind < N_KINDS; kind++)
            for (size_t side = 0; side < N_SIDES; side++)
                y[2 * kind + side] = share(found, kind, who, side);
    }
    double *chance = chart_line(c, "chance", '-', CHART_REFERENCE);
    for (size_t i = 0; i < 2 * N_KINDS; i++)
        chance[i] = stats_mean_of(&found->chance[i / 2]);
}

/* Both sides of a kind, of one of the two. */
static kept kept_by(const table *found, size_t kind, size_t who, size_t side)
{
    return kept_of(&found->right[kind][who][side], stats_mean_of(&found->chance[kind]));
}

static void judge(const table *found, finding *f)
{
    static const char *const names[N_KINDS] = {"a fact", "a place"};

    for (size_t kind = 0; kind < N_KINDS; kind++) {
        kept bert = kept_by(found, kind, ASKED_BERT, BEFORE), gpt = kept_by(found, kind, ASKED_GPT, BEFORE);
        finding_note(f, kept_well(&bert) && kept_well(&gpt),
                     "where the clue comes before, both know %s: BERT %.0f %%, GPT %.0f %% of the way from chance",
                     names[kind], bert.percent, gpt.percent);
        bert = kept_by(found, kind, ASKED_BERT, AFTER);
        gpt = kept_by(found, kind, ASKED_GPT, AFTER);
        finding_note(f, kept_well(&bert) && kept_little(&gpt),
                     "where it comes after, only BERT does: %.0f %%, GPT %.0f %%", bert.percent, gpt.percent);
    }
}

static bool ask_all(asked *a, const settings *s)
{
    const story_settings stories = story_settings_default();
    tale *t = malloc(sizeof *t);
    bool done = t != NULL;

    if (!done)
        console_complain("there is no memory for a story");
    for (uint64_t i = 0; done && i < s->n_stories; i++) {
        console_progress("story %llu of %llu", (unsigned long long)i, (unsigned long long)s->n_stories);
        done = tale_tell(t, &a->models[ASKED_GPT], &stories, s->seed, i) && ask_story(a, t);
    }
    console_progress("%s", "");
    free(t);
    return done;
}

static void tell(const table *found)
{
    finding f = {.n_charts = 0};

    console_wrap("Understanding and generation: a BERT reads a text from both sides and fills the gaps in it; a GPT "
                 "reads it from the left and could go on from there. Facts of the stories were made gaps: at the last "
                 "mention, so that the clue comes before (<), or at the first, so that it comes after (>).",
                 0);
    putchar('\n');
    draw(found, &f);
    judge(found, &f);
    finding_print(&f);
}

/* ---- running ---------------------------------------------------------------------------------------------------- */

static bool open_models(asked *a, ink_context *ctx)
{
    language_model *bert = &a->models[ASKED_BERT], *gpt = &a->models[ASKED_GPT];
    char *of_bert = a->folders[ASKED_BERT], *of_gpt = a->folders[ASKED_GPT];

    if (!bundled_folder(of_bert, "bert") || !lm_open_encoder(bert, ctx, of_bert, INK_POOLING_NONE) ||
        !bundled_folder(of_gpt, "gpt") || !lm_open(gpt, ctx, of_gpt) || !reader_open(&a->gpt, gpt))
        return false;
    a->bert.p = malloc(MAX_GAPS * bert->info->vocab_size * sizeof *a->bert.p);
    if (a->bert.p == NULL)
        console_complain("there is no memory for the probabilities of %zu words", bert->info->vocab_size);
    return a->bert.p != NULL;
}

static bool run(asked *a, ink_context *ctx, const settings *s)
{
    if (!open_models(a, ctx) || !ask_all(a, s))
        return false;
    tell(&a->found);
    return true;
}

int main(int argc, char **argv)
{
    settings s = {.seed = 1, .n_stories = 200};
    cli_outcome outcome = read_settings(&s, argc, argv);
    ink_context *ctx;
    asked a = {.bert = {0}};
    bool done;

    if (outcome != CLI_RUN)
        return outcome == CLI_ERROR || !console_finish();
    ctx = console_context(1, NULL);
    done = ctx != NULL && run(&a, ctx, &s);
    reader_close(&a.gpt);
    free(a.bert.p);
    for (size_t i = 0; i < N_ASKED; i++)
        lm_close(&a.models[i]);
    ink_context_free(ctx);
    return !(done && console_finish());
}
