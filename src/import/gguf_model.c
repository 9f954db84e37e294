/*
 * gguf_model.c - models in GGUF files: the families that folders have, with other names for settings and tensors.
 *
 * The metadata become a document like config.json. A table maps Hugging Face's keys to those of the file (config.h),
 * another its modules to the names of tensors (plan.h). Then the importer of the family does the rest, and its messages
 * use the names of the file. So each setting that importers read has one row here, and each module another.
 *
 * The keys are those of gguf-py (constants.py), with the meaning they have in llama.cpp (llama-model.cpp, models/).
 * llama.cpp knows some settings by the architecture alone, and files leave them out. They are added here: the local
 * rope of Gemma 3, for instance, and that the embedding is the output if there is no other.
 */
#include <string.h>

#include "../formats/gguf.h"
#include "architectures.h"
#include "encoder_names.h"

/* ---- architectures ---------------------------------------------------------------------------------------------- */

/* The architectures as bits, for the columns of tables. */
enum { LLAMA = 1, QWEN2 = 2, QWEN3 = 4, GEMMA3 = 8, GPT2 = 16, BERT = 32, SMOLLM3 = 64 };
#define DECODERS (LLAMA | QWEN2 | QWEN3 | SMOLLM3 | GEMMA3)
#define ALL (DECODERS | GPT2 | BERT)

/* The first row that fits a name counts; Gemma 3's own rows stand in front. */
#define GEMMA3_ROWS 3
static const ink_plan_name gemma3_names[] = {
    {"layers.#.post_attention_layernorm", "blk.#.post_attention_norm"},
    {"layers.#.pre_feedforward_layernorm", "blk.#.ffn_norm"},
    {"layers.#.post_feedforward_layernorm", "blk.#.post_ffw_norm"},
    {"embed_tokens", "token_embd"},
    {"layers.#.input_layernorm", "blk.#.attn_norm"},
    {"layers.#.self_attn.q_proj", "blk.#.attn_q"},
    {"layers.#.self_attn.k_proj", "blk.#.attn_k"},
    {"layers.#.self_attn.v_proj", "blk.#.attn_v"},
    {"layers.#.self_attn.qkv_proj", "blk.#.attn_qkv"},
    {"layers.#.self_attn.q_norm", "blk.#.attn_q_norm"},
    {"layers.#.self_attn.k_norm", "blk.#.attn_k_norm"},
    {"layers.#.self_attn.o_proj", "blk.#.attn_output"},
    {"layers.#.post_attention_layernorm", "blk.#.ffn_norm"},
    {"layers.#.mlp.gate_proj", "blk.#.ffn_gate"},
    {"layers.#.mlp.up_proj", "blk.#.ffn_up"},
    {"layers.#.mlp.down_proj", "blk.#.ffn_down"},
    {"norm", "output_norm"},
    {"lm_head", "output"},
    {"score", "cls.output"},
    {"rope_freqs", "rope_freqs"},
    {NULL, NULL},
};
#define llama_names (gemma3_names + GEMMA3_ROWS)

static const ink_plan_name gpt2_names[] = {
    {"wte", "token_embd"},
    {"wpe", "position_embd"},
    {"h.#.ln_1", "blk.#.attn_norm"},
    {"h.#.attn.c_attn", "blk.#.attn_qkv"},
    {"h.#.attn.c_proj", "blk.#.attn_output"},
    {"h.#.ln_2", "blk.#.ffn_norm"},
    {"h.#.mlp.c_fc", "blk.#.ffn_up"},
    {"h.#.mlp.c_proj", "blk.#.ffn_down"},
    {"ln_f", "output_norm"},
    {"lm_head", "output"},
    {NULL, NULL},
};

static const ink_plan_name bert_names[] = {
    {"embeddings.word_embeddings", "token_embd"},
    {"embeddings.position_embeddings", "position_embd"},
    {"embeddings.token_type_embeddings", "token_types"},
    {"embeddings.LayerNorm", "token_embd_norm"},
    {"encoder.layer.#.attention.self.query", "blk.#.attn_q"},
    {"encoder.layer.#.attention.self.key", "blk.#.attn_k"},
    {"encoder.layer.#.attention.self.value", "blk.#.attn_v"},
    {"encoder.layer.#.attention.output.dense", "blk.#.attn_output"},
    {"encoder.layer.#.attention.output.LayerNorm", "blk.#.attn_output_norm"},
    {"encoder.layer.#.intermediate.dense", "blk.#.ffn_up"},
    {"encoder.layer.#.output.dense", "blk.#.ffn_down"},
    {"encoder.layer.#.output.LayerNorm", "blk.#.layer_output_norm"},
    {"classifier.dense", "cls"},
    {"classifier.out_proj", "cls.output"},
    {NULL, NULL},
};

typedef struct gguf_architecture {
    const char *name; /* general.architecture, and the beginning of its keys */
    unsigned bit;
    const char *model_type; /* that of Hugging Face */
    const char *ranker; /* the class of a model with pooling_type 4, which has cls.output; NULL: it cannot have it */
    const ink_plan_name *names;
    const void *variant; /* in place of that of the architecture; or NULL */
} gguf_architecture;

