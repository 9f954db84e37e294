/*
 * test_quantise.c - model folders written as GGUF: the files that gguf-py and llama.cpp have read (make_quantise.py),
 * the same bytes everywhere, what is refused, and the program, which leaves no half file behind.
 */
#define _POSIX_C_SOURCE 200809L

#include "testing.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>
#include <unistd.h>

#include "counting.h"
#include "fixture.h"
#include "numbers.h"
#include "programs.h"
#include "tokenizers.h"

#define QUANTISE PROGRAMS "/quantise"
#define FOLDERS FIXTURES "/quantise"

/* ---- writing to memory ------------------------------------------------------------------------------------------ */

typedef struct memory_file {
    char *bytes; /* [size] */
    size_t size, room;
    size_t most; /* the disk is full behind so many bytes; 0: never */
    size_t n_writes;
    char notes[2048];
} memory_file;

static bool append(void *user, const void *bytes, size_t size)
{
    memory_file *f = user;
    f->n_writes++;
    if (f->most != 0 && f->size + size > f->most)
        return false;
    if (f->size + size > f->room) {
        f->room = 2 * (f->size + size);
        f->bytes = realloc(f->bytes, f->room);
        assert_non_null(f->bytes);
    }
    memcpy(f->bytes + f->size, bytes, size);
    f->size += size;
    return true;
}

static void note(void *user, const char *sentence)
{
    memory_file *f = user;
    assert_int_equal(f->n_writes, 0);
    snprintf(f->notes + strlen(f->notes), sizeof f->notes - strlen(f->notes), "%s\n", sentence);
}

static ink_result write_folder(ink_context *ctx, const char *folder, ink_type type, memory_file *f)
{
    *f = (memory_file){.most = f->most};
    return ink_gguf_write(ctx, folder, &(ink_gguf_options){.type = type, .note = note, .user = f}, append, f);
}

static ink_type type_named(const char *name)
{
    static const char *const names[] = {"f32", "f16", "bf16", "q8_0", "q6_k", "q5_0", "q4_k", "q4_0"};
    static const ink_type types[] = {INK_F32, INK_F16, INK_BF16, INK_Q8_0, INK_Q6_K, INK_Q5_0, INK_Q4_K, INK_Q4_0};
    size_t i = 0;
    while (strcmp(names[i], name) != 0)
        i++;
    return types[i];
}

/* The folder of that name: one of this test, a model in the box, or a tiny model. */
static void find_folder(char path[FIXTURE_PATH], const char *name)
{
    static const char *const places[] = {FOLDERS, MODELS, FIXTURES "/models", FIXTURES "/quantised",
                                         FIXTURES "/answers"};
    struct stat about;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        snprintf(path, FIXTURE_PATH, "%s/%s", places[i], name);
        if (stat(path, &about) == 0)
            return;
    }
    fail_msg("there is no folder %s", name);
}

/* ---- the files -------------------------------------------------------------------------------------------------- */

static uint64_t fnv(const char *bytes, size_t size)
{
    uint64_t h = UINT64_C(0xCBF29CE484222325);
    for (size_t i = 0; i < size; i++)
        h = (h ^ (unsigned char)bytes[i]) * UINT64_C(0x100000001B3);
    return h;
}

/* Writes each folder in each type, and compares size and hash with those that were read by gguf-py and llama.cpp. */
static void check_files(ink_context *ctx, const char *only)
{
    size_t size;
    char *expected = read_file(FOLDERS, "expected.txt", &size), folder[64], type[16];
    unsigned long long bytes, hash;
    int length;
    for (const char *at = expected; sscanf(at, "%63s %15s %llu %llx\n%n", folder, type, &bytes, &hash, &length) == 4;
         at += length) {
        char path[FIXTURE_PATH];
        memory_file f = {0};
        if (only != NULL && strcmp(folder, only) != 0)
            continue;
        find_folder(path, folder);
        assert_ok(ctx, write_folder(ctx, path, type_named(type), &f));
        if (f.size != bytes || fnv(f.bytes, f.size) != hash)
            fail_msg("%s as %s: %zu bytes with hash %016llx, expected %llu with %016llx", folder, type, f.size,
                     (unsigned long long)fnv(f.bytes, f.size), bytes, hash);
        free(f.bytes);
    }
    free(expected);
}

static void files_are_those_that_llama_cpp_reads(ink_context *ctx) { check_files(ctx, NULL); }

