/* test_base.c - arena, objects, sentences, sources, workers and contexts. */
#include "testing.h"

#include "counting.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../src/base/internal.h"

/* These call functions inside the library, which leave the sentence of an earlier failure: only the result counts. */
#undef assert_ok
#define assert_ok(ctx, call) assert_int_equal((call), INK_OK)

/* ---- arena ---------------------------------------------------------------------------------------------------- */

static void take_some(ink_arena *arena, void *pieces[4])
{
    pieces[0] = ink_arena_alloc(arena, 3, sizeof(float));
    pieces[1] = ink_arena_alloc(arena, 1, 64);
    pieces[2] = ink_arena_alloc(arena, 0, 8);
    pieces[3] = ink_arena_alloc(arena, 65, 1);
}

static void measured_is_used(void **unused)
{
    (void)unused;
    static _Alignas(INK_ALIGNMENT) unsigned char block[1024];
    void *pieces[4];
    ink_arena measure, real;
    ink_arena_measure(&measure);
    take_some(&measure, pieces);
    assert_null(pieces[0]);
    assert_false(ink_arena_failed(&measure));
    assert_int_equal(measure.used, 64 + 64 + 128);

    ink_arena_over(&real, block, measure.used);
    take_some(&real, pieces);
    assert_false(ink_arena_failed(&real));
    assert_int_equal(real.used, measure.used);
    for (int i = 0; i < 4; i++)
        assert_int_equal((uintptr_t)pieces[i] % INK_ALIGNMENT, 0);

    ink_arena_over(&real, block, measure.used - 1);
    take_some(&real, pieces);
    assert_true(ink_arena_failed(&real));
    assert_null(ink_arena_alloc(&real, 1, 1)); /* sticky, although one byte would fit */

    ink_arena_over(&real, block + 1, sizeof block - 1);
    assert_true(ink_arena_failed(&real));
}

static void overflowing_takes_fail(void **unused)
{
    (void)unused;
    const size_t bad[][2] = {{SIZE_MAX, 2}, {SIZE_MAX / 2 + 1, 2}, {SIZE_MAX, 1}, {SIZE_MAX - 63, 1}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ink_arena arena;
        ink_arena_measure(&arena);
        ink_arena_alloc(&arena, bad[i][0], bad[i][1]);
        assert_true(ink_arena_failed(&arena));
    }
    /* Sums overflow too. */
    ink_arena arena;
    ink_arena_measure(&arena);
    ink_arena_alloc(&arena, SIZE_MAX / 2, 1);
    ink_arena_alloc(&arena, SIZE_MAX / 2, 1);
    ink_arena_alloc(&arena, 64, 1);
    assert_true(ink_arena_failed(&arena));
}

static void growing_arena_keeps_its_blocks(void **unused)
{
    (void)unused;
    counting c;
    counting_init(&c);
    ink_arena arena;
    ink_arena_grow(&arena, &c.allocator);
    ink_arena_mark start = ink_arena_mark_here(&arena);
    size_t calls = 0;
    for (int round = 0; round < 3; round++) {
        unsigned char *pieces[20];
        for (size_t i = 0; i < 20; i++) {
            pieces[i] = ink_arena_alloc(&arena, 10000 * (i + 1), 1);
            assert_non_null(pieces[i]);
            memset(pieces[i], (int)i, 10000 * (i + 1));
        }
        for (size_t i = 0; i < 20; i++)
            assert_int_equal(pieces[i][10000 * (i + 1) - 1], i);
        if (round == 0)
            calls = c.takes;
        ink_arena_release(&arena, start);
    }
    assert_int_equal(c.takes, calls); /* rounds two and three took nothing new */
    /* The largest piece first: it does not fit into the first block that is free. */
    assert_non_null(ink_arena_alloc(&arena, 1, 1));
    unsigned char *large = ink_arena_alloc(&arena, 1000000, 1);
    assert_non_null(large);
    memset(large, 1, 1000000);
    ink_arena_release(&arena, start);
    assert_true(ink_arena_reserve(&arena, 5000000));
    calls = c.takes;
    assert_non_null(ink_arena_alloc(&arena, 5000000 - 64, 1));
    assert_int_equal(c.takes, calls);
    assert_false(ink_arena_reserve(&arena, 1)); /* something is taken */
    ink_arena_free(&arena);
    assert_int_equal(c.live_bytes, 0);
}

