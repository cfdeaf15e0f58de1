#include "source/virtual.h"

#include <assert.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/mem.h"

enum { NAME_KEPT_BYTES = 200, FILE_MODE = 0600, DIR_MODE = 0700, PATH_MAX_BYTES = 1 << 20 };

struct entry {
    char *path;
    mode_t file_mode, dir_mode;
    uint64_t fingerprint;
    struct sink_content *content; /* NULL: pushed */
};

struct virtual_tree {
    struct timespec time;
    mode_t file_mode, dir_mode;
    struct entry *entries;
    size_t count, cap;
};

struct virtual_tree *virtual_tree_new(struct timespec time)
{
    struct virtual_tree *t = mem_zalloc(sizeof *t);
    t->time = time;
    t->file_mode = FILE_MODE;
    t->dir_mode = DIR_MODE;
    return t;
}

void virtual_tree_set_modes(struct virtual_tree *t, mode_t file, mode_t dir)
{
    t->file_mode = file;
    t->dir_mode = dir;
}

static struct entry *add(struct virtual_tree *t, const char *path, struct sink_content *content)
{
    assert(*path != '\0' && *path != '/' && path[strlen(path) - 1] != '/');
    if (t->count == t->cap) {
        t->cap = t->cap > 0 ? 2 * t->cap : 8;
        t->entries = mem_array(t->entries, t->cap, sizeof *t->entries);
    }
    struct entry *e = &t->entries[t->count++];
    *e = (struct entry){
        .path = mem_strdup(path), .file_mode = t->file_mode, .dir_mode = t->dir_mode, .content = content};
    return e;
}

void virtual_tree_add(struct virtual_tree *t, const char *path, struct sink_content *content)
{
    add(t, path, content);
}

void virtual_tree_add_known(struct virtual_tree *t, const char *path, const struct id *fingerprint,
                            struct sink_content *content)
{
    struct entry *e = add(t, path, content);
    memcpy(&e->fingerprint, fingerprint, sizeof e->fingerprint);
    content->by_fingerprint = true;
    content->always = false;
}

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

/* ---- pushing */

struct push {
    const struct virtual_tree *tree;
    struct sink *sink;
    const char *user;
    struct buf dir; /* what is open: "a/b/", or "" */
};

static struct node make_node(const struct push *p, const char *name, size_t len, enum node_type type, mode_t mode)
{
    return (struct node){
        .name = name,
        .name_len = len,
        .type = type,
        .mode = node_mode_from_stat(mode),
        .mtime = p->tree->time,
        .atime = p->tree->time,
        .ctime = p->tree->time,
        .uid = getuid(),
        .gid = getgid(),
        .user = p->user,
    };
}

/* Ends directories until `path` lies in the one that is open. */
static int leave_dirs(struct push *p, const char *path, struct err *err)
{
    while (p->dir.len > 0 && strncmp((const char *)p->dir.data, path, p->dir.len) != 0) {
        if (p->sink->ops->dir_end(p->sink, err) != 0)
            return -1;
        p->dir.len--;
        while (p->dir.len > 0 && p->dir.data[p->dir.len - 1] != '/')
            p->dir.len--;
    }
    return 0;
}

static int enter_dirs(struct push *p, const struct entry *e, struct err *err)
{
    const char *name = e->path + p->dir.len;
    for (const char *slash; (slash = strchr(name, '/')) != NULL; name = slash + 1) {
        char *text = mem_strndup(name, (size_t)(slash - name));
        struct node dir = make_node(p, text, strlen(text), NODE_DIR, S_IFDIR | e->dir_mode);
        int rc = p->sink->ops->dir_begin(p->sink, &dir, err);
        free(text);
        if (rc != 0)
            return -1;
        buf_append(&p->dir, name, (size_t)(slash + 1 - name));
    }
    return 0;
}

static int push_file(struct push *p, struct entry *e, struct err *err)
{
    const char *name = e->path + p->dir.len;
    struct node node = make_node(p, name, strlen(name), NODE_FILE, S_IFREG | e->file_mode);
    node.inode = e->fingerprint;
    node.links = 1;
    char *shown = mem_alloc(strlen(e->path) + 2);
    shown[0] = '/';
    memcpy(shown + 1, e->path, strlen(e->path) + 1);
    struct sink_content *content = e->content;
    e->content = NULL;
    int rc = p->sink->ops->entry(p->sink, &node, shown, content, err);
    free(shown);
    return rc;
}

int virtual_tree_push(struct virtual_tree *t, struct sink *sink, struct err *err)
{
    const struct passwd *pw = getpwuid(getuid());
    char *user = pw != NULL ? mem_strdup(pw->pw_name) : NULL;
    struct push p = {.tree = t, .sink = sink, .user = user};
    int rc = 0;
    buf_init(&p.dir, PATH_MAX_BYTES);
    if (t->count > 1)
        qsort(t->entries, t->count, sizeof *t->entries, compare_entries);
    for (size_t i = 0; rc == 0 && i < t->count; i++) {
        rc = leave_dirs(&p, t->entries[i].path, err);
        if (rc == 0)
            rc = enter_dirs(&p, &t->entries[i], err);
        if (rc == 0)
            rc = push_file(&p, &t->entries[i], err);
    }
    if (rc == 0)
        rc = leave_dirs(&p, "", err);
    buf_release(&p.dir);
    free(user);
    return rc;
}

void virtual_tree_free(struct virtual_tree *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->count; i++) {
        struct sink_content *c = t->entries[i].content;
        if (c != NULL && c->release != NULL)
            c->release(c->ctx);
        free(t->entries[i].path);
    }
    free(t->entries);
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
