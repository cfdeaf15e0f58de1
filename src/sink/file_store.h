/*
 * Files into blobs: a queue of files, and workers that read, cut and store them. A file's chunks are shared out to
 * workers that have nothing else to do, so that one big file keeps every CPU busy.
 */
#pragma once
#include "chunk/chunker.h"
#include "repo/writer.h"
#include "sink/progress.h"
#include "sink/sink.h"

struct file_task {
    struct node *node;           /* corrected from what was read: size, times; the caller's */
    char *path;                  /* for messages; freed with the task */
    struct sink_content content; /* released with the task */
    void *owner;                 /* the caller's */
    struct id *ids;              /* out: the blobs in order */
    size_t count, cap;
    size_t outstanding;          /* batches of it that other workers have */
    uint64_t bytes;              /* out: read */
    _Atomic uint64_t done_bytes; /* stored, or known to be */
    uint64_t began_ns;
    _Atomic uint64_t new_bytes, new_stored_bytes; /* of its blobs that were new: before compression, as stored */
};

enum file_outcome {
    FILE_STORED,
    FILE_DROPPED, /* it vanished, or could not be read (and was reported): it is not in the snapshot */
};

struct file_store;
/* Called on a worker when a file is through, with that worker's codec. The task is freed afterwards. -1 with an error
 * ends everything (file_store_wait returns it). */
typedef int file_done_fn(void *ctx, struct file_task *task, enum file_outcome outcome, struct codec *codec,
                         struct err *err);

struct file_store *file_store_new(struct repo *r, struct writer *w, const struct sink_reporter *reporter,
                                  struct backup_progress *progress, file_done_fn *done, void *ctx, struct err *err);
/* Takes the task over; waits while the queue is full. -1 (task freed) once something has failed. */
int file_store_submit(struct file_store *fs, struct file_task *task, struct err *err);
/* Waits until every file is through. -1 with the first failure. */
int file_store_wait(struct file_store *fs, struct err *err);
/* Notes a failure from outside: the rest is dropped unread. */
void file_store_fail(struct file_store *fs, const struct err *err);
void file_store_free(struct file_store *fs); /* NULL is nothing */
void file_task_free(struct file_task *t);
