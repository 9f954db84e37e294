/*
 * compare.c - what MLPs, recurrent networks and Transformers can and cannot do, measured.
 *
 * The five bundled models have about the same number of parameters and learned from the same world of stories.
 * Textbooks make claims about such networks. This program tests the claims on these models, with stories they have not
 * seen. prediction.c, memory.c, influence.c and cost.c have one to three sections each, contradiction.c has one about
 * what they write, translation.c one about three more models; compare.h has what they share.
 *
 * Nothing is stored and no result is fixed in advance: all numbers are computed here and now, and the verdicts follow
 * from them. All but the times are the same on every machine, bit for bit (support/stats.h).
 */
#include <stdlib.h>
#include <string.h>

#include "compare.h"

static const section sections[] = {
    {"learned", "What they learned",
     "An RNN predicts better than an MLP, gates better than a plain RNN, and attention better than both. Each model is "
     "one training with one random start: of three RNNs two came out better than the MLP, and the one in the box did "
     "not (examples/train/log.md).",
     false, compare_learned},
    {"context", "Context",
     "An MLP uses what its window holds and an RNN little more. Gates reach further, and attention uses everything.",
     false, compare_context},
    {"memory", "Memory over distance",
     "Recurrent networks lose what was said long ago. Attention finds it at any distance.", false, compare_memory},
    {"influence", "Influence",
     "In an RNN the influence of what was told vanishes with distance. Gates keep a path open, and attention reaches "
     "any token.",
     false, compare_influence},
    {"contradiction", "Contradictions",
     "A model that has forgotten what it wrote contradicts it. With gates that happens less often, with attention "
     "rarely.",
     false, compare_contradiction},
    {"parallel", "Parallel or step by step",
     "A Transformer reads a whole prompt in parallel. A recurrent network has to go step by step. How much time that "
     "saves depends on the machine and on the size of the model: these fit into the caches of a processor, where "
     "little is saved.",
     true, compare_parallel},
    {"cost", "What a longer text costs",
     "A step of a recurrent network always costs the same. Attention costs more with every token.", true, compare_cost},
    {"switch", "The other side",
     "Recurrence can follow a state whose changes the text does not mention. Attention of fixed depth cannot.", false,
     compare_switch},
    {"position", "Fixed input",
     "What an MLP knows is tied to the positions of its window: it may not recognise the same words one position "
     "later.",
     false, compare_position},
    {"translation", "From one text to another",
     "If one state has to hold the whole sentence, a translation gets worse with the length of the sentence. With "
     "attention to its words it does not. A Transformer needs nothing but attention, and its sinusoids may carry it to "
     "sentences longer than any it learned from (Vaswani et al. 2017, section 3.5).",
     false, compare_translation},
};

enum { N_SECTIONS = sizeof sections / sizeof *sections };

static uint64_t seed = 1, n_stories = 300, n_threads;
static const char *svg, *only, *kernel;
static bool json;

static const cli_option options[] = {
    CLI_COUNT("--seed", "S", &seed, 0, 0,
              "other stories (default 1); the same seed gives the same figures, but for times"),
    CLI_COUNT("--stories", "N", &n_stories, 2, 10000, "how many are read (default 300)"),
    CLI_COUNT("--threads", "N", &n_threads, 1, INK_MAX_THREADS,
              "the most to time with (default: as many as there are processors)"),
    CLI_TEXT("--kernel", "NAME", &kernel,
             "portable, sse2, avx2, avx512 (default: the best here); only times depend on it"),
    LM_TYPE,
    CLI_TEXT("--only", "NAMES", &only,
             "of learned,context,memory,influence,contradiction,parallel,cost,switch,position,translation: only these"),
    CLI_TEXT("--svg", "FOLDER", &svg, "also write each picture there, as a file of its own"),
    CLI_FLAG("--json", &json, "everything as one JSON object, for programs"),
};

