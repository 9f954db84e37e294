/*
 * test_step.c - lookinside --step: the numbers are those that the library computes, they fit the formulas beside them,
 * and the places exist.
 */
#define _POSIX_C_SOURCE 200809L

#include "testing.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lm.h"
#include "../examples/tools/step.h"
#include "layers.h"
#include "programs.h"

#define LOOKINSIDE PROGRAMS "/lookinside"

/* True if a definition of `function` begins in the first column of the file. */
static bool defines(const char *path, const char *function)
{
    size_t size;
    char *text = read_file(SOURCE_DIR, path, &size), call[80];
    bool found = false;

    snprintf(call, sizeof call, "%s(", function);
    for (const char *row = text; !found && row != NULL;
         row = strchr(row, '\n') != NULL ? strchr(row, '\n') + 1 : NULL) {
        const char *end = row + strcspn(row, "\n"), *at = strstr(row, call);
        found = (isalpha((unsigned char)*row) || *row == '_') && at != NULL && at < end && at > row &&
                (at[-1] == ' ' || at[-1] == '*') && end[-1] != ';';
    }
    free(text);
    return found;
}

/* Every place that is named is there: "pages/plain.c:dense". Returns how many. */
static size_t places_exist(const char *out)
{
    size_t n = 0;

    for (const char *at = out; (at = strstr(at, ".c:")) != NULL; at++, n++) {
        char path[100], function[60];
        const char *start = at;
        while (start[-1] != ' ')
            start--;
        const bool of_page = strncmp(start, "pages/", 6) == 0;
        snprintf(path, sizeof path, "%s/%.*s.c", of_page ? "examples" : "src", (int)(at - start), start);
        snprintf(function, sizeof function, "%.*s", (int)strcspn(at + 3, " \n"), at + 3);
        if (!defines(path, function))
            fail_msg("%s does not define %s()", path, function);
    }
    return n;
}

/* The numbers below the n-th value with this formula. */
static void numbers_of(const char *out, const char *formula, size_t n, float numbers[6])
{
    char expected[100];

    snprintf(expected, sizeof expected, "\n  %s  ", formula);
    for (const char *at = out;; at++) {
        at = strstr(at, expected);
        assert_non_null(at);
        if (n-- > 0)
            continue;
        at = strchr(at + 1, '\n') + 1;
        for (size_t i = 0; i < 6; i++) {
            char *end;
            numbers[i] = strtof(at, &end);
            assert_ptr_not_equal(at, end);
            at = end;
        }
        return;
    }
}

/* The likeliest five of these logits are printed, in this order, with their probabilities. */
static void ends_in(const char *out, const float *logits, size_t n, const language_model *lm)
{
    const char *at = strstr(out, "\n  p_i = ");
    double sum = 0, least = 2;

    assert_non_null(at);
    for (size_t i = 0; i < n; i++)
        sum += exp((double)logits[i] - (double)logits[ink_argmax(logits, n)]);
    for (size_t k = 0; k < 5; k++) {
        char *end;
        char word[STEP_WORD];
        size_t best = 0;
        double most = -1;
        for (size_t i = 0; i < n; i++) {
            double p = exp((double)logits[i] - (double)logits[ink_argmax(logits, n)]) / sum;
            if (p > most && p < least) {
                most = p;
                best = i;
            }
        }
        least = most;
        at = strchr(at + 1, '\n');
        assert_true(fabs(strtod(at, &end) - most) <= 6e-5);
        assert_int_equal(strncmp(end, "  ", 2), 0);
        step_word(lm->tokenizer, (ink_token)best, word);
        assert_int_equal(strncmp(end + 2, word, strlen(word)), 0);
        assert_int_equal(end[2 + strlen(word)], '\n');
    }
}

typedef struct kept {
    const char *name;
    float values[8192];
} kept;

static void keep_values(void *user, const char *name, const ink_tensor *value)
{
    kept *s = user;
    size_t n = 1;

    for (size_t d = 0; d < value->shape.rank; d++)
        n *= value->shape.dim[d];
    if (strcmp(name, s->name) != 0)
        return;
    assert_true(n <= 8192);
    memcpy(s->values, value->data, n * sizeof(float));
}

/* A model that continues texts: the step of the last token shows the numbers of `name`, which the page calls `formula`,
   and ends in the words that the model expects. */
