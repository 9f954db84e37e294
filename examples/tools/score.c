/*
 * score.c - how well a model predicts a text: bits per token and per byte.
 *
 * A token that had probability p cost -log2 p bits; the mean over the text is what an arithmetic coder driven by the
 * model would need. With logits z and m = max z:
 *
 *     -log2 p_t = (m - z_t + log sum_j exp(z_j - m)) / log 2            in double precision
 *
 * The text follows the token that begins a text, if the model has one; otherwise its first token is given and not
 * scored. A text longer than the context is scored in overlapping windows: each moves on by half a context, and only
 * tokens not scored before count, so that every token but the first few is predicted from at least half a context.
 * Models without a limit read straight through.
 *
 * With --paragraphs, each stretch up to an empty line is a text of its own, as the stories are that the bundled models
 * have learned from; bits, tokens and bytes are added up.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "console.h"
#include "lm.h"

enum { ROWS = 64, LONGEST_CONTEXT = 2048 };

typedef struct settings {
    const char *folder, *file, *kernel;
    uint64_t context, n_threads;
    bool paragraphs;
} settings;

static cli_outcome read_settings(settings *s, int argc, char **argv)
{
    const cli_option options[] = {
        {.name = "--context",
         .value = "N",
         .count = &s->context,
         .least = 1,
         .most = 1e9,
         .help = "tokens in a window (default: the model's context, at most 2048)"},
        {.name = "--paragraphs",
         .flag = &s->paragraphs,
         .help = "score each paragraph, up to an empty line, as a text of its own"},
        {.name = "--threads",
         .value = "N",
         .count = &s->n_threads,
         .least = 1,
         .most = INK_MAX_THREADS,
         .help = "threads to use (default 1)"},
        {.name = "--kernel",
         .value = "NAME",
         .text = &s->kernel,
         .help = "portable, avx2, avx512 (default: the best here)"},
    };
    cli line = {
        .name = "score",
        .usage = "FOLDER TEXT_FILE [options]",
        .about = "Prints how many bits per token and per byte a text costs under a model.\n"
                 "TEXT_FILE may be - for stdin.",
        .samples = "  stories -n 10 --seed 9 | score examples/models/gpt - --paragraphs\n"
                   "  score examples/models/lstm README.md --context 64\n",
        .options = options,
        .n_options = sizeof options / sizeof *options,
        .names = {"FOLDER", "TEXT_FILE"},
        .n_least = 2,
        .n_most = 2,
    };
    cli_outcome outcome = cli_read(&line, argc, argv);

    s->folder = line.arguments[0];
    s->file = line.arguments[1];
    return outcome;
}

/* The whole of a stream, to be freed with free(); NULL if it cannot be read or there is no memory for it. */
static char *read_stream(FILE *stream, size_t *size)
{
    size_t room = 1 << 16;
    char *text = malloc(room);

    for (*size = 0; text != NULL;) {
        size_t got = fread(text + *size, 1, room - *size, stream);
        char *more;
        *size += got;
        if (*size < room)
            break;
        more = room <= SIZE_MAX / 2 ? realloc(text, 2 * room) : NULL;
        if (more == NULL)
            free(text);
        text = more;
        room *= 2;
    }
    if (text != NULL && ferror(stream)) {
        free(text);
        text = NULL;
    }
    return text;
}

static const char *name_of(const char *path) { return strcmp(path, "-") == 0 ? "stdin" : path; }

static char *read_text(const char *path, size_t *size)
{
    bool is_stdin = strcmp(path, "-") == 0;
    FILE *stream = is_stdin ? stdin : fopen(path, "rb");
    char *text = stream != NULL ? read_stream(stream, size) : NULL;

    if (text == NULL)
        console_complain("%s: cannot be read as a text file", name_of(path));
    if (stream != NULL && !is_stdin)
        fclose(stream);
    return text;
}

/* One text on its way through a model, and the sums over all texts. */
typedef struct score {
    const language_model *lm;
    const settings *asked;
    ink_token *tokens; /* [n] of this text; the first is given, the others are scored */
    size_t n;
    size_t context; /* of one window */
    ink_state *state;
    float *logits; /* [ROWS, vocab_size] */

    size_t n_scored, n_bytes; /* of the scored tokens of all texts */
    double bits;
    size_t window; /* the context, if a text was longer than that */
} score;

/* Says what the library says. */
static bool ok(const score *s, ink_result result)
{
    if (result != INK_OK)
        console_complain("%s", ink_context_error(s->lm->ctx));
    return result == INK_OK;
}

/* The token that begins a text goes in front. */
static bool add_bos(score *s, ink_token bos)
{
    ink_token *tokens = realloc(s->tokens, (s->n + 1) * sizeof *tokens);

    if (tokens == NULL) {
        console_complain("there is no memory for %zu tokens", s->n + 1);
        return false;
    }
    memmove(tokens + 1, tokens, s->n * sizeof *tokens);
    tokens[0] = bos;
    s->tokens = tokens;
    s->n++;
    return true;
}

/* The tokens, and the number of bytes of those to be scored. Added tokens in the text are recognised. */
static bool encode(score *s, const char *text, size_t size)
{
    ink_token bos = s->lm->info->bos_token;
    size_t given = 0;

    if (!lm_encode(s->lm, text, size, INK_ENCODE_ADDED, &s->tokens, &s->n))
        return false;
    if (s->n > 0 && bos >= 0 && s->tokens[0] != bos) {
        if (!add_bos(s, bos))
            return false;
    } else if (s->n > 0) { /* the text's own first token is given */
        ink_tokenizer_token(s->lm->tokenizer, s->tokens[0], &given);
    }
    if (s->n > 1)
        s->n_bytes += size - given;
    return true;
}

