/*
 * fuzz_tokenizer.c - a tokenizer.json, a byte FF, a text: refused or opened; then the text is encoded, alone and in a
 * pair, the ids of a byte-level vocabulary give it back, and the stream is the decoding. A file that begins like GGUF
 * is one, up to the last byte FF; one that does not begin like JSON either is tried as vocab.txt.
 */
#include <stdlib.h>
#include <string.h>

#include <inkling.h>

#include "../../src/formats/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_stream(ink_context *ctx, const ink_tokenizer *tokenizer, const ink_token *ids, size_t n)
{
    size_t capacity = ink_tokenizer_stream_capacity(tokenizer), whole = 0, sum = 0, piece = 0;
    ink_tokenizer_decode(ctx, tokenizer, ids, n, NULL, 0, &whole);
    char *text = malloc(whole + 1), *part = malloc(capacity);
    ink_text_stream stream = {.n_held = 0};
    check(ink_tokenizer_decode(ctx, tokenizer, ids, n, text, whole, &whole) == INK_OK);
    for (size_t i = 0; i <= n; i++, sum += piece) {
        ink_token id = i < n ? ids[i] : -1;
        check(ink_tokenizer_stream(ctx, tokenizer, &stream, id, part, capacity, &piece) == INK_OK);
        check(piece <= whole - sum && memcmp(part, text + sum, piece) == 0);
    }
    check(sum == whole);
    free(part);
    free(text);
}

/* Of a byte-level vocabulary, without normalizer and added tokens, the bytes of the ids are the text, but for a space
   that may be put before a piece of it. */
static void check_bytes(const ink_tokenizer *tokenizer, const ink_token *ids, size_t n, const char *text, size_t size)
{
    size_t done = 0, length = 0;
    for (size_t i = 0; i < n; i++) {
        const char *bytes = ink_tokenizer_token(tokenizer, ids[i], &length);
        size_t skipped = done < size && text[done] != ' ' && bytes[0] == ' ' ? 1 : 0;
        check(length - skipped <= size - done && memcmp(bytes + skipped, text + done, length - skipped) == 0);
        done += length - skipped;
    }
    check(done == size);
}

/* Every byte of its own is a token of a complete byte-level vocabulary only: elsewhere tokens are UTF-8. */
static bool is_byte_level(const ink_tokenizer *tokenizer)
{
    for (int byte = 0; byte < 256; byte++)
        if (ink_tokenizer_find(tokenizer, (const char[]){(char)byte}, 1) < 0)
            return false;
    return true;
}

/* The text beside itself, within a length: no longer than that, and each id has a type and a place in its
   text. */
static void check_pair(ink_context *ctx, const ink_tokenizer *tokenizer, const char *text, size_t size)
{
    ink_token ids[16], types[16];
    ink_place places[16];
    size_t n = 0;
    ink_encode_input input = {
        .text = text, .size = size, .pair = text, .pair_size = size / 2, .flags = INK_ENCODE_DEFAULT, .max_length = 16};
    if (ink_tokenizer_encode_input(ctx, tokenizer, &input, ids, types, places, 16, &n) != INK_OK)
        return; /* the template is longer */
    check(n <= 16);
    for (size_t i = 0; i < n; i++) {
        check(ink_tokenizer_token(tokenizer, ids[i], NULL) != NULL && types[i] >= 0);
        check(places[i].start <= places[i].stop && places[i].stop <= (places[i].text == 1 ? size / 2 : size));
    }
}

static void check_text(ink_context *ctx, const ink_tokenizer *tokenizer, bool changes, const char *text, size_t size,
                       unsigned flags)
{
    size_t needed = 0, n = 0;
    ink_result result = ink_tokenizer_encode(ctx, tokenizer, text, size, flags, NULL, 0, &needed);
    if (result == INK_ERROR_MISMATCH || strstr(ink_context_error(ctx), "text_growth") != NULL)
        return; /* an unknown word and no token for it; or too much text */
    check(result == (needed > 0 ? INK_ERROR_LIMIT : INK_OK));
    ink_token *ids = malloc((needed + 1) * sizeof *ids);
    check(ink_tokenizer_encode(ctx, tokenizer, text, size, flags, ids, needed, &n) == INK_OK);
    check(n == needed);
    if (flags == INK_ENCODE_PLAIN && is_byte_level(tokenizer) && !changes)
        check_bytes(tokenizer, ids, n, text, size);
    check_stream(ctx, tokenizer, ids, n);
    free(ids);
}

static bool contains(const uint8_t *data, size_t size, const char *words)
{
    size_t length = strlen(words);
    for (size_t i = 0; i + length <= size; i++)
        if (memcmp(data + i, words, length) == 0)
            return true;
    return false;
}

/* Whether two words of the vocabulary have one id, whose bytes are then those of only one of them. */
static bool shares_ids(ink_context *ctx, const char *text, size_t size)
{
    ink_json_document json;
    ink_arena arena;
    bool shares = false;
    unsigned char *seen = calloc(1, 1 << 20);
    ink_arena_grow(&arena, &ctx->allocator);
    if (ink_json_parse(ctx, &arena, "fuzz", text, size, 0, INK_LIMIT(ctx, table_bytes), &json) == INK_OK) {
        ink_json i = ink_json_first(&json, ink_json_member(&json, ink_json_member(&json, 0, "model"), "vocab"));
        for (; i != INK_JSON_NONE; i = ink_json_next(&json, i)) {
            int64_t id = 0;
            ink_json_get_int(ctx, &json, i, 0, (1 << 20) - 1, &id);
            shares = shares || seen[id] != 0;
            seen[id] = 1;
        }
    } else {
        shares = true; /* equal keys, which the tokenizer's reader takes */
    }
    ink_arena_free(&arena);
    free(seen);
    return shares;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const bool gguf = size >= 4 && memcmp(data, "GGUF", 4) == 0;
    const uint8_t *separator = size > 0 ? memchr(data, 0xFF, size) : NULL;
    for (size_t i = size; gguf && i-- > 0 && separator != NULL;)
        if (data[i] == 0xFF) {
            separator = data + i;
            break;
        }
    size_t file_size = separator != NULL ? (size_t)(separator - data) : size;
    const char *text = (const char *)data + (separator != NULL ? file_size + 1 : size);
    size_t text_size = (size_t)((const char *)data + size - text);
    ink_memory_file file = {gguf                         ? "model.gguf"
                            : size > 0 && data[0] == '{' ? "tokenizer.json"
                                                         : "vocab.txt",
                            data, file_size};
    ink_memory_files files = {&file, 1};
    ink_source source = ink_source_memory(&files);
    ink_context *ctx = ink_context_create(NULL);
    ink_tokenizer *tokenizer = NULL;
    /* Splitters may drop white space, normalizers anything: only a file that has neither gives the text back. */
    bool changes = contains(data, file_size, "normalizers") || contains(data, file_size, "pretokenizers") ||
                   !contains(data, file_size, "\"normalizer\":null");
    if (ink_tokenizer_open_source(ctx, &source, &tokenizer) == INK_OK) {
        changes = changes || gguf || shares_ids(ctx, (const char *)data, file_size);
        check_text(ctx, tokenizer, changes, text, text_size, INK_ENCODE_PLAIN);
        check_text(ctx, tokenizer, changes, text, text_size, INK_ENCODE_DEFAULT);
        check_pair(ctx, tokenizer, text, text_size);
    } else {
        check(tokenizer == NULL && ink_context_error(ctx)[0] != '\0');
    }
    ink_tokenizer_free(tokenizer);
    ink_context_free(ctx);
    return 0;
}
