/* subjects.c - see subjects.h. */
#include "subjects.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_OTHERS 8

/* How the subjects of a family are opened, run and closed. */
struct family {
    void (*open)(subject *s, ink_context *ctx, const ink_weights *file, const char *module);
    void (*begin)(subject *s, ink_context *ctx); /* NULL: nothing to forget */
    void (*run)(subject *s, ink_context *ctx, const void *x, size_t n, float *y);
    void (*run_beside)(subject *s, ink_context *ctx, size_t n_others, const void *x, float *y); /* or NULL */
    void (*close)(subject *s);
};

void give_up(const ink_context *ctx, const char *what)
{
    fprintf(stderr, "%s: %s\n", what, ctx != NULL ? ink_context_error(ctx) : "impossible");
    exit(2);
}

static void require(const ink_context *ctx, const char *what, ink_result result)
{
    if (result != INK_OK)
        give_up(ctx, what);
}

void *take(size_t n)
{
    void *block = calloc(n + 1, 4);
    if (block == NULL)
        give_up(NULL, "out of memory");
    return block;
}

/* ---- fixtures ---------------------------------------------------------------------------------------------------- */

/* The tensor as floats, or NULL if it is not there. */
static float *read_tensor(ink_context *ctx, const ink_weights *file, const char *name, size_t *n)
{
    const ink_weight *weight = ink_weights_find(file, name);
    if (weight == NULL)
        return NULL;
    if (!ink_shape_count(&weight->shape, n))
        give_up(NULL, name);
    float *x = take(*n);
    require(ctx, name, ink_weights_read(ctx, file, weight, x));
    return x;
}

static float *read_case(ink_context *ctx, const ink_weights *file, const char *module, const char *part, size_t *n)
{
    char name[96];
    snprintf(name, sizeof name, "case.%s.%s", module, part);
    return read_tensor(ctx, file, name, n);
}

/* Ids and lengths are stored as floats, which hold them exactly; they take their place. */
static void to_tokens(void *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float id;
        memcpy(&id, (const char *)x + 4 * i, sizeof id);
        ink_token token = (ink_token)id;
        memcpy((char *)x + 4 * i, &token, sizeof token);
    }
}

/* ---- layers whose rows do not depend on each other --------------------------------------------------------------- */

static void open_dense(subject *s, ink_context *ctx, const ink_weights *file, const char *module)
{
    ink_dense *dense;
    require(ctx, s->name,
            s->setting == 0 ? ink_dense_load(ctx, file, module, INK_IDENTITY, &dense)
                            : ink_dense_load_transposed(ctx, file, module, INK_IDENTITY, &dense));
    s->object = dense;
    s->in = ink_dense_in(dense);
    s->out = ink_dense_out(dense);
}

static void run_dense(subject *s, ink_context *ctx, const void *x, size_t n, float *y)
{
    require(ctx, s->name, ink_dense_forward(ctx, s->object, x, n, y));
}

static void close_dense(subject *s) { ink_dense_free(s->object); }

static const family dense = {open_dense, NULL, run_dense, NULL, close_dense};

/* The weight of a dense layer, packed as the type in `setting`. */
static void open_matrix(subject *s, ink_context *ctx, const ink_weights *file, const char *module)
{
    char name[96];
    size_t n;
    ink_matrix *matrix;
    snprintf(name, sizeof name, "%s.weight", module);
    float *w = read_tensor(ctx, file, name, &n);
    const ink_shape *shape = &ink_weights_find(file, name)->shape;
    ink_tensor tensor = ink_tensor_2d(w, shape->dim[0], shape->dim[1]);
    require(ctx, s->name, ink_matrix_create(ctx, &tensor, (ink_type)s->setting, &matrix));
    free(w);
    s->object = matrix;
    s->in = matrix->k;
    s->out = matrix->n;
}

static void run_matrix(subject *s, ink_context *ctx, const void *x, size_t n, float *y)
{
    require(ctx, s->name, ink_matrix_multiply(ctx, s->object, NULL, x, n, y));
}

static void close_matrix(subject *s) { ink_matrix_free(s->object); }

static const family matrix = {open_matrix, NULL, run_matrix, NULL, close_matrix};

static void run_activation(subject *s, ink_context *ctx, const void *x, size_t n, float *y)
{
    require(ctx, s->name, ink_activate(ctx, (ink_activation)s->setting, x, n, y));
}

static void close_nothing(subject *s) { (void)s; }

static const family activation = {NULL, NULL, run_activation, NULL, close_nothing};

static void open_mlp(subject *s, ink_context *ctx, const ink_weights *file, const char *module)
{
    ink_mlp *mlp;
    require(ctx, s->name, ink_mlp_load(ctx, file, module, INK_GELU, (ink_activation)s->setting, &mlp));
    s->object = mlp;
    s->in = ink_mlp_in(mlp);
    s->out = ink_mlp_out(mlp);
}

static void run_mlp(subject *s, ink_context *ctx, const void *x, size_t n, float *y)
{
    require(ctx, s->name, ink_mlp_forward(ctx, s->object, x, n, y));
}

static void close_mlp(subject *s) { ink_mlp_free(s->object); }

static const family mlp = {open_mlp, NULL, run_mlp, NULL, close_mlp};

