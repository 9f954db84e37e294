/*
 * read_legacy.c - folders from before tokenizer.json: vocab.json with merges.txt, or vocab.txt.
 *
 * transformers turns these into the same tokenizer that it would write as tokenizer.json. So does this: it writes that
 * file in memory, and the readers of tokenizer.json do the rest. tokenizer_config.json says which class of tokenizer it
 * is, and the few choices that a class leaves open.
 */
#include "tokenizer_read.h"

/* Text that is being written; there is room for all that a folder can ask for. */
typedef struct writer {
    char *text; /* [capacity] */
    size_t capacity, size;
} writer;

static void put(writer *w, const char *text, size_t size)
{
    if (size > w->capacity - w->size)
        return;
    memcpy(w->text + w->size, text, size);
    w->size += size;
}

static void put_text(writer *w, const char *text) { put(w, text, strlen(text)); }

static void put_number(writer *w, size_t number)
{
    char digits[32];
    put(w, digits, ink_format(digits, sizeof digits, "%zu", number));
}

/* A JSON string. */
static void put_string(writer *w, const char *text, size_t size)
{
    static const char digits[] = "0123456789ABCDEF";
    put(w, "\"", 1);
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        const char control[6] = {'\\', 'u', '0', '0', digits[c / 16], digits[c % 16]};
        const char escaped[2] = {'\\', text[i]};
        if (c < 0x20)
            put(w, control, sizeof control);
        else
            put(w, c == '"' || c == '\\' ? escaped : text + i, c == '"' || c == '\\' ? 2 : 1);
    }
    put(w, "\"", 1);
}

static void put_bool(writer *w, bool value) { put_text(w, value ? "true" : "false"); }

/* The next line of text [size], without its end and the white space before it; false if there is none. */
static bool next_line(const char **text, size_t *size, const char **line, size_t *length)
{
    if (*size == 0)
        return false;
    const char *end = memchr(*text, '\n', *size);
    size_t whole = end != NULL ? (size_t)(end - *text) + 1 : *size;
    *line = *text;
    *length = whole - (end != NULL);
    while (*length > 0 && ((*line)[*length - 1] == '\r' || (*line)[*length - 1] == ' ' || (*line)[*length - 1] == '\t'))
        --*length;
    *text += whole;
    *size -= whole;
    return true;
}

/* ---- the files -------------------------------------------------------------------------------------------------- */

typedef enum legacy_kind { LEGACY_BERT, LEGACY_GPT2, LEGACY_ROBERTA, LEGACY_QWEN2 } legacy_kind;

typedef struct legacy {
    ink_tokenizer_reader *r;
    legacy_kind kind;
    const char *vocab; /* vocab.json, or vocab.txt written as such */
    size_t vocab_size;
    ink_json_document ids; /* the same, parsed */
    const char *merges;
    size_t merges_size;
    writer out;
} legacy;

static ink_result take_writer(legacy *l, size_t capacity, writer *w)
{
    *w = (writer){ink_arena_alloc(l->r->arena, capacity, 1), capacity, 0};
    return w->text != NULL ? INK_OK : ink_fail(l->r->ctx, INK_ERROR_MEMORY, "out of memory: the tokenizer's files");
}

static ink_result read_file(legacy *l, const char *name, const char **text, size_t *size)
{
    return ink_file_read_all(l->r->ctx, l->r->source, name, INK_TOKENIZER_MAX_BYTES, l->r->arena, text, size);
}

/* A token per line; its id is the number of the line. */
static ink_result read_vocab_txt(legacy *l)
{
    const char *text, *line;
    size_t size, length, n = 0;
    writer w;
    INK_TRY(read_file(l, "vocab.txt", &text, &size));
    INK_TRY(take_writer(l, 26 * size + 2, &w)); /* of a byte: six, quotation marks, a number, a comma */
    put_text(&w, "{");
    for (; next_line(&text, &size, &line, &length); n++) {
        put_text(&w, n > 0 ? "," : "");
        put_string(&w, line, length);
        put_text(&w, ":");
        put_number(&w, n);
    }
    put_text(&w, "}");
    l->vocab = w.text;
    l->vocab_size = w.size;
    l->kind = LEGACY_BERT;
    return ink_json_parse(l->r->ctx, l->r->arena, "vocab.txt", w.text, w.size, 0, &l->ids);
}

