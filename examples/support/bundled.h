/*
 * bundled.h - where the models in the box are.
 */
#ifndef EXAMPLES_BUNDLED_H
#define EXAMPLES_BUNDLED_H

#include <stdbool.h>
#include <stddef.h>

#define BUNDLED_ROOM 1024

/* The folder of a bundled model, "mlp", "rnn", "gru", "lstm" or "gpt", into `room`: below the folder that the
   environment variable INKLING_MODELS names, else below the one the programs were built beside. False, with the
   sentence said, if the path is too long. */
bool bundled_folder(char room[BUNDLED_ROOM], const char *model);

/* folder/file into `room`; the same answer. */
bool bundled_join(char room[BUNDLED_ROOM], const char *folder, const char *file);

#endif
