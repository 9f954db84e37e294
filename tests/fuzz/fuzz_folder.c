/*
 * fuzz_folder.c - any folder of files (fuzz.h): its tokenizer, its chat template, its model and the PyTorch modules in
 * its weights. Each opens or is refused with a sentence. What opens runs, and gives the same bits alone and beside
 * others. What can be written as a GGUF file opens again. A small folder costs little, and nothing is left when all is
 * freed.
 */
#include "fuzz.h"

#define MODEL_BYTES ((uint64_t)4 << 20)
#define MOST_TOKENS ((size_t)9)

/* What opening may take beside the objects that it makes: reading a file of n bytes takes a multiple of n. */
#define SMALL_FOLDER ((size_t)1024)
#define SMALL_PEAK ((size_t)1 << 20)

static void check_refused(ink_context *ctx, const void *object)
{
    check(object == NULL && ink_context_error(ctx)[0] != '\0');
}

/* ---- text ------------------------------------------------------------------------------------------------------- */

static void run_tokenizer(ink_context *ctx, const ink_tokenizer *tokenizer)
{
    static const char text[] = "Hello, w\xc3\xb6rld <s> [MASK]\t\xe4\xb8\xad 123\xff the  end";
    for (unsigned flags = 0; flags < 16; flags += 3) {
        size_t n = 0, again = 0, size = 0, piece = 0, sum = 0;
        if (ink_tokenizer_encode(ctx, tokenizer, text, sizeof text - 1, flags, NULL, 0, &n) == INK_OK)
            check(n == 0);
        ink_token *ids = malloc((n + 1) * sizeof *ids);
        if (ink_tokenizer_encode(ctx, tokenizer, text, sizeof text - 1, flags, ids, n, &again) != INK_OK) {
            free(ids); /* an unknown word, and no token for it */
            continue;
        }
        check(again == n);
        ink_tokenizer_decode(ctx, tokenizer, ids, n, NULL, 0, &size);
        size_t capacity = ink_tokenizer_stream_capacity(tokenizer);
        char *whole = malloc(size + 1), *part = malloc(capacity + 1);
        ink_text_stream stream = {.n_held = 0};
        check(ink_tokenizer_decode(ctx, tokenizer, ids, n, whole, size, &size) == INK_OK);
        for (size_t i = 0; i <= n; i++, sum += piece) {
            check(ink_tokenizer_stream(ctx, tokenizer, &stream, i < n ? ids[i] : -1, part, capacity, &piece) == INK_OK);
            check(piece <= size - sum && memcmp(part, whole + sum, piece) == 0);
        }
        check(sum == size);
        free(part);
        free(whole);
        free(ids);
    }
}

static void run_chat(ink_context *ctx, const ink_chat *chat)
{
    const ink_message messages[] = {{.role = "user", .text = "Hello", .size = 5},
                                    {.role = "assistant", .text = "yes", .size = 3},
                                    {.role = "user", .text = "<s></s>", .size = 7}};
    ink_token ids[256];
    size_t n = 0;
    ink_chat_encode(ctx, chat, &(ink_chat_input){.messages = messages, .n_messages = 3, .answer = true}, ids, 256, &n);
}

/* ---- models ----------------------------------------------------------------------------------------------------- */

/* As many tokens as a text may have here: a context length of 0 is no limit. */
static size_t some_tokens(const ink_model_info *info)
{
    return info->context_length != 0 && info->context_length < MOST_TOKENS ? info->context_length : MOST_TOKENS;
}

static void run_encoder(ink_context *ctx, const ink_model *model)
{
    const ink_model_info *info = ink_model_get_info(model);
    ink_token tokens[MOST_TOKENS];
    for (size_t i = 0; i < MOST_TOKENS; i++)
        tokens[i] = (ink_token)(i * 5 % info->vocab_size);
    size_t n = some_tokens(info);
    for (int encoding = 0; encoding < INK_N_ENCODINGS; encoding++) {
        size_t width = ink_model_encoding_size(model, (ink_encoding)encoding), size = width * (n + 1);
        if (width == 0)
            continue;
        float *both = calloc(2 * size, sizeof *both), *alone = calloc(size, sizeof *alone);
        const ink_text texts[] = {{.tokens = tokens, .n_tokens = n, .output = both},
                                  {.tokens = tokens + n - 1, .n_tokens = 1, .output = both + size}};
        ink_text one = texts[1];
        one.output = alone;
        ink_result first = ink_model_encode(ctx, model, (ink_encoding)encoding, texts, 2);
        ink_result second = ink_model_encode(ctx, model, (ink_encoding)encoding, &one, 1);
        check(first == INK_OK || first == INK_ERROR_NONFINITE);
        if (first == INK_OK && second == INK_OK)
            check(memcmp(both + size, alone, width * sizeof *alone) == 0);
        free(both);
        free(alone);
    }
}

