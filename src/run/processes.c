#include "run/processes.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/mem.h"
#include "os/clock.h"
#include "os/file.h"

enum { COMMAND_MAX_BYTES = 32 << 10, STAT_BYTES = 1024, NAME_BYTES = 64, PORTS_FILE_MAX_BYTES = 16 << 20 };
enum { STATE_LISTEN = 0x0a, START_TIME_FIELD = 22 };

/* Up to cap - 1 bytes of a small file; the count, a NUL behind them. */
static size_t read_small(pid_t pid, const char *name, char *out, size_t cap)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? os_read_full(fd, out, cap - 1) : 0;
    if (fd >= 0)
        close(fd);
    if (got < 0)
        got = 0;
    out[got] = '\0';
    return (size_t)got;
}

/* Field 22 of /proc/PID/stat counts ticks since boot; the name in field 2 may hold blanks and parentheses. */
static int64_t started_at(pid_t pid, int64_t boot)
{
    char text[STAT_BYTES];
    read_small(pid, "stat", text, sizeof text);
    const char *p = strrchr(text, ')');
    long ticks = sysconf(_SC_CLK_TCK);
    for (int field = 2; p != NULL && field < START_TIME_FIELD; field++)
        p = strchr(p + 1, ' ');
    return p != NULL && ticks > 0 && boot > 0 ? boot + (int64_t)(strtoull(p, NULL, 10) / (unsigned long)ticks) : 0;
}

static int64_t boot_time(void)
{
    struct timespec up;
    return clock_gettime(CLOCK_BOOTTIME, &up) == 0 ? os_now().tv_sec - up.tv_sec : 0;
}

void processes_each(processes_fn *fn, void *ctx)
{
    static const size_t ROOM = COMMAND_MAX_BYTES;
    DIR *proc = opendir("/proc");
    if (proc == NULL)
        return;
    char *command = mem_alloc(ROOM), name[NAME_BYTES];
    int64_t boot = boot_time();
    bool more = true;
    for (struct dirent *e; more && (e = readdir(proc)) != NULL;) {
        pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);
        if (pid <= 0 || pid == getpid())
            continue;
        size_t name_len = read_small(pid, "comm", name, sizeof name);
        if (name_len == 0)
            continue; /* it is gone */
        name[strcspn(name, "\n")] = '\0';
        struct process_seen seen = {.pid = pid, .name = name, .command = command};
        seen.command_len = read_small(pid, "cmdline", command, ROOM);
        seen.started = started_at(pid, boot);
        more = fn(ctx, &seen);
    }
    free(command);
    closedir(proc);
}

bool process_mentions(const struct process_seen *p, const char *text)
{
    return memmem(p->command, p->command_len, text, strlen(text)) != NULL;
}

/* "0100007F" (little-endian words of an address): loopback, or every address? */
static bool address_is_local(const char *hex, size_t len)
{
    if (strspn(hex, "0") >= len)
        return true;
    if (len == 8)
        return strncmp(hex + 6, "7F", 2) == 0;
    return len == 32 && (strncmp(hex, "00000000000000000000000001000000", 32) == 0 ||
                         (strncmp(hex, "0000000000000000FFFF0000", 24) == 0 && strncmp(hex + 30, "7F", 2) == 0));
}

static size_t add_port(uint16_t port, uint16_t *ports, size_t count, size_t max)
{
    for (size_t i = 0; i < count; i++)
        if (ports[i] == port)
            return count;
    if (count < max)
        ports[count++] = port;
    return count;
}

size_t processes_ports_parse(const char *text, size_t len, uint16_t *ports, size_t count, size_t max)
{
    for (const char *p = text, *end = text + len; p < end;) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        if (stop == NULL)
            break;
        char address[65];
        unsigned port, state;
        if (sscanf(p, " %*u: %64[0-9A-F]:%4X %*64[0-9A-F]:%*4X %2X", address, &port, &state) == 3 &&
            state == STATE_LISTEN && address_is_local(address, strlen(address)))
            count = add_port((uint16_t)port, ports, count, max);
        p = stop + 1;
    }
    return count;
}

size_t processes_ports(uint16_t *ports, size_t max)
{
    static const char *const FILES[] = {"/proc/net/tcp", "/proc/net/tcp6"};
    size_t count = 0;
    for (size_t i = 0; i < 2; i++) {
        struct buf text;
        buf_init(&text, PORTS_FILE_MAX_BYTES);
        if (os_read_file(FILES[i], &text, NULL) == 0)
            count = processes_ports_parse(buf_cstr(&text), text.len, ports, count, max);
        buf_release(&text);
    }
    return count;
}
