/* What comes next of many: a heap whose members know their places, so that each can be moved or taken out. */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* Part of the member; zeroed: in no heap. */
struct heap_node {
    int64_t key;
    size_t place; /* from 1 on; 0: not in it */
};
struct heap {
    struct heap_node **items;
    size_t count, cap;
};

void heap_release(struct heap *h);
/* Puts it in, or moves it to where the key belongs. */
void heap_put(struct heap *h, struct heap_node *n, int64_t key);
void heap_remove(struct heap *h, struct heap_node *n); /* it may not be in it */
/* The one with the smallest key; NULL: empty. */
struct heap_node *heap_first(const struct heap *h);
