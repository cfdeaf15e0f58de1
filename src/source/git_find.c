/* Looking for repositories: a walk that stops at symbolic links and goes into a git directory for its submodules only.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/mem.h"
#include "os/file.h"
#include "os/interrupt.h"
#include "source/git.h"
#include "source/git_command.h"

struct search {
    struct strlist pending;      /* directories to look into */
    struct strlist modules;      /* git directories of submodules, looked at last: by then checked-out ones are known */
    struct strlist common, path; /* what was found: its git directory, and what it is called */
    struct strlist *notes;
};

static void note(struct search *s, const char *what, const char *path, const char *why)
{
    if (s->notes == NULL)
        return;
    char *line = mem_printf("%s '%s': %s", what, path, why);
    strlist_add(s->notes, line);
    free(line);
}

/* By its git directory; whoever comes first names it. */
static void found(struct search *s, const char *common_dir, const char *path)
{
    char *modules = os_path_join(common_dir, "modules");
    if (!strlist_contains(&s->common, common_dir)) {
        strlist_add(&s->common, common_dir);
        strlist_add(&s->path, path);
        strlist_add(&s->modules, modules);
    }
    free(modules);
}

/* A working tree, whose `.git` was seen. */
static void found_work_tree(struct search *s, const char *path)
{
    char *git_dir = git_dir_of(path), *common = git_dir != NULL ? git_common_dir_of(git_dir) : NULL;
    if (common == NULL) {
        note(s, "not a repository", path, "its .git leads to none");
    } else if (strcmp(common, git_dir) == 0) {
        found(s, common, path);
    } else { /* linked: it belongs to a main repository, which is taken instead */
        size_t len = strlen(common);
        bool named = len > 5 && strcmp(common + len - 5, "/.git") == 0;
        char *main_path = mem_strndup(common, named ? len - 5 : len);
        found(s, common, main_path);
        free(main_path);
    }
    free(git_dir);
    free(common);
}

static bool is_dir_entry(const char *dir, const struct dirent *e)
{
    struct stat st;
    if (e->d_type != DT_UNKNOWN)
        return e->d_type == DT_DIR;
    char *path = os_path_join(dir, e->d_name);
    bool yes = lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
    free(path);
    return yes;
}

static void look_into(struct search *s, const char *dir, DIR *d)
{
    bool has_git = false;
    size_t first = s->pending.count;
    for (const struct dirent *e; (e = readdir(d)) != NULL;) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (strcmp(e->d_name, ".git") == 0) {
            has_git = true;
            continue;
        }
        if (!is_dir_entry(dir, e))
            continue;
        char *path = os_path_join(dir, e->d_name);
        strlist_add(&s->pending, path);
        free(path);
    }
    if (has_git) {
        found_work_tree(s, dir);
        return;
    }
    if (!git_is_git_dir(dir))
        return;
    char *common = git_common_dir_of(dir);
    if (common != NULL)
        found(s, common, dir);
    free(common);
    while (s->pending.count > first) /* what is in it is git's */
        free(s->pending.items[--s->pending.count]);
}

static int walk(struct search *s, struct err *err)
{
    while (s->pending.count > 0) {
        char *dir = s->pending.items[--s->pending.count];
        DIR *d = opendir(dir);
        if (d != NULL) {
            look_into(s, dir, d);
            closedir(d);
        } else if (errno != ENOENT && errno != ENOTDIR) {
            note(s, "cannot look for repositories in", dir, strerror(errno));
        }
        free(dir);
        if (os_check_interrupt(err) != 0)
            return -1;
    }
    return 0;
}

/* Submodules' git directories, of which those that are checked out below the paths are known by now. */
static int walk_modules(struct search *s, struct err *err)
{
    while (s->modules.count > 0) {
        char *dir = s->modules.items[--s->modules.count];
        struct stat st;
        if (lstat(dir, &st) == 0 && S_ISDIR(st.st_mode))
            strlist_add(&s->pending, dir);
        free(dir);
        if (walk(s, err) != 0)
            return -1;
    }
    return 0;
}

static int start(struct search *s, const char *path, struct err *err)
{
    char *real = realpath(path, NULL);
    if (real == NULL)
        return err_errno(err, errno, "cannot look for git repositories in '%s'", path);
    strlist_add(&s->pending, real);
    free(real);
    return walk(s, err);
}

int git_find(const struct strlist *paths, struct strlist *repositories_out, struct strlist *notes, struct err *err)
{
    struct search s = {.notes = notes};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < paths->count; i++)
        rc = start(&s, paths->items[i], err);
    if (rc == 0)
        rc = walk_modules(&s, err);
    if (rc == 0) {
        strlist_copy(repositories_out, &s.path);
        strlist_sort(repositories_out);
    }
    strlist_release(&s.pending);
    strlist_release(&s.modules);
    strlist_release(&s.common);
    strlist_release(&s.path);
    return rc;
}
