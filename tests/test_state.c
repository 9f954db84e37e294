/*
 * test_state.c - what changes while a sequence runs: exact sizes, the caller's memory, going back, copies, saved bytes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "counting.h"
#include "fixture.h"

#include "../src/base/bytes.h"
#include "../src/models/networks.h"

#if defined(__unix__) || defined(__APPLE__)
#include <sys/mman.h>
#include <unistd.h>
#define HAVE_GUARD_PAGES 1
#endif

/* Runs tokens first .. end - 1 and compares the logits of the last of them with those of an undisturbed run. */
static void run_and_compare(const fixture *f, ink_state *state, size_t first, size_t end, const float *whole,
                            const char *what)
{
    size_t vocab_size = f->info->vocab_size;
    float *logits = malloc(vocab_size * sizeof *logits);
    assert_ok(f->ctx, ink_model_forward(f->ctx, f->model, state, f->tokens + first, end - first, logits));
    assert_int_equal(ink_state_length(state), end);
    assert_same_bits(f->name, what, logits, whole + (end - 1) * vocab_size, vocab_size);
    free(logits);
}

/* ---- memory --------------------------------------------------------------------------------------------------- */

#ifdef HAVE_GUARD_PAGES
/* A state whose block ends where memory that may not be touched begins. */
static void a_state_stays_in_a_block_of_the_exact_size(const fixture *f)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    float *whole = fixture_run(f->ctx, f->model, f->tokens, f->n_tokens);
    size_t size;
    assert_ok(f->ctx, ink_state_size(f->ctx, f->model, 33, &size));
    size_t pages = (size + page - 1) / page * page;
    unsigned char *memory = mmap(NULL, pages + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED);
    assert_int_equal(mprotect(memory + pages, page, PROT_NONE), 0);
    assert_int_equal(size % INK_ALIGNMENT, 0);

    unsigned char *block = memory + pages - size;
    ink_state *state;
    assert_ok(f->ctx, ink_state_create_in(f->ctx, f->model, 33, block, size, &state));
    run_and_compare(f, state, 0, 20, whole, "in a block of the exact size");
    run_and_compare(f, state, 20, 33, whole, "in a block of the exact size");
    ink_state *other = fixture_state(f->ctx, f->model);
    run_and_compare(f, other, 0, 32, whole, "the original");
    ink_state_reset(state);
    assert_ok(f->ctx, ink_state_copy(f->ctx, other, state));
    run_and_compare(f, state, 32, 33, whole, "a copy in a block of the exact size");
    ink_state_free(other);
    ink_state_free(state);
    assert_fails(f->ctx, ink_state_create_in(f->ctx, f->model, 33, block, size - 1, &state), INK_ERROR_MEMORY,
                 "are needed");
    assert_null(state);
    assert_fails(f->ctx, ink_state_create_in(f->ctx, f->model, 33, block - 4, size, &state), INK_ERROR_ARGUMENT,
                 "multiple of 64");
    assert_null(state);
    munmap(memory, pages + page);
    free(whole);
}

#endif

/* The size reported is what is taken from the hook, to the byte but for the alignment of the block. */
static void the_size_reported_is_taken(const fixture *f)
{
    counting memory;
    size_t size;
    ink_state *state;
    ink_context *ctx = counting_begin(&memory, 1);
    size_t before = memory.live_bytes;
    assert_ok(ctx, ink_state_size(ctx, f->model, 20, &size));
    assert_int_equal(memory.live_bytes, before);
    assert_ok(ctx, ink_state_create(ctx, f->model, 20, &state));
    assert_true(memory.live_bytes - before >= size);
    assert_true(memory.live_bytes - before < size + INK_ALIGNMENT);
    ink_state_free(state);
    assert_int_equal(memory.live_bytes, before);

    counting_fail_at(&memory, 1);
    assert_fails(ctx, ink_state_create(ctx, f->model, 20, &state), INK_ERROR_MEMORY, "the state");
    assert_true(counting_failed(&memory));
    assert_null(state);
    counting_end(&memory, ctx);
}

