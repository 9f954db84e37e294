/*
 * fixture.c - opening the models that tests run.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"
#include "layers.h"
#include "numbers.h"

const char *const fixture_names[] = {"gpt2",      "gpt2_bf16", "rnn",     "rnn_relu",   "gru",        "lstm",  "mlp",
                                     "mlp_tied",  "gru_f16",   "llama",   "llama_bias", "mistral",    "qwen2", "qwen3",
                                     "gru_named", "mlp_named", "smollm3", "gemma3",     "gemma3_f32", NULL};

const char *const fixture_variants[] = {"llama.linear",      "llama.dynamic",   "llama.llama3",    "llama.yarn",
                                        "llama.yarn_factor", "llama.eps",       "llama.yarn_null", "llama.old",
                                        "mistral.full",      "qwen2.window",    "qwen2.types",     "smollm3.interval",
                                        "smollm3.window",    "smollm3.types",   "smollm3.yarn",    "gemma3.old",
                                        "gemma3.linear",     "gemma3.defaults", "gemma3.dynamic",  NULL};

static ink_token *read_tokens(ink_context *ctx, const ink_weights *file, const char *name, size_t *n)
{
    float *ids = test_tensor(ctx, file, name, n);
    ink_token *tokens = malloc(*n * sizeof *tokens);
    assert_non_null(tokens);
    for (size_t i = 0; i < *n; i++)
        tokens[i] = (ink_token)ids[i];
    free(ids);
    return tokens;
}

static void read_reference(fixture *f, const char *path)
{
    ink_weights *file = test_fixture(f->ctx, path);
    f->tokens = read_tokens(f->ctx, file, "tokens", &f->n_tokens);
    f->logits = test_tensor(f->ctx, file, "logits", &f->n_logits);
    f->n_logits /= f->info->vocab_size;
    if (ink_weights_find(file, "greedy") != NULL)
        f->greedy = read_tokens(f->ctx, file, "greedy", &f->n_greedy);
    ink_weights_free(file);
}

/* `source` NULL: the folder on disk. */
static void open_model(fixture *f, const char *name, const char *folder, const ink_source *source,
                       const char *reference)
{
    const ink_model_options options = {.source = source};
    memset(f, 0, sizeof *f);
    f->name = name;
    f->ctx = test_context(1);
    assert_ok(f->ctx, ink_model_open(f->ctx, folder, &options, &f->model));
    f->info = ink_model_get_info(f->model);
    read_reference(f, reference);
}

void fixture_reference(const char *name, char *path)
{
    const char *dot = strchr(name, '.');
    snprintf(path, FIXTURE_PATH, FIXTURES "/models/%.*s/reference%s.safetensors",
             (int)(dot != NULL ? dot - name : (ptrdiff_t)strlen(name)), name, dot != NULL ? dot : "");
}

void fixture_open(fixture *f, const char *name)
{
    char folder[FIXTURE_PATH], reference[FIXTURE_PATH];
    fixture_files files;
    snprintf(folder, sizeof folder, FIXTURES "/models/%s", name);
    fixture_reference(name, reference);
    if (strchr(name, '.') == NULL) {
        open_model(f, name, folder, NULL, reference);
        return;
    }
    fixture_files_read(&files, name);
    const ink_source source = ink_source_memory(&files.list);
    open_model(f, name, folder, &source, reference);
    fixture_files_free(&files);
}

void fixture_open_bundled(fixture *f, const char *name)
{
    char folder[FIXTURE_PATH], reference[FIXTURE_PATH];
    snprintf(folder, sizeof folder, MODELS "/%s", name);
    snprintf(reference, sizeof reference, FIXTURES "/bundled/%s.safetensors", name);
    open_model(f, name, folder, NULL, reference);
}

void fixture_close(fixture *f)
{
    free(f->tokens);
    free(f->logits);
    free(f->greedy);
    ink_model_free(f->model);
    ink_context_free(f->ctx);
}

void fixture_test_run(void **state)
{
    const fixture_check *test = *state;
    for (size_t i = 0; test->names[i] != NULL; i++) {
        fixture f;
        test->open(&f, test->names[i]);
        test->check(&f);
        fixture_close(&f);
    }
}

