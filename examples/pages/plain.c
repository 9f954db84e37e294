/*
 * plain.c - what the networks of these pages compute, in plain loops. It needs no library and aims at nothing but to be
 * read:
 *
 *     cc examples/pages/plain.c -lm -o plain && ./plain
 *
 * A vector is an array of floats. A matrix W [out, in] is its rows, one after the other, so that W x takes the inner
 * product of each row with x. tests/test_plain.c shows that src/ computes the same numbers, only faster.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST = 512 }; /* the longest vector here */

/* ---- the multi-layer perceptron --------------------------------------------------------------------------------- */

/* y = W x + b;  W [out, in], b [out] or NULL */
static void dense(const float *w, const float *b, const float *x, int in, int out, float *y)
{
    for (int i = 0; i < out; i++) {
        float sum = 0;
        for (int j = 0; j < in; j++)
            sum += w[i * in + j] * x[j];
        y[i] = sum + (b != NULL ? b[i] : 0);
    }
}

/* h = tanh(W x + b): one layer of an MLP */
static void tanh_layer(const float *w, const float *b, const float *x, int in, int out, float *h)
{
    dense(w, b, x, in, out, h);
    for (int i = 0; i < out; i++)
        h[i] = tanhf(h[i]);
}

/* p_i = e^(z_i) / (e^(z_1) + ... + e^(z_n)): scores become probabilities. Taking the largest from each changes nothing
   but keeps e^z from overflowing. */
static void softmax(const float *z, int n, float *p)
{
    float largest = z[0], sum = 0;
    for (int i = 1; i < n; i++)
        largest = z[i] > largest ? z[i] : largest;
    for (int i = 0; i < n; i++) {
        p[i] = expf(z[i] - largest);
        sum += p[i];
    }
    for (int i = 0; i < n; i++)
        p[i] /= sum;
}

/* ---- recurrent networks: h is what they remember, and every step replaces it ------------------------------------- */

static float sigma(float a) { return 1 / (1 + expf(-a)); } /* from 0 to 1: a gate */

/* h' = tanh(W x + b + U h + c);  W [size, in], U [size, size] */
static void rnn_step(const float *w, const float *b, const float *u, const float *c, const float *x, int in, int size,
                     float *h)
{
    float from_x[MOST], from_h[MOST];
    dense(w, b, x, in, size, from_x);
    dense(u, c, h, size, size, from_h);
    for (int i = 0; i < size; i++)
        h[i] = tanhf(from_x[i] + from_h[i]);
}

/* r, z = sigma(W x + b + U h + c)            r: how much of h the candidate n sees; z: how much of h stays
   n    = tanh(W_n x + b_n + r * (U_n h + c_n))
   h'   = (1 - z) * n + z * h                 W [3 size, in] and U [3 size, size] hold r, z, n one after the other */
static void gru_step(const float *w, const float *b, const float *u, const float *c, const float *x, int in, int size,
                     float *h)
{
    float from_x[3 * MOST], from_h[3 * MOST];
    dense(w, b, x, in, 3 * size, from_x);
    dense(u, c, h, size, 3 * size, from_h);
    for (int i = 0; i < size; i++) {
        const float r = sigma(from_x[i] + from_h[i]);
        const float z = sigma(from_x[size + i] + from_h[size + i]);
        const float n = tanhf(from_x[2 * size + i] + r * from_h[2 * size + i]);
        h[i] = (1 - z) * n + z * h[i];
    }
}

/* i, f, o = sigma(W x + b + U h + c)         i: how much comes in; f: how much stays; o: how much is shown
   g       = tanh(W_g x + b_g + U_g h + c_g)
   m'      = f * m + i * g                    the memory, which changes by addition (c in most books)
   h'      = o * tanh(m')                     W [4 size, in] and U [4 size, size] hold i, f, g, o one after the other */
static void lstm_step(const float *w, const float *b, const float *u, const float *c, const float *x, int in, int size,
                      float *h, float *m)
{
    float from_x[4 * MOST], from_h[4 * MOST];
    dense(w, b, x, in, 4 * size, from_x);
    dense(u, c, h, size, 4 * size, from_h);
    for (int j = 0; j < size; j++) {
        const float i = sigma(from_x[j] + from_h[j]);
        const float f = sigma(from_x[size + j] + from_h[size + j]);
        const float g = tanhf(from_x[2 * size + j] + from_h[2 * size + j]);
        const float o = sigma(from_x[3 * size + j] + from_h[3 * size + j]);
        m[j] = f * m[j] + i * g;
        h[j] = o * tanhf(m[j]);
    }
}

/* ---- the Transformer: nothing is summarised, everything is looked up --------------------------------------------- */

/* y = sum over t of a_t v_t,   a = softmax(q . k_t / sqrt(d)):  one head, one word that asks.
   keys and values [n, stride], of which this head has d columns; a [n] is left for whoever wants to look. */
static void attention(const float *q, const float *keys, const float *values, int n, int stride, int d, float *a,
                      float *y)
{
    for (int t = 0; t < n; t++) {
        a[t] = 0;
        for (int i = 0; i < d; i++)
            a[t] += q[i] * keys[t * stride + i];
        a[t] /= sqrtf((float)d);
    }
    softmax(a, n, a);
    for (int i = 0; i < d; i++) {
        y[i] = 0;
        for (int t = 0; t < n; t++)
            y[i] += a[t] * values[t * stride + i];
    }
}

