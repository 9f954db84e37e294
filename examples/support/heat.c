/*
 * heat.c - heat maps in a terminal and as SVG pictures.
 */
#include "heat.h"

#include <stdbool.h>
#include <string.h>

#include "chart.h"

static float value_at(const heat *h, size_t panel, size_t row, size_t column)
{
    float value = h->values[(panel * h->n_rows + row) * h->n_columns + column];

    return value > 0 ? value < 1 ? value : 1 : 0; /* NaN is 0 */
}

static size_t longest(const char *const *labels, size_t n, size_t most)
{
    size_t size = 0;

    for (size_t i = 0; labels != NULL && i < n; i++)
        size = strlen(labels[i]) > size ? strlen(labels[i]) : size;
    return size < most ? size : most;
}

/* ---- terminal -------------------------------------------------------------------------------------------------- */

enum { WIDTH = 80, LABEL = 13 }; /* "<|endoftext|>" has 13 letters */

/* The panels [first, end) side by side, each value `cell` characters wide. */
static void print_panels(const heat *h, size_t first, size_t end, size_t cell, int label)
{
    static const char ramp[] = " .:-=+*#%@";
    int width = (int)(h->n_columns * cell);

    printf("  %*s", label, "");
    for (size_t p = first; p < end; p++)
        printf(" %-*.*s", p + 1 < end ? width + 1 : 0, width + 1, h->panels[p]);
    putchar('\n');
    for (size_t r = 0; r < h->n_rows; r++) {
        printf("  %*.*s", label, label, h->rows[r]);
        for (size_t p = first; p < end; p++) {
            fputs(" |", stdout);
            for (size_t c = 0; c < h->n_columns * cell; c++)
                putchar(ramp[(size_t)(value_at(h, p, r, c / cell) * 9.0F + 0.5F)]);
        }
        puts("|");
    }
    putchar('\n');
}

void heat_print(const heat *h)
{
    int label = (int)longest(h->rows, h->n_rows, LABEL);
    size_t room = (size_t)(WIDTH - 2 - label - 1), cell = 2;

    if (h->n_panels * (2 * h->n_columns + 2) > room)
        cell = 1;
    size_t at_once = room / (h->n_columns * cell + 2);
    at_once = at_once > 0 ? at_once : 1;
    printf("%s\n\n", h->title);
    for (size_t p = 0; p < h->n_panels; p += at_once)
        print_panels(h, p, p + at_once < h->n_panels ? p + at_once : h->n_panels, cell, label);
}

/* ---- picture --------------------------------------------------------------------------------------------------- */

enum { CELL = 14, GAP = 28, TOP = 56, LETTER = 7, ACROSS = 4, SCALE = 10 };

typedef struct frame {
    size_t label, head; /* room for the labels of rows and of columns */
    size_t across, width, height;
} frame;

/* White to dark blue by way of a lighter one: brightness alone tells the value. */
static void write_cell(float value, size_t x, size_t y, FILE *file)
{
    float dark = 1 - value;

    if (value >= 0.005F)
        fprintf(file, "<rect x=\"%zu\" y=\"%zu\" width=\"%d\" height=\"%d\" fill=\"#%02x%02x%02x\"/>\n", x, y, CELL,
                CELL, (unsigned)(255 * dark * dark), (unsigned)(255 * dark), (unsigned)(160 + 95 * dark));
}

static void write_label(size_t x, size_t y, const char *more, const char *text, FILE *file)
{
    fprintf(file, "<text x=\"%zu\" y=\"%zu\" %s>", x, y, more);
    chart_write_escaped(text, file);
    fputs("</text>\n", file);
}

static void write_panel(const heat *h, const frame *g, size_t p, size_t left, size_t top, FILE *file)
{
    write_label(left, top - g->head - 6, "font-weight=\"bold\"", h->panels[p], file);
    for (size_t c = 0; h->columns != NULL && c < h->n_columns; c++) {
        char turn[80];
        snprintf(turn, sizeof turn, "transform=\"rotate(-90 %zu %zu)\"", left + c * CELL + CELL - 3, top - 3);
        write_label(left + c * CELL + CELL - 3, top - 3, turn, h->columns[c], file);
    }
    for (size_t r = 0; r < h->n_rows; r++) {
        if (p % g->across == 0)
            write_label(left - 6, top + r * CELL + CELL - 3, "text-anchor=\"end\"", h->rows[r], file);
        for (size_t c = 0; c < h->n_columns; c++)
            write_cell(value_at(h, p, r, c), left + c * CELL, top + r * CELL, file);
    }
    fprintf(file, "<rect x=\"%zu\" y=\"%zu\" width=\"%zu\" height=\"%zu\" fill=\"none\" stroke=\"#222222\"/>\n", left,
            top, h->n_columns * CELL, h->n_rows * CELL);
}

/* The colours from 0 to 1, at the bottom. */
static void write_scale(const frame *g, FILE *file)
{
    size_t x = g->label, y = g->height - 28;

    write_label(x - 6, y + CELL - 3, "text-anchor=\"end\"", "0", file);
    for (size_t i = 0; i <= SCALE; i++)
        write_cell((float)i / SCALE, x + i * CELL, y, file);
    fprintf(file, "<rect x=\"%zu\" y=\"%zu\" width=\"%d\" height=\"%d\" fill=\"none\" stroke=\"#222222\"/>\n", x, y,
            CELL * (SCALE + 1), CELL);
    write_label(x + (SCALE + 1) * CELL + 6, y + CELL - 3, "", "1", file);
}

void heat_write_svg(const heat *h, FILE *file)
{
    frame g = {.label = 20 + LETTER * longest(h->rows, h->n_rows, 40),
               .head = 8 + LETTER * longest(h->columns, h->n_columns, 40),
               .across = h->n_panels < ACROSS ? h->n_panels : ACROSS};
    size_t panel_width = h->n_columns * CELL + GAP, panel_height = h->n_rows * CELL + GAP + g.head;
    size_t down = (h->n_panels + g.across - 1) / g.across;

    g.width = g.label + g.across * panel_width;
    g.height = TOP + down * panel_height + 40;
    if (g.width < 20 + LETTER * 2 * strlen(h->title))
        g.width = 20 + LETTER * 2 * strlen(h->title);
    fprintf(file,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %zu %zu\" width=\"%zu\" height=\"%zu\" "
            "font-family=\"sans-serif\" font-size=\"11\" fill=\"#222222\" role=\"img\">\n<title>",
            g.width, g.height, g.width, g.height);
    chart_write_escaped(h->title, file);
    fprintf(file, "</title>\n<rect width=\"%zu\" height=\"%zu\" rx=\"8\" fill=\"#ffffff\"/>\n", g.width, g.height);
    write_label(20, 28, "font-size=\"16\" font-weight=\"bold\"", h->title, file);
    for (size_t p = 0; p < h->n_panels; p++)
        write_panel(h, &g, p, g.label + p % g.across * panel_width, TOP + g.head + p / g.across * panel_height, file);
    write_scale(&g, file);
    fputs("</svg>\n", file);
}
