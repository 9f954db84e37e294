/*
 * state.c - the state of a sequence: creating, rewinding, copying, saving and loading it.
 *
 * A state is a list of parts, and a part is a list of 32-bit words (state_part() below). Serializing walks over the
 * parts. A serialized state is
 *
 *     "INKSTATE"      8 bytes
 *     version         u64
 *     fingerprint     u64    of the model: settings and weights; under a dynamic rope also of the capacity; and of the
 *                            source of an encoder-decoder
 *     length          u64    number of tokens
 *     words           u64    number of words
 *     checksum        u64    of all other bytes
 *     the words       u32 each
 *
 * All numbers are little-endian. Only filled positions are written.
 */
#include <string.h>

#include "../base/bytes.h"
#include "networks.h"

#define MAGIC "INKSTATE"
#define MAGIC_SIZE 8
#define VERSION 2
#define N_NUMBERS 5
#define HEADER_SIZE (MAGIC_SIZE + 8 * N_NUMBERS)
#define CHECKSUM_AT (HEADER_SIZE - 8)

/* ---- creating --------------------------------------------------------------------------------------------------- */

/* Allocates a state and its arrays. */
static ink_state *state_layout(ink_arena *arena, const ink_model *model, size_t capacity, ink_state *fields)
{
    ink_state *state = ink_arena_alloc(arena, 1, sizeof *state);
    *fields = (ink_state){.model = model, .capacity = capacity};
    switch (model->network) {
    case INK_NETWORK_TRANSFORMER: {
        const ink_stack_config *config = &model->transformer.stack.config;
        fields->kv_stride = ink_kv_cache_bytes(&config->attention[0], capacity);
        fields->kv = ink_arena_alloc(arena, config->n_blocks, fields->kv_stride);
        fields->frequencies = ink_alloc_rows(arena, 1, ink_stack_frequencies(config));
        break;
    }
    case INK_NETWORK_RECURRENT:
        fields->recurrent = ink_alloc_rows(arena, 1, ink_recurrent_state_size(&model->recurrent));
        break;
    case INK_NETWORK_WINDOW:
        fields->window = ink_arena_alloc(arena, model->window.window_size - 1, sizeof(ink_token));
        break;
    }
    return state;
}

/* Checks and measures. A capacity of 0 becomes the context length; without one the capacity is unlimited. */
static ink_result state_prepare(ink_context *ctx, const ink_model *model, size_t *capacity, ink_arena *measure)
{
    size_t most = model->info.context_length;
    ink_state fields;
    INK_TRY(ink_model_require_states(ctx, model));
    if (most != 0 && *capacity > most)
        return ink_fail(ctx, INK_ERROR_LIMIT, "a state for %zu tokens: the context of this %s model is %zu tokens long",
                        *capacity, model->info.kind, most);
    if (most == 0 && model->network == INK_NETWORK_TRANSFORMER && *capacity == 0)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "a state of this %s model may have any length: name a capacity",
                        model->info.kind);
    if (most == 0 && model->network != INK_NETWORK_TRANSFORMER)
        *capacity = SIZE_MAX;
    else if (*capacity == 0)
        *capacity = most;
    ink_arena_measure(measure);
    state_layout(measure, model, *capacity, &fields);
    if (ink_arena_failed(measure))
        return ink_fail(ctx, INK_ERROR_LIMIT, "the state needs more memory than this machine can address");
    return INK_OK;
}

ink_result ink_state_size(ink_context *ctx, const ink_model *model, size_t capacity, size_t *bytes)
{
    ink_arena measure;
    INK_REQUIRE(ctx, bytes);
    *bytes = 0;
    INK_REQUIRE(ctx, model);
    INK_TRY(state_prepare(ctx, model, &capacity, &measure));
    *bytes = ink_object_size(&measure);
    return INK_OK;
}

