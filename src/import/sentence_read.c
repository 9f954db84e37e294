/*
 * sentence_read.c - the modules of a sentence-transformers folder. What they do is in sentence.c.
 *
 * modules.json names them in their order, each with a folder of its own for its config.json and weights: a Transformer,
 * which is the model in the folder itself, a Pooling, and any number of Dense and Normalize.
 */
#include <string.h>

#include "../models/encoder.h"

#define MAX_FILE_BYTES ((size_t)1 << 20)
#define MAX_MODULES 64

/* ---- files ---------------------------------------------------------------------------------------------------- */

/* `path`/`file` in memory of the config's arena. A path is the name of a folder in this folder. */
static ink_result file_of(const ink_config *config, const char *path, const char *file, const char **name)
{
    size_t length = strlen(path), size = strlen(file) + 1;
    if (path[0] == '.' || strpbrk(path, "/\\:") != NULL)
        return ink_fail(config->ctx, INK_ERROR_MISMATCH,
                        "\"modules.json\": path '%s' is not the plain name of a folder in this one", path);
    char *joined = ink_arena_alloc(config->arena, length + 1 + size, 1);
    if (joined == NULL)
        return ink_fail(config->ctx, INK_ERROR_MEMORY, "out of memory: reading the modules of a sentence encoder");
    memcpy(joined, path, length);
    joined[length] = '/';
    memcpy(joined + length + 1, file, size);
    *name = joined;
    return INK_OK;
}

/* A setting that must be this word, or absent. */
static ink_result require_word(ink_config *settings, const char *key, const char *word)
{
    const char *value;
    INK_TRY(ink_config_string(settings, key, &value));
    if (value[0] != '\0' && strcmp(value, word) != 0)
        return ink_fail(settings->ctx, INK_ERROR_UNSUPPORTED, "%s: %s is '%s', of which only '%s' runs here",
                        settings->document.file, key, value, word);
    return INK_OK;
}

/* ---- texts ---------------------------------------------------------------------------------------------------- */

/* The file of settings of the Transformer module, which has been called after its kind. */
static ink_result open_text_settings(const ink_config *config, ink_config *settings, bool *found)
{
    static const char *const names[] = {"sentence_bert_config.json", "sentence_roberta_config.json",
                                        "sentence_distilbert_config.json"};
    *found = false;
    for (size_t i = 0; !*found && i < sizeof names / sizeof names[0]; i++)
        INK_TRY(ink_config_open_beside(config, names[i], settings, found));
    return INK_OK;
}

/* How a text is cut off, and whether in lower case. max_seq_length counts before what the tokenizer says. */
static ink_result read_text_settings(const ink_config *config, size_t context_length, ink_encoder_info *info)
{
    ink_config settings;
    bool found;
    INK_TRY(open_text_settings(config, &settings, &found));
    if (!found)
        return INK_OK;
    INK_TRY(require_word(&settings, "transformer_task", "feature-extraction"));
    INK_TRY(require_word(&settings, "module_output_name", "token_embeddings"));
    INK_TRY(ink_config_bool(&settings, "do_lower_case", &info->lower_case));
    INK_TRY(ink_config_size(&settings, "max_seq_length", SIZE_MAX, &info->max_tokens));
    info->max_tokens = ink_size_min(info->max_tokens, context_length);
    return INK_OK;
}

/* config_sentence_transformers.json: what every text begins with, unless the program says otherwise. */
static ink_result read_prompt(ink_loader *loader, const ink_config *config, ink_encoder_info *info)
{
    ink_config settings;
    const char *name, *prompt = "";
    bool found;
    INK_TRY(ink_config_open_beside(config, "config_sentence_transformers.json", &settings, &found));
    if (!found)
        return INK_OK;
    INK_TRY(ink_config_string(&settings, "default_prompt_name", &name));
    ink_json prompts = ink_json_member(&settings.document, 0, "prompts");
    if (name[0] != '\0' && prompts != INK_JSON_NONE) {
        INK_TRY(ink_json_expect(config->ctx, &settings.document, prompts, INK_JSON_OBJECT));
        INK_TRY(ink_json_read_string(config->ctx, &settings.document, prompts, name, &prompt));
    }
    size_t size = strlen(prompt) + 1;
    char *copy = ink_arena_alloc(loader->arena, size, 1);
    info->prompt = copy != NULL ? memcpy(copy, prompt, size) : prompt;
    return INK_OK;
}

/* ---- pooling -------------------------------------------------------------------------------------------------- */

