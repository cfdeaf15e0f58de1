/*
 * Run records: what became of every run of every tier, in runs/TIER.jsonl below the state directory. Two lines a run:
 *
 *     {"timestamp":"2026-02-04T06:00:00Z","status":"started","jobId":"config","runId":"…","pid":4711}
 *     {"timestamp":"2026-02-04T06:02:15Z","status":"completed","jobId":"config","runId":"…","duration":"135s",
 *      "backupSize":"850MB","uploaded":true,"durationMs":135000,"bytesProcessed":…,"bytesAdded":…,"snapshots":[…],
 *      "sources":[…],"destinations":[…],"exitCode":0}
 *     {"timestamp":…,"status":"failed","jobId":"config","error":"…","retry":"yes",…}
 *
 * The daemon's jobs have the same lines with "by":"daemon" in them, in runs/JOB.jsonl.
 *
 * A line is appended by one write(), so that lines of several processes never mix. A file that passes 2 MB is cut to
 * its last 2,000 lines and, before them, the starts of runs that had not ended there. Readers skip what is torn or
 * foreign and say how much. Files are 0600, directories 0700. Nothing here may be called from several threads for one
 * tier at once; several processes may.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <sys/types.h>
#include "base/err.h"
#include "base/strlist.h"

enum { RECORD_FILE_MAX_BYTES = 2 << 20, RECORD_KEPT_LINES = 2000 };

enum record_status {
    RECORD_STARTED,
    RECORD_COMPLETED, /* exit_code 0; or 3: something is missing, see warnings, sources and destinations */
    RECORD_FAILED,    /* no destination has it, or a source that must be whole is not */
    RECORD_SKIPPED,   /* nothing of it was running (when: running): exit_code 0 */
};
const char *record_status_name(enum record_status s); /* "started" … */

/* A directory or file of a source, and what was read below it. */
struct record_path {
    char *path;
    uint64_t bytes;
};
enum { RECORD_PATHS_MAX = 40, RECORD_DUMPS_MAX = 2000, RECORD_PUSH_REFS_MAX = 40 };

/* One dump of a source: of a database, of a whole Redis, the output of a command. */
struct record_dump {
    char *path; /* in its snapshot: "/postgres/local/shop.dump" */
    uint64_t bytes;
    bool suspect; /* empty, or much smaller than the last time */
};

/* One source of the run. Sizes are of what was read. */
struct record_source {
    char *name;                /* as its snapshot calls it: its first path */
    enum record_status status; /* COMPLETED, FAILED, SKIPPED */
    char *message;             /* why it failed or was skipped; NULL: nothing to say */
    uint64_t bytes, files, unreadable;
    bool suspect;              /* a dump of it is much smaller than the last time */
    struct record_path *paths; /* the largest things in it, so that growth can be named: at most RECORD_PATHS_MAX */
    size_t path_count;
    struct record_dump *dumps; /* all that were made, by path: at most RECORD_DUMPS_MAX. None: it is no server and no
                                * command, it failed, or an older program wrote the record */
    size_t dump_count;
    char *push; /* git: "pushed", "nothing to push", or why not; NULL: no push was asked for */
    bool push_failed;
    struct strlist
        push_refs; /* "refs/heads/main updated", "refs/tags/v1 rejected (why)": at most RECORD_PUSH_REFS_MAX */
};

struct record_destination {
    char *name;
    enum record_status status;        /* COMPLETED: it has everything that was made; FAILED: not all of it */
    char *message;                    /* NULL: nothing to say */
    uint64_t bytes_added;             /* stored there */
    uint64_t free_bytes, total_bytes; /* of its file system afterwards; total 0: not known */
    uint64_t removed;                 /* snapshots or archives that retention removed */
    bool verified;                    /* what is new there was confirmed */
    bool pruned;                      /* its repository was pruned in this run */
};

