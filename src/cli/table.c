#include "cli/table.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

enum { COLUMNS_MAX = 12, TABLE_MAX_BYTES = 1 << 30 };

struct cell {
    struct strlist lines;
};

struct cli_table {
    size_t columns, rows, cap;
    char *headers[COLUMNS_MAX];
    bool right[COLUMNS_MAX];
    size_t widths[COLUMNS_MAX];
    struct cell *cells; /* rows × columns */
};

struct cli_table *cli_table_new(const char *const *headers)
{
    struct cli_table *t = mem_zalloc(sizeof *t);
    for (size_t i = 0; headers[i] != NULL && i < COLUMNS_MAX; i++) {
        t->right[i] = headers[i][0] == '>';
        t->headers[i] = mem_strdup(headers[i] + t->right[i]);
        t->widths[i] = cli_text_columns(t->headers[i]);
        t->columns++;
    }
    return t;
}

static void add_line(struct cli_table *t, size_t column, struct cell *cell, const char *line, size_t len)
{
    char *raw = mem_strndup(line, len), *shown = mem_alloc(len * 10 + 1);
    cli_printable(raw, shown, len * 10 + 1);
    strlist_add(&cell->lines, shown);
    size_t width = cli_text_columns(shown);
    if (width > t->widths[column])
        t->widths[column] = width;
    free(raw);
    free(shown);
}

void cli_table_row(struct cli_table *t, const char *const *cells)
{
    if (t->rows == t->cap) {
        t->cap = t->cap * 2 + 16;
        t->cells = mem_array(t->cells, t->cap, t->columns * sizeof *t->cells);
    }
    struct cell *row = t->cells + t->rows++ * t->columns;
    for (size_t i = 0; i < t->columns; i++) {
        row[i] = (struct cell){0};
        const char *text = cells[i] != NULL ? cells[i] : "";
        for (;;) {
            size_t len = strcspn(text, "\n");
            add_line(t, i, &row[i], text, len);
            if (text[len] == '\0')
                break;
            text += len + 1;
        }
    }
}

static void pad(struct buf *out, size_t count, char with)
{
    for (size_t i = 0; i < count; i++)
        buf_append_byte(out, (unsigned char)with);
}

/* One line of the table; blanks at its end are left out. */
static void render_line(const struct cli_table *t, const char *const *texts, struct buf *out)
{
    size_t owed = 0; /* blanks that are due if more text comes */
    for (size_t i = 0; i < t->columns; i++) {
        size_t fill = t->widths[i] - cli_text_columns(texts[i]);
        owed += t->right[i] ? fill : 0;
        if (*texts[i] != '\0') {
            pad(out, owed, ' ');
            buf_append_str(out, texts[i]);
            owed = 0;
        }
        owed += (t->right[i] ? 0 : fill) + 2;
    }
    buf_append_byte(out, '\n');
}

static void render_row(const struct cli_table *t, const struct cell *row, struct buf *out)
{
    size_t height = 1;
    for (size_t i = 0; i < t->columns; i++)
        height = row[i].lines.count > height ? row[i].lines.count : height;
    for (size_t line = 0; line < height; line++) {
        const char *texts[COLUMNS_MAX];
        for (size_t i = 0; i < t->columns; i++)
            texts[i] = line < row[i].lines.count ? row[i].lines.items[line] : "";
        render_line(t, texts, out);
    }
}

void cli_table_render(const struct cli_table *t, const char *footer, struct buf *out)
{
    size_t total = 2 * (t->columns - 1);
    const char *headers[COLUMNS_MAX];
    for (size_t i = 0; i < t->columns; i++) {
        total += t->widths[i];
        headers[i] = t->headers[i];
    }
    render_line(t, headers, out);
    pad(out, total, '-');
    buf_append_byte(out, '\n');
    for (size_t r = 0; r < t->rows; r++)
        render_row(t, t->cells + r * t->columns, out);
    if (footer != NULL) {
        pad(out, total, '-');
        buf_append_byte(out, '\n');
        buf_append_str(out, footer);
        buf_append_byte(out, '\n');
    }
}

void cli_table_print(struct cli *cli, const struct cli_table *t, const char *footer)
{
    struct buf text;
    buf_init(&text, TABLE_MAX_BYTES);
    cli_table_render(t, footer, &text);
    if (text.len > 0)
        cli_print(cli, "%.*s", (int)text.len - 1, buf_cstr(&text));
    buf_release(&text);
}

void cli_table_free(struct cli_table *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->rows * t->columns; i++)
        strlist_release(&t->cells[i].lines);
    for (size_t i = 0; i < t->columns; i++)
        free(t->headers[i]);
    free(t->cells);
    free(t);
}
