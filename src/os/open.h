/*
 * Opening paths of any length. The kernel takes paths of up to PATH_MAX bytes; what is longer is walked in pieces.
 */
#pragma once

/* open(2) for an existing file, O_CLOEXEC added. A descriptor, or -1 with errno set. */
int os_open(const char *path, int flags);
/* The same without touching the access time, where that is allowed. */
int os_open_noatime(const char *path, int flags);
int os_openat_noatime(int dir_fd, const char *name, int flags);

/* A path by which system calls that follow symlinks reach `fd` itself: for calls that have no form for descriptors. */
enum { OS_FD_PATH_BYTES = 32 };
char *os_fd_path(int fd, char out[OS_FD_PATH_BYTES]);
