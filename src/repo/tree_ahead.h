/*
 * The trees of a stored snapshot, loaded ahead of somebody who walks them depth first. Threads load subtrees in the
 * walk's own order, as far ahead as a budget of memory allows; a tree that is wanted before its turn is loaded by
 * whoever wants it. One thread walks.
 */
#pragma once
#include "repo/repo.h"

struct tree_ahead;
struct ahead_tree; /* one directory's tree, loaded or not yet */

/* Needs the index loaded. threads ≥ 1; budget_bytes bounds what is loaded and not yet asked for. */
struct tree_ahead *tree_ahead_new(struct repo *r, unsigned threads, size_t budget_bytes, struct err *err);
/* Starts a walk. Only one root at a time. */
struct ahead_tree *tree_ahead_root(struct tree_ahead *ta, const struct id *id);
/* The tree itself, its nodes without `raw`; valid until ahead_tree_done. -1 when it cannot be loaded (missing,
 * damaged). */
int ahead_tree_get(struct tree_ahead *ta, struct ahead_tree *at, const struct tree **out, struct err *err);
/* The subtree of a directory node of a tree that ahead_tree_get returned; NULL when the node has none. */
struct ahead_tree *ahead_tree_child(struct ahead_tree *at, const struct node *dir);
const struct id *ahead_tree_id(const struct ahead_tree *at);
/* The walk is through with this directory: it and everything below it is freed. The root frees all. */
void ahead_tree_done(struct tree_ahead *ta, struct ahead_tree *at);
void tree_ahead_free(struct tree_ahead *ta); /* after the root is done; NULL is nothing */
