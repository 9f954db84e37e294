/*
 * normal_form.c - NFD and NFC (Unicode 16, section 3.11).
 *
 *     NFD: every code point is decomposed as far as it goes, then each run of marks is ordered by combining class;
 *          marks of the same class keep their order.
 *     NFC: NFD, then each mark that no other of its class stands before is composed with the starter before it, if
 *          there is a primary composite.
 *
 * A run of marks is ordered by counting, so a million marks on one letter cost no more than a million letters.
 */
#include <string.h>

#include "normalize.h"
#include "unicode.h"

#define LONGEST 4       /* code points that one decomposes into, at most */
#define UNAFFECTED 0xC0 /* no text below it changes */

/* Writes the full decomposition of a code and returns its length. Steps take one code off the end at a time. */
static size_t decompose(uint32_t code, uint32_t out[LONGEST])
{
    uint32_t ends[LONGEST], pair[2];
    size_t n_ends = 0, n = 0;
    while (n_ends < LONGEST - 1 && ink_unicode_decompose(code, pair)) {
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
static void order_run(uint32_t *marks, uint32_t *room, size_t n)
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
static size_t marks_at(const uint32_t *codes, size_t n, bool *ordered)
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

static ink_result order(ink_context *ctx, ink_codes *codes)
{
    ink_codes room = {NULL, 0};
    for (size_t i = 0; i < codes->n;) {
        bool ordered;
        size_t n = marks_at(codes->at + i, codes->n - i, &ordered);
        if (!ordered && room.at == NULL)
            INK_TRY(ink_codes_take(ctx, codes->n, &room));
        if (!ordered)
            order_run(codes->at + i, room.at, n);
        i += n > 0 ? n : 1;
    }
    return INK_OK;
}

static bool is_affected(const ink_codes *codes)
{
    for (size_t i = 0; i < codes->n; i++)
        if (codes->at[i] >= UNAFFECTED && codes->at[i] < INK_CODE_BYTE)
            return true;
    return false;
}

ink_result ink_normal_nfd(ink_context *ctx, const ink_normal_step *step, ink_codes *codes)
{
    uint32_t one[LONGEST];
    ink_codes long_form;
    size_t n = 0;
    (void)step;
    if (!is_affected(codes))
        return INK_OK;
    for (size_t i = 0; i < codes->n; i++)
        n += decompose(codes->at[i], one);
    INK_TRY(ink_codes_take(ctx, n, &long_form));
    n = 0;
    for (size_t i = 0; i < codes->n; i++) {
        size_t length = decompose(codes->at[i], one);
        memcpy(long_form.at + n, one, length * sizeof *one);
        n += length;
    }
    *codes = long_form;
    return order(ctx, codes);
}

/* Composes in place: what is written is never longer than what was read. */
static void compose(ink_codes *codes)
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

ink_result ink_normal_nfc(ink_context *ctx, const ink_normal_step *step, ink_codes *codes)
{
    INK_TRY(ink_normal_nfd(ctx, step, codes));
    compose(codes);
    return INK_OK;
}
