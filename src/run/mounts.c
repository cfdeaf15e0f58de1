#include "run/mounts.h"
#include <errno.h>
#include <limits.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/mem.h"
#include "os/file.h"
#include "run/bounded.h"

enum { MOUNTINFO_MAX_BYTES = 8 << 20, FIELDS_MAX = 64, SPACE_TIMEOUT_MS = 3000, DISK_NAME_BYTES = 256 };

static bool is_one_of(const char *text, const char *const *words)
{
    for (; *words != NULL; words++)
        if (strcmp(*words, text) == 0)
            return true;
    return false;
}

static bool type_is_network(const char *type)
{
    static const char *const TYPES[] = {
        "nfs",  "nfs4",      "cifs",          "smb3",           "smbfs",       "fuse.sshfs",
        "ceph", "glusterfs", "fuse.rclone",   "davfs",          "fuse.davfs2", "fuse.s3fs",
        "afs",  "9p",        "fuse.smbnetfs", "fuse.curlftpfs", NULL};
    return is_one_of(type, TYPES);
}

static bool type_is_memory(const char *type)
{
    static const char *const TYPES[] = {"tmpfs", "ramfs", "devtmpfs", NULL};
    return is_one_of(type, TYPES);
}

/* mountinfo writes blanks, tabs, line breaks and backslashes as \ooo. */
static char *unescape(const char *p, size_t len)
{
    char *out = mem_alloc(len + 1), *to = out;
    for (size_t i = 0; i < len; i++)
        if (p[i] == '\\' && i + 3 < len && p[i + 1] >= '0' && p[i + 1] <= '3') {
            *to++ = (char)((p[i + 1] - '0') * 64 + (p[i + 2] - '0') * 8 + (p[i + 3] - '0'));
            i += 3;
        } else {
            *to++ = p[i];
        }
    *to = '\0';
    return out;
}

struct field {
    const char *p;
    size_t len;
};

static size_t split(const char *line, size_t len, struct field *fields)
{
    size_t count = 0;
    const char *end = line + len;
    while (line < end && count < FIELDS_MAX) {
        const char *stop = memchr(line, ' ', (size_t)(end - line));
        if (stop == NULL)
            stop = end;
        fields[count++] = (struct field){line, (size_t)(stop - line)};
        line = stop + (stop < end);
    }
    return count;
}

static bool has_word(struct field options, const char *word)
{
    size_t len = strlen(word);
    for (const char *p = options.p, *end = p + options.len; p < end;) {
        const char *stop = memchr(p, ',', (size_t)(end - p));
        if (stop == NULL)
            stop = end;
        if ((size_t)(stop - p) == len && memcmp(p, word, len) == 0)
            return true;
        p = stop + 1;
    }
    return false;
}

/* "36 35 98:0 /root /mount/point rw,noatime … - type source superoptions": proc(5). */
static bool parse_line(const char *line, size_t len, struct mount_point *out)
{
    struct field f[FIELDS_MAX];
    size_t count = split(line, len, f), dash = 6;
    while (dash < count && !(f[dash].len == 1 && *f[dash].p == '-'))
        dash++;
    if (dash + 3 >= count || sscanf(f[0].p, "%u %u %u:%u", &out->id, &out->parent, &out->major, &out->minor) != 4)
        return false;
    out->root = unescape(f[3].p, f[3].len);
    out->path = unescape(f[4].p, f[4].len);
    out->type = unescape(f[dash + 1].p, f[dash + 1].len);
    out->source = unescape(f[dash + 2].p, f[dash + 2].len);
    out->read_only = has_word(f[5], "ro") || has_word(f[dash + 3], "ro");
    out->network = type_is_network(out->type);
    out->memory = type_is_memory(out->type);
    out->block = !out->network && strncmp(out->source, "/dev/", 5) == 0;
    return true;
}

