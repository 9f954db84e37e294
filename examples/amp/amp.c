/*
 * amp.c - a guitar amplifier that is an LSTM, over a WAV file in blocks, as a plug-in in a studio program runs it.
 *
 * plugin.c is the page to learn from: what a plug-in does beforehand, and what on the audio thread. This program is the
 * host. It hands over block after block, holds a watch, and compares the sound with circuit.c, the amplifier from which
 * the bundled network learned (examples/train/amp.py).
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "circuit.h"
#include "cli.h"
#include "console.h"
#include "guitar.h"
#include "lm.h"
#include "plot.h"
#include "plugin.h"
#include "stats.h"
#include "wav.h"

static bool demo, json;
static uint64_t block = 64, seed = 1, n_seconds = 12;
static double gain = 1;
static const char *model, *svg, *through = "network";

static const cli_option options[] = {
    CLI_COUNT("--block", "N", &block, 1, 65536,
              "samples of each channel in a block (default 64); the sound does not depend on it"),
    CLI_REAL("--gain", "G", &gain, 1000, "multiplies the input (default 1): more is more distortion"),
    CLI_TEXT("--model", "FILE", &model, "a .safetensors of yours: nn.LSTM 'rec', nn.Linear 'lin' (plugin.h)"),
    CLI_CHOICE("--through", "WHAT", &through, "network circuit nothing",
               "network (default); circuit, which it learned from; or nothing"),
    CLI_FLAG("--demo", &demo, "play a riff that the program makes up, instead of IN.wav"),
    CLI_COUNT("--seed", "S", &seed, 0, 0, "another riff (default 1)"),
    CLI_COUNT("--seconds", "N", &n_seconds, 1, 3600, "of the riff (default 12)"),
    CLI_TEXT("--svg", "FOLDER", &svg, "also write pictures there: the wave, the curve, the time of blocks"),
    CLI_FLAG("--json", &json, "the figures as one JSON object, for programs"),
    CLI_MACHINE,
};

static cli line = {
    .name = "amp",
    .usage = "IN.wav [OUT.wav] [options], or --demo [OUT.wav] [options]",
    .about = "Plays a WAV file through a guitar amplifier that is an LSTM, in blocks as an audio plug-in would, and\n"
             "prints how long the blocks took. Each channel has an amplifier of its own. OUT.wav has samples of 32\n"
             "bits, floating point: they keep what lies beyond full scale. - is stdin or stdout.",
    .samples = "  amp --demo\n"
               "  amp --demo - --seconds 2 | amp - --block 1\n"
               "  amp --demo --svg /tmp --json\n",
    CLI_OPTIONS(options),
    CLI_ARGUMENTS(0, 2, "IN.wav", "OUT.wav"),
};

typedef struct session {
    ink_context *ctx;
    const char *name; /* of the input */
    sound in, out;
    amp network;
    circuit *circuits; /* [n_channels] */
    float **x, **y;    /* [n_channels][most] the block */
    double *times;     /* [n_blocks] seconds */
    size_t most, n_blocks;
} session;

/* ---- playing ---------------------------------------------------------------------------------------------------- */

static bool is_through(const char *what) { return strcmp(through, what) == 0; }

/* True if the circuit is what the network should sound like. */
static bool has_circuit(const session *s)
{
    return is_through("network") && model == NULL && s->in.rate == s->network.rate;
}

static bool open_sound(session *s)
{
    const char *path = demo ? NULL : line.arguments[0];
    if (path == NULL && !demo)
        return console_complain("IN.wav is missing; or --demo, which plays a riff of its own");
    if (demo && line.n_arguments > 1)
        return console_complain("--demo expects OUT.wav alone, found '%s' and '%s'", line.arguments[0],
                                line.arguments[1]);
    if (!demo && strcmp(path, "-") == 0 && console_is_asked())
        return console_complain("- expects a WAV file in a pipe, found a terminal");
    s->name = demo ? "a riff" : strcmp(path, "-") == 0 ? "stdin" : path;
    if (demo) {
        s->in = (sound){.rate = GUITAR_RATE, .n_channels = 1, .n_frames = (size_t)n_seconds * GUITAR_RATE};
        if ((s->in.samples = console_memory(s->in.n_frames, sizeof *s->in.samples)) == NULL)
            return false;
        guitar_play(s->in.samples, s->in.n_frames, seed);
    } else if (!wav_read(path, &s->in)) {
        return false;
    }
    for (size_t i = 0; i < s->in.n_frames * s->in.n_channels; i++) {
        s->in.samples[i] *= (float)gain;
        if (!isfinite(s->in.samples[i]))
            return console_complain("--gain %g makes frame %zu of %s infinite", gain, i / s->in.n_channels, s->name);
    }
    return true;
}

