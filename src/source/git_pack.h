/*
 * A bundle of a state as a stream: complete, verified, and made so that it has nearly all bytes in common with the one
 * of a few commits before. Private to source/git*.c.
 *
 * A pack as git orders it changes everywhere with every commit. So ours is put together of parts, oldest commits first,
 * each packed by a git of its own. Where history is cut depends on the commits' names alone: a commit whose name ends
 * (in its first 32 bits) in 12 zero bits, with all that it leads to, belongs to the first part (as do the commits that
 * a history begins with), one with 9 to the second, and so on; a new commit is most likely to touch the last, smallest
 * part alone. Each object is in one part
 * only, and later parts have deltas against earlier ones, so that all together are one pack like any other.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "source/git_state.h"

struct git_pack;
/* Looks at all objects and starts packing. The capture and the state must outlive it. */
int git_pack_open(struct git_pack **out, const struct git_capture *c, const struct git_state *s, struct err *err);
/* Up to cap bytes of the bundle, as many as it can get: 0 at the end, and only when git has read it and found it whole;
 * -1 else. */
int64_t git_pack_read(struct git_pack *p, void *out, size_t cap, struct err *err);
void git_pack_free(struct git_pack *p); /* NULL is nothing */

/* The objects to pack, found and dealt out to the parts. (git_parts.c) */
enum { GIT_PARTS = 5 };
struct git_part {
    struct process *packer; /* its output is a pack of this part's objects; NULL: nothing falls to it */
    uint64_t objects;
};
int git_parts_start(struct git_part parts[GIT_PARTS], const struct git_capture *c, const struct git_state *s,
                    struct err *err);
