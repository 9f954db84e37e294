/*
 * gguf_write.c - a model folder as one GGUF file, version 3 (ggml's gguf.cpp):
 *
 *     "GGUF", version, number of tensors, number of keys
 *     the keys: name, type, value
 *     the tensors: name, dimensions (the fastest first), type, offset of its data
 *     the data, each tensor at a multiple of 32
 *
 * The importer of the folder describes the network and plans its weights, as for running it. The plan knows the tensor
 * and the file of each matrix and vector. Here each gets its name in GGUF and is written, row by row. So this file
 * knows llama.cpp's names for the parts of a network, and what its architectures compute, but no names of Hugging Face.
 */
#include <string.h>

#include "../tensor/blocks.h"
#include "gguf_out.h"

#define ALIGNMENT 32

/* ---- bytes ------------------------------------------------------------------------------------------------------ */

static void out_hand_over(ink_gguf_out *out, const void *bytes, size_t size)
{
    const ink_gguf_options *options = out->options;
    if (out->stopped || size == 0)
        return;
    out->stopped = !out->write(out->write_user, bytes, size);
    if (!out->stopped && options->progress != NULL)
        out->stopped = !options->progress(options->user, out->size, out->total);
}

static void out_flush(ink_gguf_out *out)
{
    out_hand_over(out, out->buffer, out->n_buffered);
    out->n_buffered = 0;
}

void ink_gguf_put(ink_gguf_out *out, const void *bytes, size_t size)
{
    out->size += size;
    if (out->counts)
        return;
    if (size > INK_GGUF_BUFFER - out->n_buffered)
        out_flush(out);
    if (size > INK_GGUF_BUFFER) {
        out_hand_over(out, bytes, size);
        return;
    }
    if (size > 0)
        memcpy(out->buffer + out->n_buffered, bytes, size);
    out->n_buffered += size;
}

void ink_gguf_put_number(ink_gguf_out *out, size_t n, uint64_t number)
{
    unsigned char bytes[8];
    ink_put_le(bytes, n, number);
    ink_gguf_put(out, bytes, n);
}

void ink_gguf_put_string(ink_gguf_out *out, const char *text, size_t size)
{
    ink_gguf_put_number(out, 8, size);
    ink_gguf_put(out, text, size);
}

static void out_align(ink_gguf_out *out)
{
    static const unsigned char zeros[ALIGNMENT];
    ink_gguf_put(out, zeros, (size_t)(-out->size % ALIGNMENT));
}

/* ---- keys ------------------------------------------------------------------------------------------------------- */

static void out_key(ink_gguf_out *out, const char *key, ink_gguf_type type)
{
    size_t prefix = key[0] == '.' ? strlen(out->architecture) : 0;
    ink_gguf_put_number(out, 8, prefix + strlen(key));
    ink_gguf_put(out, out->architecture, prefix);
    ink_gguf_put(out, key, strlen(key));
    ink_gguf_put_number(out, 4, type);
    out->n_keys++;
}

void ink_gguf_u32(ink_gguf_out *out, const char *key, uint64_t value)
{
    out_key(out, key, INK_GGUF_U32);
    ink_gguf_put_number(out, 4, value);
}

void ink_gguf_f32(ink_gguf_out *out, const char *key, double value)
{
    const float rounded = (float)value;
    uint32_t bits;
    memcpy(&bits, &rounded, sizeof bits);
    out_key(out, key, INK_GGUF_F32);
    ink_gguf_put_number(out, 4, bits);
}

void ink_gguf_bool(ink_gguf_out *out, const char *key, bool value)
{
    out_key(out, key, INK_GGUF_BOOL);
    ink_gguf_put_number(out, 1, value);
}

void ink_gguf_text(ink_gguf_out *out, const char *key, const char *text, size_t size)
{
    out_key(out, key, INK_GGUF_STRING);
    ink_gguf_put_string(out, text, size);
}

void ink_gguf_array(ink_gguf_out *out, const char *key, ink_gguf_type type, size_t count)
{
    out_key(out, key, INK_GGUF_ARRAY);
    ink_gguf_put_number(out, 4, type);
    ink_gguf_put_number(out, 8, count);
}

void ink_gguf_note(ink_gguf_out *out, const char *format, ...)
{
    char sentence[512];
    va_list list;
    if (!out->counts || out->options->note == NULL)
        return;
    va_start(list, format);
    ink_format_list(sentence, sizeof sentence, format, list);
    va_end(list);
    out->options->note(out->options->user, sentence);
}

/* ---- types ------------------------------------------------------------------------------------------------------ */

static const struct {
    ink_type type;
    unsigned id;        /* in the table of tensors */
    unsigned file_type; /* general.file_type of a file whose matrices are mostly of it */
} types[] = {{INK_F32, 0, 0},  {INK_F16, 1, 1},  {INK_BF16, 30, 32}, {INK_Q8_0, 8, 7},
             {INK_Q5_0, 6, 8}, {INK_Q4_0, 2, 2}, {INK_Q4_K, 12, 14}, {INK_Q6_K, 14, 18}};
#define N_TYPES (sizeof types / sizeof types[0])

static size_t type_row(ink_type type)
{
    size_t i = 0;
    while (i < N_TYPES && types[i].type != type)
        i++;
    return i;
}

