/*
 * guitar.c - plucked strings (Karplus, Strong 1983; Jaffe, Smith 1983), and a player who makes up riffs.
 *
 * A string is a loop of memory, one period long, that is filled with noise when it is plucked. Each time around, a
 * filter takes away a little, and more of the treble than of the bass:
 *
 *     y[t] = loss (y[t - N] + y[t - N - 1]) / 2
 *
 * N and the half sample of the mean make the pitch; an all-pass filter adds the fraction of a sample that is missing.
 */
#include "guitar.h"

#include <math.h>
#include <string.h>

#include "stats.h"

enum { N_STRINGS = 6, MAX_PERIOD = 640, STEPS = 8 }; /* E2 has a period of 582 samples; a bar has eight steps */

typedef struct string {
    float loop[MAX_PERIOD];
    size_t n, at;                   /* length of the loop, and the place in it */
    float loss, tuning;             /* tuning: the coefficient of the all-pass filter */
    float last, all_pass_in, tuned; /* of the last sample */
} string;

typedef struct player {
    string strings[N_STRINGS];
    uint64_t random;
    float *x; /* what has been played: [at] of [n] */
    size_t at, n;
} player;

/* 0 to 1. */
static double chance(player *p) { return (double)random_below(&p->random, 1 << 20) / (1 << 20); }

/* Plays on, without touching a string. */
static void ring(player *p, double seconds)
{
    size_t end = p->at + (size_t)(seconds * GUITAR_RATE);
    for (; p->at < end && p->at < p->n; p->at++) {
        float sum = 0;
        for (size_t i = 0; i < N_STRINGS; i++) {
            string *s = &p->strings[i];
            if (s->n == 0)
                continue;
            float out = s->loop[s->at], mean = s->loss * 0.5F * (out + s->last);
            s->tuned = s->tuning * (mean - s->tuned) + s->all_pass_in;
            s->all_pass_in = mean;
            s->last = out;
            s->loop[s->at] = s->tuned;
            s->at = s->at + 1 < s->n ? s->at + 1 : 0;
            sum += out;
        }
        p->x[p->at] = sum;
    }
}

/* Plucks a string that is held at a fret: `force` up to 1, `seconds` until it is 60 dB softer. */
static void pluck(player *p, size_t which, int fret, double force, double seconds)
{
    static const int open[N_STRINGS] = {0, 5, 10, 15, 19, 24}; /* half tones above E2 */
    string *s = &p->strings[which];
    double frequency = 82.4069 * pow(2, (open[which] + fret) / 12.0), period = GUITAR_RATE / frequency;
    *s = (string){.n = (size_t)(period - 0.6), .loss = (float)pow(10, -3 / (frequency * seconds))};
    double rest = period - 0.5 - (double)s->n; /* of the all-pass filter, 0.1 to 1.1 samples */
    s->tuning = (float)((1 - rest) / (1 + rest));

    /* Noise, which is duller if the string is plucked softly. At 1/7 of the string its seventh partial is silent. */
    float sound = 0, mean = 0, pick[MAX_PERIOD];
    for (size_t i = 0; i < s->n; i++) {
        sound += (float)(0.2 + 0.6 * force) * ((float)(2 * chance(p) - 1) - sound);
        pick[i] = sound;
    }
    for (size_t i = 0; i < s->n; i++) {
        s->loop[i] = pick[i] - pick[(i + s->n - s->n / 7) % s->n];
        mean += s->loop[i] / (float)s->n;
    }
    for (size_t i = 0; i < s->n; i++)
        s->loop[i] = 0.25F * (float)force * (s->loop[i] - mean);
}

/* The strings one after the other, from the lowest that sounds; returns the seconds that it took. A fret of -1: not. */
static double strum(player *p, const int frets[N_STRINGS], int higher, double force, double seconds)
{
    const double between = 0.012;
    double took = 0;
    for (size_t i = 0; i < N_STRINGS; i++)
        if (frets[i] >= 0) {
            pluck(p, i, frets[i] + higher, force, seconds);
            ring(p, between);
            took += between;
        }
    return took;
}

/* One bar of eight steps: a riff of the two lowest strings, a melody, or a chord that rings. */
static void play_bar(player *p, size_t bar, const unsigned char riff[STEPS], double step)
{
    static const int power[N_STRINGS] = {0, 2, 2, -1, -1, -1}, minor[N_STRINGS] = {0, 2, 2, 0, 0, 0},
                     muted[N_STRINGS] = {0, 2, -1, -1, -1, -1};
    static const int roots[] = {0, 0, 3, 5, 0, 0, 7, 5}, scale[] = {0, 3, 5, 7, 10}; /* E minor, pentatonic */
    int root = roots[bar % 8];
    double force = 0.35 + 0.65 * chance(p);
    size_t kind = bar % 8 == 3 ? 1 : bar % 8 == 7 ? 2 : 0;
    for (size_t i = 0; i < STEPS; i++) {
        double took = 0;
        if (kind == 1) { /* the melody, on the upper strings */
            size_t note = random_below(&p->random, 7);
            if (note < 5)
                pluck(p, 3 + random_below(&p->random, 3), scale[note], 0.4 + 0.6 * chance(p), 2);
        } else if (kind == 2) {
            took = i == 0 ? strum(p, minor, root, force, 4) : 0;
        } else if (riff[i] > 4) {
            took = strum(p, power, root, force, 3);
        } else if (riff[i] > 1) {
            took = strum(p, muted, root, 0.8 * force, 0.2);
        }
        ring(p, step - took);
    }
}

void guitar_play(float *x, size_t n, uint64_t seed)
{
    player p = {.random = seed, .x = x, .n = n};
    unsigned char riff[STEPS];
    double step = 60 / (90 + 40 * chance(&p)) / 2;
    for (size_t i = 0; i < STEPS; i++)
        riff[i] = (unsigned char)random_below(&p.random, 8);
    riff[0] = 7; /* the first beat is a chord */
    for (size_t bar = 0; p.at < n; bar++)
        play_bar(&p, bar, riff, step);
}
