/*
 * Which path an inode with several names was first seen at: for archives, where later names refer to the first. An
 * inode is forgotten once all its names were seen. Not thread-safe.
 */
#pragma once
#include <stddef.h>
#include "repo/node.h"

struct inode_path;
/* A zeroed one is empty. */
struct inode_paths {
    struct inode_path **buckets;
    size_t count, bucket_count;
};

/* A copy of the path that the node's inode was seen at before; NULL when this is its first name
 * (then `path` is remembered) or its only one. The caller frees the result. */
char *inode_paths_see(struct inode_paths *p, const struct node *node, const char *path);
/* The path that was remembered is not to be referred to: it is in no archive after all. */
void inode_paths_forget(struct inode_paths *p, const struct node *node);
void inode_paths_release(struct inode_paths *p);
