/*
 * Listing reads a directory's names into the worker's memory, sorts them, strikes out what is excluded by its name, and
 * keeps the rest in one block. Stat'ing strikes out what is excluded by its metadata.
 */
#include "source/scan_work.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "os/open.h"
#include "source/filter.h"
#include "source/scan_siblings.h"

enum { DENTS_BYTES = 64 << 10, TEXT_MAX_BYTES = 1 << 30, KEEP_BYTES = 1 << 20 };

struct scan_worker {
    const struct scan_rules *rules;
    struct filter_dir filter;
    struct buf path; /* of the directory in work, then of what is in it; "" for the root */
    size_t dir_len;
    struct buf text; /* the names, each with its NUL */
    struct scan_name *names;
    size_t count, cap;
    char *dents;
};

struct scan_worker *scan_worker_new(const struct scan_rules *rules)
{
    struct scan_worker *w = mem_zalloc(sizeof *w);
    w->rules = rules;
    w->dents = mem_alloc(DENTS_BYTES);
    buf_init(&w->path, TEXT_MAX_BYTES);
    buf_init(&w->text, TEXT_MAX_BYTES);
    return w;
}

void scan_worker_free(struct scan_worker *w)
{
    filter_dir_release(&w->filter);
    buf_release(&w->path);
    buf_release(&w->text);
    free(w->names);
    free(w->dents);
    free(w);
}

/* ---- paths and reports */

static void make_path(struct scan_worker *w, const struct scan_dir *dir)
{
    size_t len = 0;
    for (const struct scan_dir *d = dir; d->parent != NULL; d = d->parent)
        len += 1 + d->name_len;
    buf_clear(&w->path);
    unsigned char *end = buf_reserve(&w->path, len + 1) + len;
    for (const struct scan_dir *d = dir; d->parent != NULL; d = d->parent) {
        end -= d->name_len;
        memcpy(end, d->name, d->name_len);
        *--end = '/';
    }
    w->path.len = w->dir_len = len;
}

static const char *dir_path(struct scan_worker *w)
{
    w->path.len = w->dir_len;
    return w->dir_len == 0 ? "/" : buf_cstr(&w->path);
}

static const char *path_of(struct scan_worker *w, const struct scan_name *name)
{
    w->path.len = w->dir_len;
    buf_append_byte(&w->path, '/');
    buf_append(&w->path, name->p, name->len);
    return buf_cstr(&w->path);
}

static void report_excluded(struct scan_worker *w, const struct scan_name *name, const char *why)
{
    const struct sink_reporter *r = w->rules->reporter;
    if (r->excluded != NULL)
        r->excluded(r->ctx, path_of(w, name), why);
}

static void report_unreadable(struct scan_worker *w, const char *path, int errnum, const char *what)
{
    struct err err;
    err_errno(&err, errnum, "cannot %s '%s'", what, path);
    w->rules->reporter->unreadable(w->rules->reporter->ctx, path, &err);
}

/* ---- names */

static void add_name(struct scan_worker *w, const char *name, size_t len, unsigned char type)
{
    buf_append(&w->text, name, len + 1);
    if (w->text.overflow)
        return;
    if (w->count == w->cap) {
        w->cap = w->cap == 0 ? 256 : w->cap * 2;
        w->names = mem_array(w->names, w->cap, sizeof *w->names);
    }
    w->names[w->count++] = (struct scan_name){.len = (uint16_t)len, .type = type};
}

static bool is_dot(const char *name)
{
    return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

/* All names of an open directory. 0, or an errno value when it could not be read to its end. */
static int read_names(struct scan_worker *w, int fd)
{
    for (;;) {
        ssize_t n = getdents64(fd, w->dents, DENTS_BYTES);
        if (n <= 0)
            return n == 0 ? 0 : errno;
        if (w->text.overflow)
            return EOVERFLOW;
        for (ssize_t at = 0; at < n;) {
            const struct dirent64 *d = (const struct dirent64 *)(const void *)(w->dents + at);
            if (!is_dot(d->d_name))
                add_name(w, d->d_name, strlen(d->d_name), d->d_type);
            at += d->d_reclen;
        }
    }
}

static void take_target_names(struct scan_worker *w, const struct target *t)
{
    for (size_t i = 0; i < t->count; i++)
        add_name(w, t->children[i].name, t->children[i].name_len, DT_UNKNOWN);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct scan_name *)a)->p, ((const struct scan_name *)b)->p);
}

