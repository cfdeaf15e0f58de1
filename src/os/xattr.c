#include "os/xattr.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>
#include "os/open.h"

enum { FIRST_BYTES = 1024, TRIES = 5, LIST_MAX_BYTES = 16 << 20 };

static ssize_t list_names(const char *path, bool follow, char *p, size_t cap)
{
    return follow ? listxattr(path, p, cap) : llistxattr(path, p, cap);
}

static ssize_t get_value(const char *path, bool follow, const char *name, void *p, size_t cap)
{
    return follow ? getxattr(path, name, p, cap) : lgetxattr(path, name, p, cap);
}

/* The value into the arena, sized by asking twice. 0, or -1 with errno. */
static int read_value(const char *path, bool follow, struct os_xattr *x, struct arena *arena)
{
    char small[FIRST_BYTES];
    ssize_t n = get_value(path, follow, x->name, small, sizeof small);
    if (n >= 0) {
        x->value = arena_copy(arena, small, (size_t)n);
        x->size = (size_t)n;
        return 0;
    }
    for (int i = 0; i < TRIES && errno == ERANGE; i++) {
        ssize_t size = get_value(path, follow, x->name, NULL, 0);
        if (size < 0)
            return -1;
        void *p = arena_alloc(arena, (size_t)size + 1);
        n = get_value(path, follow, x->name, p, (size_t)size + 1);
        if (n >= 0) {
            x->value = p;
            x->size = (size_t)n;
            return 0;
        }
    }
    return -1;
}

static int read_values(const char *path, bool follow, const char *names, size_t names_len, struct arena *arena,
                       struct os_xattr **out, size_t *count_out, struct err *err)
{
    size_t count = 0;
    for (size_t i = 0; i < names_len; i++)
        count += names[i] == '\0';
    struct os_xattr *all = arena_alloc(arena, count * sizeof *all);
    *out = all;
    for (size_t at = 0; at < names_len;) {
        size_t len = strlen(names + at);
        struct os_xattr *x = &all[*count_out];
        x->name = arena_strndup(arena, names + at, len);
        at += len + 1;
        if (read_value(path, follow, x, arena) == 0)
            (*count_out)++;
        else if (errno != ENODATA)
            return err_errno(err, errno, "cannot read the extended attribute '%s'", x->name);
    }
    return 0;
}

static int read_all(const char *path, bool follow, struct arena *arena, struct os_xattr **out, size_t *count_out,
                    struct err *err)
{
    char small[FIRST_BYTES];
    char *names = small;
    size_t cap = sizeof small;
    ssize_t n = list_names(path, follow, names, cap);
    while (n < 0 && errno == ERANGE && cap < LIST_MAX_BYTES) {
        cap *= 4;
        names = names == small ? mem_alloc(cap) : mem_realloc(names, cap);
        n = list_names(path, follow, names, cap);
    }
    int rc = 0;
    if (n > 0)
        rc = read_values(path, follow, names, (size_t)n, arena, out, count_out, err);
    else if (n < 0 && errno != ENOTSUP)
        rc = err_errno(err, errno, "cannot list the extended attributes");
    if (names != small)
        free(names);
    return rc;
}

int os_xattr_read(const char *path, bool follow, struct arena *arena, struct os_xattr **out, size_t *count_out,
                  struct err *err)
{
    *out = NULL;
    *count_out = 0;
    if (strnlen(path, PATH_MAX) < PATH_MAX)
        return read_all(path, follow, arena, out, count_out, err);
    int fd = os_open(path, O_PATH | (follow ? 0 : O_NOFOLLOW));
    if (fd < 0)
        return err_errno(err, errno, "cannot open");
    char proc_path[OS_FD_PATH_BYTES];
    int rc = read_all(os_fd_path(fd, proc_path), true, arena, out, count_out, err);
    close(fd);
    return rc;
}
