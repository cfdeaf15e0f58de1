#include "base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *checked(void *p)
{
    if (p == NULL) {
        fputs("clawback: out of memory; nothing half-written is visible, run the command again with more\n", stderr);
        exit(1);
    }
    return p;
}

void *mem_alloc(size_t bytes)
{
    return checked(malloc(bytes > 0 ? bytes : 1));
}

void *mem_zalloc(size_t bytes)
{
    return checked(calloc(1, bytes > 0 ? bytes : 1));
}

void *mem_realloc(void *p, size_t bytes)
{
    return checked(realloc(p, bytes > 0 ? bytes : 1));
}

void *mem_array(void *p, size_t count, size_t size)
{
    if (size != 0 && count > SIZE_MAX / size)
        return checked(NULL);
    return mem_realloc(p, count * size);
}

void *mem_copy(const void *p, size_t bytes)
{
    void *copy = mem_alloc(bytes);
    if (bytes > 0)
        memcpy(copy, p, bytes);
    return copy;
}

char *mem_strdup(const char *s)
{
    return mem_copy(s, strlen(s) + 1);
}

char *mem_strndup(const char *s, size_t len)
{
    char *copy = mem_alloc(len + 1);
    memcpy(copy, s, len);
    copy[len] = '\0';
    return copy;
}

bool mem_same_string(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

char *mem_printf(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *out = NULL;
    int n = vasprintf(&out, format, args);
    va_end(args);
    return checked(n < 0 ? NULL : out);
}

void mem_wipe(void *p, size_t bytes)
{
    if (p != NULL)
        explicit_bzero(p, bytes);
}

void mem_wipe_string(char *s)
{
    if (s != NULL)
        mem_wipe(s, strlen(s));
    free(s);
}

/*
 * Arena. Blocks double from 4 KiB to 256 KiB; what is larger than a quarter of a block gets one of its own, behind the
 * head, so that the head's free room stays in use.
 */
struct arena_block {
    struct arena_block *next;
    _Alignas(16) unsigned char data[];
};

enum { ARENA_FIRST_BYTES = 4096, ARENA_BLOCK_MAX_BYTES = 256 << 10 };

void arena_init(struct arena *a)
{
    *a = (struct arena){0};
}

void arena_release(struct arena *a)
{
    for (struct arena_block *b = a->head, *next; b != NULL; b = next) {
        next = b->next;
        free(b);
    }
    arena_init(a);
}

void *arena_alloc(struct arena *a, size_t bytes)
{
    bytes = (bytes + 15) & ~(size_t)15;
    if (a->head != NULL && bytes <= a->cap - a->used) {
        void *p = a->head->data + a->used;
        a->used += bytes;
        return p;
    }
    size_t cap = a->cap == 0 ? ARENA_FIRST_BYTES : a->cap * 2;
    if (cap > ARENA_BLOCK_MAX_BYTES)
        cap = ARENA_BLOCK_MAX_BYTES;
    bool own = bytes > cap / 4;
    struct arena_block *b = mem_alloc(sizeof *b + (own ? bytes : cap));
    a->total_bytes += own ? bytes : cap;
    if (own && a->head != NULL) {
        b->next = a->head->next;
        a->head->next = b;
        return b->data;
    }
    b->next = a->head;
    a->head = b;
    a->cap = own ? bytes : cap;
    a->used = bytes;
    return b->data;
}

void *arena_copy(struct arena *a, const void *p, size_t bytes)
{
    void *copy = arena_alloc(a, bytes);
    if (bytes > 0)
        memcpy(copy, p, bytes);
    return copy;
}

char *arena_strndup(struct arena *a, const char *s, size_t len)
{
    char *copy = arena_alloc(a, len + 1);
    memcpy(copy, s, len);
    copy[len] = '\0';
    return copy;
}
