/* test_weights.c - safetensors files: what is read, what is refused and in which words, reading through bad readers.
   Numbers in square brackets are those of the list of bad inputs the library is tested against. */
#include "testing.h"

#include "counting.h"
#include "faulty.h"
#include "numbers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../src/base/bytes.h"

/* What every test works with: a context whose memory is counted, and one file behind a reader that can misbehave. */
typedef struct bench {
    counting memory;
    ink_context *ctx;
    ink_memory_file file;
    faulty files;
} bench;

static int set_up(void **state)
{
    bench *b = *state = calloc(1, sizeof *b);
    b->ctx = counting_begin(&b->memory, 1);
    return 0;
}

static int tear_down(void **state)
{
    bench *b = *state;
    assert_int_equal(b->memory.live_bytes, b->memory.at_rest);
    assert_int_equal(b->files.open_files, 0);
    counting_end(&b->memory, b->ctx);
    free(b);
    return 0;
}

/* A file in memory, exactly as long as it says, so that a read past its end is seen. */
typedef struct bytes {
    unsigned char *at;
    size_t size;
} bytes;

static bytes raw_file(const void *data, size_t size)
{
    bytes file = {malloc(size > 0 ? size : 1), size};
    memcpy(file.at, data, size);
    return file;
}

/* length, header, then n_data bytes 0, 1, 2, ... */
static bytes make_file(const char *header, size_t n_data)
{
    size_t length = strlen(header);
    bytes file = {malloc(8 + length + n_data), 8 + length + n_data};
    for (size_t i = 0; i < 8; i++)
        file.at[i] = (unsigned char)((uint64_t)length >> 8 * i);
    memcpy(file.at + 8, header, length);
    for (size_t i = 0; i < n_data; i++)
        file.at[8 + length + i] = (unsigned char)i;
    return file;
}

static const char name[] = "m.safetensors";

static void serve(bench *b, bytes file)
{
    b->file = (ink_memory_file){.name = name, .data = file.at, .size = file.size};
    faulty_init(&b->files, &b->file, 1);
}

static ink_result open_served(bench *b, ink_weights **weights)
{
    *weights = (ink_weights *)b; /* must be overwritten in any case */
    ink_result result = ink_weights_open_source(b->ctx, &b->files.source, name, weights);
    if (result != INK_OK) {
        assert_null(*weights);
        assert_int_equal(b->files.open_files, 0);
        assert_int_equal(b->memory.live_bytes, b->memory.at_rest);
        assert_true(strncmp(ink_context_error(b->ctx), name, strlen(name)) == 0 || result == INK_ERROR_MEMORY);
    }
    return result;
}

static void refuse(bench *b, bytes file, ink_result result, const char *words)
{
    ink_weights *weights;
    serve(b, file);
    assert_fails(b->ctx, open_served(b, &weights), result, words);
    free(file.at);
}

static void accept(bench *b, bytes file, size_t n_tensors)
{
    ink_weights *weights;
    serve(b, file);
    assert_ok(b->ctx, open_served(b, &weights));
    assert_int_equal(ink_weights_count(weights), n_tensors);
    assert_null(ink_weights_at(weights, n_tensors));
    for (size_t i = 0; i < n_tensors; i++) {
        const ink_weight *weight = ink_weights_at(weights, i);
        assert_ptr_equal(ink_weights_find(weights, weight->name), weight);
        assert_true(weight->offset + weight->size <= file.size);
    }
    ink_weights_free(weights);
    free(file.at);
}

/* ---- good files -------------------------------------------------------------------------------------------------- */

/* Out of order, an empty tensor and a scalar among them, metadata, padding; floats at odd addresses [31, 47, 50, 61,
   69, 70]. */
static const char sample[] = "{\"b\":{\"shape\":[2,3],\"dtype\":\"F32\",\"data_offsets\":[1,25]},"
                             "\"none\":{\"dtype\":\"F32\",\"shape\":[4,0],\"data_offsets\":[25,25]},"
                             "\"__metadata__\":{\"format\":\"pt\",\"\\u00e9\":\"\\n\"},"
                             "\"a\":{\"dtype\":\"BOOL\",\"shape\":[1],\"data_offsets\":[0,1]},"
                             "\"scalar\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[25,33]}}   ";

static void lists_what_is_in_a_file(void **state)
{
    static const char *const order[] = {"a", "b", "none", "scalar"};
    bench *b = *state;
    bytes file = make_file(sample, 33);
    ink_weights *weights;
    serve(b, file);
    assert_ok(b->ctx, open_served(b, &weights));
    assert_int_equal(ink_weights_count(weights), 4);
    assert_string_equal(ink_weights_name(weights), name);
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(ink_weights_at(weights, i)->name, order[i]);
        assert_ptr_equal(ink_weights_find(weights, order[i]), ink_weights_at(weights, i));
    }
    const ink_weight *matrix = ink_weights_find(weights, "b"), *scalar = ink_weights_find(weights, "scalar");
    assert_int_equal(matrix->type, INK_F32);
    assert_int_equal(matrix->shape.rank, 2);
    assert_int_equal(matrix->shape.dim[0], 2);
    assert_int_equal(matrix->shape.dim[1], 3);
    assert_true(matrix->offset == 8 + strlen(sample) + 1 && matrix->size == 24);
    assert_int_equal(scalar->type, INK_I64);
    assert_int_equal(scalar->shape.rank, 0);
    assert_null(ink_weights_find(weights, "c"));
    assert_null(ink_weights_find(weights, ""));
    assert_null(ink_weights_find(weights, "__metadata__"));
    assert_string_equal(ink_weights_metadata(weights, "format"), "pt");
    assert_string_equal(ink_weights_metadata(weights, "\xc3\xa9"), "\n");
    assert_null(ink_weights_metadata(weights, "none"));
    ink_weights_free(weights);
    free(file.at);
}

