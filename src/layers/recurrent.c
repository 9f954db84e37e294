/*
 * recurrent.c - RNN, GRU and LSTM layers over sequences of any lengths (Elman 1990; Cho et al. 2014; Hochreiter,
 * Schmidhuber 1997; Gers et al. 2000; projections: Sak et al. 2014).
 *
 * One direction of one layer is a sweep over the steps. The inputs of many steps are one product. Only the recurrent
 * product runs step by step, for all running sequences together:
 *
 *     gi = W_ih X + b_ih                 X: the inputs of many steps
 *     for each step:
 *         gh = W_hh H + b_hh             H: the states of the running sequences
 *         h, c = cell(gi, gh, h, c)      recurrent_cell() below, row by row; a GRU that resets before the product
 *                                        multiplies by the rows of W_hh in two parts, with reset_state() between them
 *         H = W_hr H                     only for an LSTM with a projection
 *
 * The sequences are sorted by length, so the running ones are always the first rows of H. Inputs are gathered in the
 * order of the steps. The reverse direction counts its steps from the end of each sequence.
 *
 * In one direction the sequences run in chunks of max_rows inputs, and all layers finish a chunk before the next one
 * begins, so scratch memory does not grow with the sequence. A bidirectional layer needs its whole input first, so
 * there the chunk is the whole sequence.
 */
#include <string.h>

#include "../base/bytes.h"
#include "layers.h"

/* The approximate number of float operations of a cell for one element of a state. */
#define CELL_WORK ((size_t)64)

/* Floats: the weights of a cell that may stay in the nearest cache, and as much of gi as has room beside them. */
#define NEAR_CELL ((size_t)18 << 10)
#define NEAR_GI ((size_t)2 << 10)

const char *ink_cell_name(ink_cell cell)
{
    static const char *const names[INK_N_CELLS] = {"rnn_tanh", "rnn_relu",         "gru",
                                                   "lstm",     "gru_reset_before", "rnn_identity"};
    return (unsigned)cell < INK_N_CELLS ? names[cell] : "unknown";
}

size_t ink_cell_gates(ink_cell cell)
{
    return cell == INK_LSTM ? 4 : cell == INK_GRU || cell == INK_GRU_RESET_BEFORE ? 3 : 1;
}

/* Rows that one sequence needs for its state: h, c, h before its projection, r * h. */
static size_t state_rows(const ink_recurrent *net)
{
    return (size_t)1 + (net->cell == INK_LSTM) + (net->h_size != net->hidden_size) +
           (net->cell == INK_GRU_RESET_BEFORE);
}

static size_t row_floats(const ink_recurrent *net)
{
    return ink_whole_vecs(ink_size_max(net->hidden_size, net->h_size));
}

/* Moves `memory` behind a part of so many floats, and returns the part. */
static float *take_part(float **memory, size_t floats)
{
    float *part = *memory;
    *memory += ink_whole_vecs(floats);
    return part;
}

/* The parts for a step of m sequences. */
static void take_step_parts(const ink_recurrent *net, size_t m, float **memory, ink_recurrent_scratch *scratch)
{
    const size_t row = scratch->row = row_floats(net);
    scratch->h = take_part(memory, m * row);
    scratch->c = net->cell == INK_LSTM ? take_part(memory, m * row) : NULL;
    scratch->wide_h = net->h_size != net->hidden_size ? take_part(memory, m * row) : scratch->h;
    scratch->reset_h = net->cell == INK_GRU_RESET_BEFORE ? take_part(memory, m * row) : NULL;
    scratch->gh = take_part(memory, m * net->layers->w_hh.n + INK_PANEL);
}

