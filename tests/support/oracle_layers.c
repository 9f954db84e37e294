/* oracle_layers.c - see oracle_layers.h. */
#include "oracle_layers.h"

#include <math.h>
#include <stdlib.h>

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

static double softplus(double x) { return x > 30 ? x : log1p(exp(x)); }

double oracle_activation_with(ink_activation activation, double a, double x)
{
    switch (activation) {
    case INK_LEAKY_RELU:
        return x > 0 ? x : a * x;
    case INK_ELU:
        return x > 0 ? x : a * expm1(x);
    case INK_SOFTPLUS:
        return softplus(a * x) / a;
    default:
        return fmin(fmax(a * x + 0.5, 0), 1);
    }
}

double oracle_activation(ink_activation activation, double x)
{
    const double pi = acos(-1);
    switch (activation) {
    case INK_RELU:
        return x > 0 ? x : 0;
    case INK_LEAKY_RELU:
        return oracle_activation_with(activation, 0.01, x);
    case INK_ELU:
    case INK_SOFTPLUS:
        return oracle_activation_with(activation, 1, x);
    case INK_TANH:
        return tanh(x);
    case INK_SIGMOID:
        return sigmoid(x);
    case INK_GELU:
        return x / 2 * erfc(-x / sqrt(2));
    case INK_GELU_TANH:
        return x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x * x * x)));
    case INK_QUICK_GELU:
        return x * sigmoid(1.702 * x);
    case INK_SILU:
        return x * sigmoid(x);
    case INK_MISH:
        return x * tanh(softplus(x));
    case INK_HARD_SIGMOID:
        return oracle_activation_with(activation, 1.0 / 6, x);
    case INK_HARD_SWISH:
        return x * oracle_activation_with(INK_HARD_SIGMOID, 1.0 / 6, x);
    default:
        return x;
    }
}

void oracle_dense(const float *w, const float *b, size_t in, size_t out, ink_activation activation, const double *x,
                  size_t n, double *y)
{
    for (size_t row = 0; row < n; row++)
        for (size_t i = 0; i < out; i++) {
            double sum = b != NULL ? b[i] : 0;
            for (size_t t = 0; t < in; t++)
                sum += (double)w[i * in + t] * x[row * in + t];
            y[row * out + i] = oracle_activation(activation, sum);
        }
}

size_t oracle_conv1d(const float *w, const float *b, size_t in, size_t out, size_t kernel,
                     const ink_conv1d_options *options, const double *x, size_t n, double *y)
{
    size_t stride = options->stride > 0 ? options->stride : 1, dilation = options->dilation > 0 ? options->dilation : 1;
    size_t groups = options->groups > 0 ? options->groups : 1, left = options->padding_left;
    size_t padded = left + n + options->padding_right, window = (kernel - 1) * dilation + 1;
    size_t length = padded >= window ? (padded - window) / stride + 1 : 0;
    for (size_t t = 0; y != NULL && t < length; t++)
        for (size_t o = 0; o < out; o++) {
            size_t group = o / (out / groups);
            double sum = b != NULL ? b[o] : 0;
            for (size_t c = 0; c < in / groups; c++)
                for (size_t j = 0; j < kernel; j++) {
                    size_t row = t * stride + j * dilation;
                    if (row >= left && row < left + n)
                        sum +=
                            w[(o * (in / groups) + c) * kernel + j] * x[(row - left) * in + group * (in / groups) + c];
                }
            y[t * out + o] = oracle_activation(options->activation, sum);
        }
    return length;
}

void oracle_norm(const float *weight, const float *bias, size_t size, double eps, const double *x, double *y)
{
    double mean = 0, variance = 0;
    for (size_t i = 0; i < size; i++)
        mean += x[i] / (double)size;
    for (size_t i = 0; i < size; i++)
        variance += (x[i] - mean) * (x[i] - mean) / (double)size;
    for (size_t i = 0; i < size; i++)
        y[i] = (x[i] - mean) / sqrt(variance + eps) * weight[i] + (bias != NULL ? bias[i] : 0);
}

void oracle_rms_norm(const float *weight, size_t size, double eps, const double *x, double *y)
{
    double square = 0;
    for (size_t i = 0; i < size; i++)
        square += x[i] * x[i] / (double)size;
    for (size_t i = 0; i < size; i++)
        y[i] = x[i] / sqrt(square + eps) * weight[i];
}

/* ---- rope ----------------------------------------------------------------------------------------------------- */

static const double pi = 3.14159265358979323846;

/* YaRN, section 3.2: the index of the frequency that turns `turns` times over the original length. */
static double index_of_turns(const ink_rope *rope, double turns)
{
    return (double)rope->head_dim * log((double)rope->original_length / (turns * 2 * pi)) / (2 * log(rope->theta));
}

