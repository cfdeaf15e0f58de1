#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "cli/backup_args.h"
#include "cli/commands.h"
#include "cli/environment.h"
#include "cli/snapshot_text.h"
#include "engine/grouping.h"
#include "os/clock.h"
#include "source/files.h"
#include "source/stream.h"

static const struct option OPTIONS[] = {
    {.name = "exclude",
     .short_name = 'e',
     .kind = OPTION_LIST,
     .offset = offsetof(struct backup_args, exclude),
     .metavar = "PATTERN",
     .group = "What to leave out",
     .help = "leave out what matches, at any depth, or from the root when it starts with '/'"},
    {.name = "iexclude",
     .kind = OPTION_LIST,
     .offset = offsetof(struct backup_args, iexclude),
     .metavar = "PATTERN",
     .help = "the same, whatever the case"},
    {.name = "exclude-file",
     .kind = OPTION_LIST,
     .offset = offsetof(struct backup_args, exclude_file),
     .metavar = "FILE",
     .help = "patterns from a file, one a line"},
    {.name = "iexclude-file",
     .kind = OPTION_LIST,
     .offset = offsetof(struct backup_args, iexclude_file),
     .metavar = "FILE",
     .help = "the same, whatever the case"},
    {.name = "exclude-caches",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct backup_args, exclude_caches),
     .help = "leave out directories that CACHEDIR.TAG marks as caches"},
    {.name = "exclude-if-present",
     .kind = OPTION_LIST,
     .offset = offsetof(struct backup_args, exclude_if_present),
     .metavar = "NAME[:HEADER]",
     .help = "leave out directories that hold such a file (which starts with HEADER)"},
    {.name = "exclude-larger-than",
     .kind = OPTION_BYTES,
     .offset = offsetof(struct backup_args, exclude_larger_than),
     .metavar = "SIZE",
     .help = "leave out files that are larger"},
    {.name = "one-file-system",
     .short_name = 'x',
     .kind = OPTION_FLAG,
     .offset = offsetof(struct backup_args, one_file_system),
     .help = "stay in the file systems of the given paths"},
    {.name = "no-agent-excludes",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct backup_args, no_agent_excludes),
     .help = "back up the agent home with its caches and all, but without .ssh"},
    {.name = "files-from",
     .kind = OPTION_LIST,
     .offset = offsetof(struct backup_args, files_from),
     .metavar = "FILE",
     .group = "What to back up",
     .help = "paths and wildcards from a file, one a line; '#' starts a comment"},
    {.name = "files-from-verbatim",
     .kind = OPTION_LIST,
     .offset = offsetof(struct backup_args, files_from_verbatim),
     .metavar = "FILE",
     .help = "paths from a file, one a line, exactly as they stand there"},
    {.name = "files-from-raw",
     .kind = OPTION_LIST,
     .offset = offsetof(struct backup_args, files_from_raw),
     .metavar = "FILE",
     .help = "paths from a file, each ended by a NUL byte (find -print0)"},
    {.name = "stdin",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct backup_args, from_stdin),
     .help = "one file: standard input"},
    {.name = "stdin-from-command",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct backup_args, stdin_from_command),
     .help = "one file: the output of the command that the arguments are; if it fails there is no snapshot"},
    {.name = "stdin-filename",
     .kind = OPTION_STRING,
     .offset = offsetof(struct backup_args, stdin_filename),
     .metavar = "NAME",
     .help = "what to call that file (default 'stdin')"},
    {.name = "tag",
     .kind = OPTION_LIST,
     .offset = offsetof(struct backup_args, tags),
     .metavar = "TAG[,TAG…]",
     .group = "The snapshot",
     .help = "tags for it"},
    {.name = "host",
     .short_name = 'H',
     .kind = OPTION_STRING,
     .offset = offsetof(struct backup_args, host),
     .metavar = "NAME",
     .help = "its host name (default: this machine's; else RESTIC_HOST)"},
    {.name = "time",
     .kind = OPTION_STRING,
     .offset = offsetof(struct backup_args, time),
     .metavar = "TIME",
     .help = "its time, like '2026-01-31 14:05:00' (default: now)"},
    {.name = "skip-if-unchanged",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct backup_args, skip_if_unchanged),
     .help = "make none when nothing changed since the parent"},
    {.name = "dry-run",
     .short_name = 'n',
     .kind = OPTION_FLAG,
     .offset = offsetof(struct backup_args, dry_run),
     .help = "store nothing; say what would be stored"},
    {.name = "parent",
     .kind = OPTION_STRING,
     .offset = offsetof(struct backup_args, parent),
     .metavar = "ID",
     .group = "How to tell what changed",
     .help = "compare with this snapshot (default: the newest of this host and these paths)"},
    {.name = "force",
     .short_name = 'f',
     .kind = OPTION_FLAG,
     .offset = offsetof(struct backup_args, force),
     .help = "read every file again, whatever the parent says"},
    {.name = "ignore-ctime",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct backup_args, ignore_ctime),
     .help = "a file whose ctime alone differs is unchanged"},
    {.name = "ignore-inode",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct backup_args, ignore_inode),
     .help = "a file whose inode number alone differs is unchanged"},
    {.name = "with-atime",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct backup_args, with_atime),
     .help = "store access times too"},
    OPTION_END,
};

