/* What a bundle cannot hold: the rest of the git directory, and the files of working trees that are not committed. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/mem.h"
#include "os/file.h"
#include "os/interrupt.h"
#include "source/git_collect.h"

enum { STATUS_MAX_BYTES = 1 << 30, DEPTH_MAX = 64 };

/* ---- the git directory */

static bool has_suffix(const char *name, const char *suffix)
{
    size_t len = strlen(name), end = strlen(suffix);
    return len > end && strcmp(name + len - end, suffix) == 0;
}

/* At the top of a git directory (a linked working tree's, too): what the bundle has, what git rebuilds, and what lives
 * as long as a process. Submodules are repositories of their own. */
static bool is_skipped_at_top(const char *name)
{
    static const char *const names[] = {"objects", "refs",   "packed-refs", "index",    "modules",
                                        "gc.pid",  "gc.log", "reftable",    "worktrees"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return strncmp(name, "sharedindex.", 12) == 0 || strncmp(name, "fsmonitor--daemon", 17) == 0;
}

/* sub: the directory within the git directory, "" for itself. */
static bool is_skipped(const char *sub, const char *name)
{
    if (sub[0] == '\0' && is_skipped_at_top(name))
        return true;
    if (strcmp(sub, "hooks") == 0 && has_suffix(name, ".sample"))
        return true;
    if (strcmp(sub, "lfs") == 0 &&
        (strcmp(name, "tmp") == 0 || strcmp(name, "cache") == 0 || strcmp(name, "incomplete") == 0))
        return true;
    return has_suffix(name, ".lock");
}

struct collecting {
    struct virtual_tree *tree;
    const struct sink_reporter *reporter;
};

static int collect_dir(const struct collecting *c, const char *dir, const char *sub, const char *to, int depth,
                       struct err *err);

static int collect_entry(const struct collecting *c, const char *dir, const char *sub, const char *name, const char *to,
                         int depth, struct err *err)
{
    struct stat st;
    char *file = os_path_join(dir, name), *path = os_path_join(to, name);
    int rc = 0;
    if (lstat(file, &st) == 0 && S_ISDIR(st.st_mode)) {
        char *below = *sub == '\0' ? mem_strdup(name) : os_path_join(sub, name);
        rc = collect_dir(c, file, below, path, depth + 1, err);
        free(below);
    } else {
        virtual_tree_add_file(c->tree, path, file);
    }
    free(file);
    free(path);
    return rc;
}

static int collect_dir(const struct collecting *c, const char *dir, const char *sub, const char *to, int depth,
                       struct err *err)
{
    DIR *d = depth < DEPTH_MAX ? opendir(dir) : NULL;
    int rc = os_check_interrupt(err);
    if (d == NULL) {
        if (errno != ENOENT)
            c->reporter->warning(c->reporter->ctx, dir, "may not be looked into; left out");
        return rc;
    }
    for (const struct dirent *e; rc == 0 && (e = readdir(d)) != NULL;)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 && !is_skipped(sub, e->d_name))
            rc = collect_entry(c, dir, sub, e->d_name, to, depth, err);
    closedir(d);
    return rc;
}

int git_files_collect(struct virtual_tree *t, struct git_capture *c, const struct git_state *s,
                      const struct sink_reporter *reporter, struct err *err)
{
    const struct collecting all = {t, reporter};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < c->tree_count; i++) {
        const struct git_tree *tree = &c->trees[i];
        char *to = tree->name == NULL ? mem_strdup("git-dir") : mem_printf("git-dir/worktrees/%s", tree->name);
        rc = collect_dir(&all, tree->git_dir, "", to, 0, err);
        if (tree->conflicts) { /* which of its contents is which is known to nothing else */
            char *index = os_path_join(tree->git_dir, "index"), *path = os_path_join(to, "index");
            virtual_tree_add_file(t, path, index);
            free(index);
            free(path);
        }
        free(to);
    }
    if (s->symrefs.count > 0) {
        char *lines = strlist_join(&s->symrefs, "\n");
        virtual_tree_add_bytes(t, "symbolic-refs", lines, strlen(lines));
        free(lines);
    }
    return rc;
}

