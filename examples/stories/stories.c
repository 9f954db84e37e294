/*
 * stories.c - tells short stories of a small world, with the exact information content of each.
 *
 *     stories [--seed S] [-n COUNT] [--bits | --json | --talk] [SETTING LOW:HIGH | SETTING N]...
 *     stories --pairs [--join LOW:HIGH] [--json] [SETTING ...]
 *     stories --read [--sori] [SETTING ...] < stories.txt
 *
 * Plain output is one story a paragraph, separated by empty lines. --bits prints the bits in front of each story and
 * the total at the end. --json prints one object a line: the places that return to an earlier value, and labels for
 * classifiers and taggers, namely the kind and mood of each sentence, the names in it, and questions with the places of
 * their answers. All of them follow from the choices that told the story. --pairs prints the sentences of the stories,
 * a tab, and their translations into Sori, a small language in which the verb comes last; --join makes one sentence of
 * several. --talk prints conversations about the stories (talk.h), one a line: for each turn what the user says, the
 * right answer, and what kind of question it is. --read takes stories in the plain form and reports for each whether
 * this world can tell it, and in how many bits; the exit code is 1 if it cannot tell one of them. --sori prints or
 * reads stories in Sori.
 */
#include <string.h>

#include "cli.h"
#include "console.h"
#include "stats.h"
#include "talk.h"

#define MOST 10000 /* of any setting */

enum { N_RANGES = 4, N_WEIGHTS = 7 };

static story_settings settings;
static uint64_t seed = 1, count = 10, weights[N_WEIGHTS];
static const char *ranges[N_RANGES];
static const char *joined;
static unsigned join[2] = {1, 1};
static bool with_bits, as_json, reads, pairs, in_sori, talks, girls_lead;

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
    CLI_COUNT("--move", "W", &weights[6], 0, MOST, "weight of putting an object elsewhere"),
    CLI_FLAG("--girls-lead", &girls_lead, "no boy is ever the leader"),
    CLI_COUNT("-n", "COUNT", &count, 0, 0, "how many stories (default 10)"),
    CLI_COUNT("--seed", "S", &seed, 0, 0, "another seed tells other stories (default 1)"),
    CLI_FLAG("--bits", &with_bits, "the exact information content of each story, and of all"),
    CLI_FLAG("--json", &as_json, "one object a line, with what is known about the text"),
    CLI_FLAG("--pairs", &pairs, "sentences and their translations, one pair a line with a tab between"),
    CLI_TEXT("--join", "LOW:HIGH", &joined, "so many sentences of a story become one (default 1:1)"),
    CLI_FLAG("--sori", &in_sori, "the language is Sori: the verb comes last"),
    CLI_FLAG("--talk", &talks, "conversations about the stories, one object a line"),
    CLI_FLAG("--read", &reads, "read stories from stdin: can this world tell them?"),
};

static cli line = {
    .name = "stories",
    .usage = "[options]",
    .about = "Tells short stories of a small world whose entropy is known exactly.",
    .samples = "  stories -n 3 --seed 7 --bits\n"
               "  stories -n 100 | stories --read\n"
               "  stories -n 2 --pairs --join 1:4\n"
               "  stories -n 1 --talk --move 40\n",
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
    unsigned *const in_weights[N_WEIGHTS] = {&s->filler, &s->echo,     &s->again, &s->change,
                                             &s->put,    &s->switches, &s->move};
    settings = story_settings_default();
    for (size_t i = 0; i < N_WEIGHTS; i++)
        weights[i] = *in_weights[i];
    cli_outcome outcome = cli_read(&line, argc, argv);
    for (size_t i = 0; outcome == CLI_RUN && i < N_RANGES; i++)
        if (ranges[i] != NULL && !parse_range(options[i].name, ranges[i], in_ranges[i]))
            outcome = CLI_ERROR;
    for (size_t i = 0; i < N_WEIGHTS; i++)
        *in_weights[i] = (unsigned)weights[i];
    s->girls_lead = girls_lead;
    if (outcome == CLI_RUN && joined != NULL && !parse_range("--join", joined, join))
        outcome = CLI_ERROR;
    if (outcome == CLI_RUN && with_bits + as_json + reads > 1) {
        console_complain("only one of --bits, --json and --read at a time");
        outcome = CLI_ERROR;
    }
    if (outcome == CLI_RUN && pairs && (with_bits || reads || in_sori)) {
        console_complain("--pairs goes with --json, not with --bits, --read or --sori");
        outcome = CLI_ERROR;
    }
    if (outcome == CLI_RUN && joined != NULL && (!pairs || join[0] == 0)) {
        console_complain(pairs ? "--join expects at least 1 sentence" : "--join needs --pairs");
        outcome = CLI_ERROR;
    }
    if (outcome == CLI_RUN && talks && (with_bits || as_json || reads || pairs || in_sori)) {
        console_complain("--talk goes with the settings of the stories only");
        outcome = CLI_ERROR;
    }
    if (outcome == CLI_RUN && in_sori && as_json) {
        console_complain("--json describes the English text; --sori does not go with it");
        outcome = CLI_ERROR;
    }
    return outcome;
}

/* What may be asked about the facts that are no places. */
static const char *const questions[STORY_KINDS] = {
    "Is it day or night?",    "Is the news good or bad?",           "Who is the leader?",
    "Which team are they?",   "Which animal is with them?",         "Is the door open or closed?",
    "Is the lamp on or off?", "How many apples are in the basket?", "",
    "Is the lamp on or off?",
};

/* The answer, and the beginning of the question. */
static void begin_question(const char *kind, const char *key, size_t at, size_t length)
{
    printf("{\"kind\":\"%s\",\"key\":\"%s\",\"at\":%zu,\"length\":%zu,\"question\":\"", kind, key, at, length);
}

