/*
 * generation.c - how the makers of a model would have it continue a text: the tokens that end one, and the sampling.
 *
 * Both stand in generation_config.json or, in older folders, in config.json; the former wins. What is in neither has
 * the default of Hugging Face's GenerationConfig.
 */
#include <float.h>

#include "../models/kind.h"

/* In the file that has the key. */
static const ink_config *file_with(const ink_config *config, const ink_config *generation, const char *key)
{
    return ink_config_has(generation, key) ? generation : config;
}

/* ---- tokens that end a text ----------------------------------------------------------------------------------- */

static ink_result read_stops(ink_arena *arena, const ink_config *config, const ink_config *generation, ink_model *model)
{
    const char *key = "eos_token_id";
    const ink_config *file = file_with(config, generation, key);
    ink_model_info *info = &model->info;
    ink_token usual = info->eos_token; /* of this kind of model, where no file says */
    size_t n;
    INK_TRY(ink_config_tokens(file, key, info->vocab_size, NULL, &n));
    bool silent = !ink_config_has(file, key) && usual >= 0 && (size_t)usual < info->vocab_size;
    ink_token *stops = ink_arena_alloc(arena, silent ? 1 : n, sizeof *stops);
    info->stop_tokens = stops;
    info->n_stop_tokens = silent ? 1 : n;
    info->eos_token = -1;
    if (stops == NULL || info->n_stop_tokens == 0)
        return INK_OK;
    stops[0] = usual;
    if (!silent)
        INK_TRY(ink_config_tokens(file, key, info->vocab_size, stops, &n));
    info->eos_token = stops[0];
    return INK_OK;
}

bool ink_model_stops_at(const ink_model *model, ink_token token)
{
    for (size_t i = 0; i < model->info.n_stop_tokens; i++)
        if (model->info.stop_tokens[i] == token)
            return true;
    return false;
}

/* ---- sampling ------------------------------------------------------------------------------------------------- */

static ink_result read_float(ink_config *file, const char *key, double max, const char *range, float *value)
{
    double number = (double)*value;
    INK_TRY(ink_config_number(file, key, 0, max, range, &number));
    *value = (float)number;
    return INK_OK;
}

static ink_result read_sampling(ink_config *file, ink_model *model)
{
    ink_sampler_options *s = &model->sampling;
    bool samples = false;
    *s = (ink_sampler_options){.temperature = 1, .top_k = 50, .top_p = 1, .repeat_penalty = 1};
    INK_TRY(ink_config_bool(file, "do_sample", &samples));
    INK_TRY(read_float(file, "temperature", 1e6, "from 0 to 1e6", &s->temperature));
    INK_TRY(ink_config_count(file, "top_k", INK_MAX_IDS, &s->top_k));
    INK_TRY(read_float(file, "top_p", 1, "from 0 to 1", &s->top_p));
    INK_TRY(read_float(file, "min_p", 1, "from 0 to 1", &s->min_p));
    INK_TRY(read_float(file, "repetition_penalty", 1e6, "from 0 to 1e6", &s->repeat_penalty));
    if (s->temperature < FLT_MIN || !samples)
        *s = (ink_sampler_options){.repeat_penalty = s->repeat_penalty};
    return INK_OK;
}

bool ink_model_sampling(const ink_model *model, ink_sampler_options *options)
{
    *options = model->sampling;
    return model->advises_sampling;
}

/* ---- both ----------------------------------------------------------------------------------------------------- */

ink_result ink_generation_read(ink_arena *arena, ink_config *config, ink_config *generation, ink_model *model)
{
    ink_config *file = ink_config_has(generation, "do_sample") || ink_config_has(generation, "repetition_penalty")
                           ? generation
                           : config;
    INK_TRY(read_stops(arena, config, generation, model));
    model->advises_sampling = ink_config_has(file, "do_sample") || ink_config_has(file, "repetition_penalty");
    return model->advises_sampling ? read_sampling(file, model) : INK_OK;
}
