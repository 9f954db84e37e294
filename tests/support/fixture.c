/*
 * fixture.c - opening the models that tests run.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"

const char *const fixture_names[] = {"gpt2",       "gpt2_bf16", "rnn",      "rnn_relu", "gru",
                                     "lstm",       "mlp",       "mlp_tied", "gru_f16",  "llama",
                                     "llama_bias", "mistral",   "qwen2",    "qwen3",    NULL};

const char *const fixture_variants[] = {
    "llama.linear", "llama.dynamic", "llama.llama3", "llama.yarn",  "llama.yarn_factor",
    "llama.old",    "mistral.full",  "qwen2.window", "qwen2.types", NULL};

static float *read_tensor(ink_context *ctx, const ink_weights *file, const char *name, size_t *rows)
{
    size_t count;
    const ink_weight *weight = ink_weights_find(file, name);
    assert_non_null(weight);
    assert_true(ink_shape_count(&weight->shape, &count));
    float *out = malloc(count * sizeof *out);
    assert_non_null(out);
    assert_ok(ctx, ink_weights_read(ctx, file, weight, out));
    *rows = weight->shape.dim[0];
    return out;
}

static void read_reference(fixture *f, const char *path)
{
    ink_weights *file;
    assert_ok(f->ctx, ink_weights_open(f->ctx, path, &file));
    float *ids = read_tensor(f->ctx, file, "tokens", &f->n_tokens);
    f->logits = read_tensor(f->ctx, file, "logits", &f->n_logits);
    f->tokens = malloc(f->n_tokens * sizeof *f->tokens);
    assert_non_null(f->tokens);
    for (size_t i = 0; i < f->n_tokens; i++)
        f->tokens[i] = (ink_token)ids[i];
    free(ids);
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
    ink_model_free(f->model);
    ink_context_free(f->ctx);
}

/* ---- files in memory ------------------------------------------------------------------------------------------ */

/* NULL if there is no such file. */
static unsigned char *read_file(const char *path, size_t *size)
{
    FILE *in = fopen(path, "rb");
    if (in == NULL)
        return NULL;
    assert_int_equal(fseek(in, 0, SEEK_END), 0);
    *size = (size_t)ftell(in);
    rewind(in);
    unsigned char *bytes = malloc(*size + 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *size, in), *size);
    bytes[*size] = '\0';
    fclose(in);
    return bytes;
}

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
    const char *slash = strrchr(name, '/'); /* "../encoders/bert" is beside the models */
    const char *dot = strchr(slash != NULL ? slash : name, '.');
    int length = (int)(dot != NULL ? dot - name : (ptrdiff_t)strlen(name));
    char path[FIXTURE_PATH];
    size_t size;
    memset(files, 0, sizeof *files);
    snprintf(path, sizeof path, FIXTURES "/models/%.*s/config%s.json", length, name, dot != NULL ? dot : "");
    files->config = (char *)read_file(path, &size);
    assert_non_null(files->config);
    files->list.n_files = 1;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, FIXTURES "/models/%.*s/%s", length, name, names[i]);
        unsigned char *bytes = read_file(path, &size);
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

unsigned char *fixture_files_bytes(const fixture_files *files, const char *name)
{
    for (size_t i = 0; i < files->list.n_files; i++)
        if (strcmp(files->files[i].name, name) == 0)
            return (unsigned char *)(uintptr_t)files->files[i].data;
    fail_msg("the fixture has no file %s", name);
    return NULL;
}

/* The end of a value in json.dump's indented output: the end of its line, or of its array or flat object. */
static const char *value_end(const char *value)
{
    const char *end = *value == '['   ? strchr(value, ']') + 1
                      : *value == '{' ? strchr(value, '}') + 1
                                      : strpbrk(value, ",\n");
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

void assert_same_bits(const char *name, const char *what, const float *a, const float *b, size_t n)
{
    if (memcmp(a, b, n * sizeof *a) == 0)
        return;
    for (size_t i = 0; i < n; i++)
        if (memcmp(&a[i], &b[i], sizeof *a) != 0)
            fail_msg("%s, %s: float %zu of %zu is %.9g, expected %.9g", name, what, i, n, (double)a[i], (double)b[i]);
}
