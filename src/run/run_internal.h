/* What the parts of a run share: run.c, tier_run.c, run_targets.c, repository_run.c, archive_run.c, retain*.c, push.c.
 */
#pragma once
#include <pthread.h>
#include "engine/backup.h"
#include "run/destination.h"
#include "run/run.h"
#include "run/tier_sources.h"
#include "sink/archive_sink.h"

enum { RUN_ID_CHARS = 16, RECORD_WARNINGS_MAX = 100, CONFIRM_READ_MAX_BYTES = 128 << 20 };
#define RUN_SOURCE_TAG "source=" /* + tier_source_kind_name(): of every snapshot */
#define RUN_FILES_TAG "source=files"
#define RUN_SUSPECT_TAG "suspect" /* of snapshots that much is missing from: retention leaves them out of account */

struct run {
    const struct run_options *options;
    const struct run_reporter *reporter;
    struct run_progress *progress;
    char id[RUN_ID_CHARS + 1];
    struct timespec started;
    struct strlist said;           /* warnings that need no second time */
    struct destination_kept *kept; /* by the plan's destinations, once opened; wiped at its end */
    bool hook_failed;              /* the last one around the run */
    uint64_t again_ms;             /* should we fail, our caller tries again after that; 0: it does not */
    bool last_attempt;             /* of our own, at the tier that runs now */
    pthread_mutex_t mutex;         /* guards records against reports from other threads */
};

/* A destination, in the run of one tier. */
struct target {
    const struct plan_destination *destination;
    struct destination_check check;
    bool usable;       /* nothing has gone wrong with it so far */
    struct err err;    /* what did */
    struct repo *repo; /* open for what comes after reading; NULL: not yet */
    struct id *ids;    /* repository: by unit, the snapshot there; zero: it has none */
    char *archive;     /* archive: its name there; NULL: none */
    uint64_t bytes_added, removed;
    bool verified, pruned;
};

/* A source, in the run of one tier. */
struct unit {
    const struct tier_source *source;
    char *name;
    bool done, absent; /* done: some target has it, or the archive is to have it; absent: it does not run */
    struct err err;    /* it failed */
    uint64_t bytes, files, unreadable;
    struct strlist lost;       /* of what is unreadable: paths that the plan itself names */
    struct record_path *paths; /* where its bytes are */
    size_t path_count;
    struct record_dump *dumps; /* its dumps that are whole, by path */
    size_t dump_count;
    bool suspect;    /* one of them is much smaller than the last time … */
    bool suspect_ok; /* … which is only worth a word */
    size_t gone;     /* dumps that were there the last time, of databases that nobody names */
    char *push;
    bool push_failed;
    struct strlist push_refs; /* as in the record */
};

struct tier_run {
    struct run *run;
    const struct plan_tier *tier;
    struct record_list history;
    struct tier_sources sources;
    struct unit *units;
    size_t unit_count;
    struct target *targets;
    size_t target_count;
    struct strlist tags;
    struct record record;
    struct err err; /* the tier as a whole failed */
    bool degraded;  /* something is worth exit status 3 that neither units nor targets tell */
    uint64_t started_ns;
};

