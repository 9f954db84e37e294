/*
 * test_plan.c - how parameters get from a file into packed matrices: planned, and filled in chunks of any size, with
 * progress, with a choice of type, and with readers that fail.
 */
#include <stdlib.h>
#include <string.h>

#include "../src/import/plan.h"
#include "counting.h"
#include "faulty.h"
#include "numbers.h"
#include "support/layers.h"

/* What the tests load: a matrix, one that is stored transposed, a vector. */
typedef struct parts {
    ink_matrix plain, transposed;
    float *vector;
} parts;

typedef struct build_args {
    ink_context *ctx;
    const ink_weights *weights;
    ink_type type;
    size_t n, k;
    ink_progress_fn progress;
    void *progress_user;
    bool used[8];
    uint64_t n_parameters, bytes_total, bytes_read;
    uint64_t fingerprint;
} build_args;

static ink_result load_parts(build_args *args, void **object)
{
    ink_plan plan;
    void *made;
    *object = NULL;
    INK_TRY(ink_plan_begin(&plan, args->ctx, args->weights, "parts", sizeof(parts), &made));
    parts *p = made;
    plan.type = args->type;
    plan.expected = "config.json";
    plan.used = args->used;
    plan.progress = args->progress;
    plan.progress_user = args->progress_user;
    size_t scope = ink_plan_enter(&plan, "h", 3);
    ink_result result = ink_plan_matrix(&plan, "plain", args->n, args->k, false, &p->plain);
    if (result == INK_OK)
        result = ink_plan_matrix(&plan, "transposed", args->n, args->k, true, &p->transposed);
    ink_plan_leave(&plan, scope);
    if (result == INK_OK)
        result = ink_plan_vector(&plan, "vector", args->n, &p->vector);
    args->n_parameters = plan.n_parameters;
    args->bytes_total = plan.bytes_total;
    INK_TRY(ink_plan_finish(&plan, result, 0));
    args->bytes_read = plan.bytes_read;
    args->fingerprint = plan.fingerprint;
    *object = p;
    return INK_OK;
}

/* `count` floats as elements of `type`, malloc'ed. They are small multiples of 1/8, which every type holds exactly. */
static void *as_type(const float *x, size_t count, ink_type type)
{
    size_t size = ink_type_bits(type) / 8;
    unsigned char *out = malloc(count * size + 1);
    assert_non_null(out);
    for (size_t i = 0; i < count; i++) {
        double wide = x[i];
        uint16_t bf16 = bf16_of(x[i]), f16 = type == INK_F16 ? f16_of(x[i]) : 0;
        const void *from = type == INK_F32 ? (const void *)&x[i] : type == INK_F64 ? (const void *)&wide : &bf16;
        memcpy(out + i * size, type == INK_F16 ? &f16 : from, size);
    }
    return out;
}

static float *eighths(size_t count, uint64_t seed)
{
    float *x = test_random(count, seed, 1);
    for (size_t i = 0; i < count; i++)
        x[i] = (x[i] < 0 ? -1 : 1) * (float)(1 + (i * 31 + seed) % 100) / 8;
    return x;
}

typedef struct stored {
    state_dict dict;
    float *w, *v; /* [n, k], [n] */
} stored;

static void store(stored *file, size_t n, size_t k, ink_type type)
{
    memset(file, 0, sizeof *file);
    file->w = eighths(n * k, n);
    file->v = eighths(n, k);
    float *transposed = test_floats(n * k);
    for (size_t i = 0; i < n; i++)
        for (size_t t = 0; t < k; t++)
            transposed[t * n + i] = file->w[i * k + t];
    void *plain = as_type(file->w, n * k, type), *other = as_type(transposed, n * k, type);
    void *vector = as_type(file->v, n, type);
    state_dict_add(&file->dict, "h.3.plain", type, 2, (size_t[]){n, k}, plain);
    state_dict_add(&file->dict, "h.3.transposed", type, 2, (size_t[]){k, n}, other);
    state_dict_add(&file->dict, "vector", type, 1, (size_t[]){n}, vector);
    state_dict_add(&file->dict, "unused", INK_I64, 1, (size_t[]){2}, NULL);
    free(transposed);
    free(plain);
    free(other);
    free(vector);
}

static void unstore(stored *file)
{
    state_dict_free(&file->dict);
    free(file->w);
    free(file->v);
}

static void check_matrix(ink_context *ctx, const ink_matrix *matrix, const float *w, ink_type type)
{
    float *row = test_floats(matrix->k);
    assert_int_equal(matrix->type, type);
    for (size_t i = 0; i < matrix->n; i++) {
        assert_ok(ctx, ink_matrix_row(ctx, matrix, i, row));
        test_assert_same_bits(row, w + i * matrix->k, matrix->k, "row");
    }
    free(row);
}