/* The type of a matrix with rows of k, as llama-quantize chooses it. The matrix of the logits decides directly between
   tokens, so it keeps more bits. A row that is no whole number of blocks needs smaller blocks, or none. */
static ink_type choose_type(ink_type asked, size_t k, bool output)
{
    if (output && asked != INK_Q8_0 && ink_type_is_quantised(asked))
        asked = INK_Q6_K;
    if (k % ink_type_block(asked).elements != 0)
        asked = asked == INK_Q4_K ? INK_Q5_0 : INK_Q8_0;
    return k % ink_type_block(asked).elements == 0 ? asked : INK_F16;
}

/* ---- tensors ---------------------------------------------------------------------------------------------------- */

typedef struct gguf_tensor {
    char name[48];
    bool is_vector;
    size_t n, k; /* a matrix has n rows of k; a vector one */
    ink_type type;
    const ink_plan_row *row; /* where its elements come from; or */
    const float *values;     /* they are these */
    size_t first;            /* row of the source that comes first */
    size_t heads;            /* the rows, or elements, of so many heads get GGUF's order; 0: they stay */
} gguf_tensor;

/* What ink_gguf_write() does its work with. */
typedef struct gguf_writer {
    ink_import *in;
    ink_gguf_out out;
    const struct gguf_family *family;
    const ink_tokenizer *tokenizer;
    ink_arena *arena;
    gguf_tensor *tensors; /* [n_tensors] */
    size_t n_tensors, room;
    const ink_plan_row *cursor;   /* the rows are looked up in about the order of the plan */
    size_t n_fitted[INK_N_TYPES]; /* matrices that have this type because another did not fit their rows */
    const char *a_fitted[INK_N_TYPES];
} gguf_writer;

/* The row of the plan whose destination is this matrix, or vector, from row `first` on. */
static const ink_plan_row *find_row(gguf_writer *w, const ink_matrix *matrix, float *const *vector, size_t first)
{
    const ink_plan_row *begin = w->cursor != NULL ? w->cursor : w->in->plan.rows, *row = begin;
    while (row->matrix != matrix || row->vector != vector || row->first != first) {
        row = row->next != NULL ? row->next : w->in->plan.rows;
        if (row == begin)
            return NULL;
    }
    return w->cursor = row;
}

#define NO_BLOCK SIZE_MAX

static ink_result add_tensor(gguf_writer *w, size_t block, const char *module, const char *parameter,
                             const gguf_tensor *tensor)
{
    if (w->n_tensors == w->room) {
        size_t room = 2 * w->room + 64;
        gguf_tensor *tensors = ink_arena_alloc(w->arena, room, sizeof *tensors);
        if (tensors == NULL)
            return ink_fail(w->in->ctx, INK_ERROR_MEMORY, "out of memory: a GGUF file with %zu tensors", w->n_tensors);
        if (w->n_tensors > 0)
            memcpy(tensors, w->tensors, w->n_tensors * sizeof *tensors);
        w->tensors = tensors;
        w->room = room;
    }
    gguf_tensor *added = &w->tensors[w->n_tensors++];
    *added = *tensor;
    if (block == NO_BLOCK)
        ink_format(added->name, sizeof added->name, "%s.%s", module, parameter);
    else
        ink_format(added->name, sizeof added->name, "blk.%zu.%s.%s", block, module, parameter);
    return INK_OK;
}

/* A matrix without a row in the plan, or whose row has no tensor, is computed while the model opens. */
static ink_result fail_unplanned(gguf_writer *w, const char *module)
{
    return ink_fail(w->in->ctx, INK_ERROR_UNSUPPORTED,
                    "%s: the weights of '%s' are computed from others, and cannot be written as GGUF",
                    ink_weights_name(w->in->plan.files[0]), module);
}

/* Rows first .. first + n - 1 of a matrix of the network, which is one tensor of the folder from row `first` on. */
typedef struct matrix_part {
    size_t first, n;
    size_t skipped; /* rows of the tensor */
    size_t heads;
    bool plain, output; /* it stays F32; it is the matrix of the logits */
} matrix_part;

static ink_result add_matrix(gguf_writer *w, size_t block, const char *module, const ink_matrix *matrix,
                             matrix_part part)
{
    const ink_plan_row *row = find_row(w, matrix, NULL, part.first);
    if (row == NULL || row->source == NULL || row->taps != 0)
        return fail_unplanned(w, module);
    ink_type asked = w->out.options->type, type = part.plain ? INK_F32 : choose_type(asked, matrix->k, part.output);
    if (!part.plain && type != choose_type(asked, ink_type_block(INK_Q4_K).elements, part.output)) {
        w->n_fitted[type]++;
        w->a_fitted[type] = module;
    }
    return add_tensor(w, block, module, "weight",
                      &(gguf_tensor){.n = part.n != 0 ? part.n : matrix->n - part.skipped,
                                     .k = matrix->k,
                                     .type = type,
                                     .row = row,
                                     .first = row->from + part.skipped,
                                     .heads = part.heads});
}

static ink_result add_vector(gguf_writer *w, size_t block, const char *module, const char *parameter,
                             float *const *vector, size_t first, size_t heads)
{
    const ink_plan_row *row = find_row(w, NULL, vector, first);
    if (row == NULL) /* there is no such vector */
        return INK_OK;
    return add_tensor(
        w, block, module, parameter,
        &(gguf_tensor){
            .is_vector = true, .n = 1, .k = row->n, .type = INK_F32, .row = row, .first = row->from, .heads = heads});
}