/* Sets the pointers, which are only now at rest, and sorts. */
static void sort_names(struct scan_worker *w)
{
    const char *p = (const char *)w->text.data;
    for (size_t i = 0; i < w->count; i++) {
        w->names[i].p = p;
        p += w->names[i].len + 1;
    }
    if (w->count > 1)
        qsort(w->names, w->count, sizeof *w->names, compare_names);
}

/* ---- exclusion by name */

static void drop(struct scan_worker *w, struct scan_name *name, const char *why)
{
    name->flags |= SCAN_NAME_DROP;
    report_excluded(w, name, why);
}

static void mark_target_parents(struct scan_worker *w, const struct scan_dir *dir)
{
    for (size_t i = 0; dir->target != NULL && i < w->count; i++) {
        const struct target *t = target_child(dir->target, w->names[i].p, w->names[i].len);
        if (t != NULL && t->count > 0)
            w->names[i].flags |= SCAN_NAME_PARENT;
    }
}

/* What lies on the way to a given path is never excluded. */
static bool may_drop(const struct scan_name *name)
{
    return (name->flags & (SCAN_NAME_DROP | SCAN_NAME_PARENT)) == 0;
}

static void drop_by_tags(struct scan_worker *w, const struct scan_dir *dir, int fd)
{
    for (size_t t = 0; t < w->rules->tag_count; t++) {
        const struct scan_tag *tag = &w->rules->tags[t];
        if (dir->whole && scan_find_name(w->names, w->count, tag->name, tag->name_len) == NULL)
            continue;
        if (!scan_tag_is_valid(tag, fd))
            continue;
        for (size_t i = 0; i < w->count; i++)
            if (may_drop(&w->names[i]) && strcmp(w->names[i].p, tag->name) != 0)
                drop(w, &w->names[i], "a file beside it marks the directory as excluded");
    }
}

static void drop_by_patterns(struct scan_worker *w)
{
    const struct filter *exclude = w->rules->options->exclude;
    if (exclude == NULL || filter_is_empty(exclude) || w->count == 0)
        return;
    filter_dir_enter(&w->filter, exclude, dir_path(w));
    for (size_t i = 0; i < w->count; i++)
        if (may_drop(&w->names[i]) && filter_dir_match(&w->filter, w->names[i].p, w->names[i].len))
            drop(w, &w->names[i], "pattern");
}

static void drop_siblings(struct scan_worker *w, const struct scan_dir *dir, int fd)
{
    if (w->rules->options->ignore_sqlite)
        return;
    if (!dir->whole)
        scan_siblings_of_targets(w->names, w->count, fd);
    else if (scan_siblings(w->names, w->count, fd))
        for (size_t i = 0; i < w->count; i++)
            if (w->names[i].flags & SCAN_NAME_DROP)
                report_excluded(w, &w->names[i], "part of the SQLite database beside it");
}

/* ---- the record */

/* Copies the names that are left into one block. */
static void keep_names(struct scan_worker *w, struct scan_dir *dir)
{
    size_t count = 0, text_bytes = 0;
    for (size_t i = 0; i < w->count; i++) {
        if (w->names[i].flags & SCAN_NAME_DROP)
            continue;
        count++;
        text_bytes += w->names[i].len + 1u;
    }
    dir->name_count = count;
    dir->names_bytes = count * sizeof *dir->names + text_bytes;
    dir->names = mem_alloc(dir->names_bytes);
    char *text = (char *)(dir->names + count);
    struct scan_name *to = dir->names;
    for (size_t i = 0; i < w->count; i++) {
        if (w->names[i].flags & SCAN_NAME_DROP)
            continue;
        memcpy(text, w->names[i].p, w->names[i].len + 1u);
        *to = w->names[i];
        to->p = text;
        text += to->len + 1;
        to++;
    }
}

