/*
 * score.c - how well a model predicts a text: bits per token and per byte.
 *
 * A token that the model gave probability p costs -log2 p bits. An arithmetic coder driven by the model would need the
 * sum of these bits to store the text. With logits z and m = max z:
 *
 *     -log2 p_t = (m - z_t + log sum_j exp(z_j - m)) / log 2            in double precision
 *
 * The text follows the token that begins a text, if the model has one; otherwise its first token is given and not
 * scored. A text longer than the context is scored in overlapping windows. Each window moves on by half a context, and
 * only tokens that were not scored before count. So all but the first few tokens are predicted from at least half a
 * context. Models without a limit read straight through.
 *
 * With --paragraphs, each stretch up to an empty line is a text of its own, like the stories that the bundled models
 * learned from. Bits, tokens and bytes are added up.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lm.h"

enum { ROWS = 64, LONGEST_CONTEXT = 2048 };

static uint64_t asked_context;
static bool paragraphs, ids_in;
static const char *cache;

static const cli_option options[] = {
    CLI_COUNT("--context", "N", &asked_context, 1, 1e9,
              "tokens in a window (default: the model's context, at most 2048)"),
    CLI_FLAG("--paragraphs", &paragraphs, "score each paragraph, up to an empty line, as a text of its own"),
    LM_IDS_IN(&ids_in),
    CACHE_OPTION(&cache),
    LM_TYPE,
    CLI_MACHINE,
};

static cli line = {
    .name = "score",
    .usage = "FOLDER [TEXT_FILE] [options]",
    .about = "Prints how many bits per token and per byte a text costs under a model.\n"
             "A line may end with \\r\\n; it counts as \\n.\n"
             "With --ids-in it lists token ids: the first is given and the others are scored.\n"
             "FOLDER may be a .gguf file.",
    .samples = "  stories -n 10 --seed 9 | score examples/models/gpt - --paragraphs\n"
               "  score examples/models/lstm LICENSE --context 64\n"
               "  generate examples/models/gpt Anna --ids | score examples/models/gpt - --ids-in\n",
    CLI_OPTIONS(options),
    CLI_ARGUMENTS(1, 2, "FOLDER", "TEXT_FILE"),
    .from_stdin = "the text",
};

/* One text on its way through a model, and the sums over all texts. */
typedef struct scoring {
    language_model lm;
    ink_token *tokens; /* [n] of this text; the first is given, the others are scored */
    size_t n, tokens_room;
    size_t context; /* of one window */
    ink_type cache; /* of the state */
    ink_state *state;
    float *logits; /* [ROWS, vocab_size] */

    size_t n_scored, n_bytes; /* of the scored tokens of all texts */
    double bits;
    size_t window; /* the context, if a text was longer */
} scoring;

/* Finds the tokens, and the bytes of those to be scored. Special tokens in the text are recognised. */
static bool encode_text(scoring *s, const char *text, size_t size)
{
    ink_token bos = s->lm.info->bos_token;
    size_t given = 0, n;
    ink_token *tokens;
    if (!(ids_in ? lm_read_ids(&s->lm, text, size, &tokens, &n)
                 : lm_encode(&s->lm, text, size, INK_ENCODE_ADDED, &tokens, &n)))
        return false;
    bool add_bos = !ids_in && n > 0 && bos >= 0 && tokens[0] != bos;
    ink_token *grown = console_grow(s->tokens, &s->tokens_room, n + 1, sizeof *grown);
    if (grown != NULL) {
        s->tokens = grown;
        grown[0] = bos;
        memcpy(grown + add_bos, tokens, n * sizeof *tokens);
        s->n = n + add_bos;
        if (n > 0 && !add_bos && !ids_in) /* the text's own first token is given */
            ink_tokenizer_token(s->lm.tokenizer, tokens[0], &given);
        s->n_bytes += s->n > 1 ? size - given : 0;
    }
    free(tokens);
    return grown != NULL;
}

static double bits_of(const float *z, size_t n, ink_token token)
{
    double m = z[ink_argmax(z, n)], sum = 0;
    for (size_t j = 0; j < n; j++)
        sum += exp(z[j] - m);
    return (m - z[token] + log(sum)) / log(2);
}

/* Feeds the tokens [begin, end) and scores the token after each of them. */
static bool score_rows(scoring *s, size_t begin, size_t end)
{
    size_t vocab_size = s->lm.info->vocab_size;
    ink_item item = {.state = s->state,
                     .tokens = s->tokens + begin,
                     .n_tokens = end - begin,
                     .logits = s->logits,
                     .n_logits = end - begin};
    if (!console_ok(s->lm.ctx, ink_model_forward_list(s->lm.ctx, s->lm.model, &item, 1)))
        return false;
    for (size_t i = begin; i < end; i++) {
        double bits = bits_of(s->logits + (i - begin) * vocab_size, vocab_size, s->tokens[i + 1]);
        if (!isfinite(bits))
            return console_complain("the model's logits after token %zu of the text are not finite", i);
        s->bits += bits;
    }
    return true;
}

