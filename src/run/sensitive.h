/*
 * Which files hold secrets: keys, tokens, passwords. Told by name, and by a look at a file's first bytes. A help for
 * people, not a proof: what looks like nothing is not found. Nothing of a file's content ever leaves these functions.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum { SENSITIVE_HEAD_BYTES = 64 << 10, SENSITIVE_FILE_MAX_BYTES = 1 << 20 };

/* By an absolute path: what it is ("credentials", "private key" …), or NULL. */
const char *sensitive_by_name(const char *path);
/* By the beginning of its content: "private key", "API key" …, or NULL. Binary content is none. */
const char *sensitive_by_content(const void *p, size_t len);
/* Both, the file read when its name says nothing, it is not larger than SENSITIVE_FILE_MAX_BYTES and can be read. */
const char *sensitive_file(const char *path);
