/*
 * recurrent.c - running RNN, GRU and LSTM layers over sequences (recurrent.h has the formulae; reading them from a file
 * is in recurrent_load.c).
 *
 * Sequences are worked through in pieces. Within a piece, one direction of one layer is a pass:
 *
 *     gi = W_ih X + b_ih                     the inputs of many steps at once, m = max_rows
 *     for each step:
 *         gh = W_hh H + b_hh                 the states of all sequences that still run, m = their number
 *         h, c = cell(gi, gh, h, c)          row by row
 *         H = W_hr H                         of a projected LSTM
 *
 * The sequences are ordered by length, so those that still run at a step are always the first few rows of H. Inputs are
 * gathered in the order of the steps, so that those of one step are neighbours too. The reverse direction counts its
 * steps from each sequence's own end.
 *
 * In one direction a piece is max_rows inputs, which all layers see before the next piece begins, so that scratch does
 * not grow with the sequence. A bidirectional layer needs its whole input first: there the piece is everything.
 */
#include <string.h>

#include "../base/bytes.h"
#include "layers.h"

/* Input rows of one product. */
#define CHUNK_ROWS ((size_t)128)

/* About the operations on floats that one element of a state takes in a cell. */
#define CELL_WORK ((size_t)64)

/* ---- scratch -------------------------------------------------------------------------------------------------- */

void ink_recurrent_alloc_scratch(ink_arena *arena, const ink_recurrent *recurrent, size_t n_sequences, size_t n_steps,
                                 ink_recurrent_scratch *scratch)
{
    size_t h = recurrent->hidden_size;
    size_t out = recurrent->h_size * recurrent->n_directions;
    size_t gates = h * ink_cell_gates(recurrent->cell);
    n_sequences = ink_size_min(n_sequences, n_steps); /* only those with steps take part */
    scratch->max_rows = ink_size_min(n_steps, ink_size_max(n_sequences, CHUNK_ROWS));
    scratch->order = ink_arena_alloc(arena, n_sequences, sizeof *scratch->order);
    scratch->tracks = ink_arena_alloc(arena, n_sequences, sizeof *scratch->tracks);
    scratch->x = ink_alloc_rows(arena, scratch->max_rows, ink_size_max(recurrent->in, out));
    scratch->gi = ink_alloc_rows(arena, scratch->max_rows, gates);
    scratch->gh = ink_alloc_rows(arena, n_sequences, gates);
    scratch->h = ink_alloc_rows(arena, n_sequences, recurrent->h_size);
    scratch->wide_h = recurrent->h_size != h ? ink_alloc_rows(arena, n_sequences, h) : scratch->h;
    scratch->c = recurrent->cell == INK_LSTM ? ink_alloc_rows(arena, n_sequences, h) : NULL;

    size_t piece_rows = recurrent->n_directions == 1 ? scratch->max_rows : n_steps;
    for (size_t i = 0; i < 2; i++)
        scratch->between[i] = recurrent->n_layers > i + 1 ? ink_alloc_rows(arena, piece_rows, out) : NULL;
}

/* ---- pieces --------------------------------------------------------------------------------------------------- */

/* What the passes of one piece share. */
typedef struct ink_piece {
    ink_context *ctx;
    const ink_recurrent *recurrent;
    const ink_recurrent_scratch *scratch;
    const ink_track *tracks; /* [n_tracks], longest first, each with at least one step */
    size_t n_tracks;
} ink_piece;

/* One direction of one layer of a piece. */
typedef struct ink_pass {
    const ink_piece *piece;
    const ink_recurrent_layer *parameters;
    size_t layer, direction;
    size_t in; /* size of an input row */
} ink_pass;

static int compare_lengths(const void *user, size_t a, size_t b)
{
    const ink_sequence *sequences = user;
    if (sequences[a].n_steps != sequences[b].n_steps)
        return sequences[a].n_steps > sequences[b].n_steps ? -1 : 1;
    return a < b ? -1 : a > b;
}

