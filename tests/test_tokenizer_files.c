/*
 * test_tokenizer_files.c - tokenizer files that are wrong in one place, and those that are not.
 */
#include "tokenizers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "counting.h"

/* plain.json with the first `from` replaced by `to`, in both of which ' stands for ". */
typedef struct bad_file {
    const char *from, *to;
    ink_result result;
    const char *words;
} bad_file;

/* A copy for the caller to free, with ' written as ". */
static char *with_quotes(const char *text)
{
    char *copy = malloc(strlen(text) + 1);
    strcpy(copy, text);
    for (char *c = copy; (c = strchr(c, '\'')) != NULL;)
        *c = '"';
    return copy;
}

static char *replace(const char *text, const char *from, const char *to)
{
    char *quoted_from = with_quotes(from), *quoted_to = with_quotes(to);
    const char *at = strstr(text, quoted_from);
    if (at == NULL)
        fail_msg("the fixture has no %s", quoted_from);
    char *changed = malloc(strlen(text) + strlen(quoted_to) + 1);
    sprintf(changed, "%.*s%s%s", (int)(at - text), text, quoted_to, at + strlen(quoted_from));
    free(quoted_from);
    free(quoted_to);
    return changed;
}

#define FLAGS ",'special':false,'normalized':false,'lstrip':false,'rstrip':false,'single_word':false},"
#define NFC_4 "{'type':'NFC'},{'type':'NFC'},{'type':'NFC'},{'type':'NFC'}"
#define A "{'Sequence':{'id':'A'}}"
#define BERT "{'type':'BertProcessing','cls':['!',1],'sep':['!',1]}"
#define CORRUPT INK_ERROR_CORRUPT
#define UNSUPPORTED INK_ERROR_UNSUPPORTED

