/* test_gguf.c - GGUF files: what is read, what is refused and in which sentences, shards, readers and memory that fail,
   what it may cost. Files that gguf-py wrote are in fixtures/gguf (make_gguf.py), with what gguf-py reads in them. */
#include "testing.h"

#include "counting.h"
#include "faulty.h"
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../src/formats/gguf.h"

#define MB ((size_t)1 << 20)
#define MOST_FILES 8

/*
 * A file is written as a text of words, so that a test shows what is in it:
 *
 *     12:4      the number 12 in 4 bytes, lowest byte first; -1:8
 *     'GGUF'    these bytes
 *     "key"     their number in 8 bytes, and these bytes; ~ is a NUL
 *     |32       zeros up to a multiple of 32
 *     =70       70 bytes 0, 1, 2, ...
 */
static ink_memory_file write_file(const char *name, const char *words)
{
    unsigned char *bytes = malloc(2 * strlen(words) + 4 * MB), *at = bytes;
    for (const char *p = words; *p != '\0';) {
        if (*p == '\'' || *p == '"') {
            const char quote = *p, *end = strchr(p + 1, quote);
            if (quote == '"') {
                ink_put_le(at, 8, (uint64_t)(end - p - 1));
                at += 8;
            }
            for (p++; p < end; p++)
                *at++ = (unsigned char)(*p == '~' ? 0 : *p);
            p++;
        } else if (*p == '|') {
            unsigned long to = strtoul(p + 1, (char **)&p, 10);
            while ((size_t)(at - bytes) % to != 0)
                *at++ = 0;
        } else if (*p == '=') {
            unsigned long n = strtoul(p + 1, (char **)&p, 10);
            for (unsigned long i = 0; i < n; i++)
                *at++ = (unsigned char)i;
        } else if (*p == ' ') {
            p++;
        } else {
            uint64_t number = *p == '-' ? (uint64_t)strtoll(p, (char **)&p, 10) : strtoull(p, (char **)&p, 10);
            size_t width = (size_t)(p[1] - '0');
            assert_true(*p == ':' && width >= 1 && width <= 8);
            ink_put_le(at, width, number);
            at += width;
            p += 2;
        }
    }
    /* Exactly as long as it is, so that a read past its end is seen. */
    size_t size = (size_t)(at - bytes);
    ink_memory_file file = {name, memcpy(malloc(size > 0 ? size : 1), bytes, size), size};
    free(bytes);
    return file;
}

#define HEAD(n_tensors, n_keys) "'GGUF' 3:4 " #n_tensors ":8 " #n_keys ":8 "
#define U32(key, value) "\"" key "\" 4:4 " #value ":4 "
#define TEXT(key, value) "\"" key "\" 8:4 \"" value "\" "
#define ROW(name, n, type, offset) "\"" name "\" 1:4 " #n ":8 " #type ":4 " #offset ":8 "
#define MATRIX(name, n, m, type, offset) "\"" name "\" 2:4 " #n ":8 " #m ":8 " #type ":4 " #offset ":8 "
#define QUANTISED U32("general.quantization_version", 2)

/* Keys of several kinds, two tensors, an alignment. */
#define SAMPLE                                                                                                         \
    HEAD(2, 6)                                                                                                         \
    TEXT("general.architecture", "llama")                                                                              \
    U32("general.alignment", 16)                                                                                       \
    QUANTISED                                                                                                          \
    "\"b\" 7:4 1:1 \"list\" 9:4 8:4 2:8 \"x\" \"\" \"i\" 9:4 3:4 2:8 -5:2 7:2 " MATRIX("blk.0.w", 32, 2, 2, 0)         \
        MATRIX("v", 3, 2, 0, 48) "|16 =36 |16 =24"

static ink_result open_files(ink_context *ctx, faulty *reader, const ink_memory_file *files, size_t n, const char *name,
                             ink_weights **weights)
{
    *weights = (ink_weights *)ctx; /* must be overwritten in any case */
    faulty_init(reader, files, n);
    ink_result result = ink_weights_open_source(ctx, &reader->source, name, weights);
    if (result != INK_OK) {
        assert_null(*weights);
        assert_int_equal(reader->open_files, 0);
    }
    return result;
}

/* Every tensor is found by its name, is as long as its type and shape say, and can be read. */
static void check_tensors(ink_context *ctx, const ink_weights *weights)
{
    for (size_t i = 0; i < ink_weights_count(weights); i++) {
        const ink_weight *weight = ink_weights_at(weights, i);
        const ink_block_size block = ink_type_block(weight->type);
        size_t count;
        assert_ptr_equal(ink_weights_find(weights, weight->name), weight);
        assert_true(ink_shape_count(&weight->shape, &count));
        assert_int_equal(count / block.elements * block.bytes, weight->size);
        float *values = malloc(count * sizeof *values + 1);
        void *bytes = malloc((size_t)weight->size + 1);
        bool reads = ink_type_is_float(weight->type) || ink_type_is_quantised(weight->type);
        assert_int_equal(ink_weights_read(ctx, weights, weight, values), reads ? INK_OK : INK_ERROR_UNSUPPORTED);
        assert_ok(ctx, ink_weights_read_bytes(ctx, weights, weight, 0, bytes, (size_t)weight->size));
        free(values);
        free(bytes);
    }
}

static void accept(ink_context *ctx, const char *words, size_t n_tensors)
{
    faulty reader;
    ink_weights *weights;
    ink_memory_file file = write_file("m.gguf", words);
    assert_ok(ctx, open_files(ctx, &reader, &file, 1, "m.gguf", &weights));
    assert_int_equal(ink_weights_count(weights), n_tensors);
    assert_null(ink_weights_at(weights, n_tensors));
    check_tensors(ctx, weights);
    ink_weights_free(weights);
    free((void *)file.data);
}

/* ---- good files -------------------------------------------------------------------------------------------------- */

static void lists_what_is_in_a_file(ink_context *ctx, counting *memory)
{
    faulty reader;
    ink_weights *weights;
    ink_memory_file file = write_file("m.gguf", SAMPLE);
    (void)memory;
    assert_ok(ctx, open_files(ctx, &reader, &file, 1, "m.gguf", &weights));
    assert_int_equal(ink_weights_count(weights), 2);
    assert_string_equal(ink_weights_name(weights), "m.gguf");
    const ink_weight *w = ink_weights_find(weights, "blk.0.w"), *v = ink_weights_at(weights, 1);
    assert_ptr_equal(w, ink_weights_at(weights, 0));
    assert_int_equal(w->type, INK_Q4_0);
    assert_true(w->shape.rank == 2 && w->shape.dim[0] == 2 && w->shape.dim[1] == 32);
    assert_true(v->type == INK_F32 && v->shape.dim[0] == 2 && v->shape.dim[1] == 3);
    assert_true(v->offset + v->size == file.size && v->offset == w->offset + 48 && w->size == 36);
    assert_string_equal(ink_weights_metadata(weights, "general.architecture"), "llama");
    assert_null(ink_weights_metadata(weights, "general.alignment"));
    assert_null(ink_weights_metadata(weights, "list"));
    assert_null(ink_weights_metadata(weights, "none"));
    check_tensors(ctx, weights);
    ink_weights_free(weights);

    /* What it is, the first bytes say, and then the name. */
    file.name = "m.safetensors";
    assert_ok(ctx, open_files(ctx, &reader, &file, 1, "m.safetensors", &weights));
    assert_int_equal(ink_weights_count(weights), 2);
    ink_weights_free(weights);

    /* A folder with nothing else. */
    file.name = "model.gguf";
    faulty_init(&reader, &file, 1);
    assert_ok(ctx, ink_weights_open_folder(ctx, &reader.source, &weights));
    assert_int_equal(ink_weights_count(weights), 2);
    assert_string_equal(ink_weights_name(weights), "model.gguf");
    ink_weights_free(weights);
    free((void *)file.data);
}

