/*
 * heat.c - heat maps in a terminal and as pictures.
 *
 * In a terminal a number from 0 to 1 is one of ten characters, from light to dark. A number from -1 to 1 is one of
 * five: round ones are negative, crossed ones are positive.
 */
#include "heat.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "chart.h"
#include "console.h"
#include "system.h"

static const char shades[] = " .:-=+*#%@", signs[] = "Oo +#";

static bool is_signed(const heat *h, size_t panel) { return panel >= h->n_unsigned; }

/* Within its range; NaN is 0. */
static float value_at(const heat *h, size_t panel, size_t row, size_t column)
{
    float value = h->values[(panel * h->n_rows + row) * h->n_columns + column], low = is_signed(h, panel) ? -1.0F : 0;
    return value > low ? value < 1 ? value : 1 : value <= low ? low : 0;
}

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* ---- in a terminal ---------------------------------------------------------------------------------------------- */

enum { ROW_LETTERS = 13, COLUMN_LETTERS = 8 }; /* "<|endoftext|>" has 13 letters */

/* Where the n-th character of a UTF-8 text begins, and its size; NULL behind the end. */
static const char *letter(const char *text, size_t n, int *size)
{
    for (;; n--) {
        if (*text == '\0')
            return NULL;
        for (*size = 1; ((unsigned char)text[*size] & 0xC0) == 0x80;)
            ++*size;
        if (n == 0)
            return text;
        text += *size;
    }
}

static size_t letters(const char *text)
{
    size_t n = 0;
    for (; *text != '\0'; text++)
        n += ((unsigned char)*text & 0xC0) != 0x80;
    return n;
}

static size_t longest(const char *const *labels, size_t n, size_t most)
{
    size_t size = 0;
    for (size_t i = 0; i < n; i++)
        size = letters(labels[i]) > size ? letters(labels[i]) : size;
    return smaller(size, most);
}

/* Prints `width` columns: the beginning of the text, to the left or the right of what is empty. */
static void print_padded(const char *text, size_t width, bool left)
{
    size_t n = smaller(letters(text), width);
    int size;
    const char *end = letter(text, n, &size);
    printf("%*s%.*s%*s", left ? 0 : (int)(width - n), "", end != NULL ? (int)(end - text) : (int)strlen(text), text,
           left ? (int)(width - n) : 0, "");
}

/* A cell is `cell` times the same character. Colours tell signs apart where there are colours. */
static void print_cell(const heat *h, size_t panel, size_t row, size_t column, size_t cell, bool colours)
{
    float value = value_at(h, panel, row, column);
    char c = is_signed(h, panel) ? signs[smaller((size_t)((value + 1) * 2.5F), 4)] : shades[(size_t)(value * 9 + 0.5F)];
    colours = colours && is_signed(h, panel) && c != ' ';
    if (colours)
        printf("\033[38;5;%dm", value < 0 ? 208 : 33); /* orange and blue, as in the picture */
    for (size_t i = 0; i < cell; i++)
        putchar(c);
    if (colours)
        fputs("\033[0m", stdout);
}

/* The part of a map that fits side by side: some panels, some columns of each. */
typedef struct part {
    size_t first_panel, end_panel, first_column, end_column;
    size_t label, cell; /* characters of the labels of rows, and of a value */
} part;

static size_t panel_width(const heat *h, const part *p, size_t panel)
{
    size_t cells = (p->end_column - p->first_column) * p->cell, title = letters(h->panels[panel]);
    return cells > title ? cells : title;
}

/* The heads of all columns, letter by letter: row `line` of `height`. A word that is too long ends with a dot. */
static void print_heads(const heat *h, const part *p, size_t line, size_t height)
{
    printf("  %*s", (int)p->label, "");
    for (size_t panel = p->first_panel; panel < p->end_panel; panel++) {
        fputs("  ", stdout);
        for (size_t c = p->first_column; c < p->end_column; c++) {
            size_t n = letters(h->columns[c]), above = height - smaller(n, height);
            int size = 1;
            const char *text = line < above ? " " : letter(h->columns[c], line - above, &size);
            if (n > height && line + 1 == height)
                text = ".", size = 1;
            printf("%.*s%*s", size, text, (int)p->cell - 1, "");
        }
        if (panel + 1 < p->end_panel)
            printf("%*s", (int)(panel_width(h, p, panel) - (p->end_column - p->first_column) * p->cell) + 1, "");
    }
    putchar('\n');
}

