/*
 * fuzz_model.c - any text as config.json, and what follows its first NUL as generation_config.json, of a folder whose
 * weights are those of a tiny Llama: opened or refused with a sentence; what opens runs.
 */
#include <stdlib.h>
#include <string.h>

#include <inkling.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* One block, vocabulary 8, width 8, two heads of 4 with one for keys and values, inner width 8; without biases. */
static const struct {
    const char *name;
    size_t rows, columns; /* columns 0: a vector */
} tensors[] = {
    {"model.embed_tokens.weight", 8, 8},
    {"model.layers.0.input_layernorm.weight", 8, 0},
    {"model.layers.0.mlp.down_proj.weight", 8, 8},
    {"model.layers.0.mlp.gate_proj.weight", 8, 8},
    {"model.layers.0.mlp.up_proj.weight", 8, 8},
    {"model.layers.0.post_attention_layernorm.weight", 8, 0},
    {"model.layers.0.self_attn.k_proj.weight", 4, 8},
    {"model.layers.0.self_attn.o_proj.weight", 8, 8},
    {"model.layers.0.self_attn.q_proj.weight", 8, 8},
    {"model.layers.0.self_attn.v_proj.weight", 4, 8},
    {"model.norm.weight", 8, 0},
};

/* Appends a string at *to. */
static void append(char **to, const char *text)
{
    size_t size = strlen(text);
    memcpy(*to, text, size);
    *to += size;
}

static void append_number(char **to, size_t number)
{
    char digits[24];
    size_t n = 0;
    do
        digits[n++] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    while (n > 0)
        *(*to)++ = digits[--n];
}

/* The file; weights are small numbers, none of them zero. */
static ink_memory_file make_weights(void)
{
    static char bytes[8192];
    static float values[1024];
    char *to = bytes + 8;
    size_t at = 0;
    *to++ = '{';
    for (size_t i = 0; i < sizeof tensors / sizeof tensors[0]; i++) {
        size_t count = tensors[i].rows * (tensors[i].columns > 0 ? tensors[i].columns : 1);
        append(&to, i > 0 ? ",\"" : "\"");
        append(&to, tensors[i].name);
        append(&to, "\":{\"dtype\":\"F32\",\"shape\":[");
        append_number(&to, tensors[i].rows);
        append(&to, tensors[i].columns > 0 ? ",8" : "");
        append(&to, "],\"data_offsets\":[");
        append_number(&to, 4 * at);
        append(&to, ",");
        append_number(&to, 4 * (at + count));
        append(&to, "]}");
        for (; count > 0; count--, at++)
            values[at] = (float)(at * 7 % 19) / 16 - 0.53f;
    }
    *to++ = '}';
    for (size_t i = 0; i < 8; i++)
        bytes[i] = (char)((uint64_t)(to - bytes - 8) >> 8 * i);
    memcpy(to, values, 4 * at);
    return (ink_memory_file){"model.safetensors", bytes, (size_t)(to - bytes) + 4 * at};
}

/* Logits and hidden vectors of a few tokens, in pieces. */
static void run(ink_context *ctx, const ink_model *model)
{
    static const ink_token tokens[] = {1, 7, 0, 3};
    const ink_model_info *info = ink_model_get_info(model);
    ink_sampler_options options;
    ink_state *state;
    float logits[4 * 8], hidden[4 * 8];
    check(info->vocab_size == 8 && info->hidden_size == 8 && info->context_length > 0);
    ink_model_sampling(model, &options);
    size_t capacity = info->context_length < 4 ? info->context_length : 4;
    check(ink_state_create(ctx, model, capacity, &state) == INK_OK);
    ink_item item = {.state = state, .tokens = tokens, .n_tokens = 1, .hidden = hidden, .n_hidden = 1};
    check(ink_model_forward_list(ctx, model, &item, 1) == INK_OK);
    item = (ink_item){
        .state = state, .tokens = tokens, .n_tokens = capacity - 1, .logits = logits, .n_logits = capacity - 1};
    check((ink_model_forward_list(ctx, model, &item, 1) == INK_OK) == (capacity > 1));
    ink_state_free(state);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size > 0 ? memchr(data, 0, size) : NULL;
    size_t config_size = end != NULL ? (size_t)(end - data) : size;
    ink_memory_file files[3] = {{"config.json", data, config_size}, make_weights()};
    ink_memory_files list = {files, 2};
    if (end != NULL)
        files[list.n_files++] = (ink_memory_file){"generation_config.json", end + 1, size - config_size - 1};
    ink_context *ctx = ink_context_create(NULL);
    ink_source source = ink_source_memory(&list);
    const ink_model_options options = {.source = &source, .max_bytes = 1 << 20};
    ink_model *model;
    if (ink_model_open(ctx, NULL, &options, &model) == INK_OK)
        run(ctx, model);
    else
        check(model == NULL && ink_context_error(ctx)[0] != '\0');
    ink_model_free(model);
    ink_context_free(ctx);
    return 0;
}
