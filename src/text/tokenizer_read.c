/*
 * tokenizer_read.c - tokenizer.json of Hugging Face's tokenizers, version "1.0".
 *
 * The file is a list of components, each of a named type. What can be run is in the tables below, one per place; a
 * component that is not there is refused by name, because leaving it out would give other ids. Truncation and padding
 * belong to whoever calls and are not read.
 */
#include "tokenizer_read.h"

#include <string.h>

#define MAX_FILE_BYTES ((size_t)256 << 20)

ink_result ink_read_refuse(ink_tokenizer_reader *r, ink_result result, ink_json node, const char *reason)
{
    char path[128];
    ink_json_path(&r->json, node, path, sizeof path);
    return ink_fail(r->ctx, result, "%s: %q: %s", INK_TOKENIZER_FILE, path, reason);
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

/* ---- components ------------------------------------------------------------------------------------------------- */

typedef ink_result (*component_fn)(ink_tokenizer_reader *r, ink_json node);

typedef struct component {
    const char *type; /* NULL ends a table */
    component_fn read;
} component;

/* A place in the file where a component goes. */
typedef struct place {
    const char *name;  /* the member of the file */
    const char *parts; /* the member of a Sequence in this place that lists its components; NULL: no Sequence */
    bool required;
    const component *components;
} place;

/* Nothing to read: the whole effect of this component lies in the kind of vocabulary, or does not concern ids. */
static ink_result read_nothing(ink_tokenizer_reader *r, ink_json node)
{
    (void)r;
    (void)node;
    return INK_OK;
}

static ink_result read_byte_level_splitter(ink_tokenizer_reader *r, ink_json node)
{
    bool use_regex = true;
    r->tokenizer->add_prefix_space = true;
    INK_TRY(ink_json_read_bool(r->ctx, &r->json, node, "use_regex", &use_regex));
    INK_TRY(ink_json_read_bool(r->ctx, &r->json, node, "add_prefix_space", &r->tokenizer->add_prefix_space));
    r->tokenizer->split = use_regex ? ink_split_gpt2 : ink_split_none;
    return INK_OK;
}

static const component normalizers[] = {{NULL, NULL}};
static const component pre_tokenizers[] = {{"ByteLevel", read_byte_level_splitter}, {NULL, NULL}};
static const component models[] = {{"BPE", ink_read_bpe}, {NULL, NULL}};
static const component decoders[] = {{"ByteLevel", read_nothing}, {NULL, NULL}};
static const component post_processors[] = {
    {"ByteLevel", read_nothing}, {"TemplateProcessing", ink_read_template}, {NULL, NULL}};

/* In the order they are read: first what says which kind of tokenizer this is, last the template, whose tokens must be
   there. */
static const place before_added[] = {{"normalizer", "normalizers", false, normalizers},
                                     {"pre_tokenizer", "pretokenizers", true, pre_tokenizers},
                                     {"decoder", "decoders", true, decoders},
                                     {"model", NULL, true, models}};
static const place after_added[] = {{"post_processor", "processors", false, post_processors}};

/* "ByteLevel, TemplateProcessing" */
static void list_types(const component *components, char *list, size_t size)
{
    size_t n = ink_format(list, size, "%s", components->type == NULL ? "none" : components->type);
    while (components->type != NULL && (++components)->type != NULL)
        n += ink_format(list + n, size - n, ", %s", components->type);
}

static ink_result refuse_type(ink_tokenizer_reader *r, const place *p, const char *type, const char *why)
{
    char list[128];
    list_types(p->components, list, sizeof list);
    return ink_fail(r->ctx, INK_ERROR_UNSUPPORTED, "%s: %s: type '%q' %s; supported: %s", INK_TOKENIZER_FILE, p->name,
                    type, why, list);
}

/* Old files do not name the model's type; merges are what only BPE has. */
static ink_result read_type(ink_tokenizer_reader *r, ink_json node, const char **type)
{
    INK_TRY(ink_json_expect(r->ctx, &r->json, node, INK_JSON_OBJECT));
    *type = ink_json_member(&r->json, node, "merges") != INK_JSON_NONE ? "BPE" : "";
    return ink_json_read_string(r->ctx, &r->json, node, "type", type);
}

/* `seen` has a bit for each component of the place that was read before: none may come twice. */
static ink_result read_component(ink_tokenizer_reader *r, const place *p, ink_json node, unsigned *seen)
{
    const char *type = "";
    INK_TRY(read_type(r, node, &type));
    for (size_t i = 0; p->components[i].type != NULL; i++) {
        if (strcmp(p->components[i].type, type) != 0)
            continue;
        if ((*seen & 1u << i) != 0)
            return refuse_type(r, p, type, "is there twice");
        *seen |= 1u << i;
        return p->components[i].read(r, node);
    }
    return refuse_type(r, p, type, "is not supported");
}

static ink_result read_sequence(ink_tokenizer_reader *r, const place *p, ink_json node, unsigned *seen)
{
    ink_json parts;
    INK_TRY(ink_json_require(r->ctx, &r->json, node, p->parts, &parts));
    INK_TRY(ink_json_expect(r->ctx, &r->json, parts, INK_JSON_ARRAY));
    ink_json child = ink_json_first(&r->json, parts);
    for (; child != INK_JSON_NONE; child = ink_json_next(&r->json, child))
        INK_TRY(read_component(r, p, child, seen));
    return INK_OK;
}

static ink_result read_place(ink_tokenizer_reader *r, const place *p)
{
    ink_json node = ink_json_member(&r->json, 0, p->name);
    const char *type = "";
    unsigned seen = 0;
    if (node != INK_JSON_NONE) {
        INK_TRY(read_type(r, node, &type));
        if (p->parts != NULL && strcmp(type, "Sequence") == 0)
            INK_TRY(read_sequence(r, p, node, &seen));
        else
            INK_TRY(read_component(r, p, node, &seen));
    }
    if (p->required && seen == 0)
        return refuse_type(r, p, type, "does nothing");
    return INK_OK;
}

/* ---- the file --------------------------------------------------------------------------------------------------- */

static ink_result check_version(ink_tokenizer_reader *r)
{
    const char *version = "1.0";
    INK_TRY(ink_json_read_string(r->ctx, &r->json, 0, "version", &version));
    if (strcmp(version, "1.0") != 0)
        return ink_fail(r->ctx, INK_ERROR_UNSUPPORTED, "%s: version '%q' is not supported; supported: 1.0",
                        INK_TOKENIZER_FILE, version);
    return INK_OK;
}

ink_result ink_tokenizer_read(ink_context *ctx, ink_arena *arena, const ink_source *source, ink_tokenizer *draft)
{
    ink_tokenizer_reader r = {.ctx = ctx, .arena = arena, .tokenizer = draft};
    INK_TRY(ink_json_open(ctx, arena, source, INK_TOKENIZER_FILE, MAX_FILE_BYTES, &r.json));
    INK_TRY(ink_json_expect(ctx, &r.json, 0, INK_JSON_OBJECT));
    INK_TRY(check_version(&r));
    r.added_tokens = ink_json_member(&r.json, 0, "added_tokens");
    if (r.added_tokens != INK_JSON_NONE)
        INK_TRY(ink_json_expect(ctx, &r.json, r.added_tokens, INK_JSON_ARRAY));
    for (size_t i = 0; i < sizeof before_added / sizeof before_added[0]; i++)
        INK_TRY(read_place(&r, &before_added[i]));
    INK_TRY(ink_read_added(&r));
    for (size_t i = 0; i < sizeof after_added / sizeof after_added[0]; i++)
        INK_TRY(read_place(&r, &after_added[i]));
    return INK_OK;
}
