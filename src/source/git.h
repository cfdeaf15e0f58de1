/*
 * Git repositories: finding them, storing them whole, checking and pushing them. Everything is done by the stock `git`,
 * found in PATH, which is run as the repository's owner when we are root.
 *
 * A capture never writes to the repository: no refs, no optional locks, no garbage collection; hooks, file system
 * monitors and filters that its configuration names are not run. What it stores is described in docs/git.md:
 *
 *     /git/<path of the repository>/
 *         repository.bundle        all objects of all refs, stashes, reflogs and indexes, under the refs' names and
 *                                  refs/clawback/…; missing when there is nothing in it
 *         git-dir/…                what else the git directory holds: config, hooks, info, reflogs, a merge under way
 *         worktree/…               of the main working tree: files/… that are modified or untracked and not ignored,
 *                                  deleted, status
 *         worktrees/<name>/…       the same of linked working trees
 *
 * Any function may be called from any thread. All of them look at os_interrupted() while they wait.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "base/strlist.h"
#include "source/source.h"

/*
 * The repositories at and below the paths (absolute), each once: those with a working tree by the path of that, bare
 * ones by their own; submodules, too, even when they are not checked out. A linked working tree leads to its main
 * repository, wherever that is. Symbolic links are not followed, but for the paths themselves.
 *   repositories_out  appended to, sorted
 *   notes             appended to: lines that say what could not be looked at; NULL: not wanted
 * ERR_NOT_FOUND: a path does not exist. ERR_INTERRUPTED. Finding none is no error.
 */
int git_find(const struct strlist *paths, struct strlist *repositories_out, struct strlist *notes, struct err *err);

/* Is there a repository at this very path (not only below or above it)? */
bool git_is_repository(const char *path);

struct git_options {
    const char *path;    /* as git_find() gives them; copied */
    uint64_t timeout_ms; /* for each git process of the capture; 0: none */
};

/*
 * A source (strict) for one repository; its snapshot path is "/git" and the repository's path. The bundle's node has a
 * fingerprint (see virtual.h), so that nothing is packed as long as no ref, reflog or index has changed. The bundle is
 * verified while it is streamed: when git cannot vouch for it, the reading fails. What vanishes under our hands (gc, a
 * reset) is captured anew, three times at most.
 * ERR_NOT_FOUND: no repository there. ERR_UNSUPPORTED: one that lacks objects by design (a partial clone).
 */
int git_source_new(struct source **out, const struct git_options *options, struct err *err);

/* ---- pushing */

enum git_push_state { GIT_PUSH_UP_TO_DATE, GIT_PUSH_UPDATED, GIT_PUSH_CREATED, GIT_PUSH_REJECTED };
const char *git_push_state_name(enum git_push_state state); /* "up to date", "updated", "created", "rejected" */

struct git_push_ref {
    char *name; /* "refs/heads/main" */
    enum git_push_state state;
    char *why; /* of a rejected one, as git says it: "non-fast-forward", "pre-receive hook declined"; else NULL */
};
struct git_push_result { /* a zeroed one is empty */
    struct git_push_ref *refs;
    size_t count, rejected;
};
void git_push_result_release(struct git_push_result *r);

struct git_push_options {
    const char *repository; /* path */
    const char *remote;     /* its name */
    uint64_t timeout_ms;    /* 0: none */
    bool dry_run;           /* asks the remote, sends nothing: can it be pushed to? */
};

/*
 * Pushes all branches and tags, without force and without ever prompting, by the owner's own git and SSH configuration
 * (his pre-push hook too: it may be what keeps secrets in).
 * 0: the remote has everything. ERR_NOT_FOUND: no such remote or no repository. ERR_TIMEOUT: stopped in time.
 * ERR_FAILED: some ref was rejected, or all failed; the message names the refs and reasons. Either way out holds what
 * is known of each ref and is the caller's to release. URLs in messages have no passwords in them.
 */
int git_push(const struct git_push_options *options, struct git_push_result *out, struct err *err);

/* ---- checking */

/* `git fsck` of all objects. ERR_CORRUPT: the message has git's first finding, which a second look confirmed, and what
 * to do. timeout_ms: for each look; 0: none. */
int git_fsck(const char *repository, uint64_t timeout_ms, struct err *err);

struct git_health {            /* a zeroed one is empty */
    bool bare, shallow, empty; /* empty: no commit yet */
    bool detached;             /* HEAD of the main working tree is on no branch */
    char *branch;              /* that HEAD is on, "main"; NULL when detached */
    const char *in_progress;   /* "merge", "rebase", "cherry-pick", "revert", "bisect", "am"; NULL: none */
    size_t conflicts, staged, modified, untracked; /* files of the main working tree */
    struct strlist remotes;
};
void git_health_release(struct git_health *h);

/* A look at a repository, for people: cheap, local, without checking objects. ERR_NOT_FOUND: none there; ERR_CORRUPT:
 * git cannot work with it. */
int git_health(const char *repository, uint64_t timeout_ms, struct git_health *out, struct err *err);
