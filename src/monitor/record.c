/* Record files. Invariant: a record's line is either wholly there or its last line is torn; the next append then begins
 * with a line break. */
#include "monitor/record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"
#include "monitor/record_internal.h"
#include "os/file.h"

enum { READ_MAX_BYTES = 4 << 20, SPARE_BYTES = 64 << 10 };

/* --- memory --- */

static void release_source(struct record_source *s)
{
    free(s->name);
    free(s->message);
    free(s->push);
}

void record_release(struct record *r)
{
    for (size_t i = 0; i < r->source_count; i++)
        release_source(&r->sources[i]);
    for (size_t i = 0; i < r->destination_count; i++) {
        free(r->destinations[i].name);
        free(r->destinations[i].message);
    }
    free(r->sources);
    free(r->destinations);
    free(r->tier);
    free(r->run_id);
    free(r->error);
    strlist_release(&r->warnings);
    strlist_release(&r->snapshots);
    *r = (struct record){0};
}

struct record_source *record_add_source(struct record *r, const char *name)
{
    r->sources = mem_array(r->sources, r->source_count + 1, sizeof *r->sources);
    struct record_source *s = &r->sources[r->source_count++];
    *s = (struct record_source){.name = mem_strdup(name)};
    return s;
}

struct record_destination *record_add_destination(struct record *r, const char *name)
{
    r->destinations = mem_array(r->destinations, r->destination_count + 1, sizeof *r->destinations);
    struct record_destination *d = &r->destinations[r->destination_count++];
    *d = (struct record_destination){.name = mem_strdup(name)};
    return d;
}

void record_list_release(struct record_list *l)
{
    for (size_t i = 0; i < l->count; i++)
        record_release(&l->items[i]);
    free(l->items);
    *l = (struct record_list){0};
}

/* --- places --- */

char *record_state_dir(void)
{
    const char *own = getenv("CLAWBACK_STATE_DIR"), *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    if (own != NULL && *own != '\0') {
        char *absolute = os_path_absolute(own);
        return absolute != NULL ? absolute : mem_strdup(own);
    }
    if (xdg != NULL && *xdg == '/')
        return os_path_join(xdg, "clawback");
    if (geteuid() == 0 && (home == NULL || *home == '\0'))
        return mem_strdup("/var/lib/clawback");
    return os_path_expand_home("~/.local/state/clawback");
}

char *record_path(const char *state_dir, const char *tier)
{
    char *name = mem_strdup(tier);
    for (char *p = name; *p != '\0'; p++)
        if (*p == '/' || (p == name && *p == '.'))
            *p = '_';
    char *path = mem_printf("%s/runs/%s.jsonl", state_dir, name);
    free(name);
    return path;
}

/* --- writing --- */

/* A little space that is ours: where the state lies on the disk that just filled up, this is where the record goes. */
static char *spare_path(const char *state_dir)
{
    return os_path_join(state_dir, "spare");
}

static void keep_spare(const char *state_dir)
{
    char *path = spare_path(state_dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0) {
        int full = posix_fallocate(fd, 0, SPARE_BYTES);
        close(fd);
        if (full != 0)
            unlink(path);
    }
    free(path);
}

static bool give_up_spare(const char *state_dir)
{
    char *path = spare_path(state_dir);
    bool there = unlink(path) == 0;
    free(path);
    return there;
}

/* Opens the file and holds it alone: somebody else's rotation must not take it away between our open and our write. */
static int open_locked(const char *path)
{
    for (;;) {
        int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        struct stat ours, there;
        if (fd < 0)
            return -1;
        while (flock(fd, LOCK_EX) != 0 && errno == EINTR)
            ;
        if (fstat(fd, &ours) == 0 && stat(path, &there) == 0 && ours.st_ino == there.st_ino &&
            ours.st_dev == there.st_dev)
            return fd;
        close(fd);
    }
}

static bool ends_torn(int fd, off_t size)
{
    char last;
    return size > 0 && os_pread_full(fd, &last, 1, size - 1) == 1 && last != '\n';
}

/* One write. What a full disk took only half of is cut off again. */
static int append_line(int fd, const struct buf *line)
{
    struct stat st;
    struct buf all;
    if (fstat(fd, &st) != 0)
        return -1;
    buf_init(&all, line->len + 1);
    if (ends_torn(fd, st.st_size))
        buf_append_byte(&all, '\n');
    buf_append(&all, line->data, line->len);
    ssize_t n = write(fd, all.data, all.len);
    int errnum = n < 0 ? errno : ENOSPC;
    bool whole = n == (ssize_t)all.len;
    if (!whole && n > 0 && ftruncate(fd, st.st_size) != 0)
        errnum = errno;
    buf_release(&all);
    if (whole && fdatasync(fd) == 0)
        return 0;
    errno = whole ? errno : errnum;
    return -1;
}

/* The last lines of a text. */
static const char *last_lines(const char *text, size_t len, size_t lines)
{
    const char *p = text + len;
    if (p > text && p[-1] == '\n')
        p--;
    while (p > text)
        if (*--p == '\n' && --lines == 0)
            return p + 1;
    return text;
}

