/*
 * heads.c - the heads that several importers share: the output of a language model, and classifiers of texts or tokens.
 *
 * The class under `architectures` in config.json decides. A language model of the same body with the score of a
 * classifier (GPT2ForSequenceClassification, LlamaForTokenClassification, ...) reads texts whole, as encoders do. The
 * score of a text is that of its last token that is not padding, because no other has seen the whole text.
 */
#include <string.h>

#include "architectures.h"
#include "tokenizer_config.h"

#define MAX_LABELS ((size_t)1 << 20)

/* ---- classes ---------------------------------------------------------------------------------------------------- */

ink_result ink_import_class(ink_import *in, const char **class)
{
    const ink_json_document *document = &in->config.document;
    ink_json node = ink_config_member(&in->config, "architectures");
    *class = "";
    if (node != INK_JSON_NONE && document->nodes[node].kind == INK_JSON_ARRAY)
        node = ink_json_first(document, node);
    return node != INK_JSON_NONE ? ink_json_get_string(in->ctx, document, node, class, NULL) : INK_OK;
}

/* transformers goes by model_type, so the class of another family is as good as its own. */
ink_result ink_import_decoder_task(ink_import *in, ink_task *task)
{
    static const char *const others[] = {"score.weight", "classifier.weight", "qa_outputs.weight"};
    static const char *const families[] = {"GPT2",  "Llama",   "Mistral",    "Qwen2",
                                           "Qwen3", "SmolLM3", "Gemma3Text", "Gemma3"};
    static const struct {
        const char *head;
        ink_task task;
    } heads[] = {
        {"LMHeadModel", INK_TASK_NONE},
        {"ForCausalLM", INK_TASK_NONE},
        {"Model", INK_TASK_NONE},
        {"ForSequenceClassification", INK_TASK_CLASSIFY_TEXT},
        {"ForTokenClassification", INK_TASK_CLASSIFY_TOKENS},
    };
    const char *class;
    *task = INK_TASK_NONE;
    INK_TRY(ink_import_class(in, &class));
    bool decides = class[0] != '\0' || ink_weights_find(in->plan.weights, "lm_head.weight") != NULL;
    for (size_t i = 0; !decides && i < sizeof others / sizeof others[0]; i++)
        if (ink_weights_find(in->plan.weights, others[i]) != NULL)
            return ink_fail(in->ctx, INK_ERROR_MISMATCH,
                            "%s: '%s' belongs to the head of a classifier, but architectures in %s names no class",
                            ink_weights_name(in->plan.weights), others[i], in->config.document.file);
    if (class[0] == '\0')
        return INK_OK;
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        size_t length = strlen(families[i]);
        if (strncmp(class, families[i], length) != 0)
            continue;
        for (size_t j = 0; j < sizeof heads / sizeof heads[0]; j++)
            if (strcmp(class + length, heads[j].head) == 0) {
                *task = heads[j].task;
                return INK_OK;
            }
    }
    return ink_fail(in->ctx, INK_ERROR_UNSUPPORTED,
                    "%s: architectures: '%s' is not supported, only GPT2LMHeadModel, ...ForCausalLM, ...Model, "
                    "...ForSequenceClassification and ...ForTokenClassification of GPT2, Llama, Mistral, Qwen2, Qwen3, "
                    "SmolLM3, Gemma3, Gemma3Text",
                    in->config.document.file, class);
}

/* ---- language models -------------------------------------------------------------------------------------------- */

ink_result ink_import_embedding(ink_import *in, const char *module, const char *output, bool tied, size_t size)
{
    ink_plan *plan = &in->plan;
    ink_model *model = in->model;
    size_t scope = plan->name_length;
    bool instead = !ink_plan_has_in(plan, module, "weight") && ink_weights_find(plan->weights, output) != NULL;
    if (instead)
        INK_TRY(ink_config_bool(&in->config, "tie_word_embeddings", &tied));
    if (!instead || !tied)
        return ink_plan_embedding(plan, module, model->info.vocab_size, size, &model->embedding);
    plan->name_length = 0;
    plan->use = INK_USE_WORDS;
    ink_result result = ink_plan_matrix(plan, output, model->info.vocab_size, size, false, &model->embedding.table);
    plan->use = INK_USE_PRODUCT;
    plan->name_length = scope;
    return result;
}

