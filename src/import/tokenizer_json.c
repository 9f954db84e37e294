/*
 * tokenizer_json.c - tokenizer.json of Hugging Face's tokenizers, version "1.0".
 *
 * The file has five places for components, each of a named type. For each place there is a table of the components that
 * run here and a function that reads them. A row has the members that a component may have and the step that it
 * becomes, which the function completes from the members. A component or a member without a row is refused by name,
 * because leaving it out would give other ids. Truncation and padding are up to the caller and are not read.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "../text/unicode.h"
#include "tokenizer_import.h"

struct place;

typedef struct json_reader {
    ink_tokenizer_import *im;
    ink_context *ctx;
    ink_tokenizer *t; /* what is built */
    const ink_json_document *json;
    const struct place *place; /* the place that is being read, */
    ink_steps *row;            /* and its steps */
    bool fused;                /* the decoder has brought the tokens together: only the beginning can still change */
} json_reader;

typedef struct component {
    const char *type;    /* NULL ends a table */
    const char *members; /* beside "type", with spaces between; any other is refused */
    ink_step step;
} component;

/* A place in the file where components stand. */
typedef struct place {
    const char *name;  /* the member of the file */
    const char *parts; /* the member of a Sequence in this place that lists its components; NULL: no Sequence */
    const component *components;
    ink_result (*read)(json_reader *r, ink_json node, const char *type,
                       ink_step *step); /* `step`: a copy of the row's */
    size_t most;                        /* steps */
} place;

/* ---- values ----------------------------------------------------------------------------------------------------- */

/* Fails with the file, the path of the node, and the reason: "tokenizer.json: model.vocab: there are no tokens". */
static ink_result refuse_node(json_reader *r, ink_result result, ink_json node, const char *reason)
{
    char path[128];
    ink_json_path(r->json, node, path, sizeof path);
    return ink_fail(r->ctx, result, "%s: %s: %.400s", r->json->file, path, reason);
}

static ink_result unsupported(json_reader *r, ink_json node, const char *reason)
{
    return refuse_node(r, INK_ERROR_UNSUPPORTED, node, reason);
}

static ink_json member_of(const json_reader *r, ink_json node, const char *key)
{
    return ink_json_member(r->json, node, key);
}

/* A member that must be there, of this kind. */
static ink_result read_member(json_reader *r, ink_json node, const char *key, ink_json_kind kind, ink_json *member)
{
    INK_TRY(ink_json_require(r->ctx, r->json, node, key, member));
    return ink_json_expect(r->ctx, r->json, *member, kind);
}

/* A member that is a bool, and `otherwise` if it is absent or null. */
static ink_result read_flag(json_reader *r, ink_json node, const char *key, bool otherwise, bool *flag)
{
    *flag = otherwise;
    return ink_json_read_bool(r->ctx, r->json, node, key, flag);
}

/* A member that is a short string, which may be empty. */
static ink_result read_short(json_reader *r, ink_json node, const char *key, ink_short_text *text)
{
    ink_json member;
    const char *string = NULL;
    size_t size = 0;
    INK_TRY(ink_json_require(r->ctx, r->json, node, key, &member));
    INK_TRY(ink_json_get_string(r->ctx, r->json, member, &string, &size));
    if (size > INK_SHORT_TEXT)
        return refuse_node(r, INK_ERROR_LIMIT, member, "a string longer than the 64 bytes that are supported");
    memcpy(text->bytes, string, size);
    text->size = size;
    return INK_OK;
}

/* A member that is a string of exactly one character. */
static ink_result read_character(json_reader *r, ink_json node, const char *key, ink_short_text *text)
{
    uint32_t code;
    INK_TRY(read_short(r, node, key, text));
    if (text->size == 0 || ink_utf8_next(text->bytes, text->size, &code) != text->size)
        return refuse_node(r, INK_ERROR_CORRUPT, member_of(r, node, key), "expected one character");
    return INK_OK;
}

/* The member "pattern": {"String": ...} into `string`, or {"Regex": ...} into *regex, which is NULL else. */
static ink_result read_pattern(json_reader *r, ink_json node, ink_short_text *string, const char **regex)
{
    ink_json pattern;
    *regex = NULL;
    INK_TRY(read_member(r, node, "pattern", INK_JSON_OBJECT, &pattern));
    INK_TRY(ink_json_read_string(r->ctx, r->json, pattern, "Regex", regex));
    if (*regex != NULL)
        return INK_OK;
    INK_TRY(read_short(r, pattern, "String", string));
    return string->size != 0 ? INK_OK : refuse_node(r, INK_ERROR_CORRUPT, pattern, "a pattern of no bytes");
}

/* The index of a string member in a list of `n` names; *index as it is if it is absent or null. */
static ink_result read_choice(json_reader *r, ink_json node, const char *key, const char *const *names, size_t n,
                              const char *reason, size_t *index)
{
    const char *name = NULL;
    INK_TRY(ink_json_read_string(r->ctx, r->json, node, key, &name));
    for (size_t i = 0; name != NULL && i < n; i++)
        if (strcmp(name, names[i]) == 0) {
            *index = i;
            return INK_OK;
        }
    return name == NULL ? INK_OK : unsupported(r, member_of(r, node, key), reason);
}

/* "Replace" of normalizers and decoders. A normalizer may have the regular expressions that transformers writes for
   SentencePiece's treatment of spaces: runs of spaces, spaces at both ends, a U+2581 at the head. */
