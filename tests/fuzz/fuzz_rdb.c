/* Redis dumps: whatever the bytes, the check says the same in one piece and in many, takes no more than it was given,
 * and what it calls whole is still whole when it comes again. The input's first byte chooses the size of the pieces and
 * whether the checksum is made right first, without which hardly any dump would be whole. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "source/rdb.h"
#include "source/rdb_crc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct verdict {
    bool whole, followed;
    uint64_t taken, keys;
};

static struct verdict check(const uint8_t *p, size_t len, size_t piece)
{
    struct verdict v = {0};
    struct rdb_check *c = rdb_check_new();
    size_t done = 0;
    int64_t taken = 0;
    while (done < len && !rdb_check_at_end(c)) {
        size_t n = len - done < piece ? len - done : piece;
        taken = rdb_check_feed(c, p + done, n, NULL);
        if (taken < 0)
            break;
        if ((size_t)taken > n || ((size_t)taken < n && !rdb_check_at_end(c)))
            abort();
        done += (size_t)taken;
    }
    v.whole = taken >= 0 && rdb_check_finish(c, NULL) == 0;
    v.followed = rdb_is_followed(c);
    v.taken = done;
    v.keys = rdb_check_facts(c)->keys;
    if (v.whole && rdb_check_facts(c)->bytes != done)
        abort();
    rdb_check_free(c);
    return v;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    size_t len = size - 1;
    uint8_t *dump = mem_copy(data + 1, len);
    if ((data[0] & 1) != 0 && len > 9) {
        uint64_t sum = rdb_crc(0, dump, len - 8);
        for (size_t i = 0; i < 8; i++)
            dump[len - 8 + i] = (uint8_t)(sum >> 8 * i);
    }
    struct verdict a = check(dump, len, SIZE_MAX), b = check(dump, len, (size_t)(data[0] >> 1) + 1);
    if (a.whole != b.whole || (a.whole && (a.taken != b.taken || a.keys != b.keys || a.followed != b.followed)))
        abort();
    if (a.whole && !check(dump, (size_t)a.taken, 3).whole)
        abort();
    free(dump);
    return 0;
}
