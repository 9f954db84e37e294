/*
 * tokenizer_import.c - lists of tokens and merges, as a file spells them, become the vocabulary and the model of the
 * engine; and BERT's and RoBERTa's rows of steps and templates, which both readers need.
 */
#include <string.h>

#include "../formats/gguf.h"
#include "../text/unicode.h"
#include "tokenizer_import.h"

/* ---- spellings -------------------------------------------------------------------------------------------------- */

/* A file holds text, but a byte-level token is any bytes, so the file spells each byte as one character. These are the
   bytes that a spelling [size] stands for, in `out` [size]. A spelling with a character that spells no byte is an added
   token's and stands for itself: *verbatim. */
static size_t spelled_bytes(const char *spelling, size_t size, char *out, bool *verbatim)
{
    size_t n = 0;
    *verbatim = false;
    for (size_t i = 0; i < size;) {
        uint32_t code;
        i += ink_utf8_next(spelling + i, size - i, &code);
        int byte = ink_spelled_byte(code);
        if (byte < 0) {
            memcpy(out, spelling, size);
            *verbatim = true;
            return size;
        }
        out[n++] = (char)byte;
    }
    return n;
}

ink_token ink_import_find(ink_tokenizer_import *im, const char *spelling, size_t size)
{
    bool verbatim = false;
    if (size > im->longest)
        return -1;
    const char *bytes = im->byte_level ? im->bytes : spelling;
    const size_t n = im->byte_level ? spelled_bytes(spelling, size, im->bytes, &verbatim) : size;
    const ink_token id = ink_vocab_find(&im->b.draft.vocab, bytes, n, verbatim);
    return id < 0 && im->verbatim != NULL ? ink_vocab_find(&im->b.draft.vocab, spelling, size, true) : id;
}

static void import_token(ink_tokenizer_import *im, ink_token id, const char *spelling, size_t size, bool verbatim)
{
    if (im->byte_level && !verbatim) {
        size = spelled_bytes(spelling, size, im->bytes, &verbatim);
        spelling = im->bytes;
    }
    ink_builder_token(&im->b, id, spelling, size)->verbatim = verbatim;
}

ink_result ink_import_list_tokens(ink_tokenizer_import *im, const ink_json_document *json, ink_json object)
{
    INK_TRY(ink_json_expect(im->ctx, json, object, INK_JSON_OBJECT));
    im->n_tokens = json->nodes[object].n_children;
    im->tokens = ink_arena_alloc(im->arena, im->n_tokens, sizeof *im->tokens);
    if (im->tokens == NULL)
        return ink_fail(im->ctx, INK_ERROR_MEMORY, "out of memory: %s", json->file);
    ink_json child = ink_json_first(json, object);
    for (size_t i = 0; i < im->n_tokens; i++, child = ink_json_next(json, child)) {
        int64_t id = 0;
        INK_TRY(ink_json_get_int(im->ctx, json, child, 0, INT32_MAX - 1, &id));
        im->tokens[i] = (ink_spelled_token){json->nodes[child].key, json->nodes[child].key_size, (ink_token)id};
    }
    return INK_OK;
}

static ink_result import_refuse(ink_tokenizer_import *im, const char *list, size_t i, const char *reason)
{
    return ink_fail(im->ctx, INK_ERROR_CORRUPT, "%s: %s[%zu]: %s", im->b.file, list, i, reason);
}

static ink_result merge_refuse(ink_tokenizer_import *im, const ink_spelled_merge *merge, const char *reason)
{
    if (im->merges_value != NULL)
        return ink_fail(im->ctx, INK_ERROR_CORRUPT, "%s: key '%s' (byte %llu): element %zu: %s", im->b.file,
                        im->merges_value->key, (unsigned long long)im->merges_value->offset,
                        (size_t)(merge - im->merges), reason);
    if (merge->line == 0)
        return import_refuse(im, "model.merges", (size_t)(merge - im->merges), reason);
    return ink_fail(im->ctx, INK_ERROR_CORRUPT, "merges.txt: line %zu: %s", merge->line, reason);
}

ink_result ink_import_list_merge(ink_tokenizer_import *im, size_t line, const char *text, size_t size)
{
    ink_spelled_merge *merge = &im->merges[im->n_merges];
    const char *space = memchr(text, ' ', size);
    const size_t left = space != NULL ? (size_t)(space - text) : size;
    *merge = (ink_spelled_merge){{text, text + left + 1}, {left, size - ink_size_min(left + 1, size)}, line};
    if (space == NULL)
        return merge_refuse(im, merge, "expected two tokens with a space between them");
    if (memchr(space + 1, ' ', merge->size[1]) != NULL)
        return merge_refuse(im, merge, "expected two tokens, there are two spaces");
    im->n_merges++;
    return INK_OK;
}