/* The sequences with steps, longest first, equal ones in the order they came in. */
static size_t order_sequences(const ink_sequence *sequences, size_t n_sequences, const ink_recurrent_scratch *scratch)
{
    size_t n = 0;
    for (size_t i = 0; i < n_sequences; i++)
        if (sequences[i].n_steps > 0)
            scratch->order[n++] = INK_KEY(0, i);
    ink_sort(scratch->order, n, &(ink_ties){compare_lengths, sequences});
    for (size_t i = 0; i < n; i++)
        scratch->tracks[i] = (ink_track){.sequence = &sequences[ink_key_index(scratch->order[i])]};
    return n;
}

/* How many of the first `running` tracks have a step `step`. */
static size_t count_running(const ink_track *tracks, size_t running, size_t step)
{
    while (running > 0 && tracks[running - 1].n_steps <= step)
        running--;
    return running;
}

/* Sets up the tracks for the steps from `done` on, at most `length` of each sequence; how many have any. */
static size_t begin_piece(ink_track *tracks, size_t n_tracks, size_t done, size_t length)
{
    size_t first = 0;
    for (size_t i = 0; i < n_tracks; i++) {
        ink_track *track = &tracks[i];
        track->done = done;
        track->n_steps = ink_size_min(track->sequence->n_steps - ink_size_min(done, track->sequence->n_steps), length);
        track->first = first;
        first += track->n_steps;
    }
    return count_running(tracks, n_tracks, 0);
}

/* ---- where rows lie ------------------------------------------------------------------------------------------- */

/* The step of the piece, counted from its beginning, that is `step` in the direction of the pass. */
static size_t step_of(const ink_pass *p, const ink_track *track, size_t step)
{
    return p->direction == 0 ? step : track->n_steps - 1 - step;
}

static const float *input_row(const ink_pass *p, const ink_track *track, size_t step)
{
    size_t t = step_of(p, track, step);
    if (p->layer == 0)
        return track->sequence->x + (track->done + t) * p->in;
    return p->piece->scratch->between[(p->layer - 1) % 2] + (track->first + t) * p->in;
}

/* NULL if nobody wants it. */
static float *output_row(const ink_pass *p, const ink_track *track, size_t step)
{
    const ink_recurrent *recurrent = p->piece->recurrent;
    size_t t = step_of(p, track, step);
    size_t out = recurrent->h_size * recurrent->n_directions;
    size_t column = p->direction * recurrent->h_size;
    if (p->layer + 1 < recurrent->n_layers)
        return p->piece->scratch->between[p->layer % 2] + (track->first + t) * out + column;
    return track->sequence->y != NULL ? track->sequence->y + (track->done + t) * out + column : NULL;
}

/* The h of this layer and direction in a sequence's state, and its c, which lies behind all h. */
static float *state_h(const ink_pass *p, const ink_track *track)
{
    const ink_recurrent *recurrent = p->piece->recurrent;
    return track->sequence->state + (p->layer * recurrent->n_directions + p->direction) * recurrent->h_size;
}

static float *state_c(const ink_pass *p, const ink_track *track)
{
    const ink_recurrent *recurrent = p->piece->recurrent;
    float *all_c = track->sequence->state + recurrent->n_layers * recurrent->n_directions * recurrent->h_size;
    return all_c + (p->layer * recurrent->n_directions + p->direction) * recurrent->hidden_size;
}

static void gather_states(const ink_pass *p)
{
    const ink_piece *piece = p->piece;
    size_t h_size = piece->recurrent->h_size, c_size = piece->recurrent->hidden_size;
    for (size_t i = 0; i < piece->n_tracks; i++) {
        memcpy(piece->scratch->h + i * h_size, state_h(p, &piece->tracks[i]), h_size * sizeof(float));
        if (piece->recurrent->cell == INK_LSTM)
            memcpy(piece->scratch->c + i * c_size, state_c(p, &piece->tracks[i]), c_size * sizeof(float));
    }
}

