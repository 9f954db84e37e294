/*
 * fixture.c - opening the models that tests run.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"

#define PATH_SIZE 1024

const char *const fixture_names[] = {"gpt2", "gpt2_bf16", "rnn", "rnn_relu", "gru", "lstm", "mlp", "mlp_tied",
                                     "gru_f16", NULL};

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

static void open_model(fixture *f, const char *name, const char *folder, const char *reference)
{
    memset(f, 0, sizeof *f);
    f->name = name;
    f->ctx = test_context(1);
    assert_ok(f->ctx, ink_model_open(f->ctx, folder, NULL, &f->model));
    f->info = ink_model_get_info(f->model);
    read_reference(f, reference);
}

void fixture_open(fixture *f, const char *name)
{
    char folder[PATH_SIZE], reference[PATH_SIZE];
    snprintf(folder, sizeof folder, FIXTURES "/models/%s", name);
    snprintf(reference, sizeof reference, FIXTURES "/models/%s/reference.safetensors", name);
    open_model(f, name, folder, reference);
}

void fixture_open_bundled(fixture *f, const char *name)
{
    char folder[PATH_SIZE], reference[PATH_SIZE];
    snprintf(folder, sizeof folder, MODELS "/%s", name);
    snprintf(reference, sizeof reference, FIXTURES "/bundled/%s.safetensors", name);
    open_model(f, name, folder, reference);
}

void fixture_close(fixture *f)
{
    free(f->tokens);
    free(f->logits);
    ink_model_free(f->model);
    ink_context_free(f->ctx);
}

/* ---- files in memory ------------------------------------------------------------------------------------------ */

static unsigned char *read_file(const char *name, const char *file, size_t *size)
{
    char path[PATH_SIZE];
    snprintf(path, sizeof path, FIXTURES "/models/%s/%s", name, file);
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
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
    files->files[1] = (ink_memory_file){"model.safetensors", files->weights, files->weights_size};
    files->list = (ink_memory_files){files->files, 2};
}

void fixture_files_read(fixture_files *files, const char *name)
{
    size_t config_size;
    files->config = (char *)read_file(name, "config.json", &config_size);
    files->weights = read_file(name, "model.safetensors", &files->weights_size);
    point_to_files(files);
}

void fixture_files_free(fixture_files *files)
{
    free(files->config);
    free(files->weights);
}

/* The end of a value in json.dump's indented output: the end of its line, or of its array. */
static const char *value_end(const char *value)
{
    const char *end = *value == '[' ? strchr(value, ']') + 1 : strpbrk(value, ",\n");
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