static ink_result read_replace(json_reader *r, ink_json node, bool normalizer, ink_step *step)
{
    static const struct {
        const char *regex;
        ink_step step;
    } spaces[] = {
        {" {2,}", {.normalize = ink_normal_replace, .from = {" ", 1}, .start = 2}},
        {"\\A +| +\\z", {.normalize = ink_normal_strip, .from = {" ", 1}, .start = SIZE_MAX, .stop = SIZE_MAX}},
        {"\\A\xE2\x96\x81", {.normalize = ink_normal_replace, .from = {"\xE2\x96\x81", 3}, .stop = 1}}};
    const char *regex;
    INK_TRY(read_pattern(r, node, &step->from, &regex));
    INK_TRY(read_short(r, node, "content", &step->to));
    for (size_t i = 0; i < 3 && regex != NULL && normalizer; i++)
        if (strcmp(regex, spaces[i].regex) == 0 && (i != 1 || step->to.size == 0)) {
            const ink_short_text to = step->to;
            *step = spaces[i].step;
            step->to = to;
            regex = NULL;
        }
    return regex == NULL
               ? INK_OK
               : unsupported(r, member_of(r, node, "pattern"),
                             normalizer ? "this regular expression is not supported here; ' {2,}' and a String are"
                                        : "a regular expression is not supported here; a String is");
}

/* The six bits that a character of base64 stands for (RFC 4648, section 4), or 64. */
static unsigned base64_bits(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (unsigned)(c - 'A');
    if (c >= 'a' && c <= 'z')
        return (unsigned)(c - 'a') + 26;
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0') + 52;
    return c == '+' ? 62 : c == '/' ? 63 : 64;
}

/* "precompiled_charsmap": "8AkAAAEE...", in base64 with its padding. */
static ink_result read_charsmap(json_reader *r, ink_json node)
{
    ink_json member;
    const char *text = NULL;
    size_t size = 0, n = 0;
    char path[128];
    INK_TRY(ink_json_require(r->ctx, r->json, node, "precompiled_charsmap", &member));
    INK_TRY(ink_json_get_string(r->ctx, r->json, member, &text, &size));
    if (r->t->charsmap.n_units > 0)
        return unsupported(r, node, "a second Precompiled is not supported");
    char *bytes = ink_arena_alloc(r->im->arena, size, 1);
    if (bytes == NULL)
        return ink_fail(r->ctx, INK_ERROR_MEMORY, "out of memory: %s", r->json->file);
    for (size_t i = 0, k; i < size; i += 4) {
        uint32_t bits = 0;
        for (k = 0; k < 4 && i + k < size && base64_bits(text[i + k]) < 64; k++)
            bits |= (uint32_t)base64_bits(text[i + k]) << (18 - 6 * k);
        const bool padded = size - i == 4 && k >= 2 && text[i + 3] == '=' && text[i + 2 + (k == 3)] == '=' &&
                            (bits & (k == 2 ? 0xFFFFu : 0xFFu)) == 0;
        if (k < 4 && !padded)
            return refuse_node(r, INK_ERROR_CORRUPT, member, "this is not base64");
        for (size_t byte = 0; byte + 1 < k; byte++)
            bytes[n++] = (char)(bits >> (16 - 8 * byte) & 0xFF);
    }
    ink_json_path(r->json, member, path, sizeof path);
    return ink_builder_charsmap(&r->im->b, path, bytes, n);
}

/* ---- "normalizer" ----------------------------------------------------------------------------------------------- */

#define NORMAL_CHARACTERS 16 /* of a string that a normalizer looks for or puts in */

static ink_result check_characters(json_reader *r, ink_json node, const ink_short_text *text)
{
    uint32_t code;
    size_t n = 0;
    for (size_t i = 0; i < text->size; n++)
        i += ink_utf8_next(text->bytes + i, text->size - i, &code);
    if (n > NORMAL_CHARACTERS)
        return refuse_node(r, INK_ERROR_LIMIT, node, "a string of more than the 16 characters supported");
    return INK_OK;
}

/* Adds a step to the row of the place that is being read. */
static ink_result add_component_step(json_reader *r, ink_json node, const ink_step *step)
{
    char reason[64];
    if (ink_builder_step(r->row, r->place->most, step))
        return INK_OK;
    ink_format(reason, sizeof reason, "more steps than the %zu that are supported", r->place->most);
    return refuse_node(r, INK_ERROR_LIMIT, node, reason);
}

static const component normalizers[] = {
    {"BertNormalizer", "clean_text handle_chinese_chars strip_accents lowercase", {.properties = 0}},
    {"Lowercase", "", {.normalize = ink_normal_lowercase}},
    {"NFC", "", {.normalize = ink_normal_nfc}},
    {"NFD", "", {.normalize = ink_normal_nfd}},
    {"NFKC", "", {.normalize = ink_normal_nfkc}},
    {"NFKD", "", {.normalize = ink_normal_nfkd}},
    {"Nmt", "", {.normalize = ink_normal_nmt}},
    {"Precompiled", "precompiled_charsmap", {.normalize = ink_normal_charsmap}},
    {"Prepend", "prepend", {.normalize = ink_normal_prepend}},
    {"Replace", "pattern content", {.normalize = ink_normal_replace}},
    {"Strip", "strip_left strip_right", {.normalize = ink_normal_strip}},
    {"StripAccents", "", {.normalize = ink_normal_drop, .properties = INK_UNICODE_MARK}},
    {0}};

static ink_result read_normalizer(json_reader *r, ink_json node, const char *type, ink_step *step)
{
    if (strcmp(type, "BertNormalizer") == 0) {
        bool clean_text, chinese, lowercase, strip_accents;
        INK_TRY(read_flag(r, node, "clean_text", true, &clean_text));
        INK_TRY(read_flag(r, node, "handle_chinese_chars", true, &chinese));
        INK_TRY(read_flag(r, node, "lowercase", true, &lowercase));
        INK_TRY(read_flag(r, node, "strip_accents", lowercase, &strip_accents));
        if (ink_import_bert_normalizer(r->im, clean_text, chinese, strip_accents, lowercase))
            return INK_OK; /* else the row is full */
    } else if (strcmp(type, "Strip") == 0) {
        bool left, right;
        INK_TRY(read_flag(r, node, "strip_left", true, &left));
        INK_TRY(read_flag(r, node, "strip_right", true, &right));
        step->start = left ? SIZE_MAX : 0;
        step->stop = right ? SIZE_MAX : 0;
    } else if (strcmp(type, "Prepend") == 0) {
        INK_TRY(read_short(r, node, "prepend", &step->to));
    } else if (strcmp(type, "Replace") == 0) {
        INK_TRY(read_replace(r, node, true, step));
    } else if (strcmp(type, "Precompiled") == 0) {
        INK_TRY(read_charsmap(r, node));
        step->map = &r->t->charsmap;
    }
    INK_TRY(check_characters(r, node, &step->from));
    INK_TRY(check_characters(r, node, &step->to));
    return add_component_step(r, node, step);
}