static void a_state_has_room_for_what_was_asked(void **unused)
{
    fixture f;
    size_t all, some;
    ink_state *state;
    (void)unused;
    fixture_open(&f, "gpt2");
    assert_ok(f.ctx, ink_state_size(f.ctx, f.model, 0, &all));
    assert_ok(f.ctx, ink_state_size(f.ctx, f.model, 48, &some));
    assert_int_equal(all, some);
    assert_ok(f.ctx, ink_state_size(f.ctx, f.model, 16, &some));
    assert_true(some < all);
    assert_fails(f.ctx, ink_state_size(f.ctx, f.model, 49, &some), INK_ERROR_LIMIT, "48 tokens long");
    assert_fails(f.ctx, ink_state_create(f.ctx, f.model, SIZE_MAX, &state), INK_ERROR_LIMIT, "48 tokens long");
    assert_null(state);
    fixture_close(&f);

    fixture_open(&f, "lstm"); /* any length in the same memory */
    assert_ok(f.ctx, ink_state_size(f.ctx, f.model, 1, &some));
    assert_ok(f.ctx, ink_state_size(f.ctx, f.model, SIZE_MAX, &all));
    assert_int_equal(all, some);
    fixture_close(&f);
}

/* ---- going back ----------------------------------------------------------------------------------------------- */

static void a_reset_forgets_everything(const fixture *f)
{
    float *whole = fixture_run(f->ctx, f->model, f->tokens, f->n_tokens);
    ink_state *state = fixture_state(f->ctx, f->model);
    assert_ok(f->ctx, ink_model_forward(f->ctx, f->model, state, f->tokens + 5, 30, NULL));
    ink_state_reset(state);
    assert_int_equal(ink_state_length(state), 0);
    run_and_compare(f, state, 0, 17, whole, "after a reset");
    assert_ok(f->ctx, ink_state_rewind(f->ctx, state, 0));
    run_and_compare(f, state, 0, 18, whole, "after a rewind to the beginning");
    ink_state_free(state);
    free(whole);
}

static void a_rewind_goes_back_or_is_refused(const fixture *f)
{
    float *whole = fixture_run(f->ctx, f->model, f->tokens, f->n_tokens);
    ink_state *state = fixture_state(f->ctx, f->model);
    run_and_compare(f, state, 0, 20, whole, "before a rewind");
    assert_ok(f->ctx, ink_state_rewind(f->ctx, state, 20));
    assert_fails(f->ctx, ink_state_rewind(f->ctx, state, 21), INK_ERROR_ARGUMENT, "21");
    if (f->info->context_length != 0) {
        assert_ok(f->ctx, ink_model_forward(f->ctx, f->model, state, f->tokens, 18, NULL)); /* to be forgotten */
        for (size_t length = 20; length > 0; length -= 5) {
            assert_ok(f->ctx, ink_state_rewind(f->ctx, state, length));
            assert_int_equal(ink_state_length(state), length);
            run_and_compare(f, state, length, length + 3, whole, "after a rewind");
        }
    } else {
        assert_fails(f->ctx, ink_state_rewind(f->ctx, state, 19), INK_ERROR_UNSUPPORTED, "copy it before it runs");
        run_and_compare(f, state, 20, 25, whole, "after a refused rewind");
    }
    ink_state_free(state);
    free(whole);
}

/* Another sequence with the same beginning: the state keeps what it can of it, and what runs behind it is as
   undisturbed. The last token is always left to run. */