static void step_is_the_models(const char *folder, const char *text, const char *formula, const char *name, size_t part,
                               size_t n_places)
{
    kept *s = calloc(1, sizeof *s);
    char *out = output_of(run(LOOKINSIDE, folder, text, "--step")), chosen[8];
    ink_context *ctx = test_context(1);
    language_model lm;
    ink_token *tokens;
    ink_state *sequence;
    size_t n;
    float numbers[6];

    assert_non_null(s);
    s->name = name;
    assert_true(lm_open(&lm, ctx, folder, LM_TOKENIZER));
    assert_true(lm_prompt(&lm, text, false, &tokens, &n));
    assert_ok(ctx, ink_state_create(ctx, lm.model, n, &sequence));
    ink_context_trace(ctx, keep_values, s);
    float *logits = calloc(lm.info->vocab_size, sizeof *logits);
    assert_non_null(logits);
    assert_ok(ctx, ink_model_forward(ctx, lm.model, sequence, tokens, n - 1, NULL));
    assert_ok(ctx, ink_model_forward(ctx, lm.model, sequence, tokens + n - 1, 1, logits));
    numbers_of(out, formula, 0, numbers);
    for (size_t i = 0; i < 6; i++)
        assert_true(fabsf(numbers[i] - s->values[part + i]) <= 6e-4F);
    ends_in(out, logits, lm.info->vocab_size, &lm);
    assert_in_range(places_exist(out), n_places, 200);
    free(out);

    /* --at names a token before the last. */
    snprintf(chosen, sizeof chosen, "%zu", n - 1);
    out = output_of(run(LOOKINSIDE, folder, text, "--at", chosen));
    ink_state_reset(sequence);
    assert_ok(ctx, ink_model_forward(ctx, lm.model, sequence, tokens, n - 1, logits));
    ends_in(out, logits, lm.info->vocab_size, &lm);
    free(out);
    free(logits);
    ink_state_free(sequence);
    free(tokens);
    lm_close(&lm);
    ink_context_free(ctx);
    free(s);
}

static void steps_are_the_models(void **state)
{
    static const char text[] = "It was night. Anna laughed. It was still";
    float sum[6], down[6], out_of_block[6];

    (void)state;
    step_is_the_models(MODELS "/mlp", text, "h = tanh(H x + d)", "mlp.layers.0.out", 0, 9);
    step_is_the_models(MODELS "/rnn", text, "h' = tanh(W x + b + U h + c)", "rnn.l0.h", 0, 10);
    step_is_the_models(MODELS "/gru", text, "n = tanh(W_n x + b_n + r * (U_n h + c_n))", "rnn.l0.gates", 512, 14);
    step_is_the_models(MODELS "/lstm", text, "f = sigma(W_f x + U_f h + b_f)", "rnn.l0.gates", 224, 18);
    step_is_the_models(MODELS "/lstm", text, "c' = f * c + i * g", "rnn.l0.c", 0, 18);
    step_is_the_models(MODELS "/gpt", text, "q = W_q y + b_q", "h.0.attn.qkv", 0, 60);
    step_is_the_models(MODELS "/gpt", text, "k = W_k y + b_k, kept for later words", "h.0.attn.qkv", 128, 60);
    step_is_the_models(MODELS "/gpt", text, "v = W_v y + b_v, kept for later words", "h.0.attn.qkv", 256, 60);
    step_is_the_models(MODELS "/gpt", text, "u = sum over t of a_t v_t, head beside head", "h.0.attn.heads", 0, 60);
    step_is_the_models(MODELS "/gpt", text, "u = W_o u + b_o", "h.0.attn.out", 0, 60);
    step_is_the_models(FIXTURES "/gguf_models/llama.gguf", "the and", "q: turned by the position", "h.0.attn.prepared",
                       0, 50);
    step_is_the_models(FIXTURES "/gguf_models/llama.gguf", "the and", "k: turned by the position", "h.0.attn.prepared",
                       32, 50);
    step_is_the_models(FIXTURES "/gguf_models/llama.gguf", "the and", "m = silu(W_gate y) * (W_up y)", "h.0.mlp.up", 0,
                       50);

    /* The state that a step starts from is that of the word before. */
    char *after = output_of(run(LOOKINSIDE, MODELS "/lstm", text, "--at", "6")),
         *out = output_of(run(LOOKINSIDE, MODELS "/lstm", text, "--at", "7"));
    numbers_of(after, "c' = f * c + i * g", 0, sum);
    numbers_of(out, "c, the memory so far", 0, down);
    assert_memory_equal(sum, down, sizeof sum);
    free(after);
    free(out);

    /* A sum that the program makes leads to what the library has. */
    out = output_of(run(LOOKINSIDE, MODELS "/gpt", text, "--step", "--layer", "2"));
    assert_null(strstr(out, "Block 1"));
    numbers_of(out, "x = x + u", 0, sum);
    numbers_of(out, "u = W_2 m + b_2", 0, down);
    numbers_of(out, "x = x + u", 1, out_of_block);
    for (size_t i = 0; i < 6; i++)
        assert_true(fabsf(sum[i] + down[i] - out_of_block[i]) < 2e-3F);
    free(out);
}

