/*
 * tokenizer_legacy.c - folders from before tokenizer.json: vocab.json with merges.txt, or vocab.txt.
 *
 * transformers turns these into the same tokenizer that it would write as tokenizer.json, and so does this.
 * tokenizer_config.json names the class of the tokenizer, and the few choices that a class leaves open.
 */
#include <string.h>

#include "../text/unicode.h"
#include "tokenizer_import.h"

/* The class has to go with the files; where nobody names one the files tell. */
static ink_result check_class(ink_tokenizer_import *im, bool bert, ink_tokenizer_class guess)
{
    ink_tokenizer_config *config = &im->config;
    if (config->class == INK_CLASS_NONE && config->class_name == NULL)
        config->class = guess;
    if (config->class == (bert ? INK_CLASS_BERT : INK_CLASS_GPT2) ||
        (!bert && (config->class == INK_CLASS_ROBERTA || config->class == INK_CLASS_QWEN2)))
        return INK_OK;
    return ink_fail(im->ctx, INK_ERROR_UNSUPPORTED,
                    "tokenizer_config.json: tokenizer_class '%s' is not supported without tokenizer.json; supported: "
                    "BERT's with vocab.txt, GPT-2's, RoBERTa's and Qwen2's with vocab.json and merges.txt",
                    config->class_name != NULL ? config->class_name : "that of the model_type");
}

/* ---- the files -------------------------------------------------------------------------------------------------- */

/* Reads a file of lines, and takes memory for an item per line. */
static ink_result legacy_lines(ink_tokenizer_import *im, const char *name, const char **text, size_t *size,
                               size_t item_size, void **items)
{
    size_t n = 1;
    INK_TRY(ink_file_read_all(im->ctx, im->source, name, INK_LIMIT(im->ctx, table_bytes), im->arena, text, size));
    for (size_t i = 0; i < *size; i++)
        n += (*text)[i] == '\n';
    INK_TRY(ink_limit_check(im->ctx, name, (uint64_t)n * item_size + *size, INK_LIMIT(im->ctx, table_bytes)));
    *items = ink_arena_alloc(im->arena, n, item_size);
    return *items != NULL ? INK_OK : ink_fail(im->ctx, INK_ERROR_MEMORY, "out of memory: %s", name);
}

/* The next line of text [size], without its end and the white space before it; false if there is none. */
static bool legacy_line(const char **text, size_t *size, const char **line, size_t *length)
{
    if (*size == 0)
        return false;
    const char *end = memchr(*text, '\n', *size);
    size_t whole = end != NULL ? (size_t)(end - *text) + 1 : *size;
    *line = *text;
    *length = whole - (end != NULL);
    while (*length > 0 && ((*line)[*length - 1] == '\r' || (*line)[*length - 1] == ' ' || (*line)[*length - 1] == '\t'))
        --*length;
    *text += whole;
    *size -= whole;
    return true;
}

/* A token per line; its id is the number of the line. White space at the end of a line is none of the token, so a blank
   line is the token of no bytes. Of equal lines the last one counts. */
static ink_result read_vocab_txt(ink_tokenizer_import *im)
{
    const char *text, *line;
    size_t size, length;
    void *items;
    INK_TRY(legacy_lines(im, "vocab.txt", &text, &size, sizeof *im->tokens, &items));
    im->tokens = items;
    INK_TRY(check_class(im, true, INK_CLASS_BERT));
    for (ink_token id = 0; legacy_line(&text, &size, &line, &length); id++) {
        size_t end = 0;
        for (size_t i = 0; i < length;) {
            uint32_t code;
            i += ink_utf8_next(line + i, length - i, &code);
            if (code >= INK_UTF8_INVALID)
                return ink_fail(im->ctx, INK_ERROR_CORRUPT, "vocab.txt: line %lld is not valid UTF-8",
                                (long long)id + 1);
            if (ink_unicode_class_of(code) != INK_UNICODE_SPACE)
                end = i;
        }
        im->tokens[im->n_tokens++] = (ink_spelled_token){line, end, id};
    }
    return INK_OK;
}

