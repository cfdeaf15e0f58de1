#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

void buf_init(struct buf *b, size_t max_bytes)
{
    *b = (struct buf){.max = max_bytes};
}

void buf_release(struct buf *b)
{
    free(b->data);
    buf_init(b, b->max);
}

/* Room for `extra` more bytes and a terminator. Grows by half, so that a large buffer does not double its footprint. */
unsigned char *buf_reserve(struct buf *b, size_t extra)
{
    if (extra > b->max || b->len > b->max - extra) {
        b->overflow = true;
        return NULL;
    }
    if (b->len + extra + 1 > b->cap) {
        size_t cap = b->cap + b->cap / 2;
        if (cap < b->len + extra + 1)
            cap = b->len + extra + 1;
        if (cap < 64)
            cap = 64;
        b->data = mem_realloc(b->data, cap);
        b->cap = cap;
    }
    return b->data + b->len;
}

void buf_append(struct buf *b, const void *p, size_t len)
{
    unsigned char *to = buf_reserve(b, len);
    if (to != NULL && len > 0) {
        memcpy(to, p, len);
        b->len += len;
    }
}

void buf_append_str(struct buf *b, const char *s)
{
    buf_append(b, s, strlen(s));
}

void buf_append_byte(struct buf *b, unsigned char c)
{
    unsigned char *to = buf_reserve(b, 1);
    if (to != NULL) {
        *to = c;
        b->len++;
    }
}

void buf_append_u64(struct buf *b, uint64_t v)
{
    char digits[20];
    size_t n = sizeof digits;
    do {
        digits[--n] = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    buf_append(b, digits + n, sizeof digits - n);
}

void buf_printf(struct buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    unsigned char *to = n < 0 ? NULL : buf_reserve(b, (size_t)n);
    if (to != NULL) {
        vsnprintf((char *)to, (size_t)n + 1, format, again);
        b->len += (size_t)n;
    }
    va_end(again);
}

const char *buf_cstr(struct buf *b)
{
    if (b->data == NULL)
        return "";
    b->data[b->len] = '\0'; /* buf_reserve always leaves room for it */
    return (const char *)b->data;
}

void buf_shrink(struct buf *b, size_t keep_bytes)
{
    bool large = b->cap > keep_bytes;
    if (large)
        buf_release(b);
    buf_clear(b);
}
