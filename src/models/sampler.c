/*
 * sampler.c - the steps from logits to a token, each over the tokens the step before left.
 *
 * Ranking is only needed by top-k and top-p, and only of the tokens they keep: all tokens become a heap in O(V), and
 * as many as are kept are taken off it, largest logit first. Without the two nothing is sorted.
 */
#include <inkling/sampler.h>

#include <float.h>
#include <string.h>

#include "../base/internal.h"
#include "../tensor/kernel.h"
#include "../base/bytes.h"

struct ink_sampler {
    ink_sampler_options options;
    size_t vocab_size;
    uint64_t random;    /* state of the generator */
    float *z;           /* [vocab_size] logits, made smaller step by step; the largest is 0 */
    float *weight;      /* [vocab_size] e^z, the probabilities before they are divided by their sum; 0: left out */
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

/* ---- making one ------------------------------------------------------------------------------------------------- */

/* False for NaN too. */
static bool within(float x, float low, float high) { return x >= low && x <= high; }

static ink_result sampler_check_options(ink_context *ctx, const ink_sampler_options *options, size_t vocab_size)
{
    if (vocab_size == 0 || vocab_size > INT32_MAX)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "sampler: a vocabulary of %zu tokens", vocab_size);
    /* No subnormal number: a program that flushes them to zero would divide by it. */
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

/* Takes a sampler and its parts from an arena. */
static ink_sampler *sampler_layout(ink_arena *arena, const ink_sampler_options *options, size_t vocab_size,
                                   ink_sampler *parts)
{
    bool ranks = options->top_k != 0 || uses_top_p(options), seen = penalises(options);
    ink_sampler *sampler = ink_arena_alloc(arena, 1, sizeof *sampler);
    *parts = (ink_sampler){.options = *options, .vocab_size = vocab_size, .random = options->seed};
    parts->z = ink_arena_alloc(arena, vocab_size, sizeof *parts->z);
    parts->weight = ink_arena_alloc(arena, vocab_size, sizeof *parts->weight);
    parts->rank = ranks ? ink_arena_alloc(arena, vocab_size, sizeof *parts->rank) : NULL;
    parts->seen = seen ? ink_arena_alloc(arena, vocab_size, sizeof *parts->seen) : NULL;
    parts->history = seen ? ink_arena_alloc(arena, vocab_size, sizeof *parts->history) : NULL;
    return sampler;
}

ink_result ink_sampler_create(ink_context *ctx, const ink_sampler_options *options, size_t vocab_size,
                              ink_sampler **sampler)
{
    ink_arena measure, arena;
    ink_sampler parts;
    INK_REQUIRE(ctx, sampler);
    *sampler = NULL;
    INK_REQUIRE(ctx, options);
    INK_TRY(sampler_check_options(ctx, options, vocab_size));
    ink_arena_measure(&measure);
    sampler_layout(&measure, options, vocab_size, &parts);
    INK_TRY(ink_object_new(ctx, "the sampler", &measure, NULL, 0, &arena));
    *sampler = sampler_layout(&arena, options, vocab_size, &parts);
    **sampler = parts;
    if (parts.seen != NULL)
        memset(parts.seen, 0, vocab_size);
    return INK_OK;
}

void ink_sampler_free(ink_sampler *sampler) { ink_object_free(sampler); }

/* ---- the text so far -------------------------------------------------------------------------------------------- */

static void accept(ink_sampler *s, ink_token token)
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
            return ink_fail(ctx, INK_ERROR_ARGUMENT, "tokens[%zu] is %lld, the vocabulary has ids from 0 to %zu", i,
                            (long long)tokens[i], sampler->vocab_size - 1);
    }
    for (size_t i = 0; i < n; i++)
        accept(sampler, tokens[i]);
    return INK_OK;
}

/* ---- the steps -------------------------------------------------------------------------------------------------- */

static uint32_t float_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

#define INFINITY_BITS 0x7F800000u

/* z = logits, with the penalty: z < 0 ? z r : z / r for each token seen (Keskar et al. 2019, section 4.1). */
static void penalise(ink_sampler *s)
{
    float r = s->options.repeat_penalty;
    for (size_t i = 0; i < s->n_history; i++) {
        float *z = &s->z[s->history[i]];
        *z = *z < 0.0f ? *z * r : *z / r;
    }
}

/* The first of the largest. */
static ink_result find_largest(ink_context *ctx, const ink_sampler *s, size_t *largest)
{
    *largest = 0;
    for (size_t i = 0; i < s->vocab_size; i++) {
        uint32_t bits = float_bits(s->z[i]);
        if ((bits & 0x7FFFFFFFu) > INFINITY_BITS)
            return ink_fail(ctx, INK_ERROR_NONFINITE, "the logit of token %zu is NaN", i);
        if (bits == INFINITY_BITS)
            return ink_fail(ctx, INK_ERROR_NONFINITE, "the logit of token %zu is +infinity", i);
        if (s->z[i] > s->z[*largest])
            *largest = i;
    }
    if ((float_bits(s->z[*largest]) & 0x7FFFFFFFu) == INFINITY_BITS)
        return ink_fail(ctx, INK_ERROR_NONFINITE, "the logits of all %zu tokens, from token 0 on, are -infinity",
                        s->vocab_size);
    return INK_OK;
}

