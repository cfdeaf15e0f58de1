/*
 * Why a copy is a committed state. Let S be the last transaction committed in the WAL when it was loaded (or, without a
 * valid WAL, the state of the database file). A page of S is taken from the WAL where S has it there, else from the
 * file.
 *
 *   1. Frames up to S never change until the WAL is restarted, and that shows in its header (sqlite_wal.h). So pages
 * taken from the WAL are right if afterwards the WAL still is the one that was loaded.
 *   2. The file of a WAL database is written by checkpoints only, and those copy committed pages. What was there when
 * the WAL was loaded is no newer than S. So pages taken from the file are right if afterwards
 *        - the file was not written to (its size and times are what they were), or
 *        - nothing had been committed after S: then only pages of S can have been copied, all of which the WAL has, and
 *          from there we took them.
 *   3. The file of any other database is written only by somebody who holds the EXCLUSIVE lock, and is torn from then
 * on until its journal is finished. So it is a committed state if it did not change from some moment before to some
 * moment after one at which nobody held that lock and no hot journal was there.
 *
 * (SQLite writes files by system calls; a build that writes through memory maps would escape the times of the file.)
 * "Not written to" is judged by the times of the file, which are as coarse as the kernel's clock tick. So they must be
 * older than that before they are noted (settle), or a second write within one tick would not show.
 *
 * Holding a reader's locks (`pinned`), the file cannot be written to at all. In a WAL database the locks are taken
 * before the WAL is loaded, so that the file is no newer than S, and stays so. The WAL may still be restarted, but only
 * by a writer who found all of it copied into the file, and since nothing is copied any more it had been so when the
 * locks were taken: then the file alone is S, and all pages are taken from there.
 */
#include "source/sqlite.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/interrupt.h"
#include "os/open.h"
#include "os/pagecache.h"
#include "source/sqlite_header.h"
#include "source/sqlite_lock.h"
#include "source/sqlite_wal.h"

enum {
    SMALL_BYTES = 8 << 20, /* up to here read at once when opened */
    SETTLED_MS = 20,       /* several of the kernel's coarsest clock ticks (10 ms) */
    SETTLE_PAUSE_MS = 10,
    SETTLE_LOOKS = 10,
    SETTLE_LOOKS_WAL = 3, /* there a file being written is no obstacle as such */
    TRIES_UNLOCKED = 1,
    TRIES_MIN = 8,
    RETRY_PAUSE_MS = 5
};

struct sqlite_capture {
    char *path;             /* symlinks resolved: the WAL lies beside the real file */
    int fd, wal_fd, shm_fd; /* shm_fd: only for the locks it holds */
    struct stat main;       /* the database file when the copy began */
    bool settled;           /* a change since then shows in its times */
    bool pinned;            /* reader's locks are held */
    bool wal_mode;
    struct sqlite_wal wal;
    struct os_pagecache cache;
    bool cache_begun;
    uint32_t page_bytes;
    uint64_t bytes, offset;
    struct timespec mtime;
    unsigned char *memory; /* of a small database: all of it, verified */
};

static bool same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* The change time is left out while we hold locks: there it would only tell of a rename or a chmod. */
static bool main_is_unchanged(const struct sqlite_capture *c, const struct stat *now)
{
    if (!c->settled && !c->pinned)
        return false;
    return now->st_size == c->main.st_size && same_time(&now->st_mtim, &c->main.st_mtim) &&
           (c->pinned || same_time(&now->st_ctim, &c->main.st_ctim));
}

/* Would a write at this moment get a time other than the one it has? A time in the future counts: it would be set back.
 */
static bool is_settled(const struct stat *st)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now); /* what the kernel stamps files with */
    const struct timespec *times[] = {&st->st_mtim, &st->st_ctim};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        int64_t age_ns = ((int64_t)now.tv_sec - times[i]->tv_sec) * 1000000000 + (now.tv_nsec - times[i]->tv_nsec);
        if (llabs(age_ns) <= (int64_t)SETTLED_MS * 1000000)
            return false;
    }
    return true;
}

