/*
 * Where the bytes of a tree are: counted while its entries pass, depth first, as a sink gets them. What is light is
 * folded into the directory it lies in, so that memory is bounded whatever the tree is, and in the end a few paths are
 * left: directories and files, each with the bytes in and below it that no other path of the list has. Their sum is
 * that of all entries. Of equal trees the lists are equal. One thread.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "monitor/record.h"

enum {
    SIZE_MAP_NODES_MAX = 1024, /* while counting */
    SIZE_MAP_DEPTH_MAX = 64,   /* deeper directories count as part of the last one */
};

struct size_map;
struct size_map *size_map_new(void);
void size_map_free(struct size_map *m); /* NULL is nothing */

void size_map_dir_begin(struct size_map *m, const char *name, size_t name_len);
void size_map_dir_end(struct size_map *m);
void size_map_entry(struct size_map *m, const char *name, size_t name_len, uint64_t bytes);

/* The heaviest, the heaviest first: at most `max`, none lighter than a hundredth of all (but the one that holds the
 * rest). An array with strings of its own; *count_out may be 0. Only once, when every directory has ended. */
struct record_path *size_map_take(struct size_map *m, size_t max, size_t *count_out);
