/*
 * world.c: the words of the world, its grammar, and telling.
 *
 * The grammar is one program (`story_narrate`) that asks a source for every decision and hands it every word. A source
 * that draws from a random generator makes it tell a story; world_read.c has another one. Every choice is made right
 * before the words that show it: that is what makes a text readable, and the rule to keep when the grammar grows.
 */
#include "world.h"
#include "world_grammar.h"

#include <string.h>

#include "random.h"
#include "stats.h"

/* ---- words ----------------------------------------------------------------------------------------------------- */

#define COUNT(list) ((unsigned)(sizeof(list) / sizeof((list)[0])))

static const char *const girls[] = {"Anna", "Lily",  "Mia",  "Emma", "Rosa", "Nora",
                                    "Ella", "Clara", "Ruby", "Ida",  "Lucy", "Kate"};
static const char *const boys[] = {"Tom",  "Ben",   "Max",  "Sam",  "Leo",  "Jack",
                                   "Finn", "Oscar", "Hugo", "Paul", "Noah", "Adam"};
static const char *const scenes[] = {"garden", "park", "forest", "village", "meadow", "yard", "field", "orchard"};
static const char *const objects[] = {"ball", "kite",  "book", "drum", "doll", "hat",  "key",  "map",
                                      "cup",  "spoon", "coat", "boat", "bell", "rope", "coin", "scarf"};
static const char *const places[] = {"in the box",      "in the barrel",   "in the bag",       "in the barn",
                                     "under the bench", "under the table", "under the bridge", "under the bush",
                                     "behind the shed", "behind the tree", "behind the fence", "behind the well",
                                     "on the wall",     "on the chair",    "on the roof",      "on the cart"};
static const char *const placings[] = {"put", "hid", "left"};
static const char *const findings[] = {"saw", "found"};
static const char *const adjectives[] = {"small", "big", "fat", "funny", "shy", "quiet", "lazy", "clever"};
static const char *const animals[] = {"hen", "frog", "mouse", "rabbit", "goat", "horse", "fox", "squirrel"};
static const char *const animal_acts[] = {"slept", "sat", "waited", "rested", "hopped", "ran"};
static const char *const airs[] = {"wind", "sky", "grass", "air", "water", "road"};
static const char *const air_ways[] = {"soft", "cool", "bright", "calm", "clear", "fresh"};
static const char *const feelings[] = {"happy", "sad", "tired", "proud", "hungry", "cold", "afraid", "bored"};
static const char *const together[] = {"sang a song",       "told stories",   "played a game", "ran up the hill",
                                       "drew a picture",    "climbed a rock", "built a tower", "danced in a circle",
                                       "sat on the ground", "made a fire"};
static const char *const alone[] = {
    "looked around",   "picked some flowers", "read %h letter", "drank some water",     "waved at the birds",
    "washed %h hands", "wrote %h name",       "laughed",        "listened to the wind", "yawned",
    "ate %h bread",    "hummed a tune"};
static const char *const closings[] = {"Then they went home.", "In the end they said goodbye.",
                                       "At last it was time to go home.", "Later they told everybody about it."};

/* In a sentence, %0 to %2 stand for the value of the fact it is about, in one of its forms, and
 * %p person  %h "her" or "his", that person's  %L person who leads  %s scene  %o new object  %k the fact's
 * object  %a adjective  %n animal  %v its act  %A what is around  %w how it is  %f feeling  %t act of all
 * %i act of one  %P placing verb  %F finding verb  %u "apple" or "apples". */
typedef struct kind_words {
    const char *name;
    unsigned values;
    const char *forms[6][3];
    const char *first;     /* says the fact, without the full stop */
    const char *tail;      /* may follow at once, and already depends on it; NULL: never */
    const char *echoes[3]; /* come back to it later */
    unsigned n_echoes;
} kind_words;

