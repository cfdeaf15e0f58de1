/*
 * The files source: walks directories and pushes what it finds into a sink.
 *
 * Scanner threads list and stat directories ahead of the walk, in the walk's own order, at most `SCAN_AHEAD_ENTRIES`
 * entries ahead; the walk itself (files_run) is one thread and pushes in order. Scanning starts in files_new, so that
 * it overlaps with opening the repository. The source is never written: O_NOATIME where allowed, no locks. Sockets are
 * skipped. Paths given more than once, or lying within one another, are taken once. The parents of a given path become
 * nodes too (/a/b gives a, then b).
 *
 * Files are opened only when the sink asks. A SQLite database (told by its header) is captured through source/sqlite.h,
 * and what SQLite keeps beside it is left out; one that is damaged is copied as it is, with a warning. A file that
 * changes while it is read is read again, three times at most; if it still changed, the last reading is kept and
 * reported as a warning. One that only grew is kept as it was when it was opened. One that shrank or vanished likewise
 * never ends the run. Pages that were not in the page cache are dropped from it again after reading.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "base/strlist.h"
#include "sink/sink.h"
#include "source/filter.h"
#include "source/source.h"

struct files_options {
    const struct strlist *paths; /* absolute, clean */
    /* An absolute directory at or above all paths: it and those above it are no nodes, and what is in it lies at the
     * root of the snapshot. NULL: paths are stored in full. */
    const char *base;
    const struct filter *exclude;             /* NULL: none */
    const struct strlist *exclude_if_present; /* "NAME" or "NAME:HEADER"; NULL: none */
    bool exclude_caches;                      /* CACHEDIR.TAG with its signature */
    uint64_t exclude_larger_than;             /* bytes; 0: no limit */
    bool one_file_system;
    bool with_atime;    /* store access times; else atime = mtime */
    bool ignore_sqlite; /* plain copies of databases (never the default) */
    /* Files that grow at their end all the time (sessions, logs): cut finely, so that what was appended costs little
     * more than itself. Their blobs are not those that other writers of the format cut. NULL: none. */
    const struct filter *fine_cut;
    /* Files that say what belongs here and could not be understood, and for each a whole line about it: reported as
     * unreadable, for nobody knows what is missing. NULL: none. */
    const struct strlist *unread, *unread_why;
    uint64_t limit_read_bytes_per_s; /* 0: no limit */
    unsigned threads;                /* scanner threads; 0: os_cpu_count() */
};

/* The files as a source (not strict), whose paths are those that exist: a snapshot does not claim what it lacks, and
 * finds its parent and its group by what it has. The options and what they point to must outlive it. Scanning begins
 * with source_start(). Errors of the two functions below come from start and push. */
struct source *files_source_new(const struct files_options *options);

struct files;

/* Starts scanning. The options and what they point to must outlive the source. A given path that does not exist is
 * reported as unreadable by files_run (ERR_NOT_FOUND when none of them exists: then nothing is pushed). */
int files_new(struct files **out, const struct files_options *options, const struct sink_reporter *reporter,
              struct err *err);
/* Walks and pushes. -1 only when the sink failed, the user interrupted or no given path exists; what cannot be read
 * goes to the reporter. A directory that cannot be opened is left out wholly, as restic does. */
int files_run(struct files *f, struct sink *sink, struct err *err);
/* Content contexts handed to the sink stay valid until their release, and must all be released before files_free. */
void files_free(struct files *f);