/* Scratch whose calls get slowly larger must hold about what the largest needs, not the sum of all. */
static void growing_needs_do_not_add_up(void **unused)
{
    (void)unused;
    for (size_t kept = 0; kept <= 1; kept++) {
        counting c;
        counting_init(&c);
        ink_arena arena;
        ink_arena_grow(&arena, &c.allocator);
        if (kept == 1)
            assert_non_null(ink_arena_alloc(&arena, 1, 1));
        for (size_t size = 100000; size <= 10000000; size += 100000) {
            ink_arena_mark mark = ink_arena_mark_here(&arena);
            unsigned char *first = ink_arena_alloc(&arena, size, 1);
            unsigned char *second = ink_arena_alloc(&arena, size, 1);
            assert_non_null(first);
            assert_non_null(second);
            memset(first, 1, size);
            memset(second, 2, size);
            assert_int_equal(first[size - 1], 1);
            ink_arena_release(&arena, mark);
        }
        assert_true(c.live_bytes < 4 * 10000000);
        ink_arena_free(&arena);
        assert_int_equal(c.live_bytes, 0);
    }
}

static void failed_growth_leaves_the_arena_usable(void **unused)
{
    (void)unused;
    counting c;
    counting_init(&c);
    ink_arena arena;
    ink_arena_grow(&arena, &c.allocator);
    assert_non_null(ink_arena_alloc(&arena, 100, 1));
    ink_arena_mark mark = ink_arena_mark_here(&arena);
    counting_fail_at(&c, 1);
    /* The doubled block is refused, the exact one is not. */
    assert_non_null(ink_arena_alloc(&arena, 65536, 1));
    ink_arena_release(&arena, mark);
    assert_non_null(ink_arena_alloc(&arena, 100, 1));
    ink_arena_free(&arena);
    assert_int_equal(c.live_bytes, 0);
}

/* ---- objects -------------------------------------------------------------------------------------------------- */

typedef struct thing {
    int *numbers;
} thing;

/* Takes a thing with n numbers from an arena. */
static thing *thing_layout(ink_arena *arena, size_t n, int **numbers)
{
    thing *t = ink_arena_alloc(arena, 1, sizeof *t);
    *numbers = ink_arena_alloc(arena, n, sizeof **numbers);
    return t;
}

static ink_result thing_make(ink_context *ctx, size_t n, void *block, size_t size, thing **made)
{
    ink_arena measure, arena;
    int *numbers;
    *made = NULL;
    ink_arena_measure(&measure);
    thing_layout(&measure, n, &numbers);
    INK_TRY(ink_object_new(ctx, "the thing", &measure, block, size, &arena));
    *made = thing_layout(&arena, n, &numbers);
    assert_false(ink_arena_failed(&arena));
    assert_true(arena.used == arena.size); /* to the byte */
    (*made)->numbers = numbers;
    for (size_t i = 0; i < n; i++)
        numbers[i] = (int)i;
    return INK_OK;
}

static size_t thing_size(size_t n)
{
    ink_arena measure;
    int *numbers;
    ink_arena_measure(&measure);
    thing_layout(&measure, n, &numbers);
    return ink_object_size(&measure);
}

static void objects_are_one_block_of_the_measured_size(ink_context *ctx, counting *c)
{
    size_t before = c->live_bytes;
    thing *made;
    c->limit = (size_t)1 << 30;
    assert_ok(ctx, thing_make(ctx, 1000, NULL, 0, &made));
    assert_int_equal(made->numbers[999], 999);
    assert_int_equal(ink_object_bytes(made), thing_size(1000));
    assert_int_equal(c->live_bytes, before + thing_size(1000) + INK_ALIGNMENT - 1);
    ink_object_free(made);
    ink_object_free(NULL);
    assert_int_equal(c->live_bytes, before);

    counting_fail_at(c, 1);
    assert_fails(ctx, thing_make(ctx, 1000, NULL, 0, &made), INK_ERROR_MEMORY, "out of memory: the thing needs");
    assert_fails(ctx, thing_make(ctx, SIZE_MAX / 8, NULL, 0, &made), INK_ERROR_MEMORY, NULL);
    assert_fails(ctx, thing_make(ctx, SIZE_MAX, NULL, 0, &made), INK_ERROR_LIMIT, "address");
    assert_int_equal(c->live_bytes, before);
}