static void accepts_what_is_legal(ink_context *ctx, counting *memory)
{
    (void)memory;
    accept(ctx, HEAD(0, 0), 0);
    accept(ctx, "'GGUF' 2:4 0:8 0:8", 0);
    accept(ctx, HEAD(0, 0) "|32", 0);
    accept(ctx, HEAD(0, 1) TEXT("k", ""), 0);
    accept(ctx, HEAD(0, 1) "\"k\" 9:4 8:4 0:8", 0);
    accept(ctx, HEAD(0, 1) "\"k\" 9:4 12:4 0:8 |32", 0);
    accept(ctx, HEAD(1, 0) ROW("t", 4, 0, 0) "|32 =16", 1);     /* without padding behind the last tensor, */
    accept(ctx, HEAD(1, 0) ROW("t", 4, 0, 0) "|32 =16 |32", 1); /* with all of it, */
    accept(ctx, HEAD(1, 0) ROW("t", 4, 0, 0) "|32 =20", 1);     /* and with some */
    accept(ctx, HEAD(1, 0) "\"scalar\" 0:4 0:4 0:8 |32 =4", 1);
    accept(ctx, HEAD(1, 0) "\"t\" 4:4 1:8 1:8 1:8 2:8 24:4 0:8 |32 =2", 1);
    /* Tensors without elements, at the beginning, between others and at the end. */
    accept(ctx,
           HEAD(4, 0) ROW("a", 0, 0, 0) ROW("b", 3, 24, 0) MATRIX("c", 0, 7, 1, 32) ROW("d", 0, 24, 32) "|32 =3 |32",
           4);
    /* Alignments. */
    accept(ctx, HEAD(2, 1) U32("general.alignment", 1) ROW("a", 3, 24, 0) ROW("b", 2, 0, 3) "=11", 2);
    accept(ctx, HEAD(2, 1) U32("general.alignment", 64) ROW("a", 3, 24, 0) ROW("b", 2, 0, 64) "|64 =3 |64 =8", 2);
    accept(ctx, HEAD(1, 1) U32("general.alignment", 1048576) ROW("a", 3, 24, 0) "|1048576 =3", 1);
    accept(ctx, HEAD(1, 0) ROW("a23456789b123456789c123456789d123456789e123456789f123456789g123", 1, 24, 0) "|32 =1",
           1);
    /* Names that would be trouble in a message or as a path, but are only names. */
    accept(ctx, HEAD(1, 0) ROW("%s%n\n\033[31m../", 1, 24, 0) "|32 =1", 1);
    accept(ctx, HEAD(0, 3) U32("split.no", 0) U32("split.count", 1) U32("split.tensors.count", 9), 0);
    accept(ctx, HEAD(0, 1) U32("split.count", 0), 0);
    /* Every type, one block of it, and what it is called. */
    static const struct {
        unsigned number;
        ink_type type;
    } types[] = {{0, INK_F32},     {1, INK_F16},     {2, INK_Q4_0},  {3, INK_Q4_1},  {6, INK_Q5_0},  {7, INK_Q5_1},
                 {8, INK_Q8_0},    {10, INK_Q2_K},   {11, INK_Q3_K}, {12, INK_Q4_K}, {13, INK_Q5_K}, {14, INK_Q6_K},
                 {20, INK_IQ4_NL}, {23, INK_IQ4_XS}, {24, INK_I8},   {25, INK_I16},  {26, INK_I32},  {27, INK_I64},
                 {28, INK_F64},    {30, INK_BF16},   {39, INK_MXFP4}};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        char words[300];
        const ink_block_size block = ink_type_block(types[i].type);
        snprintf(words, sizeof words, HEAD(1, 1) QUANTISED "\"t\" 2:4 %zu:8 3:8 %u:4 0:8 |32 =%zu", 2 * block.elements,
                 types[i].number, 6 * block.bytes);
        ink_memory_file file = write_file("m.gguf", words);
        faulty reader;
        ink_weights *weights;
        assert_ok(ctx, open_files(ctx, &reader, &file, 1, "m.gguf", &weights));
        assert_int_equal(ink_weights_at(weights, 0)->type, types[i].type);
        check_tensors(ctx, weights);
        ink_weights_free(weights);
        free((void *)file.data);
    }
}

/* ---- refusals ---------------------------------------------------------------------------------------------------- */

typedef struct refusal {
    const char *words;
    ink_result result;
    const char *sentence; /* behind "m.gguf: " */
} refusal;

#define C INK_ERROR_CORRUPT
#define U INK_ERROR_UNSUPPORTED
#define M INK_ERROR_MISMATCH

