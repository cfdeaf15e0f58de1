/* Listing the files and directories of a snapshot. */
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/node_text.h"
#include "cli/snapshot_text.h"
#include "engine/listing.h"
#include "os/clock.h"

enum sort_key { SORT_NAME, SORT_SIZE, SORT_MTIME, SORT_ATIME, SORT_CTIME, SORT_EXTENSION };
static const char *const SORT_CHOICES[] = {"name", "size", "mtime", "atime", "ctime", "extension", NULL};

struct ls_options {
    struct cli_snapshot_filter filter;
    bool long_format, recursive, human, reverse, sorted;
    int sort;
};

static const struct option OPTIONS[] = {
    {.name = "long",
     .short_name = 'l',
     .kind = OPTION_FLAG,
     .offset = offsetof(struct ls_options, long_format),
     .help = "mode, owner, size and time too"},
    {.name = "human-readable",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct ls_options, human),
     .help = "sizes like 1.2 MB"},
    {.name = "recursive",
     .short_name = 'R',
     .kind = OPTION_FLAG,
     .offset = offsetof(struct ls_options, recursive),
     .help = "everything below the given directories, not only what is directly in them"},
    {.name = "sort",
     .short_name = 's',
     .kind = OPTION_CHOICE,
     .offset = offsetof(struct ls_options, sort),
     .set_offset = offsetof(struct ls_options, sorted),
     .choices = SORT_CHOICES,
     .metavar = "KEY",
     .help = "in another order; the largest and the newest come first"},
    {.name = "reverse",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct ls_options, reverse),
     .help = "the other way round"},
    CLI_SNAPSHOT_FILTER_OPTIONS(struct ls_options, filter),
    OPTION_END,
};

/* An entry that is kept to be sorted. */
struct row {
    struct node node;
    char *path;
};

struct ls {
    struct cli *cli;
    const struct ls_options *options;
    struct arena arena;
    struct row *rows;
    size_t count, cap;
};

static void print(struct ls *l, const struct node *n, const char *path)
{
    if (l->cli->json)
        node_print_json(node_json(n, path));
    else
        node_print(l->cli, n, path, l->options->long_format, l->options->human);
}

static int on_entry(void *ctx, const struct node *n, const char *path, struct err *err)
{
    struct ls *l = ctx;
    (void)err;
    if (!l->options->sorted && !l->options->reverse) {
        print(l, n, path);
        return 0;
    }
    if (l->count == l->cap) {
        l->cap = l->cap * 2 + 256;
        l->rows = mem_array(l->rows, l->cap, sizeof *l->rows);
    }
    struct node copy = *n; /* what is shown of it needs no more than this */
    copy.xattrs = NULL;
    copy.xattr_count = 0;
    copy.content = NULL;
    copy.content_count = 0;
    node_copy(&l->rows[l->count].node, &copy, &l->arena);
    l->rows[l->count++].path = arena_strndup(&l->arena, path, strlen(path));
    return 0;
}

static int newest_first(const struct timespec *a, const struct timespec *b)
{
    if (a->tv_sec != b->tv_sec)
        return a->tv_sec > b->tv_sec ? -1 : 1;
    return (a->tv_nsec < b->tv_nsec) - (a->tv_nsec > b->tv_nsec);
}

static const char *extension(const struct node *n)
{
    const char *dot = strrchr(n->name, '.');
    return dot != NULL ? dot : "";
}

static int compare_rows(const void *a, const void *b, void *key)
{
    const struct row *x = a, *y = b;
    int order = 0;
    switch (*(const enum sort_key *)key) {
    case SORT_SIZE:
        order = (x->node.size < y->node.size) - (x->node.size > y->node.size);
        break;
    case SORT_MTIME:
        order = newest_first(&x->node.mtime, &y->node.mtime);
        break;
    case SORT_ATIME:
        order = newest_first(&x->node.atime, &y->node.atime);
        break;
    case SORT_CTIME:
        order = newest_first(&x->node.ctime, &y->node.ctime);
        break;
    case SORT_EXTENSION:
        order = strcmp(extension(&x->node), extension(&y->node));
        break;
    case SORT_NAME:
        break;
    }
    return order != 0 ? order : strcmp(x->path, y->path);
}

