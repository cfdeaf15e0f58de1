#include "sink/repo_sink.h"

#include <pthread.h>
#include <stdlib.h>
#include "base/mem.h"
#include "os/clock.h"
#include "os/memory.h"
#include "repo/tree_ahead.h"
#include "sink/file_store.h"

/*
 * A frame is an open directory. Invariants, under the sink's mutex:
 *  1. frame->pending counts its files in the file store and its subdirectories whose trees are not stored yet, and is
 * one higher until dir_end: whoever brings it to 0 encodes and stores the directory's tree.
 *  2. A node's content and subtree are written before it leaves the list of those that wait, and read after.
 *  3. frame->same stays true only while every entry equals the parent snapshot's: then so does the tree, and nothing
 * needs to be encoded.
 *  4. `waiting` lists, in order, the entries that `pending` counts. What lies before the first of them is settled: in a
 * large directory that is no longer the same it is encoded, and freed, while the walk goes on. Until dir_end that is
 * the pushing thread's affair, and batches and `json` are its alone.
 */

/* Some of a directory's entries, in order. */
struct batch {
    struct batch *next;
    const struct node **nodes; /* of the parent snapshot's tree where they are equal, else in `arena` */
    size_t count, cap;
    struct arena arena;    /* the pushing thread's */
    struct arena contents; /* blob lists, made by workers */
};
enum { BATCH_ENTRIES = 4096, DISCARD_BYTES = 1 << 20 };

/* An entry that has no content, or no subtree, yet. */
struct waiting {
    struct waiting *previous, *next;
    size_t index; /* in the directory */
};

struct frame {
    struct frame *up;
    struct frame *previous, *next; /* all frames that live */
    struct node *dir;              /* in a batch of up's; NULL for the root */
    struct waiting at;             /* its place there */
    struct batch *first, *last;
    size_t count, encoded; /* entries; of which so many are in json, and freed */
    struct buf json;
    struct waiting *waiting, *waiting_last;
    size_t pending;
    const struct node *was; /* the directory's node in the parent snapshot; NULL: new */
    struct ahead_tree *ahead;
    const struct tree *old; /* the parent snapshot's tree; NULL: none */
    size_t cursor;          /* into old->nodes: names come in order on both sides */
    size_t old_done;        /* of its nodes so many are not looked at any more, and their memory is given back */
    bool same;
    uint64_t began_ns;
};

struct repo_sink {
    struct sink base;
    struct repo *repo;
    struct writer *writer;
    struct repo_sink_options options;
    const struct sink_reporter *reporter;
    struct backup_progress *progress;
    struct tree_ahead *ahead;
    struct file_store *files;
    struct frame *top;    /* the open directory */
    struct frame *frames; /* all that live */
    struct codec *codec;  /* the pushing thread's */
    pthread_mutex_t mutex;
    struct snapshot_summary summary;
    struct id root;
    bool root_stored;
    uint64_t pushed_files, pushed_bytes; /* the pushing thread's */
};

enum { AHEAD_BUDGET_BYTES = 8 << 20 };

static int file_done(void *ctx, struct file_task *task, enum file_outcome outcome, struct codec *codec,
                     struct err *err);
static const struct sink_ops OPS;

static struct frame *frame_new(struct repo_sink *s, struct frame *up, struct node *dir)
{
    struct frame *f = mem_zalloc(sizeof *f);
    f->up = up;
    f->dir = dir;
    f->pending = 1;
    f->began_ns = os_monotonic_ns();
    buf_init(&f->json, TREE_MAX_BYTES);
    pthread_mutex_lock(&s->mutex);
    f->next = s->frames;
    if (s->frames != NULL)
        s->frames->previous = f;
    s->frames = f;
    pthread_mutex_unlock(&s->mutex);
    return f;
}

/* The parent snapshot's tree is a help, not a need: one that cannot be loaded makes everything below look new. */
static void frame_load_old(struct repo_sink *s, struct frame *f, struct ahead_tree *at)
{
    f->ahead = at;
    if (at != NULL && ahead_tree_get(s->ahead, at, &f->old, NULL) != 0)
        f->old = NULL;
    f->same = f->old != NULL;
}

