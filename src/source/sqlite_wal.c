#include "source/sqlite_wal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "os/file.h"
#include "os/interrupt.h"

enum {
    WAL_MAGIC = 0x377f0682, /* the lowest bit set: checksums are over big-endian words */
    WAL_FORMAT = 3007000,
    PAGE_BYTES_MIN = 512,
    PAGE_BYTES_MAX = 65536,
    CHUNK_BYTES = 256 * 1024, /* several frames of the largest size */
    COMPACT_AT_ENTRIES = 64 * 1024
};

/* A walk over the log's valid frames, in order. Frames are read in chunks; a chunk holds whole frames. */
struct walk {
    const struct sqlite_wal *wal;
    int fd;
    uint32_t checksum[2]; /* up to and with the last frame given out */
    uint32_t frame;       /* that frame's number */
    unsigned char *chunk;
    size_t chunk_frames, have, next; /* in frames: capacity, filled, given out */
};

static uint32_t get_u32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint32_t get_u32_little(const unsigned char *p)
{
    return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

/* The format's checksum: a sum that runs on from `sum`. len is a multiple of 8. */
static void checksum_add(bool big_endian, const unsigned char *p, size_t len, uint32_t sum[2])
{
    uint32_t a = sum[0], b = sum[1];
    if (big_endian) {
        for (size_t i = 0; i < len; i += 8) {
            a += get_u32(p + i) + b;
            b += get_u32(p + i + 4) + a;
        }
    } else {
        for (size_t i = 0; i < len; i += 8) {
            a += get_u32_little(p + i) + b;
            b += get_u32_little(p + i + 4) + a;
        }
    }
    sum[0] = a;
    sum[1] = b;
}

static bool is_big_endian(const struct sqlite_wal *wal)
{
    return (wal->header[3] & 1) != 0;
}

static size_t frame_bytes(const struct sqlite_wal *wal)
{
    return SQLITE_WAL_FRAME_HEADER_BYTES + (size_t)wal->page_bytes;
}

off_t sqlite_wal_page_offset(const struct sqlite_wal *wal, uint32_t frame)
{
    return SQLITE_WAL_HEADER_BYTES + (off_t)(frame - 1) * (off_t)frame_bytes(wal) + SQLITE_WAL_FRAME_HEADER_BYTES;
}

/* Frames that lie wholly inside a file of the largest size count; positions stay far below overflow. */
static void walk_begin(struct walk *w, const struct sqlite_wal *wal, int fd, uint32_t frame, const uint32_t checksum[2])
{
    *w = (struct walk){.wal = wal, .fd = fd, .frame = frame, .checksum = {checksum[0], checksum[1]}};
    w->chunk_frames = CHUNK_BYTES / frame_bytes(wal);
    w->chunk = mem_array(NULL, w->chunk_frames, frame_bytes(wal));
}

static void walk_end(struct walk *w)
{
    free(w->chunk);
}

static int walk_fill(struct walk *w, struct err *err)
{
    if (os_check_interrupt(err) != 0)
        return -1;
    size_t size = frame_bytes(w->wal);
    off_t at = sqlite_wal_page_offset(w->wal, w->frame + 1) - SQLITE_WAL_FRAME_HEADER_BYTES;
    ssize_t n = os_pread_full(w->fd, w->chunk, w->chunk_frames * size, at);
    if (n < 0)
        return err_errno(err, errno, "cannot read the write-ahead log");
    w->have = (size_t)n / size;
    w->next = 0;
    return 0;
}

/* The next valid frame: 1 and its header in `out`, 0 when there is none, -1. */
static int walk_next(struct walk *w, const unsigned char **out, struct err *err)
{
    if (w->frame == UINT32_MAX)
        return 0;
    if (w->next == w->have && walk_fill(w, err) != 0)
        return -1;
    if (w->have == 0)
        return 0;
    const unsigned char *frame = w->chunk + w->next * frame_bytes(w->wal);
    uint32_t sum[2] = {w->checksum[0], w->checksum[1]};
    if (get_u32(frame) == 0 || memcmp(frame + 8, w->wal->header + 16, 8) != 0)
        return 0;
    checksum_add(is_big_endian(w->wal), frame, 8, sum);
    checksum_add(is_big_endian(w->wal), frame + SQLITE_WAL_FRAME_HEADER_BYTES, w->wal->page_bytes, sum);
    if (get_u32(frame + 16) != sum[0] || get_u32(frame + 20) != sum[1])
        return 0;
    memcpy(w->checksum, sum, sizeof sum);
    w->frame++;
    w->next++;
    *out = frame;
    return 1;
}

static int compare_entries(const void *a, const void *b)
{
    const struct sqlite_wal_entry *x = a, *y = b;
    if (x->page != y->page)
        return x->page < y->page ? -1 : 1;
    return x->frame < y->frame ? -1 : x->frame > y->frame;
}

/* Sorts, and keeps each page's newest frame. */
static size_t compact(struct sqlite_wal_entry *entries, size_t count)
{
    if (count == 0)
        return 0;
    qsort(entries, count, sizeof *entries, compare_entries);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (i + 1 == count || entries[i].page != entries[i + 1].page)
            entries[kept++] = entries[i];
    return kept;
}

/* A commit frame repeated at once is the same transaction, padded to the end of a disk sector. */
static void take_commit(struct sqlite_wal *wal, const struct walk *w, const unsigned char *frame)
{
    bool padding = wal->last_commit + 1 == w->frame && wal->last_commit_page == get_u32(frame);
    if (!padding) {
        wal->previous_commit = wal->last_commit;
        memcpy(wal->previous_checksum, wal->checksum, sizeof wal->checksum);
    }
    wal->last_commit = w->frame;
    wal->last_commit_page = get_u32(frame);
    wal->database_pages = get_u32(frame + 4);
    memcpy(wal->checksum, w->checksum, sizeof wal->checksum);
}

/* Invariant: entries[0 … wal->count) are committed, those behind belong to a transaction not seen to its end. The array
 * is compacted when it has doubled since the last time, so that a long log of few pages stays small. */
static int load_frames(struct sqlite_wal *wal, int fd, struct err *err)
{
    struct walk w;
    const unsigned char *frame;
    size_t count = 0, cap = 0, compact_at = COMPACT_AT_ENTRIES;
    int more;
    walk_begin(&w, wal, fd, 0, wal->checksum);
    while ((more = walk_next(&w, &frame, err)) == 1) {
        if (count == cap) {
            cap = cap == 0 ? 256 : cap * 2;
            wal->entries = mem_array(wal->entries, cap, sizeof *wal->entries);
        }
        wal->entries[count++] = (struct sqlite_wal_entry){get_u32(frame), w.frame};
        if (get_u32(frame + 4) == 0)
            continue;
        take_commit(wal, &w, frame);
        if (count >= compact_at) {
            count = compact(wal->entries, count);
            compact_at = count * 2 > COMPACT_AT_ENTRIES ? count * 2 : COMPACT_AT_ENTRIES;
        }
        wal->count = count;
    }
    walk_end(&w);
    if (more < 0)
        return -1;
    wal->count = compact(wal->entries, wal->count);
    return 0;
}

/* SQLite takes a log with a header that is not right for an empty one: whoever wrote it died before its first commit.
 */
static int parse_header(struct sqlite_wal *wal, struct err *err)
{
    const unsigned char *h = wal->header;
    uint32_t page_bytes = get_u32(h + 8), sum[2] = {0, 0};
    if ((get_u32(h) & ~1U) != WAL_MAGIC)
        return 0;
    if (page_bytes < PAGE_BYTES_MIN || page_bytes > PAGE_BYTES_MAX || (page_bytes & (page_bytes - 1)) != 0)
        return 0;
    checksum_add(is_big_endian(wal), h, 24, sum);
    if (get_u32(h + 24) != sum[0] || get_u32(h + 28) != sum[1])
        return 0;
    if (get_u32(h + 4) != WAL_FORMAT)
        return err_set(err, ERR_UNSUPPORTED, "the write-ahead log has format %u; only %d is known", get_u32(h + 4),
                       WAL_FORMAT);
    wal->valid = true;
    wal->page_bytes = page_bytes;
    memcpy(wal->checksum, sum, sizeof sum);
    memcpy(wal->previous_checksum, sum, sizeof sum);
    return 0;
}

int sqlite_wal_is_current(const struct sqlite_wal *wal, int fd, struct err *err)
{
    unsigned char now[SQLITE_WAL_HEADER_BYTES];
    ssize_t n = os_pread_full(fd, now, sizeof now, 0);
    if (n < 0)
        return err_errno(err, errno, "cannot read the write-ahead log");
    return n == (ssize_t)sizeof now && memcmp(now, wal->header, sizeof now) == 0;
}

int sqlite_wal_load(struct sqlite_wal *wal, int fd, uint32_t page_bytes, struct err *err)
{
    *wal = (struct sqlite_wal){.page_bytes = page_bytes};
    if (fd < 0)
        return 0;
    ssize_t n = os_pread_full(fd, wal->header, sizeof wal->header, 0);
    if (n < 0)
        return err_errno(err, errno, "cannot read the write-ahead log");
    if (n < (ssize_t)sizeof wal->header)
        return 0;
    if (parse_header(wal, err) != 0)
        return -1;
    if (!wal->valid)
        return 0;
    int same = load_frames(wal, fd, err) == 0 ? sqlite_wal_is_current(wal, fd, err) : -1;
    if (same == 1 && (wal->last_commit == 0 || wal->page_bytes == page_bytes))
        return 0;
    if (same == 1)
        err_set(err, ERR_CORRUPT, "the write-ahead log has pages of %u bytes, the database of %u", wal->page_bytes,
                page_bytes);
    else if (same == 0)
        err_set(err, ERR_CHANGED, "the write-ahead log was restarted while it was read");
    sqlite_wal_release(wal);
    return -1;
}

void sqlite_wal_release(struct sqlite_wal *wal)
{
    free(wal->entries);
    *wal = (struct sqlite_wal){0};
}

size_t sqlite_wal_find(const struct sqlite_wal *wal, uint32_t page)
{
    size_t low = 0, high = wal->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (wal->entries[mid].page < page)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* Walks the last transaction again, and on to the next commit. */
static int compare_tail(const struct sqlite_wal *wal, int fd, enum sqlite_wal_state *out, struct err *err)
{
    struct walk w;
    const unsigned char *frame;
    int more = 1;
    walk_begin(&w, wal, fd, wal->previous_commit, wal->previous_checksum);
    while (more == 1 && w.frame < wal->last_commit)
        more = walk_next(&w, &frame, err);
    bool same = more == 1 && memcmp(w.checksum, wal->checksum, sizeof wal->checksum) == 0;
    *out = same ? SQLITE_WAL_SAME : SQLITE_WAL_REWRITTEN;
    while (same && (more = walk_next(&w, &frame, err)) == 1)
        if (get_u32(frame + 4) != 0)
            *out = SQLITE_WAL_GROWN;
    walk_end(&w);
    return more < 0 ? -1 : 0;
}

int sqlite_wal_compare(const struct sqlite_wal *wal, int fd, enum sqlite_wal_state *out, struct err *err)
{
    if (compare_tail(wal, fd, out, err) != 0)
        return -1;
    /* Last: if it was restarted meanwhile, what was just seen says nothing. */
    int current = sqlite_wal_is_current(wal, fd, err);
    if (current == 0)
        *out = SQLITE_WAL_RESTARTED;
    return current < 0 ? -1 : 0;
}
