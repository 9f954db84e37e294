/*
 * vocabulary.c - words that a vocabulary lacks.
 *
 * The text is encoded once more, with the place of every token. A word in whose place there is no token was left out, a
 * word may have the unknown token, and one of many tokens is spelled. A vocabulary of thousands is made of parts of
 * words, so there a word is spelled only if it has fewer than three bytes for two tokens. A small one, of a small
 * world, has all words of that world.
 */
#include "vocabulary.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "console.h"

enum {
    NAMED = 3,    /* words that one note names */
    NOTES = 4,    /* of one program */
    SEEN = 64,    /* words that are remembered; behind them nothing is noted any more */
    PART = 4096,  /* bytes that are encoded at once, because places take much memory */
    SMALL = 2048, /* tokens of a vocabulary of whole words */
    SAMPLE = 512, /* tokens that tell whether a vocabulary has words at all, and not only letters */
    SHOWN = 48,   /* bytes of a word that are shown */
    SPARE = 8     /* most tokens have a byte or more, and a tokenizer may add a few */
};

/* What becomes of a word that is not there. */
enum { IN_PIECES = 1, AS_UNKNOWN = 2, AS_NOTHING = 4 };

static uint64_t seen[SEEN];
static size_t n_seen, n_notes;

/* The words of one note. */
typedef struct found {
    ink_context *ctx;
    const ink_tokenizer *tokenizer;
    bool has_words; /* it is not a vocabulary of letters */
    ink_token unknown;
    char named[NAMED][SHOWN];
    size_t n, pieces; /* words, and pieces of the last of them */
    unsigned how;     /* IN_PIECES, ... of all */
} found;

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || ((unsigned char)c & 0x80) != 0;
}

/* A word counts once. FNV-1a (Fowler, Noll, Vo) stands for its letters. */
static void take_word(found *f, const char *word, size_t size, size_t pieces, unsigned how)
{
    char text[4 * SHOWN];
    uint64_t hash = 0xcbf29ce484222325u;
    size_t i = 0;
    for (size_t k = 0; k < size; k++)
        hash = (hash ^ (unsigned char)word[k]) * 0x100000001b3u;
    while (i < n_seen && seen[i] != hash)
        i++;
    if (i < n_seen || n_seen == SEEN)
        return;
    seen[n_seen++] = hash;
    if (f->n < NAMED) {
        snprintf(text, sizeof text, "%.*s", (int)(size < sizeof text ? size : sizeof text - 1), word);
        console_harmless(f->named[f->n], SHOWN, text);
    }
    f->n++;
    f->pieces = pieces;
    f->how |= how;
}

/* At the beginning of a text a word may be spelled that is one token in its middle. */
static bool is_token_elsewhere(const found *f, const char *word, size_t size)
{
    char text[SHOWN] = " ";
    ink_token ids[SHOWN + SPARE];
    size_t n = 0;
    if (size + 1 >= sizeof text)
        return false;
    memcpy(text + 1, word, size);
    return ink_tokenizer_encode(f->ctx, f->tokenizer, text, size + 1, INK_ENCODE_PLAIN, ids, SHOWN + SPARE, &n) ==
               INK_OK &&
           n == 1;
}

/* Looks at the word text[begin, end) through the tokens that lie in it, the first of which is number i or a later one.
 */
static void look_at(found *f, const char *text, size_t begin, size_t end, const ink_token *ids, const ink_place *places,
                    size_t i, size_t n)
{
    size_t pieces = 0;
    bool has_digit = false;
    for (; i < n && places[i].start < end; i++) {
        if (places[i].text != 0 || places[i].stop <= begin)
            continue;
        if (ids[i] == f->unknown || ink_tokenizer_is_special(f->tokenizer, ids[i]))
            return;
        pieces++;
    }
    for (size_t k = begin; k < end; k++)
        has_digit = has_digit || is_digit(text[k]);
    if (pieces == 0) {
        take_word(f, text + begin, end - begin, 0, AS_NOTHING);
        return;
    }
    const bool spelled = pieces > 1 && f->has_words && !has_digit &&
                         (ink_tokenizer_vocab_size(f->tokenizer) <= SMALL || 3 * pieces > 2 * (end - begin));
    if (spelled && !is_token_elsewhere(f, text + begin, end - begin))
        take_word(f, text + begin, end - begin, pieces, IN_PIECES);
}

