/*
 * test_programs_text.c - text on its way into the programs and out of them: ends of lines, stories in two languages,
 * ids instead of text, and characters that steer a terminal.
 */
#define _POSIX_C_SOURCE 200809L

#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "console.h"
#include "programs.h"

#define GENERATE PROGRAMS "/generate"
#define CHAT PROGRAMS "/chat"
#define CLASSIFY PROGRAMS "/classify"
#define EMBED PROGRAMS "/embed"
#define SCORE PROGRAMS "/score"
#define STORIES PROGRAMS "/stories"
#define ENCODERS FIXTURES "/encoders"

/* ---- ends of lines ---------------------------------------------------------------------------------------------- */

static void lines_end_in_two_ways(void **state)
{
    static const char text[] = "one\r\n\r\ntwo\rand\n\rthree\r\r\nfour\r";
    static const char *const expected[] = {"one", "", "two\rand", "\rthree\r", "four\r"};
    lines in = {.stream = tmpfile()};

    (void)state;
    assert_non_null(in.stream);
    fputs(text, in.stream);
    rewind(in.stream);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        assert_int_equal(lines_next(&in), LINES_LINE);
        assert_string_equal(in.text, expected[i]);
        assert_int_equal(in.size, strlen(expected[i]));
    }
    assert_int_equal(lines_next(&in), LINES_END);
    fclose(in.stream);
    lines_close(&in);

    char *folder = fresh_folder(), *path = join_path(folder, "text");
    size_t size;
    write_file(folder, "text", text, sizeof text - 1);
    char *whole = text_read(path, &size);
    assert_non_null(whole);
    assert_string_equal(whole, "one\n\ntwo\rand\n\rthree\r\nfour\r");
    assert_int_equal(size, strlen(whole));
    free(whole);
    free(path);
    forget(folder);
}

/* The same lines with the ends of another system: every program that reads lines says the same. */
static void programs_read_both(void **state)
{
    static const char *const programs[][4] = {{CLASSIFY, ENCODERS "/bert_text"},
                                              {EMBED, ENCODERS "/sentence"},
                                              {EMBED, ENCODERS "/sentence", "--query", "a good dog"},
                                              {SCORE, MODELS "/gpt", "-"},
                                              {SCORE, MODELS "/lstm", "-", "--paragraphs"},
                                              {STORIES, "--read"}};
    static const char unix_text[] = "Anna was in the garden.\n\nthe dog is good\nTom laughed.\n\n\nbad\n";
    char dos_text[2 * sizeof unix_text] = "", *to = dos_text;

    (void)state;
    for (const char *at = unix_text; *at != '\0'; at++) {
        if (*at == '\n')
            *to++ = '\r';
        *to++ = *at;
    }
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
        const char *const arguments[] = {programs[i][0], programs[i][1], programs[i][2], programs[i][3], NULL};
        process one = process_run(NULL, arguments, unix_text), other = process_run(NULL, arguments, dos_text);
        assert_int_equal(one.code, other.code);
        assert_true(one.out_size > 0);
        assert_string_equal(one.out, other.out);
        process_free(&one);
        process_free(&other);
    }
    process p = run_with("Anna\r\n/reset\r\nAnna\r\n", CHAT, MODELS "/gpt", "--template", "zephyr", "-n", "9");
    char *again = strchr(p.out, '\n');
    assert_non_null(again);
    assert_int_equal(again + 1 - p.out, p.out + p.out_size - (again + 1));
    assert_memory_equal(p.out, again + 1, (size_t)(again + 1 - p.out)); /* the reset was obeyed */
    assert_null(strstr(p.err, "none of the commands"));
    process_free(&p);
}

/* ---- stories in two languages ------------------------------------------------------------------------------------ */

/* Pairs are the sentences of the stories and their translations, as lines and as JSON; and stories in Sori can be read.
 */