/* ---- "pre_tokenizer" -------------------------------------------------------------------------------------------- */

static const component splitters[] = {
    {"BertPreTokenizer", "", {.properties = 0}},
    {"ByteLevel", "add_prefix_space trim_offsets use_regex", {.prefix = {" ", 1}}},
    {"CharDelimiterSplit", "delimiter", {.match = ink_match_string, .behavior = INK_SPLIT_REMOVED}},
    {"Digits", "individual_digits", {.match = ink_match_property, .properties = INK_UNICODE_NUMERIC}},
    {"Metaspace",
     "replacement add_prefix_space prepend_scheme split str_rep",
     {.match = ink_match_string, .behavior = INK_SPLIT_MERGED_WITH_NEXT}},
    {"Punctuation", "behavior", {.match = ink_match_property, .properties = INK_UNICODE_PUNCTUATION}},
    {"Split", "pattern behavior invert", {.match = ink_match_string}},
    {"Whitespace", "", {.match = ink_match_word_or_not, .behavior = INK_SPLIT_REMOVED, .invert = true}},
    {"WhitespaceSplit", "", {.match = ink_match_space, .behavior = INK_SPLIT_REMOVED}},
    {0}};

static ink_result read_splitter(json_reader *r, ink_json node, const char *type, ink_step *step)
{
    static const char *const behaviors[] = {"Isolated", "Removed", "Contiguous", "MergedWithPrevious",
                                            "MergedWithNext"};
    static const char *const schemes[] = {"never", "first", "always"};
    size_t behavior = step->behavior, scheme;
    bool flag, add_prefix_space;
    if (r->im->byte_level) /* words are spelled in bytes */
        return unsupported(r, node, "nothing is supported after ByteLevel");
    INK_TRY(read_choice(r, node, "behavior", behaviors, 5,
                        "not one of Isolated, Removed, Contiguous, MergedWithPrevious, MergedWithNext", &behavior));
    INK_TRY(read_flag(r, node, "add_prefix_space", true, &add_prefix_space));
    scheme = add_prefix_space ? INK_PREFIX_ALWAYS : INK_PREFIX_NEVER; /* of old files, if it is Metaspace */
    step->behavior = (ink_split_behavior)behavior;
    if (strcmp(type, "BertPreTokenizer") == 0) {
        if (ink_import_bert_splitter(r->im))
            return INK_OK; /* else the row is full */
    } else if (strcmp(type, "ByteLevel") == 0) {
        INK_TRY(read_flag(r, node, "use_regex", true, &flag));
        step->match = flag ? ink_match_gpt2 : ink_match_nothing;
        step->scheme = (ink_prefix_scheme)scheme;
        r->im->byte_level = true;
    } else if (strcmp(type, "CharDelimiterSplit") == 0) {
        INK_TRY(read_character(r, node, "delimiter", &step->from));
    } else if (strcmp(type, "Digits") == 0) {
        INK_TRY(read_flag(r, node, "individual_digits", false, &flag));
        step->behavior = flag ? INK_SPLIT_ISOLATED : INK_SPLIT_CONTIGUOUS;
    } else if (strcmp(type, "Metaspace") == 0) {
        /* SentencePiece's spelling of spaces (Kudo and Richardson 2018): words begin with U+2581. */
        INK_TRY(read_character(r, node, "replacement", &step->from));
        INK_TRY(read_choice(r, node, "prepend_scheme", schemes, 3, "not one of always, first, never", &scheme));
        if (!add_prefix_space && scheme != INK_PREFIX_NEVER)
            return unsupported(r, node, "add_prefix_space is false and prepend_scheme is not never");
        INK_TRY(read_flag(r, node, "split", true, &flag));
        step->match = flag ? ink_match_string : ink_match_nothing;
        step->to = step->prefix = step->from;
        step->scheme = (ink_prefix_scheme)scheme;
        r->t->tracks_start |= scheme == INK_PREFIX_FIRST && r->t->normalizer.n > 0;
    } else if (strcmp(type, "Split") == 0) {
        const char *regex;
        INK_TRY(read_flag(r, node, "invert", false, &step->invert));
        INK_TRY(read_pattern(r, node, &step->from, &regex));
        size_t i = 0;
        while (regex != NULL && i < INK_N_PATTERNS && strcmp(regex, ink_patterns[i].regex) != 0)
            i++;
        if (i == INK_N_PATTERNS)
            return ink_fail(r->ctx, INK_ERROR_UNSUPPORTED,
                            "%s: pre_tokenizer: the pattern '%s' is not supported; supported: those of GPT-2, Llama 3, "
                            "Qwen2, Qwen3.5, Tekken and GPT-4o, and runs of \\p{N}",
                            r->json->file, regex);
        if (regex != NULL)
            ink_import_pattern((ink_pattern_name)i, step);
    }
    return add_component_step(r, node, step);
}

/* ---- "decoder": steps over single tokens, then ByteFallback or Fuse, after which Strip acts on the whole text ---- */

