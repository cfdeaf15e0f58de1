/*
 * Giving memory back to the system before its owner frees it.
 */
#pragma once
#include <stddef.h>

/* The whole pages among these bytes of the heap are no longer needed: what they hold is lost, and they cost nothing
 * until they are written again. The allocation stays what it is. */
void os_memory_discard(void *p, size_t bytes);
