/*
 * sampler.c - the steps from logits to a token (sampler.h). Each step works on the tokens that the previous one kept.
 *
 * Only top-k and top-p need a ranking, and only of the tokens they keep. So all tokens go into a heap in O(V), and the
 * kept ones are popped, largest logit first. Without these two steps nothing is sorted.
 */
#include <inkling/sampler.h>

#include <float.h>
#include <string.h>

#include "../base/bytes.h"
#include "../base/internal.h"
#include "../tensor/kernel.h"
#include "networks.h"

struct ink_sampler {
    ink_sampler_options options;
    size_t vocab_size;
    uint64_t random;    /* state of the generator */
    float *z;           /* [vocab_size] logits after penalty and temperature; when sampling the largest is 0 */
    float *weight;      /* [vocab_size] e^z, the probability before division by the sum; 0: excluded */
    uint64_t *rank;     /* [vocab_size] the heap; NULL unless top-k or top-p is on */
    uint8_t *seen;      /* [vocab_size] 1 for tokens in the text; NULL unless the penalty is on */
    ink_token *history; /* [vocab_size] the tokens seen, each once */
    size_t n_history;
};

static bool penalises(const ink_sampler_options *options)
{
    return options->repeat_penalty != 0.0f && options->repeat_penalty != 1.0f;
}

static bool uses_top_p(const ink_sampler_options *options) { return options->top_p > 0.0f && options->top_p < 1.0f; }

/* ---- creating --------------------------------------------------------------------------------------------------- */

/* False for NaN too. */
static bool within(float x, float low, float high) { return x >= low && x <= high; }

static ink_result sampler_check_options(ink_context *ctx, const ink_sampler_options *options, size_t vocab_size)
{
    if (vocab_size == 0 || vocab_size > INT32_MAX)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "sampler: a vocabulary of %zu tokens", vocab_size);
    /* Refuses subnormal numbers, because a program that flushes them to zero would divide by zero. */
    if (options->temperature != 0.0f && !within(options->temperature, FLT_MIN, FLT_MAX))
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "sampler: temperature must be 0 or a number > 1.17e-38");
    if (!within(options->top_p, 0.0f, 1.0f))
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "sampler: top_p must be in [0, 1]");
    if (!within(options->min_p, 0.0f, 1.0f))
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "sampler: min_p must be in [0, 1]");
    if (!within(options->repeat_penalty, 0.0f, FLT_MAX))
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "sampler: repeat_penalty must be a number >= 0");
    return INK_OK;
}

/* Allocates a sampler and its arrays. */
static ink_sampler *sampler_layout(ink_arena *arena, const ink_sampler_options *options, size_t vocab_size,
                                   ink_sampler *fields)
{
    bool ranks = options->top_k != 0 || uses_top_p(options), seen = penalises(options);
    ink_sampler *sampler = ink_arena_alloc(arena, 1, sizeof *sampler);
    *fields = (ink_sampler){.options = *options, .vocab_size = vocab_size, .random = options->seed};
    fields->z = ink_arena_alloc(arena, vocab_size, sizeof *fields->z);
    fields->weight = ink_arena_alloc(arena, vocab_size, sizeof *fields->weight);
    fields->rank = ranks ? ink_arena_alloc(arena, vocab_size, sizeof *fields->rank) : NULL;
    fields->seen = seen ? ink_arena_alloc(arena, vocab_size, sizeof *fields->seen) : NULL;
    fields->history = seen ? ink_arena_alloc(arena, vocab_size, sizeof *fields->history) : NULL;
    return sampler;
}

ink_result ink_sampler_create(ink_context *ctx, const ink_sampler_options *options, size_t vocab_size,
                              ink_sampler **sampler)
{
    ink_arena measure, arena;
    ink_sampler fields;
    INK_REQUIRE(ctx, sampler);
    *sampler = NULL;
    INK_REQUIRE(ctx, options);
    INK_TRY(sampler_check_options(ctx, options, vocab_size));
    ink_arena_measure(&measure);
    sampler_layout(&measure, options, vocab_size, &fields);
    INK_TRY(ink_object_new(ctx, "the sampler", &measure, NULL, 0, &arena));
    *sampler = sampler_layout(&arena, options, vocab_size, &fields);
    **sampler = fields;
    if (fields.seen != NULL)
        memset(fields.seen, 0, vocab_size);
    return INK_OK;
}

void ink_sampler_free(ink_sampler *sampler) { ink_object_free(sampler); }

/* ---- the text so far -------------------------------------------------------------------------------------------- */

static void sampler_note(ink_sampler *s, ink_token token)
{
    if (s->seen == NULL || s->seen[token] != 0)
        return;
    s->seen[token] = 1;
    s->history[s->n_history++] = token;
}

