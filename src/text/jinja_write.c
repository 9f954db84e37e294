/*
 * jinja_write.c - how values are written: as print writes them, as Python writes them in a list, as JSON; numbers,
 * dates, and Python's % operator.
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
    for (size_t k = n_limbs; k-- > 0;) {
        uint32_t limb = limbs[k];
        for (size_t i = 9; i-- > 0; limb /= 10)
            d->digits[d->n + i] = (char)('0' + limb % 10);
        d->n += 9;
    }
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
    for (int64_t i = d->point < 1 ? d->point - 1 : 0; i < d->point + places || i < d->point; i++) {
        if (i == d->point && places > 0)
            out[n++] = '.';
        if (i >= 0 || i >= d->point - 1)
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
    d = exact;
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
    int64_t exponent = d.point - 1;
    return n + ink_format(out + n, 10, "e%s%s%lld", exponent < 0 ? "-" : "+",
                          exponent > -10 && exponent < 10 ? "0" : "", (long long)(exponent < 0 ? -exponent : exponent));
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

static ink_result write_hex(ink_jinja *run, const char *head, uint32_t code, size_t digits, bool is_data)
{
    char text[16];
    size_t n = ink_format(text, sizeof text, "%s", head);
    for (size_t i = digits; i-- > 0;)
        text[n++] = "0123456789abcdef"[code >> 4 * i & 15];
    return ink_jinja_write(run, text, n, is_data);
}

/* Whether Python's repr() shows a character as it is. */
static bool is_shown(uint32_t code)
{
    return code < 0x7F
               ? code >= 0x20
               : code < INK_UTF8_INVALID && !ink_jinja_is_space(code) && !ink_unicode_has(code, INK_UNICODE_CONTROL);
}

/* A string in quotes: as JSON has it, or Python. */
static ink_result write_quoted(ink_jinja *run, const ink_jinja_string *text, const ink_jinja_style *style)
{
    static const char letters[] = "\n\r\t\b\f", names[] = "nrtbf";
    bool json = style->json;
    bool twice = !json && memchr(text->at, '\'', text->size) != NULL && memchr(text->at, '"', text->size) == NULL;
    const char quote = json || twice ? '"' : '\'';
    size_t plain = 0, length;
    INK_TRY(ink_jinja_write(run, &quote, 1, false));
    for (size_t at = 0; at <= text->size; at += length) {
        uint32_t code = 0;
        length = at < text->size ? ink_utf8_next(text->at + at, text->size - at, &code) : 1;
        const char *letter = code != 0 && code < 0x80 ? strchr(letters, (int)code) : NULL;
        if (letter != NULL && !json && letter - letters > 2)
            letter = NULL; /* \x08 */
        bool bare = code == (uint32_t)quote || code == '\\';
        bool shown = json ? code >= 0x20 && !(style->ascii && code >= 0x80) : is_shown(code);
        if (at < text->size && !bare && shown)
            continue;
        if (at > plain)
            INK_TRY(ink_jinja_write_string(run, text, plain, at));
        plain = at + length;
        if (at == text->size)
            break;
        const bool is_data = text->data != NULL ? text->data[at] != 0 : text->is_data;
        if (bare || letter != NULL) {
            const char escaped[2] = {'\\', letter != NULL ? names[letter - letters] : (char)code};
            INK_TRY(ink_jinja_write(run, escaped, 2, is_data));
        } else if (json && code >= 0x10000 && code < INK_UTF8_INVALID) {
            INK_TRY(write_hex(run, "\\u", 0xD800 + ((code - 0x10000) >> 10), 4, is_data));
            INK_TRY(write_hex(run, "\\u", 0xDC00 + (code & 0x3FF), 4, is_data));
        } else {
            code = code >= INK_UTF8_INVALID ? 0xFFFD : code;
            size_t digits = json || (code >= 0x100 && code < 0x10000) ? 4 : code < 0x100 ? 2 : 8;
            INK_TRY(write_hex(run, digits == 2 ? "\\x" : digits == 4 ? "\\u" : "\\U", code, digits, is_data));
        }
    }
    return ink_jinja_write(run, &quote, 1, false);
}

