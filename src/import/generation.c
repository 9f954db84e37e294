/*
 * generation.c - how a folder wants its texts to be generated: the stop tokens and the sampling settings.
 *
 * transformers opens a folder whatever these settings say, and refuses some of them when it generates. So nothing here
 * refuses a number: what is out of range is noted.
 */
#include <float.h>

#include "architectures.h"

/* Reads a number of the sampling settings. One out of range is noted and passed on: transformers opens the folder, too,
   and refuses to sample. */
static ink_result read_sampling_number(const ink_config *file, const char *key, double min, double max,
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

/* Notes settings that change how transformers chooses tokens, unless they have the value that does nothing. */
static void note_other_sampling(const ink_config *file)
{
    static const struct {
        const char *key;
        double nothing;
    } others[] = {
        {"num_beams", 1},
        {"typical_p", 1},
        {"encoder_repetition_penalty", 1},
        {"guidance_scale", 1},
        {"top_h", 1},
        {"epsilon_cutoff", 0},
        {"eta_cutoff", 0},
        {"penalty_alpha", 0},
        {"no_repeat_ngram_size", 0},
        {"encoder_no_repeat_ngram_size", 0},
        {"min_length", 0},
        {"min_new_tokens", 0},
        {"exponential_decay_length_penalty", 0},
        {"bad_words_ids", 0},
        {"force_words_ids", 0},
        {"constraints", 0},
        {"suppress_tokens", 0},
        {"begin_suppress_tokens", 0},
        {"sequence_bias", 0},
        {"watermarking_config", 0},
        {"stop_strings", 0},
        {"dola_layers", 0},
        {"token_healing", 0},
        /* An id, so no number stands for nothing. */
        {"forced_bos_token_id", -1},
        {"forced_eos_token_id", -1},
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

/* Reads the sampling settings from generation_config.json or, in older folders without it, from config.json. Absent
   ones get the defaults of Hugging Face's GenerationConfig. Some values mean something else in ink_sampler_options:
   0 stands for "off" there. */
static ink_result describe_sampling(ink_import *in, const ink_config *file)
{
    const ink_json_document *document = &file->document;
    ink_model *model = in->model;
    ink_json do_sample = ink_config_member(file, "do_sample"), top_k = ink_config_member(file, "top_k");
    bool samples = false;
    int64_t k = 50;
    ink_sampler_options s = {.temperature = 1, .top_p = 1, .repeat_penalty = 1};
    if (do_sample != INK_JSON_NONE && document->nodes[do_sample].kind == INK_JSON_NUMBER) {
        const char *number = document->nodes[do_sample].string;
        samples = ink_decimal(number, document->nodes[do_sample].string_size) != 0;
        ink_note(file->notes, "%s: do_sample is %s, expected true or false", document->file, number);
    } else if (do_sample != INK_JSON_NONE) {
        INK_TRY(ink_json_get_bool(in->ctx, document, do_sample, &samples));
    }
    INK_TRY(read_sampling_number(file, "temperature", (double)FLT_MIN, (double)FLT_MAX, "above 0", &s.temperature));
    INK_TRY(read_sampling_number(file, "top_p", 0, 1, "from 0 to 1", &s.top_p));
    INK_TRY(read_sampling_number(file, "min_p", 0, 1, "from 0 to 1", &s.min_p));
    INK_TRY(read_sampling_number(file, "repetition_penalty", (double)FLT_MIN, (double)FLT_MAX, "above 0",
                                 &s.repeat_penalty));
    if (top_k != INK_JSON_NONE)
        INK_TRY(ink_json_get_int(in->ctx, document, top_k, INT64_MIN, INT64_MAX, &k));
    if (k < 0)
        ink_note(file->notes, "%s: top_k is %lld, expected 0 or more", document->file, (long long)k);
    note_other_sampling(file);
    model->advises_sampling = ink_config_has(file, "do_sample") || ink_config_has(file, "repetition_penalty");
    if (!model->advises_sampling)
        return INK_OK;

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
    model->sampling = s;
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
    return in->model->is_encoder ? INK_OK : describe_sampling(in, found ? &in->generation : &in->config);
}
