/*
 * open.c - ink_model_open(): from a folder or a GGUF file to a model.
 *
 * config.json, or the metadata of the file, name the architecture. Its importer describes the network and plans its
 * weights (architectures.h). Then the plan is filled. So every setting and every tensor is checked before memory for
 * weights is allocated, and a model opens whole or not at all.
 */
#include <string.h>

#include "../formats/gguf.h"
#include "../formats/safetensors.h"
#include "folder.h"
#include "architectures.h"

/* ---- architectures ---------------------------------------------------------------------------------------------- */

/* A row without a name ends each list. */
static const ink_architecture *const families[] = {
    ink_gpt2_architectures,   ink_llama_architectures,           ink_encoder_architectures,
    ink_static_architectures, ink_encoder_decoder_architectures, ink_own_architectures};
#define N_FAMILIES (sizeof families / sizeof families[0])

/* That of config.json, or of a GGUF file (model_type). */
static ink_result find_architecture(ink_import *in, const char *model_type, const ink_architecture **found)
{
    const char *name = model_type, *file = in->config.document.file;
    char known[512];
    size_t used = 0;
    if (model_type == NULL)
        INK_TRY(ink_config_string(&in->config, "model_type", &name));
    *found = NULL;
    for (size_t i = 0; i < N_FAMILIES; i++)
        for (const ink_architecture *a = families[i]; a->name != NULL; a++) {
            if (strcmp(name, a->name) == 0)
                *found = a;
            used += ink_format(known + used, sizeof known - used, "%s%s", used == 0 ? "" : ", ", a->name);
        }
    if (name[0] == '\0')
        INK_TRY(ink_folder_check_layout(in->ctx, in->source));
    if (name[0] == '\0')
        return ink_fail(in->ctx, INK_ERROR_MISMATCH, "%s: member 'model_type' is missing: what kind of model is this?",
                        file);
    if (strncmp(name, "inkling", 7) == 0)
        return ink_fail(in->ctx, INK_ERROR_UNSUPPORTED,
                        "%s: model_type '%s' is not supported: this model family only happens to have the name of this "
                        "library",
                        file, name);
    if (*found == NULL)
        return ink_fail(in->ctx, INK_ERROR_UNSUPPORTED, "%s: model_type '%s' is not supported, only %.500s", file, name,
                        known);
    return INK_OK;
}

/* ---- blocks ----------------------------------------------------------------------------------------------------- */

ink_result ink_import_blocks(ink_import *in, ink_stack *stack, const char *scope, const char *probe, const char *key,
                             ink_plan_block_fn plan_block, const void *settings)
{
    ink_plan *plan = &in->plan;
    size_t n = stack->config.n_blocks;
    for (size_t i = 0; i < n; i++) {
        size_t before = ink_plan_enter(plan, scope, i);
        INK_TRY(plan_block(in, settings, i, &stack->blocks[i]));
        ink_plan_leave(plan, before);
    }
    size_t before = ink_plan_enter(plan, scope, n), module = ink_plan_enter_module(plan, probe);
    if (ink_plan_has(plan, "weight")) {
        char full[INK_NAME_SIZE];
        return ink_fail(in->ctx, INK_ERROR_MISMATCH, "%s: there is a tensor '%.300s', %s asks for %zu blocks (%s)",
                        ink_weights_name(plan->weights), ink_plan_full_name(plan, "weight", full), plan->expected, n,
                        ink_config_name(&in->config, key));
    }
    ink_plan_leave(plan, module);
    ink_plan_leave(plan, before);
    return INK_OK;
}

/* ---- unused tensors --------------------------------------------------------------------------------------------- */

/* A tensor with several names is used if one of them is. */
static bool is_unused(const ink_import *in, const ink_architecture *a, size_t i)
{
    const ink_weights *weights = in->plan.files[0];
    const ink_weight *first = ink_weights_at(weights, 0), *weight = &first[i];
    const char *name = weight->name;
    size_t length = strlen(name);
    for (const char *const *end = a->ignored; end != NULL && *end != NULL; end++)
        if (length >= strlen(*end) && strcmp(name + length - strlen(*end), *end) == 0)
            return false;
    return !in->plan.used[ink_weights_stored(weights, weight) - first];
}

