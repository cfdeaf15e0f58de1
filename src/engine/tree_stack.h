/*
 * A walk down one snapshot, one directory after another, that knows the path it is at. The chain of open trees lies on
 * the heap, so that the depth of a tree is no matter. One thread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "base/buf.h"
#include "base/err.h"
#include "repo/repo.h"

struct tree_frame {
    struct id id;
    struct buf json;
    struct tree tree;
    size_t next;     /* the node that comes next; the caller counts */
    size_t path_len; /* of the directory's own path */
    bool touched;    /* the caller's: something below is damaged, or was changed */
};

struct tree_stack {
    struct tree_frame *frames;
    size_t depth, cap;
    struct buf path; /* "/" is the root; else "/a/b" */
};

void tree_stack_init(struct tree_stack *s);
void tree_stack_release(struct tree_stack *s);
/* Opens the tree of a directory called `name` in the one that is open (name is ignored for the first). On failure
 * nothing is pushed. Pointers into `frames` do not survive a push. */
int tree_stack_push(struct tree_stack *s, struct repo *r, struct codec *c, const struct id *tree, const char *name,
                    size_t name_len, struct err *err);
void tree_stack_pop(struct tree_stack *s);
static inline struct tree_frame *tree_stack_top(struct tree_stack *s)
{
    return &s->frames[s->depth - 1];
}
/* The path of an entry of the open directory: valid until the next call of anything here. Its length is path.len. */
const char *tree_stack_path(struct tree_stack *s, const char *name, size_t name_len);
/* The path of the open directory itself, likewise. */
const char *tree_stack_dir(struct tree_stack *s);
