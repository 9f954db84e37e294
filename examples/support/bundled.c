/*
 * bundled.c - where the models in the box are.
 */
#include "bundled.h"

#include <stdio.h>
#include <stdlib.h>

#include "console.h"

#ifndef EXAMPLES_MODELS
#define EXAMPLES_MODELS "examples/models"
#endif

bool bundled_join(char room[BUNDLED_ROOM], const char *folder, const char *file)
{
    int size = snprintf(room, BUNDLED_ROOM, "%s/%s", folder, file);

    if (size < 0 || size >= BUNDLED_ROOM) {
        console_complain("the path '%.60s...' is longer than %d bytes", folder, BUNDLED_ROOM - 1);
        return false;
    }
    return true;
}

bool bundled_folder(char room[BUNDLED_ROOM], const char *model)
{
    const char *models = getenv("INKLING_MODELS");

    return bundled_join(room, models != NULL && *models != '\0' ? models : EXAMPLES_MODELS, model);
}
