/*
 * sentence.c - sentence-transformers: the rows h_1 .. h_n of a text become one vector (Reimers, Gurevych 2019).
 *
 *     Pooling       cls h_1;  max;  mean sum h_t / n;  mean_sqrt_len_tokens sum h_t / sqrt(n);
 *                   weightedmean sum t h_t / sum t;  lasttoken h_n;  several are put side by side
 *     Dense         s(W v + b)
 *     Normalize     v / max(|v|, 1e-12)
 */
#include <string.h>

#include "encoder.h"

void ink_sentence_alloc_scratch(ink_arena *arena, const ink_sentence *sentence, size_t n_texts,
                                ink_sentence_scratch *scratch)
{
    scratch->a = ink_alloc_rows(arena, n_texts, sentence->widest);
    scratch->b = ink_alloc_rows(arena, n_texts, sentence->widest);
}

/* One mode, over the n rows of a text, into y [size]. */
static void pool(const ink_kernel *kernel, ink_pooling mode, const float *x, size_t n, size_t size, float *y)
{
    const float *from = mode == INK_POOLING_LAST ? x + (n - 1) * size : x;
    bool adds = mode == INK_POOLING_MEAN || mode == INK_POOLING_MEAN_SQRT || mode == INK_POOLING_WEIGHTED_MEAN;
    if (!adds)
        memcpy(y, from, size * sizeof *y);
    else
        memset(y, 0, size * sizeof *y);
    for (size_t t = 0; t < n; t++, x += size)
        if (mode == INK_POOLING_MAX)
            kernel->keep_largest(x, size, y);
        else if (mode == INK_POOLING_MEAN)
            kernel->add_share(x, size, 1, (float)n, y);
        else if (mode == INK_POOLING_MEAN_SQRT)
            kernel->add_share(x, size, kernel->inverse_sqrt((float)n), 1, y);
        else if (mode == INK_POOLING_WEIGHTED_MEAN)
            kernel->add_share(x, size, (float)(t + 1), (float)(n * (n + 1) / 2), y);
}

const float *ink_sentence_run(ink_context *ctx, const ink_sentence *sentence, const ink_sentence_scratch *scratch,
                              const ink_span *spans, size_t n_spans, const float *x, size_t hidden_size)
{
    size_t width = sentence->n_modes * hidden_size;
    float *y = scratch->a, *spare = scratch->b;
    for (size_t i = 0; i < n_spans; i++)
        for (size_t mode = 0; mode < sentence->n_modes; mode++)
            pool(ctx->kernel, sentence->modes[mode], x + spans[i].first * hidden_size, spans[i].count, hidden_size,
                 y + i * width + mode * hidden_size);
    INK_TRACE(ctx, "pooled", ink_tensor_2d(y, n_spans, width));

    for (size_t s = 0; s < sentence->n_steps; s++) {
        const ink_sentence_step *step = &sentence->steps[s];
        for (size_t i = 0; step->normalise && i < n_spans; i++)
            ctx->kernel->unit_length(y + i * width, width);
        if (step->normalise)
            continue;
        ink_dense_run(ctx, &step->dense, y, n_spans, spare);
        float *done = spare;
        spare = y;
        y = done;
        width = step->dense.weight.n;
    }
    return y;
}
