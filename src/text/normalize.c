/*
 * normalize.c - normalisation, the changes to a text before it is split. The text becomes code points, each step of a
 * row changes them, and they become text again.
 */
#include "engine.h"
#include "unicode.h"

#define NORMAL_EXTRA 1024 /* characters that any text may become (ink_limits) */

/* Room for n codes in scratch memory, in place of those of `before`. */
static ink_result codes_alloc(ink_context *ctx, size_t n, const ink_codes *before, ink_codes *codes)
{
    if (n > before->most)
        return ink_fail(ctx, INK_ERROR_LIMIT,
                        "the normalizer makes %zu characters of %zu bytes (text_growth of ink_limits)", n,
                        before->size);
    uint32_t *at = ink_arena_alloc(&ctx->scratch, n, sizeof *at);
    if (at == NULL)
        return ink_fail(ctx, INK_ERROR_MEMORY, "out of memory: a text of %zu code points", n);
    *codes = (ink_codes){at, n, at, n, before->most, before->size};
    return INK_OK;
}

/* ---- to code points and back ------------------------------------------------------------------------------------ */

static ink_result codes_read(ink_context *ctx, const char *text, size_t size, ink_codes *codes)
{
    INK_TRY(codes_alloc(ctx, size, codes, codes));
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
static size_t codes_put(char *out, uint32_t code)
{
    if (code < INK_CODE_BYTE)
        return ink_utf8_put(out, code);
    out[0] = (char)(unsigned char)(code - INK_CODE_BYTE);
    return 1;
}

static ink_result codes_write(ink_context *ctx, const ink_codes *codes, const char **out, size_t *out_size)
{
    char one[4];
    size_t size = 0;
    for (size_t i = 0; i < codes->n; i++)
        size += codes_put(one, codes->at[i]);
    char *text = ink_arena_alloc(&ctx->scratch, size + sizeof one, 1);
    if (text == NULL)
        return ink_fail(ctx, INK_ERROR_MEMORY, "out of memory: a text of %zu bytes", size);
    *out = text;
    *out_size = size;
    for (size_t i = 0; i < codes->n; i++)
        text += codes_put(text, codes->at[i]);
    return INK_OK;
}

ink_result ink_normalize(ink_context *ctx, const ink_steps *steps, const char *text, size_t size, size_t most,
                         const char **out, size_t *out_size)
{
    *out = text;
    *out_size = size;
    if (steps->n == 0)
        return INK_OK;
    if (most == 0 && (!ink_size_mul(size, ink_size_min(ctx->limits.text_growth, SIZE_MAX), &most) ||
                      !ink_size_add(most, NORMAL_EXTRA, &most)))
        most = SIZE_MAX;
    ink_codes codes = {.most = most, .size = size};
    INK_TRY(codes_read(ctx, text, size, &codes));
    for (size_t i = 0; i < steps->n; i++) {
        ink_codes before = codes;
        ink_arena_mark mark = ink_arena_mark_here(&ctx->scratch);
        INK_TRY(steps->step[i].normalize(ctx, &steps->step[i], &codes));
        if (codes.room != before.room && codes.n <= before.capacity) { /* they move back, so that two rooms suffice */
            codes.at = memcpy(before.room, codes.at, codes.n * sizeof *codes.at);
            codes.room = before.room;
            codes.capacity = before.capacity;
        }
        if (codes.room == before.room)
            ink_arena_release(&ctx->scratch, mark);
    }
    return codes_write(ctx, &codes, out, out_size);
}

/* ---- steps ------------------------------------------------------------------------------------------------------ */

ink_result ink_normal_drop(ink_context *ctx, const ink_step *step, ink_codes *codes)
{
    size_t n = 0;
    (void)ctx;
    for (size_t i = 0; i < codes->n; i++)
        if (!ink_unicode_has(codes->at[i], step->properties))
            codes->at[n++] = codes->at[i];
    codes->n = n;
    return INK_OK;
}

ink_result ink_normal_space(ink_context *ctx, const ink_step *step, ink_codes *codes)
{
    (void)ctx;
    (void)step;
    for (size_t i = 0; i < codes->n; i++)
        if (ink_unicode_class_of(codes->at[i]) == INK_UNICODE_SPACE)
            codes->at[i] = ' ';
    return INK_OK;
}

ink_result ink_normal_chinese(ink_context *ctx, const ink_step *step, ink_codes *codes)
{
    ink_codes spaced;
    size_t n = 0, n_chinese = 0;
    (void)step;
    for (size_t i = 0; i < codes->n; i++)
        n_chinese += ink_unicode_is_chinese(codes->at[i]);
    if (n_chinese == 0)
        return INK_OK;
    INK_TRY(codes_alloc(ctx, codes->n + 2 * n_chinese, codes, &spaced));
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

ink_result ink_normal_lowercase(ink_context *ctx, const ink_step *step, ink_codes *codes)
{
    ink_codes lower;
    size_t n = 0, n_dotted = 0;
    (void)step;
    for (size_t i = 0; i < codes->n; i++)
        n_dotted += codes->at[i] == 0x130;
    INK_TRY(codes_alloc(ctx, codes->n + n_dotted, codes, &lower));
    for (size_t i = 0; i < codes->n; i++) {
        lower.at[n++] = ink_unicode_lower(codes->at[i]);
        if (codes->at[i] == 0x130) /* capital I with a dot: the dot goes on as a mark */
            lower.at[n++] = 0x307;
    }
    *codes = lower;
    return INK_OK;
}

ink_result ink_normal_strip(ink_context *ctx, const ink_step *step, ink_codes *codes)
{
    (void)ctx;
    for (size_t i = 0; i < step->stop && codes->n > 0; i++, codes->n--)
        if (ink_unicode_class_of(codes->at[codes->n - 1]) != INK_UNICODE_SPACE)
            break;
    for (size_t i = 0; i < step->start && codes->n > 0; i++, codes->at++, codes->n--)
        if (ink_unicode_class_of(codes->at[0]) != INK_UNICODE_SPACE)
            break;
    return INK_OK;
}

/* The code points of a step's text, which is UTF-8. */
static size_t codes_of(const ink_short_text *text, uint32_t codes[INK_SHORT_TEXT])
{
    size_t n = 0;
    for (size_t i = 0; i < text->size;)
        i += ink_utf8_next(text->bytes + i, text->size - i, &codes[n++]);
    return n;
}

ink_result ink_normal_prepend(ink_context *ctx, const ink_step *step, ink_codes *codes)
{
    uint32_t to[INK_SHORT_TEXT];
    size_t n_to = codes_of(&step->to, to);
    ink_codes longer;
    if (codes->n == 0)
        return INK_OK;
    INK_TRY(codes_alloc(ctx, codes->n + n_to, codes, &longer));
    memcpy(longer.at, to, n_to * sizeof *to);
    memcpy(longer.at + n_to, codes->at, codes->n * sizeof *codes->at);
    *codes = longer;
    return INK_OK;
}

static bool codes_start(const ink_codes *codes, size_t i, const uint32_t *head, size_t n_head)
{
    return n_head <= codes->n - i && memcmp(head, codes->at + i, n_head * sizeof *head) == 0;
}

ink_result ink_normal_replace(ink_context *ctx, const ink_step *step, ink_codes *codes)
{
    uint32_t from[INK_SHORT_TEXT], to[INK_SHORT_TEXT];
    size_t n_from = codes_of(&step->from, from), n_to = codes_of(&step->to, to), n = 0, n_found = 0, room;
    ink_codes changed;
    for (size_t i = 0; i < codes->n; i++) {
        if (codes_start(codes, i, from, n_from)) {
            n_found++;
            i += n_from - 1;
        }
    }
    if (n_found == 0)
        return INK_OK;
    if (!ink_size_mul(n_found, n_to, &room) || !ink_size_add(room, codes->n - n_found * n_from, &room))
        room = SIZE_MAX;
    INK_TRY(codes_alloc(ctx, room, codes, &changed));
    for (size_t i = 0; i < codes->n; i++) {
        if (!codes_start(codes, i, from, n_from)) {
            changed.at[n++] = codes->at[i];
            continue;
        }
        memcpy(changed.at + n, to, n_to * sizeof *to);
        n += n_to;
        i += n_from - 1;
    }
    *codes = changed;
    return INK_OK;
}

/* ---- NFD and NFC (Unicode 16, section 3.11) ---------------------------------------------------------------------- */

/*
 *     NFD: every code point is decomposed as far as it goes, then each run of marks is ordered by combining class;
 *          marks of the same class keep their order.
 *     NFC: NFD, then each mark is composed with the starter before it, if the two have a primary composite and no mark
 *          of the same class stands between them.
 *
 * A run of marks is ordered by counting, so a million marks on one letter cost no more than a million letters.
 */
#define FORM_LONGEST 4       /* code points that one decomposes into, at most */
#define FORM_UNAFFECTED 0xC0 /* no text below it changes */

/* Writes the full decomposition of a code and returns its length. Steps take one code off the end at a time. */
static size_t form_decompose(uint32_t code, uint32_t out[FORM_LONGEST])
{
    uint32_t ends[FORM_LONGEST], pair[2];
    size_t n_ends = 0, n = 0;
    while (n_ends < FORM_LONGEST - 1 && ink_unicode_decompose(code, pair)) {
        code = pair[0];
        if (pair[1] != 0)
            ends[n_ends++] = pair[1];
    }
    out[n++] = code;
    while (n_ends > 0)
        out[n++] = ends[--n_ends];
    return n;
}

/* Orders a run of marks by class, with room for as many, counting how many of each class there are. */
static void form_order_run(uint32_t *marks, uint32_t *room, size_t n)
{
    size_t place[256] = {0}, sum = 0;
    for (size_t i = 0; i < n; i++)
        place[ink_unicode_combining(marks[i])]++;
    for (size_t class = 0; class < 256; class ++) {
        size_t count = place[class];
        place[class] = sum;
        sum += count;
    }
    for (size_t i = 0; i < n; i++)
        room[place[ink_unicode_combining(marks[i])]++] = marks[i];
    memcpy(marks, room, n * sizeof *marks);
}

/* The length of the run of marks at the head; *ordered is false if their order has to change. */
static size_t form_marks(const uint32_t *codes, size_t n, bool *ordered)
{
    unsigned last = 0, class;
    size_t i = 0;
    *ordered = true;
    for (; i < n && (class = ink_unicode_combining(codes[i])) != 0; i++) {
        *ordered = *ordered && class >= last;
        last = class;
    }
    return i;
}

static ink_result form_order(ink_context *ctx, ink_codes *codes)
{
    ink_codes room = {.at = NULL};
    for (size_t i = 0; i < codes->n;) {
        bool ordered;
        size_t n = form_marks(codes->at + i, codes->n - i, &ordered);
        if (!ordered && room.at == NULL)
            INK_TRY(codes_alloc(ctx, codes->n, codes, &room));
        if (!ordered)
            form_order_run(codes->at + i, room.at, n);
        i += n > 0 ? n : 1;
    }
    return INK_OK;
}

static bool form_affects(const ink_codes *codes)
{
    for (size_t i = 0; i < codes->n; i++)
        if (codes->at[i] >= FORM_UNAFFECTED && codes->at[i] < INK_CODE_BYTE)
            return true;
    return false;
}

ink_result ink_normal_nfd(ink_context *ctx, const ink_step *step, ink_codes *codes)
{
    uint32_t one[FORM_LONGEST];
    ink_codes long_form;
    size_t n = 0;
    (void)step;
    if (!form_affects(codes))
        return INK_OK;
    for (size_t i = 0; i < codes->n; i++)
        n += form_decompose(codes->at[i], one);
    INK_TRY(codes_alloc(ctx, n, codes, &long_form));
    n = 0;
    for (size_t i = 0; i < codes->n; i++) {
        size_t length = form_decompose(codes->at[i], one);
        memcpy(long_form.at + n, one, length * sizeof *one);
        n += length;
    }
    *codes = long_form;
    return form_order(ctx, codes);
}

/* Composes in place: the output is never longer than the input. */
static void form_compose(ink_codes *codes)
{
    size_t n = 0, starter = SIZE_MAX; /* where the last starter was written */
    unsigned last = 0;                /* the class of what was written last */
    for (size_t i = 0; i < codes->n; i++) {
        uint32_t code = codes->at[i];
        unsigned class = ink_unicode_combining(code);
        bool blocked = starter == SIZE_MAX || (n - starter > 1 && last >= class);
        uint32_t composite = blocked ? 0 : ink_unicode_compose(codes->at[starter], code);
        if (composite != 0) {
            codes->at[starter] = composite;
            continue;
        }
        if (class == 0)
            starter = n;
        last = class;
        codes->at[n++] = code;
    }
    codes->n = n;
}

ink_result ink_normal_nfc(ink_context *ctx, const ink_step *step, ink_codes *codes)
{
    INK_TRY(ink_normal_nfd(ctx, step, codes));
    form_compose(codes);
    return INK_OK;
}
