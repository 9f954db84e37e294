/*
 * test_decoders.c - the Llama family: every intermediate value and 200 chosen tokens of transformers, the settings of
 * all kinds, weights in shards, hidden vectors, what a folder says about continuing a text.
 *
 * What holds for all models (parity of logits, the same bits however they are run, states, failing memory) is tested
 * with these fixtures beside the others in test_model.c, test_state.c, test_no_allocation.c and test_model_files.c.
 */
#include <math.h>
#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layers.h"
#include "numbers.h"
#include "settings.h"

static const char *const families[] = {"llama",   "llama_bias", "mistral",    "qwen2", "qwen3",
                                       "smollm3", "gemma3",     "gemma3_f32", NULL};

/* ---- intermediate values -------------------------------------------------------------------------------------- */

/* Of the last rows of a run, by name. */
typedef struct expected_value {
    const char *name;
    float *value;
    ink_shape shape;
    size_t n_seen;
} expected_value;

typedef struct inside {
    const char *fixture;
    size_t n;
    expected_value values[128];
    double worst;
} inside;

/* `value` [.., rows, columns], of which the last rows and the first columns are expected: the look-inside callback
   shows a gated feed-forward layer with its second half behind the product, and all rows of a pass. */
static void compare_tail(inside *in, const expected_value *e, const ink_tensor *value)
{
    size_t rank = e->shape.rank, columns = e->shape.dim[rank - 1], rows = e->shape.dim[rank - 2];
    size_t all_columns = value->shape.dim[rank - 1], all_rows = value->shape.dim[rank - 2];
    size_t heads = rank == 3 ? e->shape.dim[0] : 1;
    double largest = 1;
    assert_int_equal(value->shape.rank, rank);
    assert_true(all_rows >= rows && all_columns >= columns);
    for (size_t i = 0; i < heads * rows * columns; i++)
        largest = fmax(largest, fabs((double)e->value[i]));
    for (size_t h = 0; h < heads; h++)
        for (size_t r = 0; r < rows; r++)
            for (size_t c = 0; c < columns; c++) {
                const float *x = value->data;
                double found = (double)x[(h * all_rows + all_rows - rows + r) * all_columns + c];
                double wanted = (double)e->value[(h * rows + r) * columns + c];
                double difference = fabs(found - wanted) / largest;
                in->worst = fmax(in->worst, difference);
                if (!(difference <= 1e-5))
                    fail_msg("%s: '%s' row %zu column %zu is %.9g, expected %.9g", in->fixture, e->name, r, c, found,
                             wanted);
            }
}

static void look(void *user, const char *name, const ink_tensor *value)
{
    inside *in = user;
    for (size_t i = 0; i < in->n; i++)
        if (strcmp(in->values[i].name, name) == 0) {
            /* attention comes in groups of rows; the last one is what is expected */
            if (strstr(name, "attn.weights") == NULL || value->shape.dim[2] == in->values[i].shape.dim[2])
                compare_tail(in, &in->values[i], value);
            in->values[i].n_seen++;
        }
}

static void every_value_inside_is_the_references(const fixture *f)
{
    inside in = {.fixture = f->name};
    char path[FIXTURE_PATH];
    fixture_reference(f->name, path);
    ink_context *other = test_context(1);
    ink_weights *reference = test_fixture(other, path);
    for (size_t i = 0; i < ink_weights_count(reference); i++) {
        const ink_weight *w = ink_weights_at(reference, i);
        if (strcmp(w->name, "tokens") != 0 && strcmp(w->name, "greedy") != 0 && strcmp(w->name, "logits") != 0)
            in.values[in.n++] = (expected_value){w->name, test_tensor(other, reference, w->name, NULL), w->shape, 0};
    }
    assert_true(in.n >= 2 + 9 * f->info->n_layers); /* a block without rope has no attn.prepared */
    ink_context_trace(f->ctx, look, &in);
    ink_state *state = fixture_state(f->ctx, f->model);
    const ink_item item = test_item(state, f->tokens, f->n_tokens, f->logits, f->n_logits); /* whose norm is shown */
    assert_ok(f->ctx, ink_model_forward_list(f->ctx, f->model, &item, 1));
    printf("%-10s largest difference inside %.1e of the largest value\n", f->name, in.worst);
    for (size_t i = 0; i < in.n; i++) {
        assert_true(in.values[i].n_seen > 0);
        free(in.values[i].value);
    }
    ink_state_free(state);
    ink_weights_free(reference);
    ink_context_free(other);
}

/* ---- greedy continuation -------------------------------------------------------------------------------------- */

static void transformers_choice_is_ours(const fixture *f)
{
    assert_int_equal(f->n_greedy, 200);
    fixture_continues(f, f->n_tokens, f->greedy, f->n_greedy);
}

/* ---- settings ------------------------------------------------------------------------------------------------- */

#define REFUSED INK_ERROR_MISMATCH
#define UNSUPPORTED INK_ERROR_UNSUPPORTED
#define LLAMA3                                                                                                         \
    "\"rope_theta\": 50.0, \"rope_type\": \"llama3\", \"factor\": 8.0, \"low_freq_factor\": 1.0, "                     \
    "\"high_freq_factor\": 4.0"
#define ROPE "\"rope_theta\": 10000.0, \"rope_type\": "

