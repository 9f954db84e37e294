/*
 * stories.c - tells short stories of a small world, with the exact information content of each.
 *
 *     stories [--seed S] [-n COUNT] [--bits | --json] [SETTING LOW:HIGH | SETTING N]...
 *     stories --read [SETTING ...] < stories.txt
 *
 * Plain output is one story a paragraph, separated by empty lines. --bits prints the bits in front of each story and
 * the total at the end. --json prints one object a line, with the places that return to an earlier value. --read takes
 * stories in the plain form and reports for each whether this world can tell it, and in how many bits; the exit code is
 * 1 if it cannot tell one of them.
 */
#include <string.h>

#include "cli.h"
#include "console.h"
#include "world.h"

#define MOST 10000 /* of any setting */

enum { N_RANGES = 4, N_WEIGHTS = 6 };

static story_settings settings;
static uint64_t seed = 1, count = 10, weights[N_WEIGHTS];
static const char *ranges[N_RANGES];
static bool with_bits, as_json, reads;

static const cli_option options[] = {
    CLI_TEXT("--sentences", "LOW:HIGH", &ranges[0], "between opening and closing"),
    CLI_TEXT("--facts", "LOW:HIGH", &ranges[1], "that hold for the whole story, 0 to 5"),
    CLI_TEXT("--states", "LOW:HIGH", &ranges[2], "that change, 0 to 3"),
    CLI_TEXT("--objects", "LOW:HIGH", &ranges[3], "that have a place in the opening"),
    CLI_COUNT("--filler", "W", &weights[0], 0, MOST, "weight of other sentences"),
    CLI_COUNT("--echo", "W", &weights[1], 0, MOST, "weight of returning to a fact"),
    CLI_COUNT("--again", "W", &weights[2], 0, MOST, "... right after it was said"),
    CLI_COUNT("--change", "W", &weights[3], 0, MOST, "weight of changing a state"),
    CLI_COUNT("--put", "W", &weights[4], 0, MOST, "weight of one more object"),
    CLI_COUNT("--switches", "PERCENT", &weights[5], 0, 100, "stories of the switch"),
    CLI_COUNT("-n", "COUNT", &count, 0, 0, "how many stories (default 10)"),
    CLI_COUNT("--seed", "S", &seed, 0, 0, "another seed tells other stories (default 1)"),
    CLI_FLAG("--bits", &with_bits, "the exact information content of each story, and of all"),
    CLI_FLAG("--json", &as_json, "one object a line, with the places where a fact returns"),
    CLI_FLAG("--read", &reads, "read stories from stdin: can this world tell them?"),
};

static cli line = {
    .name = "stories",
    .usage = "[options]",
    .about = "Tells short stories of a small world whose entropy is known exactly.",
    .samples = "  stories -n 3 --seed 7 --bits\n"
               "  stories -n 100 | stories --read\n",
    CLI_OPTIONS(options),
};

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
    return console_complain("%s expects LOW:HIGH, two whole numbers up to %d, found '%s'", name, MOST, text);
}

static cli_outcome read_line(int argc, char **argv)
{
    story_settings *s = &settings;
    unsigned *const in_ranges[N_RANGES] = {s->sentences, s->facts, s->states, s->objects};
    unsigned *const in_weights[N_WEIGHTS] = {&s->filler, &s->echo, &s->again, &s->change, &s->put, &s->switches};
    settings = story_settings_default();
    for (size_t i = 0; i < N_WEIGHTS; i++)
        weights[i] = *in_weights[i];
    cli_outcome outcome = cli_read(&line, argc, argv);
    for (size_t i = 0; outcome == CLI_RUN && i < N_RANGES; i++)
        if (ranges[i] != NULL && !parse_range(options[i].name, ranges[i], in_ranges[i]))
            outcome = CLI_ERROR;
    for (size_t i = 0; i < N_WEIGHTS; i++)
        *in_weights[i] = (unsigned)weights[i];
    if (outcome == CLI_RUN && with_bits + as_json + reads > 1) {
        console_complain("only one of --bits, --json and --read at a time");
        outcome = CLI_ERROR;
    }
    return outcome;
}

/* The text consists of ASCII letters, spaces and full stops, so JSON needs no escapes. */
static void print_json(const story *s)
{
    printf("{\"text\":\"%s\",\"bits\":%.6f,\"tokens\":%u,\"facts\":[", s->text, s->bits, s->tokens);
    for (size_t i = 0; i < s->n_recalls; i++) {
        const story_recall *r = &s->recalls[i];
        printf("%s{\"kind\":\"%s\",\"key\":\"%s\",\"value\":\"%s\",\"said\":%zu,\"at\":%zu,\"length\":%zu,"
               "\"changes\":%u,\"chance\":%.6f}",
               i ? "," : "", story_kind_name(r->kind), r->key, r->value, r->said, r->at, r->length, r->changes,
               1.0 / r->values);
    }
    puts("]}");
}

static bool tell_stories(void)
{
    story s;
    double bits = 0.0;
    uint64_t bytes = 0;
    for (uint64_t i = 0; i < count; i++) {
        if (!story_tell(&settings, seed, i, &s))
            return console_complain("no story can be told with these settings (too many facts, or no weight at all)");
        bits += s.bits;
        bytes += s.length;
        if (as_json) {
            print_json(&s);
            continue;
        }
        if (i > 0)
            putchar('\n');
        if (with_bits)
            printf("[%.4f bits] ", s.bits);
        puts(s.text);
    }
    if (with_bits && count > 0)
        printf("\n[%.4f bits in all, %.4f a story, %.4f a byte]\n", bits, bits / (double)count, bits / (double)bytes);
    return true;
}

static bool read_stories(void)
{
    lines in = {.stream = stdin};
    lines_outcome outcome;
    story s;
    size_t n = 0, strange = 0;
    while ((outcome = lines_next(&in)) == LINES_LINE) {
        if (in.size == 0)
            continue;
        int found = story_read(&settings, in.text, &s);
        n++;
        strange += found != 1;
        if (found == 1) {
            printf("%zu: %.4f bits\n", n, s.bits);
        } else {
            printf("%zu: %s after '", n, found ? "ambiguous" : "not a story of this world");
            console_say(in.text, s.length);
            puts("'");
        }
    }
    lines_close(&in);
    return outcome == LINES_END && strange == 0;
}

int main(int argc, char **argv)
{
    cli_outcome outcome = read_line(argc, argv);
    bool done = outcome == CLI_RUN ? reads ? read_stories() : tell_stories() : outcome == CLI_HELP;
    return !(console_finish() && done);
}