/* Says it now and keeps it for the record. Any thread. */
void tier_warn(struct tier_run *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same for what fails the tier. */
void tier_fail(struct tier_run *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void tier_note(struct tier_run *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool tier_interrupted(const struct tier_run *t);

/* What became of a tier, for the run as a whole. */
struct tier_outcome {
    enum record_status status;
    int exit_code;
    bool retry; /* failed, and trying again may help */
};
/* tier_run.c: one tier from top to bottom. The record is written and handed to the reporter. */
struct tier_outcome tier_run(struct run *run, const struct plan_tier *tier);
/* A tier that cannot even begin: its record says why. */
struct tier_outcome tier_refuse(struct run *run, const struct plan_tier *tier, const struct err *why);

/* run_targets.c */
void run_targets_check(struct tier_run *t);
size_t run_targets_usable(const struct tier_run *t);
/* It takes no further part. Says so, unless that was said already. */
void target_failed(struct tier_run *t, struct target *target, const struct err *why);
/* Repositories and archives are only ever made where the check has seen that they may be, a moment ago: what was a
 * drive at the tier's beginning may be a bare mount point now. */
int target_check_again(struct tier_run *t, struct target *target, struct err *err);
/* Opens a destination's repository with the key that the run has kept of it, or by its passphrase. */
int run_open_destination(struct run *run, const struct plan_destination *d, bool create, struct repo **out,
                         struct err *err);
/* Its repository, open without an index; NULL: it failed. */
struct repo *target_repo(struct tier_run *t, struct target *target);
/* Opens it for a backup: made on the first use; a new handle each time. backup_open_fn's context: */
struct target_open {
    struct tier_run *run;
    struct target *target;
    bool failed; /* the opening itself did */
};
int target_open_repo(void *ctx, struct repo **out, struct err *err);
void run_targets_release(struct tier_run *t);

/* units.c: what sources report on the way. */
struct unit_report {
    struct tier_run *run;
    struct unit *unit;
    struct err first; /* what could not be read first */
    struct sink_reporter reporter;
};
void unit_report_init(struct unit_report *r, struct tier_run *t, struct unit *u);
void unit_failed(struct tier_run *t, struct unit *u, const struct err *why);
/* The same, unless it is a server that need not run: then it is skipped. */
void unit_missing(struct tier_run *t, struct unit *u, const struct err *why);
/* Names it by its source's first path. */
void unit_opened(struct unit *u, const struct source *s);
/* What was read of a tree of files, by path, and how large each dump is: from the source that units were given by
 * watched_source_new(), after its contents were read. Of a second reading dumps stay those of the first. */
void unit_take_sizes(struct unit *u, struct source *watched);
void unit_hand_over_sizes(struct unit *u, struct record_source *to);
void unit_free_sizes(struct unit *u);

/* unit_sizes.c: is each of its dumps as large as it should be, and are all there that were? Sets suspect and gone. */
void unit_check_size(struct tier_run *t, struct unit *u);
/* Has a dump shrunk or gone, if only with a word? Then nothing is removed. */
bool tier_has_suspects(const struct tier_run *t);

/* dry_run.c: reads it to its end and keeps nothing: for a dry run where no repository is. */
void unit_only_read(struct tier_run *t, struct unit *u);
/* repository_run.c: reads every unit once, brings it to all targets, confirms it there. */
void repository_run(struct tier_run *t);
/* archive_run.c: one archive of all units, on all targets. */
void archive_run(struct tier_run *t);
/* retain.c, archive_run.c: what the tier's `keep` does not keep goes, where that is safe. */
void retain_all(struct tier_run *t);
void archive_retain(struct tier_run *t, struct target *target);
/* Has the clock leapt, so that nothing may be removed now? Then it says so. times_s: see clock_leap_s(). */
bool retain_waits_for_clock(struct tier_run *t, const struct target *target, int64_t *times_s, size_t count);
/* While this run is not wholly fine: the last one that was, on this destination. What it made is not removed. NULL:
 * there is none, or no need. It lies in `all`, which the caller releases. */
const struct record *retain_protected(const struct tier_run *t, const struct target *target, struct record_list *all);
/* room.c: pruning. `repack`: packs that are partly used, too, else only what is wholly unused goes. */
int prune_target(struct tier_run *t, struct target *target, struct repo *repo, struct lock *lock, bool repack,
                 struct err *err);
/* For a destination that is full: removes what nothing needs, such as what a run left that did not fit. Says what it
 * got; failures are only told. */
void make_room(struct tier_run *t, struct target *target);
/* push.c: checks git repositories, and sends them where they are to be sent. */
void git_checks(struct tier_run *t);
void git_pushes(struct tier_run *t);