static const setting refused[] = {
    /* the numbers are those of the checklist of bad inputs: 86 to 93 */
    {"llama", "model_type", "\"llama4\"", UNSUPPORTED, "'llama4' is not supported, only gpt2, llama"},
    {"llama", "vocab_size", NULL, REFUSED, "asks for [32000, 24]"},
    {"llama", "vocab_size", "60", REFUSED, "embed_tokens.weight"}, /* 101 */
    {"llama", "vocab_size", "0", REFUSED, "vocab_size"},
    {"llama", "hidden_size", "0", REFUSED, "hidden_size"},
    {"qwen2", "hidden_size", "34", REFUSED, "hidden_size is 34, which is not a multiple of 4 heads"},
    {"llama", "hidden_size", "28", REFUSED, "asks for [61, 28]"},
    {"llama", "hidden_size", ENORMOUS, REFUSED, "hidden_size"},
    {"llama", "intermediate_size", "41", REFUSED, "mlp.gate_proj.weight"},
    {"llama", "intermediate_size", "-1", REFUSED, "found -1"},
    {"llama", "num_attention_heads", "0", REFUSED, "num_attention_heads"},
    {"llama", "num_attention_heads", "3", REFUSED, "n_heads 3 is not a multiple of n_kv_heads 2"}, /* 92 */
    {"llama", "num_attention_heads", "8", REFUSED, "q_proj"},
    {"llama", "num_key_value_heads", "8", REFUSED, "n_heads 4 is not a multiple of n_kv_heads 8"}, /* 93 */
    {"llama", "num_key_value_heads", "1", REFUSED, "k_proj.weight' is [12, 24], config.json asks for [6, 24]"},
    {"llama", "num_key_value_heads", "null", REFUSED, "k_proj"}, /* as many as heads */
    {"llama", "num_key_value_heads", ENORMOUS, REFUSED, "num_key_value_heads"},
    {"llama", "head_dim", "7", REFUSED, "rope: head_dim is 7, expected an even number"}, /* 94 */
    {"llama", "head_dim", "0", REFUSED, "head_dim"},
    {"llama", "head_dim", "8", REFUSED, "q_proj"},
    {"llama", "head_dim", "16777216", REFUSED, "q_proj"},
    {"qwen3", "head_dim", NULL, REFUSED, "q_proj.weight' is [84, 24], config.json asks for [768, 24]"},
    {"llama", "num_hidden_layers", "3", INK_ERROR_NOT_FOUND, "model.layers.2.input_layernorm"}, /* 100 */
    {"llama", "num_hidden_layers", "1", REFUSED, "'model.layers.1.input_layernorm.weight', config.json asks for 1 b"},
    {"llama", "num_hidden_layers", ENORMOUS, REFUSED, "num_hidden_layers"},
    {"llama", "max_position_embeddings", "0", REFUSED, "max_position_embeddings"},
    {"llama", "max_position_embeddings", "-256", REFUSED, "found -256"},
    {"llama", "rms_norm_eps", "-1e-6", REFUSED, "rms_norm_eps"}, /* 98 */
    {"llama", "rms_norm_eps", "2", REFUSED, "found 2"},
    {"llama", "hidden_act", "\"wavelet\"", UNSUPPORTED, "wavelet"}, /* 99 */
    {"llama", "tie_word_embeddings", "1", REFUSED, "tie_word_embeddings"},
    {"llama", "attention_bias", "true", INK_ERROR_NOT_FOUND, "self_attn.q_proj.bias"},
    {"llama", "mlp_bias", "true", INK_ERROR_NOT_FOUND, "mlp.gate_proj.bias"},
    {"llama", "mlp_bias", "\"yes\"", REFUSED, "mlp_bias"},
    {"llama_bias", "attention_bias", "false", REFUSED, "self_attn.q_proj.bias', config.json asks for none"},
    {"llama_bias", "mlp_bias", NULL, REFUSED, "mlp.gate_proj.bias', config.json asks for none"},
    {"llama_bias", "tie_word_embeddings", "false", INK_ERROR_NOT_FOUND, "lm_head.weight"}, /* 102 */
    {"llama_bias", "tie_word_embeddings", NULL, INK_ERROR_NOT_FOUND, "lm_head.weight"},
    {"llama", "model_type", "\"qwen2\"", INK_ERROR_NOT_FOUND, "q_proj.bias"},
    {"llama", "model_type", "\"qwen3\"", INK_ERROR_NOT_FOUND, "self_attn.q_norm.weight"},
    {"qwen2", "model_type", "\"llama\"", REFUSED, "q_proj.bias', config.json asks for none"},
    /* a class with another head */
    {"llama", "architectures", "[\"LlamaForQuestionAnswering\"]", UNSUPPORTED,
     "architectures: 'LlamaForQuestionAnswering' is not supported, only GPT2LMHeadModel, ...ForCausalLM"},
    {"llama", "architectures", "[\"LlamaForRewardModel\", \"LlamaForCausalLM\"]", UNSUPPORTED, "'LlamaForRewardModel'"},
    {"llama", "architectures", "[\"Llama\"]", UNSUPPORTED, "'Llama'"},
    {"llama", "architectures", "[\"BertModel\"]", UNSUPPORTED, "'BertModel'"},
    {"llama", "architectures", "[7]", REFUSED, "architectures[0]: expected a string"},
    {"llama", "architectures", "[\"LlamaForSequenceClassification\"]", INK_ERROR_NOT_FOUND,
     "'score.weight' is missing"},
    {"llama", "architectures", "[\"LlamaForTokenClassification\"]", INK_ERROR_NOT_FOUND, "'score.bias' is missing"},
    {"qwen2", "architectures", "\"Qwen2ForQuestionAnswering\"", UNSUPPORTED, "'Qwen2ForQuestionAnswering'"},
    {"llama", "quantization_config", "{\"quant_method\": \"gptq\"}", UNSUPPORTED, "quantization_config"},
    /* windows */
    {"mistral", "sliding_window", "0", REFUSED, "sliding_window"},
    {"mistral", "sliding_window", "-7", REFUSED, "sliding_window"},
    {"qwen2", "use_sliding_window", "1", REFUSED, "use_sliding_window"},
    {"qwen2.window", "max_window_layers", "-1", REFUSED, "max_window_layers"},
    {"qwen2.types", "layer_types", "[\"full_attention\"]", REFUSED, "layer_types has 1 elements"},
    {"qwen2.types", "layer_types", "[\"full_attention\", \"chunked_attention\", \"full_attention\"]", UNSUPPORTED,
     "layer_types[1]: expected 'full_attention' or 'sliding_attention', found 'chunked_attention'"},
    {"qwen2.types", "layer_types", "[\"full_attention\", 7, \"full_attention\"]", REFUSED, "layer_types[1]"},
    {"qwen2.types", "use_sliding_window", "false", REFUSED, "layer_types[0] is 'sliding_attention'"},
    {"mistral", "layer_types", "[\"sliding_attention\", \"full_attention\"]", REFUSED,
     "layer_types[1] is 'full_attention', but the other settings make it 'sliding_attention'"},
    {"llama", "layer_types", "[\"sliding_attention\", \"full_attention\"]", REFUSED, "layer_types[0]"},
    {"smollm3.window", "sliding_window", "0", REFUSED, "sliding_window"},
    {"smollm3.types", "sliding_window", NULL, REFUSED, "layer_types[1] is 'sliding_attention', but"},
    {"smollm3.types", "layer_types", "[\"full_attention\"]", REFUSED, "layer_types has 1 elements"},
    {"smollm3", "no_rope_layers", "[1, 0]", REFUSED, "no_rope_layers has 2 elements, fewer than there are blocks"},
    {"smollm3", "no_rope_layers", "[]", REFUSED, "no_rope_layers: expected an array with at least one element"},
    {"smollm3", "no_rope_layers", "[1, 2, 1]", REFUSED, "no_rope_layers[1]: expected an integer from 0 to 1"},
    {"smollm3", "no_rope_layers", "3", REFUSED, "no_rope_layers"},
    {"smollm3.interval", "no_rope_layer_interval", "0", REFUSED, "no_rope_layer_interval"},
    {"smollm3", "attention_bias", "true", INK_ERROR_NOT_FOUND, "self_attn.q_proj.bias"},
    {"smollm3", "mlp_bias", "true", INK_ERROR_NOT_FOUND, "mlp.gate_proj.bias"},
    {"smollm3", "tie_word_embeddings", "false", INK_ERROR_NOT_FOUND, "lm_head.weight"},
    /* gemma */
    {"gemma3", "model_type", "\"gemma3\"", UNSUPPORTED, "'gemma3' is not supported"}, /* with pictures */
    {"gemma3", "model_type", "\"gemma2\"", UNSUPPORTED, "'gemma2' is not supported"},
    {"gemma3", "architectures", "[\"Gemma3ForConditionalGeneration\"]", UNSUPPORTED, "Gemma3ForConditionalGeneration"},
    {"gemma3", "attn_logit_softcapping", "50.0", UNSUPPORTED, "attn_logit_softcapping: only null"},
    {"gemma3", "final_logit_softcapping", "30.0", UNSUPPORTED, "final_logit_softcapping: only null"},
    {"gemma3", "use_bidirectional_attention", "true", UNSUPPORTED, "use_bidirectional_attention: a language model"},
    {"gemma3", "use_bidirectional_attention", "\"all\"", REFUSED, "use_bidirectional_attention"},
    {"gemma3", "query_pre_attn_scalar", "0", REFUSED, "query_pre_attn_scalar"},
    {"gemma3", "query_pre_attn_scalar", "-17", REFUSED, "found -17"},
    {"gemma3", "hidden_activation", "\"wavelet\"", UNSUPPORTED, "hidden_activation: activation 'wavelet'"},
    {"gemma3", "head_dim", NULL, REFUSED, "q_proj.weight' is [40, 24], config.json asks for [1024, 24]"},
    {"gemma3", "sliding_window", "0", REFUSED, "sliding_window"},
    {"gemma3", "sliding_window", "null", REFUSED, "layer_types[0] is 'sliding_attention', but"},
    {"gemma3.defaults", "sliding_window", "null", REFUSED, "sliding_window is null"},
    {"gemma3.old", "sliding_window_pattern", "0", REFUSED, "sliding_window_pattern"},
    {"gemma3_f32", "attention_bias", "false", REFUSED, "self_attn.q_proj.bias', config.json asks for none"},
    {"gemma3_f32", "num_hidden_layers", "1", REFUSED, "layer_types has 2 elements, but num_hidden_layers is 1"},
    {"gemma3", "rope_parameters", "{" ROPE "\"default\"}", UNSUPPORTED,
     "rope_parameters.rope_theta: only the settings of 'full_attention' and 'sliding_attention'"},
    {"gemma3", "rope_parameters", "{\"full_attention\": 7}", REFUSED, "full_attention: expected an object"},
    {"gemma3", "rope_parameters", "{\"full_attention\": {" ROPE "\"longrope\"}}", UNSUPPORTED, "'longrope'"},
    {"gemma3", "rope_parameters", "{\"sliding_attention\": {" ROPE "\"default\", \"extra\": 1}}", UNSUPPORTED,
     "sliding_attention.extra"},
    {"gemma3.old", "rope_local_base_freq", "1", REFUSED, "theta above 1"},
    {"gemma3.old", "rope_scaling", "{\"rope_type\": \"linear\"}", REFUSED, "member 'factor' is missing"},
    /* rope: 95 to 97 */
    {"llama", "partial_rotary_factor", "0.5", UNSUPPORTED, "partial_rotary_factor"},
    {"llama.old", "rope_theta", "1", REFUSED, "theta above 1"},
    {"llama.old", "rope_theta", "0", REFUSED, "rope_theta"},
    {"llama.old", "rope_theta", "-5", REFUSED, "rope_theta"},
    {"llama.old", "rope_theta", "1e31", REFUSED, "rope_theta"},
    {"llama.old", "rope_theta", "\"10000\"", REFUSED, "rope_theta"},
    {"llama.old", "rope_scaling", "7", REFUSED, "rope_scaling: expected an object"},
    {"llama.old", "rope_scaling", "{\"type\": \"linear\"}", REFUSED, "rope of type linear: member 'factor' is missing"},
    {"llama.old", "rope_scaling", "{\"type\": \"linear\", \"factor\": 0}", REFUSED, "factor"},
    {"llama.old", "rope_scaling", "{\"type\": \"linear\", \"factor\": null}", REFUSED, "member 'factor' is missing"},
    {"llama", "rope_parameters", "{" ROPE "\"yarn\"}", REFUSED, "rope of type yarn: member 'factor' is missing"},
    {"llama", "rope_parameters", "{" ROPE "\"yarn\", \"factor\": null, \"original_max_position_embeddings\": 512}",
     REFUSED, "factor"},
    {"llama.old", "rope_scaling", "{\"type\": \"linear\", \"factor\": 1e7}", REFUSED, "factor"},
    {"llama.old", "rope_scaling", "{\"type\": \"su\", \"factor\": 2}", UNSUPPORTED, "rope_type 'su'"}, /* 96 */
    {"llama.old", "rope_scaling", "{\"rope_type\": \"longrope\", \"long_factor\": [1]}", UNSUPPORTED,
     "rope_type 'longrope' is not supported, only default, linear, dynamic, llama3, yarn"},
    {"llama.old", "rope_scaling", "{\"type\": \"default\", \"mrope_section\": [1, 1, 1]}", UNSUPPORTED,
     "rope_scaling.mrope_section"},
    {"llama", "rope_parameters", "{" ROPE "\"llama3\", \"factor\": 8}", REFUSED, "low_freq_factor"},
    {"llama", "rope_parameters", "{" ROPE "\"llama3\", \"factor\": 8, \"low_freq_factor\": 4, \"high_freq_factor\": 4}",
     REFUSED, "rope of type llama3: expected 0 < low_freq_factor < high_freq_factor"},
    {"llama", "rope_parameters", "{" ROPE "\"yarn\", \"factor\": 4, \"mscale\": 1, \"mscale_all_dim\": 1}", UNSUPPORTED,
     "rope_parameters.mscale"},
    {"llama", "rope_parameters", "{" ROPE "\"yarn\", \"factor\": 4, \"truncate\": false}", UNSUPPORTED, "truncate"},
    {"llama", "rope_parameters", "{" ROPE "\"yarn\", \"factor\": 4, \"beta_fast\": 0.5}", REFUSED, "beta_slow"},
    {"llama", "rope_parameters", "{" ROPE "\"yarn\", \"factor\": 4, \"attention_factor\": 0}", REFUSED,
     "attention_factor"},
    {"llama", "rope_parameters", "{" ROPE "\"yarn\", \"factor\": 4, \"original_max_position_embeddings\": 2147483647}",
     REFUSED, "original length"},
    {"llama", "rope_parameters", "{" ROPE "\"default\", \"partial_rotary_factor\": 0.25}", UNSUPPORTED,
     "partial_rotary_factor"},
    {"llama", "rope_parameters", "{\"full_attention\": {" ROPE "\"default\"}}", UNSUPPORTED,
     "rope_parameters.full_attention"},
};

