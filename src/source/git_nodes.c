#include "source/git_nodes.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "os/file.h"
#include "source/virtual.h"

enum { DIR_MODE = 0700, FILE_MODE = 0600, PATH_MAX_BYTES = 1 << 20 };

struct entry {
    char *path;
    struct stat st;
    char *link; /* a symbolic link's target */
    struct sink_content content;
    bool has_content;
};

struct git_nodes {
    char *root;
    struct stat like;
    const struct content_env *env;
    struct entry *entries;
    size_t count, cap;
    /* while it is pushed */
    struct sink *sink;
    struct buf dir; /* what is open: "a/b/" */
};

struct git_nodes *git_nodes_new(const char *root, const struct stat *like, const struct content_env *env)
{
    struct git_nodes *t = mem_zalloc(sizeof *t);
    t->root = mem_strdup(root + strspn(root, "/"));
    t->like = *like;
    t->env = env;
    buf_init(&t->dir, PATH_MAX_BYTES);
    return t;
}

/* ---- building */

static struct entry *add(struct git_nodes *t, const char *path, const struct stat *st)
{
    if (t->count == t->cap) {
        t->cap = t->cap > 0 ? 2 * t->cap : 32;
        t->entries = mem_array(t->entries, t->cap, sizeof *t->entries);
    }
    struct entry *e = &t->entries[t->count++];
    *e = (struct entry){.path = os_path_join(t->root, path), .st = *st};
    return e;
}

static struct stat made_up(const struct git_nodes *t, mode_t mode, uint64_t size, uint64_t inode)
{
    struct stat st = {0};
    st.st_mode = mode;
    st.st_uid = t->like.st_uid;
    st.st_gid = t->like.st_gid;
    st.st_mtim = st.st_ctim = st.st_atim = t->like.st_mtim;
    st.st_size = (off_t)size;
    st.st_ino = (ino_t)inode;
    st.st_nlink = 1;
    return st;
}

static void warn(const struct git_nodes *t, const char *file, const char *what)
{
    t->env->reporter->warning(t->env->reporter->ctx, file, what);
}

static void add_link(struct git_nodes *t, const char *path, const char *file, const struct stat *st)
{
    char target[PATH_MAX];
    ssize_t n = readlink(file, target, sizeof target);
    if (n < 0)
        return; /* it vanished */
    add(t, path, st)->link = mem_strndup(target, (size_t)n);
}

void git_nodes_add_file(struct git_nodes *t, const char *path, const char *file)
{
    struct stat st;
    if (lstat(file, &st) != 0) {
        if (errno != ENOENT && errno != ENOTDIR)
            warn(t, file, "cannot be looked at; left out");
        return;
    }
    if (S_ISLNK(st.st_mode))
        add_link(t, path, file, &st);
    if (!S_ISREG(st.st_mode))
        return;
    if (faccessat(AT_FDCWD, file, R_OK, AT_EACCESS) != 0 && errno == EACCES) {
        warn(t, file, "may not be read; left out");
        return;
    }
    struct entry *e = add(t, path, &st);
    e->content = content_new(t->env, file, strlen(file), &st, false);
    e->has_content = true;
}

void git_nodes_add_bytes(struct git_nodes *t, const char *path, const void *p, size_t len)
{
    struct stat st = made_up(t, S_IFREG | FILE_MODE, len, 0);
    struct entry *e = add(t, path, &st);
    e->content = *bytes_content_new(p, len);
    e->has_content = true;
}

void git_nodes_add_content(struct git_nodes *t, const char *path, uint64_t fingerprint,
                           const struct sink_content *content)
{
    struct stat st = made_up(t, S_IFREG | FILE_MODE, 0, fingerprint);
    struct entry *e = add(t, path, &st);
    e->content = *content;
    e->content.by_fingerprint = true;
    e->has_content = true;
}

/* ---- pushing */

static int compare_entries(const void *a, const void *b)
{
    return virtual_compare_paths(((const struct entry *)a)->path, ((const struct entry *)b)->path);
}

static struct node make_node(const struct git_nodes *t, const char *name, size_t len, const struct stat *st)
{
    return (struct node){
        .name = name,
        .name_len = len,
        .type = node_type_from_stat(st->st_mode),
        .mode = node_mode_from_stat(st->st_mode),
        .mtime = st->st_mtim,
        .atime = t->env->with_atime ? st->st_atim : st->st_mtim,
        .ctime = st->st_ctim,
        .uid = st->st_uid,
        .gid = st->st_gid,
        .user = os_user_name(t->env->owners, st->st_uid),
        .group = os_group_name(t->env->owners, st->st_gid),
        .inode = st->st_ino,
        .size = S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0,
        .links = S_ISDIR(st->st_mode) ? 0 : st->st_nlink,
    };
}

static int leave_dirs(struct git_nodes *t, const char *path, struct err *err)
{
    while (t->dir.len > 0 && strncmp((const char *)t->dir.data, path, t->dir.len) != 0) {
        if (t->sink->ops->dir_end(t->sink, err) != 0)
            return -1;
        t->dir.len--;
        while (t->dir.len > 0 && t->dir.data[t->dir.len - 1] != '/')
            t->dir.len--;
    }
    return 0;
}

static int enter_dirs(struct git_nodes *t, const struct entry *e, struct err *err)
{
    const struct stat st = made_up(t, S_IFDIR | DIR_MODE, 0, 0);
    const char *name = e->path + t->dir.len;
    for (const char *slash; (slash = strchr(name, '/')) != NULL; name = slash + 1) {
        char *text = mem_strndup(name, (size_t)(slash - name));
        struct node dir = make_node(t, text, strlen(text), &st);
        int rc = t->sink->ops->dir_begin(t->sink, &dir, err);
        free(text);
        if (rc != 0)
            return -1;
        buf_append(&t->dir, name, (size_t)(slash + 1 - name));
    }
    return 0;
}

static int push_entry(struct git_nodes *t, struct entry *e, struct err *err)
{
    if (leave_dirs(t, e->path, err) != 0 || enter_dirs(t, e, err) != 0)
        return -1;
    const char *name = e->path + t->dir.len;
    struct node node = make_node(t, name, strlen(name), &e->st);
    if (e->link != NULL) {
        node.link_target = e->link;
        node.link_target_len = strlen(e->link);
    }
    char *shown = os_path_join("/", e->path);
    bool has_content = e->has_content;
    e->has_content = false; /* the sink's from here on */
    int rc = t->sink->ops->entry(t->sink, &node, shown, has_content ? &e->content : NULL, err);
    free(shown);
    return rc;
}

int git_nodes_push(struct git_nodes *t, struct sink *sink, struct err *err)
{
    int rc = 0;
    t->sink = sink;
    if (t->count > 1)
        qsort(t->entries, t->count, sizeof *t->entries, compare_entries);
    for (size_t i = 0; rc == 0 && i < t->count; i++)
        if (i == 0 || strcmp(t->entries[i].path, t->entries[i - 1].path) != 0)
            rc = push_entry(t, &t->entries[i], err);
    return rc == 0 ? leave_dirs(t, "", err) : rc;
}

void git_nodes_free(struct git_nodes *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->count; i++) {
        struct entry *e = &t->entries[i];
        if (e->has_content && e->content.release != NULL)
            e->content.release(e->content.ctx);
        free(e->path);
        free(e->link);
    }
    free(t->entries);
    buf_release(&t->dir);
    free(t->root);
    free(t);
}
