/*
 * Following the run logs. A log is known by its inode, its first bytes and the last before the place that was reached:
 * a file that was cut to its last lines, exchanged or truncated is read from its beginning again, which changes nothing
 * of the runs that are known. Only whole lines are taken.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/mem.h"
#include "monitor/record_internal.h"
#include "monitor/state_internal.h"
#include "monitor/state_runs.h"
#include "os/clock.h"
#include "os/file.h"

enum { END_BYTES = 128, ANCHOR_BYTES = 2 * END_BYTES, CHUNK_BYTES = 4 << 20, STEM_BYTES = 256 };
static const int64_t WEEK_MS = 7 * 24 * 3600 * 1000LL;

struct log {
    char name[STEM_BYTES]; /* without ".jsonl" */
    bool known;
    int64_t inode, size, offset;
    unsigned char anchor[ANCHOR_BYTES];
    int64_t damaged, damaged_ms;
};

/* --- what is known of a log --- */

static int load_log(struct state *s, struct log *l, struct err *err)
{
    sqlite3_stmt *q = state_query(
        s, err, "SELECT inode, size, offset, anchor, damaged, damaged_ms FROM logs WHERE name = ?", "t", l->name);
    int rc = q != NULL ? state_step(s, q, err) : -1;
    l->known = rc == 1;
    if (rc == 1) {
        l->inode = sqlite3_column_int64(q, 0);
        l->size = sqlite3_column_int64(q, 1);
        l->offset = sqlite3_column_int64(q, 2);
        const void *anchor = sqlite3_column_blob(q, 3);
        if (sqlite3_column_bytes(q, 3) == ANCHOR_BYTES)
            memcpy(l->anchor, anchor, ANCHOR_BYTES);
        l->damaged = sqlite3_column_int64(q, 4);
        l->damaged_ms = sqlite3_column_int64(q, 5);
    }
    sqlite3_finalize(q);
    return rc < 0 ? -1 : 0;
}

static int save_log(struct state *s, const struct log *l, struct err *err)
{
    return state_run(s, err,
                     "INSERT OR REPLACE INTO logs(name, inode, size, offset, anchor, damaged, damaged_ms) "
                     "VALUES(?,?,?,?,?,?,?)",
                     "tiiibii", l->name, l->inode, l->size, l->offset, (const void *)l->anchor, (size_t)ANCHOR_BYTES,
                     l->damaged, l->damaged_ms);
}

static bool looks_same(const struct log *l, const struct stat *st)
{
    return l->known && l->inode == (int64_t)st->st_ino && l->size == (int64_t)st->st_size;
}

/* The first bytes of what was taken over, and the last. -1: they cannot be read. */
static int read_anchor(int fd, int64_t offset, unsigned char out[ANCHOR_BYTES])
{
    size_t len = offset < END_BYTES ? (size_t)offset : END_BYTES;
    memset(out, 0, ANCHOR_BYTES);
    return os_pread_full(fd, out, len, 0) == (ssize_t)len &&
                   os_pread_full(fd, out + END_BYTES, len, (off_t)offset - (off_t)len) == (ssize_t)len
               ? 0
               : -1;
}

/* Is this file what the known one became by appending? */
static bool continues(int fd, const struct log *l, const struct stat *st)
{
    unsigned char there[ANCHOR_BYTES];
    return l->known && l->inode == (int64_t)st->st_ino && l->offset >= 0 && l->offset <= (int64_t)st->st_size &&
           read_anchor(fd, l->offset, there) == 0 && memcmp(there, l->anchor, ANCHOR_BYTES) == 0;
}

/* --- reading --- */

/* Takes over the whole lines. *used_out: their bytes. */
static int take_lines(struct state *s, const struct log *l, const char *text, size_t len, size_t *used_out,
                      size_t *damaged_out, struct err *err)
{
    const char *p = text, *stop;
    while ((stop = memchr(p, '\n', len - (size_t)(p - text))) != NULL) {
        struct record r;
        size_t line_len = (size_t)(stop - p);
        if (record_decode(p, line_len, &r) == 0) {
            int rc = state_take_record(s, &r, l->name, p, line_len, err);
            record_release(&r);
            if (rc != 0)
                return -1;
        } else if (line_len > 0) {
            ++*damaged_out;
        }
        p = stop + 1;
    }
    *used_out = (size_t)(p - text);
    return 0;
}

/* One piece from l->offset on. 1: there may be more. */
static int take_piece(struct state *s, int fd, struct log *l, struct buf *text, size_t *damaged_out, struct err *err)
{
    size_t used = 0;
    buf_clear(text);
    unsigned char *to = buf_reserve(text, CHUNK_BYTES);
    ssize_t n = to != NULL ? os_pread_full(fd, to, CHUNK_BYTES, l->offset) : -1;
    if (n < 0)
        return err_errno(err, errno, "cannot read run log '%s/runs/%s.jsonl'", s->dir, l->name);
    if (take_lines(s, l, (const char *)to, (size_t)n, &used, damaged_out, err) != 0)
        return -1;
    if (used == 0 && n == CHUNK_BYTES) {
        used = CHUNK_BYTES; /* no line of ours is so long */
        ++*damaged_out;
    }
    l->offset += (int64_t)used;
    return used > 0 && n == CHUNK_BYTES;
}