static double stretch(const ink_rope *rope, size_t m, double w)
{
    double wavelength = 2 * pi / w, original = (double)rope->original_length, s;
    double low = fmax(floor(index_of_turns(rope, rope->beta_fast)), 0);
    double high = fmin(ceil(index_of_turns(rope, rope->beta_slow)), (double)rope->head_dim - 1);
    switch (rope->type) {
    case INK_ROPE_LINEAR:
        return w / rope->factor;
    case INK_ROPE_LLAMA3:
        if (wavelength < original / rope->high_freq_factor)
            return w;
        if (wavelength > original / rope->low_freq_factor)
            return w / rope->factor;
        s = (original / wavelength - rope->low_freq_factor) / (rope->high_freq_factor - rope->low_freq_factor);
        return (1 - s) * w / rope->factor + s * w;
    case INK_ROPE_YARN:
        s = fmin(fmax(((double)m - low) / (high - low + (high == low ? 0.001 : 0)), 0), 1);
        return s * w / rope->factor + (1 - s) * w;
    default:
        return w;
    }
}

void oracle_rope(const ink_rope *rope, size_t position, size_t capacity, double *head, double *frequencies)
{
    size_t half = rope->head_dim / 2;
    double theta = rope->theta, scale = 1, d = (double)rope->head_dim;
    if (rope->type == INK_ROPE_DYNAMIC && capacity > rope->original_length)
        theta *= pow(rope->factor * (double)capacity / (double)rope->original_length - (rope->factor - 1), d / (d - 2));
    if (rope->type == INK_ROPE_YARN)
        scale = rope->attention_factor != 0 ? rope->attention_factor : 0.1 * log(rope->factor) + 1;
    for (size_t m = 0; m < half; m++) {
        float power = (float)pow(theta, (double)(float)(2 * (double)m / d));
        double w = stretch(rope, m, (double)(1 / power));
        double angle = (double)((float)position * (float)w), a = head[m], b = head[half + m];
        head[m] = scale * (a * cos(angle) - b * sin(angle));
        head[half + m] = scale * (b * cos(angle) + a * sin(angle));
        if (frequencies != NULL)
            frequencies[m] = w;
    }
}

/* ---- recurrent ------------------------------------------------------------------------------------------------ */

/* Row `gate` h + i of W x + b. */
static double row_sum(const float *w, const float *b, size_t row, size_t size, const double *x)
{
    double sum = b != NULL ? b[row] : 0;
    for (size_t t = 0; t < size; t++)
        sum += (double)w[row * size + t] * x[t];
    return sum;
}

void oracle_step(const oracle_cell *cell, const double *x, double *h, double *c)
{
    size_t n = cell->h;
    double *next = malloc(n * sizeof *next);
    if (next == NULL)
        abort();
    bool reset_before = cell->cell == INK_GRU_RESET_BEFORE;
    double *reset = malloc(n * sizeof *reset);
    if (reset == NULL)
        abort();
    for (size_t i = 0; i < n; i++)
        reset[i] = reset_before ? h[i] * sigmoid(row_sum(cell->w_ih, cell->b_ih, i, cell->in, x) +
                                                 row_sum(cell->w_hh, cell->b_hh, i, n, h))
                                : 0;
    for (size_t i = 0; i < n; i++) {
        double gi[4] = {0}, gh[4] = {0};
        size_t gates = cell->cell == INK_LSTM ? 4 : cell->cell == INK_GRU || reset_before ? 3 : 1;
        for (size_t gate = 0; gate < gates; gate++) {
            gi[gate] = row_sum(cell->w_ih, cell->b_ih, gate * n + i, cell->in, x);
            gh[gate] = row_sum(cell->w_hh, cell->b_hh, gate * n + i, n, h);
        }
        if (cell->cell == INK_GRU) {
            double r = sigmoid(gi[0] + gh[0]), z = sigmoid(gi[1] + gh[1]);
            next[i] = (1 - z) * tanh(gi[2] + r * gh[2]) + z * h[i];
        } else if (reset_before) {
            double z = sigmoid(gi[1] + gh[1]), a = row_sum(cell->w_hh, cell->b_hh, 2 * n + i, n, reset);
            next[i] = (1 - z) * tanh(gi[2] + a) + z * h[i];
        } else if (cell->cell == INK_RNN_IDENTITY) {
            next[i] = gi[0] + gh[0];
        } else if (cell->cell == INK_LSTM) {
            c[i] = sigmoid(gi[1] + gh[1]) * c[i] + sigmoid(gi[0] + gh[0]) * tanh(gi[2] + gh[2]);
            next[i] = sigmoid(gi[3] + gh[3]) * tanh(c[i]);
        } else {
            next[i] = cell->cell == INK_RNN_RELU ? fmax(gi[0] + gh[0], 0) : tanh(gi[0] + gh[0]);
        }
    }
    for (size_t i = 0; i < n; i++)
        h[i] = next[i];
    free(reset);
    free(next);
}