static const gguf_architecture gguf_architectures[] = {
    {"llama", LLAMA, "llama", NULL, llama_names, NULL},
    {"qwen2", QWEN2, "qwen2", NULL, llama_names, NULL},
    {"qwen3", QWEN3, "qwen3", "Qwen3ForSequenceClassification", llama_names, NULL},
    {"smollm3", SMOLLM3, "smollm3", NULL, llama_names, NULL},
    {"gemma3", GEMMA3, "gemma3_text", NULL, gemma3_names, NULL},
    {"gpt2", GPT2, "gpt2", NULL, gpt2_names, NULL},
    {"bert", BERT, "bert", "BertForSequenceClassification", bert_names, &ink_gguf_bert},
};
#define N_ARCHITECTURES (sizeof gguf_architectures / sizeof *gguf_architectures)

/* ---- keys ------------------------------------------------------------------------------------------------------- */

typedef enum setting_kind {
    WHOLE,  /* an integer */
    LAYERS, /* an integer, or one for each block, which must be equal */
    NUMBER, /* a float */
    TEXT
} setting_kind;

/* Settings as Hugging Face's importers know them and as the file has them; a key that begins with "." follows the name
   of the architecture. `stored` may stand in two rows, one after the other. The number of blocks comes before what may
   differ by block. */
static const struct setting_row {
    const char *key, *stored;
    setting_kind kind;
    unsigned read, required; /* by these architectures */
} setting_rows[] = {
    {"num_hidden_layers", ".block_count", WHOLE, ALL, ALL},
    {"max_position_embeddings", ".context_length", WHOLE, ALL, ALL},
    {"hidden_size", ".embedding_length", WHOLE, ALL, ALL},
    {"intermediate_size", ".feed_forward_length", LAYERS, ALL, ALL},
    {"n_inner", ".feed_forward_length", LAYERS, GPT2, 0},
    {"num_attention_heads", ".attention.head_count", LAYERS, ALL, ALL},
    {"num_key_value_heads", ".attention.head_count_kv", LAYERS, ALL, 0},
    {"head_dim", ".attention.key_length", WHOLE, ALL, 0},
    {"rms_norm_eps", ".attention.layer_norm_rms_epsilon", NUMBER, DECODERS, DECODERS},
    {"layer_norm_epsilon", ".attention.layer_norm_epsilon", NUMBER, GPT2, GPT2},
    {"layer_norm_eps", ".attention.layer_norm_epsilon", NUMBER, BERT, BERT},
    {"rope_theta", ".rope.freq_base", NUMBER, DECODERS, GEMMA3 | SMOLLM3},
    {"rope_local_base_freq", ".rope.freq_base_swa", NUMBER, GEMMA3, 0},
    {"rope_type", ".rope.scaling.type", TEXT, DECODERS, 0},
    {"factor", ".rope.scaling.factor", NUMBER, DECODERS, 0},
    {"original_max_position_embeddings", ".rope.scaling.original_context_length", WHOLE, DECODERS, 0},
    {"attention_factor", ".rope.scaling.yarn_attn_factor", NUMBER, DECODERS, 0},
    {"beta_fast", ".rope.scaling.yarn_beta_fast", NUMBER, DECODERS, 0},
    {"beta_slow", ".rope.scaling.yarn_beta_slow", NUMBER, DECODERS, 0},
    {"type_vocab_size", "tokenizer.ggml.token_type_count", WHOLE, BERT, BERT},
    {"bos_token_id", "tokenizer.ggml.bos_token_id", WHOLE, ALL, 0},
    {"pad_token_id", "tokenizer.ggml.padding_token_id", WHOLE, DECODERS | GPT2, 0},
    {"temperature", "general.sampling.temp", NUMBER, DECODERS | GPT2, 0},
    {"top_k", "general.sampling.top_k", WHOLE, DECODERS | GPT2, 0},
    {"top_p", "general.sampling.top_p", NUMBER, DECODERS | GPT2, 0},
    {"min_p", "general.sampling.min_p", NUMBER, DECODERS | GPT2, 0},
    {"repetition_penalty", "general.sampling.penalty_repeat", NUMBER, DECODERS | GPT2, 0},
};
#define N_ROWS (sizeof setting_rows / sizeof *setting_rows)

/* Other keys of an architecture that change what llama.cpp computes: all that begin like this, unless they have the
   value that changes nothing or are in the next table. */
static const char *const changing[] = {
    ".activation",      ".altup.",        ".attention.",  ".attn_",       ".classifier.pooling",
    ".deepstack",       ".dense_",        ".embedding_",  ".expert",      ".final_logit",
    ".full_attention_", ".hidden_act",    ".hyper_",      ".interleave_", ".leading_dense_",
    ".logit_scale",     ".moe_",          ".n_deepstack", ".nextn_",      ".num_loops",
    ".residual_scale",  ".rope.",         ".router_",     ".ssm.",        ".swiglu_",
    ".swin_",           ".use_parallel_", ".rescale_",    ".token_shift", ".decoder_",
};

