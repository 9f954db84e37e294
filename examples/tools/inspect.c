/*
 * inspect.c - what is inside a safetensors file or a model folder.
 */
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "console.h"
#include "load.h"

typedef struct settings {
    const char *path;
    uint64_t context;
} settings;

static cli_outcome read_settings(settings *s, int argc, char **argv)
{
    const cli_option options[] = {
        {.name = "--context",
         .value = "N",
         .count = &s->context,
         .least = 1,
         .most = 1e9,
         .help = "tells the size of a state for N tokens (default: the model's context)"},
    };
    cli line = {
        .name = "inspect",
        .usage = "FILE_OR_FOLDER [options]",
        .about = "Lists the tensors of a safetensors file or of a model folder, and what the model is and takes.",
        .samples = "  inspect examples/models/gpt\n"
                   "  inspect examples/models/gru/model.safetensors\n",
        .options = options,
        .n_options = sizeof options / sizeof *options,
        .names = {"FILE_OR_FOLDER"},
        .n_least = 1,
        .n_most = 1,
    };
    cli_outcome outcome = cli_read(&line, argc, argv);

    s->path = line.arguments[0];
    return outcome;
}

enum { NAME_ROOM = 256 };

static bool fail(ink_context *ctx)
{
    console_complain("%s", ink_context_error(ctx));
    return false;
}

/* "[768, 3072]" */
static void print_shape(const ink_shape *shape)
{
    putchar('[');
    for (size_t i = 0; i < shape->rank; i++)
        printf("%s%zu", i > 0 ? ", " : "", shape->dim[i]);
    putchar(']');
}

static void print_tensors(const ink_weights *weights)
{
    char name[NAME_ROOM];
    size_t width = 0;

    for (size_t i = 0; i < ink_weights_count(weights); i++) {
        size_t size = strlen(console_harmless(name, sizeof name, ink_weights_at(weights, i)->name));
        width = size > width ? size : width;
    }
    for (size_t i = 0; i < ink_weights_count(weights); i++) {
        const ink_weight *w = ink_weights_at(weights, i);
        printf("%-*s  %-4s  ", (int)width, console_harmless(name, sizeof name, w->name), ink_type_name(w->type));
        print_shape(&w->shape);
        if (strcmp(w->file, ink_weights_name(weights)) != 0) /* one of several */
            printf("  %s", console_harmless(name, sizeof name, w->file));
        putchar('\n');
    }
}

/* Elements and bytes of all tensors together. */
static void print_totals(const ink_weights *weights)
{
    char parameters[CONSOLE_ROOM], bytes[CONSOLE_ROOM], exact[CONSOLE_ROOM];
    uint64_t n_elements = 0, n_bytes = 0;

    for (size_t i = 0; i < ink_weights_count(weights); i++) {
        size_t count;
        if (ink_shape_count(&ink_weights_at(weights, i)->shape, &count))
            n_elements += count;
        n_bytes += ink_weights_at(weights, i)->size;
    }
    printf("\ntensors      %zu\nelements     %s (%s)\nin the file  %s\n", ink_weights_count(weights),
           console_count(exact, n_elements), console_parameters(parameters, n_elements), console_bytes(bytes, n_bytes));
}

static const ink_weight *find_ending(const ink_weights *weights, const char *ending)
{
    for (size_t i = 0; i < ink_weights_count(weights); i++) {
        const ink_weight *w = ink_weights_at(weights, i);
        size_t size = strlen(w->name), end = strlen(ending);
        if (size >= end && strcmp(w->name + size - end, ending) == 0)
            return w;
    }
    return NULL;
}

/* A file of tensors does not say what it is, but its names do. PyTorch's recurrent layers differ in the number of
   gates: weight_hh_l0 is [gates * hidden_size, hidden_size]. */
