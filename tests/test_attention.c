/*
 * test_attention.c - attention, its cache, and the Transformer block: PyTorch's numbers, the double-precision oracle,
 * and the same bits however the tokens come in.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../src/import/plan.h"
#include "counting.h"
#include "support/layers.h"
#include "oracle_layers.h"

#define HEADS(heads, kv_heads, size) SCALED(heads, kv_heads, size, 0)
#define WINDOW(heads, kv_heads, size, seen)                                                                            \
    {                                                                                                                  \
        .n_heads = (heads), .n_kv_heads = (kv_heads), .head_dim = (size), .window = (seen)                             \
    }
#define BOTH_SIDES(heads, kv_heads, size, seen)                                                                        \
    {                                                                                                                  \
        .n_heads = (heads), .n_kv_heads = (kv_heads), .head_dim = (size), .window = (seen), .bidirectional = true      \
    }
#define SCALED(heads, kv_heads, size, factor)                                                                          \
    {                                                                                                                  \
        .n_heads = (heads), .n_kv_heads = (kv_heads), .head_dim = (size), .scale = (factor)                            \
    }

#define ABSOLUTE 1e-5
#define RELATIVE 1.3e-6

static size_t qkv_width(const ink_attention *attention)
{
    return (attention->n_heads + 2 * attention->n_kv_heads) * attention->head_dim;
}

static size_t y_width(const ink_attention *attention) { return attention->n_heads * attention->head_dim; }

/* All rows in one call into a fresh cache. */
static float *attend_whole(ink_context *ctx, const ink_attention *attention, const float *qkv, size_t n)
{
    ink_kv_cache *cache;
    float *y = test_floats(n * y_width(attention));
    assert_ok(ctx, ink_kv_cache_create(ctx, attention, n, &cache));
    assert_ok(ctx, ink_attention_forward(ctx, attention, cache, qkv, n, y));
    assert_int_equal(ink_kv_cache_length(cache), n);
    ink_kv_cache_free(cache);
    return y;
}

/* ---- numbers -------------------------------------------------------------------------------------------------- */

static void attention_gives_the_numbers_of_pytorch(ink_context *ctx)
{
    ink_weights *fixtures[] = {test_fixture(ctx, FIXTURES "/layers/attention.safetensors"),
                               test_fixture(ctx, FIXTURES "/layers/llama.safetensors")};
    static const struct {
        const char *name;
        ink_attention attention;
    } cases[] = {{"plain", HEADS(4, 4, 24)},
                 {"grouped", HEADS(6, 2, 16)},
                 {"single", HEADS(3, 3, 5)},
                 {"huge", HEADS(2, 2, 8)},
                 {"window", WINDOW(4, 2, 12, 9)}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t n, n_y;
        const ink_attention *attention = &cases[i].attention;
        ink_weights *fixture = fixtures[attention->window != 0];
        float *qkv = test_case_tensor(ctx, fixture, cases[i].name, "qkv", &n);
        float *expected = test_case_tensor(ctx, fixture, cases[i].name, "y", &n_y);
        n /= qkv_width(attention);
        assert_int_equal(n * y_width(attention), n_y);
        float *y = attend_whole(ctx, attention, qkv, n);
        test_assert_close(y, expected, n_y, ABSOLUTE, RELATIVE, cases[i].name);
        free(qkv);
        free(expected);
        free(y);
    }
    ink_weights_free(fixtures[0]);
    ink_weights_free(fixtures[1]);
}

static void check_against_oracle(ink_context *ctx, const ink_attention *attention, size_t n, float spread)
{
    size_t n_qkv = n * qkv_width(attention), n_y = n * y_width(attention);
    float *qkv = test_random(n_qkv, n + attention->head_dim, spread);
    double *wide = malloc(n_qkv * sizeof *wide), *expected = malloc(n_y * sizeof *expected);
    for (size_t i = 0; i < n_qkv; i++)
        wide[i] = qkv[i];
    float *y = attend_whole(ctx, attention, qkv, n);
    oracle_attention(attention, NULL, wide, n, expected);
    test_assert_close_to_double(y, expected, n_y, ABSOLUTE, RELATIVE, "attention");
    free(qkv);
    free(wide);
    free(expected);
    free(y);
}

