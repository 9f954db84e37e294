/*
 * vowels.c - a recurrent network that hears speech: chains of the vowels a e i o u, which voice.c speaks.
 *
 *     h_t = tanh(W x_t + U h_(t-1) + b)           24 numbers
 *     y_t = V h_t + c                             six scores: silence, a, e, i, o, u
 *
 * x_t is what an ear makes of 10 ms: how strongly each of its 16 resonators rings. 10 ms alone are often not enough.
 * There is noise, and the vowels of small speakers have higher frequencies, so a child's o is much like a man's a. The
 * network remembers what it heard before, and answers 30 ms late, when it has heard some of the vowel. train/tiny.py
 * found its weights, and those of an MLP of the same size that sees 10 ms alone.
 */
#include <stdlib.h>
#include <string.h>

#include "lm.h"
#include "stats.h"
#include "voice.h"
#include "wav.h"

enum { N_FRAMES = VOICE_FRAMES, LATE = 3, N_HEARD = N_FRAMES - LATE, HOLD = 4, N_CHAINS = 200, N_NETWORKS = 2 };

static uint64_t seed = 1, n_data;
static const char *wav;

static const cli_option options[] = {
    CLI_COUNT("--seed", "S", &seed, 0, 0, "other chains of other speakers (default 1)"),
    CLI_COUNT("--data", "N", &n_data, 0, 10000000, "print N frames to learn from, 16 numbers and the sound, and stop"),
    CLI_TEXT("--wav", "FILE", &wav, "write the chain that is shown as a WAV file, to listen to, and stop"),
};

static cli line = {
    .name = "vowels",
    .usage = "[options]",
    .about = "A recurrent network hears chains of vowels, spoken in noise by speakers of many sizes, beside a network\n"
             "without memory. Shows what both hear of one chain, and how much of 200 chains they get right.",
    .samples = "  vowels\n"
               "  vowels --seed 2\n"
               "  vowels --data 5\n"
               "  vowels --wav /tmp/vowels.wav\n",
    CLI_OPTIONS(options),
};

static const char letters[] = "-aeiou";

typedef struct utterance {
    size_t sounds[N_FRAMES];
    float samples[N_FRAMES * VOICE_FRAME], x[N_FRAMES][VOICE_BANDS];
} utterance;

/* A chain, by another speaker each time, from a tall man to a child, whose formants and voice are higher. */
static void speak(uint64_t *random, utterance *u)
{
    const double size = 0.95 + 0.35 * (double)random_below(random, 1000) / 1000;
    const speaker s = {size, 90 + (double)random_below(random, 40) + 400 * (size - 0.95), .noise = 0.25};
    voice_plan(random, u->sounds);
    voice_speak(&s, random, u->sounds, u->samples);
    voice_listen(u->samples, u->x);
}

/* The vowels one after the other. What is over after less than 40 ms is not one, and none comes twice in a row. */
static void chain_of(const size_t sounds[N_HEARD], char chain[N_HEARD])
{
    size_t n = 0, run = 0;
    for (size_t t = 0; t < N_HEARD; t++) {
        run = t > 0 && sounds[t] == sounds[t - 1] ? run + 1 : 1;
        if (run == HOLD && sounds[t] > 0 && (n == 0 || chain[n - 1] != letters[sounds[t]]))
            chain[n++] = letters[sounds[t]];
    }
    chain[n] = '\0';
}

typedef struct network {
    ink_recurrent *rnn;
    ink_dense *output;
    ink_mlp *alone;
    float *state, *h; /* h [N_FRAMES, 24] */
} network;

/* The sound with the highest score, for each frame. */
static void choose(float scores[][VOICE_SOUNDS], size_t sounds[N_HEARD])
{
    for (size_t t = 0; t < N_HEARD; t++) {
        sounds[t] = 0;
        for (size_t k = 1; k < VOICE_SOUNDS; k++)
            sounds[t] = scores[t][k] > scores[t][sounds[t]] ? k : sounds[t];
    }
}

/* What each network hears. The recurrent one reads the frames in their order, from a state of zeros. */
static bool hear(ink_context *ctx, const network *net, const utterance *u, size_t heard[N_NETWORKS][N_FRAMES])
{
    static float scores[N_FRAMES][VOICE_SOUNDS];
    const ink_sequence sequence = {.x = u->x[0], .y = net->h, .n_steps = N_FRAMES, .state = net->state};
    if (!console_ok(ctx, ink_mlp_forward(ctx, net->alone, u->x[0], N_FRAMES, scores[0])))
        return false;
    choose(scores, heard[0]);
    memset(net->state, 0, ink_recurrent_state_size(net->rnn) * sizeof *net->state);
    if (!console_ok(ctx, ink_recurrent_forward(ctx, net->rnn, &sequence, 1)) ||
        !console_ok(ctx, ink_dense_forward(ctx, net->output, net->h, N_FRAMES, scores[0])))
        return false;
    choose(scores + LATE, heard[1]);
    return true;
}

