/* test_source.c - weights in real files of a real folder: what is opened, what is refused, and nothing left behind.
   Numbers in square brackets are those of the list of bad inputs the library is tested against. */
#define _POSIX_C_SOURCE 200809L

#include "testing.h"

#include "counting.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct bench {
    counting memory;
    ink_context *ctx;
    size_t open_files; /* of this process */
    char folder[64];
    char path[200];
} bench;

/* How many files this process has open; 0 where there is no way to ask. */
static size_t count_open_files(void)
{
    size_t n = 0;
    DIR *list = opendir("/proc/self/fd");
    if (list == NULL)
        return 0;
    while (readdir(list) != NULL)
        n++;
    closedir(list);
    return n;
}

static int set_up(void **state)
{
    bench *b = *state = calloc(1, sizeof *b);
    b->ctx = counting_begin(&b->memory, 1);
    strcpy(b->folder, "/tmp/inkling-test-XXXXXX");
    assert_non_null(mkdtemp(b->folder));
    b->open_files = count_open_files();
    return 0;
}

static int tear_down(void **state)
{
    bench *b = *state;
    assert_int_equal(b->memory.live_bytes, b->memory.at_rest);
    assert_int_equal(count_open_files(), b->open_files);
    ink_context_free(b->ctx);
    assert_int_equal(rmdir(b->folder), 0); /* each test removes its files */
    free(b);
    return 0;
}

static const char *path_of(bench *b, const char *name)
{
    snprintf(b->path, sizeof b->path, "%s/%s", b->folder, name);
    return b->path;
}

static const char header[] = "{\"t\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}";

static void write_file(const char *path, const char *json, const char *data, size_t n_data)
{
    unsigned char length[8] = {(unsigned char)strlen(json)};
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(length, 1, 8, file), 8);
    assert_int_equal(fwrite(json, 1, strlen(json), file), strlen(json));
    assert_int_equal(fwrite(data, 1, n_data, file), n_data);
    assert_int_equal(fclose(file), 0);
}

static ink_result try_open(bench *b, const char *path)
{
    ink_weights *weights = (ink_weights *)b;
    errno = 12345;
    ink_result result = ink_weights_open(b->ctx, path, &weights);
    assert_int_equal(errno, 12345); /* [150] */
    assert_null(weights);
    assert_int_equal(b->memory.live_bytes, b->memory.at_rest);
    assert_int_equal(count_open_files(), b->open_files);
    return result;
}

/* A build without files says so and does nothing else; the tests of files are then about nothing. */
static void need_files(bench *b)
{
    if (try_open(b, "nowhere") == INK_ERROR_UNSUPPORTED)
        skip();
}

static void good_files_are_read(void **state)
{
    bench *b = *state;
    need_files(b);
    ink_weights *weights;
    unsigned char bytes[4];
    ink_source folder = ink_source_folder(b->folder);
    write_file(path_of(b, "m.safetensors"), header, "\1\2\3\4", 4);
    assert_ok(b->ctx, ink_weights_open(b->ctx, b->path, &weights));
    assert_string_equal(ink_weights_name(weights), b->path);
    assert_ok(b->ctx, ink_weights_read_bytes(b->ctx, weights, ink_weights_find(weights, "t"), 0, bytes, 4));
    assert_memory_equal(bytes, "\1\2\3\4", 4);
    ink_weights_free(weights);
    assert_ok(b->ctx, ink_weights_open_source(b->ctx, &folder, "m.safetensors", &weights));
    assert_ok(b->ctx, ink_weights_read_bytes(b->ctx, weights, ink_weights_find(weights, "t"), 2, bytes, 2));
    assert_memory_equal(bytes, "\3\4\3\4", 4);
    ink_weights_free(weights);
    unlink(b->path);
}

