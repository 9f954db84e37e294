/*
 * attention.h - multi-head attention over a key/value cache (Vaswani et al. 2017, section 3.2).
 *
 *     head_i = softmax(Q_i K_i^T / sqrt(head_dim)) V_i
 *
 *   causal          row t sees the positions 0 .. t
 *   with a window   row t sees the positions t - window + 1 .. t                      (Beltagy et al. 2020)
 *   bidirectional   every row sees all positions; a call is a whole sequence
 *
 * Both products are the library's one kernel: the keys of a head are a packed matrix [positions, head_dim] that grows
 * by a lane per token, the values a packed matrix [head_dim, positions] that grows by a row. A masked position
 * contributes an exact zero, so a token's result does not depend on how the prompt was cut.
 *
 * The projections W_q, W_k, W_v, W_o are dense layers of their own; the caller runs them before and after:
 *
 *     ink_attention attention = {.n_heads = 12, .n_kv_heads = 12, .head_dim = 64};
 *     ink_kv_cache_create(ctx, &attention, 1024, &cache);
 *     ink_dense_forward(ctx, to_qkv, x, n, qkv);
 *     ink_attention_forward(ctx, &attention, cache, qkv, n, heads);
 *     ink_dense_forward(ctx, to_out, heads, n, y);
 *
 * A cache is used by one call at a time.
 */
#ifndef INKLING_ATTENTION_H
#define INKLING_ATTENTION_H

#include <inkling/arena.h>
#include <inkling/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Query head j reads key/value head j / (n_heads / n_kv_heads); n_heads is a multiple of n_kv_heads. */
typedef struct ink_attention {
    size_t n_heads;
    size_t n_kv_heads;
    size_t head_dim;
    float scale;        /* of the scores; 0 means 1 / sqrt(head_dim) */
    size_t window;      /* positions a row sees, itself included; 0: all before it */
    bool bidirectional; /* without a window */
} ink_attention;

/* The keys and values of one layer of one sequence: room for `capacity` positions, `length` of them filled. */
typedef struct ink_kv_cache ink_kv_cache;

/* Makes an empty cache; free it with ink_kv_cache_free(). INK_ERROR_ARGUMENT for a capacity or a count of 0, n_heads
   that is no multiple of n_kv_heads, for a scale that is negative or not finite, for a window in bidirectional
   attention; INK_ERROR_MEMORY, INK_ERROR_LIMIT. */
ink_result ink_kv_cache_create(ink_context *ctx, const ink_attention *attention, size_t capacity, ink_kv_cache **cache);
void ink_kv_cache_free(ink_kv_cache *cache);

/* Positions filled so far. */
size_t ink_kv_cache_length(const ink_kv_cache *cache);

/* Forgets all positions from `length` on; INK_ERROR_ARGUMENT if there are not that many. */
ink_result ink_kv_cache_rewind(ink_context *ctx, ink_kv_cache *cache, size_t length);

/*
 * Appends n tokens to the cache and attends from each of them to the positions it sees. Where attention is
 * bidirectional the cache is only room to work in: what it held is forgotten first.
 *   qkv  [n, (n_heads + 2 n_kv_heads) head_dim]: per token the queries of all heads, then keys, then values
 *   y    [n, n_heads head_dim]: the heads' results side by side; may not overlap qkv
 * INK_ERROR_LIMIT, with nothing written, if the cache has no room for n more. n may be 0.
 *
 * Shows "attn.scores" (Q K^T before scale and mask) and "attn.weights" (after the softmax), both [n_heads, rows,
 * positions], to whoever looks inside: some rows of the call at a time, with the positions that the last of them sees.
 */
ink_result ink_attention_forward(ink_context *ctx, const ink_attention *attention, ink_kv_cache *cache,
                                 const float *qkv, size_t n, float *y);

/* Takes the scratch memory for calls with up to n tokens, over caches of up to `capacity` positions, ahead of time. */
ink_result ink_attention_reserve(ink_context *ctx, const ink_attention *attention, size_t capacity, size_t n);

#ifdef __cplusplus
}
#endif

#endif
