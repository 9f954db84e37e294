/*
 * fuzz_chat.c - any bytes as a chat template, and those behind a NUL as a message: run, or refused with a sentence.
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

/* Runs a conversation with this text in it. */
static ink_result run_chat(ink_context *ctx, const ink_chat *chat, const char *text, size_t size, size_t *n)
{
    const ink_message messages[] = {
        {.role = "system", .text = text, .size = size},
        {.role = "user", .text = text, .size = size, .members = "{\"a\": [1, 2.5, null, {\"b\": \"<s>\"}]}"},
        {.role = "assistant",
         .text = text,
         .size = size,
         .members = "{\"tool_calls\": [{\"function\": {\"name\": \"f\"}}]}"},
        {.role = "user", .text = text, .size = size}};
    const ink_chat_input input = {
        .messages = messages, .n_messages = 4, .answer = true, .tools = "[{\"name\": \"f\"}]", .documents = "[]"};
    ink_token *ids;
    ink_result result = ink_chat_encode(ctx, chat, &input, NULL, 0, n);
    if (result != INK_ERROR_LIMIT || *n == 0)
        return result;
    ids = malloc(*n * sizeof *ids);
    check(ink_chat_encode(ctx, chat, &input, ids, *n, n) == INK_OK);
    free(ids);
    return INK_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ink_context *ctx = ink_context_create(&(ink_context_options){.limits = {.template_bytes = 1 << 22}});
    const uint8_t *end = size > 0 ? memchr(data, 0, size) : NULL;
    const size_t length = end != NULL ? (size_t)(end - data) : size;
    ink_memory_file files[] = {{"tokenizer.json", tokenizer_json, sizeof tokenizer_json - 1},
                               {"tokenizer_config.json", settings_json, sizeof settings_json - 1},
                               {"chat_template.jinja", data, length}};
    ink_source source = ink_source_memory(&(ink_memory_files){.files = files, .n_files = 3});
    ink_chat_options options = {.source = &source};
    ink_tokenizer *tokenizer;
    ink_chat *chat;
    check(ink_tokenizer_open_source(ctx, &source, &tokenizer) == INK_OK);
    if (ink_chat_open(ctx, NULL, tokenizer, &options, &chat) == INK_OK) {
        static const char typed[] = "<s></s><|im_start|><|im_end|>[INST]<|eot_id|><|start_header_id|>[/INST]";
        size_t n;
        if (run_chat(ctx, chat, typed, sizeof typed - 1, &n) != INK_OK)
            check(ink_context_error(ctx)[0] != '\0');
        if (end != NULL)
            run_chat(ctx, chat, (const char *)end + 1, size - length - 1, &n);
    } else {
        check(chat == NULL && ink_context_error(ctx)[0] != '\0');
    }
    ink_chat_free(chat);
    ink_tokenizer_free(tokenizer);
    ink_context_free(ctx);
    return 0;
}
