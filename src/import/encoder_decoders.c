/*
 * encoder_decoders.c - Transformers that read one text and write another, as saved by Hugging Face's classes: BART
 * (Lewis et al. 2019), Marian (Junczys-Dowmunt et al. 2018), M2M100 and NLLB (Fan et al. 2020; NLLB Team 2022), mBART
 * (Liu et al. 2020), PEGASUS (Zhang et al. 2019), Blenderbot (Roller et al. 2020), T5 (Raffel et al. 2019), mT5 (Xue et
 * al. 2020), UMT5 (Chung et al. 2023), and the decoder of Whisper (Radford et al. 2022). All are one network (Vaswani
 * et al. 2017):
 *
 *     encoder    x = scale word[token] + position[p],  and norm(x) if there is such a norm
 *                for each block:   x = x + W_o attention(W_qkv x)             every row sees all rows of the source
 *                                  x = x + W_down s(W_up x)
 *     decoder    the same, but a row sees only the rows before it, and each block has between the two
 *                                  x = x + W_o attention(W_q x, W_kv rows of the encoder)
 *     logits = W (scale x) + b                                                W is the decoder's table of words
 *
 * Norms stand before attention and feed-forward network, with one more behind the last block, or after the sums. There
 * are two layouts of names, BART's and T5's. T5 has RMS norms and no biases; instead of positions it has a bias of the
 * scores by distance, and its scores are not scaled. A row of the table of families holds what else differs, and the
 * defaults of the config class.
 */
#include <string.h>

#include "architectures.h"

/* ---- the families ----------------------------------------------------------------------------------------------- */

/* Names that begin with s2s_ are of sequence to sequence, as in Hugging Face's Seq2Seq classes. */

/* Keys, modules and tensors; of two, the first is the encoder's and the second the decoder's. */
typedef struct s2s_layout {
    const char *n_layers[2], *n_heads[2], *inner_size[2];
    const char *list, *probe, *last_norm; /* of blocks, a module with a weight that each has, the last norm */
    const char *self[4], *norm_1, *cross[4], *norm_cross; /* queries, keys, values, output */
    const char *ffn[2];                                   /* in which the next four are */
    const char *up, *gate_up[2], *down, *norm_2;
} s2s_layout;

static const s2s_layout bart_layout = {
    .n_layers = {"encoder_layers", "decoder_layers"},
    .n_heads = {"encoder_attention_heads", "decoder_attention_heads"},
    .inner_size = {"encoder_ffn_dim", "decoder_ffn_dim"},
    .list = "layers",
    .probe = "fc1",
    .last_norm = "layer_norm",
    .self = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj"},
    .norm_1 = "self_attn_layer_norm",
    .cross = {"encoder_attn.q_proj", "encoder_attn.k_proj", "encoder_attn.v_proj", "encoder_attn.out_proj"},
    .norm_cross = "encoder_attn_layer_norm",
    .ffn = {"", ""},
    .up = "fc1",
    .down = "fc2",
    .norm_2 = "final_layer_norm",
};

static const s2s_layout t5_layout = {
    .n_layers = {"num_layers", "num_decoder_layers"},
    .n_heads = {"num_heads", "num_heads"},
    .inner_size = {"d_ff", "d_ff"},
    .list = "block",
    .probe = "layer.0.layer_norm",
    .last_norm = "final_layer_norm",
    .self = {"layer.0.SelfAttention.q", "layer.0.SelfAttention.k", "layer.0.SelfAttention.v",
             "layer.0.SelfAttention.o"},
    .norm_1 = "layer.0.layer_norm",
    .cross = {"layer.1.EncDecAttention.q", "layer.1.EncDecAttention.k", "layer.1.EncDecAttention.v",
              "layer.1.EncDecAttention.o"},
    .norm_cross = "layer.1.layer_norm",
    .ffn = {"layer.1", "layer.2"},
    .up = "DenseReluDense.wi",
    .gate_up = {"DenseReluDense.wi_0", "DenseReluDense.wi_1"},
    .down = "DenseReluDense.wo",
    .norm_2 = "layer_norm",
};

typedef enum s2s_positions {
    LEARNED, /* two rows of the table stand before the first position (LEARNED_FROM_0: none) */
    LEARNED_FROM_0,
    SINUSOIDS,        /* in place of a table, unless the file has one */
    SINUSOIDS_PADDED, /* of which padding has its own, without a value (ink_sinusoids) */
    DISTANCES,        /* T5 */
} s2s_positions;

