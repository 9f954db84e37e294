/*
 * test_stories.c: the story generator's claim is that a text determines the choices that told it, so that the bits it
 * reports are exact. Every story is read back by exhaustive search; the search must find one chain of choices, the same
 * bits and the same facts, and none at all once the text was changed.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

static story_settings with_range(unsigned low, unsigned high)
{
    story_settings s = story_settings_default();

    s.sentences[0] = low;
    s.sentences[1] = high;
    return s;
}

/* Opening and closing only, everything else switched off. */
static story_settings bare(unsigned switches)
{
    const story_settings s = {{0, 0}, {0, 0}, {0, 0}, {0, 0}, 1, 1, 1, 1, 0, switches, 0, 0};

    return s;
}

static void assert_same_story(const story *a, const story *b)
{
    size_t i;

    assert_string_equal(a->text, b->text);
    assert_int_equal(a->tokens, b->tokens);
    assert_int_equal(a->choices, b->choices);
    assert_true(a->bits == b->bits);
    assert_int_equal(a->n_recalls, b->n_recalls);
    for (i = 0; i < a->n_recalls; i++) {
        assert_int_equal(a->recalls[i].kind, b->recalls[i].kind);
        assert_string_equal(a->recalls[i].key, b->recalls[i].key);
        assert_string_equal(a->recalls[i].value, b->recalls[i].value);
        assert_int_equal(a->recalls[i].said, b->recalls[i].said);
        assert_int_equal(a->recalls[i].at, b->recalls[i].at);
        assert_int_equal(a->recalls[i].changes, b->recalls[i].changes);
    }
    assert_int_equal(a->n_sentences, b->n_sentences);
    assert_int_equal(a->n_names, b->n_names);
    for (i = 0; i < a->n_names; i++)
        assert_int_equal(a->names[i].at, b->names[i].at);
    assert_int_equal(a->n_answers, b->n_answers);
    for (i = 0; i < a->n_answers; i++)
        assert_int_equal(a->answers[i].at, b->answers[i].at);
}

static void the_text_determines_the_choices(void **state)
{
    const unsigned ranges[][2] = {{2, 4}, {4, 10}, {12, 34}};
    story told, read;
    uint64_t seed;
    size_t r;

    (void)state;
    for (r = 0; r < 3; r++) {
        story_settings s = with_range(ranges[r][0], ranges[r][1]);
        s.move = r == 1 ? 40 : 0;
        for (seed = 1; seed <= 40; seed++) {
            assert_int_equal(story_tell(&s, seed, r, &told), 1);
            assert_int_equal(story_read(&s, STORY_ENGLISH, told.text, &read), 1);
            assert_same_story(&told, &read);
        }
    }
}

/* Puts another value of the same kind where the story said what was said before. */
static int change_answer(story *s, const story_recall *r)
{
    static const struct {
        story_kind kind;
        const char *is, *becomes;
    } swaps[] = {{STORY_TEAM, "red", "blue"},    {STORY_TEAM, "blue", "red"},    {STORY_TEAM, "green", "red"},
                 {STORY_PET, "dog", "cat"},      {STORY_PET, "cat", "dog"},      {STORY_PET, "pig", "dog"},
                 {STORY_PET, "duck", "pig"},     {STORY_TIME, "day", "night"},   {STORY_TIME, "night", "day"},
                 {STORY_TIME, "sun", "moon"},    {STORY_TIME, "moon", "sun"},    {STORY_SWITCH, "on", "off"},
                 {STORY_SWITCH, "off", "on"},    {STORY_LAMP, "on", "off"},      {STORY_LAMP, "off", "on"},
                 {STORY_APPLES, "two", "three"}, {STORY_APPLES, "three", "two"}, {STORY_LEADER, "her", "his"},
                 {STORY_LEADER, "his", "her"}};
    size_t i;

    for (i = 0; i < sizeof(swaps) / sizeof(swaps[0]); i++) {
        const size_t old = strlen(swaps[i].is), new = strlen(swaps[i].becomes);
        if (swaps[i].kind != r->kind || r->length != old || memcmp(s->text + r->at, swaps[i].is, old) != 0)
            continue;
        memmove(s->text + r->at + new, s->text + r->at + old, s->length - r->at - old + 1);
        memcpy(s->text + r->at, swaps[i].becomes, new);
        return 1;
    }
    return 0;
}

