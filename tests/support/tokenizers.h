/*
 * tokenizers.h - the tokenizers of fixtures/tokenizer/ (make_tokenizer.py), and what Hugging Face's library makes of
 * their texts.
 */
#ifndef INK_TESTS_TOKENIZERS_H
#define INK_TESTS_TOKENIZERS_H

#include "testing.h"

#define TEST_TEXT_MAX (1 << 16)

/* One for each family; "bundled" is the tokenizer of the models in the box. NULL ends them. */
extern const char *const test_tokenizers[];

/* A file of fixtures/tokenizer/, NUL-terminated; the caller frees it. */
char *test_read_tokenizer(const char *name, const char *ending, size_t *size);

/* Opens a text as tokenizer.json. */
ink_result test_open_text(ink_context *ctx, const char *text, size_t size, ink_tokenizer **tokenizer);
ink_tokenizer *test_open_tokenizer(ink_context *ctx, const char *name);

/* Bytes from hexadecimal digits, up to a blank; "-" is none. Returns their number. */
size_t test_parse_bytes(const char *hexadecimal, char *out);

/* Numbers with commas between them; "-" is none. Returns how many. */
size_t test_parse_ids(const char *text, ink_token *ids);

/* Calls `check` with every line of NAME + ending and its tokenizer; returns how many there were. */
typedef void (*test_line_fn)(ink_context *ctx, const ink_tokenizer *tokenizer, char *line);
size_t test_each_line(const char *name, const char *ending, test_line_fn check);

/* A line of NAME.txt: a text, its ids, and what these are decoded to. */
typedef struct test_case {
    bool has_text; /* false: only ids */
    char text[TEST_TEXT_MAX];
    size_t size;
    ink_token ids[TEST_TEXT_MAX];
    size_t n;
    char decoded[TEST_TEXT_MAX];
    size_t decoded_size;
} test_case;

/* Calls `check` with every case of every tokenizer, of each of which there are some hundred. */
void test_each_case(void (*check)(ink_context *ctx, const ink_tokenizer *tokenizer, const test_case *c));

#endif
