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
    ink_range *origin = NULL;
    if (at != NULL && before->origin != NULL)
        origin = ink_arena_alloc(&ctx->scratch, n, sizeof *origin);
    if (at == NULL || (origin == NULL && before->origin != NULL))
        return ink_fail(ctx, INK_ERROR_MEMORY, "out of memory: a text of %zu code points", n);
    *codes = (ink_codes){at, origin, n, at, origin, n, before->most, before->size};
    return INK_OK;
}

/* Writes code n of `codes` in the place of code i of `before`; what is inserted comes behind the code it belongs to. */
static inline void codes_set(ink_codes *codes, size_t n, uint32_t code, const ink_codes *before, size_t i)
{
    codes->at[n] = code;
    if (codes->origin != NULL)
        codes->origin[n] = before->origin[i];
}

/* Where origin[i].start is how many codes of `before` code i takes the place of, they are counted off in order: code i
   gets the origin of the first of them, and one that takes the place of none that of the last before. */
static void codes_count_off(ink_codes *codes, const ink_codes *before)
{
    size_t done = 0;
    for (size_t i = 0; i < codes->n && codes->origin != NULL; i++) {
        size_t replaced = codes->origin[i].start;
        codes->origin[i] = before->origin[replaced > 0 || done == 0 ? done : done - 1];
        done += replaced;
    }
}

/* ---- to code points and back ------------------------------------------------------------------------------------ */

static ink_result codes_read(ink_context *ctx, const ink_view *view, ink_codes *codes)
{
    ink_range none = {0, 0};
    ink_codes nothing = *codes;
    nothing.origin = view->origin != NULL ? &none : NULL; /* whether there is one */
    INK_TRY(codes_alloc(ctx, view->size, &nothing, codes));
    size_t n = 0;
    for (size_t i = 0; i < view->size;) {
        uint32_t code;
        size_t length = ink_utf8_next(view->text + i, view->size - i, &code), end = i + length;
        bool valid = code < INK_UTF8_INVALID;
        for (size_t k = valid ? end - 1 : i; k < end; k++, n++) {
            codes->at[n] = valid ? code : INK_CODE_BYTE + (unsigned char)view->text[k];
            if (codes->origin != NULL)
                codes->origin[n] = view->origin[k];
        }
        i = end;
    }
    codes->n = n;
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

static ink_result codes_write(ink_context *ctx, const ink_codes *codes, ink_view *view)
{
    char one[4];
    size_t size = 0, done = 0;
    for (size_t i = 0; i < codes->n; i++)
        size += codes_put(one, codes->at[i]);
    char *text = ink_arena_alloc(&ctx->scratch, size + sizeof one, 1);
    ink_range *origin = NULL;
    if (text != NULL && codes->origin != NULL)
        origin = ink_arena_alloc(&ctx->scratch, size, sizeof *origin);
    if (text == NULL || (origin == NULL && codes->origin != NULL))
        return ink_fail(ctx, INK_ERROR_MEMORY, "out of memory: a text of %zu bytes", size);
    for (size_t i = 0; i < codes->n; i++) {
        size_t length = codes_put(text + done, codes->at[i]);
        for (size_t k = 0; k < length && origin != NULL; k++)
            origin[done + k] = codes->origin[i];
        done += length;
    }
    *view = (ink_view){text, size, origin};
    return INK_OK;
}

ink_result ink_normalize(ink_context *ctx, const ink_steps *steps, size_t most, ink_view *view)
{
    if (steps->n == 0)
        return INK_OK;
    if (most == 0 && (!ink_size_mul(view->size, ink_size_min(ctx->limits.text_growth, SIZE_MAX), &most) ||
                      !ink_size_add(most, NORMAL_EXTRA, &most)))
        most = SIZE_MAX;
    ink_codes codes = {.most = most, .size = view->size};
    INK_TRY(codes_read(ctx, view, &codes));
    for (size_t i = 0; i < steps->n; i++) {
        ink_codes before = codes;
        ink_arena_mark mark = ink_arena_mark_here(&ctx->scratch);
        INK_TRY(steps->step[i].normalize(ctx, &steps->step[i], &codes));
        if (codes.room != before.room && codes.n <= before.capacity) { /* they move back, so that two rooms suffice */
            codes.at = memcpy(before.room, codes.at, codes.n * sizeof *codes.at);
            if (codes.origin != NULL)
                codes.origin = memcpy(before.origin_room, codes.origin, codes.n * sizeof *codes.origin);
            codes.room = before.room;
            codes.origin_room = before.origin_room;
            codes.capacity = before.capacity;
        }
        if (codes.room == before.room)
            ink_arena_release(&ctx->scratch, mark);
    }
    return codes_write(ctx, &codes, view);
}

/* ---- steps ------------------------------------------------------------------------------------------------------ */

ink_result ink_normal_drop(ink_context *ctx, const ink_step *step, ink_codes *codes)
{
    size_t n = 0;
    (void)ctx;
    for (size_t i = 0; i < codes->n; i++)
        if (!ink_unicode_has(codes->at[i], step->properties))
            codes_set(codes, n++, codes->at[i], codes, i);
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
            codes_set(&spaced, n++, ' ', codes, i);
        codes_set(&spaced, n++, codes->at[i], codes, i);
        if (chinese)
            codes_set(&spaced, n++, ' ', codes, i);
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
        codes_set(&lower, n++, ink_unicode_lower(codes->at[i]), codes, i);
        if (codes->at[i] == 0x130) /* capital I with a dot: the dot goes on as a mark */
            codes_set(&lower, n++, 0x307, codes, i);
    }
    *codes = lower;
    return INK_OK;
}

