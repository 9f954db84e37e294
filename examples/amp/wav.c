/*
 * wav.c - WAV files: a list of chunks, each with a name of four letters and its size in bytes.
 *
 *     "RIFF" size "WAVE"
 *         "fmt " size   format, channels, rate, bytes a second, bytes a frame, bits a sample
 *         "data" size   frames
 *
 * All numbers are little-endian. A chunk with an odd size has one more byte behind it.
 */
#include "wav.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "console.h"

enum { PCM = 1, FLOAT = 3, EXTENSIBLE = 0xfffe };

typedef struct wav {
    const char *name; /* for messages */
    const unsigned char *bytes;
    size_t size;

    unsigned format, n_channels, rate, frame_size, bits; /* bits 0: no chunk "fmt " so far */
    const unsigned char *data;
    size_t data_size;
    bool is_open_ended; /* the header does not know how long the sound is */
} wav;

/* The number in n bytes, the lowest first. */
static uint64_t number_at(const unsigned char *bytes, size_t n)
{
    uint64_t number = 0;
    while (n-- > 0)
        number = number << 8 | bytes[n];
    return number;
}

static bool read_format(wav *w, const unsigned char *chunk, size_t size)
{
    /* The sixteen bytes of an extensible format: the format, and an end that is the same for all. */
    static const unsigned char end[14] = {0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71};
    if (size < 16)
        return console_complain("%s: the chunk 'fmt ' has %zu bytes, expected 16 or more", w->name, size);
    w->format = (unsigned)number_at(chunk, 2);
    w->n_channels = (unsigned)number_at(chunk + 2, 2);
    w->rate = (unsigned)number_at(chunk + 4, 4);
    w->frame_size = (unsigned)number_at(chunk + 12, 2);
    w->bits = (unsigned)number_at(chunk + 14, 2);
    if (w->format == EXTENSIBLE && size >= 40 && memcmp(chunk + 26, end, sizeof end) == 0)
        w->format = (unsigned)number_at(chunk + 24, 2);
    if (w->format != PCM && w->format != FLOAT)
        return console_complain("%s: its samples have the format 0x%04x, expected 1 (PCM) or 3 (float)", w->name,
                                w->format);
    if (w->format == PCM && w->bits != 8 && w->bits != 16 && w->bits != 24 && w->bits != 32)
        return console_complain("%s: its samples have %u bits, expected 8, 16, 24 or 32", w->name, w->bits);
    if (w->format == FLOAT && w->bits != 32 && w->bits != 64)
        return console_complain("%s: its floats have %u bits, expected 32 or 64", w->name, w->bits);
    if (w->n_channels == 0)
        return console_complain("%s: it has no channels, expected 1 or more", w->name);
    if (w->rate == 0)
        return console_complain("%s: it has 0 samples a second, expected 1 or more", w->name);
    if (w->frame_size != w->n_channels * (w->bits / 8))
        return console_complain("%s: a frame has %u bytes, expected %u: %u channels of %u bits", w->name, w->frame_size,
                                w->n_channels * (w->bits / 8), w->n_channels, w->bits);
    return true;
}

/* Finds the format and the samples. */
static bool read_chunks(wav *w)
{
    if (w->size < 12 || memcmp(w->bytes, "RIFF", 4) != 0 || memcmp(w->bytes + 8, "WAVE", 4) != 0)
        return console_complain("%s: is no WAV file: expected 'RIFF', a size and 'WAVE', found '%.4s' and '%.4s'",
                                w->name, (const char *)w->bytes, w->size < 12 ? "" : (const char *)w->bytes + 8);
    const uint64_t whole = number_at(w->bytes + 4, 4);
    for (size_t at = 12; w->size - at >= 8;) {
        const char *name = (const char *)w->bytes + at;
        size_t left = w->size - at - 8;
        uint64_t size = number_at(w->bytes + at + 4, 4);
        bool is_data = memcmp(name, "data", 4) == 0;
        /* Programs that write to a pipe leave 0, the largest number, or (SoX, arecord) one near 2^31. */
        if (is_data && size == 0 && whole + 8 != w->size)
            w->is_open_ended = true;
        if (is_data && size > left && size >= 0x7ffff000)
            w->is_open_ended = true;
        size = w->is_open_ended ? left : size;
        if (size > left)
            return console_complain("%s: the chunk '%.4s' at byte %zu has %llu bytes, and the file ends after %zu",
                                    w->name, name, at, (unsigned long long)size, left);
        if (is_data && w->bits == 0)
            return console_complain("%s: the chunk 'data' at byte %zu has no chunk 'fmt ' before it", w->name, at);
        if (is_data) {
            w->data = w->bytes + at + 8;
            w->data_size = (size_t)size;
            return true;
        }
        if (memcmp(name, "fmt ", 4) == 0 && !read_format(w, w->bytes + at + 8, (size_t)size))
            return false;
        at += 8 + (size_t)size;
        at += size % 2 == 1 && at < w->size;
    }
    return console_complain("%s: it has no chunk 'data', where its samples would be", w->name);
}