static void scatter_states(const ink_pass *p)
{
    const ink_piece *piece = p->piece;
    size_t h_size = piece->recurrent->h_size, c_size = piece->recurrent->hidden_size;
    for (size_t i = 0; i < piece->n_tracks; i++) {
        memcpy(state_h(p, &piece->tracks[i]), piece->scratch->h + i * h_size, h_size * sizeof(float));
        if (piece->recurrent->cell == INK_LSTM)
            memcpy(state_c(p, &piece->tracks[i]), piece->scratch->c + i * c_size, c_size * sizeof(float));
    }
}

/* ---- one pass ------------------------------------------------------------------------------------------------- */

/* The first step after those, from `step` on, whose inputs fit into one product; *rows is how many inputs that is. */
static size_t chunk_end(const ink_piece *piece, size_t step, size_t *rows)
{
    size_t running = count_running(piece->tracks, piece->n_tracks, step);
    *rows = 0;
    while (running > 0 && *rows + running <= piece->scratch->max_rows) {
        *rows += running;
        running = count_running(piece->tracks, running, ++step);
    }
    return step;
}

/* The inputs of the steps first .. end - 1 one after the other. A single sequence has them so already. */
static const float *gather_inputs(const ink_pass *p, size_t first, size_t end)
{
    const ink_piece *piece = p->piece;
    float *row = piece->scratch->x;
    if (piece->n_tracks == 1 && p->direction == 0)
        return input_row(p, piece->tracks, first);
    for (size_t step = first; step < end; step++) {
        size_t running = count_running(piece->tracks, piece->n_tracks, step);
        for (size_t i = 0; i < running; i++, row += p->in)
            memcpy(row, input_row(p, &piece->tracks[i], step), p->in * sizeof *row);
    }
    return piece->scratch->x;
}

static void multiply(const ink_pass *p, const ink_matrix *w, const float *bias, const float *x, size_t m, float *y)
{
    const ink_product product = {.x = x, .x_stride = w->k, .m = m, .w = w, .bias = bias, .y = y, .y_stride = w->n};
    ink_multiply(p->piece->ctx, &product);
}

static void run_cell(const ink_pass *p, float *gi, const float *gh, float *h, float *c)
{
    const ink_kernel *kernel = p->piece->ctx->kernel;
    size_t h_size = p->piece->recurrent->hidden_size;
    float *gates = p->piece->ctx->trace != NULL ? gi : NULL; /* gi is used up */
    switch (p->piece->recurrent->cell) {
    case INK_RNN_TANH:
    case INK_RNN_RELU:
        kernel->rnn_cell(gi, gh, h_size, p->piece->recurrent->cell == INK_RNN_RELU, h);
        break;
    case INK_GRU:
        kernel->gru_cell(gi, gh, h_size, h, gates);
        break;
    case INK_LSTM:
        kernel->lstm_cell(gi, gh, h_size, h, c, gates);
        break;
    case INK_N_CELLS:
        break;
    }
}

/* What follows the recurrent product of a step: one task for each sequence that still runs. */
typedef struct step_job {
    const ink_pass *p;
    size_t step;
    size_t gates; /* G h */
    float *gi;    /* [running, G h] of this step */
} step_job;

static void put_output(const step_job *job, size_t i)
{
    const ink_piece *piece = job->p->piece;
    size_t h_size = piece->recurrent->h_size;
    float *y = output_row(job->p, &piece->tracks[i], job->step);
    if (y != NULL)
        memcpy(y, piece->scratch->h + i * h_size, h_size * sizeof *y);
}

static void finish_sequence(void *data, size_t i)
{
    const step_job *job = data;
    const ink_piece *piece = job->p->piece;
    size_t hidden = piece->recurrent->hidden_size;
    float *h = piece->scratch->wide_h + i * hidden;
    float *c = piece->recurrent->cell == INK_LSTM ? piece->scratch->c + i * hidden : NULL;
    run_cell(job->p, job->gi + i * job->gates, piece->scratch->gh + i * job->gates, h, c);
    if (job->p->parameters->w_hr.n == 0)
        put_output(job, i);
}

