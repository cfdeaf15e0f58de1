/*
 * The sources of a tier, each of which becomes a snapshot of its own: its files, each git repository, each database
 * server, command and so on. What is found is a list; each is opened when its turn comes, and again should it have to
 * be read once more.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"
#include "base/strlist.h"
#include "plan/plan.h"
#include "run/tier_files.h"
#include "source/files.h"
#include "source/source.h"

enum tier_source_kind { TIER_FILES, TIER_GIT, TIER_POSTGRES, TIER_REDIS, TIER_SQLITE, TIER_COMMAND };

struct tier_source {
    enum tier_source_kind kind;
    char *name;         /* what its snapshot has as its path, where that is known before it is opened; else NULL */
    char *label;        /* for messages: "files", "/git/srv/shop", "postgres in container 'db'" */
    size_t index;       /* in the tier's list of its kind */
    char *repository;   /* TIER_GIT: its path */
    struct err problem; /* it could not even be looked for; ERR_NONE: fine */
};

struct tier_sources {
    const struct plan *plan;
    const struct plan_tier *tier;
    struct tier_source *items;
    size_t count;
    struct tier_files files;
    struct files_options files_options;
    struct strlist notes; /* what could not be looked at, for people */
};

/* A source that cannot be found is in the list, with its problem. -1: the files' patterns are wrong, or an interrupt.
 * tier_sources_release() either way; it must outlive the sources that were opened. */
int tier_sources_gather(const struct plan *p, const struct plan_tier *t, const char *cache_dir,
                        struct tier_sources *out, struct err *err);
/* Its git repositories alone, each once, to look at: items have `repository`, or `problem`. Likewise released. */
int tier_sources_repositories(const struct plan_tier *t, struct tier_sources *out, struct err *err);
void tier_sources_release(struct tier_sources *s);

const char *tier_source_kind_name(enum tier_source_kind kind); /* "files", "git", "postgres" … */
int tier_source_open(const struct tier_sources *all, const struct tier_source *s, struct source **out, struct err *err);
/* Opening or pushing failed with this: is it a server that does not run, and the tier says that this is fine (when:
 * running)? */
bool tier_source_is_absent(const struct tier_sources *all, const struct tier_source *s, const struct err *why);
/* The remote that a git source is to be pushed to, and for how long; NULL: none. */
const char *tier_source_remote(const struct tier_sources *all, const struct tier_source *s, uint64_t *timeout_ms_out);
/* A repository that was only found below a named path need not have the remote: it is not pushed, and nothing is wrong.
 */
bool tier_source_may_lack_remote(const struct tier_sources *all, const struct tier_source *s);
/* Is it one dump, whose size means something (and no tree of files, which may shrink as it likes)? */
bool tier_source_is_dump(const struct tier_source *s);
