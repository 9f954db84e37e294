/*
 * test_members.c - every member of every JSON file of a folder, and every key of GGUF files, with a value of every
 * kind.
 *
 * The values of all files of a folder are replaced one at a time; and every key that the importers know is put into
 * every file that lacks it. Each folder opens, and then runs, or is refused with a sentence; nothing is left. A value
 * of another kind than the member's is refused where the importers know the key, except where `lenient` lists it. The
 * suite takes every eleventh of these cases (testing.h: test_stride).
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "counting.h"
#include "gguf_edit.h"
#include "../src/formats/json.h"

#define MOST_FILES 12
#define MOST_KEYS 1024

static const char *const values[] = {"null", "true",  "0",  "-1",     "7",    "2.5", "1e999",
                                     "\"\"", "\"x\"", "[]", "[null]", "[{}]", "{}",  "{\"content\":1}",
                                     "[[1]]"};
#define N_VALUES (sizeof values / sizeof values[0])

/* What stands in a folder: names of files of fixtures/. */
static const struct {
    const char *name;
    const char *files[MOST_FILES]; /* "path in fixtures=name in the folder", or a name in both */
} folders[] = {
    {"models/gpt2", {"config.json", "generation_config.json", "model.safetensors"}},
    {"models/llama", {"config.yarn.json=config.json", "generation_config.json", "model.safetensors"}},
    {"models/llama", {"config.llama3.json=config.json", "generation_config.json", "model.safetensors"}},
    {"models/qwen3", {"config.json", "generation_config.json", "model.safetensors"}},
    {"models/gru", {"config.json", "model.safetensors"}},
    {"models/rnn_relu", {"config.json", "model.safetensors"}},
    {"models/mlp", {"config.json", "model.safetensors"}},
    {"seq2seq/bahdanau", {"config.json", "model.safetensors"}},
    {"models/mistral",
     {"config.json", "model.safetensors.index.json", "model-00001-of-00003.safetensors",
      "model-00002-of-00003.safetensors", "model-00003-of-00003.safetensors"}},
    {"models/bart", {"config.json", "model.safetensors"}},
    {"models/marian_two", {"config.json", "model.safetensors"}},
    {"models/m2m_100", {"config.json", "model.safetensors"}},
    {"models/flan_t5", {"config.old.json=config.json", "model.safetensors"}},
    {"models/t5", {"config.json", "model.safetensors"}},
    {"encoders/bert_text", {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}},
    {"encoders/bert_fill", {"config.json", "model.safetensors", "tokenizer.json", "special_tokens_map.json"}},
    {"encoders/roberta_tokens", {"config.json", "model.safetensors"}},
    {"encoders/distilbert", {"config.json", "model.safetensors"}},
    {"encoders/mpnet", {"config.json", "model.safetensors"}},
    {"encoders/modernbert_text", {"config.json", "model.safetensors"}},
    {"encoders/sentence_dense",
     {"config.json", "model.safetensors", "modules.json", "sentence_bert_config.json",
      "config_sentence_transformers.json", "tokenizer.json", "tokenizer_config.json", "1_Pooling/config.json",
      "2_Dense/config.json", "2_Dense/model.safetensors", "3_Dense/config.json", "3_Dense/model.safetensors"}},
    {"encoders/static_folder",
     {"modules.json", "config_sentence_transformers.json", "0_StaticEmbedding/model.safetensors",
      "0_StaticEmbedding/tokenizer.json", "1_Dense/config.json", "1_Dense/model.safetensors"}},
    {"encoders/model2vec_quantized", {"config.json", "model.safetensors", "modules.json", "tokenizer.json"}},
    {"encoders/model2vec", {"config.json", "model.safetensors", "tokenizer.json"}},
    {"tokenizer/legacy_bert", {"vocab.txt", "tokenizer_config.json", "special_tokens_map.json"}},
    {"tokenizer/legacy_gpt2", {"vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"}},
    {"tokenizer/legacy_qwen2", {"vocab.json", "merges.txt", "tokenizer_config.json", "added_tokens.json"}},
    {"tokenizer/legacy_roberta", {"vocab.json", "merges.txt", "tokenizer_config.json"}},
    {"tokenizer", {"llama2.json=tokenizer.json"}},
    {"tokenizer", {"llama3.json=tokenizer.json"}},
    {"tokenizer", {"metaspace.json=tokenizer.json"}},
    {"tokenizer", {"splitters.json=tokenizer.json"}},
    {"tokenizer", {"wordlevel.json=tokenizer.json"}},
    {"tokenizer", {"roberta.json=tokenizer.json"}},
};