static bool open_amplifiers(session *s)
{
    char folder[PATH_ROOM], path[PATH_ROOM];
    size_t n_channels = s->in.n_channels, n_samples = s->in.n_frames * n_channels;
    s->most = s->in.n_frames < block ? s->in.n_frames : (size_t)block;
    s->most = s->most > 0 ? s->most : 1;
    s->n_blocks = (s->in.n_frames + s->most - 1) / s->most;
    s->out = (sound){.rate = s->in.rate, .n_channels = n_channels, .n_frames = s->in.n_frames};
    if (is_through("network")) {
        if (!bundled_folder(folder, "amp") || !path_join(path, folder, "model.safetensors"))
            return false;
        if (!amp_open(&s->network, s->ctx, model != NULL ? model : path) ||
            !amp_prepare(&s->network, n_channels, s->most))
            return console_complain("%s", s->network.error);
    }
    if ((s->out.samples = console_memory(n_samples, sizeof *s->out.samples)) == NULL ||
        (s->times = console_memory(s->n_blocks, sizeof *s->times)) == NULL ||
        (s->circuits = console_memory(n_channels, sizeof *s->circuits)) == NULL ||
        (s->x = console_memory(n_channels, sizeof *s->x)) == NULL ||
        (s->y = console_memory(n_channels, sizeof *s->y)) == NULL)
        return false;
    for (size_t c = 0; c < n_channels; c++) {
        circuit_start(&s->circuits[c], s->in.rate);
        if ((s->x[c] = console_memory(2 * s->most, sizeof **s->x)) == NULL)
            return false;
        s->y[c] = s->x[c] + s->most;
    }
    if (s->network.rate != 0 && s->network.rate != s->in.rate)
        console_note("(the network learned at %.0f samples a second, and %s has %u: all that it does to frequencies "
                     "moves by a factor of %.2f; resample the file for the true sound)",
                     s->network.rate, s->name, s->in.rate, s->in.rate / s->network.rate);
    return true;
}

/* What the host does: block after block, each with its time. */
static bool play(session *s)
{
    const size_t n_channels = s->in.n_channels;
    for (size_t b = 0; b < s->n_blocks; b++) {
        size_t first = b * s->most, n = s->in.n_frames - first < s->most ? s->in.n_frames - first : s->most;
        for (size_t c = 0; c < n_channels; c++)
            for (size_t t = 0; t < n; t++)
                s->x[c][t] = s->in.samples[(first + t) * n_channels + c];
        double begin = console_seconds();
        if (is_through("network") && !amp_process(&s->network, (const float *const *)s->x, n, s->y))
            return console_complain("%s", ink_context_error(s->ctx));
        for (size_t c = 0; c < n_channels && is_through("circuit"); c++)
            circuit_process(&s->circuits[c], s->x[c], n, s->y[c]);
        s->times[b] = console_seconds() - begin;
        for (size_t c = 0; c < n_channels; c++)
            for (size_t t = 0; t < n; t++)
                s->out.samples[(first + t) * n_channels + c] = is_through("nothing") ? s->x[c][t] : s->y[c][t];
    }
    return true;
}

/* ---- figures ---------------------------------------------------------------------------------------------------- */

typedef struct figures {
    double seconds;                     /* of sound */
    double factor, mean, worst, period; /* computing / sound; seconds of a block: to compute, and of sound */
    double peak;                        /* of the output */
    double error;                       /* against the circuit; NaN if there is nothing to compare */
} figures;

/*
 * The error-to-signal ratio of a network y whose amplifier gives d:  sum (d - y)^2 / sum d^2
 */
static double error_of(const session *s)
{
    const size_t n_channels = s->in.n_channels;
    double error = 0, signal = 0;
    for (size_t c = 0; c < n_channels; c++) {
        circuit true_one;
        circuit_start(&true_one, s->in.rate);
        for (size_t t = c; t < s->in.n_frames * n_channels; t += n_channels) {
            float d;
            circuit_process(&true_one, &s->in.samples[t], 1, &d);
            error += ((double)d - (double)s->out.samples[t]) * ((double)d - (double)s->out.samples[t]);
            signal += (double)d * (double)d;
        }
    }
    return signal > 0 ? error / signal : NAN;
}

