/* Git repositories and SQLite databases below directories. */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"
#include "os/file.h"
#include "os/interrupt.h"
#include "os/open.h"
#include "run/discover.h"
#include "source/git.h"
#include "source/sqlite.h"
#include "source/sqlite_header.h"

enum { DEPTH_MAX = 24, ENTRIES_MAX = 400000, GIT_TIMEOUT_MS = 5000 };

struct walk {
    struct discovery *d;
    size_t entries;
};

/* Large, and made again when missing: nobody keeps the only copy of anything there. */
static bool not_searched(const char *name)
{
    static const char *const NAMES[] = {"node_modules", "__pycache__",    ".git",   ".cache",  ".npm", ".venv",
                                        "venv",         ".vscode-server", ".cargo", ".rustup", NULL};
    for (const char *const *n = NAMES; *n != NULL; n++)
        if (strcmp(*n, name) == 0)
            return true;
    return false;
}

static void add_repository(struct discovery *d, const char *path)
{
    struct git_health health = {0};
    struct err err = {0};
    d->repositories = mem_array(d->repositories, d->repository_count + 1, sizeof *d->repositories);
    struct discovered_git *g = &d->repositories[d->repository_count++];
    *g = (struct discovered_git){.path = mem_strdup(path)};
    if (git_health(path, GIT_TIMEOUT_MS, &health, &err) == 0)
        strlist_copy(&g->remotes, &health.remotes);
    else
        strlist_add(&d->notes, err.message);
    git_health_release(&health);
}

void discover_git(struct discovery *d, const struct strlist *roots)
{
    struct strlist found = {0};
    struct err err = {0};
    if (git_find(roots, &found, &d->notes, &err) < 0)
        strlist_add(&d->notes, err.message);
    for (size_t i = 0; i < found.count; i++)
        add_repository(d, found.items[i]);
    strlist_release(&found);
}

static bool is_database(int dir, const char *name)
{
    unsigned char head[SQLITE_HEADER_BYTES];
    int fd = os_openat_noatime(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    ssize_t got = fd >= 0 ? os_read_full(fd, head, sizeof head) : 0;
    if (fd >= 0)
        close(fd);
    return got == (ssize_t)sizeof head && sqlite_is_database(head, sizeof head);
}

static void look_at_file(struct walk *w, int dir, const char *path, const char *name, const struct stat *st)
{
    /* Journals and what OpenClaw itself keeps as locks have the same header, and are nothing of their own. */
    if (st->st_size < SQLITE_HEADER_BYTES || strstr(name, ".lock") != NULL || !is_database(dir, name))
        return;
    char *full = os_path_join(path, name);
    if (!strlist_contains(&w->d->sqlite, full))
        strlist_add(&w->d->sqlite, full);
    free(full);
}

static void walk(struct walk *w, const char *path, unsigned depth);

static void look_at_entry(struct walk *w, int dir, const char *path, const char *name, unsigned depth)
{
    struct stat st;
    if (++w->entries > ENTRIES_MAX || depth > DEPTH_MAX) {
        w->d->search_cut = true;
        return;
    }
    if (not_searched(name) || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return;
    if (S_ISREG(st.st_mode)) {
        look_at_file(w, dir, path, name, &st);
    } else if (S_ISDIR(st.st_mode)) {
        char *full = os_path_join(path, name);
        walk(w, full, depth + 1);
        free(full);
    }
}

static void walk(struct walk *w, const char *path, unsigned depth)
{
    int fd = os_open(path, O_RDONLY | O_DIRECTORY);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        if (fd >= 0)
            close(fd);
        return; /* the backup itself says what it cannot read */
    }
    for (struct dirent *e; !os_interrupted() && (e = readdir(dir)) != NULL;)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            look_at_entry(w, fd, path, e->d_name, depth);
    closedir(dir);
}

void discover_databases(struct discovery *d, const char *root)
{
    struct walk w = {.d = d};
    walk(&w, root, 0);
    strlist_sort(&d->sqlite);
}
