/*
 * talk.c - conversations about stories: a listener who knows what each told sentence says, and asks.
 *
 * The generator of the stories says of each sentence which fact it is about, and where its names are (world.h). What
 * remains is to take the value from a sentence about a known fact, which one table of words does. Answers come from
 * what the listener knows at that time, so a question may come in the middle of a story.
 */
#include "talk.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "stats.h"

#define COUNT(list) ((unsigned)(sizeof(list) / sizeof((list)[0])))

/* The words that say the value of a fact. */
static const struct said_value {
    story_kind kind;
    const char *word, *value;
} said_values[] = {
    {STORY_TIME, "day", "day"},     {STORY_TIME, "sun", "day"},       {STORY_TIME, "night", "night"},
    {STORY_TIME, "moon", "night"},  {STORY_NEWS, "good", "good"},     {STORY_NEWS, "glad", "good"},
    {STORY_NEWS, "bad", "bad"},     {STORY_NEWS, "upset", "bad"},     {STORY_TEAM, "red", "red"},
    {STORY_TEAM, "blue", "blue"},   {STORY_TEAM, "green", "green"},   {STORY_PET, "dog", "dog"},
    {STORY_PET, "cat", "cat"},      {STORY_PET, "pig", "pig"},        {STORY_PET, "duck", "duck"},
    {STORY_DOOR, "open", "open"},   {STORY_DOOR, "opened", "open"},   {STORY_DOOR, "closed", "closed"},
    {STORY_LAMP, "on", "on"},       {STORY_LAMP, "off", "off"},       {STORY_SWITCH, "on", "on"},
    {STORY_SWITCH, "off", "off"},   {STORY_APPLES, "no", "no"},       {STORY_APPLES, "one", "one"},
    {STORY_APPLES, "two", "two"},   {STORY_APPLES, "three", "three"}, {STORY_APPLES, "four", "four"},
    {STORY_APPLES, "five", "five"},
};

/* The question about each fact, and its answer; a place has others. */
static const struct asked_fact {
    const char *question, *answer;
} asked_facts[STORY_KINDS] = {
    [STORY_TIME] = {"Is it day or night?", "It is %s."},
    [STORY_NEWS] = {"Is the news good or bad?", "The news is %s."},
    [STORY_LEADER] = {"Who is the leader?", "%s is the leader."},
    [STORY_TEAM] = {"Which team are they?", "They are the %s team."},
    [STORY_PET] = {"Which animal is with them?", "They have a %s with them."},
    [STORY_DOOR] = {"Is the door open or closed?", "The door is %s."},
    [STORY_LAMP] = {"Is the lamp on or off?", "The lamp is %s."},
    [STORY_APPLES] = {"How many apples are in the basket?", "The basket holds %s %s."},
    [STORY_SWITCH] = {"Is the lamp on or off?", "The lamp is %s."},
};

static const struct small_talk {
    const char *said, *answer;
} hellos[] = {{"Hello.", "Hello! Tell me a story."},
              {"Hello!", "Hello! Tell me a story."},
              {"Hi.", "Hello! Tell me a story."},
              {"Good morning.", "Hello! Tell me a story."},
              {"How are you?", "I am well. Tell me a story."},
              {"Who are you?", "I am a small model. I know stories."},
              {"What can you do?", "Tell me a story, and ask me about it."}},
  byes[] = {{"Thank you.", "You are welcome."}, {"Thank you!", "You are welcome."}, {"Thanks.", "You are welcome."},
            {"Thanks!", "You are welcome."},    {"Goodbye.", "Goodbye!"},           {"Bye!", "Goodbye!"}};

static const char unknown[] = "I do not know.";

typedef struct known_fact {
    char value[16]; /* "": not said, or changed since then without a word */
    size_t said;    /* offset in the talk's text, behind the sentence */
} known_fact;

/* An object. Names are those of the story; NULL where it did not say one. */
typedef struct known_object {
    const story_name *name, *place, *before, *who;
    size_t said, moved; /* behind the sentence that said the place first after the last move; behind that of `before` */
} known_object;

enum { MOST_OBJECTS = 24 };