/* Answers, tags and ranks, of tokens that each have a byte of a text. */
static void run_tasks(ink_context *ctx, const ink_model *model)
{
    static const char text[] = "aB c\xff\xc3 D";
    const ink_model_info *info = ink_model_get_info(model);
    size_t n = some_tokens(info), found, order[2];
    size_t window = n > 4 ? 4 : 0;
    ink_token tokens[MOST_TOKENS];
    ink_place places[MOST_TOKENS];
    float scores[2];
    for (int pair = 0; pair < 2; pair++) {
        for (size_t i = 0; i < n; i++) {
            tokens[i] = (ink_token)(i * 5 % info->vocab_size);
            places[i] = (ink_place){.text = i > 0 ? pair : -1, .word = i > 0 ? i / 2 : SIZE_MAX};
            places[i].start = i > 0 ? i - 1 : 0;
            places[i].stop = i;
        }
        places[0].stop = 0;
        const ink_passage passage = {
            .tokens = tokens, .places = places, .n_tokens = n, .text = text, .size = sizeof text - 1};
        ink_answer answers[3];
        ink_tag tags[MOST_TOKENS];
        const ink_answer_options o = {.n_best = 3, .max_tokens = window, .stride = 1, .may_be_impossible = true};
        if (ink_model_answer(ctx, model, &passage, 1, &o, answers, &found) == INK_OK)
            for (size_t i = 0; i < found; i++)
                check(answers[i].start <= answers[i].stop && answers[i].stop < sizeof text && answers[i].score >= 0);
        for (int kind = 0; kind < INK_N_AGGREGATIONS; kind++) {
            const ink_tag_options t = {.aggregation = (ink_aggregation)kind, .max_tokens = window, .stride = 1};
            if (ink_model_tag(ctx, model, &passage, 1, &t, tags, MOST_TOKENS, &found) == INK_OK)
                for (size_t i = 0; i < found; i++)
                    check(tags[i].start <= tags[i].stop && tags[i].stop < sizeof text && tags[i].score >= 0);
        }
    }
    const ink_text texts[] = {{.tokens = tokens, .n_tokens = n}, {.tokens = tokens, .n_tokens = 1}};
    if (ink_model_rank(ctx, model, texts, 2, order, scores) == INK_OK)
        check(order[0] + order[1] == 1 && scores[order[0]] >= scores[order[1]]);
}

/* Encodes tokens, or rows where a model has no encoder, for both states. False if that is not possible: the source is
   too large, or its rows are not finite. */
static bool begin_with_a_source(ink_context *ctx, const ink_model *model, size_t n, ink_encoded **encoded,
                                ink_state *state, ink_state *other)
{
    const ink_encoder_decoder_info *info = ink_model_get_encoder_decoder(model);
    ink_token tokens[MOST_TOKENS];
    size_t bytes = 0;
    if (info->source_length != 0 && n > info->source_length)
        n = info->source_length;
    if (ink_encoded_size(ctx, model, n, &bytes) != INK_OK || bytes > MODEL_BYTES)
        return false;
    float *rows = calloc(n * info->source_size, sizeof *rows);
    for (size_t i = 0; i < n && info->source_vocab_size > 0; i++)
        tokens[i] = (ink_token)(i * 3 % info->source_vocab_size);
    check(ink_encoded_create(ctx, model, n, encoded) == INK_OK);
    const ink_source_item item = {.encoded = *encoded,
                                  .tokens = info->source_vocab_size > 0 ? tokens : NULL,
                                  .rows = info->source_vocab_size > 0 ? NULL : rows,
                                  .n_tokens = n};
    ink_result result = ink_model_encode_sources(ctx, model, &item, 1);
    check(result == INK_OK || result == INK_ERROR_NONFINITE);
    free(rows);
    if (result == INK_OK)
        check(ink_state_begin(ctx, state, *encoded) == INK_OK && ink_state_begin(ctx, other, *encoded) == INK_OK);
    return result == INK_OK;
}