static const kind_words kinds[STORY_PLACE] = {
    {"time",
     2,
     {{"day", "sun", ""}, {"night", "moon", ""}},
     "It was %0",
     "and they saw the %1",
     {"It was still %0.", "They looked up at the %1.", "Above them was the %1."},
     3},
    {"news",
     2,
     {{"good", "glad", ""}, {"bad", "upset", ""}},
     "They had some %0 news",
     "and felt %1",
     {"%p thought about the %0 news.", "It was such %0 news.", "%p felt %1 about the news."},
     3},
    {"leader",
     2,
     {{"she", "her", "her"}, {"he", "him", "his"}},
     "%L was the leader",
     "and lost %2 way",
     {"The leader lost %2 way.", "They asked the leader if %0 was well.", "Everybody followed %1."},
     3},
    {"team",
     3,
     {{"red", "", ""}, {"blue", "", ""}, {"green", "", ""}},
     "They were the %0 team",
     "and had a %0 flag",
     {"They waved the %0 flag.", "%p put on a %0 cap.", "They cheered for the %0 team."},
     3},
    {"pet",
     4,
     {{"dog", "", ""}, {"cat", "", ""}, {"pig", "", ""}, {"duck", "", ""}},
     "They had a %0 with them",
     "and fed the %0",
     {"%p fed the %0.", "They called their %0.", "%p played with the %0."},
     3},
    {"door",
     2,
     {{"open", "opened", ""}, {"closed", "closed", ""}},
     "The door was %0",
     NULL,
     {"The door was still %0.", "They saw that the door was %0.", NULL},
     2},
    {"lamp",
     2,
     {{"on", "", ""}, {"off", "", ""}},
     "The lamp was %0",
     NULL,
     {"The lamp was still %0.", "They saw that the lamp was %0.", NULL},
     2},
    {"apples",
     6,
     {{"no", "", ""}, {"one", "", ""}, {"two", "", ""}, {"three", "", ""}, {"four", "", ""}, {"five", "", ""}},
     "The basket held %0 %u",
     NULL,
     {"Now the basket held %0 %u.", "They counted and found %0 %u.", NULL},
     2},
};

const char *story_kind_name(story_kind kind)
{
    if (kind == STORY_PLACE)
        return "place";
    if (kind == STORY_SWITCH)
        return "switch";
    return (unsigned)kind < STORY_PLACE ? kinds[kind].name : "";
}

/* ---- the teller ------------------------------------------------------------------------------------------------- */

enum { MAX_FACTS = 24, MAX_PICK = 16, END_MARGIN = 24 };

typedef struct fact {
    story_kind kind;
    unsigned object; /* index of the object, for STORY_PLACE */
    unsigned value;
    int told;         /* has the present value been said, or can it be worked out? */
    size_t said;      /* byte offset of the latest mention */
    unsigned changes; /* since then, unsaid */
    unsigned age;     /* sentences since then */
} fact;

typedef struct teller {
    const story_settings *settings;
    const story_source *source;
    story *out;
    int lost; /* the text has left the given one: do nothing more */
    const char *cast[2];
    unsigned girl;   /* which of the two is the girl */
    unsigned person; /* which of the two was named last */
    unsigned n_facts;
    fact facts[MAX_FACTS];
    unsigned n_objects;
} teller;

static unsigned pick(teller *t, const unsigned *weights, unsigned n)
{
    double total = 0.0;
    unsigned i, choice;

    if (t->lost)
        return 0;
    choice = t->source->pick(t->source->user, weights, n);
    for (i = 0; i < n; i++)
        total += weights[i];
    t->out->bits += stats_log2(total / weights[choice]);
    t->out->choices++;
    return choice;
}

static unsigned pick_even(teller *t, unsigned n)
{
    unsigned weights[MAX_PICK] = {0}, i;

    for (i = 0; i < n; i++)
        weights[i] = 1;
    return pick(t, weights, n);
}

static unsigned pick_two(teller *t, unsigned no, unsigned yes)
{
    const unsigned weights[2] = {no, yes};

    if (!yes)
        return 0;
    return pick(t, weights, 2);
}

/* One of several, counted up: yes with such probability that all totals from `least` to `most` are equally likely. */
static unsigned one_more(teller *t, unsigned have, const unsigned range[2])
{
    if (have < range[0])
        return 1;
    return pick_two(t, 1, range[1] - have);
}

static void put_char(teller *t, char c)
{
    story *out = t->out;
    const char before = out->length > 0 ? out->text[out->length - 1] : ' ';

    if (out->length + 1 >= STORY_TEXT_SIZE) {
        t->lost = 1;
        return;
    }
    if (c != ' ' && (c == '.' || before == ' '))
        out->tokens++;
    out->text[out->length++] = c;
    out->text[out->length] = '\0';
}

/* Adds a word or several, with a space before the first; punctuation joins on without one. */
static void put_words(teller *t, const char *words)
{
    if (t->lost)
        return;
    if (t->out->length > 0 && *words != '.')
        put_char(t, ' ');
    while (*words && !t->lost)
        put_char(t, *words++);
    if (t->source->accept && !t->lost && !t->source->accept(t->source->user, t->out->text, t->out->length))
        t->lost = 1;
}