static void attention_of_every_kind_of_size_is_right(void **unused)
{
    (void)unused;
    ink_context *ctx = test_context(2);
    static const ink_attention attentions[] = {
        HEADS(1, 1, 1),          HEADS(2, 1, 15),        SCALED(4, 2, 17, 0.5f),    HEADS(3, 3, 33),
        HEADS(8, 1, 16),         HEADS(5, 5, 64),        WINDOW(4, 2, 10, 1),       WINDOW(2, 2, 9, 7),
        WINDOW(3, 1, 16, 32),    WINDOW(2, 1, 8, 200),   WINDOW(2, 1, 8, SIZE_MAX), BOTH_SIDES(4, 2, 10, 0),
        BOTH_SIDES(4, 2, 10, 1), BOTH_SIDES(3, 1, 9, 5), BOTH_SIDES(2, 2, 16, 33),  BOTH_SIDES(2, 1, 8, SIZE_MAX)};
    static const size_t lengths[] = {1, 2, 15, 16, 17, 31, 32, 33, 64, 65, 270, 600};
    for (size_t i = 0; i < sizeof attentions / sizeof attentions[0]; i++)
        for (size_t j = 0; j < sizeof lengths / sizeof lengths[0]; j++)
            check_against_oracle(ctx, &attentions[i], lengths[j], 1);
    ink_context_free(ctx);
}

/* Uniform attention over many positions, where one running sum would lose digits; and scores that all but overflow. */
static void attention_keeps_its_precision(ink_context *ctx)
{
    const ink_attention attention = HEADS(1, 1, 16);
    const size_t n = 1500;
    float *qkv = test_random(n * 48, 1, 1);
    for (size_t i = 0; i < n; i++)
        for (size_t t = 0; t < 16; t++) {
            qkv[i * 48 + t] = 0;
            qkv[i * 48 + 32 + t] = 1 + 0.1f * qkv[i * 48 + 32 + t];
        }
    double mean[16] = {0};
    for (size_t i = 0; i < n; i++)
        for (size_t t = 0; t < 16; t++)
            mean[t] += qkv[i * 48 + 32 + t] / (double)n;
    float *y = attend_whole(ctx, &attention, qkv, n);
    test_assert_close_to_double(y + (n - 1) * 16, mean, 16, 1e-6, 0, "uniform attention");
    free(y);

    for (size_t i = 0; i < n; i++) {
        qkv[i * 48] = 1e15f;
        qkv[i * 48 + 16] = i == 3 ? 1e15f : -1e15f; /* only position 3 counts, from row 3 on */
    }
    y = attend_whole(ctx, &attention, qkv, n);
    for (size_t i = 3; i < n; i += 100)
        test_assert_same_bits(y + i * 16, qkv + 3 * 48 + 32, 16, "one position takes all");
    for (size_t t = 0; t < 16; t++)
        assert_true(isfinite(y[t]));
    free(y);
    free(qkv);
}

/* A row never sees what comes after it: whatever stands there, its result keeps every bit. */
static void the_future_changes_nothing(ink_context *ctx)
{
    const ink_attention attention = HEADS(2, 1, 20);
    const size_t n = 50, width = qkv_width(&attention), out = y_width(&attention);
    float *qkv = test_random(n * width, 4, 1);
    float *expected = attend_whole(ctx, &attention, qkv, n);
    for (size_t changed = 1; changed < n; changed++) {
        float *other = test_random(n * width, 100 + changed, 50);
        memcpy(other, qkv, changed * width * sizeof *qkv);
        float *y = attend_whole(ctx, &attention, other, n);
        test_assert_same_bits(y, expected, changed * out, "rows before the change");
        assert_memory_not_equal(y + changed * out, expected + changed * out, out * sizeof *y);
        free(other);
        free(y);
    }
    free(qkv);
    free(expected);
}

/* Within a window a row forgets what lies before it: whatever stands there, its result keeps every bit. */
static void what_a_window_passed_changes_nothing(ink_context *ctx)
{
    const ink_attention attention = WINDOW(2, 1, 12, 20);
    const size_t n = 700, width = qkv_width(&attention), out = y_width(&attention); /* some blocks of a sum */
    float *qkv = test_random(n * width, 4, 1), *expected = attend_whole(ctx, &attention, qkv, n);
    for (size_t changed = 1; changed + 19 < n; changed += 83) {
        float *other = test_random(n * width, 100 + changed, 50);
        memcpy(other + changed * width, qkv + changed * width, (n - changed) * width * sizeof *qkv);
        float *y = attend_whole(ctx, &attention, other, n);
        test_assert_same_bits(y + (changed + 19) * out, expected + (changed + 19) * out, (n - changed - 19) * out,
                              "rows whose window has passed the change");
        assert_memory_not_equal(y + (changed + 18) * out, expected + (changed + 18) * out, out * sizeof *y);
        free(other);
        free(y);
    }
    free(qkv);
    free(expected);
}

