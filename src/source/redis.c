#include "source/redis.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "os/clock.h"
#include "source/redis_cli.h"
#include "source/redis_client.h"
#include "source/redis_dump.h"
#include "source/redis_replica.h"
#include "source/redis_server.h"
#include "source/redis_url.h"
#include "source/virtual.h"

enum {
    LOOK_MS = 30000,  /* for looking at a server */
    PROBE_MS = 5000,  /* the same for discovery */
    IDLE_MS = 60000,  /* how long a server may be silent; while it forks it sends a sign of life every second */
    DUMP_MS = 3600000 /* for a dump, when nothing is said */
};

/* A server and how to get in. One of url.display and container is set. */
struct place {
    struct redis_url url;
    char *container;
    const char *user, *password; /* in own_… or url */
    char *own_user, *own_password;
};

struct redis_source {
    struct source source;
    struct place place;
    struct redis_server server;
    struct redis_cli *cli; /* of a container */
    uint64_t timeout_ms;
    char *dir; /* "redis/NAME" */
};

/* ---- places */

static void place_release(struct place *p)
{
    redis_url_release(&p->url);
    free(p->container);
    free(p->own_user);
    mem_wipe_string(p->own_password);
}

static int place_init(struct place *p, const struct redis_options *o, struct err *err)
{
    *p = (struct place){0};
    if ((o->container != NULL) == (o->url != NULL))
        return err_set(err, ERR_USAGE, "a Redis source needs either a container or a URL");
    if (o->url != NULL && redis_url_parse(o->url, &p->url, err) != 0)
        return -1;
    p->container = o->container != NULL ? mem_strdup(o->container) : NULL;
    p->own_user = o->user != NULL ? mem_strdup(o->user) : NULL;
    p->own_password = o->password != NULL ? mem_strdup(o->password) : NULL;
    p->user = p->own_user != NULL ? p->own_user : p->url.user;
    p->password = p->own_password != NULL ? p->own_password : p->url.password;
    if (p->user != NULL && p->password == NULL && p->container == NULL) {
        err_set(err, ERR_USAGE, "Redis user '%s' at '%s' is given without a password", p->user, p->url.display);
        place_release(p);
        return -1;
    }
    return 0;
}

static struct redis_login place_login(const struct place *p, uint64_t idle_ms, uint64_t timeout_ms)
{
    return (struct redis_login){.url = &p->url,
                                .user = p->user,
                                .password = p->password,
                                .idle_ms = idle_ms < timeout_ms ? idle_ms : timeout_ms,
                                .deadline_ns = os_monotonic_ns() + timeout_ms * UINT64_C(1000000)};
}

/* ---- the dump */

/* On the thread of whoever reads it. */
static int open_dump(void *ctx, struct redis_payload **out, struct err *err)
{
    const struct redis_source *s = ctx;
    bool valkey = strcmp(s->server.product, "valkey") == 0;
    if (s->cli != NULL)
        return redis_cli_dump(out, s->cli, s->timeout_ms, err);
    struct redis_login login = place_login(&s->place, IDLE_MS, s->timeout_ms);
    return redis_replica_open(out, &login, valkey ? s->server.version : NULL, err);
}

static void warn_of_server(const struct redis_source *s, const struct sink_reporter *reporter)
{
    const struct redis_server *v = &s->server;
    char *path = mem_printf("/%s", s->dir), *text = NULL;
    if (v->is_replica) {
        text = mem_printf("is a replica of %s:%s, which may lag behind%s", v->master_host, v->master_port,
                          v->master_link_up ? "" : "; the link to it is down");
        reporter->warning(reporter->ctx, path, text);
    }
    if (v->is_cluster)
        reporter->warning(reporter->ctx, path, "is one node of a cluster: the others need backups of their own");
    free(text);
    free(path);
}

