/*
 * test_programs.c - the example programs from end to end, as a newcomer would use them: their helps, mistakes, damaged
 * folders, inspect and first_light. The others have test_programs_*.c of their own.
 */
#define _POSIX_C_SOURCE 200809L

#include "testing.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "programs.h"

#define GENERATE PROGRAMS "/generate"
#define BENCH PROGRAMS "/bench"

static const char *const folders[] = {MODELS "/mlp", MODELS "/rnn", MODELS "/gru", MODELS "/lstm", MODELS "/gpt"};
enum { N_FOLDERS = 5 };

static void helps(void **state)
{
    static const char *const names[] = {"generate",   "chat",    "embed",     "classify",  "tag",         "fill",
                                        "score",      "inspect", "mlp",       "rnn",       "transformer", "first_light",
                                        "lookinside", "answer",  "translate", "summarise", "quantise",    "amp",
                                        "spiral",     "room",    "vowels",    "bias",      "mend"};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = join_path(PROGRAMS, names[i]);
        process p = run(path, "--help");
        char *samples = strstr(p.out, "for example:\n"), *command, *rest;
        size_t n = 0;

        assert_int_equal(p.code, 0);
        assert_int_equal(p.err_size, 0);
        assert_memory_equal(p.out, "usage: ", 7);
        assert_true(strstr(p.out, names[i]) == p.out + 7);
        assert_non_null(samples);
        /* Lines have up to 80 columns, but for a command with long paths. */
        for (char *line = p.out, *end; (end = strchr(line, '\n')) != NULL; line = end + 1)
            if (end - line > 80 && strncmp(line, "  embed tests/fixtures", 22) != 0)
                fail_msg("%s: %.*s", names[i], (int)(end - line), line);
        /* Every invocation that is shown works, from the top of the sources. */
        for (command = strtok_r(samples + 13, "\n", &rest); command != NULL; command = strtok_r(NULL, "\n", &rest)) {
            const char *const shell[] = {"sh", "-c", command, NULL};
            free(output_of(process_run(SOURCE_DIR, shell, NULL)));
            n++;
        }
        assert_true(n >= 2);
        process_free(&p);
        free(path);
    }
}