static void stories_come_in_two_languages(void **state)
{
    static const mistake mistakes[] = {
        {{STORIES, "--pairs", "--bits"}, "--pairs goes with --json, not with --bits, --read or --sori"},
        {{STORIES, "--join", "1:2"}, "--join needs --pairs"},
        {{STORIES, "--pairs", "--join", "0:2"}, "--join expects at least 1 sentence"},
        {{STORIES, "--pairs", "--join", "3"}, "--join expects LOW:HIGH"},
        {{STORIES, "--json", "--sori"}, "--json describes the English text"}};
    char *english = output_of(run(STORIES, "-n", "3", "--sentences", "3:3"));
    char *sori = output_of(run(STORIES, "-n", "3", "--sentences", "3:3", "--sori"));
    char *pairs = output_of(run(STORIES, "-n", "3", "--sentences", "3:3", "--pairs"));
    char *json = output_of(run(STORIES, "-n", "3", "--sentences", "3:3", "--pairs", "--json"));
    const char *in_english = english, *in_sori = sori, *in_json = json;

    (void)state;
    for (char *line = strtok(pairs, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        char *translation = strchr(line, '\t');
        assert_non_null(translation);
        *translation++ = '\0';
        in_english = strstr(in_english, line);
        in_sori = strstr(in_sori, translation);
        assert_true(in_english != NULL && in_sori != NULL);
        in_english += strlen(line);
        in_sori += strlen(translation);
        in_json = strstr(in_json, line);
        assert_non_null(in_json);
        in_json = strstr(in_json, translation);
        assert_non_null(in_json);
    }
    process p = run_with(sori, STORIES, "--read", "--sori", "--sentences", "3:3");
    process q = run_with(english, STORIES, "--read", "--sentences", "3:3");
    assert_int_equal(p.code, 0);
    assert_string_equal(p.out, q.out); /* the same choices, the same bits */
    process_free(&p);
    process_free(&q);
    mistakes_refused(mistakes, sizeof mistakes / sizeof *mistakes);
    free(english);
    free(sori);
    free(pairs);
    free(json);
}

/* ---- words that a vocabulary lacks ------------------------------------------------------------------------------- */

/* A vocabulary of thousands has parts of words. There a word of few parts is none to be named, and one spelled letter
   by letter is. */
static void words_of_parts_are_known(void **state)
{
    static const char first[] = "\"[PAD]\": 0,";
    char *folder = fresh_folder();
    size_t size, n;
    (void)state;
    copy_file(MODELS "/mood", folder, "config.json");
    copy_file(MODELS "/mood", folder, "model.safetensors");
    copy_file(MODELS "/mood", folder, "tokenizer_config.json");
    char *small = read_file(MODELS "/mood", "tokenizer.json", &size), *at = strstr(small, first);
    assert_non_null(at);
    char *large = calloc(size + 1, 64);
    n = (size_t)sprintf(large, "%.*s", (int)(at - small), small);
    for (int i = 0; i < 2000; i++)
        n += (size_t)sprintf(large + n, "\"more%d\": %d, ", i, 317 + i);
    n += (size_t)sprintf(large + n, "%s", at);
    write_file(folder, "tokenizer.json", large, n);
    const char *const texts[] = {"Anna saw the tableboats.", "Anna saw the zebra."};
    for (size_t i = 0; i < 4; i++) {
        process p = run(CLASSIFY, i < 2 ? MODELS "/mood" : folder, texts[i % 2]);
        assert_int_equal(p.code, 0);
        assert_int_equal(count_of(p.err, "note: "), i != 2);
        process_free(&p);
    }
    free(large);
    free(small);
    forget(folder);
}

/* Programs name a word that their model never saw, and none that it knows. */
static void unknown_words_are_named(void **state)
{
    static const struct {
        const char *program[6], *note; /* NULL: none */
    } cases[] = {
        {{GENERATE, MODELS "/gpt", "Anna saw an elephant.", "-n=1"},
         "note: \"elephant\" is not in the vocabulary of " MODELS "/gpt, which reads it in 7 pieces\n"},
        {{GENERATE, MODELS "/gpt", "garden", "-n=1"}, NULL}, /* spelled here, but a token in the middle of a text */
        {{GENERATE, MODELS "/gpt", "It was night<|endoftext|>Anna had 17 apples!", "-n=1"}, NULL},
        {{GENERATE, MODELS "/gpt", "\xec\x95\x88\xeb\x85\x95", "-n=1"},
         "note: \"\xec\x95\x88\xeb\x85\x95\" is not in the vocabulary of " MODELS "/gpt, which reads it in 6 pieces\n"},
        {{GENERATE, MODELS "/gpt", "A zebra, a gnu, a yak and another zebra.", "-n=1"},
         "note: \"zebra\", \"gnu\", \"yak\" and 1 more are not in the vocabulary of " MODELS
         "/gpt, which reads them in "
         "pieces\n"},
        {{CLASSIFY, MODELS "/mood", "Anna was \xec\x95\x88."},
         "\xec\x95\x88\" is not in the vocabulary of " MODELS "/mood, which reads it as [UNK]\n"},
        {{PROGRAMS "/fill", MODELS "/bert", "The [MASK] met an elephant."}, "note: \"elephant\" is not"},
        {{PROGRAMS "/mend", "Tom met an elephant."}, "note: \"elephant\" is not"},
        {{PROGRAMS "/mend", "--stories", "1"}, NULL},
        {{PROGRAMS "/lookinside", MODELS "/gpt", "Tom met an elephant."}, "note: \"elephant\" is not"},
        {{PROGRAMS "/transformer", "Tom met an elephant.", "-n=1"}, "note: \"elephant\" is not"},
        {{PROGRAMS "/first_light", "Tom met an elephant."}, "note: \"elephant\" is not"},
        {{PROGRAMS "/embed", MODELS "/bert", "--pooling=mean", "Tom met an elephant."}, "note: \"elephant\" is not"},
        {{PROGRAMS "/tag", MODELS "/tag", "Tom met an elephant."}, "note: \"elephant\" is not"},
        {{PROGRAMS "/translate", MODELS "/translate_gru", "Tom met an elephant."}, "note: \"elephant\" is not"},
        {{"sh", "-c", "echo Tom met an elephant. | \"$0\" \"$1\"", SCORE, MODELS "/lstm"}, "note: \"elephant\" is not"},
        {{"sh", "-c", "echo Tom met an elephant. | \"$0\" \"$1\"", CHAT, MODELS "/assistant"},
         "note: \"elephant\" is not"},
        {{"sh", "-c", "echo Tom met an elephant. | \"$0\" \"$1\"", PROGRAMS "/summarise", MODELS "/assistant"},
         "note: \"elephant\" is not"},
        {{"sh", "-c", "echo Tom is in the box. | \"$0\" \"$1\" --context - 'Where is the elephant?'",
          PROGRAMS "/answer", MODELS "/answer"},
         "note: \"elephant\" is not"},
        {{"sh", "-c", "printf 'gnu gnu\\nyak\\ngnu\\nzebu\\nkiwi\\nlion\\n' | \"$0\" \"$1\"", CLASSIFY, MODELS "/mood"},
         "note: \"kiwi\" is not in the vocabulary of " MODELS
         "/mood, which reads it in 4 pieces; further words are not "
         "noted\n"},
        {{PROGRAMS "/understand", "--stories", "2"}, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        process p = process_run(NULL, cases[i].program, NULL);
        assert_int_equal(p.code, 0);
        if (cases[i].note != NULL ? strstr(p.err, cases[i].note) == NULL : strstr(p.err, "note: ") != NULL)
            fail_msg("%s: expected '%s', found '%s'", cases[i].program[0], cases[i].note, p.err);
        process_free(&p);
    }
    /* No word of the world is unknown to any model. */
    char *stories = output_of(run(STORIES, "-n", "40"));
    static const char *const models[] = {"mlp", "rnn", "gru", "lstm", "gpt"};
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        char *folder = join_path(MODELS, models[i]);
        process p = run_with(stories, SCORE, folder, "--paragraphs");
        assert_int_equal(p.code, 0);
        assert_null(strstr(p.err, "note: "));
        process_free(&p);
        free(folder);
    }
    free(stories);
}

/* A model that has nothing to add says so, because an empty line looks like a mistake. */
static void an_empty_text_is_explained(void **state)
{
    static const char ended[] = "In the end they said goodbye.", said[] = "(the model ended the text at once)\n";
    const process ps[] = {
        run(GENERATE, MODELS "/gpt", ended, "-t", "0"), run(PROGRAMS "/transformer", ended, "-t", "0"),
        run(GENERATE, MODELS "/gpt", ended, "-t", "0", "-n", "0"), run(PROGRAMS "/mlp", "-t", "0", "-n", "0")};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        process p = ps[i];
        assert_string_equal(p.out, "\n");
        assert_int_equal(count_of(p.err, said), i < 2);
        process_free(&p);
    }
}

