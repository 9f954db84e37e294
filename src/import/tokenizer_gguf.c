/*
 * tokenizer_gguf.c - the tokenizer in the metadata of a GGUF file: tokens, their types and scores, merges, and the ids
 * of control tokens, under keys that begin with "tokenizer.ggml.".
 *
 *     model    the words of a text, and their pieces                 as in the folder that the file was made of, if
 *     llama    none; the pairs with the best scores are merged       its tokenizer is Llama 2's, or Gemma's
 *     gpt2     by a pattern (`pre`); merges over bytes               the table of patterns below knows it
 *     bert     BERT's; the longest tokens                            it is BertTokenizer's
 *     t5       of white space; the best sum of scores                it is T5's or XLM-RoBERTa's
 *
 * The file says less than tokenizer.json. What it leaves out is implied by these names: llama.cpp, whose converter
 * chooses them, has the same for all models of a name, and so have we. Where it simplifies, the ids here are those of
 * the folder: NFC (Qwen2, Command R), accents and capitals of BERT's, letters with case beyond ASCII (Tekken, GPT-4o),
 * the order of Gemma's merges. Keys and defaults are those of llama-vocab.cpp.
 */
#include <float.h>
#include <string.h>

#include "../formats/gguf.h"
#include "../formats/sentencepiece.h"
#include "../text/unicode.h"
#include "tokenizer_import.h"

typedef struct vocab_reader {
    ink_tokenizer_import *im;
    ink_context *ctx;
    const ink_gguf *gguf;
    const ink_gguf_value *tokens;
    size_t n;             /* tokens */
    unsigned char *types; /* [n] each an ink_sp_type: GGUF has SentencePiece's */
    ink_text_model model;
    const char *architecture;
    bool gemma;       /* merges are in the order of tokens */
    bool has_capital; /* BERT's vocabulary has the word A */
} vocab_reader;

/* ---- values ----------------------------------------------------------------------------------------------------- */

static const ink_gguf_value *vocab_find(const vocab_reader *r, const char *key) { return ink_gguf_find(r->gguf, key); }

static ink_result vocab_flag(const vocab_reader *r, const char *key, bool *flag)
{
    return ink_gguf_get_bool(r->ctx, r->gguf, vocab_find(r, key), flag);
}

/* The id of a control token; -1 if there is none, which files also write as 2^32 - 1. Without the key it is
   `otherwise`, if there is such a token. Many files name a padding token behind the vocabulary, which no text needs. */
static ink_result vocab_id(const vocab_reader *r, const char *key, int64_t otherwise, ink_token *id)
{
    const ink_gguf_value *value = vocab_find(r, key);
    int64_t number = otherwise;
    INK_TRY(ink_gguf_get_int(r->ctx, r->gguf, value, INT64_MIN, INT64_MAX, &number));
    const bool inside = number >= 0 && (uint64_t)number < r->n;
    *id = inside ? (ink_token)number : -1;
    if (inside || value == NULL || number < 0 || number == UINT32_MAX ||
        strcmp(key, "tokenizer.ggml.padding_token_id") == 0)
        return INK_OK;
    return ink_gguf_refuse(r->ctx, r->gguf, value, INK_ERROR_CORRUPT, " is %lld, there are %zu tokens",
                           (long long)number, r->n);
}

