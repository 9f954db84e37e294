/*
 * read_splitter.c - the components of "pre_tokenizer".
 */
#include "tokenizer_read.h"
#include "../text/unicode.h"

/* ByteLevel spells its words in bytes, so that nothing can split them after it. */
static ink_result add(ink_tokenizer_reader *r, ink_json node, const ink_splitter *splitter)
{
    ink_pre_tokenizer *pre_tokenizer = &r->tokenizer->pre_tokenizer;
    if (r->tokenizer->vocab.byte_level)
        return ink_read_refuse(r, INK_ERROR_UNSUPPORTED, node, "nothing is supported after ByteLevel");
    if (pre_tokenizer->n_splitters == INK_SPLITTERS)
        return ink_read_refuse(r, INK_ERROR_LIMIT, node, "more steps than the 8 that are supported");
    pre_tokenizer->splitters[pre_tokenizer->n_splitters++] = *splitter;
    return INK_OK;
}

static ink_result read_behavior(ink_tokenizer_reader *r, ink_json node, ink_split_behavior *behavior)
{
    static const char *const names[] = {"Isolated", "Removed", "Contiguous", "MergedWithPrevious", "MergedWithNext"};
    const char *name = names[INK_SPLIT_ISOLATED];
    INK_TRY(ink_json_read_string(r->ctx, &r->json, node, "behavior", &name));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) == 0) {
            *behavior = (ink_split_behavior)i;
            return INK_OK;
        }
    }
    return ink_read_refuse(r, INK_ERROR_UNSUPPORTED, ink_json_member(&r->json, node, "behavior"),
                           "not one of Isolated, Removed, Contiguous, MergedWithPrevious, MergedWithNext");
}

static ink_result read_byte_level(ink_tokenizer_reader *r, ink_json node)
{
    bool use_regex, add_prefix_space;
    ink_splitter splitter = {.prefix = {" ", 1}};
    INK_TRY(ink_read_flag(r, node, "use_regex", true, &use_regex));
    INK_TRY(ink_read_flag(r, node, "add_prefix_space", true, &add_prefix_space));
    splitter.match = use_regex ? ink_match_gpt2 : ink_match_nothing;
    splitter.scheme = add_prefix_space ? INK_PREFIX_ALWAYS : INK_PREFIX_NEVER;
    INK_TRY(add(r, node, &splitter));
    r->tokenizer->vocab.byte_level = true;
    return INK_OK;
}

static ink_result read_split(ink_tokenizer_reader *r, ink_json node)
{
    ink_splitter splitter = {.match = ink_match_string};
    const char *regex;
    INK_TRY(ink_read_pattern(r, node, &splitter.string, &regex));
    if (regex != NULL)
        splitter.match = ink_match_pattern(regex);
    if (splitter.match == NULL)
        return ink_fail(r->ctx, INK_ERROR_UNSUPPORTED,
                        "%s: pre_tokenizer: the pattern '%s' is not supported; supported: those of GPT-2, Llama 3 and "
                        "Qwen2",
                        r->json.file, regex);
    INK_TRY(read_behavior(r, node, &splitter.behavior));
    INK_TRY(ink_read_flag(r, node, "invert", false, &splitter.invert));
    return add(r, node, &splitter);
}

static ink_result read_char_delimiter(ink_tokenizer_reader *r, ink_json node)
{
    ink_splitter splitter = {.match = ink_match_string, .behavior = INK_SPLIT_REMOVED};
    INK_TRY(ink_read_character(r, node, "delimiter", &splitter.string));
    return add(r, node, &splitter);
}

static ink_result read_digits(ink_tokenizer_reader *r, ink_json node)
{
    ink_splitter splitter = {.match = ink_match_property, .properties = INK_UNICODE_NUMERIC};
    bool individual;
    INK_TRY(ink_read_flag(r, node, "individual_digits", false, &individual));
    splitter.behavior = individual ? INK_SPLIT_ISOLATED : INK_SPLIT_CONTIGUOUS;
    return add(r, node, &splitter);
}

