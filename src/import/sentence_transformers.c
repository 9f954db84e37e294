/*
 * sentence_transformers.c - the modules of a sentence-transformers folder (Reimers, Gurevych 2019).
 *
 * modules.json lists the modules in order: a Transformer, which is the model in the folder itself, and a Pooling, or a
 * StaticEmbedding (static_embedding.c); then any number of Dense and Normalize. Each of the others has its own folder
 * for config.json and weights. A CrossEncoder has the Transformer alone, with the head of a classifier.
 */
#include <string.h>

#include "architectures.h"
#include "folder.h"

#define MAX_MODULES 64
#define SETTINGS_FILE "config_sentence_transformers.json"

/* ---- texts ------------------------------------------------------------------------------------------------------ */

/* Refuses a setting that is there and is not this word. */
static ink_result require_word(ink_config *settings, const char *key, const char *word)
{
    const char *value;
    INK_TRY(ink_config_string(settings, key, &value));
    if (value[0] != '\0' && strcmp(value, word) != 0)
        return ink_fail(settings->ctx, INK_ERROR_UNSUPPORTED, "%s: %s is '%s', but only '%s' is supported",
                        settings->document.file, key, value, word);
    return INK_OK;
}

/* Reads what the Transformer is for, the length at which texts are cut, and whether they are lower-cased. The file is
   named after the kind of Transformer; its max_seq_length overrides the length of the tokenizer. */
static ink_result sentence_describe_texts(ink_import *in, bool *classifies)
{
    static const char *const names[] = {"sentence_bert_config.json", "sentence_roberta_config.json",
                                        "sentence_distilbert_config.json"};
    ink_encoder_info *info = &in->model->encoder;
    ink_config settings;
    bool found = false;
    *classifies = false;
    for (size_t i = 0; !found && i < sizeof names / sizeof names[0]; i++)
        INK_TRY(ink_config_open_optional(&in->config, names[i], &settings, &found));
    if (!found)
        return INK_OK;
    const char *task;
    INK_TRY(ink_config_string(&settings, "transformer_task", &task));
    *classifies = strcmp(task, "sequence-classification") == 0;
    if (!*classifies)
        INK_TRY(require_word(&settings, "transformer_task", "feature-extraction"));
    INK_TRY(require_word(&settings, "module_output_name", *classifies ? "scores" : "token_embeddings"));
    INK_TRY(ink_config_bool(&settings, "do_lower_case", &info->lower_case));
    INK_TRY(ink_config_size(&settings, "max_seq_length", SIZE_MAX, &info->max_tokens));
    info->max_tokens = ink_size_min(info->max_tokens, in->model->info.context_length);
    return INK_OK;
}

/* Reads the prompt in front of every text. The prompts "query" and "document" exist in every folder; they are empty
   unless it says otherwise. */
static ink_result sentence_describe_prompt(ink_import *in, ink_config *settings)
{
    const ink_json_document *document = &settings->document;
    ink_encoder_info *info = &in->model->encoder;
    const char *name, *prompt = "";
    ink_json prompts = ink_config_member(settings, "prompts");
    if (prompts != INK_JSON_NONE)
        INK_TRY(ink_json_expect(in->ctx, document, prompts, INK_JSON_OBJECT));
    INK_TRY(ink_config_string(settings, "default_prompt_name", &name));
    if (ink_config_member(settings, "default_prompt_name") == INK_JSON_NONE)
        return INK_OK;
    ink_json named = prompts != INK_JSON_NONE ? ink_json_member(document, prompts, name) : INK_JSON_NONE;
    if (named != INK_JSON_NONE)
        INK_TRY(ink_json_get_string(in->ctx, document, named, &prompt, NULL));
    else if (strcmp(name, "query") != 0 && strcmp(name, "document") != 0)
        return ink_fail(in->ctx, INK_ERROR_MISMATCH, "%s: default_prompt_name is '%s', but prompts has no such prompt",
                        document->file, name);
    info->prompt = ink_arena_string(in->plan.own, prompt, strlen(prompt));
    if (info->prompt == NULL)
        return ink_fail(in->ctx, INK_ERROR_MEMORY, "out of memory: the prompt of a sentence encoder");
    return INK_OK;
}

/* ---- pooling ---------------------------------------------------------------------------------------------------- */

