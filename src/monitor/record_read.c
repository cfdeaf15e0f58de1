/* Record files: reading. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"
#include "monitor/record_internal.h"
#include "os/clock.h"
#include "os/file.h"

const char *record_last_lines(const char *text, size_t len, size_t lines)
{
    const char *p = text + len;
    if (p > text && p[-1] == '\n')
        p--;
    while (p > text)
        if (*--p == '\n' && --lines == 0)
            return p + 1;
    return text;
}

int record_read_tail(int fd, struct buf *out)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return -1;
    off_t offset = st.st_size > RECORD_READ_MAX_BYTES ? st.st_size - RECORD_READ_MAX_BYTES : 0;
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

/* Which lines are a job's, without decoding them all: within a JSON string the quotes would be escaped. */
bool record_is_job_line(const char *line, size_t len)
{
    static const char MARK[] = "\"by\":\"daemon\"";
    return memmem(line, len, MARK, sizeof MARK - 1) != NULL;
}

/* Where the last `max` lines of one kind begin. */
static const char *last_of_kind(const char *text, size_t len, bool job, size_t max)
{
    const char *end = text + len, *from = end;
    for (size_t found = 0; found < max && end > text;) {
        const char *start = end - 1;
        while (start > text && start[-1] != '\n')
            start--;
        if (record_is_job_line(start, (size_t)(end - start)) == job) {
            from = start;
            found++;
        }
        end = start;
    }
    return from;
}

static void decode_line(const char *line, size_t len, bool job, struct record_list *out)
{
    struct record r;
    if (record_decode(line, len, &r) != 0) {
        out->damaged += len > 0;
        return;
    }
    if (r.job != job) {
        record_release(&r);
        return;
    }
    out->items = mem_array(out->items, out->count + 1, sizeof *out->items);
    out->items[out->count++] = r;
}

static void decode_lines(const char *from, const char *end, bool job, struct record_list *out)
{
    while (from < end) {
        const char *stop = memchr(from, '\n', (size_t)(end - from));
        size_t len = (size_t)((stop != NULL ? stop : end) - from);
        if (record_is_job_line(from, len) == job)
            decode_line(from, len, job, out);
        from += len + 1;
    }
}

/* The end of a log, whole lines. No file: nothing. */
static int read_log(const char *state_dir, const char *name, struct buf *text, struct err *err)
{
    char *path = record_path(state_dir, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC), rc = 0;
    if (fd < 0)
        rc = errno == ENOENT || errno == ENOTDIR ? 0 : err_errno(err, errno, "cannot open run log '%s'", path);
    else if (record_read_tail(fd, text) != 0)
        rc = err_errno(err, errno, "cannot read run log '%s'", path);
    if (fd >= 0)
        close(fd);
    free(path);
    return rc;
}

/* What is before `cut` goes, but for the starts of runs that have not ended in the text's first `len` bytes: these come
 * first. */
static void cut_front(struct buf *text, size_t cut, size_t len)
{
    struct buf starts;
    if (cut == 0)
        return;
    buf_init(&starts, 2 * (RECORD_LINE_MAX_BYTES + 1));
    record_add_unended((const char *)text->data, len, cut, &starts);
    cut -= starts.len;
    if (starts.len > 0)
        memcpy(text->data + cut, starts.data, starts.len);
    text->len -= cut;
    memmove(text->data, text->data + cut, text->len);
    buf_release(&starts);
}

static int read_kind(const char *state_dir, const char *name, bool job, size_t max, struct record_list *out,
                     struct err *err)
{
    struct buf text;
    *out = (struct record_list){0};
    buf_init(&text, RECORD_READ_MAX_BYTES + 2);
    int rc = read_log(state_dir, name, &text, err);
    const char *all = buf_cstr(&text);
    size_t records = max < RECORD_KEPT_LINES ? max : RECORD_KEPT_LINES;
    if (rc == 0) {
        cut_front(&text, (size_t)(last_of_kind(all, text.len, job, records) - all), text.len);
        decode_lines(all, all + text.len, job, out);
    }
    buf_release(&text);
    return rc;
}

int record_list_read(const char *state_dir, const char *tier, size_t max, struct record_list *out, struct err *err)
{
    return read_kind(state_dir, tier, false, max, out, err);
}

int record_list_read_job(const char *state_dir, const char *job, size_t max, struct record_list *out, struct err *err)
{
    return read_kind(state_dir, job, true, max, out, err);
}

int record_each_line(const char *state_dir, const char *name, record_line *each, void *ctx, struct err *err)
{
    struct buf text;
    buf_init(&text, RECORD_READ_MAX_BYTES + 2);
    int rc = read_log(state_dir, name, &text, err);
    const char *all = buf_cstr(&text);
    size_t cut = (size_t)(record_last_lines(all, text.len, RECORD_KEPT_LINES) - all);
    cut_front(&text, cut, cut);
    for (const char *from = all, *end = all + text.len; rc == 0 && from < end;) {
        const char *stop = memchr(from, '\n', (size_t)(end - from));
        size_t len = (size_t)((stop != NULL ? stop : end) - from);
        struct record r;
        if (record_decode(from, len, &r) == 0) {
            each(ctx, &r, from, len);
            record_release(&r);
        }
        from += len + 1;
    }
    buf_release(&text);
    return rc;
}

void record_list_logs(const char *state_dir, struct strlist *names)
{
    static const char SUFFIX[] = ".jsonl";
    struct dirent *e;
    char *dir = os_path_join(state_dir, "runs");
    DIR *d = opendir(dir);
    while (d != NULL && (e = readdir(d)) != NULL) {
        size_t len = strlen(e->d_name), suffix = sizeof SUFFIX - 1;
        if (len > suffix && strcmp(e->d_name + len - suffix, SUFFIX) == 0)
            strlist_add_len(names, e->d_name, len - suffix);
    }
    if (d != NULL)
        closedir(d);
    strlist_sort(names);
    free(dir);
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

int64_t record_last_started_ms(const struct record_list *l)
{
    for (size_t i = l->count; i-- > 0;)
        if (l->items[i].status == RECORD_STARTED)
            return os_time_ms(&l->items[i].time);
    return 0;
}