/* One allocation for all parts: it takes as long as a small cell computes. */
void ink_recurrent_alloc_scratch(ink_arena *arena, const ink_recurrent *net, size_t n_sequences, size_t n_steps,
                                 ink_recurrent_scratch *scratch)
{
    const size_t gates = net->layers->w_hh.n, out = net->h_size * net->n_directions,
                 lists = (sizeof(ink_chunk) + sizeof(uint64_t)) / sizeof(float);
    n_sequences = ink_size_min(n_sequences, n_steps); /* sequences without steps do not run */
    scratch->max_rows = ink_size_min(n_steps, ink_size_max(n_sequences, INK_PASS_ROWS));
    const size_t gathered = n_sequences > 1 || net->n_directions > 1 ? ink_size_max(net->in, out) : 0;
    const size_t n_between = ink_size_min(net->n_layers - 1, 2);
    const size_t chunk_rows = net->n_directions == 1 ? scratch->max_rows : n_steps;
    /* Floats: a panel behind gh and gi each; and what makes gh, gi, x, both of `between` and the chunks whole vecs. */
    size_t total = 8 * INK_PANEL, more = SIZE_MAX;
    bool fits = ink_size_mul(n_sequences, gates + state_rows(net) * row_floats(net) + lists, &more) &&
                ink_size_add(total, more, &total) && ink_size_mul(scratch->max_rows, gates + gathered, &more) &&
                ink_size_add(total, more, &total) && ink_size_mul(chunk_rows, n_between * out, &more) &&
                ink_size_add(total, more, &total);
    float *memory = ink_alloc_rows(arena, 1, fits ? total : SIZE_MAX);
    if (memory == NULL)
        return;
    take_step_parts(net, n_sequences, &memory, scratch);
    scratch->gi = take_part(&memory, scratch->max_rows * gates + INK_PANEL);
    scratch->x = take_part(&memory, scratch->max_rows * gathered);
    for (size_t i = 0; i < n_between; i++)
        scratch->between[i] = take_part(&memory, chunk_rows * out);
    scratch->chunks = (void *)take_part(&memory, n_sequences * sizeof(ink_chunk) / sizeof(float));
    scratch->order = (void *)memory;
}

/* ---- one step --------------------------------------------------------------------------------------------------- */

/* One step of one layer and direction. Rows of gi and gh hold the gates one after the other, hidden_size floats each;
   after the last row are as many zeros as a panel has lanes. */
typedef struct cells {
    ink_context *ctx;
    const ink_recurrent *net;
    const ink_recurrent_layer *weights;
    float *gi, *gh;          /* [m, G hidden_size] W_ih x + b_ih, W_hh h + b_hh */
    float *h, *c;            /* [m, row] the states; c only for an LSTM */
    float *wide_h, *reset_h; /* [m, row] as in the scratch */
    size_t row;
    bool backwards; /* every other step begins with the weights that the nearest cache still has of the one before */
} cells;

static cells cells_of(ink_context *ctx, const ink_recurrent *net, const ink_recurrent_scratch *scratch)
{
    return (cells){.ctx = ctx,
                   .net = net,
                   .weights = net->layers,
                   .gh = scratch->gh,
                   .h = scratch->h,
                   .c = scratch->c,
                   .wide_h = scratch->wide_h,
                   .reset_h = scratch->reset_h,
                   .row = scratch->row};
}

/* y [m, n] = x [m, k] W^T + b, in rows of x_stride and y_stride floats; y has room for whole panels. */
static void cells_product(const cells *s, const ink_matrix *w, const float *bias, const float *x, size_t x_stride,
                          size_t m, float *y, size_t y_stride)
{
    ink_multiply(s->ctx, &(ink_product){.x = x,
                                        .x_stride = x_stride,
                                        .m = m,
                                        .w = w,
                                        .bias = bias,
                                        .y = y,
                                        .y_stride = y_stride,
                                        .backwards = s->backwards,
                                        .whole = m == 1});
}

/* The beginning of a step of a GRU that resets h before the product with W_hn:
       r = sigma(gi_r + gh_r),  z = sigma(gi_z + gh_z)      in place of gi
       reset_h = r * h */