/* The names of the modes, and their keys in older files. */
static const struct {
    const char *name, *key;
    ink_pooling pooling;
} pooling_modes[] = {
    {"cls", "pooling_mode_cls_token", INK_POOLING_CLS},
    {"max", "pooling_mode_max_tokens", INK_POOLING_MAX},
    {"mean", "pooling_mode_mean_tokens", INK_POOLING_MEAN},
    {"mean_sqrt_len_tokens", "pooling_mode_mean_sqrt_len_tokens", INK_POOLING_MEAN_SQRT},
    {"weightedmean", "pooling_mode_weightedmean_tokens", INK_POOLING_WEIGHTED_MEAN},
    {"lasttoken", "pooling_mode_lasttoken", INK_POOLING_LAST},
};
#define N_MODES (sizeof pooling_modes / sizeof pooling_modes[0])

/* "pooling_mode": "mean", or ["cls", "mean"]. */
static ink_result sentence_read_named_modes(ink_config *settings, ink_json named, ink_sentence *sentence)
{
    const ink_json_document *document = &settings->document;
    bool list = document->nodes[named].kind == INK_JSON_ARRAY;
    for (ink_json node = list ? ink_json_first(document, named) : named; node != INK_JSON_NONE;
         node = list ? ink_json_next(document, node) : INK_JSON_NONE) {
        const char *name;
        size_t i = 0;
        INK_TRY(ink_json_get_string(settings->ctx, document, node, &name, NULL));
        while (i < N_MODES && strcmp(name, pooling_modes[i].name) != 0)
            i++;
        if (i == N_MODES)
            return ink_fail(settings->ctx, INK_ERROR_UNSUPPORTED,
                            "%s: pooling_mode '%s' is not supported, only cls, max, mean, "
                            "mean_sqrt_len_tokens, weightedmean, lasttoken",
                            document->file, name);
        if (sentence->n_modes == N_MODES)
            return ink_fail(settings->ctx, INK_ERROR_UNSUPPORTED, "%s: pooling_mode names more than %zu modes",
                            document->file, N_MODES);
        sentence->modes[sentence->n_modes++] = pooling_modes[i].pooling;
    }
    return INK_OK;
}

/* "pooling_mode_mean_tokens": true, and so on; the modes have the order of the table. An unknown mode may be false. */
static ink_result sentence_read_flagged_modes(ink_config *settings, ink_sentence *sentence)
{
    const ink_json_document *document = &settings->document;
    for (ink_json node = ink_json_first(document, 0); node != INK_JSON_NONE; node = ink_json_next(document, node)) {
        const char *key = document->nodes[node].key;
        bool off = document->nodes[node].kind == INK_JSON_FALSE || document->nodes[node].kind == INK_JSON_NULL;
        size_t i = 0;
        while (i < N_MODES && strcmp(key, pooling_modes[i].key) != 0)
            i++;
        if (i == N_MODES && !off && strncmp(key, "pooling_mode_", 13) == 0)
            INK_TRY(ink_config_refuse(settings, key));
    }
    for (size_t i = 0; i < N_MODES; i++) {
        bool set = false;
        INK_TRY(ink_config_bool(settings, pooling_modes[i].key, &set));
        if (set)
            sentence->modes[sentence->n_modes++] = pooling_modes[i].pooling;
    }
    return INK_OK;
}

/* Reads the pooling modes; the default is the mean. *width is that of the rows and becomes that of the vector. */
static ink_result sentence_describe_pooling(ink_import *in, ink_config *settings, size_t *width)
{
    const ink_json_document *document = &settings->document;
    ink_sentence *sentence = &in->model->sentence;
    const char *key = "word_embedding_dimension";
    size_t dimension = *width;
    bool include_prompt = true;
    if (ink_json_member(document, 0, key) == INK_JSON_NONE)
        key = "embedding_dimension";
    INK_TRY(ink_config_size(settings, key, INK_MAX_WIDTH, &dimension));
    if (dimension != *width)
        return ink_fail(in->ctx, INK_ERROR_MISMATCH, "%s: %s is %zu, but the rows of the model have %zu",
                        document->file, key, dimension, *width);
    INK_TRY(ink_config_bool(settings, "include_prompt", &include_prompt));
    if (!include_prompt && in->model->encoder.prompt[0] != '\0')
        return ink_fail(in->ctx, INK_ERROR_UNSUPPORTED,
                        "%s: include_prompt is false: pooling without the tokens of a prompt is not supported",
                        document->file);
    ink_json named = ink_json_member(document, 0, "pooling_mode");
    if (named != INK_JSON_NONE)
        INK_TRY(sentence_read_named_modes(settings, named, sentence));
    else
        INK_TRY(sentence_read_flagged_modes(settings, sentence));
    if (sentence->n_modes == 0)
        sentence->modes[sentence->n_modes++] = INK_POOLING_MEAN;
    *width *= sentence->n_modes;
    return INK_OK;
}