static const bad_file bad_files[] = {
    {"'version':'1.0'", "'version':'2.0'", UNSUPPORTED, "2.0"},
    {"'normalizer':null", "'normalizer':{'type':'Lowercase','locale':'tr'}", UNSUPPORTED,
     "normalizer.locale: this member is not known here"},
    {"'pre_tokenizer':{'type':'ByteLevel'", "'pre_tokenizer':{'type':'ByteLevel','typ':1", UNSUPPORTED,
     "pre_tokenizer.typ: this member is not known here"},
    {"'content':'<pad>'", "'content':'<pad>','priority':1", UNSUPPORTED, "priority: this member is not known here"},
    {"'dropout':null", "'dropout':0.1", UNSUPPORTED, "model.dropout: only 0 is supported"},
    {"'dropout':null", "'dropout':'0'", INK_ERROR_MISMATCH, "model.dropout: expected"},
    {"'normalizer':null", "'normalizer':{'type':'ByteLevel'}", UNSUPPORTED,
     "normalizer: type 'ByteLevel' is not supported; supported: BertNormalizer, Lowercase"},
    {"'normalizer':null", "'normalizer':[]", INK_ERROR_MISMATCH, "normalizer"},
    {"'normalizer':null", "'normalizer':{'type':'Sequence','normalizers':[{'type':'NFC'},{'type':'NFX'}]}", UNSUPPORTED,
     "normalizer.normalizers[1]: type 'NFX'"},
    {"'normalizer':null", "'normalizer':{'type':'Replace','pattern':{'Regex':' +'},'content':''}", UNSUPPORTED,
     "normalizer.pattern"},
    {"'normalizer':null", "'normalizer':{'type':'Replace','pattern':{'Regex':'\\\\A +| +\\\\z'},'content':'x'}",
     UNSUPPORTED, "normalizer.pattern: this regular expression is not supported here"},
    {"'normalizer':null", "'normalizer':{'type':'Precompiled'}", INK_ERROR_MISMATCH,
     "'precompiled_charsmap' is missing"},
    {"'normalizer':null", "'normalizer':{'type':'Replace','pattern':{'String':''},'content':''}", CORRUPT,
     "normalizer.pattern"},
    {"'normalizer':null", "'normalizer':{'type':'Replace','pattern':{'String':'x'}}", INK_ERROR_MISMATCH,
     "'content' is missing"},
    {"'normalizer':null", "'normalizer':{'type':'Prepend','prepend':'12345678901234567'}", INK_ERROR_LIMIT,
     "normalizer"},
    {"'normalizer':null",
     "'normalizer':{'type':'Prepend','prepend':'1234567890123456789012345678901234567890123456789012345678901234+'}",
     INK_ERROR_LIMIT, "normalizer.prepend"},
    {"'normalizer':null",
     "'normalizer':{'type':'Sequence','normalizers':[" NFC_4 "," NFC_4 "," NFC_4 "," NFC_4 ",{'type':'NFC'}]}",
     INK_ERROR_LIMIT, "normalizer.normalizers[16]"},
    {"'normalizer':null", "'normalizer':{'type':'BertNormalizer','lowercase':1}", INK_ERROR_MISMATCH, "lowercase"},
    {"'pre_tokenizer':{'type':'ByteLevel'", "'pre_tokenizer':{'type':'UnicodeScripts'", UNSUPPORTED,
     "'UnicodeScripts' is not supported; supported: BertPreTokenizer, ByteLevel"},
    {"'pre_tokenizer':{'type':'ByteLevel'", "'pre_tokenizer':null,'x':{'type':'ByteLevel'", UNSUPPORTED,
     "decoder: ByteLevel is supported with the pre-tokenizer"},
    {"'pre_tokenizer':{", "'pre_tokenizer':{'type':'Sequence','pretokenizers':[]},'x':{", UNSUPPORTED, "decoder"},
    {"'pre_tokenizer':{", "'pre_tokenizer':{'type':'Sequence'},'x':{", INK_ERROR_MISMATCH, "'pretokenizers'"},
    {"'pre_tokenizer':{",
     "'pre_tokenizer':{'type':'Sequence','pretokenizers':[{'type':'ByteLevel'},{'type':'Digits'}]},'x':{", UNSUPPORTED,
     "pre_tokenizer.pretokenizers[1]: nothing is supported after ByteLevel"},
    {"'pre_tokenizer':{", "'pre_tokenizer':{'type':'Sequence','pretokenizers':[{'type':'Sequence'}]},'x':{",
     UNSUPPORTED, "'Sequence'"},
    {"'pre_tokenizer':{", "'pre_tokenizer':{'type':'Split','pattern':{'Regex':'a+'},'behavior':'Isolated'},'x':{",
     UNSUPPORTED, "the pattern 'a+' is not supported"},
    {"'pre_tokenizer':{", "'pre_tokenizer':{'type':'Split','pattern':{'String':'a'},'behavior':'Sideways'},'x':{",
     UNSUPPORTED, "pre_tokenizer.behavior"},
    {"'pre_tokenizer':{", "'pre_tokenizer':{'type':'CharDelimiterSplit','delimiter':'ab'},'x':{", CORRUPT,
     "pre_tokenizer.delimiter"},
    {"'pre_tokenizer':{", "'pre_tokenizer':{'type':'Metaspace'},'x':{", INK_ERROR_MISMATCH, "'replacement'"},
    {"'pre_tokenizer':{", "'pre_tokenizer':{'type':'Metaspace','replacement':'_','prepend_scheme':'last'},'x':{",
     UNSUPPORTED, "prepend_scheme"},
    {"'pre_tokenizer':{",
     "'pre_tokenizer':{'type':'Metaspace','replacement':'_','prepend_scheme':'first','add_prefix_space':false},'x':{",
     UNSUPPORTED, "pre_tokenizer: add_prefix_space is false and prepend_scheme is not never"},
    {"'add_prefix_space':false", "'add_prefix_space':0", INK_ERROR_MISMATCH, "add_prefix_space"},
    {"'post_processor':{'type':'ByteLevel'", "'post_processor':{'type':'XProcessing'", UNSUPPORTED,
     "'XProcessing' is not supported; supported: BertProcessing, ByteLevel, RobertaProcessing, TemplateProcessing"},
    {"'post_processor':{'type':'ByteLevel'", "'post_processor':{'type':'BertProcessing','cls':['!',1]",
     INK_ERROR_MISMATCH, "'sep' is missing"},
    {"'post_processor':{'type':'ByteLevel'", "'post_processor':{'type':'BertProcessing','cls':['!']", CORRUPT,
     "post_processor.cls"},
    {"'post_processor':{'type':'ByteLevel'", "'post_processor':{'type':'RobertaProcessing','cls':['!',99999]", CORRUPT,
     "no token has this id"},
    {"'post_processor':{'type':'ByteLevel'",
     "'post_processor':{'type':'TemplateProcessing','single':[{'Sequence':{'id':'B'}}],'special_tokens':{}",
     UNSUPPORTED, "post_processor.single: expected the text A once"},
    {"'post_processor':{'type':'ByteLevel'",
     "'post_processor':{'type':'TemplateProcessing','single':[{'Sequence':{'id':'C'}}],'special_tokens':{}",
     UNSUPPORTED, "post_processor.single[0].Sequence.id"},
    {"'post_processor':{'type':'ByteLevel'",
     "'post_processor':{'type':'TemplateProcessing','single':[],'special_tokens':{}", UNSUPPORTED, "text A once"},
    {"'post_processor':{'type':'ByteLevel'",
     "'post_processor':{'type':'TemplateProcessing','single':[" A "],'special_tokens':{}", INK_ERROR_MISMATCH,
     "'pair' is missing"},
    {"'post_processor':{'type':'ByteLevel'",
     "'post_processor':{'type':'TemplateProcessing','single':[" A "],'pair':[" A "," A "],'special_tokens':{}",
     UNSUPPORTED, "post_processor.pair: expected each of the texts A and B once"},
    {"'post_processor':{'type':'ByteLevel'",
     "'post_processor':{'type':'TemplateProcessing','single':[{'SpecialToken':{'id':'Q'}}],"
     "'special_tokens':{}",
     INK_ERROR_MISMATCH, "'Q' is missing"},
    {"'post_processor':{'type':'ByteLevel'",
     "'post_processor':{'type':'TemplateProcessing','single':[{'SpecialToken':{'id':'Q'}}],"
     "'special_tokens':{'Q':{'ids':[99999]}}",
     CORRUPT, "no token has this id"},
    {"'post_processor':{'type':'ByteLevel'",
     "'post_processor':{'type':'TemplateProcessing','single':[{'SpecialToken':{'id':'Q','type_id':-1}}],"
     "'special_tokens':{'Q':{'ids':[1]}}",
     INK_ERROR_MISMATCH, "type_id"},
    {"'post_processor':{'type':'ByteLevel'", "'post_processor':{'type':'Sequence','processors':[" BERT "," BERT "]",
     UNSUPPORTED, "second template"},
    {"'decoder':{'type':'ByteLevel'", "'decoder':{'type':'CTC'", UNSUPPORTED, "'CTC' is not supported"},
    {"'decoder':{", "'decoder':{'type':'Sequence','decoders':[{'type':'Fuse'},{'type':'ByteLevel'}]},'x':{",
     UNSUPPORTED, "decoder.decoders[1]"},
    {"'decoder':{", "'decoder':{'type':'Sequence','decoders':[{'type':'ByteLevel'},{'type':'WordPiece'}]},'x':{",
     UNSUPPORTED, "decoder.decoders[1]"},
    {"'decoder':{",
     "'decoder':{'type':'Sequence','decoders':[{'type':'Fuse'},{'type':'Strip','content':' ','stop':1}]},'x':{",
     UNSUPPORTED, "at the end of a text"},
    {"'type':'BPE'", "'type':'Bigram'", UNSUPPORTED,
     "model: type 'Bigram' is not supported; supported: BPE, Unigram, WordLevel, WordPiece"},
    {"'type':'BPE'", "'type':'Unigram'", UNSUPPORTED, "after ByteLevel only the model BPE"},
    {"'type':'BPE'", "'type':'WordLevel'", UNSUPPORTED, "after ByteLevel only the model BPE"},
    {"'type':'BPE'", "'type':7", INK_ERROR_MISMATCH, "model.type"},
    {"'model':{", "'x':{", INK_ERROR_MISMATCH, "'model' is missing"},
    {"'continuing_subword_prefix':null", "'continuing_subword_prefix':'##'", UNSUPPORTED,
     "model.continuing_subword_prefix"},
    {"'end_of_word_suffix':null", "'end_of_word_suffix':'</w>'", UNSUPPORTED, "model.end_of_word_suffix"},
    {"'vocab':{", "'words':{", INK_ERROR_MISMATCH, "vocab"},
    {"'vocab':{", "'vocab':{},'x':{", CORRUPT, "left token"},
    {"'vocab':{", "'vocab':[],'x':{", INK_ERROR_MISMATCH, "model.vocab"},
    {"'!':1,", "", CORRUPT, "left token"},
    {"'!':1,", "'!':-1,", INK_ERROR_MISMATCH, "model.vocab.!"},
    {"'!':1,", "'!':1.5,", INK_ERROR_MISMATCH, "model.vocab.!"},
    {"'!':1,", "'!':'1',", INK_ERROR_MISMATCH, "model.vocab.!"},
    {"'!':1,", "'!':2147483648,", INK_ERROR_MISMATCH, "model.vocab.!"},
    {"'!':1,", "'!':2147483646,", INK_ERROR_LIMIT, "2147483646"},
    {"'merges':[", "'merges':['! ;',", CORRUPT, "model.merges[0]: the merged token"},
    {"'merges':[", "'merges':['!',", CORRUPT, "model.merges[0]: expected two tokens"},
    {"'merges':[", "'merges':['! ! !',", CORRUPT, "two spaces"},
    {"'merges':[", "'merges':['nowhere !',", CORRUPT, "left token"},
    {"'merges':[", "'merges':['! nowhere',", CORRUPT, "right token"},
    {"'merges':[", "'merges':['! ',", CORRUPT, "right token"},
    {"'merges':[", "'merges':[['!'],", CORRUPT, "array of two"},
    {"'merges':[", "'merges':[['!','!','!'],", CORRUPT, "array of two"},
    {"'merges':[", "'merges':[['!',1],", INK_ERROR_MISMATCH, "model.merges[0][1]"},
    {"'merges':[", "'merges':[7,", INK_ERROR_MISMATCH, "model.merges[0]"},
    {"'merges':[", "'merges':{},'x':[", INK_ERROR_MISMATCH, "model.merges"},
    {"'byte_fallback':false,'ignore_merges':false,'vocab':{'<|endoftext|>':0,'!':1,",
     "'byte_fallback':true,'vocab':{'<0x21>':1,", UNSUPPORTED, "model.byte_fallback: not supported"},
    {"'added_tokens':[", "'added_tokens':{},'x':[", INK_ERROR_MISMATCH, "added_tokens"},
    {"'added_tokens':[", "'added_tokens':[7,", INK_ERROR_MISMATCH, "added_tokens[0]"},
    {"'added_tokens':[", "'added_tokens':[{'content':'<x>'},", INK_ERROR_MISMATCH, "'id' is missing"},
    {"'added_tokens':[", "'added_tokens':[{'id':900},", INK_ERROR_MISMATCH, "'content' is missing"},
    {"'added_tokens':[", "'added_tokens':[{'id':900,'content':'<x>'},", INK_ERROR_MISMATCH, "'special' is missing"},
    {"'added_tokens':[", "'added_tokens':[{'id':900,'content':7},", INK_ERROR_MISMATCH, "content"},
    {"'added_tokens':[", "'added_tokens':[{'id':900,'content':'<x>','special':false,'normalized':false,'lstrip':1},",
     INK_ERROR_MISMATCH, "lstrip"},
};