/* What is shown of the gates and of the states before and after them fits their formulas. */
static void gates_make_the_state(void **state)
{
    static const char text[] = "It was night. Anna laughed. It was still";
    float i[6], f[6], g[6], o[6], c[6], h[6], r[6], z[6], n[6], c_after[6], h_after[6];

    (void)state;
    char *out = output_of(run(LOOKINSIDE, MODELS "/lstm", text, "--step"));
    numbers_of(out, "i = sigma(W_i x + U_i h + b_i)", 0, i);
    numbers_of(out, "f = sigma(W_f x + U_f h + b_f)", 0, f);
    numbers_of(out, "g = tanh(W_g x + U_g h + b_g)", 0, g);
    numbers_of(out, "o = sigma(W_o x + U_o h + b_o)", 0, o);
    numbers_of(out, "c, the memory so far", 0, c);
    numbers_of(out, "c' = f * c + i * g", 0, c_after);
    numbers_of(out, "h' = o * tanh(c')", 0, h_after);
    for (size_t k = 0; k < 6; k++) {
        assert_true(fabsf(f[k] * c[k] + i[k] * g[k] - c_after[k]) < 4e-3F);
        assert_true(fabsf(o[k] * tanhf(c_after[k]) - h_after[k]) < 2e-3F);
    }
    free(out);
    /* A translator has three cells: its encoder's in both directions, and its decoder's. */
    for (size_t cell = 0; cell < 4; cell++) {
        const size_t nth = cell > 0 ? cell - 1 : 0;
        out = output_of(run(LOOKINSIDE, cell == 0 ? MODELS "/gru" : MODELS "/translate_gru", text, "--step"));
        numbers_of(out, cell < 3 ? "h, the state so far" : "h = d_0", cell < 3 ? nth : 0, h);
        numbers_of(out, "r = sigma(W_r x + b_r + U_r h + c_r)", nth, r);
        numbers_of(out, "z = sigma(W_z x + b_z + U_z h + c_z)", nth, z);
        numbers_of(out, "n = tanh(W_n x + b_n + r * (U_n h + c_n))", nth, n);
        numbers_of(out, "h' = (1 - z) * n + z * h", nth, h_after);
        for (size_t k = 0; k < 6; k++)
            assert_true(fabsf((1 - z[k]) * n[k] + z[k] * h[k] - h_after[k]) < 2e-3F);
        assert_memory_not_equal(r, z, sizeof r);
        free(out);
    }
}

/* A line of the end: a probability and what it is of. */
static void says(const char *out, double p, const char *what)
{
    char expected[100];

    snprintf(expected, sizeof expected, "      %.4f  %s\n", p, what);
    if (strstr(out, expected) == NULL)
        fail_msg("no '%s' in: %s", expected, strstr(out, "The end"));
}

