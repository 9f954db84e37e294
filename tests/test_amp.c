/*
 * test_amp.c - the amplifier: PyTorch's numbers, the circuit it learned from, the same bits however a sound is cut;
 * and WAV files of all kinds, whole and broken.
 */
#define _POSIX_C_SOURCE 200809L

#include "testing.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

#include "circuit.h"
#include "counting.h"
#include "guitar.h"
#include "layers.h"
#include "numbers.h"
#include "plugin.h"
#include "programs.h"
#include "wav.h"

#define AMP PROGRAMS "/amp"
#define MODEL MODELS "/amp/model.safetensors"

static amp open_amp(ink_context *ctx, size_t n_channels, size_t most)
{
    amp a;
    if (!amp_open(&a, ctx, MODEL) || !amp_prepare(&a, n_channels, most))
        fail_msg("%s", a.error);
    return a;
}

/* The whole of a sound of one channel, in blocks of `block`. */
static void amplify(ink_context *ctx, const float *x, size_t n, size_t block, float *y)
{
    amp a = open_amp(ctx, 1, block);
    for (size_t at = 0; at < n; at += block) {
        const float *in = x + at;
        float *out = y + at;
        assert_true(amp_process(&a, &in, n - at < block ? n - at : block, &out));
    }
    amp_close(&a);
}

/* ---- the network ------------------------------------------------------------------------------------------------ */

static void sounds_are_those_of_pytorch(ink_context *ctx)
{
    ink_weights *file = test_fixture(ctx, FIXTURES "/bundled/amp.safetensors");
    size_t n;
    float *x = test_tensor(ctx, file, "x", &n), *y = test_tensor(ctx, file, "y", NULL), *ours = test_floats(n);
    for (size_t row = 0; row < 2; row++)
        amplify(ctx, x + row * (n / 2), n / 2, 64, ours + row * (n / 2));
    test_assert_close(ours, y, n, 5e-6, 1e-5, "amp");
    ink_weights_free(file);
    free(ours);
    free(y);
    free(x);
}

/* It begins at rest: nothing in, nothing out, from the first sample on and after it has forgotten a loud sound. */
static void silence_stays_silent(ink_context *ctx)
{
    enum { N = 64 };
    static const float silence[N];
    float *x = test_random(N, 1, 0.5F), y[N], *out = y;
    const float *loud = x, *in = silence;
    amp a = open_amp(ctx, 1, N);
    for (int begin = 0; begin < 2; begin++) {
        assert_true(amp_process(&a, &in, N, &out));
        for (size_t t = 0; t < N; t++)
            if (fabsf(y[t]) > 2e-4F) /* 74 decibels below full scale */
                fail_msg("sample %zu after nothing is %g", t, (double)y[t]);
        assert_true(amp_process(&a, &loud, N, &out));
        amp_reset(&a);
    }
    amp_close(&a);
    free(x);
}

/* On songs that training did not hear; the error is a share of the signal's energy. */
static void it_sounds_like_the_circuit(ink_context *ctx)
{
    enum { N = 2 * GUITAR_RATE };
    float *x = test_floats(N), *y = test_floats(N), *d = test_floats(N);
    for (uint64_t seed = 1; seed < 4; seed++) {
        double error = 0, signal = 0;
        circuit c;
        guitar_play(x, N, seed);
        circuit_start(&c, GUITAR_RATE);
        circuit_process(&c, x, N, d);
        amplify(ctx, x, N, 64, y);
        for (size_t t = 0; t < N; t++) {
            error += ((double)d[t] - (double)y[t]) * ((double)d[t] - (double)y[t]);
            signal += (double)d[t] * (double)d[t];
        }
        if (!(error < 0.002 * signal))
            fail_msg("song %d: the error is %g of the signal", (int)seed, error / signal);
    }
    free(d);
    free(y);
    free(x);
}