static void an_altered_story_is_not_read(void **state)
{
    const story_settings s = with_range(4, 12);
    story told, read;
    uint64_t index;
    size_t i, altered = 0;

    (void)state;
    for (index = 0; index < 40; index++) {
        story_tell(&s, 77, index, &told);
        for (i = 0; i < told.n_recalls; i++) {
            story changed = told;
            if (!change_answer(&changed, &told.recalls[i]))
                continue;
            altered++;
            assert_int_equal(story_read(&s, STORY_ENGLISH, changed.text, &read), 0);
            assert_in_range(read.length, told.recalls[i].at - 1, told.length);
        }
        told.text[told.length - 1] = '\0';
        assert_int_equal(story_read(&s, STORY_ENGLISH, told.text, &read), 0);
    }
    assert_true(altered > 40);
}

static void a_story_ends_where_it_ends(void **state)
{
    const story_settings s = with_range(3, 3);
    story told, read;

    (void)state;
    story_tell(&s, 5, 0, &told);
    assert_int_equal(story_read(&s, STORY_ENGLISH, told.text, &read), 1);
    strcat(told.text, " Then they went home.");
    assert_int_equal(story_read(&s, STORY_ENGLISH, told.text, &read), 0);
    assert_int_equal(read.length, told.length);
    assert_int_equal(story_read(&s, STORY_ENGLISH, "", &read), 0);
    assert_int_equal(story_read(&s, STORY_ENGLISH, "Once upon a time.", &read), 0);
}

static void bits_are_the_logarithm_of_the_probability(void **state)
{
    const double lamp = log2(2 * 12 * 12 * 2 * 4), scene = log2(2 * 12 * 12 * 8 * 4);
    story_settings s = bare(100);
    unsigned lamps = 0, i;
    story told;

    (void)state;
    story_tell(&s, 1, 0, &told);
    assert_true(fabs(told.bits - lamp) < 1e-9);
    s = bare(25);
    for (i = 0; i < 10000; i++) {
        const int is_lamp = story_tell(&s, 3, i, &told) && strstr(told.text, "lamp") != NULL;
        lamps += (unsigned)is_lamp;
        assert_true(fabs(told.bits - (is_lamp ? lamp + 2 : scene + log2(4. / 3))) < 1e-9);
    }
    assert_in_range(lamps, 2500 - 175, 2500 + 175); /* four standard deviations */
}

static void answers_stand_where_they_are_said_to(void **state)
{
    const story_settings s = story_settings_default();
    unsigned kinds_seen = 0;
    story told;
    uint64_t index;
    size_t i;

    (void)state;
    for (index = 0; index < 500; index++) {
        story_tell(&s, 9, index, &told);
        assert_true(told.tokens <= STORY_TOKENS);
        assert_int_equal(told.length, strlen(told.text));
        for (i = 0; i < told.n_recalls; i++) {
            const story_recall *r = &told.recalls[i];
            kinds_seen |= 1u << r->kind;
            assert_true(r->said < r->at);
            assert_true(r->at + r->length < told.length);
            assert_int_equal(told.text[r->at - 1], ' ');
            assert_true(strchr(" .", told.text[r->at + r->length]) != NULL);
            if (r->kind == STORY_PLACE) { /* the same words right after the same object */
                assert_memory_equal(told.text + r->at, r->value, r->length);
                assert_memory_equal(told.text + r->said, r->value, r->length);
                assert_memory_equal(told.text + r->at - 1 - strlen(r->key), r->key, strlen(r->key));
            }
        }
    }
    assert_int_equal(kinds_seen, (1u << STORY_KINDS) - 1);
}

static int is_at(const story *s, size_t at, size_t length, const char *const *words)
{
    for (; *words != NULL; words++)
        if (strlen(*words) == length && memcmp(s->text + at, *words, length) == 0)
            return 1;
    return 0;
}

