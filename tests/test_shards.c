/*
 * test_shards.c - weights in several files, named by an index: one table, one file open at a time, and every way in
 * which an index can be wrong (part F of the checklist of bad inputs, whose numbers stand in square brackets).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "counting.h"
#include "faulty.h"
#include "fixture.h"
#include "support/layers.h"

#define INDEX "model.safetensors.index.json"
#define ENTRY(tensor, file) "\"" tensor "\": \"" file "\""

/* A folder with config.json to open weights from: two shards with the tensors a, b and c. */
typedef struct folder {
    ink_context *ctx;
    counting memory;
    state_dict dicts[2];
    ink_memory_file files[4];
    size_t n_files;
    faulty reader;
} folder;

/* Gives a state_dict's bytes another name and lets the index say `index`. */
static void set_up(folder *f, const char *index)
{
    static const float two[] = {1, 2}, four[] = {3, 4, 5, 6};
    memset(f, 0, sizeof *f);
    f->ctx = counting_begin(&f->memory, 1);
    state_dict_add(&f->dicts[0], "a", INK_F32, 1, (const size_t[]){2}, two);
    state_dict_add(&f->dicts[1], "b", INK_F32, 2, (const size_t[]){2, 2}, four);
    state_dict_add(&f->dicts[1], "c", INK_F32, 1, (const size_t[]){2}, two);
    for (size_t i = 0; i < 2; i++)
        state_dict_write(&f->dicts[i]);
    f->files[0] = (ink_memory_file){"config.json", "{}", 2};
    f->files[1] = (ink_memory_file){"one.safetensors", f->dicts[0].file, f->dicts[0].file_size};
    f->files[2] = (ink_memory_file){"two.safetensors", f->dicts[1].file, f->dicts[1].file_size};
    f->files[3] = (ink_memory_file){INDEX, index, strlen(index)};
    f->n_files = 4;
    faulty_init(&f->reader, f->files, f->n_files);
    f->reader.source.name = "tiny";
}

static void tear_down(folder *f)
{
    assert_int_equal(f->reader.open_files, 0);
    counting_end(&f->memory, f->ctx);
    for (size_t i = 0; i < 2; i++)
        state_dict_free(&f->dicts[i]);
}

static const char whole[] = "{\"metadata\": {\"total_size\": \"whatever\"}, \"weight_map\": {" ENTRY(
    "c", "two.safetensors") ", " ENTRY("a", "one.safetensors") ", " ENTRY("b", "two.safetensors") "}}";

/* ---- what is right -------------------------------------------------------------------------------------------- */

static void one_table_over_all_files(void **unused)
{
    static const char *const names[] = {"b", "c", "a"}; /* file by file, as the index first names them */
    folder f;
    ink_weights *weights;
    float x[4];
    (void)unused;
    set_up(&f, whole);
    assert_ok(f.ctx, ink_weights_open_folder(f.ctx, &f.reader.source, &weights));
    assert_string_equal(ink_weights_name(weights), INDEX);
    assert_int_equal(ink_weights_count(weights), 3);
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(ink_weights_at(weights, i)->name, names[i]);
        assert_string_equal(ink_weights_at(weights, i)->file, i == 2 ? "one.safetensors" : "two.safetensors");
        assert_true(ink_weights_find(weights, names[i]) == ink_weights_at(weights, i));
    }
    for (size_t round = 0; round < 2; round++) {
        assert_int_equal(f.reader.open_files, 1); /* at a time */
        assert_ok(f.ctx, ink_weights_read(f.ctx, weights, ink_weights_find(weights, "b"), x));
        assert_true(x[0] == 3 && x[3] == 6);
        assert_ok(f.ctx, ink_weights_read(f.ctx, weights, ink_weights_find(weights, "c"), x));
        assert_true(x[0] == 1 && x[1] == 2);
        assert_ok(f.ctx, ink_weights_read(f.ctx, weights, ink_weights_find(weights, "a"), x));
        assert_true(x[0] == 1 && x[1] == 2);
    }
    ink_weights_free(weights);

    /* A single file comes before the index, and its tensors are in it. */
    f.files[1].name = "model.safetensors";
    assert_ok(f.ctx, ink_weights_open_folder(f.ctx, &f.reader.source, &weights));
    assert_int_equal(ink_weights_count(weights), 1);
    assert_string_equal(ink_weights_at(weights, 0)->file, "model.safetensors");
    ink_weights_free(weights);
    tear_down(&f);
}