static cli line = {
    .name = "compare",
    .usage = "[options]",
    .about = "What MLPs, recurrent networks and Transformers can and cannot do, measured on the bundled models.",
    .samples = "  compare\n"
               "  compare --seed 7 --only memory\n"
               "  compare --svg /tmp\n",
    CLI_OPTIONS(options),
};

/* ---- reporting ------------------------------------------------------------------------------------------------- */

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

static bool write_pictures(const finding *f)
{
    for (size_t i = 0; i < f->n_charts; i++) {
        char name[CHART_LABEL_ROOM + 16], path[PATH_ROOM];
        if (f->charts[i].table)
            continue;
        snprintf(name, sizeof name, "%s.svg", f->charts[i].name);
        FILE *file = path_join(path, svg, name) ? file_create(path) : NULL;
        if (file == NULL)
            return false;
        chart_write_svg(&f->charts[i], file);
        if (!file_close(file, path))
            return false;
    }
    return true;
}

/* ---- running ---------------------------------------------------------------------------------------------------- */

/* Marks the sections that --only lists, names with commas between them; all without it. False, after an error message,
   if it lists something else, or nothing. */
static bool choose_sections(bool wanted[N_SECTIONS])
{
    size_t size, n = 0;
    for (const char *name = only; name != NULL && *name != '\0'; name += size + (name[size] == ','), n++) {
        size_t i = 0;
        size = strcspn(name, ",");
        while (i < N_SECTIONS && (strlen(sections[i].name) != size || memcmp(name, sections[i].name, size) != 0))
            i++;
        if (i == N_SECTIONS)
            return console_complain("--only expects names of sections, such as '%s,%s', found '%.*s'", sections[0].name,
                                    sections[1].name, (int)size, name);
        wanted[i] = true;
    }
    for (size_t i = 0; only == NULL && i < N_SECTIONS; i++)
        wanted[i] = true;
    return only == NULL || n > 0 ||
           console_complain("--only expects names of sections, such as '%s,%s', found nothing", sections[0].name,
                            sections[1].name);
}

static bool run_sections(comparison *c, const bool wanted[N_SECTIONS], finding *f)
{
    char stories[CONSOLE_ROOM];
    size_t n = 0;
    if (json)
        printf("{\"seed\": %llu, \"stories\": %zu, \"sections\": [", (unsigned long long)seed, c->n_stories);
    else
        printf("Five families, one world of stories, one tokenizer, about the same size.\n"
               "Textbook claims, tested on %s unseen stories (seed %llu).\n"
               "'Kept' runs from 0 %% (no better than guessing) to 100 %% (always right).\n",
               console_count(stories, n_stories), (unsigned long long)seed);
    for (size_t i = 0; i < N_SECTIONS; i++) {
        if (!wanted[i])
            continue;
        *f = (finding){.n_charts = 0};
        if (!sections[i].measure(c, f))
            return false;
        console_progress("%s", "");
        if (json) {
            print_json(&sections[i], f, n++ == 0);
        } else {
            printf("\n%zu. %s\n\n", i + 1, sections[i].title);
            console_wrap(sections[i].claim, 0);
            putchar('\n');
            finding_print(f);
        }
        if (svg != NULL && !write_pictures(f))
            return false;
        fflush(stdout);
    }
    if (json)
        puts("]}");
    return true;
}

static bool compare(void)
{
    comparison c = {.seed = seed,
                    .n_stories = (size_t)n_stories,
                    .n_threads = n_threads > 0 ? (unsigned)n_threads : console_processors(),
                    .kernel = kernel};
    bool wanted[N_SECTIONS] = {false};
    if (!choose_sections(wanted) || !console_takes_pictures(svg))
        return false;
    finding *f = console_memory(1, sizeof *f);
    bool done = f != NULL && comparison_open(&c) && run_sections(&c, wanted, f);
    comparison_close(&c);
    free(f);
    return done;
}

int main(int argc, char **argv)
{
    cli_outcome outcome = cli_read(&line, argc, argv);
    bool done = outcome == CLI_RUN ? compare() : outcome == CLI_HELP;
    return !(console_finish() && done);
}