/* ---- values ----------------------------------------------------------------------------------------------------- */

static ink_result write_scalar(ink_jinja *run, ink_jinja_value value, const ink_jinja_style *style)
{
    char text[48];
    switch (value.kind) {
    case INK_JINJA_TEXT:
        INK_TRY(write_words(run, value.text->is_safe && !style->json ? "Markup(" : ""));
        INK_TRY(write_quoted(run, value.text, style));
        return write_words(run, value.text->is_safe && !style->json ? ")" : "");
    case INK_JINJA_NONE:
        return write_words(run, style->json ? "null" : "None");
    case INK_JINJA_BOOL:
        return write_words(run, style->json ? (value.truth ? "true" : "false") : value.truth ? "True" : "False");
    case INK_JINJA_INT:
        return ink_jinja_write(run, text, ink_format(text, sizeof text, "%lld", (long long)value.integer), false);
    case INK_JINJA_FLOAT:
        return ink_jinja_write(run, text, write_float(value.number, style->json, text), false);
    default:
        if (style->json)
            return ink_fail(run->ctx, INK_ERROR_MISMATCH, "a value of type %s has no JSON", ink_jinja_kind_name(value));
        if (value.kind == INK_JINJA_UNDEFINED)
            return write_words(run, "Undefined");
        return ink_jinja_write(run, text, ink_format(text, sizeof text, "<%s>", ink_jinja_kind_name(value)), false);
    }
}

static ink_result write_key(ink_jinja *run, ink_jinja_value key, const ink_jinja_style *style)
{
    if (!style->json || key.kind == INK_JINJA_TEXT)
        INK_TRY(write_scalar(run, key, style));
    else {
        INK_TRY(write_words(run, "\""));
        INK_TRY(write_scalar(run, key, style));
        INK_TRY(write_words(run, "\""));
    }
    if (style->key != NULL)
        return ink_jinja_write_string(run, style->key, 0, style->key->size);
    return write_words(run, ": ");
}

static ink_result write_line(ink_jinja *run, const ink_jinja_style *style, size_t depth)
{
    if (style->indent == NULL)
        return INK_OK;
    INK_TRY(write_words(run, "\n"));
    for (size_t i = 0; i < depth; i++)
        INK_TRY(ink_jinja_write_string(run, style->indent, 0, style->indent->size));
    return INK_OK;
}

ink_result ink_jinja_write_value(ink_jinja *run, ink_jinja_value value, const ink_jinja_style *style)
{
    struct {
        ink_jinja_value value;
        const ink_jinja_value *items; /* [n] or [n][2] */
        size_t n, i;
        uint32_t *order; /* of sorted keys; or NULL */
    } level[INK_JINJA_DEPTH], *top;
    size_t depth = 0;
    for (;;) {
        bool list = value.kind == INK_JINJA_LIST || value.kind == INK_JINJA_TUPLE;
        if (!list && value.kind != INK_JINJA_DICT) {
            INK_TRY(write_scalar(run, value, style));
        } else {
            if (depth == INK_JINJA_DEPTH)
                return ink_fail(run->ctx, INK_ERROR_LIMIT, "values in values deeper than %d", INK_JINJA_DEPTH);
            top = &level[depth++];
            top->value = value;
            top->items = list ? value.list->items : value.dict->pairs;
            top->n = list ? value.list->n : value.dict->n;
            top->i = 0;
            top->order = NULL;
            if (style->sorted && !list) {
                ink_jinja_value *keys = ink_jinja_alloc(run, top->n, sizeof *keys);
                if (keys == NULL)
                    return ink_jinja_failed(run);
                for (size_t i = 0; i < top->n; i++)
                    keys[i] = top->items[2 * i];
                INK_TRY(ink_jinja_sort(run, keys, top->n, false, &top->order));
            }
            INK_TRY(write_words(run, !list ? "{" : style->json || value.kind == INK_JINJA_LIST ? "[" : "("));
        }
        for (;;) { /* behind a value: the ends of containers, then what comes before the next */
            if (depth == 0)
                return INK_OK;
            top = &level[depth - 1];
            list = top->value.kind != INK_JINJA_DICT;
            if (top->i < top->n)
                break;
            bool tuple = top->value.kind == INK_JINJA_TUPLE && !style->json;
            depth--;
            if (top->n > 0)
                INK_TRY(write_line(run, style, depth));
            INK_TRY(write_words(run, !list ? "}" : !tuple ? "]" : top->n == 1 ? ",)" : ")"));
        }
        size_t i = top->order != NULL ? top->order[top->i] : top->i;
        if (top->i++ > 0)
            INK_TRY(style->item != NULL ? ink_jinja_write_string(run, style->item, 0, style->item->size)
                                        : write_words(run, style->indent != NULL ? "," : ", "));
        INK_TRY(write_line(run, style, depth));
        if (!list)
            INK_TRY(write_key(run, top->items[2 * i], style));
        value = list ? top->items[i] : top->items[2 * i + 1];
    }
}

