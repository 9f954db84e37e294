/*
 * rope.c - rotary position embedding (formulae: rope.h): rotates pairs of elements of a head by an angle that grows
 * with the position.
 *
 * A state holds the frequencies, a pass the angles of its rows. Both are the same for every layer and head, so they are
 * computed once, and a layer only multiplies.
 */
#include "layers.h"

/* The approximate number of float operations to rotate one element. */
#define ROTATE_WORK ((size_t)4)

#define LARGEST_LENGTH (1 << 24)
#define LARGEST_NUMBER 1e6

const char *ink_rope_type_name(ink_rope_type type)
{
    static const char *const names[INK_ROPE_N_TYPES] = {"plain", "linear", "dynamic", "llama3", "yarn"};
    return (unsigned)type < INK_ROPE_N_TYPES ? names[type] : "unknown";
}

/* ---- settings ------------------------------------------------------------------------------------------------- */

static ink_result rope_out_of_range(ink_context *ctx, const ink_rope *rope, const char *what)
{
    return ink_fail(ctx, INK_ERROR_ARGUMENT, "rope of type %s: %s", ink_rope_type_name(rope->type), what);
}

ink_result ink_rope_check(ink_context *ctx, const ink_rope *rope)
{
    if ((unsigned)rope->type >= INK_ROPE_N_TYPES)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "there is no rope type %d", (int)rope->type);
    if (rope->head_dim == 0 || rope->head_dim % 2 != 0)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "rope: head_dim is %zu, expected an even number of at least 2",
                        rope->head_dim);
    if (!(rope->theta > 1 && rope->theta <= 1e30))
        return rope_out_of_range(ctx, rope, "expected a theta above 1 and at most 1e30");
    if (rope->type == INK_ROPE_PLAIN)
        return INK_OK;
    if (!(rope->factor >= 1 && rope->factor <= LARGEST_NUMBER))
        return rope_out_of_range(ctx, rope, "expected a factor from 1 to 1e6");
    if (rope->type == INK_ROPE_LINEAR)
        return INK_OK;
    if (rope->original_length < 1 || rope->original_length > LARGEST_LENGTH)
        return rope_out_of_range(ctx, rope, "expected an original length from 1 to 2^24");
    if (rope->type == INK_ROPE_DYNAMIC && rope->head_dim <= 2)
        return rope_out_of_range(ctx, rope, "expected a head_dim above 2");
    if (rope->type == INK_ROPE_LLAMA3 &&
        !(rope->low_freq_factor > 0 && rope->low_freq_factor < rope->high_freq_factor &&
          rope->high_freq_factor <= LARGEST_NUMBER))
        return rope_out_of_range(ctx, rope, "expected 0 < low_freq_factor < high_freq_factor <= 1e6");
    if (rope->type == INK_ROPE_YARN &&
        !(rope->beta_slow > 0 && rope->beta_slow <= rope->beta_fast && rope->beta_fast <= LARGEST_NUMBER))
        return rope_out_of_range(ctx, rope, "expected 0 < beta_slow <= beta_fast <= 1e6");
    if (rope->type == INK_ROPE_YARN && !(rope->attention_factor >= 0 && rope->attention_factor <= LARGEST_NUMBER))
        return rope_out_of_range(ctx, rope, "expected an attention_factor from 0 to 1e6");
    return INK_OK;
}

/* ---- angles ------------------------------------------------------------------------------------------------------ */

void ink_angles_alloc(ink_arena *arena, const ink_rope *rope, size_t rows, ink_angles *angles)
{
    angles->n = rope->head_dim / 2;
    angles->cosines = ink_alloc_rows(arena, rows, angles->n);
    angles->sines = ink_alloc_rows(arena, rows, angles->n);
}

void ink_angles_fill(const ink_kernel *kernel, const float *frequencies, float scale, size_t position, size_t first,
                     size_t count, const ink_angles *angles)
{
    size_t n = angles->n;
    for (size_t i = 0; i < count; i++)
        kernel->rope_angles(frequencies, n, position + i, scale, angles->cosines + (first + i) * n,
                            angles->sines + (first + i) * n);
}

void ink_angles_rotate(const ink_kernel *kernel, const ink_angles *angles, size_t row, size_t n_heads, float *x)
{
    size_t n = angles->n;
    for (size_t head = 0; head < n_heads; head++)
        kernel->rope_rotate(x + head * 2 * n, n, angles->cosines + row * n, angles->sines + row * n);
}

/* ---- public functions -------------------------------------------------------------------------------------------- */

typedef struct rotate_job {
    const ink_kernel *kernel;
    const ink_angles *angles;
    size_t n_heads, stride;
    float *x;
} rotate_job;

static void rotate_row(void *data, size_t row)
{
    const rotate_job *job = data;
    ink_angles_rotate(job->kernel, job->angles, row, job->n_heads, job->x + row * job->stride);
}

ink_result ink_rope_forward(ink_context *ctx, const ink_rope *rope, size_t position, size_t capacity, size_t n_heads,
                            size_t stride, size_t n, float *x)
{
    INK_REQUIRE(ctx, rope);
    INK_TRY(ink_rope_check(ctx, rope));
    if (position > INK_ROPE_MAX_LENGTH || n > INK_ROPE_MAX_LENGTH - position)
        return ink_fail(ctx, INK_ERROR_LIMIT,
                        "%s: %zu tokens from position %zu on do not fit into the %zu positions that rope supports",
                        __func__, n, position, INK_ROPE_MAX_LENGTH);
    if (stride / rope->head_dim < n_heads)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: %zu heads of size %zu do not fit a row of %zu floats", __func__,
                        n_heads, rope->head_dim, stride);
    if (n == 0)
        return INK_OK;
    INK_REQUIRE(ctx, x);

    ink_call call;
    ink_angles angles;
    ink_call_begin(&call, ctx, false);
    float *frequencies = ink_alloc_rows(call.arena, 1, rope->head_dim / 2);
    ink_angles_alloc(call.arena, rope, ink_size_min(n, INK_PASS_ROWS), &angles);
    if (ink_call_ready(&call)) {
        float scale = ctx->kernel->rope_frequencies(rope, capacity, frequencies);
        for (size_t first = 0; first < n; first += INK_PASS_ROWS) {
            size_t count = ink_size_min(n - first, INK_PASS_ROWS);
            rotate_job job = {ctx->kernel, &angles, n_heads, stride, x + first * stride};
            ink_angles_fill(ctx->kernel, frequencies, scale, position + first, 0, count, &angles);
            ink_parallel_for(ctx, rotate_row, &job, count, count * n_heads * rope->head_dim * ROTATE_WORK);
        }
    }
    return ink_call_end(&call);
}
