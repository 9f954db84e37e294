/*
 * test_no_system_call.c - after ink_context_reserve() and without worker threads, a thousand steps make no system call
 * and take no lock.
 *
 * The steps run in a child process that has entered seccomp's strict mode: from then on the kernel lets it read, write
 * and exit, and kills it for anything else.
 */
#define _GNU_SOURCE /* RTLD_NEXT */
#include "fixture.h"

#if defined(__linux__) && defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

#include <dlfcn.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plugin.h"

#define N_STEPS 1000

/* The lock of the C library, with a count: this one is linked before it. */
static size_t n_locks;

int pthread_mutex_lock(pthread_mutex_t *mutex)
{
    static int (*lock)(pthread_mutex_t *);
    if (lock == NULL)
        *(void **)&lock = dlsym(RTLD_NEXT, "pthread_mutex_lock");
    __atomic_fetch_add(&n_locks, 1, __ATOMIC_RELAXED);
    return lock(mutex);
}

typedef struct steps {
    const fixture *f;
    ink_context *ctx;
    ink_state *state;
    float *logits;
} steps;

/* Token by token; a sequence that fills its context begins again. */
static ink_result run_steps(const steps *s)
{
    size_t room = s->f->info->context_length;
    for (size_t i = 0; i < N_STEPS; i++) {
        if (room != 0 && ink_state_length(s->state) == room)
            ink_state_reset(s->state);
        const ink_token *token = &s->f->tokens[i % s->f->n_tokens];
        ink_result result = ink_model_forward(s->ctx, s->f->model, s->state, token, 1, s->logits);
        if (result != INK_OK)
            return result;
    }
    return INK_OK;
}

static ink_result ask_the_system(const steps *s)
{
    (void)s;
    return syscall(SYS_getpid) > 0 ? INK_OK : INK_ERROR_READ;
}

enum { DONE = 0, WRONG = 1, NO_SECCOMP = 2 };

/* How a child ends that does `job` in strict mode: with one of the above, or killed (-1). */
static int run_confined(ink_result (*job)(const steps *s), const steps *s)
{
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0)
            _exit(NO_SECCOMP);
        size_t locks = n_locks;
        ink_result result = job(s);
        syscall(SYS_exit, result == INK_OK && n_locks == locks ? DONE : WRONG); /* _exit asks for more */
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status)) {
        assert_int_equal(WTERMSIG(status), SIGKILL);
        return -1;
    }
    return WEXITSTATUS(status);
}

static void a_thousand_steps_make_no_system_call(void **unused)
{
    (void)unused;
    if (run_confined(ask_the_system, NULL) == NO_SECCOMP) {
        print_message("there is no seccomp here\n");
        skip();
    }
    for (size_t i = 0; fixture_names[i] != NULL; i++) {
        fixture f;
        steps s = {.f = &f};
        fixture_open(&f, fixture_names[i]);
        s.ctx = test_context(1);
        s.state = fixture_state(s.ctx, f.model);
        s.logits = malloc(f.info->vocab_size * sizeof *s.logits);
        assert_non_null(s.logits);
        assert_ok(s.ctx, ink_context_reserve(s.ctx, f.model, 1, 1, f.info->context_length));
        int end = run_confined(run_steps, &s);
        if (end != DONE)
            fail_msg("%s: %s", f.name, end < 0 ? "a step asked the system for something" : "a step failed, or locked");
        free(s.logits);
        ink_state_free(s.state);
        ink_context_free(s.ctx);
        fixture_close(&f);
    }
}

/* Sources are encoded and tokens written for two of them, again and again. */
typedef struct writing {
    ink_context *ctx;
    const ink_model *model;
    ink_encoded *encoded[2];
    ink_state *states[4];
    float *logits;
} writing;

static writing written;

static ink_result write_texts(const steps *s)
{
    static const ink_token tokens[] = {5, 6, 7, 8, 9, 10, 11};
    writing *w = &written;
    (void)s;
    for (size_t round = 0; round < 20; round++) {
        const ink_source_item sources[] = {{.encoded = w->encoded[0], .tokens = tokens, .n_tokens = 1 + round % 7},
                                           {.encoded = w->encoded[1], .tokens = tokens, .n_tokens = 7}};
        ink_item items[4];
        ink_result result = ink_model_encode_sources(w->ctx, w->model, sources, 2);
        for (size_t i = 0; i < 4 && result == INK_OK; i++)
            result = ink_state_begin(w->ctx, w->states[i], w->encoded[i / 2]);
        for (size_t t = 0; t < 7 && result == INK_OK; t++) {
            for (size_t i = 0; i < 4; i++)
                items[i] = (ink_item){.state = w->states[i],
                                      .tokens = tokens + t,
                                      .n_tokens = 1,
                                      .logits = w->logits,
                                      .n_logits = i == 0};
            result = ink_model_forward_list(w->ctx, w->model, items, 4);
        }
        if (result == INK_OK)
            result = ink_state_copy(w->ctx, w->states[0], w->states[3]);
        if (result != INK_OK)
            return result;
    }
    return INK_OK;
}

