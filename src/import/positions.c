/*
 * positions.c - how the blocks of a network see positions, in settings that several importers share: rope, which blocks
 * have a window, and tables of sinusoids.
 */
#include <string.h>

#include "architectures.h"

/* ---- rope ------------------------------------------------------------------------------------------------------- */

/*
 * The settings of rope have two forms:
 *
 *     "rope_theta": 500000.0, "rope_scaling": {"rope_type": "llama3", "factor": 32.0, ...}       until transformers 4
 *     "rope_parameters": {"rope_theta": 500000.0, "rope_type": "llama3", "factor": 32.0, ...}    from transformers 5
 *
 * Where blocks with a window have a rope of their own, the first form has a second key for its theta, and
 * rope_parameters has an object for each: "full_attention" and "sliding_attention".
 *
 * An older name of rope_type is "type". Every member can change the result, so an unknown one is refused.
 */
static ink_result rope_check_members(const ink_config *inner)
{
    static const char *const known[] = {
        "rope_type",
        "type",
        "rope_theta",
        "factor",
        "original_max_position_embeddings",
        "low_freq_factor",
        "high_freq_factor", /* llama3 */
        "beta_fast",
        "beta_slow",
        "attention_factor",
        "truncate", /* yarn */
        "partial_rotary_factor",
        "finetuned", /* whether the weights were trained with this rope; changes nothing */
    };
    const ink_json_document *document = &inner->document;
    if (inner->names != NULL) /* all settings are in one object there */
        return INK_OK;
    for (ink_json i = ink_json_first(document, inner->object); i != INK_JSON_NONE; i = ink_json_next(document, i)) {
        const ink_json_node *node = &document->nodes[i];
        size_t k = 0;
        while (k < sizeof known / sizeof known[0] && strcmp(node->key, known[k]) != 0)
            k++;
        if (k == sizeof known / sizeof known[0] && node->kind != INK_JSON_NULL)
            return ink_fail(inner->ctx, INK_ERROR_UNSUPPORTED, "%s: %s.%s: rope with this setting is not supported",
                            document->file, document->nodes[inner->object].key, node->key);
    }
    return INK_OK;
}

/* Refuses settings that would change the result and are not supported. */
static ink_result rope_refuse(ink_config *config)
{
    double partial = 1;
    bool truncate = true;
    INK_TRY(ink_config_number(config, "partial_rotary_factor", 0, 1, "from 0 to 1", &partial));
    INK_TRY(ink_config_bool(config, "truncate", &truncate));
    if (partial < 1)
        return ink_fail(config->ctx, INK_ERROR_UNSUPPORTED,
                        "%s: partial_rotary_factor: only whole heads (1) are supported", config->document.file);
    if (!truncate)
        return ink_fail(config->ctx, INK_ERROR_UNSUPPORTED,
                        "%s: truncate: rope of type yarn is only supported with whole indices (true)",
                        config->document.file);
    return INK_OK;
}

static ink_result rope_describe_type(ink_config *config, ink_config *inner, size_t n_positions, ink_rope *rope)
{
    const char *name;
    int type = INK_ROPE_PLAIN;
    INK_TRY(ink_config_string(inner, ink_config_has(inner, "rope_type") ? "rope_type" : "type", &name));
    if (name[0] != '\0' && strcmp(name, "default") != 0)
        while (++type < INK_ROPE_N_TYPES && strcmp(name, ink_rope_type_name((ink_rope_type)type)) != 0)
            continue;
    if (type == INK_ROPE_N_TYPES)
        return ink_fail(inner->ctx, INK_ERROR_UNSUPPORTED,
                        "%s: %s '%s' is not supported, only default, linear, dynamic, llama3, yarn",
                        inner->document.file, ink_config_name(inner, "rope_type"), name);
    rope->type = (ink_rope_type)type;
    INK_TRY(rope_check_members(inner));
    INK_TRY(rope_refuse(inner));
    INK_TRY(ink_config_number(inner, "rope_theta", 1, 1e30, "above 1 and at most 1e30", &rope->theta));
    config->fingerprint = inner->fingerprint;
    if (rope->type == INK_ROPE_PLAIN)
        return INK_OK;

    const char *range = "from 1e-6 to 1e6";
    bool derived = rope->type == INK_ROPE_YARN && ink_config_is_null(inner, "factor");
    if (!derived && ink_config_member(inner, "factor") == INK_JSON_NONE)
        return ink_fail(config->ctx, INK_ERROR_MISMATCH, "%s: rope of type %s: member '%s' is missing",
                        config->document.file, ink_rope_type_name(rope->type), ink_config_name(inner, "factor"));
    INK_TRY(ink_config_number(inner, "factor", 1, 1e6, "from 1 to 1e6", &rope->factor));
    if (rope->type == INK_ROPE_LLAMA3 || rope->type == INK_ROPE_YARN) {
        const char *key = "original_max_position_embeddings"; /* next to the object or in it */
        INK_TRY(
            ink_config_size(ink_config_has(config, key) ? config : inner, key, INK_MAX_IDS, &rope->original_length));
    }
    if (derived) /* null: what takes the original length to that of the model */
        rope->factor = (double)n_positions / (double)rope->original_length;
    if (rope->type == INK_ROPE_LLAMA3) {
        INK_TRY(ink_config_number(inner, "low_freq_factor", 1e-6, 1e6, range, &rope->low_freq_factor));
        INK_TRY(ink_config_number(inner, "high_freq_factor", 1e-6, 1e6, range, &rope->high_freq_factor));
    }
    if (rope->type == INK_ROPE_YARN) {
        rope->beta_fast = 32;
        rope->beta_slow = 1;
        INK_TRY(ink_config_number(inner, "beta_fast", 1e-6, 1e6, range, &rope->beta_fast));
        INK_TRY(ink_config_number(inner, "beta_slow", 1e-6, 1e6, range, &rope->beta_slow));
        if (ink_config_member(inner, "attention_factor") != INK_JSON_NONE)
            INK_TRY(ink_config_number(inner, "attention_factor", 1e-6, 1e6, range, &rope->attention_factor));
    }
    config->fingerprint = ink_fingerprint_number(config->fingerprint, inner->fingerprint);
    return INK_OK;
}

