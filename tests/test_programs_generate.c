/*
 * test_programs_generate.c - generate from end to end, and the pages that are wired by hand beside it.
 */
#define _XOPEN_SOURCE 700

#include "testing.h"

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
    opened o = open_model(folder, INK_POOLING_NONE);
    ink_token next[64], seen[256];
    size_t n_next, n_seen = 0, vocab_size = o.info->vocab_size;
    float *logits = calloc(vocab_size, sizeof *logits);

    assert_non_null(logits);
    assert_ok(o.ctx, ink_tokenizer_encode(o.ctx, o.tokenizer, PROMPT, sizeof PROMPT - 1, INK_ENCODE_DEFAULT, next, 64,
                                          &n_next));
    for (*n = 0; *n < capacity; (*n)++) {
        assert_ok(o.ctx, ink_model_forward(o.ctx, o.model, o.state, next, n_next, logits));
        memcpy(seen + n_seen, next, n_next * sizeof *next);
        n_seen += n_next;
        penalise(logits, penalty, seen, n_seen);
        n_next = 1;
        next[0] = 0;
        for (size_t j = 1; j < vocab_size; j++)
            if (logits[j] > logits[next[0]])
                next[0] = (ink_token)j;
        if (ink_model_stops_at(o.model, next[0]))
            break;
        tokens[*n] = next[0];
    }
    free(logits);
    close_model(&o);
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

/* Text of ids, of those that the tokenizer knows; returns its size. */
static size_t spell(ink_context *ctx, const ink_tokenizer *tokenizer, const ink_token *ids, size_t n, char *text,
                    size_t capacity)
{
    ink_token known[128];
    size_t n_known = 0, size;

    for (size_t i = 0; i < n; i++)
        if (ink_tokenizer_token(tokenizer, ids[i], &size) != NULL)
            known[n_known++] = ids[i];
    assert_ok(ctx, ink_tokenizer_decode(ctx, tokenizer, known, n_known, text, capacity, &size));
    return size;
}

/* Under Llama's tokenizer, which takes the space before a text's first word away, what is printed is what the prompt's
   text and it would be together. This tokenizer has fewer tokens than the model has rows, and so hot that any comes. */
static void text_goes_on_behind_the_prompt(void **state)
{
    static const char *const seeds[] = {"1", "2", "3", "4", "5", "6", "7", "8"};
    char *folder = copy_of_model(MODELS "/gpt"), *bytes;
    ink_context *ctx = test_context(1);
    ink_tokenizer *tokenizer = NULL;
    size_t n_spaces = 0, n_unknown = 0, size;

    (void)state;
    bytes = read_file(FIXTURES "/tokenizer", "llama2.json", &size);
    write_file(folder, "tokenizer.json", bytes, size);
    free(bytes);
    assert_ok(ctx, ink_tokenizer_open(ctx, folder, &tokenizer));
    for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++) {
        char *ids = output_of(run(GENERATE, folder, PROMPT, "-t", "100", "-n", "20", "--seed", seeds[i], "--ids"));
        char *text = output_of(run(GENERATE, folder, PROMPT, "-t", "100", "-n", "20", "--seed", seeds[i]));
        char before[1024], whole[4096], *at = ids;
        ink_token tokens[128];
        size_t n, n_prompt, skip;

        assert_ok(ctx, ink_tokenizer_encode(ctx, tokenizer, PROMPT, sizeof PROMPT - 1, INK_ENCODE_DEFAULT, tokens, 64,
                                            &n_prompt));
        for (n = n_prompt; *at != '\n' && *at != '\0'; n++)
            tokens[n] = (ink_token)strtol(at, &at, 10);
        for (size_t k = n_prompt; k < n; k++)
            n_unknown += ink_tokenizer_token(tokenizer, tokens[k], &size) == NULL;
        skip = spell(ctx, tokenizer, tokens, n_prompt, before, sizeof before);
        size = spell(ctx, tokenizer, tokens, n, whole, sizeof whole - 2);
        memcpy(whole + size, "\n", 2);
        assert_memory_equal(whole, before, skip);
        assert_string_equal(text, whole + skip);
        n_spaces += text[0] == ' ';
        free(ids);
        free(text);
    }
    assert_true(n_spaces > 0 && n_unknown > 0);
    ink_tokenizer_free(tokenizer);
    ink_context_free(ctx);
    forget(folder);
}

