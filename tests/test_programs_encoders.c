/*
 * test_programs_encoders.c - embed, classify, answer, tag and fill from end to end, beside what the library gives for
 * each text alone and what transformers and sentence-transformers say; and inspect on encoders.
 */
#define _POSIX_C_SOURCE 200809L

#include "testing.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "programs.h"

#define EMBED PROGRAMS "/embed"
#define CLASSIFY PROGRAMS "/classify"
#define FILL PROGRAMS "/fill"
#define TAG PROGRAMS "/tag"
#define ANSWER PROGRAMS "/answer"
#define ENCODERS FIXTURES "/encoders"
#define CASES FIXTURES "/programs"
#define ANSWERS FIXTURES "/answers"

static const char *const texts[] = {"the cat is good.",
                                    "a dog",
                                    "",
                                    "  the dog is not bad , is a cat  ",
                                    "the the the the the the the the the the the the the the the the the the the the",
                                    "not a good cat is bad",
                                    "x"};
enum { N_TEXTS = sizeof texts / sizeof *texts };

/* ---- what the library gives ------------------------------------------------------------------------------------- */

/* n texts as lines, over and over. */
static void all_texts(char *input, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        strcat(input, texts[i % N_TEXTS]);
        strcat(input, "\n");
    }
}

/* The row of one text alone, to be freed. */
static float *row_of(const opened *w, ink_encoding encoding, const char *text)
{
    ink_token ids[64];
    size_t size = strlen(text), n;

    ink_encode_input input = {.text = text,
                              .size = size,
                              .flags = INK_ENCODE_DEFAULT,
                              .max_length = ink_model_get_encoder(w->model)->max_tokens};
    float *row = calloc(ink_model_encoding_size(w->model, encoding), sizeof *row);
    assert_non_null(row);
    assert_ok(w->ctx, ink_tokenizer_encode_input(w->ctx, w->tokenizer, &input, ids, NULL, NULL, 64, &n));
    ink_text one = {.tokens = ids, .n_tokens = n, .output = row};
    assert_ok(w->ctx, ink_model_encode(w->ctx, w->model, encoding, &one, 1));
    return row;
}

/* ---- embed ------------------------------------------------------------------------------------------------------ */

/* Reads a line of numbers and compares them with a row, bit for bit: nine digits hold a float. */
static char *compare_row(char *at, const float *row, size_t width)
{
    for (size_t i = 0; i < width; i++) {
        float number = strtof(at, &at);
        assert_memory_equal(&number, &row[i], sizeof number);
    }
    assert_int_equal(*at, '\n');
    return at + 1;
}

static void compare_rows(const opened *w, char *said, size_t n)
{
    char *at = said;

    for (size_t i = 0; i < n; i++) {
        float *row = row_of(w, INK_EMBEDDING, texts[i % N_TEXTS]);
        at = compare_row(at, row, ink_model_get_encoder(w->model)->embedding_size);
        free(row);
    }
    assert_int_equal(*at, '\0');
    free(said);
}

static void embeds(void **state)
{
    enum { MANY = 700 }; /* more than go through the model at once */
    static char input[MANY * 100];
    opened w;
    process p;

    (void)state;
    w = open_model(ENCODERS "/sentence", INK_POOLING_NONE);
    compare_rows(&w, output_of(run(EMBED, ENCODERS "/sentence", texts[0], texts[1], texts[2], texts[3])), 4);
    all_texts(input, MANY);
    p = run_with(input, EMBED, ENCODERS "/sentence");
    assert_non_null(strstr(p.err, ": 700 texts, "));
    assert_non_null(strstr(p.err, " of weights"));
    assert_non_null(strstr(p.err, "the length the model was made for: 100 of the texts)"));
    compare_rows(&w, output_of(p), MANY);
    close_model(&w);

    w = open_model(ENCODERS "/bert_text", INK_POOLING_MAX);
    compare_rows(&w, output_of(run(EMBED, "--pooling", "max", ENCODERS "/bert_text", texts[0], texts[1])), 2);
    close_model(&w);
}

/* do_lower_case of a folder whose tokenizer keeps case. */
static void embeds_in_lower_case(void **state)
{
    static const char *const files[] = {"config.json", "model.safetensors", "modules.json", "tokenizer.json"};
    static const char said[] = "{\"do_lower_case\": true, \"max_seq_length\": 16}";
    static const char keeps[] = "{\"do_lower_case\": false, \"tokenizer_class\": \"BertTokenizer\"}";
    char *folder = fresh_folder(), *inner = join_path(folder, "1_Pooling");

    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        copy_file(ENCODERS "/sentence", folder, files[i]);
    free(output_of(run("mkdir", inner)));
    copy_file(ENCODERS "/sentence/1_Pooling", inner, "config.json");
    write_file(folder, "tokenizer_config.json", keeps, sizeof keeps - 1); /* which says more than tokenizer.json */
    char *expected = output_of(run(EMBED, ENCODERS "/sentence", "the good dog."));
    char *kept = output_of(run(EMBED, folder, "THE Good doG."));
    assert_string_not_equal(kept, expected);
    write_file(folder, "sentence_bert_config.json", said, sizeof said - 1);
    char *lowered = output_of(run(EMBED, folder, "THE Good doG."));
    assert_string_equal(lowered, expected);
    free(lowered);
    free(kept);
    free(expected);
    free(inner);
    forget(folder);
}