/* Under dynamic and yarn the context length is the stretched length. If both objects are there, rope_scaling is used,
   as in transformers; where rope_parameters has an object for each kind of block, its theta still counts. */
static ink_result rope_describe(ink_config *config, const ink_rope_names *names, size_t head_dim, size_t n_positions,
                                ink_rope *rope)
{
    static const char *const layers[] = {"full_attention", "sliding_attention"};
    const ink_json_document *document = &config->document;
    ink_config inner = *config;
    *rope = (ink_rope){.head_dim = head_dim, .theta = names->default_theta, .original_length = n_positions};
    INK_TRY(ink_config_number(config, names->theta, 1, 1e30, "above 1 and at most 1e30", &rope->theta));
    inner.fingerprint = config->fingerprint;
    inner.object = ink_config_member(config, "rope_parameters");
    if (inner.object != INK_JSON_NONE)
        INK_TRY(ink_json_expect(config->ctx, document, inner.object, INK_JSON_OBJECT));
    if (inner.object != INK_JSON_NONE && names->layers != NULL) {
        ink_json member = ink_json_first(document, inner.object);
        for (; member != INK_JSON_NONE; member = ink_json_next(document, member)) {
            const char *key = document->nodes[member].key;
            if (strcmp(key, layers[0]) != 0 && strcmp(key, layers[1]) != 0)
                return ink_fail(config->ctx, INK_ERROR_UNSUPPORTED,
                                "%s: rope_parameters.%s: only the settings of '%s' and '%s' are supported",
                                document->file, key, layers[0], layers[1]);
        }
        inner.object = ink_config_member(&inner, names->layers);
        if (inner.object != INK_JSON_NONE) {
            INK_TRY(ink_json_expect(config->ctx, document, inner.object, INK_JSON_OBJECT));
            INK_TRY(ink_config_number(&inner, "rope_theta", 1, 1e30, "above 1 and at most 1e30", &rope->theta));
        }
    }
    ink_json scaling = names->scaled ? ink_config_member(config, "rope_scaling") : INK_JSON_NONE;
    if (scaling != INK_JSON_NONE)
        inner.object = scaling;
    if (inner.object != INK_JSON_NONE) {
        INK_TRY(ink_json_expect(config->ctx, document, inner.object, INK_JSON_OBJECT));
        INK_TRY(rope_describe_type(config, &inner, n_positions, rope));
    }
    return ink_config_check(config, ink_rope_check(config->ctx, rope));
}

ink_result ink_import_ropes(ink_import *in, const ink_rope_names *names, size_t n, size_t head_dim)
{
    ink_model *model = in->model;
    size_t n_positions = model->info.context_length;
    double length = (double)n_positions;
    INK_TRY(rope_refuse(&in->config));
    for (size_t i = 0; i < n; i++) {
        ink_rope *rope = &model->transformer.stack.config.ropes[i];
        INK_TRY(rope_describe(&in->config, &names[i], head_dim, n_positions, rope));
        if (i == 0 && (rope->type == INK_ROPE_DYNAMIC || rope->type == INK_ROPE_YARN)) {
            double stretched = rope->factor * (double)rope->original_length;
            length = stretched > length ? stretched : length;
        }
        if (rope->type == INK_ROPE_DYNAMIC)
            model->own_capacity_from = n_positions;
    }
    model->info.context_length = length < (double)INK_ROPE_MAX_LENGTH ? (size_t)length : INK_ROPE_MAX_LENGTH;
    return INK_OK;
}

