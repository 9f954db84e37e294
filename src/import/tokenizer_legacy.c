/*
 * tokenizer_legacy.c - folders from before tokenizer.json: vocab.json with merges.txt, or vocab.txt.
 *
 * transformers turns these into the same tokenizer that it would write as tokenizer.json, and so does this.
 * tokenizer_config.json names the class of the tokenizer, and the few choices that a class leaves open.
 */
#include <string.h>

#include "../text/unicode.h"
#include "tokenizer_import.h"

typedef enum legacy_kind { LEGACY_BERT, LEGACY_GPT2, LEGACY_ROBERTA, LEGACY_QWEN2 } legacy_kind;

typedef struct legacy {
    ink_tokenizer_import *im;
    ink_context *ctx;
    legacy_kind kind;
} legacy;

/* ---- the files -------------------------------------------------------------------------------------------------- */

/* Reads a file of lines, and takes memory for an item per line. */
static ink_result legacy_lines(legacy *l, const char *name, const char **text, size_t *size, size_t item_size,
                               void **items)
{
    size_t n = 1;
    INK_TRY(ink_file_read_all(l->ctx, l->im->source, name, INK_LIMIT(l->ctx, table_bytes), l->im->arena, text, size));
    for (size_t i = 0; i < *size; i++)
        n += (*text)[i] == '\n';
    INK_TRY(ink_limit_check(l->ctx, name, (uint64_t)n * item_size + *size, INK_LIMIT(l->ctx, table_bytes)));
    *items = ink_arena_alloc(l->im->arena, n, item_size);
    return *items != NULL ? INK_OK : ink_fail(l->ctx, INK_ERROR_MEMORY, "out of memory: %s", name);
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
static ink_result read_vocab_txt(legacy *l)
{
    const char *text, *line;
    size_t size, length;
    void *items;
    l->kind = LEGACY_BERT;
    l->im->where = "vocab.txt: ";
    INK_TRY(legacy_lines(l, "vocab.txt", &text, &size, sizeof *l->im->tokens, &items));
    l->im->tokens = items;
    for (ink_token id = 0; legacy_line(&text, &size, &line, &length); id++) {
        size_t end = 0;
        for (size_t i = 0; i < length;) {
            uint32_t code;
            i += ink_utf8_next(line + i, length - i, &code);
            if (code >= INK_UTF8_INVALID)
                return ink_fail(l->ctx, INK_ERROR_CORRUPT, "vocab.txt: line %lld is not valid UTF-8",
                                (long long)id + 1);
            if (ink_unicode_class_of(code) != INK_UNICODE_SPACE)
                end = i;
        }
        l->im->tokens[l->im->n_tokens++] = (ink_spelled_token){line, end, id};
    }
    return INK_OK;
}

/* merges.txt has lines "left right"; the first may be a comment on the version. */
static ink_result read_vocab_json(legacy *l)
{
    const char *text, *line;
    size_t size, length;
    ink_json_document ids;
    void *items;
    l->im->where = "vocab.json: ";
    INK_TRY(ink_json_open(l->ctx, l->im->arena, l->im->source, "vocab.json", INK_LIMIT(l->ctx, table_bytes), &ids));
    INK_TRY(ink_import_list_tokens(l->im, &ids, 0));
    bool as_roberta =
        ink_json_member(&ids, 0, "<s>") != INK_JSON_NONE && ink_json_member(&ids, 0, "</s>") != INK_JSON_NONE;
    l->kind = as_roberta ? LEGACY_ROBERTA : LEGACY_GPT2;
    INK_TRY(legacy_lines(l, "merges.txt", &text, &size, sizeof *l->im->merges, &items));
    l->im->merges = items;
    l->im->b.file = "merges.txt"; /* for messages, until the builder starts */
    while (legacy_line(&text, &size, &line, &length))
        if (length > 0 && (length < 8 || memcmp(line, "#version", 8) != 0))
            INK_TRY(ink_import_list_merge(l->im, line, length));
    return INK_OK;
}

/* "GPT2Tokenizer" or "GPT2TokenizerFast". Where no class is named the files tell. */
static ink_result read_class(legacy *l)
{
    static const struct {
        const char *name;
        legacy_kind kind;
    } classes[] = {{"BertTokenizer", LEGACY_BERT},       {"DistilBertTokenizer", LEGACY_BERT},
                   {"ElectraTokenizer", LEGACY_BERT},    {"GPT2Tokenizer", LEGACY_GPT2},
                   {"RobertaTokenizer", LEGACY_ROBERTA}, {"BartTokenizer", LEGACY_ROBERTA},
                   {"Qwen2Tokenizer", LEGACY_QWEN2}};
    const ink_json_document *config = &l->im->config.settings;
    const char *name = NULL;
    if (config->n_nodes != 0)
        INK_TRY(ink_json_read_string(l->ctx, config, 0, "tokenizer_class", &name));
    if (name == NULL)
        return INK_OK;
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
        size_t length = strlen(classes[i].name);
        if (strncmp(name, classes[i].name, length) != 0 || (name[length] != '\0' && strcmp(name + length, "Fast") != 0))
            continue;
        if ((l->kind == LEGACY_BERT) != (classes[i].kind == LEGACY_BERT))
            break; /* with the other kind of files */
        l->kind = classes[i].kind;
        return INK_OK;
    }
    return ink_fail(l->ctx, INK_ERROR_UNSUPPORTED,
                    "tokenizer_config.json: tokenizer_class '%s' is not supported without tokenizer.json; supported: "
                    "BERT's with vocab.txt, GPT-2's, RoBERTa's and Qwen2's with vocab.json and merges.txt",
                    name);
}

