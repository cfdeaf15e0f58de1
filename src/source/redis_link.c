#include "source/redis_link.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/mem.h"
#include "os/clock.h"
#include "os/interrupt.h"
#include "source/redis_tls.h"

/* TICK_MS: how often a wait looks at os_interrupted(). CONNECT_MS: for one address. HANDSHAKE_MS: for each answer in
 * it, for which a server that does not know TLS waits in vain, too. */
enum { TICK_MS = 200, CONNECT_MS = 15000, HANDSHAKE_MS = 10000 };

struct redis_link {
    const struct redis_url *url;
    int fd;
    struct redis_tls *tls; /* NULL: none */
    uint64_t idle_ms, deadline_ns;
};

/* ---- waiting */

/* Until the descriptor is ready for `events`. */
static int wait_ready(const struct redis_link *l, short events, uint64_t idle_ms, struct err *err)
{
    uint64_t began = os_monotonic_ns(), until = began + idle_ms * UINT64_C(1000000);
    if (until > l->deadline_ns)
        until = l->deadline_ns;
    for (;;) {
        if (os_check_interrupt(err) != 0)
            return -1;
        uint64_t now = os_monotonic_ns(), left_ms = until > now ? (until - now) / 1000000 + 1 : 0;
        struct pollfd ready = {.fd = l->fd, .events = events};
        if (poll(&ready, 1, left_ms < TICK_MS ? (int)left_ms : TICK_MS) > 0)
            return 0;
        if (now < until)
            continue;
        if (until == l->deadline_ns)
            return err_set(err, ERR_TIMEOUT, "Redis at '%s' took too long", l->url->display);
        return err_set(err, ERR_TIMEOUT, "Redis at '%s' did not answer for %llu s", l->url->display,
                       (unsigned long long)(until - began) / 1000000000);
    }
}

static int wait_for(struct redis_link *l, enum redis_tls_want want, struct err *err)
{
    return wait_ready(l, want == REDIS_TLS_WRITE ? POLLOUT : POLLIN, l->idle_ms, err);
}

/* ---- connecting */

static int say_refused(const struct redis_link *l, int errnum, struct err *err)
{
    const char *where = l->url->display;
    if (errnum == ECONNREFUSED || errnum == ENOENT) {
        err_errno(err, errnum, "no Redis server listens at '%s'", where);
        if (err != NULL)
            err->code = ERR_NOT_FOUND;
        return -1;
    }
    return err_errno(err, errnum, "cannot connect to Redis at '%s'", where);
}

/* One address. On failure no descriptor is left open. */
static int connect_to(struct redis_link *l, const struct sockaddr *address, socklen_t len, struct err *err)
{
    l->fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->fd < 0)
        return err_errno(err, errno, "cannot make a socket");
    int errnum = connect(l->fd, address, len) == 0 ? 0 : errno, rc = 0;
    if (errnum == EINPROGRESS) {
        socklen_t size = sizeof errnum;
        rc = wait_ready(l, POLLOUT, CONNECT_MS, err);
        if (rc == 0 && getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &errnum, &size) != 0)
            errnum = errno;
    }
    if (rc == 0 && errnum != 0)
        rc = say_refused(l, errnum, err);
    if (rc != 0) {
        close(l->fd);
        l->fd = -1;
    }
    return rc;
}