/* Of these, keys that are read below, that change no result, or that do so unless they have this number. */
static const struct neutral_row {
    const char *stored;
    unsigned read;
    double nothing;
} neutral[] = {
    {".attention.causal", ALL, 0},
    {".attention.value_length", ALL, 0},
    {".attention.layer_norm_epsilon", ALL, 0}, /* the other architectures have the other norm */
    {".attention.layer_norm_rms_epsilon", ALL, 0},
    {".attention.sliding_window", GEMMA3, 0},
    {".attention.sliding_window_pattern", ALL, 0},
    {".rope.dimension_count", ALL, 0},
    {".rope.freq_base", ALL, 0},
    {".rope.freq_base_swa", GEMMA3, 0},
    {".rope.scale_linear", DECODERS, 1},
    {".rope.scaling.finetuned", ALL, 0},
    {".rope.scaling.attn_factor", 0, 1},
    {".rope.scaling.yarn_ext_factor", 0, 1},
    {".logit_scale", 0, 1},
    {".residual_scale", 0, 1},
    {".embedding_scale", 0, 1},
    {".pooling_type", ALL, 0},
    {".classifier.output_labels", ALL, 0},
    {".tensor_data_layout", ALL, 0}, /* how the file was made */
    {".vocab_size", ALL, 0},
};

/* Texts of tokens that end an answer in llama.cpp (llama-vocab.cpp), whatever the ids under eos, eot and eom are; a
   space behind each. */
static const char ends[] =
    "<|end|> </s> <|return|> <|call|> <|calls|> <|flush|> <|tool_response> <|eot_id|> <|im_end|> <end_of_turn> "
    "<|endoftext|> <|eom_id|> <EOT> _<EOT> [EOT] [EOS] <|end_of_text|> <end_of_utterance> <eos> <turn|> <\xef\xbd\x9c"
    "end\xe2\x96\x81of\xe2\x96\x81sentence\xef\xbd\x9c> [e~[ <|fim_pad|> <fim-pad> <fim_pad> <PAD> [PAD] <|fim_repo|> "
    "<|repo_name|> <fim-repo> <REPO> <reponame> <|file_sep|> ";
enum { END, S, RETURN, CALL, CALLS, FLUSH, TOOL_RESPONSE, N_ENDS = 33 };

/* Which of them a text is; N_ENDS: none. */
static size_t which_end(const char *text, size_t size)
{
    const char *end = ends;
    for (size_t e = 0, length; e < N_ENDS; e++, end += length + 1) {
        length = (size_t)(strchr(end, ' ') - end);
        if (length == size && memcmp(end, text, size) == 0)
            return e;
    }
    return N_ENDS;
}

/* ---- the document ----------------------------------------------------------------------------------------------- */

typedef struct gguf_reader {
    ink_import *in;
    ink_context *ctx;
    const ink_gguf *gguf;
    const gguf_architecture *a;
    ink_json_document *document; /* that of in->config, whose nodes are here and have room for all */
    ink_json_node *nodes;
    ink_setting_name *names;
    size_t n_blocks, hidden, n_heads, n_kv_heads, head_dim; /* as they are read */
} gguf_reader;

/* A copy for as long as the settings; "" if memory ends, which is found later. */
static const char *gguf_keep(gguf_reader *r, const char *text, size_t size)
{
    const char *copy = ink_arena_string(r->in->config.arena, text, size);
    return copy != NULL ? copy : "";
}

/* The whole key. */
static const char *gguf_key(gguf_reader *r, const char *stored)
{
    char key[256];
    size_t length = ink_format(key, sizeof key, "%s%s", stored[0] == '.' ? r->a->name : "", stored);
    return gguf_keep(r, key, length);
}

static const ink_gguf_value *gguf_find(const gguf_reader *r, const char *stored)
{
    char key[256];
    ink_format(key, sizeof key, "%s%s", r->a->name, stored);
    return ink_gguf_find(r->gguf, key);
}

/* Adds a node behind the last: a member of `parent`, or an element if key is NULL. Strings are kept, not copied. */
static ink_json gguf_add(gguf_reader *r, ink_json parent, const char *key, ink_json_kind kind, const char *string)
{
    ink_json node = (ink_json)r->document->n_nodes++;
    r->nodes[node] = (ink_json_node){.key = key,
                                     .string = string,
                                     .key_size = key != NULL ? (uint32_t)strlen(key) : 0,
                                     .string_size = string != NULL ? (uint32_t)strlen(string) : 0,
                                     .next = node + 1,
                                     .parent = parent,
                                     .kind = kind};
    if (parent != INK_JSON_NONE)
        r->nodes[parent].n_children++;
    for (; parent != INK_JSON_NONE; parent = r->nodes[parent].parent)
        r->nodes[parent].next = node + 1;
    return node;
}

static void gguf_name(gguf_reader *r, const char *key, const char *stored)
{
    r->names[r->in->config.n_names++] = (ink_setting_name){key, stored};
}

