/*
 * test_families.c - the tables of families in src/import/README.md against the code: every model_type and class in them
 * has a folder among the fixtures, which opens, and every model_type that the code knows is in them.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "settings.h"

enum { MOST = 256, NAME = 64 };

/* The folders of fixtures/models, fixtures/encoders and fixtures/seq2seq. */
static struct {
    char name[NAME], type[NAME], class[NAME];
} folders[MOST];
static size_t n_folders;

/* The string behind "key": in a JSON text, perhaps the first of an array; "" if there is none. */
static void string_behind(const char *json, const char *key, char *value)
{
    char quoted[NAME];
    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    const char *at = strstr(json, quoted);
    value[0] = '\0';
    if (at != NULL)
        sscanf(at + strlen(quoted), "%*[[ \n]\"%63[^\"]\"", value);
}

static void read_folders(const char *kind)
{
    char path[512];
    snprintf(path, sizeof path, FIXTURES "/%s", kind);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL && n_folders < MOST;) {
        size_t size;
        char *config;
        snprintf(path, sizeof path, FIXTURES "/%s/%.60s", kind, entry->d_name);
        if (entry->d_name[0] == '.' || (config = test_read_file(path, "config.json", &size)) == NULL)
            continue;
        snprintf(folders[n_folders].name, NAME, "%.60s", entry->d_name);
        string_behind(config, "model_type", folders[n_folders].type);
        string_behind(config, "architectures", folders[n_folders].class);
        n_folders++;
        free(config);
    }
    closedir(dir);
}

/* Opens the first folder whose model_type is in the list " gpt2, llama," and whose class ends in `class`, with the
   class `as` in its place; as NULL: whose class is `class` ("": any), as it is. */
static void open_one(ink_context *ctx, const char *types, const char *class, const char *as)
{
    for (size_t i = 0; i < n_folders; i++) {
        size_t length = strlen(folders[i].class), size = strlen(class);
        char listed[NAME + 8], value[2 * NAME + 8];
        snprintf(listed, sizeof listed, " %s,", folders[i].type);
        bool fits = length >= size && strcmp(folders[i].class + length - size, class) == 0 &&
                    (as != NULL || size == 0 || length == size);
        bool says_none = as != NULL && length == 0 && strstr(class, "Classification") == NULL; /* a language model */
        if (strstr(types, listed) == NULL || (!fits && !says_none))
            continue;
        snprintf(value, sizeof value, "[\"%s\"]", as != NULL ? as : "");
        const setting s = {folders[i].name, as != NULL ? "architectures" : NULL, value, INK_OK, NULL};
        ink_model *model;
        assert_ok(ctx, setting_open(ctx, &s, &model));
        assert_string_equal(ink_model_get_info(model)->kind, folders[i].type);
        ink_model_free(model);
        return;
    }
    fail_msg("no folder among the fixtures has one of the model_types%s and the class '%s'", types, class);
}

/* The next word of a cell, "BertModel" or "...ForMaskedLM". Returns the place behind it, or NULL. */
static const char *next_word(const char *at, const char *end, char *word)
{
    int length = 0;
    at += strspn(at, " ,`");
    if (at >= end || sscanf(at, "%63[A-Za-z0-9.]%n", word, &length) != 1 || at + length > end)
        return NULL;
    return at + length;
}

