/*
 * generation.c - how a folder wants its texts to be generated: the stop tokens and the rules for choosing tokens.
 *
 * transformers opens a folder whatever these settings say, and refuses some of them when it generates. So nothing here
 * refuses a number: what is out of range is noted.
 */
#include <float.h>
#include <string.h>

#include <inkling/generate.h>

#include "architectures.h"

/* A file must not decide over much memory. */
#define MOST_BEAMS ((size_t)1024)

/* Reads a number. One out of range is noted and passed on: transformers opens the folder, too,
   and refuses to generate. */
static ink_result read_generation_number(const ink_config *file, const char *key, double min, double max,
                                         const char *range, float *value)
{
    double number = (double)*value;
    ink_json node = ink_config_member(file, key);
    if (node == INK_JSON_NONE)
        return INK_OK;
    INK_TRY(ink_json_get_float(file->ctx, &file->document, node, &number));
    if (!(number >= min) || !(number <= max))
        ink_note(file->notes, "%s: %s is %s, expected a number %s", file->document.file, key,
                 file->document.nodes[node].string, range);
    *value = number < -FLT_MAX ? -FLT_MAX : number > FLT_MAX ? FLT_MAX : (float)number;
    return INK_OK;
}

/* Notes settings that change how transformers chooses tokens and that the generator lacks, unless they have the value
   that does nothing. */
static void note_other_settings(const ink_config *file)
{
    static const struct {
        const char *key;
        double nothing;
    } others[] = {
        {"typical_p", 1},
        {"encoder_repetition_penalty", 1},
        {"guidance_scale", 1},
        {"num_beam_groups", 1},
        {"top_h", 1},
        {"epsilon_cutoff", 0},
        {"eta_cutoff", 0},
        {"penalty_alpha", 0},
        {"diversity_penalty", 0},
        {"exponential_decay_length_penalty", 0},
        {"force_words_ids", 0},
        {"forced_decoder_ids", 0},
        {"constraints", 0},
        {"sequence_bias", 0},
        {"watermarking_config", 0},
        {"stop_strings", 0},
        {"dola_layers", 0},
        {"token_healing", 0},
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        ink_json at = ink_config_member(file, others[i].key);
        if (at == INK_JSON_NONE)
            continue;
        const ink_json_node *node = &file->document.nodes[at];
        bool list = node->kind == INK_JSON_ARRAY || node->kind == INK_JSON_OBJECT;
        bool nothing = node->kind == INK_JSON_FALSE || (list && node->n_children == 0);
        if (node->kind == INK_JSON_NUMBER)
            nothing = ink_decimal(node->string, node->string_size) == others[i].nothing;
        if (!nothing)
            ink_note(file->notes, "%s: %s is not supported: ignored", file->document.file, others[i].key);
    }
}

/* The settings of the sampler. Some values mean something else in ink_sampler_options: 0 stands for "off" there. */
static ink_result describe_sampling(const ink_config *file, ink_sampler_options *sampler)
{
    const ink_json_document *document = &file->document;
    ink_json do_sample = ink_config_member(file, "do_sample"), top_k = ink_config_member(file, "top_k");
    bool samples = false;
    int64_t k = 50;
    ink_sampler_options s = {.temperature = 1, .top_p = 1, .repeat_penalty = 1};
    if (do_sample != INK_JSON_NONE && document->nodes[do_sample].kind == INK_JSON_NUMBER) {
        const char *number = document->nodes[do_sample].string;
        samples = ink_decimal(number, document->nodes[do_sample].string_size) != 0;
        ink_note(file->notes, "%s: do_sample is %s, expected true or false", document->file, number);
    } else if (do_sample != INK_JSON_NONE) {
        INK_TRY(ink_json_get_bool(file->ctx, document, do_sample, &samples));
    }
    INK_TRY(read_generation_number(file, "temperature", (double)FLT_MIN, (double)FLT_MAX, "above 0", &s.temperature));
    INK_TRY(read_generation_number(file, "top_p", 0, 1, "from 0 to 1", &s.top_p));
    INK_TRY(read_generation_number(file, "min_p", 0, 1, "from 0 to 1", &s.min_p));
    INK_TRY(read_generation_number(file, "repetition_penalty", (double)FLT_MIN, (double)FLT_MAX, "above 0",
                                   &s.repeat_penalty));
    if (top_k != INK_JSON_NONE)
        INK_TRY(ink_json_get_int(file->ctx, document, top_k, INT64_MIN, INT64_MAX, &k));
    if (k < 0)
        ink_note(file->notes, "%s: top_k is %lld, expected 0 or more", document->file, (long long)k);

    /* transformers keeps the likeliest token under top_p 0 and everything from 1 on. The smallest positive number keeps
       as little as 0 there. */
    if (s.top_p >= 0 && s.top_p < FLT_MIN)
        s.top_p = FLT_MIN;
    if (s.top_p > 1)
        s.top_p = 1;
    /* It refuses a penalty of 0, and so does a sampler one of -1. */
    if (s.repeat_penalty == 0)
        s.repeat_penalty = -1;
    /* It refuses a k below 0, which other programs read as "all", and a temperature of 0, which can only mean the
       likeliest token. */
    s.top_k = k < 0 ? 0 : (uint64_t)k > SIZE_MAX ? SIZE_MAX : (size_t)k;
    if (!samples || (s.temperature >= 0 && s.temperature < FLT_MIN))
        s = (ink_sampler_options){.repeat_penalty = s.repeat_penalty};
    *sampler = s;
    return INK_OK;
}