static void open_norm(subject *s, ink_context *ctx, const ink_weights *file, const char *module)
{
    ink_norm *norm;
    const float eps = s->setting == INK_RMS_NORM ? 1e-6f : 1e-5f; /* the fixtures' */
    require(ctx, s->name, ink_norm_load(ctx, file, module, (ink_norm_kind)s->setting, eps, &norm));
    s->object = norm;
    s->in = s->out = ink_norm_size(norm);
}

static void run_norm(subject *s, ink_context *ctx, const void *x, size_t n, float *y)
{
    require(ctx, s->name, ink_norm_forward(ctx, s->object, x, n, y));
}

static void close_norm(subject *s) { ink_norm_free(s->object); }

static const family norm = {open_norm, NULL, run_norm, NULL, close_norm};

static void open_embedding(subject *s, ink_context *ctx, const ink_weights *file, const char *module)
{
    ink_embedding *embedding;
    require(ctx, s->name, ink_embedding_load(ctx, file, module, &embedding));
    s->object = embedding;
    s->in = 1;
    s->out = ink_embedding_size(embedding);
}

static void run_embedding(subject *s, ink_context *ctx, const void *x, size_t n, float *y)
{
    require(ctx, s->name, ink_embedding_forward(ctx, s->object, x, n, y));
}

static void close_embedding(subject *s) { ink_embedding_free(s->object); }

static const family embedding = {open_embedding, NULL, run_embedding, NULL, close_embedding};

/* Rows are tokens in a row: the i-th is at position i. */
static void open_rope(subject *s, ink_context *ctx, const ink_weights *file, const char *module)
{
    (void)ctx, (void)file, (void)module;
    s->in = s->out = s->rope.head_dim;
}

static void run_rope(subject *s, ink_context *ctx, const void *x, size_t n, float *y)
{
    memcpy(y, x, n * s->in * sizeof *y);
    require(ctx, s->name, ink_rope_forward(ctx, &s->rope, s->done, s->n, 1, s->in, n, y));
}

static const family rope = {open_rope, NULL, run_rope, NULL, close_nothing};

/* Four sequences, one after the other; those of a decoder attend to four memories. */
static void open_transformer(subject *s, ink_context *ctx, const ink_weights *file, const char *module)
{
    static const size_t lengths[] = {9, 1, 35, 3};
    ink_transformer *transformer;
    s->start = read_case(ctx, file, module, "memory", &s->n_source);
    require(ctx, s->name, ink_transformer_load(ctx, file, module, &s->transformer, &transformer));
    s->object = transformer;
    s->in = s->out = ink_transformer_size(transformer);
    s->n_texts = 4;
    memcpy(s->lengths, lengths, sizeof lengths);
    s->whole = true;
}

static void run_transformer(subject *s, ink_context *ctx, const void *x, size_t n, float *y)
{
    static const size_t memories[] = {4, 21, 6, 1};
    (void)n;
    require(ctx, s->name,
            s->start == NULL
                ? ink_transformer_forward(ctx, s->object, x, s->lengths, s->n_texts, y)
                : ink_transformer_decode(ctx, s->object, x, s->lengths, s->start, memories, s->n_texts, y));
}

static void close_transformer(subject *s) { ink_transformer_free(s->object); }

static const family transformer = {open_transformer, NULL, run_transformer, NULL, close_transformer};

/* ---- layers over sequences --------------------------------------------------------------------------------------- */

/* The i-th other sequence leaves out so many of the subject's first rows: all lengths differ. */
static size_t skipped_by(const subject *s, size_t i) { return (13 * i + 5) % s->n; }

/* Puts the subject's own sequence among the others. */
static void swap(void *a, void *b, size_t size)
{
    unsigned char *p = a, *q = b;
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = p[i];
        p[i] = q[i];
        q[i] = byte;
    }
}

static void open_recurrent(subject *s, ink_context *ctx, const ink_weights *file, const char *module)
{
    ink_recurrent *recurrent;
    require(ctx, s->name, ink_recurrent_load(ctx, file, module, (ink_cell)s->setting, &recurrent));
    s->object = recurrent;
    s->in = ink_recurrent_in(recurrent);
    s->out = ink_recurrent_out(recurrent);
    s->whole = ink_recurrent_directions(recurrent) == 2;
    s->state = take((1 + MOST_OTHERS) * ink_recurrent_state_size(recurrent));
}

/* The others begin with zeros, the subject's own sequence, which is the first, as the fixture says. */
static void begin_recurrent(subject *s, ink_context *ctx)
{
    size_t size = ink_recurrent_state_size(s->object) * sizeof(float);
    (void)ctx;
    memset(s->state, 0, (1 + MOST_OTHERS) * size);
    if (s->start != NULL)
        memcpy(s->state, s->start, size);
}

static void run_recurrent(subject *s, ink_context *ctx, const void *x, size_t n, float *y)
{
    const ink_sequence sequence = {x, y, n, s->state};
    require(ctx, s->name, ink_recurrent_forward(ctx, s->object, &sequence, 1));
}

static void run_recurrent_beside(subject *s, ink_context *ctx, size_t n_others, const void *x, float *y)
{
    ink_sequence sequences[1 + MOST_OTHERS] = {{x, y, s->n, s->state}};
    size_t size = ink_recurrent_state_size(s->object);
    for (size_t i = 1; i <= n_others; i++) {
        size_t skipped = skipped_by(s, i);
        sequences[i] =
            (ink_sequence){(const float *)x + skipped * s->in, NULL, s->n - skipped, (float *)s->state + i * size};
    }
    swap(&sequences[0], &sequences[n_others / 2], sizeof sequences[0]);
    require(ctx, s->name, ink_recurrent_forward(ctx, s->object, sequences, 1 + n_others));
}

