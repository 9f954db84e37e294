/*
 * spiral.c - a multi-layer perceptron without a text: two numbers in, the coordinates of a point, and one out, which of
 * two spirals the point belongs to.
 *
 *     h = tanh(W_1 x + b_1)       16 numbers
 *     g = tanh(W_2 h + b_2)       16 numbers
 *     p = sigma(w . g + b)        the probability of the second spiral
 *
 * Without tanh the three layers would be one, and p = 1/2 a straight line. No line separates two spirals, so the
 * nonlinear function between the layers is all that matters here. train/tiny.py found the weights.
 */
#include <stdlib.h>

#include "lm.h"
#include "stats.h"

enum { N_POINTS = 1000, N_SHOWN = 130, COLUMNS = 44, ROWS = 20, N_DIRECTIONS = 128, N_OFFSETS = 64 };

static uint64_t seed = 1, n_data;

static const cli_option options[] = {
    CLI_COUNT("--seed", "S", &seed, 0, 0, "other points (default 1)"),
    CLI_COUNT("--data", "N", &n_data, 0, 1000000, "print N points to learn from, x y and the spiral, and stop"),
};

static cli line = {
    .name = "spiral",
    .usage = "[options]",
    .about =
        "A network of two hidden layers tells two spirals apart, which no straight line can. Shows which parts of\n"
        "the plane it gives to which spiral, and how many of 1,000 fresh points it and the best line get right.",
    .samples = "  spiral\n"
               "  spiral --seed 2\n"
               "  spiral --data 5\n",
    CLI_OPTIONS(options),
};

/* A direction, 1/256 of a turn further. */
static void turn(double direction[2])
{
    const double c = 0.99969881869620422, s = 0.024541228522912288, x = direction[0];
    direction[0] = c * x - s * direction[1];
    direction[1] = s * x + c * direction[1];
}

/* A point of spiral 0 or 1: one and a half turns outwards from the middle, a little beside the line. */
static size_t draw_point(uint64_t *random, float x[2])
{
    const size_t spiral = (size_t)random_below(random, 2), steps = (size_t)random_below(random, 384);
    double direction[2] = {spiral ? -1 : 1, 0};
    for (size_t i = 0; i < steps; i++)
        turn(direction);
    for (size_t i = 0; i < 2; i++) {
        double beside = -2; /* the sum of four numbers from 0 to 1, less its mean */
        for (size_t k = 0; k < 4; k++)
            beside += (double)random_below(random, 1 << 16) / (1 << 16);
        x[i] = (float)((0.15 + 0.85 * (double)steps / 384) * direction[i] + 0.05 * beside);
    }
    return spiral;
}

/* The most points that a straight line, any of 128 x 64, has on their sides. */
static size_t best_line(const float (*x)[2], const size_t *spirals)
{
    double direction[2] = {1, 0};
    size_t most = 0;
    for (size_t i = 0; i < N_DIRECTIONS; i++, turn(direction), turn(direction))
        for (size_t k = 0; k < N_OFFSETS; k++) {
            size_t right = 0;
            for (size_t j = 0; j < N_POINTS; j++)
                right += (direction[0] * x[j][0] + direction[1] * x[j][1] > (double)k / 32 - 1) == (spirals[j] != 0);
            most = right > most ? right : most;
        }
    return most;
}

/* The plane from -1.125 to 1.125: dots where the network says "the second spiral", and some of the points on it. */
static bool show(ink_context *ctx, const ink_mlp *mlp)
{
    static float x[N_POINTS][2], p[N_POINTS], plane[ROWS][COLUMNS][2], second[ROWS][COLUMNS];
    static char marks[ROWS][COLUMNS + 2];
    static size_t spirals[N_POINTS];
    const size_t n_columns = console_width() < COLUMNS ? console_width() : COLUMNS;
    size_t right = 0;
    uint64_t random = ~seed; /* other points than those of --data */
    for (size_t j = 0; j < N_POINTS; j++)
        spirals[j] = draw_point(&random, x[j]);
    for (size_t row = 0; row < ROWS; row++)
        for (size_t column = 0; column < n_columns; column++) {
            plane[row][column][0] = 1.125F * (((float)column + 0.5F) / ((float)n_columns / 2) - 1);
            plane[row][column][1] = 1.125F * (1 - ((float)row + 0.5F) / ((float)ROWS / 2));
        }
    if (!console_ok(ctx, ink_mlp_forward(ctx, mlp, x[0], N_POINTS, p)) ||
        !console_ok(ctx, ink_mlp_forward(ctx, mlp, plane[0][0], ROWS * COLUMNS, second[0])))
        return false;
    for (size_t row = 0; row < ROWS; row++)
        for (size_t column = 0; column < n_columns; column++)
            marks[row][column] = second[row][column] > 0.5F ? '.' : ' ';
    for (size_t j = 0; j < N_POINTS; j++) {
        right += (p[j] > 0.5F) == (spirals[j] != 0);
        if (j < N_SHOWN)
            marks[(size_t)((1.125F - x[j][1]) / 2.25F * ROWS)]
                 [(size_t)((x[j][0] + 1.125F) / 2.25F * (float)n_columns)] = spirals[j] ? 'x' : 'o';
    }
    for (size_t row = 0; row < ROWS; row++) {
        size_t width = n_columns;
        while (width > 0 && marks[row][width - 1] == ' ')
            width--;
        marks[row][width] = '\n';
        if (!console_write(marks[row], width + 1))
            return false;
    }
    char said[128];
    snprintf(said, sizeof said, "right of %d fresh points: the network %.1f %%, the best straight line %.1f %%",
             N_POINTS, 100.0 * (double)right / N_POINTS,
             100.0 * (double)best_line((const float(*)[2])x, spirals) / N_POINTS);
    putchar('\n');
    console_wrap(said, 0);
    return console_write("", 0);
}

static bool run(ink_context *ctx)
{
    char folder[PATH_ROOM], path[PATH_ROOM];
    ink_weights *weights = NULL;
    ink_mlp *mlp = NULL;
    uint64_t random = seed;
    bool done = true;
    for (uint64_t i = 0; done && i < n_data; i++) {
        float x[2];
        const int spiral = (int)draw_point(&random, x);
        done = console_print("%.6f %.6f %d\n", (double)x[0], (double)x[1], spiral);
    }
    if (n_data > 0 || !done)
        return done;
    done = bundled_folder(folder, "spiral") && path_join(path, folder, "model.safetensors") &&
           console_ok(ctx, ink_weights_open(ctx, path, &weights)) &&
           console_ok(ctx, ink_mlp_load(ctx, weights, "mlp", INK_TANH, INK_SIGMOID, &mlp)) &&
           ((ink_mlp_in(mlp) == 2 && ink_mlp_out(mlp) == 1) ||
            console_complain("%s: expected 2 inputs and 1 output, found %zu and %zu", path, ink_mlp_in(mlp),
                             ink_mlp_out(mlp))) &&
           show(ctx, mlp);
    ink_mlp_free(mlp);
    ink_weights_free(weights);
    return done;
}

int main(int argc, char **argv) { return cli_main(&line, argc, argv, run); }
