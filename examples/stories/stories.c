/*
 * stories.c - tells short stories of a small world, with the exact information content of each.
 *
 *     stories [--seed S] [-n COUNT] [--bits | --json] [SETTING LOW:HIGH | SETTING N]...
 *     stories --read [SETTING ...] < stories.txt
 *
 * Plain output is one story a paragraph, with an empty line between two. --bits puts the bits before each story and
 * the total at the end; --json prints one object a line with the places where a value said before comes back.
 * --read takes stories of the plain form and tells for each whether this world can tell it, and in how many bits;
 * the exit code is 1 if one cannot be told.
 */
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "number.h"
#include "world.h"

#define MOST 10000 /* of any setting */

/* What the command line asks for. Ranges are read as text first, weights as counts. */
typedef struct options {
    story_settings settings;
    uint64_t seed, count;
    bool bits, json, read;
} options;

/* "2:4" */
static bool parse_range(const char *name, const char *text, unsigned range[2])
{
    char low[8];
    uint64_t least, most;
    const char *colon = strchr(text, ':');
    size_t length = colon != NULL ? (size_t)(colon - text) : sizeof low;

    if (length < sizeof low) {
        memcpy(low, text, length);
        low[length] = '\0';
        if (number_whole(low, &least) && number_whole(colon + 1, &most) && least <= most && most <= MOST) {
            range[0] = (unsigned)least;
            range[1] = (unsigned)most;
            return true;
        }
    }
    fprintf(stderr, "stories: %s expects LOW:HIGH, two whole numbers up to %d, found '%s'\n", name, MOST, text);
    return false;
}

enum { N_RANGES = 4, N_WEIGHTS = 6, N_OTHERS = 5 };

static cli_outcome parse_options(int argc, char **argv, options *o)
{
    story_settings *set = &o->settings;
    unsigned *const ranges[N_RANGES] = {set->sentences, set->facts, set->states, set->objects};
    unsigned *const weights[N_WEIGHTS] = {&set->filler, &set->echo, &set->again,
                                          &set->change, &set->put,  &set->switches};
    const char *texts[N_RANGES] = {NULL};
    uint64_t counts[N_WEIGHTS];
    for (size_t i = 0; i < N_WEIGHTS; i++)
        counts[i] = *weights[i];
    const cli_option list[N_RANGES + N_WEIGHTS + N_OTHERS] = {
        {.name = "--sentences", .value = "LOW:HIGH", .text = &texts[0], .help = "between opening and closing"},
        {.name = "--facts", .value = "LOW:HIGH", .text = &texts[1], .help = "that hold for the whole story, 0 to 5"},
        {.name = "--states", .value = "LOW:HIGH", .text = &texts[2], .help = "that change, 0 to 3"},
        {.name = "--objects", .value = "LOW:HIGH", .text = &texts[3], .help = "put somewhere in the opening"},
        {.name = "--filler", .value = "W", .count = &counts[0], .most = MOST, .help = "weight of other sentences"},
        {.name = "--echo", .value = "W", .count = &counts[1], .most = MOST, .help = "weight of coming back to a fact"},
        {.name = "--again", .value = "W", .count = &counts[2], .most = MOST, .help = "... right after it was said"},
        {.name = "--change", .value = "W", .count = &counts[3], .most = MOST, .help = "weight of changing a state"},
        {.name = "--put", .value = "W", .count = &counts[4], .most = MOST, .help = "weight of one more object"},
        {.name = "--switches", .value = "PERCENT", .count = &counts[5], .most = 100, .help = "stories of the switch"},
        {.name = "-n", .value = "COUNT", .count = &o->count, .help = "how many stories (default 10)"},
        {.name = "--seed", .value = "S", .count = &o->seed, .help = "another seed, other stories (default 1)"},
        {.name = "--bits", .flag = &o->bits, .help = "the exact information content before each story, and in all"},
        {.name = "--json", .flag = &o->json, .help = "one object a line, with what can be recalled and where"},
        {.name = "--read", .flag = &o->read, .help = "read stories from stdin: could this world have told them?"},
    };
    cli line = {
        .name = "stories",
        .usage = "[options]",
        .about = "Tells short stories of a small world whose entropy is known exactly.",
        .samples = "  stories -n 3 --seed 7 --bits\n"
                   "  stories -n 100 | stories --read\n",
        .options = list,
        .n_options = sizeof list / sizeof *list,
    };

    cli_outcome outcome = cli_read(&line, argc, argv);
    for (size_t i = 0; outcome == CLI_RUN && i < N_RANGES; i++)
        if (texts[i] != NULL && !parse_range(list[i].name, texts[i], ranges[i]))
            outcome = CLI_ERROR;
    for (size_t i = 0; i < N_WEIGHTS; i++)
        *weights[i] = (unsigned)counts[i];
    if (outcome == CLI_RUN && o->bits + o->json + o->read > 1) {
        fprintf(stderr, "stories: only one of --bits, --json and --read at a time\n");
        outcome = CLI_ERROR;
    }
    return outcome;
}

