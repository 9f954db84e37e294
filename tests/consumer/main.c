/*
 * main.c - a program that links the library in one of the ways README.md names: y = relu(W x + b), by hand and by the
 * library. Compiles as C and as C++.
 */
#include <inkling.h>

#include <stdio.h>

int main(void)
{
    const float weight[2][3] = {{1, 2, 3}, {-4, 5, -6}};
    const float bias[2] = {0.5f, -0.5f};
    const float x[3] = {1, -1, 2};
    const float expected[2] = {5.5f, 0};
    float y[2] = {-1, -1};
    ink_context *ctx = ink_context_create(NULL);
    ink_dense *dense = NULL;

    if (ctx == NULL)
        return 1;
    if (ink_dense_create(ctx, weight[0], bias, 3, 2, INK_RELU, &dense) != INK_OK ||
        ink_dense_forward(ctx, dense, x, 1, y) != INK_OK)
        printf("%s\n", ink_context_error(ctx));
    printf("inkling %s, %s kernel: %g %g\n", ink_version(), ink_context_kernel(ctx), (double)y[0], (double)y[1]);
    ink_dense_free(dense);
    ink_context_free(ctx);
    return y[0] != expected[0] || y[1] != expected[1];
}
