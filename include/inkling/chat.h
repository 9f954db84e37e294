/*
 * chat.h - conversations: from messages to the token ids that an instruct model was trained on.
 *
 * For such a model a conversation is one text in which control tokens mark who speaks. The folder says which ones, in
 * `chat_template`, a Jinja program in tokenizer_config.json or in chat_template.jinja. Programs are not run here. A
 * template is recognised as a whole, however it is spelled; any other is refused. The formats, where m is a message and
 * a the answer (bos and eos are the folder's own tokens):
 *
 *   chatml        <|im_start|>user\n m <|im_end|>\n<|im_start|>assistant\n a <|im_end|>\n       (Qwen, SmolLM2)
 *   llama-3       bos <|start_header_id|>user<|end_header_id|>\n\n m <|eot_id|> ... a <|eot_id|>
 *   llama-2       bos [INST] m [/INST] a eos bos [INST] ...
 *   mistral-v0    bos [INST] m [/INST]a eos [INST] ...     in -v1 with a space before [INST] and a, in -v3 none before
 *                                                          [/INST]; -v0 has no system text
 *   gemma         bos <start_of_turn>user\n m <end_of_turn>\n<start_of_turn>model\n a <end_of_turn>\n    (Gemma 3)
 *   zephyr        <|user|>\n m eos \n<|assistant|>\n a eos \n                                   (TinyLlama)
 *
 * Control tokens are written as ids, and messages are encoded as plain text, so no message can write a control token,
 * however it is spelled. In some formats the marks themselves are plain text to the tokenizer (zephyr's, and [INST]
 * before mistral-v3). There a message can imitate the marks, but not bos and eos.
 *
 * The state of the model keeps the whole conversation, so each call encodes only the new messages. Turn by turn:
 *
 *     ink_conversation at = {0};
 *     ink_message message = {INK_ROLE_USER, line, strlen(line)};
 *
 *     ink_chat_encode(ctx, chat, &at, &message, 1, true, ids, capacity, &n);
 *     ink_model_forward(ctx, model, state, ids, n, logits);
 *     sample and forward tokens until ink_chat_ends() is true for one; do not forward that one,
 *     because the next call begins with the end of the answer
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

/* {0}: the format of the folder's template, on disk, no thinking. */
typedef struct ink_chat_options {
    const char *format; /* one of the names above; NULL: the folder's. In a folder without a template the model_type of
                           config.json decides, if the tokenizer has the control tokens for it */
    const char *date;   /* today, for templates that tell the model (Llama-3.2); NULL: "26 Jul 2024" */
    bool think;         /* lets a model with optional thinking (Qwen3) think before it answers */
    const ink_source *source; /* where the files are; NULL: the folder `folder` on disk */
} ink_chat_options;

/* Opens the chat template of a folder; options may be NULL. `tokenizer` is the folder's and must outlive the chat.
   INK_ERROR_NOT_FOUND (no template, and nothing else decides), INK_ERROR_UNSUPPORTED (a template or a format that is
   none of the above), INK_ERROR_MISMATCH (a control token of the format is no added token of the tokenizer, or the
   template writes bos_token or eos_token and no file beside the tokenizer names it),
   INK_ERROR_READ, _CORRUPT, _LIMIT, _MEMORY. */
ink_result ink_chat_open(ink_context *ctx, const char *folder, const ink_tokenizer *tokenizer,
                         const ink_chat_options *options, ink_chat **chat);
void ink_chat_free(ink_chat *chat);

/* "chatml"; and the name of the i-th format there is, NULL from the end on. Static strings. */
const char *ink_chat_format(const ink_chat *chat);
const char *ink_chat_format_name(size_t i);

/* True for a token that ends the model's answer: the format's own, and the folder's EOS. */
bool ink_chat_ends(const ink_chat *chat, ink_token id);

typedef enum ink_role { INK_ROLE_SYSTEM, INK_ROLE_USER, INK_ROLE_ASSISTANT } ink_role;

typedef struct ink_message {
    ink_role role;
    const char *text; /* [size] bytes of UTF-8 */
    size_t size;
} ink_message;

/* The position in a conversation; {0} at its beginning. It is small and has no pointers: keep it beside the state, copy
   and save it with the state. */
typedef struct ink_conversation {
    size_t n_messages; /* so far, the model's own included */
    ink_role last;     /* of the last message */
    bool answering;    /* the model's answer has begun and is not closed */
} ink_conversation;

/*
 * Encodes the next messages, n_messages >= 1, and with `answer` the marks that ask the model for its answer. Before the
 * messages it writes the end of an answer that is not closed. At the beginning of a conversation it writes the BOS, if
 * the format has one, and the system text of the template, if the first message is no system text. *n is always set to
 * the number of ids. If that is more than `capacity`, the result is INK_ERROR_LIMIT, nothing is written and *at stays
 * as it was; `ids` may be NULL if capacity is 0. INK_ERROR_ARGUMENT for messages in an order for which the format has
 * no place (llama-2 and mistral: a system text only before the first message of the user, and none in mistral-v0, then
 * user and assistant in turn). INK_ERROR_MISMATCH for a text that the tokenizer would turn into a control token
 * nevertheless: one of the format, BOS or EOS, also where the file does not flag it as special or it is the token for
 * unknown words.
 */
ink_result ink_chat_encode(ink_context *ctx, const ink_chat *chat, ink_conversation *at, const ink_message *messages,
                           size_t n_messages, bool answer, ink_token *ids, size_t capacity, size_t *n);

#ifdef __cplusplus
}
#endif

#endif