/* Names of the modes, and the keys that older files have for each. */
static const struct {
    const char *name, *key;
    ink_pooling pooling;
} modes[] = {
    {"cls", "pooling_mode_cls_token", INK_POOLING_CLS},
    {"max", "pooling_mode_max_tokens", INK_POOLING_MAX},
    {"mean", "pooling_mode_mean_tokens", INK_POOLING_MEAN},
    {"mean_sqrt_len_tokens", "pooling_mode_mean_sqrt_len_tokens", INK_POOLING_MEAN_SQRT},
    {"weightedmean", "pooling_mode_weightedmean_tokens", INK_POOLING_WEIGHTED_MEAN},
    {"lasttoken", "pooling_mode_lasttoken", INK_POOLING_LAST},
};
#define N_MODES (sizeof modes / sizeof modes[0])

static ink_result add_mode(ink_config *settings, ink_json node, ink_sentence *sentence)
{
    const char *name;
    size_t i = 0;
    INK_TRY(ink_json_get_string(settings->ctx, &settings->document, node, &name, NULL));
    while (i < N_MODES && strcmp(name, modes[i].name) != 0)
        i++;
    if (i == N_MODES)
        return ink_fail(settings->ctx, INK_ERROR_UNSUPPORTED,
                        "%s: pooling_mode '%s' is none of those that run here: cls, max, mean, mean_sqrt_len_tokens, "
                        "weightedmean, lasttoken",
                        settings->document.file, name);
    if (sentence->n_modes == N_MODES)
        return ink_fail(settings->ctx, INK_ERROR_UNSUPPORTED, "%s: pooling_mode names more than %zu modes",
                        settings->document.file, N_MODES);
    sentence->modes[sentence->n_modes++] = modes[i].pooling;
    return INK_OK;
}

/* "pooling_mode": "mean", or ["cls", "mean"]. */
static ink_result read_named_modes(ink_config *settings, ink_json named, ink_sentence *sentence)
{
    const ink_json_document *document = &settings->document;
    if (document->nodes[named].kind != INK_JSON_ARRAY)
        return add_mode(settings, named, sentence);
    for (ink_json node = ink_json_first(document, named); node != INK_JSON_NONE; node = ink_json_next(document, node))
        INK_TRY(add_mode(settings, node, sentence));
    return INK_OK;
}

/* "pooling_mode_mean_tokens": true, and so on, in the order of the table. */
static ink_result read_flagged_modes(ink_config *settings, ink_sentence *sentence)
{
    const ink_json_document *document = &settings->document;
    for (ink_json node = ink_json_first(document, 0); node != INK_JSON_NONE; node = ink_json_next(document, node)) {
        const ink_json_node *member = &document->nodes[node];
        size_t i = 0;
        while (i < N_MODES && strcmp(member->key, modes[i].key) != 0)
            i++;
        if (i == N_MODES && strncmp(member->key, "pooling_mode_", 13) == 0)
            INK_TRY(ink_config_refuse(settings, member->key));
    }
    for (size_t i = 0; i < N_MODES; i++) {
        bool set = false;
        INK_TRY(ink_config_bool(settings, modes[i].key, &set));
        if (set)
            sentence->modes[sentence->n_modes++] = modes[i].pooling;
    }
    return INK_OK;
}

/* Without a word about modes it is the mean. *width: of the rows, then of the vector. */
static ink_result read_pooling(ink_config *settings, const ink_encoder_info *info, size_t *width,
                               ink_sentence *sentence)
{
    const ink_json_document *document = &settings->document;
    const char *key = "word_embedding_dimension";
    ink_json named = ink_json_member(document, 0, "pooling_mode");
    size_t dimension = *width;
    bool include_prompt = true;
    if (ink_json_member(document, 0, key) == INK_JSON_NONE)
        key = "embedding_dimension";
    INK_TRY(ink_config_size(settings, key, INK_MAX_WIDTH, &dimension));
    if (dimension != *width)
        return ink_fail(settings->ctx, INK_ERROR_MISMATCH, "%s: %s is %zu, the rows of the model have %zu",
                        document->file, key, dimension, *width);
    INK_TRY(ink_config_bool(settings, "include_prompt", &include_prompt));
    if (!include_prompt && info->prompt[0] != '\0')
        return ink_fail(settings->ctx, INK_ERROR_UNSUPPORTED,
                        "%s: include_prompt is false: pooling without the tokens of a prompt does not run here",
                        document->file);
    if (named != INK_JSON_NONE)
        INK_TRY(read_named_modes(settings, named, sentence));
    else
        INK_TRY(read_flagged_modes(settings, sentence));
    if (sentence->n_modes == 0)
        sentence->modes[sentence->n_modes++] = INK_POOLING_MEAN;
    *width *= sentence->n_modes;
    sentence->widest = *width;
    return INK_OK;
}

