/*
 * compare.h - what the sections of the program compare have in common.
 *
 * A section has a claim. It measures, draws charts of what it found, and holds checks against the numbers: sentences
 * that are true of them or not. The verdict follows from the checks alone: the claim is borne out if all of them hold,
 * not borne out if none does, and partly borne out otherwise.
 */
#ifndef EXAMPLES_COMPARE_H
#define EXAMPLES_COMPARE_H

#include "bundled.h"
#include "chart.h"
#include "reader.h"
#include "stats.h"

/* The models in the box, in the order in which the field found them. */
enum { MLP, RNN, GRU, LSTM, GPT, N_FAMILIES };

typedef struct model_family {
    const char *folder, *name;
    char mark; /* in the terminal's charts */
} model_family;

extern const model_family families[N_FAMILIES];

typedef struct comparison {
    uint64_t seed;
    size_t n_stories;
    unsigned n_threads;
    const char *kernel; /* NULL: the best of this machine */

    ink_context *ctx; /* of one thread */
    char folders[N_FAMILIES][BUNDLED_ROOM];
    language_model models[N_FAMILIES];
    reader readers[N_FAMILIES];
    tale *tales;                /* [n_stories]: fresh ones, of the kind the models learned from */
    guess *guesses[N_FAMILIES]; /* tale i, token t at [i * READER_TOKENS + t - 1] */
} comparison;

/* Opens the models in the box, tells the stories, and lets every model read them. comparison_close() is due also after
   a failure. */
bool comparison_open(comparison *c);
void comparison_close(comparison *c);

/* A text for timing: a story that begins anew where it ends. */
void comparison_prompt(const comparison *c, ink_token prompt[READER_TOKENS]);

/* What the model of a family expected of token t, from 1 on, of tale i. */
guess comparison_guess(const comparison *c, size_t family, size_t i, size_t t);

enum { FINDING_CHARTS = 4, FINDING_CHECKS = 8, FINDING_ROOM = 256 };

typedef struct finding_check {
    bool holds;
    char text[FINDING_ROOM];
} finding_check;

typedef struct finding {
    chart charts[FINDING_CHARTS];
    size_t n_charts;
    finding_check checks[FINDING_CHECKS];
    size_t n_checks;
} finding;

#if defined(__GNUC__)
#define FINDING_FORMAT __attribute__((format(printf, 3, 4)))
#else
#define FINDING_FORMAT
#endif

/* Adds a chart and returns it; and a line for each family, in their order: lines[MLP] to lines[GPT]. */
chart *finding_chart(finding *f, const chart *settings);
void finding_lines(chart *c);

/* Notes whether a sentence holds of the numbers. */
void finding_note(finding *f, bool holds, const char *format, ...) FINDING_FORMAT;

/* To stdout: the charts, the checks, and the verdict. */
void finding_print(const finding *f);

typedef enum verdict { BORNE_OUT, PARTLY_BORNE_OUT, NOT_BORNE_OUT } verdict;

verdict finding_verdict(const finding *f);
const char *verdict_name(verdict v);

/*
 * What is kept of a memory, from chance, 0, to certainty, 1:  (right - chance) / (1 - chance), with its 95 % interval.
 * It is kept well if that is certainly most of it, and little if it is less than a fifth.
 */
typedef struct kept {
    double at, low, high;
    double percent; /* for people: what is below chance is nothing kept */
} kept;

kept kept_of(const stats_share *right, double chance);
bool kept_well(const kept *k);
bool kept_little(const kept *k);

/* Distances in tokens, in bins: what is asked about distance is asked of these. */
typedef struct distance_bin {
    size_t low, high;
} distance_bin;

enum { N_DISTANCES = 6 };
extern const distance_bin distances[N_DISTANCES];

/* The bin of a distance, or N_DISTANCES. */
size_t distance_find(size_t distance);
void distance_axis(chart *c);

/* A section. `measure` is false, with the sentence said, if something failed. */
typedef struct section {
    const char *name; /* a word, for --only */
    const char *title;
    const char *claim;
    bool timed; /* measures time: other numbers on every run */
    bool (*measure)(comparison *c, finding *f);
} section;

bool compare_learned(comparison *c, finding *f);
bool compare_context(comparison *c, finding *f);
bool compare_memory(comparison *c, finding *f);
bool compare_influence(comparison *c, finding *f);
bool compare_parallel(comparison *c, finding *f);
bool compare_cost(comparison *c, finding *f);
bool compare_switch(comparison *c, finding *f);
bool compare_position(comparison *c, finding *f);

#endif