static void mistakes_are_answered(void **state)
{
    static const mistake mistakes[] = {
        {{GENERATE}, "FOLDER is missing"},
        {{GENERATE, MODELS "/gpt"}, "the prompt is missing"},
        {{GENERATE, MODELS "/gpt", "a", "b"}, "one argument too many: 'b'"},
        {{GENERATE, MODELS "/gpt", "a", "--temperature", "1"}, "unknown option '--temperature'; here it is '-t'"},
        {{GENERATE, MODELS "/gpt", "a", "--temprature", "1"},
         "unknown option '--temprature'; here '--temperature' is '-t', and --help shows all"},
        {{GENERATE, MODELS "/gpt", "a", "--temperatur", "1"}, "here '--temperature' is '-t'"},
        {{GENERATE, MODELS "/gpt", "a", "--max-token", "1"}, "here '--max-tokens' is '-n'"},
        {{PROGRAMS "/compare", "--story", "2"}, "unknown option '--story'; here it is '--stories'"},
        {{PROGRAMS "/compare", "--storie", "2"}, "unknown option '--storie'; the nearest is '--stories'"},
        {{PROGRAMS "/lookinside", MODELS "/gpt", "a", "--head", "1"}, "unknown option '--head'; --help shows all"},
        {{PROGRAMS "/lookinside", MODELS "/gpt", "a", "--ehlp"}, "unknown option '--ehlp'; the nearest is '--help'"},
        {{GENERATE, MODELS "/gpt", "a", "--max_new_tokens=9"}, "unknown option '--max_new_tokens=9'; here it is '-n'"},
        {{GENERATE, MODELS "/gpt", "--prompt", "a"}, "unknown option '--prompt'; here the prompt needs no option"},
        {{PROGRAMS "/fill", MODELS "/bert", "a", "--max-tokens", "9"}, "unknown option '--max-tokens'; --help"},
        {{PROGRAMS "/embed", MODELS "/bert", "--text", "a"}, "unknown option '--text'; here a text needs no option"},
        {{PROGRAMS "/answer", MODELS "/answer", "-f", "a"}, "unknown option '-f'; here it is '--context'"},
        {{PROGRAMS "/chat", MODELS "/assistant", "--ctx-size", "9"},
         "unknown option '--ctx-size'; here it is '--context'"},
        {{PROGRAMS "/mlp", "--model-path", MODELS "/mlp"}, "unknown option '--model-path'"},
        {{PROGRAMS "/mlp", "-m", MODELS "/mlp"}, "unknown option '-m'; here it is '--model'"},
        {{GENERATE, MODELS "/gpt", "a", "--steps=9"}, "unknown option '--steps=9'; here it is '-n'"},
        {{PROGRAMS "/bias", "-n", "20"}, "unknown option '-n'; here it is '--stories'"},
        {{PROGRAMS "/compare", "--count", "20"}, "unknown option '--count'; here it is '--stories'"},
        {{PROGRAMS "/lookinside", MODELS "/gpt", "a", "--step", "--token", "3"},
         "unknown option '--token'; here it is '--at'"},
        {{GENERATE, MODELS "/gpt", "a", "--repeat-penatly", "1"}, "the nearest is '--repeat-penalty'"},
        {{GENERATE, MODELS "/gpt", "a", "-n"}, "-n needs a value"},
        {{GENERATE, MODELS "/gpt", "a", "-n", "ten"}, "-n expects a whole number from 0 to 1000000000, found 'ten'"},
        {{GENERATE, MODELS "/gpt", "a", "-t", "-1"}, "-t expects a number from 0 to 100, found '-1'"},
        {{GENERATE, MODELS "/gpt", "a", "-p", "1.5"}, "-p expects a number from 0 to 1, found '1.5'"},
        {{GENERATE, MODELS "/gpt", "a", "--seed", "x"}, "--seed expects a whole number of at least 0"},
        {{GENERATE, MODELS "/gpt", "a", "--threads", "0"}, "--threads expects a whole number from 1 to 64"},
        {{GENERATE, MODELS "/gpt", "a", "--kernel", "mmx"}, "--kernel expects one that this machine can run ("},
        {{GENERATE, MODELS "/none", "a"}, "none"},
        {{GENERATE, MODELS "/gpt/config.json", "a"}, "config.json"},
        {{GENERATE, "", "a"}, "config.json"},
        {{PROGRAMS "/score", MODELS "/gpt"}, "TEXT_FILE is missing"},
        {{PROGRAMS "/score", MODELS "/gpt", MODELS "/none.txt"}, "none.txt: cannot be read"},
        {{PROGRAMS "/score", MODELS "/gpt", MODELS}, "cannot be read"},
        {{PROGRAMS "/score", MODELS "/gpt", "/dev/null"}, "/dev/null: there is no token to score"},
        {{PROGRAMS "/score", MODELS "/gpt", MODELS "/gpt/config.json", "--context", "9999"}, "--context expects"},
        {{PROGRAMS "/score", MODELS "/gpt", "-", "--type", "q"},
         "--type expects one of: f32 bf16 f16 q8 q4; found 'q'"},
        {{PROGRAMS "/inspect"}, "FILE_OR_FOLDER is missing"},
        {{PROGRAMS "/inspect", MODELS "/none"}, "none"},
        {{PROGRAMS "/inspect", MODELS "/gpt/config.json"}, "config.json"},
        {{PROGRAMS "/inspect", MODELS "/gpt", "--context", "300"}, "300 tokens"},
        {{PROGRAMS "/rnn", "gru", "a", "b"}, "one argument too many: 'b'"},
        {{PROGRAMS "/rnn", "gruu", "a"}, "before the prompt a name of a model is expected, found 'gruu'"},
        {{PROGRAMS "/mlp", "--model", MODELS "/none"}, "none/model.safetensors"},
        {{PROGRAMS "/mlp", "--model", MODELS "/gpt"}, "embedding"},
        {{BENCH, "--model", MODELS "/none"}, "none"},
        {{BENCH, "--model", MODELS "/mood"}, "a bert is an encoder and continues no texts"},
        {{BENCH, "--model", MODELS "/translate_transformer"}, "reads one text and writes another"},
        {{BENCH, "--model", FIXTURES "/gguf_models/gpt2.gguf"}, "72 tokens are measured, and 64 are all it takes"},
        {{PROGRAMS "/first_light", "x", "y"}, "one argument too many: 'y'"},
        {{"env", "INKLING_MODELS=/none", PROGRAMS "/transformer"}, "/none/gpt/model.safetensors"},
    };

    (void)state;
    mistakes_refused(mistakes, sizeof mistakes / sizeof *mistakes);
}