static int push(struct source *source, struct sink *sink, const struct sink_reporter *reporter, struct err *err)
{
    struct redis_source *s = (struct redis_source *)source;
    struct virtual_tree *tree = virtual_tree_new(os_now());
    char *dump = mem_printf("%s/dump.rdb", s->dir), *facts = mem_printf("%s/server.json", s->dir);
    char *shown = mem_printf("/%s", dump);
    struct buf json;
    buf_init(&json, 64 << 20);
    redis_server_write(&s->server, &json);
    warn_of_server(s, reporter);
    const struct redis_dump_options options = {
        .open = open_dump,
        .ctx = s,
        .reporter = reporter,
        .path = shown,
        .expects_valkey = strcmp(s->server.product, "valkey") == 0 && strtoul(s->server.version, NULL, 10) >= 9,
    };
    virtual_tree_add(tree, dump, redis_dump_content_new(&options));
    virtual_tree_add(tree, facts, bytes_content_new(json.data, json.len));
    int rc = virtual_tree_push(tree, sink, err);
    virtual_tree_free(tree);
    buf_release(&json);
    free(shown);
    free(facts);
    free(dump);
    return rc;
}

/* ---- the source */

static void source_delete(struct source *source)
{
    struct redis_source *s = (struct redis_source *)source;
    redis_server_release(&s->server);
    redis_cli_close(s->cli);
    place_release(&s->place);
    free(s->dir);
    free(s);
}

static int check_server(const struct redis_source *s, const char *where, struct err *err)
{
    if (s->server.is_loading)
        return err_set(err, ERR_FAILED, "Redis at '%s' is still loading its data from disk: try again later", where);
    if (strcmp(s->server.mode, "sentinel") == 0)
        return err_set(err, ERR_FAILED, "'%s' is a Redis Sentinel, which holds no data: name the server it watches",
                       where);
    return 0;
}

static int look(struct redis_source *s, struct err *err)
{
    int rc;
    if (s->place.container != NULL) {
        if (redis_cli_open(&s->cli, s->place.container, s->place.user, s->place.password, LOOK_MS, err) != 0 ||
            redis_server_look(&s->server, &s->cli->asker, err) != 0)
            return -1;
        return check_server(s, s->place.container, err);
    }
    struct redis_login login = place_login(&s->place, LOOK_MS, LOOK_MS);
    struct redis_client *client;
    if (redis_client_open(&client, &login, err) != 0)
        return -1;
    rc = redis_server_look(&s->server, &client->asker, err);
    redis_client_close(client);
    return rc == 0 ? check_server(s, s->place.url.display, err) : -1;
}

static char *path_of(const char *container, const struct redis_url *url)
{
    char *name = virtual_name(container != NULL ? container : url->display), *path = mem_printf("/redis/%s", name);
    free(name);
    return path;
}

char *redis_source_path(const struct redis_options *options)
{
    struct redis_url url = {0};
    if (options->container == NULL && (options->url == NULL || redis_url_parse(options->url, &url, NULL) != 0))
        return NULL;
    char *path = path_of(options->container, &url);
    redis_url_release(&url);
    return path;
}

int redis_source_new(struct source **out, const struct redis_options *options, struct err *err)
{
    static const struct source_ops ops = {.push = push, .free = source_delete};
    struct redis_source *s = mem_zalloc(sizeof *s);
    s->source.ops = &ops;
    s->source.strict = true;
    s->timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : DUMP_MS;
    if (place_init(&s->place, options, err) != 0) {
        free(s);
        return -1;
    }
    if (look(s, err) != 0) {
        source_delete(&s->source);
        return -1;
    }
    char *path = path_of(s->place.container, &s->place.url);
    s->dir = mem_strdup(path + 1);
    strlist_add(&s->source.paths, path);
    free(path);
    *out = &s->source;
    return 0;
}

/* ---- a probe */