static void reset_state(void *data, size_t i)
{
    const cells *s = data;
    const ink_kernel *kernel = s->ctx->kernel;
    size_t size = s->net->hidden_size;
    float *gates = s->gi + i * 3 * size, *reset_h = s->reset_h + i * s->row;
    kernel->add(s->gh + i * 3 * size, 2 * size, gates);
    kernel->activate(INK_SIGMOID, gates, 2 * size, gates);
    memcpy(reset_h, s->h + i * s->row, size * sizeof *reset_h);
    kernel->multiply_elements(gates, size, reset_h);
}

/* gh [m, G hidden_size] = W_hh h + b_hh */
static void recurrent_product(cells *s, size_t m)
{
    const ink_matrix *w = &s->weights->w_hh;
    const float *bias = s->weights->b_hh;
    if (s->net->cell != INK_GRU_RESET_BEFORE) {
        cells_product(s, w, bias, s->h, s->row, m, s->gh, w->n);
        return;
    }
    /* The rows of W_hn begin within a panel. The second product also computes the rows before them in this panel, which
       the gates no longer need. */
    size_t n_gates = 2 * s->net->hidden_size, first = n_gates - n_gates % INK_FILL_ROWS;
    const ink_matrix w_gates = ink_matrix_rows_view(w, 0, n_gates);
    const ink_matrix w_candidate = ink_matrix_rows_view(w, first, w->n - first);
    cells_product(s, &w_gates, bias, s->h, s->row, m, s->gh, w->n);
    ink_parallel_for(s->ctx, reset_state, s, m, m * s->net->hidden_size * CELL_WORK);
    cells_product(s, &w_candidate, bias != NULL ? bias + first : NULL, s->reset_h, s->row, m, s->gh + first, w->n);
}

/* The cell of row i, after both products. */
static void recurrent_cell(void *data, size_t i)
{
    const cells *s = data;
    const ink_kernel *kernel = s->ctx->kernel;
    size_t size = s->net->hidden_size, n = s->weights->w_hh.n;
    float *gi = s->gi + i * n, *h = s->wide_h + i * s->row;
    const float *gh = s->gh + i * n;
    float *gates = s->ctx->trace != NULL ? gi : NULL; /* gi is no longer needed */
    switch (s->net->cell) {
    case INK_RNN_TANH:
    case INK_RNN_RELU:
        /* h' = s(gi + gh) */
        kernel->rnn_cell(gi, gh, size, s->net->cell == INK_RNN_RELU, h);
        break;
    case INK_GRU:
        /* r = sigma(gi_r + gh_r),  z = sigma(gi_z + gh_z),  n = tanh(gi_n + r * gh_n)
           h' = (1 - z) * n + z * h */
        kernel->gru_cell(gi, gh, size, h, gates);
        break;
    case INK_LSTM:
        /* i = sigma(gi_i + gh_i),  f = sigma(gi_f + gh_f),  g = tanh(gi_g + gh_g),  o = sigma(gi_o + gh_o)
           c' = f * c + i * g,  h' = o * tanh(c') */
        kernel->lstm_cell(gi, gh, size, h, s->c + i * s->row, gates);
        break;
    case INK_GRU_RESET_BEFORE:
        /* n = tanh(gi_n + gh_n),  h' = n + z * (h - n), which is (1 - z) * n + z * h */
        kernel->add(gh + 2 * size, size, gi + 2 * size);
        kernel->activate(INK_TANH, gi + 2 * size, size, gi + 2 * size);
        kernel->add_share(gi + 2 * size, size, -1, 1, h);
        kernel->multiply_elements(gi + size, size, h);
        kernel->add(gi + 2 * size, size, h);
        break;
    case INK_RNN_IDENTITY:
        /* h' = gi + gh */
        memcpy(h, gi, size * sizeof *h);
        kernel->add(gh, size, h);
        break;
    case INK_N_CELLS:
        break;
    }
}

/* h and c of m sequences after a step with gi. A cell that is traced writes to gi, also where that of the row before
   reads, so these run one after the other. */
