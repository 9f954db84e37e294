/*
 * test_limits.c - what other people's files and texts may cost: every limit of ink_limits, its default, its sentence,
 * and that nothing was taken before it is refused.
 */
#include "counting.h"
#include "encoders.h"
#include "faulty.h"
#include "fixture.h"
#include "numbers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MB ((size_t)1 << 20)

/* A context with limits on counted memory. */
static ink_context *limited(counting *memory, const ink_limits *limits)
{
    ink_context_options options = test_options(1);
    counting_init(memory);
    options.allocator = memory->allocator;
    options.limits = *limits;
    ink_context *ctx = ink_context_create(&options);
    assert_non_null(ctx);
    memory->at_rest = memory->peak_bytes = memory->live_bytes;
    return ctx;
}

static void limits_have_defaults(ink_context *ctx)
{
    const ink_limits *limits = ink_context_limits(ctx);
    assert_int_equal(limits->settings_bytes, 32 * MB);
    assert_int_equal(limits->table_bytes, 256 * MB);
    assert_int_equal(limits->state_bytes, 4096 * MB);
    assert_int_equal(limits->text_growth, 8);
    assert_int_equal(limits->token_bytes, 65536);
    assert_int_equal(limits->template_bytes, 64 * MB);
    ink_context_options options = test_options(1);
    options.limits.table_bytes = 7;
    ink_context *other = ink_context_create(&options);
    assert_int_equal(ink_context_limits(other)->table_bytes, 7);
    assert_int_equal(ink_context_limits(other)->settings_bytes, 32 * MB);
    ink_context_free(other);
}

/* Opens everything in a folder, up to the first failure. */
static ink_result open_all(ink_context *ctx, const ink_memory_files *files)
{
    ink_model *model = NULL;
    ink_tokenizer *tokenizer = NULL;
    ink_chat *chat = NULL;
    ink_source source = ink_source_memory(files);
    ink_result result = ink_tokenizer_open_source(ctx, &source, &tokenizer);
    if (result == INK_OK)
        result = ink_chat_open(ctx, "folder", tokenizer, &(ink_chat_options){.source = &source}, &chat);
    if (result == INK_OK || result == INK_ERROR_NOT_FOUND)
        result = ink_model_open(ctx, "folder", &(ink_model_options){.source = &source}, &model);
    ink_chat_free(chat);
    ink_tokenizer_free(tokenizer);
    ink_model_free(model);
    return result;
}

#define WORDS "{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0},\"unk_token\":\"a\"}}"
#define TEXT_FILE(name, text)                                                                                          \
    {                                                                                                                  \
        name, text, sizeof text - 1                                                                                    \
    }

/* A file that claims a size is refused by that size; it is not read (there are no bytes to read), and no memory is
   taken for it. */
