#include "source/postgres_rows.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

int pg_rows_add(struct pg_rows *r, const char *schema, const char *name, uint64_t rows, struct err *err)
{
    if (r->count >= PG_TABLES_MAX)
        return err_set(err, ERR_UNSUPPORTED, "the database has more than %d tables", PG_TABLES_MAX);
    if (r->count == r->cap) {
        r->cap = r->cap == 0 ? 64 : r->cap * 2;
        r->tables = mem_array(r->tables, r->cap, sizeof *r->tables);
    }
    r->tables[r->count++] = (struct pg_table){.schema = arena_strndup(&r->names, schema, strlen(schema)),
                                              .name = arena_strndup(&r->names, name, strlen(name)),
                                              .rows = rows};
    r->sorted = false;
    return 0;
}

void pg_rows_release(struct pg_rows *r)
{
    free(r->tables);
    arena_release(&r->names);
    *r = (struct pg_rows){0};
}

static int compare_names(const struct pg_table *a, const struct pg_table *b)
{
    int schemas = strcmp(a->schema, b->schema);
    return schemas != 0 ? schemas : strcmp(a->name, b->name);
}

static int compare(const void *a, const void *b)
{
    return compare_names(a, b);
}

void pg_rows_sort(struct pg_rows *r)
{
    if (!r->sorted && r->count > 1)
        qsort(r->tables, r->count, sizeof *r->tables, compare);
    r->sorted = true;
}

int pg_rows_compare(const struct pg_rows *counted, const struct pg_rows *dumped, size_t *missing_out,
                    const struct pg_table **first_missing_out, struct err *err)
{
    *missing_out = 0;
    *first_missing_out = NULL;
    for (size_t i = 0, j = 0; i < counted->count; i++) {
        const struct pg_table *c = &counted->tables[i], *d = NULL;
        while (j < dumped->count && compare_names(&dumped->tables[j], c) < 0)
            j++;
        if (j < dumped->count && compare_names(&dumped->tables[j], c) == 0)
            d = &dumped->tables[j];
        if (d != NULL && d->rows != c->rows)
            return err_set(err, ERR_CORRUPT,
                           "the dump has %" PRIu64 " rows of the table %s.%s, which has %" PRIu64
                           " in the same snapshot",
                           d->rows, c->schema, c->name, c->rows);
        if (d == NULL && c->rows > 0 && (*missing_out)++ == 0)
            *first_missing_out = c;
    }
    return 0;
}

/* ------------------------------------------------------------------------------------------------------------- writing
 */

/* Length of the UTF-8 character here, 0 when it is none (RFC 3629). */
static size_t character(const unsigned char *p)
{
    static const unsigned char first[] = {0xc2, 0xe0, 0xf0}, last[] = {0xdf, 0xef, 0xf4};
    if (p[0] < 0x80)
        return 1;
    for (size_t extra = 1; extra <= 3; extra++) {
        if (p[0] < first[extra - 1] || p[0] > last[extra - 1])
            continue;
        for (size_t i = 1; i <= extra; i++)
            if ((p[i] & 0xc0) != 0x80)
                return 0;
        bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
        bool beyond = (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf4 && p[1] > 0x8f);
        return overlong || beyond ? 0 : extra + 1;
    }
    return 0;
}

/* A JSON string; bytes that are no UTF-8 become U+FFFD. */
static void write_text(struct buf *out, const char *text)
{
    const unsigned char *p = (const unsigned char *)text;
    buf_append_byte(out, '"');
    while (*p != '\0') {
        size_t len = character(p);
        if (len == 0) {
            buf_append_str(out, "\xef\xbf\xbd");
            p++;
            continue;
        }
        if (*p == '"' || *p == '\\')
            buf_printf(out, "\\%c", *p);
        else if (*p < ' ')
            buf_printf(out, "\\u%04x", *p);
        else
            buf_append(out, p, len);
        p += len;
    }
    buf_append_byte(out, '"');
}

void pg_rows_write(const struct pg_rows *r, const char *database, struct buf *out)
{
    uint64_t sum = 0;
    buf_append_str(out, "{\n  \"database\": ");
    write_text(out, database);
    buf_append_str(out, ",\n  \"tables\": [");
    for (size_t i = 0; i < r->count; i++) {
        buf_append_str(out, i == 0 ? "\n    {\"schema\": " : ",\n    {\"schema\": ");
        write_text(out, r->tables[i].schema);
        buf_append_str(out, ", \"name\": ");
        write_text(out, r->tables[i].name);
        buf_printf(out, ", \"rows\": %" PRIu64 "}", r->tables[i].rows);
        sum += r->tables[i].rows;
    }
    buf_printf(out, "%s],\n  \"rows\": %" PRIu64 "\n}\n", r->count > 0 ? "\n  " : "", sum);
}
