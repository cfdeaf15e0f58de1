/* "latest": links to the newest complete archives, or small text files on file systems that have no links. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/mem.h"
#include "base/strlist.h"
#include "os/file.h"
#include "sink/archive_file.h"

enum { NAME_MAX_BYTES = 256 };

/* The name that an existing "latest" leads to, or NULL when it is not ours. The caller frees it. */
static char *read_latest(int dir_fd, const char *name)
{
    char target[NAME_MAX_BYTES];
    ssize_t n = readlinkat(dir_fd, name, target, sizeof target);
    if (n < 0) {
        int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        n = fd >= 0 ? os_read_full(fd, target, sizeof target) : -1;
        if (fd >= 0)
            close(fd);
        if (n > 0 && target[n - 1] == '\n')
            n--;
    }
    if (n <= 0 || n == sizeof target)
        return NULL;
    struct archive_file f;
    char *text = mem_strndup(target, (size_t)n);
    if (archive_file_parse(text, &f)) {
        archive_file_release(&f);
        return text;
    }
    free(text);
    return NULL;
}

/* "latest.tar.gz.gpg", "PREFIX_latest.txt" … */
static bool is_latest_name(const char *name)
{
    const char *at = strstr(name, "latest.");
    if (at == NULL || (at > name && at[-1] != '_'))
        return false;
    return strncmp(at, "latest.tar", 10) == 0 || strcmp(at, "latest.txt") == 0;
}

static int replace_link(const char *dir, const char *name, const char *target)
{
    char *path = os_path_join(dir, name);
    char *temporary = mem_printf("%s/.clawback-latest-%ld", dir, (long)getpid());
    int rc = symlink(target, temporary);
    if (rc != 0 && errno == EEXIST) {
        (void)unlink(temporary);
        rc = symlink(target, temporary);
    }
    if (rc == 0 && (rc = rename(temporary, path)) != 0) {
        int errnum = errno;
        (void)unlink(temporary);
        errno = errnum;
    }
    free(temporary);
    free(path);
    return rc;
}

static int write_text(const char *dir, const char *stem, const char *target, struct err *err)
{
    char *path = mem_printf("%s/%s.txt", dir, stem);
    char *text = mem_printf("%s\n", target);
    int rc = os_write_file_atomic(path, text, strlen(text), 0600, err);
    free(text);
    free(path);
    return rc;
}

/* Makes STEM lead to the archive, notes in `wanted` what it is called. */
static int point(const char *dir, const char *stem, const struct archive_file *f, struct strlist *wanted,
                 struct err *err)
{
    int rc = 0;
    char *link = mem_printf("%s.tar%s%s", stem, compress_suffix(f->kind.codec), f->kind.encrypted ? ".gpg" : "");
    if (replace_link(dir, link, f->name) == 0) {
        strlist_add(wanted, link);
    } else if (errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL) {
        char *text = mem_printf("%s.txt", stem);
        strlist_add(wanted, text);
        free(text);
        rc = write_text(dir, stem, f->name, err);
    } else {
        rc = err_errno(err, errno, "cannot point '%s' in '%s' to the newest archive", link, dir);
    }
    free(link);
    return rc;
}

/* What is called latest, leads to an archive, and is not wanted: an older kind's, or an archive's that is gone. */
static void remove_others(const char *dir, const struct strlist *wanted)
{
    DIR *d = opendir(dir);
    if (d == NULL)
        return;
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (!is_latest_name(e->d_name) || strlist_contains(wanted, e->d_name))
            continue;
        char *target = read_latest(dirfd(d), e->d_name);
        if (target != NULL)
            (void)unlinkat(dirfd(d), e->d_name, 0);
        free(target);
    }
    closedir(d);
}

static bool is_last_of_prefix(const struct archive_list *l, size_t index)
{
    for (size_t i = index + 1; i < l->count; i++)
        if (strcmp(l->items[i].prefix, l->items[index].prefix) == 0)
            return false;
    return true;
}

/* Where "latest" leads: what lacks something takes no place from what has all. prefix NULL: of all. NULL: there is
 * none. */
static const struct archive_file *best_of(const struct archive_list *l, const char *prefix)
{
    const struct archive_file *best = NULL;
    for (size_t i = 0; i < l->count; i++) {
        const struct archive_file *f = &l->items[i];
        if ((prefix == NULL || strcmp(f->prefix, prefix) == 0) && (best == NULL || f->lacks <= best->lacks))
            best = f;
    }
    return best;
}

int archive_latest_update(const char *dir, struct err *err)
{
    struct archive_list all;
    struct strlist wanted = {0};
    if (archive_list_load(&all, dir, NULL, err) != 0)
        return -1;
    int rc = all.count > 0 ? point(dir, "latest", best_of(&all, NULL), &wanted, err) : 0;
    for (size_t i = 0; rc == 0 && i < all.count; i++) {
        if (!is_last_of_prefix(&all, i))
            continue;
        char *stem = mem_printf("%s_latest", all.items[i].prefix);
        rc = point(dir, stem, best_of(&all, all.items[i].prefix), &wanted, err);
        free(stem);
    }
    if (rc == 0)
        remove_others(dir, &wanted);
    strlist_release(&wanted);
    archive_list_release(&all);
    return rc;
}
