/*
 * decimal.c - decimal to double in integer arithmetic, correctly rounded for every input.
 *
 * A number is digits D and an exponent, D x 10^e. Written as a fraction of two whole numbers, num / den with
 * den = 10^-e or num = D 10^e, its binary digits fall out of long division: shift one of the two until
 * den <= num < 2 den, then take 64 bits of the quotient, one at a time, and remember whether anything was left. Those
 * 64 bits and the rest decide the rounding. It takes under a microsecond for numbers as people write them, and no
 * floating point, so neither the locale nor the rounding mode of the program can change the result.
 *
 * How many digits count: the midpoint between two neighbouring doubles has at most 767 significant digits. From the
 * 800th on, all that matters is whether any digit is not zero; a single 1 stands for them.
 */
#include <string.h>

#include "bytes.h"

#define MAX_DIGITS 800

/* num and den stay below 10^(MAX_DIGITS + 1 + 326) < 2^3744. */
#define MAX_LIMBS 120

/* A whole number: limb[0] is the lowest, limb[n - 1] is not zero. */
typedef struct whole {
    uint32_t limb[MAX_LIMBS];
    size_t n;
} whole;

/* a = a x factor + addend */
static void whole_multiply_add(whole *a, uint32_t factor, uint32_t addend)
{
    uint64_t carry = addend;
    for (size_t i = 0; i < a->n; i++) {
        carry += (uint64_t)a->limb[i] * factor;
        a->limb[i] = (uint32_t)carry;
        carry >>= 32;
    }
    if (carry != 0)
        a->limb[a->n++] = (uint32_t)carry;
}

static void whole_multiply_power_of_10(whole *a, size_t power)
{
    for (; power >= 9; power -= 9)
        whole_multiply_add(a, 1000000000, 0);
    for (; power > 0; power--)
        whole_multiply_add(a, 10, 0);
}

/* a = a x 2^bits */
static void whole_shift_left(whole *a, size_t bits)
{
    size_t limbs = bits / 32;
    whole_multiply_add(a, (uint32_t)1 << bits % 32, 0);
    memmove(a->limb + limbs, a->limb, a->n * sizeof a->limb[0]);
    memset(a->limb, 0, limbs * sizeof a->limb[0]);
    a->n += limbs;
}

static bool whole_at_least(const whole *a, const whole *b)
{
    if (a->n != b->n)
        return a->n > b->n;
    for (size_t i = a->n; i-- > 0;)
        if (a->limb[i] != b->limb[i])
            return a->limb[i] > b->limb[i];
    return true;
}

/* a = a - b, for a >= b */
static void whole_subtract(whole *a, const whole *b)
{
    uint64_t borrow = 0;
    for (size_t i = 0; i < a->n; i++) {
        uint64_t right = (i < b->n ? b->limb[i] : 0) + borrow;
        borrow = a->limb[i] < right;
        a->limb[i] = (uint32_t)(a->limb[i] - right);
    }
    while (a->n > 0 && a->limb[a->n - 1] == 0)
        a->n--;
}

static size_t whole_bit_length(const whole *a)
{
    size_t bits = (a->n - 1) * 32;
    for (uint32_t top = a->limb[a->n - 1]; top != 0; top >>= 1)
        bits++;
    return bits;
}

/* num / den = (quotient / 2^63 + a bit more if *more) x 2^(what is returned), with 2^63 <= quotient < 2^64. */
static int whole_divide(whole *num, whole *den, uint64_t *quotient, bool *more)
{
    int num_bits = (int)whole_bit_length(num), den_bits = (int)whole_bit_length(den);
    int exponent = num_bits - den_bits;
    if (exponent > 0)
        whole_shift_left(den, (size_t)exponent);
    else if (exponent < 0)
        whole_shift_left(num, (size_t)-exponent);
    if (!whole_at_least(num, den)) {
        whole_shift_left(num, 1);
        exponent--;
    }
    *quotient = 0;
    for (int bit = 0; bit < 64; bit++) {
        *quotient <<= 1;
        if (whole_at_least(num, den)) {
            whole_subtract(num, den);
            *quotient |= 1;
        }
        whole_shift_left(num, 1);
    }
    *more = num->n > 0;
    return exponent;
}