/* One sample; full scale is 1. */
static float sample_at(const wav *w, const unsigned char *bytes)
{
    uint64_t number = number_at(bytes, w->bits / 8);
    if (w->format == FLOAT && w->bits == 32) {
        uint32_t low = (uint32_t)number;
        float sample;
        memcpy(&sample, &low, sizeof sample);
        return sample;
    }
    if (w->format == FLOAT) {
        double sample;
        memcpy(&sample, &number, sizeof sample);
        return fabs(sample) <= 3.4e38 ? (float)sample : NAN;
    }
    if (w->bits == 8) /* the only one without a sign: 128 is silence */
        return ((float)number - 128) / 128;
    int64_t full = INT64_C(1) << (w->bits - 1), value = (int64_t)number;
    return (float)((double)(value < full ? value : value - 2 * full) / (double)full);
}

static bool read_samples(const wav *w, sound *s)
{
    size_t n = w->data_size / w->frame_size * w->n_channels;
    if (w->data_size % w->frame_size != 0 && !w->is_open_ended)
        return console_complain("%s: its samples have %zu bytes, expected a multiple of %u, which a frame has", w->name,
                                w->data_size, w->frame_size);
    *s = (sound){.rate = w->rate, .n_channels = w->n_channels, .n_frames = w->data_size / w->frame_size};
    if ((s->samples = console_memory(n, sizeof *s->samples)) == NULL)
        return false;
    for (size_t i = 0; i < n; i++) {
        s->samples[i] = sample_at(w, w->data + i * (w->bits / 8));
        if (!isfinite(s->samples[i]))
            return console_complain("%s: sample %zu of channel %zu is no finite number, or too large for a float",
                                    w->name, i / w->n_channels, i % w->n_channels + 1);
    }
    return true;
}

bool wav_read(const char *path, sound *s)
{
    bool from_stdin = strcmp(path, "-") == 0;
    wav w = {.name = from_stdin ? "stdin" : path};
    char *bytes = file_read(from_stdin ? NULL : path, &w.size);
    *s = (sound){0};
    w.bytes = (const unsigned char *)bytes;
    bool done = bytes != NULL && read_chunks(&w) && read_samples(&w, s);
    free(bytes);
    return done;
}

static void put_number(unsigned char **to, uint64_t number, size_t n)
{
    for (size_t i = 0; i < n; i++)
        *(*to)++ = (unsigned char)(number >> 8 * i);
}

static void put_name(unsigned char **to, const char *name)
{
    memcpy(*to, name, 4);
    *to += 4;
}

/* A header of 58 bytes. Formats other than PCM have to tell the number of frames in a chunk of its own, "fact". */
static size_t put_header(unsigned char *to, const sound *s, uint64_t data_size)
{
    unsigned char *at = to;
    put_name(&at, "RIFF");
    put_number(&at, 50 + data_size, 4);
    put_name(&at, "WAVE");
    put_name(&at, "fmt ");
    put_number(&at, 18, 4);
    put_number(&at, FLOAT, 2);
    put_number(&at, s->n_channels, 2);
    put_number(&at, s->rate, 4);
    put_number(&at, s->rate * 4 * s->n_channels, 4);
    put_number(&at, 4 * s->n_channels, 2);
    put_number(&at, 32, 2);
    put_number(&at, 0, 2); /* nothing more to say about the format */
    put_name(&at, "fact");
    put_number(&at, 4, 4);
    put_number(&at, s->n_frames, 4);
    put_name(&at, "data");
    put_number(&at, data_size, 4);
    return (size_t)(at - to);
}

bool wav_write(const char *path, const sound *s)
{
    unsigned char bytes[4096];
    char beside[PATH_ROOM];
    uint64_t n = (uint64_t)s->n_frames * s->n_channels;
    if (n > (UINT32_MAX - 50) / 4)
        return console_complain("%s: a WAV file holds at most 4 GB, and the sound has %llu samples of 4 bytes", path,
                                (unsigned long long)n);
    if (s->n_channels > UINT16_MAX / 4)
        return console_complain("%s: a WAV file holds at most %d channels of 4 bytes, and the sound has %zu", path,
                                UINT16_MAX / 4, s->n_channels);
    FILE *file = file_begin(path, beside);
    if (file == NULL)
        return false;
    size_t size = put_header(bytes, s, 4 * n);
    bool done = file_write(file, path, bytes, size);
    for (uint64_t i = 0; i < n && done;) {
        unsigned char *at = bytes;
        for (; i < n && at < bytes + sizeof bytes; i++) {
            uint32_t number;
            memcpy(&number, &s->samples[i], sizeof number);
            put_number(&at, number, 4);
        }
        done = file_write(file, path, bytes, (size_t)(at - bytes));
    }
    return file_end(file, path, beside, done);
}
