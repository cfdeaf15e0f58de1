#include "source/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "os/interrupt.h"
#include "os/open.h"
#include "os/owner.h"
#include "os/xattr.h"
#include "source/content.h"
#include "source/scan.h"
#include "source/targets.h"

enum { PATH_MAX_BYTES = 1 << 30, LINK_MAX_BYTES = 64 << 10 };

struct files {
    struct files_options options;
    struct sink_reporter reporter;
    struct targets targets;
    struct scan *scan;
    struct content_env env;
    struct buf path;    /* of the directory the walk is in ("" for the root), then of what is in it */
    struct arena arena; /* what one node points to */
    char *link;
    /* Names of the owner met last: most have the same. */
    uint32_t last_uid, last_gid;
    const char *last_user, *last_group;
    bool has_last;
};

/* One entry in the walk's hands. */
struct entry {
    const struct scan_name *name;
    const struct scan_entry *record;
    struct stat st;
    struct node node;
};

int files_new(struct files **out, const struct files_options *options, const struct sink_reporter *reporter,
              struct err *err)
{
    struct files *f = mem_zalloc(sizeof *f);
    f->options = *options;
    f->reporter = *reporter;
    buf_init(&f->path, PATH_MAX_BYTES);
    arena_init(&f->arena);
    if (targets_make(&f->targets, options->paths, err) != 0) {
        free(f);
        return -1;
    }
    if (scan_new(&f->scan, &f->options, &f->targets, &f->reporter, err) != 0) {
        targets_release(&f->targets);
        free(f);
        return -1;
    }
    f->link = mem_alloc(LINK_MAX_BYTES);
    f->env = (struct content_env){.reporter = &f->reporter,
                                  .owners = os_owners_new(),
                                  .rate = os_rate_new(options->limit_read_bytes_per_s),
                                  .with_atime = options->with_atime,
                                  .ignore_sqlite = options->ignore_sqlite,
                                  .fine_cut = options->fine_cut};
    *out = f;
    return 0;
}

void files_free(struct files *f)
{
    if (f == NULL)
        return;
    scan_free(f->scan);
    targets_release(&f->targets);
    os_owners_free(f->env.owners);
    os_rate_free(f->env.rate);
    buf_release(&f->path);
    arena_release(&f->arena);
    free(f->link);
    free(f);
}

/* ---- nodes */

static void fill_stat(struct entry *e)
{
    const struct scan_entry *r = e->record;
    bool device = S_ISBLK(r->mode) || S_ISCHR(r->mode);
    e->st = (struct stat){
        .st_dev = r->device_id,
        .st_ino = r->inode,
        .st_mode = r->mode,
        .st_nlink = r->links,
        .st_uid = r->uid,
        .st_gid = r->gid,
        .st_rdev = device ? r->size : 0,
        .st_size = device ? 0 : (off_t)r->size,
        .st_mtim = {r->mtime_s, r->mtime_ns},
        .st_ctim = {r->ctime_s, r->ctime_ns},
        .st_atim = {r->atime_s, r->atime_ns},
    };
}

static void fill_owner(struct files *f, struct node *n)
{
    if (!f->has_last || f->last_uid != n->uid)
        f->last_user = os_user_name(f->env.owners, n->uid);
    if (!f->has_last || f->last_gid != n->gid)
        f->last_group = os_group_name(f->env.owners, n->gid);
    f->has_last = true;
    f->last_uid = n->uid;
    f->last_gid = n->gid;
    n->user = f->last_user;
    n->group = f->last_group;
}

static void fill_node(struct files *f, struct entry *e)
{
    const struct stat *st = &e->st;
    struct node *n = &e->node;
    *n = (struct node){
        .name = e->name->p,
        .name_len = e->name->len,
        .type = node_type_from_stat(st->st_mode),
        .mode = node_mode_from_stat(st->st_mode),
        .mtime = st->st_mtim,
        .ctime = st->st_ctim,
        .atime = f->options.with_atime ? st->st_atim : st->st_mtim,
        .uid = st->st_uid,
        .gid = st->st_gid,
        .inode = st->st_ino,
        .device_id = st->st_dev,
    };
    if (n->type == NODE_FILE)
        n->size = (uint64_t)st->st_size;
    if (n->type == NODE_DEV || n->type == NODE_CHARDEV)
        n->device = st->st_rdev;
    if (n->type == NODE_FILE || n->type == NODE_SYMLINK || n->type == NODE_DEV || n->type == NODE_CHARDEV)
        n->links = st->st_nlink;
    fill_owner(f, n);
}

