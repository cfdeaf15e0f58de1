#include "engine/listing.h"

#include "os/file.h"

struct listing {
    const struct listing_options *options;
    listing_fn *fn;
    void *ctx;
};

static bool is_listed(const struct listing_options *o, const char *path)
{
    for (size_t i = 0; i < o->dirs->count; i++)
        if (os_path_is_below(path, o->dirs->items[i]))
            return true;
    return false;
}

static bool leads_to_listed(const struct listing_options *o, const char *path)
{
    for (size_t i = 0; i < o->dirs->count; i++)
        if (os_path_is_below(o->dirs->items[i], path))
            return true;
    return false;
}

static int visit_entry(void *ctx, struct walk_dir *dir, const struct node *n, const char *path, struct err *err)
{
    struct listing *l = ctx;
    (void)dir;
    bool all = l->options->dirs == NULL || l->options->dirs->count == 0;
    bool listed = all || is_listed(l->options, path);
    if (listed && l->fn(l->ctx, n, path, err) < 0)
        return -1;
    return all || (listed && l->options->recursive) || leads_to_listed(l->options, path) ? WALK_GO : WALK_PRUNE;
}

int listing_run(struct repo *r, const struct id *root, const struct listing_options *options, listing_fn *fn, void *ctx,
                struct err *err)
{
    for (size_t i = 0; options->dirs != NULL && i < options->dirs->count; i++)
        if (options->dirs->items[i][0] != '/')
            return err_set(err, ERR_USAGE, "'%s' is no absolute path within the snapshot", options->dirs->items[i]);
    struct listing l = {.options = options, .fn = fn, .ctx = ctx};
    struct walk_visitor visitor = {.ctx = &l, .entry = visit_entry};
    return walk_run(r, root, walk_prefetch_threads(r), &visitor, err);
}
