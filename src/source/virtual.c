#include "source/virtual.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/mem.h"
#include "os/file.h"

enum { NAME_KEPT_BYTES = 200, FILE_MODE = 0600, DIR_MODE = 0700, PATH_MAX_BYTES = 1 << 20 };

struct entry {
    char *path;
    struct stat st;
    mode_t dir_mode; /* of directories that come because of it */
    char *link;      /* a symbolic link's target */
    struct sink_content content;
    bool has_content; /* false: a link, or pushed */
};

struct virtual_tree {
    char *root;
    struct stat like;              /* what is made up has its owner and times */
    const struct content_env *env; /* NULL: there are no files of the file system in it */
    struct os_owners *owners;
    mode_t file_mode, dir_mode;
    struct entry *entries;
    size_t count, cap;
    /* while it is pushed */
    struct sink *sink;
    struct buf dir; /* what is open: "a/b/", or "" */
};

static struct virtual_tree *new_tree(const char *root, const struct stat *like)
{
    struct virtual_tree *t = mem_zalloc(sizeof *t);
    t->root = mem_strdup(root);
    t->like = *like;
    t->file_mode = FILE_MODE;
    t->dir_mode = DIR_MODE;
    buf_init(&t->dir, PATH_MAX_BYTES);
    return t;
}

struct virtual_tree *virtual_tree_new(struct timespec time)
{
    const struct stat like = {.st_uid = getuid(), .st_gid = getgid(), .st_mtim = time};
    struct virtual_tree *t = new_tree("", &like);
    t->owners = os_owners_new();
    return t;
}

struct virtual_tree *virtual_tree_new_at(const char *root, const struct stat *like, const struct content_env *env)
{
    struct virtual_tree *t = new_tree(root + strspn(root, "/"), like);
    t->env = env;
    t->owners = env->owners;
    return t;
}

void virtual_tree_set_modes(struct virtual_tree *t, mode_t file, mode_t dir)
{
    t->file_mode = file;
    t->dir_mode = dir;
}

/* ---- building */

static struct entry *add(struct virtual_tree *t, const char *path, const struct stat *st)
{
    assert(*path != '\0' && *path != '/' && path[strlen(path) - 1] != '/');
    if (t->count == t->cap) {
        t->cap = t->cap > 0 ? 2 * t->cap : 8;
        t->entries = mem_array(t->entries, t->cap, sizeof *t->entries);
    }
    struct entry *e = &t->entries[t->count++];
    *e = (struct entry){
        .path = *t->root != '\0' ? os_path_join(t->root, path) : mem_strdup(path), .st = *st, .dir_mode = t->dir_mode};
    return e;
}

static struct stat made_up(const struct virtual_tree *t, mode_t mode, uint64_t size, uint64_t inode)
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

static struct entry *add_made_up(struct virtual_tree *t, const char *path, uint64_t size, uint64_t inode,
                                 const struct sink_content *content)
{
    const struct stat st = made_up(t, S_IFREG | t->file_mode, size, inode);
    struct entry *e = add(t, path, &st);
    e->content = *content;
    e->has_content = true;
    return e;
}

void virtual_tree_add(struct virtual_tree *t, const char *path, const struct sink_content *content)
{
    add_made_up(t, path, 0, 0, content);
}

void virtual_tree_add_bytes(struct virtual_tree *t, const char *path, const void *p, size_t len)
{
    add_made_up(t, path, len, 0, bytes_content_new(p, len));
}

void virtual_tree_add_known(struct virtual_tree *t, const char *path, uint64_t fingerprint,
                            const struct sink_content *content)
{
    add_made_up(t, path, 0, fingerprint, content)->content.by_fingerprint = true;
}

static void warn(const struct virtual_tree *t, const char *file, const char *what)
{
    t->env->reporter->warning(t->env->reporter->ctx, file, what);
}

static void add_link(struct virtual_tree *t, const char *path, const char *file, const struct stat *st)
{
    char target[PATH_MAX];
    ssize_t n = readlink(file, target, sizeof target);
    if (n < 0)
        return; /* it vanished */
    add(t, path, st)->link = mem_strndup(target, (size_t)n);
}

