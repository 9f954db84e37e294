/*
 * world.c - the words of the world, its grammar, telling and reading.
 *
 * The grammar is one program (`narrate`) that asks a source for every decision and hands it every word. With a source
 * that draws random numbers it tells a story; with a source that searches it reads one. Every choice is made right
 * before the words that show it. This rule makes a text readable: keep it when the grammar grows.
 *
 * Each pattern stands beside its translation. `fill` fills the slots of the English one, and so makes the choices; then
 * `translate` fills the slots of the other one with the words that were chosen.
 */
#include "world.h"

#include <string.h>

#include "stats.h"

/* ---- words ----------------------------------------------------------------------------------------------------- */

#define COUNT(list) ((unsigned)(sizeof(list) / sizeof((list)[0])))

/* A word or a pattern in both languages. Sori has no capital letters. */
typedef struct phrase {
    const char *english, *sori;
} phrase;

static const phrase girls[] = {{"Anna", "anna"}, {"Lily", "rilli"}, {"Mia", "mia"},   {"Emma", "ema"},
                               {"Rosa", "rosa"}, {"Nora", "nora"},  {"Ella", "ella"}, {"Clara", "keullara"},
                               {"Ruby", "rubi"}, {"Ida", "aida"},   {"Lucy", "rusi"}, {"Kate", "keiteu"}};
static const phrase boys[] = {{"Tom", "tom"},    {"Ben", "ben"},   {"Max", "maekseu"}, {"Sam", "saem"},
                              {"Leo", "rio"},    {"Jack", "jaek"}, {"Finn", "pin"},    {"Oscar", "oseuka"},
                              {"Hugo", "hyugo"}, {"Paul", "pol"},  {"Noah", "noa"},    {"Adam", "adam"}};
static const phrase scenes[] = {{"garden", "jeongwon"}, {"park", "gongwon"},    {"forest", "sup"},
                                {"village", "maeul"},   {"meadow", "chowon"},   {"yard", "madang"},
                                {"field", "deulpan"},   {"orchard", "gwasuwon"}};
static const phrase objects[] = {
    {"ball", "gong"},     {"kite", "yeon"},      {"book", "chaek"},    {"drum", "buk"},
    {"doll", "inhyeong"}, {"hat", "moja"},       {"key", "yeolsoe"},   {"map", "jido"},
    {"cup", "keop"},      {"spoon", "sutgarak"}, {"coat", "oetu"},     {"boat", "bae"},
    {"bell", "jong"},     {"rope", "batjul"},    {"coin", "dongjeon"}, {"scarf", "mokdori"}};
static const phrase places[] = {
    {"in the box", "sangja an"},      {"in the barrel", "tong an"},       {"in the bag", "gabang an"},
    {"in the barn", "heotgan an"},    {"under the bench", "benchi mit"},  {"under the table", "takja mit"},
    {"under the bridge", "dari mit"}, {"under the bush", "deombul mit"},  {"behind the shed", "changgo dwi"},
    {"behind the tree", "namu dwi"},  {"behind the fence", "ultari dwi"}, {"behind the well", "umul dwi"},
    {"on the wall", "byeok wi"},      {"on the chair", "uija wi"},        {"on the roof", "jibung wi"},
    {"on the cart", "sure wi"}};
static const phrase placings[] = {{"put", "dueotda"}, {"hid", "sumgyeotda"}, {"left", "namgyeotda"}};
static const phrase findings[] = {{"saw", "bwatda"}, {"found", "chajatda"}};
static const phrase adjectives[] = {{"small", "jageun"},  {"big", "keun"},         {"fat", "ttungttunghan"},
                                    {"funny", "utgin"},   {"shy", "sujubeun"},     {"quiet", "joyonghan"},
                                    {"lazy", "geeureun"}, {"clever", "yeongnihan"}};
static const phrase animals[] = {{"hen", "amtak"},   {"frog", "gaeguri"}, {"mouse", "jwi"}, {"rabbit", "tokki"},
                                 {"goat", "yeomso"}, {"horse", "mal"},    {"fox", "yeou"},  {"squirrel", "daramjwi"}};