static void close_recurrent(subject *s)
{
    ink_recurrent_free(s->object);
    free(s->state);
}

static const family recurrent = {open_recurrent, begin_recurrent, run_recurrent, run_recurrent_beside, close_recurrent};

/* Causal, so that n rows of x give n rows of y. */
static void open_conv(subject *s, ink_context *ctx, const ink_weights *file, const char *module)
{
    ink_conv1d *conv;
    require(ctx, s->name, ink_conv1d_load(ctx, file, module, &s->conv, &conv));
    s->object = conv;
    s->in = ink_conv1d_in(conv);
    s->out = ink_conv1d_out(conv);
    s->state = take(ink_conv1d_state_size(conv));
}

static void begin_conv(subject *s, ink_context *ctx)
{
    (void)ctx;
    memset(s->state, 0, ink_conv1d_state_size(s->object) * sizeof(float));
}

static void run_conv(subject *s, ink_context *ctx, const void *x, size_t n, float *y)
{
    require(ctx, s->name, ink_conv1d_forward(ctx, s->object, s->state, x, n, false, y));
}

static void close_conv(subject *s)
{
    ink_conv1d_free(s->object);
    free(s->state);
}

static const family conv = {open_conv, begin_conv, run_conv, NULL, close_conv};

static void open_sequential(subject *s, ink_context *ctx, const ink_weights *file, const char *module)
{
    static const ink_module modules[] = {{.kind = INK_MODULE_LINEAR},
                                         {.kind = INK_MODULE_LAYER_NORM},
                                         {INK_MODULE_ACTIVATION, .activation = INK_RELU},
                                         {.kind = INK_MODULE_NONE},
                                         {.kind = INK_MODULE_LINEAR},
                                         {.kind = INK_MODULE_RMS_NORM},
                                         {.kind = INK_MODULE_PRELU},
                                         {.kind = INK_MODULE_LINEAR},
                                         {.kind = INK_MODULE_PRELU},
                                         {.kind = INK_MODULE_BATCH_NORM}};
    ink_sequential *net;
    require(ctx, s->name, ink_sequential_load(ctx, file, module, modules, sizeof modules / sizeof modules[0], &net));
    s->object = net;
    s->in = ink_sequential_in(net);
    s->out = ink_sequential_out(net);
}

static void run_sequential(subject *s, ink_context *ctx, const void *x, size_t n, float *y)
{
    require(ctx, s->name, ink_sequential_forward(ctx, s->object, NULL, x, n, true, y));
}

static void close_sequential(subject *s) { ink_sequential_free(s->object); }

static const family sequential = {open_sequential, NULL, run_sequential, NULL, close_sequential};

static void open_attention(subject *s, ink_context *ctx, const ink_weights *file, const char *module)
{
    (void)file, (void)module;
    s->in = (s->attention.n_heads + 2 * s->attention.n_kv_heads) * s->attention.head_dim;
    s->out = s->attention.n_heads * s->attention.head_dim;
    ink_kv_cache *cache;
    require(ctx, s->name, ink_kv_cache_create_as(ctx, &s->attention, 100, (ink_type)s->setting, &cache));
    s->state = cache;
    s->whole = s->attention.bidirectional;
}

static void begin_attention(subject *s, ink_context *ctx)
{
    require(ctx, s->name, ink_kv_cache_rewind(ctx, s->state, 0));
}

static void run_attention(subject *s, ink_context *ctx, const void *x, size_t n, float *y)
{
    require(ctx, s->name, ink_attention_forward(ctx, &s->attention, s->state, x, n, y));
}

static void close_attention(subject *s) { ink_kv_cache_free(s->state); }

static const family attention = {open_attention, begin_attention, run_attention, NULL, close_attention};

/* ---- models ------------------------------------------------------------------------------------------------------ */

static ink_state *new_state(subject *s, ink_context *ctx)
{
    ink_state *state;
    size_t capacity = ink_model_get_info(s->object)->context_length;
    const ink_state_options with = {.capacity = capacity != 0 ? capacity : s->n, .cache = (ink_type)s->setting};
    require(ctx, s->name, ink_state_create_with(ctx, s->object, &with, &state));
    return state;
}

static void begin_model(subject *s, ink_context *ctx)
{
    const ink_source_item item = {.encoded = s->encoded, .tokens = s->source, .n_tokens = s->n_source};
    if (s->source == NULL) {
        ink_state_reset(s->state);
        return;
    }
    require(ctx, s->name, ink_model_encode_sources(ctx, s->object, &item, 1));
    require(ctx, s->name, ink_state_begin(ctx, s->state, s->encoded));
}

static void run_model(subject *s, ink_context *ctx, const void *x, size_t n, float *y)
{
    const ink_item item = {.state = s->state, .tokens = x, .n_tokens = n, .logits = y, .n_logits = n};
    require(ctx, s->name, ink_model_forward_list(ctx, s->object, &item, 1));
}

