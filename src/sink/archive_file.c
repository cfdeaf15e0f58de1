#include "sink/archive_file.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/mem.h"
#include "os/file.h"

enum { PREFIX_MAX_BYTES = 100, CHECKSUM_MAX_BYTES = 64 << 10, DATE_CHARS = 10 };

static const char CHECKSUM_SUFFIX[] = ".sha256";

/* ---- names */

static bool ends_with(const char *s, size_t len, const char *end)
{
    size_t n = strlen(end);
    return len >= n && memcmp(s + len - n, end, n) == 0;
}

static bool is_clean(const char *s)
{
    for (; *s != '\0'; s++)
        if ((unsigned char)*s < ' ' || *s == 0x7f || *s == '/' || *s == '\\')
            return false;
    return true;
}

int archive_prefix_check(const char *prefix, struct err *err)
{
    size_t len = strlen(prefix);
    const char *why = NULL;
    if (len == 0)
        why = "it is empty";
    else if (prefix[0] == '.' || prefix[0] == '-')
        why = "it begins with a dot or a dash";
    else if (!is_clean(prefix))
        why = "it has a slash, a backslash or a control character in it";
    else if (len > PREFIX_MAX_BYTES)
        why = "it is longer than 100 bytes";
    else if (strcmp(prefix, "latest") == 0 || ends_with(prefix, len, "_latest"))
        why = "'latest' is what the newest archive is called";
    return why == NULL ? 0 : err_set(err, ERR_USAGE, "'%s' cannot begin the names of archives: %s", prefix, why);
}

static void append_suffix(struct buf *name, const struct archive_kind *kind)
{
    buf_printf(name, ".tar%s%s", compress_suffix(kind->codec), kind->encrypted ? ".gpg" : "");
}

char *archive_file_name(const char *prefix, const struct timespec *time, const struct archive_kind *kind,
                        unsigned attempt)
{
    struct buf name;
    struct tm tm;
    buf_init(&name, 1024);
    gmtime_r(&time->tv_sec, &tm);
    buf_printf(&name, "%s_%04d-%02d-%02d_%02d", prefix, tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour);
    if (attempt >= 1)
        buf_printf(&name, "-%02d", tm.tm_min);
    if (attempt >= 2)
        buf_printf(&name, "-%02d", tm.tm_sec);
    if (attempt >= 3)
        buf_printf(&name, "-%u", attempt - 1);
    append_suffix(&name, kind);
    char *copy = mem_strdup(buf_cstr(&name));
    buf_release(&name);
    return copy;
}

/* Takes the suffix off: the length that is left, 0 when it is none of ours. */
static size_t parse_suffix(const char *name, struct archive_kind *kind)
{
    size_t len = strlen(name);
    *kind = (struct archive_kind){COMPRESS_NONE, false};
    if (ends_with(name, len, ".gpg")) {
        kind->encrypted = true;
        len -= 4;
    }
    if (ends_with(name, len, ".gz")) {
        kind->codec = COMPRESS_GZIP;
        len -= 3;
    } else if (ends_with(name, len, ".zst")) {
        kind->codec = COMPRESS_ZSTD;
        len -= 4;
    }
    return ends_with(name, len, ".tar") ? len - 4 : 0;
}

/* Exactly `digits` digits, a number from min to max; the end, or NULL. */
static const char *parse_number(const char *s, int digits, int min, int max, int *out)
{
    int v = 0;
    if (s == NULL)
        return NULL;
    for (int i = 0; i < digits; i++) {
        if (!isdigit((unsigned char)s[i]))
            return NULL;
        v = v * 10 + (s[i] - '0');
    }
    *out = v;
    return v >= min && v <= max ? s + digits : NULL;
}

static const char *parse_char(const char *s, char c)
{
    return s != NULL && *s == c ? s + 1 : NULL;
}

/* "2026-02-04_02", "…-30", "…-30-15", "…-30-15-2", up to `end`. */
static bool parse_time(const char *s, const char *end, struct archive_file *out)
{
    struct tm tm = {0};
    s = parse_char(parse_number(s, 4, 1970, 9999, &tm.tm_year), '-');
    s = parse_char(parse_number(s, 2, 1, 12, &tm.tm_mon), '-');
    s = parse_char(parse_number(s, 2, 1, 31, &tm.tm_mday), '_');
    s = parse_number(s, 2, 0, 23, &tm.tm_hour);
    if (s != NULL && s < end)
        s = parse_number(parse_char(s, '-'), 2, 0, 59, &tm.tm_min);
    if (s != NULL && s < end)
        s = parse_number(parse_char(s, '-'), 2, 0, 60, &tm.tm_sec);
    out->number = 1;
    if (s != NULL && s < end) {
        int number = 0, digits = (int)(end - s) - 1;
        s = digits >= 1 && digits <= 6 ? parse_number(parse_char(s, '-'), digits, 2, 999999, &number) : NULL;
        out->number = (unsigned)number;
    }
    if (s != end)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    int day = tm.tm_mday;
    out->time = (struct timespec){.tv_sec = timegm(&tm)};
    return tm.tm_mday == day; /* no 31st of February */
}

/* Where "PREFIX_" ends, NULL when there is none: the second '_' from the end. */
static const char *find_date(const char *name, size_t len)
{
    int seen = 0;
    for (size_t i = len; i-- > 1;)
        if (name[i] == '_' && ++seen == 2)
            return name + i + 1;
    return NULL;
}

