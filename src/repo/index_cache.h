/*
 * The index cache: one local file that holds the sorted index, so that opening a large repository reads no JSON.
 *
 *     OFFSET  SIZE     CONTENT
 *     0       8        "cbindex1"
 *     8       8        u64le length of the sealed head
 *     16      …        seal(head): u64le counts of index files, packs and entries; then the index files' IDs (sorted)
 * and the pack IDs …       …        seal(entries): struct index_entry, in order (48 bytes each, this machine's byte
 * order)
 *
 * Both parts are encrypted and authenticated with the repository's key: a cache tells a reader no more than the
 * repository does, and a damaged one is noticed and left aside. It is only ever a copy: losing it costs time.
 */
#pragma once
#include "repo/repo.h"

/* NULL when there is no usable cache. *ids (the caller's) are the index files that it covers. The index is sealed. */
struct index *index_cache_read(struct repo *r, struct id **ids, size_t *count);
/* Writes r->index as the union of these index files (sorted). Failures are silent: the next run reads the index files.
 */
void index_cache_write(struct repo *r, const struct id *ids, size_t count);
