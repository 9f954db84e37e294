/*
 * rules.c - the rules of splitters. Tokenizers write the long ones as regular expressions. The published ones are few,
 * so each is a function here that looks at the class of each code point and goes back by one at most.
 *
 *     GPT-2     's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+     (Radford et al. 2019)
 *     Llama 3   (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|
 *               \s*[\r\n]+|\s+(?!\S)|\s+
 *     Qwen2     as Llama 3, with \p{N} in place of \p{N}{1,3}
 *
 * Bytes that are not UTF-8 are of class OTHER, so they stay together with punctuation and emoji.
 */
#include "engine.h"
#include "unicode.h"

static ink_unicode_class rule_class(const char *text, size_t size, size_t *length)
{
    uint32_t code;
    *length = ink_utf8_next(text, size, &code);
    return ink_unicode_class_of(code);
}

/* Bytes of the code points of class `wanted` at the head of the text; *last is the length of the last of them. */
static size_t rule_run(ink_unicode_class wanted, const char *text, size_t size, size_t *last)
{
    size_t end = 0, length;
    *last = 0;
    while (end < size && rule_class(text + end, size - end, &length) == wanted) {
        end += length;
        *last = length;
    }
    return end;
}

/*  's|'t|'re|'ve|'m|'ll|'d   The length of an English contraction at the head of the text, or 0. */
static size_t rule_contraction(const char *text, size_t size)
{
    if (size >= 2 && text[0] == '\'' && text[1] != '\0' && strchr("stmd", text[1]) != NULL)
        return 2;
    if (size >= 3 && (memcmp(text, "'re", 3) == 0 || memcmp(text, "'ve", 3) == 0 || memcmp(text, "'ll", 3) == 0))
        return 3;
    return 0;
}

/* \s+(?!\S)|\s+   A run of white space at the end of a text is one word. Before a word, its last code point is left
   over: a U+0020 then goes with the word, anything else is a word of its own. */
static size_t rule_spaces(const char *text, size_t size)
{
    size_t last;
    size_t end = rule_run(INK_UNICODE_SPACE, text, size, &last);
    return end == size || end == last ? end : end - last;
}

size_t ink_match_gpt2(const ink_step *step, const char *text, size_t size)
{
    size_t last, length = rule_contraction(text, size);
    (void)step;
    if (length != 0)
        return length;

    /*  ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+   One class, and one U+0020 before it. */
    size_t start = text[0] == ' ' && size > 1 ? 1 : 0;
    ink_unicode_class first = rule_class(text + start, size - start, &length);
    if (first != INK_UNICODE_SPACE)
        return start + rule_run(first, text + start, size - start, &last);
    return rule_spaces(text, size);
}

/* ---- Llama 3 and Qwen2 ------------------------------------------------------------------------------------------ */

static bool rule_line_end(char c) { return c == '\r' || c == '\n'; }

/* (?i:'s|'t|'re|'ve|'m|'ll|'d)   In either case, and U+017F, the long s, is an s. */
static size_t rule_any_contraction(const char *text, size_t size)
{
    char lower[3] = {0};
    if (size >= 3 && memcmp(text, "'\xC5\xBF", 3) == 0)
        return 3;
    for (size_t i = 0; i < 3 && i < size; i++)
        lower[i] = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] | 0x20) : text[i];
    return rule_contraction(lower, ink_size_min(size, 3));
}

/* [^\r\n\p{L}\p{N}]?\p{L}+   Letters, and before them one of anything but a line end or a number. */
static size_t rule_letters(const char *text, size_t size)
{
    size_t start = 0, last;
    ink_unicode_class first = rule_class(text, size, &start);
    if (first == INK_UNICODE_LETTER)
        start = 0;
    else if (first == INK_UNICODE_NUMBER || rule_line_end(text[0]))
        return 0;
    size_t run = rule_run(INK_UNICODE_LETTER, text + start, size - start, &last);
    return run != 0 ? start + run : 0;
}

/* \p{N}{1,most} */
static size_t rule_numbers(const char *text, size_t size, size_t most)
{
    size_t end = 0, length;
    for (; most > 0 && end < size && rule_class(text + end, size - end, &length) == INK_UNICODE_NUMBER; most--)
        end += length;
    return end;
}

/*  ?[^\s\p{L}\p{N}]+[\r\n]*   Other characters, one U+0020 before them, and the line ends after them. */
static size_t rule_others(const char *text, size_t size)
{
    size_t start = text[0] == ' ' && size > 1 ? 1 : 0, last;
    size_t run = rule_run(INK_UNICODE_OTHER, text + start, size - start, &last);
    if (run == 0)
        return 0;
    size_t end = start + run;
    while (end < size && rule_line_end(text[end]))
        end++;
    return end;
}

/* \s*[\r\n]+   A run of white space up to the last line end in it. */
static size_t rule_lines(const char *text, size_t size)
{
    size_t last, end = rule_run(INK_UNICODE_SPACE, text, size, &last);
    while (end > 0 && !rule_line_end(text[end - 1]))
        end--;
    return end;
}

static size_t rule_llama(const char *text, size_t size, size_t most_numbers)
{
    size_t length = rule_any_contraction(text, size);
    if (length == 0)
        length = rule_letters(text, size);
    if (length == 0)
        length = rule_numbers(text, size, most_numbers);
    if (length == 0)
        length = rule_others(text, size);
    if (length == 0)
        length = rule_lines(text, size);
    return length != 0 ? length : rule_spaces(text, size);
}

size_t ink_match_llama3(const ink_step *step, const char *text, size_t size)
{
    (void)step;
    return rule_llama(text, size, 3);
}

size_t ink_match_qwen2(const ink_step *step, const char *text, size_t size)
{
    (void)step;
    return rule_llama(text, size, 1);
}

/* ---- the others ------------------------------------------------------------------------------------------------- */

/* 0 white space, 1 a word character, 2 any other. */
static int rule_kind(const char *text, size_t size, size_t *length)
{
    uint32_t code;
    *length = ink_utf8_next(text, size, &code);
    if (ink_unicode_has(code, INK_UNICODE_WORD))
        return 1;
    return ink_unicode_class_of(code) == INK_UNICODE_SPACE ? 0 : 2;
}

size_t ink_match_word_or_not(const ink_step *step, const char *text, size_t size)
{
    size_t end, length;
    int kind = rule_kind(text, size, &end);
    (void)step;
    if (kind == 0)
        return 0;
    while (end < size && rule_kind(text + end, size - end, &length) == kind)
        end += length;
    return end;
}

size_t ink_match_space(const ink_step *step, const char *text, size_t size)
{
    size_t length;
    (void)step;
    return rule_class(text, size, &length) == INK_UNICODE_SPACE ? length : 0;
}

size_t ink_match_property(const ink_step *step, const char *text, size_t size)
{
    uint32_t code;
    size_t length = ink_utf8_next(text, size, &code);
    return ink_unicode_has(code, step->properties) ? length : 0;
}

size_t ink_match_string(const ink_step *step, const char *text, size_t size)
{
    return ink_text_starts(&step->from, text, size) ? step->from.size : 0;
}

size_t ink_match_nothing(const ink_step *step, const char *text, size_t size)
{
    (void)step;
    (void)text;
    (void)size;
    return 0;
}
