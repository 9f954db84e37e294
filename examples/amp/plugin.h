/*
 * plugin.h - a network of PyTorch as the inside of an audio plug-in (VST 3, CLAP, Audio Unit, LV2).
 *
 *     amp a;
 *     amp_open(&a, ctx, "model.safetensors");    the plug-in is made
 *     amp_prepare(&a, 2, 512);                   the host tells the number of channels and the longest block
 *     amp_process(&a, in, n, out);               on the audio thread, block after block, n <= 512
 *     amp_reset(&a);                             the player jumps to another place
 *     amp_close(&a);
 *
 * A host asks for a block of, say, 64 samples every 1.3 ms, and a block that comes too late is heard as a click. So
 * what runs on the audio thread must not wait: it takes no memory from the system, no lock, and opens no file.
 * amp_open() and amp_prepare() take all memory; after them amp_process() and amp_reset() compute and do nothing else.
 *
 * Every instance of the plug-in has a context of its own, because one thread at a time may use a context, and one
 * without worker threads, because these would have to be woken. Blocks may have any lengths: the sound does not depend
 * on where it is cut, not by one bit. The library sets the float mode it needs and puts back the host's.
 */
#ifndef EXAMPLES_PLUGIN_H
#define EXAMPLES_PLUGIN_H

#include <inkling.h>

/*
 * The network that most amplifier plug-ins run, under the names that it has in their state_dicts. From sample to sample
 *
 *     h, c = LSTM(x, h, c)      nn.LSTM    "rec"   what it remembers of the past
 *     y = x + W h + b           nn.Linear  "lin"   what the amplifier adds to the sound
 */
typedef struct amp {
    ink_context *ctx; /* the caller's */
    ink_recurrent *lstm;
    ink_dense *dense;
    double rate;     /* samples a second of the sounds it learned from, metadata "sample_rate"; 0: the file is silent */
    char error[512]; /* why amp_open() or amp_prepare() failed, as one sentence */

    /* Of amp_prepare(). */
    size_t n_channels, most;
    float *rest;             /* [state_size] h and c after a long silence */
    float *states;           /* [n_channels, state_size] h and c of each channel */
    ink_sequence *sequences; /* [n_channels] */
    float *hidden;           /* [n_channels, most, hidden_size] h of each sample */
    float *added;            /* [most] W h + b */
} amp;

/* Opens a safetensors file. False, with a sentence in a->error, if that fails, also if the network takes more than a
   sample (a knob, say). Call amp_close() in any case. */
bool amp_open(amp *a, ink_context *ctx, const char *path);

/* Takes the memory for blocks of at most `most` samples of each channel. What follows sounds as after a long silence.
   May be called again, when the host changes its mind. False, with a sentence in a->error, if there is no memory. */
bool amp_prepare(amp *a, size_t n_channels, size_t most);

/* The next n samples of each channel: out[c] [n] from in[c] [n], which may be the same array. False, and out as it was,
   if n is above `most`. */
bool amp_process(amp *a, const float *const *in, size_t n, float *const *out);

/* Forgets the past: what follows sounds as after a long silence. */
void amp_reset(amp *a);

void amp_close(amp *a);

#endif