static ink_result read_punctuation(ink_tokenizer_reader *r, ink_json node)
{
    ink_splitter splitter = {.match = ink_match_property, .properties = INK_UNICODE_PUNCTUATION};
    INK_TRY(read_behavior(r, node, &splitter.behavior));
    return add(r, node, &splitter);
}

static ink_result read_whitespace_split(ink_tokenizer_reader *r, ink_json node)
{
    ink_splitter splitter = {.match = ink_match_space, .behavior = INK_SPLIT_REMOVED};
    return add(r, node, &splitter);
}

static ink_result read_whitespace(ink_tokenizer_reader *r, ink_json node)
{
    ink_splitter splitter = {.match = ink_match_word_or_not, .behavior = INK_SPLIT_REMOVED, .invert = true};
    return add(r, node, &splitter);
}

static ink_result read_bert(ink_tokenizer_reader *r, ink_json node)
{
    ink_splitter punctuation = {.match = ink_match_property, .properties = INK_UNICODE_PUNCTUATION};
    INK_TRY(read_whitespace_split(r, node));
    return add(r, node, &punctuation);
}

/* "first" asks where a piece began before it was normalised. Only what keeps its beginning is supported, so that this
   is where it begins now. */
static bool keeps_beginning(const ink_tokenizer *t)
{
    for (size_t i = 0; i < t->normalizer.n_steps; i++) {
        const ink_normal_step *step = &t->normalizer.steps[i];
        if (step->apply == ink_normal_drop || step->apply == ink_normal_strip ||
            (step->apply == ink_normal_replace && step->to.n == 0))
            return false;
    }
    return t->pre_tokenizer.n_splitters == 0;
}

/* SentencePiece's spelling of spaces (Kudo and Richardson 2018): words begin with U+2581. */
static ink_result read_metaspace(ink_tokenizer_reader *r, ink_json node)
{
    static const char *const schemes[] = {"never", "first", "always"};
    ink_splitter splitter = {.behavior = INK_SPLIT_MERGED_WITH_NEXT};
    const char *scheme = NULL;
    bool add_prefix_space, split;
    INK_TRY(ink_read_character(r, node, "replacement", &splitter.string));
    splitter.space = splitter.prefix = splitter.string;
    INK_TRY(ink_read_flag(r, node, "add_prefix_space", true, &add_prefix_space));
    INK_TRY(ink_read_flag(r, node, "split", true, &split));
    INK_TRY(ink_json_read_string(r->ctx, &r->json, node, "prepend_scheme", &scheme));
    splitter.match = split ? ink_match_string : ink_match_nothing;
    if (scheme == NULL) /* an old file */
        scheme = add_prefix_space ? "always" : "never";
    size_t found = 0;
    while (found < sizeof schemes / sizeof schemes[0] && strcmp(scheme, schemes[found]) != 0)
        found++;
    splitter.scheme = (ink_prefix_scheme)found;
    if (found == sizeof schemes / sizeof schemes[0])
        return ink_read_refuse(r, INK_ERROR_UNSUPPORTED, ink_json_member(&r->json, node, "prepend_scheme"),
                               "not one of always, first, never");
    if (splitter.scheme == INK_PREFIX_FIRST && !keeps_beginning(r->tokenizer))
        return ink_read_refuse(r, INK_ERROR_UNSUPPORTED, ink_json_member(&r->json, node, "prepend_scheme"),
                               "first is supported as the first step, and where nothing was taken away before it");
    return add(r, node, &splitter);
}

const ink_component ink_splitter_components[] = {
    {"BertPreTokenizer", "type", read_bert},
    {"ByteLevel", "type add_prefix_space trim_offsets use_regex", read_byte_level},
    {"CharDelimiterSplit", "type delimiter", read_char_delimiter},
    {"Digits", "type individual_digits", read_digits},
    {"Metaspace", "type replacement add_prefix_space prepend_scheme split str_rep", read_metaspace},
    {"Punctuation", "type behavior", read_punctuation},
    {"Split", "type pattern behavior invert", read_split},
    {"Whitespace", "type", read_whitespace},
    {"WhitespaceSplit", "type", read_whitespace_split},
    {NULL, NULL, NULL}};