/* ---- from the lists to vocabulary, model and added tokens -------------------------------------------------------- */

static ink_result import_vocab(ink_tokenizer_import *im)
{
    size_t n_ids = 0, n_bytes = 0, longest = 0;
    for (size_t i = 0; i < im->n_tokens; i++) {
        n_ids = ink_size_max(n_ids, (size_t)im->tokens[i].id + 1);
        im->longest = ink_size_max(im->longest, im->tokens[i].size);
        n_bytes += im->tokens[i].size; /* no more than the file has */
    }
    /* Ids are places in an array, so a small file may not name a huge one. Published files have small gaps. */
    if (n_ids > 8 * (im->n_tokens + im->n_added) + 8192)
        return ink_fail(im->ctx, INK_ERROR_LIMIT, "%s: the largest id, %zu, is far beyond the number of tokens, %zu",
                        im->b.file, n_ids - 1, im->n_tokens + im->n_added);
    /* An added token with the flag "normalized" is searched as the normalizer would change it. */
    for (size_t i = 0; i < im->n_added; i++) {
        ink_added_pattern *p = &im->added[i];
        p->text = p->content;
        p->size = p->content_size;
        if (p->set == INK_ADDED_NORMALIZED && p->size <= INK_ADDED_LONGEST) {
            ink_arena_mark mark = ink_arena_mark_here(&im->ctx->scratch);
            ink_view view = {.text = p->text, .size = p->size};
            ink_result result = ink_normalize(im->ctx, &im->b.draft.normalizer, INK_ADDED_LONGEST, &view);
            if (result == INK_OK) {
                p->text = ink_arena_string(im->arena, view.text, view.size);
                p->size = view.size;
            }
            (void)ink_scratch_end(im->ctx, mark, result);
            if (result == INK_ERROR_LIMIT)
                p->size = INK_ADDED_LONGEST + 1;
            else
                INK_TRY(result);
        }
        if (p->text == NULL)
            return ink_fail(im->ctx, INK_ERROR_MEMORY, "out of memory: %s", im->b.file);
        if (p->size > INK_ADDED_LONGEST)
            return ink_fail(im->ctx, INK_ERROR_LIMIT,
                            "%s: added token '%.*s' has %zu bytes, more than %zu as it is or when it is normalised",
                            im->b.file, (int)ink_size_min(p->content_size, 160), p->content, p->content_size,
                            (size_t)INK_ADDED_LONGEST);
        longest = ink_size_max(longest, p->size);
        n_bytes += p->size;
    }
    size_t room = ink_size_max(n_ids, im->n_tokens) + im->n_added;
    im->spelling = ink_arena_alloc(im->arena, im->longest, 1);
    im->bytes = ink_arena_alloc(im->arena, ink_size_max(longest, im->longest), 1);
    bool *seen = ink_arena_alloc(im->arena, n_ids, sizeof *seen);
    if (seen == NULL)
        return ink_fail(im->ctx, INK_ERROR_MEMORY, "out of memory: %s", im->b.file);
    memset(seen, 0, n_ids * sizeof *seen);
    for (size_t i = 0; i < im->n_tokens; i++) {
        im->b.n_others += seen[im->tokens[i].id];
        seen[im->tokens[i].id] = true;
    }
    im->b.n_others += im->n_added;
    INK_TRY(ink_builder_vocab(&im->b, room, n_bytes));
    im->b.draft.vocab.n_ids = n_ids;
    for (size_t i = 0; i < im->n_tokens; i++)
        import_token(im, im->tokens[i].id, im->tokens[i].text, im->tokens[i].size,
                     im->verbatim != NULL && im->verbatim[i]);
    return ink_builder_index(&im->b);
}

static const char hexadecimal[] = "0123456789ABCDEF";

/* The tokens of the 256 bytes, of which some or all may be missing. Vocabularies of characters may have tokens <0x00>
   to <0xFF>. */
static void import_bytes(ink_tokenizer_import *im)
{
    for (size_t i = 0; i < 256; i++) {
        const char byte = (char)i, name[6] = {'<', '0', 'x', hexadecimal[i / 16], hexadecimal[i % 16], '>'};
        im->b.draft.bytes.id[i] =
            ink_vocab_find(&im->b.draft.vocab, im->byte_level ? &byte : name, im->byte_level ? 1 : sizeof name, false);
    }
}

