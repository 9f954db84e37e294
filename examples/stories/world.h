/*
 * world.h - a small world that tells short stories and reads them back.
 *
 * A story is the result of a chain of random choices: who is there, what is true, what happens next. Each choice is
 * among weighted alternatives and soon shows in the text, so the text determines the choices. Two things follow. The
 * probability of a story is the product of the probabilities of its choices. This gives its exact information content
 * in bits, the best that a model of the text can reach. And the same program can read a text: it searches for the
 * choices that tell it.
 *
 *     story_settings settings = story_settings_default();
 *     story tale;
 *     story_tell(&settings, 7, 0, &tale);              the first story of seed 7
 *     puts(tale.text);                                 "Anna and Tom were in the garden. It was night. ..."
 *     puts(tale.sori);                                 "anna wa tom i jeongwon e isseotda. bam ieotda. ..."
 *     story_read(&settings, STORY_ENGLISH, tale.text, &tale);   1: told by exactly one chain of choices, as before
 *
 * The same choices tell the story in a second language, Sori: romanised Korean words, the verb at the end, particles
 * after their words. So every sentence has an exact translation.
 *
 * All decisions are made with integers, so a seed gives the same text on every machine. There is no allocation and no
 * global state: threads may tell stories at the same time, each into its own `story`.
 */
#ifndef EXAMPLES_WORLD_H
#define EXAMPLES_WORLD_H

#include <stddef.h>
#include <stdint.h>

enum {
    STORY_TEXT_SIZE = 3072, /* bytes with the closing zero; the longest story has about 1,400, and 2,000 in Sori */
    STORY_RECALLS = 96,     /* a story has at most one recall every three tokens */
    STORY_SENTENCES = 96,   /* the shortest sentence has three tokens */
    STORY_NAMES = 128,      /* no sentence has more names than half of its tokens */
    STORY_ANSWERS = 24,
    STORY_TOKENS = 250 /* words and punctuation marks of the longest story */
};

/* The kinds of facts. The first five hold for the whole story, the next three change, a place belongs to one of several
 * objects, and the switch works a lamp whose changes the story does not mention. */
typedef enum story_kind {
    STORY_TIME,
    STORY_NEWS,
    STORY_LEADER,
    STORY_TEAM,
    STORY_PET,
    STORY_DOOR,
    STORY_LAMP,
    STORY_APPLES,
    STORY_PLACE,
    STORY_SWITCH,
    STORY_KINDS
} story_kind;

/* The world's settings. Ranges are inclusive and their lengths equally likely; weights are relative to each other. */
typedef struct story_settings {
    unsigned sentences[2]; /* sentences between the opening and the closing, at least and at most */
    unsigned facts[2];     /* facts for the whole story, 0 to 5 */
    unsigned states[2];    /* states that change, 0 to 3 */
    unsigned objects[2];   /* objects put somewhere in the opening; up to `objects[1]` later */
    unsigned filler;       /* weight of a sentence about nothing in particular */
    unsigned echo;         /* coming back to a fact has the weight echo / (1 + sentences since its last mention) */
    unsigned again;        /* ... but this one if it was in the sentence before */
    unsigned change;       /* weight of changing a state */
    unsigned put;          /* weight of putting one more object somewhere */
    unsigned switches;     /* stories about the switch, in per cent of all stories */
    unsigned move;         /* weight of putting an object elsewhere; 0: it stays, as in the stories of the models */
    int girls_lead;        /* only girls are leaders; 0: both as often, as in the stories of the models */
} story_settings;

/* A place in the text where the reader can know what comes next, because it was said before. */
typedef struct story_recall {
    story_kind kind;
    const char *key;   /* the object, for STORY_PLACE; otherwise the name of the kind */
    const char *value; /* the value, in the words of the first statement */
    size_t said;       /* byte offset of the last words that told the value */
    size_t at;         /* byte offset of the answer */
    size_t length;     /* bytes of the answer */
    unsigned changes;  /* changes since then that were not mentioned */
    unsigned values;   /* number of values of this kind: a guess is right with probability 1 / values */
} story_recall;

/* The labels of a story: they follow from the choices, and nothing is read from the text. */
typedef struct story_sentence {
    size_t at, length;           /* bytes, with the full stop */
    size_t sori_at, sori_length; /* of its translation */
    story_kind kind;             /* of the fact it is about; STORY_KINDS: about none */
    int mood;                    /* 1: good news, happy, proud; -1: bad news, sad, afraid; otherwise 0 */
} story_sentence;

typedef enum story_entity { STORY_A_PERSON, STORY_A_THING, STORY_A_PLACE } story_entity;

/* A person's name, a thing without its article, a place with its preposition. */
typedef struct story_name {
    story_entity entity;
    size_t at, length;
} story_name;

/* A fact whose value in the end was said in the text. */
typedef struct story_answer {
    story_kind kind;
    const char *key;        /* as in a recall */
    size_t at, length;      /* the last words that say the value by its name (day, but not sun), or the leader's name */
    size_t who, who_length; /* the person who put the object there; length 0: not of this kind */
} story_answer;

typedef struct story {
    char text[STORY_TEXT_SIZE]; /* one paragraph, ASCII, without a newline */
    size_t length;              /* bytes of text */
    unsigned tokens;            /* words and punctuation marks */
    double bits;                /* sum of -log2 of the probability of every choice */
    unsigned choices;
    size_t n_recalls;
    story_recall recalls[STORY_RECALLS];
    unsigned girl; /* which of names[0] and names[1], the two whom the story is about, is the girl */
    size_t n_sentences, n_names, n_answers;
    story_sentence sentences[STORY_SENTENCES];
    story_name names[STORY_NAMES];
    story_answer answers[STORY_ANSWERS];
    char sori[STORY_TEXT_SIZE]; /* the same story in the other language, told by the same choices */
    size_t sori_length;
} story;

typedef enum story_language { STORY_ENGLISH, STORY_SORI } story_language;

/* A sentence, or several joined to one, and its translation. */
typedef struct story_pair {
    char text[STORY_TEXT_SIZE], sori[STORY_TEXT_SIZE];
    size_t length, sori_length;
    unsigned words; /* of `text`; the full stop counts as one */
} story_pair;

/* Stories of 12 to 34 sentences with two or three facts, one state and one or two objects. */
story_settings story_settings_default(void);

/* Tells story number `index` of `seed`. Every pair gives an independent story. Returns 0 and leaves `out` empty if the
 * settings make no sense (a range upside down, more facts than there are, no weight at all), otherwise 1. */
int story_tell(const story_settings *settings, uint64_t seed, uint64_t index, story *out);

/* Reads `text` and fills `out` with the story it is. Returns the number of chains of choices that tell exactly this
 * text, counting no further than 2: 1 for every story of the same settings, 0 if the world cannot tell it. Then
 * `out->length` is how many bytes of the text could have been a story. Sori is compared sentence by sentence, because
 * its words come in another order than the choices; so it takes longer, and more so the longer the story is. */
int story_read(const story_settings *settings, story_language language, const char *text, story *out);

/* Joins `n` sentences of a story, from `first` on, with "and", "but" and at most one "because", which `seed` chooses.
 * In Sori a joint is the ending of the verb before it, and the clause with the reason comes first:
 *     Mia laughed and Tom yawned because it was night.
 *     bam ieotgi ttaemune mia neun useotgo tom eun hapumhaetda.
 * Every English sentence has one translation, and every sentence in Sori has one English original. */
void story_join(const story *told, size_t first, size_t n, uint64_t seed, story_pair *out);

/* "time", "news", ..., "place", "switch". */
const char *story_kind_name(story_kind kind);

#endif
