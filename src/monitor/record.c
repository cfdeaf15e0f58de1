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

enum { SPARE_BYTES = 64 << 10 };

/* --- memory --- */

static void release_source(struct record_source *s)
{
    free(s->name);
    free(s->message);
    free(s->push);
    for (size_t i = 0; i < s->path_count; i++)
        free(s->paths[i].path);
    free(s->paths);
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

void record_add_path(struct record_source *s, const char *path, uint64_t bytes)
{
    if (s->path_count == RECORD_PATHS_MAX)
        return;
    s->paths = mem_array(s->paths, s->path_count + 1, sizeof *s->paths);
    s->paths[s->path_count++] = (struct record_path){.path = mem_strdup(path), .bytes = bytes};
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

/* Under the file's lock. What cannot be rotated now is rotated another time. A few long lines may pass the limit: they
 * are not written again and again for nothing. */
static void rotate(int fd, const char *path)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || st.st_size <= RECORD_FILE_MAX_BYTES)
        return;
    struct buf text;
    buf_init(&text, RECORD_READ_MAX_BYTES + 2);
    if (record_read_tail(fd, &text) == 0) {
        const char *all = buf_cstr(&text), *from = record_last_lines(all, text.len, RECORD_KEPT_LINES);
        size_t len = text.len - (size_t)(from - all);
        if (len < (size_t)st.st_size)
            os_write_file_atomic(path, from, len, 0600, NULL);
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