/* All strings are its own, or NULL. Zeroed: empty. */
struct record {
    enum record_status status;
    struct timespec time; /* of the line: when it began for STARTED, when it ended for the others */
    bool job;             /* a job of the daemon's, not a tier: "by":"daemon"; each reader gets its own kind only */
    char *tier;           /* "jobId" */
    char *run_id;         /* 16 hex digits; the same for every tier of one run */
    pid_t pid;            /* STARTED */
    uint64_t duration_ms, bytes_processed, bytes_added;
    int exit_code;
    bool uploaded;   /* at least one destination has all of it */
    bool incomplete; /* the archive that was made lacks something that the plan names, if only a server that did not run
                      */
    bool interrupted; /* FAILED: somebody asked it to stop; or it never ended, as the run after it found */
    char *error;      /* FAILED */
    char *message; /* of a job: why a time was skipped; what an event says; the last line that a run wrote; or NULL */
    bool retry;    /* FAILED: trying again may help */
    int64_t retry_at_ms; /* FAILED, of a tier: whoever started the run said that it tries again then; 0: nobody did */
    struct strlist warnings;
    struct strlist snapshots; /* IDs, or names of archives */
    struct record_source *sources;
    size_t source_count;
    struct record_destination *destinations;
    size_t destination_count;
};
void record_release(struct record *r);
/* Another one in the array, zeroed. Borrowed until the next. */
struct record_source *record_add_source(struct record *r, const char *name);
struct record_destination *record_add_destination(struct record *r, const char *name);
/* Another path of a source; nothing once there are RECORD_PATHS_MAX. */
void record_add_path(struct record_source *s, const char *path, uint64_t bytes);
/* The same of a dump. */
void record_add_dump(struct record_source *s, const char *path, uint64_t bytes, bool suspect);

/* Where clawback keeps its state: $CLAWBACK_STATE_DIR, $XDG_STATE_HOME/clawback, ~/.local/state/clawback; for root
 * without a home /var/lib/clawback. Not made. The caller frees it. */
char *record_state_dir(void);
/* state_dir/runs/TIER.jsonl. The caller frees it. */
char *record_path(const char *state_dir, const char *tier);

/* Appends one line, makes directories, rotates. The line is on the disk afterwards. */
int record_append(const char *state_dir, const struct record *r, struct err *err);

/* In order of the file: the newest last. */
struct record_list {
    struct record *items;
    size_t count;
    size_t damaged; /* lines among those read that are no records */
};
/* The last `max` records of a tier (at most RECORD_KEPT_LINES; and of a file that somebody let grow, those in its last
 * 4 MiB), started ones included; and before them the start of a run that has not ended, however much came since. No
 * file: 0 and an empty list. */
int record_list_read(const char *state_dir, const char *tier, size_t max, struct record_list *out, struct err *err);
/* The same of a job of the daemon's, whose log may be in the same file. */
int record_list_read_job(const char *state_dir, const char *job, size_t max, struct record_list *out, struct err *err);
void record_list_release(struct record_list *l);

/* Looks into a list: the newest that has ended; that completed with this exit code or a better one (0: all well; 3:
 * that and partial ones); NULL: none. */
const struct record *record_last_ended(const struct record_list *l);
const struct record *record_last_good(const struct record_list *l, int worst_exit_code);
/* The newest STARTED whose run has no end in the list, or NULL. Whether it still runs, only the run lock can tell. */
const struct record *record_unended(const struct record_list *l);
/* Adds the names of all logs below runs/ to the list, sorted: of tiers and jobs, as record_path() makes files of them.
 */
void record_list_logs(const char *state_dir, struct strlist *names);
/* Every record of one log, tiers' and jobs', in order; the line as it stands there, without its end. What is in *r may
 * be taken over (what is left is released). As far back as record_list_read(). */
typedef void record_line(void *ctx, struct record *r, const char *line, size_t len);
int record_each_line(const char *state_dir, const char *name, record_line *each, void *ctx, struct err *err);
/* One line. 0, or -1 when it is no record (then there is nothing to release). Unknown members are passed over. */
int record_decode(const char *line, size_t len, struct record *out);

/*
 * What the tiers of one run amount to, for the record of the job that started it: reads every log below runs/ and adds
 * up the last record that each tier has of this run. Into *r: bytes_processed, bytes_added, snapshots, destinations by
 * name (a failure in one tier is a failure there; `verified` and `uploaded` when all have it), and a warning for each
 * tier that failed or is incomplete, its name before the text. Returns how many tiers have ended; 0: r is as it was.
 */
size_t record_sum_run(const char *state_dir, const char *run_id, struct record *r);
/* When the tier was last begun, Unix milliseconds; 0: never. For schedule_next(). */
int64_t record_last_started_ms(const struct record_list *l);
