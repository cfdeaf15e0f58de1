/*
 * Listing and stat'ing directories ahead of the walk.
 *
 * Work comes in units: list one directory, or stat one chunk of its names (a directory of up to SCAN_CHUNK_ENTRIES is
 * stat'ed with its listing). Units wait on a stack, onto which what a unit finds is pushed in reverse, so that they
 * come off in the walk's own order: depth first, names ascending. Scanner threads take units while no more than
 * SCAN_AHEAD_ENTRIES records wait for the walk; the walk runs a unit itself when it needs one that nobody has begun.
 *
 * What is excluded, and what could not be read (it is reported here), is not in the records.
 *
 * Threads: the walk is one thread and the only caller of these functions. What it is handed stays put until it leaves.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include "base/buf.h"
#include "base/err.h"
#include "source/files.h"
#include "source/targets.h"

enum { SCAN_AHEAD_ENTRIES = 65536, SCAN_AHEAD_BYTES = 8 << 20, SCAN_CHUNK_ENTRIES = 4096 };

struct scan_dir;

/* What the walk needs of a stat, in 80 bytes rather than 144. */
struct scan_entry {
    uint64_t inode, device_id;
    uint64_t size; /* devices: st_rdev */
    int64_t mtime_s, ctime_s, atime_s;
    uint32_t mtime_ns, ctime_ns, atime_ns;
    uint32_t mode; /* 0: nothing here (vanished, excluded or unreadable) */
    uint32_t uid, gid;
    uint32_t links;
    uint32_t child; /* directories: place among the chunk's children */
};

struct scan_name {
    const char *p; /* NUL-terminated */
    uint16_t len;
    uint8_t type;  /* DT_… */
    uint8_t flags; /* SCAN_NAME_… */
};
enum {
    SCAN_NAME_DROP = 1,     /* not to be taken (while listing) */
    SCAN_NAME_DATABASE = 2, /* a SQLite database, by its header */
    SCAN_NAME_PLAIN = 4,    /* looked at, and none */
    SCAN_NAME_LIVE = 8,     /* a database with data in a -wal or -journal beside it */
    SCAN_NAME_PARENT = 16   /* on the way to a given path: a symlink here is followed */
};

enum scan_state { SCAN_WAITING, SCAN_RUNNING, SCAN_DONE };

struct scan_unit {
    struct scan_unit *above, *below; /* on the stack */
    struct scan_dir *dir;
    struct scan_chunk *chunk; /* NULL: list the directory */
    enum scan_state state;
};

struct scan_chunk {
    struct scan_unit unit;
    struct scan_entry *entries; /* entries[i] belongs to names[first + i] */
    struct scan_dir *children;
    size_t first, count;
    size_t child_count, child_released;
    size_t bytes; /* as counted against SCAN_AHEAD_BYTES */
};

struct scan_dir {
    struct scan_unit unit;
    struct scan_dir *parent; /* NULL for the root */
    const char *name;        /* in the parent's names */
    size_t name_len;
    const struct target *target; /* NULL: below a given path */
    uint64_t device_id;          /* the file system to stay on */
    bool whole;                  /* at or below a given path: everything in it is taken */
    bool follow;                 /* on the way to a given path: may be a symlink to a directory */
    bool closed;                 /* a mount point that is not to be entered */
    bool failed;                 /* could not be listed, or is gone */
    struct scan_name *names;
    size_t name_count, names_bytes;
    struct scan_chunk *chunks; /* &only, or an array */
    size_t chunk_count;
    struct scan_chunk only;
    size_t walk_chunk, walk_entry; /* the walk's own */
};

struct scan;

/* Starts the threads. Everything passed must outlive the scan. ERR_USAGE for a malformed exclude_if_present. */
int scan_new(struct scan **out, const struct files_options *options, const struct targets *targets,
             const struct sink_reporter *reporter, struct err *err);
void scan_free(struct scan *s);
struct scan_dir *scan_root(struct scan *s);
/* Has the directory listed. False when it could not be, or is gone. */
bool scan_list(struct scan *s, struct scan_dir *dir);
/* Has a chunk of a listed directory stat'ed. */
void scan_stat(struct scan *s, struct scan_chunk *chunk);
/* Frees what the walk has done with. All children have been left before. */
void scan_leave_chunk(struct scan *s, struct scan_chunk *chunk);
void scan_leave_dir(struct scan_dir *dir);
