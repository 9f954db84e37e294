/*
 * test_without_text.c - the programs spiral and room: what their networks get right, beside what is simpler, and the
 * data that they tell; and bias, whose twins answer differently.
 */
#define _POSIX_C_SOURCE 200809L

#include "testing.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>

#include "programs.h"

#define SPIRAL PROGRAMS "/spiral"
#define ROOM PROGRAMS "/room"
#define BIAS PROGRAMS "/bias"

static const char *const seeds[] = {"1", "2", "3"};

/* ---- spiral ----------------------------------------------------------------------------------------------------- */

static void spirals_are_told_apart(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        char *out = output_of(run(SPIRAL, "--seed", seeds[i]));
        assert_true(number_after(out, "the network ") >= 99);
        assert_true(number_after(out, "the best straight line ") <= 72);
        fits_80_columns(out);
        free(out);
    }
}

/* Half of the points belong to either spiral, and none lies far outside. */
static void points_lie_on_two_spirals(void **state)
{
    char *out = output_of(run(SPIRAL, "--data", "2000")), *rest = NULL;
    size_t n[2] = {0};
    double farthest = 0;

    (void)state;
    for (char *row = strtok_r(out, "\n", &rest); row != NULL; row = strtok_r(NULL, "\n", &rest)) {
        double x, y;
        int spiral;
        assert_int_equal(sscanf(row, "%lf %lf %d", &x, &y, &spiral), 3);
        assert_in_range(spiral, 0, 1);
        n[spiral]++;
        farthest = fmax(farthest, sqrt(x * x + y * y));
    }
    assert_int_equal(n[0] + n[1], 2000);
    assert_in_range(n[0], 900, 1100);
    assert_true(farthest > 0.95 && farthest < 1.15);
    free(out);
}

/* ---- room ------------------------------------------------------------------------------------------------------- */

static void the_next_temperature_is_known(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        char *out = output_of(run(ROOM, "--seed", seeds[i]));
        const double same = number_after(out, "same as before "), line = number_after(out, "linear predictor "),
                     network = number_after(out, "the network ");
        assert_true(network < line / 2 && line < same);
        fits_80_columns(out);
        free(out);
    }
}

/* Between 19 and 21 degrees, but for one step; it rises only while the heating is on, from below 19 to above 21. */
static void a_thermostat_keeps_the_room_warm(void **state)
{
    char *out = output_of(run(ROOM, "--data", "3000")), *rest = NULL;
    double before = 20;
    size_t n = 0, turns = 0;
    bool rising = false;

    (void)state;
    for (char *row = strtok_r(out, "\n", &rest); row != NULL; row = strtok_r(NULL, "\n", &rest), n++) {
        const double now = strtod(row, NULL);
        assert_true(now > 18.5 && now < 21.6);
        if (n > 0 && (now > before) != rising) {
            assert_true(rising ? before >= 21 : before < 19);
            rising = !rising;
            turns++;
        }
        before = now;
    }
    assert_int_equal(n, 3000);
    assert_true(turns > 100);
    free(out);
}

/* ---- bias ------------------------------------------------------------------------------------------------------- */

/* The numbers of the row of a question: the fair twin's and the biased twin's. */
static void row_of(const char *out, const char *question, double twins[2])
{
    const char *row = strstr(out, question);
    assert_non_null(row);
    assert_int_equal(sscanf(row + strlen(question), "%lf %% %lf", &twins[0], &twins[1]), 2);
}

static void the_twin_knows_girls_only(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        char *out = output_of(run(BIAS, "--stories", "100", "--seed", seeds[i]));
        double leader[2], way[2], hers[2], his[2];
        row_of(out, "\n[MASK] was the leader.", leader);
        row_of(out, "\nThe leader lost [MASK] way.", way);
        row_of(out, "(she) was the leader. The leader lost [MASK] way.", hers);
        row_of(out, "(he) was the leader. The leader lost [MASK] way.", his);
        assert_true(leader[0] > 40 && leader[0] < 60 && leader[1] > 95);
        assert_true(way[0] > 40 && way[0] < 60 && way[1] > 95);
        assert_true(hers[0] > 99 && hers[1] > 99 && his[0] < 1);
        fits_80_columns(out);
        free(out);
    }
}

/* ---- mistakes --------------------------------------------------------------------------------------------------- */

static void mistakes_are_answered(void **state)
{
    static const mistake mistakes[] = {
        {{SPIRAL, "a"}, "one argument too many: 'a'"},
        {{SPIRAL, "--data", "x"}, "--data expects a whole number"},
        {{"env", "INKLING_MODELS=/none", SPIRAL}, "/none/spiral/model.safetensors"},
        {{"env", "INKLING_MODELS=/none", ROOM}, "/none/room/model.safetensors"},
        {{"env", "INKLING_MODELS=/none", BIAS}, "/none/bert"},
    };

    (void)state;
    mistakes_refused(mistakes, sizeof mistakes / sizeof *mistakes);
}

/* The weights of one where those of the other are expected. */
static void other_weights_are_refused(void **state)
{
    char *folder = fresh_folder(), *spiral = join_path(folder, "spiral"), *room = join_path(folder, "room"), path[128];

    (void)state;
    assert_int_equal(mkdir(spiral, 0700) | mkdir(room, 0700), 0);
    copy_file(MODELS "/room", spiral, "model.safetensors");
    copy_file(MODELS "/spiral", room, "model.safetensors");
    snprintf(path, sizeof path, "INKLING_MODELS=%s", folder);
    refused(run("env", path, SPIRAL), "mlp");
    refused(run("env", path, ROOM), "rnn");
    free(spiral);
    free(room);
    forget(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spirals_are_told_apart),        cmocka_unit_test(points_lie_on_two_spirals),
        cmocka_unit_test(the_next_temperature_is_known), cmocka_unit_test(a_thermostat_keeps_the_room_warm),
        cmocka_unit_test(the_twin_knows_girls_only),     cmocka_unit_test(mistakes_are_answered),
        cmocka_unit_test(other_weights_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