static void accepts_what_is_legal(void **state)
{
    bench *b = *state;
    accept(b, make_file("{}      ", 0), 0); /* [33] */
    accept(b, make_file("\t\n{}\r ", 0), 0);
    accept(b, make_file("{\"__metadata__\":null}", 0), 0);
    accept(b, make_file("{\"__metadata__\":{}}", 0), 0);
    accept(b, make_file("{\"test\":{\"dtype\":\"I32\",\"shape\":[2,2],\"data_offsets\":[0,16]}}", 16), 1);
    accept(b, make_file("{\"test\":{\"dtype\":\"I32\",\"shape\":[],\"data_offsets\":[0,4]}}", 4), 1);
    accept(b, make_file("{\"test\":{\"dtype\":\"I32\",\"shape\":[2,0],\"data_offsets\":[0, 0]}}", 0), 1);
    accept(b, make_file("{\"t\":{\"dtype\":\"F4\",\"shape\":[3,2],\"data_offsets\":[0,3]}}", 3), 1);
    accept(b, make_file("{\"t\":{\"dtype\":\"F6_E2M3\",\"shape\":[4],\"data_offsets\":[0,3]}}", 3), 1);
    accept(b, make_file("{\"t\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4), 1);
    /* Empty tensors anywhere between others, at the beginning and at the end [70]. */
    accept(b,
           make_file("{\"z\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[2,2]},"
                     "\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
                     "\"y\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]},"
                     "\"b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[2,3]},"
                     "\"x\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[3,3]}}",
                     3),
           5);
    /* Names that would be trouble in a message or as a path, but are only names [65]. */
    accept(b, make_file("{\"\\n%s%n\\u001b[31m../\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}", 1), 1);
    /* Every type of the format; those behind F4 are GGUF's. */
    for (int type = INK_TYPE_NONE + 1; type <= INK_F4; type++) {
        char header[200];
        size_t size = ink_type_bits((ink_type)type);
        sprintf(header, "{\"t\":{\"dtype\":\"%s\",\"shape\":[8],\"data_offsets\":[0,%zu]}}",
                ink_type_name((ink_type)type), size);
        accept(b, make_file(header, size), 1);
    }
}

/* ---- A: what is not a safetensors file at all -------------------------------------------------------------------- */

static void refuse_bytes(bench *b, const void *data, size_t size, const char *words)
{
    refuse(b, raw_file(data, size), INK_ERROR_CORRUPT, words);
}

static void lengths_are_checked(void **state)
{
    bench *b = *state;
    char padded[200] = {0};
    refuse_bytes(b, "", 0, "has at least 8 bytes, this one has 0"); /* [4] */
    for (size_t size = 1; size < 8; size++)                         /* [5] */
        refuse_bytes(b, "\2\0\0\0\0\0\0", size, "has at least 8 bytes");
    refuse_bytes(b, "\2\0\0\0\0\0\0\0", 8, "the header should have 2 bytes, the file ends after 0"); /* [6] */
    refuse_bytes(b, "\0\0\0\0\0\0\0\0", 8, "byte 8: expected a value, found the end");               /* [22] */
    refuse_bytes(b, "\1\0\0\0\0\0\0\0{", 9, "byte 9: expected a key");                               /* [23] */
    refuse_bytes(b, "\1\0\0\0\0\0\0\0\xff", 9, "byte 8: expected a value, found '\\xff'");
    refuse_bytes(b, "\3\0\0\0\0\0\0\0{}", 10, "the header should have 3 bytes, the file ends after 2"); /* [24] */
    memset(padded + 8, ' ', sizeof padded - 8);
    static const uint64_t lengths[] = {100000001, (uint64_t)1 << 63, UINT64_MAX, UINT64_MAX - 7, 0x0200000000000000u};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) { /* [25, 26, 28] */
        for (size_t k = 0; k < 8; k++)
            padded[k] = (char)(lengths[i] >> 8 * k);
        refuse_bytes(b, padded, sizeof padded, "at most 100000000 is legal");
    }
    memcpy(padded, "\0\xe1\xf5\5\0\0\0\0", 8); /* 100,000,000 exactly [27] */
    refuse_bytes(b, padded, sizeof padded, "the header should have 100000000 bytes, the file ends after 192");
    refuse_bytes(b, "\x3c\0\0\0\xff\xff\xff\xff{}", 10, "at most 100000000 is legal");
}

/* [20, 21] */
static void other_formats_are_named(void **state)
{
    static const struct {
        const char *beginning;
        size_t size;
        const char *words;
    } cases[] = {
        {"PK\3\4\0\0\10\10\0\0", 10, "a zip archive, as torch.save writes it"},
        {"PK\3\4\0\0\0\0\0\0", 10, "a zip archive"},
        {"\200\2\212\nl\374\234F\371 j\250P\31.", 15, "a Python pickle, as torch.save"},
        {"\200\4\225\7\0\0\0\0\0\0\0}", 12, "a Python pickle"},
        {"\037\213\10\0\0\0\0\0\0\3", 10, "compressed by gzip"},
        {"version https://git-lfs.github.com/spec/v1\n", 43, "a git-lfs pointer"},
        {"<!DOCTYPE html><html>", 21, "an HTML page"},
        {"<html>", 6, "an HTML page"},
        {"<?xml version='1.0'?>", 21, "an XML page"},
        {"\211HDF\r\n\032\n", 8, "an HDF5 file"},
        {"\223NUMPY\1\0v\0", 10, "a NumPy array"},
        {"{\"model_type\":\"gpt2\"}", 21, "a JSON text"},
        {"{}", 2, "at least 8 bytes"},
        {"\200\2}q\0(X\3\0\0\0", 11, "a Python pickle; load it"},
        {"\200\3ccollections\nOrderedDict", 24, "a Python pickle; load it"},
        {"\200\5\225\20\0\0\0\0", 8, "a Python pickle; load it"},
        {"(dp0\nS'a'\np1", 12, "a Python pickle; load it"},
        {"ccollections\nOrderedDict\n", 25, "a Python pickle; load it"},
        {"\10\7\22\7pytorch\32\0052.1.0", 18, "an ONNX model"},
        {"\10\10\22\0132onnx-exampl", 16, "an ONNX model"},
        {"\10\3:\202\1\12\10\12\1x", 10, "an ONNX model"},
        {"\10\12\22\0:\1\2\3", 8, "an ONNX model"},
        {"\34\0\0\0TFL3\0\0", 10, "a TensorFlow Lite model"},
        {"\201\246params\202", 9, "a Flax model"},
        {"\3757zXZ\0\0\4", 8, "compressed by xz"},
        {"(\265/\375\4X\1\0", 8, "compressed by zstd"},
        {"tjgg\3\0\0\0\0", 9, "a GGML file"},
        {"PK\3\4\0\0\10\10\0\0", 10, "torch.load(open('m.safetensors', 'rb'), weights_only=True"},
        {"}q\0X\1\0\0\0aq\1", 10, "a Python pickle; load it"},
    };
    bench *b = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char content[400] = {0};
        memcpy(content, cases[i].beginning, cases[i].size);
        refuse_bytes(b, content, cases[i].size, cases[i].words);
        if (cases[i].size >= 6)
            refuse_bytes(b, content, sizeof content, cases[i].words);
    }
}