static ink_result add_dense(gguf_writer *w, size_t block, const char *module, const ink_dense *dense, matrix_part part)
{
    INK_TRY(add_matrix(w, block, module, &dense->weight, part));
    return add_vector(w, block, module, "bias", &dense->bias, part.first, part.heads);
}

static ink_result add_norm(gguf_writer *w, size_t block, const char *module, const ink_norm *norm)
{
    if (norm->size == 0)
        return INK_OK;
    INK_TRY(add_vector(w, block, module, "weight", &norm->weight, 0, 0));
    return add_vector(w, block, module, "bias", &norm->bias, 0, 0);
}

/* ---- architectures ---------------------------------------------------------------------------------------------- */

/* What an architecture of llama.cpp computes: a folder that wants something else is refused. */
typedef struct gguf_family {
    const char *kind, *architecture;
    ink_activation activation;
    bool encoder;  /* a stack with norms behind, as BERT */
    bool permuted; /* rotates neighbours, so rows of queries and keys lie in pairs */
    bool fused;    /* queries, keys and values are one matrix */
    bool qkv_bias, other_bias;
    size_t no_rope; /* every so-many-th block does not rotate; 0: all do */
    bool gemma;
} gguf_family;

static const gguf_family families[] = {
    {"gpt2", "gpt2", INK_GELU_TANH, .fused = true, .qkv_bias = true, .other_bias = true},
    {"llama", "llama", INK_SILU, .permuted = true, .qkv_bias = true, .other_bias = true},
    {"mistral", "llama", INK_SILU, .permuted = true},
    {"qwen2", "qwen2", INK_SILU, .qkv_bias = true},
    {"qwen3", "qwen3", INK_SILU, .encoder = false},
    {"smollm3", "smollm3", INK_SILU, .permuted = true, .no_rope = 4},
    {"gemma3_text", "gemma3", INK_GELU_TANH, .gemma = true},
    {"bert", "bert", INK_GELU, .encoder = true, .qkv_bias = true, .other_bias = true},
    {"distilbert", "bert", INK_GELU, .encoder = true, .qkv_bias = true, .other_bias = true},
    {"roberta", "bert", INK_GELU, .encoder = true, .qkv_bias = true, .other_bias = true},
};
#define N_FAMILIES (sizeof families / sizeof families[0])
#define GEMMA_PATTERN 6 /* every sixth block of Gemma 3 sees everything */

static ink_result refuse_network(const gguf_writer *w, const char *what, const char *has)
{
    return ink_fail(w->in->ctx, INK_ERROR_UNSUPPORTED, "%s: %s: llama.cpp's architecture '%s' %.300s",
                    w->in->config.document.file, what, w->family->architecture, has);
}

static ink_result find_family(gguf_writer *w)
{
    const char *kind = w->in->model->info.kind;
    const char *file = w->in->config.document.file != NULL ? w->in->config.document.file : "modules.json";
    char known[128] = "";
    size_t used = 0;
    for (size_t i = 0; i < N_FAMILIES; i++) {
        if (strcmp(families[i].kind, kind) == 0)
            w->family = &families[i];
        used += ink_format(known + used, sizeof known - used, "%s%s", i > 0 ? ", " : "", families[i].kind);
    }
    if (w->family == NULL)
        return ink_fail(w->in->ctx, INK_ERROR_UNSUPPORTED, "%s: model_type '%s' cannot be written as GGUF, only %s",
                        file, kind, known);
    w->out.architecture = w->family->architecture;
    return INK_OK;
}

/* Refuses the settings of a block that llama.cpp would ignore. */
static ink_result check_block(gguf_writer *w, size_t i)
{
    const gguf_family *f = w->family;
    const ink_stack *stack = &w->in->model->transformer.stack;
    const ink_attention *a = &stack->config.attention[i];
    const ink_block *block = &stack->blocks[i];
    const float usual = w->in->ctx->kernel->inverse_sqrt((float)a->head_dim);
    const bool slides = f->gemma && (i + 1) % GEMMA_PATTERN != 0;
    ink_activation activation = stack->config.gated ? stack->config.gate_activation : block->up.activation;
    if (a->bidirectional != f->encoder)
        return refuse_network(w, "use_bidirectional_attention", "sees no tokens that come later");
    if (activation != f->activation)
        return ink_fail(w->in->ctx, INK_ERROR_UNSUPPORTED,
                        "%s: the activation is %s, but llama.cpp's architecture '%s' always computes %s",
                        w->in->config.document.file, ink_activation_name(activation), f->architecture,
                        ink_activation_name(f->activation));
    if (a->scale != 0 && a->scale != usual)
        return refuse_network(w, "the scale of attention", "always divides scores by the root of the size of a head");
    if (f->gemma && (a->window != 0) != slides)
        return refuse_network(w, "layer_types", "has a window in all blocks but every sixth");
    if (!f->gemma && a->window != 0 && strcmp(f->kind, "mistral") != 0)
        return refuse_network(w, "sliding_window", "has no windows");
    if (!f->gemma && (block->rope != 0) != (f->no_rope != 0 && (i + 1) % f->no_rope == 0))
        return refuse_network(w, "no_rope_layers", "leaves out rope in every fourth block and no other");
    if (!f->qkv_bias && find_row(w, NULL, &block->qkv.bias, 0) != NULL)
        return refuse_network(w, "attention_bias", "has no biases of queries, keys and values");
    if (!f->other_bias &&
        (find_row(w, NULL, &block->out.bias, 0) != NULL || find_row(w, NULL, &block->up.bias, 0) != NULL))
        return refuse_network(w, "biases", "has none in the output of attention and in the MLP");
    return INK_OK;
}

