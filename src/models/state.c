/*
 * state.c - what changes while a sequence runs: making it, going back, copying, saving, loading.
 *
 * A network describes what its states hold as pieces of 32-bit words (kind.h), and everything here is a walk over
 * these pieces. A saved state is
 *
 *     "INKSTATE"      8 bytes
 *     version         u64
 *     fingerprint     u64    of the model, its settings and its weights; under a dynamic rope also of the capacity
 *     length          u64    tokens
 *     words           u64    how many follow
 *     checksum        u64    FNV-1a over the bytes before and after it
 *     the words       u32 each
 *
 * with all numbers in little-endian order. Only positions that are in use are written.
 */
#include <string.h>

#include "kind.h"

#define MAGIC "INKSTATE"
#define MAGIC_SIZE 8
#define VERSION 1
#define N_NUMBERS 5
#define HEADER_SIZE (MAGIC_SIZE + 8 * N_NUMBERS)
#define CHECKSUM_AT (HEADER_SIZE - 8)

static const ink_network *network_of(const ink_state *state) { return state->model->kind->network; }

/* ---- making --------------------------------------------------------------------------------------------------- */

typedef struct order {
    ink_context *ctx;
    const ink_model *model;
    size_t capacity;
} order;

static ink_result build(void *args, ink_arena *arena, void **object)
{
    const order *wanted = args;
    ink_state *state = ink_arena_alloc(arena, 1, sizeof *state);
    void *body = wanted->model->kind->network->take_state(wanted->ctx, arena, wanted->model, wanted->capacity);
    if (state == NULL || ink_arena_failed(arena))
        return INK_OK;
    *state = (ink_state){.model = wanted->model, .capacity = wanted->capacity, .body = body};
    ink_state_reset(state);
    *object = state;
    return INK_OK;
}

ink_result ink_model_require_states(ink_context *ctx, const ink_model *model)
{
    if (model->kind->network == NULL)
        return ink_fail(ctx, INK_ERROR_UNSUPPORTED,
                        "a %s model is an encoder, which sees a text whole and has no state: ink_model_encode() runs "
                        "it",
                        model->kind->name);
    return INK_OK;
}

/* What a capacity asked for means for a model: 0 is all it can, and no limit where there is none. */
static ink_result prepare(ink_context *ctx, const ink_model *model, size_t capacity, order *wanted)
{
    size_t most = model->info.context_length;
    INK_TRY(ink_model_require_states(ctx, model));
    if (most == 0)
        capacity = SIZE_MAX;
    else if (capacity == 0)
        capacity = most;
    else if (capacity > most)
        return ink_fail(ctx, INK_ERROR_LIMIT, "a state for %zu tokens: the context of this %s model is %zu tokens long",
                        capacity, model->kind->name, most);
    *wanted = (order){ctx, model, capacity};
    return INK_OK;
}

ink_result ink_state_size(ink_context *ctx, const ink_model *model, size_t capacity, size_t *bytes)
{
    order wanted;
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, bytes);
    *bytes = 0;
    INK_REQUIRE(ctx, model);
    INK_TRY(prepare(ctx, model, capacity, &wanted));
    return ink_object_measure(ctx, "the state", build, &wanted, bytes);
}

ink_result ink_state_create(ink_context *ctx, const ink_model *model, size_t capacity, ink_state **state)
{
    order wanted;
    void *object;
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, state);
    *state = NULL;
    INK_REQUIRE(ctx, model);
    INK_TRY(prepare(ctx, model, capacity, &wanted));
    INK_TRY(ink_object_create(ctx, "the state", build, &wanted, 0, &object));
    *state = object;
    return INK_OK;
}

ink_result ink_state_create_in(ink_context *ctx, const ink_model *model, size_t capacity, void *block, size_t size,
                               ink_state **state)
{
    order wanted;
    void *object;
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, state);
    *state = NULL;
    INK_REQUIRE(ctx, model);
    INK_REQUIRE(ctx, block);
    INK_TRY(prepare(ctx, model, capacity, &wanted));
    INK_TRY(ink_object_create_in(ctx, "the state", build, &wanted, block, size, &object));
    *state = object;
    return INK_OK;
}

void ink_state_free(ink_state *state) { ink_object_free(state); }

/* ---- going back ----------------------------------------------------------------------------------------------- */

void ink_state_set_length(ink_state *state, size_t length)
{
    network_of(state)->set_length(state, length);
    state->length = length;
}

size_t ink_state_length(const ink_state *state) { return state != NULL ? state->length : 0; }

