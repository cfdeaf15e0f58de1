/*
 * Memory that is always there: these never return NULL. When the system has no memory left they print one line and end
 * the process with status 1. That is safe at any point, because nothing half-written is ever visible in a repository or
 * a restored file's final name. Sizes that come from stored bytes are checked against a maximum before they get here.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

void *mem_alloc(size_t bytes);
void *mem_zalloc(size_t bytes);
void *mem_realloc(void *p, size_t bytes);
/* count × size, ending the process on overflow as on lack of memory. */
void *mem_array(void *p, size_t count, size_t size);
void *mem_copy(const void *p, size_t bytes);
char *mem_strdup(const char *s);
char *mem_strndup(const char *s, size_t len);
/* Two strings that may be NULL, which is the same as itself only. */
bool mem_same_string(const char *a, const char *b);
char *mem_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Overwrites secrets in a way the compiler keeps. */
void mem_wipe(void *p, size_t bytes);
/* A secret string's end: overwritten, then freed. NULL is nothing. */
void mem_wipe_string(char *s);

/*
 * An arena: many small allocations that are freed together. Not thread-safe. `arena_init` allocates nothing.
 */
struct arena_block;
struct arena {
    struct arena_block *head;
    size_t used, cap; /* in the head block */
    size_t total_bytes;
};
void arena_init(struct arena *a);
void arena_release(struct arena *a);
void *arena_alloc(struct arena *a, size_t bytes); /* aligned to 16, not zeroed */
void *arena_copy(struct arena *a, const void *p, size_t bytes);
char *arena_strndup(struct arena *a, const char *s, size_t len); /* NUL added */