static const refusal refusals[] = {
    /* the head */
    {"", C, "this is not a GGUF file: it does not begin with \"GGUF\""},
    {"'GGU'", C, "this is not a GGUF file: it does not begin with \"GGUF\""},
    {"'GGUf' 3:4 0:8 0:8", C, "this is not a GGUF file: it does not begin with \"GGUF\""},
    {"'PK' 3:1 4:1 =40", C, "this is not a GGUF file but a zip archive, as torch.save writes it"},
    {"'version https://git-lfs.github.com/spec/v1'", C,
     "this is not a GGUF file but a git-lfs pointer: the file itself was not downloaded (git lfs pull)"},
    {"'<!doctype html>'", C, "this is not a GGUF file but an HTML page, perhaps the error message of a download"},
    {"'GGUF'", C, "a GGUF file has at least 24 bytes, this one has 4"},
    {"'GGUF' 3:4 0:8 0:7", C, "a GGUF file has at least 24 bytes, this one has 23"},
    {"'GGUF' 0:4 0:8 0:8", C, "byte 4: this is version 0 of GGUF, expected 2 or 3"},
    {"'GGUF' 1:4 0:8 0:8", U, "byte 4: this is version 1 of GGUF, expected 2 or 3; convert the model again"},
    {"'GGUF' 4:4 0:8 0:8", U, "byte 4: this is version 4 of GGUF, expected 2 or 3"},
    {"'GGUF' 65539:4 0:8 0:8", U, "byte 4: this is version 65539 of GGUF, expected 2 or 3"},
    {"'GGUF' 50331648:4 0:8 0:8", U, "byte 4: this is a big-endian GGUF file; only little-endian ones are supported"},
    {"'GGUF' 33554432:4 0:8 0:8", U, "byte 4: this is a big-endian GGUF file; only little-endian ones are supported"},
    {HEAD(1, 0) "=24", C, "byte 8: 1 tensors need at least 25 bytes each, but 24 bytes follow"},
    {HEAD(-1, 0), C, "byte 8: 18446744073709551615 tensors need at least 25 bytes each, but 0 bytes follow"},
    {HEAD(0, 1) "=13", C, "byte 16: 1 keys need at least 14 bytes each, but there is room for 0"},
    {HEAD(1, 2) "=52", C, "byte 16: 2 keys need at least 14 bytes each, but there is room for 1"},
    {HEAD(0, -1) "=60", C, "byte 16: 18446744073709551615 keys need at least 14 bytes each, but there is room for 4"},
    /* keys */
    {HEAD(0, 1) "\"\" 4:4 1:4 =9", C, "byte 24: a key without a name"},
    {HEAD(0, 1) "65536:8 =65536 4:4 1:4", C, "byte 24: a key whose name has 65536 bytes, at most 65535 are legal"},
    {HEAD(0, 1) "-1:8 =30", C, "byte 24: a key whose name has 18446744073709551615 bytes, at most 65535 are legal"},
    {HEAD(0, 1) "100:8 =30", C, "byte 24: 100 bytes at 32 pass the end of the file at 62"},
    {HEAD(0, 1) "\"a~b\" 4:4 1:4", C, "key 'a\\x00b' (byte 24): its name contains a NUL character"},
    {HEAD(0, 1) "\"a\xff\" 4:4 1:4", C, "key 'a\\xff' (byte 24): its name is not valid UTF-8"},
    {HEAD(0, 1) "\"a\xed\xa0\x80\" 4:4 1:4", C, "key 'a\\xed\\xa0\\x80' (byte 24): its name is not valid UTF-8"},
    {HEAD(0, 2) U32("twice", 1) U32("twice", 2), C, "key 'twice' is there twice, at bytes 24 and 45"},
    {HEAD(0, 1) "\"key\" 13:4 1:4", C, "key 'key' (byte 24): its value has type 13, expected 0 to 12"},
    {HEAD(0, 1) "\"key\" -1:4 1:4", C, "key 'key' (byte 24): its value has type 4294967295, expected 0 to 12"},
    {HEAD(0, 1) "\"key\" 9:4 99:4 0:8", C, "key 'key' (byte 24): its value has type 99, expected 0 to 12"},
    {HEAD(0, 1) "\"key\" 9:4 9:4 1:8 4:4 0:8", U, "key 'key' (byte 24): an array of arrays is not supported"},
    {HEAD(0, 1) "\"key\" 12:4 1:7", C, "key 'key' (byte 24): 1 values of at least 8 bytes, but 7 bytes follow"},
    {HEAD(0, 1) "\"key\" 9:4 4:4 3:8 =11", C,
     "key 'key' (byte 24): an array of 3 values of at least 4 bytes, but 11 bytes follow"},
    {HEAD(0, 1) "\"key\" 9:4 4:4 4611686018427387905:8 =11", C,
     "key 'key' (byte 24): an array of 4611686018427387905 values of at least 4 bytes, but 11 bytes follow"},
    {HEAD(0, 1) "\"key\" 9:4 8:4 3:8 =16", C,
     "key 'key' (byte 24): an array of 3 values of at least 8 bytes, but 16 bytes follow"},
    {HEAD(0, 1) "\"key\" 9:4 8:4 2:8 \"abcdefgh\"", C,
     "key 'key' (byte 24): 8 bytes at 67 pass the end of the file at 67"},
    {HEAD(0, 1) "\"key\" 8:4 6:8 'short'", C, "key 'key' (byte 24): 6 bytes at 47 pass the end of the file at 52"},
    {HEAD(0, 1) "\"key\" 8:4 -1:8 'short'", C,
     "key 'key' (byte 24): 18446744073709551615 bytes at 47 pass the end of the file at 52"},
    {HEAD(0, 1) "\"key\" 8:4 \"a~b\"", C, "key 'key' (byte 24): its value contains a NUL character"},
    {HEAD(0, 1) "\"key\" 8:4 \"\xc3\"", C, "key 'key' (byte 24): its value is not valid UTF-8"},
    {HEAD(0, 1) "\"key\" 9:4 8:4 3:8 \"a\" \"\" \"~\"", C, "key 'key' (byte 24): element 2 contains a NUL character"},
    {HEAD(0, 1) "\"key\" 9:4 8:4 1:8 \"\x80\"", C, "key 'key' (byte 24): element 0 is not valid UTF-8"},
    {HEAD(0, 1) "\"key\" 7:4 2:1", C, "key 'key' (byte 24): a bool of 2, expected 0 or 1"},
    {HEAD(0, 1) "\"key\" 9:4 7:4 3:8 0:1 1:1 255:1", C, "key 'key' (byte 24): a bool of 255, expected 0 or 1"},
    /* the alignment */
    {HEAD(0, 1) "\"general.alignment\" 10:4 32:8", C, "key 'general.alignment' (byte 24): expected u32, found u64"},
    {HEAD(0, 1) "\"general.alignment\" 8:4 \"32\"", C, "key 'general.alignment' (byte 24): expected u32, found string"},
    {HEAD(0, 1) "\"general.alignment\" 9:4 4:4 1:8 32:4", C,
     "key 'general.alignment' (byte 24): expected u32, found an array of u32"},
    {HEAD(0, 1) U32("general.alignment", 0), C,
     "key 'general.alignment' (byte 24): expected a power of two from 1 to 1048576, found 0"},
    {HEAD(0, 1) U32("general.alignment", 24), C,
     "key 'general.alignment' (byte 24): expected a power of two from 1 to 1048576, found 24"},
    {HEAD(0, 1) U32("general.alignment", 2097152), C,
     "key 'general.alignment' (byte 24): expected a power of two from 1 to 1048576, found 2097152"},
    {HEAD(0, 1) U32("general.alignment", 2147483648), C,
     "key 'general.alignment' (byte 24): expected a power of two from 1 to 1048576, found 2147483648"},
    /* tensors */
    {HEAD(1, 0) ROW("", 4, 0, 0) "|32 =16", C, "byte 24: a tensor without a name"},
    {HEAD(1, 0) ROW("a23456789b123456789c123456789d123456789e123456789f123456789g1234", 1, 24, 0) "|32 =1", C,
     "byte 24: a tensor whose name has 64 bytes, at most 63 are legal"},
    {HEAD(1, 0) ROW("a~", 4, 0, 0) "|32 =16", C, "tensor 'a\\x00' (byte 24): its name contains a NUL character"},
    {HEAD(1, 0) ROW("a\xf0", 4, 0, 0) "|32 =16", C, "tensor 'a\\xf0' (byte 24): its name is not valid UTF-8"},
    {HEAD(2, 0) ROW("a", 4, 24, 0) ROW("a", 4, 24, 32) "|32 =36", C,
     "tensor 'a' is there twice, with data at bytes 96 and 128"},
    {HEAD(2, 0) ROW("", 4, 24, 0) ROW("", 4, 24, 32) "|32 =36", C, "byte 24: a tensor without a name"},
    {HEAD(1, 0) "\"t\" 5:4 1:8 1:8 1:8 1:8 1:8 0:4 0:8 |32 =4", C,
     "tensor 't' (byte 24): it has 5 dimensions, at most 4 are legal"},
    {HEAD(1, 0) "\"t\" -1:4 =80", C, "tensor 't' (byte 24): it has 4294967295 dimensions, at most 4 are legal"},
    {HEAD(1, 0) "\"t\" 2:4 1:8 1:8 =11", C, "tensor 't' (byte 24): 28 bytes at 37 pass the end of the file at 64"},
    {HEAD(1, 0) ROW("t", 9223372036854775808, 24, 0) "|32", C,
     "tensor 't' (byte 24): dimension 0 is 9223372036854775808, which is too large"},
    {HEAD(1, 0) MATRIX("t", 0, -1, 24, 0) "|32", C,
     "tensor 't' (byte 24): dimension 1 is 18446744073709551615, which is too large"},
    {HEAD(1, 0) MATRIX("t", 4294967296, 4294967296, 0, 0) "|32", C,
     "tensor 't' (byte 24): the size of [4294967296, 4294967296] overflows"},
    {HEAD(1, 0) MATRIX("t", 4398046511105, 4194304, 0, 0) "|32", C,
     "tensor 't' (byte 24): the size of [4194304, 4398046511105] overflows"},
    {HEAD(1, 0) MATRIX("t", 4611686018427387904, 1, 0, 0) "|32", C,
     "tensor 't' (byte 24): the size of [1, 4611686018427387904] overflows"},
    {HEAD(1, 0) "\"t\" 3:4 4294967296:8 0:8 4294967296:8 24:4 0:8 |32", C,
     "tensor 't' (byte 24): the size of [4294967296, 0, 4294967296] overflows"},
    {HEAD(1, 0) ROW("t", 4611686018427387903, 24, 0) "|32", C,
     "tensor 't' (byte 24): I8 [4611686018427387903] needs 4611686018427387903 bytes from byte 0 of the data "
     "on, but the whole file has 64"},
    {HEAD(1, 1) QUANTISED ROW("t", 100, 8, 0) "|32 =128", C,
     "tensor 't' (byte 68): a row of 100 elements is no whole number of Q8_0 blocks of 32"},
    {HEAD(1, 1) QUANTISED MATRIX("t", 128, 2, 12, 0) "|32 =144", C,
     "tensor 't' (byte 68): a row of 128 elements is no whole number of Q4_K blocks of 256"},
    {HEAD(1, 1) QUANTISED "\"t\" 0:4 2:4 0:8 |32 =144", C,
     "tensor 't' (byte 68): a row of 1 elements is no whole number of Q4_0 blocks of 32"},
    /* places */
    {HEAD(2, 0) ROW("a", 4, 24, 0) ROW("b", 4, 24, 4) "|32 =36", C,
     "tensor 'b' (byte 57): its data begin 4 bytes behind the table, expected 32"},
    {HEAD(2, 0) ROW("a", 4, 24, 32) ROW("b", 4, 24, 0) "|32 =36", C,
     "tensor 'a' (byte 24): its data begin 32 bytes behind the table, expected 0"},
    {HEAD(2, 0) ROW("a", 4, 24, 0) ROW("b", 4, 24, 0) "|32 =36", C,
     "tensor 'b' (byte 57): its data begin 0 bytes behind the table, expected 32"},
    {HEAD(2, 0) ROW("a", 4, 24, 0) ROW("b", 4, 24, 64) "|32 =68", C,
     "tensor 'b' (byte 57): its data begin 64 bytes behind the table, expected 32"},
    {HEAD(1, 0) ROW("a", 4, 24, -32) "|32 =36", C,
     "tensor 'a' (byte 24): its data begin 18446744073709551584 bytes behind the table, expected 0"},
    {HEAD(1, 0) ROW("t", 5, 0, 0) "|32 =19", C,
     "tensor 't' (byte 24): its 20 bytes from byte 64 on pass the end of the file at 83"},
    {HEAD(1, 0) ROW("t", 5, 0, 0) "", C,
     "tensor 't' (byte 24): its 20 bytes from byte 64 on pass the end of the file at 57"},
    {HEAD(2, 0) ROW("t", 5, 0, 0) ROW("u", 5, 0, 32) "|32 =20", C,
     "tensor 'u' (byte 57): its 20 bytes from byte 128 on pass the end of the file at 116"},
    {HEAD(1, 0) ROW("t", 4, 0, 0) "|32 =33", C, "the tensors end at byte 80, but the file has 97 bytes"},
    {HEAD(0, 0) "=9", C, "the tensors end at byte 24, but the file has 33 bytes"},
    /* types */
    {HEAD(1, 0) ROW("t", 32, 4, 0) "|32 =36", U,
     "tensor 't' (byte 24): its type 4 (Q4_2) is not supported: it was removed from GGUF"},
    {HEAD(1, 0) ROW("t", 256, 34, 0) "|32 =54", U, "tensor 't' (byte 24): its type 34 (TQ1_0) is not supported"},
    {HEAD(1, 0) ROW("t", 32, 9, 0) "|32 =36", U,
     "tensor 't' (byte 24): its type 9 (Q8_1) is not supported: it is one of intermediate results, not of files"},
    {HEAD(1, 0) ROW("t", 256, 139, 0) "|32 =144", U,
     "tensor 't' (byte 24): its type 139 is not supported: it is one of ik_llama.cpp"},
    {HEAD(1, 0) ROW("t", 256, 43, 0) "|32 =144", U, "tensor 't' (byte 24): its type 43 is unknown"},
    {HEAD(1, 0) ROW("t", 256, -1, 0) "|32 =144", U, "tensor 't' (byte 24): its type 4294967295 is unknown"},
    /* the version of quantising */
    {HEAD(1, 0) ROW("t", 32, 2, 0) "|32 =18", C,
     "key 'general.quantization_version' is missing, but tensor 't' is quantised (Q4_0)"},
    {HEAD(1, 1) U32("general.quantization_version", 1) ROW("t", 32, 2, 0) "|32 =18", U,
     "key 'general.quantization_version' (byte 24): expected 2, found 1: its blocks have an older order"},
    {HEAD(1, 1) U32("general.quantization_version", 3) ROW("t", 32, 2, 0) "|32 =18", U,
     "key 'general.quantization_version' (byte 24): expected 2, found 3"},
    {HEAD(1, 1) TEXT("general.quantization_version", "2") ROW("t", 32, 2, 0) "|32 =18", M,
     "key 'general.quantization_version' (byte 24): expected an integer from 0 to 9223372036854775807, found \"2\""},
    /* shards, of which there is only this one */
    {HEAD(0, 3) U32("split.no", 1) U32("split.count", 3) U32("split.tensors.count", 9), M,
     "split.no is 1 and split.count 3, so its name should end in '-00002-of-00003.gguf'"},
    {HEAD(0, 2) U32("split.count", 3) U32("split.tensors.count", 9), M, "key 'split.no' is missing"},
    {HEAD(0, 2) U32("split.no", 0) U32("split.count", 3), M, "key 'split.tensors.count' is missing"},
    {HEAD(0, 3) U32("split.no", 3) U32("split.count", 3) U32("split.tensors.count", 9), M,
     "key 'split.no' (byte 24): expected an integer from 0 to 2, found 3"},
    {HEAD(0, 1) U32("split.count", 65536), M,
     "key 'split.count' (byte 24): expected an integer from 0 to 65535, found 65536"},
    {HEAD(0, 1) TEXT("split.count", "3"), M,
     "key 'split.count' (byte 24): expected an integer from 0 to 65535, found \"3\""},
};