/* Creates the state in the caller's block, or in new memory if `block` is NULL. */
static ink_result state_make(ink_context *ctx, const ink_model *model, size_t capacity, void *block, size_t size,
                             ink_state **state)
{
    ink_arena measure, arena;
    ink_state fields;
    INK_TRY(state_prepare(ctx, model, &capacity, &measure));
    if (block == NULL)
        INK_TRY(ink_limit_check(ctx, "the state", ink_object_size(&measure), INK_LIMIT(ctx, state_bytes)));
    INK_TRY(ink_object_new(ctx, "the state", &measure, block, size, &arena));
    ink_state *made = state_layout(&arena, model, capacity, &fields);
    *made = fields;
    if (model->network == INK_NETWORK_TRANSFORMER) {
        ink_float_mode host = ink_float_mode_enter();
        ink_stack_fill_frequencies(ctx->kernel, &model->transformer.stack.config, capacity, made->frequencies,
                                   made->rope_scales);
        ink_float_mode_leave(host);
    }
    ink_state_reset(made);
    *state = made;
    return INK_OK;
}

ink_result ink_state_create(ink_context *ctx, const ink_model *model, size_t capacity, ink_state **state)
{
    INK_REQUIRE(ctx, state);
    *state = NULL;
    INK_REQUIRE(ctx, model);
    return state_make(ctx, model, capacity, NULL, 0, state);
}

ink_result ink_state_create_in(ink_context *ctx, const ink_model *model, size_t capacity, void *block, size_t size,
                               ink_state **state)
{
    INK_REQUIRE(ctx, state);
    *state = NULL;
    INK_REQUIRE(ctx, model, block);
    return state_make(ctx, model, capacity, block, size, state);
}

void ink_state_free(ink_state *state) { ink_object_free(state); }

/* ---- rewinding -------------------------------------------------------------------------------------------------- */

size_t ink_state_length(const ink_state *state) { return state != NULL ? state->length : 0; }

/* A key/value cache is overwritten before it is read, so only its length is reset. The source stays, and a recurrent
   state begins with it again. */
void ink_state_reset(ink_state *state)
{
    if (state == NULL)
        return;
    const ink_model *model = state->model;
    state->length = 0;
    size_t recurrent = ink_recurrent_state_size(&model->recurrent) * sizeof *state->recurrent;
    if (model->network == INK_NETWORK_RECURRENT && state->source != NULL)
        memcpy(state->recurrent, state->source->first_state, recurrent);
    else if (model->network == INK_NETWORK_RECURRENT)
        memset(state->recurrent, 0, recurrent);
    if (model->network == INK_NETWORK_WINDOW)
        for (size_t i = 0; i + 1 < model->window.window_size; i++)
            state->window[i] = model->info.bos_token;
}

ink_result ink_state_begin(ink_context *ctx, ink_state *state, const ink_encoded *encoded)
{
    INK_REQUIRE(ctx, state, encoded);
    INK_TRY(ink_model_require_source(ctx, state->model));
    if (encoded->model != state->model)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: the state and the source are of different models", __func__);
    if (encoded->length == 0)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: no source is encoded here: call ink_model_encode_sources()",
                        __func__);
    state->source = encoded;
    state->source_hash = encoded->hash;
    ink_state_reset(state);
    return INK_OK;
}

ink_result ink_state_rewind(ink_context *ctx, ink_state *state, size_t length)
{
    INK_REQUIRE(ctx, state);
    if (length > state->length)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "rewind to %zu tokens: the state has seen %zu", length, state->length);
    if (length == 0)
        ink_state_reset(state);
    else if (length != state->length && state->model->network != INK_NETWORK_TRANSFORMER)
        return ink_fail(ctx, INK_ERROR_UNSUPPORTED,
                        "rewind to %zu tokens: a state of kind '%s' does not keep its past; copy it before it runs",
                        length, state->model->info.kind);
    state->length = length;
    return INK_OK;
}

/* ---- parts ------------------------------------------------------------------------------------------------------ */

/* The words of a part: a plain array, or elements of a row of a packed matrix. */
typedef struct words {
    uint32_t *plain; /* NULL: they are in the matrix */
    ink_matrix matrix;
    size_t row;
    size_t count;
} words;

