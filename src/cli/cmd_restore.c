/* Restoring a snapshot, or a part of it, into a directory. */
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/restore_view.h"
#include "source/filter.h"

static const char *const OVERWRITE[] = {"always", "if-changed", "if-newer", "never", NULL};

struct restore_args {
    struct cli_snapshot_filter filter;
    const char *target;
    struct strlist include, iinclude, include_file, iinclude_file;
    struct strlist exclude, iexclude, exclude_file, iexclude_file;
    int overwrite;
    bool delete_extra, dry_run, verify, sparse;
};

static const struct option OPTIONS[] = {
    {.name = "target",
     .short_name = 't',
     .kind = OPTION_STRING,
     .offset = offsetof(struct restore_args, target),
     .metavar = "DIRECTORY",
     .group = "Where to",
     .help = "restore into this directory; '/' puts everything back where it was"},
    {.name = "overwrite",
     .kind = OPTION_CHOICE,
     .offset = offsetof(struct restore_args, overwrite),
     .choices = OVERWRITE,
     .metavar = "WHEN",
     .help = "which files that exist may be changed (the default is always)"},
    {.name = "delete",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct restore_args, delete_extra),
     .help = "remove what the snapshot lacks, in directories that it holds as a whole"},
    {.name = "include",
     .short_name = 'i',
     .kind = OPTION_LIST,
     .offset = offsetof(struct restore_args, include),
     .metavar = "PATTERN",
     .group = "What to restore",
     .help = "only what matches"},
    {.name = "iinclude",
     .kind = OPTION_LIST,
     .offset = offsetof(struct restore_args, iinclude),
     .metavar = "PATTERN",
     .help = "the same, whatever the case"},
    {.name = "include-file",
     .kind = OPTION_LIST,
     .offset = offsetof(struct restore_args, include_file),
     .metavar = "FILE",
     .help = "patterns from a file, one a line"},
    {.name = "iinclude-file",
     .kind = OPTION_LIST,
     .offset = offsetof(struct restore_args, iinclude_file),
     .metavar = "FILE",
     .help = "the same, whatever the case"},
    {.name = "exclude",
     .short_name = 'e',
     .kind = OPTION_LIST,
     .offset = offsetof(struct restore_args, exclude),
     .metavar = "PATTERN",
     .help = "all but what matches"},
    {.name = "iexclude",
     .kind = OPTION_LIST,
     .offset = offsetof(struct restore_args, iexclude),
     .metavar = "PATTERN",
     .help = "the same, whatever the case"},
    {.name = "exclude-file",
     .kind = OPTION_LIST,
     .offset = offsetof(struct restore_args, exclude_file),
     .metavar = "FILE",
     .help = "patterns from a file, one a line"},
    {.name = "iexclude-file",
     .kind = OPTION_LIST,
     .offset = offsetof(struct restore_args, iexclude_file),
     .metavar = "FILE",
     .help = "the same, whatever the case"},
    {.name = "dry-run",
     .short_name = 'n',
     .kind = OPTION_FLAG,
     .offset = offsetof(struct restore_args, dry_run),
     .group = "How",
     .help = "change nothing; name what would be restored or deleted"},
    {.name = "verify",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct restore_args, verify),
     .help = "afterwards read everything that was restored from the disk again, and compare"},
    {.name = "sparse",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct restore_args, sparse),
     .help = "make holes of long runs of zeros"},
    CLI_SNAPSHOT_FILTER_OPTIONS(struct restore_args, filter),
    OPTION_END,
};

static int add_patterns(struct filter *f, const struct strlist *patterns, const struct strlist *files, bool ignore_case,
                        struct err *err)
{
    for (size_t i = 0; i < patterns->count; i++)
        if (filter_add(f, patterns->items[i], ignore_case, err) < 0)
            return -1;
    for (size_t i = 0; i < files->count; i++)
        if (filter_add_file(f, files->items[i], ignore_case, err) < 0)
            return -1;
    return 0;
}

static int make_filters(const struct restore_args *a, struct filter *include, struct filter *exclude, struct err *err)
{
    if (add_patterns(include, &a->include, &a->include_file, false, err) < 0 ||
        add_patterns(include, &a->iinclude, &a->iinclude_file, true, err) < 0 ||
        add_patterns(exclude, &a->exclude, &a->exclude_file, false, err) < 0 ||
        add_patterns(exclude, &a->iexclude, &a->iexclude_file, true, err) < 0)
        return -1;
    return 0;
}

static bool has_includes(const struct restore_args *a)
{
    return a->include.count + a->iinclude.count + a->include_file.count + a->iinclude_file.count > 0;
}