typedef struct s2s_family {
    const char *class; /* the beginning of the names of its classes */
    const s2s_layout *layout;
    s2s_positions positions;
    bool norm_before, embedding_norm;
    bool own_biases; /* each block has a bias of its own by distance */
    bool forces_eos; /* forced_eos_token_id is eos_token by default */
    bool no_encoder; /* the caller gives the rows of the encoder */
    bool scaled;     /* the default of scale_embedding; of T5, whether there is scale_decoder_outputs */
    const char *activation;
    size_t vocab_size, n_positions, n_layers[2], inner_size, n_heads, hidden_size;
    ink_token bos_token, eos_token, pad_token, start_token;
} s2s_family;

#define S2S_SIZES .n_positions = 1024, .n_layers = {12, 12}, .inner_size = 4096, .n_heads = 16, .hidden_size = 1024

enum { BART, MARIAN, M2M_100, MBART, PEGASUS, BLENDERBOT, WHISPER, T5, MT5, UMT5 };

static const s2s_family s2s_families[] = {
    [BART] = {"Bart", .layout = &bart_layout, .embedding_norm = true, .forces_eos = true, .activation = "gelu",
              .vocab_size = 50265, S2S_SIZES, .eos_token = 2, .pad_token = 1, .start_token = 2},
    [MARIAN] = {"Marian", .layout = &bart_layout, .positions = SINUSOIDS, .forces_eos = true, .activation = "gelu",
                .vocab_size = 58101, S2S_SIZES, .bos_token = -1, .pad_token = 58100, .start_token = 58100},
    [M2M_100] = {"M2M100", .layout = &bart_layout, .positions = SINUSOIDS_PADDED, .norm_before = true, .scaled = true,
                 .activation = "relu", .vocab_size = 128112, S2S_SIZES, .eos_token = 2, .pad_token = 1,
                 .start_token = 2},
    [MBART] = {"MBart", .layout = &bart_layout, .norm_before = true, .embedding_norm = true, .forces_eos = true,
               .activation = "gelu", .vocab_size = 50265, S2S_SIZES, .eos_token = 2, .pad_token = 1, .start_token = -1},
    [PEGASUS] = {"Pegasus", .layout = &bart_layout, .positions = SINUSOIDS, .norm_before = true, .forces_eos = true,
                 .activation = "gelu", .vocab_size = 50265, S2S_SIZES, .bos_token = -1, .eos_token = 1},
    [BLENDERBOT] = {"Blenderbot", .layout = &bart_layout, .positions = LEARNED_FROM_0, .norm_before = true,
                    .forces_eos = true, .activation = "gelu", .vocab_size = 8008, .n_positions = 128,
                    .n_layers = {2, 24}, .inner_size = 10240, .n_heads = 32, .hidden_size = 2560, .bos_token = 1,
                    .eos_token = 2, .start_token = 1},
    [WHISPER] = {"Whisper", .layout = &bart_layout, .positions = LEARNED_FROM_0, .norm_before = true,
                 .no_encoder = true, .activation = "gelu", .vocab_size = 51865, .n_positions = 448, .n_layers = {4, 4},
                 .inner_size = 1536, .n_heads = 6, .hidden_size = 384, .bos_token = 50256, .eos_token = 50256,
                 .pad_token = 50256, .start_token = 50257},
    [T5] = {"T5", .layout = &t5_layout, .positions = DISTANCES, .norm_before = true, .scaled = true,
            .activation = "relu", .vocab_size = 32128, .n_layers = {6, 6}, .inner_size = 2048, .n_heads = 8,
            .hidden_size = 512, .bos_token = -1, .eos_token = 1, .start_token = -1},
    [MT5] = {"MT5", .layout = &t5_layout, .positions = DISTANCES, .norm_before = true, .activation = "gated-gelu",
             .vocab_size = 250112, .n_layers = {8, 8}, .inner_size = 1024, .n_heads = 6, .hidden_size = 512,
             .bos_token = -1, .eos_token = 1},
    [UMT5] = {"UMT5", .layout = &t5_layout, .positions = DISTANCES, .norm_before = true, .own_biases = true,
              .scaled = true, .activation = "gated-gelu", .vocab_size = 250112, .n_layers = {8, 8}, .inner_size = 1024,
              .n_heads = 6, .hidden_size = 512, .bos_token = -1, .eos_token = 1},
};