static void objects_live_in_a_callers_block(ink_context *ctx)
{
    static _Alignas(INK_ALIGNMENT) unsigned char block[4096];
    size_t bytes = thing_size(100);
    thing *made;
    memset(block, 0xa5, sizeof block);
    assert_ok(ctx, thing_make(ctx, 100, block, bytes, &made));
    assert_int_equal(block[bytes], 0xa5);
    ink_object_free(made); /* nothing to free */
    assert_fails(ctx, thing_make(ctx, 100, block, bytes - 1, &made), INK_ERROR_MEMORY, "are needed");
    assert_fails(ctx, thing_make(ctx, 100, block + 8, sizeof block - 8, &made), INK_ERROR_ARGUMENT, "multiple of 64");
}

/* An object that grows part by part: its size is the sum of all it holds, the limit counts, and all of it is freed. */
static void objects_grow_from_parts(ink_context *ctx, counting *c)
{
    size_t before = c->live_bytes;
    void *object;
    ink_arena *parts, block;
    assert_ok(ctx, ink_object_begin(ctx, "the thing", sizeof(thing), &object, &parts));
    assert_null(((thing *)object)->numbers);
    assert_non_null(ink_arena_alloc(parts, 5000, 1));
    size_t bytes = ink_object_bytes(object);
    assert_true(bytes > 5000);
    assert_fails(ctx, ink_object_add_block(ctx, "the thing", object, 1000, bytes + 999, &block), INK_ERROR_LIMIT,
                 "the thing needs");
    assert_ok(ctx, ink_object_add_block(ctx, "the thing", object, 1000, bytes + 1000, &block));
    assert_int_equal(ink_object_bytes(object), bytes + 1000);
    assert_int_equal(block.size, 1000);
    assert_true(c->live_bytes - before >= bytes + 1000);
    ink_object_free(object);
    assert_int_equal(c->live_bytes, before);
    counting_fail_at(c, 1);
    assert_fails(ctx, ink_object_begin(ctx, "the thing", 8, &object, &parts), INK_ERROR_MEMORY, "the thing needs");
    assert_null(object);
}

/* ---- sentences ------------------------------------------------------------------------------------------------ */

static void sentences_show_foreign_text_safely(void **unused)
{
    (void)unused;
    char out[600];
    ink_shape shape = {.rank = 2, .dim = {768, 3071}};
    ink_format(out, sizeof out, "%s: %s is %s, %zu of %llu, %lld%%", "a", "h.3", INK_SHAPE(&shape), (size_t)7,
               (unsigned long long)(uint64_t)UINT64_MAX, -9223372036854775807LL - 1);
    assert_string_equal(out, "a: h.3 is [768, 3071], 7 of 18446744073709551615, -9223372036854775808%");
    ink_format(out, sizeof out, "%.*s|", (int)((size_t)8), "a\x1b[2J\n\0\\");
    assert_string_equal(out, "a\\x1b[2J\\x0a\\x00\\|");
    /* Valid UTF-8 stays, what is not or what turns text around is escaped. */
    ink_format(out, sizeof out, "%s", "\xed\x95\x9c \xe2\x80\xae \xc0\x80 \xed\xa0\x80 \xf0\x9f\x98\x80 \xc2\x85 \xff");
    assert_string_equal(out,
                        "\xed\x95\x9c \\xe2\\x80\\xae \\xc0\\x80 \\xed\\xa0\\x80 \xf0\x9f\x98\x80 \\xc2\\x85 \\xff");
    /* U+061C, U+00AD, U+E0041 and U+FE0F turn text around or are seen by nobody; U+E1000 is a character like any. */
    ink_format(out, sizeof out, "%s", "\xd8\x9c \xc2\xad \xf3\xa0\x81\x81 \xef\xb8\x8f \xf3\xa1\x80\x80");
    assert_string_equal(out, "\\xd8\\x9c \\xc2\\xad \\xf3\\xa0\\x81\\x81 \\xef\\xb8\\x8f \xf3\xa1\x80\x80");
    ink_format(out, sizeof out, "%.*s", (int)((size_t)3), "\xf0\x9f\x98"); /* cut short */
    assert_string_equal(out, "\\xf0\\x9f\\x98");
    char *longest = malloc(100001);
    memset(longest, 'x', 100000);
    longest[100000] = '\0';
    assert_int_equal(ink_format(out, sizeof out, "%s", longest), 163);
    assert_string_equal(out + 160, "...");
    /* The limit is on what is shown: no text pushes out what was expected and found. */
    memset(longest, '\x01', 100000);
    assert_int_equal(ink_format(out, sizeof out, "%s: expected %s", longest, longest),
                     163 + strlen(": expected ") + 163);
    assert_memory_equal(out + 156, "\\x01...: expected \\x01", 22);
    free(longest);
    char small[8];
    assert_int_equal(ink_format(small, sizeof small, "%s", "0123456789"), 7);
    assert_string_equal(small, "0123456");
    assert_int_equal(ink_format(small, 0, "x"), 0);
}