ink_result ink_sampler_accept(ink_context *ctx, ink_sampler *sampler, const ink_token *tokens, size_t n)
{
    INK_REQUIRE(ctx, sampler);
    if (n > 0)
        INK_REQUIRE(ctx, tokens);
    for (size_t i = 0; i < n; i++) {
        if (tokens[i] < 0 || (size_t)tokens[i] >= sampler->vocab_size)
            return ink_fail(ctx, INK_ERROR_ARGUMENT, "tokens[%zu] is %lld, but the vocabulary has ids from 0 to %zu", i,
                            (long long)tokens[i], sampler->vocab_size - 1);
    }
    for (size_t i = 0; i < n; i++)
        sampler_note(sampler, tokens[i]);
    return INK_OK;
}

void ink_sampler_reset(ink_sampler *sampler)
{
    if (sampler == NULL)
        return;
    for (size_t i = 0; i < sampler->n_history; i++)
        sampler->seen[sampler->history[i]] = 0;
    sampler->n_history = 0;
    sampler->random = sampler->options.seed;
}

void ink_sampler_penalise(const ink_sampler *s, float *z)
{
    float r = s->options.repeat_penalty;
    for (size_t i = 0; i < s->n_history; i++) {
        float *seen = &z[s->history[i]];
        *seen = *seen < 0.0f ? *seen * r : *seen / r;
    }
}

/* ---- the steps -------------------------------------------------------------------------------------------------- */

static uint32_t float_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

#define INFINITY_BITS 0x7F800000u

/* Finds the first of the largest logits. */
static ink_result find_largest(ink_context *ctx, const ink_sampler *s, const float *z, size_t *largest)
{
    *largest = 0;
    for (size_t i = 0; i < s->vocab_size; i++) {
        uint32_t bits = float_bits(z[i]);
        if ((bits & 0x7FFFFFFFu) > INFINITY_BITS)
            return ink_fail(ctx, INK_ERROR_NONFINITE, "the logit of token %zu is NaN", i);
        if (bits == INFINITY_BITS)
            return ink_fail(ctx, INK_ERROR_NONFINITE, "the logit of token %zu is +infinity", i);
        if (z[i] > z[*largest])
            *largest = i;
    }
    if ((float_bits(z[*largest]) & 0x7FFFFFFFu) == INFINITY_BITS)
        return ink_fail(ctx, INK_ERROR_NONFINITE, "the logits of all %zu tokens, from token 0 on, are -infinity",
                        s->vocab_size);
    return INK_OK;
}

static double sum_of_weights(const ink_sampler *s)
{
    double sum = 0.0;
    for (size_t i = 0; i < s->vocab_size; i++)
        sum += (double)s->weight[i];
    return sum;
}

/*
 * Ranking. z is at most 0, so the bits of |z| sort from the largest z down. The id in the lower bits puts the earlier
 * of equal logits first.
 */
static uint64_t rank_key(float z, size_t id) { return (uint64_t)(float_bits(z) & 0x7FFFFFFFu) << 32 | (uint32_t)id; }

static size_t rank_token(uint64_t key) { return (uint32_t)key; }

/* Pops the k largest, and the ties with the k-th, off a heap of n; returns their number. They end up at the end of
   rank [n], the largest last. */
static size_t take_top_k(ink_sampler *s, size_t n, size_t k)
{
    size_t taken = 0;
    uint64_t key = 0;
    while (taken < n && (taken < k || s->rank[0] >> 32 == key >> 32)) {
        key = ink_heap_pop(s->rank, n - taken, NULL);
        taken++;
    }
    return taken;
}

/*
 * Returns how many tokens of rank [n] top-p keeps: a token stays if the sum of the weights ranked above it is less than
 * p times the sum of all. The first `taken` of the ranking are already at the end of rank, the others are a heap.
 */
static size_t take_top_p(ink_sampler *s, size_t n, size_t taken, float p)
{
    double limit = (double)p * sum_of_weights(s), above = 0.0;
    size_t kept = 0;
    while (kept < n && (kept == 0 || above < limit)) {
        if (kept == taken) {
            ink_heap_pop(s->rank, n - taken, NULL);
            taken++;
        }
        kept++;
        above += (double)s->weight[rank_token(s->rank[n - kept])];
    }
    return kept;
}

/* Excludes all but the first `kept` of the ranking. */
static void keep_ranked(ink_sampler *s, size_t n, size_t kept)
{
    for (size_t i = 0; i < n - kept; i++)
        s->weight[rank_token(s->rank[i])] = 0.0f;
}