/* ---- ids instead of text ---------------------------------------------------------------------------------------- */

/* A folder without a tokenizer continues and scores ids, and says the same as for the text they stand for. */
static void ids_stand_for_texts(void **state)
{
    static const char text[] = "Anna and Tom were in the garden.";
    static const char *const models[] = {MODELS "/gpt", MODELS "/lstm", MODELS "/mlp"};

    (void)state;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        char *folder = fresh_folder(), ids[512], *at = ids;
        ink_token tokens[64];
        size_t n;
        opened o = open_model(models[i], INK_POOLING_NONE);
        copy_file(models[i], folder, "config.json");
        copy_file(models[i], folder, "model.safetensors");
        copy_file(models[i], folder, "generation_config.json");
        assert_ok(o.ctx,
                  ink_tokenizer_encode(o.ctx, o.tokenizer, text, sizeof text - 1, INK_ENCODE_DEFAULT, tokens, 64, &n));
        for (size_t k = 0; k < n; k++)
            at += sprintf(at, k % 2 == 0 ? "%d \t" : "%d\r\n", (int)tokens[k]);
        char *of_text = output_of(run(GENERATE, models[i], text, "--ids", "-n", "20"));
        char *of_ids = output_of(run(GENERATE, folder, ids, "--ids-in", "--ids", "-n", "20"));
        char *as_text = output_of(run(GENERATE, models[i], ids, "--ids-in", "-n", "20"));
        char *whole = output_of(run(GENERATE, models[i], text, "-n", "20"));
        assert_string_equal(of_ids, of_text);
        assert_string_equal(as_text, whole);
        refused(run(GENERATE, folder, ids, "--ids-in"), "tokenizer.json");
        char *scored = output_of(run_with(text, SCORE, models[i], "-"));
        char *scored_ids = output_of(run_with(ids, SCORE, folder, "-", "--ids-in"));
        assert_true(number_after(scored, "bits per token") == number_after(scored_ids, "bits per token"));
        assert_true(number_after(scored, "tokens scored") == number_after(scored_ids, "tokens scored"));
        assert_null(strstr(scored_ids, "byte"));
        free(scored_ids);
        free(scored);
        free(whole);
        free(as_text);
        free(of_ids);
        free(of_text);
        close_model(&o);
        forget(folder);
    }
    static const mistake mistakes[] = {
        {{GENERATE, MODELS "/gpt", "1 2 x", "--ids-in"},
         "--ids-in expects whole numbers with spaces between them, found 'x'"},
        {{GENERATE, MODELS "/gpt", "1,2", "--ids-in"}, "found '1,2'"},
        {{GENERATE, MODELS "/gpt", "1 99999999999", "--ids-in"}, "found '99999999999'"},
        {{GENERATE, MODELS "/gpt", "1 9999999", "--ids-in"}, "token 9999999, but the model has rows for 0 to "},
        {{GENERATE, MODELS "/gpt", " ", "--ids-in"}, "the prompt lists no ids"},
        {{GENERATE, MODELS "/gpt", "1", "--ids-in", "--ids", "--stop", "x"}, "--stop is a text"},
    };
    mistakes_refused(mistakes, sizeof mistakes / sizeof *mistakes);
}