/* ---- dense ------------------------------------------------------------------------------------------------------ */

/* The class at the end of a path like "torch.nn.modules.activation.Tanh". */
static const char *last_component(const char *path)
{
    const char *last = path;
    for (const char *dot = strchr(path, '.'); dot != NULL; dot = strchr(dot + 1, '.'))
        last = dot + 1;
    return last;
}

/* Plans linear.weight and perhaps linear.bias, from the file of the module, whose folder is `module`. */
static ink_result sentence_plan_dense(ink_import *in, ink_config *settings, const char *module,
                                      const char *weights_file, size_t *width, ink_dense *dense)
{
    static const struct {
        const char *class;
        ink_activation activation;
    } known[] = {
        {"Identity", INK_IDENTITY}, {"Tanh", INK_TANH}, {"ReLU", INK_RELU}, {"GELU", INK_GELU},
        {"Sigmoid", INK_SIGMOID},   {"SiLU", INK_SILU}, {"ELU", INK_ELU},   {"Mish", INK_MISH},
    };
    size_t from = *width, to = 0, i = 1;
    bool bias = true;
    const char *path;
    ink_weights *weights;
    INK_TRY(ink_config_size(settings, "in_features", INK_MAX_WIDTH, &from));
    INK_TRY(ink_config_size(settings, "out_features", INK_MAX_WIDTH, &to));
    INK_TRY(ink_config_bool(settings, "bias", &bias));
    INK_TRY(ink_config_string(settings, "activation_function", &path));
    if (path[0] != '\0')
        for (i = 0; i < sizeof known / sizeof known[0] && strcmp(last_component(path), known[i].class) != 0; i++)
            continue;
    if (i == sizeof known / sizeof known[0])
        return ink_fail(in->ctx, INK_ERROR_UNSUPPORTED, "%s: activation_function: activation '%s' is not supported",
                        settings->document.file, path);
    INK_TRY(ink_config_refuse(settings, "use_residual"));
    if (from != *width)
        return ink_fail(in->ctx, INK_ERROR_MISMATCH, "%s: in_features is %zu, but the vector before it has %zu",
                        settings->document.file, from, *width);
    ink_result result = ink_weights_open_source(in->ctx, in->source, weights_file, &weights);
    if (result != INK_OK)
        return result == INK_ERROR_NOT_FOUND ? ink_folder_explain(in->ctx, in->source, module) : result;
    const ink_weights *before = in->plan.weights;
    INK_TRY(ink_plan_use(&in->plan, weights));
    if (ink_weights_count(weights) != (bias ? 2U : 1U))
        return ink_fail(in->ctx, INK_ERROR_MISMATCH, "%s: there are %zu tensors, expected linear.weight%s",
                        ink_weights_name(weights), ink_weights_count(weights), bias ? " and linear.bias" : " alone");
    INK_TRY(ink_plan_dense(&in->plan, "linear", to, from, bias ? INK_BIAS_REQUIRED : INK_BIAS_IF_THERE,
                           known[i].activation, dense));
    in->plan.weights = before;
    *width = to;
    return INK_OK;
}

/* ---- modules ---------------------------------------------------------------------------------------------------- */

typedef struct sentence_module {
    const char *type; /* the class, without its path */
    const char *path; /* the name of a folder in the model's folder */
} sentence_module;

static ink_result read_module(ink_import *in, const ink_json_document *document, ink_json node, sentence_module *m)
{
    *m = (sentence_module){"", ""};
    INK_TRY(ink_json_expect(in->ctx, document, node, INK_JSON_OBJECT));
    INK_TRY(ink_json_read_string(in->ctx, document, node, "type", &m->type));
    INK_TRY(ink_json_read_string(in->ctx, document, node, "path", &m->path));
    m->type = last_component(m->type);
    return INK_OK;
}

