/*
 * Where a secret comes from, and fetching it: a file, an environment variable, a command's first line, or systemd's
 * credentials. The configuration holds the way to a secret, never the secret.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"
#include "base/strlist.h"

enum secret_kind { SECRET_NONE, SECRET_FILE, SECRET_COMMAND, SECRET_ENV, SECRET_CREDENTIAL };

struct secret {
    enum secret_kind kind;
    const char *name;       /* file: absolute path; env: variable; credential: its name below $CREDENTIALS_DIRECTORY */
    struct strlist command; /* argv; a single string in YAML is given to /bin/sh -c */
};

/* The secret, without the line break at its end. The caller wipes (mem_wipe) and frees it. A file that others can read
 * is read all the same: whoever can warn asks secret_file_exposed(). ERR_NOT_FOUND, ERR_USAGE (empty, more than one
 * line, NUL), ERR_FAILED (the command failed, with its last words), ERR_TIMEOUT (a minute). SECRET_NONE: ERR_USAGE. */
int secret_fetch(const struct secret *s, char **out, struct err *err);
/* "file '/x'", "command 'pass'", "variable 'NAME'": for messages. */
void secret_describe(const struct secret *s, char *out, size_t cap);
/* Is the file readable by group or others? */
bool secret_file_exposed(const char *path);