static int note_main(struct sqlite_capture *c, struct err *err)
{
    if (fstat(c->fd, &c->main) != 0)
        return err_errno(err, errno, "cannot look at it");
    return 0;
}

/* Notes the file's size and times, at a moment when they are old enough to show any later change. */
static int settle(struct sqlite_capture *c, struct err *err)
{
    int looks = c->wal_mode ? SETTLE_LOOKS_WAL : SETTLE_LOOKS;
    for (int look = 0; look < looks; look++) {
        if (look > 0)
            os_sleep_ms(SETTLE_PAUSE_MS);
        if (os_check_interrupt(err) != 0 || note_main(c, err) != 0)
            return -1;
        c->settled = is_settled(&c->main);
        if (c->settled)
            return 0;
    }
    return 0;
}

static int read_header(const struct sqlite_capture *c, unsigned char head[SQLITE_HEADER_BYTES], struct err *err)
{
    ssize_t n = os_pread_full(c->fd, head, SQLITE_HEADER_BYTES, 0);
    if (n < 0)
        return err_errno(err, errno, "cannot read it");
    if (!sqlite_is_database(head, (size_t)n))
        return err_set(err, ERR_CORRUPT, "it is not a SQLite database");
    if (head[19] < 1 || head[19] > 2)
        return err_set(err, ERR_UNSUPPORTED, "it has format version %u; only 1 and 2 are known", head[19]);
    return 0;
}

