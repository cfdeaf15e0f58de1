/* What a capture of a repository consists of. Private to source/git*.c. */
#pragma once
#include "source/git_state.h"
#include "source/virtual.h"

/* What is to be stored beside the bundle. (git_files.c) -1: it cannot be found out. */
int git_files_collect(struct virtual_tree *t, struct git_capture *c, const struct git_state *s,
                      const struct sink_reporter *reporter, struct err *err);
/* Files of working trees that differ from what is committed. To be called before a state is taken, so that what is
 * committed meanwhile is in one or the other. */
int git_files_collect_trees(struct virtual_tree *t, struct git_capture *c, const struct sink_reporter *reporter,
                            struct err *err);

/* A failed capture's message and code: what git cannot do with a repository means that it is damaged. Returns -1. */
int git_explain(const struct git_capture *c, const struct err *why, struct err *err);

/* The bundle as a content; the state is taken over. (git_bundle.c) */
struct sink_content git_bundle_content(struct git_capture *c, struct git_state *s);
