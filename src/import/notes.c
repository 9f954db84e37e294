/*
 * notes.c - the notes of a model (notes.h).
 */
#include <string.h>

#include "notes.h"

void ink_note(ink_notes *notes, const char *format, ...)
{
    char text[INK_ERROR_SIZE];
    va_list list;
    if (notes == NULL)
        return;
    va_start(list, format);
    size_t size = ink_format_list(text, sizeof text, format, list);
    va_end(list);
    for (size_t i = 0; i < notes->n; i++)
        if (strcmp(notes->texts[i], text) == 0)
            return;
    if (notes->n == INK_MAX_NOTES) {
        notes->texts[INK_MAX_NOTES - 1] = "there are more notes than are kept";
        return;
    }
    const char *copy = ink_arena_string(notes->arena, text, size);
    if (copy != NULL)
        notes->texts[notes->n++] = copy;
}