static ink_result check_network(gguf_writer *w)
{
    const ink_model *model = w->in->model;
    const ink_stack_config *stack = &model->transformer.stack.config;
    const ink_task task = model->encoder.task;
    for (size_t i = 0; i < stack->n_blocks; i++)
        INK_TRY(check_block(w, i));
    for (size_t i = 0; i < INK_STACK_ROPES; i++) {
        const ink_rope *rope = &stack->ropes[i];
        if (rope->type == INK_ROPE_DYNAMIC)
            return refuse_network(w, "rope of type dynamic", "has no rope that depends on the length of a text");
        if (rope->type == INK_ROPE_LLAMA3 && strcmp(w->family->architecture, "llama") != 0)
            return refuse_network(w, "rope of type llama3", "has no factors of frequencies");
        if (rope->type == INK_ROPE_YARN && rope->attention_factor != 0)
            return refuse_network(w, "attention_factor", "computes the factor of yarn itself");
    }
    if (w->family->gemma && (stack->ropes[1].theta != 10000 || stack->ropes[1].type != INK_ROPE_PLAIN))
        return refuse_network(w, "rope_local_base_freq", "has 10000 in blocks with a window");
    if (w->in->plan.folds != NULL)
        return fail_unplanned(w, "a normalised weight");
    if (!model->is_encoder)
        return model->head.bias == NULL && find_row(w, NULL, &model->head.bias, 0) == NULL
                   ? INK_OK
                   : refuse_network(w, "lm_head.bias", "has no bias of the logits");

    if (!w->family->encoder && task != INK_TASK_NONE)
        return refuse_network(w, "architectures", "has no head of a classifier");
    if (task == INK_TASK_CLASSIFY_TEXT && model->head.transform.weight.n != 0 &&
        model->head.transform.activation != INK_TANH)
        return refuse_network(w, "the head of the classifier", "computes tanh before the scores");
    if (task == INK_TASK_CLASSIFY_TOKENS || task == INK_TASK_FILL || task == INK_TASK_ANSWER)
        ink_gguf_note(&w->out,
                      "llama.cpp has no head that %s: the file gives the rows of the tokens, or their embedding",
                      task == INK_TASK_FILL     ? "fills masks"
                      : task == INK_TASK_ANSWER ? "marks answers"
                                                : "labels tokens");
    for (size_t i = 0; i < model->sentence.n_steps; i++)
        if (!model->sentence.steps[i].normalise)
            return refuse_network(w, "modules.json: Dense", "has no layer behind the pooling");
    if (model->sentence.n_steps != 0)
        ink_gguf_note(&w->out, "GGUF has no key for Normalize: programs bring embeddings to length 1 themselves");
    if (model->encoder.lower_case)
        return refuse_network(w, "do_lower_case", "does not change the case of texts");
    if (w->family->encoder)
        ink_gguf_note(&w->out, "llama.cpp computes gelu by its tanh formula, rounded to 16 bits: rows differ by about "
                               "a thousandth");
    return INK_OK;
}

/* ---- the list of tensors ---------------------------------------------------------------------------------------- */

/* A rope of type llama3 is plain frequencies divided by the factors in this tensor; no key says so. */
static ink_result add_rope_factors(gguf_writer *w, const ink_rope *rope)
{
    const size_t n = rope->head_dim / 2;
    const ink_rope unscaled = {.head_dim = rope->head_dim, .theta = rope->theta};
    if (rope->type != INK_ROPE_LLAMA3)
        return INK_OK;
    float *factors = ink_alloc_rows(w->arena, 1, n), *plain = ink_alloc_rows(w->arena, 1, n);
    if (factors == NULL || plain == NULL)
        return ink_fail(w->in->ctx, INK_ERROR_MEMORY, "out of memory: a GGUF file");
    w->in->ctx->kernel->rope_frequencies(rope, 1, factors);
    w->in->ctx->kernel->rope_frequencies(&unscaled, 1, plain);
    for (size_t i = 0; i < n; i++)
        factors[i] = plain[i] / factors[i];
    return add_tensor(w, NO_BLOCK, "rope_freqs", "weight",
                      &(gguf_tensor){.is_vector = true, .n = 1, .k = n, .type = INK_F32, .values = factors});
}

