/*
 * voice.h - chains of vowels, spoken and listened to: what vowels.c learns from.
 */
#ifndef EXAMPLES_VOICE_H
#define EXAMPLES_VOICE_H

#include <stddef.h>
#include <stdint.h>

enum {
    VOICE_RATE = 8000,  /* samples a second, as on a telephone */
    VOICE_FRAME = 80,   /* samples of a frame: 10 ms */
    VOICE_FRAMES = 143, /* of a chain */
    VOICE_SHORTEST = 10,
    VOICE_LONGEST = 24, /* frames of a vowel */
    VOICE_SOUNDS = 6,   /* silence, a, e, i, o, u */
    VOICE_BANDS = 16    /* numbers that the ear makes of a frame */
};

typedef struct speaker {
    double size;  /* what the formants of a man are multiplied by: the smaller the speaker, the higher */
    double pitch; /* Hz; 0: whispers */
    double noise; /* around the speaker, 0 to 1 */
} speaker;

/* A chain of vowels for the frames, none of them twice in a row; behind about every other vowel there is a pause. The
   last frames are silent: a vowel ends at frame VOICE_FRAMES - 4 at the latest. */
void voice_plan(uint64_t *random, size_t sounds[VOICE_FRAMES]);

/* One speaker says all of it; full scale is 1. */
void voice_speak(const speaker *s, uint64_t *random, const size_t sounds[VOICE_FRAMES],
                 float samples[VOICE_FRAMES * VOICE_FRAME]);

/* What an ear makes of each frame. */
void voice_listen(const float samples[VOICE_FRAMES * VOICE_FRAME], float x[VOICE_FRAMES][VOICE_BANDS]);

#endif
