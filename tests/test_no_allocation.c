/*
 * test_no_allocation.c - after ink_context_reserve() a forward pass takes no memory: not from the hook, not from malloc
 * behind its back, not even the first time.
 *
 * Where the C library lets a program put its own malloc in front, and no sanitizer has done so already, the test does.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "counting.h"
#include "fixture.h"

#if defined(__has_feature)
#define SANITIZED                                                                                                      \
    (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer))
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

static size_t n_mallocs;

#if defined(__GLIBC__) && !SANITIZED
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size)
{
    __atomic_fetch_add(&n_mallocs, 1, __ATOMIC_RELAXED);
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    __atomic_fetch_add(&n_mallocs, 1, __ATOMIC_RELAXED);
    return __libc_calloc(count, size);
}

void *realloc(void *block, size_t size)
{
    __atomic_fetch_add(&n_mallocs, 1, __ATOMIC_RELAXED);
    return __libc_realloc(block, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    __atomic_fetch_add(&n_mallocs, 1, __ATOMIC_RELAXED);
    return __libc_memalign(alignment, size);
}
#endif

/* Whether a malloc of this program comes by here; valgrind, too, brings its own. */
static bool counts_mallocs(void)
{
    size_t before = n_mallocs;
    void *(*volatile take)(size_t) = malloc; /* called as from elsewhere, not inlined */
    free(take(1));
    return n_mallocs > before;
}

#define N_ITEMS 5

typedef struct run {
    const fixture *f;
    ink_context *ctx;
    counting memory;
    ink_state *states[N_ITEMS];
    float *logits;
} run;

static void begin(run *r, const fixture *f, unsigned n_threads, ink_type cache)
{
    memset(r, 0, sizeof *r);
    r->f = f;
    r->ctx = counting_begin(&r->memory, n_threads);
    for (size_t i = 0; i < N_ITEMS; i++)
        assert_ok(r->ctx, ink_state_create_with(r->ctx, f->model, &(ink_state_options){.capacity = 40, .cache = cache},
                                                &r->states[i]));
    r->logits = malloc(64 * f->info->vocab_size * sizeof *r->logits);
    assert_non_null(r->logits);
}

static void end(run *r)
{
    for (size_t i = 0; i < N_ITEMS; i++)
        ink_state_free(r->states[i]);
    free(r->logits);
    counting_end(&r->memory, r->ctx);
}

/* A list of n_items items of n_tokens tokens, the logits of all of them wanted, each item's at a place of its own. */
static void forward(run *r, size_t n_items, size_t n_tokens)
{
    ink_item items[N_ITEMS];
    for (size_t i = 0; i < n_items; i++) {
        float *logits = r->logits + (n_items - 1 - i) * n_tokens * r->f->info->vocab_size;
        ink_state_reset(r->states[i]);
        items[i] = test_item(r->states[i], r->f->tokens, n_tokens, logits, n_tokens);
    }
    assert_ok(r->ctx, ink_model_forward_list(r->ctx, r->f->model, items, n_items));
}

static void check_fixture(const fixture *f, unsigned n_threads, ink_type cache)
{
    run r;
    begin(&r, f, n_threads, cache);
    assert_ok(r.ctx, ink_context_reserve(r.ctx, f->model, N_ITEMS, 50, 40));
    size_t takes = r.memory.takes, mallocs = n_mallocs;
    forward(&r, 5, 10);
    forward(&r, 1, 40);
    forward(&r, 2, 1);
    forward(&r, 4, 12);
    forward(&r, 1, 1);
    assert_int_equal(r.memory.takes, takes);
    assert_int_equal(n_mallocs, mallocs);
    assert_ok(r.ctx, ink_context_reserve(r.ctx, f->model, N_ITEMS, 50, 40)); /* there already */
    assert_int_equal(r.memory.takes, takes);
    end(&r);
}

static void a_forward_pass_after_reserve_allocates_nothing(const fixture *f)
{
    check_fixture(f, 1, INK_F32);
    check_fixture(f, 2, INK_F32);
    check_fixture(f, 1, INK_F16);
    check_fixture(f, 2, INK_I8);
}

