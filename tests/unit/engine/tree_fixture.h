/* Snapshots made by hand, node by node, and looks at what was restored of them. */
#pragma once
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include "../repo/fixture.h"
#include "engine/walk.h"
#include "os/file.h"

enum { MAKER_MTIME = 1600000000, MAKER_MTIME_NS = 123456789 };

struct maker {
    struct fixture *f;
    struct writer *w;
    struct arena arena;
    struct snapshot snapshot;
};

static inline void maker_init(struct maker *m)
{
    struct err err;
    *m = (struct maker){.f = fixture_new(2)};
    arena_init(&m->arena);
    snapshot_init(&m->snapshot);
    fixture_ok(repo_load_index(m->f->repo, NULL, &err), &err);
    m->w = writer_new(m->f->repo, false, &err);
    assert_non_null(m->w);
}

static inline void maker_release(struct maker *m)
{
    writer_free(m->w);
    snapshot_release(&m->snapshot);
    arena_release(&m->arena);
    fixture_free(m->f);
}

/* Around each test: *state is the maker. */
static inline int maker_set_up(void **state)
{
    struct maker *m = mem_zalloc(sizeof *m);
    maker_init(m);
    *state = m;
    return 0;
}

static inline int maker_tear_down(void **state)
{
    maker_release(*state);
    free(*state);
    return 0;
}

static inline struct node maker_node(struct maker *m, const char *name, enum node_type type, uint32_t mode)
{
    struct timespec mtime = {MAKER_MTIME, MAKER_MTIME_NS};
    return (struct node){.name = arena_strndup(&m->arena, name, strlen(name)),
                         .name_len = strlen(name),
                         .type = type,
                         .mode = mode,
                         .mtime = mtime,
                         .atime = mtime,
                         .ctime = mtime,
                         .uid = geteuid(),
                         .gid = getegid(),
                         .links = type == NODE_DIR ? 0 : 1};
}

/* A file of these bytes, in blobs of `cut`. */
static inline struct node maker_bytes(struct maker *m, const char *name, const void *data, size_t len, size_t cut)
{
    struct err err;
    struct node n = maker_node(m, name, NODE_FILE, 0644);
    struct id *ids = arena_alloc(&m->arena, (len / cut + 1) * sizeof *ids);
    for (size_t at = 0; at < len; at += cut) {
        size_t piece = len - at < cut ? len - at : cut;
        fixture_ok(writer_blob(m->w, m->f->codec, BLOB_DATA, (const char *)data + at, piece, &ids[n.content_count++],
                               NULL, &err),
                   &err);
    }
    n.content = ids;
    n.size = len;
    return n;
}

static inline struct node maker_file(struct maker *m, const char *name, const char *text)
{
    return maker_bytes(m, name, text, strlen(text), 4);
}

static inline struct node maker_symlink(struct maker *m, const char *name, const char *target)
{
    struct node n = maker_node(m, name, NODE_SYMLINK, NODE_MODE_SYMLINK | 0777);
    n.link_target = target;
    n.link_target_len = strlen(target);
    return n;
}

/* Stores the tree of these nodes, which must be in ascending order of name. */
static inline struct id maker_tree(struct maker *m, const struct node *nodes, size_t count)
{
    struct err err;
    struct id id;
    struct buf json;
    buf_init(&json, 16 << 20);
    tree_encode_begin(&json);
    for (size_t i = 0; i < count; i++)
        tree_encode_node(&json, &nodes[i], i == 0);
    tree_encode_end(&json);
    fixture_ok(writer_blob(m->w, m->f->codec, BLOB_TREE, json.data, json.len, &id, NULL, &err), &err);
    buf_release(&json);
    return id;
}

static inline struct node maker_dir(struct maker *m, const char *name, const struct node *nodes, size_t count)
{
    struct node n = maker_node(m, name, NODE_DIR, NODE_MODE_DIR | 0755);
    n.subtree = maker_tree(m, nodes, count);
    n.has_subtree = true;
    return n;
}

/* The root tree; the snapshot says that it is of `path`. Everything stored is findable after it. */
static inline struct id maker_finish(struct maker *m, const struct node *nodes, size_t count, const char *path)
{
    struct err err;
    struct id root = maker_tree(m, nodes, count);
    fixture_ok(writer_flush(m->w, &err), &err);
    writer_free(m->w);
    m->w = NULL;
    fixture_ok(repo_load_index_uncached(m->f->repo, NULL, &err), &err);
    m->snapshot.tree = root;
    strlist_add(&m->snapshot.paths, path);
    return root;
}

/* --- looking --- */

static inline char *in_dir(const char *dir, const char *path)
{
    static char text[4][512];
    static unsigned next;
    char *out = text[next++ % 4];
    snprintf(out, sizeof text[0], "%s/%s", dir, path);
    return out;
}

static inline struct stat look(const char *dir, const char *path)
{
    struct stat st;
    if (lstat(in_dir(dir, path), &st) != 0)
        fail_msg("'%s' is not there", path);
    return st;
}

static inline bool is_there(const char *dir, const char *path)
{
    struct stat st;
    return lstat(in_dir(dir, path), &st) == 0;
}

/* A file's content: until the next call of it. */
static inline const char *content(const char *dir, const char *path)
{
    static char text[4096];
    int fd = open(in_dir(dir, path), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        fail_msg("'%s' cannot be read", path);
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static inline void put_file(const char *dir, const char *path, const char *text)
{
    int fd = open(in_dir(dir, path), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

/* Flips a bit in the stored bytes of one data blob. */
static inline void damage_blob(struct maker *m, const struct id *id)
{
    struct index_entry entry;
    struct id pack;
    char hex[ID_HEX_BYTES], path[256];
    assert_true(index_find(m->f->repo->index, BLOB_DATA, id, &entry, &pack));
    id_to_hex(&pack, hex);
    snprintf(path, sizeof path, "%s/data/%.2s/%s", m->f->path, hex, hex);
    assert_int_equal(chmod(path, 0600), 0);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    unsigned char c;
    assert_int_equal(pread(fd, &c, 1, entry.offset + 17), 1);
    c ^= 1;
    assert_int_equal(pwrite(fd, &c, 1, entry.offset + 17), 1);
    close(fd);
}
