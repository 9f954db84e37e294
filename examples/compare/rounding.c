/*
 * rounding.c - what quantisation does: to a row of a matrix, and to the bits per token of a model.
 *
 * A model folder is written as GGUF into memory, and read back from there. So the weights that are shown are those that
 * a file would hold, and the models that are measured are those that would be opened.
 */
#include "rounding.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compare.h"

const rounding_type rounding_types[N_ROUNDING_TYPES] = {
    {"f32", INK_F32},   {"bf16", INK_BF16}, {"f16", INK_F16},   {"q8_0", INK_Q8_0},
    {"q6_k", INK_Q6_K}, {"q5_0", INK_Q5_0}, {"q4_k", INK_Q4_K}, {"q4_0", INK_Q4_0},
};

/* ---- a file in memory ------------------------------------------------------------------------------------------- */

#define FILE_NAME "model.gguf"

typedef struct written {
    char *bytes; /* [size] */
    size_t size, room;
    ink_memory_file file;
    ink_memory_files files;
    ink_source source; /* has the file under FILE_NAME */
} written;

static bool write_bytes(void *user, const void *bytes, size_t size)
{
    written *w = user;
    char *grown = console_grow(w->bytes, &w->room, w->size + size, 1);
    if (grown == NULL)
        return false;
    memcpy(grown + w->size, bytes, size);
    w->bytes = grown;
    w->size += size;
    return true;
}

/* Free w->bytes, also after a failure. `w` stays where it is. */
static bool write_folder(ink_context *ctx, const char *folder, ink_type type, written *w)
{
    const ink_gguf_options options = {.type = type};
    *w = (written){0};
    if (!console_ok(ctx, ink_gguf_write(ctx, folder, &options, write_bytes, w)))
        return false;
    w->file = (ink_memory_file){FILE_NAME, w->bytes, w->size};
    w->files = (ink_memory_files){&w->file, 1};
    w->source = ink_source_memory(&w->files);
    return true;
}

/* ---- a row ------------------------------------------------------------------------------------------------------ */

enum { SHOWN = 8 };

static const char shown_tensor[] = "blk.0.ffn_down.weight";

/* Row `row` of a matrix as its file holds it: its blocks [n_bytes], and its weights [k]. */
typedef struct matrix_row {
    const ink_weight *weight;
    unsigned char *blocks;
    float *values;
    size_t k, n_bytes;
} matrix_row;

static bool read_row(ink_context *ctx, const ink_weights *weights, size_t row, matrix_row *r)
{
    const ink_weight *w = r->weight = ink_weights_find(weights, shown_tensor);
    if (w == NULL || w->shape.rank != 2)
        return console_complain("the model has no matrix %s", shown_tensor);
    if (row >= w->shape.dim[0])
        return console_complain("--row expects less than %zu, the rows of %s, found %zu", w->shape.dim[0], shown_tensor,
                                row);
    r->k = w->shape.dim[1];
    r->n_bytes = (size_t)w->size / w->shape.dim[0];
    r->blocks = console_memory(r->n_bytes, 1);
    float *all = console_memory(w->shape.dim[0], r->k * sizeof *all);
    r->values = all;
    if (r->blocks == NULL || all == NULL || !console_ok(ctx, ink_weights_read(ctx, weights, w, all)) ||
        !console_ok(ctx, ink_weights_read_bytes(ctx, weights, w, (uint64_t)row * r->n_bytes, r->blocks, r->n_bytes)))
        return false;
    memmove(all, all + row * r->k, r->k * sizeof *all);
    return true;
}