/* The products of a windowed layer cover the window of each query block and at most the rest of two sum blocks. */
static void count_scores(void *user, const char *name, const ink_tensor *value)
{
    size_t *n_scores = user, rows = value->shape.dim[1], positions = value->shape.dim[2];
    if (strcmp(name, "attn.scores") != 0)
        return;
    assert_true(positions <= rows + 2 * 19 + 256);
    *n_scores += rows * positions;
}

/* A window on both sides: what is out of reach of a row, on either side, changes no bit of it, and costs nothing. */
static void what_is_outside_a_window_changes_nothing(ink_context *ctx)
{
    const ink_attention attention = BOTH_SIDES(2, 1, 12, 20);
    const size_t n = 1400, width = qkv_width(&attention), out = y_width(&attention);
    float *qkv = test_random(n * width, 4, 1), *expected = attend_whole(ctx, &attention, qkv, n);
    for (size_t changed = 0; changed < n; changed += 167) {
        float *other = test_random(n * width, 100 + changed, 50);
        memcpy(other, qkv, changed * width * sizeof *qkv);
        memcpy(other + (changed + 1) * width, qkv + (changed + 1) * width, (n - changed - 1) * width * sizeof *qkv);
        float *y = attend_whole(ctx, &attention, other, n);
        for (size_t row = 0; row < n; row++) {
            bool sees = row < changed + 20 && changed < row + 20;
            assert_int_equal(memcmp(y + row * out, expected + row * out, out * sizeof *y) != 0, sees);
        }
        free(other);
        free(y);
    }
    size_t n_scores = 0;
    ink_context_trace(ctx, count_scores, &n_scores);
    float *y = attend_whole(ctx, &attention, qkv, n);
    ink_context_trace(ctx, NULL, NULL);
    test_assert_same_bits(y, expected, n * out, "looking changes nothing");
    assert_true(n_scores > n * 39 && n_scores < n * (32 + 2 * 19 + 256));
    free(y);
    free(qkv);
    free(expected);
}

/* ---- the same bits -------------------------------------------------------------------------------------------- */

/* Feeds rows in pieces of `piece` rows (0: 1, 2, 3, ... rows) and compares with `expected`. */
static void check_pieces(ink_context *ctx, const ink_attention *attention, ink_kv_cache *cache, const float *qkv,
                         size_t n, size_t piece, const float *expected)
{
    size_t width = qkv_width(attention), out = y_width(attention);
    for (size_t done = ink_kv_cache_length(cache), i = 1; done < n; i++) {
        void *x_block, *y_block;
        size_t count = piece != 0 ? piece : i;
        if (count > n - done)
            count = n - done;
        float *x = test_unaligned(qkv + done * width, count * width, i % 15 + 1, &x_block);
        float *y = test_unaligned(expected + done * out, count * out, (i + 3) % 15 + 1, &y_block);
        memset(y, 0x7f, count * out * sizeof *y);
        assert_ok(ctx, ink_attention_forward(ctx, attention, cache, x, count, y));
        test_assert_same_bits(y, expected + done * out, count * out, ink_context_kernel(ctx));
        done += count;
        free(x_block);
        free(y_block);
    }
}

