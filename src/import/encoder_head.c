/*
 * encoder_head.c - reads what stands on top of an encoder: a pooler, a classifier with its labels, a masked LM's head.
 */
#include <string.h>

#include "../models/encoder.h"

/* Bytes of "LABEL_" and a number. */
#define DEFAULT_LABEL_SIZE ((size_t)32)

#define MAX_LABELS ((size_t)1 << 20)

/* ---- labels --------------------------------------------------------------------------------------------------- */

/* Labels without names, as transformers calls them. */
static void name_labels(ink_loader *loader, size_t n, const char **labels)
{
    for (size_t i = 0; i < n; i++) {
        char *text = ink_arena_alloc(loader->arena, DEFAULT_LABEL_SIZE, 1);
        if (text == NULL)
            continue;
        ink_format(text, DEFAULT_LABEL_SIZE, "LABEL_%zu", i);
        labels[i] = text;
    }
}

/* The number that `key` spells, without leading zeros; false if that is none below n. */
static bool parse_id(const char *key, size_t n, size_t *id)
{
    uint64_t number;
    size_t digits = ink_digits(key, strlen(key), &number);
    *id = (size_t)number;
    return digits > 0 && key[digits] == '\0' && !(key[0] == '0' && digits > 1) && number < n;
}

/* id2label: {"0": "negative", "1": "positive"}. n different numbers below n are all of them. */
static ink_result copy_labels(ink_loader *loader, ink_config *config, ink_json map, size_t n, const char **labels)
{
    const ink_json_document *document = &config->document;
    for (ink_json entry = ink_json_first(document, map); entry != INK_JSON_NONE;
         entry = ink_json_next(document, entry)) {
        const char *name;
        size_t id;
        INK_TRY(ink_json_get_string(config->ctx, document, entry, &name, NULL));
        if (!parse_id(document->nodes[entry].key, n, &id))
            return ink_fail(config->ctx, INK_ERROR_MISMATCH, "%s: id2label: found '%s', expected the numbers 0 to %zu",
                            document->file, document->nodes[entry].key, n - 1);
        size_t size = strlen(name) + 1;
        char *text = ink_arena_alloc(loader->arena, size, 1);
        if (text != NULL)
            labels[id] = memcpy(text, name, size);
    }
    return INK_OK;
}

/* How many labels there are and what they are called: id2label, or num_labels of them, or 2. */
static ink_result read_labels(ink_loader *loader, ink_config *config, ink_encoder_info *info)
{
    ink_json map = ink_json_member(&config->document, 0, "id2label");
    size_t n = 2;
    if (map != INK_JSON_NONE) {
        INK_TRY(ink_json_expect(config->ctx, &config->document, map, INK_JSON_OBJECT));
        n = config->document.nodes[map].n_children;
    } else {
        INK_TRY(ink_config_size(config, "num_labels", MAX_LABELS, &n));
    }
    if (n == 0)
        return ink_fail(config->ctx, INK_ERROR_MISMATCH, "%s: id2label is empty, expected at least one label",
                        config->document.file);
    const char **labels = ink_arena_alloc(loader->arena, n, sizeof *labels);
    info->n_labels = n;
    info->labels = labels;
    if (ink_arena_failed(loader->arena))
        return INK_OK;
    if (map != INK_JSON_NONE)
        return copy_labels(loader, config, map, n, labels);
    name_labels(loader, n, labels);
    return INK_OK;
}

/* Where config.json does not say it: one score for a text is a measure, several are alternatives. */
static ink_result read_problem(ink_config *config, ink_encoder_info *info)
{
    static const char *const names[] = {"single_label_classification", "multi_label_classification", "regression"};
    const char *name;
    INK_TRY(ink_config_string(config, "problem_type", &name));
    info->problem = info->n_labels == 1 ? INK_REGRESSION : INK_SINGLE_LABEL;
    if (info->task != INK_TASK_CLASSIFY_TEXT) /* transformers has it for whole texts only */
        info->problem = INK_SINGLE_LABEL;
    else if (name[0] != '\0') {
        size_t i = 0;
        while (i < 3 && strcmp(name, names[i]) != 0)
            i++;
        if (i == 3)
            return ink_fail(config->ctx, INK_ERROR_UNSUPPORTED, "%s: problem_type is '%s', expected '%s', '%s' or '%s'",
                            config->document.file, name, names[0], names[1], names[2]);
        info->problem = (ink_problem)i;
    }
    return INK_OK;
}

/* ---- heads ---------------------------------------------------------------------------------------------------- */

