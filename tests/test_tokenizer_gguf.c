/*
 * test_tokenizer_gguf.c - tokenizers out of the metadata of GGUF files: what every key means, and what is refused. That
 * the ids are those of the folder such a file is made of is shown by test_tokenizer, with the files gguf_*.gguf.
 */
#include "tokenizers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "counting.h"
#include "numbers.h"

#include "../src/import/tokenizer_import.h"

/* ---- files ------------------------------------------------------------------------------------------------------ */

typedef struct bytes {
    char at[1 << 14];
    size_t size;
} bytes;

static void put(bytes *b, const void *from, size_t size)
{
    assert_true(b->size + size <= sizeof b->at);
    memcpy(b->at + b->size, from, size);
    b->size += size;
}

static void put_le(bytes *b, uint64_t number, size_t width)
{
    char le[8];
    put(b, le, put_number(le, number, width));
}

static void put_string(bytes *b, const char *text, size_t size)
{
    put_le(b, size, 8);
    put(b, text, size);
}

/* A value: a name of its type, "[]" if it is an array, and the values with ";" between them. */
static void put_value(bytes *b, const char *value)
{
    static const struct {
        const char *name;
        unsigned type, width;
    } types[] = {{"u8", 0, 1},  {"i8", 1, 1},   {"u32", 4, 4}, {"i32", 5, 4},
                 {"f32", 6, 4}, {"bool", 7, 1}, {"str", 8, 0}, {"u64", 10, 8}};
    const char *text = strchr(value, ':');
    size_t t = 0, n = 1;
    assert_non_null(text);
    const bool array = text[-1] == ']';
    while (strncmp(value, types[t].name, strlen(types[t].name)) != 0)
        assert_true(++t < sizeof types / sizeof types[0]);
    text++;
    for (const char *c = text; *c != '\0'; c++)
        n += *c == ';';
    if (array && *text == '\0')
        n = 0;
    if (array)
        put_le(b, 9, 4);
    put_le(b, types[t].type, 4);
    if (array)
        put_le(b, n, 8);
    for (size_t i = 0; i < n; i++, text++) {
        const size_t size = strcspn(text, ";");
        float number = strtof(text, NULL);
        uint32_t bits;
        memcpy(&bits, &number, 4);
        if (types[t].width == 0)
            put_string(b, text, size);
        else
            put_le(b, types[t].type == 6 ? bits : (uint64_t)strtoll(text, NULL, 10), types[t].width);
        text += size;
    }
}

typedef struct row {
    const char *key, *value; /* "tokenizer.ggml." stands before a key that begins with "." */
} row;

static const row llama[] = {{"general.architecture", "str:llama"},
                            {".model", "str:llama"},
                            {".tokens", "str[]:<unk>;<s>;</s>;<0x41>;\xE2\x96\x81;a;b;ab;\xE2\x96\x81"
                                        "ab;<user>"},
                            {".scores", "f32[]:0;0;0;0;-3;-4;-5;-1;-2;0"},
                            {".token_type", "i32[]:2;3;3;6;1;1;1;1;1;4"},
                            {NULL, NULL}};
static const row gpt2[] = {{"general.architecture", "str:llama"},
                           {".model", "str:gpt2"},
                           {".pre", "str:llama-bpe"},
                           {".tokens", "str[]:a;b;\xC4\xA0;ab;\xC4\xA0"
                                       "ab;<|e|>;1;<u v>"},
                           {".token_type", "i32[]:1;1;1;1;1;3;1;4"},
                           {".merges", "str[]:a b;\xC4\xA0 ab"},
                           {NULL, NULL}};
static const row bert[] = {{"general.architecture", "str:bert"},
                           {".model", "str:bert"},
                           {".tokens", "str[]:[PAD];[UNK];[CLS];[SEP];\xE2\x96\x81"
                                       "ab;c;\xE2\x96\x81.;\xE2\x96\x81\xC3\xA9"},
                           {".token_type", "i32[]:3;3;3;3;1;1;1;1"},
                           {".cls_token_id", "u32:2"},
                           {".seperator_token_id", "u32:3"},
                           {".unknown_token_id", "u32:1"},
                           {NULL, NULL}};
static const row t5[] = {{"general.architecture", "str:t5"},
                         {".model", "str:t5"},
                         {".tokens", "str[]:<pad>;</s>;<unk>;\xE2\x96\x81;a;\xE2\x96\x81"
                                     "ab;b;[PAD7]"},
                         {".scores", "f32[]:0;0;0;-2;-3;-4;-5;-10000"},
                         {".token_type", "i32[]:3;3;2;1;1;1;1;5"},
                         {".add_space_prefix", "bool:1"},
                         {".remove_extra_whitespaces", "bool:1"},
                         {NULL, NULL}};