/* Whole = any pieces = token by token, for every kernel and 1 to 3 threads, at any alignment. */
static void attention_has_the_same_bits_everywhere(void **unused)
{
    (void)unused;
    /* The second is large enough that single tokens, too, are spread over the workers. */
    static const ink_attention attentions[] = {HEADS(4, 2, 24),        HEADS(4, 2, 256),      HEADS(3, 1, 7),
                                               WINDOW(3, 1, 7, 5),     WINDOW(4, 2, 24, 260), BOTH_SIDES(3, 1, 7, 5),
                                               BOTH_SIDES(4, 2, 24, 0)};
    const size_t n = 300; /* past one block of a sum, and for the windows blocks that are left out */
    for (size_t a = 0; a < sizeof attentions / sizeof attentions[0]; a++) {
        const ink_attention *attention = &attentions[a];
        ink_context *ctx = test_context(1), *other = NULL;
        float *qkv = test_random(n * qkv_width(attention), a, 1);
        float *expected = attend_whole(ctx, attention, qkv, n);
        for (size_t i = 0; (other = test_variant(other, i)) != NULL; i++) {
            const size_t pieces[] = {n, 1, 0, 33};
            for (size_t p = 0; p < (attention->bidirectional ? 1 : sizeof pieces / sizeof pieces[0]); p++) {
                ink_kv_cache *cache;
                assert_ok(other, ink_kv_cache_create(other, attention, n + 5 * p, &cache));
                check_pieces(other, attention, cache, qkv, n, pieces[p], expected);
                ink_kv_cache_free(cache);
            }
        }
        free(qkv);
        free(expected);
        ink_context_free(ctx);
    }
}

/* After going back, what was there leaves no trace, not even an infinity. */
static void rewinding_leaves_nothing_behind(ink_context *ctx)
{
    const ink_attention attention = HEADS(4, 2, 10);
    const size_t n = 70, width = qkv_width(&attention), out = y_width(&attention);
    float *qkv = test_random(n * width, 8, 1), *junk = test_floats(n * width), *y = test_floats(n * out);
    float *expected = attend_whole(ctx, &attention, qkv, n);
    for (size_t i = 0; i < n * width; i++)
        junk[i] = i % 3 == 0 ? INFINITY : i % 3 == 1 ? NAN : 1e30f;
    for (size_t back = 0; back < n; back += 9) {
        ink_kv_cache *cache;
        assert_ok(ctx, ink_kv_cache_create(ctx, &attention, n, &cache));
        if (back > 0)
            assert_ok(ctx, ink_attention_forward(ctx, &attention, cache, qkv, back, y));
        assert_ok(ctx, ink_attention_forward(ctx, &attention, cache, junk, n - back, y));
        assert_fails(ctx, ink_kv_cache_rewind(ctx, cache, n + 1), INK_ERROR_ARGUMENT, "71");
        assert_int_equal(ink_kv_cache_length(cache), n);
        assert_ok(ctx, ink_kv_cache_rewind(ctx, cache, back));
        assert_int_equal(ink_kv_cache_length(cache), back);
        check_pieces(ctx, &attention, cache, qkv, n, 7, expected);
        ink_kv_cache_free(cache);
    }
    free(qkv);
    free(junk);
    free(y);
    free(expected);
}

/* ---- memory --------------------------------------------------------------------------------------------------- */

static void attention_allocates_nothing_after_reserve(void **unused)
{
    (void)unused;
    counting memory;
    ink_context *ctx = counting_begin(&memory, 1);
    const ink_attention attention = HEADS(6, 3, 40);
    const size_t n = 400;
    float *qkv = test_random(n * qkv_width(&attention), 1, 1), *y = test_floats(n * y_width(&attention));
    ink_kv_cache *cache;
    assert_ok(ctx, ink_kv_cache_create(ctx, &attention, n, &cache));
    assert_ok(ctx, ink_attention_reserve(ctx, &attention, n, n));
    size_t takes = memory.takes;
    assert_ok(ctx, ink_attention_forward(ctx, &attention, cache, qkv, n - 1, y));
    assert_ok(ctx, ink_attention_forward(ctx, &attention, cache, qkv, 1, y));
    assert_int_equal(memory.takes, takes);
    ink_context_free(ctx);

    /* The scratch does not grow with the square of the length: some rows, not all, times the positions. */
    ctx = counting_context(&memory, 1);
    assert_ok(ctx, ink_kv_cache_rewind(ctx, cache, 0));
    size_t live = memory.live_bytes;
    memory.peak_bytes = live;
    assert_ok(ctx, ink_attention_forward(ctx, &attention, cache, qkv, n, y));
    assert_true(memory.peak_bytes - live < attention.n_heads * 40 * n * sizeof(float));
    ink_context_free(ctx);

    /* No memory: a sentence, and the cache as it was. */
    ctx = counting_context(&memory, 1);
    assert_ok(ctx, ink_kv_cache_rewind(ctx, cache, 3));
    assert_true(runs_out_of_memory(ctx, &memory, 1, ink_attention_forward(ctx, &attention, cache, qkv, 50, y), NULL));
    assert_int_equal(ink_kv_cache_length(cache), 3);
    ink_kv_cache_free(cache);
    assert_true(
        runs_out_of_memory(ctx, &memory, 1, ink_kv_cache_create(ctx, &attention, n, &cache), "key/value cache"));
    assert_null(cache);
    counting_end(&memory, ctx);
    free(qkv);
    free(y);
}