static void wrong_settings_are_refused(void **unused)
{
    (void)unused;
    settings_are_refused(refused, sizeof refused / sizeof refused[0]);
}

/* What may be left out, or said in another way; and what must change the result. */
static void settings_that_matter_change_the_result_and_others_do_not(void **unused)
{
    static const setting same[] = {
        {"llama", "head_dim", NULL, INK_OK, NULL},
        {"llama", "hidden_act", "\"swish\"", INK_OK, NULL},
        {"llama", "rope_parameters", "{\"rope_theta\": 10000}", INK_OK, NULL},
        {"llama", "rope_parameters", "null", INK_OK, NULL}, /* 10000 is the default */
        {"llama", "rope_scaling", "{\"rope_type\": \"default\", \"finetuned\": true}", INK_OK, NULL},
        {"llama", "rope_scaling", "null", INK_OK, NULL},
        {"llama", "sliding_window", "5", INK_OK, NULL}, /* llama has none */
        {"llama", "layer_types", "[\"full_attention\", \"full_attention\"]", INK_OK, NULL},
        {"llama", "pretraining_tp", "2", INK_OK, NULL},
        {"llama", "rope_interleaved", "false", INK_OK, NULL},
        {"llama", "tie_word_embeddings", "true", INK_OK, NULL}, /* a stored output matrix is used all the same */
        {"llama.llama3", "rope_parameters",                     /* beside the object the key wins over the one in it */
         "{" LLAMA3 ", \"original_max_position_embeddings\": 32}, \"original_max_position_embeddings\": 64", INK_OK,
         NULL},
        {"llama.old", "rope_scaling", "{\"rope_type\": \"linear\", \"type\": \"yarn\", \"factor\": 3}", INK_OK, NULL},
        {"llama.yarn", "factor", "null", INK_OK, NULL}, /* 256 / 64 */
        {"mistral", "sliding_window", "7", INK_OK, NULL},
        {"mistral", "layer_types", "[\"sliding_attention\", \"sliding_attention\"]", INK_OK, NULL},
        {"qwen2", "max_window_layers", "0", INK_OK, NULL}, /* without use_sliding_window */
        {"qwen2.window", "layer_types", "[\"full_attention\", \"sliding_attention\", \"sliding_attention\"]", INK_OK,
         NULL},
        {"qwen3", "rms_norm_eps", NULL, INK_OK, NULL},           /* 1e-6 */
        {"smollm3", "use_sliding_window", "true", INK_OK, NULL}, /* without a window */
        {"smollm3", "sliding_window", "5", INK_OK, NULL},        /* which layer_types gives to no block */
        {"smollm3", "no_rope_layers", "[1, 0, 1, 0, 0]", INK_OK, NULL},
        {"smollm3.interval", "no_rope_layers", "[1, 1, 0]", INK_OK, NULL},
        {"smollm3", "max_window_layers", "1", INK_OK, NULL},
        {"gemma3", "sliding_window_pattern", "1", INK_OK, NULL}, /* layer_types is there */
        {"gemma3", "hidden_act", "\"relu\"", INK_OK, NULL},
        {"gemma3", "hidden_activation", NULL, INK_OK, NULL},
        {"gemma3", "query_pre_attn_scalar", "17.0", INK_OK, NULL},
        {"gemma3.defaults", "layer_types", "[\"sliding_attention\", \"sliding_attention\", \"sliding_attention\"]",
         INK_OK, NULL},
        {"gemma3.defaults", "query_pre_attn_scalar", NULL, INK_OK, NULL},
        {"gemma3.defaults", "rope_local_base_freq", "10000", INK_OK, NULL},
        {"gemma3.old", "rope_scaling", "{\"type\": \"linear\", \"factor\": 3}", INK_OK, NULL},
        {"gemma3_f32", "use_bidirectional_attention", "null", INK_OK, NULL},
    };
    static const setting changing[] = {
        {"llama", "rms_norm_eps", "0.1", INK_OK, NULL},
        {"llama", "hidden_act", "\"gelu\"", INK_OK, NULL},
        {"llama", "rope_parameters", "{\"rope_theta\": 500}", INK_OK, NULL},
        {"llama", "rope_scaling", "{\"type\": \"linear\", \"factor\": 2}", INK_OK, NULL},
        {"llama.llama3", "original_max_position_embeddings", "32", INK_OK, NULL},
        {"llama.llama3", "high_freq_factor", "3", INK_OK, NULL},
        {"llama.yarn", "original_max_position_embeddings", "32", INK_OK, NULL},
        {"llama.yarn_factor", "attention_factor", "1.5", INK_OK, NULL},
        {"llama.yarn_factor", "beta_fast", "12", INK_OK, NULL},
        {"mistral", "sliding_window", "8", INK_OK, NULL},
        {"mistral", "sliding_window", "null", INK_OK, NULL},
        {"mistral", "sliding_window", NULL, INK_OK, NULL}, /* 4096, which is more than all */
        {"qwen2.window", "max_window_layers", "2", INK_OK, NULL},
        {"qwen2.window", "use_sliding_window", "false", INK_OK, NULL},
        {"qwen2.window", "sliding_window", "null", INK_OK, NULL},
        {"smollm3", "no_rope_layers", "[1, 1, 1]", INK_OK, NULL},
        {"smollm3", "no_rope_layers", NULL, INK_OK, NULL}, /* every fourth: none of these three */
        {"smollm3.interval", "no_rope_layer_interval", "2", INK_OK, NULL},
        {"smollm3.window", "use_sliding_window", "false", INK_OK, NULL},
        {"smollm3.window", "sliding_window", "7", INK_OK, NULL},
        {"gemma3", "sliding_window", "8", INK_OK, NULL},
        {"gemma3", "query_pre_attn_scalar", "18", INK_OK, NULL},
        {"gemma3", "rope_parameters", "{\"full_attention\": {\"rope_theta\": 1000.0}}", INK_OK, NULL},
        {"gemma3", "rope_parameters", "{\"sliding_attention\": {\"rope_theta\": 30.0}}", INK_OK, NULL},
        {"gemma3.old", "sliding_window_pattern", NULL, INK_OK, NULL},
        {"gemma3.old", "sliding_window_pattern", "3", INK_OK, NULL},
        {"gemma3.old", "rope_local_base_freq", "21", INK_OK, NULL},
        {"gemma3.old", "rope_theta", NULL, INK_OK, NULL},
        {"gemma3.old", "rope_scaling", "null", INK_OK, NULL},
        {"gemma3.defaults", "sliding_window", NULL, INK_OK, NULL},
    };
    (void)unused;
    settings_are_compared(same, sizeof same / sizeof same[0], true);
    settings_are_compared(changing, sizeof changing / sizeof changing[0], false);
}

