/*
 * static_embedding.c - a vector for each token, and for a text the mean of those of its tokens: StaticEmbedding of
 * sentence-transformers (Reimers, Gurevych 2019) and model2vec (Tulkens, van Dongen 2024).
 *
 *     text = sum_t weight[w_t] E[row[w_t]] / n
 *
 * It is a transformer without blocks, with the mean as pooling. The table E is embedding.weight, or in files of
 * model2vec `embeddings`, there perhaps with `weights` and with `mapping`, the row of each token. The text is encoded
 * by tokenizer.json alone, without its template, and may have any length.
 */
#include <string.h>

#include "architectures.h"
#include "folder.h"

#define TOKENIZER_FILE "tokenizer.json"

/* ---- the folder ------------------------------------------------------------------------------------------------- */

static ink_result static_file_open(void *user, const char *name, void **file, uint64_t *size)
{
    const ink_static_folder *folder = user;
    char path[sizeof folder->path + sizeof TOKENIZER_FILE + 1];
    if (strcmp(name, TOKENIZER_FILE) != 0)
        return INK_ERROR_NOT_FOUND;
    ink_format(path, sizeof path, "%s%s%s", folder->path, folder->path[0] != '\0' ? "/" : "", name);
    return folder->whole.open(folder->whole.user, path, file, size);
}

static ink_result static_file_read(void *user, void *file, uint64_t offset, void *buffer, size_t size, size_t *got)
{
    const ink_static_folder *folder = user;
    return folder->whole.read(folder->whole.user, file, offset, buffer, size, got);
}

static void static_file_close(void *user, void *file)
{
    const ink_static_folder *folder = user;
    folder->whole.close(folder->whole.user, file);
}

/* Opens a JSON file that may be missing, or be of no use here: then it has no nodes. */
static ink_result open_settings(ink_context *ctx, ink_arena *arena, const ink_source *source, const char *file,
                                ink_json_document *document)
{
    ink_result result = ink_json_open(ctx, arena, source, file, INK_LIMIT(ctx, settings_bytes), document);
    if (result == INK_ERROR_MEMORY || result == INK_ERROR_READ)
        return result;
    if (result != INK_OK) {
        ink_error_clear(ctx);
        document->n_nodes = 0;
    }
    return INK_OK;
}

/* A string in an object; "" if there is none. */
static const char *string_in(const ink_json_document *document, ink_json object, const char *key)
{
    bool is_object = document->nodes[object].kind == INK_JSON_OBJECT;
    ink_json node = is_object ? ink_json_member(document, object, key) : INK_JSON_NONE;
    return node != INK_JSON_NONE && document->nodes[node].kind == INK_JSON_STRING ? document->nodes[node].string : "";
}

ink_result ink_static_folder_open(ink_context *ctx, ink_arena *arena, const ink_source *source,
                                  ink_static_folder *folder, bool *found)
{
    ink_json_document document;
    *folder = (ink_static_folder){.whole = *source};
    folder->tokenizer = (ink_source){source->name, folder, static_file_open, static_file_read, static_file_close};
    INK_TRY(open_settings(ctx, arena, source, "modules.json", &document));
    if (document.n_nodes > 1 && document.nodes[0].kind == INK_JSON_ARRAY) {
        ink_json first = ink_json_first(&document, 0);
        const char *type = string_in(&document, first, "type"), *path = string_in(&document, first, "path");
        size_t length = strlen(type), size = strlen("StaticEmbedding");
        *found = length >= size && strcmp(type + length - size, "StaticEmbedding") == 0;
        if (!*found || path[0] == '\0' || strcmp(path, ".") == 0)
            return INK_OK;
        INK_TRY(ink_folder_check_path(ctx, path));
        memcpy(folder->path, path, strlen(path));
        return INK_OK;
    }
    INK_TRY(open_settings(ctx, arena, source, INK_CONFIG_FILE, &document));
    *found = document.n_nodes > 0 && strcmp(string_in(&document, 0, "model_type"), "model2vec") == 0;
    return INK_OK;
}

/* ---- the model -------------------------------------------------------------------------------------------------- */