static void a_state_follows_what_is_common(const fixture *f)
{
    static const struct {
        size_t seen, common, n, kept;
    } rows[] = {{20, 20, 25, 20}, {20, 12, 25, 12}, {20, 0, 25, 0}, {20, 20, 20, 19}, {20, 20, 12, 11}, {0, 0, 5, 0}};
    float *whole = fixture_run(f->ctx, f->model, f->tokens, f->n_tokens);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ink_state *state = fixture_state(f->ctx, f->model);
        ink_token seen[32];
        size_t kept = 99, expected = f->info->context_length != 0 || rows[i].kept == rows[i].seen ? rows[i].kept : 0;
        for (size_t k = 0; k < rows[i].seen; k++)
            seen[k] = k < rows[i].common ? f->tokens[k] : (f->tokens[k] + 1) % (ink_token)f->info->vocab_size;
        if (rows[i].seen > 0)
            assert_ok(f->ctx, ink_model_forward(f->ctx, f->model, state, seen, rows[i].seen, NULL));
        assert_ok(f->ctx, ink_state_follow(f->ctx, state, seen, f->tokens, rows[i].n, &kept));
        assert_int_equal(kept, expected);
        assert_int_equal(ink_state_length(state), kept);
        run_and_compare(f, state, kept, rows[i].n, whole, "behind a common beginning");
        assert_fails(f->ctx, ink_state_follow(f->ctx, state, seen, f->tokens, 0, &kept), INK_ERROR_ARGUMENT,
                     "there are no tokens");
        ink_state_free(state);
    }
    free(whole);
}

/* ---- copies --------------------------------------------------------------------------------------------------- */

static void a_copy_goes_on_as_the_original(const fixture *f)
{
    static const size_t lengths[] = {0, 1, 15, 16, 17, 32};
    float *whole = fixture_run(f->ctx, f->model, f->tokens, f->n_tokens);
    ink_state *from = fixture_state(f->ctx, f->model), *to, *used;
    assert_ok(f->ctx, ink_state_create(f->ctx, f->model, 35, &to));
    assert_ok(f->ctx, ink_state_create(f->ctx, f->model, 40, &used));
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        size_t n = lengths[i];
        ink_state_reset(from);
        ink_state_reset(used);
        assert_ok(f->ctx, ink_model_forward(f->ctx, f->model, used, f->tokens + 3, 37, NULL));
        if (n > 0)
            run_and_compare(f, from, 0, n, whole, "the original");
        assert_ok(f->ctx, ink_state_copy(f->ctx, from, to));
        assert_ok(f->ctx, ink_state_copy(f->ctx, from, used));
        run_and_compare(f, to, n, n + 3, whole, "a copy");
        run_and_compare(f, used, n, n + 3, whole, "a copy over another sequence");
        run_and_compare(f, from, n, n + 2, whole, "the original after the copy");
        assert_ok(f->ctx, ink_state_copy(f->ctx, from, from));
    }
    ink_state_free(from);
    ink_state_free(to);
    ink_state_free(used);
    free(whole);
}

/* Products read panels whole, so a copy also clears the rows of its last panels that hold no key yet. */
static void a_copy_leaves_no_row_unwritten(const fixture *f)
{
    size_t size;
    ink_state *from = fixture_state(f->ctx, f->model), *to;
    assert_ok(f->ctx, ink_state_size(f->ctx, f->model, 40, &size));
    unsigned char *memory = malloc(size + INK_ALIGNMENT), *block = memory;
    block += (INK_ALIGNMENT - (uintptr_t)memory % INK_ALIGNMENT) % INK_ALIGNMENT;
    assert_ok(f->ctx, ink_model_forward(f->ctx, f->model, from, f->tokens, 5, NULL));
    memset(block, 0xFF, size); /* NaNs */
    assert_ok(f->ctx, ink_state_create_in(f->ctx, f->model, 40, block, size, &to));
    assert_ok(f->ctx, ink_state_copy(f->ctx, from, to));
    ink_kv_cache cache = ink_kv_cache_over(f->model->transformer.stack.config.attention, 40, INK_F32, to->kv);
    for (size_t head = 0; head < cache.n_kv_heads; head++)
        for (size_t row = 5; row < INK_FILL_ROWS; row++) {
            float key[64];
            ink_matrix keys = ink_kv_cache_keys(&cache, head);
            ink_matrix_read_row(&keys, row, 0, cache.head_dim, key);
            for (size_t i = 0; i < cache.head_dim; i++)
                assert_true(key[i] == 0);
        }
    ink_state_free(from);
    ink_state_free(to);
    free(memory);
}