/* ---- settings --------------------------------------------------------------------------------------------------- */

/* One half. */
typedef struct s2s_half {
    const s2s_layout *layout;
    bool decodes;
    const char *key; /* of n_layers */
    size_t n_layers, n_heads, head_dim, hidden_size, inner_size;
    ink_transformer_net *net;
    ink_norm_kind norm_kind;
    float epsilon;
    ink_activation activation;
    ink_bias_rule bias, key_bias;
    bool own_biases; /* by distance */
    bool computed;   /* positions are sinusoids that the file lacks */
} s2s_half;

typedef struct s2s_settings {
    const s2s_family *family;
    const char *prefix; /* of both halves */
    const char *output; /* the tensor W */
    bool own_tables;    /* the halves have different words */
    s2s_half half[2];
    ink_sinusoids sinusoids;
} s2s_settings;

/* null counts as false, as in Python. */
static ink_result s2s_bool(ink_config *config, const char *key, bool *value)
{
    *value = *value && !ink_config_is_null(config, key);
    return ink_config_bool(config, key, value);
}

/* Classes without an encoder, with a decoder alone, or with the head of a classifier are refused. transformers goes by
   model_type, so the class of another family is as good as its own. */
static ink_result s2s_check_class(ink_import *in)
{
    static const char *const ends[] = {"ForConditionalGeneration", "MTModel", "WithLMHeadModel", "Model"};
    const char *class, *file = in->config.document.file;
    bool whole = true;
    INK_TRY(ink_import_class(in, &class));
    bool known = class[0] == '\0';
    for (const ink_architecture *a = ink_encoder_decoder_architectures; a->name != NULL; a++) {
        const char *family = ((const s2s_family *)a->variant)->class;
        size_t length = strlen(family);
        for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
            known |= strncmp(class, family, length) == 0 && strcmp(class + length, ends[i]) == 0;
    }
    if (!known)
        return ink_fail(in->ctx, INK_ERROR_UNSUPPORTED,
                        "%s: architectures: '%s' is not supported, only ...ForConditionalGeneration, MarianMTModel and "
                        "the bare ...Model of an encoder-decoder",
                        file, class);
    INK_TRY(ink_config_bool(&in->config, "is_encoder_decoder", &whole));
    if (!whole)
        return ink_fail(in->ctx, INK_ERROR_UNSUPPORTED,
                        "%s: is_encoder_decoder is false: one half of an encoder-decoder is not supported", file);
    return INK_OK;
}

