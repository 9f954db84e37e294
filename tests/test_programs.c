/*
 * test_programs.c - the example programs from end to end, as a newcomer would use them, mistakes included.
 */
#define _POSIX_C_SOURCE 200809L

#include "testing.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>
#include <unistd.h>

#include "programs.h"

#define PROMPT "Anna and Tom were in the garden."
#define GENERATE PROGRAMS "/generate"

static const char *const folders[] = {MODELS "/mlp", MODELS "/rnn", MODELS "/gru", MODELS "/lstm", MODELS "/gpt"};
enum { N_FOLDERS = 5 };

#if defined(INK_NO_THREADS)
static const char *const threads[] = {"1", "1", "1"};
#else
static const char *const threads[] = {"1", "2", "3"};
#endif

static void helps(void **state)
{
    static const char *const names[] = {"generate", "score", "inspect", "mlp", "rnn", "transformer", "first_light",
                                        "lookinside"};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = join(PROGRAMS, names[i]);
        process p = run(path, "--help");
        char *samples = strstr(p.out, "for example:\n"), *command, *rest;
        size_t n = 0;

        assert_int_equal(p.code, 0);
        assert_int_equal(p.err_size, 0);
        assert_memory_equal(p.out, "usage: ", 7);
        assert_true(strstr(p.out, names[i]) == p.out + 7);
        assert_non_null(samples);
        /* Every invocation that is shown works, from the top of the sources. */
        for (command = strtok_r(samples + 13, "\n", &rest); command != NULL; command = strtok_r(NULL, "\n", &rest)) {
            const char *const shell[] = {"sh", "-c", command, NULL};
            free(output_of(process_run(SOURCE_DIR, shell, NULL)));
            n++;
        }
        assert_true(n >= 2);
        process_free(&p);
        free(path);
    }
}

static void mistakes_are_answered(void **state)
{
    (void)state;
    refused(run(GENERATE), "FOLDER is missing");
    refused(run(GENERATE, MODELS "/gpt"), "the prompt is missing");
    refused(run(GENERATE, MODELS "/gpt", "a", "b"), "one argument too many: 'b'");
    refused(run(GENERATE, MODELS "/gpt", "a", "--temperature", "1"), "unknown option '--temperature'");
    refused(run(GENERATE, MODELS "/gpt", "a", "--repeat-penatly", "1"), "the nearest is '--repeat-penalty'");
    refused(run(GENERATE, MODELS "/gpt", "a", "-n"), "-n needs a value");
    refused(run(GENERATE, MODELS "/gpt", "a", "-n", "ten"),
            "-n expects a whole number from 0 to 1000000000, found 'ten'");
    refused(run(GENERATE, MODELS "/gpt", "a", "-t", "-1"), "-t expects a number from 0 to 100, found '-1'");
    refused(run(GENERATE, MODELS "/gpt", "a", "-p", "1.5"), "-p expects a number from 0 to 1, found '1.5'");
    refused(run(GENERATE, MODELS "/gpt", "a", "--seed", "x"), "--seed expects a whole number of at least 0");
    refused(run(GENERATE, MODELS "/gpt", "a", "--threads", "0"), "--threads expects a whole number from 1 to 64");
    refused(run(GENERATE, MODELS "/gpt", "a", "--kernel", "mmx"), "--kernel expects one that this machine can run (");
    refused(run(GENERATE, MODELS "/none", "a"), "none");
    refused(run(GENERATE, MODELS "/gpt/config.json", "a"), "config.json");
    refused(run(GENERATE, "", "a"), "config.json");
    refused(run(PROGRAMS "/score", MODELS "/gpt"), "TEXT_FILE is missing");
    refused(run(PROGRAMS "/score", MODELS "/gpt", MODELS "/none.txt"), "none.txt: cannot be read");
    refused(run(PROGRAMS "/score", MODELS "/gpt", MODELS), "cannot be read");
    refused(run(PROGRAMS "/score", MODELS "/gpt", "/dev/null"), "/dev/null: there is no token to score");
    refused(run(PROGRAMS "/score", MODELS "/gpt", MODELS "/gpt/config.json", "--context", "9999"), "--context expects");
    refused(run(PROGRAMS "/inspect"), "FILE_OR_FOLDER is missing");
    refused(run(PROGRAMS "/inspect", MODELS "/none"), "none");
    refused(run(PROGRAMS "/inspect", MODELS "/gpt/config.json"), "config.json");
    refused(run(PROGRAMS "/inspect", MODELS "/gpt", "--context", "300"), "300 tokens");
    refused(run(PROGRAMS "/rnn", "gru", "a", "b"), "one argument too many: 'b'");
    refused(run(PROGRAMS "/mlp", "--model", MODELS "/none"), "none/model.safetensors");
    refused(run(PROGRAMS "/mlp", "--model", MODELS "/gpt"), "embedding");
    refused(run(PROGRAMS "/first_light", "x"), "one argument too many: 'x'");
    refused(run("env", "INKLING_MODELS=/none", PROGRAMS "/transformer"), "/none/gpt/model.safetensors");
}

