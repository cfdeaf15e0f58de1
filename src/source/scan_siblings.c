#include "source/scan_siblings.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "os/file.h"
#include "os/open.h"
#include "source/sqlite.h"

enum { HEAD_BYTES = 100 };

/* Those that hold data come first. */
static const char *const suffixes[] = {"-wal", "-journal", "-shm"};
enum { SUFFIXES_WITH_DATA = 2, SUFFIXES = 3 };

struct scan_name *scan_find_name(struct scan_name *names, size_t count, const char *name, size_t len)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        struct scan_name *n = &names[middle];
        int c = memcmp(n->p, name, n->len < len ? n->len : len);
        if (c == 0)
            c = (n->len > len) - (n->len < len);
        if (c == 0)
            return n;
        if (c < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* The length of the name without one of the suffixes, 0 when it has none. */
static size_t base_len(const struct scan_name *name, bool *has_data)
{
    for (int i = 0; i < SUFFIXES; i++) {
        size_t len = strlen(suffixes[i]);
        if (name->len > len && memcmp(name->p + name->len - len, suffixes[i], len) == 0) {
            *has_data = i < SUFFIXES_WITH_DATA;
            return name->len - len;
        }
    }
    return 0;
}

static bool has_database_header(int dir_fd, const char *name)
{
    int fd = os_openat_noatime(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return false;
    unsigned char head[HEAD_BYTES];
    struct stat st;
    ssize_t n = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? os_read_full(fd, head, sizeof head) : -1;
    close(fd);
    return n > 0 && sqlite_is_database(head, (size_t)n);
}

static bool is_database(struct scan_name *name, int dir_fd)
{
    if ((name->flags & (SCAN_NAME_DATABASE | SCAN_NAME_PLAIN)) == 0) {
        bool may_be = name->type == DT_REG || name->type == DT_UNKNOWN;
        bool is = may_be && has_database_header(dir_fd, name->p);
        name->flags |= is ? SCAN_NAME_DATABASE : SCAN_NAME_PLAIN;
    }
    return (name->flags & SCAN_NAME_DATABASE) != 0;
}

static bool has_bytes(int dir_fd, const char *name)
{
    struct stat st;
    return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) && st.st_size > 0;
}

bool scan_siblings(struct scan_name *names, size_t count, int dir_fd)
{
    bool any = false;
    for (size_t i = 0; i < count; i++) {
        bool has_data = false;
        size_t len = base_len(&names[i], &has_data);
        bool may_be = names[i].type == DT_REG || names[i].type == DT_UNKNOWN;
        struct scan_name *base = len > 0 && may_be ? scan_find_name(names, count, names[i].p, len) : NULL;
        if (base == NULL || !is_database(base, dir_fd))
            continue;
        if (has_data && has_bytes(dir_fd, names[i].p))
            base->flags |= SCAN_NAME_LIVE;
        names[i].flags |= SCAN_NAME_DROP;
        any = true;
    }
    return any;
}

void scan_siblings_of_targets(struct scan_name *names, size_t count, int dir_fd)
{
    char sibling[NAME_MAX + 16];
    for (size_t i = 0; i < count; i++) {
        if ((names[i].flags & SCAN_NAME_PARENT) != 0 || names[i].len > NAME_MAX)
            continue;
        for (int k = 0; k < SUFFIXES_WITH_DATA; k++) {
            snprintf(sibling, sizeof sibling, "%s%s", names[i].p, suffixes[k]);
            if (has_bytes(dir_fd, sibling) && is_database(&names[i], dir_fd))
                names[i].flags |= SCAN_NAME_LIVE;
        }
    }
}