/* A tensor that the index does not name is one of the table all the same: whoever has no use for it says so. */
static void the_index_may_be_short(void **unused)
{
    folder f;
    ink_weights *weights;
    (void)unused;
    set_up(&f, "{\"weight_map\": {" ENTRY("b", "two.safetensors") "}}");
    assert_ok(f.ctx, ink_weights_open_folder(f.ctx, &f.reader.source, &weights));
    assert_int_equal(ink_weights_count(weights), 2);
    assert_non_null(ink_weights_find(weights, "c"));
    assert_null(ink_weights_find(weights, "a"));
    ink_weights_free(weights);
    tear_down(&f);
}

/* ---- what is wrong -------------------------------------------------------------------------------------------- */

static void wrong_indices_are_refused(void **unused)
{
    static const struct {
        const char *index;
        ink_result result;
        const char *words;
    } cases[] = {
        {"{\"weight_map\": {" ENTRY("a", "/etc/one.safetensors") "}}", INK_ERROR_CORRUPT, /* [112] */
         "tensor 'a' should be in '/etc/one.safetensors', expected a file of the same folder"},
        {"{\"weight_map\": {" ENTRY("a", "../one.safetensors") "}}", INK_ERROR_CORRUPT, "'../one.safetensors'"},
        {"{\"weight_map\": {" ENTRY("a", "x/../../one") "}}", INK_ERROR_CORRUPT, "same folder"},
        {"{\"weight_map\": {" ENTRY("a", "sub/one.safetensors") "}}", INK_ERROR_CORRUPT, "same folder"},
        {"{\"weight_map\": {" ENTRY("a", "..\\\\one.safetensors") "}}", INK_ERROR_CORRUPT, "same folder"},
        {"{\"weight_map\": {" ENTRY("a", "C:one.safetensors") "}}", INK_ERROR_CORRUPT, "same folder"},
        {"{\"weight_map\": {" ENTRY("a", "https://example.org/one") "}}", INK_ERROR_CORRUPT, "same folder"},
        {"{\"weight_map\": {" ENTRY("a", "..") "}}", INK_ERROR_CORRUPT, "same folder"},
        {"{\"weight_map\": {" ENTRY("a", ".") "}}", INK_ERROR_CORRUPT, "same folder"},
        {"{\"weight_map\": {" ENTRY("a", "") "}}", INK_ERROR_CORRUPT, "same folder"},
        {"{\"weight_map\": {" ENTRY("a", "one\\u0000.safetensors") "}}", INK_ERROR_MISMATCH, "without NUL"},
        {"{\"weight_map\": {" ENTRY("a", "three.safetensors") "}}", INK_ERROR_NOT_FOUND, /* [113] */
         INDEX ": tiny/three.safetensors: no such file"},
        {"{\"weight_map\": {" ENTRY("a", "two.safetensors") "}}", INK_ERROR_MISMATCH, /* [115] */
         "tensor 'a' should be in 'two.safetensors', which does not have it"},
        {"{\"weight_map\": {" ENTRY("a", "two.safetensors") ", " ENTRY("b", "one.safetensors") "}}", INK_ERROR_MISMATCH,
         "tensor 'a' should be in 'two.safetensors', but it is in 'one.safetensors'"},
        {"{\"weight_map\": {" ENTRY("a", INDEX) "}}", INK_ERROR_CORRUPT, "a JSON text"}, /* [117] */
        {"{\"weight_map\": {" ENTRY("a", "config.json") "}}", INK_ERROR_CORRUPT, "config.json"},
        {"{\"weight_map\": {\"a\": {\"file\": \"one.safetensors\"}}}", INK_ERROR_MISMATCH,
         "weight_map.a: expected a string, found an object"},
        {"{\"weight_map\": {\"a\": null}}", INK_ERROR_MISMATCH, "weight_map.a: expected a string, found null"},
        {"{\"weight_map\": {}}", INK_ERROR_MISMATCH, "names no tensor"},
        {"{\"weight_map\": []}", INK_ERROR_MISMATCH, "weight_map: expected an object"},
        {"{\"metadata\": {}}", INK_ERROR_MISMATCH, "'weight_map' is missing"},
        {"{\"weight_map\": {" ENTRY("a", "one.safetensors") ", " ENTRY("a", "two.safetensors") "}}", INK_ERROR_MISMATCH,
         "tensor 'a' should be in 'two.safetensors', which does not have it"}, /* the last one counts */
        {"[]", INK_ERROR_MISMATCH, "expected an object"},
        {"", INK_ERROR_CORRUPT, INDEX},
    };
    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        folder f;
        ink_weights *weights = (ink_weights *)(uintptr_t)1;
        set_up(&f, cases[i].index);
        assert_fails(f.ctx, ink_weights_open_folder(f.ctx, &f.reader.source, &weights), cases[i].result,
                     cases[i].words);
        assert_null(weights);
        tear_down(&f);
    }
}