/* Frees the first batch of a directory. */
static void drop_batch(struct frame *f)
{
    struct batch *b = f->first;
    f->first = b->next;
    if (f->first == NULL)
        f->last = NULL;
    arena_release(&b->arena);
    arena_release(&b->contents);
    free(b->nodes);
    free(b);
}

static void frame_free(struct repo_sink *s, struct frame *f)
{
    pthread_mutex_lock(&s->mutex);
    if (f->previous != NULL)
        f->previous->next = f->next;
    else
        s->frames = f->next;
    if (f->next != NULL)
        f->next->previous = f->previous;
    pthread_mutex_unlock(&s->mutex);
    if (f->ahead != NULL)
        ahead_tree_done(s->ahead, f->ahead);
    while (f->first != NULL)
        drop_batch(f);
    buf_release(&f->json);
    free(f);
}

struct repo_sink *repo_sink_new(struct repo *r, struct writer *w, const struct repo_sink_options *options,
                                const struct sink_reporter *reporter, struct backup_progress *progress, struct err *err)
{
    struct repo_sink *s = mem_zalloc(sizeof *s);
    s->base.ops = &OPS;
    s->repo = r;
    s->writer = w;
    s->options = *options;
    s->reporter = reporter;
    s->progress = progress;
    pthread_mutex_init(&s->mutex, NULL);
    s->top = frame_new(s, NULL, NULL);
    s->codec = codec_new(r, err);
    if (s->codec == NULL)
        goto fail;
    if (options->parent_tree != NULL) {
        s->ahead = tree_ahead_new(r, r->options.threads, AHEAD_BUDGET_BYTES, err);
        if (s->ahead == NULL)
            goto fail;
        frame_load_old(s, s->top, tree_ahead_root(s->ahead, options->parent_tree));
    }
    s->files = file_store_new(r, w, reporter, progress, file_done, s, err);
    if (s->files == NULL)
        goto fail;
    return s;
fail:
    repo_sink_free(s);
    return NULL;
}

struct sink *repo_sink_base(struct repo_sink *s)
{
    return &s->base;
}

/*
 * Telling who listens.
 */

enum { ITEM_PATH_BYTES = 64 << 20 };

/* The names of the directories down to and including this one, each with a slash behind it. */
static void append_path(const struct frame *f, struct buf *out)
{
    const struct frame **chain = NULL;
    size_t depth = 0;
    for (const struct frame *up = f; up->dir != NULL; up = up->up)
        depth++;
    chain = mem_array(NULL, depth + 1, sizeof *chain);
    for (size_t i = depth; i > 0; i--, f = f->up)
        chain[i - 1] = f;
    buf_append_byte(out, '/');
    for (size_t i = 0; i < depth; i++) {
        buf_append(out, chain[i]->dir->name, chain[i]->dir->name_len);
        buf_append_byte(out, '/');
    }
    free(chain);
}

/* A file's name, or NULL for the directory itself. */
static void tell(struct repo_sink *s, const struct frame *f, const struct node *file, struct backup_item *item)
{
    const struct backup_listener *l = s->progress->listener;
    struct buf path;
    if (l == NULL)
        return;
    buf_init(&path, ITEM_PATH_BYTES);
    append_path(f, &path);
    if (file != NULL)
        buf_append(&path, file->name, file->name_len);
    item->path = buf_cstr(&path);
    l->item(l->ctx, item);
    buf_release(&path);
}

/*
 * Finishing directories.
 */

/* Nodes of the old tree before `n`, one of its own, have been passed. */
static void drop_old(struct frame *f, const struct node *n)
{
    size_t done = (size_t)(n - f->old->nodes);
    if ((done - f->old_done) * sizeof *n < DISCARD_BYTES)
        return;
    os_memory_discard(&f->old->nodes[f->old_done], (done - f->old_done) * sizeof *n);
    f->old_done = done;
}