/* Many heads over many positions: the scores of a whole group would take 320 MiB. Fewer rows at a time give the same
   bits as one, and reserving takes what is used. */
static void long_sequences_take_bounded_scratch(void **unused)
{
    (void)unused;
    counting memory;
    ink_context *ctx = counting_begin(&memory, 2);
    const ink_attention attention = HEADS(256, 1, 2);
    const size_t n = 640, capacity = 10000, width = qkv_width(&attention), out = y_width(&attention);
    float *qkv = test_random(n * width, 1, 1), *y = test_floats(n * out);
    ink_kv_cache *cache;
    assert_ok(ctx, ink_kv_cache_create(ctx, &attention, capacity, &cache));
    size_t before = memory.peak_bytes = memory.live_bytes;
    assert_ok(ctx, ink_attention_reserve(ctx, &attention, capacity, n));
    assert_true(memory.peak_bytes - before < (size_t)20 << 20);
    size_t takes = memory.takes;
    assert_ok(ctx, ink_attention_forward(ctx, &attention, cache, qkv, n, y));
    assert_int_equal(memory.takes, takes);
    assert_ok(ctx, ink_kv_cache_rewind(ctx, cache, n - 40));
    check_pieces(ctx, &attention, cache, qkv, n, 1, y);
    ink_kv_cache_free(cache);
    counting_end(&memory, ctx);
    free(qkv);
    free(y);
}

/* ---- misuse --------------------------------------------------------------------------------------------------- */

static void impossible_attention_is_refused(ink_context *ctx)
{
    static const struct {
        ink_attention attention;
        const char *words;
    } cases[] = {
        {HEADS(0, 1, 8), "n_heads 0"},         {HEADS(1, 0, 8), "n_kv_heads 0"},
        {HEADS(1, 1, 0), "head_dim 0"},        {HEADS(6, 4, 8), "not a multiple"},
        {HEADS(2, 4, 8), "not a multiple"},    {SCALED(1, 1, 8, -1), "scale"},
        {SCALED(1, 1, 8, NAN), "scale"},       {SCALED(1, 1, 8, INFINITY), "scale"},
        {HEADS(SIZE_MAX, 1, 8), "memory"},     {HEADS(SIZE_MAX, SIZE_MAX, 1), "memory"},
        {HEADS(4, 4, SIZE_MAX / 8), "memory"},
    };
    const ink_attention good = HEADS(2, 2, 8);
    ink_kv_cache *cache, *none;
    float qkv[48 * 5] = {0}, y[16 * 5] = {0};
    assert_ok(ctx, ink_kv_cache_create(ctx, &good, 5, &cache));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const ink_attention *bad = &cases[i].attention;
        assert_fails(ctx, ink_kv_cache_create(ctx, bad, 5, &none), INK_ERROR_ARGUMENT, cases[i].words);
        assert_null(none);
        assert_fails(ctx, ink_attention_forward(ctx, bad, cache, qkv, 1, y), INK_ERROR_ARGUMENT, cases[i].words);
        assert_fails(ctx, ink_attention_reserve(ctx, bad, 5, 5), INK_ERROR_ARGUMENT, cases[i].words);
    }
    assert_fails(ctx, ink_kv_cache_create(ctx, &good, 0, &none), INK_ERROR_ARGUMENT, "capacity");
    assert_fails(ctx, ink_kv_cache_create(ctx, &good, SIZE_MAX / 16, &none), INK_ERROR_LIMIT, NULL);
    assert_fails(ctx, ink_attention_reserve(ctx, &good, SIZE_MAX / 4, 5), INK_ERROR_LIMIT, NULL);
    assert_fails(ctx, ink_kv_cache_create(ctx, NULL, 5, &none), INK_ERROR_ARGUMENT, "'attention'");
    assert_fails(ctx, ink_kv_cache_create(ctx, &good, 5, NULL), INK_ERROR_ARGUMENT, "'cache'");
    assert_int_equal(ink_kv_cache_create(NULL, &good, 5, &none), INK_ERROR_ARGUMENT);
    assert_fails(ctx, ink_kv_cache_rewind(ctx, NULL, 0), INK_ERROR_ARGUMENT, "'cache'");
    assert_fails(ctx, ink_attention_forward(ctx, NULL, cache, qkv, 1, y), INK_ERROR_ARGUMENT, "'attention'");
    assert_fails(ctx, ink_attention_forward(ctx, &good, NULL, qkv, 1, y), INK_ERROR_ARGUMENT, "'cache'");
    assert_fails(ctx, ink_attention_forward(ctx, &good, cache, NULL, 1, y), INK_ERROR_ARGUMENT, "'qkv'");
    assert_fails(ctx, ink_attention_forward(ctx, &good, cache, qkv, 1, NULL), INK_ERROR_ARGUMENT, "'y'");
    const ink_attention other = HEADS(2, 2, 4);
    assert_fails(ctx, ink_attention_forward(ctx, &other, cache, qkv, 1, y), INK_ERROR_ARGUMENT, "of size 8");

    /* A full cache says so, stays as it is, and goes on working. */
    y[0] = 55;
    assert_ok(ctx, ink_attention_forward(ctx, &good, cache, NULL, 0, NULL));
    assert_fails(ctx, ink_attention_forward(ctx, &good, cache, qkv, 6, y), INK_ERROR_LIMIT, "6 tokens after 0");
    assert_fails(ctx, ink_attention_forward(ctx, &good, cache, qkv, SIZE_MAX, y), INK_ERROR_LIMIT, NULL);
    assert_true(y[0] == 55);
    assert_ok(ctx, ink_attention_forward(ctx, &good, cache, qkv, 4, y));
    assert_fails(ctx, ink_attention_forward(ctx, &good, cache, qkv, 2, y), INK_ERROR_LIMIT, "2 tokens after 4");
    assert_int_equal(ink_kv_cache_length(cache), 4);
    assert_ok(ctx, ink_attention_forward(ctx, &good, cache, qkv, 1, y));
    ink_kv_cache_free(cache);
    ink_kv_cache_free(NULL);
}

