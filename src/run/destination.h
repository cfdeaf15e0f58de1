/*
 * Destinations before a run: are they there, are they the right ones, is there room? Everything is asked before
 * anything is read, and nothing is written but, on the first use, a marker.
 *
 * A destination that is a path: the repository lies in it, archives in its directory archives/HOST. "clawback-
 * destination.json" in it is the marker: a random ID, also kept in the state directory (destinations/NAME.json). A
 * drive with another ID, or without one where one was, is the wrong drive, until the owner says otherwise (`run
 * --adopt-destination NAME`). Where the state is lost, what the drive says is taken over.
 *
 * `require_mount: PATH`: something is mounted at PATH, and the destination lies on it. `require_mount: true`: on the
 * first use, the destination is a mount point itself: what is mounted above it may be the drive, or the file system
 * that holds the drive's bare mount point, and nothing tells which. From then on the marker does, and something must be
 * mounted there or above it: not /, nor what holds our state.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "base/strlist.h"
#include "plan/plan.h"
#include "repo/repo.h"

enum destination_problem {
    DESTINATION_OK,
    DESTINATION_MISSING,     /* no such directory, and it cannot be made */
    DESTINATION_NOT_MOUNTED, /* require_mount, and the drive is not there */
    DESTINATION_WRONG_DRIVE,
    DESTINATION_NOT_WRITABLE,
    DESTINATION_NO_SPACE, /* less than its reserve is free */
    DESTINATION_UNUSABLE, /* anything else: see err */
};
const char *destination_problem_name(enum destination_problem p); /* "not mounted" */

struct destination_check {
    const struct plan_destination *destination;
    enum destination_problem problem;
    struct err err;          /* problem != OK: complete, says what to do */
    struct strlist warnings; /* same disk as a source … */
    bool local;              /* a path: the fields below mean something */
    char *path;              /* absolute; NULL unless local */
    bool exists;             /* its directory */
    bool has_repository, same_disk;
    bool first_use; /* no marker here and none remembered */
    uint64_t free_bytes, total_bytes;
};

struct destination_options {
    const char *state_dir;
    const struct strlist *sources; /* paths that are backed up to it, for the same-disk warning; NULL: none */
    bool adopt;                    /* take the drive that is there for the right one */
    bool look_only;                /* write nothing: no directory, no marker (doctor, plan, dry runs) */
};

/* The paths that a tier reads. Appends. */
void destination_sources(const struct plan_tier *t, struct strlist *out);

/* Never fails as such: see out->problem. destination_check_release() in any case. */
void destination_check(const struct plan_destination *d, const struct destination_options *options,
                       struct destination_check *out);
void destination_check_release(struct destination_check *c);

/* The path behind a location ("/x", "local:/x"), or NULL when it is none. Borrowed from it. */
const char *destination_path(const struct plan_destination *d);
/* Where this host's archives go: PATH/archives/HOST, so that hosts that share a drive never tidy up each other's. NULL
 * unless it is a path. The caller frees it. */
char *destination_archive_dir(const struct plan *p, const struct plan_destination *d);

/* Its passphrase, or the plan's. The caller wipes and frees it. */
int destination_passphrase(const struct plan *p, const struct plan_destination *d, char **out, struct err *err);
/* A tier's archive is one file that goes to all its destinations: the one whose passphrase opens it is the first that
 * the tier names, whether it is there or not, so that each drive's archives can be opened with one that is known. */
const struct plan_destination *destination_of_archive_key(const struct plan *p, const struct plan_tier *t);
/* Opens its repository (no index, no lock), over a store that keeps to its limit and its reserve. cache_dir NULL: none.
 * `create`: makes it when there is none, else that is ERR_NO_REPOSITORY. ERR_WRONG_PASSPHRASE … name the destination.
 */
int destination_open(const struct plan *p, const struct plan_destination *d, const char *cache_dir, bool create,
                     struct repo **out, struct err *err);

/* What is kept of a repository for opening it again: its key, so that none is derived, and its snapshots' texts, so
 * that none is read again. All zero: nothing yet. It has to outlive the handles. */
struct destination_kept {
    struct repo_key key;
    struct snapshot_memo snapshots;
};
void destination_kept_release(struct destination_kept *k); /* wipes it */

/* The same as destination_open(), with the key that is kept from the last time where that still fits (then no
 * passphrase is asked for), and keeps it. */
int destination_open_again(const struct plan *p, const struct plan_destination *d, struct destination_kept *kept,
                           const char *cache_dir, bool create, struct repo **out, struct err *err);

/* After a destination's repository was opened: is it the one that was there before? The first time its ID is remembered
 * (in the state and in the marker). ERR_FAILED: it is another one. */
int destination_remember(const struct plan_destination *d, const char *state_dir, const struct id *repository,
                         struct err *err);
/* Free and total space of the file system that it lies on; false when that cannot be told. */
bool destination_space(const struct plan_destination *d, uint64_t *free_out, uint64_t *total_out);
