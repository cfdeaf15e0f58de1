/*
 * What is mounted where, and on which disk: from /proc/self/mountinfo and /sys. Touches no file system that it names:
 * a dead network drive cannot hang it. (mounts_space() does touch it, in a process of its own.)
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

struct mount_point {
    char *path, *source, *type;
    char *root; /* the directory of its file system that is shown there: "/" but for bind mounts */
    unsigned id, parent;
    unsigned major, minor;
    bool read_only;
    bool network; /* NFS, SMB, sshfs … */
    bool memory;  /* tmpfs, ramfs: gone with the power */
    bool block;   /* on a block device of this machine */
};

struct mounts {
    struct mount_point *items;
    size_t count;
};

int mounts_read(struct mounts *out, struct err *err);
/* From mountinfo's text; lines that are none are skipped. */
void mounts_parse(const char *text, size_t len, struct mounts *out);
void mounts_release(struct mounts *m);
/* The one that holds an absolute, clean path without symlinks: the deepest, of several at one place the last. NULL only
 * when there is none at all. */
const struct mount_point *mounts_of(const struct mounts *m, const char *path);
/* A directory that is mounted onto itself holds what it held before, and so is no drive: systemd does that for a
 * service, to make /usr read-only (ProtectSystem=) or a part of it writable again (ReadWritePaths=). This is what lies
 * below: the mount that it is a part of, `p` itself for any other. */
const struct mount_point *mounts_below_own(const struct mounts *m, const struct mount_point *p);
/* The place of a file like /etc/fstab that is nearest above an absolute, clean path, or is the path; NULL: it has none
 * but "/", or there is no such file. The caller frees it. */
#define MOUNTS_FSTAB "/etc/fstab"
char *mounts_expected(const char *fstab, const char *path);
/* Do two of them share a disk (two partitions of one do)? Where /sys does not tell: the same device numbers. */
bool mounts_same_disk(const struct mount_point *a, const struct mount_point *b);
/* A place that people plug or mount in to keep things on: a network drive, or a writable disk that is none of those
 * that `system_paths` ("/", the home …, `count` of them) lie on, and no part of the system (/boot, /usr, /var …). */
bool mounts_is_external(const struct mounts *m, const struct mount_point *p, const char *const *system_paths,
                        size_t count);

struct mount_space {
    uint64_t free_bytes, total_bytes, free_inodes; /* free: for this user; inodes UINT64_MAX: they do not count */
    bool writable, is_dir;
};
/* Asks the file system, for 3 seconds at most: ERR_TIMEOUT when it does not answer, ERR_NOT_FOUND … */
int mounts_space(const char *path, struct mount_space *out, struct err *err);
/* The deepest directory at or above an absolute path that is there. The caller frees it. */
char *mounts_existing(const char *path);
