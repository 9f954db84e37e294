/*
 * talk.h - conversations about stories: what somebody says to an assistant, and the one right answer to it.
 *
 * The user tells a story of the world, in one message or in several, asks about it, wants a summary, says hello. The
 * right answers follow from the sentences that were told so far; an assistant that is told nothing else can know them.
 *
 *     talk t;
 *     talk_tell(&settings, 7, 0, &t);
 *     for (size_t i = 0; i < t.n_turns; i++)
 *         printf("> %s\n%s\n", t.turns[i].said, t.turns[i].answer);
 *
 *     > Anna and Tom were in the garden. It was night. Anna put the ball in the box.
 *     I see.
 *     > Where is the ball?
 *     The ball is in the box.
 *     > Where is the kite?
 *     I do not know.
 *
 * A summary has the opening facts of the story and leaves out the rest: who, where, the time of day, and what was put
 * in which place before anything happened. As in world.h there is no allocation and no global state, and a seed gives
 * the same conversations on every machine.
 */
#ifndef EXAMPLES_TALK_H
#define EXAMPLES_TALK_H

#include "world.h"

enum {
    TALK_TURNS = 48,
    TALK_TEXT_SIZE = 8192,
    TALK_TOKENS = 360 /* words, punctuation marks and marks of the speakers in a conversation, about */
};

typedef struct talk_turn {
    const char *kind;   /* "story", "summary", "where", "before", "who", "what", "person", "scene", "there", "time", ...
                           as in story_kind_name(), "unknown" if the story does not say it, or "chat" */
    const char *said;   /* by the user */
    const char *answer; /* of the assistant */
    unsigned distance;  /* words from the sentence that says the answer to the question; 0 if there is none */
} talk_turn;

typedef struct talk {
    size_t n_turns;
    talk_turn turns[TALK_TURNS];
    size_t size;
    char text[TALK_TEXT_SIZE]; /* what `said` and `answer` point into: ASCII, without newlines and quotes */
} talk;

/* Conversation number `index` of `seed`, about story number `index` of `seed`. Returns 0 and leaves `out` empty where
 * story_tell() does. */
int talk_tell(const story_settings *settings, uint64_t seed, uint64_t index, talk *out);

#endif