/* ---- what a model says ---------------------------------------------------------------------------------------- */

/* The reach of each type of rope, of which the kernel's is the last word. */
static void the_reach_of_the_rope_is_the_context_length(ink_context *ctx)
{
    static const struct {
        setting setting;
        size_t length;
    } cases[] = {
        {{"llama", NULL, NULL, INK_OK, NULL}, 256},
        {{"llama.linear", NULL, NULL, INK_OK, NULL}, 256},
        {{"llama.llama3", NULL, NULL, INK_OK, NULL}, 256},
        {{"llama.yarn", NULL, NULL, INK_OK, NULL}, 256},    /* 4 x 64 */
        {{"llama.dynamic", NULL, NULL, INK_OK, NULL}, 256}, /* 8 x 32 */
        {{"llama.dynamic", "max_position_embeddings", "100", INK_OK, NULL}, 800},
        {{"llama.yarn", "max_position_embeddings", "64", INK_OK, NULL}, 256},
        {{"llama.yarn", "max_position_embeddings", "300", INK_OK, NULL}, 300},
        {{"smollm3.yarn", "max_position_embeddings", "100", INK_OK, NULL}, 256},
        {{"gemma3.old", NULL, NULL, INK_OK, NULL}, 256},
        {{"gemma3.dynamic", NULL, NULL, INK_OK, NULL}, 256},
        {{"llama", "max_position_embeddings", "2147483647", INK_OK, NULL}, INK_ROPE_MAX_LENGTH},
        {{"llama.dynamic", "max_position_embeddings", "16777216", INK_OK, NULL}, INK_ROPE_MAX_LENGTH},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ink_model *model;
        assert_ok(ctx, setting_open(ctx, &cases[i].setting, &model));
        assert_int_equal(ink_model_get_info(model)->context_length, cases[i].length);
        ink_model_free(model);
    }
}