/* Says the value of a fact in the given words. Whoever has listened could have known them if it was told before. */
static void put_value(teller *t, fact *about, const char *words, const char *value, unsigned values)
{
    story *out = t->out;
    const size_t at = out->length + (out->length > 0);

    if (t->lost)
        return;
    if (about->told && out->n_recalls < STORY_RECALLS) {
        story_recall *recall = &out->recalls[out->n_recalls++];
        recall->kind = about->kind;
        recall->key = about->kind == STORY_PLACE ? objects[about->object] : story_kind_name(about->kind);
        recall->value = value;
        recall->said = about->said;
        recall->at = at;
        recall->length = strlen(words);
        recall->changes = about->changes;
        recall->values = values;
    }
    put_words(t, words);
    about->told = 1;
    about->said = at;
    about->changes = 0;
    about->age = 0;
}

/* ---- sentences --------------------------------------------------------------------------------------------------- */

static const char *pick_word(teller *t, const char *const *list, unsigned n) { return list[pick_even(t, n)]; }

static void put_object(teller *t, fact *about)
{
    unsigned weights[COUNT(objects)] = {0}, i;

    for (i = 0; i < COUNT(objects); i++)
        weights[i] = 1;
    for (i = 0; i < t->n_facts; i++)
        if (t->facts[i].kind == STORY_PLACE && &t->facts[i] != about)
            weights[t->facts[i].object] = 0;
    about->object = pick(t, weights, COUNT(objects));
    put_words(t, objects[about->object]);
}

static void put_leader(teller *t, fact *about)
{
    const unsigned who = pick_even(t, 2);

    about->value = who == t->girl ? 0 : 1;
    put_value(t, about, t->cast[who], kinds[STORY_LEADER].forms[about->value][0], 2);
}

/* The words for the value of a fact; what has no value yet is decided here, at its first mention. */
static void put_form(teller *t, fact *about, unsigned form)
{
    if (about->kind == STORY_PLACE) {
        if (!about->told)
            about->value = pick_even(t, COUNT(places));
        put_value(t, about, places[about->value], places[about->value], COUNT(places));
    } else {
        const kind_words *words = &kinds[about->kind == STORY_SWITCH ? STORY_LAMP : about->kind];
        put_value(t, about, words->forms[about->value][form], words->forms[about->value][0], words->values);
    }
}

static void say(teller *t, const char *pattern, fact *about);

static void put_slot(teller *t, char slot, fact *about)
{
    switch (slot) {
    case '0':
    case '1':
    case '2':
        put_form(t, about, (unsigned)(slot - '0'));
        break;
    case 'p':
        put_words(t, t->cast[t->person = pick_even(t, 2)]);
        break;
    case 'h':
        put_words(t, t->person == t->girl ? "her" : "his");
        break;
    case 'L':
        put_leader(t, about);
        break;
    case 's':
        put_words(t, pick_word(t, scenes, COUNT(scenes)));
        break;
    case 'o':
        put_object(t, about);
        break;
    case 'k':
        put_words(t, objects[about->object]);
        break;
    case 'a':
        put_words(t, pick_word(t, adjectives, COUNT(adjectives)));
        break;
    case 'n':
        put_words(t, pick_word(t, animals, COUNT(animals)));
        break;
    case 'v':
        put_words(t, pick_word(t, animal_acts, COUNT(animal_acts)));
        break;
    case 'A':
        put_words(t, pick_word(t, airs, COUNT(airs)));
        break;
    case 'w':
        put_words(t, pick_word(t, air_ways, COUNT(air_ways)));
        break;
    case 'f':
        put_words(t, pick_word(t, feelings, COUNT(feelings)));
        break;
    case 't':
        put_words(t, pick_word(t, together, COUNT(together)));
        break;
    case 'i':
        say(t, pick_word(t, alone, COUNT(alone)), NULL);
        break;
    case 'P':
        put_words(t, pick_word(t, placings, COUNT(placings)));
        break;
    case 'F':
        put_words(t, pick_word(t, findings, COUNT(findings)));
        break;
    case 'u':
        put_words(t, about->value == 1 ? "apple" : "apples");
        break;
    default:
        break;
    }
}