/* ---- windows ---------------------------------------------------------------------------------------------------- */

ink_result ink_import_layer_types(ink_config *config, size_t n_layers, size_t window, bool must_agree,
                                  ink_stack_config *stack)
{
    static const char *const kinds[] = {"full_attention", "sliding_attention"};
    ink_json types, type;
    size_t n;
    if (ink_config_member(config, "layer_types") == INK_JSON_NONE)
        return INK_OK;
    INK_TRY(ink_config_array(config, "layer_types", &types, &n));
    if (n != n_layers)
        return ink_fail(config->ctx, INK_ERROR_MISMATCH,
                        "%s: layer_types has %zu elements, but num_hidden_layers is %zu", config->document.file, n,
                        n_layers);
    type = ink_json_first(&config->document, types);
    for (size_t i = 0; i < stack->n_blocks; i++, type = ink_json_next(&config->document, type)) {
        const char *name;
        INK_TRY(ink_config_element_string(config, type, &name));
        bool slides = stack->attention[i].window != 0, wanted = strcmp(name, kinds[1]) == 0;
        if (!wanted && strcmp(name, kinds[0]) != 0)
            return ink_fail(config->ctx, INK_ERROR_UNSUPPORTED,
                            "%s: layer_types[%zu]: expected '%s' or '%s', found '%s'", config->document.file, i,
                            kinds[0], kinds[1], name);
        if (wanted != slides && must_agree)
            return ink_fail(config->ctx, INK_ERROR_MISMATCH,
                            "%s: layer_types[%zu] is '%s', but the other settings make it '%s'", config->document.file,
                            i, kinds[wanted], kinds[slides]);
        stack->attention[i].window = wanted ? window : 0;
    }
    return INK_OK;
}

/* ---- sinusoids -------------------------------------------------------------------------------------------------- */

float ink_import_root(const ink_kernel *kernel, size_t n)
{
    double root = 1 / (double)kernel->inverse_sqrt((float)n);
    return (float)((root + (double)n / root) / 2); /* a step of Newton's makes the last bit right */
}

/* e^x by a series for x / 1024. What is added here and below is never a product, so no compiler makes a fused
   multiply-add of it, and the bits are the same everywhere. */
static double exponential(double x)
{
    double sum = 1, term = 1;
    for (int i = 1; i < 12; i++) {
        term = term * (x / 1024) / i;
        sum += term;
    }
    for (int i = 0; i < 10; i++)
        sum *= sum;
    return sum;
}

/*
 * p at position t of a row of d:
 *
 *     Marian           p_m = sin(t / w_m),  p_(s+m) = cos(t / w_m),   w_m = 10000^(2 m / d),      s = d / 2, rounded up
 *     tensor2tensor    p_m = sin(t w_m),    p_(s+m) = cos(t w_m),     w_m = 10000^(-m / (s - 1)), s = d / 2, rounded
 *                                                                                                 down
 *
 * Marian computes in double precision. tensor2tensor rounds the exponent, its power and the angle to float, which is
 * seen far from the beginning. An angle is brought below pi in double precision, so its sine is right at any position.
 */
ink_result ink_sinusoids_begin(ink_plan *plan, ink_sinusoids *s)
{
    const double log_10000 = 9.210340371976184;
    s->n = s->tensor2tensor ? s->size / 2 : s->size - s->size / 2;
    s->w = ink_arena_alloc(&plan->work, s->n, sizeof *s->w);
    if (s->w == NULL)
        return ink_plan_no_memory(plan);
    for (size_t m = 0; m < s->n; m++)
        if (s->tensor2tensor) {
            float exponent = (float)m * -(float)(log_10000 / (double)(s->n - 1));
            s->w[m] = (double)(float)exponential((double)exponent);
        } else {
            s->w[m] = exponential(log_10000 * (double)(2 * m) / (double)s->size);
        }
    return INK_OK;
}

void ink_sinusoids_row(const ink_kernel *kernel, const void *settings, size_t row, float *room, float *values)
{
    const ink_sinusoids *s = settings;
    const double circle = 6.283185307179586;
    memset(values, 0, s->size * sizeof *values);
    if (s->tensor2tensor && row == s->padding)
        return;
    for (size_t m = 0; m < s->n; m++) {
        float rounded = (float)row * (float)s->w[m]; /* only a stored number is rounded everywhere */
        double angle = s->tensor2tensor ? (double)rounded : (double)row / s->w[m];
        double turns = angle / circle;
        turns -= (double)(int64_t)(turns + 0.5);
        room[m] = (float)(turns * circle);
    }
    kernel->rope_angles(room, s->n, 1, 1, room, values);
    memcpy(values + s->n, room, s->size / 2 * sizeof *values);
}
