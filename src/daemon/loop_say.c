/* What the daemon tells: the log, and standard error for whoever started it, the journal as a rule. */
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "base/mem.h"
#include "daemon/loop_internal.h"
#include "os/clock.h"
#include "os/journal.h"

enum { LINE_BYTES = 2048 };

static const char *priority(enum log_level level)
{
    switch (level) {
    case LOG_LEVEL_DEBUG:
        return OS_JOURNAL_DEBUG;
    case LOG_LEVEL_INFO:
        return OS_JOURNAL_INFO;
    case LOG_LEVEL_WARNING:
        return OS_JOURNAL_WARNING;
    case LOG_LEVEL_ERROR:
        break;
    }
    return OS_JOURNAL_ERROR;
}

/* A reader that has stopped reading must not stop the daemon: a line that would have to wait is left out. */
static bool can_write(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    return poll(&p, 1, 0) == 1 && (p.revents & (POLLERR | POLLNVAL)) == 0;
}

static void tell(enum log_level level, const char *text)
{
    char line[LINE_BYTES], when[32] = "";
    if (os_is_journal(STDERR_FILENO)) {
        snprintf(when, sizeof when, "%s", priority(level));
    } else {
        struct timespec now = os_now();
        struct tm tm = {0};
        localtime_r(&now.tv_sec, &tm);
        strftime(when, sizeof when, "%H:%M:%S ", &tm);
    }
    int len = snprintf(line, sizeof line, "%s%s", when, text);
    size_t bytes = len < 0 ? 0 : (size_t)len < sizeof line - 1 ? (size_t)len : sizeof line - 2;
    for (size_t i = 0; i < bytes; i++)
        if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
            line[i] = ' ';
    line[bytes++] = '\n';
    if (can_write(STDERR_FILENO))
        (void)!write(STDERR_FILENO, line, bytes);
}

void loop_say(enum log_level level, const char *format, ...)
{
    char text[LINE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    log_line(level, "%s", text);
    if (level > LOG_LEVEL_DEBUG)
        tell(level, text);
}

void loop_say_once(struct said *s, enum log_level level, const char *text)
{
    if (s->text != NULL && strcmp(s->text, text) == 0)
        return;
    free(s->text);
    s->text = mem_strdup(text);
    loop_say(level, "%s", text);
}

void loop_say_trouble(struct said *s, enum log_level level, const char *text)
{
    if (s->text == NULL)
        loop_say_once(s, level, text);
}

bool loop_said_well(struct said *s)
{
    bool was_bad = s->text != NULL;
    free(s->text);
    s->text = NULL;
    return was_bad;
}
