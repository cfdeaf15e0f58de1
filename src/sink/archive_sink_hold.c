#include "sink/archive_sink_hold.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "sink/archive_sink_spool.h"

enum { SEGMENTS_MAX = 1 << 18 };

struct archive_hold {
    archive_hold_dir_fn *dir;
    void *ctx;
    unsigned char *memory; /* pages that are never touched cost nothing */
    size_t cap, len, taken;
    struct archive_spool *spool; /* what came after memory was full; NULL: nothing */
    struct tar_segment *segments;
    size_t segment_count, segment_cap;
    uint64_t size, hole_bytes;
    bool in_hole; /* the last thing added, or the beginning */
};

struct archive_hold *archive_hold_new(size_t memory_bytes, archive_hold_dir_fn *dir, void *ctx)
{
    struct archive_hold *h = mem_zalloc(sizeof *h);
    h->dir = dir;
    h->ctx = ctx;
    h->cap = memory_bytes;
    h->memory = mem_alloc(memory_bytes);
    archive_hold_reset(h);
    return h;
}

void archive_hold_free(struct archive_hold *h)
{
    if (h == NULL)
        return;
    archive_spool_free(h->spool);
    free(h->memory);
    free(h->segments);
    free(h);
}

void archive_hold_reset(struct archive_hold *h)
{
    archive_spool_free(h->spool);
    h->spool = NULL;
    h->len = h->taken = h->segment_count = 0;
    h->size = h->hole_bytes = 0;
    h->in_hole = true;
}

static void note_data(struct archive_hold *h, uint64_t bytes)
{
    if (bytes == 0)
        return;
    if (h->in_hole) {
        if (h->segment_count == h->segment_cap) {
            h->segment_cap = h->segment_cap > 0 ? h->segment_cap * 2 : 16;
            h->segments = mem_array(h->segments, h->segment_cap, sizeof *h->segments);
        }
        h->segments[h->segment_count++] = (struct tar_segment){.offset = h->size};
    }
    h->segments[h->segment_count - 1].bytes += bytes;
    h->size += bytes;
    h->in_hole = false;
}

unsigned char *archive_hold_room(struct archive_hold *h, size_t *len_out)
{
    *len_out = h->spool == NULL ? h->cap - h->len : 0;
    return *len_out > 0 ? h->memory + h->len : NULL;
}

void archive_hold_added(struct archive_hold *h, size_t len)
{
    h->len += len;
    note_data(h, len);
}

int archive_hold_add(struct archive_hold *h, const void *p, size_t len, struct err *err)
{
    size_t room;
    unsigned char *to = archive_hold_room(h, &room);
    size_t n = room < len ? room : len;
    if (n > 0)
        memcpy(to, p, n);
    archive_hold_added(h, n);
    if (n == len)
        return 0;
    if (h->spool == NULL) {
        const char *dir = h->dir(h->ctx);
        if (dir == NULL)
            return err_set(err, ERR_NO_SPACE, "no place to keep it until it is complete");
        h->spool = archive_spool_new(dir, err);
        if (h->spool == NULL)
            return -1;
    }
    note_data(h, len - n);
    return archive_spool_write(h->spool, (const char *)p + n, len - n, err);
}

bool archive_hold_hole(struct archive_hold *h, uint64_t bytes)
{
    if (h->segment_count >= SEGMENTS_MAX)
        return false;
    h->size += bytes;
    h->hole_bytes += bytes;
    h->in_hole = true;
    return true;
}

void archive_hold_pass(struct archive_hold *h, uint64_t bytes)
{
    note_data(h, bytes);
}

uint64_t archive_hold_size(const struct archive_hold *h)
{
    return h->size;
}

uint64_t archive_hold_hole_bytes(const struct archive_hold *h)
{
    return h->hole_bytes;
}

const struct tar_segment *archive_hold_segments(const struct archive_hold *h, size_t *count_out)
{
    *count_out = h->segment_count;
    return h->segments;
}

int archive_hold_end(struct archive_hold *h, struct err *err)
{
    return h->spool != NULL ? archive_spool_rewind(h->spool, err) : 0;
}

int64_t archive_hold_take(struct archive_hold *h, void *p, size_t cap, struct err *err)
{
    size_t n = h->len - h->taken < cap ? h->len - h->taken : cap;
    if (n > 0) {
        memcpy(p, h->memory + h->taken, n);
        h->taken += n;
        return (int64_t)n;
    }
    return h->spool != NULL ? archive_spool_read(h->spool, p, cap, err) : 0;
}