/* llama.cpp refuses a file with a tensor that it does not use: it belongs to a model of another kind. An encoder for
   vectors may be made of a language model, or of a classifier, whose outputs it lacks. */
static ink_result refuse_unused(const ink_import *in)
{
    static const char *const outputs[] = {"output.weight", "output.bias",       "cls.weight",
                                          "cls.bias",      "cls.output.weight", "cls.output.bias"};
    const ink_model *model = in->model;
    bool for_vectors = model->is_encoder && model->encoder.task == INK_TASK_NONE;
    for (size_t i = 0; in->gguf != NULL && i < model->info.n_unused; i++) {
        size_t k = for_vectors ? 0 : sizeof outputs / sizeof *outputs;
        while (k < sizeof outputs / sizeof *outputs && strcmp(model->unused[i], outputs[k]) != 0)
            k++;
        if (k == sizeof outputs / sizeof *outputs)
            return ink_fail(in->ctx, INK_ERROR_UNSUPPORTED,
                            "%s: tensor '%s': models of this architecture have no such tensor",
                            ink_weights_name(in->plan.files[0]), model->unused[i]);
    }
    return INK_OK;
}

/* Copies the names into the model, which outlives the file. */
static ink_result list_unused(ink_import *in, const ink_architecture *a)
{
    const ink_weights *weights = in->plan.files[0];
    ink_model *model = in->model;
    size_t n = 0;
    for (size_t i = 0; i < ink_weights_count(weights); i++)
        n += is_unused(in, a, i);
    model->unused = ink_arena_alloc(in->plan.own, n, sizeof *model->unused);
    for (size_t i = 0; i < ink_weights_count(weights) && !ink_arena_failed(in->plan.own); i++) {
        const char *name = ink_weights_at(weights, i)->name;
        if (is_unused(in, a, i))
            model->unused[model->info.n_unused++] = ink_arena_string(in->plan.own, name, strlen(name));
    }
    if (ink_arena_failed(in->plan.own))
        return ink_fail(in->ctx, INK_ERROR_MEMORY, "out of memory: the file has %zu unused tensors", n);
    return INK_OK;
}

/* ---- opening ---------------------------------------------------------------------------------------------------- */

/* The metadata of a GGUF file in place of config.json. */
static ink_result describe_gguf(ink_import *in, const ink_architecture **a)
{
    const ink_gguf *gguf = ink_weights_gguf(in->plan.weights);
    const char *model_type;
    if (gguf == NULL)
        return ink_fail(in->ctx, INK_ERROR_MISMATCH, "%s is a safetensors file, expected a GGUF file or a folder",
                        ink_weights_name(in->plan.weights));
    INK_TRY(ink_gguf_describe(in, gguf, &model_type));
    INK_TRY(find_architecture(in, model_type, a));
    in->variant = in->variant != NULL ? in->variant : (*a)->variant;
    return INK_OK;
}

/* a NULL: the file is GGUF, which says what it is. */
static ink_result describe_and_plan(ink_import *in, const ink_architecture *a)
{
    ink_plan *plan = &in->plan;
    ink_model *model = in->model;
    size_t n_tensors = ink_weights_count(plan->weights);
    plan->type = in->options.type;
    plan->expected = a == NULL ? "its metadata" : INK_CONFIG_FILE;
    plan->quantises = true;
    plan->progress = in->options.progress;
    plan->progress_user = in->options.progress_user;
    plan->used = ink_arena_alloc(&plan->work, n_tensors, sizeof *plan->used);
    if (plan->used == NULL)
        return ink_fail(in->ctx, INK_ERROR_MEMORY, "out of memory: opening a model with %zu tensors", n_tensors);
    memset(plan->used, 0, n_tensors * sizeof *plan->used);
    if (a == NULL)
        INK_TRY(describe_gguf(in, &a));
    in->config.fingerprint = ink_hash(0, a->name, strlen(a->name));
    model->info.kind = a->name;
    model->info.bos_token = model->info.eos_token = -1;
    INK_TRY(ink_quantised_plan(&in->config, plan));
    INK_TRY(a->import(in));
    model->info.n_parameters = plan->n_parameters;
    INK_TRY(list_unused(in, a));
    INK_TRY(refuse_unused(in));
    INK_TRY(ink_import_generation(in));

    size_t n = in->notes.n;
    model->info.n_notes = n;
    model->notes = ink_arena_alloc(plan->own, n, sizeof *model->notes);
    if (model->notes == NULL)
        return ink_fail(in->ctx, INK_ERROR_MEMORY, "out of memory: the model has %zu notes", n);
    memcpy(model->notes, in->notes.texts, n * sizeof *model->notes);
    return INK_OK;
}

