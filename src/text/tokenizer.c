/*
 * tokenizer.c - how a tokenizer is built, and what it answers about itself.
 */
#include "engine.h"

/* ---- the builder ------------------------------------------------------------------------------------------------ */

static ink_result builder_no_memory(const ink_tokenizer_builder *b)
{
    return ink_fail(b->ctx, INK_ERROR_MEMORY, "out of memory: %s", b->file);
}

ink_result ink_builder_start(ink_tokenizer_builder *b, ink_context *ctx, ink_arena *arena, const char *file)
{
    ink_step *steps = ink_arena_alloc(arena, INK_NORMAL_STEPS + INK_SPLIT_STEPS + INK_DECODE_STEPS, sizeof *steps);
    *b = (ink_tokenizer_builder){.ctx = ctx, .arena = arena, .file = file, .draft.unk = INK_UNK_NONE};
    if (steps == NULL)
        return builder_no_memory(b);
    b->draft.normalizer.step = steps;
    b->draft.splitter.step = steps + INK_NORMAL_STEPS;
    b->draft.decoder.steps.step = steps + INK_NORMAL_STEPS + INK_SPLIT_STEPS;
    b->draft.max_length = SIZE_MAX;
    b->draft.named_unk = b->draft.source_language = b->draft.target_language = -1;
    for (size_t i = 0; i < INK_N_CONTROLS; i++)
        b->draft.controls[i] = -1;
    return INK_OK;
}

bool ink_builder_step(ink_steps *row, size_t most, const ink_step *step)
{
    if (row->n == most)
        return false;
    row->step[row->n++] = *step;
    return true;
}

ink_result ink_builder_vocab(ink_tokenizer_builder *b, size_t n_ids, size_t n_bytes)
{
    ink_vocab *vocab = &b->draft.vocab;
    vocab->n_ids = vocab->first_other = n_ids;
    vocab->pool = ink_arena_alloc(b->arena, n_bytes, 1);
    vocab->tokens = ink_arena_alloc(b->arena, n_ids + b->n_others, sizeof *vocab->tokens);
    vocab->id_of_other = ink_arena_alloc(b->arena, b->n_others, sizeof *vocab->id_of_other);
    if (ink_arena_failed(b->arena))
        return ink_fail(b->ctx, INK_ERROR_MEMORY, "out of memory: a vocabulary of %zu tokens", n_ids);
    memset(vocab->tokens, 0, (n_ids + b->n_others) * sizeof *vocab->tokens);
    return INK_OK;
}

ink_vocab_token *ink_builder_token(ink_tokenizer_builder *b, ink_token id, const char *bytes, size_t size)
{
    ink_vocab *vocab = &b->draft.vocab;
    if (size > 0)
        memcpy(vocab->pool + vocab->pool_size, bytes, size);
    if (vocab->tokens[id].known) {
        ink_vocab_moves(vocab, (uint32_t)id, (uint32_t)(vocab->first_other + vocab->n_others));
        vocab->id_of_other[vocab->n_others] = id;
        vocab->tokens[vocab->first_other + vocab->n_others++] = vocab->tokens[id];
    }
    vocab->tokens[id] = (ink_vocab_token){.offset = (uint32_t)vocab->pool_size, .size = (uint32_t)size, .known = true};
    vocab->pool_size += size;
    vocab->longest = ink_size_max(vocab->longest, size);
    return &vocab->tokens[id];
}

typedef struct wordpiece_strings {
    const ink_vocab *vocab;
    const ink_short_text *prefix;
} wordpiece_strings;

/* Each token twice: as the head of a word, and as the rest of one. */
static bool wordpiece_string(const void *user, size_t i, ink_trie_string *string)
{
    const wordpiece_strings *strings = user;
    const ink_vocab_token *token = &strings->vocab->tokens[i / 2];
    const size_t skipped = i % 2 == 0 ? 0 : strings->prefix->size;
    const char *bytes = strings->vocab->pool + token->offset;
    *string = (ink_trie_string){.text = bytes + skipped,
                                .size = token->size - skipped,
                                .value = (uint32_t)ink_vocab_id(strings->vocab, i / 2),
                                .set = i % 2 == 0 ? INK_WORDPIECE_HEAD : INK_WORDPIECE_REST,
                                .backward = i % 2 == 1};
    return token->known && token->size > skipped &&
           (i % 2 == 0 || ink_text_starts(strings->prefix, bytes, token->size));
}

