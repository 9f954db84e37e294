/*
 * comparison.c - what the sections of compare share: stories in tokens, questions to models, findings and verdicts.
 */
#include "compare.h"

#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

const model_family families[N_FAMILIES] = {
    {"mlp", "MLP", 'M'}, {"rnn", "RNN", 'R'}, {"gru", "GRU", 'G'}, {"lstm", "LSTM", 'L'}, {"gpt", "GPT", 'T'},
};

const training trainings[N_FAMILIES][N_TRAININGS] = {
    [MLP] = {{25.4, 0.53}, {25.5, 0.53}, {25.5, 0.53}}, [RNN] = {{24.1, 0.85}, {29.6, 0.94}, {19.5, 0.97}},
    [GRU] = {{2.4, 1.00}, {2.3, 1.00}, {2.3, 1.00}},    [LSTM] = {{3.0, 0.47}, {3.3, 0.53}, {3.6, 0.53}},
    [GPT] = {{0.6, 0.47}, {0.5, 0.42}, {0.5, 1.00}},
};

/* ---- stories --------------------------------------------------------------------------------------------------- */

bool tale_tell(tale *t, const language_model *lm, const story_settings *settings, uint64_t seed, uint64_t index)
{
    size_t n, size, at = 0;
    if (!story_tell(settings, seed, index, &t->story))
        return console_complain("no story can be told with these settings");
    if (ink_tokenizer_encode(lm->ctx, lm->tokenizer, t->story.text, t->story.length, INK_ENCODE_PLAIN, t->tokens + 1,
                             READER_TOKENS - 1, &n) != INK_OK)
        return console_complain("a story of %u words is longer than %d tokens: %s", t->story.tokens, READER_TOKENS - 1,
                                ink_context_error(lm->ctx));
    t->tokens[0] = lm->info->bos_token;
    t->at[0] = 0;
    for (size_t i = 1; i <= n; i++, at += size) {
        t->at[i] = at;
        ink_tokenizer_token(lm->tokenizer, t->tokens[i], &size);
    }
    t->n = n + 1;
    t->tokens[t->n] = lm->info->eos_token;
    t->at[t->n] = t->story.length;
    return true;
}

size_t tale_token(const tale *t, size_t at)
{
    size_t i = 1;
    while (i < t->n && t->at[i + 1] <= at)
        i++;
    return i;
}

tale_answer tale_find(const tale *t, const story_recall *recall)
{
    size_t first = tale_token(t, recall->at);
    size_t last = tale_token(t, recall->at + recall->length - 1);
    return (tale_answer){first, last - first + 1, first - tale_token(t, recall->said)};
}

/* ---- questions ------------------------------------------------------------------------------------------------- */

bool reader_open(reader *r, const language_model *lm)
{
    const ink_sampler_options plain = {.temperature = 1};
    *r = (reader){.lm = lm};
    if (!console_ok(lm->ctx, ink_sampler_create(lm->ctx, &plain, lm->info->vocab_size, &r->softmax)))
        return false;
    for (size_t i = 0; i < READER_BATCH; i++)
        if (!console_ok(lm->ctx, ink_state_create(lm->ctx, lm->model, READER_TOKENS, &r->states[i])))
            return false;
    r->logits = console_memory(READER_BATCH * READER_TOKENS, lm->info->vocab_size * sizeof *r->logits);
    return r->logits != NULL;
}

void reader_close(reader *r)
{
    ink_sampler_free(r->softmax);
    for (size_t i = 0; i < READER_BATCH; i++)
        ink_state_free(r->states[i]);
    free(r->logits);
    *r = (reader){0};
}

/* Finds the guesses of one question from the logits of its last rows, which become probabilities. */
static bool find_guesses(reader *r, const question *q, float *logits)
{
    size_t vocab_size = r->lm->info->vocab_size;
    for (size_t i = 0; i < q->n_asked; i++, logits += vocab_size) {
        if (!console_ok(r->lm->ctx, ink_sampler_probabilities(r->lm->ctx, r->softmax, logits, logits)))
            return false;
        float p = logits[q->tokens[q->n - q->n_asked + i]];
        q->guesses[i] = (guess){p, p >= logits[ink_argmax(logits, vocab_size)]};
    }
    return true;
}