static ink_result describe_folder(ink_import *in, const ink_architecture **a, ink_weights **weights)
{
    ink_context *ctx = in->ctx;
    bool found;
    ink_result result = ink_config_open(&in->config, INK_CONFIG_FILE, &in->config);
    if (ink_is_missing(ctx, result)) {
        ink_static_folder folder;
        INK_TRY(ink_static_folder_open(ctx, in->config.arena, in->source, &folder, &found));
        if (!found)
            return ink_folder_explain(ctx, in->source, "");
        *a = &ink_static_embedding;
    } else {
        INK_TRY(result);
        INK_TRY(find_architecture(in, NULL, a));
    }
    INK_TRY(ink_config_open_optional(&in->config, "generation_config.json", &in->generation, &found));
    in->variant = (*a)->variant;
    return ink_weights_open_folder(ctx, in->source, weights);
}

static ink_result open_model(ink_import *in, const char *gguf, ink_model **model)
{
    const ink_architecture *a = NULL;
    ink_weights *weights = NULL;
    void *object;
    ink_result result =
        gguf != NULL ? ink_weights_open_source(in->ctx, in->source, gguf, &weights) : describe_folder(in, &a, &weights);
    if (result == INK_OK)
        result = ink_plan_begin(&in->plan, in->ctx, weights, "the model", sizeof **model, &object);
    if (result == INK_OK) {
        in->model = object;
        in->notes.arena = in->plan.own;
        result = describe_and_plan(in, a);
        if (in->visit != NULL)
            result = ink_plan_drop(&in->plan, result == INK_OK ? in->visit(in, in->visit_user) : result);
        else
            result = ink_plan_finish(&in->plan, result, in->options.max_bytes);
    }
    ink_weights_free(weights);
    if (result != INK_OK || in->visit != NULL)
        return result;
    in->model->fingerprint = ink_fingerprint_number(in->config.fingerprint, in->plan.fingerprint);
    in->model->product_row = in->plan.product_row;
    in->model->info.n_bytes = ink_object_bytes(in->model);
    *model = in->model;
    return INK_OK;
}

static ink_result open_folder(ink_context *ctx, const char *folder, const ink_model_options *options,
                              ink_import_visit_fn visit, void *user, ink_model **model)
{
    ink_arena work; /* settings, until the model is open */
    ink_import in = {.ctx = ctx, .visit = visit, .visit_user = user};
    if (options != NULL)
        in.options = *options;
    if (in.options.type != INK_TYPE_NONE)
        INK_TRY(ink_matrix_check_type(ctx, in.options.type, INK_TYPE_NONE));
    if ((unsigned)in.options.pooling >= INK_N_POOLINGS)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "the options: there is no pooling %d", (int)in.options.pooling);
    const ink_model_place place = ink_model_place_find(ctx, folder, in.options.source);
    in.source = &place.source;
    in.config = (ink_config){.ctx = ctx, .source = in.source, .arena = &work, .notes = &in.notes};

    ink_arena_grow(&work, &ctx->allocator);
    ink_float_mode host = ink_float_mode_enter(); /* also for reading the numbers of config.json */
    ink_result result = open_model(&in, place.gguf, model);
    ink_float_mode_leave(host);
    ink_arena_free(&work);
    return result;
}

ink_result ink_model_open(ink_context *ctx, const char *folder, const ink_model_options *options, ink_model **model)
{
    INK_REQUIRE(ctx, model);
    *model = NULL;
    if (options == NULL || options->source == NULL)
        INK_REQUIRE(ctx, folder);
    return open_folder(ctx, folder, options, NULL, NULL, model);
}

ink_result ink_import_visit(ink_context *ctx, const char *folder, const ink_model_options *options,
                            ink_import_visit_fn visit, void *user)
{
    return open_folder(ctx, folder, options, visit, user, NULL);
}
