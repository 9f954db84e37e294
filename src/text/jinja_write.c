/*
 * jinja_write.c - how values are written: as print writes them, as Python writes them in a list, as JSON; numbers, the
 * formats of Python's % operator and str.format(), dates.
 */
#include <math.h>
#include <string.h>

#include "jinja.h"
#include "unicode.h"

/* ---- numbers ---------------------------------------------------------------------------------------------------- */

/* A finite number >= 0 as decimal digits, exactly: 0.d0 d1 d2 ... times 10^point. A double has at most 767 of them. */
typedef struct decimal {
    char digits[1120];
    size_t n;
    int64_t point;
} decimal;

#define LIMB 1000000000u

static void decimal_of(double x, decimal *d)
{
    uint32_t limbs[128] = {0}; /* lowest first */
    size_t n_limbs = 2;
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    uint64_t mantissa = bits & ((UINT64_C(1) << 52) - 1);
    int exponent = (int)(bits >> 52 & 0x7FF);
    mantissa |= exponent > 0 ? UINT64_C(1) << 52 : 0;
    exponent = (exponent > 0 ? exponent : 1) - 1075;
    limbs[0] = (uint32_t)(mantissa % LIMB);
    limbs[1] = (uint32_t)(mantissa / LIMB);
    /* m 2^e is an integer, and m 2^-e is m 5^e / 10^e. */
    const unsigned factor = exponent > 0 ? 2 : 5;
    for (int i = exponent > 0 ? exponent : -exponent; i > 0; i--) {
        uint64_t carry = 0;
        for (size_t k = 0; k < n_limbs; k++) {
            carry += (uint64_t)limbs[k] * factor;
            limbs[k] = (uint32_t)(carry % LIMB);
            carry /= LIMB;
        }
        if (carry > 0)
            limbs[n_limbs++] = (uint32_t)carry;
    }
    d->n = 0;
    for (size_t k = n_limbs; k-- > 0; d->n += 9)
        for (size_t i = 9; i-- > 0; limbs[k] /= 10)
            d->digits[d->n + i] = (char)('0' + limbs[k] % 10);
    size_t zeros = 0;
    while (zeros < d->n && d->digits[zeros] == '0')
        zeros++;
    d->point = (int64_t)(d->n - zeros) + (exponent < 0 ? exponent : 0);
    memmove(d->digits, d->digits + zeros, d->n - zeros);
    d->n -= zeros;
    while (d->n > 0 && d->digits[d->n - 1] == '0')
        d->n--;
    d->point = d->n > 0 ? d->point : 1;
}

/* Keeps `keep` digits, rounded half to even. */
static void decimal_round(decimal *d, int64_t keep)
{
    if (keep >= (int64_t)d->n)
        return;
    if (keep < 0) {
        d->n = 0;
        return;
    }
    size_t n = (size_t)keep;
    bool half = d->digits[n] == '5' && n + 1 == d->n;
    bool up = half ? n > 0 && (d->digits[n - 1] - '0') % 2 == 1 : d->digits[n] >= '5';
    for (d->n = n; up && d->n > 0 && d->digits[d->n - 1] == '9';)
        d->n--;
    if (up && d->n > 0) {
        d->digits[d->n - 1]++;
    } else if (up) {
        d->digits[d->n++] = '1';
        d->point++;
    }
    while (d->n > 0 && d->digits[d->n - 1] == '0')
        d->n--;
}

static double decimal_value(const decimal *d)
{
    char text[1200];
    if (d->n == 0)
        return 0;
    memcpy(text, d->digits, d->n);
    size_t n = d->n + ink_format(text + d->n, sizeof text - d->n, "e%lld", (long long)(d->point - (int64_t)d->n));
    return ink_decimal(text, n);
}

/* With this many digits behind the point. */
static size_t write_fixed(const decimal *d, int64_t places, char *out)
{
    size_t n = 0;
    for (int64_t i = d->point < 1 ? d->point - 1 : 0; i < d->point + places; i++) {
        if (i == d->point)
            out[n++] = '.';
        out[n++] = i >= 0 && i < (int64_t)d->n ? d->digits[i] : '0';
    }
    return n;
}