/* The integers of the first weights, for the types whose blocks are a scale, in two bytes, and the integers. */
static bool row_codes(const matrix_row *r, int codes[SHOWN])
{
    const unsigned char *block = r->blocks + 2;
    for (int i = 0; i < SHOWN; i++)
        switch (r->weight->type) {
        case INK_Q8_0:
            codes[i] = block[i] < 128 ? block[i] : block[i] - 256;
            break;
        case INK_Q5_0: /* the fifth bits come first */
            codes[i] = (block[4 + i] & 15) + (block[i / 8] >> i % 8 & 1) * 16 - 16;
            break;
        case INK_Q4_0:
            codes[i] = (block[i] & 15) - 8;
            break;
        default:
            return false;
        }
    return true;
}

static void print_row(const char *name, const matrix_row *r, const float *exact)
{
    const ink_block_size block = ink_type_block(r->weight->type);
    double error = 0, size = 0, scale = 0;
    int codes[SHOWN];
    bool has_codes = row_codes(r, codes);
    for (size_t i = 0; i < r->k; i++) {
        error += ((double)r->values[i] - (double)exact[i]) * ((double)r->values[i] - (double)exact[i]);
        size += (double)exact[i] * (double)exact[i];
    }
    for (int i = 0; i < SHOWN && has_codes; i++)
        scale = codes[i] != 0 ? (double)r->values[i] / codes[i] : scale;
    printf("\n%s, %.4g bits a weight", name, 8.0 * (double)block.bytes / (double)block.elements);
    if (block.elements > 1)
        printf(", blocks of %zu", block.elements);
    if (has_codes)
        printf(", scale of the first %.6f", scale);
    if (exact != r->values)
        printf(", error %.2f %%", 100 * sqrt(error / size));
    putchar('\n');
    for (int i = 0; i < SHOWN && has_codes; i++)
        printf("%9d%s", codes[i], i + 1 < SHOWN ? "" : "\n");
    for (int i = 0; i < SHOWN; i++)
        printf("%9.5f%s", (double)r->values[i] + 0.0, i + 1 < SHOWN ? "" : "\n");
}

bool rounding_show_row(ink_context *ctx, const char *folder, size_t row)
{
    float *exact = NULL;
    bool done = true;
    for (size_t i = 0; done && i < N_ROUNDING_TYPES; i++) {
        written w;
        ink_weights *weights = NULL;
        matrix_row r = {0};
        if (i != 0 && !ink_type_is_quantised(rounding_types[i].type))
            continue;
        done = write_folder(ctx, folder, rounding_types[i].type, &w) &&
               console_ok(ctx, ink_weights_open_source(ctx, &w.source, FILE_NAME, &weights)) &&
               read_row(ctx, weights, row, &r);
        if (done && exact == NULL)
            printf("%s: %zu rows of %zu weights. The first %d weights of row %zu:\n", shown_tensor,
                   r.weight->shape.dim[0], r.k, SHOWN, row);
        if (done && (exact == NULL || r.weight->type == rounding_types[i].type)) /* else its blocks do not fit */
            print_row(rounding_types[i].name, &r, exact != NULL ? exact : r.values);
        if (exact == NULL) {
            exact = r.values;
            r.values = NULL;
        }
        free(r.values);
        free(r.blocks);
        ink_weights_free(weights);
        free(w.bytes);
    }
    free(exact);
    return done;
}

/* ---- bits per token --------------------------------------------------------------------------------------------- */

enum { N_TALES = 32, TALE_SEED = 77 }; /* a multiple of READER_BATCH */

/* Tales first .. first + READER_BATCH - 1, read side by side. */
typedef struct tale_batch {
    tale tales[READER_BATCH];
    guess guesses[READER_BATCH][READER_TOKENS];
} tale_batch;

static bool read_batch(reader *r, tale_batch *batch, uint64_t first, double *bits, size_t *n)
{
    const story_settings settings = story_settings_default();
    question questions[READER_BATCH];
    for (size_t i = 0; i < READER_BATCH; i++) {
        tale *t = &batch->tales[i];
        if (!tale_tell(t, r->lm, &settings, TALE_SEED, first + i))
            return false;
        questions[i] = (question){t->tokens, t->n + 1, t->n, batch->guesses[i]};
    }
    if (!reader_ask(r, questions, READER_BATCH))
        return false;
    for (size_t i = 0; i < READER_BATCH; i++) {
        for (size_t k = 0; k < batch->tales[i].n; k++)
            *bits += guess_bits(batch->guesses[i][k].p);
        *n += batch->tales[i].n;
    }
    return true;
}

