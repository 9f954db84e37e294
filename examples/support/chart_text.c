/*
 * chart_text.c - a chart in 80 columns of a terminal.
 *
 *         1.0 |   MRGLT   MRGLT     GLT     GLT
 *             |
 *         0.5 |--------------------MR------MR--
 *             +--------------------------------
 *                 3-8     9-16    17-32   33-64      distance, tokens
 *     M MLP      1.00     0.99     0.52    0.49
 *
 * Each series has its own place within the columns of an x, so that no mark hides another. The numbers stand in the
 * same columns: the table is the legend of the picture.
 */
#include <stdio.h>
#include <string.h>

#include "chart.h"

enum { WIDTH = 80, ROWS = 12, MOST_WIDE = 10 };

typedef struct picture {
    char rows[ROWS][WIDTH + 1];
    size_t width; /* columns of one x */
    int left;     /* columns before the first */
} picture;

static size_t row_of(double height) { return (size_t)((1 - height) * (ROWS - 1) + 0.5); }

static void put_marks(const chart *c, const chart_axis *axis, picture *p, bool references)
{
    size_t place = 0, n_marks = 0;

    for (size_t i = 0; i < c->n_lines; i++)
        n_marks += c->lines[i].style != CHART_REFERENCE;
    for (size_t i = 0; i < c->n_lines; i++) {
        const chart_series *line = &c->lines[i];
        bool is_reference = line->style == CHART_REFERENCE;
        for (size_t j = 0; j < c->n_x && is_reference == references; j++) {
            double height = chart_height(axis, line->y[j]);
            if (height < 0)
                continue;
            char *column = p->rows[row_of(height)] + j * p->width;
            if (is_reference)
                memset(column, line->mark, p->width);
            else
                column[(p->width - (p->width > n_marks ? n_marks : p->width)) / 2 + place] = line->mark;
        }
        place += !is_reference;
    }
}

/* The value that belongs to a row of the picture, if a tick falls into it. */
static const double *tick_at(const chart_axis *axis, size_t row)
{
    for (size_t i = 0; i < axis->n_ticks; i++)
        if (row_of(chart_height(axis, axis->ticks[i])) == row)
            return &axis->ticks[i];
    return NULL;
}

static void print_tick(const chart_axis *axis, int left, size_t row)
{
    const double *tick = tick_at(axis, row);

    if (tick == NULL)
        printf("%*s |", left - 2, "");
    else
        printf("%*.6g +", left - 2, *tick);
}

static void print_trimmed(const char *text)
{
    size_t size = strlen(text);

    while (size > 0 && text[size - 1] == ' ')
        size--;
    printf("%.*s\n", (int)size, text);
}

static void print_picture(const chart *c, picture *p)
{
    chart_axis axis = chart_y_axis(c);

    for (size_t row = 0; row < ROWS; row++) {
        memset(p->rows[row], ' ', c->n_x * p->width);
        p->rows[row][c->n_x * p->width] = '\0';
    }
    put_marks(c, &axis, p, true);
    put_marks(c, &axis, p, false);
    for (size_t row = 0; row < ROWS; row++) {
        print_tick(&axis, p->left, row);
        print_trimmed(p->rows[row]);
    }
}

/* A text in the middle of the columns of one x. */
static void centre(char *line, size_t width, size_t j, const char *text)
{
    size_t size = strlen(text), room = width - (width > 0);

    if (size > room)
        size = room;
    memcpy(line + j * width + (width - size) / 2, text, size);
}

/* One line of the table: a text in the middle of each column. */
static void print_row(const chart *c, const picture *p, const char labels[][CHART_LABEL_ROOM])
{
    char line[WIDTH + 1];

    memset(line, ' ', c->n_x * p->width);
    line[c->n_x * p->width] = '\0';
    for (size_t j = 0; j < c->n_x; j++)
        centre(line, p->width, j, labels[j]);
    print_trimmed(line);
}

static void print_rule(const chart *c, const picture *p)
{
    printf("%*s+", p->left - 1, "");
    for (size_t i = 0; i < c->n_x * p->width; i++)
        putchar('-');
    putchar('\n');
}

static void print_table(const chart *c, const picture *p)
{
    char numbers[CHART_MAX_X][CHART_LABEL_ROOM];

    printf("%*s", p->left, "");
    print_row(c, p, c->x);
    for (size_t i = 0; i < c->n_lines; i++) {
        for (size_t j = 0; j < c->n_x; j++)
            chart_number(numbers[j], c->lines[i].y[j], c->decimals);
        printf("  %c %-*s", c->lines[i].mark, p->left - 4, c->lines[i].name);
        print_row(c, p, (const char(*)[CHART_LABEL_ROOM])numbers);
    }
}

/* The widest columns that fit, beside the longest of the names. */
static picture lay_out(const chart *c)
{
    picture p = {.left = 12};

    for (size_t i = 0; i < c->n_lines; i++)
        if (strlen(c->lines[i].name) + 5 > (size_t)p.left)
            p.left = (int)strlen(c->lines[i].name) + 5;
    p.width = (WIDTH - (size_t)p.left) / (c->n_x > 0 ? c->n_x : 1);
    if (p.width > MOST_WIDE)
        p.width = MOST_WIDE;
    return p;
}

void chart_print(const chart *c)
{
    picture p = lay_out(c);

    printf("  %s\n", c->title);
    if (!c->table) {
        printf("  %s, by %s\n\n", c->y_label, c->x_label);
        print_picture(c, &p);
        print_rule(c, &p);
    }
    print_table(c, &p);
    putchar('\n');
}
