/* layers.c - see layers.h. */
#include "layers.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- numbers -------------------------------------------------------------------------------------------------- */

void *test_aligned(size_t bytes)
{
    size_t size = (bytes + INK_ALIGNMENT - 1) / INK_ALIGNMENT * INK_ALIGNMENT;
#if defined(_WIN32)
    void *block = _aligned_malloc(size, INK_ALIGNMENT);
#else
    void *block = aligned_alloc(INK_ALIGNMENT, size);
#endif
    assert_non_null(block);
    return memset(block, 0xff, size);
}

void test_aligned_free(void *block)
{
#if defined(_WIN32)
    _aligned_free(block);
#else
    free(block);
#endif
}

float *test_floats(size_t n)
{
    float *x = malloc((n + 1) * sizeof *x);
    assert_non_null(x);
    return x;
}

/* splitmix64 */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* The sum of four uniform numbers is close enough to a normal one. */
float *test_random(size_t n, uint64_t seed, float spread)
{
    float *x = test_floats(n);
    for (size_t i = 0; i < n; i++) {
        uint64_t bits = next_random(&seed);
        double sum = 0;
        for (int part = 0; part < 4; part++)
            sum += (double)((bits >> (16 * part)) & 0xffff) / 65536 - 0.5;
        x[i] = (float)(sum * 1.7320508) * spread;
    }
    return x;
}

float *test_unaligned(const float *x, size_t n, size_t offset, void **block)
{
    *block = malloc((n + 32) * sizeof *x);
    assert_non_null(*block);
    size_t past = (uintptr_t)*block % 64 / sizeof *x;
    float *copy = (float *)*block + (16 - past) % 16 + offset;
    memcpy(copy, x, n * sizeof *x);
    return copy;
}

ink_context *test_variant(ink_context *before, size_t i)
{
    ink_context_free(before);
    ink_context_options options = test_options((unsigned)(i % 3 + 1));
    options.kernel = ink_kernel_name(test_stride(3) == 1 ? i / 3 : i < 3 ? 0 : i - 2);
    if (options.kernel == NULL)
        return NULL;
    ink_context *ctx = ink_context_create(&options);
    assert_non_null(ctx);
    return ctx;
}

/* ---- fixtures ------------------------------------------------------------------------------------------------- */

ink_weights *test_fixture(ink_context *ctx, const char *path)
{
    ink_weights *weights;
    assert_ok(ctx, ink_weights_open(ctx, path, &weights));
    return weights;
}

float *test_tensor(ink_context *ctx, const ink_weights *weights, const char *name, size_t *n)
{
    size_t count;
    const ink_weight *weight = ink_weights_find(weights, name);
    if (weight == NULL)
        fail_msg("the fixture has no tensor '%s'", name);
    assert_true(ink_shape_count(&weight->shape, &count));
    float *x = test_floats(count);
    assert_ok(ctx, ink_weights_read(ctx, weights, weight, x));
    if (n != NULL)
        *n = count;
    return x;
}

float *test_case_tensor(ink_context *ctx, const ink_weights *weights, const char *name, const char *what, size_t *n)
{
    char full[128];
    snprintf(full, sizeof full, "case.%s.%s", name, what);
    return test_tensor(ctx, weights, full, n);
}

/* ---- comparing ------------------------------------------------------------------------------------------------ */

void test_assert_close_to_double(const float *actual, const double *expected, size_t n, double absolute,
                                 double relative, const char *what)
{
    double worst = 0;
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        double error = fabs(actual[i] - expected[i]) / (absolute + relative * fabs(expected[i]));
        if (!(error <= worst)) { /* a NaN is the worst of all */
            worst = error;
            at = i;
        }
        if (isnan(error))
            break;
    }
    if (!(worst <= 1))
        fail_msg("%s: element %zu of %zu is %.9g, expected %.9g: %.3g times the tolerance", what, at, n,
                 (double)actual[at], expected[at], worst);
}

void test_assert_close(const float *actual, const float *expected, size_t n, double absolute, double relative,
                       const char *what)
{
    double *wide = malloc((n + 1) * sizeof *wide);
    assert_non_null(wide);
    for (size_t i = 0; i < n; i++)
        wide[i] = expected[i];
    test_assert_close_to_double(actual, wide, n, absolute, relative, what);
    free(wide);
}