static void every_refusal_has_its_sentence(ink_context *ctx, counting *memory)
{
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        faulty reader;
        ink_weights *weights;
        ink_memory_file file = write_file("m.gguf", refusals[i].words);
        ink_result result = open_files(ctx, &reader, &file, 1, "m.gguf", &weights);
        char sentence[400];
        snprintf(sentence, sizeof sentence, "m.gguf: %s", refusals[i].sentence);
        assert_string_equal(ink_context_error(ctx), sentence);
        assert_int_equal(result, refusals[i].result);
        assert_int_equal(memory->live_bytes, memory->at_rest);
        free((void *)file.data);
    }
}

/* Every number that is not one of our types is refused, by name where it has one. */
static void types_are_named(ink_context *ctx, counting *memory)
{
    static const char *const names[] = {
        [4] = "Q4_2",    [5] = "Q4_3",        [9] = "Q8_1",        [15] = "Q8_K",       [16] = "IQ2_XXS",
        [17] = "IQ2_XS", [18] = "IQ3_XXS",    [19] = "IQ1_S",      [21] = "IQ3_S",      [22] = "IQ2_S",
        [29] = "IQ1_M",  [31] = "Q4_0_4_4",   [32] = "Q4_0_4_8",   [33] = "Q4_0_8_8",   [34] = "TQ1_0",
        [35] = "TQ2_0",  [36] = "IQ4_NL_4_4", [37] = "IQ4_NL_4_8", [38] = "IQ4_NL_8_8", [40] = "NVFP4",
        [41] = "Q1_0",   [42] = "Q2_0"};
    static const unsigned removed[] = {4, 5, 31, 32, 33, 36, 37, 38};
    (void)memory;
    for (unsigned number = 0; number < 420; number++) {
        faulty reader;
        ink_weights *weights;
        char words[200], part[60];
        snprintf(words, sizeof words, HEAD(1, 1) QUANTISED "\"t\" 1:4 256:8 %u:4 0:8 |32 =4096", number);
        ink_memory_file file = write_file("m.gguf", words);
        ink_result result = open_files(ctx, &reader, &file, 1, "m.gguf", &weights);
        const char *name = number < sizeof names / sizeof names[0] ? names[number] : NULL;
        const char *sentence = ink_context_error(ctx);
        if (result == INK_ERROR_CORRUPT) {
            assert_non_null(strstr(sentence, "the tensors end at")); /* a type that can be read */
            assert_true(number <= 39 && name == NULL);
        } else {
            assert_int_equal(result, INK_ERROR_UNSUPPORTED);
            bool ik = (number >= 97 && number <= 158) || number >= 200;
            snprintf(part, sizeof part, "its type %u%s%s%s is %s", number, name != NULL ? " (" : "",
                     name != NULL ? name : "", name != NULL ? ")" : "",
                     name != NULL || ik ? "not supported" : "unknown");
            if (number < 400 && !(number > 158 && number < 200))
                assert_non_null(strstr(sentence, part));
            if (ik && number < 400)
                assert_non_null(strstr(sentence, "it is one of ik_llama.cpp"));
        }
        for (size_t i = 0; i < sizeof removed / sizeof removed[0]; i++)
            assert_true(number != removed[i] || strstr(sentence, "removed from GGUF") != NULL);
        free((void *)file.data);
    }
}

/* Cut anywhere, also where a table, a name or a number is cut; only the padding at the end may be missing. */
static void every_truncation_is_refused(ink_context *ctx, counting *memory)
{
    ink_memory_file file = write_file("m.gguf", SAMPLE "|16");
    for (size_t size = 0; size < file.size; size++) {
        faulty reader;
        ink_weights *weights;
        unsigned char *copy = memcpy(malloc(size + (size == 0)), file.data, size);
        ink_result result = open_files(ctx, &reader, &(ink_memory_file){"m.gguf", copy, size}, 1, "m.gguf", &weights);
        assert_int_equal(result, size < file.size - 8 ? INK_ERROR_CORRUPT : INK_OK);
        assert_true(result == INK_OK || strncmp(ink_context_error(ctx), "m.gguf: ", 8) == 0);
        ink_weights_free(weights);
        assert_int_equal(memory->live_bytes, memory->at_rest);
        free(copy);
    }
    free((void *)file.data);
}