static void run_cells(cells *s, size_t m)
{
    const ink_matrix *w_hr = &s->weights->w_hr;
    const size_t work = s->ctx->trace != NULL ? 0 : m * s->net->hidden_size * CELL_WORK;
    recurrent_product(s, m);
    ink_parallel_for(s->ctx, recurrent_cell, s, m, work);
    if (w_hr->n != 0)
        cells_product(s, w_hr, NULL, s->wide_h, s->row, m, s->h, s->row);
}

/* The rows of a state, one after the other; gh is no longer needed. */
static ink_tensor rows_to_show(const cells *s, const float *rows, size_t m, size_t n)
{
    for (size_t i = 0; i < m; i++)
        memcpy(s->gh + i * n, rows + i * s->row, n * sizeof *rows);
    return ink_tensor_2d(s->gh, m, n);
}

static void trace_cells(const cells *s, size_t layer, size_t direction, size_t m)
{
    size_t h = s->net->hidden_size, n = s->weights->w_hh.n;
    size_t scope = ink_trace_enter(s->ctx, direction == 0 ? "l%zu." : "l%zu_reverse.", layer);
    if (n > h)
        INK_TRACE(s->ctx, "gates", ink_tensor_2d(s->gi, m, n));
    INK_TRACE(s->ctx, "h", rows_to_show(s, s->h, m, s->net->h_size));
    if (s->net->cell == INK_LSTM)
        INK_TRACE(s->ctx, "c", rows_to_show(s, s->c, m, h));
    ink_trace_leave(s->ctx, scope);
}

/* Copies n floats of a state to a scratch row, or back. The row ends with zeros: numbers that nobody set could fade
   there until they are subnormal, and slow. */
static void move_row(float *state, float *scratch, size_t n, size_t row, bool back)
{
    memcpy(back ? state : scratch, back ? scratch : state, n * sizeof *state);
    if (!back && n < row)
        memset(scratch + n, 0, (row - n) * sizeof *scratch);
}

/* ---- one sweep -------------------------------------------------------------------------------------------------- */

/* One direction of one layer over the chunks of all sequences. */
typedef struct sweep {
    cells cells;
    const ink_recurrent_scratch *scratch;
    const ink_chunk *chunks; /* [n_chunks], longest first, each with at least one step */
    size_t n_chunks;
    size_t layer, direction;
    size_t turn; /* the number of the call */
} sweep;

/* The number of chunks, among the first `running`, that have a step `step`. */
static size_t count_running(const ink_chunk *chunks, size_t running, size_t step)
{
    while (running > 0 && chunks[running - 1].n_steps <= step)
        running--;
    return running;
}

/* Converts `step`, counted in the direction of the sweep, to a step counted from the beginning of the chunk. */
static size_t step_in_direction(const sweep *s, const ink_chunk *chunk, size_t step)
{
    return s->direction == 0 ? step : chunk->n_steps - 1 - step;
}

static const float *input_row(const sweep *s, const ink_chunk *chunk, size_t step)
{
    size_t t = step_in_direction(s, chunk, step), in = s->cells.weights->w_ih.k;
    if (s->layer == 0)
        return chunk->sequence->x + (chunk->done + t) * in;
    return s->scratch->between[(s->layer - 1) % 2] + (chunk->first + t) * in;
}

/* Copies h of sequence i to the row of the output of that step, unless the caller has no use for it (y is NULL). */
static void put_output(const sweep *s, size_t i, size_t step)
{
    const ink_recurrent *net = s->cells.net;
    const ink_chunk *chunk = &s->chunks[i];
    size_t t = step_in_direction(s, chunk, step), h_size = net->h_size;
    size_t out = h_size * net->n_directions, column = s->direction * h_size;
    float *y = chunk->sequence->y;
    if (s->layer + 1 < net->n_layers)
        y = s->scratch->between[s->layer % 2] + (chunk->first + t) * out + column;
    else if (y != NULL)
        y += (chunk->done + t) * out + column;
    if (y != NULL)
        memcpy(y, s->cells.h + i * s->cells.row, h_size * sizeof *y);
}