static void a_copy_that_does_not_fit_is_refused(const fixture *f)
{
    fixture other;
    ink_state *small;
    fixture_open(&other, "lstm");
    ink_state *state = fixture_state(f->ctx, f->model), *foreign = fixture_state(f->ctx, other.model);
    float *whole = fixture_run(f->ctx, f->model, f->tokens, f->n_tokens);
    assert_ok(f->ctx, ink_state_create(f->ctx, f->model, 7, &small));
    run_and_compare(f, small, 0, 5, whole, "a small state");
    run_and_compare(f, state, 0, 8, whole, "a large state");
    assert_fails(f->ctx, ink_state_copy(f->ctx, state, small), INK_ERROR_LIMIT, "8 tokens does not fit into one for 7");
    assert_fails(f->ctx, ink_state_copy(f->ctx, foreign, small), INK_ERROR_ARGUMENT, "different models");
    assert_fails(f->ctx, ink_state_copy(f->ctx, NULL, small), INK_ERROR_ARGUMENT, "from");
    assert_fails(f->ctx, ink_state_copy(f->ctx, small, NULL), INK_ERROR_ARGUMENT, "to");
    run_and_compare(f, small, 5, 7, whole, "a small state that refused a copy");
    ink_state_free(small);
    ink_state_free(state);
    ink_state_free(foreign);
    free(whole);
    fixture_close(&other);
}

/* ---- saved bytes ---------------------------------------------------------------------------------------------- */

static unsigned char *save(const fixture *f, const ink_state *state, size_t *size)
{
    assert_fails(f->ctx, ink_state_save(f->ctx, state, NULL, 0, size), INK_ERROR_LIMIT, "saved state needs");
    unsigned char *bytes = malloc(*size + 1);
    assert_non_null(bytes);
    memset(bytes, 0x5C, *size + 1);
    size_t needed = *size;
    assert_fails(f->ctx, ink_state_save(f->ctx, state, bytes, needed - 1, size), INK_ERROR_LIMIT, "there is room for");
    for (size_t i = 0; i <= needed; i++)
        assert_int_equal(bytes[i], 0x5C);
    assert_ok(f->ctx, ink_state_save(f->ctx, state, bytes, needed, size));
    assert_int_equal(*size, needed);
    assert_int_equal(bytes[needed], 0x5C);
    return bytes;
}

/* Saved at several lengths, loaded into fresh and into used states of other sizes, at any address. */
static void what_is_loaded_is_what_was_saved(const fixture *f)
{
    static const size_t lengths[] = {0, 1, 15, 16, 17, 33};
    float *whole = fixture_run(f->ctx, f->model, f->tokens, f->n_tokens);
    ink_state *from = fixture_state(f->ctx, f->model), *to;
    assert_ok(f->ctx, ink_state_create(f->ctx, f->model, 36, &to));
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        size_t n = lengths[i], size, again;
        ink_state_reset(from);
        if (n > 0)
            run_and_compare(f, from, 0, n, whole, "the original");
        unsigned char *bytes = save(f, from, &size), *shifted = malloc(size + 1);
        memcpy(shifted + 1, bytes, size);
        assert_ok(f->ctx, ink_state_load(f->ctx, to, shifted + 1, size));
        assert_int_equal(ink_state_length(to), n);
        unsigned char *copy = save(f, to, &again); /* what is loaded is what was saved */
        assert_int_equal(again, size);
        assert_memory_equal(copy, bytes, size);
        run_and_compare(f, to, n, n + 3, whole, "saved and loaded");
        free(copy);
        free(shifted);
        free(bytes);
    }
    ink_state_free(from);
    ink_state_free(to);
    free(whole);
}