/* The circuit bends: twice the input is not twice the output. It clips one side sooner, and has no direct current. */
static void the_circuit_is_one(void **state)
{
    enum { N = 48000, PERIOD = 240 };
    float *x = test_floats(N), *soft = test_floats(N), *loud = test_floats(N);
    double low = 0, high = 0, mean = 0, twice = 0;
    circuit c;

    (void)state;
    for (size_t t = 0; t < N; t++)
        x[t] = (float)sin(6.283185307179586 * (double)t / PERIOD) / 200;
    circuit_start(&c, 48000);
    circuit_process(&c, x, N, soft);
    for (size_t t = 0; t < N; t++)
        x[t] *= 100;
    circuit_start(&c, 48000);
    circuit_process(&c, x, N, loud);
    for (size_t t = N - 10 * PERIOD; t < N; t++) {
        low = fmin(low, (double)loud[t]);
        high = fmax(high, (double)loud[t]);
        twice = fmax(twice, 100 * fabs((double)soft[t]));
        mean += (double)loud[t] / (10 * PERIOD);
    }
    assert_true(fabs(mean) < 0.01);
    assert_true(high < 0.2 * twice && high > 0.1);
    assert_true(fabs(high + low) > 0.02);

    circuit_start(&c, 8000); /* its loudspeaker stops beyond half of this rate */
    circuit_process(&c, x, N, loud);
    for (size_t t = 0; t < N; t++)
        assert_true(fabsf(loud[t]) < 1);
    free(loud);
    free(soft);
    free(x);
}

static void songs_are_within_bounds_and_differ(void **state)
{
    enum { N = 20 * GUITAR_RATE }; /* eight bars, and more */
    float *x = test_floats(N), *y = test_floats(N);

    (void)state;
    for (uint64_t seed = 0; seed < 5; seed++) {
        double energy = 0;
        guitar_play(x, N, seed);
        for (size_t t = 0; t < N; t++) {
            assert_true(fabsf(x[t]) <= 1);
            energy += (double)(x[t] * x[t]);
        }
        assert_true(energy > 1e-4 * N);
        guitar_play(y, N, seed + 1);
        assert_memory_not_equal(x, y, N * sizeof *x);
        guitar_play(y, N / 2, seed); /* a longer song begins like a shorter one */
        assert_memory_equal(x, y, N / 2 * sizeof *x);
    }
    free(y);
    free(x);
}

/* ---- the plug-in ------------------------------------------------------------------------------------------------ */

/* Blocks of any lengths, channels side by side, in place, begun anew: always the bits of one channel in one block. */
static void blocks_give_the_same_bits(ink_context *ctx)
{
    enum { N = 3000, CHANNELS = 3, MOST = 200 };
    float *x[CHANNELS], *whole[CHANNELS], *y[CHANNELS];
    uint64_t random = 5;
    amp a = open_amp(ctx, CHANNELS, MOST);
    for (size_t c = 0; c < CHANNELS; c++) {
        x[c] = test_random(N, c + 1, 0.3F);
        whole[c] = test_floats(N);
        y[c] = test_floats(N);
        amplify(ctx, x[c], N, N, whole[c]);
    }
    for (int round = 0; round < 3; round++) { /* the last one in place */
        for (size_t at = 0, n; at < N; at += n) {
            const float *in[CHANNELS];
            float *out[CHANNELS];
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407U;
            n = round == 0 ? 1 + at / 40 % 7 : (size_t)(random >> 33) % (MOST + 1);
            n = n < N - at ? n : N - at;
            for (size_t c = 0; c < CHANNELS; c++) {
                in[c] = x[c] + at;
                out[c] = (round < 2 ? y[c] : x[c]) + at;
            }
            assert_true(amp_process(&a, in, n, out));
        }
        for (size_t c = 0; c < CHANNELS; c++)
            test_assert_same_bits(round < 2 ? y[c] : x[c], whole[c], N, "a channel");
        amp_reset(&a);
    }
    amp_close(&a);
    for (size_t c = 0; c < CHANNELS; c++) {
        free(x[c]);
        free(whole[c]);
        free(y[c]);
    }
}

