/*
 * read_model.c - the components of "model": WordPiece and WordLevel here, BPE in read_bpe.c.
 */
#include "tokenizer_read.h"

#define LONGEST_WORD 1024 /* characters; published files say 100. Keeps the time for a text in bounds */

ink_result ink_read_unk(ink_tokenizer_reader *r, ink_json model, const char *otherwise, ink_token *unk)
{
    const char *token = otherwise;
    INK_TRY(ink_json_read_string(r->ctx, &r->json, model, "unk_token", &token));
    *unk = token != NULL ? ink_read_find(r, token, strlen(token)) : -1;
    if (token != NULL && *unk < 0)
        return ink_fail(r->ctx, INK_ERROR_CORRUPT, "%s: model.unk_token: '%s' is not in the vocabulary", r->json.file,
                        token);
    return INK_OK;
}

/* A vocabulary of words, and the token for those that are not in it. */
static ink_result read_words(ink_tokenizer_reader *r, ink_json model, const char *unk)
{
    if (r->tokenizer->vocab.byte_level)
        return ink_read_refuse(r, INK_ERROR_UNSUPPORTED, model, "after ByteLevel only the model BPE is supported");
    INK_TRY(ink_read_vocab(r, model));
    return ink_read_unk(r, model, unk, &r->tokenizer->unk);
}

static ink_result read_wordlevel(ink_tokenizer_reader *r, ink_json model)
{
    r->tokenizer->model = INK_MODEL_WORDLEVEL;
    return read_words(r, model, "<unk>");
}

static void put_words(const ink_vocab *vocab, const ink_short_text *prefix, ink_trie *trie)
{
    for (size_t id = 0; id < vocab->n_ids; id++) {
        const char *bytes = ink_vocab_bytes(vocab, (ink_token)id);
        size_t size = vocab->tokens[id].size;
        if (size == 0)
            continue;
        ink_trie_put(trie, INK_WORDPIECE_HEAD, bytes, size, (uint32_t)id);
        if (size > prefix->size && ink_text_starts(prefix, bytes, size))
            ink_trie_put(trie, INK_WORDPIECE_REST, bytes + prefix->size, size - prefix->size, (uint32_t)id);
    }
}

static ink_result read_wordpiece(ink_tokenizer_reader *r, ink_json model)
{
    ink_wordpiece *wordpiece = &r->tokenizer->wordpiece;
    ink_short_text prefix = {"##", 2};
    r->tokenizer->model = INK_MODEL_WORDPIECE;
    wordpiece->longest = 100;
    INK_TRY(
        ink_json_read_size(r->ctx, &r->json, model, "max_input_chars_per_word", 1, LONGEST_WORD, &wordpiece->longest));
    if (ink_json_member(&r->json, model, "continuing_subword_prefix") != INK_JSON_NONE)
        INK_TRY(ink_read_short(r, model, "continuing_subword_prefix", &prefix));
    INK_TRY(read_words(r, model, "[UNK]"));
    wordpiece->unk = r->tokenizer->unk;
    INK_TRY(ink_trie_start(r->ctx, r->arena, 2 * r->tokenizer->vocab.pool_size, &wordpiece->trie));
    put_words(&r->tokenizer->vocab, &prefix, &wordpiece->trie);
    return INK_OK;
}

const ink_component ink_model_components[] = {
    {"BPE",
     "type vocab merges unk_token dropout continuing_subword_prefix end_of_word_suffix fuse_unk byte_fallback "
     "ignore_merges",
     ink_read_bpe},
    {"WordLevel", "type vocab unk_token", read_wordlevel},
    {"WordPiece", "type vocab unk_token continuing_subword_prefix max_input_chars_per_word", read_wordpiece},
    {NULL, NULL, NULL}};
