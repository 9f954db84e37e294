/*
 * lookup.c - how tokens are found: a hash index for whole strings, a trie for the longest string at a place.
 */
#include "engine.h"

/* ---- the hash index --------------------------------------------------------------------------------------------- */

#define INDEX_SEEDS 16

/* Puts every item into the first free slot of its hash, or into that of its equal; false if one is further away than a
   lookup looks. */
static bool index_fill(ink_index *index, ink_index_hash_fn hash_of, ink_index_equal_fn equal, const void *items,
                       size_t n)
{
    memset(index->slots, 0xFF, index->n_slots * sizeof *index->slots);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t hash;
        if (!hash_of(items, i, index->seed, &hash))
            continue;
        size_t probe = 0;
        for (uint32_t k; probe < INK_INDEX_PROBES; probe++)
            if ((k = ink_index_slot(index, hash, probe)) == INK_INDEX_EMPTY || equal(items, k, i))
                break;
        if (probe == INK_INDEX_PROBES)
            return false;
        index->slots[((size_t)hash + probe) & (index->n_slots - 1)] = i;
    }
    return true;
}

ink_result ink_index_build(ink_context *ctx, ink_arena *arena, const char *file, const char *what,
                           ink_index_hash_fn hash, ink_index_equal_fn equal, const void *items, size_t n,
                           ink_index *index)
{
    if (n > UINT32_MAX / 4)
        return ink_fail(ctx, INK_ERROR_LIMIT, "%s: %zu %s are more than are supported", file, n, what);
    index->n_slots = 2 * INK_INDEX_PROBES;
    while (index->n_slots < 2 * n)
        index->n_slots *= 2;
    index->slots = ink_arena_alloc(arena, index->n_slots, sizeof *index->slots);
    if (index->slots == NULL)
        return ink_fail(ctx, INK_ERROR_MEMORY, "out of memory: the index of %zu %s", n, what);
    for (uint64_t attempt = 1; attempt <= INDEX_SEEDS; attempt++) {
        index->seed = ink_hash_mix(attempt);
        if (index_fill(index, hash, equal, items, n))
            return INK_OK;
    }
    return ink_fail(ctx, INK_ERROR_LIMIT, "%s: too many of the %zu %s have the same hash", file, n, what);
}

/* ---- the vocabulary --------------------------------------------------------------------------------------------- */

static uint64_t vocab_hash(const char *bytes, size_t size, bool verbatim, uint64_t seed)
{
    return ink_hash(verbatim ? ~seed : seed, bytes, size);
}

static bool vocab_hash_token(const void *items, uint32_t i, uint64_t seed, uint64_t *hash)
{
    const ink_vocab *vocab = items;
    const ink_vocab_token *token = &vocab->tokens[i];
    *hash = vocab_hash(vocab->pool + token->offset, token->size, token->verbatim, seed);
    return token->known;
}

static bool vocab_equal_tokens(const void *items, uint32_t i, uint32_t k)
{
    const ink_vocab *vocab = items;
    const ink_vocab_token *a = &vocab->tokens[i], *b = &vocab->tokens[k];
    return a->size == b->size && a->verbatim == b->verbatim &&
           memcmp(vocab->pool + a->offset, vocab->pool + b->offset, a->size) == 0;
}

ink_result ink_builder_index(ink_tokenizer_builder *b)
{
    ink_vocab *vocab = &b->draft.vocab;
    INK_TRY(ink_index_build(b->ctx, b->arena, b->file, "tokens", vocab_hash_token, vocab_equal_tokens, vocab,
                            vocab->first_other + vocab->n_others, &vocab->index));
    for (size_t id = 0; id < vocab->n_ids && b->draft.model != INK_MODEL_UNIGRAM; id++) {
        ink_vocab_token *t = &vocab->tokens[id];
        if (t->known && ink_vocab_find(vocab, vocab->pool + t->offset, t->size, t->verbatim) != (ink_token)id)
            t->known = false;
    }
    return INK_OK;
}

void ink_vocab_moves(ink_vocab *vocab, uint32_t from, uint32_t to)
{
    uint64_t hash;
    if (vocab->index.slots == NULL || !vocab_hash_token(vocab, from, vocab->index.seed, &hash))
        return;
    for (size_t probe = 0; probe < INK_INDEX_PROBES; probe++) {
        uint32_t *slot = &vocab->index.slots[((size_t)hash + probe) & (vocab->index.n_slots - 1)];
        if (*slot == from)
            *slot = to;
    }
}

ink_token ink_vocab_find(const ink_vocab *vocab, const char *bytes, size_t size, bool verbatim)
{
    uint64_t hash = vocab_hash(bytes, size, verbatim, vocab->index.seed);
    for (size_t probe = 0; probe < INK_INDEX_PROBES; probe++) {
        uint32_t id = ink_index_slot(&vocab->index, hash, probe);
        if (id == INK_INDEX_EMPTY)
            break;
        const ink_vocab_token *token = &vocab->tokens[id];
        if (token->size == size && token->verbatim == verbatim && memcmp(vocab->pool + token->offset, bytes, size) == 0)
            return ink_vocab_id(vocab, id);
    }
    return -1;
}

