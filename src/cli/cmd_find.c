/* Searching snapshots for files by name and time, or by the blobs, trees and packs that they need. */
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/node_text.h"
#include "engine/find.h"
#include "os/clock.h"

struct find_args {
    struct cli_snapshot_filter filter;
    struct strlist snapshots;
    const char *oldest, *newest;
    bool ignore_case, long_format, human, reverse;
    bool blob, tree, pack, show_pack;
};

static const struct option OPTIONS[] = {
    {.name = "ignore-case",
     .short_name = 'i',
     .kind = OPTION_FLAG,
     .offset = offsetof(struct find_args, ignore_case),
     .help = "whatever the case of letters"},
    {.name = "iname", .kind = OPTION_FLAG, .offset = offsetof(struct find_args, ignore_case)},
    {.name = "oldest",
     .short_name = 'O',
     .kind = OPTION_STRING,
     .offset = offsetof(struct find_args, oldest),
     .metavar = "TIME",
     .help = "only what was modified then or later ('2026-01-31', '2026-01-31 14:05:00')"},
    {.name = "newest",
     .short_name = 'N',
     .kind = OPTION_STRING,
     .offset = offsetof(struct find_args, newest),
     .metavar = "TIME",
     .help = "only what was modified then or earlier"},
    {.name = "long",
     .short_name = 'l',
     .kind = OPTION_FLAG,
     .offset = offsetof(struct find_args, long_format),
     .help = "mode, owner, size and time too"},
    {.name = "human-readable",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct find_args, human),
     .help = "sizes like 1.2 MB"},
    {.name = "reverse",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct find_args, reverse),
     .help = "newest snapshots first"},
    {.name = "snapshot",
     .short_name = 's',
     .kind = OPTION_LIST,
     .offset = offsetof(struct find_args, snapshots),
     .metavar = "ID",
     .group = "Which snapshots",
     .help = "search in this one; again for more"},
    CLI_SNAPSHOT_FILTER_OPTIONS(struct find_args, filter),
    {.name = "blob",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct find_args, blob),
     .group = "Looking for stored objects",
     .help = "arguments are IDs of blobs, or their beginnings: name the files that need them"},
    {.name = "tree",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct find_args, tree),
     .help = "arguments are IDs of trees: name the directories"},
    {.name = "pack",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct find_args, pack),
     .help = "arguments are IDs of packs: name what needs something in them"},
    {.name = "show-pack-id",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct find_args, show_pack),
     .help = "with these: the pack that holds the object"},
    OPTION_END,
};

struct search {
    struct cli *cli;
    struct repo *repo;
    const struct find_args *args;
    const struct snapshot *snapshot; /* the one being searched */
    uint64_t hits, all_hits;         /* in it; in all */
    uint64_t snapshots_with_hits;
    json_t *matches; /* JSON by name: of this snapshot */
    bool first;      /* JSON: no comma yet */
};

static bool by_object(const struct find_args *a)
{
    return a->blob || a->tree || a->pack;
}

/* --- hits --- */

static void json_element(struct search *s, json_t *element)
{
    char *text = json_dumps(element, JSON_COMPACT);
    if (text != NULL)
        printf("%s%s", s->first ? "" : ",", text);
    s->first = false;
    free(text);
    json_decref(element);
}

static void set_text(json_t *to, const char *key, const char *value)
{
    if (value != NULL)
        json_object_set_new(to, key, cli_json_string(value, strlen(value)));
}

/* An entry without its name, content and sub-tree. */
static json_t *match_json(const struct node *n, const char *path)
{
    char mode[NODE_PERMISSIONS_BYTES];
    json_t *m = json_pack("{s:o, s:s, s:s, s:I, s:o, s:o, s:o, s:I, s:I}", "path", cli_json_string(path, strlen(path)),
                          "permissions", node_permissions(n->mode, mode), "type", node_type_name(n->type), "mode",
                          (json_int_t)n->mode, "mtime", cli_json_time(&n->mtime), "atime", cli_json_time(&n->atime),
                          "ctime", cli_json_time(&n->ctime), "uid", (json_int_t)n->uid, "gid", (json_int_t)n->gid);
    set_text(m, "user", n->user);
    set_text(m, "group", n->group);
    if (n->inode != 0)
        json_object_set_new(m, "inode", json_integer((json_int_t)n->inode));
    if (n->device_id != 0)
        json_object_set_new(m, "device_id", json_integer((json_int_t)n->device_id));
    if (n->size != 0)
        json_object_set_new(m, "size", json_integer((json_int_t)n->size));
    if (n->links != 0)
        json_object_set_new(m, "links", json_integer((json_int_t)n->links));
    if (n->type == NODE_SYMLINK)
        json_object_set_new(m, "linktarget", cli_json_string(n->link_target, n->link_target_len));
    return m;
}