void virtual_tree_add_file(struct virtual_tree *t, const char *path, const char *file)
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

/* ---- pushing */

int virtual_compare_paths(const char *a, const char *b)
{
    const unsigned char *x = (const unsigned char *)a, *y = (const unsigned char *)b;
    while (*x == *y && *x != '\0')
        x++, y++;
    int left = *x == '/' ? 1 : *x == '\0' ? 0 : *x + 1, right = *y == '/' ? 1 : *y == '\0' ? 0 : *y + 1;
    return left - right;
}

static int compare_entries(const void *a, const void *b)
{
    return virtual_compare_paths(((const struct entry *)a)->path, ((const struct entry *)b)->path);
}

static struct node make_node(const struct virtual_tree *t, const char *name, size_t len, const struct stat *st)
{
    return (struct node){
        .name = name,
        .name_len = len,
        .type = node_type_from_stat(st->st_mode),
        .mode = node_mode_from_stat(st->st_mode),
        .mtime = st->st_mtim,
        .atime = t->env != NULL && t->env->with_atime ? st->st_atim : st->st_mtim,
        .ctime = st->st_ctim,
        .uid = st->st_uid,
        .gid = st->st_gid,
        .user = os_user_name(t->owners, st->st_uid),
        .group = t->env != NULL ? os_group_name(t->owners, st->st_gid) : NULL,
        .inode = st->st_ino,
        .size = S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0,
        .links = S_ISDIR(st->st_mode) ? 0 : st->st_nlink,
    };
}

/* Ends directories until `path` lies in the one that is open. */
static int leave_dirs(struct virtual_tree *t, const char *path, struct err *err)
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

static int enter_dirs(struct virtual_tree *t, const struct entry *e, struct err *err)
{
    const struct stat st = made_up(t, S_IFDIR | e->dir_mode, 0, 0);
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

static int push_entry(struct virtual_tree *t, struct entry *e, struct err *err)
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

int virtual_tree_push(struct virtual_tree *t, struct sink *sink, struct err *err)
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

void virtual_tree_free(struct virtual_tree *t)
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
    if (t->env == NULL)
        os_owners_free(t->owners);
    free(t->root);
    free(t);
}

/* ---- names */

char *virtual_name(const char *text)
{
    size_t len = strlen(text);
    if (len > NAME_KEPT_BYTES) {
        len = NAME_KEPT_BYTES;
        while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
            len--;
    }
    if (len == 0 || strcmp(text, ".") == 0 || strcmp(text, "..") == 0)
        return mem_strdup("_");
    char *name = mem_strndup(text, len);
    for (char *p = name; *p != '\0'; p++)
        if (*p == '/')
            *p = '_';
    return name;
}

/* ---- bytes */

struct bytes {
    struct sink_content content;
    size_t len, done;
    unsigned char data[];
};

static int64_t bytes_read(void *state, void *p, size_t cap, struct err *err)
{
    struct bytes *b = state;
    size_t n = b->len - b->done < cap ? b->len - b->done : cap;
    (void)err;
    memcpy(p, b->data + b->done, n);
    b->done += n;
    return (int64_t)n;
}

static enum sink_finish bytes_finish(void *state, struct node *node, struct err *err)
{
    const struct bytes *b = state;
    (void)err;
    node->size = b->len;
    return SINK_FINISH_OK;
}

static void bytes_close(void *state)
{
    (void)state;
}

static int bytes_open(void *ctx, unsigned attempt, struct node *node, struct sink_stream *out, struct err *err)
{
    struct bytes *b = ctx;
    (void)attempt;
    (void)err;
    b->done = 0;
    node->size = b->len;
    *out = (struct sink_stream){.state = b, .read = bytes_read, .finish = bytes_finish, .close = bytes_close};
    return 0;
}

struct sink_content *bytes_content_new(const void *p, size_t len)
{
    struct bytes *b = mem_alloc(sizeof *b + len);
    b->len = len;
    b->done = 0;
    memcpy(b->data, p, len);
    b->content = (struct sink_content){.ctx = b, .always = true, .open = bytes_open, .release = free};
    return &b->content;
}