static ink_result add_block(gguf_writer *w, size_t i)
{
    const gguf_family *f = w->family;
    const ink_stack *stack = &w->in->model->transformer.stack;
    const ink_block *b = &stack->blocks[i];
    const ink_attention *a = &stack->config.attention[i];
    const size_t q = a->n_heads * a->head_dim, kv = a->n_kv_heads * a->head_dim, inner = stack->config.inner_size;
    if (!f->encoder)
        INK_TRY(add_norm(w, i, "attn_norm", &b->norm_1));
    if (f->fused) {
        INK_TRY(add_dense(w, i, "attn_qkv", &b->qkv, (matrix_part){.n = q + 2 * kv}));
    } else {
        const size_t q_heads = f->permuted ? a->n_heads : 0, k_heads = f->permuted ? a->n_kv_heads : 0;
        INK_TRY(add_dense(w, i, "attn_q", &b->qkv, (matrix_part){.n = q, .heads = q_heads}));
        INK_TRY(add_dense(w, i, "attn_k", &b->qkv, (matrix_part){.first = q, .n = kv, .heads = k_heads}));
        INK_TRY(add_dense(w, i, "attn_v", &b->qkv, (matrix_part){.first = q + kv, .n = kv}));
    }
    INK_TRY(add_norm(w, i, "attn_q_norm", &b->q_norm));
    INK_TRY(add_norm(w, i, "attn_k_norm", &b->k_norm));
    INK_TRY(add_dense(w, i, "attn_output", &b->out, (matrix_part){0}));
    INK_TRY(add_norm(w, i, f->encoder ? "attn_output_norm" : "post_attention_norm",
                     f->encoder ? &b->norm_1 : &b->out_norm_1));
    if (!f->encoder)
        INK_TRY(add_norm(w, i, "ffn_norm", &b->norm_2));
    if (stack->config.gated)
        INK_TRY(add_dense(w, i, "ffn_gate", &b->up, (matrix_part){.n = inner}));
    INK_TRY(add_dense(w, i, "ffn_up", &b->up, (matrix_part){.first = stack->config.gated ? inner : 0, .n = inner}));
    INK_TRY(add_dense(w, i, "ffn_down", &b->down, (matrix_part){0}));
    return add_norm(w, i, f->encoder ? "layer_output_norm" : "post_ffw_norm", f->encoder ? &b->norm_2 : &b->out_norm_2);
}

static ink_result list_tensors(gguf_writer *w)
{
    const ink_model *model = w->in->model;
    const ink_transformer_net *net = &model->transformer;
    const ink_head *head = &model->head;
    const bool tied = !model->is_encoder && head->weight == &model->embedding.table;
    INK_TRY(add_matrix(w, NO_BLOCK, "token_embd", &model->embedding.table, (matrix_part){.output = tied}));
    if (net->max_positions != 0)
        INK_TRY(add_matrix(w, NO_BLOCK, "position_embd", &net->positions.table,
                           (matrix_part){.skipped = net->first_position, .plain = true}));
    if (net->n_types != 0)
        INK_TRY(add_matrix(w, NO_BLOCK, "token_types", &net->types.table, (matrix_part){.plain = true}));
    INK_TRY(add_norm(w, NO_BLOCK, "token_embd_norm", &net->embedding_norm));
    INK_TRY(add_rope_factors(w, &net->stack.config.ropes[0]));
    for (size_t i = 0; i < net->stack.config.n_blocks; i++)
        INK_TRY(add_block(w, i));
    INK_TRY(add_norm(w, NO_BLOCK, "output_norm", &net->stack.norm));
    if (!model->is_encoder && !tied)
        INK_TRY(add_matrix(w, NO_BLOCK, "output", &head->own, (matrix_part){.output = true}));
    if (model->encoder.task == INK_TASK_CLASSIFY_TEXT) {
        if (head->transform.weight.n != 0)
            INK_TRY(add_dense(w, NO_BLOCK, "cls", &head->transform, (matrix_part){0}));
        INK_TRY(add_matrix(w, NO_BLOCK, "cls.output", &head->own, (matrix_part){0}));
        INK_TRY(add_vector(w, NO_BLOCK, "cls.output", "bias", &head->bias, 0, 0));
    }
    for (size_t type = 0; type < INK_N_TYPES; type++)
        if (w->n_fitted[type] > 0)
            ink_gguf_note(&w->out, "%zu matrices (such as %s) are %s, because their rows are no whole number of blocks",
                          w->n_fitted[type], w->a_fitted[type], ink_type_name((ink_type)type));
    return INK_OK;
}

/* ---- the keys --------------------------------------------------------------------------------------------------- */

static void put_rope(gguf_writer *w)
{
    const ink_rope *rope = w->in->model->transformer.stack.config.ropes;
    const bool linear = rope->type == INK_ROPE_LINEAR, yarn = rope->type == INK_ROPE_YARN;
    ink_gguf_out *out = &w->out;
    if (rope->head_dim == 0)
        return;
    ink_gguf_u32(out, ".rope.dimension_count", rope->head_dim);
    ink_gguf_f32(out, ".rope.freq_base", rope->theta);
    if (w->family->gemma)
        ink_gguf_f32(out, ".rope.freq_base_swa", rope[1].theta);
    if (!linear && !yarn)
        return;
    ink_gguf_text(out, ".rope.scaling.type", linear ? "linear" : "yarn", linear ? 6 : 4);
    ink_gguf_f32(out, ".rope.scaling.factor", rope->factor);
    if (linear)
        return;
    ink_gguf_u32(out, ".rope.scaling.original_context_length", rope->original_length);
    ink_gguf_f32(out, ".rope.scaling.yarn_beta_fast", rope->beta_fast);
    ink_gguf_f32(out, ".rope.scaling.yarn_beta_slow", rope->beta_slow);
}

