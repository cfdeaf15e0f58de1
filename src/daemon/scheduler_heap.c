#include "daemon/scheduler_heap.h"

#include <stdlib.h>

#include "base/mem.h"

/* The one with number n has those with 2n and 2n + 1 below it, whose keys are not smaller. */
static void place(struct heap *h, size_t at, struct heap_node *n)
{
    h->items[at - 1] = n;
    n->place = at;
}

static void rise(struct heap *h, struct heap_node *n)
{
    size_t at = n->place;
    for (; at > 1 && h->items[at / 2 - 1]->key > n->key; at /= 2)
        place(h, at, h->items[at / 2 - 1]);
    place(h, at, n);
}

static void sink(struct heap *h, struct heap_node *n)
{
    size_t at = n->place;
    for (size_t below; (below = at * 2) <= h->count; at = below) {
        if (below < h->count && h->items[below]->key < h->items[below - 1]->key)
            below++;
        if (h->items[below - 1]->key >= n->key)
            break;
        place(h, at, h->items[below - 1]);
    }
    place(h, at, n);
}

void heap_release(struct heap *h)
{
    free(h->items);
    *h = (struct heap){0};
}

void heap_put(struct heap *h, struct heap_node *n, int64_t key)
{
    n->key = key;
    if (n->place == 0) {
        if (h->count == h->cap) {
            h->cap = h->cap > 0 ? h->cap * 2 : 64;
            h->items = mem_array(h->items, h->cap, sizeof(struct heap_node *));
        }
        place(h, ++h->count, n);
    }
    rise(h, n);
    sink(h, n);
}

void heap_remove(struct heap *h, struct heap_node *n)
{
    if (n->place == 0)
        return;
    struct heap_node *last = h->items[--h->count];
    if (last != n) {
        place(h, n->place, last);
        rise(h, last);
        sink(h, last);
    }
    n->place = 0;
}

struct heap_node *heap_first(const struct heap *h)
{
    return h->count > 0 ? h->items[0] : NULL;
}
