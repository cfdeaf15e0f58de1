/*
 * What the restore_*.c files share. Nobody else includes this.
 *
 *   restore.c           the run: phases, the walk, batches
 *   restore_dir.c       directories: made, opened, counted, finished
 *   restore_entry.c     one entry of any type; hard links
 *   restore_file.c      one regular file: new, or over an existing one
 *   restore_content.c   a file's bytes: compared, fetched, written, on several threads if it is large
 *   restore_sidecars.c  what a replaced database left beside itself
 *   restore_meta.c      owner, mode, attributes, times
 *   restore_links.c     which inode was restored where
 *   restore_delete.c    removing what is in the way or too much
 *   restore_space.c     will it fit?
 */
#pragma once
#include <pthread.h>
#include <sys/stat.h>
#include "crypto/sha256.h"
#include "engine/fetch.h"
#include "engine/restore.h"
#include "engine/restore_cover.h"
#include "engine/walk.h"
#include "os/pool.h"

enum restore_mode { MODE_RESTORE, MODE_DRY_RUN, MODE_VERIFY };

enum {
    RESTORE_BATCH_ITEMS = 64,
    RESTORE_BATCH_BYTES = 1 << 20,
    RESTORE_LARGE_BYTES = 16 << 20, /* larger files are restored by several threads at once */
    RESTORE_LARGE_BLOBS = 1024,
    RESTORE_RANGE_BYTES = 8 << 20,
    RESTORE_THREADS_MAX = 8,
};

struct link_dir;
struct links;

/*
 * A directory that is being restored. It lives until all that is in it is done: `pending` counts the walk, each entry
 * that waits or is worked on, and each directory below. Whoever brings it to 0 sets the directory's own metadata. The
 * fields but `pending` and `link_dir` are written by the walking thread before any entry is handed out.
 */
struct rdir {
    struct rdir *parent;     /* NULL: the target */
    struct walk_tree *tree;  /* keeps the entries' nodes; NULL: the target's own place */
    const struct node *node; /* itself (in the parent's tree); NULL: the target */
    int fd;                  /* -1: not opened */
    _Atomic unsigned pending;
    bool selected; /* by the filters */
    bool opened;   /* tried, successfully or not */
    bool failed;   /* reported already: leave everything below alone */
    bool missing;  /* a dry run, or a check: it is not there */
    bool created;
    bool plain;     /* what is made in it gets our own owner and no access list */
    bool protected; /* the overwrite rule keeps its metadata */
    struct link_dir *link_dir;
};

struct restore;

/* What belongs to one worker thread. */
struct restore_worker {
    struct restore *run;
    struct fetch *fetch;
    struct sha256 *sha;
    unsigned char *compare; /* grows to the largest blob met */
    size_t compare_cap;
    struct link_dir *link_dir; /* whose descriptor link_fd is; NULL: none */
    int link_fd;
};

struct restore_item {
    struct rdir *dir; /* holds one of its `pending` */
    const struct node *node;
    size_t plan; /* position of its first blob in the worker's plan */
};

struct restore_batch {
    struct restore *run;
    size_t count;
    uint64_t bytes;
    struct restore_item items[RESTORE_BATCH_ITEMS];
};

struct restore {
    struct repo *repo;
    const struct restore_options *options;
    const struct restore_reporter *reporter;
    struct restore_progress *progress;
    struct restore_result *result;
    enum restore_mode mode;
    struct id root;                /* tree */
    const char *only;              /* not NULL: restore this one entry of the root tree */
    struct walk_tree *root_parent; /* holds root_node; NULL: none */
    const struct node *root_node;  /* what the snapshot has about the directory that the target stands for */
    struct restore_cover cover;
    uid_t euid;
    gid_t egid;
    struct rdir *target;
    struct links *links;
    struct pool *pool;
    struct restore_worker *workers;
    unsigned threads;
    uint64_t batch_bytes;
    struct restore_batch *batch;     /* being filled */
    bool entry_selected;             /* of the directory entry that the walk visited last */
    uint64_t seen_files, seen_bytes; /* that the walk selected or entered so far */
    struct links *counted;           /* inodes in seen_bytes */
    _Atomic uint64_t xattrs_unsupported, owners_kept;
    _Atomic bool stopped; /* an error that concerns everything: see fatal */
    pthread_mutex_t fatal_mutex;
    struct err fatal;
};

enum restore_outcome { OUTCOME_CREATED, OUTCOME_UPDATED, OUTCOME_UNCHANGED, OUTCOME_FAILED };

/* restore.c */
bool restore_stopped(struct restore *r);
/* Reports an error about an entry (name NULL: about the directory itself). A full disk stops the run. */
void restore_report(struct restore *r, const struct rdir *dir, const char *name, const struct err *err);
void restore_warn(struct restore *r, const struct rdir *dir, const char *name, const char *what);
void restore_note(struct restore *r, enum restore_action action, const struct rdir *dir, const char *name,
                  uint64_t bytes);
bool restore_selects(const struct restore *r, const char *path);
bool restore_may_select_below(const struct restore *r, const char *path);
/* Does the overwrite rule leave an existing entry of this modification time alone? */
bool restore_protects(const struct restore *r, const struct node *node, const struct stat *st);

/* restore_dir.c */
struct rdir *rdir_new(struct rdir *parent, const struct node *node, struct walk_tree *tree);
/* The target itself: made if need be. */
struct rdir *rdir_target(struct restore *r, struct err *err);
/* Opens it, making it and its parents where needed. False when that failed (reported once) or, in a dry run or check,
 * where `missing` then says that it isn't there. The walking thread only. */