/* ---- looking inside ------------------------------------------------------------------------------------------- */

typedef struct attention_seen {
    size_t n_scores, n_weights, rows;
} attention_seen;

/* Every row of weights sums to 1 over what the row sees and is zero beyond. */
static void check_weights(void *user, const char *name, const ink_tensor *value)
{
    attention_seen *seen = user;
    const float *row = value->data;
    size_t heads = value->shape.dim[0], rows = value->shape.dim[1], positions = value->shape.dim[2];
    assert_int_equal(value->shape.rank, 3);
    seen->n_scores += strcmp(name, "attn.scores") == 0;
    if (strcmp(name, "attn.weights") != 0)
        return;
    seen->n_weights++;
    seen->rows += rows;
    for (size_t i = 0; i < heads * rows; i++, row += positions) {
        double sum = 0;
        size_t n_seen = positions - (rows - 1 - i % rows);
        for (size_t t = 0; t < positions; t++) {
            sum += row[t];
            assert_true(t < n_seen ? row[t] >= 0 : row[t] == 0);
        }
        assert_true(fabs(sum - 1) < 1e-6);
    }
}

static void attention_shows_scores_and_weights(void **unused)
{
    (void)unused;
    ink_context *ctx = test_context(2);
    const ink_attention attention = HEADS(4, 2, 12);
    const size_t n = 70;
    attention_seen seen = {0};
    float *qkv = test_random(n * qkv_width(&attention), 1, 2);
    float *expected = attend_whole(ctx, &attention, qkv, n);
    ink_context_trace(ctx, check_weights, &seen);
    float *y = attend_whole(ctx, &attention, qkv, n);
    assert_int_equal(seen.rows, n);
    assert_int_equal(seen.n_scores, seen.n_weights);
    test_assert_same_bits(y, expected, n * y_width(&attention), "looking changes nothing");
    free(qkv);
    free(expected);
    free(y);
    ink_context_free(ctx);
}

/* ---- the block ------------------------------------------------------------------------------------------------ */

static ink_attention block_attention = {.n_heads = 3, .n_kv_heads = 3, .head_dim = 16};