/* Every byte in every way: what opens has tensors that can be read, and keys that can be found. */
static void every_flip_is_safe(ink_context *ctx, counting *memory)
{
    ink_memory_file file = write_file("m.gguf", SAMPLE);
    unsigned char *bytes = (unsigned char *)(uintptr_t)file.data;
    size_t n_opened = 0;
    for (size_t i = 0; i < file.size; i++)
        for (unsigned change = 1; change < 256; change += i < file.size - 64 ? 1 : 51) {
            faulty reader;
            ink_weights *weights;
            bytes[i] ^= (unsigned char)change;
            if (open_files(ctx, &reader, &file, 1, "m.gguf", &weights) == INK_OK) {
                const ink_gguf *gguf = ink_weights_gguf(weights);
                check_tensors(ctx, weights);
                for (size_t k = 0; k < gguf->n_values; k++)
                    assert_ptr_equal(ink_gguf_find(gguf, gguf->values[k].key), &gguf->values[k]);
                n_opened++;
            } else {
                assert_true(strncmp(ink_context_error(ctx), "m.gguf: ", 8) == 0);
            }
            ink_weights_free(weights);
            assert_int_equal(memory->live_bytes, memory->at_rest);
            bytes[i] ^= (unsigned char)change;
        }
    assert_true(n_opened > 1000); /* names, values and data */
    free((void *)file.data);
}

/* ---- typed access ------------------------------------------------------------------------------------------------ */

#define VALUES                                                                                                         \
    HEAD(0, 14)                                                                                                        \
    "\"u8\" 0:4 255:1 \"i8\" 1:4 255:1 \"u16\" 2:4 65535:2 \"i16\" 3:4 65535:2 \"u32\" 4:4 -1:4 \"i32\" 5:4 -1:4 "     \
    "\"u64\" 10:4 -1:8 \"i64\" 11:4 -1:8 \"f32\" 6:4 1069547520:4 \"f64\" 12:4 4609434218613702656:8 "                 \
    "\"nan\" 6:4 2143289344:4 \"bool\" 7:4 1:1 \"text\" 8:4 \"abc\" \"list\" 9:4 5:4 3:8 7:4 -8:4 9:4 "

/* A wrong type, a number out of range, and an array that is too short are found where the value is used. */
static void values_are_checked_where_they_are_used(ink_context *ctx, counting *memory)
{
    static const struct {
        const char *key;
        int64_t value; /* INT64_MIN: no integer */
        const char *found;
    } integers[] = {
        {"u8", 255, ""},
        {"i8", -1, ""},
        {"u16", 65535, ""},
        {"i16", -1, ""},
        {"u32", 4294967295, ""},
        {"i32", -1, ""},
        {"u64", INT64_MAX, ""},
        {"i64", -1, ""},
        {"f32", INT64_MIN, "f32"},
        {"f64", INT64_MIN, "f64"},
        {"bool", INT64_MIN, "bool"},
        {"text", INT64_MIN, "\"abc\""},
        {"list", INT64_MIN, "an array of 3 of type i32"},
    };
    faulty reader;
    ink_weights *weights;
    ink_memory_file file = write_file("m.gguf", VALUES);
    (void)memory;
    assert_ok(ctx, open_files(ctx, &reader, &file, 1, "m.gguf", &weights));
    const ink_gguf *gguf = ink_weights_gguf(weights);
    for (size_t i = 0; i < sizeof integers / sizeof integers[0]; i++) {
        const ink_gguf_value *value = ink_gguf_find(gguf, integers[i].key);
        int64_t number = 42;
        char sentence[200];
        ink_result result = ink_gguf_get_int(ctx, gguf, value, INT64_MIN, INT64_MAX, &number);
        assert_int_equal(result, integers[i].value != INT64_MIN ? INK_OK : INK_ERROR_MISMATCH);
        assert_true(number == (result == INK_OK ? integers[i].value : 42));
        snprintf(sentence, sizeof sentence, "m.gguf: key '%s' (byte %zu): expected an integer%s, found %s",
                 integers[i].key, (size_t)value->offset,
                 value->is_array ? "" : " from -9223372036854775808 to 9223372036854775807", integers[i].found);
        assert_true(result == INK_OK || strcmp(ink_context_error(ctx), sentence) == 0);
    }

    const ink_gguf_value *u8 = ink_gguf_find(gguf, "u8"), *list = ink_gguf_find(gguf, "list"), *none = u8;
    int64_t number;
    double real = 42;
    bool yes = false;
    const char *text;
    size_t size;
    assert_null(ink_gguf_find(gguf, "u"));
    assert_null(ink_gguf_find(gguf, ""));
    assert_fails(ctx, ink_gguf_require(ctx, gguf, "u", &none), INK_ERROR_MISMATCH, "m.gguf: key 'u' is missing");
    assert_ptr_equal(none, u8);
    assert_int_equal(ink_gguf_require(ctx, gguf, "list", &none), INK_OK);
    assert_ptr_equal(none, list);
    assert_fails(ctx, ink_gguf_get_int(ctx, gguf, u8, 0, 254, &number), INK_ERROR_MISMATCH,
                 "key 'u8' (byte 24): expected an integer from 0 to 254, found 255");
    for (size_t i = 0; i < 5; i++) { /* a value that is no array counts for all */
        assert_int_equal(ink_gguf_int_at(ctx, gguf, u8, i, 0, 255, &number), INK_OK);
        assert_int_equal(number, 255);
    }
    assert_int_equal(ink_gguf_int_at(ctx, gguf, list, 1, -8, 9, &number), INK_OK);
    assert_int_equal(number, -8);
    assert_fails(ctx, ink_gguf_int_at(ctx, gguf, list, 1, 0, 9, &number), INK_ERROR_MISMATCH,
                 "element 1: expected an integer from 0 to 9, found -8");
    assert_fails(ctx, ink_gguf_int_at(ctx, gguf, list, 3, 0, 9, &number), INK_ERROR_MISMATCH,
                 "expected at least 4 integers, found an array of 3 of type i32");
    assert_fails(ctx, ink_gguf_float_at(ctx, gguf, list, 3, &real), INK_ERROR_MISMATCH, "expected at least 4 floats");
    assert_fails(ctx, ink_gguf_float_at(ctx, gguf, list, 0, &real), INK_ERROR_MISMATCH,
                 "element 0: expected a finite f32 or f64, found 7");
    assert_fails(ctx, ink_gguf_get_float(ctx, gguf, list, &real), INK_ERROR_MISMATCH, "expected a finite f32 or f64");
    assert_fails(ctx, ink_gguf_get_float(ctx, gguf, u8, &real), INK_ERROR_MISMATCH, "found 255");
    assert_fails(ctx, ink_gguf_get_float(ctx, gguf, ink_gguf_find(gguf, "nan"), &real), INK_ERROR_MISMATCH,
                 "expected a finite f32 or f64, found f32 that is not finite");
    assert_true(real == 42);
    assert_int_equal(ink_gguf_get_float(ctx, gguf, ink_gguf_find(gguf, "f32"), &real), INK_OK);
    assert_true(real == 1.5);
    assert_int_equal(ink_gguf_get_float(ctx, gguf, ink_gguf_find(gguf, "f64"), &real), INK_OK);
    assert_true(real == 1.5);
    assert_int_equal(ink_gguf_get_bool(ctx, gguf, ink_gguf_find(gguf, "bool"), &yes), INK_OK);
    assert_true(yes);
    assert_fails(ctx, ink_gguf_get_bool(ctx, gguf, u8, &yes), INK_ERROR_MISMATCH, "expected a bool, found 255");
    assert_int_equal(ink_gguf_get_string(ctx, gguf, ink_gguf_find(gguf, "text"), &text, &size), INK_OK);
    assert_string_equal(text, "abc");
    assert_int_equal(size, 3);
    assert_fails(ctx, ink_gguf_get_string(ctx, gguf, u8, &text, &size), INK_ERROR_MISMATCH,
                 "expected a string, found 255");
    assert_int_equal(ink_gguf_expect_array(ctx, gguf, list, INK_GGUF_I32, 3), INK_OK);
    assert_int_equal(ink_gguf_expect_array(ctx, gguf, list, INK_GGUF_I32, INK_GGUF_ANY), INK_OK);
    assert_fails(ctx, ink_gguf_expect_array(ctx, gguf, list, INK_GGUF_I32, 4), INK_ERROR_MISMATCH,
                 "expected an array of 4 of type i32, found an array of 3 of type i32");
    assert_fails(ctx, ink_gguf_expect_array(ctx, gguf, list, INK_GGUF_F32, 3), INK_ERROR_MISMATCH,
                 "expected an array of 3 of type f32, found an array of 3 of type i32");
    assert_fails(ctx, ink_gguf_expect_array(ctx, gguf, u8, INK_GGUF_STRING, INK_GGUF_ANY), INK_ERROR_MISMATCH,
                 "expected an array of type string, found 255");
    ink_weights_free(weights);
    free((void *)file.data);
}

