/*
 * step_lines.c - the lines of a value, in a terminal of any width.
 */
#include "step_lines.h"

#include <stdarg.h>
#include <string.h>

#include "console.h"

enum { N_NUMBERS = 6, WIDEST = 100 };

void step_heading(const char *format, ...)
{
    char text[FORMULA];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    putchar('\n');
    console_wrap(text, 0);
}

/* Columns of a line; in a wider one a shape would stand too far from its formula. */
static size_t line_width(void)
{
    const size_t width = console_width();
    return width < WIDEST ? width : WIDEST;
}

void step_formula(const char *formula, const char *shape)
{
    const size_t width = line_width(), used = 2 + strlen(formula), size = strlen(shape) + 2;
    const bool fits = used + size + 1 < width;
    fputs("  ", stdout);
    if (fits)
        fputs(formula, stdout);
    else
        console_wrap(formula, 2);
    printf("%*s[%s]\n", (int)(width - size - (fits ? used : 0)), "", shape);
}

size_t step_piece(const char *piece, size_t column)
{
    const size_t size = strlen(piece);
    if (column > 6 && column + size > line_width()) {
        printf("\n%6s", "");
        column = 6;
    }
    fputs(piece, stdout);
    return column + size;
}

void step_places(const char *places)
{
    size_t column = 6, size;
    printf("%6s", "");
    for (; *places != '\0'; places += size + (places[size] == ' ')) {
        size = strcspn(places, " ");
        if (column > 6 && column + 2 + size > line_width() - 2) {
            printf("\n%6s", "");
            column = 6;
        }
        printf("%s%.*s", column > 6 ? "  " : "", (int)size, places);
        column += size + 2;
    }
    putchar('\n');
}

static void show_numbers(const float *x, size_t n)
{
    char piece[2 * NAME];
    float low = x[0], high = x[0];
    size_t column = (size_t)printf("%6s", "");
    for (size_t i = 0; i < n; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
        snprintf(piece, sizeof piece, "%7.3f ", (double)x[i]);
        if (i < N_NUMBERS)
            column = step_piece(piece, column);
    }
    snprintf(piece, sizeof piece, "... from %.3f to %.3f", (double)low, (double)high);
    if (n > N_NUMBERS)
        step_piece(piece, column);
    putchar('\n');
}

void step_row(const char *formula, const char *shape, const float *x, size_t n, const char *places)
{
    char size[NAME];
    snprintf(size, sizeof size, "%zu", n);
    step_formula(formula, *shape != '\0' ? shape : size);
    show_numbers(x, n);
    if (*places != '\0')
        step_places(places);
}
