/*
 * conv.c - the convolution over time (conv.h): a product whose rows of x are windows of the sequence,
 *
 *     y_t = s(W [x_a, x_{a + d}, ..., x_{a + (kernel_size - 1) d}] + b)      a = t stride - padding_left, d = dilation
 *
 * With d = 1 the rows of a window are contiguous, so the product reads them where they lie: its rows of x are
 * kernel_size in long and stride in apart. Windows with gaps, and those that reach into the state or the padding, are
 * gathered first. A row of a product does not depend on the rows beside it, so the bits are the same either way, and a
 * sequence may be cut anywhere.
 */
#include <string.h>

#include "layers.h"

/* Strides, windows and paddings in rows. Up to twice this, a float holds every number of rows exactly. */
#define MAX_ROWS ((size_t)1 << 23)

/* Gathered windows fill about this many floats, to stay in the caches; but a product wants some rows. */
#define GATHERED_FLOATS ((size_t)1 << 16)
#define LEAST_GATHERED ((size_t)16)

/* ---- rows and windows ------------------------------------------------------------------------------------------- */

/* The most rows that a state holds: those before the last row of a window, or the padding. */
static size_t conv_most_held(const ink_conv1d *conv)
{
    return ink_size_max((conv->kernel_size - 1) * conv->dilation, conv->padding_left);
}

/* The rows of a call: `held` rows of the state, n rows of x, and the padding behind the last. Windows begin at row 0,
   stride, 2 stride, ... of them. */
typedef struct conv_rows {
    const float *state; /* the rows of the state; NULL: zeros */
    const float *x;
    size_t held, n;
    size_t skip;   /* rows before the first window that have not come yet; then there is no row at all */
    size_t length; /* windows, the rows of the output */
} conv_rows;

/*
 * state[0] counts rows from the beginning of the next window to the next row of the sequence, less padding_left, so
 * that it is 0 in the beginning. It is negative if the window begins later, which it can if the stride is longer than
 * the window: no window sees the rows before it. False if this cannot be a state of the convolution.
 */
static bool conv_begin(const ink_conv1d *conv, const float *state, const float *x, size_t n, bool last, conv_rows *rows)
{
    float count = state != NULL ? state[0] : 0;
    const float limit = 2 * (float)MAX_ROWS;
    long next = count >= -limit && count <= limit ? (long)count + (long)conv->padding_left : -(long)conv->stride;
    if ((float)(next - (long)conv->padding_left) != count || next <= -(long)conv->stride ||
        next > (long)conv_most_held(conv))
        return false;
    size_t held = next > 0 ? (size_t)next : 0, skip = (size_t)((long)held - next), skipped = ink_size_min(skip, n);
    *rows = (conv_rows){.state = state != NULL ? state + 1 : NULL, .x = x, .held = held};
    rows->n = n - skipped;
    rows->skip = skip - skipped;
    if (skipped != 0 && x != NULL)
        rows->x += skipped * conv->in;
    size_t before = (conv->kernel_size - 1) * conv->dilation + rows->skip;
    size_t total = held + rows->n + (last ? conv->padding_right : 0);
    rows->length = total > before ? (total - before - 1) / conv->stride + 1 : 0;
    return true;
}

/* Keeps the rows from the next window on. */
static void conv_end(const ink_conv1d *conv, const conv_rows *rows, bool last, float *state)
{
    size_t in = conv->in, begin = rows->length * conv->stride, end = rows->held + rows->n;
    size_t from_state = rows->held > begin ? rows->held - begin : 0, held = end > begin ? end - begin : 0;
    if (last) {
        memset(state, 0, ink_conv1d_state_size(conv) * sizeof *state);
        return;
    }
    if (from_state != 0)
        memmove(state + 1, state + 1 + begin * in, from_state * in * sizeof *state);
    if (held > from_state)
        memcpy(state + 1 + from_state * in, rows->x + (end - held + from_state - rows->held) * in,
               (held - from_state) * in * sizeof *state);
    state[0] = (float)((long)held - (long)(rows->skip + begin + held - end) - (long)conv->padding_left);
}

/* The floats of a row of a gathered window. Depthwise, a channel stands there as often as it has outputs. */
static size_t gathered_row(const ink_conv1d *conv) { return conv->taps != NULL ? conv->out : conv->in; }

static size_t gathered_windows(const ink_conv1d *conv)
{
    size_t fit = GATHERED_FLOATS / (conv->kernel_size * gathered_row(conv));
    return ink_size_min(ink_size_max(fit, LEAST_GATHERED), INK_PASS_ROWS);
}

static void conv_gather(const ink_conv1d *conv, const conv_rows *rows, size_t first, size_t count, float *to)
{
    size_t in = conv->in, size = gathered_row(conv), repeat = size / in;
    for (size_t i = 0; i < count * conv->kernel_size; i++, to += size) {
        size_t row = (first + i / conv->kernel_size) * conv->stride + i % conv->kernel_size * conv->dilation;
        const float *from = row < rows->held ? rows->state : NULL;
        if (from != NULL)
            from += row * in;
        else if (row >= rows->held && row - rows->held < rows->n)
            from = rows->x + (row - rows->held) * in;
        if (from == NULL)
            memset(to, 0, size * sizeof *to);
        else if (repeat == 1)
            memcpy(to, from, size * sizeof *to);
        else
            for (size_t c = 0; c < size; c++)
                memcpy(&to[c], &from[c / repeat], sizeof *to);
    }
}