/* Files beside a model say what they are. */
static void sidecars_are_named(ink_context *ctx, counting *memory)
{
    static const struct {
        const char *name, *words, *sentence;
    } rows[] = {
        {"m.gguf", HEAD(1, 1) TEXT("general.type", "model") ROW("t", 1, 24, 0) "|32 =1", NULL},
        {"m.gguf", HEAD(1, 0) ROW("t", 1, 24, 0) "|32 =1", NULL},
        {"m.gguf", HEAD(1, 1) TEXT("general.type", "adapter") ROW("t", 1, 24, 0) "|32 =1",
         "this is no model but an adapter (LoRA), which must be merged into its model"},
        {"m.gguf", HEAD(1, 1) TEXT("general.type", "imatrix") ROW("t", 1, 24, 0) "|32 =1",
         "this is no model but a file of importances, with which weights are quantised"},
        {"m.gguf", HEAD(1, 1) TEXT("general.type", "mmproj") ROW("t", 1, 24, 0) "|32 =1",
         "this is no model but a projector of images or sounds, without its language model"},
        {"m.gguf", HEAD(1, 1) TEXT("general.architecture", "clip") ROW("t", 1, 24, 0) "|32 =1",
         "this is no model but a projector of images or sounds, without its language model"},
        {"m.gguf", HEAD(1, 1) TEXT("general.architecture", "controlvector") ROW("t", 1, 24, 0) "|32 =1",
         "this is no model but a control vector, without its model"},
        {"a/mmproj-m.gguf", HEAD(1, 0) ROW("t", 1, 24, 0) "|32 =1",
         "this is no model but a projector of images or sounds, without its language model"},
        {"mtp-m.gguf", HEAD(1, 0) ROW("t", 1, 24, 0) "|32 =1",
         "this is no model but only the layers that predict more tokens, without their model"},
        {"m.gguf", HEAD(1, 1) TEXT("general.type", "soup") ROW("t", 1, 24, 0) "|32 =1",
         "this is no model: general.type is 'soup'"},
        {"m.gguf", HEAD(1, 1) U32("general.type", 1) ROW("t", 1, 24, 0) "|32 =1",
         "key 'general.type' (byte 24): expected a string, found 1"},
        {"m.gguf", HEAD(0, 0), "this is no model but a vocabulary without tensors"},
    };
    (void)memory;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        faulty reader;
        ink_weights *weights;
        char sentence[300];
        ink_memory_file file = write_file(rows[i].name, rows[i].words);
        assert_ok(ctx, open_files(ctx, &reader, &file, 1, rows[i].name, &weights));
        ink_result result = ink_gguf_check_model(ctx, ink_weights_gguf(weights), ink_weights_count(weights));
        snprintf(sentence, sizeof sentence, "%s: %s", rows[i].name, rows[i].sentence != NULL ? rows[i].sentence : "");
        assert_true((result == INK_OK) == (rows[i].sentence == NULL));
        if (result != INK_OK)
            assert_string_equal(ink_context_error(ctx), sentence);
        ink_weights_free(weights);
        free((void *)file.data);
    }
}

/* ---- shards ------------------------------------------------------------------------------------------------------ */

#define SPLIT(no, count, n) U32("split.no", no) U32("split.count", count) U32("split.tensors.count", n)
#define FIRST "d/m-00001-of-00003.gguf"
#define SECOND "d/m-00002-of-00003.gguf"
#define THIRD "d/m-00003-of-00003.gguf"
#define SHARD_1 HEAD(1, 5) TEXT("general.architecture", "llama") QUANTISED SPLIT(0, 3, 4) ROW("a", 4, 0, 0) "|32 =16"
#define SHARD_2 HEAD(2, 3) SPLIT(1, 3, 4) ROW("c", 32, 8, 0) ROW("b", 2, 0, 64) "|32 =34 |32 =8"
#define SHARD_3 HEAD(1, 3) SPLIT(2, 3, 4) ROW("d", 3, 24, 0) "|32 =3 |32"

/* Whichever is named, they come in their order, and the keys are those of the first. */
static void shards_are_one_table(ink_context *ctx, counting *memory)
{
    static const char *const names[] = {FIRST, SECOND, THIRD}, *const order[] = {"a", "c", "b", "d"};
    ink_memory_file files[] = {write_file(SECOND, SHARD_2), write_file(FIRST, SHARD_1), write_file(THIRD, SHARD_3)};
    (void)memory;
    for (size_t n = 0; n < 3; n++) {
        faulty reader;
        ink_weights *weights;
        assert_ok(ctx, open_files(ctx, &reader, files, 3, names[n], &weights));
        assert_int_equal(ink_weights_count(weights), 4);
        assert_string_equal(ink_weights_name(weights), names[n]);
        for (size_t i = 0; i < 4; i++) {
            assert_string_equal(ink_weights_at(weights, i)->name, order[i]);
            assert_string_equal(ink_weights_at(weights, i)->file, i == 0 ? FIRST : i == 3 ? THIRD : SECOND);
        }
        assert_string_equal(ink_weights_metadata(weights, "general.architecture"), "llama");
        assert_string_equal(ink_weights_gguf(weights)->file, FIRST);
        assert_null(ink_weights_gguf(weights)->tensors);
        check_tensors(ctx, weights);
        assert_int_equal(reader.open_files, 1);
        ink_weights_free(weights);
        assert_int_equal(reader.open_files, 0);
    }
    for (size_t i = 0; i < 3; i++)
        free((void *)files[i].data);
}