/* ---- reading -------------------------------------------------------------------------------------------------- */

/* Returns the fingerprint of what was read. */
static uint64_t check_size(ink_context *ctx, size_t n, size_t k, ink_type stored_type, ink_type type)
{
    stored file;
    void *object;
    store(&file, n, k, stored_type);
    ink_weights *weights = state_dict_open(ctx, &file.dict);
    build_args args = {.ctx = ctx, .weights = weights, .type = type, .n = n, .k = k};
    assert_ok(ctx, load_parts(&args, &object));
    const parts *p = object;
    ink_type expected = type != INK_TYPE_NONE ? type : stored_type == INK_F64 ? INK_F32 : stored_type;
    check_matrix(ctx, &p->plain, file.w, expected);
    check_matrix(ctx, &p->transposed, file.w, expected);
    test_assert_same_bits(p->vector, file.v, n, "vector");
    assert_int_equal(args.n_parameters, 2 * n * k + n);
    assert_int_equal(args.bytes_total, (2 * n * k + n) * ink_type_bits(stored_type) / 8);
    assert_int_equal(args.bytes_read, args.bytes_total);
    ink_object_free(object);
    unstore(&file);
    return args.fingerprint;
}

/* Rows that are longer than a piece of the file, many to a piece, and a few that are not a whole panel. */
static void matrices_of_every_kind_of_size_arrive_whole(void **unused)
{
    (void)unused;
    static const size_t sizes[][2] = {{1, 1}, {17, 5}, {20, 20000}, {1000, 50}, {50, 1000}, {37, 3000}, {16, 1024}};
    static const ink_type types[] = {INK_F32, INK_BF16, INK_F16, INK_F64};
    ink_context *ctx = test_context(1), *threads = test_context(3);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (size_t t = 0; t < 4; t++) {
            uint64_t fingerprint = check_size(ctx, sizes[i][0], sizes[i][1], types[t], INK_TYPE_NONE);
            assert_int_equal(check_size(threads, sizes[i][0], sizes[i][1], types[t], INK_TYPE_NONE), fingerprint);
        }
    for (size_t t = 0; t < 4; t++) {
        check_size(ctx, 33, 70, types[t], INK_F32);
        check_size(ctx, 33, 70, types[t], INK_BF16);
        check_size(ctx, 33, 70, types[t], INK_F16);
    }
    ink_context_free(ctx);
    ink_context_free(threads);
}

typedef struct stack {
    ink_context *ctx;
    const ink_weights *weights;
    const char *const *names; /* [3] */
    const size_t *sizes;      /* [3] */
    size_t k;
    ink_type type;
} stack;

static ink_result load_stack(const stack *args, void **object)
{
    ink_plan plan;
    ink_plan_part list[3];
    void *made;
    *object = NULL;
    for (size_t i = 0; i < 3; i++)
        list[i] = (ink_plan_part){.module = args->names[i], .out = args->sizes[i]};
    INK_TRY(ink_plan_begin(&plan, args->ctx, args->weights, "stacked", sizeof(ink_dense), &made));
    plan.type = args->type;
    INK_TRY(ink_plan_finish(&plan, ink_plan_dense_parts(&plan, list, 3, args->k, made), 0));
    *object = made;
    return INK_OK;
}

enum { STACKED = 3, STACKED_COLUMNS = 70 };
static const size_t stacked_rows[STACKED] = {605, 3, 700};
static const char *const stacked_names[STACKED] = {"a", "b", "c"};

static void check_stacked(ink_context *ctx, const float *w)
{
    static const char *const names[STACKED] = {"a.weight", "b.weight", "c.weight"};
    state_dict dict = {0};
    size_t first = 0;
    for (size_t i = 0; i < STACKED; first += stacked_rows[i++])
        state_dict_add(&dict, names[i], INK_F32, 2, (size_t[]){stacked_rows[i], STACKED_COLUMNS},
                       w + first * STACKED_COLUMNS);
    ink_weights *weights = state_dict_open(ctx, &dict);
    void *object;
    assert_ok(ctx,
              load_stack(&(stack){ctx, weights, stacked_names, stacked_rows, STACKED_COLUMNS, INK_TYPE_NONE}, &object));
    check_matrix(ctx, &((ink_dense *)object)->weight, w, INK_F32);
    ink_object_free(object);
    state_dict_free(&dict);
}

