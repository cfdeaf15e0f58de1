/* Pattern files: --exclude-file and its like. */
#include "source/filter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/mem.h"
#include "os/file.h"

enum { PATTERN_FILE_MAX_BYTES = 64 << 20, STDIN_STEP_BYTES = 64 << 10 };

static bool is_name_char(char c)
{
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Appends the variable whose '$' is at s, and returns how much of s it took. "$$" is a dollar, a '$' before nothing
 * that could be a name stays, and what the environment lacks is empty: Go's os.Expand, as restic's users know it. */
static size_t append_variable(struct buf *out, const char *s, size_t len)
{
    const char *name = s + 1;
    size_t name_len = 0, taken;
    if (len > 1 && s[1] == '{') {
        const char *close = memchr(s, '}', len);
        if (close == NULL)
            return 2;
        name = s + 2;
        name_len = (size_t)(close - name);
        taken = name_len + 3;
    } else {
        while (1 + name_len < len && is_name_char(name[name_len]))
            name_len++;
        if (name_len == 0 && len > 1 && strchr("*#$@!?-", s[1]) != NULL)
            name_len = 1;
        else if (name_len > 0 && name[0] >= '0' && name[0] <= '9')
            name_len = 1;
        taken = 1 + name_len;
    }
    if (taken == 1 || (name_len == 1 && name[0] == '$')) {
        buf_append_byte(out, '$');
        return taken;
    }
    char *copy = mem_strndup(name, name_len);
    const char *value = getenv(copy);
    if (value != NULL)
        buf_append_str(out, value);
    free(copy);
    return taken;
}

static int add_line(struct filter *f, const char *line, size_t len, bool ignore_case, struct err *err)
{
    static const char blanks[] = " \t\r\v\f";
    while (len > 0 && strchr(blanks, line[0]) != NULL) {
        line++;
        len--;
    }
    while (len > 0 && strchr(blanks, line[len - 1]) != NULL)
        len--;
    if (len == 0 || line[0] == '#')
        return 0;
    struct buf expanded;
    buf_init(&expanded, PATTERN_FILE_MAX_BYTES);
    for (size_t at = 0; at < len;) {
        if (line[at] == '$') {
            at += append_variable(&expanded, line + at, len - at);
        } else {
            buf_append_byte(&expanded, (unsigned char)line[at++]);
        }
    }
    int rc = filter_add(f, buf_cstr(&expanded), ignore_case, err);
    buf_release(&expanded);
    return rc;
}

static int add_lines(struct filter *f, const char *text, size_t len, bool ignore_case, struct err *err)
{
    unsigned long line_number = 1;
    if (len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {
        text += 3;
        len -= 3;
    }
    while (len > 0) {
        const char *newline = memchr(text, '\n', len);
        size_t n = newline == NULL ? len : (size_t)(newline - text);
        if (memchr(text, '\0', n) != NULL)
            return err_set(err, ERR_USAGE, "line %lu contains a NUL byte", line_number);
        if (add_line(f, text, n, ignore_case, err) != 0)
            return err_wrap(err, "line %lu", line_number);
        size_t taken = newline == NULL ? n : n + 1;
        text += taken;
        len -= taken;
        line_number++;
    }
    return 0;
}

static int read_stdin(struct buf *out, struct err *err)
{
    for (;;) {
        unsigned char *room = buf_reserve(out, STDIN_STEP_BYTES);
        if (room == NULL)
            return err_set(err, ERR_FAILED, "standard input is longer than %d bytes", PATTERN_FILE_MAX_BYTES);
        ssize_t n = os_read_full(STDIN_FILENO, room, STDIN_STEP_BYTES);
        if (n < 0)
            return err_errno(err, errno, "cannot read standard input");
        if (n == 0)
            return 0;
        out->len += (size_t)n;
    }
}

int filter_add_file(struct filter *f, const char *path, bool ignore_case, struct err *err)
{
    struct buf text;
    buf_init(&text, PATTERN_FILE_MAX_BYTES);
    int rc = strcmp(path, "-") == 0 ? read_stdin(&text, err) : os_read_file(path, &text, err);
    if (rc != 0) {
        err_wrap(err, "cannot read the patterns");
    } else {
        rc = add_lines(f, (const char *)text.data, text.len, ignore_case, err);
        if (rc != 0)
            err_wrap(err, "pattern file '%s'", path);
    }
    buf_release(&text);
    return rc;
}