static figures measure(const session *s)
{
    figures f = {.seconds = (double)s->in.n_frames / s->in.rate, .period = (double)s->most / s->in.rate, .error = NAN};
    double sum = 0;
    for (size_t b = 0; b < s->n_blocks; b++) {
        sum += s->times[b];
        f.worst = fmax(f.worst, s->times[b]);
    }
    if (s->n_blocks > 0) {
        f.mean = sum / (double)s->n_blocks;
        f.factor = sum / f.seconds;
    }
    for (size_t i = 0; i < s->out.n_frames * s->out.n_channels; i++)
        f.peak = fmax(f.peak, fabs((double)s->out.samples[i]));
    if (has_circuit(s))
        f.error = error_of(s);
    return f;
}

static void print_figures(const session *s, const figures *f, FILE *to)
{
    char rate[CONSOLE_ROOM];
    fprintf(to, "%s: %.1f s, %zu channel%s at %s Hz, in blocks of %zu (%.3f ms)\n", s->name, f->seconds,
            s->in.n_channels, s->in.n_channels == 1 ? "" : "s", console_count(rate, s->in.rate), s->most,
            1e3 * f->period);
    if (is_through("network") && f->factor > 0) {
        fprintf(to, "LSTM with %zu units, %s: %.3g times as fast as it plays (real-time factor %.4f)\n",
                ink_recurrent_hidden_size(s->network.lstm), ink_context_kernel(s->ctx), 1 / f->factor, f->factor);
        fprintf(to, "a block takes %.2f us on average, %.2f %% of its time, and %.2f us at worst, %.2f %%\n",
                1e6 * f->mean, 100 * f->mean / f->period, 1e6 * f->worst, 100 * f->worst / f->period);
    }
    if (!isnan(f->error))
        fprintf(to, "error against the circuit: %.2f %% of the signal (ESR)\n", 100 * f->error);
    fprintf(to, "peak of the output: %.3f%s\n", f->peak,
            f->peak > 1 ? ", beyond full scale: most players clip it" : "");
}

static void print_json(const session *s, const figures *f)
{
    printf("{\"rate\": %u, \"channels\": %zu, \"frames\": %zu, \"block\": %zu, \"through\": \"%s\", \"kernel\": "
           "\"%s\", \"real_time_factor\": %.6f, \"block_us\": %.3f, \"mean_us\": %.3f, \"worst_us\": "
           "%.3f, \"peak\": %.9g, \"error_to_signal\": ",
           s->in.rate, s->in.n_channels, s->in.n_frames, s->most, through, ink_context_kernel(s->ctx), f->factor,
           1e6 * f->period, 1e6 * f->mean, 1e6 * f->worst, f->peak);
    if (isnan(f->error))
        puts("null}");
    else
        printf("%.9g}\n", f->error);
}

/* ---- pictures --------------------------------------------------------------------------------------------------- */

static bool write_picture(const plot *p, const char *name)
{
    char path[PATH_ROOM];
    FILE *file = path_join(path, svg, name) ? file_create(path) : NULL;
    if (file == NULL)
        return false;
    plot_write_svg(p, file);
    return file_close(file, path);
}

/* Ten milliseconds of the first channel: the loudest note, a tenth of a second after it was struck. */
static bool picture_wave(const session *s)
{
    const size_t n_channels = s->in.n_channels;
    size_t n = s->in.rate / 100 + 1, first = 0;
    n = n < s->in.n_frames ? n : s->in.n_frames;
    for (size_t t = 0; t < s->in.n_frames; t++)
        if (fabsf(s->in.samples[t * n_channels]) > fabsf(s->in.samples[first * n_channels]))
            first = t;
    first += s->in.rate / 10;
    first = first + n > s->in.n_frames ? s->in.n_frames - n : first;
    double *x = console_memory(4 * n, sizeof *x);
    if (x == NULL)
        return false;
    double *in = x + n, *out = in + n, *wanted = out + n;
    circuit true_one;
    circuit_start(&true_one, s->in.rate);
    for (size_t t = 0; t < first + n; t++) {
        float d;
        circuit_process(&true_one, &s->in.samples[t * n_channels], 1, &d);
        if (t >= first) {
            x[t - first] = 1e3 * (double)(t - first) / s->in.rate;
            in[t - first] = (double)s->in.samples[t * n_channels];
            out[t - first] = (double)s->out.samples[t * n_channels];
            wanted[t - first] = (double)d;
        }
    }
    plot p = {.title = "Into the amplifier, and out of it", .x_label = "time, ms", .y_label = "sample"};
    p.lines[p.n_lines++] = (plot_line){"input", CHART_MLP, x, in, n};
    p.lines[p.n_lines++] = (plot_line){through, CHART_LSTM, x, out, n};
    if (has_circuit(s))
        p.lines[p.n_lines++] = (plot_line){"circuit", CHART_REFERENCE, x, wanted, n};
    bool done = write_picture(&p, "amp-wave.svg");
    free(x);
    return done;
}

