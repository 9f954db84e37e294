/*
 * settings.h - tables of settings: the folder of a tiny model or encoder with one key of its config.json changed.
 */
#ifndef INK_TESTS_SETTINGS_H
#define INK_TESTS_SETTINGS_H

#include "counting.h"
#include "fixture.h"

typedef struct setting {
    const char *fixture, *key, *value; /* value NULL: the key is taken away; key NULL: nothing is changed */
    ink_result result;
    const char *words; /* of the sentence */
} setting;

#define ENORMOUS "4611686018427387904" /* 2^62 */

/* Opens the folder with the setting. */
ink_result setting_open(ink_context *ctx, const setting *s, ink_model **model);

/* Each is refused as its row says, as refuse_folder() checks it. */
void settings_are_refused(const setting *settings, size_t n);

/* Each is accepted, and the logits have the bits they have without it, or (`same` false) others. */
void settings_are_compared(const setting *settings, size_t n, bool same);

/* Opening this folder fails with the result and the words. The sentence is short, no model is left, and at most 1 MiB
   was taken, so nothing was taken on the word of a file. `what` names the folder if the test fails. `memory` counts
   what `ctx` takes. */
void refuse_folder(ink_context *ctx, counting *memory, const char *what, const ink_memory_files *files,
                   ink_result result, const char *words);

#endif