/* Tensors end inside panels and pieces, and threads pack what lies beside each other. */
static void stacked_tensors_arrive_whole_with_threads(void **unused)
{
    (void)unused;
    size_t n = 0;
    for (size_t i = 0; i < STACKED; i++)
        n += stacked_rows[i];
    float *w = eighths(n * STACKED_COLUMNS, 1);
    for (unsigned n_threads = 1; n_threads <= 3; n_threads++) {
        ink_context *ctx = test_context(n_threads);
        check_stacked(ctx, w);
        ink_context_free(ctx);
    }
    free(w);
}

/* The memory that loading takes at its height is that of the object and little more. */
static void loading_takes_little_more_than_the_weights(ink_context *ctx, counting *memory)
{
    stored file;
    void *object;
    store(&file, 1000, 300, INK_F32);
    ink_weights *weights = state_dict_open(ctx, &file.dict);
    build_args args = {.ctx = ctx, .weights = weights, .n = 1000, .k = 300};
    size_t before = memory->live_bytes;
    memory->peak_bytes = before;
    assert_ok(ctx, load_parts(&args, &object));
    assert_true(memory->peak_bytes - before < ink_object_bytes(object) + 600 * 1024);
    assert_true(ink_object_bytes(object) < (2 * 1008 * 300 + 1000) * sizeof(float) + 1024);
    ink_object_free(object);
    unstore(&file);
}

/* ---- stacked tensors ------------------------------------------------------------------------------------------ */

/* Parts of any number of rows, so that panels hold rows of two of them. */
static const char *const qkv_names[] = {"q", "k", "v"};
static const size_t part_sizes[][3] = {{5, 20, 9}, {16, 16, 16}, {1, 1, 1}, {40, 7, 33}};

/* Weights of three types, biases for those of which `biases` has the bit. */
static void store_parts(state_dict *dict, const size_t *sizes, size_t k, const ink_type *types, unsigned biases,
                        float *w, float *b)
{
    static const char *const names[][2] = {{"q.weight", "q.bias"}, {"k.weight", "k.bias"}, {"v.weight", "v.bias"}};
    for (size_t i = 0; i < 3; w += sizes[i] * k, b += sizes[i], i++) {
        void *weight = as_type(w, sizes[i] * k, types[i]), *bias = as_type(b, sizes[i], types[i]);
        state_dict_add(dict, names[i][0], types[i], 2, (size_t[]){sizes[i], k}, weight);
        if ((biases >> i & 1) != 0)
            state_dict_add(dict, names[i][1], types[i], 1, &sizes[i], bias);
        else
            memset(b, 0, sizes[i] * sizeof *b);
        free(weight);
        free(bias);
    }
}

static void check_stack(ink_context *ctx, const size_t *sizes, size_t k, const ink_type *types, unsigned biases,
                        ink_type type, ink_type expected)
{
    size_t n = sizes[0] + sizes[1] + sizes[2];
    float *w = eighths(n * k, n + biases), *b = eighths(n, 3);
    state_dict dict = {0};
    void *object;
    store_parts(&dict, sizes, k, types, biases, w, b);
    ink_weights *weights = state_dict_open(ctx, &dict);
    stack args = {ctx, weights, qkv_names, sizes, k, type};
    assert_ok(ctx, load_stack(&args, &object));
    const ink_dense *dense = object;
    assert_int_equal(dense->weight.n, n);
    check_matrix(ctx, &dense->weight, w, expected);
    assert_int_equal(dense->bias != NULL, biases != 0);
    if (biases != 0)
        test_assert_same_bits(dense->bias, b, n, "bias");
    ink_object_free(object);
    state_dict_free(&dict);
    free(w);
    free(b);
}

static void stacked_tensors_arrive_whole(ink_context *ctx)
{
    static const ink_type alike[] = {INK_BF16, INK_BF16, INK_BF16}, mixed[] = {INK_BF16, INK_F32, INK_BF16};
    static const ink_type wide[] = {INK_F64, INK_F64, INK_F64}, halves[] = {INK_F16, INK_F16, INK_F16};
    for (size_t i = 0; i < sizeof part_sizes / sizeof part_sizes[0]; i++)
        for (unsigned biases = 0; biases < 8; biases++) {
            const size_t *sizes = part_sizes[i];
            check_stack(ctx, sizes, 13, alike, biases, INK_TYPE_NONE, INK_BF16);
            check_stack(ctx, sizes, 13, halves, biases, INK_TYPE_NONE, INK_F16);
            check_stack(ctx, sizes, 13, mixed, biases, INK_TYPE_NONE, INK_F32); /* which holds them all */
            check_stack(ctx, sizes, 13, wide, biases, INK_TYPE_NONE, INK_F32);
            check_stack(ctx, sizes, 13, mixed, biases, INK_BF16, INK_BF16);
            check_stack(ctx, sizes, 5000, alike, biases, INK_F32, INK_F32); /* several pieces of the file to a part */
        }
}