static const component decoders[] = {{"ByteFallback", "", {.properties = 0}},
                                     {"ByteLevel", "add_prefix_space trim_offsets use_regex", {.properties = 0}},
                                     {"Fuse", "", {.properties = 0}},
                                     {"Metaspace",
                                      "replacement add_prefix_space prepend_scheme split str_rep",
                                      {.decode = ink_decode_replace, .to = {" ", 1}}},
                                     {"Replace", "pattern content", {.decode = ink_decode_replace}},
                                     {"Strip", "content start stop", {.decode = ink_decode_strip}},
                                     {"WordPiece", "prefix cleanup", {.properties = 0}},
                                     {0}};

static ink_result read_decoder(json_reader *r, ink_json node, const char *type, ink_step *step)
{
    ink_decoder *decoder = &r->t->decoder;
    const bool fused = r->fused;
    bool ended = decoder->byte_level || decoder->byte_fallback || fused, flag;
    if (strcmp(type, "Fuse") == 0) {
        r->fused = true;
        return INK_OK;
    }
    if (strcmp(type, "ByteLevel") == 0) {
        if (decoder->steps.n > 0 || ended)
            return unsupported(r, node, "ByteLevel is supported as the only step");
        decoder->byte_level = true;
        return INK_OK;
    }
    if (strcmp(type, "Strip") == 0) {
        INK_TRY(read_character(r, node, "content", &step->from));
        INK_TRY(ink_json_read_size(r->ctx, r->json, node, "start", 0, INT32_MAX, &step->start));
        INK_TRY(ink_json_read_size(r->ctx, r->json, node, "stop", 0, INT32_MAX, &step->stop));
    }
    if (strcmp(type, "Strip") == 0 && fused && !decoder->byte_level) {
        if (step->stop > 0)
            return unsupported(r, node, "nothing can be stripped at the end of a text that comes piece by piece");
        if (decoder->strip.size > 0)
            return unsupported(r, node, "a second Strip after Fuse is not supported");
        decoder->strip = step->from;
        decoder->strip_most = step->start;
        return INK_OK;
    }
    if (ended)
        return unsupported(r, node, "this is not supported after ByteLevel, ByteFallback or Fuse");
    if (strcmp(type, "ByteFallback") == 0) {
        decoder->byte_fallback = true;
        return INK_OK;
    }
    if (strcmp(type, "Replace") == 0) {
        INK_TRY(read_replace(r, node, false, step));
    } else if (strcmp(type, "Metaspace") == 0) {
        const char *scheme = "always";
        INK_TRY(read_character(r, node, "replacement", &step->from));
        INK_TRY(read_flag(r, node, "add_prefix_space", true, &flag));
        INK_TRY(ink_json_read_string(r->ctx, r->json, node, "prepend_scheme", &scheme));
        const ink_step first = {.decode = ink_decode_drop, .from = step->from};
        if (flag && strcmp(scheme, "never") != 0)
            INK_TRY(add_component_step(r, node, &first));
    } else if (strcmp(type, "WordPiece") == 0) {
        ink_short_text prefix = {"##", 2};
        if (member_of(r, node, "prefix") != INK_JSON_NONE)
            INK_TRY(read_short(r, node, "prefix", &prefix));
        INK_TRY(read_flag(r, node, "cleanup", true, &flag));
        if (ink_import_wordpiece_decoder(r->im, &prefix, flag))
            return INK_OK; /* else the row is full */
    }
    return add_component_step(r, node, step);
}

/* ---- "model" ---------------------------------------------------------------------------------------------------- */

static const component models[] = {
    {"BPE",
     "vocab merges unk_token dropout continuing_subword_prefix end_of_word_suffix fuse_unk byte_fallback ignore_merges",
     {.properties = 0}},
    {"Unigram", "vocab unk_id byte_fallback", {.properties = 0}},
    {"WordLevel", "vocab unk_token", {.properties = 0}},
    {"WordPiece", "vocab unk_token continuing_subword_prefix max_input_chars_per_word", {.properties = 0}},
    {0}};

/* Merges are written "left right" in older files, ["left", "right"] in newer ones. */
static ink_result read_merges(json_reader *r, ink_json model)
{
    ink_tokenizer_import *im = r->im;
    ink_json merges;
    INK_TRY(read_member(r, model, "merges", INK_JSON_ARRAY, &merges));
    im->merges = ink_arena_alloc(im->arena, r->json->nodes[merges].n_children, sizeof *im->merges);
    if (im->merges == NULL)
        return ink_fail(r->ctx, INK_ERROR_MEMORY, "out of memory: %s", r->json->file);
    for (ink_json i = ink_json_first(r->json, merges); i != INK_JSON_NONE; i = ink_json_next(r->json, i)) {
        const ink_json_node *entry = &r->json->nodes[i];
        ink_spelled_merge *merge = &im->merges[im->n_merges];
        if (entry->kind == INK_JSON_STRING) {
            INK_TRY(ink_import_list_merge(im, 0, entry->string, entry->string_size));
            continue;
        }
        INK_TRY(ink_json_expect(r->ctx, r->json, i, INK_JSON_ARRAY));
        if (entry->n_children != 2)
            return refuse_node(r, INK_ERROR_CORRUPT, i, "expected an array of two strings");
        ink_json left = ink_json_first(r->json, i);
        merge->line = 0;
        ink_json right = ink_json_next(r->json, left);
        INK_TRY(ink_json_get_string(r->ctx, r->json, left, &merge->text[0], &merge->size[0]));
        INK_TRY(ink_json_get_string(r->ctx, r->json, right, &merge->text[1], &merge->size[1]));
        im->n_merges++;
    }
    return INK_OK;
}

/* The double that the reference's reader (serde_json) makes of a spelling; it is off by a unit in the last place for
   one number in seven, and that decides between cuts of nearly equal sums. It reads as many digits as fit 64 bits and
   then multiplies or divides by powers of ten. Classes that make their tokenizer anew read the numbers in Python,
   exactly. */
