/*
 * unigram.c - the unigram language model (Kudo 2018, section 3.2; SentencePiece).
 *
 *     A text is cut into the row of pieces with the largest sum of scores. A character that is no piece by itself may
 *     also be unknown, 10 below the smallest score of the vocabulary.
 *
 * Viterbi: best[i] is the largest sum of all ways to cut the first i bytes,
 *
 *     best[end] = max over the pieces that end there of best[end - size of the piece] + its score
 *
 * and of equal sums the longest last piece counts. All pieces that end at a place are found in one way along the text:
 * a trie (Aho and Corasick 1975) gives the longest of them, and `shorter` leads from each to the next. There are at
 * most INK_UNIGRAM_NESTED, so a text costs O(its length), whatever it is and however long the pieces are. Sums are
 * doubles, added from the left, as in the reference, or floats as in SentencePiece itself: cuts with nearly equal sums
 * depend on it.
 */
#include "engine.h"

static ink_spelled_token unigram_piece(const ink_vocab *vocab, const ink_spelled_token *pieces, size_t i)
{
    if (pieces != NULL)
        return pieces[i];
    return (ink_spelled_token){ink_vocab_bytes(vocab, (ink_token)i), vocab->tokens[i].size, (ink_token)i};
}

typedef struct unigram_strings {
    const ink_vocab *vocab;
    const ink_spelled_token *pieces;
    size_t n;
} unigram_strings;

/* From the last: of equal pieces it counts. */
static bool unigram_string(const void *user, size_t i, ink_trie_string *string)
{
    const unigram_strings *strings = user;
    const size_t k = strings->n - 1 - i;
    const ink_spelled_token piece = unigram_piece(strings->vocab, strings->pieces, k);
    *string = (ink_trie_string){.text = piece.text, .size = piece.size, .value = (uint32_t)k};
    return piece.size > 0 && (strings->pieces != NULL || !strings->vocab->tokens[k].verbatim);
}

ink_result ink_builder_unigram(ink_tokenizer_builder *b, const ink_spelled_token *pieces, const double *scores,
                               size_t n)
{
    const ink_vocab *vocab = &b->draft.vocab;
    ink_unigram *unigram = &b->draft.unigram;
    ink_trie *trie = &unigram->trie;
    double smallest = n > 0 ? scores[0] : 0.0;
    const unigram_strings strings = {vocab, pieces, n};
    INK_TRY(ink_trie_build(b->ctx, b->arena, b->file, unigram_string, &strings, n, trie));
    unigram->pieces = ink_arena_alloc(b->arena, n, sizeof *unigram->pieces);
    unigram->ids = ink_arena_alloc(b->arena, pieces != NULL ? n : 0, sizeof *unigram->ids);
    if (unigram->pieces == NULL || unigram->ids == NULL)
        return ink_fail(b->ctx, INK_ERROR_MEMORY, "out of memory: %zu pieces", n);
    unigram->n_pieces = n;
    for (size_t i = 0; i < n; i++) {
        const ink_spelled_token piece = unigram_piece(vocab, pieces, i);
        unigram->pieces[i] = (ink_unigram_piece){scores[i], INK_TRIE_NONE, (uint32_t)piece.size};
        if (pieces != NULL)
            unigram->ids[i] = piece.id;
        smallest = scores[i] < smallest ? scores[i] : smallest;
    }
    unigram->ids = pieces != NULL ? unigram->ids : NULL;
    unigram->unknown =
        pieces != NULL ? (double)((float)smallest - (float)INK_UNIGRAM_PENALTY) : smallest - INK_UNIGRAM_PENALTY;
    if (b->draft.model == INK_MODEL_PIECES)
        return INK_OK;
    INK_TRY(ink_trie_link(b->ctx, b->arena, trie, 0));
    /* A node with a piece of its own: the next shorter piece is the one of its `fail`. */
    for (size_t i = INK_TRIE_ROOT(INK_TRIE_SETS); i < trie->n_nodes; i++) {
        const ink_trie_node *node = &trie->nodes[i], *fail = &trie->nodes[node->fail];
        if (node->value != INK_TRIE_NONE && node->value != fail->value)
            unigram->pieces[node->value].shorter = fail->value;
    }
    for (size_t first = 0; first < n; first++) {
        const ink_spelled_token piece = unigram_piece(vocab, pieces, first);
        size_t nested = 0;
        for (uint32_t i = (uint32_t)first; i != INK_TRIE_NONE; i = unigram->pieces[i].shorter)
            if (++nested > INK_UNIGRAM_NESTED)
                return ink_fail(b->ctx, INK_ERROR_LIMIT,
                                "%s: more than %d pieces of the vocabulary are ends of each other, as of '%.*s'",
                                b->file, INK_UNIGRAM_NESTED, (int)ink_size_min(piece.size, 100), piece.text);
    }
    return INK_OK;
}