/* A part that is missing, of another shape, or stored as what cannot be read, by its own name. */
static void stacked_tensors_are_checked(ink_context *ctx)
{
    static const size_t sizes[] = {5, 20, 9}, other[] = {5, 19, 9};
    static const ink_type types[] = {INK_F32, INK_F32, INK_F32};
    float *w = eighths(34 * 13, 1), *b = eighths(34, 3);
    state_dict dict = {0};
    void *object;
    store_parts(&dict, sizes, 13, types, 7, w, b);
    ink_weights *weights = state_dict_open(ctx, &dict);
    stack args = {ctx, weights, qkv_names, other, 13, INK_TYPE_NONE};
    assert_fails(ctx, load_stack(&args, &object), INK_ERROR_MISMATCH,
                 "tensor 'k.weight' is [20, 13], expected [19, 13]");
    assert_null(object);
    state_dict_free(&dict);

    store_parts(&dict, sizes, 13, types, 0, w, b);
    state_dict_vector(&dict, "v.bias", 8);
    weights = state_dict_open(ctx, &dict);
    args = (stack){ctx, weights, qkv_names, sizes, 13, INK_TYPE_NONE};
    assert_fails(ctx, load_stack(&args, &object), INK_ERROR_MISMATCH, "tensor 'v.bias' is [8], expected [9]");
    state_dict_free(&dict);

    state_dict_matrix(&dict, "q.weight", 5, 13);
    state_dict_add(&dict, "k.weight", INK_I64, 2, (size_t[]){20, 13}, NULL);
    weights = state_dict_open(ctx, &dict);
    args.weights = weights;
    assert_fails(ctx, load_stack(&args, &object), INK_ERROR_UNSUPPORTED, "'k.weight' is of type I64");
    state_dict_free(&dict);
    free(w);
    free(b);
}

/* ---- progress ------------------------------------------------------------------------------------------------- */

typedef struct progress_log {
    size_t calls, stop_at;
    uint64_t done, total;
} progress_log;

static bool log_progress(void *user, uint64_t done, uint64_t total)
{
    progress_log *log = user;
    assert_true(done > log->done);
    assert_true(done <= total);
    log->done = done;
    log->total = total;
    return ++log->calls != log->stop_at;
}

static void progress_is_told_and_can_cancel(ink_context *ctx, counting *memory)
{
    stored file;
    void *object;
    store(&file, 2000, 100, INK_F32);
    ink_weights *weights = state_dict_open(ctx, &file.dict);
    progress_log log = {0};
    build_args args = {
        .ctx = ctx, .weights = weights, .n = 2000, .k = 100, .progress = log_progress, .progress_user = &log};
    assert_ok(ctx, load_parts(&args, &object));
    assert_true(log.calls > 5);
    assert_int_equal(log.done, (2 * 2000 * 100 + 2000) * sizeof(float));
    assert_int_equal(log.total, log.done);
    ink_object_free(object);

    size_t n_calls = log.calls, before = memory->live_bytes;
    for (size_t stop = 1; stop <= n_calls; stop++) {
        log = (progress_log){.stop_at = stop};
        object = &log;
        assert_fails(ctx, load_parts(&args, &object), INK_ERROR_CANCELLED, "cancelled");
        assert_null(object);
        assert_int_equal(log.calls, stop);
        assert_int_equal(memory->live_bytes, before);
    }
    unstore(&file);
}

static void what_was_asked_for_is_marked(void **unused)
{
    (void)unused;
    ink_context *ctx = test_context(1);
    stored file;
    void *object;
    store(&file, 5, 4, INK_F32);
    ink_weights *weights = state_dict_open(ctx, &file.dict);
    build_args args = {.ctx = ctx, .weights = weights, .n = 5, .k = 4};
    assert_ok(ctx, load_parts(&args, &object));
    for (size_t i = 0; i < ink_weights_count(weights); i++)
        assert_int_equal(args.used[i], strcmp(ink_weights_at(weights, i)->name, "unused") != 0);
    ink_object_free(object);
    unstore(&file);
    ink_context_free(ctx);
}

/* ---- what can go wrong ---------------------------------------------------------------------------------------- */

static void the_sentence_says_who_asks_for_what(ink_context *ctx)
{
    stored file;
    void *object;
    store(&file, 5, 4, INK_F32);
    ink_weights *weights = state_dict_open(ctx, &file.dict);
    build_args args = {.ctx = ctx, .weights = weights, .n = 5, .k = 3};
    assert_fails(ctx, load_parts(&args, &object), INK_ERROR_MISMATCH,
                 "model.safetensors: tensor 'h.3.plain' is [5, 4], config.json asks for [5, 3]");
    assert_null(object);
    unstore(&file);
}

