/*
 * inspect.c - what is inside a safetensors or GGUF file or a model folder.
 */
#include <stdarg.h>
#include <string.h>

#include "lm.h"

enum { NAME_ROOM = 256, VALUE_ROOM = 64, MOST_ELEMENTS = 6 };

static uint64_t asked_context;

static const cli_option options[] = {
    CLI_COUNT("--context", "N", &asked_context, 1, 1e9,
              "print the size of a state for N tokens (default: the model's context)"),
    LM_TYPE,
};

static cli line = {
    .name = "inspect",
    .usage = "FILE_OR_FOLDER [options]",
    .about = "Lists the tensors of a safetensors or GGUF file, or of a model folder. For files it also prints the\n"
             "metadata, for folders and GGUF files the kind of the model and the memory it needs.",
    .samples = "  inspect examples/models/gpt\n"
               "  inspect examples/models/gru/model.safetensors\n"
               "  inspect examples/models/gpt --type q4\n",
    CLI_OPTIONS(options),
    CLI_ARGUMENTS(1, 1, "FILE_OR_FOLDER"),
};

/* A key of the metadata in each line: "llama.block_count  u32  30". Of long strings and arrays the beginning. */
static void print_metadata(const ink_weights *weights)
{
    char name[NAME_ROOM], type[32], value[5 * VALUE_ROOM];
    ink_metadata entry;
    int width = 0;
    for (size_t i = 0; ink_weights_metadata_at(weights, i, &entry); i++) {
        int size = (int)strlen(console_harmless(name, sizeof name, entry.key));
        width = size > width ? size : width;
    }
    for (size_t i = 0; ink_weights_metadata_at(weights, i, &entry); i++) {
        size_t used = 0, e = 0, size = 0;
        bool cut = false;
        value[0] = '\0';
        for (; e < entry.count && e < MOST_ELEMENTS && used < VALUE_ROOM && !cut; e++) {
            double number;
            char text[VALUE_ROOM + 1];
            const char *string = ink_weights_metadata_element(weights, i, e, &size, &number);
            cut = string != NULL && size > VALUE_ROOM;
            size = cut ? VALUE_ROOM : size;
            while (cut && ((unsigned char)string[size] & 0xC0) == 0x80) /* not inside a character */
                size--;
            if (string != NULL)
                snprintf(text, sizeof text, "%.*s", size > 0 ? (int)size : 2, size > 0 ? string : "\"\"");
            else if (strcmp(entry.type, "bool") == 0)
                snprintf(text, sizeof text, "%s", number != 0 ? "true" : "false");
            else
                snprintf(text, sizeof text, "%.*g", strcmp(entry.type, "f32") == 0 ? 7 : 16, number);
            used += (size_t)snprintf(value + used, sizeof value - used, "%s", e > 0 ? ", " : "");
            used += strlen(console_harmless(value + used, sizeof value - used, text));
        }
        snprintf(type, sizeof type, entry.is_array ? "%s[%zu]" : "%s", entry.type, entry.count);
        printf("%-*s  %-13s  %s%s\n", width, console_harmless(name, sizeof name, entry.key), type, value,
               e < entry.count || cut ? " ..." : "");
    }
    if (ink_weights_metadata_count(weights) > 0)
        putchar('\n');
}

static void print_tensors(const ink_weights *weights)
{
    char name[NAME_ROOM];
    size_t width = 0, type_width = 4;
    for (size_t i = 0; i < ink_weights_count(weights); i++) {
        const ink_weight *w = ink_weights_at(weights, i);
        size_t size = strlen(console_harmless(name, sizeof name, w->name)), type_size = strlen(ink_type_name(w->type));
        width = size > width ? size : width;
        type_width = type_size > type_width ? type_size : type_width;
    }
    for (size_t i = 0; i < ink_weights_count(weights); i++) {
        const ink_weight *w = ink_weights_at(weights, i);
        printf("%-*s  %-*s  [", (int)width, console_harmless(name, sizeof name, w->name), (int)type_width,
               ink_type_name(w->type));
        for (size_t d = 0; d < w->shape.rank; d++) /* "[768, 3072]" */
            printf("%s%zu", d > 0 ? ", " : "", w->shape.dim[d]);
        putchar(']');
        if (w->alias_of != NULL)
            printf("  = %s", console_harmless(name, sizeof name, w->alias_of));
        if (strcmp(w->file, ink_weights_name(weights)) != 0) /* one of several */
            printf("  %s", console_harmless(name, sizeof name, w->file));
        putchar('\n');
    }
}