static void every_kernel_gives_the_same_bits(void **state)
{
    enum { N = 2000 };
    ink_context *ctx = NULL;
    float *x = test_random(N, 3, 0.3F), *y = test_floats(N), *first = NULL;

    (void)state;
    for (size_t i = 0; (ctx = test_variant(ctx, i)) != NULL; i++) {
        amplify(ctx, x, N, 64, y);
        if (first == NULL) {
            first = y;
            y = test_floats(N);
        }
        test_assert_same_bits(y, i == 0 ? y : first, N, "a kernel");
    }
    free(first);
    free(y);
    free(x);
}

static void a_block_takes_no_memory(ink_context *ctx, counting *memory)
{
    enum { N = 512 };
    float *x = test_random(2 * N, 9, 0.3F), *y = test_floats(2 * N);
    const float *in[2] = {x, x + N};
    float *out[2] = {y, y + N};
    amp a = open_amp(ctx, 2, N);
    size_t takes = memory->takes;
    for (size_t n = 0; n <= N; n += 31)
        assert_true(amp_process(&a, in, n, out));
    amp_reset(&a);
    assert_true(amp_process(&a, in, N, out));
    assert_int_equal(memory->takes, takes);
    y[0] = 7;
    assert_false(amp_process(&a, in, N + 1, out)); /* more than was prepared for */
    assert_true(y[0] == 7);
    assert_true(amp_prepare(&a, 1, N + 1));
    amp_close(&a);
    free(y);
    free(x);
}

static void missing_memory_is_reported(ink_context *ctx, counting *memory)
{
    bool failed = true;
    for (size_t k = 1; failed; k++) {
        amp a;
        counting_fail_from(memory, k);
        bool done = amp_open(&a, ctx, MODEL) && amp_prepare(&a, 2, 64);
        failed = counting_failed(memory);
        assert_int_equal(done, !failed);
        if (failed)
            assert_non_null(strstr(a.error, "memory"));
        amp_close(&a);
    }
}

static void other_networks_are_refused(ink_context *ctx)
{
    static const struct {
        const char *path, *words;
    } others[] = {
        {FIXTURES "/none.safetensors", "none.safetensors"},
        {MODELS "/gpt/model.safetensors", "rec"},
        {MODELS "/gpt/config.json", "config.json"},
    };
    amp a;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_false(amp_open(&a, ctx, others[i].path));
        if (strstr(a.error, others[i].words) == NULL)
            fail_msg("'%s', expected '%s'", a.error, others[i].words);
        amp_close(&a);
    }

    /* LSTMs that run, but are no amplifiers: a knob, two directions, another size in between, two outputs. */
    static const struct {
        size_t in, hidden, directions, dense_in, dense_out;
    } shapes[] = {{1, 4, 1, 4, 1}, {2, 4, 1, 4, 1}, {1, 4, 2, 8, 1}, {1, 4, 1, 5, 1}, {1, 4, 1, 4, 2}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        char *folder = fresh_folder(), *path = join_path(folder, "model.safetensors");
        state_dict dict = {0};
        for (size_t d = 0; d < shapes[i].directions; d++) {
            static const char *const names[4] = {"weight_ih", "weight_hh", "bias_ih", "bias_hh"};
            for (size_t j = 0; j < 4; j++) {
                char name[64];
                snprintf(name, sizeof name, "rec.%s_l0%s", names[j], d == 1 ? "_reverse" : "");
                if (j < 2)
                    state_dict_matrix(&dict, name, 4 * shapes[i].hidden, j == 0 ? shapes[i].in : shapes[i].hidden);
                else
                    state_dict_vector(&dict, name, 4 * shapes[i].hidden);
            }
        }
        state_dict_matrix(&dict, "lin.weight", shapes[i].dense_out, shapes[i].dense_in);
        state_dict_vector(&dict, "lin.bias", shapes[i].dense_out);
        state_dict_write(&dict);
        write_file(folder, "model.safetensors", (const char *)dict.file, dict.file_size);
        assert_int_equal(amp_open(&a, ctx, path), i == 0);
        if (i > 0)
            assert_non_null(strstr(a.error, "expected 1 input, 1 direction, equally many in between, and 1 output"));
        assert_true(a.rate == 0);
        amp_close(&a);
        state_dict_free(&dict);
        free(path);
        forget(folder);
    }
}