/* Every read failing once, ending early once, giving a byte at a time. */
static void readers_that_fail_leave_nothing_behind(ink_context *ctx, counting *memory)
{
    stored file;
    faulty reader;
    void *object;
    ink_weights *weights;
    store(&file, 300, 100, INK_BF16);
    state_dict_write(&file.dict);
    faulty_init(&reader, &file.dict.entry, 1);
    assert_ok(ctx, ink_weights_open_source(ctx, &reader.source, "model.safetensors", &weights));
    build_args args = {.ctx = ctx, .weights = weights, .n = 300, .k = 100};

    reader.max_read = 997; /* short reads are no failure */
    assert_ok(ctx, load_parts(&args, &object));
    check_matrix(ctx, &((const parts *)object)->transposed, file.w, INK_BF16);
    ink_object_free(object);

    reader.max_read = 0;
    size_t live = memory->live_bytes;
    for (int kind = 0; kind < 3; kind++)
        for (size_t k = 1;; k++) {
            size_t at = reader.reads + k;
            reader.fail_read = kind == 0 ? at : 0;
            reader.end_read = kind == 1 ? at : 0;
            reader.lie_read = kind == 2 ? at : 0;
            object = &reader;
            ink_result result = load_parts(&args, &object);
            if (result == INK_OK) {
                assert_true(reader.reads < at && k > 3); /* there were fewer reads than that */
                ink_object_free(object);
                break;
            }
            assert_int_equal(result, INK_ERROR_READ);
            assert_null(object);
            assert_int_equal(memory->live_bytes, live);
        }
    ink_weights_free(weights);
    assert_int_equal(reader.open_files, 0);
    unstore(&file);
}

/* Scopes nest, and one that is too long finds nothing instead of something else. */
static void scopes_nest_and_may_be_too_long(ink_context *ctx)
{
    state_dict dict = {0};
    char name[300];
    ink_plan plan;
    void *object;
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    state_dict_vector(&dict, "a.b.7.w", 1);
    state_dict_vector(&dict, "w", 1);
    ink_weights *weights = state_dict_open(ctx, &dict);
    assert_ok(ctx, ink_plan_begin(&plan, ctx, weights, "nothing", 1, &object));
    assert_true(ink_plan_has(&plan, "w"));
    size_t outer = ink_plan_enter_module(&plan, "a.b");
    assert_false(ink_plan_has(&plan, "w"));
    size_t inner = ink_plan_enter(&plan, "", 7);
    assert_true(ink_plan_has(&plan, "w"));
    assert_int_equal(ink_plan_enter_module(&plan, ""), plan.name_length);
    for (int i = 0; i < 2; i++) {
        size_t here = ink_plan_enter_module(&plan, name);
        assert_false(ink_plan_has(&plan, "w"));
        ink_plan_enter(&plan, "", 7);
        ink_plan_enter_module(&plan, "a");
        assert_false(ink_plan_has(&plan, "w"));
        ink_plan_leave(&plan, here);
        assert_true(ink_plan_has(&plan, "w"));
    }
    ink_plan_leave(&plan, inner);
    ink_plan_leave(&plan, outer);
    assert_true(ink_plan_has(&plan, "w"));

    /* Up to the last byte that fits: 250 bytes, then ".w" with its end. */
    name[250] = '\0';
    size_t scope = ink_plan_enter_module(&plan, name);
    assert_int_equal(plan.name_length, 251);
    ink_plan_enter(&plan, "", 123456);
    assert_false(ink_plan_has(&plan, "w"));
    ink_plan_leave(&plan, scope);
    assert_true(ink_plan_has(&plan, "w"));
    assert_ok(ctx, ink_plan_finish(&plan, INK_OK, 0));
    ink_object_free(object);
    state_dict_free(&dict);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matrices_of_every_kind_of_size_arrive_whole),
        cmocka_unit_test(stacked_tensors_arrive_whole_with_threads),
        counted_test(loading_takes_little_more_than_the_weights),
        context_test(stacked_tensors_arrive_whole),
        context_test(stacked_tensors_are_checked),
        counted_test(progress_is_told_and_can_cancel),
        cmocka_unit_test(what_was_asked_for_is_marked),
        context_test(the_sentence_says_who_asks_for_what),
        counted_test(readers_that_fail_leave_nothing_behind),
        context_test(scopes_nest_and_may_be_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