/* merges.txt has lines "left right"; the first may be a comment on the version. */
static ink_result read_vocab_json(ink_tokenizer_import *im)
{
    const char *text, *line;
    size_t size, length;
    ink_json_document ids;
    void *items;
    INK_TRY(ink_json_open(im->ctx, im->arena, im->source, "vocab.json", INK_LIMIT(im->ctx, table_bytes), &ids));
    INK_TRY(ink_import_list_tokens(im, &ids, 0));
    bool as_roberta =
        ink_json_member(&ids, 0, "<s>") != INK_JSON_NONE && ink_json_member(&ids, 0, "</s>") != INK_JSON_NONE;
    INK_TRY(check_class(im, false, as_roberta ? INK_CLASS_ROBERTA : INK_CLASS_GPT2));
    INK_TRY(legacy_lines(im, "merges.txt", &text, &size, sizeof *im->merges, &items));
    im->merges = items;
    for (size_t n = 1; legacy_line(&text, &size, &line, &length); n++)
        if (length > 0 && (length < 8 || memcmp(line, "#version", 8) != 0))
            INK_TRY(ink_import_list_merge(im, n, line, length));
    return INK_OK;
}

/* ---- the two kinds ---------------------------------------------------------------------------------------------- */

ink_result ink_import_template_id(ink_tokenizer_import *im, ink_control which, ink_token *id)
{
    ink_named_token token;
    INK_TRY(ink_tokenizer_config_token(&im->config, which, &token));
    *id = token.size > 0 ? ink_tokenizer_find(&im->b.draft, token.text, token.size) : -1;
    return *id >= 0
               ? INK_OK
               : ink_fail(im->ctx, INK_ERROR_MISMATCH, INK_TOKENIZER_CONFIG_FILE ": member '%s' is missing", token.key);
}

ink_result ink_import_bert(ink_tokenizer_import *im)
{
    ink_named_token unk;
    ink_token cls, sep;
    bool lowercase = true, chinese = true, strip_accents;
    INK_TRY(ink_tokenizer_config_bool(&im->config, "do_lower_case", &lowercase));
    INK_TRY(ink_tokenizer_config_bool(&im->config, "tokenize_chinese_chars", &chinese));
    strip_accents = lowercase;
    INK_TRY(ink_tokenizer_config_bool(&im->config, "strip_accents", &strip_accents));
    INK_TRY(ink_tokenizer_config_token(&im->config, INK_CONTROL_UNK, &unk));
    im->b.draft.model = INK_MODEL_WORDPIECE;
    im->unk = unk.text;
    im->prefix = (ink_short_text){"##", 2};
    im->longest_word = 100;
    ink_import_bert_normalizer(im, true, chinese, strip_accents, lowercase);
    ink_import_bert_splitter(im);
    ink_import_wordpiece_decoder(im, &im->prefix, true);
    INK_TRY(ink_import_tokens(im));
    INK_TRY(ink_import_template_id(im, INK_CONTROL_CLS, &cls));
    INK_TRY(ink_import_template_id(im, INK_CONTROL_SEP, &sep));
    return ink_import_bert_template(im, cls, sep, false);
}

ink_result ink_import_roberta_template(ink_tokenizer_import *im)
{
    ink_token cls, sep;
    im->b.draft.trims_places = true;
    INK_TRY(ink_tokenizer_config_bool(&im->config, "trim_offsets", &im->b.draft.trims_places));
    INK_TRY(ink_tokenizer_config_bool(&im->config, "add_prefix_space", &im->b.draft.keeps_prefix));
    INK_TRY(ink_import_template_id(im, INK_CONTROL_CLS, &cls));
    INK_TRY(ink_import_template_id(im, INK_CONTROL_SEP, &sep));
    return ink_import_bert_template(im, cls, sep, true);
}

ink_result ink_import_bos_eos(ink_tokenizer_import *im)
{
    static const char *const keys[] = {"add_bos_token", "add_eos_token"};
    static const ink_control controls[] = {INK_CONTROL_BOS, INK_CONTROL_EOS};
    ink_token id[2] = {-1, -1};
    for (int i = 0; i < 2; i++) {
        bool wanted = false;
        ink_named_token token;
        INK_TRY(ink_tokenizer_config_bool(&im->config, keys[i], &wanted));
        INK_TRY(ink_tokenizer_config_token(&im->config, controls[i], &token));
        if (wanted && token.size > 0)
            id[i] = ink_tokenizer_find(&im->b.draft, token.text, token.size);
    }
    for (int part = 0; part < 3; part++) {
        const ink_token slots[] = {id[0], part == 2 ? INK_TEMPLATE_B : INK_TEMPLATE_A, id[1]};
        for (int i = 0; i < 3; i++)
            if (i == 1 || slots[i] >= 0)
                INK_TRY(ink_import_slot(im, part > 0, slots[i], part == 2));
    }
    return INK_OK;
}