/* h = W_hr h, of all sequences that run. */
static void project(const step_job *job, size_t running)
{
    const ink_recurrent_scratch *scratch = job->p->piece->scratch;
    multiply(job->p, &job->p->parameters->w_hr, NULL, scratch->wide_h, running, scratch->h);
    for (size_t i = 0; i < running; i++)
        put_output(job, i);
}

static void look_at_step(const ink_pass *p, const float *gates, size_t running)
{
    const ink_piece *piece = p->piece;
    size_t h = piece->recurrent->hidden_size;
    size_t n_gates = ink_cell_gates(piece->recurrent->cell);
    size_t scope = ink_trace_enter(piece->ctx, p->direction == 0 ? "l%zu." : "l%zu_reverse.", p->layer);
    if (n_gates > 1)
        INK_TRACE(piece->ctx, "gates", ink_tensor_2d(gates, running, n_gates * h));
    INK_TRACE(piece->ctx, "h", ink_tensor_2d(piece->scratch->h, running, piece->recurrent->h_size));
    if (piece->recurrent->cell == INK_LSTM)
        INK_TRACE(piece->ctx, "c", ink_tensor_2d(piece->scratch->c, running, h));
    ink_trace_leave(piece->ctx, scope);
}

static void run_steps(const ink_pass *p, size_t first, size_t end)
{
    const ink_piece *piece = p->piece;
    size_t h = piece->recurrent->hidden_size;
    size_t running = piece->n_tracks;
    step_job job = {.p = p, .gates = h * ink_cell_gates(piece->recurrent->cell), .gi = piece->scratch->gi};
    for (job.step = first; job.step < end; job.step++) {
        running = count_running(piece->tracks, running, job.step);
        multiply(p, &p->parameters->w_hh, p->parameters->b_hh, piece->scratch->h, running, piece->scratch->gh);
        ink_parallel_for(piece->ctx, finish_sequence, &job, running, running * h * CELL_WORK);
        if (p->parameters->w_hr.n != 0)
            project(&job, running);
        if (piece->ctx->trace != NULL)
            look_at_step(p, job.gi, running);
        job.gi += running * job.gates;
    }
}

static void run_pass(const ink_pass *p)
{
    size_t n_steps = p->piece->tracks[0].n_steps;
    gather_states(p);
    for (size_t step = 0; step < n_steps;) {
        size_t rows, end = chunk_end(p->piece, step, &rows);
        const float *x = gather_inputs(p, step, end);
        multiply(p, &p->parameters->w_ih, p->parameters->b_ih, x, rows, p->piece->scratch->gi);
        run_steps(p, step, end);
        step = end;
    }
    scatter_states(p);
}

static void run_piece(const ink_piece *piece)
{
    const ink_recurrent *recurrent = piece->recurrent;
    for (size_t layer = 0; layer < recurrent->n_layers; layer++)
        for (size_t direction = 0; direction < recurrent->n_directions; direction++) {
            const ink_recurrent_layer *parameters = &recurrent->layers[layer * recurrent->n_directions + direction];
            const ink_pass p = {.piece = piece,
                                .parameters = parameters,
                                .layer = layer,
                                .direction = direction,
                                .in = parameters->w_ih.k};
            run_pass(&p);
        }
}

void ink_recurrent_run(ink_context *ctx, const ink_recurrent *recurrent, const ink_recurrent_scratch *scratch,
                       const ink_sequence *sequences, size_t n_sequences)
{
    size_t n_tracks = order_sequences(sequences, n_sequences, scratch);
    ink_piece piece = {.ctx = ctx, .recurrent = recurrent, .scratch = scratch, .tracks = scratch->tracks};
    size_t n_steps = n_tracks > 0 ? scratch->tracks[0].sequence->n_steps : 0;
    for (size_t done = 0; done < n_steps;) {
        size_t length = n_steps;
        if (recurrent->n_directions == 1)
            length = ink_size_max(scratch->max_rows / n_tracks, 1);
        n_tracks = piece.n_tracks = begin_piece(scratch->tracks, n_tracks, done, length);
        run_piece(&piece);
        done += length;
    }
}

