/* Showing what changed from one snapshot to another. */
#include <stdlib.h>
#include <string.h>
#include "base/bytes.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/node_text.h"
#include "engine/diff.h"
#include "engine/walk.h"

struct diff_args {
    struct cli_snapshot_filter filter;
    bool metadata;
};

static const struct option OPTIONS[] = {
    {.name = "metadata",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct diff_args, metadata),
     .help = "show changes of metadata (mode, owner, times …) too"},
    CLI_SNAPSHOT_FILTER_OPTIONS(struct diff_args, filter),
    OPTION_END,
};

static const char *modifier(unsigned change, char out[8])
{
    static const struct {
        unsigned bit;
        char letter;
    } LETTERS[] = {{DIFF_ADDED, '+'},   {DIFF_REMOVED, '-'}, {DIFF_TYPE, 'T'},
                   {DIFF_CONTENT, 'M'}, {DIFF_BITROT, '?'},  {DIFF_METADATA, 'U'}};
    size_t n = 0;
    for (size_t i = 0; i < sizeof LETTERS / sizeof *LETTERS; i++)
        if (change & LETTERS[i].bit)
            out[n++] = LETTERS[i].letter;
    out[n] = '\0';
    return out;
}

static int on_change(void *ctx, unsigned change, const char *path, struct err *err)
{
    struct cli *cli = ctx;
    char letters[8];
    (void)err;
    modifier(change, letters);
    if (cli->json) {
        node_print_json(json_pack("{s:s, s:o, s:s}", "message_type", "change", "path",
                                  cli_json_string(path, strlen(path)), "modifier", letters));
        return 0;
    }
    size_t cap = strlen(path) * 10 + 1;
    char *shown = mem_alloc(cap);
    cli_print(cli, "%-5s%s", letters, cli_printable(path, shown, cap));
    free(shown);
    return 0;
}

static json_t *side_json(const struct diff_side *s)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "files", (json_int_t)s->files, "dirs", (json_int_t)s->dirs,
                     "others", (json_int_t)s->others, "data_blobs", (json_int_t)s->data_blobs, "tree_blobs",
                     (json_int_t)s->tree_blobs, "bytes", (json_int_t)s->bytes);
}

/* from, to: as they were given, as restic does it. */
static void print_stats(struct cli *cli, const char *from, const char *to, const struct diff_stats *d)
{
    if (cli->json) {
        cli_json(cli, json_pack("{s:s, s:o, s:o, s:I, s:o, s:o}", "message_type", "statistics", "source_snapshot",
                                cli_json_string(from, strlen(from)), "target_snapshot", cli_json_string(to, strlen(to)),
                                "changed_files", (json_int_t)d->changed_files, "added", side_json(&d->added), "removed",
                                side_json(&d->removed)));
        return;
    }
    const struct diff_side *a = &d->added, *r = &d->removed;
    char bytes[24];
    typedef unsigned long long ull;
    cli_print(cli, "\nFiles:       %5llu new, %5llu removed, %5llu changed", (ull)a->files, (ull)r->files,
              (ull)d->changed_files);
    cli_print(cli, "Dirs:        %5llu new, %5llu removed", (ull)a->dirs, (ull)r->dirs);
    cli_print(cli, "Others:      %5llu new, %5llu removed", (ull)a->others, (ull)r->others);
    cli_print(cli, "Data Blobs:  %5llu new, %5llu removed", (ull)a->data_blobs, (ull)r->data_blobs);
    cli_print(cli, "Tree Blobs:  %5llu new, %5llu removed", (ull)a->tree_blobs, (ull)r->tree_blobs);
    cli_print(cli, "  Added:   %s", bytes_text(a->bytes, bytes));
    cli_print(cli, "  Removed: %s", bytes_text(r->bytes, bytes));
}

/* One side: its snapshot's short ID and the tree to compare. */
static int find_side(struct cli *cli, struct repo *repo, const struct diff_args *args, const char *spec,
                     char id_out[ID_SHORT_CHARS + 1], struct id *tree_out, struct err *err)
{
    struct snapshot s;
    const char *subpath;
    if (cli_find_snapshot(cli, repo, spec, &args->filter, &s, &subpath, err) < 0)
        return -1;
    id_to_short(&s.id, id_out);
    *tree_out = s.tree;
    int rc = subpath != NULL ? walk_find_dir(repo, &s.tree, subpath, tree_out, err) : 0;
    snapshot_release(&s);
    return rc;
}

static int compare(struct cli *cli, struct repo *repo, const struct diff_args *args, char **argv, struct err *err)
{
    char from[ID_SHORT_CHARS + 1], to[ID_SHORT_CHARS + 1];
    struct id from_tree, to_tree;
    if (find_side(cli, repo, args, argv[0], from, &from_tree, err) < 0 ||
        find_side(cli, repo, args, argv[1], to, &to_tree, err) < 0)
        return -1;
    cli_note(cli, "comparing snapshot %s to %s:\n", from, to);
    struct diff_options options = {.metadata = args->metadata, .change = on_change, .ctx = cli};
    struct diff_stats stats;
    int rc = diff_run(repo, &from_tree, &to_tree, &options, &stats, err);
    if (rc == 0)
        print_stats(cli, argv[0], argv[1], &stats);
    fflush(stdout);
    return rc;
}

static int run_diff(struct cli *cli, void *options, int argc, char **argv)
{
    struct err err = {0};
    struct repo *repo;
    struct lock *lock;
    if (argc != 2) {
        err_set(&err, ERR_USAGE, "two snapshots are needed, %d given", argc);
        return cli_fail(cli, &err);
    }
    if (cli_open_locked(cli, CLI_LOCK_SHARED, true, &repo, &lock, &err) < 0)
        return cli_fail(cli, &err);
    int rc = compare(cli, repo, options, argv, &err);
    lock_release(lock);
    repo_free(repo);
    return rc < 0 ? cli_fail(cli, &err) : 0;
}

static const struct command_example EXAMPLES[] = {
    {"clawback diff 4d5e6f70 latest", "what changed since then"},
    {"clawback diff --metadata 4d5e6f70:/root latest:/root", "in one directory, metadata too"},
    {NULL, NULL},
};

const struct command cmd_diff = {
    .name = "diff",
    .arguments = "SNAPSHOT[:PATH] SNAPSHOT[:PATH]",
    .summary = "Show what changed between two snapshots",
    .description = "The first characters of each line tell what happened:\n\n"
                   "  +  it was added\n"
                   "  -  it was removed\n"
                   "  M  a file's content was modified\n"
                   "  T  it is of another type now\n"
                   "  U  its metadata was updated (with --metadata)\n"
                   "  ?  after M: content changed, metadata did not: a failing disk?",
    .options = OPTIONS,
    .options_bytes = sizeof(struct diff_args),
    .examples = EXAMPLES,
    .group = "Looking",
    .run = run_diff,
};