static int connect_host(struct redis_link *l, struct err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *found = NULL;
    char *port = mem_printf("%u", l->url->port);
    int code = getaddrinfo(l->url->host, port, &hints, &found);
    free(port);
    if (code != 0)
        return err_set(err, ERR_FAILED, "cannot find the host of Redis at '%s': %s", l->url->display,
                       gai_strerror(code));
    int rc = -1;
    for (const struct addrinfo *a = found; a != NULL && rc != 0; a = a->ai_next) {
        rc = connect_to(l, a->ai_addr, a->ai_addrlen, err);
        if (rc != 0 && os_interrupted())
            break;
    }
    freeaddrinfo(found);
    if (rc == 0) {
        int on = 1;
        (void)setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        (void)setsockopt(l->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    }
    return rc;
}

static int connect_socket(struct redis_link *l, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(l->url->socket);
    if (len >= sizeof address.sun_path)
        return err_set(err, ERR_USAGE, "the path of the Redis socket '%s' is longer than %zu bytes", l->url->socket,
                       sizeof address.sun_path - 1);
    memcpy(address.sun_path, l->url->socket, len + 1);
    return connect_to(l, (const struct sockaddr *)&address, sizeof address, err);
}

static int start_tls(struct redis_link *l, struct err *err)
{
    if (redis_tls_new(&l->tls, l->url, l->fd, err) != 0)
        return -1;
    enum redis_tls_want want;
    uint64_t idle_ms = l->idle_ms < HANDSHAKE_MS ? l->idle_ms : HANDSHAKE_MS;
    while ((want = redis_tls_handshake(l->tls, err)) != REDIS_TLS_DONE) {
        if (want == REDIS_TLS_FAILED)
            return -1;
        if (wait_ready(l, want == REDIS_TLS_WRITE ? POLLOUT : POLLIN, idle_ms, err) != 0)
            return err_wrap(err, "no TLS came about (does that port speak it?)");
    }
    return 0;
}

int redis_link_open(struct redis_link **out, const struct redis_url *url, uint64_t idle_ms, uint64_t deadline_ns,
                    struct err *err)
{
    struct redis_link *l = mem_zalloc(sizeof *l);
    *l = (struct redis_link){.url = url, .fd = -1, .idle_ms = idle_ms, .deadline_ns = deadline_ns};
    int rc = url->socket != NULL ? connect_socket(l, err) : connect_host(l, err);
    if (rc == 0 && url->tls)
        rc = start_tls(l, err);
    if (rc != 0) {
        redis_link_close(l);
        return -1;
    }
    *out = l;
    return 0;
}

void redis_link_close(struct redis_link *l)
{
    if (l == NULL)
        return;
    redis_tls_free(l->tls);
    if (l->fd >= 0)
        close(l->fd);
    free(l);
}

/* ---- reading, writing */

static int say_lost(const struct redis_link *l, int errnum, struct err *err)
{
    return err_errno(err, errnum, "the connection to Redis at '%s' broke", l->url->display);
}

/* What one system call gives; `want` is what to wait for when it has nothing to give (-1 is returned and want is no
 * FAILED). */
static int64_t read_once(struct redis_link *l, void *p, size_t cap, enum redis_tls_want *want, struct err *err)
{
    if (l->tls != NULL)
        return redis_tls_read(l->tls, p, cap, want, err);
    ssize_t n = recv(l->fd, p, cap, 0);
    *want = REDIS_TLS_READ;
    if (n >= 0 || errno == EAGAIN || errno == EINTR)
        return n;
    *want = REDIS_TLS_FAILED;
    return say_lost(l, errno, err);
}

static int64_t write_once(struct redis_link *l, const void *p, size_t len, enum redis_tls_want *want, struct err *err)
{
    if (l->tls != NULL)
        return redis_tls_write(l->tls, p, len, want, err);
    ssize_t n = send(l->fd, p, len, MSG_NOSIGNAL);
    *want = REDIS_TLS_WRITE;
    if (n >= 0 || errno == EAGAIN || errno == EINTR)
        return n;
    *want = REDIS_TLS_FAILED;
    return say_lost(l, errno, err);
}

int64_t redis_link_read(struct redis_link *l, void *p, size_t cap, struct err *err)
{
    for (;;) {
        enum redis_tls_want want;
        if (os_check_interrupt(err) != 0)
            return -1;
        if (os_monotonic_ns() >= l->deadline_ns)
            return err_set(err, ERR_TIMEOUT, "Redis at '%s' took too long", l->url->display);
        int64_t n = read_once(l, p, cap, &want, err);
        if (n >= 0)
            return n;
        if (want == REDIS_TLS_FAILED || wait_for(l, want, err) != 0)
            return -1;
    }
}

int redis_link_write(struct redis_link *l, const void *bytes, size_t len, struct err *err)
{
    const unsigned char *p = bytes;
    while (len > 0) {
        enum redis_tls_want want;
        int64_t n = write_once(l, p, len, &want, err);
        if (n < 0 && (want == REDIS_TLS_FAILED || wait_for(l, want, err) != 0))
            return -1;
        if (n > 0) {
            p += n;
            len -= (size_t)n;
        }
    }
    return 0;
}