/* Says a sentence or a part of one: words as they stand, slots filled. `about` may be NULL if no slot needs it. */
static void say(teller *t, const char *pattern, fact *about)
{
    char word[32];
    size_t n = 0;

    for (; !t->lost; pattern++) {
        const char c = *pattern;
        const int ends = c == '\0' || c == ' ' || c == '.' || c == '%';
        if (!ends && n + 1 < sizeof(word))
            word[n++] = c;
        if (ends && n > 0) {
            word[n] = '\0';
            put_words(t, word);
            n = 0;
        }
        if (c == '.')
            put_words(t, ".");
        if (c == '%')
            put_slot(t, *++pattern, about);
        if (c == '\0')
            return;
    }
}

static void say_filler(teller *t)
{
    static const char *const patterns[] = {"A %a %n %v.",      "The %A was %w.", "%p was %f.",
                                           "The children %t.", "%p %i.",         "%p met a %a %n."};
    static const unsigned weights[] = {2, 1, 2, 2, 3, 1};

    say(t, patterns[pick(t, weights, COUNT(patterns))], NULL);
}

static fact *new_fact(teller *t, story_kind kind)
{
    fact *made = &t->facts[t->n_facts++];

    memset(made, 0, sizeof(*made));
    made->kind = kind;
    return made;
}

/* Says one fact of the kinds from `first` to `last` that is not yet in the story. */
static void say_new_fact(teller *t, story_kind first, story_kind last)
{
    unsigned weights[STORY_KINDS] = {0}, i;
    fact *made;

    for (i = 0; i <= (unsigned)(last - first); i++)
        weights[i] = 1;
    for (i = 0; i < t->n_facts; i++)
        if (t->facts[i].kind >= first && t->facts[i].kind <= last)
            weights[t->facts[i].kind - first] = 0;
    made = new_fact(t, first + pick(t, weights, (unsigned)(last - first) + 1));
    if (made->kind != STORY_LEADER)
        made->value = pick_even(t, kinds[made->kind].values);
    say(t, kinds[made->kind].first, made);
    if (kinds[made->kind].tail && pick_even(t, 2))
        say(t, kinds[made->kind].tail, made);
    say(t, ".", NULL);
}

static void say_placing(teller *t)
{
    fact *made = new_fact(t, STORY_PLACE);

    t->n_objects++;
    say(t, "%p %P the %o %0.", made);
}

static void say_echo(teller *t, fact *about)
{
    if (about->kind == STORY_PLACE)
        say(t, "%p %F the %k %0.", about);
    else if (about->kind == STORY_SWITCH)
        say(t, "Now the lamp was %0.", about);
    else
        say(t, kinds[about->kind].echoes[pick_even(t, kinds[about->kind].n_echoes)], about);
}

static void say_apple_change(teller *t, fact *apples)
{
    const unsigned added = pick_two(t, apples->value > 0, apples->value < 5);

    apples->value += added ? 1u : ~0u;
    apples->changes++;
    say(t, added ? "%p added an apple" : "%p took an apple", apples);
    if (pick_two(t, 1, 2))
        say(t, added ? "and made it %0 %u" : "and left %0 %u", apples);
    say(t, ".", NULL);
}

static void say_change(teller *t, fact *state)
{
    if (state->kind == STORY_APPLES) {
        say_apple_change(t, state);
        return;
    }
    state->value = !state->value;
    if (state->kind == STORY_SWITCH) {
        state->changes++;
        say(t, "%p pressed the switch.", NULL);
    } else {
        state->told = 0; /* the words below tell it anew */
        say(t, state->kind == STORY_DOOR ? "%p %1 the door." : "%p turned the lamp %0.", state);
    }
}

/* ---- the story --------------------------------------------------------------------------------------------------- */

static void say_cast(teller *t)
{
    unsigned i;

    t->girl = pick_even(t, 2);
    for (i = 0; i < 2; i++) {
        t->cast[i] = i == t->girl ? pick_word(t, girls, COUNT(girls)) : pick_word(t, boys, COUNT(boys));
        if (i == 1)
            put_words(t, "and");
        put_words(t, t->cast[i]);
    }
}

static int changes(const fact *about)
{
    return about->kind == STORY_DOOR || about->kind == STORY_LAMP || about->kind == STORY_APPLES ||
           about->kind == STORY_SWITCH;
}

/* The next sentence: filler, one of the facts again, a change of one of the states, or one more object. The sentence
 * after the opening puts no object anywhere: nobody could tell it from another one in the opening. */
