/*
 * modules.c - guesses the modules of a file from the names and shapes of its tensors (modules.h,
 * ink_weights_suggest()).
 *
 * A file has tensors, no modules. Each module has one tensor that tells it, its key: in_proj_weight of attention,
 * weight_hh_l0 of a recurrent network, weight of most others. A module inside another counts as part of it: the layers
 * of a Transformer, and those of an nn.Sequential whose sizes fit one to the next.
 */
#include <inkling/pytorch.h>

#include <string.h>

#include "../base/bytes.h"
#include "modules.h"
#include "plan.h"

/* Bounds of the work, and of what is shown. */
#define MAX_GAP 8        /* modules without tensors in a row, in an nn.Sequential */
#define MAX_MODULES 128  /* modules of an nn.Sequential whose sizes are compared */
#define MAX_TENSORS 3000 /* of a file, for a sentence */
#define MAX_NAMED 6      /* modules in a sentence */
#define MAX_SHOWN 100    /* bytes of a name in a call */

/* By loader: the class, and the call around its name and the last word of the guess. */
static const struct {
    const char *type, *before, *behind;
} loaders[INK_N_LOADERS] = {
    [INK_LOAD_DENSE] = {"nn.Linear", "ink_dense_load(ctx, file, \"", "\", INK_IDENTITY, &dense)"},
    [INK_LOAD_MLP] = {"nn.Sequential of Linear layers", "ink_mlp_load(ctx, file, \"",
                      "\", INK_RELU, INK_IDENTITY, &mlp)"},
    [INK_LOAD_SEQUENTIAL] = {"nn.Sequential", "ink_sequential_load(ctx, file, \"", "\", modules, n_modules, &net)"},
    [INK_LOAD_CONV1D] = {"nn.Conv1d", "ink_conv1d_load(ctx, file, \"", "\", &options, &conv)"},
    [INK_LOAD_EMBEDDING] = {"nn.Embedding", "ink_embedding_load(ctx, file, \"", "\", &embedding)"},
    [INK_LOAD_NORM] = {"norm", "ink_norm_load(ctx, file, \"", ", 1e-5f, &norm)"},
    [INK_LOAD_RECURRENT] = {"recurrent network", "ink_recurrent_load(ctx, file, \"", ", &net)"},
    [INK_LOAD_MHA] = {"nn.MultiheadAttention", "ink_mha_load(ctx, file, \"", "\", &options, &mha)"},
    [INK_LOAD_TRANSFORMER] = {"nn.TransformerEncoder", "ink_transformer_load(ctx, file, \"", ")"},
};

typedef struct guess {
    ink_loader loader;
    const char *type, *word; /* word: what stands between name and `behind`, or "" */
    size_t length;           /* of the module's name, with its last dot */
    bool inside;             /* it is part of another module */
} guess;

/* The start of the last component of a scope [length] that ends with a dot. */
static size_t last_part(const char *scope, size_t length)
{
    length -= length > 0;
    while (length > 0 && scope[length - 1] != '.')
        length--;
    return length;
}

static bool part_is(const char *scope, size_t at, size_t end, const char *name)
{
    return end - at == strlen(name) + 1 && strncmp(scope + at, name, end - at - 1) == 0;
}

static bool is_number(const char *scope, size_t at, size_t end)
{
    uint64_t number;
    return end > at + 1 && end - at <= 10 && ink_digits(scope + at, end - at, &number) == end - at - 1;
}

/* Whether the first `length` bytes of the scope, and then `name`, are a tensor. */
static const ink_weight *find_in(ink_plan *plan, size_t length, const char *name)
{
    size_t scope = plan->name_length;
    plan->name_length = length;
    const ink_weight *found = ink_plan_find(plan, name);
    plan->name_length = scope;
    return found;
}

/* Looks at the nn.Sequential in the first `length` bytes of the scope. Returns its loader if the sizes of its layers
   fit, or INK_N_LOADERS, also if there are modules in it that are no layers; *first is the weight of its first layer.
 */