void ink_state_reset(ink_state *state)
{
    if (state != NULL)
        ink_state_set_length(state, 0);
}

ink_result ink_state_rewind(ink_context *ctx, ink_state *state, size_t length)
{
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, state);
    if (length > state->length)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "rewind to %zu tokens: the state has seen %zu", length, state->length);
    if (length == state->length)
        return INK_OK;
    if (length != 0 && !network_of(state)->can_rewind)
        return ink_fail(ctx, INK_ERROR_UNSUPPORTED,
                        "rewind to %zu tokens: a state of kind '%s' keeps no past to go back to; copy it beforehand",
                        length, state->model->kind->name);
    ink_state_set_length(state, length);
    return INK_OK;
}

/* ---- words: floats or token ids, moved as the bits they are ---------------------------------------------------- */

static uint32_t get_word(const ink_words *words, size_t i)
{
    uint32_t word;
    float element;
    if (words->matrix != NULL)
        ink_matrix_read_row(words->matrix, words->row, i, 1, &element);
    memcpy(&word, words->matrix != NULL ? (void *)&element : (unsigned char *)words->first + 4 * i, sizeof word);
    return word;
}

static void put_word(const ink_words *words, size_t i, uint32_t word)
{
    float element;
    memcpy(words->matrix != NULL ? (void *)&element : (unsigned char *)words->first + 4 * i, &word, sizeof word);
    if (words->matrix != NULL)
        ink_matrix_write_row(words->matrix, words->row, i, 1, &element);
}

/* Saved bytes and copies go between states of this identity: of the same model and, where what a state holds depends
   on its capacity, for the same number of tokens. */
static uint64_t identity(const ink_state *state)
{
    const ink_model *model = state->model;
    bool own = model->own_capacity_from != 0 && state->capacity > model->own_capacity_from;
    return own ? ink_fingerprint_number(model->fingerprint, state->capacity) : model->fingerprint;
}

/* ---- copying -------------------------------------------------------------------------------------------------- */

ink_result ink_state_copy(ink_context *ctx, const ink_state *from, ink_state *to)
{
    ink_words a, b;
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, from);
    INK_REQUIRE(ctx, to);
    if (from == to)
        return INK_OK;
    if (from->model != to->model)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "ink_state_copy: the two states are of different models");
    if (identity(from) != identity(to))
        return ink_fail(ctx, INK_ERROR_MISMATCH,
                        "with this model's rope a state for %zu tokens and one for %zu hold "
                        "different keys",
                        from->capacity, to->capacity);
    if (from->length > to->capacity)
        return ink_fail(ctx, INK_ERROR_LIMIT, "a state of %zu tokens does not fit into one for %zu", from->length,
                        to->capacity);
    ink_state_set_length(to, from->length);
    for (size_t i = 0; network_of(from)->words(from, i, &a) && network_of(to)->words(to, i, &b); i++) {
        for (size_t j = 0; j < a.count; j++)
            put_word(&b, j, get_word(&a, j));
    }
    return INK_OK;
}

/* ---- saving --------------------------------------------------------------------------------------------------- */

static void put_number(unsigned char *bytes, uint64_t number, size_t n_bytes)
{
    for (size_t i = 0; i < n_bytes; i++)
        bytes[i] = (unsigned char)(number >> 8 * i);
}

static uint64_t get_number(const unsigned char *bytes, size_t n_bytes)
{
    uint64_t number = 0;
    for (size_t i = 0; i < n_bytes; i++)
        number |= (uint64_t)bytes[i] << 8 * i;
    return number;
}

static uint64_t checksum_of(const unsigned char *bytes, size_t size)
{
    uint64_t hash = ink_hash_on(INK_HASH_START, bytes, CHECKSUM_AT);
    return ink_hash_on(hash, bytes + HEADER_SIZE, size - HEADER_SIZE);
}

/* Words a state would hold at `length` tokens. They fit size_t, for a state of that length exists. */
static size_t count_words(const ink_state *state, size_t length)
{
    ink_state at = *state;
    ink_words words;
    size_t count = 0;
    at.length = length;
    for (size_t i = 0; network_of(state)->words(&at, i, &words); i++)
        count += words.count;
    return count;
}

static void write_words(const ink_state *state, unsigned char *out)
{
    ink_words words;
    for (size_t i = 0; network_of(state)->words(state, i, &words); i++) {
        for (size_t j = 0; j < words.count; j++, out += 4)
            put_number(out, get_word(&words, j), 4);
    }
}

