/* The daemon's socket: whatever a client sends, it gets one line of JSON, or nothing where no line came. The input
 * comes in two pieces, cut at the place that its first two bytes name. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <jansson.h>

#include "daemon/control_internal.h"
#include "daemon/loop_internal.h"
#include "os/clock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct loop *loop_without_jobs(void)
{
    static struct loop l;
    if (l.scheduler == NULL) {
        l = (struct loop){.options = {.state_dir = "/nowhere", .jobs_file = "/nowhere/jobs.json"}, .listen_fd = -1};
        l.scheduler = scheduler_new();
        l.notifier = notify_open();
        l.file.inotify_fd = l.file.watch = -1;
        for (size_t i = 0; i < LOOP_CLIENTS; i++)
            l.clients[i].fd = -1;
    }
    return &l;
}

static void send_piece(struct loop *l, int fd, const uint8_t *p, size_t len)
{
    while (len > 0 && l->clients[0].fd >= 0 && !l->clients[0].answering) {
        size_t piece = len < 4096 ? len : 4096;
        if (send(fd, p, piece, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)piece)
            return;
        loop_control_pump(l);
        p += piece;
        len -= piece;
    }
}

/* What came, or NULL. */
static json_t *hear(int fd)
{
    static char text[CONTROL_LINE_MAX_BYTES];
    size_t len = 0;
    for (ssize_t n; (n = recv(fd, text + len, sizeof text - len, MSG_DONTWAIT)) > 0;)
        len += (size_t)n;
    json_t *o = len > 0 ? json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL) : NULL;
    if (len > 0 && (text[len - 1] != '\n' || memchr(text, '\n', len) != text + len - 1 ||
                    !json_is_boolean(json_object_get(o, "ok"))))
        abort();
    return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int ends[2];
    if (size < 2)
        return 0;
    size_t cut = ((size_t)data[0] << 8 | data[1]) % (size - 1);
    data += 2;
    size -= 2;
    struct loop *l = loop_without_jobs();
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0)
        abort();
    l->clients[0] = (struct client){.fd = ends[0], .end_ns = os_monotonic_ns() + UINT64_C(60000000000)};
    buf_init(&l->clients[0].in, CONTROL_REQUEST_MAX_BYTES);
    buf_init(&l->clients[0].out, CONTROL_LINE_MAX_BYTES);
    send_piece(l, ends[1], data, cut);
    send_piece(l, ends[1], data + cut, size - cut);
    json_t *answer = hear(ends[1]);
    if (answer == NULL && memchr(data, '\n', size) != NULL)
        abort();
    json_decref(answer);
    close(ends[1]);
    loop_control_pump(l);
    if (l->clients[0].fd >= 0)
        abort();
    return 0;
}