static ink_result read_bpe_family(ink_tokenizer_import *im)
{
    ink_tokenizer *t = &im->b.draft;
    bool prefix = false;
    INK_TRY(ink_tokenizer_config_bool(&im->config, "add_prefix_space", &prefix));
    ink_step normal = {.normalize = ink_normal_nfc}, split = {.match = ink_match_gpt2};
    if (im->config.class == INK_CLASS_QWEN2) {
        ink_builder_step(&t->normalizer, INK_NORMAL_STEPS, &normal);
        ink_import_pattern(INK_PATTERN_QWEN2, &split);
        ink_builder_step(&t->splitter, INK_SPLIT_STEPS, &split);
        split.match = ink_match_nothing;
    }
    split.prefix = (ink_short_text){" ", 1};
    split.scheme = prefix ? INK_PREFIX_ALWAYS : INK_PREFIX_NEVER;
    ink_builder_step(&t->splitter, INK_SPLIT_STEPS, &split);
    t->model = INK_MODEL_BPE;
    t->decoder.byte_level = im->byte_level = true;
    INK_TRY(ink_import_tokens(im));
    return im->config.class == INK_CLASS_ROBERTA ? ink_import_roberta_template(im) : ink_import_bos_eos(im);
}

/* ---- all together ----------------------------------------------------------------------------------------------- */

bool ink_import_has(const ink_tokenizer_import *im, const char *name)
{
    ink_file file;
    ink_result result = ink_file_open(im->ctx, im->source, name, &file);
    if (result == INK_OK)
        ink_file_close(&file);
    ink_error_clear(im->ctx);
    return result == INK_OK;
}

/* As in transformers, the class has a file of its own, before which tokenizer.model counts if the class is one of
   SentencePiece or none. Where that is missing, the file that is there tells. */
ink_result ink_import_tokenizer_legacy(ink_tokenizer_import *im)
{
    static const char json[] = "vocab.json", txt[] = "vocab.txt", pieces[] = "sentencepiece.bpe.model",
                      t5[] = "spiece.model", any[] = "tokenizer.model";
    static const char *const of_class[] = {
        [INK_CLASS_NONE] = any,           [INK_CLASS_BERT] = txt,         [INK_CLASS_GPT2] = json,
        [INK_CLASS_ROBERTA] = json,       [INK_CLASS_QWEN2] = json,       [INK_CLASS_LLAMA] = any,
        [INK_CLASS_XLM_ROBERTA] = pieces, [INK_CLASS_CAMEMBERT] = pieces, [INK_CLASS_T5] = t5,
        [INK_CLASS_GEMMA] = any,          [INK_CLASS_NLLB] = pieces,      [INK_CLASS_MBART] = pieces,
        [INK_CLASS_MBART50] = pieces,     [INK_CLASS_MARIAN] = json,      [INK_CLASS_M2M100] = json};
    const char *own = of_class[im->config.class], *folder = im->source->name != NULL ? im->source->name : "the model";
    const char *const files[] = {own == json || own == txt ? own : any, own, json, txt, pieces, t5, any};
    size_t i = 0;
    while (i < 7 && !ink_import_has(im, files[i]))
        i++;
    if (i == 7)
        return ink_fail(
            im->ctx, INK_ERROR_NOT_FOUND,
            "%s has no tokenizer.json, no vocab.json with merges.txt and no vocab.txt, nor tokenizer.model, "
            "spiece.model or sentencepiece.bpe.model",
            folder);
    if (files[i] != json && files[i] != txt)
        return ink_import_spm(im, files[i]);
    INK_TRY(files[i] == json ? read_vocab_json(im) : read_vocab_txt(im));
    bool bert = im->config.class == INK_CLASS_BERT;
    INK_TRY(ink_builder_start(&im->b, im->ctx, im->arena, bert ? txt : "vocab.json with merges.txt"));
    return bert ? ink_import_bert(im) : read_bpe_family(im);
}