#define LARGEST_DOUBLE 0x7fefffffffffffffu

/* The bits of the double nearest to (quotient / 2^63 + a bit more) x 2^exponent. */
static uint64_t decimal_round_to_double(uint64_t quotient, bool more, int exponent)
{
    /* A normal double keeps the top 53 of the 64 bits; a subnormal one those worth at least 2^-1074. */
    int dropped = exponent >= -1022 ? 11 : 11 - 1022 - exponent;
    if (dropped > 64)
        return 0;
    uint64_t kept = dropped < 64 ? quotient >> dropped : 0;
    uint64_t half = (uint64_t)1 << (dropped - 1);
    uint64_t rest = quotient & (half - 1);
    if ((quotient & half) != 0 && (rest != 0 || more || kept % 2 == 1))
        kept++;

    /* The leading bit of a normal significand adds one to the exponent field; so does a carry out of the rounding, and
       the step from the largest subnormal to the smallest normal double. */
    uint64_t field = exponent >= -1022 ? (uint64_t)(exponent + 1022) : 0;
    uint64_t bits = (field << 52) + kept;
    return bits < LARGEST_DOUBLE ? bits : LARGEST_DOUBLE;
}

/* What the spelling says: sign, the digits that count as a whole number, and the power of ten. */
typedef struct decimal {
    bool negative;
    whole digits;
    int64_t n_digits;
    int64_t exponent;
} decimal;

#define EXPONENT_LIMIT 1000000000 /* far beyond every double */

static void decimal_read_spelling(const char *text, const char *end, decimal *number)
{
    bool after_point = false, dropped_any = false;
    number->negative = text < end && *text == '-';
    for (text += number->negative; text < end && *text != 'e' && *text != 'E'; text++) {
        if (*text == '.') {
            after_point = true;
            continue;
        }
        bool counts = number->n_digits < MAX_DIGITS;
        if (counts)
            whole_multiply_add(&number->digits, 10, (uint32_t)(*text - '0'));
        number->n_digits += counts && number->digits.n > 0;
        dropped_any = dropped_any || (!counts && *text != '0');
        number->exponent += (counts ? 0 : 1) - (after_point ? 1 : 0);
    }
    if (dropped_any) {
        whole_multiply_add(&number->digits, 10, 1);
        number->n_digits++;
        number->exponent--;
    }
    if (text < end && ++text < end) {
        bool negative = *text == '-';
        uint64_t exponent;
        text += negative || *text == '+';
        ink_digits(text, (size_t)(end - text), &exponent);
        int64_t bounded = exponent < EXPONENT_LIMIT ? (int64_t)exponent : EXPONENT_LIMIT;
        number->exponent += negative ? -bounded : bounded;
    }
}

static uint64_t decimal_magnitude_bits(decimal *number)
{
    whole den = {.limb = {1}, .n = 1};
    uint64_t quotient;
    bool more;
    /* 10^(top - 1) <= the number < 10^top; doubles lie between 4.9e-324 and 1.8e308. */
    int64_t top = number->n_digits + number->exponent;
    if (number->n_digits == 0 || top < -325)
        return 0;
    if (top > 310)
        return LARGEST_DOUBLE;
    if (number->exponent > 0)
        whole_multiply_power_of_10(&number->digits, (size_t)number->exponent);
    else
        whole_multiply_power_of_10(&den, (size_t)-number->exponent);
    int exponent = whole_divide(&number->digits, &den, &quotient, &more);
    return exponent > 1023 ? LARGEST_DOUBLE : decimal_round_to_double(quotient, more, exponent);
}

double ink_decimal(const char *text, size_t size)
{
    decimal number = {0};
    double value;
    decimal_read_spelling(text, text + size, &number);
    uint64_t bits = decimal_magnitude_bits(&number) | (number.negative ? (uint64_t)1 << 63 : 0);
    memcpy(&value, &bits, sizeof value);
    return value;
}