/* The sizes of both halves, and their stacks without weights. */
static ink_result s2s_describe_halves(ink_import *in, s2s_settings *s)
{
    const s2s_family *family = s->family;
    const s2s_layout *layout = family->layout;
    ink_config *config = &in->config;
    bool is_t5 = family->positions == DISTANCES;
    size_t hidden = family->hidden_size, head_dim = 64;
    const char *hidden_key = ink_config_key(config, "hidden_size", "d_model");
    INK_TRY(ink_config_size(config, hidden_key, INK_MAX_WIDTH, &hidden));
    if (is_t5)
        INK_TRY(ink_config_size(config, ink_config_key(config, "head_dim", "d_kv"), INK_MAX_WIDTH, &head_dim));
    for (size_t i = 0; i < 2; i++) {
        s2s_half *half = &s->half[i];
        const char *heads = layout->n_heads[i];
        *half = (s2s_half){.layout = layout,
                           .decodes = i == 1,
                           .key = layout->n_layers[i],
                           .n_layers = family->n_layers[i],
                           .n_heads = family->n_heads,
                           .hidden_size = hidden,
                           .inner_size = family->inner_size,
                           .net = i == 0 ? &in->model->source.transformer : &in->model->transformer,
                           .norm_kind = INK_LAYER_NORM,
                           .epsilon = 1e-5f,
                           .bias = INK_BIAS_REQUIRED,
                           .key_bias = family->no_encoder ? INK_BIAS_REFUSED : INK_BIAS_REQUIRED};
        /* The names that most families have for their settings are those of the encoder. T5's decoder has as many
           blocks as its encoder unless there is a setting. */
        if (i == 0)
            half->key = ink_config_key(config, "num_hidden_layers", half->key);
        else if (is_t5)
            INK_TRY(ink_config_size(config, layout->n_layers[0], INK_MAX_LAYERS, &half->n_layers));
        if (i == 0 || is_t5)
            heads = ink_config_key(config, "num_attention_heads", heads);
        INK_TRY(ink_config_size(config, half->key, INK_MAX_LAYERS, &half->n_layers));
        INK_TRY(ink_config_size(config, heads, INK_MAX_WIDTH, &half->n_heads));
        INK_TRY(ink_config_size(config, layout->inner_size[i], INK_MAX_WIDTH, &half->inner_size));
        if (i == 0 && family->no_encoder)
            continue;
        if (!is_t5 && hidden % half->n_heads != 0)
            return ink_fail(in->ctx, INK_ERROR_MISMATCH, "%s: %s is %zu, which is not a multiple of %zu heads (%s)",
                            config->document.file, hidden_key, hidden, half->n_heads, heads);
        half->head_dim = is_t5 ? head_dim : hidden / half->n_heads;
        const ink_attention attention = {.n_heads = half->n_heads,
                                         .n_kv_heads = half->n_heads,
                                         .head_dim = half->head_dim,
                                         .scale = is_t5 ? 1 : 0,
                                         .bidirectional = i == 0};
        ink_stack_config *stack = &half->net->stack.config;
        *stack = (ink_stack_config){.hidden_size = hidden,
                                    .inner_size = half->inner_size,
                                    .norm_place = family->norm_before ? INK_NORM_BEFORE : INK_NORM_AFTER};
        if (i == 1) {
            stack->cross = attention;
            stack->cross.bidirectional = true;
            stack->source_size = hidden;
        }
        INK_TRY(ink_config_check(config, ink_attention_check(in->ctx, &attention)));
        INK_TRY(ink_plan_stack(&in->plan, half->n_layers, &attention, &half->net->stack));
    }
    return INK_OK;
}

/* Rows of a table, or sinusoids. Those that a file holds are used as they are, because they were rounded. */
static ink_result s2s_describe_positions(ink_import *in, s2s_settings *s)
{
    ink_config *config = &in->config;
    const s2s_family *family = s->family;
    size_t n[2] = {family->no_encoder ? 1500 : family->n_positions, family->n_positions}, first = 0;
    size_t hidden = s->half[1].hidden_size;
    int64_t padding = ink_config_is_null(config, "pad_token_id") ? -1 : family->pad_token;
    if (family->no_encoder) {
        INK_TRY(ink_config_size(config, "max_source_positions", INK_MAX_IDS, &n[0]));
        INK_TRY(ink_config_size(config, "max_target_positions", INK_MAX_IDS, &n[1]));
    } else if (family->positions != DISTANCES) {
        INK_TRY(ink_config_size(config, "max_position_embeddings", INK_MAX_IDS, &n[1]));
        for (s2s_half *half = s->half; half < s->half + 2; half++) {
            size_t scope = ink_plan_enter_module(&in->plan, s->prefix);
            bool stored = ink_plan_has(&in->plan, half->decodes ? "decoder.embed_positions.weight"
                                                                : "encoder.embed_positions.weight");
            ink_plan_leave(&in->plan, scope);
            half->computed = family->positions == SINUSOIDS_PADDED || (family->positions == SINUSOIDS && !stored);
            if (half->computed)
                n[1] = ink_size_min(n[1], INK_MAX_SINUSOIDS);
        }
        n[0] = n[1];
    }
    bool padded = family->positions == SINUSOIDS_PADDED;
    INK_TRY(ink_json_read_int(in->ctx, &config->document, 0, "pad_token_id", -1, padded ? (int64_t)n[1] + 1 : INT32_MAX,
                              &padding));
    if (padded) {
        if (padding < 0 || hidden < 4)
            return ink_fail(in->ctx, INK_ERROR_UNSUPPORTED,
                            "%s: positions need a pad_token_id, which is %lld, and a d_model of at least 4, which is "
                            "%zu",
                            config->document.file, (long long)padding, hidden);
        first = (size_t)padding + 1;
    } else if (family->positions == LEARNED) {
        first = 2;
    }
    s->sinusoids = (ink_sinusoids){.size = hidden, .tensor2tensor = first != 0, .padding = first - 1};
    in->model->encoder_decoder.source_length = n[0];
    in->model->info.context_length = n[1];
    for (size_t i = 0; i < 2; i++) {
        ink_transformer_net *net = s->half[i].net;
        net->padding = padded ? (ink_token)padding : -1;
        net->first_position = first;
        net->max_positions = n[i] != 0 ? first + n[i] : 0;
    }
    return INK_OK;
}