static ink_result plan_block(ink_plan *plan, ink_stack *stack)
{
    const ink_bias_rule any = INK_BIAS_IF_THERE;
    ink_block *block = stack->blocks = ink_plan_array(plan, 1, sizeof *block);
    stack->config =
        (ink_stack_config){.n_blocks = 1, .hidden_size = 48, .inner_size = 100, .attention = &block_attention};
    ink_plan_enter_module(plan, "block");
    INK_TRY(ink_plan_norm(plan, "norm_1", INK_LAYER_NORM, 48, 1e-5f, any, &block->norm_1));
    INK_TRY(ink_plan_dense(plan, "qkv", 144, 48, any, INK_IDENTITY, &block->qkv));
    INK_TRY(ink_plan_dense(plan, "out", 48, 48, any, INK_IDENTITY, &block->out));
    INK_TRY(ink_plan_norm(plan, "norm_2", INK_LAYER_NORM, 48, 1e-5f, any, &block->norm_2));
    INK_TRY(ink_plan_dense(plan, "up", 100, 48, any, INK_GELU_TANH, &block->up));
    return ink_plan_dense(plan, "down", 48, 100, any, INK_IDENTITY, &block->down);
}

/* Two sequences, one whole and one behind its first 10 tokens, side by side in one run: PyTorch's numbers, and the
   second the same bits as within the first. */
static void block_gives_the_numbers_of_pytorch(ink_context *ctx)
{
    ink_weights *fixture = test_fixture(ctx, FIXTURES "/layers/attention.safetensors");
    ink_plan plan;
    void *object;
    size_t n_x;
    float *x = test_tensor(ctx, fixture, "case.block.x", &n_x);
    float *expected = test_tensor(ctx, fixture, "case.block.y", NULL);
    assert_ok(ctx, ink_plan_begin(&plan, ctx, fixture, "the block", sizeof(ink_stack), &object));
    assert_ok(ctx, ink_plan_finish(&plan, plan_block(&plan, object), 0));
    const ink_stack *stack = object;
    const size_t hidden = 48, n = n_x / hidden, rows = 2 * n - 10;
    void *caches[2];
    float *both = test_floats(rows * hidden);
    memcpy(both, x, n_x * sizeof *x);
    memcpy(both + n_x, x + 10 * hidden, (n - 10) * hidden * sizeof *x);
    for (size_t i = 0; i < 2; i++)
        caches[i] = test_aligned(ink_kv_cache_bytes(&block_attention, n, INK_F32));

    ink_stack_scratch scratch;
    ink_arena_mark mark = ink_arena_mark_here(&ctx->scratch);
    ink_stack_alloc_scratch(&ctx->scratch, &stack->config, n, rows, &scratch);
    assert_false(ink_arena_failed(&ctx->scratch));
    float *start = test_floats(10 * hidden);
    memcpy(start, x, 10 * hidden * sizeof *x);
    const ink_span first = {.kv = caches[1], .capacity = n, .count = 10};
    ink_stack_run(ctx, stack, "h", &scratch, &first, 1, start, 10);
    const ink_span spans[] = {{.kv = caches[0], .capacity = n, .count = n},
                              {.kv = caches[1], .capacity = n, .before = 10, .first = n, .count = n - 10}};
    ink_stack_run(ctx, stack, "h", &scratch, spans, 2, both, rows);
    ink_arena_release(&ctx->scratch, mark);

    test_assert_close(both, expected, n_x, ABSOLUTE, RELATIVE, "block");
    test_assert_same_bits(start, both, 10 * hidden, "the beginning alone");
    test_assert_same_bits(both + n_x, both + 10 * hidden, (n - 10) * hidden, "the rest beside another");
    for (size_t i = 0; i < 2; i++)
        test_aligned_free(caches[i]);
    ink_object_free(object);
    free(x);
    free(expected);
    free(both);
    free(start);
    ink_weights_free(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        context_test(attention_gives_the_numbers_of_pytorch),
        cmocka_unit_test(attention_of_every_kind_of_size_is_right),
        context_test(attention_keeps_its_precision),
        context_test(the_future_changes_nothing),
        context_test(what_a_window_passed_changes_nothing),
        context_test(what_is_outside_a_window_changes_nothing),
        cmocka_unit_test(attention_has_the_same_bits_everywhere),
        context_test(rewinding_leaves_nothing_behind),
        cmocka_unit_test(attention_allocates_nothing_after_reserve),
        cmocka_unit_test(long_sequences_take_bounded_scratch),
        context_test(impossible_attention_is_refused),
        cmocka_unit_test(attention_shows_scores_and_weights),
        context_test(block_gives_the_numbers_of_pytorch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