bool rdir_open(struct restore *r, struct rdir *d);
void rdir_hold(struct rdir *d);
void rdir_release(struct restore *r, struct rdir *d);
/* "/a/b/name" (name may be NULL); the caller frees it. */
char *rdir_path(const struct rdir *d, const char *name);

/* restore_entry.c */
void restore_batch_run(void *arg, unsigned worker); /* a pool task; frees the batch */

/* restore_file.c: the file's bytes and metadata. `plan` as in restore_item. *st_out: what it is now, when hard links
 * need to know (may be NULL). */
enum restore_outcome restore_file(struct restore_worker *w, struct rdir *dir, const struct node *node, size_t plan,
                                  bool may_share, struct stat *st_out);
/* Its content against what the snapshot says, without changing anything. */
enum restore_outcome restore_file_compare(struct restore_worker *w, struct rdir *dir, const struct node *node,
                                          size_t plan);
bool restore_is_large(const struct node *node);

/* restore_sidecars.c: after a file, removes a -wal, -shm or -journal beside it that belongs to the database it
 * replaced. */
void restore_sidecars(struct restore *r, struct rdir *dir, const struct node *n, enum restore_outcome outcome);

/* restore_content.c */
struct restore_content {
    struct rdir *dir;
    const struct node *node;
    int fd;
    bool write;        /* false: only compare */
    uint64_t old_size; /* of an existing file: so many bytes are compared before anything is fetched */
    bool sparse_new;   /* what is not written is a hole */
    mode_t old_mode;   /* an existing file's: made private before anything is written to it */
    _Atomic bool differs, failed, made_private;
};
/* All of the file. `plan`: position of its blobs in the plan (used for files that are not large). `may_share`: other
 * workers may help; the worker's plan is lost then. Errors are reported, once a file; c->failed tells. */
void restore_content_run(struct restore_worker *w, struct restore_content *c, size_t plan, bool may_share);
/* Adds the node's blobs to the worker's plan; returns the position of the first. */
size_t restore_content_plan(struct restore_worker *w, const struct node *node);
int restore_content_write(struct restore_content *c, const unsigned char *p, size_t len, uint64_t offset, bool sparse,
                          struct err *err);

/* restore_meta.c */
struct restore_object {
    int fd; /* of the entry itself, or -1: then by name, never following a symlink */
    int dir_fd;
    const char *name;
};
struct restore_state {
    bool known;  /* the fields below are what the entry has now */
    bool fresh;  /* made just now, without any extended attribute */
    mode_t mode; /* permission bits */
    uid_t uid;
    gid_t gid;
    struct timespec mtime; /* used when !fresh */
};
/* Brings everything but the content to what the node says. -1 with the first error; all is tried. */
int restore_meta_apply(struct restore *r, const struct restore_object *o, const struct node *node,
                       const struct restore_state *have, struct err *err);
struct restore_state restore_state_of(const struct stat *st);
/* Would restore_meta_apply change anything that stat shows? */
bool restore_meta_equal(const struct restore *r, const struct node *node, const struct stat *st);
/* Will a new entry's owner be right without asking? */
bool restore_owner_is_ours(const struct restore *r, const struct node *node);

/* restore_links.c: thread-safe. */
struct restore_link;
struct link_waiter {
    struct link_waiter *next;
    struct rdir *dir; /* holds one of its `pending` */
    const struct node *node;
};
enum link_role {
    LINK_LEAD,   /* the first of its inode: restore it, then call links_done */
    LINK_WAIT,   /* another thread restores the first: it takes care of this entry, and of its directory's hold */
    LINK_FOLLOW, /* make a link to the first, then call links_followed */
};
struct links *links_new(void);
void links_free(struct links *l);
enum link_role links_join(struct links *l, struct rdir *dir, const struct node *node, struct restore_link **out);
/* The first was restored (st: what it is), or was not (NULL). Returns those that waited: after success all of them,
 * each to be linked and answered with links_followed; after failure at most one, which now leads. The caller frees
 * them. */
struct link_waiter *links_done(struct links *l, struct restore_link *link, struct rdir *dir, const char *name,
                               const struct stat *st);
void links_followed(struct links *l, struct restore_link *link);
/* Where the first is: its directory's path below the target, its name and its identity. */
struct link_dir *link_dir_of(const struct restore_link *link);
bool links_same_dir(struct links *l, const struct restore_link *link, const struct rdir *dir);
const char *link_name(const struct restore_link *link);
bool link_is(const struct restore_link *link, const struct stat *st);
const char *link_dir_path(const struct link_dir *d);
struct link_dir *link_dir_hold(struct link_dir *d);
void link_dir_release(struct link_dir *d); /* NULL is nothing */

/* restore_delete.c */
/* Removes what is in an entry's way. A directory that is not empty is removed only with --delete. */
int restore_remove(struct restore *r, struct rdir *dir, const char *name, const struct stat *st, struct err *err);
/* Removes (or, in a dry run, names) what is in the directory but not in its tree. `path`: the directory's. */
void restore_delete_extra(struct restore *r, struct rdir *dir, const char *path);

/* restore_space.c */
/* The bytes that an entry adds: those of a file, of one with several hard links the first time only. */
uint64_t restore_bytes_of(struct restore *r, struct links *links, const struct node *n);
/* Looks before anything is changed. Sets the progress's totals where they can be known without a walk. */
int restore_space_check(struct restore *r, const struct snapshot *snapshot, struct err *err);
