/*
 * counting.c - malloc with a header in front of each block and a guard behind it.
 */
#include "counting.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_SIZE 33 /* odd, so that blocks lie at odd addresses */
#define GUARD_SIZE 16
#define GUARD_BYTE 0xC3

static void complain(const char *what)
{
    fprintf(stderr, "counting allocator: %s\n", what);
    abort();
}

static bool wants_failure(counting *memory, size_t size)
{
    bool fail = memory->takes >= memory->fail_from && memory->takes <= memory->fail_to;

    if (memory->limit != 0 && memory->live_bytes + size > memory->limit)
        fail = true;
    if (fail)
        memory->failures++;
    return fail;
}

static void *take(counting *memory, size_t size)
{
    unsigned char *raw;

    memory->takes++;
    if (wants_failure(memory, size))
        return NULL;
    raw = size <= SIZE_MAX - HEADER_SIZE - GUARD_SIZE ? malloc(HEADER_SIZE + size + GUARD_SIZE) : NULL;
    if (raw == NULL)
        return NULL;
    memset(raw, GUARD_BYTE, HEADER_SIZE);
    memcpy(raw, &size, sizeof size);
    memset(raw + HEADER_SIZE, 0xA5, size);
    memset(raw + HEADER_SIZE + size, GUARD_BYTE, GUARD_SIZE);
    memory->live_bytes += size;
    memory->live_blocks++;
    if (memory->live_bytes > memory->peak_bytes)
        memory->peak_bytes = memory->live_bytes;
    return raw + HEADER_SIZE;
}

static void check_guards(const unsigned char *raw, size_t size)
{
    for (size_t i = sizeof size; i < HEADER_SIZE; i++)
        if (raw[i] != GUARD_BYTE)
            complain("a byte before a block was written");
    for (size_t i = 0; i < GUARD_SIZE; i++)
        if (raw[HEADER_SIZE + size + i] != GUARD_BYTE)
            complain("a byte behind a block was written");
}

static void give_back(counting *memory, unsigned char *block, size_t old_size)
{
    unsigned char *raw = block - HEADER_SIZE;
    size_t size;

    memcpy(&size, raw, sizeof size);
    if (size != old_size)
        complain("a block was given back with another size than it was taken with");
    check_guards(raw, size);
    memset(block, 0x5A, size);
    memory->live_bytes -= size;
    memory->live_blocks--;
    free(raw);
}

static void lock(counting *memory)
{
    while (__atomic_exchange_n(&memory->lock, 1, __ATOMIC_ACQUIRE) != 0)
        continue;
}

static void unlock(counting *memory) { __atomic_store_n(&memory->lock, 0, __ATOMIC_RELEASE); }

static void *counting_resize(void *user, void *block, size_t old_size, size_t new_size)
{
    counting *memory = user;
    void *result = NULL;

    if (block != NULL && new_size != 0)
        complain("a block was asked to be resized");
    if (block == NULL && new_size == 0)
        complain("no bytes were asked for");
    lock(memory);
    if (block != NULL)
        give_back(memory, block, old_size);
    else
        result = take(memory, new_size);
    unlock(memory);
    return result;
}

void counting_init(counting *memory)
{
    memset(memory, 0, sizeof *memory);
    memory->allocator.resize = counting_resize;
    memory->allocator.user = memory;
    counting_fail_at(memory, 0);
}

ink_context *counting_begin(counting *memory, unsigned n_threads)
{
    counting_init(memory);
    ink_context *ctx = counting_context(memory, n_threads);
    assert_non_null(ctx);
    memory->at_rest = memory->live_bytes;
    return ctx;
}

ink_context *counting_context(counting *memory, unsigned n_threads)
{
    ink_context_options options = test_options(n_threads);
    options.allocator = memory->allocator;
    return ink_context_create(&options);
}

void counting_end(counting *memory, ink_context *ctx)
{
    ink_context_free(ctx);
    assert_int_equal(memory->live_bytes, 0);
}

void counted_test_run(void **state)
{
    const counted_check *test = *state;
    counting memory;
    ink_context *ctx = counting_begin(&memory, 1);
    test->check(ctx, &memory);
    counting_end(&memory, ctx);
}

void counting_fail_at(counting *memory, size_t k)
{
    memory->failures = 0;
    memory->fail_from = k == 0 ? SIZE_MAX : memory->takes + k;
    memory->fail_to = k == 0 ? 0 : memory->fail_from;
}

void counting_fail_from(counting *memory, size_t k)
{
    counting_fail_at(memory, k);
    memory->fail_to = SIZE_MAX;
}

bool counting_failed(counting *memory)
{
    bool failed = memory->failures != 0;

    counting_fail_at(memory, 0);
    return failed;
}

bool counting_ran_out(const ink_context *ctx, counting *memory, ink_result result, const char *words, const char *call,
                      const char *file, int line)
{
    bool failed = counting_failed(memory);

    if (failed)
        test_assert_fails(ctx, result, INK_ERROR_MEMORY, words, call, file, line);
    else
        test_assert_ok(ctx, result, call, file, line);
    return failed;
}