/* The sequences of bad_words_ids. One with an id that the vocabulary lacks cannot occur, and is ignored. */
static ink_result describe_banned(ink_import *in, const ink_config *file, ink_generate_options *o)
{
    const ink_json_document *document = &file->document;
    ink_json list = ink_config_member(file, "bad_words_ids");
    if (list == INK_JSON_NONE)
        return INK_OK;
    INK_TRY(ink_json_expect(file->ctx, document, list, INK_JSON_ARRAY));
    ink_token_list *banned = ink_arena_alloc(in->plan.own, document->nodes[list].n_children, sizeof *banned);
    if (banned == NULL)
        return ink_fail(file->ctx, INK_ERROR_MEMORY, "out of memory: %s: bad_words_ids", document->file);
    for (ink_json at = ink_json_first(document, list); at != INK_JSON_NONE; at = ink_json_next(document, at)) {
        ink_token_list *b = &banned[o->n_banned];
        INK_TRY(ink_json_expect(file->ctx, document, at, INK_JSON_ARRAY));
        INK_TRY(ink_config_token_list(file, at, in->model->info.vocab_size, in->plan.own, &b->tokens, &b->n_tokens));
        o->n_banned += b->n_tokens > 0 && b->n_tokens == document->nodes[at].n_children;
    }
    o->banned = banned;
    return INK_OK;
}

/* The lengths of a text and how beams search; what is absent stays as it is. */
static ink_result describe_search(const ink_config *file, ink_generate_options *o)
{
    const struct {
        const char *key;
        size_t *value;
    } counts[] = {{"num_beams", &o->n_beams},
                  {"num_return_sequences", &o->n_results},
                  {"max_new_tokens", &o->max_tokens},
                  {"max_length", &o->max_length},
                  {"min_new_tokens", &o->min_tokens},
                  {"min_length", &o->min_length},
                  {"no_repeat_ngram_size", &o->no_repeat_ngram_size},
                  {"encoder_no_repeat_ngram_size", &o->encoder_no_repeat_ngram_size}};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        ink_json at = ink_config_member(file, counts[i].key);
        int64_t count = 0;
        if (at == INK_JSON_NONE)
            continue;
        INK_TRY(ink_json_get_int(file->ctx, &file->document, at, INT64_MIN, INT64_MAX, &count));
        if (count < 0)
            ink_note(file->notes, "%s: %s is %lld: ignored", file->document.file, counts[i].key, (long long)count);
        *counts[i].value = count < 0 ? 0 : (uint64_t)count > SIZE_MAX ? SIZE_MAX : (size_t)count;
    }
    ink_json early = ink_config_member(file, "early_stopping");
    bool stops_early = false;
    if (early != INK_JSON_NONE && file->document.nodes[early].kind == INK_JSON_STRING &&
        strcmp(file->document.nodes[early].string, "never") == 0)
        o->early_stopping = INK_STOP_NEVER;
    else if (early != INK_JSON_NONE)
        INK_TRY(ink_json_get_bool(file->ctx, &file->document, early, &stops_early));
    if (stops_early)
        o->early_stopping = INK_STOP_EARLY;
    else if (early != INK_JSON_NONE && file->document.nodes[early].kind != INK_JSON_STRING)
        o->early_stopping = INK_STOP_UNLIKELY;
    INK_TRY(read_generation_number(file, "length_penalty", -16, 16, "from -16 to 16", &o->length_penalty));
    o->length_penalty = o->length_penalty < -16 ? -16 : o->length_penalty > 16 ? 16 : o->length_penalty;
    if (o->length_penalty == 0)
        o->length_penalty = FLT_MIN;
    return INK_OK;
}

/* Beams that the generator would refuse, or that cost much memory, are ignored. */
static void limit_search(const ink_config *file, ink_generate_options *o)
{
    if (o->n_beams > 1 && o->sampler.temperature != 0) {
        ink_note(file->notes, "%s: num_beams is %zu with do_sample, but beams are not sampled: ignored",
                 file->document.file, o->n_beams);
        o->n_beams = 0;
    }
    if (o->n_beams > MOST_BEAMS) {
        ink_note(file->notes, "%s: num_beams is %zu, expected at most %zu: ignored", file->document.file, o->n_beams,
                 MOST_BEAMS);
        o->n_beams = 0;
    }
    size_t most = o->n_beams > 1 ? o->n_beams : o->sampler.temperature != 0 ? SIZE_MAX : 1;
    if (o->n_results > most) {
        ink_note(file->notes, "%s: num_return_sequences is %zu, but there are only %zu", file->document.file,
                 o->n_results, most);
        o->n_results = most;
    }
}

