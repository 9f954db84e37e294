/*
 * format.c - sentences for errors. A printf of a few formats, which reads no locale and shows text from files so that
 * it can neither flood nor steer a terminal.
 */
#include <stdarg.h>
#include <string.h>

#include "internal.h"

#define QUOTED_LIMIT 160 /* bytes of a quoted text that are shown */

typedef struct output {
    char *buffer;
    size_t size, used; /* one byte is always kept for the NUL */
} output;

/* What does not fit is cut, not inside of a character, and nothing comes after the cut. */
static void put(output *out, const char *text, size_t size)
{
    size_t room = out->size - 1 - out->used;
    size_t n = ink_size_min(size, room);
    if (n < size) {
        while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
            n--;
        out->size = out->used + n + 1;
    }
    memcpy(out->buffer + out->used, text, n);
    out->used += n;
}

static void put_number(output *out, uint64_t value)
{
    char digits[20];
    size_t i = sizeof digits;
    do {
        digits[--i] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    put(out, digits + i, sizeof digits - i);
}

static void put_shape(output *out, const ink_shape *shape)
{
    put(out, "[", 1);
    for (size_t i = 0; i < shape->rank; i++) {
        if (i > 0)
            put(out, ", ", 2);
        put_number(out, shape->dim[i]);
    }
    put(out, "]", 1);
}

/* Bytes of the UTF-8 sequence at `text` if it may be shown as it is, else 0: it must be valid and neither a control
   character nor one that reorders or hides text (U+200B .. 200F, 2028 .. 202E, 2060 .. 206F, FEFF). */
static size_t printable(const unsigned char *text, size_t size)
{
    unsigned char c = text[0];
    if (c < 0x80)
        return c >= 0x20 && c != 0x7f && c != '\\' ? 1 : 0;
    size_t length = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    if (c < 0xc2 || c > 0xf4 || length > size)
        return 0;
    uint32_t code = c & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (text[i] & 0x3fu);
    }
    bool overlong = length == 3 ? code < 0x800 : length == 4 && code < 0x10000;
    bool surrogate = code >= 0xd800 && code <= 0xdfff;
    bool hidden = code < 0xa0 || (code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
                  (code >= 0x2060 && code <= 0x206f) || code == 0xfeff;
    return overlong || surrogate || hidden || code > 0x10ffff ? 0 : length;
}

static void put_quoted(output *out, const char *text, size_t size)
{
    static const char hex[] = "0123456789abcdef";
    const unsigned char *bytes = (const unsigned char *)text;
    for (size_t i = 0; i < size;) {
        if (i >= QUOTED_LIMIT) {
            put(out, "...", 3);
            return;
        }
        size_t length = printable(bytes + i, size - i);
        if (length > 0) {
            put(out, text + i, length);
            i += length;
        } else {
            char escape[4] = {'\\', 'x', hex[bytes[i] >> 4], hex[bytes[i] & 15]};
            put(out, escape, sizeof escape);
            i++;
        }
    }
}

static void put_signed(output *out, long long value)
{
    if (value < 0)
        put(out, "-", 1);
    put_number(out, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

static size_t format_list(char *buffer, size_t size, const char *format, va_list list)
{
    output out = {.buffer = buffer, .size = size, .used = 0};
    if (size == 0)
        return 0;
    for (; *format != '\0'; format++) {
        if (*format != '%' || format[1] == '\0') {
            put(&out, format, 1);
            continue;
        }
        const char *text;
        switch (*++format) {
        case 's':
            text = va_arg(list, const char *);
            put(&out, text, strlen(text));
            break;
        case 'q':
            text = va_arg(list, const char *);
            put_quoted(&out, text, strlen(text));
            break;
        case 'Q':
            text = va_arg(list, const char *);
            put_quoted(&out, text, va_arg(list, size_t));
            break;
        case 'z':
            put_number(&out, va_arg(list, size_t));
            break;
        case 'u':
            put_number(&out, va_arg(list, uint64_t));
            break;
        case 'd':
            put_signed(&out, va_arg(list, long long));
            break;
        case 'S':
            put_shape(&out, va_arg(list, const ink_shape *));
            break;
        default:
            put(&out, format, 1);
            break;
        }
    }
    buffer[out.used] = '\0';
    return out.used;
}

size_t ink_format(char *buffer, size_t size, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    size_t length = format_list(buffer, size, format, list);
    va_end(list);
    return length;
}

ink_result ink_fail(ink_context *ctx, ink_result result, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    format_list(ctx->error, sizeof ctx->error, format, list);
    va_end(list);
    return result;
}

ink_result ink_fail_in(ink_context *ctx, ink_result result, const char *where)
{
    char sentence[INK_ERROR_SIZE];
    memcpy(sentence, ctx->error, sizeof sentence);
    return ink_fail(ctx, result, "%q: %s", where, sentence);
}

bool ink_is_missing(ink_context *ctx, ink_result result)
{
    if (result != INK_ERROR_NOT_FOUND)
        return false;
    ctx->error[0] = '\0';
    return true;
}
