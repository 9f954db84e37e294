/*
 * chart.c - a chart: its series, its y axis, and its three forms (terminal, SVG, JSON).
 */
#include "chart.h"

#include <math.h>
#include <string.h>

#include "console.h"
#include "stats.h"

void chart_x(chart *c, const char *label)
{
    if (c->n_x < CHART_MAX_X)
        snprintf(c->x[c->n_x++], CHART_LABEL_ROOM, "%s", label);
}

void chart_x_number(chart *c, size_t n)
{
    char label[CHART_LABEL_ROOM];
    snprintf(label, sizeof label, "%zu", n);
    chart_x(c, label);
}

void chart_powers(chart *c, size_t n)
{
    for (size_t i = 0; i < n; i++)
        chart_x_number(c, (size_t)1 << (i % 32));
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

static void linear_axis(const chart *c, chart_axis *axis)
{
    double low = c->low, high = c->high;
    if (low == 0 && high == 0) {
        find_range(c, &low, &high);
        if (low > 0 && low < 0.5 * high)
            low = 0;
    }
    /* 1, 2 or 5 times a power of ten, so that the axis has three to seven steps. */
    double span = high > low ? high - low : 1, step = power_of_ten(decade(span / 3));
    step *= span / step > 15 ? 5 : span / step > 6 ? 2 : 1;
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
    if (low == 0 && high == 0)
        find_range(c, &low, &high);
    int first = decade(low), last = decade(high);
    last += power_of_ten(last) < high * 0.999999;
    first = last - first > 30 ? last - 30 : first;
    last += last == first;
    axis->low = power_of_ten(first);
    axis->high = power_of_ten(last);
    for (int i = first; i <= last; i += 1 + (last - first) / 8)
        axis->ticks[axis->n_ticks++] = power_of_ten(i);
}

chart_axis chart_y_axis(const chart *c)
{
    chart_axis axis = {.log = c->log_y};
    (c->log_y ? log_axis : linear_axis)(c, &axis);
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

/* ---- terminal --------------------------------------------------------------------------------------------------- */

/*
 *         1.0 |   MRGLT   MRGLT     GLT     GLT
 *             |
 *         0.5 |--------------------MR------MR--
 *             +--------------------------------
 *                 3-8     9-16    17-32   33-64      distance, tokens
 *     M MLP      1.00     0.99     0.52    0.49
 *
 * Within the columns of an x each series has its own place, so that no mark hides another. The numbers below stand in
 * the same columns: the table is the legend of the picture.
 */
enum { ROWS = 12, MOST_WIDE = 10 };

typedef struct picture {
    char rows[ROWS][CONSOLE_WIDEST + 1];
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
        size_t tick = 0;
        while (tick < axis.n_ticks && row_of(chart_height(&axis, axis.ticks[tick])) != row)
            tick++;
        if (tick < axis.n_ticks)
            printf("%*.6g +", p->left - 2, axis.ticks[tick]);
        else
            printf("%*s |", p->left - 2, "");
        print_trimmed(p->rows[row]);
    }
    printf("%*s+", p->left - 1, "");
    for (size_t i = 0; i < c->n_x * p->width; i++)
        putchar('-');
    putchar('\n');
}

/* Prints one line of the table: a text in the middle of the columns of each x. */
static void print_row(const chart *c, const picture *p, const char labels[][CHART_LABEL_ROOM])
{
    char line[CONSOLE_WIDEST + 1];
    memset(line, ' ', c->n_x * p->width);
    line[c->n_x * p->width] = '\0';
    for (size_t j = 0; j < c->n_x; j++) {
        size_t size = strlen(labels[j]), room = p->width - (p->width > 0);
        size = size < room ? size : room;
        memcpy(line + j * p->width + (p->width - size) / 2, labels[j], size);
    }
    print_trimmed(line);
}

/* The columns that each x has: as many as there are room for, but no fewer than its numbers need. */
static size_t width_of_x(const chart *c, size_t left)
{
    const size_t columns = console_width(), n_x = c->n_x > 0 ? c->n_x : 1;
    const size_t width = columns > left ? (columns - left) / n_x : 0, usual = (CONSOLE_USUAL - left) / n_x;
    char number[CHART_LABEL_ROOM];
    size_t needed = 0;
    for (size_t j = 0; j < c->n_x; j++) {
        needed = strlen(c->x[j]) + 1 > needed ? strlen(c->x[j]) + 1 : needed;
        for (size_t i = 0; i < c->n_lines; i++) {
            chart_number(number, c->lines[i].y[j], c->decimals);
            needed = strlen(number) + 1 > needed ? strlen(number) + 1 : needed;
        }
    }
    needed = needed < usual ? needed : usual;
    return width < needed ? needed : width < MOST_WIDE ? width : MOST_WIDE;
}

void chart_print(const chart *c)
{
    char numbers[CHART_MAX_X][CHART_LABEL_ROOM], axes[256];
    picture p = {.left = 12};
    for (size_t i = 0; i < c->n_lines; i++)
        if (strlen(c->lines[i].name) + 5 > (size_t)p.left)
            p.left = (int)strlen(c->lines[i].name) + 5;
    p.width = width_of_x(c, (size_t)p.left);
    fputs("  ", stdout);
    console_wrap(c->title, 2);
    if (!c->table) {
        snprintf(axes, sizeof axes, "%s, by %s", c->y_label, c->x_label);
        fputs("  ", stdout);
        console_wrap(axes, 2);
        putchar('\n');
        print_picture(c, &p);
    }
    printf("%*s", p.left, "");
    print_row(c, &p, c->x);
    for (size_t i = 0; i < c->n_lines; i++) {
        for (size_t j = 0; j < c->n_x; j++)
            chart_number(numbers[j], c->lines[i].y[j], c->decimals);
        printf("  %c %-*s", c->lines[i].mark, p.left - 4, c->lines[i].name);
        print_row(c, &p, (const char(*)[CHART_LABEL_ROOM])numbers);
    }
    putchar('\n');
}

/* ---- SVG -------------------------------------------------------------------------------------------------------- */

/* The picture needs no script, font file or style sheet, and has its own background, so it can be read on dark pages as
   well as on light ones. The colours can be told apart with every kind of colour blindness (Okabe, Ito 2008), and every
   line has marks of its own shape. */
enum { WIDTH = 720, HEIGHT = 400, LEFT = 88, RIGHT = 600, TOP = 56, BOTTOM = 336, MARK = 5, LETTER = 7 };

static const char *const colours[CHART_N_STYLES] = {
    [CHART_MLP] = "#e69f00", [CHART_RNN] = "#d55e00",   [CHART_GRU] = "#009e73",       [CHART_LSTM] = "#56b4e9",
    [CHART_GPT] = "#0000a0", [CHART_OTHER] = "#707070", [CHART_REFERENCE] = "#707070",
};

const char *chart_colour(chart_style style) { return colours[style]; }

void chart_write_escaped(const char *text, FILE *file)
{
    static const char special[] = "&<>\"", *const escapes[] = {"&amp;", "&lt;", "&gt;", "&quot;"};
    for (; *text != '\0'; text++) {
        const char *found = strchr(special, *text);
        if (found != NULL)
            fputs(escapes[found - special], file);
        else
            fputc((unsigned char)*text < ' ' ? '?' : *text, file);
    }
}

void chart_begin_svg(FILE *file, const char *title, size_t width, size_t height, int font_size)
{
    fprintf(file,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %zu %zu\" width=\"%zu\" height=\"%zu\" "
            "font-family=\"sans-serif\" font-size=\"%d\" fill=\"#222222\" role=\"img\">\n<title>",
            width, height, width, height, font_size);
    chart_write_escaped(title, file);
    fprintf(file, "</title>\n<rect width=\"%zu\" height=\"%zu\" rx=\"8\" fill=\"#ffffff\"/>\n", width, height);
}

void chart_write_text(FILE *file, double x, double y, const char *more, const char *text)
{
    fprintf(file, "<text x=\"%.1f\" y=\"%.1f\" %s>", x, y, more);
    chart_write_escaped(text, file);
    fputs("</text>\n", file);
}

static double x_of(const chart *c, size_t j) { return LEFT + (RIGHT - LEFT) * ((double)j + 0.5) / (double)c->n_x; }

static double y_of(double height) { return BOTTOM - (BOTTOM - TOP) * height; }

/* A dot, a square, a triangle, a diamond, a ring, a bar: one for each style. */
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
    case CHART_OTHER:
        fprintf(file, "<path d=\"M%.1f %.1f h%d\" stroke=\"%s\" stroke-width=\"2\"/>\n", x - 2 * MARK, y, 4 * MARK,
                colour);
        break;
    case CHART_REFERENCE:
    case CHART_N_STYLES:
        break;
    }
}