static ink_result read_vocab_json(legacy *l)
{
    INK_TRY(read_file(l, "vocab.json", &l->vocab, &l->vocab_size));
    INK_TRY(ink_json_parse(l->r->ctx, l->r->arena, "vocab.json", l->vocab, l->vocab_size, 0, &l->ids));
    INK_TRY(ink_json_expect(l->r->ctx, &l->ids, 0, INK_JSON_OBJECT));
    bool as_roberta =
        ink_json_member(&l->ids, 0, "<s>") != INK_JSON_NONE && ink_json_member(&l->ids, 0, "</s>") != INK_JSON_NONE;
    l->kind = as_roberta ? LEGACY_ROBERTA : LEGACY_GPT2;
    return read_file(l, "merges.txt", &l->merges, &l->merges_size);
}

/* "GPT2Tokenizer" or "GPT2TokenizerFast". Where no class is named the files tell. */
static ink_result read_class(legacy *l)
{
    static const struct {
        const char *name;
        legacy_kind kind;
    } classes[] = {{"BertTokenizer", LEGACY_BERT},       {"DistilBertTokenizer", LEGACY_BERT},
                   {"ElectraTokenizer", LEGACY_BERT},    {"GPT2Tokenizer", LEGACY_GPT2},
                   {"RobertaTokenizer", LEGACY_ROBERTA}, {"BartTokenizer", LEGACY_ROBERTA},
                   {"Qwen2Tokenizer", LEGACY_QWEN2}};
    const char *name = NULL;
    if (l->r->config.n_nodes != 0)
        INK_TRY(ink_json_read_string(l->r->ctx, &l->r->config, 0, "tokenizer_class", &name));
    if (name == NULL)
        return INK_OK;
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
        size_t length = strlen(classes[i].name);
        if (strncmp(name, classes[i].name, length) != 0 || (name[length] != '\0' && strcmp(name + length, "Fast") != 0))
            continue;
        if ((l->kind == LEGACY_BERT) != (classes[i].kind == LEGACY_BERT))
            break; /* with the other kind of files */
        l->kind = classes[i].kind;
        return INK_OK;
    }
    return ink_fail(l->r->ctx, INK_ERROR_UNSUPPORTED,
                    "tokenizer_config.json: tokenizer_class '%s' is not supported without tokenizer.json; supported: "
                    "BERT's with vocab.txt, GPT-2's, RoBERTa's and Qwen2's with vocab.json and merges.txt",
                    name);
}

/* ---- control tokens --------------------------------------------------------------------------------------------- */

/* What the classes call their control tokens, in the order of ink_control. */
static const char *const defaults[4][INK_N_CONTROLS] = {
    {NULL, NULL, "[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"},
    {"<|endoftext|>", "<|endoftext|>", "<|endoftext|>", NULL, NULL, NULL, NULL},
    {"<s>", "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>"},
    {NULL, "<|endoftext|>", "<|endoftext|>", NULL, "<|endoftext|>", NULL, NULL}};

static ink_result control_of(legacy *l, size_t which, const char **text)
{
    const ink_json_document *document = NULL;
    ink_json node;
    *text = defaults[l->kind][which];
    INK_TRY(ink_read_control(l->r, which, &document, &node));
    return node == INK_JSON_NONE ? INK_OK : ink_json_get_string(l->r->ctx, document, node, text, NULL);
}

/* The id of a control token that the template needs. */
static ink_result id_of(legacy *l, ink_control which, const char **text, size_t *id)
{
    ink_json node;
    INK_TRY(control_of(l, which, text));
    if (*text == NULL)
        return ink_fail(l->r->ctx, INK_ERROR_MISMATCH, "tokenizer_config.json: member '%s' is missing",
                        ink_control_keys[which]);
    INK_TRY(ink_json_require(l->r->ctx, &l->ids, 0, *text, &node));
    return ink_json_get_size(l->r->ctx, &l->ids, node, 0, INT32_MAX - 1, id);
}