/* ---- WAV files -------------------------------------------------------------------------------------------------- */

typedef struct bytes {
    char data[2048];
    size_t size;
} bytes;

static void put(bytes *b, const char *text, size_t size)
{
    assert_true(b->size + size <= sizeof b->data);
    memcpy(b->data + b->size, text, size);
    b->size += size;
}

static void put_le(bytes *b, uint64_t number, size_t width)
{
    char le[8];
    put(b, le, put_number(le, number, width));
}

/* The values of the samples in all files of these tests: exact in eight bits. */
static const double values[] = {0, 0.5, -0.5, -1, 0.25, 0.9921875, -0.0078125, 0.125, -0.25, 0.75, 0, -0.75};
enum { N_VALUES = sizeof values / sizeof *values };

typedef struct shape {
    unsigned format, channels, rate, bits;
    bool extensible, noisy; /* noisy: with chunks of other names, of odd sizes too */
} shape;

static bytes wav_of(shape s)
{
    bytes b = {.size = 0};
    put(&b, "RIFF\0\0\0\0WAVE", 12);
    if (s.noisy)
        put(&b, "LIST\5\0\0\0hello\0junk\0\0\0\0bext\2\0\0\0ab", 32);
    put(&b, "fmt ", 4);
    put_le(&b, s.extensible ? 40 : 16, 4);
    put_le(&b, s.extensible ? 0xfffe : s.format, 2);
    put_le(&b, s.channels, 2);
    put_le(&b, s.rate, 4);
    put_le(&b, (uint64_t)s.rate * s.channels * s.bits / 8, 4);
    put_le(&b, s.channels * s.bits / 8, 2);
    put_le(&b, s.bits, 2);
    if (s.extensible) {
        put_le(&b, 22, 2);
        put_le(&b, s.bits, 2);
        put_le(&b, 3, 4);
        put_le(&b, s.format, 2);
        put(&b, "\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71", 14);
    }
    if (s.noisy)
        put(&b, "fact\4\0\0\0abcdodd \1\0\0\0x\0", 22);
    put(&b, "data", 4);
    put_le(&b, N_VALUES * s.bits / 8, 4);
    for (size_t i = 0; i < N_VALUES; i++) {
        float single = (float)values[i];
        uint32_t low;
        uint64_t number = (uint64_t)(int64_t)(values[i] * ldexp(1, (int)s.bits - 1)) + (s.bits == 8 ? 128 : 0);
        memcpy(&low, &single, 4);
        if (s.format == 3 && s.bits == 32)
            number = low;
        else if (s.format == 3)
            memcpy(&number, &values[i], 8);
        put_le(&b, number, s.bits / 8);
    }
    if (s.noisy)
        put(&b, "id3 \3\0\0\0abc\0", 12);
    put_number(b.data + 4, b.size - 8, 4);
    return b;
}

/* Where a chunk begins. */
static size_t chunk(const bytes *b, const char *name)
{
    size_t at = 12;
    while (memcmp(b->data + at, name, 4) != 0)
        assert_true(++at + 8 <= b->size);
    return at;
}