void mounts_parse(const char *text, size_t len, struct mounts *out)
{
    *out = (struct mounts){0};
    for (const char *p = text, *end = text + len; p < end;) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        if (stop == NULL)
            stop = end;
        struct mount_point m = {0};
        char *line = mem_strndup(p, (size_t)(stop - p)); /* sscanf needs an end */
        if (parse_line(line, (size_t)(stop - p), &m)) {
            out->items = mem_array(out->items, out->count + 1, sizeof *out->items);
            out->items[out->count++] = m;
        }
        free(line);
        p = stop + 1;
    }
}

int mounts_read(struct mounts *out, struct err *err)
{
    struct buf text;
    *out = (struct mounts){0};
    buf_init(&text, MOUNTINFO_MAX_BYTES);
    int rc = os_read_file("/proc/self/mountinfo", &text, err);
    if (rc == 0)
        mounts_parse(buf_cstr(&text), text.len, out);
    buf_release(&text);
    return rc;
}

void mounts_release(struct mounts *m)
{
    for (size_t i = 0; i < m->count; i++) {
        free(m->items[i].path);
        free(m->items[i].root);
        free(m->items[i].source);
        free(m->items[i].type);
    }
    free(m->items);
    *m = (struct mounts){0};
}

const struct mount_point *mounts_of(const struct mounts *m, const char *path)
{
    const struct mount_point *best = NULL;
    for (size_t i = 0; i < m->count; i++)
        if (os_path_is_below(path, m->items[i].path) &&
            (best == NULL || strlen(m->items[i].path) >= strlen(best->path)))
            best = &m->items[i];
    return best;
}

/* The path below a directory that holds it: "" or "/x". */
static const char *rest_of(const char *path, const char *dir)
{
    return strcmp(dir, "/") == 0 && strcmp(path, "/") != 0 ? path : path + strlen(dir);
}

static const struct mount_point *parent_of(const struct mounts *m, const struct mount_point *p)
{
    for (size_t i = 0; i < m->count; i++)
        if (m->items[i].id == p->parent && &m->items[i] != p)
            return &m->items[i];
    return NULL;
}

/* Does it show what its parent has at the same place anyway? */
static bool is_own(const struct mount_point *p, const struct mount_point *parent)
{
    if (parent->major != p->major || parent->minor != p->minor || !os_path_is_below(p->path, parent->path))
        return false;
    const char *top = strcmp(parent->root, "/") == 0 ? "" : parent->root, *rest = rest_of(p->path, parent->path);
    size_t len = strlen(top);
    return *rest == '\0' ? strcmp(p->root, parent->root) == 0
                         : strncmp(p->root, top, len) == 0 && strcmp(p->root + len, rest) == 0;
}

const struct mount_point *mounts_below_own(const struct mounts *m, const struct mount_point *p)
{
    /* Each round goes one mount down; a table that makes a circle must not hold us. */
    for (size_t left = m->count; left > 0; left--) {
        const struct mount_point *parent = parent_of(m, p);
        if (parent == NULL || !is_own(p, parent))
            break;
        p = parent;
    }
    return p;
}

char *mounts_expected(const char *fstab, const char *path)
{
    char *nearest = NULL, strings[PATH_MAX * 2];
    struct mntent entry;
    FILE *f = setmntent(fstab, "re");
    while (f != NULL && getmntent_r(f, &entry, strings, sizeof strings) != NULL) {
        bool above = entry.mnt_dir[0] == '/' && entry.mnt_dir[1] != '\0' && os_path_is_below(path, entry.mnt_dir);
        if (!above || (nearest != NULL && strlen(nearest) >= strlen(entry.mnt_dir)))
            continue;
        free(nearest);
        nearest = mem_strdup(entry.mnt_dir);
    }
    if (f != NULL)
        endmntent(f);
    for (size_t len = nearest != NULL ? strlen(nearest) : 0; len > 1 && nearest[len - 1] == '/'; len--)
        nearest[len - 1] = '\0';
    return nearest;
}