static bool reader_ask_batch(reader *r, const question *questions, size_t n)
{
    ink_item items[READER_BATCH];
    float *logits = r->logits;
    for (size_t i = 0; i < n; i++) {
        const question *q = &questions[i];
        ink_state_reset(r->states[i]);
        items[i] = (ink_item){
            .state = r->states[i], .tokens = q->tokens, .n_tokens = q->n - 1, .logits = logits, .n_logits = q->n_asked};
        logits += q->n_asked * r->lm->info->vocab_size;
    }
    if (!console_ok(r->lm->ctx, ink_model_forward_list(r->lm->ctx, r->lm->model, items, n)))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!find_guesses(r, &questions[i], items[i].logits))
            return false;
    return true;
}

bool reader_ask(reader *r, const question *questions, size_t n)
{
    for (size_t i = 0; i < n; i += READER_BATCH)
        if (!reader_ask_batch(r, questions + i, n - i < READER_BATCH ? n - i : READER_BATCH))
            return false;
    return true;
}

double guess_bits(float p) { return -stats_log2((double)(p > FLT_MIN ? p : FLT_MIN)); }

/* ---- five models and many stories ------------------------------------------------------------------------------- */

/* All models read the tokens of the first model's tokenizer, so these must mean the same to the others. */
static bool same_tokens(const comparison *c, const tale *t)
{
    ink_token tokens[READER_TOKENS];
    size_t n;
    for (size_t f = 1; f < N_FAMILIES; f++) {
        const language_model *lm = &c->models[f];
        if (ink_tokenizer_encode(c->ctx, lm->tokenizer, t->story.text, t->story.length, INK_ENCODE_PLAIN, tokens,
                                 READER_TOKENS, &n) == INK_OK &&
            n == t->n - 1 && memcmp(tokens, t->tokens + 1, n * sizeof *tokens) == 0 &&
            lm->info->bos_token == t->tokens[0] && lm->info->eos_token == t->tokens[t->n])
            continue;
        return console_complain("%s and %s have different tokenizers, so they cannot be compared token by token",
                                families[0].folder, families[f].folder);
    }
    return true;
}

bool comparison_ask(comparison *c, size_t family, const question *questions, size_t n, const char *what)
{
    for (size_t i = 0; i < n; i += READER_BATCH) {
        console_progress("%s %s %zu of %zu", families[family].name, what, i, n);
        if (!reader_ask(&c->readers[family], questions + i, n - i < READER_BATCH ? n - i : READER_BATCH))
            return false;
    }
    return true;
}

bool comparison_open(comparison *c)
{
    const story_settings settings = story_settings_default();
    c->ctx = console_context(1, c->kernel);
    for (size_t f = 0; f < N_FAMILIES; f++)
        if (c->ctx == NULL || !bundled_folder(c->folders[f], families[f].folder) ||
            !lm_open(&c->models[f], c->ctx, c->folders[f], LM_TOKENIZER) || !reader_open(&c->readers[f], &c->models[f]))
            return false;
    c->tales = console_memory(c->n_stories, sizeof *c->tales);
    bool done = c->tales != NULL;
    for (size_t i = 0; done && i < c->n_stories; i++)
        done = tale_tell(&c->tales[i], &c->models[0], &settings, c->seed, i) && same_tokens(c, &c->tales[i]);
    return done;
}

bool comparison_read(comparison *c)
{
    question *questions = console_memory(c->n_stories, sizeof *questions);
    bool done = questions != NULL;
    for (size_t f = 0; done && f < N_FAMILIES; f++) {
        if (c->guesses[f] != NULL)
            continue;
        c->guesses[f] = console_memory(c->n_stories * READER_TOKENS, sizeof *c->guesses[f]);
        for (size_t i = 0; c->guesses[f] != NULL && i < c->n_stories; i++)
            questions[i] =
                (question){c->tales[i].tokens, c->tales[i].n + 1, c->tales[i].n, c->guesses[f] + i * READER_TOKENS};
        done = c->guesses[f] != NULL && comparison_ask(c, f, questions, c->n_stories, "reads story");
    }
    console_progress("%s", "");
    free(questions);
    return done;
}

void comparison_close(comparison *c)
{
    for (size_t f = 0; f < N_FAMILIES; f++) {
        free(c->guesses[f]);
        reader_close(&c->readers[f]);
        lm_close(&c->models[f]);
    }
    free(c->tales);
    ink_context_free(c->ctx);
}

guess comparison_guess(const comparison *c, size_t family, size_t i, size_t t)
{
    return c->guesses[family][i * READER_TOKENS + t - 1];
}

void comparison_prompt(const comparison *c, ink_token prompt[READER_TOKENS])
{
    for (size_t t = 0; t < READER_TOKENS; t++)
        prompt[t] = c->tales[0].tokens[t % c->tales[0].n];
}