ink_result ink_state_save(ink_context *ctx, const ink_state *state, void *bytes, size_t capacity, size_t *size)
{
    unsigned char *out = bytes;
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, size);
    *size = 0;
    INK_REQUIRE(ctx, state);
    size_t n_words = count_words(state, state->length);
    *size = HEADER_SIZE + 4 * n_words;
    if (bytes == NULL && capacity > 0)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "ink_state_save: argument 'bytes' is NULL");
    if (capacity < *size)
        return ink_fail(ctx, INK_ERROR_LIMIT, "the saved state takes %zu bytes, there is room for %zu", *size,
                        capacity);

    const uint64_t numbers[N_NUMBERS - 1] = {VERSION, identity(state), state->length, n_words};
    memcpy(out, MAGIC, MAGIC_SIZE);
    for (size_t i = 0; i < N_NUMBERS - 1; i++)
        put_number(out + MAGIC_SIZE + 8 * i, numbers[i], 8);
    write_words(state, out + HEADER_SIZE);
    put_number(out + CHECKSUM_AT, checksum_of(out, *size), 8);
    return INK_OK;
}

/* ---- loading -------------------------------------------------------------------------------------------------- */

/* Who wrote these bytes, for which model, and is there room? Sets *length. */
static ink_result check_header(ink_context *ctx, const ink_state *state, const unsigned char *in, size_t size,
                               size_t *length)
{
    if (size < HEADER_SIZE || memcmp(in, MAGIC, MAGIC_SIZE) != 0)
        return ink_fail(ctx, INK_ERROR_CORRUPT, "these %zu bytes are not a saved state: they do not begin with one",
                        size);
    uint64_t version = get_number(in + MAGIC_SIZE, 8);
    uint64_t fingerprint = get_number(in + MAGIC_SIZE + 8, 8);
    uint64_t tokens = get_number(in + MAGIC_SIZE + 16, 8);
    if (version != VERSION)
        return ink_fail(ctx, INK_ERROR_UNSUPPORTED, "saved state: version %llu, expected %llu",
                        (unsigned long long)version, (unsigned long long)(uint64_t)VERSION);
    if (fingerprint != identity(state))
        return ink_fail(ctx, INK_ERROR_MISMATCH, "the saved state is of another model than this %s%s",
                        state->model->kind->name,
                        state->model->own_capacity_from != 0 ? ", or for another number of tokens" : "");
    if (tokens > state->capacity)
        return ink_fail(ctx, INK_ERROR_LIMIT, "the saved state has %llu tokens, there is room for %zu",
                        (unsigned long long)tokens, state->capacity);
    *length = (size_t)tokens;
    return INK_OK;
}

/* Are the words as many as they must be, and what was written? */
static ink_result check_words(ink_context *ctx, const ink_state *state, const unsigned char *in, size_t size,
                              size_t length)
{
    uint64_t n_words = get_number(in + MAGIC_SIZE + 24, 8);
    size_t expected = count_words(state, length);
    if (n_words != expected || size - HEADER_SIZE != 4 * expected)
        return ink_fail(ctx, INK_ERROR_CORRUPT, "saved state: %llu words in %zu bytes, expected %zu words in %zu bytes",
                        (unsigned long long)n_words, size, expected, HEADER_SIZE + 4 * expected);
    if (get_number(in + CHECKSUM_AT, 8) != checksum_of(in, size))
        return ink_fail(ctx, INK_ERROR_CORRUPT, "saved state: the bytes have changed since it was saved");
    for (size_t i = 0; network_of(state)->holds_tokens && i < expected; i++) {
        uint64_t token = get_number(in + HEADER_SIZE + 4 * i, 4);
        if (token >= state->model->info.vocab_size)
            return ink_fail(ctx, INK_ERROR_CORRUPT, "saved state: token %llu is outside the vocabulary of %zu",
                            (unsigned long long)token, state->model->info.vocab_size);
    }
    return INK_OK;
}

ink_result ink_state_load(ink_context *ctx, ink_state *state, const void *bytes, size_t size)
{
    const unsigned char *in = bytes;
    ink_words words;
    size_t length = 0;
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, state);
    INK_REQUIRE(ctx, bytes);
    INK_TRY(check_header(ctx, state, in, size, &length));
    INK_TRY(check_words(ctx, state, in, size, length));

    ink_state_set_length(state, length);
    in += HEADER_SIZE;
    for (size_t i = 0; network_of(state)->words(state, i, &words); i++) {
        for (size_t j = 0; j < words.count; j++, in += 4)
            put_word(&words, j, (uint32_t)get_number(in, 4));
    }
    return INK_OK;
}