/* A file with these rows, of which `changes` replace some, take some away (a value of NULL), or add some. */
static void make_file(bytes *b, const row *rows, const row *changes, size_t n_changes)
{
    const row *all[64];
    size_t n = 0;
    for (; rows->key != NULL; rows++) {
        all[n] = rows;
        for (size_t i = 0; i < n_changes; i++)
            all[n] = strcmp(changes[i].key, rows->key) == 0 ? &changes[i] : all[n];
        n += all[n]->value != NULL;
    }
    for (size_t i = 0; i < n_changes; i++) {
        bool there = changes[i].value == NULL;
        for (size_t k = 0; k < n; k++)
            there = there || strcmp(all[k]->key, changes[i].key) == 0;
        if (!there)
            all[n++] = &changes[i];
    }
    b->size = 0;
    put(b, "GGUF", 4);
    put_le(b, 3, 4);
    put_le(b, 0, 8);
    put_le(b, n, 8);
    for (size_t i = 0; i < n; i++) {
        char key[128];
        snprintf(key, sizeof key, "%s%s", all[i]->key[0] == '.' ? "tokenizer.ggml" : "", all[i]->key);
        put_string(b, key, strlen(key));
        put_value(b, all[i]->value);
    }
}

static ink_result open_bytes(ink_context *ctx, const void *data, size_t size, ink_tokenizer **tokenizer)
{
    ink_memory_file file = {"m.gguf", data, size};
    ink_memory_files files = {&file, 1};
    ink_source source = ink_source_memory(&files);
    source.name = "m.gguf";
    *tokenizer = NULL;
    return ink_tokenizer_open_source(ctx, &source, tokenizer);
}

static ink_result open_rows(ink_context *ctx, const row *rows, const row *changes, size_t n_changes,
                            ink_tokenizer **tokenizer)
{
    static bytes b;
    make_file(&b, rows, changes, n_changes);
    void *copy = malloc(b.size); /* so that a read past its end is seen */
    memcpy(copy, b.at, b.size);
    const ink_result result = open_bytes(ctx, copy, b.size, tokenizer);
    free(copy);
    return result;
}

/* ---- what is refused -------------------------------------------------------------------------------------------- */

#define CORRUPT INK_ERROR_CORRUPT
#define MISMATCH INK_ERROR_MISMATCH
#define UNSUPPORTED INK_ERROR_UNSUPPORTED

