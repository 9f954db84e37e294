/*
 * test_talk.c: the conversations about stories. Their answers are held against what the generator of the stories knows
 * (world.h), which counts its facts in another way. The bundled assistant answers a thousand fresh questions.
 */
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "talk.h"

/* The settings of the conversations that the assistant learned from (examples/train/assistant.py). */
static story_settings settings_of(unsigned sentences, unsigned move, unsigned put)
{
    const story_settings s = {{0, sentences}, {1, 3}, {0, 1}, {1, 3}, 150, 100, 30, 30, put, 4, move};

    return s;
}

static bool starts_with(const char *text, const char *start) { return strncmp(text, start, strlen(start)) == 0; }

static void a_conversation(void **state)
{
    static const char *const expected[][2] = {
        {"Noah and Nora were in the field. It was night and they saw the moon. Noah was the leader and lost his way. "
         "The lamp was off. Nora put the scarf on the roof.",
         "I see."},
        {"They asked the leader if he was well. Noah left the scarf on the chair. Then they went home.", "I see."},
        {"Summarise the story.", "Noah and Nora were in the field at night. The scarf was on the roof."},
        {"Where is the scarf now?", "The scarf is on the chair."},
        {"Where was the scarf before?", "The scarf was on the roof."},
        {"Is it day or night?", "It is night."},
        {"Is the lamp on or off?", "The lamp is off."},
        {"Is the news good or bad?", "I do not know."},
    };
    const story_settings s = settings_of(8, 40, 20);
    talk t;

    (void)state;
    assert_int_equal(talk_tell(&s, 1, 2449, &t), 1);
    assert_int_equal(t.n_turns, sizeof expected / sizeof *expected);
    for (size_t i = 0; i < t.n_turns; i++) {
        assert_string_equal(t.turns[i].said, expected[i][0]);
        assert_string_equal(t.turns[i].answer, expected[i][1]);
    }
    assert_string_equal(t.turns[3].kind, "where");
    assert_string_equal(t.turns[4].kind, "before");
    assert_string_equal(t.turns[7].kind, "unknown");
}

/* Where a whole story was told first, answers are those that the story itself ends with. */
static void answers_are_those_of_the_world(void **state)
{
    static talk t;
    const story_settings s = settings_of(20, 40, 20);
    size_t n_checked = 0, n_unknown = 0;
    story tale;

    (void)state;
    for (uint64_t i = 0; i < 3000; i++) {
        assert_int_equal(talk_tell(&s, 3, i, &t), 1);
        assert_int_equal(story_tell(&s, 3, i, &tale), 1);
        assert_true(t.n_turns > 0);
        if (!starts_with(t.turns[0].said, "Summarise: "))
            continue;
        assert_string_equal(t.turns[0].said + strlen("Summarise: "), tale.text);
        for (size_t k = 1; k < t.n_turns; k++) {
            const talk_turn *turn = &t.turns[k];
            const story_answer *found = NULL;
            char value[64], question[128];
            bool where = strcmp(turn->kind, "where") == 0;
            for (size_t a = 0; a < tale.n_answers; a++) {
                snprintf(question, sizeof question, "here is the %s", tale.answers[a].key);
                bool same = where ? strstr(turn->said, question) != NULL
                                  : strcmp(turn->kind, story_kind_name(tale.answers[a].kind)) == 0;
                if (same)
                    found = &tale.answers[a];
                if (strcmp(turn->kind, "unknown") == 0 && tale.answers[a].kind == STORY_PLACE)
                    assert_null(strstr(turn->said, question));
            }
            n_unknown += strcmp(turn->kind, "unknown") == 0;
            if (found == NULL) {
                assert_false(where);
                continue;
            }
            const size_t length = memcmp(tale.text + found->at, "opened", 6) == 0 ? 4 : found->length;
            snprintf(value, sizeof value, "%.*s", (int)length, tale.text + found->at);
            assert_non_null(strstr(turn->answer, value));
            n_checked++;
        }
    }
    printf("%zu answers, %zu questions without one\n", n_checked, n_unknown);
    assert_true(n_checked > 800 && n_unknown > 200);
}

/* Where objects are put in the opening alone and never moved, the story's own answers make its summary. */
static void summaries_have_the_opening_facts(void **state)
{
    static talk t;
    const story_settings s = settings_of(20, 0, 0);
    size_t n_checked = 0;
    story tale;

    (void)state;
    for (uint64_t i = 0; i < 3000; i++) {
        assert_int_equal(talk_tell(&s, 4, i, &t), 1);
        assert_int_equal(story_tell(&s, 4, i, &tale), 1);
        if (!starts_with(t.turns[0].said, "Summarise: ") || tale.sentences[0].kind == STORY_SWITCH)
            continue;
        char expected[1024];
        size_t size = tale.sentences[0].length - 1;
        memcpy(expected, tale.text, size);
        const char *time = strstr(tale.text, "It was day")     ? " by day."
                           : strstr(tale.text, "It was night") ? " at night."
                                                               : ".";
        size += (size_t)snprintf(expected + size, sizeof expected - size, "%s", time);
        for (size_t a = 0; a < tale.n_answers; a++)
            if (tale.answers[a].kind == STORY_PLACE)
                size +=
                    (size_t)snprintf(expected + size, sizeof expected - size, " The %s was %.*s.", tale.answers[a].key,
                                     (int)tale.answers[a].length, tale.text + tale.answers[a].at);
        assert_string_equal(t.turns[0].kind, "summary");
        assert_string_equal(t.turns[0].answer, expected);
        n_checked++;
    }
    printf("%zu summaries\n", n_checked);
    assert_true(n_checked > 300);
}

static void settings_without_a_story_are_refused(void **state)
{
    static talk t;
    story_settings s = settings_of(5, 0, 0);

    (void)state;
    s.facts[1] = 9;
    assert_int_equal(talk_tell(&s, 1, 0, &t), 0);
    assert_int_equal(t.n_turns, 0);
}

/* No conversation is cut off by the room that it has. */
static void conversations_have_room(void **state)
{
    static talk t;
    story_settings s = story_settings_default();
    size_t most_turns = 0, most_bytes = 0;

    (void)state;
    for (unsigned i = 0; i < 4000; i++) {
        s.move = i % 2 * 40;
        s.objects[1] = 1 + i % 16;
        assert_int_equal(talk_tell(&s, 5, i, &t), 1);
        most_turns = t.n_turns > most_turns ? t.n_turns : most_turns;
        most_bytes = t.size > most_bytes ? t.size : most_bytes;
    }
    printf("at most %zu turns, %zu bytes\n", most_turns, most_bytes);
    assert_true(most_turns < TALK_TURNS && most_bytes < TALK_TEXT_SIZE / 2);
}

/* ---- the bundled assistant ----------------------------------------------------------------------------------------
 */

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_conversation),
        cmocka_unit_test(answers_are_those_of_the_world),
        cmocka_unit_test(summaries_have_the_opening_facts),
        cmocka_unit_test(settings_without_a_story_are_refused),
        cmocka_unit_test(conversations_have_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
