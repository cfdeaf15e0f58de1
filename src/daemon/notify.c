#include "daemon/notify.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/mem.h"
#include "os/clock.h"

enum { STATUS_BYTES = 256 };

struct notifier {
    int fd; /* -1: nobody listens */
    struct sockaddr_un address;
    socklen_t address_len;
    uint64_t alive_every_ms;
    char status[STATUS_BYTES];
};

/* A name that is too long or of no known kind leaves the notifier without a listener. */
static bool take_address(struct notifier *n, const char *name)
{
    size_t len = strlen(name);
    if ((name[0] != '/' && name[0] != '@') || name[1] == '\0' || len >= sizeof n->address.sun_path)
        return false;
    n->address.sun_family = AF_UNIX;
    memcpy(n->address.sun_path, name, len);
    if (name[0] == '@')
        n->address.sun_path[0] = '\0'; /* abstract: it has no end but the length */
    n->address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    return true;
}

static uint64_t number_of(const char *variable)
{
    const char *text = getenv(variable);
    char *end = NULL;
    if (text == NULL || *text < '0' || *text > '9')
        return 0;
    unsigned long long n = strtoull(text, &end, 10);
    return *end == '\0' ? n : 0;
}

/* The watchdog may be meant for another process of the service. */
static uint64_t alive_every_ms(void)
{
    uint64_t pid = number_of("WATCHDOG_PID"), usec = number_of("WATCHDOG_USEC");
    if (usec == 0 || (pid != 0 && pid != (uint64_t)getpid()))
        return 0;
    return usec / 2000 > 0 ? usec / 2000 : 1;
}

struct notifier *notify_open(void)
{
    struct notifier *n = mem_zalloc(sizeof *n);
    const char *name = getenv("NOTIFY_SOCKET");
    n->fd = -1;
    if (name == NULL || !take_address(n, name))
        return n;
    n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (n->fd >= 0)
        n->alive_every_ms = alive_every_ms();
    return n;
}

void notify_close(struct notifier *n)
{
    if (n == NULL)
        return;
    if (n->fd >= 0)
        close(n->fd);
    free(n);
}

static void send_text(struct notifier *n, const char *text)
{
    if (n->fd >= 0)
        (void)!sendto(n->fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&n->address, n->address_len);
}

void notify_ready(struct notifier *n)
{
    send_text(n, "READY=1");
}

void notify_reloading(struct notifier *n)
{
    char text[64];
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)(os_monotonic_ns() / 1000));
    send_text(n, text);
}

void notify_stopping(struct notifier *n)
{
    send_text(n, "STOPPING=1");
}

void notify_status(struct notifier *n, const char *text)
{
    char line[STATUS_BYTES + 8];
    if (strncmp(n->status, text, sizeof n->status - 1) == 0)
        return;
    snprintf(n->status, sizeof n->status, "%s", text);
    for (char *p = n->status; *p != '\0'; p++)
        if ((unsigned char)*p < ' ')
            *p = ' ';
    snprintf(line, sizeof line, "STATUS=%s", n->status);
    send_text(n, line);
}

void notify_alive(struct notifier *n)
{
    send_text(n, "WATCHDOG=1");
}

uint64_t notify_alive_every_ms(const struct notifier *n)
{
    return n->alive_every_ms;
}