/* The byte that a token <0xNN> stands for, or -1. */
static int byte_of(const char *text, size_t size)
{
    int value = 0;
    if (size != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>')
        return -1;
    for (int i = 3; i < 5; i++) {
        const char c = text[i];
        const int digit = c >= '0' && c <= '9'   ? c - '0'
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                                 : -1;
        if (digit < 0)
            return -1;
        value = 16 * value + digit;
    }
    return value;
}

/* ---- the lists -------------------------------------------------------------------------------------------------- */

static int compare_tokens(const void *user, size_t a, size_t b)
{
    const ink_spelled_token *tokens = user, *x = &tokens[a], *y = &tokens[b];
    if (x->size != y->size)
        return x->size < y->size ? -1 : 1;
    const int order = x->size > 0 ? memcmp(x->text, y->text, x->size) : 0;
    return order != 0 ? order : a < b ? -1 : a > b;
}

/* Two tokens with one text are refused, as in llama.cpp; those without text are no tokens. */
static ink_result refuse_equal_tokens(const vocab_reader *r)
{
    const ink_spelled_token *tokens = r->im->tokens;
    uint64_t *keys = ink_arena_alloc(r->im->arena, r->n, sizeof *keys);
    if (keys == NULL)
        return ink_fail(r->ctx, INK_ERROR_MEMORY, "out of memory: %s", r->gguf->file);
    for (size_t i = 0; i < r->n; i++)
        keys[i] = INK_KEY(ink_hash(0, tokens[i].text, tokens[i].size), i);
    ink_sort(keys, r->n, &(ink_ties){compare_tokens, tokens});
    for (size_t i = 1; i < r->n; i++) {
        const ink_spelled_token *a = &tokens[ink_key_index(keys[i - 1])], *b = &tokens[ink_key_index(keys[i])];
        if (a->size == 0 || a->size != b->size || memcmp(a->text, b->text, a->size) != 0)
            continue;
        return ink_gguf_refuse(r->ctx, r->gguf, r->tokens, INK_ERROR_CORRUPT,
                               ": element %lld is '%.*s', and so is element %lld", (long long)b->id,
                               (int)ink_size_min(b->size, 100), b->text, (long long)a->id);
    }
    return INK_OK;
}

static bool is_added(int type)
{
    return type == INK_SP_UNKNOWN || type == INK_SP_CONTROL || type == INK_SP_USER_DEFINED;
}

/* "tokens" and "token_type", [n] each; type 0 counts as NORMAL. Tokens of the types UNKNOWN, CONTROL and USER_DEFINED
   are added tokens, which text becomes only where it has them whole. No merges lead to them, except to user-defined
   ones of SentencePiece. */
static ink_result list_tokens(vocab_reader *r)
{
    ink_tokenizer_import *im = r->im;
    const ink_gguf_value *types = vocab_find(r, "tokenizer.ggml.token_type");
    const bool spaces = r->gemma, wordpiece = r->model == INK_MODEL_WORDPIECE;
    const ink_token mask = wordpiece ? -1 : im->b.draft.controls[INK_CONTROL_MASK]; /* it takes the space before it */
    const char *text;
    size_t at = 0, size, room = 0, n_added = 0;
    if (types != NULL)
        INK_TRY(ink_gguf_expect_array(r->ctx, r->gguf, types, INK_GGUF_I32, r->n));
    for (size_t i = 0; i < r->n; i++) {
        int64_t type = r->types[i];
        if (types != NULL)
            INK_TRY(ink_gguf_int_at(r->ctx, r->gguf, types, i, 0, INK_SP_BYTE, &type));
        r->types[i] = (unsigned char)(type == 0 ? INK_SP_NORMAL : type);
        n_added += is_added(r->types[i]);
    }
    while (ink_gguf_next_string(r->tokens, &at, &text, &size))
        room += spaces ? 3 * size : wordpiece ? size + 2 : 0; /* the file has as many bytes */
    im->tokens = ink_arena_alloc(im->arena, r->n, sizeof *im->tokens);
    im->verbatim = ink_arena_alloc(im->arena, r->n, sizeof *im->verbatim);
    im->added = ink_arena_alloc(im->arena, n_added, sizeof *im->added);
    char *respelled = ink_arena_alloc(im->arena, room, 1);
    if (ink_arena_failed(im->arena))
        return ink_fail(r->ctx, INK_ERROR_MEMORY, "out of memory: %s", r->gguf->file);
    at = 0;
    for (size_t i = 0; ink_gguf_next_string(r->tokens, &at, &text, &size); i++)
        im->tokens[i] = (ink_spelled_token){text, size, (ink_token)i};
    im->n_tokens = r->n;
    INK_TRY(refuse_equal_tokens(r));
    for (size_t i = 0; i < r->n; i++) {
        ink_spelled_token *t = &im->tokens[i];
        const int type = r->types[i], byte = byte_of(t->text, t->size);
        const bool added = is_added(type);
        size_t n_spaces = 0;
        text = t->text;
        size = t->size;
        if (type == INK_SP_BYTE && byte < 0)
            return ink_gguf_refuse(r->ctx, r->gguf, r->tokens, INK_ERROR_CORRUPT,
                                   ": element %zu is a byte by its type, expected <0x00> to <0xFF>", i);
        im->verbatim[i] = added && !wordpiece && (type != INK_SP_USER_DEFINED || r->im->byte_level);
        while (spaces && type == INK_SP_USER_DEFINED && n_spaces < size && text[n_spaces] == ' ')
            n_spaces++;
        if (n_spaces > 1 && n_spaces == size) {
            /* A run of spaces is a piece that merges make, and pieces have U+2581. */
            t->text = respelled;
            t->size = 3 * size;
            for (size_t k = 0; k < size; k++, respelled += 3)
                memcpy(respelled, INK_SPACE, 3);
        } else if (wordpiece && size > 3 && memcmp(text, INK_SPACE, 3) == 0) {
            t->text = text + 3; /* it begins a word */
            t->size = size - 3;
            r->has_capital |= t->size == 1 && t->text[0] == 'A';
        } else if (wordpiece && !added && (size < 3 || text[0] != '[' || text[size - 1] != ']')) {
            t->text = respelled; /* it continues one */
            t->size = size + 2;
            memcpy(respelled, "##", 2);
            if (size > 0)
                memcpy(respelled + 2, text, size);
            respelled += size + 2;
        }
        if (added && t->size > 0)
            im->added[im->n_added++] = (ink_added_pattern){.content = t->text,
                                                           .content_size = t->size,
                                                           .set = INK_ADDED_RAW,
                                                           .token = {.id = t->id, .left_strip = t->id == mask},
                                                           .special = type != INK_SP_USER_DEFINED};
    }
    im->given_ids = true;
    return INK_OK;
}

/* "scores" [n] */
static ink_result list_scores(vocab_reader *r)
{
    const ink_gguf_value *scores;
    INK_TRY(ink_gguf_require(r->ctx, r->gguf, "tokenizer.ggml.scores", &scores));
    INK_TRY(ink_gguf_expect_array(r->ctx, r->gguf, scores, INK_GGUF_F32, r->n));
    r->im->scores = ink_arena_alloc(r->im->arena, r->n, sizeof *r->im->scores);
    if (r->im->scores == NULL)
        return ink_fail(r->ctx, INK_ERROR_MEMORY, "out of memory: %s", r->gguf->file);
    for (size_t i = 0; i < r->n; i++)
        INK_TRY(ink_gguf_float_at(r->ctx, r->gguf, scores, i, &r->im->scores[i]));
    return INK_OK;
}

/* "merges", "left right" each */
static ink_result list_merges(vocab_reader *r, const ink_gguf_value *merges)
{
    ink_tokenizer_import *im = r->im;
    const char *text;
    size_t at = 0, size;
    INK_TRY(ink_gguf_expect_array(r->ctx, r->gguf, merges, INK_GGUF_STRING, INK_GGUF_ANY));
    im->merges_value = merges;
    im->merges = ink_arena_alloc(im->arena, merges->count, sizeof *im->merges);
    if (im->merges == NULL)
        return ink_fail(r->ctx, INK_ERROR_MEMORY, "out of memory: %s", r->gguf->file);
    while (ink_gguf_next_string(merges, &at, &text, &size))
        INK_TRY(ink_import_list_merge(im, 0, text, size));
    return INK_OK;
}

/* ---- what goes around a text ------------------------------------------------------------------------------------- */

/* BOS A EOS, and BOS A EOS BOS B EOS; or, as rerankers have it, BOS A EOS SEP B EOS. BERT's is its own. */
static ink_result put_template(vocab_reader *r, bool bos, bool eos, bool sep)
{
    static const struct {
        const char *flag, *id;
        ink_control which;
    } rows[] = {{"tokenizer.ggml.add_bos_token", "tokenizer.ggml.bos_token_id", INK_CONTROL_BOS},
                {"tokenizer.ggml.add_eos_token", "tokenizer.ggml.eos_token_id", INK_CONTROL_EOS},
                {"tokenizer.ggml.add_sep_token", "tokenizer.ggml.seperator_token_id", INK_CONTROL_SEP}};
    const ink_token *controls = r->im->b.draft.controls;
    bool wanted[] = {bos, eos, sep};
    ink_token id[3];
    for (int i = 0; i < 3; i++) {
        INK_TRY(vocab_flag(r, rows[i].flag, &wanted[i]));
        id[i] = controls[rows[i].which];
        if (wanted[i] && id[i] < 0 && vocab_find(r, rows[i].flag) != NULL)
            return ink_fail(r->ctx, INK_ERROR_MISMATCH, "%s: key '%s' is true, but '%s' names no token", r->gguf->file,
                            rows[i].flag, rows[i].id);
        if (!wanted[i])
            id[i] = -1;
    }
    const bool separated = id[2] >= 0;
    for (int part = 0; part < 3; part++) {
        const ink_token slots[] = {part == 2 && separated ? id[2] : id[0], part == 2 ? INK_TEMPLATE_B : INK_TEMPLATE_A,
                                   id[1]};
        for (int i = 0; i < 3; i++)
            if (i == 1 || slots[i] >= 0)
                INK_TRY(
                    ink_import_slot(r->im, part > 0, slots[i], part == 2 && !separated && r->model == INK_MODEL_BPE));
    }
    return INK_OK;
}

/* ---- the models ------------------------------------------------------------------------------------------------- */

/* Spaces become U+2581, and a text gets one in front, behind an added token as well. */
static ink_result read_llama(vocab_reader *r)
{
    static const ink_step front = {.normalize = ink_normal_prepend, .to = {INK_SPACE, 3}};
    static const ink_step escape = {.normalize = ink_normal_replace, .from = {" ", 1}, .to = {INK_SPACE, 3}};
    static const ink_step spaces = {.decode = ink_decode_replace, .from = {INK_SPACE, 3}, .to = {" ", 1}};
    ink_tokenizer *t = &r->im->b.draft;
    const ink_gguf_value *merges = vocab_find(r, "tokenizer.ggml.merges");
    bool prefix = true;
    INK_TRY(vocab_flag(r, "tokenizer.ggml.add_space_prefix", &prefix));
    if (prefix)
        ink_builder_step(&t->normalizer, INK_NORMAL_STEPS, &front);
    ink_builder_step(&t->normalizer, INK_NORMAL_STEPS, &escape);
    ink_builder_step(&t->decoder.steps, INK_DECODE_STEPS, &spaces);
    t->bpe.fuse_unk = t->bytes.fallback = t->decoder.byte_fallback = true;
    t->decoder.strip = (ink_short_text){" ", 1};
    t->decoder.strip_most = prefix ? 1 : 0;
    t->unk = t->controls[INK_CONTROL_UNK];
    r->im->by_score = merges == NULL || merges->count == 0;
    if (!r->im->by_score)
        INK_TRY(list_merges(r, merges));
    else
        INK_TRY(list_scores(r));
    for (size_t i = 0; i < r->n && r->gemma && r->im->by_score; i++)
        r->im->scores[i] = -(double)i;
    INK_TRY(ink_import_tokens(r->im));
    for (size_t i = 0; i < r->n; i++)
        if (r->types[i] == INK_SP_BYTE)
            t->bytes.id[byte_of(r->im->tokens[i].text, r->im->tokens[i].size)] = (ink_token)i;
    return put_template(r, true, false, false);
}

const ink_pre ink_pres[] = {
    {"llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano", INK_PATTERN_LLAMA3,
     .whole_words = true, .bos = true},
    {"glm4", INK_PATTERN_LLAMA3, .whole_words = true},
    {"smaug-bpe dbrx chatglm-bpe", INK_PATTERN_LLAMA3, .nfc = false},
    {"qwen2 megrez f2llmv2", INK_PATTERN_QWEN2, .nfc = true},
    {"deepseek-r1-qwen kormo stablelm2 hunyuan solar-open grok-2", INK_PATTERN_QWEN2, .nfc = false},
    {"qwen35", INK_PATTERN_QWEN35, .nfc = true},
    {"gpt-2 phi-2 jina-es jina-de jina-v2-es jina-v2-de gigachat a.x-4.0 mellum exaone4 mpt jais trillion "
     "granite-docling",
     INK_PATTERN_GPT2, .nfc = false},
    {"modern-bert olmo", INK_PATTERN_GPT2, .nfc = true},
    {"roberta-bpe jina-v1-en jina-v2-code", INK_PATTERN_GPT2, .sep = true},
    {"smollm starcoder refact codeshell exaone minerva-7b mellum2", INK_PATTERN_GPT2, .digits = 1},
    {"command-r", INK_PATTERN_GPT2, .digits = 1, .nfc = true},
    {"tekken", INK_PATTERN_TEKKEN, .whole_words = true, .bos = true},
    {"gpt-4o llama4 kanana2 talkie minimax-m2", INK_PATTERN_GPT4O, .nfc = false},
    {"minicpm5", INK_PATTERN_ANY_DIGITS, .digits = 3, .whole_words = true},
    {"seed-coder", INK_PATTERN_NO_LINES, .nfc = false},
    {"ufakzeka", INK_PATTERN_NO_CONTRACTION, .nfc = false},
    {.names = NULL},
};

static ink_result read_gpt2(vocab_reader *r)
{
    static const ink_step normal = {.normalize = ink_normal_nfc};
    ink_tokenizer *t = &r->im->b.draft;
    const ink_gguf_value *value = vocab_find(r, "tokenizer.ggml.pre"), *merges;
    const ink_pre *pre = ink_pres;
    const char *name = "";
    size_t size = 0;
    INK_TRY(ink_gguf_get_string(r->ctx, r->gguf, value, &name, &size));
    if (size == 0 || strcmp(name, "default") == 0)
        return ink_fail(
            r->ctx, INK_ERROR_UNSUPPORTED,
            "%s: key 'tokenizer.ggml.pre' %s, so nothing says where the words of a text are cut, and a guess would "
            "give other tokens than the model knows; convert the model again, or write the name, llama-bpe "
            "for instance, with gguf_new_metadata of the Python package gguf (--pre-tokenizer)",
            r->gguf->file, size == 0 ? "is missing" : "is 'default'");
    while (pre->names != NULL && !ink_is_listed(pre->names, name, size))
        pre++;
    if (pre->names == NULL) {
        char known[1000];
        size_t used = 0;
        for (pre = ink_pres; pre->names != NULL; pre++)
            used += ink_format(known + used, sizeof known - used, " %s", pre->names);
        return ink_fail(r->ctx, INK_ERROR_UNSUPPORTED, "%s: key '%s' (byte %llu) is '%.100s', supported:%s",
                        r->gguf->file, value->key, (unsigned long long)value->offset, name, known);
    }
    if (pre->nfc)
        ink_builder_step(&t->normalizer, INK_NORMAL_STEPS, &normal);
    ink_step numbers = {.match = ink_match_numbers, .start = pre->digits}, words = {.behavior = INK_SPLIT_ISOLATED};
    if (pre->digits != 0)
        ink_builder_step(&t->splitter, INK_SPLIT_STEPS, &numbers);
    ink_import_pattern(pre->pattern, &words);
    ink_builder_step(&t->splitter, INK_SPLIT_STEPS, &words);
    t->bpe.ignore_merges = pre->whole_words;
    t->decoder.byte_level = true;
    INK_TRY(ink_gguf_require(r->ctx, r->gguf, "tokenizer.ggml.merges", &merges));
    INK_TRY(list_merges(r, merges));
    INK_TRY(ink_import_tokens(r->im));
    return put_template(r, pre->bos, false, pre->sep);
}

/* A word begins with a token that has U+2581 in front; here these have nothing in front, and the others ##. Newer files
   say whether text is made lower case. In others a vocabulary with the word A tells that it is not. */
static ink_result read_bert(vocab_reader *r)
{
    ink_tokenizer *t = &r->im->b.draft;
    bool lowercase = !r->has_capital, strip_accents;
    INK_TRY(vocab_flag(r, "tokenizer.ggml.normalizer.lowercase", &lowercase));
    strip_accents = lowercase;
    INK_TRY(vocab_flag(r, "tokenizer.ggml.normalizer.strip_accents", &strip_accents));
    if (vocab_find(r, "tokenizer.ggml.cls_token_id") == NULL && t->controls[INK_CONTROL_BOS] >= 0)
        t->controls[INK_CONTROL_CLS] = t->controls[INK_CONTROL_BOS];
    const ink_token cls = t->controls[INK_CONTROL_CLS], sep = t->controls[INK_CONTROL_SEP];
    if (cls < 0 || sep < 0)
        return ink_fail(r->ctx, INK_ERROR_MISMATCH, "%s: key '%s' is missing", r->gguf->file,
                        cls < 0 ? "tokenizer.ggml.cls_token_id" : "tokenizer.ggml.seperator_token_id");
    char key[128];
    int64_t length = -1;
    ink_format(key, sizeof key, "%s.context_length", r->architecture);
    const ink_gguf_value *value = ink_gguf_find(r->gguf, key);
    INK_TRY(ink_gguf_get_int(r->ctx, r->gguf, value, 1, INT32_MAX, &length));
    t->max_length = value != NULL ? (size_t)length : SIZE_MAX;
    t->unk = t->controls[INK_CONTROL_UNK];
    r->im->prefix = (ink_short_text){"##", 2};
    r->im->longest_word = 100;
    ink_import_bert_normalizer(r->im, true, true, strip_accents, lowercase);
    ink_import_bert_splitter(r->im);
    ink_import_wordpiece_decoder(r->im, &r->im->prefix, true);
    INK_TRY(ink_import_tokens(r->im));
    return ink_import_bert_template(r->im, cls, sep, false);
}

static ink_result read_t5(vocab_reader *r)
{
    ink_tokenizer *t = &r->im->b.draft;
    const ink_gguf_value *charsmap = vocab_find(r, "tokenizer.ggml.precompiled_charsmap");
    bool prefix = false, remove_spaces = false;
    double smallest = DBL_MAX;
    INK_TRY(vocab_flag(r, "tokenizer.ggml.add_space_prefix", &prefix));
    INK_TRY(vocab_flag(r, "tokenizer.ggml.remove_extra_whitespaces", &remove_spaces));
    if (charsmap != NULL && charsmap->count > 0) {
        const ink_step normal = {.normalize = ink_normal_charsmap, .map = &t->charsmap};
        if (!charsmap->is_array || charsmap->type != INK_GGUF_I8)
            INK_TRY(ink_gguf_expect_array(r->ctx, r->gguf, charsmap, INK_GGUF_U8, INK_GGUF_ANY));
        INK_TRY(ink_builder_charsmap(&r->im->b, charsmap->key, (const char *)charsmap->data, charsmap->count));
        ink_builder_step(&t->normalizer, INK_NORMAL_STEPS, &normal);
    }
    ink_import_word_pieces(r->im, remove_spaces, prefix);
    t->unk = t->controls[INK_CONTROL_UNK];
    INK_TRY(list_scores(r));
    for (size_t i = 0; i < r->n; i++) {
        if (r->types[i] == INK_SP_NORMAL)
            smallest = r->im->scores[i] < smallest ? r->im->scores[i] : smallest;
        t->bytes.fallback |= r->types[i] == INK_SP_BYTE;
    }
    t->decoder.byte_fallback = t->bytes.fallback;
    INK_TRY(ink_import_tokens(r->im));
    t->unigram.unknown = smallest - INK_UNIGRAM_PENALTY; /* tokens that fill up a vocabulary have scores, too */
    return put_template(r, false, true, false);
}

/* ---- all together ----------------------------------------------------------------------------------------------- */

ink_result ink_import_tokenizer_gguf(ink_tokenizer_import *im, const ink_gguf *gguf)
{
    static const struct {
        const char *name;
        ink_text_model model;
        ink_result (*read)(vocab_reader *r);
        int64_t ids[INK_N_CONTROLS]; /* without a key */
    } models[] = {{"llama", INK_MODEL_BPE, read_llama, {1, 2, 0, -1, -1, -1, -1}},
                  {"gpt2", INK_MODEL_BPE, read_gpt2, {-1, -1, -1, -1, -1, -1, -1}},
                  {"bert", INK_MODEL_WORDPIECE, read_bert, {-1, -1, 100, 102, 0, 101, 103}},
                  {"t5", INK_MODEL_UNIGRAM, read_t5, {-1, 1, 2, -1, 0, -1, -1}}};
    static const char *const keys[] = {"tokenizer.ggml.bos_token_id",     "tokenizer.ggml.eos_token_id",
                                       "tokenizer.ggml.unknown_token_id", "tokenizer.ggml.seperator_token_id",
                                       "tokenizer.ggml.padding_token_id", "tokenizer.ggml.cls_token_id",
                                       "tokenizer.ggml.mask_token_id"};
    vocab_reader r = {.im = im, .ctx = im->ctx, .gguf = gguf};
    ink_tokenizer *t = &im->b.draft;
    const ink_gguf_value *value;
    const char *name;
    size_t m = 0;
    INK_TRY(ink_gguf_require(im->ctx, gguf, "tokenizer.ggml.model", &value));
    INK_TRY(ink_gguf_get_string(im->ctx, gguf, value, &name, NULL));
    while (m < 4 && strcmp(models[m].name, name) != 0)
        m++;
    if (m == 4)
        return ink_gguf_refuse(im->ctx, gguf, value, INK_ERROR_UNSUPPORTED,
                               " is '%.100s', supported: llama, gpt2, bert, t5", name);
    INK_TRY(ink_gguf_require(im->ctx, gguf, "tokenizer.ggml.tokens", &r.tokens));
    INK_TRY(ink_gguf_expect_array(im->ctx, gguf, r.tokens, INK_GGUF_STRING, INK_GGUF_ANY));
    r.n = r.tokens->count;
    if (r.n == 0 || r.n >= INT32_MAX)
        return ink_gguf_refuse(im->ctx, gguf, r.tokens, INK_ERROR_CORRUPT, " has %zu tokens", r.n);
    const ink_gguf_value *merges = vocab_find(&r, "tokenizer.ggml.merges");
    const uint64_t n_merges = merges != NULL ? merges->count : 0;
    INK_TRY(ink_limit_check(im->ctx, gguf->file,
                            r.n * (uint64_t)(sizeof *im->tokens + sizeof *im->added + sizeof *im->scores) +
                                n_merges * (sizeof *im->merges + sizeof(ink_bpe_merge)),
                            INK_LIMIT(im->ctx, table_bytes)));
    r.types = ink_arena_alloc(im->arena, r.n, 1);
    if (r.types == NULL)
        return ink_fail(im->ctx, INK_ERROR_MEMORY, "out of memory: %s", gguf->file);
    memset(r.types, INK_SP_NORMAL, r.n);
    INK_TRY(ink_builder_start(&im->b, im->ctx, im->arena, gguf->file));
    t->model = r.model = models[m].model;
    im->byte_level = strcmp(name, "gpt2") == 0;
    r.architecture = "";
    INK_TRY(ink_gguf_get_string(im->ctx, gguf, ink_gguf_find(gguf, "general.architecture"), &r.architecture, NULL));
    r.gemma = strcmp(name, "llama") == 0 && strncmp(r.architecture, "gemma", 5) == 0;
    for (size_t i = 0; i < INK_N_CONTROLS; i++) {
        INK_TRY(vocab_id(&r, keys[i], models[m].ids[i], &t->controls[i]));
        /* Without types these are the control tokens that are known. */
        if (t->controls[i] >= 0 && i != INK_CONTROL_PAD)
            r.types[t->controls[i]] = INK_SP_CONTROL;
    }
    INK_TRY(list_tokens(&r));
    return models[m].read(&r);
}