static void a_model_says_what_it_is(const fixture *f)
{
    assert_string_equal(f->info->kind, "qwen3");
    assert_int_equal(f->info->hidden_size, 24);
    assert_int_equal(f->info->n_layers, 2);
    size_t q = 6 * 14, kv = 2 * 14; /* norms, q k v o, gate up down; embedding, the blocks, norm */
    assert_int_equal(f->info->n_parameters, 61 * 24 + 2 * (2 * 24 + 2 * 14 + (2 * q + 2 * kv) * 24 + 3 * 40 * 24) + 24);
    assert_int_equal(f->info->n_unused, 0);
}

/* A buffer of old files is not worth a word; any other tensor without use is. */
static void tensors_without_use_are_reported(ink_context *ctx)
{
    static const char old[] = "\"model.norm.weight\"";
    fixture_files files;
    fixture_files_read(&files, "llama");
    for (size_t round = 0; round < 2; round++) {
        /* The header gets an empty tensor in front, in place of the spaces it ends with and of the tensor's own. */
        const char *extra = round == 0 ? "self_attn.rotary_emb.inv_freq" : "extra";
        char entry[128];
        int length =
            snprintf(entry, sizeof entry,
                     "{\"model.layers.0.%s\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]},", extra);
        size_t size = files.weights_size + (size_t)length - 1;
        unsigned char *bytes = malloc(size);
        assert_non_null(bytes);
        put_number(bytes, read_number(files.weights, 8) + (uint64_t)length - 1, 8);
        memcpy(bytes + 8, entry, (size_t)length);
        memcpy(bytes + 8 + length, files.weights + 9, files.weights_size - 9);
        assert_non_null(strstr((const char *)bytes + 8, old));
        ink_memory_file two[] = {files.files[0], {"model.safetensors", bytes, size}};
        const ink_memory_files list = {two, 2};
        ink_model *model;
        assert_ok(ctx, fixture_open_files(ctx, NULL, &list, &model));
        assert_int_equal(ink_model_get_info(model)->n_unused, round);
        if (round == 1)
            assert_string_equal(ink_model_unused(model, 0), "model.layers.0.extra");
        ink_model_free(model);
        free(bytes);
    }
    fixture_files_free(&files);
}

/* ---- continuing a text ---------------------------------------------------------------------------------------- */

/* Opens llama with these files in place of its own; NULL: without one, or its own config.json. */
static ink_model *open_with(ink_context *ctx, const char *key, const char *value, const char *generation,
                            ink_result *result)
{
    fixture_files files;
    ink_memory_file three[3];
    ink_model *model;
    fixture_files_read(&files, "llama");
    if (key != NULL)
        fixture_files_set(&files, key, value);
    three[0] = files.files[0];
    three[1] = files.files[1];
    three[2] = (ink_memory_file){"generation_config.json", generation, generation != NULL ? strlen(generation) : 0};
    const ink_memory_files list = {three, generation != NULL ? 3 : 2};
    *result = fixture_open_files(ctx, NULL, &list, &model);
    fixture_files_free(&files);
    return model;
}

/* generation_config.json before config.json before the default of the kind. */
static void stop_tokens_come_from_the_nearest_file(ink_context *ctx)
{
    static const struct {
        const char *config, *generation;
        size_t n;
        ink_token first, last;
    } cases[] = {
        {"7", NULL, 1, 7, 7},
        {"[7, 9]", NULL, 2, 7, 9},
        {"7", "{\"eos_token_id\": [3, 60, 5]}", 3, 3, 5},
        {"7", "{\"eos_token_id\": 4}", 1, 4, 4},
        {"7", "{\"do_sample\": true}", 1, 7, 7},
        {"7", "{\"eos_token_id\": null}", 0, -1, -1},
        {"7", "{\"eos_token_id\": []}", 0, -1, -1},
        {"7", "{\"eos_token_id\": 61}", 0, -1, -1}, /* ids that the vocabulary lacks are only noted */
        {"7", "{\"eos_token_id\": [1, -1]}", 1, 1, 1},
        {"61", NULL, 0, -1, -1},
        {"null", NULL, 0, -1, -1},
        {NULL, NULL, 1, 2, 2},
    };
    ink_result result;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ink_model *model = open_with(ctx, "eos_token_id", cases[i].config, cases[i].generation, &result);
        assert_ok(ctx, result);
        const ink_model_info *info = ink_model_get_info(model);
        assert_int_equal(info->n_stop_tokens, cases[i].n);
        assert_int_equal(info->eos_token, cases[i].first);
        if (cases[i].n > 0)
            assert_int_equal(info->stop_tokens[cases[i].n - 1], cases[i].last);
        for (ink_token t = -1; t < 61; t++) {
            bool stops = false;
            for (size_t j = 0; j < info->n_stop_tokens; j++)
                stops |= info->stop_tokens[j] == t;
            assert_true(ink_model_stops_at(model, t) == stops);
        }
        ink_model_free(model);
    }
}

static void check_sampling(ink_context *ctx, const char *key, const char *value, const char *generation, bool said,
                           ink_sampler_options expected)
{
    ink_generate_options o;
    ink_sampler *sampler;
    ink_result result;
    ink_model *model = open_with(ctx, key, value, generation, &result);
    assert_ok(ctx, result);
    assert_true(ink_model_generation(model, &o) == said);
    ink_sampler_options s = o.sampler;
    assert_true(s.temperature == expected.temperature && s.top_p == expected.top_p && s.min_p == expected.min_p);
    assert_true(s.repeat_penalty == expected.repeat_penalty && s.top_k == expected.top_k && s.seed == 0);
    assert_ok(ctx, ink_sampler_create(ctx, &s, 61, &sampler));
    ink_sampler_free(sampler);
    ink_model_free(model);
}

static void recommended_sampling_is_read(ink_context *ctx)
{
    const ink_sampler_options none = {.repeat_penalty = 1};
    ink_result result;
    check_sampling(ctx, NULL, NULL, NULL, false, none);
    check_sampling(ctx, NULL, NULL, "{\"temperature\": 0.5}", false, none); /* without do_sample nothing is sampled */
    check_sampling(ctx, NULL, NULL, "{\"do_sample\": false, \"temperature\": 0.5}", true,
                   (ink_sampler_options){.repeat_penalty = 1});
    check_sampling(ctx, NULL, NULL, "{\"do_sample\": true}", true,
                   (ink_sampler_options){.temperature = 1, .top_k = 50, .top_p = 1, .repeat_penalty = 1});
    check_sampling(ctx, NULL, NULL,
                   "{\"do_sample\": true, \"temperature\": 0.25, \"top_k\": 0, \"top_p\": 0.5, "
                   "\"min_p\": 0.125, \"repetition_penalty\": 1.5}",
                   true,
                   (ink_sampler_options){.temperature = 0.25F, .top_p = 0.5F, .min_p = 0.125F, .repeat_penalty = 1.5F});
    check_sampling(ctx, NULL, NULL, "{\"repetition_penalty\": 1.5}", true,
                   (ink_sampler_options){.repeat_penalty = 1.5F});
    check_sampling(ctx, "do_sample", "true", NULL, true, /* as older folders have it */
                   (ink_sampler_options){.temperature = 1, .top_k = 50, .top_p = 1, .repeat_penalty = 1});
    check_sampling(ctx, "do_sample", "true", "{\"do_sample\": false}", true,
                   (ink_sampler_options){.repeat_penalty = 1});
    check_sampling(ctx, "do_sample", "true", "{\"top_p\": 0.5}", false, none); /* one file, not a mixture of two */

    static const char *const bad[] = {"{\"eos_token_id\": [1, {}]}",
                                      "{\"do_sample\": \"true\"}",
                                      "{\"do_sample\": true, \"top_k\": 2.5}",
                                      "{\"top_p\": \"0.9\"}",
                                      "{\"do_sample\": true, \"temperature\": \"1\"}",
                                      "[]",
                                      "{",
                                      ""};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ink_model *model = open_with(ctx, NULL, NULL, bad[i], &result);
        assert_true(result == INK_ERROR_MISMATCH || result == INK_ERROR_CORRUPT);
        assert_non_null(strstr(ink_context_error(ctx), "generation_config.json"));
        assert_null(model);
    }
}