/* Where a good folder was damaged, programs say what is wrong with it. */
static void damaged_folders_are_refused(void **state)
{
    char *folder = fresh_folder(), *bytes, *path;
    size_t size;

    (void)state;
    copy_file(MODELS "/gpt", folder, "config.json");
    write_file(folder, "pytorch_model.bin", "PK", 2);
    refused(run(GENERATE, folder, "a"), "safetensors"); /* how to save it */
    refused(run(PROGRAMS "/inspect", folder), "safetensors");

    bytes = read_file(MODELS "/gpt", "model.safetensors", &size);
    path = join(folder, "model.safetensors");
    static const size_t keep[] = {0, 7, 8, 9, 1000}; /* and all but the last byte */
    for (size_t i = 0; i <= sizeof keep / sizeof *keep; i++) {
        write_file(folder, "model.safetensors", bytes, i < sizeof keep / sizeof *keep ? keep[i] : size - 1);
        refused(run(GENERATE, folder, "a"), "model.safetensors");
        refused(run(PROGRAMS "/inspect", folder), "model.safetensors");
        refused(run(PROGRAMS "/inspect", path), "model.safetensors");
    }
    write_file(folder, "model.safetensors", bytes, size);
    refused(run(GENERATE, folder, "a"), "tokenizer.json");
    write_file(folder, "tokenizer.json", "{\"version\": ", 12);
    refused(run(GENERATE, folder, "a"), "tokenizer.json");
    copy_file(MODELS "/gpt", folder, "tokenizer.json");
    free(output_of(run(GENERATE, folder, "a", "-n", "1")));
    write_file(folder, "config.json", "{\"model_type\": \"parrot\"}", 24);
    refused(run(GENERATE, folder, "a"), "parrot");
    free(bytes);
    free(path);
    forget(folder);
}

/* Renames a key, to one of the same length, in a JSON file that is copied. */
static void copy_without(const char *folder, const char *name, const char *key, const char *other)
{
    size_t size;
    char *text = read_file(MODELS "/gpt", name, &size), *at = strstr(text, key);

    assert_true(at != NULL && strlen(key) == strlen(other));
    memcpy(at, other, strlen(other));
    write_file(folder, name, text, size);
    free(text);
}

/* A model without a token that begins a text needs a prompt, and scores a text from its second token on. */
static void nothing_to_begin_with(void **state)
{
    char *folder = fresh_folder(), *said;
    const char *const score[] = {PROGRAMS "/score", folder, "-", NULL};

    (void)state;
    copy_file(MODELS "/gpt", folder, "model.safetensors");
    copy_without(folder, "config.json", "\"bos_token_id\"", "\"boo_token_id\"");
    copy_without(folder, "tokenizer.json", "\"post_processor\"", "\"past_processor\"");
    refused(run(GENERATE, folder, ""), "the prompt is empty");
    refused(process_run(NULL, score, "Anna"), "stdin: there is no token to score");
    said = output_of(process_run(NULL, score, "Anna and Tom"));
    assert_true(number_after(said, "tokens scored") == 2);
    assert_true(number_after(said, "bytes") == 8);
    free(said);
    free(output_of(run(GENERATE, folder, "Anna", "-n", "3")));
    forget(folder);
}

static void the_same_seed_is_the_same_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_FOLDERS; i++) {
        char *text = output_of(run(GENERATE, folders[i], PROMPT, "-n", "60", "--seed", "7"));
        char *other = output_of(run(GENERATE, folders[i], PROMPT, "-n", "60", "--seed", "8"));

        assert_true(strlen(text) > 60);
        assert_string_not_equal(text, other);
        free(other);
        for (size_t k = 0; ink_kernel_name(k) != NULL; k++) {
            other = output_of(run(GENERATE, "--seed", "7", "--kernel", ink_kernel_name(k), "--threads", threads[k % 3],
                                  folders[i], "-n", "60", PROMPT));
            assert_string_equal(text, other);
            free(other);
        }
        free(text);
    }
}

