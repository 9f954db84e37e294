/*
 * rope_config.c - the settings of rope in config.json, in either of the two ways they are written:
 *
 *     "rope_theta": 500000.0, "rope_scaling": {"rope_type": "llama3", "factor": 32.0, ...}       until transformers 4
 *     "rope_parameters": {"rope_theta": 500000.0, "rope_type": "llama3", "factor": 32.0, ...}    from transformers 5
 *
 * An older name of rope_type is "type". Every member counts, so one that is not understood here is refused.
 */
#include <string.h>

#include "rope_config.h"

/* ---- the object ----------------------------------------------------------------------------------------------- */

static ink_result check_members(const ink_config *inner)
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
        "finetuned", /* whether the weights were trained with it: changes nothing */
    };
    const ink_json_document *document = &inner->document;
    for (ink_json i = ink_json_first(document, inner->object); i != INK_JSON_NONE; i = ink_json_next(document, i)) {
        const ink_json_node *node = &document->nodes[i];
        size_t k = 0;
        while (k < sizeof known / sizeof known[0] && strcmp(node->key, known[k]) != 0)
            k++;
        if (k == sizeof known / sizeof known[0] && node->kind != INK_JSON_NULL)
            return ink_fail(inner->ctx, INK_ERROR_UNSUPPORTED, "%s: %s.%s: rope with this setting does not run here",
                            document->file, document->nodes[inner->object].key, node->key);
    }
    return INK_OK;
}

static ink_result find_type(ink_config *inner, ink_rope_type *type)
{
    const char *name;
    INK_TRY(ink_config_string(inner, ink_config_has(inner, "rope_type") ? "rope_type" : "type", &name));
    *type = INK_ROPE_PLAIN;
    if (name[0] == '\0' || strcmp(name, "default") == 0)
        return INK_OK;
    for (int i = INK_ROPE_PLAIN + 1; i < INK_ROPE_N_TYPES; i++)
        if (strcmp(name, ink_rope_type_name((ink_rope_type)i)) == 0) {
            *type = (ink_rope_type)i;
            return INK_OK;
        }
    return ink_fail(inner->ctx, INK_ERROR_UNSUPPORTED,
                    "%s: rope_type '%s' is none of those that run here: default, linear, dynamic, llama3, yarn",
                    inner->document.file, name);
}

/* The parts that would change what is computed and are not here. */
static ink_result refuse_parts(ink_config *config)
{
    double partial = 1;
    bool truncate = true;
    INK_TRY(ink_config_number(config, "partial_rotary_factor", 0, 1, "from 0 to 1", &partial));
    INK_TRY(ink_config_bool(config, "truncate", &truncate));
    if (partial < 1)
        return ink_fail(config->ctx, INK_ERROR_UNSUPPORTED,
                        "%s: partial_rotary_factor: only heads that are turned whole (1) run here",
                        config->document.file);
    if (!truncate)
        return ink_fail(config->ctx, INK_ERROR_UNSUPPORTED,
                        "%s: truncate: rope of type yarn runs here only with whole indices (true)",
                        config->document.file);
    return INK_OK;
}

/* ---- settings of the types ------------------------------------------------------------------------------------ */

static ink_result read_positive(ink_config *config, const char *key, double *value)
{
    return ink_config_number(config, key, 1e-6, 1e6, "from 1e-6 to 1e6", value);
}

static ink_result read_type(ink_config *config, ink_config *inner, ink_rope *rope)
{
    if (!ink_config_has(inner, "factor"))
        return ink_fail(config->ctx, INK_ERROR_MISMATCH, "%s: rope of type %s: member 'factor' is missing",
                        config->document.file, ink_rope_type_name(rope->type));
    INK_TRY(ink_config_number(inner, "factor", 1, 1e6, "from 1 to 1e6", &rope->factor));
    if (rope->type == INK_ROPE_LLAMA3 || rope->type == INK_ROPE_YARN) {
        const char *key = "original_max_position_embeddings"; /* beside the object or in it */
        ink_config *file = ink_config_has(config, key) ? config : inner;
        INK_TRY(ink_config_size(file, key, INK_MAX_IDS, &rope->original_length));
    }
    if (rope->type == INK_ROPE_LLAMA3) {
        INK_TRY(read_positive(inner, "low_freq_factor", &rope->low_freq_factor));
        INK_TRY(read_positive(inner, "high_freq_factor", &rope->high_freq_factor));
    }
    if (rope->type == INK_ROPE_YARN) {
        rope->beta_fast = 32;
        rope->beta_slow = 1;
        INK_TRY(read_positive(inner, "beta_fast", &rope->beta_fast));
        INK_TRY(read_positive(inner, "beta_slow", &rope->beta_slow));
        if (ink_config_member(inner, "attention_factor") != INK_JSON_NONE)
            INK_TRY(read_positive(inner, "attention_factor", &rope->attention_factor));
    }
    return INK_OK;
}

/* rope_scaling counts where both are there, as in transformers. */
static ink_result read_object(ink_config *config, ink_rope *rope)
{
    ink_config inner = *config;
    inner.object = ink_config_member(config, "rope_scaling");
    if (inner.object == INK_JSON_NONE)
        inner.object = ink_config_member(config, "rope_parameters");
    if (inner.object == INK_JSON_NONE)
        return INK_OK;
    INK_TRY(ink_json_expect(config->ctx, &config->document, inner.object, INK_JSON_OBJECT));
    INK_TRY(find_type(&inner, &rope->type));
    INK_TRY(check_members(&inner));
    INK_TRY(refuse_parts(&inner));
    INK_TRY(ink_config_number(&inner, "rope_theta", 1, 1e30, "above 1 and at most 1e30", &rope->theta));
    config->fingerprint = inner.fingerprint;
    if (rope->type == INK_ROPE_PLAIN)
        return INK_OK;
    INK_TRY(read_type(config, &inner, rope));
    config->fingerprint = ink_fingerprint_number(config->fingerprint, inner.fingerprint);
    return INK_OK;
}

/* Positions up to which the model runs. */
static size_t reach(const ink_rope *rope, size_t n_positions)
{
    double length = (double)n_positions;
    if (rope->type == INK_ROPE_DYNAMIC || rope->type == INK_ROPE_YARN) {
        double stretched = rope->factor * (double)rope->original_length;
        length = stretched > length ? stretched : length;
    }
    return length < (double)INK_ROPE_MAX_LENGTH ? (size_t)length : INK_ROPE_MAX_LENGTH;
}

ink_result ink_rope_config_read(ink_config *config, size_t head_dim, ink_model *model, ink_rope *rope)
{
    size_t n_positions = model->info.context_length;
    *rope = (ink_rope){.head_dim = head_dim, .theta = 10000, .original_length = n_positions};
    INK_TRY(refuse_parts(config));
    INK_TRY(ink_config_number(config, "rope_theta", 1, 1e30, "above 1 and at most 1e30", &rope->theta));
    INK_TRY(read_object(config, rope));
    INK_TRY(ink_config_check(config, ink_rope_check(config->ctx, rope)));
    model->info.context_length = reach(rope, n_positions);
    if (rope->type == INK_ROPE_DYNAMIC)
        model->own_capacity_from = n_positions;
    return INK_OK;
}
