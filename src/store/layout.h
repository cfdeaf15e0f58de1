/*
 * Where the files of a repository in a directory lie, and with what modes: keys/, snapshots/, index/, locks/ and
 * data/00 to data/ff, each pack in the one that its name begins with. Knows paths, not contents. `base` is the
 * repository's directory.
 */
#pragma once
#include <dirent.h>
#include <stdbool.h>
#include "base/err.h"
#include "store/store.h"

/* The directory that a file belongs in, and its path there. Of a pack's name the directory needs two digits only. The
 * caller frees them. */
char *layout_dir(const char *base, enum store_type type, const char *name);
char *layout_path(const char *base, enum store_type type, const char *name);

/* Whether the owner lets the group read: said by the config file's mode, each time anew. */
bool layout_group_readable(const char *base);

/* Makes all directories, durably. What is there already stays. */
int layout_create(const char *base, struct err *err);
/* Makes the directory that a pack belongs in, durably, with the repository's modes. data/ itself must be there: where
 * it is not, the disk may not be mounted, and a repository made on the mount point would help nobody. */
int layout_make_pack_dir(const char *base, const char *name, struct err *err);

/* Sets and returns ERR_NO_REPOSITORY. missing: what is not there, relative to base, or "" for base itself. */
int layout_no_repository(const char *base, const char *missing, struct err *err);

/* Calls visit for each entry of a type's directories (STORE_CONFIG: of base) until it returns non-zero, which is
 * returned. dir: the directory relative to base. ERR_NO_REPOSITORY when the type's directory is missing. */
typedef int layout_visit_fn(void *ctx, int dir_fd, const char *dir, const struct dirent *entry);
int layout_visit(const char *base, enum store_type type, layout_visit_fn *visit, void *ctx, struct err *err);
