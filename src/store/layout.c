#include "store/layout.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/mem.h"
#include "os/file.h"

enum { DATA_DIRS = 256 };

char *layout_dir(const char *base, enum store_type type, const char *name)
{
    if (type == STORE_CONFIG)
        return mem_strdup(base);
    char *dir = os_path_join(base, store_type_name(type));
    if (type != STORE_PACK)
        return dir;
    char *sub = mem_printf("%s/%.2s", dir, name);
    free(dir);
    return sub;
}

char *layout_path(const char *base, enum store_type type, const char *name)
{
    char *dir = layout_dir(base, type, name);
    char *path = os_path_join(dir, type == STORE_CONFIG ? store_type_name(type) : name);
    free(dir);
    return path;
}

bool layout_group_readable(const char *base)
{
    char *config = layout_path(base, STORE_CONFIG, NULL);
    struct stat st;
    bool yes = stat(config, &st) == 0 && (st.st_mode & S_IRGRP) != 0;
    free(config);
    return yes;
}

int layout_no_repository(const char *base, const char *missing, struct err *err)
{
    if (*missing == '\0')
        return err_set(err, ERR_NO_REPOSITORY, "there is no repository at '%s'", base);
    return err_set(err, ERR_NO_REPOSITORY, "there is no repository at '%s': it has no directory '%s'", base, missing);
}

/* Makes one directory (its parent is there) with the modes of the repository. One that is there already is fine. */
static int make_dir(const char *base, const char *path, struct err *err)
{
    struct stat st;
    if (mkdir(path, 0700) != 0) {
        int errnum = errno;
        if (errnum == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
            return 0;
        return err_errno(err, errnum, "cannot make directory '%s'", path);
    }
    /* By chmod, since the umask may stand in the way; the other bits (set-group-ID) stay as the parent passed them on.
     */
    if (layout_group_readable(base) && stat(path, &st) == 0)
        (void)chmod(path, (st.st_mode & 07777) | S_IRGRP | S_IXGRP);
    return 0;
}

static int make_data_dirs(const char *base, struct err *err)
{
    for (unsigned i = 0; i < DATA_DIRS; i++) {
        char name[3];
        snprintf(name, sizeof name, "%02x", i & 0xff);
        char *path = layout_dir(base, STORE_PACK, name);
        int rc = make_dir(base, path, err);
        free(path);
        if (rc != 0)
            return -1;
    }
    return 0;
}

int layout_make_pack_dir(const char *base, const char *name, struct err *err)
{
    char *path = layout_dir(base, STORE_PACK, name), *data = os_path_join(base, store_type_name(STORE_PACK));
    int rc = make_dir(base, path, err);
    if (rc == 0)
        rc = os_fsync_dir(data, err);
    free(path);
    free(data);
    return rc;
}

/* Makes the new directories themselves last. */
static int sync_layout(const char *base, struct err *err)
{
    char *data = os_path_join(base, store_type_name(STORE_PACK)), *parent = os_path_join(base, "..");
    struct err reason = {0};
    int rc = os_fsync_dir(data, err);
    if (rc == 0)
        rc = os_fsync_dir(base, err);
    /* Who may not read the parent did not make our directory in it just now. */
    if (rc == 0 && os_fsync_dir(parent, &reason) != 0 && reason.code != ERR_PERMISSION) {
        rc = -1;
        if (err != NULL)
            *err = reason;
    }
    free(data);
    free(parent);
    return rc;
}

int layout_create(const char *base, struct err *err)
{
    if (os_make_dirs(base, 0700, err) != 0)
        return -1;
    for (enum store_type type = STORE_KEY; type < STORE_TYPE_COUNT; type++) {
        char *path = os_path_join(base, store_type_name(type));
        int rc = make_dir(base, path, err);
        free(path);
        if (rc != 0)
            return -1;
    }
    if (make_data_dirs(base, err) != 0)
        return -1;
    return sync_layout(base, err);
}

static int visit_dir(const char *base, const char *dir, bool may_be_missing, layout_visit_fn *visit, void *ctx,
                     struct err *err)
{
    char *path = os_path_join(base, dir);
    int rc = 0;
    DIR *d = opendir(path);
    if (d == NULL) {
        bool missing = errno == ENOENT || errno == ENOTDIR;
        if (!missing)
            rc = err_errno(err, errno, "cannot list '%s'", path);
        else if (!may_be_missing)
            rc = layout_no_repository(base, dir, err);
        free(path);
        return rc;
    }
    const struct dirent *entry;
    for (errno = 0; rc == 0 && (entry = readdir(d)) != NULL; errno = 0)
        rc = visit(ctx, dirfd(d), dir, entry);
    if (rc == 0 && errno != 0)
        rc = err_errno(err, errno, "cannot list '%s'", path);
    closedir(d);
    free(path);
    return rc;
}

int layout_visit(const char *base, enum store_type type, layout_visit_fn *visit, void *ctx, struct err *err)
{
    const char *top = type == STORE_CONFIG ? "" : store_type_name(type);
    int rc = visit_dir(base, top, false, visit, ctx, err);
    /* Repositories made by others may lack some of these. */
    for (unsigned i = 0; rc == 0 && type == STORE_PACK && i < DATA_DIRS; i++) {
        char dir[16];
        snprintf(dir, sizeof dir, "%s/%02x", top, i & 0xff);
        rc = visit_dir(base, dir, true, visit, ctx, err);
    }
    return rc;
}