/* ---- dense ---------------------------------------------------------------------------------------------------- */

/* The class of a path like "torch.nn.modules.activation.Tanh". */
static const char *last_component(const char *path)
{
    const char *last = path;
    for (const char *dot = strchr(path, '.'); dot != NULL; dot = strchr(dot + 1, '.'))
        last = dot + 1;
    return last;
}

static ink_result read_activation(ink_config *settings, ink_activation *activation)
{
    static const struct {
        const char *class;
        ink_activation activation;
    } known[] = {
        {"Identity", INK_IDENTITY}, {"Tanh", INK_TANH}, {"ReLU", INK_RELU}, {"GELU", INK_GELU},
        {"Sigmoid", INK_SIGMOID},   {"SiLU", INK_SILU}, {"ELU", INK_ELU},   {"Mish", INK_MISH},
    };
    const char *path;
    *activation = INK_TANH;
    INK_TRY(ink_config_string(settings, "activation_function", &path));
    if (path[0] == '\0')
        return INK_OK;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(last_component(path), known[i].class) == 0) {
            *activation = known[i].activation;
            return INK_OK;
        }
    return ink_fail(settings->ctx, INK_ERROR_UNSUPPORTED, "%s: activation_function: there is no activation '%s' here",
                    settings->document.file, path);
}

/* linear.weight and linear.bias of the module's own file, through a loader over that. */
static ink_result read_linear(ink_loader *loader, const ink_weights *weights, size_t out, size_t in, bool bias,
                              ink_activation activation, ink_dense *dense)
{
    ink_loader own = *loader;
    own.weights = weights;
    own.used = NULL;
    own.name_length = 0;
    if (ink_weights_count(weights) != (bias ? 2U : 1U))
        return ink_fail(loader->ctx, INK_ERROR_MISMATCH, "%s: there are %zu tensors, expected linear.weight%s",
                        ink_weights_name(weights), ink_weights_count(weights), bias ? " and linear.bias" : " alone");
    if (bias)
        INK_TRY(ink_encoder_read_linear(&own, "linear", out, in, activation, dense));
    else
        INK_TRY(ink_dense_read(&own, "linear", out, in, false, activation, dense));
    loader->n_parameters = own.n_parameters;
    loader->fingerprint = own.fingerprint;
    loader->bytes_read = own.bytes_read;
    return INK_OK;
}

static ink_result read_dense(ink_loader *loader, ink_config *settings, const char *weights_file, size_t *width,
                             ink_dense *dense)
{
    size_t in = *width, out = 0;
    bool bias = true;
    ink_activation activation;
    ink_weights *weights;
    INK_TRY(ink_config_size(settings, "in_features", INK_MAX_WIDTH, &in));
    INK_TRY(ink_config_size(settings, "out_features", INK_MAX_WIDTH, &out));
    INK_TRY(ink_config_bool(settings, "bias", &bias));
    INK_TRY(read_activation(settings, &activation));
    INK_TRY(ink_config_refuse(settings, "use_residual"));
    if (in != *width)
        return ink_fail(settings->ctx, INK_ERROR_MISMATCH, "%s: in_features is %zu, the vector before it has %zu",
                        settings->document.file, in, *width);
    INK_TRY(ink_weights_open_source(settings->ctx, settings->source, weights_file, &weights));
    ink_result result = read_linear(loader, weights, out, in, bias, activation, dense);
    ink_weights_free(weights);
    *width = out;
    return result;
}

/* ---- modules -------------------------------------------------------------------------------------------------- */

typedef struct module {
    const char *type; /* the class, without its path */
    const char *path;
} module;

static ink_result read_module(const ink_config *config, const ink_json_document *document, ink_json node, module *m)
{
    m->type = m->path = "";
    INK_TRY(ink_json_expect(config->ctx, document, node, INK_JSON_OBJECT));
    INK_TRY(ink_json_read_string(config->ctx, document, node, "type", &m->type));
    INK_TRY(ink_json_read_string(config->ctx, document, node, "path", &m->path));
    m->type = last_component(m->type);
    return INK_OK;
}

