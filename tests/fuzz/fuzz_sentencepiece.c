/*
 * fuzz_sentencepiece.c - a byte that chooses the class, and a model file of SentencePiece: refused or opened; then a
 * text is encoded, and its ids are decoded.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <inkling.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* A vocab.json with what looks like the pieces of the file: a message of field 1 whose field 1 is a text. */
static size_t list_pieces(const uint8_t *data, size_t size, char *vocab, size_t room)
{
    size_t n = 4, used = (size_t)snprintf(vocab, room, "{\"</s>\":0,\"<unk>\":1,\"<pad>\":2,\">>fr<<\":3");
    for (size_t i = 0; i + 4 < size && used + 64 < room; i++) {
        const size_t length = data[i + 3];
        bool is_text = data[i] == 10 && data[i + 2] == 10 && length > 0 && length < 32 && i + 4 + length <= size;
        for (size_t k = 0; k < length && is_text; k++)
            is_text = data[i + 4 + k] >= ' ' && data[i + 4 + k] != '"' && data[i + 4 + k] != '\\';
        if (is_text)
            used += (size_t)snprintf(vocab + used, room - used, ",\"%.*s\":%zu", (int)length, data + i + 4, n++);
    }
    vocab[used++] = '}';
    return used;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const classes[] = {"XLMRobertaTokenizer", "CamembertTokenizer", "T5Tokenizer",
                                          "LlamaTokenizer",      "GemmaTokenizer",     "PreTrainedTokenizerFast",
                                          "NllbTokenizer",       "MBartTokenizer",     "MBart50Tokenizer",
                                          "MarianTokenizer",     "M2M100Tokenizer"};
    static const char text[] =
        ">>fr<<aba  \xED\x95\x9C\xEA\xB5\xAD e\xCC\x81 <s> \xEF\xAC\x81\xE2\x84\xA2 \xF0\x9F\x98\x80 \xC3";
    char settings[128];
    if (size == 0)
        return 0;
    snprintf(settings, sizeof settings, "{\"tokenizer_class\":\"%s\",\"legacy\":%s}", classes[data[0] % 11],
             data[0] & 16 ? "true" : "false");
    char vocab[1 << 14];
    size_t used = list_pieces(data + 1, size - 1, vocab, sizeof vocab);
    ink_memory_file list[] = {{"tokenizer.model", data + 1, size - 1},
                              {"source.spm", data + 1, size - 1},
                              {"sentencepiece.bpe.model", data + 1, size - 1},
                              {"vocab.json", vocab, used},
                              {"tokenizer_config.json", settings, strlen(settings)}};
    ink_memory_files files = {list, 5};
    ink_source source = ink_source_memory(&files);
    ink_context *ctx = ink_context_create(NULL);
    ink_tokenizer *tokenizer = NULL;
    if (ink_tokenizer_open_source(ctx, &source, &tokenizer) == INK_OK) {
        ink_token ids[1024];
        char decoded[1 << 14];
        size_t n = 0, length = 0;
        ink_direction direction;
        ink_encode_input whole = {
            .text = text, .size = sizeof text - 1, .flags = INK_ENCODE_DEFAULT, .direction = &direction};
        if (ink_tokenizer_direction(ctx, tokenizer, "en", "fr", &direction) == INK_OK)
            check(ink_tokenizer_encode_input(ctx, tokenizer, &whole, ids, NULL, NULL, 1024, &n) != INK_OK || n > 0);
        for (size_t i = 0; ink_tokenizer_language(tokenizer, i) >= 0; i++)
            check(ink_tokenizer_token(tokenizer, ink_tokenizer_language(tokenizer, i), &length) != NULL && length > 3);
        if (ink_tokenizer_encode(ctx, tokenizer, text, sizeof text - 1, INK_ENCODE_DEFAULT, ids, 1024, &n) == INK_OK)
            for (size_t i = 0; i < n; i++)
                check(ink_tokenizer_token(tokenizer, ids[i], NULL) != NULL);
        else
            n = 0;
        ink_tokenizer_decode(ctx, tokenizer, ids, n, decoded, sizeof decoded, &length);
    } else {
        check(tokenizer == NULL && ink_context_error(ctx)[0] != '\0');
    }
    ink_tokenizer_free(tokenizer);
    ink_context_free(ctx);
    return 0;
}