/* ---- files in memory ------------------------------------------------------------------------------------------ */

static void point_to_files(fixture_files *files)
{
    files->files[0] = (ink_memory_file){"config.json", files->config, strlen(files->config)};
    files->weights = fixture_files_bytes(files, files->files[1].name);
    files->weights_size = files->files[1].size;
    files->list.files = files->files;
}

void fixture_files_read(fixture_files *files, const char *name)
{
    static const char *const names[] = {"model.safetensors",
                                        "model-00001-of-00003.safetensors",
                                        "model-00002-of-00003.safetensors",
                                        "model-00003-of-00003.safetensors",
                                        "model.safetensors.index.json",
                                        "generation_config.json"};
    static const char *const kinds[] = {"models", "encoders", "seq2seq", "quantised"};
    const char *dot = strchr(name, '.');
    char folder[FIXTURE_PATH], config[64];
    size_t size;
    memset(files, 0, sizeof *files);
    snprintf(config, sizeof config, "config%s.json", dot != NULL ? dot : "");
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0] && files->config == NULL; i++) {
        snprintf(folder, sizeof folder, FIXTURES "/%s/%.*s", kinds[i], (int)strcspn(name, "."), name);
        files->config = test_read_file(folder, config, &size);
    }
    assert_non_null(files->config);
    files->list.n_files = 1;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char *bytes = test_read_file(folder, names[i], &size);
        if (bytes != NULL)
            files->files[files->list.n_files++] = (ink_memory_file){names[i], bytes, size};
    }
    point_to_files(files);
}

void fixture_files_free(fixture_files *files)
{
    free(files->config);
    for (size_t i = 1; i < files->list.n_files; i++)
        free((void *)(uintptr_t)files->files[i].data);
}

ink_result fixture_open_files(ink_context *ctx, const char *name, const ink_memory_files *files, ink_model **model)
{
    const ink_source source = ink_source_memory(files);
    const ink_model_options options = {.source = &source};
    *model = (ink_model *)(uintptr_t)1; /* must be overwritten in any case */
    ink_result result = ink_model_open(ctx, name, &options, model);
    assert_int_equal(*model == NULL, result != INK_OK);
    return result;
}

unsigned char *fixture_files_bytes(const fixture_files *files, const char *name)
{
    for (size_t i = 0; i < files->list.n_files; i++)
        if (strcmp(files->files[i].name, name) == 0)
            return (unsigned char *)(uintptr_t)files->files[i].data;
    fail_msg("the fixture has no file %s", name);
    return NULL;
}

char *fixture_files_tensor(const fixture_files *files, const char *file, const char *tensor)
{
    char quoted[128];
    size_t length = (size_t)snprintf(quoted, sizeof quoted, "\"%s\"", tensor), size = 0;
    char *bytes = (char *)fixture_files_bytes(files, file);
    for (size_t i = 0; i < files->list.n_files; i++)
        if (strcmp(files->files[i].name, file) == 0)
            size = files->files[i].size;
    for (size_t at = 8; at + length <= size; at++)
        if (memcmp(bytes + at, quoted, length) == 0)
            return bytes + at;
    fail_msg("%s has no tensor %s", file, quoted);
    return NULL;
}

/* The end of a value in json.dump's indented output: the end of its line, or of its array or object, whose strings have
   no brackets. */
static const char *value_end(const char *value)
{
    const char *end = value;
    if (*value != '[' && *value != '{')
        end = strpbrk(value, ",\n");
    for (size_t depth = 0; *value == '[' || *value == '{'; end++) {
        depth += *end == '[' || *end == '{';
        depth -= *end == ']' || *end == '}';
        if (depth == 0)
            return end + 1;
        assert_true(*end != '\0');
    }
    assert_non_null(end);
    return end;
}