/* "relu" or "gated-gelu", which means gelu_new. dense_act_fn and is_gated_act, which transformers derives from it and
   writes beside it, win. */
static ink_result t5_describe_activation(ink_import *in, bool *gated, ink_activation *value)
{
    ink_config *config = &in->config;
    const char *name, *own, *key = "feed_forward_proj";
    INK_TRY(ink_config_string(config, key, &name));
    name = name[0] != '\0' ? name : ((const s2s_family *)in->variant)->activation;
    *gated = strncmp(name, "gated-", 6) == 0;
    name = strcmp(name, "gated-gelu") == 0 ? "gelu_new" : *gated ? name + 6 : name;
    INK_TRY(ink_config_string(config, "dense_act_fn", &own));
    if (own[0] != '\0') {
        name = own;
        key = "dense_act_fn";
    }
    INK_TRY(ink_config_bool(config, "is_gated_act", gated));
    return ink_config_activation_named(config, key, name, value);
}

/* What only T5 has. The engine has 4 to 256 buckets of distances, and computes powers of max_distance that must fit a
   double. */
static ink_result t5_describe(ink_import *in, s2s_settings *s)
{
    ink_config *config = &in->config;
    const char *file = config->document.file;
    size_t n = 32, most = 128;
    float epsilon = 1e-6f;
    bool gated, scaled = true;
    ink_activation activation;
    INK_TRY(t5_describe_activation(in, &gated, &activation));
    INK_TRY(ink_config_size(config, "relative_attention_num_buckets", INK_MAX_WIDTH, &n));
    INK_TRY(ink_config_size(config, "relative_attention_max_distance", INK_MAX_IDS, &most));
    INK_TRY(ink_config_epsilon(config, "layer_norm_epsilon", &epsilon));
    if (n < 4 || n > 256)
        return ink_fail(in->ctx, INK_ERROR_UNSUPPORTED,
                        "%s: relative_attention_num_buckets is %zu, only 4 to 256 are supported", file, n);
    if (most <= n / 2 || most > 16384)
        return ink_fail(in->ctx, INK_ERROR_UNSUPPORTED,
                        "%s: relative_attention_max_distance is %zu, with %zu buckets only %zu to 16384 are supported",
                        file, most, n, n / 2 + 1);
    for (s2s_half *half = s->half; half < s->half + 2; half++) {
        ink_stack_config *stack = &half->net->stack.config;
        half->norm_kind = INK_RMS_NORM;
        half->bias = half->key_bias = INK_BIAS_REFUSED;
        half->epsilon = epsilon;
        half->own_biases = s->family->own_biases;
        half->activation = activation;
        stack->n_buckets = n;
        stack->max_distance = most;
        stack->gated = gated;
        stack->gate_activation = activation;
    }
    /* Before transformers 5 tie_word_embeddings said whether to scale, and it counts where the other is absent. */
    INK_TRY(ink_config_bool(config, "tie_word_embeddings", &scaled));
    INK_TRY(s2s_bool(config, "scale_decoder_outputs", &scaled));
    if (s->family->scaled && scaled)
        in->model->head.scale = in->ctx->kernel->inverse_sqrt((float)s->half[1].hidden_size);
    return INK_OK;
}

/* The first token of the decoder, where transformers looks for it: the last of these that is there. `usual` is the
   default of the config class. */
static ink_result s2s_describe_start(ink_import *in, ink_token usual)
{
    const struct {
        const ink_config *file;
        const char *key;
    } places[] = {{&in->config, "bos_token_id"},
                  {&in->config, "decoder_start_token_id"},
                  {&in->generation, "bos_token_id"},
                  {&in->generation, "decoder_start_token_id"}};
    size_t vocab_size = in->model->info.vocab_size;
    ink_token *token = &in->model->encoder_decoder.start_token;
    *token = -1;
    for (size_t i = 0; i < 4; i++) {
        if (i == 1 && usual >= 0)
            *token = (size_t)usual < vocab_size ? usual : -1;
        if (ink_config_member(places[i].file, places[i].key) != INK_JSON_NONE)
            INK_TRY(ink_config_token(places[i].file, places[i].key, vocab_size, token));
    }
    return INK_OK;
}