/* Encoders: the gap of a text, the label of a text or a word, an answer. The probabilities are those of the library. */
static void steps_of_encoders(void **state)
{
    (void)state;
    struct {
        const char *folder, *text;
        size_t at;
        bool by_token;
    } cases[] = {{MODELS "/bert", "Anna fed the [MASK] again.", 4, true},
                 {MODELS "/mood", "They had some bad news.", 0, false},
                 {MODELS "/tag", "Anna hid the coin under the bench.", 1, true}};
    for (size_t i = 0; i < 3; i++) {
        ink_context *ctx = test_context(1);
        language_model lm;
        assert_true(lm_open_any(&lm, ctx, cases[i].folder));
        const ink_encode_input whole = {
            .text = cases[i].text, .size = strlen(cases[i].text), .flags = INK_ENCODE_DEFAULT};
        ink_token *tokens, *types;
        size_t n;
        assert_true(lm_encode_input(&lm, &whole, &tokens, &types, NULL, &n));
        const size_t width = ink_model_encoding_size(lm.model, INK_PROBABILITIES);
        float *p = calloc(width, sizeof *p);
        const ink_text asked = {.tokens = tokens,
                                .n_tokens = n,
                                .types = types,
                                .positions = cases[i].by_token ? &cases[i].at : NULL,
                                .n_positions = cases[i].by_token,
                                .output = p};
        assert_non_null(p);
        assert_ok(ctx, ink_model_encode(ctx, lm.model, INK_PROBABILITIES, &asked, 1));
        char at[8], word[STEP_WORD];
        snprintf(at, sizeof at, "%zu", cases[i].at + 1);
        char *out = output_of(i < 2 ? run(LOOKINSIDE, cases[i].folder, cases[i].text, "--step")
                                    : run(LOOKINSIDE, cases[i].folder, cases[i].text, "--at", at));
        const size_t best = ink_argmax(p, width);
        says(out, (double)p[best],
             i == 0 ? step_word(lm.tokenizer, (ink_token)best, word) : ink_model_get_encoder(lm.model)->labels[best]);
        assert_in_range(places_exist(out), 50, 200);
        free(out);
        free(p);
        free(tokens);
        free(types);
        lm_close(&lm);
        ink_context_free(ctx);
    }
    char *out =
        output_of(run(LOOKINSIDE, MODELS "/answer", "Where is the ball?", "Tom left the ball on the roof.", "--step"));
    assert_non_null(strstr(out, "      starts at 1.0000  on\n"));
    assert_non_null(strstr(out, "      ends at   1.0000  roof\n"));
    assert_in_range(places_exist(out), 60, 200);
    free(out);
}

/* Encoder-decoders: --at N is the step that writes word N of the answer. */
static void steps_of_translators(void **state)
{
    static const char text[] = "Tom put the ball behind the fence because it was night.";
    static const char *const folders[] = {MODELS "/translate_gru", MODELS "/translate_attention",
                                          MODELS "/translate_transformer"};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        char *out = output_of(run(LOOKINSIDE, folders[i], text, "--step"));
        const char *end = strstr(out, "\n  p_i = ");
        assert_non_null(end);
        assert_non_null(strstr(strchr(end + 1, '\n'), "  bam\n"));
        assert_in_range(places_exist(out), 15, 200);
        assert_true(i == 0 || strstr(out, ": \"night\" (word 11)") != NULL);
        free(out);
        out = output_of(run(LOOKINSIDE, folders[i], text, "--at", "4"));
        end = strchr(strstr(out, "\n  p_i = ") + 1, '\n');
        assert_int_equal(strncmp(end + 1 + strcspn(end + 1, "."), ".9", 2), 0);
        assert_int_equal(strncmp(end + 1 + 6 + 8, "tom\n", 4), 0);
        free(out);
    }
}

/* The source has the walk of an encoder in front of that of the decoder: its last block leads to what the decoder sees,
   and its numbers are those of the trace of the whole source. */
