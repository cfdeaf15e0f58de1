/* What a capture works with: the working trees, and a directory of our own so that nothing is written to the
 * repository. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"
#include "os/file.h"
#include "source/git_collect.h"
#include "source/git_state.h"

enum { CONFIG_MAX_BYTES = 1 << 20, TREES_MAX = 4096 };

struct git_call git_capture_call(const struct git_capture *c)
{
    return (struct git_call){
        .place = &c->place, .object_dir = c->object_dir, .settings = &c->settings, .timeout_ms = c->timeout_ms};
}

int git_explain(const struct git_capture *c, const struct err *why, struct err *err)
{
    struct err reason = *why;
    if (reason.code == ERR_NOT_FOUND) /* to a sink that would be a file that vanished, which is no error */
        reason.code = ERR_FAILED;
    if (reason.code != ERR_FAILED && reason.code != ERR_CORRUPT)
        return err_set(err, reason.code, "cannot store the repository '%s': %s", c->place.path, reason.message);
    return err_set(err, ERR_CORRUPT,
                   "cannot store the repository '%s': %s; see what is damaged with 'git -C %s fsck --full'",
                   c->place.path, reason.message, c->place.path);
}

/* ---- working trees */

static void add_tree(struct git_capture *c, const char *name, char *git_dir, char *path)
{
    struct stat st;
    if (path != NULL && (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))) { /* moved, or on a drive that is not there */
        free(path);
        path = NULL;
    }
    c->trees = mem_array(c->trees, c->tree_count + 1, sizeof *c->trees);
    c->trees[c->tree_count++] =
        (struct git_tree){.name = name != NULL ? mem_strdup(name) : NULL, .git_dir = git_dir, .path = path};
}

/* A linked one: its git directory says where its `.git` is. */
static void add_linked(struct git_capture *c, const char *parent, const char *name)
{
    struct buf b;
    char *git_dir = os_path_join(parent, name), *link = os_path_join(git_dir, "gitdir"), *path = NULL;
    buf_init(&b, (size_t)2 * PATH_MAX);
    if (os_read_file(link, &b, NULL) == 0) {
        char *text = mem_strndup(buf_cstr(&b), strcspn(buf_cstr(&b), "\n"));
        char *dot = text[0] == '/' ? mem_strdup(text) : os_path_join(git_dir, text);
        size_t len = strlen(dot);
        if (len > 5 && strcmp(dot + len - 5, "/.git") == 0)
            path = mem_strndup(dot, len - 5);
        free(dot);
        free(text);
    }
    if (git_is_git_dir(git_dir))
        add_tree(c, name, git_dir, path);
    else
        free(git_dir), free(path);
    buf_release(&b);
    free(link);
}

static void add_all_linked(struct git_capture *c)
{
    struct strlist names = {0};
    char *parent = os_path_join(c->place.common_dir, "worktrees");
    DIR *d = opendir(parent);
    for (const struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
        if (e->d_name[0] != '.' && names.count < TREES_MAX)
            strlist_add(&names, e->d_name);
    if (d != NULL)
        closedir(d);
    strlist_sort(&names);
    for (size_t i = 0; i < names.count; i++)
        add_linked(c, parent, names.items[i]);
    strlist_release(&names);
    free(parent);
}

/* ---- settings */

/* Filters are programs that the configuration names; a status would run them. Without them it takes a file for
 * modified that it cannot judge, which stores it: that errs on the safe side. */
static int disable_filters(struct git_capture *c, struct err *err)
{
    static const char *const args[] = {"config", "-z", "--name-only", "--list", NULL};
    struct git_call call = {.place = &c->place, .timeout_ms = c->timeout_ms};
    struct buf names;
    buf_init(&names, CONFIG_MAX_BYTES);
    int rc = git_output(&call, args, &names, err);
    const char *text = buf_cstr(&names), *end = text + names.len;
    for (; rc == 0 && text < end; text += strlen(text) + 1) {
        const char *last = strrchr(text, '.');
        if (strncmp(text, "filter.", 7) != 0 || last == NULL)
            continue;
        strlist_add(&c->settings, text);
        strlist_add(&c->settings, strcmp(last, ".required") == 0 ? "false" : "");
    }
    buf_release(&names);
    return rc;
}

/* ---- the temporary directory */

int git_capture_hand_over(const struct git_capture *c, const char *path, struct err *err)
{
    if (c->place.as_owner && lchown(path, c->place.owner.uid, c->place.owner.gid) != 0)
        return err_errno(err, errno, "cannot give '%s' to '%s'", path, c->place.owner.name);
    return 0;
}

static int make_temp(struct git_capture *c, struct err *err)
{
    const char *base = c->place.as_owner ? NULL : getenv("TMPDIR");
    char *name = mem_printf("%s/clawback-git-XXXXXX", base != NULL && *base == '/' ? base : "/tmp");
    if (mkdtemp(name) == NULL) {
        err_errno(err, errno, "cannot make a temporary directory '%s'", name);
        free(name);
        return -1;
    }
    c->temp = name;
    c->object_dir = os_path_join(name, "objects");
    if (mkdir(c->object_dir, 0700) != 0)
        return err_errno(err, errno, "cannot make '%s'", c->object_dir);
    return git_capture_hand_over(c, c->temp, err) != 0 ? -1 : git_capture_hand_over(c, c->object_dir, err);
}

int git_capture_input(const struct git_capture *c, const void *p, size_t len, struct err *err)
{
    char *path = os_path_join(c->temp, "input-XXXXXX");
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0) {
        err_errno(err, errno, "cannot make '%s'", path);
        free(path);
        return -1;
    }
    (void)unlink(path);
    if (os_write_full(fd, p, len) != 0 || lseek(fd, 0, SEEK_SET) != 0) {
        err_errno(err, errno, "cannot write '%s'", path);
        close(fd);
        fd = -1;
    }
    free(path);
    return fd;
}

int git_capture_open(struct git_capture *c, struct git_place *place, uint64_t timeout_ms, struct err *err)
{
    *c = (struct git_capture){.place = *place, .timeout_ms = timeout_ms};
    *place = (struct git_place){0};
    add_tree(c, NULL, mem_strdup(c->place.common_dir),
             c->place.work_tree != NULL ? mem_strdup(c->place.work_tree) : NULL);
    add_all_linked(c);
    if (make_temp(c, err) == 0 && disable_filters(c, err) == 0)
        return 0;
    git_capture_release(c);
    return -1;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    (void)remove(path);
    return 0;
}

void git_capture_release(struct git_capture *c)
{
    if (c->temp != NULL)
        (void)nftw(c->temp, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    for (size_t i = 0; i < c->tree_count; i++) {
        free(c->trees[i].name);
        free(c->trees[i].git_dir);
        free(c->trees[i].path);
    }
    free(c->trees);
    free(c->temp);
    free(c->object_dir);
    strlist_release(&c->settings);
    git_place_release(&c->place);
    *c = (struct git_capture){0};
}
