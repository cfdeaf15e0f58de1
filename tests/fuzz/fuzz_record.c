/* Lines of run logs: what is read can be written, and what was written is read as the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/record_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Writes the record, and reads it again in its place. */
static void write_and_read(struct record *r, struct buf *line)
{
    buf_init(line, 2 * RECORD_LINE_MAX_BYTES);
    record_encode(r, line);
    record_release(r);
    if (line->overflow || line->len == 0 || memchr(line->data, '\n', line->len) != line->data + line->len - 1 ||
        record_decode((const char *)line->data, line->len - 1, r) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int64_t YEAR_10000 = 253402300800;
    struct record r;
    struct buf first, second, third;
    if (record_decode((const char *)data, size, &r) != 0)
        return 0;
    if (r.time.tv_sec >= 0 && r.time.tv_sec < YEAR_10000) {
        write_and_read(&r, &first);
        /* What others wrote and we would not, such as numbers that are none of a process, is gone by now. */
        write_and_read(&r, &second);
        write_and_read(&r, &third);
        if (second.len != third.len || memcmp(second.data, third.data, second.len) != 0)
            abort();
        buf_release(&first);
        buf_release(&second);
        buf_release(&third);
    }
    record_release(&r);
    return 0;
}