void fixture_files_set(fixture_files *files, const char *key, const char *value)
{
    char quoted[80];
    snprintf(quoted, sizeof quoted, "\"%s\": ", key);
    const char *found = strstr(files->config, quoted);
    size_t size = strlen(files->config) + strlen(quoted) + (value != NULL ? strlen(value) : 0) + 16;
    char *changed = malloc(size);
    assert_non_null(changed);
    if (found == NULL)
        snprintf(changed, size, "{%s%s,%s", quoted, value != NULL ? value : "null", files->config + 1);
    else if (value != NULL)
        snprintf(changed, size, "%.*s%s%s%s", (int)(found - files->config), files->config, quoted, value,
                 value_end(found + strlen(quoted)));
    else /* another name takes the key away and keeps the commas right */
        snprintf(changed, size, "%.*s\"_%s", (int)(found - files->config), files->config, found + 1);
    free(files->config);
    files->config = changed;
    point_to_files(files);
}

/* ---- running -------------------------------------------------------------------------------------------------- */

ink_state *fixture_state(ink_context *ctx, const ink_model *model)
{
    ink_state *state;
    size_t capacity = ink_model_get_info(model)->context_length;
    assert_ok(ctx, ink_state_create(ctx, model, capacity != 0 ? capacity : 512, &state));
    return state;
}

float *fixture_run(ink_context *ctx, const ink_model *model, const ink_token *tokens, size_t n)
{
    float *logits = malloc(n * ink_model_get_info(model)->vocab_size * sizeof *logits);
    ink_state *state = fixture_state(ctx, model);
    const ink_item item = test_item(state, tokens, n, logits, n);
    assert_non_null(logits);
    assert_ok(ctx, ink_model_forward_list(ctx, model, &item, 1));
    ink_state_free(state);
    return logits;
}

double fixture_difference(const fixture *f, double *largest)
{
    float *logits = fixture_run(f->ctx, f->model, f->tokens, f->n_tokens);
    const float *last = logits + (f->n_tokens - f->n_logits) * f->info->vocab_size;
    const double difference = largest_difference(last, f->logits, f->n_logits * f->info->vocab_size, largest);
    assert_true(isfinite(difference));
    printf("%-18s largest logit %8.4f, largest difference %.1e\n", f->name, *largest, difference);
    free(logits);
    return difference;
}

void fixture_continues(const fixture *f, size_t n_prompt, const ink_token *chosen, size_t n)
{
    size_t vocab_size = f->info->vocab_size;
    float *logits = test_floats(vocab_size);
    ink_state *state = fixture_state(f->ctx, f->model);
    assert_ok(f->ctx, ink_model_forward(f->ctx, f->model, state, f->tokens, n_prompt, logits));
    for (size_t i = 0; i < n; i++) {
        ink_token best = 0;
        for (size_t v = 1; v < vocab_size; v++)
            if (logits[v] > logits[best])
                best = (ink_token)v;
        if (best != chosen[i])
            fail_msg("%s: token %zu of the continuation is %d, expected %d", f->name, i, (int)best, (int)chosen[i]);
        assert_ok(f->ctx, ink_model_forward(f->ctx, f->model, state, &best, 1, logits));
    }
    ink_state_free(state);
    free(logits);
}

void fixture_same_bits_everywhere(const fixture *f)
{
    size_t count = f->n_tokens * f->info->vocab_size;
    float *expected = fixture_run(f->ctx, f->model, f->tokens, f->n_tokens);
    ink_context *other = NULL;
    for (size_t i = 0; (other = test_variant(other, i)) != NULL; i++) {
        float *logits = fixture_run(other, f->model, f->tokens, f->n_tokens);
        assert_same_bits(f->name, ink_context_kernel(other), logits, expected, count);
        free(logits);
    }
    free(expected);
}

void assert_same_bits(const char *name, const char *what, const float *a, const float *b, size_t n)
{
    if (memcmp(a, b, n * sizeof *a) == 0)
        return;
    for (size_t i = 0; i < n; i++)
        if (memcmp(&a[i], &b[i], sizeof *a) != 0)
            fail_msg("%s, %s: float %zu of %zu is %.9g, expected %.9g", name, what, i, n, (double)a[i], (double)b[i]);
}
