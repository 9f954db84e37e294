/*
 * wordpiece.c - WordPiece (Devlin et al. 2019, after Schuster and Nakajima 2012).
 *
 *     A word is cut from its head into the longest tokens that exist; all but the first are written with a prefix, ##.
 *     A word that cannot be cut up to its end is unknown as a whole.
 *
 * The first token is found by a walk down a trie. If it is not the whole word, the longest token at every other place
 * is found by one more way over the word (ink_trie_starts). So a word costs its length, however long the tokens are.
 */
#include "engine.h"

ink_result ink_wordpiece_encode(ink_context *ctx, const ink_tokenizer *tokenizer, const char *word, size_t size,
                                ink_ids *out)
{
    const ink_wordpiece *wordpiece = &tokenizer->wordpiece;
    size_t before = out->n, n_characters = 0, length = 0;
    uint32_t code, id = INK_TRIE_NONE;
    for (size_t i = 0; i < size && n_characters <= wordpiece->longest; n_characters++)
        i += ink_utf8_next(word + i, size - i, &code);
    if (n_characters <= wordpiece->longest)
        id = ink_trie_longest(&wordpiece->trie, INK_WORDPIECE_HEAD, word, size, &length);
    if (id != INK_TRIE_NONE && length < size) {
        ink_arena_mark mark = ink_arena_mark_here(&ctx->scratch);
        uint32_t *rest = ink_arena_alloc(&ctx->scratch, size - length, sizeof *rest);
        if (rest == NULL)
            return ink_scratch_fail(ctx, mark);
        ink_trie_starts(&wordpiece->trie, INK_WORDPIECE_REST, word, size, length, size, rest);
        for (size_t i = length; i < size && id != INK_TRIE_NONE;) {
            ink_ids_add(out, (ink_token)id, i - out->done);
            const ink_trie_node *piece = &wordpiece->trie.nodes[rest[i - length]];
            id = piece->value;
            i += piece->length;
        }
        ink_arena_release(&ctx->scratch, mark);
    }
    if (id == INK_TRIE_NONE && tokenizer->unk < 0)
        return ink_unknown_fail(ctx, tokenizer, word, size);
    if (id == INK_TRIE_NONE) {
        out->n = before;
        out->done = 0;
    }
    ink_ids_add(out, id != INK_TRIE_NONE ? (ink_token)id : tokenizer->unk, size - out->done);
    return INK_OK;
}
