#include "source/git.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/mem.h"
#include "os/file.h"
#include "source/git_collect.h"

enum { STATE_ATTEMPTS = 3, LINES_MAX_BYTES = 1 << 30 };

struct git_source {
    struct source source;
    struct git_place place; /* until it is pushed */
    uint64_t timeout_ms;
    struct git_capture capture;
    struct content_env env;
    struct virtual_tree *tree;
};

/* ---- pushing into the sink */

/* A partial clone lacks objects by design. git would fetch them one by one while it packs, if it were let. */
static int check_complete(const struct git_capture *c, struct err *err)
{
    static const char *const partial[] = {"config", "--get-regexp",
                                          "^(extensions\\.partialclone|remote\\..*\\.promisor)$", NULL};
    static const char *const missing[] = {"rev-list", "--objects", "--all", "--missing=print", NULL};
    struct git_call call = git_capture_call(c);
    struct buf b;
    buf_init(&b, LINES_MAX_BYTES);
    int rc = 0;
    if (git_output(&call, partial, &b, NULL) == 0 && b.len > 0) {
        buf_clear(&b);
        rc = git_output(&call, missing, &b, err);
        const char *text = buf_cstr(&b);
        if (rc == 0 && (text[0] == '?' || strstr(text, "\n?") != NULL))
            rc =
                err_set(err, ERR_UNSUPPORTED,
                        "it is a partial clone, which lacks objects that only its remote has; fetch them all with 'git "
                        "fetch --refetch --no-filter'");
    }
    buf_release(&b);
    return rc;
}

/* What leads to objects can be moved about while it is looked at. */
static int take_state(struct git_state *s, struct git_capture *c, struct err *err)
{
    struct err reason = {0};
    int rc = -1;
    for (int i = 0; rc != 0 && i < STATE_ATTEMPTS && reason.code != ERR_TIMEOUT && reason.code != ERR_INTERRUPTED; i++)
        rc = git_state_take(s, c, &reason);
    if (rc != 0 && err != NULL)
        *err = reason;
    return rc;
}

static int collect(struct git_source *g, const struct sink_reporter *reporter, struct err *err)
{
    struct git_capture *c = &g->capture;
    struct git_state state = {0};
    int rc = check_complete(c, err);
    if (rc == 0)
        rc = git_files_collect_trees(g->tree, c, reporter, err);
    if (rc == 0)
        rc = take_state(&state, c, err);
    if (rc == 0)
        rc = git_files_collect(g->tree, c, &state, reporter, err);
    if (rc == 0 && state.tips.count > 0) {
        uint64_t fingerprint;
        memcpy(&fingerprint, &state.fingerprint, sizeof fingerprint);
        struct sink_content bundle = git_bundle_content(c, &state);
        virtual_tree_add_known(g->tree, "repository.bundle", fingerprint, &bundle);
    }
    git_state_release(&state);
    return rc;
}

static int git_push_source(struct source *s, struct sink *sink, const struct sink_reporter *reporter, struct err *err)
{
    struct git_source *g = (struct git_source *)s;
    struct stat like;
    char *config = os_path_join(g->place.common_dir, "config");
    int rc = stat(config, &like) == 0 || stat(g->place.common_dir, &like) == 0
                 ? 0
                 : err_errno(err, errno, "cannot look at '%s'", g->place.common_dir);
    free(config);
    if (rc != 0)
        return -1;
    g->env = (struct content_env){.reporter = reporter, .owners = os_owners_new()};
    g->tree = virtual_tree_new_at(s->paths.items[0], &like, &g->env);
    if (git_capture_open(&g->capture, &g->place, g->timeout_ms, err) != 0)
        return err_wrap(err, "cannot store the repository '%s'", s->paths.items[0] + strlen("/git"));
    struct err reason = {0};
    rc = collect(g, reporter, &reason);
    if (rc != 0)
        return git_explain(&g->capture, &reason, err);
    return virtual_tree_push(g->tree, sink, err);
}

static void git_free_source(struct source *s)
{
    struct git_source *g = (struct git_source *)s;
    virtual_tree_free(g->tree);
    git_capture_release(&g->capture);
    git_place_release(&g->place);
    os_owners_free(g->env.owners);
    free(g);
}

int git_source_new(struct source **out, const struct git_options *options, struct err *err)
{
    static const struct source_ops ops = {.push = git_push_source, .free = git_free_source};
    struct git_place place;
    *out = NULL;
    if (git_place_open(&place, options->path, err) != 0)
        return -1;
    struct git_source *g = mem_zalloc(sizeof *g);
    g->source = (struct source){.ops = &ops, .strict = true};
    g->place = place;
    g->timeout_ms = options->timeout_ms;
    char *name = mem_printf("/git%s", options->path);
    strlist_add(&g->source.paths, name);
    free(name);
    *out = &g->source;
    return 0;
}
