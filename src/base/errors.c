/*
 * errors.c - the sentences of errors: a printf of a few letters that reads no locale, and shows text from files so that
 * it can neither flood nor steer a terminal.
 */
#include <stdarg.h>
#include <string.h>

#include "internal.h"

#define TEXT_LIMIT 160 /* bytes of a text as it is shown, unless a precision asks for more */

typedef struct sentence {
    char *buffer;
    size_t size, used; /* one byte is always kept for the NUL */
} sentence;

/* What does not fit is cut at the end of a character, and nothing is written after the cut. */
static void sentence_put(sentence *out, const char *text, size_t size)
{
    size_t n = ink_size_min(size, out->size - 1 - out->used);
    if (n < size) {
        while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
            n--;
        out->size = out->used + n + 1;
    }
    memcpy(out->buffer + out->used, text, n);
    out->used += n;
}

static void sentence_put_number(sentence *out, uint64_t value)
{
    char digits[20];
    size_t i = sizeof digits;
    do {
        digits[--i] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    sentence_put(out, digits + i, sizeof digits - i);
}

/* True for a character that may be shown as it is: no control character, none that reorders text, and none that nobody
   sees, which is what Unicode calls Default_Ignorable_Code_Point. */
static bool is_printable(uint32_t code)
{
    static const uint32_t hidden[][2] = {
        {0, 0x1f},        {0x7f, 0x9f},       {0xad, 0xad},       {0x34f, 0x34f},     {0x61c, 0x61c},
        {0x115f, 0x1160}, {0x17b4, 0x17b5},   {0x180b, 0x180f},   {0x200b, 0x200f},   {0x2028, 0x202e},
        {0x2060, 0x206f}, {0x3164, 0x3164},   {0xfe00, 0xfe0f},   {0xfeff, 0xfeff},   {0xffa0, 0xffa0},
        {0xfff0, 0xfffb}, {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff}, {INK_UTF8_INVALID, UINT32_MAX}};
    size_t i = 0;
    while (code > hidden[i][1])
        i++;
    return code < hidden[i][0];
}

/* Text [size]; bytes that may not be shown become \xNN. What is shown has `limit` bytes or a few more, so that no text
   pushes the rest of a sentence out. */
static void sentence_put_escaped(sentence *out, const char *text, size_t size, size_t limit)
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0, shown = 0; i < size;) {
        if (shown >= limit) {
            sentence_put(out, "...", 3);
            return;
        }
        uint32_t code;
        size_t length = ink_utf8_next(text + i, size - i, &code);
        if (is_printable(code)) {
            sentence_put(out, text + i, length);
            i += length;
            shown += length;
        } else {
            unsigned char byte = (unsigned char)text[i++];
            const char escape[4] = {'\\', 'x', hex[byte >> 4], hex[byte & 15]};
            sentence_put(out, escape, sizeof escape);
            shown += sizeof escape;
        }
    }
}

size_t ink_format_list(char *buffer, size_t size, const char *format, va_list list)
{
    sentence place = {.buffer = buffer, .size = size}, *out = &place;
    if (size == 0)
        return 0;
    for (; *format != '\0'; format++) {
        size_t longs = 0;
        uint64_t limit = TEXT_LIMIT;
        bool counted = false, is_size = false;
        if (*format != '%') {
            sentence_put(out, format, 1);
            continue;
        }
        format++;
        if (format[0] == '.' && format[1] == '*') {
            limit = (uint64_t)va_arg(list, int);
            counted = true;
            format += 2;
        } else if (*format == '.') {
            format++;
            format += ink_digits(format, SIZE_MAX, &limit);
        }
        for (; *format == 'l'; format++)
            longs++;
        for (; *format == 'z'; format++)
            is_size = true;

        if (*format == 's') {
            const char *text = va_arg(list, const char *);
            if (counted)
                sentence_put_escaped(out, text, (size_t)limit, TEXT_LIMIT);
            else
                sentence_put_escaped(out, text, strlen(text), (size_t)limit);
        } else if (*format == 'u' && is_size) {
            sentence_put_number(out, va_arg(list, size_t));
        } else if (*format == 'u') {
            sentence_put_number(out, longs == 2 ? va_arg(list, unsigned long long) : va_arg(list, unsigned));
        } else if (*format == 'd') {
            long long value = longs == 2 ? va_arg(list, long long) : va_arg(list, int);
            if (value < 0)
                sentence_put(out, "-", 1);
            sentence_put_number(out, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
        } else if (*format == '%') {
            sentence_put(out, "%", 1);
        } else {
            break; /* the compiler lets no other letter pass */
        }
    }
    out->buffer[out->used] = '\0';
    return out->used;
}

size_t ink_format(char *buffer, size_t size, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    size_t used = ink_format_list(buffer, size, format, list);
    va_end(list);
    return used;
}

ink_result ink_fail(ink_context *ctx, ink_result result, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    ink_format_list(ctx->error, sizeof ctx->error, format, list);
    va_end(list);
    return result;
}

size_t ink_trace_enter(ink_context *ctx, const char *format, ...)
{
    size_t before = ctx->trace_scope_length;
    va_list list;
    if (ctx->trace == NULL)
        return before;
    va_start(list, format);
    ctx->trace_scope_length +=
        ink_format_list(ctx->trace_scope + before, sizeof ctx->trace_scope - before, format, list);
    va_end(list);
    return before;
}

ink_result ink_fail_null(ink_context *ctx, const char *function, const char *names, size_t i)
{
    if (ctx == NULL)
        return INK_ERROR_ARGUMENT;
    for (; i > 1; i--) /* "x, y" */
        names = strchr(names, ',') + 2;
    const char *end = strchr(names, ',');
    return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: argument '%.*s' is NULL", function,
                    (int)(end != NULL ? (size_t)(end - names) : strlen(names)), names);
}

ink_result ink_limit_check(ink_context *ctx, const char *what, uint64_t needed, ink_limit limit)
{
    if (needed <= limit.most)
        return INK_OK;
    return ink_fail(ctx, INK_ERROR_LIMIT, "%s: this needs %llu bytes, the limit is %llu (%s of ink_limits)", what,
                    (unsigned long long)needed, (unsigned long long)limit.most, limit.name);
}

ink_result ink_fail_in(ink_context *ctx, ink_result result, const char *where)
{
    char former[INK_ERROR_SIZE];
    sentence out = {.buffer = ctx->error, .size = sizeof ctx->error};
    memcpy(former, ctx->error, sizeof former);
    sentence_put_escaped(&out, where, strlen(where), TEXT_LIMIT);
    sentence_put(&out, ": ", 2);
    sentence_put(&out, former, strlen(former));
    ctx->error[out.used] = '\0';
    return result;
}

bool ink_is_missing(ink_context *ctx, ink_result result)
{
    if (result != INK_ERROR_NOT_FOUND)
        return false;
    ink_error_clear(ctx);
    return true;
}

const char *ink_shape_text(char *buffer, size_t rank, const size_t *dims, size_t max_rank)
{
    if (rank > max_rank) {
        ink_format(buffer, INK_SHAPE_TEXT, "[%zu dimensions]", rank);
        return buffer;
    }
    size_t used = ink_format(buffer, INK_SHAPE_TEXT, "[");
    for (size_t i = 0; i < rank; i++)
        used += ink_format(buffer + used, INK_SHAPE_TEXT - used, i == 0 ? "%zu" : ", %zu", dims[i]);
    ink_format(buffer + used, INK_SHAPE_TEXT - used, "]");
    return buffer;
}
