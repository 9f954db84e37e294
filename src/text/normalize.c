/*
 * normalize.c - text to code points, the steps over them, and back.
 */
#include "normalize.h"

#include "unicode.h"
#include "../base/bytes.h"

ink_result ink_codes_take(ink_context *ctx, size_t n, ink_codes *codes)
{
    uint32_t *at = ink_arena_alloc(&ctx->scratch, n, sizeof *at);
    if (at == NULL)
        return ink_fail(ctx, INK_ERROR_MEMORY, "out of memory: a text of %zu code points", n);
    *codes = (ink_codes){at, n};
    return INK_OK;
}

/* ---- to code points and back ------------------------------------------------------------------------------------ */

static ink_result read_text(ink_context *ctx, const char *text, size_t size, ink_codes *codes)
{
    INK_TRY(ink_codes_take(ctx, size, codes));
    codes->n = 0;
    for (size_t i = 0; i < size;) {
        uint32_t code;
        size_t length = ink_utf8_next(text + i, size - i, &code);
        if (code < INK_UTF8_INVALID)
            codes->at[codes->n++] = code;
        for (size_t k = 0; k < length && code >= INK_UTF8_INVALID; k++)
            codes->at[codes->n++] = INK_CODE_BYTE + (unsigned char)text[i + k];
        i += length;
    }
    return INK_OK;
}

/* Writes one code to `out`, which has room for 4 bytes. */
static size_t put_code(char *out, uint32_t code)
{
    if (code < INK_CODE_BYTE)
        return ink_utf8_put(out, code);
    out[0] = (char)(unsigned char)(code - INK_CODE_BYTE);
    return 1;
}

static ink_result write_text(ink_context *ctx, const ink_codes *codes, const char **out, size_t *out_size)
{
    char one[4];
    size_t size = 0;
    for (size_t i = 0; i < codes->n; i++)
        size += put_code(one, codes->at[i]);
    char *text = ink_arena_alloc(&ctx->scratch, size + sizeof one, 1);
    if (text == NULL)
        return ink_fail(ctx, INK_ERROR_MEMORY, "out of memory: a text of %zu bytes", size);
    *out = text;
    *out_size = size;
    for (size_t i = 0; i < codes->n; i++)
        text += put_code(text, codes->at[i]);
    return INK_OK;
}

ink_result ink_normalize(ink_context *ctx, const ink_normalizer *normalizer, const char *text, size_t size,
                         const char **out, size_t *out_size)
{
    *out = text;
    *out_size = size;
    if (normalizer->n_steps == 0)
        return INK_OK;
    ink_codes codes;
    INK_TRY(read_text(ctx, text, size, &codes));
    for (size_t i = 0; i < normalizer->n_steps; i++)
        INK_TRY(normalizer->steps[i].apply(ctx, &normalizer->steps[i], &codes));
    return write_text(ctx, &codes, out, out_size);
}

/* ---- steps ------------------------------------------------------------------------------------------------------ */

ink_result ink_normal_drop(ink_context *ctx, const ink_normal_step *step, ink_codes *codes)
{
    size_t n = 0;
    (void)ctx;
    for (size_t i = 0; i < codes->n; i++)
        if (!ink_unicode_has(codes->at[i], step->properties))
            codes->at[n++] = codes->at[i];
    codes->n = n;
    return INK_OK;
}

ink_result ink_normal_space(ink_context *ctx, const ink_normal_step *step, ink_codes *codes)
{
    (void)ctx;
    (void)step;
    for (size_t i = 0; i < codes->n; i++)
        if (ink_unicode_class_of(codes->at[i]) == INK_UNICODE_SPACE)
            codes->at[i] = ' ';
    return INK_OK;
}

ink_result ink_normal_chinese(ink_context *ctx, const ink_normal_step *step, ink_codes *codes)
{
    ink_codes spaced;
    size_t n = 0, n_chinese = 0;
    (void)step;
    for (size_t i = 0; i < codes->n; i++)
        n_chinese += ink_unicode_is_chinese(codes->at[i]);
    if (n_chinese == 0)
        return INK_OK;
    INK_TRY(ink_codes_take(ctx, codes->n + 2 * n_chinese, &spaced));
    for (size_t i = 0; i < codes->n; i++) {
        bool chinese = ink_unicode_is_chinese(codes->at[i]);
        if (chinese)
            spaced.at[n++] = ' ';
        spaced.at[n++] = codes->at[i];
        if (chinese)
            spaced.at[n++] = ' ';
    }
    *codes = spaced;
    return INK_OK;
}

ink_result ink_normal_lowercase(ink_context *ctx, const ink_normal_step *step, ink_codes *codes)
{
    ink_codes lower;
    size_t n = 0, n_dotted = 0;
    (void)step;
    for (size_t i = 0; i < codes->n; i++)
        n_dotted += codes->at[i] == 0x130;
    INK_TRY(ink_codes_take(ctx, codes->n + n_dotted, &lower));
    for (size_t i = 0; i < codes->n; i++) {
        lower.at[n++] = ink_unicode_lower(codes->at[i]);
        if (codes->at[i] == 0x130) /* capital I with a dot: the dot goes on as a mark */
            lower.at[n++] = 0x307;
    }
    *codes = lower;
    return INK_OK;
}

ink_result ink_normal_strip(ink_context *ctx, const ink_normal_step *step, ink_codes *codes)
{
    (void)ctx;
    while (step->right && codes->n > 0 && ink_unicode_class_of(codes->at[codes->n - 1]) == INK_UNICODE_SPACE)
        codes->n--;
    while (step->left && codes->n > 0 && ink_unicode_class_of(codes->at[0]) == INK_UNICODE_SPACE) {
        codes->at++;
        codes->n--;
    }
    return INK_OK;
}

ink_result ink_normal_prepend(ink_context *ctx, const ink_normal_step *step, ink_codes *codes)
{
    ink_codes longer;
    if (codes->n == 0)
        return INK_OK;
    INK_TRY(ink_codes_take(ctx, codes->n + step->to.n, &longer));
    memcpy(longer.at, step->to.at, step->to.n * sizeof *longer.at);
    memcpy(longer.at + step->to.n, codes->at, codes->n * sizeof *longer.at);
    *codes = longer;
    return INK_OK;
}

static bool stands_at(const ink_normal_string *string, const ink_codes *codes, size_t i)
{
    return string->n <= codes->n - i && memcmp(string->at, codes->at + i, string->n * sizeof *string->at) == 0;
}

ink_result ink_normal_replace(ink_context *ctx, const ink_normal_step *step, ink_codes *codes)
{
    ink_codes changed;
    size_t n = 0, n_found = 0, room;
    for (size_t i = 0; i < codes->n; i++) {
        if (stands_at(&step->from, codes, i)) {
            n_found++;
            i += step->from.n - 1;
        }
    }
    if (n_found == 0)
        return INK_OK;
    if (!ink_size_mul(n_found, step->to.n, &room) || !ink_size_add(room, codes->n, &room))
        return ink_fail(ctx, INK_ERROR_LIMIT, "a text of %zu code points is too long to be normalised", codes->n);
    INK_TRY(ink_codes_take(ctx, room, &changed));
    for (size_t i = 0; i < codes->n; i++) {
        if (!stands_at(&step->from, codes, i)) {
            changed.at[n++] = codes->at[i];
            continue;
        }
        memcpy(changed.at + n, step->to.at, step->to.n * sizeof *changed.at);
        n += step->to.n;
        i += step->from.n - 1;
    }
    *codes = (ink_codes){changed.at, n};
    return INK_OK;
}
