/*
 * json.h - a strict JSON reader (RFC 8259): one pass, no recursion, no locale, values by index.
 *
 * A text is parsed whole into an array of nodes in document order; a container knows its number of children and
 * where it ends, so that walking needs no tree of pointers. Strings and keys are unescaped and NUL-terminated UTF-8
 * with an explicit length. Limits: depth 64, text 1 GiB. Refused: anything RFC 8259 does not allow, duplicate keys,
 * strings that are not valid UTF-8, lone surrogates.
 */
#ifndef INK_FILES_JSON_H
#define INK_FILES_JSON_H

#include "../base/internal.h"

typedef enum ink_json_kind {
    INK_JSON_NULL,
    INK_JSON_FALSE,
    INK_JSON_TRUE,
    INK_JSON_NUMBER,
    INK_JSON_STRING,
    INK_JSON_ARRAY,
    INK_JSON_OBJECT
} ink_json_kind;

/* An index of a node in its document; 0 is the root, INK_JSON_NONE "not there". */
typedef uint32_t ink_json;
#define INK_JSON_NONE UINT32_MAX

typedef struct ink_json_node {
    ink_json_kind kind;
    ink_json next;       /* the node after this one and everything in it */
    ink_json parent;     /* INK_JSON_NONE for the root */
    uint32_t n_children; /* of an array or object */
    size_t offset;       /* of its first byte in the text, for messages */
    const char *key;     /* in an object: unescaped, NUL-terminated; else NULL */
    size_t key_size;
    const char *string;  /* of a string: unescaped, NUL-terminated; of a number: its spelling */
    size_t string_size;
} ink_json_node;

typedef struct ink_json_document {
    const char *file; /* for messages */
    const ink_json_node *nodes;
    size_t n_nodes;
} ink_json_document;

/* Parses `size` bytes. Memory comes from `arena` (growing); strings without escapes point into `text`-independent
   copies, so `text` may go afterwards. INK_ERROR_CORRUPT with file and byte offset; INK_ERROR_LIMIT. */
ink_result ink_json_parse(ink_context *ctx, ink_arena *arena, const char *file, const char *text, size_t size,
                          ink_json_document *document);

/* Reads and parses a file of a source. */
ink_result ink_json_open(ink_context *ctx, ink_arena *arena, const ink_source *source, const char *name,
                         size_t max_bytes, ink_json_document *document);

/* Walking: the first child of a container, then the next of a child; INK_JSON_NONE at the end. */
ink_json ink_json_first(const ink_json_document *document, ink_json container);
ink_json ink_json_next(const ink_json_document *document, ink_json child);

/* The member of an object with that key; INK_JSON_NONE if there is none or it is null. */
ink_json ink_json_member(const ink_json_document *document, ink_json object, const char *key);

/* Values, with a sentence that names the JSON path ("config.json: n_head: expected an integer from 1 to 2147483647,
   found "12"") when they are not what is asked for. */
ink_result ink_json_get_size(ink_context *ctx, const ink_json_document *document, ink_json node, size_t min, size_t max,
                             size_t *value);
ink_result ink_json_get_int(ink_context *ctx, const ink_json_document *document, ink_json node, int64_t min,
                            int64_t max, int64_t *value);
ink_result ink_json_get_float(ink_context *ctx, const ink_json_document *document, ink_json node, double *value);
ink_result ink_json_get_bool(ink_context *ctx, const ink_json_document *document, ink_json node, bool *value);
ink_result ink_json_get_string(ink_context *ctx, const ink_json_document *document, ink_json node, const char **value,
                               size_t *size);

/* The same for a member of an object; if it is absent or null the value is left as it is (the default). */
ink_result ink_json_read_size(ink_context *ctx, const ink_json_document *document, ink_json object, const char *key,
                              size_t min, size_t max, size_t *value);
ink_result ink_json_read_int(ink_context *ctx, const ink_json_document *document, ink_json object, const char *key,
                             int64_t min, int64_t max, int64_t *value);
ink_result ink_json_read_float(ink_context *ctx, const ink_json_document *document, ink_json object, const char *key,
                               double *value);
ink_result ink_json_read_bool(ink_context *ctx, const ink_json_document *document, ink_json object, const char *key,
                              bool *value);
ink_result ink_json_read_string(ink_context *ctx, const ink_json_document *document, ink_json object, const char *key,
                                const char **value);

/* INK_ERROR_MISMATCH: "config.json: member 'n_head' is missing". */
ink_result ink_json_require(ink_context *ctx, const ink_json_document *document, ink_json object, const char *key,
                            ink_json *member);

/* Writes the path of a node ("model.vocab[3]") for messages. */
void ink_json_path(const ink_json_document *document, ink_json node, char *buffer, size_t size);

#endif
