/*
 * What is known of a repository's snapshots from the last time they were all read: their texts, by ID. A snapshot's
 * file is named after its content, so that the list of names tells what is still to be read, and nothing here can be
 * out of date: what is new is read, what is gone is dropped.
 *
 * For the handles that one program opens of a repository one after the other (repo->memo). One thread at a time.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "base/buf.h"
#include "base/id.h"

enum { SNAPSHOT_MEMO_MAX_BYTES = 32 << 20 }; /* of all texts; what is beyond is read each time */

struct snapshot_memo_text {
    struct id id;
    char *json; /* NULL: not read yet, or no room for it */
    size_t len;
};

/* All zero: nothing is known. */
struct snapshot_memo {
    struct snapshot_memo_text *texts; /* sorted by ID */
    size_t count, bytes;
};

/* These, in ascending order, are all that there are now. Then texts[i] is that of ids[i]. */
void snapshot_memo_list(struct snapshot_memo *m, const struct id *ids, size_t count);
/* Appends the text of the i-th; false: it is not known. */
bool snapshot_memo_get(const struct snapshot_memo *m, size_t i, struct buf *out);
/* It was just read. */
void snapshot_memo_put(struct snapshot_memo *m, size_t i, const struct buf *json);
void snapshot_memo_release(struct snapshot_memo *m);
