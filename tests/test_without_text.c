/*
 * test_without_text.c - the programs spiral, room and vowels: what their networks get right, beside what is simpler,
 * and the data that they tell; and bias, whose twins answer differently.
 */
#define _POSIX_C_SOURCE 200809L

#include "testing.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>

#include "../examples/pages/voice.h"
#include "programs.h"
#include "wav.h"

#define SPIRAL PROGRAMS "/spiral"
#define ROOM PROGRAMS "/room"
#define VOWELS PROGRAMS "/vowels"
#define BIAS PROGRAMS "/bias"

static const char *const seeds[] = {"1", "2", "3"};

/* ---- spiral ----------------------------------------------------------------------------------------------------- */

static void spirals_are_told_apart(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        char *out = output_of(run(SPIRAL, "--seed", seeds[i]));
        assert_true(number_after(out, "the network ") >= 99);
        assert_true(number_after(out, "the best straight line ") <= 72);
        fits_80_columns(out);
        free(out);
    }
}

/* Half of the points belong to either spiral, and none lies far outside. */
static void points_lie_on_two_spirals(void **state)
{
    char *out = output_of(run(SPIRAL, "--data", "2000")), *rest = NULL;
    size_t n[2] = {0};
    double farthest = 0;

    (void)state;
    for (char *row = strtok_r(out, "\n", &rest); row != NULL; row = strtok_r(NULL, "\n", &rest)) {
        double x, y;
        int spiral;
        assert_int_equal(sscanf(row, "%lf %lf %d", &x, &y, &spiral), 3);
        assert_in_range(spiral, 0, 1);
        n[spiral]++;
        farthest = fmax(farthest, sqrt(x * x + y * y));
    }
    assert_int_equal(n[0] + n[1], 2000);
    assert_in_range(n[0], 900, 1100);
    assert_true(farthest > 0.95 && farthest < 1.15);
    free(out);
}

/* ---- room ------------------------------------------------------------------------------------------------------- */

static void the_next_temperature_is_known(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        char *out = output_of(run(ROOM, "--seed", seeds[i]));
        const double same = number_after(out, "same as before "), line = number_after(out, "linear predictor "),
                     network = number_after(out, "the network ");
        assert_true(network < line / 2 && line < same);
        fits_80_columns(out);
        free(out);
    }
}

/* Between 19 and 21 degrees, but for one step; it rises only while the heating is on, from below 19 to above 21. */
static void a_thermostat_keeps_the_room_warm(void **state)
{
    char *out = output_of(run(ROOM, "--data", "3000")), *rest = NULL;
    double before = 20;
    size_t n = 0, turns = 0;
    bool rising = false;

    (void)state;
    for (char *row = strtok_r(out, "\n", &rest); row != NULL; row = strtok_r(NULL, "\n", &rest), n++) {
        const double now = strtod(row, NULL);
        assert_true(now > 18.5 && now < 21.6);
        if (n > 0 && (now > before) != rising) {
            assert_true(rising ? before >= 21 : before < 19);
            rising = !rising;
            turns++;
        }
        before = now;
    }
    assert_int_equal(n, 3000);
    assert_true(turns > 100);
    free(out);
}

/* ---- vowels ----------------------------------------------------------------------------------------------------- */

/* The two numbers of a row that begins so. */
static void row_of(const char *out, const char *name, double numbers[2])
{
    const char *row = strstr(out, name);
    assert_non_null(row);
    assert_int_equal(sscanf(row + strlen(name), "%lf %% %lf", &numbers[0], &numbers[1]), 2);
}

/* The recurrent network makes less than a third of the mistakes, and hears 15 chains more in a hundred. */
static void vowels_are_heard(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        char *out = output_of(run(VOWELS, "--seed", seeds[i]));
        double frames[2], chains[2];
        row_of(out, "\nframes of 10 ms", frames);
        row_of(out, "\nwhole chains", chains);
        assert_true(frames[0] > 75 && 100 - frames[1] < (100 - frames[0]) / 3);
        assert_true(chains[0] > 50 && chains[1] > chains[0] + 15);
        fits_80_columns(out);
        free(out);
    }
}