/* Where a good folder was damaged, programs say what is wrong with it. */
static void damaged_folders_are_refused(void **state)
{
    char *folder = fresh_folder(), *bytes, *path;
    size_t size;

    (void)state;
    copy_file(MODELS "/gpt", folder, "config.json");
    write_file(folder, "pytorch_model.bin", "PK", 2);
    refused(run(GENERATE, folder, "a"), "safetensors"); /* how to save it */
    refused(run(PROGRAMS "/inspect", folder), "safetensors");

    bytes = read_file(MODELS "/gpt", "model.safetensors", &size);
    path = join_path(folder, "model.safetensors");
    static const size_t keep[] = {0, 7, 8, 9, 1000}; /* and all but the last byte */
    for (size_t i = 0; i <= sizeof keep / sizeof *keep; i++) {
        write_file(folder, "model.safetensors", bytes, i < sizeof keep / sizeof *keep ? keep[i] : size - 1);
        refused(run(GENERATE, folder, "a"), "model.safetensors");
        refused(run(PROGRAMS "/inspect", folder), "model.safetensors");
        refused(run(PROGRAMS "/inspect", path), "model.safetensors");
    }
    write_file(folder, "model.safetensors", bytes, size);
    refused(run(GENERATE, folder, "a"), "tokenizer.json");
    write_file(folder, "tokenizer.json", "{\"version\": ", 12);
    refused(run(GENERATE, folder, "a"), "tokenizer.json");
    copy_file(MODELS "/gpt", folder, "tokenizer.json");
    free(output_of(run(GENERATE, folder, "a", "-n", "1")));
    write_file(folder, "config.json", "{\"model_type\": \"parrot\"}", 24);
    refused(run(GENERATE, folder, "a"), "parrot");
    free(bytes);
    free(path);
    forget(folder);
}

/* "12,345" becomes "12345" wherever it stands. */
static char *without_commas(char *text)
{
    char *to = text;

    for (const char *at = text; *at != '\0'; at++)
        if (*at != ',' || at[1] == ' ')
            *to++ = *at;
    *to = '\0';
    return text;
}

static void inspects(void **state)
{
    static const char *const kinds[] = {"nn.Sequential", "nn.RNN", "nn.GRU", "nn.LSTM", "GPT-2"};

    (void)state;
    for (size_t i = 0; i < N_FOLDERS; i++) {
        char *path = join_path(folders[i], "model.safetensors");
        char *folder_says = without_commas(output_of(run(PROGRAMS "/inspect", folders[i], "--context", "64")));
        char *file_says = without_commas(output_of(run(PROGRAMS "/inspect", path))), line[256];
        opened o = open_model(folders[i], INK_POOLING_NONE);
        const ink_model_info *info = o.info;
        ink_weights *weights = NULL;
        size_t size;

        assert_ok(o.ctx, ink_weights_open(o.ctx, path, &weights));
        for (size_t k = 0; k < ink_weights_count(weights); k++) {
            assert_non_null(strstr(folder_says, ink_weights_at(weights, k)->name));
            assert_non_null(strstr(file_says, ink_weights_at(weights, k)->name));
        }
        assert_int_equal(count_of(file_says, "BF16"), ink_weights_count(weights));
        assert_ok(o.ctx, ink_state_size(o.ctx, o.model, 64, &size));
        snprintf(line, sizeof line, "kind         %s, %zu layers", info->kind, info->n_layers);
        assert_non_null(strstr(folder_says, line));
        assert_non_null(strstr(folder_says, i == 4 ? "64 tokens" : "any number of tokens"));
        assert_true(number_after(folder_says, "parameters") == (double)info->n_parameters);
        assert_true(number_after(file_says, "elements") == (double)info->n_parameters);
        snprintf(line, sizeof line, "(%llu bytes) in memory", (unsigned long long)info->n_bytes);
        assert_non_null(strstr(folder_says, line));
        snprintf(line, sizeof line, "(%zu bytes) for", size);
        assert_non_null(strstr(folder_says, line));
        assert_non_null(strstr(file_says, kinds[i]));
        ink_weights_free(weights);
        close_model(&o);
        free(folder_says);
        free(file_says);
        free(path);
    }
}

