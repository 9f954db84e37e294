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
    const story_settings s = {{0, sentences}, {1, 3}, {0, 1}, {1, 3}, 150, 100, 30, 30, put, 4, move, 0};

    return s;
}

static bool starts_with(const char *text, const char *start) { return strncmp(text, start, strlen(start)) == 0; }

static void a_conversation(void **state)
{
    static const char *const expected[][2] = {
        {"Ben and Kate were in the orchard.", "I see."},
        {"Where is Kate?", "Kate is in the orchard."},
        {"It was night. The door was closed. Ben hid the kite behind the shed. Kate found the kite behind the shed. It "
         "was still night. Above them was the moon. Kate put the kite under the table. Then they went home. Is the "
         "news good or bad?",
         "I do not know."},
        {"Summarise the story.", "Ben and Kate were in the orchard at night. The kite was behind the shed."},
        {"Where is the kite?", "The kite is under the table."},
        {"Is it day or night?", "It is night."},
        {"Where was the kite before?", "The kite was behind the shed."},
        {"Where was the kite before?", "The kite was behind the shed."},
        {"Is the door open or closed?", "The door is closed."},
        {"Thanks!", "You are welcome."},
    };
    const story_settings s = settings_of(8, 40, 20);
    talk t;

    (void)state;
    assert_int_equal(talk_tell(&s, 1, 1872, &t), 1);
    assert_int_equal(t.n_turns, sizeof expected / sizeof *expected);
    for (size_t i = 0; i < t.n_turns; i++) {
        assert_string_equal(t.turns[i].said, expected[i][0]);
        assert_string_equal(t.turns[i].answer, expected[i][1]);
    }
    assert_string_equal(t.turns[2].kind, "unknown");
    assert_string_equal(t.turns[4].kind, "where");
    assert_int_equal(t.turns[4].distance, 39);
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

enum { LONGEST = 384, LONGEST_ANSWER = 100, N_QUESTIONS = 1000 };

typedef struct listener_model {
    ink_context *ctx;
    ink_model *model;
    ink_tokenizer *tokenizer;
    ink_chat *chat;
    ink_state *state;
    ink_message messages[2 * TALK_TURNS];
    size_t n_messages;
    ink_token heard[LONGEST]; /* [ink_state_length(state)] */
    float *logits;            /* [vocab_size] */
} listener_model;

/* Says something and compares the answer, token by token the likeliest one. Then the conversation goes on with the
   right answer. False if the context has no room for the turn. */
static bool assistant_turn(listener_model *m, const talk_turn *turn, bool *right)
{
    ink_token ids[LONGEST], token;
    char text[1024];
    size_t n, n_read, n_answer = 0, size, vocab_size = ink_model_get_info(m->model)->vocab_size;
    m->messages[m->n_messages++] = (ink_message){.role = "user", .text = turn->said, .size = strlen(turn->said)};
    const ink_chat_input input = {.messages = m->messages, .n_messages = m->n_messages, .answer = true};
    ink_result result = ink_chat_encode(m->ctx, m->chat, &input, ids, LONGEST, &n);
    if (result == INK_ERROR_LIMIT || n + LONGEST_ANSWER > LONGEST)
        return false;
    assert_ok(m->ctx, result);
    assert_ok(m->ctx, ink_state_follow(m->ctx, m->state, m->heard, ids, n, &n_read));
    assert_ok(m->ctx, ink_model_forward(m->ctx, m->model, m->state, ids + n_read, n - n_read, m->logits));
    memcpy(m->heard, ids, n * sizeof *ids);
    ink_token *answer = m->heard + n;
    while (n_answer < LONGEST_ANSWER) {
        token = 0;
        for (size_t i = 1; i < vocab_size; i++)
            token = m->logits[i] > m->logits[token] ? (ink_token)i : token;
        if (ink_chat_ends(m->chat, token))
            break;
        answer[n_answer++] = token;
        assert_ok(m->ctx, ink_model_forward(m->ctx, m->model, m->state, &token, 1, m->logits));
    }
    assert_ok(m->ctx, ink_tokenizer_decode(m->ctx, m->tokenizer, answer, n_answer, text, sizeof text, &size));
    *right = size == strlen(turn->answer) && memcmp(text, turn->answer, size) == 0;
    m->messages[m->n_messages++] =
        (ink_message){.role = "assistant", .text = turn->answer, .size = strlen(turn->answer)};
    return true;
}

/* Fresh conversations. examples/train/log.md says how many of more of them are right; chance may take some. */
static void the_assistant_answers(void **state)
{
    static const struct {
        const char *kind; /* NULL: all the others */
        double least;
    } groups[] = {{"summary", 0.75}, {"unknown", 0.88}, {"where", 0.98}, {"before", 0.65}, {NULL, 0.88}};
    enum { N_GROUPS = sizeof groups / sizeof *groups };
    static talk t;
    const story_settings s = settings_of(20, 40, 20);
    listener_model m = {.ctx = test_context(1)};
    size_t n = 0, asked[N_GROUPS] = {0}, right[N_GROUPS] = {0};

    (void)state;
    assert_ok(m.ctx, ink_model_open(m.ctx, MODELS "/assistant", NULL, &m.model));
    assert_ok(m.ctx, ink_tokenizer_open(m.ctx, MODELS "/assistant", &m.tokenizer));
    assert_ok(m.ctx, ink_chat_open(m.ctx, MODELS "/assistant", m.tokenizer, NULL, &m.chat));
    assert_string_equal(ink_chat_name(m.chat), "tokenizer_config.json");
    assert_ok(m.ctx, ink_state_create(m.ctx, m.model, LONGEST, &m.state));
    m.logits = malloc(ink_model_get_info(m.model)->vocab_size * sizeof *m.logits);
    for (uint64_t i = 0; n < N_QUESTIONS; i++) {
        assert_int_equal(talk_tell(&s, 2024, i, &t), 1);
        ink_state_reset(m.state);
        m.n_messages = 0;
        bool is_right;
        for (size_t k = 0; k < t.n_turns && assistant_turn(&m, &t.turns[k], &is_right); k++) {
            size_t g = 0;
            while (groups[g].kind != NULL && strcmp(groups[g].kind, t.turns[k].kind) != 0)
                g++;
            asked[g]++;
            right[g] += is_right;
            n++;
        }
    }
    for (size_t g = 0; g < N_GROUPS; g++) {
        const char *name = groups[g].kind != NULL ? groups[g].kind : "others";
        printf("%-8s %zu of %zu\n", name, right[g], asked[g]);
        assert_true((double)right[g] >= groups[g].least * (double)asked[g]);
    }
    free(m.logits);
    ink_state_free(m.state);
    ink_chat_free(m.chat);
    ink_tokenizer_free(m.tokenizer);
    ink_model_free(m.model);
    ink_context_free(m.ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_conversation),
        cmocka_unit_test(answers_are_those_of_the_world),
        cmocka_unit_test(summaries_have_the_opening_facts),
        cmocka_unit_test(settings_without_a_story_are_refused),
        cmocka_unit_test(conversations_have_room),
        cmocka_unit_test(the_assistant_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