/* The rules of neural machine translation in SentencePiece, as the reference has them. */
ink_result ink_normal_nmt(ink_context *ctx, const ink_step *step, ink_codes *codes)
{
    size_t n = 0;
    (void)ctx;
    (void)step;
    for (size_t i = 0; i < codes->n; i++) {
        uint32_t code = codes->at[i];
        if ((code > 0 && code < 9) || code == 0xB || (code > 0xD && code < 0x20) || code == 0x7F || code == 0x8F ||
            code == 0x9F) {
            continue;
        }
        if ((code >= 9 && code <= 0xD) || code == 0x1680 || (code >= 0x200B && code <= 0x200F) || code == 0x2028 ||
            code == 0x2029 || code == 0x2581 || code == 0xFEFF || code == 0xFFFD)
            code = ' ';
        codes_set(codes, n++, code, codes, i);
    }
    codes->n = n;
    return INK_OK;
}

static bool strips(const ink_step *step, uint32_t code)
{
    uint32_t from;
    if (step->from.size == 0)
        return ink_unicode_class_of(code) == INK_UNICODE_SPACE;
    ink_utf8_next(step->from.bytes, step->from.size, &from);
    return code == from;
}

ink_result ink_normal_strip(ink_context *ctx, const ink_step *step, ink_codes *codes)
{
    (void)ctx;
    for (size_t i = 0; i < step->stop && codes->n > 0; i++, codes->n--)
        if (!strips(step, codes->at[codes->n - 1]))
            break;
    for (size_t i = 0; i < step->start && codes->n > 0; i++, codes->at++, codes->n--) {
        if (!strips(step, codes->at[0]))
            break;
        if (codes->origin != NULL)
            codes->origin++;
    }
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
    if (codes->n == 0 && step->start == 0)
        return INK_OK;
    INK_TRY(codes_alloc(ctx, codes->n + n_to, codes, &longer));
    for (size_t i = 0; i < longer.n; i++) {
        if (codes->n > 0)
            codes_set(&longer, i, i < n_to ? to[i] : codes->at[i - n_to], codes, i < n_to ? 0 : i - n_to);
        else
            longer.at[i] = to[i];
        if (codes->n == 0 && longer.origin != NULL)
            longer.origin[i] = (ink_range){0, 0};
    }
    *codes = longer;
    return INK_OK;
}

static bool codes_start(const ink_codes *codes, size_t i, const uint32_t *head, size_t n_head)
{
    return n_head <= codes->n - i && memcmp(head, codes->at + i, n_head * sizeof *head) == 0;
}

/* The length of the match of a step that replaces, whose `from` is from [n_from], at code i, or 0. */
static size_t codes_match(const ink_step *step, const ink_codes *codes, size_t i, const uint32_t *from, size_t n_from)
{
    size_t n = 0;
    if (step->stop == 1 && i > 0)
        return 0;
    while (codes_start(codes, i + n, from, n_from)) {
        n += n_from;
        if (step->start == 0)
            break;
    }
    return n >= step->start * n_from ? n : 0;
}