static void sources_and_what_is_written_make_none(void **unused)
{
    static const char *const names[] = {"bart", "marian", "t5"};
    (void)unused;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[512];
        ink_model *model;
        writing *w = &written;
        snprintf(path, sizeof path, FIXTURES "/models/%s", names[i]);
        w->ctx = test_context(1);
        assert_ok(w->ctx, ink_model_open(w->ctx, path, NULL, &model));
        w->model = model;
        w->logits = malloc(ink_model_get_info(model)->vocab_size * sizeof *w->logits);
        assert_non_null(w->logits);
        for (size_t j = 0; j < 2; j++)
            assert_ok(w->ctx, ink_encoded_create(w->ctx, model, 7, &w->encoded[j]));
        for (size_t j = 0; j < 4; j++)
            assert_ok(w->ctx, ink_state_create(w->ctx, model, 12, &w->states[j]));
        assert_ok(w->ctx, ink_model_encode_sources_reserve(w->ctx, model, 2, 14, 7));
        assert_ok(w->ctx, ink_context_reserve(w->ctx, model, 4, 4, 12));
        int end = run_confined(write_texts, NULL);
        if (end == NO_SECCOMP)
            skip();
        if (end != DONE)
            fail_msg("%s: %s", names[i], end < 0 ? "a step asked the system for something" : "a step failed");
        for (size_t j = 0; j < 2; j++)
            ink_encoded_free(w->encoded[j]);
        for (size_t j = 0; j < 4; j++)
            ink_state_free(w->states[j]);
        free(w->logits);
        ink_model_free(model);
        ink_context_free(w->ctx);
    }
}

/* The audio thread of a plug-in: blocks of all lengths of two channels, and the past forgotten. */
static amp plugin;

static ink_result play_blocks(const steps *s)
{
    enum { MOST = 64 };
    static float x[2][MOST], y[2][MOST];
    const float *in[2] = {x[0], x[1]};
    float *out[2] = {y[0], y[1]};
    (void)s;
    for (size_t i = 0; i < N_STEPS; i++) {
        if (!amp_process(&plugin, in, i % (MOST + 1), out))
            return INK_ERROR_ARGUMENT;
        if (i % 100 == 0)
            amp_reset(&plugin);
    }
    return INK_OK;
}

static void blocks_of_sound_make_none(void **unused)
{
    ink_context *ctx = test_context(1);
    (void)unused;
    if (!amp_open(&plugin, ctx, MODELS "/amp/model.safetensors") || !amp_prepare(&plugin, 2, 64))
        fail_msg("%s", plugin.error);
    int end = run_confined(play_blocks, NULL);
    if (end == NO_SECCOMP)
        skip();
    if (end != DONE)
        fail_msg("%s", end < 0 ? "a block asked the system for something" : "a block failed, or locked");
    amp_close(&plugin);
    ink_context_free(ctx);
}

/* What the tests above lean on: a call is noticed, and so is a lock. */
static ink_result lock_once(const steps *s)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    (void)s;
    return pthread_mutex_lock(&mutex) == 0 ? INK_OK : INK_ERROR_READ;
}

static void system_calls_and_locks_are_noticed(void **unused)
{
    (void)unused;
    size_t locks = n_locks;
    assert_int_equal(lock_once(NULL), INK_OK);
    assert_true(n_locks > locks);
    int end = run_confined(ask_the_system, NULL);
    if (end == NO_SECCOMP)
        skip();
    assert_int_equal(end, -1);
}

#else

static void a_thousand_steps_make_no_system_call(void **unused)
{
    (void)unused;
    print_message("there is no way to see it here\n");
    skip();
}

static void sources_and_what_is_written_make_none(void **unused)
{
    (void)unused;
    skip();
}

static void blocks_of_sound_make_none(void **unused)
{
    (void)unused;
    skip();
}

static void system_calls_and_locks_are_noticed(void **unused)
{
    (void)unused;
    skip();
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thousand_steps_make_no_system_call),
        cmocka_unit_test(sources_and_what_is_written_make_none),
        cmocka_unit_test(blocks_of_sound_make_none),
        cmocka_unit_test(system_calls_and_locks_are_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
