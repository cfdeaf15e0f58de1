/* Rows of tables: what was counted in the server, and what a dump's data holds. Bounded by PG_TABLES_MAX. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

enum { PG_TABLES_MAX = 4000000 };

struct pg_table {
    const char *schema, *name;
    uint64_t rows;
};
/* A zeroed one is empty. */
struct pg_rows {
    struct pg_table *tables;
    size_t count, cap;
    struct arena names;
    bool sorted;
};
/* The names are copied. */
int pg_rows_add(struct pg_rows *r, const char *schema, const char *name, uint64_t rows, struct err *err);
void pg_rows_sort(struct pg_rows *r); /* by schema and name; needed before comparing and writing */
/* ERR_CORRUPT when a table has other rows in the dump than were counted. Tables of only one side do not count; the
 * number of those that were counted, have rows, and are not in the dump goes to *missing_out, the first of them to
 * *first_missing_out (or NULL). Both must be sorted. */
int pg_rows_compare(const struct pg_rows *counted, const struct pg_rows *dumped, size_t *missing_out,
                    const struct pg_table **first_missing_out, struct err *err);
/* A JSON document; see postgres.h. */
void pg_rows_write(const struct pg_rows *r, const char *database, struct buf *out);
void pg_rows_release(struct pg_rows *r);