/* One part of the text, which ends at white space. */
static bool look_through(found *f, const char *text, size_t size, unsigned flags)
{
    const ink_encode_input input = {.text = text, .size = size, .flags = flags & ~(unsigned)INK_ENCODE_TEMPLATE};
    const size_t room = size + SPARE;
    size_t n = 0, n_read = 0;
    ink_token *ids = malloc(room * sizeof *ids);
    ink_place *places = malloc(room * sizeof *places);
    bool done = ids != NULL && places != NULL &&
                ink_tokenizer_encode_input(f->ctx, f->tokenizer, &input, ids, NULL, places, room, &n) == INK_OK;
    for (size_t i = 0; done && i < n; i++) {
        size_t begin = places[i].start, end = places[i].stop, length = 0;
        const char *name = ink_tokenizer_token(f->tokenizer, ids[i], &length);
        while (begin < end && is_space(text[begin]))
            begin++;
        if (ids[i] == f->unknown && begin < end && !(length == end - begin && memcmp(name, text + begin, length) == 0))
            take_word(f, text + begin, end - begin, 1, AS_UNKNOWN);
    }
    for (size_t begin = 0, end; done && begin < size; begin = end) {
        for (end = begin; end < size && (is_letter(text[end]) || is_digit(text[end]));)
            end++;
        while (n_read < n && places[n_read].stop <= begin)
            n_read++;
        if (end > begin)
            look_at(f, text, begin, end, ids, places, n_read, n);
        else
            end++;
    }
    free(ids);
    free(places);
    return done;
}

static bool has_words(const ink_tokenizer *tokenizer)
{
    const size_t n = ink_tokenizer_vocab_size(tokenizer), n_looked = n < SAMPLE ? n : SAMPLE;
    size_t n_words = 0, size;
    for (size_t i = 0; i < n_looked; i++)
        n_words += ink_tokenizer_token(tokenizer, (ink_token)(i * n / n_looked), &size) != NULL && size > 2;
    return 2 * n_words > n_looked;
}

static void print_note(const found *f, const char *folder)
{
    char words[NAMED * (SHOWN + 4) + 32] = "", how[2 * SHOWN], unknown[SHOWN] = "";
    const size_t n_named = f->n < NAMED ? f->n : NAMED;
    const char *it = f->n == 1 ? "it" : "them";
    size_t used = 0, size = 0;
    for (size_t i = 0; i < n_named; i++)
        used += (size_t)snprintf(words + used, sizeof words - used, "%s\"%s\"",
                                 i == 0          ? ""
                                 : i + 1 == f->n ? " and "
                                                 : ", ",
                                 f->named[i]);
    if (f->n > n_named)
        snprintf(words + used, sizeof words - used, " and %zu%s more", f->n - n_named, n_seen == SEEN ? " or" : "");
    if (f->unknown >= 0) {
        const char *name = ink_tokenizer_token(f->tokenizer, f->unknown, &size);
        snprintf(how, sizeof how, "%.*s", (int)(size < SHOWN ? size : SHOWN - 1), name != NULL ? name : "");
        console_harmless(unknown, sizeof unknown, how);
    }
    if (f->how == IN_PIECES && f->n == 1)
        snprintf(how, sizeof how, "reads it in %zu pieces", f->pieces);
    else if (f->how == IN_PIECES)
        snprintf(how, sizeof how, "reads them in pieces");
    else if (f->how == AS_UNKNOWN)
        snprintf(how, sizeof how, "reads %s as %s", it, unknown);
    else if (f->how == AS_NOTHING)
        snprintf(how, sizeof how, "leaves %s out", it);
    else
        snprintf(how, sizeof how, "reads %s in pieces, as %s or not at all", it,
                 *unknown != '\0' ? unknown : "unknown");
    console_note("note: %s %s not in the vocabulary of %s, which %s%s", words, f->n == 1 ? "is" : "are", folder, how,
                 n_notes == NOTES ? "; further words are not noted" : "");
}

void vocabulary_note(ink_context *ctx, const ink_tokenizer *tokenizer, const char *folder, const char *text,
                     size_t size, unsigned flags)
{
    if (n_notes == NOTES || n_seen == SEEN)
        return;
    found f = {.ctx = ctx,
               .tokenizer = tokenizer,
               .has_words = has_words(tokenizer),
               .unknown = ink_tokenizer_control(tokenizer, INK_CONTROL_UNK)};
    bool done = true;
    for (size_t part; done && size > 0; text += part, size -= part) {
        part = size < PART ? size : PART;
        while (part < size && part > 0 && !is_space(text[part]))
            part--;
        part = part > 0 ? part : size < PART ? size : PART;
        done = look_through(&f, text, part, flags);
    }
    if (f.n == 0)
        return;
    n_notes++;
    print_note(&f, folder);
}