ink_result ink_import_lm_head(ink_import *in, const char *module, bool tied)
{
    ink_plan *plan = &in->plan;
    ink_model *model = in->model;
    ink_head *head = &model->head;
    size_t vocab_size = model->info.vocab_size, hidden_size = model->info.hidden_size;
    size_t scope = ink_plan_enter_module(plan, module);
    INK_TRY(ink_config_bool(&in->config, "tie_word_embeddings", &tied));
    INK_TRY(ink_plan_optional_vector(plan, "bias", vocab_size, &head->bias));
    if (!tied || ink_plan_has(plan, "weight")) {
        head->weight = &head->own;
        plan->use = INK_USE_WORDS;
        INK_TRY(ink_plan_matrix(plan, "weight", vocab_size, hidden_size, false, &head->own));
        plan->use = INK_USE_PRODUCT;
    } else if (model->embedding.table.k != hidden_size) {
        return ink_fail(in->ctx, INK_ERROR_MISMATCH,
                        "%s: there is no '%s.weight', and the embedding of size %zu cannot replace it: the hidden "
                        "vectors have size %zu",
                        ink_weights_name(plan->weights), module, model->embedding.table.k, hidden_size);
    } else {
        head->weight = &model->embedding.table;
    }
    ink_plan_leave(plan, scope);
    return INK_OK;
}

/* ---- classifiers ------------------------------------------------------------------------------------------------ */

ink_result ink_import_texts(ink_import *in)
{
    ink_encoder_info *info = &in->model->encoder;
    ink_tokenizer_config tokenizer;
    size_t most, length = in->model->info.context_length;
    in->model->is_encoder = true;
    info->prompt = "";
    INK_TRY(ink_tokenizer_config_open(in->ctx, in->config.arena, in->config.source, &tokenizer));
    INK_TRY(ink_tokenizer_config_max_length(&tokenizer, &in->notes, &most));
    info->max_tokens = most >= 1 && most < length ? most : length;
    return INK_OK;
}

/* Without problem_type, a single label has a probability of its own, and several labels exclude each other: the
   text-classification pipeline of transformers. */
static ink_result describe_problem(ink_import *in)
{
    static const char *const names[] = {"single_label_classification", "multi_label_classification", "regression"};
    ink_encoder_info *info = &in->model->encoder;
    const char *name;
    INK_TRY(ink_config_string(&in->config, "problem_type", &name));
    info->problem = info->n_labels == 1 ? INK_MULTI_LABEL : INK_SINGLE_LABEL;
    if (info->task != INK_TASK_CLASSIFY_TEXT) { /* transformers uses problem_type only for whole texts */
        info->problem = INK_SINGLE_LABEL;
    } else if (name[0] != '\0') {
        size_t i = 0;
        while (i < 3 && strcmp(name, names[i]) != 0)
            i++;
        if (i == 3)
            return ink_fail(in->ctx, INK_ERROR_UNSUPPORTED, "%s: problem_type is '%s', expected '%s', '%s' or '%s'",
                            in->config.document.file, name, names[0], names[1], names[2]);
        info->problem = (ink_problem)i;
    }
    return info->task == INK_TASK_CLASSIFY_TEXT ? ink_import_cross_encoder(in) : INK_OK;
}

/* The text of a label. Labels may be numbers or other plain values of JSON; these are shown as Python shows them. */
static ink_result label_text(ink_import *in, ink_json entry, const char **text)
{
    const ink_json_document *document = &in->config.document;
    switch (document->nodes[entry].kind) {
    case INK_JSON_NULL:
        *text = "None";
        return INK_OK;
    case INK_JSON_FALSE:
        *text = "False";
        return INK_OK;
    case INK_JSON_TRUE:
        *text = "True";
        return INK_OK;
    case INK_JSON_NUMBER:
        *text = document->nodes[entry].string;
        return INK_OK;
    default:
        return ink_json_get_string(in->ctx, document, entry, text, NULL);
    }
}