/* [114] */
static void a_tensor_in_two_files_is_refused(void **unused)
{
    folder f;
    ink_weights *weights;
    (void)unused;
    set_up(&f, "{\"weight_map\": {" ENTRY("b", "two.safetensors") ", " ENTRY("c", "one.safetensors") "}}");
    f.files[1].data = f.files[2].data;
    f.files[1].size = f.files[2].size;
    assert_fails(f.ctx, ink_weights_open_folder(f.ctx, &f.reader.source, &weights), INK_ERROR_CORRUPT,
                 "is in two of the files, 'two.safetensors' and 'one.safetensors'");
    assert_null(weights);
    tear_down(&f);
}

/* [16] A file that is another one when its tensors are read. */
static void a_file_that_changes_is_noticed(void **unused)
{
    folder f;
    ink_weights *weights;
    float x[4];
    (void)unused;
    set_up(&f, whole);
    assert_ok(f.ctx, ink_weights_open_folder(f.ctx, &f.reader.source, &weights));
    const ink_memory_file before = f.files[2]; /* the last that was opened is the other */
    f.files[2] = (ink_memory_file){"two.safetensors", f.files[1].data, f.files[1].size};
    assert_fails(f.ctx, ink_weights_read(f.ctx, weights, ink_weights_find(weights, "b"), x), INK_ERROR_READ,
                 "when its header was read");
    f.files[2].name = "gone";
    assert_fails(f.ctx, ink_weights_read(f.ctx, weights, ink_weights_find(weights, "b"), x), INK_ERROR_NOT_FOUND,
                 "two.safetensors: no such file");
    f.files[2] = before;
    assert_ok(f.ctx, ink_weights_read(f.ctx, weights, ink_weights_find(weights, "b"), x));
    assert_ok(f.ctx, ink_weights_read(f.ctx, weights, ink_weights_find(weights, "a"), x));
    ink_weights_free(weights);
    tear_down(&f);
}

/* [116] Far more files than a process may have open. */
static void many_files(ink_context *ctx, counting *memory)
{
    enum { N = 20000 };
    state_dict *dicts = calloc(1, sizeof *dicts);
    ink_memory_file *files = calloc(N + 1, sizeof *files);
    char *names = malloc((size_t)N * 32), *index = malloc((size_t)N * 64 + 64);
    unsigned char *shards = NULL;
    faulty reader;
    ink_weights *weights;
    (void)memory; /* its books must be empty at the end */
    state_dict_vector(dicts, "t00000", 1);
    state_dict_write(dicts);
    size_t size = dicts->file_size, used = (size_t)sprintf(index, "{\"weight_map\": {");
    shards = malloc(N * size);
    for (size_t i = 0; i < N; i++) {
        char tensor[8];
        sprintf(names + i * 32, "shard%zu.safetensors", i);
        sprintf(tensor, "t%05zu", i);
        memcpy(shards + i * size, dicts->file, size);
        memcpy(shards + i * size + 8 + 2, tensor, 6);
        files[i] = (ink_memory_file){names + i * 32, shards + i * size, size};
        used += (size_t)sprintf(index + used, "%s\"%s\": \"%s\"", i > 0 ? ", " : "", tensor, names + i * 32);
    }
    used += (size_t)sprintf(index + used, "}}");
    files[N] = (ink_memory_file){INDEX, index, used};
    faulty_init(&reader, files, N + 1);
    assert_ok(ctx, ink_weights_open_folder(ctx, &reader.source, &weights));
    assert_int_equal(ink_weights_count(weights), N);
    assert_int_equal(reader.open_files, 1);
    ink_weights_free(weights);
    state_dict_free(dicts);
    free(dicts);
    free(files);
    free(names);
    free(index);
    free(shards);
}

/* ---- what fails ----------------------------------------------------------------------------------------------- */

