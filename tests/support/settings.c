/* settings.c - see settings.h. */
#include "settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void read_changed(fixture_files *files, const setting *s)
{
    fixture_files_read(files, s->fixture);
    if (s->key != NULL)
        fixture_files_set(files, s->key, s->value);
}

ink_result setting_open(ink_context *ctx, const setting *s, ink_model **model)
{
    fixture_files files;
    read_changed(&files, s);
    ink_result result = fixture_open_files(ctx, "changed", &files.list, model);
    fixture_files_free(&files);
    return result;
}

void refuse_folder(ink_context *ctx, counting *memory, const char *what, const ink_memory_files *files,
                   ink_result result, const char *words)
{
    ink_model *model;
    size_t before = memory->peak_bytes = memory->live_bytes;
    test_assert_fails(ctx, fixture_open_files(ctx, "broken", files, &model), result, words, what, __FILE__, __LINE__);
    assert_true(strlen(ink_context_error(ctx)) <= 500);
    assert_null(model);
    assert_true(memory->peak_bytes - before < 1 << 20);
}

void settings_are_refused(const setting *settings, size_t n)
{
    counting memory;
    ink_context *ctx = counting_begin(&memory, 1);
    for (size_t i = 0; i < n; i++) {
        const setting *s = &settings[i];
        char what[512];
        fixture_files files;
        snprintf(what, sizeof what, "%s with %s %s", s->fixture, s->key, s->value != NULL ? s->value : "taken away");
        read_changed(&files, s);
        refuse_folder(ctx, &memory, what, &files.list, s->result, s->words);
        fixture_files_free(&files);
    }
    counting_end(&memory, ctx);
}

void settings_are_compared(const setting *settings, size_t n, bool same)
{
    for (size_t i = 0; i < n; i++) {
        const setting *s = &settings[i];
        fixture f;
        ink_model *model;
        fixture_open(&f, s->fixture);
        assert_ok(f.ctx, setting_open(f.ctx, s, &model));
        float *expected = fixture_run(f.ctx, f.model, f.tokens, f.n_tokens);
        float *logits = fixture_run(f.ctx, model, f.tokens, f.n_tokens);
        size_t size = f.n_tokens * f.info->vocab_size * sizeof *logits;
        if ((memcmp(logits, expected, size) == 0) != same)
            fail_msg("%s: %s %s", s->fixture, s->key, same ? "makes a difference" : "makes no difference");
        free(logits);
        free(expected);
        ink_model_free(model);
        fixture_close(&f);
    }
}