static const struct {
    const row *rows;
    row change;
    ink_result result;
    const char *words;
} wrong[] = {
    {llama, {".model", NULL}, MISMATCH, "key 'tokenizer.ggml.model' is missing"},
    {llama, {".model", "u32:1"}, MISMATCH, "key 'tokenizer.ggml.model' (byte "},
    {llama, {".model", "str:rwkv"}, UNSUPPORTED, "is 'rwkv', supported: llama, gpt2, bert, t5"},
    {llama, {".model", "str:none"}, UNSUPPORTED, "is 'none', supported"},
    {llama, {".model", "str:gemma4"}, UNSUPPORTED, "is 'gemma4', supported"},
    {llama, {".tokens", NULL}, MISMATCH, "key 'tokenizer.ggml.tokens' is missing"},
    {llama, {".tokens", "i32[]:1;2"}, MISMATCH, "key 'tokenizer.ggml.tokens' (byte "},
    {llama, {".tokens", "str:a"}, MISMATCH, "key 'tokenizer.ggml.tokens' (byte "},
    {llama, {".tokens", "str[]:"}, CORRUPT, "has 0 tokens"},
    {llama, {".tokens", "str[]:<unk>;<s>;</s>;<0x41>;a;b;a;c;d;e"}, CORRUPT, "element 6 is 'a', and so is element 4"},
    {llama, {".tokens", "str[]:<unk>;<s>;</s>;<0x-1>;1;2;3;4;5;6"}, CORRUPT, "element 3 is a byte by its type"},
    {llama, {".tokens", "str[]:<unk>;<s>;</s>;<0x4>;1;2;3;4;5;6"}, CORRUPT, "element 3 is a byte by its type"},
    {llama, {".tokens", "str[]:<unk>;<s>;</s>;<0x4G>;1;2;3;4;5;6"}, CORRUPT, "expected <0x00> to <0xFF>"},
    {llama, {".tokens", "str[]:<unk>;<s>;</s>;<0X41>;1;2;3;4;5;6"}, CORRUPT, "expected <0x00> to <0xFF>"},
    {llama, {".tokens", "str[]:<unk>;<s>;</s>;<0x 1>;1;2;3;4;5;6"}, CORRUPT, "expected <0x00> to <0xFF>"},
    {llama, {".tokens", "str[]:<unk>;<s>;</s>;<0x+1>;1;2;3;4;5;6"}, CORRUPT, "expected <0x00> to <0xFF>"},
    {llama, {".tokens", "str[]:<unk>;<s>;</s>;<0x041>;1;2;3;4;5;6"}, CORRUPT, "expected <0x00> to <0xFF>"},
    {llama, {".tokens", "str[]:<unk>;<s>;</s>;<0x41>;\xC3;2;3;4;5;6"}, CORRUPT, "UTF-8"},
    {llama, {".token_type", "i32[]:2;3;3"}, MISMATCH, "key 'tokenizer.ggml.token_type' (byte "},
    {llama, {".token_type", "i32[]:2;3;3;6;1;1;1;1;1;4;1"}, MISMATCH, "token_type' (byte "},
    {llama, {".token_type", "i32[]:2;3;3;6;1;1;7;1;1;4"}, MISMATCH, "token_type' (byte "},
    {llama, {".token_type", "i32[]:2;3;3;6;1;1;-1;1;1;4"}, MISMATCH, "token_type' (byte "},
    {llama, {".token_type", "f32[]:2;3;3;6;1;1;1;1;1;4"}, MISMATCH, "token_type' (byte "},
    {llama, {".scores", NULL}, MISMATCH, "key 'tokenizer.ggml.scores' is missing"},
    {llama, {".scores", "f32[]:0;0"}, MISMATCH, "key 'tokenizer.ggml.scores' (byte "},
    {llama, {".scores", "f32[]:0;0;0;0;-3;-4;-5;-1;-2;0;0"}, MISMATCH, "scores' (byte "},
    {llama, {".scores", "i32[]:0;0;0;0;-3;-4;-5;-1;-2;0"}, MISMATCH, "scores' (byte "},
    {llama, {".scores", "f32[]:0;0;0;0;nan;-4;-5;-1;-2;0"}, MISMATCH, "scores' (byte "},
    {llama, {".scores", "f32[]:0;0;0;0;-3;-4;-5;inf;-2;0"}, MISMATCH, "scores' (byte "},
    {llama, {".bos_token_id", "u32:10"}, CORRUPT, "bos_token_id' (byte "},
    {llama, {".eos_token_id", "u32:10"}, CORRUPT, "is 10, there are 10 tokens"},
    {llama, {".unknown_token_id", "u64:9223372036854775807"}, CORRUPT, "unknown_token_id' (byte "},
    {llama, {".unknown_token_id", "u32:4294967294"}, CORRUPT, "is 4294967294, there are 10 tokens"},
    {llama, {".seperator_token_id", "u32:10"}, CORRUPT, "seperator_token_id"},
    {llama, {".cls_token_id", "u32:10"}, CORRUPT, "cls_token_id"},
    {llama, {".mask_token_id", "u32:10"}, CORRUPT, "mask_token_id"},
    {llama, {".bos_token_id", "str:<s>"}, MISMATCH, "bos_token_id"},
    {llama, {".bos_token_id", "f32:1"}, MISMATCH, "bos_token_id"},
    {llama, {".add_bos_token", "u32:1"}, MISMATCH, "add_bos_token"},
    {llama, {".add_eos_token", "str:true"}, MISMATCH, "add_eos_token"},
    {llama, {".add_space_prefix", "i32:1"}, MISMATCH, "add_space_prefix"},
    {llama, {".merges", "str[]:a b;ab"}, CORRUPT, "element 1: expected two tokens with a space between them"},
    {llama, {".merges", "u32:1"}, MISMATCH, "merges' (byte "},
    {llama, {"general.architecture", "u32:1"}, MISMATCH, "general.architecture"},
    {gpt2, {".add_sep_token", "bool:1"}, MISMATCH, "'tokenizer.ggml.seperator_token_id' names no token"},
    {gpt2, {".add_bos_token", "bool:1"}, MISMATCH, "'tokenizer.ggml.bos_token_id' names no token"},
    {gpt2, {".add_eos_token", "bool:1"}, MISMATCH, "'tokenizer.ggml.eos_token_id' names no token"},
    {gpt2, {".pre", NULL}, UNSUPPORTED, "key 'tokenizer.ggml.pre' is missing, so nothing says where the words"},
    {gpt2, {".pre", "str:"}, UNSUPPORTED, "key 'tokenizer.ggml.pre' is missing"},
    {gpt2, {".pre", "str:default"}, UNSUPPORTED, "key 'tokenizer.ggml.pre' is 'default'"},
    {gpt2, {".pre", "str:kimi-k2"}, UNSUPPORTED, "is 'kimi-k2', supported: llama-bpe llama3"},
    {gpt2, {".pre", "str:llama-bpe llama3"}, UNSUPPORTED, "is 'llama-bpe llama3', supported"},
    {gpt2, {".pre", "str[]:llama-bpe"}, MISMATCH, "pre' (byte "},
    {gpt2, {".merges", NULL}, MISMATCH, "key 'tokenizer.ggml.merges' is missing"},
    {gpt2, {".merges", "i32[]:1"}, MISMATCH, "merges' (byte "},
    {gpt2, {".merges", "str[]:a b;ab"}, CORRUPT, "element 1: expected two tokens with a space between them"},
    {gpt2, {".merges", "str[]:a b;a b a"}, CORRUPT, "element 1: expected two tokens, there are two spaces"},
    {gpt2, {".merges", "str[]:a  b"}, CORRUPT, "element 0: expected two tokens, there are two spaces"},
    {gpt2, {".merges", "str[]:"}, INK_OK, NULL},
    {gpt2, {".merges", "str[]:;a b"}, CORRUPT, "element 0: expected two tokens"},
    {gpt2, {".merges", "str[]:x a"}, CORRUPT, "merges' (byte "},
    {gpt2, {".merges", "str[]:x a"}, CORRUPT, "element 0: the left token is not in the vocabulary"},
    {gpt2, {".merges", "str[]:a x"}, CORRUPT, "element 0: the right token is not in the vocabulary"},
    {gpt2, {".merges", "str[]:b a"}, CORRUPT, "element 0: the merged token is not in the vocabulary"},
    {gpt2, {".merges", "str[]: a"}, CORRUPT, "element 0: the left token is not in the vocabulary"},
    {bert, {".cls_token_id", NULL}, MISMATCH, "key 'tokenizer.ggml.cls_token_id' is missing"},
    {bert, {".seperator_token_id", NULL}, MISMATCH, "key 'tokenizer.ggml.seperator_token_id' is missing"},
    {bert, {".cls_token_id", "u32:8"}, CORRUPT, "is 8, there are 8 tokens"},
    {bert, {".normalizer.lowercase", "u32:1"}, MISMATCH, "normalizer.lowercase"},
    {bert, {"bert.context_length", "i32:-1"}, MISMATCH, "bert.context_length"},
    {t5, {".scores", NULL}, MISMATCH, "key 'tokenizer.ggml.scores' is missing"},
    {t5, {".precompiled_charsmap", "str:abc"}, MISMATCH, "precompiled_charsmap' (byte "},
    {t5, {".precompiled_charsmap", "u32[]:1;2"}, MISMATCH, "precompiled_charsmap' (byte "},
    {t5, {".precompiled_charsmap", "u8:1"}, MISMATCH, "precompiled_charsmap' (byte "},
    {t5, {".precompiled_charsmap", "u8[]:1;0"}, CORRUPT, "a trie of 0 bytes in a charsmap of 2"},
    {t5, {".precompiled_charsmap", "u8[]:255;0;0;0;1"}, CORRUPT, "a trie of 255 bytes in a charsmap of 5"},
    {t5, {".precompiled_charsmap", "i8[]:-1;-1;-1;-1;1"}, CORRUPT, "a trie of 4294967295 bytes in a charsmap of 5"},
    {t5, {".precompiled_charsmap", "u8[]:4;0;0;0;0;4;0;0;97"}, CORRUPT, "unit 0 of the trie leads outside"},
    {t5, {".precompiled_charsmap", "u8[]:0;0;0;0;97;0"}, CORRUPT, "unit 0 of the trie is missing"},
};

