/*
 * encoder.h - texts to vectors: BERT, DistilBERT, RoBERTa, XLM-RoBERTa, CamemBERT, MPNet, ModernBERT; GPT-2 and the
 * Llama family as classifiers; EmbeddingGemma; the sentence encoders built on all of them; static embeddings.
 *
 * An encoder is opened like every model (model.h). It reads a whole text at once, so it has no state. BERT and its kin
 * read it in both directions. GPT-2 and the Llama family read it from left to right, so the score of a text is that of
 * its last token, or of the last one whose id is not pad_token_id. A text becomes one of these:
 *
 *   hidden states    a row for each token                            every encoder
 *   pooled           tanh(W h_0 + b) of the first token's row        BertModel, RobertaModel with a pooler
 *   embedding        a vector for the text                           sentence-transformers folders, model2vec
 *   logits           one row of label scores for the text            ...ForSequenceClassification
 *                    one row of label scores for each token          ...ForTokenClassification
 *                    one row of vocabulary scores for each token     ...ForMaskedLM, BertForPreTraining
 *                    two scores for each token, that an answer       ...ForQuestionAnswering of BERT and its kin
 *                    starts and that it ends there
 *   probabilities    the same after the softmax, or the sigmoid; not of answers
 *
 * The class under `architectures` in config.json names the head; without a class BERT has no head, and GPT-2 and the
 * Llama family are language models, which run through model.h. A folder with
 * modules.json is a sentence encoder and runs the modules in it: the pooling (all modes), Dense and Normalize. Without
 * modules.json the folder does not say how rows become one vector; the caller can choose a pooling in
 * ink_model_options.
 *
 *     ink_model_open(ctx, "all-MiniLM-L6-v2", NULL, &model);
 *     const ink_encoder_info *encoder = ink_model_get_encoder(model);
 *     float *vectors = malloc(2 * encoder->embedding_size * sizeof *vectors);
 *     ink_text texts[2] = {{.tokens = first, .n_tokens = 7, .output = vectors},
 *                          {.tokens = second, .n_tokens = 9, .output = vectors + encoder->embedding_size}};
 *     ink_model_encode(ctx, model, INK_EMBEDDING, texts, 2);
 *
 * The tokenizer makes the ids, with its template ([CLS] ... [SEP]); an encoder adds and pads nothing. White space
 * around a text is text: sentence-transformers takes none away. Texts of any lengths run together without padding, and
 * each result is bit-identical to encoding the text alone.
 *
 * Traced values: the rows are the tokens of a pass, whole texts in order, at most 128 rows or one longer text.
 * "embedding" after its norm; in block i the names of model.h under "h.i.", with "norm_1" and "norm_2" after the sums;
 * for the rows of the head "head.transform", "norm_f" if it has a norm, and "logits"; for sentence encoders "pooled", a
 * row for each text.
 */
#ifndef INKLING_ENCODER_H
#define INKLING_ENCODER_H

#include <inkling/model.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum ink_encoding {
    INK_HIDDEN_STATES, /* [positions, hidden_size] */
    INK_POOLED,        /* [hidden_size] */
    INK_EMBEDDING,     /* [embedding_size] */
    INK_LOGITS,        /* [n_labels]; or [positions, n_labels]; or [positions, vocab_size]; or [positions, 2] */
    INK_PROBABILITIES, /* as INK_LOGITS; INK_ERROR_UNSUPPORTED for INK_TASK_ANSWER */
    INK_N_ENCODINGS
} ink_encoding;

/* The task of a model's head. */
typedef enum ink_task {
    INK_TASK_NONE,
    INK_TASK_CLASSIFY_TEXT,
    INK_TASK_CLASSIFY_TOKENS,
    INK_TASK_FILL,  /* masked tokens */
    INK_TASK_ANSWER /* logits [positions, 2]: the answer starts at this token; it ends with this token. The probability
                       of an answer is that of its start times that of its end, each a softmax over the tokens where an
                       answer may lie: ink_model_answer() of tasks.h. */
} ink_task;

/* How logits become probabilities: `problem_type` of config.json, or the default of transformers' pipeline; for a
   CrossEncoder of sentence-transformers its activation_fn, by default the sigmoid of a single label and the logits of
   several. */
typedef enum ink_problem {
    INK_SINGLE_LABEL, /* softmax over the labels, or over the vocabulary */
    INK_MULTI_LABEL,  /* sigmoid of each; also a classifier with one label and no problem_type */
    INK_REGRESSION    /* the logits themselves */
} ink_problem;

typedef struct ink_encoder_info {
    ink_task task;
    size_t max_tokens;     /* the recommended length at which to cut a text, in ids, the template included:
                              max_seq_length of sentence_bert_config.json, or model_max_length of
                              tokenizer_config.json, at most context_length (model.h); longer texts than
                              context_length are refused. Of static embeddings the truncation of tokenizer.json, or
                              SIZE_MAX. */
    size_t n_types;        /* rows of the token-type embedding; 0: there is none, and types must be 0 */
    size_t embedding_size; /* 0: neither the folder nor the options name a pooling */
    bool has_pooled;
    ink_problem problem;
    size_t n_labels;           /* of a classifier, else 0 */
    const char *const *labels; /* [n_labels]: id2label, or "LABEL_0", ... */
    bool lower_case;           /* encode texts with INK_ENCODE_LOWER (do_lower_case) */
    bool without_template;     /* encode texts without INK_ENCODE_TEMPLATE (static embeddings) */
    const char *prompt;        /* put this in front of every text (default_prompt_name); "" for most */
} ink_encoder_info;

/* NULL if the model is not an encoder. Lives as long as the model. */
const ink_encoder_info *ink_model_get_encoder(const ink_model *model);

/* The number of floats in one row of an encoding; 0: the model does not have this encoding. */
size_t ink_model_encoding_size(const ink_model *model, ink_encoding encoding);

/* One text of a list. */
typedef struct ink_text {
    const ink_token *tokens; /* [n_tokens] */
    size_t n_tokens;         /* 1 to context_length; the embedding of static embeddings has 0 tokens or more */
    const ink_token *types;  /* [n_tokens]: rows of the token-type embedding; NULL: all 0 */
    const size_t *positions; /* [n_positions]: of encodings with a row for each token, the rows to return, in any order;
                                NULL: all n_tokens */
    size_t n_positions;
    float *output; /* its shape is that of the encoding */
} ink_text;

/* Encodes many texts together. Everything is checked before anything is written: INK_ERROR_UNSUPPORTED if the model
   does not have this encoding or is not an encoder; INK_ERROR_ARGUMENT for a text without tokens, and for ids, types
   and positions out of range; INK_ERROR_LIMIT for a text that is too long; INK_ERROR_MEMORY. Outputs may not overlap.
   After INK_ERROR_NONFINITE they are written, but what the model computes for the text that is named has a NaN or an
   infinity: its weights are damaged, or too large. */
ink_result ink_model_encode(ink_context *ctx, const ink_model *model, ink_encoding encoding, const ink_text *texts,
                            size_t n_texts);

/* Allocates the scratch memory for lists of up to n_texts texts and n_tokens tokens in all, with at most max_tokens
   (0: the context length) in one text. Such calls then allocate nothing, not even the first one. */
ink_result ink_model_encode_reserve(ink_context *ctx, const ink_model *model, size_t n_texts, size_t n_tokens,
                                    size_t max_tokens);

#ifdef __cplusplus
}
#endif

#endif