/* z = (z - max z) / t. Shifted first, so that no temperature is small enough to overflow: softmax does not notice. */
static void apply_temperature(ink_sampler *s, float largest)
{
    for (size_t i = 0; i < s->vocab_size; i++)
        s->z[i] = (s->z[i] - largest) / s->options.temperature;
}

static double sum_of_weights(const ink_sampler *s)
{
    double sum = 0.0;
    for (size_t i = 0; i < s->vocab_size; i++)
        sum += (double)s->weight[i];
    return sum;
}

/*
 * Ranking. z is at most 0, so the bits of |z| order it from the largest down; the id below them lets the earlier of
 * equal logits come first.
 */
static uint64_t rank_key(float z, size_t id) { return (uint64_t)(float_bits(z) & 0x7FFFFFFFu) << 32 | (uint32_t)id; }

static size_t rank_token(uint64_t key) { return (uint32_t)key; }

/* The heap of all tokens whose weight is not 0; returns their number. */
static size_t start_ranking(ink_sampler *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->vocab_size; i++)
        if (s->weight[i] != 0.0f)
            s->rank[n++] = rank_key(s->z[i], i);
    ink_heap_make(s->rank, n, NULL);
    return n;
}

/* Takes the k largest off a heap of n, and the ties with the k-th; returns how many. They are at the end of rank [n],
   the largest last. */
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
 * Of the tokens in rank [n], the first `taken` of the ranking being at its end and the rest a heap, how many to keep:
 * a token stays iff the sum of the weights ranked above it is < p times the sum of all.
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

/* Leaves only the first `kept` of the ranking. */
static void keep(ink_sampler *s, size_t n, size_t kept)
{
    for (size_t i = 0; i < n - kept; i++)
        s->weight[rank_token(s->rank[i])] = 0.0f;
}

/* Top-k, then top-p on the softmax of what it left. */
static void apply_ranking(ink_sampler *s)
{
    size_t n = start_ranking(s), taken = 0;
    if (s->options.top_k != 0) {
        taken = take_top_k(s, n, s->options.top_k);
        keep(s, n, taken);
        memmove(s->rank, s->rank + (n - taken), taken * sizeof *s->rank);
        n = taken;
    }
    if (uses_top_p(&s->options))
        keep(s, n, take_top_p(s, n, taken, s->options.top_p));
}

/* The largest weight is e^0 = 1, so p < min_p max p reads: weight < min_p. */
static void apply_min_p(ink_sampler *s)
{
    for (size_t i = 0; i < s->vocab_size; i++)
        if (s->weight[i] < s->options.min_p)
            s->weight[i] = 0.0f;
}

/* Fills weight; greedy is one weight of 1. */
static ink_result weigh(ink_context *ctx, ink_sampler *s, const float *logits)
{
    size_t largest;
    memcpy(s->z, logits, s->vocab_size * sizeof *s->z);
    penalise(s);
    INK_TRY(find_largest(ctx, s, &largest));
    if (s->options.temperature == 0.0f) {
        memset(s->weight, 0, s->vocab_size * sizeof *s->weight);
        s->weight[largest] = 1.0f;
        return INK_OK;
    }
    apply_temperature(s, s->z[largest]);
    ctx->kernel->exp(s->z, s->vocab_size, s->weight);
    if (s->rank != NULL)
        apply_ranking(s);
    apply_min_p(s);
    return INK_OK;
}

/* The first token at which the running sum exceeds u times the sum of all; the largest weight is 1, so there is one. */
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

/* SplitMix64 (Steele, Lea, Flood 2014): every seed is a good one. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state += 0x9E3779B97F4A7C15u;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

ink_result ink_sampler_pick_with(ink_context *ctx, ink_sampler *sampler, const float *logits, double u,
                                 ink_token *token)
{
    INK_REQUIRE(ctx, token);
    *token = -1;
    INK_REQUIRE(ctx, sampler, logits);
    if (!(u >= 0.0 && u < 1.0))
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: u must be in [0, 1)", __func__);
    ink_float_mode host = ink_float_mode_enter();
    ink_result result = weigh(ctx, sampler, logits);
    if (result == INK_OK) {
        *token = draw(sampler, u);
        accept(sampler, *token);
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
    double u = (double)(next_random(&random) >> 11) * 0x1p-53;
    INK_TRY(ink_sampler_pick_with(ctx, sampler, logits, u, token));
    sampler->random = random;
    return INK_OK;
}

ink_result ink_sampler_probabilities(ink_context *ctx, ink_sampler *sampler, const float *logits, float *probabilities)
{
    INK_REQUIRE(ctx, sampler, logits, probabilities);
    ink_float_mode host = ink_float_mode_enter();
    ink_result result = weigh(ctx, sampler, logits);
    double sum = result == INK_OK ? sum_of_weights(sampler) : 1;
    for (size_t i = 0; result == INK_OK && i < sampler->vocab_size; i++)
        probabilities[i] = (float)((double)sampler->weight[i] / sum);
    ink_float_mode_leave(host);
    return result;
}