typedef struct folder {
    const char *name;
    ink_memory_file files[MOST_FILES];
    ink_memory_files list;
    ink_source source;
} folder;

static bool is_json(const char *name) { return strlen(name) > 5 && strcmp(name + strlen(name) - 5, ".json") == 0; }

/* Files that a fixture lacks are left out. */
static void read_folder(folder *f, size_t which)
{
    static char paths[MOST_FILES][256];
    *f = (folder){.name = folders[which].name};
    char base[512];
    snprintf(base, sizeof base, FIXTURES "/%s", f->name);
    size_t n = 0;
    for (size_t i = 0; i < MOST_FILES && folders[which].files[i] != NULL; i++) {
        const char *name = folders[which].files[i], *as = strchr(name, '=');
        size_t size = 0;
        snprintf(paths[n], sizeof paths[n], "%.*s", (int)(as != NULL ? (size_t)(as - name) : strlen(name)), name);
        char *bytes = test_read_file(base, paths[n], &size);
        if (bytes != NULL)
            f->files[n++] = (ink_memory_file){as != NULL ? as + 1 : name, bytes, size};
    }
    f->list = (ink_memory_files){f->files, n};
    f->source = ink_source_memory(&f->list);
    f->source.name = f->name;
    assert_true(n > 0);
}

static void free_folder(folder *f)
{
    for (size_t i = 0; i < f->list.n_files; i++)
        free((void *)(uintptr_t)f->files[i].data);
}

/* Whether this case is one of those taken. 11 divides neither number of values, so every member meets other ones. */
static bool takes_case(void)
{
    static size_t n;
    return n++ % test_stride(11) == 0;
}

/* ---- opening and running ---------------------------------------------------------------------------------------- */

static void run_tokenizer(ink_context *ctx, const ink_tokenizer *tokenizer)
{
    ink_token ids[256];
    char text[4096];
    size_t n = 0, size;
    if (ink_tokenizer_encode(ctx, tokenizer, "Hello, [MASK] <s>", 17, INK_ENCODE_DEFAULT, ids, 256, &n) == INK_OK)
        ink_tokenizer_decode(ctx, tokenizer, ids, n, text, sizeof text, &size);
}

static void run_model(ink_context *ctx, const ink_model *model)
{
    const ink_model_info *info = ink_model_get_info(model);
    const ink_encoder_info *encoder = ink_model_get_encoder(model);
    const ink_token token = 1;
    float *out = calloc(info->vocab_size + info->hidden_size + 4096, sizeof *out);
    ink_state *state;
    assert_non_null(out);
    if (encoder != NULL) {
        ink_text text = {.tokens = &token, .n_tokens = 1, .output = out};
        for (int i = 0; i < INK_N_ENCODINGS; i++)
            if (ink_model_encoding_size(model, (ink_encoding)i) != 0)
                ink_model_encode(ctx, model, (ink_encoding)i, &text, 1);
    } else {
        ink_encoded *encoded = NULL;
        assert_ok(ctx, ink_state_create(ctx, model, 1, &state));
        if (ink_model_get_encoder_decoder(model) != NULL) {
            assert_ok(ctx, ink_encoded_create(ctx, model, 1, &encoded));
            const ink_source_item item = {.encoded = encoded, .tokens = &token, .n_tokens = 1};
            if (ink_model_encode_sources(ctx, model, &item, 1) == INK_OK)
                assert_ok(ctx, ink_state_begin(ctx, state, encoded));
        }
        ink_model_forward(ctx, model, state, &token, 1, out);
        ink_state_free(state);
        ink_encoded_free(encoded);
    }
    free(out);
}