/* A file of tensors does not say what it is, but the names of the tensors do: a model whose folder can be opened, or
   modules, with the calls that load them. */
static void print_guesses(const ink_weights *weights)
{
    static const struct {
        const char *ending, *kind;
    } names[] = {
        {".attn.c_attn.weight", "a GPT-2 Transformer"},
        {".self_attn.q_proj.weight", "a Transformer of the Llama family"},
        {".attention.self.query.weight", "a BERT Transformer"},
        {".attention.q_lin.weight", "a DistilBERT Transformer"},
    };
    char call[2 * NAME_ROOM], shown[4 * NAME_ROOM];
    for (size_t i = 0; i < ink_weights_count(weights); i++) {
        const char *name = ink_weights_at(weights, i)->name;
        size_t size = strlen(name);
        for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
            size_t end = strlen(names[k].ending);
            if (size < end || strcmp(name + size - end, names[k].ending) != 0)
                continue;
            printf("looks like   %s: ink_model_open() opens its folder\n", names[k].kind);
            return;
        }
    }
    size_t n = 0;
    for (size_t at = 0; ink_weights_suggest(weights, &at, call, sizeof call); n++)
        printf("%s%s\n", n == 0 ? "load with    " : "             ", console_harmless(shown, sizeof shown, call));
    if (n == 0)
        printf("looks like   nothing known\n");
}

/* "weights      2.17 MB (2,173,312 bytes) in memory", in as many lines as the terminal needs. */
static void print_fact(const char *name, const char *format, ...) CONSOLE_FORMAT(2, 3);

static void print_fact(const char *name, const char *format, ...)
{
    char text[2 * NAME_ROOM];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    printf("%-12s ", name);
    console_wrap(text, 13);
}

/* `state_size` is the size of a state for `capacity` tokens; an encoder has none. */
static void print_model(const ink_model *model, size_t capacity, size_t state_size)
{
    static const char *const heads[] = {[INK_TASK_CLASSIFY_TEXT] = "scores of a text",
                                        [INK_TASK_CLASSIFY_TOKENS] = "scores of each token",
                                        [INK_TASK_FILL] = "fillings of masked tokens",
                                        [INK_TASK_ANSWER] = "scores that an answer starts and ends at a token"};
    const ink_model_info *info = ink_model_get_info(model);
    const ink_encoder_info *encoder = ink_model_get_encoder(model);
    char a[CONSOLE_ROOM], b[CONSOLE_ROOM], c[CONSOLE_ROOM], name[NAME_ROOM], makes[256] = "";
    putchar('\n');
    print_fact("kind", "%s, %zu layers, width %zu, vocabulary %s", info->kind, info->n_layers, info->hidden_size,
               console_count(a, info->vocab_size));
    print_fact("parameters", "%s (%s)", console_count(a, info->n_parameters),
               console_parameters(b, info->n_parameters));
    print_fact("weights", "%s (%s bytes) in memory", console_bytes(a, info->n_bytes), console_count(b, info->n_bytes));
    if (info->context_length > 0)
        print_fact("context", "%s tokens", console_count(a, info->context_length));
    else if (info->window_size > 0)
        print_fact("context", "unlimited; the last %zu tokens count", info->window_size);
    else
        print_fact("context", "unlimited");
    if (encoder != NULL && encoder->embedding_size > 0)
        snprintf(makes, sizeof makes, ", embeddings of %zu", encoder->embedding_size);
    if (encoder != NULL && encoder->task != INK_TASK_NONE)
        snprintf(makes + strlen(makes), sizeof makes - strlen(makes), ", %s: %zu", heads[encoder->task],
                 ink_model_encoding_size(model, INK_LOGITS));
    if (encoder != NULL)
        print_fact("makes", "rows of %zu%s", ink_model_encoding_size(model, INK_HIDDEN_STATES), makes);
    else
        print_fact("state", "%s (%s bytes) for %s tokens", console_bytes(a, state_size), console_count(b, state_size),
                   info->context_length == 0 ? "any number of" : console_count(c, capacity));
    if (info->n_stop_tokens > 0)
        printf("ends with    token");
    for (size_t i = 0; i < info->n_stop_tokens; i++)
        printf("%s %d%s", i > 0 ? "," : "", (int)info->stop_tokens[i], i + 1 < info->n_stop_tokens ? "" : "\n");
    for (size_t i = 0; i < info->n_unused; i++)
        printf("unused       %s\n", console_harmless(name, sizeof name, ink_model_unused(model, i)));
    for (size_t i = 0; i < info->n_notes; i++)
        printf("note         %s\n", ink_model_note(model, i));
}