ink_result ink_normal_replace(ink_context *ctx, const ink_step *step, ink_codes *codes)
{
    uint32_t from[INK_SHORT_TEXT], to[INK_SHORT_TEXT];
    size_t n_from = codes_of(&step->from, from), n_to = codes_of(&step->to, to), n = 0, n_found = 0, room, length;
    size_t n_replaced = 0;
    ink_codes changed;
    for (size_t i = 0; i < codes->n; i += ink_size_max(length, 1)) {
        length = codes_match(step, codes, i, from, n_from);
        n_found += length > 0;
        n_replaced += length;
    }
    if (n_found == 0)
        return INK_OK;
    if (!ink_size_mul(n_found, n_to, &room) || !ink_size_add(room, codes->n - n_replaced, &room))
        room = SIZE_MAX;
    INK_TRY(codes_alloc(ctx, room, codes, &changed));
    for (size_t i = 0; i < codes->n; i++) {
        length = codes_match(step, codes, i, from, n_from);
        if (length == 0) {
            codes_set(&changed, n++, codes->at[i], codes, i);
            continue;
        }
        i += length - 1;
        for (size_t k = 0; k < n_to; k++)
            codes_set(&changed, n++, to[k], codes, i);
    }
    *codes = changed;
    return INK_OK;
}

/* ---- SentencePiece's precompiled rules --------------------------------------------------------------------------- */

#define CHARSMAP_LONGEST 256 /* code points of a string that SentencePiece's rule finds */

/* How many codes from the first on are the longest string of the map, or the shortest; 0: none is. */
static size_t charsmap_find(const ink_charsmap *map, const uint32_t *at, size_t n, bool longest, const char **to,
                            size_t *to_size)
{
    size_t place = 0, found = 0;
    char spelled[8];
    for (size_t i = 0; i < n; i++) {
        const size_t size = codes_put(spelled, at[i]);
        const char *end = NULL;
        size_t end_size = 0;
        for (size_t k = 0; k < size && (longest || end == NULL); k++)
            if (!ink_charsmap_step(map, &place, (unsigned char)spelled[k], &end, &end_size))
                return found;
        if (end == NULL)
            continue;
        *to = end;
        *to_size = end_size;
        found = i + 1;
        if (!longest)
            break;
    }
    return found;
}

/* Writes what becomes of the codes to `out`, or counts it only; *changed if anything does. SentencePiece replaces the
   longest string at each place. Hugging Face's library does something else: a grapheme cluster of less than 6 bytes as
   a whole becomes the replacement of the shortest string that it begins with; other clusters are replaced character by
   character. */
static size_t charsmap_pass(const ink_charsmap *map, bool longest, const ink_codes *codes, ink_codes *out,
                            bool *changed)
{
    size_t n = 0;
    for (size_t i = 0, end = 0, count; i < codes->n; i += count) {
        char spelled[8];
        const char *to = NULL;
        size_t size = 0, to_size = 0, n_to = 0;
        count = 1;
        if (longest) {
            const size_t most = ink_size_min(codes->n - i, CHARSMAP_LONGEST);
            count = ink_size_max(charsmap_find(map, codes->at + i, most, true, &to, &to_size), 1);
        } else if (i == end) {
            end = i + ink_unicode_cluster(codes->at + i, codes->n - i);
            for (size_t k = i; k < end && size < 6; k++)
                size += codes_put(spelled, codes->at[k]);
            count = size < 6 ? end - i : 1;
            if (count > 1 && charsmap_find(map, codes->at + i, count, false, &to, &to_size) == 0)
                count = 1;
        }
        if (to == NULL && !longest)
            charsmap_find(map, codes->at + i, 1, false, &to, &to_size);
        if (to == NULL) {
            if (out != NULL)
                codes_set(out, n, codes->at[i], codes, i);
            if (out != NULL && out->origin != NULL)
                out->origin[n].start = 1;
            n++;
            continue;
        }
        *changed = true;
        for (size_t k = 0; k < to_size; n++, n_to++) {
            uint32_t code;
            k += ink_utf8_next(to + k, to_size - k, &code);
            if (out != NULL)
                out->at[n] = code;
            if (out != NULL && out->origin != NULL)
                out->origin[n].start = n_to < count;
        }
        if (out != NULL && out->origin != NULL && n_to < count && n > 0) /* the last one takes the place of the rest */
            out->origin[n - 1].start += count - n_to;
    }
    return n;
}

ink_result ink_normal_charsmap(ink_context *ctx, const ink_step *step, ink_codes *codes)
{
    const ink_codes before = *codes;
    bool changed = false;
    size_t n = charsmap_pass(step->map, step->start != 0, &before, NULL, &changed);
    if (!changed)
        return INK_OK;
    INK_TRY(codes_alloc(ctx, n, &before, codes));
    charsmap_pass(step->map, step->start != 0, &before, codes, &changed);
    codes_count_off(codes, &before);
    return INK_OK;
}