/* How the rows of a text become a vector, as llama.cpp counts the ways. */
static ink_result put_pooling(gguf_writer *w)
{
    static const unsigned char ways[INK_N_POOLINGS] = {
        [INK_POOLING_MEAN] = 1, [INK_POOLING_CLS] = 2, [INK_POOLING_LAST] = 3};
    const ink_model *model = w->in->model;
    const ink_encoder_info *info = &model->encoder;
    unsigned way = model->sentence.n_modes > 0 ? ways[model->sentence.modes[0]] : 0;
    if (!model->is_encoder)
        return INK_OK;
    if (model->sentence.n_modes > 1 || (model->sentence.n_modes == 1 && way == 0))
        return refuse_network(w, "modules.json", "pools rows by the mean, the first or the last of them");
    if (w->family->encoder)
        ink_gguf_bool(&w->out, ".attention.causal", false);
    if (info->task == INK_TASK_CLASSIFY_TEXT) {
        way = 4; /* a classifier's scores */
        ink_gguf_array(&w->out, ".classifier.output_labels", INK_GGUF_STRING, info->n_labels);
        for (size_t i = 0; i < info->n_labels; i++)
            ink_gguf_put_string(&w->out, info->labels[i], strlen(info->labels[i]));
    }
    ink_gguf_u32(&w->out, ".pooling_type", way);
    return INK_OK;
}

static ink_result put_network(gguf_writer *w)
{
    const ink_model *model = w->in->model;
    const ink_model_info *info = &model->info;
    const ink_transformer_net *net = &model->transformer;
    const ink_stack_config *stack = &net->stack.config;
    const ink_attention *attention = stack->attention;
    const ink_norm *norm = &net->stack.blocks[0].norm_2;
    ink_gguf_out *out = &w->out;
    size_t context = info->context_length, window = 0;
    for (size_t i = 0; i < stack->n_blocks; i++)
        window = ink_size_max(window, attention[i].window);
    if (!w->family->gemma && window != 0 && window < context) {
        context = window;
        ink_gguf_note(out,
                      "llama.cpp has no window of attention in this architecture: the context is cut to the window "
                      "of %zu tokens, within which results are the same",
                      window);
    }
    ink_gguf_u32(out, ".block_count", stack->n_blocks);
    ink_gguf_u32(out, ".context_length", context);
    ink_gguf_u32(out, ".embedding_length", stack->hidden_size);
    ink_gguf_u32(out, ".feed_forward_length", stack->inner_size);
    ink_gguf_u32(out, ".attention.head_count", attention->n_heads);
    ink_gguf_u32(out, ".attention.head_count_kv", attention->n_kv_heads);
    ink_gguf_u32(out, ".attention.key_length", attention->head_dim);
    ink_gguf_u32(out, ".attention.value_length", attention->head_dim);
    if (w->family->gemma && window != 0)
        ink_gguf_u32(out, ".attention.sliding_window", window);
    put_rope(w);
    ink_gguf_f32(out,
                 norm->kind == INK_RMS_NORM ? ".attention.layer_norm_rms_epsilon" : ".attention.layer_norm_epsilon",
                 (double)norm->eps);
    ink_gguf_u32(out, ".vocab_size", info->vocab_size);
    if (w->family->encoder) /* a file without a table of types has one type */
        ink_gguf_u32(out, "tokenizer.ggml.token_type_count", ink_size_max(net->n_types, 1));
    return put_pooling(w);
}

/* The last part of a path, without slashes behind it. */
static const char *path_end(const char *path, size_t *size)
{
    size_t end = strlen(path), begin;
    while (end > 1 && (path[end - 1] == '/' || path[end - 1] == '\\'))
        end--;
    for (begin = end; begin > 0 && path[begin - 1] != '/' && path[begin - 1] != '\\';)
        begin--;
    *size = end - begin;
    return path + begin;
}

/* Everything in front of the data. */
static ink_result put_head(gguf_writer *w)
{
    ink_gguf_out *out = &w->out;
    const ink_gguf_options *options = out->options;
    const uint64_t n_keys = out->n_keys; /* of the time when they were counted */
    const char *path = w->in->source->name != NULL ? w->in->source->name : "";
    size_t size = options->name != NULL ? strlen(options->name) : 0;
    const char *name = options->name != NULL ? options->name : path_end(path, &size);
    ink_gguf_put(out, "GGUF", 4);
    ink_gguf_put_number(out, 4, 3);
    ink_gguf_put_number(out, 8, w->n_tensors);
    ink_gguf_put_number(out, 8, n_keys);
    ink_gguf_text(out, "general.architecture", out->architecture, strlen(out->architecture));
    ink_gguf_text(out, "general.type", "model", 5);
    if (size > 0)
        ink_gguf_text(out, "general.name", name, size);
    ink_gguf_u32(out, "general.alignment", ALIGNMENT);
    ink_gguf_u32(out, "general.quantization_version", 2);
    ink_gguf_u32(out, "general.file_type", types[type_row(options->type)].file_type);
    INK_TRY(put_network(w));
    INK_TRY(ink_gguf_tokenizer(out, w->in, w->tokenizer));

    uint64_t offset = 0;
    for (size_t i = 0; i < w->n_tensors; i++) {
        const gguf_tensor *t = &w->tensors[i];
        const ink_block_size block = ink_type_block(t->type);
        ink_gguf_put_string(out, t->name, strlen(t->name));
        ink_gguf_put_number(out, 4, t->is_vector ? 1 : 2);
        ink_gguf_put_number(out, 8, t->k);
        if (!t->is_vector)
            ink_gguf_put_number(out, 8, t->n);
        ink_gguf_put_number(out, 4, types[type_row(t->type)].id);
        ink_gguf_put_number(out, 8, offset);
        offset += (uint64_t)t->n * (t->k / block.elements) * block.bytes;
        offset += -offset % ALIGNMENT;
    }
    out_align(out);
    out->total = out->size + offset;
    return INK_OK;
}

