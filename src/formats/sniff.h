/*
 * sniff.h - what a file is that is not what it was taken for.
 */
#ifndef INK_FILES_SNIFF_H
#define INK_FILES_SNIFF_H

#include <stddef.h>

#define INK_SNIFF_BYTES 64

/* What a file that begins with these bytes is, and what to do about it, as the end of a sentence ("this is not a
   safetensors file but ..."); NULL if it may be a safetensors file or nobody knows. The string is static. */
const char *ink_sniff(const unsigned char *bytes, size_t size);

#endif