static void make_chunks(struct scan_dir *dir)
{
    dir->chunk_count = (dir->name_count + SCAN_CHUNK_ENTRIES - 1) / SCAN_CHUNK_ENTRIES;
    dir->chunks = dir->chunk_count <= 1 ? &dir->only : mem_zalloc(dir->chunk_count * sizeof *dir->chunks);
    for (size_t i = 0; i < dir->chunk_count; i++) {
        struct scan_chunk *c = &dir->chunks[i];
        size_t left = dir->name_count - i * SCAN_CHUNK_ENTRIES;
        c->unit.dir = dir;
        c->unit.chunk = c;
        c->first = i * SCAN_CHUNK_ENTRIES;
        c->count = left < SCAN_CHUNK_ENTRIES ? left : SCAN_CHUNK_ENTRIES;
    }
}

static int open_dir(struct scan_worker *w, const struct scan_dir *dir)
{
    int flags = O_DIRECTORY | (dir->follow ? 0 : O_NOFOLLOW);
    return dir->whole ? os_open_noatime(dir_path(w), flags | O_RDONLY) : os_open(dir_path(w), flags | O_PATH);
}

/* One too big to keep is not kept for the directories that follow. */
static void clear_names(struct scan_worker *w)
{
    w->count = 0;
    buf_clear(&w->text);
    buf_shrink(&w->text, KEEP_BYTES);
    if (w->cap * sizeof *w->names > KEEP_BYTES) {
        free(w->names);
        w->names = NULL;
        w->cap = 0;
    }
}

static void stat_chunk(struct scan_worker *w, struct scan_chunk *chunk, int fd);

static void list_open(struct scan_worker *w, struct scan_dir *dir, int fd)
{
    if (dir->whole) {
        int errnum = read_names(w, fd);
        if (errnum == ENOENT) { /* it was removed after it was opened */
            dir->failed = true;
            return;
        }
        if (errnum != 0)
            report_unreadable(w, dir_path(w), errnum, "read all of the directory");
    } else {
        take_target_names(w, dir->target);
    }
    sort_names(w);
    mark_target_parents(w, dir);
    drop_siblings(w, dir, fd);
    drop_by_tags(w, dir, fd);
    drop_by_patterns(w);
    keep_names(w, dir);
    make_chunks(dir);
    if (dir->chunk_count == 1) {
        stat_chunk(w, &dir->chunks[0], fd);
        dir->chunks[0].unit.state = SCAN_DONE;
    }
}

void scan_work_list(struct scan_worker *w, struct scan_dir *dir)
{
    if (dir->closed)
        return;
    make_path(w, dir);
    int fd = open_dir(w, dir);
    if (fd < 0) {
        dir->failed = true;
        if (errno != ENOENT) /* vanished is no error */
            report_unreadable(w, dir_path(w), errno, "open the directory");
        return;
    }
    list_open(w, dir, fd);
    close(fd);
    clear_names(w);
}

/* ---- metadata */

static void keep_stat(struct scan_entry *e, const struct stat *st)
{
    bool device = S_ISBLK(st->st_mode) || S_ISCHR(st->st_mode);
    *e = (struct scan_entry){
        .inode = st->st_ino,
        .device_id = st->st_dev,
        .size = device ? st->st_rdev : (uint64_t)st->st_size,
        .mtime_s = st->st_mtim.tv_sec,
        .ctime_s = st->st_ctim.tv_sec,
        .atime_s = st->st_atim.tv_sec,
        .mtime_ns = (uint32_t)st->st_mtim.tv_nsec,
        .ctime_ns = (uint32_t)st->st_ctim.tv_nsec,
        .atime_ns = (uint32_t)st->st_atim.tv_nsec,
        .mode = st->st_mode,
        .uid = st->st_uid,
        .gid = st->st_gid,
        .links = st->st_nlink > UINT32_MAX ? UINT32_MAX : (uint32_t)st->st_nlink,
    };
}

static bool is_foreign(const struct scan_worker *w, const struct scan_dir *dir, const struct target *t,
                       const struct stat *st)
{
    return w->rules->options->one_file_system && dir->whole && t == NULL && st->st_dev != dir->device_id;
}