/* The target of the symlink at f->path. 0, or -1 with errno. */
static int fill_link(struct files *f, struct node *n)
{
    ssize_t len = readlink((const char *)f->path.data, f->link, LINK_MAX_BYTES);
    if (len < 0 && errno == ENAMETOOLONG) {
        int fd = os_open((const char *)f->path.data, O_PATH | O_NOFOLLOW);
        if (fd < 0)
            return -1;
        len = readlinkat(fd, "", f->link, LINK_MAX_BYTES);
        close(fd);
    }
    if (len < 0)
        return -1;
    n->link_target = arena_strndup(&f->arena, f->link, (size_t)len);
    n->link_target_len = (size_t)len;
    return 0;
}

/* From the parent snapshot when nothing has changed, else from the kernel. */
static void fill_xattrs(struct files *f, struct sink *sink, struct entry *e)
{
    struct node *n = &e->node;
    const struct node *known = sink->ops->known != NULL ? sink->ops->known(sink, n->name, n->name_len, &e->st) : NULL;
    if (known != NULL) {
        n->xattrs = known->xattrs;
        n->xattr_count = known->xattr_count;
        return;
    }
    struct os_xattr *found;
    struct err err;
    size_t count;
    bool follow = (e->name->flags & SCAN_NAME_PARENT) != 0;
    const char *path = (const char *)f->path.data;
    if (os_xattr_read(path, follow, &f->arena, &found, &count, &err) != 0 && err.code != ERR_NOT_FOUND) {
        char what[ERR_MESSAGE_BYTES + 64];
        snprintf(what, sizeof what, "stored with incomplete attributes: %s", err.message);
        f->reporter.warning(f->reporter.ctx, path, what);
    }
    if (count == 0)
        return;
    struct node_xattr *all = arena_alloc(&f->arena, count * sizeof *all);
    for (size_t i = 0; i < count; i++)
        all[i] = (struct node_xattr){found[i].name, found[i].value, found[i].size};
    n->xattrs = all;
    n->xattr_count = count;
}

/* ---- the walk */

static int push_file(struct files *f, struct sink *sink, struct entry *e, struct err *err)
{
    const char *path = (const char *)f->path.data;
    bool live = (e->name->flags & SCAN_NAME_LIVE) != 0;
    struct sink_content content = content_new(&f->env, path, f->path.len, &e->st, live);
    return sink->ops->entry(sink, &e->node, path, &content, err);
}

static int push_entry(struct files *f, struct sink *sink, struct entry *e, struct err *err)
{
    const char *path = (const char *)f->path.data;
    if (e->node.type == NODE_SYMLINK && fill_link(f, &e->node) != 0) {
        if (errno != ENOENT) {
            struct err why;
            err_errno(&why, errno, "cannot read the symlink '%s'", path);
            f->reporter.unreadable(f->reporter.ctx, path, &why);
        }
        return 0;
    }
    fill_xattrs(f, sink, e);
    if (e->node.type == NODE_FILE)
        return push_file(f, sink, e, err);
    return sink->ops->entry(sink, &e->node, path, NULL, err);
}

/* Is this the base directory, or above it? Such a directory is walked through and not pushed. */
static bool is_above_base(const struct files *f, const char *path, size_t len)
{
    const char *base = f->options.base;
    return base != NULL && strncmp(base, path, len) == 0 && (base[len] == '/' || base[len] == '\0');
}

/* Enters the directory, unless it cannot be listed: then it is left out, as one cannot tell from an empty one. */
static int push_dir(struct files *f, struct sink *sink, struct entry *e, struct scan_dir **dir, struct err *err)
{
    struct scan_dir *child = &(*dir)->chunks[(*dir)->walk_chunk].children[e->record->child];
    if (!scan_list(f->scan, child))
        return 0;
    *dir = child;
    if (is_above_base(f, (const char *)f->path.data, f->path.len))
        return 0;
    fill_xattrs(f, sink, e);
    return sink->ops->dir_begin(sink, &e->node, err);
}

static void set_path(struct files *f, size_t dir_len, const struct scan_name *name)
{
    f->path.len = dir_len;
    buf_append_byte(&f->path, '/');
    buf_append(&f->path, name->p, name->len);
    buf_cstr(&f->path);
}

