/*
 * voice.c - a voice that speaks vowels, and an ear. Both are made of resonators. A resonator that is struck rings at
 * its frequency f; the wider its band w, the sooner it falls silent (Klatt 1980):
 *
 *     y_t = a x_t + b y_(t-1) + c y_(t-2)          c = -exp(-2 pi w / rate)
 *                                                  b = 2 exp(-pi w / rate) cos(2 pi f / rate)
 *                                                  a = 1 - b - c
 *
 * The voice makes its sound as people do. The vocal cords give pulses, and the breath hisses. Both go through the
 * throat and the mouth, which are three resonators. Their frequencies, the formants, make the vowel: the tongue changes
 * them.
 */
#include "voice.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "stats.h"

typedef struct resonator {
    double a, b, c, last, before; /* y_(t-1), y_(t-2) */
} resonator;

static void tune(resonator *r, double frequency, double width)
{
    const double pi = 3.14159265358979324, fade = exp(-pi * width / VOICE_RATE);
    r->b = 2 * fade * cos(2 * pi * frequency / VOICE_RATE);
    r->c = -fade * fade;
    r->a = 1 - r->b - r->c;
}

static double ring(resonator *r, double x)
{
    const double y = r->a * x + r->b * r->last + r->c * r->before;
    r->before = r->last;
    r->last = y;
    return y;
}

void voice_plan(uint64_t *random, size_t sounds[VOICE_FRAMES])
{
    size_t t = 5 + (size_t)random_below(random, 15), vowel = 0, last;
    memset(sounds, 0, VOICE_FRAMES * sizeof *sounds);
    while (t + VOICE_LONGEST + 3 < VOICE_FRAMES) {
        for (last = vowel; vowel == last;)
            vowel = 1 + (size_t)random_below(random, VOICE_SOUNDS - 1);
        for (uint64_t n = VOICE_SHORTEST + random_below(random, VOICE_LONGEST - VOICE_SHORTEST + 1); n > 0; n--)
            sounds[t++] = vowel;
        if (random_below(random, 2) == 0)
            t += 4 + (size_t)random_below(random, 8);
    }
}

static double hiss(uint64_t *random) { return (double)random_below(random, 1 << 16) / (1 << 15) - 1; }

void voice_speak(const speaker *s, uint64_t *random, const size_t sounds[VOICE_FRAMES],
                 float samples[VOICE_FRAMES * VOICE_FRAME])
{
    /* In Hz, of a man: the means of 33 in Peterson and Barney, Control methods used in a study of the vowels (1952).
       The widths are usual ones. */
    static const double formants[VOICE_SOUNDS][3] = {
        {500, 1500, 2500},                                       /* at rest */
        {730, 1090, 2440}, {530, 1840, 2480}, {270, 2290, 3010}, /* a e i */
        {570, 840, 2410},  {300, 870, 2240},                     /* o u */
    };
    static const double widths[3] = {70, 100, 150};
    double pitch = s->pitch, turn = 0, cords = 0, loud = 0, at[3];
    resonator mouth[3] = {{0}};
    memcpy(at, formants[0], sizeof at);
    for (size_t t = 0; t < VOICE_FRAMES; t++) {
        pitch += 0.1 * (s->pitch - pitch) + 0.02 * s->pitch * hiss(random);
        for (size_t k = 0; k < 3; k++) { /* the tongue is on its way to the next vowel, and rests in a pause */
            at[k] += sounds[t] > 0 ? (s->size * formants[sounds[t]][k] - at[k]) / 2 : 0;
            tune(&mouth[k], at[k], widths[k]);
        }
        for (size_t i = 0; i < VOICE_FRAME; i++) {
            turn += pitch / VOICE_RATE;
            const bool pulse = turn >= 1;
            turn -= pulse;
            cords += 0.2 * (pulse - pitch / VOICE_RATE - cords); /* soft pulses around zero */
            loud += 0.01 * ((sounds[t] > 0) - loud);
            double x = loud * (cords + 0.05 * hiss(random));
            for (size_t k = 0; k < 3; k++)
                x = ring(&mouth[k], x);
            samples[t * VOICE_FRAME + i] = (float)((x + s->noise * hiss(random)) / 2);
        }
    }
}

/* The ear has 16 resonators, from 200 to 3,081 Hz. Each number is the energy of one during the frame, as a logarithm,
   since ears count loudness in factors. The resonators get the difference of a sample and the last one. This makes high
   tones louder, which are faint in voices. */
void voice_listen(const float samples[VOICE_FRAMES * VOICE_FRAME], float x[VOICE_FRAMES][VOICE_BANDS])
{
    resonator ear[VOICE_BANDS] = {{0}};
    double frequency = 200, before = 0;
    for (size_t k = 0; k < VOICE_BANDS; k++, frequency *= 1.2)
        tune(&ear[k], frequency, 0.2 * frequency);
    for (size_t t = 0; t < VOICE_FRAMES; t++) {
        double energies[VOICE_BANDS] = {0};
        for (size_t i = 0; i < VOICE_FRAME; i++) {
            const double now = (double)samples[t * VOICE_FRAME + i];
            for (size_t k = 0; k < VOICE_BANDS; k++) {
                const double y = ring(&ear[k], now - before);
                energies[k] += y * y;
            }
            before = now;
        }
        for (size_t k = 0; k < VOICE_BANDS; k++)
            x[t][k] = (float)(stats_log2(energies[k] + 1e-9) / 4);
    }
}