bool archive_file_parse(const char *name, struct archive_file *out)
{
    *out = (struct archive_file){0};
    size_t len = parse_suffix(name, &out->kind);
    const char *date = find_date(name, len);
    if (date == NULL || !parse_time(date, name + len, out))
        return false;
    char *prefix = mem_strndup(name, (size_t)(date - name) - 1);
    if (archive_prefix_check(prefix, NULL) != 0) {
        free(prefix);
        return false;
    }
    out->prefix = prefix;
    out->name = mem_strdup(name);
    return true;
}

void archive_file_release(struct archive_file *f)
{
    free(f->name);
    free(f->prefix);
    *f = (struct archive_file){0};
}

/* ---- listing */

static int by_time(const void *a, const void *b)
{
    const struct archive_file *x = a, *y = b;
    if (x->time.tv_sec != y->time.tv_sec)
        return x->time.tv_sec < y->time.tv_sec ? -1 : 1;
    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    return strcmp(x->name, y->name);
}

static uint64_t checksum_bytes(int dir_fd, const char *name)
{
    struct stat st;
    char *beside = mem_printf("%s%s", name, CHECKSUM_SUFFIX);
    uint64_t bytes = fstatat(dir_fd, beside, &st, AT_SYMLINK_NOFOLLOW) == 0 ? (uint64_t)st.st_size : 0;
    free(beside);
    return bytes;
}

static void add_archive(struct archive_list *l, int dir_fd, const char *name, const char *prefix)
{
    struct archive_file f;
    struct stat st;
    if (!archive_file_parse(name, &f))
        return;
    if ((prefix != NULL && strcmp(prefix, f.prefix) != 0) || fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISREG(st.st_mode)) {
        archive_file_release(&f);
        return;
    }
    f.bytes = (uint64_t)st.st_size;
    f.modified = st.st_mtim;
    f.lacks = archive_lack_read(dir_fd, name);
    l->items = mem_array(l->items, l->count + 1, sizeof *l->items);
    l->items[l->count++] = f;
    l->total_bytes += f.bytes + checksum_bytes(dir_fd, name);
}

int archive_list_load(struct archive_list *out, const char *dir, const char *prefix, struct err *err)
{
    *out = (struct archive_list){0};
    DIR *d = opendir(dir);
    if (d == NULL)
        return err_errno(err, errno, "cannot list the archives in '%s'", dir);
    errno = 0;
    for (struct dirent *e; (e = readdir(d)) != NULL; errno = 0)
        add_archive(out, dirfd(d), e->d_name, prefix);
    int errnum = errno;
    closedir(d);
    if (errnum != 0) {
        archive_list_release(out);
        return err_errno(err, errnum, "cannot list the archives in '%s'", dir);
    }
    if (out->count > 0)
        qsort(out->items, out->count, sizeof *out->items, by_time);
    return 0;
}

void archive_list_release(struct archive_list *l)
{
    for (size_t i = 0; i < l->count; i++)
        archive_file_release(&l->items[i]);
    free(l->items);
    *l = (struct archive_list){0};
}

/* ---- what lies beside an archive, and removing it */

int archive_checksum_write(const char *dir, const char *name, const struct id *sha256, const char *summary, mode_t mode,
                           struct err *err)
{
    char hex[ID_HEX_BYTES];
    struct buf text;
    buf_init(&text, CHECKSUM_MAX_BYTES);
    buf_printf(&text, "%s  %s\n", id_to_hex(sha256, hex), name);
    for (const char *line = summary; *line != '\0';) {
        size_t len = strcspn(line, "\n");
        buf_append_str(&text, "# ");
        buf_append(&text, line, len);
        buf_append_byte(&text, '\n');
        line += line[len] == '\n' ? len + 1 : len;
    }
    char *beside = mem_printf("%s/%s%s", dir, name, CHECKSUM_SUFFIX);
    int rc = os_write_file_atomic(beside, text.data, text.len, mode, err);
    free(beside);
    buf_release(&text);
    return rc;
}

int archive_checksum_read(const char *dir, const char *name, struct id *out, struct err *err)
{
    struct buf text;
    buf_init(&text, CHECKSUM_MAX_BYTES);
    char *beside = mem_printf("%s/%s%s", dir, name, CHECKSUM_SUFFIX);
    int rc = os_read_file(beside, &text, err);
    const char *line = buf_cstr(&text);
    size_t name_len = strlen(name);
    if (rc == 0 && (text.len < ID_HEX_CHARS + 2 + name_len + 1 || id_from_hex(line, ID_HEX_CHARS, out) != 0 ||
                    memcmp(line + ID_HEX_CHARS + 2, name, name_len) != 0 || line[ID_HEX_CHARS + 2 + name_len] != '\n'))
        rc = err_set(err, ERR_CORRUPT, "'%s' is no checksum of '%s'", beside, name);
    free(beside);
    buf_release(&text);
    return rc;
}

int archive_file_remove(const char *dir, const char *name, struct err *err)
{
    struct archive_file f;
    if (!archive_file_parse(name, &f))
        return err_set(err, ERR_USAGE, "'%s' is no archive's name", name);
    archive_file_release(&f);
    char *path = os_path_join(dir, name);
    char *beside = mem_printf("%s%s", path, CHECKSUM_SUFFIX);
    int rc = unlink(path) == 0 ? 0 : err_errno(err, errno, "cannot remove '%s'", path);
    if (rc == 0 && unlink(beside) != 0 && errno != ENOENT)
        rc = err_errno(err, errno, "cannot remove '%s'", beside);
    if (rc == 0)
        rc = archive_latest_update(dir, err);
    if (rc == 0)
        rc = os_fsync_dir(dir, err);
    free(path);
    free(beside);
    return rc;
}