/* As Python's repr(): the fewest digits that give the same number again. */
static size_t write_float(double x, bool json, char out[40])
{
    decimal exact, d;
    size_t n = 0;
    if (isnan(x))
        return ink_format(out, 40, "%s", json ? "NaN" : "nan");
    if (signbit(x))
        out[n++] = '-';
    if (isinf(x))
        return n + ink_format(out + n, 30, "%s", json ? "Infinity" : "inf");
    x = fabs(x);
    decimal_of(x, &exact);
    for (int64_t digits = 1; digits <= 17; digits++) {
        d = exact;
        decimal_round(&d, digits);
        if (decimal_value(&d) == x && (x < 1.797e308 || digits == 17)) /* 2e308 would count as the largest double */
            break;
    }
    if (d.point > -4 && d.point <= 16)
        return n + write_fixed(&d, (int64_t)d.n > d.point ? (int64_t)d.n - d.point : 1, out + n);
    out[n++] = d.digits[0];
    if (d.n > 1)
        out[n++] = '.';
    memcpy(out + n, d.digits + 1, d.n - 1);
    n += d.n - 1;
    const long long exponent = d.point - 1, size = exponent < 0 ? -exponent : exponent;
    return n + ink_format(out + n, 10, "e%s%s%lld", exponent < 0 ? "-" : "+", size < 10 ? "0" : "", size);
}

double ink_jinja_round(double x, int64_t digits)
{
    decimal d;
    if (!isfinite(x) || digits > 400)
        return x;
    decimal_of(fabs(x), &d);
    decimal_round(&d, digits < -400 ? -1 : d.point + digits);
    return signbit(x) ? -decimal_value(&d) : decimal_value(&d);
}

/* ---- strings ---------------------------------------------------------------------------------------------------- */

static ink_result write_words(ink_jinja *run, const char *words)
{
    return ink_jinja_write(run, words, strlen(words), false);
}

static ink_result write_hex(ink_jinja *run, char letter, uint32_t code, size_t digits, bool is_data)
{
    char text[10] = {'\\', letter};
    for (size_t i = 0; i < digits; i++)
        text[2 + i] = "0123456789abcdef"[code >> 4 * (digits - 1 - i) & 15];
    return ink_jinja_write(run, text, 2 + digits, is_data);
}

/* A string in quotes: as JSON has it, or Python. */
static ink_result write_quoted(ink_jinja *run, const ink_jinja_string *text, const ink_jinja_style *style)
{
    static const char letters[] = "\n\r\t\b\f", names[] = "nrtbf";
    const bool json = style->json, single = memchr(text->at, '\'', text->size) != NULL;
    const char quote = json || (single && memchr(text->at, '"', text->size) == NULL) ? '"' : '\'';
    size_t plain = 0, length;
    INK_TRY(ink_jinja_write(run, &quote, 1, false));
    for (size_t at = 0; at < text->size; at += length) {
        uint32_t code;
        length = ink_utf8_next(text->at + at, text->size - at, &code);
        const char *letter = code != 0 && code < 0x80 ? strchr(letters, (int)code) : NULL;
        if (letter != NULL && !json && letter - letters > 2)
            letter = NULL; /* \x08 */
        const bool bare = code == (uint32_t)quote || code == '\\';
        const bool shown = code < 0x7F ? code >= 0x20
                           : json      ? !(style->ascii && code >= 0x80)
                                       : code < INK_UTF8_INVALID && !ink_jinja_is_space(code) &&
                                        !ink_unicode_has(code, INK_UNICODE_CONTROL);
        if (!bare && shown)
            continue;
        INK_TRY(ink_jinja_write_part(run, text, plain, at));
        plain = at + length;
        const bool is_data = text->data != NULL ? text->data[at] != 0 : text->is_data;
        if (bare || letter != NULL) {
            const char escaped[2] = {'\\', letter != NULL ? names[letter - letters] : (char)code};
            INK_TRY(ink_jinja_write(run, escaped, 2, is_data));
        } else if (json && code >= 0x10000 && code < INK_UTF8_INVALID) {
            INK_TRY(write_hex(run, 'u', 0xD800 + ((code - 0x10000) >> 10), 4, is_data));
            INK_TRY(write_hex(run, 'u', 0xDC00 + (code & 0x3FF), 4, is_data));
        } else {
            code = code >= INK_UTF8_INVALID ? 0xFFFD : code;
            const size_t digits = json || (code >= 0x100 && code < 0x10000) ? 4 : code < 0x100 ? 2 : 8;
            INK_TRY(write_hex(run, digits == 2 ? 'x' : digits == 4 ? 'u' : 'U', code, digits, is_data));
        }
    }
    INK_TRY(ink_jinja_write_part(run, text, plain, text->size));
    return ink_jinja_write(run, &quote, 1, false);
}