/* One query q over the keys and values of positions 0 .. n - 1, which lie `stride` apart; bias [n] or NULL. */
static void attend(const double *q, const double *keys, const double *values, const double *bias, size_t stride,
                   size_t n, size_t size, double scale, double *y)
{
    double *p = malloc(n * sizeof *p), largest = -INFINITY, total = 0;
    if (p == NULL)
        abort();
    for (size_t s = 0; s < n; s++) {
        p[s] = bias != NULL ? bias[s] : 0;
        for (size_t t = 0; t < size; t++)
            p[s] += scale * q[t] * keys[s * stride + t];
        largest = fmax(largest, p[s]);
    }
    for (size_t s = 0; s < n; s++)
        total += p[s] = exp(p[s] - largest);
    for (size_t t = 0; t < size; t++) {
        y[t] = 0;
        for (size_t s = 0; s < n; s++)
            y[t] += p[s] / total * values[s * stride + t];
    }
    free(p);
}

void oracle_attend_additively(const oracle_additive *additive, const double *h, const double *k, size_t n,
                              double *weights, double *context)
{
    size_t row_size = additive->row_size;
    double total = 0, largest = -INFINITY;
    for (size_t s = 0; s < n; s++) {
        weights[s] = 0;
        for (size_t i = 0; i < additive->size; i++)
            weights[s] += additive->v[i] * tanh(row_sum(additive->w_a, additive->b_a, i, additive->in, h) +
                                                row_sum(additive->u_a, additive->b_u, i, row_size, k + s * row_size));
        largest = fmax(largest, weights[s]);
    }
    for (size_t s = 0; s < n; s++)
        total += weights[s] = exp(weights[s] - largest);
    for (size_t i = 0; i < row_size; i++)
        context[i] = 0;
    for (size_t s = 0; s < n; s++) {
        weights[s] /= total;
        for (size_t i = 0; i < row_size; i++)
            context[i] += weights[s] * k[s * row_size + i];
    }
}

size_t oracle_bucket(long relative, size_t n_buckets, size_t max_distance, bool bidirectional)
{
    size_t n = bidirectional ? n_buckets / 2 : n_buckets, exact = n / 2, first = bidirectional && relative > 0 ? n : 0;
    long distance = bidirectional ? labs(relative) : relative < 0 ? -relative : 0;
    if (distance < (long)exact)
        return first + (size_t)distance;
    double steps = log((double)distance / (double)exact) / log((double)max_distance / (double)exact);
    return first + (size_t)fmin((double)(n - 1), (double)exact + floor(steps * (double)(n - exact) + 1e-9));
}

void oracle_attention(const ink_attention *attention, const double *bias, const double *qkv, size_t n, double *y)
{
    size_t size = attention->head_dim;
    size_t per_kv = attention->n_heads / attention->n_kv_heads;
    size_t stride = (attention->n_heads + 2 * attention->n_kv_heads) * size;
    double scale = attention->scale != 0 ? attention->scale : 1 / sqrt((double)size);
    for (size_t row = 0; row < n; row++)
        for (size_t head = 0; head < attention->n_heads; head++) {
            const double *keys = qkv + (attention->n_heads + head / per_kv) * size;
            const double *values = keys + attention->n_kv_heads * size;
            size_t window = attention->window != 0 && attention->window < n ? attention->window : n;
            size_t begin = row + 1 > window ? row + 1 - window : 0;
            size_t end = attention->bidirectional ? row + window : row + 1;
            end = end < n ? end : n;
            attend(qkv + row * stride + head * size, keys + begin * stride, values + begin * stride,
                   bias != NULL ? bias + (head * n + row) * n + begin : NULL, stride, end - begin, size, scale,
                   y + (row * attention->n_heads + head) * size);
        }
}

void oracle_cross_attention(const ink_attention *attention, const double *q, size_t n, const double *kv,
                            size_t n_source, double *y)
{
    size_t size = attention->head_dim, per_kv = attention->n_heads / attention->n_kv_heads;
    size_t width = attention->n_kv_heads * size;
    double scale = attention->scale != 0 ? attention->scale : 1 / sqrt((double)size);
    for (size_t i = 0; i < n * attention->n_heads; i++) {
        const double *keys = kv + i % attention->n_heads / per_kv * size;
        attend(q + i * size, keys, keys + width, NULL, 2 * width, n_source, size, scale, y + i * size);
    }
}
