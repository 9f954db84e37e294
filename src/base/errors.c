/*
 * errors.c - the sentences of errors: a printf of a few letters that reads no locale, and shows text from files so that
 * it can neither flood nor steer a terminal.
 */
#include <stdarg.h>
#include <string.h>

#include "internal.h"

#define TEXT_LIMIT 160 /* bytes of a text that are shown, unless a precision asks for more */

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

/* Bytes of the UTF-8 sequence at `text` if it may be shown as it is, else 0: it must be valid and neither a control
   character nor one that reorders or hides text (U+200B .. 200F, 2028 .. 202E, 2060 .. 206F, FEFF). */
static size_t printable(const char *text, size_t size)
{
    uint32_t code;
    size_t length = ink_utf8_next(text, size, &code);
    bool hidden = code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0x200b && code <= 0x200f) ||
                  (code >= 0x2028 && code <= 0x202e) || (code >= 0x2060 && code <= 0x206f) || code == 0xfeff;
    return hidden || code >= INK_UTF8_INVALID ? 0 : length;
}

/* At most `limit` bytes of text [size] as they are; what may not be shown becomes \xNN. */
static void put_escaped(output *out, const char *text, size_t size, size_t limit)
{
    static const char hex[] = "0123456789abcdef";
    const unsigned char *bytes = (const unsigned char *)text;
    for (size_t i = 0; i < size;) {
        if (i >= limit) {
            put(out, "...", 3);
            return;
        }
        size_t length = printable(text + i, size - i);
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

static void format_list(output *out, const char *format, va_list list)
{
    for (; *format != '\0'; format++) {
        size_t longs = 0, limit = TEXT_LIMIT;
        bool counted = false, wide = false;
        if (*format != '%') {
            put(out, format, 1);
            continue;
        }
        format++;
        if (format[0] == '.' && format[1] == '*') {
            limit = (size_t)va_arg(list, int);
            counted = true;
            format += 2;
        } else if (*format == '.') {
            for (format++, limit = 0; *format >= '0' && *format <= '9'; format++)
                limit = 10 * limit + (size_t)(*format - '0');
        }
        for (; *format == 'l' || *format == 'z'; format++)
            *format == 'l' ? (void)longs++ : (void)(wide = true);

        if (*format == 's') {
            const char *text = va_arg(list, const char *);
            if (counted)
                put_escaped(out, text, limit, TEXT_LIMIT);
            else
                put_escaped(out, text, strlen(text), limit);
        } else if (*format == 'u' && wide) {
            put_number(out, va_arg(list, size_t));
        } else if (*format == 'u') {
            put_number(out, longs == 2 ? va_arg(list, unsigned long long) : va_arg(list, unsigned));
        } else if (*format == 'd') {
            long long value = longs == 2 ? va_arg(list, long long) : va_arg(list, int);
            if (value < 0)
                put(out, "-", 1);
            put_number(out, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
        } else if (*format == '%') {
            put(out, "%", 1);
        } else {
            return; /* the compiler lets no other letter pass */
        }
    }
}

size_t ink_format(char *buffer, size_t size, const char *format, ...)
{
    output out = {.buffer = buffer, .size = size};
    va_list list;
    if (size == 0)
        return 0;
    va_start(list, format);
    format_list(&out, format, list);
    va_end(list);
    buffer[out.used] = '\0';
    return out.used;
}

const char *ink_shape_text(char *buffer, const ink_shape *shape)
{
    size_t used = 0;
    for (size_t i = 0; i < shape->rank; i++)
        used += ink_format(buffer + used, INK_SHAPE_TEXT - used, i == 0 ? "[%zu" : ", %zu", shape->dim[i]);
    ink_format(buffer + used, INK_SHAPE_TEXT - used, used == 0 ? "[]" : "]");
    return buffer;
}

ink_result ink_fail(ink_context *ctx, ink_result result, const char *format, ...)
{
    output out = {.buffer = ctx->error, .size = sizeof ctx->error};
    va_list list;
    va_start(list, format);
    format_list(&out, format, list);
    va_end(list);
    ctx->error[out.used] = '\0';
    return result;
}

ink_result ink_fail_in(ink_context *ctx, ink_result result, const char *where)
{
    char sentence[INK_ERROR_SIZE];
    output out = {.buffer = ctx->error, .size = sizeof ctx->error};
    memcpy(sentence, ctx->error, sizeof sentence);
    put_escaped(&out, where, strlen(where), TEXT_LIMIT);
    put(&out, ": ", 2);
    put(&out, sentence, strlen(sentence));
    ctx->error[out.used] = '\0';
    return result;
}

bool ink_is_missing(ink_context *ctx, ink_result result)
{
    if (result != INK_ERROR_NOT_FOUND)
        return false;
    ctx->error[0] = '\0';
    return true;
}
