/*
 * jacobian.c - how a small change of the state of an RNN, a GRU or an LSTM travels from step to step.
 */
#include "jacobian.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "console.h"
#include "stats.h"

/* ---- weights --------------------------------------------------------------------------------------------------- */

static const ink_weight *find(const ink_weights *weights, const char *name, size_t layer)
{
    char full[64];
    snprintf(full, sizeof full, "rnn.%s_l%zu", name, layer);
    return ink_weights_find(weights, full);
}

/* A matrix [gates * size, size] of the file, transposed: y = x W instead of y = x W^T. */
static bool read_transposed(jacobian *j, const ink_weights *weights, const char *name, size_t layer, ink_matrix **out)
{
    const ink_weight *weight = find(weights, name, layer);
    const size_t n = j->size, m = j->gates * n;
    if (weight == NULL || weight->shape.rank != 2 || weight->shape.dim[0] != m || weight->shape.dim[1] != n)
        return console_complain("%s: 'rnn.%s_l%zu' is missing, or has another shape than the first layer",
                                ink_weights_name(weights), name, layer);
    float *w = console_memory(m * n, sizeof *w), *transposed = console_memory(m * n, sizeof *transposed);
    bool done = w != NULL && transposed != NULL && console_ok(j->ctx, ink_weights_read(j->ctx, weights, weight, w));
    for (size_t i = 0; done && i < m * n; i++)
        transposed[i % n * m + i / n] = w[i];
    const ink_tensor view = ink_tensor_2d(transposed, n, m);
    done = done && console_ok(j->ctx, ink_matrix_create(j->ctx, &view, INK_F32, out));
    free(transposed);
    free(w);
    return done;
}

/* U_n and c_n of a GRU: the last third of the recurrent weights and of their bias. */
static bool read_candidate(jacobian *j, const ink_weights *weights, size_t layer)
{
    const ink_weight *weight = find(weights, "weight_hh", layer), *bias = find(weights, "bias_hh", layer);
    const size_t n = j->size, first = 2 * n;
    if (weight == NULL || bias == NULL || bias->shape.rank != 1 || bias->shape.dim[0] != 3 * n)
        return console_complain("%s: 'rnn.bias_hh_l%zu' is missing, or has another size than the weights",
                                ink_weights_name(weights), layer);
    float *w = console_memory(3 * n * n, sizeof *w), *b = console_memory(3 * n, sizeof *b);
    float *kept = j->layers[layer].bias = console_memory(n, sizeof *kept);
    bool done = w != NULL && b != NULL && kept != NULL &&
                console_ok(j->ctx, ink_weights_read(j->ctx, weights, weight, w)) &&
                console_ok(j->ctx, ink_weights_read(j->ctx, weights, bias, b));
    if (done) {
        const ink_tensor view = ink_tensor_2d(w + first * n, n, n);
        memcpy(kept, b + first, n * sizeof *kept);
        done = console_ok(j->ctx, ink_matrix_create(j->ctx, &view, INK_F32, &j->layers[layer].candidate));
    }
    free(b);
    free(w);
    return done;
}

/* The cell, by the shape of its recurrent weights: one, three or four square matrices. */
static bool find_cell(jacobian *j, const ink_weights *weights)
{
    const ink_weight *weight = find(weights, "weight_hh", 0);
    j->size = weight != NULL && weight->shape.rank == 2 ? weight->shape.dim[1] : 0;
    j->gates = j->size > 0 && weight->shape.dim[0] % j->size == 0 ? weight->shape.dim[0] / j->size : 0;
    j->cell = j->gates == 1 ? INK_RNN_TANH : j->gates == 3 ? INK_GRU : INK_LSTM;
    return j->gates == 1 || j->gates == 3 || j->gates == 4 ||
           console_complain("%s: 'rnn.weight_hh_l0' is missing, or not that of an RNN, a GRU or an LSTM",
                            ink_weights_name(weights));
}

bool jacobian_open(jacobian *j, ink_context *ctx, const char *file)
{
    ink_weights *weights;
    *j = (jacobian){.ctx = ctx, .random = 1};
    if (!console_ok(ctx, ink_weights_open(ctx, file, &weights)))
        return false;
    bool done = find_cell(j, weights);
    while (done && j->n_layers < JACOBIAN_MAX_LAYERS && find(weights, "weight_hh", j->n_layers) != NULL) {
        const size_t i = j->n_layers++;
        done = read_transposed(j, weights, "weight_hh", i, &j->layers[i].across) &&
               (i == 0 || read_transposed(j, weights, "weight_ih", i, &j->layers[i].upward)) &&
               (j->cell != INK_GRU || read_candidate(j, weights, i));
    }
    ink_weights_free(weights);
    if (!done)
        return false;
    j->width = j->n_layers * j->size * (j->cell == INK_LSTM ? 2 : 1);
    j->p = console_memory(j->width * j->width, sizeof *j->p);
    j->passed = console_memory(j->width * j->gates * j->size, sizeof *j->passed);
    j->below = console_memory(j->width * j->size, sizeof *j->below);
    j->m = console_memory(j->size, sizeof *j->m);
    return j->p != NULL && j->passed != NULL && j->below != NULL && j->m != NULL;
}