/* z < 0 ? z r : z / r for every token seen so far. */
static void penalise(float *logits, float r, const ink_token *seen, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool is_new = true;
        for (size_t k = 0; k < i; k++)
            is_new = is_new && seen[k] != seen[i];
        if (is_new)
            logits[seen[i]] = logits[seen[i]] < 0 ? logits[seen[i]] * r : logits[seen[i]] / r;
    }
}

/* Greedy tokens by the library alone and a repetition penalty of our own, for comparison; *n of them. */
static void greedy(const char *folder, float penalty, ink_token *tokens, size_t capacity, size_t *n)
{
    ink_context *ctx = test_context(1);
    ink_model *model = NULL;
    ink_state *state = NULL;
    ink_tokenizer *tokenizer = NULL;
    ink_token next[64], seen[256];
    size_t n_next, n_seen = 0, vocab_size;
    float *logits;

    assert_ok(ctx, ink_model_open(ctx, folder, NULL, &model));
    assert_ok(ctx, ink_tokenizer_open(ctx, folder, &tokenizer));
    assert_ok(ctx, ink_state_create(ctx, model, 0, &state));
    assert_ok(ctx, ink_tokenizer_encode(ctx, tokenizer, PROMPT, sizeof PROMPT - 1, INK_ENCODE_DEFAULT, next, 64,
                                        &n_next));
    vocab_size = ink_model_get_info(model)->vocab_size;
    logits = calloc(vocab_size, sizeof *logits);
    assert_non_null(logits);
    for (*n = 0; *n < capacity; (*n)++) {
        assert_ok(ctx, ink_model_forward(ctx, model, state, next, n_next, logits));
        memcpy(seen + n_seen, next, n_next * sizeof *next);
        n_seen += n_next;
        penalise(logits, penalty, seen, n_seen);
        n_next = 1;
        next[0] = 0;
        for (size_t j = 1; j < vocab_size; j++)
            if (logits[j] > logits[next[0]])
                next[0] = (ink_token)j;
        if (ink_model_stops_at(model, next[0]))
            break;
        tokens[*n] = next[0];
    }
    free(logits);
    ink_state_free(state);
    ink_tokenizer_free(tokenizer);
    ink_model_free(model);
    ink_context_free(ctx);
}

/* The line holds these ids. */
static void compare_ids(char *line, const ink_token *tokens, size_t n)
{
    for (size_t i = 0; i < n; i++)
        assert_int_equal(strtol(line, &line, 10), tokens[i]);
    assert_string_equal(line, "\n");
}

/* --ids prints what the library's own greedy loop finds, and the text is those ids decoded. */
static void greedy_ids_and_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_FOLDERS; i++) {
        char *ids = output_of(run(GENERATE, folders[i], PROMPT, "-t", "0", "-n", "40", "--ids"));
        char *text = output_of(run(GENERATE, folders[i], PROMPT, "-t", "0", "-n", "40"));
        char decoded[4096];
        ink_token tokens[40];
        size_t n, size;
        ink_context *ctx = test_context(1);
        ink_tokenizer *tokenizer = NULL;

        greedy(folders[i], 1, tokens, 40, &n);
        compare_ids(ids, tokens, n);
        assert_ok(ctx, ink_tokenizer_open(ctx, folders[i], &tokenizer));
        assert_ok(ctx, ink_tokenizer_decode(ctx, tokenizer, tokens, n, decoded, sizeof decoded - 2, &size));
        memcpy(decoded + size, "\n", 2);
        assert_string_equal(text, decoded);
        ink_tokenizer_free(tokenizer);
        ink_context_free(ctx);
        free(ids);
        free(text);
    }
}

/* The prompt counts as seen. */
static void repetition_is_penalised(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_FOLDERS; i++) {
        char *ids = output_of(
            run(GENERATE, folders[i], PROMPT, "-t", "0", "-n", "40", "--ids", "--repeat-penalty", "1.5"));
        ink_token tokens[40];
        size_t n;

        greedy(folders[i], 1.5F, tokens, 40, &n);
        compare_ids(ids, tokens, n);
        free(ids);
    }
}