/* --- arguments --- */

static int check(const struct backup_args *a, int argc, struct err *err)
{
    bool lists = a->files_from.count + a->files_from_verbatim.count + a->files_from_raw.count > 0;
    if (a->from_stdin && a->stdin_from_command)
        return err_set(err, ERR_USAGE, "--stdin and --stdin-from-command exclude each other");
    if (a->from_stdin && (argc > 0 || lists))
        return err_set(err, ERR_USAGE, "--stdin takes no paths");
    if (a->stdin_from_command && argc == 0)
        return err_set(err, ERR_USAGE,
                       "--stdin-from-command needs a command: clawback backup --stdin-from-command -- COMMAND…");
    if (a->stdin_from_command && lists)
        return err_set(err, ERR_USAGE, "--stdin-from-command takes no lists of files");
    if (a->stdin_filename != NULL && !a->from_stdin && !a->stdin_from_command)
        return err_set(err, ERR_USAGE, "--stdin-filename is for --stdin and --stdin-from-command");
    const char *name = a->stdin_filename;
    if (name != NULL && (*name == '\0' || name[strlen(name) - 1] == '/'))
        return err_set(err, ERR_USAGE, "'%s' is no name for a file", name);
    if (a->force && a->parent != NULL)
        return err_set(err, ERR_USAGE, "--force and --parent exclude each other");
    return 0;
}

/* "2026-01-31 14:05:00" in local time, "now", or RFC 3339. */
static int parse_time(const char *text, struct timespec *out, struct err *err)
{
    struct tm tm = {.tm_isdst = -1};
    if (strcmp(text, "now") == 0) {
        *out = os_now();
        return 0;
    }
    if (os_time_parse(text, strlen(text), out) == 0)
        return 0;
    const char *end = strptime(text, "%Y-%m-%d %H:%M:%S", &tm);
    time_t seconds = end != NULL && *end == '\0' ? mktime(&tm) : -1;
    if (seconds == -1)
        return err_set(err, ERR_USAGE, "option '--time': '%s' is no time (like 2026-01-31 14:05:00)", text);
    *out = (struct timespec){.tv_sec = seconds};
    return 0;
}

static const char *host_name(const struct backup_args *a, char out[256])
{
    if (a->host != NULL && *a->host != '\0')
        return a->host;
    if (environment_get("RESTIC_HOST") != NULL)
        return environment_get("RESTIC_HOST");
    if (gethostname(out, 255) != 0)
        out[0] = '\0';
    out[255] = '\0';
    return *out != '\0' ? out : "localhost";
}

/* --- the run --- */

struct job {
    struct cli *cli;
    const struct backup_args *args;
    int named; /* arguments that name paths */
    struct cli_access access;
    struct backup_sources sources;
    struct strlist tags;
    struct timespec time;
    char host[256];
    struct files_options files;
    struct source *source;
    struct backup_options options;
};

static int open_repo(void *ctx, struct repo **out, struct err *err)
{
    struct job *job = ctx;
    return cli_access_open(&job->access, out, err);
}

static struct source *files_source(struct job *job)
{
    const struct backup_args *a = job->args;
    job->files = (struct files_options){
        .paths = &job->sources.paths,
        .base = job->sources.base,
        .exclude = job->sources.filter,
        .fine_cut = job->sources.fine_cut,
        .unread = &job->sources.unread,
        .unread_why = &job->sources.unread_why,
        .exclude_if_present = a->exclude_if_present.count > 0 ? &a->exclude_if_present : NULL,
        .exclude_caches = a->exclude_caches,
        .exclude_larger_than = a->exclude_larger_than,
        .one_file_system = a->one_file_system,
        .with_atime = a->with_atime,
        .limit_read_bytes_per_s = job->cli->limit_read,
        .threads = (unsigned)job->cli->cpus,
    };
    return files_source_new(&job->files);
}

static bool is_stream(const struct backup_args *a)
{
    return a->from_stdin || a->stdin_from_command;
}

/* Whose paths were found, not given. */
static bool is_agent_home(const struct job *job)
{
    const struct backup_args *a = job->args;
    return job->named == 0 && !is_stream(a) && job->sources.paths.count > 0 &&
           a->files_from.count + a->files_from_verbatim.count + a->files_from_raw.count == 0;
}

