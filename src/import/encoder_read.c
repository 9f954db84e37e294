/*
 * encoder_read.c - reads an encoder by the names on its page (encoder.h).
 */
#include <string.h>

#include "../models/encoder.h"

/* ---- settings ------------------------------------------------------------------------------------------------- */

typedef struct settings {
    size_t hidden_size, n_heads, inner_size, n_positions;
    ink_activation activation;
    float epsilon;
} settings;

/* What these keys may say changes the network into one that does not run here. */
static ink_result refuse_others(ink_config *config)
{
    const char *positions;
    INK_TRY(ink_config_string(config, "position_embedding_type", &positions));
    if (positions[0] != '\0' && strcmp(positions, "absolute") != 0)
        return ink_fail(config->ctx, INK_ERROR_UNSUPPORTED,
                        "%s: position_embedding_type is '%s', of which only 'absolute' runs here",
                        config->document.file, positions);
    INK_TRY(ink_config_refuse(config, "is_decoder"));
    return ink_config_refuse(config, "add_cross_attention");
}

/* To this length the tokenizer of the folder cuts a text, unless a sentence encoder has more to say (sentence_read.c).
   What it has for no limit is 1e30. */
static ink_result read_max_tokens(const ink_config *config, size_t context_length, size_t *max_tokens)
{
    ink_config tokenizer;
    bool found;
    double most = 1e30;
    INK_TRY(ink_config_open_beside(config, "tokenizer_config.json", &tokenizer, &found));
    INK_TRY(ink_config_number(&tokenizer, "model_max_length", -1e300, 1e300, "from -1e300 to 1e300", &most));
    *max_tokens = most >= 1 && most < (double)context_length ? (size_t)most : context_length;
    return INK_OK;
}

/* Where position ids begin: at 0, or behind the id of the padding token. */
static ink_result read_positions(ink_config *config, const ink_encoder_page *page, settings *s, ink_model_info *info,
                                 ink_encoder *encoder)
{
    s->n_positions = 512;
    INK_TRY(ink_config_size(config, "max_position_embeddings", INK_MAX_IDS, &s->n_positions));
    encoder->padding = 1;
    INK_TRY(ink_config_token(config, "pad_token_id", info->vocab_size, &encoder->padding));
    encoder->skips_padding = page->skips_padding && encoder->padding >= 0;
    encoder->first_position = encoder->skips_padding ? (size_t)encoder->padding + 1 : 0;
    if (encoder->first_position >= s->n_positions)
        return ink_fail(config->ctx, INK_ERROR_MISMATCH,
                        "%s: max_position_embeddings is %zu, but positions begin behind pad_token_id %lld",
                        config->document.file, s->n_positions, (long long)encoder->padding);
    info->context_length = s->n_positions - encoder->first_position;
    return INK_OK;
}

static ink_result read_settings(ink_config *config, const ink_encoder_page *page, ink_model *model,
                                ink_encoder *encoder, settings *s)
{
    const ink_body_names *names = page->names;
    ink_model_info *info = &model->info;
    *s = (settings){.hidden_size = 768, .n_heads = 12, .inner_size = 3072, .activation = INK_GELU, .epsilon = 1e-12F};
    info->vocab_size = page->default_vocab_size;
    info->n_layers = page->default_layers;
    encoder->info.n_types = names->type != NULL ? 2 : 0;
    INK_TRY(ink_config_size(config, "vocab_size", INK_MAX_IDS, &info->vocab_size));
    INK_TRY(ink_config_size(config, names->n_layers, INK_MAX_LAYERS, &info->n_layers));
    INK_TRY(ink_config_size(config, names->hidden_size, INK_MAX_WIDTH, &s->hidden_size));
    INK_TRY(ink_config_size(config, names->n_heads, INK_MAX_WIDTH, &s->n_heads));
    INK_TRY(ink_config_size(config, names->inner_size, INK_MAX_WIDTH, &s->inner_size));
    INK_TRY(ink_config_activation(config, names->activation, &s->activation));
    if (names->epsilon != NULL)
        INK_TRY(ink_config_epsilon(config, names->epsilon, &s->epsilon));
    if (names->type != NULL)
        INK_TRY(ink_config_size(config, "type_vocab_size", INK_MAX_WIDTH, &encoder->info.n_types));
    INK_TRY(refuse_others(config));
    INK_TRY(read_positions(config, page, s, info, encoder));
    if (s->hidden_size % s->n_heads != 0)
        return ink_fail(config->ctx, INK_ERROR_MISMATCH, "%s: %s is %zu, which %zu heads (%s) do not divide",
                        config->document.file, names->hidden_size, s->hidden_size, s->n_heads, names->n_heads);
    info->hidden_size = s->hidden_size;
    return ink_config_token(config, "bos_token_id", info->vocab_size, &info->bos_token);
}

/* ---- tensors -------------------------------------------------------------------------------------------------- */

ink_result ink_encoder_read_linear(ink_loader *loader, const char *name, size_t out, size_t in,
                                   ink_activation activation, ink_dense *dense)
{
    INK_TRY(ink_model_check_bias(loader, name, true));
    return ink_dense_read(loader, name, out, in, false, activation, dense);
}