/* ---- running ---------------------------------------------------------------------------------------------------- */

typedef struct depthwise_job {
    const ink_kernel *kernel;
    const ink_conv1d *conv;
    float *windows, *y;
} depthwise_job;

/* y = b + w_0 * x_0 + w_1 * x_1 + ...; w_j and x_j are rows of the taps and of the window */
static void depthwise_row(void *data, size_t row)
{
    const depthwise_job *job = data;
    size_t out = job->conv->out, kernel_size = job->conv->kernel_size;
    float *window = job->windows + row * kernel_size * out, *y = job->y + row * out;
    job->kernel->multiply_elements(job->conv->taps, kernel_size * out, window);
    memcpy(y, job->conv->dense.bias, out * sizeof *y);
    for (size_t j = 0; j < kernel_size; j++)
        job->kernel->add(window + j * out, out, y);
}

size_t ink_conv1d_most_rows(const ink_conv1d *conv, size_t n)
{
    ink_size_add(n, conv_most_held(conv) + conv->padding_right, &n);
    return n / conv->stride + 1;
}

size_t ink_conv1d_scratch(const ink_conv1d *conv, size_t n)
{
    size_t windows = ink_size_min(ink_conv1d_most_rows(conv, n), gathered_windows(conv)), size = SIZE_MAX;
    ink_size_mul(windows, conv->kernel_size * gathered_row(conv), &size);
    return size;
}

void ink_conv1d_run(ink_context *ctx, const ink_conv1d *conv, float *scratch, float *state, const float *x, size_t n,
                    bool last, float *y)
{
    conv_rows rows;
    size_t size = conv->kernel_size * gathered_row(conv), stride = conv->stride, count;
    if (!conv_begin(conv, state, x, n, last, &rows))
        return;
    for (size_t t = 0; t < rows.length; t += count, y += count * conv->out) {
        size_t begin = t * stride, end = rows.held + rows.n;
        bool in_place = conv->taps == NULL && conv->dilation == 1;
        count = rows.length - t;
        if (in_place && begin >= rows.held && end >= begin + conv->kernel_size) {
            count = ink_size_min(count, (end - begin - conv->kernel_size) / stride + 1);
            ink_dense_run(ctx, &conv->dense, rows.x + (begin - rows.held) * conv->in, stride * conv->in, count, y);
            continue;
        }
        if (in_place && begin < rows.held) /* only windows that begin in the state */
            count = ink_size_min(count, (rows.held - begin - 1) / stride + 1);
        count = ink_size_min(count, gathered_windows(conv));
        conv_gather(conv, &rows, t, count, scratch);
        if (conv->taps == NULL) {
            ink_dense_run(ctx, &conv->dense, scratch, size, count, y);
            continue;
        }
        depthwise_job job = {ctx->kernel, conv, scratch, y};
        ink_parallel_for(ctx, depthwise_row, &job, count, 2 * count * size);
        ink_activate_run(ctx, conv->dense.activation, y, count * conv->out, y);
    }
    if (state != NULL)
        conv_end(conv, &rows, last, state);
}

/* ---- creating --------------------------------------------------------------------------------------------------- */

ink_result ink_conv1d_describe(ink_context *ctx, size_t in, size_t out, size_t kernel_size,
                               const ink_conv1d_options *options, ink_conv1d *conv)
{
    size_t size;
    *conv = (ink_conv1d){.in = in, .out = out, .kernel_size = kernel_size, .stride = 1, .dilation = 1, .groups = 1};
    if (options != NULL) {
        conv->stride = ink_size_max(options->stride, 1);
        conv->dilation = ink_size_max(options->dilation, 1);
        conv->groups = ink_size_max(options->groups, 1);
        conv->padding_left = options->padding_left;
        conv->padding_right = options->padding_right;
        conv->dense.activation = options->activation;
        INK_TRY(ink_activation_check(ctx, "ink_conv1d_options", options->activation));
    }
    if (in == 0 || out == 0 || kernel_size == 0)
        return ink_fail(ctx, INK_ERROR_ARGUMENT,
                        "a convolution of %zu channels to %zu over %zu rows, expected 1 or more", in, out, kernel_size);
    if (conv->groups != 1 && (conv->groups != in || out % in != 0))
        return ink_fail(ctx, INK_ERROR_UNSUPPORTED,
                        "a convolution of %zu channels to %zu in %zu groups, expected 1 group, or a group for each "
                        "channel, and a multiple of them as outputs",
                        in, out, conv->groups);
    if (!ink_size_mul(kernel_size - 1, conv->dilation, &size) || size > MAX_ROWS || conv->stride > MAX_ROWS ||
        conv->padding_left > MAX_ROWS || conv->padding_right > MAX_ROWS ||
        !ink_size_mul(ink_size_max(conv_most_held(conv), kernel_size) + 1, ink_size_max(in, out), &size) ||
        size > SIZE_MAX / 8)
        return ink_fail(ctx, INK_ERROR_LIMIT,
                        "a convolution of %zu channels over %zu rows, with stride %zu, dilation %zu, padding %zu and "
                        "%zu is too large",
                        in, kernel_size, conv->stride, conv->dilation, conv->padding_left, conv->padding_right);
    return INK_OK;
}

