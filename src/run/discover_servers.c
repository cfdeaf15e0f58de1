/*
 * PostgreSQL and Redis on this machine itself: by their sockets, by the ports that somebody listens on, and by what
 * Redis writes into its process title. Each is tried once, and so are those in containers, so that a plan gets only
 * what works.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/mem.h"
#include "run/discover.h"
#include "run/discover_servers.h"
#include "run/processes.h"
#include "source/redis.h"

/* A program has to be started in a container to ask there: that takes a while on a busy machine. */
enum { PORTS_MAX = 1024, PROBE_MS = 3000, CONTAINER_PROBE_MS = 10000, REDIS_PORT = 6379 };

static bool has_port(const uint16_t *ports, size_t count, uint16_t port)
{
    for (size_t i = 0; i < count; i++)
        if (ports[i] == port)
            return true;
    return false;
}

/* --- Redis --- */

bool discover_redis_title(const char *title, uint16_t *port_out, char **socket_out)
{
    static const char *const PROGRAMS[] = {"redis-server ", "valkey-server ", "keydb-server "};
    const char *rest = NULL;
    for (size_t i = 0; rest == NULL && i < sizeof PROGRAMS / sizeof *PROGRAMS; i++) {
        const char *at = strstr(title, PROGRAMS[i]);
        rest = at != NULL && (at == title || at[-1] == '/') ? at + strlen(PROGRAMS[i]) : NULL;
    }
    *port_out = 0;
    *socket_out = NULL;
    if (rest == NULL)
        return false;
    static const char SOCKET[] = "unixsocket:";
    if (strncmp(rest, SOCKET, sizeof SOCKET - 1) == 0) {
        rest += sizeof SOCKET - 1;
        *socket_out = mem_strndup(rest, strcspn(rest, " "));
        return **socket_out == '/';
    }
    char *word = mem_strndup(rest, strcspn(rest, " "));
    const char *colon = strrchr(word, ':');
    unsigned long port = colon != NULL ? strtoul(colon + 1, NULL, 10) : 0;
    free(word);
    *port_out = port <= UINT16_MAX ? (uint16_t)port : 0;
    return *port_out != 0;
}

struct redis_search {
    struct strlist urls;
    const uint16_t *listening, *published;
    size_t listening_count, published_count;
};

/* Also seen are the processes in containers, whose ports are not this machine's: hence the look at who listens. */
static void add_redis_port(struct redis_search *s, uint16_t port)
{
    if (!has_port(s->listening, s->listening_count, port) || has_port(s->published, s->published_count, port))
        return;
    char *url = mem_printf("redis://127.0.0.1:%u", (unsigned)port);
    if (!strlist_contains(&s->urls, url))
        strlist_add(&s->urls, url);
    free(url);
}

static bool look_for_redis(void *ctx, const struct process_seen *p)
{
    uint16_t port;
    char *socket;
    struct stat st;
    if (discover_redis_title(p->command, &port, &socket)) {
        if (port != 0)
            add_redis_port(ctx, port);
        if (socket != NULL && stat(socket, &st) == 0 && S_ISSOCK(st.st_mode)) {
            char *url = mem_printf("unix://%s", socket);
            strlist_add(&((struct redis_search *)ctx)->urls, url);
            free(url);
        }
    }
    free(socket);
    return true;
}

static enum discovered_access access_of(enum redis_state state)
{
    return state == REDIS_DENIED                         ? DISCOVERED_NEEDS_SECRET
           : state == REDIS_UP || state == REDIS_LOADING ? DISCOVERED_READY
                                                         : DISCOVERED_UNCLEAR;
}

static void judge_redis(struct discovered_server *s, const struct redis_probe *probe)
{
    s->access = access_of(probe->state);
    if (s->access != DISCOVERED_READY)
        s->why = mem_strdup(s->access == DISCOVERED_NEEDS_SECRET && probe->wants_password ? "it wants a password"
                                                                                          : probe->why.message);
}

static void try_redis(struct discovery *d, const char *url)
{
    struct redis_options options = {.url = url, .timeout_ms = PROBE_MS};
    struct redis_probe probe;
    redis_probe(&options, &probe);
    if (probe.state == REDIS_DOWN || (probe.state == REDIS_FAILED && probe.product[0] == '\0'))
        return; /* it is something else */
    struct discovered_server *s = discovered_server_add(&d->redis);
    s->url = mem_strdup(url);
    judge_redis(s, &probe);
}

/* Those in containers that run: whether one wants a password stands in its command line or its configuration, which
 * only the server itself knows how to read. One that stopped meanwhile is left as it was found. */
static void try_containers(struct discovered_servers *redis)
{
    for (size_t i = 0; i < redis->count; i++) {
        struct discovered_server *s = &redis->items[i];
        if (s->container == NULL || s->access != DISCOVERED_READY)
            continue;
        struct redis_options options = {.container = s->container, .timeout_ms = CONTAINER_PROBE_MS};
        struct redis_probe probe;
        redis_probe(&options, &probe);
        if (probe.state != REDIS_DOWN)
            judge_redis(s, &probe);
    }
}

static void discover_redis(struct discovery *d, const uint16_t *listening, size_t listening_count,
                           const uint16_t *published, size_t published_count)
{
    struct redis_search s = {.listening = listening,
                             .listening_count = listening_count,
                             .published = published,
                             .published_count = published_count};
    add_redis_port(&s, REDIS_PORT);
    processes_each(look_for_redis, &s);
    strlist_sort(&s.urls);
    for (size_t i = 0; i < s.urls.count; i++)
        if (i == 0 || strcmp(s.urls.items[i], s.urls.items[i - 1]) != 0)
            try_redis(d, s.urls.items[i]);
    strlist_release(&s.urls);
}

void discover_servers(struct discovery *d, const uint16_t *ports, size_t port_count)
{
    uint16_t listening[PORTS_MAX];
    size_t count = processes_ports(listening, PORTS_MAX);
    try_containers(&d->redis);
    discover_redis(d, listening, count, ports, port_count);
    discover_postgres(d, listening, count, ports, port_count);
}