/* Where is it, who put it there, and, if nothing else is there, what is there? */
static void print_questions_of_place(const story *s, const story_answer *a)
{
    const size_t the = sizeof "the " - 1, before = the + strlen(a->key) + 1; /* "the ball behind the shed" */
    unsigned there = 0;
    begin_question("where", a->key, a->at, a->length);
    printf("Where is the %s?\"},", a->key);
    begin_question("who", a->key, a->who, a->who_length);
    printf("Who put the %s %.*s?\"}", a->key, (int)a->length, s->text + a->at);
    for (size_t i = 0; i < s->n_answers; i++)
        there += s->answers[i].length == a->length && !memcmp(s->text + s->answers[i].at, s->text + a->at, a->length);
    if (there == 1) {
        putchar(',');
        begin_question("what", a->key, a->at - before, before - 1);
        printf("What is %.*s?\"}", (int)a->length, s->text + a->at);
    }
}

/* The text consists of ASCII letters, spaces and full stops, so JSON needs no escapes. */
static void print_json(const story *s)
{
    static const char *const entities[] = {"person", "thing", "place"};
    printf("{\"text\":\"%s\",\"bits\":%.6f,\"tokens\":%u,\"facts\":[", s->text, s->bits, s->tokens);
    for (size_t i = 0; i < s->n_recalls; i++) {
        const story_recall *r = &s->recalls[i];
        printf("%s{\"kind\":\"%s\",\"key\":\"%s\",\"value\":\"%s\",\"said\":%zu,\"at\":%zu,\"length\":%zu,"
               "\"changes\":%u,\"chance\":%.6f}",
               i ? "," : "", story_kind_name(r->kind), r->key, r->value, r->said, r->at, r->length, r->changes,
               1.0 / r->values);
    }
    printf("],\"sentences\":[");
    for (size_t i = 0; i < s->n_sentences; i++)
        printf("%s{\"at\":%zu,\"length\":%zu,\"kind\":\"%s\",\"mood\":%d}", i ? "," : "", s->sentences[i].at,
               s->sentences[i].length, story_kind_name(s->sentences[i].kind), s->sentences[i].mood);
    printf("],\"names\":[");
    for (size_t i = 0; i < s->n_names; i++)
        printf("%s{\"entity\":\"%s\",\"at\":%zu,\"length\":%zu}", i ? "," : "", entities[s->names[i].entity],
               s->names[i].at, s->names[i].length);
    printf("],\"questions\":[");
    for (size_t i = 0; i < s->n_answers; i++) {
        const story_answer *a = &s->answers[i];
        if (i > 0)
            putchar(',');
        if (a->kind == STORY_PLACE) {
            print_questions_of_place(s, a);
        } else {
            begin_question(story_kind_name(a->kind), a->key, a->at, a->length);
            printf("%s\"}", questions[a->kind]);
        }
    }
    if (s->n_names > 2 && s->names[2].at < s->sentences[0].length && s->names[2].entity == STORY_A_PLACE) {
        printf("%s", s->n_answers > 0 ? "," : "");
        begin_question("scene", "scene", s->names[2].at, s->names[2].length);
        printf("Where were they?\"}");
    }
    puts("]}");
}

/* All sentences of the story in their order, so many at a time as the seed chooses. */
static void print_pairs(const story *s, uint64_t index)
{
    story_pair pair;
    uint64_t random = seed ^ (index << 32);
    for (size_t i = 0, n; i < s->n_sentences; i += n) {
        n = join[0] + (size_t)random_below(&random, join[1] - join[0] + 1);
        n = n < s->n_sentences - i ? n : s->n_sentences - i;
        story_join(s, i, n, random_next(&random), &pair);
        if (as_json)
            printf("{\"english\":\"%s\",\"sori\":\"%s\",\"words\":%u,\"sentences\":%zu}\n", pair.text, pair.sori,
                   pair.words, n);
        else
            printf("%s\t%s\n", pair.text, pair.sori);
    }
}

/* The conversation about a story that can be told. Its texts need no escapes either. */
static void print_talk(uint64_t index)
{
    talk t;
    talk_tell(&settings, seed, index, &t);
    printf("{\"turns\":[");
    for (size_t i = 0; i < t.n_turns; i++)
        printf("%s{\"kind\":\"%s\",\"distance\":%u,\"said\":\"%s\",\"answer\":\"%s\"}", i ? "," : "", t.turns[i].kind,
               t.turns[i].distance, t.turns[i].said, t.turns[i].answer);
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
        bytes += in_sori ? s.sori_length : s.length;
        if (pairs) {
            print_pairs(&s, i);
            continue;
        }
        if (talks) {
            print_talk(i);
            continue;
        }
        if (as_json) {
            print_json(&s);
            continue;
        }
        if (i > 0)
            putchar('\n');
        if (with_bits)
            printf("[%.4f bits] ", s.bits);
        puts(in_sori ? s.sori : s.text);
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
    console_ask("stories", true);
    while ((outcome = lines_next(&in)) == LINES_LINE) {
        if (in.size == 0)
            continue;
        int found = story_read(&settings, in_sori ? STORY_SORI : STORY_ENGLISH, in.text, &s);
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
    if (outcome == LINES_END && n == 0)
        return console_complain("a story is missing, and stdin is empty");
    return outcome == LINES_END && strange == 0;
}

int main(int argc, char **argv)
{
    cli_outcome outcome = read_line(argc, argv);
    bool done = outcome == CLI_RUN ? reads ? read_stories() : tell_stories() : outcome == CLI_HELP;
    return !(console_finish() && done);
}