/* Gives part i of a state with `length` tokens; returns false after the last part. A transformer has, for each block
   and head, a part for each key and a part for each dimension of the values. The parts depend only on model and length,
   so they fit states of any capacity. */
static bool state_part(const ink_state *state, size_t length, size_t i, words *part)
{
    const ink_model *model = state->model;
    *part = (words){0};
    if (model->network != INK_NETWORK_TRANSFORMER) {
        bool recurrent = model->network == INK_NETWORK_RECURRENT;
        part->plain = recurrent ? (void *)state->recurrent : (void *)state->window;
        part->count = recurrent ? ink_recurrent_state_size(&model->recurrent) : model->window.window_size - 1;
        return i == 0;
    }
    const ink_stack_config *config = &model->transformer.stack.config;
    const ink_attention *attention = &config->attention[0];
    size_t per_head = length + attention->head_dim, head = i / per_head % attention->n_kv_heads;
    size_t block = i / per_head / attention->n_kv_heads;
    if (block >= config->n_blocks)
        return false;
    ink_kv_cache cache = ink_kv_cache_over(attention, state->capacity, (char *)state->kv + block * state->kv_stride);
    bool is_key = i % per_head < length;
    part->matrix = is_key ? ink_kv_cache_keys(&cache, head) : ink_kv_cache_values(&cache, head);
    part->row = is_key ? i % per_head : i % per_head - length;
    part->count = is_key ? attention->head_dim : length;
    return true;
}

#define WORDS_AT_ONCE ((size_t)256)

/* Read or write `count` <= WORDS_AT_ONCE words of a part, from `first` on. */
static void words_get(const words *part, size_t first, size_t count, uint32_t *out)
{
    float values[WORDS_AT_ONCE];
    if (part->plain == NULL)
        ink_matrix_read_row(&part->matrix, part->row, first, count, values);
    memcpy(out, part->plain != NULL ? (const void *)(part->plain + first) : values, count * sizeof *out);
}

static void words_set(words *part, size_t first, size_t count, const uint32_t *in)
{
    float values[WORDS_AT_ONCE];
    memcpy(part->plain != NULL ? (void *)(part->plain + first) : values, in, count * sizeof *in);
    if (part->plain == NULL)
        ink_matrix_write_row(&part->matrix, part->row, first, count, values);
}

static size_t count_words(const ink_state *state, size_t length)
{
    const ink_stack_config *config = &state->model->transformer.stack.config;
    words part;
    if (state->model->network == INK_NETWORK_TRANSFORMER)
        return config->n_blocks * config->attention->n_kv_heads * 2 * length * config->attention->head_dim;
    state_part(state, length, 0, &part);
    return part.count;
}

/* Prepares a state to load the parts of `length` tokens. Products also read the unused rows of panels, so these are
   cleared, though no result depends on them. */
static void state_prepare_parts(ink_state *state, size_t length)
{
    const ink_model *model = state->model;
    const ink_stack_config *config = &model->transformer.stack.config;
    state->length = length;
    if (model->network != INK_NETWORK_TRANSFORMER)
        return;
    for (size_t block = 0; block < config->n_blocks; block++) {
        ink_kv_cache cache =
            ink_kv_cache_over(&config->attention[block], state->capacity, (char *)state->kv + block * state->kv_stride);
        ink_kv_cache_begin_panels(&cache, 0, length);
        for (size_t j = 0; j < cache.n_kv_heads; j++) {
            ink_matrix values = ink_kv_cache_values(&cache, j);
            ink_matrix_clear(&values, cache.head_dim, length);
        }
    }
}

/* ---- copying ---------------------------------------------------------------------------------------------------- */

/* Copying and loading need two states of equal identity: of the same model and, if the content depends on the capacity
   (rope of type dynamic), of equal capacity. */
static uint64_t state_identity(const ink_state *state)
{
    const ink_model *model = state->model;
    unsigned char capacity[8];
    if (model->own_capacity_from == 0 || state->capacity <= model->own_capacity_from)
        return model->fingerprint;
    ink_put_le(capacity, sizeof capacity, state->capacity);
    return ink_hash(model->fingerprint, capacity, sizeof capacity);
}