ink_result ink_jinja_print(ink_jinja *run, ink_jinja_value value)
{
    static const ink_jinja_style python;
    if (value.kind == INK_JINJA_TEXT)
        return ink_jinja_write_string(run, value.text, 0, value.text->size);
    return value.kind == INK_JINJA_UNDEFINED ? INK_OK : ink_jinja_write_value(run, value, &python);
}

ink_result ink_jinja_to_text(ink_jinja *run, ink_jinja_value value, ink_jinja_value *text)
{
    size_t from = run->n_out;
    *text = value;
    if (value.kind == INK_JINJA_TEXT)
        return INK_OK;
    INK_TRY(ink_jinja_print(run, value));
    return ink_jinja_cut(run, from, text);
}

/* ---- Python's % and format() ------------------------------------------------------------------------------------ */

/* Writes spaces, or what `fill` is, until what is written from `from` on has `width` characters. */
static ink_result pad(ink_jinja *run, size_t from, uint64_t width, char align, char fill)
{
    size_t n = 0, shift = 0, more, before, size = run->n_out - from;
    for (size_t i = 0; i < size; i++)
        n += ((unsigned char)run->out[from + i] & 0xC0) != 0x80;
    if (n >= width)
        return INK_OK;
    more = (size_t)(width - n);
    before = align == '<' ? 0 : align == '^' ? more / 2 : more;
    for (size_t i = 0; i < more; i++)
        INK_TRY(ink_jinja_write(run, &fill, 1, false));
    if (align == '=' && size > 0 && (run->out[from] == '-' || run->out[from] == '+'))
        shift = 1; /* zeros come behind the sign */
    memmove(run->out + from + shift + before, run->out + from + shift, size - shift);
    memmove(run->out_data + from + shift + before, run->out_data + from + shift, size - shift);
    memset(run->out + from + shift, fill, before);
    memset(run->out_data + from + shift, 0, before);
    return INK_OK;
}