/* ---- sources -------------------------------------------------------------------------------------------------- */

/* A reader that gives one byte at a time, lies about its length, or fails. */
typedef struct odd_source {
    const char *text;
    size_t size, most;
    bool fail, too_much;
    int n_open;
} odd_source;

static ink_result odd_open(void *user, const char *name, void **file, uint64_t *size)
{
    odd_source *odd = user;
    (void)name;
    odd->n_open++;
    *file = odd;
    *size = odd->size;
    return INK_OK;
}

static ink_result odd_read(void *user, void *file, uint64_t offset, void *buffer, size_t size, size_t *got)
{
    odd_source *odd = user;
    (void)file;
    size_t there = strlen(odd->text);
    if (odd->fail)
        return INK_ERROR_READ;
    *got = offset >= there ? 0 : ink_size_min(ink_size_min(size, odd->most), there - (size_t)offset);
    memcpy(buffer, odd->text + offset, *got);
    if (odd->too_much)
        *got = size + 1;
    return INK_OK;
}

static void odd_close(void *user, void *file)
{
    (void)file;
    ((odd_source *)user)->n_open--;
}

static ink_result read_odd(ink_context *ctx, odd_source *odd, const char **text, size_t *size, size_t max)
{
    ink_source source = {.user = odd, .open = odd_open, .read = odd_read, .close = odd_close};
    ink_result result = ink_file_read_all(ctx, &source, "odd", (ink_limit){"most", max}, &ctx->scratch, text, size);
    assert_int_equal(odd->n_open, 0);
    return result;
}

static void files_are_read_whole_or_refused(ink_context *ctx)
{
    const char *text;
    size_t size;
    assert_ok(ctx, read_odd(ctx, &(odd_source){.text = "hello", .size = 5, .most = 1}, &text, &size, 5));
    assert_int_equal(size, 5);
    assert_string_equal(text, "hello");
    assert_ok(ctx, read_odd(ctx, &(odd_source){.text = "", .size = 0, .most = 1}, &text, &size, 5));
    assert_int_equal(size, 0);
    assert_fails(ctx, read_odd(ctx, &(odd_source){.text = "hell", .size = 5, .most = 9}, &text, &size, 5),
                 INK_ERROR_READ, "ends at 4, it had 5 bytes");
    assert_fails(ctx,
                 read_odd(ctx, &(odd_source){.text = "hello", .size = 5, .most = 9, .fail = true}, &text, &size, 5),
                 INK_ERROR_READ, "offset 0");
    assert_fails(ctx,
                 read_odd(ctx, &(odd_source){.text = "hello", .size = 5, .most = 9, .too_much = true}, &text, &size, 5),
                 INK_ERROR_READ, "failed");
    assert_fails(ctx, read_odd(ctx, &(odd_source){.text = "hello", .size = 6, .most = 9}, &text, &size, 5),
                 INK_ERROR_LIMIT, "odd: this needs 6 bytes, the limit is 5 (most of ink_limits)");
}

static void folders_and_memory_are_sources(ink_context *ctx)
{
    const char *text;
    size_t size;
    ink_source here = ink_source_folder(FIXTURES);
    assert_fails(ctx,
                 ink_file_read_all(ctx, &here, "missing.json", (ink_limit){"most", 100}, &ctx->scratch, &text, &size),
                 INK_ERROR_NOT_FOUND, "missing.json: no such file");
    ink_source above = ink_source_folder(FIXTURES "/..");
    assert_fails(ctx, ink_file_read_all(ctx, &above, "fixtures", (ink_limit){"most", 100}, &ctx->scratch, &text, &size),
                 INK_ERROR_READ, "not a regular file");
    ink_source nothing = ink_source_folder(NULL);
    assert_fails(ctx,
                 ink_file_read_all(ctx, &nothing, "/dev/zero", (ink_limit){"most", 100}, &ctx->scratch, &text, &size),
                 INK_ERROR_READ, "/dev/zero");
    assert_ok(ctx, ink_file_read_all(ctx, &above, "CMakeLists.txt", (ink_limit){"most", 1 << 20}, &ctx->scratch, &text,
                                     &size));
    assert_int_equal(strlen(text), size);

    ink_source empty = {.name = "nowhere"};
    assert_fails(ctx, ink_file_read_all(ctx, &empty, "a", (ink_limit){"most", 100}, &ctx->scratch, &text, &size),
                 INK_ERROR_ARGUMENT, "nowhere/a: the source has no function");

    ink_memory_file files[] = {{"a", "first", 5}, {"b", NULL, 0}};
    ink_memory_files all = {files, 2};
    ink_source memory = ink_source_memory(&all);
    assert_ok(ctx, ink_file_read_all(ctx, &memory, "a", (ink_limit){"most", 10}, &ctx->scratch, &text, &size));
    assert_string_equal(text, "first");
    assert_ok(ctx, ink_file_read_all(ctx, &memory, "b", (ink_limit){"most", 10}, &ctx->scratch, &text, &size));
    assert_int_equal(size, 0);
    assert_fails(ctx, ink_file_read_all(ctx, &memory, "c", (ink_limit){"most", 10}, &ctx->scratch, &text, &size),
                 INK_ERROR_NOT_FOUND, "c");
}