static void files_are_the_same_with_every_kernel(void **state)
{
    (void)state;
    for (size_t i = 0; ink_kernel_name(i) != NULL; i++)
        for (unsigned n = 1; n <= 3; n += 2) {
            ink_context_options options = test_options(n);
            options.kernel = ink_kernel_name(i);
            ink_context *ctx = ink_context_create(&options);
            assert_non_null(ctx);
            check_files(ctx, "pieces");
            check_files(ctx, "wide");
            ink_context_free(ctx);
        }
}

/* The library reads its own files: the same tensors, in the types that were asked for where they fit. */
static void files_are_read_back(ink_context *ctx)
{
    memory_file f = {0};
    ink_weights *weights;
    assert_ok(ctx, write_folder(ctx, FOLDERS "/wide", INK_Q4_K, &f));
    assert_non_null(strstr(f.notes, "are Q5_0, because their rows are no whole number of blocks"));
    const ink_memory_file file = {"wide.gguf", f.bytes, f.size};
    const ink_memory_files files = {&file, 1};
    const ink_source source = ink_source_memory(&files);
    assert_ok(ctx, ink_weights_open_source(ctx, &source, "wide.gguf", &weights));
    assert_int_equal(ink_weights_find(weights, "token_embd.weight")->type, INK_Q6_K);
    assert_int_equal(ink_weights_find(weights, "blk.0.attn_q.weight")->type, INK_Q4_K);
    assert_int_equal(ink_weights_find(weights, "blk.0.ffn_down.weight")->type, INK_Q5_0);   /* rows of 32 */
    assert_int_equal(ink_weights_find(weights, "blk.0.attn_output.weight")->type, INK_F16); /* rows of 16 */
    assert_int_equal(ink_weights_find(weights, "blk.0.attn_norm.weight")->type, INK_F32);
    ink_weights_free(weights);
    free(f.bytes);
}

/* A file that holds the weights exactly computes what its folder computes, to the bit, and one with blocks what its
   folder computes with weights of that type, where blocks fit all rows; but the embedding of Gemma is
   multiplied by a number that only the folder rounds, to the type of the embedding. */
static void files_run_as_their_folders(ink_context *ctx)
{
    static const struct {
        const char *folder;
        ink_type type;
    } cases[] = {{"pieces", INK_F32},     {"gemma", INK_BF16},  {"wide", INK_F32},    {"qwen", INK_F16},
                 {"digits", INK_BF16},    {"gpt", INK_BF16},    {"gpt2", INK_F32},    {"assistant", INK_F32},
                 {"llama", INK_F32},      {"mistral", INK_F16}, {"qwen2", INK_BF16},  {"int8", INK_F32},
                 {"int4_zeros", INK_F32}, {"fp8", INK_F32},     {"pieces", INK_Q8_0}, {"wide", INK_Q8_0},
                 {"qwen", INK_Q8_0},      {"digits", INK_Q8_0}, {"gpt", INK_Q8_0},    {"assistant", INK_Q8_0},
                 {"mistral", INK_Q8_0},   {"qwen2", INK_Q8_0}};
    enum { N = 7 }; /* the window of mistral */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[FIXTURE_PATH];
        memory_file f = {0};
        ink_token tokens[N];
        ink_model *model, *folder;
        find_folder(path, cases[i].folder);
        assert_ok(ctx, write_folder(ctx, path, cases[i].type, &f));
        const ink_memory_file file = {"x.gguf", f.bytes, f.size};
        const ink_memory_files files = {&file, 1};
        const ink_source source = ink_source_memory(&files);
        const ink_type type = ink_type_is_quantised(cases[i].type) ? cases[i].type : INK_F32;
        const ink_model_options options = {.source = &source, .type = type}, of_folder = {.type = type};
        assert_ok(ctx, ink_model_open(ctx, "x.gguf", &options, &model));
        assert_ok(ctx, ink_model_open(ctx, path, &of_folder, &folder));
        const size_t vocab_size = ink_model_get_info(folder)->vocab_size;
        assert_int_equal(ink_model_get_info(model)->vocab_size, vocab_size);
        for (size_t t = 0; t < N; t++)
            tokens[t] = (ink_token)((t * t + 5) % vocab_size);
        float *expected = fixture_run(ctx, folder, tokens, N), *logits = fixture_run(ctx, model, tokens, N);
        if (!(largest_difference(logits, expected, N * vocab_size, NULL) <=
              (strcmp(cases[i].folder, "gemma") == 0 ? 2e-3 : 0)))
            fail_msg("%s: the file computes something else than the folder", cases[i].folder);
        free(logits);
        free(expected);
        ink_model_free(folder);
        ink_model_free(model);
        free(f.bytes);
    }
}

