/*
 * model.c - opening a model folder, and what a model says about itself.
 *
 * config.json names the kind; the kind's page reads the rest, twice (loader.h): the first run checks every setting and
 * every tensor and adds up what memory it will take, the second fills that memory. So a model is either there whole,
 * or refused before memory for it was taken.
 */
#include <string.h>

#include "../formats/folder.h"
#include "kind.h"

static const ink_model_kind *const kinds[] = {
    &ink_kind_gpt2, &ink_kind_llama, &ink_kind_mistral, &ink_kind_qwen2, &ink_kind_qwen3,      &ink_kind_rnn,
    &ink_kind_gru,  &ink_kind_lstm,  &ink_kind_mlp,     &ink_kind_bert,  &ink_kind_distilbert, &ink_kind_roberta,
};

typedef struct opening {
    ink_context *ctx;
    ink_model_options options;
    ink_config config;
    ink_config generation;
    const ink_model_kind *kind;
    ink_weights *weights;
    bool *used;           /* [ink_weights_count]: tensors the model asked for */
    uint64_t bytes_total; /* to be read, known after the first run */
} opening;

/* ---- kind ----------------------------------------------------------------------------------------------------- */

static ink_result find_kind(ink_context *ctx, ink_config *config, const ink_model_kind **kind)
{
    const char *name;
    INK_TRY(ink_config_string(config, "model_type", &name));
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(name, kinds[i]->name) == 0) {
            *kind = kinds[i];
            return INK_OK;
        }
    if (name[0] == '\0')
        return ink_fail(ctx, INK_ERROR_MISMATCH, "%s: member 'model_type' is missing: what kind of model is this?",
                        config->document.file);
    return ink_fail(ctx, INK_ERROR_UNSUPPORTED,
                    "%s: model_type '%s' is none of those that run here: gpt2, llama, mistral, qwen2, qwen3, "
                    "rnn, gru, lstm, mlp, bert, distilbert, roberta",
                    config->document.file, name);
}

/* Quantised weights come under names and types of their own; the sentence about these would lead astray. */
static ink_result refuse_quantised(ink_context *ctx, const ink_config *config)
{
    if (ink_config_member(config, "quantization_config") == INK_JSON_NONE)
        return INK_OK;
    return ink_fail(ctx, INK_ERROR_UNSUPPORTED,
                    "%s: quantization_config: quantised weights do not run here; the model as it was before does",
                    config->document.file);
}

/* ---- tensors without use -------------------------------------------------------------------------------------- */

static bool is_unused(const opening *job, size_t i)
{
    const char *name = ink_weights_at(job->weights, i)->name;
    size_t length = strlen(name);
    for (const char *const *end = job->kind->ignored; end != NULL && *end != NULL; end++)
        if (length >= strlen(*end) && strcmp(name + length - strlen(*end), *end) == 0)
            return false;
    return !job->used[i];
}

/* Keeps the names of unused tensors in the model: it outlives the file. */
static void list_unused(const opening *job, ink_arena *arena, ink_model *model)
{
    size_t n_tensors = ink_weights_count(job->weights);
    size_t n_unused = 0;
    size_t bytes = 0;
    for (size_t i = 0; i < n_tensors; i++)
        if (is_unused(job, i)) {
            n_unused++;
            bytes += strlen(ink_weights_at(job->weights, i)->name) + 1;
        }
    const char **list = ink_arena_alloc(arena, n_unused, sizeof *list);
    char *text = ink_arena_alloc(arena, bytes, 1);
    model->info.n_unused = n_unused;
    model->unused = list;
    if (list == NULL || text == NULL)
        return;
    for (size_t i = 0; i < n_tensors; i++)
        if (is_unused(job, i)) {
            const char *name = ink_weights_at(job->weights, i)->name;
            size_t size = strlen(name) + 1;
            *list++ = memcpy(text, name, size);
            text += size;
        }
}

/* ---- building ------------------------------------------------------------------------------------------------- */

static void begin_loader(const opening *job, ink_arena *arena, ink_loader *loader)
{
    ink_loader_begin(loader, job->ctx, job->weights, arena);
    loader->type = job->options.type;
    loader->expected = INK_CONFIG_FILE;
    loader->used = job->used;
    loader->progress = job->options.progress;
    loader->progress_user = job->options.progress_user;
    loader->progress_total = job->bytes_total;
}

