/*
 * number.c - strict numbers.
 *
 * A decimal number m * 10^e with an integer m < 2^53 and |e| <= 22 needs one correctly rounded operation of two
 * exact doubles (Clinger 1990). Longer numbers have no business on these command lines and are refused.
 */
#include "number.h"

#include <stddef.h>

#define MAX_DIGITS 15 /* 10^15 < 2^53 */
#define MAX_POWER 22  /* 10^22 is the last exact power of ten in a double */

bool number_whole(const char *text, uint64_t *value)
{
    uint64_t sum = 0;

    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        uint64_t digit = (uint64_t)(unsigned char)*text - '0';
        if (digit > 9 || sum > (UINT64_MAX - digit) / 10)
            return false;
        sum = 10 * sum + digit;
    }
    *value = sum;
    return true;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* The digits on both sides of the point, as an integer and the power of ten it is to be multiplied by. */
static const char *read_digits(const char *at, uint64_t *digits, int *power)
{
    bool any = false, after_point = false;
    int n = 0;

    for (*digits = 0, *power = 0;; at++) {
        if (*at == '.' && !after_point) {
            after_point = true;
            continue;
        }
        if (!is_digit(*at))
            return any ? at : NULL;
        any = true;
        *digits = 10 * *digits + (uint64_t)(*at - '0');
        n += *digits != 0; /* leading zeros do not count */
        *power -= after_point;
        if (n > MAX_DIGITS || *power < -MAX_POWER)
            return NULL;
    }
}

/* What follows the e. */
static const char *read_exponent(const char *at, int *power)
{
    bool negative = *at == '-';
    int exponent = 0;

    at += *at == '-' || *at == '+';
    if (!is_digit(*at))
        return NULL;
    for (; is_digit(*at); at++) {
        exponent = 10 * exponent + (*at - '0');
        if (exponent > 2 * MAX_POWER)
            return NULL;
    }
    *power += negative ? -exponent : exponent;
    return at;
}

bool number_real(const char *text, double *value)
{
    bool negative = *text == '-';
    const char *at = text + (*text == '-' || *text == '+');
    uint64_t digits;
    int power;
    double scale = 1;

    at = read_digits(at, &digits, &power);
    if (at != NULL && (*at == 'e' || *at == 'E'))
        at = read_exponent(at + 1, &power);
    if (at == NULL || *at != '\0' || power < -MAX_POWER || power > MAX_POWER)
        return false;
    for (int i = 0; i < (power < 0 ? -power : power); i++)
        scale *= 10; /* exact */
    *value = power < 0 ? (double)digits / scale : (double)digits * scale;
    if (negative)
        *value = -*value;
    return true;
}
