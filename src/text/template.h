/*
 * template.h - the post-processor: the control tokens around a text or a pair of texts, such as BOS, or CLS and SEP.
 */
#ifndef INK_TEXT_TEMPLATE_H
#define INK_TEXT_TEMPLATE_H

#include <inkling/types.h>

#include "../base/internal.h"

/* What stands for the texts in place of an id. */
#define INK_TEMPLATE_A (-1)
#define INK_TEMPLATE_B (-2)

typedef struct ink_template_piece {
    ink_token id;
    ink_token type; /* of the id, or of all ids of the text */
} ink_template_piece;

typedef struct ink_template {
    ink_template_piece *pieces; /* [n[0] + n[1]], for a single text and then for a pair */
    size_t n[2];
} ink_template;

/* The pieces for a single text or for a pair. */
const ink_template_piece *ink_template_of(const ink_template *template, bool pair, size_t *n);

/* The number of control tokens. */
size_t ink_template_extra(const ink_template *template, bool pair);

/* Shortens two texts of length[0] and length[1] ids until they have at most `room` together, the longer one first. As
   in the reference, when both are shortened and room is odd, the one that was longer keeps the odd id; the second of
   equals. */
void ink_template_truncate(size_t length[2], size_t room);

/* Writes the texts, of which text i is ids texts[i] [length[i]], with their types, and with `controls` what stands
   around them. `ids` and `types` have room; types may be NULL. */
void ink_template_write(const ink_template *template, bool pair, bool controls, const ink_token *const texts[2],
                        const size_t length[2], ink_token *ids, ink_token *types);

#endif
