/*
 * fuzz_calls.c - any bytes as calls on four sequences of a tiny model (a Transformer with a window of 5, a GRU, an MLP)
 * and on a sampler. The target keeps the tokens that each state should have seen. After every forward pass it runs
 * these tokens through a new state in one piece: the logits must have the same bits. A refused call must change
 * nothing.
 */
#include "fuzz.h"

#define VOCAB ((size_t)8)
#define CAPACITY ((size_t)12)
#define MOST_SEEN ((size_t)40) /* tokens of a sequence, where the state has no limit */
#define N_STATES ((size_t)4)

/* clang-format off */
static const char *const folders[] = {
    "config.json\n"
    "{\"model_type\":\"mistral\",\"vocab_size\":8,\"hidden_size\":8,\"intermediate_size\":8,\"num_hidden_"
    "layers\":1,\"num_attention_heads\":2,\"num_key_value_heads\":1,\"max_position_embeddings\":16,\"slid"
    "ing_window\":5,\"tie_word_embeddings\":true}"
    "\xff"
    "model.safetensors\n"
    "{\"model.embed_tokens.weight\":{\"dtype\":\"F32\",\"shape\":[8,8],\"data_offsets\":[0,256]},\"model."
    "layers.0.input_layernorm.weight\":{\"dtype\":\"F32\",\"shape\":[8],\"data_offsets\":[256,288]},\"mod"
    "el.layers.0.mlp.down_proj.weight\":{\"dtype\":\"F32\",\"shape\":[8,8],\"data_offsets\":[288,544]},\""
    "model.layers.0.mlp.gate_proj.weight\":{\"dtype\":\"F32\",\"shape\":[8,8],\"data_offsets\":[544,800]}"
    ",\"model.layers.0.mlp.up_proj.weight\":{\"dtype\":\"F32\",\"shape\":[8,8],\"data_offsets\":[800,1056"
    "]},\"model.layers.0.post_attention_layernorm.weight\":{\"dtype\":\"F32\",\"shape\":[8],\"data_offset"
    "s\":[1056,1088]},\"model.layers.0.self_attn.k_proj.weight\":{\"dtype\":\"F32\",\"shape\":[4,8],\"dat"
    "a_offsets\":[1088,1216]},\"model.layers.0.self_attn.o_proj.weight\":{\"dtype\":\"F32\",\"shape\":[8,"
    "8],\"data_offsets\":[1216,1472]},\"model.layers.0.self_attn.q_proj.weight\":{\"dtype\":\"F32\",\"sha"
    "pe\":[8,8],\"data_offsets\":[1472,1728]},\"model.layers.0.self_attn.v_proj.weight\":{\"dtype\":\"F32"
    "\",\"shape\":[4,8],\"data_offsets\":[1728,1856]},\"model.norm.weight\":{\"dtype\":\"F32\",\"shape\":"
    "[8],\"data_offsets\":[1856,1888]}}",
    "config.json\n"
    "{\"model_type\":\"gru\",\"vocab_size\":8,\"embedding_size\":4,\"hidden_size\":4,\"num_layers\":1}"
    "\xff"
    "model.safetensors\n"
    "{\"embedding.weight\":{\"dtype\":\"F32\",\"shape\":[8,4],\"data_offsets\":[0,128]},\"rnn.weight_ih_l"
    "0\":{\"dtype\":\"F32\",\"shape\":[12,4],\"data_offsets\":[128,320]},\"rnn.weight_hh_l0\":{\"dtype\":"
    "\"F32\",\"shape\":[12,4],\"data_offsets\":[320,512]},\"rnn.bias_ih_l0\":{\"dtype\":\"F32\",\"shape\""
    ":[12],\"data_offsets\":[512,560]},\"rnn.bias_hh_l0\":{\"dtype\":\"F32\",\"shape\":[12],\"data_offset"
    "s\":[560,608]}}",
    "config.json\n"
    "{\"model_type\":\"mlp\",\"vocab_size\":8,\"embedding_size\":3,\"window_size\":3,\"hidden_sizes\":[3]"
    ",\"hidden_act\":\"tanh\",\"bos_token_id\":0}"
    "\xff"
    "model.safetensors\n"
    "{\"embedding.weight\":{\"dtype\":\"F32\",\"shape\":[8,3],\"data_offsets\":[0,96]},\"mlp.0.weight\":{"
    "\"dtype\":\"F32\",\"shape\":[3,9],\"data_offsets\":[96,204]},\"mlp.0.bias\":{\"dtype\":\"F32\",\"sha"
    "pe\":[3],\"data_offsets\":[204,216]}}"};
