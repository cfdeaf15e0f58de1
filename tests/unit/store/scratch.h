/* A directory of its own for a test, and a look at what is in it. */
#pragma once
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"
#include "os/file.h"

/* Makes an empty directory; the path is the caller's until scratch_remove. */
static inline char *scratch_make(void)
{
    const char *tmp = getenv("TMPDIR");
    char *path = mem_printf("%s/clawback-test-XXXXXX", tmp != NULL && *tmp != '\0' ? tmp : "/tmp");
    if (mkdtemp(path) == NULL) {
        perror(path);
        exit(1);
    }
    return path;
}

static inline int scratch_remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static inline void scratch_remove_tree(const char *path)
{
    (void)nftw(path, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Removes it with all that is in it, and frees the path. */
static inline void scratch_remove(char *path)
{
    scratch_remove_tree(path);
    free(path);
}

/* The directory of the test that runs, for scripts that make and remove one around each. */
static char *scratch_dir;

static inline int scratch_set_up(void **state)
{
    (void)state;
    scratch_dir = scratch_make();
    return 0;
}

static inline int scratch_tear_down(void **state)
{
    (void)state;
    scratch_remove(scratch_dir);
    return 0;
}

static inline void scratch_write(const char *dir, const char *name, const void *p, size_t len)
{
    char *path = os_path_join(dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || os_write_full(fd, p, len) != 0) {
        perror(path);
        exit(1);
    }
    close(fd);
    free(path);
}

static inline bool scratch_has(const char *dir, const char *name)
{
    char *path = os_path_join(dir, name);
    bool yes = access(path, F_OK) == 0;
    free(path);
    return yes;
}

/* The permission bits, or 0 when it is not there. */
static inline mode_t scratch_mode(const char *dir, const char *name)
{
    char *path = os_path_join(dir, name);
    struct stat st;
    mode_t mode = stat(path, &st) == 0 ? st.st_mode & 07777 : 0;
    free(path);
    return mode;
}
