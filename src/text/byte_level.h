/*
 * byte_level.h - GPT-2's spelling of bytes as printable characters.
 *
 * A tokenizer.json holds text, a byte-level token is any bytes; so the file spells each byte as one character: 21-7E,
 * A1-AC and AE-FF as the code point of the same value, the other 68 bytes, in their order, as U+0100, U+0101, ...
 * U+0143. Each token is turned back into bytes once, when the file is read.
 */
#ifndef INK_TEXT_BYTE_LEVEL_H
#define INK_TEXT_BYTE_LEVEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The byte that a character spells, or -1. */
int ink_byte_level_byte(uint32_t code);

/*
 * The bytes that `text` [size], valid UTF-8, spells; at most `size` of them go to `out`, and their number is returned.
 * A text with a character that spells no byte is an added token's; it stands for itself: *verbatim is set and `out`
 * gets the text.
 */
size_t ink_byte_level_read(const char *text, size_t size, char *out, bool *verbatim);

#endif