static void wrong_values_are_refused(ink_context *ctx, counting *memory)
{
    const size_t live = memory->live_bytes;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ink_tokenizer *tokenizer;
        const ink_result result = open_rows(ctx, wrong[i].rows, &wrong[i].change, 1, &tokenizer);
        if (wrong[i].result == INK_OK)
            assert_ok(ctx, result);
        else
            assert_fails(ctx, result, wrong[i].result, wrong[i].words);
        if (wrong[i].result != INK_OK)
            assert_non_null(strstr(ink_context_error(ctx), "m.gguf"));
        assert_true((tokenizer != NULL) == (wrong[i].result == INK_OK));
        ink_tokenizer_free(tokenizer);
        assert_int_equal(memory->live_bytes, live);
    }
}

/* Every byte of a file changed in turn, and the file cut at every place: opened or refused, nothing else. */
static void damaged_files_do_no_harm(ink_context *ctx, counting *memory)
{
    (void)memory;
    static const row *const files[] = {llama, gpt2, bert, t5};
    static bytes b;
    for (size_t f = 0; f < 4; f++) {
        make_file(&b, files[f], NULL, 0);
        for (size_t i = 0; i < 2 * b.size; i++) {
            const size_t size = i < b.size ? b.size : i - b.size;
            char *copy = malloc(size + (size == 0));
            memcpy(copy, b.at, size);
            if (i < b.size)
                copy[i] = (char)(copy[i] ^ (i % 3 == 0 ? 0xFF : i % 3 == 1 ? 0x01 : 0x80));
            ink_tokenizer *tokenizer;
            if (open_bytes(ctx, copy, size, &tokenizer) == INK_OK) {
                ink_token ids[64];
                char text[512];
                size_t n, n_text;
                const ink_result result =
                    ink_tokenizer_encode(ctx, tokenizer, "ab <s>A \xC3\xA9 b", 12, INK_ENCODE_PLAIN, ids, 64, &n);
                assert_true(result == INK_OK || result == INK_ERROR_MISMATCH); /* without an unknown token */

                assert_ok(ctx, ink_tokenizer_decode(ctx, tokenizer, ids, n, text, sizeof text, &n_text));
            }
            ink_tokenizer_free(tokenizer);
            free(copy);
        }
    }
}