static const char *guess(const ink_weights *weights)
{
    static const struct {
        const char *ending, *kind;
    } names[] = {
        {".attn.c_attn.weight", "a GPT-2 Transformer"},
        {".self_attn.q_proj.weight", "a Transformer of the Llama family"},
        {".attention.self.query.weight", "a BERT Transformer"},
        {"in_proj_weight", "nn.MultiheadAttention"},
        {"0.weight", "an nn.Sequential of dense layers"},
    };
    static const char *const gates[] = {"nothing known", "nn.RNN", "nothing known", "nn.GRU", "nn.LSTM"};
    const ink_weight *recurrent = find_ending(weights, "weight_hh_l0");

    if (recurrent != NULL && recurrent->shape.rank == 2 && recurrent->shape.dim[1] > 0) {
        size_t n_gates = recurrent->shape.dim[0] / recurrent->shape.dim[1];
        return gates[n_gates <= 4 ? n_gates : 0];
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (find_ending(weights, names[i].ending) != NULL)
            return names[i].kind;
    return gates[0];
}

static bool inspect_file(ink_context *ctx, const char *path)
{
    ink_weights *weights = NULL;

    if (ink_weights_open(ctx, path, &weights) != INK_OK)
        return fail(ctx);
    print_tensors(weights);
    print_totals(weights);
    printf("looks like   %s\n", guess(weights));
    ink_weights_free(weights);
    return true;
}

/* What an encoder makes of a text. */
static void print_encoder(const ink_model *model)
{
    static const char *const heads[] = {[INK_TASK_CLASSIFY_TEXT] = "scores of a text",
                                        [INK_TASK_CLASSIFY_TOKENS] = "scores of each token",
                                        [INK_TASK_FILL] = "fillings of masked tokens"};
    const ink_encoder_info *encoder = ink_model_get_encoder(model);

    printf("makes        rows of %zu", ink_model_encoding_size(model, INK_HIDDEN_STATES));
    if (encoder->embedding_size > 0)
        printf(", embeddings of %zu", encoder->embedding_size);
    if (encoder->task != INK_TASK_NONE)
        printf(", %s: %zu", heads[encoder->task], ink_model_encoding_size(model, INK_LOGITS));
    printf("\n");
}

/* `state_size` is what a state for `capacity` tokens takes; an encoder has none. */
static void print_state(const ink_model_info *info, size_t capacity, size_t state_size)
{
    char a[CONSOLE_ROOM], b[CONSOLE_ROOM];

    printf("state        %s (%s bytes) for ", console_bytes(a, state_size), console_count(b, state_size));
    if (info->context_length == 0)
        printf("any number of tokens\n");
    else
        printf("%s tokens\n", console_count(a, capacity));
}

static void print_model(const ink_model *model, size_t capacity, size_t state_size)
{
    const ink_model_info *info = ink_model_get_info(model);
    char a[CONSOLE_ROOM], b[CONSOLE_ROOM], name[NAME_ROOM];

    printf("\nkind         %s, %zu layers, width %zu, vocabulary %s\n", info->kind, info->n_layers, info->hidden_size,
           console_count(a, info->vocab_size));
    printf("parameters   %s (%s)\n", console_count(a, info->n_parameters), console_parameters(b, info->n_parameters));
    printf("weights      %s (%s bytes) in memory\n", console_bytes(a, info->n_bytes), console_count(b, info->n_bytes));
    if (info->context_length > 0)
        printf("context      %s tokens\n", console_count(a, info->context_length));
    else if (info->window_size > 0)
        printf("context      unlimited; the last %zu tokens count\n", info->window_size);
    else
        printf("context      unlimited\n");
    if (ink_model_get_encoder(model) != NULL)
        print_encoder(model);
    else
        print_state(info, capacity, state_size);
    if (info->n_stop_tokens > 0)
        printf("ends with    token");
    for (size_t i = 0; i < info->n_stop_tokens; i++)
        printf("%s %d%s", i > 0 ? "," : "", (int)info->stop_tokens[i], i + 1 < info->n_stop_tokens ? "" : "\n");
    for (size_t i = 0; i < info->n_unused; i++)
        printf("unused       %s\n", console_harmless(name, sizeof name, ink_model_unused(model, i)));
}

/* Everything is asked before anything is printed: a folder is described whole or refused. */
static bool inspect_folder(ink_context *ctx, const settings *s)
{
    ink_model *model = NULL;
    ink_weights *weights = NULL;
    ink_source folder = ink_source_folder(s->path);
    size_t capacity = 0, state_size = 0;
    bool done = false;

    if (load_model(ctx, s->path, INK_POOLING_NONE, &model) == INK_OK &&
        ink_weights_open_folder(ctx, &folder, &weights) == INK_OK) {
        capacity = s->context > 0 ? (size_t)s->context : ink_model_get_info(model)->context_length;
        done = ink_model_get_encoder(model) != NULL || ink_state_size(ctx, model, capacity, &state_size) == INK_OK;
    }
    if (done) {
        print_tensors(weights);
        print_model(model, capacity, state_size);
    } else {
        fail(ctx);
    }
    ink_weights_free(weights);
    ink_model_free(model);
    return done;
}

/* True for a path at which there is a file, not a folder. */
static bool is_file(const char *path)
{
    ink_source source = ink_source_folder(NULL);
    uint64_t size;
    void *file;

    if (source.open(source.user, path, &file, &size) != INK_OK)
        return false;
    source.close(source.user, file);
    return true;
}

int main(int argc, char **argv)
{
    settings s = {0};
    cli_outcome outcome = read_settings(&s, argc, argv);
    ink_context *ctx;
    bool done;

    if (outcome != CLI_RUN)
        return outcome == CLI_ERROR || !console_finish();
    ctx = console_context(1, NULL);
    done = ctx != NULL && (is_file(s.path) ? inspect_file(ctx, s.path) : inspect_folder(ctx, &s));
    ink_context_free(ctx);
    return !(console_finish() && done);
}
