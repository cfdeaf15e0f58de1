/* Dumps in pg_dump's custom format: the verdict and the rows do not depend on the portions they come in. The input's
 * first byte chooses the portions. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "source/postgres_archive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int read_through(const uint8_t *data, size_t size, size_t step, struct pg_rows *rows, struct err *err)
{
    struct pg_archive *a = pg_archive_new();
    int rc = 0;
    for (size_t at = 0; at < size && rc == 0; at += step)
        rc = pg_archive_feed(a, data + at, size - at < step ? size - at : step, err);
    if (rc == 0)
        rc = pg_archive_end(a, err);
    if (rc == 0)
        pg_archive_take_rows(a, rows);
    if (rc == 0 && size < PG_ARCHIVE_HEAD_BYTES)
        abort();
    pg_archive_free(a);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct pg_rows whole = {0}, portions = {0};
    struct err first = {0}, second = {0};
    size_t step = 1 + data[0];
    if (read_through(data + 1, size - 1, size, &whole, &first) !=
            read_through(data + 1, size - 1, step, &portions, &second) ||
        strcmp(first.message, second.message) != 0 || whole.count != portions.count)
        abort();
    for (size_t i = 0; i < whole.count; i++)
        if (whole.tables[i].rows != portions.tables[i].rows || whole.tables[i].rows > size)
            abort();
    pg_rows_release(&whole);
    pg_rows_release(&portions);
    return 0;
}
