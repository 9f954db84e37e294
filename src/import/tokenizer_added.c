/*
 * tokenizer_added.c - the added tokens of a folder are the union of several files.
 *
 * tokenizer.json, tokenizer_config.json, special_tokens_map.json and added_tokens.json may all name some, and so does
 * the class of the tokenizer. As transformers 5 does it, they are added in this order; a token that is there already
 * keeps its id:
 *
 *     1. the list of tokenizer.json
 *     2. added_tokens_decoder, in the order of its ids; without it, added_tokens.json and tokenizer.json in its place
 *     3. the control tokens: bos_token, eos_token, ..., then those with names of their own (image_token)
 *     4. extra_special_tokens, or additional_special_tokens as they were called
 *
 * 2 also changes the flags of a token that is there; 3 and 4 only add. Ids in these files order the tokens and are not
 * kept: new tokens are numbered behind the words of the model.
 */
#include <string.h>

#include "tokenizer_import.h"

typedef enum added_origin {
    ADDED_LISTED,  /* by tokenizer.json */
    ADDED_DECODER, /* by added_tokens_decoder, or by tokenizer.json in its place */
    ADDED_LEGACY,  /* by added_tokens.json, which knows no flags */
    ADDED_CONTROL,
    ADDED_EXTRA,
    ADDED_AGAIN /* a control or extra token of Qwen2, whose class adds them once more, without flags */
} added_origin;

typedef struct added_entry {
    ink_added_pattern token; /* content and flags */
    added_origin origin;
    bool is_object;        /* a control or extra token with flags */
    bool normalized_unset; /* the flag is the opposite of `special` */
    bool makes_special;    /* a token of this content in added_tokens.json is special */
    int64_t id;            /* orders those of 2 */
} added_entry;

typedef struct added_list {
    ink_tokenizer_import *im;
    ink_context *ctx;
    added_entry *entries; /* [n] */
    size_t n, capacity;
    added_entry spare; /* in place of one for which there was no memory; the arena remembers that it failed */
} added_list;

/* ---- collecting ------------------------------------------------------------------------------------------------- */

/* Appends an entry, to be completed at once. One without a content is ignored in the end, as in the reference. */
static added_entry *added_push(added_list *l, added_origin origin, const char *content, size_t size)
{
    if (l->n == l->capacity) {
        added_entry *grown = ink_arena_alloc(l->im->arena, 2 * l->n + 32, sizeof *grown);
        if (grown == NULL)
            return &l->spare;
        if (l->n > 0)
            memcpy(grown, l->entries, l->n * sizeof *grown);
        l->entries = grown;
        l->capacity = 2 * l->n + 32;
    }
    added_entry *entry = &l->entries[l->n++];
    *entry = (added_entry){.origin = origin, .token.content = content, .token.content_size = size};
    return entry;
}

/* Content and flags of an object {"content": "<x>", "lstrip": true}; flags it lacks stay as they are. */
static ink_result read_object(added_list *l, const ink_json_document *file, ink_json node, added_entry *entry)
{
    ink_added_pattern *t = &entry->token;
    bool normalized = t->set == INK_ADDED_NORMALIZED;
    ink_json content = ink_json_member(file, node, "content");
    INK_TRY(ink_json_expect(l->ctx, file, node, INK_JSON_OBJECT));
    if (content != INK_JSON_NONE)
        INK_TRY(ink_json_get_string(l->ctx, file, content, &t->content, &t->content_size));
    INK_TRY(ink_json_read_bool(l->ctx, file, node, "special", &t->special));
    INK_TRY(ink_json_read_bool(l->ctx, file, node, "normalized", &normalized));
    INK_TRY(ink_json_read_bool(l->ctx, file, node, "lstrip", &t->token.left_strip));
    INK_TRY(ink_json_read_bool(l->ctx, file, node, "rstrip", &t->token.right_strip));
    INK_TRY(ink_json_read_bool(l->ctx, file, node, "single_word", &t->token.single_word));
    entry->normalized_unset = ink_json_member(file, node, "normalized") == INK_JSON_NONE;
    t->set = normalized ? INK_ADDED_NORMALIZED : INK_ADDED_RAW;
    return INK_OK;
}