/* The name of the whole disk that a device number belongs to: "sda" for that of sda1. */
static bool disk_name(unsigned major, unsigned minor, char out[DISK_NAME_BYTES])
{
    char link[64], real[PATH_MAX], part[PATH_MAX + 16];
    snprintf(link, sizeof link, "/sys/dev/block/%u:%u", major, minor);
    if (realpath(link, real) == NULL)
        return false;
    snprintf(part, sizeof part, "%s/partition", real);
    if (access(part, F_OK) == 0)
        *strrchr(real, '/') = '\0';
    snprintf(out, DISK_NAME_BYTES, "%s", strrchr(real, '/') + 1);
    return true;
}

bool mounts_same_disk(const struct mount_point *a, const struct mount_point *b)
{
    if (a->major == b->major && a->minor == b->minor)
        return true;
    if (strcmp(a->source, b->source) == 0 && (a->block || a->network))
        return true; /* file systems such as btrfs have numbers of their own for each mount */
    char disk_a[DISK_NAME_BYTES], disk_b[DISK_NAME_BYTES];
    return disk_name(a->major, a->minor, disk_a) && disk_name(b->major, b->minor, disk_b) &&
           strcmp(disk_a, disk_b) == 0;
}

static bool part_of_system(const char *path)
{
    static const char *const DIRS[] = {"/boot", "/usr", "/var", "/snap", "/proc", "/sys", "/dev", "/run/lock", "/etc"};
    if (strcmp(path, "/") == 0)
        return true;
    for (size_t i = 0; i < sizeof DIRS / sizeof *DIRS; i++)
        if (os_path_is_below(path, DIRS[i]))
            return true;
    return false;
}

bool mounts_is_external(const struct mounts *m, const struct mount_point *p, const char *const *system_paths,
                        size_t count)
{
    if (p->read_only || p->memory || !(p->network || p->block) || part_of_system(p->path))
        return false;
    for (size_t i = 0; i < count; i++) {
        const struct mount_point *system = mounts_of(m, system_paths[i]);
        if (system != NULL && mounts_same_disk(system, p))
            return false;
    }
    return true;
}

/* --- asking a file system --- */

struct space_answer {
    int error;
    struct mount_space space;
};

static void ask_space(void *ctx, struct buf *out)
{
    const char *path = ctx;
    struct space_answer answer = {0};
    struct statvfs vfs;
    struct stat st;
    if (statvfs(path, &vfs) < 0 || stat(path, &st) < 0) {
        answer.error = errno;
    } else {
        answer.space = (struct mount_space){.free_bytes = (uint64_t)vfs.f_bavail * vfs.f_frsize,
                                            .total_bytes = (uint64_t)vfs.f_blocks * vfs.f_frsize,
                                            .free_inodes = vfs.f_files > 0 ? vfs.f_favail : UINT64_MAX,
                                            .writable = access(path, W_OK | X_OK) == 0,
                                            .is_dir = S_ISDIR(st.st_mode)};
    }
    buf_append(out, &answer, sizeof answer);
}

int mounts_space(const char *path, struct mount_space *out, struct err *err)
{
    struct buf bytes;
    struct space_answer answer;
    buf_init(&bytes, sizeof answer);
    char *copy = mem_strdup(path);
    int rc = bounded_run(ask_space, copy, SPACE_TIMEOUT_MS, &bytes, err);
    free(copy);
    if (rc < 0) {
        err_wrap(err, "'%s'", path);
    } else {
        memcpy(&answer, bytes.data, sizeof answer);
        *out = answer.space;
        if (answer.error != 0)
            rc = err_errno(err, answer.error, "cannot look at '%s'", path);
    }
    buf_release(&bytes);
    return rc;
}

char *mounts_existing(const char *path)
{
    char *at = mem_strdup(path);
    while (access(at, F_OK) != 0 && strcmp(at, "/") != 0) {
        char *slash = strrchr(at, '/');
        if (slash == NULL)
            break;
        slash[slash == at] = '\0';
    }
    return at;
}
