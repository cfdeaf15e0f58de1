/*
 * The first 100 bytes of a SQLite database. (Whether they are that at all: sqlite_is_database in sqlite.h.)
 * Source: section 1.3 of "Database File Format" at sqlite.org.
 */
#pragma once
#include <stdint.h>

enum { SQLITE_HEADER_BYTES = 100 };

/* 512 … 65536, or 0 when it is none that SQLite knows. */
uint32_t sqlite_header_page_bytes(const unsigned char *head);
/* The database's size in pages; 0 when the header doesn't tell: the version that last changed the file did not keep it.
 */
uint64_t sqlite_header_pages(const unsigned char *head);