/* Adds a setting by Hugging Face's key. Messages call it `stored`. */
static ink_json gguf_set(gguf_reader *r, const char *key, const char *stored, ink_json_kind kind, const char *string)
{
    gguf_name(r, key, stored);
    return gguf_add(r, 0, stored, kind, string);
}

static const char *gguf_spell(gguf_reader *r, int64_t number)
{
    char text[24];
    size_t length = ink_format(text, sizeof text, "%lld", (long long)number);
    return gguf_keep(r, text, length);
}

/* The shortest decimal that is read back as this float, so that a file says the same as the config.json that it was
   made from. `single`: as a float, not a double. */
static const char *gguf_spell_float(gguf_reader *r, double number, bool single)
{
    char text[40];
    double size = number < 0 ? -number : number;
    int exponent = 0;
    size_t length = ink_format(text, sizeof text, "0");
    for (; size >= 10; exponent++)
        size /= 10;
    for (; size < 1 && size > 0; exponent--)
        size *= 10;
    for (int digits = 0; digits < 17 && size > 0; digits++, size *= 10) {
        length = ink_format(text, sizeof text, "%s%llue%d", number < 0 ? "-" : "",
                            (unsigned long long)(uint64_t)(size + 0.5), exponent - digits);
        double read = ink_decimal(text, length);
        if (single ? (float)read == (float)number : read == number)
            break;
    }
    return gguf_keep(r, text, length);
}