/* ---- working trees */

struct status {
    struct virtual_tree *out;
    const struct git_tree *tree;
    const char *to;     /* "worktree" */
    struct buf deleted; /* names, NUL after each */
};

/* What is there now: a file to store, or a name that is gone. */
static void take_path(struct status *s, const char *path, bool tracked)
{
    struct stat st;
    char *file = os_path_join(s->tree->path, path), *to = mem_printf("%s/files/%s", s->to, path);
    if (lstat(file, &st) == 0)
        virtual_tree_add_file(s->out, to, file);
    else if (tracked && (errno == ENOENT || errno == ENOTDIR))
        buf_append(&s->deleted, path, strlen(path) + 1);
    free(file);
    free(to);
}

/* The field after `count` blanks. */
static const char *after_blanks(const char *text, int count)
{
    while (count-- > 0 && text != NULL) {
        text = strchr(text, ' ');
        if (text != NULL)
            text++;
    }
    return text;
}

/* An entry of `git status --porcelain=v2 -z`. */
static void take_entry(struct status *s, const char *entry)
{
    const char *path = NULL;
    if (entry[0] == '1')
        path = after_blanks(entry, 8);
    else if (entry[0] == 'u')
        path = after_blanks(entry, 10);
    else if (entry[0] == '?')
        path = after_blanks(entry, 1);
    if (path == NULL || *path == '\0' || path[strlen(path) - 1] == '/') /* a directory: a repository of its own */
        return;
    take_path(s, path, entry[0] != '?');
}

static int read_status(struct git_capture *c, const struct git_tree *tree, const struct sink_reporter *reporter,
                       struct buf *out, struct err *err)
{
    static const char *const args[] = {"status",       "--porcelain=v2",          "-z", "--untracked-files=all",
                                       "--no-renames", "--ignore-submodules=all", NULL};
    struct git_call call = git_capture_call(c);
    struct process *p;
    unsigned char room[16384];
    int64_t n;
    call.git_dir = tree->git_dir;
    call.work_tree = tree->path;
    if (git_start(&p, &call, args, err) != 0)
        return -1;
    while ((n = git_read(p, args[0], room, sizeof room, err)) > 0)
        buf_append(out, room, (size_t)n);
    int rc = n < 0 ? -1 : git_wait(p, args[0], err);
    const char *closed = rc == 0 ? strstr(process_stderr(p), "could not open directory") : NULL;
    if (closed != NULL) {
        char *line = mem_strndup(closed, strcspn(closed, "\n"));
        reporter->warning(reporter->ctx, tree->path, line);
        free(line);
    }
    if (rc == 0 && out->overflow)
        rc = err_set(err, ERR_UNSUPPORTED, "too many files that are not committed");
    process_free(p);
    return rc;
}

static int collect_tree(struct virtual_tree *t, struct git_capture *c, const struct git_tree *tree,
                        const struct sink_reporter *reporter, struct err *err)
{
    char *to = tree->name == NULL ? mem_strdup("worktree") : mem_printf("worktrees/%s", tree->name);
    struct status s = {.out = t, .tree = tree, .to = to};
    struct buf b;
    buf_init(&b, STATUS_MAX_BYTES);
    buf_init(&s.deleted, STATUS_MAX_BYTES);
    int rc = read_status(c, tree, reporter, &b, err);
    const char *text = buf_cstr(&b), *end = text + b.len;
    for (; rc == 0 && text < end; text += strlen(text) + 1)
        take_entry(&s, text);
    if (rc == 0 && s.deleted.len > 0) {
        char *path = os_path_join(to, "deleted");
        virtual_tree_add_bytes(t, path, s.deleted.data, s.deleted.len);
        free(path);
    }
    buf_release(&b);
    buf_release(&s.deleted);
    free(to);
    return rc;
}

int git_files_collect_trees(struct virtual_tree *t, struct git_capture *c, const struct sink_reporter *reporter,
                            struct err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < c->tree_count; i++)
        if (c->trees[i].path != NULL)
            rc = collect_tree(t, c, &c->trees[i], reporter, err);
    return rc;
}