static void run_decoder(ink_context *ctx, const ink_model *model)
{
    const ink_model_info *info = ink_model_get_info(model);
    ink_generate_options options;
    ink_generator *generator;
    ink_state *state, *other;
    ink_token tokens[MOST_TOKENS];
    size_t bytes = 0, saved = 0, v = info->vocab_size, n = some_tokens(info);
    for (size_t i = 0; i < n; i++)
        tokens[i] = (ink_token)(i * 5 % v);
    ink_model_generation(model, &options);
    options.capacity = n + 4;
    if (ink_state_size(ctx, model, options.capacity, &bytes) == INK_OK && bytes < MODEL_BYTES / 16 &&
        options.n_beams < 8 && options.n_results < 8 &&
        ink_generator_create(ctx, model, &options, &generator) == INK_OK) {
        ink_request request = {.tokens = tokens, .n_tokens = n};
        ink_result result = ink_generate(ctx, generator, &request, 1);
        for (size_t r = 0; result == INK_OK && r < request.n_results; r++)
            check(request.results[r].n_tokens <= 5);
        ink_generator_free(generator);
    }
    if (ink_state_size(ctx, model, n, &bytes) != INK_OK || bytes > MODEL_BYTES)
        return;
    check(ink_state_create(ctx, model, n, &state) == INK_OK && ink_state_create(ctx, model, n, &other) == INK_OK);
    ink_encoded *encoded = NULL;
    if (ink_model_get_encoder_decoder(model) != NULL && !begin_with_a_source(ctx, model, n, &encoded, state, other)) {
        ink_encoded_free(encoded);
        ink_state_free(state);
        ink_state_free(other);
        return;
    }
    float *logits = calloc(2 * v, sizeof *logits);
    check(ink_model_forward(ctx, model, state, tokens, n, logits) == INK_OK);
    for (size_t i = 0; i < n; i++)
        check(ink_model_forward(ctx, model, other, tokens + i, 1, logits + v) == INK_OK);
    bool finite = true;
    for (size_t i = 0; i < 2 * v; i++)
        finite = finite && logits[i] - logits[i] == 0;
    check(!finite || memcmp(logits, logits + v, v * sizeof *logits) == 0);
    ink_state_save(ctx, state, NULL, 0, &saved);
    void *block = malloc(saved);
    check(ink_state_save(ctx, state, block, saved, &saved) == INK_OK);
    check(ink_state_load(ctx, other, block, saved) == INK_OK && ink_state_length(other) == n);
    free(block);
    free(logits);
    ink_state_free(state);
    ink_state_free(other);
    ink_encoded_free(encoded);
}

static void run_model(ink_context *ctx, const ink_model *model)
{
    const ink_model_info *info = ink_model_get_info(model);
    check(info->vocab_size > 0 && info->n_bytes <= MODEL_BYTES);
    for (size_t i = 0; i < info->n_unused; i++)
        check(ink_model_unused(model, i) != NULL);
    if (ink_model_get_encoder(model) != NULL) {
        run_encoder(ctx, model);
        run_tasks(ctx, model);
    } else {
        run_decoder(ctx, model);
    }
}

/* ---- the folder as a GGUF file ---------------------------------------------------------------------------------- */

typedef struct written {
    char *bytes;
    size_t size;
} written;

static bool append(void *user, const void *bytes, size_t size)
{
    written *w = user;
    char *longer = realloc(w->bytes, w->size + size + 1);
    check(longer != NULL);
    memcpy(longer + w->size, bytes, size);
    *w = (written){longer, w->size + size};
    return true;
}

/* What can be written opens again, and runs. */
static void write_as_gguf(ink_context *ctx, const ink_source *source, size_t size)
{
    static const ink_type types[] = {INK_F32, INK_Q8_0, INK_Q4_K, INK_F16, INK_Q4_0, INK_BF16, INK_Q6_K};
    const ink_gguf_options options = {
        .source = source, .type = types[size % (sizeof types / sizeof *types)], .pooling = INK_POOLING_MEAN};
    written w = {0};
    if (ink_gguf_write(ctx, "x", &options, append, &w) != INK_OK) {
        check(ink_context_error(ctx)[0] != '\0');
        free(w.bytes);
        return;
    }
    const ink_memory_file file = {"x.gguf", w.bytes, w.size};
    const ink_memory_files files = {&file, 1};
    const ink_source written_source = ink_source_memory(&files);
    const ink_model_options reads = {.source = &written_source, .type = INK_F32};
    ink_model *model;
    ink_result result = ink_model_open(ctx, "x.gguf", &reads, &model);
    check(result == INK_OK || result == INK_ERROR_UNSUPPORTED); /* smollm3, for example */
    if (model != NULL && ink_model_get_info(model)->n_bytes <= MODEL_BYTES)
        run_model(ctx, model);
    ink_model_free(model);
    free(w.bytes);
}

