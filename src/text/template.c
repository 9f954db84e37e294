/*
 * template.c - what the post-processor puts together.
 */
#include "template.h"

#include <string.h>

const ink_template_piece *ink_template_of(const ink_template *template, bool pair, size_t *n)
{
    *n = template->n[pair];
    return template->pieces + (pair ? template->n[0] : 0);
}

size_t ink_template_extra(const ink_template *template, bool pair)
{
    return template->n[pair] - (pair ? 2 : 1); /* each text is there once */
}

void ink_template_truncate(size_t length[2], size_t room)
{
    size_t shorter = length[0] > length[1] ? 1 : 0, longer = 1 - shorter;
    if (length[0] <= room && length[1] <= room - length[0])
        return;
    if (length[shorter] <= room / 2) {
        length[longer] = room - length[shorter];
        return;
    }
    length[shorter] = room / 2;
    length[longer] = room - room / 2;
}

void ink_template_write(const ink_template *template, bool pair, bool controls, const ink_token *const texts[2],
                        const size_t length[2], ink_token *ids, ink_token *types)
{
    size_t n_pieces, n = 0;
    const ink_template_piece *pieces = ink_template_of(template, pair, &n_pieces);
    for (size_t i = 0; i < n_pieces; i++) {
        bool is_text = pieces[i].id < 0;
        size_t which = pieces[i].id == INK_TEMPLATE_B ? 1 : 0, count = is_text ? length[which] : controls ? 1 : 0;
        if (is_text && count > 0)
            memcpy(ids + n, texts[which], count * sizeof *ids);
        else if (count > 0)
            ids[n] = pieces[i].id;
        for (size_t k = 0; k < count && types != NULL; k++)
            types[n + k] = pieces[i].type;
        n += count;
    }
}