/* The token that ends a text ends it, and is not printed. */
static void texts_end(void **state)
{
    static const char *const seeds[] = {"1", "2", "3", "4", "5"};
    size_t n_ended = 0;

    (void)state;
    for (size_t i = 0; i < 5; i++) {
        char *ids = output_of(run(GENERATE, MODELS "/gpt", "Anna", "-n", "240", "--ids", "--seed", seeds[i]));
        n_ended += count(ids, " ") + 1 < 240;
        assert_true(strncmp(ids, "0 ", 2) != 0);
        assert_null(strstr(ids, " 0 "));
        assert_null(strstr(ids, " 0\n"));
        free(ids);
    }
    assert_true(n_ended > 0);
}

/* generation_config.json says how to choose, and which tokens end a text; the command line overrules it. */
static void the_folder_has_a_say(void **state)
{
    char *folder = fresh_folder(), said[128], *ids, *plain;
    ink_token tokens[40];
    size_t n, end = 0;

    (void)state;
    greedy(MODELS "/gpt", 1, tokens, 40, &n);
    assert_true(n > 12);
    while (tokens[end] != tokens[12])
        end++;
    copy_file(MODELS "/gpt", folder, "model.safetensors");
    copy_file(MODELS "/gpt", folder, "config.json");
    copy_file(MODELS "/gpt", folder, "tokenizer.json");
    snprintf(said, sizeof said, "{\"do_sample\": false, \"eos_token_id\": [0, %d]}", (int)tokens[12]);
    write_file(folder, "generation_config.json", said, strlen(said));
    ids = output_of(run(GENERATE, folder, PROMPT, "-n", "40", "--ids"));
    compare_ids(ids, tokens, end);
    free(ids);

    snprintf(said, sizeof said, "{\"do_sample\": true, \"top_k\": 1}");
    write_file(folder, "generation_config.json", said, strlen(said));
    ids = output_of(run(GENERATE, folder, PROMPT, "-n", "40", "--ids"));
    compare_ids(ids, tokens, n);
    free(ids);
    ids = output_of(run(GENERATE, folder, PROMPT, "-n", "40", "--ids", "-k", "0", "-t", "0.8"));
    plain = output_of(run(GENERATE, MODELS "/gpt", PROMPT, "-n", "40", "--ids"));
    assert_string_equal(ids, plain);
    free(ids);
    free(plain);
    forget(folder);
}

/* Whatever phrase of the text is the stop text, the text ends right before it. */
static void stops_before_the_text(void **state)
{
    char *text = output_of(run(GENERATE, MODELS "/gru", PROMPT, "-n", "60"));
    size_t size = strlen(text) - 1; /* without the newline */
    char almost[8] = {0}, *whole;

    (void)state;
    for (size_t at = 0; at + 9 < size; at += 17) {
        char phrase[10] = {0}, *stopped;
        memcpy(phrase, text + at, 9);
        stopped = output_of(run(GENERATE, MODELS "/gru", PROMPT, "-n", "60", "--stop", phrase));
        assert_int_equal(strlen(stopped), (size_t)(strstr(text, phrase) - text) + 1);
        assert_memory_equal(stopped, text, strlen(stopped) - 1);
        free(stopped);
    }
    /* A text that ends with the beginning of the stop text is printed to its end. */
    memcpy(almost, text + size - 3, 3);
    almost[3] = '\1';
    whole = output_of(run(GENERATE, MODELS "/gru", PROMPT, "-n", "60", "--stop", almost));
    assert_string_equal(whole, text);
    free(whole);
    free(text);
}

/* True if the text is UTF-8 from beginning to end. */
static bool is_utf8(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;

    while (*at != '\0') {
        size_t more = *at < 0x80 ? 0 : *at >= 0xc2 && *at < 0xe0 ? 1 : *at >= 0xe0 && *at < 0xf0 ? 2 : 3;
        if (more == 3 && (*at < 0xf0 || *at > 0xf4))
            return false;
        for (at++; more > 0; more--)
            if ((*at++ & 0xc0) != 0x80)
                return false;
    }
    return true;
}