static void encoders_run_as_their_folders(ink_context *ctx)
{
    static const struct {
        const char *folder;
        ink_encoding encoding;
    } cases[] = {{MODELS "/bert", INK_HIDDEN_STATES},
                 {MODELS "/mood", INK_LOGITS},
                 {FIXTURES "/encoders/bert", INK_HIDDEN_STATES},
                 {FIXTURES "/encoders/bert_text", INK_LOGITS},
                 {FIXTURES "/encoders/bert_score", INK_LOGITS},
                 {FIXTURES "/encoders/cross", INK_LOGITS},
                 {FIXTURES "/encoders/sentence", INK_HIDDEN_STATES},
                 {FIXTURES "/encoders/sentence_qwen3", INK_HIDDEN_STATES},
                 {FIXTURES "/encoders/distilbert", INK_HIDDEN_STATES},
                 {FIXTURES "/encoders/roberta", INK_HIDDEN_STATES}};
    static const ink_token tokens[] = {5, 9, 31, 7, 12, 50, 6};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        memory_file f = {0};
        ink_model *models[2];
        float output[2][7 * 128] = {{0}};
        assert_ok(ctx, write_folder(ctx, cases[i].folder, INK_F32, &f));
        const ink_memory_file file = {"x.gguf", f.bytes, f.size};
        const ink_memory_files files = {&file, 1};
        const ink_source source = ink_source_memory(&files);
        const ink_model_options options = {.source = &source, .type = INK_F32}, as_f32 = {.type = INK_F32};
        assert_ok(ctx, ink_model_open(ctx, "x.gguf", &options, &models[0]));
        assert_ok(ctx, ink_model_open(ctx, cases[i].folder, &as_f32, &models[1]));
        for (size_t k = 0; k < 2; k++) {
            const ink_text text = {.tokens = tokens, .n_tokens = 7, .output = output[k]};
            assert_ok(ctx, ink_model_encode(ctx, models[k], cases[i].encoding, &text, 1));
            ink_model_free(models[k]);
        }
        if (memcmp(output[0], output[1], sizeof output[0]) != 0)
            fail_msg("%s: the file computes something else than the folder", cases[i].folder);
        free(f.bytes);
    }
}

/* The chat template of a folder, and the one for messages with tools. */
static void chat_templates_come_along(ink_context *ctx)
{
    static const char *const names[] = {"config.json", "model.safetensors", "tokenizer_config.json", "tokenizer.json"};
    ink_memory_file in[] = {{NULL, NULL, 0},
                            {NULL, NULL, 0},
                            {NULL, NULL, 0},
                            {NULL, NULL, 0},
                            {"chat_template.jinja", "plain", 5},
                            {"additional_chat_templates/tool_use.jinja", "tools", 5}};
    char *bytes[4];
    memory_file f = {0};
    ink_weights *weights;
    for (size_t i = 0; i < 4; i++) {
        size_t size;
        bytes[i] = read_file(FOLDERS "/qwen", names[i], &size);
        in[i] = (ink_memory_file){names[i], bytes[i], size};
    }
    const ink_memory_files folder = {in, 6};
    const ink_source source = ink_source_memory(&folder);
    const ink_gguf_options options = {.type = INK_Q8_0, .source = &source};
    assert_ok(ctx, ink_gguf_write(ctx, NULL, &options, append, &f));
    const ink_memory_file file = {"x.gguf", f.bytes, f.size};
    const ink_memory_files files = {&file, 1};
    const ink_source out = ink_source_memory(&files);
    assert_ok(ctx, ink_weights_open_source(ctx, &out, "x.gguf", &weights));
    assert_string_equal(ink_weights_metadata(weights, "tokenizer.chat_template"), "plain");
    assert_string_equal(ink_weights_metadata(weights, "tokenizer.chat_template.tool_use"), "tools");
    ink_weights_free(weights);
    for (size_t i = 0; i < 4; i++)
        free(bytes[i]);
    free(f.bytes);
}