/* The others of an encoder-decoder write for the same source, or for its beginning; all are encoded in one list. */
static void run_model_beside(subject *s, ink_context *ctx, size_t n_others, const void *x, float *y)
{
    ink_item items[1 + MOST_OTHERS] = {
        {.state = s->state, .tokens = x, .n_tokens = s->n, .logits = y, .n_logits = s->n}};
    ink_source_item sources[1 + MOST_OTHERS] = {{.encoded = s->encoded, .tokens = s->source, .n_tokens = s->n_source}};
    for (size_t i = 1; i <= n_others; i++) {
        size_t skipped = skipped_by(s, i);
        items[i] = (ink_item){
            .state = new_state(s, ctx), .tokens = (const ink_token *)x + skipped, .n_tokens = s->n - skipped};
        sources[i] = (ink_source_item){.tokens = s->source, .n_tokens = s->source != NULL ? 1 + i % s->n_source : 0};
        if (s->source != NULL)
            require(ctx, s->name, ink_encoded_create(ctx, s->object, s->n_source, &sources[i].encoded));
    }
    if (s->source != NULL)
        require(ctx, s->name, ink_model_encode_sources(ctx, s->object, sources, 1 + n_others));
    for (size_t i = 0; i <= n_others && s->source != NULL; i++)
        require(ctx, s->name, ink_state_begin(ctx, items[i].state, sources[i % 2 == 0 ? 0 : i].encoded));
    swap(&items[0], &items[n_others / 2], sizeof items[0]);
    require(ctx, s->name, ink_model_forward_list(ctx, s->object, items, 1 + n_others));
    for (size_t i = 0; i <= n_others; i++) {
        if (items[i].state != s->state)
            ink_state_free(items[i].state);
        if (i != 0)
            ink_encoded_free(sources[i].encoded);
    }
}

static void close_model(subject *s)
{
    ink_encoded_free(s->encoded);
    free(s->source);
    ink_state_free(s->state);
    ink_model_free(s->object);
}

static const family model = {NULL, begin_model, run_model, run_model_beside, close_model};

/* ---- encoders: one row, which is some texts, and what is made of them all ---------------------------------------- */

static size_t output_size(const subject *s, size_t n_tokens)
{
    ink_encoding encoding = (ink_encoding)s->setting;
    bool of_text = encoding == INK_POOLED || encoding == INK_EMBEDDING ||
                   (encoding != INK_HIDDEN_STATES && ink_model_get_encoder(s->object)->task == INK_TASK_CLASSIFY_TEXT);
    return (of_text ? 1 : n_tokens) * ink_model_encoding_size(s->object, encoding);
}

/* The others are beginnings of these texts, in front of them. */
static void run_encoder_beside(subject *s, ink_context *ctx, size_t n_others, const void *x, float *y)
{
    ink_text texts[MOST_OTHERS + 8];
    const ink_token *tokens = x, *types = s->state;
    float *nobodys = take(n_others * s->out), *unread = nobodys;
    for (size_t i = 0; i < n_others; i++, unread += s->out)
        texts[i] = (ink_text){.tokens = tokens, .n_tokens = 1 + i % s->lengths[0], .types = types, .output = unread};
    for (size_t i = 0; i < s->n_texts; i++) {
        size_t n = s->lengths[i];
        texts[n_others + i] = (ink_text){.tokens = tokens, .n_tokens = n, .types = types, .output = y};
        tokens += n;
        types += n;
        y += output_size(s, n);
    }
    require(ctx, s->name, ink_model_encode(ctx, s->object, (ink_encoding)s->setting, texts, n_others + s->n_texts));
    free(nobodys);
}

static void run_encoder(subject *s, ink_context *ctx, const void *x, size_t n, float *y)
{
    (void)n;
    run_encoder_beside(s, ctx, 0, x, y);
}

static void close_encoder(subject *s)
{
    free(s->state);
    ink_model_free(s->object);
}

static const family encoder = {NULL, NULL, run_encoder, run_encoder_beside, close_encoder};

/* ---- the tables -------------------------------------------------------------------------------------------------- */

/* Layers: a module of tests/fixtures/layers/`file` with case.`rows`.`x` and case.`rows`.y; rows NULL: as the module, x
   NULL: "x". A layer that is run with other settings than PyTorch's has no reference: x is all it takes. */