static void sources_are_walked(void **state)
{
    static const char text[] = "Tom put the ball behind the fence because it was night.";
    static const char folder[] = MODELS "/translate_transformer";
    ink_context *ctx = test_context(1);
    language_model lm;
    ink_token *tokens;
    ink_encoded *encoded;
    float sum[6], seen[6];
    size_t n;
    kept *s = calloc(1, sizeof *s);
    char *out = output_of(run(LOOKINSIDE, folder, text, "--step", "--layer", "2"));

    (void)state;
    assert_non_null(s);
    assert_null(strstr(out, "Encoder block 1"));
    char *source = strstr(out, "\nEncoder block 2 of 2: attention\n");
    assert_non_null(source);
    numbers_of(strstr(source, "\nEncoder block 2 of 2: MLP\n"),
               "x = norm(x + u) = (x - mean) / sqrt(variance + eps) * weight + bias", 0, sum);
    numbers_of(source, "s: the rows that leave the encoder, here of the last word", 0, seen);
    assert_memory_equal(sum, seen, sizeof sum);
    assert_true(lm_open_any(&lm, ctx, folder));
    assert_true(lm_encode(&lm, text, sizeof text - 1, INK_ENCODE_DEFAULT, &tokens, &n));
    assert_ok(ctx, ink_encoded_create(ctx, lm.model, n, &encoded));
    const ink_source_item item = {.encoded = encoded, .tokens = tokens, .n_tokens = n};
    s->name = "encoder.h.1.attn.qkv";
    ink_context_trace(ctx, keep_values, s);
    assert_ok(ctx, ink_model_encode_sources(ctx, lm.model, &item, 1));
    numbers_of(source, "k = W_k x + b_k", 0, seen);
    for (size_t i = 0; i < 6; i++)
        assert_true(fabsf(seen[i] - s->values[(n - 1) * 384 + 128 + i]) <= 6e-4F);
    free(out);

    /* Its attention looks at words of the source. */
    out = output_of(run(LOOKINSIDE, folder, text, "--at", "4"));
    assert_non_null(strstr(out, "\nA step of the marian: word 4 of 13, reads \"ttaemune\", writes \"tom\"\n"));
    source = strstr(out, "\n      head 1: ");
    assert_non_null(source);
    assert_memory_equal(source, "\n      head 1: \"was\" (word 10) ", 31);
    free(out);
    ink_encoded_free(encoded);
    free(tokens);
    lm_close(&lm);
    ink_context_free(ctx);
    free(s);
}

/* No line is wider than a narrow terminal, and in a wide one a shape stays near its formula. */
static void lines_fit_the_terminal(void **state)
{
    static const char *const cases[][3] = {{"gpt", "Anna fed the"},
                                           {"mlp", "Anna fed the"},
                                           {"lstm", "Anna"},
                                           {"mood", "They had some bad news."},
                                           {"answer", "Where is Tom?", "Tom was in the barn."},
                                           {"translate_attention", "The door was closed."},
                                           {"translate_transformer", "The door was closed."}};
    static const unsigned short columns[] = {60, 80, 160};

    (void)state;
    assert_int_equal(setenv("TERM", "dumb", 1), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t k = 0; k < 3; k++) {
            char *folder = join_path(MODELS, cases[i][0]);
            const char *const arguments[] = {LOOKINSIDE, folder, cases[i][1], "--step", cases[i][2], NULL};
            char *out = output_of(process_run_at_columns(arguments, "", columns[k]));
            for (const char *row = out; *row != '\0'; row = strchr(row, '\n') + 1)
                if (strcspn(row, "\r\n") > (columns[k] < 100 ? columns[k] : 100U))
                    fail_msg("%d columns: %.*s", columns[k], (int)strcspn(row, "\n"), row);
            free(out);
            free(folder);
        }
    unsetenv("TERM");
}

/* The window in front of a text, and a text that is longer than a map. */
static void texts_of_any_length(void **state)
{
    char text[1200] = "Anna";

    (void)state;
    char *out = output_of(run(LOOKINSIDE, MODELS "/mlp", "Anna", "--step"));
    assert_non_null(strstr(out, " words: (14 times <|endoftext|>) <|endoftext|> Anna\n"));
    free(out);
    /* A head looks at three words, the last of them in the next line where they are long. */
    out = output_of(run(LOOKINSIDE, MODELS "/gpt", "Anna and Tom had a cat with them. Anna fed the", "--step"));
    assert_non_null(strstr(out, "\n      head 3: \".\" (word 10) 0.28, \"fed\" (word 12) 0.15,\n       \""));
    assert_int_equal(count_of(out, "\" (word "), 2 * 4 * 3);
    fits_80_columns(out);
    free(out);
    for (size_t i = 0; i < 50; i++)
        strcat(text, " and Tom");
    out = output_of(run(LOOKINSIDE, MODELS "/gpt", text, "--at", "100"));
    assert_non_null(strstr(out, "A step of the gpt2: token 100 of 102, \"Tom\"\n"));
    free(out);
    free(output_of(run(LOOKINSIDE, MODELS "/gpt", text, "--step")));
    out = output_of(run(LOOKINSIDE, MODELS "/gpt", text, "--values"));
    assert_non_null(strstr(out, "\nembedding                    102, 128 "));
    free(out);
}

