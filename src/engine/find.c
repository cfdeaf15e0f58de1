#include "engine/find.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "engine/id_map.h"

struct find {
    struct repo *repo;
    const struct find_options *options;
    struct id_map wanted[2]; /* by blob type: whole IDs */
    struct id_map barren;    /* trees with nothing in them; only where that does not depend on their path */
    find_fn *fn;
    void *ctx;
};

/* Hits at and below a directory are counted in its `user` field; one that could not be read to its end counts as having
 * some. */
static void count_hit(struct walk_dir *dir)
{
    dir->user = (void *)((uintptr_t)dir->user + 1);
}

/* --- what is wanted --- */

static bool is_hex(const char *s)
{
    size_t len = strlen(s);
    return len >= 1 && len <= ID_HEX_CHARS && strspn(s, "0123456789abcdef") == len;
}

static int check_prefixes(const struct strlist *list, struct err *err)
{
    for (size_t i = 0; list != NULL && i < list->count; i++)
        if (!is_hex(list->items[i]))
            return err_set(err, ERR_USAGE, "'%s' is no ID, nor the beginning of one", list->items[i]);
    return 0;
}

static bool has_prefix(const struct id *id, const char *prefix)
{
    static const char HEX[] = "0123456789abcdef";
    for (size_t i = 0; prefix[i] != '\0'; i++) {
        unsigned byte = id->bytes[i / 2];
        if (HEX[i % 2 == 0 ? byte >> 4 : byte & 15] != prefix[i])
            return false;
    }
    return true;
}

static bool matches_any(const struct strlist *prefixes, const struct id *id)
{
    for (size_t i = 0; prefixes != NULL && i < prefixes->count; i++)
        if (has_prefix(id, prefixes->items[i]))
            return true;
    return false;
}

/* Resolves beginnings of IDs and packs against the index, once, into whole IDs. Whole IDs are taken as they are: what
 * looks for a lost blob looks for one that no index knows. */
static int resolve(struct find *f, struct err *err)
{
    const struct find_options *o = f->options;
    const struct strlist *lists[2] = {[BLOB_DATA] = o->blobs, [BLOB_TREE] = o->trees};
    bool pack_found = false;
    for (int type = 0; type < 2; type++) {
        for (size_t i = 0; lists[type] != NULL && i < lists[type]->count; i++) {
            struct id id;
            if (id_from_hex(lists[type]->items[i], strlen(lists[type]->items[i]), &id) == 0)
                id_map_put(&f->wanted[type], &id, 0);
        }
    }
    const struct index *ix = f->repo->index;
    for (size_t i = 0; i < index_loaded_count(ix); i++) {
        const struct index_entry *e = index_loaded(ix, i);
        bool in_pack = o->packs != NULL && matches_any(o->packs, index_pack_id(ix, index_entry_pack(e)));
        pack_found |= in_pack;
        if (in_pack || matches_any(lists[index_entry_type(e)], &e->id))
            id_map_put(&f->wanted[index_entry_type(e)], &e->id, 0);
    }
    if (o->packs != NULL && o->packs->count > 0 && !pack_found)
        return err_set(err, ERR_NOT_FOUND, "no index knows such a pack");
    return 0;
}

int find_new(struct find **out, struct repo *r, const struct find_options *options, struct err *err)
{
    if (check_prefixes(options->blobs, err) < 0 || check_prefixes(options->trees, err) < 0 ||
        check_prefixes(options->packs, err) < 0)
        return -1;
    struct find *f = mem_zalloc(sizeof *f);
    f->repo = r;
    f->options = options;
    if (options->patterns == NULL && resolve(f, err) < 0) {
        find_free(f);
        return -1;
    }
    *out = f;
    return 0;
}

void find_free(struct find *f)
{
    if (f == NULL)
        return;
    id_map_release(&f->wanted[0]);
    id_map_release(&f->wanted[1]);
    id_map_release(&f->barren);
    free(f);
}

/* --- one entry --- */

static bool before(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}

static bool in_time(const struct find_options *o, const struct node *n)
{
    return (o->oldest == NULL || !before(&n->mtime, o->oldest)) && (o->newest == NULL || !before(o->newest, &n->mtime));
}

static int hit_object(struct find *f, struct walk_dir *dir, const struct node *n, const char *path, enum blob_type type,
                      const struct id *object, struct err *err)
{
    if (!id_map_get(&f->wanted[type], object, NULL))
        return 0;
    count_hit(dir);
    struct find_hit hit = {.node = n, .path = path, .parent_tree = dir->id, .object_type = type, .object = object};
    return f->fn(f->ctx, &hit, err);
}

static int hit_objects(struct find *f, struct walk_dir *dir, const struct node *n, const char *path, struct err *err)
{
    if (n->type == NODE_DIR && n->has_subtree)
        return hit_object(f, dir, n, path, BLOB_TREE, &n->subtree, err);
    for (size_t i = 0; i < n->content_count && f->wanted[BLOB_DATA].count > 0; i++)
        if (hit_object(f, dir, n, path, BLOB_DATA, &n->content[i], err) < 0)
            return -1;
    return 0;
}

static int visit_entry(void *ctx, struct walk_dir *dir, const struct node *n, const char *path, struct err *err)
{
    struct find *f = ctx;
    bool matches = false;
    if (f->options->patterns == NULL) {
        if (hit_objects(f, dir, n, path, err) < 0)
            return -1;
    } else {
        matches = filter_match(f->options->patterns, path);
        if (matches && in_time(f->options, n)) {
            count_hit(dir);
            struct find_hit hit = {.node = n, .path = path, .parent_tree = dir->id};
            if (f->fn(f->ctx, &hit, err) < 0)
                return -1;
        }
    }
    if (n->type != NODE_DIR || !n->has_subtree)
        return WALK_GO;
    /* Below a match all is a match, whatever is known of the tree elsewhere. */
    if (!matches && id_map_get(&f->barren, &n->subtree, NULL))
        return WALK_PRUNE;
    if (f->options->patterns != NULL && !matches && !filter_may_match_below(f->options->patterns, path))
        return WALK_PRUNE;
    return WALK_GO;
}

static int visit_leave(void *ctx, struct walk_dir *dir, const char *path, bool failed, struct err *err)
{
    struct find *f = ctx;
    (void)path;
    (void)err;
    bool lasting = f->options->patterns == NULL || !f->options->patterns_have_slash;
    if (dir->user != NULL || failed) {
        if (dir->parent != NULL)
            count_hit(dir->parent);
    } else if (lasting && dir->parent != NULL) {
        id_map_put(&f->barren, dir->id, 0);
    }
    return 0;
}

int find_run(struct find *f, const struct id *root, find_fn *fn, void *ctx, struct err *err)
{
    f->fn = fn;
    f->ctx = ctx;
    if (f->options->patterns == NULL && id_map_get(&f->wanted[BLOB_TREE], root, NULL)) {
        struct find_hit hit = {.path = "/", .object_type = BLOB_TREE, .object = root};
        if (fn(ctx, &hit, err) < 0)
            return -1;
    }
    struct walk_visitor visitor = {.ctx = f, .entry = visit_entry, .leave = visit_leave};
    return walk_run(f->repo, root, walk_prefetch_threads(f->repo), &visitor, err);
}

bool find_pack_of(const struct repo *r, enum blob_type type, const struct id *object, struct id *out)
{
    struct index_entry entry;
    return index_find(r->index, type, object, &entry, out);
}