/* y = (x - mean) / sqrt(variance + eps) * weight + bias */
static void layer_norm(const float *weight, const float *bias, float eps, const float *x, int n, float *y)
{
    float mean = 0, variance = 0;
    for (int i = 0; i < n; i++)
        mean += x[i] / (float)n;
    for (int i = 0; i < n; i++)
        variance += (x[i] - mean) * (x[i] - mean) / (float)n;
    for (int i = 0; i < n; i++)
        y[i] = (x[i] - mean) / sqrtf(variance + eps) * weight[i] + bias[i];
}

/* x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))): nearly x for large x, nearly 0 for small */
static float gelu(float x) { return x / 2 * (1 + tanhf(0.7978845608f * (x + 0.044715f * x * x * x))); }

/* The weights of a block of width d: attention, and an MLP with 4 d numbers in the middle. */
typedef struct block {
    const float *norm_1, *norm_1_bias, *qkv, *qkv_bias, *out, *out_bias; /* qkv [3 d, d], out [d, d] */
    const float *norm_2, *norm_2_bias, *up, *up_bias, *down, *down_bias; /* up [4 d, d], down [d, 4 d] */
} block;

/* x += out attention(norm_1(x))     gather from the words so far
   x += down gelu(up norm_2(x))      and transform this one by itself
   for the word at position t. keys and values [t + 1, d] of the words so far stay; no other word changes. */
static void block_step(const block *w, int d, int n_heads, int t, float *keys, float *values, float *x)
{
    float y[MOST], qkv[3 * MOST], hidden[4 * MOST], weights[MOST];
    layer_norm(w->norm_1, w->norm_1_bias, 1e-5f, x, d, y);
    dense(w->qkv, w->qkv_bias, y, d, 3 * d, qkv);
    memcpy(keys + t * d, qkv + d, (size_t)d * sizeof(float));
    memcpy(values + t * d, qkv + 2 * d, (size_t)d * sizeof(float));
    for (int head = 0; head < n_heads; head++) {
        const int at = head * (d / n_heads);
        attention(qkv + at, keys + at, values + at, t + 1, d, d / n_heads, weights, y + at);
    }
    dense(w->out, w->out_bias, y, d, d, qkv);
    for (int i = 0; i < d; i++)
        x[i] += qkv[i];
    layer_norm(w->norm_2, w->norm_2_bias, 1e-5f, x, d, y);
    dense(w->up, w->up_bias, y, d, 4 * d, hidden);
    for (int i = 0; i < 4 * d; i++)
        hidden[i] = gelu(hidden[i]);
    dense(w->down, w->down_bias, hidden, 4 * d, d, y);
    for (int i = 0; i < d; i++)
        x[i] += y[i];
}

/* ---- what is left of the first word? ------------------------------------------------------------------------------
 */

/*
 * The first word carries a 1, the words after it nothing. Each network has a number or two to remember with, and
 * weights chosen by hand. How much of the 1 is left later?
 *
 *     MLP            sees the last 16 words
 *     RNN            h' = tanh(2 x + 0.9 h)
 *     GRU            its gate z lets h change where x is 1, and keeps it elsewhere
 *     LSTM           its gate i opens where x is 1; its gate f is 0.9975
 *     Transformer    every word asks for the first one; what it finds is added to its own vector
 */
int main(void)
{
    enum { WINDOW = 16 };
    static const float zeros[16] = {0}, ones[] = {1, 1};
    static const float mlp_w[WINDOW] = {2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2};
    static const float rnn_w[] = {2}, rnn_u[] = {0.9f};
    static const float gru_w[] = {0, -12, 3}, gru_b[] = {0, 6, 0};         /* r, z, n */
    static const float lstm_w[] = {12, 0, 3, 0}, lstm_b[] = {-6, 6, 0, 3}; /* i, f, g, o */
    static const float qkv[] = {0, 0, 0, 0, /* q = (9, 0) */ 1, 0, 0, 0, /* k and v: */ 1, 0, 0, 0 /* (y_1, 0) */};
    static const float qkv_bias[] = {9, 0, 0, 0, 0, 0}, out[] = {1, 0, 0, 0};
    static const block w = {ones, zeros, qkv, qkv_bias, out, zeros, ones, zeros, zeros, zeros, zeros, zeros};
    static float window[WINDOW], mlp, rnn, gru, lstm, memory, keys[2 * MOST], values[2 * MOST];
    printf("words later     MLP     RNN     GRU    LSTM  Transformer\n");
    for (int t = 0; t <= 256; t++) {
        const float x = t == 0;
        float vector[] = {x, 1 - x};
        memmove(window, window + 1, sizeof window - sizeof *window);
        window[WINDOW - 1] = x;
        tanh_layer(mlp_w, zeros, window, WINDOW, 1, &mlp);
        rnn_step(rnn_w, zeros, rnn_u, zeros, &x, 1, 1, &rnn);
        gru_step(gru_w, gru_b, zeros, zeros, &x, 1, 1, &gru);
        lstm_step(lstm_w, lstm_b, zeros, zeros, &x, 1, 1, &lstm, &memory);
        block_step(&w, 2, 1, t, keys, values, vector);
        if ((t & (t - 1)) == 0) /* 0, 1, 2, 4, 8 ... */
            printf("%11d  %6.3f  %6.3f  %6.3f  %6.3f  %11.3f\n", t, mlp, rnn, gru, lstm, vector[0] - x);
    }
    return 0;
}
