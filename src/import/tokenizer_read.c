/*
 * tokenizer_read.c - tokenizer.json of Hugging Face's tokenizers, version "1.0".
 *
 * A component that is not in its table is refused by name, because leaving it out would give other ids. Truncation and
 * padding belong to whoever calls and are not read.
 */
#include "tokenizer_read.h"

#include <string.h>

#include "../base/bytes.h"

/* ---- values ----------------------------------------------------------------------------------------------------- */

ink_result ink_read_refuse(ink_tokenizer_reader *r, ink_result result, ink_json node, const char *reason)
{
    char path[128];
    ink_json_path(&r->json, node, path, sizeof path);
    return ink_fail(r->ctx, result, "%s: %s: %s", r->json.file, path, reason);
}

ink_result ink_read_id(ink_tokenizer_reader *r, ink_json node, ink_token *id)
{
    int64_t value = 0;
    INK_TRY(ink_json_get_int(r->ctx, &r->json, node, 0, INT32_MAX - 1, &value));
    *id = (ink_token)value;
    return INK_OK;
}

ink_result ink_read_text(ink_tokenizer_reader *r, ink_json node, const char **text, size_t *size)
{
    INK_TRY(ink_json_get_string(r->ctx, &r->json, node, text, size));
    return *size != 0 ? INK_OK : ink_read_refuse(r, INK_ERROR_CORRUPT, node, "a token of no bytes");
}

ink_result ink_read_flag(ink_tokenizer_reader *r, ink_json node, const char *key, bool otherwise, bool *flag)
{
    *flag = otherwise;
    return ink_json_read_bool(r->ctx, &r->json, node, key, flag);
}

ink_result ink_read_short(ink_tokenizer_reader *r, ink_json node, const char *key, ink_short_text *text)
{
    ink_json member;
    const char *string = NULL;
    size_t size = 0;
    INK_TRY(ink_json_require(r->ctx, &r->json, node, key, &member));
    INK_TRY(ink_json_get_string(r->ctx, &r->json, member, &string, &size));
    if (size > INK_SHORT_TEXT)
        return ink_read_refuse(r, INK_ERROR_LIMIT, member, "a string longer than the 64 bytes that are supported");
    memcpy(text->bytes, string, size);
    text->size = size;
    return INK_OK;
}

ink_result ink_read_character(ink_tokenizer_reader *r, ink_json node, const char *key, ink_short_text *text)
{
    uint32_t code;
    INK_TRY(ink_read_short(r, node, key, text));
    if (text->size == 0 || ink_utf8_next(text->bytes, text->size, &code) != text->size)
        return ink_read_refuse(r, INK_ERROR_CORRUPT, ink_json_member(&r->json, node, key), "expected one character");
    return INK_OK;
}

ink_result ink_read_pattern(ink_tokenizer_reader *r, ink_json node, ink_short_text *string, const char **regex)
{
    ink_json pattern;
    *regex = NULL;
    INK_TRY(ink_json_require(r->ctx, &r->json, node, "pattern", &pattern));
    INK_TRY(ink_json_expect(r->ctx, &r->json, pattern, INK_JSON_OBJECT));
    INK_TRY(ink_json_read_string(r->ctx, &r->json, pattern, "Regex", regex));
    if (*regex != NULL)
        return INK_OK;
    INK_TRY(ink_read_short(r, pattern, "String", string));
    return string->size != 0 ? INK_OK : ink_read_refuse(r, INK_ERROR_CORRUPT, pattern, "a pattern of no bytes");
}

/* True if the name is a word of the list. */
static bool lists(const char *names, const char *name, size_t size)
{
    for (size_t length = 0; *names != '\0'; names += length + (names[length] == ' ')) {
        for (length = 0; names[length] != ' ' && names[length] != '\0';)
            length++;
        if (length == size && memcmp(names, name, size) == 0)
            return true;
    }
    return false;
}

ink_result ink_read_members(ink_tokenizer_reader *r, ink_json node, const char *names)
{
    for (ink_json i = ink_json_first(&r->json, node); i != INK_JSON_NONE; i = ink_json_next(&r->json, i)) {
        const ink_json_node *member = ink_read_node(r, i);
        if (member->kind != INK_JSON_NULL && !lists(names, member->key, member->key_size))
            return ink_read_refuse(r, INK_ERROR_UNSUPPORTED, i, "this member is not known here");
    }
    return INK_OK;
}

ink_result ink_read_nothing(ink_tokenizer_reader *r, ink_json node)
{
    (void)r;
    (void)node;
    return INK_OK;
}

/* ---- components ------------------------------------------------------------------------------------------------- */

/* A place in the file where a component goes. */
typedef struct place {
    const char *name;  /* the member of the file */
    const char *parts; /* the member of a Sequence in this place that lists its components; NULL: no Sequence */
    const ink_component *components;
} place;

/* In the order they are read: first what says which kind of tokenizer this is, last the template, whose tokens must be
   there. */
static const place before_added[] = {{"normalizer", "normalizers", ink_normalizer_components},
                                     {"pre_tokenizer", "pretokenizers", ink_splitter_components},
                                     {"decoder", "decoders", ink_decoder_components},
                                     {"model", NULL, ink_model_components}};
static const place post_processor = {"post_processor", "processors", ink_post_processor_components};