/* ---- workers -------------------------------------------------------------------------------------------------- */

typedef struct tally {
    atomic_uint hits[300];
} tally;

static void hit(void *job, size_t task) { atomic_fetch_add(&((tally *)job)->hits[task], 1); }

static void every_task_runs_once(void **unused)
{
    (void)unused;
    counting c;
    counting_init(&c);
    for (unsigned n_threads = 1; n_threads <= test_options(7).n_threads; n_threads++) {
        ink_workers *workers = n_threads > 1 ? ink_workers_create(&c.allocator, n_threads) : NULL;
        assert_int_equal(ink_workers_count(workers), n_threads);
        for (size_t round = 0; round < 2000; round++) {
            tally t = {0};
            size_t n = round % 300;
            ink_workers_run(workers, hit, &t, n, false);
            for (size_t i = 0; i < 300; i++)
                assert_int_equal(atomic_load(&t.hits[i]), i < n ? 1 : 0);
            if (round % 500 == 499)
                usleep(2000); /* let them fall asleep */
        }
        ink_workers_free(workers);
    }
    assert_int_equal(c.live_bytes, 0);
}

/* Each task waits until all have begun, which takes as many threads as tasks. */
typedef struct meeting {
    atomic_uint here;
    unsigned expected;
    atomic_uint missed;
} meeting;

static void meet(void *job, size_t task)
{
    meeting *m = job;
    (void)task;
    atomic_fetch_add(&m->here, 1);
    for (int turn = 0; atomic_load(&m->here) < m->expected; turn++) {
        if (turn == 5000) {
            atomic_fetch_add(&m->missed, 1);
            return;
        }
        usleep(1000);
    }
}

static void sleeping_workers_wake_up(void **unused)
{
    (void)unused;
    counting c;
    counting_init(&c);
    for (int round = 0; round < 5; round++) {
        ink_workers *workers = ink_workers_create(&c.allocator, 4);
        if (test_options(4).n_threads == 1) { /* a build without threads */
            assert_null(workers);
            return;
        }
        meeting m = {.expected = 4};
        usleep(20000); /* asleep by now */
        ink_workers_run(workers, meet, &m, 4, false);
        assert_int_equal(atomic_load(&m.missed), 0);
        ink_workers_free(workers);
    }
}

#if !defined(INK_NO_THREADS)
/* Two threads meet in a job; then one of them stays away, as if it had lost its processor. */
typedef struct absence {
    meeting together;
    pthread_t caller;
    bool of_caller;
    unsigned us;
    atomic_uint elsewhere; /* tasks that another thread ran */
} absence;

static void meet_and_stay_away(void *job, size_t task)
{
    absence *a = job;
    meet(&a->together, task);
    if (!pthread_equal(pthread_self(), a->caller) != a->of_caller)
        usleep(a->us);
}

static void wait_a_little(void *job, size_t task)
{
    absence *a = job;
    (void)task;
    if (!pthread_equal(pthread_self(), a->caller))
        atomic_fetch_add(&a->elsewhere, 1);
    usleep(100);
}

/* The microseconds after an absence for which the caller is alone. The tasks that tell are not called alike, so that
   nobody rests because of them. */
