/*
 * test_stack.c - a public call needs at most 16 KB of stack, whatever it opens or runs, built at -O2 and above.
 *
 * Each call runs in a thread of its own whose stack is painted first: what is no longer painted afterwards was used.
 * The same for a thread that does nothing is taken off.
 */
#if !defined(_WIN32)
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#endif
#include "encoders.h"
#include "fixture.h"
#include "tokenizers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT ((size_t)16 * 1024)

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(__SANITIZE_UNDEFINED__)
#define SANITIZED
#endif
#if defined(__unix__) && defined(__OPTIMIZE__) && !defined(SANITIZED) && !defined(INK_NO_FILES)

#include <pthread.h>
#include <sys/mman.h>

#define STACK ((size_t)512 * 1024)
#define PAINT 0xA5

/* What the calls of a folder work with. */
typedef struct stage {
    ink_context *ctx;
    const char *folder;
    ink_model *model;
    ink_tokenizer *tokenizer;
    const char *template_text;
    ink_chat *chat;
    ink_state *state, *other;
    ink_encoded *encoded;
    ink_weights *weights;
    float *floats; /* [n_floats] */
    size_t n_floats;
    unsigned char *saved;
    size_t saved_size;
    ink_token ids[64];
    size_t n;
    ink_result result;
} stage;

static void call_nothing(stage *s) { (void)s; }

static void call_tokenizer_open(stage *s) { s->result = ink_tokenizer_open(s->ctx, s->folder, &s->tokenizer); }

static void call_encode(stage *s)
{
    static const char text[] =
        "The caf\xC3\xA9 \xE4\xB8\xAD\xE6\x96\x87 sold e\xCC\x81\xCC\xA7 things, didn't it? 1234";
    s->result =
        ink_tokenizer_encode(s->ctx, s->tokenizer, text, sizeof text - 1, INK_ENCODE_DEFAULT, s->ids, 64, &s->n);
    if (s->result == INK_ERROR_LIMIT)
        s->result = INK_OK;
    s->n = s->n < 64 ? s->n : 64;
}

static void call_decode(stage *s)
{
    char text[1];
    size_t size;
    (void)ink_tokenizer_decode(s->ctx, s->tokenizer, s->ids, s->n, text, 0, &size);
}

static void call_chat_open(stage *s)
{
    const ink_chat_options options = {.template_text = s->template_text, .template_size = strlen(s->template_text)};
    s->result = ink_chat_open(s->ctx, s->folder, s->tokenizer, &options, &s->chat);
}

static void call_chat_encode(stage *s)
{
    const ink_message messages[] = {
        {.role = "user", .text = "Hello, how are you?", .size = 19},
        {.role = "assistant", .text = "1", .size = 1, .members = "{\"tool_calls\": [{\"a\": [[[[[[[[1.5]]]]]]]]}]}"}};
    const ink_chat_input input = {.messages = messages, .n_messages = 2, .answer = true, .tools = "[{}]"};
    (void)ink_chat_encode(s->ctx, s->chat, &input, NULL, 0, &s->n);
}

static void call_model_open(stage *s) { s->result = ink_model_open(s->ctx, s->folder, NULL, &s->model); }

static void call_model_open_bf16(stage *s)
{
    ink_model *model;
    s->result = ink_model_open(s->ctx, s->folder, &(ink_model_options){.type = INK_BF16}, &model);
    ink_model_free(model);
}

static void call_model_open_q4(stage *s)
{
    ink_model *model = NULL;
    s->result = ink_model_open(s->ctx, s->folder, &(ink_model_options){.type = INK_Q4_0}, &model);
    ink_model_free(model);
}

static bool throw_away(void *user, const void *bytes, size_t size)
{
    (void)user, (void)bytes, (void)size;
    return true;
}

static void call_gguf_write(stage *s)
{
    s->result = ink_gguf_write(s->ctx, s->folder, &(ink_gguf_options){.type = INK_Q4_K}, throw_away, NULL);
}

