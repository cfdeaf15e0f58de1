/*
 * The files of a tier: which paths, and what is left out of them. The one place that decides it: `run` stores by it,
 * `plan` and `doctor` tell from it.
 */
#pragma once
#include "base/err.h"
#include "base/strlist.h"
#include "plan/plan.h"
#include "source/filter.h"

struct tier_files {
    struct strlist paths;    /* absolute, clean */
    struct strlist excludes; /* the patterns, as snapshots record them: the agent's first, then the tier's own */
    struct strlist own;      /* never taken: our repositories, archives and cache */
    struct filter *filter;   /* of excludes and own; NULL: none */
    struct filter *fine_cut; /* what grows in agents' homes: see files_options.fine_cut; NULL: nothing */
    struct strlist unread, unread_why; /* homes' configurations: see files_options.unread */
};
/* An agent's home among the paths (the plan's, one that is found, or one that looks like it) brings what belongs to it
 * elsewhere, and the excludes for it (with no_agent_excludes those for .ssh alone). tier_files_release() either way. */
int tier_files_gather(const struct plan *p, const struct plan_tier *t, const char *cache_dir, struct tier_files *out,
                      struct err *err);
void tier_files_release(struct tier_files *f);