static void memory_may_end_anywhere(ink_context *ctx, counting *memory)
{
    static const char *const files[] = {"gguf_llama", "gguf_llama3", "gguf_bert", "gguf_xlmr"};
    for (size_t f = 0; f < 4; f++) {
        char path[512];
        ink_tokenizer *tokenizer = NULL;
        snprintf(path, sizeof path, "%s/tokenizer/%s.gguf", FIXTURES, files[f]);
        for (size_t k = 1; runs_out_of_memory(ctx, memory, k, ink_tokenizer_open(ctx, path, &tokenizer), NULL); k++)
            assert_null(tokenizer);
        ink_tokenizer_free(tokenizer);
    }
}

/* ---- what keys mean --------------------------------------------------------------------------------------------- */

/* Rows with a change or two, a text, and its ids. */
static const struct {
    const row *rows;
    row changes[3];
    unsigned flags;
    const char *text;
    const char *ids;
    const char *decoded; /* NULL: the text */
} meanings[] = {
    {llama, {{0}}, INK_ENCODE_DEFAULT, "ab", "1,8", NULL},
    {llama, {{0}}, INK_ENCODE_DEFAULT, "", "1", NULL},
    {llama, {{0}}, INK_ENCODE_PLAIN, "A", "4,3", NULL},
    {llama, {{0}}, INK_ENCODE_PLAIN, "x", "4,0", ""},              /* the byte is not in the vocabulary */
    {llama, {{0}}, INK_ENCODE_ADDED, "a<s>ab", "4,5,1,8", "a ab"}, /* a space behind an added token, too */
    {llama, {{0}}, INK_ENCODE_ADDED, "<user>a", "9,4,5", "<user> a"},
    {llama, {{0}}, INK_ENCODE_ADDED, "<unk>", "0", ""},
    {llama, {{".add_space_prefix", "bool:0"}}, INK_ENCODE_DEFAULT, "ab", "1,7", NULL},
    {llama, {{".add_bos_token", "bool:0"}, {".add_eos_token", "bool:1"}}, INK_ENCODE_DEFAULT, "ab", "8,2", NULL},
    {llama, {{".bos_token_id", "u32:2"}}, INK_ENCODE_DEFAULT, "ab", "2,8", NULL},
    {llama, {{".bos_token_id", "u32:4294967295"}}, INK_ENCODE_DEFAULT, "ab", "8", NULL},
    {llama, {{".bos_token_id", "i32:-1"}}, INK_ENCODE_DEFAULT, "ab", "8", NULL},
    {llama, {{".padding_token_id", "u32:32000"}}, INK_ENCODE_DEFAULT, "ab", "1,8", NULL},
    /* Equal scores: the order of the tokens, as in the folder. */
    {llama, {{".scores", "f32[]:0;0;0;0;0;0;0;0;0;0"}}, INK_ENCODE_PLAIN, "ab", "8", NULL},
    /* Merges count before scores: "ab" only. */
    {llama, {{".merges", "str[]:a b"}}, INK_ENCODE_PLAIN, "ab", "4,7", NULL},
    {llama, {{".merges", "str[]:"}}, INK_ENCODE_PLAIN, "ab", "8", NULL},
    /* Without types the named ids, and the ones they have by default, are control tokens. */
    {llama, {{".token_type", NULL}}, INK_ENCODE_ADDED, "<s>ab</s>", "1,8,2", "ab"},
    {llama, {{".token_type", NULL}}, INK_ENCODE_ADDED, "<user>", "4,0", ""},
    {llama, {{".token_type", "i32[]:2;3;3;6;0;0;0;0;0;0"}}, INK_ENCODE_PLAIN, "ab", "8", NULL},
    {llama,
     {{".tokens", "str[]:<unk>;<s>;</s>;<0x4a>;\xE2\x96\x81;a;b;ab;;<user>"}},
     INK_ENCODE_PLAIN,
     "J",
     "4,3",
     NULL},
    /* A control token never comes of text, whatever its letters are. */
    {llama, {{".token_type", "i32[]:2;3;3;6;1;1;1;3;1;4"}}, INK_ENCODE_PLAIN, "ab", "4,5,6", NULL},
    {gpt2, {{0}}, INK_ENCODE_DEFAULT, "ab ab", "3,4", NULL},
    {gpt2, {{".bos_token_id", "u32:5"}}, INK_ENCODE_DEFAULT, "ab", "5,3", NULL}, /* llama-bpe adds BOS by itself */
    {gpt2, {{".bos_token_id", "u32:5"}, {".pre", "str:qwen2"}}, INK_ENCODE_DEFAULT, "ab", "3", NULL},
    {gpt2,
     {{".bos_token_id", "u32:5"}, {".add_bos_token", "bool:0"}, {".add_space_prefix", "bool:1"}},
     INK_ENCODE_DEFAULT,
     "ab",
     "3",
     NULL},
    {gpt2, {{0}}, INK_ENCODE_ADDED, "a<u v>b<|e|>", "0,7,1,5", "a<u v>b"},
    {gpt2, {{0}}, INK_ENCODE_PLAIN, "<|e|>", "-", ""},                  /* nor are its bytes in the vocabulary */
    {gpt2, {{".merges", "str[]:"}}, INK_ENCODE_PLAIN, "ab", "3", NULL}, /* llama-bpe takes whole words */
    {gpt2, {{".merges", "str[]:"}, {".pre", "str:gpt-2"}}, INK_ENCODE_PLAIN, "ab", "0,1", NULL},
    {bert, {{0}}, INK_ENCODE_DEFAULT, "AB abc.", "2,4,4,5,6,3", "ab abc."},
    {bert, {{0}}, INK_ENCODE_DEFAULT, "\xC3\x89 \xC3\xA9", "2,1,1,3", ""}, /* e without its accent is unknown */
    {bert, {{".normalizer.strip_accents", "bool:0"}}, INK_ENCODE_DEFAULT, "\xC3\x89 ab", "2,7,4,3", "\xC3\xA9 ab"},
    {bert, {{".normalizer.lowercase", "bool:0"}}, INK_ENCODE_DEFAULT, "AB \xC3\xA9", "2,1,7,3", "\xC3\xA9"},
    /* A vocabulary with the word A is one with capitals. */
    {bert,
     {{".tokens", "str[]:[PAD];[UNK];[CLS];[SEP];\xE2\x96\x81"
                  "ab;c;\xE2\x96\x81"
                  "A;\xE2\x96\x81\xC3\xA9"}},
     INK_ENCODE_DEFAULT,
     "A a ab \xC3\xA9",
     "2,6,1,4,7,3",
     "A ab \xC3\xA9"},
    {bert, {{".cls_token_id", NULL}, {".bos_token_id", "u32:2"}}, INK_ENCODE_DEFAULT, "ab", "2,4,3", NULL},
    {bert, {{0}}, INK_ENCODE_ADDED, "ab[SEP]ab", "4,3,4", "ab ab"},
    {t5, {{0}}, INK_ENCODE_DEFAULT, " ab  ab ", "5,5,1", "ab ab"},
    {t5, {{".remove_extra_whitespaces", "bool:0"}}, INK_ENCODE_DEFAULT, "ab  ab", "5,3,5,1", "ab  ab"},
    {t5, {{".add_space_prefix", "bool:0"}}, INK_ENCODE_DEFAULT, "ab ab", "4,6,4,6,1", "abab"},
    {t5, {{".add_eos_token", "bool:0"}}, INK_ENCODE_DEFAULT, "ab", "5", NULL},
    {t5, {{0}}, INK_ENCODE_ADDED, "ab</s>ab", "5,1,5", "ab ab"},
    {t5, {{0}}, INK_ENCODE_DEFAULT, "\xE4\xBD\xA0", "3,2,1", ""},
};