/* ---- findings -------------------------------------------------------------------------------------------------- */

chart *finding_chart(finding *f, const char *name, const char *title, const char *x_label, const char *y_label,
                     int decimals)
{
    chart *made = &f->charts[f->n_charts < FINDING_CHARTS ? f->n_charts++ : FINDING_CHARTS - 1];
    *made = (chart){.name = name, .title = title, .x_label = x_label, .y_label = y_label, .decimals = decimals};
    return made;
}

void finding_lines(chart *c)
{
    for (size_t f = 0; f < N_FAMILIES; f++)
        chart_line(c, families[f].name, families[f].mark, (chart_style)f);
}

void trainings_lines(chart *c, double (*of)[N_TRAININGS])
{
    static const char *const names[N_TRAININGS] = {"training 0", "training 1", "training 2"};
    for (size_t k = 0; k < N_TRAININGS; k++) {
        if (k == BUNDLED_TRAINING)
            continue;
        double *y = chart_line(c, names[k], (char)('0' + k), CHART_OTHER);
        for (size_t i = 0; i < N_FAMILIES; i++)
            y[i] = of[i][k];
    }
}

const char *verdict_name(verdict v)
{
    static const char *const names[] = {"borne out", "partly borne out", "not borne out"};
    return names[v];
}

finding_check *finding_note(finding *f, bool holds, const char *format, ...)
{
    finding_check *check = &f->checks[f->n_checks < FINDING_CHECKS ? f->n_checks++ : FINDING_CHECKS - 1];
    va_list arguments;
    *check = (finding_check){.holds = holds};
    va_start(arguments, format);
    vsnprintf(check->text, sizeof check->text, format, arguments);
    va_end(arguments);
    char *end = strstr(check->text, " nan");
    end = end != NULL ? end : strstr(check->text, " -nan"); /* the sign of NAN depends on the machine */
    if (end != NULL) {
        while (end > check->text && *end != ':')
            end--;
        snprintf(end, sizeof check->text - (size_t)(end - check->text), ": too few stories");
        check->holds = false;
    }
    return check;
}

size_t finding_holds(const finding *f)
{
    size_t n = 0;
    for (size_t i = 0; i < f->n_checks; i++)
        n += f->checks[i].holds;
    return n;
}

verdict finding_verdict(const finding *f)
{
    const size_t n = finding_holds(f);
    if (n == 0)
        return NOT_BORNE_OUT;
    return n == f->n_checks ? BORNE_OUT : PARTLY_BORNE_OUT;
}

void finding_print(const finding *f)
{
    for (size_t i = 0; i < f->n_charts; i++)
        chart_print(&f->charts[i]);
    for (size_t i = 0; i < f->n_checks; i++) {
        printf("  %-4s", f->checks[i].holds ? "yes" : "no");
        console_wrap(f->checks[i].text, 6);
    }
    printf("\n  => %s: %zu of %zu hold.\n", verdict_name(finding_verdict(f)), finding_holds(f), f->n_checks);
}

/* ---- memories -------------------------------------------------------------------------------------------------- */

kept kept_of(const stats_share *right, double chance)
{
    const stats_range range = stats_range_of(right);
    const kept k = {
        .at = (stats_share_of(right) - chance) / (1 - chance),
        .low = (range.low - chance) / (1 - chance),
        .high = (range.high - chance) / (1 - chance),
    };
    return (kept){k.at, k.low, k.high, 100 * fmax(k.at, 0)};
}

bool mostly(const stats_share *right) { return stats_range_of(right).low > MOST; }

bool kept_well(const kept *k) { return k->low > MOST; }

bool kept_little(const kept *k) { return k->at < LOST; }

/* ---- distances ------------------------------------------------------------------------------------------------- */

const distance_bin distances[N_DISTANCES] = {{3, 8}, {9, 16}, {17, 32}, {33, 64}, {65, 128}, {129, 255}};

size_t distance_find(size_t distance)
{
    size_t bin = 0;
    while (bin < N_DISTANCES && !(distance >= distances[bin].low && distance <= distances[bin].high))
        bin++;
    return bin;
}

size_t distance_within(size_t n)
{
    size_t bin = 0;
    while (bin + 2 < N_DISTANCES && distances[bin + 1].high <= n)
        bin++;
    return bin;
}

void distance_axis(chart *c)
{
    for (size_t bin = 0; bin < N_DISTANCES; bin++) {
        char label[CHART_LABEL_ROOM];
        snprintf(label, sizeof label, "%zu-%zu", distances[bin].low, distances[bin].high);
        chart_x(c, label);
    }
}