/* [1, 2, 3, 10, 19] */
static void what_is_no_file_is_refused(void **state)
{
    bench *b = *state;
    need_files(b);
    char longer[6000];
    assert_fails(b->ctx, try_open(b, path_of(b, "missing")), INK_ERROR_NOT_FOUND, "missing: no such file");
    assert_fails(b->ctx, try_open(b, path_of(b, "no/such/folder")), INK_ERROR_NOT_FOUND, "no such file");
    assert_fails(b->ctx, try_open(b, ""), INK_ERROR_NOT_FOUND, "no such file");
    assert_fails(b->ctx, try_open(b, b->folder), INK_ERROR_READ, "cannot be read");
    assert_fails(b->ctx, try_open(b, "/dev/zero"), INK_ERROR_READ, "/dev/zero: cannot be read");
    assert_int_equal(mkfifo(path_of(b, "fifo"), 0600), 0);
    /* and no waiting for somebody who writes into it */
    assert_fails(b->ctx, try_open(b, b->path), INK_ERROR_READ, "cannot be read (not a regular file");
    unlink(b->path);
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    assert_fails(b->ctx, try_open(b, longer), INK_ERROR_NOT_FOUND, "xxx...: no such file");
    assert_fails(b->ctx, try_open(b, path_of(b, "\xff\x1b[31m")), INK_ERROR_NOT_FOUND, "\\xff\\x1b[31m: no such file");
    write_file(path_of(b, "\xff"), header, "1234", 3);
    assert_fails(b->ctx, try_open(b, b->path), INK_ERROR_CORRUPT, "the file is cut off");
    unlink(b->path);
    write_file(path_of(b, "secret"), header, "1234", 4);
    chmod(b->path, 0);
    if (geteuid() != 0) /* root may read everything */
        assert_fails(b->ctx, try_open(b, b->path), INK_ERROR_READ, "no permission");
    unlink(b->path);
}

/* The file is cut while it is open: an error, not a signal [14, 15]. */
static void a_file_that_is_cut_while_open(void **state)
{
    bench *b = *state;
    need_files(b);
    ink_weights *weights;
    char bytes[4];
    write_file(path_of(b, "m.safetensors"), header, "1234", 4);
    assert_ok(b->ctx, ink_weights_open(b->ctx, b->path, &weights));
    assert_int_equal(truncate(b->path, (off_t)strlen(header) + 8 + 2), 0);
    assert_fails(b->ctx, ink_weights_read_bytes(b->ctx, weights, ink_weights_at(weights, 0), 0, bytes, 4),
                 INK_ERROR_READ, "the file ends at");
    assert_ok(b->ctx, ink_weights_read_bytes(b->ctx, weights, ink_weights_at(weights, 0), 0, bytes, 2));
    ink_weights_free(weights);
    unlink(b->path);
}

/* Offsets beyond 32 bits [9]: a file of 5 GiB that is a hole but for its ends. */
static void files_beyond_4_gib(void **state)
{
    bench *b = *state;
    need_files(b);
    if (sizeof(size_t) < 8 || sizeof(off_t) < 8)
        skip();
    static const char json[] = "{\"hole\":{\"dtype\":\"U8\",\"shape\":[5368709120],\"data_offsets\":[0,5368709120]},"
                               "\"end\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[5368709120,5368709124]}}";
    static const unsigned char one[4] = {0, 0, 0x80, 0x3f};
    ink_weights *weights;
    float value = 0;
    write_file(path_of(b, "m.safetensors"), json, "", 0);
    int file = open(b->path, O_WRONLY);
    assert_true(file >= 0);
    off_t end = (off_t)(8 + strlen(json) + 5368709120u);
    bool fits = pwrite(file, one, 4, end) == 4;
    close(file);
    if (!fits) { /* a file system without holes, or a limit on the size of files */
        unlink(b->path);
        skip();
    }
    assert_ok(b->ctx, ink_weights_open(b->ctx, b->path, &weights));
    assert_ok(b->ctx, ink_weights_read(b->ctx, weights, ink_weights_find(weights, "end"), &value));
    assert_true(value == 1.0f);
    unsigned char last = 1;
    const ink_weight *hole = ink_weights_find(weights, "hole");
    assert_ok(b->ctx, ink_weights_read_bytes(b->ctx, weights, hole, 5368709119u, &last, 1));
    assert_int_equal(last, 0);
    ink_weights_free(weights);
    unlink(b->path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(good_files_are_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_file_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_is_cut_while_open, set_up, tear_down),
        cmocka_unit_test_setup_teardown(files_beyond_4_gib, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