static void expect_bad(ink_context *ctx, const char *text, size_t size, const bad_file *bad)
{
    ink_tokenizer *tokenizer = (ink_tokenizer *)(void *)ctx;
    assert_fails(ctx, test_open_text(ctx, text, size, &tokenizer), bad->result, bad->words);
    assert_null(tokenizer);
}

static void files_wrong_in_one_place_are_refused(ink_context *ctx, counting *memory)
{
    size_t size;
    char *text = test_read_tokenizer("plain", ".json", &size);
    size_t live = memory->live_bytes;
    for (size_t i = 0; i < sizeof bad_files / sizeof bad_files[0]; i++) {
        char *bad = replace(text, bad_files[i].from, bad_files[i].to);
        expect_bad(ctx, bad, strlen(bad), &bad_files[i]);
        free(bad);
        assert_int_equal(memory->live_bytes, live);
    }
    free(text);
}

/* Changes that make no difference are accepted. */
static void changes_that_make_no_difference_are_accepted(ink_context *ctx)
{
    static const bad_file good[] = {
        {"'type':'BPE',", "", INK_OK, NULL},
        {"'version':'1.0',", "", INK_OK, NULL},
        {"'continuing_subword_prefix':null", "'continuing_subword_prefix':''", INK_OK, NULL},
        {"'unk_token':null", "'unk_token':'<|endoftext|>'", INK_OK, NULL},
        {"'truncation':null", "'truncation':{'max_length':4}", INK_OK, NULL},
        {"'decoder':{", "'decoder':{'type':'Sequence','decoders':[{'type':'ByteLevel'}]},'x':{", INK_OK, NULL},
        {"'added_tokens':[", "'added_tokens':[],'x':[", INK_OK, NULL},
        {"'added_tokens':[", "'x':[", INK_OK, NULL},
        {"'!':1,", "'!':1000,", INK_OK, NULL},
        /* what differs then is in test_tokenizer_union.c */
        {"'decoder':{", "'decoder':null,'x':{", INK_OK, NULL},
        {"'decoder':{", "'decoder':{'type':'WordPiece','prefix':'##'},'x':{", INK_OK, NULL},
        {"'!':1,", "'!':2,", INK_OK, NULL},
        {"'!':1,", "'!':1,'':1000,", INK_OK, NULL},
        {"'!':1,", "'!':1,'!':1000,", INK_OK, NULL},
        {"'unk_token':null", "'unk_token':'<nowhere>'", INK_OK, NULL},
        {"'added_tokens':[", "'added_tokens':[{'id':900,'content':''" FLAGS, INK_OK, NULL},
        {"'added_tokens':[", "'added_tokens':[{'id':1,'content':'<x>'" FLAGS, INK_OK, NULL},
        {"'added_tokens':[", "'added_tokens':[{'id':900,'content':'<a>'" FLAGS, INK_OK, NULL},
    };
    size_t size;
    char *text = test_read_tokenizer("plain", ".json", &size);
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        char *changed = replace(text, good[i].from, good[i].to);
        ink_tokenizer *tokenizer = NULL;
        assert_ok(ctx, test_open_text(ctx, changed, strlen(changed), &tokenizer));
        ink_tokenizer_free(tokenizer);
        free(changed);
    }
    free(text);
}