/* The bits per token of unseen stories, of a model that is opened under this name with these options. */
static bool measure(ink_context *ctx, const char *folder, const char *name, const ink_model_options *options,
                    double *bits, uint64_t *bytes)
{
    language_model lm = {.ctx = ctx, .folder = folder};
    reader r = {0};
    size_t n = 0;
    tale_batch *batch = console_memory(1, sizeof *batch);
    bool done = batch != NULL && console_ok(ctx, ink_model_open(ctx, name, options, &lm.model)) &&
                console_ok(ctx, ink_tokenizer_open(ctx, folder, &lm.tokenizer));
    if (done) {
        lm.info = ink_model_get_info(lm.model);
        *bytes = lm.info->n_bytes;
        done = (ink_model_get_encoder(lm.model) == NULL && lm.info->bos_token >= 0 && lm.info->eos_token >= 0) ||
               console_complain("%s: only a model that continues texts has bits per token", folder);
    }
    done = done && reader_open(&r, &lm);
    for (uint64_t i = 0; done && i < N_TALES; i += READER_BATCH) {
        console_progress("story %u of %d", (unsigned)i, N_TALES);
        done = read_batch(&r, batch, i, bits, &n);
    }
    console_progress("%s", "");
    *bits /= (double)n;
    reader_close(&r);
    lm_close(&lm);
    free(batch);
    return done;
}

/* By how many percent, and never "-0.00". */
static double percent_more(double bits, double exact)
{
    const double percent = 100 * (bits / exact - 1);
    return fabs(percent) < 0.005 ? 0 : percent;
}

bool rounding_show_types(ink_context *ctx, const char *folder)
{
    double exact = 0;
    char bytes[CONSOLE_ROOM];
    bool done = true;
    for (size_t i = 0; done && i < N_ROUNDING_TYPES; i++) {
        written w;
        double bits = 0;
        uint64_t memory;
        done = write_folder(ctx, folder, rounding_types[i].type, &w) &&
               measure(ctx, folder, FILE_NAME, &(ink_model_options){.source = &w.source}, &bits, &memory);
        exact = i == 0 ? bits : exact;
        if (done && i == 0)
            printf("\ntype        file    bits per token\n");
        if (done)
            printf("%-4s  %10s    %.4f  %+.2f %%\n", rounding_types[i].name, console_bytes(bytes, w.size), bits,
                   percent_more(bits, exact));
        free(w.bytes);
    }
    return done;
}

bool rounding_show_models(ink_context *ctx)
{
    static const rounding_type held[] = {{"f32", INK_F32}, {"q8", INK_Q8_0}, {"q4", INK_Q4_0}};
    char bytes[CONSOLE_ROOM], path[PATH_ROOM];
    printf("bits per token of %d stories, and bytes of the weights in memory:\n\n", N_TALES);
    for (size_t f = 0; f < N_FAMILIES; f++) {
        double exact = 0;
        if (!bundled_folder(path, families[f].folder))
            return false;
        for (size_t i = 0; i < sizeof held / sizeof *held; i++) {
            double bits = 0;
            uint64_t memory = 0;
            if (!measure(ctx, path, path, &(ink_model_options){.type = held[i].type}, &bits, &memory))
                return false;
            exact = i == 0 ? bits : exact;
            printf("%-5s %-4s %9s    %.4f  %+.2f %%\n", i == 0 ? families[f].name : "", held[i].name,
                   console_bytes(bytes, memory), bits, percent_more(bits, exact));
        }
    }
    return true;
}
