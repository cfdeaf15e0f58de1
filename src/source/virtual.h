/*
 * A tree that no file system holds: dumps and what belongs to them, each a content under a path; and files of the file
 * system under other names. Sources build one, in any order, and push it; directories come by themselves.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>
#include "sink/sink.h"
#include "source/content.h"

struct virtual_tree;

/* `time`: the modification time of every entry. Files are 0600, directories 0700, of this process's user. */
struct virtual_tree *virtual_tree_new(struct timespec time);
/* One whose paths all lie below `root` (absolute), and in which what is made up has the owner and the modification time
 * of `like`. `env` must live until all contents are released. */
struct virtual_tree *virtual_tree_new_at(const char *root, const struct stat *like, const struct content_env *env);
/* Other permissions, for what is added and made up afterwards. */
void virtual_tree_set_modes(struct virtual_tree *t, mode_t file, mode_t dir);

/* path: relative, clean, bytes other than NUL ("postgres/shop/data.dump"); copied. The tree owns the content (a copy of
 * *content) until it is pushed. Of a path that is there already only one is pushed; one that lies in a file is a
 * mistake of the caller's. Names longer than 255 bytes are the caller's to avoid: see virtual_name(). */
void virtual_tree_add(struct virtual_tree *t, const char *path, const struct sink_content *content);
void virtual_tree_add_bytes(struct virtual_tree *t, const char *path, const void *p, size_t len);
/* With a fingerprint of what the content is made from, that of sink_content.by_fingerprint: a sink whose parent
 * snapshot has the file with the same one takes it from there and never opens it. */
void virtual_tree_add_known(struct virtual_tree *t, const char *path, uint64_t fingerprint,
                            const struct sink_content *content);
/* A file or a symbolic link, into a tree with an `env`. `file`: where it is. What is gone, or neither, is left out;
 * what may not be read too, with a warning. */
void virtual_tree_add_file(struct virtual_tree *t, const char *path, const char *file);

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