/* Opens what there is. Returns whether everything opened. */
static bool open_folder(ink_context *ctx, const folder *f, const char *what)
{
    ink_model_options options = {.source = &f->source, .max_bytes = 1 << 20};
    ink_chat_options chat_options = {.source = &f->source};
    ink_tokenizer *tokenizer = NULL;
    ink_model *model = NULL;
    ink_chat *chat = NULL;
    bool all = true, has_config = false, has_tokenizer = false;
    for (size_t i = 0; i < f->list.n_files; i++) {
        has_config =
            has_config || strcmp(f->files[i].name, "config.json") == 0 || strcmp(f->files[i].name, "modules.json") == 0;
        has_tokenizer = has_tokenizer || strstr(f->files[i].name, "tokenizer.json") != NULL ||
                        strncmp(f->files[i].name, "vocab.", 6) == 0;
    }
    if (has_config && ink_model_open(ctx, NULL, &options, &model) != INK_OK) {
        all = false;
        if (model != NULL || ink_context_error(ctx)[0] == '\0')
            fail_msg("%s: refused without a sentence", what);
    }
    if (has_tokenizer && ink_tokenizer_open_source(ctx, &f->source, &tokenizer) != INK_OK) {
        all = false;
        if (tokenizer != NULL || ink_context_error(ctx)[0] == '\0')
            fail_msg("%s: refused without a sentence", what);
    }
    if (tokenizer != NULL)
        run_tokenizer(ctx, tokenizer);
    if (tokenizer != NULL && ink_chat_open(ctx, NULL, tokenizer, &chat_options, &chat) != INK_OK)
        assert_null(chat);
    if (model != NULL)
        run_model(ctx, model);
    ink_chat_free(chat);
    ink_tokenizer_free(tokenizer);
    ink_model_free(model);
    return all;
}

/* ---- the keys that importers know ------------------------------------------------------------------------------- */

static char keys[MOST_KEYS][48];
static size_t n_keys;

static bool is_known(const char *key)
{
    for (size_t i = 0; i < n_keys; i++)
        if (strcmp(keys[i], key) == 0)
            return true;
    return false;
}

/* Every string of src/import that is spelled like a key, or a list of them. */
static void read_keys(void)
{
    DIR *dir = opendir(SOURCE_DIR "/src/import");
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        size_t size = 0;
        const char *ending = strrchr(entry->d_name, '.');
        if (ending == NULL || strcmp(ending, ".c") != 0)
            continue;
        char *text = test_read_file(SOURCE_DIR "/src/import", entry->d_name, &size);
        assert_non_null(text);
        for (const char *at = text; (at = strchr(at, '"')) != NULL;) {
            size_t length = strspn(at + 1, "abcdefghijklmnopqrstuvwxyz0123456789_");
            if (at[1 + length] == '"' && length > 2 && length < sizeof keys[0] && n_keys < MOST_KEYS) {
                char *key = keys[n_keys];
                memcpy(key, at + 1, length);
                key[length] = '\0';
                n_keys += !is_known(key);
            }
            for (at++; *at != '"' && *at != '\n' && *at != '\0';) /* to the end of this string */
                at += *at == '\\' && at[1] != '\0' ? 2 : 1;
            at += *at == '"';
        }
        free(text);
    }
    closedir(dir);
    assert_true(n_keys > 100 && n_keys < MOST_KEYS);
}

/* ---- the walk --------------------------------------------------------------------------------------------------- */

