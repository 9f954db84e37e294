/*
 * rules.c - the rules of splitters. Tokenizers write the long ones as regular expressions. The published ones are few,
 * so each is a function here that looks at the class of each code point and goes back by one at most.
 *
 *     GPT-2     's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+     (Radford et al. 2019)
 *     Llama 3   (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|
 *               \s*[\r\n]+|\s+(?!\S)|\s+
 *
 * Many are variants of Llama 3's: as many digits as they like, letters with combining marks, or words that begin anew
 * at a capital after a small letter. Options of the step tell (INK_WORDS_... in engine.h).
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

/* ---- Llama 3 and its variants ----------------------------------------------------------------------------------- */

static bool rule_line_end(char c) { return c == '\r' || c == '\n'; }

/* The class of a code point, of which INK_WORDS_MARKS counts marks as letters. */
static ink_unicode_class word_class(unsigned options, const char *text, size_t size, size_t *length)
{
    uint32_t code;
    *length = ink_utf8_next(text, size, &code);
    const ink_unicode_class class = ink_unicode_class_of(code);
    const bool mark = (options & INK_WORDS_MARKS) != 0 && class == INK_UNICODE_OTHER && ink_unicode_case_of(code) != 0;
    return mark ? INK_UNICODE_LETTER : class;
}

static size_t word_run(unsigned options, ink_unicode_class wanted, const char *text, size_t size)
{
    size_t end = 0, length;
    while (end < size && word_class(options, text + end, size - end, &length) == wanted)
        end += length;
    return end;
}

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

/* [U]*[S]+ or, if not `small`, [U]+[S]*, where U is [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}] and S is [\p{Ll}\p{Lm}\p{Lo}\p{M}].
   Where no letter of S follows those of U, the last of them that is one of S as well ends the word. */
static size_t rule_cased(const char *text, size_t size, bool small)
{
    size_t end = 0, both = 0, length = 0;
    unsigned cases = 0;
    uint32_t code;
    for (; end < size; end += length) {
        length = ink_utf8_next(text + end, size - end, &code);
        cases = ink_unicode_case_of(code);
        if ((cases & INK_UNICODE_CAPITAL) == 0)
            break;
        if ((cases & INK_UNICODE_SMALL) != 0)
            both = end + length;
    }
    const size_t capitals = end;
    for (; end < size && (cases & INK_UNICODE_SMALL) != 0; end += length) {
        length = ink_utf8_next(text + end, size - end, &code);
        cases = ink_unicode_case_of(code);
        if ((cases & INK_UNICODE_SMALL) == 0)
            break;
    }
    return end > capitals || !small ? end : both;
}

/* [^\r\n\p{L}\p{N}]?\p{L}+   Letters, and before them one of anything but a line end or a number. A mark is that one
   first, and a letter if this leads nowhere. */
static size_t rule_letters(unsigned options, const char *text, size_t size)
{
    size_t before = 0, run;
    const ink_unicode_class first = word_class(0, text, size, &before);
    if (first == INK_UNICODE_LETTER || first == INK_UNICODE_NUMBER || rule_line_end(text[0]))
        before = 0;
    if ((options & INK_WORDS_CASES) == 0) {
        run = word_run(options, INK_UNICODE_LETTER, text + before, size - before);
        if (run == 0 && before > 0) {
            before = 0;
            run = word_run(options, INK_UNICODE_LETTER, text, size);
        }
        return run != 0 ? before + run : 0;
    }
    for (int small = 1; small >= 0; small--)
        for (int with = before > 0; with >= 0; with--) {
            const size_t start = with ? before : 0;
            run = rule_cased(text + start, size - start, small != 0);
            if (run > 0 && (options & INK_WORDS_ENDINGS) != 0)
                run += rule_any_contraction(text + start + run, size - start - run);
            if (run > 0)
                return start + run;
        }
    return 0;
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
static size_t rule_others(unsigned options, const char *text, size_t size)
{
    size_t start = text[0] == ' ' && size > 1 ? 1 : 0;
    size_t run = word_run(options, INK_UNICODE_OTHER, text + start, size - start);
    if (run == 0)
        return 0;
    size_t end = start + run;
    while (end < size && (((options & INK_WORDS_LINES) != 0 && rule_line_end(text[end])) ||
                          ((options & INK_WORDS_SLASHES) != 0 && text[end] == '/')))
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

size_t ink_match_words(const ink_step *step, const char *text, size_t size)
{
    const unsigned options = step->properties;
    size_t length = (options & INK_WORDS_CONTRACTIONS) != 0 ? rule_any_contraction(text, size) : 0;
    if (length == 0)
        length = rule_letters(options, text, size);
    if (length == 0)
        length = rule_numbers(text, size, step->start);
    if (length == 0)
        length = rule_others(options, text, size);
    if (length == 0)
        length = rule_lines(text, size);
    return length != 0 ? length : rule_spaces(text, size);
}

size_t ink_match_numbers(const ink_step *step, const char *text, size_t size)
{
    return rule_numbers(text, size, step->start);
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