static uint64_t rest_after(ink_workers *workers, absence *a)
{
    a->together = (meeting){.expected = 2};
    ink_workers_run(workers, meet_and_stay_away, a, 2, true);
    assert_int_equal(atomic_load(&a->together.missed), 0);
    const uint64_t begin = ink_platform_microseconds();
    uint64_t rest = 0;
    for (atomic_store(&a->elsewhere, 0); atomic_load(&a->elsewhere) == 0;
         ink_workers_run(workers, wait_a_little, a, 10, false)) {
        rest = ink_platform_microseconds() - begin;
        assert_true(rest < 15000000);
    }
    return rest;
}

/* On a busy machine a rest may be longer, and a stall not be noticed beside others, so one of some tries has to do. */
static void a_worker_that_was_away_rests(void **unused)
{
    (void)unused;
    enum { TRIES = 20, US = 20000, SHORT = 7 * US, LONGEST = 400000, SLACK = 2000 };
    counting c;
    counting_init(&c);
    ink_workers *workers = ink_workers_create(&c.allocator, 2);
    absence a = {.caller = pthread_self(), .us = US};
    for (int of_caller = 0; of_caller < 2; of_caller++) {
        uint64_t first = LONGEST, next = 0;
        a.of_caller = of_caller;
        for (int i = 0; i < TRIES && (first >= LONGEST - SLACK || next < LONGEST - SLACK); i++) {
            usleep(150000); /* calm for so long that the next stall counts as the first */
            const uint64_t alone = rest_after(workers, &a), again = rest_after(workers, &a);
            first = alone > SHORT && alone < first ? alone : first;
            next = again > next ? again : next;
        }
        assert_true(first < LONGEST - SLACK);
        assert_true(next >= LONGEST - SLACK);
    }
    /* It does not stay when the workers are freed while one rests. */
    a.together = (meeting){.expected = 2};
    ink_workers_run(workers, meet_and_stay_away, &a, 2, true);
    ink_workers_free(workers);
    assert_int_equal(c.live_bytes, 0);
}
#endif

static void contexts_fail_cleanly(void **unused)
{
    (void)unused;
    counting c;
    ink_context *ctx = counting_begin(&c, 3);
    assert_int_equal(ink_context_threads(ctx), test_options(3).n_threads);
    assert_string_equal(ink_context_error(ctx), "");
    size_t calls = c.takes;
    ink_context_free(ctx);
    for (size_t k = 1; k <= calls; k++) {
        counting_fail_at(&c, k);
        assert_null(counting_context(&c, 3));
        assert_true(counting_failed(&c));
        assert_int_equal(c.live_bytes, 0);
    }
    assert_null(ink_context_create(&(ink_context_options){.kernel = "abacus"}));
    assert_null(ink_context_create(&(ink_context_options){.n_threads = INK_MAX_THREADS + 1}));

    /* With room for a sentence, it says why; without, or with too little, it fails as well. */
    char why[64] = "x";
    ink_context_options options = {.kernel = "abacus", .error = why, .error_size = sizeof why};
    assert_null(ink_context_create(&options));
    assert_non_null(strstr(why, "'abacus' is unknown"));
    assert_true(strlen(why) < sizeof why);
    options = (ink_context_options){.n_threads = INK_MAX_THREADS + 1, .error = why, .error_size = sizeof why};
    assert_null(ink_context_create(&options));
    assert_string_equal(why, "n_threads is 65, expected at most 64");
    options.error_size = 1;
    assert_null(ink_context_create(&options));
    assert_string_equal(why, "");
    options = test_options(3);
    options.error = why;
    options.error_size = sizeof why;
    for (size_t k = 1; k <= calls; k++) {
        counting_fail_at(&c, k);
        options.allocator = c.allocator;
        assert_null(ink_context_create(&options));
        assert_non_null(strstr(why, k == 1 ? "out of memory" : "threads cannot be started"));
        assert_int_equal(c.live_bytes, 0);
    }
    counting_fail_at(&c, 0);
    ctx = ink_context_create(&options);
    assert_non_null(ctx);
    assert_string_equal(why, "");
    ink_context_free(ctx);
    assert_string_equal(ink_context_error(NULL), "there is no context");
    assert_string_equal(ink_result_name(INK_ERROR_MISMATCH), "INK_ERROR_MISMATCH");
    assert_string_equal(ink_result_name((ink_result)99), "unknown result");
    ink_context_free(NULL);
}

