/*
 * Reading many data blobs in a known order: a plan says which will be wanted, and blobs that lie near each other in one
 * pack are read with one request. Windows are small on a store with cheap reads, a few MiB elsewhere. What cannot be
 * read that way (a damaged copy) is tried again through the repository, which knows other copies.
 *
 * One thread at a time per fetch. Memory: one window and one decoded blob, both shrunk after exceptionally large ones,
 * and 88 bytes for each planned blob.
 */
#pragma once
#include "repo/repo.h"

struct fetch;

/* The index must be loaded. NULL on failure. */
struct fetch *fetch_new(struct repo *r, struct err *err);
void fetch_free(struct fetch *f); /* NULL is nothing */

/* Forgets the old plan. */
void fetch_plan_clear(struct fetch *f);
/* Adds a blob; returns its position in the plan. */
size_t fetch_plan_add(struct fetch *f, const struct id *id);
/* Plaintext bytes of the planned blob; false when the index does not know it. */
bool fetch_size(const struct fetch *f, size_t position, uint32_t *bytes_out);

/* The same for any blob, without planning it. */
bool fetch_size_of(const struct fetch *f, const struct id *id, uint32_t *bytes_out);

/* The content, verified: borrowed until the next call. ERR_NOT_FOUND, ERR_CORRUPT, or the store's error. Cheapest in
 * ascending order of positions; leaving some out is fine. */
int fetch_blob(struct fetch *f, size_t position, const unsigned char **data_out, size_t *len_out, struct err *err);
/* One blob outside of any plan. */
int fetch_one(struct fetch *f, const struct id *id, const unsigned char **data_out, size_t *len_out, struct err *err);