static void shards_that_contradict_each_other(ink_context *ctx, counting *memory)
{
    static const struct {
        const char *first, *second, *third; /* NULL: it is missing */
        ink_result result;
        const char *sentence;
    } rows[] = {
        {SHARD_1, NULL, SHARD_3, INK_ERROR_NOT_FOUND, SECOND ": no such file"},
        {SHARD_1, SHARD_2, NULL, INK_ERROR_NOT_FOUND, THIRD ": no such file"},
        {SHARD_1, HEAD(2, 3) SPLIT(2, 3, 4) ROW("c", 32, 8, 0) ROW("b", 2, 0, 64) "|32 =34 |32 =8", SHARD_3, M,
         SECOND ": split.no, split.count and split.tensors.count are 2, 3 and 4, expected 1, 3 and 4 as '" FIRST
                "' says"},
        {SHARD_1, HEAD(2, 3) SPLIT(1, 4, 4) ROW("c", 32, 8, 0) ROW("b", 2, 0, 64) "|32 =34 |32 =8", SHARD_3, M,
         SECOND ": split.no, split.count and split.tensors.count are 1, 4 and 4, expected 1, 3 and 4 as '" FIRST
                "' says"},
        {SHARD_1, HEAD(2, 3) SPLIT(1, 3, 5) ROW("c", 32, 8, 0) ROW("b", 2, 0, 64) "|32 =34 |32 =8", SHARD_3, M,
         SECOND ": split.no, split.count and split.tensors.count are 1, 3 and 5, expected 1, 3 and 4 as '" FIRST
                "' says"},
        {SHARD_1, HEAD(2, 0) ROW("c", 32, 8, 0) ROW("b", 2, 0, 64) "|32 =34 |32 =8", SHARD_3, M,
         SECOND ": split.no, split.count and split.tensors.count are 0, 1 and 2, expected 1, 3 and 4 as '" FIRST
                "' says"},
        {SHARD_1, SHARD_2, HEAD(0, 3) SPLIT(2, 3, 4), M,
         FIRST ": split.tensors.count is 4, but the 3 files have 3 tensors"},
        {SHARD_1, SHARD_2, HEAD(1, 3) SPLIT(2, 3, 4) ROW("a", 3, 24, 0) "|32 =3 |32", C,
         FIRST ": tensor 'a' is in two of the files, '" FIRST "' and '" THIRD "'"},
        {HEAD(1, 4) TEXT("general.architecture", "llama") SPLIT(0, 3, 4) ROW("a", 4, 0, 0) "|32 =16", SHARD_2, SHARD_3,
         C, FIRST ": key 'general.quantization_version' is missing, but tensor 'c' is quantised (Q8_0)"},
        {SHARD_1, SHARD_2, "'GGUF' 1:4 0:8 0:8", U,
         THIRD ": byte 4: this is version 1 of GGUF, expected 2 or 3; convert the model again"},
        {SHARD_1, SHARD_2, "'{}'", C, THIRD ": this is not a GGUF file: it does not begin with \"GGUF\""},
        {HEAD(0, 3) SPLIT(0, 65535, 4), SHARD_2, SHARD_3, M,
         FIRST ": split.no is 0 and split.count 65535, so its name should end in '-00001-of-65535.gguf'"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        faulty reader;
        ink_weights *weights;
        ink_memory_file files[3];
        size_t n = 0;
        if (rows[i].first != NULL)
            files[n++] = write_file(FIRST, rows[i].first);
        if (rows[i].second != NULL)
            files[n++] = write_file(SECOND, rows[i].second);
        if (rows[i].third != NULL)
            files[n++] = write_file(THIRD, rows[i].third);
        ink_result result = open_files(ctx, &reader, files, n, FIRST, &weights);
        assert_string_equal(ink_context_error(ctx), rows[i].sentence);
        assert_int_equal(result, rows[i].result);
        assert_int_equal(memory->live_bytes, memory->at_rest);
        while (n > 0)
            free((void *)files[--n].data);
    }
    /* A name shorter than its ending. */
    faulty reader;
    ink_weights *weights;
    ink_memory_file file = write_file("a", HEAD(0, 3) SPLIT(0, 2, 4));
    assert_fails(ctx, open_files(ctx, &reader, &file, 1, "a", &weights), M,
                 "a: split.no is 0 and split.count 2, so its name should end in '-00001-of-00002.gguf'");
    free((void *)file.data);
}

/* ---- what gguf-py writes ----------------------------------------------------------------------------------------- */

#ifndef INK_NO_FILES

/* Writes the lines that reference.txt has about a file; of a shard behind the first, only those of its tensors. */
static void describe_file(ink_context *ctx, const char *path, bool with_keys, char *at)
{
    ink_weights *weights;
    ink_metadata entry;
    assert_ok(ctx, ink_weights_open(ctx, path, &weights));
    for (size_t i = 0; with_keys && ink_weights_metadata_at(weights, i, &entry); i++) {
        at += sprintf(at, "key %s %s %d ", entry.key, entry.type, entry.is_array ? (int)entry.count : -1);
        for (size_t e = 0; e < entry.count; e++) {
            double number;
            size_t size;
            const char *string = ink_weights_metadata_element(weights, i, e, &size, &number);
            at += string != NULL ? sprintf(at, "%s%.*s", e > 0 ? "|" : "", (int)size, string)
                                 : sprintf(at, "%s%.17g", e > 0 ? "|" : "", number);
        }
        at += sprintf(at, "\n");
    }
    for (size_t i = 0; i < ink_weights_count(weights); i++) {
        const ink_weight *w = ink_weights_at(weights, i);
        if (strcmp(w->file, path) != 0)
            continue;
        unsigned char *bytes = malloc((size_t)w->size + 1);
        unsigned long long sum = 0;
        assert_ok(ctx, ink_weights_read_bytes(ctx, weights, w, 0, bytes, (size_t)w->size));
        const size_t width = ink_type_is_quantised(w->type) ? 1 : ink_type_bits(w->type) / 8;
        for (size_t k = 0; k < w->size; k++) /* the sum is the same in any byte order */
            sum += bytes[k];
        assert_true(w->size % width == 0);
        at += sprintf(at, "tensor %s %s ", w->name, ink_type_name(w->type));
        for (size_t d = 0; d < w->shape.rank; d++)
            at += sprintf(at, "%s%zu", d > 0 ? "x" : "", w->shape.dim[d]);
        at += sprintf(at, " %llu %llu %llu\n", (unsigned long long)w->offset, (unsigned long long)w->size, sum);
        free(bytes);
    }
    *at = '\0';
    ink_weights_free(weights);
}

static void files_of_gguf_py_are_read_alike(ink_context *ctx, counting *memory)
{
    static char line[1 << 12], expected[1 << 14], found[1 << 14];
    char path[1024] = "";
    size_t n_files = 0;
    bool with_keys = false;
    FILE *reference = fopen(FIXTURES "/gguf/reference.txt", "rb");
    (void)memory;
    assert_non_null(reference);
    for (bool more = true; more;) {
        more = fgets(line, sizeof line, reference) != NULL;
        if (more && strncmp(line, "file ", 5) != 0) {
            if (with_keys || strncmp(line, "key ", 4) != 0)
                strcat(expected, line);
            continue;
        }
        if (path[0] != '\0') {
            describe_file(ctx, path, with_keys, found);
            assert_string_equal(found, expected);
            n_files++;
        }
        snprintf(path, sizeof path, FIXTURES "/gguf/%.*s", (int)strcspn(line + 5, "\n"), line + 5);
        with_keys = strstr(path, "-of-") == NULL || strstr(path, "-00001-of-") != NULL;
        expected[0] = '\0';
    }
    assert_int_equal(n_files, 10);
    fclose(reference);
}
#endif

/* ---- readers and memory that fail -------------------------------------------------------------------------------- */

static void every_read_fails_once(ink_context *ctx, counting *memory)
{
    ink_memory_file files[] = {write_file(FIRST, SHARD_1), write_file(SECOND, SHARD_2), write_file(THIRD, SHARD_3)};
    ink_source source;
    faulty reader;
    ink_weights *weights;
    faulty_init(&reader, files, 3);
    source = reader.source;
    reader.max_read = 40;
    assert_ok(ctx, ink_weights_open_source(ctx, &source, SECOND, &weights));
    ink_weights_free(weights);
    const size_t n_reads = reader.reads, n_opens = reader.opens;
    assert_true(n_reads > 20 && n_opens == 6); /* each twice: is it there, and what is in it */
    for (size_t k = 1; k <= n_reads; k++)
        for (int fault = 0; fault < 3; fault++) {
            faulty_init(&reader, files, 3);
            reader.max_read = 40;
            *(fault == 0 ? &reader.fail_read : fault == 1 ? &reader.lie_read : &reader.end_read) = k;
            assert_int_equal(ink_weights_open_source(ctx, &source, SECOND, &weights), INK_ERROR_READ);
            assert_null(weights);
            assert_non_null(strstr(ink_context_error(ctx), fault < 2 ? ": reading " : ": the file ends at "));
            assert_int_equal(reader.open_files, 0);
            assert_int_equal(memory->live_bytes, memory->at_rest);
        }
    for (size_t k = 1; k <= n_opens; k++) {
        faulty_init(&reader, files, 3);
        reader.fail_open = k;
        assert_int_equal(ink_weights_open_source(ctx, &source, SECOND, &weights), INK_ERROR_READ);
        assert_int_equal(reader.open_files, 0);
    }
    for (size_t i = 0; i < 3; i++)
        free((void *)files[i].data);
}

/* A file that another takes the place of between two reads, whose table is shorter, longer, or has other counts. */
typedef struct changing {
    ink_memory_file before, after;
    size_t reads, change; /* the read from which on it is the other file */
} changing;

static ink_result open_changing(void *user, const char *name, void **file, uint64_t *size)
{
    changing *c = user;
    (void)name;
    *file = c;
    *size = c->before.size;
    return INK_OK;
}

static ink_result read_changing(void *user, void *file, uint64_t offset, void *buffer, size_t size, size_t *got)
{
    changing *c = user;
    const ink_memory_file *now = ++c->reads < c->change ? &c->before : &c->after;
    (void)file;
    *got = offset >= now->size ? 0 : ink_size_min(size, now->size - (size_t)offset);
    memcpy(buffer, (const unsigned char *)now->data + offset, *got);
    return INK_OK;
}

static void close_changing(void *user, void *file) { (void)user, (void)file; }

static void files_that_change(ink_context *ctx, counting *memory)
{
    static const char *const words[] = {
        HEAD(1, 2) U32("a", 1) U32("b", 2) ROW("t", 4, 24, 0) "|32 =4 |256",
        HEAD(1, 2) U32("a", 1) TEXT("b", "a longer value than before") ROW("t", 4, 24, 0) "|32 =4 |256",
        HEAD(1, 2) U32("a", 1) "\"b\" 0:4 2:1" ROW("t", 4, 24, 0) "|32 =4 |256",
        HEAD(0, 7) "\"a\" 0:4 1:1 \"b\" 0:4 1:1 \"c\" 0:4 1:1 \"d\" 0:4 1:1 \"e\" 0:4 1:1 \"f\" 0:4 1:1 \"g\" 0:4 1:1 "
                   "|256",
        HEAD(3, 0) ROW("a", 1, 24, 0) ROW("b", 1, 24, 32) ROW("c", 1, 24, 64) "|32 =65 |256",
        HEAD(0, 1) U32("a", 1) "|256",
        "|256 =256",
        HEAD(0, 7) "\"a23456789b123456789c123456789d123456789e123456789f123456789g123456789h123456789i123456789\" 13:4 "
                   "|256",
    };
    enum { n = sizeof words / sizeof words[0], header_read = 4 };
    size_t n_refused = 0;
    for (size_t a = 0; a < n; a++)
        for (size_t b = 0; b < n; b++)
            for (size_t k = 1; k < 6; k++) {
                changing c = {write_file("m.gguf", words[a]), write_file("m.gguf", words[b]), 0, k};
                ink_source source = {NULL, &c, open_changing, read_changing, close_changing};
                ink_weights *weights;
                ink_result result = ink_weights_open_source(ctx, &source, "m.gguf", &weights);
                if (result != INK_OK) {
                    assert_true(strncmp(ink_context_error(ctx), "m.gguf: ", 8) == 0);
                    n_refused++;
                }
                /* More than was counted: a longer value, more keys than there were before the mistake. */
                if (k == header_read && ((a == 0 && b == 1) || (a == n - 1 && b == 3))) {
                    assert_int_equal(result, INK_ERROR_READ);
                    assert_string_equal(ink_context_error(ctx), "m.gguf: the file changed while it was read");
                }
                ink_weights_free(weights);
                assert_int_equal(memory->live_bytes, memory->at_rest);
                free((void *)c.before.data);
                free((void *)c.after.data);
            }
    assert_true(n_refused > 60);
}

static void every_allocation_fails_once(ink_context *ctx, counting *memory)
{
    ink_memory_file files[] = {write_file(FIRST, SHARD_1), write_file(SECOND, SHARD_2), write_file(THIRD, SHARD_3)};
    faulty reader;
    ink_weights *weights;
    size_t k = 1;
    faulty_init(&reader, files, 3);
    for (; runs_out_of_memory(ctx, memory, k, ink_weights_open_source(ctx, &reader.source, SECOND, &weights),
                              "out of memory: ");
         k++) {
        assert_null(weights);
        assert_int_equal(memory->live_bytes, memory->at_rest);
        assert_int_equal(reader.open_files, 0);
    }
    assert_true(k > 2);
    ink_weights_free(weights);
    for (size_t i = 0; i < 3; i++)
        free((void *)files[i].data);
}

/* ---- what it may cost -------------------------------------------------------------------------------------------- */

/* A count takes memory when everything it counts has been seen, and not before. */
static void counts_take_no_memory(ink_context *ctx, counting *memory)
{
    static const char *const words[] = {
        HEAD(0, 1) "\"k\" 9:4 4:4 1048500:8 =4193999",
        HEAD(0, 200000) "\"k\" 4:4 1:4 =4000000",
        HEAD(160000, 0) ROW("t", 0, 24, 0) "=4000100",
        HEAD(0, 1) "\"k\" 8:4 4000000:8 =3999999",
        HEAD(0, 1) "\"k\" 9:4 8:4 400000:8 \"a\" \"b\" 100:8 =4000000",
        HEAD(0, 3) SPLIT(0, 65535, 4),
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        faulty reader;
        ink_weights *weights;
        ink_memory_file file = write_file("m-00001-of-65535.gguf", words[i]);
        memory->peak_bytes = memory->live_bytes;
        assert_true(open_files(ctx, &reader, &file, 1, file.name, &weights) != INK_OK);
        assert_true(memory->peak_bytes - memory->at_rest < MB / 4);
        free((void *)file.data);
    }
}

/* Two hundred thousand keys, and as many tensors: n log n, where the reference takes the square. Keys that are equal up
   to the last, and one that is there twice. */
static void many_names_take_moments(ink_context *ctx, counting *memory)
{
    enum { n = 200000 };
    (void)memory;
    for (int twice = 0; twice < 2; twice++) {
        const size_t size = 24 + n * (8 + 6 + 4 + 1) + n * (8 + 6 + 4 + 4 + 8);
        unsigned char *bytes = malloc(size), *at = bytes;
        char key[16];
        memcpy(at, "GGUF\3\0\0", 8);
        ink_put_le(at + 8, 8, n);
        ink_put_le(at + 16, 8, n);
        at += 24;
        for (unsigned i = 0; i < n; i++, at += 19) {
            snprintf(key, sizeof key, "%06u", twice && i == n - 1 ? 7 : i);
            ink_put_le(at, 8, 6);
            memcpy(at + 8, key, 6);
            ink_put_le(at + 14, 4, INK_GGUF_BOOL);
            at[18] = 1;
        }
        for (unsigned i = 0; i < n; i++, at += 30) {
            snprintf(key, sizeof key, "%06u", i);
            memset(at, 0, 30); /* scalars without elements do not exist, so those of no dimension: I8, one byte */
            ink_put_le(at, 8, 6);
            memcpy(at + 8, key, 6);
            ink_put_le(at + 18, 4, 24);
            ink_put_le(at + 22, 8, (uint64_t)i * 32);
        }
        unsigned char *file = calloc(1, size + 32 + (size_t)n * 32);
        memcpy(file, bytes, size);
        ink_memory_file whole = {"m.gguf", file, (size + 31) / 32 * 32 + (size_t)n * 32};
        faulty reader;
        ink_weights *weights;
        clock_t start = clock();
        ink_result result = open_files(ctx, &reader, &whole, 1, "m.gguf", &weights);
        assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 10); /* 0.2 s, and 100 with the square */
        if (twice) {
            assert_int_equal(result, INK_ERROR_CORRUPT);
            assert_string_equal(ink_context_error(ctx),
                                "m.gguf: key '000007' is there twice, at bytes 157 and 3800005");
        } else {
            assert_ok(ctx, result);
            assert_int_equal(ink_weights_count(weights), n);
        }
        ink_weights_free(weights);
        free(bytes);
        free(file);
    }
}

