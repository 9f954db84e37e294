/*
 * byte_level.c - from characters to the bytes they spell.
 */
#include <string.h>

#include "byte_level.h"
#include "../base/bytes.h"

int ink_byte_level_byte(uint32_t code)
{
    if ((code >= 0x21 && code <= 0x7E) || (code >= 0xA1 && code <= 0xFF && code != 0xAD))
        return (int)code;
    if (code >= 0x100 && code <= 0x120) /* 00-20 */
        return (int)(code - 0x100);
    if (code >= 0x121 && code <= 0x142) /* 7F-A0 */
        return (int)(code - 0x121 + 0x7F);
    if (code == 0x143)
        return 0xAD;
    return -1;
}

size_t ink_byte_level_read(const char *text, size_t size, char *out, bool *verbatim)
{
    size_t n = 0;
    *verbatim = false;
    for (size_t i = 0; i < size;) {
        uint32_t code;
        i += ink_utf8_next(text + i, size - i, &code);
        int byte = ink_byte_level_byte(code);
        if (byte < 0) {
            memmove(out, text, size);
            *verbatim = true;
            return size;
        }
        out[n++] = (char)byte;
    }
    return n;
}