/* Where the object was put or seen last, found in the text alone: " the ball " and what follows, up to a full stop. */
static const char *last_place(const story *s, const char *object, const char **first)
{
    char words[32];
    const char *at = s->text, *last = NULL;
    snprintf(words, sizeof words, " the %s ", object);
    *first = strstr(at, words) + strlen(words);
    while ((at = strstr(at, words)) != NULL)
        last = at += strlen(words);
    return last;
}

/* Sentences cover the text, moods follow from a few words, names are names, and an answer is the last that was said,
 * also when objects are moved. */
static void labels_stand_where_they_are_said_to(void **state)
{
    static const char *const glad[] = {"happy", "proud", "good", "glad", NULL};
    static const char *const sad[] = {"sad", "afraid", "bad", "upset", NULL};
    static const char *const prepositions[] = {"in", "on", "up", "under", "behind", NULL};
    static const char *const leader[] = {"leader", NULL};
    story_settings s = story_settings_default();
    unsigned moved = 0, moods = 0, entities = 0;
    story told;

    (void)state;
    s.move = 40;
    s.objects[1] = 3;
    for (uint64_t index = 0; index < 300; index++) {
        size_t at = 0;
        story_tell(&s, 31, index, &told);
        for (size_t i = 0; i < told.n_sentences; at += told.sentences[i++].length + 1) {
            const story_sentence *one = &told.sentences[i];
            int mood = 0;
            assert_int_equal(one->at, at);
            assert_int_equal(told.text[at + one->length - 1], '.');
            for (size_t word = at, end; word < at + one->length - 1; word = end + 1) {
                end = word + strcspn(told.text + word, " .");
                mood = is_at(&told, word, end - word, glad) ? 1 : is_at(&told, word, end - word, sad) ? -1 : mood;
            }
            assert_int_equal(one->mood, mood);
            moods |= 1u << (mood + 1);
        }
        assert_int_equal(at, told.length + 1);
        for (size_t i = 0; i < told.n_names; i++) {
            const story_name *name = &told.names[i];
            const size_t first = strcspn(told.text + name->at, " .");
            entities |= 1u << name->entity;
            assert_true(name->at == 0 || told.text[name->at - 1] == ' ');
            assert_true(strchr(" .", told.text[name->at + name->length]) != NULL);
            assert_int_equal(is_at(&told, name->at, first, prepositions), name->entity == STORY_A_PLACE);
            assert_int_equal(told.text[name->at] < 'a', name->entity == STORY_A_PERSON);
            assert_true(name->entity == STORY_A_PLACE || first == name->length);
        }
        for (size_t i = 0; i < told.n_answers; i++) {
            const story_answer *a = &told.answers[i];
            if (a->kind == STORY_PLACE) {
                const char *first;
                assert_true(told.text + a->at == last_place(&told, a->key, &first));
                assert_true(told.text[a->who] < 'a' && a->who < a->at);
                moved += memcmp(first, told.text + a->at, a->length) != 0;
            } else if (a->kind == STORY_LEADER) {
                assert_true(is_at(&told, a->at + a->length + sizeof " was the", 6, leader));
            }
        }
    }
    assert_true(moved > 100 && moods == 7 && entities == 7);
}

/* Is the lamp on, as a listener works it out who knows its first state and counts the presses? */
static int lamp_is_on(const char *text, size_t length)
{
    const char *press = " pressed the switch.", *at = text;
    int on = strncmp(strstr(text, "The lamp was o") + strlen("The lamp was "), "on", 2) == 0;

    while ((at = strstr(at, press)) != NULL && at < text + length) {
        on = !on;
        at += strlen(press);
    }
    return on;
}

static void the_switch_is_pressed_unseen(void **state)
{
    story_settings s = story_settings_default();
    unsigned looks = 0, presses = 0, many = 0;
    story told;
    uint64_t index;
    size_t i;

    (void)state;
    s.switches = 100;
    for (index = 0; index < 200; index++) {
        story_tell(&s, 21, index, &told);
        for (i = 0; i < told.n_recalls; i++) {
            const story_recall *r = &told.recalls[i];
            assert_int_equal(r->kind, STORY_SWITCH);
            assert_int_equal(lamp_is_on(told.text, r->at), strcmp(r->value, "on") == 0);
            looks++;
            presses += r->changes;
            many += r->changes >= 8;
        }
    }
    assert_true(presses > 3 * looks / 2); /* two looks have more than one press between them, and some many */
    assert_true(many > looks / 100);
}

