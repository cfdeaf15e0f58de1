#include "engine/stats.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "crypto/sha256.h"
#include "engine/id_map.h"
#include "sink/inode_paths.h"
#include "engine/usage.h"
#include "engine/walk.h"

struct stats {
    struct repo *repo;
    enum stats_mode mode;
    struct stats_progress *progress;
    struct stats_result *out;
    struct inode_paths inodes; /* of one snapshot */
    struct id_map seen;        /* hashes of what was counted already: contents, paths, paths with a blob */
    struct sha256 *sha;
};

/* --- by file --- */

static bool first_time(struct stats *s, const void *a, size_t a_len, const void *b, size_t b_len)
{
    struct id key;
    sha256_begin(s->sha);
    sha256_add(s->sha, a, a_len);
    sha256_add(s->sha, b, b_len);
    sha256_end(s->sha, &key);
    return id_map_put(&s->seen, &key, 0);
}

static bool is_new_content(struct stats *s, const struct node *n)
{
    return first_time(s, "content", 8, n->content_count > 0 ? n->content->bytes : (const void *)"",
                      n->content_count * ID_BYTES);
}

static int count_blobs_of_file(struct stats *s, const struct node *n, const char *path, struct err *err)
{
    size_t path_bytes = strlen(path) + 1;
    if (n->content_count > 0 && first_time(s, "path", 5, path, path_bytes))
        s->out->files++;
    for (size_t i = 0; i < n->content_count; i++) {
        if (!first_time(s, path, path_bytes, n->content[i].bytes, ID_BYTES))
            continue;
        struct index_entry e;
        char hex[ID_SHORT_CHARS + 1];
        if (!index_find(s->repo->index, BLOB_DATA, &n->content[i], &e, NULL))
            return err_set(err, ERR_NOT_FOUND, "blob %s of '%s' is in no index: the repository is damaged",
                           id_to_short(&n->content[i], hex), path);
        s->out->blobs++;
        s->out->bytes += e.raw_length != 0 ? e.raw_length : e.length - CIPHER_OVERHEAD_BYTES;
    }
    return 0;
}

static void count_restored(struct stats *s, const struct node *n)
{
    s->out->files++;
    char *first = n->type == NODE_DIR ? NULL : inode_paths_see(&s->inodes, n, "");
    if (first == NULL && n->type == NODE_FILE)
        s->out->bytes += n->size;
    free(first);
}

static int visit_entry(void *ctx, struct walk_dir *dir, const struct node *n, const char *path, struct err *err)
{
    struct stats *s = ctx;
    (void)dir;
    if (s->progress != NULL)
        atomic_fetch_add_explicit(&s->progress->entries, 1, memory_order_relaxed);
    switch (s->mode) {
    case STATS_FILES_BY_CONTENTS:
        /* What has no content counts as one empty file, whatever it is. */
        if (is_new_content(s, n)) {
            s->out->files++;
            s->out->bytes += n->type == NODE_FILE ? n->size : 0;
        }
        return 0;
    case STATS_BLOBS_PER_FILE:
        return is_new_content(s, n) ? count_blobs_of_file(s, n, path, err) : 0;
    default:
        count_restored(s, n);
        return 0;
    }
}

static int count_files(struct stats *s, const struct snapshot *const *snapshots, size_t count, struct err *err)
{
    int result = 0;
    s->sha = sha256_new();
    struct walk_visitor visitor = {.ctx = s, .entry = visit_entry};
    for (size_t i = 0; i < count && result == 0; i++) {
        result = walk_run(s->repo, &snapshots[i]->tree, walk_prefetch_threads(s->repo), &visitor, err);
        inode_paths_release(&s->inodes);
        s->out->snapshots++;
        if (s->progress != NULL)
            atomic_fetch_add(&s->progress->snapshots, 1);
    }
    id_map_release(&s->seen);
    sha256_free(s->sha);
    return result;
}

/* --- by blob --- */

static void count_stored(struct stats *s, const struct index_entry *e)
{
    uint64_t plain = e->raw_length != 0 ? (uint64_t)e->raw_length + CIPHER_OVERHEAD_BYTES : e->length;
    s->out->blobs++;
    s->out->bytes += e->length;
    s->out->plain_bytes += plain;
    if (e->raw_length != 0) {
        s->out->compressed_bytes += e->length;
        s->out->compressed_plain_bytes += plain;
    }
}

static int count_raw(struct stats *s, const struct snapshot *const *snapshots, size_t count, struct err *err)
{
    const struct index *ix = s->repo->index;
    struct bits used;
    bits_init(&used, index_loaded_count(ix));
    struct id *roots = mem_array(NULL, count + 1, sizeof *roots);
    for (size_t i = 0; i < count; i++)
        roots[i] = snapshots[i]->tree;
    int result = count > 0 ? usage_walk(s->repo, NULL, roots, count, &used, NULL, NULL, err) : 0;
    for (size_t i = 0; i < index_loaded_count(ix) && result == 0; i++)
        if (bits_get(&used, i))
            count_stored(s, index_loaded(ix, i));
    s->out->snapshots = count;
    bits_release(&used);
    free(roots);
    return result;
}

int stats_run(struct repo *r, const struct snapshot *const *snapshots, size_t count, enum stats_mode mode,
              struct stats_progress *progress, struct stats_result *out, struct err *err)
{
    *out = (struct stats_result){0};
    struct stats s = {.repo = r, .mode = mode, .progress = progress, .out = out};
    return mode == STATS_RAW_DATA ? count_raw(&s, snapshots, count, err) : count_files(&s, snapshots, count, err);
}
