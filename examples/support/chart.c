/*
 * chart.c - what the drawings of a chart share: its series, and the scale of its y axis.
 */
#include "chart.h"

#include <math.h>

#include "stats.h"

void chart_x(chart *c, const char *label)
{
    if (c->n_x < CHART_MAX_X)
        snprintf(c->x[c->n_x++], CHART_LABEL_ROOM, "%s", label);
}

void chart_powers(chart *c, size_t n)
{
    char label[CHART_LABEL_ROOM];

    for (size_t i = 0; i < n; i++) {
        snprintf(label, sizeof label, "%u", 1U << (i % 32));
        chart_x(c, label);
    }
}

double *chart_line(chart *c, const char *name, char mark, chart_style style)
{
    chart_series *line = &c->lines[c->n_lines < CHART_MAX_LINES ? c->n_lines++ : CHART_MAX_LINES - 1];

    *line = (chart_series){.name = name, .mark = mark, .style = style};
    for (size_t i = 0; i < CHART_MAX_X; i++)
        line->y[i] = NAN;
    return line->y;
}

static bool shows(const chart *c, double y) { return isfinite(y) && (!c->log_y || y > 0); }

/* The least and the largest number that can be shown. */
static void find_range(const chart *c, double *low, double *high)
{
    *low = INFINITY;
    *high = -INFINITY;
    for (size_t i = 0; i < c->n_lines; i++)
        for (size_t j = 0; j < c->n_x; j++)
            if (shows(c, c->lines[i].y[j])) {
                *low = fmin(*low, c->lines[i].y[j]);
                *high = fmax(*high, c->lines[i].y[j]);
            }
    if (*low > *high)
        *low = *high = 1;
}

/* 10^n, by multiplication. */
static double power_of_ten(int n)
{
    double p = 1;

    for (int i = 0; i < n; i++)
        p *= 10;
    for (int i = 0; i > n; i--)
        p /= 10;
    return p;
}

/* The largest power of ten that is not above y. */
static int decade(double y)
{
    int n = -30;

    while (power_of_ten(n + 1) <= y * 1.000001 && n < 30)
        n++;
    return n;
}

/* 1, 2 or 5 times a power of ten, so that `span` has three to seven of it. */
static double nice_step(double span)
{
    double step = power_of_ten(decade(span / 3));

    if (span / step > 15)
        return 5 * step;
    return span / step > 6 ? 2 * step : step;
}

static void linear_axis(const chart *c, chart_axis *axis)
{
    double low = c->low, high = c->high;

    if (low == 0 && high == 0) {
        find_range(c, &low, &high);
        if (low > 0 && low < 0.5 * high)
            low = 0;
    }
    double step = nice_step(high > low ? high - low : 1);
    axis->low = floor(low / step + 1e-9) * step;
    axis->high = ceil(high / step - 1e-9) * step;
    if (axis->high <= axis->low)
        axis->high = axis->low + step;
    for (int i = 0; axis->n_ticks < CHART_MAX_TICKS && axis->low + i * step <= axis->high + step / 2; i++)
        axis->ticks[axis->n_ticks++] = axis->low + i * step;
}

static void log_axis(const chart *c, chart_axis *axis)
{
    double low = c->low, high = c->high;
    int first, last;

    if (low == 0 && high == 0)
        find_range(c, &low, &high);
    first = decade(low);
    last = decade(high);
    if (power_of_ten(last) < high * 0.999999)
        last++;
    if (last - first > 30)
        first = last - 30;
    if (last == first)
        last++;
    axis->low = power_of_ten(first);
    axis->high = power_of_ten(last);
    for (int i = first; i <= last; i += 1 + (last - first) / 8)
        axis->ticks[axis->n_ticks++] = power_of_ten(i);
}

chart_axis chart_y_axis(const chart *c)
{
    chart_axis axis = {.log = c->log_y};

    if (c->log_y)
        log_axis(c, &axis);
    else
        linear_axis(c, &axis);
    return axis;
}

double chart_height(const chart_axis *axis, double y)
{
    double height;

    if (!isfinite(y) || (axis->log && !(y > 0)))
        return -1;
    if (axis->log)
        height = (stats_log2(y) - stats_log2(axis->low)) / (stats_log2(axis->high) - stats_log2(axis->low));
    else
        height = (y - axis->low) / (axis->high - axis->low);
    return height >= -0.001 && height <= 1.001 ? fmin(fmax(height, 0), 1) : -1;
}

void chart_number(char room[CHART_LABEL_ROOM], double y, int decimals)
{
    static const char *const units[] = {"", "k", "M", "G"};
    size_t unit = 0;

    if (isnan(y)) {
        snprintf(room, CHART_LABEL_ROOM, "-");
    } else if (y != 0 && fabs(y) < 0.5 * power_of_ten(-decimals)) {
        snprintf(room, CHART_LABEL_ROOM, "%.0e", y);
    } else if (fabs(y) < 9999.5) {
        snprintf(room, CHART_LABEL_ROOM, "%.*f", decimals, y);
    } else {
        for (; fabs(y) >= 999.5 && unit < 3; unit++)
            y /= 1000;
        snprintf(room, CHART_LABEL_ROOM, "%.*f%s", y < 99.95 ? 1 : 0, y, units[unit]);
    }
}

void chart_write_quoted(const char *text, FILE *file)
{
    fputc('"', file);
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < ' ')
            fprintf(file, "\\u%04x", (unsigned)*text);
        else if (*text == '"' || *text == '\\')
            fprintf(file, "\\%c", *text);
        else
            fputc(*text, file);
    }
    fputc('"', file);
}

void chart_write_json(const chart *c, FILE *file)
{
    fputs("{\"name\": ", file);
    chart_write_quoted(c->name, file);
    fputs(", \"title\": ", file);
    chart_write_quoted(c->title, file);
    fputs(", \"x_label\": ", file);
    chart_write_quoted(c->x_label, file);
    fputs(", \"y_label\": ", file);
    chart_write_quoted(c->y_label, file);
    fputs(", \"x\": [", file);
    for (size_t j = 0; j < c->n_x; j++) {
        fputs(j > 0 ? ", " : "", file);
        chart_write_quoted(c->x[j], file);
    }
    fputs("], \"lines\": {", file);
    for (size_t i = 0; i < c->n_lines; i++) {
        fputs(i > 0 ? ", " : "", file);
        chart_write_quoted(c->lines[i].name, file);
        fputs(": [", file);
        for (size_t j = 0; j < c->n_x; j++) {
            fputs(j > 0 ? ", " : "", file);
            if (isfinite(c->lines[i].y[j]))
                fprintf(file, "%.9g", c->lines[i].y[j]);
            else
                fputs("null", file);
        }
        fputc(']', file);
    }
    fputs("}}", file);
}