static ink_result s2s_describe(ink_import *in, s2s_settings *s)
{
    const s2s_family *family = in->variant;
    ink_config *config = &in->config;
    ink_model *model = in->model;
    ink_model_info *info = &model->info;
    size_t *source_size = &model->encoder_decoder.source_vocab_size;
    bool shared = true, scaled = family->scaled;
    ink_activation activation = strcmp(family->activation, "relu") == 0 ? INK_RELU : INK_GELU;
    /* Files of the bare model lack the prefix. */
    bool prefixed = family->layout == &bart_layout && ink_plan_has(&in->plan, "model.decoder.layers.0.fc1.weight");
    *s = (s2s_settings){.family = family,
                        .prefix = prefixed ? "model" : "",
                        .output = family->no_encoder ? "proj_out.weight" : "lm_head.weight"};
    INK_TRY(s2s_check_class(in));
    *source_size = family->vocab_size;
    INK_TRY(ink_config_size(config, "vocab_size", INK_MAX_IDS, source_size));
    info->vocab_size = *source_size;
    if (family == &s2s_families[MARIAN])
        INK_TRY(s2s_bool(config, "share_encoder_decoder_embeddings", &shared));
    s->own_tables = !shared;
    if (!shared)
        INK_TRY(ink_config_count(config, "decoder_vocab_size", INK_MAX_IDS, &info->vocab_size));
    if (info->vocab_size == 0) /* as if it were null */
        info->vocab_size = *source_size;
    INK_TRY(s2s_describe_halves(in, s));
    if (family->no_encoder)
        *source_size = 0;
    model->encoder_decoder.source_size = info->hidden_size = s->half[1].hidden_size;
    info->n_layers = s->half[1].n_layers;
    info->bos_token = family->bos_token;
    info->eos_token = family->eos_token;
    INK_TRY(ink_config_token(config, "bos_token_id", info->vocab_size, &info->bos_token));
    INK_TRY(s2s_describe_start(in, family->start_token));
    in->forced_eos = family->forces_eos ? &family->eos_token : NULL;
    INK_TRY(s2s_describe_positions(in, s));
    if (family->positions == DISTANCES)
        return t5_describe(in, s);
    INK_TRY(ink_config_activation(config, "activation_function", &activation));
    s->half[0].activation = s->half[1].activation = activation;
    INK_TRY(s2s_bool(config, "scale_embedding", &scaled));
    if (scaled && !family->no_encoder) /* Whisper has the setting, too, and does not use it */
        model->transformer.token_scale = model->source.transformer.token_scale =
            ink_import_root(in->ctx->kernel, info->hidden_size);
    return INK_OK;
}

/* ---- tensors ---------------------------------------------------------------------------------------------------- */

static ink_result s2s_plan_norm(ink_plan *plan, const char *module, const s2s_half *half, ink_norm *norm)
{
    ink_bias_rule bias = half->norm_kind == INK_RMS_NORM ? INK_BIAS_REFUSED : INK_BIAS_REQUIRED;
    return ink_plan_norm(plan, module, half->norm_kind, half->hidden_size, half->epsilon, bias, norm);
}

/* Linear layers side by side. Keys have a rule of their own for their bias. */
static ink_result s2s_plan_parts(ink_plan *plan, const s2s_half *half, const char *const *modules, size_t n, size_t out,
                                 ink_dense *dense)
{
    ink_plan_part parts[3];
    for (size_t i = 0; i < n; i++) {
        bool keys = modules + i == half->layout->self + 1 || modules + i == half->layout->cross + 1;
        INK_TRY(ink_plan_check_bias(plan, modules[i], keys ? half->key_bias : half->bias));
        parts[i] = (ink_plan_part){.module = modules[i], .out = out};
    }
    return ink_plan_dense_parts(plan, parts, n, half->hidden_size, dense);
}

