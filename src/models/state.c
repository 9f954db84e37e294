/*
 * state.c - the state of a sequence: creating, rewinding, copying, saving and loading it.
 *
 * A state is a list of parts, and a part is a list of numbers of 4, 2 or 1 bytes (state_part() below). Serializing
 * walks over the parts. A serialized state is
 *
 *     "INKSTATE"      8 bytes
 *     version         u64
 *     fingerprint     u64    of the model: settings and weights; under a dynamic rope also of the capacity; and of the
 *                            source of an encoder-decoder
 *     length          u64    number of tokens
 *     cache           u64    type of keys and values, as ink_type numbers it
 *     size            u64    bytes of the parts
 *     checksum        u64    of all other bytes
 *     the parts       their numbers
 *
 * All numbers are little-endian. Only filled positions are written.
 */
#include <string.h>

#include "../base/bytes.h"
#include "networks.h"

#define MAGIC "INKSTATE"
#define MAGIC_SIZE 8
#define VERSION 3
#define N_NUMBERS 6
#define HEADER_SIZE (MAGIC_SIZE + 8 * N_NUMBERS)
#define CHECKSUM_AT (HEADER_SIZE - 8)

/* ---- creating --------------------------------------------------------------------------------------------------- */

/* Allocates a state and its arrays. */
static ink_state *state_layout(ink_arena *arena, const ink_model *model, const ink_state_options *options,
                               ink_state *fields)
{
    ink_state *state = ink_arena_alloc(arena, 1, sizeof *state);
    *fields = (ink_state){.model = model, .capacity = options->capacity, .cache = options->cache};
    switch (model->network) {
    case INK_NETWORK_TRANSFORMER: {
        const ink_stack_config *config = &model->transformer.stack.config;
        fields->kv_stride = ink_kv_cache_bytes(&config->attention[0], options->capacity, options->cache);
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
static ink_result state_prepare(ink_context *ctx, const ink_model *model, ink_state_options *options,
                                ink_arena *measure)
{
    size_t most = model->info.context_length;
    ink_state fields;
    INK_TRY(ink_model_require_states(ctx, model));
    if (most != 0 && options->capacity > most)
        return ink_fail(ctx, INK_ERROR_LIMIT, "a state for %zu tokens: the context of this %s model is %zu tokens long",
                        options->capacity, model->info.kind, most);
    if (most == 0 && model->network == INK_NETWORK_TRANSFORMER && options->capacity == 0)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "a state of this %s model may have any length: name a capacity",
                        model->info.kind);
    if (model->network == INK_NETWORK_TRANSFORMER)
        INK_TRY(ink_kv_cache_check_type(ctx, options->cache));
    if (most == 0 && model->network != INK_NETWORK_TRANSFORMER)
        options->capacity = SIZE_MAX;
    else if (options->capacity == 0)
        options->capacity = most;
    if (options->cache == INK_TYPE_NONE || model->network != INK_NETWORK_TRANSFORMER)
        options->cache = INK_F32;
    ink_arena_measure(measure);
    state_layout(measure, model, options, &fields);
    if (ink_arena_failed(measure))
        return ink_fail(ctx, INK_ERROR_LIMIT, "the state needs more memory than this machine can address");
    return INK_OK;
}

ink_result ink_state_size_with(ink_context *ctx, const ink_model *model, const ink_state_options *options,
                               size_t *bytes)
{
    ink_state_options with = options != NULL ? *options : (ink_state_options){0};
    ink_arena measure;
    INK_REQUIRE(ctx, bytes);
    *bytes = 0;
    INK_REQUIRE(ctx, model);
    INK_TRY(state_prepare(ctx, model, &with, &measure));
    *bytes = ink_object_size(&measure);
    return INK_OK;
}

ink_result ink_state_create_with(ink_context *ctx, const ink_model *model, const ink_state_options *options,
                                 ink_state **state)
{
    ink_state_options with = options != NULL ? *options : (ink_state_options){0};
    ink_arena measure, arena;
    ink_state fields;
    INK_REQUIRE(ctx, state);
    *state = NULL;
    INK_REQUIRE(ctx, model);
    INK_TRY(state_prepare(ctx, model, &with, &measure));
    if (with.block == NULL)
        INK_TRY(ink_limit_check(ctx, "the state", ink_object_size(&measure), INK_LIMIT(ctx, state_bytes)));
    INK_TRY(ink_object_new(ctx, "the state", &measure, with.block, with.block_size, &arena));
    ink_state *made = state_layout(&arena, model, &with, &fields);
    *made = fields;
    if (model->network == INK_NETWORK_TRANSFORMER) {
        ink_float_mode host = ink_float_mode_enter();
        ink_stack_fill_frequencies(ctx->kernel, &model->transformer.stack.config, with.capacity, made->frequencies,
                                   made->rope_scales);
        ink_float_mode_leave(host);
    }
    ink_state_reset(made);
    *state = made;
    return INK_OK;
}

ink_result ink_state_size(ink_context *ctx, const ink_model *model, size_t capacity, size_t *bytes)
{
    return ink_state_size_with(ctx, model, &(ink_state_options){.capacity = capacity}, bytes);
}

ink_result ink_state_create(ink_context *ctx, const ink_model *model, size_t capacity, ink_state **state)
{
    return ink_state_create_with(ctx, model, &(ink_state_options){.capacity = capacity}, state);
}

ink_result ink_state_create_in(ink_context *ctx, const ink_model *model, size_t capacity, void *block, size_t size,
                               ink_state **state)
{
    INK_REQUIRE(ctx, state);
    *state = NULL;
    INK_REQUIRE(ctx, model, block);
    const ink_state_options options = {.capacity = capacity, .block = block, .block_size = size};
    return ink_state_create_with(ctx, model, &options, state);
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

ink_result ink_state_follow(ink_context *ctx, ink_state *state, const ink_token *seen, const ink_token *tokens,
                            size_t n, size_t *n_kept)
{
    INK_REQUIRE(ctx, state, tokens, n_kept);
    size_t common = 0;
    if (state->length > 0)
        INK_REQUIRE(ctx, seen);
    if (n == 0)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "ink_state_follow: there are no tokens");
    while (common < state->length && common + 1 < n && seen[common] == tokens[common])
        common++;
    ink_result result = ink_state_rewind(ctx, state, common);
    if (result == INK_ERROR_UNSUPPORTED) {
        ink_error_clear(ctx);
        ink_state_reset(state);
        result = INK_OK;
    }
    *n_kept = state->length;
    return result;
}

/* ---- parts ------------------------------------------------------------------------------------------------------ */

/* The caches of a block. */
static ink_kv_cache state_cache(const ink_state *state, size_t block)
{
    return ink_kv_cache_over(&state->model->transformer.stack.config.attention[block], state->capacity, state->cache,
                             (char *)state->kv + block * state->kv_stride);
}

/* `count` numbers of `size` bytes, `stride` bytes apart. */
typedef struct state_piece {
    unsigned char *at;
    size_t count, size, stride;
} state_piece;

/* Gives part i of a state with `length` tokens; returns false after the last part. A transformer has, for each block
   and head, a part for each key, one for each dimension of the values, and with codes the scales of both. The parts
   depend only on model, type and length, so they fit states of any capacity. */
static bool state_part(const ink_state *state, size_t length, size_t i, state_piece *part)
{
    const ink_model *model = state->model;
    if (model->network != INK_NETWORK_TRANSFORMER) {
        bool recurrent = model->network == INK_NETWORK_RECURRENT;
        part->at = recurrent ? (void *)state->recurrent : (void *)state->window;
        part->count = recurrent ? ink_recurrent_state_size(&model->recurrent) : model->window.window_size - 1;
        part->size = part->stride = 4;
        return i == 0;
    }
    const ink_stack_config *config = &model->transformer.stack.config;
    size_t head_dim = config->attention->head_dim, per_head = length + head_dim + (state->cache == INK_I8 ? 2 : 0);
    size_t head = i / per_head % config->attention->n_kv_heads, block = i / per_head / config->attention->n_kv_heads;
    if (block >= config->n_blocks)
        return false;
    ink_kv_cache cache = state_cache(state, block);
    i %= per_head;
    if (i >= length + head_dim) {
        part->at = (void *)ink_kv_cache_scales(&cache, i == length + head_dim, head);
        part->count = length;
        part->size = part->stride = sizeof(float);
        return true;
    }
    bool is_key = i < length;
    ink_matrix matrix = is_key ? ink_kv_cache_keys(&cache, head) : ink_kv_cache_values(&cache, head);
    part->at = ink_matrix_elements(&matrix, is_key ? i : i - length, &part->stride);
    part->count = is_key ? head_dim : length;
    part->size = ink_type_bits(state->cache) / 8;
    return true;
}

/* The bytes of all parts. */
static size_t parts_size(const ink_state *state, size_t length)
{
    const ink_stack_config *config = &state->model->transformer.stack.config;
    state_piece part;
    if (state->model->network != INK_NETWORK_TRANSFORMER) {
        state_part(state, length, 0, &part);
        return part.count * part.size;
    }
    size_t row = config->attention->head_dim * ink_type_bits(state->cache) / 8;
    if (state->cache == INK_I8)
        row += sizeof(float);
    return config->n_blocks * config->attention->n_kv_heads * 2 * length * row;
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
        ink_kv_cache cache = state_cache(state, block);
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
    if (from->cache != to->cache)
        return ink_fail(ctx, INK_ERROR_MISMATCH, "a state with keys and values as %s is copied into one with %s",
                        ink_type_name(from->cache), ink_type_name(to->cache));
    if (from->length > to->capacity)
        return ink_fail(ctx, INK_ERROR_LIMIT, "a state of %zu tokens does not fit into one for %zu", from->length,
                        to->capacity);
    to->length = from->length;
    to->source = from->source;
    to->source_hash = from->source_hash;
    if (from->model->network != INK_NETWORK_TRANSFORMER) {
        state_piece a, b;
        state_part(from, from->length, 0, &a);
        state_part(to, from->length, 0, &b);
        memcpy(b.at, a.at, a.count * a.size);
        return INK_OK;
    }
    const ink_stack_config *config = &from->model->transformer.stack.config;
    for (size_t block = 0; block < config->n_blocks && first < from->length; block++) {
        ink_kv_cache a = state_cache(from, block), b = state_cache(to, block);
        ink_kv_cache_begin_panels(&b, first, from->length);
        for (size_t j = 0; j < a.n_kv_heads; j++) {
            ink_matrix keys = ink_kv_cache_keys(&a, j), values = ink_kv_cache_values(&a, j);
            ink_matrix to_keys = ink_kv_cache_keys(&b, j), to_values = ink_kv_cache_values(&b, j);
            ink_matrix_copy_rows(&keys, &to_keys, first, from->length);
            ink_matrix_copy_columns(&values, &to_values, first, from->length);
            for (size_t of_keys = 0; of_keys < 2 && a.scales != NULL; of_keys++)
                memcpy(ink_kv_cache_scales(&b, of_keys, j) + first, ink_kv_cache_scales(&a, of_keys, j) + first,
                       (from->length - first) * sizeof(float));
        }
    }
    return INK_OK;
}

/* ---- saving and loading ----------------------------------------------------------------------------------------- */

static uint64_t state_checksum(const unsigned char *bytes, size_t size)
{
    return ink_hash(ink_hash(0, bytes, CHECKSUM_AT), bytes + HEADER_SIZE, size - HEADER_SIZE);
}

/* A number of `size` bytes in the order of this machine. */
static uint64_t number_get(const unsigned char *at, size_t size)
{
    uint32_t word;
    uint16_t half;
    memcpy(size == sizeof word ? (void *)&word : &half, at, size == 1 ? 0 : size);
    return size == sizeof word ? word : size == sizeof half ? half : *at;
}

static void number_set(unsigned char *at, size_t size, uint64_t number)
{
    uint32_t word = (uint32_t)number;
    uint16_t half = (uint16_t)number;
    *at = (unsigned char)number;
    memcpy(at, size == sizeof word ? (void *)&word : &half, size == 1 ? 0 : size);
}

ink_result ink_state_save(ink_context *ctx, const ink_state *state, void *bytes, size_t capacity, size_t *size)
{
    unsigned char *out = bytes;
    state_piece part;
    INK_REQUIRE(ctx, size);
    *size = 0;
    INK_REQUIRE(ctx, state);
    size_t all = parts_size(state, state->length);
    *size = HEADER_SIZE + all;
    if (capacity > 0)
        INK_REQUIRE(ctx, bytes);
    if (capacity < *size)
        return ink_fail(ctx, INK_ERROR_LIMIT, "the saved state needs %zu bytes, but there is room for %zu", *size,
                        capacity);

    const uint64_t numbers[N_NUMBERS - 1] = {VERSION, saved_identity(state), state->length, state->cache, all};
    memcpy(out, MAGIC, MAGIC_SIZE);
    for (size_t i = 0; i < N_NUMBERS - 1; i++)
        ink_put_le(out + MAGIC_SIZE + 8 * i, 8, numbers[i]);
    unsigned char *at = out + HEADER_SIZE;
    for (size_t i = 0; state_part(state, state->length, i, &part); i++)
        for (size_t j = 0; j < part.count; j++, at += part.size)
            ink_put_le(at, part.size, number_get(part.at + j * part.stride, part.size));
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
    uint64_t cache = ink_get_le(in + MAGIC_SIZE + 24, 8), all = ink_get_le(in + MAGIC_SIZE + 32, 8);
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
    if (cache != (uint64_t)state->cache)
        return ink_fail(ctx, INK_ERROR_MISMATCH, "the saved state has keys and values as %s, this state as %s",
                        ink_type_name(cache < INK_N_TYPES ? (ink_type)cache : INK_TYPE_NONE),
                        ink_type_name(state->cache));
    size_t expected = parts_size(state, (size_t)tokens);
    if (all != expected || size - HEADER_SIZE != expected)
        return ink_fail(ctx, INK_ERROR_CORRUPT, "saved state: %llu of %zu bytes are its content, expected %zu of %zu",
                        (unsigned long long)all, size, expected, HEADER_SIZE + expected);
    if (ink_get_le(in + CHECKSUM_AT, 8) != state_checksum(in, size))
        return ink_fail(ctx, INK_ERROR_CORRUPT, "saved state: the bytes have changed since they were saved");
    for (size_t i = 0; state->model->network == INK_NETWORK_WINDOW && i < expected; i += 4) {
        uint64_t token = ink_get_le(in + HEADER_SIZE + i, 4);
        if (token >= state->model->info.vocab_size)
            return ink_fail(ctx, INK_ERROR_CORRUPT, "saved state: token %llu is outside the vocabulary of %zu",
                            (unsigned long long)token, state->model->info.vocab_size);
    }
    return INK_OK;
}

ink_result ink_state_load(ink_context *ctx, ink_state *state, const void *bytes, size_t size)
{
    const unsigned char *in = bytes;
    state_piece part;
    INK_REQUIRE(ctx, state, bytes);
    INK_TRY(check_saved(ctx, state, in, size));
    size_t length = (size_t)ink_get_le(in + MAGIC_SIZE + 16, 8);
    state_prepare_parts(state, length);
    in += HEADER_SIZE;
    for (size_t i = 0; state_part(state, length, i, &part); i++)
        for (size_t j = 0; j < part.count; j++, in += part.size)
            number_set(part.at + j * part.stride, part.size, ink_get_le(in, part.size));
    return INK_OK;
}
