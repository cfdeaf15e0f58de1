/*
 * A node: one file, directory or other entry of a snapshot, as the format's trees describe it. Strings hold raw bytes
 * as the file system has them (escaping is the tree codec's affair). Neither sources nor sinks need to know the
 * repository to speak in nodes.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>
#include "base/id.h"
#include "base/mem.h"

enum node_type {
    NODE_FILE,
    NODE_DIR,
    NODE_SYMLINK,
    NODE_DEV,
    NODE_CHARDEV,
    NODE_FIFO,
    NODE_SOCKET,
    NODE_IRREGULAR,
    NODE_TYPE_COUNT
};
const char *node_type_name(enum node_type type); /* "file", "dir", "symlink", "dev", … */

/* Go's os.FileMode bits, as stored. The low nine are the permissions. */
enum {
    NODE_MODE_DIR = 1u << 31,
    NODE_MODE_SYMLINK = 1u << 27,
    NODE_MODE_DEVICE = 1u << 26,
    NODE_MODE_FIFO = 1u << 25,
    NODE_MODE_SOCKET = 1u << 24,
    NODE_MODE_SETUID = 1u << 23,
    NODE_MODE_SETGID = 1u << 22,
    NODE_MODE_CHARDEV = 1u << 21,
    NODE_MODE_STICKY = 1u << 20,
    NODE_MODE_IRREGULAR = 1u << 19,
};
uint32_t node_mode_from_stat(mode_t mode);
mode_t node_mode_to_permissions(uint32_t mode); /* 07777 bits for chmod */
enum node_type node_type_from_stat(mode_t mode);

struct node_xattr {
    const char *name;
    const void *value; /* NULL with size 0 for a stored null */
    size_t size;
};

/* All pointers are borrowed from whoever made the node (usually an arena that lives as long as its directory). */
struct node {
    const char *name; /* NUL-terminated; name_len bytes, no '/' and no NUL in it */
    size_t name_len;
    enum node_type type;
    uint32_t mode;
    struct timespec mtime, atime, ctime;
    uint32_t uid, gid;
    const char *user, *group; /* NULL: no name */
    uint64_t inode, device_id;
    uint64_t size;           /* files, else 0: what is not 0 is written whatever the type */
    uint64_t links;          /* files, symlinks, devices, else 0 */
    uint64_t device;         /* devices: st_rdev, else 0 */
    const char *link_target; /* symlinks; raw bytes */
    size_t link_target_len;
    const struct node_xattr *xattrs;
    size_t xattr_count;
    const struct id *content; /* files: blob IDs in order */
    size_t content_count;
    struct id subtree; /* directories */
    bool has_subtree;
    const char *raw; /* the node's exact JSON in the tree it was read from; NULL when it was made here */
    size_t raw_len;
};

/* Deep copy of everything but `raw` into the arena. */
void node_copy(struct node *to, const struct node *from, struct arena *arena);
/* True when all metadata that a tree stores is equal (everything but content, subtree and raw). No user is the same as
 * an empty one, a null attribute the same as an empty one. */
bool node_metadata_equal(const struct node *a, const struct node *b);