/* ---- values ----------------------------------------------------------------------------------------------------- */

static ink_result write_scalar(ink_jinja *run, ink_jinja_value value, const ink_jinja_style *style)
{
    const bool json = style->json;
    char text[48];
    switch (value.kind) {
    case INK_JINJA_TEXT:
        if (value.which == INK_JINJA_SAFE && !json)
            return ink_fail(run->ctx, INK_ERROR_UNSUPPORTED, "text behind the filter safe in a list is not supported");
        return write_quoted(run, value.text, style);
    case INK_JINJA_NONE:
        return write_words(run, json ? "null" : "None");
    case INK_JINJA_BOOL:
        return write_words(run, value.truth ? (json ? "true" : "True") : json ? "false" : "False");
    case INK_JINJA_INT:
        return ink_jinja_write(run, text, ink_format(text, sizeof text, "%lld", (long long)value.integer), false);
    case INK_JINJA_FLOAT:
        return ink_jinja_write(run, text, write_float(value.number, json, text), false);
    case INK_JINJA_UNDEFINED:
        return json ? ink_jinja_wrong(run, value, "") : write_words(run, "Undefined");
    default:
        return ink_jinja_wrong(run, value, "cannot be written");
    }
}

static ink_result write_line(ink_jinja *run, const ink_jinja_style *style, size_t depth)
{
    if (style->indent == NULL)
        return INK_OK;
    INK_TRY(write_words(run, "\n"));
    for (size_t i = 0; i < depth; i++)
        INK_TRY(ink_jinja_write_part(run, style->indent, 0, style->indent->size));
    return INK_OK;
}

ink_result ink_jinja_write_value(ink_jinja *run, ink_jinja_value value, const ink_jinja_style *style)
{
    const ink_jinja_string comma = {.at = ", ", .size = style->indent != NULL ? 1 : 2}, colon = {.at = ": ", .size = 2};
    const ink_jinja_string *item = style->item != NULL ? style->item : &comma,
                           *key = style->key != NULL ? style->key : &colon;
    struct {
        ink_jinja_kind kind;
        const ink_jinja_value *items; /* [n] or [n][2] */
        size_t n, i;
    } level[INK_JINJA_DEPTH], *top;
    size_t depth = 0;
    for (;;) {
        bool dict = value.kind == INK_JINJA_DICT;
        if (!dict && value.kind != INK_JINJA_LIST && value.kind != INK_JINJA_TUPLE) {
            INK_TRY(write_scalar(run, value, style));
        } else {
            if (depth == INK_JINJA_DEPTH)
                return ink_fail(run->ctx, INK_ERROR_LIMIT, "values in values deeper than %d", INK_JINJA_DEPTH);
            top = &level[depth++];
            top->kind = style->json && !dict ? INK_JINJA_LIST : value.kind;
            top->items = dict ? value.dict->pairs : value.list->items;
            top->n = dict ? value.dict->n : value.list->n;
            top->i = 0;
            INK_TRY(write_words(run, dict ? "{" : top->kind == INK_JINJA_LIST ? "[" : "("));
        }
        for (;;) { /* behind a value: the ends of containers, then what comes before the next */
            if (depth == 0)
                return INK_OK;
            top = &level[depth - 1];
            if (top->i < top->n)
                break;
            depth--;
            if (top->n > 0)
                INK_TRY(write_line(run, style, depth));
            const char *tuple = top->n == 1 ? ",)" : ")";
            INK_TRY(write_words(run, top->kind == INK_JINJA_DICT ? "}" : top->kind == INK_JINJA_LIST ? "]" : tuple));
        }
        const size_t i = top->i++;
        if (i > 0)
            INK_TRY(ink_jinja_write_part(run, item, 0, item->size));
        INK_TRY(write_line(run, style, depth));
        if (top->kind != INK_JINJA_DICT) {
            value = top->items[i];
            continue;
        }
        const char *quote = style->json && top->items[2 * i].kind != INK_JINJA_TEXT ? "\"" : "";
        INK_TRY(write_words(run, quote));
        INK_TRY(write_scalar(run, top->items[2 * i], style));
        INK_TRY(write_words(run, quote));
        INK_TRY(ink_jinja_write_part(run, key, 0, key->size));
        value = top->items[2 * i + 1];
    }
}