static int check_args(const struct restore_args *a, int argc, struct err *err)
{
    if (argc != 1)
        return err_set(err, ERR_USAGE,
                       argc < 1 ? "no snapshot given: an ID, or 'latest'"
                                : "only one snapshot can be restored at once");
    if (a->target == NULL || *a->target == '\0')
        return err_set(err, ERR_USAGE,
                       "no --target given: a directory to restore into, or '/' for where everything was");
    if (a->dry_run && a->verify)
        return err_set(err, ERR_USAGE, "--dry-run and --verify cannot be used together");
    return 0;
}

static int restore(struct cli *cli, struct repo *repo, const char *spec, const struct restore_args *a,
                   struct restore_options *o, struct restore_view *v, struct err *err)
{
    struct snapshot s;
    struct restore_result result = {0};
    if (cli_find_snapshot(cli, repo, spec, &a->filter, &s, &o->subpath, err) < 0)
        return -1;
    char id[ID_SHORT_CHARS + 1];
    cli_note(cli, "%s snapshot %s to %s", a->dry_run ? "looking at what it takes to restore" : "restoring",
             id_to_short(&s.id, id), a->target);
    struct cli_progress *line = cli_progress_start_json(cli, restore_view_draw, restore_view_status, v);
    int rc = restore_run(repo, &s, o, &v->reporter, &v->progress, &result, err);
    cli_progress_stop(line);
    snapshot_release(&s);
    uint64_t errors = atomic_load(&v->progress.errors);
    if (rc == 0)
        restore_view_summary(v, a->target, &result);
    if (rc < 0 && err->code == ERR_INTERRUPTED)
        err_set(err, ERR_INTERRUPTED, "interrupted; run the same command again to restore what is missing");
    if (rc == 0 && errors > 0)
        rc = err_set(err, ERR_FAILED, "%llu error%s: see above; everything else was restored",
                     (unsigned long long)errors, errors == 1 ? "" : "s");
    return rc;
}

static int run_restore(struct cli *cli, void *options, int argc, char **argv)
{
    struct err err = {0};
    const struct restore_args *a = options;
    struct repo *repo;
    struct lock *lock;
    struct filter *include = filter_new(), *exclude = filter_new();
    struct restore_view view;
    restore_view_init(&view, cli, a->dry_run, a->dry_run || cli->verbose >= 2);
    int rc = check_args(a, argc, &err);
    if (rc == 0)
        rc = make_filters(a, include, exclude, &err);
    if (rc == 0)
        rc = cli_open_locked(cli, CLI_LOCK_SHARED, true, &repo, &lock, &err);
    if (rc == 0) {
        struct restore_options o = {.target = a->target,
                                    .include = has_includes(a) ? include : NULL,
                                    .exclude = filter_is_empty(exclude) ? NULL : exclude,
                                    .overwrite = (enum restore_overwrite)a->overwrite,
                                    .delete_extra = a->delete_extra,
                                    .dry_run = a->dry_run,
                                    .verify = a->verify,
                                    .sparse = a->sparse,
                                    .threads = cli->cpus > 0 ? (unsigned)cli->cpus : 0};
        rc = restore(cli, repo, argv[0], a, &o, &view, &err);
        lock_release(lock);
        repo_free(repo);
    }
    filter_free(include);
    filter_free(exclude);
    return rc < 0 ? cli_fail(cli, &err) : 0;
}

static const struct command_example EXAMPLES[] = {
    {"clawback restore latest --target /tmp/look", "the newest snapshot, beside what is there"},
    {"clawback restore latest:/root/.openclaw -t /root/.openclaw --delete", "one directory, exactly as it was"},
    {"clawback restore 4d5e6f70 -t / --include /etc/nginx --dry-run", "what putting one directory back would change"},
    {NULL, NULL},
};

const struct command cmd_restore = {
    .name = "restore",
    .arguments = "SNAPSHOT[:PATH]",
    .summary = "Restore files from a snapshot",
    .description =
        "Restores contents and all metadata. What is there already and right is left alone: restoring again after an "
        "interruption does only what is missing. Nothing outside of the target is touched, whatever symlinks lie in "
        "it.\n\n"
        "--overwrite always makes every existing file what it is in the snapshot; if-changed does the same but "
        "believes a file's "
        "size and modification time; if-newer changes only files that are older than the snapshot's; never changes "
        "none.\n\n"
        "With :PATH, what is in that directory of the snapshot goes directly into the target. What cannot be restored "
        "is "
        "named, everything else is restored, and the exit status is 1.",
    .options = OPTIONS,
    .options_bytes = sizeof(struct restore_args),
    .examples = EXAMPLES,
    .group = "Restoring",
    .run = run_restore,
};
