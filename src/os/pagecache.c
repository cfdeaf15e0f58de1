#include "os/pagecache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>
#include "base/mem.h"
#include "os/file.h"

enum { PAGE_BYTES_MIN = 4096, WINDOW_PAGES_MAX = OS_PAGECACHE_WINDOW_BYTES / PAGE_BYTES_MIN };
static const uint64_t no_window = UINT64_MAX;

static uint64_t page_bytes(void)
{
    static uint64_t bytes;
    uint64_t known = __atomic_load_n(&bytes, __ATOMIC_RELAXED);
    if (known == 0) {
        long asked = sysconf(_SC_PAGESIZE);
        known = asked > 0 ? (uint64_t)asked : PAGE_BYTES_MIN;
        __atomic_store_n(&bytes, known, __ATOMIC_RELAXED);
    }
    return known;
}

void os_pagecache_begin(struct os_pagecache *pc, int fd, uint64_t size_bytes)
{
    *pc = (struct os_pagecache){.fd = fd, .size_bytes = size_bytes, .miss_from = UINT64_MAX};
    pc->in_windows = size_bytes > OS_PAGECACHE_SMALL_BYTES;
    pc->may_refuse = !pc->in_windows;
    pc->now.index = pc->next.index = no_window;
}

/* ---- small files */

/* Reads what is cached. Less than asked for: the rest must be waited for (miss_from is set), or is past the end. */
static size_t read_cached(struct os_pagecache *pc, void *p, size_t len, uint64_t offset)
{
    struct iovec io = {p, len};
    ssize_t n = preadv2(pc->fd, &io, 1, (off_t)offset, RWF_NOWAIT);
    size_t got = n > 0 ? (size_t)n : 0;
    if (n >= 0 && offset + got >= pc->size_bytes)
        return got;
    if (got < len) {
        pc->may_refuse = false;
        if (n < 0 && errno != EAGAIN)
            return 0; /* the file system has no such reads, and needs none or cannot be asked */
        pc->miss_from = (offset + got) & ~(page_bytes() - 1);
    }
    return got;
}

/* ---- windows */

/* Asks which pages of window `index` are in the cache. */
static void ask_window(const struct os_pagecache *pc, struct os_pagecache_window *w, uint64_t index)
{
    unsigned char *answer = NULL;
    uint64_t start = index * OS_PAGECACHE_WINDOW_BYTES;
    w->index = index;
    free(w->resident);
    w->resident = NULL;
    if (start >= pc->size_bytes)
        return;
    uint64_t left = pc->size_bytes - start;
    size_t len = left < OS_PAGECACHE_WINDOW_BYTES ? (size_t)left : OS_PAGECACHE_WINDOW_BYTES;
    size_t pages = (len + page_bytes() - 1) / page_bytes();
    void *map = mmap(NULL, len, PROT_READ, MAP_SHARED, pc->fd, (off_t)start);
    if (map == MAP_FAILED)
        return;
    answer = mem_alloc(WINDOW_PAGES_MAX);
    bool known = mincore(map, len, answer) == 0;
    munmap(map, len);
    size_t missing = 0;
    for (size_t i = 0; known && i < pages; i++)
        missing += (answer[i] & 1) == 0;
    if (missing > 0) {
        w->resident = mem_zalloc(WINDOW_PAGES_MAX / 8);
        for (size_t i = 0; i < pages; i++)
            w->resident[i / 8] |= (unsigned char)((answer[i] & 1) << (i % 8));
    }
    free(answer);
}

static bool was_resident(const struct os_pagecache_window *w, size_t page)
{
    return (w->resident[page / 8] >> (page % 8) & 1) != 0;
}

/* Drops the runs of pages that were not in the cache. */
static void drop_window(const struct os_pagecache *pc, struct os_pagecache_window *w)
{
    if (w->resident == NULL)
        return;
    uint64_t start = w->index * OS_PAGECACHE_WINDOW_BYTES;
    size_t pages = OS_PAGECACHE_WINDOW_BYTES / page_bytes();
    for (size_t first = 0; first < pages;) {
        if (was_resident(w, first)) {
            first++;
            continue;
        }
        size_t end = first + 1;
        while (end < pages && !was_resident(w, end))
            end++;
        (void)posix_fadvise(pc->fd, (off_t)(start + first * page_bytes()), (off_t)((end - first) * page_bytes()),
                            POSIX_FADV_DONTNEED);
        first = end;
    }
    free(w->resident);
    w->resident = NULL;
}

/* Makes `index` the window that is read in. */
static void enter_window(struct os_pagecache *pc, uint64_t index)
{
    if (pc->now.index == index)
        return;
    drop_window(pc, &pc->now);
    if (pc->next.index == index) {
        pc->now = pc->next;
        pc->next = (struct os_pagecache_window){.index = no_window};
    } else {
        drop_window(pc, &pc->next);
        ask_window(pc, &pc->now, index);
    }
    ask_window(pc, &pc->next, index + 1);
}

static ssize_t read_in_windows(struct os_pagecache *pc, unsigned char *p, size_t len, uint64_t offset)
{
    size_t done = 0;
    while (done < len) {
        uint64_t at = offset + done;
        enter_window(pc, at / OS_PAGECACHE_WINDOW_BYTES);
        size_t step = OS_PAGECACHE_WINDOW_BYTES - (size_t)(at % OS_PAGECACHE_WINDOW_BYTES);
        if (step > len - done)
            step = len - done;
        ssize_t n = os_pread_full(pc->fd, p + done, step, (off_t)at);
        if (n < 0)
            return -1;
        done += (size_t)n;
        if ((size_t)n < step)
            break;
    }
    return (ssize_t)done;
}

ssize_t os_pagecache_read(struct os_pagecache *pc, void *p, size_t len, uint64_t offset)
{
    if (pc->in_windows)
        return read_in_windows(pc, p, len, offset);
    size_t got = 0;
    if (pc->may_refuse) {
        got = read_cached(pc, p, len, offset);
        if (got == len || (pc->may_refuse && offset + got >= pc->size_bytes))
            return (ssize_t)got;
    }
    ssize_t n = os_pread_full(pc->fd, (unsigned char *)p + got, len - got, (off_t)(offset + got));
    return n < 0 ? -1 : (ssize_t)got + n;
}

void os_pagecache_end(struct os_pagecache *pc)
{
    if (pc->miss_from != UINT64_MAX)
        (void)posix_fadvise(pc->fd, (off_t)pc->miss_from, 0, POSIX_FADV_DONTNEED);
    drop_window(pc, &pc->now);
    drop_window(pc, &pc->next);
    pc->miss_from = UINT64_MAX;
}