static void every_key_has_its_meaning(ink_context *ctx, counting *memory)
{
    (void)memory;
    for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++) {
        ink_tokenizer *tokenizer;
        ink_token ids[64], expected[64];
        char text[256], spelled[256] = "-";
        size_t n, n_changes = 0, size, used = 0;
        while (n_changes < 3 && meanings[i].changes[n_changes].key != NULL)
            n_changes++;
        assert_ok(ctx, open_rows(ctx, meanings[i].rows, meanings[i].changes, n_changes, &tokenizer));
        assert_ok(ctx, ink_tokenizer_encode(ctx, tokenizer, meanings[i].text, strlen(meanings[i].text),
                                            meanings[i].flags, ids, 64, &n));
        for (size_t k = 0; k < n; k++)
            used += (size_t)snprintf(spelled + used, sizeof spelled - used, "%s%d", k > 0 ? "," : "", (int)ids[k]);
        if (strcmp(spelled, meanings[i].ids) != 0)
            fail_msg("row %zu, '%s': expected %s, got %s", i, meanings[i].text, meanings[i].ids, spelled);
        assert_int_equal(test_parse_ids(meanings[i].ids, expected), n);
        assert_ok(ctx, ink_tokenizer_decode(ctx, tokenizer, ids, n, text, sizeof text - 1, &size));
        text[size] = '\0';
        assert_string_equal(text, meanings[i].decoded != NULL ? meanings[i].decoded : meanings[i].text);
        ink_tokenizer_free(tokenizer);
    }
}