static const struct {
    const char *name;
    const family *family;
    const char *file, *module, *rows, *x;
    int setting;
    bool no_reference;
    ink_attention attention;
    ink_rope rope;
    ink_transformer_options transformer;
    ink_conv1d_options conv;
} layers[] = {
    {"dense plain", &dense, "dense", .module = "plain"},
    {"dense no_bias", &dense, "dense", .module = "no_bias"},
    {"dense wide", &dense, "dense", .module = "wide"},
    {"dense bf16", &dense, "dense", .module = "bf16"},
    {"dense f16", &dense, "dense", .module = "f16"},
    {"dense f64", &dense, "dense", .module = "f64"},
    {"dense conv1d", &dense, "dense", .module = "conv1d", .setting = 1},
    {"matrix F32", &matrix, "dense", .module = "wide", .setting = INK_F32, .no_reference = true},
    {"matrix BF16", &matrix, "dense", .module = "wide", .setting = INK_BF16, .no_reference = true},
    {"matrix F16", &matrix, "dense", .module = "wide", .setting = INK_F16, .no_reference = true},
    {"mlp", &mlp, "mlp", .module = "deep", .setting = INK_SOFTPLUS},
    {"layer norm", &norm, "norm", .module = "wide", .setting = INK_LAYER_NORM},
    {"rms norm", &norm, "llama", .module = "rms.wide", .setting = INK_RMS_NORM},
    {"embedding", &embedding, "norm", .module = "table", .x = "tokens"},
    {"rope plain", &rope, "llama", .rows = "plain", .rope = {.head_dim = 64, .theta = 10000}},
    {"rope linear", &rope, "llama", .rows = "linear",
     .rope = {INK_ROPE_LINEAR, .head_dim = 64, .theta = 10000, .factor = 4}},
    {"rope dynamic", &rope, "llama", .rows = "dynamic",
     .rope = {INK_ROPE_DYNAMIC, .head_dim = 64, .theta = 10000, .factor = 3, .original_length = 16}},
    {"rope llama3", &rope, "llama", .rows = "llama3",
     .rope = {INK_ROPE_LLAMA3, .head_dim = 64, .theta = 500000, .factor = 32, .original_length = 8192,
              .low_freq_factor = 1, .high_freq_factor = 4}},
    {"rope yarn", &rope, "llama", .rows = "yarn",
     .rope = {INK_ROPE_YARN, .head_dim = 64, .theta = 1e6, .factor = 4, .original_length = 32768, .beta_fast = 32,
              .beta_slow = 1}},
    {"rnn tanh", &recurrent, "rnn_tanh", .module = "stacked", .setting = INK_RNN_TANH},
    {"rnn relu", &recurrent, "rnn_relu", .module = "stacked", .setting = INK_RNN_RELU},
    {"gru", &recurrent, "gru", .module = "stacked", .setting = INK_GRU},
    {"lstm", &recurrent, "lstm", .module = "stacked", .setting = INK_LSTM},
    {"gru both ways", &recurrent, "gru", .module = "both", .rows = "both.0", .setting = INK_GRU},
    {"lstm both ways", &recurrent, "lstm", .module = "both", .rows = "both.0", .setting = INK_LSTM},
    {"gru reset before", &recurrent, "gru_reset_before", .module = "stacked", .setting = INK_GRU_RESET_BEFORE},
    {"rnn identity", &recurrent, "rnn_identity", .module = "stacked", .setting = INK_RNN_IDENTITY},
    {"conv", &conv, "conv", .module = "wide", .no_reference = true, .conv = {.padding_left = 8}},
    {"conv dilated", &conv, "conv", .module = "same", .no_reference = true, .conv = {.dilation = 2, .padding_left = 6}},
    {"conv depthwise", &conv, "conv", .module = "depthwise", .no_reference = true,
     .conv = {.groups = 19, .padding_left = 4}},
    {"sequential", &sequential, "sequential", .module = "norms"},
    {"attention", &attention, "attention", .rows = "plain", .x = "qkv",
     .attention = {.n_heads = 4, .n_kv_heads = 4, .head_dim = 24}},
    {"attention grouped", &attention, "attention", .rows = "grouped", .x = "qkv",
     .attention = {.n_heads = 6, .n_kv_heads = 2, .head_dim = 16}},
    {"attention window", &attention, "llama", .rows = "window", .x = "qkv",
     .attention = {.n_heads = 4, .n_kv_heads = 2, .head_dim = 12, .window = 9}},
    {"attention both ways", &attention, "attention", .rows = "plain", .x = "qkv", .no_reference = true,
     .attention = {.n_heads = 4, .n_kv_heads = 4, .head_dim = 24, .bidirectional = true}},
    {"attention F16", &attention, "attention", .rows = "grouped", .x = "qkv", .no_reference = true,
     .attention = {.n_heads = 6, .n_kv_heads = 2, .head_dim = 16}, .setting = INK_F16},
    {"attention I8", &attention, "attention", .rows = "grouped", .x = "qkv", .no_reference = true,
     .attention = {.n_heads = 6, .n_kv_heads = 2, .head_dim = 16}, .setting = INK_I8},
    {"attention window I8", &attention, "llama", .rows = "window", .x = "qkv", .no_reference = true,
     .attention = {.n_heads = 4, .n_kv_heads = 2, .head_dim = 12, .window = 9}, .setting = INK_I8},
    {"transformer", &transformer, "transformer", .module = "stack",
     .transformer = {.n_heads = 3, .activation = INK_RELU}},
    {"transformer causal", &transformer, "transformer", .module = "stack_causal",
     .transformer = {.n_heads = 3, .activation = INK_GELU, .norm_first = true, .causal = true}},
    {"transformer decoder", &transformer, "transformer_decoder", .module = "stack",
     .transformer = {.n_heads = 3, .activation = INK_RELU, .causal = true}},
};

/* Model folders, with the file of their tokens and of the logits that follow the last of these, and of the source of an
   encoder-decoder. */
