/*
 * compare.h - what the sections of compare share.
 *
 * A section tests a claim. It measures, draws charts of its measurements, and checks sentences that are true of the
 * numbers or not. The verdict follows from the checks alone: the claim is borne out if all of them hold, not borne out
 * if none does, and partly borne out otherwise.
 *
 * All measurements ask a model the same question: given some tokens, how likely is each of the last few of them after
 * those before it?
 *
 *     question q = {.tokens = tokens, .n = n, .n_asked = 1, .guesses = &guess};
 *     reader_ask(&r, &q, 1);                  guess.p: the probability of tokens[n - 1]; guess.top: nothing is likelier
 */
#ifndef EXAMPLES_COMPARE_H
#define EXAMPLES_COMPARE_H

#include "chart.h"
#include "lm.h"
#include "stats.h"
#include "world.h"

/* ---- stories and questions -------------------------------------------------------------------------------------- */

/* Tokens of the longest text: the context of the bundled GPT. */
enum { READER_TOKENS = 256 };

/* A story in tokens. tokens[0] begins the text, tokens[n] ends it; 1 .. n are to be predicted. */
typedef struct tale {
    story story;
    ink_token tokens[READER_TOKENS + 1];
    size_t at[READER_TOKENS + 1]; /* byte offset in the story's text where token i begins; at[0] is 0 */
    size_t n;
} tale;

/* Tells story `index` of `seed` in tokens of this model. False after an error message. */
bool tale_tell(tale *t, const language_model *lm, const story_settings *settings, uint64_t seed, uint64_t index);

/* The token that contains byte `at` of the story's text. */
size_t tale_token(const tale *t, size_t at);

/* The place of a recall's answer, in tokens, and its distance from the last mention of the value. */
typedef struct tale_answer {
    size_t first, n;
    size_t distance; /* 1: the token before */
} tale_answer;

tale_answer tale_find(const tale *t, const story_recall *recall);

typedef struct guess {
    float p;  /* the probability of the token that came */
    bool top; /* no other token was likelier */
} guess;

typedef struct question {
    const ink_token *tokens;
    size_t n;       /* at least 2, and at most READER_TOKENS + 1 */
    size_t n_asked; /* how many of the last ones are asked about, less than n */
    guess *guesses; /* [n_asked] */
} question;

/* A model that answers questions, several at a time, each in a state of its own. */
enum { READER_BATCH = 16 };

typedef struct reader {
    const language_model *lm;
    ink_sampler *softmax; /* with temperature 1 alone it turns logits into probabilities */
    ink_state *states[READER_BATCH];
    float *logits; /* [READER_BATCH * READER_TOKENS, vocab_size] */
} reader;

/* Call reader_close() even after a failure. */
bool reader_open(reader *r, const language_model *lm);
void reader_close(reader *r);

/* Answers all questions. False after an error message. */
bool reader_ask(reader *r, const question *questions, size_t n);

/* Bits of surprise, -log2 p; at most 126, because a float cannot tell smaller p from zero. */
double guess_bits(float p);

/* ---- five models and many stories ------------------------------------------------------------------------------- */

/* The bundled language models. */
enum { MLP, RNN, GRU, LSTM, GPT, N_FAMILIES };

typedef struct model_family {
    const char *folder, *name;
    char mark; /* in charts of the terminal */
} model_family;

extern const model_family families[N_FAMILIES];

/* Three trainings of a family, of which compare can measure the one in the box: what the table "Seeds" of
   examples/train/log.md says of them. */
enum { N_TRAININGS = 3, BUNDLED_TRAINING = 1 };

typedef struct training {
    double above;   /* % above the entropy */
    double presses; /* right answers after 30 presses of the switch */
} training;

extern const training trainings[N_FAMILIES][N_TRAININGS];

/* Adds a series for each training but the bundled one, with what it gave: of[family][training]. */
void trainings_lines(chart *c, double (*of)[N_TRAININGS]);

typedef struct comparison {
    uint64_t seed;
    size_t n_stories;
    const char *kernel; /* NULL: the best one here */

    ink_context *ctx; /* of one thread */
    char folders[N_FAMILIES][PATH_ROOM];
    language_model models[N_FAMILIES];
    reader readers[N_FAMILIES];
    tale *tales;                /* [n_stories] unseen ones, of the kind the models learned from */
    guess *guesses[N_FAMILIES]; /* tale i, token t at [i * READER_TOKENS + t - 1]; NULL until the stories are read */
} comparison;

/* Opens the bundled models and tells the stories. Call comparison_close() even after a failure. */
bool comparison_open(comparison *c);
void comparison_close(comparison *c);