/* ---- characters that steer a terminal --------------------------------------------------------------------------- */

static void names_show_every_byte(void **state)
{
    static const char *const names[][2] = {
        {"layer.0.weight", "layer.0.weight"},
        {"\xc3\xa9t\xc3\xa9 \xed\x95\x9c \xf0\x9f\x98\x80", "\xc3\xa9t\xc3\xa9 \xed\x95\x9c \xf0\x9f\x98\x80"},
        {"a\x1b]0;x\x07", "a\\x1b]0;x\\x07"},
        {"a\tb\nc\rd\x7f", "a\\x09b\\x0ac\\x0dd\\x7f"},
        {"\xc2\x9b"
         "31m",
         "\\xc2\\x9b31m"},
        {"\xe2\x80\xae.txt", "\\xe2\\x80\\xae.txt"}, /* U+202E */
        {"\xd8\x9c\xe2\x81\xa6", "\\xd8\\x9c\\xe2\\x81\\xa6"},
        {"\xe2\x80\x8b\xef\xbb\xbf\xc2\xad", "\\xe2\\x80\\x8b\\xef\\xbb\\xbf\\xc2\\xad"},
        {"\xf3\xa0\x81\x81", "\\xf3\\xa0\\x81\\x81"},         /* U+E0041, a tag */
        {"\x9b\xff\xc2", "\\x9b\\xff\\xc2"},                  /* no UTF-8 */
        {"\xc0\x9b\xed\xa0\x80", "\\xc0\\x9b\\xed\\xa0\\x80"} /* nor are these */
    };
    char room[64], small[8];

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_string_equal(console_harmless(room, sizeof room, names[i][0]), names[i][1]);
    assert_string_equal(console_harmless(small, sizeof small,
                                         "abc\x1b"
                                         "d"),
                        "abc\\x1b");
    assert_string_equal(console_harmless(small, sizeof small, "abcd\x1b"), "abcd"); /* no half escape */
    assert_string_equal(console_harmless(small, sizeof small, "abcdef\xc3\xa9"), "abcdef");
}

