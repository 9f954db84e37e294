/*
 * blocks.c - reading a stack of Transformer blocks by the names of a page.
 */
#include "../models/kind.h"

ink_result ink_model_check_bias(ink_loader *loader, const char *name, bool wanted)
{
    size_t scope = ink_loader_enter_module(loader, name);
    bool there = ink_loader_has(loader, "bias");
    if (wanted && !there)
        return ink_fail(loader->ctx, INK_ERROR_NOT_FOUND, "%s: there is no tensor '%sbias'",
                        ink_weights_name(loader->weights), loader->name);
    if (there && !wanted)
        return ink_fail(loader->ctx, INK_ERROR_MISMATCH, "%s: there is a tensor '%sbias', %s asks for none",
                        ink_weights_name(loader->weights), loader->name, loader->expected);
    ink_loader_leave(loader, scope);
    return INK_OK;
}

/* Blocks the file has beyond those of config.json would be left out silently. */
static ink_result refuse_more_blocks(ink_loader *loader, const ink_blocks_page *page, size_t n)
{
    size_t scope = ink_loader_enter(loader, page->scope, n);
    size_t module = ink_loader_enter_module(loader, page->module);
    bool more = ink_loader_has(loader, "weight");
    if (more)
        return ink_fail(loader->ctx, INK_ERROR_MISMATCH,
                        "%s: there is a tensor '%sweight', %s asks for %zu blocks (%s)",
                        ink_weights_name(loader->weights), loader->name, loader->expected, n, page->key);
    ink_loader_leave(loader, module);
    ink_loader_leave(loader, scope);
    return INK_OK;
}

ink_result ink_blocks_read(ink_loader *loader, const ink_blocks_page *page, size_t n, ink_block **blocks)
{
    ink_block spare;
    *blocks = ink_arena_alloc(loader->arena, n, sizeof **blocks);
    for (size_t i = 0; i < n; i++) {
        size_t scope = ink_loader_enter(loader, page->scope, i);
        INK_TRY(page->read(loader, page->settings, i, *blocks != NULL ? &(*blocks)[i] : &spare));
        ink_loader_leave(loader, scope);
    }
    return refuse_more_blocks(loader, page, n);
}
