/* What a Redis server sends: whatever the bytes and the pieces they come in, replies are read, or refused, within their
 * limits, and the same way each time. The input's first byte chooses the size of the pieces. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "source/redis_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct feed {
    const uint8_t *p;
    size_t left, piece;
};

static int64_t feed_read(void *ctx, void *out, size_t cap, struct err *err)
{
    struct feed *f = ctx;
    size_t n = f->left < cap ? f->left : cap;
    (void)err;
    n = n < f->piece ? n : f->piece;
    memcpy(out, f->p, n);
    f->p += n;
    f->left -= n;
    return (int64_t)n;
}

/* The number of replies, and of all items in them. */
static void read_all(const uint8_t *p, size_t len, size_t piece, size_t *replies, size_t *items)
{
    struct feed f = {p, len, piece};
    struct redis_reader *r = mem_zalloc(sizeof *r);
    struct redis_reply reply = {0};
    r->read = feed_read;
    r->ctx = &f;
    *replies = *items = 0;
    while (redis_reply_read(r, &reply, NULL) == 0) {
        if (reply.items.count > REDIS_REPLY_ITEMS_MAX || reply.kind > REDIS_ARRAY || redis_reply_text(&reply) == NULL)
            abort();
        ++*replies;
        *items += reply.items.count;
    }
    redis_reply_release(&reply);
    free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t replies[2], items[2];
    if (size < 1)
        return 0;
    read_all(data + 1, size - 1, SIZE_MAX, &replies[0], &items[0]);
    read_all(data + 1, size - 1, (size_t)data[0] + 1, &replies[1], &items[1]);
    if (replies[0] != replies[1] || items[0] != items[1])
        abort();
    return 0;
}