/* ---- the data --------------------------------------------------------------------------------------------------- */

/* Rows of a tensor on their way from the folder to the file. */
typedef struct gguf_rows {
    const ink_kernel *kernel;
    const gguf_tensor *tensor;
    size_t bytes;       /* of a written row */
    float *values;      /* [rows, k] */
    unsigned char *put; /* [rows, bytes] */
    bool *broken;       /* [rows]: a value that the type cannot hold */
} gguf_rows;

/* The row (of a vector: the element) of the source that becomes row i of the tensor. In a head of d rows GGUF has those
   that are rotated together side by side. */
static size_t source_row(const gguf_tensor *t, size_t i)
{
    const size_t d = t->heads != 0 ? (t->is_vector ? t->k : t->n) / t->heads : 1, in_head = i % d;
    return t->first + (t->heads != 0 ? i - in_head + in_head % 2 * (d / 2) + in_head / 2 : i);
}

static void convert_row(void *data, size_t r)
{
    const gguf_rows *rows = data;
    const size_t k = rows->tensor->k;
    const ink_type type = rows->tensor->type;
    float *values = rows->values + r * k;
    unsigned char *put = rows->put + r * rows->bytes;
    rows->broken[r] = !rows->kernel->all_finite(values, k);
    if (rows->broken[r])
        return;
    if (type == INK_F32) {
        uint32_t bits;
        for (size_t i = 0; i < k; i++, put += sizeof bits) {
            memcpy(&bits, &values[i], sizeof bits);
            ink_put_le(put, sizeof bits, bits);
        }
    } else if (type == INK_F16 || type == INK_BF16) {
        uint16_t *halves = (void *)put;
        (type == INK_F16 ? rows->kernel->to_f16 : rows->kernel->to_bf16)(values, k, halves);
        for (size_t i = 0; i < k; i++, put += sizeof *halves) {
            rows->broken[r] |= type == INK_F16 && (halves[i] & 0x7C00) == 0x7C00;
            ink_put_le(put, sizeof *halves, halves[i]);
        }
    } else {
        ink_blocks_from_f32(type, values, k, put);
    }
}

#define CHUNK_BYTES ((size_t)1 << 20)

/* Row r of a tensor of the folder as f32. `stored` is room for it as it is stored. */
static ink_result read_row(ink_context *ctx, const ink_plan_row *row, size_t r, const ink_coded_room *coded,
                           unsigned char *stored, float *values)
{
    const size_t bytes = (size_t)(row->source->size / row->source->shape.dim[0]);
    INK_TRY(row->coded != NULL
                ? ink_coded_read(ctx, row->file, row->coded, r, 1, coded, stored)
                : ink_weights_read_bytes(ctx, row->file, row->source, (uint64_t)r * bytes, stored, bytes));
    ink_widen(ctx->kernel, row->source->type, stored, row->source->shape.dim[1], values);
    return INK_OK;
}

/* Reads rows from .. from + count - 1 of the tensor as f32. `whole`: the tensor of the folder, where it is stored the
   other way round. */
static ink_result read_rows(const gguf_writer *w, const gguf_tensor *t, const float *whole, size_t from, size_t count,
                            const ink_coded_room *coded, unsigned char *stored, float *values)
{
    const ink_plan_row *row = t->row;
    for (size_t r = 0; r < count; r++, values += t->k) {
        if (t->values != NULL) {
            memcpy(values, t->values, t->k * sizeof *values);
        } else if (row->source == NULL) {
            memset(values, 0, t->k * sizeof *values);
        } else if (whole != NULL) {
            const size_t n = row->source->shape.dim[1], at = source_row(t, from + r);
            for (size_t i = 0; i < t->k; i++)
                values[i] = t->is_vector ? whole[source_row(t, i)] + row->offset : whole[i * n + at];
        } else {
            INK_TRY(read_row(w->in->ctx, row, source_row(t, from + r), coded, stored, values));
        }
    }
    return INK_OK;
}