static ink_result import_bpe(ink_tokenizer_import *im)
{
    const ink_bytes *tokens = &im->b.draft.bytes;
    im->b.draft.bpe.byte_level = im->byte_level;
    /* The reference would spell a byte that is missing in characters, and these in tokens of bytes. */
    for (unsigned i = 0; i < 256 && im->byte_level && tokens->fallback; i++) {
        char name[] = "<0x00>", bytes[4];
        size_t n = ink_utf8_put(bytes, ink_spell_byte((unsigned char)i)), k = 0;
        for (; k < n && tokens->id[i] < 0; k++) {
            name[3] = hexadecimal[(unsigned char)bytes[k] / 16];
            name[4] = hexadecimal[(unsigned char)bytes[k] % 16];
            if (ink_vocab_find(&im->b.draft.vocab, name, 6, false) < 0)
                break;
        }
        if (k == n)
            return ink_fail(im->ctx, INK_ERROR_UNSUPPORTED,
                            "%s: model.byte_fallback: not supported for a byte-level vocabulary that lacks bytes",
                            im->b.file);
    }
    ink_bpe_merge *merges = ink_arena_alloc(im->arena, im->n_merges, sizeof *merges);
    if (merges == NULL)
        return ink_fail(im->ctx, INK_ERROR_MEMORY, "out of memory: %s", im->b.file);
    for (size_t i = 0; i < im->n_merges; i++) {
        const ink_spelled_merge *m = &im->merges[i];
        merges[i].left = ink_import_find(im, m->text[0], m->size[0]);
        merges[i].right = ink_import_find(im, m->text[1], m->size[1]);
        if (merges[i].left < 0)
            return merge_refuse(im, m, "the left token is not in the vocabulary");
        if (merges[i].right < 0)
            return merge_refuse(im, m, "the right token is not in the vocabulary");
        if (m->size[1] > im->longest - m->size[0])
            return merge_refuse(im, m, "the merged token is not in the vocabulary");
        memcpy(im->spelling, m->text[0], m->size[0]);
        memcpy(im->spelling + m->size[0], m->text[1], m->size[1]);
        merges[i].merged = ink_import_find(im, im->spelling, m->size[0] + m->size[1]);
        if (merges[i].merged < 0)
            return merge_refuse(im, m, "the merged token is not in the vocabulary");
    }
    return ink_builder_merges(&im->b, merges, im->n_merges);
}

/* The ids of the added tokens. One that the model has keeps the model's id. As in the reference, the others are
   numbered behind the words of the model, of which there may be more or fewer than ids, and behind the tokens that were
   added before; of two with one id the later one counts; and the normalised content is decoded. */
static ink_result import_added(ink_tokenizer_import *im)
{
    ink_vocab *vocab = &im->b.draft.vocab;
    size_t n_words = vocab->n_others, next, largest = 0;
    bool split_special = false;
    uint32_t *with_id = ink_arena_alloc(im->arena, vocab->first_other, sizeof *with_id);
    INK_TRY(ink_tokenizer_config_bool(&im->config, "split_special_tokens", &split_special));
    if (with_id == NULL)
        return ink_fail(im->ctx, INK_ERROR_MEMORY, "out of memory: %s", im->b.file);
    memset(with_id, 0xFF, vocab->first_other * sizeof *with_id);
    for (size_t i = 0; i < vocab->n_ids; i++)
        n_words += vocab->tokens[i].known;
    next = n_words;
    for (size_t i = 0; i < im->n_added; i++) {
        ink_added_pattern *p = &im->added[i];
        ink_token id = im->given_ids ? p->token.id : ink_import_find(im, p->content, p->content_size);
        bool changed = p->size != p->content_size || memcmp(p->text, p->content, p->size) != 0;
        if (i == im->n_first && i > 0)
            next = largest >= n_words || n_words == 0 ? largest + 1 : n_words;
        p->token.id = id >= 0 ? id : (ink_token)next++;
        p->token.as_text = split_special && p->special;
        largest = ink_size_max(largest, (size_t)p->token.id);
        uint32_t *other = &with_id[p->token.id];
        if (id < 0 || changed || *other != UINT32_MAX)
            import_token(im, p->token.id, p->text, p->size, false);
        if (*other != UINT32_MAX) {
            im->added[*other].size = 0; /* no text has it */
            im->added[*other].special = false;
        }
        *other = (uint32_t)i;
    }
    if (im->n_added > 0)
        vocab->n_ids = ink_size_max(vocab->n_ids, largest + 1);
    return ink_builder_added(&im->b, im->added, im->n_added);
}