static bool is_old(const struct frame *f, const struct node *n)
{
    return f->old != NULL && n >= f->old->nodes && n < f->old->nodes + f->old->count;
}

/* Encodes the first batch, and frees it. */
static void encode_batch(struct frame *f)
{
    const struct batch *b = f->first;
    for (size_t i = 0; i < b->count; i++) {
        if (is_old(f, b->nodes[i]))
            drop_old(f, b->nodes[i]);
        if (b->nodes[i]->type == NODE_TYPE_COUNT) /* dropped */
            continue;
        bool first = f->json.len == 0;
        if (first)
            tree_encode_begin(&f->json);
        tree_encode_node(&f->json, b->nodes[i], first);
    }
    f->encoded += b->count;
    drop_batch(f);
}

static int store_tree(struct repo_sink *s, struct frame *f, struct codec *codec, struct id *id_out,
                      struct backup_item *item, struct err *err)
{
    struct writer_put put = {0};
    struct buf *json = &f->json;
    while (f->first != NULL)
        encode_batch(f);
    if (json->len == 0)
        tree_encode_begin(json);
    tree_encode_end(json);
    int rc = json->overflow
                 ? err_set(err, ERR_UNSUPPORTED, "a directory with %zu entries is more than a tree can hold", f->count)
                 : writer_blob(s->writer, codec, BLOB_TREE, json->data, json->len, id_out, &put, err);
    item->tree_bytes = put.is_new ? json->len : 0;
    item->tree_stored_bytes = put.stored_bytes;
    return rc;
}

static void count_dir(struct repo_sink *s, const struct frame *f, const struct id *id, struct backup_item *item)
{
    bool unchanged =
        f->was != NULL && f->was->has_subtree && id_equal(&f->was->subtree, id) && node_metadata_equal(f->was, f->dir);
    item->action = f->was == NULL ? BACKUP_NEW : unchanged ? BACKUP_UNCHANGED : BACKUP_MODIFIED;
    item->duration_ns = unchanged ? 0 : os_monotonic_ns() - f->began_ns;
    pthread_mutex_lock(&s->mutex);
    *(f->was == NULL ? &s->summary.dirs_new : unchanged ? &s->summary.dirs_unmodified : &s->summary.dirs_changed) += 1;
    pthread_mutex_unlock(&s->mutex);
    atomic_fetch_add_explicit(&s->progress->dirs_done, 1, memory_order_relaxed);
    tell(s, f, NULL, item);
}

/* The two of them with the mutex held. */
static void wait_for(struct frame *f, struct waiting *w, size_t index)
{
    *w = (struct waiting){.previous = f->waiting_last, .index = index};
    *(f->waiting_last != NULL ? &f->waiting_last->next : &f->waiting) = w;
    f->waiting_last = w;
    f->pending++;
}

static void has_come(struct frame *f, const struct waiting *w)
{
    *(w->previous != NULL ? &w->previous->next : &f->waiting) = w->next;
    *(w->next != NULL ? &w->next->previous : &f->waiting_last) = w->previous;
}

/* Lowers the count of what a frame waits for; true when nothing is left. */
static bool frame_settled(struct repo_sink *s, struct frame *f)
{
    pthread_mutex_lock(&s->mutex);
    bool settled = --f->pending == 0;
    pthread_mutex_unlock(&s->mutex);
    return settled;
}

/* Stores the trees of frames that have become complete: this one, then perhaps the one above, and so on. */
static int complete_frames(struct repo_sink *s, struct frame *f, struct codec *codec, struct err *err)
{
    while (frame_settled(s, f)) {
        struct id id;
        struct frame *up = f->up;
        struct backup_item item = {0};
        if (f->same && f->old != NULL && f->count == f->old->count && f->ahead != NULL)
            id = *ahead_tree_id(f->ahead);
        else if (store_tree(s, f, codec, &id, &item, err) != 0)
            return -1;
        if (up == NULL) {
            s->root = id;
            s->root_stored = true;
            return 0; /* repo_sink_free frees the root */
        }
        count_dir(s, f, &id, &item);
        f->dir->subtree = id;
        f->dir->has_subtree = true;
        pthread_mutex_lock(&s->mutex);
        if (f->was == NULL || !f->was->has_subtree || !id_equal(&f->was->subtree, &id))
            up->same = false;
        has_come(up, &f->at);
        pthread_mutex_unlock(&s->mutex);
        frame_free(s, f);
        f = up;
    }
    return 0;
}

