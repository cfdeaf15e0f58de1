/*
 * Tables for people: columns aligned by what they hold, a ruled header, a footer. Cells may have several lines.
 * Standard output.
 */
#pragma once
#include <stddef.h>
#include "base/buf.h"
#include "cli/cli.h"

struct cli_table;
/* headers: NULL-terminated; one that starts with '>' is of a column that is aligned to the right. */
struct cli_table *cli_table_new(const char *const *headers);
/* As many cells as headers; NULL is an empty one. Copied and made printable, line by line. */
void cli_table_row(struct cli_table *t, const char *const *cells);
/* The whole table as text; `footer` (may be NULL) stands below a second rule. */
void cli_table_render(const struct cli_table *t, const char *footer, struct buf *out);
void cli_table_print(struct cli *cli, const struct cli_table *t, const char *footer);
void cli_table_free(struct cli_table *t);