/* What step_show() prints. */
static char *step_of(const language_model *lm, const step_text *text, size_t at)
{
    FILE *file = tmpfile();
    char *out = calloc(1 << 20, 1);

    assert_non_null(file);
    assert_non_null(out);
    fflush(stdout);
    const int before = dup(1);
    dup2(fileno(file), 1);
    const bool done = step_show(lm, text, at, 0);
    fflush(stdout);
    dup2(before, 1);
    close(before);
    assert_true(done);
    rewind(file);
    assert_in_range(fread(out, 1, (1 << 20) - 1, file), 1, (1 << 20) - 2);
    fclose(file);
    return out;
}

/* Opens a model without its tokenizer; *out is the step of the third of four tokens, with one source of the same. */
static ink_model *step_of_tokens(ink_context *ctx, const char *folder, ink_encoded **encoded, char **out)
{
    static const ink_token tokens[] = {1, 2, 3, 2};
    char *copy = join_path(folder, "");
    language_model lm = {.ctx = ctx, .folder = copy};
    step_text text = {.tokens = tokens, .n = 4, .source = tokens, .n_source = 4};

    assert_ok(ctx, ink_model_open(ctx, folder, NULL, &lm.model));
    lm.info = ink_model_get_info(lm.model);
    *encoded = NULL;
    if (ink_model_get_encoder_decoder(lm.model) != NULL)
        assert_ok(ctx, ink_encoded_create(ctx, lm.model, 4, encoded));
    text.encoded = *encoded;
    *out = step_of(&lm, &text, 2);
    free(copy);
    return lm.model;
}

/* Every family of the library has its walk, ending in what the model expects; without a tokenizer words are ids. Some
   have formulas of their own. */
static void every_family_has_its_walk(void **state)
{
    static const char *const families[][4] = {
        {"gpt2", "x = E w + P t", "m = gelu_new(W_1 y + b_1)", "z = V x + b"},
        {"llama", "x = E w", "m = silu(W_gate y) * (W_up y)"},
        {"mistral"},
        {"qwen2"},
        {"qwen3"},
        {"smollm3"},
        {"gemma3", "x = sqrt(d) E w"},
        {"rnn"},
        {"rnn_relu", "h' = relu(W x + b + U h + c)"},
        {"gru"},
        {"lstm"},
        {"mlp"},
        {"mlp_tied"},
        {"bart", "x = norm(E w + P t)"},
        {"marian", "x = sqrt(d) E w + (sines and cosines of t)"},
        {"m2m_100", "x = sqrt(d) E w + (sines and cosines of t)", "m = relu(W_1 y + b_1)"},
        {"mbart", "x = norm(sqrt(d) E w + P t)"},
        {"pegasus", "x = sqrt(d) E w + (sines and cosines of t)"},
        {"blenderbot", "x = E w + P t"},
        {"t5", "m = relu(W_1 y + b_1)", "z = V x / sqrt(d), d: the size of x"},
        {"flan_t5", "m = gelu_new(W_gate y) * (W_up y)", "z = V x + b"},
        {"mt5", "m = silu(W_gate y) * (W_up y)", "z = V x + b"},
        {"umt5", "m = gelu_new(W_gate y) * (W_up y)", "z = V x / sqrt(d), d: the size of x"}};
    static const ink_token tokens[] = {1, 2, 3};

    (void)state;
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        ink_context *ctx = test_context(1);
        char *folder = join_path(FIXTURES "/models", families[i][0]), *out;
        float numbers[6];
        ink_encoded *encoded;
        ink_state *sequence;
        ink_model *model = step_of_tokens(ctx, folder, &encoded, &out);
        const language_model lm = {.info = ink_model_get_info(model)};
        float *logits = calloc(lm.info->vocab_size, sizeof *logits);
        assert_non_null(logits);
        assert_ok(ctx, ink_state_create(ctx, model, 4, &sequence));
        if (encoded != NULL)
            assert_ok(ctx, ink_state_begin(ctx, sequence, encoded));
        assert_ok(ctx, ink_model_forward(ctx, model, sequence, tokens, 3, logits));
        ends_in(out, logits, lm.info->vocab_size, &lm);
        assert_in_range(places_exist(out), 8, 300);
        for (size_t k = 1; k < 4 && families[i][k] != NULL; k++)
            numbers_of(out, families[i][k], 0, numbers);
        free(out);
        free(logits);
        ink_state_free(sequence);
        ink_encoded_free(encoded);
        ink_model_free(model);
        ink_context_free(ctx);
        free(folder);
    }
}

