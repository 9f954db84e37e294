/*
 * compare.c - what MLPs, recurrent networks and Transformers can and cannot do, measured.
 *
 * The five models in the box have about as many parameters and have learned from the same world of stories. Books make
 * claims about their kinds; this program holds the claims against the models, on stories that nobody has read before.
 * Each section is a file of its own, support/compare_*.c, and what they share is in support/compare.h.
 *
 * Nothing is stored and nothing is decided beforehand: figures are computed here and now, and verdicts follow from
 * them. All but the times are the same, bit for bit, on every machine (support/stats.h says why); what is printed is
 * rounded from them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bundled.h"
#include "cli.h"
#include "compare.h"
#include "console.h"

static const section sections[] = {
    {"learned", "What they learned", "Each family predicts better than the one the field had before it.", false,
     compare_learned},
    {"context", "Context",
     "An MLP uses what its window holds and an RNN little more; gates reach further, and attention uses everything.",
     false, compare_context},
    {"memory", "Memory over distance",
     "Recurrent networks lose what was said long ago; attention finds it again at any distance.", false,
     compare_memory},
    {"influence", "Influence",
     "In an RNN the influence of a token vanishes with distance; gates keep a path open, attention reaches any token.",
     false, compare_influence},
    {"parallel", "Parallel or step by step",
     "A Transformer reads a whole prompt in parallel; a recurrent network has to go step by step.", true,
     compare_parallel},
    {"cost", "What a longer text costs",
     "Recurrence costs the same however long the text gets; attention costs more with every token.", true,
     compare_cost},
    {"switch", "The other side",
     "A state that changes without being said: recurrence can follow it, attention of fixed depth cannot.", false,
     compare_switch},
    {"position", "Fixed input",
     "What an MLP knows is tied to the positions of its window: moved by one, the same words may be lost on it.", false,
     compare_position},
};

enum { N_SECTIONS = sizeof sections / sizeof *sections };

typedef struct settings {
    uint64_t seed, n_stories, n_threads;
    const char *svg, *only, *kernel;
    bool json;
} settings;

static cli_outcome read_settings(settings *s, int argc, char **argv)
{
    const cli_option options[] = {
        {.name = "--seed",
         .value = "S",
         .count = &s->seed,
         .help = "other stories (default 1); the same seed gives the same figures, times aside"},
        {.name = "--stories",
         .value = "N",
         .count = &s->n_stories,
         .least = 2,
         .most = 10000,
         .help = "how many are read (default 300)"},
        {.name = "--threads",
         .value = "N",
         .count = &s->n_threads,
         .least = 1,
         .most = INK_MAX_THREADS,
         .help = "the most to time with (default: as many as there are processors)"},
        {.name = "--kernel",
         .value = "NAME",
         .text = &s->kernel,
         .help = "portable, avx2, avx512 (default: the best here); only times depend on it"},
        {.name = "--only",
         .value = "NAMES",
         .text = &s->only,
         .help = "of learned,context,memory,influence,parallel,cost,switch,position: only these sections"},
        {.name = "--svg",
         .value = "FOLDER",
         .text = &s->svg,
         .help = "also write each picture there, as a file of its own"},
        {.name = "--json", .flag = &s->json, .help = "everything as one JSON object, for programs"},
    };
    cli line = {
        .name = "compare",
        .usage = "[options]",
        .about = "What MLPs, recurrent networks and Transformers can and cannot do, measured on the models in the box.",
        .samples = "  compare\n"
                   "  compare --seed 7 --only memory\n"
                   "  compare --svg /tmp\n",
        .options = options,
        .n_options = sizeof options / sizeof *options,
    };
    return cli_read(&line, argc, argv);
}

/* ---- reporting ------------------------------------------------------------------------------------------------- */

static void print_opening(const settings *s)
{
    char stories[CONSOLE_ROOM];

    printf("Five families, the same world, the same tokenizer, about as many parameters.\n"
           "What is said of their kinds, held against %s stories that none of them has\nread (seed %llu). "
           "Of a memory, 0 %% kept is a guess and 100 %% never wrong.\n",
           console_count(stories, s->n_stories), (unsigned long long)s->seed);
}

static void print_section(const section *part, size_t number, const finding *f)
{
    printf("\n%zu. %s\n\n", number, part->title);
    console_wrap(part->claim, 0);
    putchar('\n');
    finding_print(f);
}