/* Of how many tokens a state is described, and its size. */
static bool measure_state(ink_context *ctx, const ink_model *model, size_t *capacity, size_t *state_size)
{
    *capacity = asked_context > 0 ? (size_t)asked_context : ink_model_get_info(model)->context_length;
    return ink_model_get_encoder(model) != NULL || console_ok(ctx, ink_state_size(ctx, model, *capacity, state_size));
}

/* Opens everything before printing anything: a folder is described whole or refused. */
static bool inspect_folder(ink_context *ctx, const char *path)
{
    ink_model *model = NULL;
    ink_weights *weights = NULL;
    ink_source folder = ink_source_folder(path);
    size_t capacity = 0, state_size = 0;
    bool done = console_ok(ctx, lm_load(ctx, path, INK_POOLING_NONE, &model)) &&
                console_ok(ctx, ink_weights_open_folder(ctx, &folder, &weights)) &&
                measure_state(ctx, model, &capacity, &state_size);
    if (done) {
        print_tensors(weights);
        print_model(model, capacity, state_size);
    }
    ink_weights_free(weights);
    ink_model_free(model);
    return done;
}

/* A GGUF file may hold a whole model, which is then described as a folder is, or the sentence that refuses it is
   printed: its tables are worth seeing even so. */
static bool inspect_file(ink_context *ctx, const char *path)
{
    char a[CONSOLE_ROOM], b[CONSOLE_ROOM], c[CONSOLE_ROOM], why[4 * NAME_ROOM] = "";
    uint64_t n_elements = 0, n_bytes = 0;
    size_t capacity = 0, state_size = 0;
    ink_model *model = NULL;
    ink_weights *weights = NULL;
    if (!console_ok(ctx, ink_weights_open(ctx, path, &weights)))
        return false;
    const bool is_gguf = ink_weights_metadata(weights, "general.architecture") != NULL;
    if (is_gguf && lm_load(ctx, path, INK_POOLING_NONE, &model) != INK_OK)
        snprintf(why, sizeof why, "%s", ink_context_error(ctx));
    bool done = model == NULL || measure_state(ctx, model, &capacity, &state_size);
    for (size_t i = 0; i < ink_weights_count(weights); i++) {
        const ink_weight *w = ink_weights_at(weights, i);
        size_t count;
        if (w->alias_of == NULL && ink_shape_count(&w->shape, &count))
            n_elements += count;
        n_bytes += w->alias_of == NULL ? w->size : 0;
    }
    if (done) {
        print_metadata(weights);
        print_tensors(weights);
        printf("\ntensors      %zu\nelements     %s (%s)\nin the file  %s\n", ink_weights_count(weights),
               console_count(a, n_elements), console_parameters(b, n_elements), console_bytes(c, n_bytes));
        if (ink_weights_prefix(weights)[0] != '\0')
            printf("prefix       %s (left out above)\n", console_harmless(a, sizeof a, ink_weights_prefix(weights)));
    }
    if (done && model != NULL)
        print_model(model, capacity, state_size);
    else if (done && is_gguf)
        printf("does not run %s\n", why);
    else if (done)
        print_guesses(weights);
    ink_model_free(model);
    ink_weights_free(weights);
    return done;
}

static bool inspect(ink_context *ctx)
{
    const char *path = line.arguments[0];
    ink_source source = ink_source_folder(NULL);
    uint64_t size;
    void *file;
    if (source.open(source.user, path, &file, &size) != INK_OK)
        return inspect_folder(ctx, path);
    source.close(source.user, file);
    return inspect_file(ctx, path);
}

int main(int argc, char **argv) { return cli_main(&line, argc, argv, inspect); }