ink_result ink_jinja_print(ink_jinja *run, ink_jinja_value value)
{
    static const ink_jinja_style python;
    if (value.kind == INK_JINJA_TEXT)
        return ink_jinja_write_part(run, value.text, 0, value.text->size);
    return value.kind == INK_JINJA_UNDEFINED ? INK_OK : ink_jinja_write_value(run, value, &python);
}

ink_result ink_jinja_to_text(ink_jinja *run, ink_jinja_value value, ink_jinja_value *text)
{
    const size_t from = run->n_out;
    *text = value;
    if (value.kind == INK_JINJA_TEXT)
        return INK_OK;
    INK_TRY(ink_jinja_print(run, value));
    return ink_jinja_cut(run, from, text);
}

/* ---- Python's % and format() ------------------------------------------------------------------------------------ */

/* Writes a value for a format `[align][width][letter]`: < > ^ or = for zeros behind the sign, and s or d. */
static ink_result write_field(ink_jinja *run, ink_jinja_value value, char align, uint64_t width, char letter)
{
    const size_t from = run->n_out;
    int64_t i;
    if (letter != 's' && letter != 'd')
        return ink_fail(run->ctx, INK_ERROR_UNSUPPORTED, "the format '%.*s' is not supported", 1, &letter);
    if (letter == 'd' && !ink_jinja_integer(value, &i))
        return ink_jinja_wrong(run, value, "is no whole number, which a format wants");
    INK_TRY(ink_jinja_print(run, letter == 'd' ? ink_jinja_int(i) : value));
    const size_t size = run->n_out - from, sign = align == '=' && size > 0 && run->out[from] == '-';
    size_t n_chars = 0;
    for (size_t k = 0; k < size; k++)
        n_chars += ((unsigned char)run->out[from + k] & 0xC0) != 0x80;
    const size_t more = width > n_chars ? (size_t)(width - n_chars) : 0;
    const size_t before = align == '<' ? 0 : align == '^' ? more / 2 : more;
    for (size_t k = 0; k < more; k++)
        INK_TRY(write_words(run, " "));
    char *out = run->out + from + sign;
    uint8_t *data = run->out_data + from + sign;
    memmove(out + before, out, size - sign);
    memmove(data + before, data, size - sign);
    memset(out, align == '=' ? '0' : ' ', before);
    memset(data, 0, before);
    memset(out + before + size - sign, ' ', more - before);
    memset(data + before + size - sign, 0, more - before);
    return INK_OK;
}

ink_result ink_jinja_percent(ink_jinja *run, const ink_jinja_string *format, ink_jinja_value args)
{
    const ink_jinja_list one = {&args, 1}, *list = args.kind == INK_JINJA_TUPLE ? args.list : &one;
    const size_t size = format->size;
    size_t next = 0;
    for (size_t at = 0; at < size; at++) {
        if (format->at[at] != '%') {
            INK_TRY(ink_jinja_write_part(run, format, at, at + 1));
            continue;
        }
        char align = '>';
        uint64_t width;
        for (at++; at < size && (format->at[at] == '-' || format->at[at] == '0'); at++)
            align = format->at[at] == '-' || align == '<' ? '<' : '=';
        at += ink_digits(format->at + at, size - at, &width);
        const char letter = at < size ? format->at[at] : '\0';
        if (letter == '%') {
            INK_TRY(write_words(run, "%"));
            continue;
        }
        if (next == list->n)
            return ink_fail(run->ctx, INK_ERROR_MISMATCH, "a format has more places than values");
        INK_TRY(write_field(run, list->items[next++], letter == 's' && align == '=' ? '>' : align, width, letter));
    }
    if (next < list->n)
        return ink_fail(run->ctx, INK_ERROR_MISMATCH, "a format has fewer places than values");
    return INK_OK;
}

