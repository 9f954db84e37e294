/*
 * tokenizer_open.c - opening a tokenizer: one of the two readers, its control tokens, and the end of the building.
 */
#include <inkling/tokenizer.h>

#include <string.h>

#include "../formats/gguf.h"
#include "folder.h"
#include "tokenizer_import.h"

/* ---- control tokens --------------------------------------------------------------------------------------------- */

static void set_control(ink_tokenizer *t, ink_control which, ink_token id)
{
    if (t->controls[which] < 0 && id >= 0)
        t->controls[which] = id;
}

/* Named by the files beside the tokenizer; or else implied by the template, the model and the padding; or else spelled
   as usual: bert-base-uncased and roberta-base, as they are published, name theirs nowhere. */
static ink_result import_controls(ink_tokenizer_import *im)
{
    static const struct {
        ink_control which;
        const char *spelling;
    } usual[] = {{INK_CONTROL_PAD, "[PAD]"},
                 {INK_CONTROL_PAD, "<pad>"},
                 {INK_CONTROL_MASK, "[MASK]"},
                 {INK_CONTROL_MASK, "<mask>"}};
    ink_tokenizer *t = &im->b.draft;
    const ink_template_slot *slots = t->template.slots;
    size_t text = 0;
    for (size_t i = 0; i < INK_N_CONTROLS; i++) {
        ink_named_token token;
        INK_TRY(ink_tokenizer_config_token(&im->config, (ink_control)i, &token));
        set_control(t, (ink_control)i, ink_tokenizer_find(t, token.text, token.size));
    }
    t->named_unk = t->controls[INK_CONTROL_UNK];
    while (slots[text].id >= 0)
        text++;
    if (text > 0) {
        set_control(t, INK_CONTROL_BOS, slots[0].id);
        set_control(t, INK_CONTROL_CLS, slots[0].id);
    }
    if (text + 1 < t->template.n[0]) {
        set_control(t, INK_CONTROL_EOS, slots[text + 1].id);
        set_control(t, INK_CONTROL_SEP, slots[text + 1].id);
    }
    set_control(t, INK_CONTROL_UNK, t->unk);
    if (ink_vocab_has(&t->vocab, im->pad))
        set_control(t, INK_CONTROL_PAD, im->pad);
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++) {
        ink_token id = ink_tokenizer_find(t, usual[i].spelling, strlen(usual[i].spelling));
        if (ink_tokenizer_is_special(t, id))
            set_control(t, usual[i].which, id);
    }
    return INK_OK;
}

/* ---- token types ------------------------------------------------------------------------------------------------ */

/* Whatever the template says, transformers hands a model the types of tokens only if "model_input_names", or else the
   class of the tokenizer, lists token_type_ids. Where the folder says neither, the class follows from the model. */
static ink_result import_types(ink_tokenizer_import *im)
{
    const ink_json_document *config = &im->config.settings;
    ink_json names = ink_tokenizer_config_member(&im->config, "model_input_names");
    const char *class = NULL;
    bool *gives = &im->b.draft.gives_types;
    if (config->n_nodes != 0)
        INK_TRY(ink_json_read_string(im->ctx, config, 0, "tokenizer_class", &class));
    *gives = names == INK_JSON_NONE &&
             (class == NULL || strncmp(class, "Bert", 4) == 0 || strncmp(class, "Electra", 7) == 0);
    if (names == INK_JSON_NONE)
        return INK_OK;
    INK_TRY(ink_json_expect(im->ctx, config, names, INK_JSON_ARRAY));
    for (ink_json i = ink_json_first(config, names); i != INK_JSON_NONE; i = ink_json_next(config, i)) {
        const char *name;
        size_t size;
        INK_TRY(ink_json_get_string(im->ctx, config, i, &name, &size));
        *gives = *gives || strcmp(name, "token_type_ids") == 0;
    }
    return INK_OK;
}

/* ---- opening ---------------------------------------------------------------------------------------------------- */

/* The files of a folder. */
static ink_result import_files(ink_tokenizer_import *im)
{
    static const char *const names[] = {"target_tokenizer.json", "tokenizer.json"};
    ink_json_document json = {0};
    INK_TRY(ink_tokenizer_config_open(im->ctx, im->arena, im->source, &im->config));
    bool legacy = true;
    for (int i = im->target ? 0 : 1; i < 2 && legacy; i++) {
        ink_result result =
            ink_json_open(im->ctx, im->arena, im->source, names[i], INK_LIMIT(im->ctx, table_bytes), &json);
        legacy = ink_is_missing(im->ctx, result);
        if (!legacy)
            INK_TRY(result);
    }
    INK_TRY(ink_tokenizer_config_class(&im->config, im->arena, im->source));
    const bool python = ink_tokenizer_class_is_python(im->config.class);
    if (python && (legacy || ink_import_has(im, "vocab.json")))
        return ink_import_pieces(im);
    if (python)
        im->config.class = INK_CLASS_NONE; /* tokenizer.json says it all */
    return legacy ? ink_import_tokenizer_legacy(im) : ink_import_tokenizer_json(im, &json);
}