/* The best cut of the text before a place, and its last piece. */
typedef struct unigram_cut {
    union {
        double sum;
        size_t next; /* in the best cut of the whole: where the piece that begins here ends */
    };
    uint32_t size; /* of the last piece; 0: no cut is known */
    uint32_t id;
} unigram_cut;

/* Unknown characters in a row are one piece, which the vocabulary may have although the model does not. SentencePiece
   itself always writes them in bytes if it may, and such a byte may be unknown. */
void ink_unigram_put(const ink_tokenizer *t, const char *text, size_t size, int64_t piece, ink_ids *out)
{
    const bool unknown = piece < 0, always = t->unigram.ids != NULL && t->bytes.fallback;
    ink_token id = unknown || t->unigram.ids == NULL ? (ink_token)piece : t->unigram.ids[piece];
    if (unknown) {
        size_t n = 0;
        if (!always && size <= t->vocab.longest)
            id = ink_vocab_find(&t->vocab, text, size, false);
        while (id < 0 && t->bytes.fallback && n < size && (always || t->bytes.id[(unsigned char)text[n]] >= 0))
            n++;
        for (size_t i = 0; n == size && i < n; i++) {
            const ink_token byte = t->bytes.id[(unsigned char)text[i]];
            out->done -= i > 0 ? size : 0; /* as in the reference, each has the place of all */
            ink_ids_add(out, byte >= 0 ? byte : t->unk, size);
        }
        if (n == size)
            return;
        id = id >= 0 ? id : t->unk;
    }
    ink_ids_add(out, id, size);
    if (unknown)
        ink_ids_written(out, text, size);
}

ink_result ink_unigram_encode(ink_context *ctx, const ink_tokenizer *tokenizer, const char *word, size_t size,
                              ink_ids *out)
{
    const ink_unigram *unigram = &tokenizer->unigram;
    const uint32_t unk = unigram->ids != NULL ? INK_TRIE_NONE : (uint32_t)tokenizer->unk;
    if (size >= UINT32_MAX)
        return ink_fail(ctx, INK_ERROR_LIMIT, "a word of %zu bytes; the longest that is encoded has %zu", size,
                        (size_t)UINT32_MAX - 1);
    ink_arena_mark mark = ink_arena_mark_here(&ctx->scratch);
    unigram_cut *cuts = ink_arena_alloc(&ctx->scratch, size + 1, sizeof *cuts);
    if (cuts == NULL)
        return ink_scratch_fail(ctx, mark);
    memset(cuts, 0, (size + 1) * sizeof *cuts);
    uint32_t node = INK_TRIE_ROOT(0);
    for (size_t start = 0, end; start < size; start = end) { /* of a character; no piece ends inside of one */
        uint32_t code;
        end = start + ink_utf8_next(word + start, size - start, &code);
        for (size_t i = start; i < end; i++)
            node = ink_trie_step(&unigram->trie, 0, node, word[i]);
        unigram_cut *cut = &cuts[end];
        const ink_unigram_piece *piece = NULL;
        for (uint32_t id = unigram->trie.nodes[node].value; id != INK_TRIE_NONE; id = piece->shorter) {
            piece = &unigram->pieces[id];
            double sum = piece->score + cuts[end - piece->size].sum;
            sum = unigram->ids != NULL ? (double)(float)sum : sum;
            if (cut->size == 0 || sum > cut->sum)
                *cut = (unigram_cut){{sum}, piece->size, id};
        }
        double sum = unigram->unknown + cuts[start].sum;
        sum = unigram->ids != NULL ? (double)(float)sum : sum;
        if ((piece == NULL || piece->size != end - start) && (cut->size == 0 || sum > cut->sum)) {
            *cut = (unigram_cut){{sum}, (uint32_t)(end - start), unk};
            if (tokenizer->unk < 0) {
                ink_arena_release(&ctx->scratch, mark);
                return ink_unknown_fail(ctx, tokenizer, word + start, end - start);
            }
        }
    }
    for (size_t end = size; end > 0; end -= cuts[end].size) /* the best cut is known from its end */
        cuts[end - cuts[end].size].next = end;
    for (size_t start = 0, end; start < size; start = end) {
        end = cuts[start].next;
        const uint32_t id = cuts[end].id;
        while (id == unk && end < size && cuts[cuts[end].next].id == unk)
            end = cuts[end].next;
        ink_unigram_put(tokenizer, word + start, end - start, id == unk ? -1 : (int64_t)id, out);
    }
    ink_arena_release(&ctx->scratch, mark);
    return INK_OK;
}
