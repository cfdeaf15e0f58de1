/* Our part of a crontab: whatever else is in there stays byte for byte, writing twice changes nothing, and taking our
 * part out leaves none. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/install_crontab.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void replace(const struct buf *from, const char *block, struct buf *to)
{
    buf_init(to, 4 << 20);
    if (crontab_replace((const char *)from->data, from->len, block, to, NULL) != 0 || to->overflow)
        abort();
}

static void expect_same(const struct buf *a, const struct buf *b)
{
    if (a->len != b->len || memcmp(a->data, b->data, a->len) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char BLOCK[] = "* * * * * clawback run\n";
    struct buf text, with, again, without;
    bool found;
    size_t begin, end;
    buf_init(&text, 4 << 20);
    buf_append(&text, data, size);
    if (crontab_find(buf_cstr(&text), size, &found, &begin, &end, NULL) == 0) {
        if (begin > end || end > size || (!found && begin != size))
            abort();
        replace(&text, BLOCK, &with);
        replace(&with, BLOCK, &again);
        expect_same(&with, &again);
        if (memcmp(with.data, text.data, begin) != 0 || with.len < begin + (size - end) ||
            memcmp(with.data + with.len - (size - end), text.data + end, size - end) != 0 ||
            memmem(with.data + begin, with.len - begin, BLOCK, sizeof BLOCK - 1) == NULL)
            abort();
        replace(&with, "", &without);
        if (crontab_find(buf_cstr(&without), without.len, &found, &begin, &end, NULL) != 0 || found)
            abort();
        buf_release(&with);
        buf_release(&again);
        buf_release(&without);
    }
    buf_release(&text);
    return 0;
}