/* What a file says and what the options mean: 0 is "nothing" in the one and "off" in the others. transformers opens all
   of these, and refuses to generate with the `refused` ones, with temperature 0 and with top_k -1. */
static void sampling_means_what_it_means_in_the_file(ink_context *ctx)
{
    static const struct {
        const char *generation, *note;
        ink_sampler_options options;
        bool refused; /* by the sampler */
    } cases[] = {
        {"\"top_p\": 0.0", NULL, {1, 50, FLT_MIN, 0, 1, 0}, false},
        {"\"top_p\": 0", NULL, {1, 50, FLT_MIN, 0, 1, 0}, false},
        {"\"top_p\": 1e-300", NULL, {1, 50, FLT_MIN, 0, 1, 0}, false},
        {"\"top_p\": 1.1", "top_p is 1.1, expected a number from 0 to 1", {1, 50, 1, 0, 1, 0}, false},
        {"\"top_p\": -0.1", "top_p is -0.1", {1, 50, -0.1F, 0, 1, 0}, true},
        {"\"top_p\": null", NULL, {1, 50, 1, 0, 1, 0}, false},
        {"\"top_k\": 0", NULL, {1, 0, 1, 0, 1, 0}, false},
        {"\"top_k\": -1", "top_k is -1, expected 0 or more", {1, 0, 1, 0, 1, 0}, false},
        {"\"top_k\": null", NULL, {1, 50, 1, 0, 1, 0}, false},
        {"\"top_k\": 4294967297", NULL, {1, (size_t)4294967297, 1, 0, 1, 0}, false},
        {"\"min_p\": 0.0", NULL, {1, 50, 1, 0, 1, 0}, false},
        {"\"min_p\": 1", NULL, {1, 50, 1, 1, 1, 0}, false},
        {"\"min_p\": 1.1", "min_p is 1.1", {1, 50, 1, 1.1F, 1, 0}, true},
        {"\"min_p\": -1", "min_p is -1", {1, 50, 1, -1, 1, 0}, true},
        {"\"temperature\": 0.0", "temperature is 0.0, expected a number above 0", {0, 0, 0, 0, 1, 0}, false},
        {"\"temperature\": -1", "temperature is -1", {-1, 50, 1, 0, 1, 0}, true},
        {"\"temperature\": 1e300", "temperature is 1e300", {FLT_MAX, 50, 1, 0, 1, 0}, false},
        {"\"repetition_penalty\": 0", "repetition_penalty is 0", {1, 50, 1, 0, -1, 0}, true},
        {"\"repetition_penalty\": 0.0", "repetition_penalty is 0.0", {1, 50, 1, 0, -1, 0}, true},
        {"\"repetition_penalty\": -2", "repetition_penalty is -2", {1, 50, 1, 0, -2, 0}, true},
        {"\"repetition_penalty\": 1e7", NULL, {1, 50, 1, 0, 1e7F, 0}, false},
        {"\"do_sample\": 1", "do_sample is 1, expected true or false", {1, 50, 1, 0, 1, 0}, false},
        {"\"do_sample\": 2.0", "do_sample is 2.0", {1, 50, 1, 0, 1, 0}, false},
        {"\"do_sample\": 0", "do_sample is 0", {0, 0, 0, 0, 1, 0}, false},
        {"\"num_beams\": 3", "num_beams is 3 with do_sample", {1, 50, 1, 0, 1, 0}, false},
        {"\"num_beams\": 1, \"typical_p\": 1.0, \"no_repeat_ngram_size\": 0, \"bad_words_ids\": null",
         NULL,
         {1, 50, 1, 0, 1, 0},
         false},
        {"\"suppress_tokens\": [], \"renormalize_logits\": true", NULL, {1, 50, 1, 0, 1, 0}, false},
        {"\"typical_p\": 0.2", "typical_p", {1, 50, 1, 0, 1, 0}, false},
        {"\"bad_words_ids\": [[3, 61]]", "bad_words_ids[0][1] is 61, but", {1, 50, 1, 0, 1, 0}, false},
        {"\"forced_eos_token_id\": 61", "forced_eos_token_id is 61, but", {1, 50, 1, 0, 1, 0}, false},
        {"\"max_length\": -1", "max_length is -1: ignored", {1, 50, 1, 0, 1, 0}, false},
        {"\"length_penalty\": 99",
         "length_penalty is 99, expected a number from -16 to 16",
         {1, 50, 1, 0, 1, 0},
         false},
        {"\"stop_strings\": [\"x\"]", "stop_strings", {1, 50, 1, 0, 1, 0}, false},
        {"\"sequence_bias\": [[[3], -9.0]]", "sequence_bias", {1, 50, 1, 0, 1, 0}, false},
        {"\"watermarking_config\": {\"bias\": 3.0}", "watermarking_config", {1, 50, 1, 0, 1, 0}, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char generation[256];
        ink_generate_options o;
        ink_sampler *sampler;
        ink_result result;
        const ink_sampler_options *expected = &cases[i].options;
        bool says = strstr(cases[i].generation, "do_sample") != NULL; /* of equal keys the file may have one */
        snprintf(generation, sizeof generation, "{%s%s}", says ? "" : "\"do_sample\": true, ", cases[i].generation);
        ink_model *model = open_with(ctx, NULL, NULL, generation, &result);
        assert_ok(ctx, result);
        assert_true(ink_model_generation(model, &o));
        ink_sampler_options s = o.sampler;
        if (s.temperature != expected->temperature || s.top_k != expected->top_k || s.top_p != expected->top_p ||
            s.min_p != expected->min_p || s.repeat_penalty != expected->repeat_penalty)
            fail_msg("%s: %g %zu %g %g %g", generation, (double)s.temperature, s.top_k, (double)s.top_p,
                     (double)s.min_p, (double)s.repeat_penalty);
        assert_int_equal(ink_model_get_info(model)->n_notes, cases[i].note != NULL);
        if (cases[i].note != NULL && strstr(ink_model_note(model, 0), cases[i].note) == NULL)
            fail_msg("%s: the note is '%s'", generation, ink_model_note(model, 0));
        result = ink_sampler_create(ctx, &s, 61, &sampler);
        assert_int_equal(result, cases[i].refused ? INK_ERROR_ARGUMENT : INK_OK);
        ink_sampler_free(sampler);
        ink_model_free(model);
    }
    /* Without do_sample they are noted all the same. */
    ink_result result;
    ink_model *model = open_with(ctx, NULL, NULL, "{\"top_k\": -1, \"top_p\": 1.1, \"do_sample\": null}", &result);
    assert_ok(ctx, result);
    assert_int_equal(ink_model_get_info(model)->n_notes, 2);
    ink_model_free(model);
    /* A long list of ids that the vocabulary lacks costs no more than reading it: 10^10 steps for its places before. */
    enum { N_FOREIGN = 200000 };
    char *foreign = malloc(4 * N_FOREIGN + 64);
    assert_non_null(foreign);
    size_t n = (size_t)sprintf(foreign, "{\"do_sample\": true, \"suppress_tokens\": [99");
    for (size_t i = 1; i < N_FOREIGN; i++, n += 3)
        memcpy(foreign + n, ",99", 3);
    memcpy(foreign + n, "]}", 3);
    model = open_with(ctx, NULL, NULL, foreign, &result);
    assert_ok(ctx, result);
    n = ink_model_get_info(model)->n_notes;
    assert_string_equal(ink_model_note(model, n - 1), "there are more notes than are kept");
    ink_model_free(model);
    free(foreign);
}

/* All other settings, as a folder of BART or Marian has them; the lists live with the model. */
static void recommended_rules_are_read(ink_context *ctx)
{
    static const char settings[] =
        "{\"num_beams\": 4, \"num_return_sequences\": 2, \"length_penalty\": 0.0, \"early_stopping\": \"never\", "
        "\"max_length\": 142, \"min_length\": 56, \"max_new_tokens\": 99, \"min_new_tokens\": 3, "
        "\"no_repeat_ngram_size\": 3, \"encoder_no_repeat_ngram_size\": 4, \"renormalize_logits\": true, "
        "\"forced_bos_token_id\": 7, \"forced_eos_token_id\": [2, 5], \"bad_words_ids\": [[58], [3, 4], [3, 99], []], "
        "\"suppress_tokens\": [9, 10], \"begin_suppress_tokens\": [11], \"repetition_penalty\": 1.25}";
    static const char *const wrong[] = {"\"early_stopping\": \"soon\"", "\"bad_words_ids\": [3]", "\"num_beams\": 2.5",
                                        "\"suppress_tokens\": \"x\"", "\"renormalize_logits\": 1"};
    ink_generate_options o;
    ink_result result;
    ink_model *model = open_with(ctx, NULL, NULL, settings, &result);
    assert_ok(ctx, result);
    assert_true(ink_model_generation(model, &o));
    assert_true(o.sampler.temperature == 0 && o.sampler.repeat_penalty == 1.25F);
    assert_true(o.n_beams == 4 && o.n_results == 2 && o.length_penalty == FLT_MIN);
    assert_true(o.early_stopping == INK_STOP_NEVER && o.renormalise);
    assert_true(o.max_length == 142 && o.min_length == 56 && o.max_tokens == 99 && o.min_tokens == 3);
    assert_true(o.no_repeat_ngram_size == 3 && o.encoder_no_repeat_ngram_size == 4);
    assert_true(o.forced_bos.n_tokens == 1 && o.forced_bos.tokens[0] == 7);
    assert_true(o.forced_eos.n_tokens == 2 && o.forced_eos.tokens[1] == 5);
    assert_int_equal(o.n_banned, 2); /* 99 cannot occur, and nothing is no sequence */
    assert_true(o.banned[0].n_tokens == 1 && o.banned[0].tokens[0] == 58);
    assert_true(o.banned[1].n_tokens == 2 && o.banned[1].tokens[1] == 4);
    assert_true(o.suppressed.n_tokens == 2 && o.begin_suppressed.tokens[0] == 11);
    assert_null(o.stop_tokens.tokens);
    ink_model_free(model);

    /* In an older folder they are in config.json; the other file says all there is to say. */
    model = open_with(ctx, "num_beams", "5", NULL, &result);
    assert_ok(ctx, result);
    assert_true(ink_model_generation(model, &o) && o.n_beams == 5 && o.length_penalty == 1);
    ink_model_free(model);
    model = open_with(ctx, "num_beams", "5", "{\"early_stopping\": true}", &result);
    assert_ok(ctx, result);
    assert_true(!ink_model_generation(model, &o) && o.n_beams == 0 && o.early_stopping == INK_STOP_EARLY);
    ink_model_free(model);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char generation[64];
        snprintf(generation, sizeof generation, "{%s}", wrong[i]);
        assert_null(open_with(ctx, NULL, NULL, generation, &result));
        assert_int_equal(result, INK_ERROR_MISMATCH);
        assert_non_null(strstr(ink_context_error(ctx), "generation_config.json: "));
    }
}

