/*
 * Reading files without leaving a trace in the page cache: pages that were cached before stay, pages that reading
 * brought in are dropped again. A file that is wholly cached and small costs no system call more than a plain read.
 *
 * How it is told: up to 128 KiB by a read that refuses to wait for the disk; when it comes short, all from there on
 * counts as not cached (asking more closely would be too late: the kernel has begun to read ahead). A larger file is
 * asked by mincore(), in windows, always one window ahead of reading for the same reason. Where the system doesn't
 * tell, nothing is dropped. Two gaps are the kernel's: a page that it is still reading cannot be dropped, and a read
 * that refuses to wait may set off one that is done before it looks. Such pages stay.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { OS_PAGECACHE_WINDOW_BYTES = 32 << 20, OS_PAGECACHE_SMALL_BYTES = 128 << 10 };

struct os_pagecache_window {
    unsigned char *resident; /* a bit a page; NULL: nothing to drop */
    uint64_t index;
};

/* One open file. Used by one thread at a time. */
struct os_pagecache {
    int fd;
    uint64_t size_bytes;
    bool may_refuse;    /* reads that don't wait are still worth trying */
    uint64_t miss_from; /* everything read from this offset on is dropped; UINT64_MAX: nothing */
    bool in_windows;
    struct os_pagecache_window now, next;
};

void os_pagecache_begin(struct os_pagecache *pc, int fd, uint64_t size_bytes);
/* pread of all of `len` unless the end of the file comes first. Offsets should ascend. Count, or -1 with errno. */
ssize_t os_pagecache_read(struct os_pagecache *pc, void *p, size_t len, uint64_t offset);
/* Drops what is left to drop. The descriptor is still the caller's. */
void os_pagecache_end(struct os_pagecache *pc);
