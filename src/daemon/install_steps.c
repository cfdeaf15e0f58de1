/* Steps: each is said before it is taken. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "base/shell.h"
#include "daemon/install.h"
#include "os/file.h"

enum { FILE_MAX_BYTES = 4 << 20, TEXT_MAX_BYTES = 64 << 10 };

void install_tell(struct install *in, enum install_word word, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&text, format, args);
    va_end(args);
    in->steps += word == INSTALL_STEP;
    if (n >= 0 && in->say != NULL)
        in->say(in->ctx, word, text);
    free(n >= 0 ? text : NULL);
}

static bool is_same(const char *path, const char *text)
{
    struct buf there;
    buf_init(&there, FILE_MAX_BYTES);
    bool same =
        os_read_file(path, &there, NULL) == 0 && strcmp(buf_cstr(&there), text) == 0 && there.len == strlen(text);
    buf_release(&there);
    return same;
}

int install_write_file(struct install *in, const char *path, const char *text, mode_t mode, bool *changed,
                       struct err *err)
{
    bool same = is_same(path, text);
    if (changed != NULL)
        *changed = *changed || !same;
    if (same) {
        install_tell(in, INSTALL_SAME, "%s is as it should be", path);
        return 0;
    }
    install_tell(in, INSTALL_STEP, "write %s", path);
    if (in->dry_run) {
        install_tell(in, INSTALL_TEXT, "%s", text);
        return 0;
    }
    const char *slash = strrchr(path, '/');
    char *dir = mem_strndup(path, (size_t)(slash - path));
    int rc = os_make_dirs(dir, 0755, err);
    if (rc == 0)
        rc = os_write_file_atomic(path, text, strlen(text), mode, err);
    free(dir);
    return rc;
}

int install_remove_file(struct install *in, const char *path, bool *removed, struct err *err)
{
    if (access(path, F_OK) < 0 && errno == ENOENT)
        return 0;
    install_tell(in, INSTALL_STEP, "remove %s", path);
    if (removed != NULL)
        *removed = true;
    if (!in->dry_run && unlink(path) < 0 && errno != ENOENT)
        return err_errno(err, errno, "cannot remove '%s'", path);
    return 0;
}

char *install_shell_text(const char *const *words, size_t count)
{
    struct buf out;
    buf_init(&out, TEXT_MAX_BYTES);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_append_byte(&out, ' ');
        shell_append_word(&out, words[i]);
    }
    char *text = mem_strdup(buf_cstr(&out));
    buf_release(&out);
    return text;
}