/* The least top_p keeps one token, the likeliest. */
static void top_p_0_is_the_likeliest_token(ink_context *ctx)
{
    static const float logits[4] = {1, 3, 2.5F, 3};
    float p[4];
    ink_result result;
    ink_generate_options o;
    ink_sampler *sampler;
    ink_model *model = open_with(ctx, NULL, NULL, "{\"do_sample\": true, \"top_p\": 0.0}", &result);
    assert_ok(ctx, result);
    assert_true(ink_model_generation(model, &o));
    assert_ok(ctx, ink_sampler_create(ctx, &o.sampler, 4, &sampler));
    assert_ok(ctx, ink_sampler_probabilities(ctx, sampler, logits, p));
    assert_true(p[0] == 0 && p[1] == 1 && p[2] == 0 && p[3] == 0);
    ink_sampler_free(sampler);
    ink_model_free(model);
}

/* The folder's own file, and what it changes not: saved states go on. */
static void generation_settings_change_no_state(const fixture *f)
{
    static const char greedy[] = "{\"do_sample\": false, \"eos_token_id\": 9}";
    ink_generate_options o;
    ink_result result;
    ink_state *from, *to;
    unsigned char bytes[65536];
    size_t size;
    assert_int_equal(f->info->n_stop_tokens, 3);
    assert_true(ink_model_stops_at(f->model, 60));
    assert_true(ink_model_generation(f->model, &o));
    assert_true(o.sampler.temperature == 0.6F && o.sampler.top_p == 0.9F && o.sampler.top_k == 50);
    ink_model *model = open_with(f->ctx, NULL, NULL, greedy, &result);
    assert_ok(f->ctx, result);
    assert_ok(f->ctx, ink_state_create(f->ctx, f->model, 30, &from));
    assert_ok(f->ctx, ink_state_create(f->ctx, model, 30, &to));
    assert_ok(f->ctx, ink_model_forward(f->ctx, f->model, from, f->tokens, 20, NULL));
    assert_ok(f->ctx, ink_state_save(f->ctx, from, bytes, sizeof bytes, &size));
    assert_ok(f->ctx, ink_state_load(f->ctx, to, bytes, size));
    ink_state_free(from);
    ink_state_free(to);
    ink_model_free(model);
}

/* ---- hidden vectors ------------------------------------------------------------------------------------------- */

/* What the norm behind the last block shows is what comes out, to the bit; logits are the product of it. */
typedef struct last_norm {
    float *rows;
    size_t n;
} last_norm;

static void keep_norm(void *user, const char *name, const ink_tensor *value)
{
    last_norm *kept = user;
    size_t count = value->shape.dim[0] * value->shape.dim[1];
    if (strcmp(name, "norm_f") != 0)
        return;
    memcpy(kept->rows + kept->n, value->data, count * sizeof(float));
    kept->n += count;
}