static json_t *object_json(struct search *s, const struct find_hit *hit)
{
    json_t *m = json_pack("{s:s, s:o, s:o}", "object_type", hit->object_type == BLOB_TREE ? "tree" : "blob", "id",
                          cli_json_id(hit->object), "path", cli_json_string(hit->path, strlen(hit->path)));
    if (hit->parent_tree != NULL)
        json_object_set_new(m, "parent_tree", cli_json_id(hit->parent_tree));
    struct id pack;
    if (s->args->show_pack && find_pack_of(s->repo, hit->object_type, hit->object, &pack))
        json_object_set_new(m, "pack", cli_json_id(&pack));
    json_object_set_new(m, "snapshot", cli_json_id(&s->snapshot->id));
    json_object_set_new(m, "time", cli_json_time(&s->snapshot->time));
    return m;
}

static void print_object(struct search *s, const struct find_hit *hit)
{
    char hex[ID_HEX_BYTES], when[OS_TIME_BYTES];
    size_t cap = strlen(hit->path) * 10 + 1;
    char *path = mem_alloc(cap);
    cli_printable(hit->path, path, cap);
    cli_print(s->cli, "Found %s %s", hit->object_type == BLOB_TREE ? "tree" : "blob", id_to_hex(hit->object, hex));
    cli_print(s->cli, hit->object_type == BLOB_TREE ? " ... path %s" : " ... in file %s", path);
    if (hit->object_type == BLOB_DATA)
        cli_print(s->cli, "     (tree %s)", id_to_hex(hit->parent_tree, hex));
    cli_print(s->cli, " ... in snapshot %.8s (%s)", id_to_hex(&s->snapshot->id, hex),
              os_time_format_human(&s->snapshot->time, when));
    struct id pack;
    if (s->args->show_pack && find_pack_of(s->repo, hit->object_type, hit->object, &pack))
        cli_print(s->cli, " ... in pack %s", id_to_hex(&pack, hex));
    free(path);
}

static int on_hit(void *ctx, const struct find_hit *hit, struct err *err)
{
    struct search *s = ctx;
    (void)err;
    s->hits++;
    if (hit->object != NULL) {
        if (s->cli->json)
            json_element(s, object_json(s, hit));
        else
            print_object(s, hit);
        return 0;
    }
    if (s->cli->json) {
        json_array_append_new(s->matches, match_json(hit->node, hit->path));
        return 0;
    }
    if (s->hits == 1) {
        char id[ID_SHORT_CHARS + 1], when[OS_TIME_BYTES];
        cli_print(s->cli, "%sFound matching entries in snapshot %s from %s", s->all_hits > 0 ? "\n" : "",
                  id_to_short(&s->snapshot->id, id), os_time_format_human(&s->snapshot->time, when));
    }
    node_print(s->cli, hit->node, hit->path, s->args->long_format, s->args->human);
    return 0;
}

/* --- snapshots --- */

static int search_snapshot(struct search *s, struct find *f, const struct snapshot *snapshot, struct err *err)
{
    s->snapshot = snapshot;
    s->hits = 0;
    bool grouped = s->cli->json && !by_object(s->args);
    s->matches = grouped ? json_array() : NULL;
    int rc = find_run(f, &snapshot->tree, on_hit, s, err);
    if (grouped && rc == 0 && s->hits > 0)
        json_element(s, json_pack("{s:O, s:I, s:o}", "matches", s->matches, "hits", (json_int_t)s->hits, "snapshot",
                                  cli_json_id(&snapshot->id)));
    json_decref(s->matches);
    s->all_hits += s->hits;
    s->snapshots_with_hits += s->hits > 0;
    return rc;
}

static int search_named(struct search *s, struct find *f, struct err *err)
{
    const struct strlist *names = &s->args->snapshots;
    int rc = 0;
    for (size_t i = 0; i < names->count && rc == 0; i++) {
        struct snapshot snapshot;
        if (cli_find_snapshot(s->cli, s->repo, names->items[i], &s->args->filter, &snapshot, NULL, err) < 0)
            return -1;
        rc = search_snapshot(s, f, &snapshot, err);
        snapshot_release(&snapshot);
    }
    return rc;
}