static const ink_head_names *find_head(const ink_encoder_page *page, const char *architecture)
{
    for (size_t i = 0; i < page->n_heads; i++)
        for (size_t j = 0; j < 2 && page->heads[i].architectures[j] != NULL; j++)
            if (strcmp(page->heads[i].architectures[j], architecture) == 0)
                return &page->heads[i];
    return NULL;
}

/* The head of the first class under `architectures`; without that, of the bare model. */
static ink_result choose_head(ink_config *config, const ink_encoder_page *page, const ink_head_names **names)
{
    const ink_json_document *document = &config->document;
    ink_json list = ink_json_member(document, 0, "architectures");
    const char *class;
    *names = &page->heads[0];
    if (list == INK_JSON_NONE)
        return INK_OK;
    INK_TRY(ink_json_expect(config->ctx, document, list, INK_JSON_ARRAY));
    if (document->nodes[list].n_children == 0)
        return INK_OK;
    INK_TRY(ink_json_get_string(config->ctx, document, ink_json_first(document, list), &class, NULL));
    *names = find_head(page, class);
    if (*names == NULL)
        return ink_fail(config->ctx, INK_ERROR_UNSUPPORTED,
                        "%s: architectures: '%s' does not run here: besides %s there are the classes ...ForMaskedLM, "
                        "...ForSequenceClassification and ...ForTokenClassification",
                        document->file, class, page->heads[0].architectures[0]);
    return INK_OK;
}

/* W_t, its activation, and the norm behind it. */
static ink_result read_transform(ink_loader *loader, const ink_head_settings *s, const ink_head_names *names,
                                 ink_model *model, ink_encoder *encoder)
{
    size_t hidden = model->info.hidden_size;
    ink_activation activation = names->activation == INK_ACTIVATION_OF_MODEL ? s->activation : names->activation;
    size_t scope = ink_loader_enter_module(loader, names->in_body ? s->prefix : "");
    size_t module = ink_loader_enter_module(loader, names->transform);
    bool may_lack = names->task == INK_TASK_NONE && !ink_loader_has(loader, "weight");
    ink_loader_leave(loader, module);
    if (!may_lack) {
        INK_TRY(ink_encoder_read_linear(loader, names->transform, hidden, hidden, activation, &encoder->transform));
        encoder->has_transform = true;
    }
    ink_loader_leave(loader, scope);
    if (names->norm != NULL) {
        INK_TRY(ink_encoder_read_norm(loader, names->norm, hidden, s->epsilon, &encoder->head_norm));
        model->head.norm = &encoder->head_norm;
    }
    return INK_OK;
}

/* W and b of n outputs. A file that ties them has the bias under its other name. */
static ink_result read_output(ink_loader *loader, const ink_head_names *names, size_t n, bool tied, ink_model *model)
{
    float *bias;
    size_t scope = ink_loader_enter_module(loader, names->out);
    bool elsewhere = names->bias != NULL && !ink_loader_has(loader, "bias");
    if (!elsewhere)
        INK_TRY(ink_loader_vector(loader, "bias", n, &bias));
    model->head.weight = &model->embedding.table;
    if (!tied || ink_loader_has(loader, "weight")) {
        INK_TRY(ink_loader_matrix(loader, "weight", n, model->info.hidden_size, false, &model->head.own));
        model->head.weight = &model->head.own;
    }
    ink_loader_leave(loader, scope);
    if (elsewhere)
        INK_TRY(ink_loader_vector(loader, names->bias, n, &bias));
    model->head.bias = bias;
    return INK_OK;
}

ink_result ink_encoder_read_head(ink_loader *loader, ink_config *config, const ink_head_settings *settings,
                                 ink_model *model, ink_encoder *encoder)
{
    const ink_head_names *names = &settings->page->heads[0];
    if (!settings->bare)
        INK_TRY(choose_head(config, settings->page, &names));
    encoder->info.task = names->task;
    if (names->transform != NULL)
        INK_TRY(read_transform(loader, settings, names, model, encoder));
    encoder->info.has_pooled = names->task == INK_TASK_NONE && encoder->has_transform;
    if (names->task == INK_TASK_NONE)
        return INK_OK;
    if (names->task == INK_TASK_FILL) {
        bool tied = true;
        INK_TRY(ink_config_bool(config, "tie_word_embeddings", &tied));
        return read_output(loader, names, model->info.vocab_size, tied, model);
    }
    INK_TRY(read_labels(loader, config, &encoder->info));
    INK_TRY(read_problem(config, &encoder->info));
    return read_output(loader, names, encoder->info.n_labels, false, model);
}