static ink_result gguf_check_memory(const gguf_reader *r)
{
    return ink_arena_failed(r->in->config.arena)
               ? ink_fail(r->ctx, INK_ERROR_MEMORY, "out of memory: the settings of %s", r->gguf->file)
               : INK_OK;
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

/* An integer, the same for every block. */
static ink_result gguf_read_layers(gguf_reader *r, const ink_gguf_value *value, int64_t *out)
{
    if (value->is_array && value->count != r->n_blocks)
        return ink_gguf_refuse(r->ctx, r->gguf, value, INK_ERROR_MISMATCH,
                               " has %zu elements, but there are %zu blocks", value->count, r->n_blocks);
    for (size_t i = 0; i < value->count; i++) {
        int64_t number = 0;
        INK_TRY(ink_gguf_int_at(r->ctx, r->gguf, value, i, INT64_MIN, INT64_MAX, &number));
        if (i > 0 && number != *out)
            return ink_gguf_refuse(r->ctx, r->gguf, value, INK_ERROR_UNSUPPORTED,
                                   ": element %zu is %lld, but element 0 is %lld: blocks that differ are not supported",
                                   i, (long long)number, (long long)*out);
        *out = number;
    }
    return INK_OK;
}

static ink_result gguf_size(gguf_reader *r, const char *key, size_t *size)
{
    return ink_config_size(&r->in->config, key, INK_MAX_WIDTH, size);
}

/* Adds the setting of a row if the file has it. */
static ink_result gguf_read_row(gguf_reader *r, const struct setting_row *row)
{
    const char *key = gguf_key(r, row->stored), *text = "";
    const ink_gguf_value *value = ink_gguf_find(r->gguf, key);
    int64_t whole = 0;
    double number = 0;
    INK_TRY(gguf_check_memory(r));
    gguf_name(r, row->key, key);
    if ((row->required & r->a->bit) != 0)
        INK_TRY(ink_gguf_require(r->ctx, r->gguf, key, &value));
    if (value == NULL)
        return INK_OK;
    switch (row->kind) {
    case WHOLE:
        INK_TRY(ink_gguf_get_int(r->ctx, r->gguf, value, INT64_MIN, INT64_MAX, &whole));
        break;
    case LAYERS:
        INK_TRY(gguf_read_layers(r, value, &whole));
        break;
    case NUMBER:
        INK_TRY(ink_gguf_get_float(r->ctx, r->gguf, value, &number));
        gguf_add(r, 0, key, INK_JSON_NUMBER, gguf_spell_float(r, number, value->type == INK_GGUF_F32));
        return INK_OK;
    case TEXT:
    default:
        INK_TRY(ink_gguf_get_string(r->ctx, r->gguf, value, &text, NULL));
        gguf_add(r, 0, key, INK_JSON_STRING, text);
        return INK_OK;
    }
    gguf_add(r, 0, key, INK_JSON_NUMBER, gguf_spell(r, whole));
    INK_TRY(gguf_check_memory(r));
    return row == setting_rows ? gguf_size(r, row->key, &r->n_blocks) : INK_OK;
}

/* Refuses a key that must have this number, if it is there. */
static ink_result gguf_must_be(gguf_reader *r, const char *stored, size_t expected, const char *why)
{
    const ink_gguf_value *value = gguf_find(r, stored);
    int64_t number = (int64_t)expected;
    if (value != NULL)
        INK_TRY(gguf_read_layers(r, value, &number));
    return number == (int64_t)expected
               ? INK_OK
               : ink_gguf_refuse(r->ctx, r->gguf, value, INK_ERROR_UNSUPPORTED,
                                 " is %lld, but only %zu is supported: %s", (long long)number, expected, why);
}

/* Heads: those of keys and values, and their size. */
static ink_result gguf_read_heads(gguf_reader *r)
{
    const char *file = r->gguf->file, *heads = gguf_key(r, ".attention.head_count");
    const char *kv_heads = gguf_key(r, ".attention.head_count_kv"), *size = gguf_key(r, ".attention.key_length");
    INK_TRY(gguf_size(r, "hidden_size", &r->hidden));
    INK_TRY(gguf_size(r, "num_attention_heads", &r->n_heads));
    if (!ink_config_has(&r->in->config, "num_key_value_heads"))
        gguf_add(r, 0, kv_heads, INK_JSON_NUMBER, gguf_spell(r, (int64_t)r->n_heads));
    if (!ink_config_has(&r->in->config, "head_dim") && r->hidden % r->n_heads != 0)
        return ink_fail(r->ctx, INK_ERROR_MISMATCH,
                        "%s: '%s' is %zu, which is not a multiple of %zu heads ('%s'), and there is no '%s'", file,
                        gguf_key(r, ".embedding_length"), r->hidden, r->n_heads, heads, size);
    if (!ink_config_has(&r->in->config, "head_dim"))
        gguf_add(r, 0, size, INK_JSON_NUMBER, gguf_spell(r, (int64_t)(r->hidden / r->n_heads)));
    INK_TRY(gguf_check_memory(r));
    INK_TRY(gguf_size(r, "num_key_value_heads", &r->n_kv_heads));
    INK_TRY(gguf_size(r, "head_dim", &r->head_dim));
    if (r->n_heads % r->n_kv_heads != 0)
        return ink_fail(r->ctx, INK_ERROR_MISMATCH, "%s: '%s' is %zu, which is not a multiple of %zu ('%s')", file,
                        heads, r->n_heads, r->n_kv_heads, kv_heads);
    INK_TRY(gguf_must_be(r, ".attention.value_length", r->head_dim, "values have the size of keys"));
    if ((r->a->bit & DECODERS) == 0) {
        INK_TRY(gguf_must_be(r, ".attention.head_count_kv", r->n_heads, "there are as many as heads"));
        return gguf_must_be(r, ".attention.key_length", r->hidden / r->n_heads, "heads are parts of a row");
    }
    return gguf_must_be(r, ".rope.dimension_count", r->head_dim, "rope turns whole heads");
}

/* Rope is scaled if there is a factor, linearly unless the file names a type. scale_linear is an older name of it. */
static ink_result gguf_read_rope(gguf_reader *r)
{
    const char *type_key = gguf_key(r, ".rope.scaling.type"), *factor_key = gguf_key(r, ".rope.scaling.factor");
    const ink_gguf_value *old = gguf_find(r, ".rope.scale_linear");
    ink_json type = ink_json_member(r->document, 0, type_key), factor = ink_json_member(r->document, 0, factor_key);
    double number = 1;
    INK_TRY(ink_gguf_get_float(r->ctx, r->gguf, old, &number));
    if (factor == INK_JSON_NONE && number != 1 && number != 0)
        factor = gguf_add(r, 0, factor_key, INK_JSON_NUMBER, gguf_spell_float(r, number, old->type == INK_GGUF_F32));
    if (type == INK_JSON_NONE ? factor == INK_JSON_NONE : strcmp(r->nodes[type].string, "none") == 0)
        return INK_OK;
    if (type == INK_JSON_NONE)
        gguf_add(r, 0, type_key, INK_JSON_STRING, "linear");
    gguf_name(r, "rope_scaling", "");
    return INK_OK;
}

/* Gemma 3: which blocks have a window, and the scale of the scores. llama.cpp knows the model of 27 B, whose scale is
   another, by its number of blocks. */
static ink_result gguf_read_gemma3(gguf_reader *r)
{
    const ink_gguf_value *window = gguf_find(r, ".attention.sliding_window");
    const ink_gguf_value *pattern = gguf_find(r, ".attention.sliding_window_pattern");
    const char *key = gguf_key(r, ".attention.sliding_window_pattern");
    int64_t size = 0, every = 6;
    INK_TRY(ink_gguf_get_int(r->ctx, r->gguf, window, 0, INT32_MAX, &size));
    if (size != 0)
        gguf_set(r, "sliding_window", window->key, INK_JSON_NUMBER, gguf_spell(r, size));
    if (size != 0 && pattern != NULL && pattern->is_array) {
        if (pattern->count != r->n_blocks)
            return ink_gguf_refuse(r->ctx, r->gguf, pattern, INK_ERROR_MISMATCH, " has %zu elements for %zu blocks",
                                   pattern->count, r->n_blocks);
        ink_json list = gguf_set(r, "layer_types", key, INK_JSON_ARRAY, NULL);
        for (size_t i = 0; i < pattern->count; i++) {
            int64_t slides = pattern->type == INK_GGUF_BOOL ? pattern->data[i] : 0;
            if (pattern->type != INK_GGUF_BOOL)
                INK_TRY(ink_gguf_int_at(r->ctx, r->gguf, pattern, i, 0, 1, &slides));
            gguf_add(r, list, NULL, INK_JSON_STRING, slides != 0 ? "sliding_attention" : "full_attention");
        }
    } else {
        if (size != 0)
            INK_TRY(ink_gguf_get_int(r->ctx, r->gguf, pattern, INT64_MIN, INT64_MAX, &every));
        gguf_set(r, "sliding_window_pattern", key, INK_JSON_NUMBER, gguf_spell(r, size != 0 ? every : 1));
    }
    size_t scalar = r->n_blocks == 62 ? r->hidden / r->n_heads : r->head_dim;
    gguf_set(r, "query_pre_attn_scalar", "query_pre_attn_scalar", INK_JSON_NUMBER, gguf_spell(r, (int64_t)scalar));
    return INK_OK;
}

/* The tokens count, as in llama.cpp; without a list of them, vocab_size. */
static ink_result gguf_read_vocabulary(gguf_reader *r)
{
    const ink_gguf_value *tokens = ink_gguf_find(r->gguf, "tokenizer.ggml.tokens"), *size = gguf_find(r, ".vocab_size");
    int64_t n = tokens != NULL && tokens->is_array ? (int64_t)tokens->count : 0, said = n;
    INK_TRY(ink_gguf_get_int(r->ctx, r->gguf, size, 1, INT32_MAX, &said));
    if (n == 0 && size == NULL)
        return ink_fail(r->ctx, INK_ERROR_MISMATCH,
                        "%s: keys 'tokenizer.ggml.tokens' and '%s' are missing: how many "
                        "tokens are there?",
                        r->gguf->file, gguf_key(r, ".vocab_size"));
    if (n != 0 && said != n)
        ink_note(&r->in->notes, "%s: %s is %lld, but there are %lld tokens: ignored", r->gguf->file, size->key,
                 (long long)said, (long long)n);
    gguf_set(r, "vocab_size", n != 0 ? tokens->key : size->key, INK_JSON_NUMBER, gguf_spell(r, n != 0 ? n : said));
    return INK_OK;
}

/*
 * The tokens that end a text: those under eos_, eot_ and eom_token_id, then all whose text says that an answer, a file
 * or a repository ends. This is llama.cpp's rule with its two exceptions: "<|end|>" ends only a message where there are
 * "<|return|>" and "<|call|>", or "<|calls|>" or "<|call|>" and "<|flush|>"; and "</s>" is text where there is
 * "<|tool_response>". Of several tokens with one text the last counts.
 */
static ink_result gguf_read_ends(gguf_reader *r)
{
    static const char *const keys[] = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                                       "tokenizer.ggml.eom_token_id"};
    const ink_gguf_value *tokens = ink_gguf_find(r->gguf, "tokenizer.ggml.tokens"), *value;
    const ink_gguf_value *model = ink_gguf_find(r->gguf, "tokenizer.ggml.model");
    int64_t ids[3 + N_ENDS], of_text[N_ENDS];
    size_t n = 0, at = 0, size;
    const char *text, *kind = "";
    for (size_t i = 0; i < 3; i++)
        if ((value = ink_gguf_find(r->gguf, keys[i])) != NULL)
            INK_TRY(ink_gguf_get_int(r->ctx, r->gguf, value, INT64_MIN, INT64_MAX, &ids[n++]));
    INK_TRY(ink_gguf_get_string(r->ctx, r->gguf, model, &kind, NULL));
    if (ink_gguf_find(r->gguf, keys[0]) == NULL && strcmp(kind, "llama") == 0)
        ids[n++] = 2; /* llama.cpp's default */
    for (size_t e = 0; e < N_ENDS; e++)
        of_text[e] = -1;
    if (tokens != NULL) {
        INK_TRY(ink_gguf_expect_array(r->ctx, r->gguf, tokens, INK_GGUF_STRING, INK_GGUF_ANY));
        for (int64_t id = 0; ink_gguf_next_string(tokens, &at, &text, &size); id++)
            if (size > 0 && (text[0] == '<' || text[0] == '[' || text[0] == '_') && which_end(text, size) < N_ENDS)
                of_text[which_end(text, size)] = id;
    }
    bool calls = of_text[CALL] >= 0 || of_text[CALLS] >= 0;
    if ((of_text[RETURN] >= 0 && of_text[CALL] >= 0) || (calls && of_text[FLUSH] >= 0))
        of_text[END] = -1;
    if (of_text[TOOL_RESPONSE] >= 0)
        of_text[S] = -1;
    for (size_t e = 0; e < N_ENDS; e++)
        if (of_text[e] >= 0)
            ids[n++] = of_text[e];

    ink_json list = gguf_set(r, "eos_token_id", keys[0], INK_JSON_ARRAY, NULL);
    for (size_t i = 0; i < n; i++) {
        size_t j = 0;
        while (ids[j] != ids[i])
            j++;
        if (j == i)
            gguf_add(r, list, NULL, INK_JSON_NUMBER, gguf_spell(r, ids[i]));
    }
    return INK_OK;
}