/* Opens the WAL if there is one with anything in it, which alone makes it a WAL database to SQLite. */
static int open_wal(struct sqlite_capture *c, struct err *err)
{
    struct stat st;
    char *path = mem_printf("%s-wal", c->path);
    c->wal_fd = os_open_noatime(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    if (c->wal_fd < 0 && errno != ENOENT)
        err_errno(err, errno, "cannot open '%s'", path);
    bool failed = c->wal_fd < 0 && errno != ENOENT;
    free(path);
    if (c->wal_fd >= 0 && fstat(c->wal_fd, &st) != 0)
        return err_errno(err, errno, "cannot look at the write-ahead log");
    if (c->wal_fd >= 0 && st.st_size > 0) {
        c->wal_mode = true;
        if (st.st_mtim.tv_sec > c->mtime.tv_sec ||
            (st.st_mtim.tv_sec == c->mtime.tv_sec && st.st_mtim.tv_nsec > c->mtime.tv_nsec))
            c->mtime = st.st_mtim;
    }
    return failed ? -1 : 0;
}

static void close_wal(struct sqlite_capture *c)
{
    sqlite_wal_release(&c->wal);
    if (c->wal_fd >= 0)
        close(c->wal_fd);
    c->wal_fd = -1;
}

/* Is it in WAL mode? A first look that decides how to go about it; checked again when all is in place. */
static int look_at_mode(struct sqlite_capture *c, struct err *err)
{
    unsigned char head[SQLITE_HEADER_BYTES];
    if (read_header(c, head, err) != 0)
        return -1;
    c->wal_mode = head[19] == 2;
    int rc = open_wal(c, err);
    close_wal(c);
    return rc;
}

/* Takes a reader's locks. c->pinned stays false where that is impossible, and reading without is no worse: one
 * connection has the WAL database for itself alone, the file system knows no locks, or nobody has it open. In the last
 * case the SHARED lock is kept: it does not stop checkpoints, but the one that whoever opens it would make when closing
 * it. */
static int pin(struct sqlite_capture *c, uint64_t deadline_ns, struct err *err)
{
    int locked = sqlite_lock_shared(c->fd, deadline_ns, err) == 0 ? 1 : -1;
    if (locked == 1 && c->wal_mode)
        locked = sqlite_lock_checkpoints(c->path, deadline_ns, &c->shm_fd, err);
    c->pinned = locked == 1;
    if (locked >= 0)
        return 0;
    sqlite_unlock_shared(c->fd);
    return err->code == ERR_INTERRUPTED || (err->code == ERR_TIMEOUT && !c->wal_mode) ? -1 : 0;
}

/* Rule 3 above, and the first moment of rules 2 and 3. */
static int wait_for_standstill(struct sqlite_capture *c, uint64_t deadline_ns, struct err *err)
{
    for (;;) {
        if (settle(c, err) != 0)
            return -1;
        if (c->wal_mode || !sqlite_lock_is_exclusive(c->fd))
            break;
        if (os_monotonic_ns() >= deadline_ns)
            return err_set(err, ERR_TIMEOUT, "it stayed locked by its writer");
        os_sleep_ms(SETTLE_PAUSE_MS);
    }
    if (!c->settled && !c->wal_mode)
        return err_set(err, ERR_CHANGED, "it is being written to all the time");
    return 0;
}

static int check_journal(const struct sqlite_capture *c, struct err *err)
{
    enum sqlite_journal journal;
    if (sqlite_journal_look(c->path, c->fd, &journal, err) != 0)
        return -1;
    if (journal == SQLITE_JOURNAL_HOT)
        return err_set(
            err, ERR_FAILED,
            "a program died while writing to it and left '%s-journal'; open it once with its own program (or "
            "sqlite3), which takes the unfinished change back",
            c->path);
    /* A transaction before its commit leaves the file alone until it gets the EXCLUSIVE lock. But a WAL database has a
     * journal only while it is being turned into one, or back. */
    if (journal == SQLITE_JOURNAL_LIVE && c->wal_mode)
        return err_set(err, ERR_CHANGED, "its journal mode is being changed");
    return 0;
}

/* The copy's size, and whether the file can be what its header says. */
static int take_size(struct sqlite_capture *c, const unsigned char head[SQLITE_HEADER_BYTES], struct err *err)
{
    if (c->wal.last_commit != 0) {
        c->bytes = (uint64_t)c->wal.database_pages * c->page_bytes;
        return 0;
    }
    /* Not the size noted in c->main: a checkpoint may have gone on until just before the WAL was loaded. */
    struct stat now;
    if (fstat(c->fd, &now) != 0)
        return err_errno(err, errno, "cannot look at it");
    c->bytes = (uint64_t)now.st_size;
    uint64_t pages = sqlite_header_pages(head);
    if (pages * c->page_bytes <= c->bytes)
        return 0;
    if (!main_is_unchanged(c, &now))
        return err_set(err, ERR_CHANGED, "it changed while it was opened");
    return err_set(err, ERR_CORRUPT, "it is cut short: %llu bytes, where its header says %llu pages of %u",
                   (unsigned long long)c->bytes, (unsigned long long)pages, c->page_bytes);
}

/* Everything that defines the state to copy, in an order that the rules above depend on: locks or the file's times
 * first, then the journal, then the WAL. */
static int define_state(struct sqlite_capture *c, bool want_pin, uint64_t deadline_ns, struct err *err)
{
    unsigned char head[SQLITE_HEADER_BYTES];
    bool wal_mode = false;
    if (look_at_mode(c, err) != 0 || (want_pin && pin(c, deadline_ns, err) != 0))
        return -1;
    wal_mode = c->wal_mode;
    if ((c->pinned ? note_main(c, err) : wait_for_standstill(c, deadline_ns, err)) != 0)
        return -1;
    if (check_journal(c, err) != 0 || read_header(c, head, err) != 0)
        return -1;
    c->mtime = c->main.st_mtim;
    c->wal_mode = head[19] == 2;
    c->page_bytes = sqlite_header_page_bytes(head);
    if (open_wal(c, err) != 0 || sqlite_wal_load(&c->wal, c->wal_fd, c->page_bytes, err) != 0)
        return -1;
    if (c->wal_mode != wal_mode)
        return err_set(err, ERR_CHANGED, "its journal mode was changed");
    if (!c->wal.valid && !c->settled && !c->pinned)
        return err_set(err, ERR_CHANGED, "it is being written to all the time");
    return take_size(c, head, err);
}

static int read_main(struct sqlite_capture *c, unsigned char *p, size_t len, uint64_t at, struct err *err)
{
    ssize_t n = os_pagecache_read(&c->cache, p, len, at);
    if (n < 0)
        return err_errno(err, errno, "cannot read it");
    /* Pages past the end that are not in the WAL were never written: unused ones, and the one under the lock bytes. */
    memset(p + n, 0, len - (size_t)n);
    return 0;
}

/* A piece of one page, from its frame. */
static int read_frame(const struct sqlite_capture *c, uint32_t frame, size_t skip, unsigned char *p, size_t len,
                      struct err *err)
{
    ssize_t n = os_pread_full(c->wal_fd, p, len, sqlite_wal_page_offset(&c->wal, frame) + (off_t)skip);
    if (n < 0)
        return err_errno(err, errno, "cannot read the write-ahead log");
    /* What is missing was cut off after a checkpoint; the log's header tells (read_range). */
    memset(p + n, 0, len - (size_t)n);
    return 0;
}

/* Bytes [at, at + len) of the copy: runs from the file, and pages from the WAL between them. */
static int read_mixed(struct sqlite_capture *c, unsigned char *p, size_t len, uint64_t at, struct err *err)
{
    const uint64_t page_bytes = c->page_bytes, end = at + len;
    size_t i = sqlite_wal_find(&c->wal, (uint32_t)(at / page_bytes + 1));
    while (at < end) {
        uint64_t start = i < c->wal.count ? (c->wal.entries[i].page - 1) * page_bytes : end;
        uint64_t stop = at < start ? start : start + page_bytes;
        size_t n = (size_t)((stop < end ? stop : end) - at);
        if (at < start ? read_main(c, p, n, at, err) != 0
                       : read_frame(c, c->wal.entries[i++].frame, (size_t)(at - start), p, n, err) != 0)
            return -1;
        p += n;
        at += n;
    }
    return 0;
}

static int read_range(struct sqlite_capture *c, unsigned char *p, size_t len, uint64_t at, struct err *err)
{
    if (read_mixed(c, p, len, at, err) != 0)
        return -1;
    if (c->wal.count == 0)
        return 0;
    int current = sqlite_wal_is_current(&c->wal, c->wal_fd, err);
    if (current != 0)
        return current < 0 ? -1 : 0;
    if (!c->pinned)
        return err_set(err, ERR_CHANGED, "its write-ahead log was restarted while it was read");
    c->wal.count = 0; /* all of it is in the file */
    return read_main(c, p, len, at, err);
}

/* Rules 1 and 2 for a copy that used a WAL. */
static int verify_wal(const struct sqlite_capture *c, bool main_unchanged, struct err *err)
{
    enum sqlite_wal_state state;
    struct stat opened, now;
    if (sqlite_wal_compare(&c->wal, c->wal_fd, &state, err) != 0)
        return -1;
    if (state == SQLITE_WAL_REWRITTEN || (state == SQLITE_WAL_RESTARTED && !c->pinned))
        return err_set(err, ERR_CHANGED, "its write-ahead log was rewritten while it was read");
    if (main_unchanged)
        return 0;
    /* A log that was deleted stays as it was, whatever was committed since to another. */
    char *path = mem_printf("%s-wal", c->path);
    bool in_place = fstat(c->wal_fd, &opened) == 0 && stat(path, &now) == 0 && opened.st_dev == now.st_dev &&
                    opened.st_ino == now.st_ino;
    free(path);
    if (state == SQLITE_WAL_SAME && in_place)
        return 0;
    return err_set(err, ERR_CHANGED, "it was checkpointed while it was read");
}

static int verify(const struct sqlite_capture *c, struct err *err)
{
    struct stat now, named;
    if (fstat(c->fd, &now) != 0)
        return err_errno(err, errno, "cannot look at it");
    if (stat(c->path, &named) != 0 || named.st_dev != now.st_dev || named.st_ino != now.st_ino)
        return err_set(err, ERR_CHANGED, "it was replaced while it was read");
    bool main_unchanged = main_is_unchanged(c, &now);
    if (c->wal.valid)
        return verify_wal(c, main_unchanged, err);
    return main_unchanged ? 0 : err_set(err, ERR_CHANGED, "it was written to while it was read");
}

/* Closes the files, and lets go of the locks with them. */
static void close_files(struct sqlite_capture *c)
{
    if (c->cache_begun)
        os_pagecache_end(&c->cache);
    c->cache_begun = false;
    close_wal(c);
    if (c->shm_fd >= 0)
        close(c->shm_fd);
    if (c->fd >= 0)
        close(c->fd);
    c->fd = c->shm_fd = -1;
}

void sqlite_capture_close(struct sqlite_capture *c)
{
    if (c == NULL)
        return;
    close_files(c);
    free(c->memory);
    free(c->path);
    free(c);
}

static int read_small(struct sqlite_capture *c, struct err *err)
{
    c->memory = mem_alloc(c->bytes > 0 ? (size_t)c->bytes : 1);
    if (read_range(c, c->memory, (size_t)c->bytes, 0, err) != 0 || verify(c, err) != 0)
        return -1;
    close_files(c);
    return 0;
}

/* One attempt, from nothing. */
static int attempt(struct sqlite_capture **out, const char *path, bool want_pin, uint64_t deadline_ns, struct err *err)
{
    struct sqlite_capture *c = mem_zalloc(sizeof *c);
    c->wal_fd = c->shm_fd = -1;
    c->path = realpath(path, NULL);
    if (c->path == NULL)
        c->path = mem_strdup(path);
    int rc = -1;
    c->fd = os_open_noatime(c->path, O_RDONLY | O_NONBLOCK);
    if (c->fd < 0) {
        err_errno(err, errno, "cannot open it");
        goto out;
    }
    if (define_state(c, want_pin, deadline_ns, err) != 0)
        goto out;
    os_pagecache_begin(&c->cache, c->fd, (uint64_t)c->main.st_size);
    c->cache_begun = true;
    if (c->bytes <= SMALL_BYTES && read_small(c, err) != 0)
        goto out;
    *out = c;
    rc = 0;
out:
    if (rc != 0)
        sqlite_capture_close(c);
    return rc;
}

static int open_retrying(struct sqlite_capture **out, const char *path, bool insist, unsigned busy_ms, struct err *err)
{
    struct err local = {0};
    uint64_t deadline_ns = os_monotonic_ns() + (uint64_t)busy_ms * 1000000;
    for (unsigned tries = 1;; tries++) {
        bool want_pin = insist || tries > TRIES_UNLOCKED;
        if (attempt(out, path, want_pin, deadline_ns, &local) == 0)
            return 0;
        bool again = local.code == ERR_CHANGED && (tries < TRIES_MIN || os_monotonic_ns() < deadline_ns);
        if (!again)
            break;
        os_sleep_ms(RETRY_PAUSE_MS);
    }
    if (err != NULL)
        *err = local;
    return err_wrap(err, "cannot capture the SQLite database '%s'", path);
}

int sqlite_capture_open(struct sqlite_capture **out, const char *path, unsigned busy_ms, struct err *err)
{
    return open_retrying(out, path, false, busy_ms, err);
}

int sqlite_capture_open_insisting(struct sqlite_capture **out, const char *path, unsigned busy_ms, struct err *err)
{
    return open_retrying(out, path, true, busy_ms, err);
}

uint64_t sqlite_capture_bytes(const struct sqlite_capture *c)
{
    return c->bytes;
}

uint32_t sqlite_capture_page_bytes(const struct sqlite_capture *c)
{
    return c->page_bytes;
}

struct timespec sqlite_capture_mtime(const struct sqlite_capture *c)
{
    return c->mtime;
}

int64_t sqlite_capture_read(struct sqlite_capture *c, void *p, size_t cap, struct err *err)
{
    uint64_t left = c->bytes - c->offset;
    size_t len = cap < left ? cap : (size_t)left;
    if (len == 0)
        return 0;
    if (c->memory != NULL)
        memcpy(p, c->memory + c->offset, len);
    else if (read_range(c, p, len, c->offset, err) != 0)
        return err_wrap(err, "SQLite database '%s'", c->path);
    c->offset += len;
    return (int64_t)len;
}

int sqlite_capture_verify(struct sqlite_capture *c, struct err *err)
{
    assert(c->offset == c->bytes);
    if (c->memory != NULL)
        return 0;
    if (verify(c, err) != 0)
        return err_wrap(err, "SQLite database '%s'", c->path);
    return 0;
}