/* A length can look like the beginning of another format; the header behind it decides. */
static void good_files_are_not_mistaken(void **state)
{
    static const size_t lengths[] = {'{' | '"' << 8, '{' | ' ' << 8, '<' | '!' << 8, 0x1f | 0x8b << 8 | 8 << 16};
    bench *b = *state;
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        char *header = malloc(lengths[i] + 1);
        memset(header, ' ', lengths[i]);
        memcpy(header, "{}", 2);
        header[lengths[i]] = '\0';
        accept(b, make_file(header, 0), 0);
        header[0] = 'x';
        refuse(b, make_file(header, 0), INK_ERROR_CORRUPT, "this is not a safetensors file but");
        free(header);
    }
}

/* ---- B, C: headers ----------------------------------------------------------------------------------------------- */

typedef struct refusal {
    const char *header;
    size_t n_data;
    const char *words;
} refusal;

#define ONE(inside) "{\"t\":{" inside "}}"
#define SHAPED(shape) "{\"t\":{\"dtype\":\"I32\",\"shape\":" shape ",\"data_offsets\":[0,16]}}"
#define PLACED(offsets) "{\"t\":{\"dtype\":\"I32\",\"shape\":[2,2],\"data_offsets\":" offsets "}}"
#define TENSOR(key, begin, end) "\"" key "\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[" begin "," end "]}"