/* ---- control tokens and added tokens ---------------------------------------------------------------------------- */

/* A control token as the files name it, or as its class does. */
static ink_result control_of(legacy *l, ink_control which, ink_named_token *token)
{
    static const char *const defaults[4][INK_N_CONTROLS] = {
        {NULL, NULL, "[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"},
        {"<|endoftext|>", "<|endoftext|>", "<|endoftext|>", NULL, NULL, NULL, NULL},
        {"<s>", "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>"},
        {NULL, "<|endoftext|>", "<|endoftext|>", NULL, "<|endoftext|>", NULL, NULL}};
    INK_TRY(ink_tokenizer_config_token(&l->im->config, which, token));
    if (token->text == NULL && defaults[l->kind][which] != NULL) {
        token->text = defaults[l->kind][which];
        token->size = strlen(token->text);
    }
    return INK_OK;
}

/* The id of a listed token, or -1; of equal tokens the last counts. */
static ink_token listed_id(const legacy *l, const char *text, size_t size)
{
    for (size_t i = l->im->n_tokens; i-- > 0;)
        if (l->im->tokens[i].size == size && memcmp(l->im->tokens[i].text, text, size) == 0)
            return l->im->tokens[i].id;
    return -1;
}

/* The id of a control token that the template needs. */
static ink_result template_id(legacy *l, ink_control which, ink_token *id)
{
    ink_named_token token;
    INK_TRY(control_of(l, which, &token));
    *id = token.text != NULL ? listed_id(l, token.text, token.size) : -1;
    if (*id >= 0)
        return INK_OK;
    return ink_fail(l->ctx, INK_ERROR_MISMATCH, "%smember '%s' is missing",
                    token.text == NULL ? INK_TOKENIZER_CONFIG_FILE ": " : l->im->where,
                    token.text == NULL ? token.key : token.text);
}

/* An added token with its flags; members of `object`, if there is one, change them. */
static ink_result add_added(legacy *l, ink_added_pattern token, const ink_json_document *document, ink_json object)
{
    bool normalized = false;
    const struct {
        const char *key;
        bool *flag;
    } flags[] = {{"special", &token.special},
                 {"normalized", &normalized},
                 {"lstrip", &token.token.left_strip},
                 {"rstrip", &token.token.right_strip},
                 {"single_word", &token.token.single_word}};
    for (size_t i = 0; i < sizeof flags / sizeof flags[0] && object != INK_JSON_NONE; i++)
        INK_TRY(ink_json_read_bool(l->ctx, document, object, flags[i].key, flags[i].flag));
    token.set = normalized ? INK_ADDED_NORMALIZED : INK_ADDED_RAW;
    l->im->added[l->im->n_added++] = token;
    return INK_OK;
}