/* --type: inspect says the bytes, score what the type costs, generate writes. */
static void weights_are_quantised(void **state)
{
    static const char *const types[] = {"f32", "bf16", "f16", "q8", "q4"};
    double bytes[5], first[3];
    (void)state;
    for (size_t i = 0; i < 5; i++) {
        char *said = without_commas(output_of(run(PROGRAMS "/inspect", MODELS "/gpt", "--type", types[i])));
        bytes[i] = number_after(strstr(said, "weights  "), "(");
        free(said);
    }
    assert_true(bytes[1] < 0.6 * bytes[0] && bytes[2] == bytes[1] && bytes[3] < 0.6 * bytes[1] &&
                bytes[4] < 0.8 * bytes[3]);
    for (size_t i = 3; i < 5; i++) {
        char *said = output_of(run_with("It was night. Anna and Tom had a cat with them. Anna fed the cat.",
                                        PROGRAMS "/score", MODELS "/gpt", "-", "--type", types[i]));
        double bits = number_after(said, "bits per token"), stored = number_after(said, "as stored");
        assert_true(fabs(number_after(said, "costs") - 100 * (bits / stored - 1)) <= 0.02);
        assert_true(fabs(bits / stored - 1) < 0.02);
        assert_non_null(strstr(said, ", with 1.10 MB of weights: q"));
        free(said);
    }
    char *wrote = output_of(run(GENERATE, MODELS "/gru", "It was night.", "-n", "20", "-t", "0", "--type", "q4"));
    assert_true(strlen(wrote) > 20);
    free(wrote);
    /* A Llama and a sentence encoder. */
    for (size_t i = 0; i < 3; i++) {
        const char *type = types[i == 0 ? 0 : i + 2];
        char *said = without_commas(output_of(run(PROGRAMS "/inspect", FIXTURES "/quantise/pieces", "--type", type)));
        bytes[i] = number_after(said, "KB (");
        free(said);
        said = output_of(run(PROGRAMS "/embed", FIXTURES "/encoders/sentence_dense", "the cat", "--type", type));
        first[i] = strtod(said, NULL);
        free(said);
    }
    assert_true(bytes[1] < 0.4 * bytes[0] && bytes[2] < 0.9 * bytes[1]);
    assert_true(first[1] != first[0] && fabs(first[1] - first[0]) < 0.05);
    assert_true(first[2] != first[1] && fabs(first[2] - first[0]) < 0.2);
    char *stored = output_of(run(PROGRAMS "/compare", "--only", "learned", "--stories", "2"));
    char *rounded = output_of(run(PROGRAMS "/compare", "--only", "learned", "--stories", "2", "--type", "q4"));
    assert_string_not_equal(stored, rounded);
    free(rounded);
    free(stored);
}

/* A folder in shards says of each tensor which file it is in. */
static void inspects_shards(void **state)
{
    char *said = output_of(run(PROGRAMS "/inspect", FIXTURES "/models/llama_bias"));

    (void)state;
    assert_true(count_of(said, "model-00001-of-00003.safetensors") > 3);
    assert_true(count_of(said, "model-00003-of-00003.safetensors") > 1);
    assert_non_null(strstr(said, "kind         llama, 2 layers, width 24, vocabulary 61"));
    assert_non_null(strstr(said, "ends with    token 2\n"));
    free(said);
}