/* The end of the value that begins at `at`. */
static size_t value_end(const char *text, size_t at)
{
    size_t depth = 0;
    do {
        char c = text[at];
        if (c == '"') {
            for (at++; text[at] != '"';)
                at += text[at] == '\\' ? 2 : 1;
            at++;
        } else if (c == '{' || c == '[') {
            depth++;
            at++;
        } else if (c == '}' || c == ']') {
            depth--;
            at++;
        } else if (depth > 0) {
            at++;
        } else {
            at += strcspn(text + at, ",]} \t\r\n");
        }
    } while (depth > 0);
    return at;
}

/* The folder with bytes [from, to) of a file replaced by `text`. */
static bool open_changed(ink_context *ctx, folder *f, size_t file, size_t from, size_t to, const char *text)
{
    ink_memory_file whole = f->files[file];
    const char *bytes = whole.data;
    size_t length = strlen(text), size = whole.size - (to - from) + length;
    char *changed = malloc(size + 1), what[512];
    assert_non_null(changed);
    memcpy(changed, bytes, from);
    memcpy(changed + from, text, length);
    memcpy(changed + from + length, bytes + to, whole.size - to);
    snprintf(what, sizeof what, "%s/%s with %.40s at byte %zu", f->name, whole.name, text, from);
    f->files[file] = (ink_memory_file){whole.name, changed, size};
    bool opened = open_folder(ctx, f, what);
    f->files[file] = whole;
    free(changed);
    return opened;
}

/* Members that some folder has and nothing there reads: of bare models, of files beside better ones, of decoders. */
static const char *const lenient[][2] = {
    {"config.json", "architectures"},
    {"config.json", "bos_token_id"},
    {"config.json", "decoder_start_token_id"},
    {"config.json", "dropout"},
    {"config.json", "eos_token_id"},
    {"config.json", "forced_eos_token_id"},
    {"config.json", "id2label"},
    {"config.json", "is_decoder"},
    {"config.json", "is_encoder_decoder"},
    {"config.json", "tie_word_embeddings"},
    {"config_sentence_transformers.json", "model_type"},
    {"generation_config.json", "bos_token_id"},
    {"generation_config.json", "do_sample"},
    {"generation_config.json", "eos_token_id"},
    {"model.safetensors.index.json", "metadata"},
    {"modules.json", "name"},
    {"tokenizer.json", "add_prefix_space"},
    {"tokenizer.json", "split"},
    {"tokenizer.json", "use_regex"},
    {"tokenizer_config.json", "do_lower_case"},
    {"tokenizer_config.json", "tokenize_chinese_chars"},
    {"tokenizer_config.json", "tokenizer_class"},
};

static bool is_lenient(const char *file, const char *key)
{
    for (size_t i = 0; i < sizeof lenient / sizeof lenient[0]; i++)
        if (strcmp(lenient[i][0], file) == 0 && strcmp(lenient[i][1], key) == 0)
            return true;
    return false;
}

/* The kind of a value by its first character; the two bools are one. */
static char kind_of(char first) { return strchr("-0123456789", first) != NULL ? '0' : first == 'f' ? 't' : first; }