ink_result ink_conv1d_create(ink_context *ctx, const float *weight, const float *bias, size_t in, size_t out,
                             size_t kernel_size, const ink_conv1d_options *options, ink_conv1d **conv)
{
    ink_arena measure, arena, *at = &measure;
    ink_conv1d made, *object;
    INK_REQUIRE(ctx, conv);
    *conv = NULL;
    INK_REQUIRE(ctx, weight);
    INK_TRY(ink_conv1d_describe(ctx, in, out, kernel_size, options, &made));
    size_t channels = made.groups != 1 ? 1 : in, n_taps = made.groups != 1 ? out * kernel_size : 0;
    ink_arena_measure(&measure);
    for (;; at = &arena) { /* measured first, then allocated */
        object = ink_arena_alloc(at, 1, sizeof made);
        made.taps = n_taps != 0 ? ink_alloc_rows(at, 1, n_taps) : NULL;
        ink_matrix_alloc(at, &made.dense.weight, n_taps != 0 ? 0 : out, kernel_size * in, INK_F32);
        made.dense.bias = ink_alloc_rows(at, 1, out);
        if (at == &arena)
            break;
        INK_TRY(ink_object_new(ctx, "the convolution", &measure, NULL, 0, &arena));
    }
    ink_matrix_clear(&made.dense.weight, made.dense.weight.n, kernel_size * in);
    for (size_t o = 0; o < out; o++)
        for (size_t c = 0; c < channels; c++)
            for (size_t j = 0; j < kernel_size; j++, weight++)
                if (n_taps != 0)
                    made.taps[j * out + o] = *weight;
                else
                    ink_matrix_write_row(&made.dense.weight, o, j * in + c, 1, weight);
    memset(made.dense.bias, 0, out * sizeof *bias);
    if (bias != NULL)
        memcpy(made.dense.bias, bias, out * sizeof *bias);
    *object = made;
    *conv = object;
    return INK_OK;
}

/* ---- public functions ------------------------------------------------------------------------------------------- */

void ink_conv1d_free(ink_conv1d *conv) { ink_object_free(conv); }
size_t ink_conv1d_in(const ink_conv1d *conv) { return conv->in; }
size_t ink_conv1d_out(const ink_conv1d *conv) { return conv->out; }
size_t ink_conv1d_kernel_size(const ink_conv1d *conv) { return conv->kernel_size; }
size_t ink_conv1d_state_size(const ink_conv1d *conv) { return 1 + conv_most_held(conv) * conv->in; }

bool ink_conv1d_rows(const ink_conv1d *conv, const float *state, size_t n, bool last, size_t *length)
{
    conv_rows rows;
    bool fits = conv_begin(conv, state, NULL, n, last, &rows);
    *length = fits ? rows.length : 0;
    return fits;
}

size_t ink_conv1d_length(const ink_conv1d *conv, const float *state, size_t n, bool last)
{
    size_t length;
    ink_conv1d_rows(conv, state, n, last, &length);
    return length;
}

static ink_result conv_call(ink_context *ctx, const ink_conv1d *conv, float *state, const float *x, size_t n, bool last,
                            float *y, bool reserve)
{
    ink_call call;
    ink_call_begin(&call, ctx, reserve);
    float *scratch = ink_alloc_rows(call.arena, 1, ink_conv1d_scratch(conv, n));
    if (ink_call_ready(&call))
        ink_conv1d_run(ctx, conv, scratch, state, x, n, last, y);
    return ink_call_end(&call);
}

ink_result ink_conv1d_forward(ink_context *ctx, const ink_conv1d *conv, float *state, const float *x, size_t n,
                              bool last, float *y)
{
    size_t length;
    INK_REQUIRE(ctx, conv);
    if (n > SIZE_MAX / 8 / conv->in)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: %zu rows are more than memory can hold", __func__, n);
    if (!ink_conv1d_rows(conv, state, n, last, &length))
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: the state is not one of this convolution", __func__);
    if (state == NULL && length == 0 && n != 0)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: %zu rows and their padding are shorter than a window of %zu rows",
                        __func__, n, (conv->kernel_size - 1) * conv->dilation + 1);
    if (n != 0)
        INK_REQUIRE(ctx, x);
    if (length != 0)
        INK_REQUIRE(ctx, y);
    return conv_call(ctx, conv, state, x, n, last, y, false);
}

ink_result ink_conv1d_reserve(ink_context *ctx, const ink_conv1d *conv, size_t n)
{
    INK_REQUIRE(ctx, conv);
    return conv_call(ctx, conv, NULL, NULL, n, true, NULL, true);
}