/* Every byte changed once, every shorter length, and a few longer ones: refused, and the state is as it was. */
static void damaged_bytes_are_refused(const fixture *f)
{
    float *whole = fixture_run(f->ctx, f->model, f->tokens, f->n_tokens);
    ink_state *from = fixture_state(f->ctx, f->model), *to = fixture_state(f->ctx, f->model);
    size_t size;
    run_and_compare(f, from, 0, 9, whole, "the original");
    run_and_compare(f, to, 0, 4, whole, "the other");
    unsigned char *bytes = save(f, from, &size);
    for (size_t i = 0; i < size; i++) {
        bytes[i] ^= (unsigned char)(1 + i % 255);
        ink_result result = ink_state_load(f->ctx, to, bytes, size);
        bytes[i] ^= (unsigned char)(1 + i % 255);
        if (result == INK_OK)
            fail_msg("%s: a saved state with byte %zu changed was accepted", f->name, i);
        assert_true(strlen(ink_context_error(f->ctx)) > 20);
    }
    for (size_t n = 0; n < size; n++)
        assert_int_equal(ink_state_load(f->ctx, to, bytes, n), INK_ERROR_CORRUPT);
    run_and_compare(f, to, 4, 7, whole, "after refusing damaged bytes");
    assert_ok(f->ctx, ink_state_load(f->ctx, to, bytes, size));
    run_and_compare(f, to, 9, 12, whole, "after accepting sound ones");
    free(bytes);
    ink_state_free(from);
    ink_state_free(to);
    free(whole);
}

static void saved_bytes_that_do_not_fit_are_refused(const fixture *f)
{
    fixture other;
    ink_state *small;
    size_t size, none;
    fixture_open(&other, "gpt2_bf16");
    ink_state *state = fixture_state(f->ctx, f->model), *foreign = fixture_state(f->ctx, other.model);
    assert_ok(f->ctx, ink_state_create(f->ctx, f->model, 7, &small));
    assert_ok(f->ctx, ink_model_forward(f->ctx, f->model, state, f->tokens, 8, NULL));
    unsigned char *bytes = save(f, state, &size);
    assert_fails(f->ctx, ink_state_load(f->ctx, small, bytes, size), INK_ERROR_LIMIT,
                 "8 tokens, but there is room for 7");
    assert_fails(f->ctx, ink_state_load(f->ctx, foreign, bytes, size), INK_ERROR_MISMATCH, "another model");
    assert_fails(f->ctx, ink_state_load(f->ctx, NULL, bytes, size), INK_ERROR_ARGUMENT, "state");
    assert_fails(f->ctx, ink_state_load(f->ctx, state, NULL, size), INK_ERROR_ARGUMENT, "bytes");
    assert_fails(f->ctx, ink_state_save(f->ctx, state, NULL, 10, &none), INK_ERROR_ARGUMENT, "bytes");
    assert_fails(f->ctx, ink_state_save(f->ctx, NULL, bytes, 10, &none), INK_ERROR_ARGUMENT, "state");
    assert_int_equal(none, 0);
    assert_fails(f->ctx, ink_state_save(f->ctx, state, bytes, 10, NULL), INK_ERROR_ARGUMENT, "size");
    bytes[8] = 1; /* what version 0.1.0 wrote */
    assert_fails(f->ctx, ink_state_load(f->ctx, state, bytes, size), INK_ERROR_UNSUPPORTED, "version 1, expected 3");
    free(bytes);
    ink_state_free(small);
    ink_state_free(state);
    ink_state_free(foreign);
    fixture_close(&other);
}

/* The model is the same if it is opened again, and another one with other weights or settings. */
static ink_result load_changed(const fixture *f, const unsigned char *bytes, size_t size, const fixture_files *files)
{
    ink_model *model;
    assert_ok(f->ctx, fixture_open_files(f->ctx, NULL, &files->list, &model));
    ink_state *state = fixture_state(f->ctx, model);
    ink_result result = ink_state_load(f->ctx, state, bytes, size);
    ink_state_free(state);
    ink_model_free(model);
    return result;
}

