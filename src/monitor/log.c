#include "monitor/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "base/mem.h"
#include "os/clock.h"
#include "os/file.h"

enum { LINE_MAX_BYTES = 4096, PART_BYTES = 32 };

static struct {
    pthread_mutex_t mutex;
    char *path; /* NULL: no log */
    char part[PART_BYTES];
    enum log_level level;
} log_state = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static const char *const LEVELS[] = {
    [LOG_LEVEL_DEBUG] = "debug",
    [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_WARNING] = "warning",
    [LOG_LEVEL_ERROR] = "error",
};

/* --- where --- */

/* Of root, and not of a test or of a user who became root with a home of his own. */
static bool is_system_state(const char *state_dir)
{
    const struct passwd *root = geteuid() == 0 ? getpwuid(0) : NULL;
    return root != NULL && (os_path_is_below(state_dir, root->pw_dir) || os_path_is_below(state_dir, "/var/lib"));
}

static char *choose_path(const char *state_dir)
{
    const char *own = getenv("CLAWBACK_LOG");
    if (own != NULL && strcmp(own, "none") == 0)
        return NULL;
    if (own != NULL && *own != '\0')
        return mem_strdup(own);
    return is_system_state(state_dir) ? mem_strdup("/var/log/clawback.log") : os_path_join(state_dir, "clawback.log");
}

static enum log_level choose_level(void)
{
    const char *name = getenv("CLAWBACK_LOG_LEVEL");
    for (size_t i = 0; name != NULL && i < sizeof LEVELS / sizeof *LEVELS; i++)
        if (strcasecmp(name, LEVELS[i]) == 0)
            return (enum log_level)i;
    return LOG_LEVEL_INFO;
}

void log_open(const char *state_dir, const char *part)
{
    log_close();
    pthread_mutex_lock(&log_state.mutex);
    log_state.path = choose_path(state_dir);
    log_state.level = choose_level();
    snprintf(log_state.part, sizeof log_state.part, "%s", part);
    pthread_mutex_unlock(&log_state.mutex);
}

void log_close(void)
{
    pthread_mutex_lock(&log_state.mutex);
    free(log_state.path);
    log_state.path = NULL;
    pthread_mutex_unlock(&log_state.mutex);
}

const char *log_path(void)
{
    return log_state.path;
}

/* --- writing --- */

/* FILE.2 becomes FILE.3, FILE.1 FILE.2, FILE FILE.1. The caller holds FILE's lock. */
static void rotate(const char *path)
{
    for (int i = LOG_FILES_KEPT; i > 0; i--) {
        char *to = mem_printf("%s.%d", path, i);
        char *from = i > 1 ? mem_printf("%s.%d", path, i - 1) : mem_strdup(path);
        if (rename(from, to) != 0 && errno != ENOENT)
            i = 1; /* what cannot be rotated now is rotated another time */
        free(from);
        free(to);
    }
}

/* The file that has this name now, locked: somebody else's rotation must not take it away between our open and our
 * write. -1: there is none to be had. */
static int open_locked(const char *path)
{
    for (int tries = 0; tries < 10; tries++) {
        struct stat ours, there;
        int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, 0600);
        if (fd < 0)
            return -1;
        while (flock(fd, LOCK_EX) != 0 && errno == EINTR)
            ;
        bool regular = fstat(fd, &ours) == 0 && S_ISREG(ours.st_mode);
        if (regular && stat(path, &there) == 0 && ours.st_ino == there.st_ino && ours.st_dev == there.st_dev) {
            if (ours.st_size <= LOG_FILE_MAX_BYTES)
                return fd;
            rotate(path);
        }
        close(fd);
        if (!regular)
            return -1;
    }
    return -1;
}

static void append(const char *path, const char *line, size_t len)
{
    int fd = open_locked(path);
    if (fd < 0 && errno == ENOENT) {
        char *dir = mem_strdup(path), *slash = strrchr(dir, '/');
        if (slash != NULL && slash > dir) {
            *slash = '\0';
            os_make_dirs(dir, 0700, NULL);
        }
        free(dir);
        fd = open_locked(path);
    }
    if (fd < 0)
        return;
    os_write_full(fd, line, len);
    close(fd);
}

static size_t format_line(char out[LINE_MAX_BYTES], enum log_level level, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));
static size_t format_line(char out[LINE_MAX_BYTES], enum log_level level, const char *format, va_list args)
{
    struct timespec now = os_now();
    struct tm tm = {0};
    char when[OS_TIME_BYTES];
    gmtime_r(&now.tv_sec, &tm);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &tm);
    int head = snprintf(out, LINE_MAX_BYTES, "%s %s %s[%d]: ", when, LEVELS[level], log_state.part, (int)getpid());
    size_t room = LINE_MAX_BYTES - 1 - (size_t)head;
    int len = vsnprintf(out + head, room, format, args);
    size_t all = (size_t)head + (len < 0 ? 0 : (size_t)len < room ? (size_t)len : room - 1);
    for (size_t i = 0; i < all; i++)
        if ((unsigned char)out[i] < ' ' || out[i] == 0x7f)
            out[i] = ' ';
    out[all++] = '\n';
    return all;
}

void log_line(enum log_level level, const char *format, ...)
{
    char line[LINE_MAX_BYTES];
    va_list args;
    int errnum = errno;
    pthread_mutex_lock(&log_state.mutex);
    if (log_state.path != NULL && level >= log_state.level) {
        va_start(args, format);
        size_t len = format_line(line, level, format, args);
        va_end(args);
        append(log_state.path, line, len);
    }
    pthread_mutex_unlock(&log_state.mutex);
    errno = errnum;
}

/* --- reading --- */

char *log_tail(size_t max_bytes)
{
    struct stat st;
    int fd = log_state.path != NULL ? open(log_state.path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
    if (fd < 0)
        return NULL;
    char *text = mem_alloc(max_bytes + 1);
    off_t from = fstat(fd, &st) == 0 && st.st_size > (off_t)max_bytes ? st.st_size - (off_t)max_bytes : 0;
    ssize_t n = os_pread_full(fd, text, max_bytes, from);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    char *first = from > 0 ? strchr(text, '\n') : NULL;
    if (first != NULL)
        memmove(text, first + 1, strlen(first + 1) + 1);
    if (*text != '\0')
        return text;
    free(text);
    return NULL;
}