static double rough_decimal(const char *text)
{
    uint64_t digits = 0, exponent = 0;
    int64_t power = 0;
    bool negative = *text == '-', full = false, minus = false;
    text += negative;
    for (bool fraction = false; (*text >= '0' && *text <= '9') || *text == '.'; text++) {
        const unsigned digit = (unsigned char)*text - '0';
        if (*text == '.') {
            fraction = true;
            full = false;
        } else if (full || digits > (UINT64_MAX - digit) / 10) {
            full = true;
            power += !fraction;
        } else {
            digits = 10 * digits + digit;
            power -= fraction;
        }
    }
    if (*text != '\0') { /* e or E */
        minus = text[1] == '-';
        text += text[1] == '-' || text[1] == '+' ? 2 : 1;
        ink_digits(text, strlen(text), &exponent);
        exponent = exponent < INT32_MAX ? exponent : INT32_MAX;
        power += minus ? -(int64_t)exponent : (int64_t)exponent;
    }
    double value = (double)digits;
    for (; power < -308 && value != 0; power += 308)
        value /= 1e308;
    if (value != 0 && power <= 308) {
        char spelling[8] = "1e";
        const double ten =
            ink_decimal(spelling, ink_format(spelling, sizeof spelling, "1e%d", power < 0 ? (int)-power : (int)power));
        value = power < 0 ? value / ten : value * ten;
    } else if (value != 0) {
        value = INFINITY;
    }
    return negative ? -value : value;
}

/* "vocab": [["<unk>", 0.0], ["a", -2.5], ...], by id. */
static ink_result read_pieces(json_reader *r, ink_json model)
{
    ink_tokenizer_import *im = r->im;
    ink_json vocab;
    int64_t unk = -1;
    INK_TRY(read_member(r, model, "vocab", INK_JSON_ARRAY, &vocab));
    im->n_tokens = r->json->nodes[vocab].n_children;
    if (im->n_tokens == 0)
        return refuse_node(r, INK_ERROR_CORRUPT, vocab, "there are no pieces");
    im->tokens = ink_arena_alloc(im->arena, im->n_tokens, sizeof *im->tokens);
    im->scores = ink_arena_alloc(im->arena, im->n_tokens, sizeof *im->scores);
    if (ink_arena_failed(im->arena))
        return ink_fail(r->ctx, INK_ERROR_MEMORY, "out of memory: %s", r->json->file);
    ink_json node = ink_json_first(r->json, vocab);
    for (size_t i = 0; i < im->n_tokens; i++, node = ink_json_next(r->json, node)) {
        ink_spelled_token *token = &im->tokens[i];
        INK_TRY(ink_json_expect(r->ctx, r->json, node, INK_JSON_ARRAY));
        if (r->json->nodes[node].n_children != 2)
            return refuse_node(r, INK_ERROR_CORRUPT, node, "expected a piece and its score");
        const ink_json piece = ink_json_first(r->json, node), score = ink_json_next(r->json, piece);
        token->id = (ink_token)i;
        INK_TRY(ink_json_get_string(r->ctx, r->json, piece, &token->text, &token->size));
        INK_TRY(ink_json_get_float(r->ctx, r->json, score, &im->scores[i]));
        if (im->config.class == INK_CLASS_NONE)
            im->scores[i] = rough_decimal(r->json->nodes[score].string);
        if (!(im->scores[i] > -DBL_MAX && im->scores[i] < DBL_MAX))
            return refuse_node(r, INK_ERROR_CORRUPT, score, "a score that is too large for a double");
    }
    INK_TRY(ink_json_read_int(r->ctx, r->json, model, "unk_id", 0, (int64_t)im->n_tokens - 1, &unk));
    r->t->unk = (ink_token)unk; /* or INK_UNK_NONE */
    INK_TRY(read_flag(r, model, "byte_fallback", false, &r->t->bytes.fallback));
    return ink_import_tokens(im);
}

#define LONGEST_WORD 1024 /* characters; published files say 100. Keeps the time for a text in bounds */