static const struct {
    const char *folder, *reference;
} models[] = {
    {"tests/fixtures/models/gpt2", "tests/fixtures/models/gpt2/reference"},
    {"tests/fixtures/models/gpt2_bf16", "tests/fixtures/models/gpt2_bf16/reference"},
    {"tests/fixtures/models/rnn", "tests/fixtures/models/rnn/reference"},
    {"tests/fixtures/models/rnn_relu", "tests/fixtures/models/rnn_relu/reference"},
    {"tests/fixtures/models/gru", "tests/fixtures/models/gru/reference"},
    {"tests/fixtures/models/gru_f16", "tests/fixtures/models/gru_f16/reference"},
    {"tests/fixtures/models/lstm", "tests/fixtures/models/lstm/reference"},
    {"tests/fixtures/models/mlp", "tests/fixtures/models/mlp/reference"},
    {"tests/fixtures/models/mlp_tied", "tests/fixtures/models/mlp_tied/reference"},
    {"tests/fixtures/models/llama", "tests/fixtures/models/llama/reference"},
    {"tests/fixtures/models/llama_bias", "tests/fixtures/models/llama_bias/reference"},
    {"tests/fixtures/models/mistral", "tests/fixtures/models/mistral/reference"},
    {"tests/fixtures/models/qwen2", "tests/fixtures/models/qwen2/reference"},
    {"tests/fixtures/models/qwen3", "tests/fixtures/models/qwen3/reference"},
    {"tests/fixtures/models/smollm3", "tests/fixtures/models/smollm3/reference"},
    {"tests/fixtures/models/gemma3", "tests/fixtures/models/gemma3/reference"},
    {"tests/fixtures/seq2seq/cho", "tests/fixtures/seq2seq/cho/reference"},
    {"tests/fixtures/seq2seq/bahdanau", "tests/fixtures/seq2seq/bahdanau/reference"},
    {"tests/fixtures/seq2seq/bridge", "tests/fixtures/seq2seq/bridge/reference"},
    {"tests/fixtures/seq2seq/bridges", "tests/fixtures/seq2seq/bridges/reference"},
    {"tests/fixtures/models/bart", "tests/fixtures/models/bart/reference"},
    {"tests/fixtures/models/marian", "tests/fixtures/models/marian/reference"},
    {"tests/fixtures/models/m2m_100", "tests/fixtures/models/m2m_100/reference"},
    {"tests/fixtures/models/flan_t5", "tests/fixtures/models/flan_t5/reference"},
    {"examples/models/mlp", "tests/fixtures/bundled/mlp"},
    {"examples/models/rnn", "tests/fixtures/bundled/rnn"},
    {"examples/models/gru", "tests/fixtures/bundled/gru"},
    {"examples/models/lstm", "tests/fixtures/bundled/lstm"},
    {"examples/models/gpt", "tests/fixtures/bundled/gpt"},
};

/* Of these, which weights are those of the file, states hold keys and values as each of the other types. */
static const char *const cached[] = {"tests/fixtures/models/llama", "tests/fixtures/models/gemma3",
                                     "tests/fixtures/models/bart", "tests/fixtures/models/flan_t5",
                                     "examples/models/gpt"};
static const ink_type caches[] = {INK_F16, INK_I8};

/* These hold their weights as each of these types, too; of `llama` and `sentence_dense` a part is large enough. */
static const char *const quantised[] = {
    "examples/models/mlp", "examples/models/rnn",         "examples/models/gru",         "examples/models/lstm",
    "examples/models/gpt", "tests/fixtures/models/llama", "tests/fixtures/models/qwen2",
};
static const char *const quantised_encoders[] = {"examples/models/bert", "tests/fixtures/encoders/sentence_dense"};
static const ink_type quantised_types[] = {INK_Q8_0, INK_Q4_0};

/* Encoders, and one of the things that each makes of a text, with its name in reference.safetensors; NULL: it has none,
   and takes the texts of the first. */
static const struct {
    const char *folder, *reference;
    ink_encoding encoding;
} encoders[] = {
    {"tests/fixtures/encoders/bert", "hidden_states", INK_HIDDEN_STATES},
    {"tests/fixtures/encoders/bert_fill", "logits", INK_LOGITS},
    {"tests/fixtures/encoders/bert_multi", "probabilities", INK_PROBABILITIES},
    {"tests/fixtures/encoders/distilbert_text", "probabilities", INK_PROBABILITIES},
    {"tests/fixtures/encoders/roberta", "pooled", INK_POOLED},
    {"tests/fixtures/encoders/roberta_tokens", "logits", INK_LOGITS},
    {"tests/fixtures/encoders/sentence", "embedding", INK_EMBEDDING},
    {"tests/fixtures/encoders/sentence_dense", "embedding", INK_EMBEDDING},
    {"tests/fixtures/encoders/sentence_qwen3", "embedding", INK_EMBEDDING},
    {"tests/fixtures/encoders/sentence_gemma3", "embedding", INK_EMBEDDING},
    {"tests/fixtures/encoders/gpt2_text", "logits", INK_LOGITS},
    {"tests/fixtures/encoders/llama_tokens", "logits", INK_LOGITS},
    {"tests/fixtures/encoders/cross", "probabilities", INK_PROBABILITIES},
    {"tests/fixtures/encoders/mpnet_tokens", "logits", INK_LOGITS},
    {"tests/fixtures/encoders/modernbert_mean", "probabilities", INK_PROBABILITIES},
    {"tests/fixtures/encoders/model2vec_quantized", "embedding", INK_EMBEDDING},
    {"examples/models/bert", NULL, INK_LOGITS},
};

/* Each model is held as each of these. */
static const ink_type types[] = {INK_F32, INK_BF16, INK_F16};

#define N_LAYERS (sizeof layers / sizeof *layers)
#define N_MODELS (sizeof models / sizeof *models)
#define N_ENCODERS (sizeof encoders / sizeof *encoders)
#define N_TYPES (sizeof types / sizeof *types)
#define N_CACHED (sizeof cached / sizeof *cached)
#define N_CACHES (sizeof caches / sizeof *caches)
#define N_QUANTISED (sizeof quantised / sizeof *quantised)
#define N_QUANTISED_ENCODERS (sizeof quantised_encoders / sizeof *quantised_encoders)
#define N_BLOCK_TYPES ((size_t)(INK_N_TYPES - INK_Q8_0))

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static ink_weights *open_file(ink_context *ctx, const char *root, const char *directory, const char *name)
{
    char path[1024];
    ink_weights *file;
    snprintf(path, sizeof path, "%s/%s%s.safetensors", root, directory, name);
    require(ctx, path, ink_weights_open(ctx, path, &file));
    return file;
}