static void print_part(const heat *h, const part *p, bool colours)
{
    const size_t height = longest(h->columns + p->first_column, p->end_column - p->first_column, COLUMN_LETTERS);
    printf("  %*s", (int)p->label, "");
    for (size_t panel = p->first_panel; panel < p->end_panel; panel++) {
        fputs("  ", stdout);
        if (panel + 1 < p->end_panel)
            print_padded(h->panels[panel], panel_width(h, p, panel) + 1, true);
        else
            puts(h->panels[panel]);
    }
    for (size_t line = 0; line < height; line++)
        print_heads(h, p, line, height);
    for (size_t row = 0; row < h->n_rows; row++) {
        fputs("  ", stdout);
        print_padded(h->rows[row], p->label, false);
        for (size_t panel = p->first_panel; panel < p->end_panel; panel++) {
            size_t cells = (p->end_column - p->first_column) * p->cell;
            fputs(" |", stdout);
            for (size_t c = p->first_column; c < p->end_column; c++)
                print_cell(h, panel, row, c, p->cell, colours);
            printf("|%*s", panel + 1 < p->end_panel ? (int)(panel_width(h, p, panel) - cells) : 0, "");
        }
        putchar('\n');
    }
    putchar('\n');
}

/* What the characters mean, and in which panels if not in all. */
static void print_legend(const heat *h, size_t first, size_t end, const char *meaning)
{
    char text[256];
    size_t used = 0;
    for (size_t p = first; end - first < h->n_panels && p < end; p++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%.*s%s",
                                 (int)smaller(strcspn(h->panels[p], ":"), 20), h->panels[p], p + 1 < end ? ", " : " ");
    snprintf(text + used, sizeof text - used, "%s", meaning);
    fputs("  ", stdout);
    console_wrap(text, 2);
}

void heat_print(const heat *h)
{
    const char *terminal = getenv("TERM");
    const bool colours = system_is_terminal(1) && terminal != NULL && strcmp(terminal, "dumb") != 0;
    part p = {.label = longest(h->rows, h->n_rows, ROW_LETTERS)};
    const size_t room = console_width() - 2 - p.label - 1;
    p.cell = smaller(h->n_panels, 2) * (2 * h->n_columns + 3) > room ? 1 : 2; /* words are easier to read apart */
    const size_t most = (room - 3) / p.cell;
    console_wrap(h->title, 0);
    putchar('\n');
    for (p.first_column = 0; p.first_column < h->n_columns; p.first_column = p.end_column) {
        p.end_column = smaller(p.first_column + most, h->n_columns);
        for (p.first_panel = 0; p.first_panel < h->n_panels; p.first_panel = p.end_panel) {
            size_t width = 0;
            for (p.end_panel = p.first_panel; p.end_panel < h->n_panels; p.end_panel++) {
                width += panel_width(h, &p, p.end_panel) + 3;
                if (width > room && p.end_panel > p.first_panel)
                    break;
            }
            print_part(h, &p, colours);
        }
    }
    if (h->n_unsigned > 0)
        print_legend(h, 0, h->n_unsigned, "from 0 (blank) to 1: .:-=+*#%@");
    if (h->n_unsigned < h->n_panels)
        print_legend(h, h->n_unsigned, h->n_panels,
                     "from -1 to 1: O below -0.6, o below -0.2, + above 0.2, # above 0.6");
    putchar('\n');
}

/* ---- as a picture ----------------------------------------------------------------------------------------------- */

enum { CELL = 14, GAP = 28, TOP = 56, LETTER = 7, ACROSS = 4, SCALE = 10 };