/* One module behind the pooling. */
static ink_result read_step(ink_loader *loader, const ink_config *config, const module *m, size_t *width,
                            ink_sentence_step *step)
{
    const char *settings_file, *weights_file;
    ink_config settings;
    bool found;
    step->normalise = strcmp(m->type, "Normalize") == 0;
    if (!step->normalise && strcmp(m->type, "Dense") != 0)
        return ink_fail(config->ctx, INK_ERROR_UNSUPPORTED,
                        "\"modules.json\": a module '%s' behind the pooling: only Dense and Normalize run here",
                        m->type);
    INK_TRY(file_of(config, m->path, INK_CONFIG_FILE, &settings_file));
    INK_TRY(file_of(config, m->path, "model.safetensors", &weights_file));
    INK_TRY(ink_config_open_beside(config, settings_file, &settings, &found));
    if (!found && !step->normalise)
        return ink_fail(config->ctx, INK_ERROR_NOT_FOUND, "%s cannot be opened: a Dense module has settings",
                        settings_file);
    if (found)
        INK_TRY(require_word(&settings, "module_input_name", "sentence_embedding"));
    if (found)
        INK_TRY(require_word(&settings, "module_output_name", "sentence_embedding"));
    return step->normalise ? INK_OK : read_dense(loader, &settings, weights_file, width, &step->dense);
}

/* The first two modules; *next is the one behind them. */
static ink_result read_beginning(ink_config *config, const ink_json_document *document, size_t *width,
                                 ink_encoder *encoder, ink_json *next)
{
    ink_json first = ink_json_first(document, 0);
    ink_json second = first != INK_JSON_NONE ? ink_json_next(document, first) : INK_JSON_NONE;
    const char *file;
    ink_config settings;
    module transformer = {0}, pooling = {0};
    if (second != INK_JSON_NONE) {
        INK_TRY(read_module(config, document, first, &transformer));
        INK_TRY(read_module(config, document, second, &pooling));
    }
    if (second == INK_JSON_NONE || strcmp(transformer.type, "Transformer") != 0 || transformer.path[0] != '\0' ||
        strcmp(pooling.type, "Pooling") != 0)
        return ink_fail(config->ctx, INK_ERROR_UNSUPPORTED,
                        "%s: expected a Transformer in the folder itself (path \"\"), then a Pooling", document->file);
    INK_TRY(file_of(config, pooling.path, INK_CONFIG_FILE, &file));
    INK_TRY(ink_config_open(config->ctx, config->arena, config->source, file, &settings));
    INK_TRY(read_pooling(&settings, &encoder->info, width, &encoder->sentence));
    *next = ink_json_next(document, second);
    return INK_OK;
}

ink_result ink_sentence_read(ink_loader *loader, ink_config *config, const ink_model_info *info, ink_encoder *encoder,
                             bool *found)
{
    ink_sentence *sentence = &encoder->sentence;
    ink_json_document document;
    ink_json node = INK_JSON_NONE;
    size_t width = info->hidden_size;
    ink_result result =
        ink_json_open(config->ctx, config->arena, config->source, "modules.json", MAX_FILE_BYTES, &document);
    *found = result == INK_OK;
    if (!*found)
        return ink_is_missing(config->ctx, result) ? INK_OK : result;

    INK_TRY(ink_json_expect(config->ctx, &document, 0, INK_JSON_ARRAY));
    if (document.nodes[0].n_children > MAX_MODULES)
        return ink_fail(config->ctx, INK_ERROR_LIMIT, "%s: there are more than %zu modules", document.file,
                        (size_t)MAX_MODULES);
    INK_TRY(read_text_settings(config, info->context_length, &encoder->info));
    INK_TRY(read_prompt(loader, config, &encoder->info));
    INK_TRY(read_beginning(config, &document, &width, encoder, &node));
    sentence->n_steps = document.nodes[0].n_children - 2;
    sentence->steps = ink_arena_alloc(loader->arena, sentence->n_steps, sizeof *sentence->steps);
    for (size_t i = 0; i < sentence->n_steps; i++, node = ink_json_next(&document, node)) {
        ink_sentence_step spare, *step = sentence->steps != NULL ? &sentence->steps[i] : &spare;
        module m;
        INK_TRY(read_module(config, &document, node, &m));
        INK_TRY(read_step(loader, config, &m, &width, step));
        sentence->widest = ink_size_max(sentence->widest, width);
    }
    encoder->info.embedding_size = width;
    return INK_OK;
}
