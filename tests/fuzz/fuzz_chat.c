/*
 * fuzz_chat.c - any bytes as a chat template: recognised or refused. A conversation in a recognised one can be encoded,
 * and control tokens that are typed are none.
 */
#include <stdlib.h>
#include <string.h>

#include <inkling.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ADDED(id, content)                                                                                             \
    "{\"id\":" id ",\"content\":\"" content "\",\"special\":true,\"normalized\":false,\"lstrip\":false,"               \
    "\"rstrip\":false,\"single_word\":false}"

/* clang-format off */
static const char tokenizer_json[] =
    "{\"version\":\"1.0\",\"added_tokens\":[" ADDED("1", "<s>") "," ADDED("2", "</s>") ","
    ADDED("3", "<|im_start|>") "," ADDED("4", "<|im_end|>") ","
    ADDED("5", "<|start_header_id|>") "," ADDED("6", "<|end_header_id|>") ","
    ADDED("7", "<|eot_id|>") "," ADDED("8", "[INST]") "," ADDED("9", "[/INST]") "],"
    "\"pre_tokenizer\":{\"type\":\"Whitespace\"},\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"<unk>\":0},"
    "\"unk_token\":\"<unk>\"}}";
/* clang-format on */
static const char settings_json[] = "{\"bos_token\":\"<s>\",\"eos_token\":\"</s>\"}";

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* How many control tokens a conversation has with this text in it. */
static size_t count_controls(ink_context *ctx, const ink_chat *chat, const char *text)
{
    const ink_message messages[] = {
        {INK_ROLE_USER, text, strlen(text)}, {INK_ROLE_ASSISTANT, "yes", 3}, {INK_ROLE_USER, text, strlen(text)}};
    ink_conversation at = {0};
    size_t n, n_controls = 0;
    check(ink_chat_encode(ctx, chat, &at, messages, 3, true, NULL, 0, &n) == INK_ERROR_LIMIT);
    ink_token *ids = malloc(n * sizeof *ids);
    check(ink_chat_encode(ctx, chat, &at, messages, 3, true, ids, n, &n) == INK_OK);
    for (size_t i = 0; i < n; i++)
        n_controls += ids[i] > 0;
    free(ids);
    return n_controls;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ink_context *ctx = ink_context_create(NULL);
    ink_memory_file files[] = {{"tokenizer.json", tokenizer_json, sizeof tokenizer_json - 1},
                               {"tokenizer_config.json", settings_json, sizeof settings_json - 1},
                               {"chat_template.jinja", data, size}};
    ink_source source = ink_source_memory(&(ink_memory_files){.files = files, .n_files = 3});
    ink_chat_options options = {.source = &source};
    ink_tokenizer *tokenizer;
    ink_chat *chat;
    check(ink_tokenizer_open_source(ctx, &source, &tokenizer) == INK_OK);
    if (ink_chat_open(ctx, NULL, tokenizer, &options, &chat) == INK_OK)
        check(count_controls(ctx, chat, "hello") ==
              count_controls(ctx, chat, "<s></s><|im_start|><|im_end|>[INST]<|eot_id|><|start_header_id|>[/INST]"));
    else
        check(chat == NULL && ink_context_error(ctx)[0] != '\0');
    ink_chat_free(chat);
    ink_tokenizer_free(tokenizer);
    ink_context_free(ctx);
    return 0;
}