/* path/file of a module. */
static ink_result module_file(ink_import *in, const sentence_module *m, const char *file, const char **name)
{
    size_t size = strlen(m->path) + 1 + strlen(file) + 1;
    INK_TRY(ink_folder_check_path(in->ctx, m->path));
    char *joined = ink_arena_alloc(in->config.arena, size, 1);
    if (joined == NULL)
        return ink_fail(in->ctx, INK_ERROR_MEMORY, "out of memory: reading the modules of a sentence encoder");
    size_t length = strlen(m->path);
    memcpy(joined, m->path, length);
    joined[length] = '/';
    memcpy(joined + length + 1, file, strlen(file) + 1);
    *name = joined;
    return INK_OK;
}

/* Plans a module after the pooling. */
static ink_result sentence_plan_step(ink_import *in, const sentence_module *m, size_t *width, ink_sentence_step *step)
{
    const char *settings_file, *weights_file;
    ink_config settings;
    bool found;
    step->normalise = strcmp(m->type, "Normalize") == 0;
    if (!step->normalise && strcmp(m->type, "Dense") != 0)
        return ink_fail(in->ctx, INK_ERROR_UNSUPPORTED,
                        "\"modules.json\": a module '%s' after the pooling: only Dense and Normalize are supported",
                        m->type);
    INK_TRY(module_file(in, m, INK_CONFIG_FILE, &settings_file));
    INK_TRY(ink_config_open_optional(&in->config, settings_file, &settings, &found));
    if (!found && !step->normalise)
        return ink_fail(in->ctx, INK_ERROR_NOT_FOUND, "%s cannot be opened, but a Dense module needs settings",
                        settings_file);
    if (found) {
        INK_TRY(require_word(&settings, "module_input_name", "sentence_embedding"));
        INK_TRY(require_word(&settings, "module_output_name", "sentence_embedding"));
    }
    if (step->normalise)
        return INK_OK;
    INK_TRY(module_file(in, m, "model.safetensors", &weights_file));
    return sentence_plan_dense(in, &settings, m->path, weights_file, width, &step->dense);
}

/* Without modules only the caller says how rows become one vector. */
static void caller_pools(ink_import *in)
{
    if (!in->model->is_encoder || in->options.pooling == INK_POOLING_NONE)
        return;
    in->model->sentence = (ink_sentence){.n_modes = 1, .modes = {in->options.pooling}};
    in->model->encoder.embedding_size = in->model->info.hidden_size;
}

