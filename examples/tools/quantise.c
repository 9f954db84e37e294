/*
 * quantise.c - writes a model folder as one GGUF file, with fewer bits for each weight; or shows what that does.
 *
 * The file is written whole or not at all: a full disk, or a weight that the type cannot hold, leaves no half file
 * behind.
 */
#include <stdio.h>
#include <string.h>

#include "rounding.h"

#define ROW_UNSET UINT64_MAX

static const char *type_name, *pooling_name;
static uint64_t shown_row = ROW_UNSET;

static const cli_option options[] = {
    CLI_TEXT(
        "--type", "TYPE", &type_name,
        "of the matrices: f32, f16, bf16, q8_0, q6_k, q5_0, q4_k or q4_0 (default q8_0); biases and norms stay f32"),
    CLI_TEXT("--pooling", "NAME", &pooling_name, "cls, mean or last, for encoders whose folder does not say how"),
    CLI_COUNT("--row", "N", &shown_row, 0, 1e9, "without OUT.gguf: the row to show (default 0)"),
    CLI_MACHINE,
};

static cli line = {
    .name = "quantise",
    .usage = "[FOLDER [OUT.gguf]] [options]",
    .about = "Writes a model folder as a GGUF file, which llama.cpp and the programs here open. Every block of 32 or\n"
             "256 weights gets the scale that fits it best; which weights matter more is not modelled. OUT.gguf may\n"
             "be - for stdout. Without OUT.gguf it shows what each type makes of a row of weights, and of the bits\n"
             "per token of unseen stories; without FOLDER, the bits per token of the models in the box.",
    .samples = "  quantise examples/models/gpt - --type q4_0 | wc -c\n"
               "  quantise examples/models/assistant - | wc -c\n",
    CLI_OPTIONS(options),
    CLI_ARGUMENTS(0, 2, "FOLDER", "OUT.gguf"),
};

/* The file on its way to the disk. */
typedef struct output {
    FILE *file;
    const char *path;
    uint64_t size;
    bool failed;
} output;

static bool append(void *user, const void *bytes, size_t size)
{
    output *out = user;
    out->size += size;
    out->failed = !file_write(out->file, out->path, bytes, size);
    return !out->failed;
}

static void print_note(void *user, const char *sentence)
{
    (void)user;
    console_note("%s", sentence);
}

/* Sets the members that the command line names. */
static bool choose_options(ink_gguf_options *wanted, const char **name)
{
    static const char *const poolings[INK_N_POOLINGS] = {
        [INK_POOLING_CLS] = "cls", [INK_POOLING_MEAN] = "mean", [INK_POOLING_LAST] = "last"};
    const char *asked = type_name != NULL ? type_name : "q8_0";
    for (size_t i = 0; i < N_ROUNDING_TYPES; i++)
        if (strcmp(asked, rounding_types[i].name) == 0) {
            wanted->type = rounding_types[i].type;
            *name = rounding_types[i].name;
        }
    for (size_t i = 0; i < INK_N_POOLINGS && pooling_name != NULL; i++)
        if (poolings[i] != NULL && strcmp(pooling_name, poolings[i]) == 0)
            wanted->pooling = (ink_pooling)i;
    if (wanted->type == INK_TYPE_NONE)
        return console_complain("--type expects f32, bf16, f16, q8_0, q6_k, q5_0, q4_k or q4_0, found '%s'", asked);
    return pooling_name == NULL || wanted->pooling != INK_POOLING_NONE ||
           console_complain("--pooling expects cls, mean or last, found '%s'", pooling_name);
}

static bool write_file(ink_context *ctx, const char *folder, const char *path)
{
    char beside[PATH_ROOM], bytes[CONSOLE_ROOM];
    const char *name = "";
    output out = {.path = path};
    ink_gguf_options wanted = {.note = print_note, .progress = lm_progress};
    if (!choose_options(&wanted, &name) || (out.file = file_begin(path, beside)) == NULL)
        return false;
    ink_result result = ink_gguf_write(ctx, folder, &wanted, append, &out);
    console_progress("%s", "");
    if (!file_end(out.file, path, beside, !out.failed && console_ok(ctx, result)))
        return false;
    if (out.file != stdout)
        printf("%s  %s  %s\n", path, name, console_bytes(bytes, out.size));
    return true;
}

static bool quantise(ink_context *ctx)
{
    const char *folder = line.arguments[0], *path = line.arguments[1];
    if (shown_row != ROW_UNSET && (folder == NULL || path != NULL))
        return console_complain("--row expects FOLDER and no OUT.gguf, found %s", path != NULL ? path : "no FOLDER");
    if (path != NULL)
        return write_file(ctx, folder, path);
    if (type_name != NULL || pooling_name != NULL)
        return console_complain("%s is for writing: OUT.gguf is missing", type_name != NULL ? "--type" : "--pooling");
    if (folder == NULL)
        return rounding_show_models(ctx);
    return rounding_show_row(ctx, folder, shown_row == ROW_UNSET ? 0 : (size_t)shown_row) &&
           rounding_show_types(ctx, folder);
}

int main(int argc, char **argv) { return cli_main(&line, argc, argv, quantise); }
