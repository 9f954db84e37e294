/*
 * encoder_decoder.h - models that read a source text and write another: translation, summary, spelling to sound.
 *
 * An encoder reads the whole source; a decoder writes token by token and attends to the encoder's rows (Bahdanau et al.
 * 2014; Vaswani et al. 2017, section 3.2.3), or begins with the encoder's last state (Sutskever et al. 2014). Such a
 * model is opened like every model (model.h); ink_model_get_encoder_decoder() tells that it wants a source.
 *
 * The source is encoded once. What the decoder needs of it, the keys and values of cross attention in all blocks, is
 * kept in an ink_encoded. A state begins with it and then runs as every state does: forward, lists, copies, rewinding,
 * saving. Any number of states continue from one source at once: beams, samples, threads.
 *
 *     const ink_encoder_decoder_info *info = ink_model_get_encoder_decoder(model);
 *     ink_tokenizer_encode(ctx, tokenizer, text, size, INK_ENCODE_DEFAULT, source, 512, &n_source);
 *     ink_encoded_create(ctx, model, n_source, &encoded);
 *     ink_state_create(ctx, model, 0, &state);
 *
 *     const ink_source_item item = {.encoded = encoded, .tokens = source, .n_tokens = n_source};
 *     ink_model_encode_sources(ctx, model, &item, 1);
 *     ink_state_begin(ctx, state, encoded);
 *
 *     ink_token token = info->start_token;
 *     do {
 *         ink_model_forward(ctx, model, state, &token, 1, logits);
 *         ink_sampler_pick(ctx, sampler, logits, &token);
 *         ...
 *     } while (!ink_model_stops_at(model, token));
 *
 * generate.h has this loop, with beams, for many sources at once. What the model writes is decoded with the tokenizer
 * of ink_tokenizer_open_target(): a model of two languages may have two vocabularies. The languages of a model of many,
 * and what they put in front of a source, are in tokenizer.h (ink_tokenizer_direction()).
 *
 * In a list (ink_model_forward_list()) the states may have different sources. Put states of one source next to each
 * other: then their rows are multiplied with its keys and values together.
 *
 * The same bits: neither the encoded source nor what a state writes depends on the other items of a list, on how the
 * tokens are cut into calls, on threads, kernel or alignment.
 *
 * Traced values: those of a transformer's decoder are in model.h. The encoder's have the same names behind "encoder.":
 * "encoder.embedding", "encoder.h.i.attn.weights", ..., "encoder.norm_f", and then for block i of the decoder
 * "h.i.cross.kv", the keys and values of the source. Those of a recurrent encoder are "encoder.rnn.l0.h" and so on.
 */
#ifndef INKLING_ENCODER_DECODER_H
#define INKLING_ENCODER_DECODER_H

#include <inkling/model.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ink_encoder_decoder_info {
    size_t source_vocab_size; /* 0: the model has no encoder of its own, and takes rows */
    size_t source_length;     /* the most tokens of a source; 0: no limit */
    size_t source_size;       /* floats in a row of the encoder's output */
    ink_token start_token;    /* the first token a state gets (decoder_start_token_id); -1: the folder names none */
} ink_encoder_decoder_info;

/* NULL if the model is not an encoder-decoder: it wants no source. Lives as long as the model. */
const ink_encoder_decoder_info *ink_model_get_encoder_decoder(const ink_model *model);

/* A source text that has been encoded. States only read it; it must outlive those that began with it, and no other
   source may be encoded in its place while one of them still runs. */
typedef struct ink_encoded ink_encoded;

/* Room for a source of up to `capacity` tokens; 0: source_length. Of a recurrent model without attention the same is
   kept of any source, so there is room for all. Free it with ink_encoded_free(). INK_ERROR_ARGUMENT for 0 if the model
   has no such limit, INK_ERROR_LIMIT for a capacity beyond source_length and for more than state_bytes of ink_limits,
   INK_ERROR_UNSUPPORTED if the model wants no source, INK_ERROR_MEMORY. */
ink_result ink_encoded_size(ink_context *ctx, const ink_model *model, size_t capacity, size_t *bytes);
ink_result ink_encoded_create(ink_context *ctx, const ink_model *model, size_t capacity, ink_encoded **encoded);

/* The same in a block that the caller owns: at a multiple of INK_ALIGNMENT, with at least ink_encoded_size() bytes;
   ink_limits do not apply. ink_encoded_free() does not free the block. */
ink_result ink_encoded_create_in(ink_context *ctx, const ink_model *model, size_t capacity, void *block, size_t size,
                                 ink_encoded **encoded);
void ink_encoded_free(ink_encoded *encoded);

/* The number of tokens of the source; 0: nothing is encoded yet. */
size_t ink_encoded_length(const ink_encoded *encoded);

/* One source of a list. */
typedef struct ink_source_item {
    ink_encoded *encoded;    /* where it is kept */
    const ink_token *tokens; /* [n_tokens], with whatever template the model wants around a text */
    size_t n_tokens;         /* at least 1 */
    const float *rows;       /* [n_tokens, source_size]: the output of an encoder that ran elsewhere, instead of tokens,
                                which are then NULL */
    float *hidden;           /* [n_tokens, source_size]: gets the output of the encoder; NULL: not wanted */
} ink_source_item;

/* Encodes many sources together, side by side and without padding; each result is bit-identical to encoding the source
   alone. Everything is checked before anything is written: INK_ERROR_ARGUMENT for a source without tokens, for an id
   outside source_vocab_size, for rows with a NaN or an infinity, and for an ink_encoded of another model or twice in
   the list; INK_ERROR_LIMIT for a source that is too long; INK_ERROR_UNSUPPORTED if the model wants no source, or no
   tokens; INK_ERROR_MEMORY. After INK_ERROR_NONFINITE what the model computes for the source that is named has a NaN
   or an infinity: its weights are damaged, or too large; then no source of the list is encoded. */
ink_result ink_model_encode_sources(ink_context *ctx, const ink_model *model, const ink_source_item *sources,
                                    size_t n_sources);

/* Allocates the scratch memory for lists of up to n_sources sources and n_tokens tokens in all, with at most max_tokens
   (0: source_length) in one source. Such calls then allocate nothing. ink_context_reserve() does so for the decoder;
   its `capacity` covers states and sources, the larger of the two. */
ink_result ink_model_encode_sources_reserve(ink_context *ctx, const ink_model *model, size_t n_sources, size_t n_tokens,
                                            size_t max_tokens);

/* The state forgets its sequence and begins with this source. Without one ink_model_forward() refuses the state of an
   encoder-decoder (INK_ERROR_ARGUMENT). ink_state_reset() and ink_state_rewind() keep the source; ink_state_copy() also
   copies which source it is. A saved state holds no source, only its hash: it can be loaded into states that began with
   the same one (else INK_ERROR_MISMATCH). INK_ERROR_ARGUMENT if nothing is encoded, or by another model;
   INK_ERROR_UNSUPPORTED if the model wants no source. */
ink_result ink_state_begin(ink_context *ctx, ink_state *state, const ink_encoded *encoded);

#ifdef __cplusplus
}
#endif

#endif