void test_assert_same_bits(const float *actual, const float *expected, size_t n, const char *what)
{
    for (size_t i = 0; i < n; i++)
        if (memcmp(&actual[i], &expected[i], sizeof *actual) != 0)
            fail_msg("%s: element %zu of %zu is %.9g, expected %.9g to the bit", what, i, n, (double)actual[i],
                     (double)expected[i]);
}

/* ---- state_dict ----------------------------------------------------------------------------------------------- */

static void append(void **buffer, size_t *size, const void *bytes, size_t n)
{
    *buffer = realloc(*buffer, *size + n + 1);
    assert_non_null(*buffer);
    memcpy((char *)*buffer + *size, bytes, n);
    *size += n;
}

static void append_text(state_dict *dict, const char *text)
{
    void *header = dict->header;
    append(&header, &dict->header_size, text, strlen(text));
    dict->header = header;
}

void state_dict_add(state_dict *dict, const char *name, ink_type type, size_t rank, const size_t *shape,
                    const void *data)
{
    char text[512];
    size_t count = 1;
    for (size_t i = 0; i < rank; i++)
        count *= shape[i];
    size_t bytes = count * ink_type_bits(type) / 8;

    snprintf(text, sizeof text, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[", dict->header_size > 0 ? "," : "", name,
             ink_type_name(type));
    append_text(dict, text);
    for (size_t i = 0; i < rank; i++) {
        snprintf(text, sizeof text, "%s%zu", i > 0 ? "," : "", shape[i]);
        append_text(dict, text);
    }
    snprintf(text, sizeof text, "],\"data_offsets\":[%zu,%zu]}", dict->data_size, dict->data_size + bytes);
    append_text(dict, text);

    void *own = NULL;
    if (data == NULL && type == INK_F32)
        data = own = test_random(count, dict->data_size + 1, 0.5f);
    else if (data == NULL)
        data = own = calloc(bytes + 1, 1);
    void *all = dict->data;
    append(&all, &dict->data_size, data, bytes);
    dict->data = all;
    free(own);

    /* The file has its lowest byte first, whatever this machine has. */
    const uint16_t one = 1;
    size_t width = bytes / (count > 0 ? count : 1);
    for (size_t i = 0; i < count && *(const unsigned char *)&one == 0; i++)
        for (size_t b = 0; b < width / 2; b++) {
            unsigned char *low = (unsigned char *)all + dict->data_size - bytes + i * width + b;
            unsigned char *high = low + width - 1 - 2 * b, byte = *low;
            *low = *high;
            *high = byte;
        }
}

void state_dict_vector(state_dict *dict, const char *name, size_t n)
{
    state_dict_add(dict, name, INK_F32, 1, (const size_t[]){n}, NULL);
}

void state_dict_matrix(state_dict *dict, const char *name, size_t rows, size_t columns)
{
    state_dict_add(dict, name, INK_F32, 2, (const size_t[]){rows, columns}, NULL);
}

void state_dict_write(state_dict *dict)
{
    unsigned char length[8] = {0};
    void *file = NULL;
    for (size_t i = 0; i < sizeof length; i++)
        length[i] = (unsigned char)((uint64_t)(dict->header_size + 2) >> (8 * i));
    append(&file, &dict->file_size, length, sizeof length);
    append(&file, &dict->file_size, "{", 1);
    append(&file, &dict->file_size, dict->header != NULL ? dict->header : "", dict->header_size);
    append(&file, &dict->file_size, "}", 1);
    append(&file, &dict->file_size, dict->data != NULL ? (void *)dict->data : "", dict->data_size);
    dict->file = file;
    dict->entry = (ink_memory_file){.name = "model.safetensors", .data = dict->file, .size = dict->file_size};
    dict->files = (ink_memory_files){.files = &dict->entry, .n_files = 1};
}

ink_weights *state_dict_open(ink_context *ctx, state_dict *dict)
{
    state_dict_write(dict);
    const ink_source source = ink_source_memory(&dict->files);
    assert_ok(ctx, ink_weights_open_source(ctx, &source, "model.safetensors", &dict->weights));
    return dict->weights;
}

void state_dict_free(state_dict *dict)
{
    ink_weights_free(dict->weights);
    free(dict->header);
    free(dict->data);
    free(dict->file);
    memset(dict, 0, sizeof *dict);
}
