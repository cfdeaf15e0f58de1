/*
 * A tree of files that no file system holds: dumps and what belongs to them, each a content under a path. Sources build
 * one and push it; directories come by themselves.
 */
#pragma once
#include <stddef.h>
#include <sys/types.h>
#include <time.h>
#include "base/id.h"
#include "sink/sink.h"

struct virtual_tree;

/* `time`: the modification time of every entry. Files are 0600, directories 0700, of this process's user. */
struct virtual_tree *virtual_tree_new(struct timespec time);
/* Other permissions, for entries that are added afterwards. */
void virtual_tree_set_modes(struct virtual_tree *t, mode_t file, mode_t dir);

/* path: relative, clean, bytes other than NUL ("postgres/shop/data.dump"); copied. The tree owns the content until it
 * is pushed. A path that is there already, or lies in a file, is a mistake of the caller's. Names longer than 255 bytes
 * are the caller's to avoid: see virtual_name(). */
void virtual_tree_add(struct virtual_tree *t, const char *path, struct sink_content *content);

/* The same with a fingerprint of what the content is made from: a sink whose parent snapshot has the file with the same
 * fingerprint takes it from there and never opens it. Its first 8 bytes become the node's inode number. */
void virtual_tree_add_known(struct virtual_tree *t, const char *path, const struct id *fingerprint,
                            struct sink_content *content);

/* Pushes all of it, in order. Can be done once. */
int virtual_tree_push(struct virtual_tree *t, struct sink *sink, struct err *err);
void virtual_tree_free(struct virtual_tree *t); /* with contents that were not pushed; NULL is nothing */

/* `text` as one name of a path: '/' and what cannot be in a name replaced by '_', "." and ".." and "" too, cut to 200
 * bytes at a character. The caller frees it. */
char *virtual_name(const char *text);

/* The order that sinks want, for qsort: byte order within each directory ('/' before everything, so that what is in a
 * directory stays together). */
int virtual_compare_paths(const char *a, const char *b);

/* A content of these bytes, copied. */
struct sink_content *bytes_content_new(const void *p, size_t len);