static double cosine(const float *a, const float *b, size_t n)
{
    double ab = 0, aa = 0, bb = 0;

    for (size_t i = 0; i < n; i++) {
        ab += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
    }
    return ab / sqrt(aa * bb);
}

/* The texts come out by their cosines, each with its own; empty lines do not. */
static void ranks(void **state)
{
    char input[1024] = "", *said, *line, *rest;
    double last = 2;
    size_t n = 0;
    opened w;

    (void)state;
    w = open_model(ENCODERS "/sentence", INK_POOLING_NONE);
    float *query = row_of(&w, INK_EMBEDDING, "the good dog");
    all_texts(input, N_TEXTS);
    said = output_of(run_with(input, EMBED, ENCODERS "/sentence", "--query", "the good dog"));
    for (line = strtok_r(said, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        char *text;
        double found = strtod(line, &text);
        float *row = row_of(&w, INK_EMBEDDING, text + 2);
        assert_true(found <= last);
        assert_true(fabs(found - cosine(query, row, ink_model_get_encoder(w.model)->embedding_size)) <= 0.00005001);
        last = found;
        free(row);
        n++;
    }
    assert_int_equal(n, N_TEXTS - 1);
    free(said);
    said = output_of(run_with(input, EMBED, ENCODERS "/sentence", "--query", "a dog", "-n", "1"));
    assert_string_equal(said, " 1.0000  a dog\n"); /* nothing is nearer than itself */
    free(said);
    free(query);
    close_model(&w);
    /* The folder's prompt goes in front of every text, and is not printed. */
    said = output_of(run_with("the cat\n\na dog\n", EMBED, ENCODERS "/sentence_dense", "--query", "a dog"));
    assert_non_null(strstr(said, "  the cat\n"));
    assert_memory_equal(said, " 1.0000  a dog\n", 15);
    assert_int_equal(count_of(said, "\n"), 2);
    free(said);
}

/* ---- classify --------------------------------------------------------------------------------------------------- */

static void classify_is_the_library(const char *folder)
{
    char input[1024] = "", *said, *at;
    opened w = open_model(folder, INK_POOLING_NONE);
    const ink_encoder_info *info = ink_model_get_encoder(w.model);
    all_texts(input, N_TEXTS);
    at = said = output_of(run_with(input, CLASSIFY, folder));
    for (size_t i = 0; i < N_TEXTS; i++) {
        float *row = row_of(&w, INK_PROBABILITIES, texts[i]);
        double last = INFINITY; /* the scores of a CrossEncoder are no probabilities */
        for (size_t k = 0; k < info->n_labels; k++) {
            size_t label = 0;
            while (strncmp(at, info->labels[label], strlen(info->labels[label])) != 0)
                assert_true(++label < info->n_labels);
            double found = strtod(at + strlen(info->labels[label]), &at);
            assert_true(fabs(found - (double)row[label]) <= 0.00005001);
            assert_true(found <= last);
            last = found;
            at += k + 1 < info->n_labels ? strspn(at, " ") : 0;
        }
        assert_int_equal(*at++, '\t');
        assert_memory_equal(at, texts[i], strlen(texts[i]));
        at += strlen(texts[i]);
        assert_int_equal(*at++, '\n');
        free(row);
    }
    assert_int_equal(*at, '\0');
    free(said);
    close_model(&w);
}

static void classifies(void **state)
{
    (void)state;
    classify_is_the_library(ENCODERS "/bert_text");
    classify_is_the_library(ENCODERS "/cross");
    classify_is_the_library(ENCODERS "/llama_text"); /* a decoder with the head of a classifier */
    char *said = output_of(run(CLASSIFY, ENCODERS "/bert_text", "a dog", "-n", "1"));
    assert_int_equal(count_of(said, "  "), 0);
    assert_non_null(strstr(said, "\ta dog\n"));
    free(said);
}

/* ---- fill ------------------------------------------------------------------------------------------------------- */

/* The five likeliest tokens of a gap stand there with their probabilities; returns what follows them. */
static char *compare_gap(const opened *w, char *at, const float *row)
{
    size_t vocab_size = w->info->vocab_size;
    float last = 2;

    for (size_t k = 0; k < 5; k++) {
        float largest = -1;
        size_t best = 0, size;
        for (size_t j = 0; j < vocab_size; j++)
            if (row[j] < last && row[j] > largest) {
                largest = row[j];
                best = j;
            }
        const char *token = ink_tokenizer_token(w->tokenizer, (ink_token)best, &size);
        size_t skip = size > 2 && memcmp(token, "##", 2) == 0 ? 2 : 0;
        assert_true(fabs(strtod(at, &at) - (double)largest) <= 0.00005001);
        assert_memory_equal(at, "  ", 2);
        assert_memory_equal(at + 2, token + skip, size - skip);
        at += 2 + size - skip;
        assert_int_equal(*at++, '\n');
        last = largest;
    }
    return at;
}

static void fills(void **state)
{
    static const char text[] = "the [MASK] is not [MASK].";
    opened w;
    ink_token ids[64];
    size_t n, positions[2], n_gaps = 0;
    char *said, *at;

    (void)state;
    w = open_model(ENCODERS "/bert_fill", INK_POOLING_NONE);
    size_t vocab_size = w.info->vocab_size;
    float *rows = calloc(2 * vocab_size, sizeof *rows);
    assert_non_null(rows);
    assert_ok(w.ctx, ink_tokenizer_encode(w.ctx, w.tokenizer, text, strlen(text), INK_ENCODE_DEFAULT, ids, 64, &n));
    for (size_t i = 0; i < n; i++)
        if (ids[i] == ink_tokenizer_control(w.tokenizer, INK_CONTROL_MASK))
            positions[n_gaps++] = i;
    assert_int_equal(n_gaps, 2);
    ink_text one = {.tokens = ids, .n_tokens = n, .positions = positions, .n_positions = 2, .output = rows};
    assert_ok(w.ctx, ink_model_encode(w.ctx, w.model, INK_PROBABILITIES, &one, 1));

    said = output_of(run(FILL, ENCODERS "/bert_fill", text));
    assert_memory_equal(said, "gap 1:\n", 7);
    at = compare_gap(&w, said + 7, rows);
    assert_memory_equal(at, "\ngap 2:\n", 8);
    at = compare_gap(&w, at + 8, rows + vocab_size);
    assert_int_equal(*at, '\0');
    free(said);
    free(rows);
    close_model(&w);
}

/* ---- beside transformers ---------------------------------------------------------------------------------------- */

/* Two outputs say the same, numbers to four digits behind the point. */
static void compare_said(const char *name, const char *found, const char *expected)
{
    for (const char *a = found, *b = expected; *a != '\0' || *b != '\0';) {
        bool number = (*a >= '0' && *a <= '9') || (*a == '-' && a[1] >= '0' && a[1] <= '9');
        double x = number ? strtod(a, (char **)&a) : 0, y = number ? strtod(b, (char **)&b) : 0;
        if (number && fabs(x - y) <= 0.0000601)
            continue;
        if (number || *a++ != *b++)
            fail_msg("%s: found\n%.60s\nexpected\n%.60s", name, a, b);
    }
}

/* With the file TXT of a folder as its stdin a program prints the file SAID. */
static void compare_files(const char *folder, const char *txt, const char *said, const char *const *arguments)
{
    size_t size;
    char *input = read_file(folder, txt, &size), *expected = read_file(folder, said, &size);
    char *found = output_of(process_run(NULL, arguments, input));
    compare_said(said, found, expected);
    free(found);
    free(expected);
    free(input);
}

/* The program with NAME + ENDING.txt as its stdin prints NAME + ENDING.said (make_programs.py). */
static void compare_case_with(const char *name, const char *ending, const char *program, const char *folder,
                              const char *const options[4])
{
    char txt[64], said[64];
    const char *const arguments[] = {program, folder, options[0], options[1], options[2], options[3], NULL};
    snprintf(txt, sizeof txt, "%s%s.txt", name, ending);
    snprintf(said, sizeof said, "%s%s.said", name, ending);
    compare_files(CASES, txt, said, arguments);
}

static void compare_case(const char *name, const char *program, const char *folder, const char *option)
{
    compare_case_with(name, "", program, folder, (const char *[4]){option});
}

static void the_reference_says_the_same(void **state)
{
    (void)state;
    compare_case("pairs", CLASSIFY, ENCODERS "/bert_text", "--pair");
    compare_case("marco_pairs", CLASSIFY, CASES "/marco", "--pair");
    compare_case("bge_pairs", CLASSIFY, CASES "/bge", "--pair");
    compare_case("cross_pairs", CLASSIFY, ENCODERS "/cross", "--pair");
    compare_case("spaces", EMBED, CASES "/spaces", NULL);
    compare_case("static", EMBED, ENCODERS "/static", NULL);
    compare_case("static_folder", EMBED, ENCODERS "/static_folder", NULL);
    compare_case("model2vec_quantized", EMBED, ENCODERS "/model2vec_quantized", NULL);
    compare_case("sentence_mpnet", EMBED, ENCODERS "/sentence_mpnet", NULL);
    compare_case("sentence_modernbert", EMBED, ENCODERS "/sentence_modernbert", NULL);
    compare_case("xlm_text", CLASSIFY, CASES "/xlm_text", NULL);
    compare_case("xlm_pairs", CLASSIFY, CASES "/xlm_text", "--pair");
    compare_case("xlm_sentence", EMBED, CASES "/xlm_sentence", NULL);
}

/* Words of a WordPiece model, of one whose tokens are bytes, and of Unigram, by every rule; and long texts in windows.
 */
static void tags_are_the_references(void **state)
{
    static const struct {
        const char *ending, *options[4];
    } cases[] = {
        {"", {NULL}},
        {"_all", {"--all"}},
        {"_none", {"--aggregation", "none"}},
        {"_first", {"--aggregation", "first"}},
        {"_average", {"--aggregation", "average"}},
        {"_max", {"--aggregation", "max", "--all"}},
        {"_long", {"--stride", "7"}},
        {"_long_max", {"--stride", "20", "--aggregation=max"}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        compare_case_with("tagger", cases[i].ending, TAG, CASES "/tagger", cases[i].options);
        compare_case_with("tagger_bytes", cases[i].ending, TAG, CASES "/tagger_bytes", cases[i].options);
        compare_case_with("tagger_pieces", cases[i].ending, TAG, CASES "/tagger_pieces", cases[i].options);
    }
}

/* The closest texts, in the order of a cross-encoder. */
static void reranks(void **state)
{
    const char *const arguments[] = {
        EMBED, ENCODERS "/sentence", "--query", "the good dog", "--rerank", CASES "/marco", "--hits", "6", NULL};
    (void)state;
    compare_files(CASES, "rerank.txt", "rerank.said", arguments);
    char *first = output_of(run_with("the , is , is , not\n. . dog\n", EMBED, ENCODERS "/sentence", "--query",
                                     "the good dog", "--rerank", CASES "/marco", "-n", "1"));
    assert_string_equal(first, "-0.4713  the , is , is , not\n");
    free(first);
    refused(run_with("", EMBED, ENCODERS "/sentence", "--query", "a", "--rerank", CASES "/marco"), "stdin is empty");
}

/* Answers of transformers' pipeline; questions are arguments or lines, the text is a file or stdin. */
static void answers(void **state)
{
    static const char folder[] = ANSWERS "/roberta", story[] = ANSWERS "/story.text";
    const char *const plain[] = {ANSWER, folder, "--context", story, NULL};
    const char *const options[] = {ANSWER,         folder, "--context", story, "--best",   "3",  "--impossible",
                                   "--max-answer", "4",    "--stride",  "7",   "--window", "40", NULL};
    size_t size;
    (void)state;
    compare_files(ANSWERS, "questions.txt", "plain.said", plain);
    compare_files(ANSWERS, "questions.txt", "options.said", options);
    char *text = read_file(ANSWERS, "story.text", &size);
    char *of_lines =
        output_of(run_with("water? co-op\n\u039f\u0394\u039f\u03a3 of!\n", ANSWER, folder, "--context", story));
    char *of_arguments =
        output_of(run_with(text, ANSWER, folder, "--context", "-", "water? co-op", "\u039f\u0394\u039f\u03a3 of!"));
    assert_string_equal(of_lines, of_arguments);
    free(of_arguments);
    free(of_lines);
    free(text);
    /* An answer is one line, wherever the text breaks its lines, and its place counts every byte of the file. */
    char *one = output_of(run_with("the\r\n\tcat", ANSWER, folder, "--context", "-", "who", "--best", "99"));
    assert_non_null(strstr(one, "\t0\t9\tthe   cat\n"));
    free(one);
    /* Many questions at once. */
    char *many = calloc(1, 150 * 8 + 1);
    for (size_t i = 0; i < 150; i++)
        sprintf(many + 8 * i, "who %03zu\n", i);
    char *said = output_of(run_with(many, ANSWER, folder, "--context", story));
    assert_int_equal(count_of(said, "\n"), 150 + 149);
    free(said);
    /* A question that is too long is named by its number among all questions. */
    char longer[150 * 8 + 400] = "";
    strcat(longer, many);
    for (size_t i = 0; i < 90; i++)
        strcat(longer, "who ");
    process too_long = run_with(longer, ANSWER, folder, "--context", story);
    assert_int_equal(too_long.code, 1);
    assert_non_null(strstr(too_long.err, "text 151: the template, and what else is beside the passage, has "));
    process_free(&too_long);
    free(many);
}

/* Arguments are pairs in twos, or with a tab. */
static void pairs_are_arguments_too(void **state)
{
    char *lines = output_of(run_with("a cat\tis bad\n\tgood\n", CLASSIFY, ENCODERS "/bert_text", "--pair"));
    char *twos = output_of(run(CLASSIFY, ENCODERS "/bert_text", "--pair", "a cat", "is bad", "\tgood"));

    (void)state;
    assert_string_equal(lines, twos);
    free(lines);
    free(twos);
    /* The second text counts, and where it begins. */
    char *one = output_of(run(CLASSIFY, ENCODERS "/bert_text", "a cat is bad", "-n", "1"));
    char *two = output_of(run(CLASSIFY, ENCODERS "/bert_text", "--pair", "a cat", "is bad", "-n", "1"));
    assert_int_not_equal(strncmp(one, two, strcspn(one, "\t")), 0);
    free(one);
    free(two);
}

/* The types that the template gives a single text reach the model, if the tokenizer's class hands them on. */
static void types_of_a_single_text_count(void **state)
{
    static const char settings[] = "{\"tokenizer_class\": \"PreTrainedTokenizerFast\"",
                      with[] = ", \"model_input_names\": [\"input_ids\", \"token_type_ids\"]}";
    char *folder = fresh_folder(), *json, config[256];
    size_t size;

    (void)state;
    copy_file(ENCODERS "/bert_text", folder, "config.json");
    copy_file(ENCODERS "/bert_text", folder, "model.safetensors");
    for (char type = '1'; type <= '7'; type = (char)(type + 6)) {
        json = read_file(ENCODERS "/bert_text", "tokenizer.json", &size);
        for (char *at = json; (at = strstr(at, "\"type_id\": 0")) != NULL; at++)
            at[11] = type;
        write_file(folder, "tokenizer.json", json, size);
        free(json);
        for (int handed_on = 0; handed_on < 2; handed_on++) {
            snprintf(config, sizeof config, "%s%s", settings, handed_on ? with : "}");
            write_file(folder, "tokenizer_config.json", config, strlen(config));
            if (type == '1' || !handed_on)
                compare_case(handed_on ? "types" : "no_types", CLASSIFY, folder, NULL);
            else
                refused(run(CLASSIFY, folder, "a dog"), "type");
        }
    }
    forget(folder);
}

/* ---- ids instead of text ---------------------------------------------------------------------------------------- */

/* The ids of a text with its template, as --ids-in takes them. */
static void write_ids(const char *folder, const char *text, char out[512])
{
    ink_context *ctx = test_context(1);
    ink_tokenizer *tokenizer = NULL;
    ink_token ids[64];
    size_t n;

    assert_ok(ctx, ink_tokenizer_open(ctx, folder, &tokenizer));
    assert_ok(ctx, ink_tokenizer_encode(ctx, tokenizer, text, strlen(text), INK_ENCODE_DEFAULT, ids, 64, &n));
    for (size_t i = 0; i < n; i++)
        out += sprintf(out, "%s%d", i > 0 ? "  " : " ", (int)ids[i]);
    ink_tokenizer_free(tokenizer);
    ink_context_free(ctx);
}

/* A copy of a folder's model, without its tokenizer. */
static char *without_tokenizer(const char *from)
{
    char *folder = fresh_folder();

    copy_file(from, folder, "config.json");
    copy_file(from, folder, "model.safetensors");
    return folder;
}

/* Programs print the same for the ids of a text as for the text, but for the text itself. */
static void ids_stand_for_texts(void **state)
{
    static const struct {
        const char *program, *folder, *options[2];
    } cases[] = {{CLASSIFY, ENCODERS "/bert_text", {NULL}},
                 {EMBED, ENCODERS "/bert_text", {"--pooling", "mean"}},
                 {TAG, CASES "/tagger", {"--all"}}};
    static const char text[] = "the cat is not good.";
    char ids[512];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *folder = without_tokenizer(cases[i].folder);
        write_ids(cases[i].folder, text, ids);
        char *of_text =
            output_of(run(cases[i].program, cases[i].folder, text, cases[i].options[0], cases[i].options[1]));
        const char *const arguments[] = {cases[i].program,    folder, "--ids-in", ids, cases[i].options[0],
                                         cases[i].options[1], NULL};
        char *of_ids = output_of(process_run(NULL, arguments, NULL));
        if (i < 2) {
            assert_memory_equal(of_ids, of_text, strcspn(of_text, "\t\n"));
        } else { /* here [CLS] and [SEP] are tokens like any */
            double score = number_after(of_text, "\t");
            char shown[32];
            snprintf(shown, sizeof shown, "\t%.4f\t", score);
            assert_true(count_of(of_ids, "\n") >= count_of(of_text, "\n"));
        }
        free(of_ids);
        free(of_text);
        forget(folder);
    }
    /* A pair: the ids of the second text have type 1. */
    char *of_text = output_of(run(CLASSIFY, ENCODERS "/bert_text", "--pair", "a cat", "good"));
    char first[512], second[512];
    write_ids(ENCODERS "/bert_text", "a cat", first);
    write_ids(ENCODERS "/bert_text", "good", second);
    char *folder = without_tokenizer(ENCODERS "/bert_text"), *rest = strchr(second + 2, ' '); /* behind [CLS] */
    char *of_ids = output_of(run(CLASSIFY, folder, "--pair", "--ids-in", first, rest));
    assert_memory_equal(of_ids, of_text, strcspn(of_text, "\t"));
    free(of_ids);
    free(of_text);
    forget(folder);

    /* Gaps are ids, and so are the fillings. */
    opened w = open_model(ENCODERS "/bert_fill", INK_POOLING_NONE);
    char mask[16];
    snprintf(mask, sizeof mask, "%d", (int)ink_tokenizer_control(w.tokenizer, INK_CONTROL_MASK));
    write_ids(ENCODERS "/bert_fill", "the [MASK] is good", ids);
    folder = without_tokenizer(ENCODERS "/bert_fill");
    of_text = output_of(run(FILL, ENCODERS "/bert_fill", "the [MASK] is good", "-n", "1"));
    of_ids = output_of(run(FILL, folder, "--ids-in", ids, "--mask", mask, "-n", "1"));
    size_t size;
    const char *name = ink_tokenizer_token(w.tokenizer, (ink_token)atoi(of_ids + 8), &size);
    assert_memory_equal(of_ids, of_text, 8);
    assert_memory_equal(of_text + 8, name, size);
    free(of_ids);
    free(of_text);
    close_model(&w);
    forget(folder);
}

/* ---- inspect ---------------------------------------------------------------------------------------------------- */

static void inspects(void **state)
{
    static const char *const said[][2] = {
        {ENCODERS "/bert", "makes        rows of 20\n"},
        {ENCODERS "/bert_text", "makes        rows of 20, scores of a text: 3\n"},
        {ENCODERS "/roberta_tokens", "makes        rows of 20, scores of each token: 4\n"},
        {ENCODERS "/static", "makes        rows of 20, embeddings of 20\n"},
        {ENCODERS "/static_folder", "kind         static, 0 layers, width 20, vocabulary 66\n"},
        {ENCODERS "/roberta_answer", "makes        rows of 20, scores that an answer starts and ends at a token: 2\n"},
        {ENCODERS "/bert_fill", "makes        rows of 20, fillings of masked tokens: 66\n"},
        {ENCODERS "/sentence_dense", "makes        rows of 20, embeddings of 18\n"},
        {ENCODERS "/llama_tokens", "makes        rows of 20, scores of each token: 5\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
        char *out = output_of(run(PROGRAMS "/inspect", said[i][0]));
        assert_non_null(strstr(out, said[i][1]));
        assert_null(strstr(out, "state  "));
        free(out);
    }

    /* What was ignored in a folder. */
    char *folder = copy_of_model(ENCODERS "/bert_text");
    size_t size;
    char *config = read_file(folder, "config.json", &size), *at = strstr(config, "\"bos_token_id\": null");
    assert_non_null(at);
    memcpy(at + 16, "99  ", 4);
    write_file(folder, "config.json", config, size);
    free(config);
    char *out = output_of(run(PROGRAMS "/inspect", folder));
    assert_non_null(
        strstr(out, "\nnote         config.json: bos_token_id is 99, but the vocabulary has 66 tokens: ignored\n"));
    free(out);
    forget(folder);
}

/* ---- mistakes --------------------------------------------------------------------------------------------------- */

/* Weights that are damaged give an error, not a label, a vector or a filling. */
static void numbers_that_are_none_are_not_printed(void **state)
{
    static const char *const cases[][5] = {{CLASSIFY, ENCODERS "/bert_text", "a dog"},
                                           {EMBED, ENCODERS "/bert_text", "a dog", "--pooling", "max"},
                                           {FILL, ENCODERS "/bert_fill", "a [MASK]"}};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        char *folder = copy_of_model(cases[i][1]);
        size_t size;
        char *weights = read_file(folder, "model.safetensors", &size);
        size_t header = (size_t)(unsigned char)weights[0] | (size_t)(unsigned char)weights[1] << 8;
        memset(weights + 8 + header, 0xFF, size - 8 - header); /* a NaN in every type */
        write_file(folder, "model.safetensors", weights, size);
        const mistake damaged = {{cases[i][0], folder, cases[i][2], cases[i][3], cases[i][4]},
                                 "text 1: the model computes a NaN or an infinity"};
        mistakes_refused(&damaged, 1);
        free(weights);
        forget(folder);
    }
}

/* What the bundled classifiers, the tagger and the model that answers are for: texts that no training has seen. */
static void the_bundled_encoders_understand(void **state)
{
    static const char story[] =
        "Anna and Tom were in the garden. They were the blue team. The door was open. Anna put the "
        "ball behind the shed. Tom hid the key in the box. Tom closed the door. Anna left the ball "
        "on the roof.";
    static const struct {
        const char *program, *folder, *text, *said;
    } cases[] = {
        {CLASSIFY, MODELS "/mood", "Anna was happy.", "positive "},
        {CLASSIFY, MODELS "/mood", "They had some bad news and felt upset.", "negative "},
        {CLASSIFY, MODELS "/mood", "Tom was happy. Anna was sad.", "neutral "},
        {CLASSIFY, MODELS "/kind", "Tom closed the door. The door was still closed.", "door "},
        {CLASSIFY, MODELS "/kind", "Anna found the ball on the roof. Tom saw the key in the box.", "place "},
        {CLASSIFY, MODELS "/kind", "Ben and Mia had a dog with them. Ben fed the dog.", "pet "},
        {CLASSIFY, MODELS "/grammar", story, "grammatical "},
        {CLASSIFY, MODELS "/grammar", "Anna and Tom were in the garden. The was door open.", "shuffled "},
        {TAG, MODELS "/tag", "Anna hid the coin under the bench.", "PERSON"},
        {TAG, MODELS "/tag", "Anna hid the coin under the bench.", "\tunder the bench\n"},
        {ANSWER, MODELS "/answer", "Where is the ball?", "\ton the roof\n"},
        {ANSWER, MODELS "/answer", "Where is the key?", "\tin the box\n"},
        {ANSWER, MODELS "/answer", "Who put the key in the box?", "\tTom\n"},
        {ANSWER, MODELS "/answer", "What is on the roof?", "\tthe ball\n"},
        {ANSWER, MODELS "/answer", "Which team are they?", "\tblue\n"},
    };
    char *folder = fresh_folder(), *file = join_path(folder, "story.txt");
    (void)state;
    write_file(folder, "story.txt", story, sizeof story - 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const bool asks = strcmp(cases[i].program, ANSWER) == 0;
        char *out = output_of(run(cases[i].program, cases[i].folder, cases[i].text, asks ? "--context" : NULL, file));
        if (asks || strcmp(cases[i].program, TAG) == 0)
            assert_non_null(strstr(out, cases[i].said));
        else
            assert_memory_equal(out, cases[i].said, strlen(cases[i].said));
        free(out);
    }
    char *out = output_of(run(ANSWER, MODELS "/answer", "Where is the kite?", "--context", file, "--impossible"));
    assert_non_null(strstr(out, "\t0\t0\t\n")); /* of which the story says nothing */
    free(out);
    free(file);
    forget(folder);
}

static void mistakes_are_answered(void **state)
{
    static const char long_text[] = "[MASK] the cat is good the cat is good the cat is good the cat is good the cat is "
                                    "good the cat is good the cat is good the cat is good the cat is good";

    const mistake mistakes[] = {
        {{EMBED}, "FOLDER is missing"},
        {{EMBED, MODELS "/gpt", "a"}, "a gpt2 is no encoder; generate continues texts with it"},
        {{EMBED, ENCODERS "/bert_text", "a"},
         "gives no embeddings: neither modules.json nor the pooling_type of a GGUF file says how; use --pooling"},
        {{EMBED, ENCODERS "/bert_text", "a", "--pooling", "median"}, "--pooling expects cls, max, mean,"},
        {{EMBED, ENCODERS "/none", "a"}, "none"},
        {{CLASSIFY, ENCODERS "/bert_fill", "a"}, "does not label texts: it needs a head for sequence"},
        {{CLASSIFY, ENCODERS "/bert_answer", "a"}, "this bert does not label texts: it needs a head for sequence"},
        {{CLASSIFY, MODELS "/gpt", "a"}, "a gpt2 is no encoder"},
        {{FILL, ENCODERS "/bert_fill"}, "the text is missing"},
        {{FILL, ENCODERS "/bert_fill", "the cat"}, "there is no gap in the text: it is written [MASK]"},
        {{FILL, ENCODERS "/bert_fill", long_text}, " tokens, and this model was made for "},
        {{FILL, ENCODERS "/bert_text", "[MASK]"}, "fills no gaps: it needs a head for masked language modelling"},
        {{FILL, MODELS "/gpt", "[MASK]"}, "a gpt2 is no encoder"},
        {{FILL, ENCODERS "/bert_fill", "--ids-in", "2 3"}, "--ids-in needs --mask: which id is a gap"},
        {{FILL, ENCODERS "/bert_fill", "--ids-in", "2 3", "--mask", "4"}, "no gap in the text: it is written 4"},
        {{CLASSIFY, ENCODERS "/bert_text", "--pair", "a"}, "--pair expects the second text behind 'a'"},
        {{CLASSIFY, ENCODERS "/bert_text", "--pair", "a\tb\tc"}, "found more than one tab"},
        {{CLASSIFY, ENCODERS "/bert_text", "--ids-in", "2 -3"}, "--ids-in expects whole numbers with spaces between"},
        {{CLASSIFY, ENCODERS "/bert_text", "--ids-in", "4 66"},
         "contains token 66, but the model has rows for 0 to 65"},
        {{CLASSIFY, ENCODERS "/bert_text", "--ids-in", " "}, "a text lists no ids"},
        {{TAG, ENCODERS "/bert_text", "a"}, "labels no tokens: it needs a head for token classification"},
        {{TAG, ENCODERS "/bert_answer", "a"}, "labels no tokens: it needs a head for token classification"},
        {{TAG, MODELS "/gpt", "a"}, "a gpt2 is no encoder"},
        {{TAG, CASES "/tagger", "--ids-in", "two"}, "found 'two'"},
        {{EMBED, ENCODERS "/sentence", "a", "--rerank", CASES "/marco"}, "--rerank needs --query"},
        {{EMBED, ENCODERS "/sentence", "a", "--hits", "3"}, "--hits needs --query"},
        {{EMBED, ENCODERS "/sentence", "a", "-n", "3"}, "-n needs --query"},
        {{EMBED, ENCODERS "/sentence", "a", "--query", "b", "--hits", "3"}, "--hits needs --rerank"},
        {{EMBED, ENCODERS "/sentence", "1", "--query", "2", "--ids-in", "--rerank", CASES "/marco"},
         "--rerank needs texts, not --ids-in"},
        {{EMBED, ENCODERS "/sentence", "a", "--query", "b", "--rerank", ENCODERS "/cross"},
         "this bert gives 3 scores, but texts are ranked by one"},
        {{EMBED, ENCODERS "/sentence", "a", "--query", "b", "--rerank", ENCODERS "/sentence"}, "does not label texts"},
        {{ANSWER}, "FOLDER is missing"},
        {{ANSWER, ANSWERS "/bert", "who"}, "--context is missing: the file with the text that has the answers"},
        {{ANSWER, ANSWERS "/bert", "--context", "-"}, "the question is missing: stdin is the text"},
        {{ANSWER, ANSWERS "/bert", "--context", "/none", "who"}, "/none: cannot be read"},
        {{ANSWER, ANSWERS "/bert", "--context", "/dev/null", "who"}, "/dev/null: there is nothing to read in it"},
        {{ANSWER, ANSWERS "/bert", "--context", ANSWERS "/story.text", "who", ""}, "question 2 is empty"},
        {{ANSWER, ANSWERS "/bert", "--context", ANSWERS "/story.text", "who", "--window", "73"},
         "a window of 73 tokens is too long: this model allows 72"},
        {{ANSWER, ANSWERS "/bert", "--context", ANSWERS "/story.text", long_text, "--window", "30"},
         "leaves no room for the passage in a window of 30"},
        {{ANSWER, ENCODERS "/bert_text", "--context", ANSWERS "/story.text", "who"},
         "this bert answers no questions: it needs a head for question answering"},
        {{ANSWER, MODELS "/gpt", "--context", ANSWERS "/story.text", "who"}, "a gpt2 is no encoder"},
        {{TAG, CASES "/tagger", "a", "--aggregation", "mean"}, "none, simple, first, average or max, found 'mean'"},
        {{TAG, CASES "/tagger_bytes", long_text, "--stride", "62"},
         "a window has room for 62 tokens of the text, and cannot share 62"},
        {{PROGRAMS "/generate", ENCODERS "/bert_text", "a"},
         "a bert is an encoder and continues no texts; use embed, classify, answer, tag or fill"},
    };

    (void)state;
    mistakes_refused(mistakes, sizeof mistakes / sizeof *mistakes);
}

static int set_up(void **state)
{
    (void)state;
    return find_programs(PROGRAMS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(embeds),
        cmocka_unit_test(embeds_in_lower_case),
        cmocka_unit_test(ranks),
        cmocka_unit_test(classifies),
        cmocka_unit_test(fills),
        cmocka_unit_test(the_reference_says_the_same),
        cmocka_unit_test(reranks),
        cmocka_unit_test(answers),
        cmocka_unit_test(tags_are_the_references),
        cmocka_unit_test(pairs_are_arguments_too),
        cmocka_unit_test(types_of_a_single_text_count),
        cmocka_unit_test(ids_stand_for_texts),
        cmocka_unit_test(inspects),
        cmocka_unit_test(numbers_that_are_none_are_not_printed),
        cmocka_unit_test(the_bundled_encoders_understand),
        cmocka_unit_test(mistakes_are_answered),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