ink_result ink_import_sentence(ink_import *in, bool *found)
{
    ink_sentence *sentence = &in->model->sentence;
    ink_json_document document;
    ink_config settings;
    const char *file;
    size_t width = in->model->info.hidden_size;
    ink_result result = ink_json_open(in->ctx, in->config.arena, in->source, "modules.json",
                                      INK_LIMIT(in->ctx, settings_bytes), &document);
    *found = result == INK_OK;
    if (!*found) {
        caller_pools(in);
        return ink_is_missing(in->ctx, result) ? INK_OK : result;
    }

    INK_TRY(ink_json_expect(in->ctx, &document, 0, INK_JSON_ARRAY));
    size_t n = document.nodes[0].n_children;
    if (n > MAX_MODULES)
        return ink_fail(in->ctx, INK_ERROR_LIMIT, "%s: there are more than %d modules", document.file, MAX_MODULES);
    bool classifies = false, has_settings, is_static = in->model->transformer.stack.config.n_blocks == 0;
    if (!in->model->is_encoder)
        INK_TRY(ink_import_texts(in)); /* a decoder */
    if (!is_static)
        INK_TRY(sentence_describe_texts(in, &classifies));

    ink_json node = ink_json_first(&document, 0);
    sentence_module first = {"", ""}, pooling = {"", ""}, m;
    size_t n_before = is_static ? 1 : 2, cut = SIZE_MAX; /* the steps, and the columns that are left in the end */
    if (n >= 1)
        INK_TRY(read_module(in, &document, node, &first));
    if (n >= 2 && !is_static) {
        node = ink_json_next(&document, node);
        INK_TRY(read_module(in, &document, node, &pooling));
    }
    bool is_there = strcmp(first.type, "Transformer") == 0 && first.path[0] == '\0';
    if (is_there && classifies && n == 1) { /* a CrossEncoder, which is a classifier like any other */
        *found = false;
        caller_pools(in);
        return INK_OK;
    }
    if (is_static && strcmp(first.type, "StaticEmbedding") != 0)
        return ink_fail(in->ctx, INK_ERROR_UNSUPPORTED, "%s: expected a StaticEmbedding first, found '%s'",
                        document.file, first.type);
    if (!is_static && (!is_there || strcmp(pooling.type, "Pooling") != 0))
        return ink_fail(in->ctx, INK_ERROR_UNSUPPORTED,
                        "%s: expected a Transformer in the folder itself (path \"\"), then a Pooling%s%s%s",
                        document.file, first.path[0] != '\0' ? "; move what is in '" : "", first.path,
                        first.path[0] != '\0' ? "' into the folder itself" : "");
    if (classifies)
        return ink_fail(in->ctx, INK_ERROR_UNSUPPORTED,
                        "%s: modules after the Transformer of a classifier are not "
                        "supported",
                        document.file);
    INK_TRY(ink_config_open_optional(&in->config, SETTINGS_FILE, &settings, &has_settings));
    if (has_settings) {
        INK_TRY(sentence_describe_prompt(in, &settings));
        INK_TRY(ink_config_size(&settings, "truncate_dim", INK_MAX_IDS, &cut));
    }
    if (is_static) {
        sentence->modes[sentence->n_modes++] = INK_POOLING_MEAN;
    } else {
        INK_TRY(module_file(in, &pooling, INK_CONFIG_FILE, &file));
        INK_TRY(ink_config_open(&in->config, file, &settings));
        INK_TRY(sentence_describe_pooling(in, &settings, &width));
    }

    size_t n_steps = sentence->n_steps = n - n_before;
    sentence->steps = ink_arena_alloc(in->plan.own, n_steps, sizeof *sentence->steps);
    if (sentence->steps == NULL)
        return ink_fail(in->ctx, INK_ERROR_MEMORY, "out of memory: reading the modules of a sentence encoder");
    memset(sentence->steps, 0, n_steps * sizeof *sentence->steps);
    for (size_t i = 0; i < n_steps; i++) {
        node = ink_json_next(&document, node);
        INK_TRY(read_module(in, &document, node, &m));
        INK_TRY(sentence_plan_step(in, &m, &width, &sentence->steps[i]));
    }
    in->model->encoder.embedding_size = ink_size_min(width, cut);
    return INK_OK;
}

/* The class of its activation stands in the settings of sentence-transformers, or in config.json before version 6. */
ink_result ink_import_cross_encoder(ink_import *in)
{
    static const struct {
        const char *class;
        ink_problem problem;
    } known[] = {{"Identity", INK_REGRESSION}, {"Sigmoid", INK_MULTI_LABEL}};
    ink_encoder_info *info = &in->model->encoder;
    ink_config settings, old = in->config;
    const char *model_type = "", *path = "", *prompt = "", *key = "activation_fn";
    bool found;
    INK_TRY(ink_config_open_optional(&in->config, SETTINGS_FILE, &settings, &found));
    if (found)
        INK_TRY(ink_config_string(&settings, "model_type", &model_type));
    old.object = ink_config_member(&in->config, "sentence_transformers");
    if (strcmp(model_type, "CrossEncoder") == 0) {
        INK_TRY(ink_config_string(&settings, key, &path));
        INK_TRY(ink_config_string(&settings, "default_prompt_name", &prompt));
    }
    if (strcmp(model_type, "CrossEncoder") == 0 || old.object != INK_JSON_NONE)
        info->problem = info->n_labels == 1 ? INK_MULTI_LABEL : INK_REGRESSION;
    if (path[0] == '\0' && old.object != INK_JSON_NONE)
        INK_TRY(ink_config_string(&old, key, &path));
    if (path[0] == '\0')
        INK_TRY(ink_config_string(&in->config, "sbert_ce_default_activation_function", &path));
    if (prompt[0] != '\0')
        return ink_fail(in->ctx, INK_ERROR_UNSUPPORTED,
                        "%s: default_prompt_name: a CrossEncoder with a prompt is not supported",
                        settings.document.file);
    if (path[0] == '\0')
        return INK_OK;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(last_component(path), known[i].class) == 0) {
            info->problem = known[i].problem;
            return INK_OK;
        }
    return ink_fail(in->ctx, INK_ERROR_UNSUPPORTED,
                    "%s: activation_fn: '%s' is not supported, only Identity and Sigmoid", in->config.document.file,
                    path);
}
