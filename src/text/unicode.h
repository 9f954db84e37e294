/*
 * unicode.h - what the splitting rules ask of a code point.
 */
#ifndef INK_TEXT_UNICODE_H
#define INK_TEXT_UNICODE_H

#include <stdbool.h>
#include <stdint.h>

typedef enum ink_unicode_class {
    INK_UNICODE_OTHER = 0,  /* among them combining marks, controls, emoji, and what is no code point at all */
    INK_UNICODE_LETTER = 1, /* general category L: Lu, Ll, Lt, Lm, Lo */
    INK_UNICODE_NUMBER = 2, /* general category N: Nd, Nl, No */
    INK_UNICODE_SPACE = 3   /* the property White_Space */
} ink_unicode_class;

ink_unicode_class ink_unicode_class_of(uint32_t code);

/* True for letters, marks, digits, connectors and joiners: \w of UTS 18. */
bool ink_unicode_is_word(uint32_t code);

#endif