/* The limit holds for all of it together, before memory is taken. */
static void the_limit_is_kept(ink_context *ctx, counting *memory)
{
    ink_context_options options = test_options(1);
    counting books;
    (void)ctx, (void)memory;
    counting_init(&books);
    options.allocator = books.allocator;
    options.limits.table_bytes = 4096;
    ink_context *limited = ink_context_create(&options);
    books.at_rest = books.live_bytes;
    static const struct {
        const char *words, *sentence;
    } rows[] = {
        {HEAD(0, 1) "\"k\" 8:4 5000:8 =5000", "m.gguf: this needs 5045 bytes, the limit is 4096"},
        {HEAD(0, 1) "\"k\" 9:4 0:4 4060:8 =4060", "m.gguf: this needs 4109 bytes, the limit is 4096"},
        {HEAD(0, 1) "\"k\" 9:4 0:4 4040:8 =4040", "m.gguf: this needs 4145 bytes, the limit is 4096"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        faulty reader;
        ink_weights *weights;
        ink_memory_file file = write_file("m.gguf", rows[i].words);
        books.peak_bytes = books.live_bytes;
        assert_fails(limited, open_files(limited, &reader, &file, 1, "m.gguf", &weights), INK_ERROR_LIMIT,
                     rows[i].sentence);
        assert_true(books.peak_bytes - books.at_rest < MB / 4);
        free((void *)file.data);
    }
    counting_end(&books, limited);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(lists_what_is_in_a_file),
        counted_test(accepts_what_is_legal),
        counted_test(every_refusal_has_its_sentence),
        counted_test(types_are_named),
        counted_test(every_truncation_is_refused),
        counted_test(every_flip_is_safe),
        counted_test(values_are_checked_where_they_are_used),
        counted_test(sidecars_are_named),
        counted_test(shards_are_one_table),
        counted_test(shards_that_contradict_each_other),
#ifndef INK_NO_FILES
        counted_test(files_of_gguf_py_are_read_alike),
#endif
        counted_test(every_read_fails_once),
        counted_test(files_that_change),
        counted_test(every_allocation_fails_once),
        counted_test(counts_take_no_memory),
        counted_test(many_names_take_moments),
        counted_test(the_limit_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
