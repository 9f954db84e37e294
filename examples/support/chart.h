/*
 * chart.h - a small chart: a few series over a few places on the x axis, shown in a terminal, as an SVG picture and as
 * JSON.
 *
 *     chart c = {.name = "memory", .title = "...", .x_label = "distance, tokens", .y_label = "right", .decimals = 2};
 *     chart_x(&c, "1-4");                                 a place on the x axis, and so on
 *     double *y = chart_line(&c, "GPT", 'T', CHART_GPT);  a series: y[i] belongs to place i; NaN: unknown
 *     chart_print(&c);                                    on stdout, as wide as the terminal
 *
 * The strings belong to the caller and must live as long as the chart. Labels of the x axis are copied.
 */
#ifndef EXAMPLES_CHART_H
#define EXAMPLES_CHART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum { CHART_MAX_X = 12, CHART_MAX_LINES = 8, CHART_LABEL_ROOM = 16, CHART_MAX_TICKS = 16 };

/* The colour and shape of a line in the picture: one for each family, and two more. */
typedef enum chart_style {
    CHART_MLP,
    CHART_RNN,
    CHART_GRU,
    CHART_LSTM,
    CHART_GPT,
    CHART_OTHER,     /* grey bars: what another model gave */
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
    const char *name; /* one word, for the file name and JSON */
    const char *title, *x_label, *y_label;
    bool log_y;       /* logarithmic: zeros and negative numbers are left out of the picture */
    bool apart;       /* the places on the x axis have no order: no lines between them */
    bool table;       /* the numbers share no axis: no picture, no axis labels */
    double low, high; /* of the y axis; both 0: chosen from the numbers */
    int decimals;     /* in the terminal's table */
    size_t n_x, n_lines;
    char x[CHART_MAX_X][CHART_LABEL_ROOM];
    chart_series lines[CHART_MAX_LINES];
} chart;

/* Adds a place on the x axis, up to CHART_MAX_X of them. */
void chart_x(chart *c, const char *label);

/* The same with a number for a label. */
void chart_x_number(chart *c, size_t n);

/* Adds n places, 1, 2, 4, 8 and so on. */
void chart_powers(chart *c, size_t n);

/* Adds a series of NaNs and returns its numbers, [CHART_MAX_X]. At most CHART_MAX_LINES of them. */
double *chart_line(chart *c, const char *name, char mark, chart_style style);

/* The y axis: its range and the values written beside it. */
typedef struct chart_axis {
    double low, high;
    bool log;
    size_t n_ticks;
    double ticks[CHART_MAX_TICKS];
} chart_axis;

chart_axis chart_y_axis(const chart *c);

/* The height of y on the axis, 0 to 1; -1 if it cannot be shown. */
double chart_height(const chart_axis *axis, double y);

/* A number of the table: with `decimals`, or like "3e-05" if only zeros would remain. "-" for NaN. */
void chart_number(char room[CHART_LABEL_ROOM], double y, int decimals);

/* Prints to stdout in console_width() columns: the picture, and below it the numbers, which are its legend. No number
   is cut that fits 80 columns. */
void chart_print(const chart *c);

/* Writes a self-contained picture of 720 x 400 points; not for tables. */
void chart_write_svg(const chart *c, FILE *file);

/* Writes an object {"name", "title", "x_label", "y_label", "x", "lines"}; unknown numbers are null. */
void chart_write_json(const chart *c, FILE *file);

/* The colour of a line in a picture, "#e69f00". All can be told apart with every kind of colour blindness. */
const char *chart_colour(chart_style style);

/* What other pictures begin with: a title and a white background. They end with "</svg>". A text has its place and what
   else its element says, `more`: "font-weight=\"bold\"". */
void chart_begin_svg(FILE *file, const char *title, size_t width, size_t height, int font_size);
void chart_write_text(FILE *file, double x, double y, const char *more, const char *text);

/* Writes text as JSON (with quotes), and escaped for XML. */
void chart_write_quoted(const char *text, FILE *file);
void chart_write_escaped(const char *text, FILE *file);

#endif
