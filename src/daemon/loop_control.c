/* The daemon's end of its socket (control.h). A client that is slow, mute or hostile costs one of a few places for a
 * few seconds, and nothing else. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"
#include "daemon/control_internal.h"
#include "daemon/loop_internal.h"
#include "os/clock.h"
#include "os/file.h"

enum { CLIENT_MS = 5000, DEAF_MS = 1000, BACKLOG = 16 };

/* --- the socket --- */

static int listen_at(const char *state_dir, struct stat *made, struct err *err)
{
    struct sockaddr_un address;
    int fd = -1, errnum = 0, dir = control_address(state_dir, &address);
    if (dir < 0)
        return err_errno(err, errno, "cannot open '%s'", state_dir);
    (void)unlinkat(dir, CONTROL_SOCKET_NAME, 0); /* of a daemon that was killed: we hold the lock */
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* The mode comes with the name: there is no moment in which others could connect. */
    mode_t before = umask(0177);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) != 0 || listen(fd, BACKLOG) != 0)
        errnum = errno;
    else if (fstatat(dir, CONTROL_SOCKET_NAME, made, AT_SYMLINK_NOFOLLOW) != 0)
        *made = (struct stat){0};
    umask(before);
    close(dir);
    if (errnum == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return err_errno(err, errnum, "cannot make the daemon's socket '%s/" CONTROL_SOCKET_NAME "'", state_dir);
}

int loop_control_open(struct loop *l, struct err *err)
{
    for (size_t i = 0; i < LOOP_CLIENTS; i++)
        l->clients[i].fd = -1;
    l->listen_fd = listen_at(l->options.state_dir, &l->listens_at, err);
    return l->listen_fd >= 0 ? 0 : -1;
}

void loop_control_keep(struct loop *l)
{
    struct stat there;
    char *path = control_path(l->options.state_dir);
    bool same =
        lstat(path, &there) == 0 && there.st_dev == l->listens_at.st_dev && there.st_ino == l->listens_at.st_ino;
    free(path);
    int fd = same || l->listen_fd < 0 ? -1 : listen_at(l->options.state_dir, &l->listens_at, NULL);
    if (fd < 0)
        return;
    close(l->listen_fd);
    l->listen_fd = fd;
    loop_say(LOG_LEVEL_WARNING, "the daemon's socket was gone from '%s': it is made again", l->options.state_dir);
}

static void hang_up(struct client *c)
{
    close(c->fd);
    c->fd = -1;
    buf_release(&c->in);
    buf_release(&c->out);
}

void loop_control_close(struct loop *l)
{
    for (size_t i = 0; i < LOOP_CLIENTS; i++)
        if (l->clients[i].fd >= 0)
            hang_up(&l->clients[i]);
    if (l->listen_fd < 0)
        return;
    char *path = control_path(l->options.state_dir);
    unlink(path);
    free(path);
    close(l->listen_fd);
    l->listen_fd = -1;
}

size_t loop_control_fds(const struct loop *l, struct pollfd *out)
{
    size_t count = 0, busy = 0;
    for (size_t i = 0; i < LOOP_CLIENTS; i++) {
        const struct client *c = &l->clients[i];
        if (c->fd < 0)
            continue;
        out[count++] = (struct pollfd){.fd = c->fd, .events = c->answering ? POLLOUT : POLLIN};
        busy++;
    }
    /* Others wait until somebody leaves, or descriptors are free again. */
    if (busy < LOOP_CLIENTS && os_monotonic_ns() >= l->deaf_until_ns)
        out[count++] = (struct pollfd){.fd = l->listen_fd, .events = POLLIN};
    return count;
}

uint64_t loop_control_wake_ns(const struct loop *l)
{
    uint64_t next = os_monotonic_ns() < l->deaf_until_ns ? l->deaf_until_ns : UINT64_MAX;
    for (size_t i = 0; i < LOOP_CLIENTS; i++)
        if (l->clients[i].fd >= 0 && l->clients[i].end_ns < next)
            next = l->clients[i].end_ns;
    return next;
}

/* --- answers --- */

static json_t *text_of(const char *s)
{
    json_t *value = s != NULL ? json_string(s) : json_null();
    return value != NULL ? value : json_string("?"); /* no UTF-8 */
}

static json_t *refuse(const char *code, const char *what, const char *subject)
{
    char *text = mem_printf("%s%s", what, subject);
    json_t *o = json_pack("{s:b, s:s}", "ok", 0, "code", code);
    json_object_set_new(o, "error", text_of(text));
    free(text);
    return o;
}

static json_t *mistakes(const struct loop *l)
{
    const struct jobs_report *report = &l->file.report;
    json_t *all = json_array();
    for (size_t i = 0; i < report->count; i++) {
        json_t *o = json_object();
        json_object_set_new(o, "job", text_of(report->items[i].id));
        json_object_set_new(o, "message", text_of(report->items[i].message));
        json_array_append_new(all, o);
    }
    return all;
}

static json_t *job_status_json(struct loop *l, const struct job *job, struct scheduler_time now)
{
    static const char *const NAMES[] = {
        [JOB_NEVER] = "never", [JOB_OK] = "ok", [JOB_ERROR] = "error", [JOB_SKIPPED] = "skipped"};
    const struct slot *s = loop_slot_of(l, job->id);
    json_t *o =
        json_pack("{s:o, s:o, s:b, s:I, s:b, s:I, s:s, s:I}", "id", text_of(job->id), "name", text_of(job->name),
                  "enabled", job->enabled, "nextMs", (json_int_t)scheduler_next_due_ms(l->scheduler, job->id, now),
                  "running", s != NULL, "lastRunMs", (json_int_t)job->last_run_ms, "lastStatus",
                  NAMES[job->last_status], "lastDurationMs", (json_int_t)job->last_duration_ms);
    if (s != NULL) {
        json_object_set_new(o, "runId", json_string(s->run_id));
        json_object_set_new(o, "startedMs", json_integer((json_int_t)s->began_ms));
    }
    return o;
}

