/*
 * charsmap.c - SentencePiece's precompiled rules of normalisation (ink_charsmap in engine.h). The file is somebody
 * else's, so the whole trie is walked once when it is read; lookups check nothing.
 *
 * A unit of the trie has a label in bits 0 to 7 and 31, a flag in bit 8 if a string ends at its node, and the offset in
 * bits 10 to 30, shifted left by 8 if bit 9 is set. The unit that the offset of such a node leads to is its value, in
 * bits 0 to 30.
 */
#include "engine.h"

#define UNIT_LABEL(unit) ((unit)&0x800000FFu)
#define UNIT_ENDS(unit) (((unit) >> 8 & 1) != 0)
#define UNIT_VALUE(unit) ((unit)&0x7FFFFFFFu)

static size_t unit_offset(uint32_t unit) { return (size_t)(unit >> 10) << ((unit & 1u << 9) >> 6); }

bool ink_charsmap_step(const ink_charsmap *map, size_t *place, unsigned char byte, const char **to, size_t *to_size)
{
    const size_t from = *place != 0 ? *place - 1 : unit_offset(map->units[0]);
    const uint32_t unit = map->units[from ^ byte];
    if (byte == 0 || UNIT_LABEL(unit) != byte)
        return false;
    const size_t next = from ^ byte ^ unit_offset(unit);
    *place = next + 1;
    if (UNIT_ENDS(unit)) {
        *to = map->texts + UNIT_VALUE(map->units[next]);
        const size_t left = map->n_texts - (size_t)(*to - map->texts);
        const char *end = left > 0 ? memchr(*to, '\0', left) : NULL;
        *to_size = end != NULL ? (size_t)(end - *to) : left;
    }
    return true;
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

static ink_result charsmap_refuse(const ink_tokenizer_builder *b, const char *where, size_t unit, const char *reason)
{
    return ink_fail(b->ctx, INK_ERROR_CORRUPT, "%s: %s: unit %zu of the trie %s", b->file, where, unit, reason);
}

/* Walks the trie without recursion. From a place the 255 bytes lead to units of one block of 256; each place is walked
   once, and one that is met on the way to itself is refused. */
static ink_result charsmap_walk(ink_tokenizer_builder *b, const char *where, const ink_charsmap *map)
{
    enum { UNSEEN, ON_THE_WAY, DONE };
    const size_t n = map->n_units;
    uint32_t *way = ink_arena_alloc(b->arena, n, sizeof *way), unit;
    unsigned char *state = ink_arena_alloc(b->arena, n, 1);
    unsigned char *byte = ink_arena_alloc(b->arena, n, 1); /* the last byte tried at way[i] */
    size_t depth = 0, place = 0, from = 0;
    if (ink_arena_failed(b->arena))
        return ink_fail(b->ctx, INK_ERROR_MEMORY, "out of memory: a charsmap of %zu units", n);
    memset(state, 0, n);
    memset(byte, 0, n);
    unit = map->units[0];
    for (;;) {
        /* The unit at `from` leads on. */
        place = from ^ unit_offset(unit);
        if ((place | 0xFF) >= n)
            return charsmap_refuse(b, where, from, "leads outside");
        if (from != 0 && UNIT_ENDS(unit)) {
            const size_t value = UNIT_VALUE(map->units[place]);
            if (value > map->n_texts || (value < map->n_texts && ((unsigned char)map->texts[value] & 0xC0) == 0x80))
                return charsmap_refuse(b, where, place, "has a value that is no place in the texts");
        }
        if (state[place] == ON_THE_WAY)
            return charsmap_refuse(b, where, from, "leads in a circle");
        if (state[place] == UNSEEN) {
            state[place] = ON_THE_WAY;
            byte[depth] = 0;
            way[depth++] = (uint32_t)place;
        }
        /* The next unit that a byte leads to, from here or from a place before. */
        while (depth > 0) {
            place = way[depth - 1];
            if (byte[depth - 1] == 0xFF) {
                state[place] = DONE;
                depth--;
                continue;
            }
            from = place ^ ++byte[depth - 1];
            unit = map->units[from];
            if (UNIT_LABEL(unit) == byte[depth - 1])
                break;
        }
        if (depth == 0)
            return INK_OK;
    }
}

ink_result ink_builder_charsmap(ink_tokenizer_builder *b, const char *where, const char *bytes, size_t size)
{
    ink_charsmap *map = &b->draft.charsmap;
    const size_t trie_size = size >= 4 ? (size_t)ink_get_le(bytes, 4) : 0;
    if (size < 4 || trie_size > size - 4)
        return ink_fail(b->ctx, INK_ERROR_CORRUPT, "%s: %s: a trie of %zu bytes in a charsmap of %zu", b->file, where,
                        trie_size, size);
    map->n_units = trie_size / 4;
    map->n_texts = size - 4 - 4 * map->n_units;
    map->units = ink_arena_alloc(b->arena, map->n_units, sizeof *map->units);
    map->texts = ink_arena_alloc(b->arena, map->n_texts, 1);
    if (ink_arena_failed(b->arena))
        return ink_fail(b->ctx, INK_ERROR_MEMORY, "out of memory: a charsmap of %zu bytes", size);
    for (size_t i = 0; i < map->n_units; i++)
        map->units[i] = (uint32_t)ink_get_le(bytes + 4 + 4 * i, 4);
    if (map->n_texts > 0)
        memcpy(map->texts, bytes + 4 + 4 * map->n_units, map->n_texts);
    for (size_t i = 0; i < map->n_texts;) {
        uint32_t code;
        i += ink_utf8_next(map->texts + i, map->n_texts - i, &code);
        if (code >= INK_UTF8_INVALID)
            return ink_fail(b->ctx, INK_ERROR_CORRUPT, "%s: %s: the texts of the charsmap are not valid UTF-8", b->file,
                            where);
    }
    if (map->n_units == 0)
        return charsmap_refuse(b, where, 0, "is missing");
    return charsmap_walk(b, where, map);
}