/* One value in a format: its letter, and the digits behind the point (SIZE_MAX: as usual). */
static ink_result write_formatted(ink_jinja *run, ink_jinja_value value, char letter, uint64_t places)
{
    static const ink_jinja_style python;
    decimal d;
    char text[1200];
    size_t n = 0;
    int64_t i = value.kind == INK_JINJA_BOOL ? value.truth : value.integer;
    bool integer = value.kind == INK_JINJA_INT || value.kind == INK_JINJA_BOOL;
    double x = integer ? (double)i : value.number;
    if (letter == 's' || letter == 'r') {
        size_t from = run->n_out;
        INK_TRY(letter == 's' ? ink_jinja_print(run, value) : ink_jinja_write_value(run, value, &python));
        for (uint32_t code; places != UINT64_MAX && from < run->n_out; places--) {
            if (places == 0) {
                run->n_out = from;
                break;
            }
            from += ink_utf8_next(run->out + from, run->n_out - from, &code);
        }
        return INK_OK;
    }
    if (!integer && value.kind != INK_JINJA_FLOAT)
        return value.kind == INK_JINJA_UNDEFINED
                   ? ink_jinja_undefined(run, value)
                   : ink_fail(run->ctx, INK_ERROR_MISMATCH, "a format wants a number, found a value of type %s",
                              ink_jinja_kind_name(value));
    if (letter == 'd' || letter == 'i') {
        if (!integer && !(x > -9e18 && x < 9e18))
            return ink_fail(run->ctx, INK_ERROR_MISMATCH, "a number is beyond 64 bits");
        return write_scalar(run, ink_jinja_int(integer ? i : (int64_t)x), &python);
    }
    if (letter == 'x' && integer) {
        uint64_t bits = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
        size_t digits = 1;
        while (digits < 16 && bits >> 4 * digits != 0)
            digits++;
        text[n++] = '-';
        for (size_t k = digits; k-- > 0;)
            text[n++] = "0123456789abcdef"[bits >> 4 * k & 15];
        return ink_jinja_write(run, text + (i >= 0), n - (i >= 0), false);
    }
    if (letter != 'f')
        return ink_fail(run->ctx, INK_ERROR_UNSUPPORTED, "the format '%.*s' is not supported", 1, &letter);
    if (!isfinite(x))
        return write_scalar(run, ink_jinja_float(x), &python);
    places = places == UINT64_MAX ? 6 : places > 300 ? 300 : places;
    decimal_of(fabs(x), &d);
    decimal_round(&d, d.point + (int64_t)places);
    if (signbit(x))
        text[n++] = '-';
    n += write_fixed(&d, (int64_t)places, text + n);
    return ink_jinja_write(run, text, n, false);
}

ink_result ink_jinja_percent(ink_jinja *run, const ink_jinja_string *format, ink_jinja_value args,
                             ink_jinja_value *text)
{
    const char *at = format->at, *stop = at + format->size;
    const ink_jinja_value *items = args.kind == INK_JINJA_TUPLE ? args.list->items : &args;
    size_t n = args.kind == INK_JINJA_TUPLE ? args.list->n : 1, next = 0, from = run->n_out;
    while (at < stop) {
        const char *percent = memchr(at, '%', (size_t)(stop - at)), *key = NULL;
        size_t plain = (size_t)((percent != NULL ? percent : stop) - format->at);
        INK_TRY(ink_jinja_write_string(run, format, (size_t)(at - format->at), plain));
        if (percent == NULL)
            break;
        at = percent + 1;
        ink_jinja_value value;
        uint64_t width = 0, places = UINT64_MAX;
        char align = '>', fill = ' ';
        bool plus = false;
        if (at < stop && *at == '(' && args.kind == INK_JINJA_DICT) {
            key = ++at;
            while (at < stop && *at != ')')
                at++;
            const ink_jinja_string name = {.at = key, .size = (uint32_t)(at - key)};
            const ink_jinja_value *found = ink_jinja_find(args.dict, &name);
            if (found == NULL || at == stop)
                return ink_fail(run->ctx, INK_ERROR_MISMATCH, "a format asks for '%.*s'", (int)name.size, name.at);
            value = *found;
            at++;
        }
        for (; at < stop && strchr("-0+ #", *at) != NULL && *at != '\0'; at++) {
            align = *at == '-' ? '<' : *at == '0' && align != '<' ? '=' : align;
            plus = plus || *at == '+';
        }
        fill = align == '=' ? '0' : ' ';
        at += ink_digits(at, (size_t)(stop - at), &width);
        if (at < stop && *at == '.') {
            places = 0;
            at++;
            at += ink_digits(at, (size_t)(stop - at), &places);
        }
        if (at == stop)
            return ink_fail(run->ctx, INK_ERROR_MISMATCH, "a format ends behind its %%");
        const char letter = *at++;
        if (letter == '%') {
            INK_TRY(ink_jinja_write(run, "%", 1, false));
            continue;
        }
        if (key == NULL) {
            if (next == n)
                return ink_fail(run->ctx, INK_ERROR_MISMATCH, "a format has more places than values");
            value = items[next++];
        }
        size_t begin = run->n_out;
        if (plus && ((value.kind == INK_JINJA_INT && value.integer >= 0) ||
                     (value.kind == INK_JINJA_FLOAT && value.number >= 0)))
            INK_TRY(ink_jinja_write(run, "+", 1, false));
        INK_TRY(write_formatted(run, value, letter, places));
        INK_TRY(pad(run, begin, width, letter == 's' && align == '=' ? '>' : align, letter == 's' ? ' ' : fill));
    }
    if (next < n && args.kind != INK_JINJA_DICT && !(args.kind == INK_JINJA_LIST && next == 0))
        return ink_fail(run->ctx, INK_ERROR_MISMATCH, "a format has fewer places than values");
    return ink_jinja_cut(run, from, text);
}

