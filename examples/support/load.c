/*
 * load.c - opening a model with a progress bar.
 */
#include "load.h"

#include "console.h"

#define PATIENCE 0.5 /* seconds without a bar */
#define PAUSE 0.1    /* seconds from one drawing to the next */

enum { BAR = 40 };

typedef struct bar {
    double next; /* when it is drawn again */
    bool drawn;
} bar;

/* "[##########                              ]  25 % of 1.26 GB" */
static bool draw(void *user, uint64_t done, uint64_t total)
{
    bar *b = user;
    char marks[BAR + 1], bytes[CONSOLE_ROOM];
    double share = total > 0 ? (double)done / (double)total : 1, now = console_seconds();

    if (now < b->next)
        return true;
    for (int i = 0; i < BAR; i++)
        marks[i] = i < share * BAR ? '#' : ' ';
    marks[BAR] = '\0';
    console_progress("[%s] %3.0f %% of %s", marks, 100 * share, console_bytes(bytes, total));
    b->next = now + PAUSE;
    b->drawn = true;
    return true;
}

ink_result load_model(ink_context *ctx, const char *folder, ink_pooling pooling, ink_model **model)
{
    bar b = {.next = console_seconds() + PATIENCE};
    ink_model_options options = {.pooling = pooling, .progress = draw, .progress_user = &b};
    ink_result result = ink_model_open(ctx, folder, &options, model);

    if (b.drawn)
        console_progress("%s", "");
    return result;
}
