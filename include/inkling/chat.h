/*
 * chat.h - conversations: from messages to the token ids that an instruct model was trained on.
 *
 * For such a model a conversation is one text in which control tokens mark who speaks. The folder has a program that
 * writes this text, `chat_template`, in the language Jinja (chat_template.jinja, tokenizer_config.json, or the metadata
 * of a GGUF file). It is run
 * here, so the ids are those of transformers' apply_chat_template(): with tools, with documents, with arguments such as
 * enable_thinking.
 *
 * Text of a message never becomes a control token, however it is spelled, and whatever the template does with it: every
 * byte knows whether it comes from the template or from the messages. An added token is recognised where all of its
 * bytes come from the template. White space is the exception: added tokens of nothing else (Gemma has them) are no
 * control tokens. Where the vocabulary leads from plain text to a control token nevertheless, the message is refused.
 *
 * All messages are encoded each time, because a template may look back and change what it wrote before: thoughts leave
 * the history, a system text moves. The state of the model has read most of it. ink_state_follow() (model.h) takes it
 * back to where the ids differ from those it has read, and only what is behind has to run. Turn by turn:
 *
 *     ink_message messages[64] = {{.role = "user", .text = line, .size = strlen(line)}};
 *     ink_chat_input input = {.messages = messages, .n_messages = 1, .answer = true};
 *
 *     ink_chat_encode(ctx, chat, &input, ids, capacity, &n);
 *     ink_state_follow(ctx, state, heard, ids, n, &n_read);            heard [ink_state_length()] is what it has read
 *     ink_model_forward(ctx, model, state, ids + n_read, n - n_read, logits);
 *     sample and forward tokens until ink_chat_ends() is true for one
 *     messages[1] = (ink_message){.role = "assistant", .text = answer, .size = size};     and the next of the user
 *
 * A chat is immutable and may be used through many contexts at once.
 */
#ifndef INKLING_CHAT_H
#define INKLING_CHAT_H

#include <inkling/tokenizer.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ink_chat ink_chat;

/* {0}: the folder's template, on disk. */
typedef struct ink_chat_options {
    const char *standard;      /* a template of the library's own, by name (below), instead of the folder's; or NULL */
    const char *template_text; /* [template_size] a template of the caller's instead of the folder's; or NULL */
    size_t template_size;
    const char *template_name; /* of template_text in error messages, such as its path; NULL: "template_text" */
    const char *date; /* what time it is for templates that ask (strftime_now): "2026-11-05" or "2026-11-05T18:30:00";
                         NULL: 26 July 2024 */
    const ink_source *source; /* where the files are; NULL: the folder `folder` on disk */
} ink_chat_options;

/* Opens the chat template of a folder or of a GGUF file, by the paths that ink_model_open() takes; options may be NULL.
   `tokenizer` is the folder's and must outlive the chat. A folder without a template gets the standard one of its
   model_type in config.json, if there is one and the tokenizer has its control tokens. Of several named templates it
   opens "default", and "tool_use" for messages with tools.
   INK_ERROR_NOT_FOUND (no template, and nothing else decides), INK_ERROR_CORRUPT (not Jinja: the line is named),
   INK_ERROR_UNSUPPORTED (a tag that does not run here), INK_ERROR_MISMATCH (a control token of the standard template is
   no added token of the tokenizer), INK_ERROR_ARGUMENT (no such standard template, no date), INK_ERROR_READ, _LIMIT,
   _MEMORY. */
ink_result ink_chat_open(ink_context *ctx, const char *folder, const ink_tokenizer *tokenizer,
                         const ink_chat_options *options, ink_chat **chat);
void ink_chat_free(ink_chat *chat);

/* Where the template comes from: "chat_template.jinja", "tokenizer_config.json", "tokenizer.chat_template" (GGUF), the
   name of a standard template, or template_name of the options. It lives as long as the chat. */
const char *ink_chat_name(const ink_chat *chat);

/* The name of the i-th standard template: "chatml", "llama-3", "llama-2", "mistral-v0", "mistral-v1", "mistral-v3",
   "gemma", "zephyr"; NULL from the end on. Static strings. */
const char *ink_chat_standard(size_t i);

/* True for a token that ends the model's answer: the one that the template writes behind an answer, and the EOS of the
   folder. The stop tokens of the model end it as well (ink_model_stops_at()). */
bool ink_chat_ends(const ink_chat *chat, ink_token id);

/* {.role = "user", .text = text, .size = size} */
typedef struct ink_message {
    const char *role; /* "system", "user", "assistant", "tool", ... Templates may build control tokens of it
                         (<|user|>), so it is the program's word: if it has other characters than letters, digits, '_',
                         '-' and '.', it counts as text of the message */
    const char *text; /* [size] the content, UTF-8; NULL: it has none, or one of several parts in `members` */
    size_t size;
    const char *members; /* what else it has, as a JSON object; NULL: nothing else. For example
                            {"tool_calls": [{"type": "function", "function": {"name": "f", "arguments": {"x": 1}}}]},
                            {"reasoning_content": "..."}, {"content": [{"type": "text", "text": "..."}]} */
} ink_message;

/* What a template is run over. JSON texts are NUL-terminated; NULL: there is none. */
typedef struct ink_chat_input {
    const ink_message *messages; /* [n_messages], at least 1 */
    size_t n_messages;
    bool answer;           /* asks the model for its answer (add_generation_prompt) */
    const char *tools;     /* a JSON array of the functions that the model may call, as JSON schemas */
    const char *documents; /* a JSON array of objects with title and text */
    const char *arguments; /* a JSON object of further variables: {"enable_thinking": false}. Where absent, the
                              template decides (Qwen3 thinks) */
} ink_chat_input;

/*
 * The ids of the conversation. *n is always set to their number. If that is more than `capacity`, the result is
 * INK_ERROR_LIMIT and nothing is written; `ids` may be NULL if capacity is 0.
 *
 * As in transformers, members of a message that are null are left out, and reasoning_content, thinking and reasoning
 * are one. INK_ERROR_ARGUMENT: the template refuses the messages (raise_exception), or a JSON text is no array or
 * object. INK_ERROR_MISMATCH: the messages are not what the template needs (the sentence names the line), or a text of
 * a message becomes a control token nevertheless. INK_ERROR_UNSUPPORTED: a filter or test that does not run here.
 * INK_ERROR_LIMIT: more memory than template_bytes of ink_limits, or more than 4 million steps and 200 for each byte of
 * the template and the input. INK_ERROR_CORRUPT: a JSON text is none.
 */
ink_result ink_chat_encode(ink_context *ctx, const ink_chat *chat, const ink_chat_input *input, ink_token *ids,
                           size_t capacity, size_t *n);

/* The text that the template writes: apply_chat_template(tokenize=False). *size is always set to its length (no NUL is
   written); INK_ERROR_LIMIT as above. To look at; it does not say where control tokens are. */
ink_result ink_chat_render(ink_context *ctx, const ink_chat *chat, const ink_chat_input *input, char *text,
                           size_t capacity, size_t *size);

#ifdef __cplusplus
}
#endif

#endif
