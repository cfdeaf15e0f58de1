/*
 * A server on loopback for tests, in a thread: for each request that comes it gives the next of the answers it was made
 * with (the last one again and again), and keeps what was asked. Speaks HTTP as far as finding a request's end goes,
 * or, with `smtp`, lines.
 */
#pragma once
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/mem.h"
#include "os/file.h"

#define TINY_HANG "HANG"   /* no answer until the server stops */
#define TINY_CLOSE "CLOSE" /* the connection is closed instead */
enum { TINY_REQUESTS = 64, TINY_REQUEST_BYTES = 256 << 10 };

struct tiny_server {
    const char *const *answers; /* NULL-terminated, at least one */
    size_t answer_count;
    bool smtp; /* answers are then pairs: the beginning of a line, what is answered; "" any; "." the end of the mail */
    int fd, stop[2];
    unsigned short port;
    pthread_t thread;
    pthread_mutex_t mutex;
    size_t connections, count;
    char *requests[TINY_REQUESTS];
};

static inline bool tiny_wait(struct tiny_server *t, int fd)
{
    struct pollfd fds[2] = {{.fd = fd, .events = POLLIN}, {.fd = t->stop[0], .events = POLLIN}};
    return poll(fds, 2, -1) > 0 && fds[1].revents == 0;
}

static inline void tiny_keep(struct tiny_server *t, const char *request, size_t len)
{
    pthread_mutex_lock(&t->mutex);
    if (t->count < TINY_REQUESTS)
        t->requests[t->count++] = mem_strndup(request, len);
    pthread_mutex_unlock(&t->mutex);
}

static inline size_t tiny_request_len(const char *text, size_t len)
{
    const char *end = memmem(text, len, "\r\n\r\n", 4);
    if (end == NULL)
        return 0;
    size_t head = (size_t)(end + 4 - text), body = 0;
    for (const char *p = text; p < end; p = strstr(p, "\r\n") + 2)
        if (strncasecmp(p, "Content-Length:", 15) == 0)
            body = (size_t)strtoul(p + 15, NULL, 10);
    return len >= head + body ? head + body : 0;
}

/* False: the connection is over. */
static inline bool tiny_answer(struct tiny_server *t, int fd, const char *answer)
{
    if (strcmp(answer, TINY_HANG) == 0) {
        struct pollfd stop = {.fd = t->stop[0], .events = POLLIN};
        poll(&stop, 1, -1);
        return false;
    }
    if (strcmp(answer, TINY_CLOSE) == 0)
        return false;
    return send(fd, answer, strlen(answer), MSG_NOSIGNAL) >= 0 && strstr(answer, "Connection: close") == NULL;
}

static inline void tiny_serve_http(struct tiny_server *t, int fd)
{
    char *text = mem_zalloc(TINY_REQUEST_BYTES + 1);
    size_t len = 0, whole;
    bool goes_on = true;
    while (goes_on && len < TINY_REQUEST_BYTES && tiny_wait(t, fd)) {
        ssize_t n = read(fd, text + len, TINY_REQUEST_BYTES - len);
        if (n <= 0)
            break;
        len += (size_t)n;
        text[len] = '\0';
        if ((whole = tiny_request_len(text, len)) == 0)
            continue;
        tiny_keep(t, text, whole);
        goes_on = tiny_answer(t, fd, t->answers[t->count - 1 < t->answer_count ? t->count - 1 : t->answer_count - 1]);
        len = 0;
    }
    free(text);
}

static inline const char *tiny_smtp_answer(const struct tiny_server *t, const char *line)
{
    for (size_t i = 0; i + 1 < t->answer_count; i += 2)
        if (strncasecmp(line, t->answers[i], strlen(t->answers[i])) == 0)
            return t->answers[i + 1];
    return "500 what?\r\n";
}

static inline void tiny_serve_smtp(struct tiny_server *t, int fd)
{
    char line[4096];
    bool in_mail = false, goes_on = tiny_answer(t, fd, "220 tiny ESMTP\r\n");
    FILE *in = fdopen(dup(fd), "r");
    while (goes_on && fgets(line, sizeof line, in) != NULL) {
        tiny_keep(t, line, strcspn(line, "\r\n"));
        if (in_mail && strcmp(line, ".\r\n") != 0)
            continue;
        const char *answer = tiny_smtp_answer(t, line);
        in_mail = !in_mail && strncmp(answer, "354", 3) == 0;
        goes_on = tiny_answer(t, fd, answer) && strncasecmp(line, "QUIT", 4) != 0;
    }
    fclose(in);
}

static inline void *tiny_main(void *arg)
{
    struct tiny_server *t = arg;
    while (tiny_wait(t, t->fd)) {
        int fd = accept4(t->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            break;
        pthread_mutex_lock(&t->mutex);
        t->connections++;
        pthread_mutex_unlock(&t->mutex);
        t->smtp ? tiny_serve_smtp(t, fd) : tiny_serve_http(t, fd);
        close(fd);
    }
    return NULL;
}

static inline void tiny_start_as(struct tiny_server *t, bool smtp, const char *const *answers)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    *t = (struct tiny_server){.answers = answers, .smtp = smtp, .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    while (answers[t->answer_count] != NULL)
        t->answer_count++;
    pthread_mutex_init(&t->mutex, NULL);
    if (pipe(t->stop) != 0 || bind(t->fd, (struct sockaddr *)&address, len) != 0 || listen(t->fd, 8) != 0 ||
        getsockname(t->fd, (struct sockaddr *)&address, &len) != 0 ||
        pthread_create(&t->thread, NULL, tiny_main, t) != 0) {
        perror("tiny server");
        exit(1);
    }
    t->port = ntohs(address.sin_port);
}

static inline void tiny_start(struct tiny_server *t, const char *const *answers)
{
    tiny_start_as(t, false, answers);
}

static inline void tiny_stop(struct tiny_server *t)
{
    close(t->stop[1]);
    t->stop[1] = -1;
    pthread_join(t->thread, NULL);
    close(t->stop[0]);
    close(t->fd);
    for (size_t i = 0; i < t->count; i++)
        free(t->requests[i]);
    pthread_mutex_destroy(&t->mutex);
}

/* How many requests came; the text of one ("" where there was none). */
static inline size_t tiny_count(struct tiny_server *t)
{
    pthread_mutex_lock(&t->mutex);
    size_t n = t->count;
    pthread_mutex_unlock(&t->mutex);
    return n;
}

static inline const char *tiny_request(struct tiny_server *t, size_t i)
{
    return i < tiny_count(t) ? t->requests[i] : "";
}

/* "http://127.0.0.1:PORT" with the path; valid until the fourth call after it. */
static inline const char *tiny_url(const struct tiny_server *t, const char *path)
{
    static char urls[4][512];
    static unsigned next;
    char *url = urls[next++ % 4];
    snprintf(url, sizeof urls[0], "%s://127.0.0.1:%u%s", t->smtp ? "smtp" : "http", t->port, path);
    return url;
}
