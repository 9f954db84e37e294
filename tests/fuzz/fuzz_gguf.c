/* fuzz_gguf.c - any bytes as a GGUF file, or as two shards with SHARD_BORDER between them: opened or refused; every
   tensor and value of an opened file can be read; and memory is in proportion to the file. Then the same bytes as a
   model, a tokenizer and a chat template, which run if they open. */
#include "fuzz.h"

#include "../../src/formats/gguf.h"

#define SHARD_BORDER "\377\377\377\377"
#define N_BORDER (sizeof SHARD_BORDER - 1)

/* The tensors of a file follow each other, and each has the bytes its type and shape need. */
static void check_tensors(ink_context *ctx, const ink_weights *weights, size_t size)
{
    for (size_t i = 0; i < ink_weights_count(weights); i++) {
        const ink_weight *weight = ink_weights_at(weights, i), *former = ink_weights_at(weights, i - (i > 0));
        const ink_block_size block = ink_type_block(weight->type);
        size_t count;
        check(ink_weights_find(weights, weight->name) == weight && weight->name[0] != '\0');
        check(ink_shape_count(&weight->shape, &count) && count % block.elements == 0);
        check(count / block.elements * block.bytes == weight->size);
        check(i == 0 || former->file != weight->file || weight->offset >= former->offset + former->size);
        check(weight->size <= size && weight->offset <= size - weight->size);
        float *values = malloc(count * sizeof *values + 1);
        bool reads = ink_type_is_float(weight->type) || ink_type_is_quantised(weight->type);
        check((ink_weights_read(ctx, weights, weight, values) == INK_OK) == reads);
        free(values);
    }
}

static void check_values(ink_context *ctx, const ink_weights *weights)
{
    const ink_gguf *gguf = ink_weights_gguf(weights);
    ink_metadata entry;
    for (size_t i = 0; ink_weights_metadata_at(weights, i, &entry); i++) {
        const ink_gguf_value *value = ink_gguf_find(gguf, entry.key);
        const char *text;
        size_t at = 0, size, n = 0;
        double number;
        int64_t whole;
        bool yes;
        check(value == &gguf->values[i] && (entry.is_array || entry.count == 1));
        for (size_t e = 0; e < entry.count && e < 40; e++)
            check((ink_weights_metadata_element(weights, i, e, &size, &number) != NULL) ==
                  (value->type == INK_GGUF_STRING));
        for (; value->is_array && value->type == INK_GGUF_STRING && ink_gguf_next_string(value, &at, &text, &size); n++)
            check(memchr(text, 0, size) == NULL);
        check(!value->is_array || value->type != INK_GGUF_STRING || n == value->count);
        (void)ink_gguf_get_int(ctx, gguf, value, 0, 9, &whole);
        (void)ink_gguf_int_at(ctx, gguf, value, value->count / 2, INT64_MIN, INT64_MAX, &whole);
        (void)ink_gguf_get_float(ctx, gguf, value, &number);
        (void)ink_gguf_float_at(ctx, gguf, value, value->count / 2, &number);
        check(ink_gguf_get_bool(ctx, gguf, value, &yes) != INK_OK || entry.type[0] == 'b');
        check(ink_gguf_get_string(ctx, gguf, value, &text, &size) != INK_OK || strlen(text) == size);
        (void)ink_gguf_expect_array(ctx, gguf, value, INK_GGUF_I32, 3);
    }
    (void)ink_gguf_check_model(ctx, gguf, ink_weights_count(weights));
}

/* A file that opens as a model reads a token, as a tokenizer a text. */
static void check_uses(ink_context *ctx, const ink_source *source, const char *name)
{
    ink_source named = *source;
    named.name = name;
    const ink_token token = 0;
    ink_model *model = NULL;
    ink_tokenizer *tokenizer = NULL;
    ink_chat *chat = NULL;
    ink_model_options options = {.source = &named, .max_bytes = (uint64_t)1 << 24};
    if (ink_model_open(ctx, NULL, &options, &model) == INK_OK) {
        const ink_model_info *info = ink_model_get_info(model);
        float *out = malloc((info->vocab_size + info->hidden_size + 4096) * sizeof *out);
        ink_text text = {.tokens = &token, .n_tokens = 1, .output = out};
        ink_state *state = NULL;
        check(out != NULL);
        if (ink_model_get_encoder(model) != NULL)
            (void)ink_model_encode(ctx, model, INK_HIDDEN_STATES, &text, 1);
        else if (ink_state_create(ctx, model, 1, &state) == INK_OK)
            (void)ink_model_forward(ctx, model, state, &token, 1, out);
        ink_state_free(state);
        free(out);
    } else {
        check(model == NULL && ink_context_error(ctx)[0] != '\0');
    }
    ink_model_free(model);
    if (ink_tokenizer_open_source(ctx, &named, &tokenizer) == INK_OK) {
        ink_token ids[64];
        char back[1024];
        size_t n = 0, size;
        if (ink_tokenizer_encode(ctx, tokenizer, "a <s>\xc3\xa9 B", 9, INK_ENCODE_DEFAULT, ids, 64, &n) == INK_OK)
            (void)ink_tokenizer_decode(ctx, tokenizer, ids, n, back, sizeof back, &size);
        if (ink_chat_open(ctx, NULL, tokenizer, &(ink_chat_options){.source = &named}, &chat) != INK_OK)
            check(chat == NULL && ink_context_error(ctx)[0] != '\0');
        ink_chat_free(chat);
    } else {
        check(tokenizer == NULL && ink_context_error(ctx)[0] != '\0');
    }
    ink_tokenizer_free(tokenizer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"m-00001-of-00002.gguf", "m-00002-of-00002.gguf"};
    size_t border = 0;
    while (border + N_BORDER <= size && memcmp(data + border, SHARD_BORDER, N_BORDER) != 0)
        border++;
    const bool is_split = border + N_BORDER <= size;
    ink_memory_file files[] = {{names[0], data, is_split ? border : size},
                               {names[1], data + border + N_BORDER, is_split ? size - border - N_BORDER : 0}};
    ink_source source = ink_source_memory(&(ink_memory_files){files, is_split ? 2 : 1});
    fuzz_memory memory;
    ink_context *ctx = fuzz_context(&memory);
    size_t before = memory.live;
    for (size_t i = 0; i < (is_split ? 2u : 1u); i++) {
        ink_weights *weights = NULL;
        if (ink_weights_open_source(ctx, &source, names[i], &weights) == INK_OK) {
            check_tensors(ctx, weights, size);
            check_values(ctx, weights);
        } else {
            check(weights == NULL && ink_context_error(ctx)[0] != '\0');
        }
        ink_weights_free(weights);
        check(memory.live == before);
    }
    /* A key of 14 bytes takes 70, a tensor of 25 takes 273; arenas begin with 64 KB and double. */
    check(memory.peak - before <= 32 * size + ((size_t)1 << 19));
    check_uses(ctx, &source, names[0]);
    ink_context_free(ctx);
    return 0;
}