/* A bundled model whose every token begins a command to the terminal. */
static char *make_hostile(void)
{
    char *folder = copy_of_model(MODELS "/gpt"), *json = calloc(1, 1 << 20), *at = json;
    ink_context *ctx = test_context(1);
    ink_model *model = NULL;

    assert_non_null(json);
    assert_ok(ctx, ink_model_open(ctx, MODELS "/gpt", NULL, &model));
    at += sprintf(at, "{\"added_tokens\":[{\"id\":0,\"content\":\"<|endoftext|>\",\"special\":true,"
                      "\"normalized\":false,\"lstrip\":false,\"rstrip\":false,\"single_word\":false}],"
                      "\"model\":{\"type\":\"WordLevel\",\"unk_token\":\"unknown\",\"vocab\":{\"unknown\":1,");
    for (size_t i = 0; i < ink_model_get_info(model)->vocab_size; i++)
        at += i == 0   ? sprintf(at, "\"<|endoftext|>\":0")
              : i == 1 ? 0 /* a typed word may not be EOS, so the unknown token is another */
                       : sprintf(at, ",\"\\u001b]52;%zu\\u0007\\u009b2J\\u202e\\r\\u00e9\\u200d\\t\\n\":%zu", i, i);
    strcpy(at, "}}}");
    write_file(folder, "tokenizer.json", json, strlen(json));
    write_file(folder, "tokenizer_config.json", "{\"eos_token\": \"<|endoftext|>\"}", 30);
    write_file(folder, "generation_config.json", "{}", 2);
    ink_model_free(model);
    ink_context_free(ctx);
    free(json);
    return folder;
}

