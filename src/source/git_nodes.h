/* A tree of nodes under construction: files of the file system under other names, bytes of our own, in any order; then
 * pushed in the order that sinks want. Private to source/git*.c. */
#pragma once
#include <sys/stat.h>
#include "source/content.h"
#include "source/git_state.h"

struct git_nodes;

/* `like`: directories that come by themselves, and bytes, have its owner and modification time. `env` must live until
 * all contents are released. root: absolute; all paths lie below it. */
struct git_nodes *git_nodes_new(const char *root, const struct stat *like, const struct content_env *env);
/* A file or a symbolic link. `path`: in the tree; `file`: where it is. What is gone, or neither, is left out; what may
 * not be read too, with a warning. */
void git_nodes_add_file(struct git_nodes *t, const char *path, const char *file);
void git_nodes_add_bytes(struct git_nodes *t, const char *path, const void *p, size_t len);
/* Owned by the tree until it is pushed. The fingerprint is that of sink_content.by_fingerprint. */
void git_nodes_add_content(struct git_nodes *t, const char *path, uint64_t fingerprint,
                           const struct sink_content *content);
int git_nodes_push(struct git_nodes *t, struct sink *sink, struct err *err);
void git_nodes_free(struct git_nodes *t); /* with contents that were not pushed; NULL is nothing */

/* What is to be stored beside the bundle. (git_files.c) -1: it cannot be found out. */
int git_files_collect(struct git_nodes *t, struct git_capture *c, const struct git_state *s,
                      const struct sink_reporter *reporter, struct err *err);
/* Files of working trees that differ from what is committed. To be called before a state is taken, so that what is
 * committed meanwhile is in one or the other. */
int git_files_collect_trees(struct git_nodes *t, struct git_capture *c, const struct sink_reporter *reporter,
                            struct err *err);

/* A failed capture's message and code: what git cannot do with a repository means that it is damaged. Returns -1. */
int git_explain(const struct git_capture *c, const struct err *why, struct err *err);

/* The bundle as a content; the state is taken over. (git_bundle.c) */
struct sink_content git_bundle_content(struct git_capture *c, struct git_state *s);
