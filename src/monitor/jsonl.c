/* Invariant: each line but the last is whole. A last line that is torn (its writer was killed, or the disk was full) is
 * ended by the next append. */
#include "monitor/jsonl.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "os/file.h"

/* Opens the file and holds it alone: somebody else's cutting must not take it away between our open and our write. */
static int open_alone(const char *path)
{
    for (;;) {
        int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
        struct stat ours, there;
        if (fd < 0)
            return -1;
        if (fstat(fd, &ours) != 0 || !S_ISREG(ours.st_mode)) {
            close(fd);
            errno = EINVAL;
            return -1;
        }
        while (flock(fd, LOCK_EX) != 0 && errno == EINTR)
            ;
        if (stat(path, &there) == 0 && ours.st_ino == there.st_ino && ours.st_dev == there.st_dev)
            return fd;
        close(fd);
    }
}

static bool is_torn(int fd, off_t size)
{
    char last;
    return size > 0 && os_pread_full(fd, &last, 1, size - 1) == 1 && last != '\n';
}

/* What a full disk took only half of is cut off again. */
static int write_line(int fd, const struct buf *line)
{
    struct stat st;
    struct buf all;
    if (fstat(fd, &st) != 0)
        return -1;
    buf_init(&all, line->len + 1);
    if (is_torn(fd, st.st_size))
        buf_append_byte(&all, '\n');
    buf_append(&all, line->data, line->len);
    ssize_t n = write(fd, all.data, all.len);
    int errnum = n < 0 ? errno : ENOSPC;
    bool whole = n == (ssize_t)all.len;
    if (!whole && n > 0 && ftruncate(fd, st.st_size) != 0)
        errnum = errno;
    buf_release(&all);
    if (whole)
        return fdatasync(fd);
    errno = errnum;
    return -1;
}

/* Where the last `lines` lines begin. */
static size_t last_lines(const unsigned char *text, size_t len, size_t lines)
{
    size_t at = len;
    if (lines == 0)
        return len;
    if (at > 0 && text[at - 1] == '\n')
        at--;
    for (; at > 0; at--)
        if (text[at - 1] == '\n' && --lines == 0)
            return at;
    return 0;
}

/* The end of the file, from the beginning of a line on. */
static int read_end(int fd, const struct jsonl_limits *limits, struct buf *out)
{
    struct stat st;
    size_t start = out->len;
    if (fstat(fd, &st) != 0)
        return -1;
    off_t offset = st.st_size > (off_t)limits->read_bytes ? st.st_size - (off_t)limits->read_bytes : 0;
    size_t len = (size_t)(st.st_size - offset);
    unsigned char *to = buf_reserve(out, len + 1);
    ssize_t n = to != NULL ? os_pread_full(fd, to, len, offset) : -1;
    if (n < 0)
        return -1;
    const unsigned char *first = offset > 0 ? memchr(to, '\n', (size_t)n) : NULL;
    size_t skip = first != NULL ? (size_t)(first + 1 - to) : 0;
    memmove(to, to + skip, (size_t)n - skip);
    out->len = start + (size_t)n - skip;
    return 0;
}

/* Where what stays begins: the last lines, as many as may be, but the newest in any case. whole: the text is the whole
 * file. */
static size_t end_of_gone(const unsigned char *text, size_t len, bool whole, const struct jsonl_limits *limits)
{
    size_t gone = last_lines(text, len, limits->kept_lines), most = limits->max_bytes / 4 * 3;
    bool room = len - gone <= limits->max_bytes - limits->max_bytes / 32; /* for many lines more */
    if (room || (whole && gone == 0))
        return gone;
    const unsigned char *stop = memchr(text + len - most - 1, '\n', most + 1);
    size_t newest = last_lines(text, len, 1), next = stop != NULL ? (size_t)(stop + 1 - text) : len;
    return next < newest ? next : newest;
}

/* Under the file's lock. What cannot be cut now is cut another time. A few long lines may pass the limit: they are not
 * written again and again for nothing. */
static void cut(int fd, const char *path, const struct jsonl_limits *limits)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || st.st_size <= (off_t)limits->max_bytes)
        return;
    struct buf text, kept;
    buf_init(&text, limits->read_bytes + 2);
    buf_init(&kept, 2 * limits->read_bytes + 2);
    if (read_end(fd, limits, &text) == 0 && text.len > 0) {
        size_t gone = end_of_gone(text.data, text.len, (off_t)text.len == st.st_size, limits);
        if (gone > 0 && limits->keep != NULL)
            limits->keep((const char *)text.data, gone, &kept);
        buf_append(&kept, text.data + gone, text.len - gone);
        if (kept.len < (size_t)st.st_size)
            os_write_file_atomic(path, kept.data, kept.len, 0600, NULL);
    }
    buf_release(&kept);
    buf_release(&text);
}

int jsonl_append(const char *path, const struct buf *line, const struct jsonl_limits *limits, struct err *err)
{
    int fd = open_alone(path);
    if (fd < 0)
        return err_errno(err, errno, "cannot open log '%s'", path);
    int rc = write_line(fd, line) == 0 ? 0 : err_errno(err, errno, "cannot write log '%s'", path);
    if (rc == 0)
        cut(fd, path, limits);
    close(fd);
    return rc;
}

int jsonl_read_tail(const char *path, size_t lines, const struct jsonl_limits *limits, struct buf *out, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc = 0;
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 : err_errno(err, errno, "cannot open log '%s'", path);
    size_t start = out->len;
    if (read_end(fd, limits, out) != 0) {
        rc = err_errno(err, errno, "cannot read log '%s'", path);
    } else if (out->len > start) {
        unsigned char *text = out->data + start;
        size_t len = out->len - start, gone = last_lines(text, len, lines);
        memmove(text, text + gone, len - gone);
        out->len -= gone;
    }
    close(fd);
    return rc;
}