/* "| `bert` | BertModel, ...ForMaskedLM, ... |": each model_type, and each class of it if the row has classes. */
static size_t check_family(ink_context *ctx, const char *row, bool has_classes, const char *known, char *seen)
{
    const char *bar = strchr(row + 1, '|'), *end = strchr(bar + 1, '|'), *at = row + 1;
    char type[NAME], word[NAME], listed[NAME + 8], class[2 * NAME], family[NAME] = "";
    size_t n_classes = 0;
    for (int n = 0; at < bar && sscanf(at, "%*[^`|]`%63[^`]`%n", type, &n) == 1 && n > 0; at += n, n = 0) {
        if (strcmp(type, "modules.json") == 0)
            break;
        snprintf(listed, sizeof listed, " %s,", type);
        if (strstr(known, listed) == NULL)
            fail_msg("the page has a family '%s', the code has only%s", type, known);
        strcat(seen, listed);
        open_one(ctx, listed, "", NULL);
        for (const char *next = bar + 1; has_classes && (next = next_word(next, end, word)) != NULL; n_classes++) {
            size_t size = strlen(word);
            if (size > 5 && word[0] != '.' && strcmp(word + size - 5, "Model") == 0)
                snprintf(family, NAME, "%.*s", (int)size - 5, word);
            snprintf(class, sizeof class, "%s%s", word[0] == '.' ? family : "", word[0] == '.' ? word + 3 : word);
            open_one(ctx, listed, class, NULL);
        }
    }
    return n_classes;
}

/* "| `GPT2LMHeadModel`, `...ForCausalLM` | ... |": each class, or the class of this end of each family in `families`,
   "GPT2, Llama", whose model_types are the same in small letters. */
static size_t check_classes(ink_context *ctx, const char *row, const char *families)
{
    const char *bar = strchr(row + 1, '|');
    char word[NAME], types[512] = " ", class[2 * NAME];
    size_t n_classes = 0;
    for (size_t i = 0; families[i] != '\0'; i++)
        types[i + 1] = (char)(families[i] >= 'A' && families[i] <= 'Z' ? families[i] + 32 : families[i]);
    strcat(types, ",");
    for (const char *next = row + 1; (next = next_word(next, bar, word)) != NULL;)
        for (const char *name = families; *name != '\0'; n_classes++) {
            size_t length = strcspn(name, " ,");
            snprintf(class, sizeof class, "%.*s%s", (int)length, name, word + 3);
            bool dots = word[0] == '.';
            open_one(ctx, types, dots ? word + 3 : word, dots ? class : word);
            name += length;
            name += dots ? strspn(name, " ,") : strlen(name);
        }
    return n_classes;
}

static void every_family_of_the_page_opens(ink_context *ctx)
{
    static char known[1024], seen[1024];
    const setting none = {"bert", "model_type", "\"?\"", INK_ERROR_UNSUPPORTED, NULL};
    char families[256] = "";
    size_t size, n_classes = 0;
    bool has_classes = false;
    ink_model *model;
    read_folders("models");
    read_folders("encoders");
    read_folders("seq2seq");
    assert_true(n_folders > 40 && n_folders < MOST);
    assert_int_equal(setting_open(ctx, &none, &model), none.result);
    snprintf(known, sizeof known, "%s,", strstr(ink_context_error(ctx), "only ") + 4); /* " gpt2, llama, mlp," */

    char *page = test_read_file(SOURCE_DIR "/src/import", "README.md", &size);
    assert_non_null(page);
    const char *end = strstr(page, "### Refused by name"), *line = strstr(page, "## Language models");
    assert_true(line != NULL && end != NULL);
    while ((line = strchr(line, '\n')) != NULL && ++line < end) {
        if (strncmp(line, "| `model_type` |", 16) == 0) {
            has_classes = strncmp(line + 16, " classes |", 10) == 0;
            families[0] = '\0';
        } else if (sscanf(line, "| class of %255[A-Za-z0-9, ]", families) == 1) {
            families[strlen(families) - 1] = '\0'; /* the space before the bar */
        } else if (strncmp(line, "| ", 2) == 0 && families[0] == '\0') {
            n_classes += check_family(ctx, line, has_classes, known, seen);
        } else if (strncmp(line, "| ", 2) == 0) {
            n_classes += check_classes(ctx, line, families);
        }
    }
    free(page);
    for (char type[NAME], *at = known; sscanf(at, " %63[^,],", type) == 1; at += strlen(type) + 2) {
        char listed[NAME + 8];
        snprintf(listed, sizeof listed, " %s,", type);
        if (strstr(seen, listed) == NULL)
            fail_msg("the code has a family '%s', the page has not", type);
    }
    assert_true(n_classes >= 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {context_test(every_family_of_the_page_opens)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