static const refusal corrupt[] = {
    /* the text as a whole */
    {"\xef\xbb\xbf{}", 0, "byte 8: JSON does not begin with a byte order mark"}, /* [29] */
    {"[]", 0, "m.safetensors: expected an object, found an array"},
    {"null", 0, "expected an object, found null"},
    {"{} x", 0, "byte 11: expected the end of the text"}, /* [32] */
    {"{}{}", 0, "byte 10: expected the end of the text"},
    {"{}", 1, "the tensors end at byte 10, but the file has 11 bytes"}, /* [34] */
    {"{\"\xff\":1}", 0, "byte 10: a string must be valid UTF-8"},       /* [35] */
    {"\xff\xfe{\0}\0", 0, "byte 8: expected a value"},
    {"{\"t\":[[[[1]]]]}", 0, "m.safetensors: t: expected an object, found an array"},
    /* members [36, 37] */
    {ONE("\"shape\":[4],\"data_offsets\":[0,16]"), 16, "m.safetensors: t: member 'dtype' is missing"},
    {ONE("\"dtype\":\"I32\",\"data_offsets\":[0,16]"), 16, "t: member 'shape' is missing"},
    {ONE("\"dtype\":\"I32\",\"shape\":[4]"), 16, "t: member 'data_offsets' is missing"},
    {ONE("\"dtype\":null,\"shape\":[4],\"data_offsets\":[0,16]"), 16, "member 'dtype' is missing"},
    {ONE("\"dtype\":\"I32\",\"shape\":[4],\"data_offsets\":[0,16],\"strides\":[1]"), 16,
     "tensor 't' has the member 'strides', expected only dtype, shape and data_offsets"},
    {ONE("\"dtype\":\"I32\",\"shape\":[4],\"data_offsets\":[0,16],\"x\":null"), 16, "has the member 'x'"},
    {ONE(""), 0, "member 'dtype' is missing"},
    {"{\"t\":null}", 0, "t: expected an object, found null"},
    {"{\"t\":3}", 0, "t: expected an object, found 3"},
    /* dtype [39] */
    {ONE("\"dtype\":3,\"shape\":[4],\"data_offsets\":[0,16]"), 16, "t.dtype: expected a string, found 3"},
    {ONE("\"dtype\":[\"I32\"],\"shape\":[4],\"data_offsets\":[0,16]"), 16, "t.dtype: expected a string"},
    {ONE("\"dtype\":\"I32\\u0000\",\"shape\":[4],\"data_offsets\":[0,16]"), 16, "a string without NUL"},
    /* shape [41 .. 46] */
    {SHAPED("4"), 16, "t.shape: expected an array, found 4"},
    {SHAPED("\"4\""), 16, "t.shape: expected an array, found \"4\""},
    {SHAPED("{}"), 16, "t.shape: expected an array, found an object"},
    {SHAPED("[\"4\"]"), 16, "t.shape[0]: expected an integer from 0 to 281474976710655, found \"4\""},
    {SHAPED("[2,-2]"), 16, "t.shape[1]: expected an integer from 0 to 281474976710655, found -2"},
    {SHAPED("[-2,-2]"), 16, "t.shape[0]: expected an integer"},
    {SHAPED("[-0]"), 16, "found -0"},
    {SHAPED("[4.0]"), 16, "found 4.0"},
    {SHAPED("[4.5]"), 16, "found 4.5"},
    {SHAPED("[4e0]"), 16, "found 4e0"},
    {SHAPED("[+4]"), 16, "expected a value, found '+'"},
    {SHAPED("[04]"), 16, "expected ',' or ']', found '4'"},
    {SHAPED("[null]"), 16, "found null"},
    {SHAPED("[true]"), 16, "found true"},
    {SHAPED("[[4]]"), 16, "t.shape[0]: expected an integer"},
    {SHAPED("[9007199254740993]"), 16, "found 9007199254740993"},
    {SHAPED("[18446744073709551620]"), 16, "found 18446744073709551620"},
    {SHAPED("[281474976710656]"), 16, "found 281474976710656"},
    {ONE("\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,2]"), 2, "F4 [3] is not a whole number of bytes"},
    {ONE("\"dtype\":\"F6_E3M2\",\"shape\":[3],\"data_offsets\":[0,3]"), 3, "is not a whole number of bytes"},
    /* products [51, 52] */
    {SHAPED("[2,18446744073709551614]"), 16, "t.shape[1]: expected an integer"},
    {SHAPED("[2,9223372036854775807]"), 16, "t.shape[1]: expected an integer"},
    {SHAPED("[9223372036854775808,9223372036854775808,0]"), 16, "t.shape[0]: expected an integer"},
    {SHAPED("[0,9223372036854775808,9223372036854775808]"), 16, "t.shape[1]: expected an integer"},
    {SHAPED("[4294967296,4294967296]"), 16, "the size of [4294967296, 4294967296] overflows"},
    {SHAPED("[281474976710655,281474976710655]"), 16, "overflows"},
    {SHAPED("[0,281474976710655,281474976710655]"), 16, "overflows"},
    {SHAPED("[281474976710655,0,281474976710655]"), 16, "overflows"},
    {SHAPED("[281474976710655,281474976710655,0]"), 16, "overflows"},
    {SHAPED("[2,2147483648,4294967296]"), 16, "overflows"},       /* 2^64, wraps to 0 */
    {SHAPED("[4294967297,4294967296,1]"), 16, "overflows"},       /* wraps to 2^32 */
    {SHAPED("[4,68719476736,67108864]"), 16, "overflows"},        /* 2^64 */
    {SHAPED("[1048576,1048576,1048576]"), 16, "overflows"},       /* 2^60 elements fit, their bits do not */
    {SHAPED("[4611686018427387904]"), 16, "expected an integer"}, /* 2^62 */
    {ONE("\"dtype\":\"I32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]"), 0, "overflows"},
    {ONE("\"dtype\":\"F64\",\"shape\":[536870912,4294967296],\"data_offsets\":[0,0]"), 0, "overflows"},
    /* data_offsets [53, 54, 60] */
    {PLACED("[16,0]"), 16, "tensor 't': data_offsets [16, 0] run backwards"},
    {PLACED("[0,15]"), 15, "tensor 't': I32 [2, 2] needs 16 bytes, its data_offsets span 15"},
    {PLACED("[0,17]"), 17, "needs 16 bytes, its data_offsets span 17"},
    {PLACED("[0,0]"), 0, "needs 16 bytes, its data_offsets span 0"},
    {PLACED("[-16,0]"), 16, "t.data_offsets[0]: expected an integer"},
    {PLACED("[0,16.0]"), 16, "t.data_offsets[1]: expected an integer"},
    {PLACED("[0,1e1]"), 16, "found 1e1"},
    {PLACED("[0,\"16\"]"), 16, "t.data_offsets[1]: expected an integer"},
    {PLACED("[0]"), 16, "tensor 't': data_offsets has 1 numbers, expected 2"},
    {PLACED("[]"), 16, "data_offsets has 0 numbers"},
    {PLACED("[0,8,16]"), 16, "data_offsets has 3 numbers"},
    {PLACED("{\"0\":16}"), 16, "t.data_offsets: expected an array, found an object"},
    {PLACED("16"), 16, "t.data_offsets: expected an array, found 16"},
    {PLACED("[18446744073709551600,18446744073709551616]"), 16, "t.data_offsets[0]: expected an integer"},
    {PLACED("[281474976710639,281474976710655]"), 16, "the bytes before it belong to no tensor"},
    /* coverage [55 .. 59, 8] */
    {PLACED("[0,16]"), 14, "the tensors end at byte 81, the file is cut off at 79"},
    {PLACED("[0,16]"), 17, "the tensors end at byte 81, but the file has 82 bytes"},
    {PLACED("[4,20]"), 20, "tensor 't' begins at byte 69 of the file, expected 65: the bytes before it"},
    {"{" TENSOR("a", "0", "4") "," TENSOR("b", "5", "9") "}", 9, "tensor 'b' begins at byte"},
    {"{" TENSOR("a", "0", "4") "," TENSOR("b", "3", "7") "}", 7, "it overlaps another"},
    {"{" TENSOR("a", "0", "4") "," TENSOR("b", "0", "4") "}", 4, "it overlaps another"},
    {"{" TENSOR("a", "0", "4") ",\"z\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[2,2]}}", 4,
     "tensor 'z' begins"},
    {"{" TENSOR("a", "0", "4") ",\"z\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[9,9]}}", 4,
     "tensor 'z' begins"},
    /* names [62, 63, 65] */
    {"{" TENSOR("a", "0", "4") "," TENSOR("a", "0", "4") "}", 4, "the key 'a' was there already"},
    {"{" TENSOR("a", "0", "4") "," TENSOR("a", "4", "8") "}", 8, "the key 'a' was there already"},
    {"{" TENSOR("a", "0", "4") "," TENSOR("\\u0061", "4", "8") "}", 8, "the key 'a' was there already"},
    {"{" TENSOR("", "0", "4") "}", 4, "byte 12: a tensor without a name"},
    {"{" TENSOR("a\\u0000b", "0", "4") "}", 4, "tensor 'a\\x00b': the name contains a NUL character"},
    {ONE("\"dtype\":\"I32\",\"shape\":[4],\"data_offsets\":[0,16],\"shape\":[4]"), 16, "the key 'shape' was there"},
    /* __metadata__ [67, 68] */
    {"{" TENSOR("__metadata__", "0", "4") "}", 4, "__metadata__.shape: expected a string, found an array"},
    {"{\"__metadata__\":[]}", 0, "__metadata__: expected an object, found an array"},
    {"{\"__metadata__\":\"x\"}", 0, "__metadata__: expected an object, found \"x\""},
    {"{\"__metadata__\":{\"a\":1}}", 0, "__metadata__.a: expected a string, found 1"},
    {"{\"__metadata__\":{\"a\":null}}", 0, "__metadata__.a: expected a string, found null"},
    {"{\"__metadata__\":{\"a\":{\"b\":\"c\"}}}", 0, "__metadata__.a: expected a string, found an object"},
    {"{\"__metadata__\":{\"a\":\"b\\u0000c\"}}", 0, "__metadata__.a: expected a string without NUL"},
    {"{\"__metadata__\":{\"a\\u0000\":\"b\"}}", 0, "__metadata__: the key 'a\\x00' contains a NUL"},
    {"{\"__metadata__\":{\"a\":\"b\",\"a\":\"c\"}}", 0, "the key 'a' was there already"},
    {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, "the key '__metadata__' was there already"},
};

static void broken_headers_are_refused(void **state)
{
    bench *b = *state;
    for (size_t i = 0; i < sizeof corrupt / sizeof corrupt[0]; i++)
        refuse(b, make_file(corrupt[i].header, corrupt[i].n_data), INK_ERROR_CORRUPT, corrupt[i].words);
    refuse_bytes(b, "\4\0\0\0\0\0\0\0{}\0\0", 12, "byte 10: expected the end of the text, found '\\x00'"); /* [30] */
}

