/*
 * world.c - the words of the world, its grammar, telling and reading.
 *
 * The grammar is one program (`narrate`) that asks a source for every decision and hands it every word. With a source
 * that draws random numbers it tells a story; with a source that searches it reads one. Every choice is made right
 * before the words that show it. This rule makes a text readable: keep it when the grammar grows.
 */
#include "world.h"

#include <string.h>

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
static const int feeling_moods[] = {1, -1, 0, 1, 0, 0, -1, 0};
static const char *const together[] = {"sang a song",        "told stories",   "played a game",  "ran #up the hill",
                                       "drew a @picture",    "climbed a rock", "built a @tower", "danced in a circle",
                                       "sat #on the ground", "made a fire"};
static const char *const alone[] = {
    "looked around",   "picked some @flowers", "read %h @letter", "drank some water",     "waved at the birds",
    "washed %h hands", "wrote %h name",        "laughed",         "listened to the wind", "yawned",
    "ate %h @bread",   "hummed a tune"};
static const char *const closings[] = {"Then they went home.", "In the end they said goodbye.",
                                       "At last it was time to go home.", "Later they told everybody about it."};

/* In a sentence, %0 to %2 stand for the value of the fact it is about, in one of its forms, and
 * %p person  %h "her" or "his", that person's  %L person who leads  %s scene  %o new object  %k the fact's
 * object  %a adjective  %n animal  %v its act  %A what is around  %w how it is  %f feeling  %t act of all
 * %i act of one  %P placing verb  %F finding verb  %u "apple" or "apples".
 * The word or slot after @ names a thing; from # to the end of the pattern or sentence is a place. */
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
     "and had a %0 @flag",
     {"They waved the %0 @flag.", "%p put on a %0 @cap.", "They cheered for the %0 team."},
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
     "The @door was %0",
     NULL,
     {"The @door was still %0.", "They saw that the @door was %0.", NULL},
     2},
    {"lamp",
     2,
     {{"on", "", ""}, {"off", "", ""}},
     "The @lamp was %0",
     NULL,
     {"The @lamp was still %0.", "They saw that the @lamp was %0.", NULL},
     2},
    {"apples",
     6,
     {{"no", "", ""}, {"one", "", ""}, {"two", "", ""}, {"three", "", ""}, {"four", "", ""}, {"five", "", ""}},
     "The @basket held %0 @%u",
     NULL,
     {"Now the @basket held %0 @%u.", "They counted and found %0 @%u.", NULL},
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

/* Makes the decisions. `pick` returns the index of one of `n` alternatives, never one of weight zero. `accept` (NULL:
 * everything is welcome) sees the text after each word and may reject it. */
typedef struct story_source {
    unsigned (*pick)(void *user, const unsigned *weights, unsigned n);
    int (*accept)(void *user, const char *text, size_t length);
    void *user;
} story_source;

enum { MAX_FACTS = 24, MAX_PICK = 16, END_MARGIN = 24 };

typedef struct fact {
    story_kind kind;
    unsigned object; /* index of the object, for STORY_PLACE */
    unsigned value;
    int told;                   /* the present value was said, or can be worked out */
    size_t said;                /* byte offset of the last mention */
    unsigned changes;           /* unmentioned changes since then */
    unsigned age;               /* sentences since then */
    size_t named, named_length; /* the last words that say the value by its name */
    size_t who, who_length;     /* the person who put the object there */
} fact;

typedef struct teller {
    const story_settings *settings;
    const story_source *source;
    story *out;
    int lost; /* the text differs from the given one: do nothing more */
    const char *cast[2];
    unsigned girl;   /* index of the girl in `cast` */
    unsigned person; /* index of the person named last */
    int mood;        /* of this sentence */
    unsigned n_facts;
    fact facts[MAX_FACTS];
    unsigned n_objects;
} teller;

static unsigned pick(teller *t, const unsigned *weights, unsigned n)
{
    double total = 0.0;
    if (t->lost)
        return 0;
    unsigned choice = t->source->pick(t->source->user, weights, n);
    for (unsigned i = 0; i < n; i++)
        total += weights[i];
    t->out->bits += stats_log2(total / weights[choice]);
    t->out->choices++;
    return choice;
}

static unsigned pick_even(teller *t, unsigned n)
{
    unsigned weights[MAX_PICK] = {0};
    for (unsigned i = 0; i < n; i++)
        weights[i] = 1;
    return pick(t, weights, n);
}

static unsigned pick_two(teller *t, unsigned no, unsigned yes)
{
    return yes ? pick(t, (const unsigned[]){no, yes}, 2) : 0;
}

/* Whether there is one more: the probabilities make all totals in the range equally likely. */
static unsigned one_more(teller *t, unsigned have, const unsigned range[2])
{
    return have < range[0] ? 1 : pick_two(t, 1, range[1] - have);
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

/* Adds words with a space before the first one; a full stop needs no space. */
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

static const char *key_of(const fact *f)
{
    return f->kind == STORY_PLACE ? objects[f->object] : story_kind_name(f->kind);
}

/* Says the value of a fact in the given words. If it was told before, the reader can know them: that is a recall. */
static void put_value(teller *t, fact *about, const char *words, const char *value, unsigned values)
{
    story *out = t->out;
    const size_t at = out->length + (out->length > 0);
    if (t->lost)
        return;
    if (about->told && out->n_recalls < STORY_RECALLS) {
        out->recalls[out->n_recalls++] =
            (story_recall){about->kind, key_of(about), value, about->said, at, strlen(words), about->changes, values};
    }
    put_words(t, words);
    about->told = 1;
    about->said = at;
    about->changes = 0;
    about->age = 0;
}

static void add_name(teller *t, story_entity entity, size_t at)
{
    if (!t->lost && t->out->n_names < STORY_NAMES)
        t->out->names[t->out->n_names++] = (story_name){entity, at, t->out->length - at};
}

static void put_person(teller *t, unsigned who)
{
    const size_t at = t->out->length + (t->out->length > 0);
    put_words(t, t->cast[who]);
    add_name(t, STORY_A_PERSON, at);
}

static void end_sentence(teller *t, const fact *about)
{
    story *out = t->out;
    const story_sentence *before = &out->sentences[out->n_sentences - (out->n_sentences > 0)];
    const size_t at = out->n_sentences > 0 ? before->at + before->length + 1 : 0;
    put_words(t, ".");
    if (!t->lost && out->n_sentences < STORY_SENTENCES)
        out->sentences[out->n_sentences++] =
            (story_sentence){at, out->length - at, about ? about->kind : STORY_KINDS, t->mood};
    t->mood = 0;
}

/* ---- sentences --------------------------------------------------------------------------------------------------- */

static const char *pick_word(teller *t, const char *const *list, unsigned n) { return list[pick_even(t, n)]; }

static void put_object(teller *t, fact *about)
{
    unsigned weights[COUNT(objects)];
    for (unsigned i = 0; i < COUNT(objects); i++)
        weights[i] = 1;
    for (unsigned i = 0; i < t->n_facts; i++)
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
    about->named = about->said;
    about->named_length = strlen(t->cast[who]);
    add_name(t, STORY_A_PERSON, about->said);
}

/* Says the value of a fact. The place of an object is decided here, when it is put there. */
static void put_form(teller *t, fact *about, unsigned form)
{
    const char *said;
    if (about->kind == STORY_PLACE) {
        if (!about->told)
            about->value = pick_even(t, COUNT(places));
        said = places[about->value];
        put_value(t, about, said, said, COUNT(places));
    } else {
        const kind_words *words = &kinds[about->kind == STORY_SWITCH ? STORY_LAMP : about->kind];
        said = words->forms[about->value][form];
        put_value(t, about, said, words->forms[about->value][0], words->values);
        if (about->kind == STORY_NEWS)
            t->mood = about->value ? -1 : 1;
    }
    if (about->kind == STORY_DOOR || (form == 0 && about->kind != STORY_LEADER)) {
        about->named = about->said;
        about->named_length = strlen(said);
    }
}

static void say(teller *t, const char *pattern, fact *about);

/* Slots that any word of a list may fill. */
static const struct slot_words {
    char slot;
    unsigned n;
    const char *const *words;
} slots[] = {
    {'s', COUNT(scenes), scenes},     {'a', COUNT(adjectives), adjectives},
    {'n', COUNT(animals), animals},   {'v', COUNT(animal_acts), animal_acts},
    {'A', COUNT(airs), airs},         {'w', COUNT(air_ways), air_ways},
    {'f', COUNT(feelings), feelings}, {'P', COUNT(placings), placings},
    {'F', COUNT(findings), findings},
};

static void put_slot(teller *t, char slot, fact *about)
{
    for (unsigned i = 0; i < COUNT(slots); i++)
        if (slots[i].slot == slot) {
            const unsigned choice = pick_even(t, slots[i].n);
            put_words(t, slots[i].words[choice]);
            if (slot == 'f')
                t->mood = feeling_moods[choice];
        }
    if (slot >= '0' && slot <= '2')
        put_form(t, about, (unsigned)(slot - '0'));
    else if (slot == 'p')
        put_person(t, t->person = pick_even(t, 2));
    else if (slot == 'h')
        put_words(t, t->person == t->girl ? "her" : "his");
    else if (slot == 'L')
        put_leader(t, about);
    else if (slot == 'o')
        put_object(t, about);
    else if (slot == 'k')
        put_words(t, objects[about->object]);
    else if (slot == 't')
        say(t, pick_word(t, together, COUNT(together)), NULL);
    else if (slot == 'i')
        say(t, pick_word(t, alone, COUNT(alone)), NULL);
    else if (slot == 'u')
        put_words(t, about->value == 1 ? "apple" : "apples");
}

/* Says a sentence or a part of one and fills its slots. `about` may be NULL if no slot needs it. */
static void say(teller *t, const char *pattern, fact *about)
{
    char word[32], mark = ' ';
    size_t n = 0, named = 0;
    for (; !t->lost; pattern++) {
        const char c = *pattern;
        const int ends = c == '\0' || c == ' ' || c == '.' || c == '%';
        const size_t before = t->out->length;
        if (c == '@' || c == '#') {
            mark = c;
            named = before + 1;
            continue;
        }
        if (!ends && n + 1 < sizeof(word))
            word[n++] = c;
        if (ends && n > 0) {
            word[n] = '\0';
            put_words(t, word);
            n = 0;
        }
        if (c == '%')
            put_slot(t, *++pattern, about);
        if (mark == '@' ? t->out->length > before : mark == '#' && (c == '.' || c == '\0')) {
            add_name(t, mark == '@' ? STORY_A_THING : STORY_A_PLACE, named);
            mark = ' ';
        }
        if (c == '.')
            end_sentence(t, about);
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
    *made = (fact){.kind = kind};
    return made;
}

/* Says a fact of one of the kinds from `first` to `last` that the story does not have yet. */
static void say_new_fact(teller *t, story_kind first, story_kind last)
{
    unsigned weights[STORY_KINDS] = {0};
    for (unsigned i = 0; i <= (unsigned)(last - first); i++)
        weights[i] = 1;
    for (unsigned i = 0; i < t->n_facts; i++)
        if (t->facts[i].kind >= first && t->facts[i].kind <= last)
            weights[t->facts[i].kind - first] = 0;
    fact *made = new_fact(t, first + pick(t, weights, (unsigned)(last - first) + 1));
    if (made->kind != STORY_LEADER)
        made->value = pick_even(t, kinds[made->kind].values);
    say(t, kinds[made->kind].first, made);
    if (kinds[made->kind].tail && pick_even(t, 2))
        say(t, kinds[made->kind].tail, made);
    say(t, ".", made);
}

/* Puts an object somewhere, a new one (NULL) or one that was put somewhere before. */
static void say_placing(teller *t, fact *moved)
{
    fact *put = moved ? moved : new_fact(t, STORY_PLACE);
    t->n_objects += moved == NULL;
    put->who = t->out->length + 1;
    put->told = 0;
    say(t, moved ? "%p %P the @%k #%0." : "%p %P the @%o #%0.", put);
    put->who_length = strlen(t->cast[t->person]);
}

static void say_echo(teller *t, fact *about)
{
    if (about->kind == STORY_PLACE)
        say(t, "%p %F the @%k #%0.", about);
    else if (about->kind == STORY_SWITCH)
        say(t, "Now the @lamp was %0.", about);
    else
        say(t, kinds[about->kind].echoes[pick_even(t, kinds[about->kind].n_echoes)], about);
}

static void say_apple_change(teller *t, fact *apples)
{
    const unsigned added = pick_two(t, apples->value > 0, apples->value < 5);
    apples->value += added ? 1u : ~0u;
    apples->changes++;
    say(t, added ? "%p added an @apple" : "%p took an @apple", apples);
    if (pick_two(t, 1, 2))
        say(t, added ? "and made it %0 @%u" : "and left %0 @%u", apples);
    say(t, ".", apples);
}

static void say_change(teller *t, fact *state)
{
    if (state->kind == STORY_APPLES) {
        say_apple_change(t, state);
        return;
    }
    if (state->kind == STORY_PLACE) {
        say_placing(t, state);
        return;
    }
    state->value = !state->value;
    if (state->kind == STORY_SWITCH) {
        state->changes++;
        say(t, "%p pressed the @switch.", state);
    } else {
        state->told = 0; /* the words below tell it anew */
        say(t, state->kind == STORY_DOOR ? "%p %1 the @door." : "%p turned the @lamp %0.", state);
    }
}

/* ---- the story --------------------------------------------------------------------------------------------------- */

static int changes(const fact *about)
{
    return about->kind == STORY_DOOR || about->kind == STORY_LAMP || about->kind == STORY_APPLES ||
           about->kind == STORY_SWITCH;
}

/* The next sentence: filler, one of the facts again, a change of one of the states, or one more object. The sentence
 * after the opening mentions no new object: it would look like another one of the opening. */
static void say_next(teller *t, int first)
{
    const story_settings *s = t->settings;
    unsigned weights[2 + 2 * MAX_FACTS] = {0};
    const unsigned n = t->n_facts;
    weights[0] = s->filler;
    weights[1] = !first && t->n_objects < s->objects[1] ? s->put : 0;
    for (unsigned i = 0; i < n; i++) {
        weights[2 + i] = t->facts[i].age ? s->echo / (1 + t->facts[i].age) : s->again;
        weights[2 + n + i] = changes(&t->facts[i]) ? s->change : t->facts[i].kind == STORY_PLACE ? s->move : 0;
        t->facts[i].age++;
    }
    unsigned choice = pick(t, weights, 2 + 2 * n);
    if (choice == 0)
        say_filler(t);
    else if (choice == 1)
        say_placing(t, NULL);
    else if (choice < 2 + n)
        say_echo(t, &t->facts[choice - 2]);
    else
        say_change(t, &t->facts[choice - 2 - n]);
}

/* Stories of a lamp and a switch, with nothing else to remember. Between two looks at the lamp somebody presses the
 * switch a few times, and the story does not say what that did. A reader who wants to know must keep count. */
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

/* Walks once through the grammar, to the end of a story or until `accept` rejects the text. Fills `out`. */
static void narrate(const story_settings *settings, const story_source *source, story *out)
{
    teller t = {.settings = settings, .source = source, .out = out};
    memset(out, 0, sizeof(*out));
    int is_switch = (int)pick_two(&t, 100 - settings->switches, settings->switches);
    t.girl = pick_even(&t, 2);
    for (unsigned i = 0; i < 2; i++) {
        t.cast[i] = i == t.girl ? pick_word(&t, girls, COUNT(girls)) : pick_word(&t, boys, COUNT(boys));
        if (i == 1)
            put_words(&t, "and");
        put_person(&t, i);
    }
    if (is_switch) {
        fact *lamp = new_fact(&t, STORY_SWITCH);
        lamp->value = pick_even(&t, 2);
        say(&t, "found an old @lamp. The @lamp was %0.", lamp);
    } else {
        say(&t, "were #in the %s.", NULL);
        for (unsigned n = 0; !t.lost && one_more(&t, n, settings->facts); n++)
            say_new_fact(&t, STORY_TIME, STORY_PET);
        for (unsigned n = 0; !t.lost && one_more(&t, n, settings->states); n++)
            say_new_fact(&t, STORY_DOOR, STORY_APPLES);
        for (unsigned n = 0; !t.lost && one_more(&t, n, settings->objects); n++)
            say_placing(&t, NULL);
    }
    for (unsigned n = 0; !t.lost && out->tokens + END_MARGIN <= STORY_TOKENS && one_more(&t, n, settings->sentences);
         n++) {
        if (is_switch)
            say_next_of_switch(&t);
        else
            say_next(&t, n == 0);
    }
    say(&t, pick_word(&t, closings, COUNT(closings)), NULL);
    for (unsigned i = 0; i < t.n_facts && out->n_answers < STORY_ANSWERS; i++) {
        const fact *f = &t.facts[i];
        if (f->told && f->changes == 0)
            out->answers[out->n_answers++] =
                (story_answer){f->kind, key_of(f), f->named, f->named_length, f->who, f->who_length};
    }
}

story_settings story_settings_default(void)
{
    return (story_settings){{12, 34}, {2, 3}, {1, 1}, {1, 2}, 150, 100, 30, 30, 10, 8, 0};
}

static int is_sensible(const story_settings *s)
{
    return s->sentences[0] <= s->sentences[1] && s->sentences[1] <= STORY_TOKENS && s->facts[0] <= s->facts[1] &&
           s->facts[1] <= 5 && s->states[0] <= s->states[1] && s->states[1] <= 3 && s->objects[0] <= s->objects[1] &&
           s->objects[1] <= COUNT(objects) && s->filler > 0 && s->filler <= 10000 && s->echo <= 10000 &&
           s->again <= 10000 && s->change <= 10000 && s->put <= 10000 && s->switches <= 100 && s->move <= 10000;
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
    if (!is_sensible(settings)) {
        memset(out, 0, sizeof(*out));
        return 0;
    }
    state = random_next(&state) ^ index;
    state = random_next(&state);
    narrate(settings, &(story_source){.pick = pick_random, .user = &state}, out);
    return 1;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/*
 * Reading is a search for the choices that tell the text. Walk the grammar with a list of prescribed choices, and
 * beyond the list take the first possible alternative. At the first word that differs from the text turn back: the
 * deepest choice with an untried alternative takes it, and the walk starts again. Choices show at once in the words, so
 * a wrong one costs a word or two, and a story of a hundred choices is read in about five hundred walks. The search
 * goes on after the first match, because a second one would mean that the text does not determine its choices.
 */
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
    if (s->depth + 1 < MAX_CHOICES)
        s->depth++;
    if (at < s->n)
        return s->path[at].chosen;
    s->possible[at] = 0;
    for (unsigned i = n; i-- > 0;)
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
    search s = {.text = text, .length = strlen(text)};
    const story_source walk = {pick_searched, accept_same, &s};
    story tried;
    int found = 0;
    memset(out, 0, sizeof(*out));
    if (!is_sensible(settings))
        return 0;
    do {
        s.depth = 0;
        narrate(settings, &walk, &tried);
        if (tried.length == s.length && memcmp(tried.text, text, s.length) == 0 && found++ == 0)
            *out = tried;
    } while (found < 2 && turn_back(&s));
    if (!found)
        out->length = s.reached;
    return found;
}