/* ---- the trie --------------------------------------------------------------------------------------------------- */

ink_result ink_trie_start(ink_context *ctx, ink_arena *arena, size_t bytes, ink_trie *trie)
{
    const ink_trie_node empty = {.value = INK_TRIE_NONE};
    if (bytes > INK_TRIE_NONE - 2 * INK_TRIE_SETS)
        return ink_fail(ctx, INK_ERROR_LIMIT, "tokens of %zu bytes in all are more than are supported", bytes);
    trie->n_nodes = INK_TRIE_ROOT(INK_TRIE_SETS);
    trie->nodes = ink_arena_alloc(arena, trie->n_nodes + bytes, sizeof *trie->nodes);
    if (trie->nodes == NULL)
        return ink_fail(ctx, INK_ERROR_MEMORY, "out of memory: tokens of %zu bytes", bytes);
    for (size_t i = 0; i < trie->n_nodes; i++)
        trie->nodes[i] = empty;
    return INK_OK;
}

/* Where the number of the child with that byte is, or would be. */
static uint32_t *trie_child(const ink_trie *trie, uint32_t node, char byte)
{
    uint32_t *child = &trie->nodes[node].child;
    for (unsigned bit = 0; *child != 0 && trie->nodes[*child].byte != byte; bit++)
        child = &trie->nodes[*child].sibling[(unsigned char)byte >> bit & 1];
    return child;
}

void ink_trie_put(ink_trie *trie, unsigned set, const char *string, size_t size, bool backward, uint32_t value)
{
    uint32_t node = INK_TRIE_ROOT(set);
    for (size_t i = 0; i < size; i++) {
        char byte = string[backward ? size - 1 - i : i];
        uint32_t *child = trie_child(trie, node, byte);
        if (*child == 0) {
            *child = (uint32_t)trie->n_nodes++;
            trie->nodes[*child] = (ink_trie_node){.value = INK_TRIE_NONE, .byte = byte};
        }
        node = *child;
    }
    if (trie->nodes[node].value == INK_TRIE_NONE)
        trie->nodes[node].value = value;
    trie->nodes[node].length = (uint32_t)size;
}

/* Goes through the nodes from the root outward, because `fail` leads to a node nearer to the root. */
ink_result ink_trie_link(ink_context *ctx, ink_arena *arena, ink_trie *trie, unsigned set)
{
    ink_trie_node *nodes = trie->nodes;
    ink_arena_mark mark = ink_arena_mark_here(arena);
    uint32_t *queue = ink_arena_alloc(arena, trie->n_nodes, sizeof *queue);
    size_t n = 0, next = 0;
    if (queue == NULL)
        return ink_fail(ctx, INK_ERROR_MEMORY, "out of memory: %zu bytes of tokens", trie->n_nodes);
    queue[n++] = INK_TRIE_ROOT(set);
    for (size_t i = 0; i < n; i++) {
        const ink_trie_node *parent = &nodes[queue[i]];
        if (parent->child != 0)
            queue[n++] = parent->child;
        for (next = ink_size_max(next, i + 1); next < n; next++) { /* the children, and none of an earlier node's */
            ink_trie_node *node = &nodes[queue[next]];
            uint32_t fail = parent->fail, child = 0;
            for (int half = 0; half < 2; half++)
                if (node->sibling[half] != 0)
                    queue[n++] = node->sibling[half];
            while (fail != 0 && (child = *trie_child(trie, fail, node->byte)) == 0)
                fail = nodes[fail].fail;
            node->fail = child != 0 ? child : INK_TRIE_ROOT(set);
            if (node->value == INK_TRIE_NONE) {
                node->value = nodes[node->fail].value;
                node->length = nodes[node->fail].length;
            }
        }
    }
    ink_arena_release(arena, mark);
    return INK_OK;
}

uint32_t ink_trie_step(const ink_trie *trie, unsigned set, uint32_t node, char byte)
{
    uint32_t child;
    while ((child = *trie_child(trie, node, byte)) == 0 && node != INK_TRIE_ROOT(set))
        node = trie->nodes[node].fail;
    return child != 0 ? child : node;
}

void ink_trie_starts(const ink_trie *trie, unsigned set, const char *text, size_t size, size_t from, size_t to,
                     uint32_t *found)
{
    uint32_t node = INK_TRIE_ROOT(set);
    for (size_t i = size; i-- > from;) {
        node = ink_trie_step(trie, set, node, text[i]);
        if (i < to)
            found[i - from] = node;
    }
}

uint32_t ink_trie_find(const ink_trie *trie, unsigned set, const char *string, size_t size)
{
    size_t length = 0;
    uint32_t value = ink_trie_longest(trie, set, string, size, &length);
    return length == size ? value : INK_TRIE_NONE;
}

uint32_t ink_trie_longest(const ink_trie *trie, unsigned set, const char *text, size_t size, size_t *length)
{
    uint32_t longest = INK_TRIE_NONE, node = INK_TRIE_ROOT(set);
    for (size_t i = 0; i < size && (node = *trie_child(trie, node, text[i])) != 0; i++)
        if (trie->nodes[node].value != INK_TRIE_NONE) {
            longest = trie->nodes[node].value;
            *length = i + 1;
        }
    return longest;
}