static void walk_file(ink_context *ctx, folder *f, size_t file)
{
    ink_json_document json;
    ink_arena arena;
    const char *text = f->files[file].data;
    ink_arena_grow(&arena, &ctx->allocator);
    assert_int_equal(ink_json_parse(ctx, &arena, f->files[file].name, text, f->files[file].size, 0,
                                    INK_LIMIT(ctx, table_bytes), &json),
                     INK_OK);
    for (ink_json i = 0; i < json.n_nodes; i++) {
        const ink_json_node *node = &json.nodes[i];
        const ink_json_node *parent = node->parent != INK_JSON_NONE ? &json.nodes[node->parent] : NULL;
        if (parent != NULL && parent->n_children > 60 && i > node->parent + 4 && node->next != parent->next)
            continue; /* a vocabulary: the first and the last will do */
        size_t end = value_end(text, node->offset);
        for (size_t v = 0; v < N_VALUES; v++) {
            if (!takes_case())
                continue;
            bool opened = open_changed(ctx, f, file, node->offset, end, values[v]);
            char kind = kind_of(values[v][0]), was = kind_of(text[node->offset]);
            bool either = kind == 'n' || was == 'n' || kind == was;
            if (node->key != NULL && strstr(node->key, "_token") != NULL) /* a text, or an object with a text in it */
                either = either || ((kind == '"' || kind == '{') && (was == '"' || was == '{'));
            if (opened && !either && node->key != NULL && is_known(node->key) && node->parent == 0 &&
                !is_lenient(f->files[file].name, node->key))
                fail_msg("%s/%s: %s: %s opened", f->name, f->files[file].name, node->key, values[v]);
        }
    }
    for (size_t k = 0; k < n_keys && json.nodes[0].kind == INK_JSON_OBJECT; k++) {
        bool there = false;
        for (ink_json i = ink_json_first(&json, 0); i != INK_JSON_NONE; i = ink_json_next(&json, i))
            there = there || strcmp(json.nodes[i].key, keys[k]) == 0;
        for (size_t v = 1; v < N_VALUES && !there; v += 3) {
            char member[128];
            if (!takes_case())
                continue;
            snprintf(member, sizeof member, "{\"%.47s\":%s%s", keys[k], values[v],
                     json.nodes[0].n_children > 0 ? "," : "");
            open_changed(ctx, f, file, json.nodes[0].offset, json.nodes[0].offset + 1, member);
        }
    }
    ink_arena_free(&arena);
}

static void every_member_is_asked_for_its_kind(ink_context *ctx, counting *memory)
{
    (void)memory;
    read_keys();
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        folder f;
        read_folder(&f, i);
        if (!open_folder(ctx, &f, f.name))
            fail_msg("%s: %s", f.name, ink_context_error(ctx));
        for (size_t file = 0; file < f.list.n_files; file++)
            if (is_json(f.files[file].name))
                walk_file(ctx, &f, file);
        free_folder(&f);
    }
}

/* ---- the keys of GGUF ------------------------------------------------------------------------------------------- */

/* Opens what the file holds; what is not there is refused from the beginning. */
static bool open_gguf(ink_context *ctx, const gguf_edit *file, bool has_model, bool has_tokens, const char *what)
{
    const ink_memory_files files = {&file->memory, 1};
    ink_source source = ink_source_memory(&files);
    source.name = file->memory.name;
    ink_model_options options = {.source = &source, .max_bytes = 1 << 20};
    ink_chat_options chat_options = {.source = &source};
    ink_tokenizer *tokenizer = NULL;
    ink_model *model = NULL;
    ink_chat *chat = NULL;
    bool all = true;
    if (has_model && ink_model_open(ctx, NULL, &options, &model) != INK_OK) {
        all = false;
        if (model != NULL || strstr(ink_context_error(ctx), "m.gguf") == NULL)
            fail_msg("%s: the model is refused with '%s'", what, ink_context_error(ctx));
    }
    if (has_tokens && ink_tokenizer_open_source(ctx, &source, &tokenizer) != INK_OK) {
        all = false;
        if (tokenizer != NULL || strstr(ink_context_error(ctx), "m.gguf") == NULL)
            fail_msg("%s: the tokenizer is refused with '%s'", what, ink_context_error(ctx));
    }
    if (tokenizer != NULL)
        run_tokenizer(ctx, tokenizer);
    if (tokenizer != NULL && ink_chat_open(ctx, NULL, tokenizer, &chat_options, &chat) != INK_OK) {
        assert_true(chat == NULL && ink_context_error(ctx)[0] != '\0');
        if (strstr(ink_context_error(ctx), "tokenizer.chat_template") != NULL) /* its key, not something missing */
            all = false;
    }
    if (model != NULL)
        run_model(ctx, model);
    ink_chat_free(chat);
    ink_tokenizer_free(tokenizer);
    ink_model_free(model);
    return all;
}

