/*
 * Errors as values.
 *
 * A function that can fail returns int: 0 on success, -1 on failure, and takes `struct err *err` last. On failure the
 * error holds a code (what kind of thing went wrong: decides the exit status and whether a retry makes sense), the
 * errno where there was one, and a message complete enough to print. Callers that pass an error on add what they were
 * doing with err_wrap(), so that the message reads from the outside in:
 *
 *     cannot load index 'ff00': pack 'ab12': header is damaged
 *
 * An `err` may be NULL where the caller does not care. Nothing here allocates; nothing needs to be freed.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum err_code {
    ERR_NONE = 0,
    ERR_FAILED,           /* anything that has no code of its own */
    ERR_USAGE,            /* the command line or an argument is wrong; nothing was changed */
    ERR_IO,               /* the system refused a read or a write (see errno) */
    ERR_NOT_FOUND,        /* the file, snapshot, key … is not there */
    ERR_EXISTS,           /* it is there already */
    ERR_NO_SPACE,         /* the disk or the quota is full */
    ERR_PERMISSION,       /* not allowed */
    ERR_CORRUPT,          /* stored bytes are not what they must be */
    ERR_UNSUPPORTED,      /* valid, but newer or other than we can handle */
    ERR_LOCKED,           /* the repository is locked by somebody else */
    ERR_WRONG_PASSPHRASE, /* no key opens with this passphrase */
    ERR_NO_REPOSITORY,    /* there is no repository at this place */
    ERR_PARTIAL,          /* done, but some source could not be read */
    ERR_CHANGED,          /* the source changed under our hands; trying again may help */
    ERR_TIMEOUT,
    ERR_INTERRUPTED, /* the user or the system asked us to stop */
};

enum { ERR_MESSAGE_BYTES = 1024 };

struct err {
    enum err_code code;
    int sys_errno;    /* 0 when no system call was involved */
    const char *hint; /* a literal; NULL: what its code says */
    char message[ERR_MESSAGE_BYTES];
};

/* Sets code and message (printf style, lower case, subject in single quotes, problem first). Returns -1 always, so that
 * `return err_set(…)` reads well. Of a message too long the middle is cut out: it begins with what failed and ends with
 * the reason. */
int err_set(struct err *err, enum err_code code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The same from an errno value: the code is derived from it (ENOENT → ERR_NOT_FOUND, ENOSPC and EDQUOT → ERR_NO_SPACE,
 * EACCES and EPERM → ERR_PERMISSION …, else ERR_IO) and ": strerror" is appended to the message. Returns -1. */
int err_errno(struct err *err, int errnum, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Puts "format: " before the message that is there. Keeps code, errno and hint. Returns -1. */
int err_wrap(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Says what to do about it, where its code alone would say the wrong thing. A literal. Returns -1. */
int err_advise(struct err *err, const char *hint);

void err_clear(struct err *err);

/* The process's exit status for a code: 0 none, 3 ERR_PARTIAL, 10 no repository, 11 locked, 12 wrong passphrase,
 * 130 interrupted, else 1. */
int err_exit_status(enum err_code code);

/* One short sentence that says what to do about it, or NULL where nothing can be said. */
const char *err_hint(const struct err *err);