static void open_layer(subject *s, ink_context *ctx, const char *root, size_t i)
{
    size_t n_x, n_y = 0, n_start;
    const char *rows = layers[i].rows != NULL ? layers[i].rows : layers[i].module;
    ink_weights *file = open_file(ctx, root, "tests/fixtures/layers/", layers[i].file);
    snprintf(s->name, sizeof s->name, "%s", layers[i].name);
    s->family = layers[i].family;
    s->setting = layers[i].setting;
    s->attention = layers[i].attention;
    s->rope = layers[i].rope;
    s->transformer = layers[i].transformer;
    s->conv = layers[i].conv;
    s->x = read_case(ctx, file, rows, layers[i].x != NULL ? layers[i].x : "x", &n_x);
    if (s->x == NULL)
        give_up(NULL, s->name);
    if (s->family == &embedding)
        to_tokens(s->x, n_x);
    if (!layers[i].no_reference)
        s->expected = read_case(ctx, file, rows, "y", &n_y);
    s->start = read_case(ctx, file, rows, "start", &n_start);
    s->family->open(s, ctx, file, layers[i].module);
    s->n = n_x / s->in;
    s->n_expected = n_y / s->out;
    ink_weights_free(file);
}

/* The activations' rows are single numbers, and the fixture names the result after the function. */
static void open_activation(subject *s, ink_context *ctx, const char *root, int i)
{
    const char *name = ink_activation_name((ink_activation)i);
    ink_weights *file = open_file(ctx, root, "tests/fixtures/layers/", "dense");
    snprintf(s->name, sizeof s->name, "activation %s", name);
    s->family = &activation;
    s->setting = i;
    s->in = s->out = 1;
    s->x = read_case(ctx, file, "activation", "x", &s->n);
    s->expected = read_case(ctx, file, "activation", name, &s->n_expected);
    ink_weights_free(file);
}

static void open_folder(subject *s, ink_context *ctx, const char *root, const char *folder, ink_type type)
{
    char path[1024];
    ink_model *opened;
    const ink_model_options options = {.type = type};
    snprintf(s->name, sizeof s->name, "%s %s", folder, ink_type_name(type));
    snprintf(path, sizeof path, "%s/%s", root, folder);
    require(ctx, s->name, ink_model_open(ctx, path, &options, &opened));
    s->object = opened;
}

/* Only weights that are held as they are stored, or wider, are those of the reference. */
static void open_model(subject *s, ink_context *ctx, const char *root, size_t i, ink_type type, ink_type cache)
{
    static const char *const kinds[] = {"tokens", "logits", "source"};
    size_t n_logits;
    char names[3][32], numbered[32] = "tokens.0", number[16] = "";
    ink_weights *file = open_file(ctx, root, "", models[i].reference);
    for (int k = 0; ink_weights_find(file, numbered) != NULL; snprintf(numbered, sizeof numbered, "tokens.%d", ++k))
        snprintf(number, sizeof number, ".%d", k); /* of several sources the last */
    for (size_t k = 0; k < 3; k++)
        snprintf(names[k], sizeof names[k], "%s%s", kinds[k], number);
    open_folder(s, ctx, root, models[i].folder, type);
    s->family = &model;
    s->setting = (int)cache;
    if (cache != INK_F32)
        snprintf(s->name, sizeof s->name, "%s cache %s", models[i].folder, ink_type_name(cache));
    s->in = 1;
    s->out = ink_model_get_info(s->object)->vocab_size;
    s->x = read_tensor(ctx, file, names[0], &s->n);
    to_tokens(s->x, s->n);
    if (type == INK_F32 && cache == INK_F32)
        s->expected = read_tensor(ctx, file, names[1], &n_logits);
    s->n_expected = s->expected != NULL ? n_logits / s->out : 0;
    if (ink_model_get_encoder_decoder(s->object) != NULL) {
        s->source = (void *)read_tensor(ctx, file, names[2], &s->n_source);
        to_tokens(s->source, s->n_source);
        require(ctx, s->name, ink_encoded_create(ctx, s->object, s->n_source, &s->encoded));
    }
    s->state = new_state(s, ctx);
    ink_weights_free(file);
}

static void open_encoder(subject *s, ink_context *ctx, const char *root, size_t i, ink_type type)
{
    size_t n;
    const char *reference = encoders[i].reference;
    ink_weights *file = open_file(ctx, root, encoders[reference != NULL ? i : 0].folder, "/reference");
    open_folder(s, ctx, root, encoders[i].folder, type);
    s->family = &encoder;
    s->setting = (int)encoders[i].encoding;
    s->whole = true;
    s->n = 1;
    s->x = read_tensor(ctx, file, "tokens", &s->in);
    to_tokens(s->x, s->in);
    s->state = read_tensor(ctx, file, "types", &n);
    to_tokens(s->state, n);
    if (reference == NULL) /* types are the first's own */
        memset(s->state, 0, 4 * n);
    ink_token *lengths = (void *)read_tensor(ctx, file, "lengths", &s->n_texts);
    to_tokens(lengths, s->n_texts);
    for (size_t t = 0; t < s->n_texts && t < 8; t++) {
        s->lengths[t] = (size_t)lengths[t];
        s->out += output_size(s, s->lengths[t]);
    }
    free(lengths);
    if (type == INK_F32 && reference != NULL)
        s->expected = read_tensor(ctx, file, reference, &n);
    s->n_expected = s->expected != NULL;
    ink_weights_free(file);
}

