/* Is a snapshot in a list already, under an ID of its own there? The stock program's rule. */
#pragma once
#include "repo/repo.h"

struct copy_match;
/* The list must outlive it. */
struct copy_match *copy_match_new(const struct snapshot_list *list);
/* The snapshot of the list that is this one, or was copied from it or from what it was copied from, and agrees with it
 * in all but parent and original; NULL: none. */
const struct snapshot *copy_match_find(const struct copy_match *m, const struct snapshot *s);
void copy_match_free(struct copy_match *m); /* NULL is nothing */