/* Girls and boys lead as often, or only girls do; and a story with a boy as leader is none of the latter world. */
static void girls_lead(void **state)
{
    story_settings both = with_range(2, 4), girls = both;
    unsigned leaders = 0, by_girls = 0;
    story told, read;

    (void)state;
    girls.girls_lead = 1;
    for (uint64_t index = 0; index < 400; index++) {
        char sentence[64];
        for (unsigned only = 0; only < 2; only++) {
            story_tell(only ? &girls : &both, 5, index, &told);
            const story_name *girl = &told.names[told.girl];
            assert_true(told.girl < 2 && girl->entity == STORY_A_PERSON);
            snprintf(sentence, sizeof sentence, "%.*s was the leader", (int)girl->length, told.text + girl->at);
            const int leads = strstr(told.text, sentence) != NULL, led = strstr(told.text, " was the leader") != NULL;
            if (only) {
                assert_int_equal(leads, led);
            } else if (led) {
                leaders++;
                by_girls += (unsigned)leads;
                assert_int_equal(story_read(&girls, STORY_ENGLISH, told.text, &read), leads);
            }
        }
    }
    assert_true(leaders > 100);
    assert_in_range(by_girls, 2 * leaders / 5, 3 * leaders / 5);
}

/* ---- Sori -------------------------------------------------------------------------------------------------------- */

/* Every kind of sentence, and the forms of every particle. */
static void sentences_are_translated(void **state)
{
    static const char *const expected[][2] = {
        {"Lily and Tom were in the field.", "rilli wa tom i deulpan e isseotda."},
        {"Ella and Noah were in the garden.", "ella wa noa ga jeongwon e isseotda."},
        {"It was night and they saw the moon.", "bam ieotgo geudeul i dal eul bwatda."},
        {"It was day.", "nat ieotda."},
        {"They had some bad news and felt upset.", "geudeul ege nappeun sosik i isseotgo geudeul i soksanghaetda."},
        {"They asked the leader if she was well.", "geudeul i daejang ege geunyeo ga jal inneunji mureotda."},
        {"Everybody followed him.", "modu ga geu reul ttaratda."},
        {"They had a cat with them and fed the cat.",
         "geudeul ege goyangi ga isseotgo goyangi ege meogi reul jueotda."},
        {"Tom played with the dog.", "tom i gae wa noratda."},
        {"They saw that the door was open.", "geudeul i mun i yeollyeo inneun geot eul bwatda."},
        {"Mia closed the door.", "mia ga mun eul dadatda."},
        {"Tom turned the lamp off.", "tom i deungbul eul kkeojyeo itge haetda."},
        {"Mia took an apple and left two apples.", "mia ga sagwa reul gajyeogatgo sagwa reul du gae namgyeotda."},
        {"They counted and found no apples.", "geudeul i sagwa reul yeong gae seeotda."},
        {"Mia put the ball behind the fence.", "mia ga ultari dwi e gong eul dueotda."},
        {"Tom found the hat in the box.", "tom i sangja an eseo moja reul chajatda."},
        {"Tom met a small frog.", "tom eun jageun gaeguri reul mannatda."},
        {"Mia washed her hands.", "mia neun geunyeo ui son eul ssiseotda."},
        {"The children made a fire.", "aideul eun bul eul piwotda."},
        {"Mia pressed the switch.", "mia ga seuwichi reul nulleotda."},
        {"At last it was time to go home.", "deudieo jip e gal sigan ieotda."},
    };
    enum { N = sizeof expected / sizeof expected[0] };
    story_settings s = story_settings_default();
    unsigned seen[N] = {0};
    story told;

    (void)state;
    s.facts[1] = 5;
    s.states[1] = 3;
    s.move = 40;
    for (uint64_t index = 0; index < 6000; index++) {
        story_tell(&s, 3, index, &told);
        for (size_t i = 0; i < told.n_sentences; i++)
            for (size_t k = 0; k < N; k++) {
                const story_sentence *one = &told.sentences[i];
                if (one->length != strlen(expected[k][0]) ||
                    memcmp(told.text + one->at, expected[k][0], one->length) != 0)
                    continue;
                assert_int_equal(one->sori_length, strlen(expected[k][1]));
                assert_memory_equal(told.sori + one->sori_at, expected[k][1], one->sori_length);
                seen[k]++;
            }
    }
    for (size_t k = 0; k < N; k++)
        if (seen[k] == 0)
            fail_msg("never told: %s", expected[k][0]);
}