/* A GGUF file lists its metadata, the beginning of what is long, and the tensors of all its shards. */
static void inspects_gguf(void **state)
{
    static const char *const lines[] = {
        "general.architecture          string         llama\n",
        "split.count                   u16            3\n",
        "blk.1.weight  Q8_0  [2, 32]  " FIXTURES "/gguf/parts-00001-of-00003.gguf\n",
        "blk.2.weight  F16   [2, 32]\n",
        "tensors      5\n",
        "does not run " FIXTURES "/gguf/parts-00001-of-00003.gguf: key 'llama.",
    };
    char *said = output_of(run(PROGRAMS "/inspect", FIXTURES "/gguf/parts-00002-of-00003.gguf"));
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        assert_non_null(strstr(said, lines[i]));
    free(said);
    said = output_of(run(PROGRAMS "/inspect", FIXTURES "/gguf/types.gguf"));
    assert_non_null(strstr(said, "test.float32.array            f32[3]         -0.1, 3.4e+38, -0.1\n"));
    assert_non_null(strstr(said, "test.bool.array               bool[3]        false, true, false\n"));
    assert_non_null(strstr(said, "test.string.array             string[4]      \"\", a, Ġthe, \xf0\x9f\x90\x8c\n"));
    free(said);
    said = output_of(run(PROGRAMS "/inspect", FIXTURES "/gguf_models/llama_k.gguf", "--context", "9"));
    assert_non_null(strstr(said, "blk.0.ffn_gate.weight     IQ4_XS  [32, 256]\n"));
    assert_non_null(strstr(said, "blk.0.attn_norm.weight    F32     [256]\n"));
    assert_non_null(strstr(said, "kind         llama, 1 layers, width 256, vocabulary 40\n"));
    assert_non_null(strstr(said, "bytes) for 9 tokens\n"));
    free(said);
    said = output_of(run(PROGRAMS "/inspect", MODELS "/gpt/model.safetensors"));
    assert_non_null(strstr(said, "format  string         pt\n"));
    free(said);
    said = output_of(run(PROGRAMS "/inspect", FIXTURES "/gguf_models/roberta_rank.gguf"));
    assert_non_null(strstr(said, "makes        rows of 32, scores of a text: 1\n"));
    free(said);
    char *folder = fresh_folder();
    copy_file(FIXTURES "/gguf_models", folder, "llama.gguf");
    char *from = join_path(folder, "llama.gguf"), *to = join_path(folder, "model.gguf");
    assert_int_equal(rename(from, to), 0); /* a folder with nothing else is this model */
    said = output_of(run(PROGRAMS "/inspect", folder));
    assert_non_null(strstr(said, "kind         llama"));
    free(said);
    free(from);
    free(to);
    forget(folder);
}

/* bench --model: prompts that the context has room for, a token, and opening. How fast they are says nothing here, but
   the rate of tokens is that of the time. */
static void a_model_is_timed(void **state)
{
    static const struct {
        const char *path;
        double m[4]; /* tokens of each line; 0: it is opened */
    } cases[] = {{MODELS "/gpt", {128, 1, 0}},
                 {MODELS "/gru", {128, 512, 1, 0}},
                 {FIXTURES "/gguf_models/llama.gguf", {128, 1, 0}}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *said = output_of(run(BENCH, "--model", cases[i].path, "--quick", "--json")), *rest;
        const double *m = cases[i].m;
        for (char *line = strtok_r(said, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest), m++) {
            const char *name = *m > 1   ? "{\"name\": \"prompt\""
                               : *m > 0 ? "{\"name\": \"token\""
                                        : "{\"name\": \"open\"";
            const double seconds = number_after(line, "\"seconds\":"), rate = number_after(line, "\"rate\":");
            assert_memory_equal(line, name, strlen(name));
            assert_true(seconds > 0 && rate > 0);
            if (*m == 0)
                break;
            assert_true(number_after(line, "\"m\":") == *m && fabs(rate * seconds / *m - 1) < 1e-3);
        }
        assert_true(*m == 0 && strtok_r(NULL, "\n", &rest) == NULL);
        free(said);
    }
}