static void a_file_too_large_is_not_read(void **state)
{
    static const struct {
        const char *name, *limit;
        ink_memory_file beside[2];
    } rows[] = {
        {"tokenizer_config.json", "settings_bytes", {TEXT_FILE("tokenizer.json", WORDS)}},
        {"special_tokens_map.json", "settings_bytes", {TEXT_FILE("tokenizer.json", WORDS)}},
        {"tokenizer.json", "table_bytes", {{0}}},
        {"vocab.txt", "table_bytes", {TEXT_FILE("tokenizer_config.json", "{\"tokenizer_class\":\"BertTokenizer\"}")}},
        {"vocab.json", "table_bytes", {TEXT_FILE("merges.txt", "a b\n")}},
        {"merges.txt", "table_bytes", {TEXT_FILE("vocab.json", "{\"a\":0}")}},
        {"tokenizer.model", "table_bytes", {{0}}},
        {"chat_template.jinja", "settings_bytes", {TEXT_FILE("tokenizer.json", WORDS)}},
        {"config.json", "settings_bytes", {TEXT_FILE("tokenizer.json", WORDS)}},
        {"generation_config.json",
         "settings_bytes",
         {TEXT_FILE("tokenizer.json", WORDS), TEXT_FILE("config.json", "{\"model_type\":\"gpt2\"}")}},
        {"model.safetensors.index.json",
         "table_bytes",
         {TEXT_FILE("tokenizer.json", WORDS), TEXT_FILE("config.json", "{\"model_type\":\"gpt2\"}")}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        counting memory;
        ink_context *ctx = limited(&memory, &(ink_limits){0});
        size_t most = strcmp(rows[i].limit, "settings_bytes") == 0 ? 32 * MB : 256 * MB;
        ink_memory_file files[3] = {{rows[i].name, NULL, most + 1}};
        size_t n = 1;
        for (size_t k = 0; k < 2 && rows[i].beside[k].name != NULL; k++)
            files[n++] = rows[i].beside[k];
        char words[128];
        snprintf(words, sizeof words, "%s: this needs %zu bytes, the limit is %zu (%s of ink_limits)", rows[i].name,
                 most + 1, most, rows[i].limit);
        test_assert_fails(ctx, open_all(ctx, &(ink_memory_files){files, n}), INK_ERROR_LIMIT, words, rows[i].name,
                          __FILE__, __LINE__);
        assert_true(memory.peak_bytes - memory.at_rest < MB);
        counting_end(&memory, ctx);
    }
}

/* Repeats `unit` between `head` and `tail`. */
static char *repeated(const char *head, const char *unit, size_t n, const char *tail, size_t *size)
{
    size_t at = strlen(head), length = strlen(unit);
    char *text = malloc(at + n * length + strlen(tail) + 1);
    memcpy(text, head, at);
    for (size_t i = 0; i < n; i++, at += length)
        memcpy(text + at, unit, length);
    strcpy(text + at, tail);
    *size = at + strlen(tail);
    return text;
}

/* The values of a JSON text are counted before memory is taken for them: what is refused has cost the text alone. */
static void values_are_counted_first(void **state)
{
    static const char *const units[] = {"0,", ",", "[],", "{},", "\"\","};
    (void)state;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        counting memory;
        ink_context *ctx = limited(&memory, &(ink_limits){0});
        size_t size;
        ink_model *model;
        ink_tokenizer *tokenizer;
        ink_weights *weights;
        char *text = repeated("{\"a\":[", units[i], 16 * MB / strlen(units[i]), "0]}", &size);
        ink_memory_file files[] = {{"config.json", text, size}, {"tokenizer.json", text, size}, {"w", NULL, 0}};
        ink_source source = ink_source_memory(&(ink_memory_files){files, 3});

        assert_fails(ctx, ink_model_open(ctx, "f", &(ink_model_options){.source = &source, .max_bytes = MB}, &model),
                     INK_ERROR_LIMIT, "settings_bytes");
        assert_true(memory.peak_bytes - memory.at_rest < size + MB);
        assert_fails(ctx, ink_tokenizer_open_source(ctx, &source, &tokenizer), INK_ERROR_LIMIT, "table_bytes");
        assert_true(memory.peak_bytes - memory.at_rest < size + MB);

        char *header = malloc(8 + size);
        put_number(header, size, 8);
        memcpy(header + 8, text, size);
        files[2] = (ink_memory_file){"w", header, 8 + size};
        assert_fails(ctx, ink_weights_open_source(ctx, &source, "w", &weights), INK_ERROR_LIMIT, "table_bytes");
        assert_true(memory.peak_bytes - memory.at_rest < size + MB);
        free(header);
        free(text);
        counting_end(&memory, ctx);
    }
}

/* Lines of a vocabulary are counted first, too. */
static void lines_are_counted_first(void **state)
{
    counting memory;
    ink_tokenizer *tokenizer;
    (void)state;
    ink_context *ctx = limited(&memory, &(ink_limits){0});
    size_t size;
    char *text = repeated("", "\n", 16 * MB, "a\n", &size);
    ink_memory_file file = {"vocab.txt", text, size};
    ink_source source = ink_source_memory(&(ink_memory_files){&file, 1});
    assert_fails(ctx, ink_tokenizer_open_source(ctx, &source, &tokenizer), INK_ERROR_LIMIT, "table_bytes");
    assert_true(memory.peak_bytes - memory.at_rest < size + MB);
    free(text);
    counting_end(&memory, ctx);
}