/* So hot that any token comes, those with single bytes of a character among them. */
static void never_half_a_character(void **state)
{
    static const char *const seeds[] = {"1", "2"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        char *text = output_of(run(GENERATE, MODELS "/rnn", "", "-t", "100", "-n", "200", "--seed", seeds[i]));
        assert_true(is_utf8(text));
        assert_non_null(strstr(text, "\xef\xbf\xbd")); /* U+FFFD: the test is not in vain */
        free(text);
    }
}

/* A GPT whose config names no end writes until its context is full. */
static void the_context_ends(void **state)
{
    char *folder = fresh_folder(), *prompt;
    process p;

    (void)state;
    copy_file(MODELS "/gpt", folder, "model.safetensors");
    copy_file(MODELS "/gpt", folder, "tokenizer.json");
    copy_without(folder, "config.json", "\"eos_token_id\"", "\"nos_token_id\"");
    p = run(GENERATE, folder, PROMPT, "-n", "1000", "--ids");
    assert_int_equal(p.code, 0);
    assert_non_null(strstr(p.err, "context of 256 tokens is full"));
    /* After the last place one more token is known. */
    assert_true((double)(count(p.out, " ") + 1) == 256 - number_after(p.err, "prompt: ") + 1);
    process_free(&p);

    prompt = calloc(300, 4);
    assert_non_null(prompt);
    for (size_t i = 0; i < 299; i++)
        memcpy(prompt + 4 * i, " Tom", 4);
    refused(run(GENERATE, folder, prompt), "the prompt has 300 tokens, and the context of this model holds 256");
    refused(run(PROGRAMS "/transformer", prompt), "the prompt has 300 tokens, and the context of this model holds 256");
    free(output_of(run(GENERATE, MODELS "/lstm", prompt, "-n", "3"))); /* no limit */
    free(prompt);
    forget(folder);
}

static void a_closed_pipe_ends_quietly(void **state)
{
    static const char *const programs[] = {
        GENERATE " " MODELS "/gru 'Anna' -n 2000 --seed 3 -t 2 --repeat-penalty 1.1 2>\"$0\"",
        PROGRAMS "/rnn lstm Anna -n 2000 -t 2 2>\"$0\"",
    };
    char *folder = fresh_folder(), *path = join(folder, "err");

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        char command[1024], *said;
        size_t size;
        process p;
        snprintf(command, sizeof command, "{ sleep 1; %s; echo $? >&2; } | :", programs[i]);
        p = process_run(NULL, (const char *const[]){"sh", "-c", command, path, NULL}, NULL);
        assert_string_equal(p.err, "1\n");
        process_free(&p);
        said = read_file(folder, "err", &size);
        assert_null(strstr(said, "generate:"));
        assert_null(strstr(said, "rnn:"));
        free(said);
    }
    free(path);
    forget(folder);
}

/* The models wired by hand say, token for token, what generate says. */
static void pages_agree_with_generate(void **state)
{
    static const struct {
        const char *program, *kind, *folder;
    } pages[] = {
        {PROGRAMS "/mlp", NULL, MODELS "/mlp"},
        {PROGRAMS "/rnn", "rnn", MODELS "/rnn"},
        {PROGRAMS "/rnn", "gru", MODELS "/gru"},
        {PROGRAMS "/rnn", "lstm", MODELS "/lstm"},
        {PROGRAMS "/transformer", NULL, MODELS "/gpt"},
    };
    static const char *const settings[][2] = {{"0", "1"}, {"1.5", "18446744073709551615"}};

    (void)state;
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
        for (size_t k = 0; k < sizeof settings / sizeof *settings; k++) {
            const char *t = settings[k][0], *seed = settings[k][1];
            char *text = output_of(run(GENERATE, pages[i].folder, PROMPT, "-t", t, "--seed", seed));
            char *page = output_of(
                pages[i].kind != NULL
                    ? run(pages[i].program, pages[i].kind, PROMPT, "-t", t, "--seed", seed)
                    : run(pages[i].program, PROMPT, "-t", t, "--seed", seed));
            assert_true(strlen(text) > 20);
            assert_string_equal(page, text);
            free(text);
            free(page);
        }
}

/* "12,345" becomes "12345" wherever it stands. */
static char *without_commas(char *text)
{
    char *to = text;

    for (const char *at = text; *at != '\0'; at++)
        if (*at != ',' || at[1] == ' ')
            *to++ = *at;
    *to = '\0';
    return text;
}