static void every_kind_is_read(void **state)
{
    static const struct {
        unsigned format, bits;
    } kinds[] = {{1, 8}, {1, 16}, {1, 24}, {1, 32}, {3, 32}, {3, 64}};
    char *folder = fresh_folder(), *path = join_path(folder, "in.wav");

    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        for (unsigned channels = 1; channels <= 4; channels++)
            for (int way = 0; way < 4; way++) {
                sound s;
                bytes b = wav_of((shape){kinds[i].format, channels, 44100, kinds[i].bits, way & 1, way & 2});
                write_file(folder, "in.wav", b.data, b.size);
                assert_true(wav_read(path, &s));
                assert_int_equal(s.rate, 44100);
                assert_int_equal(s.n_channels, channels);
                assert_int_equal(s.n_frames, N_VALUES / channels);
                for (size_t t = 0; t < N_VALUES; t++)
                    assert_true((double)s.samples[t] == values[t]);
                free(s.samples);
            }
    free(path);
    forget(folder);
}

/* Programs that write to a pipe do not know the length. */
static void open_lengths_end_with_the_file(void **state)
{
    static const struct {
        uint32_t riff, data;
        bool noisy, whole;
    } lengths[] = {
        {0xffffffff, 0xffffffff, false, true}, {0, 0, false, true},        {36, 0, false, true},
        {0x7ffff024, 0x7ffff000, false, true}, {0, 0, true, true}, /* what is behind the samples counts as samples */
        {0, N_VALUES * 2, false, true},        {48 + 12, 0, false, false},
    };
    char *folder = fresh_folder(), *path = join_path(folder, "in.wav");

    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        sound s;
        bytes b = wav_of((shape){1, 1, 48000, 16, false, lengths[i].noisy});
        put_number(b.data + 4, lengths[i].riff, 4);
        put_number(b.data + chunk(&b, "data") + 4, lengths[i].data, 4);
        write_file(folder, "in.wav", b.data, b.size);
        assert_true(wav_read(path, &s));
        assert_int_equal(s.n_frames, !lengths[i].whole ? 0 : N_VALUES + (lengths[i].noisy ? 6 : 0));
        free(s.samples);
    }
    free(path);
    forget(folder);
}