static void saved_bytes_belong_to_one_model(const fixture *f)
{
    fixture_files files;
    size_t size;
    fixture_files_read(&files, "gpt2");
    ink_state *state = fixture_state(f->ctx, f->model);
    assert_ok(f->ctx, ink_model_forward(f->ctx, f->model, state, f->tokens, 8, NULL));
    unsigned char *bytes = save(f, state, &size);
    assert_int_equal(load_changed(f, bytes, size, &files), INK_OK);
    fixture_files_set(&files, "eos_token_id", "7"); /* changes no result */
    assert_int_equal(load_changed(f, bytes, size, &files), INK_OK);
    fixture_files_set(&files, "layer_norm_epsilon", "1e-6");
    assert_int_equal(load_changed(f, bytes, size, &files), INK_ERROR_MISMATCH);
    fixture_files_set(&files, "layer_norm_epsilon", "1e-5");
    assert_int_equal(load_changed(f, bytes, size, &files), INK_OK);
    fixture_files_set(&files, "n_head", "4"); /* the same shapes all over */
    assert_int_equal(load_changed(f, bytes, size, &files), INK_ERROR_MISMATCH);
    fixture_files_set(&files, "n_head", "3");
    for (size_t i = 1; i <= 50; i++) { /* one bit of one weight, anywhere in the file */
        size_t at = files.weights_size - 4 * (i * files.weights_size / 4 / 60) - 4;
        files.weights[at] ^= 1;
        assert_int_equal(load_changed(f, bytes, size, &files), INK_ERROR_MISMATCH);
        files.weights[at] ^= 1;
    }
    assert_int_equal(load_changed(f, bytes, size, &files), INK_OK);
    free(bytes);
    ink_state_free(state);
    fixture_files_free(&files);
}

/* Where the data of a tensor begins, and its name in the header. */
static unsigned char *tensor_data(const fixture_files *files, const char *tensor, char **name)
{
    size_t first = 0;
    *name = fixture_files_tensor(files, "model.safetensors", tensor);
    assert_int_equal(sscanf(strstr(*name, "\"data_offsets\""), "\"data_offsets\":[%zu", &first), 1);
    return files->weights + 8 + ink_get_le(files->weights, 8) + first;
}

static void exchange(void *a, void *b, size_t size)
{
    unsigned char kept[256];
    assert_true(size <= sizeof kept);
    memcpy(kept, a, size);
    memcpy(a, b, size);
    memcpy(b, kept, size);
}

/* Two tensors of one shape that have each other's values are another model; two that lie in another order are not. */
static void saved_bytes_belong_to_weights_in_any_order(const fixture *f)
{
    fixture_files files;
    size_t size;
    char *names[2];
    fixture_files_read(&files, "gpt2");
    ink_state *state = fixture_state(f->ctx, f->model);
    assert_ok(f->ctx, ink_model_forward(f->ctx, f->model, state, f->tokens, 8, NULL));
    unsigned char *bytes = save(f, state, &size);
    unsigned char *a = tensor_data(&files, "transformer.h.0.ln_1.weight", &names[0]);
    unsigned char *b = tensor_data(&files, "transformer.h.0.ln_2.weight", &names[1]);
    exchange(a, b, f->info->hidden_size * sizeof(float));
    assert_int_equal(load_changed(f, bytes, size, &files), INK_ERROR_MISMATCH);
    exchange(names[0], names[1], strlen("\"transformer.h.0.ln_1.weight"));
    assert_int_equal(load_changed(f, bytes, size, &files), INK_OK);
    free(bytes);
    ink_state_free(state);
    fixture_files_free(&files);
}