/* Output over input: the last two of many periods of a sine. An amplifier without memory would draw a curve. */
static bool picture_curve(session *s)
{
    enum { PERIOD = 240, N = 2 * PERIOD, PERIODS = 100 };
    static float sine[N], bent[N], d[N];
    static double in[N], out[N], wanted[N];
    float *x = sine, *y = bent;
    circuit true_one;
    circuit_start(&true_one, s->in.rate);
    for (size_t t = 0; t < N; t++)
        in[t] = (double)(sine[t] = (float)(0.3 * sin(6.283185307179586 * (double)t / PERIOD)));
    if (!amp_prepare(&s->network, 1, N))
        return console_complain("%s", s->network.error);
    for (size_t i = 0; i < PERIODS / 2; i++) {
        if (!amp_process(&s->network, (const float *const *)&x, N, &y))
            return console_complain("%s", ink_context_error(s->ctx));
        circuit_process(&true_one, sine, N, d);
    }
    for (size_t t = 0; t < N; t++) {
        out[t] = (double)bent[t];
        wanted[t] = (double)d[t];
    }
    plot p = {.title = "Output over input, for a low sine", .x_label = "input", .y_label = "output"};
    p.lines[p.n_lines++] = (plot_line){"network", CHART_LSTM, in, out, N};
    if (has_circuit(s))
        p.lines[p.n_lines++] = (plot_line){"circuit", CHART_REFERENCE, in, wanted, N};
    return write_picture(&p, "amp-curve.svg");
}

/* The blocks in 200 groups: the median and the worst of each, beside the time there is. */
static bool picture_times(const session *s, const figures *f)
{
    enum { GROUPS = 200 };
    static double x[GROUPS], median[GROUPS], worst[GROUPS], period[GROUPS];
    size_t n = s->n_blocks < GROUPS ? s->n_blocks : GROUPS;
    for (size_t i = 0; i < n; i++) {
        size_t first = i * s->n_blocks / n, end = (i + 1) * s->n_blocks / n;
        x[i] = (double)first * f->period;
        median[i] = 1e6 * stats_median(s->times + first, end - first);
        worst[i] = 1e6 * s->times[end - 1]; /* they are sorted now */
        period[i] = 1e6 * f->period;
    }
    plot p = {.title = "The time of a block", .x_label = "time in the sound, s", .y_label = "us", .log_y = true};
    p.lines[p.n_lines++] = (plot_line){"worst", CHART_RNN, x, worst, n};
    p.lines[p.n_lines++] = (plot_line){"median", CHART_LSTM, x, median, n};
    p.lines[p.n_lines++] = (plot_line){"time there is", CHART_REFERENCE, x, period, n};
    return write_picture(&p, "amp-blocks.svg");
}

/* ---- the program ------------------------------------------------------------------------------------------------ */

static bool run(ink_context *ctx)
{
    session s = {.ctx = ctx};
    const char *path = line.arguments[demo ? 0 : 1];
    bool to_stdout = path != NULL && strcmp(path, "-") == 0;
    bool done = (!(to_stdout && json) || console_complain("--json writes to stdout, as OUT.wav does: expected one")) &&
                console_takes_pictures(svg) && open_sound(&s) && open_amplifiers(&s) && play(&s);
    if (done) {
        figures f = measure(&s);
        done = path == NULL || wav_write(path, &s.out);
        if (done && json)
            print_json(&s, &f);
        else if (done)
            print_figures(&s, &f, to_stdout ? stderr : stdout);
        done = done && (svg == NULL || s.in.n_frames == 0 ||
                        (picture_wave(&s) && (!is_through("network") || (picture_curve(&s) && picture_times(&s, &f)))));
    }
    for (size_t c = 0; c < s.in.n_channels && s.x != NULL; c++)
        free(s.x[c]);
    free(s.x);
    free(s.y);
    free(s.circuits);
    free(s.times);
    free(s.in.samples);
    free(s.out.samples);
    amp_close(&s.network);
    return done;
}

int main(int argc, char **argv) { return cli_main(&line, argc, argv, run); }