/* From white over light blue to dark blue, or over orange for negative numbers: the brightness tells the size. */
static void write_cell(float value, size_t x, size_t y, FILE *file)
{
    float size = value < 0 ? -value : value, pale = 1 - size;
    if (size < 0.005F)
        return;
    unsigned red = (unsigned)(255 * pale * pale), green = (unsigned)(255 * pale), blue = (unsigned)(160 + 95 * pale);
    if (value < 0) {
        blue = red;
        red = (unsigned)(180 + 75 * pale);
        green = (unsigned)(70 + 185 * pale);
    }
    fprintf(file, "<rect x=\"%zu\" y=\"%zu\" width=\"%d\" height=\"%d\" fill=\"#%02x%02x%02x\"/>\n", x, y, CELL, CELL,
            red, green, blue);
}

static void write_frame(size_t x, size_t y, size_t width, size_t height, FILE *file)
{
    fprintf(file, "<rect x=\"%zu\" y=\"%zu\" width=\"%zu\" height=\"%zu\" fill=\"none\" stroke=\"#222222\"/>\n", x, y,
            width, height);
}

static void write_label(size_t x, size_t y, const char *more, const char *text, FILE *file)
{
    fprintf(file, "<text x=\"%zu\" y=\"%zu\" %s>", x, y, more);
    chart_write_escaped(text, file);
    fputs("</text>\n", file);
}

void heat_write_svg(const heat *h, FILE *file)
{
    size_t label = 20 + LETTER * longest(h->rows, h->n_rows, 40); /* room for the labels of rows, and of columns */
    size_t head = 8 + LETTER * longest(h->columns, h->n_columns, 40);
    size_t across = smaller(h->n_panels, ACROSS), down = (h->n_panels + across - 1) / across;
    size_t cells = h->n_columns * CELL, titles = LETTER * longest(h->panels, h->n_panels, 40);
    size_t panel_width = (cells > titles ? cells : titles) + GAP, panel_height = h->n_rows * CELL + GAP + head;
    size_t width = label + across * panel_width, height = TOP + down * panel_height + 40, y = height - 28;
    const bool both = h->n_unsigned < h->n_panels;
    if (width < 40 + LETTER * 3 / 2 * strlen(h->title))
        width = 40 + LETTER * 3 / 2 * strlen(h->title);
    chart_begin_svg(file, h->title, width, height, 11);
    write_label(20, 28, "font-size=\"16\" font-weight=\"bold\"", h->title, file);
    for (size_t p = 0; p < h->n_panels; p++) {
        size_t left = label + p % across * panel_width, top = TOP + head + p / across * panel_height;
        write_label(left, top - head - 6, "font-weight=\"bold\"", h->panels[p], file);
        for (size_t c = 0; c < h->n_columns; c++) {
            char turn[80];
            snprintf(turn, sizeof turn, "transform=\"rotate(-90 %zu %zu)\"", left + c * CELL + CELL - 3, top - 3);
            write_label(left + c * CELL + CELL - 3, top - 3, turn, h->columns[c], file);
        }
        for (size_t r = 0; r < h->n_rows; r++) {
            if (p % across == 0)
                write_label(left - 6, top + r * CELL + CELL - 3, "text-anchor=\"end\"", h->rows[r], file);
            for (size_t c = 0; c < h->n_columns; c++)
                write_cell(value_at(h, p, r, c), left + c * CELL, top + r * CELL, file);
        }
        write_frame(left, top, cells, h->n_rows * CELL, file);
    }
    const size_t below = both ? SCALE : 0, n = below + SCALE + 1; /* the scale */
    write_label(label - 6, y + CELL - 3, "text-anchor=\"end\"", both ? "-1" : "0", file);
    for (size_t i = 0; i < n; i++)
        write_cell(((float)i - (float)below) / SCALE, label + i * CELL, y, file);
    write_frame(label, y, CELL * n, CELL, file);
    write_label(label + n * CELL + 6, y + CELL - 3, "", "1", file);
    fputs("</svg>\n", file);
}