/* Names of patterns: those of ink_pres are those of gguf_pre.txt, and each gives the ids of Hugging Face's library for
   what llama.cpp says of the name. The texts tell apart all patterns, and all settings that go with them. */
static void names_of_patterns_mean_what_llama_cpp_says(ink_context *ctx, counting *memory)
{
    enum { N_TEXTS = 6 };
    static char tokens[1 << 12], merges[1 << 12], texts[N_TEXTS][64];
    size_t sizes[N_TEXTS], size, n_names = 0, n_known = 0;
    char *lines = test_read_tokenizer("gguf_pre", ".txt", &size), *next = lines, *column = NULL;
    (void)memory;
    snprintf(tokens, sizeof tokens, "str[]:%s", strtok_r(NULL, "\n", &next));
    snprintf(merges, sizeof merges, "str[]:%s", strtok_r(NULL, "\n", &next));
    char *line = strtok_r(NULL, "\n", &next);
    for (size_t i = 0; i < N_TEXTS; i++)
        sizes[i] = test_parse_bytes(strtok_r(i == 0 ? line : NULL, " ", &column), texts[i]);
    while ((line = strtok_r(NULL, "\n", &next)) != NULL) {
        ink_token expected[N_TEXTS + 1][64];
        size_t n_expected[N_TEXTS + 1];
        char *names = strtok_r(line, " ", &column), *comma = names;
        for (size_t i = 0; i <= N_TEXTS; i++)
            n_expected[i] = test_parse_ids(strtok_r(NULL, " ", &column), expected[i]);
        for (char *name; (name = strtok_r(NULL, ",", &comma)) != NULL; n_names++) {
            char value[64];
            ink_tokenizer *tokenizer;
            snprintf(value, sizeof value, "str:%s", name);
            const row changes[] = {{".pre", value},       {".tokens", tokens},        {".merges", merges},
                                   {".token_type", NULL}, {".bos_token_id", "u32:0"}, {".seperator_token_id", "u32:1"}};
            assert_ok(ctx, open_rows(ctx, gpt2, changes, sizeof changes / sizeof changes[0], &tokenizer));
            for (size_t i = 0; i <= N_TEXTS; i++) { /* the last are the first two as a pair */
                const size_t first = i % N_TEXTS;
                const ink_encode_input input = {.text = texts[first],
                                                .size = sizes[first],
                                                .pair = i == N_TEXTS ? texts[1] : NULL,
                                                .pair_size = i == N_TEXTS ? sizes[1] : 0,
                                                .flags = INK_ENCODE_DEFAULT};
                ink_token ids[64];
                size_t n;
                assert_ok(ctx, ink_tokenizer_encode_input(ctx, tokenizer, &input, ids, NULL, NULL, 64, &n));
                if (n != n_expected[i] || memcmp(ids, expected[i], n * sizeof *ids) != 0)
                    fail_msg("%s: text %zu has other ids than the reference's", name, i);
            }
            ink_tokenizer_free(tokenizer);
        }
    }
    for (const ink_pre *pre = ink_pres; pre->names != NULL; pre++)
        for (const char *at = pre->names; at != NULL; at = strchr(at + 1, ' '))
            n_known++;
    assert_int_equal(n_names, n_known);
    free(lines);
}