static void first_light(void **state)
{
    static const char *const titles[] = {"MLP", "RNN", "GRU", "LSTM", "GPT"};
    char *text = output_of(run(PROGRAMS "/first_light")), *at = text;
    char *rounded = output_of(run(PROGRAMS "/first_light", "--type", "q4"));

    (void)state;
    assert_int_equal(count_of(text, "tokens/s"), N_FOLDERS);
    /* Those that forget invent another pet, and a girl who was never there. */
    assert_non_null(strstr(text, "[word]: the first that contradicts what was said before\n"));
    assert_non_null(strstr(text, "They called their [duck]. "));
    assert_non_null(strstr(text, " [Emma] yawned. "));
    assert_int_equal(count_of(text, "["), 3);
    for (size_t i = 0; i < N_FOLDERS; i++) {
        at = strstr(at, titles[i]);
        assert_non_null(at);
    }
    /* What the GPT continues, behind the line with its speed. */
    assert_string_not_equal(strchr(at, '\n'), strchr(strstr(rounded, titles[N_FOLDERS - 1]), '\n'));
    fits_80_columns(text);
    /* A word that the prompt rules out at once, a prompt that no story begins with, one from stdin, and an empty one.
     */
    char *other = output_of(run(PROGRAMS "/first_light", "Tom and the elephant"));
    char *typed = output_of(run_with("Tom and the elephant\n", PROGRAMS "/first_light", "-"));
    assert_non_null(strstr(other, "No story of the models' world begins like this (it stops at \"the\"), so nothing"));
    assert_null(strchr(other, '['));
    assert_memory_equal(strchr(typed, '\n'), strchr(other, '\n'), 60);
    free(typed);
    free(other);
    other = output_of(run(PROGRAMS "/first_light", ""));
    assert_non_null(strstr(other, "[word]: "));
    free(other);
    /* A word is marked, and named, from its first letter, also one that begins like the word of a story ("turned"). */
    other = output_of(run(PROGRAMS "/first_light", "Anna and Tom were in the garden."));
    assert_non_null(strstr(other, "Tom [took] an apple"));
    free(other);
    other = output_of(run(PROGRAMS "/first_light", "Anna and Tom were in\n the garden.  The dor was open."));
    assert_non_null(strstr(other, "(it stops at \"dor\")"));
    free(other);
    other = output_of(run(PROGRAMS "/first_light", "It was night."));
    assert_non_null(strstr(other, "(it stops at \"It\")"));
    free(other);
    /* White space at the end is none too much for the reader. Behind half a word no word can follow. */
    other = output_of(run(PROGRAMS "/first_light", "Anna and Tom were in the garden.  It was night. "));
    assert_non_null(strstr(other, "... [was] the open."));
    assert_true(count_of(other, "[") >= 4);
    free(other);
    other = output_of(run(PROGRAMS "/first_light", "Anna and Tom were in the gar"));
    assert_int_equal(count_of(other, "["), 1 + N_FOLDERS);
    free(other);
    /* A note comes behind what was printed before it. */
    other = output_of(run("sh", "-c", "\"$0\" \"Tom met an elephant.\" 2>&1", PROGRAMS "/first_light"));
    assert_non_null(strstr(other, "is marked.\n\nnote: \"elephant\" is not"));
    free(other);
    free(rounded);
    free(text);
}

/* The longest of the indented lines of a text: those that are wrapped and drawn. */
static size_t widest(const char *text)
{
    size_t most = 0;
    for (size_t size; *text != '\0'; text += size + (text[size] == '\n')) {
        size = strcspn(text, "\n");
        most = *text == ' ' && size > most ? size : most;
    }
    return most;
}

/* The rows of numbers below a chart, without their spaces. */
static char *rows_of(const char *text)
{
    char *rows = calloc(strlen(text) + 1, 1);
    size_t n = 0;
    for (size_t size; *text != '\0'; text += size + (text[size] == '\n')) {
        size = strcspn(text, "\n");
        if (size > 4 && strchr("MRGLT", text[2]) != NULL && text[3] == ' ')
            for (size_t i = 0; i < size; i++)
                if (text[i] != ' ' && text[i] != '\r')
                    rows[n++] = text[i];
    }
    return rows;
}