static void fill_options(struct job *job)
{
    const struct backup_args *a = job->args;
    for (size_t i = 0; i < a->tags.count; i++)
        snapshot_split_tags(a->tags.items[i], &job->tags);
    if (is_agent_home(job)) {
        char *tag = mem_printf(GROUPING_HOME_TAG "%s", job->sources.paths.items[0]);
        strlist_add(&job->tags, tag);
        free(tag);
    }
    job->options = (struct backup_options){
        .source = job->source,
        .tags = &job->tags,
        .hostname = host_name(a, job->host),
        .parent = a->parent,
        .exclude_list = &job->sources.excludes,
        .time = a->time != NULL ? &job->time : NULL,
        .program_version = "clawback " CLAWBACK_VERSION,
        .force = a->force,
        .dry_run = a->dry_run,
        .ignore_ctime = a->ignore_ctime,
        .ignore_inode = a->ignore_inode,
        .skip_if_unchanged = a->skip_if_unchanged,
        .retry_lock_ms = job->cli->retry_lock_ms,
        .no_lock = job->cli->no_lock,
    };
}

static int make_source(struct job *job, int argc, char **argv, struct err *err)
{
    const struct backup_args *a = job->args;
    if (is_stream(a))
        return stream_source_new(&job->source, a->stdin_filename != NULL ? a->stdin_filename : "stdin",
                                 a->stdin_from_command ? argv : NULL, a->time != NULL ? job->time : os_now(), err);
    struct strlist own = {0};
    if (job->access.store->location[0] == '/')
        strlist_add(&own, job->access.store->location);
    if (job->access.cache_dir != NULL && job->access.cache_dir[0] == '/')
        strlist_add(&own, job->access.cache_dir);
    int rc = backup_sources_gather(job->cli, a, &own, argc, argv, &job->sources, err);
    strlist_release(&own);
    if (rc == 0)
        job->source = files_source(job);
    return rc;
}

/* Everything that can be wrong is found before anything is begun. */
static int prepare(struct job *job, int argc, char **argv, struct err *err)
{
    const struct backup_args *a = job->args;
    if (check(a, argc, err) < 0 || (a->time != NULL && parse_time(a->time, &job->time, err) < 0) ||
        cli_access_prepare(job->cli, &job->access, err) < 0)
        return -1;
    if (make_source(job, argc, argv, err) < 0)
        return -1;
    fill_options(job);
    return 0;
}

static int back_up(struct job *job, struct err *err)
{
    struct backup_view view;
    struct backup_result result = {0};
    backup_view_init(&view, job->cli, job->args->dry_run);
    cli_be_nice(job->cli);
    struct cli_progress *live = cli_progress_start_json(job->cli, backup_view_draw, backup_view_status, &view);
    int rc = backup_run(open_repo, job, &job->options, &view.reporter, view.progress, &result, err);
    cli_progress_stop(live);
    backup_view_problems(&view);
    if (rc == 0) {
        backup_view_summary(&view, &result);
        if (result.unreadable > 0)
            rc = err_set(err, ERR_PARTIAL, "%llu source%s could not be read: the snapshot holds the rest",
                         (unsigned long long)result.unreadable, result.unreadable == 1 ? "" : "s");
    }
    backup_view_release(&view);
    return rc;
}

static int run_backup(struct cli *cli, void *options, int argc, char **argv)
{
    struct err err = {0};
    struct job job = {.cli = cli, .args = options, .named = argc};
    int rc = prepare(&job, argc, argv, &err);
    if (rc == 0)
        rc = back_up(&job, &err);
    cli_access_release(&job.access);
    source_free(job.source);
    backup_sources_release(&job.sources);
    strlist_release(&job.tags);
    return rc < 0 ? cli_fail(cli, &err) : 0;
}

static const struct command_example EXAMPLES[] = {
    {"clawback backup", "the agent home found on this machine, without what can be rebuilt"},
    {"clawback backup /etc /srv --exclude '*.log' --tag nightly", "these folders, without logs"},
    {"clawback backup --dry-run", "what would be stored"},
    {"clawback backup --stdin-from-command --stdin-filename db.sql -- pg_dump mydb",
     "a command's output; no snapshot if it fails"},
    {NULL, NULL},
};

const struct command cmd_backup = {
    .name = "backup",
    .arguments = "[PATH…]",
    .summary = "Back up the agent home, or the given files and folders",
    .description =
        "Makes a new snapshot. Without a path it is of the agent home found on this machine (OPENCLAW_STATE_DIR, "
        "~/.openclaw and "
        "its older names) and of what belongs to it elsewhere; caches and other things that can be rebuilt, and .ssh, "
        "are "
        "left out.\n\n"
        "Only what changed since the parent snapshot is read, and only what is not in the repository yet is stored. "
        "SQLite "
        "databases are captured consistently while they are in use. Sources are never written to, and this runs at low "
        "priority.\n\n"
        "A file that cannot be read is named, the rest is stored, and the exit status is 3.",
    .options = OPTIONS,
    .options_bytes = sizeof(struct backup_args),
    .examples = EXAMPLES,
    .group = "Backing up",
    .run = run_backup,
};
