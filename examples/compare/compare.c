/*
 * compare.c - what MLPs, recurrent networks and Transformers can and cannot do, measured.
 *
 * The five bundled models have about the same number of parameters and learned from the same world of stories.
 * Textbooks make claims about such networks. This program tests the claims on these models, with stories they have not
 * seen. prediction.c, memory.c, influence.c and cost.c have one to three sections each, contradiction.c has one about
 * what they write, translation.c one about three more models; compare.h has what they share.
 *
 * No result is fixed in advance: all numbers are computed here and now, and the verdicts follow from them. (Only the
 * marks of other trainings are from a log; no verdict needs them.) All but the times are the same on every machine, bit
 * for bit (support/stats.h).
 */
#include <stdlib.h>
#include <string.h>

#include "compare.h"

/* In the order of examples/README.md. */
static const section sections[] = {
    {"learned", "What they learned", "an RNN beats an MLP, gates an RNN, attention both",
     "An RNN predicts better than an MLP, gates better than a plain RNN, and attention better than both. Each family "
     "was trained three times, with other random starts. The model in the box is training 1; what the others gave is "
     "from examples/train/log.md.",
     false, compare_learned},
    {"position", "Fixed input", "an MLP knows what is in its window, and no more",
     "An MLP knows what its window holds, and nothing of what lies one position before it.", false, compare_position},
    {"influence", "Influence", "what was told fades in an RNN, not through gates",
     "In an RNN the influence of what was told vanishes with distance. Gates keep a path open, and attention reaches "
     "any token.",
     false, compare_influence},
    {"memory", "Memory over distance", "recurrent networks forget, attention does not",
     "Recurrent networks lose what was said long ago. Attention finds it at any distance.", false, compare_memory},
    {"translation", "From one text to another", "one state is too narrow, attention is not",
     "If one state has to hold the whole sentence, a translation gets worse with the length of the sentence. With "
     "attention to its words it does not. A Transformer needs nothing but attention, and its sinusoids may carry it to "
     "sentences longer than any it learned from (Vaswani et al. 2017, section 3.5).",
     false, compare_translation},
    {"context", "Context", "gates use more context than an RNN, attention all",
     "An MLP uses what its window holds and an RNN little more. Gates reach further, and attention uses everything.",
     false, compare_context},
    {"depth", "Depth", "norms keep a gradient through many layers",
     "In a row of many layers a gradient vanishes before training begins, if each makes it a little smaller. Starting "
     "values of the right size help, and norms keep it without them. A layer that adds to its input does no harm.",
     false, compare_depth},
    {"contradiction", "Contradictions", "a network that forgets contradicts itself",
     "A model that has forgotten what it wrote contradicts it. With gates that happens less often, with attention "
     "rarely.",
     false, compare_contradiction},
    {"parallel", "Parallel or step by step", "a Transformer reads a prompt in parallel",
     "A Transformer reads a whole prompt in parallel. A recurrent network has to go step by step. How much time that "
     "saves depends on the machine and on the size of the model. The models in the box fit into the caches of a "
     "processor, where little is saved, so larger ones are made for this, with random weights.",
     true, compare_parallel},
    {"cost", "What a longer text costs", "a step of attention costs more with every token",
     "A step of a recurrent network always costs the same. Attention costs more with every token.", true, compare_cost},
    {"switch", "The other side", "states follow hidden changes, attention cannot",
     "Recurrence can follow a state whose changes the text does not mention. Attention of fixed depth cannot.", false,
     compare_switch},
};

enum { N_SECTIONS = sizeof sections / sizeof *sections };

static uint64_t seed = 1, n_stories = 300;
static const char *svg, *only, *kernel;
static bool json;