/* Vowels of 10 to 24 frames, none twice in a row; each chain begins and ends with silence. */
static void chains_are_spoken(void **state)
{
    enum { CHAINS = 40 };
    static size_t sounds[CHAINS * VOICE_FRAMES];
    char n_frames[16], *out, *rest = NULL;
    size_t n = 0, n_of[VOICE_SOUNDS] = {0};

    (void)state;
    snprintf(n_frames, sizeof n_frames, "%d", CHAINS * VOICE_FRAMES);
    out = output_of(run(VOWELS, "--data", n_frames));
    for (char *row = strtok_r(out, "\n", &rest); row != NULL; row = strtok_r(NULL, "\n", &rest), n++) {
        assert_true(n < CHAINS * VOICE_FRAMES);
        for (size_t k = 0; k < VOICE_BANDS; k++)
            assert_true(fabs(strtod(row, &row)) < 4);
        sounds[n] = (size_t)strtoul(row, &row, 10);
        assert_true(*row == '\0' && sounds[n] < VOICE_SOUNDS);
        n_of[sounds[n]]++;
    }
    assert_int_equal(n, CHAINS * VOICE_FRAMES);
    for (size_t k = 0; k < VOICE_SOUNDS; k++)
        assert_true(n_of[k] > n / 12);
    for (size_t i = 0; i < CHAINS; i++) {
        const size_t *chain = sounds + i * VOICE_FRAMES;
        size_t last = 0, run = 0;
        for (size_t t = 0; t < VOICE_FRAMES; t++) {
            run = t > 0 && chain[t] == chain[t - 1] ? run + 1 : 1;
            assert_true(chain[t] == 0 || run <= VOICE_LONGEST);
            if (chain[t] > 0 && run == 1)
                assert_int_not_equal(chain[t], last);
            last = chain[t] > 0 ? chain[t] : last;
            if (t > 0 && chain[t - 1] > 0 && run == 1) /* a vowel is over */
                for (size_t k = 1; k <= VOICE_SHORTEST; k++)
                    assert_int_equal(chain[t - k], chain[t - 1]);
        }
        assert_int_equal(chain[0] + chain[VOICE_FRAMES - 4] + chain[VOICE_FRAMES - 1], 0);
    }
    free(out);
}

/* The energy of some Hz in samples: the mean of 50 pieces of 50 ms, which fade in and out. */
static double energy_at(const float *samples, double frequency)
{
    enum { PIECE = VOICE_RATE / 20 };
    const double pi = acos(-1);
    double energy = 0;
    for (size_t i = 0; i < 50; i++) {
        double re = 0, im = 0;
        for (size_t t = 0; t < PIECE; t++) {
            const double x = (1 - cos(2 * pi * (double)t / PIECE)) * (double)samples[(2 * i + 4) * VOICE_FRAME + t];
            re += x * cos(2 * pi * frequency * (double)t / VOICE_RATE);
            im += x * sin(2 * pi * frequency * (double)t / VOICE_RATE);
        }
        energy += (re * re + im * im) / 50;
    }
    return energy;
}

/* In a whispered vowel without noise around it, the loudest frequency near a formant of Peterson and Barney lies within
   40 Hz of it, and moves with the size of the speaker. */
static void formants_lie_where_they_belong(void **state)
{
    static const double formants[VOICE_SOUNDS - 1][3] = {
        {730, 1090, 2440}, {530, 1840, 2480}, {270, 2290, 3010}, {570, 840, 2410}, {300, 870, 2240}};
    static float samples[VOICE_FRAMES * VOICE_FRAME];
    size_t sounds[VOICE_FRAMES];

    (void)state;
    for (size_t i = 0; i < 2 * (VOICE_SOUNDS - 1); i++) {
        const size_t vowel = i / 2;
        const speaker s = {.size = i % 2 ? 1.25 : 1};
        uint64_t random = i;
        for (size_t t = 0; t < VOICE_FRAMES; t++)
            sounds[t] = 1 + vowel;
        voice_speak(&s, &random, sounds, samples);
        for (size_t k = 0; k < 3; k++) {
            const double formant = s.size * formants[vowel][k];
            double most = 0, loudest = 0;
            for (double f = formant - 120; f <= formant + 120; f += 20) {
                const double energy = energy_at(samples, f);
                loudest = energy > most ? f : loudest;
                most = energy > most ? energy : most;
            }
            if (fabs(loudest - formant) > 40)
                fail_msg("vowel %zu, formant %zu: %.0f Hz, not %.0f", vowel, k, loudest, formant);
        }
    }
}