/* clang-format on */

typedef struct sequence {
    ink_state *state;
    ink_token seen[MOST_SEEN];
    size_t n;
} sequence;

typedef struct calls {
    ink_context *ctx;
    ink_model *model;
    sequence sequences[N_STATES];
    bool limited; /* the states have room for CAPACITY tokens */
    const uint8_t *data, *end;
} calls;

/* The next number of the input, below `end`; 0 when the input is over. */
static size_t next(calls *c, size_t end) { return c->data < c->end ? *c->data++ % end : 0; }

/* The logits after all tokens of a sequence, computed at once by a state of its own. */
static void check_logits(calls *c, const sequence *s, const float *logits)
{
    ink_state *state;
    float expected[VOCAB];
    check(ink_state_create(c->ctx, c->model, MOST_SEEN > CAPACITY && !c->limited ? MOST_SEEN : CAPACITY, &state) ==
          INK_OK);
    check(ink_model_forward(c->ctx, c->model, state, s->seen, s->n, expected) == INK_OK);
    check(memcmp(expected, logits, sizeof expected) == 0);
    ink_state_free(state);
}

/* Up to 7 next tokens of a sequence; perhaps one outside of the vocabulary. */
static size_t next_tokens(calls *c, ink_token *tokens, bool *valid)
{
    size_t n = next(c, 8);
    *valid = n > 0;
    for (size_t i = 0; i < n; i++) {
        tokens[i] = (ink_token)next(c, 64) - 2;
        if (tokens[i] > 7 && tokens[i] < 60)
            tokens[i] %= 8;
        *valid = *valid && tokens[i] >= 0 && tokens[i] < 8;
    }
    return n;
}

/* Some of the sequences go on by their own tokens, in one list. */
static void run_list(calls *c)
{
    ink_item items[N_STATES];
    ink_token tokens[N_STATES][8];
    float logits[N_STATES][VOCAB];
    size_t n_items = next(c, N_STATES) + 1, first = next(c, N_STATES);
    bool valid = true, room = true, fits = true;
    for (size_t i = 0; i < n_items; i++) {
        sequence *s = &c->sequences[(first + i) % N_STATES];
        bool these;
        size_t n = next_tokens(c, tokens[i], &these);
        items[i] =
            (ink_item){.state = s->state, .tokens = tokens[i], .n_tokens = n, .logits = logits[i], .n_logits = 1};
        valid = valid && these;
        room = room && (!c->limited || n <= CAPACITY - s->n);
        fits = fits && n <= MOST_SEEN - s->n;
    }
    if (!fits)
        return;
    ink_result result = ink_model_forward_list(c->ctx, c->model, items, n_items);
    check((result == INK_OK) == (valid && room));
    for (size_t i = 0; i < n_items; i++) {
        sequence *s = &c->sequences[(first + i) % N_STATES];
        if (result == INK_OK) {
            memcpy(s->seen + s->n, tokens[i], items[i].n_tokens * sizeof *s->seen);
            s->n += items[i].n_tokens;
            check_logits(c, s, logits[i]);
        }
        check(ink_state_length(s->state) == s->n);
    }
}

/* Saves a state and loads it into another one: whole, cut short, or with a byte changed. */
static void save_and_load(calls *c, const sequence *from, sequence *to)
{
    size_t size = 0, cut = next(c, 4), place = next(c, 256), change = next(c, 256);
    ink_state_save(c->ctx, from->state, NULL, 0, &size);
    unsigned char *bytes = malloc(size);
    check(ink_state_save(c->ctx, from->state, bytes, size, &size) == INK_OK);
    bytes[place % size] ^= (unsigned char)change;
    bool whole = cut != 1 && change == 0;
    ink_result result = ink_state_load(c->ctx, to->state, bytes, cut == 1 ? place % size : size);
    free(bytes);
    check((result == INK_OK) == whole);
    if (whole) {
        memcpy(to->seen, from->seen, from->n * sizeof *to->seen);
        to->n = from->n;
    }
}

