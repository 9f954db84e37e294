/*
 * wav.h - sounds from and to WAV files.
 *
 * Reads PCM of 8, 16, 24 and 32 bits and floats of 32 and 64, plain or as WAVE_FORMAT_EXTENSIBLE, with any number of
 * channels at any rate. Chunks other than "fmt " and "data" are passed over. A program that writes to a pipe cannot
 * know the length: if a header leaves it open, the samples end with the file.
 *
 * Writes floats of 32 bits. They keep each sample as it is, also beyond full scale, where integers would clip.
 *
 * A function that returns bool answers whether to go on; if not, it has already printed why.
 */
#ifndef EXAMPLES_WAV_H
#define EXAMPLES_WAV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct sound {
    uint32_t rate;               /* frames a second */
    size_t n_channels, n_frames; /* a frame has a sample of each channel */
    float *samples;              /* [n_frames, n_channels], full scale is 1; to be released with free() */
} sound;

/* "-": stdin and stdout. A file is written whole or not at all. */
bool wav_read(const char *path, sound *s);
bool wav_write(const char *path, const sound *s);

#endif