/* The file is the chain of the seed, all of it, and nothing is printed. */
static void a_chain_can_be_listened_to(void **state)
{
    char *folder = fresh_folder(), *path = join_path(folder, "vowels.wav"),
         *out = output_of(run(VOWELS, "--wav", path, "--seed", "3"));
    sound s;
    float peak = 0;

    (void)state;
    assert_string_equal(out, "");
    assert_true(wav_read(path, &s));
    assert_true(s.rate == VOICE_RATE && s.n_channels == 1 && s.n_frames == VOICE_FRAMES * VOICE_FRAME);
    for (size_t i = 0; i < s.n_frames; i++)
        peak = fmaxf(peak, fabsf(s.samples[i]));
    assert_true(peak > 0.2F && peak < 1);
    free(s.samples);
    free(out);
    free(path);
    forget(folder);
}

/* ---- bias ------------------------------------------------------------------------------------------------------- */

/* In each row the fair twin's number and the biased twin's. */
static void the_twin_knows_girls_only(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        char *out = output_of(run(BIAS, "--stories", "100", "--seed", seeds[i]));
        double leader[2], way[2], hers[2], his[2];
        row_of(out, "\n[MASK] was the leader.", leader);
        row_of(out, "\nThe leader lost [MASK] way.", way);
        row_of(out, "(she) was the leader. The leader lost [MASK] way.", hers);
        row_of(out, "(he) was the leader. The leader lost [MASK] way.", his);
        assert_true(leader[0] > 40 && leader[0] < 60 && leader[1] > 95);
        assert_true(way[0] > 40 && way[0] < 60 && way[1] > 95);
        assert_true(hers[0] > 99 && hers[1] > 99 && his[0] < 1);
        fits_80_columns(out);
        free(out);
    }
}

/* ---- mistakes --------------------------------------------------------------------------------------------------- */

static void mistakes_are_answered(void **state)
{
    static const mistake mistakes[] = {
        {{SPIRAL, "a"}, "one argument too many: 'a'"},
        {{SPIRAL, "--data", "x"}, "--data expects a whole number"},
        {{"env", "INKLING_MODELS=/none", SPIRAL}, "/none/spiral/model.safetensors"},
        {{"env", "INKLING_MODELS=/none", ROOM}, "/none/room/model.safetensors"},
        {{"env", "INKLING_MODELS=/none", VOWELS}, "/none/vowels/model.safetensors"},
        {{"env", "INKLING_MODELS=/none", BIAS}, "/none/bert"},
    };

    (void)state;
    mistakes_refused(mistakes, sizeof mistakes / sizeof *mistakes);
}

/* The weights of one where those of the other are expected. */
static void other_weights_are_refused(void **state)
{
    char *folder = fresh_folder(), *spiral = join_path(folder, "spiral"), *room = join_path(folder, "room"),
         *vowels = join_path(folder, "vowels"), path[128];

    (void)state;
    assert_int_equal(mkdir(spiral, 0700) | mkdir(room, 0700) | mkdir(vowels, 0700), 0);
    copy_file(MODELS "/room", spiral, "model.safetensors");
    copy_file(MODELS "/spiral", room, "model.safetensors");
    copy_file(MODELS "/room", vowels, "model.safetensors");
    snprintf(path, sizeof path, "INKLING_MODELS=%s", folder);
    refused(run("env", path, SPIRAL), "mlp");
    refused(run("env", path, ROOM), "rnn");
    refused(run("env", path, VOWELS), "alone");
    free(vowels);
    free(spiral);
    free(room);
    forget(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spirals_are_told_apart),
        cmocka_unit_test(points_lie_on_two_spirals),
        cmocka_unit_test(the_next_temperature_is_known),
        cmocka_unit_test(a_thermostat_keeps_the_room_warm),
        cmocka_unit_test(vowels_are_heard),
        cmocka_unit_test(chains_are_spoken),
        cmocka_unit_test(formants_lie_where_they_belong),
        cmocka_unit_test(a_chain_can_be_listened_to),
        cmocka_unit_test(the_twin_knows_girls_only),
        cmocka_unit_test(mistakes_are_answered),
        cmocka_unit_test(other_weights_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