static void every_kernel_can_be_asked_for(void **unused)
{
    (void)unused;
    size_t n = 0;
    for (const char *name; (name = ink_kernel_name(n)) != NULL; n++) {
        ink_context *ctx = ink_context_create(&(ink_context_options){.kernel = name});
        assert_non_null(ctx);
        assert_string_equal(ink_context_kernel(ctx), name);
        ink_context_free(ctx);
    }
    assert_true(n >= 1);
    assert_string_equal(ink_kernel_name(n - 1), "portable");
    ink_context *best = ink_context_create(NULL);
    assert_string_equal(ink_context_kernel(best), ink_kernel_name(0));
    ink_context_free(best);
}

/* ---- bytes ---------------------------------------------------------------------------------------------------- */

static void digits_become_a_number(void **unused)
{
    static const struct {
        const char *text;
        size_t size, n;
        uint64_t value;
    } cases[] = {
        {"", 0, 0, 0},
        {"x1", 2, 0, 0},
        {"-1", 2, 0, 0},
        {"0", 1, 1, 0},
        {"007/", 4, 3, 7},
        {"123", 2, 2, 12},
        {"12\0"
         "34",
         5, 2, 12},
        {"9:", SIZE_MAX, 1, 9},
        {"18446744073709551614", 20, 20, UINT64_MAX - 1},
        {"18446744073709551615", 20, 20, UINT64_MAX},
        {"18446744073709551616", 20, 20, UINT64_MAX},
        {"99999999999999999999999", 23, 23, UINT64_MAX},
    };
    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t value = 77;
        assert_int_equal(ink_digits(cases[i].text, cases[i].size, &value), cases[i].n);
        assert_true(value == cases[i].value);
    }
}

static void numbers_are_little_endian(void **unused)
{
    const unsigned char bytes[] = {0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0xF8};
    unsigned char out[9] = {0};
    (void)unused;
    assert_true(ink_get_le(bytes, 8) == UINT64_C(0xF807060504030201));
    assert_true(ink_get_le(bytes, 4) == 0x04030201);
    assert_true(ink_get_le(bytes, 0) == 0);
    ink_put_le(out, 8, UINT64_C(0xF807060504030201));
    assert_memory_equal(out, bytes, 8);
    assert_int_equal(out[8], 0);
}

/* Values written down, so that another machine, or another way to compute them, must come to the same. */
static void the_hash_is_the_same_everywhere(void **unused)
{
    unsigned char bytes[100];
    (void)unused;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 37 + 11);
    assert_true(ink_hash(0, "", 0) == UINT64_C(0x4e17cf67001b3979));
    assert_true(ink_hash(0, "h.0.attn", 8) == UINT64_C(0x8208906c6b93ba41));
    assert_true(ink_hash(5, bytes, 13) == UINT64_C(0x39e9734138bc92f2));
    assert_true(ink_hash(5, bytes + 1, 99) == UINT64_C(0x06dbb3eb533a145a));

    /* Numbers count as their little-endian bytes. */
    uint16_t halves[19];
    uint32_t words[19];
    uint64_t wide[19];
    for (size_t i = 0; i < 19; i++) {
        halves[i] = (uint16_t)(i * 12345);
        words[i] = (uint32_t)(i * 123456789);
        wide[i] = i * UINT64_C(1234567890123456789);
    }
    for (size_t n = 0; n <= 19; n++) {
        unsigned char in_order[8 * 19];
        for (size_t i = 0; i < n; i++)
            ink_put_le(in_order + 2 * i, 2, halves[i]);
        assert_true(ink_hash_numbers(n, halves, n, 2) == ink_hash(n, in_order, 2 * n));
        for (size_t i = 0; i < n; i++)
            ink_put_le(in_order + 4 * i, 4, words[i]);
        assert_true(ink_hash_numbers(n, words, n, 4) == ink_hash(n, in_order, 4 * n));
        for (size_t i = 0; i < n; i++)
            ink_put_le(in_order + 8 * i, 8, wide[i]);
        assert_true(ink_hash_numbers(n, wide, n, 8) == ink_hash(n, in_order, 8 * n));
    }
}

static uint64_t random_bits(uint64_t *seed) { return *seed = ink_hash_mix(*seed + 1); }

/* Half of the bits change, give or take, with each bit of the input, the length and the seed; the low bits count most,
   because an index takes its place from them. */