typedef struct listener {
    const story *s;
    story other; /* whose facts are not known */
    talk *out;
    uint64_t state;     /* of random_below() */
    size_t first, next; /* the sentences first .. next - 1 were told */
    known_fact facts[STORY_KINDS];
    known_object objects[MOST_OBJECTS];
    unsigned n_objects;
    const story_name *people[2], *scene;
    size_t scene_said;
} listener;

static unsigned chance(listener *l, unsigned n) { return (unsigned)random_below(&l->state, n); }

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static void talk_put(talk *out, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    const int n = vsnprintf(out->text + out->size, sizeof out->text - out->size, format, list);
    va_end(list);
    out->size += n > 0 ? (size_t)n : 0;
}

/* A name as arguments of %.*s. */
#define NAME(l, name) (int)(name)->length, (l)->s->text + (name)->at

static int same_name(const listener *l, const story_name *a, const story_name *b)
{
    return a->length == b->length && memcmp(l->s->text + a->at, l->s->text + b->at, a->length) == 0;
}

/* Tokens of text[from .. to), about. */
static unsigned count_words(const talk *out, size_t from, size_t to)
{
    unsigned n = 0;
    for (size_t i = from; i < to; i++)
        n += strchr(" .?!:,", out->text[i]) != NULL; /* and the zero between two messages */
    return n;
}

static unsigned count_tokens(const talk *out) { return count_words(out, 0, out->size) + 8 * (unsigned)out->n_turns; }

static void begin_turn(talk *out) { out->turns[out->n_turns] = (talk_turn){"chat", out->text + out->size, NULL, 0}; }

/* Ends what the user says; the answer is to be written next. `said`: where the text said it, 0: nowhere. */
static void begin_answer(talk *out, const char *kind, size_t said)
{
    talk_turn *turn = &out->turns[out->n_turns];
    turn->kind = kind;
    turn->distance = said > 0 ? count_words(out, said, (size_t)(turn->said - out->text)) : 0;
    out->size++; /* the zero */
    turn->answer = out->text + out->size;
}

static void end_turn(talk *out)
{
    out->size++;
    out->n_turns++;
}

static void turn_of(talk *out, const struct small_talk *words)
{
    begin_turn(out);
    talk_put(out, "%s", words->said);
    begin_answer(out, "chat", 0);
    talk_put(out, "%s", words->answer);
    end_turn(out);
}

/* ---- listening --------------------------------------------------------------------------------------------------- */

static void hear_place(listener *l, const story_name *names, size_t said)
{
    const story_name *who = &names[0], *object = &names[1], *place = &names[2];
    unsigned i = 0;
    while (i < l->n_objects && !same_name(l, l->objects[i].name, object))
        i++;
    if (i == l->n_objects) {
        if (i == MOST_OBJECTS)
            return;
        l->objects[l->n_objects++] = (known_object){.name = object};
    }
    known_object *o = &l->objects[i];
    const char *verb = l->s->text + who->at + who->length + 1;
    if (o->place == NULL || !same_name(l, o->place, place)) {
        o->before = o->place;
        o->moved = o->said;
        o->place = place;
    }
    o->said = said;
    if (*verb != 's' && *verb != 'f') /* saw, found */
        o->who = who;
}

static void hear(listener *l, const story_sentence *sentence, size_t said)
{
    const story *s = l->s;
    size_t n = 0, end = sentence->at + sentence->length;
    while (n < s->n_names && s->names[n].at < sentence->at)
        n++;
    const story_name *names = &s->names[n];
    if (sentence->at == 0) {
        l->people[0] = &names[0];
        l->people[1] = &names[1];
        l->scene = names[2].entity == STORY_A_PLACE ? &names[2] : NULL;
        l->scene_said = said;
    }
    if (sentence->kind == STORY_KINDS)
        return;
    if (sentence->kind == STORY_PLACE) {
        hear_place(l, names, said);
        return;
    }
    known_fact *fact = &l->facts[sentence->kind];
    if (sentence->kind == STORY_LEADER) { /* the name is said once; later it is "the leader" */
        if (n == s->n_names || names->at >= end)
            return;
        snprintf(fact->value, sizeof fact->value, "%.*s", NAME(l, names));
    } else {
        fact->value[0] = '\0';
        for (size_t at = sentence->at, length; at < end; at += length + 1) {
            length = strcspn(s->text + at, " .");
            for (unsigned i = 0; i < COUNT(said_values); i++)
                if (said_values[i].kind == sentence->kind && strlen(said_values[i].word) == length &&
                    memcmp(said_values[i].word, s->text + at, length) == 0)
                    snprintf(fact->value, sizeof fact->value, "%s", said_values[i].value);
        }
    }
    fact->said = said;
}

