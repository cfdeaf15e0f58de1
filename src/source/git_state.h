/*
 * What of a repository's objects has a name: the state that a bundle stores. Private to source/git*.c.
 *
 * Git cannot bundle what no ref leads to, and the repository must not get new ones. So every object that something
 * leads to gets a name in the bundle only: refs/clawback/reflog/… for commits that reflogs alone remember,
 * refs/clawback/index for what is staged (a commit on HEAD), refs/clawback/git-dir/… for ORIG_HEAD and its like.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "base/id.h"
#include "source/git_command.h"

enum { GIT_HEX_BYTES = 65 };

struct git_tip {
    char oid[GIT_HEX_BYTES]; /* 40 or 64 hex digits */
    char *name;
};
struct git_tips {
    struct git_tip *items;
    size_t count, cap;
};
void git_tips_add(struct git_tips *t, const char *oid, size_t oid_len, const char *name);
void git_tips_release(struct git_tips *t);

/* A working tree of the repository. */
struct git_tree {
    char *name;     /* of a linked one; NULL: the main one */
    char *git_dir;  /* where its HEAD and index are */
    char *path;     /* NULL: bare, or it is not there */
    bool conflicts; /* its index has unmerged entries (known once its state was taken) */
};

/* What a capture works with. */
struct git_capture {
    struct git_place place;
    struct git_tree *trees; /* the main one first */
    size_t tree_count;
    char *temp;              /* a directory of our own, readable by the owner */
    char *object_dir;        /* in it: for the few objects that we make */
    struct strlist settings; /* that keep the repository's filters from being run */
    uint64_t timeout_ms;
};

/* Finds the working trees and makes the temporary directory. The place is taken over, also on failure. */
int git_capture_open(struct git_capture *c, struct git_place *place, uint64_t timeout_ms, struct err *err);
void git_capture_release(struct git_capture *c); /* removes the temporary directory; a zeroed one is nothing */
struct git_call git_capture_call(const struct git_capture *c);
/* The bytes as something a process can read as its standard input; the caller closes it. -1 on failure. */
int git_capture_input(const struct git_capture *c, const void *p, size_t len, struct err *err);
/* Gives a file that we made in the temporary directory to the owner. */
int git_capture_hand_over(const struct git_capture *c, const char *path, struct err *err);

struct git_state {
    struct git_tips tips;   /* sorted by name, HEAD first; names are unique */
    size_t hex_chars;       /* of an object's name */
    struct strlist symrefs; /* "refs/remotes/origin/HEAD refs/remotes/origin/main" */
    struct id fingerprint;  /* equal when all of it is */
};

/* ERR_CORRUPT: something is damaged that leads to objects. */
int git_state_take(struct git_state *out, struct git_capture *c, struct err *err);
void git_state_release(struct git_state *s);

/* What is staged in a working tree, as a commit. Adds nothing when it is what HEAD has. (git_index.c) */
int git_index_tip(struct git_capture *c, struct git_tree *tree, struct git_tips *tips, struct err *err);