ink_result ink_import_tokens(ink_tokenizer_import *im)
{
    if (!im->given_ids)
        INK_TRY(ink_import_added(im));
    INK_TRY(import_vocab(im));
    import_bytes(im);
    INK_TRY(ink_import_spm_merges(im));
    if (im->b.draft.model == INK_MODEL_BPE)
        INK_TRY(import_bpe(im));
    else if (im->b.draft.model == INK_MODEL_UNIGRAM && im->scores != NULL)
        INK_TRY(ink_builder_unigram(&im->b, NULL, im->scores, im->n_tokens));
    else if (im->b.draft.model == INK_MODEL_WORDPIECE)
        INK_TRY(ink_builder_wordpiece(&im->b, &im->prefix, im->longest_word));
    return import_added(im);
}

/* ---- patterns --------------------------------------------------------------------------------------------------- */

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define SPACES "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define OTHERS " ?[^\\s\\p{L}\\p{N}]+"
#define LETTERS "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|"
#define CAPITALS "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define SMALL "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"

const ink_pattern ink_patterns[] = {
    [INK_PATTERN_GPT2] = {"'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
                          ink_match_gpt2, 0, 0},
    [INK_PATTERN_LLAMA3] = {CONTRACTIONS "|" LETTERS "\\p{N}{1,3}|" OTHERS "[\\r\\n]*|" SPACES, ink_match_words,
                            INK_WORDS_CONTRACTIONS | INK_WORDS_LINES, 3},
    [INK_PATTERN_QWEN2] = {CONTRACTIONS "|" LETTERS "\\p{N}|" OTHERS "[\\r\\n]*|" SPACES, ink_match_words,
                           INK_WORDS_CONTRACTIONS | INK_WORDS_LINES, 1},
    [INK_PATTERN_QWEN35] = {CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| "
                                         "?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|" SPACES,
                            ink_match_words, INK_WORDS_CONTRACTIONS | INK_WORDS_MARKS | INK_WORDS_LINES, 1},
    [INK_PATTERN_TEKKEN] = {CAPITALS "*" SMALL "+|" CAPITALS "+" SMALL "*|\\p{N}|" OTHERS "[\\r\\n/]*|" SPACES,
                            ink_match_words, INK_WORDS_CASES | INK_WORDS_LINES | INK_WORDS_SLASHES, 1},
    [INK_PATTERN_GPT4O] = {CAPITALS "*" SMALL "+" CONTRACTIONS "?|" CAPITALS "+" SMALL "*" CONTRACTIONS
                                    "?|\\p{N}{1,3}|" OTHERS "[\\r\\n/]*|" SPACES,
                           ink_match_words, INK_WORDS_CASES | INK_WORDS_ENDINGS | INK_WORDS_LINES | INK_WORDS_SLASHES,
                           3},
    [INK_PATTERN_ANY_DIGITS] = {CONTRACTIONS "|" LETTERS "\\p{N}+|" OTHERS "[\\r\\n]*|" SPACES, ink_match_words,
                                INK_WORDS_CONTRACTIONS | INK_WORDS_LINES, SIZE_MAX},
    [INK_PATTERN_NO_CONTRACTION] = {LETTERS "\\p{N}|" OTHERS "[\\r\\n]*|" SPACES, ink_match_words, INK_WORDS_LINES, 1},
    [INK_PATTERN_NO_LINES] = {CONTRACTIONS "|" LETTERS "\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|" SPACES, ink_match_words,
                              INK_WORDS_CONTRACTIONS, 1},
    [INK_PATTERN_DIGIT] = {"\\p{N}", ink_match_numbers, 0, 1},
    [INK_PATTERN_3_DIGITS] = {"\\p{N}{1,3}", ink_match_numbers, 0, 3},
    [INK_PATTERN_DIGITS] = {"\\p{N}+", ink_match_numbers, 0, SIZE_MAX},
};

void ink_import_pattern(ink_pattern_name name, ink_step *step)
{
    step->match = ink_patterns[name].match;
    step->properties = ink_patterns[name].options;
    step->start = ink_patterns[name].most;
}

/* ---- the template ----------------------------------------------------------------------------------------------- */