/* The kind of the value of key i: i(nteger), f(loat), b(ool), s(tring), of an array the capital. */
static char kind_of_key(const gguf_edit *file, size_t i)
{
    static const char kinds[] = "iiiiiifbs?iif";
    size_t length;
    const unsigned char *at = (const unsigned char *)gguf_edit_key(file, i, &length) + length;
    return at[0] == 9 ? (char)(kinds[at[4]] - 'a' + 'A') : kinds[at[0]];
}

/* A value of another kind is refused, but where nothing reads the key, and an integer may differ by layer. */
static void walk_gguf(ink_context *ctx, const char *path, const char *name)
{
    static const char *const kinds[] = {NULL,       "u32 0",     "u32 7",      "i32 -1",    "u64 18446744073709551615",
                                        "f32 2.5",  "f32 nan",   "f64 -1e300", "bool 1",    "str ",
                                        "str x",    "[u32] 1",   "[i32] -1 2", "[f32] 0.5", "[f32] nan 1",
                                        "[bool] 1", "[str] a b", "[u8] 1 2 3"};
    gguf_edit file;
    gguf_edit_read(&file, path, name);
    const ink_memory_files files = {&file.memory, 1};
    ink_source source = ink_source_memory(&files);
    source.name = file.memory.name;
    ink_model *model = NULL;
    ink_tokenizer *tokenizer = NULL;
    bool has_model = ink_model_open(ctx, NULL, &(ink_model_options){.source = &source}, &model) == INK_OK;
    bool has_tokens = ink_tokenizer_open_source(ctx, &source, &tokenizer) == INK_OK;
    ink_model_free(model);
    ink_tokenizer_free(tokenizer);
    assert_true(has_model || has_tokens);
    for (size_t k = 0; k < file.n_keys; k++) {
        char key[80], what[300];
        size_t length;
        const char *text = gguf_edit_key(&file, k, &length);
        snprintf(key, sizeof key, "%.*s", (int)length, text);
        for (size_t v = 0; v < sizeof kinds / sizeof kinds[0]; v++) {
            if (!takes_case())
                continue;
            gguf_edit changed;
            gguf_edit_read(&changed, path, name);
            gguf_edit_set(&changed, key, kinds[v]);
            snprintf(what, sizeof what, "%s/%s: %s: %s", path, name, key, kinds[v] != NULL ? kinds[v] : "nothing");
            bool opened = open_gguf(ctx, &changed, has_model, has_tokens, what);
            const char was = kind_of_key(&file, k),
                       is = kinds[v] != NULL ? kind_of_key(&changed, file.n_keys - 1) : was;
            bool unread = strncmp(key, "general.", 8) == 0 || (!has_tokens && strncmp(key, "tokenizer.", 10) == 0);
            if (opened && was != is && !unread && !(was == 'i' && is == 'I'))
                fail_msg("%s opened", what);
            gguf_edit_free(&changed);
        }
    }
    gguf_edit_free(&file);
}

static void every_key_of_gguf_is_asked_for_its_kind(ink_context *ctx, counting *memory)
{
    static const char *const folders_of_gguf[] = {FIXTURES "/gguf_models", FIXTURES "/tokenizer"};
    size_t n = 0;
    (void)memory;
    for (size_t f = 0; f < 2; f++) {
        DIR *dir = opendir(folders_of_gguf[f]);
        assert_non_null(dir);
        for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
            const char *ending = strrchr(entry->d_name, '.');
            if (ending == NULL || strcmp(ending, ".gguf") != 0)
                continue;
            walk_gguf(ctx, folders_of_gguf[f], entry->d_name);
            n++;
        }
        closedir(dir);
    }
    assert_true(n > 15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {counted_test(every_member_is_asked_for_its_kind),
                                       counted_test(every_key_of_gguf_is_asked_for_its_kind)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