/* "added_tokens_decoder" of tokenizer_config.json, {"50256": {"content": ..., ...}}, lists all added tokens. */
static ink_result read_added_decoder(legacy *l, ink_json all)
{
    const ink_json_document *config = &l->im->config.settings;
    for (ink_json i = ink_json_first(config, all); i != INK_JSON_NONE; i = ink_json_next(config, i)) {
        const char *key = config->nodes[i].key;
        ink_added_pattern token = {.content = ""};
        ink_json content = ink_json_member(config, i, "content");
        uint64_t id;
        INK_TRY(ink_json_expect(l->ctx, config, i, INK_JSON_OBJECT));
        if (*key == '\0' || ink_digits(key, strlen(key), &id) != strlen(key) || id >= INT32_MAX)
            return ink_fail(l->ctx, INK_ERROR_CORRUPT, "tokenizer_config.json: added_tokens_decoder: '%s' is no id",
                            key);
        if (content != INK_JSON_NONE)
            INK_TRY(ink_json_get_string(l->ctx, config, content, &token.content, &token.content_size));
        if (token.content_size == 0)
            return ink_fail(l->ctx, INK_ERROR_CORRUPT,
                            "tokenizer_config.json: added_tokens_decoder.%s.content: a token of no bytes", key);
        token.token.id = (ink_token)id;
        INK_TRY(add_added(l, token, config, i));
    }
    return INK_OK;
}

/* Without it, each control token that the vocabulary has, once, with the flags that its file gives it. */
static ink_result read_added_controls(legacy *l)
{
    for (int i = 0; i < INK_N_CONTROLS; i++) {
        ink_named_token named;
        INK_TRY(control_of(l, (ink_control)i, &named));
        ink_token id = named.size > 0 ? listed_id(l, named.text, named.size) : -1;
        bool again = id < 0;
        for (size_t k = 0; k < l->im->n_added && !again; k++)
            again = l->im->added[k].token.id == id;
        if (again)
            continue;
        ink_added_pattern token = {.content = named.text, .content_size = named.size, .token.id = id};
        token.token.left_strip = l->kind == LEGACY_ROBERTA && i == INK_CONTROL_MASK;
        INK_TRY(add_added(l, token, named.document, named.object));
        l->im->added[l->im->n_added - 1].special = true;
    }
    return INK_OK;
}

static ink_result read_added(legacy *l)
{
    ink_tokenizer_import *im = l->im;
    ink_json all = ink_tokenizer_config_member(&im->config, "added_tokens_decoder");
    if (all != INK_JSON_NONE)
        INK_TRY(ink_json_expect(l->ctx, &im->config.settings, all, INK_JSON_OBJECT));
    size_t most = all != INK_JSON_NONE ? im->config.settings.nodes[all].n_children : INK_N_CONTROLS;
    im->added = ink_arena_alloc(im->arena, most, sizeof *im->added);
    if (im->added == NULL)
        return ink_fail(l->ctx, INK_ERROR_MEMORY, "out of memory: the tokenizer's files");
    return all != INK_JSON_NONE ? read_added_decoder(l, all) : read_added_controls(l);
}

/* ---- the two kinds ---------------------------------------------------------------------------------------------- */

static ink_result read_bert_family(legacy *l)
{
    ink_tokenizer_import *im = l->im;
    ink_named_token unk;
    ink_token cls, sep;
    bool lowercase = true, chinese = true, strip_accents;
    INK_TRY(ink_tokenizer_config_bool(&im->config, "do_lower_case", &lowercase));
    INK_TRY(ink_tokenizer_config_bool(&im->config, "tokenize_chinese_chars", &chinese));
    strip_accents = lowercase;
    INK_TRY(ink_tokenizer_config_bool(&im->config, "strip_accents", &strip_accents));
    INK_TRY(control_of(l, INK_CONTROL_UNK, &unk));
    im->b.draft.model = INK_MODEL_WORDPIECE;
    im->unk = unk.text;
    im->prefix = (ink_short_text){"##", 2};
    im->longest_word = 100;
    ink_import_bert_normalizer(im, true, chinese, strip_accents, lowercase);
    ink_import_bert_splitter(im);
    ink_import_wordpiece_decoder(im, &im->prefix, true);
    INK_TRY(read_added(l));
    INK_TRY(ink_import_tokens(im));
    INK_TRY(template_id(l, INK_CONTROL_CLS, &cls));
    INK_TRY(template_id(l, INK_CONTROL_SEP, &sep));
    return ink_import_bert_template(im, cls, sep, false);
}