/* A letter for 20 ms. */
static void print_sounds(const char *name, const size_t sounds[N_HEARD])
{
    char row[N_HEARD / 2 + 1] = "";
    for (size_t t = 0; t < N_HEARD; t += 2)
        row[t / 2] = letters[sounds[t]];
    console_print("%-8s%s\n", name, row);
}

/* The first chain, as it is spoken and as it is heard, and how much of all chains is heard. */
static bool show(ink_context *ctx, const network *net)
{
    static utterance u;
    size_t heard[N_NETWORKS][N_FRAMES];
    char said[N_HEARD], chains[N_NETWORKS][N_HEARD];
    stats_share frames[N_NETWORKS] = {{0}}, whole[N_NETWORKS] = {{0}};
    uint64_t random = ~seed; /* other chains than those of --data */
    for (size_t i = 0; i < N_CHAINS; i++) {
        speak(&random, &u);
        if (!hear(ctx, net, &u, heard))
            return false;
        chain_of(u.sounds, said);
        for (size_t k = 0; k < N_NETWORKS; k++) {
            chain_of(heard[k], chains[k]);
            stats_count(&whole[k], strcmp(chains[k], said) == 0);
            for (size_t t = 0; t < N_HEARD; t++)
                stats_count(&frames[k], heard[k][t] == u.sounds[t]);
        }
        if (i == 0) {
            print_sounds("spoken", u.sounds);
            print_sounds("alone", heard[0]);
            print_sounds("network", heard[1]);
            console_print("\nspoken %s, heard %s alone and %s by the network\n", said, chains[0], chains[1]);
        }
    }
    return console_print("\nright of %d chains    alone    network\n"
                         "frames of 10 ms     %7.1f %%  %7.1f %%\n"
                         "whole chains        %7.1f %%  %7.1f %%\n",
                         N_CHAINS, 100 * stats_share_of(&frames[0]), 100 * stats_share_of(&frames[1]),
                         100 * stats_share_of(&whole[0]), 100 * stats_share_of(&whole[1]));
}

/* What the program speaks, for others. */
static bool tell(void)
{
    static utterance u;
    const sound spoken = {VOICE_RATE, 1, N_FRAMES * VOICE_FRAME, u.samples};
    uint64_t random = wav != NULL ? ~seed : seed;
    bool done = true;
    if (wav != NULL) {
        speak(&random, &u);
        return wav_write(wav, &spoken);
    }
    for (uint64_t i = 0; done && i < n_data; i++) {
        const size_t t = (size_t)(i % N_FRAMES);
        if (t == 0)
            speak(&random, &u);
        for (size_t k = 0; done && k < VOICE_BANDS; k++)
            done = console_print("%.4f ", (double)u.x[t][k]);
        done = done && console_print("%zu\n", u.sounds[t]);
    }
    return done;
}

static bool run(ink_context *ctx)
{
    char folder[PATH_ROOM], path[PATH_ROOM];
    ink_weights *weights = NULL;
    network net = {.rnn = NULL};
    if (n_data > 0 || wav != NULL)
        return tell();
    bool done = bundled_folder(folder, "vowels") && path_join(path, folder, "model.safetensors") &&
                console_ok(ctx, ink_weights_open(ctx, path, &weights)) &&
                console_ok(ctx, ink_recurrent_load(ctx, weights, "rnn", INK_RNN_TANH, &net.rnn)) &&
                console_ok(ctx, ink_dense_load(ctx, weights, "output", INK_IDENTITY, &net.output)) &&
                console_ok(ctx, ink_mlp_load(ctx, weights, "alone", INK_TANH, INK_IDENTITY, &net.alone)) &&
                ((ink_recurrent_in(net.rnn) == VOICE_BANDS && ink_recurrent_directions(net.rnn) == 1 &&
                  ink_dense_in(net.output) == ink_recurrent_out(net.rnn) && ink_dense_out(net.output) == VOICE_SOUNDS &&
                  ink_mlp_in(net.alone) == VOICE_BANDS && ink_mlp_out(net.alone) == VOICE_SOUNDS) ||
                 console_complain("%s: the layers do not fit together", path)) &&
                (net.state = console_memory(ink_recurrent_state_size(net.rnn), sizeof *net.state)) != NULL &&
                (net.h = console_memory(N_FRAMES * ink_recurrent_out(net.rnn), sizeof *net.h)) != NULL &&
                show(ctx, &net);
    free(net.state);
    free(net.h);
    ink_recurrent_free(net.rnn);
    ink_dense_free(net.output);
    ink_mlp_free(net.alone);
    ink_weights_free(weights);
    return done;
}

int main(int argc, char **argv) { return cli_main(&line, argc, argv, run); }