/* The end of the file, from the beginning of a line on. */
static int read_tail(int fd, struct buf *out)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return -1;
    off_t offset = st.st_size > READ_MAX_BYTES ? st.st_size - READ_MAX_BYTES : 0;
    size_t len = (size_t)(st.st_size - offset);
    unsigned char *to = buf_reserve(out, len + 1);
    ssize_t n = to != NULL ? os_pread_full(fd, to, len, offset) : -1;
    if (n < 0)
        return -1;
    out->len += (size_t)n;
    const unsigned char *first = offset > 0 ? memchr(out->data, '\n', out->len) : NULL;
    if (first != NULL) {
        size_t skip = (size_t)(first + 1 - out->data);
        memmove(out->data, out->data + skip, out->len - skip);
        out->len -= skip;
    }
    return 0;
}

/* Under the file's lock. What cannot be rotated now is rotated another time. */
static void rotate(int fd, const char *path)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || st.st_size <= RECORD_FILE_MAX_BYTES)
        return;
    struct buf text;
    buf_init(&text, READ_MAX_BYTES + 2);
    if (read_tail(fd, &text) == 0) {
        const char *all = buf_cstr(&text), *from = last_lines(all, text.len, RECORD_KEPT_LINES);
        os_write_file_atomic(path, from, text.len - (size_t)(from - all), 0600, NULL);
    }
    buf_release(&text);
}

static int append(const char *path, const struct buf *line, struct err *err)
{
    int fd = open_locked(path);
    if (fd < 0)
        return err_errno(err, errno, "cannot open run log '%s'", path);
    int rc = append_line(fd, line) == 0 ? 0 : err_errno(err, errno, "cannot write run log '%s'", path);
    if (rc == 0)
        rotate(fd, path);
    close(fd);
    return rc;
}

int record_append(const char *state_dir, const struct record *r, struct err *err)
{
    char *dir = os_path_join(state_dir, "runs"), *path = record_path(state_dir, r->tier != NULL ? r->tier : "");
    struct err this = {0};
    struct buf line;
    buf_init(&line, 2 * RECORD_LINE_MAX_BYTES);
    record_encode(r, &line);
    int rc = os_make_dirs(dir, 0700, &this);
    if (rc == 0)
        rc = append(path, &line, &this);
    if (rc != 0 && this.code == ERR_NO_SPACE && give_up_spare(state_dir)) {
        err_clear(&this);
        rc = append(path, &line, &this);
    } else if (rc == 0) {
        keep_spare(state_dir);
    }
    if (rc != 0 && err != NULL)
        *err = this;
    buf_release(&line);
    free(dir);
    free(path);
    return rc;
}

/* --- reading --- */

static void decode_lines(const char *from, const char *end, struct record_list *out)
{
    while (from < end) {
        const char *stop = memchr(from, '\n', (size_t)(end - from));
        size_t len = (size_t)((stop != NULL ? stop : end) - from);
        out->items = mem_array(out->items, out->count + 1, sizeof *out->items);
        if (record_decode(from, len, &out->items[out->count]) == 0)
            out->count++;
        else if (len > 0)
            out->damaged++;
        from += len + 1;
    }
}

int record_list_read(const char *state_dir, const char *tier, size_t max, struct record_list *out, struct err *err)
{
    *out = (struct record_list){0};
    char *path = record_path(state_dir, tier);
    int fd = open(path, O_RDONLY | O_CLOEXEC), rc = 0;
    if (fd < 0) {
        rc = errno == ENOENT || errno == ENOTDIR ? 0 : err_errno(err, errno, "cannot open run log '%s'", path);
        free(path);
        return rc;
    }
    struct buf text;
    buf_init(&text, READ_MAX_BYTES + 2);
    if (read_tail(fd, &text) != 0) {
        rc = err_errno(err, errno, "cannot read run log '%s'", path);
    } else {
        const char *all = buf_cstr(&text);
        size_t lines = max < RECORD_KEPT_LINES ? max : RECORD_KEPT_LINES;
        if (lines > 0)
            decode_lines(last_lines(all, text.len, lines), all + text.len, out);
    }
    buf_release(&text);
    close(fd);
    free(path);
    return rc;
}

const struct record *record_last_ended(const struct record_list *l)
{
    for (size_t i = l->count; i-- > 0;)
        if (l->items[i].status != RECORD_STARTED)
            return &l->items[i];
    return NULL;
}

const struct record *record_last_good(const struct record_list *l, int worst_exit_code)
{
    for (size_t i = l->count; i-- > 0;)
        if (l->items[i].status == RECORD_COMPLETED && l->items[i].exit_code <= worst_exit_code)
            return &l->items[i];
    return NULL;
}

const struct record *record_unended(const struct record_list *l)
{
    for (size_t i = l->count; i-- > 0;) {
        const struct record *r = &l->items[i];
        if (r->status != RECORD_STARTED)
            return NULL; /* runs of a tier do not overlap: whatever began before this one is over */
        if (r->run_id != NULL)
            return r;
    }
    return NULL;
}

int64_t record_last_started_ms(const struct record_list *l)
{
    for (size_t i = l->count; i-- > 0;)
        if (l->items[i].status == RECORD_STARTED)
            return (int64_t)l->items[i].time.tv_sec * 1000 + l->items[i].time.tv_nsec / 1000000;
    return 0;
}