static void hidden_vectors_are_the_norms(const fixture *f)
{
    size_t n = f->n_tokens, hidden_size = f->info->hidden_size, vocab_size = f->info->vocab_size;
    last_norm kept = {.rows = test_floats(n * hidden_size)};
    float *whole = fixture_run(f->ctx, f->model, f->tokens, n), *rows = test_floats(n * hidden_size);
    float *few = test_floats(n * hidden_size), *logits = test_floats(n * vocab_size);
    ink_state *states[3];
    for (size_t i = 0; i < 3; i++)
        states[i] = fixture_state(f->ctx, f->model);

    ink_context_trace(f->ctx, keep_norm, &kept);
    const ink_item all = {.state = states[0], .tokens = f->tokens, .n_tokens = n, .hidden = rows, .n_hidden = n};
    assert_ok(f->ctx, ink_model_forward_list(f->ctx, f->model, &all, 1));
    ink_context_trace(f->ctx, NULL, NULL);
    if (kept.n > 0) {
        assert_int_equal(kept.n, n * hidden_size);
        test_assert_same_bits(rows, kept.rows, kept.n, f->name);
    }
    /* Beside others, in other numbers than the logits, in pieces: the same. */
    ink_state_reset(states[0]);
    memset(few, 0, n * hidden_size * sizeof *few);
    const ink_item list[] = {
        {.state = states[0],
         .tokens = f->tokens,
         .n_tokens = 7,
         .hidden = few,
         .n_hidden = 3,
         .logits = logits,
         .n_logits = 1},
        {.state = states[1], .tokens = f->tokens, .n_tokens = 30, .logits = logits + 5 * vocab_size, .n_logits = 12},
        {.state = states[2],
         .tokens = f->tokens,
         .n_tokens = 20,
         .hidden = few + 3 * hidden_size,
         .n_hidden = 5,
         .logits = logits + 20 * vocab_size,
         .n_logits = 20}};
    assert_ok(f->ctx, ink_model_forward_list(f->ctx, f->model, list, 3));
    test_assert_same_bits(few, rows + 4 * hidden_size, 3 * hidden_size, f->name);
    test_assert_same_bits(few + 3 * hidden_size, rows + 15 * hidden_size, 5 * hidden_size, f->name);
    test_assert_same_bits(logits, whole + 6 * vocab_size, vocab_size, f->name);
    test_assert_same_bits(logits + 5 * vocab_size, whole + 18 * vocab_size, 12 * vocab_size, f->name);
    test_assert_same_bits(logits + 20 * vocab_size, whole, 20 * vocab_size, f->name);
    for (size_t i = 7; i < n; i++) {
        const ink_item one = {.state = states[0], .tokens = f->tokens + i, .n_tokens = 1, .hidden = few, .n_hidden = 1};
        assert_ok(f->ctx, ink_model_forward_list(f->ctx, f->model, &one, 1));
        test_assert_same_bits(few, rows + i * hidden_size, hidden_size, f->name);
    }
    ink_item bad = {.state = states[1], .tokens = f->tokens, .n_tokens = 1, .hidden = few, .n_hidden = 2};
    assert_fails(f->ctx, ink_model_forward_list(f->ctx, f->model, &bad, 1), INK_ERROR_ARGUMENT, "hidden vectors of 2");
    bad = (ink_item){.state = states[1], .tokens = f->tokens, .n_tokens = 1, .n_hidden = 1};
    assert_fails(f->ctx, ink_model_forward_list(f->ctx, f->model, &bad, 1), INK_ERROR_ARGUMENT, "no place for them");
    for (size_t i = 0; i < 3; i++)
        ink_state_free(states[i]);
    free(kept.rows);
    free(whole);
    free(rows);
    free(few);
    free(logits);
}

/* ---- a rope that depends on the capacity ----------------------------------------------------------------------- */

/* Within the trained length every capacity is the same; beyond it states of other capacities are other states. */
static void a_dynamic_rope_depends_on_the_capacity(const fixture *f)
{
    ink_state *small, *as_small, *large, *as_large;
    unsigned char bytes[65536];
    size_t size;
    float *logits = test_floats(2 * f->info->vocab_size);
    assert_ok(f->ctx, ink_state_create(f->ctx, f->model, 25, &small));
    assert_ok(f->ctx, ink_state_create(f->ctx, f->model, 32, &as_small));
    assert_ok(f->ctx, ink_state_create(f->ctx, f->model, 33, &large));
    assert_ok(f->ctx, ink_state_create(f->ctx, f->model, 33, &as_large));
    assert_ok(f->ctx, ink_model_forward(f->ctx, f->model, small, f->tokens, 20, logits));
    assert_ok(f->ctx, ink_model_forward(f->ctx, f->model, large, f->tokens, 20, logits + f->info->vocab_size));
    assert_memory_not_equal(logits, logits + f->info->vocab_size, f->info->vocab_size * sizeof *logits);
    assert_ok(f->ctx, ink_state_copy(f->ctx, small, as_small));
    assert_ok(f->ctx, ink_state_copy(f->ctx, large, as_large));
    assert_fails(f->ctx, ink_state_copy(f->ctx, small, large), INK_ERROR_MISMATCH, "for 25 tokens and one for 33");
    assert_ok(f->ctx, ink_state_save(f->ctx, large, bytes, sizeof bytes, &size));
    assert_ok(f->ctx, ink_state_load(f->ctx, as_large, bytes, size));
    assert_fails(f->ctx, ink_state_load(f->ctx, small, bytes, size), INK_ERROR_MISMATCH, "another number of tokens");
    /* Two results begin with copies of the state; nothing has run when they cannot. */
    const ink_generate_options two = {.capacity = 33, .n_results = 2, .max_tokens = 2, .sampler.temperature = 1};
    ink_generator *generator;
    ink_request request = {.state = small, .tokens = f->tokens, .n_tokens = 21};
    assert_ok(f->ctx, ink_generator_create(f->ctx, f->model, &two, &generator));
    assert_fails(f->ctx, ink_generate(f->ctx, generator, &request, 1), INK_ERROR_MISMATCH, "request 0: under");
    assert_int_equal(ink_state_length(small), 20);
    ink_generator_free(generator);
    ink_state_free(small);
    ink_state_free(as_small);
    ink_state_free(large);
    ink_state_free(as_large);
    free(logits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test_of(families, fixture_open, every_value_inside_is_the_references),
        fixture_test_of(families, fixture_open, transformers_choice_is_ours),
        fixture_test_of(fixture_variants, fixture_open, transformers_choice_is_ours),
        cmocka_unit_test(wrong_settings_are_refused),
        cmocka_unit_test(settings_that_matter_change_the_result_and_others_do_not),
        context_test(the_reach_of_the_rope_is_the_context_length),
        fixture_test_on("qwen3", a_model_says_what_it_is),
        context_test(tensors_without_use_are_reported),
        context_test(stop_tokens_come_from_the_nearest_file),
        context_test(recommended_sampling_is_read),
        context_test(recommended_rules_are_read),
        context_test(sampling_means_what_it_means_in_the_file),
        context_test(top_p_0_is_the_likeliest_token),
        fixture_test_on("llama", generation_settings_change_no_state),
        fixture_test(hidden_vectors_are_the_norms),
        fixture_test_on("llama.dynamic", a_dynamic_rope_depends_on_the_capacity),
        fixture_test_on("gemma3.dynamic", a_dynamic_rope_depends_on_the_capacity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