/* Tokenizer.from_file() cuts a text where tokenizer.json says so. */
static ink_result static_describe_length(ink_import *in, size_t *max_tokens)
{
    const char *weights = ink_weights_name(in->plan.weights);
    ink_static_folder folder;
    ink_json_document json;
    bool found;
    int64_t most = 0;
    *max_tokens = SIZE_MAX;
    INK_TRY(ink_static_folder_open(in->ctx, in->config.arena, in->source, &folder, &found));
    if (strncmp(weights, folder.path, strlen(folder.path)) != 0)
        return ink_fail(in->ctx, INK_ERROR_MISMATCH,
                        "modules.json: the path of the StaticEmbedding is '%s', but there is %s", folder.path, weights);
    ink_result result = ink_json_open(in->ctx, in->config.arena, &folder.tokenizer, TOKENIZER_FILE,
                                      INK_LIMIT(in->ctx, table_bytes), &json);
    if (result != INK_OK)
        return ink_is_missing(in->ctx, result) ? INK_OK : result;
    ink_json truncation =
        json.nodes[0].kind == INK_JSON_OBJECT ? ink_json_member(&json, 0, "truncation") : INK_JSON_NONE;
    if (truncation == INK_JSON_NONE)
        return INK_OK;
    INK_TRY(ink_json_expect(in->ctx, &json, truncation, INK_JSON_OBJECT));
    INK_TRY(ink_json_read_int(in->ctx, &json, truncation, "max_length", 0, INT32_MAX, &most));
    if (most > 0)
        *max_tokens = (size_t)most;
    return INK_OK;
}

static ink_result import_static(ink_import *in)
{
    ink_plan *plan = &in->plan;
    ink_model *model = in->model;
    ink_model_info *info = &model->info;
    ink_transformer_net *net = &model->transformer;
    const char *name = ink_plan_has(plan, "embeddings") ? "embeddings" : "embedding.weight";
    size_t rows, n_ids = 0;
    bool found, normalise = false;
    INK_TRY(ink_plan_matrix_shape(plan, name, false, &rows, &info->hidden_size));
    INK_TRY(ink_plan_matrix(plan, name, info->hidden_size, rows, true, &model->embedding.table));
    model->embedding.columns = true;
    INK_TRY(ink_plan_ids(plan, "mapping", rows, &net->token_rows, &n_ids));
    in->config.fingerprint = ink_hash_numbers(in->config.fingerprint, net->token_rows, n_ids, sizeof *net->token_rows);
    info->vocab_size = net->token_rows != NULL ? n_ids : rows;
    if (info->vocab_size > INK_MAX_IDS)
        return ink_fail(in->ctx, INK_ERROR_LIMIT, "%s: there are %zu tokens, at most %zu are supported",
                        ink_weights_name(plan->weights), info->vocab_size, INK_MAX_IDS);
    INK_TRY(ink_plan_optional_vector(plan, "weights", info->vocab_size, &net->token_weights));
    net->stack.config.hidden_size = info->hidden_size;

    model->is_encoder = true;
    model->encoder.prompt = "";
    model->encoder.without_template = true;
    INK_TRY(static_describe_length(in, &model->encoder.max_tokens));
    INK_TRY(ink_config_bool(&in->config, "normalize", &normalise));
    INK_TRY(ink_import_sentence(in, &found));
    if (found) /* modules.json says more than config.json */
        return INK_OK;
    model->encoder.embedding_size = info->hidden_size;
    model->sentence = (ink_sentence){.n_modes = 1, .modes = {INK_POOLING_MEAN}};
    model->sentence.steps = ink_arena_alloc(plan->own, 1, sizeof *model->sentence.steps);
    if (model->sentence.steps == NULL)
        return ink_fail(in->ctx, INK_ERROR_MEMORY, "out of memory: reading the modules of a sentence encoder");
    model->sentence.steps[0] = (ink_sentence_step){.normalise = true};
    model->sentence.n_steps = normalise;
    return INK_OK;
}

const ink_architecture ink_static_architectures[] = {
    {.name = "model2vec", .import = import_static},
    {.name = NULL},
};

const ink_architecture ink_static_embedding = {.name = "static", .import = import_static};
