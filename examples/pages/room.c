/*
 * room.c - a recurrent network without a text: it reads the temperature of a room, one number every five minutes, and
 * predicts the next one.
 *
 *     h_t = tanh(W x_t + U h_(t-1) + b)           16 numbers
 *     y   = x_t + v . h_t + c                     the next temperature
 *
 * A thermostat turns the heating on below 19 degrees and off above 21. Whether it is on is not measured, and a single
 * temperature does not tell: 20 degrees may be on the way up or down. The network has to remember. train/tiny.py found
 * the weights.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lm.h"
#include "stats.h"

enum { DAY = 288, N_DAYS = 10, N_VALUES = N_DAYS * DAY + 1, BACK = 4, ALONE = 72, ROWS = 12 };

static uint64_t seed = 1, n_data;

static const cli_option options[] = {
    CLI_COUNT("--seed", "S", &seed, 0, 0, "other days (default 1)"),
    CLI_COUNT("--data", "N", &n_data, 0, 10000000, "print N temperatures to learn from, and stop"),
};

static cli line = {
    .name = "room",
    .usage = "[options]",
    .about =
        "A recurrent network predicts the temperature of a room with a thermostat, five minutes ahead, beside two\n"
        "simple predictors. Then it continues alone, from its own predictions.",
    .samples = "  room\n"
               "  room --seed 2\n"
               "  room --data 5\n",
    CLI_OPTIONS(options),
};

/* A room, its weather and its thermostat. */
typedef struct room {
    uint64_t random;
    double inside, outside, sun[2]; /* degrees; the time of day as a direction */
    bool heating;
} room;

static room room_begin(uint64_t s) { return (room){.random = s, .inside = 20, .outside = 5, .sun = {1, 0}}; }

/* The temperature now; then five minutes pass. */
static double room_step(room *r)
{
    const double measured = r->inside, c = 0.99976202707990, s = 0.02181488503456, x = r->sun[0];
    r->sun[0] = c * x - s * r->sun[1]; /* 1/288 of a turn */
    r->sun[1] = s * x + c * r->sun[1];
    const double gust = (double)random_below(&r->random, 1 << 16) / (1 << 16) - 0.5;
    r->outside += 0.02 * (5 + 5 * r->sun[0] - r->outside) + 0.3 * gust;
    r->heating = r->inside < 19 || (r->heating && r->inside < 21);
    r->inside += 0.012 * (r->outside - r->inside) + (r->heating ? 0.5 : 0);
    return measured;
}

typedef struct network {
    ink_recurrent *rnn;
    ink_dense *output, *linear;
    float *state, *h; /* of the next step */
} network;

/* From one temperature to the next. It sees them as halves of a degree above 20. */
static bool predict(ink_context *ctx, network *net, float now, float *next)
{
    const float x = (now - 20) / 2;
    float rise;
    if (!console_ok(ctx, ink_recurrent_step(ctx, net->rnn, &x, net->state, net->h)) ||
        !console_ok(ctx, ink_dense_forward(ctx, net->output, net->h, 1, &rise)))
        return false;
    *next = now + 2 * rise;
    return true;
}

/* Adds the square of an error. */
static void miss(stats_mean *errors, float predicted, float x)
{
    const double error = (double)predicted - (double)x;
    stats_add(errors, error * error);
}

/* The errors of three predictors, and a picture of the network alone. */
static bool show(ink_context *ctx, network *net)
{
    static float x[N_VALUES + ALONE];
    static char marks[ROWS][ALONE + 1];
    stats_mean same = {0}, linear = {0}, own = {0};
    float next = 0, straight;
    room r = room_begin(~seed); /* other days than those of --data */
    for (size_t t = 0; t < N_VALUES + ALONE; t++)
        x[t] = (float)room_step(&r);
    for (size_t t = 0; t < N_VALUES; t++) {
        if (t >= BACK) {
            if (!console_ok(ctx, ink_dense_forward(ctx, net->linear, x + t - BACK, 1, &straight)))
                return false;
            miss(&same, x[t - 1], x[t]);
            miss(&linear, straight, x[t]);
            miss(&own, next, x[t]);
        }
        if (!predict(ctx, net, x[t], &next))
            return false;
    }
    memset(marks, ' ', sizeof marks);
    for (size_t t = 0; t < ALONE; t++) {
        const float both[] = {x[N_VALUES + t], next};
        for (size_t i = 0; i < 2; i++) {
            const float row = (21.6F - both[i]) / 3 * ROWS; /* from 21.6 to 18.6 degrees */
            char *mark = &marks[row < 0 ? 0 : row < ROWS ? (size_t)row : ROWS - 1][t];
            *mark = i == 0 ? '-' : *mark == '-' ? '*' : 'o';
        }
        if (!predict(ctx, net, next, &next))
            return false;
    }
    for (size_t row = 0; row < ROWS; row++) {
        size_t width = ALONE;
        while (width > 0 && marks[row][width - 1] == ' ')
            width--;
        console_print("%.*s\n", (int)width, marks[row]);
    }
    return console_print("Six hours: - the room, o the network alone, * both. Error after five minutes:\n"
                         "same as before %.3f degrees, the best linear predictor %.3f, the network %.3f\n",
                         sqrt(stats_mean_of(&same)), sqrt(stats_mean_of(&linear)), sqrt(stats_mean_of(&own)));
}

static bool run(ink_context *ctx)
{
    char folder[PATH_ROOM], path[PATH_ROOM];
    ink_weights *weights = NULL;
    network net = {.rnn = NULL};
    room r = room_begin(seed);
    bool done = true;
    for (uint64_t i = 0; done && i < n_data; i++)
        done = console_print("%.6f\n", room_step(&r));
    if (n_data > 0)
        return done;
    done = bundled_folder(folder, "room") && path_join(path, folder, "model.safetensors") &&
           console_ok(ctx, ink_weights_open(ctx, path, &weights)) &&
           console_ok(ctx, ink_recurrent_load(ctx, weights, "rnn", INK_RNN_TANH, &net.rnn)) &&
           console_ok(ctx, ink_dense_load(ctx, weights, "output", INK_IDENTITY, &net.output)) &&
           console_ok(ctx, ink_dense_load(ctx, weights, "linear", INK_IDENTITY, &net.linear)) &&
           ((ink_recurrent_in(net.rnn) == 1 && ink_recurrent_directions(net.rnn) == 1 &&
             ink_dense_in(net.output) == ink_recurrent_out(net.rnn) && ink_dense_out(net.output) == 1 &&
             ink_dense_in(net.linear) == BACK && ink_dense_out(net.linear) == 1) ||
            console_complain("%s: the layers do not fit together", path)) &&
           (net.state = console_memory(ink_recurrent_state_size(net.rnn), sizeof *net.state)) != NULL &&
           (net.h = console_memory(ink_recurrent_out(net.rnn), sizeof *net.h)) != NULL && show(ctx, &net);
    free(net.state);
    free(net.h);
    ink_dense_free(net.output);
    ink_dense_free(net.linear);
    ink_recurrent_free(net.rnn);
    ink_weights_free(weights);
    return done;
}

int main(int argc, char **argv) { return cli_main(&line, argc, argv, run); }
