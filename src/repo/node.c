#include "repo/node.h"

#include <string.h>

const char *node_type_name(enum node_type type)
{
    static const char *const NAMES[NODE_TYPE_COUNT] = {
        [NODE_FILE] = "file",       [NODE_DIR] = "dir",   [NODE_SYMLINK] = "symlink", [NODE_DEV] = "dev",
        [NODE_CHARDEV] = "chardev", [NODE_FIFO] = "fifo", [NODE_SOCKET] = "socket",   [NODE_IRREGULAR] = "irregular",
    };
    return NAMES[type];
}

enum node_type node_type_from_stat(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return NODE_FILE;
    case S_IFDIR:
        return NODE_DIR;
    case S_IFLNK:
        return NODE_SYMLINK;
    case S_IFBLK:
        return NODE_DEV;
    case S_IFCHR:
        return NODE_CHARDEV;
    case S_IFIFO:
        return NODE_FIFO;
    case S_IFSOCK:
        return NODE_SOCKET;
    default:
        return NODE_IRREGULAR;
    }
}

uint32_t node_mode_from_stat(mode_t mode)
{
    static const uint32_t TYPE_BITS[NODE_TYPE_COUNT] = {
        [NODE_DIR] = NODE_MODE_DIR,
        [NODE_SYMLINK] = NODE_MODE_SYMLINK,
        [NODE_DEV] = NODE_MODE_DEVICE,
        [NODE_CHARDEV] = NODE_MODE_DEVICE | NODE_MODE_CHARDEV,
        [NODE_FIFO] = NODE_MODE_FIFO,
        [NODE_SOCKET] = NODE_MODE_SOCKET,
        [NODE_IRREGULAR] = NODE_MODE_IRREGULAR,
    };
    uint32_t bits = (uint32_t)(mode & 0777) | TYPE_BITS[node_type_from_stat(mode)];
    if (mode & S_ISUID)
        bits |= NODE_MODE_SETUID;
    if (mode & S_ISGID)
        bits |= NODE_MODE_SETGID;
    if (mode & S_ISVTX)
        bits |= NODE_MODE_STICKY;
    return bits;
}

mode_t node_mode_to_permissions(uint32_t mode)
{
    mode_t bits = mode & 0777;
    if (mode & NODE_MODE_SETUID)
        bits |= S_ISUID;
    if (mode & NODE_MODE_SETGID)
        bits |= S_ISGID;
    if (mode & NODE_MODE_STICKY)
        bits |= S_ISVTX;
    return bits;
}

static const char *copy_string(const char *s, struct arena *arena)
{
    return s == NULL ? NULL : arena_strndup(arena, s, strlen(s));
}

static const struct node_xattr *copy_xattrs(const struct node *from, struct arena *arena)
{
    if (from->xattr_count == 0)
        return NULL;
    struct node_xattr *copy = arena_copy(arena, from->xattrs, from->xattr_count * sizeof *copy);
    for (size_t i = 0; i < from->xattr_count; i++) {
        copy[i].name = copy_string(copy[i].name, arena);
        if (copy[i].value != NULL)
            copy[i].value = arena_copy(arena, copy[i].value, copy[i].size);
    }
    return copy;
}

void node_copy(struct node *to, const struct node *from, struct arena *arena)
{
    *to = *from;
    to->raw = NULL;
    to->raw_len = 0;
    if (from->name != NULL)
        to->name = arena_strndup(arena, from->name, from->name_len);
    to->user = copy_string(from->user, arena);
    to->group = copy_string(from->group, arena);
    if (from->link_target != NULL)
        to->link_target = arena_strndup(arena, from->link_target, from->link_target_len);
    to->xattrs = copy_xattrs(from, arena);
    to->content = NULL;
    if (from->content_count > 0)
        to->content = arena_copy(arena, from->content, from->content_count * sizeof *from->content);
}

static bool bytes_equal(const void *a, size_t a_len, const void *b, size_t b_len)
{
    return a_len == b_len && (a_len == 0 || memcmp(a, b, a_len) == 0);
}

/* Trees do not tell an empty name from none. */
static bool strings_equal(const char *a, const char *b)
{
    return strcmp(a != NULL ? a : "", b != NULL ? b : "") == 0;
}

static bool times_equal(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool xattrs_equal(const struct node *a, const struct node *b)
{
    if (a->xattr_count != b->xattr_count)
        return false;
    for (size_t i = 0; i < a->xattr_count; i++) {
        const struct node_xattr *x = &a->xattrs[i], *y = &b->xattrs[i];
        if (strcmp(x->name, y->name) != 0 || !bytes_equal(x->value, x->size, y->value, y->size))
            return false;
    }
    return true;
}

bool node_metadata_equal(const struct node *a, const struct node *b)
{
    return a->type == b->type && a->mode == b->mode && a->size == b->size && a->inode == b->inode &&
           a->device_id == b->device_id && a->links == b->links && a->device == b->device && a->uid == b->uid &&
           a->gid == b->gid && times_equal(&a->mtime, &b->mtime) && times_equal(&a->atime, &b->atime) &&
           times_equal(&a->ctime, &b->ctime) && bytes_equal(a->name, a->name_len, b->name, b->name_len) &&
           strings_equal(a->user, b->user) && strings_equal(a->group, b->group) &&
           bytes_equal(a->link_target, a->link_target_len, b->link_target, b->link_target_len) && xattrs_equal(a, b);
}