/* Every text of this file of difficult ones has the same ids from the folder and from its file. */
static void files_have_the_tokenizers_of_their_folders(ink_context *ctx)
{
    static const char *const folders[] = {"gpt",   "assistant", "bert", "mood",   "pieces",
                                          "gemma", "wide",      "qwen", "digits", "roberta"};
    enum { N = 4096 };
    static ink_token ids[2][N];
    static char text[N];
    size_t size;
    char *texts = read_file(FIXTURES "/tokenizer", "bundled.txt", &size);
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char path[FIXTURE_PATH];
        memory_file f = {0};
        ink_tokenizer *tokenizers[2];
        size_t n_texts = 0;
        find_folder(path, folders[i]);
        assert_ok(ctx, write_folder(ctx, path, INK_Q8_0, &f));
        const ink_memory_file file = {"model.gguf", f.bytes, f.size};
        const ink_memory_files files = {&file, 1};
        const ink_source source = ink_source_memory(&files);
        assert_ok(ctx, ink_tokenizer_open(ctx, path, &tokenizers[0]));
        assert_ok(ctx, ink_tokenizer_open_source(ctx, &source, &tokenizers[1]));
        for (const char *at = texts, *end; (end = strchr(at, '\n')) != NULL; at = end + 1, n_texts++) {
            size_t n[2];
            assert_true(end - at < N);
            const size_t n_bytes = *at == '?' ? 0 : test_parse_bytes(at, text);
            const bool blank = n_bytes > 0 && (text[0] == ' ' || (n_bytes > 2 && memcmp(text, "\xE2\x96\x81", 3) == 0));
            if (strcmp(folders[i], "pieces") == 0 && (blank || memchr(text, '<', n_bytes) != NULL))
                continue; /* llama.cpp puts a space in front, and behind control tokens, as a note says */
            for (size_t k = 0; k < 2; k++)
                assert_ok(
                    ctx, ink_tokenizer_encode(ctx, tokenizers[k], text, n_bytes, INK_ENCODE_DEFAULT, ids[k], N, &n[k]));
            bool has_rows = true; /* of the model; tokens without are left out of the file, as a note says */
            for (size_t t = 0; t < n[0]; t++)
                has_rows = has_rows && (size_t)ids[0][t] < ink_tokenizer_vocab_size(tokenizers[1]);
            if (has_rows && (n[0] != n[1] || memcmp(ids[0], ids[1], n[0] * sizeof ids[0][0]) != 0))
                fail_msg("%s: other ids for %.*s", folders[i], (int)n_bytes, text);
        }
        const bool pairs =
            strcmp(folders[i], "gpt") == 0 || strcmp(folders[i], "mood") == 0 || strcmp(folders[i], "roberta") == 0;
        const ink_encode_input pair = {
            .text = "a b", .size = 3, .pair = "c", .pair_size = 1, .flags = INK_ENCODE_DEFAULT};
        size_t n[2];
        for (size_t k = 0; k < 2 && pairs; k++)
            assert_ok(ctx, ink_tokenizer_encode_input(ctx, tokenizers[k], &pair, ids[k], NULL, NULL, N, &n[k]));
        if (pairs && (n[0] != n[1] || memcmp(ids[0], ids[1], n[0] * sizeof ids[0][0]) != 0))
            fail_msg("%s: other ids for a pair", folders[i]);
        assert_true(n_texts > 300);
        ink_tokenizer_free(tokenizers[1]);
        ink_tokenizer_free(tokenizers[0]);
        free(f.bytes);
    }
    free(texts);
}

/* ---- what cannot be written ------------------------------------------------------------------------------------- */

static const struct {
    const char *fixture, *key, *value; /* a setting that changes; key NULL: none */
    const char *words;
} refused_settings[] = {
    {"rnn", NULL, NULL, "model_type 'rnn' cannot be written as GGUF, only gpt2, llama, "},
    {"gru", NULL, NULL, "'gru'"},
    {"lstm", NULL, NULL, "'lstm'"},
    {"mlp", NULL, NULL, "'mlp'"},
    {"bart", NULL, NULL, "'bart'"},
    {"t5", NULL, NULL, "'t5' cannot be written as GGUF, only gpt2, "},
    {"gpt2", "activation_function", "\"relu\"", "the activation is relu, but llama.cpp's architecture 'gpt2' always "},
    {"gpt2", "scale_attn_by_inverse_layer_idx", "true", "the scale of attention"},
    {"gpt2", "scale_attn_weights", "false", "the scale of attention"},
    {"llama", "hidden_act", "\"gelu\"", "the activation is gelu"},
    {"llama", "rope_parameters", "{\"rope_type\": \"dynamic\", \"rope_theta\": 10000.0, \"factor\": 2.0}",
     "rope of type dynamic"},
    {"llama", "rope_parameters",
     "{\"rope_type\": \"yarn\", \"rope_theta\": 10000.0, \"factor\": 2.0, \"attention_factor\": 1.5}",
     "attention_factor"},
    {"qwen3", NULL, NULL, "sliding_window: llama.cpp's architecture 'qwen3' has no windows"},
    {"smollm3", NULL, NULL, "no_rope_layers"},
    {"qwen2", "rope_parameters",
     "{\"rope_type\": \"llama3\", \"rope_theta\": 10000.0, \"factor\": 8.0, \"low_freq_factor\": 1.0, "
     "\"high_freq_factor\": 4.0, \"original_max_position_embeddings\": 64}",
     "rope of type llama3: llama.cpp's architecture 'qwen2' has no factors of frequencies"},
    {"gemma3", NULL, NULL, "the scale of attention"},
    {"gemma3", "query_pre_attn_scalar", "10", "layer_types: llama.cpp's architecture 'gemma3' has a window in all "},
};

