/*
 * talk_file.c - a conversation in a file:
 *
 *     "inkling talk 1\n\0"   16 bytes
 *     format                 16 bytes, the name of the chat format, zeros behind it
 *     5 numbers              8 bytes each, the lowest first: messages, who spoke last, whether the last answer is
 *                            still to be closed, tokens, bytes of the state
 *     tokens                 4 bytes each, the lowest first
 *     state                  what ink_state_save() writes
 *     sum                    8 bytes, the lowest first: FNV-1a of all before it
 */
#include "talk.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "console.h"

static const char magic[16] = "inkling talk 1\n";

enum { HEAD = 16, N_NUMBERS = 5, SUM = 8, FIXED = 2 * HEAD + 8 * N_NUMBERS };

static void put(unsigned char *to, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        to[i] = (unsigned char)(value >> 8 * i);
}

static uint64_t get(const unsigned char *from, size_t size)
{
    uint64_t value = 0;

    for (size_t i = size; i-- > 0;)
        value = value << 8 | from[i];
    return value;
}

/* FNV-1a (Fowler, Noll, Vo): h = (h ^ byte) p for each byte, p = 2^40 + 2^8 + 0xb3. */
static uint64_t sum_of(const unsigned char *bytes, size_t size)
{
    uint64_t h = 0xcbf29ce484222325u;

    for (size_t i = 0; i < size; i++)
        h = (h ^ bytes[i]) * 0x100000001b3u;
    return h;
}

/* ---- save ------------------------------------------------------------------------------------------------------- */

/* The bytes of the file, to be freed. */
static unsigned char *write_bytes(const talk *t, size_t *size)
{
    ink_context *ctx = t->lm->ctx;
    size_t state_size = 0;

    ink_state_save(ctx, t->state, NULL, 0, &state_size); /* asks for the size */
    const uint64_t numbers[N_NUMBERS] = {t->at.n_messages, t->at.last, t->at.answering, t->n_heard, state_size};
    *size = FIXED + 4 * t->n_heard + state_size + SUM;
    unsigned char *bytes = calloc(*size, 1), *at = bytes;
    if (bytes == NULL) {
        console_complain("there is no memory for %zu bytes", *size);
        return NULL;
    }
    memcpy(at, magic, HEAD);
    memcpy(at + HEAD, ink_chat_format(t->chat), strlen(ink_chat_format(t->chat)));
    at += 2 * HEAD;
    for (size_t i = 0; i < N_NUMBERS; i++, at += 8)
        put(at, numbers[i], 8);
    for (size_t i = 0; i < t->n_heard; i++, at += 4)
        put(at, (uint64_t)t->heard[i], 4);
    if (ink_state_save(ctx, t->state, at, state_size, &state_size) == INK_OK) {
        put(at + state_size, sum_of(bytes, *size - SUM), SUM);
        return bytes;
    }
    console_complain("%s", ink_context_error(ctx));
    free(bytes);
    return NULL;
}

void talk_save(talk *t, const char *path)
{
    size_t size;
    unsigned char *bytes = write_bytes(t, &size);
    char room[CONSOLE_ROOM];

    if (bytes == NULL)
        return;
    FILE *file = fopen(path, "wb");
    bool done = file != NULL && fwrite(bytes, 1, size, file) == size;
    if (file != NULL)
        done = fclose(file) == 0 && done;
    if (done)
        console_note("(%zu tokens, %s, are in %s)", ink_state_length(t->state), console_bytes(room, size), path);
    else
        console_complain("%s: cannot be written: %s", path, strerror(errno));
    free(bytes);
}

/* ---- load ------------------------------------------------------------------------------------------------------- */

