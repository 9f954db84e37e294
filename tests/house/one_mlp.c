/*
 * one_mlp.c - a program with one f32 MLP, its weights in memory: size.sh looks at how much of the library it carries.
 */
#include <inkling.h>

int main(void)
{
    static const float w1[32 * 16], b1[32], w2[10 * 32], b2[10];
    float x[16] = {1}, hidden[32], y[10];
    ink_dense *first = NULL, *second = NULL;
    ink_context *ctx = ink_context_create(NULL);
    int failed = ctx == NULL || ink_dense_create(ctx, w1, b1, 16, 32, INK_RELU, &first) != INK_OK ||
                 ink_dense_create(ctx, w2, b2, 32, 10, INK_IDENTITY, &second) != INK_OK ||
                 ink_dense_forward(ctx, first, x, 1, hidden) != INK_OK ||
                 ink_dense_forward(ctx, second, hidden, 1, y) != INK_OK;
    ink_dense_free(second);
    ink_dense_free(first);
    ink_context_free(ctx);
    return failed;
}
