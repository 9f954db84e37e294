/*
 * understand.c - understanding beside generation: a BERT fills gaps in a text from both sides, a GPT only from the
 * left.
 *
 * Both consist of the same kind of blocks. In a GPT a token attends to earlier tokens only, so the GPT can write. In a
 * BERT it attends to all tokens, so the BERT can fill a gap, [MASK], but cannot write (Devlin et al. 2019). Both are
 * asked about unseen stories with one fact replaced by a gap: at its last mention, so that every clue comes before it,
 * or at its first mention, so that every clue comes after it.
 */
#include <stdlib.h>
#include <string.h>

#include "compare.h"

static uint64_t seed = 1, n_stories = 200;

static const cli_option options[] = {
    CLI_COUNT("--seed", "S", &seed, 0, 0, "other stories (default 1)"),
    CLI_COUNT("--stories", "N", &n_stories, 1, 10000, "how many (default 200)"),
    LM_TYPE,
};

static cli line = {
    .name = "understand",
    .usage = "[options]",
    .about = "How well gaps in unseen stories are filled by a BERT, which reads both sides of them, and by a GPT,\n"
             "which reads only what comes before. (fill does it with a text of your own.)",
    .samples = "  understand --stories 20\n"
               "  understand --seed 7 --stories 20\n",
    CLI_OPTIONS(options),
};

/* ---- asking BERT ------------------------------------------------------------------------------------------------ */

enum { MAX_GAPS = 8 };

/* For each gap of a text the probabilities of all words of the vocabulary. */
typedef struct filled {
    size_t n_gaps;
    float *p; /* [MAX_GAPS, vocab_size] */
} filled;

/* Runs the text through the BERT in its template, [CLS] ... [SEP]; each [MASK] in it is a gap. */
static bool fill_gaps(const language_model *bert, const char *text, filled *f)
{
    size_t n, at[MAX_GAPS];
    ink_token *tokens;
    if (!lm_encode(bert, text, strlen(text), INK_ENCODE_DEFAULT, &tokens, &n))
        return false;
    f->n_gaps = 0;
    for (size_t i = 0; i < n && f->n_gaps < MAX_GAPS; i++)
        if (tokens[i] == ink_tokenizer_control(bert->tokenizer, INK_CONTROL_MASK))
            at[f->n_gaps++] = i;
    const ink_text asked = {.tokens = tokens, .n_tokens = n, .positions = at, .n_positions = f->n_gaps, .output = f->p};
    bool done = console_ok(bert->ctx, ink_model_encode(bert->ctx, bert->model, INK_PROBABILITIES, &asked, 1));
    free(tokens);
    return done;
}

/* ---- gaps in stories -------------------------------------------------------------------------------------------- */

/* Facts that a story has once, and objects in their places. */
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

/* The first mention of the fact of a recall. The value has one word there; a place has as many as in the recall. */
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

/* Whether the likeliest words for the gap are the missing ones. BERT and GPT have the same ids for words. */
static bool ask_bert(const language_model *bert, const tale *t, const gap *g, filled *f, bool *right)
{
    char text[STORY_TEXT_SIZE + 16 * MAX_GAPS];
    size_t vocab_size = bert->info->vocab_size;
    cut(t, g, text, sizeof text);
    if (!fill_gaps(bert, text, f))
        return false;
    *right = f->n_gaps == g->n;
    for (size_t i = 0; *right && i < g->n; i++)
        *right = (ink_token)ink_argmax(f->p + i * vocab_size, vocab_size) == t->tokens[g->first + i];
    return true;
}

/* The GPT reads up to the gap, and in a gap of several words up to each of them. */
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
    char folders[N_ASKED][PATH_ROOM];
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

/* Asks about each fact that never changes, at its first and at its last mention. */
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
            continue; /* already asked about */
        const gap told = first_mention(t, recall), back = make_gap(t, s->recalls[last].at, s->recalls[last].length);
        if (!ask_about(a, t, recall, &told, AFTER) || !ask_about(a, t, recall, &back, BEFORE))
            return false;
    }
    return true;
}

/* ---- results ---------------------------------------------------------------------------------------------------- */

/* How much one of the two knows of a kind of facts, with the clue on one side. */
static kept kept_by(const table *found, size_t kind, size_t who, size_t side)
{
    return kept_of(&found->right[kind][who][side], stats_mean_of(&found->chance[kind]));
}