static int take_file(struct state *s, int fd, struct log *l, const struct stat *st, struct err *err)
{
    bool again = l->known && !continues(fd, l, st);
    size_t damaged = 0;
    struct buf text;
    int rc;
    if (again || !l->known) /* of a file that somebody let grow the end is enough, as for record_list_read() */
        l->offset = st->st_size > CHUNK_BYTES ? st->st_size - CHUNK_BYTES : 0;
    bool in_middle = (again || !l->known) && l->offset > 0;
    buf_init(&text, CHUNK_BYTES + 1);
    while ((rc = take_piece(s, fd, l, &text, &damaged, err)) == 1)
        ;
    buf_release(&text);
    if (in_middle && damaged > 0)
        damaged--; /* the line that it began in */
    if (rc != 0)
        return -1;
    if (damaged > 0 && !again) { /* read again, old damage is no news */
        int64_t now_ms = os_now_ms();
        l->damaged = now_ms - l->damaged_ms < WEEK_MS ? l->damaged + (int64_t)damaged : (int64_t)damaged;
        l->damaged_ms = now_ms;
    }
    l->inode = (int64_t)st->st_ino;
    l->size = (int64_t)st->st_size;
    if (read_anchor(fd, l->offset, l->anchor) != 0)
        l->inode = 0; /* it is being changed under our hands: read again the next time */
    return save_log(s, l, err);
}

/* Within a transaction. What cannot be opened, or is no file, is passed over. */
static int follow_one(struct state *s, int dir_fd, const char *file, struct log *l, struct err *err)
{
    struct stat st;
    int fd = openat(dir_fd, file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW), rc = 0;
    if (fd < 0)
        return 0;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        rc = load_log(s, l, err);
        if (rc == 0 && !looks_same(l, &st)) /* else another process has taken it meanwhile */
            rc = take_file(s, fd, l, &st, err);
    }
    close(fd);
    return rc;
}

/* --- all of them --- */

/* "config" of "config.jsonl". */
static bool stem_of(const char *file, char out[STEM_BYTES])
{
    size_t len = strlen(file);
    if (len <= 6 || len - 6 >= STEM_BYTES || strcmp(file + len - 6, ".jsonl") != 0)
        return false;
    memcpy(out, file, len - 6);
    out[len - 6] = '\0';
    return true;
}

/* Is it other than it was? Without a transaction, so that looking costs no lock. */
static bool has_news(struct state *s, int dir_fd, const char *file)
{
    struct stat st;
    struct log l = {.known = false};
    if (!stem_of(file, l.name) || fstatat(dir_fd, file, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
        return false;
    return load_log(s, &l, NULL) != 0 || !looks_same(&l, &st);
}

static void find_news(struct state *s, DIR *dir, struct strlist *out)
{
    for (struct dirent *e; (e = readdir(dir)) != NULL;)
        if (has_news(s, dirfd(dir), e->d_name))
            strlist_add(out, e->d_name);
}

static int follow(struct state *s, DIR *dir, const struct strlist *news, struct err *err)
{
    int rc = state_begin(s, err);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < news->count && rc == 0; i++) {
        struct log l = {.known = false};
        stem_of(news->items[i], l.name);
        rc = follow_one(s, dirfd(dir), news->items[i], &l, err);
    }
    return state_leave(s, true, rc, err);
}

int state_follow_logs(struct state *s, struct err *err)
{
    char *path = os_path_join(s->dir, "runs");
    DIR *dir = opendir(path);
    int rc = 0;
    struct strlist news = {0};
    if (dir != NULL)
        find_news(s, dir, &news);
    else if (errno != ENOENT)
        rc = err_errno(err, errno, "cannot list run logs in '%s'", path);
    if (rc == 0 && news.count > 0) {
        rc = follow(s, dir, &news, err);
        if (rc != 0 && state_mend(s, err))
            rc = follow(s, dir, &news, err);
    }
    if (rc == 0)
        s->fresh = false;
    if (dir != NULL)
        closedir(dir);
    strlist_release(&news);
    free(path);
    return rc == 0 ? state_tidy(s, os_now_ms(), err) : rc;
}

size_t state_damaged(struct state *s, const char *tier, int64_t since_ms)
{
    char *path = record_path(s->dir, tier);
    struct log l = {.known = false};
    bool there = stem_of(strrchr(path, '/') + 1, l.name) && load_log(s, &l, NULL) == 0;
    free(path);
    return there && l.damaged_ms >= since_ms && l.damaged > 0 ? (size_t)l.damaged : 0;
}