static ink_loader look_at_sequential(ink_plan *plan, size_t length, const ink_weight **first)
{
    static const char *const no_layers[] = {"weight_hh_l0", "weight_hh", "in_proj_weight", "self_attn.out_proj.weight",
                                            "0.weight"};
    ink_loader loader = INK_LOAD_MLP;
    size_t n_layers = 0, width = 0, before = 0; /* before: the rank of the weight of the module before */
    *first = NULL;
    for (size_t number = 0, gap = 0; gap <= MAX_GAP && number < MAX_MODULES; number++) {
        char name[48];
        ink_format(name, sizeof name, "%zu.weight", number);
        const ink_weight *weight = find_in(plan, length, name);
        gap = weight == NULL ? gap + 1 : 0;
        before = weight != NULL ? before : 0;
        for (size_t i = 0; weight == NULL && i < sizeof no_layers / sizeof *no_layers; i++) {
            ink_format(name, sizeof name, "%zu.%s", number, no_layers[i]);
            if (find_in(plan, length, name) != NULL)
                return INK_N_LOADERS;
        }
        if (weight == NULL)
            continue;
        const size_t *dim = weight->shape.dim, rank = weight->shape.rank, in = rank > 1 ? dim[1] : dim[0];
        if (rank < 1 || rank > 3 || (width != 0 && in != width && (rank == 2 || in != 1)))
            return INK_N_LOADERS; /* 1: a PReLU, a depthwise convolution */
        if (rank == 1 && n_layers == 0 && number > MAX_GAP)
            return INK_N_LOADERS;  /* a list of vectors */
        bool is_layer = rank == 2; /* of an MLP; a BatchNorm1d beside one is folded into it */
        if (rank == 1) {
            ink_format(name, sizeof name, "%zu.running_mean", number);
            bool is_batch_norm = find_in(plan, length, name) != NULL;
            ink_format(name, sizeof name, "%zu.weight", number + 1);
            const ink_weight *next = is_batch_norm ? find_in(plan, length, name) : NULL;
            is_layer = is_batch_norm && (before == 2 || (next != NULL && next->shape.rank == 2));
        }
        if (!is_layer)
            loader = INK_LOAD_SEQUENTIAL;
        before = rank;
        *first = *first != NULL ? *first : weight;
        n_layers += rank != 1;
        width = rank != 1 ? dim[0] : width;
    }
    return n_layers > 0 ? loader : INK_N_LOADERS;
}

/* Guesses the module that this tensor is the key of. False if it is the key of none. */
static bool guess_module(ink_plan *plan, const ink_weight *key, guess *g)
{
    static const char *const cells[] = {NULL, "\", INK_RNN_TANH", NULL, "\", INK_GRU", "\", INK_LSTM"};
    static const char *const cell_types[] = {NULL, "nn.RNN", NULL, "nn.GRU", "nn.LSTM"};
    const char *parametrized = strstr(key->name, "parametrizations.");
    size_t end = parametrized != NULL ? (size_t)(parametrized - key->name) : strlen(key->name), n_gates = 0;
    while (parametrized == NULL && end > 0 && key->name[end - 1] != '.')
        end--;
    if (end >= INK_NAME_SIZE)
        return false;
    memcpy(plan->name, key->name, end);
    plan->name[end] = '\0';
    plan->name_length = end;
    const char *scope = plan->name;
    size_t last = last_part(scope, end), parent = last_part(scope, last);
    const size_t *dim = key->shape.dim, rank = key->shape.rank;
    *g = (guess){.loader = INK_N_LOADERS, .word = "", .length = end};

    const ink_weight *hh = ink_plan_find(plan, "weight_hh_l0"), *hr = ink_plan_find(plan, "weight_hr_l0");
    hh = hh != NULL ? hh : ink_plan_find(plan, "weight_hh");
    if (hh == key && rank == 2) {
        size_t hidden_size = hr != NULL && hr->shape.rank == 2 ? hr->shape.dim[1] : dim[1];
        if (hidden_size > 0 && dim[0] % hidden_size == 0)
            n_gates = dim[0] / hidden_size;
        if (n_gates > 4 || cells[n_gates] == NULL)
            return false;
        g->loader = INK_LOAD_RECURRENT;
        g->type = cell_types[n_gates];
        g->word = cells[n_gates];
        return true;
    }

    const ink_weight *qkv = ink_plan_find(plan, "in_proj_weight");
    qkv = qkv != NULL ? qkv : ink_plan_find(plan, "q_proj_weight");
    if (qkv == key && ink_plan_has(plan, "out_proj.weight")) {
        const ink_weight *k = ink_plan_find(plan, "k_proj_weight");
        bool one_size = k == NULL ? rank == 2 && dim[0] / 3 == dim[1] : ink_shape_equal(&k->shape, &key->shape);
        if (!one_size || ink_plan_has(plan, "bias_k"))
            return false;
        g->loader = INK_LOAD_MHA;
        bool in_layer = find_in(plan, last, "linear1.weight") != NULL;
        g->inside = in_layer && part_is(scope, last, end, "multihead_attn");
        if (in_layer && part_is(scope, last, end, "self_attn")) {
            size_t list = last_part(scope, parent);
            bool listed = is_number(scope, parent, last) && part_is(scope, list, parent, "layers");
            g->loader = INK_LOAD_TRANSFORMER;
            bool is_decoder = find_in(plan, last, "multihead_attn.out_proj.weight") != NULL;
            g->type = is_decoder ? "nn.TransformerDecoder" : NULL;
            g->word = is_decoder ? "\", &options, &decoder" : "\", &options, &encoder";
            g->length = listed ? list : last;
            g->inside = listed && !part_is(scope, parent, last, "0");
        }
        return true;
    }

    if (ink_plan_find(plan, "weight") != key || rank < 1 || rank > 3)
        return false;
    bool has_bias = ink_plan_has(plan, "bias");
    const ink_weight *first = NULL;
    if (rank == 1) {
        g->loader = INK_LOAD_NORM;
        g->type = has_bias ? "nn.LayerNorm" : "nn.RMSNorm";
        g->word = has_bias ? "\", INK_LAYER_NORM" : "\", INK_RMS_NORM";
    } else {
        bool table = !has_bias && (strstr(scope + last, "emb") != NULL || strstr(scope + last, "Emb") != NULL ||
                                   part_is(scope, last, end, "wte") || part_is(scope, last, end, "wpe"));
        g->loader = rank == 3 ? INK_LOAD_CONV1D : table ? INK_LOAD_EMBEDDING : INK_LOAD_DENSE;
    }
    g->inside =
        find_in(plan, last, "in_proj_weight") != NULL || find_in(plan, last, "q_proj_weight") != NULL ||
        find_in(plan, last, "self_attn.out_proj.weight") != NULL ||
        (part_is(scope, last, end, "norm") && find_in(plan, last, "layers.0.self_attn.out_proj.weight") != NULL);
    if (is_number(scope, last, end)) {
        ink_loader loader = look_at_sequential(plan, last, &first);
        g->inside |= loader != INK_N_LOADERS;
        if (first == key && loader != INK_N_LOADERS) {
            *g = (guess){.loader = loader, .word = "", .length = last};
            return true;
        }
    }
    return !ink_plan_has(plan, "running_mean"); /* a BatchNorm1d alone has no loader */
}