ink_result ink_encoder_read_norm(ink_loader *loader, const char *name, size_t size, float epsilon, ink_norm *norm)
{
    size_t scope = ink_loader_enter_module(loader, name);
    bool old = ink_loader_has(loader, "gamma"); /* and beta: ink_norm_read() wants both */
    ink_loader_leave(loader, scope);
    if (!old)
        INK_TRY(ink_model_check_bias(loader, name, true));
    return ink_norm_read(loader, name, INK_LAYER_NORM, size, epsilon, norm);
}

typedef struct block_settings {
    const ink_body_names *names;
    const settings *settings;
} block_settings;

static ink_result read_block(ink_loader *loader, void *data, size_t i, ink_block *block)
{
    const ink_body_names *names = ((const block_settings *)data)->names;
    const settings *s = ((const block_settings *)data)->settings;
    size_t hidden = s->hidden_size;
    const ink_dense_part qkv[] = {{names->query, hidden}, {names->key, hidden}, {names->value, hidden}};
    (void)i; /* all are alike */
    *block = (ink_block){
        .post_norm = true,
        .attention = {
            .n_heads = s->n_heads, .n_kv_heads = s->n_heads, .head_dim = hidden / s->n_heads, .bidirectional = true}};
    for (size_t part = 0; part < 3; part++)
        INK_TRY(ink_model_check_bias(loader, qkv[part].name, true));
    INK_TRY(ink_dense_read_parts(loader, qkv, 3, hidden, &block->qkv));
    INK_TRY(ink_encoder_read_linear(loader, names->out, hidden, hidden, INK_IDENTITY, &block->out));
    INK_TRY(ink_encoder_read_norm(loader, names->norm_1, hidden, s->epsilon, &block->norm_1));
    INK_TRY(ink_encoder_read_linear(loader, names->up, s->inner_size, hidden, s->activation, &block->up));
    INK_TRY(ink_encoder_read_linear(loader, names->down, hidden, s->inner_size, INK_IDENTITY, &block->down));
    return ink_encoder_read_norm(loader, names->norm_2, hidden, s->epsilon, &block->norm_2);
}

static ink_result read_body(ink_loader *loader, const ink_body_names *names, const settings *s, ink_model *model,
                            ink_encoder *encoder)
{
    size_t hidden = s->hidden_size;
    block_settings block = {names, s};
    const ink_blocks_page blocks = {names->block, names->query, names->n_layers, read_block, &block};
    INK_TRY(ink_embedding_read(loader, names->word, model->info.vocab_size, hidden, &model->embedding));
    INK_TRY(ink_embedding_read(loader, names->position, s->n_positions, hidden, &encoder->positions));
    if (names->type != NULL)
        INK_TRY(ink_embedding_read(loader, names->type, encoder->info.n_types, hidden, &encoder->types));
    INK_TRY(ink_encoder_read_norm(loader, names->norm, hidden, s->epsilon, &encoder->norm));
    encoder->n_blocks = model->info.n_layers;
    return ink_blocks_read(loader, &blocks, encoder->n_blocks, &encoder->blocks);
}

/* Files of the bare model lack the prefix that files of models with a head have. */
static const char *prefix_of_file(ink_loader *loader, const ink_encoder_page *page)
{
    size_t scope = ink_loader_enter_module(loader, page->prefix);
    size_t word = ink_loader_enter_module(loader, page->names->word);
    bool prefixed = ink_loader_has(loader, "weight");
    ink_loader_leave(loader, word);
    ink_loader_leave(loader, scope);
    return prefixed ? page->prefix : "";
}

/* ---- the whole ------------------------------------------------------------------------------------------------ */

/* Without modules.json the caller may have said how rows become one vector. */
static void pool_as_asked(const ink_config *config, size_t hidden_size, ink_encoder *encoder)
{
    if (config->pooling == INK_POOLING_NONE)
        return;
    encoder->sentence = (ink_sentence){.n_modes = 1, .modes = {config->pooling}, .widest = hidden_size};
    encoder->info.embedding_size = hidden_size;
}

ink_result ink_encoder_read(ink_loader *loader, ink_config *config, const ink_encoder_page *page, ink_model *model)
{
    settings s;
    ink_encoder spare;
    ink_encoder *encoder = ink_arena_alloc(loader->arena, 1, sizeof *encoder);
    if (encoder == NULL)
        encoder = &spare;
    memset(encoder, 0, sizeof *encoder);
    model->body = encoder;
    INK_TRY(read_settings(config, page, model, encoder, &s));
    INK_TRY(read_max_tokens(config, model->info.context_length, &encoder->info.max_tokens));
    encoder->info.prompt = "";

    const char *prefix = prefix_of_file(loader, page);
    size_t scope = ink_loader_enter_module(loader, prefix);
    INK_TRY(read_body(loader, page->names, &s, model, encoder));
    ink_loader_leave(loader, scope);

    bool is_sentence_encoder;
    INK_TRY(ink_sentence_read(loader, config, &model->info, encoder, &is_sentence_encoder));
    if (!is_sentence_encoder)
        pool_as_asked(config, s.hidden_size, encoder);
    const ink_head_settings head = {page, prefix, s.activation, s.epsilon, is_sentence_encoder};
    return ink_encoder_read_head(loader, config, &head, model, encoder);
}

/* Buffers that older files hold as if they were weights. */
const char *const ink_encoder_ignored[] = {"embeddings.position_ids", "embeddings.token_type_ids", NULL};
