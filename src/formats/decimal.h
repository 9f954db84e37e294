/*
 * decimal.h - the double nearest to a decimal number, exactly.
 */
#ifndef INK_FILES_DECIMAL_H
#define INK_FILES_DECIMAL_H

#include <stddef.h>

/*
 * The double nearest to a number spelled as JSON spells numbers (RFC 8259 section 6; the caller has checked that), ties
 * to even, subnormals included: what a correct strtod gives in the C locale, for a spelling of any length. Beyond the
 * largest double it stays at the largest double, never an infinity; below half the smallest it is zero of that sign.
 */
double ink_decimal(const char *text, size_t size);

#endif
