/* Counters of a running backup, that another thread may read at any time for a progress line. */
#pragma once
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct backup_progress {
    _Atomic uint64_t files_done, dirs_done, bytes_done, bytes_read, errors;
    _Atomic uint64_t total_files, total_bytes; /* expected (from the parent snapshot); 0: unknown */
    _Atomic(const char *) stage;               /* a literal: "opening", "reading", "finishing" */
    struct backup_current *current;
};
struct backup_progress *backup_progress_new(void);
void backup_progress_free(struct backup_progress *p);
/* What is being read right now, for people. */
void backup_progress_set_current(struct backup_progress *p, const char *path);
void backup_progress_current(struct backup_progress *p, char *out, size_t cap);
