/*
 * transformer.c - a GPT-2 (Radford et al. 2019) that predicts the next token, wired by hand from the layers.
 *
 *     x  = E token + P position                         the token's vector and its position's
 *     x += W_o attention(W_qkv norm_1(x)) + b_o         in every block: gather from all earlier positions ...
 *     x += W_2 gelu(W_1 norm_2(x) + b_1) + b_2          ... and transform each position by itself
 *     logits = E norm_f(x)                              a score for each token of the vocabulary
 *
 * Attention (Vaswani et al. 2017): each head computes from the token a query q, a key k and a value v. The keys and
 * values of all positions stay in a cache. The better a key matches the query, the more its value counts.
 *
 *     head = softmax(q K^T / sqrt(head_dim)) V
 *
 * The network keeps the whole past, word for word. The price is a cache that grows with the text.
 *
 *     transformer ["prompt"]
 */
#include <stdio.h>

#include "page.h"

#define EPS 1e-5F /* of the norms */

enum {
    N_HEADS = 4,
    HEAD_DIM = 32,
    MAX_BLOCKS = 48
}; /* of the bundled GPT; the file does not say how d is divided into heads */

typedef struct block {
    ink_norm *norm_1;
    ink_dense *qkv; /* W_qkv [3 d, d]: queries, keys, values of all heads */
    ink_dense *out; /* W_o [d, d] */
    ink_norm *norm_2;
    ink_dense *up;   /* W_1 [4 d, d], with the gelu */
    ink_dense *down; /* W_2 [d, 4 d] */
    ink_kv_cache *cache;
} block;

typedef struct network {
    ink_embedding *tokens;    /* E [vocab_size, d] */
    ink_embedding *positions; /* P [context_length, d] */
    block blocks[MAX_BLOCKS];
    size_t n_blocks;
    ink_norm *norm;

    ink_attention attention;
    size_t d, position, context_length;
    float *x, *y, *qkv, *hidden, *logits;
} network;

/* "transformer.h.3.attn.c_attn" */
static const char *part(char name[64], size_t i, const char *module)
{
    snprintf(name, 64, "transformer.h.%zu.%s", i, module);
    return name;
}

/* W is [out, in]. */
static bool shaped(const ink_dense *dense, size_t out, size_t in)
{
    return ink_dense_out(dense) == out && ink_dense_in(dense) == in;
}

/* The weights of block i by their names in model.safetensors. GPT-2 keeps its matrices as [in, out]. */
static bool load_block(page *p, network *net, size_t i)
{
    ink_context *ctx = p->ctx;
    ink_weights *w = p->weights;
    block *b = &net->blocks[i];
    size_t d = net->d;
    char name[64];
    return ink_norm_load(ctx, w, part(name, i, "ln_1"), INK_LAYER_NORM, EPS, &b->norm_1) == INK_OK &&
           ink_dense_load_transposed(ctx, w, part(name, i, "attn.c_attn"), INK_IDENTITY, &b->qkv) == INK_OK &&
           ink_dense_load_transposed(ctx, w, part(name, i, "attn.c_proj"), INK_IDENTITY, &b->out) == INK_OK &&
           ink_norm_load(ctx, w, part(name, i, "ln_2"), INK_LAYER_NORM, EPS, &b->norm_2) == INK_OK &&
           ink_dense_load_transposed(ctx, w, part(name, i, "mlp.c_fc"), INK_GELU_TANH, &b->up) == INK_OK &&
           ink_dense_load_transposed(ctx, w, part(name, i, "mlp.c_proj"), INK_IDENTITY, &b->down) == INK_OK &&
           page_expect(p, shaped(b->qkv, 3 * d, d) && shaped(b->out, d, d) && shaped(b->up, 4 * d, d) &&
                              shaped(b->down, d, 4 * d) && ink_norm_size(b->norm_1) == d &&
                              ink_norm_size(b->norm_2) == d) &&
           ink_kv_cache_create(ctx, &net->attention, net->context_length, &b->cache) == INK_OK;
}

