/*
 * rnn.c - recurrent networks that predict the next token, wired by hand from the layers: a plain RNN (Elman 1990), a
 * GRU (Cho et al. 2014) or an LSTM (Hochreiter, Schmidhuber 1997; Gers et al. 2000).
 *
 *     x = E token                         the token's vector
 *     h = cell(x, h)                      the state: what the network remembers of all tokens so far
 *     logits = E h + b                    a score for each token of the vocabulary
 *
 * with the cell (* is element-wise, sigma(a) = 1 / (1 + exp(-a)))
 *
 *     RNN    h' = tanh(W x + U h + b)     every step rewrites the whole state
 *
 *     GRU    r  = sigma(W_r x + U_r h + b_r)              how much of h the candidate sees
 *            z  = sigma(W_z x + U_z h + b_z)              how much of h stays
 *            n  = tanh(W_n x + b_n + r * (U_n h + c_n))   the candidate
 *            h' = (1 - z) * n + z * h
 *
 *     LSTM   i, f, o = sigma(W x + U h + b)               how much comes in, stays, is shown
 *            g  = tanh(W_g x + U_g h + b_g)
 *            c' = f * c + i * g                           the memory, changed by adding
 *            h' = o * tanh(c')
 *
 * The network keeps nothing of the past but h (and c): a few hundred numbers, however long the text is.
 *
 *     rnn [rnn|gru|lstm] ["prompt"]
 */
#include "page.h"

typedef struct network {
    ink_embedding *embedding; /* E [vocab_size, size], for both ends */
    ink_recurrent *cell;      /* W, U, b of every gate and layer */
    float *bias;              /* b [vocab_size] */

    float *state; /* h of every layer, and c for the LSTM; zeros before the first token */
    float *x, *h, *logits;
} network;

/* The weights by their names in model.safetensors. */
static bool load(page *p, ink_cell kind, network *net)
{
    const ink_weight *bias = ink_weights_find(p->weights, "lm_head.bias");
    if (ink_embedding_load(p->ctx, p->weights, "embedding", &net->embedding) != INK_OK ||
        ink_recurrent_load(p->ctx, p->weights, "rnn", kind, &net->cell) != INK_OK)
        return false;

    size_t size = ink_embedding_size(net->embedding), vocab_size = ink_embedding_vocab_size(net->embedding);
    net->bias = page_floats(p, vocab_size);
    net->state = page_floats(p, ink_recurrent_state_size(net->cell));
    net->x = page_floats(p, size);
    net->h = page_floats(p, ink_recurrent_out(net->cell));
    net->logits = page_floats(p, vocab_size);
    return page_expect(p, ink_recurrent_in(net->cell) == size && ink_recurrent_out(net->cell) == size && bias != NULL &&
                              bias->shape.rank == 1 && bias->shape.dim[0] == vocab_size &&
                              ink_tokenizer_vocab_size(p->tokenizer) == vocab_size) &&
           ink_weights_read(p->ctx, p->weights, bias, net->bias) == INK_OK;
}

/* One step: from the token and the state to the new state and the logits of the next token. */
static bool forward(page *p, network *net, ink_token token)
{
    return ink_embedding_forward(p->ctx, net->embedding, &token, 1, net->x) == INK_OK &&  /* x = E token */
           ink_recurrent_step(p->ctx, net->cell, net->x, net->state, net->h) == INK_OK && /* h = cell(x, h) */
           ink_embedding_logits(p->ctx, net->embedding, net->bias, net->h, 1, net->logits) == INK_OK; /* E h + b */
}

/* Reads the prompt, then: draw, print, run the drawn token through the network. */
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
        if (!page_print(p, token) || !forward(p, net, token))
            return false;
    }
    return true;
}

static void unload(network *net)
{
    ink_embedding_free(net->embedding);
    ink_recurrent_free(net->cell);
}

int main(int argc, char **argv)
{
    static const char *const models[] = {"gru", "rnn", "lstm", NULL};
    static const ink_cell cells[] = {INK_GRU, INK_RNN_TANH, INK_LSTM};
    page p;
    network net = {0};
    page_outcome outcome = page_open(&p, "rnn", "[rnn|gru|lstm] [\"prompt\"] [options]", models, argc, argv);
    if (outcome == PAGE_READY && !(load(&p, cells[p.model], &net) && speak(&p, &net)))
        outcome = PAGE_ERROR;
    unload(&net);
    return page_close(&p, outcome);
}