/* The plan of a search: the tensors of a file, and a scope. */
static void begin_search(ink_plan *plan, const ink_weights *weights)
{
    memset(plan, 0, sizeof *plan);
    plan->weights = weights;
}

static const char *type_of(const guess *g) { return g->type != NULL ? g->type : loaders[g->loader].type; }

/* The length of a module's name without the dot. */
static int name_length(const guess *g) { return (int)(g->length - (g->length > 0)); }

bool ink_weights_suggest(const ink_weights *weights, size_t *at, char *call, size_t size)
{
    ink_plan plan;
    guess g;
    begin_search(&plan, weights);
    while (*at < ink_weights_count(weights)) {
        const ink_weight *key = ink_weights_at(weights, (*at)++);
        if (!guess_module(&plan, key, &g) || g.inside)
            continue;
        ink_format(call, size, "%s%.*s%s%s; /* %s */", loaders[g.loader].before, name_length(&g), plan.name, g.word,
                   loaders[g.loader].behind, type_of(&g));
        return true;
    }
    ink_format(call, size, "%s", "");
    return false;
}

ink_result ink_modules_explain(ink_context *ctx, const ink_weights *weights, ink_loader loader, const char *name)
{
    ink_plan plan;
    guess g;
    char list[INK_ERROR_SIZE / 2];
    const char *all = "";
    size_t used = 0, n = 0, n_tensors = ink_size_min(ink_weights_count(weights), MAX_TENSORS);
    begin_search(&plan, weights);
    /* What this loader loads, inside of other modules too; if there is nothing, the other modules. */
    for (int others = 0; others < 2 && n == 0; others++)
        for (size_t i = 0; i < n_tensors && n <= MAX_NAMED; i++) {
            if (!guess_module(&plan, ink_weights_at(weights, i), &g))
                continue;
            if (loader == INK_LOAD_DENSE && g.loader == INK_LOAD_MLP &&
                ink_weights_at(weights, i)->shape.rank == 2) /* its first layer */
                g = (guess){.loader = loader, .length = plan.name_length};
            size_t length = (size_t)name_length(&g);
            bool is_table = loader == INK_LOAD_EMBEDDING && g.loader == INK_LOAD_DENSE;
            if (others ? g.inside : (g.loader != loader && !is_table) || (g.inside && loader == INK_LOAD_TRANSFORMER))
                continue;
            if (strlen(name) == length && strncmp(plan.name, name, length) == 0)
                return INK_ERROR_NOT_FOUND; /* the module is there; something in it is missing */
            if (n++ == MAX_NAMED)
                all = ", ...";
            else
                used += ink_format(list + used, sizeof list - used, "%s%s '%.*s'", n > 1 ? ", " : "", type_of(&g),
                                   (int)ink_size_min(length, MAX_SHOWN), plan.name);
        }
    if (n > 0) {
        size_t before = strlen(ctx->error);
        ink_format(ctx->error + before, sizeof ctx->error - before, "; the file has %.400s%s", list, all);
    }
    return INK_ERROR_NOT_FOUND;
}
