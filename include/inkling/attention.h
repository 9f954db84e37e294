/*
 * attention.h - multi-head attention over a key/value cache (Vaswani et al. 2017, section 3.2).
 *
 *     head_i = softmax(Q_i K_i^T / sqrt(head_dim)) V_i
 *
 *   causal          row t sees the positions 0 .. t
 *   bidirectional   every row sees all positions; a call is a whole sequence
 *   with a window   only those at a distance below it                                  (Beltagy et al. 2020):
 *                   t - window + 1 .. t, and bidirectional t - window + 1 .. t + window - 1
 *
 * Both products run in the library's one kernel. The keys of a head are a packed matrix [positions, head_dim] and the
 * values a packed matrix [head_dim, positions]; a token adds a row to the first and a column to the second. Both are
 * f32, or f16, or 8-bit codes with one scale for each position and head, rounded when the token is added. A masked
 * position contributes an exact zero, so the result of a token does not depend on how the prompt was cut.
 *
 * The projections W_q, W_k, W_v, W_o are separate dense layers; the caller runs them before and after:
 *
 *     ink_attention attention = {.n_heads = 12, .n_kv_heads = 12, .head_dim = 64};
 *     ink_kv_cache_create(ctx, &attention, 1024, &cache);
 *     ink_dense_forward(ctx, to_qkv, x, n, qkv);
 *     ink_attention_forward(ctx, &attention, cache, qkv, n, heads);
 *     ink_dense_forward(ctx, to_out, heads, n, y);
 *
 * Only one call at a time may use a cache.
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
    size_t window;      /* row t sees position s only if |t - s| < window; 0: no window */
    bool bidirectional; /* rows also see the positions after their own */
} ink_attention;

/* The keys and values of one layer of one sequence: room for `capacity` positions, `length` of them filled. */
typedef struct ink_kv_cache ink_kv_cache;

/* Creates an empty cache; free it with ink_kv_cache_free(). INK_ERROR_ARGUMENT if the capacity or a count is 0, if
   n_heads is not a multiple of n_kv_heads, or if scale is negative or not finite; INK_ERROR_MEMORY,
   INK_ERROR_LIMIT. */
ink_result ink_kv_cache_create(ink_context *ctx, const ink_attention *attention, size_t capacity, ink_kv_cache **cache);

/* The same with keys and values as `type`: INK_F32, INK_F16 or INK_I8. model.h says what the types cost and change
   (ink_state_options). INK_ERROR_ARGUMENT for another type, INK_ERROR_UNSUPPORTED if this build leaves the type out. */
ink_result ink_kv_cache_create_as(ink_context *ctx, const ink_attention *attention, size_t capacity, ink_type type,
                                  ink_kv_cache **cache);
void ink_kv_cache_free(ink_kv_cache *cache);

/* Positions filled so far. */
size_t ink_kv_cache_length(const ink_kv_cache *cache);

/* Forgets all positions from `length` on; INK_ERROR_ARGUMENT if fewer are filled. */
ink_result ink_kv_cache_rewind(ink_context *ctx, ink_kv_cache *cache, size_t length);

/*
 * Appends n tokens to the cache and attends from each of them to the positions it sees. Bidirectional attention empties
 * the cache first and uses it only as work space.
 *   qkv  [n, (n_heads + 2 n_kv_heads) head_dim]: per token the queries of all heads, then keys, then values
 *   y    [n, n_heads head_dim]: the heads' results side by side; may not overlap qkv
 * INK_ERROR_ARGUMENT if the cache was created for other heads; INK_ERROR_LIMIT, with nothing written, if it has no room
 * for n more; INK_ERROR_MEMORY. n may be 0.
 *
 * Traces "attn.scores" (Q K^T before scale and mask) and "attn.weights" (after the softmax), both [n_heads, rows,
 * positions], for some rows of the call at a time and the positions that these rows see.
 */
ink_result ink_attention_forward(ink_context *ctx, const ink_attention *attention, ink_kv_cache *cache,
                                 const float *qkv, size_t n, float *y);

/* Allocates the scratch memory for calls with up to n tokens, over caches of up to `capacity` positions. Such calls
   then allocate nothing. */
ink_result ink_attention_reserve(ink_context *ctx, const ink_attention *attention, size_t capacity, size_t n);

#ifdef __cplusplus
}
#endif

#endif
