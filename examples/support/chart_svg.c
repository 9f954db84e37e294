/*
 * chart_svg.c - a chart as a picture that needs nothing else: no script, no font file, no style sheet, and its own
 * background, so that it reads on dark pages as on light ones. Text is text. The colours are those that people with
 * each kind of colour blindness can tell apart (Okabe, Ito 2008), and every line has a shape of its own besides.
 */
#include <math.h>

#include "chart.h"

enum { WIDTH = 720, HEIGHT = 400, LEFT = 88, RIGHT = 600, TOP = 56, BOTTOM = 336, MARK = 5 };

static const char *const colours[CHART_N_STYLES] = {
    [CHART_MLP] = "#e69f00",  [CHART_RNN] = "#d55e00", [CHART_GRU] = "#009e73",
    [CHART_LSTM] = "#56b4e9", [CHART_GPT] = "#0000a0", [CHART_REFERENCE] = "#707070",
};

void chart_write_escaped(const char *text, FILE *file)
{
    for (; *text != '\0'; text++)
        switch (*text) {
        case '&':
            fputs("&amp;", file);
            break;
        case '<':
            fputs("&lt;", file);
            break;
        case '>':
            fputs("&gt;", file);
            break;
        case '"':
            fputs("&quot;", file);
            break;
        default:
            fputc((unsigned char)*text < ' ' ? '?' : *text, file);
            break;
        }
}

static void write_text(FILE *file, double x, double y, const char *more, const char *text)
{
    fprintf(file, "<text x=\"%.1f\" y=\"%.1f\" %s>", x, y, more);
    chart_write_escaped(text, file);
    fputs("</text>\n", file);
}

static double x_of(const chart *c, size_t j) { return LEFT + (RIGHT - LEFT) * ((double)j + 0.5) / (double)c->n_x; }

static double y_of(double height) { return BOTTOM - (BOTTOM - TOP) * height; }

static void write_axes(const chart *c, const chart_axis *axis, FILE *file)
{
    char label[CHART_LABEL_ROOM];

    for (size_t i = 0; i < axis->n_ticks; i++) {
        double y = y_of(chart_height(axis, axis->ticks[i]));
        fprintf(file, "<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\" stroke=\"#dddddd\"/>\n", LEFT, y, RIGHT, y);
        snprintf(label, sizeof label, "%.6g", axis->ticks[i]);
        write_text(file, LEFT - 8, y + 4, "text-anchor=\"end\"", label);
    }
    fprintf(file, "<path d=\"M%d %d V%d H%d\" fill=\"none\" stroke=\"#222222\"/>\n", LEFT, TOP, BOTTOM, RIGHT);
    for (size_t j = 0; j < c->n_x; j++)
        write_text(file, x_of(c, j), BOTTOM + 20, "text-anchor=\"middle\"", c->x[j]);
    write_text(file, (LEFT + RIGHT) / 2.0, BOTTOM + 46, "text-anchor=\"middle\"", c->x_label);
    fprintf(file, "<g transform=\"translate(22 %d) rotate(-90)\">", (TOP + BOTTOM) / 2);
    write_text(file, 0, 0, "text-anchor=\"middle\"", c->y_label);
    fputs("</g>\n", file);
}

/* A dot, a square, a triangle, a diamond, a ring: one for each style. */
static void write_mark(FILE *file, chart_style style, double x, double y)
{
    const char *colour = colours[style];

    switch (style) {
    case CHART_MLP:
        fprintf(file, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%d\" height=\"%d\" fill=\"%s\"/>\n", x - MARK + 1,
                y - MARK + 1, 2 * MARK - 2, 2 * MARK - 2, colour);
        break;
    case CHART_RNN:
        fprintf(file, "<path d=\"M%.1f %.1f l%d %d h%d z\" fill=\"%s\"/>\n", x, y - MARK, MARK, 2 * MARK - 1, -2 * MARK,
                colour);
        break;
    case CHART_GRU:
        fprintf(file, "<path d=\"M%.1f %.1f l%d %d l%d %d l%d %d z\" fill=\"%s\"/>\n", x, y - MARK - 1, MARK + 1,
                MARK + 1, -MARK - 1, MARK + 1, -MARK - 1, -MARK - 1, colour);
        break;
    case CHART_LSTM:
        fprintf(file, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%d\" fill=\"#ffffff\" stroke=\"%s\" stroke-width=\"2\"/>\n",
                x, y, MARK - 1, colour);
        break;
    case CHART_GPT:
        fprintf(file, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%d\" fill=\"%s\"/>\n", x, y, MARK, colour);
        break;
    case CHART_REFERENCE:
    case CHART_N_STYLES:
        break;
    }
}

/* The dashes of a line that is no family's: long for the mark '=', short for any other. */
static const char *dashes(const chart_series *line)
{
    if (line->style != CHART_REFERENCE)
        return "";
    return line->mark == '=' ? " stroke-dasharray=\"14 4\"" : " stroke-dasharray=\"4 4\"";
}

/* The line through what is known; it breaks off where something is not. */
static void write_line(const chart *c, const chart_axis *axis, const chart_series *line, FILE *file)
{
    bool drawing = false;

    fputs("<path d=\"", file);
    for (size_t j = 0; j < c->n_x; j++) {
        double height = chart_height(axis, line->y[j]);
        if (height >= 0)
            fprintf(file, "%s%.1f %.1f ", drawing ? "L" : "M", x_of(c, j), y_of(height));
        drawing = height >= 0;
    }
    fprintf(file, "\" fill=\"none\" stroke=\"%s\" stroke-width=\"2\"%s/>\n", colours[line->style], dashes(line));
}

static void write_series(const chart *c, const chart_axis *axis, const chart_series *line, FILE *file)
{
    if (!c->apart || line->style == CHART_REFERENCE)
        write_line(c, axis, line, file);
    for (size_t j = 0; j < c->n_x; j++) {
        double height = chart_height(axis, line->y[j]);
        if (height >= 0)
            write_mark(file, line->style, x_of(c, j), y_of(height));
    }
}

static void write_legend(const chart *c, FILE *file)
{
    for (size_t i = 0; i < c->n_lines; i++) {
        const chart_series *line = &c->lines[i];
        double y = TOP + 14 + 24 * (double)i;
        fprintf(file, "<path d=\"M%d %.1f h26\" stroke=\"%s\" stroke-width=\"2\"%s/>\n", RIGHT + 16, y,
                colours[line->style], dashes(line));
        write_mark(file, line->style, RIGHT + 29, y);
        write_text(file, RIGHT + 50, y + 4, "", line->name);
    }
}

void chart_write_svg(const chart *c, FILE *file)
{
    chart_axis axis = chart_y_axis(c);

    fprintf(file,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" "
            "font-family=\"sans-serif\" font-size=\"13\" fill=\"#222222\" role=\"img\">\n<title>",
            WIDTH, HEIGHT, WIDTH, HEIGHT);
    chart_write_escaped(c->title, file);
    fprintf(file, "</title>\n<rect width=\"%d\" height=\"%d\" rx=\"8\" fill=\"#ffffff\"/>\n", WIDTH, HEIGHT);
    write_text(file, LEFT, 30, "font-size=\"16\" font-weight=\"bold\"", c->title);
    write_axes(c, &axis, file);
    for (size_t i = 0; i < c->n_lines; i++)
        write_series(c, &axis, &c->lines[i], file);
    write_legend(c, file);
    fputs("</svg>\n", file);
}
