/*
 * world_read.c: reading a story, which is a search for the choices that would have told it.
 *
 * Walk the grammar with a list of prescribed choices, and beyond the list take the first possible alternative. As soon
 * as a word differs from the text, turn back: the deepest choice with an untried alternative takes it, and the walk
 * starts anew. Choices show at once in the words, so a wrong one costs a word or two, and a story of a hundred choices
 * is read in some five hundred walks. After the first chain is found the search goes on, for a second one would mean
 * that the text does not determine its choices.
 */
#include "world.h"
#include "world_grammar.h"

#include <string.h>

enum { MAX_CHOICES = 1024 };

typedef struct search {
    const char *text;
    size_t length, reached;
    unsigned depth; /* choices made so far on this walk */
    unsigned n;     /* choices that are prescribed; beyond them the first possible one is taken */
    struct {
        unsigned char chosen, alternatives;
    } path[MAX_CHOICES];
    uint64_t possible[MAX_CHOICES]; /* bit i: alternative i has a weight */
} search;

static unsigned pick_searched(void *user, const unsigned *weights, unsigned n)
{
    search *s = user;
    const unsigned at = s->depth;
    unsigned i;

    if (s->depth + 1 < MAX_CHOICES)
        s->depth++;
    if (at < s->n)
        return s->path[at].chosen;
    s->possible[at] = 0;
    for (i = n; i-- > 0;)
        if (weights[i]) {
            s->possible[at] |= UINT64_C(1) << i;
            s->path[at].chosen = (unsigned char)i;
        }
    s->path[at].alternatives = (unsigned char)n;
    s->n = at + 1;
    return s->path[at].chosen;
}

static int accept_same(void *user, const char *text, size_t length)
{
    search *s = user;
    size_t same = 0;

    while (same < length && same < s->length && text[same] == s->text[same])
        same++;
    if (same > s->reached)
        s->reached = same;
    return same == length;
}

/* Prescribes the next path: the deepest choice that has another alternative takes it. Returns 0 if none has. */
static int turn_back(search *s)
{
    for (s->n = s->depth; s->n > 0; s->n--) {
        const unsigned at = s->n - 1;
        unsigned i = s->path[at].chosen + 1u;
        while (i < s->path[at].alternatives && !(s->possible[at] >> i & 1))
            i++;
        if (i < s->path[at].alternatives) {
            s->path[at].chosen = (unsigned char)i;
            return 1;
        }
    }
    return 0;
}

int story_read(const story_settings *settings, const char *text, story *out)
{
    search s;
    story tried;
    story_source walk;
    int found = 0;

    memset(out, 0, sizeof(*out));
    if (!story_sensible(settings))
        return 0;
    memset(&s, 0, sizeof(s));
    s.text = text;
    s.length = strlen(text);
    walk.pick = pick_searched;
    walk.accept = accept_same;
    walk.user = &s;
    do {
        s.depth = 0;
        story_narrate(settings, &walk, &tried);
        if (tried.length == s.length && memcmp(tried.text, text, s.length) == 0) {
            if (found++ == 0)
                *out = tried;
        }
    } while (found < 2 && turn_back(&s));
    if (!found)
        out->length = s.reached;
    return found;
}