static const phrase animal_acts[] = {{"slept", "jatda"},     {"sat", "anjatda"},      {"waited", "gidaryeotda"},
                                     {"rested", "swieotda"}, {"hopped", "ttwieotda"}, {"ran", "dallyeotda"}};
static const phrase airs[] = {{"wind", "baram"}, {"sky", "haneul"}, {"grass", "pul"},
                              {"air", "gonggi"}, {"water", "mul"},  {"road", "gil"}};
static const phrase air_ways[] = {{"soft", "budeureowotda"}, {"cool", "siwonhaetda"}, {"bright", "balgatda"},
                                  {"calm", "goyohaetda"},    {"clear", "malgatda"},   {"fresh", "sangkwaehaetda"}};
static const phrase feelings[] = {{"happy", "haengbokhaetda"}, {"sad", "seulpeotda"},    {"tired", "pigonhaetda"},
                                  {"proud", "ppudeuthaetda"},  {"hungry", "baegopatda"}, {"cold", "chuwotda"},
                                  {"afraid", "museowotda"},    {"bored", "simsimhaetda"}};
static const int feeling_moods[] = {1, -1, 0, 1, 0, 0, -1, 0};
static const phrase together[] = {
    {"sang a song", "norae eul/reul bulleotda"},       {"told stories", "iyagi eul/reul haetda"},
    {"played a game", "nori eul/reul haetda"},         {"ran #up the hill", "eondeok wi e dallyeogatda"},
    {"drew a @picture", "geurim eul/reul geuryeotda"}, {"climbed a rock", "bawi e ollatda"},
    {"built a @tower", "tap eul/reul ssahatda"},       {"danced in a circle", "dunggeulge chumchueotda"},
    {"sat #on the ground", "ttang wi e anjatda"},      {"made a fire", "bul eul/reul piwotda"}};
static const phrase alone[] = {
    {"looked around", "jubyeon eul/reul dulleobwatda"},         {"picked some @flowers", "kkot eul/reul ttatda"},
    {"read %h @letter", "%h ui pyeonji eul/reul ilgeotda"},     {"drank some water", "mul eul/reul masyeotda"},
    {"waved at the birds", "saedeul ege soneul heundeureotda"}, {"washed %h hands", "%h ui son eul/reul ssiseotda"},
    {"wrote %h name", "%h ui ireum eul/reul sseotda"},          {"laughed", "useotda"},
    {"listened to the wind", "baram sori eul/reul deureotda"},  {"yawned", "hapumhaetda"},
    {"ate %h @bread", "%h ui ppang eul/reul meogeotda"},        {"hummed a tune", "gokjo eul/reul heungeolgeoryeotda"}};
static const phrase closings[] = {
    {"Then they went home.", "geurigo geudeul eun/neun jip e gatda."},
    {"In the end they said goodbye.", "machimnae geudeul eun/neun jakbyeol insa eul/reul haetda."},
    {"At last it was time to go home.", "deudieo jip e gal sigan ieotda/yeotda."},
    {"Later they told everybody about it.", "najunge geudeul eun/neun modu ege geugeot eul/reul malhaetda."}};

/* In a sentence, %0 to %2 stand for the value of the fact it is about, in one of its forms, and
 * %p person  %h "her" or "his", that person's  %L person who leads  %s scene  %o new object  %k the fact's
 * object  %a adjective  %n animal  %v its act  %A what is around  %w how it is  %f feeling  %t act of all
 * %i act of one  %P placing verb  %F finding verb  %u "apple" or "apples"  %x %y the two whom the story is about.
 * The word or slot after @ names a thing; from # to the end of the pattern or sentence is a place.
 *
 * The pattern in Sori has the same slots in another order: who, where, what, and the verb last. Particles follow their
 * word and have two forms, after a consonant and after a vowel: "gong eul", "moja reul". */
typedef struct kind_words {
    const char *name;
    unsigned values;
    phrase forms[6][3];
    phrase first;     /* says the fact, without the full stop */
    phrase tail;      /* may follow at once, and already depends on it; NULL: never */
    phrase echoes[3]; /* come back to it later */
    unsigned n_echoes;
} kind_words;