ink_result ink_jinja_format(ink_jinja *run, const ink_jinja_string *format, const ink_jinja_call *call,
                            ink_jinja_value *text)
{
    const char *at = format->at, *stop = at + format->size;
    size_t next = 0, from = run->n_out, plain = 0;
    while (at < stop) {
        if (*at != '{' && *at != '}') {
            at++;
            continue;
        }
        INK_TRY(ink_jinja_write_string(run, format, plain, (size_t)(at - format->at)));
        if (at + 1 < stop && at[1] == *at) { /* {{ is { */
            plain = (size_t)(at - format->at) + 1;
            at += 2;
            continue;
        }
        const char *name = ++at;
        while (at < stop && *at != '}' && *at != ':')
            at++;
        uint64_t width = 0, places = UINT64_MAX, index;
        const size_t size = (size_t)(at - name);
        char align = '\0', fill = ' ', letter = '\0';
        if (at < stop && *at == ':') { /* [[fill]align][0][width][.places][letter] */
            at++;
            if (stop - at > 1 && strchr("<>^=", at[1]) != NULL && at[1] != '\0') {
                fill = at[0];
                align = at[1];
                at += 2;
            } else if (at < stop && strchr("<>^=", *at) != NULL && *at != '\0') {
                align = *at++;
            }
            if (at < stop && *at == '0' && align == '\0')
                fill = '0', align = '=';
            at += ink_digits(at, (size_t)(stop - at), &width);
            if (at < stop && *at == '.')
                at += 1 + ink_digits(at + 1, (size_t)(stop - at - 1), &places);
            if (at < stop && *at != '}')
                letter = *at++;
        }
        if (at >= stop || *at != '}')
            return ink_fail(run->ctx, INK_ERROR_MISMATCH, "a format has a '{' without its '}'");
        plain = (size_t)(++at - format->at);
        const ink_jinja_value *value = NULL;
        if (size == 0)
            index = next++;
        else if (ink_digits(name, size, &index) < size)
            index = UINT64_MAX;
        if (index < call->n_args)
            value = &call->args[index];
        for (size_t i = 0; i < call->n_keywords && value == NULL && index == UINT64_MAX; i++)
            if (call->keywords[2 * i].text->size == size && memcmp(call->keywords[2 * i].text->at, name, size) == 0)
                value = &call->keywords[2 * i + 1];
        if (value == NULL)
            return ink_fail(run->ctx, INK_ERROR_MISMATCH, "a format asks for '%.*s'", (int)ink_size_min(size, 40),
                            name);
        bool number = value->kind == INK_JINJA_INT || value->kind == INK_JINJA_FLOAT;
        size_t begin = run->n_out;
        if (letter == '\0')
            letter = value->kind == INK_JINJA_FLOAT && places != UINT64_MAX ? 'f' : 's';
        INK_TRY(write_formatted(run, *value, letter, places));
        INK_TRY(pad(run, begin, width, align != '\0' ? align : number ? '>' : '<', fill));
    }
    INK_TRY(ink_jinja_write_string(run, format, plain, format->size));
    return ink_jinja_cut(run, from, text);
}

/* ---- dates ------------------------------------------------------------------------------------------------------ */

static const char days[] = "Sunday    Monday    Tuesday   Wednesday Thursday  Friday    Saturday  ";
static const char months[] = "January   February  March     April     May       June      July      August    "
                             "September October   November  December  ";

