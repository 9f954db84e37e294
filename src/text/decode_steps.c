/*
 * decode_steps.c - the steps over one token.
 */
#include "decode_steps.h"

static size_t put(char *out, size_t n, const char *bytes, size_t size)
{
    memcpy(out + n, bytes, size);
    return n + size;
}

size_t ink_decode_replace(const ink_decode_step *step, bool first, const char *token, size_t size, char *out)
{
    size_t n = 0;
    (void)first;
    for (size_t i = 0; i < size;) {
        bool found = ink_text_starts(&step->from, token + i, size - i);
        n = found ? put(out, n, step->to.bytes, step->to.size) : put(out, n, token + i, 1);
        i += found ? step->from.size : 1;
    }
    return n;
}

size_t ink_decode_strip(const ink_decode_step *step, bool first, const char *token, size_t size, char *out)
{
    size_t begin = 0, end = size, width = step->from.size;
    (void)first;
    for (size_t i = 0; i < step->start && ink_text_starts(&step->from, token + begin, size - begin); i++)
        begin += width;
    for (size_t i = 0; i < step->stop && end - begin >= width; i++) {
        if (!ink_text_starts(&step->from, token + end - width, width))
            break;
        end -= width;
    }
    return put(out, 0, token + begin, end - begin);
}

size_t ink_decode_drop(const ink_decode_step *step, bool first, const char *token, size_t size, char *out)
{
    ink_decode_step to_nothing = {.from = step->from};
    return first ? ink_decode_replace(&to_nothing, first, token, size, out) : put(out, 0, token, size);
}

size_t ink_decode_join(const ink_decode_step *step, bool first, const char *token, size_t size, char *out)
{
    if (first)
        return put(out, 0, token, size);
    if (step->from.size != 0 && ink_text_starts(&step->from, token, size))
        return put(out, 0, token + step->from.size, size - step->from.size);
    return put(out, put(out, 0, step->to.bytes, step->to.size), token, size);
}

bool ink_decode_room(const ink_decode_step *step, size_t size, size_t *room)
{
    size_t grown;
    if (step->apply == ink_decode_join)
        return ink_size_add(size, step->to.size, room);
    if (step->apply != ink_decode_replace || step->to.size <= step->from.size) {
        *room = size;
        return true;
    }
    if (!ink_size_mul(size / step->from.size, step->to.size, &grown))
        return false;
    return ink_size_add(grown, size % step->from.size, room);
}