static void forget_steps(jacobian_layer *l)
{
    free(l->h);
    free(l->c);
    free(l->gates);
    l->h = l->c = l->gates = NULL;
    l->n_h = l->n_c = l->n_gates = 0;
}

void jacobian_close(jacobian *j)
{
    for (size_t i = 0; i < JACOBIAN_MAX_LAYERS; i++) {
        ink_matrix_free(j->layers[i].across);
        ink_matrix_free(j->layers[i].upward);
        ink_matrix_free(j->layers[i].candidate);
        free(j->layers[i].bias);
        forget_steps(&j->layers[i]);
    }
    free(j->p);
    free(j->passed);
    free(j->below);
    free(j->m);
    *j = (jacobian){0};
}

/* ---- states ----------------------------------------------------------------------------------------------------- */

static void keep(float *rows, size_t *n_rows, size_t max_rows, const ink_tensor *value, size_t n)
{
    if (*n_rows < max_rows)
        memcpy(rows + (*n_rows)++ * n, value->data, n * sizeof *rows);
}

/* Called by the library with every intermediate value: "rnn.l0.h" and "rnn.l0.c" are a layer's state after a step, [1,
   size], and "rnn.l0.gates" r, z and n of a GRU, i, f, g and o of an LSTM, [1, gates * size]. */
static void keep_state(void *user, const char *name, const ink_tensor *value)
{
    jacobian *j = user;
    for (size_t i = 0; i < j->n_layers; i++) {
        jacobian_layer *l = &j->layers[i];
        char scope[32];
        const int n = snprintf(scope, sizeof scope, "rnn.l%zu.", i);
        if (strncmp(name, scope, (size_t)n) != 0)
            continue;
        if (strcmp(name + n, "h") == 0)
            keep(l->h, &l->n_h, j->max_steps, value, j->size);
        else if (strcmp(name + n, "c") == 0)
            keep(l->c, &l->n_c, j->max_steps, value, j->size);
        else if (strcmp(name + n, "gates") == 0)
            keep(l->gates, &l->n_gates, j->max_steps, value, j->gates * j->size);
    }
}

bool jacobian_follow(jacobian *j, const ink_model *model, const ink_token *tokens, size_t n)
{
    ink_state *state;
    bool done = true;
    for (size_t i = 0; i < j->n_layers; i++) {
        jacobian_layer *l = &j->layers[i];
        forget_steps(l);
        l->h = console_memory(n * j->size, sizeof *l->h);
        l->c = console_memory(n * j->size, sizeof *l->c);
        l->gates = console_memory(n * j->gates * j->size, sizeof *l->gates);
        done = done && l->h != NULL && l->c != NULL && l->gates != NULL;
    }
    j->max_steps = n;
    if (!done || !console_ok(j->ctx, ink_state_create(j->ctx, model, n, &state)))
        return false;
    ink_context_trace(j->ctx, keep_state, j);
    done = console_ok(j->ctx, ink_model_forward(j->ctx, model, state, tokens, n, NULL));
    ink_context_trace(j->ctx, NULL, NULL);
    ink_state_free(state);
    const jacobian_layer *top = &j->layers[j->n_layers - 1];
    return done &&
           ((top->n_h == n && top->n_gates == (j->gates > 1 ? n : 0) && top->n_c == (j->cell == INK_LSTM ? n : 0)) ||
            console_complain("the model is not the recurrent network whose weights were read"));
}

/* ---- the product ----------------------------------------------------------------------------------------------- */

/*
 * One row of P goes back through the cell of a layer at step t. p_h and p_c are the derivatives by h_t and c_t. `a`
 * becomes those by what the gates add up before their sigma or tanh, [gates, size]; from there a W leads to the input
 * and a U to h_{t-1}. All products here are element by element, and sigma' = s (1 - s), tanh' = 1 - s^2:
 *
 *     RNN    h' = tanh(..)                a   = p_h (1 - h'^2)
 *
 *     GRU    h' = (1 - z) n + z h         a_n = p_h (1 - z) (1 - n^2)
 *            n = tanh(.. + r m)           a_r = a_n m r (1 - r)                m = U_n h + c_n
 *                                         a_z = p_h (h - n) z (1 - z)
 *            directly to h:               p_h z;  and to m: a_n r
 *
 *     LSTM   h' = o tanh(c')              q   = p_c + p_h o (1 - tanh^2 c')    tanh c' = h' / o
 *            c' = f c + i g               a_i = q g i (1 - i)    a_f = q c f (1 - f)    a_g = q i (1 - g^2)
 *                                         a_o = p_h tanh(c') o (1 - o)
 *            directly to c:               q f
 *
 * The LSTM's path from c' to c has only f in it. To the input `inputs` leaves p_h and p_c as they are; otherwise they
 * become what reaches h and c of the step before directly.
 */