static ink_result build(void *args, ink_arena *arena, void **object)
{
    opening *job = args;
    ink_loader loader;
    ink_model spare;
    ink_model *model = ink_arena_alloc(arena, 1, sizeof *model);
    *object = model;
    if (model == NULL)
        model = &spare;
    memset(model, 0, sizeof *model);
    model->info.bos_token = model->info.eos_token = -1;
    begin_loader(job, arena, &loader);
    job->config.fingerprint = ink_hash_on(INK_HASH_START, job->kind->name, strlen(job->kind->name));
    INK_TRY(job->kind->read(&loader, &job->config, model));
    job->bytes_total = loader.bytes_read;

    model->kind = job->kind;
    model->fingerprint = ink_fingerprint_number(job->config.fingerprint, loader.fingerprint);
    model->info.kind = job->kind->name;
    model->info.n_parameters = loader.n_parameters;
    list_unused(job, arena, model);
    return ink_generation_read(arena, &job->config, &job->generation, model);
}

static ink_result build_model(opening *job, ink_arena *work, ink_model **model)
{
    ink_context *ctx = job->ctx;
    size_t n_tensors = ink_weights_count(job->weights);
    void *object;
    job->used = ink_arena_alloc(work, n_tensors, sizeof *job->used);
    if (job->used == NULL)
        return ink_fail(ctx, INK_ERROR_MEMORY, "out of memory: opening a model with %zu tensors", n_tensors);
    memset(job->used, 0, n_tensors * sizeof *job->used);
    INK_TRY(ink_object_create(ctx, "the model", build, job, job->options.max_bytes, &object));

    ink_model *built = object;
    built->info.n_bytes = ink_object_bytes(built);
    *model = built;
    return INK_OK;
}

static ink_result open_model(opening *job, const ink_source *source, ink_arena *work, ink_model **model)
{
    ink_context *ctx = job->ctx;
    bool found;
    ink_result opened = ink_config_open(ctx, work, source, INK_CONFIG_FILE, &job->config);
    if (opened != INK_OK)
        return opened == INK_ERROR_NOT_FOUND ? ink_folder_explain(ctx, source) : opened;
    INK_TRY(ink_config_open_beside(&job->config, INK_GENERATION_FILE, &job->generation, &found));
    job->config.pooling = job->options.pooling;
    INK_TRY(find_kind(ctx, &job->config, &job->kind));
    INK_TRY(refuse_quantised(ctx, &job->config));
    INK_TRY(ink_weights_open_folder(ctx, source, &job->weights));
    ink_result result = build_model(job, work, model);
    ink_weights_free(job->weights);
    return result;
}

ink_result ink_model_open(ink_context *ctx, const char *folder, const ink_model_options *options, ink_model **model)
{
    opening job = {.ctx = ctx};
    ink_arena work;
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, model);
    *model = NULL;
    if (options != NULL)
        job.options = *options;
    ink_type type = job.options.type;
    if (type != INK_TYPE_NONE)
        INK_TRY(ink_matrix_check_type(ctx, type));
    if ((unsigned)job.options.pooling >= INK_N_POOLINGS)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: there is no pooling %lld", __func__,
                        (long long)job.options.pooling);
    if (job.options.source == NULL)
        INK_REQUIRE(ctx, folder);
    ink_source source = job.options.source != NULL ? *job.options.source : ink_source_folder(folder);
    if (folder != NULL)
        source.name = folder;

    ink_arena_grow(&work, &ctx->allocator);
    ink_float_mode host = ink_float_mode_enter(); /* the numbers of config.json are read, too */
    ink_result result = open_model(&job, &source, &work, model);
    ink_float_mode_leave(host);
    ink_arena_free(&work);
    return result;
}

void ink_model_free(ink_model *model) { ink_object_free(model); }

/* ---- questions ------------------------------------------------------------------------------------------------ */

const ink_model_info *ink_model_get_info(const ink_model *model) { return model != NULL ? &model->info : NULL; }

const char *ink_model_unused(const ink_model *model, size_t i)
{
    return model != NULL && i < model->info.n_unused ? model->unused[i] : NULL;
}
