/*
 * folder.c - the weights of a model folder, or a sentence about what is there instead.
 *
 * A source can open a file by name but not list its files, so the names under which people keep weights are tried.
 */
#include <inkling/weights.h>

#include "folder.h"
#include "shards.h"

#define WEIGHTS "model.safetensors"

typedef struct instead {
    const char *name;
    const char *what;
} instead;

/* clone() parts tensors that share memory, contiguous() packs transposed ones: safetensors stores neither. */
static const instead others[] = {
    {"pytorch_model.bin",
     "convert it in Python: import torch, safetensors.torch as s; "
     "s.save_file({k: v.clone().contiguous() for k, v in torch.load('pytorch_model.bin', weights_only=True, "
     "map_location='cpu').items()}, 'model.safetensors')"},
    {"pytorch_model.bin.index.json", "the model is sharded and must be saved as one safetensors file, in Python with "
                                     "transformers: model.save_pretrained(folder, max_shard_size='1000GB')"},
    {"tf_model.h5", "it is a TensorFlow model, which must be saved as safetensors first"},
    {"flax_model.msgpack", "it is a Flax model, which must be saved as safetensors first"},
    {"model.gguf", "it is a GGUF model, which this library does not read"},
    {"ggml-model.gguf", "it is a GGUF model, which this library does not read"},
};

static bool exists(const ink_source *source, const char *name)
{
    void *file = NULL;
    uint64_t size = 0;

    if (source->open(source->user, name, &file, &size) != INK_OK)
        return false;
    source->close(source->user, file);
    return true;
}

ink_result ink_folder_explain(ink_context *ctx, const ink_source *source)
{
    const char *folder = source->name != NULL ? source->name : "the model";

    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (exists(source, others[i].name))
            return ink_fail(ctx, INK_ERROR_UNSUPPORTED, "%s has no " WEIGHTS " but %s: %.300s", folder, others[i].name,
                            others[i].what);
    bool config = exists(source, "config.json");
    if (!config && !exists(source, WEIGHTS) && !exists(source, INK_SHARDS_INDEX))
        return ink_fail(ctx, INK_ERROR_NOT_FOUND,
                        "%s: neither " WEIGHTS " nor config.json can be opened; is the folder there?", folder);
    return ink_fail(ctx, INK_ERROR_NOT_FOUND, "%s has no %s", folder, config ? WEIGHTS : "config.json");
}

ink_result ink_weights_open_folder(ink_context *ctx, const ink_source *folder, ink_weights **weights)
{
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, weights);
    *weights = NULL;
    INK_REQUIRE(ctx, folder);
    ink_result result = ink_weights_open_source(ctx, folder, WEIGHTS, weights);
    if (!ink_is_missing(ctx, result))
        return result;
    if (exists(folder, INK_SHARDS_INDEX))
        return ink_shards_open(ctx, folder, weights);
    return ink_folder_explain(ctx, folder);
}