static bool open_models(asked *a, ink_context *ctx)
{
    language_model *bert = &a->models[ASKED_BERT], *gpt = &a->models[ASKED_GPT];
    char *of_bert = a->folders[ASKED_BERT], *of_gpt = a->folders[ASKED_GPT];
    if (!bundled_folder(of_bert, "bert") || !lm_open_encoder(bert, ctx, of_bert, INK_POOLING_NONE, LM_TOKENIZER) ||
        !bundled_folder(of_gpt, "gpt") || !lm_open(gpt, ctx, of_gpt, LM_TOKENIZER) || !reader_open(&a->gpt, gpt))
        return false;
    a->bert.p = console_memory(MAX_GAPS * bert->info->vocab_size, sizeof *a->bert.p);
    return a->bert.p != NULL;
}

static bool understand(ink_context *ctx)
{
    const story_settings stories = story_settings_default();
    asked a = {.bert = {0}};
    tale *t = console_memory(1, sizeof *t);
    finding f = {.n_charts = 0};
    bool done = t != NULL && open_models(&a, ctx);
    for (uint64_t i = 0; done && i < n_stories; i++) {
        console_progress("story %llu of %llu", (unsigned long long)i, (unsigned long long)n_stories);
        done = tale_tell(t, &a.models[ASKED_GPT], &stories, seed, i) && ask_story(&a, t);
    }
    console_progress("%s", "");
    if (done) {
        console_wrap(
            "Understanding and generation: a BERT reads a text from both sides and fills its gaps. A GPT reads "
            "from the left and can continue the text. One fact of each story is replaced by a gap: at its last "
            "mention, so that the clue comes before (<), or at its first, so that it comes after (>). 'Kept' "
            "runs from 0 % (no better than guessing) to 100 % (always right).",
            0);
        putchar('\n');
        static const char *const names[N_ASKED] = {"BERT", "GPT"};
        static const char marks[N_ASKED] = {'B', 'T'};
        chart *picture = finding_chart(&f, "understand", "Gaps in fresh stories: share filled rightly", "", "", 2);
        picture->table = true;
        chart_x(picture, "fact <");
        chart_x(picture, "fact >");
        chart_x(picture, "place <");
        chart_x(picture, "place >");
        for (size_t who = 0; who < N_ASKED; who++) {
            double *y = chart_line(picture, names[who], marks[who], CHART_GPT);
            for (size_t kind = 0; kind < N_KINDS; kind++)
                for (size_t side = 0; side < N_SIDES; side++)
                    y[2 * kind + side] = stats_share_of(&a.found.right[kind][who][side]);
        }
        double *chance = chart_line(picture, "chance", '-', CHART_REFERENCE);
        for (size_t i = 0; i < 2 * N_KINDS; i++)
            chance[i] = stats_mean_of(&a.found.chance[i / 2]);
        static const char *const kinds[N_KINDS] = {"a fact", "a place"};
        for (size_t kind = 0; kind < N_KINDS; kind++) {
            kept bert = kept_by(&a.found, kind, ASKED_BERT, BEFORE), gpt = kept_by(&a.found, kind, ASKED_GPT, BEFORE);
            finding_note(&f, kept_well(&bert), "BERT knows %s whose clue comes before the gap: %.0f %%", kinds[kind],
                         bert.percent);
            finding_note(&f, kept_well(&gpt), "the GPT knows %s whose clue comes before the gap: %.0f %%", kinds[kind],
                         gpt.percent);
            bert = kept_by(&a.found, kind, ASKED_BERT, AFTER);
            gpt = kept_by(&a.found, kind, ASKED_GPT, AFTER);
            finding_note(&f, kept_well(&bert), "BERT knows %s whose clue comes after the gap: %.0f %%", kinds[kind],
                         bert.percent);
            finding_note(&f, kept_little(&gpt), "the GPT does not know %s whose clue comes after the gap: %.0f %%",
                         kinds[kind], gpt.percent);
        }
        finding_print(&f);
    }
    free(t);
    free(a.bert.p);
    reader_close(&a.gpt);
    for (size_t i = 0; i < N_ASKED; i++)
        lm_close(&a.models[i]);
    return done;
}

int main(int argc, char **argv) { return cli_main(&line, argc, argv, understand); }