static ink_result write_date_name(ink_jinja *run, const char *names, int i, bool is_short)
{
    const char *name = names + 10 * i;
    return ink_jinja_write(run, name, is_short ? 3 : (size_t)(strchr(name, ' ') - name), false);
}

static ink_result write_padded(ink_jinja *run, int number, size_t width, char fill)
{
    size_t from = run->n_out;
    INK_TRY(write_scalar(run, ink_jinja_int(number), &(ink_jinja_style){0}));
    return pad(run, from, fill != '\0' ? width : 0, '>', fill);
}

/* As strftime of C in the C locale. */
ink_result ink_jinja_strftime(ink_jinja *run, const ink_jinja_string *format, ink_jinja_value *text)
{
    static const int before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    const ink_jinja_time t = run->now;
    const bool leap = (t.year % 4 == 0 && t.year % 100 != 0) || t.year % 400 == 0;
    const int day = before[t.month - 1] + t.day + (leap && t.month > 2), years = t.year - 1;
    const int weekday = (years + years / 4 - years / 100 + years / 400 + day) % 7;
    const int hour12 = t.hour % 12 == 0 ? 12 : t.hour % 12;
    size_t from = run->n_out;
    char letters[260]; /* the format with the letters for several replaced; @ stands for the percent sign */
    size_t n = 0;
    for (size_t i = 0; i < format->size && n < 240; i++) {
        static const char several[] = "FTDRc";
        static const char *const parts[] = {"@Y-@m-@d", "@H:@M:@S", "@m/@d/@y", "@H:@M", "@a @b @e @H:@M:@S @Y"};
        const bool pair = format->at[i] == '%' && i + 1 < format->size;
        const char *found = pair && format->at[i + 1] != '\0' ? strchr(several, format->at[i + 1]) : NULL;
        const size_t from_here = n;
        if (found != NULL)
            n += ink_format(letters + n, sizeof letters - n, "%s", parts[found - several]);
        for (size_t k = from_here; k < n; k++)
            letters[k] = letters[k] == '@' ? '%' : letters[k];
        if (found == NULL)
            letters[n++] = format->at[i];
        if (found == NULL && pair)
            letters[n++] = format->at[i + 1];
        i += pair;
    }
    for (size_t i = 0; i < n; i++) {
        if (letters[i] != '%' || i + 1 == n) {
            INK_TRY(ink_jinja_write(run, letters + i, 1, format->is_data));
            continue;
        }
        char fill = '0', letter = letters[++i];
        if (letter == '-' && i + 1 < n) {
            fill = '\0';
            letter = letters[++i];
        }
        switch (letter) {
        case 'a':
        case 'A':
            INK_TRY(write_date_name(run, days, weekday, letter == 'a'));
            break;
        case 'b':
        case 'h':
        case 'B':
            INK_TRY(write_date_name(run, months, t.month - 1, letter != 'B'));
            break;
        case 'p':
            INK_TRY(write_words(run, t.hour < 12 ? "AM" : "PM"));
            break;
        case 'Y':
            INK_TRY(write_padded(run, t.year, 4, fill));
            break;
        case 'j':
            INK_TRY(write_padded(run, day, 3, fill));
            break;
        case 'e':
            INK_TRY(write_padded(run, t.day, 2, ' '));
            break;
        case 'f':
            INK_TRY(write_words(run, "000000"));
            break;
        case '%':
            INK_TRY(write_words(run, "%"));
            break;
        case 'Z':
        case 'z':
            break;
        default: {
            static const char known[] = "dmyHIMSuw";
            const int values[] = {
                t.day, t.month, t.year % 100, t.hour, hour12, t.minute, t.second, weekday == 0 ? 7 : weekday, weekday};
            const char *at = letter != '\0' ? strchr(known, letter) : NULL;
            if (at == NULL)
                return ink_fail(run->ctx, INK_ERROR_UNSUPPORTED, "strftime_now: %%%.*s is not supported", 1, &letter);
            INK_TRY(write_padded(run, values[at - known], letter == 'u' || letter == 'w' ? 1 : 2, fill));
        }
        }
    }
    return ink_jinja_cut(run, from, text);
}
