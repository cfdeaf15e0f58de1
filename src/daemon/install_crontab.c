#include "daemon/install_crontab.h"

#include <string.h>
#include "run/installed.h"

/* The line's start after `from`, or NULL. Only a whole line is a marker; what an editor put behind it, a carriage
 * return as a rule, is nothing. */
static const char *find_line(const char *from, const char *end, const char *line)
{
    size_t len = strlen(line);
    while (from < end) {
        const char *stop = memchr(from, '\n', (size_t)(end - from));
        size_t here = (size_t)((stop != NULL ? stop : end) - from);
        while (here > len && (from[here - 1] == '\r' || from[here - 1] == ' ' || from[here - 1] == '\t'))
            here--;
        if (here == len && memcmp(from, line, len) == 0)
            return from;
        from = stop != NULL ? stop + 1 : end;
    }
    return NULL;
}

int crontab_find(const char *text, size_t len, bool *found, size_t *begin, size_t *end, struct err *err)
{
    const char *stop = text + len, *first = find_line(text, stop, INSTALLED_CRON_BEGIN);
    const char *last = find_line(text, stop, INSTALLED_CRON_END);
    *found = false;
    *begin = *end = len;
    if (first == NULL && last == NULL)
        return 0;
    const char *behind = last == NULL ? NULL : memchr(last, '\n', (size_t)(stop - last));
    behind = last == NULL ? NULL : behind == NULL ? stop : behind + 1;
    if (first == NULL || last == NULL || last < first || find_line(first + 1, stop, INSTALLED_CRON_BEGIN) != NULL ||
        find_line(behind, stop, INSTALLED_CRON_END) != NULL) {
        err_set(err, ERR_CORRUPT, "the crontab has lines '%s' and '%s' that are no pair", INSTALLED_CRON_BEGIN,
                INSTALLED_CRON_END);
        return err_advise(err, "remove them with 'crontab -e', and what between them is clawback's");
    }
    *found = true;
    *begin = (size_t)(first - text);
    *end = (size_t)(behind - text);
    return 0;
}

int crontab_replace(const char *text, size_t len, const char *block, struct buf *out, struct err *err)
{
    bool found;
    size_t begin, end;
    if (crontab_find(text, len, &found, &begin, &end, err) < 0)
        return -1;
    buf_append(out, text, begin);
    if (*block != '\0') {
        if (begin > 0 && text[begin - 1] != '\n')
            buf_append_byte(out, '\n');
        buf_printf(out, "%s\n", INSTALLED_CRON_BEGIN);
        buf_append_str(out, block);
        buf_printf(out, "%s\n", INSTALLED_CRON_END);
    }
    buf_append(out, text + end, len - end);
    return out->overflow ? err_set(err, ERR_FAILED, "the crontab is too large") : 0;
}

void crontab_line(struct buf *out, const char *fields, const char *command, bool off)
{
    buf_printf(out, "%s%s ", off ? "#off " : "", fields);
    for (; *command != '\0'; command++) {
        if (*command == '%')
            buf_append_byte(out, '\\');
        /* A line break within a word cannot be said: cron would end the command there. */
        buf_append_byte(out, *command == '\n' ? ' ' : (unsigned char)*command);
    }
    buf_append_byte(out, '\n');
}