/* Each limit can be lower than its default, and a program that needs more can raise it. */
static void a_limit_is_the_callers(void **state)
{
    static const struct {
        ink_limits limits;
        const char *words;
    } rows[] = {
        {{.settings_bytes = 100}, "config.json: this needs "},
        {{.table_bytes = 100}, "model.safetensors: this needs "},
        {{.state_bytes = 1000}, "the state: this needs "},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        counting memory;
        fixture_files files;
        ink_model *model = NULL;
        ink_state *made = NULL;
        ink_context *ctx = limited(&memory, &rows[i].limits), *free_ctx = counting_context(&memory, 1);
        fixture_files_read(&files, "gpt2");
        ink_result result = fixture_open_files(ctx, "gpt2", &files.list, &model);
        if (result == INK_OK)
            result = ink_state_create(ctx, model, 0, &made);
        test_assert_fails(ctx, result, INK_ERROR_LIMIT, rows[i].words, "limited", __FILE__, __LINE__);
        assert_null(made);
        if (model == NULL)
            assert_ok(free_ctx, fixture_open_files(free_ctx, "gpt2", &files.list, &model));
        assert_ok(free_ctx, ink_state_create(free_ctx, model, 0, &made));
        ink_state_free(made);

        /* A block of the caller's has the size that the caller gave it. */
        size_t size;
        assert_ok(ctx, ink_state_size(ctx, model, 0, &size));
        void *block = test_aligned(size);
        assert_ok(ctx, ink_state_create_in(ctx, model, 0, block, size, &made));
        ink_state_free(made);
        test_aligned_free(block);
        ink_model_free(model);
        fixture_files_free(&files);
        ink_context_free(free_ctx);
        counting_end(&memory, ctx);
    }
}

/* {"normalizer": an "a" becomes 8, "decoder": the same} */
#define LONGER "{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":\"aaaaaaaa\"}"
#define GROWS(step)                                                                                                    \
    "{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0},\"unk_token\":\"a\"},\"" step                              \
    "\":{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":\"aaaaaaaa\"}}"

static void a_text_may_grow_so_much(void **state)
{
    (void)state;
    for (uint64_t growth = 7; growth <= 8; growth++) {
        counting memory;
        ink_tokenizer *tokenizer;
        static const ink_memory_file file = TEXT_FILE("tokenizer.json", GROWS("normalizer"));
        char *text = malloc(MB);
        ink_token ids[1];
        size_t n;
        ink_context *ctx = limited(&memory, &(ink_limits){.text_growth = growth});
        ink_source source = ink_source_memory(&(ink_memory_files){&file, 1});
        memset(text, 'a', MB);
        assert_ok(ctx, ink_tokenizer_open_source(ctx, &source, &tokenizer));
        for (size_t size = 1; size <= MB; size = size == 1 ? MB : size + 1) {
            ink_result result = ink_tokenizer_encode(ctx, tokenizer, text, size, INK_ENCODE_PLAIN, ids, 1, &n);
            if (size == 1 || growth == 8)
                assert_ok(ctx, result);
            else
                assert_fails(ctx, result, INK_ERROR_LIMIT, "text_growth of ink_limits");
        }
        ink_tokenizer_free(tokenizer);
        free(text);
        counting_end(&memory, ctx);
    }
}

static void a_token_may_become_so_much_text(void **state)
{
    (void)state;
    for (uint64_t most = 7; most <= 8; most++) {
        counting memory;
        ink_tokenizer *tokenizer;
        static const ink_memory_file file = TEXT_FILE("tokenizer.json", GROWS("decoder"));
        ink_context *ctx = limited(&memory, &(ink_limits){.token_bytes = most});
        ink_source source = ink_source_memory(&(ink_memory_files){&file, 1});
        ink_result result = ink_tokenizer_open_source(ctx, &source, &tokenizer);
        if (most == 8)
            assert_ok(ctx, result);
        else
            assert_fails(ctx, result, INK_ERROR_LIMIT, "this needs 8 bytes, the limit is 7 (token_bytes");
        ink_tokenizer_free(tokenizer);
        counting_end(&memory, ctx);
    }
}

/* ---- small files ------------------------------------------------------------------------------------------------- */

static double seconds(void) { return (double)clock() / CLOCKS_PER_SEC; }

typedef ink_result (*open_fn)(ink_context *ctx, const ink_memory_files *files);

static ink_result open_model(ink_context *ctx, const ink_memory_files *files)
{
    ink_model *model;
    ink_result result = fixture_open_files(ctx, "changed", files, &model);
    ink_model_free(model);
    return result;
}

static ink_result open_tokenizer(ink_context *ctx, const ink_memory_files *files)
{
    ink_tokenizer *tokenizer;
    ink_source source = ink_source_memory(files);
    ink_result result = ink_tokenizer_open_source(ctx, &source, &tokenizer);
    ink_tokenizer_free(tokenizer);
    return result;
}

/* What a call takes at its peak, and its processor time. */
typedef struct cost {
    size_t bytes;
    double seconds;
} cost;

static cost cost_of(ink_context *ctx, counting *memory, open_fn open, const ink_memory_files *files)
{
    size_t before = memory->peak_bytes = memory->live_bytes;
    double start = seconds();
    (void)open(ctx, files);
    return (cost){memory->peak_bytes - before, seconds() - start};
}