/* Well-formed, but more than this library knows [38, 48, 49]; depth [71]. */
static void the_unknown_is_named(void **state)
{
    bench *b = *state;
    refuse(b, make_file(ONE("\"dtype\":\"I33\",\"shape\":[4],\"data_offsets\":[0,16]"), 16), INK_ERROR_UNSUPPORTED,
           "tensor 't' has the unknown dtype 'I33'");
    refuse(b, make_file(ONE("\"dtype\":\"f32\",\"shape\":[4],\"data_offsets\":[0,16]"), 16), INK_ERROR_UNSUPPORTED,
           "unknown dtype 'f32'");
    refuse(b, make_file(ONE("\"dtype\":\"none\",\"shape\":[4],\"data_offsets\":[0,16]"), 16), INK_ERROR_UNSUPPORTED,
           "unknown dtype 'none'");
    refuse(b, make_file(ONE("\"dtype\":\"Q8_0\",\"shape\":[32],\"data_offsets\":[0,34]"), 34), INK_ERROR_UNSUPPORTED,
           "tensor 't' has the unknown dtype 'Q8_0'");
    refuse(b, make_file(SHAPED("[1,1,1,1,1,1,1,2,2]"), 16), INK_ERROR_UNSUPPORTED,
           "tensor 't' has 9 dimensions, at most 8 are supported");
    size_t n = 1000000, used;
    char *header = malloc(2 * n + 200);
    used = (size_t)sprintf(header, "{\"t\":{\"dtype\":\"U8\",\"shape\":[1");
    for (size_t i = 1; i < n; i++)
        used += (size_t)sprintf(header + used, ",1");
    sprintf(header + used, "],\"data_offsets\":[0,1]}}");
    refuse(b, make_file(header, 1), INK_ERROR_UNSUPPORTED, "has 1000000 dimensions");
    memset(header, '[', 100000);
    header[100000] = '\0';
    refuse(b, make_file(header, 0), INK_ERROR_LIMIT, "byte 72: arrays and objects are nested deeper than 64");
    free(header);
}

/* ---- many and long ----------------------------------------------------------------------------------------------- */

/* n empty tensors, then one of one byte. */
static char *many_tensors(size_t n)
{
    char *header = malloc(n * 80 + 100);
    size_t used = 0;
    header[used++] = '{';
    for (size_t i = 0; i < n; i++)
        used += (size_t)sprintf(header + used, "\"t%zu\":{\"dtype\":\"F4\",\"shape\":[0],\"data_offsets\":[0,0]},", i);
    sprintf(header + used, "\"last\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}");
    return header;
}

static void many_tensors_and_long_names(void **state)
{
    bench *b = *state;
    char *header = many_tensors(100000); /* [66] */
    b->memory.peak_bytes = b->memory.live_bytes;
    accept(b, make_file(header, 1), 100001);
    /* Bounded by the header: about ten times its size while it is open, most of it values of the JSON text. */
    assert_true(b->memory.peak_bytes < 15 * strlen(header));
    free(header);

    size_t n = 1000000; /* [64] */
    header = malloc(n + 200);
    memcpy(header, "{\"", 2);
    memset(header + 2, 'n', n);
    sprintf(header + 2 + n, "\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}");
    accept(b, make_file(header, 1), 1);
    sprintf(header + 2 + n, "\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,1]}}");
    refuse(b, make_file(header, 1), INK_ERROR_CORRUPT, "needs 2 bytes, its data_offsets span 1");
    free(header);

    header = malloc(100000 * 24 + 100); /* [68] */
    size_t used = (size_t)sprintf(header, "{\"__metadata__\":{\"first\":\"1\"");
    for (size_t i = 0; i < 100000; i++)
        used += (size_t)sprintf(header + used, ",\"k%zu\":\"v\"", i);
    sprintf(header + used, "}}");
    accept(b, make_file(header, 0), 0);
    free(header);
}

/* A thousand tensors on the same bytes [56]. */
static void overlapping_bombs(void **state)
{
    bench *b = *state;
    char *header = malloc(1000 * 100);
    size_t used = 0;
    header[used++] = '{';
    for (size_t i = 0; i < 1000; i++)
        used += (size_t)sprintf(header + used, "%s\"t%zu\":{\"dtype\":\"U8\",\"shape\":[16],\"data_offsets\":[0,16]}",
                                i > 0 ? "," : "", i);
    sprintf(header + used, "}");
    refuse(b, make_file(header, 16), INK_ERROR_CORRUPT, "it overlaps another");
    free(header);
}

/* Names with the same hash are different names [83]. */
static void names_with_equal_hashes(void **state)
{
    static const char *const first = "AKNfCJnaAIpVcjtx", *const second = "JD8nxKGTOa9OzW85";
    bench *b = *state;
    ink_weights *weights;
    bytes file = make_file("{" TENSOR("JD8nxKGTOa9OzW85", "0", "4") "," TENSOR("AKNfCJnaAIpVcjtx", "4", "8") "}", 8);
    assert_true(ink_hash(0, first, 16) == ink_hash(0, second, 16));
    serve(b, file);
    assert_ok(b->ctx, open_served(b, &weights));
    assert_ptr_equal(ink_weights_find(weights, first), ink_weights_at(weights, 1));
    assert_ptr_equal(ink_weights_find(weights, second), ink_weights_at(weights, 0));
    ink_weights_free(weights);
    free(file.at);
}

/* ---- files that were cut or changed ------------------------------------------------------------------------------ */

/* [7, 8] */
static void every_truncation_is_refused(void **state)
{
    bench *b = *state;
    bytes good = make_file(sample, 33);
    for (size_t size = 0; size < good.size; size++)
        refuse(b, raw_file(good.at, size), INK_ERROR_CORRUPT, NULL);
    good.at = realloc(good.at, good.size + 1);
    good.at[good.size] = 0;
    refuse(b, raw_file(good.at, good.size + 1), INK_ERROR_CORRUPT, "but the file has");
    free(good.at);
}