/* The user tells the next n sentences. */
static void tell_sentences(listener *l, size_t n)
{
    for (; n > 0 && l->next < l->s->n_sentences; n--, l->next++) {
        const story_sentence *sentence = &l->s->sentences[l->next];
        const char before = l->out->text[l->out->size - (l->out->size > 0)];
        talk_put(l->out, "%s%.*s", before == '.' ? " " : "", (int)sentence->length, l->s->text + sentence->at);
        hear(l, sentence, l->out->size);
    }
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

/* Who, where, the time, and the places of the objects, as far as the sentences of the opening say them: those before
 * the first one that is about nothing, or about a fact or an object of which an earlier one was. */
static void answer_summary(listener *l)
{
    const story *s = l->s;
    story_kind last = STORY_TIME;
    unsigned seen = 0;
    const story_name *objects[MOST_OBJECTS], *places[MOST_OBJECTS];
    size_t n_objects = 0, name = 0;
    const char *time = "";
    if (s->sentences[0].kind == STORY_SWITCH) { /* "... found an old lamp. The lamp was off." */
        size_t n = l->next > 1 ? s->sentences[1].at + s->sentences[1].length : s->sentences[0].length;
        talk_put(l->out, "%.*s", (int)n, s->text);
        return;
    }
    for (size_t i = 1; i < l->next; i++) {
        const story_sentence *sentence = &s->sentences[i];
        if (sentence->kind == STORY_KINDS || sentence->kind < (last >= STORY_DOOR ? last : STORY_TIME))
            break;
        if (sentence->kind == STORY_PLACE) {
            size_t k = 0;
            while (s->names[name].at < sentence->at)
                name++;
            const char verb = s->text[s->names[name].at + s->names[name].length + 1];
            while (k < n_objects && !same_name(l, objects[k], &s->names[name + 1]))
                k++;
            if (k < n_objects || verb == 's' || verb == 'f')
                break;
            objects[n_objects] = &s->names[name + 1];
            places[n_objects++] = &s->names[name + 2];
        } else if (seen & 1u << sentence->kind) {
            break;
        } else if (sentence->kind == STORY_TIME) {
            time = strncmp(s->text + sentence->at, "It was day", 10) == 0 ? " by day" : " at night";
        }
        seen |= 1u << sentence->kind;
        last = sentence->kind;
    }
    talk_put(l->out, "%.*s%s.", (int)(s->sentences[0].length - 1), s->text, time);
    for (size_t k = 0; k < n_objects; k++)
        talk_put(l->out, " The %.*s was %.*s.", NAME(l, objects[k]), NAME(l, places[k]));
}

/* A word that nobody knows: "bolu", "gazimo". */
static void put_invented(listener *l)
{
    for (unsigned n = 2 + chance(l, 2); n > 0; n--)
        talk_put(l->out, "%c%c", "bdfgklmnprstvz"[chance(l, 14)], "aeiou"[chance(l, 5)]);
}

/* Whether the sentences told so far have these words. */
static int was_said(const listener *l, const char *words, size_t n)
{
    if (l->next == l->first)
        return 0;
    const story_sentence *first = &l->s->sentences[l->first], *last = &l->s->sentences[l->next - 1];
    for (size_t at = first->at; at + n < last->at + last->length; at++)
        if (memcmp(l->s->text + at, words, n) == 0 && !isalpha((unsigned char)l->s->text[at + n]))
            return 1;
    return 0;
}

/* A question to which nobody can know the answer: about another story. Returns 0 if this one answers it as well. */
static int ask_unknown(listener *l)
{
    talk *out = l->out;
    const story *o = &l->other;
    const story_answer *a = &o->answers[o->n_answers > 0 ? chance(l, (unsigned)o->n_answers) : 0];
    const story_name *person = &o->names[chance(l, 2)], *scene = &o->names[2];
    const unsigned what = chance(l, 10);
    if (what < 2) {
        if (was_said(l, o->text + person->at, person->length))
            return 0;
        talk_put(out, "Where is %.*s?", (int)person->length, o->text + person->at);
    } else if (what < 3) {
        if (scene->entity != STORY_A_PLACE || was_said(l, o->text + scene->at, scene->length))
            return 0;
        talk_put(out, "Who is %.*s?", (int)scene->length, o->text + scene->at);
    } else if (what < 4) {
        talk_put(out, "Where is the ");
        put_invented(l);
        talk_put(out, "?");
    } else if (o->n_answers == 0) {
        return 0;
    } else if (a->kind != STORY_PLACE) {
        const story_kind same = a->kind == STORY_LAMP ? STORY_SWITCH : a->kind == STORY_SWITCH ? STORY_LAMP : a->kind;
        if (l->facts[a->kind].said > 0 || l->facts[same].said > 0)
            return 0;
        talk_put(out, "%s", asked_facts[a->kind].question);
    } else if (what < 5 && !was_said(l, o->text + a->at, a->length)) {
        talk_put(out, "What is %.*s?", (int)a->length, o->text + a->at);
    } else if (was_said(l, a->key, strlen(a->key))) {
        return 0;
    } else if (what < 7) {
        talk_put(out, "Where was the %s before?", a->key);
    } else if (what < 8) {
        talk_put(out, "Who put the %s %.*s?", a->key, (int)a->length, o->text + a->at);
    } else {
        talk_put(out, "Where is the %s%s?", a->key, chance(l, 6) == 0 ? " now" : "");
    }
    begin_answer(out, "unknown", 0);
    talk_put(out, "%s", unknown);
    return 1;
}

/* A question about an object. Returns 0 for one that has no exact answer. */
static int ask_object(listener *l, const known_object *o)
{
    talk *out = l->out;
    unsigned there = 0;
    const unsigned what = chance(l, 10);
    if (what < (o->before != NULL ? 5 : 1)) {
        talk_put(out, "Where was the %.*s before?", NAME(l, o->name));
        begin_answer(out, o->before ? "before" : "unknown", o->before ? o->moved : 0);
        if (o->before != NULL)
            talk_put(out, "The %.*s was %.*s.", NAME(l, o->name), NAME(l, o->before));
        else
            talk_put(out, "%s", unknown);
        return 1;
    }
    if (what == 5 || what == 6) {
        if (o->who == NULL)
            return 0;
        talk_put(out, "Who put the %.*s %.*s?", NAME(l, o->name), NAME(l, o->place));
        begin_answer(out, "who", o->said);
        talk_put(out, "%.*s did.", NAME(l, o->who));
        return 1;
    }
    if (what == 7) {
        for (unsigned i = 0; i < l->n_objects; i++)
            there += (unsigned)same_name(l, l->objects[i].place, o->place);
        if (there > 1)
            return 0;
        talk_put(out, "What is %.*s?", NAME(l, o->place));
        begin_answer(out, "what", o->said);
    } else {
        talk_put(out, "Where is the %.*s%s?", NAME(l, o->name), chance(l, 6) == 0 ? " now" : "");
        begin_answer(out, "where", o->said);
    }
    talk_put(out, "The %.*s is %.*s.", NAME(l, o->name), NAME(l, o->place));
    return 1;
}

static int ask_scene(listener *l)
{
    talk *out = l->out;
    const story_name *person = l->people[chance(l, 2)];
    if (l->scene == NULL)
        return 0;
    switch (chance(l, 3)) {
    case 0:
        talk_put(out, "Where is %.*s?", NAME(l, person));
        begin_answer(out, "person", l->scene_said);
        talk_put(out, "%.*s is %.*s.", NAME(l, person), NAME(l, l->scene));
        return 1;
    case 1:
        talk_put(out, "Where are they?");
        begin_answer(out, "scene", l->scene_said);
        talk_put(out, "They are %.*s.", NAME(l, l->scene));
        return 1;
    default:
        talk_put(out, "Who is %.*s?", NAME(l, l->scene));
        begin_answer(out, "there", l->scene_said);
        talk_put(out, "%.*s and %.*s are %.*s.", NAME(l, l->people[0]), NAME(l, l->people[1]), NAME(l, l->scene));
        return 1;
    }
}

static int ask_fact(listener *l)
{
    story_kind known[STORY_KINDS];
    unsigned n = 0;
    for (story_kind kind = STORY_TIME; kind < STORY_KINDS; kind++)
        if (l->facts[kind].value[0] != '\0')
            known[n++] = kind;
    if (n == 0)
        return 0;
    const story_kind kind = known[chance(l, n)];
    const char *value = l->facts[kind].value;
    talk_put(l->out, "%s", asked_facts[kind].question);
    begin_answer(l->out, story_kind_name(kind), l->facts[kind].said);
    talk_put(l->out, asked_facts[kind].answer, value, strcmp(value, "one") == 0 ? "apple" : "apples");
    return 1;
}

/* Adds a question to what the user says, and answers it. */
static void ask(listener *l)
{
    talk *out = l->out;
    talk_turn *turn = &out->turns[out->n_turns];
    const size_t before = out->size;
    for (int done = 0; !done;) {
        out->size = before;
        if (out->text + before > turn->said)
            talk_put(out, " ");
        const size_t at = out->size;
        const unsigned what = chance(l, 16);
        done = what < 2           ? ask_unknown(l)
               : what < 4         ? ask_scene(l)
               : what < 9         ? ask_fact(l)
               : l->n_objects > 0 ? ask_object(l, &l->objects[chance(l, l->n_objects)])
                                  : 0;
        if (done && chance(l, 12) == 0) /* as people type */
            out->text[at] = (char)tolower((unsigned char)out->text[at]);
    }
    end_turn(out);
}

/* ---- the conversation -------------------------------------------------------------------------------------------- */

static int has_room(const talk *out) { return out->n_turns + 3 < TALK_TURNS && count_tokens(out) < TALK_TOKENS; }

static void ask_some(listener *l, unsigned most)
{
    if (l->n_objects == 0)
        most = most / 2;
    for (unsigned n = chance(l, most + 1); n > 0 && has_room(l->out); n--) {
        begin_turn(l->out);
        ask(l);
    }
}

/* Wants a summary, of the whole story or of what was told so far. */
static void ask_summary(listener *l, int whole)
{
    talk *out = l->out;
    begin_turn(out);
    talk_put(out, whole ? "Summarise: " : "Summarise the story.");
    if (whole)
        tell_sentences(l, l->s->n_sentences);
    begin_answer(out, "summary", 0);
    answer_summary(l);
    end_turn(out);
}

/* Some of the sentences from `first` to `last` in one message, and what follows. */
static void tell_part(listener *l, size_t n)
{
    talk *out = l->out;
    begin_turn(out);
    tell_sentences(l, n);
    if (chance(l, 4) == 0) {
        ask(l);
        return;
    }
    const int mood = l->s->sentences[l->next - 1].mood;
    begin_answer(out, "story", 0);
    talk_put(out, "%s", mood > 0 ? "How nice!" : mood < 0 ? "Oh dear!" : "I see.");
    end_turn(out);
}

int talk_tell(const story_settings *settings, uint64_t seed, uint64_t index, talk *out)
{
    story s;
    listener l = {.s = &s, .out = out, .state = ~seed};
    memset(out, 0, sizeof *out);
    if (!story_tell(settings, seed, index, &s) || !story_tell(settings, ~seed, index, &l.other))
        return 0;
    l.state = random_next(&l.state) ^ index;
    const unsigned way = chance(&l, 10);
    if (way < 2) {
        ask_summary(&l, 1);
    } else {
        const unsigned n = (unsigned)s.n_sentences;
        unsigned parts = 1 + chance(&l, 4);
        if (way < 6) /* from the middle, or only the beginning */
            l.first = l.next = chance(&l, n);
        size_t last = way < 8 ? l.first + 1 + chance(&l, n - (unsigned)l.first) : n;
        if (chance(&l, 4) == 0)
            turn_of(out, &hellos[chance(&l, COUNT(hellos))]);
        for (; l.next < last && has_room(out); parts -= parts > 1) {
            const size_t left = last - l.next;
            tell_part(&l, parts > 1 ? 1 + chance(&l, (unsigned)left) : left);
            ask_some(&l, parts > 1 ? 3 : 0);
        }
        if (l.first == 0 && chance(&l, 4) == 0)
            ask_summary(&l, 0);
    }
    ask_some(&l, 12);
    if (chance(&l, 4) == 0)
        turn_of(out, &byes[chance(&l, COUNT(byes))]);
    return 1;
}
