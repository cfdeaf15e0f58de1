/*
 * The scheduler's memory on disk: daemon-memory.jsonl in the state directory, mode 0600. One line a job, the last line
 * of a job counts; each carries a checksum, so that a torn or damaged line costs what it says and nothing else (then
 * the line before it counts, or the state in jobs.json). Lines are appended, and the file is replaced whole when it has
 * become several times as long as it needs to be. One process at a time, one thread.
 */
#pragma once
#include <stddef.h>
#include "base/buf.h"
#include "base/err.h"
#include "daemon/scheduler.h"

enum { MEMORY_FILE_MAX_BYTES = 64 << 20 };

struct memory_list {
    struct scheduler_memory *items; /* each ID once */
    size_t count;
    size_t damaged; /* lines that could not be read */
};
void memory_list_release(struct memory_list *l);

struct memory_file;
/* Reads what there is. No file: an empty list. One that cannot be read, or is too large: an error, and an empty list;
 * *out is there all the same, and the next save replaces the file. */
int memory_open(const char *state_dir, struct memory_file **out, struct memory_list *list, struct err *err);
void memory_close(struct memory_file *m); /* NULL is nothing; writes nothing */
/* What changed in the scheduler since the last time; durable when it returns 0. Cheap when nothing did. After a failure
 * the next call writes all of it; jobs run nevertheless, a full disk stops no backup. */
int memory_save(struct memory_file *m, struct scheduler *s, struct err *err);

/* Lines of these, appended; and back. */
void memory_encode(const struct scheduler_memory *items, size_t count, struct buf *out);
void memory_decode(const char *text, size_t len, struct memory_list *out);