static void call_state_create(stage *s) { s->result = ink_state_create(s->ctx, s->model, 32, &s->state); }
static void call_reserve(stage *s) { s->result = ink_context_reserve(s->ctx, s->model, 1, 8, 32); }

static void call_encode_source(stage *s)
{
    const ink_token tokens[8] = {1, 2, 3, 4, 5, 6, 7, 0};
    const ink_source_item item = {.encoded = s->encoded, .tokens = tokens, .n_tokens = 8};
    s->result = ink_model_encode_sources(s->ctx, s->model, &item, 1);
}

static void call_begin(stage *s) { s->result = ink_state_begin(s->ctx, s->state, s->encoded); }

static void call_forward(stage *s)
{
    const ink_token tokens[8] = {1, 2, 3, 4, 5, 6, 7, 0};
    s->result = ink_model_forward(s->ctx, s->model, s->state, tokens, 8, s->floats);
}

static void call_sample(stage *s)
{
    ink_sampler *sampler;
    ink_token token;
    ink_sampler_options options = {.temperature = 1, .top_k = 5, .top_p = 0.5f, .min_p = 0.1f, .repeat_penalty = 1.1f};
    s->result = ink_sampler_create(s->ctx, &options, s->n_floats, &sampler);
    if (s->result == INK_OK)
        s->result = ink_sampler_pick(s->ctx, sampler, s->floats, &token);
    ink_sampler_free(sampler);
}

static void call_save(stage *s)
{
    s->result = ink_state_save(s->ctx, s->state, s->saved, s->saved_size, &s->saved_size);
}

static void call_load(stage *s) { s->result = ink_state_load(s->ctx, s->other, s->saved, s->saved_size); }
static void call_copy(stage *s) { s->result = ink_state_copy(s->ctx, s->state, s->other); }

static void call_encode_model(stage *s)
{
    const ink_token tokens[8] = {1, 2, 3, 4, 5, 6, 7, 0};
    const ink_text text = {.tokens = tokens, .n_tokens = 8, .output = s->floats};
    s->result = ink_model_encode(s->ctx, s->model, INK_HIDDEN_STATES, &text, 1);
}

/* The task that this encoder was made for. */
static void call_tasks(stage *s)
{
    const ink_token tokens[8] = {1, 2, 3, 4, 5, 6, 7, 0};
    ink_place places[8];
    size_t n, order[1];
    float score;
    ink_answer answer;
    ink_tag tags[8];
    ink_task task = ink_model_get_encoder(s->model)->task;
    for (size_t i = 0; i < 8; i++)
        places[i] = (ink_place){.text = task == INK_TASK_ANSWER, .start = i, .stop = i + 1, .word = i};
    const ink_passage passage = {.tokens = tokens, .places = places, .n_tokens = 8, .text = "12345678", .size = 8};
    const ink_text text = {.tokens = tokens, .n_tokens = 8};
    if (task == INK_TASK_ANSWER)
        s->result = ink_model_answer(s->ctx, s->model, &passage, 1, NULL, &answer, &n);
    else if (task == INK_TASK_CLASSIFY_TOKENS)
        s->result = ink_model_tag(s->ctx, s->model, &passage, 1, NULL, tags, 8, &n);
    else if (task == INK_TASK_CLASSIFY_TEXT && ink_model_get_encoder(s->model)->n_labels == 1)
        s->result = ink_model_rank(s->ctx, s->model, &text, 1, order, &score);
}

static void call_weights_open(stage *s)
{
    ink_source source = ink_source_folder(s->folder);
    s->result = ink_weights_open_folder(s->ctx, &source, &s->weights);
}

static void call_weights_read(stage *s)
{
    size_t i = 0, count = 1;
    while (!ink_type_is_float(ink_weights_at(s->weights, i)->type))
        i++;
    const ink_weight *first = ink_weights_at(s->weights, i);
    for (size_t d = 0; d < first->shape.rank; d++)
        count *= first->shape.dim[d];
    float *values = malloc(count * sizeof *values);
    s->result = ink_weights_read(s->ctx, s->weights, first, values);
    free(values);
}