static void others_are_refused(ink_context *ctx, counting *memory)
{
    (void)memory;
    for (size_t i = 0; i < sizeof refused_settings / sizeof *refused_settings; i++) {
        fixture_files files;
        memory_file f = {0};
        fixture_files_read(&files, refused_settings[i].fixture);
        if (refused_settings[i].key != NULL)
            fixture_files_set(&files, refused_settings[i].key, refused_settings[i].value);
        const ink_source source = ink_source_memory(&files.list);
        const ink_gguf_options options = {.type = INK_F16, .source = &source, .note = note, .user = &f};
        assert_fails(ctx, ink_gguf_write(ctx, NULL, &options, append, &f), INK_ERROR_UNSUPPORTED,
                     refused_settings[i].words);
        assert_int_equal(f.n_writes, 0);
        fixture_files_free(&files);
    }
}

/* Heads of classifiers of decoders, activations behind the pooler, and layers behind the pooling. */
static void heads_are_refused(ink_context *ctx)
{
    static const struct {
        const char *folder, *words;
    } cases[] = {
        {"gpt2_text", "has no head of a classifier"},
        {"mistral_text", "has no head of a classifier"},
        {"distilbert_text", "the head of the classifier"},
        {"sentence_dense", "modules.json: Dense"},
        {"sentence_gemma3", "use_bidirectional_attention"},
        {"mpnet", "'mpnet'"},
        {"modernbert", "'modernbert'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[FIXTURE_PATH];
        memory_file f = {0};
        snprintf(path, sizeof path, FIXTURES "/encoders/%s", cases[i].folder);
        assert_fails(ctx, write_folder(ctx, path, INK_F16, &f), INK_ERROR_UNSUPPORTED, cases[i].words);
        assert_int_equal(f.n_writes, 0);
    }
}

/* Writes a folder whose tokenizer.json says `to` instead of `from`. */
static ink_result write_respelled(ink_context *ctx, const char *folder, const char *from, const char *to,
                                  memory_file *f)
{
    static const char *const names[] = {"config.json", "model.safetensors", "tokenizer_config.json", "tokenizer.json"};
    ink_memory_file files[4];
    char *bytes[4], *changed;
    for (size_t i = 0; i < 4; i++) {
        size_t size;
        bytes[i] = read_file(folder, names[i], &size);
        files[i] = (ink_memory_file){names[i], bytes[i], size};
    }
    char *at = strstr(bytes[3], from);
    assert_non_null(at);
    changed = malloc(files[3].size + strlen(to) + 1);
    assert_non_null(changed);
    files[3].size = (size_t)sprintf(changed, "%.*s%s%s", (int)(at - bytes[3]), bytes[3], to, at + strlen(from));
    files[3].data = changed;
    const ink_memory_files list = {files, 4};
    const ink_source source = ink_source_memory(&list);
    const ink_gguf_options options = {.type = INK_Q8_0, .source = &source, .note = note, .user = f};
    ink_result result = ink_gguf_write(ctx, NULL, &options, append, f);
    free(changed);
    for (size_t i = 0; i < 4; i++)
        free(bytes[i]);
    return result;
}

/* A tokenizer that no name of llama.cpp stands for is not written under the nearest. */
static void tokenizers_are_refused(ink_context *ctx)
{
    static const struct {
        const char *folder, *from, *to, *words;
    } cases[] = {
        {MODELS "/gpt", "\"ignore_merges\": false", "\"ignore_merges\": true",
         "no name under tokenizer.ggml.pre stands for its pre_tokenizer without NFC and with ignore_merges true"},
        {MODELS "/gpt", "\"add_prefix_space\": false", "\"add_prefix_space\": true", "no space in front of a text"},
        {MODELS "/gpt", "\"normalizer\": null", "\"normalizer\": {\"type\": \"Lowercase\"}", "has no normalizer"},
        {FOLDERS "/wide", "\\\\p{N}{1,3}|", "\\\\p{N}+|", "its pre_tokenizer without NFC"},
        {FOLDERS "/wide", "\"normalizer\": null", "\"normalizer\": {\"type\": \"NFC\"}",
         "with NFC and with ignore_merges true"},
        {FOLDERS "/wide", "\"Isolated\"", "\"Removed\"", "its pre_tokenizer"},
        {FOLDERS "/digits", "\"individual_digits\": true", "\"individual_digits\": false", "its pre_tokenizer"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        memory_file f = {0};
        assert_fails(ctx, write_respelled(ctx, cases[i].folder, cases[i].from, cases[i].to, &f), INK_ERROR_UNSUPPORTED,
                     cases[i].words);
        assert_int_equal(f.n_writes, 0);
    }
}

/* Of the tokenizers of a pattern each gets the name that says whether it brings texts into NFC, and takes whole words.
 */
static void tokenizers_get_their_names(ink_context *ctx)
{
    static const struct {
        const char *folder, *from, *to, *name;
    } cases[] = {
        {MODELS "/gpt", "\"normalizer\": null", "\"normalizer\": null", "gpt-2"},
        {MODELS "/gpt", "\"normalizer\": null", "\"normalizer\": {\"type\": \"NFC\"}", "modern-bert"},
        {FOLDERS "/qwen", "\"normalizer\": null", "\"normalizer\": null", "deepseek-r1-qwen"},
        {FOLDERS "/qwen", "\"normalizer\": null", "\"normalizer\": {\"type\": \"NFC\"}", "qwen2"},
        {FOLDERS "/wide", "\"ignore_merges\": true", "\"ignore_merges\": false", "smaug-bpe"},
        {FOLDERS "/wide", "\"Isolated\",\n        \"invert\": false", "\"Removed\",\n        \"invert\": true",
         "llama-bpe"},
        {FOLDERS "/digits", "\"normalizer\": null", "\"normalizer\": {\"type\": \"NFC\"}", "command-r"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        static const char key[] = "tokenizer.ggml.pre"; /* its type (4 bytes), the length of the text (8), the text */
        const size_t length = strlen(cases[i].name), behind = strlen(key) + 4 + 8;
        memory_file f = {0};
        assert_ok(ctx, write_respelled(ctx, cases[i].folder, cases[i].from, cases[i].to, &f));
        size_t at = 0;
        while (at + behind + length < f.size && memcmp(f.bytes + at, key, strlen(key)) != 0)
            at++;
        if ((size_t)f.bytes[at + strlen(key) + 4] != length ||
            memcmp(f.bytes + at + behind, cases[i].name, length) != 0)
            fail_msg("%s: '%.*s', expected %s", cases[i].folder, 20, f.bytes + at + behind, cases[i].name);
        free(f.bytes);
    }
}

static void notes_name_flags_of_added_tokens(ink_context *ctx)
{
    static const char *const flags[] = {"lstrip", "rstrip", "single_word"};
    for (size_t i = 0; i < 3; i++) {
        char from[32], to[32];
        memory_file f = {0};
        snprintf(from, sizeof from, "\"%s\": false", flags[i]);
        snprintf(to, sizeof to, "\"%s\": true", flags[i]);
        assert_ok(ctx, write_respelled(ctx, FOLDERS "/wide", from, to, &f));
        assert_non_null(strstr(f.notes, "of added tokens (such as token 0)"));
        free(f.bytes);
    }
}

static void notes_say_what_differs(ink_context *ctx)
{
    static const struct {
        const char *folder, *words;
    } cases[] = {
        {MODELS "/bert", "llama.cpp has no head that fills masks"},
        {FOLDERS "/pieces", "also of one that begins with a space, and behind every control token"},
        {FIXTURES "/models/llama", "the folder has no tokenizer"},
        {FIXTURES "/models/mistral", "the context is cut to the window of 7 tokens"},
        {FIXTURES "/encoders/sentence", "bring embeddings to length 1 themselves"},
        {FIXTURES "/encoders/roberta", "computes gelu by its tanh formula"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        memory_file f = {0};
        assert_ok(ctx, write_folder(ctx, cases[i].folder, INK_F16, &f));
        if (strstr(f.notes, cases[i].words) == NULL)
            fail_msg("%s: no note says '%s'", cases[i].folder, cases[i].words);
        free(f.bytes);
    }
}

static void arguments_are_checked(ink_context *ctx)
{
    memory_file f = {0};
    const ink_gguf_options options = {.type = INK_Q8_0};
    assert_fails(ctx, ink_gguf_write(ctx, FOLDERS "/wide", NULL, append, &f), INK_ERROR_ARGUMENT, "options");
    assert_fails(ctx, ink_gguf_write(ctx, FOLDERS "/wide", &options, NULL, &f), INK_ERROR_ARGUMENT, "write is NULL");
    assert_fails(ctx, ink_gguf_write(ctx, NULL, &options, append, &f), INK_ERROR_ARGUMENT, "folder is NULL");
    assert_fails(ctx, write_folder(ctx, FOLDERS "/wide", INK_Q5_K, &f), INK_ERROR_ARGUMENT,
                 "cannot be written as Q5_K, only as F32, F16, BF16, Q8_0");
    assert_fails(ctx, write_folder(ctx, FOLDERS "/wide", INK_TYPE_NONE, &f), INK_ERROR_ARGUMENT, "written as none");
    assert_fails(ctx, write_folder(ctx, FOLDERS "/nobody", INK_F32, &f), INK_ERROR_NOT_FOUND, "nobody");
    assert_int_equal(f.n_writes, 0);
}

/* A disk that is full ends the writing, wherever it happens. */
static void a_full_disk_is_heeded(ink_context *ctx, counting *memory)
{
    memory_file whole = {0};
    (void)memory;
    assert_ok(ctx, write_folder(ctx, FOLDERS "/pieces", INK_Q8_0, &whole));
    for (size_t most = 1; most < whole.size; most += whole.size / 9) {
        memory_file f = {.most = most};
        assert_fails(ctx, write_folder(ctx, FOLDERS "/pieces", INK_Q8_0, &f), INK_ERROR_CANCELLED,
                     "stopped by the caller");
        assert_true(f.size <= most);
        free(f.bytes);
    }
    free(whole.bytes);
}

static void failing_memory_leaves_nothing(ink_context *ctx, counting *memory)
{
    memory_file f = {0};
    const ink_gguf_options options = {.type = INK_Q8_0};
    for (size_t k = 1;
         runs_out_of_memory(ctx, memory, k, ink_gguf_write(ctx, FOLDERS "/pieces", &options, append, &f), NULL); k++) {
        free(f.bytes);
        f = (memory_file){0};
    }
    free(f.bytes);
}

/* Sets the first element of a tensor of a tiny model, and writes it. */
static ink_result write_with(ink_context *ctx, const char *tensor, float value, ink_type type, memory_file *f)
{
    fixture_files files;
    fixture_files_read(&files, "llama");
    const char *place = strstr(fixture_files_tensor(&files, "model.safetensors", tensor), "data_offsets");
    uint64_t header = 0, at = 0;
    memcpy(&header, files.weights, 8);
    assert_int_equal(sscanf(place, "data_offsets\":[%" SCNu64, &at), 1);
    memcpy(files.weights + 8 + header + at, &value, sizeof value);
    const ink_source source = ink_source_memory(&files.list);
    const ink_gguf_options options = {.type = type, .source = &source};
    ink_result result = ink_gguf_write(ctx, NULL, &options, append, f);
    fixture_files_free(&files);
    return result;
}

static void broken_weights_are_refused(ink_context *ctx)
{
    static const char name[] = "model.layers.1.mlp.up_proj.weight";
    memory_file f = {0};
    assert_fails(ctx, write_with(ctx, name, NAN, INK_Q8_0, &f), INK_ERROR_NONFINITE,
                 "row 0 of tensor 'model.layers.1.mlp.up_proj.weight' has a value that is not finite");
    assert_fails(ctx, write_with(ctx, name, INFINITY, INK_F32, &f), INK_ERROR_NONFINITE, "not finite");
    assert_fails(ctx, write_with(ctx, "model.norm.weight", NAN, INK_F16, &f), INK_ERROR_NONFINITE,
                 "'model.norm.weight'");
    assert_fails(ctx, write_with(ctx, name, 65520, INK_F16, &f), INK_ERROR_NONFINITE, "beyond the 65504 of F16");
    assert_ok(ctx, write_with(ctx, name, 65504, INK_F16, &f));
    free(f.bytes);
}

/* ---- the program ------------------------------------------------------------------------------------------------ */

static void the_program_writes_the_file(void **state)
{
    char *folder = fresh_folder(), *path = join_path(folder, "gpt.gguf");
    ink_context *ctx = test_context(1);
    memory_file f = {0};
    (void)state;
    for (int again = 0; again < 2; again++) { /* the second replaces the first */
        char *said = output_of(run(QUANTISE, MODELS "/gpt", path, "--type", again ? "q4_0" : "q8_0"));
        size_t size;
        char *bytes = read_file(folder, "gpt.gguf", &size);
        assert_non_null(strstr(said, again ? "q4_0" : "q8_0"));
        assert_ok(ctx, write_folder(ctx, MODELS "/gpt", again ? INK_Q4_0 : INK_Q8_0, &f));
        assert_int_equal(size, f.size);
        assert_memory_equal(bytes, f.bytes, size);
        free(f.bytes);
        free(bytes);
        free(said);
    }
    process p = run(QUANTISE, MODELS "/gpt", "-", "--type", "q4_0");
    assert_int_equal(p.code, 0);
    assert_ok(ctx, write_folder(ctx, MODELS "/gpt", INK_Q4_0, &f));
    assert_int_equal(p.out_size, f.size);
    assert_memory_equal(p.out, f.bytes, f.size);
    process_free(&p);
    free(f.bytes);
    char *part = join_path(folder, "gpt.gguf.part");
    assert_int_not_equal(access(part, F_OK), 0);
    ink_context_free(ctx);
    free(part);
    free(path);
    forget(folder);
}

static void the_program_leaves_no_half_file(void **state)
{
    char *folder = fresh_folder(), *path = join_path(folder, "x.gguf"), *part = join_path(folder, "x.gguf.part");
    char *nowhere = join_path(folder, "nowhere/x.gguf"), *place = join_path(folder, "place");
    (void)state;
    assert_int_equal(mkdir(place, 0777), 0);
    const mistake mistakes[] = {
        {{QUANTISE, MODELS "/gru", path}, "model_type 'gru' cannot be written as GGUF"},
        {{QUANTISE, MODELS "/translate_gru", path}, "model_type 'seq2seq' cannot be written as GGUF"},
        {{QUANTISE, FIXTURES "/gguf_models/llama.gguf", path}, "is a GGUF file: only folders are written as one"},
        {{QUANTISE, FIXTURES "/encoders/static_folder", path}, "modules.json: model_type 'static' cannot be written"},
        {{QUANTISE, folder, path}, "expected the folder of a model"},
        {{QUANTISE, MODELS "/gpt", path, "--type", "q5_k"},
         "--type expects f32, bf16, f16, q8_0, q6_k, q5_0, q4_k or q4_0"},
        {{QUANTISE, MODELS "/gpt", path, "--pooling", "max"}, "--pooling expects cls, mean or last, found 'max'"},
        {{QUANTISE, MODELS "/gpt", nowhere}, "cannot be written: No such file or directory"},
        {{QUANTISE, MODELS "/gpt", place}, "place: is no file, but a folder, a pipe or a device"},
        {{QUANTISE, MODELS "/gpt", "--type", "q8_0"}, "--type is for writing: OUT.gguf is missing"},
        {{QUANTISE, MODELS "/gpt", path, "--row", "3"}, "--row expects FOLDER and no OUT.gguf, found "},
        {{QUANTISE, "--row", "3"}, "--row expects FOLDER and no OUT.gguf, found no FOLDER"},
        {{QUANTISE, MODELS "/gpt", "--row", "128"}, "--row expects less than 128, the rows of blk.0.ffn_down.weight"},
    };
    mistakes_refused(mistakes, sizeof mistakes / sizeof *mistakes);
    process p = run(QUANTISE, MODELS "/mood"); /* a row, and no head of a table without lines */
    assert_int_equal(p.code, 1);
    assert_non_null(strstr(p.out, "q8_0, 8.5 bits a weight"));
    assert_null(strstr(p.out, "bits per token"));
    assert_non_null(strstr(p.err, "only a model that continues texts has bits per token"));
    process_free(&p);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_not_equal(access(part, F_OK), 0);
    rmdir(place);
    free(place);
    free(nowhere);
    free(part);
    free(path);
    forget(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        context_test(files_are_those_that_llama_cpp_reads),
        cmocka_unit_test(files_are_the_same_with_every_kernel),
        context_test(files_are_read_back),
        context_test(files_run_as_their_folders),
        context_test(encoders_run_as_their_folders),
        context_test(chat_templates_come_along),
        context_test(files_have_the_tokenizers_of_their_folders),
        counted_test(others_are_refused),
        context_test(heads_are_refused),
        context_test(tokenizers_are_refused),
        context_test(tokenizers_get_their_names),
        context_test(notes_name_flags_of_added_tokens),
        context_test(notes_say_what_differs),
        context_test(arguments_are_checked),
        counted_test(a_full_disk_is_heeded),
        counted_test(failing_memory_leaves_nothing),
        context_test(broken_weights_are_refused),
        cmocka_unit_test(the_program_writes_the_file),
        cmocka_unit_test(the_program_leaves_no_half_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
