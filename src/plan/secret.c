/* Every buffer that held a secret is wiped. */
#include "plan/secret.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "os/file.h"
#include "os/process.h"

enum { COMMAND_TIMEOUT_MS = 60000 };

static void buffer_init(struct buf *b)
{
    buf_init(b, SECRET_MAX_BYTES);
    buf_reserve(b, SECRET_MAX_BYTES); /* once, so that no copy is left behind by growing */
}

static void wipe_and_release(struct buf *b)
{
    if (b->data != NULL)
        mem_wipe(b->data, b->cap);
    buf_release(b);
}

static void wipe_and_free(char **secret)
{
    if (*secret != NULL)
        mem_wipe(*secret, strlen(*secret));
    free(*secret);
    *secret = NULL;
}

/* White space around a secret is not part of it: an editor's newline must not matter, and restic, which reads the same
 * files, does the same. */
static int take_trimmed(struct buf *text, const char *what, char **out, struct err *err)
{
    static const char BLANKS[] = " \t\r\n\v\f";
    const char *start = buf_cstr(text), *end = start + text->len;
    if (memchr(start, '\0', text->len) != NULL)
        return err_set(err, ERR_USAGE, "the secret from %s has a NUL byte in it", what);
    start += strspn(start, BLANKS);
    while (end > start && strchr(BLANKS, end[-1]) != NULL)
        end--;
    if (start == end)
        return err_set(err, ERR_USAGE, "the secret from %s is empty", what);
    *out = mem_strndup(start, (size_t)(end - start));
    return 0;
}

/* Editors on Windows put it there, and restic does not count it in either. */
static void drop_byte_order_mark(struct buf *text)
{
    if (text->len < 3 || memcmp(text->data, "\xEF\xBB\xBF", 3) != 0)
        return;
    text->len -= 3;
    memmove(text->data, text->data + 3, text->len);
}

int secret_from_file(const char *path, char **out, struct err *err)
{
    struct buf text;
    char what[512];
    *out = NULL;
    snprintf(what, sizeof what, "file '%s'", path);
    buffer_init(&text);
    int rc = os_read_file(path, &text, err);
    if (rc == 0) {
        drop_byte_order_mark(&text);
        rc = take_trimmed(&text, what, out, err);
    }
    wipe_and_release(&text);
    return rc;
}

/* The options but for the command itself. */
static int from_command(const struct strlist *argv, struct process_options options, char **out, struct err *err)
{
    struct buf text;
    char what[256];
    *out = NULL;
    char **terminated = mem_array(NULL, argv->count + 1, sizeof *terminated);
    memcpy(terminated, argv->items, argv->count * sizeof *terminated);
    terminated[argv->count] = NULL;
    options.argv = terminated;
    snprintf(what, sizeof what, "command '%s'", terminated[0]);
    buffer_init(&text);
    int rc = process_run(&options, &text, err);
    if (rc == 0)
        rc = take_trimmed(&text, what, out, err);
    free(terminated);
    wipe_and_release(&text);
    return rc;
}

int secret_from_command(const struct strlist *argv, bool attended, char **out, struct err *err)
{
    /* It may have to ask somebody, by the terminal that it is started from, if there is one. */
    const struct process_options options = {.inherit_stderr = attended,
                                            .share_terminal = attended || isatty(STDERR_FILENO) == 1,
                                            .timeout_ms = attended ? 0 : COMMAND_TIMEOUT_MS};
    return from_command(argv, options, out, err);
}

static int from_environment(const char *name, char **out, struct err *err)
{
    const char *value = getenv(name);
    if (value == NULL)
        return err_set(err, ERR_NOT_FOUND, "variable '%s' is not set", name);
    if (value[0] == '\0')
        return err_set(err, ERR_USAGE, "variable '%s' is empty", name);
    *out = mem_strdup(value);
    return 0;
}

static int from_credential(const char *name, char **out, struct err *err)
{
    const char *dir = getenv("CREDENTIALS_DIRECTORY");
    if (dir == NULL || dir[0] == '\0')
        return err_set(err, ERR_NOT_FOUND,
                       "there is no credential '%s': only a systemd unit with LoadCredential= has some", name);
    char *path = os_path_join(dir, name);
    int rc = secret_from_file(path, out, err);
    free(path);
    return rc;
}

/* within_ms 0: by secret_from_command(), which may ask. */
static int fetch(const struct secret *s, uint64_t within_ms, char **out, struct err *err)
{
    const struct process_options alone = {.no_terminal = true, .timeout_ms = within_ms};
    int rc = -1;
    *out = NULL;
    switch (s->kind) {
    case SECRET_NONE:
        err_set(err, ERR_USAGE, "nothing says where the secret is");
        break;
    case SECRET_FILE:
        rc = secret_from_file(s->name, out, err);
        break;
    case SECRET_COMMAND:
        rc = within_ms > 0 ? from_command(&s->command, alone, out, err)
                           : secret_from_command(&s->command, false, out, err);
        break;
    case SECRET_ENV:
        rc = from_environment(s->name, out, err);
        break;
    case SECRET_CREDENTIAL:
        rc = from_credential(s->name, out, err);
        break;
    }
    if (rc == 0 && strpbrk(*out, "\r\n") != NULL) {
        char what[512];
        secret_describe(s, what, sizeof what);
        rc = err_set(err, ERR_USAGE, "the secret from %s has more than one line", what);
        wipe_and_free(out);
    }
    return rc;
}

int secret_fetch(const struct secret *s, char **out, struct err *err)
{
    return fetch(s, 0, out, err);
}

int secret_fetch_within(const struct secret *s, uint64_t timeout_ms, char **out, struct err *err)
{
    return fetch(s, timeout_ms > 0 ? timeout_ms : 1, out, err);
}

void secret_describe(const struct secret *s, char *out, size_t cap)
{
    switch (s->kind) {
    case SECRET_NONE:
        snprintf(out, cap, "nowhere");
        break;
    case SECRET_FILE:
        snprintf(out, cap, "file '%s'", s->name);
        break;
    case SECRET_COMMAND: /* its arguments may be secret */
        snprintf(out, cap, "command '%s'", s->command.items[0]);
        break;
    case SECRET_ENV:
        snprintf(out, cap, "variable '%s'", s->name);
        break;
    case SECRET_CREDENTIAL:
        snprintf(out, cap, "credential '%s'", s->name);
        break;
    }
}

bool secret_file_exposed(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & (S_IRWXG | S_IRWXO)) != 0;
}
