/* The socket is reached through a descriptor of its directory, /proc/self/fd/N/daemon.sock: a socket's address holds
 * 107 bytes, a state directory's path may have more. */
#include "daemon/control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/mem.h"
#include "daemon/control_internal.h"
#include "os/clock.h"
#include "os/file.h"

enum { ANSWER_WAIT_MS = 10 * 1000 };

char *control_path(const char *state_dir)
{
    return os_path_join(state_dir, CONTROL_SOCKET_NAME);
}

int control_address(const char *state_dir, struct sockaddr_un *out)
{
    int dir = open(state_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (dir >= 0)
        snprintf(out->sun_path, sizeof out->sun_path, "/proc/self/fd/%d/" CONTROL_SOCKET_NAME, dir);
    return dir;
}

/* --- a conversation --- */

static int connect_to(const char *state_dir, struct err *err)
{
    struct sockaddr_un address;
    int dir = control_address(state_dir, &address), fd = -1, errnum = 0;
    if (dir >= 0)
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) != 0)
        errnum = errno;
    if (dir >= 0)
        close(dir);
    if (errnum == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    if (errnum == ENOENT || errnum == ECONNREFUSED || errnum == ENOTDIR)
        err_set(err, ERR_NOT_FOUND, "no daemon is running for '%s'", state_dir);
    else
        err_errno(err, errnum, "cannot reach the daemon of '%s'", state_dir);
    return -1;
}

static int send_line(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, text, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        text += n;
        len -= (size_t)n;
    }
    return 0;
}

/* All that comes until the other side hangs up. */
static int receive_all(int fd, struct buf *out, struct err *err)
{
    uint64_t end_ns = os_monotonic_ns() + ANSWER_WAIT_MS * UINT64_C(1000000);
    for (;;) {
        uint64_t now = os_monotonic_ns();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int ready = now < end_ns ? poll(&p, 1, (int)((end_ns - now) / 1000000 + 1)) : 0;
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0)
            return err_set(err, ERR_TIMEOUT, "the daemon does not answer");
        unsigned char *to = buf_reserve(out, 4096);
        if (to == NULL)
            return err_set(err, ERR_CORRUPT, "the daemon's answer is too long");
        ssize_t n = read(fd, to, 4096);
        if (n == 0)
            return 0;
        if (n < 0 && errno == ECONNRESET)
            return err_set(err, ERR_NOT_FOUND, "the daemon hung up without an answer");
        if (n < 0 && errno != EINTR)
            return err_errno(err, errno, "cannot hear the daemon's answer");
        if (n > 0)
            out->len += (size_t)n;
    }
}

/* --- its meaning --- */

static int refusal(json_t *answer, struct err *err)
{
    static const struct {
        const char *name;
        enum err_code code;
    } CODES[] = {{"not-found", ERR_USAGE}, {"busy", ERR_LOCKED}, {"corrupt", ERR_CORRUPT}, {"usage", ERR_USAGE}};
    const char *name = json_string_value(json_object_get(answer, "code"));
    const char *text = json_string_value(json_object_get(answer, "error"));
    enum err_code code = ERR_FAILED;
    for (size_t i = 0; name != NULL && i < sizeof CODES / sizeof *CODES; i++)
        if (strcmp(CODES[i].name, name) == 0)
            code = CODES[i].code;
    return err_set(err, code, "%s", text != NULL ? text : "the daemon refused, without saying why");
}

static int understand(const struct buf *text, json_t **reply, struct err *err)
{
    if (text->len == 0)
        return err_set(err, ERR_NOT_FOUND, "the daemon hung up without an answer");
    json_t *answer = json_loadb((const char *)text->data, text->len, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(answer)) {
        json_decref(answer);
        return err_set(err, ERR_CORRUPT, "the daemon's answer cannot be understood");
    }
    int rc = json_is_true(json_object_get(answer, "ok")) ? 0 : refusal(answer, err);
    if (rc == 0 && reply != NULL)
        *reply = json_incref(answer);
    json_decref(answer);
    return rc;
}

int control_ask(const char *state_dir, json_t *request, json_t **reply, struct err *err)
{
    int fd = connect_to(state_dir, err);
    if (fd < 0)
        return -1;
    struct buf text, answer;
    buf_init(&text, CONTROL_REQUEST_MAX_BYTES);
    buf_init(&answer, CONTROL_LINE_MAX_BYTES);
    char *line = json_dumps(request, JSON_COMPACT);
    buf_append_str(&text, line);
    buf_append_byte(&text, '\n');
    int rc = text.overflow ? err_set(err, ERR_USAGE, "the request to the daemon is too long") : 0;
    if (rc == 0 && send_line(fd, (const char *)text.data, text.len) != 0)
        rc = err_errno(err, errno, "cannot speak to the daemon");
    if (rc == 0)
        rc = receive_all(fd, &answer, err);
    if (rc == 0)
        rc = understand(&answer, reply, err);
    free(line);
    buf_release(&text);
    buf_release(&answer);
    close(fd);
    return rc;
}

int control_ask_for(const char *state_dir, const char *ask, const char *job, json_t **reply, struct err *err)
{
    json_t *request = json_pack("{s:s}", "ask", ask);
    json_t *id = job != NULL ? json_string(job) : NULL;
    int rc = 0;
    if (job != NULL && (id == NULL || json_object_set(request, "job", id) != 0))
        rc = err_set(err, ERR_USAGE, "there is no such job: its name is no UTF-8");
    if (rc == 0)
        rc = control_ask(state_dir, request, reply, err);
    json_decref(id);
    json_decref(request);
    return rc;
}