static const char *const flags[] = {"special", "normalized", "lstrip", "rstrip", "single_word"};
enum { N_FLAGS = sizeof flags / sizeof flags[0], LEFT_STRIP = 2 };

/* A member of "added_tokens"; `is_first` says that none stands before it. */
static void put_added(legacy *l, bool is_first, const char *content, size_t id, const bool values[N_FLAGS])
{
    writer *w = &l->out;
    put_text(w, is_first ? "{\"id\":" : ",{\"id\":");
    put_number(w, id);
    put_text(w, ",\"content\":");
    put_string(w, content, strlen(content));
    for (size_t i = 0; i < N_FLAGS; i++) {
        put_text(w, ",");
        put_string(w, flags[i], strlen(flags[i]));
        put_text(w, values[i] ? ":true" : ":false");
    }
    put_text(w, "}");
}

static ink_result read_flags(legacy *l, const ink_json_document *document, ink_json token, bool values[N_FLAGS])
{
    for (size_t i = 0; i < N_FLAGS; i++)
        INK_TRY(ink_json_read_bool(l->r->ctx, document, token, flags[i], &values[i]));
    return INK_OK;
}

/* A control token of the vocabulary with the flags its file gives it, {"content": "<mask>", "lstrip": true, ...}. */
static ink_result put_control(legacy *l, bool is_first, size_t which, const char *content, ink_json node)
{
    const ink_json_document *document = NULL;
    ink_json named;
    size_t id = 0;
    bool values[N_FLAGS] = {true};
    values[LEFT_STRIP] = l->kind == LEGACY_ROBERTA && which == INK_CONTROL_MASK;
    INK_TRY(ink_read_control(l->r, which, &document, &named));
    if (named != INK_JSON_NONE && document->nodes[named].parent != 0)
        INK_TRY(read_flags(l, document, document->nodes[named].parent, values));
    values[0] = true;
    INK_TRY(ink_json_get_size(l->r->ctx, &l->ids, node, 0, INT32_MAX - 1, &id));
    put_added(l, is_first, content, id, values);
    return INK_OK;
}

/* Each control token that the vocabulary has, once. */
static ink_result put_controls(legacy *l)
{
    const char *texts[INK_N_CONTROLS];
    bool is_first = true;
    for (size_t i = 0; i < INK_N_CONTROLS; i++) {
        INK_TRY(control_of(l, i, &texts[i]));
        ink_json node = texts[i] != NULL ? ink_json_member(&l->ids, 0, texts[i]) : INK_JSON_NONE;
        bool again = false;
        for (size_t k = 0; k < i && node != INK_JSON_NONE; k++)
            again = again || (texts[k] != NULL && strcmp(texts[k], texts[i]) == 0);
        if (node == INK_JSON_NONE || again)
            continue;
        INK_TRY(put_control(l, is_first, i, texts[i], node));
        is_first = false;
    }
    return INK_OK;
}

/* The id that a key spells, as it is written; SIZE_MAX if it spells none. */
static size_t id_of_key(const char *key)
{
    uint64_t id;
    size_t digits = ink_digits(key, strlen(key), &id);
    return digits > 0 && key[digits] == '\0' && id <= INT32_MAX ? (size_t)id : SIZE_MAX;
}

/* "added_tokens_decoder" of tokenizer_config.json, {"50256": {"content": ..., ...}}, has them all. */
static ink_result put_added_tokens(legacy *l)
{
    const ink_json_document *config = &l->r->config;
    ink_json all = config->n_nodes != 0 ? ink_json_member(config, 0, "added_tokens_decoder") : INK_JSON_NONE;
    bool is_first = true;
    put_text(&l->out, "\"added_tokens\":[");
    if (all == INK_JSON_NONE)
        return put_controls(l);
    ink_json child = ink_json_first(config, all);
    for (; child != INK_JSON_NONE; child = ink_json_next(config, child), is_first = false) {
        const char *content = "";
        bool values[N_FLAGS] = {false};
        size_t id = id_of_key(config->nodes[child].key);
        INK_TRY(ink_json_expect(l->r->ctx, config, child, INK_JSON_OBJECT));
        INK_TRY(ink_json_read_string(l->r->ctx, config, child, "content", &content));
        INK_TRY(read_flags(l, config, child, values));
        if (id == SIZE_MAX)
            return ink_fail(l->r->ctx, INK_ERROR_CORRUPT, "tokenizer_config.json: added_tokens_decoder: '%s' is no id",
                            config->nodes[child].key);
        put_added(l, is_first, content, id, values);
    }
    return INK_OK;
}