/* What a tokenizer says about itself. */
static void control_tokens_are_known(ink_context *ctx, counting *memory)
{
    static const row changes[] = {{".padding_token_id", "u32:0"}, {"bert.context_length", "u32:512"}};
    ink_tokenizer *tokenizer;
    size_t size;
    (void)memory;
    assert_ok(ctx, open_rows(ctx, bert, changes, 2, &tokenizer));
    assert_int_equal(ink_tokenizer_vocab_size(tokenizer), 8);
    assert_int_equal(ink_tokenizer_control(tokenizer, INK_CONTROL_CLS), 2);
    assert_int_equal(ink_tokenizer_control(tokenizer, INK_CONTROL_SEP), 3);
    assert_int_equal(ink_tokenizer_control(tokenizer, INK_CONTROL_UNK), 1);
    assert_int_equal(ink_tokenizer_control(tokenizer, INK_CONTROL_PAD), 0);
    assert_int_equal(ink_tokenizer_control(tokenizer, INK_CONTROL_MASK), -1);
    assert_int_equal(ink_tokenizer_max_length(tokenizer), 512);
    assert_true(ink_tokenizer_gives_types(tokenizer));
    assert_true(ink_tokenizer_adds(tokenizer, INK_CONTROL_CLS) && ink_tokenizer_adds(tokenizer, INK_CONTROL_SEP));
    assert_true(ink_tokenizer_is_special(tokenizer, 2) && !ink_tokenizer_is_special(tokenizer, 4));
    assert_memory_equal(ink_tokenizer_token(tokenizer, 5, &size), "##c", 3);
    assert_int_equal(ink_tokenizer_find(tokenizer, "##c", 3), 5);
    assert_int_equal(ink_tokenizer_find(tokenizer, "ab", 2), 4);
    ink_tokenizer_free(tokenizer);

    assert_ok(ctx, open_rows(ctx, llama, NULL, 0, &tokenizer));
    assert_int_equal(ink_tokenizer_control(tokenizer, INK_CONTROL_BOS), 1);
    assert_int_equal(ink_tokenizer_control(tokenizer, INK_CONTROL_EOS), 2);
    assert_int_equal(ink_tokenizer_control(tokenizer, INK_CONTROL_UNK), 0);
    assert_true(ink_tokenizer_adds(tokenizer, INK_CONTROL_BOS) && !ink_tokenizer_adds(tokenizer, INK_CONTROL_EOS));
    assert_true(ink_tokenizer_is_special(tokenizer, 0) && !ink_tokenizer_is_special(tokenizer, 9));
    assert_int_equal(ink_tokenizer_find(tokenizer, "<s>", 3), 1);
    assert_int_equal(ink_tokenizer_max_length(tokenizer), SIZE_MAX);
    ink_tokenizer_free(tokenizer);

    assert_ok(ctx, open_rows(ctx, gpt2, NULL, 0, &tokenizer));
    for (int i = INK_CONTROL_BOS; i <= INK_CONTROL_MASK; i++)
        assert_int_equal(ink_tokenizer_control(tokenizer, (ink_control)i), -1);
    assert_int_equal(ink_tokenizer_find(tokenizer, "<u v>", 5), 7);
    assert_memory_equal(ink_tokenizer_token(tokenizer, 4, &size), " ab", 3);
    ink_tokenizer_free(tokenizer);
}

/* By the path of the file, by that of a folder that has it as model.gguf, and as a translation's tokenizer. */
static void files_are_found_by_any_path(ink_context *ctx, counting *memory)
{
    static bytes b;
    ink_tokenizer *tokenizer = NULL;
    (void)memory;
    assert_ok(ctx, ink_tokenizer_open_target(ctx, FIXTURES "/tokenizer/gguf_bert.gguf", &tokenizer));
    ink_tokenizer_free(tokenizer);
    make_file(&b, llama, NULL, 0);
    ink_memory_file file = {"model.gguf", b.at, b.size};
    ink_memory_files files = {&file, 1};
    const ink_source source = ink_source_memory(&files);
    assert_ok(ctx, ink_tokenizer_open_source(ctx, &source, &tokenizer));
    assert_int_equal(ink_tokenizer_vocab_size(tokenizer), 10);
    ink_tokenizer_free(tokenizer);
    assert_fails(ctx, ink_tokenizer_open(ctx, FIXTURES "/tokenizer/missing.gguf", &tokenizer), INK_ERROR_NOT_FOUND,
                 "missing.gguf");
    assert_null(tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(wrong_values_are_refused),
        counted_test(damaged_files_do_no_harm),
        counted_test(memory_may_end_anywhere),
        counted_test(every_key_has_its_meaning),
        counted_test(names_of_patterns_mean_what_llama_cpp_says),
        counted_test(control_tokens_are_known),
        counted_test(files_are_found_by_any_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