/* "ByteLevel, TemplateProcessing" */
static void list_types(const ink_component *components, char *list, size_t size)
{
    size_t n = ink_format(list, size, "%s", components->type);
    while ((++components)->type != NULL)
        n += ink_format(list + n, size - n, ", %s", components->type);
}

static ink_result refuse_type(ink_tokenizer_reader *r, const place *p, ink_json node, const char *type)
{
    char path[128], list[256];
    ink_json_path(&r->json, node, path, sizeof path);
    list_types(p->components, list, sizeof list);
    return ink_fail(r->ctx, INK_ERROR_UNSUPPORTED, "%s: %s: type '%s' is not supported; supported: %.300s",
                    r->json.file, path, type, list);
}

/* Old files do not name the model's type; the members that only it has tell. */
static const char *guess_type(ink_tokenizer_reader *r, ink_json node)
{
    ink_json vocab = ink_json_member(&r->json, node, "vocab");
    if (ink_json_member(&r->json, node, "merges") != INK_JSON_NONE)
        return "BPE";
    if (ink_json_member(&r->json, node, "max_input_chars_per_word") != INK_JSON_NONE)
        return "WordPiece";
    if (vocab == INK_JSON_NONE)
        return "";
    return ink_read_node(r, vocab)->kind == INK_JSON_OBJECT ? "WordLevel" : "Unigram";
}

static ink_result read_type(ink_tokenizer_reader *r, ink_json node, const char **type)
{
    INK_TRY(ink_json_expect(r->ctx, &r->json, node, INK_JSON_OBJECT));
    *type = guess_type(r, node);
    return ink_json_read_string(r->ctx, &r->json, node, "type", type);
}

static ink_result read_component(ink_tokenizer_reader *r, const place *p, ink_json node)
{
    const char *type = "";
    INK_TRY(read_type(r, node, &type));
    for (const ink_component *c = p->components; c->type != NULL; c++)
        if (strcmp(c->type, type) == 0) {
            INK_TRY(c->read(r, node));
            return ink_read_members(r, node, c->members);
        }
    return refuse_type(r, p, node, type);
}

static ink_result read_sequence(ink_tokenizer_reader *r, const place *p, ink_json node)
{
    ink_json parts;
    INK_TRY(ink_json_require(r->ctx, &r->json, node, p->parts, &parts));
    INK_TRY(ink_json_expect(r->ctx, &r->json, parts, INK_JSON_ARRAY));
    ink_json child = ink_json_first(&r->json, parts);
    for (; child != INK_JSON_NONE; child = ink_json_next(&r->json, child))
        INK_TRY(read_component(r, p, child));
    return INK_OK;
}

static ink_result read_place(ink_tokenizer_reader *r, const place *p)
{
    ink_json node = ink_json_member(&r->json, 0, p->name);
    const char *type = "";
    if (node == INK_JSON_NONE)
        return INK_OK;
    INK_TRY(read_type(r, node, &type));
    if (p->parts != NULL && strcmp(type, "Sequence") == 0)
        return read_sequence(r, p, node);
    return read_component(r, p, node);
}

/* ---- the file --------------------------------------------------------------------------------------------------- */

static ink_result check_version(ink_tokenizer_reader *r)
{
    const char *version = "1.0";
    INK_TRY(ink_json_read_string(r->ctx, &r->json, 0, "version", &version));
    if (strcmp(version, "1.0") != 0)
        return ink_fail(r->ctx, INK_ERROR_UNSUPPORTED, "%s: version '%s' is not supported; supported: 1.0",
                        r->json.file, version);
    return INK_OK;
}

static ink_result read_file(ink_tokenizer_reader *r)
{
    ink_json model, added;
    INK_TRY(ink_json_expect(r->ctx, &r->json, 0, INK_JSON_OBJECT));
    INK_TRY(check_version(r));
    INK_TRY(ink_json_require(r->ctx, &r->json, 0, "model", &model));
    added = r->added_tokens = ink_json_member(&r->json, 0, "added_tokens");
    if (added != INK_JSON_NONE)
        INK_TRY(ink_json_expect(r->ctx, &r->json, added, INK_JSON_ARRAY));
    for (size_t i = 0; i < sizeof before_added / sizeof before_added[0]; i++)
        INK_TRY(read_place(r, &before_added[i]));
    INK_TRY(ink_read_added(r));
    INK_TRY(ink_read_decoder_end(r, ink_json_member(&r->json, 0, "decoder")));
    INK_TRY(read_place(r, &post_processor));
    return r->tokenizer->template.pieces != NULL ? INK_OK : ink_read_no_template(r);
}

ink_result ink_tokenizer_read(ink_context *ctx, ink_arena *arena, const ink_source *source, ink_tokenizer *draft)
{
    ink_tokenizer_reader r = {.ctx = ctx, .arena = arena, .source = source, .tokenizer = draft};
    draft->unk = -1;
    INK_TRY(ink_read_config_open(&r));
    ink_result result = ink_json_open(ctx, arena, source, INK_TOKENIZER_FILE, INK_TOKENIZER_MAX_BYTES, &r.json);
    if (ink_is_missing(ctx, result))
        result = ink_read_legacy(&r);
    if (result != INK_OK)
        return result;
    INK_TRY(read_file(&r));
    return ink_read_config(&r);
}
