/* Where a repository's parts lie. What git itself would tell is read from its few small files, without starting it. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"
#include "os/file.h"
#include "source/git.h"
#include "source/git_command.h"

static bool is_dir(const char *dir, const char *name)
{
    struct stat st;
    char *path = os_path_join(dir, name);
    bool yes = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    free(path);
    return yes;
}

bool git_is_git_dir(const char *dir)
{
    struct stat st;
    char *head = os_path_join(dir, "HEAD");
    bool has_head = lstat(head, &st) == 0 && (S_ISREG(st.st_mode) || S_ISLNK(st.st_mode));
    free(head);
    if (!has_head)
        return false;
    char *common = os_path_join(dir, "commondir");
    bool linked = access(common, F_OK) == 0;
    free(common);
    return linked || (is_dir(dir, "objects") && is_dir(dir, "refs"));
}

/* A small file's text without the line end. The caller frees it; NULL: there is none. */
static char *read_line_file(const char *dir, const char *name)
{
    struct buf b;
    char *path = os_path_join(dir, name), *text = NULL;
    buf_init(&b, (size_t)2 * PATH_MAX);
    if (os_read_file(path, &b, NULL) == 0) {
        text = mem_strdup(buf_cstr(&b));
        size_t len = strlen(text);
        while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
            text[--len] = '\0';
    }
    buf_release(&b);
    free(path);
    return text;
}

/* `path` as seen from dir, links resolved; NULL: it is not there. */
static char *resolve(const char *dir, const char *path)
{
    char *joined = path[0] == '/' ? mem_strdup(path) : os_path_join(dir, path);
    char *real = realpath(joined, NULL);
    free(joined);
    return real;
}

char *git_dir_of(const char *work_tree)
{
    static const char prefix[] = "gitdir: ";
    struct stat st;
    char *dot = os_path_join(work_tree, ".git"), *found = NULL;
    if (stat(dot, &st) == 0 && S_ISDIR(st.st_mode)) {
        found = realpath(dot, NULL);
    } else if (S_ISREG(st.st_mode)) {
        char *line = read_line_file(work_tree, ".git");
        if (line != NULL && strncmp(line, prefix, strlen(prefix)) == 0)
            found = resolve(work_tree, line + strlen(prefix));
        free(line);
    }
    free(dot);
    if (found != NULL && !git_is_git_dir(found)) {
        free(found);
        found = NULL;
    }
    return found;
}

char *git_common_dir_of(const char *git_dir)
{
    char *line = read_line_file(git_dir, "commondir");
    if (line == NULL)
        return realpath(git_dir, NULL);
    char *common = resolve(git_dir, line);
    free(line);
    return common;
}

static void find_owner(struct git_place *p)
{
    struct stat st;
    if (geteuid() != 0 || stat(p->common_dir, &st) != 0 || st.st_uid == 0)
        return;
    p->as_owner = os_user_load(&p->owner, st.st_uid, NULL) == 0;
}

bool git_is_repository(const char *path)
{
    char *git_dir = git_dir_of(path);
    bool yes = git_dir != NULL || git_is_git_dir(path);
    free(git_dir);
    return yes;
}

int git_place_open(struct git_place *out, const char *path, struct err *err)
{
    *out = (struct git_place){.path = mem_strdup(path)};
    char *git_dir = git_dir_of(path);
    if (git_dir != NULL) {
        out->common_dir = git_common_dir_of(git_dir);
        if (out->common_dir != NULL && strcmp(out->common_dir, git_dir) == 0)
            out->work_tree = mem_strdup(path);
    } else if (git_is_git_dir(path)) {
        out->common_dir = git_common_dir_of(path);
    }
    free(git_dir);
    if (out->common_dir == NULL) {
        git_place_release(out);
        return err_set(err, ERR_NOT_FOUND, "there is no git repository at '%s'", path);
    }
    size_t len = strlen(out->common_dir);
    if (out->work_tree == NULL && len > 5 && strcmp(out->common_dir + len - 5, "/.git") == 0)
        out->work_tree = mem_strndup(out->common_dir, len - 5);
    find_owner(out);
    return 0;
}

void git_place_release(struct git_place *p)
{
    free(p->path);
    free(p->common_dir);
    free(p->work_tree);
    os_user_release(&p->owner);
    *p = (struct git_place){0};
}