static void classify(struct redis_probe *out)
{
    if (out->why.code == ERR_NOT_FOUND)
        out->state = REDIS_DOWN;
    else if (out->why.code == ERR_PERMISSION)
        out->state = REDIS_DENIED;
    else
        out->state = strstr(out->why.message, "still loading") != NULL ? REDIS_LOADING : REDIS_FAILED;
}

/* COMMAND INFO answers nil for a command that is renamed, and lists only what is there. True where it does not tell. */
static bool is_known(const struct redis_asker *a, const char *command)
{
    const char *const info[] = {"COMMAND", "INFO", command, NULL};
    struct redis_reply reply = {0};
    bool known = true;
    if (a->ask(a->ctx, info, &reply, NULL) == 0 && reply.kind == REDIS_ARRAY)
        known = reply.items.count > 0 && strcmp(reply.items.items[0], "") != 0;
    redis_reply_release(&reply);
    return known;
}

/* Whether this user may call it, the server tells from version 7 on, without calling it. True where it does not. */
static bool is_allowed(const struct redis_asker *a, const char *user, const char *command, const char *one,
                       const char *two)
{
    const char *const try[] = {"ACL", "DRYRUN", user != NULL ? user : "default", command, one, two, NULL};
    struct redis_reply reply = {0};
    bool allowed = true;
    if (a->ask(a->ctx, try, &reply, NULL) == 0 && reply.kind != REDIS_ERROR)
        allowed = strcmp(redis_reply_text(&reply), "OK") == 0;
    redis_reply_release(&reply);
    return allowed;
}

/* As redis_replica.c goes about it: REPLCONF, then PSYNC, or SYNC where that is not there. */
static bool may_replicate(const struct redis_asker *a, const char *user)
{
    bool psync = is_known(a, "psync");
    if (!psync && !is_known(a, "sync"))
        return false;
    return is_allowed(a, user, "replconf", "capa", "eof") &&
           (psync ? is_allowed(a, user, "psync", "?", "-1") : is_allowed(a, user, "sync", NULL, NULL));
}

static int probe_server(const struct redis_asker *a, const char *user, struct redis_probe *out)
{
    struct redis_server server;
    if (redis_server_glance(&server, a, &out->why) != 0)
        return -1;
    memcpy(out->product, server.product, sizeof out->product);
    memcpy(out->version, server.version, sizeof out->version);
    out->keys = server.keys;
    out->used_memory_bytes = server.used_memory_bytes;
    out->is_replica = server.is_replica;
    out->is_cluster = server.is_cluster;
    out->state = server.is_loading ? REDIS_LOADING : REDIS_UP;
    out->may_replicate = server.is_loading || may_replicate(a, user);
    if (server.is_loading)
        err_set(&out->why, ERR_FAILED, "Redis at '%s' is still loading its data from disk", a->where);
    redis_server_release(&server);
    return 0;
}

static int probe_place(const struct place *p, uint64_t timeout_ms, struct redis_probe *out)
{
    if (p->container != NULL) {
        struct redis_cli *cli;
        if (redis_cli_open(&cli, p->container, p->user, p->password, timeout_ms, &out->why) != 0)
            return -1;
        int rc = probe_server(&cli->asker, p->user, out);
        redis_cli_close(cli);
        return rc;
    }
    struct redis_login login = place_login(p, timeout_ms, timeout_ms);
    struct redis_client *client;
    if (redis_client_open(&client, &login, &out->why) != 0)
        return -1;
    int rc = probe_server(&client->asker, p->user, out);
    redis_client_close(client);
    return rc;
}

void redis_probe(const struct redis_options *options, struct redis_probe *out)
{
    struct place place;
    *out = (struct redis_probe){.state = REDIS_FAILED, .may_replicate = true};
    if (place_init(&place, options, &out->why) != 0)
        return;
    if (probe_place(&place, options->timeout_ms > 0 ? options->timeout_ms : PROBE_MS, out) != 0) {
        classify(out);
        out->wants_password = out->state == REDIS_DENIED && place.password == NULL;
    }
    place_release(&place);
}
