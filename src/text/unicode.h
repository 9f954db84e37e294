/*
 * unicode.h - what the steps of a tokenizer ask of a code point.
 *
 * All of it is asked of the tables that unicode_tables.py makes; a number beyond 10FFFF, which is how bytes that belong
 * to no code point are passed on, has no property and no mapping.
 */
#ifndef INK_TEXT_UNICODE_H
#define INK_TEXT_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum ink_unicode_class {
    INK_UNICODE_OTHER = 0,  /* among them combining marks, controls, emoji, and what is no code point at all */
    INK_UNICODE_LETTER = 1, /* general category L: Lu, Ll, Lt, Lm, Lo */
    INK_UNICODE_NUMBER = 2, /* general category N: Nd, Nl, No */
    INK_UNICODE_SPACE = 3   /* the property White_Space */
} ink_unicode_class;

ink_unicode_class ink_unicode_class_of(uint32_t code);

typedef enum ink_unicode_property {
    INK_UNICODE_WORD = 4,         /* letters, marks, digits, connectors and joiners: \w of UTS 18 */
    INK_UNICODE_NUMERIC = 8,      /* category N of a later version of Unicode, which the Digits pre-tokenizer asks */
    INK_UNICODE_PUNCTUATION = 16, /* category P of Unicode 8, and the symbols of ASCII */
    INK_UNICODE_MARK = 32,        /* category M */
    INK_UNICODE_ACCENT = 64,      /* category Mn of Unicode 8: the marks that BERT leaves out */
    INK_UNICODE_CONTROL = 128     /* controls, formats, private use and U+FFFD: what BERT leaves out */
} ink_unicode_property;

/* True for a code point that has at least one of the properties. */
bool ink_unicode_has(uint32_t code, unsigned properties);

/* The case of a letter, as the splitting patterns ask for it. Letters without case (Lm, Lo) and combining marks (M) go
   with capitals and with small letters: both. 0: no letter and no mark. */
typedef enum ink_unicode_case {
    INK_UNICODE_CAPITAL = 1, /* Lu, Lt */
    INK_UNICODE_SMALL = 2    /* Ll */
} ink_unicode_case;

unsigned ink_unicode_case_of(uint32_t code);

/* One of the ideographs around which BERT puts spaces. */
bool ink_unicode_is_chinese(uint32_t code);

/* The lower case of a code point, whatever stands beside it; the code point itself if it has none. U+0130, the only one
   whose lower case is two code points, gives the first of them, i; the other is U+0307. */
uint32_t ink_unicode_lower(uint32_t code);

/* The upper case of a code point, if it is a single one; else the code point itself. */
uint32_t ink_unicode_upper(uint32_t code);

/* Canonical_Combining_Class (Unicode 16, section 3.11): 0 for what nothing is reordered around. */
unsigned ink_unicode_combining(uint32_t code);

/* One step of canonical decomposition: code -> pair[0] pair[1], pair[1] 0 if it is a single code point. False if there
   is none. What comes out may decompose further: pair[0] up to three times, pair[1] never. */
bool ink_unicode_decompose(uint32_t code, uint32_t pair[2]);

/* The primary composite of two code points, or 0. */
uint32_t ink_unicode_compose(uint32_t first, uint32_t second);

/* The full compatibility decomposition of a code point that has one (Unicode 16, section 3.7): its length, at most
   INK_UNICODE_COMPATIBLE, and the code points, which are ordered; 0 if NFKD makes the same of it as NFD. */
#define INK_UNICODE_COMPATIBLE 18
size_t ink_unicode_compatible(uint32_t code, const uint16_t **to);

/* How many code points the extended grapheme cluster at the head of codes [n], n >= 1, has. Flags, pairs of regional
   indicators, count as two. */
size_t ink_unicode_cluster(const uint32_t *codes, size_t n);

#endif
