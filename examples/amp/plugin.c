/*
 * plugin.c - the network of an audio plug-in: what happens before the music, and what on the audio thread.
 */
#include "plugin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- before the music ------------------------------------------------------------------------------------------- */

bool amp_open(amp *a, ink_context *ctx, const char *path)
{
    ink_weights *file = NULL;
    *a = (amp){.ctx = ctx};
    bool opened = ink_weights_open(ctx, path, &file) == INK_OK &&
                  ink_recurrent_load(ctx, file, "rec", INK_LSTM, &a->lstm) == INK_OK &&
                  ink_dense_load(ctx, file, "lin", INK_IDENTITY, &a->dense) == INK_OK;
    bool fits = opened && ink_recurrent_in(a->lstm) == 1 && ink_recurrent_directions(a->lstm) == 1 &&
                ink_dense_in(a->dense) == ink_recurrent_out(a->lstm) && ink_dense_out(a->dense) == 1;
    if (!opened)
        snprintf(a->error, sizeof a->error, "%s", ink_context_error(ctx));
    else if (!fits)
        snprintf(a->error, sizeof a->error,
                 "%.200s: 'rec' has %zu inputs, %zu directions and %zu outputs, 'lin' %zu inputs and %zu outputs; "
                 "expected 1 input, 1 direction, equally many in between, and 1 output",
                 path, ink_recurrent_in(a->lstm), ink_recurrent_directions(a->lstm), ink_recurrent_out(a->lstm),
                 ink_dense_in(a->dense), ink_dense_out(a->dense));
    const char *rate = fits ? ink_weights_metadata(file, "sample_rate") : NULL;
    if (rate != NULL)
        a->rate = strtod(rate, NULL);
    ink_weights_free(file); /* the layers keep copies */
    return fits;
}

/* Training always began in the middle of a sound, so a state of zeros is none that the network knows: it would play a
   click. A third of a second of silence takes it to the state in which it rests. */
static bool find_rest(amp *a)
{
    static const float silence[128] = {0};
    const ink_sequence quiet = {.x = silence, .n_steps = 128, .state = a->rest};
    bool done = true;
    for (size_t i = 0; i < 128 && done; i++)
        done = ink_recurrent_forward(a->ctx, a->lstm, &quiet, 1) == INK_OK;
    return done;
}

bool amp_prepare(amp *a, size_t n_channels, size_t most)
{
    size_t hidden_size = ink_recurrent_out(a->lstm), state_size = ink_recurrent_state_size(a->lstm);
    a->n_channels = a->most = 0;
    free(a->rest);
    free(a->states);
    free(a->sequences);
    free(a->hidden);
    free(a->added);
    a->rest = calloc(state_size, sizeof *a->rest);
    a->states = calloc(n_channels * state_size, sizeof *a->states);
    a->sequences = calloc(n_channels, sizeof *a->sequences);
    /* calloc() looks only at the last of these products. */
    bool fits = n_channels == 0 || most == 0 || hidden_size <= SIZE_MAX / sizeof *a->hidden / n_channels / most;
    a->hidden = fits ? calloc(n_channels * most * hidden_size, sizeof *a->hidden) : NULL;
    a->added = calloc(most, sizeof *a->added);
    if (a->rest == NULL || a->states == NULL || a->sequences == NULL || a->hidden == NULL || a->added == NULL ||
        ink_recurrent_reserve(a->ctx, a->lstm, n_channels, n_channels * most) != INK_OK || !find_rest(a)) {
        snprintf(a->error, sizeof a->error, "there is no memory for blocks of %zu x %zu samples", n_channels, most);
        return false;
    }
    for (size_t c = 0; c < n_channels; c++) {
        a->sequences[c].y = a->hidden + c * most * hidden_size;
        a->sequences[c].state = a->states + c * state_size;
    }
    a->n_channels = n_channels;
    a->most = most;
    amp_reset(a);
    return true;
}

void amp_close(amp *a)
{
    ink_recurrent_free(a->lstm);
    ink_dense_free(a->dense);
    free(a->rest);
    free(a->states);
    free(a->sequences);
    free(a->hidden);
    free(a->added);
    *a = (amp){.ctx = a->ctx};
}

/* ---- on the audio thread ---------------------------------------------------------------------------------------- */

bool amp_process(amp *a, const float *const *in, size_t n, float *const *out)
{
    if (n > a->most)
        return false;
    for (size_t c = 0; c < a->n_channels; c++) {
        a->sequences[c].x = in[c];
        a->sequences[c].n_steps = n;
    }
    bool done =
        ink_recurrent_forward(a->ctx, a->lstm, a->sequences, a->n_channels) == INK_OK; /* h, c = LSTM(x, h, c) */
    for (size_t c = 0; c < a->n_channels && done; c++) {
        done = ink_dense_forward(a->ctx, a->dense, a->sequences[c].y, n, a->added) == INK_OK && /* W h + b */
               ink_add(a->ctx, in[c], n, a->added) == INK_OK;                                   /* x + W h + b */
        if (done)
            memcpy(out[c], a->added, n * sizeof *out[c]);
    }
    return done;
}

void amp_reset(amp *a)
{
    const size_t state_size = ink_recurrent_state_size(a->lstm);
    for (size_t c = 0; c < a->n_channels; c++)
        memcpy(a->states + c * state_size, a->rest, state_size * sizeof *a->states);
}