/* One window: reads the tokens [begin, end) from a fresh state and scores the tokens [first, end]. */
static bool score_window(scoring *s, size_t begin, size_t first, size_t end)
{
    ink_state_reset(s->state);
    if (first - 1 > begin && !console_ok(s->lm.ctx, ink_model_forward(s->lm.ctx, s->lm.model, s->state,
                                                                      s->tokens + begin, first - 1 - begin, NULL)))
        return false;
    for (size_t i = first - 1; i < end; i += ROWS)
        if (!score_rows(s, i, end - i < ROWS ? end : i + ROWS))
            return false;
    return true;
}

/* Scores one text; a text without a token to score adds nothing. */
static bool score_text(scoring *s, const char *text, size_t size)
{
    size_t limit = s->lm.info->context_length;
    if (!encode_text(s, text, size))
        return false;
    if (s->n < 2)
        return true;
    s->context = s->n - 1;
    if (limit > 0 && s->context > limit)
        s->context = limit < LONGEST_CONTEXT ? limit : LONGEST_CONTEXT;
    if (asked_context > 0 && asked_context < s->context)
        s->context = (size_t)asked_context;
    const ink_state_options with = {.capacity = s->context, .cache = s->cache};
    bool done = console_ok(s->lm.ctx, ink_state_create_with(s->lm.ctx, s->lm.model, &with, &s->state));
    for (size_t begin = 0, first = 1; done && first < s->n;) {
        size_t end = s->context < s->n - 1 - begin ? begin + s->context : s->n - 1;
        done = score_window(s, begin, first, end);
        first = end + 1;
        begin = end - s->context / 2;
    }
    s->n_scored += s->n - 1;
    if (s->context < s->n - 1)
        s->window = s->context;
    ink_state_free(s->state);
    s->state = NULL;
    return done;
}

/* Scores what lies between empty lines, without the newlines at its end. */
static bool score_paragraphs(scoring *s, const char *text, size_t size)
{
    for (size_t begin = 0; begin < size;) {
        size_t end = begin, next;
        while (end < size && !(text[end] == '\n' && (end + 1 == size || text[end + 1] == '\n')))
            end++;
        for (next = end; next < size && text[next] == '\n';)
            next++;
        if (!score_text(s, text + begin, end - begin))
            return false;
        begin = next;
    }
    return true;
}

static bool score_all(scoring *s, const char *text, size_t size)
{
    size_t limit = s->lm.info->context_length;
    if (limit > 0 && asked_context > limit)
        return console_complain("--context expects at most %zu with this model, found %llu", limit,
                                (unsigned long long)asked_context);
    if (!lm_cache_type(cache, &s->cache))
        return false;
    s->logits = console_memory(ROWS * s->lm.info->vocab_size, sizeof *s->logits);
    if (s->logits == NULL || !(paragraphs ? score_paragraphs(s, text, size) : score_text(s, text, size)))
        return false;
    if (s->n_scored == 0)
        return console_complain("%s: there is no token to score", cli_file_name(line.arguments[1]));
    return true;
}

/* With --type the text is scored once more with the weights as they are stored: the difference is what the type
   costs. */
static bool print_cost(const scoring *s, const char *text, size_t size)
{
    const char *type = lm_type;
    char a[CONSOLE_ROOM], b[CONSOLE_ROOM];
    scoring stored = {0};
    lm_type = NULL;
    bool done = lm_open(&stored.lm, s->lm.ctx, line.arguments[0], ids_in ? LM_NO_TOKENIZER : LM_TOKENIZER) &&
                score_all(&stored, text, size);
    if (done)
        printf("as stored        %.4f, with %s of weights: %s costs %+.2f %%, with %s\n",
               stored.bits / (double)stored.n_scored, console_bytes(a, stored.lm.info->n_bytes), type,
               100 * (s->bits / stored.bits - 1), console_bytes(b, s->lm.info->n_bytes));
    free(stored.logits);
    free(stored.tokens);
    lm_close(&stored.lm);
    return done;
}

static bool score_and_print(scoring *s, const char *text, size_t size)
{
    double begin = console_seconds();
    char n[CONSOLE_ROOM], bytes[CONSOLE_ROOM];
    if (!score_all(s, text, size))
        return false;
    double seconds = console_seconds() - begin;
    printf("tokens scored    %s\n", console_count(n, s->n_scored));
    if (!ids_in)
        printf("bytes            %s\n", console_count(bytes, s->n_bytes));
    printf("bits per token   %.4f\n", s->bits / (double)s->n_scored);
    if (!ids_in)
        printf("bits per byte    %.4f\n", s->bits / (double)s->n_bytes);
    if (s->window > 0)
        console_note("in windows of %zu tokens, each moved on by half", s->window);
    console_note("%s tokens/s", console_rate(n, s->n_scored, seconds));
    return lm_type == NULL || print_cost(s, text, size);
}

static bool score(ink_context *ctx)
{
    scoring s = {0};
    char *text = NULL;
    size_t size;
    bool done = lm_open(&s.lm, ctx, line.arguments[0], ids_in ? LM_NO_TOKENIZER : LM_TOKENIZER) &&
                (text = cli_read_file(&line, line.arguments[1], &size)) != NULL && score_and_print(&s, text, size);
    free(s.logits);
    free(s.tokens);
    free(text);
    lm_close(&s.lm);
    return done;
}

int main(int argc, char **argv) { return cli_main(&line, argc, argv, score); }