static double bits_of(const float *z, size_t n, ink_token token)
{
    double m = z[0], sum = 0;

    for (size_t j = 1; j < n; j++)
        m = z[j] > m ? z[j] : m;
    for (size_t j = 0; j < n; j++)
        sum += exp(z[j] - m);
    return (m - z[token] + log(sum)) / log(2);
}

/* Feeds the tokens [begin, end) and scores the one after each of them. */
static bool score_rows(score *s, size_t begin, size_t end)
{
    const language_model *lm = s->lm;
    size_t vocab_size = lm->info->vocab_size;
    ink_item item = {.state = s->state,
                     .tokens = s->tokens + begin,
                     .n_tokens = end - begin,
                     .logits = s->logits,
                     .n_logits = end - begin};

    if (!ok(s, ink_model_forward_list(lm->ctx, lm->model, &item, 1)))
        return false;
    for (size_t i = begin; i < end; i++) {
        double bits = bits_of(s->logits + (i - begin) * vocab_size, vocab_size, s->tokens[i + 1]);
        if (!isfinite(bits)) {
            console_complain("the model's logits after token %zu of the text are not finite", i);
            return false;
        }
        s->bits += bits;
    }
    return true;
}

/* One window: reads the tokens [begin, end) from a fresh state and scores the tokens [first, end]. */
static bool score_window(score *s, size_t begin, size_t first, size_t end)
{
    const language_model *lm = s->lm;

    ink_state_reset(s->state);
    if (first - 1 > begin &&
        !ok(s, ink_model_forward(lm->ctx, lm->model, s->state, s->tokens + begin, first - 1 - begin, NULL)))
        return false;
    for (size_t i = first - 1; i < end; i += ROWS)
        if (!score_rows(s, i, end - i < ROWS ? end : i + ROWS))
            return false;
    return true;
}

static bool score_windows(score *s)
{
    size_t begin = 0, first = 1;

    while (first < s->n) {
        size_t end = s->context < s->n - 1 - begin ? begin + s->context : s->n - 1;
        if (!score_window(s, begin, first, end))
            return false;
        first = end + 1;
        begin = end - s->context / 2;
    }
    return true;
}

/* Scores one text; one without a token to score adds nothing. */
static bool score_text(score *s, const char *text, size_t size)
{
    size_t limit = s->lm->info->context_length;
    bool done = encode(s, text, size);

    if (done && s->n > 1) {
        s->context = s->n - 1;
        if (limit > 0 && s->context > limit)
            s->context = limit < LONGEST_CONTEXT ? limit : LONGEST_CONTEXT;
        if (s->asked->context > 0 && s->asked->context < s->context)
            s->context = (size_t)s->asked->context;
        done = ok(s, ink_state_create(s->lm->ctx, s->lm->model, s->context, &s->state)) && score_windows(s);
        s->n_scored += s->n - 1;
        if (s->context < s->n - 1)
            s->window = s->context;
        ink_state_free(s->state);
        s->state = NULL;
    }
    free(s->tokens);
    s->tokens = NULL;
    return done;
}

/* Scores what lies between empty lines, newlines at its end not included. */
static bool score_paragraphs(score *s, const char *text, size_t size)
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

static void report(const score *s, double seconds)
{
    char n[CONSOLE_ROOM], bytes[CONSOLE_ROOM];

    printf("tokens scored    %s\nbytes            %s\n", console_count(n, s->n_scored),
           console_count(bytes, s->n_bytes));
    printf("bits per token   %.4f\nbits per byte    %.4f\n", s->bits / (double)s->n_scored,
           s->bits / (double)s->n_bytes);
    if (s->window > 0)
        console_note("in windows of %zu tokens, each moved on by half", s->window);
    if (seconds > 0)
        console_note("%s tokens/s", console_count(n, (uint64_t)((double)s->n_scored / seconds)));
}

static bool run(const settings *asked, const language_model *lm, const char *text, size_t size)
{
    score s = {.lm = lm, .asked = asked};
    size_t limit = lm->info->context_length;
    double begin = console_seconds();
    bool done;

    if (limit > 0 && asked->context > limit) {
        console_complain("--context expects at most %zu with this model, found %llu", limit,
                         (unsigned long long)asked->context);
        return false;
    }
    s.logits = malloc(ROWS * lm->info->vocab_size * sizeof *s.logits);
    if (s.logits == NULL) {
        console_complain("there is no memory for the logits");
        return false;
    }
    done = asked->paragraphs ? score_paragraphs(&s, text, size) : score_text(&s, text, size);
    if (done && s.n_scored == 0) {
        console_complain("%s: there is no token to score", name_of(asked->file));
        done = false;
    }
    if (done)
        report(&s, console_seconds() - begin);
    free(s.logits);
    return done;
}

int main(int argc, char **argv)
{
    settings s = {.n_threads = 1};
    cli_outcome outcome = read_settings(&s, argc, argv);
    ink_context *ctx;
    language_model lm = {0};
    char *text = NULL;
    size_t size;
    bool done;

    if (outcome != CLI_RUN)
        return outcome == CLI_ERROR || !console_finish();
    ctx = console_context(s.n_threads, s.kernel);
    done = ctx != NULL && lm_open(&lm, ctx, s.folder) && (text = read_text(s.file, &size)) != NULL &&
           run(&s, &lm, text, size);
    free(text);
    lm_close(&lm);
    ink_context_free(ctx);
    return !(console_finish() && done);
}