/* The prompt counts as seen. */
static void repetition_is_penalised(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_FOLDERS; i++) {
        char *ids =
            output_of(run(GENERATE, folders[i], PROMPT, "-t", "0", "-n", "40", "--ids", "--repeat-penalty", "1.5"));
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
        n_ended += count_of(ids, " ") + 1 < 240;
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

/* The options of beams, and several stop texts: the same as by the library. */
static void beams_are_the_librarys(void **state)
{
    opened o = open_model(MODELS "/gpt", INK_POOLING_NONE);
    ink_generate_options options = {
        .n_beams = 4, .length_penalty = 0.5f, .min_tokens = 12, .no_repeat_ngram_size = 3, .max_tokens = 40};
    ink_generator *generator;
    ink_token prompt[64];
    ink_request request = {.tokens = prompt};

    (void)state;
    assert_ok(o.ctx, ink_tokenizer_encode(o.ctx, o.tokenizer, PROMPT, sizeof PROMPT - 1, INK_ENCODE_DEFAULT, prompt, 64,
                                          &request.n_tokens));
    assert_ok(o.ctx, ink_generator_create(o.ctx, o.model, &options, &generator));
    assert_ok(o.ctx, ink_generate(o.ctx, generator, &request, 1));
    char *ids = output_of(run(GENERATE, MODELS "/gpt", PROMPT, "-n", "40", "--beams", "4", "--length-penalty", "0.5",
                              "--min", "12", "--no-repeat", "3", "--ids"));
    compare_ids(ids, request.results[0].tokens, request.results[0].n_tokens);
    ink_generator_free(generator);
    close_model(&o);
    free(ids);

    char *text = output_of(run(GENERATE, MODELS "/gpt", PROMPT, "-n", "40", "--stop", "never said", "--stop", "."));
    assert_null(strchr(text, '.'));
    free(text);
    process p = run(GENERATE, MODELS "/gpt", PROMPT, "--beams", "4", "-t", "0.5");
    assert_int_equal(p.code, 1);
    assert_non_null(strstr(p.err, "--beams searches for the likeliest text, and -t above 0 draws one"));
    process_free(&p);
    p = run(GENERATE, FIXTURES "/models/bart", "1 2", "--ids-in", "--ids");
    assert_int_equal(p.code, 1);
    assert_non_null(strstr(p.err, "a bart reads one text and writes another; use translate or summarise"));
    process_free(&p);
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
    assert_true((double)(count_of(p.out, " ") + 1) == 256 - number_after(p.err, "prompt: ") + 1);
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

/* The tokenizer has 681 ids, the model 61 rows: a text of tokens among the first runs, another does not. */
static void rows_are_missing(void **state)
{
    static const char *const files[] = {"config.json", "model.safetensors"};
    char *folder = fresh_folder(), *tokenizer;
    size_t size;

    (void)state;
    for (size_t i = 0; i < 2; i++)
        copy_file(FIXTURES "/models/llama", folder, files[i]);
    refused(run(GENERATE, folder, "a"), "has no tokenizer.json, no vocab.json with merges.txt and no vocab.txt");
    tokenizer = read_file(FIXTURES "/tokenizer", "llama2.json", &size);
    write_file(folder, "tokenizer.json", tokenizer, size);
    free(tokenizer);
    refused(run(GENERATE, folder, "the"), "but the model has rows for 0 to 60");
    free(output_of(run(GENERATE, folder, "<s></s>", "-n", "3")));
    forget(folder);
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

static void a_closed_pipe_ends_quietly(void **state)
{
    static const char *const programs[][12] = {
        {GENERATE, MODELS "/gru", "Anna", "-n", "2000", "--seed", "3", "-t", "2", "--repeat-penalty", "1.1"},
        {PROGRAMS "/rnn", "lstm", "Anna", "-n", "2000", "-t", "2"},
        {PROGRAMS "/amp", "--demo", "-", "--seconds", "2", "--through", "nothing"},
        {PROGRAMS "/quantise", MODELS "/gpt", "-"},
    };
    char *folder = fresh_folder(), *path = join_path(folder, "err");
    const char *arguments[16] = {"sh", "-c", "{ sleep 0.2; \"$@\" 2>\"$0\"; echo $? >&2; } | :", path};

    (void)state;
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
        char name[32], *said;
        size_t size;
        process p;
        memcpy(arguments + 4, programs[i], sizeof programs[i]);
        p = process_run(NULL, arguments, NULL);
        assert_string_equal(p.err, "1\n");
        process_free(&p);
        said = read_file(folder, "err", &size);
        snprintf(name, sizeof name, "%s:", strrchr(programs[i][0], '/') + 1);
        if (strstr(said, name) != NULL)
            fail_msg("%s '%s'", name, said);
        free(said);
    }
    free(path);
    forget(folder);
}

/* Runs a command of the shell whose $0 is `word` and whose other arguments are the program's and the text, if any. */
static process run_in_shell(const char *command, const char *word, const char *const program[4], const char *text)
{
    const char *arguments[12] = {"sh", "-c", command, word};
    size_t n = 4;
    for (size_t i = 0; i < 4 && program[i] != NULL; i++)
        arguments[n++] = program[i];
    arguments[n] = text;
    return process_run(NULL, arguments, NULL);
}

/* Stdin is read for "-", and where no text is given, by all programs that have no usual text, which they take then; its
   last end of a line is none of the text. Each says so in its help in the same words, and to somebody who sits at it.
   An empty stdin gives nothing: the usual text, or a refusal. */
static void stdin_is_a_text_as_well(void **state)
{
    static const char text[] = "Anna put the [MASK] in the box";
    static const struct {
        const char *program[4], *what, *how, *usual;
    } programs[] = {{{PROGRAMS "/generate", MODELS "/gpt", "-n=5"}, "the prompt", "", NULL},
                    {{PROGRAMS "/fill", MODELS "/bert", "-n=2"}, "the text", "", NULL},
                    {{PROGRAMS "/lookinside", MODELS "/gpt", "--values"}, "the text", "", NULL},
                    {{PROGRAMS "/score", MODELS "/gpt"}, "the text", "", NULL},
                    {{PROGRAMS "/mend"}, "the text", "", NULL},
                    {{PROGRAMS "/summarise", MODELS "/assistant"}, "a file", "", NULL},
                    {{PROGRAMS "/embed", MODELS "/bert", "--pooling=mean"}, "a text", ", one a line", NULL},
                    {{PROGRAMS "/classify", MODELS "/mood"}, "a text", ", one a line", NULL},
                    {{PROGRAMS "/tag", MODELS "/tag"}, "a text", ", one a line", NULL},
                    {{PROGRAMS "/translate", MODELS "/translate_gru"}, "a text", ", one a line", NULL},
                    {{PROGRAMS "/answer", MODELS "/answer", "--context=" MODELS "/mood/config.json"},
                     "a question",
                     ", one a line",
                     NULL},
                    {{PROGRAMS "/rnn", "lstm", "-n=5"}, "the prompt", "", "Anna and Tom"},
                    {{PROGRAMS "/mlp", "-n=5"}, "the prompt", "", "Anna and Tom"},
                    {{PROGRAMS "/transformer", "-n=5", "-t=0"}, "the prompt", "", "Anna and Tom"}};
    static const char piped[] = "printf '%s\\r\\n' \"$0\" | \"$@\"";
    char *folder = fresh_folder(), *file = join_path(folder, "text"), *fifo = join_path(folder, "pipe");
    int master, terminal = process_terminal(&master);

    (void)state;
    assert_int_equal(mkfifo(fifo, 0600), 0);
    write_file(folder, "text", "Anna put the [MASK] in the box\n", sizeof text);
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
        const char *const *p = programs[i].program, *how = programs[i].how, *usual = programs[i].usual;
        const bool takes_files = strstr(p[0], "score") != NULL || strstr(p[0], "summarise") != NULL;
        char words[128], *named = output_of(run_in_shell("\"$@\"", "", p, takes_files ? file : text));
        char *dashed = output_of(run_in_shell(piped, text, p, "-"));
        char *help = output_of(run(p[0], "--help"));
        assert_string_equal(dashed, named);
        snprintf(words, sizeof words, "\n  -                     in place of %s%s: %s", programs[i].what,
                 usual == NULL ? ", or without any" : "", *how != '\0' ? "each line" : "all of stdin");
        if (strstr(help, words) == NULL)
            fail_msg("%s --help does not say%s", p[0], words);
        if (usual == NULL) {
            char *left_out = output_of(run_in_shell(piped, text, p, NULL));
            assert_string_equal(left_out, named);
            free(left_out);
            assert_int_equal(write(master, text, sizeof text - 1), sizeof text - 1);
            assert_int_equal(write(master, "\n\x04", 2), 2);
        } else {
            free(named);
            named = output_of(run_in_shell("\"$@\"", "", p, usual));
            /* A pipe that nobody writes to and nobody closes. */
            char *at_once = output_of(run_in_shell("\"$@\" <>\"$0\"", fifo, p, NULL));
            assert_string_equal(at_once, named);
            free(at_once);
        }
        process asked = run_in_shell("\"$@\" <\"$0\"", ptsname(master), p, NULL);
        assert_string_equal(asked.out, named);
        snprintf(words, sizeof words, "(type %s%s; Ctrl-D at the beginning of a line ends)\n", programs[i].what, how);
        if ((strstr(asked.err, words) == NULL) != (usual != NULL))
            fail_msg("%s says, or does not say, %s", p[0], words);
        process_free(&asked);
        for (size_t k = 0; k < 2; k++) {
            process empty = run_in_shell("\"$@\" </dev/null", "", p, k == 0 ? NULL : "-");
            if (usual == NULL)
                refused(empty, " is missing, and stdin is empty (--help shows how ");
            else
                assert_string_equal(empty.out, named);
            if (usual != NULL)
                process_free(&empty);
        }
        free(help);
        free(dashed);
        free(named);
    }
    close(terminal);
    close(master);
    free(file);
    free(fifo);
    forget(folder);
    refused(process_run(NULL,
                        (const char *const[]){"sh", "-c", "printf 'a\\0b' | \"$0\" \"$1\" -", PROGRAMS "/generate",
                                              MODELS "/gpt", NULL},
                        NULL),
            "stdin: byte 1 is zero, which no text has");
    /* Those that say more than a continuation, and those that read something else than a text. */
    char *first = output_of(run_with("Tom sang.", PROGRAMS "/first_light", "-"));
    assert_non_null(strstr(first, "\n    Tom sang.\n"));
    free(first);
    first = output_of(run(PROGRAMS "/first_light", "-"));
    assert_non_null(strstr(first, "\n    Anna and Tom were in the garden. It was night."));
    free(first);
    char *chat = output_of(run_with("Hello.\n", PROGRAMS "/chat", MODELS "/assistant"));
    char *dashed = output_of(run_with("Hello.\n", PROGRAMS "/chat", MODELS "/assistant", "-"));
    assert_string_equal(dashed, chat);
    free(dashed);
    free(chat);
    refused(run_with("Hello.\n", PROGRAMS "/chat", MODELS "/assistant", "Hello."),
            "one argument too many: 'Hello.'; what you say is read from stdin");
    process said_nothing = run(PROGRAMS "/chat", MODELS "/assistant");
    assert_int_equal(said_nothing.code, 1);
    assert_non_null(strstr(said_nothing.err, "chat: a line is missing, and stdin is empty ("));
    process_free(&said_nothing);
    refused(run(PROGRAMS "/stories", "--read"), "a story is missing, and stdin is empty");
    refused(run(PROGRAMS "/answer", MODELS "/answer", "Who?", "--context", "-"), "the text is missing, and stdin is");
    refused(run(PROGRAMS "/amp", "-"), "stdin: ");
}

/* The models wired by hand say, token for token, what generate says. */
static void pages_agree_with_generate(void **state)
{
    static const struct {
        const char *program, *kind, *folder;
    } pages[] = {
        {PROGRAMS "/mlp", NULL, MODELS "/mlp"},         {PROGRAMS "/rnn", "rnn", MODELS "/rnn"},
        {PROGRAMS "/rnn", "gru", MODELS "/gru"},        {PROGRAMS "/rnn", "lstm", MODELS "/lstm"},
        {PROGRAMS "/transformer", NULL, MODELS "/gpt"},
    };
    static const char *const settings[][2] = {{"0", "1"}, {"1.5", "18446744073709551615"}};

    (void)state;
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
        for (size_t k = 0; k < sizeof settings / sizeof *settings; k++) {
            const char *t = settings[k][0], *seed = settings[k][1];
            char *text = output_of(run(GENERATE, pages[i].folder, PROMPT, "-t", t, "--seed", seed));
            char *page =
                output_of(pages[i].kind != NULL ? run(pages[i].program, pages[i].kind, PROMPT, "-t", t, "--seed", seed)
                                                : run(pages[i].program, PROMPT, "-t", t, "--seed", seed));
            assert_true(strlen(text) > 20);
            assert_string_equal(page, text);
            free(text);
            free(page);
        }
}

static int set_up(void **state)
{
    (void)state;
    return find_programs(PROGRAMS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seed_is_the_same_text),
        cmocka_unit_test(greedy_ids_and_text),
        cmocka_unit_test(text_goes_on_behind_the_prompt),
        cmocka_unit_test(repetition_is_penalised),
        cmocka_unit_test(texts_end),
        cmocka_unit_test(the_folder_has_a_say),
        cmocka_unit_test(stops_before_the_text),
        cmocka_unit_test(beams_are_the_librarys),
        cmocka_unit_test(never_half_a_character),
        cmocka_unit_test(the_context_ends),
        cmocka_unit_test(rows_are_missing),
        cmocka_unit_test(nothing_to_begin_with),
        cmocka_unit_test(a_closed_pipe_ends_quietly),
        cmocka_unit_test(stdin_is_a_text_as_well),
        cmocka_unit_test(pages_agree_with_generate),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