/* A control or extra token: a text, or an object with flags. `map`: of special_tokens_map.json. */
static ink_result read_named(added_list *l, const ink_json_document *file, ink_json node, bool map, added_origin origin)
{
    added_entry *e = added_push(l, origin, "", 0);
    e->is_object = file->nodes[node].kind != INK_JSON_STRING;
    e->makes_special = map || !e->is_object;
    if (e->is_object)
        INK_TRY(read_object(l, file, node, e));
    else
        INK_TRY(ink_json_get_string(l->ctx, file, node, &e->token.content, &e->token.content_size));
    if (map || origin == ADDED_CONTROL || !e->is_object)
        e->token.special = true;
    return INK_OK;
}

/* All members of a list, or of an object of named tokens. */
static ink_result read_all_named(added_list *l, const ink_json_document *file, ink_json all, bool map,
                                 added_origin origin)
{
    for (ink_json i = ink_json_first(file, all); i != INK_JSON_NONE; i = ink_json_next(file, i))
        INK_TRY(read_named(l, file, i, map, origin));
    return INK_OK;
}

static ink_result read_list(added_list *l, const ink_json_document *file, ink_json list, bool map)
{
    INK_TRY(ink_json_expect(l->ctx, file, list, INK_JSON_ARRAY));
    return read_all_named(l, file, list, map, ADDED_EXTRA);
}

/* {"50256": {"content": ..., ...}} */
static ink_result read_added_decoder(added_list *l, const ink_json_document *file, ink_json all)
{
    INK_TRY(ink_json_expect(l->ctx, file, all, INK_JSON_OBJECT));
    for (ink_json i = ink_json_first(file, all); i != INK_JSON_NONE; i = ink_json_next(file, i)) {
        added_entry *e = added_push(l, ADDED_DECODER, "", 0);
        const char *key = file->nodes[i].key;
        uint64_t id;
        if (file->nodes[i].key_size == 0 || ink_digits(key, file->nodes[i].key_size, &id) != file->nodes[i].key_size ||
            id >= INT32_MAX)
            return ink_fail(l->ctx, INK_ERROR_CORRUPT, "%s: added_tokens_decoder: '%s' is no id", file->file, key);
        e->id = (int64_t)id;
        INK_TRY(read_object(l, file, i, e));
    }
    return INK_OK;
}

/* The list of tokenizer.json. */
static void push_listed(added_list *l, added_origin origin)
{
    for (size_t i = 0; i < l->im->n_listed; i++) {
        added_entry *e = added_push(l, origin, NULL, 0);
        e->token = l->im->listed[i];
        e->id = e->token.token.id;
    }
}

/* added_tokens.json, {"<x>": 50257}, if it is there, and then the list of tokenizer.json. */
static ink_result read_added_json(added_list *l)
{
    ink_json_document file = {.file = ""};
    ink_result result = ink_json_open(l->ctx, l->im->arena, l->im->source, "added_tokens.json",
                                      INK_LIMIT(l->ctx, settings_bytes), &file);
    bool missing = ink_is_missing(l->ctx, result);
    INK_TRY(missing ? INK_OK : result);
    if (!missing)
        INK_TRY(ink_json_expect(l->ctx, &file, 0, INK_JSON_OBJECT));
    for (ink_json i = missing ? INK_JSON_NONE : ink_json_first(&file, 0); i != INK_JSON_NONE;
         i = ink_json_next(&file, i)) {
        added_entry *e = added_push(l, ADDED_LEGACY, file.nodes[i].key, file.nodes[i].key_size);
        INK_TRY(ink_json_get_int(l->ctx, &file, i, INT32_MIN, INT32_MAX, &e->id));
    }
    push_listed(l, ADDED_DECODER);
    return INK_OK;
}

static int compare_ids(const void *user, size_t a, size_t b)
{
    const added_entry *entries = user;
    return entries[a].id < entries[b].id ? -1 : entries[a].id > entries[b].id ? 1 : a < b ? -1 : a > b;
}

/* Sorts the entries from `first` on by id; of those with one id the last stays. */
static void sort_by_id(added_list *l, size_t first)
{
    size_t n = l->n - first, left = 0;
    if (n == 0)
        return;
    added_entry *sorted = ink_arena_alloc(l->im->arena, n, sizeof *sorted), *entries = l->entries + first;
    uint64_t *keys = ink_arena_alloc(l->im->arena, n, sizeof *keys);
    if (ink_arena_failed(l->im->arena))
        return;
    for (size_t i = 0; i < n; i++)
        keys[i] = INK_KEY(0, i);
    ink_sort(keys, n, &(ink_ties){compare_ids, entries});
    for (size_t i = 0; i < n; i++)
        if (i + 1 == n || entries[ink_key_index(keys[i])].id != entries[ink_key_index(keys[i + 1])].id)
            sorted[left++] = entries[ink_key_index(keys[i])];
    memcpy(entries, sorted, left * sizeof *sorted);
    l->n = first + left;
}