/* A pipe gets what the model says; a terminal gets it without its commands. */
static void models_do_not_steer_a_terminal(void **state)
{
    static const char *const raw = "\x07\xc2\x9b"
                                   "2J\xe2\x80\xae\r\xc3\xa9\xe2\x80\x8d\t\n",
                             *const shown = "\\x07\\xc2\\x9b2J\\xe2\\x80\\xae\\x0d\xc3\xa9\xe2\x80\x8d\t\n";
    char *folder = make_hostile();

    (void)state;
    for (int chats = 0; chats < 2; chats++)
        for (int at_terminal = 0; at_terminal < 2; at_terminal++) {
            const char *const talk[] = {CHAT, folder, "--template", "zephyr", "-n", "5", NULL};
            const char *const write[] = {GENERATE, folder, "", "-n", "5", NULL};
            const char *const *arguments = chats ? talk : write;
            process p =
                at_terminal ? process_run_at_terminal(arguments, "Anna\n") : process_run(NULL, arguments, "Anna\n");
            assert_int_equal(p.code, 0);
            assert_int_equal(count_of(p.out, raw), at_terminal ? 0 : 5);
            assert_int_equal(count_of(p.out, shown), at_terminal ? 5 : 0);
            assert_int_equal(count_of(p.out, "\x1b"), at_terminal ? 0 : 5);
            process_free(&p);
        }
    forget(folder);
}

/* Labels are shown so everywhere, and lines of stdin at a terminal. */
static void files_and_lines_do_not_either(void **state)
{
    static const char *const files[] = {"model.safetensors", "tokenizer.json", "tokenizer_config.json"};
    char *folder = fresh_folder(), *config, *label;
    size_t size;

    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        copy_file(ENCODERS "/bert_text", folder, files[i]);
    config = read_file(ENCODERS "/bert_text", "config.json", &size);
    label = strstr(config, "\"neutral\"");
    assert_non_null(label);
    memcpy(label, "\"\\u009b7\"", 9);
    write_file(folder, "config.json", config, size);
    for (int at_terminal = 0; at_terminal < 2; at_terminal++) {
        const char *const arguments[] = {CLASSIFY, folder, NULL};
        const char *text = "a\x1b[31m dog\n";
        process p = at_terminal ? process_run_at_terminal(arguments, text) : process_run(NULL, arguments, text);
        assert_int_equal(p.code, 0);
        assert_non_null(strstr(p.out, "\\xc2\\x9b7 "));
        assert_non_null(strstr(p.out, at_terminal ? "\ta\\x1b[31m dog\n" : "\ta\x1b[31m dog\n"));
        process_free(&p);
    }
    /* What stands in a sentence on stderr. */
    process p = run(CLASSIFY, ENCODERS "/bert_text", "--\x1b[31m");
    assert_int_equal(p.code, 1);
    assert_non_null(strstr(p.err, "unknown option '--\\x1b[31m'"));
    process_free(&p);
    free(config);
    forget(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_end_in_two_ways),          cmocka_unit_test(programs_read_both),
        cmocka_unit_test(stories_come_in_two_languages),  cmocka_unit_test(ids_stand_for_texts),
        cmocka_unit_test(unknown_words_are_named),        cmocka_unit_test(words_of_parts_are_known),
        cmocka_unit_test(an_empty_text_is_explained),     cmocka_unit_test(names_show_every_byte),
        cmocka_unit_test(models_do_not_steer_a_terminal), cmocka_unit_test(files_and_lines_do_not_either),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
