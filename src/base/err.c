#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What a code means to the rest of the world: one table. */
static const struct {
    int exit_status;
    const char *hint;
} CODES[] = {
    [ERR_NONE] = {0, NULL},
    [ERR_FAILED] = {1, NULL},
    [ERR_USAGE] = {1, NULL},
    [ERR_IO] = {1, "the disk or its connection may be failing; run the command again, and look at the system's log if "
                   "it fails again"},
    [ERR_NOT_FOUND] = {1, NULL},
    [ERR_EXISTS] = {1, NULL},
    [ERR_NO_SPACE] =
        {1, "make room, or run 'clawback forget' and 'clawback prune', and try again; what was stored before is safe"},
    [ERR_PERMISSION] = {1, "run as a user who may do this, or change the permissions"},
    [ERR_CORRUPT] = {1, "run 'clawback check --read-data' to see what is affected, then 'clawback repair'"},
    [ERR_UNSUPPORTED] = {1, NULL},
    [ERR_LOCKED] = {11, "wait, or use --retry-lock 10m; if nobody is at work, 'clawback unlock' removes stale locks"},
    [ERR_WRONG_PASSPHRASE] = {12,
                              "check the passphrase file, CLAWBACK_PASSPHRASE or --password-file; nothing was changed"},
    [ERR_NO_REPOSITORY] = {10, "check --repo; to make a new repository there, run 'clawback init'"},
    [ERR_PARTIAL] = {3, NULL},
    [ERR_CHANGED] = {1, "try again when it is quieter"},
    [ERR_TIMEOUT] = {1, NULL},
    [ERR_INTERRUPTED] = {130, NULL},
};

enum { LONG_BYTES = 8192, HEAD_BYTES = ERR_MESSAGE_BYTES / 3 };

/* Where to cut so that no character is cut in two: the last one's beginning at or before `at`, or the first one's at or
 * after it. */
static size_t cut_before(const char *text, size_t at)
{
    while (at > 0 && ((unsigned char)text[at] & 0xc0) == 0x80)
        at--;
    return at;
}

static size_t cut_after(const char *text, size_t at)
{
    while (((unsigned char)text[at] & 0xc0) == 0x80)
        at++;
    return at;
}

static void set_text(struct err *err, const char *text)
{
    static const char CUT[] = "…";
    size_t len = strlen(text), head = 0;
    if (len < sizeof err->message) {
        memcpy(err->message, text, len + 1);
        return;
    }
    head = cut_before(text, HEAD_BYTES);
    size_t tail = cut_after(text, len - (sizeof err->message - head - sizeof CUT));
    snprintf(err->message, sizeof err->message, "%.*s%s%s", (int)head, text, CUT, text + tail);
}

static void set_message(struct err *err, enum err_code code, int errnum, const char *format, va_list args)
    __attribute__((format(printf, 4, 0)));

static void set_message(struct err *err, enum err_code code, int errnum, const char *format, va_list args)
{
    if (err == NULL)
        return;
    err->code = code;
    err->sys_errno = errnum;
    err->hint = NULL;
    /* Arguments may point into the old message: build the new one beside it. */
    char text[LONG_BYTES], reason[128] = "";
    const char *why = errnum != 0 ? strerror_r(errnum, reason, sizeof reason) : "";
    vsnprintf(text, sizeof text - sizeof reason, format, args);
    size_t len = strlen(text);
    if (errnum != 0)
        snprintf(text + len, sizeof text - len, ": %s", why);
    set_text(err, text);
}

int err_set(struct err *err, enum err_code code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    set_message(err, code, 0, format, args);
    va_end(args);
    return -1;
}

static enum err_code code_of_errno(int errnum)
{
    switch (errnum) {
    case ENOENT:
    case ENOTDIR:
        return ERR_NOT_FOUND;
    case EEXIST:
        return ERR_EXISTS;
    case ENOSPC:
    case EDQUOT:
        return ERR_NO_SPACE;
    case EACCES:
    case EPERM:
    case EROFS:
        return ERR_PERMISSION;
    case ETIMEDOUT:
        return ERR_TIMEOUT;
    case ENAMETOOLONG:
    case ELOOP:
    case EISDIR:
        return ERR_FAILED; /* a mistake in a name; no disk is to blame */
    default:
        return ERR_IO;
    }
}

int err_errno(struct err *err, int errnum, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    set_message(err, code_of_errno(errnum), errnum, format, args);
    va_end(args);
    return -1;
}

int err_wrap(struct err *err, const char *format, ...)
{
    if (err == NULL)
        return -1;
    char text[LONG_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text - sizeof err->message - sizeof ": ", format, args);
    va_end(args);
    size_t len = strlen(text);
    snprintf(text + len, sizeof text - len, ": %s", err->message);
    set_text(err, text);
    return -1;
}

int err_advise(struct err *err, const char *hint)
{
    if (err != NULL)
        err->hint = hint;
    return -1;
}

void err_clear(struct err *err)
{
    if (err != NULL) {
        err->code = ERR_NONE;
        err->sys_errno = 0;
        err->hint = NULL;
        err->message[0] = '\0';
    }
}

int err_exit_status(enum err_code code)
{
    return CODES[code].exit_status;
}

const char *err_hint(const struct err *err)
{
    return err->hint != NULL ? err->hint : CODES[err->code].hint;
}
