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

enum { LINE_BYTES = 2048 };

/* The journal takes a priority from the beginning of a line (sd-daemon(3)). */
static int priority(enum log_level level)
{
    switch (level) {
    case LOG_LEVEL_DEBUG:
        return 7;
    case LOG_LEVEL_INFO:
        return 6;
    case LOG_LEVEL_WARNING:
        return 4;
    case LOG_LEVEL_ERROR:
        break;
    }
    return 3;
}

/* A reader that has stopped reading must not stop the daemon: a line that would have to wait is left out. */
static bool can_write(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    return poll(&p, 1, 0) == 1 && (p.revents & (POLLERR | POLLNVAL)) == 0;
}

/* $JOURNAL_STREAM says which file the journal reads: somebody may have led standard error elsewhere since. */
static bool is_journal(int fd)
{
    const char *stream = getenv("JOURNAL_STREAM");
    char ours[64];
    struct stat st;
    if (stream == NULL || fstat(fd, &st) != 0)
        return false;
    snprintf(ours, sizeof ours, "%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
    return strcmp(stream, ours) == 0;
}

static void tell(enum log_level level, const char *text)
{
    char line[LINE_BYTES], when[32] = "";
    if (is_journal(STDERR_FILENO)) {
        snprintf(when, sizeof when, "<%d>", priority(level));
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