static ink_result read_model(json_reader *r, ink_json model, const char *type, ink_step *step)
{
    static const char *const marks[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    ink_tokenizer_import *im = r->im;
    ink_bpe *bpe = &r->t->bpe;
    double dropout = 0;
    ink_json vocab;
    (void)step;
    r->t->model = strcmp(type, "BPE") == 0         ? INK_MODEL_BPE
                  : strcmp(type, "WordPiece") == 0 ? INK_MODEL_WORDPIECE
                  : strcmp(type, "Unigram") == 0   ? INK_MODEL_UNIGRAM
                                                   : INK_MODEL_WORDLEVEL;
    if (r->t->model != INK_MODEL_BPE && im->byte_level)
        return unsupported(r, model, "after ByteLevel only the model BPE is supported");
    if (r->t->model == INK_MODEL_UNIGRAM)
        return read_pieces(r, model);
    INK_TRY(ink_json_require(r->ctx, r->json, model, "vocab", &vocab));
    INK_TRY(ink_import_list_tokens(im, r->json, vocab));
    if (r->t->model != INK_MODEL_BPE)
        im->unk = r->t->model == INK_MODEL_WORDPIECE ? "[UNK]" : "<unk>";
    INK_TRY(ink_json_read_string(r->ctx, r->json, model, "unk_token", &im->unk));
    if (r->t->model != INK_MODEL_BPE) {
        im->prefix = (ink_short_text){"##", 2};
        im->longest_word = 100;
        if (member_of(r, model, marks[0]) != INK_JSON_NONE)
            INK_TRY(read_short(r, model, marks[0], &im->prefix));
        INK_TRY(
            ink_json_read_size(r->ctx, r->json, model, "max_input_chars_per_word", 1, LONGEST_WORD, &im->longest_word));
        return ink_import_tokens(im);
    }
    INK_TRY(read_flag(r, model, "ignore_merges", false, &bpe->ignore_merges));
    INK_TRY(read_flag(r, model, "byte_fallback", false, &r->t->bytes.fallback));
    INK_TRY(read_flag(r, model, "fuse_unk", false, &bpe->fuse_unk));
    for (int i = 0; i < 2; i++) { /* marks at the seams of words belong to other kinds of BPE */
        ink_json mark = member_of(r, model, marks[i]);
        if (mark != INK_JSON_NONE)
            INK_TRY(ink_json_expect(r->ctx, r->json, mark, INK_JSON_STRING));
        if (mark != INK_JSON_NONE && r->json->nodes[mark].string_size != 0)
            return unsupported(r, mark, "is not supported by this BPE");
    }
    /* Dropout leaves merges out by chance, as in training (Provilkov et al. 2020): ids would be others each time. */
    INK_TRY(ink_json_read_float(r->ctx, r->json, model, "dropout", &dropout));
    if (dropout != 0)
        return unsupported(r, member_of(r, model, "dropout"), "only 0 is supported");
    INK_TRY(read_merges(r, model));
    return ink_import_tokens(im);
}

/* ---- "post_processor": the template ----------------------------------------------------------------------------- */

static const component processors[] = {
    {"BertProcessing", "sep cls", {.properties = 0}},
    {"ByteLevel", "add_prefix_space trim_offsets use_regex", {.properties = 0}}, /* concerns places alone */
    {"RobertaProcessing", "sep cls trim_offsets add_prefix_space", {.properties = 0}},
    {"TemplateProcessing", "single pair special_tokens", {.properties = 0}},
    {0}};

static ink_result read_known_id(json_reader *r, ink_json node, ink_token *id)
{
    int64_t value = 0;
    INK_TRY(ink_json_get_int(r->ctx, r->json, node, 0, INT32_MAX - 1, &value));
    *id = (ink_token)value;
    return ink_vocab_has(&r->t->vocab, *id) ? INK_OK : refuse_node(r, INK_ERROR_CORRUPT, node, "no token has this id");
}

/* A slot {"SpecialToken": {"id": "<s>", "type_id": 0}} or {"Sequence": {"id": "A", "type_id": 0}}. */
static ink_result read_slot(json_reader *r, ink_json special_tokens, bool pair, ink_json slot, size_t n_texts[2])
{
    INK_TRY(ink_json_expect(r->ctx, r->json, slot, INK_JSON_OBJECT));
    ink_json special = member_of(r, slot, "SpecialToken"), sequence = member_of(r, slot, "Sequence");
    ink_json inner = special != INK_JSON_NONE ? special : sequence, name, token, ids;
    const char *text = NULL;
    size_t size = 0;
    int64_t type = 0;
    ink_token id = 0;
    if (r->json->nodes[slot].n_children != 1)
        return refuse_node(r, INK_ERROR_CORRUPT, slot, "expected one member");
    if (inner == INK_JSON_NONE)
        return refuse_node(r, INK_ERROR_CORRUPT, slot, "expected SpecialToken or Sequence");
    INK_TRY(ink_json_expect(r->ctx, r->json, inner, INK_JSON_OBJECT));
    INK_TRY(ink_json_read_int(r->ctx, r->json, inner, "type_id", 0, INT32_MAX - 1, &type));
    INK_TRY(ink_json_require(r->ctx, r->json, inner, "id", &name));
    INK_TRY(ink_json_get_string(r->ctx, r->json, name, &text, &size));
    if (inner == sequence) {
        if (size != 1 || (text[0] != 'A' && text[0] != 'B'))
            return unsupported(r, name, "a text is called A or B");
        n_texts[text[0] - 'A']++;
        return ink_import_slot(r->im, pair, text[0] == 'A' ? INK_TEMPLATE_A : INK_TEMPLATE_B, (ink_token)type);
    }
    INK_TRY(read_member(r, special_tokens, text, INK_JSON_OBJECT, &token));
    INK_TRY(read_member(r, token, "ids", INK_JSON_ARRAY, &ids));
    for (ink_json i = ink_json_first(r->json, ids); i != INK_JSON_NONE; i = ink_json_next(r->json, i)) {
        INK_TRY(read_known_id(r, i, &id));
        INK_TRY(ink_import_slot(r->im, pair, id, (ink_token)type));
    }
    return INK_OK;
}

/* Templates have "single" with the text A and "pair" with A and B, each once, and "special_tokens": {"<s>": {"id":
   "<s>", "ids": [1]}}. BERT and RoBERTa have "cls" and "sep": ["[SEP]", 102]. */
static ink_result read_processor(json_reader *r, ink_json node, const char *type, ink_step *step)
{
    static const char *const keys[] = {"cls", "sep"};
    ink_token id[2] = {0};
    ink_json special_tokens, member;
    (void)step;
    if (strcmp(type, "ByteLevel") == 0 || strcmp(type, "RobertaProcessing") == 0) {
        INK_TRY(read_flag(r, node, "trim_offsets", true, &r->t->trims_places));
        INK_TRY(read_flag(r, node, "add_prefix_space", true, &r->t->keeps_prefix));
    }
    if (strcmp(type, "ByteLevel") == 0)
        return INK_OK;
    if (r->t->template.n[0] != 0)
        return unsupported(r, node, "a second template is not supported");
    for (int i = 0; i < 2 && strcmp(type, "TemplateProcessing") != 0; i++) {
        INK_TRY(read_member(r, node, keys[i], INK_JSON_ARRAY, &member));
        if (r->json->nodes[member].n_children != 2)
            return refuse_node(r, INK_ERROR_CORRUPT, member, "expected a token and its id");
        INK_TRY(read_known_id(r, ink_json_next(r->json, ink_json_first(r->json, member)), &id[i]));
    }
    if (strcmp(type, "TemplateProcessing") != 0)
        return ink_import_bert_template(r->im, id[0], id[1], strcmp(type, "RobertaProcessing") == 0);
    INK_TRY(read_member(r, node, "special_tokens", INK_JSON_OBJECT, &special_tokens));
    for (int pair = 0; pair < 2; pair++) {
        size_t n_texts[2] = {0};
        INK_TRY(read_member(r, node, pair ? "pair" : "single", INK_JSON_ARRAY, &member));
        if (r->json->nodes[member].n_children > INK_TEMPLATE_LONGEST) /* each is looked for among the special tokens */
            return refuse_node(r, INK_ERROR_LIMIT, member, "a template of more than the 256 pieces supported");
        for (ink_json i = ink_json_first(r->json, member); i != INK_JSON_NONE; i = ink_json_next(r->json, i))
            INK_TRY(read_slot(r, special_tokens, pair, i, n_texts));
        if (n_texts[0] != 1 || n_texts[1] != (pair ? 1 : 0))
            return unsupported(r, member,
                               pair ? "expected each of the texts A and B once" : "expected the text A once");
    }
    return INK_OK;
}

/* ---- components ------------------------------------------------------------------------------------------------- */

/* The places in the order they are read: first those that decide which kind of tokenizer this is. The template comes
   last, because its tokens must be there. */
static const place places[] = {{"normalizer", "normalizers", normalizers, read_normalizer, INK_NORMAL_STEPS},
                               {"pre_tokenizer", "pretokenizers", splitters, read_splitter, INK_SPLIT_STEPS},
                               {"decoder", "decoders", decoders, read_decoder, INK_DECODE_STEPS},
                               {"model", NULL, models, read_model, 0},
                               {"post_processor", "processors", processors, read_processor, 0}};

/* INK_ERROR_UNSUPPORTED for a member of an object that is neither "type", among these names, nor null. */
static ink_result check_component_members(json_reader *r, ink_json node, const char *names)
{
    for (ink_json i = ink_json_first(r->json, node); i != INK_JSON_NONE; i = ink_json_next(r->json, i)) {
        const ink_json_node *member = &r->json->nodes[i];
        if (member->kind != INK_JSON_NULL && !ink_is_listed("type", member->key, member->key_size) &&
            !ink_is_listed(names, member->key, member->key_size))
            return unsupported(r, i, "this member is not known here");
    }
    return INK_OK;
}

/* Old files do not name the model's type; its members tell. */
static ink_result read_component_type(json_reader *r, ink_json node, const char **type)
{
    INK_TRY(ink_json_expect(r->ctx, r->json, node, INK_JSON_OBJECT));
    ink_json vocab = member_of(r, node, "vocab");
    *type = vocab == INK_JSON_NONE ? "" : r->json->nodes[vocab].kind == INK_JSON_ARRAY ? "Unigram" : "WordLevel";
    if (member_of(r, node, "max_input_chars_per_word") != INK_JSON_NONE)
        *type = "WordPiece";
    if (member_of(r, node, "merges") != INK_JSON_NONE)
        *type = "BPE";
    return ink_json_read_string(r->ctx, r->json, node, "type", type);
}

static ink_result read_component(json_reader *r, ink_json node)
{
    const char *type = "";
    char reason[400];
    size_t n;
    INK_TRY(read_component_type(r, node, &type));
    for (const component *c = r->place->components; c->type != NULL; c++)
        if (strcmp(c->type, type) == 0) {
            ink_step step = c->step;
            INK_TRY(r->place->read(r, node, type, &step));
            return check_component_members(r, node, c->members);
        }
    n = ink_format(reason, sizeof reason, "type '%s' is not supported; supported:", type);
    for (const component *c = r->place->components; c->type != NULL; c++)
        n += ink_format(reason + n, sizeof reason - n, "%s %s", c == r->place->components ? "" : ",", c->type);
    return unsupported(r, node, reason);
}

/* A component, or a Sequence of them. */
static ink_result read_place(json_reader *r, size_t which)
{
    ink_steps *const rows[] = {&r->t->normalizer, &r->t->splitter, &r->t->decoder.steps, NULL, NULL};
    ink_json node = member_of(r, 0, places[which].name), parts;
    const char *type = "";
    r->place = &places[which];
    r->row = rows[which];
    if (node == INK_JSON_NONE)
        return INK_OK;
    INK_TRY(read_component_type(r, node, &type));
    if (r->place->parts == NULL || strcmp(type, "Sequence") != 0)
        return read_component(r, node);
    INK_TRY(read_member(r, node, r->place->parts, INK_JSON_ARRAY, &parts));
    for (ink_json i = ink_json_first(r->json, parts); i != INK_JSON_NONE; i = ink_json_next(r->json, i))
        INK_TRY(read_component(r, i));
    return INK_OK;
}

/* ---- the file --------------------------------------------------------------------------------------------------- */

/* "added_tokens": [{"id": 0, "content": "<s>", "special": true, ...}]. All flags are in every file; a default would be
   a guess. */
static ink_result read_added_tokens(json_reader *r)
{
    static const char *const flags[] = {"special", "normalized", "lstrip", "rstrip", "single_word"};
    ink_json added = member_of(r, 0, "added_tokens"), member;
    if (added == INK_JSON_NONE)
        return INK_OK;
    INK_TRY(ink_json_expect(r->ctx, r->json, added, INK_JSON_ARRAY));
    r->im->n_listed = r->json->nodes[added].n_children;
    r->im->listed = ink_arena_alloc(r->im->arena, r->im->n_listed, sizeof *r->im->listed);
    if (r->im->listed == NULL)
        return ink_fail(r->ctx, INK_ERROR_MEMORY, "out of memory: %zu added tokens", r->im->n_listed);
    ink_json node = ink_json_first(r->json, added);
    for (size_t i = 0; i < r->im->n_listed; i++, node = ink_json_next(r->json, node)) {
        ink_added_pattern *p = &r->im->listed[i];
        int64_t id = 0;
        bool values[5] = {0};
        *p = (ink_added_pattern){.content = NULL};
        INK_TRY(ink_json_expect(r->ctx, r->json, node, INK_JSON_OBJECT));
        INK_TRY(ink_json_require(r->ctx, r->json, node, "id", &member));
        INK_TRY(ink_json_get_int(r->ctx, r->json, member, 0, INT32_MAX - 1, &id));
        INK_TRY(ink_json_require(r->ctx, r->json, node, "content", &member));
        INK_TRY(ink_json_get_string(r->ctx, r->json, member, &p->content, &p->content_size));
        INK_TRY(check_component_members(r, node, "id content single_word lstrip rstrip normalized special"));
        for (size_t k = 0; k < 5; k++) {
            INK_TRY(ink_json_require(r->ctx, r->json, node, flags[k], &member));
            INK_TRY(ink_json_get_bool(r->ctx, r->json, member, &values[k]));
        }
        p->special = values[0];
        p->set = values[1] ? INK_ADDED_NORMALIZED : INK_ADDED_RAW;
        p->token = (ink_added_token){
            .id = (ink_token)id, .left_strip = values[2], .right_strip = values[3], .single_word = values[4]};
    }
    return INK_OK;
}

/* "truncation": {"direction": "Left", ...} and "padding": {"pad_id": 0, ...}, of which nothing else is of use. */
static ink_result read_padding(json_reader *r)
{
    ink_json padding = member_of(r, 0, "padding"), truncation = member_of(r, 0, "truncation");
    const char *direction = "Right";
    int64_t pad = -1;
    if (truncation != INK_JSON_NONE) {
        INK_TRY(ink_json_expect(r->ctx, r->json, truncation, INK_JSON_OBJECT));
        INK_TRY(ink_json_read_string(r->ctx, r->json, truncation, "direction", &direction));
    }
    r->t->cuts_left = strcmp(direction, "Left") == 0;
    if (padding == INK_JSON_NONE)
        return INK_OK;
    INK_TRY(ink_json_expect(r->ctx, r->json, padding, INK_JSON_OBJECT));
    INK_TRY(ink_json_read_int(r->ctx, r->json, padding, "pad_id", 0, INT32_MAX, &pad));
    r->im->pad = (ink_token)pad;
    return INK_OK;
}

/* What the class decides beside its control tokens: GPT-2's, RoBERTa's and Qwen2's read add_prefix_space in
   tokenizer_config.json, RoBERTa's has its own template, BERT's decides all (ink_import_bert), and transformers does
   not take Llama's for a byte-level file. */
static ink_result follow_class(json_reader *r)
{
    ink_tokenizer_config *config = &r->im->config;
    ink_steps *splitter = &r->t->splitter;
    bool prefix = false, qwen2 = config->class == INK_CLASS_QWEN2;
    size_t last = qwen2 ? 1 : 0; /* Qwen2's splits before ByteLevel */
    if (config->class == INK_CLASS_LLAMA && r->im->byte_level)
        config->class = INK_CLASS_NONE;
    if (!qwen2 && config->class != INK_CLASS_GPT2 && config->class != INK_CLASS_ROBERTA)
        return INK_OK;
    INK_TRY(ink_tokenizer_config_bool(config, "add_prefix_space", &prefix));
    if (r->im->byte_level && splitter->n == last + 1 &&
        splitter->step[last].match == (qwen2 ? ink_match_nothing : ink_match_gpt2))
        splitter->step[last].scheme = prefix ? INK_PREFIX_ALWAYS : INK_PREFIX_NEVER;
    return INK_OK;
}

ink_result ink_import_tokenizer_json(ink_tokenizer_import *im, const ink_json_document *json)
{
    static const ink_step spaces = {.decode = ink_decode_join, .to = {" ", 1}};
    json_reader r = {.im = im, .ctx = im->ctx, .t = &im->b.draft, .json = json};
    const char *version = "1.0", *type = "";
    ink_json model;
    INK_TRY(ink_json_expect(im->ctx, json, 0, INK_JSON_OBJECT));
    INK_TRY(ink_json_read_string(im->ctx, json, 0, "version", &version));
    if (strcmp(version, "1.0") != 0)
        return ink_fail(im->ctx, INK_ERROR_UNSUPPORTED, "%s: version '%s' is not supported; supported: 1.0", json->file,
                        version);
    INK_TRY(ink_json_require(im->ctx, json, 0, "model", &model));
    INK_TRY(ink_builder_start(&im->b, im->ctx, im->arena, json->file));
    INK_TRY(read_added_tokens(&r));
    INK_TRY(read_padding(&r));
    for (size_t i = 0; i < 5; i++) /* whatever is read of them: each is an object */
        if (member_of(&r, 0, places[i].name) != INK_JSON_NONE)
            INK_TRY(read_component_type(&r, member_of(&r, 0, places[i].name), &type));
    INK_TRY(read_component_type(&r, model, &type));
    if (im->config.class == INK_CLASS_BERT && strcmp(type, "WordPiece") == 0) {
        ink_json vocab;
        INK_TRY(ink_json_require(im->ctx, json, model, "vocab", &vocab));
        INK_TRY(ink_import_list_tokens(im, json, vocab));
        return ink_import_bert(im);
    }
    for (size_t i = 0; i < 2; i++)
        INK_TRY(read_place(&r, i));
    INK_TRY(follow_class(&r));
    for (size_t i = 2; i < 4; i++)
        INK_TRY(read_place(&r, i));
    if (r.t->decoder.byte_level && !im->byte_level)
        return ink_fail(im->ctx, INK_ERROR_UNSUPPORTED,
                        "%s: decoder: ByteLevel is supported with the pre-tokenizer ByteLevel only", json->file);
    r.t->decoder.spells_bytes = im->byte_level && !r.t->decoder.byte_level;
    if (member_of(&r, 0, "decoder") == INK_JSON_NONE)
        ink_builder_step(&r.t->decoder.steps, INK_DECODE_STEPS, &spaces);
    return im->config.class == INK_CLASS_ROBERTA ? ink_import_roberta_template(im) : read_place(&r, 4);
}