/* Pushes the record the walk has come to. f->path is left as the path of the directory that the walk is then in. */
static int push_next(struct files *f, struct sink *sink, struct scan_dir **dir, struct err *err)
{
    struct scan_dir *d = *dir;
    struct scan_chunk *chunk = &d->chunks[d->walk_chunk];
    size_t i = d->walk_entry++, dir_len = f->path.len;
    struct entry e = {.name = &d->names[chunk->first + i], .record = &chunk->entries[i]};
    if (e.record->mode == 0)
        return 0;
    if (os_check_interrupt(err) != 0)
        return -1;
    set_path(f, dir_len, e.name);
    fill_stat(&e);
    fill_node(f, &e);
    int rc = e.node.type == NODE_DIR ? push_dir(f, sink, &e, dir, err) : push_entry(f, sink, &e, err);
    if (*dir == d)
        f->path.len = dir_len;
    arena_release(&f->arena);
    return rc;
}

/* Ends the directory and goes up. */
static int leave_dir(struct files *f, struct sink *sink, struct scan_dir **dir, struct err *err)
{
    struct scan_dir *d = *dir;
    *dir = d->parent;
    scan_leave_dir(d);
    if (*dir == NULL)
        return 0; /* the root is the sink's own */
    size_t len = f->path.len;
    f->path.len -= 1 + d->name_len;
    return is_above_base(f, (const char *)f->path.data, len) ? 0 : sink->ops->dir_end(sink, err);
}

static int walk(struct files *f, struct sink *sink, struct err *err)
{
    struct scan_dir *dir = scan_root(f->scan);
    if (!scan_list(f->scan, dir))
        return 0;
    int rc = 0;
    while (rc == 0 && dir != NULL) {
        if (dir->walk_chunk == dir->chunk_count) {
            rc = leave_dir(f, sink, &dir, err);
            continue;
        }
        struct scan_chunk *chunk = &dir->chunks[dir->walk_chunk];
        if (dir->walk_entry == 0)
            scan_stat(f->scan, chunk);
        if (dir->walk_entry < chunk->count) {
            rc = push_next(f, sink, &dir, err);
        } else {
            scan_leave_chunk(f->scan, chunk);
            dir->walk_chunk++;
            dir->walk_entry = 0;
        }
    }
    return rc;
}

static void report_unread(struct files *f)
{
    const struct files_options *o = &f->options;
    for (size_t i = 0; o->unread != NULL && i < o->unread->count; i++) {
        struct err why;
        err_set(&why, ERR_CORRUPT, "%s", o->unread_why->items[i]);
        f->reporter.unreadable(f->reporter.ctx, o->unread->items[i], &why);
    }
}

int files_run(struct files *f, struct sink *sink, struct err *err)
{
    const struct strlist *missing = &f->targets.missing;
    for (size_t i = 0; i < missing->count; i++) {
        struct err why;
        struct stat st;
        int reason = lstat(missing->items[i], &st) != 0 ? errno : ENOENT;
        err_errno(&why, reason, "cannot open '%s'", missing->items[i]);
        if (missing->count == 1 && f->targets.found == 0)
            return err_set(err, ERR_NOT_FOUND, "%s; there is nothing else to back up", why.message);
        f->reporter.unreadable(f->reporter.ctx, missing->items[i], &why);
    }
    if (f->targets.found == 0)
        return err_set(err, ERR_NOT_FOUND, "none of the given paths exists");
    report_unread(f);
    return walk(f, sink, err);
}

/* ---- as a source */

struct files_source {
    struct source base;
    const struct files_options *options;
    struct files *files;
};

static int files_source_start(struct source *base, const struct sink_reporter *reporter, struct err *err)
{
    struct files_source *s = (struct files_source *)base;
    return files_new(&s->files, s->options, reporter, err);
}

static int files_source_push(struct source *base, struct sink *sink, const struct sink_reporter *reporter,
                             struct err *err)
{
    struct files_source *s = (struct files_source *)base;
    if (s->files == NULL && files_source_start(base, reporter, err) != 0)
        return -1;
    return files_run(s->files, sink, err);
}

static void files_source_free(struct source *base)
{
    struct files_source *s = (struct files_source *)base;
    files_free(s->files);
    free(s);
}

struct source *files_source_new(const struct files_options *options)
{
    static const struct source_ops OPS = {files_source_start, files_source_push, files_source_free};
    struct files_source *s = mem_zalloc(sizeof *s);
    s->base.ops = &OPS;
    for (size_t i = 0; i < options->paths->count; i++)
        if (!targets_is_missing(options->paths->items[i]))
            strlist_add(&s->base.paths, options->paths->items[i]);
    s->options = options;
    return &s->base;
}
