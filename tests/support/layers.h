/*
 * layers.h - what the tests of the layers share: numbers by the yard, fixtures, state_dicts made on the spot, and
 * comparing results. Everything fails the test by itself where something is wrong.
 */
#ifndef INK_TESTS_LAYERS_H
#define INK_TESTS_LAYERS_H

#include "testing.h"

/* `n` floats, malloc'ed; free with free(). */
float *test_floats(size_t n);

/* `bytes` at a multiple of INK_ALIGNMENT, every one of them 0xff, so that floats are NaN. */
void *test_aligned(size_t bytes);
void test_aligned_free(void *block);

/* The same, filled with numbers of about normal distribution times `spread`: the same for the same seed. */
float *test_random(size_t n, uint64_t seed, float spread);

/* A copy that starts `offset` floats behind an aligned address, from 1 to 15: unaligned for every vector. The block
   around it is *block, to be freed. */
float *test_unaligned(const float *x, size_t n, size_t offset, void **block);

/* The tensor of a fixture as floats, malloc'ed; its number of elements in *n (n may be NULL). */
float *test_tensor(ink_context *ctx, const ink_weights *weights, const char *name, size_t *n);

/* The tensor "case.NAME.WHAT" of a fixture: what goes into a case, or what the reference computed. */
float *test_case_tensor(ink_context *ctx, const ink_weights *weights, const char *name, const char *what, size_t *n);

/* Opens a fixture (FIXTURES "/layers/gru.safetensors"); close with ink_weights_free(). */
ink_weights *test_fixture(ink_context *ctx, const char *path);

/* |actual - expected| <= absolute + relative |expected| for all n; prints the worst element otherwise. */
void test_assert_close(const float *actual, const float *expected, size_t n, double absolute, double relative,
                       const char *what);
void test_assert_close_to_double(const float *actual, const double *expected, size_t n, double absolute,
                                 double relative, const char *what);

/* All bits equal; prints the first element that differs otherwise. */
void test_assert_same_bits(const float *actual, const float *expected, size_t n, const char *what);

/* A context for each kernel of this machine and 1, 2, 3 threads: the i-th, or NULL after the last. Where test_stride()
   samples, only the best kernel has each number of threads; the others take turns. Frees `before`, the one of i - 1, or
   NULL:

       ink_context *other = NULL;
       for (size_t i = 0; (other = test_variant(other, i)) != NULL; i++) ... */
ink_context *test_variant(ink_context *before, size_t i);

/*
 * A state_dict, as a safetensors file in memory.
 *
 *     state_dict dict = {0};
 *     state_dict_add(&dict, "net.0.weight", INK_F32, 2, (size_t[]){3, 4}, weights);
 *     ink_weights *file = state_dict_open(ctx, &dict);
 *     ...
 *     state_dict_free(&dict);
 */
typedef struct state_dict {
    char *header; /* entries so far, without the braces */
    size_t header_size;
    unsigned char *data;
    size_t data_size;
    unsigned char *file;
    size_t file_size;
    ink_memory_file entry;
    ink_memory_files files;
    ink_weights *weights;
} state_dict;

/* `data` NULL: random F32 numbers, or zero bytes for other types. Types are F32, BF16, F16, F64, I64. */
void state_dict_add(state_dict *dict, const char *name, ink_type type, size_t rank, const size_t *shape,
                    const void *data);

/* state_dict_add() of random F32 numbers. */
void state_dict_vector(state_dict *dict, const char *name, size_t n);
void state_dict_matrix(state_dict *dict, const char *name, size_t rows, size_t columns);

/* Makes the file, "model.safetensors"; once, and nothing may be added afterwards. */
void state_dict_write(state_dict *dict);

/* Makes it and opens it. state_dict_free() frees the weights, too. */
ink_weights *state_dict_open(ink_context *ctx, state_dict *dict);
void state_dict_free(state_dict *dict);

#endif