/* Every number of the file, replaced by others one at a time: opening takes at most 1 MB and 50 ms more than with the
   number that stands there. */
static void change_numbers(ink_context *ctx, counting *memory, const char *what, open_fn open, ink_memory_files *files,
                           size_t f)
{
    static const char *const numbers[] = {"0",        "1",       "2",         "63",         "64",        "1000",
                                          "4095",     "65535",   "65536",     "1048576",    "16777216",  "131071",
                                          "33554432", "2000000", "268435456", "2147483646", "4294967295"};
    ink_memory_file *file = (ink_memory_file *)(uintptr_t)&files->files[f], original = *file;
    const char *text = original.data;
    cost usual = cost_of(ctx, memory, open, files);
    for (size_t i = 0; i < original.size; i++) {
        size_t n = 0;
        while (i + n < original.size && text[i + n] >= '0' && text[i + n] <= '9')
            n++;
        if (n == 0 || strchr(" [,:", text[i - 1]) == NULL || strchr(" ],}\n\r", text[i + n]) == NULL) {
            i += n;
            continue;
        }
        for (size_t k = 0; k < sizeof numbers / sizeof numbers[0]; k++) {
            char *changed = malloc(original.size + 32);
            size_t size = (size_t)sprintf(changed, "%.*s%s", (int)i, text, numbers[k]);
            memcpy(changed + size, text + i + n, original.size - i - n);
            file->data = changed;
            file->size = size + original.size - i - n;
            cost now = cost_of(ctx, memory, open, files);
            if (now.bytes > usual.bytes + MB || now.seconds > usual.seconds + 0.05)
                fail_msg("%s: %s for %.*s: %zu bytes and %.3f s, %zu and %.3f without\n", what, numbers[k],
                         (int)(n + 40), text + (i > 40 ? i - 40 : 0), now.bytes, now.seconds, usual.bytes,
                         usual.seconds);
            free(changed);
        }
        i += n;
    }
    *file = original;
}

static void no_number_makes_a_small_file_expensive(ink_context *ctx, counting *memory)
{
    for (size_t list = 0; list < 2; list++)
        for (const char *const *name = list == 0 ? fixture_names : encoder_names; *name != NULL; name++) {
            fixture_files files;
            if (strncmp(*name, "static", 6) == 0)
                continue; /* without config.json */
            fixture_files_read(&files, *name);
            for (size_t f = 0; f < files.list.n_files; f++)
                if (strstr(files.list.files[f].name, ".json") != NULL)
                    change_numbers(ctx, memory, *name, open_model, &files.list, f);
            fixture_files_free(&files);
        }
    static const char *const tokenizers[] = {
        WORDS, "{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":0,\"b\":1},\"unk_token\":\"a\",\"continuing_"
               "subword_prefix\":"
               "\"##\",\"max_input_chars_per_word\":100},\"normalizer\":{\"type\":\"Strip\",\"strip_left\":true,"
               "\"strip_right\":true},\"decoder\":{\"type\":\"Strip\",\"content\":\"a\",\"start\":1,\"stop\":0},"
               "\"added_tokens\":[{\"id\":3,\"content\":\"c\",\"special\":true,\"normalized\":false,\"lstrip\":false,"
               "\"rstrip\":false,\"single_word\":false}],\"padding\":{\"strategy\":{\"Fixed\": 8},\"pad_id\":0,"
               "\"pad_type_id\":0,\"pad_token\":\"a\"},\"truncation\":{\"max_length\":4,\"stride\":2}}"};
    for (size_t i = 0; i < sizeof tokenizers / sizeof tokenizers[0]; i++) {
        ink_memory_file file = {"tokenizer.json", tokenizers[i], strlen(tokenizers[i])};
        ink_memory_files files = {&file, 1};
        test_assert_ok(ctx, open_tokenizer(ctx, &files), tokenizers[i], __FILE__, __LINE__);
        change_numbers(ctx, memory, "tokenizer.json", open_tokenizer, &files, 0);
    }
}

/* ---- scratch ----------------------------------------------------------------------------------------------------- */

/* What a context holds after a call that failed is what it held before, to the byte, whether that was nothing or what
   ink_context_reserve() took; and then what was reserved is still there. */
