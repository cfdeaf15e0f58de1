/* Extended attributes (POSIX ACLs among them, as the attributes that Linux keeps them in), of paths of any length. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"
#include "base/mem.h"

struct os_xattr {
    const char *name;
    const void *value; /* never NULL */
    size_t size;
};

/*
 * All attributes of a file, in the kernel's order, into the arena. `follow`: of what a symlink points to, else of the
 * symlink itself. None, and a file system that has none, are *count_out 0 and success. An attribute that vanishes
 * meanwhile is left out.
 */
int os_xattr_read(const char *path, bool follow, struct arena *arena, struct os_xattr **out, size_t *count_out,
                  struct err *err);
