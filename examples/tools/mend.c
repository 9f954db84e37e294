/*
 * mend.c - corrects the grammar of a text: a noisy channel between two language models.
 *
 * Somebody meant a right sentence and made a small mistake on the way to the paper: the channel is noisy (Shannon
 * 1948). What was meant? By Bayes' rule, the sentence with the largest
 *
 *     log2 p(meant | written) = log2 p(meant) + log2 p(written | meant) - log2 p(written)
 *
 * where the last term is the same for all. Kernighan, Church and Gale 1990 correct spelling in this way; here the words
 * change. A candidate is one small change away: two neighbouring words exchanged back, one of two equal words taken
 * out, a small word replaced by one of its class or a word by another form of it, or a word put in. A BERT, which sees
 * both sides, proposes words for the last two. The GPT gives log2 p(meant) of each candidate. log2 p(written | meant)
 * is 0 for no mistake and minus the cost for any of these mistakes. The best candidate replaces the sentence, again and
 * again, until none is better, or ten times.
 *
 * A cost of 12 bits says that a certain mistake is made once in about 4,000 sentences. It was chosen on other stories
 * than those of the page (--stories 200 --seed 2): at 6 bits 99.5 % of the right sentences are left alone, at 9 bits
 * and more all of them; at 15 bits 96 % of the doubled words are found, at 12 bits 99.5 %.
 */
#include <stdlib.h>
#include <string.h>

#include "compare.h"
#include "vocabulary.h"

static uint64_t n_stories, seed = 1;
static double cost = 12;

static const cli_option options[] = {
    CLI_REAL("--cost", "BITS", &cost, 1000, "what a change must gain at least (default 12)"),
    CLI_COUNT("--stories", "N", &n_stories, 1, 10000, "make mistakes in sentences of N fresh stories, and count"),
    CLI_COUNT("--seed", "S", &seed, 0, 0, "other stories, other mistakes (default 1)"),
    LM_TYPE,
    CLI_MACHINE,
};

static cli line = {
    .name = "mend",
    .usage = "[\"text\"] [options]",
    .about = "Corrects the grammar of a text, sentence by sentence: words in a wrong order, in a wrong form, doubled\n"
             "or left out. The bundled BERT proposes words, and the bundled GPT judges. They know the language of\n"
             "their stories, and read \"Anna and Tom were in the garden.\" before your text. Names and things stay\n"
             "what they are. What is right but unlikely may be changed, too. The text goes to stdout;\n"
             "stderr says what was changed, and how many bits likelier that made the sentence.",
    .samples = "  mend \"Anna and Tom were in the garden. They saw that the was door open.\"\n"
               "  echo \"Anna and Tom were in the garden. It were night night.\" | mend\n"
               "  mend --stories 2\n",
    CLI_OPTIONS(options),
    CLI_ARGUMENTS(0, 1, "the text"),
    .from_stdin = "the text",
};

enum {
    N_BEFORE = 4,        /* sentences that the models read before the one to be mended */
    WINDOW_TOKENS = 120, /* of all these sentences */
    WINDOW_SIZE = 4096,
    N_PROPOSALS = 5, /* of the BERT for a gap, */
    N_TRIES = 50,    /* among so many of its likeliest words */
    STEM = 3,        /* letters that forms of one word share at least */
    N_CHANGES = 10,  /* of a sentence, at most */
    N_WORDS = WINDOW_TOKENS + N_CHANGES + 1,
    N_CANDIDATES = N_WORDS * (1 + 2 * N_PROPOSALS),
    PHRASE = 80, /* bytes of an edit, with the closing zero */
    CHANGE = 200 /* of what is said of it */
};

typedef struct span {
    size_t at, size;
} span;

/* A small change of the window: bytes that are cut out become `to`. */
typedef struct edit {
    span cut;
    char to[PHRASE];
} edit;

typedef struct mender {
    char folders[2][PATH_ROOM];
    language_model gpt, bert;
    reader judge;
    float *row; /* [vocab_size] the BERT's probabilities for a gap */

    /* [size] the sentence, from `begin` on, behind n_before others, with one blank between them */
    char window[WINDOW_SIZE + N_CHANGES * PHRASE], edited[WINDOW_SIZE + (N_CHANGES + 1) * PHRASE];
    size_t begin, size, n_before;
    span words[N_WORDS]; /* [n_words] of the sentence */
    size_t n_words;
    edit candidates[N_CANDIDATES]; /* [n_candidates]; the first changes nothing */
    double bits[N_CANDIDATES];     /* of the sentence */
    size_t n_candidates;
    char (*changes)[CHANGE]; /* [n_changes] of all sentences, in words */
    size_t n_changes, changes_room;

    ink_token tokens[READER_BATCH][READER_TOKENS + 1];
    guess guesses[READER_BATCH][READER_TOKENS];
} mender;

