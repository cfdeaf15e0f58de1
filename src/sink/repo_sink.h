/*
 * The repository as a sink: files become blobs, directories trees, and the root tree the content of a snapshot.
 *
 * One thread pushes; workers (one a CPU) read, cut and store files. A big file's chunks are shared out to workers that
 * have nothing else to do. A directory's tree is encoded and stored by whoever finishes its last entry. Memory is
 * bounded by the queue of files, the directories that are open, and two buffers a worker.
 *
 * Files whose size, mtime, ctime and inode equal the parent snapshot's, and whose blobs are all in the index, are taken
 * from there and never opened.
 */
#pragma once
#include "repo/snapshot.h"
#include "repo/writer.h"
#include "sink/progress.h"
#include "sink/sink.h"

struct repo_sink_options {
    const struct id *parent_tree; /* NULL: none; everything is new */
    bool force;                   /* read every file although it looks unchanged */
    bool ignore_ctime, ignore_inode;
};

struct repo_sink;
/* The writer, reporter and progress must outlive the sink. The repository's index must be loaded. */
struct repo_sink *repo_sink_new(struct repo *r, struct writer *w, const struct repo_sink_options *options,
                                const struct sink_reporter *reporter, struct backup_progress *progress,
                                struct err *err);
struct sink *repo_sink_base(struct repo_sink *s);
/* After the last dir_end: waits for everything and stores the root tree. The writer is not flushed. */
int repo_sink_finish(struct repo_sink *s, struct id *root_out, struct err *err);
/* What was counted: fields of the summary but times and the writer's (data_blobs … data_added_packed). */
void repo_sink_summary(const struct repo_sink *s, struct snapshot_summary *out);
/* Ends the workers; contents not yet read are released unread. NULL is nothing. */
void repo_sink_free(struct repo_sink *s);