/* What is wrapped and drawn has the columns of the terminal, within bounds, and 80 where there is none. */
static void lines_are_as_wide_as_the_terminal(void **state)
{
    static const char *const programs[][6] = {{PROGRAMS "/first_light"},
                                              {PROGRAMS "/compare", "--only", "position", "--stories", "2"}};
    static const struct {
        unsigned short columns;
        const char *told;         /* COLUMNS */
        size_t least[2], most[2]; /* of first_light, which is wrapped, and of a chart of eight places */
    } cases[] = {{60, "COLUMNS=99", {50, 53}, {58, 60}},   {100, "COLUMNS=10", {90, 92}, {98, 98}},
                 {1000, "COLUMNS=10", {90, 92}, {98, 98}}, /* nobody likes to read longer lines */
                 {20, "COLUMNS=99", {30, 40}, {38, 60}},   /* no number is cut */
                 {0, "COLUMNS=60", {50, 53}, {58, 60}},    {0, "COLUMNS=", {70, 70}, {78, 80}}};

    (void)state;
    for (size_t k = 0; k < 2; k++) {
        char *rows;
        const char *const piped[] = {"env",          "COLUMNS=60",   programs[k][0], programs[k][1],
                                     programs[k][2], programs[k][3], programs[k][4], NULL};
        char *text = output_of(process_run(NULL, piped, NULL));
        fits_80_columns(text);
        assert_true(widest(text) > 70);
        rows = rows_of(text);
        assert_true(k == 0 || strlen(rows) > 100);
        free(text);
        for (size_t i = 0; i < (k == 0 ? 2 : sizeof cases / sizeof *cases); i++) { /* first_light takes its time */
            const char *const arguments[] = {"env",          "TERM=dumb",    cases[i].told,
                                             programs[k][0], programs[k][1], programs[k][2],
                                             programs[k][3], programs[k][4], NULL};
            process p = process_run_at_columns(arguments, NULL, cases[i].columns);
            assert_int_equal(p.code, 0);
            assert_int_equal(count_of(p.out, "\x1b"), 0);
            assert_in_range(widest(p.out), cases[i].least[k], cases[i].most[k]);
            char *narrow = rows_of(p.out);
            if (k == 1)
                assert_string_equal(narrow, rows);
            free(narrow);
            process_free(&p);
        }
        free(rows);
    }
}

/* At 40 columns everything is wrapped or drawn narrower, but for the rows of tables and charts. */
static void narrow_terminals_are_enough(void **state)
{
    static const char *const programs[][6] = {{PROGRAMS "/first_light", "Anna and Tom were in the garden."},
                                              {PROGRAMS "/spiral"},
                                              {PROGRAMS "/inspect", MODELS "/gpt"},
                                              {PROGRAMS "/inspect", MODELS "/bert"},
                                              {PROGRAMS "/compare", "--only", "position", "--stories", "2"}};

    (void)state;
    for (size_t k = 0; k < sizeof programs / sizeof *programs; k++) {
        const char *arguments[8] = {"env", "TERM=dumb"};
        memcpy(arguments + 2, programs[k], sizeof programs[k]);
        process p = process_run_at_columns(arguments, NULL, 40);
        assert_int_equal(p.code, 0);
        assert_true(p.out_size > 200);
        for (char *line = p.out, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
            *end = '\0';
            if (strlen(line) <= 40)
                continue;
            if (k == 4 ? line[2] != ' ' && line[3] != ' ' && strstr(line, "Claims: ") == NULL
                       : strstr(line, "  BF16  [") == NULL)
                fail_msg("%s: %zu columns: %s", programs[k][0], strlen(line), line);
        }
        process_free(&p);
    }
}

static int set_up(void **state)
{
    (void)state;
    return find_programs(PROGRAMS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(helps),
        cmocka_unit_test(mistakes_are_answered),
        cmocka_unit_test(damaged_folders_are_refused),
        cmocka_unit_test(inspects),
        cmocka_unit_test(weights_are_quantised),
        cmocka_unit_test(inspects_shards),
        cmocka_unit_test(inspects_gguf),
        cmocka_unit_test(a_model_is_timed),
        cmocka_unit_test(first_light),
        cmocka_unit_test(lines_are_as_wide_as_the_terminal),
        cmocka_unit_test(narrow_terminals_are_enough),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