/* The dashes of a reference line: long for the mark '=', short for any other. */
static const char *dashes(const chart_series *line)
{
    if (line->style != CHART_REFERENCE)
        return "";
    return line->mark == '=' ? " stroke-dasharray=\"14 4\"" : " stroke-dasharray=\"4 4\"";
}

/* Draws the line through the known values, with gaps where a value is missing, and its marks. */
static void write_series(const chart *c, const chart_axis *axis, const chart_series *line, FILE *file)
{
    bool drawing = false, connected = !c->apart || line->style == CHART_REFERENCE;
    if (connected)
        fputs("<path d=\"", file);
    for (size_t j = 0; connected && j < c->n_x; j++) {
        double height = chart_height(axis, line->y[j]);
        if (height >= 0)
            fprintf(file, "%s%.1f %.1f ", drawing ? "L" : "M", x_of(c, j), y_of(height));
        drawing = height >= 0;
    }
    if (connected)
        fprintf(file, "\" fill=\"none\" stroke=\"%s\" stroke-width=\"2\"%s/>\n", colours[line->style], dashes(line));
    for (size_t j = 0; j < c->n_x; j++) {
        double height = chart_height(axis, line->y[j]);
        if (height >= 0)
            write_mark(file, line->style, x_of(c, j), y_of(height));
    }
}

