/*
 * stories.c: tells short stories of a small world, with the exact information content of each.
 *
 *     stories [--seed S] [-n COUNT] [--bits | --json] [SETTING LOW:HIGH | SETTING N]...
 *     stories --read [SETTING ...] < stories.txt
 *
 * Plain output is one story a paragraph, with an empty line between two. --bits puts the bits before each story and
 * the total at the end; --json prints one object a line with the places where a value said before comes back.
 * --read takes stories of the plain form and tells for each whether this world can tell it, and in how many bits;
 * the exit code is 1 if one cannot be told.
 */
#include "support/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct options {
    story_settings settings;
    uint64_t seed;
    uint64_t count;
    enum { PLAIN, BITS, JSON, READ } mode;
} options;

static const char usage[] =
    "usage: stories [--seed S] [-n COUNT] [--bits | --json | --read]\n"
    "               [--sentences LOW:HIGH] [--facts LOW:HIGH] [--states LOW:HIGH] [--objects LOW:HIGH]\n"
    "               [--filler W] [--echo W] [--again W] [--change W] [--put W] [--switches PERCENT]\n";

/* A decimal number up to `most`, ended by `end`. Returns what follows, or NULL. */
static const char *parse_number(const char *text, uint64_t most, char end, uint64_t *value)
{
    uint64_t v = 0;

    if (*text < '0' || *text > '9') return NULL;
    for (; *text >= '0' && *text <= '9'; text++) {
        const unsigned digit = (unsigned)(*text - '0');
        if (v > (most - digit) / 10) return NULL;
        v = v * 10 + digit;
    }
    if (*text != end) return NULL;
    *value = v;
    return text + (end != '\0');
}

static int parse_range(const char *text, unsigned range[2])
{
    uint64_t low, high;
    const char *rest = parse_number(text, 10000, ':', &low);

    if (!rest) return 0;
    if (!parse_number(rest, 10000, '\0', &high)) return 0;
    range[0] = (unsigned)low;
    range[1] = (unsigned)high;
    return 1;
}

static int parse_setting(story_settings *s, const char *name, const char *value)
{
    const struct { const char *name; unsigned *range; } ranges[] = {
        {"--sentences", s->sentences}, {"--facts", s->facts}, {"--states", s->states}, {"--objects", s->objects}};
    const struct { const char *name; unsigned *weight; } weights[] = {
        {"--filler", &s->filler}, {"--echo", &s->echo}, {"--again", &s->again}, {"--change", &s->change},
        {"--put", &s->put}, {"--switches", &s->switches}};
    uint64_t number;
    size_t i;

    for (i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
        if (strcmp(name, ranges[i].name) == 0) return parse_range(value, ranges[i].range);
    for (i = 0; i < sizeof(weights) / sizeof(weights[0]); i++)
        if (strcmp(name, weights[i].name) == 0) {
            if (!parse_number(value, 10000, '\0', &number)) return 0;
            *weights[i].weight = (unsigned)number;
            return 1;
        }
    return 0;
}

static int parse_options(int argc, char **argv, options *o)
{
    int i;

    for (i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--bits") == 0) o->mode = BITS;
        else if (strcmp(argv[i], "--json") == 0) o->mode = JSON;
        else if (strcmp(argv[i], "--read") == 0) o->mode = READ;
        else {
            const int known = strcmp(argv[i], "--seed") == 0 ? parse_number(value, UINT64_MAX, '\0', &o->seed) != NULL
                              : strcmp(argv[i], "-n") == 0   ? parse_number(value, UINT64_MAX, '\0', &o->count) != NULL
                                                             : parse_setting(&o->settings, argv[i], value);
            if (!known) {
                fprintf(stderr, "stories: cannot use '%s %s'\n%s", argv[i], value, usage);
                return 0;
            }
            i++;
        }
    }
    return 1;
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
    uint64_t i, bytes = 0;

    for (i = 0; i < o->count; i++) {
        if (!story_tell(&o->settings, o->seed, i, &s)) {
            fprintf(stderr, "stories: these settings make no story\n%s", usage);
            return 1;
        }
        bits += s.bits;
        bytes += s.length;
        if (o->mode == JSON) {
            print_json(&s);
            continue;
        }
        if (i) putchar('\n');
        if (o->mode == BITS) printf("[%.4f bits] ", s.bits);
        puts(s.text);
    }
    if (o->mode == BITS && o->count)
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
        if (!*line) continue;
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
    options o = {{{0, 0}, {0, 0}, {0, 0}, {0, 0}, 0, 0, 0, 0, 0, 0}, 1, 10, PLAIN};

    o.settings = story_settings_default();
    if (!parse_options(argc, argv, &o)) return 1;
    return o.mode == READ ? read_stories(&o) : tell_stories(&o);
}