/* gguf NULL: it is a folder. */
static ink_result import_tokenizer(ink_tokenizer_import *im, const ink_gguf *gguf, ink_tokenizer **tokenizer)
{
    ink_tokenizer *draft = &im->b.draft;
    const char *side = NULL;
    INK_TRY(gguf != NULL ? ink_import_tokenizer_gguf(im, gguf) : import_files(im));
    if (ink_import_source_language(im) != NULL)
        draft->template.n[0] = draft->template.n[1] = 0; /* it says nothing about BOS */
    if (im->unk != NULL) {
        ink_short_text *name = &draft->unk_name;
        draft->unk = ink_import_find(im, im->unk, strlen(im->unk));
        if (draft->unk < 0)
            draft->unk = INK_UNK_MISSING;
        name->size = ink_size_min(strlen(im->unk), sizeof name->bytes);
        memcpy(name->bytes, im->unk, name->size);
    }
    if (draft->template.n[0] == 0) {
        INK_TRY(ink_import_slot(im, false, INK_TEMPLATE_A, 0));
        INK_TRY(ink_import_slot(im, true, INK_TEMPLATE_A, 0));
        INK_TRY(ink_import_slot(im, true, INK_TEMPLATE_B, 1));
    }
    size_t longest = (draft->decoder.spells_bytes ? 2 : 1) * draft->vocab.longest; /* a byte is spelled as 2 at most */
    if (!ink_decode_room(&draft->decoder.steps, longest, &draft->decoder.room))
        draft->decoder.room = SIZE_MAX;
    INK_TRY(ink_limit_check(im->ctx, "the decoder", draft->decoder.room, INK_LIMIT(im->ctx, token_bytes)));
    INK_TRY(import_controls(im));
    INK_TRY(ink_import_languages(im));
    INK_TRY(import_types(im));
    if (ink_tokenizer_config_member(&im->config, "model_max_length") != INK_JSON_NONE || draft->max_length == SIZE_MAX)
        INK_TRY(ink_tokenizer_config_max_length(&im->config, NULL, &draft->max_length));
    if (im->config.settings.n_nodes != 0)
        INK_TRY(ink_json_read_string(im->ctx, &im->config.settings, 0, "truncation_side", &side));
    if (side != NULL && strcmp(side, "left") != 0 && strcmp(side, "right") != 0)
        return ink_fail(im->ctx, INK_ERROR_UNSUPPORTED, "%s: truncation_side is '%s', expected 'left' or 'right'",
                        im->config.settings.file, side);
    if (side != NULL) /* or else what tokenizer.json says */
        draft->cuts_left = side[0] == 'l';
    return ink_builder_finish(&im->b, tokenizer);
}

static ink_result open_source(ink_context *ctx, const ink_source *source, bool target, ink_tokenizer **tokenizer)
{
    ink_arena arena;
    ink_arena_grow(&arena, &ctx->allocator);
    ink_tokenizer_import *im = ink_arena_alloc(&arena, 1, sizeof *im); /* 8 KB, too large for the stack */
    if (im == NULL)
        return ink_fail(ctx, INK_ERROR_MEMORY, "out of memory: opening a tokenizer");
    memset(im, 0, sizeof *im);
    im->ctx = ctx;
    im->arena = &arena;
    im->source = source;
    im->target = target;
    im->pad = -1;
    im->config.ctx = ctx;
    ink_static_folder folder;
    ink_weights *weights = NULL;
    bool is_static = false;
    const ink_model_place place = ink_model_place_find(ctx, NULL, source);
    ink_result result = place.gguf != NULL ? ink_weights_open_source(ctx, &place.source, place.gguf, &weights)
                                           : ink_static_folder_open(ctx, &arena, source, &folder, &is_static);
    if (result == INK_OK && is_static)
        im->source = &folder.tokenizer;
    if (result == INK_OK && weights != NULL && ink_weights_gguf(weights) == NULL)
        result = ink_fail(ctx, INK_ERROR_UNSUPPORTED, "%s: this is no GGUF file", place.gguf);
    if (result == INK_OK)
        result = import_tokenizer(im, weights != NULL ? ink_weights_gguf(weights) : NULL, tokenizer);
    ink_weights_free(weights);
    ink_arena_free(&arena);
    return result;
}

ink_result ink_tokenizer_open_source(ink_context *ctx, const ink_source *source, ink_tokenizer **tokenizer)
{
    INK_REQUIRE(ctx, tokenizer);
    *tokenizer = NULL;
    INK_REQUIRE(ctx, source);
    return open_source(ctx, source, false, tokenizer);
}

ink_result ink_tokenizer_open_target_source(ink_context *ctx, const ink_source *source, ink_tokenizer **tokenizer)
{
    INK_REQUIRE(ctx, tokenizer);
    *tokenizer = NULL;
    INK_REQUIRE(ctx, source);
    return open_source(ctx, source, true, tokenizer);
}

ink_result ink_tokenizer_open(ink_context *ctx, const char *folder, ink_tokenizer **tokenizer)
{
    INK_REQUIRE(ctx, tokenizer);
    *tokenizer = NULL;
    INK_REQUIRE(ctx, folder);
    ink_source source = ink_source_folder(folder);
    return ink_tokenizer_open_source(ctx, &source, tokenizer);
}

ink_result ink_tokenizer_open_target(ink_context *ctx, const char *folder, ink_tokenizer **tokenizer)
{
    INK_REQUIRE(ctx, tokenizer);
    *tokenizer = NULL;
    INK_REQUIRE(ctx, folder);
    ink_source source = ink_source_folder(folder);
    return ink_tokenizer_open_target_source(ctx, &source, tokenizer);
}