static ink_result read_bpe_family(legacy *l)
{
    ink_tokenizer_import *im = l->im;
    ink_tokenizer *t = &im->b.draft;
    bool prefix = false, add_bos = false;
    ink_token first, last;
    INK_TRY(ink_tokenizer_config_bool(&im->config, "add_prefix_space", &prefix));
    INK_TRY(ink_tokenizer_config_bool(&im->config, "add_bos_token", &add_bos));
    ink_step normal = {.normalize = ink_normal_nfc};
    ink_step split = {
        .match = ink_match_gpt2, .prefix = {" ", 1}, .scheme = prefix ? INK_PREFIX_ALWAYS : INK_PREFIX_NEVER};
    if (l->kind == LEGACY_QWEN2) {
        ink_builder_step(&t->normalizer, INK_NORMAL_STEPS, &normal);
        split = (ink_step){.match = ink_match_qwen2};
    }
    ink_builder_step(&t->splitter, INK_SPLIT_STEPS, &split);
    t->model = INK_MODEL_BPE;
    t->decoder.byte_level = im->byte_level = true;
    INK_TRY(read_added(l));
    INK_TRY(ink_import_tokens(im));
    if (l->kind == LEGACY_ROBERTA) {
        INK_TRY(template_id(l, INK_CONTROL_CLS, &first));
        INK_TRY(template_id(l, INK_CONTROL_SEP, &last));
        INK_TRY(ink_import_bert_template(im, first, last, true));
    } else if (add_bos) { /* BOS A, and for a pair BOS A BOS B */
        INK_TRY(template_id(l, INK_CONTROL_BOS, &first));
        for (int part = 0; part < 3; part++) {
            INK_TRY(ink_import_slot(im, part > 0, first, part == 2));
            INK_TRY(ink_import_slot(im, part > 0, part == 2 ? INK_TEMPLATE_B : INK_TEMPLATE_A, part == 2));
        }
    }
    return INK_OK;
}

/* ---- all together ----------------------------------------------------------------------------------------------- */

static bool legacy_has(const ink_tokenizer_import *im, const char *name)
{
    ink_file file;
    ink_result result = ink_file_open(im->ctx, im->source, name, &file);
    if (result == INK_OK)
        ink_file_close(&file);
    ink_error_clear(im->ctx);
    return result == INK_OK;
}

ink_result ink_import_tokenizer_legacy(ink_tokenizer_import *im)
{
    legacy l = {.im = im, .ctx = im->ctx};
    const char *folder = im->source->name != NULL ? im->source->name : "the model";
    if (legacy_has(im, "vocab.json"))
        INK_TRY(read_vocab_json(&l));
    else if (legacy_has(im, "vocab.txt"))
        INK_TRY(read_vocab_txt(&l));
    else if (legacy_has(im, "tokenizer.model"))
        return ink_fail(im->ctx, INK_ERROR_UNSUPPORTED,
                        "%s has tokenizer.model, which is not read, and no tokenizer.json, which is; transformers "
                        "writes it: AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)",
                        folder);
    else
        return ink_fail(im->ctx, INK_ERROR_NOT_FOUND,
                        "%s has no tokenizer.json, no vocab.json with merges.txt and no vocab.txt", folder);
    INK_TRY(read_class(&l));
    INK_TRY(ink_builder_start(&im->b, im->ctx, im->arena,
                              l.kind == LEGACY_BERT ? "vocab.txt" : "vocab.json with merges.txt"));
    return l.kind == LEGACY_BERT ? read_bert_family(&l) : read_bpe_family(&l);
}