static void json_member(const char *name, const char *value)
{
    printf("\"%s\": ", name);
    chart_write_quoted(value, stdout);
}

static void print_json(const section *part, const finding *f, bool first)
{
    fputs(first ? "\n  {" : ",\n  {", stdout);
    json_member("name", part->name);
    printf(", \"timed\": %s, ", part->timed ? "true" : "false");
    json_member("claim", part->claim);
    fputs(", ", stdout);
    json_member("verdict", verdict_name(finding_verdict(f)));
    fputs(",\n   \"checks\": [", stdout);
    for (size_t i = 0; i < f->n_checks; i++) {
        printf("%s\n    {\"holds\": %s, ", i > 0 ? "," : "", f->checks[i].holds ? "true" : "false");
        json_member("text", f->checks[i].text);
        putchar('}');
    }
    fputs("],\n   \"charts\": [", stdout);
    for (size_t i = 0; i < f->n_charts; i++) {
        fputs(i > 0 ? ",\n    " : "\n    ", stdout);
        chart_write_json(&f->charts[i], stdout);
    }
    fputs("]}", stdout);
}

static bool write_pictures(const char *folder, const finding *f)
{
    for (size_t i = 0; i < f->n_charts; i++) {
        char name[CHART_LABEL_ROOM + 16], path[BUNDLED_ROOM];
        FILE *file;
        if (f->charts[i].table)
            continue;
        snprintf(name, sizeof name, "%s.svg", f->charts[i].name);
        if (!bundled_join(path, folder, name))
            return false;
        file = fopen(path, "wb");
        if (file != NULL)
            chart_write_svg(&f->charts[i], file);
        if (file == NULL || (ferror(file) | fclose(file)) != 0) {
            console_complain("%s cannot be written", path);
            return false;
        }
    }
    return true;
}

/* ---- running --------------------------------------------------------------------------------------------------- */

/* True if the section is among the names that --only gives, with commas between them. */
static bool wanted(const settings *s, const section *part)
{
    size_t size;

    if (s->only == NULL)
        return true;
    for (const char *name = s->only; *name != '\0'; name += size + (name[size] == ',')) {
        size = strcspn(name, ",");
        if (size == strlen(part->name) && memcmp(name, part->name, size) == 0)
            return true;
    }
    return false;
}

static bool any_wanted(const settings *s)
{
    for (size_t i = 0; i < N_SECTIONS; i++)
        if (wanted(s, &sections[i]))
            return true;
    console_complain("--only expects names of sections, such as '%s,%s', found '%s'", sections[0].name,
                     sections[1].name, s->only);
    return false;
}

static bool run_sections(const settings *s, comparison *c, finding *f)
{
    size_t n = 0;

    for (size_t i = 0; i < N_SECTIONS; i++) {
        if (!wanted(s, &sections[i]))
            continue;
        *f = (finding){.n_charts = 0};
        if (!sections[i].measure(c, f))
            return false;
        console_progress("%s", "");
        if (s->json)
            print_json(&sections[i], f, n == 0);
        else
            print_section(&sections[i], i + 1, f);
        if (s->svg != NULL && !write_pictures(s->svg, f))
            return false;
        fflush(stdout);
        n++;
    }
    return true;
}

static bool run(const settings *s)
{
    comparison c = {.seed = s->seed,
                    .n_stories = (size_t)s->n_stories,
                    .n_threads = s->n_threads > 0 ? (unsigned)s->n_threads : console_processors(),
                    .kernel = s->kernel};
    finding *f = malloc(sizeof *f);
    bool done = f != NULL && comparison_open(&c);

    if (f == NULL)
        console_complain("there is no memory for what will be found");
    if (done) {
        if (s->json)
            printf("{\"seed\": %llu, \"stories\": %zu, \"sections\": [", (unsigned long long)s->seed, c.n_stories);
        else
            print_opening(s);
        done = run_sections(s, &c, f);
        if (done && s->json)
            puts("]}");
    }
    comparison_close(&c);
    free(f);
    return done;
}

int main(int argc, char **argv)
{
    settings s = {.seed = 1, .n_stories = 300};
    cli_outcome outcome = read_settings(&s, argc, argv);

    if (outcome != CLI_RUN)
        return outcome == CLI_ERROR || !console_finish();
    return !(any_wanted(&s) && console_takes_pictures(s.svg) && run(&s) && console_finish());
}
