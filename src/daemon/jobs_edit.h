/*
 * Changes to the text of jobs.json that leave every other byte alone: comments, order, layout. What is added looks like
 * its neighbours (on a line of its own, indented as they are, or on theirs). Pure functions.
 *
 * Edits are collected against one tree and applied together; then the result is parsed and compared with the tree and
 * what was asked for, so that a mistake in here cannot damage a file.
 */
#pragma once
#include <stddef.h>
#include "base/buf.h"
#include "base/err.h"
#include "daemon/jobs_text.h"

/* A member to be set. */
struct jobs_set {
    const char *key;
    char *value; /* JSON text, one line for a scalar; the caller's */
};

struct jobs_edits;
/* The tree and its text must outlive it. */
struct jobs_edits *jobs_edits_new(const struct jobs_text *t);
void jobs_edits_free(struct jobs_edits *e);

/* Sets members of an object: a value is replaced where there is one (the last, of a member that occurs twice), and the
 * others are added at the end. What has this very text already stays. Once for an object at most. */
void jobs_edit_set(struct jobs_edits *e, const struct jobs_node *object, const struct jobs_set *sets, size_t count);
/* Adds an element at the end of a list. `pretty` may have several lines, and is indented; `compact` is used where the
 * list is on one line. Once for a list at most. */
void jobs_edit_append(struct jobs_edits *e, const struct jobs_node *list, const char *pretty, const char *compact);
/* Takes a member or an element out, with the comment behind it on its line. The only edit of its container. */
void jobs_edit_remove(struct jobs_edits *e, const struct jobs_node *container, const struct jobs_node *child);

/* Appends the new text. ERR_FAILED: it would not be what was meant; out is to be thrown away. */
int jobs_edits_apply(struct jobs_edits *e, struct buf *out, struct err *err);