/* ---- modules ---------------------------------------------------------------------------------------------------- */

#define ROWS ((size_t)3)

/* What opens runs, whole and in two chunks, with the same bits. */
static void load_over_time(ink_context *ctx, const ink_weights *file, const char *name)
{
    static const ink_conv1d_options settings[] = {
        {0}, {.groups = 4, .stride = 2, .padding_left = 1, .padding_right = 2}, {.dilation = 2, .padding_left = 9}};
    static const ink_module lists[][4] = {{{.kind = INK_MODULE_LINEAR},
                                           {.kind = INK_MODULE_LAYER_NORM},
                                           {.kind = INK_MODULE_NONE},
                                           {.kind = INK_MODULE_BATCH_NORM}},
                                          {{.kind = INK_MODULE_CONV1D, .conv = {.stride = 2, .padding_right = 3}},
                                           {.kind = INK_MODULE_PRELU},
                                           {.kind = INK_MODULE_ACTIVATION, .activation = INK_ELU},
                                           {.kind = INK_MODULE_CONV1D}},
                                          {{.kind = INK_MODULE_RMS_NORM},
                                           {.kind = INK_MODULE_LINEAR},
                                           {.kind = INK_MODULE_PRELU},
                                           {.kind = INK_MODULE_LINEAR}}};
    static float x[ROWS * 4096], y[2][16 * 4096], state[8 * 4096];
    for (size_t i = 0; i < 3; i++) {
        ink_conv1d *conv;
        ink_sequential *net;
        if (ink_conv1d_load(ctx, file, name, &settings[i], &conv) != INK_OK) {
            check_refused(ctx, conv);
        } else if (ink_conv1d_in(conv) <= 4096 && ink_conv1d_out(conv) <= 4096 &&
                   ink_conv1d_state_size(conv) <= 8 * 4096) {
            size_t out = ink_conv1d_out(conv), length = ink_conv1d_length(conv, NULL, ROWS, true);
            memset(state, 0, sizeof state);
            size_t first = ink_conv1d_length(conv, state, 1, false);
            check(length <= 16 && first <= length);
            if (length > 0)
                check(ink_conv1d_forward(ctx, conv, NULL, x, ROWS, true, y[0]) == INK_OK);
            check(ink_conv1d_forward(ctx, conv, state, x, 1, false, y[1]) == INK_OK);
            check(ink_conv1d_length(conv, state, ROWS - 1, true) == length - first);
            check(ink_conv1d_forward(ctx, conv, state, x + ink_conv1d_in(conv), ROWS - 1, true, y[1] + first * out) ==
                  INK_OK);
            for (size_t j = 0; j < length * out; j++)
                check(memcmp(&y[0][j], &y[1][j], sizeof(float)) == 0 || (y[0][j] != y[0][j] && y[1][j] != y[1][j]));
        }
        if (ink_sequential_load(ctx, file, name, lists[i], 4, &net) != INK_OK)
            check_refused(ctx, net);
        else if (ink_sequential_in(net) <= 4096 && ink_sequential_out(net) <= 4096 &&
                 ink_sequential_length(net, NULL, ROWS, true) > 0)
            check(ink_sequential_forward(ctx, net, NULL, x, ROWS, true, y[0]) == INK_OK);
        ink_conv1d_free(conv);
        ink_sequential_free(net);
    }
}