/* Without these settings a model computes what is usual in its family, and the formulas say so. */
static void settings_have_defaults(void **state)
{
    static const char *const cases[][3] = {{"flan_t5", "dense_act_fn", "m = gelu_new(W_gate y) * (W_up y)"},
                                           {"flan_t5", "is_gated_act", "m = gelu_new(W_gate y) * (W_up y)"},
                                           {"t5", "scale_decoder_outputs", "z = V x / sqrt(d), d: the size of x"},
                                           {"m2m_100", "scale_embedding", "x = sqrt(d) E w + (sines and cosines of t)"},
                                           {"bart", "scale_embedding", "x = norm(E w + P t)"}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ink_context *ctx = test_context(1);
        char *folder = fresh_folder(), *model_folder = join_path(FIXTURES "/models", cases[i][0]), *out;
        float numbers[6];
        size_t size;
        ink_encoded *encoded;
        copy_model(model_folder, folder);
        char *settings = read_file(folder, "config.json", &size), *key = strstr(settings, cases[i][1]);
        assert_non_null(key);
        *key = 'X'; /* another key */
        write_file(folder, "config.json", settings, size);
        ink_model *model = step_of_tokens(ctx, folder, &encoded, &out);
        numbers_of(out, cases[i][2], 0, numbers);
        free(out);
        free(settings);
        free(model_folder);
        ink_encoded_free(encoded);
        ink_model_free(model);
        ink_context_free(ctx);
        forget(folder);
    }
}

/* Adds `factor` times a row of a table to x [128 at most]. */
static size_t add_row(ink_context *ctx, const ink_weights *file, const char *name, size_t row, float factor, float *x)
{
    size_t n;
    float *table = test_tensor(ctx, file, name, &n);
    const size_t width = ink_weights_find(file, name)->shape.dim[1];

    assert_in_range(width, 6, 128);
    for (size_t i = 0; i < width; i++)
        x[i] += factor * table[row * width + i];
    free(table);
    return width;
}

static void normalise(ink_context *ctx, const ink_weights *file, const char *module, float epsilon, float *x)
{
    char name[100];
    size_t n;
    float mean = 0, variance = 0;

    snprintf(name, sizeof name, "%s.weight", module);
    float *weight = test_tensor(ctx, file, name, &n);
    snprintf(name, sizeof name, "%s.bias", module);
    float *bias = test_tensor(ctx, file, name, &n);
    for (size_t i = 0; i < n; i++)
        mean += x[i] / (float)n;
    for (size_t i = 0; i < n; i++)
        variance += (x[i] - mean) * (x[i] - mean) / (float)n;
    for (size_t i = 0; i < n; i++)
        x[i] = (x[i] - mean) / sqrtf(variance + epsilon) * weight[i] + bias[i];
    free(weight);
    free(bias);
}

static void shows(const char *out, const char *formula, const float *x)
{
    float numbers[6];

    numbers_of(out, formula, 0, numbers);
    for (size_t i = 0; i < 6; i++)
        if (fabsf(numbers[i] - x[i]) > 2e-3F)
            fail_msg("%s: number %zu is %g, not %g", formula, i, (double)numbers[i], (double)x[i]);
}

