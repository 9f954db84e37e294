/*
 * quantise.c - writes a model folder as one GGUF file, with fewer bits for each weight.
 *
 * The file grows under another name beside its own, and gets its own when it is whole: a full disk, or a weight that
 * the type cannot hold, leaves no half file behind.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lm.h"

static const char *type_name = "q8_0", *pooling_name;

static const cli_option options[] = {
    CLI_TEXT(
        "--type", "TYPE", &type_name,
        "of the matrices: f32, f16, bf16, q8_0, q6_k, q5_0, q4_k or q4_0 (default q8_0); biases and norms stay f32"),
    CLI_TEXT("--pooling", "NAME", &pooling_name, "cls, mean or last, for encoders whose folder does not say how"),
    CLI_MACHINE,
};

static cli line = {
    .name = "quantise",
    .usage = "FOLDER OUT.gguf [options]",
    .about = "Writes a model folder as a GGUF file, which llama.cpp and the programs here open. Every block of 32 or\n"
             "256 weights gets the scale that fits it best; which weights matter more is not modelled. OUT.gguf may\n"
             "be - for stdout.",
    .samples = "  quantise examples/models/gpt - --type q4_0 | wc -c\n"
               "  quantise examples/models/mood - --type f16 | wc -c\n",
    CLI_OPTIONS(options),
    CLI_ARGUMENTS(2, 2, "FOLDER", "OUT.gguf"),
};

/* The file on its way to the disk. */
typedef struct output {
    FILE *file;
    uint64_t size;
    int failure; /* errno of the first write that failed; 0: none */
} output;

static bool append(void *user, const void *bytes, size_t size)
{
    output *out = user;
    errno = 0;
    if (fwrite(bytes, 1, size, out->file) == size) {
        out->size += size;
        return true;
    }
    out->failure = errno != 0 ? errno : EIO;
    return false;
}

static void print_note(void *user, const char *sentence)
{
    (void)user;
    console_note("%s", sentence);
}

/* Finds `name` among `names` [n], or complains with the list. */
static bool find_name(const char *option, const char *name, const char *const *names, size_t n, const char *list,
                      size_t *found)
{
    for (*found = 0; *found < n; (*found)++)
        if (names[*found] != NULL && strcmp(names[*found], name) == 0)
            return true;
    return console_complain("%s expects %s, found '%s'", option, list, name);
}

static bool quantise(ink_context *ctx)
{
    static const char *const names[] = {"f32", "f16", "bf16", "q8_0", "q6_k", "q5_0", "q4_k", "q4_0"};
    static const ink_type types[] = {INK_F32, INK_F16, INK_BF16, INK_Q8_0, INK_Q6_K, INK_Q5_0, INK_Q4_K, INK_Q4_0};
    static const char *const poolings[INK_N_POOLINGS] = {
        [INK_POOLING_CLS] = "cls", [INK_POOLING_MEAN] = "mean", [INK_POOLING_LAST] = "last"};
    const char *path = line.arguments[1];
    char beside[PATH_ROOM], bytes[CONSOLE_ROOM];
    size_t type, pooling = INK_POOLING_NONE;
    output out = {0};
    if (!find_name("--type", type_name, names, sizeof names / sizeof *names,
                   "f32, f16, bf16, q8_0, q6_k, q5_0, q4_k or q4_0", &type) ||
        (pooling_name != NULL &&
         !find_name("--pooling", pooling_name, poolings, INK_N_POOLINGS, "cls, mean or last", &pooling)))
        return false;
    const bool to_stdout = strcmp(path, "-") == 0;
    if (strlen(path) + sizeof ".part" > sizeof beside)
        return console_complain("the path of the file is longer than %d bytes", PATH_ROOM);
    snprintf(beside, sizeof beside, "%s.part", path);

    ink_gguf_options wanted = {
        .type = types[type], .pooling = (ink_pooling)pooling, .note = print_note, .progress = lm_progress};
    if ((out.file = to_stdout ? stdout : file_create(beside)) == NULL)
        return false;
    ink_result result = ink_gguf_write(ctx, line.arguments[0], &wanted, append, &out);
    console_progress("%s", "");
    bool done = out.failure == 0 ? console_ok(ctx, result)
                                 : console_complain("%s: cannot be written: %s", path, strerror(out.failure));
    if (to_stdout)
        return done;
    if (done)
        done = file_close(out.file, path);
    else
        fclose(out.file);
    if (!done || !file_replace(beside, path)) {
        remove(beside);
        return false;
    }
    printf("%s  %s  %s\n", path, names[type], console_bytes(bytes, out.size));
    return true;
}

int main(int argc, char **argv) { return cli_main(&line, argc, argv, quantise); }