/* Lets every model read the stories, once: for the sections that call comparison_guess(). */
bool comparison_read(comparison *c);

/* A text for timing: one story, repeated. */
void comparison_prompt(const comparison *c, ink_token prompt[READER_TOKENS]);

/* What the model of a family expected at token t, counted from 1, of tale i. */
guess comparison_guess(const comparison *c, size_t family, size_t i, size_t t);

/* Asks the model of a family; shows `what` ("reads story") as progress. */
bool comparison_ask(comparison *c, size_t family, const question *questions, size_t n, const char *what);

enum { FINDING_CHARTS = 4, FINDING_CHECKS = 16, FINDING_ROOM = 256 };

typedef struct finding_check {
    bool holds, timed; /* timed: it follows from times, which differ from run to run */
    char text[FINDING_ROOM];
} finding_check;

typedef struct finding {
    chart charts[FINDING_CHARTS];
    size_t n_charts;
    finding_check checks[FINDING_CHECKS];
    size_t n_checks;
} finding;

/* Adds a chart and returns it. The second function adds a line for each family, in order: lines[MLP] to lines[GPT]. */
chart *finding_chart(finding *f, const char *name, const char *title, const char *x_label, const char *y_label,
                     int decimals);
void finding_lines(chart *c);

/* Records a sentence with one claim, and whether it is true of the numbers behind its colon. If one of them is missing
   (NAN), nothing holds, and instead of the numbers the sentence says that there were too few stories. */
finding_check *finding_note(finding *f, bool holds, const char *format, ...) CONSOLE_FORMAT(3, 4);

/* Prints the charts, the checks, and the verdict. */
void finding_print(const finding *f);

/* How many checks hold. */
size_t finding_holds(const finding *f);

typedef enum verdict { BORNE_OUT, PARTLY_BORNE_OUT, NOT_BORNE_OUT } verdict;

verdict finding_verdict(const finding *f);
const char *verdict_name(verdict v);

/* ---- thresholds ------------------------------------------------------------------------------------------------- */

/* The same for every family. compare prints them in its heading. "More" and "better" mean that intervals of 95 % do not
   overlap, or that the mean of the differences is two standard errors above zero. */
#define MOST 0.5      /* a memory is kept, and a sentence translated, if the interval of the share lies above this */
#define LOST 0.2      /* a memory is lost if less than this is kept of it */
#define TENTH 0.1     /* a memory fades if more than this is lost of it */
#define FELT 1.0      /* bit: something told is felt if the answer becomes half or twice as likely */
#define GAIN 0.02     /* a longer context is worth something if it saves this share of the bits */
#define VANISHED 0.01 /* a gradient vanishes if less than this is left after 64 steps of what one step leaves */
#define LONGER 1.2    /* a time, or a gain of time, is more than another if it is this many times as much */

/* True if the 95 % interval lies above one half. */
bool mostly(const stats_share *right);

/*
 * How much of a memory is kept, from 0 (no better than guessing) to 1 (always right), with its 95 % interval:
 * (right - chance) / (1 - chance).
 */
typedef struct kept {
    double at, low, high;
    double percent; /* at least 0 */
} kept;

kept kept_of(const stats_share *right, double chance);
bool kept_well(const kept *k);
bool kept_little(const kept *k);

/* Distances in tokens, in bins. */
typedef struct distance_bin {
    size_t low, high;
} distance_bin;

enum { N_DISTANCES = 6 };
extern const distance_bin distances[N_DISTANCES];

/* The bin of a distance, or N_DISTANCES. */
size_t distance_find(size_t distance);

/* The last bin with distances of at most n tokens; never the last of all. */
size_t distance_within(size_t n);
void distance_axis(chart *c);

/* ---- sections --------------------------------------------------------------------------------------------------- */

/* `measure` returns false after an error message. */
typedef struct section {
    const char *name; /* one word, for --only */
    const char *title;
    const char *brief; /* the claim for the table at the end */
    const char *claim;
    bool timed; /* measures time, so the numbers differ from run to run */
    bool (*measure)(comparison *c, finding *f);
} section;

bool compare_learned(comparison *c, finding *f);
bool compare_position(comparison *c, finding *f);
bool compare_influence(comparison *c, finding *f);
bool compare_memory(comparison *c, finding *f);
bool compare_translation(comparison *c, finding *f);
bool compare_context(comparison *c, finding *f);
bool compare_depth(comparison *c, finding *f);
bool compare_contradiction(comparison *c, finding *f);
bool compare_parallel(comparison *c, finding *f);
bool compare_cost(comparison *c, finding *f);
bool compare_switch(comparison *c, finding *f);

#endif