/* ---- the public edge ------------------------------------------------------------------------------------------ */

static ink_result check_sequences(ink_context *ctx, const ink_sequence *sequences, size_t n_sequences, size_t *n_steps)
{
    *n_steps = 0;
    for (size_t i = 0; i < n_sequences; i++) {
        const ink_sequence *sequence = &sequences[i];
        if (sequence->n_steps == 0)
            continue;
        if (sequence->x == NULL)
            return ink_fail(ctx, INK_ERROR_ARGUMENT, "ink_recurrent_forward: sequences[%zu].x is NULL", i);
        if (sequence->state == NULL)
            return ink_fail(ctx, INK_ERROR_ARGUMENT, "ink_recurrent_forward: sequences[%zu].state is NULL", i);
        if (!ink_size_add(*n_steps, sequence->n_steps, n_steps))
            return ink_fail(ctx, INK_ERROR_ARGUMENT, "ink_recurrent_forward: more steps than memory can hold");
    }
    return INK_OK;
}

/* Takes scratch, runs, gives the scratch back. */
static ink_result run_with_scratch(ink_context *ctx, const ink_recurrent *recurrent, const ink_sequence *sequences,
                                   size_t n_sequences, size_t n_steps)
{
    ink_recurrent_scratch scratch;
    ink_arena_mark mark = ink_arena_mark_here(&ctx->scratch);
    ink_recurrent_alloc_scratch(&ctx->scratch, recurrent, n_sequences, n_steps, &scratch);
    if (ink_arena_failed(&ctx->scratch))
        return ink_scratch_fail(ctx, mark);
    ink_float_mode host = ink_float_mode_enter();
    ink_recurrent_run(ctx, recurrent, &scratch, sequences, n_sequences);
    ink_float_mode_leave(host);
    ink_arena_release(&ctx->scratch, mark);
    return INK_OK;
}

ink_result ink_recurrent_forward(ink_context *ctx, const ink_recurrent *recurrent, const ink_sequence *sequences,
                                 size_t n_sequences)
{
    size_t n_steps;
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, recurrent);
    if (n_sequences == 0)
        return INK_OK;
    INK_REQUIRE(ctx, sequences);
    INK_TRY(check_sequences(ctx, sequences, n_sequences, &n_steps));
    return run_with_scratch(ctx, recurrent, sequences, n_sequences, n_steps);
}

ink_result ink_recurrent_step(ink_context *ctx, const ink_recurrent *recurrent, const float *x, float *state, float *y)
{
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, recurrent);
    INK_REQUIRE(ctx, x);
    INK_REQUIRE(ctx, state);
    INK_REQUIRE(ctx, y);
    if (recurrent->n_directions != 1)
        return ink_fail(ctx, INK_ERROR_ARGUMENT,
                        "%s: a bidirectional network reads the whole sequence, it cannot go step by step", __func__);
    const ink_sequence sequence = {.x = x, .y = y, .n_steps = 1, .state = state};
    return run_with_scratch(ctx, recurrent, &sequence, 1, 1);
}

ink_result ink_recurrent_reserve(ink_context *ctx, const ink_recurrent *recurrent, size_t n_sequences, size_t n_steps)
{
    ink_arena measure;
    ink_recurrent_scratch scratch;
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, recurrent);
    ink_arena_measure(&measure);
    ink_recurrent_alloc_scratch(&measure, recurrent, n_sequences, n_steps, &scratch);
    if (ink_arena_failed(&measure))
        return ink_fail(ctx, INK_ERROR_LIMIT, "%s: more memory than this machine can address", __func__);
    return ink_scratch_reserve(ctx, measure.used);
}