/* Whether the reader would take a member for a control token with a name of its own: "image_token". */
static bool is_own_name(const ink_json_node *member)
{
    static const char ending[] = "_token";
    size_t size = sizeof ending - 1;
    return (member->kind == INK_JSON_STRING || member->kind == INK_JSON_OBJECT) && member->key_size > size &&
           memcmp(member->key + member->key_size - size, ending, size) == 0 &&
           !ink_is_listed("bos_token eos_token unk_token sep_token pad_token cls_token mask_token", member->key,
                          member->key_size);
}

#define OWN_NAMES 256 /* control tokens with names of their own; each is looked for in the other file */

/* Of a name that both files have, a text of tokenizer_config.json counts, or else special_tokens_map.json. */
static ink_result read_own_names(added_list *l, const ink_json_document *file, const ink_json_document *other, bool map)
{
    ink_json i = file->n_nodes != 0 ? ink_json_first(file, 0) : INK_JSON_NONE;
    for (size_t n = 0; i != INK_JSON_NONE; i = ink_json_next(file, i)) {
        const ink_json_node *member = &file->nodes[i];
        bool text = member->kind == INK_JSON_STRING;
        if (!is_own_name(member) || (!map && !text && ink_json_member(file, i, "__type") == INK_JSON_NONE))
            continue;
        if (n++ == OWN_NAMES)
            return ink_fail(l->ctx, INK_ERROR_LIMIT, "%s: more than %zu tokens have names of their own", file->file,
                            (size_t)OWN_NAMES);
        ink_json twin = other->n_nodes != 0 ? ink_json_member(other, 0, member->key) : INK_JSON_NONE;
        if (twin == INK_JSON_NONE || (map ? other->nodes[twin].kind != INK_JSON_STRING : text))
            INK_TRY(read_named(l, file, i, map, ADDED_CONTROL));
    }
    return INK_OK;
}

/* Control tokens, then extra tokens. special_tokens_map.json counts only without added_tokens_decoder. */
static ink_result read_special(added_list *l)
{
    static const char extra_key[] = "extra_special_tokens", old_key[] = "additional_special_tokens";
    const ink_tokenizer_config *config = &l->im->config;
    const ink_json_document *settings = &config->settings;
    const ink_json_document *map =
        ink_tokenizer_config_has_map(config) ? &config->map : &(ink_json_document){.file = ""};
    ink_json extra = ink_tokenizer_config_member(config, extra_key), old = ink_tokenizer_config_member(config, old_key);
    ink_json map_extra = map->n_nodes != 0 ? ink_json_member(map, 0, extra_key) : INK_JSON_NONE;
    ink_json map_old = map->n_nodes != 0 ? ink_json_member(map, 0, old_key) : INK_JSON_NONE;
    for (int i = 0; i < INK_N_CONTROLS; i++) {
        ink_named_token named;
        INK_TRY(ink_tokenizer_config_token(config, (ink_control)i, &named));
        if (named.node != INK_JSON_NONE)
            INK_TRY(read_named(l, named.document, named.node, named.document == &config->map, ADDED_CONTROL));
        else if (named.size > 0)
            added_push(l, ADDED_CONTROL, named.text, named.size)->token.special = true;
        if (i == INK_CONTROL_MASK && l->n > 0 && !l->entries[l->n - 1].is_object &&
            (config->class == INK_CLASS_CAMEMBERT ||
             (config->class >= INK_CLASS_NLLB && config->class <= INK_CLASS_MBART50))) { /* as these classes have it */
            l->entries[l->n - 1].token.token.left_strip = true;
            if (config->class == INK_CLASS_NLLB)
                l->entries[l->n - 1].token.set = INK_ADDED_NORMALIZED;
        }
    }
    if (extra != INK_JSON_NONE && settings->nodes[extra].kind != INK_JSON_OBJECT)
        INK_TRY(ink_json_expect(l->ctx, settings, extra, INK_JSON_ARRAY));
    /* `old` is another name of `extra`; special_tokens_map.json replaces the one and adds to the other. Named tokens,
       {"image_token": "<x>"}, are control tokens with a name of their own. */
    if (old != INK_JSON_NONE && (extra == INK_JSON_NONE || settings->nodes[extra].n_children == 0)) {
        extra = old;
        old = INK_JSON_NONE;
    }
    bool named = extra != INK_JSON_NONE && settings->nodes[extra].kind == INK_JSON_OBJECT;
    bool map_named = map_extra != INK_JSON_NONE && map->nodes[map_extra].kind == INK_JSON_OBJECT;
    bool listed = extra != INK_JSON_NONE && !named && !map_named;
    size_t before = l->n;
    INK_TRY(read_own_names(l, map, settings, true));
    INK_TRY(read_own_names(l, settings, map, false));
    if (named)
        INK_TRY(read_all_named(l, settings, extra, false, ADDED_CONTROL));
    if (map_named)
        INK_TRY(read_all_named(l, map, map_extra, true, ADDED_CONTROL));
    for (; before < l->n; before++)
        l->entries[before].makes_special = false;
    if (listed)
        INK_TRY(read_list(l, settings, extra, false));
    if (map_extra != INK_JSON_NONE && !map_named)
        INK_TRY(read_list(l, map, map_extra, true));
    before = l->n;
    if (!listed && (map_extra == INK_JSON_NONE || map_named))
        INK_TRY(map_old != INK_JSON_NONE ? read_list(l, map, map_old, false)
                : old != INK_JSON_NONE   ? read_list(l, settings, old, false)
                                         : INK_OK);
    for (; before < l->n; before++)
        l->entries[before].makes_special = false;
    return INK_OK;
}

