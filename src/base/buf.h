/*
 * A growing byte buffer with a maximum. Appending past the maximum stores nothing more and sets `overflow`; callers
 * check once, at the end. Not thread-safe.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
    unsigned char *data;
    size_t len, cap, max;
    bool overflow;
};

void buf_init(struct buf *b, size_t max_bytes);
void buf_release(struct buf *b);
static inline void buf_clear(struct buf *b)
{
    b->len = 0;
    b->overflow = false;
}
/* Makes room for `extra` bytes after len and returns where they go, or NULL (overflow set) when that passes max. The
 * caller then raises len by what it wrote. */
unsigned char *buf_reserve(struct buf *b, size_t extra);
void buf_append(struct buf *b, const void *p, size_t len);
void buf_append_str(struct buf *b, const char *s);
void buf_append_byte(struct buf *b, unsigned char c);
void buf_append_u64(struct buf *b, uint64_t v); /* decimal */
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Makes data a C string (the NUL is not counted in len). Returns it; never NULL. */
const char *buf_cstr(struct buf *b);
/* Gives memory back when the capacity is above `keep_bytes`. Contents are lost. */
void buf_shrink(struct buf *b, size_t keep_bytes);
