/*
 * Walking the trees of a snapshot, depth first, in the stored (ascending byte) order of names.
 *
 * The walk runs on the caller's thread; helper threads may load the trees that come next. Memory: the trees of the
 * directories on the way down, and at most a few dozen that were loaded ahead. A tree is shared and counted: a visitor
 * that needs nodes after its callback returned (to hand them to other threads) holds a reference to their tree.
 * The nodes' `raw` is not available (NULL).
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"
#include "repo/repo.h"

/* A directory deeper than this is refused: no file system's path reaches there. */
enum { WALK_DEPTH_MAX = 4096 };

struct walk_tree {
    struct tree tree;
    _Atomic unsigned refs;
};
/* `json` is scratch space that the caller keeps between calls. ERR_NOT_FOUND, ERR_CORRUPT; NULL then. */
struct walk_tree *walk_tree_load(struct repo *r, struct codec *c, const struct id *id, struct buf *json,
                                 struct err *err);
struct walk_tree *walk_tree_ref(struct walk_tree *t);
void walk_tree_unref(struct walk_tree *t); /* NULL is nothing; any thread */

/* A directory that the walk is in. */
struct walk_dir {
    struct walk_dir *parent; /* NULL: the root */
    const struct node *node; /* itself, as its parent's tree has it; NULL: the root */
    struct walk_tree *tree;  /* its entries */
    const struct id *id;     /* of the tree */
    unsigned depth;          /* 0: the root */
    void *user;              /* the visitor's */
};

enum { WALK_GO = 0, WALK_PRUNE = 1 };

/* Every callback but `entry` may be NULL. Paths are absolute within what is walked ("/a/b", the root is "/"), valid for
 * the call. A return of -1 (with err set) ends the walk. */
struct walk_visitor {
    void *ctx;
    /* Each node of a directory, before anything below it. WALK_PRUNE: do not go into this directory. */
    int (*entry)(void *ctx, struct walk_dir *dir, const struct node *node, const char *path, struct err *err);
    /* A directory (the root too) whose tree is loaded, before its first entry. */
    int (*enter)(void *ctx, struct walk_dir *dir, const char *path, struct err *err);
    /* After its last entry; called for every directory that was entered, also when the walk ends early (then failed is
     * true and the return value is ignored). */
    int (*leave)(void *ctx, struct walk_dir *dir, const char *path, bool failed, struct err *err);
    /* A tree that cannot be loaded; 0: go on without it. NULL: the walk ends with the error. */
    int (*broken)(void *ctx, const char *path, const struct id *tree, const struct err *why, struct err *err);
};

/* Walks everything below the tree `root`. prefetch_threads 0: no helper threads. The index must be loaded. Interruption
 * by a signal ends it with ERR_INTERRUPTED. */
int walk_run(struct repo *r, const struct id *root, unsigned prefetch_threads, const struct walk_visitor *visitor,
             struct err *err);
/* A sensible number for walk_run: one for a local store, more where each read takes its time. */
unsigned walk_prefetch_threads(const struct repo *r);

/* Finds the node at an absolute path below the tree `root`. On success *tree_out (the caller unrefs it) is the tree
 * that *node_out lies in; for the root itself ("/", "", or a path of slashes) *node_out is NULL. ERR_NOT_FOUND. */
int walk_find(struct repo *r, const struct id *root, const char *path, struct walk_tree **tree_out,
              const struct node **node_out, struct err *err);
/* The same for a directory: its tree's ID. ERR_NOT_FOUND, ERR_USAGE when it is no directory. */
int walk_find_dir(struct repo *r, const struct id *root, const char *path, struct id *out, struct err *err);