/* Every byte of length and header replaced by every other: accepted or refused, never worse. */
static void every_changed_byte_is_survived(void **state)
{
    bench *b = *state;
    bytes file = make_file(sample, 33);
    size_t n_accepted = 0, n_refused = 0;
    float values[64];
    serve(b, file);
    for (size_t i = 0; i < 8 + strlen(sample); i++) {
        unsigned char was = file.at[i];
        for (int c = 0; c < 256; c++) {
            ink_weights *weights;
            file.at[i] = (unsigned char)c;
            if (open_served(b, &weights) != INK_OK) {
                n_refused++;
                continue;
            }
            n_accepted++;
            for (size_t k = 0; k < ink_weights_count(weights); k++)
                ink_weights_read(b->ctx, weights, ink_weights_at(weights, k), values);
            ink_weights_free(weights);
        }
        file.at[i] = was;
    }
    assert_true(n_accepted > 1000 && n_refused > 50000);
    free(file.at);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* 9000 elements, so that conversions go over several chunks, each a number that all four types hold exactly; one byte
   in front, so that nothing is aligned. */
static void reads_all_float_types_as_f32(void **state)
{
    enum { n = 9000 };
    static const struct {
        const char *name;
        size_t width;
    } types[] = {{"F32", 4}, {"BF16", 2}, {"F16", 2}, {"F64", 8}};
    bench *b = *state;
    static float expected[n], out[n + 1];
    for (size_t i = 0; i < n; i++)
        expected[i] = ((i % 3 == 0) ? -1.0f : 1.0f) * (float)(1 + i % 128) / 16.0f;
    for (size_t t = 0; t < 4; t++) {
        char header[300];
        size_t width = types[t].width, length;
        sprintf(header,
                "{\"pad\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
                "\"w\":{\"dtype\":\"%s\",\"shape\":[90,100],\"data_offsets\":[1,%zu]}}",
                types[t].name, 1 + n * width);
        length = strlen(header);
        bytes file = make_file(header, 1 + n * width);
        for (size_t i = 0; i < n; i++) {
            double wide = expected[i];
            uint64_t bits64;
            uint32_t bits;
            memcpy(&bits, &expected[i], 4);
            memcpy(&bits64, &wide, 8);
            /* binary16: sign, exponent less 112, the top ten of the mantissa. */
            uint32_t half = (bits >> 16 & 0x8000) | (((bits >> 23 & 0xff) - 112) << 10) | (bits >> 13 & 0x3ff);
            uint64_t stored[] = {bits, bits >> 16, half, bits64};
            put_number(file.at + 8 + length + 1 + i * width, stored[t], width);
        }
        ink_weights *weights;
        serve(b, file);
        b->files.max_read = 777; /* not a whole number of elements [11] */
        assert_ok(b->ctx, open_served(b, &weights));
        out[n] = 42.0f;
        assert_ok(b->ctx, ink_weights_read(b->ctx, weights, ink_weights_find(weights, "w"), out));
        assert_memory_equal(out, expected, sizeof expected);
        assert_true(out[n] == 42.0f);
        ink_weights_free(weights);
        free(file.at);
    }
}

static void f64_is_rounded(void **state)
{
    static const uint64_t stored[] = {
        0x3fb999999999999au,
        0x7e37e43c8800759cu,
        0x7ff0000000000000u,
        0x8000000000000000u,
    };
    bench *b = *state;
    bytes file = make_file("{\"w\":{\"dtype\":\"F64\",\"shape\":[4],\"data_offsets\":[0,32]}}", 32);
    ink_weights *weights;
    float out[4];
    for (size_t i = 0; i < 4; i++)
        put_number(file.at + file.size - 32 + 8 * i, stored[i], 8);
    serve(b, file);
    assert_ok(b->ctx, open_served(b, &weights));
    assert_ok(b->ctx, ink_weights_read(b->ctx, weights, ink_weights_at(weights, 0), out));
    assert_true(out[0] == 0.1f);
    assert_true(out[1] > 3.4e38f && out[2] > 3.4e38f); /* 1e300 is infinity as f32 */
    assert_true(out[3] == 0.0f && 1.0f / out[3] < 0.0f);
    ink_weights_free(weights);
    free(file.at);
}

/* Numbers arrive in the byte order of this machine, whichever it is. */
static void reads_bytes_as_numbers(void **state)
{
    bench *b = *state;
    bytes file = make_file("{\"i\":{\"dtype\":\"I32\",\"shape\":[3],\"data_offsets\":[0,12]},"
                           "\"c\":{\"dtype\":\"C64\",\"shape\":[1],\"data_offsets\":[12,20]},"
                           "\"h\":{\"dtype\":\"U16\",\"shape\":[2],\"data_offsets\":[20,24]},"
                           "\"u\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[24,27]},"
                           "\"l\":{\"dtype\":\"U64\",\"shape\":[1],\"data_offsets\":[27,35]},"
                           "\"z\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[35,35]}}",
                           35);
    ink_weights *weights;
    uint32_t words[3];
    uint16_t halves[2];
    uint64_t wide;
    float none[1] = {42.0f};
    serve(b, file);
    assert_ok(b->ctx, open_served(b, &weights));
    const ink_weight *i = ink_weights_find(weights, "i"), *u = ink_weights_find(weights, "u");
    assert_ok(b->ctx, ink_weights_read_bytes(b->ctx, weights, i, 4, words, 8));
    assert_true(words[0] == 0x07060504u && words[1] == 0x0b0a0908u);
    assert_ok(b->ctx, ink_weights_read_bytes(b->ctx, weights, ink_weights_find(weights, "c"), 0, words, 8));
    assert_true(words[0] == 0x0f0e0d0cu && words[1] == 0x13121110u);
    assert_ok(b->ctx, ink_weights_read_bytes(b->ctx, weights, ink_weights_find(weights, "h"), 0, halves, 4));
    assert_true(halves[0] == 0x1514 && halves[1] == 0x1716);
    assert_ok(b->ctx, ink_weights_read_bytes(b->ctx, weights, ink_weights_find(weights, "l"), 0, &wide, 8));
    assert_true(wide == 0x2221201f1e1d1c1bu);
    assert_ok(b->ctx, ink_weights_read_bytes(b->ctx, weights, u, 1, words, 2));
    assert_memory_equal(words, "\x19\x1a", 2);
    assert_ok(b->ctx, ink_weights_read_bytes(b->ctx, weights, i, 12, words, 0));
    assert_ok(b->ctx, ink_weights_read(b->ctx, weights, ink_weights_find(weights, "z"), none));
    assert_true(none[0] == 42.0f);
    assert_fails(b->ctx, ink_weights_read_bytes(b->ctx, weights, i, 0, words, 16), INK_ERROR_ARGUMENT,
                 "'i', which has 12");
    assert_fails(b->ctx, ink_weights_read_bytes(b->ctx, weights, i, 16, words, 0), INK_ERROR_ARGUMENT,
                 "'i', which has");
    assert_fails(b->ctx, ink_weights_read_bytes(b->ctx, weights, i, UINT64_MAX - 3, words, 8), INK_ERROR_ARGUMENT,
                 "'i'");
    assert_fails(b->ctx, ink_weights_read_bytes(b->ctx, weights, i, 8, words, SIZE_MAX - 3), INK_ERROR_ARGUMENT,
                 "'i'"); /* the sum wraps to 4 */
    assert_fails(b->ctx, ink_weights_read_bytes(b->ctx, weights, i, 2, words, 4), INK_ERROR_ARGUMENT,
                 "are not whole I32 numbers");
    assert_fails(b->ctx, ink_weights_read_bytes(b->ctx, weights, i, 0, words, 3), INK_ERROR_ARGUMENT, "not whole I32");
    /* [40] */
    assert_fails(
        b->ctx, ink_weights_read(b->ctx, weights, i, (float *)words), INK_ERROR_UNSUPPORTED,
        "m.safetensors: tensor 'i' is I32; only F32, BF16, F16, F64 and the quantised types of GGUF can be read");
    ink_weights_free(weights);
    free(file.at);
}

/* [142] */
static void null_arguments(void **state)
{
    bench *b = *state;
    bytes file = make_file(sample, 33);
    ink_weights *weights, *none = (ink_weights *)b;
    float out[6];
    serve(b, file);
    assert_ok(b->ctx, open_served(b, &weights));
    const ink_weight *matrix = ink_weights_find(weights, "b");
    ink_weight stranger = *matrix;
    assert_int_equal(ink_weights_open(NULL, "x", &none), INK_ERROR_ARGUMENT);
    assert_fails(b->ctx, ink_weights_open(b->ctx, NULL, &none), INK_ERROR_ARGUMENT, "'path' is NULL");
    assert_null(none);
    assert_fails(b->ctx, ink_weights_open(b->ctx, "x", NULL), INK_ERROR_ARGUMENT, "'weights' is NULL");
    assert_int_equal(ink_weights_open_source(NULL, &b->files.source, name, &none), INK_ERROR_ARGUMENT);
    assert_fails(b->ctx, ink_weights_open_source(b->ctx, NULL, name, &none), INK_ERROR_ARGUMENT, "'source' is NULL");
    assert_fails(b->ctx, ink_weights_open_source(b->ctx, &b->files.source, NULL, &none), INK_ERROR_ARGUMENT, "'name'");
    assert_fails(b->ctx, ink_weights_open_source(b->ctx, &b->files.source, name, NULL), INK_ERROR_ARGUMENT,
                 "'weights'");
    assert_int_equal(ink_weights_read(NULL, weights, matrix, out), INK_ERROR_ARGUMENT);
    assert_fails(b->ctx, ink_weights_read(b->ctx, NULL, matrix, out), INK_ERROR_ARGUMENT, "'weights' is NULL");
    assert_fails(b->ctx, ink_weights_read(b->ctx, weights, NULL, out), INK_ERROR_ARGUMENT, "'weight' is NULL");
    assert_fails(b->ctx, ink_weights_read(b->ctx, weights, matrix, NULL), INK_ERROR_ARGUMENT, "'out' is NULL");
    assert_fails(b->ctx, ink_weights_read(b->ctx, weights, &stranger, out), INK_ERROR_ARGUMENT, "not one of");
    assert_int_equal(ink_weights_read_bytes(NULL, weights, matrix, 0, out, 4), INK_ERROR_ARGUMENT);
    assert_fails(b->ctx, ink_weights_read_bytes(b->ctx, NULL, matrix, 0, out, 4), INK_ERROR_ARGUMENT, "'weights'");
    assert_fails(b->ctx, ink_weights_read_bytes(b->ctx, weights, NULL, 0, out, 4), INK_ERROR_ARGUMENT, "'weight'");
    assert_fails(b->ctx, ink_weights_read_bytes(b->ctx, weights, matrix, 0, NULL, 4), INK_ERROR_ARGUMENT, "'out'");
    assert_fails(b->ctx, ink_weights_read_bytes(b->ctx, weights, &stranger, 0, out, 4), INK_ERROR_ARGUMENT, "not one");
    assert_int_equal(ink_weights_count(NULL), 0);
    assert_null(ink_weights_at(NULL, 0));
    assert_null(ink_weights_find(NULL, "b"));
    assert_null(ink_weights_find(weights, NULL));
    assert_string_equal(ink_weights_name(NULL), "");
    assert_null(ink_weights_metadata(NULL, "format"));
    assert_null(ink_weights_metadata(weights, NULL));
    ink_weights_free(weights);
    ink_weights_free(NULL);
    free(file.at);
}

/* ---- readers and memory that fail -------------------------------------------------------------------------------- */

/* [11, 13, 17, 18] */
static void every_read_fails_once(void **state)
{
    bench *b = *state;
    bytes file = make_file(sample, 33);
    ink_weights *weights;
    float out[6];
    serve(b, file);
    b->files.max_read = 5;
    assert_ok(b->ctx, open_served(b, &weights));
    size_t opening = b->files.reads;
    assert_true(opening > strlen(sample) / 5);
    assert_ok(b->ctx, ink_weights_read(b->ctx, weights, ink_weights_find(weights, "b"), out));
    size_t reading = b->files.reads - opening;
    assert_true(reading == 5);
    for (size_t k = 1; k <= reading; k++) {
        b->files.fail_read = b->files.reads + k;
        assert_fails(b->ctx, ink_weights_read(b->ctx, weights, ink_weights_find(weights, "b"), out), INK_ERROR_READ,
                     "m.safetensors: reading");
    }
    b->files.fail_read = 0;
    assert_ok(b->ctx, ink_weights_read(b->ctx, weights, ink_weights_find(weights, "b"), out));
    ink_weights_free(weights);
    for (size_t k = 1; k <= opening; k++) {
        b->files.reads = 0;
        b->files.fail_read = k;
        assert_fails(b->ctx, open_served(b, &weights), INK_ERROR_READ, "m.safetensors: reading");
        b->files.reads = 0;
        b->files.fail_read = 0;
        b->files.lie_read = k;
        assert_fails(b->ctx, open_served(b, &weights), INK_ERROR_READ, "m.safetensors: reading");
        b->files.lie_read = 0;
    }
    b->files.opens = 0;
    b->files.fail_open = 1;
    assert_fails(b->ctx, open_served(b, &weights), INK_ERROR_READ, "cannot be read");
    free(file.at);
}

/* The file shrinks after its size was asked [14]. */
static void files_that_shrink(void **state)
{
    bench *b = *state;
    bytes file = make_file(sample, 33);
    ink_weights *weights;
    float out[6] = {0};
    serve(b, file);
    b->files.max_read = 16;
    for (size_t k = 1; k < 10; k++) {
        b->files.reads = 0;
        b->files.end_read = k;
        assert_fails(b->ctx, open_served(b, &weights), INK_ERROR_READ, "m.safetensors: the file ends at");
    }
    b->files.end_read = 0;
    assert_ok(b->ctx, open_served(b, &weights));
    b->files.end_read = b->files.reads + 2;
    assert_fails(b->ctx, ink_weights_read(b->ctx, weights, ink_weights_find(weights, "b"), out), INK_ERROR_READ,
                 "m.safetensors: the file ends at");
    ink_weights_free(weights);
    b->files.end_read = 0;
    b->files.claim_size = file.size + 1;
    assert_fails(b->ctx, open_served(b, &weights), INK_ERROR_CORRUPT, "but the file has");
    b->files.claim_size = UINT64_MAX;
    assert_fails(b->ctx, open_served(b, &weights), INK_ERROR_CORRUPT, "but the file has 18446744073709551615 bytes");
    free(file.at);
}

/* [150] */
static void every_allocation_fails_once(void **state)
{
    bench *b = *state;
    char *header = many_tensors(2000);
    bytes file = make_file(header, 1);
    ink_weights *weights;
    size_t k = 1;
    serve(b, file);
    while (runs_out_of_memory(b->ctx, &b->memory, k, open_served(b, &weights), "out of memory"))
        k++;
    assert_true(k > 4);
    ink_weights_free(weights);
    free(header);
    free(file.at);
}

/* Weights live on without the context they were opened through; source and name are copied. */
static void weights_outlive_their_context(void **state)
{
    bench *b = *state;
    counting memory;
    bytes file = make_file(sample, 33);
    ink_weights *weights;
    serve(b, file);
    ink_context *brief = counting_begin(&memory, 1);
    ink_source source = b->files.source;
    char copy[sizeof name];
    memcpy(copy, name, sizeof name);
    assert_ok(brief, ink_weights_open_source(brief, &source, copy, &weights));
    ink_context_free(brief);
    source = (ink_source){0};
    memset(copy, '#', sizeof copy);
    assert_string_equal(ink_weights_name(weights), name);
    assert_true(memory.live_bytes > 0);
    unsigned char byte;
    assert_ok(b->ctx, ink_weights_read_bytes(b->ctx, weights, ink_weights_find(weights, "a"), 0, &byte, 1));
    ink_weights_free(weights);
    assert_int_equal(memory.live_bytes, 0);
    free(file.at);
}

/* ---- folders ----------------------------------------------------------------------------------------------------- */

static void folders_without_weights(void **state)
{
    static const struct {
        const char *file;
        ink_result result;
        const char *words;
    } cases[] = {
        {"pytorch_model.bin", INK_ERROR_UNSUPPORTED,
         "tiny has no model.safetensors but pytorch_model.bin: convert it in Python: import torch, safetensors.torch "
         "as "
         "s; d = torch.load('pytorch_model.bin', weights_only=True, map_location='cpu'); n = {}; a = {k: "
         "n.setdefault((v.data_ptr(), v.shape, v.stride()), k) for k, v in d.items()}; s.save_file({k: "
         "d[k].clone().contiguous() for k in n.values()}, 'model.safetensors', {**{k: o for k, o in a.items() if k != "
         "o}, 'format': 'pt'})"},
        {"model.pt", INK_ERROR_UNSUPPORTED, "torch.load('model.pt', weights_only=True"},
        {"onnx/model.onnx", INK_ERROR_UNSUPPORTED, "an ONNX model"},
        {"adapter_model.safetensors", INK_ERROR_UNSUPPORTED, "an adapter of PEFT"},
        {"pytorch_model.bin.index.json", INK_ERROR_UNSUPPORTED, "sharded"},
        {"model.safetensors.index.json", INK_ERROR_CORRUPT, "model.safetensors.index.json"},
        {"tf_model.h5", INK_ERROR_UNSUPPORTED, "a TensorFlow model"},
        {"flax_model.msgpack", INK_ERROR_UNSUPPORTED, "a Flax model"},
        {"model.gguf", INK_ERROR_CORRUPT, "model.gguf: this is not a GGUF file"},
        {"ggml-model.gguf", INK_ERROR_UNSUPPORTED, "a GGUF model"},
        {"config.json", INK_ERROR_NOT_FOUND, "tiny has no model.safetensors"},
        {"notes.txt", INK_ERROR_NOT_FOUND,
         "tiny: expected the folder of a model or the path of a GGUF file, but neither model.safetensors nor "
         "config.json can be opened there"},
    };
    bench *b = *state;
    ink_weights *weights;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        b->file = (ink_memory_file){.name = cases[i].file, .data = "x", .size = 1};
        faulty_init(&b->files, &b->file, 1);
        b->files.source.name = "tiny";
        weights = (ink_weights *)b;
        assert_fails(b->ctx, ink_weights_open_folder(b->ctx, &b->files.source, &weights), cases[i].result,
                     cases[i].words);
        assert_null(weights);
        assert_int_equal(b->files.open_files, 0);
    }
    bytes file = make_file(sample, 33);
    b->file = (ink_memory_file){.name = "model.safetensors", .data = file.at, .size = file.size};
    assert_ok(b->ctx, ink_weights_open_folder(b->ctx, &b->files.source, &weights));
    assert_int_equal(ink_weights_count(weights), 4);
    ink_weights_free(weights);
    file.at[9] = '!';
    assert_fails(b->ctx, ink_weights_open_folder(b->ctx, &b->files.source, &weights), INK_ERROR_CORRUPT,
                 "model.safetensors");
    free(file.at);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lists_what_is_in_a_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(accepts_what_is_legal, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lengths_are_checked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_formats_are_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(good_files_are_not_mistaken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(broken_headers_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_unknown_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_tensors_and_long_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(overlapping_bombs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_with_equal_hashes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_truncation_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_changed_byte_is_survived, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reads_all_float_types_as_f32, set_up, tear_down),
        cmocka_unit_test_setup_teardown(f64_is_rounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reads_bytes_as_numbers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(null_arguments, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_read_fails_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(files_that_shrink, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_allocation_fails_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(weights_outlive_their_context, set_up, tear_down),
        cmocka_unit_test_setup_teardown(folders_without_weights, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
