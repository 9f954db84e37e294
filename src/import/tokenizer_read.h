/*
 * tokenizer_read.h - what the readers of the parts of tokenizer.json share.
 *
 * The file is a list of components, each of a named type. What can be run is in one table per place, and the reader of
 * a component adds its steps to the tokenizer. A new component is a line in a table.
 */
#ifndef INK_TEXT_TOKENIZER_READ_H
#define INK_TEXT_TOKENIZER_READ_H

#include "../formats/json.h"
#include "../text/tokenizer.h"

#define INK_TOKENIZER_FILE "tokenizer.json"
#define INK_TOKENIZER_MAX_BYTES ((size_t)256 << 20)

typedef struct ink_tokenizer_reader {
    ink_context *ctx;
    ink_arena *arena;
    const ink_source *source;
    ink_json_document json;   /* tokenizer.json, or what stands for it */
    ink_json_document config; /* tokenizer_config.json and */
    ink_json_document map;    /* special_tokens_map.json; without nodes if they are not there */
    ink_json added_tokens;    /* an array, or INK_JSON_NONE */
    ink_tokenizer *tokenizer; /* what is being made */
    size_t longest;           /* bytes of the longest spelling in the vocabulary */
    char *spelling, *bytes;   /* [longest], room to look one up */
} ink_tokenizer_reader;

typedef struct ink_component {
    const char *type;    /* NULL ends a table */
    const char *members; /* their names with a space between: any other is refused */
    ink_result (*read)(ink_tokenizer_reader *r, ink_json node);
} ink_component;

extern const ink_component ink_normalizer_components[];     /* read_normalizer.c */
extern const ink_component ink_splitter_components[];       /* read_splitter.c */
extern const ink_component ink_model_components[];          /* read_model.c */
extern const ink_component ink_decoder_components[];        /* read_decoder.c */
extern const ink_component ink_post_processor_components[]; /* read_template.c */

static inline const ink_json_node *ink_read_node(const ink_tokenizer_reader *r, ink_json node)
{
    return &r->json.nodes[node];
}

/* Fails with the file, the path of the node, and the reason: "tokenizer.json: model.vocab: there are no tokens". */
ink_result ink_read_refuse(ink_tokenizer_reader *r, ink_result result, ink_json node, const char *reason);

ink_result ink_read_id(ink_tokenizer_reader *r, ink_json node, ink_token *id);

/* A string with at least one byte. */
ink_result ink_read_text(ink_tokenizer_reader *r, ink_json node, const char **text, size_t *size);

/* A member that is a bool, and `otherwise` if it is absent or null. */
ink_result ink_read_flag(ink_tokenizer_reader *r, ink_json node, const char *key, bool otherwise, bool *flag);

/* A member that is a short string. It may be empty; INK_ERROR_MISMATCH if it is missing. */
ink_result ink_read_short(ink_tokenizer_reader *r, ink_json node, const char *key, ink_short_text *text);

/* The same for a string of exactly one character. */
ink_result ink_read_character(ink_tokenizer_reader *r, ink_json node, const char *key, ink_short_text *text);

/* The member "pattern": {"String": ...} into `string`, or {"Regex": ...} into *regex, which is NULL else. */
ink_result ink_read_pattern(ink_tokenizer_reader *r, ink_json node, ink_short_text *string, const char **regex);

/* INK_ERROR_UNSUPPORTED for a member of an object that is neither among these names nor null. */
ink_result ink_read_members(ink_tokenizer_reader *r, ink_json node, const char *names);

/* A component that does nothing here: its whole effect lies in another part, or does not concern ids. */
ink_result ink_read_nothing(ink_tokenizer_reader *r, ink_json node);

/* read_vocab.c: the vocabulary of a model, with room for the ids of the added tokens. */
ink_result ink_read_vocab(ink_tokenizer_reader *r, ink_json model);

/* The token of the vocabulary that is spelled so, or -1. */
ink_token ink_read_find(ink_tokenizer_reader *r, const char *spelling, size_t size);

/* The model's unk_token, -1 if it names none; `otherwise` where it says nothing. INK_ERROR_CORRUPT if the vocabulary
   does not have it. */
ink_result ink_read_unk(ink_tokenizer_reader *r, ink_json model, const char *otherwise, ink_token *unk);

/* read_bpe.c: the model of type BPE with its vocabulary. */
ink_result ink_read_bpe(ink_tokenizer_reader *r, ink_json model);

/* read_added.c: the members of "added_tokens"; vocabulary and normalizer are there. */
ink_result ink_read_added(ink_tokenizer_reader *r);

/* The content of an added token as a text would be normalised, if its flag "normalized" is set. */
ink_result ink_read_normalized(ink_tokenizer_reader *r, ink_json added_token, const char **text, size_t *size);

/* read_template.c: the template of a file without post-processor: the texts alone. */
ink_result ink_read_no_template(ink_tokenizer_reader *r);

/* read_decoder.c: after all components of the decoder, and after the vocabulary. */
ink_result ink_read_decoder_end(ink_tokenizer_reader *r, ink_json decoder);

/* read_config.c: the files beside tokenizer.json, where they are; and after all else what the tokenizer takes from
   them: control tokens and the model's length. */
ink_result ink_read_config_open(ink_tokenizer_reader *r);
ink_result ink_read_config(ink_tokenizer_reader *r);

/* The string that names a control token, in the file that does first; INK_JSON_NONE if none does. */
extern const char *const ink_control_keys[INK_N_CONTROLS]; /* "bos_token", ... */
ink_result ink_read_control(ink_tokenizer_reader *r, size_t which, const ink_json_document **document, ink_json *node);

/* read_legacy.c: what stands for tokenizer.json where there is none, from vocab.json and merges.txt or vocab.txt. */
ink_result ink_read_legacy(ink_tokenizer_reader *r);

#endif