static void through_cell(const jacobian *j, const jacobian_layer *l, size_t t, bool inputs, float *p_h, float *p_c,
                         float *a)
{
    const size_t n = j->size;
    const float *gates = l->gates + t * j->gates * n, *h = l->h + t * n, *before = h - n;
    for (size_t k = 0; k < n; k++) {
        const float p = p_h[k];
        float to_h = 0, to_c = 0;
        if (j->cell == INK_RNN_TANH) {
            a[k] = p * (1 - h[k] * h[k]);
        } else if (j->cell == INK_GRU) {
            const float r = gates[k], z = gates[n + k], c = gates[2 * n + k], a_n = p * (1 - z) * (1 - c * c);
            a[k] = a_n * j->m[k] * r * (1 - r);
            a[n + k] = p * (before[k] - c) * z * (1 - z);
            a[2 * n + k] = inputs ? a_n : a_n * r;
            to_h = p * z;
        } else {
            const float i = gates[k], f = gates[n + k], g = gates[2 * n + k], o = gates[3 * n + k], s = h[k] / o;
            const float q = p_c[k] + p * o * (1 - s * s);
            a[k] = q * g * i * (1 - i);
            a[n + k] = q * l->c[(t - 1) * n + k] * f * (1 - f);
            a[2 * n + k] = q * i * (1 - g * g);
            a[3 * n + k] = p * s * o * (1 - o);
            to_c = q * f;
        }
        if (!inputs) {
            p_h[k] = to_h;
            if (j->cell == INK_LSTM)
                p_c[k] = to_c;
        }
    }
}

/* Takes all rows of P through the cells of a layer, and adds what arrives over W or U to the columns of a layer. */
static bool pass(jacobian *j, size_t layer, size_t t, size_t rows, const ink_matrix *w, size_t to)
{
    const jacobian_layer *l = &j->layers[layer];
    const size_t n = j->size;
    for (size_t r = 0; r < rows; r++) {
        float *p = j->p + r * j->width;
        through_cell(j, l, t, to != layer, p + layer * n, p + (j->n_layers + layer) * n, j->passed + r * j->gates * n);
    }
    if (!console_ok(j->ctx, ink_matrix_multiply(j->ctx, w, NULL, j->passed, rows, j->below)))
        return false;
    for (size_t r = 0; r < rows; r++)
        for (size_t k = 0; k < n; k++)
            j->p[r * j->width + to * n + k] += j->below[r * n + k];
    return true;
}

/* P = P J_t. From the top layer down: first to the layer below in the same step, then to the step before. */
static bool step_back(jacobian *j, size_t t, size_t rows)
{
    for (size_t i = j->n_layers; i-- > 0;) {
        const jacobian_layer *l = &j->layers[i];
        if (l->candidate != NULL &&
            !console_ok(j->ctx, ink_matrix_multiply(j->ctx, l->candidate, l->bias, l->h + (t - 1) * j->size, 1, j->m)))
            return false;
        if ((i > 0 && !pass(j, i, t, rows, l->upward, i - 1)) || !pass(j, i, t, rows, l->across, i))
            return false;
    }
    return true;
}

/* Returns |P| / sqrt(rows) and scales P back to about the norm of a unit matrix, so that floats can hold it. The factor
   is a power of two and changes no digit. */
static double norm_and_scale(jacobian *j, size_t rows)
{
    double sum = 0;
    int e;
    for (size_t i = 0; i < rows * j->width; i++)
        sum += (double)j->p[i] * (double)j->p[i];
    sum = sqrt(sum / (double)rows);
    frexp(sum, &e);
    const double factor = ldexp(1, -e);
    for (size_t i = 0; sum > 0 && i < rows * j->width; i++)
        j->p[i] = (float)(factor * (double)j->p[i]);
    return sum;
}

bool jacobian_norms(jacobian *j, size_t n_random, double *norms, size_t n)
{
    const size_t rows = n_random > 0 ? n_random : j->width, last = j->layers[0].n_h - 1;
    double scale = n_random > 0 ? 1 / sqrt((double)j->width) : 1; /* the true product is scale * p */
    int e;
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < j->width; i++)
            j->p[r * j->width + i] = n_random > 0 ? (random_below(&j->random, 2) != 0 ? 1.0F : -1.0F) : (float)(r == i);
    for (size_t k = 0; k < n; k++) {
        if (!step_back(j, last - k, rows))
            return false;
        norms[k] = norm_and_scale(j, rows);
        frexp(norms[k], &e);
        norms[k] *= scale;
        scale = ldexp(scale, e);
    }
    return true;
}
