/* numbers.c - see numbers.h. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "numbers.h"

#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

uint32_t random_bits(uint64_t *seed)
{
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    return (uint32_t)(*seed * UINT64_C(0x2545f4914f6cdd1d) >> 32);
}

void random_floats(uint64_t *seed, size_t n, float *x)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(int32_t)random_bits(seed) * 0x1p-31f;
}

float float_of_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

uint32_t bits_of_float(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

bool same_float(float a, float b)
{
    return isnan(a) ? isnan(b) : bits_of_float(a) == bits_of_float(b);
}

double ulps_between(float x, double exact)
{
    int exponent;
    if ((double)x == exact)
        return 0;
    /* A result that has to overflow is compared with the first number beyond the largest float. */
    if (fabs(exact) > 0x1p128)
        exact = copysign(0x1p128, exact);
    double value = isinf(x) ? copysign(0x1p128, (double)x) : (double)x;
    (void)frexp(exact, &exponent);
    return fabs(value - exact) / ldexp(1, exponent - 24 < -149 ? -149 : exponent - 24);
}

static size_t pages_for(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (size + page - 1) / page * page;
}

void *guarded_block(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), room = pages_for(size);
    char *base = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED || mprotect(base + room, page, PROT_NONE) != 0)
        return NULL;
    memset(base, 0xff, room);
    return base + room - size;
}

void guarded_free(void *block, size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), room = pages_for(size);
    munmap((char *)block + size - room, room + page);
}