static void inspects(void **state)
{
    static const char *const kinds[] = {"nn.Sequential", "nn.RNN", "nn.GRU", "nn.LSTM", "GPT-2"};

    (void)state;
    for (size_t i = 0; i < N_FOLDERS; i++) {
        char *path = join(folders[i], "model.safetensors");
        char *folder_says = without_commas(output_of(run(PROGRAMS "/inspect", folders[i], "--context", "64")));
        char *file_says = without_commas(output_of(run(PROGRAMS "/inspect", path))), line[256];
        ink_context *ctx = test_context(1);
        ink_weights *weights = NULL;
        ink_model *model = NULL;
        const ink_model_info *info;
        size_t size;

        assert_ok(ctx, ink_weights_open(ctx, path, &weights));
        assert_ok(ctx, ink_model_open(ctx, folders[i], NULL, &model));
        for (size_t k = 0; k < ink_weights_count(weights); k++) {
            assert_non_null(strstr(folder_says, ink_weights_at(weights, k)->name));
            assert_non_null(strstr(file_says, ink_weights_at(weights, k)->name));
        }
        assert_int_equal(count(file_says, "BF16"), ink_weights_count(weights));
        info = ink_model_get_info(model);
        assert_ok(ctx, ink_state_size(ctx, model, 64, &size));
        snprintf(line, sizeof line, "kind         %s, %zu layers", info->kind, info->n_layers);
        assert_non_null(strstr(folder_says, line));
        assert_non_null(strstr(folder_says, i == 4 ? "64 tokens" : "any number of tokens"));
        assert_true(number_after(folder_says, "parameters") == (double)info->n_parameters);
        assert_true(number_after(file_says, "elements") == (double)info->n_parameters);
        snprintf(line, sizeof line, "(%llu bytes) in memory", (unsigned long long)info->n_bytes);
        assert_non_null(strstr(folder_says, line));
        snprintf(line, sizeof line, "(%zu bytes) for", size);
        assert_non_null(strstr(folder_says, line));
        assert_non_null(strstr(file_says, kinds[i]));
        ink_weights_free(weights);
        ink_model_free(model);
        ink_context_free(ctx);
        free(folder_says);
        free(file_says);
        free(path);
    }
}

/* A folder in shards says of each tensor which file it is in. */
static void inspects_shards(void **state)
{
    char *said = output_of(run(PROGRAMS "/inspect", FIXTURES "/models/llama_bias"));

    (void)state;
    assert_true(count(said, "model-00001-of-00003.safetensors") > 3);
    assert_true(count(said, "model-00003-of-00003.safetensors") > 1);
    assert_non_null(strstr(said, "kind         llama, 2 layers, width 24, vocabulary 61"));
    assert_non_null(strstr(said, "ends with    token 2\n"));
    free(said);
}

/* The mean bits of the tokens after the first, each predicted from what it may see in windows of `context`: worked out
   anew for every token, with the windows as score.c says. */
static double reference_bits(const char *folder, const char *text, size_t context, size_t *n)
{
    ink_context *ctx = test_context(1);
    ink_model *model = NULL;
    ink_state *state = NULL;
    ink_tokenizer *tokenizer = NULL;
    ink_token tokens[512] = {0};
    size_t begin = 0, end = context, vocab_size;
    double total = 0;
    float *logits;

    assert_ok(ctx, ink_model_open(ctx, folder, NULL, &model));
    assert_ok(ctx, ink_tokenizer_open(ctx, folder, &tokenizer));
    assert_ok(ctx, ink_state_create(ctx, model, 0, &state));
    assert_ok(ctx, ink_tokenizer_encode(ctx, tokenizer, text, strlen(text), INK_ENCODE_ADDED, tokens + 1, 511, n));
    vocab_size = ink_model_get_info(model)->vocab_size;
    logits = calloc(vocab_size, sizeof *logits);
    assert_non_null(logits);
    for (size_t t = 1; t <= *n; t++) {
        double sum = 0;
        if (t > end) {
            end += context - context / 2;
            begin += context - context / 2;
        }
        ink_state_reset(state);
        assert_ok(ctx, ink_model_forward(ctx, model, state, tokens + begin, t - begin, logits));
        for (size_t j = 0; j < vocab_size; j++)
            sum += exp((double)logits[j] - (double)logits[tokens[t]]);
        total += log2(sum);
    }
    free(logits);
    ink_state_free(state);
    ink_tokenizer_free(tokenizer);
    ink_model_free(model);
    ink_context_free(ctx);
    return total / (double)*n;
}