static void load_modules(ink_context *ctx, const ink_weights *file, const char *name)
{
    const ink_transformer_options options = {.n_heads = 2};
    const size_t lengths[] = {1, ROWS - 1};
    ink_dense *dense;
    ink_mlp *mlp;
    ink_norm *norm;
    ink_mha *mha;
    ink_transformer *transformer;
    ink_recurrent *recurrent;
    static float x[ROWS * 4096], y[ROWS * 4096], state[8 * 4096];
    if (ink_dense_load(ctx, file, name, INK_GELU, &dense) != INK_OK)
        check_refused(ctx, dense);
    else if (ink_dense_in(dense) <= 4096 && ink_dense_out(dense) <= 4096)
        check(ink_dense_forward(ctx, dense, x, ROWS, y) == INK_OK);
    if (ink_mlp_load(ctx, file, name, INK_RELU, INK_TANH, &mlp) != INK_OK)
        check_refused(ctx, mlp);
    else if (ink_mlp_in(mlp) <= 4096 && ink_mlp_out(mlp) <= 4096)
        check(ink_mlp_forward(ctx, mlp, x, ROWS, y) == INK_OK);
    if (ink_norm_load(ctx, file, name, INK_LAYER_NORM, 1e-5f, &norm) != INK_OK)
        check_refused(ctx, norm);
    if (ink_mha_load(ctx, file, name, &options, &mha) != INK_OK)
        check_refused(ctx, mha);
    else if (ink_mha_size(mha) <= 4096)
        check(ink_mha_forward(ctx, mha, x, lengths, 2, y) == INK_OK);
    if (ink_transformer_load(ctx, file, name, &options, &transformer) != INK_OK)
        check_refused(ctx, transformer);
    else if (ink_transformer_size(transformer) <= 4096)
        check(ink_transformer_forward(ctx, transformer, x, lengths, 2, y) == INK_OK);
    for (int cell = 0; cell < INK_N_CELLS; cell++) {
        if (ink_recurrent_load(ctx, file, name, (ink_cell)cell, &recurrent) != INK_OK) {
            check_refused(ctx, recurrent);
        } else if (ink_recurrent_in(recurrent) <= 4096 && ink_recurrent_out(recurrent) <= 4096 &&
                   ink_recurrent_state_size(recurrent) <= 8 * 4096) {
            memset(state, 0, sizeof state);
            ink_sequence sequence = {.x = x, .y = y, .n_steps = ROWS, .state = state};
            check(ink_recurrent_forward(ctx, recurrent, &sequence, 1) == INK_OK);
        }
        ink_recurrent_free(recurrent);
    }
    ink_dense_free(dense);
    ink_mlp_free(mlp);
    ink_norm_free(norm);
    ink_mha_free(mha);
    ink_transformer_free(transformer);
}

/* Every loader for the module of the first tensors, and for the modules around it: "a.0.weight": "a.0", "a", "". */
static void run_weights(ink_context *ctx, const ink_weights *file)
{
    for (size_t i = 0; i < ink_weights_count(file) && i < 3; i++) {
        char name[256] = "";
        strncat(name, ink_weights_at(file, i)->name, sizeof name - 1);
        for (char *dot = name; dot != NULL && name[0] != '\0';) {
            dot = strrchr(name, '.');
            (dot != NULL ? dot : name)[0] = '\0';
            load_modules(ctx, file, name);
            load_over_time(ctx, file, name);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_memory memory;
    fuzz_folder folder;
    ink_context *ctx = fuzz_context(&memory);
    ink_source source = unpack_folder(&folder, data, size);
    ink_model_options options = {
        .source = &source, .max_bytes = MODEL_BYTES, .type = size % 2 != 0 ? INK_F32 : INK_TYPE_NONE};
    ink_chat_options chat_options = {.source = &source};
    ink_tokenizer *tokenizer;
    ink_model *model;
    ink_weights *file;
    ink_chat *chat = NULL;
    size_t before = memory.live;

    if (ink_tokenizer_open_source(ctx, &source, &tokenizer) != INK_OK)
        check_refused(ctx, tokenizer);
    else if (ink_chat_open(ctx, NULL, tokenizer, &chat_options, &chat) != INK_OK)
        check_refused(ctx, chat);
    if (ink_model_open(ctx, NULL, &options, &model) != INK_OK)
        check_refused(ctx, model);
    check(size >= SMALL_FOLDER ||
          memory.peak - before <= SMALL_PEAK + (model != NULL ? ink_model_get_info(model)->n_bytes : 0));

    if (tokenizer != NULL)
        run_tokenizer(ctx, tokenizer);
    if (chat != NULL)
        run_chat(ctx, chat);
    if (model != NULL) {
        run_model(ctx, model);
        write_as_gguf(ctx, &source, size);
    }
    ink_chat_free(chat);
    ink_tokenizer_free(tokenizer);
    ink_model_free(model);
    if (ink_weights_open_folder(ctx, &source, &file) == INK_OK)
        run_weights(ctx, file);
    ink_weights_free(file);
    ink_context_free(ctx);
    check(memory.live == 0);
    free_folder(&folder);
    return 0;
}