static void print_sorted(struct ls *l)
{
    enum sort_key key = (enum sort_key)l->options->sort;
    if (l->count > 0)
        qsort_r(l->rows, l->count, sizeof *l->rows, compare_rows, &key);
    for (size_t i = 0; i < l->count; i++) {
        const struct row *row = &l->rows[l->options->reverse ? l->count - 1 - i : i];
        print(l, &row->node, row->path);
    }
}

static void print_heading(struct cli *cli, const struct snapshot *s, const struct strlist *dirs)
{
    if (cli->json) {
        json_t *line = snapshot_json(s);
        json_object_set_new(line, "message_type", json_string("snapshot"));
        json_object_set_new(line, "struct_type", json_string("snapshot"));
        node_print_json(line);
        return;
    }
    char id[ID_SHORT_CHARS + 1], when[OS_TIME_BYTES];
    cli_note(cli, "snapshot %s of %s%s at %s%s", id_to_short(&s->id, id), s->paths.count > 0 ? s->paths.items[0] : "",
             s->paths.count > 1 ? " and others" : "", os_time_format_human(&s->time, when),
             dirs->count > 0 ? ", certain directories:" : ":");
}

static int list(struct cli *cli, struct repo *repo, const struct ls_options *o, int argc, char **argv, struct err *err)
{
    struct snapshot s;
    const char *subpath;
    if (cli_find_snapshot(cli, repo, argv[0], &o->filter, &s, &subpath, err) < 0)
        return -1;
    struct id root = s.tree;
    struct strlist dirs = {0};
    for (int i = 1; i < argc; i++)
        strlist_add(&dirs, argv[i]);
    struct ls l = {.cli = cli, .options = o};
    arena_init(&l.arena);
    struct listing_options listing = {.dirs = &dirs, .recursive = o->recursive};
    int rc = subpath != NULL ? walk_find_dir(repo, &s.tree, subpath, &root, err) : 0;
    if (rc == 0) {
        print_heading(cli, &s, &dirs);
        rc = listing_run(repo, &root, &listing, on_entry, &l, err);
    }
    if (rc == 0)
        print_sorted(&l);
    fflush(stdout);
    arena_release(&l.arena);
    free(l.rows);
    strlist_release(&dirs);
    snapshot_release(&s);
    return rc;
}

static int run_ls(struct cli *cli, void *options, int argc, char **argv)
{
    struct err err = {0};
    struct repo *repo;
    struct lock *lock;
    if (argc < 1) {
        err_set(&err, ERR_USAGE, "no snapshot given: an ID, or 'latest'");
        return cli_fail(cli, &err);
    }
    if (cli_open_locked(cli, CLI_LOCK_SHARED, true, &repo, &lock, &err) < 0)
        return cli_fail(cli, &err);
    int rc = list(cli, repo, options, argc, argv, &err);
    lock_release(lock);
    repo_free(repo);
    return rc < 0 ? cli_fail(cli, &err) : 0;
}

static const struct command_example EXAMPLES[] = {
    {"clawback ls latest", "everything in the newest snapshot"},
    {"clawback ls -l latest /root/.openclaw", "what is directly in one directory"},
    {"clawback ls latest:/root/.openclaw --long --sort size", "the largest first, paths from there on"},
    {NULL, NULL},
};

const struct command cmd_ls = {
    .name = "ls",
    .arguments = "SNAPSHOT[:PATH] [DIRECTORY…]",
    .summary = "List what is in a snapshot",
    .description =
        "Lists every entry of a snapshot, or, when directories are given, these and what is directly in them.",
    .options = OPTIONS,
    .options_bytes = sizeof(struct ls_options),
    .examples = EXAMPLES,
    .group = "Looking",
    .run = run_ls,
};