/* The rounded rows of products with quantised weights are a part of what is reserved. */
static void quantised_weights_allocate_nothing(void **unused)
{
    static const char *const names[] = {"gpt", "gru", "lstm", "mlp"};
    (void)unused;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        fixture f;
        fixture_open_bundled(&f, names[i]);
        for (unsigned n_threads = 1; n_threads <= 2; n_threads++) {
            const ink_model_options options = {.type = n_threads == 1 ? INK_Q8_0 : INK_Q4_0};
            char folder[256];
            fixture quantised = f;
            snprintf(folder, sizeof folder, MODELS "/%s", names[i]);
            assert_ok(f.ctx, ink_model_open(f.ctx, folder, &options, &quantised.model));
            check_fixture(&quantised, n_threads, INK_F32);
            ink_model_free(quantised.model);
        }
        fixture_close(&f);
    }
}

/* Generators allocate when they are created: greedy, with all that sampling needs, beams; fresh states and given ones.
 */
static void a_generator_allocates_nothing_when_it_runs(const fixture *f)
{
    static const ink_generate_options ways[] = {
        {.n_requests = N_ITEMS, .bring_states = true, .max_tokens = 12, .capacity = 40},
        {.n_requests = 3,
         .n_results = 2,
         .max_tokens = 12,
         .capacity = 40,
         .sampler = {.temperature = 1, .top_k = 9, .top_p = 0.9f, .repeat_penalty = 1.2f}},
        {.n_requests = 2, .n_beams = 4, .n_results = 2, .max_tokens = 12, .capacity = 40, .no_repeat_ngram_size = 2},
        {.n_requests = 2, .n_beams = 3, .max_tokens = 9, .capacity = 40, .cache = INK_I8},
    };
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        run r;
        ink_request requests[N_ITEMS];
        ink_generator *generator;
        begin(&r, f, 1 + w % 2, ways[w].cache);
        assert_ok(r.ctx, ink_generator_create(r.ctx, f->model, &ways[w], &generator));
        size_t takes = r.memory.takes, mallocs = n_mallocs;
        for (size_t i = 0; i < ways[w].n_requests; i++)
            requests[i] = (ink_request){
                .state = ways[w].bring_states ? r.states[i] : NULL, .tokens = f->tokens, .n_tokens = 10 - i};
        assert_ok(r.ctx, ink_generate(r.ctx, generator, requests, ways[w].n_requests));
        assert_int_equal(r.memory.takes, takes);
        assert_int_equal(n_mallocs, mallocs);
        ink_generator_free(generator);
        end(&r);
    }
}

/* Without it the first call takes what it needs and the second nothing: the counting counts. */
static void the_first_pass_takes_and_the_second_does_not(const fixture *f)
{
    run r;
    begin(&r, f, 1, INK_F32);
    size_t takes = r.memory.takes, mallocs = n_mallocs;
    forward(&r, 3, 10);
    assert_true(r.memory.takes > takes);
    if (counts_mallocs())
        assert_true(n_mallocs > mallocs + 1);
    else
        print_message("here only the calls of the hook are counted\n");
    takes = r.memory.takes;
    mallocs = n_mallocs;
    forward(&r, 3, 10);
    assert_int_equal(r.memory.takes, takes);
    assert_int_equal(n_mallocs, mallocs);
    end(&r);
}

/* A reserve that finds no memory says so, and the context still works. */
static void a_failed_reserve_leaves_the_context_usable(const fixture *f)
{
    run r;
    begin(&r, f, 1, INK_F32);
    counting_fail_at(&r.memory, 1);
    assert_fails(r.ctx, ink_context_reserve(r.ctx, f->model, N_ITEMS, 50, 40), INK_ERROR_MEMORY, "memory");
    assert_true(counting_failed(&r.memory));
    forward(&r, 2, 8);
    end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(a_forward_pass_after_reserve_allocates_nothing),
        cmocka_unit_test(quantised_weights_allocate_nothing),
        fixture_test(a_generator_allocates_nothing_when_it_runs),
        fixture_test_on("gpt2", the_first_pass_takes_and_the_second_does_not),
        fixture_test_on("gpt2", a_failed_reserve_leaves_the_context_usable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