/* ---- the components --------------------------------------------------------------------------------------------- */

static ink_result choice(legacy *l, const char *key, bool otherwise, bool *value)
{
    *value = otherwise;
    if (l->r->config.n_nodes == 0)
        return INK_OK;
    return ink_json_read_bool(l->r->ctx, &l->r->config, 0, key, value);
}

/* "post_processor" of BERT and RoBERTa. */
static ink_result put_processor(legacy *l, const char *type)
{
    const char *cls = NULL, *sep = NULL;
    size_t cls_id = 0, sep_id = 0;
    INK_TRY(id_of(l, INK_CONTROL_CLS, &cls, &cls_id));
    INK_TRY(id_of(l, INK_CONTROL_SEP, &sep, &sep_id));
    put_text(&l->out, ",\"post_processor\":{\"type\":");
    put_string(&l->out, type, strlen(type));
    put_text(&l->out, ",\"cls\":[");
    put_string(&l->out, cls, strlen(cls));
    put_text(&l->out, ",");
    put_number(&l->out, cls_id);
    put_text(&l->out, "],\"sep\":[");
    put_string(&l->out, sep, strlen(sep));
    put_text(&l->out, ",");
    put_number(&l->out, sep_id);
    put_text(&l->out, "]}");
    return INK_OK;
}

static ink_result put_bert(legacy *l)
{
    bool lowercase, chinese, strip_accents;
    const char *unk = NULL;
    INK_TRY(choice(l, "do_lower_case", true, &lowercase));
    INK_TRY(choice(l, "tokenize_chinese_chars", true, &chinese));
    INK_TRY(choice(l, "strip_accents", lowercase, &strip_accents));
    INK_TRY(control_of(l, INK_CONTROL_UNK, &unk));
    put_text(&l->out, ",\"normalizer\":{\"type\":\"BertNormalizer\",\"clean_text\":true,\"handle_chinese_chars\":");
    put_bool(&l->out, chinese);
    put_text(&l->out, ",\"strip_accents\":");
    put_bool(&l->out, strip_accents);
    put_text(&l->out, ",\"lowercase\":");
    put_bool(&l->out, lowercase);
    put_text(&l->out, "},\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},\"decoder\":{\"type\":\"WordPiece\"}");
    INK_TRY(put_processor(l, "BertProcessing"));
    put_text(&l->out, ",\"model\":{\"type\":\"WordPiece\",\"unk_token\":");
    put_string(&l->out, unk, strlen(unk));
    return INK_OK;
}

/* A BOS before the text, where tokenizer_config.json asks for it. */
static ink_result put_bos(legacy *l)
{
    bool add_bos;
    const char *bos = NULL;
    size_t id = 0;
    INK_TRY(choice(l, "add_bos_token", false, &add_bos));
    if (!add_bos)
        return INK_OK;
    INK_TRY(id_of(l, INK_CONTROL_BOS, &bos, &id));
    put_text(&l->out,
             ",\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"BOS\"}},"
             "{\"Sequence\":{\"id\":\"A\"}}],\"pair\":[{\"SpecialToken\":{\"id\":\"BOS\"}},{\"Sequence\":{\"id\":\"A\"}"
             "},{\"SpecialToken\":{\"id\":\"BOS\",\"type_id\":1}},{\"Sequence\":{\"id\":\"B\",\"type_id\":1}}],"
             "\"special_tokens\":{\"BOS\":{\"ids\":[");
    put_number(&l->out, id);
    put_text(&l->out, "]}}}");
    return INK_OK;
}