static void say_next(teller *t, int first)
{
    const story_settings *s = t->settings;
    unsigned weights[2 + 2 * MAX_FACTS] = {0}, i, choice;
    const unsigned n = t->n_facts;

    weights[0] = s->filler;
    weights[1] = !first && t->n_objects < s->objects[1] ? s->put : 0;
    for (i = 0; i < n; i++) {
        weights[2 + i] = t->facts[i].age ? s->echo / (1 + t->facts[i].age) : s->again;
        weights[2 + n + i] = changes(&t->facts[i]) ? s->change : 0;
        t->facts[i].age++;
    }
    choice = pick(t, weights, 2 + 2 * n);
    if (choice == 0)
        say_filler(t);
    else if (choice == 1)
        say_placing(t);
    else if (choice < 2 + n)
        say_echo(t, &t->facts[choice - 2]);
    else
        say_change(t, &t->facts[choice - 2 - n]);
}

/* A lamp and a switch, and nothing else to remember: between two looks at the lamp it is pressed a few times, without
 * a word on what that did. Whoever wants to know must keep count. */
static void say_next_of_switch(teller *t)
{
    const story_settings *s = t->settings;
    fact *lamp = &t->facts[0];
    const unsigned weights[] = {1 + s->filler / 8, lamp->age ? s->echo / 4 : 0, 2 * s->change};
    const unsigned choice = pick(t, weights, COUNT(weights));

    lamp->age++;
    if (choice == 0)
        say_filler(t);
    else if (choice == 1)
        say_echo(t, lamp);
    else
        say_change(t, lamp);
}

static void say_opening(teller *t)
{
    const story_settings *s = t->settings;
    unsigned n;

    say(t, "were in the %s.", NULL);
    for (n = 0; !t->lost && one_more(t, n, s->facts); n++)
        say_new_fact(t, STORY_TIME, STORY_PET);
    for (n = 0; !t->lost && one_more(t, n, s->states); n++)
        say_new_fact(t, STORY_DOOR, STORY_APPLES);
    for (n = 0; !t->lost && one_more(t, n, s->objects); n++)
        say_placing(t);
}

void story_narrate(const story_settings *settings, const story_source *source, story *out)
{
    teller t;
    unsigned n;
    int is_switch;

    memset(&t, 0, sizeof(t));
    memset(out, 0, sizeof(*out));
    t.settings = settings;
    t.source = source;
    t.out = out;
    is_switch = (int)pick_two(&t, 100 - settings->switches, settings->switches);
    say_cast(&t);
    if (is_switch) {
        fact *lamp = new_fact(&t, STORY_SWITCH);
        lamp->value = pick_even(&t, 2);
        say(&t, "found an old lamp. The lamp was %0.", lamp);
    } else {
        say_opening(&t);
    }
    for (n = 0; !t.lost && out->tokens + END_MARGIN <= STORY_TOKENS && one_more(&t, n, settings->sentences); n++) {
        if (is_switch)
            say_next_of_switch(&t);
        else
            say_next(&t, n == 0);
    }
    say(&t, pick_word(&t, closings, COUNT(closings)), NULL);
}

story_settings story_settings_default(void)
{
    const story_settings natural = {{12, 34}, {2, 3}, {1, 1}, {1, 2}, 150, 100, 30, 30, 10, 8};

    return natural;
}

int story_sensible(const story_settings *s)
{
    if (s->sentences[0] > s->sentences[1] || s->sentences[1] > STORY_TOKENS)
        return 0;
    if (s->facts[0] > s->facts[1] || s->facts[1] > 5)
        return 0;
    if (s->states[0] > s->states[1] || s->states[1] > 3)
        return 0;
    if (s->objects[0] > s->objects[1] || s->objects[1] > COUNT(objects))
        return 0;
    if (s->filler == 0 || s->filler > 10000 || s->echo > 10000)
        return 0;
    if (s->again > 10000 || s->change > 10000 || s->put > 10000)
        return 0;
    return s->switches <= 100;
}

/* ---- telling ----------------------------------------------------------------------------------------------------- */

static unsigned pick_random(void *user, const unsigned *weights, unsigned n)
{
    uint64_t total = 0, x;
    unsigned i;

    for (i = 0; i < n; i++)
        total += weights[i];
    x = random_below(user, total);
    for (i = 0; x >= weights[i]; i++)
        x -= weights[i];
    return i;
}

int story_tell(const story_settings *settings, uint64_t seed, uint64_t index, story *out)
{
    uint64_t state = seed;
    story_source dice;

    if (!story_sensible(settings)) {
        memset(out, 0, sizeof(*out));
        return 0;
    }
    state = random_next(&state) ^ index;
    state = random_next(&state);
    dice.pick = pick_random;
    dice.accept = NULL;
    dice.user = &state;
    story_narrate(settings, &dice, out);
    return 1;
}