/* ---- normal forms (Unicode 16, section 3.11) -------------------------------------------------------------------- */

/*
 *     NFD: every code point is decomposed as far as it goes, then each run of marks is ordered by combining class;
 *          marks of the same class keep their order.
 *     NFC: NFD, then each mark is composed with the starter before it, if the two have a primary composite and no mark
 *          of the same class stands between them.
 *     NFKD, NFKC: the same, and what is compatible with something simpler becomes that: a ligature its letters.
 *
 * A run of marks is ordered by counting, so a million marks on one letter cost no more than a million letters.
 *
 * While a form is made, origin[n].start is how many codes of the text code n takes the place of: 1 for the first of a
 * decomposition, 0 for the others, the sum for a composite. Then they are counted off in order, as in the reference,
 * whatever was reordered or composed.
 */
#define FORM_LONGEST 4       /* code points that one decomposes into, at most, */
#define FORM_UNAFFECTED 0xA0 /* no text below it changes */

/* Writes the full decomposition of a code and returns its length. Steps take one code off the end at a time. */
static size_t form_decompose(uint32_t code, bool compatible, uint32_t out[INK_UNICODE_COMPATIBLE])
{
    uint32_t ends[FORM_LONGEST], pair[2];
    const uint16_t *to;
    size_t n_ends = 0, n = compatible ? ink_unicode_compatible(code, &to) : 0;
    for (size_t i = 0; i < n; i++)
        out[i] = to[i];
    if (n > 0)
        return n;
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

/* Orders a run of n marks from `first` by class, with room for as many, counting how many of each class there are. */
static void form_order_run(ink_codes *codes, size_t first, size_t n, ink_codes *room)
{
    size_t place[256] = {0}, sum = 0;
    for (size_t i = 0; i < n; i++)
        place[ink_unicode_combining(codes->at[first + i])]++;
    for (size_t class = 0; class < 256; class ++) {
        size_t count = place[class];
        place[class] = sum;
        sum += count;
    }
    for (size_t i = first; i < first + n; i++)
        codes_set(room, place[ink_unicode_combining(codes->at[i])]++, codes->at[i], codes, i);
    for (size_t i = 0; i < n; i++)
        codes_set(codes, first + i, room->at[i], room, i);
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
            form_order_run(codes, i, n, &room);
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
            if (codes->origin != NULL)
                codes->origin[starter].start += codes->origin[i].start;
            continue;
        }
        if (class == 0)
            starter = n;
        last = class;
        codes_set(codes, n++, code, codes, i);
    }
    codes->n = n;
}

static ink_result form_make(ink_context *ctx, bool compatible, bool composed, ink_codes *codes)
{
    uint32_t one[INK_UNICODE_COMPATIBLE];
    const ink_codes before = *codes;
    size_t n = 0;
    if (!form_affects(codes))
        return INK_OK;
    for (size_t i = 0; i < before.n; i++)
        n += form_decompose(before.at[i], compatible, one);
    INK_TRY(codes_alloc(ctx, n, &before, codes));
    n = 0;
    for (size_t i = 0; i < before.n; i++) {
        size_t length = form_decompose(before.at[i], compatible, one);
        memcpy(codes->at + n, one, length * sizeof *one);
        for (size_t k = 0; k < length && codes->origin != NULL; k++)
            codes->origin[n + k].start = k == 0;
        n += length;
    }
    INK_TRY(form_order(ctx, codes));
    if (composed)
        form_compose(codes);
    codes_count_off(codes, &before);
    return INK_OK;
}

ink_result ink_normal_nfd(ink_context *ctx, const ink_step *step, ink_codes *codes)
{
    (void)step;
    return form_make(ctx, false, false, codes);
}

ink_result ink_normal_nfc(ink_context *ctx, const ink_step *step, ink_codes *codes)
{
    (void)step;
    return form_make(ctx, false, true, codes);
}

ink_result ink_normal_nfkd(ink_context *ctx, const ink_step *step, ink_codes *codes)
{
    (void)step;
    return form_make(ctx, true, false, codes);
}

ink_result ink_normal_nfkc(ink_context *ctx, const ink_step *step, ink_codes *codes)
{
    (void)step;
    return form_make(ctx, true, true, codes);
}