static size_t model_of_folder(const char *folder)
{
    size_t i = 0;
    while (strcmp(models[i].folder, folder) != 0)
        i++;
    return i;
}

static size_t encoder_of_folder(const char *folder)
{
    size_t i = 0;
    while (strcmp(encoders[i].folder, folder) != 0)
        i++;
    return i;
}

/* A matrix of random blocks of a quantised type. */
static void open_blocks(subject *s, ink_context *ctx, ink_type type)
{
    enum { ROWS = 9, N = 37, K = 512 };
    static const uint8_t scales[][2] = {
        /* where the F16 numbers of a block are; 255: there is none */
        {0, 255},   {0, 255}, {0, 2}, {0, 255},   {0, 2},   {80, 82},
        {108, 255}, {0, 2},   {0, 2}, {208, 255}, {0, 255}, {0, 255},
    };
    const ink_block_size block = ink_type_block(type);
    const size_t n_blocks = N * K / block.elements;
    uint8_t *blocks = take(n_blocks * block.bytes);
    uint32_t seed = 7;
    ink_matrix *made;
    for (size_t i = 0; i < n_blocks * block.bytes; i++) {
        seed = seed * 1664525 + 1013904223;
        blocks[i] = (uint8_t)(seed >> 24);
    }
    for (size_t i = 0; i < n_blocks; i++) {
        uint8_t *at = blocks + i * block.bytes;
        for (size_t j = 0; type != INK_MXFP4 && j < 2; j++)
            if (scales[type - INK_Q8_0][j] != 255) /* of a size from 2^-7 to 2^-3 */
                at[scales[type - INK_Q8_0][j] + 1] = (uint8_t)((at[scales[type - INK_Q8_0][j] + 1] & 0x8f) | 0x20);
        if (type == INK_MXFP4)
            at[0] = (uint8_t)(120 + at[0] % 8);
    }
    snprintf(s->name, sizeof s->name, "matrix %s", ink_type_name(type));
    const ink_tensor tensor = {type, {2, {N, K}}, blocks};
    require(ctx, s->name, ink_matrix_create(ctx, &tensor, INK_TYPE_NONE, &made));
    free(blocks);
    s->family = &matrix;
    s->object = made;
    s->in = K;
    s->out = N;
    s->n = ROWS;
    s->x = take(ROWS * K);
    for (size_t i = 0; i < ROWS * K; i++) {
        seed = seed * 1664525 + 1013904223;
        ((float *)s->x)[i] = (float)((int32_t)(seed >> 8) - (1 << 23)) / (1 << 22); /* exact in any float mode */
    }
}

bool subject_open(subject *s, ink_context *ctx, const char *root, size_t i)
{
    memset(s, 0, sizeof *s);
    if (i < N_LAYERS)
        open_layer(s, ctx, root, i);
    else if ((i -= N_LAYERS) < INK_N_ACTIVATIONS)
        open_activation(s, ctx, root, (int)i);
    else if ((i -= INK_N_ACTIVATIONS) < N_MODELS * N_TYPES)
        open_model(s, ctx, root, i / N_TYPES, types[i % N_TYPES], INK_F32);
    else if ((i -= N_MODELS * N_TYPES) < N_ENCODERS * N_TYPES)
        open_encoder(s, ctx, root, i / N_TYPES, types[i % N_TYPES]);
    else if ((i -= N_ENCODERS * N_TYPES) < N_CACHED * N_CACHES)
        open_model(s, ctx, root, model_of_folder(cached[i / N_CACHES]), INK_F32, caches[i % N_CACHES]);
    else if ((i -= N_CACHED * N_CACHES) < N_BLOCK_TYPES)
        open_blocks(s, ctx, (ink_type)(INK_Q8_0 + (int)i));
    else if ((i -= N_BLOCK_TYPES) < 2 * N_QUANTISED)
        open_model(s, ctx, root, model_of_folder(quantised[i / 2]), quantised_types[i % 2], INK_F32);
    else if ((i -= 2 * N_QUANTISED) < 2 * N_QUANTISED_ENCODERS)
        open_encoder(s, ctx, root, encoder_of_folder(quantised_encoders[i / 2]), quantised_types[i % 2]);
    else
        return false;
    return true;
}

void subject_close(subject *s)
{
    s->family->close(s);
    free(s->x);
    free(s->expected);
    free(s->start);
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

void subject_begin(subject *s, ink_context *ctx)
{
    s->done = 0;
    if (s->family->begin != NULL)
        s->family->begin(s, ctx);
}

void subject_run(subject *s, ink_context *ctx, const void *x, size_t count, float *y)
{
    s->family->run(s, ctx, x, count, y);
    s->done += count;
}

bool subject_run_beside(subject *s, ink_context *ctx, size_t n_others, const void *x, float *y)
{
    if (s->family->run_beside == NULL)
        return false;
    s->family->run_beside(s, ctx, n_others, x, y);
    return true;
}