/* ---- one token for each content --------------------------------------------------------------------------------- */

static int compare_contents(const void *user, size_t a, size_t b)
{
    const added_entry *entries = user;
    const ink_added_pattern *x = &entries[a].token, *y = &entries[b].token;
    int order = memcmp(x->content, y->content, ink_size_min(x->content_size, y->content_size));
    if (order != 0)
        return order;
    return x->content_size != y->content_size ? (x->content_size < y->content_size ? -1 : 1) : a < b ? -1 : a > b;
}

static bool same_content(const added_entry *entries, uint64_t a, uint64_t b)
{
    const ink_added_pattern *x = &entries[ink_key_index(a)].token, *y = &entries[ink_key_index(b)].token;
    return x->content_size == y->content_size && memcmp(x->content, y->content, x->content_size) == 0;
}

/* What becomes of the entries keys[0 .. n - 1], which have one content: the first of them gets the flags, the others
   lose their content. A control or extra token changes nothing that other files list; of several of them the last one
   counts, but a plain text only if it is the first plain text. */
static void added_settle(added_entry *entries, const uint64_t *keys, size_t n)
{
    bool control = false, makes_special = false, text = false;
    added_entry *first = &entries[ink_key_index(keys[0])];
    for (size_t i = 0; i < n; i++) {
        const added_entry *e = &entries[ink_key_index(keys[i])];
        control |= e->origin == ADDED_CONTROL;
        makes_special |= e->makes_special;
    }
    for (size_t i = 0; i < n; i++) {
        added_entry *e = &entries[ink_key_index(keys[i])];
        ink_added_pattern *t = &e->token;
        if (e->origin == ADDED_LEGACY) {
            t->special = makes_special;
            t->set = makes_special ? INK_ADDED_RAW : INK_ADDED_NORMALIZED;
        }
        if ((e->origin == ADDED_DECODER || e->origin == ADDED_LEGACY) && control)
            t->special = true;
        if (e->normalized_unset)
            t->set = t->special ? INK_ADDED_RAW : INK_ADDED_NORMALIZED;
        bool named = e->origin == ADDED_CONTROL || e->origin == ADDED_EXTRA;
        bool counts = !named || (first->origin >= ADDED_CONTROL && (e->is_object || !text));
        text |= named && !e->is_object;
        if (i == 0)
            continue;
        if (counts) {
            t->special |= first->token.special; /* once special, always special */
            first->token = *t;
        }
        t->content_size = 0;
    }
}

/* Without a class the reference gives the pieces of a SentencePiece model of type BPE the names that the entries from
   `first` on have for their ids. Here pieces keep their names. */