void chart_write_svg(const chart *c, FILE *file)
{
    chart_axis axis = chart_y_axis(c);
    char label[CHART_LABEL_ROOM];
    size_t width = WIDTH;
    for (size_t i = 0; i < c->n_lines; i++) /* a long name in the legend needs more */
        if (width < RIGHT + 50 + LETTER * strlen(c->lines[i].name))
            width = RIGHT + 50 + LETTER * strlen(c->lines[i].name);
    chart_begin_svg(file, c->title, width, HEIGHT, 13);
    chart_write_text(file, LEFT, 30, "font-size=\"16\" font-weight=\"bold\"", c->title);
    for (size_t i = 0; i < axis.n_ticks; i++) {
        double y = y_of(chart_height(&axis, axis.ticks[i]));
        fprintf(file, "<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\" stroke=\"#dddddd\"/>\n", LEFT, y, RIGHT, y);
        snprintf(label, sizeof label, "%.6g", axis.ticks[i]);
        chart_write_text(file, LEFT - 8, y + 4, "text-anchor=\"end\"", label);
    }
    fprintf(file, "<path d=\"M%d %d V%d H%d\" fill=\"none\" stroke=\"#222222\"/>\n", LEFT, TOP, BOTTOM, RIGHT);
    for (size_t j = 0; j < c->n_x; j++)
        chart_write_text(file, x_of(c, j), BOTTOM + 20, "text-anchor=\"middle\"", c->x[j]);
    chart_write_text(file, (LEFT + RIGHT) / 2.0, BOTTOM + 46, "text-anchor=\"middle\"", c->x_label);
    fprintf(file, "<g transform=\"translate(22 %d) rotate(-90)\">", (TOP + BOTTOM) / 2);
    chart_write_text(file, 0, 0, "text-anchor=\"middle\"", c->y_label);
    fputs("</g>\n", file);
    for (size_t i = 0; i < c->n_lines; i++)
        write_series(c, &axis, &c->lines[i], file);
    for (size_t i = 0; i < c->n_lines; i++) { /* the legend */
        const chart_series *line = &c->lines[i];
        double y = TOP + 14 + 24 * (double)i;
        fprintf(file, "<path d=\"M%d %.1f h26\" stroke=\"%s\" stroke-width=\"2\"%s/>\n", RIGHT + 16, y,
                colours[line->style], dashes(line));
        write_mark(file, line->style, RIGHT + 29, y);
        chart_write_text(file, RIGHT + 50, y + 4, "", line->name);
    }
    fputs("</svg>\n", file);
}

/* ---- JSON ------------------------------------------------------------------------------------------------------- */

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
    const char *const members[][2] = {{"{\"name\": ", c->name},
                                      {", \"title\": ", c->title},
                                      {", \"x_label\": ", c->x_label},
                                      {", \"y_label\": ", c->y_label}};
    for (size_t i = 0; i < 4; i++) {
        fputs(members[i][0], file);
        chart_write_quoted(members[i][1], file);
    }
    fputs(", \"x\": [", file);
    for (size_t j = 0; j < c->n_x; j++) {
        fputs(j > 0 ? ", " : "", file);
        chart_write_quoted(c->x[j], file);
    }
    fputs("], \"lines\": {", file);
    for (size_t i = 0; i < c->n_lines; i++) {
        fputs(i > 0 ? ", " : "", file);
        chart_write_quoted(c->lines[i].name, file);
        for (size_t j = 0; j < c->n_x; j++) {
            fputs(j > 0 ? ", " : ": [", file);
            if (isfinite(c->lines[i].y[j]))
                fprintf(file, "%.9g", c->lines[i].y[j]);
            else
                fputs("null", file);
        }
        fputs(c->n_x > 0 ? "]" : ": []", file);
    }
    fputs("}}", file);
}