static ink_result s2s_plan_block(ink_import *in, const void *settings, size_t i, ink_block *block)
{
    const s2s_half *half = settings;
    const s2s_layout *names = half->layout;
    ink_plan *plan = &in->plan;
    const ink_stack_config *stack = &half->net->stack.config;
    size_t hidden = half->hidden_size, width = half->n_heads * half->head_dim;
    INK_TRY(s2s_plan_parts(plan, half, names->self, 3, width, &block->qkv));
    INK_TRY(ink_plan_dense(plan, names->self[3], hidden, width, half->bias, INK_IDENTITY, &block->out));
    INK_TRY(s2s_plan_norm(plan, names->norm_1, half, &block->norm_1));
    if (stack->n_buckets != 0 && (i == 0 || half->own_biases))
        INK_TRY(ink_plan_table(plan, "layer.0.SelfAttention.relative_attention_bias", stack->n_buckets, half->n_heads,
                               half->own_biases ? &block->own_bias : &half->net->stack.position_bias));
    if (half->decodes) {
        INK_TRY(s2s_plan_parts(plan, half, names->cross, 1, width, &block->cross_q));
        INK_TRY(s2s_plan_parts(plan, half, names->cross + 1, 2, width, &block->cross_kv));
        INK_TRY(ink_plan_dense(plan, names->cross[3], hidden, width, half->bias, INK_IDENTITY, &block->cross_out));
        INK_TRY(s2s_plan_norm(plan, names->norm_cross, half, &block->norm_cross));
    }
    size_t scope = ink_plan_enter_module(plan, names->ffn[half->decodes]);
    if (stack->gated)
        INK_TRY(s2s_plan_parts(plan, half, names->gate_up, 2, half->inner_size, &block->up));
    else
        INK_TRY(ink_plan_dense(plan, names->up, half->inner_size, hidden, half->bias, half->activation, &block->up));
    INK_TRY(ink_plan_dense(plan, names->down, hidden, half->inner_size, half->bias, INK_IDENTITY, &block->down));
    INK_TRY(s2s_plan_norm(plan, names->norm_2, half, &block->norm_2));
    ink_plan_leave(plan, scope);
    return INK_OK;
}

/* All but the table of words. */
static ink_result s2s_plan_half(ink_import *in, const s2s_settings *s, const s2s_half *half)
{
    ink_plan *plan = &in->plan;
    const s2s_family *family = s->family;
    ink_transformer_net *net = half->net;
    size_t scope = ink_plan_enter_module(plan, half->decodes ? "decoder" : "encoder");
    if (half->computed)
        INK_TRY(ink_plan_computed(plan, net->max_positions, half->hidden_size, ink_sinusoids_row, &s->sinusoids,
                                  &net->positions.table));
    else if (net->max_positions != 0)
        INK_TRY(ink_plan_table(plan, "embed_positions", net->max_positions, half->hidden_size, &net->positions));
    if (family->embedding_norm)
        INK_TRY(s2s_plan_norm(plan, "layernorm_embedding", half, &net->embedding_norm));
    INK_TRY(
        ink_import_blocks(in, &net->stack, half->layout->list, half->layout->probe, half->key, s2s_plan_block, half));
    if (family->norm_before)
        INK_TRY(s2s_plan_norm(plan, half->layout->last_norm, half, &net->stack.norm));
    ink_plan_leave(plan, scope);
    return INK_OK;
}

/* The table of words of a half, of n rows: under its own name, under that of the shared table, or under the name of
   something that shares it. */
static ink_result s2s_plan_table(ink_import *in, const s2s_settings *s, const s2s_half *half, size_t n,
                                 ink_embedding *embedding)
{
    static const char *const names[][3] = {
        {"encoder.embed_tokens.weight", "shared.weight", "decoder.embed_tokens.weight"},
        {"decoder.embed_tokens.weight", "shared.weight", "encoder.embed_tokens.weight"}};
    ink_plan *plan = &in->plan;
    size_t scope = plan->name_length, n_names = s->own_tables || s->family->no_encoder ? 1 : 3;
    const char *name = names[half->decodes][n_names / 2]; /* for a file that has none of them */
    bool found = false;
    for (size_t i = 0; i < n_names && !found; i++)
        if ((found = ink_plan_has(plan, names[half->decodes][i])))
            name = names[half->decodes][i];
    if (!found && (half->decodes || !s->own_tables) && ink_weights_find(plan->weights, s->output) != NULL) {
        name = s->output;
        plan->name_length = 0;
    }
    ink_result result = ink_plan_matrix(plan, name, n, half->hidden_size, false, &embedding->table);
    plan->name_length = scope;
    return result;
}