static ink_result refuse_renamed(const added_list *l, size_t first)
{
    const ink_tokenizer_import *im = l->im;
    for (size_t i = first; i < l->n && im->spm != NULL && im->config.class == INK_CLASS_NONE; i++) {
        const added_entry *e = &l->entries[i];
        if (e->id < 0 || (uint64_t)e->id >= im->n_tokens)
            continue;
        const ink_spelled_token *piece = &im->tokens[e->id];
        if (piece->size != e->token.content_size || memcmp(piece->text, e->token.content, piece->size) != 0)
            return ink_fail(l->ctx, INK_ERROR_UNSUPPORTED,
                            "%s: added_tokens_decoder: %lld is '%.*s', but in %s this piece is '%.*s', and pieces "
                            "cannot be renamed without a tokenizer_class",
                            im->config.settings.file, (long long)e->id, (int)ink_size_min(e->token.content_size, 100),
                            e->token.content, im->b.file, (int)ink_size_min(piece->size, 100), piece->text);
    }
    return INK_OK;
}

ink_result ink_import_added(ink_tokenizer_import *im)
{
    added_list l = {.im = im, .ctx = im->ctx};
    ink_json decoder = ink_tokenizer_config_member(&im->config, "added_tokens_decoder");
    if (im->config.class == INK_CLASS_NONE)
        push_listed(&l, ADDED_LISTED);
    const size_t n_listed = l.n;
    INK_TRY(decoder != INK_JSON_NONE ? read_added_decoder(&l, &im->config.settings, decoder) : read_added_json(&l));
    sort_by_id(&l, n_listed);
    INK_TRY(refuse_renamed(&l, n_listed));
    const size_t n_listed_anywhere = l.n;
    INK_TRY(read_special(&l));
    /* A list of extra tokens in the settings, even an empty one, takes the place of the model's. */
    const ink_json_node *nodes = im->config.settings.nodes;
    ink_json extra = ink_tokenizer_config_member(&im->config, "extra_special_tokens");
    ink_json older = ink_tokenizer_config_member(&im->config, "additional_special_tokens");
    bool named = extra != INK_JSON_NONE && nodes[extra].kind == INK_JSON_OBJECT;
    bool listed =
        (extra != INK_JSON_NONE && !named) || (older != INK_JSON_NONE && (!named || nodes[extra].n_children == 0));
    for (size_t i = 0; i < im->n_extra && !listed; i++) {
        added_entry *e = added_push(&l, ADDED_EXTRA, im->extra[i].content, im->extra[i].content_size);
        e->token.special = im->extra[i].special;
        e->is_object = true;
    }
    const char **languages = NULL;
    size_t n_languages = 0;
    if (im->config.class == INK_CLASS_MBART || im->config.class == INK_CLASS_MBART50)
        INK_TRY(ink_import_class_languages(im, &languages, &n_languages));
    for (size_t i = 0; i < n_languages; i++)
        added_push(&l, ADDED_EXTRA, languages[i], strlen(languages[i]))->token.special = true;
    const size_t n_once = l.n;
    for (size_t i = n_listed_anywhere; im->config.class == INK_CLASS_QWEN2 && i < n_once; i++) {
        const ink_added_pattern *t = &l.entries[i].token;
        added_push(&l, ADDED_AGAIN, t->content, t->content_size)->token.special = true;
    }

    uint64_t *keys = ink_arena_alloc(im->arena, l.n, sizeof *keys);
    im->added = ink_arena_alloc(im->arena, l.n, sizeof *im->added);
    if (ink_arena_failed(im->arena))
        return ink_fail(im->ctx, INK_ERROR_MEMORY, "out of memory: %zu added tokens", l.n);
    for (size_t i = 0; i < l.n; i++)
        keys[i] = INK_KEY(ink_hash(0, l.entries[i].token.content, l.entries[i].token.content_size), i);
    ink_sort(keys, l.n, &(ink_ties){compare_contents, l.entries});
    for (size_t i = 0, end; i < l.n; i = end) {
        for (end = i + 1; end < l.n && same_content(l.entries, keys[i], keys[end]);)
            end++;
        added_settle(l.entries, keys + i, end - i);
    }
    im->n_added = im->n_first = 0;
    for (size_t i = 0; i < l.n; i++) {
        if (ink_tokenizer_class_is_python(im->config.class) ||
            (im->added_raw && (l.entries[i].origin == ADDED_DECODER || l.entries[i].origin == ADDED_LEGACY)))
            l.entries[i].token.set = INK_ADDED_RAW;
        if (l.entries[i].token.content_size > 0)
            im->added[im->n_added++] = l.entries[i].token;
        if (i + 1 == n_listed)
            im->n_first = im->n_added;
    }
    return INK_OK;
}