ink_result ink_import_slot(ink_tokenizer_import *im, bool pair, ink_token id, ink_token type)
{
    ink_template *template = &im->b.draft.template;
    size_t n = template->n[0] + template->n[1];
    if (template->n[pair] == INK_TEMPLATE_LONGEST)
        return ink_fail(im->ctx, INK_ERROR_LIMIT, "%s: the template puts more than %zu tokens around a text",
                        im->b.file, (size_t)INK_TEMPLATE_LONGEST);
    if (n == im->slot_capacity) {
        ink_template_slot *slots = ink_arena_alloc(im->arena, 2 * n + 16, sizeof *slots);
        if (slots == NULL)
            return ink_fail(im->ctx, INK_ERROR_MEMORY, "out of memory: %s", im->b.file);
        if (n > 0)
            memcpy(slots, template->slots, n * sizeof *slots);
        template->slots = slots;
        im->slot_capacity = 2 * n + 16;
    }
    template->slots[n] = (ink_template_slot){id, type};
    template->n[pair]++;
    return INK_OK;
}

static ink_result import_slots(ink_tokenizer_import *im, bool pair, const ink_template_slot *slots, size_t n)
{
    for (size_t i = 0; i < n; i++)
        INK_TRY(ink_import_slot(im, pair, slots[i].id, slots[i].type));
    return INK_OK;
}

ink_result ink_import_bert_template(ink_tokenizer_import *im, ink_token cls, ink_token sep, bool roberta)
{
    const ink_template_slot single[] = {{cls, 0}, {INK_TEMPLATE_A, 0}, {sep, 0}};
    const ink_template_slot doubled[] = {{sep, 0}},
                            second[] = {{INK_TEMPLATE_B, roberta ? 0 : 1}, {sep, roberta ? 0 : 1}};
    INK_TRY(import_slots(im, false, single, 3));
    INK_TRY(import_slots(im, true, single, 3));
    INK_TRY(import_slots(im, true, doubled, roberta ? 1 : 0));
    return import_slots(im, true, second, 2);
}

/* ---- the steps of BERT (Devlin et al. 2019), as its own code does them ------------------------------------------- */

bool ink_import_bert_normalizer(ink_tokenizer_import *im, bool clean_text, bool chinese, bool strip_accents,
                                bool lowercase)
{
    const bool wanted[] = {clean_text, clean_text, chinese, strip_accents, strip_accents, lowercase};
    static const ink_step steps[] = {{.normalize = ink_normal_drop, .properties = INK_UNICODE_CONTROL},
                                     {.normalize = ink_normal_space},
                                     {.normalize = ink_normal_chinese},
                                     {.normalize = ink_normal_nfd},
                                     {.normalize = ink_normal_drop, .properties = INK_UNICODE_ACCENT},
                                     {.normalize = ink_normal_lowercase}};
    for (size_t i = 0; i < 6; i++)
        if (wanted[i] && !ink_builder_step(&im->b.draft.normalizer, INK_NORMAL_STEPS, &steps[i]))
            return false;
    return true;
}

bool ink_import_bert_splitter(ink_tokenizer_import *im)
{
    static const ink_step steps[] = {{.match = ink_match_space, .behavior = INK_SPLIT_REMOVED},
                                     {.match = ink_match_property, .properties = INK_UNICODE_PUNCTUATION}};
    return ink_builder_step(&im->b.draft.splitter, INK_SPLIT_STEPS, &steps[0]) &&
           ink_builder_step(&im->b.draft.splitter, INK_SPLIT_STEPS, &steps[1]);
}

bool ink_import_wordpiece_decoder(ink_tokenizer_import *im, const ink_short_text *prefix, bool cleanup)
{
    /* The clean-up of transformers: spaces that English does not write. */
    static const ink_short_text pairs[][2] = {
        {{" .", 2}, {".", 1}},   {{" ?", 2}, {"?", 1}},     {{" !", 2}, {"!", 1}},    {{" ,", 2}, {",", 1}},
        {{" ' ", 3}, {"'", 1}},  {{" n't", 4}, {"n't", 3}}, {{" 'm", 3}, {"'m", 2}},  {{" do not", 7}, {" don't", 6}},
        {{" 's", 3}, {"'s", 2}}, {{" 've", 4}, {"'ve", 3}}, {{" 're", 4}, {"'re", 3}}};
    ink_steps *row = &im->b.draft.decoder.steps;
    ink_step step = {.decode = ink_decode_join, .from = *prefix, .to = {" ", 1}};
    if (prefix->size == 0)
        step.to.size = 0; /* every token begins with nothing, so none gains a space */
    if (!ink_builder_step(row, INK_DECODE_STEPS, &step))
        return false;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0] && cleanup; i++) {
        step = (ink_step){.decode = ink_decode_replace, .from = pairs[i][0], .to = pairs[i][1]};
        if (!ink_builder_step(row, INK_DECODE_STEPS, &step))
            return false;
    }
    return true;
}