/* Places h and c of this layer and direction before the first step, and takes them back to the states of the sequences
   after the last. A state is h of all layers and directions, followed by c of all of them. A single sequence whose h
   and c are whole vecs needs no copy. */
static void place_states(sweep *s, bool back)
{
    const ink_recurrent *net = s->cells.net;
    const ink_recurrent_scratch *scratch = s->scratch;
    const size_t number = s->layer * net->n_directions + s->direction, row = scratch->row;
    const size_t h_at = number * net->h_size;
    const size_t c_at = net->n_layers * net->n_directions * net->h_size + number * net->hidden_size;
    if (s->n_chunks == 1 && net->h_size == row && net->hidden_size == row) {
        s->cells.h = s->cells.wide_h = s->chunks->sequence->state + h_at;
        s->cells.c = net->cell == INK_LSTM ? s->chunks->sequence->state + c_at : NULL;
        return;
    }
    s->cells.h = scratch->h;
    s->cells.c = scratch->c;
    s->cells.wide_h = scratch->wide_h;
    for (size_t i = 0; i < s->n_chunks; i++) {
        float *state = s->chunks[i].sequence->state;
        move_row(state + h_at, scratch->h + i * row, net->h_size, row, back);
        if (net->cell == INK_LSTM)
            move_row(state + c_at, scratch->c + i * row, net->hidden_size, row, back);
    }
}

/* The inputs of as many steps from `begin` on as fit into one product, in the order of the steps, and the step that
   follows. The inputs of a single sequence already lie in this order. Small weights stay in the nearest cache if gi
   leaves them room there. */
static const float *gather_inputs(const sweep *s, size_t begin, size_t *n_rows, size_t *end)
{
    const ink_matrix *w_ih = &s->cells.weights->w_ih, *w_hh = &s->cells.weights->w_hh;
    size_t in = w_ih->k, running = s->n_chunks, step = begin, rows = 0, most = s->scratch->max_rows;
    if ((in + w_hh->k) * w_hh->n <= NEAR_CELL)
        most = ink_size_min(most, ink_size_max(NEAR_GI / w_hh->n, 1));
    if (running == 1 && s->direction == 0) {
        *n_rows = ink_size_min(s->chunks->n_steps - begin, most);
        *end = begin + *n_rows;
        return input_row(s, s->chunks, begin);
    }
    for (;; step++, rows += running) {
        running = count_running(s->chunks, running, step);
        if (running == 0 || (rows + running > most && rows != 0))
            break;
        for (size_t i = 0; i < running; i++)
            memcpy(s->scratch->x + (rows + i) * in, input_row(s, &s->chunks[i], step), in * sizeof(float));
    }
    *n_rows = rows;
    *end = step;
    return s->scratch->x;
}

static void run_sweep(sweep *s)
{
    cells *c = &s->cells;
    const ink_matrix *w_ih = &c->weights->w_ih;
    const size_t n_steps = s->chunks[0].n_steps;
    size_t running = s->n_chunks;
    place_states(s, false);
    memset(c->gh + running * w_ih->n, 0, INK_PANEL * sizeof(float));
    for (size_t begin = 0, end, rows; begin < n_steps; begin = end) {
        const float *x = gather_inputs(s, begin, &rows, &end);
        c->gi = s->scratch->gi;
        cells_product(c, w_ih, c->weights->b_ih, x, w_ih->k, rows, c->gi, w_ih->n);
        memset(c->gi + rows * w_ih->n, 0, INK_PANEL * sizeof(float));
        for (size_t step = begin; step < end; step++, c->gi += running * w_ih->n) {
            running = count_running(s->chunks, running, step);
            c->backwards = (s->turn + step) % 2 != 0;
            run_cells(c, running);
            for (size_t i = 0; i < running; i++)
                put_output(s, i, step);
            if (c->ctx->trace != NULL)
                trace_cells(c, s->layer, s->direction, running);
        }
    }
    place_states(s, true);
}

