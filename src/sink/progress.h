/* Counters of a running backup, that another thread may read at any time for a progress line. */
#pragma once
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* What became of one file or directory. */
enum backup_action { BACKUP_NEW, BACKUP_MODIFIED, BACKUP_UNCHANGED };
struct backup_item {
    const char *path; /* in the snapshot; a directory's ends in '/' */
    enum backup_action action;
    uint64_t duration_ns;                   /* since it was begun */
    uint64_t data_bytes, data_stored_bytes; /* of new blobs: before compression, as stored */
    uint64_t tree_bytes, tree_stored_bytes;
};
/* For those who want to know of each. */
struct backup_listener {
    void *ctx;
    void (*item)(void *ctx, const struct backup_item *item);   /* any thread */
    void (*walked)(void *ctx, uint64_t files, uint64_t bytes); /* the sources came to their end: so much is there */
};

struct backup_progress {
    _Atomic uint64_t files_done, dirs_done, bytes_done, bytes_read, errors;
    _Atomic uint64_t total_files, total_bytes; /* expected (from the parent snapshot); 0: unknown */
    _Atomic(const char *) stage;               /* a literal: "opening", "reading", "finishing" */
    struct backup_current *current;
    const struct backup_listener *listener; /* set before the run; NULL: nobody listens */
};
struct backup_progress *backup_progress_new(void);
void backup_progress_free(struct backup_progress *p);
/* What is being read right now, for people. */
void backup_progress_set_current(struct backup_progress *p, const char *path);
void backup_progress_current(struct backup_progress *p, char *out, size_t cap);
