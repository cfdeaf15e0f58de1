#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "cli/snapshot_text.h"
#include "os/file.h"

/* One of the lists is enough. */
static bool tags_match(const struct strlist *lists, const struct snapshot *s)
{
    bool match = lists->count == 0;
    for (size_t i = 0; i < lists->count && !match; i++) {
        struct strlist tags = {0};
        snapshot_split_tags(lists->items[i], &tags);
        match = tags.count == 0 ? s->tags.count == 0 : snapshot_has_tags(s, &tags);
        strlist_release(&tags);
    }
    return match;
}

static bool path_matches(const char *path, const struct snapshot *s)
{
    char *absolute = os_path_absolute(path);
    bool match = snapshot_has_path(s, absolute != NULL ? absolute : path);
    free(absolute);
    return match;
}

bool cli_snapshot_matches(const struct cli_snapshot_filter *f, const struct snapshot *s)
{
    if (f->hosts.count > 0 && (s->hostname == NULL || !strlist_contains(&f->hosts, s->hostname)))
        return false;
    for (size_t i = 0; i < f->paths.count; i++)
        if (!path_matches(f->paths.items[i], s))
            return false;
    return tags_match(&f->tags, s);
}

bool cli_snapshot_match(void *ctx, const struct snapshot *s)
{
    return cli_snapshot_matches(ctx, s);
}

/* The newest match, moved out of the list. */
static int find_latest(struct cli *cli, struct repo *r, const struct cli_snapshot_filter *filter, struct snapshot *out,
                       struct err *err)
{
    struct snapshot_list list = {0};
    struct strlist broken = {0};
    if (repo_load_snapshots(r, &list, &broken, err) < 0) {
        strlist_release(&broken);
        return -1;
    }
    for (size_t i = 0; i < broken.count; i++)
        cli_warn(cli, "%s", broken.items[i]);
    strlist_release(&broken);
    size_t i = list.count;
    while (i > 0 && filter != NULL && !cli_snapshot_matches(filter, &list.items[i - 1]))
        i--;
    int rc = 0;
    if (i > 0) {
        *out = list.items[i - 1];
        snapshot_init(&list.items[i - 1]);
    } else {
        rc = err_set(err, ERR_NOT_FOUND,
                     list.count == 0 ? "there is no snapshot in the repository yet"
                                     : "no snapshot matches --host, --tag and --path");
    }
    snapshot_list_release(&list);
    return rc;
}

static int no_path_here(const char *spec, struct err *err)
{
    return err_set(err, ERR_USAGE, "'%s': a path within a snapshot cannot be given here", spec);
}

int cli_find_snapshot(struct cli *cli, struct repo *r, const char *spec, const struct cli_snapshot_filter *filter,
                      struct snapshot *out, const char **subpath, struct err *err)
{
    const char *colon = strchr(spec, ':');
    char *name = colon != NULL ? mem_strndup(spec, (size_t)(colon - spec)) : mem_strdup(spec);
    if (subpath != NULL)
        *subpath = colon != NULL ? colon + 1 : NULL;
    int rc;
    struct id id;
    if (colon != NULL && subpath == NULL)
        rc = no_path_here(spec, err);
    else if (strcmp(name, "latest") == 0)
        rc = find_latest(cli, r, filter, out, err);
    else if ((rc = repo_find_id(r, STORE_SNAPSHOT, name, &id, err)) == 0)
        rc = repo_load_snapshot(r, &id, out, err);
    free(name);
    return rc;
}

int cli_find_snapshot_ids(struct cli *cli, struct repo *r, const struct cli_snapshot_filter *filter, int argc,
                          char **argv, struct id **out, struct err *err)
{
    int rc = 0;
    struct id *ids = argc > 0 ? mem_array(NULL, (size_t)argc, sizeof *ids) : NULL;
    for (int i = 0; i < argc && rc == 0; i++) {
        struct snapshot s;
        if (strchr(argv[i], ':') != NULL) {
            rc = no_path_here(argv[i], err);
        } else if (strcmp(argv[i], "latest") != 0) {
            rc = repo_find_id(r, STORE_SNAPSHOT, argv[i], &ids[i], err);
        } else if ((rc = find_latest(cli, r, filter, &s, err)) == 0) {
            ids[i] = s.id;
            snapshot_release(&s);
        }
    }
    if (rc != 0) {
        free(ids);
        ids = NULL;
    }
    *out = ids;
    return rc;
}
