/* The work of the scanner threads: listing one directory, stat'ing one chunk. Knows nothing of threads or their order.
 * */
#pragma once
#include "source/scan.h"

/* A file whose presence excludes all else in its directory. */
struct scan_tag {
    char *name, *header; /* header: what the file must begin with; "" for anything */
    size_t name_len, header_len;
};
/* Is it there, with its header? */
bool scan_tag_is_valid(const struct scan_tag *tag, int dir_fd);

/* What all threads share. Read only. */
struct scan_rules {
    const struct files_options *options;
    const struct sink_reporter *reporter;
    struct scan_tag *tags;
    size_t tag_count;
};
int scan_rules_make(struct scan_rules *r, const struct files_options *options, const struct sink_reporter *reporter,
                    struct err *err);
void scan_rules_release(struct scan_rules *r);

/* One thread's memory, used again for every unit. */
struct scan_worker;
struct scan_worker *scan_worker_new(const struct scan_rules *rules);
void scan_worker_free(struct scan_worker *w);

/* Fills dir's names and chunks, and stats the chunk when there is only one (its unit then is SCAN_DONE). */
void scan_work_list(struct scan_worker *w, struct scan_dir *dir);
void scan_work_stat(struct scan_worker *w, struct scan_chunk *chunk);
