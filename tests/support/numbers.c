/* numbers.c - see numbers.h. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "numbers.h"

#include <math.h>
#include <string.h>
#if defined(_WIN32)
#include <windows.h>
#else
#include <sys/mman.h>
#include <unistd.h>
#endif

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

bool same_float(float a, float b) { return isnan(a) ? isnan(b) : bits_of_float(a) == bits_of_float(b); }

double f16_value(uint16_t h)
{
    double fraction = (h & 0x3ff) / 1024.0, sign = (h & 0x8000) != 0 ? -1 : 1;
    int exponent = h >> 10 & 0x1f;
    if (exponent == 31)
        return fraction != 0 ? NAN : sign * INFINITY;
    return sign * (exponent == 0 ? ldexp(fraction, -14) : ldexp(1 + fraction, exponent - 15));
}

/* By the distance to both neighbours. */
uint16_t bf16_of(float x)
{
    uint32_t bits = bits_of_float(x), low = bits & 0xffff;
    uint16_t upper = (uint16_t)(bits >> 16);
    if (isnan(x))
        return (uint16_t)(upper | 0x40);
    if (low > 0x8000 || (low == 0x8000 && (upper & 1) != 0))
        upper++;
    return upper;
}

/* By the distance to both neighbours, which are searched; the one beyond the largest number counts as 65,536. */
uint16_t f16_of(float x)
{
    double a = fabs((double)x);
    uint16_t sign = (uint16_t)(bits_of_float(x) >> 16 & 0x8000), below = 0, above = 0x7c00;
    if (isnan(x))
        return sign | 0x7e00;
    while (above - below > 1) {
        uint16_t middle = (uint16_t)((below + above) / 2);
        *(f16_value(middle) <= a ? &below : &above) = middle;
    }
    double to_below = a - f16_value(below), to_above = (above == 0x7c00 ? 65536 : f16_value(above)) - a;
    bool up = to_above < to_below || (to_above == to_below && (above & 1) == 0);
    return sign | (up ? above : below);
}

uint64_t read_number(const void *at, size_t width)
{
    const unsigned char *bytes = at;
    uint64_t number = 0;
    while (width-- > 0)
        number = number << 8 | bytes[width];
    return number;
}

size_t put_number(void *at, uint64_t number, size_t width)
{
    unsigned char *bytes = at;
    for (size_t i = 0; i < width; i++)
        bytes[i] = (unsigned char)(number >> 8 * i);
    return width;
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

double largest_difference(const float *found, const float *expected, size_t n, double *largest)
{
    double worst = 0, value = 0;
    for (size_t i = 0; i < n; i++) {
        const double difference = fabs((double)found[i] - (double)expected[i]);
        worst = difference > worst || isnan(difference) ? difference : worst;
        value = fmax(value, fabs((double)expected[i]));
    }
    if (largest != NULL)
        *largest = value;
    return worst;
}

static size_t page_size(void)
{
#if defined(_WIN32)
    SYSTEM_INFO info;
    GetSystemInfo(&info);
    return info.dwPageSize;
#else
    return (size_t)sysconf(_SC_PAGESIZE);
#endif
}

static size_t pages_for(size_t size) { return (size + page_size() - 1) / page_size() * page_size(); }

void *guarded_block(size_t size)
{
    size_t page = page_size(), room = pages_for(size);
#if defined(_WIN32)
    char *base = VirtualAlloc(NULL, room + page, MEM_RESERVE, PAGE_NOACCESS);
    if (base == NULL || (room > 0 && VirtualAlloc(base, room, MEM_COMMIT, PAGE_READWRITE) == NULL))
        return NULL;
#else
    char *base = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED || mprotect(base + room, page, PROT_NONE) != 0)
        return NULL;
#endif
    memset(base, 0xff, room);
    return base + room - size;
}

void guarded_free(void *block, size_t size)
{
    char *base = (char *)block + size - pages_for(size);
#if defined(_WIN32)
    VirtualFree(base, 0, MEM_RELEASE);
#else
    munmap(base, pages_for(size) + page_size());
#endif
}