/* Long contents would make the time for a text depend on the file. */
static void added_tokens_have_a_longest_length(ink_context *ctx)
{
    size_t size;
    char *text = test_read_tokenizer("plain", ".json", &size);
    static char added[1400];
    for (size_t length = 1024; length <= 1025; length++) {
        ink_tokenizer *tokenizer = NULL;
        int head = sprintf(added, "'added_tokens':[{'id':900,'content':'");
        memset(added + head, 'a', length);
        strcpy(added + head + length, "'" FLAGS);
        char *changed = replace(text, "'added_tokens':[", added);
        ink_result result = test_open_text(ctx, changed, strlen(changed), &tokenizer);
        assert_int_equal(result, length == 1024 ? INK_OK : INK_ERROR_LIMIT);
        ink_tokenizer_free(tokenizer);
        free(changed);
    }
    free(text);
}

/* Cut anywhere: refused, never believed. */
static void every_truncation_is_refused(ink_context *ctx)
{
    size_t size;
    char *text = test_read_tokenizer("shuffled", ".json", &size);
    while (text[size - 1] != '}')
        size--;
    for (size_t length = 0; length < size; length += length < 500 ? 1 : 23) {
        ink_tokenizer *tokenizer = NULL;
        char *cut = malloc(length + 1); /* a block of its own, so that reading on is seen by the sanitizers */
        memcpy(cut, text, length);
        assert_int_equal(test_open_text(ctx, cut, length, &tokenizer), INK_ERROR_CORRUPT);
        assert_null(tokenizer);
        free(cut);
    }
    free(text);
}

static void a_folder_without_a_tokenizer_is_refused(ink_context *ctx)
{
    ink_tokenizer *tokenizer = NULL;
    assert_fails(ctx, ink_tokenizer_open(ctx, FIXTURES "/tokenizer", &tokenizer), INK_ERROR_NOT_FOUND,
                 "tokenizer.json");
    assert_null(tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(files_wrong_in_one_place_are_refused),
        context_test(changes_that_make_no_difference_are_accepted),
        context_test(added_tokens_have_a_longest_length),
        context_test(every_truncation_is_refused),
        context_test(a_folder_without_a_tokenizer_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