/* ---- sentences and words ---------------------------------------------------------------------------------------- */

static bool is_blank(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

static bool is_small(char c) { return c >= 'a' && c <= 'z'; }

static ink_result encode(const language_model *lm, const char *text, size_t size, ink_token *tokens, size_t room,
                         size_t *n)
{
    return ink_tokenizer_encode(lm->ctx, lm->tokenizer, text, size, INK_ENCODE_PLAIN, tokens, room, n);
}

/* Whether there are only blanks up to the end of the next line. */
static bool is_empty_line(const char *text, size_t at, size_t size)
{
    size_t newlines = 0;
    for (; at < size && is_blank(text[at]); at++)
        newlines += text[at] == '\n';
    return newlines > 1;
}

/* A sentence ends at a mark with a blank behind it, and at an empty line. */
static size_t sentence_end(const char *text, size_t at, size_t size)
{
    while (++at < size && !(is_blank(text[at]) && strchr(".!?", text[at - 1]) != NULL) &&
           !is_empty_line(text, at, size))
        ;
    return at;
}

/* Takes a sentence into the window, and as many of those before it out as it must. False, without a message, if there
   is no room for it alone. */
static bool take_sentence(mender *m, const char *text, size_t size)
{
    size_t n;
    m->n_before += m->size > 0;
    for (;;) {
        m->begin = m->size + (m->size > 0);
        if (m->n_before <= N_BEFORE && m->begin + size <= WINDOW_SIZE) {
            m->window[m->size] = ' ';
            for (size_t i = 0; i < size; i++)
                m->window[m->begin + i] = is_blank(text[i]) ? ' ' : text[i]; /* no story has lines */
            if (encode(&m->gpt, m->window, m->begin + size, m->tokens[0], WINDOW_TOKENS, &n) == INK_OK)
                break;
        }
        if (m->size == 0)
            return false;
        const size_t first = sentence_end(m->window, 0, m->size), next = first + (first < m->size);
        m->size -= next;
        memmove(m->window, m->window + next, m->size);
        m->n_before--;
    }
    m->size = m->begin + size;
    return true;
}

/* Before a text, and after an empty line, the models read only this. No story begins in its middle. */
static void begin_text(mender *m)
{
    static const char opening[] = "Anna and Tom were in the garden.";
    m->size = m->n_before = 0;
    take_sentence(m, opening, sizeof opening - 1);
}

/* Finds the words of the sentence: what lies between blanks and marks. */
static void find_words(mender *m)
{
    m->n_words = 0;
    for (size_t at = m->begin, size; at < m->size; at += size + 1) {
        const char *text = m->window + at;
        for (size = 0; at + size < m->size && strchr(" .,;:!?\"()", text[size]) == NULL;)
            size++;
        if (size > 0 && size < PHRASE / 4 && m->n_words < N_WORDS)
            m->words[m->n_words++] = (span){at, size};
    }
}

/* Writes the window after an edit to `edited`, and returns its size. */
static size_t edit_window(mender *m, const edit *e)
{
    const size_t rest = e->cut.at + e->cut.size;
    return (size_t)snprintf(m->edited, sizeof m->edited, "%.*s%s%.*s", (int)e->cut.at, m->window, e->to,
                            (int)(m->size - rest), m->window + rest);
}

static void apply(mender *m, const edit *e)
{
    m->size = edit_window(m, e);
    memcpy(m->window, m->edited, m->size);
}

/* ---- what may have been meant ----------------------------------------------------------------------------------- */

/* Whether the vocabulary has a word: what it lacks, the models cannot judge. */
static bool is_known(const mender *m, span word)
{
    char text[PHRASE];
    const int size = snprintf(text, sizeof text, " %.*s", (int)word.size, m->window + word.at);
    return ink_tokenizer_find(m->gpt.tokenizer, text, (size_t)size) >= 0;
}

/* Whether word i and the next are known, with nothing but blanks between them. */
static bool are_neighbours(const mender *m, size_t i)
{
    const span a = m->words[i], b = m->words[i + 1];
    for (size_t at = a.at + a.size; at < b.at; at++)
        if (m->window[at] != ' ')
            return false;
    return is_known(m, a) && is_known(m, b);
}

/* The edit that exchanges a word with its neighbour, or takes one of two equal words away. */
static edit exchange(const mender *m, size_t i)
{
    const span a = m->words[i], b = m->words[i + 1];
    const char *first = m->window + a.at, *second = m->window + b.at;
    edit e = {.cut = {a.at, b.at + b.size - a.at}};
    if (a.size == b.size && memcmp(first, second, a.size) == 0)
        snprintf(e.to, PHRASE, "%.*s", (int)a.size, first);
    else
        snprintf(e.to, PHRASE, "%.*s %.*s", (int)b.size, second, (int)a.size, first);
    return e;
}

/* Whether one word may have been written for another: the small words of a class, and forms of one word, which differ
   in their endings. Any other word is no matter of grammar: "Tom sang" is right, however much likelier "Tom slept" is.
 */
static bool may_be_meant(const char *written, size_t written_size, const char *meant, size_t meant_size)
{
    static const char *const classes[] = {" a an the ",        " in on under behind by at with to from into up of for ",
                                          " he him his ",      " she her ",
                                          " they them their ", " was were "};
    static const char endings[] = "  s es d ed ing ";
    char one[PHRASE], other[PHRASE];
    size_t same = 0;
    while (same < written_size && same < meant_size && written[same] == meant[same])
        same++;
    snprintf(one, sizeof one, " %.*s ", (int)(written_size - same), written + same);
    snprintf(other, sizeof other, " %.*s ", (int)(meant_size - same), meant + same);
    if (same >= STEM && strstr(endings, one) != NULL && strstr(endings, other) != NULL)
        return true;
    snprintf(one, sizeof one, " %.*s ", (int)written_size, written);
    snprintf(other, sizeof other, " %.*s ", (int)meant_size, meant);
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (strstr(classes[i], one) != NULL && strstr(classes[i], other) != NULL)
            return true;
    return false;
}

/* Adds what the BERT proposes in place of a word, or behind it. A gap, [MASK], is a word with the blank before it. */
static bool propose(mender *m, span word, bool behind)
{
    ink_context *ctx = m->bert.ctx;
    const ink_tokenizer *tokenizer = m->bert.tokenizer;
    const size_t after = word.at + word.size;
    size_t before = behind ? after : word.at, gap, n;
    while (before > 0 && m->window[before - 1] == ' ')
        before--;
    ink_token *tokens = m->tokens[0];
    if (!console_ok(ctx, encode(&m->bert, m->window, before, tokens + 1, READER_TOKENS - 3, &gap)))
        return false;
    gap++;
    if (!console_ok(
            ctx, encode(&m->bert, m->window + after, m->size - after, tokens + gap + 1, READER_TOKENS - 2 - gap, &n)))
        return false;
    tokens[0] = ink_tokenizer_control(tokenizer, INK_CONTROL_CLS);
    tokens[gap] = ink_tokenizer_control(tokenizer, INK_CONTROL_MASK);
    tokens[gap + 1 + n] = ink_tokenizer_control(tokenizer, INK_CONTROL_SEP);
    const ink_text text = {
        .tokens = tokens, .n_tokens = gap + n + 2, .positions = &gap, .n_positions = 1, .output = m->row};
    if (!console_ok(ctx, ink_model_encode(ctx, m->bert.model, INK_PROBABILITIES, &text, 1)))
        return false;
    for (size_t tries = 0, n_new = 0; tries < N_TRIES && n_new < N_PROPOSALS; tries++) {
        const size_t best = ink_argmax(m->row, m->bert.info->vocab_size);
        size_t size;
        const char *token = ink_tokenizer_token(tokenizer, (ink_token)best, &size);
        m->row[best] = -1;
        if (token == NULL || size < 2 || token[0] != ' ' || !is_small(token[1]))
            continue; /* a name, a mark, or a part of a word */
        if (!behind && !may_be_meant(m->window + word.at, word.size, token + 1, size - 1))
            continue;
        n_new++;
        edit *e = &m->candidates[m->n_candidates++];
        e->cut = word;
        if (behind)
            snprintf(e->to, PHRASE, "%.*s%.*s", (int)word.size, m->window + word.at, (int)size, token);
        else
            snprintf(e->to, PHRASE, "%.*s", (int)size - 1, token + 1);
    }
    return true;
}

/* Finds the candidates for the sentence. */
static bool find_candidates(mender *m)
{
    find_words(m);
    m->candidates[0] = (edit){.cut = {m->size, 0}};
    m->n_candidates = 1;
    for (size_t i = 0; i + 1 < m->n_words; i++)
        if (are_neighbours(m, i))
            m->candidates[m->n_candidates++] = exchange(m, i);
    for (size_t i = 0; i < m->n_words; i++) {
        const span word = m->words[i];
        const bool before_known = i + 1 == m->n_words || is_known(m, m->words[i + 1]);
        if (!is_known(m, word))
            continue;
        if ((is_small(m->window[word.at]) && !propose(m, word, false)) || /* names stay */
            (before_known && !propose(m, word, true)))
            return false;
    }
    return true;
}

/* ---- which of them was meant ------------------------------------------------------------------------------------ */

/* Finds how many bits the sentence costs the GPT after each edit, given the sentences before it. */
static bool judge(mender *m)
{
    ink_context *ctx = m->gpt.ctx;
    question questions[READER_BATCH];
    size_t n, n_now, n_before = 0;
    if (m->begin > 0 &&
        !console_ok(ctx, encode(&m->gpt, m->window, m->begin - 1, m->tokens[0], READER_TOKENS, &n_before)))
        return false;
    for (size_t i = 0; i < m->n_candidates; i += n_now) {
        n_now = m->n_candidates - i < READER_BATCH ? m->n_candidates - i : READER_BATCH;
        for (size_t k = 0; k < n_now; k++) {
            const size_t size = edit_window(m, &m->candidates[i + k]);
            if (!console_ok(ctx, encode(&m->gpt, m->edited, size, m->tokens[k] + 1, READER_TOKENS, &n)))
                return false;
            m->tokens[k][0] = m->gpt.info->bos_token;
            questions[k] = (question){m->tokens[k], n + 1, n - n_before, m->guesses[k]};
        }
        if (!reader_ask(&m->judge, questions, n_now))
            return false;
        for (size_t k = 0; k < n_now; k++) {
            m->bits[i + k] = 0;
            for (size_t t = 0; t < questions[k].n_asked; t++)
                m->bits[i + k] += guess_bits(m->guesses[k][t].p);
        }
    }
    return true;
}

/* Mends the sentence in the window, and adds to the changes. */
static bool mend_sentence(mender *m)
{
    for (size_t n = 0; n < N_CHANGES; n++) {
        size_t best = 0;
        if (!find_candidates(m) || !judge(m))
            return false;
        for (size_t i = 1; i < m->n_candidates; i++)
            best = m->bits[i] < m->bits[best] ? i : best;
        const double gain = m->bits[0] - m->bits[best];
        if (gain <= cost)
            break;
        const edit *e = &m->candidates[best];
        char(*changes)[CHANGE] = console_grow(m->changes, &m->changes_room, m->n_changes + 1, sizeof *changes);
        if (changes == NULL)
            return false;
        m->changes = changes;
        snprintf(changes[m->n_changes++], CHANGE, "%6.1f bits: %.*s -> %s", gain, (int)e->cut.size,
                 m->window + e->cut.at, e->to);
        apply(m, e);
    }
    return true;
}

/* Mends a text, sentence by sentence, and prints it. The models do not read over an empty line. */
static bool mend_text(mender *m, const char *text, size_t size)
{
    for (size_t at = 0, end = 0;; at = end) {
        size_t newlines = 0;
        while (end < size && is_blank(text[end]))
            newlines += text[end++] == '\n';
        if (at == 0 || newlines > 1)
            begin_text(m);
        if (!console_say(text + at, end - at))
            return false;
        if (end == size)
            break;
        at = end;
        end = sentence_end(text, at, size);
        const size_t before = m->n_changes;
        if (!take_sentence(m, text + at, end - at))
            console_note("(a sentence of more than %d tokens stays as it is)", WINDOW_TOKENS);
        else if (!mend_sentence(m))
            return false;
        if (!(m->n_changes == before ? console_say(text + at, end - at)
                                     : console_say(m->window + m->begin, m->size - m->begin)))
            return false;
    }
    console_write("\n", 1);
    for (size_t i = 0; i < m->n_changes; i++) {
        char shown[2 * CHANGE];
        console_note("%s", console_harmless(shown, sizeof shown, m->changes[i]));
    }
    return true;
}

/* ---- mistakes made on purpose ----------------------------------------------------------------------------------- */

enum { EXCHANGED, DOUBLED, WRONG_WORD, LEFT_OUT, NONE, N_KINDS };

static const char *const kinds[N_KINDS] = {"two neighbouring words exchanged", "a word twice",
                                           "a wrong form or small word", "a word left out",
                                           "no mistake: left as it is"};

static const char *const wrong[][2] = {{"was", "were"},   {"were", "was"},     {"a", "an"},        {"an", "a"},
                                       {"the", "a"},      {"in", "on"},        {"on", "in"},       {"him", "he"},
                                       {"her", "she"},    {"his", "him"},      {"they", "them"},   {"them", "they"},
                                       {"their", "them"}, {"apple", "apples"}, {"apples", "apple"}};

/* Draws a mistake of this kind for the sentence in the window. False if what was drawn makes none. */
static bool draw_mistake(mender *m, size_t kind, uint64_t *random, edit *e)
{
    find_words(m);
    const size_t i = (size_t)random_below(random, m->n_words);
    const char *const *form = wrong[random_below(random, sizeof wrong / sizeof *wrong)];
    const span word = m->words[i];
    const char *text = m->window + word.at;
    *e = (edit){.cut = word};
    if (kind == EXCHANGED && i + 1 < m->n_words && are_neighbours(m, i))
        *e = exchange(m, i);
    else if (kind == DOUBLED)
        snprintf(e->to, PHRASE, "%.*s %.*s", (int)word.size, text, (int)word.size, text);
    else if (kind == WRONG_WORD && word.size == strlen(form[0]) && strncmp(text, form[0], word.size) == 0)
        snprintf(e->to, PHRASE, "%s", form[1]);
    else if (kind == LEFT_OUT && i > 0)
        e->cut = (span){word.at - 1, word.size + 1};
    else if (kind == NONE)
        e->cut.size = 0;
    else
        return false;
    return true;
}

/* Makes a mistake of each kind in a sentence of each story, and mends it behind the sentences before it. */
static bool measure(mender *m)
{
    static story told;
    const story_settings settings = story_settings_default();
    stats_share right[N_KINDS] = {{0}};
    stats_mean chance[N_KINDS] = {{0}};
    uint64_t random = seed;
    for (uint64_t i = 0; i < n_stories; i++) {
        console_progress("story %llu of %llu", (unsigned long long)i, (unsigned long long)n_stories);
        story_tell(&settings, seed, i, &told);
        for (size_t kind = 0; kind < N_KINDS; kind++) {
            size_t s;
            edit mistake;
            do {
                s = (size_t)random_below(&random, told.n_sentences);
                begin_text(m);
                for (size_t k = s < N_BEFORE ? 0 : s - N_BEFORE; k <= s; k++)
                    take_sentence(m, told.text + told.sentences[k].at, told.sentences[k].length);
            } while (!draw_mistake(m, kind, &random, &mistake));
            apply(m, &mistake);
            if (!mend_sentence(m))
                return false;
            const size_t size = m->size - m->begin;
            stats_count(&right[kind], size == told.sentences[s].length &&
                                          memcmp(m->window + m->begin, told.text + told.sentences[s].at, size) == 0);
            stats_add(&chance[kind], 1.0 / (double)m->n_candidates);
        }
    }
    console_progress("%s", "");
    console_print("%s", "in a sentence of each story:            right in the end   one of all candidates\n\n");
    for (size_t kind = 0; kind < N_KINDS; kind++)
        console_print("%-40s %13.1f %% %21.1f %%\n", kinds[kind], 100 * stats_share_of(&right[kind]),
                      100 * stats_mean_of(&chance[kind]));
    return true;
}

/* ---- the program ------------------------------------------------------------------------------------------------ */

static bool mend(ink_context *ctx)
{
    const char *text = line.arguments[0];
    char *typed = NULL;
    mender *m = console_memory(1, sizeof *m);
    if (m == NULL)
        return false;
    char *of_gpt = m->folders[0], *of_bert = m->folders[1];
    bool done =
        (n_stories == 0 || text == NULL || console_complain("--stories takes no text, found '%s'", text)) &&
        bundled_folder(of_gpt, "gpt") && lm_open(&m->gpt, ctx, of_gpt, LM_TOKENIZER) &&
        bundled_folder(of_bert, "bert") && lm_open_encoder(&m->bert, ctx, of_bert, INK_POOLING_NONE, LM_TOKENIZER) &&
        reader_open(&m->judge, &m->gpt) && (m->row = console_memory(m->bert.info->vocab_size, sizeof *m->row)) != NULL;
    if (done && n_stories == 0 && (text == NULL || strcmp(text, "-") == 0))
        done = (text = typed = cli_read_stdin(&line, text)) != NULL;
    if (done && n_stories == 0)
        vocabulary_note(ctx, m->gpt.tokenizer, m->gpt.folder, text, strlen(text), INK_ENCODE_PLAIN);
    done = done && (n_stories > 0 ? measure(m) : mend_text(m, text, strlen(text)));
    free(typed);
    free(m->changes);
    free(m->row);
    reader_close(&m->judge);
    lm_close(&m->bert);
    lm_close(&m->gpt);
    free(m);
    return done;
}

int main(int argc, char **argv) { return cli_main(&line, argc, argv, mend); }