/* Is it left out for what it is? A socket is no data, and gone without a word. */
static bool is_excluded_by_stat(struct scan_worker *w, const struct scan_dir *dir, const struct target *t,
                                const struct scan_name *name, const struct stat *st)
{
    uint64_t limit = w->rules->options->exclude_larger_than;
    if (S_ISSOCK(st->st_mode))
        return true;
    if (S_ISDIR(st->st_mode))
        return false;
    if (limit > 0 && (uint64_t)st->st_size > limit) {
        report_excluded(w, name, "larger than the limit");
        return true;
    }
    if (is_foreign(w, dir, t, st)) {
        report_excluded(w, name, "on another file system");
        return true;
    }
    return false;
}

static void stat_name(struct scan_worker *w, const struct scan_dir *dir, int fd, const struct scan_name *name,
                      struct scan_entry *e)
{
    struct stat st;
    int flags = AT_NO_AUTOMOUNT | (name->flags & SCAN_NAME_PARENT ? 0 : AT_SYMLINK_NOFOLLOW);
    e->mode = 0;
    if (fstatat(fd, name->p, &st, flags) != 0) {
        if (errno != ENOENT)
            report_unreadable(w, path_of(w, name), errno, "stat");
        return;
    }
    const struct target *t = target_child(dir->target, name->p, name->len);
    if (!is_excluded_by_stat(w, dir, t, name, &st))
        keep_stat(e, &st);
}

static void make_child(const struct scan_worker *w, struct scan_dir *dir, const struct scan_name *name,
                       const struct scan_entry *e, struct scan_dir *child)
{
    struct stat st = {.st_dev = e->device_id};
    const struct target *t = target_child(dir->target, name->p, name->len);
    child->unit.dir = child;
    child->parent = dir;
    child->name = name->p;
    child->name_len = name->len;
    child->target = t;
    child->whole = dir->whole || (t != NULL && t->given);
    child->follow = (name->flags & SCAN_NAME_PARENT) != 0;
    child->device_id = t != NULL && t->given ? e->device_id : dir->device_id;
    if (is_foreign(w, dir, t, &st)) {
        child->closed = true;
        child->unit.state = SCAN_DONE;
    }
}

static void make_children(const struct scan_worker *w, struct scan_chunk *chunk)
{
    struct scan_dir *dir = chunk->unit.dir;
    size_t count = 0;
    for (size_t i = 0; i < chunk->count; i++)
        count += S_ISDIR(chunk->entries[i].mode);
    chunk->children = count > 0 ? mem_zalloc(count * sizeof *chunk->children) : NULL;
    for (size_t i = 0; i < chunk->count; i++) {
        struct scan_entry *e = &chunk->entries[i];
        if (!S_ISDIR(e->mode))
            continue;
        e->child = (uint32_t)chunk->child_count;
        make_child(w, dir, &dir->names[chunk->first + i], e, &chunk->children[chunk->child_count++]);
    }
    chunk->bytes = chunk->count * sizeof *chunk->entries + count * sizeof *chunk->children;
}

/* fd: the directory. w's path is that directory's. */
static void stat_chunk(struct scan_worker *w, struct scan_chunk *chunk, int fd)
{
    struct scan_dir *dir = chunk->unit.dir;
    chunk->entries = mem_array(NULL, chunk->count, sizeof *chunk->entries);
    for (size_t i = 0; i < chunk->count; i++)
        stat_name(w, dir, fd, &dir->names[chunk->first + i], &chunk->entries[i]);
    make_children(w, chunk);
}

void scan_work_stat(struct scan_worker *w, struct scan_chunk *chunk)
{
    struct scan_dir *dir = chunk->unit.dir;
    make_path(w, dir);
    int fd = os_open(dir_path(w), O_PATH | O_DIRECTORY | (dir->follow ? 0 : O_NOFOLLOW));
    if (fd < 0) {
        if (errno != ENOENT)
            report_unreadable(w, dir_path(w), errno, "open the directory");
        chunk->count = 0;
        return;
    }
    stat_chunk(w, chunk, fd);
    close(fd);
}