/* pooling_type: how the rows of a text become a vector; 4 is a ranker, whose output has a row for each label. */
static ink_result gguf_read_pooling(gguf_reader *r)
{
    static const ink_pooling poolings[] = {INK_POOLING_NONE, INK_POOLING_MEAN, INK_POOLING_CLS, INK_POOLING_LAST};
    const ink_gguf_value *value = gguf_find(r, ".pooling_type"), *causal = gguf_find(r, ".attention.causal");
    const ink_gguf_value *labels = gguf_find(r, ".classifier.output_labels");
    const char *causal_key = gguf_key(r, ".attention.causal");
    bool encoder = r->a->bit == BERT, is_causal = !encoder;
    int64_t type = 0;
    INK_TRY(gguf_check_memory(r));
    if (encoder)
        INK_TRY(ink_gguf_require(r->ctx, r->gguf, causal_key, &causal));
    INK_TRY(ink_gguf_get_bool(r->ctx, r->gguf, causal, &is_causal));
    if (is_causal == encoder)
        return ink_gguf_refuse(r->ctx, r->gguf, causal, INK_ERROR_UNSUPPORTED,
                               " is %s, but %s is supported only with %s", is_causal ? "true" : "false", r->a->name,
                               encoder ? "false" : "true");
    INK_TRY(ink_gguf_get_int(r->ctx, r->gguf, value, -1, 4, &type));
    if (type == 4 && r->a->ranker == NULL)
        return ink_gguf_refuse(r->ctx, r->gguf, value, INK_ERROR_UNSUPPORTED, " is 4: %s that rank are not supported",
                               r->a->name);
    if (value == NULL && r->a->ranker != NULL && ink_weights_find(r->in->plan.weights, "cls.output.weight") != NULL)
        type = 4; /* the converter leaves it to the user of llama.cpp */
    r->in->pools = type >= 1 && type <= 3;
    if (r->in->pools && r->in->options.pooling == INK_POOLING_NONE)
        r->in->options.pooling = poolings[type];
    if (type != 4)
        return INK_OK;
    gguf_set(r, "architectures", "architectures", INK_JSON_STRING, r->a->ranker);
    if (labels == NULL) {
        gguf_set(r, "num_labels", "num_labels", INK_JSON_NUMBER, "1");
        return INK_OK;
    }
    INK_TRY(ink_gguf_expect_array(r->ctx, r->gguf, labels, INK_GGUF_STRING, INK_GGUF_ANY));
    ink_json map = gguf_set(r, "id2label", labels->key, INK_JSON_OBJECT, NULL);
    size_t at = 0, size;
    const char *text;
    for (int64_t i = 0; ink_gguf_next_string(labels, &at, &text, &size); i++)
        gguf_add(r, map, gguf_spell(r, i), INK_JSON_STRING, gguf_keep(r, text, size));
    return INK_OK;
}