/* ---- all layers ------------------------------------------------------------------------------------------------- */

static int compare_lengths(const void *user, size_t a, size_t b)
{
    const ink_sequence *sequences = user;
    if (sequences[a].n_steps != sequences[b].n_steps)
        return sequences[a].n_steps > sequences[b].n_steps ? -1 : 1;
    return a < b ? -1 : a > b;
}

void ink_recurrent_run(ink_context *ctx, const ink_recurrent *net, const ink_recurrent_scratch *scratch,
                       const ink_sequence *sequences, size_t n_sequences)
{
    /* Sorts the sequences with steps: longest first, equal lengths in the order of the call. */
    ink_chunk *chunks = scratch->chunks;
    size_t n_chunks = 0;
    for (size_t i = 0; i < n_sequences; i++)
        if (sequences[i].n_steps > 0)
            scratch->order[n_chunks++] = INK_KEY(0, i);
    if (n_chunks > 1)
        ink_sort(scratch->order, n_chunks, &(ink_ties){compare_lengths, sequences});
    for (size_t i = 0; i < n_chunks; i++)
        chunks[i] = (ink_chunk){.sequence = &sequences[ink_key_index(scratch->order[i])]};

    size_t n_steps = n_chunks > 0 ? chunks[0].sequence->n_steps : 0;
    for (size_t done = 0, length = n_steps; done < n_steps; done += length) {
        if (net->n_directions == 1)
            length = n_chunks > 1 ? ink_size_max(scratch->max_rows / n_chunks, 1) : scratch->max_rows;
        for (size_t i = 0, first = 0; i < n_chunks; first += chunks[i++].n_steps) {
            size_t all = chunks[i].sequence->n_steps;
            chunks[i].done = done;
            chunks[i].n_steps = ink_size_min(all - ink_size_min(done, all), length);
            chunks[i].first = first;
        }
        n_chunks = count_running(chunks, n_chunks, 0);
        sweep s = {.scratch = scratch, .chunks = chunks, .n_chunks = n_chunks, .turn = ctx->turn++};
        s.cells = cells_of(ctx, net, scratch);
        for (s.layer = 0; s.layer < net->n_layers; s.layer++)
            for (s.direction = 0; s.direction < net->n_directions; s.direction++, s.cells.weights++)
                run_sweep(&s);
    }
}

/* ---- public functions ------------------------------------------------------------------------------------------- */

void ink_recurrent_free(ink_recurrent *net) { ink_object_free(net); }
size_t ink_recurrent_in(const ink_recurrent *net) { return net->in; }
size_t ink_recurrent_out(const ink_recurrent *net) { return net->h_size * net->n_directions; }
size_t ink_recurrent_hidden_size(const ink_recurrent *net) { return net->hidden_size; }
size_t ink_recurrent_layers(const ink_recurrent *net) { return net->n_layers; }
size_t ink_recurrent_directions(const ink_recurrent *net) { return net->n_directions; }

size_t ink_recurrent_state_size(const ink_recurrent *net)
{
    return net->n_layers * net->n_directions * (net->h_size + (net->cell == INK_LSTM ? net->hidden_size : 0));
}

static ink_result recurrent_call(ink_context *ctx, const ink_recurrent *net, const ink_sequence *sequences,
                                 size_t n_sequences, size_t n_steps, bool reserve)
{
    ink_recurrent_scratch scratch;
    ink_call call;
    ink_call_begin(&call, ctx, reserve);
    ink_recurrent_alloc_scratch(call.arena, net, n_sequences, n_steps, &scratch);
    if (ink_call_ready(&call))
        ink_recurrent_run(ctx, net, &scratch, sequences, n_sequences);
    return ink_call_end(&call);
}

