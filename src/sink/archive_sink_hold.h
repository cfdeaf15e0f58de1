/*
 * Content that is held back until it is known whether it is whole, and how long: in memory as far as that goes, the
 * rest in a spool. Holes are remembered, not filled. Reset, add, end, take: in this order. One thread at a time.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "base/id.h"
#include "sink/tar.h"

struct archive_hold;
/* The directory for a spool when one is needed: a call, since it is better asked then. */
typedef const char *archive_hold_dir_fn(void *ctx);
struct archive_hold *archive_hold_new(size_t memory_bytes, archive_hold_dir_fn *dir, void *ctx);
void archive_hold_free(struct archive_hold *h); /* NULL is nothing */

void archive_hold_reset(struct archive_hold *h);
/* Room in memory that is still free: NULL and 0 when there is none (then archive_hold_add). The caller writes there and
 * says how much by archive_hold_added(). */
unsigned char *archive_hold_room(struct archive_hold *h, size_t *len_out);
void archive_hold_added(struct archive_hold *h, size_t len);
int archive_hold_add(struct archive_hold *h, const void *p, size_t len, struct err *err);
/* A hole; false when there are too many already: then its zeros must be added. */
bool archive_hold_hole(struct archive_hold *h, uint64_t bytes);

/* Data that is not kept: from then on there is only the map of what was added. */
void archive_hold_pass(struct archive_hold *h, uint64_t bytes);

uint64_t archive_hold_size(const struct archive_hold *h);       /* with holes */
uint64_t archive_hold_hole_bytes(const struct archive_hold *h); /* of these */
const struct tar_segment *archive_hold_segments(const struct archive_hold *h, size_t *count_out);

/* Ends adding. */
int archive_hold_end(struct archive_hold *h, struct err *err);
/* What was added, without the holes: up to cap bytes, 0 at the end, -1. */
int64_t archive_hold_take(struct archive_hold *h, void *p, size_t cap, struct err *err);