/* Refuses keys of the architecture that change a result and that nothing reads. Notes the other unread ones. */
static ink_result gguf_check_others(gguf_reader *r)
{
    size_t length = strlen(r->a->name);
    for (size_t i = 0; i < r->gguf->n_values; i++) {
        const ink_gguf_value *value = &r->gguf->values[i];
        const char *stored = value->key + length;
        double nothing = 0, number = 0;
        int64_t whole = 0;
        bool read = false, changes = false, set = true; /* 0 is "none" for all of them */
        if (strncmp(value->key, r->a->name, length) != 0 || stored[0] != '.')
            continue;
        for (size_t row = 0; row < N_ROWS; row++)
            read |= (setting_rows[row].read & r->a->bit) != 0 && strcmp(setting_rows[row].stored, stored) == 0;
        for (size_t row = 0; row < sizeof neutral / sizeof *neutral; row++)
            if (strcmp(neutral[row].stored, stored) == 0) {
                nothing = neutral[row].nothing;
                read |= (neutral[row].read & r->a->bit) != 0;
            }
        for (size_t row = 0; row < sizeof changing / sizeof *changing; row++)
            changes |= strncmp(stored, changing[row], strlen(changing[row])) == 0;
        if (read)
            continue;
        if (!value->is_array && value->type == INK_GGUF_BOOL) {
            INK_TRY(ink_gguf_get_bool(r->ctx, r->gguf, value, &set));
        } else if (!value->is_array && (value->type == INK_GGUF_F32 || value->type == INK_GGUF_F64)) {
            INK_TRY(ink_gguf_get_float(r->ctx, r->gguf, value, &number));
            set = number != 0 && number != nothing;
        } else if (!value->is_array && value->type != INK_GGUF_STRING) {
            INK_TRY(ink_gguf_get_int(r->ctx, r->gguf, value, INT64_MIN, INT64_MAX, &whole));
            set = whole != 0 && (double)whole != nothing;
        }
        if (changes && set)
            return ink_gguf_refuse(r->ctx, r->gguf, value, INK_ERROR_UNSUPPORTED,
                                   ": models of architecture %s with this setting are not supported", r->a->name);
        if (!changes)
            ink_note(&r->in->notes, "%s: key '%s' is not known: ignored", r->gguf->file, value->key);
    }
    return INK_OK;
}