static void call_mlp(stage *s)
{
    ink_mlp *mlp = NULL;
    s->result = ink_mlp_load(s->ctx, s->weights, "mlp", INK_TANH, INK_TANH, &mlp);
    float *x = calloc(s->result == INK_OK ? ink_mlp_in(mlp) + ink_mlp_out(mlp) : 1, sizeof *x);
    if (s->result == INK_OK)
        s->result = ink_mlp_forward(s->ctx, mlp, x, 1, x + ink_mlp_in(mlp));
    free(x);
    ink_mlp_free(mlp);
}

static void call_recurrent_load(stage *s)
{
    ink_recurrent *recurrent = NULL;
    s->result = ink_recurrent_load(s->ctx, s->weights, "rnn", INK_GRU, &recurrent);
    ink_recurrent_free(recurrent);
}

/* ---- measuring --------------------------------------------------------------------------------------------------- */

typedef void (*call_fn)(stage *s);

typedef struct job {
    call_fn call;
    stage *stage;
} job;

static void *job_main(void *argument)
{
    const job *j = argument;
    j->call(j->stage);
    return NULL;
}

static size_t stack_used(call_fn call, stage *s)
{
    job j = {call, s};
    pthread_t thread;
    pthread_attr_t attributes;
    unsigned char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(stack != MAP_FAILED);
    memset(stack, PAINT, STACK);
    assert_int_equal(pthread_attr_init(&attributes), 0);
    assert_int_equal(pthread_attr_setstack(&attributes, stack, STACK), 0);
    assert_int_equal(pthread_create(&thread, &attributes, job_main, &j), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    size_t painted = 0;
    while (painted < STACK && stack[painted] == PAINT)
        painted++;
    pthread_attr_destroy(&attributes);
    munmap(stack, STACK);
    return STACK - painted;
}

static size_t deepest;

static void measure(stage *s, const char *name, call_fn call)
{
    (void)stack_used(call_nothing, s);
    size_t nothing = stack_used(call_nothing, s), used = stack_used(call, s) - nothing;
    if (used > LIMIT)
        fail_msg("%s of %s needs %zu bytes of stack, at most %zu are promised", name, s->folder, used, LIMIT);
    if (used > deepest) {
        deepest = used;
        print_message("%s of %s: %zu bytes of stack\n", name, s->folder, used);
    }
    if (s->result != INK_OK)
        fail_msg("%s of %s: %s", name, s->folder, ink_context_error(s->ctx));
}
#define MEASURE(s, name) measure((s), #name, call_##name)

static void measure_model(stage *s)
{
    MEASURE(s, weights_open);
    MEASURE(s, weights_read);
    MEASURE(s, model_open);
    MEASURE(s, model_open_bf16);
    MEASURE(s, model_open_q4);
    const ink_model_info *info = ink_model_get_info(s->model);
    if (ink_weights_find(s->weights, "mlp.0.weight") != NULL)
        MEASURE(s, mlp);
    if (strcmp(info->kind, "gru") == 0 && ink_weights_find(s->weights, "rnn.weight_ih_l0") != NULL)
        MEASURE(s, recurrent_load);
    s->n_floats = info->vocab_size;
    s->floats = calloc(s->n_floats + 8 * info->hidden_size, sizeof *s->floats);
    if (ink_model_get_encoder(s->model) != NULL) {
        MEASURE(s, encode_model);
        MEASURE(s, tasks);
    } else {
        MEASURE(s, state_create);
        assert_ok(s->ctx, ink_state_create(s->ctx, s->model, 32, &s->other));
        if (ink_model_get_encoder_decoder(s->model) != NULL) {
            assert_ok(s->ctx, ink_encoded_create(s->ctx, s->model, 8, &s->encoded));
            MEASURE(s, encode_source);
            MEASURE(s, begin);
            assert_ok(s->ctx, ink_state_begin(s->ctx, s->other, s->encoded));
        }
        MEASURE(s, reserve);
        MEASURE(s, forward);
        MEASURE(s, sample);
        (void)ink_state_save(s->ctx, s->state, NULL, 0, &s->saved_size);
        s->saved = malloc(s->saved_size);
        MEASURE(s, save);
        MEASURE(s, load);
        MEASURE(s, copy);
    }
    free(s->floats);
    free(s->saved);
    ink_weights_free(s->weights);
    ink_state_free(s->other);
    ink_state_free(s->state);
    ink_encoded_free(s->encoded);
    ink_model_free(s->model);
}

static void every_call_needs_little_stack(ink_context *ctx)
{
    static const struct {
        const char *tokenizer, *chat;
    } folders[] = {
        {MODELS "/gpt", NULL},
        {MODELS "/bert", NULL},
        {FIXTURES "/tokenizer/legacy_gpt2", NULL},
        {FIXTURES "/tokenizer/legacy_bert", NULL},
        {FIXTURES "/tokenizer/legacy_qwen2", NULL},
        /* Macros in macros, values compared, sorted and written, numbers and dates. */
        {FIXTURES "/chat/wide",
         "{% macro m(n) %}{% if n > 0 %}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(100) }}{{ messages | tojson }}"
         "{{ messages }}{{ messages == messages[:] }}{{ messages | sort(attribute='role') }}{{ 1e300 / 7 }}"
         "{{ strftime_now('%d %b %Y') }}{{ '%5d' % 1 }}{{ '{:5d}'.format(7) }}{{ 2.675 | round(2) }}"
         "{{ [['a']] | map('map', 'map', 'upper') | list }}{{ messages | groupby('role') | map('first') | list }}"},
        {FIXTURES "/chat/first",
         "{{ ((((((((((((((((((((((((1 if ((((((((((1)))))))))) else 2)))))))))))))))))))))))) }}"
         "{% for (a, b) in [] if a %}{% set x %}{% endset %}{% endfor %}"},
    };
    char path[1024];
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        stage s = {.ctx = ctx, .folder = folders[i].tokenizer};
        MEASURE(&s, tokenizer_open);
        MEASURE(&s, encode);
        MEASURE(&s, decode);
        if (folders[i].chat != NULL) {
            s.template_text = folders[i].chat;
            MEASURE(&s, chat_open);
            MEASURE(&s, chat_encode);
        }
        ink_chat_free(s.chat);
        ink_tokenizer_free(s.tokenizer);
    }
    for (size_t list = 0; list < 2; list++)
        for (const char *const *name = list == 0 ? fixture_names : encoder_names; *name != NULL; name++) {
            stage s = {.ctx = ctx, .folder = path};
            snprintf(path, sizeof path, FIXTURES "/%s/%s", list == 0 ? "models" : "encoders", *name);
            measure_model(&s);
        }
    static const char *const others[] = {"models/bart",          "models/marian",        "models/t5",
                                         "seq2seq/bahdanau",     "seq2seq/bridge",       "seq2seq/bridges",
                                         "quantised/int4_zeros", "quantised/int8_zeros", "quantised/fp8"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        stage s = {.ctx = ctx, .folder = path};
        snprintf(path, sizeof path, FIXTURES "/%s", others[i]);
        measure_model(&s);
    }
    static const char *const written[] = {MODELS "/gpt", MODELS "/bert", FIXTURES "/quantise/wide",
                                          FIXTURES "/quantised/fp8"};
    for (size_t i = 0; i < sizeof written / sizeof *written; i++) {
        stage s = {.ctx = ctx, .folder = written[i]};
        MEASURE(&s, gguf_write);
    }
    for (size_t i = 0; i < 6; i++) {
        static const char *const names[] = {"gpt", "bert", "lstm", "gru", "rnn", "mlp"};
        stage s = {.ctx = ctx, .folder = path};
        snprintf(path, sizeof path, MODELS "/%s", names[i]);
        measure_model(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {context_test(every_call_needs_little_stack)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

static void every_call_needs_little_stack(void **state)
{
    (void)state;
    skip(); /* without optimisation, or under a sanitizer, functions need more */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_call_needs_little_stack)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