static void the_hash_depends_on_every_bit(void **unused)
{
    unsigned char bytes[200] = {0};
    size_t changed = 0, trials = 0;
    (void)unused;
    for (size_t size = 1; size < sizeof bytes; size += 1 + size / 5) {
        uint64_t seed = size;
        for (size_t i = 0; i < size; i++)
            bytes[i] = (unsigned char)random_bits(&seed);
        uint64_t hash = ink_hash(0, bytes, size);
        assert_true(hash != ink_hash(1, bytes, size));
        assert_true(hash != ink_hash(0, bytes, size - 1));
        for (size_t bit = 0; bit < 8 * size; bit++, trials++) {
            bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
            uint64_t difference = hash ^ ink_hash(0, bytes, size);
            bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
            size_t n = 0;
            for (uint64_t rest = difference & 0xFFFF; rest != 0; rest &= rest - 1)
                n++;
            assert_true(difference != 0);
            changed += n;
        }
    }
    assert_in_range(100 * changed / trials, 780, 820); /* 8 of 16 */
}

static int compare_values(const void *user, size_t a, size_t b)
{
    const unsigned *value = user;
    return value[a] < value[b] ? -1 : value[a] > value[b];
}

static void sorts_any_order(void **unused)
{
    uint64_t seed = 1234567;
    (void)unused;
    for (size_t n = 0; n < 130; n++) {
        for (size_t mode = 0; mode < 6; mode++) {
            uint64_t keys[130], last = 0;
            unsigned value[130];
            bool seen[130] = {false}, tied = mode != 5;
            for (size_t i = 0; i < n; i++) {
                size_t order[] = {i, n - i, random_bits(&seed) % 1000, random_bits(&seed) % 4, 7, UINT32_MAX - i % 3};
                value[i] = (unsigned)(random_bits(&seed) % 1000);
                keys[i] = INK_KEY(order[mode], i);
            }
            ink_sort(keys, n, tied ? &(ink_ties){compare_values, value} : NULL);
            for (size_t i = 0; i < n; last = keys[i++]) {
                assert_false(seen[ink_key_index(keys[i])]);
                seen[ink_key_index(keys[i])] = true;
                if (i == 0)
                    continue;
                assert_true(last >> 32 <= keys[i] >> 32);
                if (last >> 32 == keys[i] >> 32 && tied)
                    assert_true(value[ink_key_index(last)] <= value[ink_key_index(keys[i])]);
                if (!tied)
                    assert_true(last < keys[i]);
            }
        }
    }
}

/* Names in a table are found whatever their order is, and one that is there twice is told with its first row. */
static void names_are_found(void **unused)
{
    static const struct {
        int number;
        const char *name;
    } rows[] = {{0, "weight"}, {1, "bias"}, {2, ""}, {3, "weight.bias"}, {4, "bias"}};
    enum { N = sizeof rows / sizeof *rows };
    uint64_t sorted[N];
    (void)unused;
    for (size_t n = 0; n <= N; n++) {
        const ink_names names = {&rows[0].name, sizeof *rows, n, sorted};
        size_t other = 0;
        ink_names_sort(&names);
        for (size_t i = 0; i < n; i++)
            assert_string_equal(rows[ink_names_find(&names, rows[i].name)].name, rows[i].name);
        assert_int_equal(ink_names_find(&names, "weights"), n);
        assert_int_equal(ink_names_find_twice(&names, &other), n < N ? n : 1);
        assert_true(n < N || other == 4);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(measured_is_used),
        cmocka_unit_test(overflowing_takes_fail),
        cmocka_unit_test(growing_arena_keeps_its_blocks),
        cmocka_unit_test(growing_needs_do_not_add_up),
        cmocka_unit_test(failed_growth_leaves_the_arena_usable),
        counted_test(objects_are_one_block_of_the_measured_size),
        context_test(objects_live_in_a_callers_block),
        counted_test(objects_grow_from_parts),
        cmocka_unit_test(sentences_show_foreign_text_safely),
        context_test(files_are_read_whole_or_refused),
        context_test(folders_and_memory_are_sources),
        cmocka_unit_test(every_task_runs_once),
        cmocka_unit_test(sleeping_workers_wake_up),
#if !defined(INK_NO_THREADS)
        cmocka_unit_test(a_worker_that_was_away_rests),
#endif
        cmocka_unit_test(contexts_fail_cleanly),
        cmocka_unit_test(every_kernel_can_be_asked_for),
        cmocka_unit_test(digits_become_a_number),
        cmocka_unit_test(numbers_are_little_endian),
        cmocka_unit_test(the_hash_is_the_same_everywhere),
        cmocka_unit_test(the_hash_depends_on_every_bit),
        cmocka_unit_test(sorts_any_order),
        cmocka_unit_test(names_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