ink_result ink_gguf_describe(ink_import *in, const ink_gguf *gguf, const char **model_type)
{
    static const ink_memory_files nothing;
    gguf_reader r = {.in = in, .ctx = in->ctx, .gguf = gguf};
    const ink_gguf_value *value, *labels, *pattern;
    const char *name;
    char known[128];
    size_t used = 0;
    INK_TRY(ink_gguf_check_model(in->ctx, gguf, ink_weights_count(in->plan.weights)));
    INK_TRY(ink_gguf_require(in->ctx, gguf, "general.architecture", &value));
    INK_TRY(ink_gguf_get_string(in->ctx, gguf, value, &name, NULL));
    for (size_t i = 0; i < N_ARCHITECTURES; i++) {
        const gguf_architecture *a = &gguf_architectures[i];
        r.a = strcmp(a->name, name) == 0 ? a : r.a;
        used += ink_format(known + used, sizeof known - used, "%s%s", used == 0 ? "" : ", ", a->name);
    }
    if (r.a == NULL)
        return ink_fail(in->ctx, INK_ERROR_UNSUPPORTED,
                        "%s: general.architecture '%s' is not supported, only %s as GGUF", gguf->file, name, known);

    /* All other files that importers look for are missing. */
    in->nothing = ink_source_memory(&nothing);
    in->source = in->config.source = &in->nothing;
    in->gguf = gguf;
    in->plan.names = r.a->names;
    in->variant = r.a->variant;
    *model_type = r.a->model_type;

    pattern = gguf_find(&r, ".attention.sliding_window_pattern");
    labels = gguf_find(&r, ".classifier.output_labels");
    size_t room = N_ROWS + N_ENDS + 32, lists = 0;
    lists += pattern != NULL ? pattern->count : 0;
    lists += labels != NULL ? labels->count : 0;
    if (lists > UINT32_MAX / 2)
        return ink_fail(in->ctx, INK_ERROR_LIMIT, "%s: too many values for one model", gguf->file);
    r.nodes = ink_arena_alloc(in->config.arena, room + lists, sizeof *r.nodes);
    r.names = ink_arena_alloc(in->config.arena, room, sizeof *r.names);
    INK_TRY(gguf_check_memory(&r));
    r.document = &in->config.document;
    *r.document = (ink_json_document){.file = gguf->file, .nodes = r.nodes};
    in->config.names = r.names;
    gguf_add(&r, INK_JSON_NONE, NULL, INK_JSON_OBJECT, NULL);
    for (size_t i = 0; i < N_ROWS; i++)
        if ((setting_rows[i].read & r.a->bit) != 0)
            INK_TRY(gguf_read_row(&r, &setting_rows[i]));
    INK_TRY(gguf_read_heads(&r));
    INK_TRY(gguf_read_vocabulary(&r));
    INK_TRY(gguf_read_pooling(&r));
    if ((r.a->bit & DECODERS) != 0)
        INK_TRY(gguf_read_rope(&r));
    if (r.a->bit == GEMMA3)
        INK_TRY(gguf_read_gemma3(&r));
    if (r.a->bit != BERT)
        INK_TRY(gguf_read_ends(&r));
    gguf_set(&r, "tie_word_embeddings", "tie_word_embeddings", INK_JSON_TRUE, NULL); /* if there is no output */
    for (size_t i = 0; i < gguf->n_values; i++)
        if (strncmp(gguf->values[i].key, "general.sampling.", 17) == 0 && !ink_config_has(&in->config, "do_sample"))
            gguf_set(&r, "do_sample", "do_sample", INK_JSON_TRUE, NULL);
    INK_TRY(gguf_check_memory(&r));
    return gguf_check_others(&r);
}

ink_result ink_gguf_rope_factors(ink_import *in, const char *name, size_t n, const float **factors)
{
    ink_plan *plan = &in->plan;
    const ink_weight *weight;
    INK_TRY(ink_plan_look_up(plan, name, &(ink_shape){.rank = 1, .dim = {n}}, &weight));
    plan->bytes_total -= weight->size;
    float *values = ink_arena_alloc(plan->own, n, sizeof *values);
    if (values == NULL)
        return ink_plan_no_memory(plan);
    INK_TRY(ink_weights_read(in->ctx, plan->weights, weight, values));
    for (size_t i = 0; i < n; i++)
        if (!(values[i] > 0 && values[i] <= 1e6f))
            return ink_fail(in->ctx, INK_ERROR_MISMATCH, "%s: tensor '%s': element %zu is not a number from 0 to 1e6",
                            weight->file, weight->name, i);
    in->config.fingerprint = ink_hash_numbers(in->config.fingerprint, values, n, sizeof *values);
    *factors = values;
    return INK_OK;
}
