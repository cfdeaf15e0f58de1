/*
 * A Redis server that plays a script on a local socket: for each connection, step by step, it waits for a command and
 * answers it. What a real one does only when something is wrong with it can be had so.
 */
#pragma once
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct double_step {
    const char *wants;  /* must come in what the client sends next; NULL: nothing is waited for; "" ends the connection,
                           and the next step is of the next one */
    const char *answer; /* sent then */
    size_t answer_len;  /* 0: strlen */
    unsigned pause_ms;  /* before it */
    bool stalls;        /* says no more, until the client hangs up */
};

struct redis_double {
    const struct double_step *steps;
    size_t count, done;
    int fd;
    pthread_t thread;
    char dir[64], path[80], url[100];
};

/* Reads until `text` is in what came since the last command that was wanted. */
static inline bool double_await(int fd, const char *text)
{
    static char room[65536];
    size_t len = 0;
    for (;;) {
        ssize_t n = read(fd, room + len, sizeof room - 1 - len);
        if (n <= 0)
            return false;
        len += (size_t)n;
        room[len] = '\0';
        if (strstr(room, text) != NULL)
            return true;
    }
}

static inline void double_serve(struct redis_double *d, int fd)
{
    char rest[256];
    while (d->done < d->count) {
        const struct double_step *s = &d->steps[d->done];
        if (s->wants != NULL && *s->wants == '\0') {
            d->done++;
            return;
        }
        if (s->wants != NULL && !double_await(fd, s->wants))
            return;
        usleep(s->pause_ms * 1000);
        size_t len = s->answer_len > 0 ? s->answer_len : s->answer != NULL ? strlen(s->answer) : 0;
        if (len > 0 && send(fd, s->answer, len, MSG_NOSIGNAL) < 0)
            return;
        d->done++;
        while (s->stalls && read(fd, rest, sizeof rest) > 0)
            ;
    }
}

static inline void *double_main(void *arg)
{
    struct redis_double *d = arg;
    while (d->done < d->count) {
        int fd = accept(d->fd, NULL, NULL);
        if (fd < 0)
            break;
        double_serve(d, fd);
        shutdown(fd, SHUT_WR);
        close(fd);
    }
    return NULL;
}

static inline void double_start(struct redis_double *d, const struct double_step *steps, size_t count)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memset(d, 0, sizeof *d);
    d->steps = steps;
    d->count = count;
    snprintf(d->dir, sizeof d->dir, "/tmp/clawback-redis-XXXXXX");
    if (mkdtemp(d->dir) == NULL)
        abort();
    snprintf(d->path, sizeof d->path, "%s/s", d->dir);
    snprintf(d->url, sizeof d->url, "unix://%s", d->path);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", d->path);
    d->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (d->fd < 0 || bind(d->fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(d->fd, 5) != 0)
        abort();
    pthread_create(&d->thread, NULL, double_main, d);
}

/* The number of steps that were played. */
static inline size_t double_stop(struct redis_double *d)
{
    shutdown(d->fd, SHUT_RDWR);
    pthread_join(d->thread, NULL);
    close(d->fd);
    unlink(d->path);
    rmdir(d->dir);
    return d->done;
}