static bool load(page *p, network *net)
{
    char name[64];
    if (ink_embedding_load(p->ctx, p->weights, "transformer.wte", &net->tokens) != INK_OK ||
        ink_embedding_load(p->ctx, p->weights, "transformer.wpe", &net->positions) != INK_OK ||
        ink_norm_load(p->ctx, p->weights, "transformer.ln_f", INK_LAYER_NORM, EPS, &net->norm) != INK_OK)
        return false;

    size_t d = net->d = ink_embedding_size(net->tokens), vocab_size = ink_embedding_vocab_size(net->tokens);
    net->context_length = ink_embedding_vocab_size(net->positions);
    net->attention = (ink_attention){.n_heads = N_HEADS, .n_kv_heads = N_HEADS, .head_dim = HEAD_DIM};
    net->x = page_floats(p, d);
    net->y = page_floats(p, d);
    net->qkv = page_floats(p, 3 * d);
    net->hidden = page_floats(p, 4 * d);
    net->logits = page_floats(p, vocab_size);
    if (!page_expect(p, d == N_HEADS * HEAD_DIM && ink_embedding_size(net->positions) == d &&
                            ink_norm_size(net->norm) == d && ink_tokenizer_vocab_size(p->tokenizer) == vocab_size &&
                            ink_weights_find(p->weights, part(name, MAX_BLOCKS, "ln_1.weight")) == NULL))
        return false;
    for (size_t i = 0; ink_weights_find(p->weights, part(name, i, "ln_1.weight")) != NULL; i++) {
        net->n_blocks = i + 1;
        if (!load_block(p, net, i))
            return false;
    }
    return page_prompt_fits(p, net->context_length);
}

/* One block, x changed in place. */
static bool block_forward(page *p, network *net, const block *b)
{
    ink_context *ctx = p->ctx;
    float *x = net->x, *y = net->y;
    return ink_norm_forward(ctx, b->norm_1, x, 1, y) == INK_OK &&                             /* y = norm_1(x) */
           ink_dense_forward(ctx, b->qkv, y, 1, net->qkv) == INK_OK &&                        /* q, k, v = W_qkv y */
           ink_attention_forward(ctx, &net->attention, b->cache, net->qkv, 1, y) == INK_OK && /* heads, side by side */
           ink_dense_forward(ctx, b->out, y, 1, net->qkv) == INK_OK &&                        /* W_o y, where q was */
           ink_add(ctx, net->qkv, net->d, x) == INK_OK &&                                     /* x += W_o y */
           ink_norm_forward(ctx, b->norm_2, x, 1, y) == INK_OK &&                             /* y = norm_2(x) */
           ink_dense_forward(ctx, b->up, y, 1, net->hidden) == INK_OK &&                      /* gelu(W_1 y + b_1) */
           ink_dense_forward(ctx, b->down, net->hidden, 1, y) == INK_OK &&                    /* W_2 ... + b_2 */
           ink_add(ctx, y, net->d, x) == INK_OK;                                              /* x += ... */
}

/* One step: the next token at the next position, from its vector to the logits of what may follow. */
static bool forward(page *p, network *net, ink_token token)
{
    ink_token position = (ink_token)net->position++;
    if (ink_embedding_forward(p->ctx, net->tokens, &token, 1, net->x) != INK_OK || /* x = E token + P position */
        ink_embedding_forward(p->ctx, net->positions, &position, 1, net->y) != INK_OK ||
        ink_add(p->ctx, net->y, net->d, net->x) != INK_OK)
        return false;
    for (size_t i = 0; i < net->n_blocks; i++)
        if (!block_forward(p, net, &net->blocks[i]))
            return false;
    return ink_norm_forward(p->ctx, net->norm, net->x, 1, net->y) == INK_OK && /* logits = E norm_f(x) */
           ink_embedding_logits(p->ctx, net->tokens, NULL, net->y, 1, net->logits) == INK_OK;
}

/* Reads the prompt, then: draw, print, run the drawn token through the network, until the context is full. */
static bool speak(page *p, network *net)
{
    for (size_t i = 0; i < p->n_prompt; i++)
        if (!forward(p, net, p->prompt[i]))
            return false;
    for (size_t i = 0; i < p->n_tokens; i++) {
        ink_token token;
        if (ink_sampler_pick(p->ctx, p->sampler, net->logits, &token) != INK_OK)
            return false;
        if (token == p->end)
            break;
        if (!page_print(p, token))
            return false;
        if (net->position == net->context_length)
            break;
        if (!forward(p, net, token))
            return false;
    }
    return true;
}

static void unload(network *net)
{
    for (size_t i = 0; i < net->n_blocks; i++) {
        block *b = &net->blocks[i];
        ink_norm_free(b->norm_1);
        ink_dense_free(b->qkv);
        ink_dense_free(b->out);
        ink_norm_free(b->norm_2);
        ink_dense_free(b->up);
        ink_dense_free(b->down);
        ink_kv_cache_free(b->cache);
    }
    ink_embedding_free(net->tokens);
    ink_embedding_free(net->positions);
    ink_norm_free(net->norm);
}

int main(int argc, char **argv)
{
    static const char *const models[] = {"gpt", NULL};
    page p;
    network net = {0};
    page_outcome outcome = page_open(&p, "transformer", "[\"prompt\"] [options]", models, argc, argv);
    if (outcome == PAGE_READY && !(load(&p, &net) && speak(&p, &net)))
        outcome = PAGE_ERROR;
    unload(&net);
    return page_close(&p, outcome);
}