static ink_result put_tensor(gguf_writer *w, const gguf_tensor *t)
{
    ink_context *ctx = w->in->ctx;
    ink_arena *scratch = &ctx->scratch;
    const ink_plan_row *row = t->row;
    const ink_block_size block = ink_type_block(t->type);
    gguf_rows rows = {.kernel = ctx->kernel, .tensor = t, .bytes = t->k / block.elements * block.bytes};
    size_t n_stored = 0, chunk = ink_size_min(ink_size_max(CHUNK_BYTES / sizeof(float) / t->k, 1), t->n);
    ink_arena_mark mark = ink_arena_mark_here(scratch);
    const bool needs_whole = row != NULL && row->source != NULL && (t->is_vector || row->transposed);
    if (needs_whole)
        ink_shape_count(&row->source->shape, &n_stored);
    const size_t columns = row != NULL && row->source != NULL ? row->source->shape.dim[1] : 0;
    float *whole = ink_alloc_rows(scratch, 1, n_stored);
    unsigned char *stored = ink_arena_alloc(scratch, ink_size_max(t->k, columns), 8);
    ink_coded_room coded;
    if (row != NULL && row->coded != NULL)
        ink_coded_alloc(scratch, row->coded, 1, &coded);
    rows.values = ink_alloc_rows(scratch, chunk, t->k);
    rows.put = ink_arena_alloc(scratch, chunk, rows.bytes);
    rows.broken = ink_arena_alloc(scratch, chunk, sizeof *rows.broken);
    if (ink_arena_failed(scratch))
        return ink_scratch_fail(ctx, mark);
    ink_result result = INK_OK;
    if (needs_whole && row->coded == NULL)
        result = ink_weights_read(ctx, row->file, row->source, whole);
    for (size_t r = 0; needs_whole && row->coded != NULL && r < row->source->shape.dim[0] && result == INK_OK; r++)
        result = read_row(ctx, row, r, &coded, stored, whole + r * columns);
    for (size_t from = 0; from < t->n && result == INK_OK && !w->out.stopped; from += chunk) {
        const size_t count = ink_size_min(chunk, t->n - from);
        result = read_rows(w, t, needs_whole ? whole : NULL, from, count, &coded, stored, rows.values);
        if (result != INK_OK)
            break;
        ink_workers_run(ctx->workers, convert_row, &rows, count, true);
        for (size_t r = 0; r < count && result == INK_OK; r++)
            if (rows.broken[r])
                result =
                    ink_fail(ctx, INK_ERROR_NONFINITE, "%s: row %zu of tensor '%s' has a value that is not finite%s",
                             row->source->file, source_row(t, from + r), row->source->name,
                             t->type == INK_F16 ? ", or beyond the 65504 of F16" : "");
        if (result == INK_OK)
            ink_gguf_put(&w->out, rows.put, count * rows.bytes);
    }
    out_align(&w->out);
    return ink_scratch_end(ctx, mark, result);
}

/* ---- the file --------------------------------------------------------------------------------------------------- */

static ink_result put_file(gguf_writer *w)
{
    ink_context *ctx = w->in->ctx;
    ink_gguf_out *out = &w->out;
    INK_TRY(list_tensors(w));
    INK_TRY(put_head(w));
    out->counts = false;
    out->size = 0;
    out->buffer = ink_arena_alloc(w->arena, INK_GGUF_BUFFER, 1);
    if (out->buffer == NULL)
        return ink_fail(ctx, INK_ERROR_MEMORY, "out of memory: a GGUF file");
    INK_TRY(put_head(w));
    for (size_t i = 0; i < w->n_tensors && !out->stopped; i++)
        INK_TRY(put_tensor(w, &w->tensors[i]));
    out_flush(out);
    return out->stopped
               ? ink_fail(ctx, INK_ERROR_CANCELLED, "writing GGUF was stopped by the caller near byte %llu of %llu",
                          (unsigned long long)out->size, (unsigned long long)out->total)
               : INK_OK;
}

static ink_result write_gguf(ink_import *in, void *user)
{
    gguf_writer *w = user;
    ink_tokenizer *tokenizer = NULL;
    w->in = in;
    w->arena = &in->plan.work;
    w->out.counts = true; /* at first */
    if (in->gguf != NULL)
        return ink_fail(in->ctx, INK_ERROR_UNSUPPORTED, "%s is a GGUF file: only folders are written as one",
                        ink_weights_name(in->plan.files[0]));
    INK_TRY(find_family(w));
    INK_TRY(check_network(w));
    ink_result result = ink_tokenizer_open_source(in->ctx, in->source, &tokenizer);
    if (ink_is_missing(in->ctx, result)) {
        ink_gguf_note(&w->out, "the folder has no tokenizer, so the file has none: programs need token ids");
        result = INK_OK;
    }
    w->tokenizer = tokenizer;
    if (result == INK_OK)
        result = put_file(w);
    ink_tokenizer_free(tokenizer);
    return result;
}

ink_result ink_gguf_write(ink_context *ctx, const char *folder, const ink_gguf_options *options, ink_write_fn write,
                          void *write_user)
{
    INK_REQUIRE(ctx, options);
    if (write == NULL || (folder == NULL && options->source == NULL))
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: %s is NULL", __func__, write == NULL ? "write" : "folder");
    if (type_row(options->type) == N_TYPES)
        return ink_fail(ctx, INK_ERROR_ARGUMENT,
                        "%s: matrices cannot be written as %s, only as F32, F16, BF16, Q8_0, Q6_K, Q5_0, Q4_K or Q4_0",
                        __func__, ink_type_name(options->type));
    gguf_writer w = {.out = {.ctx = ctx, .options = options, .write = write, .write_user = write_user}};
    ink_model_options model = {.type = INK_F32, .source = options->source, .pooling = options->pooling};
    return ink_import_visit(ctx, folder, &model, write_gguf, &w);
}