static const cli_option options[] = {
    CLI_COUNT("--seed", "S", &seed, 0, 0,
              "other stories (default 1); the same seed gives the same figures, but for times"),
    CLI_COUNT("--stories", "N", &n_stories, 2, 10000, "how many are read (default 300)"),
    CLI_TEXT("--kernel", "NAME", &kernel,
             "portable, sse2, avx2, avx512 (default: the best here); only times depend on it"),
    LM_TYPE,
    CLI_TEXT("--only", "NAMES", &only,
             "of learned,position,influence,memory,translation,context,depth,contradiction,parallel,cost,switch: only "
             "these"),
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
    json_member("brief", part->brief);
    fputs(", ", stdout);
    json_member("claim", part->claim);
    fputs(", ", stdout);
    json_member("verdict", verdict_name(finding_verdict(f)));
    fputs(",\n   \"checks\": [", stdout);
    for (size_t i = 0; i < f->n_checks; i++) {
        printf("%s\n    {\"holds\": %s, \"timed\": %s, ", i > 0 ? "," : "", f->checks[i].holds ? "true" : "false",
               f->checks[i].timed ? "true" : "false");
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

/* What a section found, if it ran: n_checks is 0 otherwise. */
typedef struct result {
    verdict verdict;
    size_t n_holds, n_checks;
} result;

/* The table of all claims; as JSON only its last line. */
static void print_total(const result found[N_SECTIONS])
{
    static const char *const answers[] = {"yes", "partly", "no"};
    size_t n[3] = {0}, n_holds = 0, n_checks = 0;
    if (!json)
        printf("\nAll claims\n\n");
    for (size_t i = 0; i < N_SECTIONS; i++) {
        if (found[i].n_checks == 0)
            continue;
        n[found[i].verdict]++;
        n_holds += found[i].n_holds;
        n_checks += found[i].n_checks;
        if (!json) {
            printf("  %-6s %2zu/%-2zu %-13s ", answers[found[i].verdict], found[i].n_holds, found[i].n_checks,
                   sections[i].name);
            console_wrap(sections[i].brief, 29);
        }
    }
    printf(json ? "],\n \"total\": {\"yes\": %zu, \"partly\": %zu, \"no\": %zu, \"checks\": %zu, \"holds\": %zu}}\n"
                : "\n  Claims: %zu yes, %zu partly, %zu no. Of %zu checks %zu hold.\n",
           n[BORNE_OUT], n[PARTLY_BORNE_OUT], n[NOT_BORNE_OUT], n_checks, n_holds);
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

/* What holds for all sections, with the limits of compare.h. */
static void print_heading(void)
{
    char stories[CONSOLE_ROOM], text[640];
    snprintf(
        text, sizeof text,
        "Textbook claims about five families of networks of about the same size, tested on %s unseen stories (seed "
        "%llu). The limits are the same for every family. 'Kept' runs from 0 %% (no better than guessing) to "
        "100 %% (always right): a fact is kept above %.0f %%, lost below %.0f %%, and fades if %.0f %% of it go. "
        "Another value moves an answer by at least %g bit. A gradient has vanished below %g of its first step. "
        "'Better' and 'more' mean a larger difference than chance explains; for times, one of %.0f %%.",
        console_count(stories, n_stories), (unsigned long long)seed, 100 * MOST, 100 * LOST, 100 * TENTH, FELT,
        VANISHED, 100 * (LONGER - 1));
    console_wrap(text, 0);
}

static bool run_sections(comparison *c, const bool wanted[N_SECTIONS], finding *f)
{
    result found[N_SECTIONS] = {{0}};
    size_t n = 0;
    if (json)
        printf("{\"seed\": %llu, \"stories\": %zu, \"sections\": [", (unsigned long long)seed, c->n_stories);
    else
        print_heading();
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
        found[i] = (result){finding_verdict(f), finding_holds(f), f->n_checks};
        if (svg != NULL && !write_pictures(f))
            return false;
        fflush(stdout);
    }
    print_total(found);
    return true;
}

static bool compare(void)
{
    comparison c = {.seed = seed, .n_stories = (size_t)n_stories, .kernel = kernel};
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
