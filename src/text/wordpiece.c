/*
 * wordpiece.c - WordPiece (Devlin et al. 2019, after Schuster and Nakajima 2012).
 *
 *     A word is cut from its head into the longest tokens that exist; all but the first are written with a prefix, ##.
 *     A word that cannot be cut up to its end is unknown as a whole.
 *
 * Each token costs one walk down a trie. Walks may overlap, so a word costs at most its length times the length of the
 * longest token. The limit on the length of a word bounds both.
 */
#include "engine.h"

ink_result ink_wordpiece_encode(ink_context *ctx, const ink_tokenizer *tokenizer, const char *word, size_t size,
                                ink_ids *out)
{
    const ink_wordpiece *wordpiece = &tokenizer->wordpiece;
    size_t before = out->n, n_characters = 0, length = 0;
    uint32_t code, id = 0;
    for (size_t i = 0; i < size && n_characters <= wordpiece->longest; n_characters++)
        i += ink_utf8_next(word + i, size - i, &code);
    if (n_characters > wordpiece->longest)
        id = INK_TRIE_NONE;
    for (size_t i = 0; i < size && id != INK_TRIE_NONE; i += length) {
        unsigned set = i == 0 ? INK_WORDPIECE_HEAD : INK_WORDPIECE_REST;
        id = ink_trie_longest(&wordpiece->trie, set, word + i, size - i, &length);
        ink_ids_add(out, (ink_token)id);
    }
    if (id != INK_TRIE_NONE)
        return INK_OK;
    if (tokenizer->unk < 0)
        return ink_unknown_fail(ctx, tokenizer, word, size);
    out->n = before;
    ink_ids_add(out, tokenizer->unk);
    return INK_OK;
}
