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

/* Where the number of the child with that byte is, or would be. */
static uint32_t *trie_child(const ink_trie *trie, uint32_t node, char byte)
{
    uint32_t *child = &trie->nodes[node].child;
    for (unsigned bit = 0; *child != 0 && trie->nodes[*child].byte != byte; bit++)
        child = &trie->nodes[*child].sibling[(unsigned char)byte >> bit & 1];
    return child;
}

static unsigned char trie_byte(const ink_trie_string *s, size_t i)
{
    return (unsigned char)s->text[s->backward ? s->size - 1 - i : i];
}

/* How many bytes two strings have in common at their beginning. */
static size_t trie_common(const ink_trie_string *a, const ink_trie_string *b)
{
    size_t n = 0;
    while (n < a->size && n < b->size && trie_byte(a, n) == trie_byte(b, n))
        n++;
    return n;
}

typedef struct trie_strings {
    ink_trie_string_fn string;
    const void *user;
} trie_strings;

/* By their bytes; the sets are apart already. */
static int compare_strings(const void *user, size_t i, size_t k)
{
    const trie_strings *strings = user;
    ink_trie_string a, b;
    strings->string(strings->user, i, &a);
    strings->string(strings->user, k, &b);
    const size_t n = trie_common(&a, &b);
    if (n == a.size || n == b.size)
        return a.size < b.size ? -1 : a.size > b.size ? 1 : i < k ? -1 : i > k;
    return trie_byte(&a, n) < trie_byte(&b, n) ? -1 : 1;
}

static void trie_put(ink_trie *trie, const ink_trie_string *s)
{
    uint32_t node = INK_TRIE_ROOT(s->set);
    for (size_t i = 0; i < s->size; i++) {
        const char byte = (char)trie_byte(s, i);
        uint32_t *child = trie_child(trie, node, byte);
        if (*child == 0) {
            *child = (uint32_t)trie->n_nodes++;
            trie->nodes[*child] = (ink_trie_node){.value = INK_TRIE_NONE, .byte = byte};
        }
        node = *child;
    }
    if (trie->nodes[node].value == INK_TRIE_NONE)
        trie->nodes[node].value = s->value;
    trie->nodes[node].length = (uint32_t)s->size;
}

ink_result ink_trie_build(ink_context *ctx, ink_arena *arena, const char *file, ink_trie_string_fn string,
                          const void *user, size_t n, ink_trie *trie)
{
    const trie_strings strings = {string, user};
    const size_t n_roots = INK_TRIE_ROOT(INK_TRIE_SETS);
    ink_arena work;
    ink_arena_grow(&work, &ctx->allocator);
    ink_trie_string s = {0}, before = {0};
    size_t n_keys = 0, n_nodes = n_roots;
    uint64_t *keys = ink_arena_alloc(&work, n, sizeof *keys);
    if (keys == NULL) {
        ink_arena_free(&work);
        return ink_fail(ctx, INK_ERROR_MEMORY, "out of memory: %s: %zu strings", file, n);
    }
    /* In order, every string has a node for each byte that it does not have in common with the one before. */
    for (size_t i = 0; i < n; i++) {
        uint32_t order = 0;
        if (!string(user, i, &s))
            continue;
        for (size_t k = 0; k < 3; k++)
            order = order << 8 | (k < s.size ? trie_byte(&s, k) : 0);
        keys[n_keys++] = INK_KEY((uint32_t)s.set << 24 | order, i);
    }
    ink_sort(keys, n_keys, &(ink_ties){compare_strings, &strings});
    for (size_t i = 0; i < n_keys; i++, before = s) {
        string(user, ink_key_index(keys[i]), &s);
        n_nodes += s.size - (i > 0 && before.set == s.set ? trie_common(&before, &s) : 0);
    }
    ink_arena_free(&work);
    INK_TRY(ink_limit_check(ctx, file, n_nodes * (uint64_t)(sizeof *trie->nodes + sizeof(uint32_t)),
                            INK_LIMIT(ctx, table_bytes)));
    if (n_nodes >= INK_TRIE_NONE)
        return ink_fail(ctx, INK_ERROR_LIMIT, "%s: %zu beginnings of tokens are more than are supported", file,
                        n_nodes);
    trie->n_nodes = n_roots;
    trie->nodes = ink_arena_alloc(arena, n_nodes, sizeof *trie->nodes);
    if (trie->nodes == NULL)
        return ink_fail(ctx, INK_ERROR_MEMORY, "out of memory: %s: %zu beginnings of tokens", file, n_nodes);
    for (size_t i = 0; i < n_roots; i++)
        trie->nodes[i] = (ink_trie_node){.value = INK_TRIE_NONE};
    for (size_t i = 0; i < n; i++)
        if (string(user, i, &s))
            trie_put(trie, &s);
    return INK_OK;
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