static int search_all(struct search *s, struct find *f, struct err *err)
{
    struct snapshot_list list;
    if (repo_load_snapshots(s->repo, &list, NULL, err) < 0)
        return -1;
    int rc = 0;
    for (size_t i = 0; i < list.count && rc == 0; i++) {
        const struct snapshot *snapshot = &list.items[s->args->reverse ? list.count - 1 - i : i];
        if (cli_snapshot_matches(&s->args->filter, snapshot))
            rc = search_snapshot(s, f, snapshot, err);
    }
    snapshot_list_release(&list);
    return rc;
}

static int search(struct search *s, const struct find_options *options, struct err *err)
{
    struct find *f;
    if (find_new(&f, s->repo, options, err) < 0)
        return -1;
    s->first = true;
    if (s->cli->json)
        putchar('[');
    int rc = s->args->snapshots.count > 0 ? search_named(s, f, err) : search_all(s, f, err);
    if (s->cli->json)
        puts("]");
    fflush(stdout);
    find_free(f);
    return rc;
}

/* --- arguments --- */

static int check_args(const struct find_args *a, int argc, struct err *err)
{
    if (argc < 1)
        return err_set(err, ERR_USAGE, "no pattern given");
    if (a->blob + a->tree + a->pack > 1)
        return err_set(err, ERR_USAGE, "--blob, --tree and --pack cannot be used together");
    return 0;
}

static int make_patterns(const struct find_args *a, const struct strlist *words, struct filter *patterns,
                         bool *have_slash, struct err *err)
{
    for (size_t i = 0; i < words->count; i++) {
        *have_slash |= strchr(words->items[i], '/') != NULL;
        if (filter_add(patterns, words->items[i], a->ignore_case, err) < 0)
            return -1;
    }
    return 0;
}

static int run_find(struct cli *cli, void *options, int argc, char **argv)
{
    struct err err = {0};
    const struct find_args *a = options;
    struct strlist words = {0};
    struct timespec oldest, newest;
    struct filter *patterns = filter_new();
    struct find_options o = {.oldest = a->oldest != NULL ? &oldest : NULL,
                             .newest = a->newest != NULL ? &newest : NULL};
    struct search s = {.cli = cli, .args = a};
    struct lock *lock = NULL;
    for (int i = 0; i < argc; i++)
        strlist_add(&words, argv[i]);
    int rc = check_args(a, argc, &err);
    if (rc == 0 && a->oldest != NULL)
        rc = node_parse_time("oldest", a->oldest, &oldest, &err);
    if (rc == 0 && a->newest != NULL)
        rc = node_parse_time("newest", a->newest, &newest, &err);
    if (rc == 0 && !by_object(a)) {
        o.patterns = patterns;
        rc = make_patterns(a, &words, patterns, &o.patterns_have_slash, &err);
    }
    o.blobs = a->blob ? &words : NULL;
    o.trees = a->tree ? &words : NULL;
    o.packs = a->pack ? &words : NULL;
    if (rc == 0)
        rc = cli_open_locked(cli, CLI_LOCK_SHARED, true, &s.repo, &lock, &err);
    if (rc == 0) {
        rc = search(&s, &o, &err);
        lock_release(lock);
        repo_free(s.repo);
    }
    if (rc == 0 && s.all_hits == 0)
        cli_note(cli, "nothing found");
    filter_free(patterns);
    strlist_release(&words);
    return rc < 0 ? cli_fail(cli, &err) : 0;
}

static const struct command_example EXAMPLES[] = {
    {"clawback find 'openclaw.json'", "every snapshot that has such a file, and where"},
    {"clawback find -l --oldest 2026-01-01 '*.sqlite'", "databases modified this year"},
    {"clawback find --pack 025c1d06", "what a damaged pack touches"},
    {NULL, NULL},
};

const struct command cmd_find = {
    .name = "find",
    .arguments = "PATTERN…",
    .summary = "Search snapshots for files",
    .description =
        "Names what matches a pattern (shell wildcards; with a leading '/' from the root, otherwise at any depth) in "
        "each snapshot. What is in a matching directory matches too.",
    .options = OPTIONS,
    .options_bytes = sizeof(struct find_args),
    .examples = EXAMPLES,
    .group = "Looking",
    .run = run_find,
};