/* The labels are id2label {"0": "negative", "1": "positive"}, or else num_labels (default 2) labels named LABEL_0 and
   so on, as in transformers. Answers have two outputs, the start and the end, and no labels. The output is planned
   first: a file without that many rows must not cost the memory for their names. */
ink_result ink_import_classifier(ink_import *in, const char *module, ink_task task, bool has_bias)
{
    ink_plan *plan = &in->plan;
    ink_config *config = &in->config;
    ink_head *head = &in->model->head;
    const ink_json_document *document = &config->document;
    ink_arena *own = plan->own;
    ink_json map = ink_config_member(config, "id2label");
    size_t n = 2;
    if (task == INK_TASK_ANSWER) {
        map = INK_JSON_NONE;
    } else if (map != INK_JSON_NONE) {
        INK_TRY(ink_json_expect(in->ctx, document, map, INK_JSON_OBJECT));
        n = document->nodes[map].n_children;
    } else {
        INK_TRY(ink_config_size(config, "num_labels", MAX_LABELS, &n));
    }
    if (n == 0)
        return ink_fail(in->ctx, INK_ERROR_MISMATCH, "%s: %s is empty, expected at least one label", document->file,
                        ink_config_name(config, "id2label"));
    size_t scope = ink_plan_enter_module(plan, module);
    INK_TRY(has_bias ? ink_plan_vector(plan, "bias", n, &head->bias) : ink_plan_check_bias(plan, "", INK_BIAS_REFUSED));
    INK_TRY(ink_plan_matrix(plan, "weight", n, in->model->info.hidden_size, false, &head->own));
    ink_plan_leave(plan, scope);
    head->weight = &head->own;
    in->model->encoder.task = task;
    if (task == INK_TASK_ANSWER)
        return INK_OK;

    const char **labels = ink_arena_alloc(own, n, sizeof *labels);
    in->model->encoder.n_labels = n;
    in->model->encoder.labels = labels;
    ink_json entry = map != INK_JSON_NONE ? ink_json_first(document, map) : INK_JSON_NONE;
    for (size_t i = 0; i < n && !ink_arena_failed(own); i++) {
        char numbered[32];
        const char *name = numbered;
        uint64_t id = i;
        ink_format(numbered, sizeof numbered, "LABEL_%zu", i);
        if (map != INK_JSON_NONE) {
            /* n different numbers below n cover 0 .. n - 1, so no label is missing. */
            const char *key = document->nodes[entry].key;
            size_t size = document->nodes[entry].key_size, digits = ink_digits(key, size, &id);
            INK_TRY(label_text(in, entry, &name));
            if (digits == 0 || digits != size || (digits > 1 && key[0] == '0') || id >= n)
                return ink_fail(in->ctx, INK_ERROR_MISMATCH,
                                "%s: id2label: found '%.*s', expected the numbers 0 to %zu", document->file, (int)size,
                                key, n - 1);
            entry = ink_json_next(document, entry);
        }
        labels[id] = ink_arena_string(own, name, strlen(name));
    }
    if (ink_arena_failed(own))
        return ink_fail(in->ctx, INK_ERROR_MEMORY, "out of memory: the model has %zu labels", n);
    return describe_problem(in);
}

ink_result ink_import_decoder_head(ink_import *in, ink_task task, bool tied, const char *module, bool has_bias)
{
    ink_model *model = in->model;
    ink_head *head = &model->head;
    if (task == INK_TASK_NONE) {
        bool found;
        if (in->pools)
            INK_TRY(ink_import_texts(in));
        INK_TRY(ink_import_sentence(in, &found));
        model->is_encoder = found || in->pools;
        return model->is_encoder ? INK_OK : ink_import_lm_head(in, "lm_head", tied);
    }
    head->pooling = INK_POOLING_LAST;
    INK_TRY(ink_import_texts(in));
    INK_TRY(ink_config_token(&in->config, "pad_token_id", model->info.vocab_size, &head->padding));
    return ink_import_classifier(in, module, task, has_bias);
}