/* Lines "left right"; the first may be a comment on the version. */
static void put_merges(legacy *l)
{
    const char *text = l->merges, *line;
    size_t size = l->merges_size, length;
    bool first = true;
    put_text(&l->out, "\"merges\":[");
    while (next_line(&text, &size, &line, &length)) {
        if (length == 0 || (length >= 8 && memcmp(line, "#version", 8) == 0))
            continue;
        put_text(&l->out, first ? "" : ",");
        put_string(&l->out, line, length);
        first = false;
    }
    put_text(&l->out, "]");
}

static ink_result put_byte_level(legacy *l)
{
    bool prefix;
    INK_TRY(choice(l, "add_prefix_space", false, &prefix));
    put_text(&l->out, ",\"decoder\":{\"type\":\"ByteLevel\"},\"pre_tokenizer\":");
    if (l->kind == LEGACY_QWEN2)
        put_text(&l->out, "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":\""
                          "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}| ?"
                          "[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+\"}},"
                          "{\"type\":\"ByteLevel\",\"use_regex\":false,\"add_prefix_space\":false}]},"
                          "\"normalizer\":{\"type\":\"NFC\"}");
    else
        put_text(&l->out, prefix ? "{\"type\":\"ByteLevel\",\"add_prefix_space\":true}"
                                 : "{\"type\":\"ByteLevel\",\"add_prefix_space\":false}");
    if (l->kind == LEGACY_ROBERTA)
        INK_TRY(put_processor(l, "RobertaProcessing"));
    else
        INK_TRY(put_bos(l));
    put_text(&l->out, ",\"model\":{\"type\":\"BPE\",");
    put_merges(l);
    return INK_OK;
}

/* ---- all together ----------------------------------------------------------------------------------------------- */

static bool is_there(ink_tokenizer_reader *r, const char *name)
{
    ink_file file;
    if (ink_file_open(r->ctx, r->source, name, &file) != INK_OK)
        return false;
    ink_file_close(&file);
    return true;
}

static ink_result refuse(ink_tokenizer_reader *r)
{
    const char *folder = r->source->name != NULL ? r->source->name : "the model";
    if (is_there(r, "tokenizer.model"))
        return ink_fail(r->ctx, INK_ERROR_UNSUPPORTED,
                        "%s has tokenizer.model, which is not read, and no tokenizer.json, which is; transformers "
                        "writes it: AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)",
                        folder);
    return ink_fail(r->ctx, INK_ERROR_NOT_FOUND,
                    "%s has no tokenizer.json, no vocab.json with merges.txt and no vocab.txt", folder);
}

ink_result ink_read_legacy(ink_tokenizer_reader *r)
{
    legacy l = {.r = r};
    size_t config_bytes = 0;
    if (is_there(r, "vocab.json"))
        INK_TRY(read_vocab_json(&l));
    else if (is_there(r, "vocab.txt"))
        INK_TRY(read_vocab_txt(&l));
    else
        return refuse(r);
    INK_TRY(read_class(&l));
    for (size_t i = 0; i < r->config.n_nodes; i++)
        config_bytes += r->config.nodes[i].key_size + r->config.nodes[i].string_size;
    /* A merge is three bytes or more and gains three; what is copied from the configuration is escaped. */
    INK_TRY(
        take_writer(&l, l.vocab_size + 8 * l.merges_size + 8 * config_bytes + 160 * r->config.n_nodes + 65536, &l.out));
    put_text(&l.out, "{");
    INK_TRY(put_added_tokens(&l));
    put_text(&l.out, "]");
    INK_TRY(l.kind == LEGACY_BERT ? put_bert(&l) : put_byte_level(&l));
    put_text(&l.out, ",\"vocab\":");
    put(&l.out, l.vocab, l.vocab_size);
    put_text(&l.out, "}}");
    return ink_json_parse(r->ctx, r->arena, l.kind == LEGACY_BERT ? "vocab.txt" : "vocab.json with merges.txt",
                          l.out.text, l.out.size, 0, &r->json);
}