ink_result ink_recurrent_forward(ink_context *ctx, const ink_recurrent *recurrent, const ink_sequence *sequences,
                                 size_t n_sequences)
{
    size_t n_steps = 0;
    INK_REQUIRE(ctx, recurrent);
    if (n_sequences == 0)
        return INK_OK;
    INK_REQUIRE(ctx, sequences);
    for (size_t i = 0; i < n_sequences; i++) {
        const ink_sequence *sequence = &sequences[i];
        if (sequence->n_steps > 0 && (sequence->x == NULL || sequence->state == NULL))
            return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: sequences[%zu].%s is NULL", __func__, i,
                            sequence->x == NULL ? "x" : "state");
        if (!ink_size_add(n_steps, sequence->n_steps, &n_steps))
            return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: more steps than memory can hold", __func__);
    }
    return recurrent_call(ctx, recurrent, sequences, n_sequences, n_steps, false);
}

/* Every layer takes one step of one sequence: the work of run_sweep(), with nothing to sort, to gather or to cut. */
static void run_step(cells *s, const float *x, float *state, float *y)
{
    const ink_recurrent *net = s->net;
    const bool in_place = net->h_size == s->row && net->hidden_size == s->row, remembers = net->cell == INK_LSTM;
    float *h = state, *c = state + net->n_layers * net->h_size;
    for (size_t layer = 0; layer < net->n_layers; layer++, s->weights++) {
        const ink_matrix *w_ih = &s->weights->w_ih;
        cells_product(s, w_ih, s->weights->b_ih, x, w_ih->k, 1, s->gi, w_ih->n);
        memset(s->gi + w_ih->n, 0, INK_PANEL * sizeof(float));
        memset(s->gh + w_ih->n, 0, INK_PANEL * sizeof(float));
        if (in_place) {
            s->h = s->wide_h = h;
            s->c = c;
        } else {
            move_row(h, s->h, net->h_size, s->row, false);
            if (remembers)
                move_row(c, s->c, net->hidden_size, s->row, false);
        }
        run_cells(s, 1);
        if (s->ctx->trace != NULL)
            trace_cells(s, layer, 0, 1);
        if (!in_place) {
            move_row(h, s->h, net->h_size, s->row, true);
            if (remembers)
                move_row(c, s->c, net->hidden_size, s->row, true);
        }
        x = h;
        h += net->h_size;
        c += remembers ? net->hidden_size : 0;
    }
    memcpy(y, x, net->h_size * sizeof *y);
}

ink_result ink_recurrent_step(ink_context *ctx, const ink_recurrent *recurrent, const float *x, float *state, float *y)
{
    INK_REQUIRE(ctx, recurrent, x, state, y);
    if (recurrent->n_directions != 1)
        return ink_fail(ctx, INK_ERROR_ARGUMENT,
                        "%s: a bidirectional network needs the whole sequence and cannot run step by step", __func__);
    const size_t gates = recurrent->layers->w_hh.n + 2 * INK_PANEL;
    ink_call call;
    ink_call_begin(&call, ctx, false);
    /* No more than for a sequence of one step, which ink_recurrent_reserve() counts. */
    float *memory = ink_alloc_rows(call.arena, 1, 2 * gates + state_rows(recurrent) * row_floats(recurrent));
    if (ink_call_ready(&call)) {
        ink_recurrent_scratch scratch;
        take_step_parts(recurrent, 1, &memory, &scratch);
        cells s = cells_of(ctx, recurrent, &scratch);
        s.gi = memory;
        s.backwards = ctx->turn++ % 2 != 0;
        run_step(&s, x, state, y);
    }
    return ink_call_end(&call);
}

ink_result ink_recurrent_reserve(ink_context *ctx, const ink_recurrent *recurrent, size_t n_sequences, size_t n_steps)
{
    INK_REQUIRE(ctx, recurrent);
    return recurrent_call(ctx, recurrent, NULL, n_sequences, n_steps, true);
}
