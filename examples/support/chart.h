/*
 * chart.h - a small chart: a few series over a few places on the x axis. It is drawn for a terminal, as an SVG picture
 * and as JSON, all from the same numbers.
 *
 *     chart c = {.name = "memory", .title = "...", .x_label = "distance, tokens", .y_label = "right", .decimals = 2};
 *     chart_x(&c, "1-4");                                 a place on the x axis, and so on
 *     double *y = chart_line(&c, "GPT", 'T', CHART_GPT);  a series: y[i] belongs to place i; NaN where nothing is known
 *     chart_print(&c);                                    80 columns on stdout
 *
 * Strings are the caller's, and live as long as the chart, except those of the x axis, which are copied.
 */
#ifndef EXAMPLES_CHART_H
#define EXAMPLES_CHART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum { CHART_MAX_X = 12, CHART_MAX_LINES = 8, CHART_LABEL_ROOM = 16, CHART_MAX_TICKS = 16 };

/* The colours and shapes of an SVG's lines, one for each family and one for what is no family. */
typedef enum chart_style {
    CHART_MLP,
    CHART_RNN,
    CHART_GRU,
    CHART_LSTM,
    CHART_GPT,
    CHART_REFERENCE, /* dashed and grey: chance, the entropy */
    CHART_N_STYLES
} chart_style;

typedef struct chart_series {
    const char *name;
    char mark; /* in the terminal */
    chart_style style;
    double y[CHART_MAX_X];
} chart_series;

typedef struct chart {
    const char *name; /* a word: of its file, and in JSON */
    const char *title, *x_label, *y_label;
    bool log_y;       /* zeros and what is below cannot be shown then, and are left out of the picture */
    bool apart;       /* places on the x axis have no order: no lines between them */
    bool table;       /* numbers that share no axis: no picture, and `title` is all it says */
    double low, high; /* of the y axis; both 0: what the numbers need */
    int decimals;     /* in the table below the terminal's picture */
    size_t n_x, n_lines;
    char x[CHART_MAX_X][CHART_LABEL_ROOM];
    chart_series lines[CHART_MAX_LINES];
} chart;

/* Adds a place on the x axis; beyond CHART_MAX_X nothing is added. */
void chart_x(chart *c, const char *label);

/* Adds n places, 1, 2, 4, 8 and so on. */
void chart_powers(chart *c, size_t n);

/* Adds a series of NaNs and returns its numbers, [CHART_MAX_X]. At most CHART_MAX_LINES of them. */
double *chart_line(chart *c, const char *name, char mark, chart_style style);

/* The y axis: from where to where, and the values to write at it. */
typedef struct chart_axis {
    double low, high;
    bool log;
    size_t n_ticks;
    double ticks[CHART_MAX_TICKS];
} chart_axis;

chart_axis chart_y_axis(const chart *c);

/* How high above the axis' low end y is, 0 to 1; -1 for what cannot be shown. */
double chart_height(const chart_axis *axis, double y);

/* A number of the table: plain with `decimals`, or "3e-05" if it would be all zeros. "-" for NaN. */
void chart_number(char room[CHART_LABEL_ROOM], double y, int decimals);

/* To stdout, 80 columns: the picture, and below it the numbers, which are its legend. */
void chart_print(const chart *c);

/* A self-contained picture of 720 x 400 points. A table has none. */
void chart_write_svg(const chart *c, FILE *file);

/* An object {"name", "title", "x_label", "y_label", "x", "lines"}; unknown numbers are null. */
void chart_write_json(const chart *c, FILE *file);

/* A text as JSON has it, quotes included; and as XML has it. */
void chart_write_quoted(const char *text, FILE *file);
void chart_write_escaped(const char *text, FILE *file);

#endif