/* The identity of a saved state is also that of its source. */
static uint64_t saved_identity(const ink_state *state)
{
    uint64_t identity = state_identity(state);
    return state->source != NULL ? ink_hash_numbers(identity, &state->source_hash, 1, sizeof identity) : identity;
}

ink_result ink_state_copy(ink_context *ctx, const ink_state *from, ink_state *to)
{
    return ink_state_copy_from(ctx, from, to, 0);
}

/* Keys and values lie in panels, in which consecutive positions are consecutive bytes. */
ink_result ink_state_copy_from(ink_context *ctx, const ink_state *from, ink_state *to, size_t first)
{
    INK_REQUIRE(ctx, from, to);
    if (from == to)
        return INK_OK;
    if (from->model != to->model)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "ink_state_copy: the two states are of different models");
    if (state_identity(from) != state_identity(to))
        return ink_fail(ctx, INK_ERROR_MISMATCH,
                        "under this model's rope a state for %zu tokens and one for %zu hold different keys",
                        from->capacity, to->capacity);
    if (from->length > to->capacity)
        return ink_fail(ctx, INK_ERROR_LIMIT, "a state of %zu tokens does not fit into one for %zu", from->length,
                        to->capacity);
    to->length = from->length;
    to->source = from->source;
    to->source_hash = from->source_hash;
    if (from->model->network != INK_NETWORK_TRANSFORMER) {
        words a, b;
        state_part(from, from->length, 0, &a);
        state_part(to, from->length, 0, &b);
        memcpy(b.plain, a.plain, a.count * sizeof *a.plain);
        return INK_OK;
    }
    const ink_stack_config *config = &from->model->transformer.stack.config;
    for (size_t block = 0; block < config->n_blocks && first < from->length; block++) {
        const ink_attention *attention = &config->attention[block];
        ink_kv_cache a = ink_kv_cache_over(attention, from->capacity, (char *)from->kv + block * from->kv_stride);
        ink_kv_cache b = ink_kv_cache_over(attention, to->capacity, (char *)to->kv + block * to->kv_stride);
        ink_kv_cache_begin_panels(&b, first, from->length);
        for (size_t j = 0; j < attention->n_kv_heads; j++) {
            ink_matrix keys = ink_kv_cache_keys(&a, j), values = ink_kv_cache_values(&a, j);
            ink_matrix to_keys = ink_kv_cache_keys(&b, j), to_values = ink_kv_cache_values(&b, j);
            ink_matrix_copy_rows(&keys, &to_keys, first, from->length);
            ink_matrix_copy_columns(&values, &to_values, first, from->length);
        }
    }
    return INK_OK;
}

/* ---- saving and loading ----------------------------------------------------------------------------------------- */

static uint64_t state_checksum(const unsigned char *bytes, size_t size)
{
    return ink_hash(ink_hash(0, bytes, CHECKSUM_AT), bytes + HEADER_SIZE, size - HEADER_SIZE);
}

ink_result ink_state_save(ink_context *ctx, const ink_state *state, void *bytes, size_t capacity, size_t *size)
{
    uint32_t buffer[WORDS_AT_ONCE];
    unsigned char *out = bytes;
    words part;
    INK_REQUIRE(ctx, size);
    *size = 0;
    INK_REQUIRE(ctx, state);
    size_t n_words = count_words(state, state->length);
    *size = HEADER_SIZE + 4 * n_words;
    if (capacity > 0)
        INK_REQUIRE(ctx, bytes);
    if (capacity < *size)
        return ink_fail(ctx, INK_ERROR_LIMIT, "the saved state needs %zu bytes, but there is room for %zu", *size,
                        capacity);

    const uint64_t numbers[N_NUMBERS - 1] = {VERSION, saved_identity(state), state->length, n_words};
    memcpy(out, MAGIC, MAGIC_SIZE);
    for (size_t i = 0; i < N_NUMBERS - 1; i++)
        ink_put_le(out + MAGIC_SIZE + 8 * i, 8, numbers[i]);
    unsigned char *at = out + HEADER_SIZE;
    for (size_t i = 0; state_part(state, state->length, i, &part); i++)
        for (size_t first = 0; first < part.count; first += WORDS_AT_ONCE) {
            size_t count = ink_size_min(WORDS_AT_ONCE, part.count - first);
            words_get(&part, first, count, buffer);
            for (size_t j = 0; j < count; j++, at += 4)
                ink_put_le(at, 4, buffer[j]);
        }
    ink_put_le(out + CHECKSUM_AT, 8, state_checksum(out, *size));
    return INK_OK;
}

