/*
 * head.c - the last step of every language model: hidden vectors to logits, logits = norm(x) W^T + b.
 *
 * Most models tie W to the embedding table (Press, Wolf 2017): the vector that stands for a word on the way in is the
 * one that is compared with on the way out. The table is packed once and serves both.
 */
#include <string.h>

#include "kind.h"

/* Logits whose places do not lie side by side are computed this many rows at a time and then copied. */
#define BLOCK_ROWS 16

/*
 * A stored lm_head.weight is used, whatever the flag says: frameworks leave it out when it is the embedding. Without it
 * the flag decides, and an explicit "not tied" means that the file is not whole.
 */
ink_result ink_head_read(ink_loader *loader, ink_config *config, bool tied, ink_model *model)
{
    ink_head *head = &model->head;
    size_t vocab_size = model->info.vocab_size;
    size_t hidden_size = model->info.hidden_size;
    float *bias;

    INK_TRY(ink_config_bool(config, "tie_word_embeddings", &tied));
    INK_TRY(ink_loader_optional_vector(loader, "lm_head.bias", vocab_size, &bias));
    head->bias = bias;
    if (!tied || ink_loader_has(loader, "lm_head.weight")) {
        head->weight = &head->own;
        return ink_loader_matrix(loader, "lm_head.weight", vocab_size, hidden_size, false, &head->own);
    }
    if (model->embedding.table.k != hidden_size)
        return ink_fail(loader->ctx, INK_ERROR_MISMATCH,
                        "%s: there is no 'lm_head.weight', and the embedding of size %zu cannot stand in for it: the "
                        "hidden vectors have size %zu",
                        ink_weights_name(loader->weights), model->embedding.table.k, hidden_size);
    head->weight = &model->embedding.table;
    return INK_OK;
}

void ink_head_alloc_scratch(ink_arena *arena, const ink_model *model, const ink_pass_size *size,
                            ink_head_scratch *scratch)
{
    size_t hidden_size = model->info.hidden_size;
    scratch->x = ink_arena_alloc(arena, size->rows * hidden_size, sizeof *scratch->x);
    scratch->targets = ink_arena_alloc(arena, size->rows, sizeof *scratch->targets);
    scratch->block = NULL;
    if (size->n_items > 1 && model->head.weight != NULL)
        scratch->block = ink_arena_alloc(arena, ink_size_min(size->rows, BLOCK_ROWS) * model->head.weight->n,
                                         sizeof *scratch->block);
}

static void multiply(ink_context *ctx, const ink_model *model, const float *x, size_t n, float *logits)
{
    size_t hidden_size = model->info.hidden_size;
    size_t width = model->head.weight->n;
    ink_product product = {.x = x,
                           .x_stride = hidden_size,
                           .m = n,
                           .w = model->head.weight,
                           .bias = model->head.bias,
                           .y = logits,
                           .y_stride = width};
    ink_multiply(ctx, &product);
    INK_TRACE(ctx, "logits", ink_tensor_2d(logits, n, width));
}

/* How many of the n >= 1 targets, from the first on, want logits as the first does; and of these, how many lie side by
   side. */
static size_t wanting(const ink_head_target *targets, size_t n)
{
    size_t count = 1;
    while (count < n && targets[count].logits != NULL)
        count++;
    return count;
}

static size_t side_by_side(const ink_head_target *targets, size_t n, size_t width)
{
    size_t count = 1;
    while (count < n && targets[count].logits == targets[count - 1].logits + width)
        count++;
    return count;
}

/* Logits of the next rows, of which the first wants them; returns how many rows that were. */
static size_t run_some(ink_context *ctx, const ink_model *model, const ink_head_scratch *scratch, size_t row, size_t n)
{
    size_t width = model->head.weight->n;
    const float *x = scratch->x + row * model->info.hidden_size;
    const ink_head_target *targets = scratch->targets + row;
    size_t wanted = wanting(targets, n - row);
    size_t block = ink_size_min(wanted, BLOCK_ROWS);
    size_t together = side_by_side(targets, wanted, width);
    if (together >= block || scratch->block == NULL) {
        multiply(ctx, model, x, together, targets[0].logits);
        return together;
    }
    multiply(ctx, model, x, block, scratch->block);
    for (size_t i = 0; i < block; i++)
        memcpy(targets[i].logits, scratch->block + i * width, width * sizeof(float));
    return block;
}

void ink_head_run(ink_context *ctx, const ink_model *model, const ink_head_scratch *scratch, size_t n)
{
    size_t hidden_size = model->info.hidden_size;
    if (n > 0 && model->head.norm != NULL) {
        ink_norm_run(ctx, model->head.norm, scratch->x, n, scratch->x);
        INK_TRACE(ctx, "norm_f", ink_tensor_2d(scratch->x, n, hidden_size));
    }
    for (size_t row = 0; row < n; row++)
        if (scratch->targets[row].hidden != NULL)
            memcpy(scratch->targets[row].hidden, scratch->x + row * hidden_size, hidden_size * sizeof(float));
    for (size_t row = 0; row < n;)
        row += scratch->targets[row].logits != NULL ? run_some(ctx, model, scratch, row, n) : 1;
}
