/*
 * Where a secret comes from, and fetching it: a file, an environment variable, a command's output, or systemd's
 * credentials. The configuration holds the way to a secret, never the secret.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "base/strlist.h"

enum secret_kind { SECRET_NONE, SECRET_FILE, SECRET_COMMAND, SECRET_ENV, SECRET_CREDENTIAL };

struct secret {
    enum secret_kind kind;
    const char *name;       /* file: absolute path; env: variable; credential: its name below $CREDENTIALS_DIRECTORY */
    struct strlist command; /* argv; a single string in YAML is given to /bin/sh -c */
};

enum { SECRET_MAX_BYTES = 64 << 10 };

/* The secret, without the blanks and line breaks around it (but for variables, which are taken as they are). The caller
 * wipes (mem_wipe) and frees it. A file that others can read is read all the same: whoever can warn asks
 * secret_file_exposed(). ERR_NOT_FOUND, ERR_USAGE (empty, more than one line, NUL), ERR_FAILED (the command failed,
 * with its last words), ERR_TIMEOUT (a minute). SECRET_NONE: ERR_USAGE. */
int secret_fetch(const struct secret *s, char **out, struct err *err);
/* The same where nobody sits and waiting is dear: a command has so long, and no terminal to ask on. */
int secret_fetch_within(const struct secret *s, uint64_t timeout_ms, char **out, struct err *err);

/* The same one by one, lines not counted. attended: somebody sits before the command, which may take its time, and
 * whose words are shown as they come. */
int secret_from_file(const char *path, char **out, struct err *err);
int secret_from_command(const struct strlist *argv, bool attended, char **out, struct err *err);

/* "file '/x'", "command 'pass'", "variable 'NAME'", "credential 'NAME'": for messages. */
void secret_describe(const struct secret *s, char *out, size_t cap);
/* Is the file open to group or others? */
bool secret_file_exposed(const char *path);
