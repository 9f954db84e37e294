/*
 * lines.c - a stream read line by line.
 */
#include "lines.h"

#include <stdint.h>
#include <stdlib.h>

#include "console.h"

static bool grow(lines *in)
{
    size_t room = in->room > 0 ? 2 * in->room : 256;
    char *text = in->room <= SIZE_MAX / 2 ? realloc(in->text, room) : NULL;

    if (text == NULL) {
        console_complain("there is no memory for a line of %zu bytes", in->size);
        return false;
    }
    in->text = text;
    in->room = room;
    return true;
}

/* The stream gave no more. */
static lines_outcome finish(lines *in)
{
    if (ferror(in->stream)) {
        clearerr(in->stream);
        if (console_interrupted())
            return LINES_INTERRUPTED;
        console_complain("the next line cannot be read");
        return LINES_ERROR;
    }
    return in->size > 0 ? LINES_LINE : LINES_END;
}

lines_outcome lines_next(lines *in)
{
    int c = 0;

    for (in->size = 0; c != '\n';) {
        if (in->size + 1 >= in->room && !grow(in))
            return LINES_ERROR;
        c = getc(in->stream);
        if (c != EOF && c != '\n')
            in->text[in->size++] = (char)c;
        in->text[in->size] = '\0';
        if (c == EOF)
            return finish(in);
    }
    return LINES_LINE;
}

void lines_close(lines *in)
{
    free(in->text);
    *in = (lines){.stream = in->stream};
}