/* {} and {:[align][0][width][letter]}, for one value after the other. */
ink_result ink_jinja_format(ink_jinja *run, const ink_jinja_string *format, const ink_jinja_call *call)
{
    const char *at = format->at, *stop = at + format->size;
    size_t next = 0;
    for (; at < stop; at++) {
        const size_t place = (size_t)(at - format->at);
        const bool brace = *at == '{' || *at == '}', twice = brace && stop - at > 1 && at[1] == at[0]; /* {{ is { */
        if (!brace || twice) {
            INK_TRY(ink_jinja_write_part(run, format, place, place + 1));
            at += twice;
            continue;
        }
        char align = '\0', letter = 's';
        uint64_t width = 0;
        at++;
        if (at < stop && *at == ':') {
            at++;
            if (at < stop && (*at == '<' || *at == '>' || *at == '^'))
                align = *at++;
            else if (at < stop && *at == '0')
                align = '=';
            at += ink_digits(at, (size_t)(stop - at), &width);
            if (at < stop && *at != '}')
                letter = *at++;
        }
        if (at >= stop || *at != '}')
            return ink_fail(run->ctx, INK_ERROR_UNSUPPORTED, "the format '%.*s' is not supported",
                            (int)ink_size_min(format->size - place, 40), format->at + place);
        if (next == call->n_args)
            return ink_fail(run->ctx, INK_ERROR_MISMATCH, "a format has more places than values");
        const ink_jinja_value value = call->args[next++];
        if (align == '\0')
            align = value.kind == INK_JINJA_INT || value.kind == INK_JINJA_FLOAT ? '>' : '<';
        INK_TRY(write_field(run, value, align, width, letter));
    }
    return INK_OK;
}

/* ---- dates ------------------------------------------------------------------------------------------------------ */

/* The letters of strftime of C that chat templates use, in the C locale. A - before a letter: without zeros. */
ink_result ink_jinja_strftime(ink_jinja *run, const ink_jinja_string *format)
{
    static const char *const days[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
    static const char *const months[] = {"January", "February", "March",     "April",   "May",      "June",
                                         "July",    "August",   "September", "October", "November", "December"};
    static const int before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    static const char letters[] = "dmyHMSIYj";
    const ink_jinja_time t = run->now;
    const bool leap = (t.year % 4 == 0 && t.year % 100 != 0) || t.year % 400 == 0;
    const int day = before[t.month - 1] + t.day + (leap && t.month > 2), years = t.year - 1;
    const int weekday = (years + years / 4 - years / 100 + years / 400 + day) % 7;
    const int numbers[] = {
        t.day, t.month, t.year % 100, t.hour, t.minute, t.second, t.hour % 12 == 0 ? 12 : t.hour % 12, t.year, day};
    for (size_t i = 0; i < format->size; i++) {
        const bool bare = i + 2 < format->size && format->at[i + 1] == '-';
        if (format->at[i] != '%' || i + 1 == format->size) {
            INK_TRY(ink_jinja_write_part(run, format, i, i + 1));
            continue;
        }
        i += 1 + bare;
        const char letter = format->at[i], *known = letter != '\0' ? strchr(letters, letter) : NULL;
        const char *name = letter == 'A' || letter == 'a'   ? days[weekday]
                           : letter == 'B' || letter == 'b' ? months[t.month - 1]
                           : letter == 'p'                  ? (t.hour < 12 ? "AM" : "PM")
                           : letter == '%'                  ? "%"
                                                            : NULL;
        if (known != NULL) {
            const uint64_t width = bare ? 0 : letter == 'Y' ? 4 : letter == 'j' ? 3 : 2;
            INK_TRY(write_field(run, ink_jinja_int(numbers[known - letters]), '=', width, 'd'));
        } else if (name != NULL) {
            INK_TRY(ink_jinja_write(run, name, letter == 'a' || letter == 'b' ? 3 : strlen(name), false));
        } else {
            return ink_fail(run->ctx, INK_ERROR_UNSUPPORTED, "strftime_now: %%%.*s is not supported", 1, &letter);
        }
    }
    return INK_OK;
}