/* The world's words are plain ASCII letters, spaces and full stops, so nothing needs an escape in JSON. */
static void print_json(const story *s)
{
    size_t i;

    printf("{\"text\":\"%s\",\"bits\":%.6f,\"tokens\":%u,\"facts\":[", s->text, s->bits, s->tokens);
    for (i = 0; i < s->n_recalls; i++) {
        const story_recall *r = &s->recalls[i];
        printf("%s{\"kind\":\"%s\",\"key\":\"%s\",\"value\":\"%s\",\"said\":%zu,\"at\":%zu,\"length\":%zu,"
               "\"changes\":%u,\"chance\":%.6f}",
               i ? "," : "", story_kind_name(r->kind), r->key, r->value, r->said, r->at, r->length, r->changes,
               1.0 / r->values);
    }
    puts("]}");
}

static int tell_stories(const options *o)
{
    story s;
    double bits = 0.0;
    uint64_t bytes = 0;

    for (uint64_t i = 0; i < o->count; i++) {
        if (!story_tell(&o->settings, o->seed, i, &s)) {
            fputs("stories: no story can be told with these settings (too many facts, or no weight at all)\n", stderr);
            return 1;
        }
        bits += s.bits;
        bytes += s.length;
        if (o->json) {
            print_json(&s);
            continue;
        }
        if (i > 0)
            putchar('\n');
        if (o->bits)
            printf("[%.4f bits] ", s.bits);
        puts(s.text);
    }
    if (o->bits && o->count > 0)
        printf("\n[%.4f bits in all, %.4f a story, %.4f a byte]\n", bits, bits / (double)o->count,
               bits / (double)bytes);
    return fflush(stdout) || ferror(stdout);
}

static int read_stories(const options *o)
{
    char line[2 * STORY_TEXT_SIZE];
    story s;
    int n = 0, strange = 0;

    while (fgets(line, sizeof(line), stdin)) {
        int found;
        line[strcspn(line, "\n")] = '\0';
        if (line[0] == '\0')
            continue;
        found = story_read(&o->settings, line, &s);
        n++;
        if (found == 1) {
            printf("%d: %.4f bits\n", n, s.bits);
        } else {
            strange++;
            printf("%d: %s after '%.*s'\n", n, found ? "ambiguous" : "not a story of this world", (int)s.length, line);
        }
    }
    return strange > 0;
}

int main(int argc, char **argv)
{
    options o = {.settings = story_settings_default(), .seed = 1, .count = 10};
    cli_outcome outcome = parse_options(argc, argv, &o);

    if (outcome != CLI_RUN)
        return outcome == CLI_HELP ? 0 : 1;
    return o.read ? read_stories(&o) : tell_stories(&o);
}