ink_result ink_builder_wordpiece(ink_tokenizer_builder *b, const ink_short_text *prefix, size_t longest)
{
    const ink_vocab *vocab = &b->draft.vocab;
    const wordpiece_strings strings = {vocab, prefix};
    ink_trie *trie = &b->draft.wordpiece.trie;
    b->draft.wordpiece.longest = longest;
    b->draft.marks_rest = prefix->size > 0;
    INK_TRY(ink_trie_build(b->ctx, b->arena, b->file, wordpiece_string, &strings,
                           2 * (vocab->first_other + vocab->n_others), trie));
    return ink_trie_link(b->ctx, b->arena, trie, INK_WORDPIECE_REST);
}

/* Each pattern twice: its content, and the text that is searched, unless no text has it. */
static bool added_string(const void *user, size_t i, ink_trie_string *string)
{
    const ink_added_pattern *p = (const ink_added_pattern *)user + i / 2;
    *string = (ink_trie_string){.text = i % 2 == 0 ? p->content : p->text,
                                .size = i % 2 == 0 ? p->content_size : p->size,
                                .value = (uint32_t)(i / 2),
                                .set = (uint8_t)(i % 2 == 0 ? INK_ADDED_CONTENT : p->set),
                                .backward = i % 2 == 1};
    return string->size > 0;
}

ink_result ink_builder_added(ink_tokenizer_builder *b, const ink_added_pattern *patterns, size_t n)
{
    ink_added *added = &b->draft.added;
    added->tokens = ink_arena_alloc(b->arena, n, sizeof *added->tokens);
    if (added->tokens == NULL)
        return ink_fail(b->ctx, INK_ERROR_MEMORY, "out of memory: %zu added tokens", n);
    INK_TRY(ink_trie_build(b->ctx, b->arena, b->file, added_string, patterns, 2 * n, &added->trie));
    for (size_t i = 0; i < n; i++) {
        const ink_added_pattern *p = &patterns[i];
        added->tokens[i] = p->token;
        added->longest = ink_size_max(added->longest, p->size);
        if (p->special && p->size == p->content_size && memcmp(p->text, p->content, p->size) == 0)
            b->draft.vocab.tokens[p->token.id].special = true;
    }
    added->n_tokens = n;
    /* Pieces of Unigram may be equal; all that are spelled like a special token are special. */
    for (size_t id = 0; id < b->draft.vocab.n_ids && b->draft.model == INK_MODEL_UNIGRAM; id++) {
        ink_vocab_token *token = &b->draft.vocab.tokens[id];
        uint32_t i = ink_trie_find(&added->trie, INK_ADDED_CONTENT, b->draft.vocab.pool + token->offset, token->size);
        token->special |= i != INK_TRIE_NONE && patterns[i].special;
    }
    INK_TRY(ink_trie_link(b->ctx, b->arena, &added->trie, INK_ADDED_RAW));
    return ink_trie_link(b->ctx, b->arena, &added->trie, INK_ADDED_NORMALIZED);
}

/* A copy of a part; the part itself while the arena measures. */
static void *tokenizer_copy(ink_arena *arena, void *items, size_t count, size_t size)
{
    void *copy = ink_arena_alloc(arena, count, size);
    if (copy == NULL)
        return items;
    if (count != 0)
        memcpy(copy, items, count * size);
    return copy;
}

