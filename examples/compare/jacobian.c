/*
 * jacobian.c - how a small change of an RNN's state travels from step to step.
 */
#include "jacobian.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "console.h"

/* ---- weights --------------------------------------------------------------------------------------------------- */

/* A square matrix of the file, transposed: y = x W instead of y = x W^T. */
static bool read_transposed(jacobian *j, const ink_weights *weights, const char *name, size_t layer, ink_matrix **out)
{
    char full[64];
    const ink_weight *weight;
    size_t n;
    snprintf(full, sizeof full, "rnn.weight_%s_l%zu", name, layer);
    weight = ink_weights_find(weights, full);
    n = weight != NULL && weight->shape.rank == 2 ? weight->shape.dim[0] : 0;
    if (n == 0 || weight->shape.dim[1] != n || (j->size != 0 && j->size != n))
        return console_complain("%s: '%s' is missing, or no square matrix of the size of the others",
                                ink_weights_name(weights), full);
    j->size = n;
    float *w = console_memory(n * n, sizeof *w), *transposed = console_memory(n * n, sizeof *transposed);
    bool done = w != NULL && transposed != NULL && console_ok(j->ctx, ink_weights_read(j->ctx, weights, weight, w));
    for (size_t i = 0; done && i < n * n; i++)
        transposed[i % n * n + i / n] = w[i];
    const ink_tensor view = ink_tensor_2d(transposed, n, n);
    done = done && console_ok(j->ctx, ink_matrix_create(j->ctx, &view, INK_F32, out));
    free(transposed);
    free(w);
    return done;
}

bool jacobian_open(jacobian *j, ink_context *ctx, const char *file)
{
    ink_weights *weights;
    char next[64];
    *j = (jacobian){.ctx = ctx};
    bool done = console_ok(ctx, ink_weights_open(ctx, file, &weights));
    if (!done)
        return false;
    do {
        size_t layer = j->n_layers;
        done = read_transposed(j, weights, "hh", layer, &j->across[layer]) &&
               (layer == 0 || read_transposed(j, weights, "ih", layer, &j->upward[layer]));
        j->n_layers += done;
        snprintf(next, sizeof next, "rnn.weight_hh_l%zu", j->n_layers);
    } while (done && j->n_layers < JACOBIAN_MAX_LAYERS && ink_weights_find(weights, next) != NULL);
    ink_weights_free(weights);
    if (!done)
        return false;
    size_t rows = j->n_layers * j->size;
    j->p = console_memory(rows * rows, sizeof *j->p);
    j->passed = console_memory(rows * j->size, sizeof *j->passed);
    j->below = console_memory(rows * j->size, sizeof *j->below);
    return j->p != NULL && j->passed != NULL && j->below != NULL;
}

void jacobian_close(jacobian *j)
{
    for (size_t layer = 0; layer < JACOBIAN_MAX_LAYERS; layer++) {
        ink_matrix_free(j->across[layer]);
        ink_matrix_free(j->upward[layer]);
        free(j->h[layer]);
    }
    free(j->p);
    free(j->passed);
    free(j->below);
    *j = (jacobian){0};
}

/* ---- states ----------------------------------------------------------------------------------------------------- */

/* Called by the library with every intermediate value; "rnn.l0.h" is a layer's state after a step, [1, size]. */
static void keep_state(void *user, const char *name, const ink_tensor *value)
{
    jacobian *j = user;
    for (size_t layer = 0; layer < j->n_layers; layer++) {
        char wanted[32];
        snprintf(wanted, sizeof wanted, "rnn.l%zu.h", layer);
        if (strcmp(name, wanted) == 0 && j->n_steps[layer] < j->max_steps)
            memcpy(j->h[layer] + j->n_steps[layer]++ * j->size, value->data, j->size * sizeof(float));
    }
}