/* The formulas of embeddings and norms, computed here from the weights: token 3 at position 2. */
static void formulas_are_what_is_computed(void **state)
{
    static const struct {
        const char *folder, *words, *positions, *types, *norm, *formula;
        float root, epsilon;
        size_t first; /* position */
    } cases[] = {
        {MODELS "/gpt", "transformer.wte.weight", "transformer.wpe.weight", NULL, NULL, "x = E w + P t", 1, 0, 0},
        {MODELS "/bert", "bert.embeddings.word_embeddings.weight", "bert.embeddings.position_embeddings.weight",
         "bert.embeddings.token_type_embeddings.weight", "bert.embeddings.LayerNorm",
         "x = norm(E w + P t + T), T: first or second text", 1, 1e-12F, 0},
        {FIXTURES "/models/mbart", "model.shared.weight", "model.decoder.embed_positions.weight", NULL,
         "model.decoder.layernorm_embedding", "x = norm(sqrt(d) E w + P t)", 4.472136F, 1e-5F, 2},
        {FIXTURES "/models/marian", "model.shared.weight", NULL, NULL, NULL,
         "x = sqrt(d) E w + (sines and cosines of t)", 4.472136F, 0, 0}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ink_context *ctx = test_context(1);
        char *path = join_path(cases[i].folder, "model.safetensors"), *out;
        float x[128] = {0};
        ink_encoded *encoded;
        ink_weights *file = test_fixture(ctx, path);
        ink_model *model = step_of_tokens(ctx, cases[i].folder, &encoded, &out);
        const size_t width = add_row(ctx, file, cases[i].words, 3, cases[i].root, x);
        if (cases[i].positions != NULL)
            add_row(ctx, file, cases[i].positions, cases[i].first + 2, 1, x);
        for (size_t k = 0; cases[i].positions == NULL && k < 6; k++) /* the cosines are in the second half */
            x[k] += sinf(2 / powf(10000, 2 * (float)k / (float)width));
        if (cases[i].types != NULL)
            add_row(ctx, file, cases[i].types, 0, 1, x);
        if (cases[i].norm != NULL)
            normalise(ctx, file, cases[i].norm, cases[i].epsilon, x);
        shows(encoded != NULL ? strstr(out, "\nThe decoder\n") : out, cases[i].formula, x);
        if (i == 0) {
            normalise(ctx, file, "transformer.h.0.ln_1", 1e-5F, x);
            shows(out, "y = norm(x) = (x - mean) / sqrt(variance + eps) * weight + bias", x);
        }
        free(out);
        free(path);
        ink_encoded_free(encoded);
        ink_model_free(model);
        ink_weights_free(file);
        ink_context_free(ctx);
    }
}

/* How the vector of a text is made of its rows, and the row that a head reads. */
static void vectors_of_texts(void **state)
{
    static const char *const cases[][8] = {
        {"sentence", "v = (x_1 + x_2 + ... + x_n) / n, n: the words", "y = v / |v|, the vector of the text"},
        {"sentence_dense", "v = (1 x_1 + 2 x_2 + ... + n x_n) / (1 + 2 + ... + n)", "v = x_n, the row of the last word",
         "v = x_1, the row of the first word", "v = (x_1 + x_2 + ... + x_n) / sqrt(n), n: the words",
         "v = the largest of x_1, x_2, ..., x_n, number by number", "v = (x_1 + x_2 + ... + x_n) / n, n: the words",
         "y = s(W v + b) in each dense layer, then y = y / |y|"},
        {"sentence_flags", "y = v, the vector of the text"},
        {"static_folder", "y = s(W v + b) in each dense layer: the vector of the text"},
        {"modernbert_mean", "v = (x_1 + x_2 + ... + x_n) / n, n: the words", "x = gelu(W_t v + b_t)"},
        {"bert", "x is from here on the row of word 1, which the head reads\n", "y = x, the vector of the text"},
        {"gpt2_text", "x is from here on the row of word 4, which the head reads\n"}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ink_context *ctx = test_context(1);
        char *folder = join_path(FIXTURES "/encoders", cases[i][0]), *out;
        ink_encoded *encoded;
        ink_model *model = step_of_tokens(ctx, folder, &encoded, &out);
        const char *at = strstr(out, "\nThe end\n");
        for (size_t k = 1; k < 8 && cases[i][k] != NULL; k++) {
            at = strstr(at, cases[i][k]);
            if (at == NULL)
                fail_msg("%s: no '%s' in its place in: %s", folder, cases[i][k], strstr(out, "\nThe end\n"));
        }
        free(out);
        free(folder);
        ink_model_free(model);
        ink_context_free(ctx);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_are_the_models),   cmocka_unit_test(steps_of_encoders),
        cmocka_unit_test(steps_of_translators),   cmocka_unit_test(every_family_has_its_walk),
        cmocka_unit_test(gates_make_the_state),   cmocka_unit_test(formulas_are_what_is_computed),
        cmocka_unit_test(vectors_of_texts),       cmocka_unit_test(sources_are_walked),
        cmocka_unit_test(lines_fit_the_terminal), cmocka_unit_test(texts_of_any_length),
        cmocka_unit_test(settings_have_defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