/*
 * Pushing.
 */

/* The parent snapshot's node of that name in the open directory, or NULL. */
static const struct node *old_node(struct frame *f, const char *name, size_t len)
{
    while (f->old != NULL && f->cursor < f->old->count) {
        const struct node *n = &f->old->nodes[f->cursor];
        size_t common = n->name_len < len ? n->name_len : len;
        int c = memcmp(n->name, name, common);
        if (c == 0)
            c = n->name_len < len ? -1 : n->name_len > len;
        if (c == 0)
            return n;
        if (c > 0)
            break;
        f->cursor++;
    }
    return NULL;
}

/* Encodes what is settled. Only what has changed: else there may be nothing to encode at all. */
static void encode_settled(struct repo_sink *s, struct frame *f)
{
    pthread_mutex_lock(&s->mutex);
    size_t settled = f->same ? 0 : f->waiting != NULL ? f->waiting->index : f->count;
    pthread_mutex_unlock(&s->mutex);
    while (f->first != f->last && f->encoded + f->first->count <= settled)
        encode_batch(f);
}

/* Room for one more entry. */
static struct batch *frame_room(struct repo_sink *s, struct frame *f)
{
    struct batch *b = f->last;
    if (b == NULL || b->count == BATCH_ENTRIES) {
        b = mem_zalloc(sizeof *b);
        arena_init(&b->arena);
        arena_init(&b->contents);
        *(f->last != NULL ? &f->last->next : &f->first) = b;
        f->last = b;
        encode_settled(s, f);
    }
    if (b->count == b->cap) {
        b->cap = b->cap == 0 ? 16 : b->cap * 2;
        b->nodes = mem_array(b->nodes, b->cap, sizeof *b->nodes);
    }
    return b;
}

static struct node *frame_append(struct repo_sink *s, struct frame *f, const struct node *node)
{
    struct batch *b = frame_room(s, f);
    struct node *copy = arena_alloc(&b->arena, sizeof *copy);
    node_copy(copy, node, &b->arena);
    copy->raw = NULL;
    b->nodes[b->count++] = copy;
    f->count++;
    return copy;
}

/* One of the parent snapshot's tree, which lives as long as the frame. */
static void frame_borrow(struct repo_sink *s, struct frame *f, const struct node *was)
{
    struct batch *b = frame_room(s, f);
    b->nodes[b->count++] = was;
    f->count++;
}

static void mark_different(struct repo_sink *s, struct frame *f)
{
    pthread_mutex_lock(&s->mutex);
    f->same = false;
    pthread_mutex_unlock(&s->mutex);
}

static int push_dir_begin(struct sink *base, const struct node *dir, struct err *err)
{
    struct repo_sink *s = (struct repo_sink *)base;
    struct frame *up = s->top;
    (void)err;
    const struct node *was = old_node(up, dir->name, dir->name_len);
    if (was != NULL && was->type != NODE_DIR)
        was = NULL;
    if (was == NULL || !node_metadata_equal(was, dir))
        mark_different(s, up);
    struct frame *f = frame_new(s, up, frame_append(s, up, dir));
    f->was = was;
    if (was != NULL)
        frame_load_old(s, f, ahead_tree_child(up->ahead, was));
    pthread_mutex_lock(&s->mutex);
    wait_for(up, &f->at, up->count - 1);
    pthread_mutex_unlock(&s->mutex);
    s->top = f;
    return 0;
}