static void scores(void **state)
{
    static const char text[] = "Anna and Tom were in the garden. It was night and they saw the moon. The door was "
                               "open. Anna closed the door. Tom ran up the hill. In the end they went home.";
    static const struct {
        const char *folder, *context;
        size_t n;
    } cases[] = {
        {MODELS "/gpt", "256", 256}, {MODELS "/gpt", "16", 16},     {MODELS "/gpt", "7", 7},
        {MODELS "/gpt", "1", 1},     {MODELS "/lstm", "1000", 1000}, {MODELS "/mlp", "1000", 1000},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *const arguments[] = {PROGRAMS "/score", cases[i].folder, "-", "--context", cases[i].context, NULL};
        size_t n;
        double bits = reference_bits(cases[i].folder, text, cases[i].n, &n);
        char *said = output_of(process_run(NULL, arguments, text));

        assert_true(number_after(said, "tokens scored") == (double)n);
        assert_true(fabs(number_after(said, "bits per token") - bits) <= 0.0001);
        assert_true(fabs(number_after(said, "bits per byte") - bits * (double)n / (sizeof text - 1)) <= 0.0001);
        free(said);
    }
}

static void scores_paragraphs(void **state)
{
    static const char text[] = "Anna and Tom were in the garden. It was night.\n\n\nBen and Lily were in the park.\n";
    char first[64] = {0};
    size_t n_first, n_second;
    double bits, second;
    char *said;

    (void)state;
    memcpy(first, text, strcspn(text, "\n"));
    bits = reference_bits(MODELS "/gpt", first, 256, &n_first);
    second = reference_bits(MODELS "/gpt", "Ben and Lily were in the park.", 256, &n_second);
    bits = (bits * (double)n_first + second * (double)n_second) / (double)(n_first + n_second);
    said = output_of(process_run(
        NULL, (const char *const[]){PROGRAMS "/score", "--paragraphs", MODELS "/gpt", "-", NULL}, text));
    assert_true(number_after(said, "tokens scored") == (double)(n_first + n_second));
    assert_true(number_after(said, "bytes") == (double)(sizeof text - 1 - 4)); /* without the newlines */
    assert_true(fabs(number_after(said, "bits per token") - bits) <= 0.0001);
    free(said);
}

static void first_light(void **state)
{
    static const char *const titles[] = {"MLP", "RNN", "GRU", "LSTM", "GPT"};
    char *text = output_of(run(PROGRAMS "/first_light")), *line, *rest, *at = text;

    (void)state;
    assert_int_equal(count(text, "tokens/s"), N_FOLDERS);
    for (size_t i = 0; i < N_FOLDERS; i++) {
        at = strstr(at, titles[i]);
        assert_non_null(at);
    }
    for (line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
        assert_true(strlen(line) <= 80);
    free(text);
}

static int find_programs(void **state)
{
    const char *path = getenv("PATH");
    char *more = path != NULL ? malloc(strlen(path) + sizeof PROGRAMS + 1) : NULL;

    (void)state;
    if (more == NULL)
        return -1;
    sprintf(more, "%s:%s", PROGRAMS, path);
    if (setenv("PATH", more, 1) != 0 || unsetenv("INKLING_MODELS") != 0)
        return -1;
    free(more);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(helps),
        cmocka_unit_test(mistakes_are_answered),
        cmocka_unit_test(damaged_folders_are_refused),
        cmocka_unit_test(nothing_to_begin_with),
        cmocka_unit_test(the_same_seed_is_the_same_text),
        cmocka_unit_test(greedy_ids_and_text),
        cmocka_unit_test(repetition_is_penalised),
        cmocka_unit_test(texts_end),
        cmocka_unit_test(the_folder_has_a_say),
        cmocka_unit_test(stops_before_the_text),
        cmocka_unit_test(never_half_a_character),
        cmocka_unit_test(the_context_ends),
        cmocka_unit_test(a_closed_pipe_ends_quietly),
        cmocka_unit_test(pages_agree_with_generate),
        cmocka_unit_test(inspects),
        cmocka_unit_test(inspects_shards),
        cmocka_unit_test(scores),
        cmocka_unit_test(scores_paragraphs),
        cmocka_unit_test(first_light),
    };
    return cmocka_run_group_tests(tests, find_programs, NULL);
}