static void run_sampler(calls *c)
{
    float logits[VOCAB], probabilities[VOCAB], sum = 0;
    ink_token accepted[4], token = -1;
    ink_sampler *sampler;
    const ink_sampler_options options = {.temperature = (float)next(c, 8) / 4,
                                         .top_k = next(c, 10),
                                         .top_p = (float)next(c, 6) / 5,
                                         .min_p = (float)next(c, 6) / 5,
                                         .repeat_penalty = (float)next(c, 6) / 2,
                                         .seed = next(c, 256)};
    if (ink_sampler_create(c->ctx, &options, VOCAB, &sampler) != INK_OK) {
        check(sampler == NULL && ink_context_error(c->ctx)[0] != '\0');
        return;
    }
    bool valid = true;
    for (size_t i = 0; i < 4; i++) {
        accepted[i] = (ink_token)next(c, 10) - 1;
        valid = valid && accepted[i] >= 0 && accepted[i] < 8;
    }
    check((ink_sampler_accept(c->ctx, sampler, accepted, 4) == INK_OK) == valid);
    for (size_t i = 0; i < VOCAB; i++)
        logits[i] = next(c, 32) == 31 ? -1.0f / 0.0f : ((float)next(c, 256) - 128) / 16;
    ink_result result = ink_sampler_probabilities(c->ctx, sampler, logits, probabilities);
    check(result == INK_OK || result == INK_ERROR_NONFINITE); /* all -infinity */
    check(ink_sampler_pick(c->ctx, sampler, logits, &token) == result);
    for (size_t i = 0; i < VOCAB && result == INK_OK; i++)
        sum += probabilities[i];
    if (result == INK_OK)
        check(token >= 0 && token < 8 && probabilities[token] > 0 && sum > 0.999f && sum < 1.001f);
    ink_sampler_free(sampler);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_memory memory;
    fuzz_folder folder;
    calls c = {.ctx = fuzz_context(&memory), .data = data, .end = data + size};
    const char *text = folders[next(&c, 3)];
    ink_source source = unpack_folder(&folder, (const uint8_t *)text, strlen(text));
    const ink_model_options options = {.source = &source};
    check(ink_model_open(c.ctx, NULL, &options, &c.model) == INK_OK);
    c.limited = ink_model_get_info(c.model)->context_length != 0;
    for (size_t i = 0; i < N_STATES; i++)
        check(ink_state_create(c.ctx, c.model, CAPACITY, &c.sequences[i].state) == INK_OK);
    while (c.data < c.end) {
        sequence *s = &c.sequences[next(&c, N_STATES)], *other = &c.sequences[next(&c, N_STATES)];
        size_t call = next(&c, 8), length;
        switch (call) {
        case 0:
            ink_state_reset(s->state);
            s->n = 0;
            break;
        case 1:
            length = next(&c, 16);
            if (ink_state_rewind(c.ctx, s->state, length) == INK_OK) {
                check(length <= s->n);
                s->n = length;
            } else {
                check(length > s->n || (!c.limited && length != 0));
            }
            break;
        case 2:
            check(ink_state_copy(c.ctx, s->state, other->state) == INK_OK);
            memmove(other->seen, s->seen, s->n * sizeof *s->seen);
            other->n = s->n;
            break;
        case 3:
            save_and_load(&c, s, other);
            break;
        case 4:
            run_sampler(&c);
            break;
        default:
            run_list(&c);
        }
        check(ink_state_length(s->state) == s->n && ink_state_length(other->state) == other->n);
    }
    for (size_t i = 0; i < N_STATES; i++)
        ink_state_free(c.sequences[i].state);
    ink_model_free(c.model);
    ink_context_free(c.ctx);
    check(memory.live == 0);
    free_folder(&folder);
    return 0;
}