static int push_dir_end(struct sink *base, struct err *err)
{
    struct repo_sink *s = (struct repo_sink *)base;
    struct frame *f = s->top;
    s->top = f->up;
    return complete_frames(s, f, s->codec, err);
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool looks_unchanged(const struct repo_sink *s, const struct node *was, const struct node *node,
                            const struct sink_content *content)
{
    if (was != NULL && content->by_fingerprint)
        return was->inode == node->inode;
    return was != NULL && was->type == NODE_FILE && was->size == node->size && same_time(&was->mtime, &node->mtime) &&
           (s->options.ignore_ctime || same_time(&was->ctime, &node->ctime)) &&
           (s->options.ignore_inode || was->inode == node->inode);
}

static bool has_all_blobs(const struct repo_sink *s, const struct node *was)
{
    for (size_t i = 0; i < was->content_count; i++)
        if (!index_known(s->repo->index, BLOB_DATA, &was->content[i]))
            return false;
    return true;
}

static void count_file(struct repo_sink *s, uint64_t *counter, uint64_t bytes)
{
    pthread_mutex_lock(&s->mutex);
    ++*counter;
    s->summary.total_files_processed++;
    s->summary.total_bytes_processed += bytes;
    pthread_mutex_unlock(&s->mutex);
    atomic_fetch_add_explicit(&s->progress->files_done, 1, memory_order_relaxed);
}

/* What a file in the file store needs when it comes back. */
struct pending_file {
    struct frame *frame;
    struct batch *batch;
    struct waiting at;
    const struct node *was;
};

static int submit_file(struct repo_sink *s, struct node *node, const struct node *was, const char *path,
                       struct sink_content *content, struct err *err)
{
    struct pending_file *p = mem_alloc(sizeof *p);
    *p = (struct pending_file){.frame = s->top, .batch = s->top->last, .was = was};
    struct file_task *t = mem_zalloc(sizeof *t);
    t->node = node;
    t->path = mem_strdup(path);
    t->content = *content;
    t->owner = p;
    pthread_mutex_lock(&s->mutex);
    wait_for(s->top, &p->at, s->top->count - 1);
    pthread_mutex_unlock(&s->mutex);
    if (file_store_submit(s->files, t, err) == 0)
        return 0;
    pthread_mutex_lock(&s->mutex);
    has_come(s->top, &p->at);
    pthread_mutex_unlock(&s->mutex);
    free(p); /* the frame is never complete: repo_sink_free frees it */
    return -1;
}

/* A file whose content is that of the parent snapshot, its metadata mostly, too. */
static void take_unchanged(struct repo_sink *s, struct frame *f, const struct node *was, const struct node *now)
{
    if (node_metadata_equal(was, now)) {
        frame_borrow(s, f, was);
        return;
    }
    mark_different(s, f);
    struct node *copy = frame_append(s, f, now);
    copy->content = was->content; /* lives as long as the frame keeps the old tree */
    copy->content_count = was->content_count;
}

static int push_file(struct repo_sink *s, const struct node *node, const char *path, struct sink_content *content,
                     struct err *err)
{
    struct frame *f = s->top;
    const struct node *was = old_node(f, node->name, node->name_len);
    if (was != NULL && was->type != NODE_FILE)
        was = NULL;
    s->pushed_files++;
    s->pushed_bytes += node->size;
    if (s->options.force || content->always || !looks_unchanged(s, was, node, content) || !has_all_blobs(s, was))
        return submit_file(s, frame_append(s, f, node), was, path, content, err);
    struct node now = *node;
    if (content->by_fingerprint) {
        now.size = was->size;
        now.mtime = was->mtime;
        now.atime = was->atime;
        now.ctime = was->ctime;
    }
    if (content->release != NULL)
        content->release(content->ctx);
    take_unchanged(s, f, was, &now);
    count_file(s, &s->summary.files_unmodified, now.size);
    atomic_fetch_add_explicit(&s->progress->bytes_done, now.size, memory_order_relaxed);
    tell(s, f, &now, &(struct backup_item){.action = BACKUP_UNCHANGED});
    return 0;
}

static int push_entry(struct sink *base, const struct node *node, const char *path, struct sink_content *content,
                      struct err *err)
{
    struct repo_sink *s = (struct repo_sink *)base;
    if (content != NULL)
        return push_file(s, node, path, content, err);
    const struct node *was = old_node(s->top, node->name, node->name_len);
    if (was != NULL && node_metadata_equal(was, node)) {
        frame_borrow(s, s->top, was);
        return 0;
    }
    mark_different(s, s->top);
    frame_append(s, s->top, node);
    return 0;
}

static const struct node *push_known(struct sink *base, const char *name, size_t name_len, const struct stat *st)
{
    struct repo_sink *s = (struct repo_sink *)base;
    const struct node *was = old_node(s->top, name, name_len);
    if (was == NULL || was->inode != st->st_ino || !same_time(&was->ctime, &st->st_ctim) ||
        !same_time(&was->mtime, &st->st_mtim) || (was->type == NODE_FILE && was->size != (uint64_t)st->st_size) ||
        was->type != node_type_from_stat(st->st_mode))
        return NULL;
    return was;
}

static const struct sink_ops OPS = {
    .dir_begin = push_dir_begin,
    .entry = push_entry,
    .dir_end = push_dir_end,
    .known = push_known,
};

/* On a worker: a file is through. */
static int file_done(void *ctx, struct file_task *task, enum file_outcome outcome, struct codec *codec, struct err *err)
{
    struct repo_sink *s = ctx;
    struct pending_file *p = task->owner;
    struct frame *f = p->frame;
    const struct node *was = p->was;
    struct node *node = task->node;
    if (outcome == FILE_DROPPED) {
        node->type = NODE_TYPE_COUNT;
        mark_different(s, f);
    } else {
        pthread_mutex_lock(&s->mutex);
        node->content = arena_copy(&p->batch->contents, task->ids, task->count * sizeof *task->ids);
        pthread_mutex_unlock(&s->mutex);
        node->content_count = task->count;
        bool same = was != NULL && was->content_count == node->content_count &&
                    (node->content_count == 0 ||
                     memcmp(was->content, node->content, node->content_count * sizeof(struct id)) == 0);
        if (!same || !node_metadata_equal(was, node))
            mark_different(s, f);
        count_file(s,
                   was == NULL ? &s->summary.files_new
                   : same      ? &s->summary.files_unmodified
                               : &s->summary.files_changed,
                   task->bytes);
        tell(s, f, node,
             &(struct backup_item){.action = was == NULL ? BACKUP_NEW
                                             : same      ? BACKUP_UNCHANGED
                                                         : BACKUP_MODIFIED,
                                   .duration_ns = os_monotonic_ns() - task->began_ns,
                                   .data_bytes = atomic_load(&task->new_bytes),
                                   .data_stored_bytes = atomic_load(&task->new_stored_bytes)});
    }
    pthread_mutex_lock(&s->mutex);
    has_come(f, &p->at);
    pthread_mutex_unlock(&s->mutex);
    free(p);
    return complete_frames(s, f, codec, err);
}

int repo_sink_finish(struct repo_sink *s, struct id *root_out, struct err *err)
{
    if (s->progress->listener != NULL)
        s->progress->listener->walked(s->progress->listener->ctx, s->pushed_files, s->pushed_bytes);
    if (complete_frames(s, s->top, s->codec, err) != 0)
        return -1;
    if (file_store_wait(s->files, err) != 0)
        return -1;
    if (!s->root_stored)
        return err_set(err, ERR_FAILED, "internal error: the root tree was not stored");
    *root_out = s->root;
    return 0;
}

void repo_sink_summary(const struct repo_sink *s, struct snapshot_summary *out)
{
    *out = s->summary;
}

void repo_sink_free(struct repo_sink *s)
{
    if (s == NULL)
        return;
    file_store_free(s->files);
    while (s->frames != NULL) /* newest first: no frame outlives the one above it */
        frame_free(s, s->frames);
    tree_ahead_free(s->ahead);
    codec_free(s->codec);
    pthread_mutex_destroy(&s->mutex);
    free(s);
}
