/*
 * notes.h - sentences about things in a model's folder that were ignored because no result depends on them:
 *
 *     config.json: bos_token_id is 50256, but the vocabulary has 65 tokens: ignored
 *
 * Programs read them with ink_model_note() (inkling/model.h). A thing that would change a result is refused instead.
 */
#ifndef INK_IMPORT_NOTES_H
#define INK_IMPORT_NOTES_H

#include "../base/internal.h"

#define INK_MAX_NOTES 32 /* in its place the last one says that there are more */

typedef struct ink_notes {
    ink_arena *arena; /* of the model, so that they live as long as it does */
    const char *texts[INK_MAX_NOTES];
    size_t n;
} ink_notes;

/* Adds a note, with the formats of ink_fail(); notes may be NULL. A note that is there already is not added again. If
   there is no memory the arena has failed, which the caller checks at its end. */
void ink_note(ink_notes *notes, const char *format, ...) INK_PRINTF(2, 3);

#endif