static void scratch_of_a_failed_call_is_given_back(ink_context *ctx, counting *memory)
{
    enum { SIZE = 1 << 18 };
    static const ink_memory_file grows = TEXT_FILE("tokenizer.json", GROWS("normalizer"));
    static const ink_memory_file endless =
        TEXT_FILE("tokenizer.json",
                  "{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0},\"unk_token\":\"a\"},\"added_tokens\":[{"
                  "\"id\":1,\"content\":\"a\",\"normalized\":true,\"special\":false,\"lstrip\":false,\"rstrip\":"
                  "false,\"single_word\":false}],\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[" //
                  LONGER "," LONGER "," LONGER "," LONGER "]}}");
    fixture_files files;
    faulty reader;
    ink_model *model, *broken;
    ink_state *state;
    ink_tokenizer *tokenizer, *refused;
    ink_source source = ink_source_memory(&(ink_memory_files){&grows, 1});
    ink_source bad = ink_source_memory(&(ink_memory_files){&endless, 1});
    const ink_token tokens[3] = {1, 2, 3};
    char *text = malloc(SIZE), small[8];
    ink_token *ids = malloc(SIZE * sizeof *ids);
    size_t n, takes;

    memset(text, 'a', SIZE);
    memset(ids, 0, SIZE * sizeof *ids);
    assert_ok(ctx, ink_tokenizer_open_source(ctx, &source, &tokenizer));
    fixture_files_read(&files, "gpt2");
    assert_ok(ctx, fixture_open_files(ctx, "gpt2", &files.list, &model));
    float *logits = malloc(ink_model_get_info(model)->vocab_size * sizeof *logits);
    assert_ok(ctx, ink_state_create(ctx, model, 8, &state));
    for (int reserved = 0; reserved < 2; reserved++) {
        if (reserved)
            assert_ok(ctx, ink_context_reserve(ctx, model, 1, 3, 8));
        size_t before = memory->live_bytes;
        assert_fails(ctx, ink_tokenizer_encode(ctx, tokenizer, text, SIZE, INK_ENCODE_PLAIN, ids, 0, &n),
                     INK_ERROR_LIMIT, "there is room for 0");
        assert_int_equal(memory->live_bytes, before);
        assert_fails(ctx, ink_tokenizer_decode(ctx, tokenizer, ids, SIZE, small, sizeof small, &n), INK_ERROR_LIMIT,
                     "there is room for 8");
        assert_int_equal(memory->live_bytes, before);
        assert_fails(ctx, ink_tokenizer_open_source(ctx, &bad, &refused), INK_ERROR_LIMIT, NULL);
        assert_int_equal(memory->live_bytes, before);

        /* The third read of the weights fails: the buffer for a chunk is scratch. */
        faulty_init(&reader, files.list.files, files.list.n_files);
        for (size_t k = 1; k < 12; k++) {
            reader.reads = 0;
            reader.fail_read = k;
            ink_result result = ink_model_open(ctx, "f", &(ink_model_options){.source = &reader.source}, &broken);
            assert_int_equal(result, INK_ERROR_READ);
            assert_int_equal(memory->live_bytes, before);
        }
        /* Every request of a call fails in turn, one at a time or with all after it. */
        for (size_t k = 1; k < 20; k++) {
            counting_fail_at(memory, k);
            ink_result result = ink_tokenizer_encode(ctx, tokenizer, text, SIZE, INK_ENCODE_PLAIN, ids, 0, &n);
            if (!counting_failed(memory))
                break;
            assert_true(result == INK_ERROR_MEMORY || result == INK_ERROR_LIMIT);
            assert_true(memory->live_bytes <= before);
        }
        ink_state_reset(state);
        if (reserved) {
            assert_ok(ctx, ink_context_reserve(ctx, model, 1, 3, 8));
            before = memory->live_bytes;
            assert_fails(ctx, ink_tokenizer_encode(ctx, tokenizer, text, SIZE, INK_ENCODE_PLAIN, ids, 0, &n),
                         INK_ERROR_LIMIT, "there is room for 0");
            takes = memory->takes;
            assert_ok(ctx, ink_model_forward(ctx, model, state, tokens, 3, logits));
            assert_int_equal(memory->takes, takes);
        }
    }
    free(logits);
    free(ids);
    free(text);
    ink_state_free(state);
    ink_tokenizer_free(tokenizer);
    ink_model_free(model);
    fixture_files_free(&files);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        context_test(limits_have_defaults),
        cmocka_unit_test(a_file_too_large_is_not_read),
        cmocka_unit_test(values_are_counted_first),
        cmocka_unit_test(lines_are_counted_first),
        cmocka_unit_test(a_limit_is_the_callers),
        cmocka_unit_test(a_text_may_grow_so_much),
        cmocka_unit_test(a_token_may_become_so_much_text),
        counted_test(scratch_of_a_failed_call_is_given_back),
        counted_test(no_number_makes_a_small_file_expensive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