/* Lays the parts of the draft out one after the other, and copies them where the arena has memory. */
static ink_tokenizer *tokenizer_layout(ink_arena *arena, ink_tokenizer *draft)
{
    ink_tokenizer *tokenizer = ink_arena_alloc(arena, 1, sizeof *tokenizer), *t = draft;
    if (tokenizer != NULL) {
        *tokenizer = *draft;
        t = tokenizer;
    }
    ink_steps *const rows[] = {&t->normalizer, &t->splitter, &t->decoder.steps};
    ink_index *const indices[] = {&t->vocab.index, &t->bpe.index};
    ink_trie *const tries[] = {&t->added.trie, &t->wordpiece.trie, &t->unigram.trie};
    t->charsmap.units = tokenizer_copy(arena, t->charsmap.units, t->charsmap.n_units, sizeof *t->charsmap.units);
    t->charsmap.texts = tokenizer_copy(arena, t->charsmap.texts, t->charsmap.n_texts, 1);
    for (size_t i = 0; i < 3; i++)
        rows[i]->step = tokenizer_copy(arena, rows[i]->step, rows[i]->n, sizeof *rows[i]->step);
    for (size_t i = 0; i < 3; i++)
        tries[i]->nodes = tokenizer_copy(arena, tries[i]->nodes, tries[i]->n_nodes, sizeof *tries[i]->nodes);
    for (size_t i = 0; i < 2; i++)
        indices[i]->slots = tokenizer_copy(arena, indices[i]->slots, indices[i]->n_slots, sizeof *indices[i]->slots);
    t->unigram.pieces = tokenizer_copy(arena, t->unigram.pieces, t->unigram.n_pieces, sizeof *t->unigram.pieces);
    if (t->unigram.ids != NULL)
        t->unigram.ids = tokenizer_copy(arena, t->unigram.ids, t->unigram.n_pieces, sizeof *t->unigram.ids);
    for (size_t i = 0; i < t->normalizer.n; i++)
        t->normalizer.step[i].map = &t->charsmap;
    t->vocab.pool = tokenizer_copy(arena, t->vocab.pool, t->vocab.pool_size, 1);
    t->vocab.tokens =
        tokenizer_copy(arena, t->vocab.tokens, t->vocab.first_other + t->vocab.n_others, sizeof *t->vocab.tokens);
    t->vocab.id_of_other = tokenizer_copy(arena, t->vocab.id_of_other, t->vocab.n_others, sizeof *t->vocab.id_of_other);
    t->bpe.merges = tokenizer_copy(arena, t->bpe.merges, t->bpe.n_merges, sizeof *t->bpe.merges);
    t->added.tokens = tokenizer_copy(arena, t->added.tokens, t->added.n_tokens, sizeof *t->added.tokens);
    t->template.slots =
        tokenizer_copy(arena, t->template.slots, t->template.n[0] + t->template.n[1], sizeof *t->template.slots);
    t->languages = tokenizer_copy(arena, t->languages, t->n_languages, sizeof *t->languages);
    t->pairs = tokenizer_copy(arena, t->pairs, t->n_pairs, sizeof *t->pairs);
    return tokenizer;
}

ink_result ink_builder_finish(ink_tokenizer_builder *b, ink_tokenizer **tokenizer)
{
    ink_arena measured, arena;
    ink_arena_measure(&measured);
    tokenizer_layout(&measured, &b->draft);
    INK_TRY(ink_object_new(b->ctx, "the tokenizer", &measured, NULL, 0, &arena));
    *tokenizer = tokenizer_layout(&arena, &b->draft);
    return INK_OK;
}

void ink_tokenizer_free(ink_tokenizer *tokenizer) { ink_object_free(tokenizer); }

/* ---- questions -------------------------------------------------------------------------------------------------- */

size_t ink_tokenizer_vocab_size(const ink_tokenizer *tokenizer)
{
    return tokenizer == NULL ? 0 : tokenizer->vocab.n_ids;
}

ink_token ink_tokenizer_find(const ink_tokenizer *tokenizer, const char *text, size_t size)
{
    if (tokenizer == NULL || text == NULL)
        return -1;
    uint32_t i = ink_trie_find(&tokenizer->added.trie, INK_ADDED_CONTENT, text, size);
    return i != INK_TRIE_NONE ? tokenizer->added.tokens[i].id : ink_vocab_find(&tokenizer->vocab, text, size, false);
}

const char *ink_tokenizer_token(const ink_tokenizer *tokenizer, ink_token id, size_t *size)
{
    bool known = tokenizer != NULL && ink_vocab_has(&tokenizer->vocab, id);
    if (size != NULL)
        *size = known ? tokenizer->vocab.tokens[id].size : 0;
    return known ? ink_vocab_bytes(&tokenizer->vocab, id) : NULL;
}

bool ink_tokenizer_is_special(const ink_tokenizer *tokenizer, ink_token id)
{
    return tokenizer != NULL && ink_vocab_has(&tokenizer->vocab, id) && tokenizer->vocab.tokens[id].special;
}

ink_token ink_tokenizer_control(const ink_tokenizer *tokenizer, ink_control which)
{
    return tokenizer != NULL && (size_t)which < INK_N_CONTROLS ? tokenizer->controls[which] : -1;
}

bool ink_tokenizer_adds(const ink_tokenizer *tokenizer, ink_control which)
{
    ink_token id = ink_tokenizer_control(tokenizer, which);
    for (size_t i = 0; id >= 0 && i < tokenizer->template.n[0]; i++)
        if (tokenizer->template.slots[i].id == id)
            return true;
    return false;
}

size_t ink_tokenizer_max_length(const ink_tokenizer *tokenizer)
{
    return tokenizer == NULL ? 0 : tokenizer->max_length;
}

bool ink_tokenizer_gives_types(const ink_tokenizer *tokenizer) { return tokenizer != NULL && tokenizer->gives_types; }