/* All of a file, to be freed; NULL after a sentence. */
static unsigned char *read_bytes(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    long end = -1;
    unsigned char *bytes = NULL;

    if (file != NULL && fseek(file, 0, SEEK_END) == 0)
        end = ftell(file);
    if (end >= 0)
        bytes = malloc((size_t)end + 1);
    if (bytes != NULL) {
        rewind(file);
        *size = fread(bytes, 1, (size_t)end, file);
    }
    if (bytes == NULL || *size != (size_t)end) {
        console_complain("%s: cannot be read: %s", path, strerror(errno));
        free(bytes);
        bytes = NULL;
    }
    if (file != NULL)
        fclose(file);
    return bytes;
}

/* Whether the head and the numbers are such as talk_save() writes, for this chat format and for `size` bytes. */
static bool check(const talk *t, const char *path, const unsigned char *bytes, size_t size, uint64_t numbers[N_NUMBERS])
{
    char format[HEAD + 1] = {0}, shown[HEAD + 1];

    if (size < FIXED + SUM || memcmp(bytes, magic, HEAD) != 0) {
        console_complain("%s: is no conversation that /save has written", path);
        return false;
    }
    memcpy(format, bytes + HEAD, HEAD);
    if (strcmp(format, ink_chat_format(t->chat)) != 0) {
        console_complain("%s: the conversation is in the chat format %s, this one in %s", path,
                         console_harmless(shown, sizeof shown, format), ink_chat_format(t->chat));
        return false;
    }
    for (size_t i = 0; i < N_NUMBERS; i++)
        numbers[i] = get(bytes + 2 * HEAD + 8 * i, 8);
    uint64_t sum = sum_of(bytes, size - SUM);
    size -= FIXED + SUM;
    if (sum != get(bytes + FIXED + size, SUM) || numbers[1] > INK_ROLE_ASSISTANT || numbers[2] > 1 ||
        numbers[3] > size / 4 || numbers[4] != size - 4 * numbers[3]) {
        console_complain("%s: the file is damaged", path);
        return false;
    }
    return true;
}

/* The tokens that follow the numbers, to be freed. */
static ink_token *read_tokens(const unsigned char *bytes, size_t n)
{
    ink_token *tokens = calloc(n + 1, sizeof *tokens);

    if (tokens == NULL)
        console_complain("there is no memory for %zu tokens", n);
    for (size_t i = 0; tokens != NULL && i < n; i++)
        tokens[i] = (ink_token)(int32_t)get(bytes + 4 * i, 4);
    return tokens;
}

static bool restore(talk *t, const unsigned char *bytes, const uint64_t numbers[N_NUMBERS])
{
    size_t n = (size_t)numbers[3], state_size = (size_t)numbers[4];
    ink_context *ctx = t->lm->ctx;
    ink_sampler *sampler = NULL;
    ink_token *tokens = read_tokens(bytes + FIXED, n);
    bool done = tokens != NULL;

    if (done && (ink_sampler_create(ctx, &t->options->sampler, t->lm->info->vocab_size, &sampler) != INK_OK ||
                 ink_sampler_accept(ctx, sampler, tokens, n) != INK_OK ||
                 ink_state_load(ctx, t->state, bytes + FIXED + 4 * n, state_size) != INK_OK)) {
        console_complain("%s", ink_context_error(ctx));
        done = false;
    }
    if (!done) {
        ink_sampler_free(sampler);
        free(tokens);
        return false;
    }
    ink_sampler_free(t->sampler);
    free(t->heard);
    t->sampler = sampler;
    t->heard = tokens;
    t->n_heard = n;
    t->heard_room = n + 1;
    t->at = (ink_conversation){(size_t)numbers[0], (ink_role)numbers[1], numbers[2] != 0};
    return true;
}

void talk_load(talk *t, const char *path)
{
    size_t size = 0;
    uint64_t numbers[N_NUMBERS];
    unsigned char *bytes = read_bytes(path, &size);

    if (bytes != NULL && check(t, path, bytes, size, numbers) && restore(t, bytes, numbers))
        console_note("(%zu tokens of a conversation from %s)", ink_state_length(t->state), path);
    free(bytes);
}
