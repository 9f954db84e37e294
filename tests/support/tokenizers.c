/*
 * tokenizers.c - reading the fixtures of the tokenizers.
 */
#include "tokenizers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const test_tokenizers[] = {"plain",          "template",       "shuffled",     "bundled",
                                       "llama3",         "qwen2",          "smollm",       "roberta",
                                       "llama2",         "mistral",        "metaspace",    "bert",
                                       "cased",          "wordlevel",      "splitters",    "legacy_bert",
                                       "legacy_gpt2",    "legacy_roberta", "legacy_qwen2", "unigram",
                                       "unigram_bytes",  "xlmr",           "t5",           "albert",
                                       "korean",         "gemma",          "legacy_xlmr",  "legacy_camembert",
                                       "legacy_t5",      "legacy_llama",   "legacy_gemma", "legacy_bpe",
                                       "legacy_unigram", "gguf_gpt2",      "gguf_llama3",  "gguf_qwen2",
                                       "gguf_smollm",    "gguf_qwen35",    "gguf_tekken",  "gguf_gpt4o",
                                       "gguf_roberta",   "gguf_llama",     "gguf_gemma",   "gguf_bert",
                                       "gguf_cased",     "gguf_t5",        "gguf_xlmr",    NULL};

char *test_read_tokenizer(const char *name, const char *ending, size_t *size)
{
    char file[512];
    snprintf(file, sizeof file, "%s%s", name, ending);
    char *text = test_read_file(FIXTURES "/tokenizer", file, size);
    if (text == NULL)
        fail_msg("%s is missing", file);
    return text;
}

ink_result test_open_text(ink_context *ctx, const char *text, size_t size, ink_tokenizer **tokenizer)
{
    ink_memory_file file = {"tokenizer.json", text, size};
    ink_memory_files files = {&file, 1};
    ink_source source = ink_source_memory(&files);
    return ink_tokenizer_open_source(ctx, &source, tokenizer);
}

ink_tokenizer *test_open_tokenizer(ink_context *ctx, const char *name)
{
    size_t size;
    ink_tokenizer *tokenizer = NULL;
    if (strcmp(name, "bundled") == 0) {
        assert_ok(ctx, ink_tokenizer_open(ctx, MODELS "/gpt", &tokenizer));
        return tokenizer;
    }
    const bool gguf = strncmp(name, "gguf_", 5) == 0;
    if (gguf || strncmp(name, "legacy_", 7) == 0) {
        char folder[512];
        snprintf(folder, sizeof folder, "%s/tokenizer/%s%s", FIXTURES, name, gguf ? ".gguf" : "");
        assert_ok(ctx, ink_tokenizer_open(ctx, folder, &tokenizer));
        return tokenizer;
    }
    char *text = test_read_tokenizer(name, ".json", &size);
    assert_ok(ctx, test_open_text(ctx, text, size, &tokenizer));
    free(text);
    return tokenizer;
}

size_t test_parse_bytes(const char *hexadecimal, char *out)
{
    size_t n = 0;
    unsigned byte;
    for (; hexadecimal[0] != '-' && sscanf(hexadecimal, "%2x", &byte) == 1 && hexadecimal[0] != ' '; hexadecimal += 2)
        out[n++] = (char)byte;
    return n;
}

size_t test_parse_ids(const char *text, ink_token *ids)
{
    size_t n = 0;
    for (char *end = NULL; text[0] != '-' && *text != '\0'; text = *end == ',' ? end + 1 : end)
        ids[n++] = (ink_token)strtol(text, &end, 10);
    return n;
}

size_t test_each_line(const char *name, const char *ending, test_line_fn check)
{
    ink_context *ctx = test_context(1);
    ink_tokenizer *tokenizer = test_open_tokenizer(ctx, name);
    size_t size, n = 0;
    char *lines = test_read_tokenizer(name, ending, &size);
    for (char *line = lines, *end; (end = strchr(line, '\n')) != NULL; line = end + 1, n++) {
        *end = '\0';
        check(ctx, tokenizer, line);
    }
    free(lines);
    ink_tokenizer_free(tokenizer);
    ink_context_free(ctx);
    return n;
}

static void parse_case(char *line, test_case *c)
{
    const char *text = strtok(line, " "), *ids = strtok(NULL, " "), *decoded = strtok(NULL, " ");
    assert_non_null(decoded);
    c->has_text = text[0] != '?';
    c->size = c->has_text ? test_parse_bytes(text, c->text) : 0;
    c->n = test_parse_ids(ids, c->ids);
    c->decoded_size = test_parse_bytes(decoded, c->decoded);
}

static void (*check_of_case)(ink_context *, const ink_tokenizer *, const test_case *);

static void check_line(ink_context *ctx, const ink_tokenizer *tokenizer, char *line)
{
    static test_case c;
    parse_case(line, &c);
    check_of_case(ctx, tokenizer, &c);
}

void test_each_case(void (*check)(ink_context *ctx, const ink_tokenizer *tokenizer, const test_case *c))
{
    check_of_case = check;
    for (size_t i = 0; test_tokenizers[i] != NULL; i++)
        assert_true(test_each_line(test_tokenizers[i], ".txt", check_line) >= 300);
}