static int compare_texts(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* Whether two lines "one<tab>other" of the sorted n have the same beginning, but not the same end. */
static int is_ambiguous(char **lines, size_t n)
{
    qsort(lines, n, sizeof *lines, compare_texts);
    for (size_t i = 1; i < n; i++) {
        const size_t length = strcspn(lines[i], "\t") + 1;
        if (strncmp(lines[i], lines[i - 1], length) == 0 && strcmp(lines[i], lines[i - 1]) != 0)
            return 1;
    }
    return 0;
}

/* No English sentence of 30,000 has two translations, and no translation two originals. Joined ones neither. */
static void translation_is_one_to_one(void **state)
{
    enum { MOST = 40000, STORIES = 1500 };
    static const char particles[][2][5] = {{"i", "ga"}, {"eun", "neun"}, {"eul", "reul"}, {"gwa", "wa"}};
    char **there = calloc(MOST, sizeof *there), **back = calloc(MOST, sizeof *back);
    story_settings s = story_settings_default();
    story_pair pair;
    story told;
    size_t n = 0, checked = 0;

    (void)state;
    assert_true(there != NULL && back != NULL);
    s.facts[1] = 5;
    s.states[1] = 3;
    s.move = 40;
    for (uint64_t index = 0; index < STORIES; index++) {
        story_tell(&s, 41, index, &told);
        for (size_t i = 0, count; i < told.n_sentences && n < MOST; i += count, n++) {
            const size_t left = told.n_sentences - i;
            count = 1 + index % 4;
            count = count < left ? count : left;
            story_join(&told, i, count, index ^ i, &pair);
            assert_int_equal(pair.length, strlen(pair.text));
            assert_int_equal(pair.sori_length, strlen(pair.sori));
            const size_t size = pair.length + pair.sori_length + 2;
            there[n] = malloc(size);
            back[n] = malloc(size);
            assert_true(there[n] != NULL && back[n] != NULL);
            snprintf(there[n], size, "%s\t%s", pair.text, pair.sori);
            snprintf(back[n], size, "%s\t%s", pair.sori, pair.text);
            for (char *word = strtok(pair.sori, " ."), last = 0; word != NULL; word = strtok(NULL, " .")) {
                const int vowel = strchr("aeiou", last) != NULL;
                for (size_t k = 0; k < 4; k++)
                    if (strcmp(word, particles[k][0]) == 0 || strcmp(word, particles[k][1]) == 0) {
                        assert_string_equal(word, particles[k][vowel]);
                        checked++;
                    }
                last = word[strlen(word) - 1];
            }
        }
    }
    assert_true(n > 10000 && n < MOST && checked > 2 * n);
    assert_false(is_ambiguous(there, n));
    assert_false(is_ambiguous(back, n));
    for (size_t i = 0; i < n; i++) {
        free(there[i]);
        free(back[i]);
    }
    free(there);
    free(back);
}

/* A story in Sori is read back to the same choices: nothing is lost in translation. */
static void sori_determines_the_choices_too(void **state)
{
    story_settings s = with_range(2, 5);
    story told, read;

    (void)state;
    s.move = 20;
    s.switches = 20;
    for (uint64_t index = 0; index < 12; index++) {
        story_tell(&s, 5, index, &told);
        assert_int_equal(story_read(&s, STORY_SORI, told.sori, &read), 1);
        assert_same_story(&told, &read);
        assert_string_equal(told.sori, read.sori);
        assert_int_equal(story_read(&s, STORY_SORI, told.text, &read), 0);
        told.sori[told.sori_length - 2] = 'o';
        assert_int_equal(story_read(&s, STORY_SORI, told.sori, &read), 0);
    }
}

/* The joints of a story are in both languages, and the reason is said first. */
static void sentences_are_joined(void **state)
{
    const story_settings s = with_range(4, 10);
    story_pair all, pair;
    story told;
    unsigned reasons = 0;

    (void)state;
    for (uint64_t index = 0; index < 300; index++) {
        story_tell(&s, 6, index, &told);
        story_join(&told, 1, 3, index, &pair);
        unsigned words = 1;
        for (const char *at = pair.text; *at != '\0'; at++)
            words += *at == ' ' ? 1 : 0;
        assert_int_equal(pair.words, words + 1);
        assert_int_equal(pair.text[0], told.text[told.sentences[1].at]);
        const char *reason = strstr(pair.text, " because ");
        const char *reason_sori = strstr(pair.sori, "gi ttaemune ");
        assert_int_equal(reason != NULL, reason_sori != NULL);
        if (reason != NULL) { /* the translation ends as that of the clause before "because" does */
            size_t before = 1, length;
            while (told.sentences[1].at + (size_t)(reason - pair.text) >
                   told.sentences[before].at + told.sentences[before].length + 4 * before)
                before++;
            length = told.sentences[before].sori_length;
            assert_memory_equal(pair.sori + pair.sori_length - length, told.sori + told.sentences[before].sori_at,
                                length);
            reasons++;
        }
        story_join(&told, 0, told.n_sentences, index, &all);
        assert_true(all.length < STORY_TEXT_SIZE && all.sori_length < STORY_TEXT_SIZE);
    }
    assert_in_range(reasons, 110, 190);
}

/* The generator is part of the training recipe: another text for the same seed would be another recipe. */
static void a_seed_means_the_same_text_everywhere(void **state)
{
    const story_settings s = story_settings_default();
    uint64_t hash = UINT64_C(0xcbf29ce484222325), sori = hash, index;
    story told;
    size_t i;

    (void)state;
    for (index = 0; index < 1000; index++) {
        story_tell(&s, 1, index, &told);
        for (i = 0; i < told.length; i++)
            hash = (hash ^ (unsigned char)told.text[i]) * UINT64_C(0x100000001b3);
        for (i = 0; i < told.sori_length; i++)
            sori = (sori ^ (unsigned char)told.sori[i]) * UINT64_C(0x100000001b3);
    }
    assert_true(hash == UINT64_C(0x4696d43392ff437f));
    assert_true(sori == UINT64_C(0xd0ec65d5727b30c0));
}

static void senseless_settings_are_refused(void **state)
{
    story_settings s = with_range(5, 4);
    story told;

    (void)state;
    assert_int_equal(story_tell(&s, 1, 0, &told), 0);
    assert_int_equal(told.length, 0);
    s = story_settings_default();
    s.facts[1] = 6;
    assert_int_equal(story_tell(&s, 1, 0, &told), 0);
    s = story_settings_default();
    s.filler = 0;
    assert_int_equal(story_tell(&s, 1, 0, &told), 0);
    s = story_settings_default();
    s.switches = 101;
    assert_int_equal(story_tell(&s, 1, 0, &told), 0);
    assert_int_equal(story_read(&s, STORY_ENGLISH, "Anna", &told), 0);
    s.switches = 100;
    assert_int_equal(story_tell(&s, 1, 0, &told), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_text_determines_the_choices),
        cmocka_unit_test(an_altered_story_is_not_read),
        cmocka_unit_test(a_story_ends_where_it_ends),
        cmocka_unit_test(bits_are_the_logarithm_of_the_probability),
        cmocka_unit_test(answers_stand_where_they_are_said_to),
        cmocka_unit_test(labels_stand_where_they_are_said_to),
        cmocka_unit_test(the_switch_is_pressed_unseen),
        cmocka_unit_test(girls_lead),
        cmocka_unit_test(sentences_are_translated),
        cmocka_unit_test(translation_is_one_to_one),
        cmocka_unit_test(sori_determines_the_choices_too),
        cmocka_unit_test(sentences_are_joined),
        cmocka_unit_test(a_seed_means_the_same_text_everywhere),
        cmocka_unit_test(senseless_settings_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
