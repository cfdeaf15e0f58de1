/*
 * The parts of the backup command: its options, what they choose, what it shows. Nothing of it is for other commands.
 */
#pragma once
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/strlist.h"
#include "cli/cli.h"
#include "engine/backup.h"
#include "source/filter.h"

struct backup_args {
    struct strlist exclude, iexclude, exclude_file, iexclude_file, exclude_if_present;
    struct strlist files_from, files_from_verbatim, files_from_raw, tags;
    bool exclude_caches, one_file_system, no_agent_excludes, with_atime;
    bool force, dry_run, ignore_inode, ignore_ctime, skip_if_unchanged, from_stdin, stdin_from_command;
    uint64_t exclude_larger_than;
    const char *host, *parent, *stdin_filename, *time;
};

/*
 * What is to be backed up: backup_sources.c.
 */
struct backup_sources {
    struct strlist paths;              /* absolute, clean */
    char *base;                        /* see files_options.base; NULL: none */
    struct strlist excludes;           /* the patterns, as the snapshot records them */
    struct filter *filter;             /* NULL: none */
    struct filter *fine_cut;           /* see files_options.fine_cut; NULL: none */
    struct strlist unread, unread_why; /* see files_options.unread */
};
/* `own`: our repository and cache, which are never taken, whatever is asked for: a backup of itself would grow for
 * ever. From the arguments and the --files-from kinds; where there are none, the agent's home with its excludes. Says
 * on standard error what it found. backup_sources_release() either way. */
int backup_sources_gather(struct cli *cli, const struct backup_args *args, const struct strlist *own, int argc,
                          char **argv, struct backup_sources *out, struct err *err);
void backup_sources_release(struct backup_sources *s);

/*
 * What is shown: backup_view.c.
 */
enum { BACKUP_PROBLEMS_SHOWN = 20 };

struct backup_view {
    struct cli *cli;
    struct backup_progress *progress;
    uint64_t started_ns;
    bool dry_run;
    struct sink_reporter reporter;   /* for backup_run() */
    struct backup_listener listener; /* the progress's, where each entry is to be told of */
    /* collected from any thread, under the mutex */
    pthread_mutex_t mutex;
    struct strlist problems; /* the first ones */
    uint64_t problem_count;
    /* the progress thread's own */
    struct cli_rate rate; /* bytes a second */
};
void backup_view_init(struct backup_view *v, struct cli *cli, bool dry_run);
void backup_view_release(struct backup_view *v);
/* For cli_progress_start_json(); ctx is the view. */
void backup_view_draw(void *ctx, char *out, size_t cap, unsigned columns);
json_t *backup_view_status(void *ctx);
/* After the run: what could not be read, then the summary. */
void backup_view_problems(struct backup_view *v);
void backup_view_summary(struct backup_view *v, const struct backup_result *result);
