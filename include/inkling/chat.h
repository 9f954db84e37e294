/*
 * chat.h - conversations: from who said what to the token ids an instruct model was trained on.
 *
 * Such a model knows a conversation as one text in which control tokens mark who speaks. Which ones, the folder says:
 * `chat_template`, a Jinja program in tokenizer_config.json or in chat_template.jinja. Programs are not run here; a
 * template is recognised by the expression in it that writes a user's message, and anything else is refused by name.
 * The formats, m being a message and a the answer (bos and eos are the folder's own tokens):
 *
 *   chatml        <|im_start|>user\n m <|im_end|>\n<|im_start|>assistant\n a <|im_end|>\n       (Qwen, SmolLM2)
 *   llama-3       bos <|start_header_id|>user<|end_header_id|>\n\n m <|eot_id|> ... a <|eot_id|>
 *   llama-2       bos [INST] m [/INST] a eos bos [INST] ...
 *   mistral-v0    bos [INST] m [/INST]a eos [INST] ...     in -v1 with a space before [INST] and a, in -v3 none before
 *                                                          [/INST]
 *   zephyr        <|user|>\n m eos \n<|assistant|>\n a eos \n                                   (TinyLlama)
 *
 * Control tokens are put in as ids, and what people type is encoded as plain text: it can never become one, however
 * it is spelled. Where the marks of a format are themselves plain text to the tokenizer (zephyr's, and [INST] before
 * mistral-v3), only bos and eos are beyond the reach of what is typed.
 *
 * A conversation lives in a state, which keeps all that was said; so each call gives only what is new. Turn by turn:
 *
 *     ink_conversation at = {0};
 *     ink_message message = {INK_ROLE_USER, line, strlen(line)};
 *
 *     ink_chat_encode(ctx, chat, &at, &message, 1, true, ids, capacity, &n);
 *     ink_model_forward(ctx, model, state, ids, n, logits);
 *     pick and forward tokens, up to one for which ink_chat_ends() is true, which is not run forward;
 *     the next call begins with the end of that answer
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
    const char *format; /* one of the names above, whatever the folder says; NULL: the folder's. Without a template the
                           model_type in config.json decides, if the tokenizer has the control tokens for it */
    const char *date;   /* "26 Jul 2024", where the template wants to know what day it is (Llama-3.2); NULL: that one */
    bool think;         /* a model that can think or leave it (Qwen3) may think before it answers */
    const ink_source *source; /* where the files are; NULL: the folder `folder` on disk */
} ink_chat_options;

/* Opens the chat template of a folder; options may be NULL. `tokenizer` is the folder's and must outlive the chat.
   INK_ERROR_NOT_FOUND (no template, and nothing else says which), INK_ERROR_UNSUPPORTED (a template or a format that is
   none of the above), INK_ERROR_MISMATCH (the tokenizer lacks a control token of the format), INK_ERROR_READ, _CORRUPT,
   _LIMIT, _MEMORY. */
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

/* Where a conversation stands; {0} at its beginning. Small and without pointers: kept beside the state, copied and
   saved with it. */
typedef struct ink_conversation {
    size_t n_messages; /* so far, the model's own included */
    ink_role last;     /* who spoke last */
    bool answering;    /* the model's answer has begun and is not closed */
} ink_conversation;

/*
 * The ids of the next messages, n_messages >= 1, and with `answer` of what asks the model for its own. Before them
 * comes what closes an answer that has begun, and at the beginning of a conversation the BOS if the format has one
 * (once) and the system text that the template itself has for conversations without one. *n is always set to their
 * number; if that is more than `capacity` the result is INK_ERROR_LIMIT, nothing is written and *at is as before; `ids`
 * may be NULL if capacity is 0. INK_ERROR_ARGUMENT for messages in an order that the format has no place for (llama-2
 * and mistral: a system text only before the first message of the user, then user and assistant in turn).
 * INK_ERROR_MISMATCH for a text that the tokenizer would make a control token of all the same.
 */
ink_result ink_chat_encode(ink_context *ctx, const ink_chat *chat, ink_conversation *at, const ink_message *messages,
                           size_t n_messages, bool answer, ink_token *ids, size_t capacity, size_t *n);

#ifdef __cplusplus
}
#endif

#endif
