/*
 * The files that SQLite keeps beside a database: NAME-wal, NAME-shm and NAME-journal. Beside a file that is a database
 * by its header they are part of what is captured with it, and are left out; beside anything else they are plain files.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "source/scan.h"

/* The name in a sorted array, or NULL. */
struct scan_name *scan_find_name(struct scan_name *names, size_t count, const char *name, size_t len);
/* Marks siblings with SCAN_NAME_DROP, and databases with data in a sibling with SCAN_NAME_LIVE. Looks at headers only
 * where such a sibling exists. True when any was marked. */
bool scan_siblings(struct scan_name *names, size_t count, int dir_fd);
/* The same for names given on the command line, whose siblings are not in the array: marks SCAN_NAME_LIVE alone. */
void scan_siblings_of_targets(struct scan_name *names, size_t count, int dir_fd);