/* Checks format, version, model, room, size and checksum, so that loading cannot fail halfway. */
static ink_result check_saved(ink_context *ctx, const ink_state *state, const unsigned char *in, size_t size)
{
    if (size < HEADER_SIZE || memcmp(in, MAGIC, MAGIC_SIZE) != 0)
        return ink_fail(ctx, INK_ERROR_CORRUPT, "these %zu bytes are not a saved state: the header is missing", size);
    uint64_t version = ink_get_le(in + MAGIC_SIZE, 8);
    uint64_t fingerprint = ink_get_le(in + MAGIC_SIZE + 8, 8);
    uint64_t tokens = ink_get_le(in + MAGIC_SIZE + 16, 8);
    uint64_t n_words = ink_get_le(in + MAGIC_SIZE + 24, 8);
    if (version != VERSION)
        return ink_fail(ctx, INK_ERROR_UNSUPPORTED, "saved state: version %llu, expected %d",
                        (unsigned long long)version, VERSION);
    if (fingerprint != saved_identity(state))
        return ink_fail(ctx, INK_ERROR_MISMATCH, "the saved state is of another model than this %s%s%s",
                        state->model->info.kind,
                        state->model->own_capacity_from != 0 ? ", or for another number of tokens" : "",
                        state->model->is_encoder_decoder ? ", or began with another source" : "");
    if (tokens > state->capacity)
        return ink_fail(ctx, INK_ERROR_LIMIT, "the saved state has %llu tokens, but there is room for %zu",
                        (unsigned long long)tokens, state->capacity);
    size_t expected = count_words(state, (size_t)tokens);
    if (n_words != expected || size - HEADER_SIZE != 4 * expected)
        return ink_fail(ctx, INK_ERROR_CORRUPT, "saved state: %llu words in %zu bytes, expected %zu words in %zu bytes",
                        (unsigned long long)n_words, size, expected, HEADER_SIZE + 4 * expected);
    if (ink_get_le(in + CHECKSUM_AT, 8) != state_checksum(in, size))
        return ink_fail(ctx, INK_ERROR_CORRUPT, "saved state: the bytes have changed since they were saved");
    for (size_t i = 0; state->model->network == INK_NETWORK_WINDOW && i < expected; i++) {
        uint64_t token = ink_get_le(in + HEADER_SIZE + 4 * i, 4);
        if (token >= state->model->info.vocab_size)
            return ink_fail(ctx, INK_ERROR_CORRUPT, "saved state: token %llu is outside the vocabulary of %zu",
                            (unsigned long long)token, state->model->info.vocab_size);
    }
    return INK_OK;
}

ink_result ink_state_load(ink_context *ctx, ink_state *state, const void *bytes, size_t size)
{
    uint32_t buffer[WORDS_AT_ONCE];
    const unsigned char *in = bytes;
    words part;
    INK_REQUIRE(ctx, state, bytes);
    INK_TRY(check_saved(ctx, state, in, size));
    size_t length = (size_t)ink_get_le(in + MAGIC_SIZE + 16, 8);
    state_prepare_parts(state, length);
    in += HEADER_SIZE;
    for (size_t i = 0; state_part(state, length, i, &part); i++)
        for (size_t first = 0; first < part.count; first += WORDS_AT_ONCE) {
            size_t count = ink_size_min(WORDS_AT_ONCE, part.count - first);
            for (size_t j = 0; j < count; j++, in += 4)
                buffer[j] = (uint32_t)ink_get_le(in, 4);
            words_set(&part, first, count, buffer);
        }
    return INK_OK;
}
