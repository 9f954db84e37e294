/*
 * mlp.c - a multi-layer perceptron that predicts the next token from a window of tokens, wired by hand from layers
 * (Bengio, Ducharme, Vincent, Jauvin: A Neural Probabilistic Language Model, 2003).
 *
 *     x = [E w_1, E w_2, ..., E w_n]      the vectors of the last n tokens side by side, oldest first
 *     h = tanh(H x + d)                   the hidden layer
 *     logits = U h + b                    a score for each token of the vocabulary
 *
 * The probability that token i comes next is exp(logits_i) / sum_j exp(logits_j). The network does not see anything
 * further back than n tokens.
 *
 *     mlp ["prompt"]
 */
#include <string.h>

#include "page.h"

enum { MAX_WINDOW = 64 };

typedef struct network {
    ink_embedding *embedding; /* E [vocab_size, size] */
    ink_mlp *hidden;          /* H [hidden_size, n size], d; one layer or several */
    ink_dense *output;        /* U [vocab_size, hidden_size], b */

    size_t n;                     /* tokens in the window */
    ink_token window[MAX_WINDOW]; /* oldest first */
    float *x, *h, *logits;
} network;

/* The weights by their names in model.safetensors. The window is as long as the first layer is wide. */
static bool load(page *p, network *net)
{
    if (ink_embedding_load(p->ctx, p->weights, "embedding", &net->embedding) != INK_OK ||
        ink_mlp_load(p->ctx, p->weights, "mlp", INK_TANH, INK_TANH, &net->hidden) != INK_OK ||
        ink_dense_load(p->ctx, p->weights, "lm_head", INK_IDENTITY, &net->output) != INK_OK)
        return false;

    size_t size = ink_embedding_size(net->embedding), vocab_size = ink_embedding_vocab_size(net->embedding);
    net->n = ink_mlp_in(net->hidden) / size;
    net->x = page_floats(p, net->n * size);
    net->h = page_floats(p, ink_mlp_out(net->hidden));
    net->logits = page_floats(p, vocab_size);
    for (size_t i = 0; i < net->n && i < MAX_WINDOW; i++)
        net->window[i] = p->end; /* in front of a text there are only end tokens */
    return page_expect(p, net->n > 0 && net->n <= MAX_WINDOW && net->n * size == ink_mlp_in(net->hidden) &&
                              ink_dense_in(net->output) == ink_mlp_out(net->hidden) &&
                              ink_dense_out(net->output) == vocab_size &&
                              ink_tokenizer_vocab_size(p->tokenizer) == vocab_size);
}

/* Moves the window on by one token. */
static void see(network *net, ink_token token)
{
    memmove(net->window, net->window + 1, (net->n - 1) * sizeof *net->window);
    net->window[net->n - 1] = token;
}

/* One step: from the window to the logits. */
static bool forward(page *p, network *net)
{
    return ink_embedding_forward(p->ctx, net->embedding, net->window, net->n, net->x) == INK_OK && /* x = [E w ...] */
           ink_mlp_forward(p->ctx, net->hidden, net->x, 1, net->h) == INK_OK &&      /* h = tanh(H x + d) */
           ink_dense_forward(p->ctx, net->output, net->h, 1, net->logits) == INK_OK; /* logits = U h + b */
}

/* Reads the prompt, then: predict, draw, print, move on. */
static bool speak(page *p, network *net)
{
    for (size_t i = 0; i < p->n_prompt; i++)
        see(net, p->prompt[i]);
    for (size_t i = 0; i < p->n_tokens; i++) {
        ink_token token;
        if (!forward(p, net) || ink_sampler_pick(p->ctx, p->sampler, net->logits, &token) != INK_OK)
            return false;
        if (token == p->end)
            break;
        if (!page_print(p, token))
            return false;
        see(net, token);
    }
    return true;
}

static void unload(network *net)
{
    ink_embedding_free(net->embedding);
    ink_mlp_free(net->hidden);
    ink_dense_free(net->output);
}

int main(int argc, char **argv)
{
    static const char *const models[] = {"mlp", NULL};
    page p;
    network net = {0};
    page_outcome outcome = page_open(&p, "mlp", "[\"prompt\"] [options]", models, argc, argv);
    if (outcome == PAGE_READY && !(load(&p, &net) && speak(&p, &net)))
        outcome = PAGE_ERROR;
    unload(&net);
    return page_close(&p, outcome);
}