/* Top-k, then top-p on the softmax of the tokens that are left. A heap ranks the tokens whose weight is not 0. */
static void apply_ranking(ink_sampler *s)
{
    size_t n = 0, taken = 0;
    for (size_t i = 0; i < s->vocab_size; i++)
        if (s->weight[i] != 0.0f)
            s->rank[n++] = rank_key(s->z[i], i);
    ink_heap_make(s->rank, n, NULL);
    if (s->options.top_k != 0) {
        taken = take_top_k(s, n, s->options.top_k);
        keep_ranked(s, n, taken);
        memmove(s->rank, s->rank + (n - taken), taken * sizeof *s->rank);
        n = taken;
    }
    if (uses_top_p(&s->options))
        keep_ranked(s, n, take_top_p(s, n, taken, s->options.top_p));
}

/*
 * Finds the largest logit, and computes the weights. At a temperature of 0, when that token has all the weight, they
 * are not written:
 *
 *     penalty        z = z < 0 ? z r : z / r for each token seen (Keskar et al. 2019, section 4.1)
 *     temperature    w = exp((z - max z) / t); the shift changes no probability and keeps a small t from overflowing
 *     top-k, top-p   keep the largest
 *     min-p          p < min_p max p is w < min_p, because the largest weight is e^0 = 1
 */
static ink_result weigh(ink_context *ctx, ink_sampler *s, const float *logits, size_t *largest)
{
    const ink_sampler_options *options = &s->options;
    const float *z = logits;
    if (s->n_history > 0) {
        memcpy(s->z, logits, s->vocab_size * sizeof *s->z);
        ink_sampler_penalise(s, s->z);
        z = s->z;
    }
    INK_TRY(find_largest(ctx, s, z, largest));
    if (options->temperature == 0.0f)
        return INK_OK;
    float z_max = z[*largest];
    for (size_t i = 0; i < s->vocab_size; i++)
        s->z[i] = (z[i] - z_max) / options->temperature;
    ctx->kernel->exp(s->z, s->vocab_size, s->weight);
    if (s->rank != NULL)
        apply_ranking(s);
    for (size_t i = 0; i < s->vocab_size; i++)
        if (s->weight[i] < options->min_p)
            s->weight[i] = 0.0f;
    return INK_OK;
}

/* Returns the first token at which the running sum exceeds u times the sum of all. There is one, because the largest
   weight is 1. */
static ink_token draw(const ink_sampler *s, double u)
{
    double threshold = u * sum_of_weights(s), sum = 0.0;
    size_t last = 0;
    for (size_t i = 0; i < s->vocab_size; i++) {
        if (s->weight[i] == 0.0f)
            continue;
        last = i;
        sum += (double)s->weight[i];
        if (sum > threshold)
            break;
    }
    return (ink_token)last;
}

/* ---- picking ---------------------------------------------------------------------------------------------------- */

ink_result ink_sampler_pick_with(ink_context *ctx, ink_sampler *sampler, const float *logits, double u,
                                 ink_token *token)
{
    INK_REQUIRE(ctx, token);
    *token = -1;
    INK_REQUIRE(ctx, sampler, logits);
    if (!(u >= 0.0 && u < 1.0))
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: u must be in [0, 1)", __func__);
    ink_float_mode host = ink_float_mode_enter();
    size_t largest;
    ink_result result = weigh(ctx, sampler, logits, &largest);
    if (result == INK_OK) {
        *token = sampler->options.temperature == 0.0f ? (ink_token)largest : draw(sampler, u);
        sampler_note(sampler, *token);
    }
    ink_float_mode_leave(host);
    return result;
}

ink_result ink_sampler_pick(ink_context *ctx, ink_sampler *sampler, const float *logits, ink_token *token)
{
    INK_REQUIRE(ctx, token);
    *token = -1;
    INK_REQUIRE(ctx, sampler);
    uint64_t random = sampler->random;
    double u = ink_random(&random);
    INK_TRY(ink_sampler_pick_with(ctx, sampler, logits, u, token));
    sampler->random = random;
    return INK_OK;
}

ink_result ink_sampler_probabilities(ink_context *ctx, ink_sampler *sampler, const float *logits, float *probabilities)
{
    INK_REQUIRE(ctx, sampler, logits, probabilities);
    ink_float_mode host = ink_float_mode_enter();
    bool greedy = sampler->options.temperature == 0.0f;
    size_t largest;
    ink_result result = weigh(ctx, sampler, logits, &largest);
    double sum = result == INK_OK && !greedy ? sum_of_weights(sampler) : 1;
    for (size_t i = 0; result == INK_OK && i < sampler->vocab_size; i++)
        probabilities[i] = greedy ? i == largest : (float)((double)sampler->weight[i] / sum);
    ink_float_mode_leave(host);
    return result;
}
