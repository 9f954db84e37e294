/*
 * json.h - a strict JSON reader (RFC 8259): one pass, no recursion, no locale, values by index.
 *
 * A text is parsed whole into an array of nodes in document order; a container knows its number of children and
 * where it ends, so that walking needs no tree of pointers. Strings and keys are unescaped and NUL-terminated UTF-8
 * with an explicit length. Memory is counted before it is taken: sizeof(ink_json_node) and the 8 bytes of a sort for
 * each value, and a byte for each byte of the text. The sum of these and the text itself is held against a limit of the
 * context. The depth is at most INK_JSON_MAX_DEPTH, the text at most INK_JSON_MAX_BYTES. Refused: anything
 * RFC 8259 does not allow (NaN and Infinity by name), strings that are not valid UTF-8, lone surrogates.
 *
 * A key that an object has twice: in the header of a safetensors file (ink_json_parse) it is refused, because two
 * tensors would have one name. In all other files (ink_json_open) the last one counts and the others do not exist, as
 * in the readers of the reference, Python's json and the maps of Rust's serde_json.
 */
#ifndef INK_FORMATS_JSON_H
#define INK_FORMATS_JSON_H

#include "../base/internal.h"

#define INK_JSON_MAX_DEPTH 64
#define INK_JSON_MAX_BYTES ((size_t)1 << 30)

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
    const char *key;    /* in an object: unescaped, NUL-terminated, NULL if a later member has it; else NULL */
    const char *string; /* of a string: unescaped, NUL-terminated; of a number: its spelling; else NULL */
    uint32_t key_size;  /* bytes, without the NUL */
    uint32_t string_size;
    uint32_t n_children; /* of an array or object; else 0 */
    uint32_t offset;     /* of its first byte in the text, for messages */
    ink_json next;       /* the node after this one and everything in it */
    ink_json parent;     /* INK_JSON_NONE for the root */
    ink_json_kind kind;
} ink_json_node;

typedef struct ink_json_document {
    const char *file; /* for messages */
    const ink_json_node *nodes;
    size_t n_nodes; /* at least 1 */
} ink_json_document;

/* Parses `size` bytes. Memory comes from `arena` (growing) and holds copies of all strings, so that `text` may go
   afterwards; `file` is kept, not copied. `origin` is where in the file the text begins, for messages. On failure
   the document is untouched. INK_ERROR_CORRUPT with file and byte offset, also for a key that is there twice;
   INK_ERROR_LIMIT for depth, length and memory; INK_ERROR_MEMORY. */
ink_result ink_json_parse(ink_context *ctx, ink_arena *arena, const char *file, const char *text, size_t size,
                          size_t origin, ink_limit limit, ink_json_document *document);

/* Reads and parses a file of a source. `name` is kept, not copied. Of a key that is there twice the last one counts. */
ink_result ink_json_open(ink_context *ctx, ink_arena *arena, const ink_source *source, const char *name,
                         ink_limit limit, ink_json_document *document);

/* Walking: the first child of a container, then the next of a child; INK_JSON_NONE at the end. */
ink_json ink_json_first(const ink_json_document *document, ink_json container);
ink_json ink_json_next(const ink_json_document *document, ink_json child);

/* The member of an object with that key; INK_JSON_NONE if there is none, it is null, or `object` is no object. Looks
   at the members one after the other. */
ink_json ink_json_member(const ink_json_document *document, ink_json object, const char *key);

/* Values; INK_ERROR_MISMATCH with a sentence that names the JSON path ("config.json: n_head: expected an integer from 1
   to 2147483647, found "12"") when they are not what is asked for; the value is untouched then.
   Integers are spelled without fraction and exponent, and -0 is none; one beyond int64_t or size_t counts as the
   largest or smallest. A float is any number, rounded to the nearest double; one beyond the largest double counts as
   that. A string that contains a NUL is refused where `size` is NULL. */
ink_result ink_json_get_size(ink_context *ctx, const ink_json_document *document, ink_json node, size_t min, size_t max,
                             size_t *value);
ink_result ink_json_get_int(ink_context *ctx, const ink_json_document *document, ink_json node, int64_t min,
                            int64_t max, int64_t *value);
ink_result ink_json_get_float(ink_context *ctx, const ink_json_document *document, ink_json node, double *value);
ink_result ink_json_get_bool(ink_context *ctx, const ink_json_document *document, ink_json node, bool *value);
ink_result ink_json_get_string(ink_context *ctx, const ink_json_document *document, ink_json node, const char **value,
                               size_t *size);

/* Checks that a node is an INK_JSON_ARRAY or INK_JSON_OBJECT, with the same sentence. */
ink_result ink_json_expect(ink_context *ctx, const ink_json_document *document, ink_json node, ink_json_kind kind);

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

/* INK_ERROR_MISMATCH: "config.json: member 'n_head' is missing". Null counts as missing. */
ink_result ink_json_require(ink_context *ctx, const ink_json_document *document, ink_json object, const char *key,
                            ink_json *member);

/* Writes the path of a node ("model.vocab[3]") for messages, escaped, cut at `size`; "" for the root. */
void ink_json_path(const ink_json_document *document, ink_json node, char *buffer, size_t size);

#endif