static json_t *status(struct loop *l)
{
    struct scheduler_time now = loop_time();
    json_t *jobs = json_array();
    for (size_t i = 0; i < l->file.jobs.count; i++)
        json_array_append_new(jobs, job_status_json(l, &l->file.jobs.items[i], now));
    json_t *o = json_pack("{s:b, s:I, s:s, s:I, s:I, s:o, s:b, s:o, s:o}", "ok", 1, "pid", (json_int_t)getpid(),
                          "version", CLAWBACK_VERSION, "startedMs", (json_int_t)l->started_ms, "nowMs",
                          (json_int_t)now.wall_ms, "jobsFile", text_of(l->options.jobs_file), "stopping", l->stopping,
                          "mistakes", mistakes(l), "jobs", jobs);
    if (l->file.file_said.text != NULL)
        json_object_set_new(o, "fileProblem", text_of(l->file.file_said.text));
    return o;
}

static json_t *reload(struct loop *l)
{
    struct err err = {0};
    notify_reloading(l->notifier);
    int rc = loop_file_read(l, true, &err);
    notify_ready(l->notifier);
    if (rc != 0)
        return refuse(err.code == ERR_CORRUPT ? "corrupt" : "failed", err.message, "");
    return json_pack("{s:b, s:I, s:o}", "ok", 1, "jobs", (json_int_t)l->file.jobs.count, "mistakes", mistakes(l));
}

static json_t *run_now(struct loop *l, const char *id)
{
    if (id == NULL)
        return refuse("usage", "no job was named", "");
    if (l->stopping)
        return refuse("busy", "the daemon is stopping", "");
    if (job_find(&l->file.jobs, id) == NULL)
        return refuse("not-found", "there is no job ", id);
    if (loop_slot_of(l, id) != NULL)
        return refuse("busy", "it runs already: job ", id);
    if (!scheduler_ask(l->scheduler, id, loop_time()))
        return refuse("failed", "it cannot be started: job ", id);
    return json_pack("{s:b, s:o}", "ok", 1, "job", text_of(id));
}

static json_t *answer(struct loop *l, const char *line, size_t len)
{
    json_t *request = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL), *reply;
    const char *ask = json_string_value(json_object_get(request, "ask"));
    if (ask == NULL)
        reply = refuse("usage", "this is no request", "");
    else if (strcmp(ask, "status") == 0)
        reply = status(l);
    else if (strcmp(ask, "reload") == 0)
        reply = reload(l);
    else if (strcmp(ask, "run-now") == 0)
        reply = run_now(l, json_string_value(json_object_get(request, "job")));
    else
        reply = refuse("usage", "there is no such request: ", ask);
    json_decref(request);
    return reply;
}

/* --- conversations --- */

static bool is_allowed(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && (peer.uid == geteuid() || peer.uid == 0);
}

static void welcome(struct loop *l)
{
    for (size_t i = 0; i < LOOP_CLIENTS; i++) {
        struct client *c = &l->clients[i];
        if (c->fd >= 0)
            continue;
        int fd = accept4(l->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS))
            l->deaf_until_ns = loop_in_ms(DEAF_MS);
        if (fd < 0)
            return;
        if (!is_allowed(fd)) {
            close(fd);
            continue;
        }
        *c = (struct client){.fd = fd, .end_ns = loop_in_ms(CLIENT_MS)};
        buf_init(&c->in, CONTROL_REQUEST_MAX_BYTES);
        buf_init(&c->out, CONTROL_LINE_MAX_BYTES);
    }
}

static void set_answer(struct client *c, json_t *reply)
{
    char *text = json_dumps(reply, JSON_COMPACT);
    buf_append_str(&c->out, text);
    buf_append_byte(&c->out, '\n');
    c->answering = true;
    free(text);
    json_decref(reply);
}

/* False: the conversation is over. */
static bool listen_to(struct loop *l, struct client *c)
{
    for (;;) {
        unsigned char *to = buf_reserve(&c->in, 4096);
        if (to == NULL) {
            set_answer(c, refuse("usage", "the request is too long", ""));
            return true;
        }
        ssize_t n = recv(c->fd, to, 4096, 0);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        if (n == 0)
            return false;
        c->in.len += (size_t)n;
        const char *line = (const char *)c->in.data, *end = memchr(line, '\n', c->in.len);
        if (end != NULL) {
            set_answer(c, answer(l, line, (size_t)(end - line)));
            return true;
        }
    }
}

/* False: the conversation is over. */
static bool speak_to(struct client *c)
{
    while (c->sent < c->out.len) {
        ssize_t n = send(c->fd, c->out.data + c->sent, c->out.len - c->sent, MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        c->sent += (size_t)n;
    }
    return false;
}

void loop_control_pump(struct loop *l)
{
    welcome(l);
    for (size_t i = 0; i < LOOP_CLIENTS; i++) {
        struct client *c = &l->clients[i];
        if (c->fd < 0)
            continue;
        bool goes_on = os_monotonic_ns() < c->end_ns;
        if (goes_on && !c->answering)
            goes_on = listen_to(l, c);
        if (goes_on && c->answering)
            goes_on = speak_to(c);
        if (!goes_on)
            hang_up(c);
    }
}