/* W and b. */
static ink_result s2s_plan_head(ink_import *in, const s2s_settings *s)
{
    ink_plan *plan = &in->plan;
    ink_head *head = &in->model->head;
    size_t n = in->model->info.vocab_size;
    const ink_weight *bias = NULL;
    bool tied = true;
    if (s->family->positions != DISTANCES) /* T5 is tied, whatever it says */
        INK_TRY(ink_config_bool(&in->config, "tie_word_embeddings", &tied));
    head->weight = &in->model->embedding.table;
    if (!tied || ink_plan_has(plan, s->output)) {
        INK_TRY(ink_plan_matrix(plan, s->output, n, s->half[1].hidden_size, false, &head->own));
        head->weight = &head->own;
    }
    if (!ink_plan_has(plan, "final_logits_bias"))
        return INK_OK;
    INK_TRY(ink_plan_look_up(plan, "final_logits_bias", &(ink_shape){.rank = 2, .dim = {1, n}}, &bias));
    return ink_plan_add_row(
        plan, (ink_plan_row){.source = bias, .vector = &head->bias, .n = n, .n_total = n, .begins = true});
}

static ink_result import_encoder_decoder(ink_import *in)
{
    ink_plan *plan = &in->plan;
    ink_model *model = in->model;
    const s2s_family *family = in->variant;
    s2s_settings *s = ink_arena_alloc(&plan->work, 1, sizeof *s); /* the plan refers to its sinusoids */
    if (s == NULL)
        return ink_plan_no_memory(plan);
    INK_TRY(s2s_describe(in, s));
    model->is_encoder_decoder = true;
    model->head.padding = -1;
    size_t scope = ink_plan_enter_module(plan, s->prefix);
    INK_TRY(s2s_plan_table(in, s, &s->half[1], model->info.vocab_size, &model->embedding));
    if (s->half[0].computed || s->half[1].computed)
        INK_TRY(ink_sinusoids_begin(plan, &s->sinusoids));
    INK_TRY(s2s_plan_half(in, s, &s->half[1]));
    if (!family->no_encoder) {
        ink_source_net *source = &model->source;
        INK_TRY(s2s_plan_table(in, s, &s->half[0], model->encoder_decoder.source_vocab_size, &source->own));
        source->embedding = &source->own;
        INK_TRY(s2s_plan_half(in, s, &s->half[0]));
    }
    ink_plan_leave(plan, scope);
    return s2s_plan_head(in, s);
}

/* Sinusoids that older files of M2M100 hold, a bias by distance of T5's cross attention, which has none, and the
   version of fairseq's format. */
static const char *const s2s_ignored[] = {"embed_positions.weights", "EncDecAttention.relative_attention_bias.weight",
                                          "encoder.version", "decoder.version", NULL};

const ink_architecture ink_encoder_decoder_architectures[] = {
    {.name = "bart", .import = import_encoder_decoder, .variant = &s2s_families[BART], .ignored = s2s_ignored},
    {.name = "marian", .import = import_encoder_decoder, .variant = &s2s_families[MARIAN], .ignored = s2s_ignored},
    {.name = "m2m_100", .import = import_encoder_decoder, .variant = &s2s_families[M2M_100], .ignored = s2s_ignored},
    {.name = "mbart", .import = import_encoder_decoder, .variant = &s2s_families[MBART], .ignored = s2s_ignored},
    {.name = "pegasus", .import = import_encoder_decoder, .variant = &s2s_families[PEGASUS], .ignored = s2s_ignored},
    {.name = "blenderbot",
     .import = import_encoder_decoder,
     .variant = &s2s_families[BLENDERBOT],
     .ignored = s2s_ignored},
    {.name = "t5", .import = import_encoder_decoder, .variant = &s2s_families[T5], .ignored = s2s_ignored},
    {.name = "mt5", .import = import_encoder_decoder, .variant = &s2s_families[MT5], .ignored = s2s_ignored},
    {.name = "umt5", .import = import_encoder_decoder, .variant = &s2s_families[UMT5], .ignored = s2s_ignored},
    {.name = "whisper", .import = import_encoder_decoder, .variant = &s2s_families[WHISPER], .ignored = s2s_ignored},
    {.name = NULL},
};