/* Every read and every open of a whole model in shards. */
static void every_file_operation_fails_once(ink_context *ctx)
{
    fixture_files files;
    fixture_files_read(&files, "mistral");
    for (size_t kind = 0; kind < 3; kind++)
        for (size_t k = 1, failed = true; failed; k++) {
            faulty reader;
            ink_model *model;
            faulty_init(&reader, files.files, files.list.n_files);
            *(kind == 0 ? &reader.fail_read : kind == 1 ? &reader.end_read : &reader.fail_open) = k;
            const ink_model_options options = {.source = &reader.source};
            ink_result result = ink_model_open(ctx, NULL, &options, &model);
            failed = (kind == 2 ? reader.opens : reader.reads) >= k;
            assert_true(result == INK_OK || failed);
            assert_int_equal(model != NULL, result == INK_OK);
            assert_int_equal(reader.open_files, 0);
            ink_model_free(model);
        }
    fixture_files_free(&files);
}

static void every_allocation_fails_once(void **unused)
{
    folder f;
    ink_weights *weights;
    (void)unused;
    set_up(&f, whole);
    size_t before = f.memory.live_bytes, k = 1;
    for (; runs_out_of_memory(f.ctx, &f.memory, k, ink_weights_open_folder(f.ctx, &f.reader.source, &weights), NULL);
         k++) {
        assert_null(weights);
        assert_int_equal(f.memory.live_bytes, before);
        assert_int_equal(f.reader.open_files, 0);
    }
    ink_weights_free(weights);
    assert_fails(f.ctx, ink_weights_open_folder(f.ctx, NULL, &weights), INK_ERROR_ARGUMENT, "'folder'");
    assert_fails(f.ctx, ink_weights_open_folder(f.ctx, &f.reader.source, NULL), INK_ERROR_ARGUMENT, "'weights'");
    assert_int_equal(ink_weights_open_folder(NULL, &f.reader.source, &weights), INK_ERROR_ARGUMENT);
    tear_down(&f);
}

/* Loading takes the model and little else, and reads each byte of each tensor once. */
static void loading_reads_each_tensor_once(ink_context *ctx, counting *memory)
{
    fixture_files files;
    faulty reader;
    ink_model *model;
    fixture_files_read(&files, "mistral");
    faulty_init(&reader, files.files, files.list.n_files);
    size_t before = memory->peak_bytes = memory->live_bytes;
    const ink_model_options options = {.source = &reader.source};
    assert_ok(ctx, ink_model_open(ctx, NULL, &options, &model));
    assert_true(memory->peak_bytes - before < ink_model_get_info(model)->n_bytes + ((size_t)4 << 20));
    /* config and generation config, the index, two reads for each header, and one for each tensor */
    size_t n_tensors = 2 * 9 + 3;
    assert_int_equal(reader.reads, 3 + 3 * 2 + n_tensors);
    ink_model_free(model);
    fixture_files_free(&files);
}

/* An index that is there and may not be read. */
static ink_result open_forbidden(void *user, const char *name, void **file, uint64_t *size)
{
    (void)user, (void)file, (void)size;
    return strcmp(name, "model.safetensors.index.json") == 0 ? INK_ERROR_READ : INK_ERROR_NOT_FOUND;
}

static ink_result read_nothing(void *user, void *file, uint64_t offset, void *buffer, size_t size, size_t *got)
{
    (void)user, (void)file, (void)offset, (void)buffer, (void)size;
    *got = 0;
    return INK_ERROR_READ;
}

static void close_nothing(void *user, void *file) { (void)user, (void)file; }

static void an_index_that_may_not_be_read_is_named(ink_context *ctx)
{
    const ink_source forbidden = {.open = open_forbidden, .read = read_nothing, .close = close_nothing};
    ink_weights *weights;
    assert_fails(ctx, ink_weights_open_folder(ctx, &forbidden, &weights), INK_ERROR_READ,
                 "model.safetensors.index.json");
    assert_null(weights);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_table_over_all_files),       cmocka_unit_test(the_index_may_be_short),
        cmocka_unit_test(wrong_indices_are_refused),      cmocka_unit_test(a_tensor_in_two_files_is_refused),
        cmocka_unit_test(a_file_that_changes_is_noticed), counted_test(many_files),
        context_test(every_file_operation_fails_once),    cmocka_unit_test(every_allocation_fails_once),
        counted_test(loading_reads_each_tensor_once),     context_test(an_index_that_may_not_be_read_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