/* A window of tokens is checked like any tokens: one outside the vocabulary would read outside the table. */
static void a_saved_window_holds_only_tokens(const fixture *f)
{
    size_t size;
    ink_state *state = fixture_state(f->ctx, f->model);
    assert_ok(f->ctx, ink_model_forward(f->ctx, f->model, state, f->tokens, 8, NULL));
    unsigned char *bytes = save(f, state, &size);
    const unsigned char beyond[] = {37, 0, 0, 0};
    memcpy(bytes + size - 4, beyond, 4);
    /* All but the place of the checksum itself. */
    uint64_t checksum = ink_hash(ink_hash(0, bytes, 48), bytes + 56, size - 56);
    for (size_t i = 0; i < 8; i++)
        bytes[48 + i] = (unsigned char)(checksum >> 8 * i);
    assert_fails(f->ctx, ink_state_load(f->ctx, state, bytes, size), INK_ERROR_CORRUPT, "token 37 is outside");
    free(bytes);
    ink_state_free(state);
}

/* ---- misuse --------------------------------------------------------------------------------------------------- */

static void missing_arguments_are_refused_by_name(const fixture *f)
{
    ink_state *state;
    size_t size;
    _Alignas(INK_ALIGNMENT) static unsigned char block[4096];
    assert_int_equal(ink_state_size(NULL, f->model, 1, &size), INK_ERROR_ARGUMENT);
    assert_fails(f->ctx, ink_state_size(f->ctx, NULL, 1, &size), INK_ERROR_ARGUMENT, "model");
    assert_fails(f->ctx, ink_state_size(f->ctx, f->model, 1, NULL), INK_ERROR_ARGUMENT, "bytes");
    assert_int_equal(ink_state_create(NULL, f->model, 1, &state), INK_ERROR_ARGUMENT);
    assert_fails(f->ctx, ink_state_create(f->ctx, NULL, 1, &state), INK_ERROR_ARGUMENT, "model");
    assert_null(state);
    assert_fails(f->ctx, ink_state_create(f->ctx, f->model, 1, NULL), INK_ERROR_ARGUMENT, "state");
    assert_fails(f->ctx, ink_state_create_in(f->ctx, f->model, 1, NULL, 4096, &state), INK_ERROR_ARGUMENT, "block");
    assert_null(state);
    assert_fails(f->ctx, ink_state_create_in(f->ctx, NULL, 1, block, 4096, &state), INK_ERROR_ARGUMENT, "model");
    assert_fails(f->ctx, ink_state_create_in(f->ctx, f->model, 1, block, 4096, NULL), INK_ERROR_ARGUMENT, "state");
    assert_ok(f->ctx, ink_state_create_in(f->ctx, f->model, 1, block, sizeof block, &state));
    assert_fails(f->ctx, ink_state_rewind(f->ctx, NULL, 1), INK_ERROR_ARGUMENT, "state");
    assert_int_equal(ink_state_length(NULL), 0);
    ink_state_reset(NULL);
    ink_state_free(NULL);
    ink_state_free(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#ifdef HAVE_GUARD_PAGES
        fixture_test(a_state_stays_in_a_block_of_the_exact_size),
#endif
        fixture_test(the_size_reported_is_taken),
        cmocka_unit_test(a_state_has_room_for_what_was_asked),
        fixture_test(a_reset_forgets_everything),
        fixture_test(a_rewind_goes_back_or_is_refused),
        fixture_test(a_state_follows_what_is_common),
        fixture_test(a_copy_goes_on_as_the_original),
        fixture_test_on("gpt2", a_copy_leaves_no_row_unwritten),
        fixture_test_on("gpt2", a_copy_that_does_not_fit_is_refused),
        fixture_test(what_is_loaded_is_what_was_saved),
        fixture_test(damaged_bytes_are_refused),
        fixture_test_on("gpt2", saved_bytes_that_do_not_fit_are_refused),
        fixture_test_on("gpt2", saved_bytes_belong_to_one_model),
        fixture_test_on("gpt2", saved_bytes_belong_to_weights_in_any_order),
        fixture_test_on("mlp", a_saved_window_holds_only_tokens),
        fixture_test_on("mlp", missing_arguments_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