/* Reads the settings of generation_config.json or, in older folders without it, of config.json. Absent ones get the
   defaults of Hugging Face's GenerationConfig. */
static ink_result describe_generation(ink_import *in, const ink_config *file, bool is_config)
{
    ink_generate_options *o = ink_arena_alloc(in->plan.own, 1, sizeof *o);
    ink_model *model = in->model;
    size_t vocab_size = model->info.vocab_size;
    if (o == NULL)
        return ink_fail(in->ctx, INK_ERROR_MEMORY, "out of memory: the settings for generating");
    *o = (ink_generate_options){.length_penalty = 1};
    model->generation = o;
    INK_TRY(describe_sampling(file, &o->sampler));
    note_other_settings(file);

    INK_TRY(describe_search(file, o));

    const struct {
        const char *key;
        ink_token_list *list;
    } lists[] = {{"forced_bos_token_id", &o->forced_bos},
                 {"forced_eos_token_id", &o->forced_eos},
                 {"suppress_tokens", &o->suppressed},
                 {"begin_suppress_tokens", &o->begin_suppressed}};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        INK_TRY(ink_config_tokens(file, lists[i].key, vocab_size, in->plan.own, &lists[i].list->tokens,
                                  &lists[i].list->n_tokens));
    if (is_config && !ink_config_has(file, "forced_eos_token_id") && in->forced_eos != NULL &&
        (size_t)*in->forced_eos < vocab_size)
        o->forced_eos = (ink_token_list){in->forced_eos, 1};
    INK_TRY(describe_banned(in, file, o));
    INK_TRY(ink_json_read_bool(in->ctx, &file->document, file->object, "renormalize_logits", &o->renormalise));

    limit_search(file, o);
    model->advises_generation = ink_config_has(file, "do_sample") || ink_config_has(file, "repetition_penalty") ||
                                ink_config_has(file, "num_beams");
    return INK_OK;
}

/* "task_specific_params": {"summarization": {"prefix": "summarize: ", "num_beams": 4, ...}} */
static ink_result describe_tasks(ink_import *in)
{
    const ink_json_document *document = &in->config.document;
    ink_model *model = in->model;
    ink_json list = ink_config_member(&in->config, "task_specific_params");
    if (list == INK_JSON_NONE || document->nodes[list].kind != INK_JSON_OBJECT)
        return INK_OK;
    ink_task_settings *tasks = ink_arena_alloc(in->plan.own, document->nodes[list].n_children, sizeof *tasks);
    model->tasks = tasks;
    for (ink_json at = ink_json_first(document, list); at != INK_JSON_NONE; at = ink_json_next(document, at)) {
        const ink_json_node *node = &document->nodes[at];
        ink_config task = in->config;
        ink_generate_options *o = ink_arena_alloc(in->plan.own, 1, sizeof *o);
        const char *prefix;
        if (node->kind != INK_JSON_OBJECT)
            continue;
        task.object = at;
        INK_TRY(ink_config_string(&task, "prefix", &prefix));
        const char *name = ink_arena_string(in->plan.own, node->key, node->key_size);
        prefix = ink_arena_string(in->plan.own, prefix, strlen(prefix));
        if (tasks == NULL || o == NULL || name == NULL || prefix == NULL)
            return ink_fail(in->ctx, INK_ERROR_MEMORY, "out of memory: the settings for tasks");
        *o = *model->generation;
        INK_TRY(describe_search(&task, o));
        limit_search(&task, o);
        tasks[model->n_tasks++] = (ink_task_settings){name, prefix, o};
    }
    return INK_OK;
}

/* Reads the stop tokens from generation_config.json or config.json. The first wins. */
static ink_result describe_stop_tokens(ink_import *in, const ink_config *generation)
{
    const char *key = "eos_token_id";
    ink_model_info *info = &in->model->info;
    const ink_config *file = ink_config_has(generation, key) ? generation : &in->config;
    ink_token *usual = ink_arena_alloc(in->plan.own, 1, sizeof *usual);
    if (usual == NULL)
        return ink_fail(in->ctx, INK_ERROR_MEMORY, "out of memory: the stop tokens of the model");
    *usual = info->eos_token;
    info->stop_tokens = usual;
    info->n_stop_tokens = *usual >= 0 && (size_t)*usual < info->vocab_size;
    if (ink_config_has(file, key))
        INK_TRY(ink_config_tokens(file, key, info->vocab_size, in->plan.own, &info->stop_tokens, &info->n_stop_tokens));
    info->eos_token = info->n_stop_tokens > 0 ? info->stop_tokens[0] : -1;
    return INK_OK;
}

ink_result ink_import_generation(ink_import *in)
{
    bool found = in->generation.document.n_nodes != 0;
    INK_TRY(describe_stop_tokens(in, &in->generation));
    if (in->model->is_encoder)
        return INK_OK;
    INK_TRY(describe_generation(in, found ? &in->generation : &in->config, !found));
    return describe_tasks(in);
}