bool jacobian_follow(jacobian *j, const ink_model *model, const ink_token *tokens, size_t n)
{
    ink_state *state;
    bool done;
    for (size_t layer = 0; layer < j->n_layers; layer++) {
        free(j->h[layer]);
        j->h[layer] = console_memory(n * j->size, sizeof *j->h[layer]);
        j->n_steps[layer] = 0;
        if (j->h[layer] == NULL)
            return false;
    }
    j->max_steps = n;
    if (!console_ok(j->ctx, ink_state_create(j->ctx, model, n, &state)))
        return false;
    ink_context_trace(j->ctx, keep_state, j);
    done = console_ok(j->ctx, ink_model_forward(j->ctx, model, state, tokens, n, NULL));
    ink_context_trace(j->ctx, NULL, NULL);
    ink_state_free(state);
    return done && (j->n_steps[j->n_layers - 1] == n ||
                    console_complain("the model is not the recurrent network whose weights were read"));
}

/* ---- the product ----------------------------------------------------------------------------------------------- */

/* out = P^l D^l [rows, size]: the columns of P that belong to a layer, each times tanh' = 1 - h^2 of its unit. */
static void take_columns(const jacobian *j, size_t layer, const float *h, float *out)
{
    size_t rows = j->n_layers * j->size;
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < j->size; i++)
            out[r * j->size + i] = j->p[r * rows + layer * j->size + i] * (1 - h[i] * h[i]);
}

static void put_columns(const jacobian *j, size_t layer, const float *columns, bool add)
{
    size_t rows = j->n_layers * j->size;
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < j->size; i++) {
            float *p = &j->p[r * rows + layer * j->size + i];
            *p = columns[r * j->size + i] + (add ? *p : 0);
        }
}

/*
 * P = P J_t. From the top layer down, with P^l the columns of layer l and D^l = diag(1 - (h_t^l)^2):
 *
 *     P^{l-1} = P^{l-1} + P^l D^l W^l        to the layer below, in the same step
 *     P^l     = P^l D^l U^l                  to the same layer, one step earlier
 */
static bool step_back(jacobian *j, size_t t)
{
    size_t rows = j->n_layers * j->size;
    for (size_t layer = j->n_layers; layer-- > 0;) {
        take_columns(j, layer, j->h[layer] + t * j->size, j->passed);
        if (layer > 0) {
            if (!console_ok(j->ctx, ink_matrix_multiply(j->ctx, j->upward[layer], NULL, j->passed, rows, j->below)))
                return false;
            put_columns(j, layer - 1, j->below, true);
        }
        if (!console_ok(j->ctx, ink_matrix_multiply(j->ctx, j->across[layer], NULL, j->passed, rows, j->below)))
            return false;
        put_columns(j, layer, j->below, false);
    }
    return true;
}

/* Returns |P| / sqrt(rows) and scales P back to about the norm of a unit matrix, so that floats can hold it. The factor
   is a power of two and changes no digit. */
static double norm_and_scale(jacobian *j)
{
    size_t rows = j->n_layers * j->size;
    double sum = 0;
    int e;
    for (size_t i = 0; i < rows * rows; i++)
        sum += (double)j->p[i] * (double)j->p[i];
    sum = sqrt(sum / (double)rows);
    frexp(sum, &e);
    const double factor = ldexp(1, -e);
    for (size_t i = 0; sum > 0 && i < rows * rows; i++)
        j->p[i] = (float)(factor * (double)j->p[i]);
    return sum;
}

bool jacobian_norms(jacobian *j, double *norms, size_t n)
{
    size_t rows = j->n_layers * j->size, last = j->n_steps[0] - 1;
    double scale = 1; /* the true product is scale * p */
    int e;
    memset(j->p, 0, rows * rows * sizeof *j->p);
    for (size_t i = 0; i < rows; i++)
        j->p[i * rows + i] = 1;
    for (size_t k = 0; k < n; k++) {
        if (!step_back(j, last - k))
            return false;
        norms[k] = norm_and_scale(j);
        frexp(norms[k], &e);
        norms[k] *= scale;
        scale = ldexp(scale, e);
    }
    return true;
}