static void broken_files_are_refused(void **state)
{
    const shape plain = {1, 2, 48000, 16, false, false};
    char *folder = fresh_folder(), *path = join_path(folder, "in.wav"), *out = join_path(folder, "out.wav");
    char *part = join_path(folder, "out.wav.part");
    const bytes whole = wav_of(plain);
    const size_t format = chunk(&whole, "fmt ") + 8, data = chunk(&whole, "data");
    const struct {
        size_t at, size; /* the bytes that are changed, and to what */
        uint64_t number;
        const char *words;
    } changes[] = {
        {0, 4, 0x30334449, "in.wav: is no WAV file: expected 'RIFF', a size and 'WAVE', found 'ID30' and 'WAVE'"},
        {3, 1, 'X', "found 'RIFX' and 'WAVE'"},
        {8, 4, 0x20495641, "found 'RIFF' and 'AVI '"},
        {12, 4, 0x20202020, "the chunk 'data' at byte 36 has no chunk 'fmt ' before it"},
        {16, 4, 14, "the chunk 'fmt ' has 14 bytes, expected 16 or more"},
        {16, 4, 5000, "the chunk 'fmt ' at byte 12 has 5000 bytes, and the file ends after 48"},
        {format, 2, 0x55, "its samples have the format 0x0055, expected 1 (PCM) or 3 (float)"},
        {format, 2, 0xfffe, "its samples have the format 0xfffe, expected 1"},
        {format, 2, 3, "its floats have 16 bits, expected 32 or 64"},
        {format + 2, 2, 0, "it has no channels, expected 1 or more"},
        {format + 2, 2, 3, "a frame has 4 bytes, expected 6: 3 channels of 16 bits"},
        {format + 4, 4, 0, "it has 0 samples a second, expected 1 or more"},
        {format + 12, 2, 5, "a frame has 5 bytes, expected 4"},
        {format + 14, 2, 12, "its samples have 12 bits, expected 8, 16, 24 or 32"},
        {data, 4, 0x61746164 ^ 1, "it has no chunk 'data', where its samples would be"},
        {data + 4, 4, 1000, "the chunk 'data' at byte 36 has 1000 bytes, and the file ends after 24"},
        {data + 4, 4, 22, "its samples have 22 bytes, expected a multiple of 4, which a frame has"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        bytes b = whole;
        put_number(b.data + changes[i].at, changes[i].number, changes[i].size);
        write_file(folder, "in.wav", b.data, b.size);
        refused(run(AMP, path, out), changes[i].words);
    }
    for (size_t size = 0; size < whole.size; size++) { /* cut anywhere */
        write_file(folder, "in.wav", whole.data, size);
        refused(run(AMP, path, out, "--through", "nothing"), "in.wav: ");
    }
    static const double odd[] = {NAN, INFINITY, 1e300};
    for (size_t i = 0; i < 3; i++) {
        bytes b = wav_of((shape){3, 2, 48000, 64, false, false});
        uint64_t number;
        memcpy(&number, &odd[i], 8);
        put_number(b.data + chunk(&b, "data") + 8 + 3 * 8, number, 8);
        write_file(folder, "in.wav", b.data, b.size);
        refused(run(AMP, path, out), "sample 1 of channel 2 is no finite number");
    }
    assert_int_not_equal(access(out, F_OK), 0);
    assert_int_not_equal(access(part, F_OK), 0);
    free(part);
    free(out);
    free(path);
    forget(folder);
}

/* ---- the program ------------------------------------------------------------------------------------------------ */

/* The sound of a run that writes to stdout: floats behind a header of 58 bytes. */
static float *samples_of(const process *p, size_t *n)
{
    if (p->code != 0)
        fail_msg("exit code %d: %s", p->code, p->err);
    assert_true(p->out_size >= 58 && (p->out_size - 58) % 4 == 0);
    *n = (p->out_size - 58) / 4;
    float *samples = test_floats(*n);
    memcpy(samples, p->out + 58, 4 * *n);
    return samples;
}

static void the_program_plays_the_plug_in(ink_context *ctx)
{
    enum { N = GUITAR_RATE };
    static const char *const blocks[] = {"1", "64", "1000", "65536"};
    float *x = test_floats(N), *y = test_floats(N);
    char *folder = fresh_folder(), *path = join_path(folder, "out.wav");
    size_t n, size;
    guitar_play(x, N, 3);
    amplify(ctx, x, N, 64, y);
    for (size_t i = 0; i < 4; i++) {
        process p = run(AMP, "--demo", "-", "--seconds", "1", "--seed", "3", "--block", blocks[i]);
        float *samples = samples_of(&p, &n);
        assert_int_equal(n, N);
        test_assert_same_bits(samples, y, N, blocks[i]);
        assert_non_null(strstr(p.err, "a riff: 1.0 s, 1 channel at 48,000 Hz"));
        free(samples);
        process_free(&p);
    }
    process p = run(AMP, "--demo", "-", "--seconds", "1", "--seed", "3", "--kernel", "portable");
    char *said = output_of(run(AMP, "--demo", path, "--seconds", "1", "--seed", "3")); /* a file, like stdout */
    char *file = read_file(folder, "out.wav", &size);
    assert_int_equal(size, p.out_size);
    assert_memory_equal(file, p.out, size);
    double error = number_after(said, "error against the circuit: ");
    assert_true(error > 0 && error < 1);
    assert_true(number_after(said, "peak of the output: ") < 1);
    free(file);
    free(said);
    process_free(&p);

    said = output_of(run(AMP, path, path, "--through", "nothing")); /* in place */
    free(said);
    file = read_file(folder, "out.wav", &size);
    assert_int_equal(size, 58 + 4 * N);
    assert_memory_equal(file + 58, y, 4 * N);
    free(file);
    free(path);
    forget(folder);
    free(y);
    free(x);
}

/* Each channel of a file has an amplifier of its own; --gain is in front of it; the circuit runs like the network. */
static void channels_are_apart(ink_context *ctx)
{
    float y[N_VALUES / 2], x[N_VALUES / 2], d[N_VALUES / 2];
    char *folder = fresh_folder(), *path = join_path(folder, "in.wav");
    bytes b = wav_of((shape){1, 2, 48000, 24, true, true});
    size_t n;
    write_file(folder, "in.wav", b.data, b.size);
    process p = run(AMP, path, "-", "--gain", "0.5", "--block", "4");
    process q = run(AMP, path, "-", "--gain", "0.5", "--through", "circuit");
    float *samples = samples_of(&p, &n), *others = samples_of(&q, &n);
    assert_int_equal(n, N_VALUES);
    for (size_t c = 0; c < 2; c++) {
        circuit one;
        for (size_t t = 0; t < N_VALUES / 2; t++)
            x[t] = 0.5F * (float)values[2 * t + c];
        amplify(ctx, x, N_VALUES / 2, 64, y);
        circuit_start(&one, 48000);
        circuit_process(&one, x, N_VALUES / 2, d);
        for (size_t t = 0; t < N_VALUES / 2; t++) {
            assert_true(samples[2 * t + c] == y[t]);
            assert_true(fabsf(others[2 * t + c] - d[t]) <= 1e-6F);
        }
    }
    assert_non_null(strstr(p.err, "2 channels at 48,000 Hz, in blocks of 4 "));
    assert_null(strstr(p.err, "learned at"));
    free(others);
    free(samples);
    process_free(&q);
    process_free(&p);

    b = wav_of((shape){1, 1, 44100, 16, false, false});
    write_file(folder, "in.wav", b.data, b.size);
    p = run(AMP, path);
    assert_int_equal(p.code, 0);
    assert_non_null(strstr(p.err, "(the network learned at 48000 samples a second, and "));
    assert_non_null(strstr(p.err, "in.wav has 44100"));
    assert_null(strstr(p.out, "against the circuit"));
    process_free(&p);

    p = run(AMP, path, "--gain", "1000", "--through", "nothing");
    assert_non_null(strstr(p.out, "peak of the output: 1000.000, beyond full scale"));
    process_free(&p);

    b = wav_of((shape){3, 1, 48000, 32, false, false});
    put_number(b.data + chunk(&b, "data") + 8 + 4 * 2, 0x7f000000, 4); /* 1.7e38 */
    write_file(folder, "in.wav", b.data, b.size);
    refused(run(AMP, path, "--gain", "100"), "--gain 100 makes frame 2 of ");
    free(path);
    forget(folder);
}

static void figures_and_pictures(void **state)
{
    static const char *const pictures[] = {"amp-wave.svg", "amp-curve.svg", "amp-blocks.svg"};
    char *folder = fresh_folder();

    (void)state;
    char *said = output_of(run(AMP, "--demo", "--seconds", "1", "--json", "--svg", folder));
    assert_true(number_after(said, "\"rate\": ") == 48000);
    assert_true(number_after(said, "\"frames\": ") == 48000);
    assert_true(number_after(said, "\"block\": ") == 64);
    double factor = number_after(said, "\"real_time_factor\": "), mean = number_after(said, "\"mean_us\": ");
    assert_true(factor > 0 && mean > 0 && fabs(mean / number_after(said, "\"block_us\": ") - factor) < 0.01 * factor);
    assert_true(number_after(said, "\"worst_us\": ") >= mean);
    assert_true(number_after(said, "\"error_to_signal\": ") < 0.01);
    assert_int_equal(said[strlen(said) - 2], '}');
    free(said);
    for (size_t i = 0; i < 3; i++) {
        size_t size;
        char *svg = read_file(folder, pictures[i], &size);
        assert_memory_equal(svg, "<svg ", 5);
        assert_string_equal(svg + size - 7, "</svg>\n");
        assert_null(strstr(svg, "nan"));
        assert_null(strstr(svg, "inf"));
        assert_non_null(strstr(svg, i == 2 ? ">worst</text>" : ">circuit</text>"));
        free(svg);
    }
    forget(folder);

    /* A sound without a sample. */
    bytes b = wav_of((shape){1, 1, 48000, 16, false, false});
    folder = fresh_folder();
    char *path = join_path(folder, "in.wav"), *out = join_path(folder, "out.wav");
    b.size -= N_VALUES * 2;
    put_number(b.data + 4, b.size - 8, 4);
    put_number(b.data + b.size - 4, 0, 4);
    write_file(folder, "in.wav", b.data, b.size);
    said = output_of(run(AMP, path, out, "--svg", folder));
    assert_non_null(strstr(said, "in.wav: 0.0 s, 1 channel"));
    free(said);
    sound s;
    assert_true(wav_read(out, &s));
    assert_int_equal(s.n_frames, 0);
    free(s.samples);
    free(out);
    free(path);
    forget(folder);
}

static void mistakes_are_answered(void **state)
{
    static const mistake mistakes[] = {
        {{AMP}, "IN.wav is missing; or --demo"},
        {{AMP, "--demo", "a.wav", "b.wav"}, "--demo expects OUT.wav alone, found 'a.wav' and 'b.wav'"},
        {{AMP, "a", "b", "c"}, "one argument too many: 'c'"},
        {{AMP, FIXTURES "/none.wav"}, "none.wav: cannot be read"},
        {{AMP, FIXTURES}, "cannot be read"},
        {{AMP, "--demo", FIXTURES}, "is no file, but a folder, a pipe or a device"},
        {{AMP, "--demo", FIXTURES "/none/out.wav"}, "out.wav.part: cannot be written"},
        {{AMP, "--demo", "--block", "0"}, "--block expects a whole number from 1 to 65536, found '0'"},
        {{AMP, "--demo", "--through", "wall"}, "--through expects one of: network circuit nothing; found 'wall'"},
        {{AMP, "--demo", "--svg", FIXTURES "/none"}, "--svg expects a folder"},
        {{AMP, "--demo", "-", "--json"}, "--json writes to stdout, as OUT.wav does"},
        {{AMP, "--demo", "--model", MODELS "/gpt/model.safetensors"}, "rec"},
        {{"env", "INKLING_MODELS=/none", AMP, "--demo"}, "/none/amp/model.safetensors"},
    };

    (void)state;
    mistakes_refused(mistakes, sizeof mistakes / sizeof *mistakes);
    /* What trains the network needs none. */
    process p = run("env", "INKLING_MODELS=/none", AMP, "--demo", "--through", "circuit", "--seconds", "1");
    free(output_of(p));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        context_test(sounds_are_those_of_pytorch),
        context_test(silence_stays_silent),
        context_test(it_sounds_like_the_circuit),
        cmocka_unit_test(the_circuit_is_one),
        cmocka_unit_test(songs_are_within_bounds_and_differ),
        context_test(blocks_give_the_same_bits),
        cmocka_unit_test(every_kernel_gives_the_same_bits),
        counted_test(a_block_takes_no_memory),
        counted_test(missing_memory_is_reported),
        context_test(other_networks_are_refused),
        cmocka_unit_test(every_kind_is_read),
        cmocka_unit_test(open_lengths_end_with_the_file),
        cmocka_unit_test(broken_files_are_refused),
        context_test(the_program_plays_the_plug_in),
        context_test(channels_are_apart),
        cmocka_unit_test(figures_and_pictures),
        cmocka_unit_test(mistakes_are_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
