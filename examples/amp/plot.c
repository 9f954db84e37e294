/*
 * plot.c - a picture of curves with many points.
 */
#include "plot.h"

#include <math.h>

enum { WIDTH = 720, HEIGHT = 400, LEFT = 80, RIGHT = 560, TOP = 56, BOTTOM = 336 };

/* The axis that shows all x, or all y. */
static chart_axis find_axis(const plot *p, bool is_y)
{
    double low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < p->n_lines; i++)
        for (size_t j = 0; j < p->lines[i].n; j++) {
            double value = is_y ? p->lines[i].y[j] : p->lines[i].x[j];
            low = fmin(low, value);
            high = fmax(high, value);
        }
    if (low == 0 && high == 0) /* chart.h would look for numbers of its own */
        high = 1;
    return chart_y_axis(&(chart){.log_y = is_y && p->log_y, .low = low, .high = high});
}

static double x_of(const chart_axis *axis, double x) { return LEFT + (RIGHT - LEFT) * chart_height(axis, x); }

static double y_of(const chart_axis *axis, double y) { return BOTTOM - (BOTTOM - TOP) * chart_height(axis, y); }

static void write_axes(const plot *p, const chart_axis *x, const chart_axis *y, FILE *file)
{
    char label[CHART_LABEL_ROOM];
    for (size_t i = 0; i < y->n_ticks; i++) {
        double at = y_of(y, y->ticks[i]);
        fprintf(file, "<path d=\"M%d %.1f H%d\" stroke=\"#dddddd\"/>\n", LEFT, at, RIGHT);
        snprintf(label, sizeof label, "%.6g", fabs(y->ticks[i]) < 1e-9 * y->high ? 0 : y->ticks[i]);
        chart_write_text(file, LEFT - 8, at + 4, "text-anchor=\"end\"", label);
    }
    for (size_t i = 0; i < x->n_ticks; i++) {
        snprintf(label, sizeof label, "%.6g", fabs(x->ticks[i]) < 1e-9 * x->high ? 0 : x->ticks[i]);
        chart_write_text(file, x_of(x, x->ticks[i]), BOTTOM + 20, "text-anchor=\"middle\"", label);
    }
    fprintf(file, "<path d=\"M%d %d V%d H%d\" fill=\"none\" stroke=\"#222222\"/>\n", LEFT, TOP, BOTTOM, RIGHT);
    chart_write_text(file, (LEFT + RIGHT) / 2.0, BOTTOM + 46, "text-anchor=\"middle\"", p->x_label);
    fprintf(file, "<g transform=\"translate(22 %d) rotate(-90)\">", (TOP + BOTTOM) / 2);
    chart_write_text(file, 0, 0, "text-anchor=\"middle\"", p->y_label);
    fputs("</g>\n", file);
}

void plot_write_svg(const plot *p, FILE *file)
{
    const chart_axis x = find_axis(p, false), y = find_axis(p, true);
    chart_begin_svg(file, p->title, WIDTH, HEIGHT, 13);
    chart_write_text(file, LEFT, 30, "font-size=\"16\" font-weight=\"bold\"", p->title);
    write_axes(p, &x, &y, file);
    for (size_t i = 0; i < p->n_lines; i++) {
        const plot_line *line = &p->lines[i];
        const char *dashes = line->style == CHART_REFERENCE ? " stroke-dasharray=\"4 4\"" : "";
        double at = TOP + 14 + 24 * (double)i;
        fputs("<path d=\"", file);
        for (size_t j = 0; j < line->n; j++)
            fprintf(file, "%s%.1f %.1f", j > 0 ? "L" : "M", x_of(&x, line->x[j]), y_of(&y, line->y[j]));
        fprintf(file, "\" fill=\"none\" stroke=\"%s\" stroke-width=\"2\"%s/>\n", chart_colour(line->style), dashes);
        fprintf(file, "<path d=\"M%d %.1f h26\" stroke=\"%s\" stroke-width=\"2\"%s/>\n", RIGHT + 16, at,
                chart_colour(line->style), dashes);
        chart_write_text(file, RIGHT + 50, at + 4, "", line->name);
    }
    fputs("</svg>\n", file);
}
