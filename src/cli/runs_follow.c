/*
 * Following run logs. A log that is rotated is a new file that begins with old lines: what was appended to the old one
 * is read to its end first, then the new one from behind the last line that was seen.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"
#include "cli/runs.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/interrupt.h"

enum { POLL_MS = 250, READ_MAX_BYTES = 8 << 20 };

struct followed {
    char *name, *last_line; /* last_line NULL: none was seen */
    int fd;                 /* -1: not there yet */
    off_t offset;
};

struct following {
    struct cli *cli;
    const char *state_dir;
    const struct run_filter *filter;
    struct followed *logs;
    size_t count;
};

static void see(struct followed *l, const char *line, size_t len)
{
    free(l->last_line);
    l->last_line = mem_strndup(line, len);
}

static void show(const struct following *f, const char *line, size_t len)
{
    struct record r;
    if (record_decode(line, len, &r) != 0)
        return;
    if (runs_match(f->filter, &r))
        runs_print_line(f->cli, &r, line, len);
    record_release(&r);
}

/* Whole lines from the offset on; a line without an end waits. */
static void read_on(const struct following *f, struct followed *l, bool quiet)
{
    struct stat st;
    struct buf text;
    if (fstat(l->fd, &st) != 0 || st.st_size <= l->offset)
        return;
    size_t len = (size_t)(st.st_size - l->offset);
    if (len > READ_MAX_BYTES) { /* somebody let it grow: its end is what is new */
        l->offset = st.st_size - READ_MAX_BYTES;
        len = READ_MAX_BYTES;
    }
    buf_init(&text, READ_MAX_BYTES + 1);
    unsigned char *to = buf_reserve(&text, len + 1);
    ssize_t n = to != NULL ? os_pread_full(l->fd, to, len, l->offset) : -1;
    text.len = n > 0 ? (size_t)n : 0;
    const char *p = buf_cstr(&text), *end = p + text.len, *stop;
    for (; p < end && (stop = memchr(p, '\n', (size_t)(end - p))) != NULL; p = stop + 1) {
        see(l, p, (size_t)(stop - p));
        if (!quiet)
            show(f, p, (size_t)(stop - p));
        l->offset += stop + 1 - p;
    }
    buf_release(&text);
}

/* Behind the last line that was seen; at the beginning when it is not there. */
static off_t place_in(int fd, const char *last_line)
{
    struct buf text;
    struct stat st;
    off_t found = 0;
    if (last_line == NULL)
        return 0;
    buf_init(&text, READ_MAX_BYTES + 1);
    size_t len = fstat(fd, &st) == 0 && st.st_size < READ_MAX_BYTES ? (size_t)st.st_size : 0;
    unsigned char *to = buf_reserve(&text, len + 1);
    ssize_t n = to != NULL ? os_pread_full(fd, to, len, 0) : -1;
    text.len = n > 0 ? (size_t)n : 0;
    const char *all = buf_cstr(&text), *end = all + text.len, *stop;
    size_t wanted = strlen(last_line);
    for (const char *p = all; p < end && (stop = memchr(p, '\n', (size_t)(end - p))) != NULL; p = stop + 1)
        if ((size_t)(stop - p) == wanted && memcmp(p, last_line, wanted) == 0)
            found = stop + 1 - all;
    buf_release(&text);
    return found;
}

static void look(const struct following *f, struct followed *l)
{
    struct stat ours, there;
    char *path = record_path(f->state_dir, l->name);
    if (l->fd >= 0)
        read_on(f, l, false);
    bool same = l->fd >= 0 && stat(path, &there) == 0 && fstat(l->fd, &ours) == 0 && ours.st_ino == there.st_ino &&
                ours.st_dev == there.st_dev;
    int fd = same ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        if (l->fd >= 0) {
            read_on(f, l, false); /* what came between the look and the rotation */
            close(l->fd);
        }
        l->fd = fd;
        l->offset = place_in(fd, l->last_line);
        read_on(f, l, false);
    }
    free(path);
}

static struct followed *add(struct following *f, const char *name)
{
    f->logs = mem_array(f->logs, f->count + 1, sizeof *f->logs);
    f->logs[f->count] = (struct followed){.name = mem_strdup(name), .fd = -1};
    return &f->logs[f->count++];
}

/* Logs that were not there before: all of them, or those that were named. */
static void find_logs(struct following *f)
{
    struct strlist names = {0};
    if (f->filter->names->count > 0)
        strlist_copy(&names, f->filter->names);
    else
        record_list_logs(f->state_dir, &names);
    for (size_t i = 0; i < names.count; i++) {
        bool known = false;
        for (size_t k = 0; k < f->count && !known; k++)
            known = strcmp(f->logs[k].name, names.items[i]) == 0;
        if (!known)
            add(f, names.items[i]);
    }
    strlist_release(&names);
}

/* What is there already is old. */
static void start_at_end(struct following *f)
{
    find_logs(f);
    for (size_t i = 0; i < f->count; i++) {
        char *path = record_path(f->state_dir, f->logs[i].name);
        f->logs[i].fd = open(path, O_RDONLY | O_CLOEXEC);
        if (f->logs[i].fd >= 0)
            read_on(f, &f->logs[i], true);
        free(path);
    }
}

int runs_follow(struct cli *cli, const char *state_dir, const struct run_filter *filter, struct err *err)
{
    struct following f = {.cli = cli, .state_dir = state_dir, .filter = filter};
    int rc = 0;
    start_at_end(&f);
    while (rc == 0 && ferror(stdout) == 0) {
        fflush(stdout);
        os_sleep_ms(POLL_MS);
        find_logs(&f);
        for (size_t i = 0; i < f.count; i++)
            look(&f, &f.logs[i]);
        rc = os_check_interrupt(err);
    }
    for (size_t i = 0; i < f.count; i++) {
        if (f.logs[i].fd >= 0)
            close(f.logs[i].fd);
        free(f.logs[i].name);
        free(f.logs[i].last_line);
    }
    free(f.logs);
    return rc;
}
