/* Files: whole reads and writes, directories made, durability. EINTR is always handled. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include "base/buf.h"
#include "base/err.h"

/* Reads until `len` bytes or end of file. Returns the count, or -1 with errno set. */
ssize_t os_read_full(int fd, void *p, size_t len);
ssize_t os_pread_full(int fd, void *p, size_t len, off_t offset);
/* Writes all of it. 0, or -1 with errno set (a short write sets ENOSPC). */
int os_write_full(int fd, const void *p, size_t len);
int os_pwrite_full(int fd, const void *p, size_t len, off_t offset);

/* Appends the whole file to out, whose maximum bounds it. */
int os_read_file(const char *path, struct buf *out, struct err *err);
/* Writes a file that is either wholly there or not at all: temporary name in the same directory, fsync, rename, fsync
 * of the directory. An existing file is replaced. */
int os_write_file_atomic(const char *path, const void *p, size_t len, mode_t mode, struct err *err);
/* mkdir -p. Directories that it makes get `mode`. */
int os_make_dirs(const char *path, mode_t mode, struct err *err);
int os_fsync_dir(const char *path, struct err *err);
/* "a" + "b" → "a/b" (no doubled slash). The caller frees it. */
char *os_path_join(const char *dir, const char *name);
/* Absolute and lexically clean ("." and ".." and doubled slashes resolved, symlinks not). The caller frees it; NULL
 * with errno when the working directory cannot be found. */
char *os_path_absolute(const char *path);
/* Is `path` the directory `dir` or something below it? Both absolute; "" is "/", and slashes at the end of dir are no
 * matter. */
bool os_path_is_below(const char *path, const char *dir);
/* "~" and "~/x" of the current user (HOME, else the password database). The caller frees it. */
char *os_path_expand_home(const char *path);