static const kind_words kinds[STORY_PLACE] = {
    {"time",
     2,
     {{{"day", "nat"}, {"sun", "hae"}}, {{"night", "bam"}, {"moon", "dal"}}},
     {"It was %0", "%0 ieotda/yeotda"},
     {"and they saw the %1", "geudeul i/ga %1 eul/reul bwatda"},
     {{"It was still %0.", "ajik %0 ieotda/yeotda."},
      {"They looked up at the %1.", "geudeul i/ga %1 eul/reul ollyeodabwatda."},
      {"Above them was the %1.", "geudeul wi e %1 i/ga isseotda."}},
     3},
    {"news",
     2,
     {{{"good", "joeun"}, {"glad", "gippeotda"}}, {{"bad", "nappeun"}, {"upset", "soksanghaetda"}}},
     {"They had some %0 news", "geudeul ege %0 sosik i/ga isseotda"},
     {"and felt %1", "geudeul i/ga %1"},
     {{"%p thought about the %0 news.", "%p i/ga %0 sosik eul/reul saenggakhaetda."},
      {"It was such %0 news.", "jeongmal %0 sosik ieotda/yeotda."},
      {"%p felt %1 about the news.", "%p i/ga sosik e %1."}},
     3},
    {"leader",
     2,
     {{{"she", "geunyeo"}, {"her", "geunyeo"}, {"her", "geunyeo"}}, {{"he", "geu"}, {"him", "geu"}, {"his", "geu"}}},
     {"%L was the leader", "%L i/ga daejang ieotda/yeotda"},
     {"and lost %2 way", "%2 ui gil eul/reul ireotda"},
     {{"The leader lost %2 way.", "daejang i/ga %2 ui gil eul/reul ireotda."},
      {"They asked the leader if %0 was well.", "geudeul i/ga daejang ege %0 i/ga jal inneunji mureotda."},
      {"Everybody followed %1.", "modu i/ga %1 eul/reul ttaratda."}},
     3},
    {"team",
     3,
     {{{"red", "ppalgan"}}, {{"blue", "paran"}}, {{"green", "chorok"}}},
     {"They were the %0 team", "geudeul i/ga %0 tim ieotda/yeotda"},
     {"and had a %0 @flag", "geudeul ege %0 gitbal i/ga isseotda"},
     {{"They waved the %0 @flag.", "geudeul i/ga %0 gitbal eul/reul heundeureotda."},
      {"%p put on a %0 @cap.", "%p i/ga %0 kaep eul/reul sseotda."},
      {"They cheered for the %0 team.", "geudeul i/ga %0 tim eul/reul eungwonhaetda."}},
     3},
    {"pet",
     4,
     {{{"dog", "gae"}}, {{"cat", "goyangi"}}, {{"pig", "dwaeji"}}, {{"duck", "ori"}}},
     {"They had a %0 with them", "geudeul ege %0 i/ga isseotda"},
     {"and fed the %0", "%0 ege meogi eul/reul jueotda"},
     {{"%p fed the %0.", "%p i/ga %0 ege meogi eul/reul jueotda."},
      {"They called their %0.", "geudeul i/ga geudeul ui %0 eul/reul bulleotda."},
      {"%p played with the %0.", "%p i/ga %0 gwa/wa noratda."}},
     3},
    {"door",
     2,
     {{{"open", "yeollyeo"}, {"opened", "yeoreotda"}}, {{"closed", "dachyeo"}, {"closed", "dadatda"}}},
     {"The @door was %0", "mun i/ga %0 isseotda"},
     {NULL, NULL},
     {{"The @door was still %0.", "mun i/ga ajik %0 isseotda."},
      {"They saw that the @door was %0.", "geudeul i/ga mun i/ga %0 inneun geot eul/reul bwatda."}},
     2},
    {"lamp",
     2,
     {{{"on", "kyeojyeo"}}, {{"off", "kkeojyeo"}}},
     {"The @lamp was %0", "deungbul i/ga %0 isseotda"},
     {NULL, NULL},
     {{"The @lamp was still %0.", "deungbul i/ga ajik %0 isseotda."},
      {"They saw that the @lamp was %0.", "geudeul i/ga deungbul i/ga %0 inneun geot eul/reul bwatda."}},
     2},
    {"apples",
     6,
     {{{"no", "yeong"}}, {{"one", "han"}}, {{"two", "du"}}, {{"three", "se"}}, {{"four", "ne"}}, {{"five", "daseot"}}},
     {"The @basket held %0 @%u", "baguni e sagwa i/ga %0 gae isseotda"},
     {NULL, NULL},
     {{"Now the @basket held %0 @%u.", "ije baguni e sagwa i/ga %0 gae isseotda."},
      {"They counted and found %0 @%u.", "geudeul i/ga sagwa eul/reul %0 gae seeotda."}},
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
 * everything is welcome) sees the text after each word, or the translation after each sentence, and may reject it. */
typedef struct story_source {
    unsigned (*pick)(void *user, const unsigned *weights, unsigned n);
    int (*accept)(void *user, const char *text, size_t length);
    void *user;
    int reads_sori; /* `accept` sees the translation */
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
    phrase cast[2];
    const char *sori['z' + 1]; /* the words in each slot; they may have slots, too */
    unsigned girl;             /* index of the girl in `cast` */
    unsigned person;           /* index of the person named last */
    int mood;                  /* of this sentence */
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
    if (t->source->accept && !t->source->reads_sori && !t->lost &&
        !t->source->accept(t->source->user, t->out->text, t->out->length))
        t->lost = 1;
}

static void put_slot_words(teller *t, char slot, phrase words)
{
    put_words(t, words.english);
    t->sori[(int)slot] = words.sori;
}

static const char *key_of(const fact *f)
{
    return f->kind == STORY_PLACE ? objects[f->object].english : story_kind_name(f->kind);
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

static void put_person(teller *t, char slot, unsigned who)
{
    const size_t at = t->out->length + (t->out->length > 0);
    put_slot_words(t, slot, t->cast[who]);
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
            (story_sentence){at, out->length - at, 0, 0, about ? about->kind : STORY_KINDS, t->mood};
    t->mood = 0;
}

/* ---- sentences --------------------------------------------------------------------------------------------------- */

static phrase pick_word(teller *t, const phrase *list, unsigned n) { return list[pick_even(t, n)]; }

static void put_object(teller *t, fact *about)
{
    unsigned weights[COUNT(objects)];
    for (unsigned i = 0; i < COUNT(objects); i++)
        weights[i] = 1;
    for (unsigned i = 0; i < t->n_facts; i++)
        if (t->facts[i].kind == STORY_PLACE && &t->facts[i] != about)
            weights[t->facts[i].object] = 0;
    about->object = pick(t, weights, COUNT(objects));
    put_slot_words(t, 'o', objects[about->object]);
}

static void put_leader(teller *t, fact *about)
{
    unsigned weights[] = {1, 1};
    weights[!t->girl] = !t->settings->girls_lead;
    const unsigned who = pick(t, weights, 2);
    about->value = who == t->girl ? 0 : 1;
    put_value(t, about, t->cast[who].english, kinds[STORY_LEADER].forms[about->value][0].english, 2);
    t->sori['L'] = t->cast[who].sori;
    about->named = about->said;
    about->named_length = strlen(t->cast[who].english);
    add_name(t, STORY_A_PERSON, about->said);
}

/* Says the value of a fact. The place of an object is decided here, when it is put there. */
static void put_form(teller *t, fact *about, unsigned form)
{
    phrase said;
    if (about->kind == STORY_PLACE) {
        if (!about->told)
            about->value = pick_even(t, COUNT(places));
        said = places[about->value];
        put_value(t, about, said.english, said.english, COUNT(places));
    } else {
        const kind_words *words = &kinds[about->kind == STORY_SWITCH ? STORY_LAMP : about->kind];
        said = words->forms[about->value][form];
        put_value(t, about, said.english, words->forms[about->value][0].english, words->values);
        if (about->kind == STORY_NEWS)
            t->mood = about->value ? -1 : 1;
    }
    t->sori['0' + form] = said.sori;
    if (about->kind == STORY_DOOR || (form == 0 && about->kind != STORY_LEADER)) {
        about->named = about->said;
        about->named_length = strlen(said.english);
    }
}

static void fill(teller *t, const char *pattern, fact *about);

/* Slots that any word of a list may fill. */
static const struct slot_words {
    char slot;
    unsigned n;
    const phrase *words;
} slots[] = {
    {'s', COUNT(scenes), scenes},     {'a', COUNT(adjectives), adjectives},
    {'n', COUNT(animals), animals},   {'v', COUNT(animal_acts), animal_acts},
    {'A', COUNT(airs), airs},         {'w', COUNT(air_ways), air_ways},
    {'f', COUNT(feelings), feelings}, {'P', COUNT(placings), placings},
    {'F', COUNT(findings), findings},
};

static void put_slot(teller *t, char slot, fact *about)
{
    static const phrase hers[] = {{"his", "geu"}, {"her", "geunyeo"}}, apples[] = {{"apples", ""}, {"apple", ""}};
    for (unsigned i = 0; i < COUNT(slots); i++)
        if (slots[i].slot == slot) {
            const unsigned choice = pick_even(t, slots[i].n);
            put_slot_words(t, slot, slots[i].words[choice]);
            if (slot == 'f')
                t->mood = feeling_moods[choice];
        }
    if (slot >= '0' && slot <= '2')
        put_form(t, about, (unsigned)(slot - '0'));
    else if (slot == 'p')
        put_person(t, slot, t->person = pick_even(t, 2));
    else if (slot == 'x' || slot == 'y') {
        const unsigned i = slot == 'y';
        t->cast[i] = i == t->girl ? pick_word(t, girls, COUNT(girls)) : pick_word(t, boys, COUNT(boys));
        put_person(t, slot, i);
    } else if (slot == 'h')
        put_slot_words(t, slot, hers[t->person == t->girl]);
    else if (slot == 'L')
        put_leader(t, about);
    else if (slot == 'o')
        put_object(t, about);
    else if (slot == 'k')
        put_slot_words(t, slot, objects[about->object]);
    else if (slot == 't' || slot == 'i') {
        const phrase act = slot == 't' ? pick_word(t, together, COUNT(together)) : pick_word(t, alone, COUNT(alone));
        fill(t, act.english, NULL);
        t->sori[(int)slot] = act.sori;
    } else if (slot == 'u')
        put_slot_words(t, slot, apples[about->value == 1]);
}

/* Says a sentence or a part of one in English and fills its slots. `about` may be NULL if no slot needs it. */
static void fill(teller *t, const char *pattern, fact *about)
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

/* Returns the new length. */
static size_t append(char *text, size_t length, const char *words, size_t n)
{
    memcpy(text + length, words, n);
    text[length + n] = '\0';
    return length + n;
}

/* Replaces the ending of a verb: "bwatda" and "go" become "bwatgo". Every pattern in Sori ends with such a verb. */
static size_t put_ending(char *text, size_t length, const char *ending)
{
    const size_t n = strlen(ending);
    length -= sizeof "da" - 1;
    memcpy(text + length, ending, n + 1);
    return length + n;
}

/* Adds a pattern in Sori, its slots filled with the words of the English one. A particle gets the form that fits. */
static void translate(teller *t, const char *pattern)
{
    story *out = t->out;
    for (size_t n; !t->lost && *pattern; pattern += n) {
        const char *word = pattern, *particle;
        const char last = out->sori_length > 0 ? out->sori[out->sori_length - 1] : '.';
        n = *word == '%' ? 2 : *word == ' ' || *word == '.' ? 1 : strcspn(word, " .");
        size_t length = n;
        if (*word == '%') {
            translate(t, t->sori[(int)word[1]]);
            continue;
        }
        if (*word == ' ')
            continue;
        if ((particle = memchr(word, '/', n)) != NULL) {
            const int after_vowel = strchr("aeiou", last) != NULL;
            length = after_vowel ? n - (size_t)(particle - word) - 1 : (size_t)(particle - word);
            word = after_vowel ? particle + 1 : word;
        }
        if (out->sori_length + length + 2 > STORY_TEXT_SIZE) {
            t->lost = 1;
            return;
        }
        if (*word != '.' && out->sori_length > 0)
            out->sori_length = append(out->sori, out->sori_length, " ", 1);
        out->sori_length = append(out->sori, out->sori_length, word, length);
        if (*word == '.' && out->n_sentences > 0) {
            story_sentence *ended = &out->sentences[out->n_sentences - 1];
            const size_t before = out->n_sentences > 1 ? ended[-1].sori_at + ended[-1].sori_length + 1 : 0;
            ended->sori_at = before;
            ended->sori_length = out->sori_length - before;
            if (t->source->reads_sori && !t->source->accept(t->source->user, out->sori, out->sori_length))
                t->lost = 1;
        }
    }
}

/* Says a sentence or a part of one in both languages. A second part makes the verb of the first one go on. */
static void say(teller *t, phrase pattern, fact *about)
{
    story *out = t->out;
    fill(t, pattern.english, about);
    if (!t->lost && *pattern.sori != '.' && out->sori_length > 0 && out->sori[out->sori_length - 1] != '.')
        out->sori_length = put_ending(out->sori, out->sori_length, "go");
    translate(t, pattern.sori);
}

static void say_filler(teller *t)
{
    static const phrase patterns[] = {
        {"A %a %n %v.", "%a %n i/ga %v."}, {"The %A was %w.", "%A i/ga %w."},
        {"%p was %f.", "%p eun/neun %f."}, {"The children %t.", "aideul eun/neun %t."},
        {"%p %i.", "%p eun/neun %i."},     {"%p met a %a %n.", "%p eun/neun %a %n eul/reul mannatda."}};
    static const unsigned weights[] = {2, 1, 2, 2, 3, 1};
    say(t, patterns[pick(t, weights, COUNT(patterns))], NULL);
}

static const phrase full_stop = {".", "."};

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
    if (kinds[made->kind].tail.english && pick_even(t, 2))
        say(t, kinds[made->kind].tail, made);
    say(t, full_stop, made);
}

/* Puts an object somewhere, a new one (NULL) or one that was put somewhere before. */
static void say_placing(teller *t, fact *moved)
{
    fact *put = moved ? moved : new_fact(t, STORY_PLACE);
    t->n_objects += moved == NULL;
    put->who = t->out->length + 1;
    put->told = 0;
    say(t,
        moved ? (phrase){"%p %P the @%k #%0.", "%p i/ga %0 e %k eul/reul %P."}
              : (phrase){"%p %P the @%o #%0.", "%p i/ga %0 e %o eul/reul %P."},
        put);
    put->who_length = strlen(t->cast[t->person].english);
}

static void say_echo(teller *t, fact *about)
{
    if (about->kind == STORY_PLACE)
        say(t, (phrase){"%p %F the @%k #%0.", "%p i/ga %0 eseo %k eul/reul %F."}, about);
    else if (about->kind == STORY_SWITCH)
        say(t, (phrase){"Now the @lamp was %0.", "ije deungbul i/ga %0 isseotda."}, about);
    else
        say(t, kinds[about->kind].echoes[pick_even(t, kinds[about->kind].n_echoes)], about);
}

static void say_apple_change(teller *t, fact *apples)
{
    const unsigned added = pick_two(t, apples->value > 0, apples->value < 5);
    apples->value += added ? 1u : ~0u;
    apples->changes++;
    say(t,
        added ? (phrase){"%p added an @apple", "%p i/ga sagwa eul/reul deohaetda"}
              : (phrase){"%p took an @apple", "%p i/ga sagwa eul/reul gajyeogatda"},
        apples);
    if (pick_two(t, 1, 2))
        say(t,
            added ? (phrase){"and made it %0 @%u", "sagwa eul/reul %0 gae mandeureotda"}
                  : (phrase){"and left %0 @%u", "sagwa eul/reul %0 gae namgyeotda"},
            apples);
    say(t, full_stop, apples);
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
        say(t, (phrase){"%p pressed the @switch.", "%p i/ga seuwichi eul/reul nulleotda."}, state);
    } else {
        state->told = 0; /* the words below tell it anew */
        say(t,
            state->kind == STORY_DOOR
                ? (phrase){"%p %1 the @door.", "%p i/ga mun eul/reul %1."}
                : (phrase){"%p turned the @lamp %0.", "%p i/ga deungbul eul/reul %0 itge haetda."},
            state);
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
    out->girl = t.girl = pick_even(&t, 2);
    if (is_switch) {
        fact *lamp = new_fact(&t, STORY_SWITCH);
        say(&t, (phrase){"%x and %y found an old @lamp.", "%x gwa/wa %y i/ga nalgeun deungbul eul/reul chajatda."},
            lamp);
        lamp->value = pick_even(&t, 2);
        say(&t, (phrase){"The @lamp was %0.", "deungbul i/ga %0 isseotda."}, lamp);
    } else {
        say(&t, (phrase){"%x and %y were #in the %s.", "%x gwa/wa %y i/ga %s e isseotda."}, NULL);
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
    return (story_settings){{12, 34}, {2, 3}, {1, 1}, {1, 2}, 150, 100, 30, 30, 10, 8, 0, 0};
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
    size_t same;    /* bytes of this walk that are known to be those of the text */
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
    size_t same = s->same;
    while (same < length && same < s->length && text[same] == s->text[same])
        same++;
    s->same = same;
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

int story_read(const story_settings *settings, story_language language, const char *text, story *out)
{
    search s = {.text = text, .length = strlen(text)};
    const story_source walk = {pick_searched, accept_same, &s, language == STORY_SORI};
    story tried;
    int found = 0;
    memset(out, 0, sizeof(*out));
    if (!is_sensible(settings))
        return 0;
    do {
        s.depth = 0;
        s.same = 0;
        narrate(settings, &walk, &tried);
        const char *said = language == STORY_SORI ? tried.sori : tried.text;
        if (strlen(said) == s.length && memcmp(said, text, s.length) == 0 && found++ == 0)
            *out = tried;
    } while (found < 2 && turn_back(&s));
    if (!found)
        out->length = s.reached;
    return found;
}

/* ---- pairs of sentences ------------------------------------------------------------------------------------------ */

void story_join(const story *told, size_t first, size_t n, uint64_t seed, story_pair *out)
{
    static const phrase joints[] = {{" and ", "go"}, {" but ", "jiman"}, {" because ", "gi ttaemune"}};
    unsigned char joint[STORY_SENTENCES] = {0}; /* between sentence i and the one before it */
    size_t because = 0;                         /* the first sentence of the reason; 0: there is none */
    uint64_t state = seed;
    memset(out, 0, sizeof *out);
    for (size_t i = 1; i < n; i++)
        joint[i] = random_below(&state, 4) == 0;
    if (n > 1 && random_below(&state, 2))
        because = 1 + (size_t)random_below(&state, n - 1);
    joint[because] = 2;
    for (size_t i = 0; i < n; i++) {
        const story_sentence *s = &told->sentences[first + i];
        int begins_with_name = i == 0;
        for (size_t k = 0; k < told->n_names; k++)
            begins_with_name |= told->names[k].at == s->at;
        if (i > 0)
            out->length = append(out->text, out->length, joints[joint[i]].english, strlen(joints[joint[i]].english));
        const size_t at = out->length;
        out->length = append(out->text, at, told->text + s->at, s->length - 1);
        if (!begins_with_name)
            out->text[at] = (char)(out->text[at] - 'A' + 'a');
    }
    for (size_t i = 0; i < n; i++) {
        const size_t which = (because + i) % n;
        const story_sentence *s = &told->sentences[first + which];
        if (i > 0)
            out->sori_length = append(out->sori, out->sori_length, " ", 1);
        out->sori_length = append(out->sori, out->sori_length, told->sori + s->sori_at, s->sori_length - 1);
        if (i + 1 < n)
            out->sori_length =
                put_ending(out->sori, out->sori_length, joints[which + 1 == n ? 2 : joint[which + 1]].sori);
    }
    out->length = append(out->text, out->length, ".", 1);
    out->sori_length = append(out->sori, out->sori_length, ".", 1);
    out->words = 1;
    for (size_t i = 0; i < out->length; i++)
        out->words += out->text[i] == ' ' || out->text[i] == '.';
}
